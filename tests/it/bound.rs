//! Bound users and whom a repository's answer leaves out: nobody is lost because a search did not name
//! them, and nobody is found under another spelling of the id.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;
use crate::support::company;
use crate::support::hostile::{Hostile, Request, Verdict};
use crate::support::slapd::Slapd;

const REPORT: &str = "urn:scimbridge:api:messages:2.0:Repositories";
const SOURCE: &str = "urn:scimbridge:schemas:2.0:Source";

fn path(number: usize) -> String {
    format!("/Users/corp.{}", company::person(number).entry_uuid)
}

fn set(attribute: &str, value: impl Into<Value>) -> Value {
    json!({ "Operations": [{ "op": "add", "path": attribute, "value": value.into() }] })
}

fn federated(client: &mut Client, filter: &str) -> Value {
    client.query("/Users", &[("filter", filter), ("searchRepositories", "true")]).expect(200)
}

#[test]
fn an_id_in_capitals_is_nobodys() {
    let bridge = TestBridge::start(&Settings::over(Slapd::shared()));
    let mut client = bridge.client();
    let path = path(70);
    let capitals = format!("/Users/corp.{}", company::person(70).entry_uuid.to_uppercase());
    let mut nobody = |how: &str| {
        for _ in 0..2 {
            assert_eq!(client.get(&capitals).status, 404, "{how}");
        }
        assert_eq!(client.patch(&capitals, &set("nickName", "x")).status, 404, "{how}");
        assert_eq!(client.delete(&capitals).status, 404, "{how}");
        assert_eq!(client.get(&capitals).status, 404, "{how}");
    };
    nobody("never seen");
    let mut other = bridge.client();
    other.get(&path).expect(200);
    nobody("seen");
    other.patch(&path, &set("nickName", "Seventy")).expect(200);
    nobody("bound");
    assert_eq!(other.delete(&path).status, 204);
    nobody("deleted");
    assert_eq!(other.get("/Users").expect(200)["totalResults"], 0);
}

#[test]
fn our_own_elements_of_a_list_are_found() {
    let bridge = TestBridge::start(&Settings::over(Slapd::shared()));
    let mut client = bridge.client();
    let mail = json!([{ "type": "home", "value": "seventy-one@home.example" }]);
    client.patch(&path(71), &set("emails", mail)).expect(200);
    for filter in
        ["emails.type eq \"home\"", "emails[type eq \"home\" and value ew \"home.example\"]"]
    {
        let list = federated(&mut client, filter);
        assert_eq!(list["totalResults"], 1, "{filter}: {list}");
        assert_eq!(list["Resources"][0]["userName"], company::person(71).uid.as_str());
    }
}

#[test]
fn what_is_computed_of_everybody_can_be_asked_for() {
    let settings = Settings::over(Slapd::shared()).with("size_limit = 2000");
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let uid = company::person(72).uid;
    for filter in [
        "meta.resourceType eq \"User\"",
        "meta.version pr",
        "urn:scimbridge:schemas:2.0:Source:dn co \"ou=people\"",
        "urn:scimbridge:schemas:2.0:Source:entryKey pr",
    ] {
        let filter = format!("userName eq \"{uid}\" and {filter}");
        assert_eq!(federated(&mut client, &filter)["totalResults"], 1, "{filter}");
    }
}

/// A repository whose every answer to a search for people is cut before anybody is in it, while the
/// flag is up.
fn cutting() -> (Hostile, Arc<AtomicBool>) {
    let up = Arc::new(AtomicBool::new(false));
    let cuts = Arc::clone(&up);
    let address = format!("127.0.0.1:{}", Slapd::shared().port());
    let hostile = Hostile::in_front_of(&address, move |request: &Request, reply| {
        if request.is_for_people() && cuts.load(Ordering::SeqCst) {
            // sizeLimitExceeded (RFC 4511, section 4.1.9)
            reply.done(4)?;
            return Ok(Verdict::Done);
        }
        Ok(Verdict::Pass)
    });
    (hostile, up)
}

#[test]
fn a_read_that_was_cut_makes_nobody_absent() {
    let (hostile, cuts) = cutting();
    let settings = Settings::local().repository("corp", &hostile.url()).with(
        "timeouts = { connect = \"1s\", operation = \"2s\" }\n\
         cache = { fresh = \"0s\", negative = \"1h\", stale = \"0s\" }",
    );
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    client.patch(&path(73), &set("nickName", "seventy-three")).expect(200);
    client.get(&path(74)).expect(200);

    cuts.store(true, Ordering::SeqCst);
    assert_eq!(client.get(&path(75)).status, 503);
    assert_eq!(client.patch(&path(75), &set("nickName", "x")).status, 503);
    let bound = client.get(&path(73)).expect(200);
    assert_eq!(bound[SOURCE]["state"], "unavailable", "from the shadow, and marked");
    let rename = json!({ "Operations": [
        { "op": "replace", "path": "name.familyName", "value": "Otherwise" }] });
    assert_eq!(client.patch(&path(73), &rename).status, 503);
    let list = federated(&mut client, "nickName eq \"seventy-three\"");
    assert_eq!(list["totalResults"], 1);
    assert_eq!(list[REPORT][0]["state"], "unavailable", "{list}");

    cuts.store(false, Ordering::SeqCst);
    client.get(&path(75)).expect(200);
}
