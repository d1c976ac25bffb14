//! The examples of the RFCs, kept as data in `tests/rfc`: each does what the RFC says of it.

use serde_json::{Map, Value, json};

use super::bulk::{BULK_REQUEST, Bulk, Task};
use super::patch::Tolerance;
use super::schema::check::Purpose;
use super::{Filter, Patch, ResourceType};

fn kind(name: &Value) -> ResourceType {
    if name == "Group" { ResourceType::group(&[]) } else { ResourceType::user(&[]) }
}

fn list(text: &str) -> Vec<Value> {
    let list: Vec<Value> = serde_json::from_str(text).unwrap();
    assert!(!list.is_empty());
    list
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[test]
fn resources_pass_the_check_and_are_kept_as_they_are() {
    for example in list(include_str!("../../tests/rfc/resources.json")) {
        let (section, kind) = (&example["section"], kind(&example["type"]));
        let checked = kind.check(example["resource"].clone(), Purpose::Create);
        let kept = checked.unwrap_or_else(|error| panic!("{section}: {error}")).attributes;
        kind.only_known(&example["resource"]).unwrap_or_else(|error| panic!("{section}: {error}"));
        for (name, value) in &kept {
            let mut given = example["resource"][name].clone();
            // What is readOnly is not the client's to give.
            for member in given.as_array_mut().into_iter().flatten() {
                member.as_object_mut().unwrap().shift_remove("display");
            }
            if let Some(manager) = given.pointer_mut("/manager").and_then(Value::as_object_mut) {
                manager.shift_remove("displayName");
            }
            assert_eq!(*value, given, "{section}: {name}");
        }
        for read_only in ["id", "meta", "schemas", "groups", "userType"] {
            assert!(!kept.contains_key(read_only), "{section}: {read_only}");
        }
    }
}

#[test]
fn filters_select_whom_they_describe() {
    let example: Value =
        serde_json::from_str(include_str!("../../tests/rfc/filters.json")).unwrap();
    let user = ResourceType::user(&[]);
    for pair in example["filters"].as_array().unwrap() {
        let text = pair[0].as_str().unwrap();
        let filter = Filter::parse(text, &user).unwrap_or_else(|error| panic!("{text}: {error}"));
        let people = example["people"].as_object().unwrap().iter();
        let selected: Vec<&String> = people
            .filter(|(_, person)| filter.matches(&object(person)))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(json!(selected), pair[1], "{text}");
        assert_eq!(Filter::parse(&filter.to_string(), &user).as_ref(), Ok(&filter), "{text}");
    }
}

#[test]
fn patches_do_what_they_say_or_are_refused() {
    for example in list(include_str!("../../tests/rfc/patches.json")) {
        let (section, kind) = (&example["section"], kind(&example["type"]));
        let before = object(&example["before"]);
        let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": example["operations"] });
        let outcome = Patch::parse(&body, &kind, Tolerance::default())
            .and_then(|patch| patch.apply(&before, &kind, Tolerance::default()));
        match (outcome, example.get("after")) {
            (Ok(after), Some(expected)) => assert_eq!(Value::Object(after), *expected, "{section}"),
            (Err(error), None) => {
                assert_eq!(error.kind.name(), example["scimType"], "{section}: {error}");
            }
            (outcome, _) => panic!("{section}: {outcome:?}"),
        }
    }
}

#[test]
fn bulk_requests_are_done_in_an_order_in_which_they_can_be() {
    for example in list(include_str!("../../tests/rfc/bulk.json")) {
        let body = json!({ "schemas": [BULK_REQUEST], "failOnErrors": 1,
            "Operations": example["operations"] });
        let bulk = Bulk::parse(body, 10).unwrap();
        assert!(bulk.steps.iter().all(|step| step.operation.is_ok()), "{bulk:?}");
        let order: Vec<String> = bulk
            .order()
            .into_iter()
            .map(|task| match task {
                Task::Run { step, postponed } if postponed.is_empty() => format!("run {step}"),
                Task::Run { step, postponed } => {
                    format!("run {step} without {}", postponed.join(", "))
                }
                Task::Complete { step } => format!("complete {step}"),
            })
            .collect();
        assert_eq!(json!(order), example["order"], "{}", example["section"]);
    }
}
