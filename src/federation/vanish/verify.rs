//! Looks for everybody who is linked, in batches and by key, whether anybody asks for them or not.
//!
//! The store knows who was not looked for the longest time, so that a program that starts goes on
//! where another one stopped.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;

use super::super::Federation;
use super::super::directory::{Directory, Known, LOOKED_FOR};
use super::judge::{self, Absence, Verdict};
use super::{Gone, is_news};
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

/// What is kept from one look at a repository to the next.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// So many of those whose turn it is were looked for, and nothing could be told of them. The others
    /// come before they do again.
    passed_over: u64,
    /// How all stood when that was last known.
    census: Option<Census>,
}

#[cfg(test)]
impl Round {
    pub(super) fn census(&self) -> Option<&Census> {
        self.census.as_ref()
    }
}

/// What came of a batch.
#[derive(Debug)]
struct Told {
    /// Who is to be believed gone, by two reads.
    left: Vec<Gone>,
    /// Of so many nothing could be told.
    open: usize,
}

/// Who of the `missing` is not there, where that can be told.
async fn absent(
    directory: &Directory,
    complete: bool,
    missing: &[EntryKey],
    seen: &[Arc<Known>],
) -> HashSet<EntryKey> {
    if !complete || missing.is_empty() {
        return HashSet::new();
    }
    // What fails here leaves open who is absent.
    directory.absent(missing, seen).await.unwrap_or_default()
}

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
        let mut round = Round::default();
        // While hardly any row is known that would have to be read again. What fails is told below.
        let _ = self.listen(directory, self.clock.now()).await;
        loop {
            sleep(tick(directory.verify_every())).await;
            let outcome = self.pass(directory, holder, &mut round).await;
            if let (Err(error), false) = (&outcome, failing) {
                tracing::warn!(tenant = %self.tenant, repository = directory.id(), %error, "unverified");
            }
            failing = outcome.is_err();
            // Where nothing is known anew, that is longer ago than before.
            if let Some(census) = &round.census {
                self.tell(directory, census);
            }
        }
    }

    /// How all stand now. Where another program found something out, of whomever, no row is known
    /// any more.
    pub(super) async fn listen(
        &self,
        directory: &Directory,
        now: Timestamp,
    ) -> Result<Census, StoreError> {
        let census = self.store.census((&self.tenant, directory.id()), judge::window(now)).await?;
        if directory.heard().is_news(&census) {
            self.rows.forget_all();
        }
        Ok(census)
    }

    /// Looks for those whose turn it is, unless another program does.
    pub(super) async fn pass(
        &self,
        directory: &Directory,
        holder: &str,
        round: &mut Round,
    ) -> Result<(), StoreError> {
        let place = (&*self.tenant, directory.id());
        let (now, verify) = (self.clock.now(), directory.verify_every());
        let rules = &self.rules.vanish;
        let census = self.listen(directory, now).await?;
        let census = round.census.insert(census);
        let grace = i64::try_from(rules.grace.as_millis()).unwrap_or(i64::MAX);
        let batches = judge::batches(census.linked, LOOKED_FOR, verify, tick(verify));
        let most = batches.saturating_mul(LOOKED_FOR as u64);
        let (before, over) = (now - verify / 2, round.passed_over);
        let due = self.store.unverified(place, before, (now, grace), most, over).await?;
        if (due.len() as u64) < most {
            round.passed_over = 0;
        }
        let held_back = match judge::verdict(census, rules) {
            Verdict::Leave => false,
            Verdict::Brake => census.recent > 0,
            Verdict::Keep => census.vanished > 0,
        };
        if (due.is_empty() && !held_back) || !self.may_verify(directory, holder).await? {
            return Ok(());
        }
        let mut left = Vec::new();
        for batch in due.chunks(LOOKED_FOR) {
            let told = self.look_for(directory, batch).await?;
            let open = told.as_ref().map_or(batch.len(), |told| told.open);
            round.passed_over = round.passed_over.saturating_add(open as u64);
            let Some(told) = told else { break };
            left.extend(told.left);
            if !self.may_verify(directory, holder).await? {
                break;
            }
        }
        let window = judge::window(self.clock.now());
        let census = round.census.insert(self.store.census(place, window).await?);
        match judge::verdict(census, rules) {
            Verdict::Leave => {
                let left = self.believed(directory, census, left, window).await?;
                self.leave(directory, &left).await?;
            }
            Verdict::Brake => self.take_back(directory, window, "vanish_brake").await?,
            Verdict::Keep => {
                let ever = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
                self.take_back(directory, ever, "on_vanish = \"keep\"").await?;
            }
        }
        *census = self.store.census(place, window).await?;
        Ok(())
    }

    /// Those of who `left` who are believed gone by now. The others come up again when all who stood
    /// before them have been looked for.
    async fn believed(
        &self,
        directory: &Directory,
        census: &Census,
        mut left: Vec<Gone>,
        window: (Timestamp, Timestamp),
    ) -> Result<Vec<Gone>, StoreError> {
        let needed = match judge::needed(census, self.rules.vanish.brake) {
            Some(0) => return Ok(left),
            needed => needed.unwrap_or(u64::MAX),
        };
        let place = (&*self.tenant, directory.id());
        let mut times: Vec<Timestamp> = left.iter().map(|gone| gone.since).collect();
        times.sort_unstable();
        times.dedup();
        // The earlier the time, the more were looked for since: whoever is missing for longer than
        // one who is believed gone is believed gone too.
        let mut latest = None;
        let mut open = &*times;
        while let Some(time) = open.get(open.len() / 2) {
            let (earlier, later) = open.split_at(open.len() / 2);
            let looked_for = self.store.looked_for(place, *time, window, needed).await?;
            if looked_for >= needed {
                (latest, open) = (Some(*time), later.get(1..).unwrap_or_default());
            } else {
                open = earlier;
            }
        }
        let all = left.len();
        left.retain(|gone| latest.is_some_and(|latest| gone.since <= latest));
        if left.len() < all {
            let held = all - left.len();
            tracing::debug!(repository = directory.id(), held, "vanish.held");
        }
        Ok(left)
    }

    async fn may_verify(&self, directory: &Directory, holder: &str) -> Result<bool, StoreError> {
        let now = self.clock.now();
        self.store.lease(&self.verify_lease(directory), holder, now, now + TERM).await
    }

    /// Looks for a batch, and keeps what that told; `None` where the repository does not answer.
    async fn look_for(
        &self,
        directory: &Directory,
        batch: &[Linked],
    ) -> Result<Option<Told>, StoreError> {
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
        let absent = absent(directory, complete, &missing, &seen).await;
        self.see(directory, batch, &seen).await?;

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
                    Absence::Left => {
                        let gone = |since| Gone { entry_key: entry_key.clone(), since, at };
                        left.extend(linked.presence.missing.map(gone));
                    }
                    Absence::Missing if linked.presence.missing.is_none() => {
                        new.push(entry_key.clone());
                    }
                    Absence::Missing | Absence::Known => {}
                }
                gone.push(entry_key);
            }
        }
        let open = batch.len() - found.len() - gone.len() - elsewhere.len();
        let (found, absent, elsewhere) = (&*found, &*gone, &*elsewhere);
        let verified = Verified { at, scope, found, absent, elsewhere };
        self.store.verified((&self.tenant, directory.id()), &verified).await?;
        // Reads are to know that it is news if one of them is there.
        for row in self.bound_to(directory, &new).await? {
            self.rows.touched(&row, &[&self.stored_view(&row)]);
        }
        Ok(Some(Told { left, open }))
    }

    /// Keeps what was found of a batch, and notes who is there again.
    async fn see(
        &self,
        directory: &Directory,
        batch: &[Linked],
        seen: &[Arc<Known>],
    ) -> Result<(), StoreError> {
        let (mut news, mut back) = (Vec::new(), HashMap::new());
        for linked in batch {
            let Some(known) = seen.iter().find(|one| *one.key.0 == *linked.entry_key) else {
                continue;
            };
            if let Some(vanished) = linked.presence.vanished {
                back.insert(linked.entry_key.clone(), (vanished, known));
            } else if is_news(known, &linked.dn, &linked.presence) {
                news.push(Arc::clone(known));
            }
        }
        let news = self.news(directory, news).await?;
        self.put(news).await?;
        let keys: Vec<String> = back.keys().cloned().collect();
        for row in self.bound_to(directory, &keys).await? {
            let Some(link) = &row.link else { continue };
            // Who vanished anew meanwhile is not there by what was read before.
            if let Some((vanished, known)) = back.get(&link.entry_key)
                && link.presence.vanished == Some(*vanished)
            {
                self.is_back(directory, &row, known).await?;
            }
        }
        Ok(())
    }

    /// Tells operators how the linked users of a repository stand.
    fn tell(&self, directory: &Directory, census: &Census) {
        let (rules, now) = (&self.rules.vanish, self.clock.now());
        let braked = judge::verdict(census, rules) == Verdict::Brake;
        let told = directory.metrics().presence();
        let was = told.is_some_and(|told| told.braked);
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
        if census.never_seen > 0 && told.is_none_or(|told| told.never_seen == 0) {
            tracing::warn!(
                tenant,
                repository,
                "vanish.never_seen: bound people are not found who were not seen since it is kept \
                 under which base, filter and key attribute somebody is seen; nobody can tell \
                 whether they left, and they are kept. Delete those of them who did; health and \
                 metrics count them"
            );
        }
        let age = |oldest: Timestamp| now.duration_since(oldest).as_secs();
        directory.metrics().tell_presence(PresenceNumbers {
            vanished: census.vanished,
            suspected: census.missing,
            never_seen: census.never_seen,
            braked,
            verified_seconds: u64::try_from(census.oldest.map_or(0, age)).unwrap_or_default(),
        });
    }
}
