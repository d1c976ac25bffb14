//! The schemas that ship with the program, and the resource types made of them.

use std::sync::Arc;

use super::{Attribute, Mutability, ResourceType, Schema};

/// The URN of the core schema of users (RFC 7643 section 4.1).
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The URN of the core schema of groups (RFC 7643 section 4.2).
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// The URN of the enterprise extension of users (RFC 7643 section 4.3).
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// The URN of the extension that says where a user comes from.
pub const SOURCE: &str = "urn:scimbridge:schemas:2.0:Source";
/// The URN of the schema of roles.
pub const ROLE: &str = "urn:hid:scim:api:idp:2.0:Role";
/// The URN of the `ActivID` extension of groups that says what they stand beneath.
pub const GROUP_PARENT: &str = "urn:hid:scim:api:idp:2.0:GroupParent";
/// The URN of the extension of groups that holds what else is kept of them.
pub const GROUP_DETAILS: &str = "urn:scimbridge:schemas:2.0:Group";
/// The URN of the ActivID extension that holds further attributes under codes.
pub const USER_ATTRIBUTE: &str = "urn:hid:scim:api:idp:2.0:UserAttribute";
/// The URN of the ActivID extension that holds a user's devices.
pub const USER_DEVICE: &str = "urn:hid:scim:api:idp:2.0:UserDevice";
/// The URN of the ActivID extension that holds a user's authenticators.
pub const USER_AUTHENTICATOR: &str = "urn:hid:scim:api:idp:2.0:UserAuthenticator";
/// The URN of the ActivID schema of devices.
pub const DEVICE: &str = "urn:hid:scim:api:idp:2.0:Device";
/// The URN of the ActivID schema of authenticators.
pub const AUTHENTICATOR: &str = "urn:hid:scim:api:idp:2.0:Authenticator";
/// The URN of the ActivID extension that holds an authenticator's password.
pub const PASSWORD: &str = "urn:hid:scim:api:idp:2.0:Password";

/// Other spellings of URNs, in lower case, that the documents of their vendor use for the same.
pub(super) const ALIASES: [(&str, &str); 4] = [
    ("urn:hid:scim:api:idp:2.0:attribute", USER_ATTRIBUTE),
    ("urn:hid:scim:api:idp:userattribute", USER_ATTRIBUTE),
    ("urn:hid:scim:api:idp:userdevice", USER_DEVICE),
    ("urn:hid:scim:api:idp:userauthenticator", USER_AUTHENTICATOR),
];

impl Schema {
    /// The shipped schema with this URN, spelled exactly so.
    pub fn shipped(urn: &str) -> Option<Schema> {
        let text = match urn {
            USER => include_str!("user.json"),
            GROUP => include_str!("group.json"),
            ENTERPRISE => include_str!("enterprise.json"),
            SOURCE => include_str!("source.json"),
            ROLE => include_str!("role.json"),
            GROUP_PARENT => include_str!("group_parent.json"),
            GROUP_DETAILS => include_str!("group_details.json"),
            USER_ATTRIBUTE => include_str!("user_attribute.json"),
            USER_DEVICE => include_str!("user_device.json"),
            USER_AUTHENTICATOR => include_str!("user_authenticator.json"),
            DEVICE => include_str!("device.json"),
            AUTHENTICATOR => include_str!("authenticator.json"),
            PASSWORD => include_str!("password.json"),
            _ => return None,
        };
        let mut schema: Schema = serde_json::from_str(text).ok()?;
        if urn == USER_ATTRIBUTE {
            let subs = schema.attributes.iter_mut().flat_map(|list| &mut list.sub_attributes);
            for value in subs.filter(|sub| sub.name == "value") {
                value.loose = true;
            }
        }
        Some(schema)
    }
}

/// A resource type that ships with the program.
#[derive(Debug)]
pub(super) struct ShippedType {
    pub(super) name: &'static str,
    pub(super) endpoint: &'static str,
    /// How else the endpoint is spelled.
    other_endpoints: &'static [&'static str],
    description: &'static str,
    /// The URN of its core schema.
    pub(super) core: &'static str,
    /// The URNs of its extensions, none of them required.
    extensions: &'static [&'static str],
}

