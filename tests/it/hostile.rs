//! Directories that lie: an error or a cut answer, never a crash, a hang, or memory without bound.

use std::io;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::bridge::{Settings, TestBridge};
use crate::support::company;
use crate::support::hostile::{Hostile, Reply, Request, Verdict};
use crate::support::slapd::Slapd;

const REPORT: &str = "urn:scimbridge:api:messages:2.0:Repositories";
/// The repository's deadline, and a second.
const LIMIT: Duration = Duration::from_secs(3);
const MEMORY: u64 = 96 << 20;

/// A search through a directory that passes everything but the search for people to a real one.
fn survive(name: &str, script: impl Fn(&Reply) -> io::Result<Verdict> + Send + Sync + 'static) {
    let slapd = Slapd::shared();
    let address = format!("127.0.0.1:{}", slapd.port());
    let hostile = Hostile::in_front_of(&address, move |request: &Request, reply| {
        if request.is_for_people() { script(reply) } else { Ok(Verdict::Pass) }
    });
    let settings = Settings::local()
        .repository("corp", &hostile.url())
        .with("timeouts = { connect = \"1s\", operation = \"2s\" }")
        .with("cache = { fresh = \"0s\", negative = \"0s\", stale = \"0s\" }");
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    client.post("/Users", &json!({ "userName": "local.one" })).expect(201);
    let before = bridge.anonymous_memory();
    for round in 0..3 {
        let begin = Instant::now();
        let filter = [("filter", "userName eq \"local.one\""), ("searchRepositories", "true")];
        let list = client.query("/Users", &filter).expect(200);
        assert_eq!(list["totalResults"], 1, "{name}, round {round}: {list}");
        let state = list[REPORT][0]["state"].as_str().unwrap();
        assert!(
            matches!(state, "timeout" | "unavailable" | "truncated"),
            "{name}, round {round}: {state}"
        );
        let uid = company::person(2).uid;
        let filter = format!("userName eq \"{uid}\"");
        let nobody = client.query("/Users", &[("filter", &filter), ("searchRepositories", "true")]);
        assert_eq!(nobody.status, 503, "{name}, round {round}: {}", nobody.text());
        assert!(begin.elapsed() < LIMIT * 2, "{name}, round {round}: {:?}", begin.elapsed());
    }
    let grown = bridge.anonymous_memory().saturating_sub(before);
    assert!(grown < MEMORY, "{name}: grown by {} MiB", grown >> 20);
    bridge.stranger().get("/health/live").expect(200);
}

#[test]
fn nested_elements() {
    survive("nesting", |reply| {
        // Each of 40,000 sequences announces the rest in four bytes of length.
        let depth = 40_000_u32;
        let mut bytes = Vec::new();
        for level in (0..depth).rev() {
            bytes.push(0x30);
            bytes.push(0x84);
            bytes.extend_from_slice(&(level * 6).to_be_bytes());
        }
        reply.raw(&bytes)?;
        Ok(Verdict::Done)
    });
}

#[test]
fn a_message_of_two_gibibytes() {
    survive("length", |reply| {
        reply.raw(&[0x30, 0x84, 0x7f, 0xff, 0xff, 0xff])?;
        // Keeps sending until the other side has had enough.
        let chunk = vec![0x04; 1 << 20];
        for _ in 0..512 {
            reply.raw(&chunk)?;
        }
        Ok(Verdict::Done)
    });
}

#[test]
fn garbage() {
    survive("garbage", |reply| {
        let bytes: Vec<u8> =
            (0..4096_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        reply.raw(&bytes)?;
        Ok(Verdict::Done)
    });
}

#[test]
fn half_an_answer() {
    survive("half", |reply| {
        reply.raw(&[0x30, 0x20, 0x02, 0x01])?;
        Ok(Verdict::HangUp)
    });
}

#[test]
fn entries_without_end() {
    survive("endless", |reply| {
        let filler = "x".repeat(1000);
        for number in 0..2_000_000_u32 {
            let dn = format!("uid=x{number},ou=people,dc=example,dc=org");
            let key = format!("00000000-0000-4000-8000-{number:012}");
            let uid = format!("x{number}");
            let values: [(&str, &[&str]); 4] =
                [("uid", &[&uid]), ("cn", &[&filler]), ("sn", &["X"]), ("entryUUID", &[&key])];
            reply.entry(&dn, &values)?;
        }
        Ok(Verdict::Done)
    });
}

#[test]
fn entries_that_nobody_asked_for_match_nothing() {
    let hostile = Hostile::start(|request: &Request, reply| {
        if !request.is_for_people() {
            return Ok(Verdict::Pass);
        }
        let values: [(&str, &[&str]); 4] = [
            ("uid", &["somebody.else"]),
            ("cn", &["Else"]),
            ("sn", &["Else"]),
            ("entryUUID", &["11111111-2222-4333-8444-555555555555"]),
        ];
        reply.entry("uid=somebody.else,dc=example,dc=org", &values)?;
        reply.done(0)?;
        Ok(Verdict::Done)
    });
    let settings = Settings::local().repository("corp", &hostile.url());
    let bridge = TestBridge::start(&settings);
    let filter = [("filter", "userName eq \"wanted\""), ("searchRepositories", "true")];
    let list = bridge.client().query("/Users", &filter).expect(200);
    assert_eq!(list["totalResults"], 0, "the whole filter is evaluated here, too: {list}");
}
