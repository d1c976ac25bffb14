//! The recorder: takes what reads and feeds saw of linked users out of their hands, and writes the
//! shadows behind them. Nobody waits for it: under pressure sightings are dropped, and come again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::super::Federation;
use super::super::directory::Known;
use super::super::resource::Half;
use super::{is_news, judge};
use crate::cache::State;
use crate::clock::Clock;
use crate::repository::EntryKey;
use crate::store::{ResourceRow, StoreError};

/// How many sightings wait at most.
const WAITING: usize = 2000;
/// How many are written at once at most, and for how long they gather.
const BATCH: usize = 100;
const GATHER: Duration = Duration::from_millis(100);
/// How long whoever writes keeps other programs from it, and how often these try again.
const TERM: SignedDuration = SignedDuration::from_secs(10);
const ATTEMPTS: usize = 100;

/// What was seen of an entry; `None` where a whole answer did not hold it.
#[derive(Debug)]
struct Sighting {
    repository: Arc<str>,
    key: EntryKey,
    known: Option<Arc<Known>>,
}

/// Takes sightings without ever waiting.
#[derive(Debug)]
pub(in crate::federation) struct Recorder {
    sender: mpsc::Sender<Sighting>,
    clock: Clock,
    /// Until somebody writes.
    sightings: Mutex<Option<mpsc::Receiver<Sighting>>>,
}

impl Recorder {
    pub(in crate::federation) fn new(clock: &Clock) -> Arc<Self> {
        let (sender, sightings) = mpsc::channel(WAITING);
        let sightings = Mutex::new(Some(sightings));
        Arc::new(Self { sender, clock: clock.clone(), sightings })
    }

    /// A row was shown with what is known of its entry. Costs a comparison where that is nothing new.
    pub(in crate::federation) fn saw(&self, row: &ResourceRow, half: &Half) {
        let Some(link) = &row.link else { return };
        let presence = &link.presence;
        let known = match half {
            Half::Entry(known, State::Live | State::Cached)
                if is_news(known, &link.dn, presence)
                    && judge::is_newer(known.fetched, link.seen, self.clock.now()) =>
            {
                Some(known)
            }
            Half::Absent if presence.missing.is_none() => None,
            _ => return,
        };
        let key = EntryKey(Arc::from(link.entry_key.as_str()));
        self.told(&Arc::from(link.repository.as_str()), &key, known);
    }

    /// An entry was seen, or is gone; whether it is linked will be looked up.
    pub(in crate::federation) fn told(
        &self,
        repository: &Arc<str>,
        key: &EntryKey,
        known: Option<&Arc<Known>>,
    ) {
        let (repository, key, known) = (Arc::clone(repository), key.clone(), known.cloned());
        // Where too many wait, this one is left out: whoever comes next sees the same.
        let _ = self.sender.try_send(Sighting { repository, key, known });
    }
}

impl Federation {
    pub(super) fn record_lease(&self) -> String {
        format!("shadows of {}", self.tenant)
    }

    /// Writes what comes, as long as the runtime lives.
    pub(super) async fn record(&self, holder: &str) {
        let receiver = &self.recorder.sightings;
        let receiver = receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut sightings) = receiver else { return };
        let mut failing = false;
        let mut batch = Vec::with_capacity(BATCH);
        while sightings.recv_many(&mut batch, BATCH).await > 0 {
            sleep(GATHER).await;
            while batch.len() < BATCH
                && let Ok(next) = sightings.try_recv()
            {
                batch.push(next);
            }
            match self.write_seen(holder, &mut batch).await {
                Ok(()) => failing = false,
                Err(error) => {
                    if !failing {
                        tracing::warn!(tenant = %self.tenant, %error, "shadow.unwritten");
                    }
                    failing = true;
                }
            }
            batch.clear();
        }
    }

    /// Writes what a batch tells.
    async fn write_seen(&self, holder: &str, batch: &mut Vec<Sighting>) -> Result<(), StoreError> {
        let mut latest: HashMap<(Arc<str>, EntryKey), Option<Arc<Known>>> = HashMap::new();
        for Sighting { repository, key, known } in batch.drain(..) {
            latest.insert((repository, key), known);
        }
        let mut news = Vec::new();
        let mut gone = Vec::new();
        for directory in &self.directories {
            let of = latest.iter().filter(|((repository, _), _)| **repository == *directory.id());
            let (mut seen, mut absent) = (Vec::new(), Vec::new());
            for ((_, key), known) in of {
                match known {
                    Some(known) => seen.push(Arc::clone(known)),
                    None => absent.push(key.0.to_string()),
                }
            }
            news.extend(self.news(directory, seen).await?);
            if !absent.is_empty() {
                gone.push((directory, absent));
            }
        }
        if (news.is_empty() && gone.is_empty()) || !self.may_record(holder).await? {
            return Ok(());
        }
        self.put(news).await?;
        for (directory, absent) in gone {
            let before = self.clock.now() - directory.verify_every() / 2;
            let place = (&*self.tenant, directory.id());
            self.store.verify_soon(place, &absent, before).await?;
        }
        self.store.release(&self.record_lease(), holder).await
    }

    /// Whether it is this program's turn, for which it waits a while.
    async fn may_record(&self, holder: &str) -> Result<bool, StoreError> {
        for _ in 0..ATTEMPTS {
            let now = self.clock.now();
            if self.store.lease(&self.record_lease(), holder, now, now + TERM).await? {
                return Ok(true);
            }
            sleep(GATHER).await;
        }
        Ok(false)
    }
}
