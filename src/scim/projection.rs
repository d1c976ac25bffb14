//! Which attributes an answer shows (RFC 7644 section 3.9, RFC 7643 section 7 `returned`).

use serde_json::Value;

use super::resource::Attributes;
use super::schema::standard::SOURCE;
use super::schema::{Attribute, AttributePath, ResourceType, Returned, Schema};

/// The `attributes` or `excludedAttributes` of a request. Paths that lead to nothing known select
/// nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Projection {
    /// What is returned by default.
    #[default]
    Default,
    /// These, and what is always returned.
    Only(Vec<AttributePath>),
    /// The default without these.
    Without(Vec<AttributePath>),
    /// The default and these: what a write has named of the attributes that are returned on request
    /// (RFC 7643 section 7).
    Also(Vec<AttributePath>),
}

/// How much of an attribute is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    Nothing,
    /// The value as it is.
    Whole,
    /// Only the sub-attributes for which [`Projection::shows`] is true.
    Part,
}

impl Projection {
    /// Whether a core attribute is asked for by name.
    pub fn asks_for(&self, attribute: &str) -> bool {
        match self {
            Self::Only(paths) | Self::Also(paths) => {
                paths.iter().any(|path| path.extension.is_none() && path.attribute == attribute)
            }
            Self::Default | Self::Without(_) => false,
        }
    }

