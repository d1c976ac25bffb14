//! A mapping as it is written: the file, its keys and its values.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Form, MappingError};
use crate::repository::Authority;
use crate::repository::ldap::key::KeyForm;
use crate::repository::ldap::literal::Comparison;
use crate::scim::mirror::Mirror;
use crate::scim::schema::standard::USER_ATTRIBUTE;
use crate::scim::schema::{AttributePath, Kind, ResourceType};

/// A mapping file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    filter: String,
    key: String,
    #[serde(default)]
    key_form: Option<String>,
    created: Option<String>,
    last_modified: Option<String>,
    #[serde(default)]
    comparison: Option<String>,
    #[serde(default)]
    primary: Vec<String>,
    attributes: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Value {
    One(String),
    Several(Vec<String>),
    Table(Table),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    attribute: Option<Names>,
    template: Option<String>,
    authority: Option<String>,
    #[serde(rename = "type")]
    form: Option<String>,
    #[serde(default)]
    multi_valued: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Several(Vec<String>),
}

/// A mapping file, read.
pub(super) struct File {
    pub filter: String,
    pub key: String,
    pub key_form: KeyForm,
    pub created: Option<String>,
    pub last_modified: Option<String>,
    pub comparison: Comparison,
    pub primary: Vec<String>,
    pub attributes: Vec<(String, Written)>,
}

/// What stands behind a key.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    pub attributes: Vec<String>,
    pub template: Option<String>,
    pub authority: Option<Authority>,
    /// With the name under which it was asked for.
    pub form: Option<(String, Form)>,
    /// Whether a code has every value that there is; else one.
    pub several: bool,
}

/// What a value is for.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// As written.
    pub text: String,
    pub path: AttributePath,
    pub element_type: Option<String>,
    /// The code of an attribute of the ActivID extension.
    pub code: Option<String>,
}

impl File {
    pub fn parse(text: &str) -> Result<Self, MappingError> {
        let text: Text = toml::from_str(text).map_err(|error| {
            let what = error.to_string();
            MappingError::new("the mapping file", what.trim(), "correct it there")
        })?;
        let comparison = match text.comparison.as_deref() {
            Some("rfc4518") => Comparison::Rfc4518,
            Some("simple") => Comparison::Simple,
            Some("ascii") | None => Comparison::Ascii,
            Some(other) => {
                let what = format!("\"{other}\" is no way to compare");
                return Err(MappingError::new("comparison", what, "use rfc4518, simple or ascii"));
            }
        };
        let key_form = match text.key_form.as_deref() {
            None => KeyForm::default(),
            Some(name) => KeyForm::named(name).ok_or_else(|| {
                let what = format!("\"{name}\" is no way to write a key");
                MappingError::new("key_form", what, "use uuid, objectGUID or nsUniqueId")
            })?,
        };
        let attributes = text
            .attributes
            .into_iter()
            .map(|(key, value)| {
                let written = value.written(&key)?;
                Ok((key, written))
            })
            .collect::<Result<_, MappingError>>()?;
        Ok(Self {
            filter: text.filter,
            key: text.key,
            key_form,
            created: text.created,
            last_modified: text.last_modified,
            comparison,
            primary: text.primary,
            attributes,
        })
    }
}

impl Value {
    fn written(self, key: &str) -> Result<Written, MappingError> {
        let table = match self {
            Self::One(name) => {
                return Ok(Written { attributes: vec![name], ..Written::default() });
            }
            Self::Several(attributes) => return Ok(Written { attributes, ..Written::default() }),
            Self::Table(table) => table,
        };
        let authority = match table.authority.as_deref() {
            None => None,
            Some("directory") => Some(Authority::Directory),
            Some("local") => Some(Authority::Local),
            Some("write_back") => Some(Authority::WriteBack),
            Some(other) => {
                let what = format!("\"{other}\" is no authority");
                return Err(MappingError::new(key, what, "use directory, local or write_back"));
            }
        };
        let form = match table.form {
            None => None,
            Some(name) => {
                let Some(form) = Form::named(&name) else {
                    let what = format!("\"{name}\" is no type");
                    return Err(MappingError::new(key, what, FORMS));
                };
                Some((name, form))
            }
        };
        let attributes = match table.attribute {
            None => Vec::new(),
            Some(Names::One(name)) => vec![name],
            Some(Names::Several(names)) => names,
        };
        let (template, several) = (table.template, table.multi_valued);
        Ok(Written { attributes, template, authority, form, several })
    }
}

const FORMS: &str = "use one of string, boolean, integer, int, long, decimal, date, dateTime, binary, \
                     reference, trueWhileAbsent, accountState, postalAddress, labeledUri, \
                     proxyAddress, jpeg";

