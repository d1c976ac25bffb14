//! From SCIM paths to LDAP attributes: what a mapping says, once it is read and cannot be wrong.
//!
//! Knows nothing of entries ([`super::entry`] reads them by it) or of filters ([`super::pushdown`]
//! turns them round by it).

mod back;
mod build;
mod written;

use std::sync::Arc;

use serde_json::Value;

use super::account::{Lock, Switch};
use super::filter::LdapFilter;
use super::key::KeyForm;
use super::literal::Comparison;
use crate::config::AttributeOverride;
use crate::repository::{Authority, EntryKey};
use crate::scim::schema::{AttributePath, Kind, ResourceType};
pub(in crate::repository::ldap) use back::{Stated, Target};
use build::{Builder, apply, overridden};
use written::{File, Key, Written};

/// How the entries of a repository look in SCIM.
#[derive(Debug)]
pub struct Mapping {
    /// Every LDAP attribute that is needed, once; the rest refers to them by index.
    pub(super) names: Vec<AttributeName>,
    pub(super) key: usize,
    pub(super) key_form: KeyForm,
    pub(super) created: Option<usize>,
    pub(super) last_modified: Option<usize>,
    pub(super) fields: Vec<Field>,
    pub(super) elements: Vec<Element>,
    /// What `active` moves, where it is written back.
    pub(super) account: Option<Account>,
    pub(super) comparison: Comparison,
    filter: String,
    usual: Arc<[String]>,
    all: Arc<[String]>,
}

/// An account whose state is written back.
#[derive(Debug)]
pub(super) struct Account {
    /// The attribute that is switched.
    pub name: usize,
    pub switch: Switch,
    /// What else locks it, which nothing here lifts.
    pub others: Vec<(usize, Lock)>,
}

/// The name of an LDAP attribute.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AttributeName {
    /// As the mapping spells it, with options.
    pub text: String,
    /// In lower case, without options.
    pub base: String,
    /// In lower case: `lang-de`.
    pub options: Vec<String>,
}

/// An attribute or sub-attribute that does not stand in an element of a complex list.
#[derive(Debug)]
pub(super) struct Field {
    pub path: AttributePath,
    pub mapped: Mapped,
}

/// Where values come from, and how they are read.
#[derive(Debug)]
pub(super) struct Mapped {
    /// As the mapping writes it: `phoneNumbers[type eq "mobile"].value`.
    pub key: String,
    pub source: Source,
    pub form: Form,
    pub authority: Authority,
    /// What the values are in SCIM.
    pub kind: Kind,
    pub case_exact: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The first of these attributes that has a value.
    First(Vec<usize>),
    Template(Vec<Piece>),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    /// The first value of an attribute.
    First(usize),
}

/// The elements that a mapping makes in a complex list: the `work` ones of `emails`.
#[derive(Debug)]
pub(super) struct Element {
    /// `emails`
    pub list: AttributePath,
    /// Sub-attributes that are the same in each: `type`.
    pub fixed: Vec<(String, Value)>,
    /// Sub-attributes that come from the entry.
    pub subs: Vec<(String, Mapped)>,
    /// Whether the first of all elements in the list is marked as the primary one.
    pub primary: bool,
    /// Whether each value makes an element; else the first values make one.
    pub each: bool,
}

/// How the values of an LDAP attribute are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Boolean,
    /// True for who lacks the attribute.
    TrueWhileAbsent,
    /// True for whose account none of the attributes locks, each by its own [`Lock`].
    AccountState,
    /// A mail address behind `smtp:`, or alone; `SMTP:` marks the primary one.
    ProxyAddress,
    Integer,
    Decimal,
    /// Generalized time (RFC 4517 section 3.3.13) as RFC 3339.
    DateTime,
    /// The day of a generalized time, or of eight digits.
    Date,
    /// In base 64.
    Binary,
    /// As a `data:` address.
    Jpeg,
    PostalAddress,
    LabeledUri,
}

/// Why a mapping is none: the key, what is wrong with it, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mapping of {key}: {what}; {remedy}")]
pub struct MappingError {
    /// The SCIM path as written, or a key of a mapping file.
    pub key: String,
    pub what: String,
    pub remedy: String,
}

impl MappingError {
    fn new(key: &str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { key: key.to_owned(), what: what.into(), remedy: remedy.into() }
    }
}

