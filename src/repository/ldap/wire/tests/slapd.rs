//! A private slapd for one test: its own folder, its own port, ended with it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use super::super::Settings;
use crate::secret::Secret;

/// May read everything; answers of more than 500 are cut, pages above 200 refused.
pub const READER: &str = "cn=reader,dc=example,dc=org";
/// May read everything without limits.
pub const SCIM: &str = "cn=scim,dc=example,dc=org";
pub const PASSWORD: &str = "secret";

pub struct Slapd {
    folder: TempDir,
    port: Port,
    tls_port: Port,
    child: Option<Child>,
}

/// A port of this machine that nobody else gets while this lives, and where nobody listens.
pub struct Port {
    pub number: u16,
    _bound: Socket,
}

impl Port {
    pub fn reserve() -> Self {
        static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
        loop {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            // slapd sets the same option, so it can listen where this is merely bound.
            socket.set_reuse_address(true).unwrap();
            socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
            let number = socket.local_addr().unwrap().as_socket().unwrap().port();
            if TAKEN.lock().unwrap().insert(number) {
                return Self { number, _bound: socket };
            }
        }
    }

    pub fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.number)
    }
}

impl Slapd {
    /// Starts one with so many people, `u0001` and on, in `ou=people,dc=example,dc=org`.
    pub fn start(people: usize) -> Self {
        Self::with(people, "")
    }

    /// The same with more lines in the global part of its configuration.
    pub fn with(people: usize, global: &str) -> Self {
        Self::prepared(people, global, |_| ())
    }

    /// The same after more was put into its folder.
    pub fn prepared(people: usize, global: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::Builder::new().prefix("wire-slapd").tempdir().unwrap();
        fs::create_dir(folder.path().join("db")).unwrap();
        fs::write(folder.path().join("data.ldif"), ldif(people)).unwrap();
        fs::write(folder.path().join("slapd.conf"), configuration(folder.path(), global)).unwrap();
        prepare(folder.path());
        let loaded = Command::new("/usr/sbin/slapadd")
            .args(["-q", "-f", "slapd.conf", "-l", "data.ldif"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
        let mut slapd =
            Self { folder, port: Port::reserve(), tls_port: Port::reserve(), child: None };
        slapd.run();
        slapd
    }

    /// Starts it (again) on its port.
    pub fn run(&mut self) {
        // Ends with the thread that started it, should the test be killed.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "/usr/sbin/slapd", "-d", "0", "-f", "slapd.conf", "-h"])
            .arg(self.listeners())
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", self.port.number)).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "slapd did not start");
            assert!(Instant::now() < end, "slapd did not start in time");
            sleep(Duration::from_millis(5));
        }
        self.child = Some(child);
    }

    fn listeners(&self) -> String {
        let has_tls = self.folder.path().join("server.pem").exists();
        if has_tls { format!("{} {}", self.url(), self.tls_url()) } else { self.url() }
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGSTOP: the kernel goes on taking connections and bytes, nobody answers.
    pub fn freeze(&self) {
        self.signal("-STOP");
        let tasks = format!("/proc/{}/task", self.child.as_ref().unwrap().id());
        let stopped = |task: fs::DirEntry| {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap();
            stat.rsplit(')').next().unwrap().trim_start().starts_with('T')
        };
        // The signal reaches one thread after the other.
        while !fs::read_dir(&tasks).unwrap().all(|task| stopped(task.unwrap())) {
            sleep(Duration::from_millis(1));
        }
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    pub fn url(&self) -> String {
        self.port.url()
    }

    /// Listened on only where the folder holds a `server.pem`.
    pub fn tls_url(&self) -> String {
        format!("ldaps://127.0.0.1:{}", self.tls_port.number)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Settings that bind here.
    pub fn settings(&self, dn: &str) -> Settings {
        bound(super::settings(&[self.url()]), dn)
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn bound(settings: Settings, dn: &str) -> Settings {
    Settings {
        bind_dn: Some(dn.to_owned()),
        bind_password: Some(Secret::new(PASSWORD.to_owned())),
        ..settings
    }
}

fn configuration(folder: &Path, global: &str) -> String {
    format!(
        "include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb.so
moduleload back_monitor.so
sizelimit 500
threads 8
{global}
database monitor
access to * by * read
database mdb
suffix dc=example,dc=org
rootdn cn=admin,dc=example,dc=org
directory {folder}/db
maxsize 268435456
envflags nosync
index objectClass,uid,entryUUID eq
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact={READER} read by dn.exact={SCIM} read by * auth
limits dn.exact={READER} size.soft=500 size.hard=1000 size.pr=200 size.prtotal=unlimited
limits dn.exact={SCIM} size=unlimited time=unlimited
",
        folder = folder.display()
    )
}

fn ldif(people: usize) -> String {
    let mut text = format!(
        "dn: dc=example,dc=org\nobjectClass: domain\ndc: example\n\n\
         dn: ou=people,dc=example,dc=org\nobjectClass: organizationalUnit\nou: people\n\n\
         dn: {READER}\nobjectClass: person\nsn: r\nuserPassword: {PASSWORD}\n\n\
         dn: {SCIM}\nobjectClass: person\nsn: s\nuserPassword: {PASSWORD}\n\n"
    );
    for number in 1..=people {
        let _ = write!(
            text,
            "dn: uid=u{number:04},ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\n\
             uid: u{number:04}\ncn: Søren {number}\nsn: Ørsted\nmail: u{number:04}@example.org\n\
             userPassword: pw{number}\ndescription: {}\njpegPhoto:: /9j/4AAQ\n\n",
            "x".repeat(600)
        );
    }
    text
}
