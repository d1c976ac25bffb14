//! How fast the bridge is, as ratios measured in one run: `cargo bench --bench bridge`.
//!
//! The server under test and slapd are pinned to processor 0, the load to processor 1, which never
//! sleeps: waking up an idle virtual processor takes the hypervisor, and would cost each answer about
//! as much as reading the entry. Every answer is checked to hold the right person. Authentication, the
//! request log at info and all layers are on. Two yardsticks are measured in turn with the bridge,
//! round by round, and medians compared:
//!
//! * A: a bare axum server that serialises a ListResponse of about 1.4 KB with `serde_json`;
//! * B: the ldap3 crate alone, 16 searches in flight on two connections, against the same slapd with
//!   the same filter.
//!
//! `cargo bench --bench bridge -- imports` measures others while an import is under way, and
//! `-- provisioning` what an agent sends, against 1,000 requests a second, `-- cold` the cold look-up alone.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that cannot go on says where it stands and ends"
)]

mod imports;
mod load;
mod provisioning;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/it/support/mod.rs"]
mod support;
mod yardstick;

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use load::{Shot, fire};
use support::bridge::{Settings, TOKEN, TestBridge};
use support::company;
use support::slapd::{Options, Slapd};

const PEOPLE: usize = 10_000;
/// People that are looked up while hot.
const HOT: usize = 1_000;
const CONNECTIONS: usize = 16;
const ROUNDS: usize = 9;
const UNCACHED: &str = "cache = { fresh = \"0s\", negative = \"0s\", stale = \"0s\" }";
const SERVER_CPU: &str = "0";
const LOAD_CPU: &str = "1";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("yardstick-a") => return yardstick::bare_server(),
        Some("yardstick-b") => return yardstick::bare_ldap3(&arguments[2], PEOPLE),
        // cargo test runs benches once, without --bench, to see that they start.
        _ if !arguments.iter().any(|one| one == "--bench") => return,
        Some("imports") => return imports::run(),
        Some("cold") => return cold_alone(),
        Some("provisioning") => {
            pin(std::process::id(), LOAD_CPU);
            return provisioning::run();
        }
        _ => {}
    }
    // What is started inherits the processor, and so knows that it has one.
    pin(std::process::id(), SERVER_CPU);
    let slapd = Slapd::start(Options { people: PEOPLE, ..Options::default() });
    let bridge = TestBridge::start(&Settings::over(&slapd));
    let cold = TestBridge::start(&Settings::over(&slapd).with(UNCACHED));
    let bare = Bare::start();
    pin(std::process::id(), LOAD_CPU);

    let bound = bind_some(&bridge);
    let hot: Vec<Shot> = (1..=HOT).map(look_up).collect();
    let any: Vec<Shot> = (1..=PEOPLE).map(look_up).collect();
    let reads: Vec<Shot> = bound
        .iter()
        .map(|(id, expect)| Shot::get(&format!("/scim/acme/v2/Users/{id}"), TOKEN, expect))
        .collect();
    let bare_shots = [Shot::get("/list", TOKEN, yardstick::EXPECT)];
    let at = |bridge: &TestBridge| -> SocketAddr { bridge.address().parse().expect("an address") };

    fire(at(&bridge), CONNECTIONS, Duration::from_secs(2), &hot);
    fire(at(&bridge), CONNECTIONS, Duration::from_secs(1), &reads);
    // The store's rows are known after this; the directory is asked each time all the same.
    fire(at(&cold), CONNECTIONS, Duration::from_secs(5), &any);
    let second = Duration::from_secs(2);
    let mut rows: Vec<[f64; 5]> = Vec::new();
    println!(
        "round  yardstick A  hot look-up  GET bound  yardstick B  cold look-up   (per second)"
    );
    for round in 1..=ROUNDS {
        let a = fire(bare.address, CONNECTIONS, second, &bare_shots).per_second;
        let look = fire(at(&bridge), CONNECTIONS, second, &hot);
        let get = fire(at(&bridge), CONNECTIONS, second, &reads).per_second;
        let b = yardstick::run_bare_ldap3(&slapd.url(), SERVER_CPU);
        let uncached = fire(at(&cold), CONNECTIONS, second, &any).per_second;
        println!(
            "{round:>5}  {a:>11.0}  {:>11.0}  {get:>9.0}  {b:>11.0}  {uncached:>12.0}   hot p50 {:?} p99 {:?}",
            look.per_second, look.p50, look.p99
        );
        rows.push([a, look.per_second, get, b, uncached]);
    }
    println!();
    line("hot federated look-up / A", median(&rows, |row| row[1] / row[0]), 0.6);
    line("GET of a bound user / A", median(&rows, |row| row[2] / row[0]), 0.5);
    line("cold federated look-up / B", median(&rows, |row| row[4] / row[3]), 0.5);
    one_search(&slapd, &cold);
    memory(&slapd);
    drop(bare);
}

