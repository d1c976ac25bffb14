//! "Replace a User".

use serde_json::{Value, json};

use super::sample::{WHEN, compare, ours};
use super::{ATTRIBUTE, AUTHENTICATOR, DEVICE, authenticator, device, id, john, tenant};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;

/// A user with a date of birth, an authenticator and a device; their ids.
fn customer(client: &mut Client) -> (String, String) {
    let mut body = john("USG_CUST2");
    body[ATTRIBUTE] = json!({ "attributes": [{ "name": "DOB", "value": "1980-08-01" }] });
    let user = id(&client.post("/Users", &body).expect(200));
    authenticator(client, &user, "AT_CUSTSMS");
    let device = device(client, &user, None);
    (user, device)
}

#[test]
fn sample_response() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let (user, device) = customer(&mut client);
    let path = format!("/Users/{user}");
    let mut request = client.get(&path).expect(200);
    for name in ["name", "displayName", "title"] {
        request.as_object_mut().unwrap().remove(name);
    }
    let named = |one: &Value| one["name"] == "DOB";
    let attributes = request[ATTRIBUTE]["attributes"].as_array().unwrap();
    let only: Vec<Value> = attributes.iter().filter(|one| named(one)).cloned().collect();
    request[ATTRIBUTE]["attributes"] = only.into();
    let shown = client.put(&path, &request).expect(200);

    let response = json!({
        "schemas": [
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:hid:scim:api:idp:2.0:UserDevice",
            "urn:hid:scim:api:idp:2.0:UserAttribute",
            "urn:hid:scim:api:idp:2.0:UserAuthenticator"],
        "id": "11288",
        "externalId": "jdoe",
        "meta": {
            "resourceType": "User",
            "created": "2017-11-19T23:00:00Z",
            "location": "https://[base-server-url]/scim/tenant/v2/Users/11288",
            "version": "1" },
        "userName": "jdoe",
        "userType": "FTRESS",
        "active": true,
        "groups": [{
            "type": "Group",
            "display": "Business Online Banking",
            "value": "USG_CUST2",
            "$ref": "https://[base-server-url]/scim/tenant/v2/Groups/USG_CUST2" }],
        "roles": [],
        (ATTRIBUTE): { "attributes": [{
            "name": "DOB", "type": "string", "value": "1980-08-01", "readOnly": false }] },
        (AUTHENTICATOR): { "authenticators": [{
            "display": "AT_CUSTSMS",
            "value": "11288.AT_CUSTSMS",
            "$ref": "https://[base-server-url]/scim/tenant/v2/Authenticator/11288.AT_CUSTSMS" }] },
        (DEVICE): { "devices": [{
            "display": "11289",
            "value": "11289",
            "$ref": "https://[base-server-url]/scim/tenant/v2/Device/11289" }] },
    });
    compare(
        &response,
        &shown,
        &[(&user, "11288"), (&device, "11289")],
        &[
            ours("/meta/created", WHEN, "the instant of this run"),
            ours("/meta/lastModified", WHEN, "RFC 7643 section 3.1: beside `created`"),
            ours("/meta/version", "2", "the replacement took the name away: another version"),
            ours(
                "/displayName",
                "jdoe",
                "derived: without a name it is userName, as the document's own table says of displayName",
            ),
        ],
    );
}

#[test]
fn an_absent_extension_stays_an_absent_element_goes_and_groups_are_mandatory() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let (user, device) = customer(&mut client);
    let path = format!("/Users/{user}");
    // "If any of the extensions are removed from the PUT, then that section will not be updated."
    let plain = client.put(&path, &john("USG_CUST2")).expect(200);
    assert_eq!(plain[DEVICE]["devices"][0]["value"], device);
    assert_eq!(plain[AUTHENTICATOR]["authenticators"].as_array().unwrap().len(), 1);
    let has = |shown: &Value, code: &str| {
        shown[ATTRIBUTE]["attributes"].as_array().unwrap().iter().any(|one| one["name"] == code)
    };
    assert!(has(&plain, "DOB"));
    // "If an element is removed from an extension, it will be deleted."
    let mut body = john("USG_FTEMP");
    body[ATTRIBUTE] = json!({ "attributes": [] });
    body[DEVICE] = json!({ "devices": [] });
    body[AUTHENTICATOR] = json!({ "authenticators": [] });
    let emptied = client.put(&path, &body).expect(200);
    assert!(!has(&emptied, "DOB"), "{emptied}");
    assert_eq!(emptied[DEVICE]["devices"], json!([]));
    assert_eq!(emptied[AUTHENTICATOR]["authenticators"], json!([]));
    assert_eq!(emptied["groups"][0]["value"], "USG_FTEMP");
    assert_eq!(client.get(&format!("/Device/{device}")).expect(200).get("owner"), None);
    // "Group section is mandatory."
    let mut without = john("USG_FTEMP");
    without.as_object_mut().unwrap().remove("groups");
    let refused = client.put(&path, &without).expect(400);
    assert_eq!(refused["scimType"], "invalidValue");
    assert!(refused["detail"].as_str().unwrap().contains("groups"), "{refused}");
}
