//! What RFC 7644 section 3.5.2 shows, and the rules beyond its examples.

#![expect(clippy::needless_pass_by_value, reason = "values are written where they are given")]

use serde_json::{Value, json};

use super::*;
use crate::scim::error::ErrorKind;
use crate::scim::resource::Attributes;
use crate::scim::schema::ResourceType;
use crate::scim::schema::standard::{ENTERPRISE, SOURCE, USER, USER_ATTRIBUTE};

pub(super) const RFC: Tolerance = Tolerance {
    create_on_absent_value_path: false,
    strict: false,
    pass_over_read_only: false,
    loose_forms: false,
};

pub(super) fn object(value: Value) -> Attributes {
    match value {
        Value::Object(members) => members,
        other => panic!("{other} is no object"),
    }
}

pub(super) fn outcome(
    kind: &ResourceType,
    current: Value,
    operations: Value,
    tolerance: Tolerance,
) -> Result<Value, ScimError> {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": operations,
    });
    let current = object(current);
    Patch::parse(&body, kind, tolerance)?.apply(&current, kind, tolerance).map(Value::Object)
}

#[track_caller]
pub(super) fn becomes(current: Value, operations: Value, expected: Value) {
    let after = outcome(&ResourceType::user(&[]), current, operations, RFC).unwrap();
    assert_eq!(after, expected);
}

#[track_caller]
pub(super) fn becomes_group(current: Value, operations: Value, expected: Value) {
    let after = outcome(&ResourceType::group(&[]), current, operations, RFC).unwrap();
    assert_eq!(after, expected);
}

#[track_caller]
pub(super) fn refused(current: Value, operations: Value, kind: ErrorKind) -> String {
    let error = outcome(&ResourceType::user(&[]), current, operations, RFC).unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    error.detail
}

pub(super) fn babs() -> Value {
    json!({
        "id": "2819c223",
        "userName": "bjensen",
        "name": { "familyName": "Jensen", "givenName": "Barbara" },
        "active": true,
        "emails": [
            { "value": "bjensen@example.com", "type": "work", "primary": true },
            { "value": "babs@jensen.org", "type": "home" },
        ],
        "addresses": [
            { "type": "work", "streetAddress": "100 Universal City Plaza", "locality": "Hollywood" },
            { "type": "home", "streetAddress": "456 Hollywood Blvd" },
        ],
        (ENTERPRISE): { "department": "Tours", "manager": { "value": "26", "displayName": "J" } },
    })
}

/// `babs` with one attribute set, or taken away by `null`.
pub(super) fn babs_with(name: &str, value: Value) -> Value {
    let mut attributes = object(babs());
    if value.is_null() {
        attributes.shift_remove(name);
    } else {
        attributes.insert(name.to_owned(), value);
    }
    Value::Object(attributes)
}

// RFC 7644 section 3.5.2.1

#[test]
fn add_a_member_of_a_group() {
    let given = json!({
        "display": "Babs Jensen",
        "$ref": "https://example.com/v2/Users/2819c223",
        "value": "2819c223",
    });
    let operations = json!([{ "op": "add", "path": "members", "value": [given] }]);
    let member = json!({ "$ref": "https://example.com/v2/Users/2819c223", "value": "2819c223" });
    let before = json!({ "displayName": "Guides" });
    let after = json!({ "displayName": "Guides", "members": [member] });
    becomes_group(before, operations.clone(), after.clone());
    becomes_group(after.clone(), operations, after);
}

#[test]
fn add_without_a_path_adds_each_attribute() {
    let operations = json!([{ "op": "add", "value": {
        "emails": [{ "value": "babs@example.org", "type": "other" }],
        "nickname": "Babs",
    } }]);
    let mut expected = object(babs_with("nickName", json!("Babs")));
    let emails = expected["emails"].as_array_mut().unwrap();
    emails.push(json!({ "value": "babs@example.org", "type": "other" }));
    becomes(babs(), operations.clone(), Value::Object(expected.clone()));
    becomes(Value::Object(expected.clone()), operations, Value::Object(expected));
}

// RFC 7644 section 3.5.2.2

pub(super) fn guides() -> Value {
    json!({ "displayName": "Guides", "members": [
        { "value": "2819c223", "type": "User" }, { "value": "902c246b" },
    ] })
}

