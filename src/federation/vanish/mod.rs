//! Who left is out, and only who left (rule 7); and the shadow follows what is seen (rule 1).
//!
//! Reads and feeds hand what they saw to [`record`]; [`verify`] looks for everybody who is linked,
//! whether anybody asks or not; [`judge`] decides. What is written passes through here.

mod heard;
mod judge;
mod record;
#[cfg(test)]
mod tests;
mod verify;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::{join, join_all};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;

use super::directory::{Directory, Known};
use super::resource::Half;
use super::standing::Standing;
use super::{Federation, Problem, USER};
use crate::audit::{Action, AuditRecord, Outcome};
use crate::scim::Attributes;
use crate::store::{LinkRow, LinkState, Presence, Refresh, ResourceRow, ResourceWrite, StoreError};

pub(super) use heard::Heard;
pub use judge::{Evidence, VanishRules};
pub(super) use record::Recorder;

/// What the audit trail names as the caller and the request.
const CALLER: &str = "verification";

/// Somebody who was not found twice.
#[derive(Debug)]
struct Gone {
    entry_key: String,
    /// Since when reads do not find the entry.
    since: Timestamp,
    /// When the second one was asked for. Whoever is seen later is there again.
    at: Timestamp,
}

/// The directory's values as far as they are known without asking it: nobody who left is active.
pub(super) fn shadow(link: &LinkRow) -> Cow<'_, Attributes> {
    if !has_left(link) {
        return Cow::Borrowed(&link.shadow);
    }
    let mut shadow = link.shadow.clone();
    shadow.insert("active".into(), Value::Bool(false));
    Cow::Owned(shadow)
}

/// Whether the person was found to have left the repository.
pub(super) fn has_left(link: &LinkRow) -> bool {
    link.presence.vanished.is_some()
}

/// What is known of a row's entry: what was fetched before the person left tells of nobody who is there.
pub(super) fn superseded<'a>(row: &ResourceRow, half: &'a Half) -> &'a Half {
    let left = row.link.as_ref().and_then(|link| link.presence.vanished);
    match (half, left) {
        (Half::Entry(known, _), Some(left)) if known.fetched <= left => &Half::Absent,
        _ => half,
    }
}

/// Whether an entry tells something that is not known of its link.
fn is_news(known: &Known, dn: &str, presence: &Presence) -> bool {
    let missed = presence.vanished.or(presence.missing);
    known.sight().is_some_and(|sight| {
        presence.digest != Some(sight)
            || known.dn != dn
            || missed.is_some_and(|missed| known.fetched > missed)
    })
}

impl Federation {
    /// Keeps the shadow after what is seen, and looks for who left, until `stopping` says so. Of
    /// several programs on one database one does it for all.
    pub async fn watch(&self, mut stopping: watch::Receiver<bool>) {
        let holder = &self.clock.new_token().simple().to_string();
        let verifying = self.directories.iter().map(|directory| self.verify(directory, holder));
        let work = join(self.record(holder), join_all(verifying));
        tokio::select! {
            _ = work => {}
            _ = stopping.wait_for(|stop| *stop) => {}
        }
        // Whoever goes on need not wait for their end.
        let leases = self.directories.iter().map(|one| self.verify_lease(one));
        for lease in leases.chain([self.record_lease()]) {
            if let Err(error) = self.store.release(&lease, holder).await {
                tracing::debug!(%error, lease, "lease.kept");
            }
        }
    }

    /// Whether the one to be written to had left and is there again; then it is noted, and the row is
    /// another one. Nothing is noted after the deadline: whoever asks again each time comes to an end.
    pub(super) async fn returned(
        &self,
        standing: &Standing,
        deadline: Instant,
    ) -> Result<bool, Problem> {
        let Standing::Stored { row, directory: Some(directory), half: Half::Entry(known, _) } =
            standing
        else {
            return Ok(false);
        };
        let returned = row.link.as_ref().is_some_and(has_left) && Instant::now() < deadline;
        if returned {
            self.is_back(directory, row, known).await?;
        }
        Ok(returned)
    }

    /// Notes that somebody is there again. The entry was read after the row was: that proves it,
    /// whatever the clocks say.
    async fn is_back(
        &self,
        directory: &Directory,
        row: &ResourceRow,
        known: &Known,
    ) -> Result<(), StoreError> {
        let write = self.bound_write(directory, known, row.own.clone(), self.clock.now());
        self.turn(row, &write, Action::Return, None).await
    }

