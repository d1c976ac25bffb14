//! One question to a repository, with all that a load which nobody waits for takes along.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::super::given::Giving;
use super::{AskedKey, Freshness, Hits, Known};
use crate::cache::{Cache, Loaded, Moment, State};
use crate::repository::{Bounds, Entry, EntryKey, Found, Repository, RepositoryError};
use crate::scim::Filter;
use crate::telemetry::metrics::{Operation, Outcome, RepositoryMetrics};

/// What a detached load takes along.
pub(super) struct Asking {
    pub(super) repository: Arc<dyn Repository>,
    pub(super) metrics: Arc<RepositoryMetrics>,
    pub(super) entries: Arc<Cache<AskedKey, Option<Arc<Known>>>>,
    pub(super) tenant: Arc<str>,
    pub(super) id: Arc<str>,
    pub(super) freshness: Freshness,
    pub(super) size_limit: usize,
    pub(super) deadline: Instant,
    pub(super) photos: bool,
    /// Rules are decided by nothing that was learnt before.
    pub(super) since: Instant,
    pub(super) giving: Arc<Giving>,
    /// Before anything was asked.
    pub(super) began: Moment,
    /// The same, by the clock: what is answered was so then or later.
    pub(super) asked: Timestamp,
}

impl Asking {
    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            size_limit: self.size_limit,
            photos: self.photos,
            deadline: self.deadline,
            since: self.since,
        }
    }

    pub(super) async fn ask(&self, filter: &Filter) -> Result<Found, RepositoryError> {
        let begin = Instant::now();
        let found = self.repository.search(filter, self.bounds()).await;
        self.count(Operation::Search, &found, begin);
        found
    }

    pub(super) async fn read(&self, entry_keys: &[EntryKey]) -> Result<Found, RepositoryError> {
        let begin = Instant::now();
        let found = self.repository.read(entry_keys, self.bounds()).await;
        self.count(Operation::Read, &found, begin);
        found
    }

    /// Reads a batch by key, and says of each what was found.
    pub(super) async fn look(
        &self,
        entry_keys: &[EntryKey],
        entries: &mut HashMap<EntryKey, Option<(Arc<Known>, State)>>,
    ) -> Result<(), RepositoryError> {
        let found = self.read(entry_keys).await?;
        let complete = found.complete;
        for known in self.keep(found) {
            entries.insert(known.key.clone(), Some((known, State::Live)));
        }
        if !complete && entry_keys.iter().any(|entry_key| !entries.contains_key(entry_key)) {
            return Err(cut());
        }
        for entry_key in entry_keys {
            entries.entry(entry_key.clone()).or_insert(None);
        }
        Ok(())
    }

    pub(super) fn count(
        &self,
        operation: Operation,
        found: &Result<Found, RepositoryError>,
        begin: Instant,
    ) {
        let outcome = match found {
            Ok(found) if found.complete => Outcome::Complete,
            Ok(_) => Outcome::Truncated,
            Err(RepositoryError::Timeout) => Outcome::Timeout,
            Err(RepositoryError::Unavailable(_)) => Outcome::Unavailable,
        };
        self.metrics.operation(operation, outcome, begin.elapsed());
    }

    pub(super) async fn search(
        &self,
        filter: &Filter,
    ) -> Result<Loaded<Arc<Hits>>, RepositoryError> {
        let found = self.ask(filter).await?;
        let Found { complete, exact, scan, aged, .. } = found;
        let entries = self.keep(found);
        Ok(Loaded {
            empty: entries.is_empty(),
            cut: !complete,
            aged,
            value: Arc::new(Hits { filter: filter.clone(), entries, complete, exact, scan }),
        })
    }

    pub(super) fn keep(&self, found: Found) -> Vec<Arc<Known>> {
        let aged = found.aged;
        let keep = |entry| {
            let known = self.know(entry);
            if self.freshness.fresh.is_zero() && self.freshness.stale.is_zero() {
                return known;
            }
            let key = AskedKey {
                tenant: Arc::clone(&self.tenant),
                repository: Arc::clone(&self.id),
                text: Arc::clone(&known.key.0),
                photos: self.photos,
            };
            let loaded = Loaded { aged, ..Loaded::whole(Some(Arc::clone(&known))) };
            self.entries.insert_since(key, loaded, self.freshness, self.began);
            known
        };
        found.entries.into_iter().map(keep).collect()
    }

    pub(super) fn know(&self, entry: Arc<Entry>) -> Arc<Known> {
        let entry = Arc::unwrap_or_clone(entry);
        let state = if self.freshness.fresh.is_zero() { State::Live } else { State::Cached };
        Arc::new(Known::new(&self.id, &self.giving, entry, self.asked, self.photos, state))
    }
}

/// Who is missing from an answer that was cut may be there all the same.
pub(super) fn cut() -> RepositoryError {
    RepositoryError::Unavailable(
        "the answer was cut before everybody asked for by key was in it".into(),
    )
}
