//! Too many at once: all are kept, and operators are told.

use super::{
    active, bind, comes_to_be, count, deleted, dn, health, health_comes_to_be, is_looked_for,
    reconfigure, settings,
};
use crate::support::bridge::TestBridge;
use crate::support::eventually;
use crate::support::slapd::Slapd;

const TWO: &str = "vanish_brake = { percent = 0, at_least = 2 }";
const BOUND: [usize; 5] = [2, 4, 6, 8, 10];

fn start(slapd: &Slapd) -> TestBridge {
    let bridge = TestBridge::start(&settings(&slapd.url()).tenant(TWO));
    bind(&mut bridge.client(), &BOUND);
    bridge
}

#[test]
fn more_than_the_brake_allows_are_kept_until_some_come_back() {
    let slapd = Slapd::company(20);
    let bridge = start(&slapd);
    let entry = slapd.entry(&dn(2));
    slapd.modify(&[2, 4, 6].map(deleted).concat());
    health_comes_to_be(&bridge, "vanishBrake", "on");
    health_comes_to_be(&bridge, "suspected", 3);
    is_looked_for(&bridge);
    for number in BOUND {
        assert_eq!(active(&mut bridge.client(), number), true, "{}", bridge.log());
    }
    assert_eq!(count(&bridge, "user.vanish"), count(&bridge, "user.return"));
    assert!(bridge.log().contains("vanish.brake"));
    let metrics = bridge.stranger().get("/metrics").text();
    for gauge in ["vanish_brake", "suspected"] {
        let of = format!("scimbridge_repository_{gauge}{{tenant=\"acme\",repository=\"corp\"}} ");
        let told = metrics.lines().find_map(|line| line.strip_prefix(&of));
        assert_eq!(told, Some(if gauge == "suspected" { "3" } else { "1" }), "{metrics}");
    }

    slapd.restore(&entry);
    for number in [4, 6] {
        comes_to_be(&bridge, number, false);
    }
    assert_eq!(active(&mut bridge.client(), 2), true);
    health_comes_to_be(&bridge, "vanishBrake", "off");
}

#[test]
fn who_left_shortly_before_is_taken_back_and_a_higher_brake_lets_all_go() {
    let slapd = Slapd::company(20);
    let mut bridge = start(&slapd);
    slapd.modify(&[2, 4].map(deleted).concat());
    for number in [2, 4] {
        comes_to_be(&bridge, number, false);
    }
    slapd.modify(&deleted(6));
    health_comes_to_be(&bridge, "vanishBrake", "on");
    for number in [2, 4, 6] {
        comes_to_be(&bridge, number, true);
    }
    assert_eq!((count(&bridge, "user.vanish"), count(&bridge, "user.return")), (2, 2));
    let told = "SELECT COALESCE(detail, '') FROM audit WHERE action = 'user.return'";
    assert_eq!(bridge.query(told), ["vanish_brake", "vanish_brake"]);
    // Over a restart too.
    bridge.restart();
    health_comes_to_be(&bridge, "vanishBrake", "on");
    is_looked_for(&bridge);
    for number in BOUND {
        assert_eq!(active(&mut bridge.client(), number), true, "{}", bridge.log());
    }
    reconfigure(&mut bridge, TWO, "vanish_brake = { percent = 0, at_least = 3 }");
    for number in [2, 4, 6] {
        comes_to_be(&bridge, number, false);
    }
    assert_eq!(health(&bridge)["vanishBrake"], "off");
}

#[test]
fn where_all_are_to_be_kept_nobody_is_ever_out() {
    let slapd = Slapd::company(10);
    let mut bridge = start(&slapd);
    slapd.modify(&deleted(2));
    comes_to_be(&bridge, 2, false);
    reconfigure(&mut bridge, TWO, "on_vanish = \"keep\"");
    comes_to_be(&bridge, 2, true);
    slapd.modify(&[4, 6, 8].map(deleted).concat());
    health_comes_to_be(&bridge, "suspected", 4);
    is_looked_for(&bridge);
    for number in BOUND {
        assert_eq!(active(&mut bridge.client(), number), true, "{}", bridge.log());
    }
    assert_eq!(health(&bridge)["vanishBrake"], "off");
    assert_eq!((count(&bridge, "user.vanish"), count(&bridge, "user.return")), (1, 1));
    assert!(eventually(super::SOON, || health(&bridge)["vanished"] == 0));
}