    /// For the answer to a write that names these paths.
    #[must_use]
    pub fn with_written<'a>(&self, paths: impl Iterator<Item = &'a AttributePath>) -> Self {
        let on_request = |path: &&AttributePath| path.returned == Returned::Request;
        let written: Vec<_> = paths.filter(on_request).cloned().collect();
        match self {
            Self::Default if !written.is_empty() => Self::Also(written),
            other => other.clone(),
        }
    }

    /// Whether anything is shown of a core attribute that is returned by default.
    pub fn includes(&self, attribute: &str) -> bool {
        match self {
            Self::Default | Self::Also(_) => true,
            Self::Only(_) => self.asks_for(attribute),
            Self::Without(paths) => !paths.iter().any(|path| {
                path.extension.is_none() && path.attribute == attribute && path.sub.is_none()
            }),
        }
    }

    /// Whether anything is shown of an extension that is returned by default.
    pub fn includes_extension(&self, urn: &str) -> bool {
        let leads = |path: &AttributePath| path.extension.as_deref() == Some(urn);
        match self {
            Self::Default | Self::Also(_) => true,
            Self::Only(paths) => paths.iter().any(leads),
            Self::Without(paths) => {
                !paths.iter().any(|path| leads(path) && path.attribute.is_empty())
            }
        }
    }

    /// How much of `attribute` is shown; `extension` is the one that it belongs to.
    ///
    /// The extension `Source` is shown by default only where `show_source`; asked for by name it is
    /// shown in any case.
    pub fn share(
        &self,
        extension: Option<&Schema>,
        attribute: &Attribute,
        show_source: bool,
    ) -> Share {
        let by_default = match attribute.returned {
            Returned::Always => return whole_or_part(attribute),
            Returned::Never => return Share::Nothing,
            Returned::Request => false,
            Returned::Default => true,
        };
        let by_default = match extension {
            Some(schema) if schema.id == SOURCE => show_source,
            _ => by_default,
        };
        let extension = extension.map(|schema| schema.id.as_str());
        match self {
            Self::Default | Self::Also(_) if by_default => whole_or_part(attribute),
            Self::Also(paths) if named(paths, extension, &attribute.name) != Named::Not => {
                whole_or_part(attribute)
            }
            Self::Default | Self::Also(_) => Share::Nothing,
            Self::Only(paths) => match named(paths, extension, &attribute.name) {
                Named::Whole => whole_or_part(attribute),
                Named::Parts => Share::Part,
                Named::Not => Share::Nothing,
            },
            Self::Without(_) if !by_default => Share::Nothing,
            Self::Without(paths) => match named(paths, extension, &attribute.name) {
                Named::Whole => Share::Nothing,
                Named::Parts => Share::Part,
                Named::Not => whole_or_part(attribute),
            },
        }
    }

    /// Whether a sub-attribute is shown, of an attribute of which a part is.
    pub fn shows(
        &self,
        extension: Option<&Schema>,
        attribute: &Attribute,
        sub_attribute: &Attribute,
    ) -> bool {
        match sub_attribute.returned {
            Returned::Always => return true,
            Returned::Never => return false,
            Returned::Default | Returned::Request => {}
        }
        let by_default = sub_attribute.returned == Returned::Default;
        let extension = extension.map(|schema| schema.id.as_str());
        let names_sub = |paths: &[AttributePath]| {
            paths.iter().any(|path| {
                leads_into(path, extension, &attribute.name)
                    && path.sub.as_deref() == Some(sub_attribute.name.as_str())
            })
        };
        match self {
            Self::Default | Self::Also(_) => by_default,
            Self::Only(paths) => {
                names_sub(paths)
                    || by_default && named(paths, extension, &attribute.name) != Named::Parts
            }
            Self::Without(paths) => by_default && !names_sub(paths),
        }
    }

    /// The attributes that are shown, without `schemas` (which is written by the dialect).
    #[must_use]
    pub fn apply(
        &self,
        attributes: &Attributes,
        kind: &ResourceType,
        show_source: bool,
    ) -> Attributes {
        let mut shown = Attributes::new();
        let core = kind.common().iter().filter(|common| common.name != "schemas");
        let core = core.chain(&kind.schema.attributes);
        self.copy(None, core, attributes, &mut shown, show_source);
        for (schema, _) in &kind.extensions {
            let Some(Value::Object(members)) = attributes.get(&schema.id) else { continue };
            let mut part = Attributes::new();
            self.copy(Some(schema), schema.attributes.iter(), members, &mut part, show_source);
            if !part.is_empty() {
                shown.insert(schema.id.clone(), Value::Object(part));
            }
        }
        shown
    }

    fn copy<'a>(
        &self,
        extension: Option<&Schema>,
        defined: impl Iterator<Item = &'a Attribute>,
        from: &Attributes,
        to: &mut Attributes,
        show_source: bool,
    ) {
        for attribute in defined {
            let Some(value) = from.get(&attribute.name) else { continue };
            let value = match self.share(extension, attribute, show_source) {
                Share::Nothing => None,
                Share::Whole => Some(value.clone()),
                Share::Part => self.part(extension, attribute, value),
            };
            if let Some(value) = value {
                to.insert(attribute.name.clone(), value);
            }
        }
    }

    /// What is shown of a complex value or of a list of them; `None` where that is nothing.
    pub(super) fn part(
        &self,
        extension: Option<&Schema>,
        attribute: &Attribute,
        value: &Value,
    ) -> Option<Value> {
        match value {
            Value::Array(values) => {
                let values: Vec<Value> = values
                    .iter()
                    .filter_map(|value| self.part(extension, attribute, value))
                    .collect();
                (!values.is_empty()).then_some(Value::Array(values))
            }
            Value::Object(members) => {
                let mut shown = Attributes::new();
                for sub_attribute in &attribute.sub_attributes {
                    if let Some(value) = members.get(&sub_attribute.name)
                        && self.shows(extension, attribute, sub_attribute)
                    {
                        shown.insert(sub_attribute.name.clone(), value.clone());
                    }
                }
                (!shown.is_empty()).then_some(Value::Object(shown))
            }
            _ => None,
        }
    }
}

/// The whole of an attribute, unless it has sub-attributes that are not shown by default.
fn whole_or_part(attribute: &Attribute) -> Share {
    let plain = |sub: &Attribute| matches!(sub.returned, Returned::Default | Returned::Always);
    if attribute.sub_attributes.iter().all(plain) { Share::Whole } else { Share::Part }
}

#[derive(Clone, Copy, PartialEq)]
enum Named {
    Not,
    /// Some of its sub-attributes are.
    Parts,
    /// It, or the whole extension that it belongs to.
    Whole,
}

fn named(paths: &[AttributePath], extension: Option<&str>, attribute: &str) -> Named {
    let mut named = Named::Not;
    for path in paths {
        let whole_extension = path.attribute.is_empty()
            && path.extension.is_some()
            && path.extension.as_deref() == extension;
        if whole_extension {
            return Named::Whole;
        }
        if leads_into(path, extension, attribute) {
            if path.sub.is_none() {
                return Named::Whole;
            }
            named = Named::Parts;
        }
    }
    named
}

fn leads_into(path: &AttributePath, extension: Option<&str>, attribute: &str) -> bool {
    path.attribute == attribute && path.extension.as_deref() == extension
}
