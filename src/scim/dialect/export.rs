//! Resources as a bulk request that creates them anew elsewhere (RFC 7644 section 3.7).
//!
//! What only the place where they are gives them stays there: ids, times, the groups that they are
//! in, and secrets.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::scim::bulk::{BULK_REQUEST, REFERENCE};
use crate::scim::resource::Attributes;
use crate::scim::schema::{Attribute, Mutability, ResourceType, Returned};

/// A BulkRequest of one POST for each resource, whose `bulkId` is the resource's id here. A manager
/// who comes along is referred to by it.
pub fn render_export(kind: &ResourceType, resources: &[&Attributes]) -> Vec<u8> {
    let id = |attributes: &Attributes| {
        attributes.get("id").and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let ids: HashSet<String> = resources.iter().copied().map(id).collect();
    let operation = |attributes: &&Attributes| {
        json!({
            "method": "POST",
            "path": kind.endpoint,
            "bulkId": id(attributes),
            "data": data(kind, attributes, &ids),
        })
    };
    let operations: Vec<Value> = resources.iter().map(operation).collect();
    json!({ "schemas": [BULK_REQUEST], "Operations": operations }).to_string().into_bytes()
}

fn data(kind: &ResourceType, attributes: &Attributes, ids: &HashSet<String>) -> Value {
    let mut schemas = vec![kind.schema.id.as_str()];
    let mut core = Map::new();
    let mut extensions = Map::new();
    for (name, value) in attributes {
        if let Some(attribute) = kind.top_level(name) {
            if let Some(value) = carried(attribute, value, ids) {
                core.insert(name.clone(), value);
            }
        } else if let (Some(schema), Value::Object(members)) = (kind.extension(name), value) {
            let members: Map<String, Value> = schema
                .attributes
                .iter()
                .filter_map(|attribute| {
                    let value = carried(attribute, members.get(&attribute.name)?, ids)?;
                    Some((attribute.name.clone(), value))
                })
                .collect();
            if !members.is_empty() {
                schemas.push(&schema.id);
                extensions.insert(schema.id.clone(), Value::Object(members));
            }
        }
    }
    let mut data = Map::from_iter([("schemas".to_owned(), json!(schemas))]);
    data.extend(core);
    data.extend(extensions);
    Value::Object(data)
}

/// What of a value can be written elsewhere.
fn carried(attribute: &Attribute, value: &Value, ids: &HashSet<String>) -> Option<Value> {
    let refers = attribute.sub_attribute("$ref").is_some();
    // Lists of what else there is here: groups, devices.
    if is_kept_here(attribute) || refers && attribute.multi_valued {
        return None;
    }
    match value {
        Value::Object(members) => {
            let members = written(attribute, members, ids);
            (!members.is_empty()).then_some(Value::Object(members))
        }
        Value::Array(elements) => Some(
            elements
                .iter()
                .map(|element| match element {
                    Value::Object(members) => Value::Object(written(attribute, members, ids)),
                    other => other.clone(),
                })
                .collect(),
        ),
        other => Some(other.clone()),
    }
}

fn written(
    attribute: &Attribute,
    members: &Map<String, Value>,
    ids: &HashSet<String>,
) -> Map<String, Value> {
    let refers = attribute.sub_attribute("$ref").is_some();
    let kept = |name: &String| {
        name != "$ref" && attribute.sub_attribute(name).is_none_or(|sub| !is_kept_here(sub))
    };
    let value = |name: &String, value: &Value| match value.as_str() {
        Some(id) if refers && name == "value" && ids.contains(id) => {
            Value::String(format!("{REFERENCE}{id}"))
        }
        _ => value.clone(),
    };
    members
        .iter()
        .filter(|(name, _)| kept(name))
        .map(|(name, held)| (name.clone(), value(name, held)))
        .collect()
}

fn is_kept_here(attribute: &Attribute) -> bool {
    attribute.mutability == Mutability::ReadOnly || attribute.returned == Returned::Never
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::bulk::Bulk;
    use crate::scim::schema::standard::{ENTERPRISE, SOURCE, USER};

    #[test]
    fn what_is_carried_is_what_can_be_written() {
        let kind = ResourceType::user(&[]);
        let user = |value: Value| value.as_object().unwrap().clone();
        let led = user(json!({
            "id": "u-2", "meta": { "version": "W/\"3\"" }, "userType": "FTRESS", "userName": "led",
            "externalId": "E-2", "password": "t1me", "active": false,
            "emails": [{ "value": "led@example.com", "type": "work", "primary": true }],
            "groups": [{ "value": "g", "$ref": "/Groups/g" }],
            (ENTERPRISE): { "department": "Tours",
                "manager": { "value": "u-1", "$ref": "../Users/u-1", "displayName": "Boss" } },
            (SOURCE): { "userRepositoryId": "corp", "dn": "uid=led" },
        }));
        let boss = user(json!({ "id": "u-1", "userName": "boss",
            (ENTERPRISE): { "manager": { "value": "elsewhere" } } }));
        let bytes = render_export(&kind, &[&led, &boss]);
        let request: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(
            request["Operations"][0],
            json!({ "method": "POST", "path": "/Users", "bulkId": "u-2", "data": {
                "schemas": [USER, ENTERPRISE],
                "userName": "led", "externalId": "E-2", "active": false,
                "emails": [{ "value": "led@example.com", "type": "work", "primary": true }],
                (ENTERPRISE): { "department": "Tours", "manager": { "value": "bulkId:u-1" } },
            } })
        );
        let data = &request["Operations"][1]["data"];
        assert_eq!(data[ENTERPRISE]["manager"], json!({ "value": "elsewhere" }));
        assert_eq!(Bulk::parse(request, 2).unwrap().steps.len(), 2);
        let none: Value = serde_json::from_slice(&render_export(&kind, &[])).unwrap();
        assert_eq!(none["Operations"], json!([]));
    }
}
