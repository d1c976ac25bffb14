//! Imports: taken in as a stream, done in their order, once, whatever happens to the process.

mod policy;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::bridge::{BASE, Settings, TOKEN, TestBridge};
use crate::support::client::Client;
use crate::support::slapd::Slapd;
use crate::support::{company, eventually};

const RESPONSE: &str = "urn:hid:scim:api:idp:2.0:user:ImportResponse";
/// The member that tells what the documents have no member for.
const MORE: &str = "urn:scimbridge:api:messages:2.0:Import";

/// What a job may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

fn group(client: &mut Client) -> String {
    let made = client.post("/Groups", &json!({ "displayName": "Imported" })).expect(201);
    made["id"].as_str().unwrap().to_owned()
}

/// As the document has them, from `first` on.
fn users(first: usize, count: usize) -> Vec<Value> {
    let user = |number| {
        json!({
            "emails": [{ "value": format!("email{number}@company.com") }],
            "name": { "familyName": format!("last{number}"), "givenName": format!("first{number}") },
            "externalId": format!("bb0_{number}"),
            "userName": format!("user{number}"),
        })
    };
    (first..first + count).map(user).collect()
}

fn import(client: &mut Client, group: &str, users: &[Value]) -> String {
    let body = json!({ "users": users, "group": { "value": group } });
    let answer = client.post("/Users/.import", &body);
    let told = answer.expect(202);
    let id = told["correlationId"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), told["meta"]["location"].as_str());
    id
}

fn status(client: &mut Client, id: &str) -> Value {
    client.get(&format!("/Users/.import/{id}")).expect(200)
}

/// The status of a job that has ended.
fn ended(client: &mut Client, id: &str) -> Value {
    let mut told = Value::Null;
    let over = eventually(PATIENCE, || {
        told = status(client, id);
        told["status"] != "importing"
    });
    assert!(over, "{told}");
    told
}

fn count(bridge: &TestBridge, sql: &str) -> u64 {
    bridge.query(&format!("SELECT CAST(COUNT(*) AS TEXT) FROM {sql}"))[0].parse().unwrap()
}

/// How many users there are, each in the group, each with one record that names the job.
fn assert_whole(bridge: &TestBridge, id: &str, users: u64) {
    assert_eq!(count(bridge, "resources WHERE type = 'User'"), users);
    assert_eq!(count(bridge, "members"), users);
    let records = format!("audit WHERE event = 'createUser' AND correlation_id = '{id}'");
    assert_eq!(count(bridge, &records), users);
    assert!(eventually(PATIENCE, || count(bridge, "import_parts") == 0), "the rows are kept");
}

#[test]
fn users_are_made_and_become_members() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let group = group(&mut client);
    let asked = client.get("/Users?filter=userName%20eq%20%22user7%22").expect(200);
    assert_eq!(asked["totalResults"], 0);
    let id = import(&mut client, &group, &users(0, 300));
    assert_eq!(id.len(), 20);
    assert!(id.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()), "{id}");
    let told = ended(&mut client, &id);
    assert_eq!(
        told,
        json!({
            "schemas": [RESPONSE], "correlationId": id, "status": "done", "importSize": 300,
            "nbFailed": 0, "nbAlreadyExisted": 0, "nbImported": 300,
        })
    );
    let found = client.get("/Users?filter=userName%20eq%20%22user7%22").expect(200);
    let user = &found["Resources"][0];
    assert_eq!(user["externalId"], "bb0_7");
    assert_eq!(user["name"]["familyName"], "last7");
    assert_eq!(user["active"], true);
    assert_eq!(user["groups"][0]["value"], group.as_str());
    let members = client.get(&format!("/Groups/{group}")).expect(200);
    assert_eq!(members["members"].as_array().unwrap().len(), 300);
    assert_whole(&bridge, &id, 300);
    assert_eq!(count(&bridge, "audit WHERE action = 'user.import'"), 1);
    // Numbers are given in the order of the rows.
    let numbers = bridge.query("SELECT CAST(number AS TEXT) FROM resources ORDER BY key");
    assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), 301);

    // Sent again, all of them are there.
    let again = import(&mut client, &group, &users(0, 300));
    let told = ended(&mut client, &again);
    assert_eq!(told["status"], "done");
    assert_eq!((&told["nbAlreadyExisted"], &told["nbImported"]), (&json!(300), &json!(0)));
    let rows = &told[MORE];
    assert_eq!((&rows["totalResults"], &rows["itemsPerPage"]), (&json!(300), &json!(100)));
    assert_eq!(rows["rows"][1]["index"], 1);
    assert_eq!(rows["rows"][1]["name"], "bb0_1");
    assert_eq!(rows["rows"][1]["outcome"], "alreadyExisted");
    let page = client.get(&format!("/Users/.import/{again}?startIndex=299&count=9")).expect(200);
    let rows = page[MORE]["rows"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[1]["index"]), (2, &json!(299)));
    let stranger = client.get("/Users/.import/AAAAAAAAAAAAAAAAAAAA");
    assert_eq!(stranger.status, 404);
}

