//! From an LDAP entry to a person: reads what a directory sent by a [`Mapping`], and survives
//! whatever it sent.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde_json::{Map, Value};
use tracing::debug;

use super::dn::Dn;
use super::mapping::{AttributeName, Element, Form, Mapped, Mapping, Piece, Source};
use super::wire::RawEntry;
use crate::repository::Entry;
use crate::scim::Attributes;
use crate::scim::schema::{AttributePath, Kind};
use crate::scim::text::fold;

/// Reads an entry as it is at `now`; `None` where it does not tell its key, without which nobody can be told apart.
pub fn read(mapping: &Mapping, raw: &RawEntry, now: Timestamp) -> Option<Entry> {
    let values = Values::of(mapping, raw, now);
    let key = mapping.key_form.read(values.of_name(mapping.key).first()?)?;
    let mut attributes = Attributes::with_capacity(24);
    for field in &mapping.fields {
        if let Some(value) = values.field(&field.mapped, field.path.multi_valued) {
            put(&mut attributes, &field.path, field.path.sub.as_deref(), value);
        }
    }
    for element in &mapping.elements {
        values.elements(element, &mut attributes);
    }
    let time = |name: Option<usize>| {
        name.and_then(|name| values.of_name(name).first())
            .and_then(|value| generalized_time(std::str::from_utf8(value).ok()?))
    };
    Some(Entry {
        key,
        dn: raw.dn.clone(),
        created: time(mapping.created),
        last_modified: time(mapping.last_modified),
        account: mapping.stated().map(|stated| stated.read(|name| values.of_name(name), now)),
        attributes,
        rules: Vec::new(),
    })
}

/// The values of an entry by the mapping's names.
struct Values<'a> {
    mapping: &'a Mapping,
    raw: &'a RawEntry,
    now: Timestamp,
    /// As they stand in the entry; put together only where several of its attributes are one name's.
    by_name: Vec<Cow<'a, [Vec<u8>]>>,
}

impl<'a> Values<'a> {
    fn of(mapping: &'a Mapping, raw: &'a RawEntry, now: Timestamp) -> Self {
        let mut by_name: Vec<Cow<'a, [Vec<u8>]>> = vec![Cow::Borrowed(&[]); mapping.names.len()];
        // What has no options comes first: RFC 4512 section 2.5.2 makes `cn;lang-de` a kind of `cn`.
        let tags = raw.attributes.iter().any(|(name, _)| name.contains(';'));
        for tagged in if tags { &[false, true][..] } else { &[false][..] } {
            for (name, values) in &raw.attributes {
                let mut parts = name.split(';');
                let base = parts.next().unwrap_or_default();
                if tags && name.contains(';') != *tagged {
                    continue;
                }
                for (wanted, found) in mapping.names.iter().zip(&mut by_name) {
                    if wanted.is_met_by(base, name) {
                        if found.is_empty() {
                            *found = Cow::Borrowed(values);
                        } else {
                            found.to_mut().extend_from_slice(values);
                        }
                    }
                }
            }
        }
        Self { mapping, raw, now, by_name }
    }

    fn of_name(&self, name: usize) -> &[Vec<u8>] {
        self.by_name.get(name).map_or(&[], |values| values)
    }

    /// One value, or of an attribute that holds several in SCIM a list.
    fn field(&self, mapped: &Mapped, several: bool) -> Option<Value> {
        if several {
            let values: Vec<Value> = self.all(mapped).collect();
            return (!values.is_empty()).then_some(Value::Array(values));
        }
        if mapped.form.is_account() {
            let closed = mapped.source.names().any(|name| {
                self.mapping.lock(mapped.form, name).is_closed(self.of_name(name), self.now)
            });
            return Some(Value::Bool(!closed));
        }
        self.first(mapped)
    }

    /// The value for a place that holds one: of several in the entry, the one that its DN names.
    fn first(&self, mapped: &Mapped) -> Option<Value> {
        let names = match &mapped.source {
            Source::First(names) => names,
            Source::Template(pieces) => return self.filled(pieces).map(Value::String),
        };
        names.iter().find_map(|&name| {
            let values = self.of_name(name);
            let own = if values.len() > 1 { self.named_by_dn(name, values) } else { None };
            let mut ordered = own.into_iter().chain(values);
            ordered.find_map(|value| self.value(name, mapped, value))
        })
    }

    /// Every value, without doubles.
    fn all(&self, mapped: &Mapped) -> impl Iterator<Item = Value> {
        let values: Vec<Value> = match &mapped.source {
            Source::Template(pieces) => {
                self.filled(pieces).map(Value::String).into_iter().collect()
            }
            Source::First(names) => names
                .iter()
                .map(|&name| self.read_all(name, mapped))
                .find(|values| !values.is_empty())
                .unwrap_or_default(),
        };
        values.into_iter()
    }

