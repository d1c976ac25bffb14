//! The directory or the bridge is lost before, while and after an entry is written.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use serde_json::json;

use super::races::write;
use super::{details, intents, path, set, settings, uid};
use crate::support::bridge::TestBridge;
use crate::support::eventually;
use crate::support::hostile::{Hostile, Operation, Verdict};
use crate::support::slapd::Slapd;

/// What becomes of each modification, by how many there were before.
pub fn lossy(
    slapd: &Slapd,
    script: impl Fn(usize) -> io::Result<Verdict> + Send + Sync + 'static,
) -> Hostile {
    let seen = AtomicUsize::new(0);
    let address = slapd.url().trim_start_matches("ldap://").to_owned();
    Hostile::in_front_of(&address, move |request, _| {
        if matches!(request.operation, Operation::Other(6)) {
            return script(seen.fetch_add(1, Ordering::SeqCst));
        }
        Ok(Verdict::Pass)
    })
}

#[test]
fn while_it_is_down_repeats_are_accepted_and_others_are_not() {
    let slapd = super::directory();
    let bridge = TestBridge::start(&settings(&slapd.url()));
    let mut client = bridge.client();
    client.patch(&path(1), &set("title", "Before")).expect(200);
    slapd.kill();
    let mut user = client.get(&path(1)).expect(200);
    let answer = client.patch(&path(1), &set("title", "After"));
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some() && answer.text().contains("title"));
    user["nickName"] = json!("ours");
    assert_eq!(client.put(&path(1), &user).expect(200)["nickName"], "ours");
    assert_eq!(client.patch(&path(1), &set("title", "Before")).status, 200);
    assert_eq!(intents(&bridge), 0);
}

#[test]
fn a_dead_socket_is_no_refusal() {
    let slapd = super::directory();
    let relay = lossy(&slapd, |times| Ok(if times == 0 { Verdict::HangUp } else { Verdict::Pass }));
    let bridge = TestBridge::start(&settings(&relay.url()));
    bridge.client().patch(&path(1), &set("title", "Second")).expect(200);
    assert_eq!(slapd.values(&uid(1), "title"), ["Second"]);
    assert_eq!(details(&bridge), ["user.bind written to corp: title"]);
}

#[test]
fn an_answer_that_is_lost_is_found_by_reading() {
    for verdict in [Verdict::HangUp, Verdict::Done] {
        let slapd = Arc::new(super::directory());
        let behind = Arc::clone(&slapd);
        let relay = lossy(&slapd, move |_| {
            write(&behind, 2, "Done");
            Ok(verdict)
        });
        let bridge = TestBridge::start(&settings(&relay.url()));
        let mut client = bridge.client();
        assert_eq!(client.patch(&path(2), &set("title", "Done")).expect(200)["title"], "Done");
        assert_eq!(details(&bridge), ["user.bind written to corp: title"], "{verdict:?}");
        assert_eq!(intents(&bridge), 0);
    }
}

#[test]
fn what_was_sent_and_not_seen_is_undecided_and_settled_later() {
    let slapd = Arc::new(super::directory());
    let relay = lossy(&slapd, |_| Ok(Verdict::Done));
    let bridge = TestBridge::start(&settings(&relay.url()));
    let mut client = bridge.client();
    client.patch(&path(3), &set("nickName", "Bound")).expect(200);
    for late in [false, true] {
        let answer = client.patch(&path(3), &set("title", "Late"));
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(answer.text().contains("may still be done"), "{}", answer.text());
        assert_eq!(intents(&bridge), 1);
        if late {
            write(&slapd, 3, "Late");
        }
        let settled = || intents(&bridge) == 0;
        assert!(eventually(Duration::from_secs(20), settled), "late: {late}");
        let trail = details(&bridge);
        assert_eq!(trail.len(), if late { 2 } else { 1 }, "{trail:?}");
    }
    assert_eq!(details(&bridge)[1], "user.modify written to corp: title");
    let found = client.query("/Users", &[("filter", "title eq \"Late\"")]).expect(200);
    assert_eq!(found["totalResults"], 1, "the shadow knows");
}

#[test]
fn kill_9_between_directory_and_store_is_settled_at_the_next_start() {
    for bound in [true, false] {
        let slapd = Arc::new(super::directory());
        let (behind, (told, written)) = (Arc::clone(&slapd), mpsc::channel());
        let relay = lossy(&slapd, move |_| {
            write(&behind, 4, "Survives");
            told.send(()).unwrap();
            Ok(Verdict::Done)
        });
        let mut bridge = TestBridge::start(&settings(&relay.url()));
        let mut client = bridge.client();
        if bound {
            client.patch(&path(4), &set("nickName", "Bound")).expect(200);
        }
        let body = set("title", "Survives").to_string();
        let writing = std::thread::spawn(move || {
            client.try_send("PATCH", &path(4), &[], body.as_bytes()).is_ok()
        });
        written.recv_timeout(Duration::from_secs(20)).unwrap();
        bridge.kill9();
        assert!(!writing.join().unwrap(), "nobody answered");
        assert_eq!((intents(&bridge), details(&bridge).len()), (1, usize::from(bound)));
        bridge.restart();
        assert!(eventually(Duration::from_secs(20), || intents(&bridge) == 0));
        assert_eq!(details(&bridge).last().unwrap(), "user.modify written to corp: title");
        let user = bridge.client().get(&path(4)).expect(200);
        assert_eq!(user["title"], "Survives");
        let rows = bridge.client().query("/Users", &[("filter", "title eq \"Survives\"")]);
        assert_eq!(rows.expect(200)["totalResults"], u64::from(bound));
    }
}