#[test]
fn a_row_that_makes_no_user_says_why() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let group = group(&mut client);
    client.post("/Users", &json!({ "userName": "There", "externalId": "there" })).expect(201);
    let rows = [
        json!({ "userName": "good" }),
        json!({ "externalId": "no-name" }),
        json!({ "userName": "THERE" }),
        json!({ "userName": "other", "externalId": "there" }),
        json!({ "userName": "grouped", "groups": [{ "value": group }] }),
        json!({ "userName": "role", "roles": [{ "value": "RL" }] }),
        json!({ "userName": "extended", "urn:hid:scim:api:idp:2.0:UserDevice": { "devices": [{}] } }),
        json!(7),
        json!({ "userName": "odd", "emails": 7 }),
        json!({ "userName": "GOOD" }),
        json!({ "userName": "agent", "userType": "SCIM_FED" }),
        json!({ "userName": "nobody", "externalId": "x", "userRepositoryId": "corp" }),
        json!({ "userName": "last" }),
    ];
    let id = import(&mut client, &group, &rows);
    let told = ended(&mut client, &id);
    assert_eq!(told["status"], "done");
    let counts = (&told["nbFailed"], &told["nbAlreadyExisted"], &told["nbImported"]);
    assert_eq!(counts, (&json!(8), &json!(3), &json!(2)), "{told}");
    let said: Vec<(u64, &str, &str)> = told[MORE]["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let text = |name| row[name].as_str().unwrap();
            (row["index"].as_u64().unwrap(), text("outcome"), text("detail"))
        })
        .collect();
    for (index, outcome, detail) in [
        (1, "failed", "userName"),
        (2, "alreadyExisted", "userName is taken"),
        (3, "alreadyExisted", "externalId is taken"),
        (4, "failed", "groups"),
        (5, "failed", "roles"),
        (6, "failed", "UserDevice"),
        (7, "failed", "object"),
        (8, "failed", "emails"),
        // That of an earlier row, or of the user whom that row made.
        (9, "alreadyExisted", "userName is"),
        (10, "failed", "SCIM_FED"),
        (11, "failed", "corp"),
    ] {
        let row = said.iter().find(|row| row.0 == index).unwrap_or_else(|| panic!("{index}"));
        assert_eq!(row.1, outcome, "{row:?}");
        assert!(row.2.contains(detail), "{row:?}");
    }
    assert_eq!(said.len(), 11);
    // Nothing came of it.
    let id = import(&mut client, &group, &rows[4..7]);
    assert_eq!(ended(&mut client, &id)["status"], "failed");
}

