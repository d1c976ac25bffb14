//! Which attributes of which types are indexed, and what of a resource's view goes into the index.
//!
//! What is written here is read by [`condition`](super::condition) alone. Values are found as
//! [`Filter::matches`](crate::scim::Filter::matches) finds them, so that both select the
//! same resources.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::AtomicBool;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::Value;

use crate::scim::schema::{Kind, Returned, Uniqueness};
use crate::scim::text::{comparable, instant};
use crate::scim::{AttributePath, Attributes, ResourceType};

use super::engine::{Change, Datum, Expect, Statement, Value as Parameter};
use super::{IndexedType, OpenError, TypeName};

/// How many bytes of a folded text the index holds at most.
pub(super) const WIDTH: usize = 256;

/// Raised when the same value would be written differently: the index is then built anew.
const FORM: u32 = 2;

/// Indexed of users without being asked for, beside what stands in columns of its own ([`column`]).
const OF_USERS: [&str; 15] = [
    "displayName",
    "name.formatted",
    "name.familyName",
    "name.givenName",
    "name.middleName",
    "name.honorificPrefix",
    "name.honorificSuffix",
    "emails.value",
    "phoneNumbers.value",
    "title",
    "active",
    "roles.value",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
    CODES,
];

/// The same of devices.
const OF_DEVICES: [&str; 5] =
    ["type", "friendlyName", "status.status", "status.startDate", "status.expiryDate"];

/// The same of authenticators.
const OF_AUTHENTICATORS: [&str; 4] =
    ["policy.value", "status.status", "status.startDate", "status.expiryDate"];

/// What users have under codes. Most have nothing there, and nobody sorts by it, so that who has
/// nothing has no row in the index.
const CODES: &str = "urn:hid:scim:api:idp:2.0:UserAttribute:attributes.value";

/// The indexed attributes, by resource type.
#[derive(Debug)]
pub(super) struct Index {
    /// Whether rules may have given anybody anything.
    pub gives: AtomicBool,
    types: HashMap<TypeName, TypeIndex>,
}

#[derive(Debug, Default)]
struct TypeIndex {
    attributes: Vec<Indexed>,
    /// Canonical text of the path -> places in `attributes`: tenants may define one path in several
    /// ways.
    by_text: HashMap<String, Vec<usize>>,
}

/// An indexed path of a resource type.
#[derive(Debug)]
pub(super) struct Indexed {
    /// Stands for the path in the table `paths`.
    pub key: i64,
    pub path: AttributePath,
}

/// A path that is to be indexed.
#[derive(Debug)]
pub(super) struct Wanted {
    pub type_name: TypeName,
    pub path: AttributePath,
}

/// Where the values of a path are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    /// The type's naming attribute: a user's `userName`, a group's `displayName`.
    Name,
    Id,
    UserType,
    Created,
    /// The later of the row's and, as last seen, the entry's.
    Modified,
    Attribute(&'a Indexed),
    /// Of the groups that a user is in, directly or not.
    Group(Part),
    /// The id of a group's members.
    Member {
        exact: bool,
    },
    /// The id of the user whose a device or an authenticator is.
    Owner {
        exact: bool,
    },
}

/// What of a group is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Id {
        /// Whether case counts.
        exact: bool,
    },
    /// Its `displayName`, without regard to case.
    Name,
    /// That it is there.
    Any,
}

/// A value as the index holds it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Term {
    /// Of another type than the schema says.
    pub foreign: bool,
    pub fold: String,
    pub rest: String,
}

