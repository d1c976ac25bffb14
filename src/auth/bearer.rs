//! Static bearer tokens (RFC 6750): the configuration keeps their SHA-256, never the tokens.

use std::collections::HashMap;
use std::fmt;
use std::time::Instant;

use subtle::ConstantTimeEq;

use super::gate::Known;
use super::jwt::Rejected;
use crate::config::Config;

/// Bytes of an `Authorization` header that are looked at; a longer one is malformed.
pub const MAX_HEADER: usize = 8 * 1024;

/// All static tokens of all tenants. Immutable: shared without a lock.
pub struct Tokens {
    // Keyed by digest: how far a look-up gets tells something about the digest of what was
    // presented, and nothing about any token.
    by_digest: HashMap<[u8; 32], Known, foldhash::quality::RandomState>,
}

/// Why nobody is asking. All of them are 401 on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("there is no Authorization header; send \"Authorization: Bearer <token>\"")]
    Missing,
    #[error("the Authorization header is not \"Bearer <token>\"")]
    Malformed,
    /// Unknown altogether, or of another tenant: the answer is the same.
    #[error("the token is not one of this tenant")]
    Unknown,
    /// One of the configuration that was taken back.
    #[error("the token was revoked; ask the administrator for another")]
    Revoked,
    /// A JWT that no issuer of this tenant made, or not for this use.
    #[error("the token is not accepted: {0}")]
    Rejected(#[from] Rejected),
}

impl Tokens {
    pub fn new(config: &Config, start: Instant) -> Self {
        let by_digest = config
            .tenants
            .iter()
            .flat_map(|tenant| &tenant.tokens)
            .map(|token| (token.sha256, Known::new(&token.rights, start)))
            .collect();
        Self { by_digest }
    }

    /// Whom the token with this digest stands for, if it is one of `tenant`. Allocates nothing.
    pub fn find(&self, presented: &[u8; 32], tenant: &str) -> Option<&Known> {
        let (digest, known) = self.by_digest.get_key_value(presented)?;
        let same = bool::from(digest.ct_eq(presented));
        (same && *known.caller.tenant == *tenant).then_some(known)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("count", &self.by_digest.len()).finish()
    }
}

/// The token in `Bearer <token>`. "credentials = "Bearer" 1*SP b64token" (RFC 6750 section 2.1);
/// the scheme is compared without case (RFC 9110 section 11.1).
pub fn token(authorization_header: Option<&[u8]>) -> Result<&[u8], Denied> {
    let header = authorization_header.ok_or(Denied::Missing)?;
    if header.len() > MAX_HEADER {
        return Err(Denied::Malformed);
    }
    let (scheme, rest) = header.trim_ascii().split_at_checked(6).ok_or(Denied::Malformed)?;
    let token = rest.trim_ascii_start();
    let is_b64token =
        |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    let unpadded = token.len() - token.iter().rev().take_while(|b| **b == b'=').count();
    let well_formed = scheme.eq_ignore_ascii_case(b"Bearer")
        && token.len() < rest.len()
        && unpadded > 0
        && token[..unpadded].iter().all(is_b64token);
    if well_formed { Ok(token) } else { Err(Denied::Malformed) }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use super::super::mint::{hex, sha256};
    use super::*;

    fn tokens() -> Tokens {
        let mut text = String::new();
        for (tenant, token) in [("acme", "open-sesame"), ("other", "abc.DEF-1_2~3+4/5==")] {
            let hex = hex(&sha256(token.as_bytes()));
            write!(
                text,
                "[[tenant]]\nname = \"{tenant}\"\n[[tenant.token]]\nname = \"of {tenant}\"\n\
                 sha256 = \"{hex}\"\npermissions = []\n"
            )
            .unwrap();
        }
        Tokens::new(&Config::parse(&text, Path::new("/"), &|_| None).unwrap(), Instant::now())
    }

    fn verify(header: &str, tenant: &str) -> Result<String, Denied> {
        let tokens = tokens();
        let digest = sha256(token(Some(header.as_bytes()))?);
        let known = tokens.find(&digest, tenant).ok_or(Denied::Unknown)?;
        Ok(known.caller.name.to_string())
    }

    #[test]
    fn a_token_stands_for_its_caller() {
        assert_eq!(verify("Bearer open-sesame", "acme"), Ok("of acme".to_owned()));
        assert_eq!(verify("bEARER   open-sesame ", "acme"), Ok("of acme".to_owned()));
        assert_eq!(verify("Bearer abc.DEF-1_2~3+4/5==", "other"), Ok("of other".to_owned()));
    }

    #[test]
    fn a_token_is_of_one_tenant() {
        assert_eq!(verify("Bearer open-sesame", "other"), Err(Denied::Unknown));
        assert_eq!(verify("Bearer open-sesame", "ACME"), Err(Denied::Unknown));
        assert_eq!(verify("Bearer open-sesam", "acme"), Err(Denied::Unknown));
    }

    #[test]
    fn what_is_no_bearer_token_is_malformed() {
        assert_eq!(token(None).unwrap_err(), Denied::Missing);
        for header in [
            "",
            "Bearer",
            "Bearer ",
            "Beareropen-sesame",
            "Basic open-sesame",
            "Bearer open sesame",
            "Bearer open-sesame, Bearer x",
            "Bearer =",
            "Bearer open=sesame",
            "Bearer ü",
            "Béarer x",
        ] {
            assert_eq!(verify(header, "acme"), Err(Denied::Malformed), "{header:?}");
        }
        let long = format!("Bearer {}", "a".repeat(MAX_HEADER));
        assert_eq!(verify(&long, "acme"), Err(Denied::Malformed));
    }

    #[test]
    fn debug_tells_how_many_and_no_more() {
        assert_eq!(format!("{:?}", tokens()), "Tokens { count: 2 }");
    }
}
