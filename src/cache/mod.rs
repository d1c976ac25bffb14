//! Look-ups kept in memory: moka holds the values, the single flight is ours.
//!
//! Knows nothing of what it holds, nor of who asks.
//!
//! Three rules make it safe to answer from it. A value lands only if nothing was invalidated, and
//! nothing newer landed, since its load began. Who asks after an invalidation never gets what was
//! loaded before it. A failure is never kept: it is answered with an older value, marked
//! [`State::Stale`], or as the failure that it is.

mod derived;
mod flight;
mod policy;
#[cfg(test)]
mod tests;
mod time;

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

pub use derived::Derived;
pub use flight::Lost;
use policy::Kept;
pub use policy::{Answer, Loaded, Policy, State};
pub use time::Time;

/// Keys share epochs and flights by their hash; a power of two.
const SHARDS: usize = 256;
/// What an entry costs beside key and value, about, in bytes.
const OVERHEAD: u32 = 192;

/// Values by key, loaded at most once at a time. Cheap to clone; clones share everything.
pub struct Cache<K, V>(Arc<Inner<K, V>>);

struct Inner<K, V> {
    name: &'static str,
    entries: moka::sync::Cache<K, Arc<Kept<V>>, RandomState>,
    shards: Box<[Mutex<Shard<K>>]>,
    /// How often what a shard's keys answer has changed; see [`Cache::stamp`].
    changes: Box<[AtomicU64]>,
    hasher: RandomState,
    /// Orders loads and invalidations of all keys.
    sequence: AtomicU64,
    /// When everything was last invalidated; moka tells insertions apart by its clock alone.
    floor: AtomicU64,
    time: Time,
    hits: AtomicU64,
    misses: AtomicU64,
    loads: AtomicU64,
}

struct Shard<K> {
    /// When a key of this shard was last invalidated: what began before does not land.
    epoch: u64,
    flights: HashMap<K, Flight, RandomState>,
}

/// A load under way.
struct Flight {
    began: u64,
    /// A `flight::Receiver<V, E>`: each look-up has its own type of error.
    receiver: Box<dyn Any + Send + Sync>,
}

/// What a key's answer was; see [`Cache::stamp`].
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    shard: usize,
    changes: u64,
}

/// A point in the order of loads and invalidations; see [`Cache::insert_since`].
#[derive(Clone, Copy, Debug)]
pub struct Moment(u64);

/// Counts since the start, and what is held now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Answers that were in memory and fresh.
    pub hits: u64,
    /// Look-ups that had to wait for a load, their own or another's.
    pub misses: u64,
    /// Loads begun.
    pub loads: u64,
    pub entries: u64,
    /// In bytes, as weighed.
    pub weight: u64,
}

