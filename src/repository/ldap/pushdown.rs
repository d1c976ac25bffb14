//! From a SCIM filter to the strongest LDAP filter that loses no match.
//!
//! Everything here errs to one side: whoever the SCIM filter selects, the LDAP filter selects too.
//! Knows nothing of how a filter is written ([`super::filter`]) or sent.

mod leaf;

use jiff::Timestamp;

use super::directory_schema::{DirectorySchema, Knowledge, Rule};
use super::filter::LdapFilter;
use super::mapping::{Element, Form, Mapped, Mapping, Source};
use crate::repository::rule;
use crate::scim::Filter;
use crate::scim::filter::{Literal, Operator};
use crate::scim::schema::AttributePath;
use crate::scim::schema::standard::SOURCE;
use leaf::holds;

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
    pub(super) const EVERYBODY: Self =
        Self { filter: LdapFilter::True, exact: false, narrowed: false };

    pub(super) fn constant(outcome: bool) -> Self {
        let filter = if outcome { LdapFilter::True } else { LdapFilter::False };
        Self { filter, exact: true, narrowed: !outcome }
    }

    pub(super) fn of(filter: LdapFilter, exact: bool) -> Self {
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

    pub(super) fn all(parts: impl Iterator<Item = Self>) -> Self {
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
    /// Whether `active` may be asked for by what its attributes do not say. Where the directory does
    /// not let us search for them, `(!(x=*))` is undefined for everybody and would find nobody.
    pub absence: bool,
    /// Accounts that have expired by now are closed.
    pub now: Timestamp,
    /// What is sent for each of the repository's rules.
    pub rules: &'a [Pushed],
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
            Filter::Present(path) => Self::negated(self.present(path, element), negated),
            Filter::Compare { path, operator, value } => match rule::asked(filter) {
                Some(place) => {
                    let pushed = self.rules.get(place).cloned().unwrap_or(Pushed::EVERYBODY);
                    Self::negated(pushed, negated)
                }
                None => self.compare(path, *operator, value, negated, element),
            },
            Filter::Element { path, filter } => {
                Self::negated(self.some_element(path, filter), negated)
            }
        }
    }

    /// `not` may stand only over what is exact and can be undefined for nobody.
    fn negated(pushed: Pushed, negated: bool) -> Pushed {
        if !negated {
            return pushed;
        }
        if pushed.exact && matches!(pushed.filter, LdapFilter::True | LdapFilter::False) {
            return Pushed::of(pushed.filter.negate(), true);
        }
        Pushed::EVERYBODY
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
                Self::negated(self.present(path, element), absent != negated)
            }
            (Literal::Boolean(truth), Operator::Eq | Operator::Ne)
                if self.account(path).is_some() =>
            {
                let other = (operator == Operator::Ne) != negated;
                self.account(path)
                    .map_or(Pushed::EVERYBODY, |state| self.state(state, *truth != other))
            }
            // True for who has no value, or another one among several; so `not` over it means that
            // every value is the one given.
            (_, Operator::Ne) if negated => {
                self.satisfied(path, Operator::Eq, value, element).inexact()
            }
            (_, Operator::Ne) => {
                let unknown = self.mapping.maps(path)
                    || self.is_computed(path)
                    || self.defaults_to_true(path);
                if unknown { Pushed::EVERYBODY } else { Pushed::constant(true) }
            }
            _ => Self::negated(self.satisfied(path, operator, value, element), negated),
        }
    }

    /// Whether the value is nothing that an entry holds, but what is said about everybody found.
    fn is_computed(&self, path: &AttributePath) -> bool {
        match (path.extension.as_deref(), path.attribute.as_str()) {
            (Some(urn), _) => urn == SOURCE,
            (None, "meta") => match path.sub.as_deref() {
                Some("created" | "lastModified") => false,
                Some(_) => true,
                None => !self.mapping.maps(path),
            },
            (None, attribute) => matches!(attribute, "schemas" | "userType"),
        }
    }

    /// Whether people about whom the directory says nothing count as `true`: `active`, unless its
    /// absence is what says so.
    fn defaults_to_true(&self, path: &AttributePath) -> bool {
        path.extension.is_none() && path.attribute == "active" && self.account(path).is_none()
    }

    /// What tells about everybody whether they may sign in, where `path` is that.
    fn account(&self, path: &AttributePath) -> Option<&Mapped> {
        let mut fields = self.mapping.fields.iter().filter(|field| field.path == *path);
        fields.find(|field| field.mapped.form.is_account()).map(|field| &field.mapped)
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
        let says_no = (operator, value) == (Operator::Eq, &Literal::Boolean(false));
        if self.is_computed(path) || (self.defaults_to_true(path) && !says_no) {
            return Pushed::EVERYBODY;
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
            return if holds(fixed, operator, value) {
                self.element_present(element)
            } else {
                Pushed::constant(false)
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
        if self.is_computed(path) || self.defaults_to_true(path) {
            return Pushed::EVERYBODY;
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
        if mapped.form.is_account() {
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
}

#[cfg(test)]
mod tests;
