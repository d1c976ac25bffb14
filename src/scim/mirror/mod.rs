//! Facts about a person under codes (`urn:hid:scim:api:idp:2.0:UserAttribute`), and the codes that
//! say what core attributes say already.
//!
//! A mirrored code is never kept: what is written under it goes into the core attribute
//! ([`folded`]), what is shown comes from there ([`shown`]), and a filter that asks for it asks for
//! the core attribute ([`asked`]). Of all other codes a resource holds one element per value.
//!
//! Knows nothing of who owns a value, nor when which code is shown.

mod ask;
mod fold;
mod types;

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::resource::Attributes;
use super::schema::standard::USER_ATTRIBUTE;
use super::text::fold;

pub use ask::asked;
pub use fold::{Said, folded};
pub use types::{CodeType, CodeTypes};

/// The list in the extension.
const LIST: &str = "attributes";

/// Which elements are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those that stand for themselves.
    Own,
    /// The mirrored ones too.
    All,
}

/// A code that is another name for a core attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// `FIRSTNAME`
    pub code: &'static str,
    place: Place,
}

/// Where a mirrored value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Attribute(&'static str),
    Part { of: &'static str, name: &'static str },
    Element { of: &'static str, at: usize, name: &'static str },
}

/// Every one.
pub const MIRRORS: [Mirror; 9] = [
    Mirror { code: "FIRSTNAME", place: Place::Part { of: "name", name: "givenName" } },
    Mirror { code: "LASTNAME", place: Place::Part { of: "name", name: "familyName" } },
    Mirror { code: "TITLE", place: Place::Attribute("title") },
    Mirror { code: "ATR_EMAIL", place: Place::Element { of: "emails", at: 0, name: "value" } },
    Mirror {
        code: "ATR_MOBILE",
        place: Place::Element { of: "phoneNumbers", at: 0, name: "value" },
    },
    address("ADDRESS1", 0),
    address("ADDRESS2", 1),
    address("ADDRESS3", 2),
    address("ADDRESS4", 3),
];

const fn address(code: &'static str, at: usize) -> Mirror {
    Mirror { code, place: Place::Element { of: "addresses", at, name: "formatted" } }
}

/// The elements as they are shown: of each code one, with `type` and `readOnly`; `owned` says whether
/// a directory decides what a mirrored code says, of an element of a list by its type.
pub fn shown(
    attributes: &Attributes,
    which: Which,
    owned: &dyn Fn(&Mirror, Option<&str>) -> bool,
) -> Vec<Value> {
    let mut shown = Vec::new();
    if which == Which::All {
        for mirror in &MIRRORS {
            if let Some(value) = mirror.value(attributes) {
                let read_only = owned(mirror, mirror.element_type(attributes));
                shown.push(element(mirror.code, "string", value.clone(), read_only, false));
            }
        }
    }
    let mut places: HashMap<String, usize> = HashMap::new();
    for held in elements(attributes) {
        let (Some(name), Some(value)) =
            (held.get("name").and_then(Value::as_str), held.get("value"))
        else {
            continue;
        };
        let place = *places.entry(fold(name).into_owned()).or_insert(shown.len());
        if let Some(element) = shown.get_mut(place) {
            also(element, value);
            continue;
        }
        let said = |member: &str| held.get(member) == Some(&Value::Bool(true));
        let kind = held.get("type").and_then(Value::as_str).unwrap_or("string");
        let several = said("multiValued");
        let value = if several { Value::Array(vec![value.clone()]) } else { value.clone() };
        shown.push(element(name, kind, value, said("readOnly"), several));
    }
    shown
}

fn element(name: &str, kind: &str, value: Value, read_only: bool, several: bool) -> Value {
    let mut element = Map::with_capacity(5);
    element.insert("name".to_owned(), name.into());
    element.insert("type".to_owned(), kind.into());
    element.insert("value".to_owned(), value);
    element.insert("readOnly".to_owned(), read_only.into());
    if several {
        element.insert("multiValued".to_owned(), true.into());
    }
    Value::Object(element)
}

/// Adds a value to an element that is shown already.
fn also(element: &mut Value, value: &Value) {
    let Value::Object(members) = element else { return };
    match members.get_mut("value") {
        Some(Value::Array(values)) => values.push(value.clone()),
        Some(one) => {
            *one = Value::Array(vec![one.take(), value.clone()]);
            members.insert("multiValued".to_owned(), true.into());
        }
        None => {}
    }
}

