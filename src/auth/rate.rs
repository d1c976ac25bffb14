//! How often something may happen: a bucket of permissions that fills by itself.
//!
//! Kept as one instant, that at which the bucket is full again, so that it needs no timer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::config::Allowance;

/// A size and a speed, in nanoseconds: so many at once, and so many in the same time again.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// In which one permission grows.
    interval: u64,
    /// In which an empty bucket fills.
    whole: u64,
}

impl Pace {
    pub fn new(allowance: Allowance) -> Self {
        let whole = u64::try_from(allowance.per.as_nanos()).unwrap_or(u64::MAX);
        Self { interval: (whole / u64::from(allowance.count.max(1))).max(1), whole }
    }

    /// How long until a bucket that is full at `full` has a permission again; zero where it has one.
    pub fn wait(self, full: u64, now: u64) -> Duration {
        let missing = full.saturating_sub(now);
        Duration::from_nanos(missing.saturating_sub(self.whole.saturating_sub(self.interval)))
    }

    /// When a bucket that is full at `full` is so after one permission was taken.
    pub fn taken(self, full: u64, now: u64) -> u64 {
        full.max(now).saturating_add(self.interval)
    }

    /// The same after one that was taken was given back.
    pub fn given_back(self, full: u64) -> u64 {
        full.saturating_sub(self.interval)
    }
}

/// The bucket of one caller. Taking from it neither allocates nor waits.
#[derive(Debug)]
pub struct Rate {
    pace: Pace,
    start: Instant,
    /// When it is full, in nanoseconds since the start.
    full: AtomicU64,
}

impl Rate {
    pub fn new(allowance: Allowance, start: Instant) -> Self {
        Self { pace: Pace::new(allowance), start, full: AtomicU64::new(0) }
    }

    /// Takes a permission, or says how long there is none.
    pub fn take(&self, now: Instant) -> Result<(), Duration> {
        let now = nanoseconds(now.saturating_duration_since(self.start));
        let mut full = self.full.load(Ordering::Relaxed);
        loop {
            let wait = self.pace.wait(full, now);
            if !wait.is_zero() {
                return Err(wait);
            }
            let after = self.pace.taken(full, now);
            let changed =
                self.full.compare_exchange_weak(full, after, Ordering::Relaxed, Ordering::Relaxed);
            match changed {
                Ok(_) => return Ok(()),
                Err(other) => full = other,
            }
        }
    }
}

/// Enough for five centuries.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_the_pace_holds() {
        let start = Instant::now();
        let rate = Rate::new(Allowance { count: 4, per: Duration::from_secs(2) }, start);
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        for _ in 0..4 {
            assert_eq!(rate.take(at(100)), Ok(()));
        }
        assert_eq!(rate.take(at(100)), Err(Duration::from_millis(500)));
        assert_eq!(rate.take(at(599)), Err(Duration::from_millis(1)));
        assert_eq!(rate.take(at(600)), Ok(()));
        assert!(rate.take(at(600)).is_err());
        // Full again, and not fuller.
        for _ in 0..4 {
            assert_eq!(rate.take(at(60_000)), Ok(()));
        }
        assert!(rate.take(at(60_000)).is_err());
    }

    #[test]
    fn no_more_get_through_at_once_than_are_allowed() {
        let start = Instant::now();
        let rate = Rate::new(Allowance { count: 1000, per: Duration::from_hours(1) }, start);
        let through: usize = std::thread::scope(|scope| {
            let one = || (0..1000).filter(|_| rate.take(start).is_ok()).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(through, 1000);
    }
}