/// All of them, as discovery shows them: the users first, then the groups.
pub(super) const SHIPPED: &[ShippedType] = &[
    ShippedType {
        name: "User",
        endpoint: "/Users",
        other_endpoints: &[],
        description: "People's accounts.",
        core: USER,
        extensions: &[ENTERPRISE, USER_ATTRIBUTE, USER_DEVICE, USER_AUTHENTICATOR, SOURCE],
    },
    ShippedType {
        name: "Group",
        endpoint: "/Groups",
        other_endpoints: &[],
        description: "Groups of people.",
        core: GROUP,
        extensions: &[GROUP_PARENT, GROUP_DETAILS],
    },
    ShippedType {
        name: "Role",
        endpoint: "/Roles",
        other_endpoints: &[],
        description: "Roles that people have.",
        core: ROLE,
        extensions: &[],
    },
    ShippedType {
        name: "Device",
        endpoint: "/Device",
        other_endpoints: &["/Devices"],
        description: "Things that people authenticate with.",
        core: DEVICE,
        extensions: &[],
    },
    ShippedType {
        name: "Authenticator",
        endpoint: "/Authenticator",
        other_endpoints: &["/Authenticators"],
        description: "What people authenticate with under a policy.",
        core: AUTHENTICATOR,
        extensions: &[PASSWORD],
    },
];

/// Every schema that is no core schema of a shipped type and may be another type's: the extensions,
/// but for [`SOURCE`], which tells of directories, and [`PASSWORD`], which is a secret.
const LENT: &[&str] =
    &[ENTERPRISE, USER_ATTRIBUTE, USER_DEVICE, USER_AUTHENTICATOR, GROUP_PARENT, GROUP_DETAILS];

impl ShippedType {
    /// Whether `endpoint` is one of the type's, in any case.
    pub(super) fn is_at(&self, endpoint: &str) -> bool {
        let mut endpoints = self.other_endpoints.iter().chain([&self.endpoint]);
        endpoints.any(|own| own.eq_ignore_ascii_case(endpoint))
    }

    /// The extensions with which it ships.
    pub(super) fn extensions(&self) -> impl Iterator<Item = Schema> {
        self.extensions.iter().copied().map(expected)
    }

    /// The type with exactly these extensions, each with whether it is required.
    pub(super) fn with(&self, extensions: Vec<(Arc<Schema>, bool)>) -> ResourceType {
        let core = Arc::new(expected(self.core));
        ResourceType::new(self.name, self.endpoint, self.description, core, extensions)
    }

    /// The type with `further` schemas as extensions beside its own. One of `further` with the URN of
    /// a shipped extension replaces it.
    fn further(&self, further: &[Schema]) -> ResourceType {
        let replaced = |urn: &str| further.iter().any(|schema| schema.id.eq_ignore_ascii_case(urn));
        let shipped = self.extensions().filter(|schema| !replaced(&schema.id));
        let all = shipped.chain(further.iter().cloned());
        self.with(all.map(|schema| (Arc::new(schema), false)).collect())
    }
}

impl ResourceType {
    /// `User`: the core schema, the enterprise and `ActivID` extensions, [`SOURCE`], and `further`
    /// schemas as extensions. One of `further` with the URN of a shipped extension replaces it.
    pub fn user(further: &[Schema]) -> Self {
        SHIPPED[0].further(further)
    }

    /// `Group`: the core schema, its extensions, and `further` schemas as extensions.
    pub fn group(further: &[Schema]) -> Self {
        SHIPPED[1].further(further)
    }

    /// `Role`.
    pub fn role() -> Self {
        SHIPPED[2].further(&[])
    }

    /// `Device`.
    pub fn device() -> Self {
        SHIPPED[3].further(&[])
    }