/// The elements that a resource holds, or that a body gave.
fn elements(attributes: &Attributes) -> &[Value] {
    let list = attributes.get(USER_ATTRIBUTE).and_then(|extension| extension.get(LIST));
    list.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Puts the elements where [`elements`] finds them; of none nothing is left.
fn put(attributes: &mut Attributes, elements: Vec<Value>) {
    if elements.is_empty() {
        attributes.shift_remove(USER_ATTRIBUTE);
    } else {
        let members = Map::from_iter([(LIST.to_owned(), Value::Array(elements))]);
        attributes.insert(USER_ATTRIBUTE.to_owned(), Value::Object(members));
    }
}

impl Mirror {
    /// The one with this code, in any case.
    pub fn of(code: &str) -> Option<&'static Self> {
        MIRRORS.iter().find(|mirror| mirror.code.eq_ignore_ascii_case(code))
    }

    /// The top-level attribute that it is a part of: `name`.
    pub fn holder(&self) -> &'static str {
        match self.place {
            Place::Attribute(name)
            | Place::Part { of: name, .. }
            | Place::Element { of: name, .. } => name,
        }
    }

    /// The path that says the same, of a list whatever its place: `name.givenName`,
    /// `emails.value`.
    pub fn path(&self) -> String {
        match self.place {
            Place::Attribute(name) => name.to_owned(),
            Place::Part { of, name } | Place::Element { of, name, .. } => format!("{of}.{name}"),
        }
    }

    /// For errors: `emails[0].value`.
    fn spelled(&self) -> String {
        match self.place {
            Place::Element { of, at, name } => format!("{of}[{at}].{name}"),
            _ => self.path(),
        }
    }

    /// What the core attribute says, where it says something.
    fn value<'a>(&self, attributes: &'a Attributes) -> Option<&'a Value> {
        let value = match self.place {
            Place::Attribute(name) => attributes.get(name),
            Place::Part { of, name } => attributes.get(of)?.get(name),
            Place::Element { of, at, name } => attributes.get(of)?.get(at)?.get(name),
        };
        value.filter(|value| value.as_str().is_some_and(|text| !text.is_empty()))
    }

    /// The type of the element of a list that it is.
    fn element_type<'a>(&self, attributes: &'a Attributes) -> Option<&'a str> {
        match self.place {
            Place::Element { of, at, .. } => attributes.get(of)?.get(at)?.get("type")?.as_str(),
            Place::Attribute(_) | Place::Part { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scim::ResourceType;

    fn attributes(value: Value) -> Attributes {
        match value {
            Value::Object(attributes) => attributes,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn every_mirror_leads_to_a_string_of_the_core_schema() {
        let user = ResourceType::user(&[]);
        for mirror in &MIRRORS {
            let path = user.resolve(&mirror.path());
            assert!(path.known && path.extension.is_none(), "{path}");
            assert_eq!(path.attribute, mirror.holder());
            assert_eq!(Mirror::of(&mirror.code.to_lowercase()), Some(mirror));
        }
        assert_eq!(Mirror::of("DOB"), None);
    }

    #[test]
    fn what_is_mirrored_is_shown_from_where_it_is_kept() {
        let user = attributes(json!({
            "name": { "givenName": "John", "familyName": "" },
            "title": "Dr.",
            "emails": [{ "value": "jdoe@example.com", "type": "work" }, { "value": "b@example.com" }],
            "addresses": [{ "locality": "Berlin" }, { "formatted": "1 Main St" }],
            (USER_ATTRIBUTE): { "attributes": [
                { "name": "DOB", "value": "1980-08-01", "type": "date" },
                { "value": "a", "name": "CAR", "type": "string", "multiValued": true },
                { "name": "car", "value": "b", "type": "string", "multiValued": true },
                { "name": "NR", "value": "7", "type": "int", "readOnly": true },
            ] },
        }));
        let owned = |mirror: &Mirror, kind: Option<&str>| {
            mirror.code == "TITLE" || mirror.code == "ATR_EMAIL" && kind == Some("work")
        };
        let all = json!([
            { "name": "FIRSTNAME", "type": "string", "value": "John", "readOnly": false },
            { "name": "TITLE", "type": "string", "value": "Dr.", "readOnly": true },
            { "name": "ATR_EMAIL", "type": "string", "value": "jdoe@example.com", "readOnly": true },
            { "name": "ADDRESS2", "type": "string", "value": "1 Main St", "readOnly": false },
            { "name": "DOB", "type": "date", "value": "1980-08-01", "readOnly": false },
            { "name": "CAR", "type": "string", "value": ["a", "b"], "readOnly": false,
              "multiValued": true },
            { "name": "NR", "type": "int", "value": "7", "readOnly": true },
        ]);
        assert_eq!(Value::Array(shown(&user, Which::All, &owned)), all);
        let own: Vec<Value> = all.as_array().unwrap()[4..].to_vec();
        assert_eq!(shown(&user, Which::Own, &owned), own);
        assert!(shown(&Attributes::new(), Which::All, &owned).is_empty());
    }
}
