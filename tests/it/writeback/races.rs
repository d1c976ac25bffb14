//! Somebody else changes the entry at the same moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{details, intents, path, set, settings, uid};
use crate::support::bridge::TestBridge;
use crate::support::hostile::{Hostile, Operation, Verdict};
use crate::support::slapd::Slapd;

/// A directory that is changed by others before each of the first `times` modifications arrives.
fn raced(slapd: &Arc<Slapd>, number: usize, times: usize) -> Hostile {
    let (behind, made) = (Arc::clone(slapd), AtomicUsize::new(0));
    let address = slapd.url().trim_start_matches("ldap://").to_owned();
    Hostile::in_front_of(&address, move |request, _| {
        if matches!(request.operation, Operation::Other(6)) {
            let round = made.fetch_add(1, Ordering::SeqCst);
            if round < times {
                write(&behind, number, &format!("Theirs {round}"));
            }
        }
        Ok(Verdict::Pass)
    })
}

/// What somebody else does to a title.
pub fn write(slapd: &Slapd, number: usize, title: &str) {
    let text = slapd.search(&["-b", super::SUFFIX, &format!("(uid={})", uid(number)), "1.1"]);
    let dn = text.lines().find(|line| line.starts_with("dn:")).unwrap();
    slapd.modify(&format!("{dn}\nchangetype: modify\nreplace: title\ntitle: {title}\n"));
}

#[test]
fn a_change_between_reading_and_writing_is_read_again() {
    let slapd = Arc::new(super::directory());
    let relay = raced(&slapd, 1, 2);
    let bridge = TestBridge::start(&settings(&relay.url()));
    let mut client = bridge.client();
    let user = client.patch(&path(1), &set("title", "Ours")).expect(200);
    assert_eq!(user["title"], "Ours");
    assert_eq!(slapd.values(&uid(1), "title"), ["Ours"]);
    assert_eq!(details(&bridge), ["user.bind written to corp: title"]);
    assert_eq!(intents(&bridge), 0);
}

#[test]
fn with_if_match_it_is_refused() {
    let slapd = Arc::new(super::directory());
    let relay = raced(&slapd, 2, 1);
    let bridge = TestBridge::start(&settings(&relay.url()));
    let mut client = bridge.client();
    let version = client.get(&path(2)).header("etag").unwrap().to_owned();
    let body = set("title", "Ours").to_string();
    let headers = [("If-Match", version.as_str())];
    let answer = client.send("PATCH", &path(2), &headers, body.as_bytes());
    assert_eq!(answer.status, 412, "{}", answer.text());
    assert_eq!(slapd.values(&uid(2), "title"), ["Theirs 0"]);
    // Of a bound one the row's version counts, and a newer row is no match.
    client.patch(&path(2), &set("title", "One")).expect(200);
    let version = client.get(&path(2)).header("etag").unwrap().to_owned();
    client.patch(&path(2), &set("title", "Two")).expect(200);
    let headers = [("If-Match", version.as_str())];
    assert_eq!(client.send("PATCH", &path(2), &headers, body.as_bytes()).status, 412);
    assert_eq!(slapd.values(&uid(2), "title"), ["Two"]);
    assert_eq!(intents(&bridge), 0);
}

#[test]
fn of_many_writers_each_is_heard() {
    let slapd = super::directory();
    let bridge = TestBridge::start(&settings(&slapd.url()));
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let mut client = bridge.client();
            scope.spawn(move || {
                client.patch(&path(3), &set("title", format!("t{writer}"))).expect(200);
            });
        }
    });
    let titles = slapd.values(&uid(3), "title");
    let shown = bridge.client().get(&path(3)).expect(200)["title"].clone();
    assert_eq!((titles.len(), shown.as_str()), (1, Some(titles[0].as_str())));
    assert_eq!((details(&bridge).len(), intents(&bridge)), (8, 0));
}
