//! From a SCIM filter to the strongest LDAP filter that loses no match.
//!
//! Everything here errs to one side: whoever the SCIM filter selects, the LDAP filter selects too.
//! Knows nothing of how a filter is written ([`super::filter`]) or sent.

use jiff::{Timestamp, ToSpan, Unit};

use super::directory_schema::{AttributeType, DirectorySchema, Knowledge, Rule};
use super::entry::canonical_key;
use super::filter::LdapFilter;
use super::literal::{Parts, parts};
use super::mapping::{Element, Form, Mapped, Mapping, Source};
use crate::scim::Filter;
use crate::scim::filter::{Literal, Operator, Text};
use crate::scim::schema::AttributePath;
use crate::scim::text::fold;

/// What is sent for a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    pub filter: LdapFilter,
    /// Whether it selects exactly whom the SCIM filter selects among the entries.
    pub exact: bool,
    /// Whether something of what was asked for is sent, and not just that there is a value to
    /// compare.
    pub narrowed: bool,
}

impl Pushed {
    const EVERYBODY: Self = Self { filter: LdapFilter::True, exact: false, narrowed: false };

    fn constant(outcome: bool) -> Self {
        let filter = if outcome { LdapFilter::True } else { LdapFilter::False };
        Self { filter, exact: true, narrowed: !outcome }
    }

    fn of(filter: LdapFilter, exact: bool) -> Self {
        // A filter that selects too many and selects nobody selects exactly nobody.
        let exact = exact || filter == LdapFilter::False;
        let narrowed = filter != LdapFilter::True;
        Self { filter, exact, narrowed }
    }

    fn inexact(self) -> Self {
        Self { exact: self.filter == LdapFilter::False, ..self }
    }

    /// In place of a comparison that cannot be sent.
    fn instead(self) -> Self {
        Self { narrowed: self.filter == LdapFilter::False, ..self.inexact() }
    }

    fn all(parts: impl Iterator<Item = Self>) -> Self {
        let (mut exact, mut narrowed) = (true, false);
        let parts: Vec<LdapFilter> = parts
            .map(|part| {
                exact &= part.exact;
                narrowed |= part.narrowed;
                part.filter
            })
            .collect();
        let filter = LdapFilter::and(parts);
        Self { exact: exact || filter == LdapFilter::False, filter, narrowed }
    }

    fn any(parts: impl Iterator<Item = Self>) -> Self {
        let (mut exact, mut narrowed, mut certain) = (true, true, false);
        let parts: Vec<LdapFilter> = parts
            .map(|part| {
                exact &= part.exact;
                narrowed &= part.narrowed;
                certain |= part == Self::constant(true);
                part.filter
            })
            .collect();
        let filter = LdapFilter::or(parts);
        Self { exact: exact || certain || filter == LdapFilter::False, filter, narrowed }
    }
}

/// What is needed to turn filters round.
#[derive(Clone, Copy, Debug)]
pub struct Pushdown<'a> {
    pub mapping: &'a Mapping,
    pub schema: &'a DirectorySchema,
    /// The repository's id, with which the ids of its unbound people begin.
    pub repository: &'a str,
    /// Whether `active` may be asked for by the absence of its attribute. Where the directory does
    /// not let us search for that, `(!(x=*))` is undefined for everybody and would find nobody.
    pub absence: bool,
}

