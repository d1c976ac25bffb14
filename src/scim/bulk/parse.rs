//! From the body of a bulk request to its operations.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{BULK_REQUEST, Bulk, BulkError, Id, Method, Operation, REFERENCE, Step};
use crate::scim::error::{ErrorKind, ScimError};
use crate::scim::schema::value::found;

/// The longest `bulkId`, in bytes.
const MAX_BULK_ID: usize = 256;

impl Bulk {
    /// Reads a BulkRequest; names of members in any case, and methods too.
    ///
    /// # Errors
    /// `invalidSyntax` where the body is no BulkRequest message, `invalidValue` for `failOnErrors`
    /// that is no positive number and for a `bulkId` that two operations have, and
    /// [`BulkError::TooMany`] for more operations than `limit`. What is wrong with one operation
    /// stands in its [`Step`].
    pub fn parse(body: Value, limit: usize) -> Result<Self, BulkError> {
        let Value::Object(mut body) = body else {
            return Err(syntax(format!("the body is {}, not a bulk request", found(&body))));
        };
        let named =
            taken(&mut body, "schemas").as_ref().and_then(Value::as_array).is_some_and(|urns| {
                urns.iter()
                    .filter_map(Value::as_str)
                    .any(|urn| urn.eq_ignore_ascii_case(BULK_REQUEST))
            });
        if !named {
            return Err(syntax(format!("schemas is missing: name {BULK_REQUEST} in it")));
        }
        let operations = match taken(&mut body, "Operations") {
            Some(Value::Array(operations)) => operations,
            Some(other) => {
                return Err(syntax(format!("Operations is {}, not a list", found(&other))));
            }
            None => return Err(syntax("Operations is missing: give a list of operations".into())),
        };
        if operations.len() > limit {
            return Err(BulkError::TooMany { limit });
        }
        let fail_on_errors = match taken(&mut body, "failOnErrors") {
            None | Some(Value::Null) => None,
            Some(given) => {
                let number = given.as_u64().and_then(|number| usize::try_from(number).ok());
                Some(number.filter(|number| *number > 0).ok_or_else(|| {
                    invalid(
                        "failOnErrors is no whole number from 1 on: after so many errors \
                             nothing more is done"
                            .into(),
                    )
                })?)
            }
        };
        let steps: Vec<Step> = operations.into_iter().map(step).collect();
        let mut seen = HashSet::new();
        for step in steps.iter().filter(|step| step.method == "POST") {
            let Some(bulk_id) = step.bulk_id.as_deref() else { continue };
            if !seen.insert(bulk_id) {
                return Err(invalid(format!(
                    "bulkId {bulk_id:?} is the one of two operations: give each its own"
                )));
            }
        }
        Ok(Self { steps, fail_on_errors })
    }
}

fn step(given: Value) -> Step {
    let Value::Object(mut members) = given else {
        let error = fault(format!("the operation is {}, not an object", found(&given)));
        let method = String::new();
        return Step { method, bulk_id: None, path: String::new(), operation: Err(error) };
    };
    let mut text = |name: &str| match taken(&mut members, name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(fault(format!("{name} is {}, not a string", found(&other)))),
    };
    let (method, bulk_id, path, version) =
        (text("method"), text("bulkId"), text("path"), text("version"));
    let written = |text: &Result<Option<String>, ScimError>| text.clone().ok().flatten();
    let mut step = Step {
        method: written(&method).unwrap_or_default().to_ascii_uppercase(),
        bulk_id: written(&bulk_id).filter(|bulk_id| bulk_id.len() <= MAX_BULK_ID),
        path: written(&path).unwrap_or_default(),
        operation: Err(fault("the operation is none".to_owned())),
    };
    let data = taken(&mut members, "data").unwrap_or_default();
    step.operation = method.and_then(|method| bulk_id.map(|bulk_id| (method, bulk_id))).and_then(
        |(method, bulk_id)| {
            operation(method.as_deref(), bulk_id.as_deref(), path?.as_deref(), version?, data)
        },
    );
    step
}

fn operation(
    method: Option<&str>,
    bulk_id: Option<&str>,
    path: Option<&str>,
    version: Option<String>,
    data: Value,
) -> Result<Operation, ScimError> {
    let method = match method.map(str::to_ascii_uppercase).as_deref() {
        Some("GET") => Method::Get,
        Some("POST") => Method::Post,
        Some("PUT") => Method::Put,
        Some("PATCH") => Method::Patch,
        Some("DELETE") => Method::Delete,
        Some(_) => return Err(fault("method is none of POST, PUT, PATCH and DELETE".into())),
        None => return Err(fault("method is missing: POST, PUT, PATCH or DELETE".into())),
    };
    if bulk_id.is_some_and(|bulk_id| bulk_id.len() > MAX_BULK_ID) {
        return Err(fault(format!("bulkId is longer than {MAX_BULK_ID} bytes")));
    }
    let path = path.ok_or_else(|| fault("path is missing, such as /Users".into()))?;
    let (endpoint, id) = segments(path)
        .ok_or_else(|| fault("path is neither like /Users nor like /Users/{id}".to_owned()))?;
    match (method, id) {
        (Method::Post, Some(_)) => {
            return Err(fault("path of a POST is an endpoint alone, such as /Users".into()));
        }
        (Method::Post, None) => {}
        (_, None) => {
            return Err(fault("path names no resource: write for example /Users/{id}".into()));
        }
        _ => {}
    }
    if method == Method::Post && bulk_id.is_none_or(str::is_empty) {
        // RFC 7644 section 3.7: "REQUIRED when "method" is "POST"".
        return Err(fault("bulkId is missing: a POST needs one, whatever it is".into()));
    }
    if data.is_null() && !matches!(method, Method::Get | Method::Delete) {
        return Err(fault("data is missing: it is the body of the operation".into()));
    }
    let id = id.map(|id| match id.strip_prefix(REFERENCE) {
        Some(bulk_id) => Id::Created(bulk_id.to_owned()),
        None => Id::Known(id.to_owned()),
    });
    Ok(Operation { method, endpoint: endpoint.to_owned(), id, version, data })
}

/// The endpoint and the id; a query string says nothing here.
fn segments(path: &str) -> Option<(&str, Option<&str>)> {
    let path = path.split('?').next().unwrap_or_default();
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    match inner.split_once('/') {
        None if !inner.is_empty() => Some((inner, None)),
        Some((endpoint, id)) if !endpoint.is_empty() && !id.is_empty() && !id.contains('/') => {
            Some((endpoint, Some(id)))
        }
        _ => None,
    }
}

/// A member by its name in any case, taken out.
fn taken(members: &mut Map<String, Value>, name: &str) -> Option<Value> {
    if let Some(value) = members.get_mut(name) {
        return Some(value.take());
    }
    let mut others = members.iter_mut();
    others.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.take())
}

fn fault(detail: String) -> ScimError {
    ScimError::new(ErrorKind::InvalidSyntax, detail)
}

fn syntax(detail: String) -> BulkError {
    BulkError::Scim(fault(detail))
}

fn invalid(detail: String) -> BulkError {
    BulkError::Scim(ScimError::new(ErrorKind::InvalidValue, detail))
}
