//! Filters (RFC 7644 section 3.4.2.2): one syntax tree, many readers.
//!
//! The parser makes it, `Display` writes it back, [`Filter::matches`] evaluates it in memory; the
//! store turns it into SQL and a directory into an LDAP filter, each escaping in its own one place.

mod evaluate;
#[cfg(test)]
mod language_tests;
mod lexer;
mod parser;
mod print;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
mod wildcard;

pub use wildcard::{ANY, like};

use std::borrow::Cow;

use jiff::Timestamp;

use super::dialect::Language;
use super::error::ScimError;
use super::schema::{AttributePath, ResourceType};
use super::text::comparable;

/// A parsed filter.
///
/// What the parser makes is flat: no `And` stands directly in an `And`, no `Or` in an `Or`, and both
/// hold at least two parts.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    /// `path op value`
    Compare {
        path: AttributePath,
        operator: Operator,
        value: Literal,
    },
    /// `path pr`
    Present(AttributePath),
    /// `emails[type eq "work" and value co "@example.com"]`: one and the same element satisfies all.
    /// The paths inside are whole paths (`emails.type`), resolved against the resource type.
    Element {
        path: AttributePath,
        filter: Box<Filter>,
    },
    /// A part whose outcome is known without looking at anybody.
    Constant(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    Eq,
    Ne,
    Co,
    Sw,
    Ew,
    Gt,
    Ge,
    Lt,
    Le,
    /// The value is like the pattern, in which [`ANY`] stands for any characters. No filter spells it:
    /// it is made where a [`Language`] has wildcards.
    Like,
}

/// The right-hand side of a comparison, already of the attribute's type.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    String(Text),
    Boolean(bool),
    /// Always finite.
    Number(f64),
    DateTime(Timestamp),
    /// `eq null`: the attribute has no value (RFC 7643 section 2.5). Only with `eq` and `ne`.
    Null,
}

/// A string as written, beside the form under which it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub written: String,
    /// What it is compared as, where that is not as it is written.
    folded: Option<String>,
}

impl Text {
    /// `written`, to be compared with values of `path`.
    pub fn new(written: impl Into<String>, path: &AttributePath) -> Self {
        let written = written.into();
        let folded = match comparable(&written, path.case_exact) {
            Cow::Borrowed(_) => None,
            Cow::Owned(folded) => Some(folded),
        };
        Self { written, folded }
    }

    /// Written behind `prefix`, and compared as before.
    #[must_use]
    pub fn behind(&self, prefix: &str) -> Self {
        let written = format!("{prefix}{}", self.written);
        Self { written, folded: Some(self.key().to_owned()) }
    }

    /// [`comparable`](super::text::comparable) of what is written, under the attribute's case rule.
    pub fn key(&self) -> &str {
        self.folded.as_deref().unwrap_or(&self.written)
    }
}

impl Operator {
    const ALL: [Self; 9] =
        [Self::Eq, Self::Ne, Self::Co, Self::Sw, Self::Ew, Self::Gt, Self::Ge, Self::Lt, Self::Le];

    /// As a filter spells it: `eq`, `ne`, …
    pub fn name(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Co => "co",
            Self::Sw => "sw",
            Self::Ew => "ew",
            Self::Gt => "gt",
            Self::Ge => "ge",
            Self::Lt => "lt",
            Self::Le => "le",
            Self::Like => "like",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operator| word.eq_ignore_ascii_case(operator.name()))
    }
}

impl Filter {
    /// Reads a filter: the whole grammar of RFC 7644 figure 1, and beyond it
    /// `emails[type eq "work"].value eq "x"` and strings without quotes.
    ///
    /// Takes linear time; at most 8 KiB, nested 32 deep, 512 nodes. A comparison with a complex
    /// attribute means its `value` (RFC 7644 section 3.4.2.2). What is asked of `schemas` is read as
    /// a question for the extensions that are there: `schemas eq "urn:x"` as `urn:x pr`.
    ///
    /// # Errors
    ///
    /// `invalidFilter`, whose detail says at which character what was expected and what was found.
    pub fn parse(text: &str, resource: &ResourceType) -> Result<Self, ScimError> {
        Self::read(text, resource, Language::PLAIN)
    }

    /// The same with what the language has beside that.
    ///
    /// # Errors
    ///
    /// As [`Filter::parse`].
    pub fn read(
        text: &str,
        resource: &ResourceType,
        language: Language,
    ) -> Result<Self, ScimError> {
        parser::parse(text, resource, language)
    }