#[test]
fn remove_one_member_of_a_group() {
    let operations = json!([{ "op": "remove", "path": "members[value eq \"2819C223\"]" }]);
    let after = json!({ "displayName": "Guides", "members": [{ "value": "902c246b" }] });
    becomes_group(guides(), operations.clone(), after.clone());
    becomes_group(after.clone(), operations, after);
}

#[test]
fn remove_all_members_of_a_group() {
    let operations = json!([{ "op": "remove", "path": "members" }]);
    becomes_group(guides(), operations, json!({ "displayName": "Guides" }));
}

#[test]
fn remove_a_value_selected_by_two_terms() {
    let path = "emails[type eq \"work\" and value ew \"example.com\"]";
    let operations = json!([{ "op": "remove", "path": path }]);
    let home = json!([{ "value": "babs@jensen.org", "type": "home" }]);
    becomes(babs(), operations, babs_with("emails", home));
}

#[test]
fn remove_a_member_and_add_another_in_one_request() {
    let operations = json!([
        { "op": "remove", "path": "members[value eq \"2819c223\"]" },
        { "op": "add", "path": "members", "value": [{ "value": "08e1d05d" }] },
    ]);
    let members = json!([{ "value": "902c246b" }, { "value": "08e1d05d" }]);
    becomes_group(guides(), operations, json!({ "displayName": "Guides", "members": members }));
}

#[test]
fn replace_all_members_by_remove_and_add() {
    let operations = json!([
        { "op": "remove", "path": "members" },
        { "op": "add", "path": "members", "value": [{ "value": "a" }, { "value": "b" }] },
    ]);
    let members = json!([{ "value": "a" }, { "value": "b" }]);
    becomes_group(guides(), operations, json!({ "displayName": "Guides", "members": members }));
}

// RFC 7644 section 3.5.2.3

#[test]
fn replace_all_members_of_a_group() {
    let operations = json!([
        { "op": "replace", "path": "members", "value": [{ "value": "a", "display": "A" }] },
    ]);
    let expected = json!({ "displayName": "Guides", "members": [{ "value": "a" }] });
    becomes_group(guides(), operations, expected);
}

#[test]
fn replace_a_selected_address() {
    let operations = json!([{ "op": "replace", "path": "addresses[type eq \"work\"]", "value": {
        "type": "work", "streetAddress": "911 Universal City Plaza", "locality": "Hollywood",
        "postalCode": "91608", "primary": true,
    } }]);
    let addresses = json!([
        {
            "type": "work", "streetAddress": "911 Universal City Plaza", "locality": "Hollywood",
            "postalCode": "91608", "primary": true,
        },
        { "type": "home", "streetAddress": "456 Hollywood Blvd" },
    ]);
    becomes(babs(), operations, babs_with("addresses", addresses));
}

#[test]
fn replace_of_a_selected_value_keeps_nothing_of_it_but_what_the_filter_fixes() {
    let home = json!({ "type": "home", "streetAddress": "456 Hollywood Blvd" });
    for (filter, value, expected) in [
        (
            "type eq \"work\"",
            json!({ "streetAddress": "911 Plaza" }),
            json!({ "type": "work", "streetAddress": "911 Plaza" }),
        ),
        (
            "type eq \"work\" and locality eq \"hollywood\"",
            json!({ "streetAddress": "911 Plaza", "locality": null }),
            json!({ "type": "work", "streetAddress": "911 Plaza" }),
        ),
        ("locality co \"wood\"", json!({ "region": "CA" }), json!({ "region": "CA" })),
        (
            "type eq \"work\"",
            json!({ "type": "other", "region": "CA" }),
            json!({ "type": "other", "region": "CA" }),
        ),
    ] {
        let path = format!("addresses[{filter}]");
        let operations = json!([{ "op": "replace", "path": path, "value": value }]);
        becomes(babs(), operations, babs_with("addresses", json!([expected, home])));
    }
    let nothing = json!([{ "op": "replace", "path": "addresses[type eq \"work\"]", "value": {} }]);
    becomes(babs(), nothing, babs_with("addresses", json!([home])));
    let added = json!([{ "op": "add", "path": "addresses[type eq \"work\"]", "value": {
        "streetAddress": "911 Plaza",
    } }]);
    let work = json!({ "type": "work", "streetAddress": "911 Plaza", "locality": "Hollywood" });
    becomes(babs(), added, babs_with("addresses", json!([work, home])));
    // What must be there, or cannot change, stays.
    let fact = json!({ "attributes": [{ "name": "DOB", "value": "1" }] });
    let path = format!("{USER_ATTRIBUTE}:attributes[value eq \"1\"]");
    let operations = json!([{ "op": "replace", "path": path, "value": { "value": "2" } }]);
    let after = json!({ "attributes": [{ "name": "DOB", "value": "2" }] });
    becomes(babs_with(USER_ATTRIBUTE, fact), operations, babs_with(USER_ATTRIBUTE, after));
    let operations = json!([
        { "op": "replace", "path": "members[type eq \"User\"]", "value": { "value": "2819c223" } },
    ]);
    becomes_group(guides(), operations, guides());
}

