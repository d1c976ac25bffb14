//! The schemas that ship with the program, and the resource types made of them.

use std::sync::Arc;

use super::{Attribute, ResourceType, Schema};

/// The URN of the core schema of users (RFC 7643 section 4.1).
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The URN of the core schema of groups (RFC 7643 section 4.2).
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// The URN of the enterprise extension of users (RFC 7643 section 4.3).
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// The URN of the extension that says where a user comes from.
pub const SOURCE: &str = "urn:scimbridge:schemas:2.0:Source";
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

/// All of them, each with its text.
const SHIPPED: [(&str, &str); 10] = [
    (USER, include_str!("user.json")),
    (GROUP, include_str!("group.json")),
    (ENTERPRISE, include_str!("enterprise.json")),
    (SOURCE, include_str!("source.json")),
    (USER_ATTRIBUTE, include_str!("user_attribute.json")),
    (USER_DEVICE, include_str!("user_device.json")),
    (USER_AUTHENTICATOR, include_str!("user_authenticator.json")),
    (DEVICE, include_str!("device.json")),
    (AUTHENTICATOR, include_str!("authenticator.json")),
    (PASSWORD, include_str!("password.json")),
];

impl Schema {
    /// The shipped schema with this URN, spelled exactly so.
    pub fn shipped(urn: &str) -> Option<Schema> {
        let (_, text) = SHIPPED.iter().find(|(known, _)| *known == urn)?;
        serde_json::from_str(text).ok()
    }
}

/// A resource type that ships with the program.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShippedType {
    pub(super) name: &'static str,
    pub(super) endpoint: &'static str,
    /// How else the endpoint is spelled.
    other_endpoints: &'static [&'static str],
    description: &'static str,
    /// The URN of the core schema.
    pub(super) core: &'static str,
    /// The URNs of its extensions; none of them is required.
    extensions: &'static [&'static str],
}

/// In the order in which they are listed.
pub(super) const TYPES: [ShippedType; 4] = [
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

impl ShippedType {
    /// Whether `endpoint` is one of the type's, in any case.
    pub(super) fn is_at(&self, endpoint: &str) -> bool {
        self.endpoint.eq_ignore_ascii_case(endpoint)
            || self.other_endpoints.iter().any(|other| other.eq_ignore_ascii_case(endpoint))
    }

    /// The extensions with which it ships, or those of `own` in their place.
    pub(super) fn extensions(&self, own: &[Arc<Schema>]) -> Vec<(Arc<Schema>, bool)> {
        let extension = |urn: &&'static str| {
            let replaced = own.iter().find(|own| own.id.eq_ignore_ascii_case(urn)).cloned();
            (replaced.unwrap_or_else(|| Arc::new(expected(urn))), false)
        };
        self.extensions.iter().map(extension).collect()
    }

    /// The type with exactly these extensions, each with whether it is required.
    pub(super) fn with(&self, extensions: Vec<(Arc<Schema>, bool)>) -> ResourceType {
        let core = Arc::new(expected(self.core));
        ResourceType::new(self.name, self.endpoint, self.description, core, extensions)
    }

    /// The type with the extensions with which it ships, and `further` schemas as extensions. One of
    /// `further` with the URN of a shipped extension replaces it.
    fn and(&self, further: &[Schema]) -> ResourceType {
        let further: Vec<_> = further.iter().cloned().map(Arc::new).collect();
        let mut extensions = self.extensions(&further);
        for schema in further {
            if !extensions.iter().any(|(known, _)| known.id.eq_ignore_ascii_case(&schema.id)) {
                extensions.push((schema, false));
            }
        }
        self.with(extensions)
    }
}

impl ResourceType {
    /// `User`: the core schema, the enterprise and ActivID extensions, [`SOURCE`], and `further`
    /// schemas as extensions. One of `further` with the URN of a shipped extension replaces it.
    pub fn user(further: &[Schema]) -> Self {
        TYPES[0].and(further)
    }

    /// `Group`: the core schema, and `further` schemas as extensions.
    pub fn group(further: &[Schema]) -> Self {
        TYPES[1].and(further)
    }

    /// `Device`: the ActivID schema of devices.
    pub fn device() -> Self {
        TYPES[2].and(&[])
    }

    /// `Authenticator`: the ActivID schema of authenticators, with the extension for the password.
    pub fn authenticator() -> Self {
        TYPES[3].and(&[])
    }

    /// How the endpoint is spelled beside [`ResourceType::endpoint`].
    pub fn other_endpoints(&self) -> &'static [&'static str] {
        let shipped = TYPES.iter().find(|shipped| shipped.name == self.name);
        shipped.map_or(&[], |shipped| shipped.other_endpoints)
    }
}

/// The shipped schema with this URN, in any case.
pub(super) fn any_case(urn: &str) -> Option<Schema> {
    SHIPPED
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(urn))
        .map(|(known, _)| *known)
        .and_then(Schema::shipped)
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
        for (urn, text) in SHIPPED {
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
