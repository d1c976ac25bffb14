//! Clients of the token endpoint: who they are, and the tokens that they get (RFC 6749 section 4.4).
//!
//! Knows nothing of forms and headers.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use subtle::ConstantTimeEq;

use super::gate::{Gate, Known, Refused};
use super::mint::{ISSUED, fresh, hex, sha256};
use crate::caller::{Caller, PermissionSet};
use crate::config::OauthClient;
use crate::secret::Secret;
use crate::store::IssuedToken;

/// Tokens of one client that are good at the same time; the oldest go.
const MOST: u32 = 1000;

/// The clients of one tenant, by their ids.
#[derive(Debug)]
pub struct Clients(HashMap<String, Entry>);

#[derive(Debug)]
struct Entry {
    secret_sha256: [u8; 32],
    known: Known,
    lifetime: Duration,
}

/// A token for a client, to be shown once.
#[derive(Debug)]
pub struct Issued {
    pub token: Secret<String>,
    pub lifetime: Duration,
    /// What it is for, where that was asked.
    pub scope: Option<String>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    #[error("no client of this tenant has this id and secret")]
    Client,
    #[error("this client has no \"{0}\"; leave scope out for all that it has")]
    Scope(String),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Random(#[from] super::mint::NoRandom),
}

impl Gate {
    /// Whether the tenant has a token endpoint.
    pub fn issues(&self, tenant: &str) -> bool {
        self.clients.contains_key(tenant)
    }

    /// Gives a client a token, for all that it may or for the words of `scope`.
    pub async fn issue(
        &self,
        tenant: &str,
        (id, secret): (&str, &Secret<String>),
        scope: Option<&str>,
        from: IpAddr,
        now: Instant,
    ) -> Result<Issued, IssueError> {
        self.let_try(from, now)?;
        let digest = sha256(secret.expose().as_bytes());
        let entry = self.clients.get(tenant).and_then(|clients| clients.0.get(id));
        // An unknown client is compared as well: how long it takes tells nothing.
        let expected = entry.map_or([0; 32], |entry| entry.secret_sha256);
        let same = bool::from(expected.ct_eq(&digest));
        let Some(entry) = entry.filter(|_| same) else {
            self.failed(from, now);
            return Err(IssueError::Client);
        };
        let scope = scope.filter(|scope| !scope.trim().is_empty());
        if let Some(scope) = scope {
            narrowed(&entry.known.caller, scope).map_err(IssueError::Scope)?;
        }
        let token = fresh(ISSUED)?;
        let issued = self.clock.now();
        let kept = IssuedToken {
            tenant: tenant.to_owned(),
            client: id.to_owned(),
            scope: scope.map(str::to_owned),
            issued,
            expires: issued.checked_add(entry.lifetime).unwrap_or(issued),
        };
        let digest = hex(&sha256(token.expose().as_bytes()));
        self.store
            .issue_token(&digest, &kept, MOST)
            .await
            .map_err(|error| Refused::Unavailable(Arc::new(error)))?;
        Ok(Issued { token, lifetime: entry.lifetime, scope: kept.scope })
    }
}

impl Clients {
    pub fn new(clients: &[OauthClient], start: Instant) -> Self {
        let entry = |client: &OauthClient| {
            let known = Known::new(&client.rights, start);
            (
                client.id.clone(),
                Entry { secret_sha256: client.secret_sha256, known, lifetime: client.lifetime },
            )
        };
        Self(clients.iter().map(entry).collect())
    }

    /// Whom a token stands for; nobody where the configuration knows its client no longer, or no
    /// longer lets it do what the token was for.
    pub fn of_token(&self, token: &IssuedToken) -> Option<Known> {
        let known = &self.0.get(&token.client)?.known;
        let Some(scope) = &token.scope else { return Some(known.clone()) };
        let permissions = narrowed(&known.caller, scope).ok()?;
        let caller = Arc::new(Caller { permissions, ..(*known.caller).clone() });
        Some(Known { caller, rate: known.rate.clone() })
    }
}

/// What a scope leaves of a caller's permissions, or the word that asks for more than these.
fn narrowed(caller: &Caller, scope: &str) -> Result<PermissionSet, String> {
    scope.split_ascii_whitespace().try_fold(PermissionSet::default(), |set, word| {
        match word.parse::<PermissionSet>() {
            Ok(more) if caller.permissions.union(more) == caller.permissions => Ok(set.union(more)),
            _ => Err(word.to_owned()),
        }
    })
}
