//! Who left, and whether so many can be believed: decided by what was read and when, and by nothing
//! else.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::config::{OnVanish, Tenant, VanishBrake};
use crate::store::{AHEAD, Census, Presence};

/// In this time no more than the brake allows may vanish.
const WINDOW: SignedDuration = SignedDuration::from_hours(1);

/// What a tenant's configuration says of people who left.
#[derive(Clone, Copy, Debug)]
pub struct VanishRules {
    pub on_vanish: OnVanish,
    /// How far apart the two reads must be that do not find somebody.
    pub grace: Duration,
    pub brake: VanishBrake,
}

impl Default for VanishRules {
    fn default() -> Self {
        let brake = VanishBrake { percent: 5, at_least: 10 };
        Self { on_vanish: OnVanish::Disable, grace: Duration::from_mins(5), brake }
    }
}

impl From<&Tenant> for VanishRules {
    fn from(tenant: &Tenant) -> Self {
        let Tenant { on_vanish, vanish_grace, vanish_brake, .. } = *tenant;
        Self { on_vanish, grace: vanish_grace, brake: vanish_brake }
    }
}

/// How an answer came about that does not hold somebody.
#[derive(Clone, Copy, Debug)]
pub struct Evidence {
    /// No limit cut it.
    pub complete: bool,
    /// The entry at the base was readable.
    pub base: bool,
    /// The same search found somebody else by the same means.
    pub witnessed: bool,
}

impl Evidence {
    /// Whether whoever is missing is absent. A base that is not there, a right that was lost and a
    /// replica that is still empty hide everybody, witnesses too.
    pub fn proves_absence(self) -> bool {
        self.complete && self.base && self.witnessed
    }
}

/// What a proven absence says of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absence {
    /// Nothing: the entry was not seen where anybody looks, but elsewhere or nowhere yet.
    Elsewhere,
    /// Not found, for the first time or again too soon.
    Missing,
    /// Not found twice, far enough apart.
    Left,
    /// The person had left already.
    Known,
}

/// Of an entry that a read at `at`, in `scope`, did not find.
pub(super) fn absence(presence: &Presence, scope: i64, at: Timestamp, grace: Duration) -> Absence {
    let grace = SignedDuration::try_from(grace).unwrap_or(SignedDuration::MAX);
    if presence.scope != Some(scope) {
        Absence::Elsewhere
    } else if presence.vanished.is_some() {
        Absence::Known
    } else if presence.missing.is_some_and(|since| at.duration_since(since) >= grace) {
        Absence::Left
    } else {
        Absence::Missing
    }
}

/// What becomes of those who left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They are out.
    Leave,
    /// Too many at once: nobody is believed gone.
    Brake,
    /// Nobody is ever taken for gone.
    Keep,
}

/// Who vanished then vanished lately. What is so far ahead that no other program's clock explains it
/// was entered before the clock was set back, nobody knows how long ago.
pub(super) fn window(now: Timestamp) -> (Timestamp, Timestamp) {
    (now - WINDOW, now + AHEAD)
}

/// `census` counts as recent who vanished within the [`window`].
pub(super) fn verdict(census: &Census, rules: &VanishRules) -> Verdict {
    if rules.on_vanish == OnVanish::Keep {
        return Verdict::Keep;
    }
    if leaving(census) > allowed(census, rules.brake) { Verdict::Brake } else { Verdict::Leave }
}

/// Who is not found, and who was found gone lately.
pub(super) fn leaving(census: &Census) -> u64 {
    census.missing.saturating_add(census.recent)
}

/// So many of those who were there before the window began.
pub(super) fn allowed(census: &Census, brake: VanishBrake) -> u64 {
    let long_gone = census.vanished.saturating_sub(census.recent);
    part(census.linked.saturating_sub(long_gone), brake)
}

fn part(people: u64, brake: VanishBrake) -> u64 {
    (people.saturating_mul(brake.percent.into()) / 100).max(brake.at_least)
}

/// How many people must have been looked for since somebody was not found, until that one is believed
/// gone: so many that those who are leaving are not too many among them, though they be few among all,
/// of most of whom nobody knows yet. `None` where no number is enough.
pub(super) fn needed(census: &Census, brake: VanishBrake) -> Option<u64> {
    let leaving = leaving(census);
    if leaving <= brake.at_least {
        return Some(0);
    }
    (brake.percent > 0).then(|| leaving.saturating_mul(100).div_ceil(brake.percent.into()))
}

