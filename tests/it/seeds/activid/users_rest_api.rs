//! "Users REST API" and "Method Details": which attributes may be written, and which methods there are.

use serde_json::json;

use super::{id, john, tenant};
use crate::support::bridge::{Settings, TestBridge};

/// `readOnly`: username, displayName, userType. "Mandatory, must be set at CREATE, can be modified":
/// externalid. Everything else is readWrite.
#[test]
fn supported_user_attributes() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let mut asked = john("USG_FTEMP");
    asked["userName"] = json!("somebody");
    asked["displayName"] = json!("Some Body");
    asked["userType"] = json!("LDAP");
    let made = client.post("/Users", &asked).expect(200);
    assert_eq!(
        (&made["userName"], &made["displayName"], &made["userType"]),
        (&json!("jdoe"), &json!("John Doe"), &json!("FTRESS"))
    );
    let path = format!("/Users/{}", id(&made));
    let mut set = |attribute: &str, value: serde_json::Value| {
        let body =
            json!({ "Operations": [{ "op": "replace", "path": attribute, "value": value }] });
        client.patch(&path, &body).expect(200)
    };
    assert_eq!(set("name.familyName", json!("Roe"))["displayName"], "John Roe");
    assert_eq!(set("name.givenName", json!("Jane"))["displayName"], "Jane Roe");
    assert_eq!(set("title", json!("Dr."))["title"], "Dr.");
    assert_eq!(set("active", json!(false))["active"], false);
    assert_eq!(
        set("emails", json!([{ "value": "j@b.example" }]))["emails"][0]["value"],
        "j@b.example"
    );
    assert_eq!(set("phoneNumbers", json!([{ "value": "7" }]))["phoneNumbers"][0]["value"], "7");
    let four: Vec<_> =
        (1..=4).map(|number| json!({ "formatted": format!("Street {number}") })).collect();
    assert_eq!(set("addresses", json!(four))["addresses"].as_array().unwrap().len(), 4);
    assert_eq!(set("groups", json!([{ "value": "USG_CUST2" }]))["groups"][0]["value"], "USG_CUST2");
    let role = set("roles", json!([{ "value": "RL_AUDITV" }]));
    assert_eq!(role["roles"], json!([{ "display": "Audit Viewer", "value": "RL_AUDITV" }]));
    let renamed = set("externalId", json!("jroe"));
    assert_eq!((&renamed["externalId"], &renamed["userName"]), (&json!("jroe"), &json!("jroe")));
    let five: Vec<_> =
        (1..=5).map(|number| json!({ "formatted": format!("Street {number}") })).collect();
    for (attribute, value) in [
        ("addresses", json!(five)),
        ("emails", json!([{ "value": "a@b.example" }, { "value": "c@b.example" }])),
        ("phoneNumbers", json!([{ "value": "1" }, { "value": "2" }])),
        ("groups", json!([{ "value": "USG_CUST2" }, { "value": "USG_FTEMP" }])),
    ] {
        let body =
            json!({ "Operations": [{ "op": "replace", "path": attribute, "value": value }] });
        let refused = client.patch(&path, &body).expect(400);
        assert_eq!(refused["scimType"], "invalidValue", "{attribute}: {refused}");
        assert!(refused["detail"].as_str().unwrap().contains(attribute), "{refused}");
    }
}

/// Paths are taken in any case, with a slash at their end, as the samples spell them.
#[test]
fn method_details() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let made = client.post("/Users/", &john("USG_FTEMP")).expect(200);
    let mut stranger = bridge.stranger();
    assert_eq!(stranger.get("/SCIM/acme/v2/Users").status, 401);
    for path in [
        "/Users",
        "/Users/",
        "/Users?filter=displayName+sw+john",
        "/Users/.search?filter=displayName%20sw%20john",
    ] {
        let list = client.get(path).expect(200);
        assert_eq!(list["resources"][0]["id"], made["id"], "{path}");
    }
    let list = client.post("/Users/.search", &json!({})).expect(200);
    assert_eq!(list["totalResults"], 1);
}
