//! Names in a body that no schema knows, for whoever wants them refused in place of left out
//! (RFC 7643 section 2.1 leaves it to the service).

use serde_json::{Map, Value};

use super::{Attribute, ResourceType};
use crate::scim::error::{ErrorKind, ScimError};

impl ResourceType {
    /// Refuses the body of a POST or PUT that names what no schema of this type knows: attributes,
    /// sub-attributes, and URNs in `schemas`.
    ///
    /// # Errors
    /// `invalidSyntax`, with the first such name.
    pub fn only_known(&self, body: &Value) -> Result<(), ScimError> {
        let Value::Object(members) = body else { return Ok(()) };
        for (name, value) in members {
            if name.eq_ignore_ascii_case("schemas") {
                self.only_known_schemas(value)?;
            } else if let (true, Value::Object(members)) =
                (name.eq_ignore_ascii_case(&self.schema.id), value)
            {
                for (name, value) in members {
                    self.only_known_below(name, value)?;
                }
            } else {
                self.only_known_below(name, value)?;
            }
        }
        Ok(())
    }

    /// The same of one attribute or extension with what is given for it.
    pub(in crate::scim) fn only_known_below(
        &self,
        name: &str,
        value: &Value,
    ) -> Result<(), ScimError> {
        let path = self.resolve(name);
        if !path.known {
            return Err(unknown(name));
        }
        match (&path.extension, value) {
            (Some(urn), Value::Object(members)) if path.attribute.is_empty() => {
                members.iter().try_for_each(|(name, value)| {
                    self.only_known_below(&format!("{urn}:{name}"), value)
                })
            }
            _ => match self.attribute(&path) {
                Some(attribute) => only_known_members(attribute, &path.text, value),
                None => Ok(()),
            },
        }
    }

    fn only_known_schemas(&self, value: &Value) -> Result<(), ScimError> {
        let urns = value.as_array().map_or(&[][..], Vec::as_slice);
        let known =
            |urn: &str| urn.eq_ignore_ascii_case(&self.schema.id) || self.extension(urn).is_some();
        match urns.iter().filter_map(Value::as_str).find(|urn| !known(urn)) {
            None => Ok(()),
            Some(urn) => Err(ScimError::new(
                ErrorKind::InvalidSyntax,
                format!("schemas names {urn:?}, which is no schema of {}", self.name),
            )),
        }
    }
}

fn only_known_members(attribute: &Attribute, place: &str, value: &Value) -> Result<(), ScimError> {
    let only = |members: &Map<String, Value>| match members
        .keys()
        .find(|name| attribute.sub_attribute(name).is_none())
    {
        None => Ok(()),
        Some(name) => Err(unknown(&format!("{place}.{name}"))),
    };
    match value {
        Value::Object(members) => only(members),
        Value::Array(values) => values.iter().filter_map(Value::as_object).try_for_each(only),
        _ => Ok(()),
    }
}

fn unknown(name: &str) -> ScimError {
    let shown: String = name.chars().take(200).collect();
    ScimError::new(
        ErrorKind::InvalidSyntax,
        format!("{shown:?} is no attribute of this resource type; see /Schemas, or leave it out"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scim::schema::standard::{ENTERPRISE, USER};

    #[test]
    fn what_nobody_knows_is_named() {
        let kind = ResourceType::user(&[]);
        let known = json!({
            "schemas": [USER.to_uppercase(), ENTERPRISE], "USERNAME": "a", "id": "1", "meta": {},
            "name.givenName": "A", "name": { "familyName": "B" }, "userType": "x",
            "emails": [{ "value": "a" }, "b"], (format!("{ENTERPRISE}:department")): "d",
            (ENTERPRISE): { "manager": { "value": "1", "displayName": "x" } },
            (USER): { "title": "T" },
        });
        assert_eq!(kind.only_known(&known), Ok(()));
        for (body, name) in [
            (json!({ "shoeSize": 39 }), "\"shoeSize\""),
            (json!({ "name": { "nick": "x" } }), "\"name.nick\""),
            (json!({ "emails": [{ "value": "a" }, { "kind": "x" }] }), "\"emails.kind\""),
            (json!({ (ENTERPRISE): { "desk": 1 } }), ":desk\""),
            (json!({ (ENTERPRISE): { "manager": { "desk": 1 } } }), "manager.desk\""),
            (json!({ (USER): { "desk": 1 } }), "\"desk\""),
            (json!({ "urn:example:2.0:X": {} }), "urn:example:2.0:X"),
            (json!({ "schemas": [USER, "urn:example:2.0:X"] }), "urn:example:2.0:X"),
        ] {
            let error = kind.only_known(&body).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidSyntax);
            assert!(error.detail.contains(name), "{error}");
        }
    }
}
