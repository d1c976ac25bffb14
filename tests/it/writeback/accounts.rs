//! `active` is written back: OpenLDAP's password policy locks and opens, and nothing is half done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use serde_json::{Value, json};

use super::outages::lossy;
use super::{details, intents, path, set, uid};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::company;
use crate::support::eventually;
use crate::support::hostile::Verdict;
use crate::support::slapd::{Options, READER, SUFFIX, Slapd};

const LOCKED: &str = "pwdAccountLockedTime";
const FOR_GOOD: &str = "000001010000Z";
const FOR_A_WHILE: &str = "20240229120000Z";

fn directory() -> Slapd {
    let attributes = format!("{LOCKED},title");
    Slapd::start(Options {
        people: 30,
        configuration: format!(
            "access to attrs={attributes} by dn.exact=\"{READER}\" write by * auth\n"
        ),
        ..Options::default()
    })
}

fn settings(url: &str) -> Settings {
    let written = format!(
        "timeouts = {{ connect = \"1s\", operation = \"2s\" }}\n[tenant.repository.attributes]\n\
         active = {{ attribute = [\"{LOCKED}\", \"employeeType\"], type = \"accountState\", \
         authority = \"write_back\" }}\ntitle = {{ authority = \"write_back\" }}\n"
    );
    Settings::local().server("request_timeout = \"5s\"").repository("corp", url).with(&written)
}

/// Nobody of the first people is locked, or is of a type of employee.
fn open(slapd: &Slapd, number: usize) {
    write(slapd, number, LOCKED, &[]);
    write(slapd, number, "employeeType", &[]);
}

/// What the administrator does.
fn write(slapd: &Slapd, number: usize, attribute: &str, values: &[&str]) {
    let dn = company::person(number).dn(SUFFIX);
    let value = values.first().map_or_else(String::new, |value| format!("{attribute}: {value}\n"));
    slapd.modify(&format!("dn: {dn}\nchangetype: modify\nreplace: {attribute}\n{value}"));
}

fn locked(slapd: &Slapd, number: usize) -> Vec<String> {
    slapd.values(&uid(number), LOCKED)
}

fn lets_in(slapd: &Slapd, number: usize) -> bool {
    let person = company::person(number);
    slapd.lets_in(&person.dn(SUFFIX), &person.password())
}

fn active(value: impl Into<Value>) -> Value {
    set("active", value)
}

#[test]
fn an_account_is_locked_there_and_opened_again() {
    let slapd = directory();
    open(&slapd, 1);
    let settings = settings(&slapd.url())
        .token("entra", "entra-token", &["users:*"])
        .token_line("client = \"entra\"");
    let bridge = TestBridge::start(&settings);
    let mut entra = bridge.client_as("entra-token");
    for (off, on) in [(json!("False"), json!("True")), (json!(false), json!(true))] {
        assert!(lets_in(&slapd, 1));
        let shown = entra.patch(&path(1), &active(off.clone())).expect(200);
        assert_eq!((&shown["active"], locked(&slapd, 1)), (&json!(false), vec![FOR_GOOD.into()]));
        assert!(!lets_in(&slapd, 1));
        let again = entra.patch(&path(1), &active(off)).expect(200);
        assert_eq!(again["meta"], shown["meta"], "it is so already");
        let found = entra.query("/Users", &[("filter", "active eq false")]).expect(200);
        assert_eq!(found["totalResults"], 1, "in the shadow: {found}");
        let shown = entra.patch(&path(1), &active(on)).expect(200);
        assert_eq!((&shown["active"], locked(&slapd, 1).len()), (&json!(true), 0));
        assert!(lets_in(&slapd, 1));
    }
    let mut trail = vec!["user.bind written to corp: active".to_owned()];
    trail.extend(vec!["user.modify written to corp: active".to_owned(); 3]);
    assert_eq!(details(&bridge), trail);
    assert_eq!(intents(&bridge), 0);
}