    fn read_all(&self, name: usize, mapped: &Mapped) -> Vec<Value> {
        let mut values = Vec::new();
        let given = self.of_name(name);
        let mut sorted: Vec<&Vec<u8>> = given.iter().collect();
        if mapped.form == Form::ProxyAddress {
            sorted.sort_by_key(|value| !value.starts_with(b"SMTP:"));
        }
        for bytes in sorted {
            if let Some(value) = self.value(name, mapped, bytes)
                && !values.contains(&value)
            {
                values.push(value);
            }
        }
        values
    }

    fn filled(&self, pieces: &[Piece]) -> Option<String> {
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::First(name) => {
                    let mut values = self.of_name(*name).iter();
                    text.push_str(values.find_map(|value| readable(value))?);
                }
            }
        }
        Some(text)
    }

    fn named_by_dn<'b>(&self, name: usize, values: &'b [Vec<u8>]) -> Option<&'b Vec<u8>> {
        let dn = Dn::parse(&self.raw.dn).ok()?;
        let own =
            fold(std::str::from_utf8(dn.own_value(&self.mapping.names.get(name)?.base)?).ok()?)
                .into_owned();
        values.iter().find(|value| std::str::from_utf8(value).is_ok_and(|value| fold(value) == own))
    }

    fn value(&self, name: usize, mapped: &Mapped, bytes: &[u8]) -> Option<Value> {
        let value = read_value(bytes, mapped.form, mapped.kind);
        if value.is_none() {
            let attribute = self.mapping.names.get(name).map_or("", |name| &name.text);
            debug!(ldap.dn = %self.raw.dn, ldap.attribute = attribute, "a value is passed over: it is empty or not of its type");
        }
        value
    }

    fn elements(&self, element: &Element, attributes: &mut Attributes) {
        let mut made: Vec<Map<String, Value>> = Vec::new();
        if element.each {
            for (sub, mapped) in &element.subs {
                made.extend(self.all(mapped).map(|value| Map::from_iter([(sub.clone(), value)])));
            }
        } else {
            let one: Map<String, Value> = element
                .subs
                .iter()
                .filter_map(|(sub, mapped)| Some((sub.clone(), self.first(mapped)?)))
                .collect();
            if !one.is_empty() {
                made.push(one);
            }
        }
        if made.is_empty() {
            return;
        }
        let mut list = take_list(attributes, &element.list);
        for mut one in made {
            for (sub, value) in &element.fixed {
                one.insert(sub.clone(), value.clone());
            }
            if list.iter().any(|other| same_value(other, &one)) {
                continue;
            }
            if element.primary && list.is_empty() {
                one.insert("primary".into(), Value::Bool(true));
            }
            list.push(Value::Object(one));
        }
        put_list(attributes, &element.list, list);
    }
}

impl AttributeName {
    /// Whether an attribute is called so, with these options and no others.
    pub(super) fn is(&self, name: &str) -> bool {
        let base = name.split(';').next().unwrap_or_default();
        self.is_met_by(base, name) && name.split(';').skip(1).count() == self.options.len()
    }

    /// Whether an attribute called `name`, which is `base` without options, is this or a subtype of
    /// it by its options.
    #[inline]
    fn is_met_by(&self, base: &str, name: &str) -> bool {
        self.base.len() == base.len()
            && self.base.eq_ignore_ascii_case(base)
            && self.options.iter().all(|option| {
                name.split(';').skip(1).any(|given| given.eq_ignore_ascii_case(option))
            })
    }
}

/// RFC 7643 section 2.4: "the same (type, value) combination" should not stand twice.
fn same_value(other: &Value, one: &Map<String, Value>) -> bool {
    one.iter().all(|(sub, value)| other.get(sub) == Some(value))
        && other
            .as_object()
            .is_some_and(|other| other.keys().all(|sub| sub == "primary" || one.contains_key(sub)))
}

/// Puts the elements of a list back where [`take_list`] found them.
fn put_list(attributes: &mut Attributes, path: &AttributePath, list: Vec<Value>) {
    if !list.is_empty() {
        put(attributes, path, None, Value::Array(list));
    }
}

fn take_list(attributes: &mut Attributes, path: &AttributePath) -> Vec<Value> {
    let container = match &path.extension {
        Some(urn) => attributes.get_mut(urn).and_then(Value::as_object_mut),
        None => Some(attributes),
    };
    match container.and_then(|container| container.get_mut(&path.attribute)) {
        Some(Value::Array(list)) => std::mem::take(list),
        _ => Vec::new(),
    }
}

/// Puts a value at its place, making the objects on the way.
fn put(attributes: &mut Attributes, path: &AttributePath, sub: Option<&str>, value: Value) {
    let (way, last) = match sub {
        Some(sub) => ([path.extension.as_deref(), Some(path.attribute.as_str())], sub),
        None => ([path.extension.as_deref(), None], path.attribute.as_str()),
    };
    let mut map = attributes;
    for step in way.into_iter().flatten() {
        if !map.contains_key(step) {
            map.insert(step.to_owned(), Value::Object(Map::new()));
        }
        // Nothing else than an object was ever put there.
        let Some(Value::Object(inner)) = map.get_mut(step) else { return };
        map = inner;
    }
    map.insert(last.to_owned(), value);
}

