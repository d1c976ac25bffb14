//! Failed sign-ins: who guesses has to wait, by the address from which it guesses and by the account
//! at which it does.
//!
//! Each table is bounded: whoever has no room takes that of one who has failed less, so that nobody
//! fills a table up to be let go.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::rate::{Pace, nanoseconds};
use crate::config::Allowance;

/// Parts of a table, each under a lock of its own.
const PARTS: usize = 16;
/// Keys in one part.
const ROOM: usize = 4096;
/// Keys of which one goes when there is no room.
const LOOKED_AT: usize = 32;

/// Failed attempts at one account: so many, and then none before that time has passed since the last of
/// them. Nothing grows back meanwhile, since a directory forgets nothing meanwhile either. One that
/// locks accounts after more failures than that, and forgets them in half an hour, locks nobody for what
/// is guessed here; with several bridges before it, after more than that times their number. The minute
/// beyond is for an attempt that is answered late.
const AT_ONE_ACCOUNT: Allowance = Allowance { count: 3, per: Duration::from_mins(31) };

type Part<K, S> = HashMap<K, S, foldhash::quality::RandomState>;

/// How failures are counted.
trait Tally {
    /// Of one key.
    type State: Copy;

    /// Zero where another attempt may be made.
    fn wait(&self, state: Self::State, now: u64) -> Duration;
    fn failed(&self, state: Option<Self::State>, now: u64) -> Self::State;
    /// `None` where nothing is left.
    fn given_back(&self, state: Self::State) -> Option<Self::State>;
    /// Until when the failures count.
    fn until(&self, state: Self::State) -> u64;
    /// Whoever has the least has failed least.
    fn weight(&self, state: Self::State, now: u64) -> (u32, u64);
}

/// The state is when a key's bucket of failures is full again, in nanoseconds since the start.
impl Tally for Pace {
    type State = u64;

    fn wait(&self, full: u64, now: u64) -> Duration {
        Pace::wait(*self, full, now)
    }

    fn failed(&self, full: Option<u64>, now: u64) -> u64 {
        self.taken(full.unwrap_or(now), now)
    }

    fn given_back(&self, full: u64) -> Option<u64> {
        Some(Pace::given_back(*self, full))
    }

    fn until(&self, full: u64) -> u64 {
        full
    }

    fn weight(&self, full: u64, _: u64) -> (u32, u64) {
        (0, full)
    }
}

/// So many failures, which are forgotten together when nothing failed for so long.
#[derive(Clone, Copy, Debug)]
struct Window {
    most: u32,
    /// In nanoseconds.
    quiet: u64,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    /// When the last one was, in nanoseconds since the start.
    last: u64,
}

impl Tally for Window {
    type State = Failures;

    fn wait(&self, state: Failures, now: u64) -> Duration {
        let left = if state.count < self.most { 0 } else { self.until(state).saturating_sub(now) };
        Duration::from_nanos(left)
    }

    fn failed(&self, state: Option<Failures>, now: u64) -> Failures {
        let before = state.filter(|state| self.until(*state) > now).map_or(0, |state| state.count);
        Failures { count: before.saturating_add(1), last: now }
    }

    fn given_back(&self, state: Failures) -> Option<Failures> {
        let count = state.count.saturating_sub(1);
        (count > 0).then_some(Failures { count, ..state })
    }

    fn until(&self, state: Failures) -> u64 {
        state.last.saturating_add(self.quiet)
    }

    fn weight(&self, state: Failures, now: u64) -> (u32, u64) {
        if self.until(state) > now { (state.count, state.last) } else { (0, state.last) }
    }
}

/// The addresses whose sign-ins failed lately.
#[derive(Debug)]
pub struct Throttle(Table<IpAddr, Pace>);

/// The names or the accounts, of all tenants, at which sign-ins failed lately.
#[derive(Debug)]
pub struct Accounts(Table<String, Window>);

#[derive(Debug)]
struct Table<K, T: Tally> {
    tally: T,
    start: Instant,
    parts: [Mutex<Part<K, T::State>>; PARTS],
    hasher: foldhash::quality::RandomState,
    /// Until when anybody's failures count: before the first of them nobody is looked up.
    until: AtomicU64,
}

