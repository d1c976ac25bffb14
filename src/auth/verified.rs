//! Tokens that were found good a short while ago: neither the store nor a key is asked again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::gate::Known;
use crate::cache::{Cache, Loaded, Policy};

/// How long a token counts as good without being looked at; so long a revoked one goes on.
pub const HELD: Duration = Duration::from_mins(1);

/// A value is read until half of its freshness is over, and never loaded behind anybody's back.
const POLICY: Policy =
    Policy { fresh: HELD.saturating_mul(2), negative: Duration::ZERO, stale: Duration::ZERO };

/// What a token takes, about, with its caller.
const WEIGHT: u32 = 512;

/// Tenant, and SHA-256 of the token: one token may be good for two tenants.
type Key = (Arc<str>, [u8; 32]);

#[derive(Debug)]
pub struct Verified(Cache<Key, (Known, Timestamp)>);

impl Verified {
    pub fn new(capacity: u64) -> Self {
        Self(Cache::new("token", capacity, |_, _| WEIGHT))
    }

    pub fn find(&self, tenant: &Arc<str>, digest: &[u8; 32], at: Timestamp) -> Option<Known> {
        let (known, expires) = self.0.peek(&(Arc::clone(tenant), *digest))?.value;
        (expires > at).then_some(known)
    }

    pub fn keep(&self, tenant: &Arc<str>, digest: [u8; 32], known: &Known, expires: Timestamp) {
        let value = Loaded::whole((known.clone(), expires));
        self.0.insert((Arc::clone(tenant), digest), value, POLICY);
    }
}
