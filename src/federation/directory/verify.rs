//! Whether entries are there: read by key past the caches, and kept in none; and what has to be read with
//! them, before anybody counts as absent.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::vanish::{Evidence, Heard};
use super::{BATCH, Directory, Known};
use crate::repository::{Bounds, EntryKey, Found, RepositoryError};
use crate::scim::Filter;

/// So many who are there are read along with those who are not found.
const WITNESSES: usize = 5;
/// How many are looked for at once, so that they and the witnesses are asked for in one search.
pub(in crate::federation) const LOOKED_FOR: usize = BATCH - WITNESSES;

impl Directory {
    /// How often each linked entry is to be read again, at least.
    pub(in crate::federation) fn verify_every(&self) -> Duration {
        self.verify
    }

    /// What is known here of who vanished.
    pub(in crate::federation) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// The entries with these keys, and whether the answer was whole.
    pub(in crate::federation) async fn look_for(
        &self,
        keys: &[EntryKey],
    ) -> Result<(Vec<Arc<Known>>, bool), RepositoryError> {
        let asked = self.asking(false, false);
        let Found { entries, complete, .. } = asked.read(keys).await?;
        Ok((entries.into_iter().map(|entry| asked.know(entry)).collect(), complete))
    }

    /// Who of the `missing` is not there, told by an answer that can be believed: the entry at the base
    /// is readable, and the search that does not find them finds somebody else by the same means.
    /// `present` was found just now; where it is nobody, somebody is looked for.
    pub(in crate::federation) async fn absent(
        &self,
        missing: &[EntryKey],
        present: &[Arc<Known>],
    ) -> Result<HashSet<EntryKey>, RepositoryError> {
        let asked = self.asking(false, false);
        let base = self.repository.base_is_readable(asked.deadline).await?;
        let mut others: Vec<EntryKey> =
            present.iter().take(WITNESSES).map(|known| known.key.clone()).collect();
        if others.is_empty() && base {
            let bounds = Bounds { size_limit: WITNESSES, ..asked.bounds() };
            let anybody = self.repository.search(&Filter::Constant(true), bounds).await?;
            others.extend(anybody.entries.iter().take(WITNESSES).map(|one| one.key.clone()));
        }
        let wanted = [missing, &others].concat();
        let Found { entries, complete, .. } = asked.read(&wanted).await?;
        let found: HashSet<&EntryKey> = entries.iter().map(|entry| &entry.key).collect();
        let witnessed = others.iter().any(|other| found.contains(other));
        if !(Evidence { complete, base, witnessed }).proves_absence() {
            tracing::debug!(repository = %self.id, complete, base, witnessed, "verify.unproven");
            return Ok(HashSet::new());
        }
        Ok(missing.iter().filter(|key| !found.contains(key)).cloned().collect())
    }
}
