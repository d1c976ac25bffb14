//! Versions as HTTP has them: `ETag`, `If-Match`, `If-None-Match` (RFC 9110 sections 8.8.3 and 13.1,
//! RFC 7644 section 3.14).

use std::fmt::Display;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;

use super::error::Failure;
use crate::federation::{IfMatch, Problem};
use crate::scim::{ErrorKind, ScimError};

/// The `ETag` of a version: always a weak one, for the bytes depend on the projection.
fn etag(version: &impl Display) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("W/\"{version}\"")).ok()
}

/// What the headers of an answer with one resource tell: its version, and where it is.
pub fn describe(headers: &mut HeaderMap, version: &impl Display, location: impl Into<Bytes>) {
    if let Some(tag) = etag(version) {
        headers.insert(header::ETAG, tag);
    }
    if let Ok(location) = HeaderValue::from_maybe_shared(location.into()) {
        headers.insert(header::CONTENT_LOCATION, location.clone());
        headers.insert(header::LOCATION, location);
    }
}

/// The answer to a client that holds this version already.
pub fn not_modified(version: &impl Display, location: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    // RFC 9110 section 15.4.5: "The server generating a 304 response MUST generate any of the
    // following header fields that would have been sent in a 200 (OK) response to the same request:
    // Content-Location, Date, ETag, and Vary".
    let headers = response.headers_mut();
    describe(headers, version, location);
    headers.remove(header::LOCATION);
    response
}

/// The `If-Match` of a request. Weak tags match too: all of ours are weak, and RFC 7644 section 3.14
/// has clients send them.
fn if_match(headers: &HeaderMap) -> Result<Option<IfMatch>, Failure> {
    Ok(match tags(headers, header::IF_MATCH)? {
        None => None,
        Some(Tags::Any) => Some(IfMatch::Any),
        Some(Tags::These(versions)) => Some(IfMatch::Versions(versions)),
    })
}

/// What the `version` of a bulk operation asks for: the same as the header `If-Match`.
pub fn matching(text: &str) -> Result<IfMatch, Failure> {
    let mut versions = Vec::new();
    match list(text, &mut versions) {
        Some(true) => Ok(IfMatch::Any),
        Some(false) if !versions.is_empty() => Ok(IfMatch::Versions(versions)),
        _ => {
            Err(ScimError::new(ErrorKind::InvalidValue, "version is no entity tag like W/\"1\"")
                .into())
        }
    }
}

/// Whether the client holds this version already (`If-None-Match`), so that 304 is the answer.
pub fn none_match(headers: &HeaderMap, version: &impl Display) -> Result<bool, Failure> {
    Ok(match tags(headers, header::IF_NONE_MATCH)? {
        None => false,
        Some(Tags::Any) => true,
        Some(Tags::These(versions)) => {
            let version = version.to_string();
            versions.contains(&version)
        }
    })
}

/// What must hold for a write.
#[derive(Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The `If-Match` of the request, if it has one.
    Matching(Option<IfMatch>),
    /// `If-None-Match: *`: nothing may be there, so that nothing there is written. Entity tags are
    /// refused: a write of anything but one version is no wish that a client has.
    Nothing,
}

impl Precondition {
    pub fn of(headers: &HeaderMap) -> Result<Self, Failure> {
        match tags(headers, header::IF_NONE_MATCH)? {
            None => Ok(Self::Matching(if_match(headers)?)),
            Some(Tags::Any) => Ok(Self::Nothing),
            Some(Tags::These(_)) => Err(Failure::NoneMatchOnWrite),
        }
    }

    /// For a method that writes what exists: no version of it passes [`Precondition::Nothing`],
    /// while what does not exist is told before versions are looked at.
    pub fn if_match(&self) -> Option<&IfMatch> {
        match self {
            Self::Matching(if_match) => if_match.as_ref(),
            Self::Nothing => Some(&NO_VERSION),
        }
    }

    /// The failure as this precondition has it.
    pub fn failed(&self, failure: Failure) -> Failure {
        match (self, failure) {
            (Self::Nothing, Failure::Problem(Problem::PreconditionFailed(_))) => Failure::Exists,
            (_, failure) => failure,
        }
    }
}

static NO_VERSION: IfMatch = IfMatch::Versions(Vec::new());

#[derive(Debug, PartialEq, Eq)]
enum Tags {
    Any,
    /// The opaque parts, without quotes and without `W/`.
    These(Vec<String>),
}

