//! How much one patch may ask for.

use serde_json::{Value, json};

use super::Patch;
use super::Tolerance;
use super::budget::Budget;
use super::tests::{RFC, object};
use crate::scim::error::ErrorKind;
use crate::scim::schema::ResourceType;

#[test]
fn an_operation_without_a_path_is_as_many_as_it_names_attributes() {
    let keys = |count: usize| {
        let members = (0..count).map(|n| (format!("emails[value eq \"{n}\"].type"), json!("x")));
        json!({ "Operations": [{ "op": "add", "value": Value::Object(members.collect()) }] })
    };
    let kind = ResourceType::user(&[]);
    assert!(Patch::parse(&keys(1_000), &kind, Tolerance::default()).is_ok());
    let error = Patch::parse(&keys(9_999), &kind, Tolerance::default()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidSyntax);
    assert!(error.detail.contains("more than 1000 attributes"), "{error}");
}

#[test]
fn work_is_bounded_by_operations_times_values() {
    let kind = ResourceType::user(&[]);
    let emails: Vec<Value> = (0..500).map(|n| json!({ "value": format!("{n}") })).collect();
    let current = object(json!({ "userName": "a", "emails": emails }));
    let apply = |operation: Value, count: usize, steps: usize| {
        let body = json!({ "Operations": vec![operation; count] });
        let patch = Patch::parse(&body, &kind, Tolerance::default()).unwrap();
        patch.apply_within(&current, &kind, RFC, &Budget::of(steps)).map(|_| ())
    };
    let long = "x".repeat(60_000);
    for operation in [
        json!({ "op": "replace", "path": "emails[value eq \"7\"].display", "value": "x" }),
        json!({ "op": "remove", "path": "emails[value eq \"none\" or type eq \"none\"]" }),
        json!({ "op": "remove", "path": "emails", "value": [{ "value": "none" }] }),
        json!({ "op": "add", "path": "emails", "value": { "value": "499" } }),
        json!({ "op": "replace", "path": "emails.display", "value": "x" }),
    ] {
        // Twenty are well within what any patch may cost, each of them linear.
        apply(operation.clone(), 20, 1_000_000).unwrap();
        let error = apply(operation.clone(), 1_000, 1_000_000).unwrap_err();
        assert_eq!(error.kind, ErrorKind::TooMany, "{operation}");
        assert!(error.detail.contains("in several PATCHes"), "{error}");
    }
    let copies = json!({ "op": "replace", "path": "emails.display", "value": long });
    assert_eq!(apply(copies, 1, 300_000).unwrap_err().kind, ErrorKind::TooMany);
}

#[test]
fn values_that_differ_in_type_only_do_not_make_work_quadratic() {
    let kind = ResourceType::user(&[]);
    let of = |prefix: &str| -> Vec<Value> {
        let types = (0..1_000).map(|n| format!("{prefix}{n}"));
        types.map(|kind| json!({ "value": "same", "type": kind })).collect()
    };
    let current = object(json!({ "userName": "a", "emails": of("a") }));
    let body = json!({ "Operations": [{ "op": "add", "path": "emails", "value": of("b") }] });
    let patch = Patch::parse(&body, &kind, Tolerance::default()).unwrap();
    let error = patch.apply_within(&current, &kind, RFC, &Budget::of(200_000)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooMany);
}