impl<K, V> Cache<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// An empty cache that holds at most about `capacity` bytes; `weigh` says how many a key and its
    /// value take, without what the cache itself adds.
    pub fn new(name: &'static str, capacity: u64, weigh: fn(&K, &V) -> u32) -> Self {
        Self::with_time(name, capacity, weigh, Time::running())
    }

    /// As [`Cache::new`], with a time that may stand still.
    pub fn with_time(
        name: &'static str,
        capacity: u64,
        weigh: fn(&K, &V) -> u32,
        time: Time,
    ) -> Self {
        let entries = moka::sync::Cache::builder()
            .name(name)
            .max_capacity(capacity)
            .weigher(move |key, kept: &Arc<Kept<V>>| {
                weigh(key, &kept.value).saturating_add(OVERHEAD)
            })
            .expire_after(Lifetime)
            .build_with_hasher(RandomState::default());
        let shard = || Mutex::new(Shard { epoch: 0, flights: HashMap::default() });
        Self(Arc::new(Inner {
            name,
            entries,
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            changes: std::iter::repeat_with(AtomicU64::default).take(SHARDS).collect(),
            hasher: RandomState::default(),
            sequence: AtomicU64::new(1),
            floor: AtomicU64::new(0),
            time,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            loads: AtomicU64::new(0),
        }))
    }

    /// The value of `key`: from memory while it is fresh, else from `load`, which all who ask for
    /// the same key at the same time share. In the second half of its freshness a value is served
    /// and loaded anew behind the caller's back.
    ///
    /// `load` runs as a task of its own, which no caller's cancellation stops: it brings its own
    /// deadline, and captures nothing of the caller's. It must end, since others wait for it.
    ///
    /// `go_round`: do not read the cache nor join a load that has begun, but keep the result.
    ///
    /// # Errors
    ///
    /// What `load` says, unless there is an older value within [`Policy::stale`] and `go_round` is
    /// false; [`Lost`] turned into `E` where `load` panicked.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub async fn get<E, F>(
        &self,
        key: K,
        policy: Policy,
        go_round: bool,
        load: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Answer<V>, E>
    where
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: From<Lost> + Clone + Send + Sync + 'static,
    {
        let inner = &self.0;
        if go_round {
            inner.misses.fetch_add(1, Ordering::Relaxed);
            let receiver = inner.depart(&mut inner.shard(&key), key, policy, load);
            return receiver.await.map(Answer::live);
        }
        if let Some(kept) = inner.kept(&key) {
            let now = inner.time.now();
            if kept.is_fresh(now) {
                inner.hits.fetch_add(1, Ordering::Relaxed);
                if kept.claim_refresh(now) {
                    let mut shard = inner.shard(&key);
                    if !shard.flights.contains_key(&key) {
                        // Nobody waits for this one.
                        drop(inner.depart(&mut shard, key, policy, load));
                    }
                }
                return Ok(kept.answer(State::Cached, now));
            }
        }
        let receiver = match inner.join(&key, policy, load) {
            Joined::Value(answer) => return Ok(answer),
            Joined::Flight(receiver) => receiver,
        };
        match receiver.await {
            Ok(value) => Ok(Answer::live(value)),
            Err(error) => {
                let now = inner.time.now();
                let kept = inner.kept(&key).filter(|kept| kept.is_usable(now)).ok_or(error)?;
                // Something fresh may have landed meanwhile.
                let state = if kept.is_fresh(now) { State::Cached } else { State::Stale };
                Ok(kept.answer(state, now))
            }
        }
    }

    /// The value of `key` if it is in memory, fresh, and not due to be loaded anew: the hot path,
    /// which neither loads nor waits. On `None` ask [`Cache::get`], which may still know it.
    pub fn peek(&self, key: &K) -> Option<Answer<V>> {
        self.peek_while(key).map(|(answer, _)| answer)
    }

    /// The last value of `key` that may still be served when nothing newer is to be had.
    pub fn last(&self, key: &K) -> Option<Answer<V>> {
        let kept = self.0.entries.get(key)?;
        let now = self.0.time.now();
        kept.is_usable(now).then(|| kept.answer(State::Stale, now))
    }

    /// Keeps a value that was read just now. Where the reading took time, [`Cache::insert_since`].
    pub fn insert(&self, key: K, loaded: Loaded<V>, policy: Policy) {
        let moment = self.moment();
        self.insert_since(key, loaded, policy, moment);
    }

    /// The present point in the order of loads and invalidations.
    pub fn moment(&self) -> Moment {
        Moment(self.0.sequence.fetch_add(1, Ordering::SeqCst))
    }

    /// Keeps a value that something else brought along, such as an entry that a search found,
    /// unless the key was invalidated, or loaded anew, since `began`: the [`Cache::moment`] before
    /// the reading began.
    pub fn insert_since(&self, key: K, loaded: Loaded<V>, policy: Policy, began: Moment) {
        let shard = self.0.shard(&key);
        self.0.land(&shard, key, loaded, policy, began.0);
    }

    /// Taken before a key is looked up: as long as the stamp is [valid](Cache::is_valid), looking it
    /// up again would bring the same value, only older.
    pub fn stamp(&self, key: &K) -> Stamp {
        let shard = self.0.place(key);
        Stamp { shard, changes: self.0.changes[shard].load(Ordering::Acquire) }
    }

    /// Whether no value of the stamp's key has landed or been forgotten since.
    pub fn is_valid(&self, stamp: Stamp) -> bool {
        self.0.changes[stamp.shard].load(Ordering::Acquire) == stamp.changes
    }

    /// [`Cache::peek`], with the time for which it would go on to answer.
    pub fn peek_while(&self, key: &K) -> Option<(Answer<V>, Duration)> {
        let kept = self.0.kept(key)?;
        let now = self.0.time.now();
        if !kept.is_fresh(now) || kept.wants_refresh(now) {
            return None;
        }
        self.0.hits.fetch_add(1, Ordering::Relaxed);
        Some((kept.answer(State::Cached, now), kept.until_refresh(now)))
    }

    /// Forgets `key`: loads of it that are under way do not land, and who asks from now on does not
    /// join them.
    pub fn invalidate(&self, key: &K) {
        let mut shard = self.0.shard(key);
        shard.epoch = self.0.sequence.fetch_add(1, Ordering::SeqCst);
        shard.flights.remove(key);
        self.0.entries.invalidate(key);
        self.0.changes[self.0.place(key)].fetch_add(1, Ordering::Release);
    }

    /// Forgets the keys that `concerns` names, as [`Cache::invalidate`] forgets one. Goes through all
    /// keys; of others what is being loaded is not kept.
    pub fn invalidate_where(&self, concerns: impl Fn(&K) -> bool) {
        let epoch = self.0.sequence.fetch_add(1, Ordering::SeqCst);
        for shard in &self.0.shards {
            let mut shard = lock(shard);
            shard.epoch = shard.epoch.max(epoch);
            shard.flights.clear();
        }
        // What lands from now on began later.
        for (key, _) in &self.0.entries {
            if concerns(&key) {
                self.0.entries.invalidate(&*key);
            }
        }
        for changes in &self.0.changes {
            changes.fetch_add(1, Ordering::Release);
        }
    }

    /// Forgets everything, as [`Cache::invalidate`] forgets one key.
    pub fn invalidate_all(&self) {
        let epoch = self.0.sequence.fetch_add(1, Ordering::SeqCst);
        for shard in &self.0.shards {
            let mut shard = lock(shard);
            shard.epoch = shard.epoch.max(epoch);
            shard.flights.clear();
        }
        // What began before can no longer land; what landed is told apart by the floor at once, and
        // by moka when it comes to free the memory.
        self.0.floor.fetch_max(epoch, Ordering::SeqCst);
        self.0.entries.invalidate_all();
        for changes in &self.0.changes {
            changes.fetch_add(1, Ordering::Release);
        }
    }

    /// Forgets every value of a key for which `keys` holds and `values` does, as [`Cache::invalidate`]
    /// forgets one key. Loads of such keys that are under way do not land, nor do a few others that
    /// began before. Looks at everything that is held: not for the hot path.
    pub fn invalidate_found(&self, keys: impl Fn(&K) -> bool, values: impl Fn(&V) -> bool) {
        let epoch = self.0.sequence.fetch_add(1, Ordering::SeqCst);
        for shard in &self.0.shards {
            let mut shard = lock(shard);
            shard.epoch = shard.epoch.max(epoch);
            shard.flights.retain(|key, _| !keys(key));
        }
        for (key, kept) in &self.0.entries {
            if keys(&key) && values(&kept.value) {
                self.invalidate(&key);
            }
        }
    }

    /// Counts for the metrics. Not for the hot path: it first does what moka put off.
    pub fn statistics(&self) -> Statistics {
        self.0.entries.run_pending_tasks();
        Statistics {
            hits: self.0.hits.load(Ordering::Relaxed),
            misses: self.0.misses.load(Ordering::Relaxed),
            loads: self.0.loads.load(Ordering::Relaxed),
            entries: self.0.entries.entry_count(),
            weight: self.0.entries.weighted_size(),
        }
    }

    /// The name given at birth, for metrics.
    pub fn name(&self) -> &'static str {
        self.0.name
    }
}

