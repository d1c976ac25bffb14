//! What a repository tells of its changes, taken out of the caches: the entries that changed, and the
//! searches that found them or would find them now.
//!
//! While nothing is told, the times of the caches hold alone, as without a feed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::{AskedKey, BATCH, Directory, Hits, Known};
use crate::repository::{Change, EntryKey};

/// Changes that come so close together are taken at once.
const CLOSE: Duration = Duration::from_millis(30);
/// More than these change everything.
const MANY: usize = BATCH;

/// Pauses between attempts to follow.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_mins(1);

impl Directory {
    /// Whether changes are told now; `None` where the repository tells none.
    pub(in super::super) fn follows(&self) -> Option<bool> {
        self.repository.tells_changes().then(|| self.metrics.follows())
    }

    /// Goes on for as long as the program runs.
    pub(in super::super) async fn follow(self: Arc<Self>) {
        let mut pause = FIRST;
        let mut told = true;
        loop {
            let (sender, mut changes) = mpsc::channel(MANY * 4);
            let began = Instant::now();
            let followed = async {
                let sender = sender;
                self.repository.follow(&sender).await
            };
            let taken = async {
                while let Some(change) = changes.recv().await {
                    self.take(change, &mut changes).await;
                }
            };
            let (error, ()) = tokio::join!(followed, taken);
            let lost = self.metrics.follows();
            self.metrics.following(false);
            if lost || told {
                told = false;
                tracing::warn!(repository = %self.id, %error, "repository.changes.lost");
            }
            // A feed that held for a while is taken up again at once.
            pause = if lost || began.elapsed() > LONGEST { FIRST } else { pause };
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
        }
    }

    /// One change, and those that follow close behind.
    async fn take(&self, first: Change, told: &mut mpsc::Receiver<Change>) {
        let mut next = Some(first);
        let mut anything = false;
        let mut following = false;
        let (mut changed, mut gone) = (HashSet::new(), HashSet::new());
        while let Some(change) = next {
            match change {
                Change::Following => following = true,
                Change::Anything => anything = true,
                Change::Changed(key) => {
                    gone.remove(&key);
                    changed.insert(key);
                }
                Change::Gone(key) => {
                    changed.remove(&key);
                    gone.insert(key);
                }
            }
            if changed.len() + gone.len() > MANY {
                break;
            }
            next = timeout(CLOSE, told.recv()).await.ok().flatten();
        }
        if anything || changed.len() + gone.len() > MANY {
            self.forget_everything();
        } else if !(changed.is_empty() && gone.is_empty()) {
            self.forget(changed, &gone).await;
        }
        if following && !self.metrics.follows() {
            self.metrics.following(true);
            tracing::info!(repository = %self.id, "repository.changes.following");
        }
    }

    /// Forgets the entries, and reads the changed ones again to know which searches they are in.
    async fn forget(&self, changed: HashSet<EntryKey>, gone: &HashSet<EntryKey>) {
        for key in changed.iter().chain(gone) {
            for photos in [false, true] {
                self.shares.entries.invalidate(&self.key(Arc::clone(&key.0), photos));
            }
        }
        let keys: Vec<EntryKey> = changed.iter().cloned().collect();
        let looked = self.look(keys, false, true).await;
        for key in gone {
            self.recorder.told(&self.id, key, None);
        }
        for (key, found) in &looked.entries {
            self.recorder.told(&self.id, key, found.as_ref().map(|(known, _)| known));
        }
        if looked.failed.is_some() {
            self.forget_searches(|_| true);
            return;
        }
        let now: Vec<Arc<Known>> =
            looked.entries.into_values().flatten().map(|(known, _)| known).collect();
        self.forget_searches(|hits| {
            hits.entries.iter().any(|hit| changed.contains(&hit.key) || gone.contains(&hit.key))
                || now.iter().any(|known| known.meets(&hits.filter))
        });
    }

    /// Forgets what is kept of one entry, and the searches that it is in.
    pub(in crate::federation) fn forget_entry(&self, key: &EntryKey) {
        for photos in [false, true] {
            self.shares.entries.invalidate(&self.key(Arc::clone(&key.0), photos));
        }
        self.forget_searches(|hits| hits.entries.iter().any(|hit| hit.key == *key));
    }

    fn forget_everything(&self) {
        self.shares.entries.invalidate_where(|key| self.owns(key));
        self.forget_searches(|_| true);
    }

    fn forget_searches(&self, doomed: impl Fn(&Hits) -> bool) {
        self.shares.searches.invalidate_found(|key| self.owns(key), |hits| doomed(hits));
    }

    fn owns(&self, key: &AskedKey) -> bool {
        key.tenant == self.tenant && key.repository == self.id
    }
}
