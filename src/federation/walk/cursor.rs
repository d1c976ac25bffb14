//! Cursors (RFC 9865): where a walk stands, as the client carries it from page to page. Sealed, so
//! that only what this tenant's service gave out is understood. Knows nothing of lists.
//!
//! ```text
//! base64url( version | flags | issued | query | walk or total | place | MAC )
//!            1         1       8 ms     16      16     8        …       32
//! ```

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use uuid::Uuid;

use crate::scim::{ErrorKind, Query, ResourceType, ScimError};

/// Raised when the payload means something else than before.
const VERSION: u8 = 1;
const MAC: usize = 32;

/// What makes a cursor one of ours: the key is the store's and so the same on every node.
#[derive(Debug)]
pub(in crate::federation) struct Seal {
    key: hmac::Key,
    tenant: Box<[u8]>,
    timeout: Duration,
}

/// The query that a cursor goes on with, in short: what decides who is in the list and in which
/// order. Page size and projection may change from page to page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueryHash([u8; 16]);

/// Where a walk stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) query: QueryHash,
    pub(super) direction: Direction,
    pub(super) list: List,
    pub(super) place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// The page after the place.
    Forward,
    /// The page before it.
    Backward,
}

/// What is walked over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    /// The rows of the store as they are; with the total, once it was counted at the first page.
    Rows { total: Option<u64> },
    /// A snapshot; made anew where it is gone.
    Snapshot(Uuid),
}

/// A place between two resources of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Before everybody.
    Start,
    /// At a resource that was shown: what it is ordered by, and its id.
    At { key: Vec<u8>, id: String },
}

impl QueryHash {
    pub(super) fn of(kind: &ResourceType, query: &Query) -> Self {
        let filter = query.filter.as_ref().map(crate::scim::Filter::canonical).unwrap_or_default();
        let sort_by = query.sort_by.as_ref().map_or("", |path| &path.text);
        let mut hash = Context::new(&SHA256);
        for part in [kind.name.as_str(), &filter, sort_by] {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.update(&[u8::from(query.descending), u8::from(query.search_repositories)]);
        let mut short = [0; 16];
        short.copy_from_slice(&hash.finish().as_ref()[..16]);
        Self(short)
    }
}

impl Seal {
    pub(in crate::federation) fn new(key: &[u8], tenant: &str, timeout: Duration) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        Self { key, tenant: tenant.as_bytes().into(), timeout }
    }

    /// The cursor as text; unreserved characters only (RFC 3986 section 2.3).
    pub(super) fn close(&self, cursor: &Cursor, now: Timestamp) -> String {
        let backward = u8::from(cursor.direction == Direction::Backward);
        let snapshot = u8::from(matches!(cursor.list, List::Snapshot(_)));
        let start = u8::from(cursor.place == Place::Start);
        let mut bytes = vec![VERSION, backward | snapshot << 1 | start << 2];
        bytes.extend(now.as_millisecond().to_be_bytes());
        bytes.extend(cursor.query.0);
        match &cursor.list {
            List::Rows { total } => bytes.extend(total.unwrap_or(u64::MAX).to_be_bytes()),
            List::Snapshot(walk) => bytes.extend(walk.as_bytes()),
        }
        if let Place::At { key, id } = &cursor.place {
            bytes.extend(u32::try_from(key.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend(key);
            bytes.extend(id.as_bytes());
        }
        let mac = self.mac(&bytes);
        bytes.extend(mac.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a cursor says, if it is one that was given out for this query, not too long ago.
    pub(super) fn open(
        &self,
        text: &str,
        query: QueryHash,
        now: Timestamp,
    ) -> Result<Cursor, ScimError> {
        let (cursor, issued) = self.read(text).ok_or_else(|| {
            invalid(
                "the cursor is none of this service; repeat the value of nextCursor or \
                 previousCursor as it was, or begin with an empty cursor",
            )
        })?;
        if cursor.query != query {
            return Err(invalid(
                "the cursor was given for another query; filter, sortBy, sortOrder and \
                 searchRepositories must stay as they were at the first page, or begin anew with an \
                 empty cursor",
            ));
        }
        let age = now.duration_since(issued).unsigned_abs();
        if issued < now && age > self.timeout {
            return Err(ScimError::new(
                ErrorKind::ExpiredCursor,
                format!(
                    "the cursor is {} s old and was good for {} s; begin anew with an empty cursor",
                    age.as_secs(),
                    self.timeout.as_secs()
                ),
            ));
        }
        Ok(cursor)
    }

    fn read(&self, text: &str) -> Option<(Cursor, Timestamp)> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (payload, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC)?)?;
        hmac::verify(&self.key, &self.sealed(payload), mac).ok()?;
        let (&[version, flags], rest) = payload.split_first_chunk()?;
        // Sealed by a newer or older node.
        if version != VERSION {
            return None;
        }
        let (issued, rest) = rest.split_first_chunk()?;
        let (query, rest) = rest.split_first_chunk()?;
        let (list, rest) = if flags & 2 == 0 {
            let (total, rest) = rest.split_first_chunk()?;
            let total = Some(u64::from_be_bytes(*total)).filter(|total| *total != u64::MAX);
            (List::Rows { total }, rest)
        } else {
            let (walk, rest) = rest.split_first_chunk()?;
            (List::Snapshot(Uuid::from_bytes(*walk)), rest)
        };
        let place = if flags & 4 == 0 {
            let (length, rest) = rest.split_first_chunk()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (key, id) = rest.split_at_checked(length)?;
            Place::At { key: key.to_vec(), id: std::str::from_utf8(id).ok()?.to_owned() }
        } else {
            Place::Start
        };
        let direction = if flags & 1 == 0 { Direction::Forward } else { Direction::Backward };
        let issued = Timestamp::from_millisecond(i64::from_be_bytes(*issued)).ok()?;
        Some((Cursor { query: QueryHash(*query), direction, list, place }, issued))
    }

    fn mac(&self, payload: &[u8]) -> hmac::Tag {
        hmac::sign(&self.key, &self.sealed(payload))
    }

    /// The payload with the tenant, which no cursor carries: another tenant's does not fit.
    fn sealed(&self, payload: &[u8]) -> Vec<u8> {
        let length = (self.tenant.len() as u64).to_be_bytes();
        [&length, &*self.tenant, payload].concat()
    }
}

fn invalid(detail: &str) -> ScimError {
    ScimError::new(ErrorKind::InvalidCursor, detail)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).unwrap()
    }