fn tags(headers: &HeaderMap, name: HeaderName) -> Result<Option<Tags>, Failure> {
    if !headers.contains_key(&name) {
        return Ok(None);
    }
    let mut versions = Vec::new();
    for value in headers.get_all(&name) {
        let read = value.to_str().ok().and_then(|text| list(text, &mut versions));
        match read {
            Some(true) => return Ok(Some(Tags::Any)),
            Some(false) => {}
            None => return Err(Failure::MalformedTag(name)),
        }
    }
    if versions.is_empty() {
        Err(Failure::MalformedTag(name))
    } else {
        Ok(Some(Tags::These(versions)))
    }
}

/// Reads `*` (then true) or a list of entity tags into `versions`.
fn list(text: &str, versions: &mut Vec<String>) -> Option<bool> {
    if text.trim() == "*" {
        return Some(true);
    }
    let mut rest = text.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let quoted = rest.strip_prefix("W/").or_else(|| rest.strip_prefix("w/")).unwrap_or(rest);
        let (tag, after) = if let Some(inner) = quoted.strip_prefix('"') {
            inner.split_once('"')?
        } else {
            // A bare version, as `meta.version` of some servers has it and clients repeat it.
            quoted.split_at(quoted.find([',', ' ', '\t']).unwrap_or(quoted.len()))
        };
        let after = after.trim_start_matches([' ', '\t']);
        if tag.is_empty() || tag.contains('"') || !(after.is_empty() || after.starts_with(',')) {
            return None;
        }
        versions.push(tag.to_owned());
        rest = after.trim_start_matches([' ', '\t', ',']);
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Option<Tags>, Failure> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_MATCH, HeaderValue::from_str(value).unwrap());
        }
        tags(&headers, header::IF_MATCH)
    }

    fn these(tags: &[&str]) -> Tags {
        Tags::These(tags.iter().map(|&tag| tag.to_owned()).collect())
    }

    #[test]
    fn tags_are_read_weak_strong_bare_and_in_lists() {
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&[" * "]).unwrap(), Some(Tags::Any));
        assert_eq!(read(&[r#"W/"3.ab""#]).unwrap(), Some(these(&["3.ab"])));
        assert_eq!(read(&[r#""1", W/"2" ,"#, r#"w/"3""#]).unwrap(), Some(these(&["1", "2", "3"])));
        assert_eq!(read(&[r#""a,b""#]).unwrap(), Some(these(&["a,b"])));
        assert_eq!(read(&["7"]).unwrap(), Some(these(&["7"])));
    }

    #[test]
    fn malformed_tags_are_refused() {
        for value in ["", ",", r#"""#, r#""1"#, r#"W/"""#, r#""1""2""#, r#"a"b"#, r#""1" x"#, "W/"]
        {
            assert!(read(&[value]).is_err(), "{value:?}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_MATCH, HeaderValue::from_bytes(b"\"\xff\"").unwrap());
        assert!(tags(&headers, header::IF_MATCH).is_err());
    }

    #[test]
    fn a_write_may_ask_that_nothing_is_there() {
        let mut headers = HeaderMap::new();
        assert_eq!(Precondition::of(&headers).unwrap(), Precondition::Matching(None));
        headers.insert(header::IF_MATCH, HeaderValue::from_static("*"));
        let precondition = Precondition::of(&headers).unwrap();
        assert_eq!(precondition.if_match(), Some(&IfMatch::Any));
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
        let precondition = Precondition::of(&headers).unwrap();
        assert_eq!(precondition.if_match(), Some(&IfMatch::Versions(Vec::new())));
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("W/\"1\""));
        let refused = Precondition::of(&headers).unwrap_err();
        assert!(matches!(refused, Failure::NoneMatchOnWrite), "{refused}");
    }

    #[test]
    fn a_version_that_the_client_holds_is_not_sent_again() {
        let mut headers = HeaderMap::new();
        assert!(!none_match(&headers, &"1.a").unwrap());
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("W/\"1.a\""));
        assert!(none_match(&headers, &"1.a").unwrap());
        assert!(!none_match(&headers, &"2.a").unwrap());
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
        assert!(none_match(&headers, &"2.a").unwrap());
        assert_eq!(etag(&"2.a").unwrap(), "W/\"2.a\"");
    }
}
