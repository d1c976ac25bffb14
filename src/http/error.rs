//! What goes wrong and how it is answered: the one table (RFC 7644 section 3.12).

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::body::media_type;
use crate::auth::{Denied, Refused};
use crate::federation::Problem;
use crate::scim::dialect::{self, Manner};
use crate::scim::{ErrorKind, ScimError};

/// Why a request is not done as asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Problem(#[from] Problem),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("no such path")]
    UnknownPath,
    /// With the methods that there are, as `Allow` lists them.
    #[error("only {0} here")]
    Method(&'static str),
    #[error("no JSON type is accepted")]
    NotAcceptable,
    #[error("the body is not JSON")]
    MediaType,
    /// With the limit, in bytes.
    #[error("the body is longer than {0} bytes")]
    TooLarge(usize),
    /// With how many are accepted.
    #[error("more than {0} operations")]
    TooManyOperations(usize),
    #[error("the body broke off")]
    BrokenBody,
    #[error("the body stood still")]
    SlowBody,
    #[error("malformed {0}")]
    MalformedTag(HeaderName),
    #[error("If-None-Match with entity tags on a write")]
    NoneMatchOnWrite,
    #[error("something exists that should not")]
    Exists,
    #[error("discovery takes no filter")]
    FilterOnDiscovery,
    #[error("no such schema or resource type: {0}")]
    UnknownDefinition(String),
    #[error("the token stands for no user")]
    NoUser,
    #[error("the request took too long")]
    TimedOut,
    /// With what the panic said.
    #[error("a panic: {0}")]
    Panicked(String),
}

impl From<ScimError> for Failure {
    fn from(error: ScimError) -> Self {
        Self::Problem(Problem::Scim(error))
    }
}

