//! Looks for everybody who is linked, in batches and by key, whether anybody asks for them or not.
//!
//! The store knows who was not looked for the longest time, so that a program that starts goes on
//! where another one stopped.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;

use super::super::Federation;
use super::super::directory::{Directory, Known, LOOKED_FOR};
use super::is_news;
use super::judge::{self, Absence, Verdict, WINDOW};
use crate::repository::EntryKey;
use crate::store::{Census, Linked, StoreError, Verified};
use crate::telemetry::metrics::PresenceNumbers;

/// How often it is looked whether somebody has to be looked for: so many times as often as each has
/// to be, within these bounds.
const TICKS: u32 = 40;
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(15);
/// How long whoever looks keeps other programs from it, unless it goes on.
const TERM: SignedDuration = SignedDuration::from_secs(20);
/// How many who vanished are looked at in one go.
pub(super) const MOST: u64 = 1000;

fn tick(verify: Duration) -> Duration {
    (verify / TICKS).clamp(SHORTEST, LONGEST)
}

impl Federation {
    pub(super) fn verify_lease(&self, directory: &Directory) -> String {
        format!("verification of {} in {}", directory.id(), self.tenant)
    }

    /// Looks for the linked users of a repository, as long as the runtime lives.
    pub(super) async fn verify(&self, directory: &Directory, holder: &str) {
        let mut failing = false;
        loop {
            sleep(tick(directory.verify_every())).await;
            let outcome = self.pass(directory, holder).await;
            if let (Err(error), false) = (&outcome, failing) {
                tracing::warn!(tenant = %self.tenant, repository = directory.id(), %error, "unverified");
            }
            failing = outcome.is_err();
        }
    }

    /// Looks for those whose turn it is, unless another program does.
    async fn pass(&self, directory: &Directory, holder: &str) -> Result<(), StoreError> {
        let place = (&*self.tenant, directory.id());
        let (now, verify) = (self.clock.now(), directory.verify_every());
        let rules = &self.rules.vanish;
        let mut census = self.store.census(place, now - WINDOW).await?;
        let grace = i64::try_from(rules.grace.as_millis()).unwrap_or(i64::MAX);
        let batches = judge::batches(census.linked, LOOKED_FOR, verify, tick(verify));
        let most = batches.saturating_mul(LOOKED_FOR as u64);
        let due = self.store.unverified(place, now - verify / 2, (now, grace), most).await?;
        let held_back = |census: &Census| match judge::verdict(census, rules) {
            Verdict::Leave => false,
            Verdict::Brake => census.recent > 0,
            Verdict::Keep => census.vanished > 0,
        };
        let busy = !due.is_empty() || held_back(&census);
        let told = directory.metrics().presence().map_or(0, |told| told.vanished);
        if busy && self.may_verify(directory, holder).await? {
            let mut left = Vec::new();
            for batch in due.chunks(LOOKED_FOR) {
                let Some(gone) = self.look_for(directory, batch).await? else { break };
                left.extend(gone);
                if !self.may_verify(directory, holder).await? {
                    break;
                }
            }
            census = self.store.census(place, now - WINDOW).await?;
            let changed = match judge::verdict(&census, rules) {
                Verdict::Leave => {
                    self.leave(directory, &left).await?;
                    !left.is_empty()
                }
                Verdict::Brake => self.take_back(directory, now - WINDOW).await?,
                Verdict::Keep => self.take_back(directory, Timestamp::UNIX_EPOCH).await?,
            };
            if changed {
                census = self.store.census(place, now - WINDOW).await?;
            }
        } else if census.vanished > told {
            // Another program found it out.
            for row in self.store.vanished(place, now - WINDOW, MOST).await? {
                self.rows.touched(&row, &[&self.stored_view(&row)]);
            }
        }
        self.tell(directory, &census, now);
        Ok(())
    }

    async fn may_verify(&self, directory: &Directory, holder: &str) -> Result<bool, StoreError> {
        let now = self.clock.now();
        self.store.lease(&self.verify_lease(directory), holder, now, now + TERM).await
    }

