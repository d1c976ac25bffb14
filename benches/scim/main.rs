//! What the protocol and the store cost in process, as ratios measured in one run:
//! `cargo bench --bench scim`, or one kind of them by its name behind `--`. Yardstick and subject are measured in turn, round by round, and the
//! median of the rounds' ratios counts, so that a busy machine slows both.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench that cannot go on says where it stands and ends"
)]

mod imports;
mod protocol;
mod rows;

use std::time::{Duration, Instant};

// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 15;
/// How long one side of one round takes, about.
const SLICE: Duration = Duration::from_millis(40);

fn main() {
    // cargo test runs benches once, without --bench, to see that they start.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("{:<58} {:>10} {:>10} {:>7}", "", "subject", "yardstick", "ratio");
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let all = !chosen.iter().any(|name| ["protocol", "rows", "imports"].contains(&&**name));
    let runs = |name: &str| all || chosen.iter().any(|chosen| chosen == name);
    if runs("protocol") {
        protocol::run();
    }
    if runs("rows") {
        rows::run();
    }
    if runs("imports") {
        imports::run();
    }
}

/// Measures `subject` against `yardstick` and prints the medians; `bar` is what the ratio must not
/// exceed.
fn compare<A, B>(
    what: &str,
    bar: f64,
    mut subject: impl FnMut() -> A,
    mut yardstick: impl FnMut() -> B,
) {
    let (repeat_subject, repeat_yardstick) = (repeats(&mut subject), repeats(&mut yardstick));
    let mut rounds: Vec<[f64; 3]> = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let theirs = measured(repeat_yardstick, &mut yardstick);
        let ours = measured(repeat_subject, &mut subject);
        rounds.push([ours, theirs, ours / theirs]);
    }
    compared(what, bar, median(&rounds));
}

/// Of what was measured, of the yardstick, and of their ratios, each the median of the rounds.
fn median(rounds: &[[f64; 3]]) -> [f64; 3] {
    [0, 1, 2].map(|at: usize| {
        let mut values: Vec<f64> = rounds.iter().map(|round| round[at]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    })
}

fn compared(what: &str, bar: f64, [subject, yardstick, ratio]: [f64; 3]) {
    let verdict = if ratio <= bar { "" } else { "   MISSED" };
    println!(
        "{what:<58} {:>10} {:>10} {ratio:>7.2}   (bar {bar}){verdict}",
        time(subject),
        time(yardstick)
    );
}

/// How often `work` fits into [`SLICE`].
fn repeats<T>(work: &mut impl FnMut() -> T) -> u32 {
    let mut repeats = 1;
    loop {
        let taken = measured(repeats, work) * f64::from(repeats);
        if taken >= SLICE.as_secs_f64() / 4.0 || repeats > 1 << 24 {
            let fit = f64::from(repeats) * SLICE.as_secs_f64() / taken;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count"
            )]
            return (fit as u32).max(1);
        }
        repeats *= 2;
    }
}

/// Seconds of one call, on average over `repeats`.
fn measured<T>(repeats: u32, work: &mut impl FnMut() -> T) -> f64 {
    let begin = Instant::now();
    for _ in 0..repeats {
        std::hint::black_box(work());
    }
    begin.elapsed().as_secs_f64() / f64::from(repeats)
}

fn time(seconds: f64) -> String {
    match seconds {
        _ if seconds < 1e-6 => format!("{:.0} ns", seconds * 1e9),
        _ if seconds < 1e-3 => format!("{:.1} µs", seconds * 1e6),
        _ => format!("{:.1} ms", seconds * 1e3),
    }
}
