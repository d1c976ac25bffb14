//! The dialect `activid` over a real directory: shapes, ids, searches, and both dialects beside one
//! another on one tenant.

mod beside;
mod filters;
mod shapes;
mod zero;

use serde_json::{Value, json};

use crate::support::bridge::Settings;
use crate::support::client::Client;
use crate::support::slapd::Slapd;

fn over(slapd: &Slapd) -> Settings {
    Settings::over(slapd).tenant("dialect = \"activid\"")
}

/// A new local user.
fn user(client: &mut Client, external_id: &str, family: &str) -> Value {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": external_id, "externalId": external_id,
        "name": { "givenName": "John", "familyName": family },
    });
    client.post("/Users", &body).expect(200)
}

/// What a federated search by `externalId` finds.
fn found(client: &mut Client, external_id: &str) -> Vec<Value> {
    let filter = format!("externalid eq \"{external_id}\"");
    let parameters = [("filter", &*filter), ("searchRepositories", "true")];
    listed(&client.query("/Users", &parameters).expect(200))
}

fn listed(list: &Value) -> Vec<Value> {
    list["resources"].as_array().unwrap_or_else(|| panic!("no resources: {list}")).clone()
}

fn external_ids(list: &Value) -> Vec<String> {
    let text = |user: &Value| user["externalId"].as_str().unwrap().to_owned();
    let mut ids: Vec<String> = listed(list).iter().map(text).collect();
    ids.sort_unstable();
    ids
}
