//! What the values under a code may be, and the form in which they are kept.

use std::fmt;

use serde_json::{Map, Value};

use super::{Mirror, elements, put};
use crate::scim::error::{ErrorKind, ScimError};
use crate::scim::resource::Attributes;
use crate::scim::schema::standard::USER_ATTRIBUTE;
use crate::scim::text::{fold, instant};

/// What a value under a code is. All are kept and shown as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CodeType {
    #[default]
    String,
    /// `2026-01-31`, or a date and time.
    Date,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    Boolean,
}

impl CodeType {
    /// Each with its name, as it is shown and as a configuration writes it.
    pub const NAMED: [(&'static str, Self); 5] = [
        ("string", Self::String),
        ("date", Self::Date),
        ("int", Self::Int),
        ("long", Self::Long),
        ("boolean", Self::Boolean),
    ];

    /// The one that a configuration or a mapping names.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "integer" => Some(Self::Long),
            "dateTime" => Some(Self::Date),
            "decimal" | "binary" | "reference" => Some(Self::String),
            name => Self::NAMED.into_iter().find(|(own, _)| *own == name).map(|(_, kind)| kind),
        }
    }

    /// `date`
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Date => "date",
            Self::Int => "int",
            Self::Long => "long",
            Self::Boolean => "boolean",
        }
    }

    /// A value of this type as it is kept; `None` where it is none.
    fn kept(self, text: &str) -> Option<String> {
        match self {
            Self::String => Some(text.to_owned()),
            Self::Date => is_date(text).then(|| text.to_owned()),
            Self::Int => text.parse::<i32>().ok().map(|number| number.to_string()),
            Self::Long => text.parse::<i64>().ok().map(|number| number.to_string()),
            Self::Boolean => {
                let known = ["true", "false"];
                known.into_iter().find(|word| text.eq_ignore_ascii_case(word)).map(str::to_owned)
            }
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::String => "a text",
            Self::Date => "a date such as 2026-01-31, or 2026-01-31T08:30:00Z",
            Self::Int => "a whole number between -2147483648 and 2147483647",
            Self::Long => "a whole number of at most 64 bits",
            Self::Boolean => "true or false",
        }
    }
}

impl fmt::Display for CodeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn is_date(text: &str) -> bool {
    match text.as_bytes().get(10) {
        None => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
        Some(b'T' | b't') => instant(text).is_some(),
        Some(_) => false,
    }
}

/// The codes about which a tenant says something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeTypes(Vec<Typed>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Typed {
    code: String,
    kind: CodeType,
    several: bool,
}

impl CodeTypes {
    /// Says what values under a code are, and whether there is a list of them. What was said first
    /// stands.
    pub fn declare(&mut self, code: &str, kind: CodeType, several: bool) {
        if self.of(code).is_none() {
            self.0.push(Typed { code: code.to_owned(), kind, several });
        }
    }

    /// Whether anything was said of a code.
    pub fn declares(&self, code: &str) -> bool {
        self.of(code).is_some()
    }

    fn of(&self, code: &str) -> Option<&Typed> {
        let key = fold(code);
        self.0.iter().find(|typed| fold(&typed.code) == key)
    }

    /// Gives each code that `own` holds its type; a value that `before` held stays whatever it is.
    ///
    /// # Errors
    /// `invalidValue`, with the code, for a value that is not of its type, for a list where there is
    /// one value, and for one value where there is a list.
    pub fn apply(&self, own: &mut Attributes, before: &Attributes) -> Result<(), ScimError> {
        let held = elements(own);
        if held.is_empty() {
            return Ok(());
        }
        let kept = elements(before);
        let typed: Result<Vec<Value>, ScimError> =
            held.iter().map(|element| self.typed(element, kept)).collect();
        put(own, typed?);
        Ok(())
    }

    fn typed(&self, element: &Value, kept: &[Value]) -> Result<Value, ScimError> {
        let text = |name: &str| element.get(name).and_then(Value::as_str).unwrap_or_default();
        let (name, value) = (text("name"), text("value"));
        let several = element.get("multiValued") == Some(&Value::Bool(true));
        let declared = self.of(name);
        let kind = declared.map_or(CodeType::String, |typed| typed.kind);
        let fits = declared.is_none_or(|typed| typed.several == several);
        let made = |value: String| {
            let name = declared.map_or(name, |typed| typed.code.as_str());
            let mut made = Map::with_capacity(4);
            made.insert("name".to_owned(), name.into());
            made.insert("type".to_owned(), kind.name().into());
            made.insert("value".to_owned(), value.into());
            if several {
                made.insert("multiValued".to_owned(), true.into());
            }
            Value::Object(made)
        };
        if let Some(value) = kind.kept(value).filter(|_| fits) {
            return Ok(made(value));
        }
        // It was written before the type was declared.
        let same = |kept: &&Value| {
            let text = |name: &str| kept.get(name).and_then(Value::as_str).unwrap_or_default();
            fold(text("name")) == fold(name) && text("value") == value
        };
        if let Some(kept) = kept.iter().find(same) {
            return Ok(kept.clone());
        }
        let detail = match (fits, several) {
            (true, _) => format!("is no {kind}: give {}", kind.example()),
            (false, true) => "is a list where one value is expected".to_owned(),
            (false, false) => "is one value where a list of values is expected".to_owned(),
        };
        Err(ScimError::new(ErrorKind::InvalidValue, format!("{} {detail}", place(name))))
    }
}

