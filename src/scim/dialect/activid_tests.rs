//! The messages of the ActivID Appliance, as its samples have them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::scim::Attributes;
use crate::scim::projection::Projection;
use crate::scim::schema::ResourceType;
use crate::scim::schema::standard::{USER_ATTRIBUTE, USER_AUTHENTICATOR, USER_DEVICE};

const BASE: &str = "https://example.com/scim/acme/v2";
const GROUP_ID: &str = "0190f0c0-5b2e-7cc3-98b4-6a5b7d4f1e2a";

fn manner(api_version: u32) -> Arc<Manner> {
    let manners = Manners::new(&Settings::default(), [Dialect::Activid]);
    Arc::clone(manners.of(Dialect::Activid, || Some(api_version)))
}

fn attributes(value: Value) -> Attributes {
    match value {
        Value::Object(attributes) => attributes,
        other => panic!("{other} is no object"),
    }
}

fn told(
    kind: &ResourceType,
    resource: Value,
    numbers: &Numbers,
    projection: &Projection,
    api_version: u32,
) -> Value {
    let manner = manner(api_version);
    let look = Look { kind, projection, base: BASE, show_source: false, manner: &manner };
    serde_json::from_slice(&render_resource(&attributes(resource), numbers, look)).unwrap()
}

fn person() -> Value {
    json!({
        "id": "corp.8f1c",
        "userName": "jdoe",
        "meta": { "created": "2017-11-20T14:59:09Z", "version": "W/\"3.77aa.g12\"" },
        "groups": [
            { "value": "USG_CUST2", "$ref": "/Groups/USG_CUST2", "display": "Banking", "type": "direct" },
            { "value": GROUP_ID, "$ref": format!("/Groups/{GROUP_ID}"), "type": "direct" },
            { "value": "UT_CUST", "$ref": "/Groups/UT_CUST", "type": "indirect" },
        ],
        (USER_DEVICE): { "devices": [{
            "value": "0190f0c0-5b2e-7cc3-98b4-000000000001", "display": "11059",
            "friendlyName": "my phone", "$ref": "/Device/0190f0c0-5b2e-7cc3-98b4-000000000001",
        }] },
        (USER_AUTHENTICATOR): { "authenticators": [{
            "value": "corp.8f1c.AT_SMS", "display": "AT_SMS", "$ref": "/Authenticator/corp.8f1c.AT_SMS",
        }] },
    })
}

fn numbers() -> Numbers {
    Numbers::new(
        Some(11_288),
        [
            ("Group", "USG_CUST2", 7),
            ("Group", GROUP_ID, 10_002),
            ("Device", "0190f0c0-5b2e-7cc3-98b4-000000000001", 11_059),
            ("User", "corp.8f1c", 11_288),
        ],
    )
}

#[test]
fn a_user_is_shown_by_numbers_and_direct_groups() {
    let user = ResourceType::user(&[]);
    let shown = told(&user, person(), &numbers(), &Projection::Default, 2);
    assert_eq!(shown["id"], "11288");
    assert_eq!(shown["meta"]["location"], format!("{BASE}/Users/11288"));
    assert_eq!(shown["meta"]["version"], "3");
    let groups = json!([
        { "value": "USG_CUST2", "$ref": format!("{BASE}/Groups/USG_CUST2"), "display": "Banking", "type": "Group" },
        { "value": "10002", "$ref": format!("{BASE}/Groups/10002"), "type": "Group" },
    ]);
    assert_eq!(shown["groups"], groups);
    assert_eq!(shown["roles"], json!([]));
    let device = json!({ "value": "11059", "display": "11059", "friendlyName": "my phone",
                         "$ref": format!("{BASE}/Device/11059") });
    assert_eq!(shown[USER_DEVICE]["devices"], json!([device]));
    let authenticator = json!({ "value": "11288.AT_SMS", "display": "AT_SMS",
                                "$ref": format!("{BASE}/Authenticator/11288.AT_SMS") });
    assert_eq!(shown[USER_AUTHENTICATOR]["authenticators"], json!([authenticator]));
    assert_eq!(shown[USER_ATTRIBUTE], json!({ "attributes": [] }));
    let before = told(&user, person(), &numbers(), &Projection::Default, 1);
    assert_eq!(before[USER_DEVICE]["devices"][0].get("friendlyName"), None, "from version 2 on");
}

