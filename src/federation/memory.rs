//! The last answer of a plan, kept as long as nothing that it was made from has changed.
//!
//! An answer that came out of the caches alone is remembered with its grounds: a stamp for each key
//! that was looked up, taken before the look-up, and the time for which the searches stay fresh. As
//! long as all stamps are valid, asking again would bring the same answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::directory::{AskedKey, Shares};
use super::listing::Listing;
use super::rows::StoredKey;
use crate::cache::Stamp;

/// Answers made from more look-ups are not remembered: each has to be checked.
const MOST_GROUNDS: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Option<Remembered>>);

#[derive(Debug)]
struct Remembered {
    grounds: Grounds,
    listing: Arc<Listing>,
}

/// What an answer was made from.
#[derive(Debug)]
pub(super) struct Grounds {
    stamps: Vec<(Kind, Stamp)>,
    /// Until a search is to be asked anew, or its age is to be told anew.
    until: Instant,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Row,
    Search,
    Entry,
}

impl Memory {
    /// The last answer, if it would come out the same again.
    pub(super) fn recall(&self, shares: &Shares) -> Option<Arc<Listing>> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Remembered { grounds, listing } = remembered.as_ref()?;
        grounds.hold(shares).then(|| Arc::clone(listing))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    pub(super) fn keep(&self, grounds: Grounds, listing: &Arc<Listing>) {
        if grounds.stamps.len() <= MOST_GROUNDS {
            let remembered = Remembered { grounds, listing: Arc::clone(listing) };
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(remembered);
        }
    }
}

impl Grounds {
    /// So many are worth taking: one more than are remembered shows that there are too many.
    pub(super) const ROOM: usize = MOST_GROUNDS + 1;

    pub(super) fn new() -> Self {
        Self { stamps: Vec::with_capacity(4), until: Instant::now() + Duration::from_mins(1) }
    }

    pub(super) fn row(&mut self, shares: &Shares, key: &StoredKey) {
        self.add(Kind::Row, || shares.rows.stamp(key));
    }

    pub(super) fn search(&mut self, shares: &Shares, key: &AskedKey) {
        self.add(Kind::Search, || shares.searches.stamp(key));
    }

    pub(super) fn entry(&mut self, shares: &Shares, key: &AskedKey) {
        self.add(Kind::Entry, || shares.entries.stamp(key));
    }

    /// A search goes on to be fresh for `left`; the report tells its age in whole seconds.
    pub(super) fn lasts(&mut self, left: Duration, age: Duration) {
        let same_second = Duration::from_nanos(1_000_000_000 - u64::from(age.subsec_nanos()));
        self.until = self.until.min(Instant::now() + left.min(same_second));
    }

    fn add(&mut self, kind: Kind, stamp: impl FnOnce() -> Stamp) {
        if self.stamps.len() < Self::ROOM {
            self.stamps.push((kind, stamp()));
        }
    }

    fn hold(&self, shares: &Shares) -> bool {
        let valid = |(kind, stamp): &(Kind, Stamp)| match kind {
            Kind::Row => shares.rows.is_valid(*stamp),
            Kind::Search => shares.searches.is_valid(*stamp),
            Kind::Entry => shares.entries.is_valid(*stamp),
        };
        Instant::now() < self.until && self.stamps.iter().all(valid)
    }
}