enum Joined<V, E: From<Lost>> {
    Value(Answer<V>),
    Flight(flight::Receiver<V, E>),
}

impl<K, V> Inner<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn kept(&self, key: &K) -> Option<Arc<Kept<V>>> {
        let kept = self.entries.get(key)?;
        (kept.began > self.floor.load(Ordering::SeqCst)).then_some(kept)
    }

    /// The load of `key` that is under way, or a new one; or the value, if one landed meanwhile.
    fn join<E, F>(
        self: &Arc<Self>,
        key: &K,
        policy: Policy,
        load: impl FnOnce() -> F + Send + 'static,
    ) -> Joined<V, E>
    where
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: From<Lost> + Clone + Send + Sync + 'static,
    {
        let mut shard = self.shard(key);
        let flight = shard.flights.get(key);
        let receiver = flight.and_then(|flight| flight.receiver.downcast_ref());
        if let Some(receiver) = receiver {
            self.misses.fetch_add(1, Ordering::Relaxed);
            return Joined::Flight(flight::Receiver::clone(receiver));
        }
        let now = self.time.now();
        if let Some(kept) = self.kept(key).filter(|kept| kept.is_fresh(now)) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Joined::Value(kept.answer(State::Cached, now));
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        Joined::Flight(self.depart(&mut shard, key.clone(), policy, load))
    }

    /// Begins a load of `key`, which takes the place of one that may be under way: who asks from
    /// now on joins this one.
    fn depart<E, F>(
        self: &Arc<Self>,
        shard: &mut Shard<K>,
        key: K,
        policy: Policy,
        load: impl FnOnce() -> F + Send + 'static,
    ) -> flight::Receiver<V, E>
    where
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: From<Lost> + Clone + Send + Sync + 'static,
    {
        let began = self.sequence.fetch_add(1, Ordering::SeqCst);
        let (sender, receiver) = flight::channel();
        let flight = Flight { began, receiver: Box::new(flight::Receiver::clone(&receiver)) };
        shard.flights.insert(key.clone(), flight);
        self.loads.fetch_add(1, Ordering::Relaxed);
        let flying = Flying { inner: Arc::clone(self), key, began };
        tokio::spawn(async move {
            // Moved in, so that a panic, too, takes the flight off the list before the sender goes.
            let flying = flying;
            let outcome = load().await;
            flying.arrive(policy, &outcome);
            flight::send(sender, outcome);
        });
        receiver
    }

    /// Keeps `loaded` unless it is too old to be true, or to be kept at all.
    fn land(&self, shard: &Shard<K>, key: K, loaded: Loaded<V>, policy: Policy, began: u64) {
        if began < shard.epoch {
            return;
        }
        let present = self.entries.get(&key);
        if present.as_ref().is_some_and(|kept| kept.began > began) {
            return;
        }
        let kept = Kept::new(loaded, policy, began, self.time.now());
        let place = self.place(&key);
        if kept.lifetime().is_zero() {
            if present.is_none() {
                return;
            }
            self.entries.invalidate(&key);
        } else {
            self.entries.insert(key, Arc::new(kept));
        }
        self.changes[place].fetch_add(1, Ordering::Release);
    }
}

