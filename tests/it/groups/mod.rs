//! Groups: what clients send about members, what a user's `groups` say, over local users and people
//! of a directory, and searches over all types.

mod everywhere;
mod forms;
mod many;
mod nested;
mod people;
mod shown;

use serde_json::{Value, json};

use crate::support::client::Client;

const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

fn operations(operations: &Value) -> Value {
    json!({ "schemas": [PATCH], "Operations": operations })
}

fn add(ids: &[&str]) -> Value {
    let values: Vec<Value> = ids.iter().map(|id| json!({ "value": id })).collect();
    operations(&json!([{ "op": "add", "path": "members", "value": values }]))
}

fn remove(id: &str) -> Value {
    operations(&json!([{ "op": "remove", "path": format!("members[value eq \"{id}\"]") }]))
}

/// A new local user's id.
fn user(client: &mut Client, name: &str) -> String {
    let made = client.post("/Users", &json!({ "userName": name })).expect(201);
    made["id"].as_str().unwrap().to_owned()
}

/// A new group's id.
fn group(client: &mut Client, name: &str, members: &[&str]) -> String {
    let members: Vec<Value> = members.iter().map(|id| json!({ "value": id })).collect();
    let body = json!({ "schemas": [GROUP], "displayName": name, "members": members });
    let made = client.post("/Groups", &body).expect(201);
    made["id"].as_str().unwrap().to_owned()
}

/// The ids of a group's members, sorted.
fn members(group: &Value) -> Vec<&str> {
    values(group, "members")
}

/// The `value`s of a list, sorted.
fn values<'a>(resource: &'a Value, list: &str) -> Vec<&'a str> {
    let listed = resource[list].as_array().map_or(&[][..], Vec::as_slice);
    let mut ids: Vec<&str> = listed.iter().map(|one| one["value"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids
}

fn sorted<'a>(ids: &[&'a str]) -> Vec<&'a str> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids
}
