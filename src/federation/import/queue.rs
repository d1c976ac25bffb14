//! The queue of imports of all tenants, as whoever works on it sees it.

use std::sync::Arc;

use jiff::SignedDuration;

use super::super::Problem;
use crate::clock::Clock;
use crate::store::{ImportRow, Store};

const LEASE: &str = "import";

/// How long whoever works on the queue keeps others from it, unless it goes on.
const TERM: SignedDuration = SignedDuration::from_secs(10);

/// The jobs that wait, first in first out.
#[derive(Debug)]
pub struct ImportQueue {
    store: Arc<Store>,
    clock: Clock,
    /// Under this name it is held.
    holder: String,
}

/// An import whose turn it is.
#[derive(Clone, Debug)]
pub struct ImportJob(pub(super) ImportRow);

impl ImportJob {
    pub fn tenant(&self) -> &str {
        &self.0.tenant
    }

    pub fn correlation_id(&self) -> &str {
        &self.0.correlation_id
    }
}

impl ImportQueue {
    pub fn new(store: &Arc<Store>, clock: &Clock) -> Self {
        let holder = clock.new_token().simple().to_string();
        Self { store: Arc::clone(store), clock: clock.clone(), holder }
    }

    /// The job whose turn it is among those of `tenants`.
    pub async fn next(&self, tenants: &[&str]) -> Result<Option<ImportJob>, Problem> {
        Ok(self.store.next_import(tenants).await?.map(ImportJob))
    }

    /// Whether this program is the one that works on the queue for the next ten seconds. What is done
    /// by two is done once all the same: of two who do a row, one is too late.
    pub async fn hold(&self) -> Result<bool, Problem> {
        let now = self.clock.now();
        Ok(self.store.lease(LEASE, &self.holder, now, now + TERM).await?)
    }

    /// Lets others work on it at once.
    pub async fn release(&self) -> Result<(), Problem> {
        Ok(self.store.release(LEASE, &self.holder).await?)
    }

    /// Removes what nobody needs any more.
    pub async fn sweep(&self) -> Result<(), Problem> {
        Ok(self.store.sweep_imports().await?)
    }
}
