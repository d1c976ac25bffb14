//! The discovery documents (RFC 7644 section 4, RFC 7643 sections 5 to 7), made from the same data
//! that checks and filters work with.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{ListHead, Manner, Names, render_list};
use crate::scim::schema::standard::USER;
use crate::scim::schema::{ResourceType, Schema};

/// One discovery resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub body: Vec<u8>,
    /// Its `meta.location`.
    pub location: String,
}

/// What this service can do, as ServiceProviderConfig says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The longest list that one answer holds.
    pub max_results: u64,
    /// The largest body that is accepted, in bytes.
    pub max_payload_size: u64,
    /// How many operations one bulk request may hold; `None`: there is no bulk.
    pub bulk_operations: Option<u64>,
    pub change_password: bool,
    pub sort: bool,
    pub etag: bool,
    /// How long a cursor is good for between two pages, in seconds.
    pub cursor_timeout: u64,
}

/// ServiceProviderConfig (RFC 7643 section 5). Without members that strict clients do not know;
/// with `bulk.maxOperations` and `bulk.maxPayloadSize` even where there is no bulk (then 0), since
/// clients read both before they look at `supported`.
pub fn service_provider_config(capabilities: &Capabilities, base: &str) -> Document {
    let location = format!("{base}/ServiceProviderConfig");
    let bulk_size = capabilities.bulk_operations.map_or(0, |_| capabilities.max_payload_size);
    let body = bytes(&json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": { "supported": true },
        "bulk": {
            "supported": capabilities.bulk_operations.is_some(),
            "maxOperations": capabilities.bulk_operations.unwrap_or_default(),
            "maxPayloadSize": bulk_size,
        },
        "filter": { "supported": true, "maxResults": capabilities.max_results },
        "changePassword": { "supported": capabilities.change_password },
        "sort": { "supported": capabilities.sort },
        "etag": { "supported": capabilities.etag },
        // RFC 9865 section 4. Who names neither startIndex nor cursor gets what clients of old expect.
        "pagination": {
            "cursor": true,
            "index": true,
            "defaultPaginationMethod": "index",
            "defaultPageSize": capabilities.max_results,
            "maxPageSize": capabilities.max_results,
            "cursorTimeout": capabilities.cursor_timeout,
        },
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "OAuth Bearer Token",
            "description": "A bearer token in the Authorization header (RFC 6750).",
            "specUri": "https://www.rfc-editor.org/info/rfc6750",
            "primary": true,
        }],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": location,
        },
    }));
    Document { body, location }
}

/// Which part of a discovery list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// 1-based.
    pub start_index: u64,
    pub count: u64,
}

impl Part {
    /// RFC 7644 section 4: pages are none of discovery's.
    pub const WHOLE: Self = Self { start_index: 1, count: u64::MAX };
}

/// Every schema of these resource types, each once.
pub fn schemas_list(types: &[&ResourceType], base: &str, part: Part, manner: &Manner) -> Vec<u8> {
    let documents: Vec<_> =
        all_schemas(types).map(|schema| schema_document(schema, base, manner).body).collect();
    list(&documents, part, manner)
}

/// The schema with this URN, in any case.
pub fn schema(urn: &str, types: &[&ResourceType], base: &str, manner: &Manner) -> Option<Document> {
    let found = all_schemas(types).find(|schema| schema.id.eq_ignore_ascii_case(urn))?;
    Some(schema_document(found, base, manner))
}

pub fn resource_types_list(
    types: &[&ResourceType],
    base: &str,
    part: Part,
    manner: &Manner,
) -> Vec<u8> {
    let documents: Vec<_> = types.iter().map(|kind| type_document(kind, base).body).collect();
    list(&documents, part, manner)
}

/// The resource type with this name, in any case.
pub fn resource_type(name: &str, types: &[&ResourceType], base: &str) -> Option<Document> {
    let found = types.iter().find(|kind| kind.name.eq_ignore_ascii_case(name))?;
    Some(type_document(found, base))
}

fn all_schemas<'a>(types: &'a [&ResourceType]) -> impl Iterator<Item = &'a Schema> {
    let mut seen = HashSet::new();
    types
        .iter()
        .flat_map(|kind| {
            let extensions = kind.extensions.iter().map(|(schema, _)| schema.as_ref());
            std::iter::once(kind.schema.as_ref()).chain(extensions)
        })
        .filter(move |schema| seen.insert(schema.id.as_str()))
}

fn schema_document(schema: &Schema, base: &str, manner: &Manner) -> Document {
    let location = format!("{base}/Schemas/{}", schema.id);
    let mut document = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"] });
    if let (Value::Object(document), Ok(Value::Object(members))) =
        (&mut document, serde_json::to_value(schema))
    {
        document.extend(members);
        if schema.id == USER {
            let attributes = document.get_mut("attributes").and_then(Value::as_array_mut);
            attributes.into_iter().flatten().for_each(|attribute| in_manner(attribute, manner));
        }
        document
            .insert("meta".to_owned(), json!({ "resourceType": "Schema", "location": location }));
    }
    Document { body: bytes(&document), location }
}

/// What a user's attributes are to clients of this manner.
fn in_manner(attribute: &mut Value, manner: &Manner) {
    let name = attribute["name"].as_str().unwrap_or_default();
    let (mutability, required) = match name {
        "displayName" if manner.derives_display_name => ("readOnly", false),
        "userName" if manner.names == Names::ExternalId => ("readOnly", false),
        "groups" if manner.groups_writable => ("readWrite", false),
        _ => return,
    };
    attribute["mutability"] = mutability.into();
    attribute["required"] = required.into();
    let parts = attribute.get_mut("subAttributes").and_then(Value::as_array_mut);
    for part in parts.into_iter().flatten().filter(|part| part["name"] == "value") {
        part["mutability"] = mutability.into();
    }
}

fn type_document(kind: &ResourceType, base: &str) -> Document {
    let location = format!("{base}/ResourceTypes/{}", kind.name);
    let extensions: Vec<Value> = kind
        .extensions
        .iter()
        .map(|(schema, required)| json!({ "schema": schema.id, "required": required }))
        .collect();
    let body = bytes(&json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "id": kind.name,
        "name": kind.name,
        "endpoint": kind.endpoint,
        "description": kind.description,
        "schema": kind.schema.id,
        "schemaExtensions": extensions,
        "meta": {
            "resourceType": "ResourceType",
            "location": location,
        },
    }));
    Document { body, location }
}

fn list(documents: &[Vec<u8>], part: Part, manner: &Manner) -> Vec<u8> {
    let total = documents.len() as u64;
    let start_index = part.start_index.max(1);
    let place = |at: u64| usize::try_from(at.min(total)).unwrap_or(documents.len());
    let from = place(start_index - 1);
    let to = place((start_index - 1).saturating_add(part.count));
    let head =
        ListHead { total: Some(total), start_index: Some(start_index), ..ListHead::default() };
    render_list(&head, &documents[from..to], manner)
}

fn bytes(document: &Value) -> Vec<u8> {
    document.to_string().into_bytes()
}
