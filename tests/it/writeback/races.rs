//! Somebody else changes the entry at the same moment.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

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

/// The assertion control (RFC 4528).
const ASSERTION: &str = "1.3.6.1.1.12";

/// What somebody else does to a title.
pub fn write(slapd: &Slapd, number: usize, title: &str) {
    change(slapd, number, &format!("replace: title\ntitle: {title}\n"));
}

fn change(slapd: &Slapd, number: usize, what: &str) {
    let text = slapd.search(&["-b", super::SUFFIX, &format!("(uid={})", uid(number)), "1.1"]);
    let dn = text.lines().find(|line| line.starts_with("dn:")).unwrap();
    slapd.modify(&format!("{dn}\nchangetype: modify\n{what}"));
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

/// The values that go have to be there anyhow; that nothing is there only the control can say.
#[test]
fn a_value_that_others_set_where_none_was_is_no_second_one() {
    let slapd = Arc::new(super::directory());
    change(&slapd, 4, "replace: title\n");
    let relay = raced(&slapd, 4, 1);
    let bridge = TestBridge::start(&settings(&relay.url()));
    let user = bridge.client().patch(&path(4), &set("title", "Ours")).expect(200);
    assert_eq!(user["title"], "Ours");
    assert_eq!(slapd.values(&uid(4), "title"), ["Ours"]);
    assert_eq!(intents(&bridge), 0);
}

/// The control goes with every modification; a server that names it and refuses it is asked without.
#[test]
fn what_the_entry_is_taken_to_hold_is_said_to_the_server() {
    for knows in [true, false] {
        let slapd = super::directory();
        let address = slapd.url().trim_start_matches("ldap://").to_owned();
        let controls = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&controls);
        let relay = Hostile::in_front_of(&address, move |request, reply| {
            if !matches!(request.operation, Operation::Other(6)) {
                return Ok(Verdict::Pass);
            }
            let sent = request.controls.iter().find(|(name, _)| name == ASSERTION);
            heard.lock().unwrap().push(sent.map(|(_, filter)| filter.clone()));
            if knows || sent.is_none() {
                return Ok(Verdict::Pass);
            }
            reply.result(7, 12, "not on this entry")?;
            Ok(Verdict::Done)
        });
        let bridge = TestBridge::start(&settings(&relay.url()));
        let before = slapd.values(&uid(5), "title").concat();
        let user = bridge.client().patch(&path(5), &set("title", "Ours")).expect(200);
        assert_eq!(user["title"], "Ours");
        assert_eq!(slapd.values(&uid(5), "title"), ["Ours"]);
        let controls = controls.lock().unwrap();
        let asserted = String::from_utf8_lossy(controls[0].as_deref().unwrap());
        for part in ["entryUUID", "title", &before] {
            assert!(asserted.contains(part), "{asserted:?}");
        }
        assert_eq!(controls.len(), if knows { 1 } else { 2 });
        assert!(controls.get(1).is_none_or(Option::is_none));
        assert_eq!(intents(&bridge), 0);
    }
}
