//! The elements of a multi-valued attribute under a patch: which are meant, which are the same, and
//! which one is primary.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::budget::{Budget, size, sizes};
use crate::scim::error::ScimError;
use crate::scim::filter::{Filter, Literal, Operator};
use crate::scim::schema::elements::{comparable, identity, is_primary};
use crate::scim::schema::{Attribute, Kind, Mutability};

/// From how many sought values on an index pays.
const MANY: usize = 4;

/// Finds values in a list; where many are looked for, not by going through it each time.
pub(super) struct Finder<'a> {
    attribute: &'a Attribute,
    budget: &'a Budget,
    /// [`key`] -> places of the values that have it.
    index: Option<HashMap<String, Vec<usize>>>,
}

impl<'a> Finder<'a> {
    /// `sought`: how many will be looked for.
    pub(super) fn new(
        attribute: &'a Attribute,
        values: &[Value],
        sought: usize,
        budget: &'a Budget,
    ) -> Result<Self, ScimError> {
        let mut finder = Self { attribute, budget, index: None };
        if sought > MANY {
            budget.spend(sizes(values), MANY)?;
            finder.index = Some(HashMap::with_capacity(values.len()));
            for (place, value) in values.iter().enumerate() {
                finder.added(place, value);
            }
        }
        Ok(finder)
    }

    /// A value was put there.
    pub(super) fn added(&mut self, place: usize, value: &Value) {
        if let Some(index) = &mut self.index {
            index.entry(key(self.attribute, value)).or_default().push(place);
        }
    }

    /// The place of the first that is `same` as `sought`; values that are, have the same [`key`].
    pub(super) fn find(
        &self,
        values: &[Value],
        sought: &Value,
        same: impl Fn(&Value) -> bool,
    ) -> Result<Option<usize>, ScimError> {
        let steps = size(sought);
        let is_there = |value: &Value| {
            self.budget.spend(steps + size(value), 1)?;
            Ok(same(value))
        };
        let Some(index) = &self.index else {
            for (place, value) in values.iter().enumerate() {
                if is_there(value)? {
                    return Ok(Some(place));
                }
            }
            return Ok(None);
        };
        let places = index.get(&key(self.attribute, sought)).map_or(&[][..], Vec::as_slice);
        for &place in places {
            if let Some(value) = values.get(place)
                && is_there(value)?
            {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }
}

/// The `value` as it is compared; of a complex value without one, all that it says.
fn key(attribute: &Attribute, element: &Value) -> String {
    match (element.get("value"), attribute.sub_attribute("value")) {
        (Some(value), Some(sub)) => comparable(sub, value),
        _ => identity(attribute, element),
    }
}

/// Whether a value that is added stands for `element`: they have the same `value`, and the same
/// `type` and required sub-attributes as far as the given one has them; without a `value`, they say
/// the same.
pub(super) fn stands_for(attribute: &Attribute, given: &Value, element: &Value) -> bool {
    agree(attribute, given, element, |sub, given, element| match (given, element) {
        (Some(given), Some(element)) => equal(sub, given, element),
        (given, _) => given.is_none(),
    })
}

/// Whether one of the values that a `remove` lists means `element`. More lenient than for an `add`:
/// a `type` that only one of them has tells nothing, since some clients always send it.
pub(super) fn is_meant(attribute: &Attribute, given: &Value, element: &Value) -> bool {
    agree(attribute, given, element, |sub, given, element| match (given, element) {
        (Some(given), Some(element)) => equal(sub, given, element),
        _ => true,
    })
}

/// `tells`: whether a `type` or required sub-attribute leaves it possible that both are the same.
fn agree(
    attribute: &Attribute,
    given: &Value,
    element: &Value,
    tells: impl Fn(&Attribute, Option<&Value>, Option<&Value>) -> bool,
) -> bool {
    let (Value::Object(given), Value::Object(element)) = (given, element) else {
        return equal(attribute, given, element);
    };
    match (given.contains_key("value"), element.contains_key("value")) {
        (true, true) => attribute.sub_attributes.iter().all(|sub| {
            let name = sub.name.as_str();
            match (given.get(name), element.get(name)) {
                (Some(given), Some(element)) if name == "value" => equal(sub, given, element),
                (given, element) if name == "type" || sub.required => tells(sub, given, element),
                _ => true,
            }
        }),
        (false, false) => attribute.sub_attributes.iter().all(|sub| {
            match (given.get(&sub.name), element.get(&sub.name)) {
                _ if sub.name == "primary" => true,
                (Some(given), Some(element)) => equal(sub, given, element),
                (given, element) => given.is_none() && element.is_none(),
            }
        }),
        _ => false,
    }
}

/// Whether two values of a simple attribute are the same under its case rule.
pub(super) fn equal(attribute: &Attribute, left: &Value, right: &Value) -> bool {
    if left == right {
        return true;
    }
    match (left, right) {
        (Value::String(left), Value::String(right))
            if attribute.kind != Kind::DateTime && left.is_ascii() && right.is_ascii() =>
        {
            !attribute.case_exact && left.eq_ignore_ascii_case(right)
        }
        _ => comparable(attribute, left) == comparable(attribute, right),
    }
}

/// RFC 7644 section 3.5.2: where a new value is primary, "the server SHALL set the value of the
/// existing attribute to "false" if true".
pub(super) fn demote_others(elements: &mut [Value], chosen: impl Fn(usize) -> bool) {
    for (place, element) in elements.iter_mut().enumerate() {
        if !chosen(place)
            && is_primary(element)
            && let Value::Object(members) = element
        {
            members.insert("primary".to_owned(), Value::Bool(false));
        }
    }
}

/// The element that a filter describes: of `type eq "work" and primary eq true` both. `None` where
/// it says anything else than what equals what, or names what cannot be written.
pub(super) fn described(attribute: &Attribute, filter: &Filter) -> Option<Map<String, Value>> {
    let mut members = Map::new();
    describe(attribute, filter, &mut members)?;
    Some(members)
}

fn describe(attribute: &Attribute, filter: &Filter, to: &mut Map<String, Value>) -> Option<()> {
    match filter {
        Filter::And(parts) => parts.iter().try_for_each(|part| describe(attribute, part, to)),
        Filter::Compare { path, operator: Operator::Eq, value } if path.known => {
            let sub = attribute.sub_attribute(path.sub.as_deref()?)?;
            if sub.mutability == Mutability::ReadOnly {
                return None;
            }
            let value = match value {
                Literal::String(text) => Value::from(text.written.as_str()),
                Literal::Boolean(value) => Value::Bool(*value),
                Literal::DateTime(instant) => Value::from(instant.to_string()),
                Literal::Number(_) | Literal::Null => return None,
            };
            match to.insert(sub.name.clone(), value.clone()) {
                Some(other) if !equal(sub, &other, &value) => None,
                _ => Some(()),
            }
        }
        _ => None,
    }
}

/// The sub-attributes that a filter fixes: of `type eq "work" and value co "x"` the type. What an
/// element is found by, it keeps.
pub(super) fn fixed<'a>(attribute: &'a Attribute, filter: &Filter) -> Vec<&'a str> {
    match filter {
        Filter::And(parts) => parts.iter().flat_map(|part| fixed(attribute, part)).collect(),
        Filter::Compare { path, operator: Operator::Eq, .. } if path.known => {
            let sub = path.sub.as_deref().and_then(|sub| attribute.sub_attribute(sub));
            sub.map(|sub| sub.name.as_str()).into_iter().collect()
        }
        _ => Vec::new(),
    }
}
