//! PUT over what is there (RFC 7644 section 3.5.1): what cannot change stays, and so does what the
//! client was never shown and so could not hand back.
//!
//! Knows nothing of who owns a value.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::elements::{identity, same};
use super::value::Place;
use super::{Attribute, Kind, Mutability, ResourceType, Returned};
use crate::scim::error::{ErrorKind, ScimError};
use crate::scim::resource::Attributes;

impl ResourceType {
    /// The attributes of a PUT with what stays of `current`: values of immutable attributes, and of
    /// those that are never returned, where the body leaves them out.
    ///
    /// # Errors
    /// `mutability` where an immutable attribute has a value and the body gives another one.
    pub fn over(&self, current: &Attributes, given: &Attributes) -> Result<Attributes, ScimError> {
        let mut after = given.clone();
        members(&self.schema.attributes, current, &mut after, None)?;
        for (schema, _) in &self.extensions {
            let Some(Value::Object(before)) = current.get(&schema.id) else { continue };
            let mut part = match after.get_mut(&schema.id).map(Value::take) {
                Some(Value::Object(part)) => part,
                _ => Map::new(),
            };
            members(&schema.attributes, before, &mut part, Some(&Place::extension(&schema.id)))?;
            if part.is_empty() {
                after.shift_remove(&schema.id);
            } else {
                after.insert(schema.id.clone(), Value::Object(part));
            }
        }
        Ok(after)
    }
}

fn members(
    defined: &[Attribute],
    before: &Map<String, Value>,
    after: &mut Map<String, Value>,
    parent: Option<&Place<'_>>,
) -> Result<(), ScimError> {
    for attribute in defined {
        let Some(present) = before.get(&attribute.name) else { continue };
        let immutable = attribute.mutability == Mutability::Immutable;
        match after.get_mut(&attribute.name) {
            None if stays(attribute) => {
                after.insert(attribute.name.clone(), present.clone());
            }
            Some(given) if immutable => {
                if !same(attribute, present, given) {
                    let place = Place::name(parent, &attribute.name);
                    let detail = format!(
                        "{place} is immutable and has another value: repeat that one, or leave it \
                         out"
                    );
                    return Err(ScimError::new(ErrorKind::Mutability, detail));
                }
                *given = present.clone();
            }
            Some(given) if attribute.kind == Kind::Complex => {
                if !attribute.sub_attributes.iter().any(stays) {
                    continue;
                }
                let place = Place::name(parent, &attribute.name);
                match (present, given) {
                    (Value::Object(before), Value::Object(after)) => {
                        members(&attribute.sub_attributes, before, after, Some(&place))?;
                    }
                    (Value::Array(before), Value::Array(after)) => {
                        elements(attribute, before, after);
                    }
                    _ => {}
                }
            }
            None | Some(_) => {}
        }
    }
    Ok(())
}

/// An element of a list is what its value says, so that another value is another element; what
/// cannot change of one that is given again, stays as it is.
fn elements(attribute: &Attribute, before: &[Value], after: &mut [Value]) {
    let present: HashMap<String, &Value> =
        before.iter().map(|element| (identity(attribute, element), element)).collect();
    for element in after {
        let Some(present) = present.get(&identity(attribute, element)) else { continue };
        let (Value::Object(element), Value::Object(present)) = (element, present) else { continue };
        for sub in attribute.sub_attributes.iter().filter(|sub| stays(sub)) {
            let Some(value) = present.get(&sub.name) else { continue };
            if sub.mutability == Mutability::Immutable || !element.contains_key(&sub.name) {
                element.insert(sub.name.clone(), value.clone());
            }
        }
    }
}

fn stays(attribute: &Attribute) -> bool {
    attribute.mutability == Mutability::Immutable || attribute.returned == Returned::Never
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scim::schema::ResourceTypes;

    const BADGE: &str = "urn:example:2.0:Badge";

    fn kind() -> ResourceTypes {
        let schema = json!({ "id": BADGE, "attributes": [
            { "name": "number", "type": "string", "mutability": "immutable" },
            { "name": "tags", "type": "string", "multiValued": true, "mutability": "immutable" },
            { "name": "pin", "type": "string", "mutability": "writeOnly", "returned": "never" },
            { "name": "note", "type": "string" },
            { "name": "issuer", "type": "complex", "subAttributes": [
                { "name": "code", "type": "string", "mutability": "immutable" },
                { "name": "note", "type": "string" },
            ] },
            { "name": "doors", "type": "complex", "multiValued": true, "subAttributes": [
                { "name": "value", "type": "string" },
                { "name": "lock", "type": "string", "mutability": "immutable" },
                { "name": "secret", "type": "string", "returned": "never" },
            ] },
        ] });
        ResourceTypes::read(&[schema.to_string()]).unwrap()
    }

    fn over(before: &Value, given: &Value) -> Result<Value, ScimError> {
        let (Value::Object(before), Value::Object(given)) =
            (json!({ (BADGE): before }), json!({ "userName": "a", (BADGE): given }))
        else {
            panic!()
        };
        kind().user().over(&before, &given).map(|mut after| after.remove(BADGE).unwrap_or_default())
    }

    #[test]
    fn what_cannot_change_or_be_seen_stays() {
        let before = json!({
            "number": "A7", "tags": ["x", "y"], "pin": "1234", "note": "n",
            "issuer": { "code": "c", "note": "n" },
            "doors": [{ "value": "1", "lock": "l", "secret": "s" }, { "value": "2", "lock": "m" }],
        });
        let given = json!({
            "number": "a7", "tags": ["Y", "x"],
            "issuer": { "note": "o" },
            "doors": [{ "value": "1", "lock": "z" }, { "value": "3", "lock": "z" }],
        });
        let after = json!({
            "number": "A7", "tags": ["x", "y"], "pin": "1234",
            "issuer": { "note": "o", "code": "c" },
            "doors": [{ "value": "1", "lock": "l", "secret": "s" }, { "value": "3", "lock": "z" }],
        });
        assert_eq!(over(&before, &given).unwrap(), after);
        let left = json!({ "number": "A7", "tags": ["x", "y"], "pin": "1234" });
        assert_eq!(over(&before, &json!({})).unwrap(), left);
        assert_eq!(over(&json!({}), &left).unwrap(), left);
        assert_eq!(over(&json!({ "note": "n" }), &json!({})).unwrap(), Value::Null);
    }

    #[test]
    fn another_value_is_refused_by_name() {
        let before = json!({ "number": "A7", "tags": ["x"], "issuer": { "code": "c" } });
        for (given, name) in [
            (json!({ "number": "A8" }), "number"),
            (json!({ "tags": ["x", "y"] }), "tags"),
            (json!({ "issuer": { "code": "d" } }), "issuer.code"),
        ] {
            let error = over(&before, &given).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Mutability);
            assert!(error.detail.starts_with(&format!("{BADGE}:{name} is immutable")), "{error}");
        }
    }
}
