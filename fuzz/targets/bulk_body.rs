//! Any JSON as the body of a bulk request: it is read or refused, and what was read is put into an order
//! in which every operation stands once.

#![no_main]

use libfuzzer_sys::fuzz_target;
use scimbridge::scim::bulk::{Bulk, Task};

const LIMIT: usize = 1_000;

fuzz_target!(|body: &[u8]| {
    let Ok(body) = serde_json::from_slice(body) else { return };
    let Ok(bulk) = Bulk::parse(body, LIMIT) else { return };
    let mut seen = vec![0; bulk.steps.len()];
    for task in bulk.order() {
        if let Task::Run { step, .. } = task {
            seen[step] += 1;
        }
    }
    assert!(seen.iter().all(|times| *times == 1), "{bulk:?}");
});
