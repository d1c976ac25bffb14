//! One resource: create, read, replace, modify, remove (RFC 7644 sections 3.3 to 3.6).

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::body::{Payload, ScimJson};
use super::caller::Call;
use super::error::Failure;
use super::etag::{self, Precondition};
use super::writes::Writes;
use super::{layers, query};
use crate::federation::Person;
use crate::scim::dialect::{location, render_resource};
use crate::scim::schema::check::Purpose;
use crate::scim::{Patch, Projection, Query};

/// POST: creates a user, or binds one.
pub async fn create(
    mut call: Call,
    payload: Payload,
    writes: &Writes,
) -> Result<Response, Failure> {
    let projection = projection(&mut call)?;
    let checked =
        call.resource_type().check(payload.json(&call.head.headers).await?, Purpose::Create)?;
    to_the_end(writes, async move {
        let created = call.federation().create(&call.caller, checked, &call.view).await?;
        Ok(single(&call, &created.person, &projection, StatusCode::CREATED))
    })
    .await
}

/// GET of one.
pub async fn read(mut call: Call, id: &str) -> Result<Response, Failure> {
    let projection = projection(&mut call)?;
    let person = call.federation().read(&call.caller, id, &call.view).await?;
    if etag::none_match(&call.head.headers, &person.version)? {
        let location = location(&call.mount.base, call.resource_type(), &person.id);
        return Ok(etag::not_modified(&person.version, location));
    }
    Ok(single(&call, &person, &projection, StatusCode::OK))
}

/// GET of the user that the token stands for (RFC 7644 section 3.11).
pub async fn me(call: Call) -> Result<Response, Failure> {
    let id = call.caller.user.clone().ok_or(Failure::NoUser)?;
    read(call, &id).await
}

/// PUT.
pub async fn replace(
    mut call: Call,
    payload: Payload,
    id: &str,
    writes: &Writes,
) -> Result<Response, Failure> {
    let projection = projection(&mut call)?;
    let precondition = Precondition::of(&call.head.headers)?;
    let checked =
        call.resource_type().check(payload.json(&call.head.headers).await?, Purpose::Replace)?;
    let id = id.to_owned();
    to_the_end(writes, async move {
        let (caller, view) = (&call.caller, &call.view);
        let if_match = precondition.if_match();
        let replaced = call.federation().replace(caller, &id, if_match, checked, view).await;
        let person = replaced.map_err(|problem| precondition.failed(problem))?;
        Ok(single(&call, &person, &projection, StatusCode::OK))
    })
    .await
}

/// PATCH; the answer is the whole resource, which every known client is content with.
pub async fn modify(
    mut call: Call,
    payload: Payload,
    id: &str,
    writes: &Writes,
) -> Result<Response, Failure> {
    let projection = projection(&mut call)?;
    let precondition = Precondition::of(&call.head.headers)?;
    let patch = Patch::parse(&payload.json(&call.head.headers).await?, call.resource_type())?;
    let id = id.to_owned();
    to_the_end(writes, async move {
        let (caller, view) = (&call.caller, &call.view);
        let if_match = precondition.if_match();
        let modified = call.federation().modify(caller, &id, if_match, &patch, view).await;
        let person = modified.map_err(|problem| precondition.failed(problem))?;
        Ok(single(&call, &person, &projection, StatusCode::OK))
    })
    .await
}

/// DELETE.
pub async fn remove(call: Call, id: &str, writes: &Writes) -> Result<Response, Failure> {
    let precondition = Precondition::of(&call.head.headers)?;
    let id = id.to_owned();
    to_the_end(writes, async move {
        let if_match = precondition.if_match();
        let removed = call.federation().remove(&call.caller, &id, if_match, &call.view).await;
        removed.map_err(|problem| precondition.failed(problem))?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    })
    .await
}

/// The resource's message under the projection; `source` is whether it tells without being asked
/// where the person comes from.
pub fn message(call: &Call, person: &Person, projection: &Projection, source: bool) -> Bytes {
    let render = || {
        let kind = call.resource_type();
        let base = &call.mount.base;
        render_resource(&person.attributes, projection, kind, base, source).into()
    };
    match projection {
        Projection::Default => person.rendered(call.mount.index, source, render),
        Projection::Only(_) | Projection::Without(_) => render(),
    }
}

fn single(call: &Call, person: &Person, projection: &Projection, status: StatusCode) -> Response {
    let body = message(call, person, projection, person.show_source);
    let mut response = ScimJson(body).into_response();
    *response.status_mut() = status;
    let location = person.located(call.mount.index, || {
        location(&call.mount.base, call.resource_type(), &person.id).into()
    });
    etag::describe(response.headers_mut(), &person.version, location);
    response
}

/// What `attributes` or `excludedAttributes` of the query string select (RFC 7644 section 3.9).
fn projection(call: &mut Call) -> Result<Projection, Failure> {
    let Some(written) = call.head.uri.query() else { return Ok(Projection::Default) };
    // What else there is, is for searches and means nothing here.
    let pairs = query::pairs(Some(written))?.into_iter().filter(|(name, _)| {
        name.eq_ignore_ascii_case("attributes") || name.eq_ignore_ascii_case("excludedAttributes")
    });
    let projection = Query::from_parameters(pairs, call.resource_type())?.projection;
    call.view.photos = projection.asks_for("photos");
    Ok(projection)
}

/// Runs a write that nothing cuts off halfway: when the client hangs up or the request's time is
/// over, the write goes on until it is whole, caches and all; a shutdown waits for it.
async fn to_the_end(
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
    use std::sync::Arc;

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
