//! What users have under codes (`urn:hid:scim:api:idp:2.0:UserAttribute`), and what a dialect asks of
//! the bodies of users.

use serde_json::{Value, json};

use crate::support::bridge::Settings;
use crate::support::client::Client;

mod bodies;
mod directories;
mod local;

const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
const CODES: &str = "urn:hid:scim:api:idp:2.0:UserAttribute";

/// The token that speaks RFC 7644 where the tenant speaks as the ActivID Appliance does.
const RFC: &str = "token-that-speaks-rfc";

/// In the dialect `activid`, with [`RFC`] beside the usual token.
fn activid(settings: Settings) -> Settings {
    settings
        .tenant("dialect = \"activid\"\nuser_attributes = { DOB = \"date\", CARS = { multi_valued = true } }")
        .token("rfc", RFC, &["*"])
        .token_line("dialect = \"rfc\"")
}

fn path(user: &Value) -> String {
    format!("/Users/{}", user["id"].as_str().unwrap())
}

/// What is shown under a code; `null` where nothing is.
fn code(user: &Value, name: &str) -> Value {
    let elements = user[CODES]["attributes"].as_array().into_iter().flatten();
    let mut found = elements.filter(|element| element["name"] == name);
    let first = found.next().cloned().unwrap_or_default();
    assert!(found.next().is_none(), "{name} once: {user}");
    first
}

/// A body's codes.
fn codes(pairs: &[(&str, &str)]) -> Value {
    let element = |(name, value): &(&str, &str)| json!({ "name": name, "value": value });
    json!({ "attributes": pairs.iter().map(element).collect::<Vec<_>>() })
}

fn operation(op: &str, path: &str, value: impl Into<Value>) -> Value {
    json!({ "Operations": [{ "op": op, "path": path, "value": value.into() }] })
}

/// The names of those whom a filter finds, in order.
fn found(client: &mut Client, filter: &str, everywhere: bool) -> Vec<String> {
    let everywhere = if everywhere { "true" } else { "false" };
    let parameters = [
        ("filter", filter),
        ("searchRepositories", everywhere),
        ("attributes", "userName"),
        ("count", "100"),
    ];
    let list = client.query("/Users", &parameters).expect(200);
    let users = list.get("Resources").or_else(|| list.get("resources")).unwrap();
    let name = |user: &Value| user["userName"].as_str().unwrap().to_owned();
    let mut names: Vec<String> = users.as_array().unwrap().iter().map(name).collect();
    names.sort();
    names
}