impl Key {
    /// Reads `userName`, `emails`, `phoneNumbers[type eq "mobile"].value`, or the URN of the ActivID
    /// extension with a code. `element_type` is the type that the value gave.
    pub fn parse(
        text: &str,
        element_type: Option<&str>,
        resource: &ResourceType,
    ) -> Result<Self, MappingError> {
        let (plain, own_type) = without_type(text)?;
        let element_type = own_type.or_else(|| element_type.map(str::to_owned));
        let mut path = resource.resolve(&plain);
        if path.extension.as_deref() == Some(USER_ATTRIBUTE) {
            return Self::code(text, path, element_type.is_some());
        }
        // Of a list `emails` means its `value`, as in filters.
        if path.known && path.multi_valued && path.kind == Kind::Complex {
            path = resource.resolve(&format!("{plain}.value"));
        }
        if !path.known || path.attribute.is_empty() {
            let what = "no schema has such an attribute";
            let remedy = "write the path as /Schemas spells it, such as name.givenName";
            return Err(MappingError::new(text, what, remedy));
        }
        if path.kind == Kind::Complex {
            let what = "the attribute is made of parts";
            let remedy = format!("map each part, such as {plain}.value");
            return Err(MappingError::new(text, what, remedy));
        }
        if element_type.is_some() && !(path.multi_valued && path.sub.is_some()) {
            let what = "the values of this attribute have no type of their own";
            let remedy = format!("take the type out, or use one that says how to read: {FORMS}");
            return Err(MappingError::new(text, what, remedy));
        }
        Ok(Self { text: text.to_owned(), path, element_type, code: None })
    }

    fn code(text: &str, path: AttributePath, typed: bool) -> Result<Self, MappingError> {
        if path.known || path.sub.is_some() || path.attribute.is_empty() || typed {
            let what = "this extension holds attributes under codes";
            let remedy = format!("write the code behind the URN, as in {USER_ATTRIBUTE}:DOB");
            return Err(MappingError::new(text, what, remedy));
        }
        if let Some(mirror) = Mirror::of(&path.attribute) {
            let what = format!("{} is another name for {}", mirror.code, mirror.path());
            return Err(MappingError::new(
                text,
                what,
                format!("map {} in its place", mirror.path()),
            ));
        }
        let code = Some(path.attribute.clone());
        Ok(Self { text: text.to_owned(), path, element_type: None, code })
    }

    /// Whether it speaks of the same attribute, of whatever type.
    pub fn is_like(&self, other: &Self) -> bool {
        self.path.extension == other.path.extension
            && self.path.attribute == other.path.attribute
            && self.path.sub == other.path.sub
    }

    /// Where its type stands among the types that the schema suggests.
    pub fn rank(&self, resource: &ResourceType) -> usize {
        let Some(own) = &self.element_type else { return 0 };
        let path = resource.resolve(&format!("{}.type", self.path.attribute));
        let suggested = resource.attribute(&path).map_or(&[][..], |found| &found.canonical_values);
        let position = suggested.iter().position(|value| value.eq_ignore_ascii_case(own));
        position.unwrap_or(suggested.len())
    }

    /// How values are read: as written, else as the attribute's kind has it.
    pub fn form(&self, written: &Written) -> Result<Form, MappingError> {
        let kind = if self.code.is_some() { Kind::String } else { self.path.kind };
        let form = match (&written.form, kind) {
            (Some((_, form)), _) => *form,
            (None, Kind::Boolean) => Form::Boolean,
            (None, Kind::Integer) => Form::Integer,
            (None, Kind::Decimal) => Form::Decimal,
            (None, Kind::DateTime) => Form::DateTime,
            (None, Kind::Binary) => Form::Binary,
            (None, Kind::String | Kind::Reference | Kind::Complex) => Form::Text,
        };
        let fits = match kind {
            Kind::Boolean => form == Form::Boolean || form.is_account(),
            Kind::Integer => form == Form::Integer,
            Kind::Decimal => matches!(form, Form::Integer | Form::Decimal),
            Kind::DateTime => form == Form::DateTime,
            Kind::Binary => form == Form::Binary,
            Kind::String | Kind::Reference | Kind::Complex => !form.is_account(),
        };
        let name = written.form.as_ref().map_or("string", |(name, _)| name);
        if written.several && self.code.is_none() {
            let what = "multi_valued is for the codes of UserAttribute";
            return Err(MappingError::new(&self.text, what, "take multi_valued out"));
        }
        if !fits {
            let what = format!("the attribute is not of type \"{name}\"");
            return Err(MappingError::new(&self.text, what, "take the type out"));
        }
        if form != Form::Text && written.template.is_some() {
            let what = format!("a template makes text and nothing of type \"{name}\"");
            return Err(MappingError::new(&self.text, what, "take the type out"));
        }
        Ok(form)
    }
}

/// `phoneNumbers[type eq "mobile"].value` as `phoneNumbers.value` and `mobile`.
fn without_type(text: &str) -> Result<(String, Option<String>), MappingError> {
    let Some((list, rest)) = text.split_once('[') else { return Ok((text.to_owned(), None)) };
    let fault = || {
        let remedy = "write it as in phoneNumbers[type eq \"mobile\"].value";
        MappingError::new(text, "the part in brackets is not understood", remedy)
    };
    let (inner, sub) = rest.split_once(']').ok_or_else(fault)?;
    let mut words = inner.splitn(3, ' ').map(str::trim);
    let (Some(attribute), Some(operator), Some(value)) = (words.next(), words.next(), words.next())
    else {
        return Err(fault());
    };
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let value = value.filter(|value| !value.is_empty() && !value.contains(['"', '\\']));
    let sub_is_well_formed = sub.is_empty() || (sub.starts_with('.') && sub.len() > 1);
    match value {
        Some(value)
            if attribute.eq_ignore_ascii_case("type")
                && operator.eq_ignore_ascii_case("eq")
                && sub_is_well_formed =>
        {
            Ok((format!("{list}{sub}"), Some(value.to_owned())))
        }
        _ => Err(fault()),
    }
}
