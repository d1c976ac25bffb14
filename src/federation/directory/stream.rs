//! A repository's people as they pass by, for a walk: asked past the caches, and kept in none.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::{Directory, Known};
use crate::cache::State;
use crate::repository::{Batches, Bounds, Entry, Found, RepositoryError};
use crate::scim::Filter;
use crate::telemetry::metrics::Operation;

impl Directory {
    /// Everybody who may match the filter, at most `limit` and one more, in batches.
    pub(in crate::federation) async fn stream(
        &self,
        filter: &Filter,
        photos: bool,
        limit: usize,
        deadline: Instant,
        into: Batches,
    ) -> Result<Found, RepositoryError> {
        let begin = Instant::now();
        let asking = self.asking(photos, false);
        let bounds = Bounds { size_limit: limit, deadline, ..asking.bounds() };
        let found = self.repository.stream(filter, bounds, into).await;
        asking.count(Operation::Search, &found, begin);
        found
    }

    /// When a question is asked, for [`Directory::passing`].
    pub(in crate::federation) fn asked(&self) -> Timestamp {
        self.clock.now()
    }

    /// An entry that passes by in the answer to a question that was `asked` then.
    pub(in crate::federation) fn passing(
        &self,
        entry: Arc<Entry>,
        photos: bool,
        asked: Timestamp,
    ) -> Known {
        let entry = Arc::unwrap_or_clone(entry);
        Known::new(&self.id, &self.giving, entry, asked, photos, State::Live)
    }
}
