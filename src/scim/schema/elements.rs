//! The values of a multi-valued attribute among themselves: which two are the same, and which one
//! is primary (RFC 7643 section 2.4).

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::{Map, Value};

use super::value::{self, Place, invalid};
use super::{Attribute, Kind};
use crate::scim::error::ScimError;
use crate::scim::text;

/// How many values an attribute holds at most.
const MAX_VALUES: usize = 10_000;

/// The values that were given, each in the form in which it is kept. A value alone is a list of one.
pub(in crate::scim) fn each(
    attribute: &Attribute,
    given: Value,
    place: &Place<'_>,
) -> Result<Vec<Value>, ScimError> {
    let given = match given {
        Value::Null => Vec::new(),
        Value::Array(values) => values,
        other => vec![other],
    };
    bounded(given.len(), place)?;
    let mut values = Vec::with_capacity(given.len());
    for (index, given) in given.into_iter().enumerate() {
        if let Some(value) = value::single(attribute, given, &Place::index(place, index))? {
            values.push(value);
        }
    }
    Ok(values)
}

/// Makes one of values that are the same, and refuses a second primary one.
pub(in crate::scim) fn settle(
    attribute: &Attribute,
    values: Vec<Value>,
    place: &Place<'_>,
) -> Result<Vec<Value>, ScimError> {
    bounded(values.len(), place)?;
    let values = merged(attribute, values);
    match values.iter().filter(|value| is_primary(value)).count() {
        0 | 1 => Ok(values),
        count => Err(invalid(
            place,
            format_args!("has {count} primary values: mark one of them at most"),
        )),
    }
}

/// RFC 7643 section 2.4: a list should not hold the same (type, value) pair twice. The first stays
/// and takes over what only the later one says.
fn merged(attribute: &Attribute, values: Vec<Value>) -> Vec<Value> {
    if values.len() < 2 {
        return values;
    }
    let mut kept: Vec<Value> = Vec::with_capacity(values.len());
    let mut places = HashMap::with_capacity(values.len());
    for value in values {
        match places.entry(identity(attribute, &value)) {
            Entry::Vacant(place) => {
                place.insert(kept.len());
                kept.push(value);
            }
            Entry::Occupied(place) => {
                if let (Some(Value::Object(first)), Value::Object(later)) =
                    (kept.get_mut(*place.get()), value)
                {
                    absorb(first, later);
                }
            }
        }
    }
    kept
}

fn absorb(first: &mut Map<String, Value>, later: Map<String, Value>) {
    for (name, value) in later {
        let promotes = name == "primary" && value == Value::Bool(true);
        if promotes || !first.contains_key(&name) {
            first.insert(name, value);
        }
    }
}

/// What two values have in common exactly if they are the same: `type`, `value` and the required
/// sub-attributes, each compared as its case rule says; of a complex value without `value`, all.
pub(in crate::scim) fn identity(attribute: &Attribute, value: &Value) -> String {
    let Value::Object(members) = value else {
        return comparable(attribute, value);
    };
    // U+0000 occurs in no value, so it separates; what is absent differs from what is empty.
    let mut identity = String::new();
    let has_value = members.contains_key("value");
    for sub_attribute in &attribute.sub_attributes {
        let name = sub_attribute.name.as_str();
        let counts = if has_value {
            name == "value" || name == "type" || sub_attribute.required
        } else {
            name != "primary"
        };
        if counts && let Some(value) = members.get(name) {
            identity.push_str(name);
            identity.push('\0');
            identity.push_str(&comparable(sub_attribute, value));
        }
        identity.push('\0');
    }
    identity
}

/// A value of a simple attribute under which equal ones are equal texts.
pub(in crate::scim) fn comparable(attribute: &Attribute, value: &Value) -> String {
    match value {
        Value::String(value) if attribute.kind != Kind::DateTime => {
            text::comparable(value, attribute.case_exact).into_owned()
        }
        Value::String(value) => {
            text::instant(value).map_or_else(|| value.clone(), |at| at.to_string())
        }
        Value::Number(value) if attribute.kind == Kind::Decimal => {
            value.as_f64().map_or_else(|| value.to_string(), |value| value.to_string())
        }
        other => other.to_string(),
    }
}

/// Whether two values of an attribute say the same, members by their own case rules and lists in
/// any order.
pub(in crate::scim) fn same(attribute: &Attribute, one: &Value, other: &Value) -> bool {
    if one == other {
        return true;
    }
    let keys = |value: &Value| {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let mut keys: Vec<String> = values.iter().map(|value| whole(attribute, value)).collect();
        keys.sort_unstable();
        keys
    };
    keys(one) == keys(other)
}

/// All that a value says, each member as it is compared.
fn whole(attribute: &Attribute, value: &Value) -> String {
    let Value::Object(members) = value else { return comparable(attribute, value) };
    let mut whole = String::new();
    for sub_attribute in &attribute.sub_attributes {
        if let Some(value) = members.get(&sub_attribute.name) {
            whole.push_str(&sub_attribute.name);
            whole.push('\0');
            whole.push_str(&comparable(sub_attribute, value));
        }
        whole.push('\0');
    }
    whole
}

/// Whether every complex value has its required sub-attributes.
pub(in crate::scim) fn complete(
    attribute: &Attribute,
    value: &Value,
    place: &Place<'_>,
) -> Result<(), ScimError> {
    match value {
        Value::Array(values) => values
            .iter()
            .enumerate()
            .try_for_each(|(index, value)| complete(attribute, value, &Place::index(place, index))),
        Value::Object(members) => {
            let missing = attribute
                .sub_attributes
                .iter()
                .find(|sub| sub.required && !members.contains_key(&sub.name));
            match missing {
                None => Ok(()),
                Some(sub) => {
                    let place = Place::name(Some(place), &sub.name);
                    Err(invalid(&place, format_args!("is required: give it a value")))
                }
            }
        }
        _ => Ok(()),
    }
}

pub(in crate::scim) fn is_primary(value: &Value) -> bool {
    value.get("primary") == Some(&Value::Bool(true))
}

/// Refuses more values than an attribute may hold.
pub(in crate::scim) fn bounded(count: usize, place: &Place<'_>) -> Result<(), ScimError> {
    if count <= MAX_VALUES {
        return Ok(());
    }
    Err(invalid(place, format_args!("has {count} values: at most {MAX_VALUES} are accepted")))
}
