//! What a patch does to a list whose elements are told apart by their `value` alone, as a group's
//! members are, found without looking at the list: it may be long.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Operation, Patch, Verb};
use crate::scim::error::ScimError;
use crate::scim::filter::{Filter, Literal, Operator};
use crate::scim::schema::elements::each;
use crate::scim::schema::value::{Place, invalid};
use crate::scim::schema::{AttributePath, ResourceType};

/// What becomes of the elements of a list, after all operations in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Whether the elements that are there go, but for those that come.
    pub anew: bool,
    /// By `value`: whether it comes (or stays), or goes.
    pub values: BTreeMap<String, bool>,
}

impl Membership {
    /// Exactly these.
    pub fn exactly(values: impl IntoIterator<Item = String>) -> Self {
        Self { anew: true, values: values.into_iter().map(|value| (value, true)).collect() }
    }

    /// Whether nothing is said of the list.
    pub fn is_empty(&self) -> bool {
        !self.anew && self.values.is_empty()
    }

    fn clear(&mut self) {
        self.anew = true;
        self.values.clear();
    }
}

/// A patch in two: what it does to one list, and what it does else.
#[derive(Clone, Debug, PartialEq)]
pub struct Parted {
    pub membership: Membership,
    pub rest: Patch,
}

impl Patch {
    /// Parts the operations on the core attribute `list` from the others. `None` where one of them
    /// cannot be understood without the elements that are there: a filter on something else than
    /// `value`, a change of a sub-attribute, or an element to remove that is given without `value`.
    ///
    /// # Errors
    /// `invalidValue` for values that are none of the list's, naming operation and place.
    pub fn parted(&self, list: &str, kind: &ResourceType) -> Result<Option<Parted>, ScimError> {
        let mut parted =
            Parted { membership: Membership::default(), rest: Self { operations: Vec::new() } };
        for operation in &self.operations {
            let path = &operation.path;
            if path.extension.is_some() || path.attribute != list {
                parted.rest.operations.push(operation.clone());
                continue;
            }
            let understood = operation
                .part(&mut parted.membership, kind)
                .map_err(|error| operation.located(error))?;
            if understood.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(parted))
    }
}

impl Operation {
    fn part(
        &self,
        membership: &mut Membership,
        kind: &ResourceType,
    ) -> Result<Option<()>, ScimError> {
        if self.path.sub.is_some() {
            return Ok(None);
        }
        match (&self.filter, self.verb, &self.value) {
            (None, _, None) => membership.clear(),
            (None, verb, Some(given)) => {
                let Some(values) = values(&self.path, verb, given, kind)? else { return Ok(None) };
                if verb == Verb::Replace {
                    membership.clear();
                }
                let comes = verb != Verb::Remove;
                membership.values.extend(values.into_iter().map(|value| (value, comes)));
            }
            (Some(filter), Verb::Remove, _) => {
                let mut values = Vec::new();
                if !chosen(filter, &mut values) {
                    return Ok(None);
                }
                membership.values.extend(values.into_iter().map(|value| (value, false)));
            }
            (Some(_), ..) => return Ok(None),
        }
        Ok(Some(()))
    }
}

/// The `value`s of the elements that are given.
fn values(
    path: &AttributePath,
    verb: Verb,
    given: &Value,
    kind: &ResourceType,
) -> Result<Option<Vec<String>>, ScimError> {
    let Some(attribute) = kind.holder(path) else { return Ok(None) };
    let place = Place::name(None, &attribute.name);
    let mut values = Vec::new();
    for (index, element) in each(attribute, given.clone(), &place)?.into_iter().enumerate() {
        match element.get("value").and_then(Value::as_str) {
            Some(value) => values.push(value.to_owned()),
            None if verb == Verb::Remove => return Ok(None),
            None => {
                let place = Place::index(&place, index);
                let place = Place::name(Some(&place), "value");
                return Err(invalid(&place, format_args!("is required: give it a value")));
            }
        }
    }
    Ok(Some(values))
}

