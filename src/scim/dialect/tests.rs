//! The messages, byte for byte.

use serde_json::{Value, json};

use super::*;
use crate::scim::projection::Projection;
use crate::scim::resource::Attributes;
use crate::scim::schema::ResourceType;
use crate::scim::schema::standard::{ENTERPRISE, GROUP, SOURCE, USER};

const BASE: &str = "https://example.com/scim/acme/v2";

fn person() -> Attributes {
    let person = json!({
        "password": "t1meMa$heen",
        (SOURCE): { "userRepositoryId": "corp", "state": "live", "conflict": ["7"] },
        (ENTERPRISE): { "department": "Tour \"Operations\"", "manager": { "value": "26" } },
        "emails": [
            { "value": "bjensen@example.com", "type": "work", "primary": true },
            { "value": "babs@jensen.org", "type": "home" },
        ],
        "name": { "familyName": "Jensen", "givenName": "Bärbel\n\u{1}" },
        "userType": "FTRESS_LDAP",
        "userName": "bjensen",
        "shoeSize": 39,
        "photos": [{ "value": "https://example.com/babs.jpeg", "type": "photo" }],
        "active": true,
        "meta": {
            "created": "2026-01-31T08:30:00Z", "version": "W/\"3\"",
            "lastModified": "2026-02-01T08:30:00Z",
        },
        "externalId": "701984",
        "id": "corp.4/2 %",
    });
    match person {
        Value::Object(person) => person,
        _ => unreachable!(),
    }
}

fn look<'a>(kind: &'a ResourceType, projection: &'a Projection, show_source: bool) -> Look<'a> {
    static RFC: std::sync::LazyLock<Manner> = std::sync::LazyLock::new(Manner::rfc);
    Look { kind, projection, base: BASE, show_source, manner: &RFC }
}

fn rendered(projection: &Projection, show_source: bool) -> Value {
    let kind = ResourceType::user(&[]);
    let bytes =
        render_resource(&person(), &Numbers::default(), look(&kind, projection, show_source));
    let shown: Value = serde_json::from_slice(&bytes).unwrap();
    // The value-based form shows the same, but for what the dialect makes itself.
    let mut applied = projection.apply(&person(), &kind, show_source);
    let mut members = shown.as_object().unwrap().clone();
    members.remove("schemas");
    members.remove("meta");
    applied.remove("meta");
    assert_eq!(members, applied);
    shown
}

fn paths(texts: &[&str]) -> Vec<crate::scim::AttributePath> {
    let kind = ResourceType::user(&[]);
    texts.iter().map(|text| kind.resolve(text)).collect()
}

#[test]
fn a_resource_is_written_in_order_and_whole() {
    let kind = ResourceType::user(&[]);
    let bytes =
        render_resource(&person(), &Numbers::default(), look(&kind, &Projection::Default, true));
    let text = String::from_utf8(bytes).unwrap();
    let expected = concat!(
        r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","#,
        r#""urn:ietf:params:scim:schemas:extension:enterprise:2.0:User","#,
        r#""urn:scimbridge:schemas:2.0:Source"],"#,
        r#""id":"corp.4/2 %","externalId":"701984","#,
        r#""meta":{"resourceType":"User","created":"2026-01-31T08:30:00Z","#,
        r#""lastModified":"2026-02-01T08:30:00Z","#,
        r#""location":"https://example.com/scim/acme/v2/Users/corp.4%2F2%20%25","#,
        r#""version":"W/\"3\""},"#,
        r#""userName":"bjensen","#,
        r#""name":{"familyName":"Jensen","givenName":"Bärbel\n\u0001"},"#,
        r#""userType":"FTRESS_LDAP","active":true,"#,
        r#""emails":[{"value":"bjensen@example.com","type":"work","primary":true},"#,
        r#"{"value":"babs@jensen.org","type":"home"}],"#,
        r#""urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":"#,
        r#"{"department":"Tour \"Operations\"","manager":{"value":"26"}},"#,
        r#""urn:scimbridge:schemas:2.0:Source":"#,
        r#"{"userRepositoryId":"corp","state":"live","conflict":["7"]}}"#,
    );
    assert_eq!(text, expected);
}

