//! Comparisons as SQL, exact although the index holds only the beginning of long texts.
//!
//! The one place that escapes a pattern.

use jiff::Timestamp;

use super::super::engine::Datum;
use super::super::index::{WIDTH, cut};
use crate::scim::filter::{ANY, Operator};

/// A text of up to this many bytes is decided by the beginning that the index holds: of a longer
/// value at least this much and one byte is held.
const DECIDED: usize = WIDTH - 4;

/// Patterns above this are left to memory; SQLite takes 50,000 bytes.
const MAX_PATTERN: usize = 32_000;

/// Parameters in order of their first appearance.
#[derive(Debug)]
pub(super) struct Parameters(pub(super) Vec<Datum>);

impl Parameters {
    /// Adds a value and gives its name in the text.
    pub(super) fn bind(&mut self, value: impl Into<Datum>) -> String {
        self.0.push(value.into());
        format!("${}", self.0.len())
    }
}

/// The column or columns of a compared text, by their names in the statement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns<'a> {
    pub(super) fold: &'a str,
    /// Holds the whole of a text that is too long for `fold`; `None` where `fold` holds every text.
    pub(super) rest: Option<&'a str>,
}

/// Whether the text in `columns` stands in the relation `operator` to `key`. `None` where SQL cannot
/// tell.
pub(super) fn text(
    columns: Columns<'_>,
    operator: Operator,
    key: &str,
    parameters: &mut Parameters,
) -> Option<String> {
    let fold = columns.fold;
    match operator {
        Operator::Eq | Operator::Ne => {
            let (equal, joint) = if operator == Operator::Eq { ("=", "AND") } else { ("<>", "OR") };
            let Some(rest) = columns.rest else {
                return Some(format!("{fold} {equal} {}", parameters.bind(key)));
            };
            let (head, tail) = cut(key);
            let head = parameters.bind(head);
            let tail = parameters.bind(tail);
            Some(format!("({fold} {equal} {head} {joint} {rest} {equal} {tail})"))
        }
        Operator::Co | Operator::Sw | Operator::Ew if key.is_empty() => Some("1 = 1".to_owned()),
        Operator::Co => like(columns, &format!("%{}%", escape(key)), parameters),
        Operator::Ew => like(columns, &format!("%{}", escape(key)), parameters),
        Operator::Like => {
            let pieces: Vec<String> = key.split(ANY).map(escape).collect();
            like(columns, &pieces.join("%"), parameters)
        }
        Operator::Sw => Some(match columns.rest {
            Some(_) if key.len() > DECIDED => {
                let head = begins(fold, &key[..key.floor_char_boundary(DECIDED)], parameters);
                format!("({head} AND {})", begins(&whole(columns), key, parameters))
            }
            _ => begins(fold, key, parameters),
        }),
        Operator::Gt | Operator::Ge | Operator::Lt | Operator::Le => {
            let sign = sign(operator);
            if columns.rest.is_none() || key.len() <= DECIDED {
                return Some(format!("{fold} {sign} {}", parameters.bind(key)));
            }
            // A beginning is never above the whole, so that these bounds lose nothing.
            let bound = match operator {
                Operator::Lt | Operator::Le => format!("{fold} <= {}", parameters.bind(key)),
                _ => {
                    let head = &key[..key.floor_char_boundary(DECIDED)];
                    format!("{fold} >= {}", parameters.bind(head))
                }
            };
            Some(format!("({bound} AND {} {sign} {})", whole(columns), parameters.bind(key)))
        }
    }
}

