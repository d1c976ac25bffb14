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

/// Attempts at one account. A directory that locks accounts does so after five or more at the earliest,
/// and these are made before it would: what is guessed here keeps nobody from signing in elsewhere.
const AT_ONE_ACCOUNT: Allowance = Allowance { count: 4, per: Duration::from_mins(20) };

/// When a key's bucket of failures is full again, in nanoseconds since the start.
type Part<K> = HashMap<K, u64, foldhash::quality::RandomState>;

/// The addresses whose sign-ins failed lately.
#[derive(Debug)]
pub struct Throttle(Table<IpAddr>);

/// The accounts, of all tenants, at which sign-ins failed lately.
#[derive(Debug)]
pub struct Accounts(Table<String>);

#[derive(Debug)]
struct Table<K> {
    pace: Pace,
    start: Instant,
    parts: [Mutex<Part<K>>; PARTS],
    hasher: foldhash::quality::RandomState,
    /// Until when anybody's failures count: before the first of them nobody is looked up.
    until: AtomicU64,
}

impl Throttle {
    pub fn new(failures: Allowance, start: Instant) -> Self {
        Self(Table::new(failures, start))
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
        Self(Table::new(AT_ONE_ACCOUNT, start))
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

impl<K: Hash + Eq + Clone> Table<K> {
    fn new(failures: Allowance, start: Instant) -> Self {
        Self {
            pace: Pace::new(failures),
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
        let wait = self.part(key).get(key).map(|full| self.pace.wait(*full, now));
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
        match part.get(key).map(|full| self.pace.wait(*full, now)) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                self.counted(&mut part, key.into(), now);
                Ok(())
            }
        }
    }

    fn counted(&self, part: &mut Part<K>, key: K, now: u64) {
        if part.len() >= ROOM && !part.contains_key(&key) {
            let some = part.iter().take(LOOKED_AT);
            let first = some.min_by_key(|(_, full)| **full).map(|(key, _)| key.clone());
            first.map(|key| part.remove(&key));
        }
        let full = part.entry(key).or_insert(now);
        *full = self.pace.taken(*full, now);
        self.until.fetch_max(*full, Ordering::Relaxed);
    }

    fn give_back<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if let Some(full) = self.part(key).get_mut(key) {
            *full = self.pace.given_back(*full);
        }
    }

    fn part<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> MutexGuard<'_, Part<K>> {
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
        for _ in 0..4 {
            assert_eq!(accounts.begin("acme/corp.1", start), Ok(()));
        }
        assert_eq!(accounts.begin("acme/corp.1", start), Err(Duration::from_mins(5)));
        assert_eq!(accounts.begin("acme/corp.2", start), Ok(()), "another one");
        let later = start + Duration::from_mins(5);
        assert_eq!(accounts.begin("acme/corp.1", later), Ok(()));
        assert!(accounts.begin("acme/corp.1", later).is_err());
        accounts.succeeded("acme/corp.1");
        assert_eq!(accounts.begin("acme/corp.1", later), Ok(()), "whose owner was here");
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
        assert_eq!(begun, 4);
    }
}
