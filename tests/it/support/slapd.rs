//! A real OpenLDAP on loopback, started by `docker/slapd.sh`.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{company, eventually, guard};

pub const SUFFIX: &str = "dc=example,dc=org";
pub const READER: &str = "cn=reader,ou=services,dc=example,dc=org";
pub const ADMIN: &str = "cn=admin,dc=example,dc=org";
/// Of [`READER`] and of [`ADMIN`].
pub const PASSWORD: &str = "secret";

/// How many people the shared directory holds.
pub const SHARED_PEOPLE: usize = 1000;

/// How an own directory differs from the shared one.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// People of the sample company.
    pub people: usize,
    /// Further entries.
    pub ldif: String,
    /// Lines of `slapd.conf` that win over the usual limits.
    pub configuration: String,
    /// Whether StartTLS, and LDAPS on the next port, are offered; see [`Slapd::ca`].
    pub tls: bool,
}

/// A running slapd; it ends when this is dropped.
#[derive(Debug)]
pub struct Slapd {
    directory: PathBuf,
    port: u16,
    options: Options,
    /// Searches that this type has made itself, and others before anybody could count.
    own_searches: AtomicU64,
    first_search: AtomicU64,
    _turn: Turn,
}

impl Slapd {
    /// The directory of [`SHARED_PEOPLE`] that all tests share: for reading, not for counting
    /// searches, and not to be stopped.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Slapd> = OnceLock::new();
        SHARED.get_or_init(|| {
            Self::begin(Options { people: SHARED_PEOPLE, ..Options::default() }, Turn(None))
        })
    }

    /// A directory for one test alone, with this many people of the sample company.
    pub fn company(people: usize) -> Self {
        Self::start(Options { people, ..Options::default() })
    }

    /// A directory for one test alone. Waits while too many are running.
    pub fn start(options: Options) -> Self {
        Self::begin(options, Turn::take())
    }

    fn begin(options: Options, turn: Turn) -> Self {
        let directory = guard::directory("slapd");
        let mut ldif = company::ldif(options.people, SUFFIX);
        ldif.push_str(&options.ldif);
        std::fs::write(directory.join("data.ldif"), ldif).unwrap();
        std::fs::write(directory.join("extra.conf"), &options.configuration).unwrap();
        let port = run(&directory, &options, None);
        let (own_searches, first_search) = (AtomicU64::new(0), AtomicU64::new(0));
        let slapd = Self { directory, port, options, own_searches, first_search, _turn: turn };
        slapd.count_from_here();
        slapd
    }

    pub fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.port)
    }

    /// Only with [`Options::tls`].
    pub fn ldaps_url(&self) -> String {
        format!("ldaps://127.0.0.1:{}", self.port + 1)
    }

    /// The root that signed the certificate; only with [`Options::tls`].
    pub fn ca(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn pid(&self) -> u32 {
        pid(&self.directory)
    }

    /// Search operations that slapd has begun since it started, by its own monitor, without the
    /// ones of this type. Every `search` of every client counts, whatever it found.
    pub fn searches(&self) -> u64 {
        self.count_searches() - self.first_search.load(Ordering::SeqCst)
    }

    fn count_from_here(&self) {
        self.own_searches.store(0, Ordering::SeqCst);
        self.first_search.store(self.count_searches(), Ordering::SeqCst);
    }

    fn count_searches(&self) -> u64 {
        let monitor = ["-b", "cn=Search,cn=Operations,cn=Monitor", "-s", "base"];
        let text =
            self.search(&[&monitor[..], &["(objectClass=*)", "monitorOpInitiated"]].concat());
        let all: u64 = text
            .lines()
            .find_map(|line| line.strip_prefix("monitorOpInitiated: "))
            .and_then(|count| count.parse().ok())
            .expect("the monitor counts searches");
        all - self.own_searches.load(Ordering::SeqCst)
    }

    /// What `ldapsearch` prints, as LDIF without wrapped lines, to the reader.
    pub fn search(&self, arguments: &[&str]) -> String {
        self.own_searches.fetch_add(1, Ordering::SeqCst);
        let mut all = vec!["-LLL", "-o", "ldif-wrap=no"];
        all.extend(arguments);
        let output = self.tool("ldapsearch", READER, &all, "");
        assert!(output.status.success(), "ldapsearch {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The values of one attribute of one person, as they are.
    pub fn values(&self, uid: &str, attribute: &str) -> Vec<String> {
        let text = self.search(&["-b", SUFFIX, &format!("(uid={uid})"), attribute]);
        let value = |line: &str| {
            let value = line.strip_prefix(attribute)?.strip_prefix(':')?;
            Some(match value.strip_prefix(':') {
                Some(coded) => String::from_utf8(STANDARD.decode(coded.trim()).unwrap()).unwrap(),
                None => value.trim_start().to_owned(),
            })
        };
        text.lines().filter_map(value).collect()
    }

    /// Changes entries, by the change records (RFC 2849) in `ldif`.
    pub fn modify(&self, ldif: &str) {
        self.modify_with(&[], ldif);
    }

    /// As [`Slapd::modify`], with further arguments of `ldapmodify`.
    pub fn modify_with(&self, arguments: &[&str], ldif: &str) {
        let output = self.tool("ldapmodify", ADMIN, arguments, ldif);
        assert!(output.status.success(), "ldapmodify: {output:?}");
    }

    /// Puts an entry back as [`Slapd::entry`] gave it, with its `entryUUID`.
    pub fn restore(&self, entry: &str) {
        let output = self.tool("ldapadd", ADMIN, &["-e", "relax"], entry);
        assert!(output.status.success(), "ldapadd: {output:?}");
    }

    /// An entry as LDIF, with its `entryUUID`, for [`Slapd::restore`].
    pub fn entry(&self, dn: &str) -> String {
        let text = self.search(&["-b", dn, "-s", "base", "*", "entryUUID"]);
        // The overlay's own.
        let kept = |line: &&str| !line.to_ascii_lowercase().starts_with("memberof");
        text.lines().filter(kept).fold(String::new(), |text, line| text + line + "\n")
    }

    /// Whether somebody gets in with this password.
    pub fn lets_in(&self, dn: &str, password: &str) -> bool {
        self.tool_as("ldapwhoami", (dn, password), &[], "").status.success()
    }

    fn tool(&self, program: &str, dn: &str, arguments: &[&str], input: &str) -> Output {
        self.tool_as(program, (dn, PASSWORD), arguments, input)
    }

    fn tool_as(
        &self,
        program: &str,
        (dn, password): (&str, &str),
        arguments: &[&str],
        input: &str,
    ) -> Output {
        let mut child = Command::new(program)
            .env("LDAPNOINIT", "1")
            .args(["-x", "-H", &self.url(), "-D", dn, "-w", password])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Freezes it: connections stay open and nobody answers.
    pub fn stop(&self) {
        let pid = self.pid();
        guard::signal(pid, "STOP");
        // Threads that run at that moment go on for a little.
        let stands = |task: std::io::Result<std::fs::DirEntry>| -> std::io::Result<bool> {
            let stat = std::fs::read_to_string(task?.path().join("stat"))?;
            Ok(stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
        };
        let all_stand = || {
            let mut tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a process");
            tasks.all(|task| stands(task).unwrap_or(true))
        };
        assert!(eventually(Duration::from_secs(10), all_stand), "slapd goes on");
    }

    /// Goes on after [`Slapd::stop`].
    pub fn cont(&self) {
        guard::signal(self.pid(), "CONT");
    }

    /// Ends it at once; the port answers nobody until [`Slapd::restart`].
    pub fn kill(&self) {
        let pid = self.pid();
        guard::signal(pid, "KILL");
        guard::forget(pid);
        // The port is let go of a little later than the program.
        let gone = || {
            !Path::new(&format!("/proc/{pid}/exe")).exists()
                && TcpStream::connect(("127.0.0.1", self.port)).is_err()
        };
        assert!(super::eventually(Duration::from_secs(10), gone), "slapd stays");
    }

    /// Starts it again with other [`Options::configuration`].
    pub fn reconfigure(&self, configuration: &str) {
        self.kill();
        std::fs::write(self.directory.join("extra.conf"), configuration).unwrap();
        self.restart();
    }

    /// Starts it again on the same port with the same data, after [`Slapd::kill`]; its counters
    /// begin anew.
    pub fn restart(&self) {
        run(&self.directory, &self.options, Some(self.port));
        self.count_from_here();
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        if let Ok(text) = std::fs::read_to_string(self.directory.join("slapd.pid")) {
            let stopped = script("stop", &self.directory).status();
            if stopped.is_ok_and(|status| status.success())
                && let Ok(pid) = text.trim().parse()
            {
                guard::forget(pid);
            }
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Ports are this process's own and never used twice: what a killed directory leaves free must not
/// be taken by the next one, since the test that killed it goes on to ask there.
fn next_port() -> u16 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let pair = NEXT.fetch_add(1, Ordering::Relaxed);
    // Below the ephemeral ports, 300 pairs for each of 30 processes.
    let block = u64::from(std::process::id()) % 30;
    u16::try_from(12_000 + block * 600 + pair % 300 * 2).expect("below 30,000")
}

fn run(directory: &Path, options: &Options, port: Option<u16>) -> u16 {
    let mut said = String::new();
    // A port of somebody else's is passed over; a given one has to be had.
    for _ in 0..if port.is_some() { 1 } else { 30 } {
        let port = port.unwrap_or_else(next_port);
        let mut command = script("start", directory);
        command
            .arg(directory.join("data.ldif"))
            .env("EXTRA", directory.join("extra.conf"))
            .env("PORT", port.to_string());
        if options.tls {
            command.env("TLS", "1");
        }
        let output = command.output().expect("bash starts");
        if output.status.success() {
            guard::watch(pid(directory));
            return port;
        }
        said = String::from_utf8_lossy(&output.stderr).into_owned();
    }
    panic!("slapd does not start: {said}");
}

fn script(action: &str, directory: &Path) -> Command {
    let mut command = Command::new("bash");
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/docker/slapd.sh"))
        .arg(action)
        .arg(directory)
        .env("SUFFIX", SUFFIX)
        .env_remove("PORT")
        .env_remove("TLS")
        .stdin(Stdio::null());
    command
}

fn pid(directory: &Path) -> u32 {
    let text = std::fs::read_to_string(directory.join("slapd.pid")).expect("slapd runs");
    text.trim().parse().expect("the pid file holds a number")
}

/// How many directories of their own tests may run at once; the shared one comes on top.
const AT_ONCE: usize = 3;

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// The right to run one of [`AT_ONCE`] directories; `None` for the shared one.
#[derive(Debug)]
struct Turn(Option<()>);

impl Turn {
    fn take() -> Self {
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        // A test with several directories must not wait for ever for one that waits as well.
        let (mut running, _) = ENDED
            .wait_timeout_while(running, Duration::from_mins(1), |running| *running >= AT_ONCE)
            .unwrap_or_else(PoisonError::into_inner);
        *running += 1;
        Self(Some(()))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.0.is_some() {
            *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
            ENDED.notify_one();
        }
    }
}
