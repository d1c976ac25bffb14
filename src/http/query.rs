//! Query strings, and what else a request asks for beside its body.

use std::borrow::Cow;

use axum::http::{HeaderMap, header};
use percent_encoding::percent_decode;

use crate::scim::{ErrorKind, ScimError};

/// Names with values, decoded.
pub type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// The decoded pairs of a query string. `+` is a space, as every client has it; an empty pair, as
/// behind a trailing `&`, is nothing.
pub fn pairs(query: Option<&str>) -> Result<Pairs<'_>, ScimError> {
    query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).ok_or_else(|| undecodable("a parameter's name"))?;
            match decode(value) {
                Some(value) => Ok((name, value)),
                None => Err(undecodable(&format!("the parameter \"{name}\""))),
            }
        })
        .collect()
}

/// The number of the interface that the client was written for. Several may stand in one parameter;
/// the first counts.
pub fn api_version(query: Option<&str>) -> Option<u32> {
    let mut pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.eq_ignore_ascii_case("api-version"))?;
    let mut numbers = value.split(|character: char| !character.is_ascii_digit());
    let number = numbers.find(|part| !part.is_empty())?;
    Some(number.parse().unwrap_or(u32::MAX))
}

/// One segment of a path, decoded; `None` where it is not UTF-8 or contains U+0000.
pub fn segment(segment: &str) -> Option<Cow<'_, str>> {
    if segment.contains('%') {
        text(percent_decode(segment.as_bytes()).collect())
    } else {
        Some(segment.into())
    }
}

fn decode(written: &str) -> Option<Cow<'_, str>> {
    if !written.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(written.into());
    }
    // A plus sign that is meant arrives as `%2B`, so spaces come first.
    let spaced = written.replace('+', " ");
    text(percent_decode(spaced.as_bytes()).collect())
}

fn text(bytes: Vec<u8>) -> Option<Cow<'static, str>> {
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')).map(Cow::Owned)
}

fn undecodable(what: &str) -> ScimError {
    let detail =
        format!("{what} is not percent-encoded UTF-8, or contains U+0000; encode it as UTF-8");
    ScimError::new(ErrorKind::InvalidValue, detail)
}

/// Whether the client wants an answer that no cache had a part in (RFC 9111 sections 5.2.1.4, 5.4).
pub fn no_cache(headers: &HeaderMap) -> bool {
    [header::CACHE_CONTROL, header::PRAGMA]
        .iter()
        .flat_map(|name| headers.get_all(name))
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|directive| directive.trim().eq_ignore_ascii_case("no-cache"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn read(query: &str) -> Vec<(String, String)> {
        pairs(Some(query))
            .unwrap()
            .into_iter()
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect()
    }

    #[test]
    fn pairs_are_decoded_as_real_clients_write_them() {
        let expected = vec![
            ("filter".to_owned(), "userName eq \"a+b=c\"".to_owned()),
            ("count".to_owned(), "1".to_owned()),
        ];
        assert_eq!(read("filter=userName+eq%20%22a%2Bb=c%22&count=1&"), expected);
        assert_eq!(read("aadOptscim062020"), [("aadOptscim062020".to_owned(), String::new())]);
        assert_eq!(read("filter=100%&&"), [("filter".to_owned(), "100%".to_owned())]);
        assert_eq!(read("a=%C3%9F"), [("a".to_owned(), "ß".to_owned())]);
        assert!(pairs(None).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_utf8_is_refused_and_named() {
        let error = pairs(Some("count=1&filter=%FF")).unwrap_err();
        assert!(error.detail.contains("\"filter\""), "{error}");
        assert!(pairs(Some("%FF=1")).is_err());
        assert!(pairs(Some("a=%00")).is_err());
        assert_eq!(segment("a%2Fb").as_deref(), Some("a/b"));
        assert_eq!(segment("a+b").as_deref(), Some("a+b"), "no form encoding in paths");
        assert_eq!(segment("%FF"), None);
        assert_eq!(segment("%00"), None);
    }

    #[test]
    fn the_first_number_of_the_api_version_counts() {
        for (query, version) in [
            ("api-version=7", Some(7)),
            ("filter=x&API-Version=2.1&count=9", Some(2)),
            ("api-version=v4,7", Some(4)),
            ("api-version=2&api-version=7", Some(2)),
            ("api-version=99999999999", Some(u32::MAX)),
            ("api-version=", None),
            ("api-version", None),
            ("xapi-version=7", None),
            ("", None),
        ] {
            assert_eq!(api_version(Some(query)), version, "{query}");
        }
        assert_eq!(api_version(None), None);
    }

    #[test]
    fn no_cache_is_seen_among_other_directives() {
        let mut headers = HeaderMap::new();
        assert!(!no_cache(&headers));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=0"));
        assert!(!no_cache(&headers));
        headers.append(header::CACHE_CONTROL, HeaderValue::from_static("max-age=0, No-Cache"));
        assert!(no_cache(&headers));
        let headers =
            HeaderMap::from_iter([(header::PRAGMA, HeaderValue::from_static("no-cache"))]);
        assert!(no_cache(&headers));
    }
}
