//! References to what other operations of a bulk request create (RFC 7644 section 3.7.2): `bulkId:x`
//! wherever an id may stand, also at the end of an address and within the filter of a path.

use serde_json::{Map, Value, json};

use super::REFERENCE;

/// What was left out of an operation's data, to be added when the ids are known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Later {
    /// Paths of attributes with the values to add.
    values: Vec<(String, Value)>,
}

impl Later {
    /// The body of a PATCH that adds it, the ids in their place.
    pub fn patch(mut self, id_of: &impl Fn(&str) -> Option<String>) -> Value {
        for (_, value) in &mut self.values {
            resolve(value, id_of);
        }
        let operations: Vec<Value> = self
            .values
            .into_iter()
            .map(|(path, value)| json!({ "op": "add", "path": path, "value": value }))
            .collect();
        json!({ "Operations": operations })
    }
}

/// The bulk ids to which a value refers, in the order of the text.
pub(super) fn named(value: &Value) -> Vec<String> {
    let mut names = Vec::new();
    collect(value, &mut |name| names.push(name.to_owned()));
    names
}

/// Puts ids in the place of references; those for which there is none stay.
pub fn resolve(value: &mut Value, id_of: &impl Fn(&str) -> Option<String>) {
    match value {
        Value::String(text) => {
            if let Some(resolved) = resolved(text, id_of) {
                *text = resolved;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| resolve(value, id_of)),
        Value::Object(members) => members.values_mut().for_each(|value| resolve(value, id_of)),
        _ => {}
    }
}

/// The first bulk id to which the value still refers.
pub fn unresolved(value: &Value) -> Option<String> {
    named(value).into_iter().next()
}

/// Takes out of a resource's `data` what refers to one of `postponed`: of a list the elements, else
/// the whole attribute.
pub fn split(data: &mut Value, postponed: &[String]) -> Later {
    let mut later = Later::default();
    if let (Value::Object(members), false) = (data, postponed.is_empty()) {
        split_members(members, None, postponed, &mut later);
    }
    later
}

fn split_members(
    members: &mut Map<String, Value>,
    urn: Option<&str>,
    postponed: &[String],
    later: &mut Later,
) {
    let mut gone = Vec::new();
    for (name, value) in members.iter_mut() {
        if !refers(value, postponed) {
            continue;
        }
        let path = urn.map_or_else(|| name.clone(), |urn| format!("{urn}:{name}"));
        match value {
            Value::Array(elements) => {
                let (waiting, kept): (Vec<Value>, Vec<Value>) =
                    elements.drain(..).partition(|element| refers(element, postponed));
                *elements = kept;
                later.values.push((path, Value::Array(waiting)));
            }
            // An extension's attributes stand in an object under its URN.
            Value::Object(inner) if urn.is_none() && name.contains(':') => {
                split_members(inner, Some(name), postponed, later);
            }
            other => {
                later.values.push((path, other.take()));
                gone.push(name.clone());
            }
        }
    }
    members.retain(|name, _| !gone.contains(name));
}

fn refers(value: &Value, postponed: &[String]) -> bool {
    let mut refers = false;
    collect(value, &mut |name| refers |= postponed.iter().any(|postponed| postponed == name));
    refers
}

fn collect(value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => match part(text) {
            Some(Part::Whole(name) | Part::End(_, name)) => found(name),
            Some(Part::Within) => {
                for (_, name, _) in quoted(text) {
                    found(name);
                }
            }
            None => {}
        },
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        Value::Object(members) => members.values().for_each(|value| collect(value, found)),
        _ => {}
    }
}

fn resolved(text: &str, id_of: &impl Fn(&str) -> Option<String>) -> Option<String> {
    match part(text)? {
        Part::Whole(name) => id_of(name),
        Part::End(before, name) => Some(format!("{before}{}", id_of(name)?)),
        Part::Within => {
            let mut out = String::new();
            let mut at = 0;
            for (from, name, to) in quoted(text) {
                let Some(id) = id_of(name) else { continue };
                out.push_str(&text[at..from]);
                out.push_str(&id);
                at = to;
            }
            out.push_str(&text[at..]);
            Some(out)
        }
    }
}

/// Where in a string a reference stands.
enum Part<'a> {
    Whole(&'a str),
    /// Behind the slash of an address.
    End(&'a str, &'a str),
    /// As a quoted value of a filter.
    Within,
}

fn part(text: &str) -> Option<Part<'_>> {
    if let Some(name) = text.strip_prefix(REFERENCE) {
        return (!name.is_empty()).then_some(Part::Whole(name));
    }
    let at = text.find(REFERENCE)?;
    let (before, rest) = text.split_at(at);
    let name = &rest[REFERENCE.len()..];
    if before.ends_with('/') && !before.contains(char::is_whitespace) && !name.is_empty() {
        return Some(Part::End(before, name));
    }
    (before.contains('[') && quoted(text).next().is_some()).then_some(Part::Within)
}

/// `"bulkId:x"` in a filter: where what is between the quotes begins, the name, and where it ends.
fn quoted(text: &str) -> impl Iterator<Item = (usize, &str, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let open = at + text.get(at..)?.find("\"bulkId:")? + 1;
        let name = open + REFERENCE.len();
        let close = name + text.get(name..)?.find('"')?;
        at = close + 1;
        Some((open, text.get(name..close)?, close))
    })
}
