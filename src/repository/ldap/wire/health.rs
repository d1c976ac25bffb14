//! Whether a server is worth asking: pure bookkeeping of failures, with growing pauses.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(5);

/// Searches in a row without any sign of life, after which a server is given up for a while.
const SILENCES: u32 = 3;

/// A server that is due for its probe longer than this has lost the task that would do it.
const OVERDUE: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct Health {
    /// Connection attempts that failed in a row.
    failures: u32,
    silences: u32,
    down: Option<Down>,
}

#[derive(Clone, Debug)]
struct Down {
    until: Instant,
    text: Arc<str>,
}

impl Health {
    /// Why the server is not to be asked now.
    pub(super) fn refusal(&self, now: Instant) -> Option<&Arc<str>> {
        self.down.as_ref().filter(|down| now < down.until + OVERDUE).map(|down| &down.text)
    }

    /// A connection was made.
    pub(super) fn reached(&mut self) {
        *self = Self::default();
    }

    /// An operation was answered.
    pub(super) fn answered(&mut self) {
        self.silences = 0;
    }

    /// A connection could not be made. Says how long to leave the server alone.
    pub(super) fn failed(&mut self, now: Instant, text: Arc<str>) -> Duration {
        let pause = pause(self.failures, rand(self.failures));
        self.failures = self.failures.saturating_add(1);
        self.silences = 0;
        self.down = Some(Down { until: now + pause, text });
        pause
    }

    /// An operation waited in vain. Says whether it was one too many.
    pub(super) fn silent(&mut self) -> bool {
        self.silences += 1;
        self.silences >= SILENCES
    }

    pub(super) fn is_down(&self) -> bool {
        self.down.is_some()
    }
}

/// Twice as long each time, less up to a quarter so that many clients do not come back at once.
fn pause(failures: u32, jitter: u64) -> Duration {
    let full = FIRST.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(LONGEST);
    let permille = u32::try_from(jitter % 250).unwrap_or(0);
    full.saturating_sub(full * permille / 1000)
}

/// The age at which a connection is replaced: up to a fifth earlier than `limit`.
pub(super) fn lifetime(limit: Duration) -> Duration {
    let permille = u32::try_from(rand(limit) % 200).unwrap_or(0);
    limit.saturating_sub((limit / 1000).saturating_mul(permille))
}

/// Randomness that need not be hard to guess.
fn rand(salt: impl std::hash::Hash) -> u64 {
    std::hash::RandomState::new().hash_one(salt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_five_minutes() {
        let whole: Vec<u64> = (0..11).map(|failures| pause(failures, 0).as_secs()).collect();
        assert_eq!(whole, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(pause(40, 0), LONGEST);
        assert_eq!(pause(0, 249), Duration::from_millis(751));
    }

    #[test]
    fn lifetimes_differ_but_little() {
        let limit = Duration::from_mins(30);
        let ages: std::collections::HashSet<_> = (0..50).map(|_| lifetime(limit)).collect();
        assert!(ages.len() > 5);
        assert!(ages.iter().all(|age| *age <= limit && *age >= Duration::from_mins(24)));
        assert!(lifetime(Duration::MAX) > Duration::ZERO);
    }

    #[test]
    fn a_server_is_left_alone_until_it_is_reached() {
        let now = Instant::now();
        let mut health = Health::default();
        assert!(health.refusal(now).is_none());
        let pause = health.failed(now, "refused".into());
        assert_eq!(health.refusal(now + pause).map(|text| &**text), Some("refused"));
        assert!(health.refusal(now + pause + OVERDUE).is_none());
        health.reached();
        assert!(!health.is_down() && health.refusal(now).is_none());
    }

    #[test]
    fn silence_counts_only_in_a_row() {
        let mut health = Health::default();
        assert!(!health.silent() && !health.silent());
        health.answered();
        assert!(!health.silent() && !health.silent() && health.silent());
    }
}
