//! Referrals between real servers, and from hostile ones.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::super::{Directory, Paging, RawFound, SearchRequest, Settings};
use super::hostile::{Hostile, element, message, result};
use super::slapd::{Port, SCIM, Slapd, bound};
use super::{people, settings, within};
use crate::clock::Clock;
use crate::config::ReferralHost;
use crate::repository::{RepositoryError, Severity};

const PEOPLE: &str = "ou=people,dc=example,dc=org";

/// A server with so many people whose names begin with `letter`.
fn server(letter: char, count: usize, global: &str) -> Slapd {
    Slapd::prepared(count, global, |folder| {
        let file = folder.join("data.ldif");
        let text = fs::read_to_string(&file).unwrap().replace("u0", &format!("{letter}0"));
        fs::write(&file, text).unwrap();
    })
}

/// Puts a referral to `url` among the people of `slapd`, as `ou=<name>`.
fn refer(slapd: &mut Slapd, name: &str, url: &str) {
    slapd.kill();
    let text = format!(
        "dn: ou={name},{PEOPLE}\nobjectClass: referral\nobjectClass: extensibleObject\nou: {name}\n\
         ref: {url}\n"
    );
    fs::write(slapd.folder().join("more.ldif"), text).unwrap();
    let added = Command::new("/usr/sbin/slapadd")
        .args(["-q", "-f", "slapd.conf", "-l", "more.ldif"])
        .current_dir(slapd.folder())
        .output()
        .unwrap();
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    slapd.run();
}

fn following(url: &str, hosts: &[&str]) -> Directory {
    let follow_referrals = hosts.iter().map(|host| ReferralHost::parse(host).unwrap()).collect();
    let settings = Settings { follow_referrals, ..bound(settings(&[url.to_owned()]), SCIM) };
    Directory::new("corp", settings).unwrap()
}

fn names(found: &RawFound) -> Vec<String> {
    let name = |dn: &str| dn.trim_start_matches("uid=").chars().take(5).collect::<String>();
    let mut names: Vec<String> = found.entries.iter().map(|entry| name(&entry.dn)).collect();
    names.sort();
    names
}

/// How many people of each letter are found, each once, and whether that was all.
async fn letters(directory: &Directory, request: &SearchRequest) -> (String, bool) {
    let found = directory.search(request, within(10_000)).await.unwrap();
    let names = names(&found);
    let distinct: BTreeSet<&String> = names.iter().collect();
    assert_eq!(distinct.len(), names.len(), "{names:?}");
    (names.iter().map(|name| &name[..1]).collect(), found.complete)
}

fn all(paging: Paging) -> SearchRequest {
    people("(uid=*)", 1000, paging)
}