#[test]
fn a_lock_that_may_pass_is_made_one_that_does_not() {
    let slapd = directory();
    open(&slapd, 2);
    let bridge = TestBridge::start(&settings(&slapd.url()));
    let mut client = bridge.client();
    write(&slapd, 2, LOCKED, &[FOR_A_WHILE]);
    assert_eq!(client.get(&path(2)).expect(200)["active"], false);
    assert_eq!(client.patch(&path(2), &active(false)).expect(200)["active"], false);
    assert_eq!(locked(&slapd, 2), [FOR_GOOD]);
    write(&slapd, 2, LOCKED, &[FOR_A_WHILE]);
    assert_eq!(client.patch(&path(2), &active(true)).expect(200)["active"], true);
    assert_eq!(locked(&slapd, 2).len(), 0, "it is the same switch");
    // Another attribute is not written, whatever the switch says.
    write(&slapd, 2, "employeeType", &["left"]);
    for held in [&[][..], &[FOR_GOOD]] {
        write(&slapd, 2, LOCKED, held);
        let both = json!({ "Operations": [
            { "op": "replace", "path": "active", "value": true },
            { "op": "replace", "path": "title", "value": "Neither" }] });
        let refused = client.patch(&path(2), &both).expect(400);
        assert_eq!(refused["scimType"], "mutability");
        assert!(refused["detail"].as_str().unwrap().contains("employeeType locks"), "{refused}");
        assert_eq!(locked(&slapd, 2), held);
        assert_ne!(slapd.values(&uid(2), "title"), ["Neither"]);
    }
    write(&slapd, 2, LOCKED, &[]);
    client.patch(&path(2), &active(false)).expect(200);
    assert_eq!(locked(&slapd, 2), [FOR_GOOD], "that it is kept out already is no reason");
    assert_eq!(intents(&bridge), 0);
}

#[test]
fn a_put_locks_and_a_copy_from_before_opens_nothing() {
    let slapd = directory();
    open(&slapd, 3);
    let bridge = TestBridge::start(&settings(&slapd.url()).tenant("delete = \"soft\""));
    let mut client = bridge.client();
    client.patch(&path(3), &set("nickName", "Bound")).expect(200);
    let mut before = client.get(&path(3)).expect(200);
    // Somebody locks there, and nobody has seen it yet.
    write(&slapd, 3, LOCKED, &[FOR_GOOD]);
    before["nickName"] = json!("Written");
    assert_eq!(client.put(&path(3), &before).expect(200)["active"], false);
    assert_eq!(locked(&slapd, 3), [FOR_GOOD]);
    let shown = client.get(&path(3)).expect(200);
    assert_eq!((&shown["nickName"], &shown["active"]), (&json!("Written"), &json!(false)));
    // What was shown as false is meant, when it says true.
    before["active"] = json!(true);
    assert_eq!(client.put(&path(3), &before).expect(200)["active"], true);
    assert_eq!(locked(&slapd, 3).len(), 0);
    before["active"] = json!(false);
    assert_eq!(client.put(&path(3), &before).expect(200)["active"], false);
    assert_eq!(locked(&slapd, 3), [FOR_GOOD]);
    before.as_object_mut().unwrap().remove("active");
    assert_eq!(client.put(&path(3), &before).expect(200)["active"], false);
    client.patch(&path(3), &active(true)).expect(200);
    // DELETE that only disables does it there.
    assert_eq!(client.delete(&path(3)).status, 204);
    assert_eq!(locked(&slapd, 3), [FOR_GOOD]);
    assert_eq!(details(&bridge).last().unwrap(), "user.disable written to corp: active");
}

#[test]
fn a_no_of_ours_from_before_ends_with_the_first_word() {
    let slapd = directory();
    open(&slapd, 4);
    let plain = Settings::local().repository("corp", &slapd.url());
    let mut bridge = TestBridge::start(&plain);
    bridge.client().patch(&path(4), &active(false)).expect(200);
    assert_eq!(locked(&slapd, 4).len(), 0);
    bridge.terminate();
    bridge.reconfigure(&settings(&slapd.url()));
    let mut client = bridge.client();
    assert_eq!(client.patch(&path(4), &set("title", "T")).expect(200)["active"], false);
    assert_eq!(locked(&slapd, 4).len(), 0, "nobody said so");
    client.patch(&path(4), &active(false)).expect(200);
    assert_eq!(locked(&slapd, 4), [FOR_GOOD]);
    write(&slapd, 4, LOCKED, &[]);
    assert_eq!(client.patch(&path(4), &set("title", "U")).expect(200)["active"], true, "theirs");
}

