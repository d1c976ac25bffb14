//! "Get a User".

use serde_json::json;

use super::sample::{WHEN, compare, ours};
use super::{ATTRIBUTE, AUTHENTICATOR, DEVICE, authenticator, device, id, john, tenant};
use crate::support::bridge::{Settings, TestBridge};

#[test]
fn sample_response() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let user = id(&client.post("/Users", &john("USG_FTEMP")).expect(200));
    authenticator(&mut client, &user, "AT_EMPSMS");
    let device = device(&mut client, &user, Some("my OOB device"));
    let answer = client.get(&format!("/Users/{user}?api-version=2"));
    assert_eq!(answer.header("content-type"), Some("application/json+scim"));
    let shown = answer.expect(200);

    let response = json!({
        "schemas": [
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:hid:scim:api:idp:2.0:UserDevice",
            "urn:hid:scim:api:idp:2.0:UserAttribute",
            "urn:hid:scim:api:idp:2.0:UserAuthenticator"],
        "id": "11058",
        "externalId": "jdoe",
        "meta": {
            "resourceType": "User",
            "created": "2018-12-05T23:00:00Z",
            "location": "https://[base-server-url]/scim/tenant/v2/Users/11058",
            "version": "1" },
        "userName": "jdoe",
        "name": { "familyName": "Doe", "givenName": "John" },
        "displayName": "John Doe",
        "userType": "FTRESS",
        "active": true,
        "groups": [{
            "type": "Group",
            "display": "Full Time Employees",
            "value": "USG_FTEMP",
            "$ref": "https://[base-server-url]/scim/tenant/v2/Groups/USG_FTEMP" }],
        "roles": [],
        (ATTRIBUTE): { "attributes": [
            { "name": "LASTNAME", "type": "string", "value": "Doe", "readOnly": false },
            { "name": "FIRSTNAME", "type": "string", "value": "John", "readOnly": false }] },
        (AUTHENTICATOR): { "authenticators": [{
            "display": "AT_EMPSMS",
            "value": "11058.AT_EMPSMS",
            "$ref": "https://[base-server-url]/scim/tenant/v2/Authenticator/11058.AT_EMPSMS" }] },
        (DEVICE): { "devices": [{
            "display": "11059",
            "value": "11059",
            "friendlyName": "my OOB device",
            "$ref": "https://[base-server-url]/scim/tenant/v2/Device/11059" }] },
    });
    compare(
        &response,
        &shown,
        &[(&user, "11058"), (&device, "11059")],
        &[
            ours("/meta/created", WHEN, "the instant of this run"),
            ours("/meta/lastModified", WHEN, "RFC 7643 section 3.1: beside `created`"),
        ],
    );
    let before = client.get(&format!("/Users/{user}")).expect(200);
    assert_eq!(before[DEVICE]["devices"][0].get("friendlyName"), None, "from api-version 2 on");
    assert_eq!(before[DEVICE]["devices"][0]["value"], device);
}

#[test]
fn an_id_that_nobody_has() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let told = bridge.client().get("/Users/11058").expect(404);
    assert_eq!((&told["status"], &told["errorCode"]), (&json!("404"), &json!(404)));
}
