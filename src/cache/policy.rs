//! How long a value is true enough, and what an answer says of that.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What was cut short is kept for this long at most: asking again may bring more.
const CUT: Duration = Duration::from_secs(5);
/// Longer than anything runs, and short enough to be added to any instant.
const EVER: Duration = Duration::from_hours(10 * 365 * 24);
/// The time between two attempts to load a value anew behind the callers' backs, as a part of its
/// freshness.
const ATTEMPTS: u32 = 8;

/// For how long values are kept. All zero: nothing is kept, and equal look-ups at the same time are
/// still one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Answered without asking.
    pub fresh: Duration,
    /// The same for "nobody".
    pub negative: Duration,
    /// After `fresh`: answered when a load fails. Never "nobody", and never what was cut.
    pub stale: Duration,
}

impl Policy {
    /// Kept until it is invalidated.
    pub const UNTIL_INVALIDATED: Self = Self { fresh: EVER, negative: EVER, stale: Duration::ZERO };
}

/// How old an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Loaded for this look-up, or for another at the same time.
    Live,
    /// From memory, and fresh.
    Cached,
    /// From memory since the load failed.
    Stale,
}

/// A value with its age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<V> {
    pub value: V,
    pub state: State,
    /// Since it was loaded; zero when live.
    pub age: Duration,
}

/// What a load brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded<V> {
    pub value: V,
    /// "Nobody": kept for [`Policy::negative`].
    pub empty: bool,
    /// Cut short by a limit: kept for 5 s at most.
    pub cut: bool,
    /// How old what it was made of is already: it is kept for so much less.
    pub aged: Duration,
}

impl<V> Loaded<V> {
    /// A whole value that is not "nobody".
    pub fn whole(value: V) -> Self {
        Self { value, empty: false, cut: false, aged: Duration::ZERO }
    }
}

impl<V> Answer<V> {
    pub(super) fn live(value: V) -> Self {
        Self { value, state: State::Live, age: Duration::ZERO }
    }
}

/// A value in memory.
#[derive(Debug)]
pub(super) struct Kept<V> {
    pub(super) value: V,
    /// Where its load stands in the order of loads and invalidations.
    pub(super) began: u64,
    /// When it was loaded, by the cache's own time.
    at: Duration,
    fresh: Duration,
    stale: Duration,
    /// From when, in nanoseconds of the cache's time, it is to be loaded anew.
    refresh_from: AtomicU64,
}

impl<V> Kept<V> {
    pub(super) fn new(loaded: Loaded<V>, policy: Policy, began: u64, now: Duration) -> Self {
        let (mut fresh, mut stale) = if loaded.empty {
            (policy.negative, Duration::ZERO)
        } else {
            (policy.fresh, policy.stale)
        };
        if loaded.cut {
            (fresh, stale) = (fresh.min(CUT), Duration::ZERO);
        }
        let fresh = fresh.min(EVER).saturating_sub(loaded.aged);
        Self {
            value: loaded.value,
            began,
            at: now,
            fresh,
            stale: stale.min(EVER),
            refresh_from: AtomicU64::new(nanoseconds(now + fresh / 2)),
        }
    }

    /// How long it can be of any use.
    pub(super) fn lifetime(&self) -> Duration {
        self.fresh + self.stale
    }

    pub(super) fn is_fresh(&self, now: Duration) -> bool {
        self.age(now) < self.fresh
    }

    /// Whether it may stand in for a load that failed.
    pub(super) fn is_usable(&self, now: Duration) -> bool {
        self.age(now) < self.lifetime()
    }

    /// How long it goes on to be served without being loaded anew.
    pub(super) fn until_refresh(&self, now: Duration) -> Duration {
        let from = Duration::from_nanos(self.refresh_from.load(Ordering::Relaxed));
        from.min(self.at + self.fresh).saturating_sub(now)
    }

    pub(super) fn wants_refresh(&self, now: Duration) -> bool {
        nanoseconds(now) >= self.refresh_from.load(Ordering::Relaxed)
    }

    /// Whether the caller is the one who loads it anew. If that fails, somebody else may try after
    /// an eighth of its freshness.
    pub(super) fn claim_refresh(&self, now: Duration) -> bool {
        let from = self.refresh_from.load(Ordering::Relaxed);
        let next = nanoseconds(now + self.fresh / ATTEMPTS);
        nanoseconds(now) >= from
            && self
                .refresh_from
                .compare_exchange(from, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.at)
    }
}

impl<V: Clone> Kept<V> {
    pub(super) fn answer(&self, state: State, now: Duration) -> Answer<V> {
        Answer { value: self.value.clone(), state, age: self.age(now) }
    }
}

/// Good for five centuries.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