#[test]
fn replace_one_sub_attribute_of_a_selected_address() {
    let operations = json!([{
        "op": "replace", "path": "addresses[type eq \"work\"].streetAddress",
        "value": "1010 Broadway Ave",
    }]);
    let addresses = json!([
        { "type": "work", "streetAddress": "1010 Broadway Ave", "locality": "Hollywood" },
        { "type": "home", "streetAddress": "456 Hollywood Blvd" },
    ]);
    becomes(babs(), operations, babs_with("addresses", addresses));
}

#[test]
fn replace_without_a_path_replaces_each_attribute() {
    let emails = json!([
        { "value": "bjensen@example.com", "type": "work", "primary": true },
        { "value": "babs@jensen.org", "type": "home" },
    ]);
    let operations =
        json!([{ "op": "replace", "value": { "emails": emails, "nickname": "Babs" } }]);
    becomes(
        json!({ "userName": "a", "emails": [{ "value": "x" }] }),
        operations,
        json!({
            "userName": "a", "emails": emails, "nickName": "Babs",
        }),
    );
}

#[test]
fn replace_of_a_complex_attribute_keeps_what_is_not_given() {
    let operations = json!([{ "op": "replace", "path": "name", "value": {
        "familyName": "Smith", "givenName": null, "middleName": "J",
    } }]);
    let name = json!({ "familyName": "Smith", "middleName": "J" });
    becomes(babs(), operations, babs_with("name", name));
}

#[test]
fn replace_where_no_value_matches_is_no_target() {
    let operations = json!([
        { "op": "replace", "path": "nickName", "value": "x" },
        { "op": "replace", "path": "emails[type eq \"other\"].value", "value": "x@example.com" },
    ]);
    let detail = refused(babs(), operations, ErrorKind::NoTarget);
    assert_eq!(
        detail,
        "Operations[1], path \"emails[type eq \\\"other\\\"].value\": no value of emails matches \
         the filter"
    );
}

// The rules beyond the examples

#[test]
fn a_new_primary_value_demotes_the_old_one() {
    let expected = json!([
        { "value": "bjensen@example.com", "type": "work", "primary": false },
        { "value": "babs@jensen.org", "type": "home" },
        { "value": "new@example.com", "primary": true },
    ]);
    let given = json!([{ "value": "new@example.com", "primary": "True" }]);
    let operations = json!([{ "op": "add", "path": "emails", "value": given }]);
    becomes(babs(), operations, babs_with("emails", expected));

    let expected = json!([
        { "value": "bjensen@example.com", "type": "work", "primary": false },
        { "value": "babs@jensen.org", "type": "home", "primary": true },
    ]);
    for operation in [
        json!({ "op": "replace", "path": "emails[type eq \"home\"].primary", "value": true }),
        json!({ "op": "add", "path": "emails[type eq \"home\"]", "value": { "primary": true } }),
        json!({ "op": "add", "path": "emails", "value": {
            "value": "BABS@jensen.org", "type": "home", "primary": true,
        } }),
    ] {
        becomes(babs(), json!([operation]), babs_with("emails", expected.clone()));
    }
    let both = json!([
        { "op": "replace", "path": "emails.primary", "value": true },
    ]);
    refused(babs(), both, ErrorKind::InvalidValue);
    let two = json!([{ "op": "add", "path": "emails", "value": [
        { "value": "a", "primary": true }, { "value": "b", "primary": true },
    ] }]);
    refused(babs(), two, ErrorKind::InvalidValue);
}

