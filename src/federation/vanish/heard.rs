//! What a program knows of who vanished: what it has found out, and what the store told of what others
//! have.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::store::Census;

/// How many of a repository vanished, and when the last of them did; `None` before the store told.
#[derive(Debug, Default)]
pub(in crate::federation) struct Heard(Mutex<Option<(u64, Option<Timestamp>)>>);

impl Heard {
    /// This program has entered that somebody vanished, or is there again.
    pub(super) fn turned(&self, vanished: Option<Timestamp>) {
        if let Some((count, latest)) = &mut *self.known() {
            match vanished {
                Some(_) => (*count, *latest) = (*count + 1, vanished.max(*latest)),
                None => *count = count.saturating_sub(1),
            }
        }
    }

    /// Takes what the store tells, and says whether another program may have entered something. What
    /// this one enters at the same moment may look like it.
    pub(super) fn is_news(&self, census: &Census) -> bool {
        let before = self.known().replace((census.vanished, census.latest));
        before.is_none_or(|(count, latest)| count != census.vanished || latest < census.latest)
    }

    fn known(&self) -> MutexGuard<'_, Option<(u64, Option<Timestamp>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn census(vanished: u64, latest: i64) -> Census {
        Census { vanished, latest: (vanished > 0).then(|| at(latest)), ..Census::default() }
    }

    #[test]
    fn what_others_enter_is_news_and_what_is_entered_here_is_not() {
        let heard = Heard::default();
        heard.turned(Some(at(1)));
        assert!(heard.is_news(&census(0, 0)), "nothing was known");
        assert!(!heard.is_news(&census(0, 0)));
        heard.turned(Some(at(5)));
        heard.turned(Some(at(4)));
        assert!(!heard.is_news(&census(2, 5)));
        heard.turned(None);
        assert!(!heard.is_news(&census(1, 4)));
        assert!(heard.is_news(&census(2, 6)), "somebody vanished");
        assert!(heard.is_news(&census(1, 6)), "somebody is back");
        assert!(heard.is_news(&census(1, 7)), "one is back and another one vanished");
        heard.turned(Some(at(8)));
        assert!(heard.is_news(&census(1, 8)), "one is back meanwhile");
        assert!(!heard.is_news(&census(1, 8)));
    }
}
