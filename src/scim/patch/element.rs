//! The elements of a multi-valued attribute under a patch: which are meant, which are the same, and
//! which one is primary.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::scim::filter::{Filter, Literal, Operator};
use crate::scim::schema::elements::{comparable, is_primary};
use crate::scim::schema::{Attribute, Kind, Mutability};

/// From how many given values on an index pays.
const MANY: usize = 16;

/// Finds the element that a given one stands for.
pub(super) struct Finder<'a> {
    attribute: &'a Attribute,
    /// Comparable `value` -> places of the elements that have it.
    index: Option<HashMap<Option<String>, Vec<usize>>>,
}

impl<'a> Finder<'a> {
    /// `given`: how many will be looked for.
    pub(super) fn new(attribute: &'a Attribute, elements: &[Value], given: usize) -> Self {
        let mut finder = Self { attribute, index: None };
        if given > MANY {
            finder.index = Some(HashMap::with_capacity(elements.len()));
            for (place, element) in elements.iter().enumerate() {
                finder.added(place, element);
            }
        }
        finder
    }

    /// An element was put there.
    pub(super) fn added(&mut self, place: usize, element: &Value) {
        if let Some(index) = &mut self.index {
            index.entry(key(self.attribute, element)).or_default().push(place);
        }
    }

    pub(super) fn find(&self, elements: &[Value], given: &Value) -> Option<usize> {
        let same = |element| stands_for(self.attribute, given, element);
        match &self.index {
            None => elements.iter().position(same),
            Some(index) => {
                let places = index.get(&key(self.attribute, given))?;
                places.iter().copied().find(|place| elements.get(*place).is_some_and(same))
            }
        }
    }
}

/// Whether `given` stands for `element`: they have the same `value`, and the same `type` and
/// required sub-attributes as far as `given` has them; without a `value`, all that is given.
fn stands_for(attribute: &Attribute, given: &Value, element: &Value) -> bool {
    let (Value::Object(given), Value::Object(element)) = (given, element) else {
        return equal(attribute, given, element);
    };
    let has_value = given.contains_key("value");
    attribute.sub_attributes.iter().all(|sub| {
        let name = sub.name.as_str();
        let counts = if has_value {
            name == "value" || name == "type" || sub.required
        } else {
            name != "primary"
        };
        match (given.get(name), element.get(name)) {
            (Some(given), Some(element)) if counts => equal(sub, given, element),
            (Some(_), None) => !counts,
            _ => true,
        }
    })
}

/// Whether `given`, in the list of a `remove`, means `element`. More lenient than for an `add`: a
/// `type` that only one of them has tells nothing, since some clients always send it.
pub(super) fn is_meant(attribute: &Attribute, given: &Value, element: &Value) -> bool {
    let (Value::Object(members), Value::Object(present)) = (given, element) else {
        return equal(attribute, given, element);
    };
    if !members.contains_key("value") {
        return stands_for(attribute, given, element);
    }
    attribute.sub_attributes.iter().all(|sub| match sub.name.as_str() {
        "value" => match (members.get("value"), present.get("value")) {
            (Some(given), Some(element)) => equal(sub, given, element),
            _ => false,
        },
        "type" => match (members.get("type"), present.get("type")) {
            (Some(given), Some(element)) => equal(sub, given, element),
            _ => true,
        },
        _ => true,
    })
}

fn key(attribute: &Attribute, element: &Value) -> Option<String> {
    match element {
        Value::Object(members) => {
            let value = members.get("value")?;
            Some(comparable(attribute.sub_attribute("value")?, value))
        }
        simple => Some(comparable(attribute, simple)),
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