#[test]
fn whoever_has_no_row_is_zero() {
    let user = ResourceType::user(&[]);
    let unbound =
        json!({ "id": "corp.8f1c", "userName": "x", "meta": { "version": "W/\"77aa\"" } });
    let shown = told(&user, unbound, &Numbers::default(), &Projection::Default, 1);
    assert_eq!(shown["id"], "0");
    assert_eq!(shown["meta"]["location"], format!("{BASE}/Users/0"));
    assert_eq!(shown["meta"]["version"], "1");
    let schemas = json!(["urn:ietf:params:scim:schemas:core:2.0:User", USER_ATTRIBUTE]);
    assert_eq!(shown["schemas"], schemas);
    assert_eq!(shown[USER_ATTRIBUTE], json!({ "attributes": [] }));
    assert_eq!((shown.get("roles"), shown.get("groups")), (None, None));
}

#[test]
fn what_is_not_asked_for_is_not_shown_empty_either() {
    let user = ResourceType::user(&[]);
    let paths = |texts: &[&str]| texts.iter().map(|text| user.resolve(text)).collect();
    let only = Projection::Only(paths(&["userName", "roles"]));
    let shown = told(&user, person(), &numbers(), &only, 1);
    let expected = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
                           "id": "11288", "userName": "jdoe", "roles": [] });
    assert_eq!(shown, expected);
    let without = Projection::Without(paths(&["roles", USER_AUTHENTICATOR, USER_DEVICE]));
    let shown = told(&user, person(), &numbers(), &without, 1);
    assert_eq!((shown.get("roles"), shown.get(USER_DEVICE)), (None, None));
    assert!(shown.get(USER_ATTRIBUTE).is_some());
}

#[test]
fn members_of_a_group_are_its_subgroups() {
    let group = ResourceType::group(&[]);
    let members = json!({ "id": GROUP_ID, "displayName": "all", "members": [
        { "value": "corp.8f1c", "$ref": "/Users/corp.8f1c", "type": "User" },
        { "value": "USG_CUST2", "$ref": "/Groups/USG_CUST2", "type": "Group" },
    ] });
    let shown = told(&group, members, &numbers(), &Projection::Default, 1);
    assert_eq!(shown["id"], "11288");
    let expected = json!([
        { "value": "USG_CUST2", "$ref": format!("{BASE}/Groups/USG_CUST2"), "type": "Group" },
    ]);
    assert_eq!(shown["members"], expected);
}

#[test]
fn schemas_say_who_writes_what() {
    let user = ResourceType::user(&[]);
    let mutability = |manner: &Manner, name: &str| {
        let document = schema(&user.schema.id, &[&user], BASE, manner).unwrap();
        let document: Value = serde_json::from_slice(&document.body).unwrap();
        let attributes = document["attributes"].as_array().unwrap().clone();
        let found = attributes.iter().find(|attribute| attribute["name"] == name).unwrap();
        (found["mutability"].as_str().unwrap().to_owned(), found["required"] == true)
    };
    let (read_only, read_write) = ("readOnly".to_owned(), "readWrite".to_owned());
    for (name, before_four, from_four, rfc) in [
        ("userName", (&read_only, false), (&read_write, true), (&read_write, true)),
        ("displayName", (&read_only, false), (&read_only, false), (&read_write, false)),
        ("groups", (&read_write, false), (&read_write, false), (&read_only, false)),
        ("roles", (&read_write, false), (&read_write, false), (&read_write, false)),
    ] {
        for (manner, (expected, required)) in
            [(&*manner(3), before_four), (&*manner(4), from_four), (&Manner::rfc(), rfc)]
        {
            assert_eq!(mutability(manner, name), (expected.clone(), required), "{name}");
        }
    }
}

#[test]
fn lists_and_errors_have_their_own_members() {
    let manner = manner(1);
    let head = ListHead { start_index: Some(1), ..ListHead::default() };
    let list = render_list(&head, &[br#"{"id":"0"}"#.as_slice()], &manner);
    assert_eq!(
        String::from_utf8(list).unwrap(),
        r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"startIndex":1,"itemsPerPage":1,"resources":[{"id":"0"}]}"#
    );
    let error = render_error(400, Some(ErrorKind::InvalidValue), "no", &manner);
    assert_eq!(
        String::from_utf8(error).unwrap(),
        r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"400","scimType":"invalidValue","errorCode":1009,"detail":"no"}"#
    );
}
