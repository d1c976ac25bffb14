//! "Required Permissions": of the document's table only the functions are left; here stands what each
//! asks for.

use serde_json::{Value, json};

use super::{id, john, tenant};
use crate::support::bridge::{Settings, TestBridge};

const FUNCTIONS: [(&str, &str); 7] = [
    ("GET", "users:read"),
    ("CREATE", "users:create"),
    ("REPLACE", "users:replace"),
    ("DELETE", "users:delete"),
    ("SEARCH", "users:search"),
    ("FORGET", "users:forget"),
    ("IMPORT", "users:import"),
];

/// The token that has this permission alone, and the one that has all others.
fn tokens(permission: &str) -> [String; 2] {
    let name = permission.replace(':', ".");
    [format!("only.{name}"), format!("all.but.{name}")]
}

#[test]
fn each_function_asks_for_its_own_permission_and_for_no_other() {
    let mut settings = tenant(Settings::local());
    for (_, permission) in FUNCTIONS {
        let others: Vec<&str> = FUNCTIONS
            .iter()
            .map(|(_, other)| *other)
            .filter(|other| *other != permission)
            .collect();
        let [only, but] = tokens(permission);
        settings = settings.token(&only, &only, &[permission]).token(&but, &but, &others);
    }
    let bridge = TestBridge::start(&settings);
    let user = format!("/Users/{}", id(&bridge.client().post("/Users", &john("USG_FTEMP")).json()));
    let other = json!({ "externalId": "other", "name": { "givenName": "Other" } });
    let batch = json!({ "users": [], "group": { "value": "USG_FTEMP" } });
    for (function, method, path, body, status) in [
        ("GET", "GET", &*user, Value::Null, 200),
        ("SEARCH", "POST", "/Users/.search", json!({}), 200),
        ("SEARCH", "GET", "/Users", Value::Null, 200),
        ("CREATE", "POST", "/Users", other, 200),
        ("REPLACE", "PUT", &*user, john("USG_CUST2"), 200),
        ("IMPORT", "POST", "/Users/.import", batch, 202),
        ("DELETE", "DELETE", &*user, Value::Null, 204),
        ("FORGET", "POST", "/Users/.forget", json!({ "externalId": "jdoe" }), 204),
    ] {
        let permission = FUNCTIONS.iter().find(|(name, _)| *name == function).unwrap().1;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let [only, but] = tokens(permission);
        let refused = bridge.client_as(&but).send(method, path, &[], body.as_bytes()).expect(403);
        assert!(refused["detail"].as_str().unwrap().contains(permission), "{function}: {refused}");
        assert_eq!(refused["errorCode"], 403);
        let answer = bridge.client_as(&only).send(method, path, &[], body.as_bytes());
        assert_eq!(answer.status, status, "{function}: {}", answer.text());
    }
}
