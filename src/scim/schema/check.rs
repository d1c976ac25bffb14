//! A body against its resource type: what POST and PUT bring, as canonical attributes
//! (RFC 7643 section 2, RFC 7644 sections 3.3 and 3.5.1).
//!
//! Knows nothing of who is asking, nor of what the resource was before.

use serde_json::{Map, Value};

use super::standard::SOURCE;
use super::value::{self, Place, found, invalid, twice};
use super::{Attribute, AttributePath, Mutability, ResourceType, elements};
use crate::scim::error::{ErrorKind, ScimError};
use crate::scim::resource::Attributes;

/// What a body is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A new resource: required attributes must be there.
    Create,
    /// In place of a resource: required attributes may be missing, since a directory may own them;
    /// see [`ResourceType::require`].
    Replace,
}

/// A body, checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checked {
    /// Canonical names and values; nothing readOnly, no `schemas`, no empty lists.
    pub attributes: Attributes,
    /// `userRepositoryId` at the top level or in the extension `Source`: the repository to bind to.
    pub user_repository_id: Option<String>,
    /// `userType` as the body says it; it is readOnly, so it is no attribute.
    pub user_type: Option<String>,
}

impl ResourceType {
    /// Turns a body into canonical attributes.
    ///
    /// Attribute names and URNs are read in any case, names also with dots and behind their URN;
    /// unknown and readOnly attributes are left out; `null`, `[]` and `{}` mean absent.
    ///
    /// # Errors
    /// `invalidSyntax` where the body is no object or names an attribute twice, `invalidValue` for
    /// every value that is not as its attribute demands, with its path and what was found.
    pub fn check(&self, body: Value, purpose: Purpose) -> Result<Checked, ScimError> {
        let Value::Object(members) = body else {
            let detail = format!("the body is {} where an object is expected", found(&body));
            return Err(ScimError::new(ErrorKind::InvalidSyntax, detail));
        };
        let mut reader = Reader { kind: self, checked: Checked::default() };
        for (name, value) in members {
            reader.member(&name, value)?;
        }
        let checked = reader.checked;
        self.complete(&checked.attributes)?;
        if purpose == Purpose::Create {
            self.require(&checked.attributes)?;
        }
        Ok(checked)
    }

    /// Whether all required attributes are there.
    ///
    /// # Errors
    /// `invalidValue`, naming the first that is missing.
    pub fn require(&self, attributes: &Attributes) -> Result<(), ScimError> {
        let no_members = Map::new();
        let missing = |defined: &[Attribute], members: &Map<String, Value>| {
            defined
                .iter()
                .find(|attribute| {
                    attribute.required
                        && attribute.mutability != Mutability::ReadOnly
                        && !members.contains_key(&attribute.name)
                })
                .map(|attribute| attribute.name.clone())
        };
        let core = missing(&self.schema.attributes, attributes);
        let of_extensions = || {
            self.extensions.iter().find_map(|(schema, required)| {
                let members = attributes.get(&schema.id).and_then(Value::as_object);
                let members = members.or_else(|| required.then_some(&no_members))?;
                let name = missing(&schema.attributes, members)?;
                Some(format!("{}:{name}", schema.id))
            })
        };
        match core.or_else(of_extensions) {
            None => Ok(()),
            Some(name) => Err(invalid(
                &Place::name(None, &name),
                format_args!("is required: give it a value that is not empty"),
            )),
        }
    }

