//! Whatever goes wrong on the way to a directory: the right person or an error, never nobody; and
//! afterwards nothing is left behind.

use std::time::{Duration, Instant};

use serde_json::json;

use super::servers::uid;
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Answer;
use crate::support::company;
use crate::support::eventually;
use crate::support::slapd::{Options, PASSWORD, READER, SUFFIX, Slapd};
use crate::support::way::{Mode, Way};

const REPORT: &str = "urn:scimbridge:api:messages:2.0:Repositories";
const FRESH: &str = "cache = { fresh = \"0s\", negative = \"0s\", stale = \"0s\" }\n\
                     timeouts = { connect = \"400ms\", operation = \"400ms\" }\n";
/// Longer than any deadline: whoever waits so long waits for ever.
const HANG: Duration = Duration::from_secs(15);

/// What goes wrong, and what the report says then of the repository.
const FAULTS: [(Mode, &[&str]); 7] = [
    (Mode::Refuse, &["unavailable"]),
    (Mode::Cut, &["unavailable"]),
    (Mode::Freeze, &["timeout", "unavailable"]),
    (Mode::HalfClose, &["timeout", "unavailable"]),
    (Mode::Drip, &["timeout", "unavailable"]),
    (Mode::Garbage, &["unavailable"]),
    // A connection that is found dead is made anew.
    (Mode::IdleKill, &["ok", "timeout", "unavailable"]),
];

fn ask(bridge: &TestBridge, number: usize) -> Answer {
    let filter = format!("userName eq \"{}\"", uid(number));
    bridge.client().query("/Users", &[("searchRepositories", "true"), ("filter", &filter)])
}

fn is_right(answer: &Answer, number: usize) -> bool {
    answer.status == 200 && answer.json()["Resources"][0]["userName"] == uid(number).as_str()
}

/// Open files, tasks under way, bytes of memory.
fn held(bridge: &TestBridge) -> (usize, usize, u64) {
    let files = std::fs::read_dir(format!("/proc/{}/fd", bridge.pid())).unwrap().count();
    let metrics = bridge.stranger().get("/metrics").text();
    let tasks = metrics.lines().find_map(|line| line.strip_prefix("scimbridge_tasks "));
    (files, tasks.unwrap().parse().unwrap(), bridge.anonymous_memory())
}

/// A local user is shown with the report, a bound one as last seen, and who is in the directory alone
/// is not known; nobody is gone.
fn nobody_is_gone(bridge: &TestBridge, (fault, states): (Mode, &[&str])) {
    let mut client = bridge.client();
    let begun = Instant::now();
    let local = [("searchRepositories", "true"), ("filter", "userName eq \"local.one\"")];
    let list = client.query("/Users", &local).expect(200);
    assert_eq!(list["totalResults"], 1, "{fault:?}: {list}");
    let state = list[REPORT][0]["state"].as_str().unwrap();
    assert!(states.contains(&state), "{fault:?}: {state}");
    let path = |number| format!("/Users/corp.{}", company::person(number).entry_uuid);
    let bound = client.get(&path(2)).expect(200);
    assert_eq!((&bound["active"], &bound["nickName"]), (&json!(true), &json!("n")), "{fault:?}");
    let unbound = client.get(&path(4));
    assert!(matches!(unbound.status, 200 | 503), "{fault:?}: {}", unbound.text());
    assert!(begun.elapsed() < HANG, "{fault:?}: {:?}", begun.elapsed());
}

