//! People of a directory as members: the write that makes one a member binds.

use std::sync::Barrier;
use std::time::Duration;

use serde_json::{Value, json};

use super::{add, group, members, operations, remove, sorted, user, values};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::slapd::Slapd;
use crate::support::{company, eventually};

fn long_id(number: usize) -> String {
    format!("corp.{}", company::person(number).entry_uuid)
}

#[test]
fn the_write_that_makes_a_person_a_member_binds() {
    let mut bridge = TestBridge::start(&Settings::over(Slapd::shared()));
    let mut client = bridge.client();
    let (one, two) = (long_id(60), long_id(61));
    let local = user(&mut client, "local");
    let path = format!("/Groups/{}", group(&mut client, "G", &[&local]));
    assert_eq!(client.get(&format!("/Users/{one}")).expect(200).get("groups"), None);

    // A change that is refused binds nobody.
    let refused =
        client.patch(&path, &add(&[&one, "corp.11111111-1111-1111-1111-111111111111"])).expect(400);
    assert!(refused["detail"].as_str().unwrap().contains("corp.11111111"), "{refused}");
    client
        .post("/Groups", &json!({ "displayName": "g", "members": [{ "value": one }] }))
        .expect(409);
    let stale =
        client.send("PATCH", &path, &[("If-Match", "\"9\"")], add(&[&one]).to_string().as_bytes());
    assert_eq!(stale.status, 412);
    // So does a removal of somebody who is no member.
    client.patch(&path, &remove(&one)).expect(200);
    let shown = client.get(&format!("/Users/{one}")).expect(200);
    assert_eq!(shown["userType"], "LDAP");
    assert_eq!(client.get("/Users").expect(200)["totalResults"], 1);

    let patched = client.patch(&path, &add(&[&one])).expect(200);
    assert_eq!(members(&patched), sorted(&[&local, &one]));
    let member = patched["members"]
        .as_array()
        .unwrap()
        .iter()
        .find(|member| member["value"] == one.as_str())
        .unwrap();
    let person = company::person(60);
    assert_eq!(member["type"], "User");
    let bound = client.get(&format!("/Users/{one}"));
    assert_eq!(member["display"], bound.json()["displayName"]);
    let tag = bound.header("etag").unwrap().to_owned();
    let bound = bound.expect(200);
    assert_eq!(bound["userType"], "FTRESS_LDAP");
    assert_eq!(
        bound["name"]["familyName"],
        person.sn.as_str(),
        "the directory's values are its own still"
    );
    assert_eq!(bound["groups"][0]["display"], "G");
    // In one change with a new group.
    let made = client.post(
        "/Groups",
        &json!({ "displayName": "H", "members": [{ "value": two }, { "value": one }] }),
    );
    assert_eq!(members(&made.expect(201)), sorted(&[&one, &two]));

    // Federated lists tell the groups of who is bound, from memory too, and find by them.
    for _ in 0..3 {
        let by_name = format!("userName eq \"{}\"", person.uid);
        let list = client
            .query("/Users", &[("searchRepositories", "true"), ("filter", &by_name)])
            .expect(200);
        assert_eq!(list["Resources"][0]["groups"].as_array().unwrap().len(), 2, "{list}");
    }
    let by_group = [("searchRepositories", "true"), ("filter", "groups.display eq \"h\"")];
    let list = client.query("/Users", &by_group).expect(200);
    assert_eq!(list["totalResults"], 2, "{list}");
    let none = [
        ("searchRepositories", "true"),
        ("filter", "not (groups pr) and userName sw \"a\""),
        ("count", "0"),
    ];
    let some = [("searchRepositories", "true"), ("filter", "userName sw \"a\""), ("count", "0")];
    let (none, some) =
        (client.query("/Users", &none).expect(200), client.query("/Users", &some).expect(200));
    let grouped =
        [60, 61].iter().filter(|number| company::person(**number).uid.starts_with('a')).count()
            as u64;
    assert_eq!(
        none["totalResults"].as_u64().unwrap() + grouped,
        some["totalResults"].as_u64().unwrap()
    );

    // After each change, what is in memory is true.
    client
        .patch(
            &path,
            &operations(&json!([{ "op": "replace", "path": "displayName", "value": "K" }])),
        )
        .expect(200);
    let again = client.send("GET", &format!("/Users/{one}"), &[("If-None-Match", &tag)], b"");
    let mut displays: Vec<Value> = again.expect(200)["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["display"].clone())
        .collect();
    displays.sort_by_key(ToString::to_string);
    assert_eq!(displays, ["H", "K"]);
    let by_name = format!("userName eq \"{}\"", person.uid);
    let list =
        client.query("/Users", &[("searchRepositories", "true"), ("filter", &by_name)]).expect(200);
    assert_eq!(values(&list["Resources"][0], "groups"), values(&again.json(), "groups"));
    assert!(list["Resources"][0]["groups"].to_string().contains("\"K\""), "{list}");

    // A bound user who is deleted is in no group, and comes back by POST alone.
    assert_eq!(client.delete(&format!("/Users/{one}")).status, 204);
    assert_eq!(members(&client.get(&path).expect(200)), [local.as_str()]);
    assert_eq!(client.patch(&path, &add(&[&one])).expect(400)["scimType"], "invalidValue");
    bridge.terminate();
    let audit = bridge.audit();
    assert_eq!(audit.iter().filter(|action| *action == "user.bind").count(), 2);
}

#[test]
fn without_the_right_to_bind_nobody_is_bound() {
    let settings = Settings::over(Slapd::shared()).token(
        "writer",
        "writer-token",
        &["groups:*", "users:read", "users:search"],
    );
    let bridge = TestBridge::start(&settings);
    let mut writer = bridge.client_as("writer-token");
    let id = long_id(62);
    let path = format!("/Groups/{}", group(&mut writer, "G", &[]));
    let refused = writer.patch(&path, &add(&[&id])).expect(403);
    assert!(refused["detail"].as_str().unwrap().contains("users:bind"), "{refused}");
    assert_eq!(writer.get(&format!("/Users/{id}")).expect(200)["userType"], "LDAP");
    // Who is bound already can be a member.
    let mut client = bridge.client();
    client
        .patch(
            &format!("/Users/{id}"),
            &operations(&json!([{ "op": "add", "path": "nickName", "value": "x" }])),
        )
        .expect(200);
    assert_eq!(members(&writer.patch(&path, &add(&[&id])).expect(200)), [id.as_str()]);
}

#[test]
fn while_the_directory_is_down_nothing_is_concluded() {
    let slapd = Slapd::company(20);
    let bridge = TestBridge::start(&Settings::over(&slapd));
    let mut client = bridge.client();
    let (bound, unbound) = (long_id(5), long_id(6));
    let local = user(&mut client, "local");
    let path = format!("/Groups/{}", group(&mut client, "G", &[&bound]));
    let before = client.get(&path);
    slapd.kill();
    let down = client.patch(&path, &add(&[&local, &unbound]));
    assert!(down.header("retry-after").is_some());
    let down = down.expect(503);
    assert!(down["detail"].as_str().unwrap().contains("corp"), "{down}");
    client
        .post("/Groups", &json!({ "displayName": "H", "members": [{ "value": unbound }] }))
        .expect(503);
    assert_eq!(client.get(&path).json(), before.json(), "nothing changed");
    // Who is bound or local needs no directory; nor does a removal.
    assert_eq!(
        members(&client.patch(&path, &add(&[&local])).expect(200)),
        sorted(&[&bound, &local])
    );
    client.patch(&path, &remove(&unbound)).expect(200);
    assert_eq!(members(&client.patch(&path, &remove(&bound)).expect(200)), [local.as_str()]);
    slapd.restart();
    let back = || bridge.client().get(&format!("/Users/{unbound}")).status == 200;
    assert!(eventually(Duration::from_secs(30), back), "the directory is asked again");
    assert_eq!(
        members(&client.patch(&path, &add(&[&unbound])).expect(200)),
        sorted(&[&local, &unbound])
    );
}

#[test]
fn many_at_once_bind_a_person_once() {
    let mut bridge = TestBridge::start(&Settings::over(Slapd::shared()));
    let mut client = bridge.client();
    let groups: Vec<String> =
        (0..16).map(|number| group(&mut client, &format!("G{number}"), &[])).collect();
    let start = Barrier::new(groups.len());
    std::thread::scope(|scope| {
        for id in &groups {
            let (mut client, start) = (bridge.client(), &start);
            scope.spawn(move || {
                start.wait();
                let change = add(&[&long_id(63), &long_id(64)]);
                assert_eq!(
                    members(&client.patch(&format!("/Groups/{id}"), &change).expect(200)).len(),
                    2
                );
            });
        }
    });
    for number in [63, 64] {
        let user = client.get(&format!("/Users/{}", long_id(number))).expect(200);
        assert_eq!(user["groups"].as_array().unwrap().len(), groups.len());
    }
    bridge.terminate();
    assert_eq!(bridge.audit().iter().filter(|action| *action == "user.bind").count(), 2);
}
