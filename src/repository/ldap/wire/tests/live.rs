//! Searches, pages, limits and binds against a slapd that is well.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::super::{Directory, Paging, RawEntry, RawFound, Scope, SearchRequest, Settings};
use super::slapd::{Port, READER, SCIM, Slapd, bound};
use super::{people, person, root_dse, together, within};
use crate::clock::Clock;
use crate::repository::{RepositoryError, Severity, Untold};
use crate::secret::{Password, Secret};

fn value(entry: &RawEntry, name: &str) -> Vec<u8> {
    let found = entry.attributes.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
    found.unwrap().1[0].clone()
}

fn distinct(found: &RawFound) -> usize {
    found.entries.iter().map(|entry| &entry.dn).collect::<HashSet<_>>().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_found_as_the_directory_wrote_it() {
    let slapd = Slapd::start(20);
    let directory = Directory::new("corp", slapd.settings(SCIM)).unwrap();
    assert_eq!(directory.healthy(), None);
    let mut request = person(7);
    request.attributes = ["*", "entryUUID"].map(str::to_owned).into();
    let found = directory.search(&request, within(5000)).await.unwrap();
    assert!(found.complete);
    assert_eq!(found.entries.len(), 1);
    let entry = &found.entries[0];
    assert_eq!(entry.dn, "uid=u0007,ou=people,dc=example,dc=org");
    assert_eq!(value(entry, "cn"), "Søren 7".as_bytes());
    assert_eq!(value(entry, "jpegPhoto"), [0xFF, 0xD8, 0xFF, 0xE0, 0x00, 0x10]);
    assert_eq!(value(entry, "entryUUID").len(), 36);
    assert_eq!(directory.healthy(), Some(true));

    let nobody = directory.search(&person(999), within(5000)).await.unwrap();
    assert!(nobody.complete && nobody.entries.is_empty());

    let root = directory.search(&root_dse(), within(5000)).await.unwrap();
    assert_eq!(value(&root.entries[0], "namingContexts"), b"dc=example,dc=org");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_searched_is_an_error_and_not_nobody() {
    let slapd = Slapd::start(3);
    let directory = Directory::new("corp", slapd.settings(SCIM)).unwrap();
    let failing = [
        (SearchRequest { base: "ou=gone,dc=example,dc=org".into(), ..person(1) }, "does not exist"),
        (SearchRequest { base: "not a dn".into(), ..person(1) }, "is no DN"),
        (people("(uid=", 1, Paging::Never), "filter"),
    ];
    for (request, words) in failing {
        for paging in [Paging::Never, Paging::Always] {
            let request = SearchRequest { paging, ..request.clone() };
            let error = directory.search(&request, within(5000)).await.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
    // Anonymous may only authenticate: slapd hides the base.
    let stranger = Directory::new("corp", super::settings(&[slapd.url()])).unwrap();
    assert!(stranger.search(&person(1), within(5000)).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_bring_everybody_past_the_limits_of_the_server() {
    let slapd = Slapd::start(1203);
    let all = "(objectClass=inetOrgPerson)";
    // READER: 500 unpaged, pages of at most 200: 500 and 250 are refused, 125 goes.
    let directory = Directory::new("corp", slapd.settings(READER)).unwrap();
    for paging in [Paging::Overflow, Paging::Always, Paging::Always] {
        let found = directory.search(&people(all, 2000, paging), within(20_000)).await.unwrap();
        assert!(found.complete);
        assert_eq!((found.entries.len(), distinct(&found)), (1203, 1203));
    }
    let unpaged = directory.search(&people(all, 2000, Paging::Never), within(5000)).await.unwrap();
    assert!(!unpaged.complete);
    assert_eq!(unpaged.entries.len(), 1000);

    let directory = Directory::new("corp", slapd.settings(SCIM)).unwrap();
    for (limit, paging, complete) in [
        (1203, Paging::Overflow, true),
        (1203, Paging::Always, true),
        (1203, Paging::Never, true),
        (1202, Paging::Overflow, false),
        (1202, Paging::Always, false),
        (1202, Paging::Never, false),
        (1000, Paging::Always, false),
        (50, Paging::Overflow, false),
        (1, Paging::Always, false),
    ] {
        let found = directory.search(&people(all, limit, paging), within(20_000)).await.unwrap();
        assert_eq!((found.complete, found.entries.len()), (complete, limit), "{limit} {paging:?}");
        assert_eq!(distinct(&found), limit);
    }
}

/// Everybody whom a stream brings, and how it ended; gives up listening after `pages`.
async fn streamed(
    directory: &Directory,
    limit: usize,
    pages: usize,
) -> (Vec<String>, Result<bool, RepositoryError>) {
    let request = people("(objectClass=inetOrgPerson)", limit, Paging::Always);
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let asked = async {
        let sender = sender;
        directory.stream(&request, &sender, within(20_000)).await
    };
    let heard = async {
        let mut names = Vec::new();
        for _ in 0..pages {
            let Some(entries) = receiver.recv().await else { break };
            names.extend(entries.into_iter().map(|entry| entry.dn));
        }
        drop(receiver);
        names
    };
    let (whole, names) = futures_util::future::join(asked, heard).await;
    (names, whole)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_brings_everybody_once_page_by_page() {
    let slapd = Slapd::start(1203);
    for reader in [READER, SCIM] {
        let directory = Directory::new("corp", slapd.settings(reader)).unwrap();
        // Twice: the connection is given back and taken again.
        for _ in 0..2 {
            let (names, whole) = streamed(&directory, 1203, usize::MAX).await;
            assert!(whole.unwrap());
            assert_eq!((names.len(), names.iter().collect::<HashSet<_>>().len()), (1203, 1203));
        }
        let (names, whole) = streamed(&directory, 1202, usize::MAX).await;
        assert_eq!((names.len(), whole.unwrap()), (1203, false), "one more tells of the others");
        let (names, whole) = streamed(&directory, 5000, 1).await;
        assert!(!whole.unwrap(), "nobody listened to the end");
        assert!((100..=500).contains(&names.len()));
        assert_eq!(directory.search(&person(7), within(5000)).await.unwrap().entries.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_share_few_connections() {
    let slapd = Slapd::start(200);
    let directory = Directory::new("corp", slapd.settings(SCIM)).unwrap();
    together(64, &directory, async |directory, caller| {
        for round in 0..10 {
            let number = (caller * 10 + round) % 200 + 1;
            let found = directory.search(&person(number), within(10_000)).await.unwrap();
            assert_eq!(value(&found.entries[0], "uid"), format!("u{number:04}").into_bytes());
        }
    })
    .await;
    let open = connections(&directory).await;
    assert!((1..=2).contains(&open), "{open} connections");
}

/// Connections that slapd has open, as its monitor counts them.
async fn connections(directory: &Directory) -> usize {
    let request = SearchRequest {
        base: "cn=Connections,cn=Monitor".into(),
        filter: "(objectClass=monitorConnection)".into(),
        attributes: vec!["1.1".into()].into(),
        ..people("", 100, Paging::Never)
    };
    directory.search(&request, within(5000)).await.unwrap().entries.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scans_and_look_ups_go_side_by_side() {
    let slapd = Slapd::start(1203);
    let directory = Directory::new("corp", slapd.settings(SCIM)).unwrap();
    let counts = together(12, &directory, async |directory, index| {
        if index % 2 == 0 {
            let all = people("(objectClass=inetOrgPerson)", 2000, Paging::Always);
            directory.search(&all, within(30_000)).await.unwrap().entries.len()
        } else {
            directory.search(&person(index), within(30_000)).await.unwrap().entries.len()
        }
    })
    .await;
    assert_eq!(counts, [1203, 1].repeat(6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abandoned_searches_do_not_go_on() {
    let slapd = Slapd::start(3000);
    let directory = Directory::new("corp", slapd.settings(SCIM)).unwrap();
    let abandons = async || {
        let request = SearchRequest {
            base: "cn=Abandon,cn=Operations,cn=Monitor".into(),
            scope: Scope::Base,
            filter: "(objectClass=*)".into(),
            attributes: vec!["monitorOpInitiated".into()].into(),
            ..people("", 1, Paging::Never)
        };
        let found = directory.search(&request, within(5000)).await.unwrap();
        let count = String::from_utf8(value(&found.entries[0], "monitorOpInitiated")).unwrap();
        count.parse::<usize>().unwrap()
    };
    assert_eq!(abandons().await, 0);
    // No index helps here: each of these looks at everybody, and finds nobody.
    let long = people("(|(cn=*nobody*)(description=*nothing*)(mail=*never*))", 3000, Paging::Never);
    let whole = Instant::now();
    directory.search(&long, within(9000)).await.unwrap();
    let cut = whole.elapsed() / 4;
    let dropped = together(60, &directory, async |directory, _| {
        tokio::time::timeout(cut, directory.search(&long, within(9000))).await.is_err()
    })
    .await;
    let dropped = dropped.into_iter().filter(|dropped| *dropped).count();
    assert!(dropped > 30, "only {dropped} were cut off");
    let started = Instant::now();
    let found = directory.search(&person(1), within(9000)).await.unwrap();
    assert_eq!(found.entries.len(), 1);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    let abandoned = abandons().await;
    assert!(abandoned * 2 >= dropped, "{abandoned} of {dropped}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_are_verified_by_the_directory() {
    let slapd = Slapd::start(3);
    let directory = Directory::new("corp", slapd.settings(SCIM)).unwrap();
    let dn = "uid=u0002,ou=people,dc=example,dc=org";
    let bind = async |dn: &str, password: &str, time| {
        let password = Password::new(Secret::new(password.to_owned())).unwrap();
        directory.bind_as(dn, &password, within(time)).await
    };
    assert_eq!(bind(dn, "pw2", 5000).await.unwrap().code, 0);
    assert_eq!(bind(dn, "pw3", 5000).await.unwrap().code, 49);
    let nobody = "uid=nobody,ou=people,dc=example,dc=org";
    assert_eq!(bind(nobody, "pw3", 5000).await.unwrap().code, 49);
    // slapd would answer these with success: they are anonymous.
    for root in ["", " "] {
        let unsent = bind(root, "pw2", 5000).await;
        assert!(matches!(&unsent, Err(told) if !told.sent), "{unsent:?}");
    }
    // The shared connections are still bound as before.
    assert_eq!(directory.search(&person(1), within(5000)).await.unwrap().entries.len(), 1);

    slapd.freeze();
    let frozen = bind(dn, "pw2", 300).await;
    let Err(Untold { error: RepositoryError::Timeout, sent: true }) = frozen else {
        panic!("{frozen:?}");
    };
    slapd.thaw();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_of_ours_is_an_outage_that_says_so() {
    let slapd = Slapd::start(1);
    let settings =
        Settings { bind_password: Some(Secret::new("hunter2".to_owned())), ..slapd.settings(SCIM) };
    let directory = Directory::new("corp", settings.clone()).unwrap();
    let error = directory.search(&person(1), within(5000)).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, RepositoryError::Unavailable(_)));
    assert!(text.contains("wrong name or password") && text.contains(SCIM), "{text}");
    assert!(
        !text.contains("hunter2") && !format!("{settings:?} {directory:?}").contains("hunter2")
    );
    assert_eq!(directory.healthy(), Some(false));
    let (findings, _) = directory.diagnose(&Clock::system()).await;
    let bind = findings.iter().find(|finding| finding.subject == "bind").unwrap();
    assert_eq!(bind.severity, Severity::Broken);
    assert!(bind.text.contains("wrong name or password"), "{}", bind.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_diagnosis_tells_the_steps_apart() {
    let slapd = Slapd::start(1);
    let directory = Directory::new("corp", slapd.settings(SCIM)).unwrap();
    let (findings, _) = directory.diagnose(&Clock::system()).await;
    assert!(findings.iter().all(|finding| finding.severity == Severity::Well), "{findings:?}");
    let subjects: Vec<_> = findings.iter().map(|finding| finding.subject.as_str()).collect();
    assert_eq!(subjects, ["connect", "bind", "root DSE"]);
    assert!(findings[2].text.contains("dc=example,dc=org"));

    let nobody = Port::reserve();
    let directory = Directory::new("corp", super::settings(&[nobody.url()])).unwrap();
    let (findings, _) = directory.diagnose(&Clock::system()).await;
    assert_eq!((findings.len(), findings[0].subject.as_str()), (1, "connect"));
    assert_eq!(findings[0].severity, Severity::Broken);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let good = || super::settings(&["ldap://127.0.0.1:389".to_owned()]);
    let refused = |settings: Settings| Directory::new("corp", settings).unwrap_err().to_string();
    assert!(refused(Settings { urls: vec![], ..good() }).contains("no server"));
    let empty = Settings { bind_password: Some(Secret::new(String::new())), ..bound(good(), SCIM) };
    assert!(refused(empty).contains("bind_password"));
    assert!(
        refused(Settings { bind_password: None, ..bound(good(), SCIM) }).contains("bind_password")
    );
    assert!(refused(Settings { bind_dn: None, ..bound(good(), SCIM) }).contains("bind_dn"));
    let broken = |ca: &[u8]| Settings { starttls: true, ca: Some(ca.to_vec()), ..good() };
    assert!(refused(broken(b"nothing")).contains("`ca`"));
    let pem = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(refused(broken(pem)).contains("`ca`"));
    let key = Settings {
        client_certificate: Some((pem.to_vec(), b"x".to_vec())),
        starttls: true,
        ..good()
    };
    assert!(refused(key).contains("client certificate"));
}
