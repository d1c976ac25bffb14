//! One repository as federation sees it: asked through the caches, with a deadline, and always
//! telling how fresh and how whole the answer is.

mod asking;
mod follow;
mod known;
mod stream;
mod verify;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use asking::{Asking, cut};
pub use known::Known;
use serde_json::Value;
use tokio::time::timeout_at;
pub(super) use verify::LOOKED_FOR;

use super::authority::Theirs;
use super::given::Giving;
use super::memory::Grounds;
use super::plan::Plan;
use super::resource::{Resource, ResourceKey};
use super::rows::{Stored, StoredKey};
use super::vanish::{Heard, Recorder};
use super::walk::WalkNumbers;
use super::{Problem, RepositoryPart, too_many};
use crate::cache::{Answer, Cache, Derived, Loaded, Lost, Policy, State};
use crate::clock::Clock;
use crate::config::Rule;
use crate::repository::{
    Back, EntryKey, Found, Modification, Repository, RepositoryError, Untold, Verdict, WriteError,
};
use crate::scim::{Attributes, Filter};
use crate::secret::Password;
use crate::telemetry::metrics::{CacheNumbers, RepositoryMetrics};

/// Entries are read by key in batches of this size.
const BATCH: usize = 100;
/// Entries that are read to learn who has a name: directories compare more loosely than SCIM does.
const CANDIDATES: usize = 10;

/// How long what a repository said is good for.
pub type Freshness = Policy;

/// The caches of the whole process; every key begins with the tenant.
#[derive(Clone, Debug)]
pub struct Shares {
    pub entries: Arc<Cache<AskedKey, Option<Arc<Known>>>>,
    pub searches: Arc<Cache<AskedKey, Arc<Hits>>>,
    pub rows: Arc<Cache<StoredKey, Arc<Stored>>>,
    pub people: Arc<Derived<ResourceKey, Arc<Resource>>>,
    /// By tenant and query text.
    pub plans: Arc<Derived<String, Arc<Plan>>>,
    /// What the snapshots of all tenants' walks weigh; bounded by each tenant's `walk_limit`.
    pub walks: Arc<WalkNumbers>,
    /// How many members of groups were read.
    pub members_read: Arc<AtomicU64>,
}

impl Shares {
    /// Divides `capacity` bytes: 30 % entries, 30 % searches, which hold the entries that they
    /// brought (mostly the same ones), 15 % rows, 15 % people, 10 % plans.
    pub fn new(capacity: u64) -> Self {
        Self {
            entries: Arc::new(Cache::new("entry", capacity / 100 * 30, |key, known| {
                key.weight() + known.as_ref().map_or(64, |known| known.weight)
            })),
            searches: Arc::new(Cache::new("search", capacity / 100 * 30, |key, hits| {
                let entries = hits.entries.iter().map(|known| known.weight);
                entries.fold(key.weight() + 64, u32::saturating_add)
            })),
            rows: Arc::new(Cache::new("row", capacity / 100 * 15, |key, stored| {
                key.weight() + stored.weight
            })),
            plans: Arc::new(Derived::new(capacity / 100 * 10, |text: &String, _| {
                u32::try_from(text.len() * 6 + 10_000).unwrap_or(u32::MAX)
            })),
            people: Arc::new(Derived::new(capacity / 100 * 15, |_, person| {
                // Attributes, which take about three times their text, and the bytes rendered.
                let text = weigh(&person.attributes);
                text.saturating_mul(4).saturating_add(256)
            })),
            walks: Arc::default(),
            members_read: Arc::default(),
        }
    }
}

impl Shares {
    /// What the caches have counted.
    pub fn numbers(&self) -> [CacheNumbers; 4] {
        let numbers = |name, statistics: crate::cache::Statistics| CacheNumbers {
            name,
            hits: statistics.hits,
            misses: statistics.misses,
            loads: statistics.loads,
            entries: statistics.entries,
            bytes: statistics.weight,
        };
        [
            numbers(self.entries.name(), self.entries.statistics()),
            numbers(self.searches.name(), self.searches.statistics()),
            numbers(self.rows.name(), self.rows.statistics()),
            self.walks.numbers(),
        ]
    }
}

/// What was asked of a repository: a canonical filter or an entry key, with whatever can change
/// the answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AskedKey {
    tenant: Arc<str>,
    repository: Arc<str>,
    text: Arc<str>,
    photos: bool,
}

impl AskedKey {
    fn weight(&self) -> u32 {
        u32::try_from(self.text.len()).unwrap_or(u32::MAX / 4) + 128
    }
}

/// What a search brought.
#[derive(Debug)]
pub struct Hits {
    filter: Filter,
    entries: Vec<Arc<Known>>,
    complete: bool,
    exact: bool,
    scan: bool,
}

