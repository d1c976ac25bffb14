//! Who leaves a directory is out, and only who leaves; and the shadow follows what is seen.

mod brake;
mod clocks;
mod leaving;
mod nodes;
mod shadow;
mod staying;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;
use crate::support::slapd::SUFFIX;
use crate::support::{company, eventually};

const SOURCE: &str = "urn:scimbridge:schemas:2.0:Source";
const SOON: Duration = Duration::from_secs(40);
/// Everybody is looked for several times in a second.
const VERIFY: &str = "verify = \"500ms\"";
const GRACE: &str = "vanish_grace = \"500ms\"";

fn settings(url: &str) -> Settings {
    Settings::local().tenant(GRACE).repository("corp", url).with(VERIFY)
}

fn path(number: usize) -> String {
    format!("/Users/corp.{}", company::person(number).entry_uuid)
}

fn dn(number: usize) -> String {
    company::person(number).dn(SUFFIX)
}

/// An LDIF change record.
fn record(dn: &str, rest: &str) -> String {
    use base64::Engine as _;
    format!("dn:: {}\n{rest}\n\n", base64::engine::general_purpose::STANDARD.encode(dn))
}

fn deleted(number: usize) -> String {
    record(&dn(number), "changetype: delete")
}

fn set(attribute: &str, value: impl Into<Value>) -> Value {
    json!({ "Operations": [{ "op": "add", "path": attribute, "value": value.into() }] })
}

fn bind(client: &mut Client, numbers: &[usize]) {
    for number in numbers {
        client.patch(&path(*number), &set("nickName", "bound")).expect(200);
    }
}

fn active(client: &mut Client, number: usize) -> Value {
    client.get(&path(number)).expect(200)["active"].clone()
}

/// Waits until the user is shown as said.
#[track_caller]
fn comes_to_be(bridge: &TestBridge, number: usize, wanted: bool) {
    let mut client = bridge.client();
    assert!(eventually(SOON, || active(&mut client, number) == wanted), "{}", bridge.log());
}

/// What `/health/ready` says of the repository.
fn health(bridge: &TestBridge) -> Value {
    bridge.stranger().get("/health/ready").expect(200)["repositories"][0].clone()
}

#[track_caller]
fn health_comes_to_be(bridge: &TestBridge, key: &str, wanted: impl Into<Value>) {
    let wanted = wanted.into();
    let is = || health(bridge)[key] == wanted;
    assert!(eventually(SOON, is), "{}\n{}", health(bridge), bridge.log());
}

/// How many reads by key the directory was asked for, however they ended.
fn reads(bridge: &TestBridge) -> u64 {
    let metrics = bridge.stranger().get("/metrics").text();
    let counted = "scimbridge_repository_operations_total{";
    let lines = metrics.lines().filter(|line| line.starts_with(counted));
    let reads = lines.filter(|line| line.contains("operation=\"read\""));
    reads.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

/// Waits until everybody has been looked for often enough to have been found gone twice over.
#[track_caller]
pub fn is_looked_for(bridge: &TestBridge) {
    let before = reads(bridge);
    assert!(eventually(SOON, || reads(bridge) > before + 15), "{}", bridge.log());
}

/// How often something was done by the bridge itself.
pub fn count(bridge: &TestBridge, action: &str) -> usize {
    bridge.audit().iter().filter(|one| *one == action).count()
}

/// Changes the configuration and starts the bridge again.
fn reconfigure(bridge: &mut TestBridge, from: &str, to: &str) {
    let file = bridge.directory().join("scimbridge.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    std::fs::write(&file, text.replace(from, to)).unwrap();
    bridge.restart();
}