/// So many look-ups, eight at a time; says how many failed.
fn many(bridge: &TestBridge, fault: Mode, count: usize) -> usize {
    let one = |number: usize| {
        if fault == Mode::IdleKill && number.is_multiple_of(10) {
            std::thread::sleep(Duration::from_millis(200));
        }
        let asked = Instant::now();
        let answer = ask(bridge, number % 30 + 1);
        assert!(asked.elapsed() < HANG, "{fault:?}: {:?}", asked.elapsed());
        let right = is_right(&answer, number % 30 + 1);
        assert!(right || answer.status == 503, "{fault:?}: {}", answer.text());
        usize::from(!right)
    };
    std::thread::scope(|scope| {
        let eighth = |first: usize| (first..count).step_by(8).map(one).sum::<usize>();
        let threads: Vec<_> = (0..8).map(|first| scope.spawn(move || eighth(first))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

#[test]
fn nobody_vanishes_and_nothing_stays_behind() {
    for tls in [false, true] {
        // Ten thousand operations where there is time.
        let rounds = if std::env::var_os("FULL").is_some() { 10_000 / 14 / 40 + 1 } else { 1 };
        let slapd = Slapd::start(Options { people: 30, tls, ..Options::default() });
        let port = slapd.port() + u16::from(tls);
        let way = Way::to(format!("127.0.0.1:{port}"), Mode::Pass);
        let mut settings = Settings::local().repository("corp", &way.url()).with(FRESH);
        if tls {
            let ca = slapd.ca();
            settings = Settings::local().repository("corp", &way.ldaps_url());
            settings = settings.with(&format!("{FRESH}ca = {:?}", ca.to_str().unwrap()));
        }
        let bridge = TestBridge::start(&settings);
        let back = || eventually(Duration::from_mins(1), || is_right(&ask(&bridge, 3), 3));
        assert!(back());
        let mut client = bridge.client();
        client.post("/Users", &json!({ "userName": "local.one" })).expect(201);
        let nick = json!({ "Operations": [{ "op": "add", "path": "nickName", "value": "n" }] });
        let bound = format!("/Users/corp.{}", company::person(2).entry_uuid);
        client.patch(&bound, &nick).expect(200);
        // Whatever is made once is made now.
        many(&bridge, Mode::Pass, 64);
        let (files, tasks, memory) = held(&bridge);
        let mut failed = 0;
        for _ in 0..rounds {
            for fault in FAULTS {
                way.set(fault.0);
                nobody_is_gone(&bridge, fault);
                failed += many(&bridge, fault.0, 40);
                nobody_is_gone(&bridge, fault);
                way.set(Mode::Pass);
                way.cut();
                assert!(back(), "not back after {fault:?}: {}", bridge.log());
            }
        }
        assert!(failed > rounds * 100, "only {failed} operations failed");
        let settled = || {
            let (more_files, more_tasks, _) = held(&bridge);
            more_files <= files + 2 && more_tasks <= tasks + 3
        };
        let is_settled = eventually(Duration::from_secs(20), settled);
        assert!(is_settled, "{:?} after {:?}", held(&bridge), (files, tasks, memory));
        let more = bridge.anonymous_memory().saturating_sub(memory);
        assert!(more < 24 << 20, "{more} bytes more than before");
        eprintln!(
            "tls {tls}: {failed} operations failed; {:?} before, {:?} after",
            (files, tasks, memory),
            held(&bridge)
        );
    }
}

#[test]
fn while_nothing_is_well_the_answer_is_quick_and_the_preferred_server_is_taken_back() {
    let (first, second) = (Slapd::company(10), Slapd::company(10));
    let ways =
        [&first, &second].map(|one| Way::to(format!("127.0.0.1:{}", one.port()), Mode::Pass));
    let lines = format!(
        "[[tenant.repository]]\nid = \"corp\"\nurls = [{:?}, {:?}]\nbind_dn = {READER:?}\n\
         bind_password = {PASSWORD:?}\nbase = \"ou=people,{SUFFIX}\"\nmapping = \"openldap\"\n{FRESH}",
        ways[0].url(),
        ways[1].url()
    );
    let bridge = TestBridge::start(&Settings::local().rest(&lines));
    let on = |slapd: &Slapd| {
        let before = slapd.searches();
        is_right(&ask(&bridge, 3), 3) && slapd.searches() > before
    };
    assert!(eventually(Duration::from_secs(10), || on(&first)));
    ways[0].set(Mode::Refuse);
    assert!(on(&second), "the next one answers at once");
    ways[1].set(Mode::Refuse);
    assert_eq!(ask(&bridge, 3).status, 503);
    let quickest = (0..5)
        .map(|_| {
            let asked = Instant::now();
            assert_eq!(ask(&bridge, 3).status, 503);
            asked.elapsed()
        })
        .min()
        .unwrap();
    assert!(quickest < Duration::from_millis(50), "{quickest:?}");
    for way in &ways {
        way.set(Mode::Pass);
    }
    assert!(eventually(Duration::from_secs(30), || on(&first)), "{}", bridge.log());
}
