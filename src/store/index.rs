//! Which attributes are indexed, and what of a user's view goes into the index.
//!
//! What is written here is read by [`condition`](super::condition) alone. Values are found as
//! [`Filter::matches`](crate::scim::Filter::matches) finds them, so that both select the same users.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::Value;

use crate::scim::schema::{Kind, Returned};
use crate::scim::text::{comparable, instant};
use crate::scim::{AttributePath, Attributes, ResourceType};

use super::OpenError;
use super::engine::{Change, Datum, Expect, Statement, Value as Parameter};

/// How many bytes of a folded text the index holds at most.
pub(super) const WIDTH: usize = 256;

/// Raised when the same value would be written differently: the index is then built anew.
const FORM: u32 = 1;

/// Indexed without being asked for, beside `userName`, `id`, `userType`, `meta.created` and
/// `meta.lastModified`, which are columns of the user's row.
const STANDARD: [&str; 15] = [
    "externalId",
    "displayName",
    "name.formatted",
    "name.familyName",
    "name.givenName",
    "name.middleName",
    "name.honorificPrefix",
    "name.honorificSuffix",
    "emails.value",
    "phoneNumbers.value",
    "groups.value",
    "title",
    "active",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
];

/// The indexed attributes.
#[derive(Debug)]
pub(super) struct Index {
    attributes: Vec<Indexed>,
    /// Canonical text of the path -> place in `attributes`.
    by_text: HashMap<String, usize>,
}

#[derive(Debug)]
pub(super) struct Indexed {
    /// Stands for the path in the index. Values of another type than the schema says stand under
    /// `-key`: they are there, but equal nothing.
    pub key: i64,
    pub path: AttributePath,
}

/// Where the values of a path are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    UserName,
    Id,
    UserType,
    Created,
    /// The later of the row's and, as last seen, the entry's.
    Modified,
    Attribute(&'a Indexed),
}

/// A value as the index holds it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Term {
    /// Of another type than the schema says.
    pub foreign: bool,
    pub fold: String,
    pub rest: String,
    pub number: Option<f64>,
}

/// The paths that are to be indexed: the standard ones and `further`. Paths that are columns of the
/// user's row need no index and are left out.
pub(super) fn wanted(further: &[AttributePath]) -> Result<Vec<AttributePath>, OpenError> {
    let user = ResourceType::user(&[]);
    let mut wanted: Vec<_> = STANDARD.iter().map(|text| user.resolve(text)).collect();
    for path in further {
        // Who asks for `roles` means `roles.value`.
        let value = user.resolve(&format!("{path}.value"));
        let path = if path.kind == Kind::Complex && value.known { &value } else { path };
        let possible = path.known
            && path.returned != Returned::Never
            && !matches!(path.kind, Kind::Complex | Kind::Binary);
        if !possible {
            return Err(OpenError::Unindexable { path: path.text.clone() });
        }
        if column(path).is_none() && !wanted.contains(path) {
            wanted.retain(|other| other.text != path.text);
            wanted.push(path.clone());
        }
    }
    Ok(wanted)
}

/// How values of `path` are written; where this differs, the index of that path is built anew.
pub(super) fn form(path: &AttributePath) -> String {
    let exact = if path.case_exact { " exact" } else { "" };
    format!("{FORM} {:?}{exact}", path.kind)
}

fn column(path: &AttributePath) -> Option<Place<'static>> {
    match (path.text.as_str(), path.case_exact) {
        ("userName", false) => Some(Place::UserName),
        ("id", true) => Some(Place::Id),
        ("userType", _) => Some(Place::UserType),
        ("meta.created", _) => Some(Place::Created),
        ("meta.lastModified", _) => Some(Place::Modified),
        _ => None,
    }
}

impl Index {
    pub(super) fn new(attributes: Vec<Indexed>) -> Self {
        let by_text = attributes
            .iter()
            .enumerate()
            .map(|(place, indexed)| (indexed.path.text.clone(), place))
            .collect();
        Self { attributes, by_text }
    }