/// The cold look-up and its yardstick, nothing else.
fn cold_alone() {
    pin(std::process::id(), SERVER_CPU);
    let slapd = Slapd::start(Options { people: PEOPLE, ..Options::default() });
    let cold = TestBridge::start(&Settings::over(&slapd).with(UNCACHED));
    pin(std::process::id(), LOAD_CPU);
    let address: SocketAddr = cold.address().parse().expect("an address");
    let any: Vec<Shot> = (1..=PEOPLE).map(look_up).collect();
    fire(address, CONNECTIONS, Duration::from_secs(5), &any);
    println!("round  yardstick B  cold look-up   (per second)");
    let mut rows = Vec::new();
    for round in 1..=ROUNDS {
        let bare = yardstick::run_bare_ldap3(&slapd.url(), SERVER_CPU);
        let uncached = fire(address, CONNECTIONS, Duration::from_secs(3), &any).per_second;
        println!("{round:>5}  {bare:>11.0}  {uncached:>12.0}");
        rows.push(uncached / bare);
    }
    line("cold federated look-up / B", median(&rows, |row| *row), 0.5);
}

/// Of the rounds.
fn median<T>(rounds: &[T], pick: impl Fn(&T) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(pick).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn line(what: &str, ratio: f64, bar: f64) {
    println!("{what:<42} {ratio:>6.2}   (bar {bar})");
}

fn look_up(number: usize) -> Shot {
    let uid = company::person(number).uid;
    Shot::get(
        &format!("/scim/acme/v2/Users?filter=userName%20eq%20%22{uid}%22&searchRepositories=true"),
        TOKEN,
        &format!("\"userName\":\"{uid}\""),
    )
}

/// Binds some people by a first write; their ids with what their answers must hold.
fn bind_some(bridge: &TestBridge) -> Vec<(String, String)> {
    let mut client = bridge.client();
    (1..=200)
        .map(|number| {
            let person = company::person(number * 7);
            let id = format!("corp.{}", person.entry_uuid);
            let patch = serde_json::json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                "Operations": [{ "op": "add", "path": "nickName", "value": "benched" }]
            });
            client.patch(&format!("/Users/{id}"), &patch).expect(200);
            (id, format!("\"userName\":\"{}\"", person.uid))
        })
        .collect()
}

/// 64 equal cold look-ups at the same moment are one search at slapd.
fn one_search(slapd: &Slapd, cold: &TestBridge) {
    let uid = company::person(4321).uid;
    let path = format!("/Users?filter=userName%20eq%20%22{uid}%22&searchRepositories=true");
    cold.client().get(&path).expect(200);
    // Frozen, slapd answers none before all have been asked.
    let before = slapd.searches();
    slapd.stop();
    let askers: Vec<_> = (0..64)
        .map(|_| {
            let (mut client, path) = (cold.client(), path.clone());
            std::thread::spawn(move || client.get(&path).expect(200))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    slapd.cont();
    for asker in askers {
        let answer = asker.join().expect("an answer");
        assert_eq!(answer["Resources"][0]["userName"], uid.as_str());
    }
    println!(
        "{:<42} {:>6}   (bar 1)",
        "searches for 64 equal cold look-ups",
        slapd.searches() - before
    );
}

/// Anonymous resident memory with 10,000 entries cached, in a fresh process. Everybody is looked up
/// twice; that the second time asks slapd nothing shows that they are cached.
fn memory(slapd: &Slapd) {
    pin(std::process::id(), SERVER_CPU);
    let bridge = TestBridge::start(&Settings::over(slapd).with("cache = { fresh = \"1h\" }"));
    pin(std::process::id(), LOAD_CPU);
    let mut client = bridge.client();
    let mut asked = slapd.searches();
    for round in 0..2 {
        for number in 1..=PEOPLE {
            let uid = company::person(number).uid;
            let path = format!("/Users?filter=userName%20eq%20%22{uid}%22&searchRepositories=true");
            let list = client.get(&path).expect(200);
            assert_eq!(list["Resources"][0]["userName"], uid.as_str());
        }
        let searches = slapd.searches() - asked;
        asked += searches;
        assert_eq!(searches == 0, round == 1, "round {round}: {searches} searches");
    }
    let mebibytes = bridge.anonymous_memory() / (1 << 20);
    println!("{:<42} {mebibytes:>6}   (bar 100, MiB)", "anonymous memory, 10,000 entries cached");
}

fn pin(pid: u32, cpu: &str) {
    let pinned = Command::new("taskset")
        .args(["-a", "-p", "-c", cpu, &pid.to_string()])
        .stdout(Stdio::null())
        .status();
    assert!(pinned.is_ok_and(|status| status.success()), "taskset (util-linux) pins processes");
}

/// The bare server as a process of its own.
struct Bare {
    child: Child,
    address: SocketAddr,
}

impl Bare {
    fn start() -> Self {
        use std::io::{BufRead, BufReader};
        let mut child = Command::new("taskset")
            .args(["-c", SERVER_CPU])
            .arg(std::env::current_exe().expect("this program"))
            .arg("yardstick-a")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the yardstick starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("its address");
        Self { child, address: line.trim().parse().expect("an address") }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
