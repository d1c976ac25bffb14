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

/// The kinds of values in their order; who has none comes after all of them.
const FLAG: u8 = 1;
const NUMBER: u8 = 2;
const TEXT: u8 = 3;
const ABSENT: u8 = 0xFF;

impl Order {
    /// The value that `attributes` are ordered by, as bytes that compare as the values do.
    pub(super) fn key(&self, attributes: &Attributes) -> Vec<u8> {
        key(attributes, &self.path).unwrap_or_else(|| vec![ABSENT])
    }
}

/// Which of two comes first, each by its key and its long id: absent last ascending and first
/// descending, ties by the id.
pub(super) fn compare(descending: bool, one: (&[u8], &str), other: (&[u8], &str)) -> Ordering {
    let by_key = one.0.cmp(other.0);
    let by_key = if descending { by_key.reverse() } else { by_key };
    by_key.then_with(|| one.1.cmp(other.1))
}

/// Sorts people as [`compare`] says.
pub(super) fn sort(people: &mut Vec<Arc<Resource>>, order: &Order) {
    if people.len() < 2 {
        return;
    }
    let mut keyed: Vec<(Vec<u8>, Arc<Resource>)> =
        people.drain(..).map(|person| (order.key(&person.attributes), person)).collect();
    keyed.sort_by(|(one, first), (other, second)| {
        compare(order.descending, (one, &first.id), (other, &second.id))
    });
    people.extend(keyed.into_iter().map(|(_, person)| person));
}

/// RFC 7644 section 3.4.2.3: a multi-valued attribute sorts by its primary value, or else its first.
fn key(attributes: &Attributes, path: &AttributePath) -> Option<Vec<u8>> {
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
        Value::Bool(flag) => Some(vec![FLAG, u8::from(*flag)]),
        Value::Number(number) => number.as_f64().map(number_key),
        Value::String(text) if path.kind == Kind::DateTime => {
            let at: jiff::Timestamp = text.parse().ok()?;
            #[expect(clippy::cast_precision_loss, reason = "milliseconds fit 53 bits for ages")]
            Some(number_key(at.as_millisecond() as f64))
        }
        Value::String(text) => {
            let text = comparable(text, path.case_exact);
            Some([&[TEXT], text.as_bytes()].concat())
        }
        _ => None,
    }
}

/// The bits of a number, turned so that they compare as the numbers do.
fn number_key(number: f64) -> Vec<u8> {
    // Zero has one sign only.
    let bits = (number + 0.0).to_bits();
    let turned = if bits >> 63 == 0 { bits | 1 << 63 } else { !bits };
    [&[NUMBER][..], &turned.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::ResourceType;

    fn keyed(path: &str, value: Value) -> Vec<u8> {
        let order = Order { path: ResourceType::user(&[]).resolve(path), descending: false };
        let attributes = match value {
            Value::Null => Attributes::new(),
            value => Attributes::from_iter([(order.path.attribute.clone(), value)]),
        };
        order.key(&attributes)
    }

    #[test]
    fn bytes_compare_as_the_values_do() {
        let numbers = [-1e300, -2.5, -1.0, 0.0, 1e-9, 1.0, 2.0, 1e300];
        assert!(numbers.windows(2).all(|two| number_key(two[0]) < number_key(two[1])));
        assert_eq!(number_key(0.0), number_key(-0.0));
        let texts =
            ["", "A", "ab", "B", "\u{fffd}", "\u{10000}"].map(|text| keyed("title", text.into()));
        assert!(texts.is_sorted_by(|one, other| one < other), "{texts:?}");
        assert_eq!(keyed("title", "STRASSE".into()), keyed("title", "strasse".into()));
        assert!(keyed("active", false.into()) < keyed("active", true.into()));
        assert!(texts.iter().all(|text| *text < keyed("title", Value::Null)));
    }

    #[test]
    fn absent_is_last_ascending_and_first_descending_and_ties_go_by_id() {
        let (a, b, none) = (keyed("title", "a".into()), keyed("title", "b".into()), vec![ABSENT]);
        let mut all = [(&none, "1"), (&b, "3"), (&a, "5"), (&a, "4"), (&none, "0")];
        let ids =
            |all: &[(&Vec<u8>, &'static str)]| -> String { all.iter().map(|one| one.1).collect() };
        all.sort_by(|one, other| compare(false, (one.0, one.1), (other.0, other.1)));
        assert_eq!(ids(&all), "45301");
        all.sort_by(|one, other| compare(true, (one.0, one.1), (other.0, other.1)));
        assert_eq!(ids(&all), "01345");
    }
}
