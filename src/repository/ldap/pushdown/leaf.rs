//! Single comparisons turned round: strings, times, numbers, truth, and ids.

use jiff::{SignedDuration, Timestamp, ToSpan};

use super::{Pushdown, Pushed};
use crate::repository::ldap::directory_schema::{AttributeType, Knowledge, Rule};
use crate::repository::ldap::filter::LdapFilter;
use crate::repository::ldap::key::canonical_key;
use crate::repository::ldap::literal::{Parts, parts};
use crate::repository::ldap::mapping::{Form, Mapped, Source};
use crate::scim::filter::{ANY, Literal, Operator, Text, like};
use crate::scim::text::fold;

/// How much later an account may be looked at than the directory is asked.
const LATE: SignedDuration = SignedDuration::from_mins(5);

impl Pushdown<'_> {
    /// Who has a value, read in this way, that stands to `value` as `operator` says.
    pub(super) fn mapped(&self, mapped: &Mapped, operator: Operator, value: &Literal) -> Pushed {
        let Source::First(names) = &mapped.source else { return self.weakly(mapped) };
        // Read as soon as the first of several attributes has no value: who has it in a later one
        // but another in the first is found too many.
        let certain = names.len() == 1;
        let one = |name: usize| match (mapped.form, value) {
            (Form::Boolean, Literal::Boolean(truth)) => self.truth(name, *truth),
            (Form::DateTime, Literal::DateTime(_)) => self.time(Some(name), operator, value, false),
            (Form::Integer, Literal::Number(number)) => self.integer(name, operator, *number),
            (Form::Text, Literal::String(text)) => {
                self.string(name, operator, text, mapped.case_exact)
            }
            (Form::ProxyAddress, Literal::String(text)) => {
                self.address(name, operator, text, mapped.case_exact)
            }
            (_, Literal::String(text)) if operator == Operator::Eq && text.key().is_empty() => {
                Pushed::constant(false)
            }
            _ => self.name_present(Some(name)).instead(),
        };
        let any = Pushed::any(names.iter().map(|&name| one(name)));
        if certain { any } else { any.inexact() }
    }

    fn weakly(&self, mapped: &Mapped) -> Pushed {
        self.mapped_present(mapped).instead()
    }

    fn truth(&self, name: usize, truth: bool) -> Pushed {
        match self.known(name) {
            Some(Knowledge::Known(known)) if known.equality == Some(Rule::Boolean) => {
                let written = if truth { "TRUE" } else { "FALSE" };
                Pushed::of(LdapFilter::Equal(self.text(name), written.to_owned()), false)
            }
            _ => self.name_present(Some(name)).instead(),
        }
    }

    /// Who may sign in, or who may not. An account may be closed between now and when it is looked
    /// at, and never be opened by time alone.
    pub(super) fn state(&self, mapped: &Mapped, open: bool) -> Pushed {
        if open && !self.absence {
            return Pushed::EVERYBODY;
        }
        let at = if open { self.now } else { self.now + LATE };
        let mut exact = true;
        let closed = LdapFilter::or(mapped.source.names().map(|name| {
            let lock = self.mapping.lock(mapped.form, name);
            match self.known(name) {
                None | Some(Knowledge::Absent) => LdapFilter::False,
                Some(_) => {
                    exact &= !lock.comes_with_time();
                    lock.filter(&self.text(name), at)
                }
            }
        }));
        Pushed::of(if open { closed.negate() } else { closed }, exact)
    }

    /// An address stands behind `smtp:` or alone.
    fn address(&self, name: usize, operator: Operator, text: &Text, case_exact: bool) -> Pushed {
        let alone = self.string(name, operator, text, case_exact);
        if !matches!(operator, Operator::Eq | Operator::Sw) {
            return alone;
        }
        let behind = self.string(name, operator, &text.behind("smtp:"), case_exact);
        Pushed::any([alone, behind].into_iter()).inexact()
    }

    pub(super) fn id(&self, operator: Operator, value: &Literal) -> Pushed {
        let (Operator::Eq, Literal::String(text)) = (operator, value) else {
            return Pushed::EVERYBODY;
        };
        let key = text
            .key()
            .strip_prefix(self.repository)
            .and_then(|rest| rest.strip_prefix('.'))
            .and_then(|key| canonical_key(key.as_bytes()).filter(|canonical| *canonical.0 == *key));
        match key {
            Some(key) => Pushed::of(self.mapping.key_filter(&key), true),
            None => Pushed::constant(false),
        }
    }

    /// `operational`: the directory itself writes the value, so that it is one surely.
    pub(super) fn time(
        &self,
        name: Option<usize>,
        operator: Operator,
        value: &Literal,
        operational: bool,
    ) -> Pushed {
        let present = self.name_present(name).instead();
        let (Some(name), Literal::DateTime(at)) = (name, value) else { return present };
        let Some(Knowledge::Known(known)) = self.known(name) else { return present };
        // Active Directory wants a fraction.
        let format = if self.schema.names_rules() { "%Y%m%d%H%M%SZ" } else { "%Y%m%d%H%M%S.0Z" };
        let Some((floor, ceiling)) = seconds_around(*at, format) else { return present };
        let whole = floor == ceiling;
        let text = self.text(name);
        let ordered = known.ordering == Some(Rule::Time);
        let from = |at: &str| LdapFilter::GreaterOrEqual(text.clone(), at.to_owned());
        let until = |at: &str| LdapFilter::LessOrEqual(text.clone(), at.to_owned());
        let (filter, exact) = match operator {
            Operator::Eq if whole && known.equality == Some(Rule::Time) => {
                (LdapFilter::Equal(text.clone(), floor), true)
            }
            Operator::Eq if ordered => (LdapFilter::and([from(&floor), until(&ceiling)]), false),
            Operator::Ge if ordered => (from(&floor), whole),
            Operator::Gt if ordered => (from(&floor), false),
            Operator::Le if ordered => (until(&ceiling), whole),
            Operator::Lt if ordered => (until(&ceiling), false),
            _ => return present,
        };
        Pushed::of(filter, exact && operational)
    }

    pub(super) fn integer(&self, name: usize, operator: Operator, number: f64) -> Pushed {
        // Beyond this, numbers that JSON tells apart are one to a comparison (RFC 8259 section 6).
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let present = self.name_present(Some(name)).instead();
        let Some(Knowledge::Known(known)) = self.known(name) else { return present };
        if number.abs() >= EXACT {
            return present;
        }
        let text = self.text(name);
        let ordered = known.ordering == Some(Rule::Integer);
        // `+ 0.0` makes zero of minus zero.
        let written = |number: f64| format!("{:.0}", number + 0.0);
        let filter = match operator {
            Operator::Eq if number.fract() != 0.0 => LdapFilter::False,
            Operator::Eq if known.equality == Some(Rule::Integer) => {
                LdapFilter::Equal(text, written(number))
            }
            Operator::Ge if ordered => LdapFilter::GreaterOrEqual(text, written(number.ceil())),
            Operator::Gt if ordered => {
                LdapFilter::GreaterOrEqual(text, written(number.floor() + 1.0))
            }
            Operator::Le if ordered => LdapFilter::LessOrEqual(text, written(number.floor())),
            Operator::Lt if ordered => LdapFilter::LessOrEqual(text, written(number.ceil() - 1.0)),
            _ => return present,
        };
        Pushed::of(filter, false)
    }

    fn string(&self, name: usize, operator: Operator, text: &Text, case_exact: bool) -> Pushed {
        let present = self.name_present(Some(name)).instead();
        if operator == Operator::Eq && text.key().is_empty() {
            // No value is shown that is empty.
            return Pushed::constant(false);
        }
        let Some(Knowledge::Known(known)) = self.known(name) else { return present };
        let filter = match operator {
            Operator::Eq => self.equality(name, known, text, case_exact),
            Operator::Sw | Operator::Ew | Operator::Co => {
                self.substring(name, known, operator, text, case_exact)
            }
            Operator::Like => self.pattern(name, known, text, case_exact),
            _ => None,
        };
        filter.map_or(present, |filter| Pushed::of(filter, false))
    }

    fn equality(
        &self,
        name: usize,
        known: &AttributeType,
        text: &Text,
        case_exact: bool,
    ) -> Option<LdapFilter> {
        if known.equality == Some(Rule::Uuid) {
            let key = canonical_key(text.written.as_bytes())?;
            return Some(LdapFilter::Equal(self.text(name), key.0.to_string()));
        }
        let parts = known
            .equality
            .and_then(|rule| parts(&text.written, case_exact, rule, self.mapping.comparison));
        match parts.as_ref().and_then(Parts::whole) {
            Some(whole) => Some(LdapFilter::Equal(self.text(name), whole.to_owned())),
            None => self.substring(name, known, Operator::Eq, text, case_exact),
        }
    }

    fn substring(
        &self,
        name: usize,
        known: &AttributeType,
        operator: Operator,
        text: &Text,
        case_exact: bool,
    ) -> Option<LdapFilter> {
        let Parts { parts, starts, ends } =
            parts(&text.written, case_exact, known.substring?, self.mapping.comparison)?;
        let mut parts = parts.into_iter();
        let starts = starts && matches!(operator, Operator::Eq | Operator::Sw);
        let ends = ends && matches!(operator, Operator::Eq | Operator::Ew);
        let initial = if starts { parts.next() } else { None };
        let last = if ends { parts.next_back() } else { None };
        let any: Vec<String> = parts.collect();
        if initial.is_none() && any.is_empty() && last.is_none() {
            return None;
        }
        Some(LdapFilter::Substring { attribute: self.text(name), initial, any, last })
    }

    /// The pieces of a pattern, in their order.
    fn pattern(
        &self,
        name: usize,
        known: &AttributeType,
        text: &Text,
        case_exact: bool,
    ) -> Option<LdapFilter> {
        let pieces: Vec<&str> = text.written.split(ANY).collect();
        let (mut initial, mut any, mut last) = (None, Vec::new(), None);
        for (place, piece) in pieces.iter().enumerate().filter(|(_, piece)| !piece.is_empty()) {
            let Parts { parts, starts, ends } =
                parts(piece, case_exact, known.substring?, self.mapping.comparison)?;
            let mut parts = parts.into_iter();
            initial = if place == 0 && starts { parts.next() } else { initial };
            last = if place + 1 == pieces.len() && ends { parts.next_back() } else { last };
            any.extend(parts);
        }
        if initial.is_none() && any.is_empty() && last.is_none() {
            return None;
        }
        Some(LdapFilter::Substring { attribute: self.text(name), initial, any, last })
    }

    pub(super) fn name_present(&self, name: Option<usize>) -> Pushed {
        let Some(name) = name else { return Pushed::constant(false) };
        match self.known(name) {
            Some(Knowledge::Absent) => Pushed::constant(false),
            _ => Pushed::of(LdapFilter::Present(self.text(name)), true),
        }
    }

    pub(super) fn known(&self, name: usize) -> Option<Knowledge<'_>> {
        self.mapping.names.get(name).map(|name| self.schema.get(&name.base))
    }

    fn text(&self, name: usize) -> String {
        self.mapping.names.get(name).map_or_else(String::new, |name| name.text.clone())
    }
}