/// The mappings that ship with the program.
const SHIPPED: [(&str, &str); 3] = [
    ("openldap", include_str!("../../../config/mappings/openldap.toml")),
    ("active-directory", include_str!("../../../config/mappings/active-directory.toml")),
    ("389ds", include_str!("../../../config/mappings/389ds.toml")),
];

impl Mapping {
    /// The mapping called `name`, with what a repository's configuration adds or overrides.
    pub fn new(
        name: &str,
        overrides: &[(String, AttributeOverride)],
        resource: &ResourceType,
    ) -> Result<Self, MappingError> {
        let text = SHIPPED.iter().find(|(shipped, _)| *shipped == name).map(|(_, text)| *text);
        let Some(text) = text else {
            let names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
            let remedy = format!("use one of: {}", names.join(", "));
            return Err(MappingError::new(name, "no such mapping is shipped", remedy));
        };
        Self::parse(text, overrides, resource)
    }

    /// The mapping that a file describes, with what a configuration adds or overrides.
    pub fn parse(
        text: &str,
        overrides: &[(String, AttributeOverride)],
        resource: &ResourceType,
    ) -> Result<Self, MappingError> {
        let file = File::parse(text)?;
        let mut entries: Vec<(Key, Written)> = Vec::new();
        for (key, written) in &file.attributes {
            entries.push((Key::parse(key, None, resource)?, written.clone()));
        }
        for (text, change) in overrides {
            let (key, change) = overridden(text, change, resource)?;
            apply(&mut entries, key, change);
        }
        // The order in which the schema lists the types: work before home.
        entries.sort_by_key(|(key, _)| key.rank(resource));
        let mut builder = Builder::default();
        let key = builder.name("key", &file.key)?;
        let created = file.created.map(|name| builder.name("created", &name)).transpose()?;
        let last_modified =
            file.last_modified.map(|name| builder.name("last_modified", &name)).transpose()?;
        builder.own = [Some(key), created, last_modified].into_iter().flatten().collect();
        for (key, written) in entries {
            builder.add(key, written, &file.primary, resource)?;
        }
        Ok(builder.finish(
            (key, file.key_form),
            created,
            last_modified,
            file.comparison,
            file.filter,
        ))
    }

    /// Who is a person, where the repository says nothing else.
    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// The attributes to ask a directory for.
    pub(super) fn requested(&self, photos: bool) -> &Arc<[String]> {
        if photos { &self.all } else { &self.usual }
    }

    /// The attributes that make people inactive.
    pub(super) fn locking(&self) -> impl Iterator<Item = usize> {
        self.fields
            .iter()
            .filter(|field| field.mapped.form.is_account())
            .flat_map(|field| field.mapped.source.names())
    }

    /// How an attribute locks people out, where it does so.
    pub(super) fn lock(&self, form: Form, name: usize) -> Lock {
        self.names.get(name).map_or(Lock::There, |name| name.lock(form))
    }

    /// Who has this key.
    pub(super) fn key_filter(&self, key: &EntryKey) -> LdapFilter {
        let name = self.names.get(self.key);
        name.map_or(LdapFilter::False, |name| self.key_form.filter(&name.text, key))
    }

    /// Whether `path` has a value for anybody.
    pub fn maps(&self, path: &AttributePath) -> bool {
        path.known
            && match path.text.as_str() {
                "id" => true,
                "meta" => self.created.is_some() || self.last_modified.is_some(),
                "meta.created" => self.created.is_some(),
                "meta.lastModified" => self.last_modified.is_some(),
                _ => {
                    self.fields.iter().any(|field| field.answers(path))
                        || self.elements.iter().any(|element| element.answers(path))
                }
            }
    }

    /// Who decides the value of `path`; `None` where the mapping gives it none. Of a path that
    /// covers several mapped ones, the directory decides if it decides one of them.
    pub fn authority(&self, path: &AttributePath) -> Option<Authority> {
        self.strictest(path, |_| true)
    }

    /// Who decides the values of `path` in elements of this kind, in any case: a type, or the name of
    /// an attribute of the `ActivID` extension; `None` for elements that say neither.
    pub fn authority_of_type(&self, path: &AttributePath, kind: Option<&str>) -> Option<Authority> {
        self.strictest(path, |element| element.is_of_kind(kind))
    }