/// Whether what was fetched `at` is newer than what was noted of a fetch at `noted`.
pub(super) fn is_newer(at: Timestamp, noted: Timestamp, now: Timestamp) -> bool {
    at.as_millisecond() > noted.as_millisecond() || noted.duration_since(now) > AHEAD
}

/// How many batches of links are to be read per `tick`, so that all of them come up within a quarter
/// of `verify`.
pub(super) fn batches(linked: u64, batch: usize, verify: Duration, tick: Duration) -> u64 {
    let all = linked.div_ceil(batch.max(1) as u64);
    let ticks = u64::try_from(verify.as_millis() / 4 / tick.as_millis().max(1)).unwrap_or(u64::MAX);
    all.div_ceil(ticks.max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GRACE: Duration = Duration::from_mins(5);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn missing(since: i64) -> Presence {
        Presence { scope: Some(1), missing: Some(at(since)), ..Presence::default() }
    }

    #[test]
    fn only_an_answer_that_is_whole_readable_and_witnessed_proves_an_absence() {
        for bits in 0..8 {
            let [complete, base, witnessed] = [1, 2, 4].map(|bit| bits & bit != 0);
            assert_eq!((Evidence { complete, base, witnessed }).proves_absence(), bits == 7);
        }
    }

    #[test]
    fn somebody_left_who_is_not_found_twice_and_far_enough_apart() {
        let seen = Presence { scope: Some(1), ..Presence::default() };
        assert_eq!(absence(&seen, 1, at(0), GRACE), Absence::Missing);
        assert_eq!(absence(&seen, 1, at(0), Duration::ZERO), Absence::Missing, "never at once");
        assert_eq!(absence(&missing(0), 1, at(299), GRACE), Absence::Missing);
        assert_eq!(absence(&missing(0), 1, at(300), GRACE), Absence::Left);
        assert_eq!(absence(&missing(0), 1, at(-300), GRACE), Absence::Missing, "a clock set back");
        let gone = Presence { vanished: Some(at(300)), ..missing(0) };
        assert_eq!(absence(&gone, 1, at(900), GRACE), Absence::Known);
    }

    #[test]
    fn whoever_was_seen_elsewhere_is_never_missed() {
        // Nor who was bound before it was kept where somebody is seen.
        for scope in [Some(2), None] {
            let elsewhere = Presence { scope, ..missing(0) };
            for presence in [elsewhere.clone(), Presence { vanished: Some(at(1)), ..elsewhere }] {
                assert_eq!(absence(&presence, 1, at(9_999), GRACE), Absence::Elsewhere);
            }
        }
    }

    fn census(linked: u64, missing: u64, vanished: u64, recent: u64) -> Census {
        Census { linked, missing, vanished, recent, ..Census::default() }
    }

    #[test]
    fn the_brake_holds_when_more_than_a_part_and_more_than_a_few_are_leaving() {
        let rules = VanishRules::default();
        let verdict = |census: Census| verdict(&census, &rules);
        assert_eq!(verdict(census(10, 10, 0, 0)), Verdict::Leave, "a few are always believed");
        assert_eq!(verdict(census(11, 11, 0, 0)), Verdict::Brake);
        assert_eq!(verdict(census(1000, 50, 0, 0)), Verdict::Leave);
        assert_eq!(verdict(census(1000, 51, 0, 0)), Verdict::Brake);
        assert_eq!(verdict(census(1000, 1, 50, 50)), Verdict::Brake, "who left lately counts");
        assert_eq!(verdict(census(1000, 1, 50, 0)), Verdict::Leave, "who left before does not");
        assert_eq!(verdict(census(1000, 50, 1, 0)), Verdict::Brake, "and is no more among all");
        assert_eq!(verdict(census(0, 0, 0, 0)), Verdict::Leave);
        let of = |percent, at_least| VanishBrake { percent, at_least };
        assert_eq!(allowed(&census(1000, 0, 0, 0), of(100, 0)), 1000);
        assert_eq!(allowed(&census(1000, 0, 0, 0), of(0, 0)), 0);
        let keep = VanishRules { on_vanish: OnVanish::Keep, ..rules };
        assert_eq!(super::verdict(&census(11, 11, 0, 0), &keep), Verdict::Keep);
    }

    #[test]
    fn few_among_all_who_are_many_among_those_looked_for_are_not_believed_gone() {
        let brake = VanishRules::default().brake;
        let is_believed = |census: &Census, brake, looked_for| {
            needed(census, brake).is_some_and(|needed| looked_for >= needed)
        };
        // A tenth of a large repository is hidden, of which a third was looked for.
        let hidden = census(100_000, 3_300, 0, 0);
        assert_eq!(verdict(&hidden, &VanishRules::default()), Verdict::Leave, "among all");
        assert!(!is_believed(&hidden, brake, 33_000));
        assert!(is_believed(&hidden, brake, 100_000), "when all have been looked for");
        let lately = census(100_000, 300, 3_000, 3_000);
        assert!(!is_believed(&lately, brake, 33_000), "who left lately counts");
        assert!(is_believed(&census(100_000, 10, 0, 0), brake, 10), "a few are always believed");
        let eleven = census(100_000, 11, 0, 0);
        assert!(!is_believed(&eleven, brake, 219));
        assert!(is_believed(&eleven, brake, 220));
        assert_eq!(needed(&eleven, VanishBrake { percent: 0, ..brake }), None);
    }

    #[test]
    fn what_was_noted_in_times_to_come_is_old() {
        let now = at(0);
        assert!(is_newer(at(-9), at(-10), now) && !is_newer(at(-10), at(-10), now));
        assert!(!is_newer(at(-9), at(0), now));
        assert!(!is_newer(at(0), at(60), now), "another program's clock may be ahead");
        assert!(is_newer(at(0), at(61), now));
    }

    #[test]
    fn all_links_come_up_within_a_quarter_of_the_time() {
        let (hour, tick) = (Duration::from_hours(1), Duration::from_secs(15));
        assert_eq!(batches(0, 95, hour, tick), 1);
        assert_eq!(batches(95 * 60, 95, hour, tick), 1);
        assert_eq!(batches(95 * 60 + 1, 95, hour, tick), 2);
        assert_eq!(batches(1_000_000, 95, hour, tick), 176);
        let short = Duration::from_millis(100);
        assert_eq!(batches(1000, 100, short, short), 10, "all at once where there is no time");
    }

    /// What a look at somebody brought.
    #[derive(Clone, Copy, Debug)]
    enum Look {
        Found,
        NotFound(Evidence),
        Failed,
    }

    fn look() -> impl Strategy<Value = Look> {
        let evidence = any::<[bool; 5]>().prop_map(|[complete, base, witnessed, whole, _]| {
            // Half of them prove something.
            let of = |part: bool| part || whole;
            Evidence { complete: of(complete), base: of(base), witnessed: of(witnessed) }
        });
        prop_oneof![
            1 => Just(Look::Found),
            4 => evidence.prop_map(Look::NotFound),
            1 => Just(Look::Failed),
        ]
    }

    proptest! {
        #[test]
        fn nobody_leaves_but_by_two_proofs_far_enough_apart_and_nothing_between(
            looks in proptest::collection::vec((0..400_i64, look(), 1..3_i64), 0..40),
        ) {
            let mut presence = Presence { scope: Some(1), ..Presence::default() };
            let (mut now, mut first) = (0, None);
            for (pause, look, scope) in looks {
                now += pause;
                let proof = match look {
                    Look::Found => {
                        presence = Presence { scope: Some(scope), ..Presence::default() };
                        first = None;
                        continue;
                    }
                    Look::NotFound(evidence) => evidence.proves_absence(),
                    Look::Failed => false,
                };
                if !proof {
                    continue;
                }
                let told = absence(&presence, scope, at(now), GRACE);
                if presence.scope != Some(scope) {
                    prop_assert_eq!(told, Absence::Elsewhere);
                    if presence.vanished.is_none() {
                        (presence.missing, first) = (None, None);
                    }
                    continue;
                }
                let since = *first.get_or_insert(now);
                let expected = match presence.vanished {
                    Some(_) => Absence::Known,
                    None if now - since >= 300 => Absence::Left,
                    None => Absence::Missing,
                };
                prop_assert_eq!(told, expected);
                presence.missing.get_or_insert(at(now));
                if told == Absence::Left {
                    presence.vanished = Some(at(now));
                }
            }
        }
    }
}
