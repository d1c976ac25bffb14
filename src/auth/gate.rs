//! The gate that every request passes: who is asking, how often that failed, how often it was asked.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bearer::{self, Denied, Tokens};
use super::client::Clients;
use super::jwt::{IssuerFault, Issuers, KeysUnavailable, Unverified};
use super::mint::{ISSUED, hex, sha256};
use super::published::Places;
use super::rate::Rate;
use super::standing::Standing;
use super::throttle::{Accounts, Throttle};
use super::verified::Verified;
use crate::cache::Time;
use crate::caller::Caller;
use crate::clock::Clock;
use crate::config::{Config, Rights, Tenant};
use crate::store::{Store, StoreError};

/// Whom the bridge knows, and what it has seen of those whom it does not.
#[derive(Debug)]
pub struct Gate {
    tokens: Tokens,
    standing: Standing,
    /// Of tenants that have any.
    pub(super) clients: HashMap<Arc<str>, Clients>,
    /// Of tenants that have any.
    issuers: HashMap<Arc<str>, Issuers>,
    verified: Verified,
    pub(super) throttle: Option<Throttle>,
    pub(super) names: Accounts,
    pub(super) people: Accounts,
    pub(super) store: Arc<Store>,
    pub(super) clock: Clock,
}

/// Somebody whom the configuration makes known, and how often he may ask.
#[derive(Clone, Debug)]
pub struct Known {
    pub caller: Arc<Caller>,
    /// Of all tokens of a client together.
    pub rate: Option<Arc<Rate>>,
}

