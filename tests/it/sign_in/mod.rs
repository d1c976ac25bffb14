//! Signing in to the console with the password of a directory, as `scimbridge check --sign-in` tries it:
//! who is let in, who is not, and what no server is ever sent.

mod hostile;
mod openldap;
mod servers;
mod several;
mod windows;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::bridge::Settings;
use crate::support::slapd::SUFFIX;

/// What became of an attempt.
#[derive(Debug)]
pub struct Said {
    /// Whether the program was content.
    pub well: bool,
    /// On standard output.
    pub text: String,
    /// On standard error, with the log.
    pub error: String,
}

impl Said {
    /// The line with these words; where it is bad news, the next one says what to do.
    pub fn line(&self, mark: &str, words: &str) -> &str {
        let mut lines = self.text.lines();
        let found = lines.find(|line| line.trim_start().starts_with(mark) && line.contains(words));
        let found = found.unwrap_or_else(|| panic!("{mark} {words} is not in {self:?}"));
        assert!(mark == "ok" || lines.next().is_some_and(|next| next.contains("->")), "{self:?}");
        found
    }

    pub fn let_in(&self) {
        assert!(self.well && self.text.ends_with("signed in\n"), "{self:?}");
        self.line("ok", "bind: the directory takes the password");
        self.line("ok", "may sign in to the console");
    }

    /// Kept out, for a reason with these words.
    pub fn kept_out(&self, mark: &str, words: &str) {
        assert!(!self.well && self.text.ends_with("refused\n"), "{self:?}");
        self.line(mark, words);
    }
}

/// A configuration that was written, for several attempts.
pub struct Place(PathBuf);

impl Place {
    pub fn new(settings: &Settings) -> Self {
        Self(settings.write())
    }

    pub fn folder(&self) -> &Path {
        &self.0
    }

    pub fn sign_in(&self, name: &str, password: &str) -> Said {
        self.sign_in_by(&["--sign-in", name], format!("{password}\n").as_bytes())
    }

    pub fn sign_in_by(&self, arguments: &[&str], input: &[u8]) -> Said {
        let mut child = Command::new(env!("CARGO_BIN_EXE_scimbridge"))
            .args(["check", "--config", "scimbridge.toml"])
            .args(arguments)
            .current_dir(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        // It may have ended before it read anything.
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
        Said {
            well: output.status.success(),
            text: String::from_utf8(output.stdout).unwrap(),
            error: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The same of one repository among several.
pub fn helpdesk_of(repository: &str) -> String {
    let group = format!("cn=helpdesk,ou=groups,{SUFFIX}");
    format!("operators = {{ repository = {repository:?}, group = {group:?} }}")
}

/// The group of the sample company whose first three people are in it.
pub fn helpdesk() -> String {
    format!("operators = \"cn=helpdesk,ou=groups,{SUFFIX}\"")
}
