//! The cache's own time: it only goes forward, whatever happens to the machine's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Where ages come from. Clones share one time.
#[derive(Clone, Debug)]
pub struct Time(Source);

#[derive(Clone, Debug)]
enum Source {
    /// Since this instant.
    Running(Instant),
    /// Nanoseconds, moved by hand.
    Manual(Arc<AtomicU64>),
}

impl Time {
    /// The machine's monotonic time.
    pub fn running() -> Self {
        Self(Source::Running(Instant::now()))
    }

    /// A time that stands still until [`Time::advance`] moves it.
    pub fn manual() -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(0))))
    }

    /// Moves a manual time; a running one moves by itself.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(at) = &self.0 {
            at.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    pub(super) fn now(&self) -> Duration {
        match &self.0 {
            Source::Running(start) => start.elapsed(),
            Source::Manual(at) => Duration::from_nanos(at.load(Ordering::Relaxed)),
        }
    }
}
