//! The body of an import, read while it comes in: rows are handed on in parts as soon as they are
//! whole, so that no body is held in memory.
//!
//! Knows nothing of what a row says, nor of HTTP. Blocks while it waits for more.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, Read};

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::http::json::Document;
use crate::scim::{ErrorKind, ScimError};

/// How many rows one import has at most.
pub const MAX_ROWS: u64 = 1_000_000;

/// A part is handed on when it has so many rows or bytes.
const ROWS: u64 = 256;
const BYTES: usize = 64 * 1024;

/// What is said beside the rows.
#[derive(Debug, PartialEq, Eq)]
pub struct Order {
    /// `group.value`
    pub group: String,
    /// `authenticatorPolicy.value`
    pub policy: Option<String>,
}

/// Rows, JSON, a line for each.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Part {
    pub users: String,
    pub rows: u64,
}

/// Whoever took the parts takes no more.
#[derive(Debug)]
pub struct Stopped;

/// Reads a whole import; no row, and nothing beside them, may be longer than `longest` bytes.
///
/// The bytes come from `more`, which gives none at the end; the rows go to `take`.
pub fn read(
    more: impl FnMut() -> Option<Bytes>,
    longest: usize,
    take: &mut dyn FnMut(Part) -> Result<(), Stopped>,
) -> Result<Order, ScimError> {
    let bounds =
        Bounds { left: Cell::new(longest), longest, kind: Cell::new(ErrorKind::InvalidSyntax) };
    let source = Source { more, now: Bytes::new(), begun: false, bounds: &bounds };
    let sink = RefCell::new(Sink { part: Part::default(), rows: 0, take });
    let mut deserializer = serde_json::Deserializer::from_reader(source);
    Import { bounds: &bounds, sink: &sink }
        .deserialize(&mut deserializer)
        .and_then(|order| deserializer.end().map(|()| order))
        .map_err(|error| {
            ScimError::new(bounds.kind.get(), format!("the body is not valid: {error}"))
        })
}

/// What bounds the reading.
struct Bounds {
    /// How many bytes may come before the next row begins.
    left: Cell<usize>,
    longest: usize,
    /// What an error is, for serde's errors cannot carry it.
    kind: Cell<ErrorKind>,
}

impl Bounds {
    fn fault<E: serde::de::Error>(&self, kind: ErrorKind, what: impl fmt::Display) -> E {
        self.kind.set(kind);
        E::custom(what)
    }
}

struct Source<'a, M> {
    more: M,
    now: Bytes,
    begun: bool,
    bounds: &'a Bounds,
}

impl<M: FnMut() -> Option<Bytes>> Read for Source<'_, M> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.now.is_empty() {
            let Some(next) = (self.more)() else { return Ok(0) };
            self.now = next;
            if !std::mem::replace(&mut self.begun, true) && self.now.starts_with(b"\xef\xbb\xbf") {
                // RFC 8259 section 8.1 lets a parser ignore a byte order mark.
                drop(self.now.split_to(3));
            }
        }
        let count = into.len().min(self.now.len());
        let Some(left) = self.bounds.left.get().checked_sub(count) else {
            self.bounds.kind.set(ErrorKind::InvalidValue);
            let longest = self.bounds.longest;
            return Err(io::Error::other(format!("a row is longer than {longest} bytes")));
        };
        self.bounds.left.set(left);
        let taken = self.now.split_to(count);
        into.iter_mut().zip(taken).for_each(|(to, byte)| *to = byte);
        Ok(count)
    }
}

struct Sink<'a> {
    part: Part,
    /// All, those of earlier parts too.
    rows: u64,
    take: &'a mut dyn FnMut(Part) -> Result<(), Stopped>,
}

impl Sink<'_> {
    fn add(&mut self, row: &Value) -> Result<(), Stopped> {
        if self.part.rows > 0 {
            self.part.users.push('\n');
        }
        // Written compactly it holds no line break.
        self.part.users.push_str(&row.to_string());
        self.part.rows += 1;
        self.rows += 1;
        if self.part.rows >= ROWS || self.part.users.len() >= BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Stopped> {
        if self.part.rows == 0 { Ok(()) } else { (self.take)(std::mem::take(&mut self.part)) }
    }
}

