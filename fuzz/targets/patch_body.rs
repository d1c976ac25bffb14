//! Any JSON as the body of a PATCH request: it is read or refused, and what it does to somebody passes the
//! schema check.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use scimbridge::scim::patch::{Patch, Tolerance};
use scimbridge::scim::schema::ResourceType;
use scimbridge::scim::schema::check::Purpose;
use serde_json::{Value, json};

static KINDS: LazyLock<[ResourceType; 2]> =
    LazyLock::new(|| [ResourceType::user(&[]), ResourceType::group(&[])]);

fuzz_target!(|body: &[u8]| {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return };
    let somebody = [
        json!({
            "userName": "bjensen", "active": true,
            "name": { "familyName": "Jensen" },
            "emails": [
                { "type": "work", "value": "b@example.com", "primary": true },
                { "type": "home", "value": "h@example.com" },
            ],
        }),
        json!({ "displayName": "Tour Guides", "members": [{ "value": "26" }, { "value": "27" }] }),
    ];
    for (kind, before) in KINDS.iter().zip(somebody) {
        let Value::Object(before) = before else { return };
        let tolerance = Tolerance { create_on_absent_value_path: true, ..Tolerance::default() };
        let Ok(patch) = Patch::parse(&body, kind, tolerance) else { continue };
        let Ok(after) = patch.apply(&before, kind, tolerance) else { continue };
        let checked = kind.check(Value::Object(after.clone()), Purpose::Create);
        assert_eq!(checked.map(|checked| checked.attributes), Ok(after), "{body}");
    }
});
