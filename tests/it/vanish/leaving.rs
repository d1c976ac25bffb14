//! People who leave, move, come back, or have their login made again for somebody else.

use serde_json::{Value, json};

use super::{
    SOON, SOURCE, active, bind, comes_to_be, count, deleted, dn, health, health_comes_to_be, path,
    reconfigure, record, set, settings,
};
use crate::support::bridge::TestBridge;
use crate::support::client::Client;
use crate::support::slapd::{SUFFIX, Slapd};
use crate::support::{company, eventually};

fn named(client: &mut Client, number: usize, federated: &str) -> Value {
    let filter = format!("userName eq \"{}\"", company::person(number).uid);
    client.query("/Users", &[("filter", &filter), ("searchRepositories", federated)]).expect(200)
}

#[test]
fn who_is_deleted_is_out_keeps_what_is_ours_and_comes_back() {
    let slapd = Slapd::company(20);
    let bridge = TestBridge::start(&settings(&slapd.url()));
    let mut client = bridge.client();
    bind(&mut client, &[2, 4]);
    let before = client.get(&path(2)).expect(200);
    let entry = slapd.entry(&dn(2));
    slapd.modify(&deleted(2));
    // Nobody asks for the person: the list touches no directory.
    let mut lister = bridge.client();
    let mut out = || lister.get("/Users?filter=active%20eq%20false").expect(200);
    assert!(eventually(SOON, || out()["totalResults"] == 1), "{}", bridge.log());

    // What the cache still has of the entry is older than that, and shows nobody.
    let left = client.get(&path(2)).expect(200);
    assert_eq!((&left["active"], &left[SOURCE]["state"]), (&json!(false), &json!("vanished")));
    assert_eq!((&left["nickName"], &left["id"]), (&json!("bound"), &before["id"]));
    assert_eq!(left["userName"], before["userName"]);
    assert_ne!(left["meta"]["version"], before["meta"]["version"]);
    assert_eq!(left["userType"], "FTRESS_LDAP");
    assert_eq!(active(&mut client, 4), true);
    let found = named(&mut client, 2, "true");
    assert_eq!(
        (&found["totalResults"], &found["Resources"][0]["active"]),
        (&1.into(), &json!(false))
    );
    assert_eq!(count(&bridge, "user.vanish"), 1);
    health_comes_to_be(&bridge, "vanished", 1);
    assert_eq!(
        (&health(&bridge)["suspected"], &health(&bridge)["vanishBrake"]),
        (&0.into(), &"off".into())
    );

    // The directory says no; what is ours can be written.
    let refused = client.patch(&path(2), &set("active", true));
    assert_eq!(refused.expect(400)["scimType"], "mutability");
    client.patch(&path(2), &set("nickName", "gone")).expect(200);
    assert_eq!(active(&mut client, 2), false);

    slapd.restore(&entry);
    comes_to_be(&bridge, 2, true);
    let back = client.get(&path(2)).expect(200);
    assert_eq!((&back["nickName"], &back["id"]), (&json!("gone"), &before["id"]));
    assert!(eventually(SOON, || count(&bridge, "user.return") == 1), "{}", bridge.log());
    assert!(eventually(SOON, || out()["totalResults"] == 0), "{}", bridge.log());
    assert_eq!(count(&bridge, "user.vanish"), 1);
    health_comes_to_be(&bridge, "vanished", 0);
}

#[test]
fn a_write_to_who_came_back_is_a_return_first() {
    let slapd = Slapd::company(10);
    // Nobody is looked for but once in a while.
    let settings = settings(&slapd.url()).with("cache = { fresh = \"0s\", negative = \"0s\" }");
    let mut bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    bind(&mut client, &[2, 4]);
    let entry = slapd.entry(&dn(2));
    slapd.modify(&deleted(2));
    comes_to_be(&bridge, 2, false);
    reconfigure(&mut bridge, "verify = \"500ms\"", "verify = \"1h\"");
    let mut client = bridge.client();
    slapd.restore(&entry);
    let written = client.patch(&path(2), &set("nickName", "back")).expect(200);
    assert_eq!((&written["active"], &written["nickName"]), (&json!(true), &json!("back")));
    assert_eq!(bridge.audit()[2..], ["user.vanish", "user.return", "user.modify"]);
}

#[test]
fn who_left_is_read_no_more_for_a_list() {
    let slapd = Slapd::company(10);
    let settings = settings(&slapd.url()).with("cache = { fresh = \"0s\", negative = \"0s\" }");
    let mut bridge = TestBridge::start(&settings);
    bind(&mut bridge.client(), &[2, 4]);
    slapd.modify(&deleted(2));
    comes_to_be(&bridge, 2, false);
    reconfigure(&mut bridge, "verify = \"500ms\"", "verify = \"1h\"");
    let mut client = bridge.client();
    let filter = format!("userName eq \"{}\"", company::person(2).uid);
    // A page of a walk is read as it is shown, and no more than that.
    for (paging, read) in [(("count", "5"), 0), (("cursor", ""), 1)] {
        let before = super::reads(&bridge);
        let parameters = [("filter", &*filter), ("searchRepositories", "true"), paging];
        let found = client.query("/Users", &parameters).expect(200);
        let user = &found["Resources"][0];
        assert_eq!((&user["active"], &user[SOURCE]["state"]), (&json!(false), &json!("vanished")));
        assert_eq!(super::reads(&bridge) - before, read, "{paging:?}");
    }
}