#[test]
fn the_source_is_shown_where_it_tells_something_or_is_asked_for() {
    let shown = rendered(&Projection::Default, false);
    assert_eq!(shown["schemas"], json!([USER, ENTERPRISE]));
    assert!(shown.get(SOURCE).is_none());
    let asked = rendered(&Projection::Only(paths(&[SOURCE])), false);
    assert_eq!(asked[SOURCE]["userRepositoryId"], "corp");
    assert_eq!(asked["schemas"], json!([USER, SOURCE]));
    let one = rendered(&Projection::Only(paths(&["userrepositoryid"])), false);
    assert_eq!(one[SOURCE], json!({ "userRepositoryId": "corp" }));
    let without = rendered(&Projection::Without(paths(&["userName"])), false);
    assert!(without.get(SOURCE).is_none() && without.get("userName").is_none());
    let without = rendered(&Projection::Without(paths(&[SOURCE])), true);
    assert!(without.get(SOURCE).is_none());
}

#[test]
fn only_what_was_asked_for_and_what_is_always_there() {
    let only = paths(&["USERNAME", "name.familyName", "emails.value", "nobody", "password"]);
    let expected = json!({
        "schemas": [USER],
        "id": "corp.4/2 %",
        "userName": "bjensen",
        "name": { "familyName": "Jensen" },
        "emails": [{ "value": "bjensen@example.com" }, { "value": "babs@jensen.org" }],
    });
    assert_eq!(rendered(&Projection::Only(only), false), expected);

    let only = paths(&["emails.primary", "name.middleName", "meta.location"]);
    let expected = json!({
        "schemas": [USER],
        "id": "corp.4/2 %",
        "meta": { "location": "https://example.com/scim/acme/v2/Users/corp.4%2F2%20%25" },
        "emails": [{ "primary": true }],
    });
    assert_eq!(rendered(&Projection::Only(only), false), expected);

    let only = paths(&[&format!("{ENTERPRISE}:manager.value"), "emails", "emails.type"]);
    let expected = json!({
        "schemas": [USER, ENTERPRISE],
        "id": "corp.4/2 %",
        "emails": person()["emails"],
        (ENTERPRISE): { "manager": { "value": "26" } },
    });
    assert_eq!(rendered(&Projection::Only(only), true), expected);
}

#[test]
fn what_is_always_returned_cannot_be_excluded() {
    let without = paths(&[
        "id",
        "schemas",
        "meta",
        "externalId",
        "name",
        "emails.type",
        "emails.primary",
        "active",
        ENTERPRISE,
        "userType",
        "nobody",
    ]);
    let expected = json!({
        "schemas": [USER],
        "id": "corp.4/2 %",
        "userName": "bjensen",
        "emails": [{ "value": "bjensen@example.com" }, { "value": "babs@jensen.org" }],
    });
    assert_eq!(rendered(&Projection::Without(without), false), expected);
    let shown = rendered(&Projection::Without(paths(&["meta.version", "meta.created"])), false);
    assert_eq!(shown["meta"].as_object().unwrap().len(), 3);
}

#[test]
fn photos_are_shown_to_who_asks_for_them() {
    assert_eq!(rendered(&Projection::Default, true).get("photos"), None);
    let without = Projection::Without(paths(&["title"]));
    assert_eq!(rendered(&without, true).get("photos"), None);
    let shown = rendered(&Projection::Only(paths(&["PHOTOS"])), false);
    assert_eq!(shown["photos"], person()["photos"]);
    let shown = rendered(&Projection::Only(paths(&["photos.type"])), false);
    assert_eq!(shown["photos"], json!([{ "type": "photo" }]));
}

