//! Where a row stands in the order of a search: what a page goes on from, whoever is gone since.

use super::engine::{Datum, Failure, Row};
use super::search::Order;

/// A place in the order of a search: what the row was ordered by, and its canonical id.
#[derive(Clone, Debug, PartialEq)]
pub struct Position {
    absent: i64,
    /// A text, or an integer where the order is one of instants or of types.
    fold: Datum,
    rest: String,
    id: String,
}

const INTEGER: u8 = 1;
const TEXT: u8 = 2;

impl Position {
    /// The next columns of a row: what it is ordered by. Whose it is is told by [`Position::of`].
    pub(super) fn decode(row: &mut Row) -> Result<Self, Failure> {
        let absent = row.integer()?;
        let (fold, rest) = (row.datum(), row.text()?);
        Ok(Self { absent, fold, rest, id: String::new() })
    }

    pub(super) fn of(self, id: &str) -> Self {
        Self { id: id.to_owned(), ..self }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// What the row is ordered by, to be kept elsewhere.
    pub fn key(&self) -> Vec<u8> {
        let mut key = vec![u8::from(self.absent != 0)];
        match &self.fold {
            Datum::Integer(integer) => {
                key.push(INTEGER);
                key.extend(integer.to_be_bytes());
            }
            Datum::Text(text) => {
                key.push(TEXT);
                key.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
                key.extend(text.as_bytes());
            }
            Datum::Null | Datum::Real(_) => {}
        }
        key.extend(self.rest.as_bytes());
        key
    }

    /// The position with this [`Position::key`].
    pub fn at(key: &[u8], id: &str) -> Option<Self> {
        let (&[absent, kind], rest) = key.split_first_chunk()?;
        let (fold, rest) = match kind {
            INTEGER => {
                let (integer, rest) = rest.split_first_chunk()?;
                (Datum::Integer(i64::from_be_bytes(*integer)), rest)
            }
            TEXT => {
                let (length, rest) = rest.split_first_chunk()?;
                let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
                let (text, rest) = rest.split_at_checked(length)?;
                (Datum::Text(String::from_utf8(text.to_vec()).ok()?), rest)
            }
            _ => return None,
        };
        let rest = String::from_utf8(rest.to_vec()).ok()?;
        Some(Self { absent: i64::from(absent), fold, rest, id: id.to_owned() })
    }

    /// The condition on a row to stand after this place, or before it where `back`.
    pub(super) fn condition(&self, order: &Order, back: bool, values: &mut Vec<Datum>) -> String {
        let Order { absent, fold, rest, .. } = order;
        values.extend([self.fold.clone(), self.rest.as_str().into(), self.id.as_str().into()]);
        let last = values.len();
        let (fold_at, rest_at) = (last - 2, last - 1);
        let row = format!("{absent}, {fold}, {rest}");
        let here = format!("{}, ${fold_at}, ${rest_at}", self.absent);
        let sign = if order.descending == back { ">" } else { "<" };
        let id = if back { "<" } else { ">" };
        if !order.descending {
            return format!("({row}, r.id) {sign} ({here}, ${last})");
        }
        // Ids ascend in either order.
        format!("({row}) {sign}= ({here}) AND (({row}) {sign} ({here}) OR r.id {id} ${last})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_from_its_key() {
        for fold in [Datum::Integer(-7), Datum::Text(String::new()), Datum::Text("straße".into())]
        {
            for (absent, rest) in [(0, ""), (1, "rest")] {
                let position =
                    Position { absent, fold: fold.clone(), rest: rest.into(), id: "u.1".into() };
                let key = position.key();
                assert_eq!(Position::at(&key, "u.1"), Some(position));
                for length in 0..2 {
                    assert_eq!(Position::at(&key[..length], "u.1"), None);
                }
            }
        }
        assert_eq!(Position::at(&[0, 9, 1, 2], "u.1"), None);
        assert_eq!(Position::at(&[0, TEXT, 0, 0, 0, 9, b'x'], "u.1"), None);
    }
}
