//! What was acknowledged stays, whatever happens to the process.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::support::bridge::{Settings, TestBridge};
use crate::support::{eventually, postgres};

/// Each writer's own list of what the bridge said yes to.
#[derive(Default)]
struct Acknowledged {
    created: Vec<(String, String)>,
    /// User id with the last nickname that was acknowledged.
    renamed: Vec<(String, String)>,
}

#[test]
fn kill_9_under_64_writers_loses_no_acknowledged_write() {
    let mut bridge = TestBridge::start(&Settings::local());
    let stop = AtomicBool::new(false);
    let created = AtomicUsize::new(0);
    let lists: Vec<Acknowledged> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..64)
            .map(|writer| {
                let (mut client, stop, created) = (bridge.client(), &stop, &created);
                scope.spawn(move || {
                    let mut list = Acknowledged::default();
                    for round in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let name = format!("w{writer}.r{round}");
                        let body = json!({ "userName": name }).to_string();
                        let Ok(answer) = client.try_send("POST", "/Users", &[], body.as_bytes())
                        else {
                            break;
                        };
                        if answer.status != 201 {
                            break;
                        }
                        let id = answer.json()["id"].as_str().unwrap().to_owned();
                        list.created.push((id.clone(), name));
                        created.fetch_add(1, Ordering::Relaxed);
                        let nick = format!("n{round}");
                        let change = json!({ "Operations": [
                            { "op": "add", "path": "nickName", "value": nick }] });
                        let path = format!("/Users/{id}");
                        let change = change.to_string();
                        let Ok(answer) = client.try_send("PATCH", &path, &[], change.as_bytes())
                        else {
                            break;
                        };
                        if answer.status == 200 {
                            list.renamed.push((id, nick));
                        }
                    }
                    list
                })
            })
            .collect();
        let enough = || created.load(Ordering::Relaxed) > 200;
        eventually(Duration::from_mins(1), enough);
        bridge.kill9();
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    bridge.restart();
    let mut client = bridge.client();
    let mut checked = 0;
    for list in lists {
        for (id, name) in &list.created {
            let user = client.get(&format!("/Users/{id}")).expect(200);
            assert_eq!(user["userName"], name.as_str());
            checked += 1;
        }
        for (id, nick) in &list.renamed {
            assert_eq!(client.get(&format!("/Users/{id}")).expect(200)["nickName"], nick.as_str());
        }
    }
    assert!(checked > 200, "the writers got somewhere: {checked}");
    let total = client.get("/Users?count=0").expect(200)["totalResults"].as_u64().unwrap();
    let creations = bridge.audit().iter().filter(|action| *action == "user.create").count() as u64;
    assert_eq!(creations, total, "each row has its record, each record its row");
}

#[test]
fn a_signal_lets_requests_finish_and_everything_is_there_afterwards() {
    let mut bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let mut ids = Vec::new();
    for number in 0..20 {
        let body = json!({ "userName": format!("u{number}") });
        ids.push(client.post("/Users", &body).expect(201)["id"].as_str().unwrap().to_owned());
    }
    assert!(bridge.terminate().success(), "{}", bridge.log());
    if let Some(url) = bridge.database_url() {
        let others = "SELECT COUNT(*) FROM pg_stat_activity \
                      WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let closed = || postgres::query(&url, others) == ["0"];
        assert!(eventually(Duration::from_secs(5), closed), "every connection was closed");
    } else {
        let log_of_the_database = bridge.directory().join("scimbridge.db-wal");
        assert!(!log_of_the_database.exists(), "the database was closed");
    }
    bridge.restart();
    for id in ids {
        bridge.client().get(&format!("/Users/{id}")).expect(200);
    }
}
