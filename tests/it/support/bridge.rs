//! The real program on a free port, with a configuration made of parts, in a directory of its own.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::client::Client;
use super::postgres::{self, Postgres};
use super::slapd::{PASSWORD, READER, SUFFIX, Slapd};
use super::{eventually, guard};

pub const TENANT: &str = "acme";
/// Where the tenant's resources are.
pub const BASE: &str = "/scim/acme/v2";
/// The token that may do everything in [`TENANT`].
pub const TOKEN: &str = "test-token-that-may-do-everything";

/// Beside the configuration: the URL of the bridge's own database on the shared PostgreSQL.
const URL_FILE: &str = "store-url";

/// A configuration in the making. Lines are given as in the file.
#[derive(Clone, Debug)]
pub struct Settings {
    server: String,
    /// Where it is absent, a database of its own, of the engine that the environment names.
    store: Option<String>,
    cache: String,
    telemetry: String,
    tenant: String,
    tokens: String,
    repositories: Vec<(String, String)>,
    /// Whatever comes last, tables of its own.
    rest: String,
    /// Files beside the configuration, by name.
    files: Vec<(String, String)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: String::new(),
            store: None,
            cache: String::new(),
            telemetry: "log = \"info\"\nformat = \"json\"".to_owned(),
            tenant: String::new(),
            tokens: String::new(),
            repositories: Vec::new(),
            rest: String::new(),
            files: Vec::new(),
        }
        .token("everything", TOKEN, &["*"])
    }
}

impl Settings {
    /// A tenant without a directory.
    pub fn local() -> Self {
        Self::default()
    }

    /// A tenant with this directory as `corp`.
    pub fn over(slapd: &Slapd) -> Self {
        Self::default().repository("corp", &slapd.url())
    }

    #[must_use]
    pub fn server(mut self, lines: &str) -> Self {
        writeln!(self.server, "{lines}").unwrap();
        self
    }

    /// In place of a database of its own.
    #[must_use]
    pub fn store(mut self, lines: &str) -> Self {
        self.store = Some(format!("{lines}\n"));
        self
    }

    #[must_use]
    pub fn cache(mut self, lines: &str) -> Self {
        writeln!(self.cache, "{lines}").unwrap();
        self
    }

    /// In place of what is usually logged.
    #[must_use]
    pub fn telemetry(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.telemetry);
        self
    }

    #[must_use]
    pub fn tenant(mut self, lines: &str) -> Self {
        writeln!(self.tenant, "{lines}").unwrap();
        self
    }

    /// A further token of the tenant.
    #[must_use]
    pub fn token(mut self, name: &str, token: &str, permissions: &[&str]) -> Self {
        let hex = digest(token);
        writeln!(
            self.tokens,
            "[[tenant.token]]\nname = {name:?}\nsha256 = \"{hex}\"\npermissions = {permissions:?}\n"
        )
        .unwrap();
        self
    }

    /// A further line of the token that was added last.
    #[must_use]
    pub fn token_line(mut self, line: &str) -> Self {
        self.tokens = format!("{}\n{line}\n\n", self.tokens.trim_end());
        self
    }

    /// A directory of the sample company, read by its reader.
    #[must_use]
    pub fn repository(mut self, id: &str, url: &str) -> Self {
        let lines = format!(
            "urls = [{url:?}]\nbind_dn = {READER:?}\nbind_password = {PASSWORD:?}\n\
             base = \"ou=people,{SUFFIX}\"\nfilter = \"(objectClass=inetOrgPerson)\"\n\
             mapping = \"openldap\"\n"
        );
        self.repositories.push((id.to_owned(), lines));
        self
    }

    /// Further lines of the repository that was added last; they may open tables of it.
    #[must_use]
    pub fn with(mut self, lines: &str) -> Self {
        let last = self.repositories.last_mut().expect("a repository to add lines to");
        writeln!(last.1, "{lines}").unwrap();
        self
    }

    /// Tables after everything else, such as a second tenant.
    #[must_use]
    pub fn rest(mut self, lines: &str) -> Self {
        writeln!(self.rest, "{lines}").unwrap();
        self
    }

    /// A file beside the configuration.
    #[must_use]
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// The file.
    pub fn text(&self) -> String {
        let own = if postgres::is_chosen() {
            format!("url = {{ file = \"{URL_FILE}\" }}\n")
        } else {
            "url = \"sqlite:scimbridge.db\"\n".to_owned()
        };
        let store = self.store.as_ref().unwrap_or(&own);
        let mut text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n{}\n[store]\n{}\n[cache]\n{}\n[telemetry]\n\
             {}\n\n[[tenant]]\nname = \"{TENANT}\"\n{}\n{}",
            self.server, store, self.cache, self.telemetry, self.tenant, self.tokens
        );
        for (id, lines) in &self.repositories {
            writeln!(text, "[[tenant.repository]]\nid = {id:?}\n{lines}").unwrap();
        }
        text + &self.rest
    }

    /// A directory that holds the file, for [`run`].
    pub fn write(&self) -> PathBuf {
        let directory = guard::directory("bridge");
        std::fs::write(directory.join("scimbridge.toml"), self.text()).unwrap();
        for (name, text) in &self.files {
            std::fs::write(directory.join(name), text).unwrap();
        }
        if self.store.is_none() && postgres::is_chosen() {
            std::fs::write(directory.join(URL_FILE), Postgres::shared().database()).unwrap();
        }
        directory
    }
}

