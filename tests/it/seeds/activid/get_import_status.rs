//! "Get Import Status". It speaks of "a device import request" once, where users are meant.

use std::time::Duration;

use serde_json::{Value, json};

use super::import_users::{import, user};
use super::sample::{compare, ours};
use super::tenant;
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;
use crate::support::eventually;
use crate::support::slapd::Slapd;

/// What a job may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);
const DOCUMENTED: &str = "1P5FOESDK44J6Q0QAHK2";

fn status(client: &mut Client, correlation: &str) -> Value {
    client.get(&format!("/Users/.import/{correlation}")).expect(200)
}

/// The status of an import that has ended.
pub fn ended(client: &mut Client, correlation: &str) -> Value {
    let mut told = Value::Null;
    let over = eventually(PATIENCE, || {
        told = status(client, correlation);
        told["status"] != "importing"
    });
    assert!(over, "{told}");
    told
}

/// "Sample response where the import has finished": 20 of 500 are there already.
#[test]
fn sample_response_where_the_import_has_finished() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let rows: Vec<Value> = (0..500).map(user).collect();
    let before = import(&mut client, &rows[..20]);
    assert_eq!(ended(&mut client, &before)["nbImported"], 20);
    let correlation = import(&mut client, &rows);
    let shown = ended(&mut client, &correlation);
    let response = json!({
        "schemas": ["urn:hid:scim:api:idp:2.0:user:ImportResponse"],
        "correlationId": "1P5FOESDK44J6Q0QAHK2",
        "status": "done",
        "importSize": 500,
        "nbFailed": 0,
        "nbAlreadyExisted": 20,
        "nbImported": 480,
    });
    let more = shown["urn:scimbridge:api:messages:2.0:Import"].clone();
    assert_eq!((&more["totalResults"], &more["rows"][19]["name"]), (&json!(20), &json!("bb0_19")));
    compare(
        &response,
        &shown,
        &[(&correlation, DOCUMENTED)],
        &[ours(
            "/urn:scimbridge:api:messages:2.0:Import",
            more,
            "which rows made no user, and why",
        )],
    );
    // "failed": nothing came of it.
    let hopeless = import(&mut client, &[json!({ "title": "nobody" })]);
    let told = ended(&mut client, &hopeless);
    assert_eq!((&told["status"], &told["nbFailed"]), (&json!("failed"), &json!(1)));
    assert_eq!(client.get(&format!("/Users/.import/{DOCUMENTED}")).status, 404);
}

/// "Sample response where the import request is still in progress". A directory that might know the
/// people does not answer, so that both requests wait; they are done one after the other, also where
/// "the server might have rebooted", by which here none is lost.
#[test]
fn sample_response_where_the_import_request_is_still_in_progress() {
    let slapd = Slapd::company(20);
    let mut bridge = TestBridge::start(&tenant(Settings::over(&slapd)));
    let mut client = bridge.client();
    slapd.kill();
    let rows: Vec<Value> = (0..510).map(user).collect();
    let first = import(&mut client, &rows[..500]);
    let second = import(&mut client, &rows[500..]);
    let response = json!({
        "schemas": ["urn:hid:scim:api:idp:2.0:user:ImportResponse"],
        "correlationId": "1P5FOESDK44J6Q0QAHK2",
        "status": "importing",
        "importSize": 500,
        "nbProcessed": 82,
    });
    let processed = [ours("/nbProcessed", 0, "none can be, so long as the directory is silent")];
    compare(&response, &status(&mut client, &first), &[(&first, DOCUMENTED)], &processed);
    assert_eq!(status(&mut client, &second)["nbProcessed"], 0);
    bridge.restart();
    let mut client = bridge.client();
    compare(&response, &status(&mut client, &first), &[(&first, DOCUMENTED)], &processed);
    slapd.restart();
    assert_eq!(ended(&mut client, &second)["nbImported"], 10);
    assert_eq!(status(&mut client, &first)["nbImported"], 500, "first in, first out");
    let made = "SELECT correlation_id FROM audit WHERE event = 'createUser' ORDER BY key";
    let mut made = bridge.query(made);
    made.dedup();
    assert_eq!(made, [first, second]);
}
