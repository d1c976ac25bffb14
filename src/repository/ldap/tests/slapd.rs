//! A private slapd: its own folder, its own port on loopback, ended with the test that started it.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::config::ServerUrl;
use crate::repository::ldap::wire::Settings;
use crate::secret::Secret;

pub const BASE: &str = "ou=people,dc=example,dc=org";
pub const READER: &str = "cn=reader,dc=example,dc=org";
pub const PASSWORD: &str = "secret";

/// One person: the DN's own part, and attributes with their values.
pub struct Person {
    pub rdn: String,
    pub attributes: Vec<(String, Vec<u8>)>,
}

impl Person {
    /// With the least that inetOrgPerson asks for, and an entryUUID made of `number`.
    pub fn new(number: usize) -> Self {
        let uid = format!("u{number:04}");
        let mut person = Self { rdn: format!("uid={uid}"), attributes: Vec::new() };
        person.add("objectClass", "inetOrgPerson");
        person.add("objectClass", "extensibleObject");
        person.add("uid", &uid);
        person.add("entryUUID", &uuid(number));
        person
    }

    pub fn add(&mut self, name: &str, value: &str) -> &mut Self {
        self.add_bytes(name, value.as_bytes())
    }

    pub fn add_bytes(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.attributes.push((name.to_owned(), value.to_vec()));
        self
    }
}

pub fn uuid(number: usize) -> String {
    format!("0f0e0d0c-0000-4000-8000-{number:012x}")
}

/// What differs from one slapd to another.
#[derive(Default)]
pub struct Site<'a> {
    /// `access to …` lines that stand before the usual ones.
    pub access: &'a str,
    /// How many entries the reader gets at most, also page by page; 0 for all.
    pub limit: usize,
    /// Whether the subschema entry may not be read.
    pub hidden_schema: bool,
    /// Whether the reader may read `cn=config`.
    pub readable_configuration: bool,
    /// Without the overlay that knows `pwdAccountLockedTime`.
    pub without_ppolicy: bool,
}

pub struct Slapd {
    port: u16,
    child: Child,
    _reserved: Socket,
    _folder: TempDir,
}

impl Slapd {
    pub fn start(people: &[Person], site: &Site<'_>) -> Self {
        let folder = tempfile::Builder::new().prefix("repository-slapd").tempdir().unwrap();
        fs::create_dir(folder.path().join("db")).unwrap();
        fs::write(folder.path().join("data.ldif"), ldif(people)).unwrap();
        fs::write(folder.path().join("slapd.conf"), configuration(site)).unwrap();
        let loaded = Command::new("/usr/sbin/slapadd")
            .args(["-q", "-f", "slapd.conf", "-b", "dc=example,dc=org", "-l", "data.ldif"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
        // Bound and never listened on: nobody else gets the port, and slapd, which also lets
        // addresses be used again, can.
        let reserved = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        reserved.set_reuse_address(true).unwrap();
        reserved.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let port = reserved.local_addr().unwrap().as_socket().unwrap().port();
        // Ends with the thread that started it, should the test be killed.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "/usr/sbin/slapd", "-d", "0", "-f", "slapd.conf", "-h"])
            .arg(format!("ldap://127.0.0.1:{port}/"))
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "slapd did not start");
            assert!(Instant::now() < end, "slapd did not start in time");
            sleep(Duration::from_millis(5));
        }
        Self { port, child, _reserved: reserved, _folder: folder }
    }

    pub fn settings(&self) -> Settings {
        self.settings_with(READER, PASSWORD)
    }

    pub fn settings_with(&self, dn: &str, password: &str) -> Settings {
        Settings {
            urls: vec![ServerUrl { host: "127.0.0.1".to_owned(), port: self.port, ldaps: false }],
            starttls: false,
            insecure: false,
            follow_referrals: Vec::new(),
            ca: None,
            client_certificate: None,
            bind_dn: Some(dn.to_owned()),
            bind_password: Some(Secret::new(password.to_owned())),
            connect_timeout: Duration::from_secs(10),
            operation_timeout: Duration::from_secs(30),
            max_message: 8 << 20,
            lookup: 2,
            scan: 2,
            idle: Duration::from_mins(4),
            max_age: Duration::from_mins(30),
        }
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(site: &Site<'_>) -> String {
    let Site { access, limit, .. } = site;
    let schema = if site.hidden_schema { "none" } else { "read" };
    let configuration = if site.readable_configuration {
        format!("database config\naccess to * by dn.exact={READER} read\n")
    } else {
        String::new()
    };
    let limit = if *limit == 0 { "unlimited".to_owned() } else { limit.to_string() };
    let (module, overlay) = if site.without_ppolicy {
        ("", "")
    } else {
        ("moduleload ppolicy.so\n", "overlay ppolicy\n")
    };
    format!(
        "include /etc/ldap/schema/core.schema\n\
         include /etc/ldap/schema/cosine.schema\n\
         include /etc/ldap/schema/inetorgperson.schema\n\
         include /etc/ldap/schema/nis.schema\n\
         modulepath /usr/lib/ldap\n\
         moduleload back_mdb.so\n{module}\
         access to dn.base=\"\" by * read\n\
         access to dn.base=\"cn=Subschema\" by * {schema}\n\
         {configuration}\
         database mdb\n\
         suffix dc=example,dc=org\n\
         rootdn cn=admin,dc=example,dc=org\n\
         directory db\n\
         maxsize 1073741824\n\
         index objectClass,entryUUID,uid eq\n\
         index cn,sn,mail eq,sub\n\
         limits dn.exact={READER} size={limit} time=unlimited\n\
         {access}\n\
         access to attrs=userPassword by anonymous auth\n\
         access to * by dn.exact={READER} read\n\
         {overlay}"
    )
}

fn ldif(people: &[Person]) -> Vec<u8> {
    let mut text = format!(
        "dn: dc=example,dc=org\nobjectClass: dcObject\nobjectClass: organization\no: Example\n\
         dc: example\n\ndn: {READER}\nobjectClass: organizationalRole\n\
         objectClass: simpleSecurityObject\ncn: reader\nuserPassword: {PASSWORD}\n\n\
         dn: {BASE}\nobjectClass: organizationalUnit\nou: people\n\n"
    );
    for person in people {
        let dn = format!("{},{BASE}", person.rdn);
        writeln!(text, "dn:: {}", STANDARD.encode(dn)).unwrap();
        for (name, value) in &person.attributes {
            writeln!(text, "{name}:: {}", STANDARD.encode(value)).unwrap();
        }
        text.push('\n');
    }
    text.into_bytes()
}
