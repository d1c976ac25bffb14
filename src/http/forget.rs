//! Forgetting a user who was deleted, and deleting and forgetting in one.

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::body::Payload;
use super::caller::Call;
use super::error::Failure;
use super::resource::to_the_end;
use super::writes::Writes;
use crate::scim::{ErrorKind, ScimError};

/// POST of `externalId`; whatever else the body holds does not count.
pub async fn departed(call: Call, payload: Payload, writes: &Writes) -> Result<Response, Failure> {
    let body = payload.json(&call.head.headers).await?;
    let external_id = external_id(&body)?.to_owned();
    to_the_end(writes, async move {
        call.federation().forget_departed(&call.caller, &external_id, &call.view).await?;
        Ok(empty(StatusCode::NO_CONTENT))
    })
    .await
}

/// POST to one user's own address: it is deleted and forgotten. That it is not there is no error, and
/// the answer is the same.
pub async fn named(call: Call, name: &str, writes: &Writes) -> Result<Response, Failure> {
    let name = name.to_owned();
    to_the_end(writes, async move {
        call.federation().remove_and_forget(&call.caller, &name, &call.view).await?;
        Ok(empty(StatusCode::ACCEPTED))
    })
    .await
}

/// Names of attributes are compared without case (RFC 7643 section 2.1).
fn external_id(body: &Value) -> Result<&str, ScimError> {
    let invalid = |detail: &str| ScimError::new(ErrorKind::InvalidValue, detail);
    let object = body
        .as_object()
        .ok_or_else(|| ScimError::new(ErrorKind::InvalidSyntax, "the body is no JSON object"))?;
    let given = object.iter().find(|(name, _)| name.eq_ignore_ascii_case("externalId"));
    match given.map(|(_, value)| value) {
        None | Some(Value::Null) => Err(invalid(
            "externalId is missing: it alone names the deleted user who is to be forgotten",
        )),
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        Some(_) => Err(invalid("externalId is not a text with something in it")),
    }
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