/// An answered search.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) people: Vec<(Arc<Known>, State)>,
    pub(super) complete: bool,
    /// The filter that was sent selects exactly what the SCIM filter selects.
    pub(super) exact: bool,
    pub(super) scan: bool,
    pub(super) state: State,
    pub(super) age: Duration,
}

/// What became of the wish to see certain entries.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// `None` for who is not there.
    pub(super) entries: HashMap<EntryKey, Option<(Arc<Known>, State)>>,
    /// Why nothing is known of the ones that are missing from `entries`.
    pub(super) failed: Option<RepositoryError>,
}

/// One repository with its caches.
#[derive(Debug)]
pub(super) struct Directory {
    id: Arc<str>,
    former_id: Option<Arc<str>>,
    giving: Arc<Giving>,
    rules: Vec<Rule>,
    tenant: Arc<str>,
    repository: Arc<dyn Repository>,
    metrics: Arc<RepositoryMetrics>,
    freshness: Freshness,
    size_limit: usize,
    timeout: Duration,
    /// How often each linked entry is read again, at least.
    verify: Duration,
    recorder: Arc<Recorder>,
    heard: Heard,
    shares: Shares,
    clock: Clock,
}

impl Directory {
    pub(super) fn new(
        tenant: Arc<str>,
        part: RepositoryPart,
        giving: Giving,
        recorder: &Arc<Recorder>,
        shares: &Shares,
        clock: &Clock,
    ) -> Self {
        Self {
            id: Arc::from(part.repository.id()),
            former_id: part.former_id,
            giving: Arc::new(giving),
            rules: part.rules,
            tenant,
            repository: part.repository,
            metrics: part.metrics,
            freshness: part.freshness,
            size_limit: part.size_limit,
            timeout: part.timeout,
            verify: part.verify,
            recorder: Arc::clone(recorder),
            heard: Heard::default(),
            shares: shares.clone(),
            clock: clock.clone(),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn shared_id(&self) -> Arc<str> {
        Arc::clone(&self.id)
    }

    pub(super) fn repository(&self) -> &dyn Repository {
        &*self.repository
    }

    /// What the repository's rules give.
    pub(super) fn giving(&self) -> &Giving {
        &self.giving
    }

    pub(super) fn metrics(&self) -> &RepositoryMetrics {
        &self.metrics
    }

    pub(super) fn healthy(&self) -> Option<bool> {
        self.repository.healthy()
    }

    /// Whether this is its id, or the one that it had before.
    pub(super) fn is_called(&self, id: &str) -> bool {
        *self.id == *id || self.former_id.as_deref() == Some(id)
    }

    /// The canonical id of somebody found here: `<repository>.<entry key>`.
    pub(super) fn long_id(&self, entry_key: &str) -> String {
        format!("{}.{entry_key}", self.id)
    }

    /// What the repository gives by rules, as the configuration has them.
    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Learns what [`Repository::plan`] has to know.
    pub(super) async fn prepare(&self) -> Result<(), RepositoryError> {
        self.repository.prepare(Instant::now() + self.timeout).await
    }

    /// Whether nothing of the filter could be sent; what the directory's schema says counts.
    pub(super) async fn scans(&self, filter: &Filter, deadline: Instant) -> bool {
        // Where the directory is down, the search will say so.
        let _ = self.repository.prepare(deadline).await;
        self.repository.plan(filter).scan
    }

    /// Everybody who may match the filter, out of the cache within its rules.
    /// The key is the filter's, by [`Directory::key`].
    pub(super) async fn search(
        &self,
        key: AskedKey,
        filter: &Filter,
        no_cache: bool,
    ) -> Result<Answered, RepositoryError> {
        let photos = key.photos;
        let (asked, filter) = (self.asking(photos, no_cache), filter.clone());
        let load = move || async move { asked.search(&filter).await };
        let answer = self.shares.searches.get(key, self.freshness, no_cache, load).await?;
        Ok(self.answered(&answer, photos))
    }

    /// Whether any answer is kept for others to be given.
    pub(super) fn keeps(&self) -> bool {
        !(self.freshness.fresh.is_zero() && self.freshness.negative.is_zero())
    }

    /// The answer that is in the cache, fresh, and not due to be asked for anew.
    pub(super) fn peek_search(&self, key: &AskedKey, grounds: &mut Grounds) -> Option<Answered> {
        grounds.search(&self.shares, key);
        let (answer, left) = self.shares.searches.peek_while(key)?;
        grounds.lasts(left, answer.age);
        for hit in answer.value.entries.iter().take(Grounds::ROOM) {
            grounds.entry(&self.shares, &self.key(Arc::clone(&hit.key.0), key.photos));
        }
        Some(self.answered(&answer, key.photos))
    }

    /// The people that a search brought, each as it was seen last.
    fn answered(&self, answer: &Answer<Arc<Hits>>, photos: bool) -> Answered {
        let hits = &answer.value;
        let latest = |hit: &Arc<Known>| {
            if answer.state == State::Cached
                && let Some(Answer { value: Some(known), .. }) =
                    self.shares.entries.peek(&self.key(Arc::clone(&hit.key.0), photos))
            {
                return (known, answer.state);
            }
            (Arc::clone(hit), answer.state)
        };
        Answered {
            people: hits.entries.iter().map(latest).collect(),
            complete: hits.complete,
            exact: hits.exact,
            scan: hits.scan,
            state: answer.state,
            age: answer.age,
        }
    }

    /// The entry that is in the cache, fresh, and not due to be read anew.
    pub(super) fn peek_entry(&self, entry_key: &str) -> Option<(Arc<Known>, State)> {
        let answer = self.shares.entries.peek(&self.key(entry_key, false))?;
        answer.value.map(|known| (known, answer.state))
    }

    /// One entry by its key; `None` only when a read that succeeded did not find it.
    pub(super) async fn entry(
        &self,
        entry_key: &str,
        photos: bool,
        no_cache: bool,
    ) -> Result<Option<(Arc<Known>, State)>, RepositoryError> {
        let key = self.key(entry_key, photos);
        if let Some(answer) = self.shares.entries.peek(&key).filter(|_| !no_cache) {
            return Ok(answer.value.map(|known| (known, answer.state)));
        }
        let load = {
            let asked = self.asking(photos, no_cache);
            let wanted = [EntryKey(Arc::from(entry_key))];
            move || async move {
                let Found { entries, complete, aged, .. } = asked.read(&wanted).await?;
                // Keys are case-exact, however leniently the directory finds them.
                let found = entries.into_iter().find(|entry| entry.key == wanted[0]);
                if found.is_none() && !complete {
                    return Err(cut());
                }
                let known = found.map(|entry| asked.know(entry));
                Ok(Loaded { empty: known.is_none(), cut: false, aged, value: known })
            }
        };
        let answer = self.shares.entries.get(key, self.freshness, no_cache, load).await?;
        Ok(answer.value.map(|known| (known, answer.state)))
    }

    /// Several entries by key: from the cache what is there, the others in batches under one
    /// deadline. After the first batch that fails nothing more is asked.
    pub(super) async fn look(
        &self,
        entry_keys: Vec<EntryKey>,
        photos: bool,
        no_cache: bool,
    ) -> Looked {
        let mut looked = Looked::default();
        let mut missing = Vec::new();
        for entry_key in entry_keys {
            let kept = self.shares.entries.peek(&self.key(Arc::clone(&entry_key.0), photos));
            match kept.filter(|_| !no_cache) {
                Some(answer) => {
                    let known = answer.value.map(|known| (known, answer.state));
                    looked.entries.insert(entry_key, known);
                }
                None => missing.push(entry_key),
            }
        }
        let asked = self.asking(photos, no_cache);
        for batch in missing.chunks(BATCH) {
            looked.failed = asked.look(batch, &mut looked.entries).await.err();
            if looked.failed.is_some() {
                break;
            }
        }
        looked
    }

    /// One entry, read past every cache.
    pub(super) async fn read(
        &self,
        entry_key: &str,
        photos: bool,
    ) -> Result<Option<Arc<Known>>, RepositoryError> {
        let asked = self.asking(photos, true);
        let wanted = [EntryKey(Arc::from(entry_key))];
        let found = asked.read(&wanted).await?;
        let complete = found.complete;
        // Keys are case-exact, however leniently the directory finds them.
        match asked.keep(found).into_iter().find(|known| known.key == wanted[0]) {
            None if !complete => Err(cut()),
            known => Ok(known),
        }
    }

    /// Everybody who may match, asked past every cache; an answer that was cut is an error, because
    /// it proves nothing.
    pub(super) async fn resolve(
        &self,
        filter: &Filter,
        photos: bool,
    ) -> Result<Vec<Arc<Known>>, Problem> {
        let asked = self.asking(photos, true);
        let found = asked.ask(filter).await.map_err(|error| super::unavailable(&self.id, error))?;
        if !found.complete {
            return Err(too_many(format!(
                "The repository \"{}\" has too many candidates to tell who is meant.",
                self.id
            )));
        }
        Ok(asked.keep(found))
    }

    /// Everybody whom the filter, a name, selects, asked past every cache.
    ///
    /// # Errors
    /// Nothing of the name can be searched for (a [`Problem::Scim`]); or it is not known who has it:
    /// of an answer that was cut, two people are proof enough.
    pub(super) async fn called(&self, filter: &Filter) -> Result<Vec<Arc<Known>>, Problem> {
        let unavailable = |error| super::unavailable(&self.id, error);
        let mut asked = self.asking(false, true);
        asked.size_limit = asked.size_limit.min(CANDIDATES);
        self.repository.prepare(asked.deadline).await.map_err(unavailable)?;
        if self.repository.plan(filter).scan {
            return Err(too_many(format!(
                "Nothing of this name can be searched for in the repository \"{}\".",
                self.id
            )));
        }
        let found = asked.ask(filter).await.map_err(unavailable)?;
        let complete = found.complete;
        let mut people = asked.keep(found);
        people.retain(|known| filter.matches(&known.values()));
        if complete || people.len() > 1 {
            return Ok(people);
        }
        let text = "the answer was cut, so that it is not known who has the name";
        Err(unavailable(RepositoryError::Unavailable(text.into())))
    }

    /// The entry as it shall be after a write.
    pub(super) fn planned(&self, known: &Known, theirs: Theirs) -> Arc<Known> {
        Arc::new(known.planned(self, theirs))
    }

    /// What is written back of an entry.
    pub(super) fn back(&self, known: &Known) -> Back {
        self.repository.back(&known.values(), known.account.as_ref())
    }

    /// Modifies an entry, and forgets what was kept of it: after a failure it may be another one too.
    pub(super) async fn write(
        &self,
        key: &EntryKey,
        modifications: &[Modification],
        deadline: Instant,
    ) -> Result<(), WriteError> {
        let deadline = deadline.min(Instant::now() + self.timeout);
        let written = self.repository.write(key, modifications, deadline).await;
        self.forget_entry(key);
        written
    }

    /// Whether this is the password of an entry, asked of the directory itself.
    pub(super) async fn authenticate(
        &self,
        key: &EntryKey,
        password: &Password,
        deadline: Instant,
    ) -> Result<Verdict, Untold> {
        let deadline = deadline.min(Instant::now() + self.timeout);
        let said = self.repository.authenticate(key, password, deadline);
        // A repository that says nothing in time may have sent it.
        let late = |_| Err(Untold { error: RepositoryError::Timeout, sent: true });
        timeout_at(deadline.into(), said).await.unwrap_or_else(late)
    }

    /// Whether an entry is in a group of the directory, as it is now.
    pub(super) async fn is_member(
        &self,
        key: &EntryKey,
        group: &str,
        deadline: Instant,
    ) -> Result<bool, RepositoryError> {
        let deadline = deadline.min(Instant::now() + self.timeout);
        let said = self.repository.is_member(key, group, deadline);
        timeout_at(deadline.into(), said).await.unwrap_or(Err(RepositoryError::Timeout))
    }

    pub(super) fn key(&self, text: impl Into<Arc<str>>, photos: bool) -> AskedKey {
        AskedKey {
            tenant: Arc::clone(&self.tenant),
            repository: Arc::clone(&self.id),
            text: text.into(),
            photos,
        }
    }

    /// `anew`: nothing that was learnt before is to be trusted.
    fn asking(&self, photos: bool, anew: bool) -> Asking {
        let now = Instant::now();
        // What rules are decided by is half as old as an entry may be, at most, when it is taken for
        // an entry that is then kept: together they are no older than that.
        let old = if anew { Duration::ZERO } else { self.freshness.fresh / 2 };
        Asking {
            repository: Arc::clone(&self.repository),
            metrics: Arc::clone(&self.metrics),
            entries: Arc::clone(&self.shares.entries),
            tenant: Arc::clone(&self.tenant),
            id: Arc::clone(&self.id),
            freshness: self.freshness,
            size_limit: self.size_limit,
            deadline: now + self.timeout,
            since: now.checked_sub(old).unwrap_or(now),
            giving: Arc::clone(&self.giving),
            photos,
            began: self.shares.entries.moment(),
            asked: self.clock.now(),
        }
    }
}

impl From<Lost> for RepositoryError {
    fn from(_: Lost) -> Self {
        Self::Unavailable("the look-up broke off; the log says where".into())
    }
}

/// About how many bytes attributes take in memory.
pub(super) fn weigh(attributes: &Attributes) -> u32 {
    fn value(value: &serde_json::Value) -> usize {
        match value {
            Value::String(text) => 32 + text.len(),
            Value::Array(values) => 32 + values.iter().map(value_of).sum::<usize>(),
            Value::Object(object) => object_of(object),
            _ => 32,
        }
    }
    fn value_of(inner: &serde_json::Value) -> usize {
        value(inner)
    }
    fn object_of(object: &Attributes) -> usize {
        96 + object.iter().map(|(name, inner)| 72 + name.len() + value(inner)).sum::<usize>()
    }
    u32::try_from(object_of(attributes)).unwrap_or(u32::MAX / 16)
}