    /// What is to be written of entries that were seen; nothing of who is not bound.
    async fn news(
        &self,
        directory: &Directory,
        seen: Vec<Arc<Known>>,
    ) -> Result<Vec<Refresh>, StoreError> {
        let keys: Vec<String> = seen.iter().map(|known| known.key.0.to_string()).collect();
        let rows = self.bound_to(directory, &keys).await?;
        let at = self.clock.now();
        let mut news = Vec::with_capacity(rows.len());
        for row in rows {
            let Some(link) = &row.link else { continue };
            let Some(known) = seen.iter().find(|known| *known.key.0 == *link.entry_key) else {
                continue;
            };
            let newer = judge::is_newer(known.fetched, link.seen, at);
            if !newer || superseded(&row, &Half::Entry(Arc::clone(known), known.state)).is_absent()
            {
                // It was kept by somebody else, and not in this program's memory.
                self.rows.touched(&row, &[&self.stored_view(&row)]);
                continue;
            }
            let write = self.bound_write(directory, known, row.own.clone(), at);
            let values = has_left(link)
                || write
                    .link
                    .as_ref()
                    .is_some_and(|new| new.shadow != link.shadow || new.given != link.given);
            news.push(Refresh { row, write, values });
        }
        Ok(news)
    }

    /// Writes what was seen; who had left and is there again has a record of it.
    async fn put(&self, news: Vec<Refresh>) -> Result<(), StoreError> {
        let (returned, seen): (Vec<_>, Vec<_>) =
            news.into_iter().partition(|one| one.row.link.as_ref().is_some_and(has_left));
        if !seen.is_empty() {
            self.store.refresh(&self.tenant, &seen).await?;
            for Refresh { row, write, .. } in &seen {
                self.changed(row, write);
            }
        }
        for Refresh { row, write, .. } in &returned {
            self.turn(row, write, Action::Return, None).await?;
        }
        Ok(())
    }

    /// Those who are not found any more are out.
    async fn leave(&self, directory: &Directory, gone: &[Gone]) -> Result<(), StoreError> {
        let keys: Vec<String> = gone.iter().map(|one| one.entry_key.clone()).collect();
        for row in self.bound_to(directory, &keys).await? {
            let Some(link) = &row.link else { continue };
            // Else seen meanwhile, though perhaps missing anew; or out already.
            let is_missing =
                |one: &&Gone| Some(one.since) == link.presence.missing && !has_left(link);
            let known = gone.iter().find(|one| one.entry_key == link.entry_key);
            if let Some(one) = known.filter(is_missing) {
                let write = self.vanishing(directory, &row, Some(one.at));
                self.turn(&row, &write, Action::Vanish, None).await?;
            }
        }
        Ok(())
    }

    /// Whoever vanished within the window is no longer believed gone; the record says by what.
    async fn take_back(
        &self,
        directory: &Directory,
        window: (Timestamp, Timestamp),
        by: &str,
    ) -> Result<(), StoreError> {
        let place = (&*self.tenant, directory.id());
        let rows = self.store.vanished(place, window, verify::MOST).await?;
        for row in &rows {
            let write = self.vanishing(directory, row, None);
            self.turn(row, &write, Action::Return, Some(by)).await?;
        }
        Ok(())
    }

    /// The row with another end of its presence.
    fn vanishing(
        &self,
        directory: &Directory,
        row: &ResourceRow,
        vanished: Option<Timestamp>,
    ) -> ResourceWrite {
        let mut link = row.link.clone();
        if let Some(link) = &mut link {
            link.presence.vanished = vanished;
        }
        self.shadow_write(Some(directory), link, row.own.clone(), self.clock.now())
    }

    async fn turn(
        &self,
        row: &ResourceRow,
        write: &ResourceWrite,
        action: Action,
        detail: Option<&str>,
    ) -> Result<(), StoreError> {
        let record = AuditRecord {
            at: write.at,
            caller: CALLER.to_owned(),
            actor: None,
            kind: USER.to_owned(),
            action,
            outcome: Outcome::Success,
            subject: row.id.clone(),
            request_id: CALLER.to_owned(),
            correlation_id: None,
            detail: detail.map(str::to_owned),
        };
        let written = self.store.update(&self.tenant, row, write, record).await;
        self.changed(row, write);
        match written {
            Ok(_) => {
                if let Some(link) = &write.link
                    && let Some(directory) = self.directory(&link.repository)
                {
                    let old = row.link.as_ref().and_then(|link| link.presence.vanished);
                    directory.heard().turned(old, link.presence.vanished);
                }
                let action = action.name(USER);
                tracing::info!(tenant = %self.tenant, id = row.id, action, "vanish");
                Ok(())
            }
            // Somebody wrote meanwhile: it will be looked at again.
            Err(StoreError::Stale) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn changed(&self, row: &ResourceRow, write: &ResourceWrite) {
        self.rows.touched(row, &[&self.stored_view(row), &write.view]);
        self.rows.owned_touched(&row.owned);
    }

    /// The rows that are bound to these entries.
    async fn bound_to(
        &self,
        directory: &Directory,
        entry_keys: &[String],
    ) -> Result<Vec<Arc<ResourceRow>>, StoreError> {
        let states = self.store.find_links(&self.tenant, directory.id(), entry_keys).await?;
        let row = |state| match state {
            LinkState::Row(row) => Some(row),
            LinkState::Tombstone { .. } => None,
        };
        Ok(states.into_iter().filter_map(row).collect())
    }
}
