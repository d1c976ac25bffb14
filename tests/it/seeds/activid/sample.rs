//! A sample answer beside ours: what differs is listed, and nothing else differs.

use serde_json::{Map, Value};

use crate::support::bridge::BASE;

/// The document's name for where the bridge is.
pub const SERVER: &str = "https://[base-server-url]/scim/tenant/v2";
/// What stands for an instant that no test can know.
pub const WHEN: &str = "<instant>";

/// One place where our answer is not the document's.
pub struct Deviation {
    /// A JSON pointer (RFC 6901). The elements of a list are named by what names them (`name`, `id`,
    /// `value`, or of strings the string), since their order does not count.
    at: &'static str,
    /// What stands there in ours; `None` where nothing does.
    ours: Option<Value>,
    /// Why.
    reason: &'static str,
}

/// Our answer has this there.
pub fn ours(at: &'static str, ours: impl Into<Value>, reason: &'static str) -> Deviation {
    Deviation { at, ours: Some(ours.into()), reason }
}

/// Our answer has nothing there.
pub fn without(at: &'static str, reason: &'static str) -> Deviation {
    Deviation { at, ours: None, reason }
}

/// Holds our answer against the document's: the same but for the deviations, each of which must be
/// one. `names` are what this run has in the place of the document's ids, names and the like.
#[track_caller]
pub fn compare(theirs: &Value, answer: &Value, names: &[(&str, &str)], deviations: &[Deviation]) {
    let mut expected = keyed(theirs);
    for Deviation { at, ours, reason } in deviations {
        let before = expected.clone();
        put(&mut expected, at, ours.as_ref().map(keyed));
        assert_ne!(before, expected, "{at} is no deviation: {reason}");
    }
    assert_eq!(keyed(&as_documented(answer, names)), expected, "the answer, and what is expected");
}

/// Our answer in the document's names.
fn as_documented(answer: &Value, names: &[(&str, &str)]) -> Value {
    match answer {
        Value::String(text) => Value::String(documented(text, names)),
        Value::Array(list) => list.iter().map(|one| as_documented(one, names)).collect(),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                let value = match name.as_str() {
                    "created" | "lastModified" => instant(value),
                    _ => as_documented(value, names),
                };
                (name.clone(), value)
            };
            Value::Object(members.iter().map(member).collect())
        }
        other => other.clone(),
    }
}

fn documented(text: &str, names: &[(&str, &str)]) -> String {
    if let Some((_, below)) = text.split_once("://").filter(|(scheme, _)| *scheme == "http")
        && let Some((_, path)) = below.split_once(BASE)
    {
        return format!("{SERVER}{}", documented(path, names));
    }
    // Whole words only: an id may be part of another one.
    let renamed: Vec<String> = text
        .split_inclusive(['/', '.'])
        .map(|part| {
            let word = part.trim_end_matches(['/', '.']);
            let theirs = names.iter().find(|(ours, _)| *ours == word).map_or(word, |(_, to)| to);
            format!("{theirs}{}", &part[word.len()..])
        })
        .collect();
    renamed.concat()
}

#[track_caller]
fn instant(value: &Value) -> Value {
    let text = value.as_str().unwrap_or_default();
    assert!(text.parse::<jiff::Timestamp>().is_ok(), "no instant: {value}");
    Value::from(WHEN)
}

/// Lists as objects, under what names their elements.
fn keyed(value: &Value) -> Value {
    match value {
        Value::Array(list) => {
            let mut members = Map::new();
            for (place, element) in list.iter().enumerate() {
                let named =
                    ["name", "id", "value"].iter().find_map(|name| element.get(name)?.as_str());
                let key =
                    named.or(element.as_str()).map_or_else(|| place.to_string(), str::to_owned);
                members.insert(key, keyed(element));
            }
            Value::Object(members)
        }
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| (name.clone(), keyed(value));
            Value::Object(members.iter().map(member).collect())
        }
        other => other.clone(),
    }
}

fn put(document: &mut Value, at: &str, value: Option<Value>) {
    let mut keys: Vec<String> = at.split('/').skip(1).map(|key| key.replace("~1", "/")).collect();
    let last = keys.pop().expect("a pointer into the document");
    let mut place = document;
    for key in keys {
        place = place.get_mut(&key).unwrap_or_else(|| panic!("{at}: there is no {key}"));
    }
    let members = place.as_object_mut().unwrap_or_else(|| panic!("{at} leads into nothing"));
    match value {
        Some(value) => members.insert(last, value),
        None => members.remove(&last),
    };
}