impl Throttle {
    pub fn new(failures: Allowance, start: Instant) -> Self {
        Self(Table::new(Pace::new(failures), start))
    }

    /// Whether an address may try to sign in, or how long it may not.
    pub fn check(&self, from: IpAddr, now: Instant) -> Result<(), Duration> {
        self.0.check(&network(from), now)
    }

    /// Counts a failed attempt.
    pub fn failed(&self, from: IpAddr, now: Instant) {
        self.0.count(network(from), now);
    }
}

impl Accounts {
    pub fn new(start: Instant) -> Self {
        let quiet = nanoseconds(AT_ONE_ACCOUNT.per);
        Self(Table::new(Window { most: AT_ONE_ACCOUNT.count, quiet }, start))
    }

    /// Begins an attempt, which counts as a failed one until it is known to be none: many at once are
    /// no more than one after the other.
    pub fn begin(&self, account: &str, now: Instant) -> Result<(), Duration> {
        self.0.take(account, now)
    }

    /// The attempt told nothing of the account.
    pub fn give_back(&self, account: &str) {
        self.0.give_back(account);
    }

    /// Its owner is here.
    pub fn succeeded(&self, account: &str) {
        self.0.part(account).remove(account);
    }
}

impl<K: Hash + Eq + Clone, T: Tally> Table<K, T> {
    fn new(tally: T, start: Instant) -> Self {
        Self {
            tally,
            start,
            parts: std::array::from_fn(|_| Mutex::default()),
            hasher: foldhash::quality::RandomState::default(),
            until: AtomicU64::new(0),
        }
    }

    fn check<Q>(&self, key: &Q, now: Instant) -> Result<(), Duration>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let now = self.since_start(now);
        if self.until.load(Ordering::Relaxed) <= now {
            return Ok(());
        }
        let wait = self.part(key).get(key).map(|state| self.tally.wait(*state, now));
        match wait {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => Ok(()),
        }
    }

    fn count(&self, key: K, now: Instant) {
        let now = self.since_start(now);
        let mut part = self.part(&key);
        self.counted(&mut part, key, now);
    }

    /// Checks and counts at once.
    fn take<Q>(&self, key: &Q, now: Instant) -> Result<(), Duration>
    where
        K: Borrow<Q> + for<'a> From<&'a Q>,
        Q: Hash + Eq + ?Sized,
    {
        let now = self.since_start(now);
        let mut part = self.part(key);
        match part.get(key).map(|state| self.tally.wait(*state, now)) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                self.counted(&mut part, key.into(), now);
                Ok(())
            }
        }
    }

    fn counted(&self, part: &mut Part<K, T::State>, key: K, now: u64) {
        if part.len() >= ROOM && !part.contains_key(&key) {
            let some = part.iter().take(LOOKED_AT);
            let first = some.min_by_key(|(_, state)| self.tally.weight(**state, now));
            let first = first.map(|(key, _)| key.clone());
            first.map(|key| part.remove(&key));
        }
        let state = self.tally.failed(part.get(&key).copied(), now);
        part.insert(key, state);
        self.until.fetch_max(self.tally.until(state), Ordering::Relaxed);
    }

    fn give_back<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut part = self.part(key);
        let Some(state) = part.get_mut(key) else { return };
        match self.tally.given_back(*state) {
            Some(left) => *state = left,
            None => drop(part.remove(key)),
        }
    }

    fn part<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> MutexGuard<'_, Part<K, T::State>> {
        let hash = self.hasher.hash_one(key);
        let place = usize::try_from(hash % PARTS as u64).unwrap_or_default();
        self.parts[place].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn since_start(&self, now: Instant) -> u64 {
        nanoseconds(now.saturating_duration_since(self.start))
    }
}

