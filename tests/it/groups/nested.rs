//! What a user's `groups` say: direct and indirect ones, true after every change.

use serde_json::{Value, json};

use super::{add, group, operations, remove, sorted, user, values};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;

/// The `type` that a user shows for each group, by display, sorted.
fn shown(client: &mut Client, user: &str) -> Vec<(String, String)> {
    let single = client.get(&format!("/Users/{user}")).expect(200);
    let told = |user: &Value| -> Vec<(String, String)> {
        let groups = user["groups"].as_array().cloned().unwrap_or_default();
        let text = |group: &Value, name: &str| group[name].as_str().unwrap().to_owned();
        let mut told: Vec<_> =
            groups.iter().map(|group| (text(group, "display"), text(group, "type"))).collect();
        told.sort();
        told
    };
    let list = client.query("/Users", &[("filter", &format!("id eq \"{user}\""))]).expect(200);
    assert_eq!(told(&list["Resources"][0]), told(&single), "a list tells what a read tells");
    told(&single)
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(display, kind)| ((*display).to_owned(), (*kind).to_owned())).collect()
}

#[test]
fn groups_of_groups_end_and_are_told_apart() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let (a, b) = (user(&mut client, "a"), user(&mut client, "b"));
    let inner = group(&mut client, "Inner", &[&a]);
    let middle = group(&mut client, "Middle", &[&inner]);
    let outer = group(&mut client, "Outer", &[&middle, &b]);
    assert_eq!(
        shown(&mut client, &a),
        pairs(&[("Inner", "direct"), ("Middle", "indirect"), ("Outer", "indirect")])
    );
    assert_eq!(shown(&mut client, &b), pairs(&[("Outer", "direct")]));
    let single = client.get(&format!("/Users/{b}")).expect(200);
    let base = single["meta"]["location"].as_str().unwrap().replace(&format!("/Users/{b}"), "");
    assert_eq!(
        single["groups"],
        json!([
        { "value": outer, "$ref": format!("{base}/Groups/{outer}"), "display": "Outer", "type": "direct" }])
    );

    // Both ways at once counts as direct; a circle ends.
    client.patch(&format!("/Groups/{outer}"), &add(&[&a])).expect(200);
    client.patch(&format!("/Groups/{inner}"), &add(&[&outer])).expect(200);
    assert_eq!(
        shown(&mut client, &a),
        pairs(&[("Inner", "direct"), ("Middle", "indirect"), ("Outer", "direct")])
    );
    assert_eq!(
        shown(&mut client, &b),
        pairs(&[("Inner", "indirect"), ("Middle", "indirect"), ("Outer", "direct")])
    );

    for (filter, expected) in [
        (format!("groups.value eq \"{outer}\""), sorted(&[&a, &b])),
        (format!("groups eq \"{inner}\""), sorted(&[&a, &b])),
        (format!("groups[value eq \"{inner}\" and type eq \"direct\"]"), vec![a.as_str()]),
        ("groups.display eq \"middle\"".to_owned(), sorted(&[&a, &b])),
        ("groups.display co \"idd\" and userName eq \"b\"".to_owned(), vec![b.as_str()]),
        (format!("not (groups.value eq \"{middle}\")"), vec![]),
        ("groups pr".to_owned(), sorted(&[&a, &b])),
    ] {
        let list = client.query("/Users", &[("filter", &filter)]).expect(200);
        let mut found: Vec<&str> = list["Resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| user["id"].as_str().unwrap())
            .collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{filter}");
        assert_eq!(list["totalResults"], expected.len(), "{filter}");
    }
    for (filter, expected) in [
        (format!("members.value eq \"{a}\""), sorted(&[&inner, &outer])),
        (format!("members eq \"{middle}\""), vec![outer.as_str()]),
        (format!("id eq \"{outer}\" and members eq \"{b}\""), vec![outer.as_str()]),
        (format!("id eq \"{inner}\" and members eq \"{b}\""), vec![]),
        ("members.display eq \"A\"".to_owned(), sorted(&[&inner, &outer])),
        ("members.type eq \"Group\"".to_owned(), sorted(&[&inner, &middle, &outer])),
        ("displayName eq \"OUTER\"".to_owned(), vec![outer.as_str()]),
    ] {
        for parameters in [
            vec![("filter", filter.as_str())],
            vec![("filter", filter.as_str()), ("excludedAttributes", "members")],
        ] {
            let list = client.query("/Groups", &parameters).expect(200);
            let mut found: Vec<&str> = list["Resources"]
                .as_array()
                .unwrap()
                .iter()
                .map(|group| group["id"].as_str().unwrap())
                .collect();
            found.sort_unstable();
            assert_eq!(found, expected, "{filter}");
            if parameters.len() == 2 {
                assert!(
                    list["Resources"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .all(|group| group.get("members").is_none())
                );
            }
        }
    }
}

#[test]
fn every_change_of_a_group_shows_in_its_users() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let (a, b) = (user(&mut client, "a"), user(&mut client, "b"));
    let inner = group(&mut client, "Inner", &[&a]);
    let outer = group(&mut client, "Outer", &[&inner]);
    // Each step is read twice, so that the second answer comes from memory, and asked again by tag.
    let mut last = "W/\"0\"".to_owned();
    let mut step = |client: &mut Client, what: &str, expected: &[(&str, &str)]| {
        let path = format!("/Users/{a}");
        let conditional = client.send("GET", &path, &[("If-None-Match", &last)], b"");
        assert_eq!(conditional.status, 200, "{what}: what changed is no 304");
        for _ in 0..2 {
            assert_eq!(shown(client, &a), pairs(expected), "{what}");
            let answer = client.get(&path);
            last = answer.header("etag").unwrap().to_owned();
            assert_eq!(answer.json()["meta"]["version"], last.as_str());
            assert_eq!(
                client.send("GET", &path, &[("If-None-Match", &last)], b"").status,
                304,
                "{what}"
            );
        }
    };
    step(&mut client, "made", &[("Inner", "direct"), ("Outer", "indirect")]);
    client
        .patch(
            &format!("/Groups/{outer}"),
            &operations(&json!([{ "op": "replace", "path": "displayName", "value": "Far" }])),
        )
        .expect(200);
    step(&mut client, "renamed", &[("Far", "indirect"), ("Inner", "direct")]);
    client
        .put(
            &format!("/Groups/{inner}"),
            &json!({ "displayName": "Near", "members": [{ "value": a }, { "value": b }] }),
        )
        .expect(200);
    step(&mut client, "replaced", &[("Far", "indirect"), ("Near", "direct")]);
    client.patch(&format!("/Groups/{inner}"), &remove(&a)).expect(200);
    client.patch(&format!("/Groups/{outer}"), &add(&[&a])).expect(200);
    step(&mut client, "moved", &[("Far", "direct")]);
    let third = group(&mut client, "Third", &[&outer]);
    step(&mut client, "a group above was made", &[("Far", "direct"), ("Third", "indirect")]);
    assert_eq!(client.delete(&format!("/Groups/{outer}")).status, 204);
    step(&mut client, "deleted", &[]);
    assert_eq!(client.get(&format!("/Groups/{third}")).expect(200)["members"], json!([]));
    let back = group(&mut client, "Back", &[&a]);
    step(&mut client, "and again", &[("Back", "direct")]);

    // A user who goes leaves the groups, whose versions tell it.
    let path = format!("/Groups/{back}");
    let before = client.get(&path);
    assert_eq!(client.delete(&format!("/Users/{a}")).status, 204);
    let after = client.get(&path);
    assert_eq!(after.json()["members"], json!([]));
    assert_ne!(after.header("etag"), before.header("etag"));

    // A member that is renamed is shown so, and that is no 304 either.
    client.patch(&path, &add(&[&b])).expect(200);
    let before = client.get(&path);
    client
        .patch(
            &format!("/Users/{b}"),
            &operations(&json!([{ "op": "add", "path": "displayName", "value": "Bob" }])),
        )
        .expect(200);
    let tag = before.header("etag").unwrap();
    let after = client.send("GET", &path, &[("If-None-Match", tag)], b"");
    assert_eq!(after.expect(200)["members"][0]["display"], "Bob");
    // The version that a write must name is the group's own.
    let change = operations(&json!([{ "op": "add", "path": "externalId", "value": "x" }]));
    assert_eq!(
        client.send("PATCH", &path, &[("If-Match", tag)], change.to_string().as_bytes()).status,
        200
    );
}

#[test]
fn a_users_groups_are_the_groups_to_change() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let a = user(&mut client, "a");
    let id = group(&mut client, "G", &[&a]);
    let other = group(&mut client, "Other", &[]);
    let path = format!("/Users/{a}");
    let put = json!({ "userName": "a", "nickName": "x", "groups": [{ "value": other }] });
    let put = client.put(&path, &put).expect(200);
    assert_eq!(values(&put, "groups"), [id.as_str()]);
    assert_eq!(put["nickName"], "x");
    let pathless =
        operations(&json!([{ "op": "replace", "value": { "groups": [], "nickName": "y" } }]));
    let patched = client.patch(&path, &pathless).expect(200);
    assert_eq!(values(&patched, "groups"), [id.as_str()]);
    let made =
        client.post("/Users", &json!({ "userName": "b", "groups": [{ "value": id }] })).expect(201);
    assert_eq!(values(&made, "groups"), Vec::<&str>::new());
    let readonly =
        operations(&json!([{ "op": "add", "path": "groups", "value": [{ "value": other }] }]));
    assert_eq!(client.patch(&path, &readonly).expect(400)["scimType"], "mutability");
}
