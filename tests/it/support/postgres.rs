//! A real PostgreSQL on loopback, started by `docker/postgres.sh`, which also ends it when the test
//! process is gone.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::guard;

/// A running PostgreSQL; it ends when this is dropped.
#[derive(Debug)]
pub struct Postgres {
    directory: PathBuf,
    url: String,
    /// Runs until its standard input ends.
    script: Child,
}

/// Whether bridges are to keep their users in PostgreSQL where a test does not say otherwise:
/// `SCIMBRIDGE_TEST_STORE=postgres`.
pub fn is_chosen() -> bool {
    match std::env::var("SCIMBRIDGE_TEST_STORE").as_deref() {
        Err(_) | Ok("" | "sqlite") => false,
        Ok("postgres") => true,
        Ok(other) => panic!("SCIMBRIDGE_TEST_STORE is sqlite or postgres, not {other}"),
    }
}

/// The first column of what a statement returns, as text.
pub fn query(url: &str, sql: &str) -> Vec<String> {
    let (url, sql) = (url.to_owned(), sql.to_owned());
    // On a thread of its own, whoever calls.
    let asked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, connection) =
                tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
            let driver = tokio::spawn(connection);
            let answer = client.simple_query(&sql).await;
            let answer = answer.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            drop(client);
            let _ = driver.await;
            let rows = answer.into_iter().filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            });
            rows.map(|row| row.get(0).unwrap_or_default().to_owned()).collect()
        })
    });
    asked.join().unwrap()
}

impl Postgres {
    /// The server that all tests share: not to be stopped.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A server for one test alone. It takes connections by TLS as well; see [`Postgres::ca`].
    pub fn start() -> Self {
        // The script removes it.
        let directory = tempfile::tempdir().unwrap().keep();
        let mut script = command("run", &directory)
            .env_remove("PORT")
            .env("TLS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash starts");
        let mut url = String::new();
        BufReader::new(script.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("postgres://"), "no PostgreSQL; docker/postgres.sh says why");
        Self { directory, url: url.trim().to_owned(), script }
    }

    /// The URL of a new and empty database, with a password.
    pub fn database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("bridge_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        query(&self.url, &format!("CREATE DATABASE {name}"));
        let (server, _) = self.url.rsplit_once('/').unwrap();
        format!("{server}/{name}")
    }

    /// Removes a database of [`Postgres::database`], whoever is connected.
    pub fn drop_database(&self, url: &str) {
        let (_, name) = url.rsplit_once('/').unwrap();
        // A process of the server's own may be at work there, which only its owner may end.
        let owner =
            self.url.replace("scimbridge:", "postgres:").replace("/scimbridge", "/postgres");
        query(&owner, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
    }

    /// The root that signed the server's certificate, which is for `localhost`.
    pub fn ca(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// Ends every process of it at once, as a crash of the machine would.
    pub fn kill(&self) {
        let postmaster = self.pid();
        let children = format!("/proc/{postmaster}/task/{postmaster}/children");
        let children = std::fs::read_to_string(children).unwrap();
        guard::signal(postmaster, "KILL");
        for child in children.split_whitespace() {
            // One that has ended by itself meanwhile is as good.
            let _ = Command::new("kill").args(["-KILL", child]).stderr(Stdio::null()).status();
        }
        let gone = || !Path::new(&format!("/proc/{postmaster}/exe")).exists();
        assert!(super::eventually(Duration::from_secs(10), gone), "PostgreSQL stays");
    }

    /// Freezes the server's processes: connections stay open and nobody answers.
    pub fn stop(&self) {
        self.signal_all("STOP");
    }

    /// Goes on after [`Postgres::stop`].
    pub fn cont(&self) {
        self.signal_all("CONT");
    }

    /// Starts it again on the same port with the same data, after [`Postgres::kill`].
    pub fn restart(&self) {
        let output = command("start", &self.directory).output().expect("bash starts");
        let told = String::from_utf8_lossy(&output.stdout);
        assert_eq!(told.trim(), self.url, "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn signal_all(&self, name: &str) {
        let postmaster = self.pid();
        let children = format!("/proc/{postmaster}/task/{postmaster}/children");
        for child in std::fs::read_to_string(children).unwrap().split_whitespace() {
            let signal = format!("-{name}");
            let _ = Command::new("kill").args([&signal, child]).stderr(Stdio::null()).status();
        }
        guard::signal(postmaster, name);
    }

    fn pid(&self) -> u32 {
        let place = std::fs::read_to_string(self.directory.join("place")).unwrap();
        let file = Path::new(place.trim()).join("data/postmaster.pid");
        let text = std::fs::read_to_string(file).expect("PostgreSQL runs");
        text.lines().next().and_then(|line| line.trim().parse().ok()).expect("it begins with a pid")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}

fn command(action: &str, directory: &Path) -> Command {
    let mut command = Command::new("bash");
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/docker/postgres.sh"))
        .arg(action)
        .arg(directory)
        .env_remove("PORT")
        .stdin(Stdio::null());
    command
}
