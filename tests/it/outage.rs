//! Bad days: a directory that is down, killed or frozen never makes anybody absent, and nobody waits
//! longer than the deadline.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::bridge::{Settings, TestBridge};
use crate::support::company;
use crate::support::eventually;
use crate::support::slapd::Slapd;

const REPORT: &str = "urn:scimbridge:api:messages:2.0:Repositories";
const QUICK: &str = "timeouts = { connect = \"1s\", operation = \"2s\" }";
/// The deadline of [`QUICK`] and a second.
const LIMIT: Duration = Duration::from_secs(3);

fn by_name(uid: &str) -> String {
    format!("/Users?searchRepositories=true&filter=userName%20eq%20%22{uid}%22")
}

fn nick() -> Value {
    json!({ "Operations": [{ "op": "add", "path": "nickName", "value": "n" }] })
}

fn uncached(slapd: &Slapd) -> Settings {
    Settings::over(slapd)
        .with(QUICK)
        .with("cache = { fresh = \"0s\", negative = \"0s\", stale = \"0s\" }")
}

#[test]
fn local_users_answer_while_the_directory_is_down_and_nobody_is_absent() {
    let slapd = Slapd::company(50);
    let mut bridge = TestBridge::start(&uncached(&slapd));
    let mut client = bridge.client();
    client.post("/Users", &json!({ "userName": "local.one" })).expect(201);
    let bound = company::person(2);
    let bound_path = format!("/Users/corp.{}", bound.entry_uuid);
    client.patch(&bound_path, &nick()).expect(200);
    slapd.kill();
    for round in ["killed under way", "down at the start"] {
        let begin = Instant::now();
        let list = client.get(&by_name("local.one")).expect(200);
        assert_eq!(list["totalResults"], 1, "{round}");
        assert_eq!(list[REPORT][0]["state"], "unavailable", "{round}");
        let nobody = client.get(&by_name("u0000004"));
        assert_eq!(nobody.status, 503, "{round}: an outage is never an absence");
        assert!(nobody.header("retry-after").is_some());
        let unbound = format!("/Users/corp.{}", company::person(4).entry_uuid);
        assert_eq!(client.get(&unbound).status, 503, "{round}: never 404");
        assert_eq!(client.patch(&unbound, &nick()).status, 503, "{round}");
        let shadow = client.get(&bound_path).expect(200);
        assert_eq!(shadow["userName"], bound.uid.as_str(), "{round}: from the shadow");
        assert_eq!(shadow["urn:scimbridge:schemas:2.0:Source"]["state"], "unavailable");
        assert_eq!(client.get(&by_name(&bound.uid)).expect(200)["totalResults"], 1, "{round}");
        assert_eq!(client.get("/Users").expect(200)["totalResults"], 2, "{round}");
        assert!(begin.elapsed() < LIMIT * 4, "{round}: {:?}", begin.elapsed());
        // What is ours is written; a different directory-owned value cannot be judged.
        let ours = json!({ "Operations": [{ "op": "add", "path": "nickName", "value": round }] });
        assert_eq!(client.patch(&bound_path, &ours).expect(200)["nickName"], round);
        let theirs =
            json!({ "Operations": [{ "op": "replace", "path": "name.familyName", "value": "X" }] });
        assert_eq!(client.patch(&bound_path, &theirs).status, 503, "{round}");
        let repeat = json!({ "Operations": [
            { "op": "replace", "path": "name.familyName", "value": bound.sn }] });
        assert_eq!(client.patch(&bound_path, &repeat).status, 200, "{round}");
        bridge.restart();
        client = bridge.client();
    }
    slapd.restart();
    let back = || bridge.client().get(&by_name("u0000004")).status == 200;
    assert!(eventually(Duration::from_secs(30), back), "the directory is found again");
}

#[test]
fn a_post_that_could_bind_creates_nothing_while_the_directory_is_down() {
    let slapd = Slapd::company(20);
    let settings =
        uncached(&slapd).token("binder", "binder-token", &["users:*"]).token_line("binds = true");
    let bridge = TestBridge::start(&settings);
    slapd.kill();
    let person = company::person(3);
    let body = json!({ "userName": person.uid, "externalId": person.uid });
    assert_eq!(bridge.client_as("binder-token").post("/Users", &body).status, 503);
    assert_eq!(bridge.client().get("/Users").expect(200)["totalResults"], 0);
}

