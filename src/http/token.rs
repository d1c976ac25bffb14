//! The token endpoint: OAuth 2.0 client credentials (RFC 6749 sections 4.4 and 5) over HTTP.
//!
//! Knows nothing of who is a client: `auth` does.

use std::borrow::Cow;
use std::collections::HashMap;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header, request};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::body::bounded;
use super::caller::origin;
use super::error::{Failure, retry_after};
use super::layers::Asked;
use super::{Parts, TenantState};
use crate::auth::{IssueError, Refused};
use crate::secret::Secret;

/// Bytes of a form.
const MOST: usize = 16 * 1024;

/// What stands in the path before the tenant, where anything does, and behind it.
const BEFORE: &str = "/idp";
const BEHIND: &str = "/authn/token";

/// The tenant whose token endpoint is at this path; literal segments are matched without case.
pub fn tenant(path: &str) -> Option<&str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let (before, behind) = path.split_at_checked(path.len().checked_sub(BEHIND.len())?)?;
    if !behind.eq_ignore_ascii_case(BEHIND) {
        return None;
    }
    let (first, rest) = before.split_at_checked(BEFORE.len()).unwrap_or((before, ""));
    let behind_first = first.eq_ignore_ascii_case(BEFORE) && rest.starts_with('/');
    let name = if behind_first { rest } else { before }.strip_prefix('/')?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

/// What a client sent: the two ways to say who it is, and what it wants.
#[derive(Debug)]
struct Wish {
    id: String,
    secret: Secret<String>,
    scope: Option<String>,
}

/// Why there is no token, as RFC 6749 section 5.2 has it.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    error: &'static str,
    description: Cow<'static, str>,
    retry_after: Option<u64>,
}

/// Answers a request to the tenant's token endpoint.
pub async fn answer(
    app: &Parts,
    tenant: &TenantState,
    head: &request::Parts,
    body: Body,
    asked: &Asked,
) -> Result<Response, Failure> {
    if !app.gate.issues(&tenant.name) {
        return Err(Failure::UnknownPath);
    }
    if head.method != Method::POST {
        return Err(Failure::Method("POST"));
    }
    let wish = match wish(&head.headers, body).await? {
        Ok(wish) => wish,
        Err(refusal) => return Ok(refusal.answer()),
    };
    let from = origin(app, &head.headers, asked.peer);
    let credentials = (wish.id.as_str(), &wish.secret);
    let issued =
        app.gate.issue(&tenant.name, credentials, wish.scope.as_deref(), from, asked.at).await;
    match issued {
        Ok(issued) => {
            tracing::info!(
                tenant = &*tenant.name,
                client = wish.id,
                request.id = asked.id,
                "token.issued"
            );
            let mut message = json!({
                "access_token": issued.token.expose(),
                "token_type": "Bearer",
                "expires_in": issued.lifetime.as_secs(),
            });
            if let Some(scope) = issued.scope {
                message["scope"] = scope.into();
            }
            Ok(json_answer(StatusCode::OK, &message))
        }
        Err(error) => {
            if let IssueError::Client = error {
                app.metrics.denied();
                tracing::info!(request.id = asked.id, peer = %asked.peer, "signin.failed");
            }
            refused(error).map(Refusal::answer)
        }
    }
}