const PAGINGS: [Paging; 3] = [Paging::Never, Paging::Overflow, Paging::Always];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_behind_a_referral_are_found_where_its_host_is_in_the_list() {
    let far = server('v', 3, "");
    let mut near = server('u', 2, "");
    refer(&mut near, "far", &format!("{}/{PEOPLE}", far.url()));
    let port = far.url().rsplit_once(':').unwrap().1.to_owned();
    for hosts in [&["127.0.0.1"][..], &[&format!("127.0.0.1:{port}")], &["other", "127.0.0.1"]] {
        let directory = following(&near.url(), hosts);
        for paging in PAGINGS {
            assert_eq!(letters(&directory, &all(paging)).await, ("uuvvv".to_owned(), true));
            let one = people("(uid=v0002)", 1, paging);
            assert_eq!(letters(&directory, &one).await, ("v".to_owned(), true));
            let nobody = people("(uid=w0002)", 1, paging);
            assert_eq!(letters(&directory, &nobody).await, (String::new(), true));
            let few = SearchRequest { size_limit: 4, ..all(paging) };
            assert_eq!(letters(&directory, &few).await, ("uuvv".to_owned(), false));
        }
        let (sender, mut pages) = mpsc::channel(64);
        assert!(directory.stream(&all(Paging::Always), &sender, within(5000)).await.unwrap());
        let mut streamed = 0;
        while let Ok(page) = pages.try_recv() {
            streamed += page.len();
        }
        assert_eq!(streamed, 5);
    }
    for hosts in [&[][..], &["localhost"], &["127.0.0.1:1"]] {
        let directory = following(&near.url(), hosts);
        for paging in PAGINGS {
            assert_eq!(letters(&directory, &all(paging)).await, ("uu".to_owned(), true));
        }
        let here = directory.search_here(&all(Paging::Never), within(5000)).await.unwrap();
        assert!(here.refers());
        let findings = directory.diagnose_referrals(&here, &Clock::system()).await;
        assert_eq!((findings.len(), findings[0].severity), (1, Severity::Warning), "{findings:?}");
        assert!(findings[0].text.contains(&far.url()), "{findings:?}");
    }
    let directory = following(&near.url(), &["127.0.0.1"]);
    let here = directory.search_here(&all(Paging::Never), within(5000)).await.unwrap();
    let findings = directory.diagnose_referrals(&here, &Clock::system()).await;
    assert!(findings.iter().all(|one| one.severity == Severity::Well), "{findings:?}");
    assert!(findings.iter().any(|one| one.subject == "bind"), "{findings:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_of_which_all_is_elsewhere_is_asked_there() {
    let mut far = server('v', 3, "");
    let mut near = server('u', 2, &format!("referral {}", far.url()));
    refer(&mut near, "far", &format!("{}/{PEOPLE}", far.url()));
    let directory = following(&near.url(), &["127.0.0.1"]);
    let unfollowing = following(&near.url(), &["localhost"]);
    let moved = |paging| SearchRequest { base: format!("ou=far,{PEOPLE}"), ..all(paging) };
    let nowhere = |paging| SearchRequest { base: "dc=nowhere".to_owned(), ..all(paging) };
    for paging in PAGINGS {
        assert_eq!(letters(&directory, &moved(paging)).await, ("vvv".to_owned(), true));
        let error = unfollowing.search(&moved(paging), within(5000)).await.unwrap_err();
        assert!(error.to_string().contains("(referral)"), "{error}");
        // The server to which everything unknown is referred does not know it either, which is told
        // without what was looked for.
        let error = directory.search(&nowhere(paging), within(5000)).await.unwrap_err();
        assert!(error.to_string().contains(&format!("{}: base", far.url())), "{error}");
        assert_eq!(directory.healthy(), Some(true));
    }
    let refused = format!("{} refuses a search with result code 32", far.url());
    assert_eq!(told(&directory), [refused]);
    far.kill();
    for paging in PAGINGS {
        let error = directory.search(&moved(paging), within(5000)).await.unwrap_err();
        assert!(matches!(error, RepositoryError::Unavailable(_)), "{error}");
        assert_eq!(directory.healthy(), Some(false));
        assert_eq!(letters(&directory, &people("(uid=u0001)", 1, paging)).await.0, "u");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_refer_to_each_other_are_asked_once() {
    let mut one = server('u', 2, "");
    let mut other = server('v', 3, "");
    refer(&mut one, "far", &format!("{}/{PEOPLE}", other.url()));
    refer(&mut other, "back", &format!("{}/{PEOPLE}", one.url()));
    let directory = following(&one.url(), &["127.0.0.1", "localhost"]);
    for paging in PAGINGS {
        assert_eq!(letters(&directory, &all(paging)).await, ("uuvvv".to_owned(), true));
    }
    // By another name of the same server people come a second time, and are shown once.
    let alias = one.url().replace("127.0.0.1", "localhost");
    refer(&mut other, "alias", &format!("{alias}/{PEOPLE}"));
    for paging in PAGINGS {
        assert_eq!(letters(&directory, &all(paging)).await, ("uuvvv".to_owned(), true));
    }
    let (sender, mut pages) = mpsc::channel(64);
    assert!(directory.stream(&all(Paging::Always), &sender, within(5000)).await.unwrap());
    let mut streamed = 0;
    while let Ok(page) = pages.try_recv() {
        streamed += page.len();
    }
    assert_eq!(streamed, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fourth_server_in_a_row_is_not_asked_and_not_taken_for_empty() {
    let mut last = server('y', 1, "");
    let mut kept = Vec::new();
    for letter in ['x', 'w', 'v', 'u'] {
        let mut next = server(letter, 1, "");
        refer(&mut next, "far", &format!("{}/{PEOPLE}", last.url()));
        kept.push(std::mem::replace(&mut last, next));
    }
    let directory = following(&last.url(), &["127.0.0.1"]);
    for paging in PAGINGS {
        assert_eq!(letters(&directory, &all(paging)).await, ("uvwx".to_owned(), false));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_behind_a_referral_that_fails_makes_the_answer_incomplete() {
    let mut far = server('v', 3, "");
    let mut near = server('u', 2, "");
    refer(&mut near, "far", &format!("{}/{PEOPLE}", far.url()));
    let directory = following(&near.url(), &["127.0.0.1"]);
    let absent = people("(uid=v0009)", 1, Paging::Never);
    assert_eq!(letters(&directory, &absent).await, (String::new(), true));
    far.freeze();
    let begun = Instant::now();
    let found = directory.search(&absent, within(1500)).await.unwrap();
    assert!(!found.complete, "an outage is no absence");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    far.thaw();
    far.kill();
    for paging in PAGINGS {
        assert_eq!(letters(&directory, &all(paging)).await, ("uu".to_owned(), false));
        assert_eq!(directory.healthy(), Some(true), "the first server is well");
    }
    assert_eq!(told(&directory), [format!("{} does not answer", far.url())]);
    far.run();
    let end = within(10_000);
    while letters(&directory, &all(Paging::Never)).await != ("uuvvv".to_owned(), true) {
        assert!(Instant::now() < end, "the server that is back is not asked again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(told(&directory).is_empty(), "the next outage is told again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_url_of_a_reference_is_enough() {
    let far = server('v', 3, "");
    let gone = Port::reserve();
    let urls = ["ldap://evil.example/".to_owned(), gone.url(), format!("{}/{PEOPLE}", far.url())];
    let directory = following(&referring(vec![urls.to_vec()]).url(), &["127.0.0.1"]);
    assert_eq!(letters(&directory, &all(Paging::Never)).await, ("vvv".to_owned(), true));
}

fn told(directory: &Directory) -> Vec<String> {
    directory.0.follower.as_ref().unwrap().texts()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_of_a_url_narrows_and_never_widens() {
    let far = server('v', 3, "");
    let part = |number: usize| vec![format!("{}/{PEOPLE}??sub?(uid=v000{number})", far.url())];
    let near = referring(vec![part(1), part(2), part(1)]);
    let directory = following(&near.url(), &["127.0.0.1"]);
    for paging in [Paging::Never, Paging::Overflow] {
        assert_eq!(letters(&directory, &all(paging)).await, ("vv".to_owned(), true));
        let one = |number| people(&format!("(uid=v000{number})"), 5, paging);
        let found = directory.search(&one(2), within(5000)).await.unwrap();
        assert_eq!(names(&found), ["v0002"]);
        assert_eq!(letters(&directory, &one(3)).await, (String::new(), true));
    }
    // In a circle too, and it is a circle all the same.
    let back = Arc::new(Mutex::new(String::new()));
    let url = Arc::clone(&back);
    let far = Hostile::start(move |stream, id, tag| {
        let mut bytes = Vec::new();
        if tag == 0x63 {
            let url = element(0x04, &[url.lock().unwrap().as_bytes()]);
            bytes.extend(named(id, "uid=v0001", b"x"));
            bytes.extend(message(id, &element(0x73, &[&url])));
        }
        bytes.extend(message(id, &result(if tag == 0x63 { 0x65 } else { 0x61 }, 0)));
        stream.write_all(&bytes).is_ok()
    });
    let near = referring(vec![vec![format!("{}/{PEOPLE}??sub?(cn=*)", far.url())]]);
    *back.lock().unwrap() = format!("{}/{PEOPLE}??sub?(uid=*)", near.url());
    let directory = following(&near.url(), &["127.0.0.1"]);
    assert_eq!(letters(&directory, &all(Paging::Never)).await, ("v".to_owned(), true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_show_the_base_does_not_say_that_nobody_is_there() {
    let empty = referring(Vec::new());
    let near = referring(vec![vec![format!("{}/{PEOPLE}", empty.url())]]);
    let directory = following(&near.url(), &["127.0.0.1"]);
    for paging in [Paging::Never, Paging::Overflow] {
        assert_eq!(letters(&directory, &all(paging)).await, (String::new(), false));
    }
    let text = format!("{} shows nobody, and the base of the search neither", empty.url());
    assert_eq!(told(&directory), [text]);
    // One that shows it is asked for it once in a while.
    let searches = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&searches);
    let bare = Hostile::start(move |stream, id, tag| {
        let mut bytes = Vec::new();
        if tag == 0x63 && count.fetch_add(1, Ordering::SeqCst) == 1 {
            bytes = named(id, PEOPLE, b"x");
        }
        bytes.extend(message(id, &result(if tag == 0x63 { 0x65 } else { 0x61 }, 0)));
        stream.write_all(&bytes).is_ok()
    });
    let near = referring(vec![vec![format!("{}/{PEOPLE}", bare.url())]]);
    let directory = following(&near.url(), &["127.0.0.1"]);
    for asked in [2, 3, 4] {
        assert_eq!(letters(&directory, &all(Paging::Never)).await, (String::new(), true));
        assert_eq!(searches.load(Ordering::SeqCst), asked);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_person_is_asked_where_it_is_and_fails_with_nobody_else() {
    let far = server('v', 3, "");
    let gone = Port::reserve();
    let mut near = server('u', 2, "");
    refer(&mut near, "far", &format!("{}/{PEOPLE}", far.url()));
    refer(&mut near, "gone", &format!("{}/{PEOPLE}", gone.url()));
    let directory = following(&near.url(), &["127.0.0.1"]);
    for paging in PAGINGS {
        assert_eq!(letters(&directory, &all(paging)).await, ("uuvvv".to_owned(), false));
        let here = directory.search_place(&all(paging), within(5000)).await.unwrap();
        assert_eq!((names(&here).len(), here.complete), (2, true));
        assert!(directory.leads_on(&here));
        let moved = SearchRequest { base: format!("ou=far,{PEOPLE}"), ..all(paging) };
        let there = directory.search_place(&moved, within(5000)).await.unwrap();
        assert_eq!((names(&there).len(), there.complete), (3, true));
    }
    let strange = following(&near.url(), &["localhost"]);
    let here = strange.search_here(&all(Paging::Never), within(5000)).await.unwrap();
    assert!(here.refers() && !strange.leads_on(&here));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_that_is_full_leads_no_further() {
    // Every search finds another one, of seven megabytes.
    let searches = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&searches);
    let far = Hostile::start(move |stream, id, tag| {
        let mut bytes = Vec::new();
        if tag == 0x63 {
            let number = count.fetch_add(1, Ordering::SeqCst);
            bytes = named(id, &format!("uid=v{number:04}"), &vec![b'x'; 7 << 20]);
        }
        bytes.extend(message(id, &result(if tag == 0x63 { 0x65 } else { 0x61 }, 0)));
        stream.write_all(&bytes).is_ok()
    });
    let places = (0..20).map(|number| vec![format!("{}/dc=p{number}", far.url())]);
    let near = referring(places.collect());
    let directory = following(&near.url(), &["127.0.0.1"]);
    let few = SearchRequest { size_limit: 2, ..all(Paging::Never) };
    assert_eq!(letters(&directory, &few).await, ("vv".to_owned(), false));
    assert!(searches.load(Ordering::SeqCst) < 10, "{searches:?}");
    let (found, complete) = letters(&directory, &all(Paging::Never)).await;
    assert_eq!((found.len(), complete), (9, false), "as much as 64 megabytes hold");
    // Who was cut at home is not made whole elsewhere.
    let trap = referring(Vec::new());
    let mut near = server('u', 3, "");
    refer(&mut near, "far", &format!("{}/{PEOPLE}", trap.url()));
    let directory = following(&near.url(), &["127.0.0.1"]);
    for paging in PAGINGS {
        let few = SearchRequest { size_limit: 2, ..all(paging) };
        assert_eq!(letters(&directory, &few).await, ("uu".to_owned(), false));
    }
    assert_eq!(trap.accepted.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn references_cost_nothing_where_none_is_followed() {
    for (body, whole) in [
        (vec![0x04, 1, 0xFF], true),
        (vec![0x30, 0], true),
        (element(0x04, &[&vec![b'x'; 7 << 20]]), false),
    ] {
        let near = Hostile::start(move |stream, id, tag| {
            if tag == 0x63 {
                let reference = message(id, &element(0x73, &[&body]));
                let _ = stream.write_all(&named(id, "uid=u0001", b"x"));
                let _ = (0..10).try_for_each(|_| stream.write_all(&reference));
            }
            let done = result(if tag == 0x63 { 0x65 } else { 0x61 }, 0);
            stream.write_all(&message(id, &done)).is_ok()
        });
        let plain = following(&near.url(), &[]);
        assert_eq!(letters(&plain, &all(Paging::Never)).await, ("u".to_owned(), true));
        let directory = following(&near.url(), &["127.0.0.1"]);
        assert_eq!(letters(&directory, &all(Paging::Never)).await, ("u".to_owned(), whole));
    }
}

/// An entry that is called so.
fn named(id: u32, dn: &str, value: &[u8]) -> Vec<u8> {
    let values = element(0x31, &[&element(0x04, &[value])]);
    let attribute = element(0x30, &[&element(0x04, &[b"cn"]), &values]);
    let attributes = element(0x30, &[&attribute]);
    message(id, &element(0x64, &[&element(0x04, &[dn.as_bytes()]), &attributes]))
}

/// A server on which nobody is, and which refers elsewhere.
fn referring(references: Vec<Vec<String>>) -> Hostile {
    Hostile::start(move |stream, id, tag| {
        let mut bytes = Vec::new();
        if tag == 0x63 {
            for urls in &references {
                let urls: Vec<u8> =
                    urls.iter().flat_map(|url| element(0x04, &[url.as_bytes()])).collect();
                bytes.extend(message(id, &element(0x73, &[&urls])));
            }
        }
        bytes.extend(message(id, &result(if tag == 0x63 { 0x65 } else { 0x61 }, 0)));
        stream.write_all(&bytes).is_ok()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn urls_that_make_no_sense_lead_nowhere() {
    let trap = referring(Vec::new());
    let port = trap.port;
    let garbage = [
        String::new(),
        "ldap://".to_owned(),
        "ldap:///dc=x".to_owned(),
        "ldapi://%2ftmp%2fx".to_owned(),
        format!("http://127.0.0.1:{port}/"),
        format!("ldap://evil.example@127.0.0.1:{port}/"),
        format!("ldap://127.0.0.1:{port}#/dc=x"),
        format!("ldap://127.0.0.1.evil.example:{port}/"),
        format!("ldap://127.0.0.1{}:{port}/", "x".repeat(100_000)),
    ];
    let references = garbage.iter().map(|url| vec![url.clone()]).chain([Vec::new()]);
    let hostile = referring(references.collect());
    let directory = following(&hostile.url(), &["127.0.0.1"]);
    for paging in [Paging::Never, Paging::Overflow] {
        assert_eq!(letters(&directory, &all(paging)).await, (String::new(), true));
    }
    assert_eq!(trap.accepted.load(Ordering::SeqCst), 0);
    let here = directory.search_here(&all(Paging::Never), within(5000)).await.unwrap();
    assert!(here.refers() && !directory.leads_on(&here));
    let findings = directory.diagnose_referrals(&here, &Clock::system()).await;
    assert!(findings.iter().any(|one| one.text.contains("no LDAP URL")), "{findings:?}");
    // Where the host is in the list, people may be there all the same.
    for url in [
        format!("ldap://127.0.0.1:{port}/dc=x??sub?(uid="),
        format!("ldap://127.0.0.1:{port}/%ff%fe"),
        format!("ldap://127.0.0.1:{port}/????!critical"),
        format!("ldap://127.0.0.1:{port}/{}", "x".repeat(100_000)),
        "ldap://far.example/".to_owned(),
    ] {
        let urls = vec![url.clone(), "ldap://evil.example/".to_owned()];
        let hostile = referring(vec![urls]);
        let directory = following(&hostile.url(), &["127.0.0.1", "far.example"]);
        assert_eq!(letters(&directory, &all(Paging::Never)).await, (String::new(), false), "{url}");
        let here = directory.search_here(&all(Paging::Never), within(5000)).await.unwrap();
        assert!(directory.leads_on(&here), "{url}");
    }
    assert_eq!(trap.accepted.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refers_to_very_many_places_is_not_followed_to_all() {
    let trap = referring(Vec::new());
    let places = (0..500).map(|number| vec![format!("{}/dc=p{number}", trap.url())]);
    let hostile = referring(places.collect());
    let directory = following(&hostile.url(), &["127.0.0.1"]);
    assert_eq!(letters(&directory, &all(Paging::Never)).await, (String::new(), false));
    assert_eq!(trap.accepted.load(Ordering::SeqCst), 1, "connections are shared");
    let ports = (1..=500).map(|port| vec![format!("ldap://127.0.0.1:{port}/")]);
    let hostile = referring(ports.collect());
    let directory = following(&hostile.url(), &["127.0.0.1"]);
    let begun = Instant::now();
    assert_eq!(letters(&directory, &all(Paging::Never)).await, (String::new(), false));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_behind_referrals_are_closed_when_nobody_is_led_there() {
    let far = server('v', 1, "");
    let hostile = referring(vec![vec![format!("{}/{PEOPLE}", far.url())]]);
    let follow_referrals = vec![ReferralHost::parse("127.0.0.1").unwrap()];
    let settings = bound(settings(&[hostile.url()]), SCIM);
    let settings = Settings { follow_referrals, idle: Duration::from_millis(300), ..settings };
    let directory = Directory::new("corp", settings).unwrap();
    for _ in 0..2 {
        assert_eq!(letters(&directory, &all(Paging::Never)).await, ("v".to_owned(), true));
        let follower = directory.0.follower.as_ref().unwrap();
        assert_eq!(follower.servers(), 1);
        let end = within(5000);
        while follower.servers() > 0 {
            assert!(Instant::now() < end, "the server is kept");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[test]
fn nobody_is_led_from_tls_to_plain_text() {
    let judged = |url: &str, starttls: bool, insecure: bool, referral: &str| {
        let follow_referrals = ["far.example", "127.0.0.1"];
        let follow_referrals =
            follow_referrals.iter().map(|host| ReferralHost::parse(host).unwrap()).collect();
        let urls: Vec<String> = url.split(' ').map(str::to_owned).collect();
        let settings = Settings { starttls, insecure, follow_referrals, ..settings(&urls) };
        let directory = Directory::new("corp", settings).unwrap();
        let follower = directory.0.follower.as_ref().unwrap();
        (follower.judge(referral).is_ok(), follower.starttls())
    };
    let (plain, tls, far) =
        ("ldap://127.0.0.1:389", "ldaps://dc1.example:636", "ldap://far.example");
    assert_eq!(judged(plain, false, false, far), (false, false));
    assert_eq!(judged(plain, false, false, "ldap://127.0.0.1:390"), (true, false));
    assert_eq!(judged(plain, false, false, "ldaps://far.example"), (true, false));
    assert_eq!(judged(plain, false, true, far), (true, false));
    assert_eq!(judged(plain, true, false, far), (true, true));
    assert_eq!(judged(tls, false, false, far), (true, true));
    assert_eq!(judged(&format!("{plain} {tls}"), false, false, far), (true, true));
    assert_eq!(judged(tls, false, false, "ldap://127.0.0.1:390"), (true, true));
}