/// One row of the table.
struct Row {
    status: StatusCode,
    kind: Option<ErrorKind>,
    detail: Cow<'static, str>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Failure {
    /// The answer. What is the bridge's own fault goes to the log here, once and whole; the client
    /// reads the request's id.
    pub fn answer(self, request_id: &str, manner: &Manner) -> Response {
        let (row, message) = self.told(request_id, manner);
        let mut response = Response::new(Body::from(message));
        *response.status_mut() = row.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, media_type(manner));
        headers.extend(row.header);
        response
    }

    /// The status and the message alone, for an operation of a bulk request.
    pub fn message(self, request_id: &str, manner: &Manner) -> (StatusCode, Vec<u8>) {
        let (row, message) = self.told(request_id, manner);
        (row.status, message)
    }

    fn told(self, request_id: &str, manner: &Manner) -> (Row, Vec<u8>) {
        let row = self.row(request_id);
        if row.status.is_server_error() {
            self.log(request_id, row.status);
        }
        let message = dialect::render_error(row.status.as_u16(), row.kind, &row.detail, manner);
        (row, message)
    }

    fn row(&self, request_id: &str) -> Row {
        use StatusCode as S;
        match self {
            Self::Problem(problem) => problem_row(problem, request_id),
            Self::Refused(Refused::Denied(denied)) => row(S::UNAUTHORIZED, denied.to_string())
                .with(header::WWW_AUTHENTICATE, challenge(*denied)),
            Self::Refused(refused @ (Refused::Throttled(wait) | Refused::Rate(wait))) => {
                row(S::TOO_MANY_REQUESTS, refused.to_string())
                    .with_value(header::RETRY_AFTER, HeaderValue::from(retry_after(*wait)))
            }
            Self::Refused(refused @ Refused::Unavailable(_)) => {
                row(S::SERVICE_UNAVAILABLE, format!("{refused} (request {request_id})"))
                    .with(header::RETRY_AFTER, "5")
            }
            Self::Refused(Refused::Keys(keys)) => {
                row(S::SERVICE_UNAVAILABLE, format!("{keys} (request {request_id})"))
                    .with_value(header::RETRY_AFTER, HeaderValue::from(retry_after(keys.wait)))
            }
            Self::UnknownPath => row(
                S::NOT_FOUND,
                "there is nothing at this path; see /ResourceTypes under the tenant's base path \
                 (/scim/{tenant}/v2) for what there is",
            ),
            Self::Method(allowed) => {
                row(S::METHOD_NOT_ALLOWED, format!("only {allowed} can be done at this path"))
                    .with(header::ALLOW, allowed)
            }
            Self::NotAcceptable => row(
                S::NOT_ACCEPTABLE,
                "answers are application/scim+json; let the header Accept include it",
            ),
            Self::MediaType => row(
                S::UNSUPPORTED_MEDIA_TYPE,
                "the body must be application/scim+json or application/json; \
                 say so in the header Content-Type",
            ),
            Self::TooLarge(limit) => row(
                S::PAYLOAD_TOO_LARGE,
                format!("the body is longer than the {limit} bytes that are accepted; send less"),
            ),
            Self::TooManyOperations(limit) => row(
                S::PAYLOAD_TOO_LARGE,
                format!("at most {limit} operations are accepted in one request; send several"),
            ),
            Self::BrokenBody => {
                row(S::BAD_REQUEST, "the body ended before it was whole; send the request again")
                    .of(ErrorKind::InvalidSyntax)
            }
            // The rest of the body may still come, and is no request.
            Self::SlowBody => row(
                S::REQUEST_TIMEOUT,
                "the body did not come in time; send the request again, without pauses in it",
            )
            .with(header::CONNECTION, "close"),
            Self::MalformedTag(name) => row(
                S::BAD_REQUEST,
                format!("the header {name} is neither * nor a list of entity tags like W/\"1\""),
            )
            .of(ErrorKind::InvalidValue),
            Self::NoneMatchOnWrite => row(
                S::BAD_REQUEST,
                "the header If-None-Match of a write can only be *; to write one version only, give \
                 its tag in the header If-Match",
            )
            .of(ErrorKind::InvalidValue),
            Self::Exists => row(
                S::PRECONDITION_FAILED,
                "there is something at this path, which the header If-None-Match: * excludes; leave \
                 the header out to write it",
            ),
            // RFC 7644 section 4: "If a "filter" is provided, the service provider SHOULD respond
            // with HTTP status code 403 (Forbidden) to ensure that clients cannot incorrectly
            // assume that any matching conditions apply."
            Self::FilterOnDiscovery => row(
                S::FORBIDDEN,
                "a filter does not apply to discovery; leave the parameter filter out",
            ),
            Self::UnknownDefinition(name) => row(
                S::NOT_FOUND,
                format!("there is no \"{name}\" here; ask the same path without it for the list"),
            ),
            Self::NoUser => row(
                S::NOT_FOUND,
                "this token stands for no user; only a token configured with `user` has a /Me",
            ),
            Self::TimedOut => row(
                S::SERVICE_UNAVAILABLE,
                format!(
                    "the request took too long and was given up; what it was to write may be \
                     written nevertheless (request {request_id})"
                ),
            )
            .with(header::RETRY_AFTER, "5"),
            Self::Panicked(_) => fault(request_id),
        }
    }

    fn log(&self, request_id: &str, status: StatusCode) {
        match self {
            // Told with the peer, where that is known.
            Self::Refused(Refused::Keys(_)) => {}
            Self::Problem(
                Problem::Unavailable { .. } | Problem::StoreUnavailable(_) | Problem::StoreLost(_),
            )
            | Self::Refused(Refused::Unavailable(_))
            | Self::TimedOut => tracing::warn!(
                request.id = request_id,
                status = status.as_u16(),
                error = self as &(dyn Error + 'static),
                "a request could not be served for now"
            ),
            _ => tracing::error!(
                request.id = request_id,
                status = status.as_u16(),
                error = self as &(dyn Error + 'static),
                "a request failed"
            ),
        }
    }
}

fn problem_row(problem: &Problem, request_id: &str) -> Row {
    use StatusCode as S;
    match problem {
        Problem::Scim(error) => row(scim_status(error.kind), error.detail.clone()).of(error.kind),
        Problem::Forbidden(permission) => row(
            S::FORBIDDEN,
            format!(
                "this needs the permission {permission}, which the token does not have; \
                 ask the administrator"
            ),
        ),
        Problem::ForbiddenBecause(reason) => row(S::FORBIDDEN, reason.clone()),
        Problem::NotFound(detail) => row(S::NOT_FOUND, detail.clone()),
        Problem::Conflict(detail) => row(S::CONFLICT, detail.clone()).of(ErrorKind::Uniqueness),
        Problem::PreconditionFailed(detail) => row(S::PRECONDITION_FAILED, detail.clone()),
        Problem::Unavailable { detail, retry_after, .. } => {
            row(S::SERVICE_UNAVAILABLE, format!("{detail} (request {request_id})"))
                .with_value(header::RETRY_AFTER, HeaderValue::from(*retry_after))
        }
        Problem::StoreUnavailable(_) => row(
            S::SERVICE_UNAVAILABLE,
            format!(
                "the bridge's own database does not answer; nothing was written, repeat the request \
                 later (request {request_id})"
            ),
        )
        .with(header::RETRY_AFTER, "5"),
        Problem::StoreLost(_) => row(
            S::SERVICE_UNAVAILABLE,
            format!(
                "the bridge's own database was lost while it wrote; read before you repeat, since \
                 it may be written nevertheless (request {request_id})"
            ),
        )
        .with(header::RETRY_AFTER, "5"),
        Problem::Internal(_) => fault(request_id),
    }
}

/// RFC 6750 section 3: "If the request lacks any authentication information […], the resource server
/// SHOULD NOT include an error code".
fn challenge(denied: Denied) -> &'static str {
    match denied {
        Denied::Missing => "Bearer realm=\"scimbridge\"",
        Denied::Malformed => "Bearer realm=\"scimbridge\", error=\"invalid_request\"",
        Denied::Unknown | Denied::Revoked | Denied::Rejected(_) => {
            "Bearer realm=\"scimbridge\", error=\"invalid_token\""
        }
    }
}

