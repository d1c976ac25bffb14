//! Any text as the path of a PATCH operation: it is read or refused, and what it does passes the schema
//! check.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use scimbridge::scim::patch::{Patch, Tolerance};
use scimbridge::scim::schema::ResourceType;
use scimbridge::scim::schema::check::Purpose;
use serde_json::{Value, json};

static USER: LazyLock<ResourceType> = LazyLock::new(|| ResourceType::user(&[]));

fuzz_target!(|path: &str| {
    let somebody = json!({
        "userName": "bjensen", "active": true,
        "name": { "familyName": "Jensen" },
        "emails": [
            { "type": "work", "value": "b@example.com", "primary": true },
            { "type": "home", "value": "h@example.com" },
        ],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": { "manager": { "value": "26" } },
    });
    let Value::Object(before) = somebody else { return };
    for (op, value) in [
        ("add", json!("x")),
        ("replace", json!([{ "value": "x", "type": "work" }])),
        ("replace", json!({ "value": "x" })),
        ("replace", json!(true)),
        ("remove", Value::Null),
    ] {
        let body = json!({ "Operations": [{ "op": op, "path": path, "value": value }] });
        let tolerance = Tolerance { create_on_absent_value_path: true, ..Tolerance::default() };
        let Ok(patch) = Patch::parse(&body, &USER, tolerance) else { continue };
        let Ok(after) = patch.apply(&before, &USER, tolerance) else { continue };
        let checked = USER.check(Value::Object(after.clone()), Purpose::Create);
        assert_eq!(checked.map(|checked| checked.attributes), Ok(after), "{op} {path:?}");
    }
});
