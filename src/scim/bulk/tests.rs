//! Bulk requests: what is read, in which order it is done, and which ids stand where.

use serde_json::{Value, json};

use super::references::{Later, resolve, split, unresolved};
use super::*;
use crate::scim::error::ErrorKind;

fn bulk(operations: &Value) -> Bulk {
    let body = json!({ "schemas": [BULK_REQUEST], "Operations": operations });
    Bulk::parse(body, 1_000).unwrap()
}

fn post(bulk_id: &str, data: &Value) -> Value {
    json!({ "method": "POST", "path": "/Groups", "bulkId": bulk_id, "data": data })
}

/// A group with these members.
fn group(bulk_id: &str, members: &[&str]) -> Value {
    let members: Vec<Value> =
        members.iter().map(|name| json!({ "value": format!("bulkId:{name}") })).collect();
    post(bulk_id, &json!({ "displayName": bulk_id, "members": members }))
}

fn run(step: usize) -> Task {
    Task::Run { step, postponed: Vec::new() }
}

fn without(step: usize, postponed: &[&str]) -> Task {
    Task::Run { step, postponed: postponed.iter().map(|name| (*name).to_owned()).collect() }
}

#[test]
fn operations_are_read_in_any_case() {
    let body = json!({ "Schemas": [BULK_REQUEST.to_uppercase()], "FAILONERRORS": 3, "operations": [
        { "Method": "post", "PATH": "/Users", "bulkID": "a", "DATA": { "userName": "a" } },
        { "method": "Put", "path": "Users/42/", "version": "W/\"3\"", "data": {} },
        { "method": "PATCH", "path": "/Groups/bulkId:a?x=1", "data": { "Operations": [] } },
        { "method": "DELETE", "path": "/Users/a%20b", "bulkId": null },
    ] });
    let bulk = Bulk::parse(body, 4).unwrap();
    assert_eq!(bulk.fail_on_errors, Some(3));
    let read: Vec<Operation> =
        bulk.steps.iter().map(|step| step.operation.clone().unwrap()).collect();
    let [created, replaced, modified, removed] = read.as_slice() else { panic!() };
    assert_eq!((created.method, created.endpoint.as_str()), (Method::Post, "Users"));
    assert_eq!((&bulk.steps[0].method[..], bulk.steps[0].bulk_id.as_deref()), ("POST", Some("a")));
    assert_eq!(replaced.id, Some(Id::Known("42".into())));
    assert_eq!(replaced.version.as_deref(), Some("W/\"3\""));
    assert_eq!(modified.id, Some(Id::Created("a".into())));
    assert_eq!((removed.method, &removed.data), (Method::Delete, &Value::Null));
}

#[test]
fn messages_that_are_none_are_refused_whole() {
    let kind = |body: Value| match Bulk::parse(body, 2).unwrap_err() {
        BulkError::Scim(error) => Some(error.kind),
        BulkError::TooMany { limit } => {
            assert_eq!(limit, 2);
            None
        }
    };
    let with = |operations: Value| json!({ "schemas": [BULK_REQUEST], "Operations": operations });
    for body in [
        json!([]),
        json!({ "Operations": [] }),
        json!({ "schemas": ["urn:other"], "Operations": [] }),
        json!({ "schemas": [BULK_REQUEST] }),
        with(json!({})),
    ] {
        assert_eq!(kind(body), Some(ErrorKind::InvalidSyntax));
    }
    for errors in [json!(0), json!(-1), json!("1"), json!(1.5)] {
        let mut body = with(json!([]));
        body["failOnErrors"] = errors;
        assert_eq!(kind(body), Some(ErrorKind::InvalidValue));
    }
    assert_eq!(kind(with(json!([1, 2, 3]))), None);
    let twice = json!([group("a", &[]), group("a", &[])]);
    assert_eq!(kind(with(twice)), Some(ErrorKind::InvalidValue));
    assert_eq!(Bulk::parse(with(json!([])), 2).unwrap().steps, []);
}

