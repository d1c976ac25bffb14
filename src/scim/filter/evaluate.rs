//! A filter evaluated in memory, on one resource's attributes.
//!
//! The rules are those of SQL and of the directories' residuals, so that all select the same people.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Filter, Literal, Operator, Text, like};
use crate::scim::resource::Attributes;
use crate::scim::schema::AttributePath;
use crate::scim::text::{comparable, instant};

impl Filter {
    /// Whether a resource with these attributes is selected. Attributes stand under canonical
    /// names, those of an extension in an object under its URN; `meta` and `id` are read there too.
    ///
    /// An absent attribute makes every comparison false but `ne`; of several values one must
    /// satisfy the comparison (also `ne`). A value of another type than the schema says equals
    /// nothing.
    pub fn matches(&self, attributes: &Attributes) -> bool {
        holds(self, Scope::Resource(attributes))
    }

    /// Whether one element of a complex attribute is selected by what stands in the brackets of a
    /// [`Filter::Element`].
    pub fn matches_element(&self, element: &Value) -> bool {
        holds(self, Scope::Element(element))
    }
}

/// Where paths are looked up.
#[derive(Clone, Copy)]
enum Scope<'a> {
    Resource(&'a Attributes),
    /// One element of a complex attribute: its sub-attributes only.
    Element(&'a Value),
}

fn holds(filter: &Filter, scope: Scope<'_>) -> bool {
    match filter {
        Filter::And(parts) => parts.iter().all(|part| holds(part, scope)),
        Filter::Or(parts) => parts.iter().any(|part| holds(part, scope)),
        Filter::Not(inner) => !holds(inner, scope),
        Filter::Compare { path, operator, value } => compare(scope, path, *operator, value),
        Filter::Present(path) => scope.any(path, &mut is_present),
        Filter::Element { path, filter } => {
            scope.any(path, &mut |element| holds(filter, Scope::Element(element)))
        }
        Filter::Constant(outcome) => *outcome,
    }
}

fn compare(scope: Scope<'_>, path: &AttributePath, operator: Operator, literal: &Literal) -> bool {
    if *literal == Literal::Null {
        return scope.any(path, &mut is_present) == (operator == Operator::Ne);
    }
    if operator == Operator::Ne {
        let mut absent = true;
        let differs = scope.any(path, &mut |value| {
            absent = false;
            !satisfies(path, Operator::Eq, literal, value)
        });
        return differs || absent;
    }
    scope.any(path, &mut |value| satisfies(path, operator, literal, value))
}

impl Scope<'_> {
    /// Whether one of the values to which `path` leads passes `test`. `null` is no value (RFC 7643
    /// section 2.5).
    fn any(self, path: &AttributePath, test: &mut dyn FnMut(&Value) -> bool) -> bool {
        if !path.known {
            return false;
        }
        let attribute = match self {
            Self::Element(element) => {
                let sub = path.sub.as_ref().and_then(|sub| element.get(sub));
                return sub.is_some_and(|value| each(value, test));
            }
            Self::Resource(attributes) => match &path.extension {
                None => attributes.get(&path.attribute),
                Some(urn) if path.attribute.is_empty() => attributes.get(urn),
                Some(urn) => attributes.get(urn).and_then(|inner| inner.get(&path.attribute)),
            },
        };
        let Some(attribute) = attribute else { return false };
        match &path.sub {
            None => each(attribute, test),
            Some(sub) => each(attribute, &mut |element| {
                element.get(sub).is_some_and(|value| each(value, test))
            }),
        }
    }
}

fn each(value: &Value, test: &mut dyn FnMut(&Value) -> bool) -> bool {
    match value {
        Value::Null => false,
        Value::Array(values) => values.iter().any(|value| each(value, test)),
        one => test(one),
    }
}

/// RFC 7644 section 3.4.2.2, `pr`: "If the attribute is complex, there is a match if … there is a
/// non-empty node".
fn is_present(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => values.iter().any(is_present),
        Value::Object(members) => members.values().any(is_present),
    }
}

/// Any operator but `ne`.
pub(super) fn satisfies(
    path: &AttributePath,
    operator: Operator,
    literal: &Literal,
    value: &Value,
) -> bool {
    match (literal, value) {
        (Literal::String(text), Value::String(value)) => {
            string_satisfies(operator, text, value, path.case_exact)
        }
        (Literal::DateTime(literal), Value::String(value)) => {
            instant(value).is_some_and(|value| ordered(operator, value.cmp(literal)))
        }
        (Literal::Number(literal), Value::Number(value)) => value
            .as_f64()
            .and_then(|value| value.partial_cmp(literal))
            .is_some_and(|order| ordered(operator, order)),
        (Literal::Boolean(literal), Value::Bool(value)) => {
            operator == Operator::Eq && literal == value
        }
        _ => false,
    }
}

fn string_satisfies(operator: Operator, text: &Text, value: &str, case_exact: bool) -> bool {
    // The usual case, decided without an allocation.
    if operator == Operator::Eq && value.is_ascii() && text.key().is_ascii() {
        return if case_exact {
            value == text.key()
        } else {
            value.eq_ignore_ascii_case(text.key())
        };
    }
    let value = comparable(value, case_exact);
    let key = text.key();
    match operator {
        Operator::Co => value.contains(key),
        Operator::Sw => value.starts_with(key),
        Operator::Ew => value.ends_with(key),
        Operator::Like => like(key, &value),
        // The order of UTF-8 bytes is that of code points.
        _ => ordered(operator, (*value).cmp(key)),
    }
}

fn ordered(operator: Operator, order: Ordering) -> bool {
    match operator {
        Operator::Eq => order.is_eq(),
        Operator::Ne => order.is_ne(),
        Operator::Gt => order.is_gt(),
        Operator::Ge => order.is_ge(),
        Operator::Lt => order.is_lt(),
        Operator::Le => order.is_le(),
        Operator::Co | Operator::Sw | Operator::Ew | Operator::Like => false,
    }
}
