//! What is kept, for how long, and how many searches that leaves for the directory: counted by
//! slapd's own monitor.

use std::time::Duration;

use serde_json::json;

use crate::support::bridge::{Settings, TestBridge};
use crate::support::company;
use crate::support::eventually;
use crate::support::slapd::Slapd;

const REPORT: &str = "urn:scimbridge:api:messages:2.0:Repositories";

fn by_name(number: usize) -> String {
    let uid = company::person(number).uid;
    format!("/Users?searchRepositories=true&filter=userName%20eq%20%22{uid}%22")
}

#[test]
fn a_hot_look_up_asks_nobody() {
    let slapd = Slapd::company(50);
    let bridge = TestBridge::start(&Settings::over(&slapd).with("cache = { fresh = \"1h\" }"));
    let mut client = bridge.client();
    assert_eq!(client.get(&by_name(3)).expect(200)[REPORT][0]["state"], "ok");
    let before = slapd.searches();
    for _ in 0..200 {
        let list = client.get(&by_name(3)).expect(200);
        assert_eq!(list["Resources"][0]["userName"], company::person(3).uid.as_str());
        assert_eq!(list[REPORT][0]["state"], "cached");
    }
    let id = format!("/Users/corp.{}", company::person(3).entry_uuid);
    client.get(&id).expect(200);
    assert_eq!(slapd.searches(), before, "nothing was asked");
    let answer = client.send("GET", &by_name(3), &[("Cache-Control", "no-cache")], b"");
    assert_eq!(answer.expect(200)[REPORT][0]["state"], "ok");
    assert_eq!(slapd.searches(), before + 1, "no-cache goes round");
}

#[test]
fn nobody_is_kept_too_but_not_for_long() {
    let slapd = Slapd::company(50);
    let settings = Settings::over(&slapd)
        .with("cache = { fresh = \"1h\", negative = \"2s\", stale = \"0s\" }");
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let path = "/Users?searchRepositories=true&filter=userName%20eq%20%22newcomer%22";
    assert_eq!(client.get(path).expect(200)["totalResults"], 0);
    let before = slapd.searches();
    assert_eq!(client.get(path).expect(200)["totalResults"], 0);
    assert_eq!(slapd.searches(), before);
    slapd.modify(
        "dn: uid=newcomer,ou=people,dc=example,dc=org\nchangetype: add\n\
         objectClass: inetOrgPerson\nuid: newcomer\ncn: New Comer\nsn: Comer\n",
    );
    let found = || bridge.client().get(path).expect(200)["totalResults"] == 1;
    assert!(eventually(Duration::from_secs(20), found), "the newcomer is found in the end");
}

#[test]
fn equal_look_ups_at_the_same_moment_are_one_search() {
    let slapd = Slapd::company(50);
    let settings = Settings::over(&slapd)
        .with("cache = { fresh = \"0s\", negative = \"0s\", stale = \"0s\" }");
    let bridge = TestBridge::start(&settings);
    bridge.client().get(&by_name(1)).expect(200);
    let before = slapd.searches();
    slapd.stop();
    let askers: Vec<_> = (0..64)
        .map(|_| {
            let mut client = bridge.client();
            std::thread::spawn(move || client.get(&by_name(7)).expect(200))
        })
        .collect();
    // Frozen, slapd answers nobody before all have asked.
    std::thread::sleep(Duration::from_millis(800));
    slapd.cont();
    for asker in askers {
        let list = asker.join().unwrap();
        assert_eq!(list["Resources"][0]["userName"], company::person(7).uid.as_str());
    }
    assert_eq!(slapd.searches(), before + 1);
}

#[test]
fn own_writes_are_seen_at_once_by_every_way_of_looking() {
    let bridge =
        TestBridge::start(&Settings::over(Slapd::shared()).with("cache = { fresh = \"1h\" }"));
    let mut client = bridge.client();
    let user =
        client.post("/Users", &json!({ "userName": "anna", "externalId": "e1" })).expect(201);
    let id = user["id"].as_str().unwrap().to_owned();
    let find = |filter: &str| {
        let parameters = [("filter", filter), ("searchRepositories", "true")];
        bridge.client().query("/Users", &parameters).expect(200)["totalResults"].clone()
    };
    assert_eq!(find("userName eq \"anna\""), 1);
    assert_eq!(find("userName eq \"berta\""), 0);
    let rename = json!({ "Operations": [
        { "op": "replace", "path": "userName", "value": "berta" },
        { "op": "replace", "path": "externalId", "value": "e2" }] });
    client.patch(&format!("/Users/{id}"), &rename).expect(200);
    assert_eq!(find("userName eq \"anna\""), 0);
    assert_eq!(find("userName eq \"BERTA\""), 1);
    assert_eq!(find("externalId eq \"e1\""), 0);
    assert_eq!(find("externalId eq \"e2\""), 1);
    assert_eq!(client.get(&format!("/Users/{id}")).expect(200)["userName"], "berta");
    assert_eq!(client.delete(&format!("/Users/{id}")).status, 204);
    assert_eq!(find("userName eq \"berta\""), 0);
    assert_eq!(client.get(&format!("/Users/{id}")).status, 404);
}
