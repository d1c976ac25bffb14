//! One resource over HTTP: from a request with its headers to an operation, and back (RFC 7644
//! sections 3.3 to 3.6).

use std::sync::Arc;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde_json::Value;

use super::body::{self, Payload};
use super::caller::Call;
use super::error::Failure;
use super::etag::{self, Precondition};
use super::operation::{self, Done};
use super::writes::Writes;
use super::{addressed, layers, query};
use crate::caller::Permission;
use crate::scim::dialect::Manner;
use crate::scim::{ErrorKind, Projection, Query, ResourceType, ScimError};

/// POST to a type's endpoint.
pub async fn create(
    mut call: Call,
    payload: Payload,
    kind: &Arc<ResourceType>,
    writes: &Writes,
) -> Result<Response, Failure> {
    let projection = projection(&mut call, kind)?;
    let body = payload.json(&call.head.headers).await?;
    let kind = Arc::clone(kind);
    to_the_end(writes, async move {
        let done = operation::create(&call, &kind, body, &projection).await?;
        Ok(answer(done, call.manner()))
    })
    .await
}

/// GET of one.
pub async fn read(mut call: Call, kind: &Arc<ResourceType>, id: &str) -> Result<Response, Failure> {
    let projection = projection(&mut call, kind)?;
    let id = addressed::by_parameters(&call, kind, id, Permission::UsersRead).await?;
    let resource = call.federation().read(&call.caller, kind, &id, &call.view).await?;
    if etag::none_match(&call.head.headers, &resource.version)? {
        let location = operation::location(&call, kind, &resource);
        return Ok(etag::not_modified(&resource.version, location));
    }
    let done = Done::new(&call, kind, resource, &projection, StatusCode::OK);
    Ok(answer(done, call.manner()))
}

/// PUT.
pub async fn replace(
    mut call: Call,
    payload: Payload,
    kind: &Arc<ResourceType>,
    id: &str,
    writes: &Writes,
) -> Result<Response, Failure> {
    let projection = projection(&mut call, kind)?;
    let precondition = Precondition::of(&call.head.headers)?;
    let body = payload.json(&call.head.headers).await?;
    let (kind, id) = (Arc::clone(kind), id.to_owned());
    to_the_end(writes, async move {
        let if_match = precondition.if_match();
        let done = operation::replace(&call, &kind, &id, if_match, body, &projection).await;
        done.map(|done| answer(done, call.manner())).map_err(|failure| precondition.failed(failure))
    })
    .await
}

/// PATCH; the answer is the whole resource, which every known client is content with, unless the
/// body or else the tenant says that nobody wants it.
pub async fn modify(
    mut call: Call,
    payload: Payload,
    kind: &Arc<ResourceType>,
    id: &str,
    writes: &Writes,
) -> Result<Response, Failure> {
    let projection = projection(&mut call, kind)?;
    let precondition = Precondition::of(&call.head.headers)?;
    let body = payload.json(&call.head.headers).await?;
    let (kind, id) = (Arc::clone(kind), id.to_owned());
    to_the_end(writes, async move {
        let if_match = precondition.if_match();
        let id = addressed::by_parameters(&call, &kind, &id, Permission::UsersReplace).await?;
        let shows = performs_get(&body)?.unwrap_or(call.federation().customs().patch_performs_get);
        let done = operation::modify(&call, &kind, &id, if_match, &body, &projection).await;
        let answered = |done| {
            let mut response = answer(done, call.manner());
            if !shows {
                *response.status_mut() = StatusCode::NO_CONTENT;
                response.headers_mut().remove(header::CONTENT_TYPE);
                *response.body_mut() = Body::empty();
            }
            response
        };
        done.map(answered).map_err(|failure| precondition.failed(failure))
    })
    .await
}

/// What a PATCH says of whether the resource is to be shown.
fn performs_get(body: &Value) -> Result<Option<bool>, ScimError> {
    let members = body.as_object().into_iter().flatten();
    let mut named = members.filter(|(name, _)| name.eq_ignore_ascii_case("performGet"));
    match named.next().map(|(_, value)| value) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(shows)) => Ok(Some(*shows)),
        Some(Value::String(word)) if word.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Some(Value::String(word)) if word.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Some(_) => Err(ScimError::new(
            ErrorKind::InvalidValue,
            "performGet is true or false: whether the answer shows the resource",
        )),
    }
}

/// DELETE.
pub async fn remove(
    call: Call,
    kind: &Arc<ResourceType>,
    id: &str,
    writes: &Writes,
) -> Result<Response, Failure> {
    let precondition = Precondition::of(&call.head.headers)?;
    let (kind, id) = (Arc::clone(kind), id.to_owned());
    to_the_end(writes, async move {
        let id = addressed::by_parameters(&call, &kind, &id, Permission::UsersDelete).await?;
        let done = operation::remove(&call, &kind, &id, precondition.if_match()).await;
        done.map(|done| answer(done, call.manner())).map_err(|failure| precondition.failed(failure))
    })
    .await
}

fn answer(done: Done, manner: &Manner) -> Response {
    let Some(shown) = done.shown else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = done.status;
        return response;
    };
    let mut response = body::message(shown.body, manner);
    *response.status_mut() = done.status;
    etag::describe(response.headers_mut(), &shown.resource.version, shown.location);
    response
}

/// What `attributes` or `excludedAttributes` of the query string select (RFC 7644 section 3.9).
fn projection(call: &mut Call, kind: &ResourceType) -> Result<Projection, Failure> {
    let Some(written) = call.head.uri.query() else {
        call.view.members = true;
        return Ok(Projection::Default);
    };
    // What else there is, is for searches and means nothing here.
    let pairs = query::pairs(Some(written))?.into_iter().filter(|(name, _)| {
        name.eq_ignore_ascii_case("attributes") || name.eq_ignore_ascii_case("excludedAttributes")
    });
    let projection = Query::from_parameters(pairs, kind, call.manner())?.projection;
    call.view.photos = projection.asks_for("photos");
    call.view.members = projection.includes("members");
    Ok(projection)
}

/// Runs a write that nothing cuts off halfway: when the client hangs up or the request's time is
/// over, the write goes on until it is whole, caches and all; a shutdown waits for it.
pub async fn to_the_end(
    writes: &Writes,
    write: impl Future<Output = Result<Response, Failure>> + Send + 'static,
) -> Result<Response, Failure> {
    let going_on = writes.begin();
    let write = async move {
        let outcome = write.await;
        drop(going_on);
        outcome
    };
    tokio::spawn(write).await.unwrap_or_else(|stopped| {
        Err(Failure::Panicked(match stopped.try_into_panic() {
            Ok(panic) => layers::message(panic.as_ref()),
            Err(cancelled) => cancelled.to_string(),
        }))
    })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn a_write_is_waited_for_when_nobody_else_waits_for_it() {
        let (writes, gate) = (Writes::default(), Arc::new(Notify::new()));
        let write = {
            let gate = Arc::clone(&gate);
            async move {
                gate.notified().await;
                Ok(Response::new(Body::empty()))
            }
        };
        // The client hangs up as soon as the write has begun.
        assert!(to_the_end(&writes, write).now_or_never().is_none());
        assert_eq!(writes.count(), 1);
        assert!(writes.finished().now_or_never().is_none());
        gate.notify_one();
        writes.finished().await;
        assert_eq!(writes.count(), 0);
        // One that panics does not hold a shutdown up.
        let failed = to_the_end(&writes, async { panic!("plain") }).await.unwrap_err();
        assert!(matches!(failed, Failure::Panicked(_)), "{failed}");
        writes.finished().await;
    }
}
