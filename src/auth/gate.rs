//! The gate that every request passes: who is asking, how often that failed, how often it was asked.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bearer::{Denied, Tokens};
use super::throttle::Throttle;
use crate::caller::Caller;
use crate::config::Config;

/// Whom the bridge knows, and what it has seen of those whom it does not.
#[derive(Debug)]
pub struct Gate {
    tokens: Tokens,
    throttle: Option<Throttle>,
}

/// Why a request goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Denied(#[from] Denied),
    /// With the time until the next attempt.
    #[error("too many sign-ins from this address failed; wait before the next attempt")]
    Throttled(Duration),
    /// With the time until the next request.
    #[error("this token has made as many requests as it may; send fewer in the same time")]
    Rate(Duration),
}

impl Gate {
    pub fn new(config: &Config) -> Self {
        let start = Instant::now();
        Self {
            tokens: Tokens::new(config, start),
            throttle: config.server.throttle.map(|failures| Throttle::new(failures, start)),
        }
    }

    /// Whether it matters where a request comes from.
    pub fn throttles(&self) -> bool {
        self.throttle.is_some()
    }

    /// Whom the header's token stands for, if it is one of `tenant`. Allocates nothing.
    pub fn admit(
        &self,
        authorization_header: Option<&[u8]>,
        tenant: &str,
        from: IpAddr,
        now: Instant,
    ) -> Result<Arc<Caller>, Refused> {
        if let Some(throttle) = &self.throttle {
            throttle.check(from, now).map_err(Refused::Throttled)?;
        }
        match self.tokens.verify(authorization_header, tenant) {
            Ok(known) => {
                if let Some(rate) = &known.rate {
                    rate.take(now).map_err(Refused::Rate)?;
                }
                Ok(Arc::clone(&known.caller))
            }
            Err(denied) => {
                if let Some(throttle) = &self.throttle
                    && denied != Denied::Missing
                {
                    throttle.failed(from, now);
                }
                Err(denied.into())
            }
        }
    }
}
