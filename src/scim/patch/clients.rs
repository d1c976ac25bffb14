//! What Entra ID and Okta really send.

use serde_json::{Value, json};

use super::Tolerance;
use super::tests::{RFC, babs, babs_with, becomes, becomes_group, guides, outcome};
use crate::scim::error::ErrorKind;
use crate::scim::schema::ResourceType;
use crate::scim::schema::standard::{ENTERPRISE, USER};

const ENTRA: Tolerance = Tolerance {
    create_on_absent_value_path: true,
    strict: false,
    pass_over_read_only: true,
    loose_forms: true,
};
const STRICT: Tolerance = Tolerance { strict: true, ..RFC };

#[test]
fn entra_spells_operations_and_booleans_its_own_way() {
    let operations = json!([
        { "op": "Replace", "path": "active", "value": "False" },
        { "op": "Add", "path": "title", "value": "Guide" },
        { "op": "Replace", "path": "name.familyName", "value": "Smith" },
        { "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "new@example.com" },
    ]);
    let after = outcome(&ResourceType::user(&[]), babs(), operations, ENTRA).unwrap();
    assert_eq!(after["active"], json!(false));
    assert_eq!(after["title"], "Guide");
    assert_eq!(after["name"]["familyName"], "Smith");
    let work = json!({ "value": "new@example.com", "type": "work", "primary": true });
    assert_eq!(after["emails"][0], work);
    for boolean in ["emails[primary eq true].value", "emails[primary eq \"True\"].value"] {
        let operations = json!([{ "op": "Replace", "path": boolean, "value": "p@example.com" }]);
        let after = outcome(&ResourceType::user(&[]), babs(), operations, ENTRA).unwrap();
        assert_eq!(after["emails"][0]["value"], "p@example.com");
    }
}

#[test]
fn entra_writes_values_that_are_not_there_yet() {
    let operations = |op: &str| {
        json!([
            { "op": op, "path": "emails[type eq \"untyped\"].value", "value": "b@example.com" },
            { "op": op, "path": "emails[type eq \"untyped\"].display", "value": "B" },
            { "op": op, "path": "emails[type eq \"untyped\"].primary", "value": true },
            { "op": op, "path": "phoneNumbers[type eq \"mobile\"].value", "value": "555-1" },
            { "op": op, "path": "addresses[type eq \"work\"].formatted", "value": "18/2111" },
            { "op": op, "path": "roles[primary eq \"True\"].display", "value": "Admin" },
            { "op": op, "path": "roles[primary eq \"True\"].value", "value": "admin" },
        ])
    };
    let expected = json!({
        "emails": [
            { "type": "untyped", "value": "b@example.com", "display": "B", "primary": true },
        ],
        "phoneNumbers": [{ "type": "mobile", "value": "555-1" }],
        "addresses": [{ "type": "work", "formatted": "18/2111" }],
        "roles": [{ "primary": true, "display": "Admin", "value": "admin" }],
    });
    let kind = ResourceType::user(&[]);
    for tolerance in [RFC, ENTRA] {
        let added = outcome(&kind, json!({}), operations("Add"), tolerance).unwrap();
        assert_eq!(added, expected);
        let again = outcome(&kind, added.clone(), operations("Add"), tolerance).unwrap();
        assert_eq!(again, expected, "the second Add updates in place");
    }
    assert_eq!(outcome(&kind, json!({}), operations("Replace"), ENTRA).unwrap(), expected);
    let error = outcome(&kind, json!({}), operations("Replace"), RFC).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoTarget);
    let vague = json!([
        { "op": "Add", "path": "emails[type ne \"work\"].value", "value": "x" },
    ]);
    let error = outcome(&kind, json!({}), vague, ENTRA).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoTarget, "{error}");
}