/// The paths that are to be indexed: the standard ones, those of `types`, and what `types` declare
/// unique. Paths that are columns of the row need no index and are left out.
pub(super) fn wanted(types: &[IndexedType<'_>]) -> Result<Vec<Wanted>, OpenError> {
    let user = ResourceType::user(&[]);
    let (device, authenticator) = (ResourceType::device(), ResourceType::authenticator());
    let mut wanted = Vec::new();
    let mut want = |type_name: &TypeName, path: &AttributePath| {
        let same = |other: &Wanted| other.type_name == *type_name && other.path == *path;
        if column(type_name, path).is_none() && !wanted.iter().any(same) {
            wanted.push(Wanted { type_name: type_name.clone(), path: path.clone() });
        }
    };
    for text in OF_USERS {
        want(&TypeName::User, &user.resolve(text));
    }
    for text in OF_DEVICES {
        want(&TypeName::Device, &device.resolve(text));
    }
    for text in OF_AUTHENTICATORS {
        want(&TypeName::Authenticator, &authenticator.resolve(text));
    }
    let external_id = user.resolve("externalId");
    for type_name in [TypeName::User, TypeName::Group, TypeName::Device, TypeName::Authenticator] {
        want(&type_name, &external_id);
    }
    for IndexedType { resource_type, further } in types {
        let type_name = TypeName::new(&resource_type.name);
        want(&type_name, &external_id);
        for path in unique(resource_type) {
            want(&type_name, &path);
        }
        for path in further {
            // Who asks for `roles` means `roles.value`.
            let value = resource_type.resolve(&format!("{path}.value"));
            let path = if path.kind == Kind::Complex && value.known { &value } else { path };
            let possible = path.known
                && path.returned != Returned::Never
                && !matches!(path.kind, Kind::Complex | Kind::Binary);
            if !possible {
                return Err(OpenError::Unindexable { path: path.text.clone() });
            }
            want(&type_name, path);
        }
    }
    Ok(wanted)
}

/// What a type declares unique beside its name, `id` and `externalId`: simple attributes with one
/// value, of its schema and its extensions.
pub(super) fn unique(resource_type: &ResourceType) -> Vec<AttributePath> {
    let type_name = TypeName::new(&resource_type.name);
    let core = resource_type.schema.attributes.iter().map(|attribute| (None, attribute));
    let extensions = resource_type.extensions.iter().flat_map(|(schema, _)| {
        schema.attributes.iter().map(|attribute| (Some(schema.id.as_str()), attribute))
    });
    core.chain(extensions)
        .filter(|(_, attribute)| {
            attribute.uniqueness != Uniqueness::None
                && !attribute.multi_valued
                && !matches!(attribute.kind, Kind::Complex | Kind::Binary | Kind::Boolean)
        })
        .map(|(urn, attribute)| match urn {
            None => resource_type.resolve(&attribute.name),
            Some(urn) => resource_type.resolve(&format!("{urn}:{}", attribute.name)),
        })
        .filter(|path| path.known && column(&type_name, path).is_none())
        .collect()
}

/// How values of `path` are written; where this differs, the index of that path is built anew.
pub(super) fn form(path: &AttributePath) -> String {
    let exact = if path.case_exact { " exact" } else { "" };
    format!("{FORM} {:?}{exact}", path.kind)
}

fn column(type_name: &TypeName, path: &AttributePath) -> Option<Place<'static>> {
    match (path.text.as_str(), path.case_exact) {
        ("id", true) => Some(Place::Id),
        ("meta.created", _) => Some(Place::Created),
        ("meta.lastModified", _) => Some(Place::Modified),
        ("userType", _) if *type_name == TypeName::User => Some(Place::UserType),
        ("groups.value", exact) if *type_name == TypeName::User => {
            Some(Place::Group(Part::Id { exact }))
        }
        ("groups.display", false) if *type_name == TypeName::User => Some(Place::Group(Part::Name)),
        ("groups", _) if *type_name == TypeName::User && path.kind == Kind::Complex => {
            Some(Place::Group(Part::Any))
        }
        ("members.value", exact) if *type_name == TypeName::Group => Some(Place::Member { exact }),
        ("members", _) if *type_name == TypeName::Group && path.kind == Kind::Complex => {
            Some(Place::Member { exact: true })
        }
        ("owner.value", exact) if type_name.is_owned() => Some(Place::Owner { exact }),
        ("owner", _) if type_name.is_owned() && path.kind == Kind::Complex => {
            Some(Place::Owner { exact: true })
        }
        (text, false) if type_name.naming() == Some(text) => Some(Place::Name),
        _ => None,
    }
}

impl Index {
    pub(super) fn new(attributes: Vec<(TypeName, Indexed)>) -> Self {
        let mut types: HashMap<TypeName, TypeIndex> = HashMap::new();
        for (type_name, indexed) in attributes {
            let index = types.entry(type_name).or_default();
            let places = index.by_text.entry(indexed.path.text.clone()).or_default();
            places.push(index.attributes.len());
            index.attributes.push(indexed);
        }
        Self { gives: AtomicBool::new(false), types }
    }