#[test]
fn what_is_wrong_with_one_operation_is_its_own() {
    for (operation, word) in [
        (json!("x"), "is a string"),
        (json!({ "path": "/Users", "data": {} }), "method is missing"),
        (json!({ "method": "HEAD", "path": "/Users/1" }), "method is none"),
        (json!({ "method": "GET", "path": "/Users" }), "path names no resource"),
        (json!({ "method": 1 }), "method is a number"),
        (json!({ "method": "POST", "bulkId": "a", "data": {} }), "path is missing"),
        (json!({ "method": "POST", "bulkId": "a", "path": "/", "data": {} }), "path is neither"),
        (json!({ "method": "PUT", "path": "/Users/1/2", "data": {} }), "path is neither"),
        (json!({ "method": "POST", "bulkId": "a", "path": "/Users/1", "data": {} }), "endpoint"),
        (json!({ "method": "DELETE", "path": "/Users" }), "names no resource"),
        (json!({ "method": "POST", "path": "/Users", "data": {} }), "bulkId is missing"),
        (json!({ "method": "POST", "path": "/Users", "bulkId": "a" }), "data is missing"),
        (json!({ "method": "PATCH", "path": "/Users/1" }), "data is missing"),
    ] {
        let bulk = bulk(&json!([operation, { "method": "delete", "path": "/Users/1" }]));
        let error = bulk.steps[0].operation.clone().unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidSyntax);
        assert!(error.detail.contains(word), "{error}");
        assert!(bulk.steps[1].operation.is_ok());
    }
}

#[test]
fn what_is_referred_to_comes_first() {
    let forward = bulk(&json!([
        group("a", &["b", "c"]),
        { "method": "PATCH", "path": "/Groups/bulkId:c", "data": { "Operations": [
            { "op": "remove", "path": "members[value eq \"bulkId:d\"]" } ] } },
        group("b", &["c"]),
        group("c", &[]),
        group("d", &["nobody"]),
    ]));
    assert_eq!(forward.order(), [run(3), run(2), run(0), run(4), run(1)]);
    let none = bulk(&json!([group("a", &[]), 7, group("b", &["a"])]));
    assert_eq!(none.order(), [run(0), run(1), run(2)]);
}

#[test]
fn circles_are_closed_afterwards() {
    let two = bulk(&json!([group("a", &["b"]), group("b", &["a"])]));
    assert_eq!(two.order(), [without(1, &["a"]), run(0), Task::Complete { step: 1 }]);
    let own = bulk(&json!([group("a", &["a"])]));
    assert_eq!(own.order(), [without(0, &["a"]), Task::Complete { step: 0 }]);
    let three = bulk(&json!([group("a", &["b"]), group("b", &["c"]), group("c", &["a", "b"])]));
    let expected = [without(2, &["a", "b"]), run(1), run(0), Task::Complete { step: 2 }];
    assert_eq!(three.order(), expected);
}

#[test]
fn a_long_chain_needs_no_stack() {
    let names: Vec<String> = (0..1_000).map(|n| format!("g{n}")).collect();
    let chain: Vec<Value> = names.windows(2).map(|pair| group(&pair[0], &[&pair[1]])).collect();
    let order = bulk(&Value::Array(chain)).order();
    assert_eq!(order.first(), Some(&run(998)));
    assert_eq!(order.last(), Some(&run(0)));
}

#[test]
fn ids_take_the_place_of_references() {
    let ids = |name: &str| (name != "z").then(|| format!("id-{name}"));
    let mut data = json!({
        "displayName": "say bulkId:x", "members": [
            { "value": "bulkId:a", "$ref": "../Users/bulkId:a" }, { "value": "bulkId:z" } ],
        "Operations": [{ "op": "remove",
            "path": "members[value eq \"bulkId:a\" or value eq \"bulkId:b\"]" }],
        "note": "bulkId:",
    });
    resolve(&mut data, &ids);
    let expected = json!({
        "displayName": "say bulkId:x", "members": [
            { "value": "id-a", "$ref": "../Users/id-a" }, { "value": "bulkId:z" } ],
        "Operations": [{ "op": "remove",
            "path": "members[value eq \"id-a\" or value eq \"id-b\"]" }],
        "note": "bulkId:",
    });
    assert_eq!(data, expected);
    assert_eq!(unresolved(&data).as_deref(), Some("z"));
}

#[test]
fn what_is_postponed_is_added_later() {
    let urn = "urn:example:2.0:User";
    let mut data = json!({
        "userName": "a", "manager": { "value": "bulkId:b", "note": "n" },
        "members": [{ "value": "bulkId:b" }, { "value": "1" }, { "value": "bulkId:c" }],
        (urn): { "manager": { "value": "bulkId:b" }, "department": "d" },
    });
    let later = split(&mut data, &["b".to_owned()]);
    let left = json!({
        "userName": "a", "members": [{ "value": "1" }, { "value": "bulkId:c" }],
        (urn): { "department": "d" },
    });
    assert_eq!(data, left);
    let patch = later.patch(&|name| Some(name.to_uppercase()));
    let expected = json!({ "Operations": [
        { "op": "add", "path": "manager", "value": { "value": "B", "note": "n" } },
        { "op": "add", "path": "members", "value": [{ "value": "B" }] },
        { "op": "add", "path": format!("{urn}:manager"), "value": { "value": "B" } },
    ] });
    assert_eq!(patch, expected);
    assert_eq!(split(&mut data, &[]), Later::default());
}
