//! Servers that do not answer a bind, or answer something else: never a wrong password, and never a
//! password for somebody else.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Place, helpdesk};
use crate::support::bridge::Settings;
use crate::support::company;
use crate::support::hostile::{Hostile, Operation, Reply, Request, Verdict};
use crate::support::slapd::{READER, Slapd};

/// Connection, name and password of each bind in somebody else's name.
type Binds = Arc<Mutex<Vec<(usize, String, Vec<u8>)>>>;

/// The shared directory, with this to say to people who bind.
fn saying(
    answer: impl Fn(&Reply) -> std::io::Result<Verdict> + Send + Sync + 'static,
) -> (Hostile, Binds) {
    let binds = Binds::default();
    let seen = Arc::clone(&binds);
    let address = format!("127.0.0.1:{}", Slapd::shared().port());
    let server = Hostile::in_front_of(&address, move |request: &Request, reply: &Reply| {
        match &request.operation {
            Operation::Bind(name, password) if name != READER => {
                let password = password.clone().unwrap_or_default();
                seen.lock().unwrap().push((request.connection, name.clone(), password));
                answer(reply)
            }
            _ => Ok(Verdict::Pass),
        }
    });
    (server, binds)
}

fn code(code: u8, text: &'static str) -> (Hostile, Binds) {
    saying(move |reply| {
        reply.result(1, code, text)?;
        Ok(Verdict::Done)
    })
}

const TIMEOUTS: &str = "timeouts = { connect = \"2s\", operation = \"2s\" }";

fn over(urls: &[String]) -> Settings {
    let mut settings = Settings::local().tenant(&helpdesk()).repository("corp", &urls[0]);
    settings = settings.with(TIMEOUTS);
    settings
}

/// A repository of several servers.
fn servers(urls: &[String]) -> Place {
    let text =
        over(urls).text().replace(&format!("urls = [{:?}]", urls[0]), &format!("urls = {urls:?}"));
    let place = Place::new(&Settings::local());
    std::fs::write(place.folder().join("scimbridge.toml"), text).unwrap();
    place
}

fn tried(server: &Hostile) -> super::Said {
    let one = company::person(1);
    Place::new(&over(&[server.url()])).sign_in(&one.uid, &one.password())
}

#[test]
fn what_is_no_answer_is_no_wrong_password() {
    let garbage = || {
        saying(|reply| {
            reply.raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")?;
            Ok(Verdict::Done)
        })
    };
    let other = || {
        // Another operation's answer, and half of one.
        saying(|reply| {
            reply.raw(b"\x30\x0c\x02\x01\x01\x64\x07\x04\x05cn=xx\x30")?;
            Ok(Verdict::HangUp)
        })
    };
    for (what, (server, binds)) in [
        ("a frozen server", saying(|_| Ok(Verdict::Done))),
        ("a cut", saying(|_| Ok(Verdict::HangUp))),
        ("garbage", garbage()),
        ("half an answer", other()),
        ("busy", code(51, "try later")),
        ("unavailable", code(52, "")),
        ("operationsError", code(1, "")),
        ("a time limit", code(3, "")),
        ("confidentialityRequired", code(13, "TLS first")),
        ("a bind in progress", code(14, "")),
        ("noSuchObject", code(32, "")),
        ("other", code(80, "")),
        ("nobody's code", code(117, "")),
    ] {
        let started = Instant::now();
        let said = tried(&server);
        said.kept_out("BROKEN", "bind: whether the password is right was not told");
        assert!(!said.text.contains("password is wrong"), "{what}: {said:?}");
        assert!(said.error.is_empty() || !said.error.contains("panicked"), "{what}: {said:?}");
        assert!(started.elapsed() < Duration::from_secs(8), "{what}: {:?}", started.elapsed());
        assert_eq!(binds.lock().unwrap().len(), 1, "{what}: it is sent once");
    }
}

/// By result code (RFC 4511 section 4.1.10), with and without the other server's address.
#[test]
fn a_referral_is_followed_by_no_password() {
    let (elsewhere, binds_elsewhere) = code(0, "");
    let url = elsewhere.url();
    let with_address = move |reply: &Reply| {
        // BindResponse: referral, "", "", [3] { the address }
        let address = format!("{url}/dc=example,dc=org");
        let list = [&[0x04, u8::try_from(address.len()).unwrap()], address.as_bytes()].concat();
        let list = [&[0xA3, u8::try_from(list.len()).unwrap()], &list[..]].concat();
        let body = [&[0x0A, 1, 10, 0x04, 0, 0x04, 0], &list[..]].concat();
        let body = [&[0x61, u8::try_from(body.len()).unwrap()], &body[..]].concat();
        let body = [&[0x02, 1, 1], &body[..]].concat();
        reply.raw(&[&[0x30, u8::try_from(body.len()).unwrap()], &body[..]].concat())?;
        Ok(Verdict::Done)
    };
    for (server, binds) in [code(10, ""), saying(with_address)] {
        let said = tried(&server);
        said.kept_out("BROKEN", "passwords are sent to the configured servers alone");
        assert_eq!(binds.lock().unwrap().len(), 1);
    }
    assert_eq!(binds_elsewhere.lock().unwrap().len(), 0);
}

