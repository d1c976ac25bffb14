//! The group that a group stands beneath: derived of the members, and written to them.

use serde_json::{Value, json};

use super::{TABLES, company, operation, patch};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;

const PARENT: &str = "urn:hid:scim:api:idp:2.0:GroupParent";

fn group(client: &mut Client, name: &str, parent: Option<&str>) -> String {
    let mut body = json!({ "displayName": name });
    if let Some(parent) = parent {
        body[PARENT] = json!({ "parent": { "value": parent, "display": "whatever" } });
    }
    let made = client.post("/Groups", &body).expect(201);
    made["id"].as_str().unwrap().to_owned()
}

fn parent(client: &mut Client, id: &str) -> Value {
    client.get(&format!("/Groups/{id}")).expect(200)[PARENT]["parent"]["value"].clone()
}

fn members(client: &mut Client, id: &str) -> Vec<String> {
    let group = client.get(&format!("/Groups/{id}")).expect(200);
    let members = group["members"].as_array().unwrap();
    members.iter().map(|member| member["value"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_group_above_is_shown_and_written() {
    let bridge = TestBridge::start(&company());
    let mut client = bridge.client();
    let shown = client.get("/Groups/USG_FTEMP").expect(200);
    assert_eq!(shown["schemas"][1], PARENT);
    let above = &shown[PARENT]["parent"];
    assert_eq!((&above["value"], &above["display"]), (&json!("UT_EMP"), &json!("Employees")));
    assert!(above["$ref"].as_str().unwrap().ends_with("/scim/acme/v2/Groups/UT_EMP"), "{above}");
    assert!(client.get("/Groups/UT_EMP").expect(200).get(PARENT).is_none());

    let a = group(&mut client, "A", None);
    let b = group(&mut client, "B", Some(&a));
    assert_eq!(members(&mut client, &a), [b.as_str()]);
    let path = format!("/Groups/{b}");
    let before = client.get(&path).expect(200);

    // A PUT that does not hold the extension does not move the group.
    client.put(&path, &json!({ "displayName": "B", "externalId": "x" })).expect(200);
    assert_eq!(parent(&mut client, &b), a);
    // One that holds another one does, and both groups have a new version.
    let versions = |client: &mut Client| -> Vec<Value> {
        let version =
            |id: &&str| client.get(&format!("/Groups/{id}")).json()["meta"]["version"].clone();
        [a.as_str(), "UT_EMP"].iter().map(version).collect()
    };
    let old = versions(&mut client);
    let body = json!({ "displayName": "B", (PARENT): { "parent": { "value": "UT_EMP" } } });
    let moved = client.put(&path, &body).expect(200);
    assert_eq!(moved[PARENT]["parent"]["display"], "Employees");
    assert_eq!(members(&mut client, &a), [""; 0]);
    assert_eq!(members(&mut client, "UT_EMP").len(), 2);
    let new = versions(&mut client);
    assert!(old[0] != new[0] && old[1] != new[1], "{old:?} {new:?}");
    assert_ne!(before["meta"]["version"], moved["meta"]["version"]);
    let records = bridge.audit();
    let move_back = operation("replace", &format!("{PARENT}:parent.value"), json!(a));
    patch(&mut client, &path, &move_back).expect(200);
    assert_eq!(parent(&mut client, &b), a);
    assert_eq!(bridge.audit().len(), records.len() + 1, "one record for one change");
    // The same once more changes nothing.
    let number = client.get(&path).expect(200)["meta"]["version"].clone();
    patch(&mut client, &path, &move_back).expect(200);
    assert_eq!(client.get(&path).expect(200)["meta"]["version"], number);
    patch(&mut client, &path, &json!({ "op": "remove", "path": format!("{PARENT}:parent") }))
        .expect(200);
    assert_eq!(parent(&mut client, &b), Value::Null);
    assert_eq!(members(&mut client, &a), [""; 0]);
    // By the members the same.
    patch(
        &mut client,
        &format!("/Groups/{a}"),
        &operation("add", "members", json!([{ "value": b }])),
    )
    .expect(200);
    assert_eq!(parent(&mut client, &b), a);
    let found = client
        .query("/Groups", &[("filter", &format!("{PARENT}:parent.value eq \"{a}\""))])
        .expect(200);
    assert_eq!((&found["totalResults"], &found["Resources"][0]["id"]), (&json!(1), &json!(b)));
}

#[test]
fn circles_strangers_and_the_configuration_are_told() {
    let bridge = TestBridge::start(&company());
    let mut client = bridge.client();
    let user = client.post("/Users", &json!({ "userName": "anna" })).expect(201);
    let a = group(&mut client, "A", None);
    let b = group(&mut client, "B", Some(&a));
    let c = group(&mut client, "C", Some(&b));
    let path = format!("/Groups/{a}");
    for (beneath, said) in [
        (a.as_str(), "stands beneath this one"),
        (&b, "stands beneath this one"),
        (&c, "stands beneath this one"),
        ("nobody", "there is no group with the id \"nobody\""),
        (user["id"].as_str().unwrap(), "there is no group with the id"),
    ] {
        for refused in [
            client.put(
                &path,
                &json!({ "displayName": "A", (PARENT): { "parent": { "value": beneath } } }),
            ),
            patch(
                &mut client,
                &path,
                &operation("add", PARENT, json!({ "parent": { "value": beneath } })),
            ),
        ] {
            let refused = refused.expect(400);
            assert_eq!(refused["scimType"], "invalidValue");
            assert!(refused["detail"].as_str().unwrap().contains(said), "{refused}");
        }
    }
    let body = json!({ "displayName": "D", (PARENT): { "parent": { "value": "nobody" } } });
    assert_eq!(client.post("/Groups", &body).expect(400)["scimType"], "invalidValue");
    // Where the file says what stands above, nobody else does.
    let operation = operation("replace", &format!("{PARENT}:parent.value"), json!(a));
    let refused = patch(&mut client, "/Groups/USG_FTEMP", &operation).expect(400);
    assert_eq!(refused["scimType"], "mutability");
    assert!(refused["detail"].as_str().unwrap().contains("[[tenant.group]]"), "{refused}");
    patch(&mut client, "/Groups/UT_EMP", &operation).expect(200);
    assert_eq!(parent(&mut client, "UT_EMP"), a);
}

#[test]
fn two_who_move_at_once_make_no_circle() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    for round in 0..8 {
        let a = group(&mut client, &format!("A{round}"), None);
        let b = group(&mut client, &format!("B{round}"), None);
        let mut moves = Vec::new();
        for (group, above) in [(a.clone(), b.clone()), (b, a)] {
            let mut client = client.clone();
            moves.push(std::thread::spawn(move || {
                let body = json!({ (PARENT): { "parent": { "value": above } } });
                patch(
                    &mut client,
                    &format!("/Groups/{group}"),
                    &json!({ "op": "add", "value": body }),
                )
                .status
            }));
        }
        let mut done: Vec<u16> = moves.into_iter().map(|one| one.join().unwrap()).collect();
        done.sort_unstable();
        assert_eq!(done, [200, 400]);
    }
}

#[test]
fn users_are_in_what_stands_above_their_groups() {
    let bridge = TestBridge::start(&Settings::local().rest(TABLES));
    let mut client = bridge.client();
    let anna = client.post("/Users", &json!({ "userName": "anna" })).expect(201);
    let path = format!("/Users/{}", anna["id"].as_str().unwrap());
    let team = group(&mut client, "Team", None);
    let add = operation("add", "members", json!([{ "value": anna["id"] }]));
    patch(&mut client, &format!("/Groups/{team}"), &add).expect(200);
    // Read once, so that the caches hold it.
    let before = client.get(&path);
    assert!(before.expect(200).get("roles").is_none());
    let tag = before.header("etag").unwrap().to_owned();
    let beneath = json!({ (PARENT): { "parent": { "value": "USG_AUDIT" } } });
    patch(&mut client, &format!("/Groups/{team}"), &json!({ "op": "add", "value": beneath }))
        .expect(200);
    let after = client.send("GET", &path, &[("if-none-match", &tag)], b"");
    let after = after.expect(200);
    assert_eq!(after["groups"].as_array().unwrap().len(), 4);
    let roles = json!([{ "value": "RL_AUDITV", "display": "Audit Viewer" },
        { "value": "RL_STAFF", "display": "Staff" }]);
    assert_eq!(after["roles"], roles);
}

#[test]
fn a_description_stands_where_it_is_sent_and_where_it_belongs() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let body = json!({ "displayName": "A", "description": "For testing" });
    let made = client.post("/Groups", &body).expect(201);
    assert_eq!(made["urn:scimbridge:schemas:2.0:Group"]["description"], "For testing");
    let found = client.query("/Groups", &[("filter", "description sw \"for\"")]).expect(200);
    assert_eq!(found["totalResults"], 1);
    let path = format!("/Groups/{}", made["id"].as_str().unwrap());
    let changed = patch(&mut client, &path, &operation("replace", "description", json!("Other")));
    let changed = changed.expect(200);
    assert_eq!(changed["urn:scimbridge:schemas:2.0:Group"]["description"], "Other");
}
