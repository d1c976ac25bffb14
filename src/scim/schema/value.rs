//! A single value against its attribute: types, bounds, and the one form in which it is kept
//! (RFC 7643 section 2.3).

use std::fmt;

use serde_json::{Map, Value};

use super::{Attribute, Kind, Mutability, elements};
use crate::scim::error::{ErrorKind, ScimError};
use crate::scim::text::{comparable, instant};

/// A string's longest form, in bytes of UTF-8.
const MAX_STRING: usize = 64 * 1024;
/// The longest `userName` and `externalId`, in characters: the store indexes them and directories
/// refuse longer ones.
const MAX_NAME: usize = 1024;

/// Where a value stands, for errors: `emails[0].value`.
#[derive(Clone, Copy)]
pub(in crate::scim) struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Extension(&'a str),
    Name(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    pub(in crate::scim) fn extension(urn: &'a str) -> Self {
        Self { parent: None, step: Step::Extension(urn) }
    }

    pub(in crate::scim) fn name(parent: Option<&'a Place<'a>>, name: &'a str) -> Self {
        Self { parent, step: Step::Name(name) }
    }

    pub(in crate::scim) fn index(parent: &'a Place<'a>, index: usize) -> Self {
        Self { parent: Some(parent), step: Step::Index(index) }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match (self.step, self.parent.map(|parent| parent.step)) {
            (Step::Extension(urn), _) => f.write_str(urn),
            (Step::Name(name), None) => f.write_str(name),
            (Step::Name(name), Some(Step::Extension(_))) => write!(f, ":{name}"),
            (Step::Name(name), Some(_)) => write!(f, ".{name}"),
            (Step::Index(index), _) => write!(f, "[{index}]"),
        }
    }
}

/// What was given for `attribute`, in the form in which it is kept; `None` where nothing was: `null`,
/// `[]`, a complex value without content, `""` for a required attribute and for `externalId`.
///
/// Sub-attributes that are unknown or readOnly are left out. Whether required sub-attributes are
/// there is for [`elements::complete`], since a patch may give a part.
pub(in crate::scim) fn canonical(
    attribute: &Attribute,
    given: Value,
    place: &Place<'_>,
) -> Result<Option<Value>, ScimError> {
    if !attribute.multi_valued {
        return single(attribute, given, place);
    }
    let values = elements::each(attribute, given, place)?;
    let values = elements::settle(attribute, values, place)?;
    Ok((!values.is_empty()).then_some(Value::Array(values)))
}

/// One value, or one of the values of a multi-valued attribute.
pub(super) fn single(
    attribute: &Attribute,
    given: Value,
    place: &Place<'_>,
) -> Result<Option<Value>, ScimError> {
    match (attribute.kind, given) {
        (_, given) if attribute.loose && !matches!(given, Value::String(_)) => {
            loose(attribute, given, place)
        }
        (_, Value::Null) => Ok(None),
        (_, Value::Array(values)) if values.is_empty() => Ok(None),
        (Kind::Complex, given) => {
            let members = members(attribute, given, place)?.set;
            Ok((!is_blank(&members)).then_some(Value::Object(members)))
        }
        (Kind::Boolean, Value::Bool(given)) => Ok(Some(Value::Bool(given))),
        (Kind::Boolean, Value::String(text)) if text.eq_ignore_ascii_case("true") => {
            Ok(Some(Value::Bool(true)))
        }
        (Kind::Boolean, Value::String(text)) if text.eq_ignore_ascii_case("false") => {
            Ok(Some(Value::Bool(false)))
        }
        (Kind::Integer, Value::Number(number)) => match whole(&number) {
            Some(number) => Ok(Some(Value::from(number))),
            None => Err(invalid(place, format_args!("is {number} where an integer is expected"))),
        },
        (Kind::Decimal, Value::Number(number)) => Ok(Some(Value::Number(number))),
        (Kind::String | Kind::Reference | Kind::DateTime | Kind::Binary, Value::String(text)) => {
            string(attribute, text, place)
        }
        (kind, given) => Err(invalid(
            place,
            format_args!("is {} where {} is expected", found(&given), expected(kind)),
        )),
    }
}

/// The value of an attribute that is [`Attribute::loose`].
fn loose(
    attribute: &Attribute,
    given: Value,
    place: &Place<'_>,
) -> Result<Option<Value>, ScimError> {
    match given {
        Value::Null => Ok(None),
        Value::String(text) => string(attribute, text, place),
        Value::Bool(truth) => Ok(Some(truth.to_string().into())),
        Value::Number(number) => Ok(Some(number.to_string().into())),
        Value::Array(values) => {
            elements::bounded(values.len(), place)?;
            let mut kept = Vec::with_capacity(values.len());
            for (index, value) in values.into_iter().enumerate() {
                let place = Place::index(place, index);
                if matches!(value, Value::Array(_)) {
                    return Err(invalid(&place, format_args!("is a list in a list")));
                }
                let value = loose(attribute, value, &place)?;
                kept.extend(value.filter(|value| !kept.contains(value)));
            }
            Ok((!kept.is_empty()).then_some(Value::Array(kept)))
        }
        Value::Object(_) => {
            Err(invalid(place, format_args!("is an object where a value or a list is expected")))
        }
    }
}

/// The sub-attributes that a complex value gives.
pub(in crate::scim) struct Members<'a> {
    pub(in crate::scim) set: Map<String, Value>,
    /// Those that are there without a value (`null`).
    pub(in crate::scim) cleared: Vec<&'a Attribute>,
}