    fn seal(key: u8, tenant: &str) -> Seal {
        Seal::new(&[key; 32], tenant, Duration::from_mins(10))
    }

    fn hash(text: &str) -> QueryHash {
        let kind = Arc::new(ResourceType::user(&[]));
        let query = Query::from_parameters(
            form_urlencoded::parse(text.as_bytes()),
            &kind,
            &crate::scim::dialect::Manner::rfc(),
        )
        .unwrap();
        QueryHash::of(&kind, &query)
    }

    fn cursors() -> Vec<Cursor> {
        let places = [
            Place::Start,
            Place::At { key: vec![3, b'x', 0, 255], id: "corp.ü".into() },
            Place::At { key: Vec::new(), id: String::new() },
        ];
        let rows = |total| List::Rows { total };
        let lists = [rows(None), rows(Some(9)), List::Snapshot(Uuid::from_u128(7))];
        let mut all = Vec::new();
        for place in places {
            for list in lists {
                for direction in [Direction::Forward, Direction::Backward] {
                    let place = place.clone();
                    all.push(Cursor { query: hash("count=1"), direction, list, place });
                }
            }
        }
        all
    }

    #[test]
    fn a_cursor_comes_back_as_it_was_given() {
        let seal = seal(1, "acme");
        for cursor in cursors() {
            let text = seal.close(&cursor, at(NOW));
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            assert_eq!(seal.open(&text, hash(""), at(NOW + 1)).unwrap(), cursor);
        }
    }

    #[test]
    fn what_is_not_ours_is_refused_and_nothing_panics() {
        let ours = seal(1, "acme");
        let kind = |seal: &Seal, text: &str| seal.open(text, hash(""), at(NOW)).unwrap_err().kind;
        for cursor in cursors() {
            let text = ours.close(&cursor, at(NOW));
            for length in 0..text.len() {
                assert_eq!(kind(&ours, &text[..length]), ErrorKind::InvalidCursor);
                let mut changed = text.clone().into_bytes();
                changed[length] = if changed[length] == b'A' { b'B' } else { b'A' };
                let changed = String::from_utf8(changed).unwrap();
                assert_eq!(kind(&ours, &changed), ErrorKind::InvalidCursor, "{length}");
            }
            for other in [seal(2, "acme"), seal(1, "acm"), seal(1, "bcme"), seal(1, "")] {
                assert_eq!(kind(&other, &text), ErrorKind::InvalidCursor);
            }
        }
        for text in ["x", "2", "nextCursor", "====", "\u{fc}", &"A".repeat(4096)] {
            assert_eq!(kind(&ours, text), ErrorKind::InvalidCursor);
        }
    }

    #[test]
    fn it_is_bound_to_the_query_and_lasts_for_its_time() {
        let seal = seal(1, "acme");
        let query = hash("filter=userName+sw+%22a%22&sortBy=title");
        let cursor = Cursor { query, ..cursors().remove(0) };
        let text = seal.close(&cursor, at(NOW));
        let same = hash("count=7&filter=username+SW+%22A%22&sortBy=Title&attributes=userName");
        let until = NOW + 600_000;
        assert!(seal.open(&text, same, at(until)).is_ok());
        // Another node's clock may be behind.
        assert!(seal.open(&text, same, at(NOW - 1000)).is_ok());
        let late = seal.open(&text, same, at(until + 1)).unwrap_err();
        assert_eq!(late.kind, ErrorKind::ExpiredCursor);
        for other in [
            "sortBy=title",
            "filter=userName+sw+%22b%22&sortBy=title",
            "filter=userName+sw+%22a%22",
            "filter=userName+sw+%22a%22&sortBy=title&sortOrder=descending",
            "filter=userName+sw+%22a%22&sortBy=title&searchRepositories=true",
        ] {
            let error = seal.open(&text, hash(other), at(NOW)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidCursor, "{other}");
            assert!(error.detail.contains("another query"));
        }
    }
}
