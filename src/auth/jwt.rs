//! Bearer tokens that others issue: signed JWTs (RFC 7519) in the compact form, verified with the
//! issuer's public keys.
//!
//! Nothing of a token is believed before its signature is verified, but which issuer's keys are meant.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::fetch::FetchError;
use super::gate::Known;
use super::jwk::{Algorithm, Keys, KeysFault};
use super::published::{Asker, Places, Published, Unavailable};
use crate::caller::{Caller, PermissionSet};
use crate::config::{Issuer, KeySet};

/// How far an issuer's clock may be off.
const LEEWAY: SignedDuration = SignedDuration::from_secs(30);
/// Bytes of a subject: what names a user here is no longer.
const LONGEST: usize = 512;

/// The issuers whose tokens one tenant accepts.
#[derive(Debug)]
pub struct Issuers(Vec<Trusted>);

#[derive(Debug)]
struct Trusted {
    issuer: String,
    audience: String,
    keys: Source,
    known: Known,
}

/// Where the keys are.
#[derive(Debug)]
enum Source {
    Given(Arc<Keys>),
    Published(Arc<Published>),
}

/// A token in its parts, of which nothing is believed yet.
struct Token<'a> {
    /// What the signature is about.
    signed: &'a str,
    signature: Vec<u8>,
    algorithm: Algorithm,
    id: Option<String>,
    issuer: String,
    claims: Value,
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    #[error("it is no signed JWT in the compact form")]
    Malformed,
    #[error("its algorithm is none of RS256, ES256 and EdDSA")]
    Algorithm,
    #[error("its header asks for what is not understood here (crit)")]
    Critical,
    #[error("its issuer (iss) is none of this tenant's")]
    Issuer,
    #[error("no key of its issuer has its key id and algorithm")]
    Key,
    #[error("its signature is wrong")]
    Signature,
    #[error("it is for another audience (aud)")]
    Audience,
    #[error("it has no time of expiry (exp), or has expired")]
    Expired,
    #[error("it is not valid yet (nbf)")]
    NotYet,
}

/// Whether a token is good cannot be said now. Who sees this has not said yet who it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the keys of the token's issuer cannot be read now, so it cannot be checked")]
pub struct KeysUnavailable {
    /// For the log.
    pub issuer: String,
    /// Until they are asked for again.
    pub wait: Duration,
    /// Whether they cannot be had; else the token names a key that is not among them.
    pub down: bool,
}

/// Why a token stands for nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unverified {
    Rejected(Rejected),
    Unavailable(KeysUnavailable),
}

/// The issuer's keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the keys of the issuer \"{issuer}\" of tenant \"{tenant}\" cannot be used: {fault}")]
pub struct IssuerFault {
    issuer: String,
    tenant: String,
    fault: SourceFault,
}

#[derive(Debug, thiserror::Error)]
enum SourceFault {
    #[error(transparent)]
    Keys(#[from] KeysFault),
    #[error(transparent)]
    Address(#[from] FetchError),
}

impl From<Rejected> for Unverified {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

impl Issuers {
    /// `places` get the addresses at which keys are published.
    pub fn new(
        issuers: &[Issuer],
        places: &mut Places,
        start: Instant,
    ) -> Result<Self, IssuerFault> {
        let trusted = issuers.iter().map(|one| {
            let tenant = &*one.rights.caller.tenant;
            let keys = Source::new(one, tenant, places).map_err(|fault| IssuerFault {
                issuer: one.issuer.clone(),
                tenant: tenant.to_owned(),
                fault,
            })?;
            Ok(Trusted {
                issuer: one.issuer.clone(),
                audience: one.audience.clone(),
                keys,
                known: Known::new(&one.rights, start),
            })
        });
        trusted.collect::<Result<_, _>>().map(Self)
    }

    /// Whom a token stands for, and until when. Waits for keys where those at hand do not suffice.
    pub async fn verify(
        &self,
        token: &[u8],
        now: Timestamp,
    ) -> Result<(Known, Timestamp), Unverified> {
        let token = Token::read(token)?;
        let mut rejected = Rejected::Issuer;
        let mut unavailable = None;
        for trusted in &self.0 {
            if trusted.issuer != token.issuer {
                continue;
            }
            match trusted.verify(&token, now).await {
                Err(Unverified::Unavailable(keys)) => unavailable = Some(keys),
                // One issuer may stand there once for each audience.
                Err(Unverified::Rejected(
                    why @ (Rejected::Key | Rejected::Signature | Rejected::Audience),
                )) => rejected = why,
                decided => return decided,
            }
        }
        Err(unavailable.map_or(Unverified::Rejected(rejected), Unverified::Unavailable))
    }

    /// The issuers whose keys are published under an address, and whether these can be had; `None`
    /// before that is known.
    pub fn published(&self) -> impl Iterator<Item = (&str, Option<bool>)> {
        self.0.iter().filter_map(|one| match &one.keys {
            Source::Given(_) => None,
            Source::Published(keys) => Some((&*one.issuer, keys.healthy())),
        })
    }
}

impl Source {
    fn new(issuer: &Issuer, tenant: &str, places: &mut Places) -> Result<Self, SourceFault> {
        Ok(match &issuer.jwks {
            KeySet::Text(text) => Self::Given(Arc::new(Keys::parse(text)?)),
            KeySet::Address(url, roots) => {
                let who = Asker { tenant: tenant.to_owned(), issuer: issuer.issuer.clone() };
                Self::Published(places.keys(url, roots.as_ref(), who)?)
            }
        })
    }

    async fn get(&self, suffice: impl Fn(&Keys) -> bool) -> Result<Arc<Keys>, Unavailable> {
        match self {
            Self::Given(keys) => Ok(Arc::clone(keys)),
            Self::Published(keys) => keys.get(suffice).await,
        }
    }
}

impl<'a> Token<'a> {
    fn read(token: &'a [u8]) -> Result<Self, Rejected> {
        let token = std::str::from_utf8(token).map_err(|_| Rejected::Malformed)?;
        let (signed, signature) = token.rsplit_once('.').ok_or(Rejected::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Rejected::Malformed)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Rejected::Malformed)?;
        let (header, claims) = (object(header)?, object(claims)?);
        let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::named);
        let algorithm = algorithm.ok_or(Rejected::Algorithm)?;
        if header.get("crit").is_some() {
            return Err(Rejected::Critical);
        }
        let id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return Err(Rejected::Malformed),
        };
        let issuer = claims.get("iss").and_then(Value::as_str).ok_or(Rejected::Issuer)?.to_owned();
        Ok(Self { signed, signature, algorithm, id, issuer, claims })
    }