/// For errors: where the value of a code stands.
pub(super) fn place(code: &str) -> String {
    let code = Mirror::of(code).map_or(code, |mirror| mirror.code);
    let shown: String = code.chars().take(80).collect();
    format!("{USER_ATTRIBUTE}:attributes[name eq {shown:?}].value")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn types() -> CodeTypes {
        let mut types = CodeTypes::default();
        types.declare("DOB", CodeType::Date, false);
        types.declare("LEVEL", CodeType::Int, false);
        types.declare("NR", CodeType::Long, false);
        types.declare("VIP", CodeType::Boolean, false);
        types.declare("CARS", CodeType::String, true);
        types.declare("dob", CodeType::String, false);
        types
    }

    fn of(elements: &Value) -> Attributes {
        Attributes::from_iter([(USER_ATTRIBUTE.to_owned(), json!({ "attributes": elements }))])
    }

    fn applied(elements: &Value, before: &Value) -> Result<Value, ScimError> {
        let mut own = of(elements);
        types().apply(&mut own, &of(before))?;
        Ok(own[USER_ATTRIBUTE]["attributes"].clone())
    }

    #[test]
    fn values_are_kept_as_their_type_has_them() {
        for (code, given, kept) in [
            ("dob", "1980-08-01", Some("1980-08-01")),
            ("DOB", "2017-06-04T12:15:30+0200", Some("2017-06-04T12:15:30+0200")),
            ("DOB", "2017-06-04T12:15:30.000+02:00", Some("2017-06-04T12:15:30.000+02:00")),
            ("DOB", "1980-02-30", None),
            ("DOB", "yesterday", None),
            ("DOB", "1980-08-01 00:00:00Z", None),
            ("LEVEL", "007", Some("7")),
            ("LEVEL", "2147483648", None),
            ("NR", "2147483648", Some("2147483648")),
            ("NR", "9223372036854775808", None),
            ("NR", "1.5", None),
            ("VIP", "True", Some("true")),
            ("VIP", "yes", None),
            ("OTHER", "anything", Some("anything")),
        ] {
            let result = applied(&json!([{ "name": code, "value": given }]), &json!([]));
            if let Some(kept) = kept {
                assert_eq!(result.unwrap()[0]["value"], kept, "{code}");
            } else {
                let error = result.unwrap_err();
                assert_eq!(error.kind, ErrorKind::InvalidValue);
                assert!(error.detail.contains(&format!("{code:?}")), "{error}");
            }
        }
    }

    #[test]
    fn a_code_is_spelled_as_declared_and_says_its_type() {
        let kept = applied(&json!([{ "name": "dob", "value": "1980-08-01" }]), &json!([]));
        let expected = json!([{ "name": "DOB", "type": "date", "value": "1980-08-01" }]);
        assert_eq!(kept.unwrap(), expected);
        let kept = applied(&json!([{ "name": "Shoe", "value": "39" }]), &json!([]));
        assert_eq!(kept.unwrap(), json!([{ "name": "Shoe", "type": "string", "value": "39" }]));
    }

    #[test]
    fn lists_are_where_lists_are_declared() {
        let several = |code: &str| json!([{ "name": code, "value": "a", "multiValued": true }]);
        assert!(applied(&several("CARS"), &json!([])).is_ok());
        assert!(applied(&several("OTHER"), &json!([])).is_ok());
        let error = applied(&several("NR"), &json!([])).unwrap_err();
        assert!(error.detail.contains("one value is expected"), "{error}");
        let error = applied(&json!([{ "name": "CARS", "value": "a" }]), &json!([])).unwrap_err();
        assert!(error.detail.contains("a list of values is expected"), "{error}");
    }

    #[test]
    fn what_was_there_before_its_type_stays() {
        let before = json!([{ "name": "DOB", "type": "string", "value": "May 1980" }]);
        let again = json!([{ "name": "dob", "value": "May 1980" }]);
        assert_eq!(applied(&again, &before).unwrap(), before);
        let other = json!([{ "name": "DOB", "value": "June 1980" }]);
        assert!(applied(&other, &before).is_err());
    }
}
