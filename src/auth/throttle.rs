//! Failed sign-ins per address: who guesses has to wait.
//!
//! The table is bounded: an address that has no room takes that of one that has failed less, so that
//! nobody fills the table up to be let go.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::rate::{Pace, nanoseconds};
use crate::config::Allowance;

/// Parts of the table, each under a lock of its own.
const PARTS: usize = 16;
/// Addresses in one part.
const ROOM: usize = 4096;
/// Addresses of which one goes when there is no room.
const LOOKED_AT: usize = 32;

/// When an address's bucket of failures is full again, in nanoseconds since the start.
type Part = HashMap<IpAddr, u64, foldhash::quality::RandomState>;

/// The addresses whose sign-ins failed lately.
#[derive(Debug)]
pub struct Throttle {
    pace: Pace,
    start: Instant,
    parts: [Mutex<Part>; PARTS],
    hasher: foldhash::quality::RandomState,
    /// Until when anybody's failures count: before the first of them nobody is looked up.
    until: AtomicU64,
}

impl Throttle {
    pub fn new(failures: Allowance, start: Instant) -> Self {
        Self {
            pace: Pace::new(failures),
            start,
            parts: <[Mutex<Part>; PARTS]>::default(),
            hasher: foldhash::quality::RandomState::default(),
            until: AtomicU64::new(0),
        }
    }

    /// Whether an address may try to sign in, or how long it may not.
    pub fn check(&self, from: IpAddr, now: Instant) -> Result<(), Duration> {
        let now = self.since_start(now);
        if self.until.load(Ordering::Relaxed) <= now {
            return Ok(());
        }
        let from = network(from);
        let wait = self.part(from).get(&from).map(|full| self.pace.wait(*full, now));
        match wait {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => Ok(()),
        }
    }

    /// Counts a failed attempt.
    pub fn failed(&self, from: IpAddr, now: Instant) {
        let now = self.since_start(now);
        let from = network(from);
        let mut part = self.part(from);
        if part.len() >= ROOM && !part.contains_key(&from) {
            let some = part.iter().take(LOOKED_AT);
            let first = some.min_by_key(|(_, full)| **full).map(|(address, _)| *address);
            first.map(|address| part.remove(&address));
        }
        let full = part.entry(from).or_insert(now);
        *full = self.pace.taken(*full, now);
        self.until.fetch_max(*full, Ordering::Relaxed);
    }

    fn part(&self, from: IpAddr) -> MutexGuard<'_, Part> {
        let hash = self.hasher.hash_one(from);
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
        let known: usize = throttle.parts.iter().map(|part| part.lock().unwrap().len()).sum();
        assert!(known <= PARTS * ROOM, "{known}");
        assert!(throttle.check(guesser, start).is_err(), "still known");
    }
}
