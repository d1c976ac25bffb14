//! A source that fails, hides, or is another one never disables anybody.

use super::{
    active, bind, comes_to_be, count, deleted, health, health_comes_to_be, is_looked_for,
    reconfigure, record, settings,
};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::company;
use crate::support::slapd::{READER, SUFFIX, Slapd};

const QUICK: &str = "timeouts = { connect = \"1s\", operation = \"1s\" }\n\
                     cache = { fresh = \"0s\", negative = \"0s\", stale = \"0s\" }";
const BOUND: [usize; 3] = [2, 4, 6];

fn start(slapd: &Slapd) -> TestBridge {
    let bridge = TestBridge::start(&settings(&slapd.url()).with(QUICK));
    bind(&mut bridge.client(), &BOUND);
    bridge
}

#[track_caller]
fn nobody_left(bridge: &TestBridge) {
    for number in BOUND {
        assert_eq!(active(&mut bridge.client(), number), true, "{}", bridge.log());
    }
    assert_eq!(count(bridge, "user.vanish"), 0);
}

/// The watch works: who is really deleted is out.
#[track_caller]
fn and_who_leaves_is_seen(bridge: &TestBridge, slapd: &Slapd) {
    slapd.modify(&deleted(2));
    comes_to_be(bridge, 2, false);
    assert_eq!(active(&mut bridge.client(), 4), true);
}

#[test]
fn a_server_that_is_down_or_hangs() {
    let slapd = Slapd::company(10);
    let bridge = start(&slapd);
    slapd.kill();
    is_looked_for(&bridge);
    nobody_left(&bridge);
    slapd.restart();
    slapd.stop();
    is_looked_for(&bridge);
    slapd.cont();
    nobody_left(&bridge);
    and_who_leaves_is_seen(&bridge, &slapd);
}

#[test]
fn a_right_to_read_that_was_lost() {
    let slapd = Slapd::company(10);
    let bridge = start(&slapd);
    for what in ["subtree", "children"] {
        // With the entry at the base, and without.
        let lost = format!("access to dn.{what}=\"ou=people,{SUFFIX}\" by * auth\n");
        slapd.reconfigure(&lost);
        is_looked_for(&bridge);
        nobody_left(&bridge);
        assert_eq!(health(&bridge)["suspected"], 0, "{what}");
    }
    for attribute in ["entryUUID", "objectClass"] {
        slapd.reconfigure(&format!("access to attrs={attribute} by * auth\n"));
        is_looked_for(&bridge);
        nobody_left(&bridge);
    }
    slapd.reconfigure("");
    and_who_leaves_is_seen(&bridge, &slapd);
}

#[test]
fn a_base_that_is_not_there() {
    let slapd = Slapd::company(10);
    let bridge = start(&slapd);
    let renamed = |from: &str, to: &str| {
        let rest = format!("changetype: modrdn\nnewrdn: ou={to}\ndeleteoldrdn: 1");
        slapd.modify(&record(&format!("ou={from},{SUFFIX}"), &rest));
    };
    renamed("people", "others");
    is_looked_for(&bridge);
    nobody_left(&bridge);
    renamed("others", "people");
    and_who_leaves_is_seen(&bridge, &slapd);
}

#[test]
fn another_base_in_the_configuration() {
    let slapd = Slapd::company(20);
    let mut bridge = start(&slapd);
    let elsewhere = (1..20)
        .map(company::person)
        .find(|other| BOUND.iter().all(|bound| company::person(*bound).unit != other.unit));
    let unit = elsewhere.unwrap().unit;
    let people = format!("base = \"ou=people,{SUFFIX}\"");
    let part = format!("base = \"ou={unit},ou=people,{SUFFIX}\"");
    reconfigure(&mut bridge, &people, &part);
    is_looked_for(&bridge);
    nobody_left(&bridge);
    assert_eq!(health(&bridge)["suspected"], 0);
    // Nor where it was not kept yet by what base somebody was seen.
    bridge.kill9();
    bridge.query("UPDATE links SET scope = NULL RETURNING entry_key");
    bridge.restart();
    is_looked_for(&bridge);
    nobody_left(&bridge);
    assert_eq!(health(&bridge)["suspected"], 0);
    health_comes_to_be(&bridge, "neverSeen", 3);
    assert!(bridge.log().contains("vanish.never_seen"));
    reconfigure(&mut bridge, &part, &people);
    health_comes_to_be(&bridge, "neverSeen", 0);
    is_looked_for(&bridge);
    and_who_leaves_is_seen(&bridge, &slapd);
}

#[test]
fn a_replica_that_is_still_empty() {
    let (slapd, empty) = (Slapd::company(10), Slapd::company(1));
    empty.modify(&deleted(1));
    let urls = format!("urls = [{:?}, {:?}]", slapd.url(), empty.url());
    let settings = settings(&slapd.url()).with(QUICK);
    let text = format!("urls = [{:?}]", slapd.url());
    let mut bridge = TestBridge::start(&settings);
    bind(&mut bridge.client(), &BOUND);
    reconfigure(&mut bridge, &text, &urls);
    is_looked_for(&bridge);
    let searches = empty.searches();
    slapd.kill();
    is_looked_for(&bridge);
    assert!(empty.searches() > searches, "the replica was asked");
    nobody_left(&bridge);
    assert_eq!(health(&bridge)["suspected"], 0);
    slapd.restart();
    nobody_left(&bridge);
}

#[test]
fn an_answer_that_a_limit_cuts() {
    let slapd = Slapd::company(10);
    let bridge = start(&slapd);
    slapd.reconfigure(&format!("limits dn.exact=\"{READER}\" size=1 size.prtotal=1\n"));
    is_looked_for(&bridge);
    nobody_left(&bridge);
    and_who_leaves_is_seen(&bridge, &slapd);
}

#[test]
fn a_repository_that_is_no_longer_configured() {
    let slapd = Slapd::company(10);
    let settings = Settings::local()
        .tenant(super::GRACE)
        .repository("corp", &slapd.url())
        .with(super::VERIFY)
        .repository("labs", &slapd.url())
        .with(super::VERIFY);
    let mut bridge = TestBridge::start(&settings);
    bind(&mut bridge.client(), &BOUND);
    reconfigure(&mut bridge, "id = \"corp\"", "id = \"other\"");
    slapd.modify(&deleted(2));
    let mut client = bridge.client();
    client
        .patch(&super::path(4).replace("corp.", "labs."), &super::set("nickName", "x"))
        .expect(200);
    is_looked_for(&bridge);
    nobody_left(&bridge);
    let user = client.get(&super::path(2)).expect(200);
    assert_eq!(user[super::SOURCE]["state"], "unavailable");
    // Configured again, it tells who left meanwhile.
    reconfigure(&mut bridge, "id = \"other\"", "id = \"corp\"");
    comes_to_be(&bridge, 2, false);
    health_comes_to_be(&bridge, "vanished", 1);
}
