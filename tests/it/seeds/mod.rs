//! APIs of other systems that are documented: each module follows one document in its order, on a
//! tenant that is set up to be such a system, and says where the bridge answers otherwise and why.
//! Knows nothing of the systems themselves.

mod accountmaker;
mod activid;
mod firstup;
mod lumoauth;
mod nevis;

use serde_json::{Value, json};

/// A PATCH body.
fn patch(operations: &Value) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": operations,
    })
}

fn id(resource: &Value) -> String {
    resource["id"].as_str().expect("a resource has an id").to_owned()
}

/// Every member of `expected`, at any depth, is in `shown`; what else is shown does not matter.
#[track_caller]
fn holds(shown: &Value, expected: &Value) {
    match expected {
        Value::Object(members) => {
            for (name, value) in members {
                assert!(shown.get(name).is_some(), "{name} is missing in {shown}");
                holds(&shown[name], value);
            }
        }
        Value::Array(elements) => {
            assert_eq!(shown.as_array().map(Vec::len), Some(elements.len()), "{shown}");
            for (at, value) in elements.iter().enumerate() {
                holds(&shown[at], value);
            }
        }
        _ => assert_eq!(shown, expected),
    }
}
