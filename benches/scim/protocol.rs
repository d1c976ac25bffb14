//! Filters, lists and patches: what each request costs before anybody is looked up.

use std::hint::black_box;

use scimbridge::scim::filter::Filter;
use scimbridge::scim::patch::{Patch, Tolerance};
use scimbridge::scim::schema::ResourceType;
use scimbridge::scim::schema::check::Purpose;
use serde::Serialize;
use serde_json::{Value, json};

use super::compare;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// An empty ListResponse as `serde_json` writes one from a struct, its fastest way.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EmptyList {
    schemas: [&'static str; 1],
    total_results: u64,
    start_index: u64,
    items_per_page: u64,
    #[serde(rename = "Resources")]
    resources: [(); 0],
}

pub fn run() {
    let kind = ResourceType::user(&[]);
    for filter in [
        "userName eq \"amelie.dubois@contoso.example\"",
        "externalId eq \"f81d4fae-7dec-11d0-a765-00a0c91e6bf6\"",
    ] {
        let name = filter.split(' ').next().unwrap();
        compare(
            &format!("filter {name} eq, parsed / empty list by serde_json"),
            1.0,
            || Filter::parse(black_box(filter), &kind).unwrap(),
            || {
                let list = EmptyList {
                    schemas: ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
                    total_results: 0,
                    start_index: 1,
                    items_per_page: 0,
                    resources: [],
                };
                serde_json::to_vec(black_box(&list)).unwrap()
            },
        );
    }

    let user = user();
    let text = serde_json::to_vec(&user).unwrap();
    assert!((1_900..2_100).contains(&text.len()), "the user has {} bytes", text.len());
    let checked = kind.check(user, Purpose::Create).expect("a good user").attributes;
    let operations = twenty_operations();
    assert_eq!(operations["Operations"].as_array().map(Vec::len), Some(20));
    let body = serde_json::to_vec(&operations).unwrap();
    compare(
        "PATCH of 20 operations, read and applied / user of 2 KB read",
        10.0,
        || {
            let body: Value = serde_json::from_slice(black_box(&body)).unwrap();
            let patch = Patch::parse(&body, &kind, Tolerance::default()).unwrap();
            patch.apply(black_box(&checked), &kind, Tolerance::default()).unwrap()
        },
        || serde_json::from_slice::<Value>(black_box(&text)).unwrap(),
    );
}

fn user() -> Value {
    let address = |kind: &str| {
        json!({
            "type": kind, "formatted": "100 Universal City Plaza\nHollywood, CA 91608 USA",
            "streetAddress": "100 Universal City Plaza", "locality": "Hollywood", "region": "CA",
            "postalCode": "91608", "country": "USA", "primary": kind == "work",
        })
    };
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
        "externalId": "701984", "userName": "bjensen@example.com", "active": true,
        "name": {
            "formatted": "Ms. Barbara J Jensen, III", "familyName": "Jensen",
            "givenName": "Barbara", "middleName": "Jane", "honorificPrefix": "Ms.",
            "honorificSuffix": "III",
        },
        "displayName": "Babs Jensen", "nickName": "Babs", "title": "Tour Guide",
        "profileUrl": "https://login.example.com/bjensen", "locale": "en-US",
        "preferredLanguage": "en-US", "timezone": "America/Los_Angeles",
        "emails": [
            { "value": "bjensen@example.com", "type": "work", "primary": true },
            { "value": "babs@jensen.org", "type": "home" },
        ],
        "phoneNumbers": [
            { "value": "555-555-5555", "type": "work" },
            { "value": "555-555-4444", "type": "mobile" },
            { "value": "555-555-3333", "type": "fax" },
        ],
        "addresses": [address("work"), address("home"), address("other")],
        "photos": [{ "value": "https://photos.example.com/profilephoto/72930000000Ccne/F", "type": "photo" }],
        "ims": [{ "value": "someaimhandle", "type": "aim" }],
        "roles": [{ "value": "guide", "display": "Guide", "type": "tours", "primary": true }],
        "entitlements": [{ "value": "bus-4", "display": "Bus number four" }],
        (ENTERPRISE): {
            "employeeNumber": "701984", "costCenter": "4130", "organization": "Universal Studios",
            "division": "Theme Park", "department": "Tour Operations",
            "manager": { "value": "26118915-6090-4610-87e4-49d8ca9f808d" },
        },
    })
}

/// What Entra's validator sends, about: single values, sub-attributes, elements by type.
fn twenty_operations() -> Value {
    let replace =
        |path: &str, value: &str| json!({ "op": "replace", "path": path, "value": value });
    let enterprise = |name: &str| format!("{ENTERPRISE}:{name}");
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [
            { "op": "replace", "path": "active", "value": false },
            replace("displayName", "Barbara Jensen"),
            replace("title", "Senior Tour Guide"),
            replace("emails[type eq \"work\"].value", "barbara@example.com"),
            replace("preferredLanguage", "fr-FR"),
            replace("name.givenName", "Barbora"),
            replace("name.familyName", "Jensenova"),
            replace("name.formatted", "Barbora Jensenova"),
            replace("addresses[type eq \"work\"].streetAddress", "1 Main Street"),
            replace("addresses[type eq \"work\"].locality", "Springfield"),
            replace("addresses[type eq \"work\"].postalCode", "12345"),
            replace("phoneNumbers[type eq \"work\"].value", "555-555-0001"),
            replace("phoneNumbers[type eq \"mobile\"].value", "555-555-0002"),
            replace(&enterprise("employeeNumber"), "701985"),
            replace(&enterprise("department"), "Night Tours"),
            replace(&enterprise("costCenter"), "4131"),
            replace("roles[primary eq true].display", "Night guide"),
            replace("nickName", "Bara"),
            { "op": "add", "path": "emails", "value": [{ "value": "b@jensen.org", "type": "other" }] },
            { "op": "remove", "path": "ims" },
        ],
    })
}
