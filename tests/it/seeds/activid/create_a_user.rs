//! "Create a User".

use serde_json::json;

use super::sample::{WHEN, compare, ours};
use super::{ATTRIBUTE, AUTHENTICATOR, DEVICE, id, tenant};
use crate::support::bridge::{Settings, TestBridge};

#[test]
fn sample_request_and_response() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let request = json!({
        "schemas": [
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:hid:scim:api:idp:2.0:Attribute",
            "urn:hid:scim:api:idp:2.0:UserDevice"],
        "externalId": "jdoe",
        "name": { "familyName": "Doe", "givenName": "John" },
        "emails": [{ "value": "jdoe@company.com", "type": "work" }],
        "groups": [{ "value": "USG_CUST2" }],
        (ATTRIBUTE): { "attributes": [{ "name": "DOB", "value": "1980-08-01" }] },
    });
    let accept = [("Accept", "application/scim+json")];
    let answer = client.send("POST", "/Users/", &accept, request.to_string().as_bytes());
    assert_eq!(answer.header("content-type"), Some("application/json+scim"));
    let location = answer.header("location").unwrap().to_owned();
    let shown = answer.expect(200);
    // The sample's Location names another number and another path than its own meta.location.
    assert_eq!(shown["meta"]["location"], location);

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
            "created": "2017-11-20T14:59:09Z",
            "location": "https://[base-server-url]/scim/tenant/v2/Users/11288",
            "version": "1" },
        "userName": "jdoe",
        "name": { "familyName": "Doe", "givenName": "John" },
        "displayName": "John Doe",
        "userType": "FTRESS",
        "active": true,
        "emails": [{ "value": "jdoe@company.com" }],
        "groups": [{
            "type": "Group",
            "display": "Business Online Banking",
            "value": "USG_CUST2",
            "$ref": "https://[base-server-url]/scim/tenant/v2/Groups/USG_CUST2" }],
        "roles": [],
        (ATTRIBUTE): { "attributes": [
            { "name": "ATR_EMAIL", "type": "string", "value": "jdoe@company.com", "readOnly": false },
            { "name": "LASTNAME", "type": "string", "value": "Doe", "readOnly": false },
            { "name": "DOB", "type": "string", "value": "1980-08-01", "readOnly": false },
            { "name": "FIRSTNAME", "type": "string", "value": "John", "readOnly": false }] },
        (AUTHENTICATOR): { "authenticators": [] },
        (DEVICE): { "devices": [] },
    });
    compare(
        &response,
        &shown,
        &[(&id(&shown), "11288")],
        &[
            ours("/meta/created", WHEN, "the instant of this run"),
            ours("/meta/lastModified", WHEN, "RFC 7643 section 3.1: beside `created`"),
            ours(
                "/emails/jdoe@company.com/type",
                "work",
                "the request says so; what is sent is kept",
            ),
        ],
    );
}

#[test]
fn what_must_be_there_and_what_must_be_known() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let name = json!({ "familyName": "Doe", "givenName": "John" });
    for (body, scim_type) in [
        (json!({ "name": name }), "invalidValue"),
        (json!({ "externalId": "jdoe" }), "invalidValue"),
        (
            json!({ "externalId": "jdoe", "name": name, "groups": [{ "value": "USG_NONE" }] }),
            "invalidValue",
        ),
        (
            json!({ "externalId": "jdoe", "name": name, "roles": [{ "value": "RL_NONE" }] }),
            "invalidValue",
        ),
        (
            json!({ "externalId": "jdoe", "name": name, "groups": [{ "value": "USG_CUST2" }, { "value": "USG_FTEMP" }] }),
            "invalidValue",
        ),
        (
            json!({ "externalId": "jdoe", "name": name, "emails": [{ "value": "a@b" }, { "value": "c@d" }] }),
            "invalidValue",
        ),
    ] {
        let refused = client.post("/Users", &body).expect(400);
        assert_eq!(refused["scimType"], scim_type, "{body}: {refused}");
        assert!(refused["errorCode"].is_u64(), "{refused}");
    }
}