    /// Where the values of `path` are; `None` where they are not indexed, or not as `path` compares
    /// them.
    pub(super) fn place(&self, type_name: &TypeName, path: &AttributePath) -> Option<Place<'_>> {
        if !path.known {
            return None;
        }
        column(type_name, path).or_else(|| {
            let indexed = self.indexed(type_name, &path.text)?.find(|indexed| {
                indexed.path.kind == path.kind && indexed.path.case_exact == path.case_exact
            });
            indexed.map(Place::Attribute)
        })
    }

    /// The place to sort by: a complex attribute is sorted by its `value` (RFC 7644 section
    /// 3.4.2.3).
    pub(super) fn sort_place(
        &self,
        type_name: &TypeName,
        path: &AttributePath,
    ) -> Option<Place<'_>> {
        let roles = *type_name == TypeName::User && path.attribute == "roles";
        if !roles && path.known && path.kind == Kind::Complex && column(type_name, path).is_none() {
            // Whichever of its definitions it is: a list has one order only where there is one.
            let text = format!("{path}.value");
            let mut values = self.indexed(type_name, &text)?;
            let value = values.next()?;
            return values.next().is_none().then_some(Place::Attribute(value));
        }
        self.place(type_name, path).filter(|_| path.text != CODES && !roles)
    }

    fn indexed(&self, type_name: &TypeName, text: &str) -> Option<impl Iterator<Item = &Indexed>> {
        let index = self.types.get(type_name)?;
        let places = index.by_text.get(text)?;
        Some(places.iter().map(|place| &index.attributes[*place]))
    }

    /// What stands for `externalId` of this type in the index.
    pub(super) fn external_id(&self, type_name: &TypeName) -> i64 {
        let indexed = self.indexed(type_name, "externalId").and_then(|mut found| found.next());
        indexed.map_or(-1, Indexed::native)
    }

    /// The index rows of a resource.
    pub(super) fn rows(&self, type_name: &TypeName, id: &str, view: &Attributes) -> Vec<IndexRow> {
        let Some(index) = self.types.get(type_name) else { return Vec::new() };
        let mut rows = Vec::with_capacity(index.attributes.len() + 4);
        for indexed in &index.attributes {
            indexed.rows(id, view, &mut rows);
        }
        rows
    }
}

impl Indexed {
    /// Stands for the path in the index.
    pub(super) fn native(&self) -> i64 {
        self.key * 3
    }

    /// Stands for the path where a value has another type than the schema says: it is there, but
    /// equals nothing.
    pub(super) fn foreign(&self) -> i64 {
        self.key * 3 + 1
    }

    /// Stands for the path where a resource has nothing to sort by.
    pub(super) fn absent(&self) -> i64 {
        self.key * 3 + 2
    }

    /// Whether few resources share a value.
    pub(super) fn is_identifying(&self) -> bool {
        let ends = ["externalId", "emails.value", "phoneNumbers.value", ":employeeNumber"];
        ends.iter().any(|end| self.path.text.ends_with(end))
    }

    /// Adds the index rows of a resource for this path.
    pub(super) fn rows(&self, id: &str, view: &Attributes, rows: &mut Vec<IndexRow>) {
        let terms = terms(&self.path, view);
        // Nothing is sorted by those; of roles, groups bring more than the row tells.
        let sorted = !matches!(self.path.text.as_str(), CODES | "roles.value");
        if sorted && terms.first().is_none_or(|term| term.foreign) {
            rows.push([self.absent().into(), 0.into(), "".into(), "".into(), id.into()]);
        }
        rows.extend(terms.into_iter().zip(0_i64..).map(|(term, ordinal)| {
            let path = if term.foreign { self.foreign() } else { self.native() };
            let id = (ordinal == 0).then_some(id);
            [path.into(), ordinal.into(), term.fold.into(), term.rest.into(), id.into()]
        }));
    }
}

/// The columns `path`, `ordinal`, `fold`, `rest` and `id` of a row in the index.
pub(super) type IndexRow = [Datum; 5];

/// How many index rows one statement inserts at most.
const ROWS: usize = 16;