/// Reads a complex value; what is no object stands for its `value`, as Entra ID sends managers.
pub(in crate::scim) fn members<'a>(
    attribute: &'a Attribute,
    given: Value,
    place: &Place<'_>,
) -> Result<Members<'a>, ScimError> {
    let given = match given {
        Value::Object(given) => given,
        other if attribute.sub_attribute("value").is_some() && !other.is_array() => {
            Map::from_iter([("value".to_owned(), other)])
        }
        other => {
            let found = found(&other);
            return Err(invalid(place, format_args!("is {found} where an object is expected")));
        }
    };
    let mut members = Members { set: Map::new(), cleared: Vec::new() };
    let has_value = given.keys().any(|name| name.eq_ignore_ascii_case("value"));
    for (name, value) in given {
        // Some group pushes spell a member's `value` as the `id` that it is.
        let is_value = name == "id" && !has_value && attribute.name == "members";
        let name = if is_value { "value" } else { name.as_str() };
        let Some(sub_attribute) = attribute.sub_attribute(name) else { continue };
        if sub_attribute.mutability == Mutability::ReadOnly {
            continue;
        }
        let place = Place::name(Some(place), &sub_attribute.name);
        match canonical(sub_attribute, value, &place)? {
            None => members.cleared.push(sub_attribute),
            Some(value) => {
                if members.set.insert(sub_attribute.name.clone(), value).is_some() {
                    return Err(twice(&place));
                }
            }
        }
    }
    Ok(members)
}

/// Whether a complex value says nothing: no sub-attribute, or the empty string as its `value`
/// (which is how Entra ID takes a manager away).
pub(in crate::scim) fn is_blank(members: &Map<String, Value>) -> bool {
    members.is_empty() || members.get("value").and_then(Value::as_str) == Some("")
}

fn string(
    attribute: &Attribute,
    text: String,
    place: &Place<'_>,
) -> Result<Option<Value>, ScimError> {
    if text.contains('\0') {
        return Err(invalid(place, format_args!("holds U+0000: take it out")));
    }
    if text.len() > MAX_STRING {
        let length = text.len();
        return Err(invalid(
            place,
            format_args!("has {length} bytes: at most {MAX_STRING} are accepted"),
        ));
    }
    let is_name = matches!(attribute.name.as_str(), "userName" | "externalId");
    if is_name && text.len() > MAX_NAME && text.chars().count() > MAX_NAME {
        return Err(invalid(
            place,
            format_args!("has more than {MAX_NAME} characters: give a shorter one"),
        ));
    }
    if text.is_empty() && (is_name || attribute.required) {
        return Ok(None);
    }
    match attribute.kind {
        Kind::DateTime if !is_date_time(&text) => Err(invalid(
            place,
            format_args!("is no RFC 3339 date and time such as 2026-01-31T08:30:00Z"),
        )),
        Kind::DateTime => Ok(Some(Value::String(with_colon(text)))),
        Kind::Binary if !is_base64(&text) => {
            Err(invalid(place, format_args!("is not encoded in base 64 (RFC 4648)")))
        }
        _ if attribute.closed && !attribute.canonical_values.is_empty() => {
            one_of_canonical(attribute, &text, place).map(Some)
        }
        _ => Ok(Some(Value::String(text))),
    }
}

/// A value of a closed list, as the schema spells it.
fn one_of_canonical(
    attribute: &Attribute,
    text: &str,
    place: &Place<'_>,
) -> Result<Value, ScimError> {
    let key = |text: &str| comparable(text, attribute.case_exact).into_owned();
    let given = key(text);
    if let Some(known) = attribute.canonical_values.iter().find(|known| key(known) == given) {
        return Ok(Value::String(known.clone()));
    }
    let known = attribute.canonical_values.join(", ");
    Err(invalid(place, format_args!("is none of the values that there are: {known}")))
}

fn whole(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        // 2^53: up to here every whole number has a float of its own.
        let float =
            number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() <= 9_007_199_254_740_992.0)?;
        format!("{float:.0}").parse().ok()
    })
}

fn is_date_time(text: &str) -> bool {
    matches!(text.as_bytes().get(10), Some(b'T' | b't')) && instant(text).is_some()
}

/// RFC 3339 section 5.6: `time-numoffset = ("+" / "-") time-hour ":" time-minute`; ISO 8601 allows to
/// leave out the colon, and some clients do.
fn with_colon(mut text: String) -> String {
    if let [.., b'+' | b'-', a, b, c, d] = text.as_bytes()
        && [a, b, c, d].into_iter().all(u8::is_ascii_digit)
    {
        text.insert(text.len() - 2, ':');
    }
    text
}

/// Either alphabet of RFC 4648, with or without padding and line breaks: certificates come in all
/// of these forms, and only their bearer reads them.
fn is_base64(text: &str) -> bool {
    text.bytes().all(|byte| {
        byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || b"+/-_=".contains(&byte)
    })
}

pub(in crate::scim) fn twice(place: &Place<'_>) -> ScimError {
    ScimError::new(ErrorKind::InvalidSyntax, format!("{place} is given twice: give it once"))
}

pub(in crate::scim) fn invalid(place: &Place<'_>, what: fmt::Arguments<'_>) -> ScimError {
    ScimError::new(ErrorKind::InvalidValue, format!("{place} {what}"))
}

/// What a JSON value is, with its article.
pub(in crate::scim) fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::String => "a string",
        Kind::Boolean => "a boolean",
        Kind::Decimal => "a number",
        Kind::Integer => "an integer",
        Kind::DateTime => "a string with a date and time",
        Kind::Reference => "a string with a reference",
        Kind::Binary => "a string in base 64",
        Kind::Complex => "an object",
    }
}