#[test]
fn entra_sends_dotted_and_qualified_names_without_a_path() {
    let operations = json!([{ "op": "replace", "value": {
        "displayName": "Bjfe",
        "name.givenName": "Kkom",
        "NAME.familyName": "Unua",
        (format!("{ENTERPRISE}:employeeNumber")): "Aklq",
        (ENTERPRISE): { "costCenter": "7" },
        (USER): { "title": "T" },
        "emails[type eq \"work\"].value": "w@example.com",
    } }]);
    let after = outcome(&ResourceType::user(&[]), babs(), operations, RFC).unwrap();
    assert_eq!(after["displayName"], "Bjfe");
    assert_eq!(after["name"], json!({ "familyName": "Unua", "givenName": "Kkom" }));
    assert_eq!(after[ENTERPRISE]["employeeNumber"], "Aklq");
    assert_eq!(after[ENTERPRISE]["costCenter"], "7");
    assert_eq!(after[ENTERPRISE]["department"], "Tours");
    assert_eq!(after["title"], "T");
    assert_eq!(after["emails"][0]["value"], "w@example.com");
    let whole = json!([{ "op": "replace", "path": ENTERPRISE, "value": { "department": "X" } }]);
    let after = outcome(&ResourceType::user(&[]), babs(), whole, RFC).unwrap();
    assert_eq!(after[ENTERPRISE]["department"], "X");
    assert_eq!(after[ENTERPRISE]["manager"]["value"], "26");
}

#[test]
fn entra_writes_what_is_not_its_own_among_the_rest() {
    let operations = json!([
        { "op": "Replace", "path": "userType", "value": "Contractor" },
        { "op": "Replace", "path": "meta.created", "value": "2011-05-13T04:42:34Z" },
        { "op": "Add", "path": "title", "value": "Head guide" },
    ]);
    let kind = ResourceType::user(&[]);
    let after = outcome(&kind, babs(), operations.clone(), ENTRA).unwrap();
    assert_eq!(after, babs_with("title", json!("Head guide")));
    let error = outcome(&kind, babs(), operations, RFC).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Mutability);
}

#[test]
fn an_empty_manager_is_none() {
    let path = format!("{ENTERPRISE}:manager");
    for value in [json!({ "value": "" }), json!(""), json!(null), json!({ "value": null })] {
        let operations = json!([{ "op": "replace", "path": path, "value": value }]);
        becomes(babs(), operations, babs_with(ENTERPRISE, json!({ "department": "Tours" })));
    }
    becomes(
        babs(),
        json!([{ "op": "Remove", "path": path }]),
        babs_with(ENTERPRISE, json!({ "department": "Tours" })),
    );
}

#[test]
fn entra_lists_one_manager_and_leaves_out_its_urn() {
    let kind = ResourceType::user(&[]);
    let manager = |path: &str, value: Value| json!([{ "op": "Add", "path": path, "value": value }]);
    let listed = json!([{ "$ref": "https://example.com/Users/27", "value": "27" }]);
    for path in ["manager", "Manager", &format!("{ENTERPRISE}:manager")] {
        let operations = manager(path, listed.clone());
        let after = outcome(&kind, babs(), operations.clone(), ENTRA).unwrap();
        assert_eq!(after[ENTERPRISE]["manager"]["value"], "27", "{path}");
        let otherwise = outcome(&kind, babs(), operations, RFC);
        assert!(otherwise.is_err() || otherwise.unwrap() == babs(), "{path}");
    }
    for value in [json!("27"), json!({ "value": "27" }), json!(["27"])] {
        let after = outcome(&kind, babs(), manager("manager", value), ENTRA).unwrap();
        assert_eq!(after[ENTERPRISE]["manager"]["value"], "27");
    }
    for gone in [json!([]), json!([{ "value": "" }]), json!(null)] {
        let after = outcome(&kind, babs(), manager("manager", gone), ENTRA).unwrap();
        assert_eq!(after[ENTERPRISE].get("manager"), None);
    }
    let two = manager("manager", json!([{ "value": "27" }, { "value": "28" }]));
    outcome(&kind, babs(), two, ENTRA).unwrap_err();
    // A list of what there may be more of stays one.
    let mails = manager("emails", json!([{ "value": "one@example.com" }]));
    let after = outcome(&kind, json!({}), mails, ENTRA).unwrap();
    assert_eq!(after["emails"], json!([{ "value": "one@example.com" }]));
}

