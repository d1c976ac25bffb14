//! What every request passes through, outermost first:
//!
//! 1. it gets an id, which the answer carries, and 5xx errors and the log name;
//! 2. it is counted, and one line goes to the log, when it is answered;
//! 3. a panic becomes a 500;
//! 4. it has a time within which it must be answered, else it is a 503, unless its handler says
//!    that it may take longer;
//! 5. it is led to its handler, which reads no more of its body than is allowed;
//! 6. whatever went wrong becomes a SCIM error; an answer to HEAD loses its body.

use std::any::Any;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, header};
use axum::response::Response;
use futures_util::FutureExt;
use hyper::body::Body as _;
use tokio::time::timeout;

use super::App;
use super::error::Failure;
use super::routes::{self, RouteName};
use crate::auth::Refused;
use crate::clock::Clock;
use crate::scim::dialect::Manner;
use crate::telemetry;

/// Carries the request's id in every answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the log line tells beside method, status and time; filled on the way in.
#[derive(Debug, Default)]
pub struct Seen {
    /// How the route is called; `None` where there is none, then the path itself is told.
    pub route: Option<RouteName>,
    pub tenant: Option<Arc<str>>,
    pub caller: Option<Arc<str>>,
    /// How the request is answered; `None` where it led to no tenant.
    pub manner: Option<Arc<Manner>>,
}

/// A request as it came in.
#[derive(Debug)]
pub struct Asked {
    pub id: String,
    pub at: Instant,
    /// Who is at the other end of the connection.
    pub peer: IpAddr,
    /// Whether the request may take as long as it takes: its body is long, and must not stand still.
    pub unhurried: AtomicBool,
}

/// Ids of requests: a part that is this process's own, and a count.
#[derive(Debug)]
pub struct RequestIds {
    process: u32,
    count: AtomicU64,
}

impl RequestIds {
    pub fn new(clock: &Clock) -> Self {
        // The last four bytes of a UUID of version 7 are random.
        let [.., a, b, c, d] = clock.new_id().into_bytes();
        Self { process: u32::from_be_bytes([a, b, c, d]), count: AtomicU64::new(1) }
    }

    fn next(&self) -> String {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        format!("{:08x}-{count:x}", self.process)
    }
}

/// Answers one request of `peer`, whatever becomes of it.
pub async fn answer(app: &App, request: Request<Body>, peer: IpAddr) -> Response {
    let app = &*app.0;
    let asked = Asked {
        id: app.request_ids.next(),
        at: Instant::now(),
        peer,
        unhurried: AtomicBool::new(false),
    };
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let mut seen = Seen::default();
    let handler = routes::dispatch(app, request, &asked, &mut seen);
    let outcome = bounded(app.limits.request_timeout, &asked.unhurried, handler).await;
    if let Err(Failure::Refused(Refused::Denied(_))) = outcome {
        app.metrics.denied();
        tracing::info!(request.id = asked.id, peer = %asked.peer, "signin.failed");
    }
    // Why not is said by whoever asks for the keys, once for each outage.
    if let Err(Failure::Refused(Refused::Keys(keys))) = &outcome {
        tracing::info!(request.id = asked.id, peer = %asked.peer, issuer = keys.issuer, "signin.undecided");
    }
    let mut response = outcome.unwrap_or_else(|failure| match &seen.manner {
        Some(manner) => failure.answer(&asked.id, manner),
        None => failure.answer(&asked.id, &Manner::rfc()),
    });
    if let Ok(id) = HeaderValue::from_str(&asked.id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    if method == Method::HEAD {
        strip(&mut response);
    }
    let duration = asked.at.elapsed();
    app.metrics.request(response.status().as_u16(), duration);
    telemetry::request::Request {
        method: method.as_str(),
        path: seen.route.as_deref().unwrap_or(uri.path()),
        status: response.status().as_u16(),
        duration,
        tenant: seen.tenant.as_deref(),
        caller: seen.caller.as_deref(),
        request_id: &asked.id,
        bytes: response.body().size_hint().exact().unwrap_or_default(),
    }
    .log();
    response
}

/// Layers 3 and 4.
async fn bounded(
    time: Duration,
    unhurried: &AtomicBool,
    handler: impl Future<Output = Result<Response, Failure>>,
) -> Result<Response, Failure> {
    let in_time = async {
        let mut handler = pin!(handler);
        match timeout(time, &mut handler).await {
            Ok(outcome) => outcome,
            Err(_elapsed) if unhurried.load(Ordering::Relaxed) => handler.await,
            Err(_elapsed) => Err(Failure::TimedOut),
        }
    };
    // What a panic may leave half done is the request's own, and goes with it.
    match AssertUnwindSafe(in_time).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(panic) => Err(Failure::Panicked(message(panic.as_ref()))),
    }
}

/// What a panic said; for the log.
pub fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// RFC 9110 section 9.3.2: an answer to HEAD has the headers of GET, so its length, and no body.
fn strip(response: &mut Response) {
    // An empty body says nothing of GET's: RFC 9110 section 8.6 on 304.
    if let Some(length) = response.body().size_hint().exact().filter(|length| *length > 0) {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    *response.body_mut() = Body::empty();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_differ() {
        let ids = RequestIds::new(&Clock::system());
        let (first, second) = (ids.next(), ids.next());
        assert_ne!(first, second);
        assert!(first.ends_with("-1"), "{first}");
        ids.count.store(u64::MAX, Ordering::Relaxed);
        assert_eq!(ids.next().len(), 25);
        assert_ne!(RequestIds::new(&Clock::system()).next(), first);
    }

    #[tokio::test]
    async fn a_handler_can_neither_hang_nor_panic() {
        let time = Duration::from_secs(30);
        let hurried = &AtomicBool::new(false);
        let soon = Duration::from_millis(5);
        let hangs = bounded(soon, hurried, std::future::pending()).await.unwrap_err();
        assert!(matches!(hangs, Failure::TimedOut), "{hangs}");
        for panics in [
            bounded(time, hurried, async { panic!("plain") }).await,
            bounded(time, hurried, async { panic!("{}", "plain") }).await,
        ] {
            let panics = panics.unwrap_err();
            assert!(matches!(&panics, Failure::Panicked(said) if said == "plain"), "{panics}");
        }
        let answers = bounded(time, hurried, async { Ok(Response::new(Body::empty())) }).await;
        assert!(answers.is_ok());
        let late = async {
            tokio::time::sleep(soon * 4).await;
            Ok(Response::new(Body::empty()))
        };
        assert!(bounded(soon, &AtomicBool::new(true), late).await.is_ok());
    }

    #[test]
    fn an_answer_to_head_keeps_its_length() {
        let mut response = Response::new(Body::from("12345"));
        strip(&mut response);
        assert_eq!(response.headers()[header::CONTENT_LENGTH], "5");
        assert!(response.body().is_end_stream());
    }
}