fn refused(error: IssueError) -> Result<Refusal, Failure> {
    let description = error.to_string().into();
    let refusal = |status, error| Refusal { status, error, description, retry_after: None };
    Ok(match error {
        IssueError::Client => refusal(StatusCode::UNAUTHORIZED, "invalid_client"),
        IssueError::Scope(_) => refusal(StatusCode::BAD_REQUEST, "invalid_scope"),
        IssueError::Refused(Refused::Throttled(wait) | Refused::Rate(wait)) => Refusal {
            retry_after: Some(retry_after(wait)),
            ..refusal(StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable")
        },
        IssueError::Refused(refused) => return Err(refused.into()),
        IssueError::Random(error) => return Err(Failure::Panicked(error.to_string())),
    })
}

async fn wish(headers: &HeaderMap, body: Body) -> Result<Result<Wish, Refusal>, Failure> {
    let form = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let form = form.and_then(|value| value.split(';').next());
    let is_form =
        |kind: &str| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded");
    if !form.is_some_and(is_form) {
        return Ok(Err(invalid(
            "the body must be application/x-www-form-urlencoded; say so in the header Content-Type",
        )));
    }
    let body = bounded(body, MOST).await?;
    Ok(read(headers, &body))
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<Wish, Refusal> {
    let mut form: HashMap<Cow<'_, str>, Secret<String>> = HashMap::new();
    for (name, value) in form_urlencoded::parse(body) {
        // "Parameters sent without a value MUST be treated as if they were omitted from the
        // request." (RFC 6749 section 3.2)
        if value.is_empty() {
            continue;
        }
        if form.insert(name, Secret::new(value.into_owned())).is_some() {
            return Err(invalid("a parameter is there more than once"));
        }
    }
    match form.get("grant_type").map(|grant| grant.expose().as_str()) {
        Some("client_credentials") => {}
        Some(_) => {
            return Err(Refusal {
                error: "unsupported_grant_type",
                ..invalid("grant_type can only be client_credentials")
            });
        }
        None => return Err(invalid("grant_type is missing; write grant_type=client_credentials")),
    }
    let mut written = headers.get_all(header::AUTHORIZATION).iter();
    let (id, secret) = match (written.next(), form.remove("client_secret")) {
        // "The client MUST NOT use more than one authentication method in each request."
        (Some(_), Some(_)) => return Err(invalid("the client says twice who it is")),
        (Some(header), None) => {
            basic(header).filter(|_| written.next().is_none()).ok_or_else(no_client)?
        }
        (None, Some(secret)) => {
            let id = form.get("client_id").ok_or_else(no_client)?;
            (id.expose().clone(), secret)
        }
        (None, None) => return Err(no_client()),
    };
    if form.get("client_id").is_some_and(|other| *other.expose() != id) {
        return Err(invalid("client_id is another than that of the header Authorization"));
    }
    Ok(Wish { id, secret, scope: form.get("scope").map(|scope| scope.expose().clone()) })
}

/// Id and secret, each encoded as in a form (RFC 6749 section 2.3.1).
fn basic(written: &HeaderValue) -> Option<(String, Secret<String>)> {
    let (scheme, rest) = written.as_bytes().split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return None;
    }
    let decoded = Secret::new(STANDARD.decode(rest.trim_ascii()).ok()?);
    let text = str::from_utf8(decoded.expose()).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((form_decoded(id)?, Secret::new(form_decoded(secret)?)))
}

/// One value of a form. `&` and `=`, which some clients do not encode, stand for themselves.
fn form_decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    Some(percent_encoding::percent_decode_str(&spaced).decode_utf8().ok()?.into_owned())
}

fn invalid(description: &'static str) -> Refusal {
    Refusal {
        status: StatusCode::BAD_REQUEST,
        error: "invalid_request",
        description: description.into(),
        retry_after: None,
    }
}

fn no_client() -> Refusal {
    Refusal {
        status: StatusCode::UNAUTHORIZED,
        error: "invalid_client",
        ..invalid(
            "send the client's id and secret in the header Authorization: Basic, or as client_id \
             and client_secret",
        )
    }
}

impl Refusal {
    fn answer(self) -> Response {
        let message = json!({ "error": self.error, "error_description": self.description });
        let mut response = json_answer(self.status, &message);
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"scimbridge\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

fn json_answer(status: StatusCode, message: &Value) -> Response {
    let mut response = Response::new(Body::from(message.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_tenant() {
        for (path, name) in [
            ("/idp/acme/authn/token", Some("acme")),
            ("/IDP/acme/Authn/token/", Some("acme")),
            ("/acme/authn/token", Some("acme")),
            ("/idp/authn/token", Some("idp")),
            ("/x/acme/authn/token", None),
            ("/authn/token", None),
            ("/idp//authn/token", None),
            ("/scim/acme/v2/Users", None),
            ("/ü/authn/token", Some("ü")),
            ("", None),
        ] {
            assert_eq!(tenant(path), name, "{path}");
        }
    }

    fn with(authorization: Option<&str>, form: &str) -> Result<(String, String), &'static str> {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        match read(&headers, form.as_bytes()) {
            Ok(wish) => Ok((wish.id, wish.secret.expose().clone())),
            Err(refusal) => Err(refusal.error),
        }
    }

    #[test]
    fn a_client_says_once_who_it_is() {
        let grant = "grant_type=client_credentials";
        let both = |id: &str, secret: &str| Ok((id.to_owned(), secret.to_owned()));
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let header = basic("my+id:s%3A%C3%BC=%26");
        assert_eq!(with(Some(&header), grant), both("my id", "s:ü=&"));
        assert_eq!(
            with(Some(&header), &format!("{grant}&client_id=my%20id")),
            both("my id", "s:ü=&")
        );
        let form = format!("{grant}&client_id=a&client_secret=b+c");
        assert_eq!(with(None, &form), both("a", "b c"));
        for (authorization, form, error) in [
            (Some(&header), form.as_str(), "invalid_request"),
            (Some(&header), &format!("{grant}&client_id=other"), "invalid_request"),
            (None, grant, "invalid_client"),
            (None, &format!("{grant}&client_id=a"), "invalid_client"),
            (None, &format!("{grant}&client_secret=a"), "invalid_client"),
            (Some(&basic("no colon")), grant, "invalid_client"),
            (Some(&"Bearer x".to_owned()), grant, "invalid_client"),
            (Some(&"Basic !".to_owned()), grant, "invalid_client"),
            (Some(&header), "", "invalid_request"),
            (Some(&header), "grant_type=", "invalid_request"),
            (Some(&header), "grant_type=password", "unsupported_grant_type"),
            (Some(&header), &format!("{grant}&{grant}"), "invalid_request"),
        ] {
            assert_eq!(with(authorization.map(String::as_str), form), Err(error), "{form}");
        }
    }
}