    /// All of `parts`: flat, and without `And` where one part is left.
    pub fn and(parts: impl IntoIterator<Item = Filter>) -> Self {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Self::Constant(true),
            1 => flat.swap_remove(0),
            _ => Self::And(flat),
        }
    }

    /// Any of `parts`: flat, and without `Or` where one part is left.
    pub fn or(parts: impl IntoIterator<Item = Filter>) -> Self {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Self::Constant(false),
            1 => flat.swap_remove(0),
            _ => Self::Or(flat),
        }
    }

    /// The opposite: `not (…)`, or what stood in it.
    #[must_use]
    pub fn negate(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            Self::Constant(outcome) => Self::Constant(!outcome),
            other => Self::Not(Box::new(other)),
        }
    }

    /// Takes out every [`Filter::Constant`] whose outcome decides nothing; what is left is one
    /// constant or holds none. The result is flat and without double negation.
    #[must_use]
    pub fn simplify(self) -> Self {
        match self {
            Self::And(parts) => {
                let mut kept = Vec::with_capacity(parts.len());
                for part in parts {
                    match part.simplify() {
                        Self::Constant(true) => {}
                        Self::Constant(false) => return Self::Constant(false),
                        other => kept.push(other),
                    }
                }
                Self::and(kept)
            }
            Self::Or(parts) => {
                let mut kept = Vec::with_capacity(parts.len());
                for part in parts {
                    match part.simplify() {
                        Self::Constant(false) => {}
                        Self::Constant(true) => return Self::Constant(true),
                        other => kept.push(other),
                    }
                }
                Self::or(kept)
            }
            Self::Not(inner) => inner.simplify().negate(),
            Self::Element { path, filter } => match filter.simplify() {
                Self::Constant(false) => Self::Constant(false),
                // There is an element: that is what `pr` asks.
                Self::Constant(true) => Self::Present(path),
                filter => Self::Element { path, filter: Box::new(filter) },
            },
            leaf @ (Self::Compare { .. } | Self::Present(_) | Self::Constant(_)) => leaf,
        }
    }

    /// A copy in which `replace` has put other filters for leaves: it is asked for each comparison,
    /// each `pr` and each whole [`Filter::Element`], and says `None` where the leaf stays. The
    /// leaves inside an element that stays are asked for too.
    #[must_use]
    pub fn rewrite(&self, replace: &mut dyn FnMut(&Filter) -> Option<Filter>) -> Self {
        match self {
            Self::And(parts) => Self::and(parts.iter().map(|part| part.rewrite(replace))),
            Self::Or(parts) => Self::or(parts.iter().map(|part| part.rewrite(replace))),
            Self::Not(inner) => Self::Not(Box::new(inner.rewrite(replace))),
            Self::Element { path, filter } => replace(self).unwrap_or_else(|| Self::Element {
                path: path.clone(),
                filter: Box::new(filter.rewrite(replace)),
            }),
            Self::Compare { .. } | Self::Present(_) => {
                replace(self).unwrap_or_else(|| self.clone())
            }
            Self::Constant(outcome) => Self::Constant(*outcome),
        }
    }

    /// The path of every comparison and every `pr`, also of those inside elements, from the left;
    /// a path that stands twice comes twice.
    pub fn paths(&self) -> impl Iterator<Item = &AttributePath> {
        let mut waiting = vec![self];
        std::iter::from_fn(move || {
            loop {
                match waiting.pop()? {
                    Self::And(parts) | Self::Or(parts) => waiting.extend(parts.iter().rev()),
                    Self::Not(filter) | Self::Element { filter, .. } => waiting.push(filter),
                    Self::Compare { path, .. } | Self::Present(path) => return Some(path),
                    Self::Constant(_) => {}
                }
            }
        })
    }

    /// The string that `name` (a path's canonical text) must equal for anybody to match: of a
    /// filter that is `name eq "…"`, or an `and` that holds it.
    pub fn equality(&self, name: &str) -> Option<&Text> {
        match self {
            Self::Compare { path, operator: Operator::Eq, value: Literal::String(text) }
                if path.text == name =>
            {
                Some(text)
            }
            Self::And(parts) => parts.iter().find_map(|part| part.equality(name)),
            _ => None,
        }
    }
}
