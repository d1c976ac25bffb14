//! Whatever goes wrong on the way to a directory: the right person or an error, never nobody; in time;
//! and afterwards nothing is left behind.

use std::time::{Duration, Instant};

use super::servers::uid;
use super::way::{Mode, Way};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Answer;
use crate::support::eventually;
use crate::support::slapd::{PASSWORD, READER, SUFFIX, Slapd};

const FRESH: &str = "cache = { fresh = \"0s\", negative = \"0s\", stale = \"0s\" }\n\
                     timeouts = { connect = \"400ms\", operation = \"400ms\" }\n";

const FAULTS: [Mode; 7] = [
    Mode::Refuse,
    Mode::Cut,
    Mode::Freeze,
    Mode::HalfClose,
    Mode::Drip,
    Mode::Garbage,
    Mode::IdleKill,
];

fn ask(bridge: &TestBridge, number: usize) -> Answer {
    let filter = format!("userName eq \"{}\"", uid(number));
    bridge.client().query("/Users", &[("searchRepositories", "true"), ("filter", &filter)])
}

fn is_right(answer: &Answer, number: usize) -> bool {
    answer.status == 200 && answer.json()["Resources"][0]["userName"] == uid(number).as_str()
}

fn open_files(bridge: &TestBridge) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", bridge.pid())).unwrap().count()
}

#[test]
fn nobody_vanishes_and_nothing_stays_behind() {
    let slapd = Slapd::company(30);
    let way = Way::to(format!("127.0.0.1:{}", slapd.port()), Mode::Pass);
    let bridge = TestBridge::start(&Settings::local().repository("corp", &way.url()).with(FRESH));
    let back = || eventually(Duration::from_secs(30), || is_right(&ask(&bridge, 3), 3));
    assert!(back());
    // Whatever is made once is made now.
    std::thread::scope(|scope| {
        for number in 1..=16 {
            let bridge = &bridge;
            scope.spawn(move || ask(bridge, number));
        }
    });
    let (files, memory) = (open_files(&bridge), bridge.anonymous_memory());
    let mut failed = 0;
    for fault in FAULTS {
        way.set(fault);
        for number in 1..=6 {
            if fault == Mode::IdleKill {
                std::thread::sleep(Duration::from_millis(200));
            }
            let asked = Instant::now();
            let answer = ask(&bridge, number);
            assert!(
                asked.elapsed() < Duration::from_millis(1500),
                "{fault:?}: {:?}",
                asked.elapsed()
            );
            let right = is_right(&answer, number);
            failed += usize::from(!right);
            assert!(right || answer.status == 503, "{fault:?}: {}", answer.text());
        }
        way.set(Mode::Pass);
        way.cut();
        assert!(back(), "not back after {fault:?}: {}", bridge.log());
    }
    assert!(failed > 10, "only {failed} operations failed");
    let settled = || open_files(&bridge) <= files + 2;
    assert!(eventually(Duration::from_secs(10), settled), "{} of {files}", open_files(&bridge));
    let more = bridge.anonymous_memory().saturating_sub(memory);
    assert!(more < 24 << 20, "{more} bytes more than before");
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