/// Whether a filter says no more than which `value`s are meant; they are added to `values`.
fn chosen(filter: &Filter, values: &mut Vec<String>) -> bool {
    match filter {
        Filter::Compare { path, operator: Operator::Eq, value: Literal::String(text) } => {
            values.push(text.written.clone());
            path.sub.as_deref() == Some("value")
        }
        Filter::Or(parts) => parts.iter().all(|part| chosen(part, values)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Tolerance;
    use serde_json::json;

    use super::*;
    use crate::scim::error::ErrorKind;

    fn parted(operations: &Value) -> Result<Option<Parted>, ScimError> {
        let kind = ResourceType::group(&[]);
        Patch::parse(&json!({ "Operations": operations }), &kind, Tolerance::default())?
            .parted("members", &kind)
    }

    #[track_caller]
    fn becomes(operations: &Value, anew: bool, values: &[(&str, bool)]) {
        let expected = Membership {
            anew,
            values: values.iter().map(|(value, comes)| ((*value).to_owned(), *comes)).collect(),
        };
        assert_eq!(parted(operations).unwrap().unwrap().membership, expected, "{operations}");
    }

    #[test]
    fn every_form_that_clients_send_is_understood() {
        becomes(
            &json!([{ "op": "add", "path": "members", "value": [{ "value": "a" }] }]),
            false,
            &[("a", true)],
        );
        becomes(
            &json!([{ "op": "Add", "path": "Members", "value": { "$ref": null, "value": "a" } }]),
            false,
            &[("a", true)],
        );
        becomes(
            &json!([{ "op": "add", "path": "members", "value": ["a", "b", "a"] }]),
            false,
            &[("a", true), ("b", true)],
        );
        becomes(
            &json!([{ "op": "add", "path": "members", "value": [{ "id": "a" }] }]),
            false,
            &[("a", true)],
        );
        becomes(
            &json!([{ "op": "add", "value": { "members": [{ "display": "x", "value": "a" }] } }]),
            false,
            &[("a", true)],
        );
        becomes(
            &json!([{ "op": "remove", "path": "members", "value": [{ "value": "a" }] }]),
            false,
            &[("a", false)],
        );
        becomes(
            &json!([{ "op": "remove", "path": "members[value eq \"a\"]" }]),
            false,
            &[("a", false)],
        );
        becomes(
            &json!([{ "op": "remove", "path": "members[value eq \"a\" or value eq \"b\"]" }]),
            false,
            &[("a", false), ("b", false)],
        );
        becomes(&json!([{ "op": "remove", "path": "members" }]), true, &[]);
        becomes(&json!([{ "op": "replace", "path": "members", "value": [] }]), true, &[]);
        becomes(&json!([{ "op": "replace", "path": "members", "value": null }]), true, &[]);
        becomes(&json!([{ "op": "replace", "value": { "members": [], "id": "g" } }]), true, &[]);
        becomes(
            &json!([{ "op": "replace", "path": "members", "value": [{ "value": "a" }] }]),
            true,
            &[("a", true)],
        );
        for nothing in [
            json!([{ "op": "add", "path": "members", "value": [] }]),
            json!([{ "op": "remove", "path": "members", "value": [] }]),
            json!([{ "op": "replace", "path": "displayName", "value": "x" }]),
            json!([]),
        ] {
            let parted = parted(&nothing).unwrap().unwrap();
            assert!(parted.membership.is_empty(), "{nothing}");
        }
    }

    #[test]
    fn operations_count_in_their_order_and_the_others_stay() {
        let operations = json!([
            { "op": "add", "path": "members", "value": [{ "value": "a" }, { "value": "b" }] },
            { "op": "replace", "path": "displayName", "value": "x" },
            { "op": "remove", "path": "members[value eq \"a\"]" },
            { "op": "remove", "path": "members", "value": [{ "value": "c" }] },
            { "op": "add", "path": "members", "value": "c" },
        ]);
        becomes(&operations, false, &[("a", false), ("b", true), ("c", true)]);
        let rest = parted(&operations).unwrap().unwrap().rest;
        assert_eq!(
            rest.paths().map(|path| path.text.as_str()).collect::<Vec<_>>(),
            ["displayName"]
        );
        becomes(
            &json!([
                { "op": "add", "path": "members", "value": "a" },
                { "op": "remove", "path": "members" },
                { "op": "add", "path": "members", "value": "b" },
                { "op": "remove", "path": "members", "value": "d" },
            ]),
            true,
            &[("b", true), ("d", false)],
        );
    }

    #[test]
    fn what_needs_the_list_itself_is_told_apart() {
        for odd in [
            json!([{ "op": "remove", "path": "members[display eq \"x\"]" }]),
            json!([{ "op": "remove", "path": "members[not (value eq \"a\")]" }]),
            json!([{ "op": "remove", "path": "members[value sw \"a\"]" }]),
            json!([{ "op": "remove", "path": "members", "value": [{ "type": "User" }] }]),
            json!([{ "op": "replace", "path": "members[value eq \"a\"]", "value": { "value": "b" } }]),
            json!([{ "op": "remove", "path": "members.value" }]),
        ] {
            assert_eq!(parted(&odd).unwrap(), None, "{odd}");
        }
        for wrong in [
            json!([{ "op": "add", "path": "members", "value": [{ "type": "User" }] }]),
            json!([{ "op": "add", "path": "members", "value": [{ "value": 7 }] }]),
        ] {
            let error = parted(&wrong).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidValue, "{wrong}");
            assert!(
                error.detail.contains("Operations[0]") && error.detail.contains("members[0].value"),
                "{error}"
            );
        }
    }
}
