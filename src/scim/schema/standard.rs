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
            USER_ATTRIBUTE => include_str!("user_attribute.json"),
            USER_DEVICE => include_str!("user_device.json"),
            USER_AUTHENTICATOR => include_str!("user_authenticator.json"),
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

impl ResourceType {
    /// `User`: the core schema, the enterprise and ActivID extensions, [`SOURCE`], and `further`
    /// schemas as extensions. One of `further` with the URN of a shipped extension replaces it.
    pub fn user(further: &[Schema]) -> Self {
        let replaced = |urn: &str| further.iter().any(|schema| schema.id.eq_ignore_ascii_case(urn));
        let shipped = user_extensions().filter(|schema| !replaced(&schema.id));
        user(optional(shipped.chain(further.iter().cloned())))
    }

    /// `Group`: the core schema, and `further` schemas as extensions.
    pub fn group(further: &[Schema]) -> Self {
        group(optional(further.iter().cloned()))
    }
}

fn optional(schemas: impl Iterator<Item = Schema>) -> Vec<(Arc<Schema>, bool)> {
    schemas.map(|schema| (Arc::new(schema), false)).collect()
}

/// `User` with exactly these extensions, each with whether it is required.
pub(super) fn user(extensions: Vec<(Arc<Schema>, bool)>) -> ResourceType {
    let core = Arc::new(expected(USER));
    ResourceType::new("User", "/Users", "People's accounts.", core, extensions)
}

/// `Group` with exactly these extensions, each with whether it is required.
pub(super) fn group(extensions: Vec<(Arc<Schema>, bool)>) -> ResourceType {
    let core = Arc::new(expected(GROUP));
    ResourceType::new("Group", "/Groups", "Groups of people.", core, extensions)
}

/// The extensions with which `User` ships.
pub(super) fn user_extensions() -> impl Iterator<Item = Schema> {
    let shipped = [ENTERPRISE, USER_ATTRIBUTE, USER_DEVICE, USER_AUTHENTICATOR, SOURCE];
    shipped.into_iter().map(expected)
}

/// The shipped schema with this URN, in any case.
pub(super) fn any_case(urn: &str) -> Option<Schema> {
    [USER, GROUP, ENTERPRISE, SOURCE, USER_ATTRIBUTE, USER_DEVICE, USER_AUTHENTICATOR]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(urn))
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
        for (urn, text) in [
            (USER, include_str!("user.json")),
            (GROUP, include_str!("group.json")),
            (ENTERPRISE, include_str!("enterprise.json")),
            (SOURCE, include_str!("source.json")),
            (USER_ATTRIBUTE, include_str!("user_attribute.json")),
            (USER_DEVICE, include_str!("user_device.json")),
            (USER_AUTHENTICATOR, include_str!("user_authenticator.json")),
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