/// Each on a connection that nothing else was asked on.
#[test]
fn a_bind_has_a_connection_of_its_own() {
    let address = format!("127.0.0.1:{}", Slapd::shared().port());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let server = Hostile::in_front_of(&address, move |request: &Request, _: &Reply| {
        let what = match &request.operation {
            Operation::Bind(name, _) => format!("bind {name}"),
            Operation::Search { .. } => "search".to_owned(),
            Operation::Other(2) => "unbind".to_owned(),
            _ => "other".to_owned(),
        };
        noted.lock().unwrap().push((request.connection, what));
        Ok(Verdict::Pass)
    });
    tried(&server).let_in();
    let seen = seen.lock().unwrap();
    let own = company::person(1).dn("dc=example,dc=org");
    let (connection, _) = seen.iter().find(|(_, what)| *what == format!("bind {own}")).unwrap();
    let there: Vec<&str> =
        seen.iter().filter(|(on, _)| on == connection).map(|(_, what)| what.as_str()).collect();
    assert!(matches!(there.as_slice(), [_] | [_, "unbind"]), "{there:?}");
}

/// Some servers take a bind without a password for one of nobody, and report success.
#[test]
fn a_server_that_lets_everybody_in_is_sent_nothing_empty() {
    let (server, binds) = code(0, "");
    let place = Place::new(&over(&[server.url()]));
    let one = company::person(1);
    for input in [&b""[..], b"\n", b"\0\n", b"\r\n"] {
        let said = place.sign_in_by(&["--sign-in", &one.uid], input);
        assert!(!said.well && said.text.is_empty(), "{said:?}");
    }
    for name in ["", " ", "nobody", "corp."] {
        assert!(!place.sign_in(name, "x").well);
    }
    assert_eq!(*binds.lock().unwrap(), Vec::new());
    // It is the server's word that counts.
    place.sign_in(&one.uid, "anything").let_in();
    assert_eq!(binds.lock().unwrap().len(), 1);
}

/// Entries that are somebody else's, or nobody's, are bound by nobody.
#[test]
fn an_entry_that_was_not_asked_for_is_not_bound() {
    let (one, two) = (company::person(1), company::person(2));
    for (dn, key) in [
        (String::new(), one.entry_uuid.clone()),
        (" ".to_owned(), one.entry_uuid.clone()),
        (two.dn("dc=example,dc=org"), two.entry_uuid.clone()),
        ("no name".to_owned(), one.entry_uuid.clone()),
    ] {
        let binds = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&binds);
        let address = format!("127.0.0.1:{}", Slapd::shared().port());
        let answered = (dn.clone(), key.clone());
        // The look-up by name is the real one; what is looked up by key is not.
        let server = Hostile::in_front_of(&address, move |request: &Request, reply: &Reply| {
            match &request.operation {
                Operation::Bind(name, _) if name != READER => *counted.lock().unwrap() += 1,
                Operation::Search { attributes, base, .. }
                    if base.starts_with("ou=people") && *attributes == ["entryUUID"] =>
                {
                    reply.entry(&answered.0, &[("entryUUID", &[&answered.1])])?;
                    reply.done(0)?;
                    return Ok(Verdict::Done);
                }
                _ => {}
            }
            Ok(Verdict::Pass)
        });
        let said = tried(&server);
        said.kept_out("BROKEN", "bind: whether the password is right was not told: the entry");
        assert_eq!(*binds.lock().unwrap(), 0, "{dn:?}");
    }
}

/// A server that cannot serve leaves it to the next; one that was sent a password and is silent does
/// not: it may have counted it.
#[test]
fn the_next_server_is_asked_where_the_first_looked_at_nothing() {
    let one = company::person(1);
    let good = Slapd::shared().url();
    let (busy, first) = code(51, "");
    servers(&[busy.url(), good.clone()]).sign_in(&one.uid, &one.password()).let_in();
    assert_eq!(first.lock().unwrap().len(), 1);
    servers(&["ldap://127.0.0.1:1".to_owned(), good]).sign_in(&one.uid, &one.password()).let_in();
    for (server, first) in
        [saying(|_| Ok(Verdict::Done)), saying(|_| Ok(Verdict::HangUp)), code(49, "")]
    {
        let (second, asked) = code(0, "");
        let said = servers(&[server.url(), second.url()]).sign_in(&one.uid, &one.password());
        assert!(!said.well, "{said:?}");
        assert_eq!((first.lock().unwrap().len(), asked.lock().unwrap().len()), (1, 0));
    }
}

/// The password was right, and whether its owner is an operator is not known.
#[test]
fn a_group_that_cannot_be_read_is_an_outage() {
    let address = format!("127.0.0.1:{}", Slapd::shared().port());
    let server = Hostile::in_front_of(&address, |request: &Request, reply: &Reply| {
        if let Operation::Search { base, .. } = &request.operation
            && base.starts_with("cn=helpdesk")
        {
            reply.done(51)?;
            return Ok(Verdict::Done);
        }
        Ok(Verdict::Pass)
    });
    let said = tried(&server);
    said.kept_out("BROKEN", "operators: who is in \"cn=helpdesk,");
    said.line("ok", "bind: the directory takes the password");
    let hidden = "operators = \"cn=hidden,ou=groups,dc=example,dc=org\"";
    let place = Place::new(&Settings::over(Slapd::shared()).tenant(hidden));
    let one = company::person(1);
    place.sign_in(&one.uid, &one.password()).kept_out("BROKEN", "operators: who is in");
}