    /// The attributes that give `path` its values; of a list, those of the elements of this kind.
    pub fn origins(&self, path: &AttributePath, kind: Option<&str>) -> impl Iterator<Item = &str> {
        let fields = self.fields.iter().filter(|field| field.answers(path));
        let mapped = fields.map(|field| &field.mapped);
        let elements = self.elements.iter();
        let elements = elements.filter(move |one| one.is_of_kind(kind) && one.answers(path));
        let subs = elements.flat_map(|element| element.subs.iter().map(|(_, mapped)| mapped));
        let names = mapped.chain(subs).flat_map(|mapped| mapped.source.names());
        names.filter_map(|name| self.names.get(name)).map(|name| name.text.as_str())
    }

    fn strictest(
        &self,
        path: &AttributePath,
        wanted: impl Fn(&Element) -> bool,
    ) -> Option<Authority> {
        let fields =
            self.fields.iter().filter(|field| field.answers(path)).map(|field| &field.mapped);
        let elements = self.elements.iter().filter(|element| wanted(element)).flat_map(|element| {
            let all = element.has_fixed(path);
            element.subs.iter().filter_map(move |(sub, mapped)| {
                (all || covers(path, &element.list, Some(sub))).then_some(mapped)
            })
        });
        fields
            .chain(elements)
            .map(|mapped| mapped.authority)
            .reduce(|one, other| if one == other { one } else { Authority::Directory })
    }
}

impl AttributeName {
    fn lock(&self, form: Form) -> Lock {
        if form == Form::AccountState { Lock::of(&self.base) } else { Lock::There }
    }
}

impl Field {
    pub fn answers(&self, path: &AttributePath) -> bool {
        covers(path, &self.path, self.path.sub.as_deref())
    }
}

impl Element {
    pub fn answers(&self, path: &AttributePath) -> bool {
        self.has_fixed(path)
            || (self.primary && covers(path, &self.list, Some("primary")))
            || self.subs.iter().any(|(sub, _)| covers(path, &self.list, Some(sub)))
    }

    fn has_fixed(&self, path: &AttributePath) -> bool {
        self.fixed.iter().any(|(sub, _)| covers(path, &self.list, Some(sub)))
    }

    fn is_of_kind(&self, kind: Option<&str>) -> bool {
        let fixed = |name: &str| self.fixed.iter().find(|(sub, _)| sub == name);
        let own = fixed("name").or_else(|| fixed("type")).and_then(|(_, value)| value.as_str());
        match (own, kind) {
            (Some(own), Some(kind)) => own.eq_ignore_ascii_case(kind),
            (own, kind) => own == kind,
        }
    }

    /// Whether its values are large and rarely wanted.
    pub fn is_large(&self) -> bool {
        self.subs.iter().any(|(_, mapped)| matches!(mapped.form, Form::Binary | Form::Jpeg))
    }
}

/// Whether `path` names what stands at `top` and `sub`, or something that holds it.
fn covers(path: &AttributePath, top: &AttributePath, sub: Option<&str>) -> bool {
    path.extension == top.extension
        && (path.attribute.is_empty()
            || (path.attribute == top.attribute
                && path.sub.as_deref().is_none_or(|wanted| sub.is_none_or(|sub| sub == wanted))))
}

impl Source {
    /// The attributes it reads.
    pub fn names(&self) -> impl Iterator<Item = usize> {
        let (first, pieces): (&[usize], &[Piece]) = match self {
            Self::First(names) => (names, &[]),
            Self::Template(pieces) => (&[], pieces),
        };
        first.iter().copied().chain(pieces.iter().filter_map(|piece| match piece {
            Piece::First(name) => Some(*name),
            Piece::Text(_) => None,
        }))
    }
}

impl Form {
    /// Whether it tells whether people may sign in, true for whoever nothing is said about.
    pub fn is_account(self) -> bool {
        matches!(self, Self::TrueWhileAbsent | Self::AccountState)
    }

    /// As a mapping or a configuration names it under `type`.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "string" | "reference" => Self::Text,
            "boolean" => Self::Boolean,
            "integer" | "int" | "long" => Self::Integer,
            "decimal" => Self::Decimal,
            "date" => Self::Date,
            "dateTime" => Self::DateTime,
            "binary" => Self::Binary,
            "trueWhileAbsent" => Self::TrueWhileAbsent,
            "accountState" => Self::AccountState,
            "proxyAddress" => Self::ProxyAddress,
            "jpeg" => Self::Jpeg,
            "postalAddress" => Self::PostalAddress,
            "labeledUri" => Self::LabeledUri,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;