/// Adds the statements that insert `rows` for the resource with this key to `change`; `conflict` says
/// what becomes of a row that is there.
pub(super) fn insert(
    change: &mut Change,
    resource: &Parameter,
    tenant: &Parameter,
    rows: Vec<IndexRow>,
    conflict: &str,
) {
    let mut rows = rows.into_iter();
    while rows.len() > 0 {
        let mut sql = "INSERT INTO attributes \
                       (resource_key, tenant, path, ordinal, fold, rest, id) VALUES "
            .to_owned();
        let mut values = vec![resource.clone(), tenant.clone()];
        for row in rows.by_ref().take(ROWS) {
            let first = values.len() + 1;
            let comma = if first == 3 { "" } else { ", " };
            sql.push_str(comma);
            sql.push_str("($1, $2");
            for place in first..first + row.len() {
                sql.push_str(", $");
                sql.push_str(&place.to_string());
            }
            sql.push(')');
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
            Some(Term::text(&compared(text, path.case_exact)))
        }
        (Kind::DateTime, Value::String(text)) => {
            instant(text).map(|at| Term::text(&fixed_width(at)))
        }
        (Kind::Boolean, Value::Bool(value)) => Some(Term::text(boolean(*value))),
        (Kind::Decimal | Kind::Integer, Value::Number(number)) => {
            number.as_f64().map(|number| Term::text(&self::number(number)))
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
        let (fold, rest) = cut(compared);
        Self { foreign: false, fold: fold.to_owned(), rest: rest.to_owned() }
    }
}

/// The form under which a text is compared, as a database can hold it: PostgreSQL takes no U+0000,
/// SQLite's LIKE stops there, and no filter asks for it.
pub(super) fn compared(text: &str, case_exact: bool) -> Cow<'_, str> {
    let compared = comparable(text, case_exact);
    if compared.contains('\0') { compared.replace('\0', "\u{fffd}").into() } else { compared }
}

/// A compared text as two columns hold it: its first [`WIDTH`] bytes at most, cut between
/// characters, and all of it where it is longer.
pub(super) fn cut(text: &str) -> (&str, &str) {
    if text.len() <= WIDTH { (text, "") } else { (&text[..text.floor_char_boundary(WIDTH)], text) }
}

/// A compared text as what must be unique is held: whole, but a long one as its beginning and its
/// digest, since PostgreSQL takes no more than 2,700 bytes into an index.
pub(super) fn identity(text: Cow<'_, str>) -> String {
    if text.len() <= 1024 {
        return text.into_owned();
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let mut identity = cut(&text).0.to_owned();
    identity.push('\u{fffd}');
    for byte in digest.as_ref() {
        let _ = write!(identity, "{byte:02x}");
    }
    identity
}

pub(super) fn boolean(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// A number as text of one width, whose order by bytes is that of numbers.
pub(super) fn number(number: f64) -> String {
    // The two zeros are one number.
    let bits = (number + 0.0).to_bits();
    let sign = 1 << 63;
    format!("{:016x}", if bits & sign == 0 { bits | sign } else { !bits })
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
    fn who_has_no_codes_has_no_row_for_them() {
        let codes = Indexed { key: 1, path: ResourceType::user(&[]).resolve(CODES) };
        let mut rows = Vec::new();
        codes.rows("id", &Attributes::new(), &mut rows);
        assert!(rows.is_empty());
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
    fn numbers_sort_as_texts() {
        let numbers = [f64::MIN, -2.0, -1.5, -1e-300, 0.0, 1e-300, 0.5, 9.0, 10.0, 1e300, f64::MAX];
        assert!(numbers.map(number).is_sorted(), "{:?}", numbers.map(number));
        assert_eq!(number(-0.0), number(0.0));
    }

    #[test]
    fn what_cannot_be_indexed_is_refused() {
        let user = ResourceType::user(&[]);
        let texts = |further: &[&str]| {
            let further = further.iter().map(|text| user.resolve(text)).collect();
            wanted(&[IndexedType { resource_type: &user, further }]).map(|paths| paths.len())
        };
        let standard = texts(&[]).unwrap();
        assert_eq!(texts(&["nickName", "roles", "userName", "title"]).unwrap(), standard + 1);
        for odd in ["shoeSize", "password", "addresses", "x509Certificates"] {
            assert!(matches!(texts(&[odd]), Err(OpenError::Unindexable { .. })), "{odd}");
        }
        assert!(wanted(&[]).unwrap().iter().all(|wanted| wanted.path.known));
    }
}