#[test]
fn requested_and_never_returned_attributes_keep_their_rule() {
    let own = serde_json::from_value(json!({
        "id": "urn:example:Own", "name": "Own", "attributes": [
            { "name": "quiet", "type": "string", "returned": "request" },
            { "name": "loud", "type": "string", "returned": "always" },
            { "name": "secret", "type": "string", "returned": "never" },
            { "name": "badge", "type": "complex", "subAttributes": [
                { "name": "number", "type": "string" },
                { "name": "pin", "type": "string", "returned": "never" },
                { "name": "issuer", "type": "string", "returned": "request" },
            ] },
        ],
    }));
    let kind = ResourceType::user(&[own.unwrap()]);
    let attributes = json!({ "id": "1", "urn:example:Own": {
        "quiet": "q", "loud": "l", "secret": "s",
        "badge": { "number": "n", "pin": "p", "issuer": "i" },
    } });
    let shown = |projection: Projection| {
        let bytes = render_resource(
            attributes.as_object().unwrap(),
            &Numbers::default(),
            look(&kind, &projection, false),
        );
        serde_json::from_slice::<Value>(&bytes).unwrap()["urn:example:Own"].clone()
    };
    assert_eq!(shown(Projection::Default), json!({ "loud": "l", "badge": { "number": "n" } }));
    let only = |text: &str| shown(Projection::Only(vec![kind.resolve(text)]));
    assert_eq!(only("urn:example:Own:quiet"), json!({ "quiet": "q", "loud": "l" }));
    assert_eq!(only("urn:example:Own:secret"), json!({ "loud": "l" }));
    let badge = json!({ "loud": "l", "badge": { "issuer": "i" } });
    assert_eq!(only("urn:example:Own:badge.issuer"), badge);
    let without = Projection::Without(vec![kind.resolve("urn:example:Own:loud")]);
    assert_eq!(shown(without), json!({ "loud": "l", "badge": { "number": "n" } }));
}

#[test]
fn a_list_joins_what_is_rendered() {
    let reports = [
        RepositoryReport {
            id: "corp".into(),
            state: ReportState::Stale,
            found: 12,
            age_seconds: 61,
            scan: false,
        },
        RepositoryReport {
            id: "lab".into(),
            state: ReportState::Unavailable,
            found: 0,
            age_seconds: 0,
            scan: true,
        },
    ];
    let head = ListHead {
        total: Some(18_446_744_073_709_551_615),
        start_index: Some(0),
        next_cursor: Some("a\"b"),
        previous_cursor: None,
        repositories: Some(&reports),
    };
    let list = render_list(
        &head,
        &[br#"{"id":"1"}"#.as_slice(), br#"{"id":"2"}"#.as_slice()],
        &Manner::rfc(),
    );
    let expected = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": 18_446_744_073_709_551_615_u64,
        "startIndex": 0,
        "itemsPerPage": 2,
        "nextCursor": "a\"b",
        (REPOSITORIES): [
            { "id": "corp", "state": "stale", "found": 12, "ageSeconds": 61, "scan": false },
            { "id": "lab", "state": "unavailable", "found": 0, "ageSeconds": 0, "scan": true },
        ],
        "Resources": [{ "id": "1" }, { "id": "2" }],
    });
    assert_eq!(serde_json::from_slice::<Value>(&list).unwrap(), expected);

    let none = render_list::<Vec<u8>>(&ListHead::default(), &[], &Manner::rfc());
    let expected = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "itemsPerPage": 0,
        "Resources": [],
    });
    assert_eq!(serde_json::from_slice::<Value>(&none).unwrap(), expected);
}

#[test]
fn errors_are_scim_errors() {
    let error = render_error(
        400,
        Some(ErrorKind::InvalidFilter),
        "at 3: \"x\"\u{7f}\u{1f}",
        &Manner::rfc(),
    );
    let expected = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
        "status": "400",
        "scimType": "invalidFilter",
        "detail": "at 3: \"x\"\u{7f}\u{1f}",
    });
    assert_eq!(serde_json::from_slice::<Value>(&error).unwrap(), expected);
    let error: Value =
        serde_json::from_slice(&render_error(404, None, "nobody", &Manner::rfc())).unwrap();
    assert_eq!((error["status"].as_str(), error.get("scimType")), (Some("404"), None));
}

