//! What a program knows of who vanished: what it has found out, and what the store told of what others
//! have.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::store::Census;

/// How many of a repository vanished, and when ([`Census::mark`]); `None` before the store told.
#[derive(Debug, Default)]
pub(in crate::federation) struct Heard(Mutex<Option<(u64, i64)>>);

impl Heard {
    /// This program has entered that somebody vanished, or is there again: what was known of it, and
    /// what is.
    pub(super) fn turned(&self, old: Option<Timestamp>, new: Option<Timestamp>) {
        if let Some((count, mark)) = &mut *self.known() {
            if let Some(old) = old {
                (*count, *mark) =
                    (count.saturating_sub(1), mark.wrapping_sub(Census::mark_of(old)));
            }
            if let Some(new) = new {
                (*count, *mark) = (*count + 1, mark.wrapping_add(Census::mark_of(new)));
            }
        }
    }

    /// Takes what the store tells, and says whether another program may have entered something. What
    /// this one enters at the same moment may look like it.
    pub(super) fn is_news(&self, census: &Census) -> bool {
        let told = (census.vanished, census.mark);
        self.known().replace(told) != Some(told)
    }

    fn known(&self) -> MutexGuard<'_, Option<(u64, i64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// After who vanished at these times.
    fn census(vanished: &[i64]) -> Census {
        let mark = vanished.iter().map(|second| Census::mark_of(at(*second))).sum();
        Census { vanished: vanished.len() as u64, mark, ..Census::default() }
    }

    #[test]
    fn what_others_enter_is_news_and_what_is_entered_here_is_not() {
        let heard = Heard::default();
        heard.turned(None, Some(at(1)));
        assert!(heard.is_news(&census(&[])), "nothing was known");
        assert!(!heard.is_news(&census(&[])));
        heard.turned(None, Some(at(5)));
        heard.turned(None, Some(at(4)));
        assert!(!heard.is_news(&census(&[4, 5])));
        heard.turned(Some(at(5)), None);
        assert!(!heard.is_news(&census(&[4])));
        assert!(heard.is_news(&census(&[4, 6])), "somebody vanished");
        assert!(heard.is_news(&census(&[6])), "somebody is back");
        assert!(heard.is_news(&census(&[7])), "one is back and another one vanished");
        assert!(heard.is_news(&census(&[7, 9])));
        assert!(heard.is_news(&census(&[8, 9])), "the same, and neither was the last");
        heard.turned(None, Some(at(10)));
        assert!(heard.is_news(&census(&[8, 10])), "one is back meanwhile");
        assert!(!heard.is_news(&census(&[8, 10])));
    }
}
