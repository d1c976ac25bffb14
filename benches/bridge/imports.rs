//! Look-ups and single writes while an import is under way, against the same while nothing is.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;
use crate::{line, median};

/// Users who are looked up and written to.
const USERS: usize = 200;
/// Rows of an import; more than what is done while it is looked at.
const ROWS: usize = 40_000;
const ROUNDS: usize = 5;
const LOOK_UPS: usize = 1_500;
const WRITES: usize = 400;
/// Between two requests: somebody is there, and keeps no processor busy.
const REST: Duration = Duration::from_millis(2);

pub fn run() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let users: Vec<String> = (0..USERS)
        .map(|number| {
            let user = json!({ "userName": name(number) });
            client.post("/Users", &user).expect(201)["id"].as_str().expect("an id").to_owned()
        })
        .collect();
    let group = client.post("/Groups", &json!({ "displayName": "Imported" })).expect(201);
    let mut ratios = Vec::with_capacity(ROUNDS);
    println!("round   look-up p99  during an import   write p99  during an import   rows a second");
    for round in 0..ROUNDS {
        let quiet = measured(&mut client, &users, &format!("{round} quiet"));
        let job = import(&mut client, round, &group["id"]);
        let begin = (Instant::now(), processed(&mut client, &job));
        let during = measured(&mut client, &users, &format!("{round} during"));
        let told = client.get(&job).expect(200);
        assert_eq!(told["status"], "importing", "it ended before it was measured");
        let rows = processed(&mut client, &job) - begin.1;
        let a_second = rows / begin.0.elapsed().as_secs_f64();
        client.delete(&job).expect(204);
        println!(
            "{round:>5}  {:>12?}  {:>16?}  {:>10?}  {:>16?}  {a_second:>14.0}",
            quiet[0], during[0], quiet[1], during[1]
        );
        ratios.push([0, 1].map(|at| during[at].as_secs_f64() / quiet[at].as_secs_f64()));
    }
    line("p99 of look-ups during an import / quiet", median(&ratios, |ratio| ratio[0]), 3.0);
    line("p99 of writes during an import / quiet", median(&ratios, |ratio| ratio[1]), 3.0);
}

/// The 99th percentiles of look-ups by name and of writes that change something.
fn measured(client: &mut Client, users: &[String], mark: &str) -> [Duration; 2] {
    let look_ups = percentile(LOOK_UPS, |number| {
        let list =
            client.get(&format!("/Users?filter=userName%20eq%20%22{}%22", name(number % USERS)));
        assert_eq!(list.expect(200)["totalResults"], 1);
    });
    let writes = percentile(WRITES, |number| {
        let patch = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{ "op": "replace", "path": "nickName", "value": format!("{mark} {number}") }]
        });
        client.patch(&format!("/Users/{}", users[number % USERS]), &patch).expect(200);
    });
    [look_ups, writes]
}

fn percentile(count: usize, mut request: impl FnMut(usize)) -> Duration {
    let mut times: Vec<Duration> = (0..count)
        .map(|number| {
            std::thread::sleep(REST);
            let begin = Instant::now();
            request(number);
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[count * 99 / 100]
}

fn name(number: usize) -> String {
    format!("asked{number}")
}

/// Where the job is told of.
fn import(client: &mut Client, round: usize, group: &Value) -> String {
    let row = |number: usize| {
        let name = format!("{round}-{number}");
        json!({ "userName": format!("user{name}"), "externalId": format!("bb0_{name}"),
                "name": { "familyName": "last", "givenName": "first" },
                "emails": [{ "value": format!("email{name}@company.com") }] })
    };
    let users: Vec<Value> = (0..ROWS).map(row).collect();
    let body = json!({ "users": users, "group": { "value": group } });
    let told = client.post("/Users/.import", &body).expect(202);
    format!("/Users/.import/{}", told["correlationId"].as_str().expect("a correlationId"))
}

fn processed(client: &mut Client, job: &str) -> f64 {
    client.get(job).expect(200)["nbProcessed"].as_f64().expect("a number")
}
