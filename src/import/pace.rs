//! How fast rows are done: in large steps while nobody is there, in small ones with pauses while
//! requests come in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::telemetry::metrics::Metrics;

/// Rows of one step while nobody is there. More would hardly be faster, and whoever comes waits for the
/// step to end.
const ALONE: usize = 128;

/// Rows of one step while requests come in: with 16, a look-up beside an import took five times as long at
/// the 99th percentile, with 4 twice as long.
const WATCHED: usize = 4;

/// So many requests within [`WINDOW`] mean that somebody is there; whoever asks now and then how far
/// the import is does not count.
const SOMEBODY: u64 = 3;
const WINDOW: Duration = Duration::from_millis(500);

/// How long after that small steps are kept to.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// The longest pause.
const LONGEST: Duration = Duration::from_millis(20);

/// Watches how many requests come in.
#[derive(Debug)]
pub(super) struct Pace {
    metrics: Arc<Metrics>,
    window: Instant,
    /// How many requests had been answered when the window began.
    answered: u64,
    /// Until when somebody counts as being there.
    watched: Option<Instant>,
}

impl Pace {
    pub(super) fn new(metrics: Arc<Metrics>, now: Instant) -> Self {
        let answered = metrics.answered();
        Self { metrics, window: now, answered, watched: None }
    }

    /// How many rows the next step does at most.
    pub(super) fn rows(&mut self, now: Instant) -> usize {
        let answered = self.metrics.answered();
        if answered.saturating_sub(self.answered) >= SOMEBODY {
            self.watched = Some(now + AFTERWARDS);
            (self.window, self.answered) = (now, answered);
        } else if now > self.window + WINDOW {
            (self.window, self.answered) = (now, answered);
        }
        if self.is_watched(now) { WATCHED } else { ALONE }
    }

    /// How long to pause after a step that took so long.
    pub(super) fn pause(&self, now: Instant, taken: Duration) -> Duration {
        if self.is_watched(now) { taken.min(LONGEST) } else { Duration::ZERO }
    }

    fn is_watched(&self, now: Instant) -> bool {
        self.watched.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_small_while_requests_come_in() {
        let metrics = Arc::new(Metrics::new(&[]));
        let mut now = Instant::now();
        let mut pace = Pace::new(Arc::clone(&metrics), now);
        let request = || metrics.request(200, Duration::from_millis(1));
        assert_eq!(pace.rows(now), ALONE);
        for _ in 0..9 {
            // Now and then is not often.
            request();
            now += WINDOW * 2;
            assert_eq!((pace.rows(now), pace.pause(now, WINDOW)), (ALONE, Duration::ZERO));
        }
        for _ in 0..3 {
            request();
        }
        assert_eq!((pace.rows(now), pace.pause(now, WINDOW)), (WATCHED, LONGEST));
        assert_eq!(pace.pause(now, Duration::from_millis(1)), Duration::from_millis(1));
        assert_eq!(pace.rows(now + AFTERWARDS / 2), WATCHED);
        assert_eq!(pace.rows(now + AFTERWARDS), ALONE);
    }
}
