//! What holds for any patch of anybody.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Patch, Tolerance};
use crate::scim::filter::Filter;
use crate::scim::resource::Attributes;
use crate::scim::schema::ResourceType;
use crate::scim::schema::check::Purpose;
use crate::scim::schema::standard::{ENTERPRISE, USER_ATTRIBUTE};

/// Made once: its schemas are parsed from text.
static USER: LazyLock<ResourceType> = LazyLock::new(|| ResourceType::user(&[]));

/// Few texts, so that they meet: equal but for case or composition, empty, quoting and escaping.
fn text() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "a", "A", "b", "work", "WORK", "home", "straße", "e\u{301}", "é", "", " ", "x\"y\\z",
        "true",
    ])
    .prop_map(str::to_owned)
}

fn element() -> impl Strategy<Value = Value> {
    let boolean = prop_oneof![Just(json!(true)), Just(json!("False")), Just(json!(null))];
    let sub = prop_oneof![
        4 => ("value|type|display|VALUE", text().prop_map(Value::String)).boxed(),
        1 => (Just("primary".to_owned()), boolean).boxed(),
        1 => (Just("streetAddress".to_owned()), text().prop_map(Value::String)).boxed(),
        1 => (Just("type".to_owned()), Just(Value::Null)).boxed(),
    ];
    prop_oneof![
        6 => prop::collection::vec(sub, 0..4)
            .prop_map(|subs| Value::Object(Map::from_iter(subs))).boxed(),
        1 => text().prop_map(Value::String).boxed(),
    ]
}

fn elements() -> impl Strategy<Value = Value> {
    prop::collection::vec(element(), 0..4).prop_map(Value::Array)
}

fn name() -> impl Strategy<Value = Value> {
    let part = prop::sample::select(vec!["givenName", "FamilyName", "middleName", "other"]);
    let given = prop_oneof![3 => text().prop_map(Value::String), 1 => Just(Value::Null)];
    prop::collection::btree_map(part.prop_map(str::to_owned), given, 0..3)
        .prop_map(|parts| Value::Object(parts.into_iter().collect()))
}

fn fact() -> impl Strategy<Value = Value> {
    (text(), text()).prop_map(|(name, value)| json!({ "name": name, "value": value }))
}

fn person() -> impl Strategy<Value = Attributes> {
    let facts = prop::collection::vec(fact(), 0..3);
    (elements(), elements(), elements(), name(), text(), facts).prop_filter_map(
        "two primary values, or a fact without name",
        |(emails, roles, addresses, name, title, facts)| {
            let body = json!({
                "userName": "somebody", "active": "true", "title": title, "name": name,
                "emails": emails, "roles": roles,
                "addresses": strings_out(addresses),
                (ENTERPRISE): { "department": "Tours", "manager": { "value": "26" } },
                (USER_ATTRIBUTE): { "attributes": facts },
            });
            let checked = USER.check(body, Purpose::Create);
            checked.ok().map(|checked| checked.attributes)
        },
    )
}

/// Addresses have no `value` that a string could stand for.
fn strings_out(values: Value) -> Value {
    match values {
        Value::Array(values) => values.into_iter().filter(|value| !value.is_string()).collect(),
        other => other,
    }
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => elements().boxed(),
        3 => element().boxed(),
        4 => text().prop_map(Value::String).boxed(),
        1 => name().boxed(),
        1 => fact().boxed(),
        1 => prop::sample::select(vec![json!(null), json!(true), json!(7), json!([])]).boxed(),
    ]
}

fn path() -> impl Strategy<Value = String> {
    let term = prop_oneof![
        text().prop_map(|text| format!("type eq {}", Value::String(text))),
        text().prop_map(|text| format!("value co {}", Value::String(text))),
        Just("primary eq \"True\"".to_owned()),
        Just("not (value pr)".to_owned()),
        text().prop_map(|t| format!("type eq \"work\" and value eq {}", Value::String(t))),
    ];
    let multi = prop::sample::select(vec!["emails", "ROLES", "addresses", "roles"]);
    let sub =
        prop::sample::select(vec!["", ".value", ".display", ".primary", ".type", ".streetAddress"]);
    let fact = "(|\\[name eq \"(a|b)\"\\]|\\[value pr\\])(|\\.value|\\.name)";
    prop_oneof![
        4 => (multi.clone(), term, sub.clone())
            .prop_map(|(multi, term, sub)| format!("{multi}[{term}]{sub}")).boxed(),
        3 => (multi, sub).prop_map(|(multi, sub)| format!("{multi}{sub}")).boxed(),
        3 => prop::sample::select(vec![
            "userName", "title", "active", "name", "name.givenName", "NAME.familyname", "externalId",
        ]).prop_map(str::to_owned).boxed(),
        1 => prop::sample::select(vec!["", ":manager", ":manager.value", ":department"])
            .prop_map(|rest| format!("{ENTERPRISE}{rest}")).boxed(),
        1 => fact.prop_map(|rest| format!("{USER_ATTRIBUTE}:attributes{rest}")).boxed(),
    ]
}