#[test]
fn what_is_refused_here_is_taken_back_there() {
    let slapd = directory();
    open(&slapd, 5);
    let bridge = TestBridge::start(&settings(&slapd.url()));
    let mut client = bridge.client();
    client.post("/Users", &json!({ "userName": "other", "externalId": "taken" })).expect(201);
    for (before, value) in
        [(&[][..], false), (&[FOR_A_WHILE], false), (&[FOR_GOOD], true), (&[FOR_A_WHILE], true)]
    {
        write(&slapd, 5, LOCKED, before);
        let both = json!({ "Operations": [
            { "op": "replace", "path": "active", "value": value },
            { "op": "replace", "path": "externalId", "value": "taken" }] });
        assert_eq!(client.patch(&path(5), &both).expect(409)["scimType"], "uniqueness");
        assert_eq!(locked(&slapd, 5), before);
        assert_eq!(intents(&bridge), 0);
    }
}

#[test]
fn while_the_directory_is_down_nobody_is_told_that_it_is_locked() {
    let slapd = directory();
    open(&slapd, 6);
    let bridge = TestBridge::start(&settings(&slapd.url()));
    let mut client = bridge.client();
    client.patch(&path(6), &set("title", "Bound")).expect(200);
    slapd.kill();
    let answer = client.patch(&path(6), &active(false));
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.text().contains("active"), "{}", answer.text());
    assert_eq!(client.patch(&path(6), &active(true)).status, 200, "a repeat");
    slapd.restart();
    write(&slapd, 6, LOCKED, &[FOR_A_WHILE]);
    assert!(eventually(Duration::from_secs(20), || {
        client.patch(&path(6), &set("title", "Seen")).status == 200
    }));
    slapd.kill();
    // Whether that passes cannot be told.
    let answer = client.patch(&path(6), &active(false));
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(intents(&bridge), 0);
}

#[test]
fn whoever_locks_for_a_while_meanwhile_is_seen() {
    let slapd = Arc::new(directory());
    open(&slapd, 7);
    let (behind, done) = (Arc::clone(&slapd), AtomicBool::new(false));
    let relay = lossy(&slapd, move |_| {
        if !done.swap(true, Ordering::SeqCst) {
            write(&behind, 7, LOCKED, &[FOR_A_WHILE]);
        }
        Ok(Verdict::Pass)
    });
    let bridge = TestBridge::start(&settings(&relay.url()));
    let mut client = bridge.client();
    assert_eq!(client.patch(&path(7), &active(false)).expect(200)["active"], false);
    assert_eq!(locked(&slapd, 7), [FOR_GOOD]);
    assert_eq!(details(&bridge), ["user.bind written to corp: active"]);
}

#[test]
fn kill_9_between_directory_and_store_is_settled_at_the_next_start() {
    for off in [true, false] {
        let slapd = Arc::new(directory());
        open(&slapd, 8);
        if !off {
            write(&slapd, 8, LOCKED, &[FOR_GOOD]);
        }
        let (behind, (told, written)) = (Arc::clone(&slapd), mpsc::channel());
        let relay = lossy(&slapd, move |_| {
            write(&behind, 8, LOCKED, if off { &[FOR_GOOD] } else { &[] });
            told.send(()).unwrap();
            Ok(Verdict::Done)
        });
        let mut bridge = TestBridge::start(&settings(&relay.url()));
        let mut client = bridge.client();
        client.patch(&path(8), &set("nickName", "Bound")).expect(200);
        let body = active(!off).to_string();
        let writing = std::thread::spawn(move || {
            client.try_send("PATCH", &path(8), &[], body.as_bytes()).is_ok()
        });
        written.recv_timeout(Duration::from_secs(20)).unwrap();
        bridge.kill9();
        assert!(!writing.join().unwrap(), "nobody answered");
        assert_eq!(intents(&bridge), 1);
        bridge.restart();
        assert!(eventually(Duration::from_secs(20), || intents(&bridge) == 0));
        assert_eq!(details(&bridge).last().unwrap(), "user.modify written to corp: active");
        let filter = format!("active eq {}", !off);
        let found = bridge.client().query("/Users", &[("filter", &filter)]).expect(200);
        assert_eq!(found["totalResults"], 1, "{off}: {found}");
    }
}
