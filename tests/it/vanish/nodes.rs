//! Two bridges on one PostgreSQL: one of them looks for everybody, and another one goes on when it
//! is gone.

use super::{
    SOON, active, bind, comes_to_be, deleted, health_comes_to_be, is_looked_for, reads, settings,
};
use crate::support::bridge::TestBridge;
use crate::support::eventually;
use crate::support::postgres::{Postgres, query};
use crate::support::slapd::Slapd;

#[test]
fn one_node_looks_for_everybody_and_another_one_goes_on() {
    let slapd = Slapd::company(10);
    let url = Postgres::shared().database();
    let settings = settings(&slapd.url())
        .with("cache = { fresh = \"1s\", negative = \"1s\" }")
        .store(&format!("url = {url:?}"));
    let mut first = TestBridge::start(&settings);
    bind(&mut first.client(), &[2, 4]);
    is_looked_for(&first);
    let second = TestBridge::start(&settings);
    let mut client = second.client();
    assert_eq!(active(&mut client, 2), true);
    let before = reads(&second);
    is_looked_for(&first);
    assert_eq!(reads(&second), before, "one looks, for both");
    slapd.modify(&deleted(2));
    comes_to_be(&first, 2, false);
    comes_to_be(&second, 2, false);
    let vanished = "SELECT action FROM audit WHERE action = 'user.vanish'";
    assert_eq!(query(&url, vanished).len(), 1);

    first.kill9();
    slapd.modify(&deleted(4));
    assert!(eventually(SOON, || active(&mut client, 4) == false), "{}", second.log());
    assert_eq!(query(&url, vanished).len(), 2);
    drop((first, second));
    Postgres::shared().drop_database(&url);
}

#[test]
fn what_one_node_takes_back_another_one_hears_of() {
    let slapd = Slapd::company(10);
    let url = Postgres::shared().database();
    let settings = settings(&slapd.url())
        .tenant("vanish_brake = { percent = 0, at_least = 1 }")
        .store(&format!("url = {url:?}"));
    let first = TestBridge::start(&settings);
    bind(&mut first.client(), &[2, 4, 6]);
    is_looked_for(&first);
    let second = TestBridge::start(&settings);
    slapd.modify(&deleted(2));
    for bridge in [&first, &second] {
        comes_to_be(bridge, 2, false);
    }
    slapd.modify(&deleted(4));
    health_comes_to_be(&first, "vanishBrake", "on");
    for bridge in [&first, &second] {
        comes_to_be(bridge, 2, true);
    }
    drop((first, second));
    Postgres::shared().drop_database(&url);
}
