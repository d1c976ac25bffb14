//! "Create a User".

use serde_json::{Value, json};

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

/// What the payload's table calls required or mandatory, and is not here.
#[test]
fn what_the_document_asks_for_and_we_do_not() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    // `schemas`: there is one kind of resource at this address, and the document's own sample of a
    // federated user has none. `emails`: neither has that sample; a tenant asks for it by `required`.
    let plain = json!({ "externalId": "jdoe", "name": { "givenName": "John" } });
    client.post("/Users", &plain).expect(200);
    let strict = TestBridge::start(&tenant(Settings::local().tenant("required = [\"emails\"]")));
    let mut client = strict.client();
    let refused = client.post("/Users", &plain).expect(400);
    assert!(refused["detail"].as_str().unwrap().contains("emails"), "{refused}");
    let mut whole = plain;
    whole["emails"] = json!([{ "value": "jdoe@company.com" }]);
    client.post("/Users", &whole).expect(200);
}

/// Later versions of the API ask for another name than the document does.
#[test]
fn the_external_id_is_asked_for_below_version_4_and_the_user_name_from_it_on() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let name = json!({ "familyName": "Doe", "givenName": "John" });
    let (external, user) = (
        json!({ "externalId": "jdoe", "name": name }),
        json!({ "userName": "jroe", "name": name }),
    );
    for (version, asks_for, refused, taken) in
        [("3", "externalId", &user, &external), ("4", "userName", &external, &user)]
    {
        let path = format!("/Users?api-version={version}");
        let told = client.post(&path, refused).expect(400);
        assert!(told["detail"].as_str().unwrap().contains(asks_for), "{told}");
        let made = client.post(&path, taken).expect(200);
        assert_eq!(made[asks_for], taken[asks_for]);
        let twice = client.post(&path, taken).expect(409);
        assert_eq!((&twice["scimType"], &twice["errorCode"]), (&json!("uniqueness"), &json!(409)));
    }
    let both = json!({ "externalId": "x", "userName": "y", "name": name });
    let made = client.post("/Users?api-version=4", &both).expect(200);
    assert_eq!((&made["externalId"], &made["userName"]), (&json!("x"), &json!("y")));
}

/// The rows of the payload's table below the required ones, in one request; `UserDevice` as the table
/// spells it, without `2.0`.
#[test]
fn everything_that_a_new_user_may_be_given() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let token = json!({ "type": "DTC_TD898a", "externalId": "serial-1" });
    let device = id(&client.post("/Device", &token).expect(200));
    let company = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let request = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "externalId": "jdoe",
        "name": { "familyName": "Doe", "givenName": "John" },
        "urn:hid:scim:api:idp:UserDevice": { "devices": [{ "value": device }] },
        "urn:hid:scim:api:idp:UserAttribute": {
            "attributes": [{ "name": "DOB", "value": "1980-08-01" }] },
        (AUTHENTICATOR): { "authenticators": [{ "display": "AT_EMPSMS" }] },
        (company): { "organization": "ACME" },
        "roles": [{ "value": "RL_AUDITV" }],
        "groups": [{ "value": "USG_FTEMP" }],
        "title": "Dr.",
    });
    let made = client.post("/Users", &request).expect(200);
    assert_eq!(made[DEVICE]["devices"][0]["display"], "serial-1");
    let dated = |one: &Value| one["name"] == "DOB" && one["value"] == "1980-08-01";
    assert!(made[ATTRIBUTE]["attributes"].as_array().unwrap().iter().any(dated), "{made}");
    let value = format!("{}.AT_EMPSMS", id(&made));
    assert_eq!(made[AUTHENTICATOR]["authenticators"][0]["value"], value);
    assert_eq!(made[company]["organization"], "ACME");
    assert_eq!(made["roles"], json!([{ "display": "Audit Viewer", "value": "RL_AUDITV" }]));
    assert_eq!((&made["groups"][0]["value"], &made["title"]), (&json!("USG_FTEMP"), &json!("Dr.")));
    // "Created Date in UTC in format ISO8601"
    assert!(made["meta"]["created"].as_str().unwrap().ends_with('Z'), "{made}");
    // "Attributes if specified in the query", beside what is always shown.
    let shown = client.get(&format!("/Users/{}?attributes=title", id(&made))).expect(200);
    assert_eq!(shown, json!({ "schemas": shown["schemas"], "id": id(&made), "title": "Dr." }));
}