/// One host has a whole IPv6 network of 64 bits: all of it counts as one address.
fn network(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn throttle(start: Instant) -> Throttle {
        Throttle::new(Allowance { count: 3, per: Duration::from_mins(1) }, start)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_fails_too_often_waits_and_nobody_else() {
        let start = Instant::now();
        let throttle = throttle(start);
        let guesser = address("192.0.2.7");
        for _ in 0..3 {
            assert_eq!(throttle.check(guesser, start), Ok(()));
            throttle.failed(guesser, start);
        }
        assert_eq!(throttle.check(guesser, start), Err(Duration::from_secs(20)));
        assert_eq!(throttle.check(address("192.0.2.8"), start), Ok(()));
        assert_eq!(
            throttle.check(address("::ffff:192.0.2.7"), start),
            Err(Duration::from_secs(20))
        );
        let later = start + Duration::from_secs(20);
        assert_eq!(throttle.check(guesser, later), Ok(()));
        throttle.failed(guesser, later);
        assert!(throttle.check(guesser, later).is_err());
        assert_eq!(throttle.check(guesser, later + Duration::from_mins(2)), Ok(()));
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let start = Instant::now();
        let throttle = throttle(start);
        for last in 1..=3 {
            throttle.failed(address(&format!("2001:db8:1:2::{last}")), start);
        }
        assert!(throttle.check(address("2001:db8:1:2:ffff::9"), start).is_err());
        assert!(throttle.check(address("2001:db8:1:3::1"), start).is_ok());
    }

    #[test]
    fn the_table_is_bounded_and_keeps_those_who_fail_most() {
        let start = Instant::now();
        let throttle = throttle(start);
        let guesser = address("192.0.2.7");
        for _ in 0..3 {
            throttle.failed(guesser, start);
        }
        for number in 0..200_000_u32 {
            throttle.failed(Ipv4Addr::from(0x0a00_0000 + number).into(), start);
        }
        let known: usize = throttle.0.parts.iter().map(|part| part.lock().unwrap().len()).sum();
        assert!(known <= PARTS * ROOM, "{known}");
        assert!(throttle.check(guesser, start).is_err(), "still known");
    }

    #[test]
    fn an_account_is_not_tried_as_often_as_a_directory_would_lock_it_for() {
        let start = Instant::now();
        let accounts = Accounts::new(start);
        let at = |minutes| start + Duration::from_mins(minutes);
        for minute in [0, 1, 2] {
            assert_eq!(accounts.begin("acme/corp.1", at(minute)), Ok(()));
        }
        assert_eq!(accounts.begin("acme/corp.1", at(2)), Err(Duration::from_mins(31)));
        assert_eq!(accounts.begin("acme/corp.2", at(2)), Ok(()), "another one");
        accounts.begin("acme/corp.1", at(32)).unwrap_err();
        assert_eq!(accounts.begin("acme/corp.1", at(33)), Ok(()));
        accounts.succeeded("acme/corp.1");
        for _ in 0..3 {
            assert_eq!(accounts.begin("acme/corp.1", at(33)), Ok(()), "whose owner was here");
        }
    }

    /// Whoever tries whenever it may, for a day: a directory that forgets failures half an hour after
    /// the last one never counts a fourth.
    #[test]
    fn nothing_grows_back_while_attempts_go_on_failing() {
        let start = Instant::now();
        for pause in [1, 7, 10, 14, 15, 16, 29, 30, 31] {
            let accounts = Accounts::new(start);
            let (mut counted, mut last) = (0, None);
            for minute in (0..24 * 60).step_by(pause) {
                let now = start + Duration::from_mins(minute);
                if accounts.begin("a", now).is_ok() {
                    let quiet = last.is_none_or(|last| minute - last >= 30);
                    counted = if quiet { 1 } else { counted + 1 };
                    last = Some(minute);
                }
                assert!(counted <= 3, "every {pause} minutes: {counted} by minute {minute}");
            }
        }
    }

    #[test]
    fn what_told_nothing_does_not_count_and_what_never_ended_does() {
        let start = Instant::now();
        let accounts = Accounts::new(start);
        for _ in 0..100 {
            assert_eq!(accounts.begin("a", start), Ok(()));
            accounts.give_back("a");
        }
        let begun = std::thread::scope(|scope| {
            let one = || (0..100).filter(|_| accounts.begin("a", start).is_ok()).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
        });
        assert_eq!(begun, 3);
    }
}