fn stopped<E: serde::de::Error>(_: Stopped) -> E {
    E::custom("the rows are not taken")
}

/// The body.
struct Import<'a, 'b> {
    bounds: &'a Bounds,
    sink: &'a RefCell<Sink<'b>>,
}

impl<'de> DeserializeSeed<'de> for Import<'_, '_> {
    type Value = Order;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Order, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Import<'_, '_> {
    type Value = Order;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with users and group")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Order, A::Error> {
        let Self { bounds, sink } = self;
        let (mut group, mut policy) = (None, None);
        let mut seen: Vec<String> = Vec::new();
        while let Some(key) = access.next_key::<String>()? {
            let key = Document::inside(&bounds.kind).text(key)?;
            let name = key.to_ascii_lowercase();
            if seen.contains(&name) {
                return Err(A::Error::custom(format_args!("the key \"{name}\" occurs twice")));
            }
            match name.as_str() {
                "users" => {
                    access.next_value_seed(Rows { bounds, sink })?;
                    sink.borrow_mut().flush().map_err(stopped)?;
                }
                "group" | "authenticatorpolicy" => {
                    let value = access.next_value_seed(Document::inside(&bounds.kind))?;
                    let to = if name == "group" { &mut group } else { &mut policy };
                    *to = referred(&key, value, bounds)?;
                }
                _ => drop(access.next_value_seed(Document::inside(&bounds.kind))?),
            }
            seen.push(name);
        }
        if !seen.iter().any(|name| name == "users") {
            return Err(
                bounds.fault(ErrorKind::InvalidValue, "users is required: give the list of users")
            );
        }
        let group = group.ok_or_else(|| {
            bounds.fault(
                ErrorKind::InvalidValue,
                "group.value is required: give the id of the group that the users become members of",
            )
        })?;
        Ok(Order { group, policy })
    }
}

/// The `value` of an object that refers to something; nothing where there is none.
fn referred<E: serde::de::Error>(
    key: &str,
    value: Value,
    bounds: &Bounds,
) -> Result<Option<String>, E> {
    let value = match value {
        Value::Null => return Ok(None),
        Value::Object(members) => {
            members.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("value"))
        }
        _ => None,
    };
    match value {
        Some((_, Value::String(value))) if !value.is_empty() => Ok(Some(value)),
        _ => Err(bounds.fault(
            ErrorKind::InvalidValue,
            format_args!("{key} must be an object whose value is a text: {{ \"value\": \"id\" }}"),
        )),
    }
}

/// The list of users.
struct Rows<'a, 'b> {
    bounds: &'a Bounds,
    sink: &'a RefCell<Sink<'b>>,
}