/// A load on its way; dropped without arrival (a panic, the runtime's end) it leaves the list.
struct Flying<K: Hash + Eq, V> {
    inner: Arc<Inner<K, V>>,
    key: K,
    began: u64,
}

impl<K, V> Flying<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Keeps the value and leaves the list in one step, so that nobody falls between the two.
    fn arrive<E>(&self, policy: Policy, outcome: &Result<Loaded<V>, E>) {
        let mut shard = self.inner.shard(&self.key);
        if let Ok(loaded) = outcome {
            self.inner.land(&shard, self.key.clone(), loaded.clone(), policy, self.began);
        }
        shard.leave(&self.key, self.began);
    }
}

impl<K: Hash + Eq, V> Drop for Flying<K, V> {
    fn drop(&mut self) {
        self.inner.shard(&self.key).leave(&self.key, self.began);
    }
}

impl<K: Hash + Eq, V> Inner<K, V> {
    fn shard(&self, key: &K) -> MutexGuard<'_, Shard<K>> {
        lock(&self.shards[self.place(key)])
    }

    fn place(&self, key: &K) -> usize {
        let hash = self.hasher.hash_one(key);
        // The remainder is below the number of shards, so the conversion loses nothing.
        usize::try_from(hash % SHARDS as u64).unwrap_or_default()
    }
}

impl<K: Hash + Eq> Shard<K> {
    fn leave(&mut self, key: &K, began: u64) {
        if self.flights.get(key).is_some_and(|flight| flight.began == began) {
            self.flights.remove(key);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics between two states of a shard, so that a poisoned one is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells moka when a value is dead, whatever the outcome of its last load.
struct Lifetime;

impl<K, V> moka::Expiry<K, Arc<Kept<V>>> for Lifetime {
    fn expire_after_create(&self, _: &K, kept: &Arc<Kept<V>>, _: Instant) -> Option<Duration> {
        Some(kept.lifetime())
    }

    fn expire_after_update(
        &self,
        _: &K,
        kept: &Arc<Kept<V>>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(kept.lifetime())
    }
}

impl<K, V> Clone for Cache<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("name", &self.0.name).finish_non_exhaustive()
    }
}