/// The whole seconds at or before, and at or after, in generalized time (RFC 4517 section 3.3.13).
fn seconds_around(at: Timestamp, format: &str) -> Option<(String, String)> {
    let floor =
        Timestamp::from_second(at.as_nanosecond().div_euclid(1_000_000_000).try_into().ok()?)
            .ok()?;
    let ceiling = if floor == at { floor } else { floor.checked_add(1.second()).ok()? };
    let written = |at: Timestamp| {
        let civil = at.to_zoned(jiff::tz::TimeZone::UTC);
        (0..=9999).contains(&civil.year()).then(|| civil.strftime(format).to_string())
    };
    Some((written(floor)?, written(ceiling)?))
}

/// Whether a value that is the same for everybody stands to a literal so.
pub(super) fn holds(fixed: &serde_json::Value, operator: Operator, value: &Literal) -> bool {
    match (fixed, value) {
        (serde_json::Value::String(fixed), Literal::String(text)) => {
            // None of the sub-attributes with a fixed value looks at case.
            let fixed = fold(fixed);
            let wanted = fold(&text.written);
            match operator {
                Operator::Eq => fixed == wanted,
                Operator::Ne => fixed != wanted,
                Operator::Co => fixed.contains(&*wanted),
                Operator::Sw => fixed.starts_with(&*wanted),
                Operator::Ew => fixed.ends_with(&*wanted),
                Operator::Gt => fixed > wanted,
                Operator::Ge => fixed >= wanted,
                Operator::Lt => fixed < wanted,
                Operator::Le => fixed <= wanted,
                Operator::Like => like(&wanted, &fixed),
            }
        }
        (serde_json::Value::Bool(fixed), Literal::Boolean(truth)) => {
            operator == Operator::Eq && fixed == truth
        }
        _ => false,
    }
}
