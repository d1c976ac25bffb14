//! The ground that the other tests stand on holds: servers start, count, freeze, die and come back.

use std::collections::HashSet;
use std::process::Command;
use std::time::Duration;

use crate::support::hostile::{Hostile, Operation, Verdict};
use crate::support::slapd::{Options, PASSWORD, READER, SHARED_PEOPLE, SUFFIX, Slapd};
use crate::support::{company, eventually};

/// Exit code and output of `ldapsearch` as the reader below the suffix.
fn ldapsearch(url: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new("ldapsearch")
        .args(["-x", "-LLL", "-o", "ldif-wrap=no", "-H", url, "-D", READER, "-w", PASSWORD])
        .args(["-b", SUFFIX])
        .args(arguments)
        .output()
        .expect("ldapsearch runs");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn people_are_told_apart_and_stay_who_they_are() {
    let people: Vec<_> = (1..=20_000).map(company::person).collect();
    let uids: HashSet<_> = people.iter().map(|person| &person.uid).collect();
    assert_eq!(uids.len(), people.len());
    let dns: HashSet<_> = people.iter().map(|person| person.dn(SUFFIX)).collect();
    assert_eq!(dns.len(), people.len());
    let keys: HashSet<_> = people.iter().map(|person| &person.entry_uuid).collect();
    assert_eq!(keys.len(), people.len());
    let mails: Vec<_> = people.iter().flat_map(|person| &person.mails).collect();
    assert_eq!(mails.iter().collect::<HashSet<_>>().len(), mails.len());

    let first = &people[0];
    assert_eq!(
        (first.uid.as_str(), first.sn.as_str(), first.cn.as_str()),
        ("amelie.dubois", "Dubois", "Amélie Dubois")
    );
    assert_eq!(people[41].uid, "u0000042");
    assert_eq!(
        people[2].dn(SUFFIX),
        r"cn=Weiß\, Jürgen (Purchasing),ou=staff,ou=people,dc=example,dc=org"
    );
}

#[test]
fn the_shared_directory_holds_the_company() {
    let slapd = Slapd::shared();
    let text = slapd.search(&["-b", SUFFIX, "(uid=*)", "1.1"]);
    assert_eq!(text.lines().filter(|line| line.starts_with("dn:")).count(), SHARED_PEOPLE);
    let person = company::person(42);
    let text = slapd.search(&["-b", SUFFIX, "(uid=u0000042)", "entryUUID", "employeeNumber"]);
    assert!(text.contains(&format!("entryUUID: {}\n", person.entry_uuid)), "{text}");
    assert!(text.contains(&format!("employeeNumber: {}\n", person.employee_number)), "{text}");
    let text =
        slapd.search(&["-b", SUFFIX, "(memberOf=cn=helpdesk,ou=groups,dc=example,dc=org)", "uid"]);
    assert!(text.contains("uid: amelie.dubois\n"), "{text}");
}

#[test]
fn searches_are_counted_by_slapd() {
    let slapd = Slapd::company(10);
    assert_eq!(slapd.searches(), 0);
    for _ in 0..3 {
        ldapsearch(&slapd.url(), &["(uid=nobody)"]);
    }
    // What the type itself searches does not count.
    slapd.search(&["-b", SUFFIX, "(uid=u0000002)"]);
    assert_eq!(slapd.searches(), 3);
    slapd.kill();
    slapd.restart();
    assert_eq!(slapd.searches(), 0);
}

#[test]
fn a_directory_freezes_dies_and_returns_with_its_data() {
    let slapd = Slapd::company(10);
    slapd.modify(
        "dn: uid=u0000002,ou=staff,ou=people,dc=example,dc=org\nchangetype: modify\n\
         replace: title\ntitle: Astronaut\n",
    );
    let pid = slapd.pid();
    slapd.stop();
    let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    assert!(eventually(Duration::from_secs(5), || state().contains(") T ")), "{}", state());
    slapd.cont();
    assert_eq!(ldapsearch(&slapd.url(), &["(title=Astronaut)"]).0, Some(0));

    slapd.kill();
    assert_eq!(ldapsearch(&slapd.url(), &["(title=Astronaut)"]).0, Some(255));
    slapd.restart();
    assert_ne!(slapd.pid(), pid);
    let (code, text) = ldapsearch(&slapd.url(), &["(title=Astronaut)", "uid"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("uid: u0000002\n"), "{text}");
}

#[test]
fn limits_of_ones_own_win() {
    let slapd = Slapd::start(Options {
        people: 30,
        configuration: format!("limits dn.exact=\"{READER}\" size.soft=5 size.hard=7\n"),
        ..Options::default()
    });
    let (code, text) = ldapsearch(&slapd.url(), &["(uid=*)", "1.1"]);
    assert_eq!((code, text.matches("dn:").count()), (Some(4), 5), "{text}");
}

#[test]
fn tls_is_offered_with_a_root_of_its_own() {
    let slapd = Slapd::start(Options { people: 1, tls: true, ..Options::default() });
    let trusted = Command::new("ldapsearch")
        .args(["-x", "-H", &slapd.ldaps_url(), "-s", "base", "-b", "", "1.1"])
        .env("LDAPTLS_CACERT", slapd.ca())
        .output();
    assert!(trusted.unwrap().status.success());
    let stranger = Command::new("ldapsearch")
        .args(["-x", "-H", &slapd.ldaps_url(), "-s", "base", "-b", "", "1.1"])
        .env("LDAPTLS_CACERT", "/dev/null")
        .env("LDAPTLS_REQCERT", "demand")
        .output();
    assert!(!stranger.unwrap().status.success());
}

#[test]
fn a_made_up_directory_answers_what_the_script_says() {
    let hostile = Hostile::start(|request, reply| match &request.operation {
        Operation::Search { base, .. } if !base.is_empty() => {
            reply.entry("uid=nemo,dc=example,dc=org", &[("uid", &["nemo"]), ("cn", &["Nemo"])])?;
            reply.done(3)?;
            Ok(Verdict::Done)
        }
        _ => Ok(Verdict::Pass),
    });
    let (code, text) = ldapsearch(&hostile.url(), &["(uid=*)"]);
    // 3 is timeLimitExceeded.
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("uid: nemo\n"), "{text}");
    assert_eq!(hostile.searches(), 1);
}

#[test]
fn a_lie_in_front_of_a_real_directory_leaves_the_rest_as_it_is() {
    let slapd = Slapd::shared();
    let address = format!("127.0.0.1:{}", slapd.port());
    let hostile = Hostile::in_front_of(&address, |request, _| match &request.operation {
        Operation::Search { attributes, .. } if attributes.contains(&"title".to_owned()) => {
            Ok(Verdict::HangUp)
        }
        _ => Ok(Verdict::Pass),
    });
    let (code, text) = ldapsearch(&hostile.url(), &["(uid=u0000042)", "uid"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("uid: u0000042\n"), "{text}");
    assert_ne!(ldapsearch(&hostile.url(), &["(uid=u0000042)", "title"]).0, Some(0));
}
