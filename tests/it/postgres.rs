//! PostgreSQL as the store: a server that dies, one that is reached by TLS, and two bridges over one
//! database. Whatever the other tests run on, these run on PostgreSQL.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::bridge::{Settings, TestBridge, run};
use crate::support::eventually;
use crate::support::postgres::{Postgres, query};

fn over(url: &str) -> Settings {
    Settings::local().store(&format!("url = {url:?}"))
}

fn is_ready(bridge: &TestBridge) -> bool {
    let answer = bridge.stranger().get("/health/ready");
    let ready = answer.status == 200;
    assert_eq!(answer.json()["store"], if ready { "ok" } else { "unavailable" });
    ready
}

/// What the writers were told, by user name.
#[derive(Default)]
struct Told {
    done: HashSet<String>,
    not_done: HashSet<String>,
    unknown: HashSet<String>,
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_server_that_is_killed_under_writes_loses_none_and_is_found_again() {
    let server = Postgres::start();
    let url = server.database();
    let bridge = TestBridge::start(&over(&url));
    let first = bridge.client().post("/Users", &json!({ "userName": "first" })).expect(201);
    let first = format!("/Users/{}", first["id"].as_str().unwrap());
    let (stop, told) = (AtomicBool::new(false), Mutex::new(Told::default()));
    std::thread::scope(|scope| {
        // Also where the test fails: the writers would go on for ever.
        let stopping = Stop(&stop);
        for writer in 0..16 {
            let (mut client, stop, told) = (bridge.client(), &stop, &told);
            scope.spawn(move || {
                for round in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let name = format!("w{writer}.r{round}");
                    let answer = client.post("/Users", &json!({ "userName": name }));
                    let mut told = told.lock().unwrap();
                    if answer.status == 201 {
                        told.done.insert(name);
                        continue;
                    }
                    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
                    assert_eq!(answer.status, 503, "{detail}");
                    assert!(answer.header("retry-after").is_some());
                    if detail.contains("nothing was written") {
                        told.not_done.insert(name);
                    } else {
                        assert!(detail.contains("may be written nevertheless"), "{detail}");
                        told.unknown.insert(name);
                    }
                    drop(told);
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
        }
        let enough = || told.lock().unwrap().done.len() > 200;
        assert!(eventually(Duration::from_mins(1), enough), "the writers get somewhere");
        server.kill();
        assert!(eventually(Duration::from_secs(10), || !is_ready(&bridge)), "it knows");
        bridge.stranger().get("/health/live").expect(200);
        let asked = Instant::now();
        assert_eq!(bridge.client().get("/Users?filter=userName%20sw%20%22w%22").status, 503);
        assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
        std::thread::sleep(Duration::from_secs(1));
        server.restart();
        assert!(eventually(Duration::from_secs(20), || is_ready(&bridge)), "it finds it again");
        let before = told.lock().unwrap().done.len();
        assert!(eventually(Duration::from_secs(20), || told.lock().unwrap().done.len() > before));
        drop(stopping);
    });
    let told = told.into_inner().unwrap();
    let names = query(&url, "SELECT name FROM resources");
    let there: HashSet<String> = names.into_iter().collect();
    let lost: Vec<_> = told.done.difference(&there).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    let denied: Vec<_> = told.not_done.intersection(&there).collect();
    assert!(denied.is_empty(), "written, whatever was said: {denied:?}");
    assert!(!told.not_done.is_empty());
    let records = query(
        &url,
        "SELECT subject FROM (SELECT p.person AS subject FROM audit a \
                               JOIN audit_persons p ON p.token = a.token) s",
    );
    assert_eq!(records.len(), there.len(), "each row has its record, each record its row");
    bridge.client().get(&first).expect(200);
    let log = bridge.log();
    assert_eq!(log.matches("store.unreachable").count(), 1, "an outage is told once");
    assert!(log.contains("store.reachable") && !log.contains("secret"));
}

#[test]
fn a_server_that_hangs_is_given_up_in_time() {
    let server = Postgres::start();
    let bridge = TestBridge::start(&over(&server.database()).server("request_timeout = \"3s\""));
    let client = || bridge.client();
    client().post("/Users", &json!({ "userName": "anna" })).expect(201);
    server.stop();
    let begin = Instant::now();
    assert_eq!(client().post("/Users", &json!({ "userName": "berta" })).status, 503);
    assert_eq!(client().get("/Users").status, 503);
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    server.cont();
    let lists = || client().get("/Users?count=0").status == 200;
    assert!(eventually(Duration::from_secs(20), lists));
    client().post("/Users", &json!({ "userName": "carla" })).expect(201);
}

#[test]
fn two_bridges_may_begin_at_once_on_an_empty_database() {
    let server = Postgres::shared();
    let url = server.database();
    let bridges: Vec<TestBridge> = std::thread::scope(|scope| {
        let starting: Vec<_> =
            (0..3).map(|_| scope.spawn(|| TestBridge::start(&over(&url)))).collect();
        starting.into_iter().map(|starting| starting.join().unwrap()).collect()
    });
    for (place, bridge) in bridges.iter().enumerate() {
        let name = format!("u{place}");
        bridge.client().post("/Users", &json!({ "userName": name })).expect(201);
    }
    for bridge in &bridges {
        let found = bridge.client().get("/Users?filter=userName%20sw%20%22u%22").expect(200);
        assert_eq!(found["totalResults"], bridges.len());
        // The same name is one name, whichever bridge is asked.
        let again = bridge.client().post("/Users", &json!({ "userName": "U0" }));
        assert_eq!(again.status, 409);
    }
    drop(bridges);
    server.drop_database(&url);
}

#[test]
fn tls_is_spoken_and_the_certificate_is_verified() {
    let server = Postgres::shared();
    let url = server.database();
    let ca = server.ca();
    let named = url.replace("127.0.0.1", "localhost");
    let bridge = TestBridge::start(&over(&format!(
        "{named}?sslmode=verify-full&sslrootcert={}",
        ca.display()
    )));
    bridge.client().post("/Users", &json!({ "userName": "anna" })).expect(201);
    let spoken = "SELECT DISTINCT s.version FROM pg_stat_ssl s JOIN pg_stat_activity a \
                  ON a.pid = s.pid WHERE a.application_name = 'scimbridge' \
                  AND a.datname = current_database()";
    assert_eq!(query(&url, spoken), ["TLSv1.3"]);
    drop(bridge);
    // Neither trusted by this machine, nor for this name.
    for (url, cause) in [
        (format!("{named}?sslmode=require"), "UnknownIssuer"),
        (format!("{url}?sslmode=require&sslrootcert={}", ca.display()), "not valid for name"),
    ] {
        let directory = over(&url).write();
        let output = run(&directory, &["serve", "--config", "scimbridge.toml"]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(told.contains(cause) && !told.contains(":secret"), "{told}");
    }
    server.drop_database(&url);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let directory = over("postgres://bridge:hunter2@127.0.0.1:9/users").write();
    let output = run(&directory, &["serve", "--config", "scimbridge.toml"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(told.contains("postgres://127.0.0.1:9/users") && !told.contains("hunter2"), "{told}");
}