/// RFC 7644 table 9.
fn scim_status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Uniqueness => StatusCode::CONFLICT,
        ErrorKind::Sensitive => StatusCode::FORBIDDEN,
        ErrorKind::InvalidFilter
        | ErrorKind::TooMany
        | ErrorKind::Mutability
        | ErrorKind::InvalidSyntax
        | ErrorKind::InvalidPath
        | ErrorKind::NoTarget
        | ErrorKind::InvalidValue
        | ErrorKind::InvalidVersion
        | ErrorKind::InvalidCursor
        | ErrorKind::ExpiredCursor
        | ErrorKind::InvalidCount => StatusCode::BAD_REQUEST,
    }
}

/// Whole seconds, of which `Retry-After` has at least one.
pub fn retry_after(wait: Duration) -> u64 {
    u64::try_from(wait.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u64::MAX).max(1)
}

fn fault(request_id: &str) -> Row {
    row(
        StatusCode::INTERNAL_SERVER_ERROR,
        format!("the bridge failed; its log says why under request {request_id}"),
    )
}

fn row(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Row {
    Row { status, kind: None, detail: detail.into(), header: None }
}

impl Row {
    fn of(self, kind: ErrorKind) -> Self {
        Self { kind: Some(kind), ..self }
    }

    fn with(self, name: HeaderName, value: &'static str) -> Self {
        self.with_value(name, HeaderValue::from_static(value))
    }

    fn with_value(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { header: Some((name, value)), ..self }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::Value;

    use super::*;
    use crate::caller::Permission;
    use crate::store::StoreError;

    async fn answered(failure: Failure) -> (u16, Value, axum::http::HeaderMap) {
        let response = failure.answer("r-1", &Manner::rfc());
        let (head, body) = response.into_parts();
        let message: Value =
            serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
        assert_eq!(message["status"], head.status.as_str());
        (head.status.as_u16(), message, head.headers)
    }

    #[tokio::test]
    async fn every_problem_has_its_row() {
        let because = || "because".to_owned();
        for (problem, status, kind) in [
            (Problem::Scim(ScimError::new(ErrorKind::NoTarget, "x")), 400, "noTarget"),
            (Problem::Scim(ScimError::new(ErrorKind::TooMany, "x")), 400, "tooMany"),
            (Problem::Scim(ScimError::new(ErrorKind::Uniqueness, "x")), 409, "uniqueness"),
            (Problem::Scim(ScimError::new(ErrorKind::Sensitive, "x")), 403, "sensitive"),
            (Problem::Forbidden(Permission::UsersBind), 403, ""),
            (Problem::ForbiddenBecause(because()), 403, ""),
            (Problem::NotFound(because()), 404, ""),
            (Problem::Conflict(because()), 409, "uniqueness"),
            (Problem::PreconditionFailed(because()), 412, ""),
        ] {
            let (got, message, _) = answered(problem.into()).await;
            assert_eq!(got, status, "{message}");
            assert_eq!(message["scimType"].as_str().unwrap_or_default(), kind, "{message}");
        }
        let (_, message, _) = answered(Problem::Forbidden(Permission::UsersBind).into()).await;
        assert!(message["detail"].as_str().unwrap().contains("users:bind"), "{message}");
    }

    #[tokio::test]
    async fn faults_tell_the_request_and_not_the_cause() {
        let cause = "disk on fire".to_owned();
        for failure in [
            Problem::Internal(StoreError::Database(cause.clone())).into(),
            Failure::Panicked(cause),
        ] {
            let (status, message, _) = answered(failure).await;
            let detail = message["detail"].as_str().unwrap();
            assert_eq!(status, 500);
            assert!(detail.contains("r-1") && !detail.contains("fire"), "{detail}");
        }
    }

    #[tokio::test]
    async fn rows_bring_the_headers_that_clients_act_on() {
        let down =
            Problem::Unavailable { detail: "corp is down".to_owned(), retry_after: 7, cause: None };
        let (status, message, headers) = answered(down.into()).await;
        assert_eq!((status, &headers[header::RETRY_AFTER]), (503, &HeaderValue::from(7)));
        assert!(message["detail"].as_str().unwrap().contains("corp is down"));
        for (problem, told) in [
            (Problem::StoreUnavailable(StoreError::Unavailable("x".into())), "nothing was written"),
            (Problem::StoreLost(StoreError::Undecided("x".into())), "written nevertheless"),
        ] {
            let (status, message, headers) = answered(problem.into()).await;
            assert_eq!((status, headers.contains_key(header::RETRY_AFTER)), (503, true));
            assert!(message["detail"].as_str().unwrap().contains(told), "{message}");
        }
        let (status, _, headers) = answered(Failure::TimedOut).await;
        assert_eq!((status, headers.contains_key(header::RETRY_AFTER)), (503, true));
        let (status, _, headers) = answered(Failure::Method("GET, HEAD")).await;
        assert_eq!((status, headers[header::ALLOW].to_str().unwrap()), (405, "GET, HEAD"));
        for (denied, challenge) in [
            (Denied::Missing, "Bearer realm=\"scimbridge\""),
            (Denied::Malformed, "Bearer realm=\"scimbridge\", error=\"invalid_request\""),
            (Denied::Unknown, "Bearer realm=\"scimbridge\", error=\"invalid_token\""),
        ] {
            let (status, _, headers) = answered(Refused::Denied(denied).into()).await;
            assert_eq!(
                (status, &headers[header::WWW_AUTHENTICATE]),
                (401, &challenge.parse().unwrap())
            );
        }
    }
}
