//! Whether the tokens of the configuration still count: the store knows which of them were taken back.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::bearer::Denied;
use super::gate::{Known, Refused};
use super::mint::hex;
use super::verified::HELD;
use crate::cache::{Cache, Loaded, Lost, Policy, Time};
use crate::clock::Clock;
use crate::store::{Store, StoreError};

/// In the second half of its time the store is asked behind the callers' backs; when that fails, what
/// is known counts to its end, and no longer.
const POLICY: Policy = Policy { fresh: HELD, negative: HELD, stale: Duration::ZERO };

/// What a digest and what is known of it take, about.
const WEIGHT: u32 = 64;

/// What a token of the configuration is called.
#[derive(Clone, Copy, Debug)]
pub struct Whose<'a> {
    pub tenant: &'a str,
    pub token: &'a str,
}

impl<'a> From<&'a Known> for Whose<'a> {
    fn from(known: &'a Known) -> Self {
        Self { tenant: &known.caller.tenant, token: &known.caller.name }
    }
}

/// What was read lately, by digest: whether the token is good.
#[derive(Debug)]
pub struct Standing {
    known: Cache<[u8; 32], bool>,
    /// Of whom the log has said that they come with a token that was taken back.
    told: Mutex<HashSet<[u8; 32]>>,
    store: Arc<Store>,
    clock: Clock,
}

impl Standing {
    pub fn new(store: &Arc<Store>, clock: &Clock, time: Time) -> Self {
        // There are no more of them than the configuration has.
        let known = Cache::with_time("static_token", u64::MAX, |_, _| WEIGHT, time);
        Self { known, told: Mutex::default(), store: Arc::clone(store), clock: clock.clone() }
    }

    /// Whether a token is known to be good, for now.
    pub fn is_good(&self, digest: &[u8; 32]) -> bool {
        self.known.peek(digest).is_some_and(|good| good.value)
    }

    /// Lets a token through that was not taken back; asks the store where that is not known. Of all who
    /// want to know at the same time one asks.
    pub async fn check(&self, digest: &[u8; 32], whose: Whose<'_>) -> Result<(), Refused> {
        let good = match self.known.peek(digest) {
            Some(known) => known.value,
            None => self.look(*digest).await?,
        };
        if good {
            return Ok(());
        }
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(*digest) {
            tracing::warn!(
                tenant = whose.tenant,
                token = whose.token,
                remedy = "somebody still comes with it: give them another",
                "token.revoked.presented"
            );
        }
        Err(Denied::Revoked.into())
    }

    async fn look(&self, digest: [u8; 32]) -> Result<bool, Refused> {
        let (store, at) = (Arc::clone(&self.store), self.clock.now());
        let load = move || async move {
            let digest = hex(&digest);
            let unavailable = |error| Refused::Unavailable(Arc::new(error));
            let token = store.static_token(&digest).await.map_err(unavailable)?;
            let good = token.revoked.is_none();
            if good {
                // Nobody waits for this.
                tokio::spawn(async move {
                    if let Err(error) = store.static_token_used(&digest, at).await {
                        tracing::debug!(%error, "the use of a token could not be noted");
                    }
                });
            }
            Ok(Loaded::whole(good))
        };
        Ok(self.known.get::<Refused, _>(digest, POLICY, false, load).await?.value)
    }
}

impl From<Lost> for Refused {
    fn from(_: Lost) -> Self {
        let told = "the look-up of a token broke off; the log says where".to_owned();
        Self::Unavailable(Arc::new(StoreError::Unavailable(told)))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);
    const TOKEN: [u8; 32] = [7; 32];

    fn standing() -> (Standing, Time) {
        let clock = Clock::system();
        let store = Store::open("sqlite::memory:", &[], clock.clone()).unwrap();
        let time = Time::manual();
        (Standing::new(&Arc::new(store), &clock, time.clone()), time)
    }

    async fn revoke(standing: &Standing) {
        let at = standing.clock.now();
        standing.store.revoke_static_token(&hex(&TOKEN), at).await.unwrap();
    }

    async fn checked(standing: &Standing) -> Result<(), Refused> {
        let whose = Whose { tenant: "acme", token: "portal" };
        standing.check(&TOKEN, whose).await
    }

    fn is_revoked(outcome: &Result<(), Refused>) -> bool {
        matches!(outcome, Err(Refused::Denied(Denied::Revoked)))
    }

    #[tokio::test]
    async fn a_token_that_was_taken_back_goes_on_for_a_minute_at_most() {
        let (standing, time) = standing();
        assert!(!standing.is_good(&TOKEN), "nobody has asked");
        checked(&standing).await.unwrap();
        revoke(&standing).await;
        time.advance(Duration::from_secs(29));
        assert!(standing.is_good(&TOKEN));
        checked(&standing).await.unwrap();
        time.advance(Duration::from_secs(31));
        assert!(!standing.is_good(&TOKEN));
        assert!(is_revoked(&checked(&standing).await));
        assert!(!standing.is_good(&TOKEN));
        assert!(is_revoked(&checked(&standing).await));
    }

    #[tokio::test]
    async fn in_its_second_half_it_is_looked_at_behind_its_back() {
        let (standing, time) = standing();
        checked(&standing).await.unwrap();
        revoke(&standing).await;
        time.advance(HELD / 2);
        checked(&standing).await.unwrap();
        let looked = async {
            while standing.is_good(&TOKEN) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, looked).await.unwrap();
        assert!(is_revoked(&checked(&standing).await));
    }

    #[tokio::test]
    async fn its_use_is_noted_once_in_that_time() {
        let (standing, time) = standing();
        let noted = async || standing.store.static_token(&hex(&TOKEN)).await.unwrap().last_used;
        let later = async |before| {
            let changed = async {
                loop {
                    let now = noted().await;
                    if now != before {
                        return now;
                    }
                    tokio::task::yield_now().await;
                }
            };
            timeout(PATIENCE, changed).await.unwrap()
        };
        checked(&standing).await.unwrap();
        let first = later(None).await;
        for _ in 0..100 {
            checked(&standing).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(noted().await, first);
        time.advance(HELD);
        checked(&standing).await.unwrap();
        assert!(later(first).await > first);
    }

    #[tokio::test]
    async fn without_the_store_what_is_known_counts_to_its_end() {
        let (standing, time) = standing();
        checked(&standing).await.unwrap();
        standing.store.close().await;
        time.advance(Duration::from_secs(59));
        checked(&standing).await.unwrap();
        time.advance(Duration::from_secs(1));
        let refused = checked(&standing).await;
        assert!(matches!(refused, Err(Refused::Unavailable(_))), "{refused:?}");
    }
}