#[test]
fn a_row_is_judged_in_the_dialect_in_which_it_came() {
    let bridge = TestBridge::start(&Settings::local().tenant("dialect = \"activid\""));
    let mut client = bridge.client();
    let group = json!({ "displayName": "Imported", "externalId": "USG_FTEMP" });
    let group = client.post("/Groups", &group).expect(200)["id"].as_str().unwrap().to_owned();
    let mut rows = users(100_000, 2);
    for row in &mut rows {
        row.as_object_mut().unwrap().remove("userName");
    }
    rows.push(json!({ "name": { "familyName": "nobody", "givenName": "in particular" } }));
    let mut mails = users(7, 1).remove(0);
    mails["emails"] = json!([{ "value": "a@x.org" }, { "value": "b@x.org" }]);
    rows.push(mails);
    let id = import(&mut client, &group, &rows);
    let told = ended(&mut client, &id);
    assert_eq!((&told["nbImported"], &told["nbFailed"]), (&json!(2), &json!(2)), "{told}");
    let said: Vec<&str> = told[MORE]["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["detail"].as_str().unwrap())
        .collect();
    assert!(said[0].contains("externalId") && said[1].contains("emails"), "{said:?}");
    let found = client.get("/Users?filter=externalId%20eq%20%22bb0_100001%22").expect(200);
    assert_eq!(found["resources"][0]["userName"], "bb0_100001");
}

#[test]
fn jobs_wait_for_their_turn_and_can_be_called_off() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let group = group(&mut client);
    let first = import(&mut client, &group, &users(0, 4_000));
    let second = import(&mut client, &group, &users(10_000, 50));
    let third = import(&mut client, &group, &users(20_000, 50));
    assert_eq!(client.delete(&format!("/Users/.import/{third}")).status, 204);
    let told = status(&mut client, &third);
    assert_eq!((&told["status"], &told["nbImported"]), (&json!("cancelled"), &json!(0)));
    assert_eq!(told[MORE]["nbDropped"], 50);
    let mut seen = Vec::new();
    let moved = eventually(PATIENCE, || {
        let (one, two) = (status(&mut client, &first), status(&mut client, &second));
        if one["status"] == "importing" {
            assert_eq!(one["importSize"], 4_000);
            seen.push(one["nbProcessed"].as_u64().unwrap());
            assert_eq!(two["nbProcessed"], 0, "one after the other");
        }
        seen.last().is_some_and(|last| *last > 500) || one["status"] == "done"
    });
    assert!(moved && seen.is_sorted(), "{seen:?}");
    assert!(seen.last().is_some_and(|last| *last < 4_000), "it was seen under way: {seen:?}");
    assert_eq!(client.delete(&format!("/Users/.import/{first}")).status, 204);
    let told = status(&mut client, &first);
    assert_eq!(told["status"], "cancelled");
    let done = told["nbImported"].as_u64().unwrap();
    assert_eq!(told[MORE]["nbDropped"].as_u64().unwrap(), 4_000 - done);
    assert_eq!(ended(&mut client, &second)["nbImported"], 50);
    assert_eq!(status(&mut client, &first), told, "what was called off stays as it was");
    let names = client.get("/Users?count=0&filter=userName%20sw%20%22user%22").expect(200);
    assert_eq!(names["totalResults"].as_u64().unwrap(), done + 50);
    assert_eq!(client.delete(&format!("/Users/.import/{first}")).status, 204, "again");
    assert_eq!(client.delete(&format!("/Users/.import/{second}")).status, 409);
    assert_eq!(client.delete("/Users/.import/NOBODY").status, 404);
    assert_eq!(count(&bridge, "audit WHERE action = 'user.cancel'"), 2);
}

/// Kills the program, and starts it again, each time that more than one in so many of a job's rows are
/// done.
fn killed_under_way(bridge: &mut TestBridge, id: &str, size: u64, shares: &[u64]) {
    let mut kills = Vec::new();
    for share in shares {
        let mut client = bridge.client();
        let mut done = 0;
        let under_way = eventually(PATIENCE, || {
            done = status(&mut client, id)["nbProcessed"].as_u64().unwrap_or(u64::MAX);
            done > size / share
        });
        assert!(under_way);
        bridge.kill9();
        kills.push(done);
        bridge.restart();
    }
    assert!(kills[0] < size, "it was killed under way: {kills:?}");
}

#[test]
fn a_crash_costs_no_row_and_doubles_none() {
    let size = if std::env::var_os("FULL").is_some() { 100_000 } else { 5_000 };
    let mut bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let group = group(&mut client);
    let id = import(&mut client, &group, &users(0, size));
    killed_under_way(&mut bridge, &id, size as u64, &[5, 3, 2]);
    let mut client = bridge.client();
    let told = ended(&mut client, &id);
    assert_eq!(told["status"], "done", "{told}");
    let counts = (&told["nbFailed"], &told["nbAlreadyExisted"], &told["nbImported"]);
    assert_eq!(counts, (&json!(0), &json!(0), &json!(size)));
    assert_whole(&bridge, &id, size as u64);
    let numbers = "SELECT CAST(COUNT(DISTINCT number) AS TEXT) FROM resources";
    assert_eq!(bridge.query(numbers)[0], (size + 1).to_string());
}

