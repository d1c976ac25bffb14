//! Bodies: what is read from a request, and how a resource is sent.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use serde_json::Value;
use tokio::time::timeout;

use super::error::Failure;
use super::json;
use crate::scim::dialect::Manner;

/// How long a body may stand still. The time of the request bounds the whole of it.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Exactly this, without a charset: strict clients compare the whole header.
pub fn media_type(manner: &Manner) -> HeaderValue {
    HeaderValue::from_static(manner.media_type)
}

/// A SCIM message as an answer: 200 with the media type.
pub fn message(body: impl Into<Bytes>, manner: &Manner) -> Response {
    let mut response = Response::new(Body::from(body.into()));
    response.headers_mut().insert(header::CONTENT_TYPE, media_type(manner));
    response
}

/// A body that was not read yet.
#[derive(Debug)]
pub struct Payload {
    pub body: Body,
    /// In bytes.
    pub limit: usize,
}

impl Payload {
    /// Reads it as JSON.
    pub async fn json(self, headers: &HeaderMap) -> Result<Value, Failure> {
        read(headers, self.body, self.limit).await
    }
}

/// Refuses a body that says it is something else than JSON.
pub fn json_only(headers: &HeaderMap) -> Result<(), Failure> {
    match headers.get(header::CONTENT_TYPE) {
        Some(written) if !is_json(written) => Err(Failure::MediaType),
        _ => Ok(()),
    }
}

async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Value, Failure> {
    json_only(headers)?;
    Ok(json::parse(&bounded(body, limit).await?)?)
}

pub async fn bounded(mut body: Body, limit: usize) -> Result<Bytes, Failure> {
    // What the client declares is refused before a byte of it is read.
    if body.size_hint().lower() > limit as u64 {
        return Err(Failure::TooLarge(limit));
    }
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = timeout(PATIENCE, body.frame()).await.map_err(|_| Failure::SlowBody)? {
        let Ok(data) = frame.map_err(|_| Failure::BrokenBody)?.into_data() else { continue };
        if first.len() + whole.len() + data.len() > limit {
            return Err(Failure::TooLarge(limit));
        }
        // Most bodies arrive as one piece, which needs no copy.
        if first.is_empty() && whole.is_empty() {
            first = data;
        } else {
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&data);
        }
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

fn is_json(content_type: &HeaderValue) -> bool {
    let Ok(written) = content_type.to_str() else { return false };
    let media_type = written.split(';').next().unwrap_or_default().trim();
    media_type.is_empty() || json_type(media_type)
}

fn json_type(media_type: &str) -> bool {
    ["application/scim+json", "application/json", "application/json+scim"]
        .iter()
        .any(|known| media_type.eq_ignore_ascii_case(known))
}

/// Whether `Accept`, where there is one, admits any JSON type (RFC 9110 section 12.5.1).
pub fn acceptable(headers: &HeaderMap) -> Result<(), Failure> {
    let mut ranges = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|range| !range.is_empty())
        .peekable();
    if ranges.peek().is_none() || ranges.any(admits) {
        return Ok(());
    }
    Err(Failure::NotAcceptable)
}

fn admits(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let refused = parts.any(|parameter| {
        parameter
            .split_once('=')
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
            .is_some_and(|(_, quality)| quality.trim().parse() == Ok(0.0_f32))
    });
    !refused
        && (media_type == "*/*"
            || media_type.eq_ignore_ascii_case("application/*")
            || json_type(media_type))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use serde_json::json;

    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    async fn sent(content_type: &str, body: impl Into<Body>) -> Result<Value, Failure> {
        read(&headers(header::CONTENT_TYPE, content_type), body.into(), 64).await
    }

    #[tokio::test]
    async fn json_types_are_read_whatever_their_parameters() {
        for content_type in [
            "application/scim+json",
            "application/json; charset=utf-8",
            "Application/JSON+scim;charset=latin1",
            "",
        ] {
            assert_eq!(sent(content_type, "{}").await.unwrap(), json!({}), "{content_type}");
        }
        assert_eq!(read(&HeaderMap::new(), "{}".into(), 64).await.unwrap(), json!({}));
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"]
        {
            let refused = sent(content_type, "{}").await.unwrap_err();
            assert!(matches!(refused, Failure::MediaType), "{content_type}: {refused}");
        }
    }

    #[tokio::test]
    async fn length_is_bounded_declared_or_not() {
        let fits = format!("\"{}\"", "x".repeat(62));
        assert!(sent("", fits.clone()).await.is_ok());
        let longer = sent("", fits + " ").await.unwrap_err();
        assert!(matches!(longer, Failure::TooLarge(64)), "{longer}");
        let pieces = |count| {
            Body::from_stream(stream::iter((0..count).map(|_| Ok::<_, Infallible>("[] [] [] []"))))
        };
        let longer = sent("", pieces(100)).await.unwrap_err();
        assert!(matches!(longer, Failure::TooLarge(64)), "{longer}");
    }

    #[tokio::test]
    async fn a_body_in_pieces_is_put_together() {
        let pieces = ["{\"a\":", "[1,", "2]}"].map(Ok::<_, Infallible>);
        let read = sent("", Body::from_stream(stream::iter(pieces))).await.unwrap();
        assert_eq!(read, json!({"a": [1, 2]}));
        let broken = [Ok("{"), Err(std::io::Error::other("gone"))];
        let refused = sent("", Body::from_stream(stream::iter(broken))).await.unwrap_err();
        assert!(matches!(refused, Failure::BrokenBody), "{refused}");
    }

    #[test]
    fn accept_must_leave_room_for_json() {
        assert!(acceptable(&HeaderMap::new()).is_ok());
        for value in [
            "*/*",
            "application/json, text/plain, */*",
            "text/html;q=0.9, application/*;q=0.1",
            "application/scim+json; charset=utf-8",
            "application/json+scim",
            "",
        ] {
            assert!(acceptable(&headers(header::ACCEPT, value)).is_ok(), "{value}");
        }
        for value in ["text/html", "application/xml, text/*", "application/json;q=0", "*/*; q=0.0"]
        {
            assert!(acceptable(&headers(header::ACCEPT, value)).is_err(), "{value}");
        }
    }
}