/// A SHA-256 as the configuration has it.
pub fn digest(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// Runs the program to its end, with the configuration in `directory` where `arguments` are to
/// have one.
pub fn run(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_scimbridge"))
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

/// A running bridge; it ends when this is dropped.
#[derive(Debug)]
pub struct TestBridge {
    directory: PathBuf,
    child: Option<Child>,
    address: String,
}

impl TestBridge {
    /// Starts it and waits until it listens.
    pub fn start(settings: &Settings) -> Self {
        let mut bridge = Self { directory: settings.write(), child: None, address: String::new() };
        bridge.launch();
        bridge
    }

    /// A client of the tenant that may do everything.
    pub fn client(&self) -> Client {
        self.client_as(TOKEN)
    }

    pub fn client_as(&self, token: &str) -> Client {
        Client::new(&self.address, BASE, Some(token))
    }

    /// A client of the whole server without a token.
    pub fn stranger(&self) -> Client {
        Client::new(&self.address, "", None)
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the bridge runs").id()
    }

    /// Where the configuration (`scimbridge.toml`) and the database are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Everything that was logged, by every run.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("stderr")).unwrap_or_default()
    }

    /// Everything that was printed on standard output, by every run.
    pub fn output(&self) -> String {
        std::fs::read_to_string(self.directory.join("stdout")).unwrap_or_default()
    }

    /// The actions of the audit trail, oldest first, as they stand in the database.
    pub fn audit(&self) -> Vec<String> {
        self.query("SELECT action FROM audit ORDER BY key")
    }

    /// The first column, of texts, that a statement finds in the bridge's own database.
    pub fn query(&self, sql: &str) -> Vec<String> {
        if let Some(url) = self.database_url() {
            return postgres::query(&url, sql);
        }
        let database = rusqlite::Connection::open(self.directory.join("scimbridge.db")).unwrap();
        let mut statement = database.prepare(sql).unwrap();
        let found = statement.query_map([], |row| row.get(0)).unwrap();
        found.map(Result::unwrap).collect()
    }

    /// Where the bridge has a database of its own on the shared PostgreSQL.
    pub fn database_url(&self) -> Option<String> {
        std::fs::read_to_string(self.directory.join(URL_FILE)).ok()
    }

    /// Resident memory in bytes that belongs to no file.
    pub fn anonymous_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("the bridge runs");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
    }

    /// Ends it without warning, as a crash of the machine would.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the bridge was running");
            child.wait().unwrap();
            guard::forget(child.id());
        }
    }

    /// Asks it to end, as an administrator would, and waits for that.
    pub fn terminate(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the bridge runs");
        guard::signal(child.id(), "TERM");
        let mut status = None;
        let ended = eventually(Duration::from_mins(1), || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        if !ended {
            let _ = child.kill();
            let _ = child.wait();
        }
        guard::forget(child.id());
        status.unwrap_or_else(|| panic!("the bridge does not end:\n{}", self.log()))
    }

    /// Starts it again on the same database, on another port: clients of before are of no use.
    pub fn restart(&mut self) {
        self.kill9();
        self.launch();
    }

    /// Ends it and starts it again, over the same store, by these settings.
    pub fn reconfigure(&mut self, settings: &Settings) {
        self.kill9();
        std::fs::write(self.directory.join("scimbridge.toml"), settings.text()).unwrap();
        self.launch();
    }

    /// Ends it; what it says to these settings, by which it does not start.
    pub fn refused(&mut self, settings: &Settings) -> String {
        self.kill9();
        std::fs::write(self.directory.join("scimbridge.toml"), settings.text()).unwrap();
        let output = run(&self.directory, &["serve", "--config", "scimbridge.toml"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn launch(&mut self) {
        let log = File::options().create(true).append(true).open(self.directory.join("stderr"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_scimbridge"))
            .args(["serve", "--config", "scimbridge.toml"])
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.unwrap())
            .spawn()
            .expect("the program starts");
        guard::watch(child.id());
        let stdout = child.stdout.take().unwrap();
        let kept = File::options().create(true).append(true).open(self.directory.join("stdout"));
        let mut kept = kept.unwrap();
        self.child = Some(child);
        let (send, receive) = mpsc::channel();
        // Goes on reading to the end, so that the bridge never blocks on a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = writeln!(kept, "{line}");
                if let Some(url) = line.strip_prefix("listening on ") {
                    let (_, address) = url.split_once("://").expect("a URL");
                    let _ = send.send(address.trim_end_matches('/').to_owned());
                }
            }
        });
        // Where the bridge ends before it listens, the channel closes.
        self.address = receive.recv_timeout(Duration::from_mins(1)).unwrap_or_else(|_| {
            panic!("the bridge does not listen; {:?}\n{}\n{}", self.child, self.log(), {
                std::fs::read_to_string(self.directory.join("scimbridge.toml")).unwrap()
            })
        });
    }
}

impl Drop for TestBridge {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            guard::forget(child.id());
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().rev().take(40).collect();
            for line in lines.into_iter().rev() {
                eprintln!("bridge: {line}");
            }
        } else {
            if let Some(url) = self.database_url() {
                Postgres::shared().drop_database(&url);
            }
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}
