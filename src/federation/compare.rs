//! When two values say the same, by the schema's rules.

use serde_json::Value;

use crate::scim::schema::{Attribute, Kind};
use crate::scim::text::comparable;

/// Whether both say the same: strings by the attribute's case rule, dates by instant, numbers by
/// value, complex values member by member.
pub(super) fn same(definition: &Attribute, one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(ones), Value::Array(others)) => {
            ones.len() == others.len()
                && ones.iter().zip(others).all(|(one, other)| same(definition, one, other))
        }
        (Value::Object(ones), Value::Object(others)) => {
            ones.len() == others.len()
                && ones.iter().all(|(name, one)| {
                    others.get(name).is_some_and(|other| match sub(definition, name) {
                        Some(sub) => same(sub, one, other),
                        None => one == other,
                    })
                })
        }
        (Value::String(one), Value::String(other)) => match definition.kind {
            Kind::DateTime => match (one.parse::<jiff::Timestamp>(), other.parse()) {
                (Ok(one), Ok(other)) => one == other,
                _ => one == other,
            },
            _ => comparable(one, definition.case_exact) == comparable(other, definition.case_exact),
        },
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        _ => one == other,
    }
}

/// Whether an element as given repeats one that the directory holds: each member given has the
/// same value there. Who is primary and how a value is displayed is no part of what it says.
pub(super) fn repeats(definition: &Attribute, given: &Value, held: &Value) -> bool {
    match (given, held) {
        (Value::Object(given), Value::Object(held)) => given
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "primary" | "display" | "$ref"))
            .all(|(name, one)| {
                held.get(name).is_some_and(|other| match sub(definition, name) {
                    Some(sub) => same(sub, one, other),
                    None => one == other,
                })
            }),
        _ => same(definition, given, held),
    }
}

pub(super) fn sub<'a>(definition: &'a Attribute, name: &str) -> Option<&'a Attribute> {
    definition.sub_attributes.iter().find(|sub| sub.name == name)
}
