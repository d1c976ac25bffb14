//! How many random cases a property is tried on, and from which seed.
//!
//! `SEED=…` runs the same cases again; with `FULL=1` there are far more of them.

use proptest::test_runner::{Config, RngSeed};

/// `usual` cases, or `full` with `FULL=1`. The seed goes to standard error, which tests show when
/// they fail.
pub(crate) fn of(usual: u32, full: u32) -> Config {
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    eprintln!("SEED={seed}");
    let is_full = std::env::var_os("FULL").is_some_and(|full| full == "1");
    Config {
        cases: if is_full { full } else { usual },
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..Config::default()
    }
}