    /// Looks for a batch, keeps what that told, and gives the keys of those who left; `None` where the
    /// repository does not answer.
    async fn look_for(
        &self,
        directory: &Directory,
        batch: &[Linked],
    ) -> Result<Option<Vec<String>>, StoreError> {
        let at = self.clock.now();
        let key = |linked: &Linked| EntryKey(Arc::from(linked.entry_key.as_str()));
        let keys: Vec<EntryKey> = batch.iter().map(key).collect();
        let (seen, complete) = match directory.look_for(&keys).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(repository = directory.id(), %error, "verify.unanswered");
                return Ok(None);
            }
        };
        let known = |linked: &Linked| seen.iter().find(|one| *one.key.0 == *linked.entry_key);
        let missing: Vec<EntryKey> =
            batch.iter().filter(|linked| known(linked).is_none()).map(key).collect();
        let absent = if complete && !missing.is_empty() {
            // What fails here leaves open who is absent.
            directory.absent(&missing, &seen).await.unwrap_or_default()
        } else {
            std::collections::HashSet::new()
        };
        let news: Vec<Arc<Known>> = batch
            .iter()
            .filter_map(|linked| {
                let known = known(linked)?;
                is_news(known, &linked.dn, &linked.presence).then(|| Arc::clone(known))
            })
            .collect();
        let news = self.news(directory, news).await?;
        self.put(news).await?;

        let scope = directory.repository().scope();
        let grace = self.rules.vanish.grace;
        let (mut found, mut gone, mut elsewhere) = (Vec::new(), Vec::new(), Vec::new());
        let (mut new, mut left) = (Vec::new(), Vec::new());
        for linked in batch {
            let entry_key = linked.entry_key.clone();
            if known(linked).is_some() {
                found.push(entry_key);
            } else if absent.contains(&key(linked)) {
                match judge::absence(&linked.presence, scope, at, grace) {
                    Absence::Elsewhere => {
                        elsewhere.push(entry_key);
                        continue;
                    }
                    Absence::Left => left.push(entry_key.clone()),
                    Absence::Missing if linked.presence.missing.is_none() => {
                        new.push(entry_key.clone());
                    }
                    Absence::Missing | Absence::Known => {}
                }
                gone.push(entry_key);
            }
        }
        let (found, absent, elsewhere) = (&*found, &*gone, &*elsewhere);
        let verified = Verified { at, scope, found, absent, elsewhere };
        self.store.verified((&self.tenant, directory.id()), &verified).await?;
        if !new.is_empty() {
            // Reads are to know that it is news if one of them is there.
            for row in self.bound_to(directory, &new).await? {
                self.rows.touched(&row, &[&self.stored_view(&row)]);
            }
        }
        Ok(Some(left))
    }

    /// Tells operators how the linked users of a repository stand.
    fn tell(&self, directory: &Directory, census: &Census, now: Timestamp) {
        let rules = &self.rules.vanish;
        let braked = judge::verdict(census, rules) == Verdict::Brake;
        let was = directory.metrics().presence().is_some_and(|told| told.braked);
        let (tenant, repository) = (&*self.tenant, directory.id());
        let (leaving, allowed) = (judge::leaving(census), judge::allowed(census, rules.brake));
        match (was, braked) {
            (false, true) => tracing::error!(
                tenant,
                repository,
                leaving,
                allowed,
                "vanish.brake: more people are missing than vanish_brake allows in an hour; all of \
                 them are kept. See whether the bind of the repository still reads them all; if they \
                 really left, raise vanish_brake and start again"
            ),
            (true, false) => {
                tracing::warn!(tenant, repository, leaving, allowed, "vanish.released");
            }
            _ => {}
        }
        let age = |oldest: Timestamp| now.duration_since(oldest).as_secs();
        directory.metrics().tell_presence(PresenceNumbers {
            vanished: census.vanished,
            suspected: census.missing,
            braked,
            verified_seconds: u64::try_from(census.oldest.map_or(0, age)).unwrap_or_default(),
        });
    }
}