#[test]
fn a_frozen_directory_holds_nobody_longer_than_the_deadline() {
    let slapd = Slapd::company(50);
    let bridge = TestBridge::start(&uncached(&slapd));
    let mut client = bridge.client();
    client.post("/Users", &json!({ "userName": "local.one" })).expect(201);
    client.get(&by_name("u0000004")).expect(200);
    slapd.stop();
    for round in 0..3 {
        let begin = Instant::now();
        let list = client.get(&by_name("local.one")).expect(200);
        assert!(begin.elapsed() < LIMIT, "round {round}: {:?}", begin.elapsed());
        assert_eq!(list["totalResults"], 1);
        let state = list[REPORT][0]["state"].as_str().unwrap();
        assert!(state == "timeout" || state == "unavailable", "{state}");
        let begin = Instant::now();
        assert_eq!(client.get(&by_name("u0000004")).status, 503);
        assert!(begin.elapsed() < LIMIT, "round {round}: {:?}", begin.elapsed());
    }
    slapd.cont();
    let back = || bridge.client().get(&by_name("u0000004")).status == 200;
    assert!(eventually(Duration::from_secs(30), back), "the directory is found again");
}

#[test]
fn old_answers_are_served_and_marked_while_the_directory_is_down() {
    let slapd = Slapd::company(50);
    let settings = Settings::over(&slapd)
        .with(QUICK)
        .with("cache = { fresh = \"1s\", negative = \"1s\", stale = \"1h\" }");
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let person = company::person(6);
    let path = format!("/Users/corp.{}", person.entry_uuid);
    client.get(&by_name(&person.uid)).expect(200);
    client.get(&path).expect(200);
    slapd.kill();
    std::thread::sleep(Duration::from_millis(1500));
    let list = client.get(&by_name(&person.uid)).expect(200);
    assert_eq!(list["totalResults"], 1);
    assert_eq!(list[REPORT][0]["state"], "stale");
    let user = client.get(&path).expect(200);
    assert_eq!(user["urn:scimbridge:schemas:2.0:Source"]["state"], "stale");
    // Who was never seen is not known.
    assert_eq!(client.get(&by_name(&company::person(8).uid)).status, 503);
}

#[test]
fn one_of_two_directories_down_leaves_the_other() {
    let (slapd, other) = (Slapd::company(50), Slapd::company(10));
    let settings = uncached(&slapd).repository("branch", &other.url()).with(QUICK);
    let bridge = TestBridge::start(&settings);
    other.kill();
    let person = company::person(30);
    let list = bridge.client().get(&by_name(&person.uid)).expect(200);
    assert_eq!(list["totalResults"], 1);
    assert_eq!(list[REPORT][0]["state"], "ok");
    assert_eq!(list[REPORT][1]["state"], "unavailable");
    let strict = TestBridge::start(
        &uncached(&slapd)
            .repository("branch", &other.url())
            .with(QUICK)
            .tenant("on_failure = \"fail\""),
    );
    assert_eq!(strict.client().get(&by_name(&person.uid)).status, 503);
}

#[test]
fn a_name_that_gives_way_to_nobody_is_found_though_a_directory_ahead_is_silent() {
    let (ahead, behind) = (Slapd::company(10), Slapd::company(10));
    let caching = "cache = { fresh = \"0s\", negative = \"0s\", stale = \"0s\" }";
    let settings = Settings::local()
        .tenant("on_conflict = \"first\"")
        .repository("corp", &ahead.url())
        .with(QUICK)
        .with(caching)
        .repository("branch", &behind.url())
        .with(QUICK)
        .with(caching);
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let bound = format!("branch.{}", company::person(2).entry_uuid);
    client.patch(&format!("/Users/{bound}"), &nick()).expect(200);
    ahead.kill();
    let list = client.get(&by_name(&company::person(2).uid)).expect(200);
    assert_eq!((&list["totalResults"], &list["Resources"][0]["id"]), (&json!(1), &json!(bound)));
    assert_eq!(list[REPORT][0]["state"], "unavailable", "{list}");
    let walk = format!("{}&cursor=", by_name(&company::person(2).uid));
    assert_eq!(client.get(&walk).expect(200)["Resources"][0]["id"], json!(bound));
    // Whoever is ahead would have had this name.
    let unbound = by_name(&company::person(4).uid);
    assert_eq!(client.get(&unbound).status, 503);
    assert_eq!(client.get(&format!("{unbound}&cursor=")).status, 503);
}
