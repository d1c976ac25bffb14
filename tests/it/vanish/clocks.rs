//! Clocks that are set back, and programs that were out of order for a while.

use serde_json::json;

use super::{
    SOON, active, bind, comes_to_be, count, deleted, dn, health, path, reconfigure, set, settings,
};
use crate::support::bridge::TestBridge;
use crate::support::eventually;
use crate::support::slapd::Slapd;

const UNCACHED: &str = "cache = { fresh = \"0s\", negative = \"0s\" }";

/// Whatever was noted of the links was noted in times to come, as it is when the clock is set back by
/// a year.
fn set_back(bridge: &mut TestBridge) {
    bridge.kill9();
    let later = ["seen", "verified", "missing", "vanished"]
        .map(|column| format!("{column} = {column} + 31536000000"));
    let change = format!("UPDATE links SET {} RETURNING entry_key", later.join(", "));
    assert_eq!(bridge.query(&change).len(), 2);
}

/// Two people are bound, and the first one has left.
fn one_left(slapd: &Slapd) -> (TestBridge, String) {
    let bridge = TestBridge::start(&settings(&slapd.url()).with(UNCACHED));
    bind(&mut bridge.client(), &[2, 4]);
    let entry = slapd.entry(&dn(2));
    slapd.modify(&deleted(2));
    comes_to_be(&bridge, 2, false);
    (bridge, entry)
}

#[test]
fn who_is_there_again_comes_back_although_the_clock_was_set_back() {
    let slapd = Slapd::company(10);
    let (mut bridge, entry) = one_left(&slapd);
    set_back(&mut bridge);
    bridge.restart();
    slapd.restore(&entry);
    comes_to_be(&bridge, 2, true);
    assert!(eventually(SOON, || count(&bridge, "user.return") == 1), "{}", bridge.log());
}

#[test]
fn who_leaves_is_out_although_the_clock_was_set_back() {
    let slapd = Slapd::company(10);
    let (mut bridge, _) = one_left(&slapd);
    set_back(&mut bridge);
    bridge.restart();
    slapd.modify(&deleted(4));
    comes_to_be(&bridge, 4, false);
    assert_eq!(active(&mut bridge.client(), 2), false);
}

#[test]
fn a_write_proves_that_somebody_is_there_although_the_clock_was_set_back() {
    let slapd = Slapd::company(10);
    let (mut bridge, entry) = one_left(&slapd);
    set_back(&mut bridge);
    reconfigure(&mut bridge, "verify = \"500ms\"", "verify = \"1h\"");
    slapd.restore(&entry);
    let written = bridge.client().patch(&path(2), &set("nickName", "back")).expect(200);
    assert_eq!((&written["active"], &written["nickName"]), (&json!(true), &json!("back")));
    assert_eq!(bridge.audit()[3..], ["user.return", "user.modify"]);
}

#[test]
fn how_long_nobody_was_looked_for_is_told_while_the_database_is_out_of_order() {
    let slapd = Slapd::company(10);
    let bridge = TestBridge::start(&settings(&slapd.url()));
    bind(&mut bridge.client(), &[2]);
    let age = || health(&bridge)["verifiedSecondsAgo"].as_u64();
    assert!(eventually(SOON, || age() == Some(0)), "{}", bridge.log());
    bridge.query("ALTER TABLE links RENAME TO hidden");
    assert!(eventually(SOON, || age() >= Some(3)), "{}", bridge.log());
    bridge.query("ALTER TABLE hidden RENAME TO links");
    assert!(eventually(SOON, || age() <= Some(1)), "{}", bridge.log());
}