#[test]
fn values_that_are_there_are_not_added_again() {
    for given in [
        json!("bjensen@example.com"),
        json!({ "value": "bjensen@example.com" }),
        json!([{ "value": "bjensen@example.com", "type": "WORK" }]),
    ] {
        let mut after = object(
            outcome(
                &ResourceType::user(&[]),
                babs(),
                json!([{ "op": "add", "path": "emails", "value": given }]),
                RFC,
            )
            .unwrap(),
        );
        let emails = after["emails"].as_array_mut().unwrap();
        assert_eq!(emails.len(), 2, "{emails:?}");
        assert_eq!(emails[0], babs()["emails"][0]);
    }
    let many: Vec<Value> = (0..40).map(|n| json!({ "value": format!("m{}", n % 30) })).collect();
    let operations = json!([
        { "op": "add", "path": "members", "value": many },
        { "op": "add", "path": "members", "value": many },
    ]);
    let group = outcome(&ResourceType::group(&[]), guides(), operations, RFC).unwrap();
    assert_eq!(group["members"].as_array().unwrap().len(), 32);
    let given = json!([{ "value": "2819c223", "type": "User" }, { "value": "902c246b" }]);
    let operations = json!([{ "op": "add", "path": "members", "value": given }]);
    becomes_group(guides(), operations, guides());
}

#[test]
fn a_sub_attribute_without_a_filter_is_that_of_every_value() {
    let operations = json!([{ "op": "replace", "path": "emails.display", "value": "x" }]);
    let emails = json!([
        { "value": "bjensen@example.com", "type": "work", "primary": true, "display": "x" },
        { "value": "babs@jensen.org", "type": "home", "display": "x" },
    ]);
    becomes(babs(), operations, babs_with("emails", emails.clone()));
    let operations = json!([{ "op": "remove", "path": "emails.display" }]);
    becomes(babs_with("emails", emails), operations, babs());
    let operations = json!([{ "op": "add", "path": "roles.value", "value": "admin" }]);
    becomes(babs(), operations, babs_with("roles", json!([{ "value": "admin" }])));
    let operations = json!([{ "op": "remove", "path": "emails.value" }]);
    becomes(babs(), operations, babs_with("emails", Value::Null));
}

#[test]
fn null_and_the_empty_list_remove() {
    for operations in [
        json!([{ "op": "replace", "path": "emails", "value": null }]),
        json!([{ "op": "add", "path": "emails", "value": null }]),
        json!([{ "op": "replace", "path": "emails", "value": [] }]),
        json!([{ "op": "replace", "value": { "emails": null } }]),
        json!([{ "op": "replace", "path": "emails[value pr]", "value": null }]),
        json!([{ "op": "replace", "path": "emails[value pr].value", "value": "" }]),
    ] {
        becomes(babs(), operations, babs_with("emails", Value::Null));
    }
    let operations = json!([{ "op": "add", "path": "emails", "value": [] }]);
    becomes(babs(), operations, babs());
    let operations = json!([{ "op": "replace", "path": "name", "value": [] }]);
    becomes(babs(), operations, babs_with("name", Value::Null));
    let operations = json!([
        { "op": "remove", "path": "name.givenName" }, { "op": "remove", "path": "name.familyName" },
    ]);
    becomes(babs(), operations, babs_with("name", Value::Null));
    for path in [ENTERPRISE, &ENTERPRISE.to_uppercase()] {
        let operations = json!([{ "op": "remove", "path": path }]);
        becomes(babs(), operations, babs_with(ENTERPRISE, Value::Null));
    }
}

#[test]
fn removing_what_is_not_there_changes_nothing() {
    for path in ["nickName", "roles", "roles.value", "name.middleName", "ims[type eq \"x\"].value"]
    {
        becomes(babs(), json!([{ "op": "remove", "path": path }]), babs());
    }
    let listed = json!([{ "op": "remove", "path": "emails", "value": [{ "value": "other" }] }]);
    becomes(babs(), listed, babs());
    becomes(babs(), json!([{ "op": "remove", "path": "emails", "value": [] }]), babs());
}

