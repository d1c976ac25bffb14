//! The servers: started by `docker/samba.sh` and `docker/389ds.sh` with people of the sample company,
//! changed and read by the tools of OpenLDAP.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::{company, guard};

/// How many people of the sample company each directory holds: first the ones whom tests read, then
/// the ones whom tests change, each its own.
pub const PEOPLE: usize = 60;

/// What tests of several directories look for in each.
pub const WORDS: &[&str] = &[
    "Jensen",
    "JENSEN",
    "Smith",
    "smith",
    "sisko",
    "kicks",
    "straße",
    "STRASSE",
    "σοφός",
    "ΣΟΦΌΣ",
    "İstanbul",
    "istanbul",
    "José",
    "Jose\u{301}",
    "JOSÉ",
    "Jose",
    "Ångström",
    "a b",
    "a  b",
    "ab",
    "a-b",
    "*",
    "(x)",
    "\\2a",
    "*)(sn=*",
    "x=y,z+w",
    "#1",
    "Nguyễn",
    "Петров",
    "ПЕТРОВ",
    "山田",
    "0",
    "00",
    "true",
    "o'neil",
];

/// One running directory.
#[derive(Debug)]
pub struct Server {
    /// `samba` or `389ds`.
    kind: &'static str,
    directory: PathBuf,
    url: String,
    /// Where people are.
    pub base: &'static str,
    pub mapping: &'static str,
    pub reader: &'static str,
    pub password: &'static str,
    admin: (&'static str, &'static str),
}

/// The Samba domain; `None`, with the reason on standard error, where it cannot be started.
pub fn samba() -> Option<&'static Server> {
    static SHARED: OnceLock<Option<Server>> = OnceLock::new();
    SHARED
        .get_or_init(|| {
            let root = Command::new("id").arg("-u").output().expect("id runs").stdout == b"0\n";
            if !root && std::env::var_os("CI").is_none() {
                eprintln!(
                    "passed over: a Samba domain needs root, since its ports are compiled in"
                );
                return None;
            }
            Some(Server::start(
                Server {
                    kind: "samba",
                    directory: guard::directory("samba"),
                    url: String::new(),
                    base: "OU=People,DC=ad,DC=example,DC=org",
                    mapping: "active-directory",
                    reader: "reader@ad.example.org",
                    password: "Passw0rd-Reader",
                    admin: ("Administrator@ad.example.org", "Passw0rd-Admin"),
                },
                &domain(),
            ))
        })
        .as_ref()
}

/// The 389 Directory Server.
pub fn ds389() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| {
        Server::start(
            Server {
                kind: "389ds",
                directory: guard::directory("389ds"),
                url: String::new(),
                base: "ou=people,dc=example,dc=org",
                mapping: "389ds",
                reader: "cn=reader,ou=services,dc=example,dc=org",
                password: "secret",
                admin: ("cn=Directory Manager", "secret"),
            },
            &instance(),
        )
    })
}

/// Every server that can be started here.
pub fn all() -> Vec<&'static Server> {
    samba().into_iter().chain([ds389()]).collect()
}

