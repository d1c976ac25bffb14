//! What an agent that provisions sends, on a bridge without directories: does anybody have the name, the
//! user, a change of it, a soft deletion.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;

use crate::load::{Shot, fire};
use crate::support::bridge::{Settings, TOKEN, TestBridge};
use crate::{CONNECTIONS, SERVER_CPU, line, median, pin};

/// More than are made in all rounds.
const USERS: usize = 120_000;
const ROUNDS: usize = 5;
const SECOND: Duration = Duration::from_secs(1);
/// Requests a second of each kind that are wanted.
const WANTED: f64 = 1_000.0;

pub fn run() {
    let bridge = TestBridge::start(&Settings::local().token_line("client = \"entra\""));
    pin(bridge.pid(), SERVER_CPU);
    let address: SocketAddr = bridge.address().parse().expect("an address");
    let mut client = bridge.client();
    let ids: Vec<String> = (0..500)
        .map(|number| {
            let made = client.post("/Users", &json!({ "userName": format!("first{number}") }));
            made.expect(201)["id"].as_str().expect("an id").to_owned()
        })
        .collect();
    let mut creates: Vec<Shot> = (0..USERS).map(create).collect();
    let nobody: Vec<Shot> = (0..USERS).map(nobody).collect();
    let changes = patches(
        &ids,
        |round| json!({ "op": "Replace", "path": "displayName", "value": round.to_string() }),
    );
    let disabling = patches(
        &ids,
        |round| json!({ "op": "Replace", "path": "active", "value": if round == 0 { "False" } else { "True" } }),
    );
    let mut rows = Vec::with_capacity(ROUNDS);
    println!("round  name asked for   created   changed  disabled   (per second)");
    for round in 0..ROUNDS {
        let asked = fire(address, CONNECTIONS, SECOND, &nobody[USERS / ROUNDS * round..]);
        let create = fire(
            address,
            CONNECTIONS,
            SECOND,
            &creates.split_off(USERS / ROUNDS * (ROUNDS - 1 - round)),
        );
        let change = fire(address, CONNECTIONS, SECOND, &changes);
        let disable = fire(address, CONNECTIONS, SECOND, &disabling);
        let row = [&asked, &create, &change, &disable].map(|rate| rate.per_second);
        println!(
            "{round:>5}  {:>14.0}  {:>8.0}  {:>8.0}  {:>8.0}   created p99 {:?}",
            row[0], row[1], row[2], row[3], create.p99
        );
        rows.push(row);
    }
    for (at, what) in
        ["names asked for", "users created", "users changed", "users disabled or enabled"]
            .into_iter()
            .enumerate()
    {
        line(&format!("{what} / {WANTED} a second"), median(&rows, |row| row[at] / WANTED), 1.0);
    }
}

fn nobody(number: usize) -> Shot {
    let path = format!("/scim/acme/v2/Users?filter=userName%20eq%20%22new{number}%22");
    Shot::get(&path, TOKEN, "\"totalResults\":")
}

fn create(number: usize) -> Shot {
    let name = format!("new{number}@example.com");
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User",
                    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
        "externalId": format!("new{number}"), "userName": name, "active": true,
        "emails": [{ "primary": true, "type": "work", "value": name }],
        "name": { "formatted": "New Person", "familyName": "Person", "givenName": "New" },
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": { "department": "Sales" },
    });
    Shot::send("POST", "/scim/acme/v2/Users", TOKEN, &body.to_string(), 201, &name)
}

/// A change of each, and then one back.
fn patches(ids: &[String], operation: impl Fn(usize) -> serde_json::Value) -> Vec<Shot> {
    let patch = |(round, id): (usize, &String)| {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [operation(round)],
        });
        Shot::send("PATCH", &format!("/scim/acme/v2/Users/{id}"), TOKEN, &body.to_string(), 200, id)
    };
    (0..2).flat_map(|round| ids.iter().map(move |id| (round, id))).map(patch).collect()
}
