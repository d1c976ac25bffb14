//! The snapshots of walks under way: kept for a time since each was last used, within bounds that one
//! token cannot push another out of. What is not here any more is made anew.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::snapshot::Snapshot;
use crate::telemetry::metrics::CacheNumbers;

/// The snapshots of one tenant.
#[derive(Debug)]
pub(in crate::federation) struct Shelf {
    kept: Mutex<Kept>,
    limits: Limits,
    timeout: Duration,
    numbers: Arc<WalkNumbers>,
}

/// What snapshots may weigh together, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) token: usize,
    pub(super) tenant: usize,
}

/// What the shelves of all tenants have counted, and hold.
#[derive(Debug, Default)]
pub struct WalkNumbers {
    found: AtomicU64,
    missing: AtomicU64,
    made: AtomicU64,
    snapshots: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    walks: HashMap<Uuid, Walk>,
    /// Whether the task runs that clears away what nobody uses any more.
    tended: bool,
}

#[derive(Debug)]
struct Walk {
    snapshot: Arc<Snapshot>,
    token: Arc<str>,
    weight: usize,
    used: Instant,
}

impl Shelf {
    pub(super) fn new(limits: Limits, timeout: Duration, numbers: Arc<WalkNumbers>) -> Arc<Self> {
        Arc::new(Self { kept: Mutex::default(), limits, timeout, numbers })
    }

    /// What the keys of one snapshot may weigh; the rest is for knowing its namesakes.
    pub(super) fn room(&self) -> usize {
        self.limits.token / 4 * 3
    }