impl Pushdown<'_> {
    pub fn push(&self, filter: &Filter) -> Pushed {
        self.filter(filter, false, None)
    }

    /// `negated`: whether an odd number of `not` stands around; they are carried inwards, so that
    /// each comparison can be weakened to its own safe side.
    fn filter(&self, filter: &Filter, negated: bool, element: Option<&Element>) -> Pushed {
        match filter {
            Filter::Constant(outcome) => Pushed::constant(*outcome != negated),
            Filter::Not(inner) => self.filter(inner, !negated, element),
            Filter::And(parts) | Filter::Or(parts) => {
                let parts = parts.iter().map(|part| self.filter(part, negated, element));
                if matches!(filter, Filter::And(_)) == negated {
                    Pushed::any(parts)
                } else {
                    Pushed::all(parts)
                }
            }
            Filter::Present(path) => self.negated(self.present(path, element), negated),
            Filter::Compare { path, operator, value } => {
                self.compare(path, *operator, value, negated, element)
            }
            Filter::Element { path, filter } => {
                self.negated(self.some_element(path, filter), negated)
            }
        }
    }

    /// `not` may stand only over what is exact, and over what can be undefined for nobody.
    fn negated(&self, pushed: Pushed, negated: bool) -> Pushed {
        if !negated {
            return pushed;
        }
        let constant = matches!(pushed.filter, LdapFilter::True | LdapFilter::False);
        if pushed.exact && (constant || (self.absence && self.is_absence(&pushed.filter))) {
            return Pushed::of(pushed.filter.negate(), true);
        }
        Pushed::EVERYBODY
    }

    /// Whether it asks but for the presence or absence of what makes people inactive.
    fn is_absence(&self, filter: &LdapFilter) -> bool {
        match filter {
            LdapFilter::And(parts) | LdapFilter::Or(parts) => {
                parts.iter().all(|part| self.is_absence(part))
            }
            LdapFilter::Not(inner) => self.is_absence(inner),
            LdapFilter::Present(name) => {
                self.mapping.locking().any(|index| self.mapping.names[index].text == *name)
            }
            _ => false,
        }
    }

    fn compare(
        &self,
        path: &AttributePath,
        operator: Operator,
        value: &Literal,
        negated: bool,
        element: Option<&Element>,
    ) -> Pushed {
        match (value, operator) {
            // The attribute has no value (RFC 7643 section 2.5), or it has one.
            (Literal::Null, _) => {
                let absent = operator == Operator::Eq;
                self.negated(self.present(path, element), absent != negated)
            }
            (Literal::Boolean(truth), Operator::Ne) if self.is_always_there(path) => {
                self.compare(path, Operator::Eq, &Literal::Boolean(!truth), negated, element)
            }
            // True for who has no value, or another one among several; so `not` over it means that
            // every value is the one given.
            (_, Operator::Ne) if negated => {
                self.satisfied(path, Operator::Eq, value, element).inexact()
            }
            (_, Operator::Ne) => match self.mapping.maps(path) {
                true => Pushed::EVERYBODY,
                false => Pushed::constant(true),
            },
            _ => self.negated(self.satisfied(path, operator, value, element), negated),
        }
    }

    fn is_always_there(&self, path: &AttributePath) -> bool {
        self.mapping
            .fields
            .iter()
            .any(|field| field.path == *path && field.mapped.form == Form::TrueWhileAbsent)
    }

    /// Who has a value at `path` that stands to `value` as `operator` says (any but `ne`).
    fn satisfied(
        &self,
        path: &AttributePath,
        operator: Operator,
        value: &Literal,
        element: Option<&Element>,
    ) -> Pushed {
        if let Some(element) = element {
            return self.in_element(element, path, operator, value);
        }
        if !self.mapping.maps(path) {
            return Pushed::constant(false);
        }
        match path.text.as_str() {
            "id" => return self.id(operator, value),
            "meta.created" => return self.time(self.mapping.created, operator, value, true),
            "meta.lastModified" => {
                return self.time(self.mapping.last_modified, operator, value, true);
            }
            _ => {}
        }
        let fields = self.mapping.fields.iter().filter(|field| field.path == *path);
        let elements = self.mapping.elements.iter().filter(|element| element.answers(path));
        Pushed::any(
            fields
                .map(|field| self.mapped(&field.mapped, operator, value))
                .chain(elements.map(|element| self.in_element(element, path, operator, value))),
        )
    }

    /// Who has an element of this kind whose sub-attribute stands to `value` so.
    fn in_element(
        &self,
        element: &Element,
        path: &AttributePath,
        operator: Operator,
        value: &Literal,
    ) -> Pushed {
        let Some(wanted) = path.sub.as_deref() else { return Pushed::EVERYBODY };
        if let Some((_, fixed)) = element.fixed.iter().find(|(sub, _)| sub == wanted) {
            return match holds(fixed, operator, value) {
                true => self.element_present(element),
                false => Pushed::constant(false),
            };
        }
        if element.primary && wanted == "primary" {
            // Only the first of all is marked, and none is marked as not primary.
            return match (operator, value) {
                (Operator::Eq, Literal::Boolean(true)) => self.element_present(element).inexact(),
                _ => Pushed::constant(false),
            };
        }
        match element.subs.iter().find(|(sub, _)| sub == wanted) {
            Some((_, mapped)) => self.mapped(mapped, operator, value),
            None => Pushed::constant(false),
        }
    }

    /// `emails[…]`
    fn some_element(&self, path: &AttributePath, filter: &Filter) -> Pushed {
        let elements = self.mapping.elements.iter().filter(|element| {
            element.list.extension == path.extension && element.list.attribute == path.attribute
        });
        Pushed::any(elements.map(|element| {
            let there = self.element_present(element);
            let inner = self.filter(filter, false, Some(element));
            // Two comparisons may be met by two values, where SCIM asks for one that meets both.
            let exact = inner == Pushed::constant(true) && there.exact;
            // That there is an element narrows nothing where the question is what stands in it.
            let narrowed = inner.narrowed || inner == Pushed::constant(true);
            let both = Pushed::all([there, inner].into_iter());
            Pushed { narrowed, ..if exact { both } else { both.inexact() } }
        }))
    }

    fn present(&self, path: &AttributePath, element: Option<&Element>) -> Pushed {
        if let Some(element) = element {
            let Some(wanted) = path.sub.as_deref() else { return Pushed::EVERYBODY };
            if element.fixed.iter().any(|(sub, _)| sub == wanted) {
                return Pushed::constant(true);
            }
            return match element.subs.iter().find(|(sub, _)| sub == wanted) {
                Some(_) if element.each => Pushed::constant(true),
                Some((_, mapped)) => self.mapped_present(mapped),
                None if element.primary && wanted == "primary" => Pushed::EVERYBODY,
                None => Pushed::constant(false),
            };
        }
        if !self.mapping.maps(path) {
            return Pushed::constant(false);
        }
        match path.text.as_str() {
            "id" | "meta" => return Pushed::constant(true),
            "meta.created" => return self.name_present(self.mapping.created),
            "meta.lastModified" => return self.name_present(self.mapping.last_modified),
            _ => {}
        }
        let fields = self.mapping.fields.iter().filter(|field| field.answers(path));
        let elements = self.mapping.elements.iter().filter(|element| element.answers(path));
        Pushed::any(fields.map(|field| self.mapped_present(&field.mapped)).chain(elements.map(
            |element| {
                let only = path
                    .sub
                    .as_deref()
                    .and_then(|wanted| element.subs.iter().find(|(sub, _)| sub == wanted));
                match only {
                    Some((_, mapped)) => self.mapped_present(mapped),
                    None => self.element_present(element),
                }
            },
        )))
    }

    fn element_present(&self, element: &Element) -> Pushed {
        Pushed::any(element.subs.iter().map(|(_, mapped)| self.mapped_present(mapped)))
    }

    fn mapped_present(&self, mapped: &Mapped) -> Pushed {
        if mapped.form == Form::TrueWhileAbsent {
            return Pushed::constant(true);
        }
        match &mapped.source {
            Source::First(names) => Pushed::any(names.iter().map(|&name| {
                let present = self.name_present(Some(name));
                if self.surely_read(name, mapped.form) { present } else { present.inexact() }
            })),
            Source::Template(_) => {
                let parts = mapped.source.names().map(|name| self.name_present(Some(name)));
                Pushed::all(parts).inexact()
            }
        }
    }

    /// Whether every value that the directory can hold is one that [`super::entry`] reads: most
    /// syntaxes allow U+0000.
    fn surely_read(&self, name: usize, form: Form) -> bool {
        let Some(Knowledge::Known(known)) = self.known(name) else { return false };
        matches!(
            (form, known.equality),
            (Form::Text, Some(Rule::Telephone | Rule::Uuid)) | (Form::Boolean, Some(Rule::Boolean))
        )
    }

    fn name_present(&self, name: Option<usize>) -> Pushed {
        let Some(name) = name else { return Pushed::constant(false) };
        match self.known(name) {
            Some(Knowledge::Absent) => Pushed::constant(false),
            _ => Pushed::of(LdapFilter::Present(self.text(name)), true),
        }
    }

    fn known(&self, name: usize) -> Option<Knowledge<'_>> {
        self.mapping.names.get(name).map(|name| self.schema.get(&name.base))
    }

    fn text(&self, name: usize) -> String {
        self.mapping.names.get(name).map_or_else(String::new, |name| name.text.clone())
    }

    /// Who has a value, read in this way, that stands to `value` as `operator` says.
    fn mapped(&self, mapped: &Mapped, operator: Operator, value: &Literal) -> Pushed {
        let Source::First(names) = &mapped.source else { return self.weakly(mapped) };
        // Read as soon as the first of several attributes has no value: who has it in a later one
        // but another in the first is found too many.
        let certain = names.len() == 1;
        let one = |name: usize| match (mapped.form, value) {
            (Form::TrueWhileAbsent, Literal::Boolean(_)) => Pushed::EVERYBODY,
            (Form::Boolean, Literal::Boolean(truth)) => self.truth(name, *truth),
            (Form::DateTime, Literal::DateTime(_)) => self.time(Some(name), operator, value, false),
            (Form::Integer, Literal::Number(number)) => self.integer(name, operator, *number),
            (Form::Text, Literal::String(text)) => {
                self.string(name, operator, text, mapped.case_exact)
            }
            (_, Literal::String(text)) if operator == Operator::Eq && text.key.is_empty() => {
                Pushed::constant(false)
            }
            _ => self.name_present(Some(name)).instead(),
        };
        if let (Form::TrueWhileAbsent, Literal::Boolean(truth)) = (mapped.form, value) {
            let locked = Pushed::any(names.iter().map(|&name| self.name_present(Some(name))));
            return self.negated(locked, *truth);
        }
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

    fn id(&self, operator: Operator, value: &Literal) -> Pushed {
        let (Operator::Eq, Literal::String(text)) = (operator, value) else {
            return Pushed::EVERYBODY;
        };
        let key = text
            .key
            .strip_prefix(self.repository)
            .and_then(|rest| rest.strip_prefix('.'))
            .and_then(|key| canonical_key(key.as_bytes()).filter(|canonical| *canonical.0 == *key));
        match key {
            Some(key) => {
                let name = self.text(self.mapping.key);
                Pushed::of(LdapFilter::Equal(name, key.0.to_string()), true)
            }
            None => Pushed::constant(false),
        }
    }

    /// `operational`: the directory itself writes the value, so that it is one surely.
    fn time(
        &self,
        name: Option<usize>,
        operator: Operator,
        value: &Literal,
        operational: bool,
    ) -> Pushed {
        let present = self.name_present(name).instead();
        let (Some(name), Literal::DateTime(at)) = (name, value) else { return present };
        let Some(Knowledge::Known(known)) = self.known(name) else { return present };
        let Some((floor, ceiling)) = seconds_around(*at) else { return present };
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

    fn integer(&self, name: usize, operator: Operator, number: f64) -> Pushed {
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
        if operator == Operator::Eq && text.key.is_empty() {
            // No value is shown that is empty.
            return Pushed::constant(false);
        }
        let Some(Knowledge::Known(known)) = self.known(name) else { return present };
        let filter = match operator {
            Operator::Eq => self.equality(name, known, text, case_exact),
            Operator::Sw | Operator::Ew | Operator::Co => {
                self.substring(name, known, operator, text, case_exact)
            }
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
}

/// The whole seconds at or before, and at or after, in generalized time (RFC 4517 section 3.3.13).
fn seconds_around(at: Timestamp) -> Option<(String, String)> {
    let floor =
        Timestamp::from_second(at.as_nanosecond().div_euclid(1_000_000_000).try_into().ok()?)
            .ok()?;
    let ceiling = if floor == at { floor } else { floor.checked_add(1.second()).ok()? };
    let written = |at: Timestamp| {
        let civil = at.to_zoned(jiff::tz::TimeZone::UTC);
        (0..=9999).contains(&civil.year()).then(|| civil.strftime("%Y%m%d%H%M%SZ").to_string())
    };
    Some((written(floor)?, written(ceiling)?))
}

/// Whether a value that is the same for everybody stands to a literal so.
fn holds(fixed: &serde_json::Value, operator: Operator, value: &Literal) -> bool {
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
            }
        }
        (serde_json::Value::Bool(fixed), Literal::Boolean(truth)) => {
            operator == Operator::Eq && fixed == truth
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