#[test]
fn discovery_tells_what_the_data_say() {
    let user = ResourceType::user(&[]);
    let group = ResourceType::group(&[]);
    let types = [&user, &group];
    let parsed = |bytes: Vec<u8>| serde_json::from_slice::<Value>(&bytes).unwrap();

    let list = parsed(schemas_list(&types, BASE, Part::WHOLE, &Manner::rfc()));
    let ids: Vec<&str> =
        list["Resources"].as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap()).collect();
    let all = ids.len() as u64;
    assert!(ids.contains(&USER) && ids.contains(&GROUP) && ids.contains(&SOURCE));
    assert_eq!(list["totalResults"], all);

    let one = parsed(schema(&USER.to_uppercase(), &types, BASE, &Manner::rfc()).unwrap().body);
    assert_eq!(one["schemas"], json!(["urn:ietf:params:scim:schemas:core:2.0:Schema"]));
    assert_eq!(one["meta"]["location"], format!("{BASE}/Schemas/{USER}"));
    assert_eq!(one["attributes"][0]["name"], "userName");
    assert_eq!(one["attributes"][0]["uniqueness"], "server");
    assert!(schema("urn:nobody", &types, BASE, &Manner::rfc()).is_none());

    let list = parsed(resource_types_list(&types, BASE, Part::WHOLE, &Manner::rfc()));
    assert_eq!(list["Resources"][1]["schema"], GROUP);
    let one = parsed(resource_type("user", &types, BASE).unwrap().body);
    assert_eq!((one["endpoint"].as_str(), one["id"].as_str()), (Some("/Users"), Some("User")));
    assert_eq!(one["schemaExtensions"][0], json!({ "schema": ENTERPRISE, "required": false }));
    assert_eq!(one["meta"]["location"], format!("{BASE}/ResourceTypes/User"));
    assert!(resource_type("Robot", &types, BASE).is_none());

    for (start_index, count, shown) in [
        (1, u64::MAX, all),
        (1, 3, 3),
        (all - 1, 3, 2),
        (all, 0, 0),
        (all + 1, 1, 0),
        (u64::MAX, u64::MAX, 0),
    ] {
        let list = parsed(schemas_list(&types, BASE, Part { start_index, count }, &Manner::rfc()));
        let expected = json!([all, start_index, shown, shown]);
        let length = list["Resources"].as_array().unwrap().len();
        let found = [&list["totalResults"], &list["startIndex"], &list["itemsPerPage"]];
        assert_eq!(json!([found[0], found[1], found[2], length]), expected);
        if shown > 0 {
            let first = usize::try_from(start_index).unwrap() - 1;
            assert_eq!(list["Resources"][0]["id"], ids[first]);
        }
    }
}

#[test]
fn the_configuration_always_has_the_numbers_of_bulk() {
    let mut capabilities = Capabilities {
        max_results: 100,
        max_payload_size: 1_048_576,
        bulk_operations: None,
        change_password: false,
        sort: true,
        etag: true,
        cursor_timeout: 600,
    };
    let config = |capabilities: &Capabilities| -> Value {
        serde_json::from_slice(&service_provider_config(capabilities, BASE).body).unwrap()
    };
    let shown = config(&capabilities);
    let bulk = json!({ "supported": false, "maxOperations": 0, "maxPayloadSize": 0 });
    assert_eq!(shown["bulk"], bulk);
    assert_eq!(shown["filter"], json!({ "supported": true, "maxResults": 100 }));
    assert_eq!(shown["authenticationSchemes"][0]["type"], "oauthbearertoken");
    let pagination = json!({ "cursor": true, "index": true, "defaultPaginationMethod": "index",
        "defaultPageSize": 100, "maxPageSize": 100, "cursorTimeout": 600 });
    assert_eq!(shown["pagination"], pagination);
    capabilities.bulk_operations = Some(1_000);
    let bulk = json!({ "supported": true, "maxOperations": 1_000, "maxPayloadSize": 1_048_576 });
    assert_eq!(config(&capabilities)["bulk"], bulk);
}
