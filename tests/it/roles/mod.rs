//! Groups and roles that the configuration names, and roles that clients make.

mod ceilings;
mod configured;
mod filters;
mod hierarchy;
mod through;

use serde_json::{Value, json};

use crate::support::bridge::Settings;
use crate::support::client::{Answer, Client};

const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

fn patch(client: &mut Client, path: &str, operation: &Value) -> Answer {
    client.patch(path, &json!({ "schemas": [PATCH], "Operations": [operation] }))
}

fn operation(op: &str, path: &str, value: impl Into<Value>) -> Value {
    json!({ "op": op, "path": path, "value": value.into() })
}

/// A company with a hierarchy of three groups, of which the highest and the lowest carry roles.
pub fn company() -> Settings {
    Settings::local().rest(TABLES)
}

pub const TABLES: &str = r#"
[[tenant.group]]
id = "UT_EMP"
display = "Employees"
roles = ["RL_STAFF"]

[[tenant.group]]
id = "USG_FTEMP"
display = "Full Time Employees"
parent = "UT_EMP"

[[tenant.group]]
id = "USG_AUDIT"
display = "Auditors"
parent = "USG_FTEMP"
roles = ["RL_AUDITV"]

[[tenant.role]]
id = "RL_STAFF"
display = "Staff"

[[tenant.role]]
id = "RL_AUDITV"
display = "Audit Viewer"
rank = 10

[[tenant.role]]
id = "RL_CFGMGR"
display = "Configuration Manager"
rank = 20
"#;
