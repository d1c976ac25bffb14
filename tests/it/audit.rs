//! The audit trail of a running bridge: chained, listed, verified against databases that were
//! tampered with, and forgotten in part.

use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::bridge::{Settings, TENANT, TestBridge, run};
use crate::support::company;
use crate::support::slapd::Slapd;
use crate::support::{eventually, postgres};

/// Runs `scimbridge audit` on the bridge's configuration.
fn audit(bridge: &TestBridge, arguments: &[&str]) -> Output {
    let arguments = [&["audit"], arguments, &["--config", "scimbridge.toml"]].concat();
    run(bridge.directory(), &arguments)
}

/// Whether the trail is whole, and what was said of it.
fn verify(bridge: &TestBridge, arguments: &[&str]) -> (bool, String) {
    let output = audit(bridge, &[&["verify"], arguments].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(i32::from(!output.status.success())), "{text}");
    (output.status.success(), text)
}

/// The records as JSON.
fn list(bridge: &TestBridge, arguments: &[&str]) -> Vec<Value> {
    let output = audit(bridge, &[&["list", "--format", "json"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Does to the database what its owner can.
fn execute(bridge: &TestBridge, sqlite: &str, server: &str) {
    if let Some(url) = bridge.database_url() {
        postgres::query(&url, server);
    } else {
        let path = bridge.directory().join("scimbridge.db");
        let database = rusqlite::Connection::open(path).unwrap();
        database.execute_batch(sqlite).unwrap_or_else(|error| panic!("{sqlite}: {error}"));
    }
}

fn count(bridge: &TestBridge, sql: &str) -> u64 {
    let sql = format!("SELECT CAST(COUNT(*) AS TEXT) FROM {sql}");
    bridge.query(&sql)[0].parse().unwrap()
}

fn sealed(bridge: &TestBridge) -> bool {
    eventually(Duration::from_secs(20), || count(bridge, "audit WHERE sequence IS NULL") == 0)
}

fn user(name: &str) -> Value {
    json!({ "userName": name, "externalId": format!("x-{name}") })
}

#[test]
fn what_is_committed_is_chained_within_a_second_also_after_a_crash() {
    let mut bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    for number in 0..20 {
        client.post("/Users", &user(&format!("u{number}"))).expect(201);
    }
    let last = Instant::now();
    assert!(sealed(&bridge));
    // A second, and as much again for a machine that is busy with other tests.
    assert!(last.elapsed() < Duration::from_secs(2), "{:?}", last.elapsed());
    let (whole, text) = verify(&bridge, &[]);
    assert!(whole, "{text}");
    assert!(text.starts_with("acme: chained and whole: 20, up to 20:"), "{text}");
    let head = text.trim().rsplit(' ').next().unwrap().to_owned();

    client.post("/Users", &user("one more")).expect(201);
    bridge.restart();
    bridge.client().post("/Groups", &json!({ "displayName": "G" })).expect(201);
    assert!(sealed(&bridge));
    let (whole, text) = verify(&bridge, &["--tenant", TENANT, "--anchor", &head]);
    assert!(whole && text.contains("chained and whole: 22,"), "{text}");
    // The last head stands in the log, for whoever keeps it elsewhere.
    assert!(bridge.terminate().success());
    let log = bridge.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("audit.head")).collect();
    assert!(told.last().unwrap().contains(text.trim().rsplit(' ').next().unwrap()), "{told:?}");
    assert!(
        count(&bridge, "leases WHERE name = 'audit'") == 0,
        "nobody waits for a lease that ended with its holder"
    );
}

#[test]
fn changes_are_listed_by_who_what_and_when() {
    let settings = Settings::local()
        .token("help desk", "desk-token", &["users:*"])
        .rest("[[tenant]]\nname = \"beta\"");
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client_as("desk-token");
    let made = client.post("/Users", &user("anna"));
    let request = made.header("x-request-id").unwrap().to_owned();
    let id = made.expect(201)["id"].as_str().unwrap().to_owned();
    let path = format!("/Users/{id}");
    client.put(&path, &json!({ "userName": "anna", "title": "t" })).expect(200);
    bridge.client().delete(&path).expect(204);
    bridge.client().post("/Users", &user("berta")).expect(201);
    assert!(sealed(&bridge));

    let tenant = ["--tenant", TENANT];
    let all = list(&bridge, &tenant);
    let events: Vec<&str> = all.iter().map(|one| one["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["createUser", "replaceUser", "deleteUser", "createUser"]);
    assert_eq!(all[0]["record"], 1);
    assert_eq!(all[0]["tenant"], TENANT);
    assert_eq!(all[0]["caller"], "help desk");
    assert_eq!(all[0]["action"], "user.create");
    assert_eq!(all[0]["outcome"], "success");
    assert_eq!(all[0]["person"], id.as_str());
    assert_eq!(all[0]["requestId"], request.as_str());
    assert_eq!(all[0]["hash"].as_str().unwrap().len(), 64);
    let token = all[0]["token"].as_str().unwrap();
    assert!(token != id && token.len() == 32);
    for (arguments, records) in [
        (["--person", id.as_str()], 3),
        (["--person", token], 3),
        (["--person", "10002"], 1),
        (["--caller", "help desk"], 2),
        (["--action", "createUser"], 2),
        (["--action", "user.delete"], 1),
        (["--since", "1h"], 4),
        (["--since", "2999-01-01"], 0),
        (["--limit", "1"], 1),
    ] {
        let found = list(&bridge, &[&tenant[..], &arguments].concat());
        assert_eq!(found.len(), records, "{arguments:?}");
    }
    assert_eq!(list(&bridge, &["--tenant", "beta"]).len(), 0);
    let text = audit(&bridge, &["list", "--tenant", TENANT]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert_eq!(text.lines().count(), 5, "{text}");
    assert!(text.contains("deleteUser") && text.contains(&id), "{text}");
    let unnamed = audit(&bridge, &["list"]);
    assert!(String::from_utf8_lossy(&unnamed.stderr).contains("--tenant"));
    assert_eq!(unnamed.status.code(), Some(1));
}

#[test]
fn tampering_is_named_at_the_first_record_that_does_not_fit() {
    let mut bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    for number in 1..=8 {
        client.post("/Users", &user(&format!("u{number}"))).expect(201);
    }
    assert!(sealed(&bridge));
    assert!(bridge.terminate().success());
    let (whole, text) = verify(&bridge, &[]);
    let head = text.trim().rsplit(' ').next().unwrap().to_owned();
    assert!(whole, "{text}");
    // The triggers stand in the way of mistakes, not of the owner of the database.
    let common = "CREATE TABLE kept AS SELECT * FROM audit; \
                  CREATE TABLE kept_heads AS SELECT * FROM audit_heads; ";
    execute(
        &bridge,
        &format!(
            "{common} DROP TRIGGER audit_stays; DROP TRIGGER audit_is; DROP TRIGGER audit_chained; \
             DROP INDEX audit_sequence;"
        ),
        &format!("{common} ALTER TABLE audit DISABLE TRIGGER USER; DROP INDEX audit_sequence;"),
    );
    let columns = "tenant, at, caller, action, token, request_id, event, outcome";
    let copied = |sequence: &str| {
        format!(
            "INSERT INTO audit ({columns}, sequence, hash) \
             SELECT {columns}, {sequence}, hash FROM audit WHERE sequence = 8;"
        )
    };
    let anchor = ["--tenant", TENANT, "--anchor", &head];
    let none: [&str; 0] = [];
    let changed = "it is not the record that was chained";
    for (sql, arguments, place, why) in [
        ("UPDATE audit SET caller = 'nobody' WHERE sequence = 3".to_owned(), &none[..], 3, changed),
        ("UPDATE audit SET at = at + 1 WHERE sequence = 1".to_owned(), &none, 1, changed),
        ("UPDATE audit SET token = 'x' WHERE sequence = 8".to_owned(), &none, 8, changed),
        ("UPDATE audit SET hash = 'x' WHERE sequence = 2".to_owned(), &none, 2, changed),
        ("DELETE FROM audit WHERE sequence = 4".to_owned(), &none, 4, "later ones are there"),
        ("UPDATE audit SET sequence = NULL WHERE sequence = 6".to_owned(), &none, 6, "later ones"),
        ("DELETE FROM audit WHERE sequence > 5".to_owned(), &none, 6, "all that followed"),
        ("DELETE FROM audit".to_owned(), &none, 1, "all that followed"),
        (copied("9"), &none, 9, "it was put in"),
        (copied("3"), &none, 3, "it was put in"),
        (copied("0"), &none, 0, "it was put in"),
        ("UPDATE audit_heads SET hash = 'x'".to_owned(), &none, 8, "the chain's head"),
        (
            "DELETE FROM audit WHERE sequence > 5; UPDATE audit_heads SET sequence = 5, \
             hash = (SELECT hash FROM audit WHERE sequence = 5)"
                .to_owned(),
            &anchor,
            6,
            "all that followed",
        ),
    ] {
        execute(&bridge, &sql, &sql);
        let (whole, text) = verify(&bridge, arguments);
        let told = text.contains(&format!("BROKEN at record {place}: ")) && text.contains(why);
        assert!(!whole && told, "{sql}: {text}");
        let back = "DELETE FROM audit; DELETE FROM audit_heads; \
                    INSERT INTO audit_heads SELECT * FROM kept_heads; INSERT INTO audit ";
        execute(
            &bridge,
            &format!("{back} SELECT * FROM kept;"),
            &format!("{back} OVERRIDING SYSTEM VALUE SELECT * FROM kept;"),
        );
        assert!(verify(&bridge, &anchor).0, "{sql} was taken back");
    }
    // Cut with its head, and nothing noted elsewhere: that cannot be known.
    let (whole, text) = verify(&bridge, &["--tenant", "nobody's"]);
    assert!(whole && text.contains("nothing is chained"), "{text}");
    let late = copied("NULL");
    execute(&bridge, &late, &late);
    let (whole, text) = verify(&bridge, &none);
    assert!(whole && text.contains("not chained yet: 1, since 20"), "{text}");
}

/// What the database holds, as text.
fn dump(bridge: &TestBridge) -> String {
    let tables = match bridge.database_url() {
        Some(_) => "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = 'public'",
        None => "SELECT name FROM sqlite_schema WHERE type = 'table'",
    };
    let mut found = Vec::new();
    for table in bridge.query(tables) {
        let rows = if bridge.database_url().is_some() {
            bridge.query(&format!("SELECT CAST(t AS TEXT) FROM {table} t"))
        } else {
            let columns = bridge.query(&format!("SELECT name FROM pragma_table_info('{table}')"));
            let columns: Vec<String> =
                columns.iter().map(|name| format!("COALESCE({name}, '')")).collect();
            bridge.query(&format!("SELECT {} FROM {table}", columns.join(" || '|' || ")))
        };
        found.push(format!("{table}: {rows:?}\n"));
    }
    found.concat()
}

#[test]
fn a_deleted_user_is_forgotten_with_all_generations() {
    let beta = crate::support::bridge::digest("of-beta");
    let settings = Settings::local().rest(&format!(
        "[[tenant]]\nname = \"beta\"\n[[tenant.token]]\nname = \"b\"\nsha256 = \"{beta}\"\n\
         permissions = [\"*\"]\n"
    ));
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let mut other =
        crate::support::client::Client::new(bridge.address(), "/scim/beta/v2", Some("of-beta"));
    let body = json!({ "userName": "Planted Name", "externalId": "planted-id",
        "emails": [{ "value": "planted@example.org" }] });
    let forget = json!({ "externalId": "planted-id", "userName": "somebody else" });
    let mut ids = Vec::new();
    for _ in 0..2 {
        let id = client.post("/Users", &body).expect(201)["id"].as_str().unwrap().to_owned();
        let told = client.post("/Users/.forget", &forget).expect(409);
        assert!(told["detail"].as_str().unwrap().contains(&id), "{told}");
        client.delete(&format!("/Users/{id}")).expect(204);
        ids.push(id);
    }
    let theirs = other.post("/Users", &body).expect(201)["id"].as_str().unwrap().to_owned();
    other.delete(&format!("/Users/{theirs}")).expect(204);
    // Searches that name the person are kept, too.
    for _ in 0..2 {
        client.query("/Users", &[("filter", "externalId eq \"planted-id\"")]).expect(200);
    }
    assert!(sealed(&bridge));
    assert!(!dump(&bridge).contains("planted"), "no more than a keyed digest is kept");
    assert!(list(&bridge, &["--tenant", TENANT]).iter().all(|one| one["person"].is_string()));

    // Where paths hold ids, nobody is named otherwise.
    client.post("/Users/planted-id/forget", &json!({})).expect(202);
    assert_eq!(list(&bridge, &["--tenant", TENANT]).len(), 4);
    for (body, status) in [
        (json!({ "userName": "Planted Name" }), 400),
        (json!({ "externalId": "" }), 400),
        (json!({ "externalId": 7 }), 400),
        (json!({ "externalId": "PLANTED-ID" }), 404),
        (forget.clone(), 204),
        (forget.clone(), 404),
    ] {
        client.post("/Users/.forget", &body).expect(status);
    }
    let trail = list(&bridge, &["--tenant", TENANT]);
    let events: Vec<&str> = trail.iter().map(|one| one["event"].as_str().unwrap()).collect();
    assert_eq!(
        events,
        ["createUser", "deleteUser", "createUser", "deleteUser", "forgetUser"],
        "nothing of the trail goes"
    );
    assert!(trail.iter().all(|one| one["person"].is_null()), "{trail:?}");
    let text = dump(&bridge);
    assert!(ids.iter().all(|id| !text.contains(id)), "{text}");
    assert!(sealed(&bridge));
    let (whole, text) = verify(&bridge, &[]);
    assert!(whole, "{text}");

    // What another tenant knows is its own.
    assert_eq!(list(&bridge, &["--tenant", "beta", "--person", &theirs]).len(), 2);
    other.post("/Users/.forget", &forget).expect(204);
    assert_eq!(list(&bridge, &["--tenant", "beta", "--person", &theirs]).len(), 0);
    let mut plain = bridge.client_as("of-beta");
    plain.post("/Users/.forget", &forget).expect(401);
}

#[test]
fn a_bound_user_is_forgotten_with_the_tombstone() {
    let bridge = TestBridge::start(&Settings::over(Slapd::shared()));
    let mut client = bridge.client();
    let person = company::person(21);
    let id = format!("corp.{}", person.entry_uuid);
    let path = format!("/Users/{id}");
    let nickname = json!({ "Operations": [{ "op": "add", "path": "nickName", "value": "N" }] });
    client.patch(&path, &nickname).expect(200);
    let forget = json!({ "externalId": person.uid });
    client.post("/Users/.forget", &forget).expect(409);
    client.delete(&path).expect(204);
    client.patch(&path, &nickname).expect(404);
    assert_eq!(count(&bridge, "links"), 1);

    client.post("/Users/.forget", &forget).expect(204);
    assert_eq!(count(&bridge, "links") + count(&bridge, "departed"), 0);
    assert_eq!(count(&bridge, "audit_persons"), 0);
    client.post("/Users/.forget", &forget).expect(404);
    // The person is the directory's still, and a stranger here.
    assert_eq!(client.get(&path).expect(200)["userType"], "LDAP");
    client.patch(&path, &nickname).expect(200);
    // Bound again, the next generation is not forgotten with the last one.
    client.delete(&path).expect(204);
    let bind =
        json!({ "userRepositoryId": "corp", "externalId": person.uid, "userName": person.uid });
    client.post("/Users", &bind).expect(201);
    client.post("/Users/.forget", &forget).expect(409);
    client
        .patch(
            &path,
            &json!({ "Operations": [
        { "op": "add", "path": "externalId", "value": "another" }] }),
        )
        .expect(200);
    let told = client.post("/Users/.forget", &forget).expect(409);
    assert!(told["detail"].as_str().unwrap().contains(&id), "{told}");
    client.delete(&path).expect(204);
    client.post("/Users/.forget", &json!({ "externalId": "another" })).expect(204);
    assert_eq!(count(&bridge, "links") + count(&bridge, "audit_persons"), 0);
    assert!(sealed(&bridge) && verify(&bridge, &[]).0);
}

#[test]
fn one_request_deletes_and_forgets_whoever_is_named() {
    let settings = Settings::over(Slapd::shared()).tenant("path_id = \"any\"\ndelete = \"soft\"");
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let person = company::person(22);
    let long = format!("corp.{}", person.entry_uuid);
    let nickname = json!({ "Operations": [{ "op": "add", "path": "nickName", "value": "N" }] });
    let mut made = |name: &str| {
        let body = json!({ "userName": name, "externalId": format!("x {name}"),
            "emails": [{ "value": format!("{name}@example.org") }] });
        let user = client.post("/Users", &body).expect(201);
        user["id"].as_str().unwrap().to_owned()
    };
    let ids = ["a", "b", "c", "d", "e"].map(&mut made);
    let mut client = bridge.client();
    client.patch(&format!("/Users/{long}"), &nickname).expect(200);
    client.delete(&format!("/Users/{}", ids[4])).expect(204);
    client.post("/Users/.forget", &json!({ "externalId": "x e" })).expect(409);
    let left = count(&bridge, "audit_persons");
    for name in [&ids[0], "B", "C@example.org", "x%20d", &ids[4], &long, "nobody", &ids[0]] {
        client.post(&format!("/Users/{name}/forget"), &json!({})).expect(202);
    }
    assert_eq!((left, count(&bridge, "audit_persons")), (6, 0));
    assert_eq!(client.get("/Users").expect(200)["totalResults"], 0);
    assert_eq!(client.get(&format!("/Users/{long}")).expect(200)["userType"], "LDAP");
    // A person whom only the directory knows is not named by this.
    client.post(&format!("/Users/{}/forget", person.uid), &json!({})).expect(202);
    assert_eq!(client.get(&format!("/Users/{long}")).expect(200)["userType"], "LDAP");

    for name in ["one", "two"] {
        let mut body = user(name);
        body["emails"] = json!([{ "value": "shared@example.org" }]);
        client.post("/Users", &body).expect(201);
    }
    client.post("/Users/shared@example.org/forget", &json!({})).expect(409);
    assert!(sealed(&bridge) && verify(&bridge, &[]).0);
}