#[test]
fn a_signal_lets_the_next_run_go_on_at_once() {
    let mut bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let group = group(&mut client);
    let id = import(&mut client, &group, &users(0, 3_000));
    let under_way =
        || status(&mut client, &id)["nbProcessed"].as_u64().is_some_and(|done| done > 0);
    assert!(eventually(PATIENCE, under_way));
    assert!(bridge.terminate().success(), "{}", bridge.log());
    bridge.restart();
    assert_eq!(ended(&mut bridge.client(), &id)["nbImported"], 3_000);
    assert_whole(&bridge, &id, 3_000);
}

#[test]
fn what_comes_in_broken_leaves_nothing() {
    let bridge = TestBridge::start(&Settings::local().server("max_import = \"64KiB\""));
    let mut client = bridge.client();
    let group = group(&mut client);
    let post = |client: &mut Client, body: &str| {
        let answer = client.send("POST", "/Users/.import", &[], body.as_bytes());
        (answer.status, answer.text())
    };
    let whole = json!({ "users": users(0, 10), "group": { "value": group } }).to_string();
    let unknown = json!({ "users": users(0, 10), "group": { "value": "nobody" } }).to_string();
    let policy = json!({
        "users": users(0, 10), "group": { "value": group },
        "authenticatorPolicy": { "value": "AT_NONE" },
    })
    .to_string();
    for (body, said) in [
        (&*unknown, "no group with the id \\\"nobody\\\""),
        (&*policy, "AT_NONE"),
        (&whole[..whole.len() - 40], "EOF"),
        ("{\"users\":[{\"userName\":\"a\",}],\"group\":{\"value\":\"x\"}}", "trailing comma"),
        ("{\"users\":[{\"userName\":\"a\"}]}", "group.value is required"),
        ("[]", "an object"),
    ] {
        let (status, text) = post(&mut client, body);
        assert_eq!(status, 400, "{text}");
        assert!(text.contains(said), "{text}");
    }
    let user = client.post("/Users", &json!({ "userName": "user" })).expect(201);
    let no_group = json!({ "users": [], "group": { "value": user["id"] } });
    assert_eq!(client.post("/Users/.import", &no_group).status, 400, "a user is no group");
    // Declared, and found out on the way.
    let long = json!({ "users": users(0, 1_000), "group": { "value": group } }).to_string();
    let mut other = bridge.client();
    assert_eq!(other.send("POST", "/Users/.import", &[], long.as_bytes()).status, 413);
    let mut stream = TcpStream::connect(bridge.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "POST {BASE}/Users/.import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/scim+json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    .unwrap();
    for piece in long.as_bytes().chunks(8_000) {
        let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
        chunk.extend_from_slice(piece);
        chunk.extend_from_slice(b"\r\n");
        if stream.write_all(&chunk).is_err() {
            break;
        }
    }
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // The client hangs up in the middle.
    let mut stream = TcpStream::connect(bridge.address()).unwrap();
    let declared = whole.len();
    write!(
        stream,
        "POST {BASE}/Users/.import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Length: {declared}\r\n\r\n{}",
        &whole[..declared / 2]
    )
    .unwrap();
    let coming = || count(&bridge, "imports") == 1;
    assert!(eventually(PATIENCE, coming), "it was coming in");
    drop(stream);
    let gone = || count(&bridge, "imports") == 0;
    assert!(eventually(PATIENCE, gone), "{:?}", bridge.query("SELECT terms FROM imports"));
    assert_eq!(count(&bridge, "import_parts"), 0);
    assert_eq!(count(&bridge, "resources WHERE type = 'User'"), 1);
    assert_eq!(count(&bridge, "audit WHERE action = 'user.import'"), 0);
}

#[test]
fn a_body_may_take_longer_than_a_request_and_name_its_group_last() {
    let settings = Settings::local().server("request_timeout = \"500ms\"");
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let group = group(&mut client);
    let body = json!({ "users": users(0, 20), "group": { "value": group } }).to_string();
    let mut stream = TcpStream::connect(bridge.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "POST {BASE}/Users/.import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )
    .unwrap();
    for piece in body.as_bytes().chunks(body.len() / 4) {
        std::thread::sleep(Duration::from_millis(400));
        stream.write_all(piece).unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let told: Value = serde_json::from_str(body).unwrap();
    let id = told["correlationId"].as_str().unwrap();
    assert_eq!(ended(&mut client, id)["nbImported"], 20);
}

#[test]
fn a_job_whose_group_goes_fails_and_says_so() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let group = group(&mut client);
    let id = import(&mut client, &group, &users(0, 4_000));
    let under_way = || status(&mut client, &id)["nbProcessed"].as_u64() > Some(0);
    assert!(eventually(PATIENCE, under_way));
    assert_eq!(client.delete(&format!("/Groups/{group}")).status, 204);
    let told = ended(&mut client, &id);
    assert_eq!(told["status"], "failed", "{told}");
    assert!(told["nbImported"].as_u64() > Some(0));
    assert!(told[MORE]["detail"].as_str().unwrap().contains("group was deleted"), "{told}");
}

/// Rows that name people of the directory, by the mapped `externalId`.
fn people(numbers: impl Iterator<Item = u32>) -> Vec<Value> {
    let row = |number| {
        let uid = company::person(number as usize).uid;
        json!({ "userName": uid, "externalId": uid })
    };
    numbers.map(row).collect()
}

#[test]
fn directory_people_are_bound_in_searches_for_many() {
    let slapd = Slapd::company(700);
    let settings =
        Settings::over(&slapd).token("binder", "binder-token", &["*"]).token_line("binds = true");
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client_as("binder-token");
    let group = group(&mut client);
    let bound = people(1..2).remove(0);
    client.post("/Users", &bound).expect(201);
    let mut rows = people(1..601);
    rows.extend(users(0, 100));
    rows.push(people(2..3).remove(0));
    let before = slapd.searches();
    let id = import(&mut client, &group, &rows);
    let told = ended(&mut client, &id);
    let searches = slapd.searches() - before;
    let counts = (&told["nbFailed"], &told["nbAlreadyExisted"], &told["nbImported"]);
    assert_eq!(counts, (&json!(0), &json!(2), &json!(699)), "{told}");
    // 701 rows in searches for 100; whatever a bridge asks a directory for by itself is little.
    assert!((8..=20).contains(&searches), "{searches} searches");
    assert_eq!(count(&bridge, "resources WHERE user_type = 1"), 600);
    assert_eq!(count(&bridge, "members"), 699);
    let binds = format!("audit WHERE event = 'bindUser' AND correlation_id = '{id}'");
    assert_eq!(count(&bridge, &binds), 599);
    let person = company::person(300);
    let found = client.query("/Users", &[("filter", &format!("userName eq \"{}\"", person.uid))]);
    let found = found.expect(200);
    assert_eq!(found["totalResults"], 1);
    assert_eq!(found["Resources"][0]["userType"], "FTRESS_LDAP");
    assert_eq!(found["Resources"][0]["groups"][0]["value"], group.as_str());

    // One that does not bind makes local users of the same rows.
    let mut plain = bridge.client();
    let id = import(&mut plain, &group, &people(650..660));
    assert_eq!(ended(&mut plain, &id)["nbImported"], 10);
    assert_eq!(count(&bridge, "resources WHERE user_type = 1"), 600);
}

#[test]
fn nothing_is_concluded_while_a_directory_does_not_answer() {
    let slapd = Slapd::company(50);
    let settings =
        Settings::over(&slapd).token("binder", "binder-token", &["*"]).token_line("binds = true");
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client_as("binder-token");
    let group = group(&mut client);
    slapd.kill();
    let mut rows = people(1..31);
    rows.extend(users(0, 10));
    let id = import(&mut client, &group, &rows);
    std::thread::sleep(Duration::from_secs(3));
    let told = status(&mut client, &id);
    assert_eq!((&told["status"], &told["nbProcessed"]), (&json!("importing"), &json!(0)));
    assert_eq!(count(&bridge, "resources WHERE type = 'User'"), 0);
    slapd.restart();
    let told = ended(&mut client, &id);
    assert_eq!(told["nbImported"], 40, "{told}");
    assert_eq!(count(&bridge, "resources WHERE user_type = 1"), 30);
    let mut log = String::new();
    for line in bridge.log().lines().filter(|line| line.contains("import.waits")) {
        writeln!(log, "{line}").unwrap();
    }
    assert_eq!(log.lines().count(), 1, "it is said once: {log}");
}