#[test]
fn a_login_that_is_made_again_is_a_new_person() {
    let slapd = Slapd::company(10);
    let bridge = TestBridge::start(&settings(&slapd.url()));
    let mut client = bridge.client();
    bind(&mut client, &[2, 4]);
    let entry = slapd.entry(&dn(2));
    slapd.modify(&deleted(2));
    comes_to_be(&bridge, 2, false);
    let same_but_for_the_key = entry
        .lines()
        .filter(|line| !line.starts_with("entryUUID"))
        .fold(String::new(), |text, line| text + line + "\n");
    slapd.restore(&same_but_for_the_key);
    let mut lister = bridge.client();
    let mut both = || named(&mut lister, 2, "true");
    assert!(eventually(SOON, || both()["totalResults"] == 2), "{}", bridge.log());
    let found = both();
    let of = |kind: &str| {
        let all = found["Resources"].as_array().unwrap().iter();
        all.clone().find(|user| user["userType"] == kind).unwrap().clone()
    };
    let (old, new) = (of("FTRESS_LDAP"), of("LDAP"));
    assert_eq!((&old["active"], &old["nickName"]), (&json!(false), &json!("bound")));
    assert_eq!((&new["active"], new.get("nickName")), (&json!(true), None));
    assert_ne!(old["id"], new["id"]);
    assert_eq!(active(&mut client, 2), false);
    assert_eq!(count(&bridge, "user.return"), 0);
}

#[test]
fn who_moves_within_the_base_stays_and_who_moves_out_of_it_leaves() {
    let slapd = Slapd::company(10);
    let bridge = TestBridge::start(&settings(&slapd.url()));
    let mut client = bridge.client();
    bind(&mut client, &[2, 4]);
    let (rdn, _) =
        dn(2).split_once(',').map(|(rdn, rest)| (rdn.to_owned(), rest.to_owned())).unwrap();
    let moved = |from: &str, to: &str| {
        let rest = format!("changetype: moddn\nnewrdn: {rdn}\ndeleteoldrdn: 0\nnewsuperior: {to}");
        slapd.modify(&record(from, &rest));
    };
    let unit = if company::person(2).unit == "interns" { "staff" } else { "interns" };
    let within = format!("ou={unit},ou=people,{SUFFIX}");
    moved(&dn(2), &within);
    // The shadow learns of it, without a new version: no value is another one.
    let of = |list: &Value| {
        let all = list["Resources"].as_array().unwrap();
        let name = company::person(2).uid;
        all.iter().find(|user| user["userName"] == *name).unwrap().clone()
    };
    let parameters =
        [("attributes", "userName,active,meta.version,urn:scimbridge:schemas:2.0:Source:dn")];
    let mut seen = || of(&client.query("/Users", &parameters).expect(200));
    let before = seen()["meta"]["version"].clone();
    let new = format!("{rdn},{within}");
    let is_new =
        |user: &Value| user[SOURCE]["dn"].as_str().is_some_and(|dn| dn.eq_ignore_ascii_case(&new));
    assert!(eventually(SOON, || is_new(&seen())), "{} {}", seen(), bridge.log());
    assert_eq!((&seen()["active"], &seen()["meta"]["version"]), (&json!(true), &before));

    moved(&new, &format!("ou=services,{SUFFIX}"));
    comes_to_be(&bridge, 2, false);
    assert_eq!(active(&mut bridge.client(), 4), true);
    moved(&format!("{rdn},ou=services,{SUFFIX}"), &within);
    comes_to_be(&bridge, 2, true);
}

#[test]
fn what_was_found_out_before_a_restart_is_gone_on_with() {
    let slapd = Slapd::company(10);
    let mut bridge =
        TestBridge::start(&settings(&slapd.url()).tenant("vanish_brake = { percent = 100 }"));
    reconfigure(&mut bridge, "vanish_grace = \"500ms\"", "vanish_grace = \"1h\"");
    bind(&mut bridge.client(), &[2, 4]);
    slapd.modify(&deleted(2));
    health_comes_to_be(&bridge, "suspected", 1);
    let missing = "SELECT CAST(missing AS TEXT) FROM links WHERE missing IS NOT NULL";
    let since = bridge.query(missing);
    assert_eq!(since.len(), 1);
    assert_eq!(active(&mut bridge.client(), 2), true, "not found once is not gone");
    reconfigure(&mut bridge, "vanish_grace = \"1h\"", "vanish_grace = \"500ms\"");
    comes_to_be(&bridge, 2, false);
    assert_eq!(bridge.query(missing), since, "since the first time");
    bridge.restart();
    assert_eq!(active(&mut bridge.client(), 2), false);
    assert_eq!(count(&bridge, "user.vanish"), 1);
}