    /// Where the values of `path` are; `None` where they are not indexed, or not as `path` compares
    /// them.
    pub(super) fn place(&self, path: &AttributePath) -> Option<Place<'_>> {
        if !path.known {
            return None;
        }
        column(path).or_else(|| {
            let indexed = &self.attributes[*self.by_text.get(&path.text)?];
            let same = indexed.path.kind == path.kind && indexed.path.case_exact == path.case_exact;
            same.then_some(Place::Attribute(indexed))
        })
    }

    /// The place to sort by: a complex attribute is sorted by its `value` (RFC 7644 section
    /// 3.4.2.3).
    pub(super) fn sort_place(&self, path: &AttributePath) -> Option<Place<'_>> {
        if path.known && path.kind == Kind::Complex {
            let value = &self.attributes[*self.by_text.get(&format!("{path}.value"))?];
            return Some(Place::Attribute(value));
        }
        self.place(path)
    }

    /// What stands for `externalId` in the index.
    pub(super) fn external_id(&self) -> i64 {
        self.by_text.get("externalId").map_or(0, |place| self.attributes[*place].key)
    }

    /// The index rows of a user: the columns `path`, `ordinal`, `fold`, `rest` and `number` of each.
    pub(super) fn rows(&self, view: &Attributes) -> Vec<[Datum; 5]> {
        let mut rows = Vec::with_capacity(self.attributes.len());
        for indexed in &self.attributes {
            rows.extend(indexed.rows(view));
        }
        rows
    }
}

impl Indexed {
    /// Whether few people share a value.
    pub(super) fn is_identifying(&self) -> bool {
        let ends = ["externalId", "emails.value", "phoneNumbers.value", ":employeeNumber"];
        ends.iter().any(|end| self.path.text.ends_with(end))
    }

    pub(super) fn rows(&self, view: &Attributes) -> impl Iterator<Item = [Datum; 5]> {
        terms(&self.path, view).into_iter().zip(0_i64..).map(|(term, ordinal)| {
            let path = if term.foreign { -self.key } else { self.key };
            [path.into(), ordinal.into(), term.fold.into(), term.rest.into(), term.number.into()]
        })
    }
}

/// How many index rows one statement inserts at most.
const ROWS: usize = 16;

/// Adds the statements that insert `rows` for the user with this key to `change`; `conflict` says
/// what becomes of a row that is there.
pub(super) fn insert(
    change: &mut Change,
    user: &Parameter,
    tenant: &Parameter,
    rows: Vec<[Datum; 5]>,
    conflict: &str,
) {
    let mut rows = rows.into_iter();
    while rows.len() > 0 {
        let mut sql = "INSERT INTO attributes \
                       (user_key, tenant, path, ordinal, fold, rest, number) VALUES "
            .to_owned();
        let mut values = vec![user.clone(), tenant.clone()];
        for row in rows.by_ref().take(ROWS) {
            let first = values.len() + 1;
            let comma = if first == 3 { "" } else { ", " };
            let [a, b, c, d, e] = std::array::from_fn(|column| first + column);
            sql.push_str(&format!("{comma}($1, $2, ${a}, ${b}, ${c}, ${d}, ${e})"));
            values.extend(row.map(Parameter::Known));
        }
        sql.push_str(conflict);
        change.statements.push(Statement { sql: sql.into(), values, expect: Expect::Any });
    }
}

/// The values of `path` in `view`; the first is the one to sort by, of the element marked `primary`
/// where there is one (RFC 7644 section 3.4.2.3).
pub(super) fn terms(path: &AttributePath, view: &Attributes) -> Vec<Term> {
    let mut terms = Vec::new();
    let attribute = match &path.extension {
        None => view.get(&path.attribute),
        Some(urn) => view.get(urn).and_then(|inner| inner.get(&path.attribute)),
    };
    let Some(attribute) = attribute else { return terms };
    let mut primary = None;
    each(attribute, &mut |element| {
        let value = match &path.sub {
            None => Some(element),
            Some(sub) => element.get(sub),
        };
        let Some(value) = value else { return };
        if path.sub.is_some() && element.get("primary") == Some(&Value::Bool(true)) {
            primary.get_or_insert(terms.len());
        }
        each(value, &mut |value| terms.push(term(path, value)));
    });
    if let Some(primary) = primary
        && primary < terms.len()
    {
        terms[..=primary].rotate_right(1);
    }
    terms
}

/// As in memory: arrays are looked into, `null` is no value.
fn each<'a>(value: &'a Value, take: &mut dyn FnMut(&'a Value)) {
    match value {
        Value::Null => {}
        Value::Array(values) => values.iter().for_each(|value| each(value, take)),
        one => take(one),
    }
}

