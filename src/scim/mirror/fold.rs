//! From elements as clients write them to what is kept: mirrored codes go into their core attributes,
//! the others become one element per value.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::types::place;
use super::{MIRRORS, Mirror, Place, elements, put};
use crate::scim::error::{ErrorKind, ScimError};
use crate::scim::resource::Attributes;
use crate::scim::schema::standard::USER_ATTRIBUTE;
use crate::scim::text::fold;

/// What absence says in what is folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// The body of a POST or PUT: what it does not give, it says nothing about.
    Body,
    /// A whole resource after a PATCH: what is not there was removed.
    Whole,
}

/// The attributes with what the mirrored codes among their elements say, and without these.
/// `before` is the resource as it was; empty for one that is new.
///
/// Where a core attribute and its mirror say different things, the one counts that differs from
/// before. An element that a body leaves out says nothing about a core attribute that it gives.
///
/// # Errors
/// `invalidValue` where both differ from before, for a code that is given twice, for a list under a
/// mirrored code, and for an address whose predecessor is missing.
pub fn folded(
    before: &Attributes,
    mut after: Attributes,
    said: Said,
) -> Result<Attributes, ScimError> {
    let given = after.contains_key(USER_ATTRIBUTE);
    if !given && said == Said::Body {
        return Ok(after);
    }
    let mut codes: [Option<Value>; MIRRORS.len()] = Default::default();
    let mut held = Vec::new();
    let mut names = HashSet::new();
    for element in elements(&after) {
        let (Some(name), Some(value)) =
            (element.get("name").and_then(Value::as_str), element.get("value"))
        else {
            continue;
        };
        if !names.insert(fold(name).into_owned()) {
            return Err(invalid(name, "is given twice: give each code once"));
        }
        match (Mirror::position(name), value) {
            (Some(_), Value::Array(_)) => {
                return Err(invalid(name, "is a list where one value is expected"));
            }
            (Some(at), value) => codes[at] = Some(value.clone()),
            (None, Value::Array(values)) => {
                held.extend(values.iter().map(|value| kept(name, value, true)));
            }
            (None, value) => held.push(kept(name, value, false)),
        }
    }
    put(&mut after, held);
    let mut gone = Vec::new();
    for (mirror, code) in MIRRORS.iter().zip(codes) {
        let (was, core) = (mirror.value(before).cloned(), mirror.value(&after).cloned());
        let wanted = match (said, &code, &core) {
            (Said::Body, None, _) => continue,
            (Said::Body, Some(_), None) => code,
            _ if code == was || code == core => continue,
            _ if core == was => code,
            _ => {
                let detail = format!(
                    "says another thing than {}: give both the same value, or one \
                                      of them",
                    mirror.spelled()
                );
                return Err(invalid(mirror.code, &detail));
            }
        };
        match wanted {
            Some(value) => mirror.set(before, &mut after, value)?,
            None => gone.push(mirror),
        }
    }
    // The last of a list first, so that the others are where they were.
    for mirror in gone.into_iter().rev() {
        mirror.clear(&mut after);
    }
    Ok(after)
}

/// An element as it is held.
fn kept(name: &str, value: &Value, several: bool) -> Value {
    let mut kept = Map::with_capacity(3);
    kept.insert("name".to_owned(), name.into());
    kept.insert("value".to_owned(), value.clone());
    if several {
        kept.insert("multiValued".to_owned(), true.into());
    }
    Value::Object(kept)
}

impl Mirror {
    fn position(code: &str) -> Option<usize> {
        MIRRORS.iter().position(|mirror| mirror.code.eq_ignore_ascii_case(code))
    }

    /// Says it in the core attribute. What a body gives by its code alone takes the rest from the
    /// element that was there, so that it is the same one still.
    fn set(
        &self,
        before: &Attributes,
        after: &mut Attributes,
        value: Value,
    ) -> Result<(), ScimError> {
        match self.place {
            Place::Attribute(name) => {
                after.insert(name.to_owned(), value);
            }
            Place::Part { of, name } => {
                let holder = after.entry(of).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(members) = holder {
                    members.insert(name.to_owned(), value);
                }
            }
            Place::Element { of, at, name } => {
                let list = after.entry(of).or_insert_with(|| Value::Array(Vec::new()));
                let Value::Array(list) = list else { return Ok(()) };
                if list.len() < at {
                    let detail =
                        format!("comes before there is {of}[{}]: give that one too", at - 1);
                    return Err(invalid(self.code, &detail));
                }
                if list.len() == at {
                    let was = before.get(of).and_then(|was| was.get(at)).cloned();
                    list.push(was.unwrap_or_else(|| Value::Object(Map::new())));
                }
                if let Some(Value::Object(members)) = list.get_mut(at) {
                    members.insert(name.to_owned(), value);
                }
            }
        }
        Ok(())
    }