impl Server {
    fn start(mut self, ldif: &str) -> Self {
        let data = self.directory.join("data.ldif");
        std::fs::write(&data, ldif).unwrap();
        let script = format!("{}/docker/{}.sh", env!("CARGO_MANIFEST_DIR"), self.kind);
        let home = self.directory.join("server");
        let output = Command::new("bash")
            .arg(script)
            .arg("start")
            .arg(&home)
            .arg(&data)
            .stdin(Stdio::null())
            .output()
            .expect("bash starts");
        assert!(output.status.success(), "{}: {output:?}", self.kind);
        let file = if self.kind == "samba" { "samba.pid" } else { "run/slapd.pid" };
        let pid = std::fs::read_to_string(home.join(file)).expect("the server runs");
        guard::watch(pid.trim().parse().expect("a number"));
        String::from_utf8(output.stdout).unwrap().trim().clone_into(&mut self.url);
        self
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// `host:port`
    pub fn address(&self) -> String {
        let host = self.url.trim_start_matches("ldap://");
        if host.contains(':') { host.to_owned() } else { format!("{host}:389") }
    }

    /// Name and password of who may do everything.
    pub fn admin(&self) -> (&'static str, &'static str) {
        self.admin
    }

    pub fn is_samba(&self) -> bool {
        self.kind == "samba"
    }

    /// The lines of a repository of this directory, reached at `url`.
    pub fn lines(&self, url: &str) -> String {
        format!(
            "urls = [{url:?}]\nbind_dn = {:?}\nbind_password = {:?}\nbase = {:?}\nmapping = {:?}\n",
            self.reader, self.password, self.base, self.mapping
        )
    }

    /// Where a person is.
    pub fn dn(&self, number: usize) -> String {
        if self.is_samba() {
            format!("CN={},OU=Staff,{}", cn(number), self.base)
        } else {
            format!("uid={},ou=staff,{}", uid(number), self.base)
        }
    }

    /// Changes entries, by the change records (RFC 2849) in `ldif`.
    pub fn modify(&self, ldif: &str) {
        self.modify_with(&[], ldif);
    }

    /// As [`Server::modify`], with further arguments of `ldapmodify`.
    pub fn modify_with(&self, arguments: &[&str], ldif: &str) {
        let mut child = self
            .tool("ldapmodify", self.admin)
            .args(arguments)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("ldapmodify starts");
        child.stdin.take().unwrap().write_all(ldif.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "ldapmodify: {output:?}\n{ldif}");
    }

    /// The values of one attribute of one entry, as the administrator reads them.
    pub fn values(&self, dn: &str, attribute: &str) -> Vec<String> {
        let output = self
            .tool("ldapsearch", self.admin)
            .args([
                "-LLL",
                "-o",
                "ldif-wrap=no",
                "-s",
                "base",
                "-b",
                dn,
                "(objectClass=*)",
                attribute,
            ])
            .output()
            .expect("ldapsearch starts");
        assert!(output.status.success(), "ldapsearch {dn}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let prefix = format!("{}:", attribute.to_ascii_lowercase());
        text.lines()
            .filter(|line| line.to_ascii_lowercase().starts_with(&prefix))
            .map(|line| line[prefix.len()..].trim_start_matches(':').trim().to_owned())
            .collect()
    }

    /// Whether somebody gets in with this name and password.
    pub fn lets_in(&self, name: &str, password: &str) -> bool {
        let mut asked = self.tool("ldapsearch", (name, password));
        let output =
            asked.args(["-s", "base", "-b", "", "1.1"]).output().expect("ldapsearch starts");
        output.status.success()
    }

    fn tool(&self, program: &str, (dn, password): (&str, &str)) -> Command {
        let mut command = Command::new(program);
        command.env("LDAPNOINIT", "1").args(["-x", "-H", &self.url, "-D", dn, "-w", password]);
        command
    }
}

/// The login of a person.
pub fn uid(number: usize) -> String {
    company::person(number).uid
}

fn cn(number: usize) -> String {
    format!("Person {number:03}")
}

/// A word that this person has and few others.
pub fn word(number: usize) -> &'static str {
    WORDS[number % WORDS.len()]
}

fn line(text: &mut String, name: &str, value: &str) {
    writeln!(text, "{name}:: {}", STANDARD.encode(value)).unwrap();
}

/// What a person has in both directories.
fn person(text: &mut String, number: usize) {
    let person = company::person(number);
    line(text, "sn", word(number));
    line(text, "givenName", word(number + 7));
    line(text, "displayName", &format!("{} {}", word(number + 7), word(number)));
    line(text, "l", person.city);
    line(text, "telephoneNumber", &person.phone);
    line(text, "employeeNumber", &person.employee_number);
    if number.is_multiple_of(3) {
        line(text, "title", word(number + 3));
    }
    if let Some(photo) = &person.photo {
        writeln!(text, "jpegPhoto:: {}", STANDARD.encode(photo)).unwrap();
    }
}

/// 60 people in OU=Staff, groups in groups, and who reads them.
fn domain() -> String {
    let domain = "DC=ad,DC=example,DC=org";
    let people = format!("OU=People,{domain}");
    let mut text = String::new();
    for unit in [
        people.clone(),
        format!("OU=Staff,{people}"),
        format!("OU=Außendienst,{people}"),
        format!("OU=Groups,{domain}"),
    ] {
        line(&mut text, "dn", &unit);
        text.push_str("objectClass: organizationalUnit\n\n");
    }
    let quoted: Vec<u8> = "\"Passw0rd-Reader\"".encode_utf16().flat_map(u16::to_le_bytes).collect();
    writeln!(
        text,
        "dn: CN=Reader,CN=Users,{domain}\nobjectClass: user\nsAMAccountName: reader\n\
         userPrincipalName: reader@ad.example.org\nuserAccountControl: 512\nunicodePwd:: {}\n",
        STANDARD.encode(quoted)
    )
    .unwrap();
    for number in 1..=PEOPLE {
        let uid = uid(number);
        line(&mut text, "dn", &format!("CN={},OU=Staff,{people}", cn(number)));
        writeln!(text, "objectClass: user\nsAMAccountName: {}", sam(number)).unwrap();
        person(&mut text, number);
        line(&mut text, "userPrincipalName", &format!("{uid}@ad.example.org"));
        line(&mut text, "company", word(number + 11));
        line(&mut text, "department", company::DEPARTMENTS[number % 12]);
        if number % 4 != 0 {
            line(&mut text, "mail", &format!("{uid}@example.org"));
        }
        if number.is_multiple_of(2) {
            // The primary one is not the first.
            for address in [
                format!("smtp:alias{number}@example.org"),
                format!("SMTP:{uid}@example.org"),
                format!("X500:/o=Example/cn={uid}"),
            ] {
                line(&mut text, "proxyAddresses", &address);
            }
        }
        // No password is wanted; disabled; expired in 2022; expires in 2100.
        let bits = if is_disabled(number) { 546 } else { 544 };
        writeln!(text, "userAccountControl: {bits}").unwrap();
        match number % 10 {
            7 => text.push_str("accountExpires: 132854688000000000\n"),
            8 => text.push_str("accountExpires: 157469184000000000\n"),
            9 => text.push_str("accountExpires: 0\n"),
            _ => {}
        }
        text.push('\n');
    }
    for (name, members) in [
        ("inner", vec![format!("CN={},OU=Staff,{people}", cn(1))]),
        (
            "outer",
            vec![format!("CN=inner,OU=Groups,{domain}"), format!("CN={},OU=Staff,{people}", cn(2))],
        ),
        ("cycle", vec![format!("CN=outer,OU=Groups,{domain}")]),
    ] {
        writeln!(
            text,
            "dn: CN={name},OU=Groups,{domain}\nobjectClass: group\nsAMAccountName: {name}\n\
             groupType: -2147483646"
        )
        .unwrap();
        for member in members {
            line(&mut text, "member", &member);
        }
        text.push('\n');
    }
    writeln!(
        text,
        "dn: CN=inner,OU=Groups,{domain}\nchangetype: modify\nadd: member\n\
         member: CN=cycle,OU=Groups,{domain}\n-\n"
    )
    .unwrap();
    text
}

/// A login that Windows allows.
pub fn sam(number: usize) -> String {
    uid(number).chars().take(20).collect()
}

pub fn is_disabled(number: usize) -> bool {
    number.is_multiple_of(5)
}

/// Whether a person may sign in, by all that the domain says.
pub fn is_active(server: &Server, number: usize) -> bool {
    let expired = server.is_samba() && number % 10 == 7;
    !(is_disabled(number) || expired)
}

fn instance() -> String {
    let mut text = String::from(
        "dn: dc=example,dc=org\nobjectClass: dcObject\nobjectClass: organization\no: Example\ndc: example\n\
         aci: (targetattr!=\"userPassword\")(version 3.0; acl \"reader\"; allow (read,search,compare) \
         userdn=\"ldap:///cn=reader,ou=services,dc=example,dc=org\";)\n\n\
         dn: ou=services,dc=example,dc=org\nobjectClass: organizationalUnit\nou: services\n\n\
         dn: cn=reader,ou=services,dc=example,dc=org\nobjectClass: organizationalRole\n\
         objectClass: simpleSecurityObject\ncn: reader\nuserPassword: secret\n\n\
         dn: ou=groups,dc=example,dc=org\nobjectClass: organizationalUnit\nou: groups\n\n\
         dn: ou=people,dc=example,dc=org\nobjectClass: organizationalUnit\nou: people\n\n\
         dn: ou=staff,ou=people,dc=example,dc=org\nobjectClass: organizationalUnit\nou: staff\n\n\
         dn: ou=field,ou=people,dc=example,dc=org\nobjectClass: organizationalUnit\nou: field\n\n",
    );
    for number in 1..=PEOPLE {
        let uid = uid(number);
        line(&mut text, "dn", &format!("uid={uid},ou=staff,ou=people,dc=example,dc=org"));
        writeln!(text, "objectClass: inetOrgPerson\nobjectClass: nsMemberOf\nuid: {uid}").unwrap();
        line(&mut text, "cn", &cn(number));
        person(&mut text, number);
        line(&mut text, "o", word(number + 11));
        if number % 4 != 0 {
            line(&mut text, "mail", &format!("{uid}@example.org"));
        }
        if is_disabled(number) {
            text.push_str("nsAccountLock: TRUE\n");
        }
        text.push('\n');
    }
    text
}
