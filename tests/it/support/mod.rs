//! What the tests stand on: real servers on loopback, a client, and a directory that lies.

#![expect(dead_code, reason = "the company is a program as well, and tests come and go")]

pub mod active_directory;
pub mod bridge;
pub mod certificates;
pub mod client;
#[path = "../../../docker/company.rs"]
pub mod company;
pub mod guard;
pub mod hostile;
pub mod keys;
pub mod postgres;
pub mod slapd;
pub mod way;

use std::time::{Duration, Instant};

/// Waits until `condition` holds, at most `limit`; says whether it came to hold.
pub fn eventually(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