/// A text that SCIM can show: neither empty nor with U+0000.
fn readable(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.is_empty() && !text.contains('\0')).then_some(text)
}

pub(super) fn read_value(bytes: &[u8], form: Form, kind: Kind) -> Option<Value> {
    if bytes.is_empty() {
        return None;
    }
    match form {
        Form::Binary => return Some(STANDARD.encode(bytes).into()),
        Form::Jpeg => {
            return Some(format!("data:image/jpeg;base64,{}", STANDARD.encode(bytes)).into());
        }
        _ => {}
    }
    let text = readable(bytes)?;
    let typed = match form {
        Form::Boolean => Value::Bool(match text {
            _ if text.eq_ignore_ascii_case("TRUE") => true,
            _ if text.eq_ignore_ascii_case("FALSE") => false,
            _ => return None,
        }),
        Form::Integer => Value::from(text.trim().parse::<i64>().ok()?),
        Form::Decimal => Value::from(text.trim().parse::<f64>().ok().filter(|n| n.is_finite())?),
        Form::DateTime => Value::from(generalized_time(text)?.to_string()),
        Form::Date => Value::from(date(text).into_owned()),
        Form::ProxyAddress => Value::from(mail_address(text)?),
        Form::PostalAddress => Value::from(postal_address(text)?),
        Form::LabeledUri => {
            Value::from(text.split(' ').next().filter(|address| !address.is_empty())?)
        }
        _ => Value::from(text),
    };
    // The ActivID extension holds every value as text.
    match (kind, typed) {
        (Kind::String | Kind::Reference | Kind::Complex, Value::Bool(truth)) => {
            Some(Value::from(truth.to_string()))
        }
        (Kind::String | Kind::Reference | Kind::Complex, Value::Number(number)) => {
            Some(Value::from(number.to_string()))
        }
        (_, typed) => Some(typed),
    }
}

/// What stands behind `smtp:` in any case, or the whole where no kind of address is named; nothing
/// of other kinds (`X500:`, `sip:`).
fn mail_address(text: &str) -> Option<&str> {
    match text.split_once(':') {
        Some((kind, address)) => {
            (kind.eq_ignore_ascii_case("smtp") && !address.is_empty()).then_some(address)
        }
        None => Some(text),
    }
}

/// Lines between `$`; `\24` and `\5C` stand for `$` and `\` (RFC 4517 section 3.3.28).
fn postal_address(text: &str) -> Option<String> {
    let lines: Vec<String> = text
        .split('$')
        .map(|line| line.replace("\\24", "$").replace("\\5C", "\\").replace("\\5c", "\\"))
        .collect();
    let address = lines.join("\n");
    let shown = address.trim();
    (!shown.is_empty()).then(|| shown.to_owned())
}

/// The day, where the text is a time or eight digits; else the text.
fn date(text: &str) -> Cow<'_, str> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 8 && text.len() == 8 {
        return Cow::Owned(format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..]));
    }
    match generalized_time(text) {
        Some(_) => Cow::Owned(format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..8])),
        None => Cow::Borrowed(text),
    }
}

/// `YYYYMMDDHH[MM[SS]][.f](Z|±HH[MM])` (RFC 4517 section 3.3.13) as an instant.
pub fn generalized_time(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let length = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i32>().ok();
    // What a fraction is a fraction of, in seconds.
    let (minute, second, unit) = match length {
        10 => (0, 0, 3600.0),
        12 => (number(10..12)?, 0, 60.0),
        14 => (number(10..12)?, number(12..14)?, 1.0),
        _ => return None,
    };
    let mut rest = &text[length..];
    let mut fraction = None;
    if rest.starts_with(['.', ',']) {
        let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return None;
        }
        fraction = Some(format!("0.{}", &rest[1..=digits]).parse::<f64>().ok()? * unit);
        rest = &rest[1 + digits..];
    }
    let offset = match rest.as_bytes() {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), digits @ ..] if matches!(digits.len(), 2 | 4) => {
            let number = |range: std::ops::Range<usize>| rest.get(range)?.parse::<i32>().ok();
            let hours = number(1..3)?;
            let minutes = if digits.len() == 4 { number(3..5)? } else { 0 };
            let seconds = hours * 3600 + minutes * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    let date_time = DateTime::new(
        i16::try_from(number(0..4)?).ok()?,
        i8::try_from(number(4..6)?).ok()?,
        i8::try_from(number(6..8)?).ok()?,
        i8::try_from(number(8..10)?).ok()?,
        i8::try_from(minute).ok()?,
        // A leap second counts as the second before it.
        i8::try_from(if second == 60 { 59 } else { second }).ok()?,
        0,
    )
    .ok()?;
    let start = Offset::from_seconds(offset).ok()?.to_timestamp(date_time).ok()?;
    match fraction {
        Some(part) => start.checked_add(jiff::SignedDuration::try_from_secs_f64(part).ok()?).ok(),
        None => Some(start),
    }
}

#[cfg(test)]
mod tests;
