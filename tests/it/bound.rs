//! Bound users and whom a repository's answer leaves out: nobody is lost because a search did not name
//! them, and nobody is found under another spelling of the id.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;
use crate::support::company;
use crate::support::eventually;
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

#[test]
fn a_search_in_the_cache_hides_nobody_who_came_since() {
    let slapd = Slapd::company(20);
    let settings = Settings::over(&slapd).with(
        "cache = { fresh = \"1h\", negative = \"1h\" }\n[tenant.repository.attributes]\n\
         timezone = { attribute = \"homePhone\" }",
    );
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    assert_eq!(federated(&mut client, "timezone pr")["totalResults"], 0);
    slapd.modify(&format!(
        "dn: {}\nchangetype: modify\nadd: homePhone\nhomePhone: +47 1\n",
        company::person(2).dn("dc=example,dc=org")
    ));
    client.patch(&path(2), &set("nickName", "Two")).expect(200);
    let list = federated(&mut client, "timezone pr");
    assert_eq!(list["totalResults"], 1, "{list}");
}

#[test]
fn a_hot_look_up_of_a_bound_user_asks_nobody() {
    let slapd = Slapd::company(20);
    let bridge = TestBridge::start(&Settings::over(&slapd).with("cache = { fresh = \"1h\" }"));
    let mut client = bridge.client();
    client.patch(&path(2), &set("nickName", "Two")).expect(200);
    let filter = format!("userName eq \"{}\"", company::person(2).uid);
    federated(&mut client, &filter);
    let before = slapd.searches();
    for _ in 0..20 {
        let list = federated(&mut client, &filter);
        assert_eq!(list["Resources"][0]["nickName"], "Two");
        assert_eq!(list[REPORT][0]["state"], "cached");
    }
    assert_eq!(slapd.searches(), before);
}

#[test]
fn who_was_deleted_here_is_found_as_inactive() {
    let slapd = Slapd::company(100);
    let bridge = TestBridge::start(&Settings::over(&slapd).with("size_limit = 50"));
    let mut client = bridge.client();
    let person = company::person(40);
    client.patch(&path(40), &set("nickName", "Forty")).expect(200);
    assert_eq!(client.delete(&path(40)).status, 204);
    for _ in 0..2 {
        let list = federated(&mut client, "active eq false");
        // Number 97 is locked by the directory itself.
        assert_eq!(list["totalResults"], 2, "{list}");
        assert_eq!(list[REPORT][0]["found"], 2);
        assert_eq!(list[REPORT][0]["scan"], false);
        let buried = list["Resources"].as_array().unwrap().iter();
        let buried = buried.filter(|user| user["userName"] == person.uid.as_str());
        let buried: Vec<&Value> = buried.collect();
        assert_eq!(buried.len(), 1);
        assert_eq!(buried[0]["active"], false);
        assert_eq!(buried[0]["userType"], "LDAP");
    }
    let named = |active| format!("userName eq \"{}\" and active eq {active}", person.uid);
    assert_eq!(federated(&mut client, &named(false))["totalResults"], 1);
    assert_eq!(federated(&mut client, &named(true))["totalResults"], 0);
    assert_eq!(
        federated(&mut client, "active eq false and userType eq \"FTRESS\"")["totalResults"],
        0
    );
}

#[test]
fn a_local_user_hides_the_namesake_from_beyond_the_page() {
    let slapd = Slapd::company(20);
    let bridge = TestBridge::start(&Settings::over(&slapd).tenant("on_conflict = \"first\""));
    let mut client = bridge.client();
    for name in ["u0000000", "u0000002", "u0000003"] {
        client.post("/Users", &json!({ "userName": name })).expect(201);
    }
    // Ten people of the directory, three users of ours, one name twice.
    for count in ["1", "0", "100"] {
        let parameters = [
            ("filter", "userName sw \"u00000\""),
            ("searchRepositories", "true"),
            ("count", count),
        ];
        let list = client.query("/Users", &parameters).expect(200);
        assert_eq!(list["totalResults"], 12, "count {count}");
    }
    let mut seen = Vec::new();
    for start in 1..=12 {
        let parameters = [
            ("filter", "userName sw \"u00000\""),
            ("searchRepositories", "true"),
            ("count", "1"),
            ("startIndex", &start.to_string()),
        ];
        let list = client.query("/Users", &parameters).expect(200);
        seen.push(list["Resources"][0]["userName"].as_str().unwrap().to_owned());
    }
    assert!(seen.is_sorted() && seen.windows(2).all(|two| two[0] != two[1]), "{seen:?}");
}