    /// Whether one of these keys is meant. A token that names none means whichever made it.
    fn means(&self, keys: &Keys) -> bool {
        let id = self.id.as_deref();
        keys.has(id, self.algorithm) && (id.is_some() || self.is_of(keys))
    }

    fn is_of(&self, keys: &Keys) -> bool {
        keys.verify(self.id.as_deref(), self.algorithm, self.signed.as_bytes(), &self.signature)
    }
}

impl Trusted {
    async fn verify(
        &self,
        token: &Token<'_>,
        now: Timestamp,
    ) -> Result<(Known, Timestamp), Unverified> {
        // What refuses itself asks nobody for keys.
        let expires = self.applies(&token.claims, now)?;
        let unavailable = |Unavailable { wait, down }| {
            Unverified::Unavailable(KeysUnavailable { issuer: self.issuer.clone(), wait, down })
        };
        let keys = self.keys.get(|keys| token.means(keys)).await.map_err(unavailable)?;
        if !keys.has(token.id.as_deref(), token.algorithm) {
            return Err(Rejected::Key.into());
        }
        if !token.is_of(&keys) {
            return Err(Rejected::Signature.into());
        }
        Ok((self.known(&token.claims), expires))
    }

    /// Whether claims are for this audience and this time, and until when.
    fn applies(&self, claims: &Value, now: Timestamp) -> Result<Timestamp, Rejected> {
        if !is_for(claims, &self.audience) {
            return Err(Rejected::Audience);
        }
        let expires = time(claims, "exp").ok_or(Rejected::Expired)?;
        if expires.saturating_add(LEEWAY).is_ok_and(|end| end <= now) {
            return Err(Rejected::Expired);
        }
        match (claims.get("nbf"), time(claims, "nbf")) {
            (None, _) => {}
            (Some(_), Some(begin)) if now.saturating_add(LEEWAY).is_ok_and(|n| n >= begin) => {}
            (Some(_), _) => return Err(Rejected::NotYet),
        }
        Ok(expires)
    }

    /// The caller that the configuration makes of a token: who is its subject, and no more than its
    /// own claims ask for where these speak of permissions.
    fn known(&self, claims: &Value) -> Known {
        let caller = &self.known.caller;
        let subject = claims.get("sub").and_then(Value::as_str);
        let subject = subject.filter(|text| !text.is_empty() && text.len() <= LONGEST);
        let permissions = match asked_for(claims) {
            Some(asked) => caller.permissions.intersection(asked),
            None => caller.permissions,
        };
        let caller = Caller {
            user: subject.map(Arc::from).or_else(|| caller.user.clone()),
            permissions,
            ..(**caller).clone()
        };
        Known { caller: Arc::new(caller), rate: self.known.rate.clone() }
    }
}

/// What of the claims `scope`, `scp` and `roles` is a permission or a set of them; `None` where no
/// word is: they speak of something else then.
fn asked_for(claims: &Value) -> Option<PermissionSet> {
    let lists = ["scope", "scp", "roles"].into_iter().filter_map(|name| claims.get(name));
    let words = lists.flat_map(|list| match list {
        Value::String(text) => text.split_ascii_whitespace().collect(),
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    });
    words
        .filter_map(|word| word.parse::<PermissionSet>().ok())
        .fold(None, |set, more| Some(set.unwrap_or_default().union(more)))
}

fn is_for(claims: &Value, audience: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(several)) => several.iter().any(|one| one == audience),
        _ => false,
    }
}

/// A `NumericDate` (RFC 7519 section 2); parts of seconds do not count.
fn time(claims: &Value, name: &str) -> Option<Timestamp> {
    let value = claims.get(name)?;
    let seconds = value.as_i64().or_else(|| {
        let seconds = value.as_f64().filter(|seconds| seconds.abs() < 1e11)?;
        #[expect(clippy::cast_possible_truncation, reason = "far within what fits")]
        Some(seconds as i64)
    })?;
    Timestamp::from_second(seconds).ok()
}

fn object(part: &str) -> Result<Value, Rejected> {
    let text = URL_SAFE_NO_PAD.decode(part).map_err(|_| Rejected::Malformed)?;
    let value: Value = serde_json::from_slice(&text).map_err(|_| Rejected::Malformed)?;
    if value.is_object() { Ok(value) } else { Err(Rejected::Malformed) }
}

#[cfg(test)]
mod tests;
