//! What works beside requests: imports, the watch over who left, and the chaining of the audit trail.

use std::sync::Arc;

use anyhow::Context as _;
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::sealer::Sealer;
use crate::clock::Clock;
use crate::federation::ImportQueue;
use crate::import::{TenantPart, Worker};
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

/// Tasks that run until they are brought to a rest.
#[derive(Debug)]
pub(super) struct Background {
    importing: JoinHandle<()>,
    /// One for each tenant: where one breaks off, the others go on.
    watching: Vec<JoinHandle<()>>,
    sealing: JoinHandle<()>,
    /// Ends the sealing, after the last change.
    drain: watch::Sender<bool>,
}

impl Background {
    /// Imports and the watch end when `stopping` says so.
    pub(super) fn begin(
        store: &Arc<Store>,
        clock: &Clock,
        importers: Vec<TenantPart>,
        metrics: &Arc<Metrics>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let watch = |part: &TenantPart| {
            let (federation, stopping) = (Arc::clone(&part.federation), stopping.clone());
            tokio::spawn(async move { federation.watch(stopping).await })
        };
        let watching = importers.iter().map(watch).collect();
        let queue = ImportQueue::new(store, clock);
        let importing = tokio::spawn(Worker::new(queue, importers, metrics).run(stopping));
        let (drain, drained) = watch::channel(false);
        let sealing = tokio::spawn(Sealer::new(store, clock).run(drained));
        Self { importing, watching, sealing, drain }
    }

    /// Waits for what is being done, after the last request.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        self.importing.await.context("imports were not brought to a rest")?;
        for watching in join_all(self.watching).await {
            watching.context("the watch over who left was not brought to a rest")?;
        }
        self.drain.send_replace(true);
        self.sealing.await.context("the audit trail was not chained to its end")
    }
}
