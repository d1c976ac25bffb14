//! "Import Users".

use serde_json::{Value, json};

use super::get_import_status::ended;
use super::sample::compare;
use super::{id, tenant};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;

/// A row of the samples.
pub fn user(number: u32) -> Value {
    json!({
        "emails": [{ "value": format!("email{number}@company.com") }],
        "name": { "familyName": format!("last{number}"), "givenName": format!("first{number}") },
        "externalId": format!("bb0_{number}"),
    })
}

/// Hands a batch in; its correlation id.
pub fn import(client: &mut Client, users: &[Value]) -> String {
    let body = json!({ "users": users, "group": { "value": "USG_FTEMP" } });
    let queued = client.post("/Users/.import", &body).expect(202);
    queued["correlationId"].as_str().expect("a correlation id").to_owned()
}

/// The document names no status: what is accepted and not yet done is 202.
#[test]
fn sample_request_and_response() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let request = json!({
        "users": [user(100_000), user(100_001)],
        "group": { "value": "USG_FTEMP" },
    });
    let answer = client.post("/Users/.import", &request);
    assert_eq!(answer.header("content-type"), Some("application/json+scim"));
    let shown = answer.expect(202);
    let correlation = shown["correlationId"].as_str().unwrap();
    let response = json!({
        "schemas": ["urn:hid:scim:api:idp:2.0:user:ImportResponse"],
        "meta": {
            "resourceType": "UserImportResponse",
            "location": "https://[base-server-url]/scim/tenant/v2/Users/.import/1P5FOESDK44J6Q0QAHK2",
            "version": "1" },
        "correlationId": "1P5FOESDK44J6Q0QAHK2",
    });
    compare(&response, &shown, &[(correlation, "1P5FOESDK44J6Q0QAHK2")], &[]);
    assert_eq!(correlation.len(), "1P5FOESDK44J6Q0QAHK2".len());
    assert_eq!(ended(&mut client, correlation)["nbImported"], 2);
    let found = client.query("/Users", &[("filter", "externalId eq bb0_100000")]).expect(200);
    let made = &found["resources"][0];
    assert_eq!(
        (&made["userName"], &made["displayName"]),
        (&json!("bb0_100000"), &json!("first100000 last100000"))
    );
    assert_eq!(made["emails"], json!([{ "value": "email100000@company.com" }]));
    assert_eq!(made["groups"][0]["value"], "USG_FTEMP");
    // "to look for events in the audit log"
    let events = format!(
        "SELECT event FROM audit WHERE correlation_id = '{correlation}' AND event = 'createUser'"
    );
    assert_eq!(bridge.query(&events).len(), 2);
}

/// As it is printed, the sample is no JSON: a comma too many, and a name without quotes.
#[test]
fn the_sample_as_it_is_printed() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let comma =
        "{\"users\": [{\"externalId\": \"bb0_100000\",}], \"group\": {\"value\": \"USG_FTEMP\"}}";
    let name = "{\"users\": [{\"externalId\": \"bb0_100000\"}], \"group\": {value: \"USG_FTEMP\"}}";
    for printed in [comma, name] {
        let refused = client.send("POST", "/Users/.import", &[], printed.as_bytes()).expect(400);
        assert_eq!(
            (&refused["scimType"], &refused["errorCode"]),
            (&json!("invalidSyntax"), &json!(1006))
        );
        assert!(refused["detail"].as_str().unwrap().contains("line 1 column"), "{refused}");
    }
}

/// `users` and `group` are mandatory.
#[test]
fn what_must_be_there_and_what_must_be_known() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    for (body, named) in [
        (json!({ "users": [user(1)] }), "group.value"),
        (json!({ "group": { "value": "USG_FTEMP" } }), "users"),
        (json!({ "users": [user(1)], "group": { "value": "USG_NONE" } }), "USG_NONE"),
        (
            json!({ "users": [user(1)], "group": { "value": "USG_FTEMP" }, "authenticatorPolicy": { "value": "AT_NONE" } }),
            "AT_NONE",
        ),
    ] {
        let refused = client.post("/Users/.import", &body).expect(400);
        assert!(refused["detail"].as_str().unwrap().contains(named), "{refused}");
    }
    assert_eq!(client.get("/Users").expect(200)["totalResults"], 0);
}

