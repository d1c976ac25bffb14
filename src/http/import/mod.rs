//! Imports: taken in while they come, told of, called off.

pub(super) mod rows;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::body::{self, PATIENCE, Payload};
use super::caller::Call;
use super::error::Failure;
use super::layers;
use super::query;
use super::resource::to_the_end;
use super::writes::Writes;
use crate::federation::Coming;
use crate::scim::dialect::{import_location, render_import, render_import_report};
use crate::scim::{Query, ScimError};
use rows::{Order, Part, Stopped};

/// How many pieces of a body, and parts of its rows, wait for each other at most.
const PIECES: usize = 8;
const PARTS: usize = 2;

/// Rows told of at once where nobody says how many.
const TOLD: u64 = 100;

/// POST of an import. It becomes a job when its body has come in whole; what breaks off leaves
/// nothing.
pub async fn create(
    call: Call,
    payload: Payload,
    longest_row: usize,
    writes: &Writes,
) -> Result<Response, Failure> {
    body::json_only(&call.head.headers)?;
    to_the_end(writes, async move {
        let federation = call.federation();
        let mut coming = federation.begin_import(&call.caller, &call.view).await?;
        let queued = match take_in(&call, &mut coming, payload, longest_row).await {
            Ok(Order { group, policy }) => {
                let policy = policy.as_deref();
                let queue =
                    federation.queue_import(&call.caller, &coming, &group, policy, &call.view);
                queue.await.map_err(Failure::from)
            }
            Err(failure) => Err(failure),
        };
        match queued {
            Ok(correlation_id) => Ok(accepted(&call, &correlation_id)),
            Err(failure) => {
                if let Err(error) = federation.drop_import(&coming).await {
                    // It goes by itself, later.
                    tracing::warn!(%error, "import.left");
                }
                Err(failure)
            }
        }
    })
    .await
}

/// GET of one.
pub async fn report(call: Call, correlation_id: &str) -> Result<Response, Failure> {
    let pairs = query::pairs(call.head.uri.query())?;
    let query =
        Query::from_parameters(pairs.into_iter(), call.federation().users(), call.manner())?;
    let (start, count) = (query.start_index.max(1), query.count.unwrap_or(TOLD));
    let report = call.federation().import_report(&call.caller, correlation_id, start, count);
    Ok(body::message(render_import_report(&report.await?), call.manner()))
}

/// DELETE of one.
pub async fn cancel(
    call: Call,
    correlation_id: &str,
    writes: &Writes,
) -> Result<Response, Failure> {
    let correlation_id = correlation_id.to_owned();
    to_the_end(writes, async move {
        call.federation().cancel_import(&call.caller, &correlation_id, &call.view).await?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    })
    .await
}

fn accepted(call: &Call, correlation_id: &str) -> Response {
    let base = &call.mount.base;
    let mut response = body::message(render_import(base, correlation_id), call.manner());
    *response.status_mut() = StatusCode::ACCEPTED;
    if let Ok(location) = HeaderValue::from_str(&import_location(base, correlation_id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Reads the body, and keeps its rows as they come; a thread of its own takes it apart.
async fn take_in(
    call: &Call,
    coming: &mut Coming,
    payload: Payload,
    longest_row: usize,
) -> Result<Order, Failure> {
    let (give, mut pieces) = mpsc::channel::<Bytes>(PIECES);
    let (hand_on, parts) = mpsc::channel::<Part>(PARTS);
    let reading = tokio::task::spawn_blocking(move || {
        let mut take = |part| hand_on.blocking_send(part).map_err(|_| Stopped);
        rows::read(|| pieces.blocking_recv(), longest_row, &mut take)
    });
    let (came, kept) = tokio::join!(come(payload, give), keep(call, coming, parts));
    let read = reading.await.map_err(|stopped| {
        Failure::Panicked(match stopped.try_into_panic() {
            Ok(panic) => layers::message(panic.as_ref()),
            Err(cancelled) => cancelled.to_string(),
        })
    })?;
    // Where the body broke off, or nothing more was kept, what was read of it is wrong of course.
    came?;
    kept?;
    read.map_err(|error: ScimError| error.into())
}

/// Gives the pieces of the body on for as long as somebody takes them.
async fn come(payload: Payload, give: mpsc::Sender<Bytes>) -> Result<(), Failure> {
    let Payload { mut body, limit } = payload;
    // What the client declares is refused before a byte of it is read.
    if body.size_hint().lower() > limit as u64 {
        return Err(Failure::TooLarge(limit));
    }
    let mut length = 0;
    while let Some(frame) = timeout(PATIENCE, body.frame()).await.map_err(|_| Failure::SlowBody)? {
        let Ok(data) = frame.map_err(|_| Failure::BrokenBody)?.into_data() else { continue };
        length += data.len();
        if length > limit {
            return Err(Failure::TooLarge(limit));
        }
        if give.send(data).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn keep(
    call: &Call,
    coming: &mut Coming,
    mut parts: mpsc::Receiver<Part>,
) -> Result<(), Failure> {
    while let Some(Part { users, rows }) = parts.recv().await {
        call.federation().spool_import(coming, &users, rows).await?;
    }
    Ok(())
}