#[test]
fn required_and_read_only_attributes_stay() {
    refused(babs(), json!([{ "op": "remove", "path": "USERNAME" }]), ErrorKind::Mutability);
    let null = json!([{ "op": "replace", "value": { "userName": null } }]);
    refused(babs(), null, ErrorKind::Mutability);
    let empty = json!([{ "op": "replace", "path": "userName", "value": "" }]);
    refused(babs(), empty, ErrorKind::InvalidValue);
    for path in ["id", "meta.version", "groups", "groups[value eq \"a\"]", "userType", SOURCE] {
        let operations = json!([{ "op": "remove", "path": path }]);
        let before = babs_with(SOURCE, json!({ "dn": "uid=a" }));
        if path == SOURCE {
            becomes(before.clone(), operations, before);
        } else {
            refused(before, operations, ErrorKind::Mutability);
        }
    }
    let path = format!("{ENTERPRISE}:manager.displayName");
    let operations = json!([{ "op": "replace", "path": path, "value": "x" }]);
    refused(babs(), operations, ErrorKind::Mutability);
    let ignored = json!([{ "op": "replace", "value": {
        "id": "other", "meta": { "version": "1" }, "schemas": [USER], "groups": [{ "value": "g" }],
        "userType": "LDAP", (SOURCE): { "dn": "x" }, "shoeSize": 1, "urn:nobody": { "a": 1 },
    } }]);
    becomes(babs(), ignored, babs());
}

#[test]
fn immutable_sub_attributes_are_set_once() {
    let kind = ResourceType::group(&[]);
    let path = "members[value eq \"2819c223\"].value";
    for operation in [
        json!({ "op": "replace", "path": path, "value": "other" }),
        json!({ "op": "remove", "path": path }),
        json!({ "op": "replace", "path": "members[value eq \"2819c223\"]", "value": { "type": "Group" } }),
    ] {
        let error = outcome(&kind, guides(), json!([operation]), RFC).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Mutability, "{error}");
    }
    let same = json!([{ "op": "replace", "path": path, "value": "2819c223" }]);
    becomes_group(guides(), same, guides());
}

#[test]
fn a_new_manager_does_not_keep_the_name_of_the_old() {
    let path = format!("{ENTERPRISE}:manager");
    let expected =
        babs_with(ENTERPRISE, json!({ "department": "Tours", "manager": { "value": "27" } }));
    for operation in [
        json!({ "op": "replace", "path": path, "value": { "value": "27" } }),
        json!({ "op": "Add", "path": path, "value": "27" }),
        json!({ "op": "replace", "path": format!("{path}.value"), "value": "27" }),
        json!({ "op": "replace", "value": { ENTERPRISE: { "manager": { "value": "27" } } } }),
    ] {
        becomes(babs(), json!([operation]), expected.clone());
    }
    let same = json!([{ "op": "replace", "path": path, "value": "26" }]);
    becomes(babs(), same, babs());
}

#[test]
fn required_sub_attributes_may_come_in_any_order() {
    let path = |sub: &str| format!("{USER_ATTRIBUTE}:attributes[name eq \"DOB\"]{sub}");
    let facts = json!({ "attributes": [{ "name": "DOB", "value": "2000-01-01" }] });
    let add = json!([{ "op": "add", "path": path(".value"), "value": "2000-01-01" }]);
    becomes(babs(), add, babs_with(USER_ATTRIBUTE, facts.clone()));
    let add = json!([{ "op": "add", "path": path(""), "value": { "value": "2000-01-01" } }]);
    becomes(babs(), add, babs_with(USER_ATTRIBUTE, facts.clone()));
    let nameless = json!([{ "op": "add", "path": format!("{USER_ATTRIBUTE}:attributes"), "value": {
        "value": "x",
    } }]);
    refused(babs(), nameless, ErrorKind::InvalidValue);
}

// Bodies that are none