/// `authenticatorPolicy`: with a password that nobody knows, "not disabled nor expired so that it can be
/// reset".
#[test]
fn every_user_of_a_batch_is_given_a_login_authenticator() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let mut request = json!({
        "users": [user(100_000), user(100_001)],
        "group": { "value": "USG_FTEMP" },
        "authenticatorPolicy": { "value": "AT_EMPPWD" },
    });
    let queued = client.post("/Users/.import", &request).expect(202);
    assert_eq!(ended(&mut client, queued["correlationId"].as_str().unwrap())["nbImported"], 2);
    let list = client.get("/Users").expect(200);
    for user in list["resources"].as_array().unwrap() {
        let value = format!("{}.AT_EMPPWD", id(user));
        let section = user[super::AUTHENTICATOR]["authenticators"].as_array().unwrap();
        assert_eq!((section.len(), &section[0]["value"]), (1, &json!(value)), "{user}");
        let shown = client.get(&format!("/Authenticator/{value}")).expect(200);
        assert_eq!(shown["status"], json!({ "status": "ENABLED", "active": true }));
        assert_eq!(shown["urn:hid:scim:api:idp:2.0:Password"], json!({ "reset": true }));
    }
    // A "login" type policy is asked for, and this is none.
    request["authenticatorPolicy"]["value"] = json!("AT_EMPSMS");
    let refused = client.post("/Users/.import", &request).expect(400);
    assert_eq!(refused["scimType"], "invalidValue");
    assert!(refused["detail"].as_str().unwrap().contains("AT_EMPSMS"), "{refused}");
}

/// "The function only takes the base user schema"; whose row brings more is not made, and it is told why.
#[test]
fn a_row_is_of_the_base_schema() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let extended = |number: u32, name: &str, value: Value| {
        let mut row = user(number);
        row[name] = value;
        row
    };
    let rows = [
        extended(1, "groups", json!([{ "value": "USG_FTEMP" }])),
        extended(2, "roles", json!([{ "value": "RL_AUDITV" }])),
        extended(
            3,
            super::AUTHENTICATOR,
            json!({ "authenticators": [{ "display": "AT_EMPSMS" }] }),
        ),
        extended(4, super::DEVICE, json!({ "devices": [{ "value": "1" }] })),
        extended(5, "title", json!("Dr.")),
    ];
    let correlation = import(&mut client, &rows);
    let told = ended(&mut client, &correlation);
    assert_eq!((&told["nbFailed"], &told["nbImported"]), (&json!(4), &json!(1)));
    let reasons = told["urn:scimbridge:api:messages:2.0:Import"]["rows"].as_array().unwrap();
    for (row, named) in reasons.iter().zip(["groups", "roles", "UserAuthenticator", "UserDevice"]) {
        assert!(row["detail"].as_str().unwrap().contains(named), "{row}");
    }
    let made = client.get("/Users").expect(200);
    assert_eq!((&made["totalResults"], &made["resources"][0]["title"]), (&json!(1), &json!("Dr.")));
}

/// "It is not possible to re-submit an import batch with new or updated information": a PUT is for that.
#[test]
fn a_batch_that_comes_again_changes_nobody() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let first = import(&mut client, &[user(1)]);
    assert_eq!(ended(&mut client, &first)["nbImported"], 1);
    let made = client.get("/Users").expect(200)["resources"][0].clone();
    let mut changed = user(1);
    changed["title"] = json!("Dr.");
    let second = import(&mut client, &[changed.clone()]);
    let told = ended(&mut client, &second);
    assert_eq!((&told["nbAlreadyExisted"], &told["nbImported"]), (&json!(1), &json!(0)));
    let path = format!("/Users/{}", id(&made));
    assert_eq!(client.get(&path).expect(200), made);
    changed["groups"] = made["groups"].clone();
    assert_eq!(client.put(&path, &changed).expect(200)["title"], "Dr.");
}