    /// Whether the complex values have their required sub-attributes.
    fn complete(&self, attributes: &Attributes) -> Result<(), ScimError> {
        for (name, value) in attributes {
            if let Some(attribute) = self.top_level(name) {
                elements::complete(attribute, value, &Place::name(None, name))?;
            } else if let (Some(schema), Value::Object(members)) = (self.extension(name), value) {
                let urn = Place::extension(name);
                for attribute in &schema.attributes {
                    if let Some(value) = members.get(&attribute.name) {
                        let place = Place::name(Some(&urn), &attribute.name);
                        elements::complete(attribute, value, &place)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The attribute that holds what `path` leads to: for `name.givenName` it is `name`.
    pub(in crate::scim) fn holder(&self, path: &AttributePath) -> Option<&Attribute> {
        match &path.extension {
            None => self.top_level(&path.attribute),
            Some(urn) => {
                let defined = &self.extension(urn)?.attributes;
                defined.iter().find(|attribute| attribute.name == path.attribute)
            }
        }
    }
}

struct Reader<'a> {
    kind: &'a ResourceType,
    checked: Checked,
}

impl Reader<'_> {
    /// A member of the body, or of the object that stands under the core schema's URN.
    fn member(&mut self, name: &str, value: Value) -> Result<(), ScimError> {
        let path = self.kind.resolve(name);
        match (&path.extension, value) {
            (Some(urn), value) if path.known && path.attribute.is_empty() => {
                self.extension(urn, value)
            }
            (_, value) if path.known => self.attribute(&path, value),
            (_, Value::Object(members)) if name.eq_ignore_ascii_case(&self.kind.schema.id) => {
                members.into_iter().try_for_each(|(name, value)| {
                    let path = self.kind.resolve(&name);
                    if path.known && path.extension.is_none() {
                        self.attribute(&path, value)
                    } else {
                        Ok(())
                    }
                })
            }
            // RFC 7643 section 2.1 leaves what nobody knows to the service: it is left out.
            _ => Ok(()),
        }
    }

    fn extension(&mut self, urn: &str, value: Value) -> Result<(), ScimError> {
        match value {
            Value::Null => Ok(()),
            Value::Object(members) => members.into_iter().try_for_each(|(name, value)| {
                let path = self.kind.resolve(&format!("{urn}:{name}"));
                if path.known { self.attribute(&path, value) } else { Ok(()) }
            }),
            other => {
                let found = found(&other);
                Err(invalid(
                    &Place::extension(urn),
                    format_args!("is {found} where an object is expected"),
                ))
            }
        }
    }

    fn attribute(&mut self, path: &AttributePath, value: Value) -> Result<(), ScimError> {
        match (path.extension.as_deref(), path.attribute.as_str()) {
            (Some(SOURCE), "userRepositoryId") => {
                return handed_out(&mut self.checked.user_repository_id, path, &value);
            }
            (None, "userType") if path.mutability == Mutability::ReadOnly => {
                return handed_out(&mut self.checked.user_type, path, &value);
            }
            (None, "schemas") => return Ok(()),
            _ => {}
        }
        let Some(attribute) = self.kind.holder(path) else { return Ok(()) };
        if attribute.mutability == Mutability::ReadOnly {
            return Ok(());
        }
        let given = match &path.sub {
            None => value,
            Some(sub) => Value::Object(Map::from_iter([(sub.clone(), value)])),
        };
        let urn = path.extension.as_deref().map(Place::extension);
        let place = Place::name(urn.as_ref(), &attribute.name);
        let Some(value) = value::canonical(attribute, given, &place)? else { return Ok(()) };
        let holder = match &path.extension {
            None => &mut self.checked.attributes,
            Some(urn) => {
                let members = self.checked.attributes.entry(urn.as_str());
                match members.or_insert_with(|| Value::Object(Map::new())) {
                    Value::Object(members) => members,
                    _ => return Ok(()),
                }
            }
        };
        match (holder.get_mut(&attribute.name), value) {
            (None, value) => {
                holder.insert(attribute.name.clone(), value);
            }
            (Some(Value::Object(present)), Value::Object(more)) => present.extend(more),
            (Some(_), _) => return Err(twice(&place)),
        }
        Ok(())
    }
}

/// Keeps a readOnly string that the caller wants to see all the same; `""` says nothing.
fn handed_out(
    to: &mut Option<String>,
    path: &AttributePath,
    value: &Value,
) -> Result<(), ScimError> {
    let place = Place::name(None, &path.attribute);
    match value {
        Value::Null => Ok(()),
        Value::String(text) if text.is_empty() => Ok(()),
        Value::String(text) if text.contains('\0') => {
            Err(invalid(&place, format_args!("holds U+0000: take it out")))
        }
        Value::String(text) => match to {
            Some(present) if present != text => Err(twice(&place)),
            _ => {
                *to = Some(text.clone());
                Ok(())
            }
        },
        other => {
            let found = found(other);
            Err(invalid(&place, format_args!("is {found} where a string is expected")))
        }
    }
}
