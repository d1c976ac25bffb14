//! Time and fresh ids, as arguments: nothing below `app` asks the machine for them by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use uuid::Uuid;

/// Where "now" and new ids come from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    /// Milliseconds since the epoch, moved by hand.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's own clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until [`Clock::advance`] moves it.
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(start.as_millisecond()))))
    }

    /// The current instant, in whole milliseconds.
    pub fn now(&self) -> Timestamp {
        let milliseconds = match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
            Source::System => Timestamp::now().as_millisecond(),
            Source::Manual(at) => at.load(Ordering::Relaxed),
        };
        Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Moves a manual clock; the system's clock moves by itself.
    pub fn advance(&self, milliseconds: i64) {
        if let Source::Manual(at) = &self.0 {
            at.fetch_add(milliseconds, Ordering::Relaxed);
        }
    }

    /// A new canonical id: a UUID of version 7, so that rows made later sort later.
    pub fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }

    /// A random token that tells nothing, not even when it was made.
    pub fn new_token(&self) -> Uuid {
        Uuid::new_v4()
    }
}