#[test]
fn bad_bodies_name_the_operation_and_the_path() {
    let kind = ResourceType::user(&[]);
    let refused = |body: Value| {
        let error = Patch::parse(&body, &kind, Tolerance::default()).unwrap_err();
        (error.kind, error.detail)
    };
    for body in [
        json!([]),
        json!({}),
        json!({ "Operations": {} }),
        json!({ "schemas": "x", "Operations": [] }),
        json!({ "operations": [{ "op": "replace", "path": "active", "value": true }, 7] }),
        json!({ "Operations": [{ "op": "move", "path": "active" }] }),
        json!({ "Operations": [{ "path": "active", "value": true }] }),
        json!({ "Operations": [{ "op": 1, "path": "active", "value": true }] }),
        json!({ "Operations": vec![json!({ "op": "remove", "path": "title" }); 1_001] }),
    ] {
        assert_eq!(refused(body).0, ErrorKind::InvalidSyntax);
    }
    let operation = |operation: Value| refused(json!({ "OPERATIONS": [operation] }));
    for path in [
        json!("emails[type eq \"work\""),
        json!("emails[type eq \"work\"]value"),
        json!("emails[type eq \"work\"]."),
        json!("emails[type eq \"work\"].value[type eq \"x\"]"),
        json!("name[givenName eq \"x\"].familyName"),
        json!("name.given.name"),
        json!("shoe size"),
        json!("emails/0/value"),
        json!("userName:"),
        json!(":userName"),
        json!("9"),
        json!("é"),
        json!("]"),
        json!(7),
    ] {
        let (kind, detail) = operation(json!({ "op": "add", "path": path, "value": "x" }));
        assert_eq!(kind, ErrorKind::InvalidPath, "{detail}");
        assert!(detail.starts_with("Operations[0]"), "{detail}");
    }
    for path in ["emails[type foo]", "emails.value[type eq \"x\"]", "][", "shoes[size]"] {
        let (kind, detail) = operation(json!({ "op": "replace", "path": path, "value": 1 }));
        assert_eq!(kind, ErrorKind::InvalidFilter, "{detail}");
    }
    assert_eq!(operation(json!({ "op": "remove" })).0, ErrorKind::NoTarget);
    assert_eq!(operation(json!({ "op": "remove", "value": {} })).0, ErrorKind::NoTarget);
    assert_eq!(operation(json!({ "op": "add", "path": "title" })).0, ErrorKind::InvalidValue);
    assert_eq!(operation(json!({ "op": "add", "value": "x" })).0, ErrorKind::InvalidValue);
    let (_, detail) = operation(json!({ "op": "add", "path": "x ".repeat(5_000), "value": 1 }));
    assert!(detail.len() < 1_000);
}

#[test]
fn paths_to_what_no_schema_knows_change_nothing() {
    for path in [
        "shoeSize",
        "emails.shoe",
        "$ref",
        "emails[type eq \"work\"].shoe",
        "shoes[size eq 5].color",
        "urn:nobody:knows:it",
        "urn:nobody:2.0:User",
        "urn:nobody:2.0:User:size.value",
        "http://schemas.example.com/2006/11/ADSCIM/2.0/Group",
        &format!("{ENTERPRISE}:shoeSize"),
        &format!("{USER}:shoeSize"),
    ] {
        for op in ["add", "replace", "remove"] {
            let operations = json!([
                { "op": op, "path": path, "value": "x" },
                { "op": "replace", "path": "title", "value": "Guide" },
            ]);
            becomes(babs(), operations, babs_with("title", json!("Guide")));
        }
        becomes(babs(), json!([{ "op": "add", "value": { path: "x" } }]), babs());
    }
}

#[test]
fn wrong_values_name_their_place() {
    let operations = json!([{ "op": "add", "path": "emails", "value": [
        { "value": "a" }, { "value": "b", "primary": "maybe" },
    ] }]);
    assert_eq!(
        refused(babs(), operations, ErrorKind::InvalidValue),
        "Operations[0], path \"emails\": emails[1].primary is a string where a boolean is expected"
    );
    let path = "emails[type eq \"home\"].value";
    let operations = json!([{ "op": "replace", "path": path, "value": "a\0b" }]);
    let detail = refused(babs(), operations, ErrorKind::InvalidValue);
    assert!(detail.ends_with("emails[1].value holds U+0000: take it out"), "{detail}");
}

#[test]
fn paths_are_told_in_order() {
    let body = json!({ "Operations": [
        { "op": "replace", "value": { "ACTIVE": true, "name.givenName": "x" } },
        { "op": "remove", "path": "emails[type eq \"work\"].value" },
    ] });
    let patch = Patch::parse(&body, &ResourceType::user(&[]), Tolerance::default()).unwrap();
    let paths: Vec<&str> = patch.paths().map(|path| path.text.as_str()).collect();
    assert_eq!(paths, ["active", "name.givenName", "emails.value"]);
    assert!(!patch.is_empty());
}
