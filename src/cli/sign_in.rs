//! `scimbridge check --sign-in`: whether somebody could sign in, with a password that is read from
//! standard input, since arguments are shown to everybody on the machine.

use std::io::{self, IsTerminal as _};

use anyhow::{Context as _, anyhow};
use rustix::io::{read as read_from, retry_on_intr};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::app::operators;
use crate::config::Config;
use crate::secret::{Password, Secret};

/// No password is longer, in bytes; what follows is not read.
const LONGEST: usize = 8192;

pub fn run(config: &Config, tenant: Option<&str>, name: &str) -> anyhow::Result<bool> {
    match Password::new(read()?) {
        Ok(password) => operators::sign_in(config, tenant, name, &password),
        Err(error) => Err(anyhow!(
            "{error}, and is sent to no directory; give it on standard input, on one line"
        )),
    }
}

/// The first line of standard input.
fn read() -> anyhow::Result<Secret<String>> {
    let silence = Silence::begin();
    if silence.is_some() {
        eprint!("Password: ");
    }
    // One allocation: a text that grows leaves copies behind.
    let mut bytes = Secret::new(Vec::with_capacity(LONGEST));
    let mut byte = Secret::new([0_u8; 1]);
    // Past the buffer of the standard library, which nobody wipes.
    let mut next = || {
        retry_on_intr(|| {
            read_from(io::stdin(), byte.expose_mut()).map(|count| (count, byte.expose()[0]))
        })
    };
    while bytes.expose().len() < LONGEST {
        match next().context("standard input cannot be read")? {
            (0, _) | (_, b'\n') => break,
            (_, other) => bytes.expose_mut().push(other),
        }
    }
    if silence.is_some() {
        eprintln!();
    }
    let line = bytes.expose();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = std::str::from_utf8(line).map_err(|_| anyhow!("the password is no UTF-8"))?;
    Ok(Secret::new(text.to_owned()))
}

/// While it lives, a terminal does not show what is typed.
struct Silence(Termios);

impl Silence {
    /// `None` where standard input is no terminal.
    fn begin() -> Option<Self> {
        let input = io::stdin();
        let before = input.is_terminal().then(|| tcgetattr(&input)).and_then(Result::ok)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&input, OptionalActions::Flush, &silent).ok()?;
        Some(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}
