//! Chains the audit trail while the bridge serves: what was committed has its place and its hash
//! within a second, by one program for all who have the database open.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::audit::chain::Head;
use crate::clock::Clock;
use crate::store::{Store, StoreError};

const LEASE: &str = "audit";
/// How often it is looked whether there is something to chain.
const TICK: Duration = Duration::from_millis(300);
/// How long whoever chains keeps others from it, unless it goes on.
const TERM: SignedDuration = SignedDuration::from_secs(5);
/// How often the log tells where a chain stands. Whoever keeps the log elsewhere can hold the chain
/// against it.
const TOLD: Duration = Duration::from_mins(10);

/// The task that chains.
#[derive(Debug)]
pub struct Sealer {
    store: Arc<Store>,
    clock: Clock,
    /// Under this name it holds the lease.
    holder: String,
    heads: HashMap<String, Told>,
    /// Whether the last look failed, which is said once.
    failing: bool,
}

/// What the log was told of a tenant's chain.
#[derive(Debug)]
struct Told {
    head: Head,
    last: Option<(Head, Instant)>,
}

impl Sealer {
    pub fn new(store: &Arc<Store>, clock: &Clock) -> Self {
        let (holder, heads) = (clock.new_token().simple().to_string(), HashMap::new());
        Self { store: Arc::clone(store), clock: clock.clone(), holder, heads, failing: false }
    }

    /// Runs until `stopping` says so, and chains what is there by then.
    pub async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        loop {
            // The sender goes only after it has said so.
            let stop = timeout(TICK, stopping.wait_for(|stop| *stop)).await.is_ok();
            match self.pass().await {
                Ok(()) => self.failing = false,
                Err(error) => {
                    if !self.failing {
                        tracing::warn!(%error, "audit.unsealed");
                    }
                    self.failing = true;
                    if !stop {
                        sleep(TICK).await;
                    }
                }
            }
            self.tell(stop);
            if stop {
                // Whoever comes next would only wait for its end.
                if let Err(error) = self.store.release(LEASE, &self.holder).await {
                    tracing::debug!(%error, "audit.lease.kept");
                }
                return;
            }
        }
    }

    /// Chains all there is, unless another program does.
    async fn pass(&mut self) -> Result<(), StoreError> {
        while self.store.is_unsealed().await? {
            let now = self.clock.now();
            if !self.store.lease(LEASE, &self.holder, now, now + TERM).await? {
                return Ok(());
            }
            let until = Instant::now() + TERM.unsigned_abs() / 2;
            loop {
                let sealed = self.store.seal().await?;
                for (tenant, head) in sealed.heads {
                    let told = self.heads.entry(tenant).or_insert(Told { head, last: None });
                    told.head = head;
                }
                if !sealed.more {
                    return Ok(());
                }
                if Instant::now() > until {
                    break;
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, now: bool) {
        for (tenant, told) in &mut self.heads {
            let due = told
                .last
                .is_none_or(|(head, at)| head != told.head && (now || at.elapsed() > TOLD));
            if due {
                tracing::info!(tenant, head = %told.head, "audit.head");
                told.last = Some((told.head, Instant::now()));
            }
        }
    }
}
