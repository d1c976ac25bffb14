//! Directories behind TLS, as the configuration asks for it: whoever is not who they should be is an
//! outage that says so, and nothing is ever said in plain text.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::bridge::{Settings, TestBridge, run};
use crate::support::certificates::{issue, root};
use crate::support::company;
use crate::support::guard;
use crate::support::hostile::{Hostile, Operation, Reply, Request, Verdict};
use crate::support::slapd::{Options, PASSWORD, READER, SUFFIX, Slapd};

const REPORT: &str = "urn:scimbridge:api:messages:2.0:Repositories";
const FRESH: &str = "cache = { fresh = \"0s\", negative = \"0s\", stale = \"0s\" }\n\
                     timeouts = { connect = \"1s\", operation = \"2s\" }\n";
const STARTTLS: &str = "1.3.6.1.4.1.1466.20037";

/// What stands between answers to StartTLS.
type Answers = fn(&Reply) -> std::io::Result<Verdict>;

fn secure(configuration: &str) -> Slapd {
    let configuration = configuration.to_owned();
    Slapd::start(Options { people: 5, tls: true, configuration, ..Options::default() })
}

/// LDAPS, then StartTLS, with further lines.
fn both(slapd: &Slapd, lines: &str) -> [Settings; 2] {
    let over = |url: String, tls: &str| {
        Settings::local().rest(&format!(
            "[[tenant.repository]]\nid = \"corp\"\nurls = [{url:?}]\nmapping = \"openldap\"\n\
             base = \"ou=people,{SUFFIX}\"\n{tls}{FRESH}{lines}"
        ))
    };
    [over(slapd.ldaps_url(), ""), over(slapd.url(), "tls = \"starttls\"\n")]
}

fn bind() -> String {
    format!("bind_dn = {READER:?}\nbind_password = {PASSWORD:?}\n")
}

fn ca(path: &Path) -> String {
    format!("ca = \"{}\"\n", path.display())
}

/// Somebody is found, or it is an outage of which the check tells with these words.
fn judged(settings: &Settings, words: Option<&str>) {
    let bridge = TestBridge::start(settings);
    let uid = company::person(2).uid;
    let filter = format!("userName eq \"{uid}\"");
    let query = [("searchRepositories", "true"), ("filter", filter.as_str())];
    let answer = bridge.client().query("/Users", &query);
    let folder = settings.write();
    let checked = run(&folder, &["check", "--config", "scimbridge.toml"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    let Some(words) = words else {
        let list = answer.expect(200);
        assert_eq!((&list["totalResults"], &list[REPORT][0]["state"]), (&1.into(), &"ok".into()));
        assert!(checked.status.success(), "{said}");
        assert!(said.contains("TLS 1.3"), "{said}");
        return;
    };
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(!checked.status.success() && said.contains(words), "{words}: {said}");
}

#[test]
fn a_directory_is_trusted_under_its_root_and_under_no_other() {
    let slapd = secure("");
    let folder = guard::directory("certificates");
    root(&folder, "other");
    for settings in both(&slapd, &(bind() + &ca(&slapd.ca()))) {
        judged(&settings, None);
    }
    for lines in [ca(&folder.join("other.pem")), String::new()] {
        for settings in both(&slapd, &(bind() + &lines)) {
            judged(&settings, Some("certificate"));
        }
    }
}

/// SASL EXTERNAL (RFC 4513, section 5.2.3), with a certificate that the directory knows and with one
/// that it does not.
#[test]
fn the_bridge_can_be_known_by_its_certificate() {
    let map = "TLSVerifyClient demand\n\
               authz-regexp \"cn=client\" \"cn=reader,ou=services,dc=example,dc=org\"\n";
    let slapd = secure(map);
    let own = slapd.ca().parent().unwrap().to_owned();
    issue(&own, "ca", "client");
    let stranger = guard::directory("certificates");
    root(&stranger, "ca");
    issue(&stranger, "ca", "client");
    for (folder, words) in [(&own, None), (&stranger, Some(""))] {
        let certificate = format!(
            "client_certificate = {{ certificate = \"{0}/client.pem\", key = \"{0}/client.key\" }}\n",
            folder.display()
        );
        for settings in both(&slapd, &format!("{}{certificate}", ca(&slapd.ca()))) {
            judged(&settings, words);
        }
    }
    // Without one nobody is let in.
    for settings in both(&slapd, &(bind() + &ca(&slapd.ca()))) {
        judged(&settings, Some(""));
    }
}

/// What stands between may refuse StartTLS, say yes and go on in plain text, or answer nothing: the
/// password does not leave.
#[test]
fn who_strips_tls_hears_nothing() {
    let slapd = secure("");
    let address = format!("127.0.0.1:{}", slapd.port());
    let ways: [(Answers, bool); 5] = [
        // protocolError, as where there is no StartTLS (RFC 4511, section 4.14.2).
        (|reply| reply.result(24, 2, "unsupported").map(|()| Verdict::Done), false),
        (|reply| reply.result(24, 52, "unavailable").map(|()| Verdict::Done), false),
        (|reply| reply.result(24, 0, "").map(|()| Verdict::Done), false),
        (|_| Ok(Verdict::Done), false),
        // Plain text on the port of LDAPS.
        (|_| Ok(Verdict::Done), true),
    ];
    for (place, (answers, ldaps)) in ways.into_iter().enumerate() {
        let heard = Arc::new(AtomicBool::new(false));
        let passed = Arc::clone(&heard);
        let middle = Hostile::in_front_of(&address, move |request: &Request, reply| match &request
            .operation
        {
            Operation::Extended(name) if name == STARTTLS => answers(reply),
            _ => {
                passed.store(true, Ordering::SeqCst);
                Ok(Verdict::Pass)
            }
        });
        let url = if ldaps { middle.url().replace("ldap:", "ldaps:") } else { middle.url() };
        let more = if ldaps { "" } else { "tls = \"starttls\"\n" };
        let lines = format!("{FRESH}{more}{}", ca(&slapd.ca()));
        judged(&Settings::local().repository("corp", &url).with(&lines), Some("TLS"));
        assert!(!heard.load(Ordering::SeqCst), "{place}: something was said in plain text");
    }
}