    /// The snapshot of a walk, if it is still here; its time begins anew.
    pub(super) fn take(&self, walk: Uuid) -> Option<Arc<Snapshot>> {
        let mut kept = self.kept();
        let now = Instant::now();
        self.clear(&mut kept, now);
        let found = kept.walks.get_mut(&walk).map(|walk| {
            walk.used = now;
            Arc::clone(&walk.snapshot)
        });
        let counter = if found.is_some() { &self.numbers.found } else { &self.numbers.missing };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Keeps a snapshot. What it needs of room is taken from the walks that were not used for
    /// longest: the token's own, and then the tenant's.
    pub(super) fn put(self: &Arc<Self>, walk: Uuid, token: &Arc<str>, snapshot: Arc<Snapshot>) {
        self.numbers.made.fetch_add(1, Ordering::Relaxed);
        let weight = snapshot.weight();
        let mut kept = self.kept();
        let now = Instant::now();
        self.clear(&mut kept, now);
        self.remove(&mut kept, walk);
        if weight > self.limits.token {
            return;
        }
        self.make_room(&mut kept, self.limits.token - weight, |walk| walk.token == *token);
        self.make_room(&mut kept, self.limits.tenant.saturating_sub(weight), |_| true);
        self.numbers.snapshots.fetch_add(1, Ordering::Relaxed);
        self.numbers.bytes.fetch_add(weight as u64, Ordering::Relaxed);
        kept.walks.insert(walk, Walk { snapshot, token: Arc::clone(token), weight, used: now });
        if !kept.tended {
            kept.tended = true;
            tokio::spawn(tend(Arc::downgrade(self), self.timeout));
        }
    }

    pub(super) fn forget_all(&self) {
        let mut kept = self.kept();
        let walks: Vec<Uuid> = kept.walks.keys().copied().collect();
        for walk in walks {
            self.remove(&mut kept, walk);
        }
    }

    fn make_room(&self, kept: &mut Kept, limit: usize, counts: impl Fn(&Walk) -> bool) {
        let mut weight: usize =
            kept.walks.values().filter(|walk| counts(walk)).map(|walk| walk.weight).sum();
        while weight > limit {
            let counted = kept.walks.iter().filter(|(_, walk)| counts(walk));
            let Some((&oldest, walk)) = counted.min_by_key(|(_, walk)| walk.used) else { return };
            weight -= walk.weight;
            self.remove(kept, oldest);
        }
    }

    fn clear(&self, kept: &mut Kept, now: Instant) {
        let over = |walk: &Walk| now.duration_since(walk.used) > self.timeout;
        let over: Vec<Uuid> =
            kept.walks.iter().filter(|(_, walk)| over(walk)).map(|(id, _)| *id).collect();
        for walk in over {
            self.remove(kept, walk);
        }
    }

    fn remove(&self, kept: &mut Kept, walk: Uuid) {
        if let Some(walk) = kept.walks.remove(&walk) {
            self.numbers.snapshots.fetch_sub(1, Ordering::Relaxed);
            self.numbers.bytes.fetch_sub(walk.weight as u64, Ordering::Relaxed);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        let walks: Vec<Uuid> = self.kept().walks.keys().copied().collect();
        let mut kept = std::mem::take(&mut *self.kept());
        for walk in walks {
            self.remove(&mut kept, walk);
        }
    }
}

/// Clears away what nobody comes back for, until there is nothing left.
async fn tend(shelf: Weak<Shelf>, timeout: Duration) {
    loop {
        tokio::time::sleep((timeout / 4).max(Duration::from_millis(100))).await;
        let Some(shelf) = shelf.upgrade() else { return };
        let mut kept = shelf.kept();
        shelf.clear(&mut kept, Instant::now());
        if kept.walks.is_empty() {
            kept.tended = false;
            return;
        }
    }
}

impl WalkNumbers {
    pub(in crate::federation) fn numbers(&self) -> CacheNumbers {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheNumbers {
            name: "walk",
            hits: read(&self.found),
            misses: read(&self.missing),
            loads: read(&self.made),
            entries: read(&self.snapshots),
            bytes: read(&self.bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::{Bounds, Draft, Found};
    use super::*;

    /// About `kilobytes` of a snapshot.
    fn snapshot(kilobytes: usize) -> Arc<Snapshot> {
        let mut draft = Draft::new(Bounds { keys: 10_000, bytes: usize::MAX });
        for number in 0..kilobytes {
            let (key, id) = ([b'x'; 1000], number.to_string());
            let found =
                Found { key: &key, id: &id, row: Some(1), name: None, at: None, unbound: false };
            draft.push(&found).unwrap();
        }
        Arc::new(draft.finish(false, Vec::new()))
    }

    fn shelf(token: usize, tenant: usize, timeout: Duration) -> (Arc<Shelf>, Arc<WalkNumbers>) {
        let numbers = Arc::<WalkNumbers>::default();
        let limits = Limits { token, tenant };
        (Shelf::new(limits, timeout, Arc::clone(&numbers)), numbers)
    }

    #[tokio::test]
    async fn a_token_pushes_out_its_own_walks_first() {
        let (shelf, numbers) = shelf(25_000, 60_000, Duration::from_mins(1));
        let [one, two, three, other] = [1, 2, 3, 4].map(Uuid::from_u128);
        let (mine, theirs) = (Arc::<str>::from("mine"), Arc::<str>::from("theirs"));
        shelf.put(other, &theirs, snapshot(10));
        shelf.put(one, &mine, snapshot(10));
        shelf.put(two, &mine, snapshot(10));
        assert!(shelf.take(one).is_some(), "and is used later than the second");
        shelf.put(three, &mine, snapshot(10));
        let here = [one, two, three, other].map(|walk| shelf.take(walk).is_some());
        assert_eq!(here, [true, false, true, true]);
        assert_eq!(numbers.numbers().entries, 3);
        assert!((30_000..36_000).contains(&numbers.numbers().bytes));
        shelf.put(two, &mine, snapshot(40));
        assert!(shelf.take(two).is_none(), "one walk beyond the bound is not kept");
        drop(shelf);
        assert_eq!((numbers.numbers().entries, numbers.numbers().bytes), (0, 0));
    }

    #[tokio::test]
    async fn all_tokens_together_stay_within_the_tenant_s_bound() {
        let (shelf, numbers) = shelf(25_000, 30_000, Duration::from_mins(1));
        for number in 0..20_u128 {
            let token = Arc::from(format!("token{number}"));
            shelf.put(Uuid::from_u128(number), &token, snapshot(9));
            assert!(numbers.numbers().bytes <= 30_000);
        }
        assert!(shelf.take(Uuid::from_u128(19)).is_some());
        assert!(shelf.take(Uuid::from_u128(0)).is_none());
    }

    #[tokio::test]
    async fn what_is_not_used_goes_by_itself() {
        let (shelf, numbers) = shelf(1 << 20, 1 << 20, Duration::from_millis(150));
        shelf.put(Uuid::from_u128(1), &Arc::from("mine"), snapshot(1));
        assert!(shelf.take(Uuid::from_u128(1)).is_some());
        for _ in 0..100 {
            if numbers.numbers().bytes == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!((numbers.numbers().entries, numbers.numbers().bytes), (0, 0));
        assert!(shelf.take(Uuid::from_u128(1)).is_none());
    }
}
