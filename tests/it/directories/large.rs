//! A directory of many: a walk through all of them holds a page at a time.

use std::collections::HashSet;

use crate::support::bridge::{Settings, TestBridge};
use crate::support::slapd::{Options, Slapd};

const REPORT: &str = "urn:scimbridge:api:messages:2.0:Repositories";
/// The most that the program may ever have held, in KiB.
const MOST: u64 = 200 << 10;

/// The most memory that was ever resident, in KiB.
fn high_water(bridge: &TestBridge) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", bridge.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_walk_through_everybody_streams() {
    let people = if std::env::var_os("FULL").is_some() { 100_000 } else { 3_000 };
    let slapd = Slapd::start(Options { people, ..Options::default() });
    // The first page comes when all are known.
    let settings = Settings::over(&slapd)
        .server("request_timeout = \"59s\"")
        .with("timeouts = { connect = \"5s\", operation = \"30s\" }");
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let (mut seen, mut cursor, mut pages) = (HashSet::new(), String::new(), 0);
    loop {
        let query = [
            ("searchRepositories", "true"),
            ("filter", "userType eq \"LDAP\""),
            ("count", "100"),
            ("cursor", &cursor),
        ];
        let page = client.query("/Users", &query).expect(200);
        let state = page[REPORT][0]["state"].as_str().unwrap();
        assert!(matches!(state, "ok" | "cached"), "{}", page[REPORT]);
        pages += 1;
        for user in page["Resources"].as_array().unwrap() {
            assert!(seen.insert(user["id"].as_str().unwrap().to_owned()), "{user} came twice");
        }
        match page["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(seen.len(), people);
    assert!(pages >= people / 100, "{pages}");
    let most = high_water(&bridge);
    println!("{people} people in {pages} pages: at most {} MiB were resident", most >> 10);
    assert!(most < MOST, "{most} KiB");
}
