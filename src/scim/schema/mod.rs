//! Schemas and resource types as data (RFC 7643 sections 6 and 7): one source for validation,
//! filters, patches and discovery.
//!
//! The schemas themselves are JSON files beside this one, in the shape in which `/Schemas` prints
//! them.

pub mod check;
mod documents;
pub(in crate::scim) mod elements;
mod over;
mod resolve;
pub mod standard;
mod types;
mod unknown;
pub(in crate::scim) mod value;

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use documents::Misfit;
pub use types::ResourceTypes;

/// One schema, in the shape in which `/Schemas` prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Schema {
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub description: String,
    pub attributes: Vec<Attribute>,
}

/// One attribute with its characteristics (RFC 7643 section 2.2).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "RFC 7643 section 2.2 has that many yes or no")]
pub struct Attribute {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: Kind,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sub_attributes: Vec<Attribute>,
    #[serde(default)]
    pub multi_valued: bool,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub required: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canonical_values: Vec<String>,
    #[serde(default)]
    pub case_exact: bool,
    #[serde(default)]
    pub mutability: Mutability,
    #[serde(default)]
    pub returned: Returned,
    #[serde(default)]
    pub uniqueness: Uniqueness,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reference_types: Vec<String>,
    /// Whether [`Self::canonical_values`] are all that there is. RFC 7643 section 7 calls them
    /// suggestions: those of the RFC's own schemas are, an administrator's are meant.
    #[serde(skip)]
    pub closed: bool,
    /// Whether a list of values may stand in place of one, and numbers and booleans in place of their
    /// text: so it is with what `UserAttribute` holds under a code.
    #[serde(skip)]
    pub loose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    String,
    Boolean,
    Decimal,
    Integer,
    DateTime,
    Reference,
    Binary,
    Complex,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mutability {
    ReadOnly,
    #[default]
    ReadWrite,
    Immutable,
    WriteOnly,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Returned {
    Always,
    Never,
    #[default]
    Default,
    Request,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Uniqueness {
    #[default]
    None,
    Server,
    Global,
}

/// A resource type: its own schema, its extensions, and every path that leads into them.
pub struct ResourceType {
    /// `User`
    pub name: String,
    /// `/Users`
    pub endpoint: String,
    pub description: String,
    /// The core schema; `schemas`, `id`, `externalId` and `meta` are added by [`ResourceType::new`]
    /// as paths, not as attributes of it (see [`ResourceType::common`]).
    pub schema: Arc<Schema>,
    /// Extensions, each with whether it is required.
    pub extensions: Vec<(Arc<Schema>, bool)>,
    /// `schemas`, `id`, `externalId` and `meta` (RFC 7643 section 3.1).
    common: Vec<Attribute>,
    paths: Paths,
}

/// Lower-cased spelling -> path.
type Paths = HashMap<String, AttributePath, foldhash::fast::RandomState>;

/// A path to an attribute or sub-attribute, resolved against a resource type. Cheap to clone.
///
/// A path that leads to nothing known is still a path ([`Definition::known`] is false): RFC 7644
/// section 3.4.2.2 has filters treat such an attribute as one without a value.
#[derive(Clone)]
pub struct AttributePath(Arc<Definition>);

/// What an [`AttributePath`] leads to.
#[derive(Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "RFC 7643 section 2.2 has that many yes or no")]
pub struct Definition {
    /// The canonical spelling: `userName`, `emails.value`,
    /// `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department`.
    pub text: String,
    /// The extension's URN; `None` for core and common attributes.
    pub extension: Option<String>,
    /// The top-level attribute's name; empty where the path names a whole extension.
    pub attribute: String,
    /// The sub-attribute's name.
    pub sub: Option<String>,
    pub kind: Kind,
    pub case_exact: bool,
    /// Whether the top-level attribute holds several values.
    pub multi_valued: bool,
    pub mutability: Mutability,
    pub returned: Returned,
    pub required: bool,
    /// Whether a schema knows this attribute.
    pub known: bool,
}

impl fmt::Debug for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extensions = self.extensions.iter().map(|(schema, required)| (&schema.id, required));
        f.debug_struct("ResourceType")
            .field("name", &self.name)
            .field("endpoint", &self.endpoint)
            .field("schema", &self.schema.id)
            .field("extensions", &extensions.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Deref for AttributePath {
    type Target = Definition;

    fn deref(&self) -> &Definition {
        &self.0
    }
}

impl From<Definition> for AttributePath {
    fn from(definition: Definition) -> Self {
        Self(Arc::new(definition))
    }
}

impl PartialEq for AttributePath {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl fmt::Debug for AttributePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Display for AttributePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}