    /// `Authenticator`, with the extension for its password.
    pub fn authenticator() -> Self {
        SHIPPED[4].further(&[])
    }

    /// How the endpoint is spelled beside [`ResourceType::endpoint`].
    pub fn other_endpoints(&self) -> &'static [&'static str] {
        let shipped = SHIPPED.iter().find(|shipped| shipped.name == self.name);
        shipped.map_or(&[], |shipped| shipped.other_endpoints)
    }
}

impl ResourceType {
    /// The same type, whose core attribute of this name is written by clients, sub-attributes and
    /// all but its `$ref`.
    #[must_use]
    pub fn with_writable(&self, name: &str) -> Self {
        let mut schema = (*self.schema).clone();
        for attribute in schema.attributes.iter_mut().filter(|attribute| attribute.name == name) {
            attribute.mutability = Mutability::ReadWrite;
            let subs = attribute.sub_attributes.iter_mut().filter(|sub| sub.name != "$ref");
            subs.for_each(|sub| sub.mutability = Mutability::ReadWrite);
        }
        let extensions = self.extensions.clone();
        Self::new(&self.name, &self.endpoint, &self.description, Arc::new(schema), extensions)
    }
}

/// The shipped schema with this URN, in any case.
pub(super) fn any_case(urn: &str) -> Option<Schema> {
    let cores = SHIPPED.iter().map(|shipped| shipped.core);
    cores
        .chain(LENT.iter().copied())
        .chain([SOURCE, PASSWORD])
        .find(|known| known.eq_ignore_ascii_case(urn))
        .and_then(Schema::shipped)
}

/// Whether a schema may be the one of another type, or its extension.
pub(super) fn is_lent(urn: &str) -> bool {
    LENT.contains(&urn)
}

#[expect(clippy::expect_used, reason = "the text is compiled in, and a test reads all of it")]
fn expected(urn: &str) -> Schema {
    Schema::shipped(urn).expect("a shipped schema is well-formed")
}

/// `schemas`, `id`, `externalId` and `meta` (RFC 7643 section 3.1), which every resource has.
#[expect(clippy::expect_used, reason = "the text is compiled in, and a test reads it")]
pub(super) fn common() -> Vec<Attribute> {
    serde_json::from_str(include_str!("common.json"))
        .expect("the common attributes are well-formed")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn files_are_in_the_shape_in_which_schemas_are_printed() {
        for (urn, text) in [
            (USER, include_str!("user.json")),
            (GROUP, include_str!("group.json")),
            (ENTERPRISE, include_str!("enterprise.json")),
            (SOURCE, include_str!("source.json")),
            (ROLE, include_str!("role.json")),
            (GROUP_PARENT, include_str!("group_parent.json")),
            (GROUP_DETAILS, include_str!("group_details.json")),
            (USER_ATTRIBUTE, include_str!("user_attribute.json")),
            (USER_DEVICE, include_str!("user_device.json")),
            (USER_AUTHENTICATOR, include_str!("user_authenticator.json")),
            (DEVICE, include_str!("device.json")),
            (AUTHENTICATOR, include_str!("authenticator.json")),
            (PASSWORD, include_str!("password.json")),
        ] {
            let schema = Schema::shipped(urn).unwrap();
            assert_eq!(schema.id, urn);
            let written: Value = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_value(&schema).unwrap(), written, "{urn}");
        }
        let written: Value = serde_json::from_str(include_str!("common.json")).unwrap();
        assert_eq!(serde_json::to_value(common()).unwrap(), written);
        assert!(Schema::shipped("urn:nobody").is_none());
    }

    #[test]
    fn a_further_schema_replaces_the_shipped_one_of_its_name() {
        let mut own = Schema::shipped(ENTERPRISE).unwrap();
        own.name = "Own".into();
        own.id = own.id.to_uppercase();
        let user = ResourceType::user(&[own]);
        assert_eq!(user.extension(ENTERPRISE).unwrap().name, "Own");
        assert_eq!(user.extensions.len(), 5);
    }
}