    /// Takes it out of the core attribute, and with it what says nothing without it.
    fn clear(&self, after: &mut Attributes) {
        let empty = match self.place {
            Place::Attribute(_) => true,
            Place::Part { of, name } => match after.get_mut(of) {
                Some(Value::Object(members)) => {
                    members.shift_remove(name);
                    members.is_empty()
                }
                _ => false,
            },
            Place::Element { of, at, name } => match after.get_mut(of) {
                Some(Value::Array(list)) => {
                    if let Some(Value::Object(members)) = list.get_mut(at) {
                        members.shift_remove(name);
                        let rest = |name: &String| !matches!(name.as_str(), "type" | "primary");
                        if name == "value" || !members.keys().any(rest) {
                            list.remove(at);
                        }
                    }
                    list.is_empty()
                }
                _ => false,
            },
        };
        if empty {
            after.shift_remove(self.holder());
        }
    }
}

fn invalid(code: &str, what: &str) -> ScimError {
    ScimError::new(ErrorKind::InvalidValue, format!("{} {what}", place(code)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Which, shown};
    use super::*;

    fn attributes(value: &Value) -> Attributes {
        value.as_object().unwrap().clone()
    }

    fn with(core: Value, codes: &[(&str, &str)]) -> Value {
        let mut user = core;
        let element = |(name, value): &(&str, &str)| json!({ "name": name, "value": value });
        let list: Vec<Value> = codes.iter().map(element).collect();
        user[USER_ATTRIBUTE] = json!({ "attributes": list });
        user
    }

    fn fold_of(before: &Value, after: &Value, said: Said) -> Result<Value, ScimError> {
        folded(&attributes(before), attributes(after), said).map(Value::Object)
    }

    #[test]
    fn codes_become_core_attributes() {
        let given = with(
            json!({ "userName": "jdoe" }),
            &[
                ("FIRSTNAME", "John"),
                ("lastname", "Doe"),
                ("Title", "Dr."),
                ("ATR_EMAIL", "jdoe@example.com"),
                ("ATR_MOBILE", "+1 555"),
                ("ADDRESS1", "1 Main St"),
                ("ADDRESS2", "2 Main St"),
                ("DOB", "1980-08-01"),
            ],
        );
        let kept = json!({
            "userName": "jdoe", "name": { "givenName": "John", "familyName": "Doe" }, "title": "Dr.",
            "emails": [{ "value": "jdoe@example.com" }], "phoneNumbers": [{ "value": "+1 555" }],
            "addresses": [{ "formatted": "1 Main St" }, { "formatted": "2 Main St" }],
            (USER_ATTRIBUTE): { "attributes": [{ "name": "DOB", "value": "1980-08-01" }] },
        });
        assert_eq!(fold_of(&json!({}), &given, Said::Body).unwrap(), kept);
        // What is shown of it, given back, is the same again.
        let back = shown(&attributes(&kept), Which::All, &|_, _| false);
        let mut again = kept.clone();
        again[USER_ATTRIBUTE] = json!({ "attributes": back });
        assert_eq!(fold_of(&kept, &again, Said::Body).unwrap(), kept);
        assert_eq!(fold_of(&kept, &again, Said::Whole).unwrap(), kept);
    }

    #[test]
    fn of_two_that_differ_the_new_one_counts() {
        let before = json!({ "name": { "givenName": "John", "familyName": "Doe" } });
        let name = |given: &str| json!({ "name": { "givenName": given, "familyName": "Doe" } });
        for said in [Said::Body, Said::Whole] {
            let both = |core: &str, code: &str| {
                let codes = [("FIRSTNAME", code), ("LASTNAME", "Doe")];
                fold_of(&before, &with(name(core), &codes), said)
            };
            assert_eq!(both("John", "Jane").unwrap(), name("Jane"));
            assert_eq!(both("Jane", "John").unwrap(), name("Jane"));
            assert_eq!(both("Jane", "Jane").unwrap(), name("Jane"));
            let error = both("Jane", "June").unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidValue);
            assert!(error.detail.contains("name.givenName"), "{error}");
            assert!(error.detail.contains("FIRSTNAME"), "{error}");
        }
        // A new one has no before, so that both are new.
        let new = with(name("Jane"), &[("FIRSTNAME", "June")]);
        assert!(fold_of(&json!({}), &new, Said::Body).is_err());
    }

    #[test]
    fn absence_counts_after_a_patch_alone() {
        let before =
            json!({ "title": "Dr.", "name": { "givenName": "John", "familyName": "Doe" } });
        let after = with(before.clone(), &[("FIRSTNAME", "John")]);
        assert_eq!(fold_of(&before, &after, Said::Body).unwrap(), before);
        let rest = json!({ "name": { "givenName": "John" } });
        assert_eq!(fold_of(&before, &after, Said::Whole).unwrap(), rest);
        // A core attribute that went takes its mirror along.
        let codes = [("FIRSTNAME", "John"), ("LASTNAME", "Doe"), ("TITLE", "Dr.")];
        let without = json!({ "name": before["name"] });
        let after = with(without.clone(), &codes);
        assert_eq!(fold_of(&before, &after, Said::Whole).unwrap(), without);
        // A body gives its code all the same.
        assert_eq!(fold_of(&before, &after, Said::Body).unwrap(), before);
    }

    #[test]
    fn an_element_stays_what_it_was() {
        let work = |value: &str| json!({ "value": value, "type": "work", "primary": true });
        let before = json!({ "emails": [work("a@example.com"), { "value": "b@example.com" }] });
        let after = with(json!({}), &[("ATR_EMAIL", "c@example.com")]);
        let expected = json!({ "emails": [work("c@example.com")] });
        assert_eq!(fold_of(&before, &after, Said::Body).unwrap(), expected);
        // The first went: the second takes its place.
        let after = with(
            json!({ "emails": [{ "value": "b@example.com" }] }),
            &[("ATR_EMAIL", "a@example.com")],
        );
        let expected = json!({ "emails": [{ "value": "b@example.com" }] });
        assert_eq!(fold_of(&before, &after, Said::Whole).unwrap(), expected);
    }

    #[test]
    fn addresses_are_places() {
        let before = json!({ "addresses": [
            { "formatted": "a", "type": "work" }, { "formatted": "b", "locality": "B" },
            { "formatted": "c" }] });
        let shown = [("ADDRESS1", "a"), ("ADDRESS2", "b"), ("ADDRESS3", "c")];
        let only =
            |at: usize| fold_of(&before, &with(before.clone(), &shown[at..=at]), Said::Whole);
        assert_eq!(
            only(0).unwrap(),
            json!({ "addresses": [
            { "formatted": "a", "type": "work" }, { "locality": "B" }] })
        );
        assert_eq!(
            only(2).unwrap(),
            json!({ "addresses": [{ "locality": "B" }, { "formatted": "c" }] })
        );
        let gap = with(json!({}), &[("ADDRESS1", "a"), ("ADDRESS3", "c")]);
        let error = fold_of(&json!({}), &gap, Said::Body).unwrap_err();
        assert!(error.detail.contains("addresses[1]"), "{error}");
    }

    #[test]
    fn a_code_is_given_once() {
        let error =
            fold_of(&json!({}), &with(json!({}), &[("DOB", "a"), ("dob", "b")]), Said::Body);
        assert!(error.unwrap_err().detail.contains("given twice"));
        let list =
            json!({ (USER_ATTRIBUTE): { "attributes": [{ "name": "TITLE", "value": ["a"] }] } });
        assert!(fold_of(&json!({}), &list, Said::Body).unwrap_err().detail.contains("is a list"));
        let list =
            json!({ (USER_ATTRIBUTE): { "attributes": [{ "name": "CAR", "value": ["a", "b"] }] } });
        let kept = json!({ (USER_ATTRIBUTE): { "attributes": [
            { "name": "CAR", "value": "a", "multiValued": true },
            { "name": "CAR", "value": "b", "multiValued": true }] } });
        assert_eq!(fold_of(&json!({}), &list, Said::Body).unwrap(), kept);
    }
}
