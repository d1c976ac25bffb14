//! What directories cost, as ratios measured in one run: `cargo bench --bench directories`.
//!
//! * One answer out of three directories, of which each answers later than the one before, against the
//!   slowest of them alone.
//! * Processor time for a feed of a thousand changes a second, every one of which is seen afterwards.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that cannot go on says where it stands and ends"
)]

#[path = "../../tests/it/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::bridge::{Settings, TestBridge};
use support::client::Client;
use support::slapd::{ADMIN, Options, PASSWORD, SUFFIX, Slapd};
use support::way::{Mode, Way};
use support::{company, eventually};

const FRESH: &str = "cache = { fresh = \"0s\", negative = \"0s\", stale = \"0s\" }";
/// Longer than the bench.
const KEPT: &str =
    "cache = { fresh = \"1h\", negative = \"1h\", stale = \"1h\" }\nchanges = \"syncrepl\"";
const SYNCPROV: &str = "moduleload syncprov\noverlay syncprov\nsyncprov-sessionlog 100000\n";
/// How much later than at once each directory answers.
const DELAYS: [u64; 3] = [50, 100, 200];
const ROUNDS: usize = 41;
/// Who is in the cache while the feed goes on.
const CACHED: usize = 1_000;
/// So many changes ten times a second, for so many seconds.
const CHANGES: usize = 100;
const SECONDS: usize = 20;

fn main() {
    // cargo test runs benches once, without --bench, to see that they start.
    if std::env::args().any(|one| one == "--bench") {
        the_slowest();
        a_feed();
    }
}

fn find(client: &mut Client, number: usize) -> Value {
    let filter = format!("userName eq \"{}\"", company::person(number).uid);
    client.query("/Users", &[("searchRepositories", "true"), ("filter", &filter)]).expect(200)
}

fn the_slowest() {
    let slapds = DELAYS.map(|_| Slapd::company(1_000));
    let ways: Vec<Way> = slapds
        .iter()
        .zip(DELAYS)
        .map(|(slapd, delay)| {
            let delay = Mode::Late(Duration::from_millis(delay));
            Way::to(format!("127.0.0.1:{}", slapd.port()), delay)
        })
        .collect();
    let over = |ways: &[Way]| {
        let add = |settings: Settings, (place, way): (usize, &Way)| {
            settings.repository(&format!("r{place}"), &way.url()).with(FRESH)
        };
        TestBridge::start(&ways.iter().enumerate().fold(Settings::local(), add))
    };
    let (all, alone) = (over(&ways), over(&ways[2..]));
    let time = |bridge: &TestBridge, count: usize, number: usize| {
        let mut client = bridge.client();
        find(&mut client, number + 500);
        let begun = Instant::now();
        let found = find(&mut client, number);
        let took = begun.elapsed();
        assert_eq!(found["totalResults"], count, "{found}");
        took
    };
    // The first answers wait for connections and schemas.
    time(&all, 3, 1);
    time(&alone, 1, 1);
    let (mut together, mut single) = (Vec::new(), Vec::new());
    for number in 2..ROUNDS + 2 {
        together.push(time(&all, 3, number));
        single.push(time(&alone, 1, number));
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (together, single) = (median(together), median(single));
    println!("three directories {together:?}, the slowest alone {single:?}");
    line(
        "three directories / the slowest alone",
        together.as_secs_f64() / single.as_secs_f64(),
        1.15,
    );
}

fn a_feed() {
    let configuration = SYNCPROV.to_owned();
    let options = Options { people: CACHED, configuration, ..Options::default() };
    let slapd = Slapd::start(options);
    let bridge = TestBridge::start(&Settings::over(&slapd).with(KEPT));
    let following = || {
        let health = bridge.stranger().get("/health/ready").expect(200);
        health["repositories"][0]["changes"] == "following"
    };
    assert!(eventually(Duration::from_secs(20), following), "{}", bridge.log());
    let mut client = bridge.client();
    for number in 1..=CACHED {
        find(&mut client, number);
    }
    let searches = slapd.searches();
    for number in 1..=CACHED {
        find(&mut client, number);
    }
    assert_eq!(slapd.searches(), searches, "everybody is in the cache");
    let (begun, before) = (Instant::now(), processor(&bridge));
    let titles = change(&slapd);
    let took = begun.elapsed().as_secs_f64();
    std::thread::sleep(Duration::from_secs(2));
    let spent = processor(&bridge) - before;
    for (index, title) in titles.iter().enumerate() {
        let found = find(&mut client, index + 1);
        assert_eq!(found["Resources"][0]["title"], title.as_str(), "{}", index + 1);
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of changes")]
    let rate = (CHANGES * SECONDS * 10) as f64 / took;
    println!("{rate:.0} changes a second; everybody is as the last one left them");
    line("processor seconds per second of feed", spent / took, 0.2);
}

/// Changes everybody in turn; the title that each has in the end.
fn change(slapd: &Slapd) -> Vec<String> {
    let mut child = Command::new("ldapmodify")
        .env("LDAPNOINIT", "1")
        .args(["-x", "-H", &slapd.url(), "-D", ADMIN, "-w", PASSWORD])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("ldapmodify starts");
    let mut input = child.stdin.take().unwrap();
    let mut titles = vec![String::new(); CACHED];
    let begun = Instant::now();
    for tick in 0..SECONDS * 10 {
        let mut records = String::new();
        for change in tick * CHANGES..(tick + 1) * CHANGES {
            let index = change % CACHED;
            titles[index] = format!("Change {change}");
            let dn = base64::Engine::encode(
                &base64::engine::general_purpose::STANDARD,
                company::person(index + 1).dn(SUFFIX),
            );
            let title = &titles[index];
            write!(records, "dn:: {dn}\nchangetype: modify\nreplace: title\ntitle: {title}\n\n")
                .unwrap();
        }
        input.write_all(records.as_bytes()).unwrap();
        let next = begun + Duration::from_millis(100) * u32::try_from(tick + 1).unwrap();
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    drop(input);
    assert!(child.wait().unwrap().success(), "ldapmodify");
    titles
}

/// Processor time that the bridge has used, in seconds (proc(5), `stat`, in ticks of 10 ms).
fn processor(bridge: &TestBridge) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", bridge.pid())).unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let ticks = rest.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u32>().unwrap());
    f64::from(ticks.sum::<u32>()) / 100.0
}

fn line(what: &str, ratio: f64, bar: f64) {
    println!("{what:<42} {ratio:>6.3}   (bar {bar})");
}