impl<'de> DeserializeSeed<'de> for Rows<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of users")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let Self { bounds, sink } = self;
        bounds.left.set(bounds.longest);
        while let Some(row) = access.next_element_seed(Document::inside(&bounds.kind))? {
            let mut sink = sink.borrow_mut();
            if sink.rows == MAX_ROWS {
                let what = format_args!("an import holds at most {MAX_ROWS} users; send several");
                return Err(bounds.fault(ErrorKind::TooMany, what));
            }
            sink.add(&row).map_err(stopped)?;
            bounds.left.set(bounds.longest);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In pieces of so many bytes.
    fn read_in(text: &str, piece: usize, longest: usize) -> Result<(Order, Vec<Part>), ScimError> {
        let mut rest = Bytes::copy_from_slice(text.as_bytes());
        let mut parts = Vec::new();
        let mut take = |part| {
            parts.push(part);
            Ok(())
        };
        let more = || {
            let count = piece.min(rest.len());
            (count > 0).then(|| rest.split_to(count))
        };
        let order = read(more, longest, &mut take)?;
        Ok((order, parts))
    }

    fn refused(text: &str) -> ScimError {
        read_in(text, 7, 1000).unwrap_err()
    }

    #[test]
    fn rows_come_a_line_each_wherever_the_body_is_cut() {
        let text = "\u{feff} {\"schemas\": [\"urn:x\"], \"Users\": [ {\"a\": \"x\\ny\"}, 7,\n {\"b\": [1, {}]} ], \
                    \"GROUP\": {\"display\": 1, \"value\": \"g\"}, \
                    \"authenticatorPolicy\": {\"value\": \"p\"} } \n";
        for piece in 1..text.len() {
            // The byte order mark comes in one piece.
            if piece < 3 {
                continue;
            }
            let (order, parts) = read_in(text, piece, 1000).unwrap();
            assert_eq!((&*order.group, order.policy.as_deref()), ("g", Some("p")));
            let users = "{\"a\":\"x\\ny\"}\n7\n{\"b\":[1,{}]}".to_owned();
            assert_eq!(parts, [Part { users, rows: 3 }]);
        }
    }

    #[test]
    fn many_rows_come_in_parts() {
        let rows: Vec<String> = (0..1000).map(|row| format!("{{\"n\":{row}}}")).collect();
        let text = format!("{{\"group\":{{\"value\":\"g\"}},\"users\":[{}]}}", rows.join(","));
        // No bound is on all rows together.
        let (_, parts) = read_in(&text, 4096, 40).unwrap();
        assert_eq!(parts.iter().map(|part| part.rows).collect::<Vec<_>>(), [256, 256, 256, 232]);
        let lines: Vec<&str> = parts.iter().flat_map(|part| part.users.lines()).collect();
        assert_eq!(lines, rows);
        let (_, parts) = read_in("{\"group\":{\"value\":\"g\"},\"users\":[]}", 9, 40).unwrap();
        assert_eq!(parts, []);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, said) in [
            ("", "EOF"),
            ("[]", "an object with users"),
            ("{\"users\":{}}", "a list of users"),
            ("{\"users\":[],\"group\":\"g\"}", "group must be an object"),
            ("{\"users\":[],\"group\":{\"value\":7}}", "group must be an object"),
            ("{\"users\":[]}", "group.value is required"),
            ("{\"group\":{\"value\":\"g\"}}", "users is required"),
            ("{\"users\":[],\"group\":{\"value\":\"g\"},\"USERS\":[]}", "occurs twice"),
            ("{\"users\":[{\"a\":1,\"a\":2}]}", "occurs twice"),
            ("{\"users\":[{\"a\":\"\\u0000\"}]}", "U+0000"),
            ("{\"\\u0000\":1,\"users\":[]}", "U+0000"),
            ("{\"users\":[{\"a\":1,}]}", "trailing comma at line 1 column"),
            ("{\"users\":[{}],\"group\":{\"value\":\"g\"}} x", "trailing characters"),
            ("{\"users\":[{}],\"group\":{\"value\":\"g\"}", "EOF"),
        ] {
            let error = refused(text);
            assert!(error.detail.contains(said), "{text}: {error}");
        }
        let deep = format!("{{\"users\":[{}", "[".repeat(40));
        assert!(refused(&deep).detail.contains("more than 32 deep"));
        let long = format!("{{\"users\":[{{\"a\":\"{}\"}}]}}", "x".repeat(2000));
        let error = refused(&long);
        assert_eq!(error.kind, ErrorKind::InvalidValue);
        assert!(error.detail.contains("longer than 1000 bytes"), "{error}");
    }

    #[test]
    fn whoever_takes_no_more_is_not_asked_again() {
        let text = format!("{{\"users\":[{}7]}}", "7,".repeat(600));
        let mut rest = Some(Bytes::from(text));
        let mut asked = 0;
        let mut take = |_| {
            asked += 1;
            Err(Stopped)
        };
        read(|| rest.take(), 100, &mut take).unwrap_err();
        assert_eq!(asked, 1);
    }
}