#[test]
fn a_page_too_deep_is_refused() {
    let bridge = TestBridge::start(&Settings::over(Slapd::shared()).with("size_limit = 2000"));
    let mut client = bridge.client();
    let deep = [("startIndex", "49999"), ("count", "10"), ("searchRepositories", "true")];
    assert_eq!(client.query("/Users", &deep).expect(400)["scimType"], "tooMany");
    assert_eq!(client.query("/Users", &deep[..2]).expect(200)["totalResults"], 0);
}

#[test]
fn a_repository_that_fails_is_read_from_once() {
    let address = format!("127.0.0.1:{}", Slapd::shared().port());
    let fails = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&fails);
    let hostile = Hostile::in_front_of(&address, move |request: &Request, reply| {
        if request.is_for_people() && failing.load(Ordering::SeqCst) {
            // unavailable (RFC 4511, appendix A.2)
            reply.done(52)?;
            return Ok(Verdict::Done);
        }
        Ok(Verdict::Pass)
    });
    let settings = Settings::local()
        .repository("corp", &hostile.url())
        .with("cache = { fresh = \"0s\", negative = \"0s\", stale = \"0s\" }");
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    for number in 100..350 {
        client.patch(&path(number), &set("nickName", "bound")).expect(200);
    }
    let before = hostile.searches();
    let list = federated(&mut client, "nickName eq \"bound\"");
    assert_eq!((&list["totalResults"], hostile.searches() - before), (&json!(250), 3));

    fails.store(true, Ordering::SeqCst);
    let before = hostile.searches();
    let list = federated(&mut client, "nickName eq \"bound\"");
    assert_eq!((&list["totalResults"], hostile.searches() - before), (&json!(250), 1));
    assert_eq!(list[REPORT][0]["state"], "unavailable");
    assert_eq!(list["Resources"][0][SOURCE]["state"], "unavailable");
}

#[test]
fn nobody_in_an_old_answer_is_not_nobody() {
    let slapd = Slapd::company(20);
    let settings = Settings::over(&slapd).with(
        "timeouts = { connect = \"1s\", operation = \"2s\" }\n\
         cache = { fresh = \"1s\", negative = \"1s\", stale = \"1h\" }",
    );
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    // Of this only that there is a name is sent: all are read, and nobody is left.
    let parameters =
        [("filter", "name.familyName gt \"\u{10fffd}\""), ("searchRepositories", "true")];
    assert_eq!(client.query("/Users", &parameters).expect(200)["totalResults"], 0);
    slapd.kill();
    let unknown = || bridge.client().query("/Users", &parameters).status == 503;
    assert!(eventually(Duration::from_secs(10), unknown), "an outage is never an absence");
}

#[test]
fn counting_goes_on_while_the_directory_is_down() {
    let slapd = Slapd::company(20);
    let bridge = TestBridge::start(&Settings::over(&slapd));
    slapd.kill();
    let mut client = bridge.client();
    client.post("/Users", &json!({ "userName": "u-local" })).expect(201);
    let parameters =
        [("filter", "userName sw \"u-\""), ("searchRepositories", "true"), ("count", "0")];
    let list = client.query("/Users", &parameters).expect(200);
    assert_eq!(list["totalResults"], 1);
    assert_eq!(list[REPORT][0]["state"], "unavailable");
}