fn term(path: &AttributePath, value: &Value) -> Term {
    let native = match (path.kind, value) {
        (Kind::String | Kind::Reference | Kind::Binary, Value::String(text)) => {
            Some(Term::text(&comparable(text, path.case_exact)))
        }
        (Kind::DateTime, Value::String(text)) => {
            instant(text).map(|at| Term::text(&fixed_width(at)))
        }
        (Kind::Boolean, Value::Bool(value)) => Some(Term::text(boolean(*value))),
        (Kind::Decimal | Kind::Integer, Value::Number(number)) => {
            number.as_f64().map(|number| Term { number: Some(number), ..Term::text("#") })
        }
        _ => None,
    };
    native.unwrap_or_else(|| Term {
        foreign: true,
        ..Term::text(if is_present(value) { "#" } else { "" })
    })
}

fn is_present(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => values.iter().any(is_present),
        Value::Object(members) => members.values().any(is_present),
    }
}

impl Term {
    fn text(compared: &str) -> Self {
        // No database text holds U+0000, and no filter asks for it.
        let compared = compared.replace('\0', "\u{fffd}");
        let (fold, rest) = cut(&compared);
        Self { foreign: false, fold: fold.to_owned(), rest: rest.to_owned(), number: None }
    }
}

/// A compared text as two columns hold it: its first [`WIDTH`] bytes at most, cut between
/// characters, and all of it where it is longer.
pub(super) fn cut(text: &str) -> (&str, &str) {
    if text.len() <= WIDTH { (text, "") } else { (&text[..text.floor_char_boundary(WIDTH)], text) }
}

pub(super) fn boolean(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// An instant as text of one width, whose order by bytes is that of time. Years before 0 begin with
/// `-` and count from -10000.
pub(super) fn fixed_width(at: Timestamp) -> String {
    let at = Offset::UTC.to_datetime(at);
    let year = i32::from(at.year());
    let (sign, year) = if year < 0 { ('-', 10_000 + year) } else { ('0', year) };
    let (date, time) = (at.date(), at.time());
    format!(
        "{sign}{year:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z",
        date.month(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.subsec_nanosecond(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(path: &str, view: Value) -> Vec<Term> {
        let Value::Object(view) = view else { panic!("an object") };
        terms(&ResourceType::user(&[]).resolve(path), &view)
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("abc"), ("abc", ""));
        let exact = "a".repeat(WIDTH);
        assert_eq!(cut(&exact), (exact.as_str(), ""));
        let long = format!("{}é", "a".repeat(WIDTH - 1));
        assert_eq!(cut(&long), (&long[..WIDTH - 1], long.as_str()));
    }

    #[test]
    fn the_primary_value_comes_first() {
        let view = json!({"emails": [
            {"value": "A@x"}, null, {"type": "work"}, {"value": "B@x", "primary": true}
        ]});
        let folds: Vec<_> = found("emails.value", view).into_iter().map(|term| term.fold).collect();
        assert_eq!(folds, ["b@x", "a@x"]);
    }

    #[test]
    fn values_of_another_type_are_there_but_apart() {
        assert_eq!(found("active", json!({"active": true}))[0].fold, "true");
        let odd = found("active", json!({"active": "true"}));
        assert!(odd[0].foreign);
        assert_eq!(odd[0].fold, "#");
        assert_eq!(found("title", json!({"title": {}}))[0].fold, "");
        assert!(found("title", json!({"title": null})).is_empty());
    }

    #[test]
    fn instants_sort_as_texts() {
        let texts: Vec<_> = [
            Timestamp::MIN,
            "-000001-01-01T00:00:00Z".parse().unwrap(),
            "0000-01-01T00:00:00Z".parse().unwrap(),
            "2024-02-03T04:05:06.7Z".parse().unwrap(),
            Timestamp::MAX,
        ]
        .into_iter()
        .map(fixed_width)
        .collect();
        assert!(texts.is_sorted(), "{texts:?}");
        assert!(texts.iter().all(|text| text.len() == texts[0].len()));
        assert_eq!(texts[3], "02024-02-03T04:05:06.700000000Z");
    }

    #[test]
    fn what_cannot_be_indexed_is_refused() {
        let user = ResourceType::user(&[]);
        let texts = |further: &[&str]| {
            let further: Vec<_> = further.iter().map(|text| user.resolve(text)).collect();
            wanted(&further).map(|paths| paths.len())
        };
        let standard = texts(&[]).unwrap();
        assert_eq!(texts(&["nickName", "roles", "userName", "title"]).unwrap(), standard + 2);
        for odd in ["shoeSize", "password", "addresses", "x509Certificates"] {
            assert!(matches!(texts(&[odd]), Err(OpenError::Unindexable { .. })), "{odd}");
        }
        assert!(wanted(&[]).unwrap().iter().all(|path| path.known));
    }
}
