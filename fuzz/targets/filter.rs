//! Any text as a filter: it is read or refused, what was read is written so that it reads the same, and
//! whatever the evaluation says of somebody, the opposite filter says the opposite.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use scimbridge::scim::filter::Filter;
use scimbridge::scim::schema::ResourceType;
use serde_json::{Value, json};

static USER: LazyLock<ResourceType> = LazyLock::new(|| ResourceType::user(&[]));
static SOMEBODY: LazyLock<serde_json::Map<String, Value>> = LazyLock::new(|| {
    let body = json!({
        "userName": "bjensen", "active": true, "title": "",
        "name": { "familyName": "Jensen", "givenName": "Straße" },
        "emails": [
            { "type": "work", "value": "bjensen@example.com", "primary": true },
            { "type": "home", "value": "İ@example.org" },
        ],
        "meta": { "created": "2011-08-01T18:29:49.793Z", "resourceType": "User" },
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": { "employeeNumber": "7" },
    });
    match body {
        Value::Object(attributes) => attributes,
        _ => unreachable!("an object is an object"),
    }
});

fuzz_target!(|text: &str| {
    let Ok(filter) = Filter::parse(text, &USER) else { return };
    let printed = filter.to_string();
    // `schemas pr` is read as what it comes to, for which the language has no words.
    if !holds_constant(&filter) {
        let again = Filter::parse(&printed, &USER).unwrap_or_else(|error| {
            panic!("{text:?} was written as {printed:?}, which is refused: {error}")
        });
        assert_eq!(again, filter, "{text:?} was written as {printed:?}");
    }
    let outcome = filter.matches(&SOMEBODY);
    assert_ne!(filter.clone().negate().matches(&SOMEBODY), outcome, "{printed:?}");
    assert_eq!(filter.simplify().matches(&SOMEBODY), outcome, "{printed:?}");
});

fn holds_constant(filter: &Filter) -> bool {
    match filter {
        Filter::Constant(_) => true,
        Filter::And(parts) | Filter::Or(parts) => parts.iter().any(holds_constant),
        Filter::Not(inner) => holds_constant(inner),
        Filter::Element { filter, .. } => holds_constant(filter),
        Filter::Compare { .. } | Filter::Present(_) => false,
    }
}