/// Whether the milliseconds in `column` stand in the relation `operator` to `at`, which may lie
/// between two of them.
pub(super) fn milliseconds(
    column: &str,
    operator: Operator,
    at: Timestamp,
    parameters: &mut Parameters,
) -> Option<String> {
    let below = at.as_nanosecond().div_euclid(1_000_000);
    let between = at.as_nanosecond().rem_euclid(1_000_000) != 0;
    let below = i64::try_from(below).ok()?;
    let bound = match operator {
        Operator::Eq if between => return Some("1 = 0".to_owned()),
        Operator::Ne if between => return Some("1 = 1".to_owned()),
        Operator::Co | Operator::Sw | Operator::Ew | Operator::Like => return None,
        Operator::Ge | Operator::Lt => below + i64::from(between),
        Operator::Eq | Operator::Ne | Operator::Gt | Operator::Le => below,
    };
    Some(format!("{column} {} {}", sign(operator), parameters.bind(bound)))
}

fn sign(operator: Operator) -> &'static str {
    match operator {
        Operator::Ne => "<>",
        Operator::Gt => ">",
        Operator::Ge => ">=",
        Operator::Lt => "<",
        Operator::Le => "<=",
        Operator::Eq | Operator::Co | Operator::Sw | Operator::Ew | Operator::Like => "=",
    }
}

/// The whole text.
fn whole(columns: Columns<'_>) -> String {
    let fold = columns.fold;
    columns.rest.map_or_else(
        || fold.to_owned(),
        |rest| format!("CASE WHEN {rest} = '' THEN {fold} ELSE {rest} END"),
    )
}

/// `expression` begins with `key`: a range, which an index serves.
fn begins(expression: &str, key: &str, parameters: &mut Parameters) -> String {
    let from = parameters.bind(key);
    match successor(key) {
        None => format!("{expression} >= {from}"),
        Some(end) => {
            format!("({expression} >= {from} AND {expression} < {})", parameters.bind(end))
        }
    }
}

/// The least text above all that begin with `key`; `None` where there is none.
fn successor(key: &str) -> Option<String> {
    let mut head = key.to_owned();
    while let Some(last) = head.pop() {
        // The surrogates between U+D7FF and U+E000 are no characters.
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            _ => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            head.push(next);
            return Some(head);
        }
    }
    None
}

fn like(columns: Columns<'_>, pattern: &str, parameters: &mut Parameters) -> Option<String> {
    if pattern.len() > MAX_PATTERN {
        return None;
    }
    Some(format!("({} LIKE {} ESCAPE '\\')", whole(columns), parameters.bind(pattern)))
}

/// `text` in a LIKE pattern whose escape character is `\`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_successor_bounds_all_that_begin_so() {
        assert_eq!(successor("ab").as_deref(), Some("ac"));
        assert_eq!(successor("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(successor("\u{10ffff}"), None);
        assert_eq!(successor("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(successor(""), None);
    }

    #[test]
    fn patterns_hold_no_wildcard_of_the_value() {
        assert_eq!(escape(r"50%_\*"), r"50\%\_\\*");
    }

    #[test]
    fn an_instant_between_two_milliseconds_equals_none() {
        let sql = |operator, text: &str| {
            let mut parameters = Parameters(Vec::new());
            let sql = milliseconds("c", operator, text.parse().unwrap(), &mut parameters).unwrap();
            (sql, parameters.0)
        };
        let between = "1970-01-01T00:00:00.0015Z";
        assert_eq!(sql(Operator::Eq, between).0, "1 = 0");
        assert_eq!(sql(Operator::Ge, between), ("c >= $1".into(), vec![Datum::Integer(2)]));
        assert_eq!(sql(Operator::Gt, between), ("c > $1".into(), vec![Datum::Integer(1)]));
        assert_eq!(sql(Operator::Lt, between), ("c < $1".into(), vec![Datum::Integer(2)]));
        let before = "1969-12-31T23:59:59.9995Z";
        assert_eq!(sql(Operator::Le, before), ("c <= $1".into(), vec![Datum::Integer(-1)]));
        assert_eq!(
            sql(Operator::Eq, "1970-01-01T00:00:01Z"),
            ("c = $1".into(), vec![Datum::Integer(1000)])
        );
    }
}
