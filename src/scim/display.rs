//! `displayName` made from the name, where nobody writes it: given and family name, or the one that
//! there is, else `userName`. It is kept nowhere, so that what others wrote there stays.

use std::borrow::Cow;

use serde_json::Value;

use super::error::{ErrorKind, ScimError};
use super::filter::{ANY, Filter, Literal, Operator, Text};
use super::resource::Attributes;
use super::schema::{AttributePath, ResourceType};

/// What is shown as `displayName`; nothing of a user without any name.
pub fn display_name(attributes: &Attributes) -> Option<Cow<'_, str>> {
    let name = attributes.get("name");
    let given = text(name.and_then(|name| name.get("givenName")));
    let family = text(name.and_then(|name| name.get("familyName")));
    match (given, family) {
        (Some(given), Some(family)) => Some(Cow::Owned([given, family].join(" "))),
        (Some(one), None) | (None, Some(one)) => Some(Cow::Borrowed(one)),
        (None, None) => text(attributes.get("userName")).map(Cow::Borrowed),
    }
}

fn text(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// A filter that asks for the parts of a made `displayName` in its place, and so selects the same in
/// every reader of filters.
///
/// # Errors
/// `invalidFilter` where it is asked for what comes before or after a text: its parts cannot tell.
pub fn asked(filter: Filter, kind: &ResourceType) -> Result<Filter, ScimError> {
    let is_display = |path: &AttributePath| path.known && path.text == "displayName";
    if !filter.paths().any(is_display) {
        return Ok(filter);
    }
    let parts = Parts::of(kind);
    let mut ordered = false;
    let rewritten = filter.rewrite(&mut |leaf| match leaf {
        Filter::Present(path) if is_display(path) => Some(parts.present()),
        Filter::Compare { path, operator, value } if is_display(path) => match value {
            Literal::String(text) => parts.compare(*operator, &text.written).or_else(|| {
                ordered = true;
                None
            }),
            Literal::Null if *operator == Operator::Eq => Some(parts.present().negate()),
            _ => Some(parts.present()),
        },
        _ => None,
    });
    if ordered {
        let detail = "displayName is made of other attributes here and has no order of its own: use \
                      eq, ne, co, sw, ew or pr, or name.familyName";
        return Err(ScimError::new(ErrorKind::InvalidFilter, detail));
    }
    Ok(rewritten.simplify())
}

/// What a list is sorted by where it is to be sorted by a made `displayName`: what that begins with.
pub fn sorted(path: AttributePath, kind: &ResourceType) -> AttributePath {
    if path.text == "displayName" { kind.resolve("name.givenName") } else { path }
}

/// The paths of which it is made.
struct Parts {
    given: AttributePath,
    family: AttributePath,
    user_name: AttributePath,
}

impl Parts {
    fn of(kind: &ResourceType) -> Self {
        Self {
            given: kind.resolve("name.givenName"),
            family: kind.resolve("name.familyName"),
            user_name: kind.resolve("userName"),
        }
    }

    fn present(&self) -> Filter {
        Filter::or([&self.given, &self.family, &self.user_name].map(there))
    }

    /// `None` for an order.
    fn compare(&self, operator: Operator, text: &str) -> Option<Filter> {
        match operator {
            // What is shown is never empty.
            Operator::Eq if text.is_empty() => return Some(Filter::Constant(false)),
            Operator::Sw | Operator::Ew | Operator::Co if text.is_empty() => {
                return Some(self.present());
            }
            _ => {}
        }
        let (given, family) = (&self.given, &self.family);
        let no_given = || there(given).negate();
        let no_family = || there(family).negate();
        let is = |path: &AttributePath| compared(path, operator, text);
        // Whichever end of it is asked for, a name that is there at that end can tell alone.
        let (of_given, of_family) = match operator {
            Operator::Eq | Operator::Like => {
                (Filter::and([is(given), no_family()]), Filter::and([is(family), no_given()]))
            }
            Operator::Sw => (is(given), Filter::and([is(family), no_given()])),
            Operator::Ew => (Filter::and([is(given), no_family()]), is(family)),
            Operator::Co => (is(given), is(family)),
            Operator::Ne => return self.compare(Operator::Eq, text).map(Filter::negate),
            Operator::Gt | Operator::Ge | Operator::Lt | Operator::Le => return None,
        };
        // What a pattern leaves open may hold the space.
        let open = |c: char| operator == Operator::Like && c == ANY;
        let across = text.match_indices(|c: char| c == ' ' || open(c)).map(|(at, found)| {
            if found != " " {
                let (left, right) = text.split_at(at);
                let left = format!("{left}{ANY}");
                return Filter::and([
                    side(given, Operator::Like, &left),
                    side(family, Operator::Like, right),
                ]);
            }
            let (left, right) = (text.get(..at), text.get(at + 1..));
            let (left, right) = (left.unwrap_or_default(), right.unwrap_or_default());
            let (ends, begins) = match operator {
                Operator::Sw => (Operator::Eq, Operator::Sw),
                Operator::Ew => (Operator::Ew, Operator::Eq),
                Operator::Co => (Operator::Ew, Operator::Sw),
                Operator::Like => (Operator::Like, Operator::Like),
                _ => (Operator::Eq, Operator::Eq),
            };
            Filter::and([side(given, ends, left), side(family, begins, right)])
        });
        let nameless = Filter::and([is(&self.user_name), no_given(), no_family()]);
        Some(Filter::or([of_given, of_family].into_iter().chain(across).chain([nameless])))
    }
}

/// A name beside the space: that it is there, and is or begins or ends so.
fn side(path: &AttributePath, operator: Operator, text: &str) -> Filter {
    match (operator, text) {
        (Operator::Eq | Operator::Like, "") => Filter::Constant(false),
        (_, "") | (Operator::Like, "*") => there(path),
        (Operator::Like, _) => match (text.strip_prefix(ANY), text.strip_suffix(ANY)) {
            (None, None) if !text.contains(ANY) => compared(path, Operator::Eq, text),
            (None, Some(start)) if !start.contains(ANY) => compared(path, Operator::Sw, start),
            (Some(end), None) if !end.contains(ANY) => compared(path, Operator::Ew, end),
            _ => compared(path, operator, text),
        },
        _ => compared(path, operator, text),
    }
}

fn compared(path: &AttributePath, operator: Operator, text: &str) -> Filter {
    let value = Literal::String(Text::new(text, path));
    Filter::Compare { path: path.clone(), operator, value }
}

fn there(path: &AttributePath) -> Filter {
    Filter::Present(path.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scim::dialect::Language;

    fn attributes(value: &Value) -> Attributes {
        value.as_object().unwrap().clone()
    }

    fn people() -> Vec<Attributes> {
        let mut people =
            vec![json!({}), json!({ "userName": "jdoe" }), json!({ "userName": "Ann Lee" })];
        for given in ["", "Ann", "Ann Lee", "Lee ", " Ann"] {
            for family in ["", "Lee", "Lee Ann", " Lee", "Doe"] {
                people.push(json!({ "userName": "ann", "displayName": "Babs",
                    "name": { "givenName": given, "familyName": family } }));
            }
        }
        people.iter().map(attributes).collect()
    }

    #[test]
    fn it_is_the_name_or_else_the_user_name() {
        let made = |value: &Value| {
            let attributes = attributes(value);
            display_name(&attributes).map(Cow::into_owned)
        };
        let name = |given: &str, family: &str| json!({ "userName": "jdoe", "name": { "givenName": given, "familyName": family } });
        assert_eq!(made(&name("John", "Doe")).unwrap(), "John Doe");
        assert_eq!(made(&name("John", "")).unwrap(), "John");
        assert_eq!(made(&name("", "Doe")).unwrap(), "Doe");
        assert_eq!(made(&name("", "")).unwrap(), "jdoe");
        assert_eq!(made(&json!({ "displayName": "x" })), None);
    }

    /// What is asked of the parts selects as the filter does of what is shown.
    #[test]
    fn it_selects_by_what_is_shown() {
        let kind = ResourceType::user(&[]);
        let values = [
            "",
            " ",
            "a",
            "ann",
            "Ann Lee",
            "ann lee ann",
            "Ann  Lee",
            "n L",
            "lee",
            "jdoe",
            "Ann ",
            " Lee",
            "ee  D",
            "lee doe",
            "ann lee lee",
        ];
        let mut filters = vec!["displayName pr".to_owned(), "displayName eq null".to_owned()];
        for operator in ["eq", "ne", "co", "sw", "ew"] {
            for value in values {
                filters.push(format!("displayName {operator} \"{value}\""));
            }
        }
        for pattern in ["A*e", "*n*L*", "Ann *", "* Lee", "A* *e", "*", "a*n l*", "*e*e*", "j*e"] {
            filters.push(format!("displayName eq \"{pattern}\""));
            filters.push(format!("displayName sw \"{pattern}\""));
        }
        let language = Language { wildcards: true, ..Language::PLAIN };
        let mut selected = 0;
        for text in &filters {
            for text in [text.clone(), format!("not ({text})"), format!("title pr or {text}")] {
                let plain = Filter::read(&text, &kind, language).unwrap();
                let asked = asked(plain.clone(), &kind).unwrap();
                for person in people() {
                    let mut shown = person.clone();
                    shown.shift_remove("displayName");
                    if let Some(made) = display_name(&person) {
                        shown.insert("displayName".into(), made.into());
                    }
                    let wanted = plain.matches(&shown);
                    assert_eq!(asked.matches(&person), wanted, "{text} of {person:?}: {asked}");
                    selected += usize::from(wanted);
                }
            }
        }
        assert!(selected > filters.len(), "the people tell filters apart");
    }

    #[test]
    fn an_order_is_refused_and_others_are_left_alone() {
        let kind = ResourceType::user(&[]);
        let read = |text: &str| asked(Filter::parse(text, &kind).unwrap(), &kind);
        let error = read("displayName gt \"a\"").unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidFilter);
        assert_eq!(read("nickName gt \"a\"").unwrap().to_string(), "nickName gt \"a\"");
    }
}