#[test]
fn listed_members_are_removed_and_no_others() {
    for value in [
        json!([{ "$ref": null, "value": "2819c223" }]),
        json!([{ "value": "2819c223", "type": "User", "display": "anything" }]),
        json!({ "value": "2819C223" }),
        json!("2819c223"),
    ] {
        let operations = json!([{ "op": "Remove", "path": "members", "value": value }]);
        let expected = json!({ "displayName": "Guides", "members": [{ "value": "902c246b" }] });
        becomes_group(guides(), operations, expected);
    }
}

#[test]
fn long_lists_of_members_come_and_go() {
    let members = |from: usize| -> Vec<Value> {
        (from..from + 3_000).map(|n| json!({ "value": format!("m{n}") })).collect()
    };
    let operations = json!([
        { "op": "add", "path": "members", "value": members(0) },
        { "op": "add", "path": "members", "value": members(1_500) },
        { "op": "remove", "path": "members", "value": members(2) },
        { "op": "remove", "path": "members", "value": members(3_003) },
    ]);
    let members = json!([{ "value": "m0" }, { "value": "m1" }, { "value": "m3002" }]);
    becomes_group(json!({}), operations, json!({ "members": members }));
}

#[test]
fn okta_sends_an_object_without_a_path() {
    let active = json!([{ "op": "replace", "value": { "active": false } }]);
    becomes(babs(), active, babs_with("active", json!(false)));
    let operations = json!([{ "op": "replace", "value": {
        "members": [], "id": "g1", "displayName": "Test",
    } }]);
    becomes_group(guides(), operations, json!({ "displayName": "Test" }));
    let password = json!([{ "op": "replace", "value": { "password": "n3w!Passw0rd" } }]);
    becomes(babs(), password, babs_with("password", json!("n3w!Passw0rd")));
    becomes(babs(), json!([]), babs());
}

#[test]
fn strict_clients_name_what_there_is_and_replace_the_whole() {
    let kind = ResourceType::user(&[]);
    let strict = |operation: Value| outcome(&kind, babs(), json!([operation]), STRICT);
    let name = json!({ "op": "replace", "path": "name", "value": { "givenName": "B" } });
    assert_eq!(strict(name.clone()).unwrap()["name"], json!({ "givenName": "B" }));
    let merged = outcome(&kind, babs(), json!([name]), RFC).unwrap();
    assert_eq!(merged["name"]["familyName"], babs()["name"]["familyName"], "RFC 7644 3.5.2.3");
    let none = json!({ "op": "replace", "path": "name", "value": null });
    assert_eq!(strict(none).unwrap().get("name"), None);
    for (operation, expected) in [
        (json!({ "op": "replace", "value": { "active": false } }), ErrorKind::InvalidPath),
        (json!({ "op": "add", "path": "shoeSize", "value": 3 }), ErrorKind::InvalidPath),
        (json!({ "op": "remove", "path": "urn:example:2.0:X:y" }), ErrorKind::InvalidPath),
        (
            json!({ "op": "add", "path": "emails", "value": [{ "value": "a", "x": 1 }] }),
            ErrorKind::InvalidSyntax,
        ),
        (
            json!({ "op": "replace", "path": ENTERPRISE, "value": { "desk": 1 } }),
            ErrorKind::InvalidSyntax,
        ),
        (
            json!({ "op": "replace", "path": "emails[type eq \"x\"].value", "value": "a" }),
            ErrorKind::NoTarget,
        ),
    ] {
        assert_eq!(strict(operation.clone()).unwrap_err().kind, expected, "{operation}");
    }
    let extension = json!({ "op": "replace", "path": ENTERPRISE, "value": { "department": "X" } });
    assert_eq!(strict(extension).unwrap()[ENTERPRISE]["department"], "X");
}
