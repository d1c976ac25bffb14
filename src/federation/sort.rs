//! The order of a merged list.

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::Value;

use super::resource::Resource;
use crate::scim::Attributes;
use crate::scim::schema::{AttributePath, Kind};
use crate::scim::text::comparable;

/// What a list is ordered by.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) path: AttributePath,
    pub(super) descending: bool,
}

#[derive(Debug, PartialEq, PartialOrd)]
enum Key {
    Flag(bool),
    Number(f64),
    Text(String),
}

/// Sorts people: absent last ascending and first descending, ties by the long id.
pub(super) fn sort(people: &mut Vec<Arc<Resource>>, order: &Order) {
    if people.len() < 2 {
        return;
    }
    let mut keyed: Vec<(Option<Key>, Arc<Resource>)> =
        people.drain(..).map(|person| (key(&person.attributes, &order.path), person)).collect();
    keyed.sort_by(|(one, first), (other, second)| {
        let by_key = match (one, other) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(other)) => one.partial_cmp(other).unwrap_or(Ordering::Equal),
        };
        let by_key = if order.descending { by_key.reverse() } else { by_key };
        by_key.then_with(|| first.id.cmp(&second.id))
    });
    people.extend(keyed.into_iter().map(|(_, person)| person));
}

/// RFC 7644 section 3.4.2.3: a multi-valued attribute sorts by its primary value, or else its first.
fn key(attributes: &Attributes, path: &AttributePath) -> Option<Key> {
    let holder = match &path.extension {
        Some(urn) => attributes.get(urn)?.as_object()?,
        None => attributes,
    };
    let mut value = holder.get(&path.attribute)?;
    if let Value::Array(elements) = value {
        let primary = |element: &&Value| element.get("primary") == Some(&Value::Bool(true));
        value = elements.iter().find(primary).or_else(|| elements.first())?;
    }
    if let Value::Object(members) = value {
        value = members.get(path.sub.as_deref().unwrap_or("value"))?;
    }
    match value {
        Value::Bool(flag) => Some(Key::Flag(*flag)),
        Value::Number(number) => number.as_f64().map(Key::Number),
        Value::String(text) if path.kind == Kind::DateTime => {
            let at: jiff::Timestamp = text.parse().ok()?;
            #[expect(clippy::cast_precision_loss, reason = "milliseconds fit 53 bits for ages")]
            Some(Key::Number(at.as_millisecond() as f64))
        }
        Value::String(text) => Some(Key::Text(comparable(text, path.case_exact).into_owned())),
        _ => None,
    }
}
