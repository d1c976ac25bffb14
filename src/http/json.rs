//! JSON as it comes in from outside: bounded in depth, without ambiguity.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::scim::{ErrorKind, ScimError};

/// Objects and arrays within one another; SCIM itself needs five.
const MAX_DEPTH: u8 = 32;

/// Reads one JSON document. Refused are what `serde_json` refuses (so `NaN` and text that is not
/// UTF-8), depth above 32, a key that occurs twice in one object, and U+0000, which no store and no
/// directory behind us could keep.
pub fn parse(bytes: &[u8]) -> Result<Value, ScimError> {
    // RFC 8259 section 8.1 lets a parser ignore a byte order mark; some clients send one.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        let detail = "the body is empty; a JSON object is needed";
        return Err(ScimError::new(ErrorKind::InvalidSyntax, detail));
    }
    let kind = Cell::new(ErrorKind::InvalidSyntax);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    Document { depth: 0, kind: &kind }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| ScimError::new(kind.get(), format!("the body is not valid: {error}")))
}

/// One value at some depth; `kind` is what an error is, for serde's errors cannot carry it.
#[derive(Clone, Copy)]
pub(super) struct Document<'a> {
    depth: u8,
    kind: &'a Cell<ErrorKind>,
}

impl<'a> Document<'a> {
    /// A value inside of a document.
    pub(super) fn inside(kind: &'a Cell<ErrorKind>) -> Self {
        Self { depth: 2, kind }
    }
}

impl Document<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format_args!(
                "objects and arrays are nested more than {MAX_DEPTH} deep"
            )));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    /// A key or a value.
    pub(super) fn text<E: serde::de::Error>(self, text: String) -> Result<String, E> {
        if text.as_bytes().contains(&0) {
            self.kind.set(ErrorKind::InvalidValue);
            return Err(E::custom("a string contains the character U+0000; remove it"));
        }
        Ok(text)
    }
}

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Value, E> {
        self.text(value).map(Value::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut elements = Vec::new();
        while let Some(element) = access.next_element_seed(inner)? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let key = self.text(key)?;
            if members.contains_key(&key) {
                return Err(A::Error::custom(format_args!(
                    "the key {} occurs twice in one object; which one counts is anybody's guess",
                    Value::String(key)
                )));
            }
            let value = access.next_value_seed(inner)?;
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(text: impl AsRef<[u8]>) -> ScimError {
        parse(text.as_ref()).unwrap_err()
    }

    #[test]
    fn documents_are_read_as_they_stand() {
        let text = r#" {"b":[1,-2,1.5,true,null,"ü\u00e9"],"a":{"x":{}}} "#;
        let read = parse(text.as_bytes()).unwrap();
        assert_eq!(read, json!({"b": [1, -2, 1.5, true, null, "üé"], "a": {"x": {}}}));
        assert_eq!(read.as_object().unwrap().keys().collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(parse(b"\xef\xbb\xbf{}").unwrap(), json!({}));
    }

    #[test]
    fn a_key_that_occurs_twice_is_named() {
        let error = refused(r#"{"a":1,"name":{"x":1,"x":2}}"#);
        assert_eq!(error.kind, ErrorKind::InvalidSyntax);
        assert!(error.detail.contains("\"x\" occurs twice"), "{error}");
        assert!(parse(br#"{"a":{"x":1},"b":{"x":1}}"#).is_ok());
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(nested(32).as_bytes()).is_ok());
        assert!(refused(nested(33)).detail.contains("more than 32 deep"));
        let error = refused("{\"a\":".repeat(100_000));
        assert!(error.detail.contains("more than 32 deep"), "{error}");
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        for text in ["{", "NaN", "{\"a\":NaN}", "{\"a\":Infinity}", "{} {}", "{\"a\":1e999}", "'x'"]
        {
            let error = refused(text);
            assert_eq!(error.kind, ErrorKind::InvalidSyntax);
            assert!(error.detail.contains("at line 1 column"), "{text}: {error}");
        }
        assert!(refused(" \n").detail.contains("empty"));
        assert_eq!(refused(b"{\"a\":\"\xff\"}").kind, ErrorKind::InvalidSyntax);
    }

    #[test]
    fn nul_is_refused_in_values_and_keys() {
        assert_eq!(refused(r#"{"a":"x\u0000"}"#).kind, ErrorKind::InvalidValue);
        assert_eq!(refused(r#"{"\u0000":1}"#).kind, ErrorKind::InvalidValue);
    }
}