/// Why a request goes no further.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Denied(#[from] Denied),
    /// With the time until the next attempt.
    #[error("too many sign-ins from this address failed; wait before the next attempt")]
    Throttled(Duration),
    /// With the time until the next request.
    #[error("this token has made as many requests as it may; send fewer in the same time")]
    Rate(Duration),
    /// Whether the token is good cannot be said now. With the cause, for the log.
    #[error("tokens cannot be checked for now")]
    Unavailable(#[source] Arc<StoreError>),
    /// Nor can that be said.
    #[error(transparent)]
    Keys(#[from] KeysUnavailable),
}

impl Gate {
    /// `capacity` is what the cache of verified tokens may take, in bytes.
    ///
    /// # Errors
    /// When an issuer's keys are of no use.
    ///
    /// # Panics
    /// Outside a Tokio runtime, where an issuer's keys are published under an address.
    pub fn new(
        config: &Config,
        store: &Arc<Store>,
        clock: &Clock,
        capacity: u64,
    ) -> Result<Self, IssuerFault> {
        let start = Instant::now();
        let clients = config.tenants.iter().filter(|tenant| !tenant.clients.is_empty());
        let clients = clients
            .map(|tenant| (Arc::clone(&tenant.name), Clients::new(&tenant.clients, start)))
            .collect();
        let issuing = config.tenants.iter().filter(|tenant| !tenant.issuers.is_empty());
        let mut places = Places::default();
        let mut known = |tenant: &Tenant| Issuers::new(&tenant.issuers, &mut places, start);
        let issuers = issuing
            .map(|tenant| Ok((Arc::clone(&tenant.name), known(tenant)?)))
            .collect::<Result<_, _>>()?;
        places.follow();
        Ok(Self {
            tokens: Tokens::new(config, start),
            standing: Standing::new(store, clock, Time::running()),
            clients,
            issuers,
            verified: Verified::new(capacity),
            throttle: config.server.throttle.map(|failures| Throttle::new(failures, start)),
            names: Accounts::new(start),
            people: Accounts::new(start),
            store: Arc::clone(store),
            clock: clock.clone(),
        })
    }

    /// Tenant and name of every issuer whose keys are published under an address, and whether these
    /// can be had; `None` before that is known.
    pub fn issuers(&self) -> impl Iterator<Item = (&str, &str, Option<bool>)> {
        self.issuers.iter().flat_map(|(tenant, issuers)| {
            issuers.published().map(|(issuer, healthy)| (&**tenant, issuer, healthy))
        })
    }

    /// Whether it matters where a request comes from.
    pub fn throttles(&self) -> bool {
        self.throttle.is_some()
    }

    /// Whom the header's token stands for, if it is one of `tenant`. Of a static token that was looked
    /// at in the last minute this allocates nothing.
    pub async fn admit(
        &self,
        authorization_header: Option<&[u8]>,
        tenant: &str,
        from: IpAddr,
        now: Instant,
    ) -> Result<Arc<Caller>, Refused> {
        self.let_try(from, now)?;
        let outcome = match bearer::token(authorization_header) {
            Ok(token) => {
                let digest = sha256(token);
                match self.tokens.find(&digest, tenant) {
                    Some(known) if self.standing.is_good(&digest) => return let_in(known, now),
                    Some(known) => {
                        let checked = Box::pin(self.standing.check(&digest, known.into())).await;
                        checked.map(|()| known.clone())
                    }
                    None => Box::pin(self.look_up(token, digest, tenant)).await,
                }
            }
            Err(denied) => Err(denied.into()),
        };
        self.decided(outcome, from, now)
    }

    /// The same where the path does not say whose token it must be: that of the first of these tenants
    /// that knows it.
    ///
    /// # Errors
    /// As [`Gate::admit`].
    pub async fn admit_any(
        &self,
        authorization_header: Option<&[u8]>,
        tenants: &[&str],
        from: IpAddr,
        now: Instant,
    ) -> Result<Arc<Caller>, Refused> {
        self.let_try(from, now)?;
        let mut outcome = Err(Denied::Unknown.into());
        match bearer::token(authorization_header) {
            Ok(token) => {
                let digest = sha256(token);
                for tenant in tenants {
                    outcome = match self.tokens.find(&digest, tenant) {
                        Some(known) => {
                            let checked = self.standing.check(&digest, known.into()).await;
                            checked.map(|()| known.clone())
                        }
                        None => self.look_up(token, digest, tenant).await,
                    };
                    if !matches!(outcome, Err(Refused::Denied(_))) {
                        break;
                    }
                }
            }
            Err(denied) => outcome = Err(denied.into()),
        }
        self.decided(outcome, from, now)
    }

    fn decided(
        &self,
        outcome: Result<Known, Refused>,
        from: IpAddr,
        now: Instant,
    ) -> Result<Arc<Caller>, Refused> {
        match outcome {
            Ok(known) => let_in(&known, now),
            Err(refused) => {
                let counts = match &refused {
                    Refused::Denied(denied) => *denied != Denied::Missing,
                    // An invented key id looks the same as that of a key which is new.
                    Refused::Keys(keys) => !keys.down,
                    _ => false,
                };
                if counts {
                    self.failed(from, now);
                }
                Err(refused)
            }
        }
    }

    pub(super) fn let_try(&self, from: IpAddr, now: Instant) -> Result<(), Refused> {
        let throttle = self.throttle.as_ref();
        throttle.map_or(Ok(()), |throttle| throttle.check(from, now).map_err(Refused::Throttled))
    }

    pub(super) fn failed(&self, from: IpAddr, now: Instant) {
        if let Some(throttle) = &self.throttle {
            throttle.failed(from, now);
        }
    }

    /// Whom a token stands for that is none of the configuration.
    async fn look_up(
        &self,
        token: &[u8],
        digest: [u8; 32],
        tenant: &str,
    ) -> Result<Known, Refused> {
        if !token.starts_with(ISSUED.as_bytes()) {
            return self.of_issuer(token, digest, tenant).await;
        }
        let Some((name, clients)) = self.clients.get_key_value(tenant) else {
            return Err(Denied::Unknown.into());
        };
        let at = self.clock.now();
        if let Some(known) = self.verified.find(name, &digest, at) {
            return Ok(known);
        }
        let unavailable = |error| Refused::Unavailable(Arc::new(error));
        let kept = self.store.issued_token(&hex(&digest)).await.map_err(unavailable)?;
        let kept = kept.filter(|kept| kept.token.expires > at && kept.token.tenant == tenant);
        let kept = kept.ok_or(Denied::Unknown)?;
        let known = clients.of_token(&kept.token).ok_or(Denied::Unknown)?;
        self.verified.keep(name, digest, &known, kept.token.expires);
        let store = Arc::clone(&self.store);
        tokio::spawn(async move {
            if let Err(error) = store.token_used(kept.number, at).await {
                tracing::debug!(%error, "the use of a token could not be noted");
            }
        });
        Ok(known)
    }
}

impl Gate {
    /// Whom a token stands for that somebody else issued.
    async fn of_issuer(
        &self,
        token: &[u8],
        digest: [u8; 32],
        tenant: &str,
    ) -> Result<Known, Refused> {
        let issuers = self.issuers.get_key_value(tenant);
        // What is no JWT by its looks is told the same as where there is no issuer.
        let issuers = issuers.filter(|_| token.split(|byte| *byte == b'.').count() == 3);
        let (name, issuers) = issuers.ok_or(Denied::Unknown)?;
        let at = self.clock.now();
        if let Some(known) = self.verified.find(name, &digest, at) {
            return Ok(known);
        }
        let (known, expires) = issuers.verify(token, at).await.map_err(|why| match why {
            Unverified::Rejected(rejected) => Denied::from(rejected).into(),
            Unverified::Unavailable(keys) => Refused::from(keys),
        })?;
        self.verified.keep(name, digest, &known, expires);
        Ok(known)
    }
}

fn let_in(known: &Known, now: Instant) -> Result<Arc<Caller>, Refused> {
    if let Some(rate) = &known.rate {
        rate.take(now).map_err(Refused::Rate)?;
    }
    Ok(Arc::clone(&known.caller))
}

impl Known {
    pub fn new(rights: &Rights, start: Instant) -> Self {
        let rate = rights.rate.map(|allowance| Arc::new(Rate::new(allowance, start)));
        Self { caller: Arc::clone(&rights.caller), rate }
    }
}
