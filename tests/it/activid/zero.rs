//! `/Users/0`: people without a row are named by `externalId`, and bound by the first write.

use serde_json::{Value, json};

use super::{found, over, user};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::company;
use crate::support::slapd::Slapd;

fn zero(external_id: &str) -> String {
    format!("/Users/0?externalId={external_id}")
}

fn title(value: &str) -> Value {
    json!({ "Operations": [{ "op": "add", "path": "nickName", "value": value }] })
}

#[test]
fn the_first_patch_binds_and_the_number_stays() {
    let bridge = TestBridge::start(&over(Slapd::shared()));
    let mut client = bridge.client();
    let person = company::person(7);
    let read = client.get(&zero(&person.uid)).expect(200);
    assert_eq!((&read["id"], &read["externalId"]), (&json!("0"), &json!(person.uid)));
    assert_eq!(client.delete(&zero(&person.uid)).status, 403, "nothing of it is ours");
    let bound = client.patch(&zero(&person.uid), &title("Mel")).expect(200);
    let id = bound["id"].as_str().unwrap().to_owned();
    assert!(id.parse::<u64>().is_ok_and(|number| number > 0), "{id}");
    assert_eq!(bound["userType"], "FTRESS_LDAP");
    // The same person under every name: the number, the long form, and still by externalId.
    assert_eq!(client.get(&format!("/Users/{id}")).expect(200)["nickName"], "Mel");
    let long = format!("/Users/corp.{}", person.entry_uuid);
    assert_eq!(client.get(&long).expect(200)["id"], id);
    assert_eq!(client.get(&zero(&person.uid)).expect(200)["id"], id);
    let again = client.patch(&zero(&person.uid), &title("Amy")).expect(200);
    assert_eq!((&again["id"], &again["nickName"]), (&json!(id), &json!("Amy")));
    let list = found(&mut client, &person.uid);
    assert_eq!((list.len(), &list[0]["id"]), (1, &json!(id)));
    assert_eq!(bridge.audit().iter().filter(|action| *action == "user.bind").count(), 1);
    assert_eq!(client.delete(&zero(&person.uid)).status, 204);
    assert_eq!(client.get(&format!("/Users/{id}")).status, 404);
    assert_eq!(client.get(&zero(&person.uid)).status, 404, "deleted, and only a POST binds again");
}

#[test]
fn a_put_names_the_person_in_its_body() {
    let bridge = TestBridge::start(&over(Slapd::shared()));
    let mut client = bridge.client();
    let person = company::person(9);
    let mut body = client.get(&zero(&person.uid)).expect(200);
    body["nickName"] = json!("Zoe");
    body["groups"] = json!([]);
    let bound = client.put("/Users/0", &body).expect(200);
    assert_eq!((&bound["userType"], &bound["nickName"]), (&json!("FTRESS_LDAP"), &json!("Zoe")));
    assert_ne!(bound["id"], "0");
}

#[test]
fn nobody_is_404_and_two_are_409() {
    let slapd = Slapd::shared();
    let settings = over(slapd).repository("lab", &slapd.url());
    let settings = settings.token("blind", "token-that-reads-nobody", &["users:search"]);
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let uid = company::person(11).uid;
    for method in ["GET", "PATCH", "DELETE"] {
        let body = if method == "PATCH" { title("x").to_string() } else { String::new() };
        let mut ask = |path: &str| client.send(method, path, &[], body.as_bytes());
        assert_eq!(ask(&zero("nobody-at-all")).status, 404, "{method}");
        assert_eq!(ask("/Users/0").status, 404, "{method}");
        let two = ask(&zero(&uid)).expect(409);
        assert!(two["detail"].as_str().unwrap().contains("userRepositoryId"), "{two}");
    }
    let lab = client.get(&format!("{}&userRepositoryId=lab", zero(&uid))).expect(200);
    assert_eq!(lab["id"], "0");
    let body = json!({ "externalId": uid, "userName": uid, "groups": [], "userRepositoryId": "lab", "nickName": "x" });
    let bound = client.put("/Users/0", &body).expect(200);
    assert_eq!(bound["userType"], "FTRESS_LDAP");
    // Who may not read is told nothing about who there is.
    let mut blind = bridge.client_as("token-that-reads-nobody");
    assert_eq!(blind.get(&zero(&uid)).status, 403);
    assert_eq!(blind.get(&zero("nobody-at-all")).status, 403);
}

#[test]
fn a_repository_that_is_silent_is_no_absence() {
    let slapd = Slapd::company(20);
    let settings = over(&slapd).repository("gone", "ldap://127.0.0.1:1");
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let uid = company::person(3).uid;
    assert_eq!(client.get(&zero(&uid)).status, 503, "the other one may know the same externalId");
    let one = format!("{}&userRepositoryId=corp", zero(&uid));
    assert_eq!(client.get(&one).expect(200)["externalId"], uid);
    assert_eq!(client.get(&zero("nobody-at-all")).status, 503);
}

#[test]
fn a_local_user_is_named_too_and_rfc_knows_no_zero() {
    let bridge = TestBridge::start(&Settings::local().tenant("dialect = \"activid\""));
    let mut client = bridge.client();
    let made = user(&mut client, "jdoe", "Doe");
    assert_eq!(client.get(&zero("jdoe")).expect(200)["id"], made["id"]);
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    client.post("/Users", &json!({ "userName": "jdoe", "externalId": "jdoe" })).expect(201);
    assert_eq!(client.get(&zero("jdoe")).status, 404);
}

#[test]
fn a_post_binds_by_external_id_unless_the_token_says_no() {
    let slapd = Slapd::shared();
    let settings = over(slapd).token("agent", "token-that-never-binds", &["users:*"]);
    let bridge = TestBridge::start(&settings.token_line("binds = false"));
    let mut client = bridge.client();
    let person = company::person(13);
    let body = json!({ "externalId": person.uid, "userName": person.uid });
    let answer = client.post("/Users", &body);
    let location = answer.header("location").unwrap().to_owned();
    let bound = answer.expect(200);
    assert_eq!(bound["userType"], "FTRESS_LDAP");
    assert!(location.ends_with(&format!("/Users/{}", bound["id"].as_str().unwrap())));
    client.post("/Users", &body).expect(409);
    let other = company::person(15);
    let body = json!({ "externalId": other.uid, "userName": "fifteen",
                       "name": { "givenName": "A", "familyName": "B" } });
    let mut agent = bridge.client_as("token-that-never-binds");
    assert_eq!(agent.post("/Users", &body).expect(200)["userType"], "FTRESS");
}
