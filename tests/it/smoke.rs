//! The main path, end to end: the bridge lives, finds people in a directory, binds on first write.

use serde_json::{Value, json};

use crate::support::bridge::{Settings, TestBridge, run};
use crate::support::company;
use crate::support::slapd::Slapd;

/// The people of a ListResponse.
fn people(list: &Value) -> &[Value] {
    list["Resources"].as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn the_bridge_lives_and_ends_when_asked() {
    let mut bridge = TestBridge::start(&Settings::local());
    bridge.stranger().get("/health/live").expect(200);
    bridge.stranger().get("/health/ready").expect(200);
    let refused = bridge.client_as("nobody's token").get("/Users");
    assert_eq!(refused.status, 401, "{}", refused.text());
    assert!(bridge.terminate().success(), "{}", bridge.log());
}

#[test]
fn local_people_and_people_of_the_directory_are_in_one_list() {
    let bridge = TestBridge::start(&Settings::over(Slapd::shared()));
    let mut client = bridge.client();
    let local = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "visitor",
        "name": { "familyName": "Dubois", "givenName": "Vi" },
    });
    client.post("/Users", &local).expect(201);

    let filter = [("filter", "name.familyName eq \"dubois\""), ("searchRepositories", "true")];
    let list = client.query("/Users", &filter).expect(200);
    let mut found: Vec<&str> =
        people(&list).iter().map(|user| user["userName"].as_str().unwrap()).collect();
    found.sort_unstable();
    let dubois = (1..=1000).map(company::person).filter(|person| person.sn == "Dubois");
    let mut expected: Vec<String> = dubois.map(|person| person.uid).collect();
    expected.push("visitor".to_owned());
    expected.sort_unstable();
    assert_eq!(found, expected);

    // Without the directories there is the local one alone.
    let list = client.query("/Users", &filter[..1]).expect(200);
    assert_eq!(people(&list).len(), 1, "{list}");
    assert_eq!(people(&list)[0]["userName"], "visitor");
}

#[test]
fn the_first_patch_binds() {
    let bridge = TestBridge::start(&Settings::over(Slapd::shared()));
    let mut client = bridge.client();
    let filter = [("filter", "userName eq \"u0000042\""), ("searchRepositories", "true")];
    let list = client.query("/Users", &filter).expect(200);
    assert_eq!(people(&list).len(), 1, "{list}");
    let unbound = &people(&list)[0];
    assert_eq!(unbound["userType"], "LDAP");
    let id = unbound["id"].as_str().unwrap().to_owned();
    assert_eq!(id, format!("corp.{}", company::person(42).entry_uuid));

    let patch = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "replace", "path": "nickName", "value": "Deep Thought" }],
    });
    let bound = client.patch(&format!("/Users/{id}"), &patch).expect(200);
    assert_eq!(bound["userType"], "FTRESS_LDAP");
    assert_eq!(bound["nickName"], "Deep Thought");

    let list = client.query("/Users", &filter).expect(200);
    assert_eq!(people(&list).len(), 1, "{list}");
    assert_eq!(people(&list)[0]["userType"], "FTRESS_LDAP");
    assert_eq!(people(&list)[0]["id"], id.as_str());
}

#[test]
fn check_says_whether_the_directory_is_well() {
    let directory = Settings::over(Slapd::shared()).write();
    let well = run(&directory, &["check", "--config", "scimbridge.toml"]);
    assert!(well.status.success(), "{well:?}");

    // Nobody listens on port 1 of loopback.
    let directory = Settings::local().repository("corp", "ldap://127.0.0.1:1").write();
    let broken = run(&directory, &["check", "--config", "scimbridge.toml"]);
    assert!(!broken.status.success(), "{broken:?}");
}
