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

/// What the table calls `readOnly` is passed over in a PUT, and in the elements of `groups`, where it is
/// `display` and `ref`; `externalid` "can be modified with PUT".
#[test]
fn what_is_read_only_is_passed_over() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let made = client.post("/Users", &john("USG_FTEMP")).expect(200);
    let path = format!("/Users/{}", id(&made));
    let mut asked = john("USG_CUST2");
    asked["externalId"] = json!("jroe");
    asked["userName"] = json!("somebody");
    asked["displayName"] = json!("Some Body");
    asked["userType"] = json!("LDAP");
    asked["groups"][0]["display"] = json!("Nobody's");
    asked["groups"][0]["$ref"] = json!("https://elsewhere.example/Groups/X");
    let put = client.put(&path, &asked).expect(200);
    assert_eq!(
        (&put["externalId"], &put["userName"], &put["displayName"], &put["userType"]),
        (&json!("jroe"), &json!("jroe"), &json!("John Doe"), &json!("FTRESS"))
    );
    assert_eq!(put["groups"][0]["display"], "Business Online Banking");
    assert!(put["groups"][0]["$ref"].as_str().unwrap().ends_with("/scim/acme/v2/Groups/USG_CUST2"));
    // A PATCH names what it writes: there it is said that nobody writes it.
    for attribute in ["userName", "displayName"] {
        let body =
            json!({ "Operations": [{ "op": "replace", "path": attribute, "value": "other" }] });
        assert_eq!(client.patch(&path, &body).expect(400)["scimType"], "mutability", "{attribute}");
    }
}

/// "add api-version=N to the query parameter", and "previous versions of the API are also supported".
#[test]
fn every_version_is_answered() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let made = client.post("/Users?api-version=1", &john("USG_FTEMP")).expect(200);
    let path = format!("/Users/{}", id(&made));
    for version in ["1", "2", "3", "3.0", "4", "7", "10.3.0"] {
        let shown = client.get(&format!("{path}?api-version={version}")).expect(200);
        assert_eq!(shown, made, "{version}");
    }
}

/// The table's rows in its order, and the one that it leaves out; what it does not name is not there.
#[test]
fn method_details() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let jdoe = john("USG_FTEMP");
    let user = format!("/Users/{}", id(&client.post("/Users/", &jdoe).expect(200)));
    let batch = json!({ "users": [], "group": { "value": "USG_FTEMP" } });
    let queued = client.post("/Users/.import", &batch).expect(202);
    let import = format!("/Users/.import/{}", queued["correlationId"].as_str().unwrap());
    let other = json!({ "externalId": "other", "name": { "givenName": "Other" } });
    let gone = json!({ "externalId": "jdoe" });
    let title = json!({ "Operations": [{ "op": "add", "path": "title", "value": "Dr." }] });
    let none = json!(null);
    for (method, action, path, body, status) in [
        ("GET", "Read", "/Users", &none, 200),
        ("GET", "Read", &*user, &none, 200),
        ("GET", "Import", &*import, &none, 200),
        ("POST", "Create", "/Users/", &other, 200),
        ("POST", "Search", "/Users/.search", &json!({}), 200),
        ("POST", "Import", "/Users/.import", &batch, 202),
        ("PUT", "Replace", &*user, &jdoe, 200),
        // Of another section of the document.
        ("PATCH", "Patch Users", &*user, &title, 200),
        ("DELETE", "Delete", &*user, &none, 204),
        // After the deletion, as its section says.
        ("POST", "Forget", "/Users/.forget", &gone, 204),
    ] {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = client.send(method, path, &[], body.as_bytes());
        assert_eq!(answer.status, status, "{action}: {}", answer.text());
    }
    for (method, path, allowed) in [
        ("PUT", "/Users", "GET, HEAD, POST"),
        ("DELETE", "/Users", "GET, HEAD, POST"),
        ("POST", &*user, "GET, HEAD, PUT, PATCH, DELETE"),
        ("GET", "/Users/.forget", "POST"),
        ("GET", "/Users/.import", "POST"),
        ("PUT", &*import, "GET, HEAD, DELETE"),
    ] {
        let refused = client.send(method, path, &[], b"");
        assert_eq!(
            (refused.status, refused.header("allow")),
            (405, Some(allowed)),
            "{method} {path}"
        );
    }
}

/// Paths are taken in any case, with a slash at their end, as the samples spell them.
#[test]
fn request_uris() {
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
