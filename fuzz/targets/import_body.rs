//! Any bytes as the body of an import: it is read or refused, the same wherever it is cut, and what was
//! read is a document like any other, row by row.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use scimbridge::http::parsers::{Order, read_import, read_json};
use serde_json::Value;

/// Bytes of a row.
const LONGEST: usize = 2_000;

fuzz_target!(|body: &[u8]| {
    let whole = read(body, body.len().max(1));
    // The byte order mark comes in one piece.
    assert_eq!(read(body, 3), whole);
    let Some((order, rows)) = whole else { return };
    let document = read_json(body).expect("what is an import is a document");
    let member = |name: &str| {
        let members = document.as_object().expect("an import is an object");
        members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    let users = member("users").and_then(Value::as_array).expect("a list of users");
    assert_eq!(users.iter().map(Value::to_string).collect::<Vec<_>>(), rows);
    assert!(!order.group.is_empty());
});

/// The order and the rows of a body that comes in pieces of so many bytes.
fn read(body: &[u8], piece: usize) -> Option<(Order, Vec<String>)> {
    let mut pieces = body.chunks(piece).map(Bytes::copy_from_slice);
    let mut rows = Vec::new();
    let order = read_import(|| pieces.next(), LONGEST, &mut |part| {
        assert_eq!(part.users.lines().count() as u64, part.rows);
        rows.extend(part.users.lines().map(str::to_owned));
        Ok(())
    });
    order.ok().map(|order| (order, rows))
}