fn operation(ops: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let with_path = (prop::sample::select(ops), path(), value(), any::<bool>()).prop_map(
        |(op, path, value, listed)| {
            if op == "remove" && !listed {
                json!({ "op": op, "path": path })
            } else {
                json!({ "op": op, "path": path, "value": value })
            }
        },
    );
    let without = (prop::sample::select(ops), path(), value())
        .prop_map(|(op, path, value)| json!({ "op": op, "value": { path: value, "id": "9" } }));
    prop_oneof![5 => with_path, 1 => without]
}

fn applied(current: &Attributes, operations: &[Value], creates: bool) -> Option<Attributes> {
    let body = json!({ "Operations": operations });
    let patch = Patch::parse(&body, &USER, Tolerance::default()).ok()?;
    patch
        .apply(
            current,
            &USER,
            Tolerance { create_on_absent_value_path: creates, ..Tolerance::default() },
        )
        .ok()
}

/// Whether each value filter in the paths of an operation finds somebody's element.
fn chooses(operation: &Value, person: &Attributes) -> bool {
    let keys = operation["value"].as_object().into_iter().flat_map(|value| value.keys());
    let paths: Vec<&str> = match operation["path"].as_str() {
        Some(path) => vec![path],
        None => keys.map(String::as_str).collect(),
    };
    paths
        .iter()
        .filter_map(|path| path.get(..=path.rfind(']')?))
        .all(|path| Filter::parse(path, &USER).is_ok_and(|filter| filter.matches(person)))
}

proptest! {
    #![proptest_config(crate::scim::cases::of(2_000, 100_000))]

    #[test]
    fn what_comes_out_passes_the_check_unchanged(
        person in person(),
        operations in prop::collection::vec(operation(&["add", "Replace", "remove"]), 1..4),
        creates: bool,
    ) {
        // Each operation alone first: one that is refused must not hide the others.
        let mut current = person;
        for operation in &operations {
            let Some(after) = applied(&current, std::slice::from_ref(operation), creates) else {
                continue;
            };
            let checked = USER.check(Value::Object(after.clone()), Purpose::Create);
            prop_assert_eq!(checked.map(|checked| checked.attributes), Ok(after.clone()));
            current = after;
        }
    }

    #[test]
    fn one_bad_operation_refuses_the_whole_patch(
        person in person(),
        operations in prop::collection::vec(operation(&["add", "replace", "remove"]), 0..3),
        at in 0_usize..3,
    ) {
        let before = person.clone();
        let mut operations = operations;
        let bad = json!({ "op": "replace", "path": "active", "value": "neither" });
        operations.insert(at.min(operations.len()), bad);
        prop_assert_eq!(applied(&person, &operations, true), None);
        prop_assert_eq!(person, before);
    }

    #[test]
    fn doing_it_again_changes_nothing(
        person in person(),
        operation in operation(&["replace", "remove", "add"]),
        creates: bool,
    ) {
        let chosen = |person: &Attributes| chooses(&operation, person);
        if let Some(once) = applied(&person, std::slice::from_ref(&operation), creates)
            // Else an element was made, or is another one than its own filter looks for.
            && chosen(&person)
            && chosen(&once)
        {
            prop_assert_eq!(applied(&once, std::slice::from_ref(&operation), creates), Some(once));
        }
    }

    #[test]
    fn no_body_makes_it_panic(
        op in ".{0,8}|add|remove|replace",
        path in "[a-zA-Z.:\\[\\]\"\\\\ ()é]{0,24}|emails\\[.{0,12}\\].{0,8}",
        value in value(),
        person in person(),
    ) {
        let _ = applied(&person, &[json!({ "op": op, "path": path, "value": value })], true);
        let _ = applied(&person, &[json!({ "op": op, "value": { path: value } })], true);
    }
}
