//! Many members, and many who write them at the same moment.

use std::sync::Barrier;

use serde_json::{Value, json};

use super::{add, group, members, operations, user};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;

/// Of `GET /metrics`: how many members of groups were read so far.
fn members_read(client: &mut Client) -> u64 {
    let text = client.send("GET", "/metrics", &[], b"").text();
    let line = text.lines().find(|line| line.starts_with("scimbridge_members_read_total")).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn thirty_two_at_once_lose_no_member() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let id = group(&mut client, "G", &[]);
    let mut users: Vec<String> =
        (0..32).map(|number| user(&mut client, &format!("u{number}"))).collect();
    let start = Barrier::new(users.len());
    std::thread::scope(|scope| {
        for user in &users {
            let (mut client, start, path) = (bridge.client(), &start, format!("/Groups/{id}"));
            scope.spawn(move || {
                start.wait();
                let patched = client.patch(&path, &add(&[user])).expect(200);
                assert!(members(&patched).contains(&user.as_str()));
            });
        }
    });
    users.sort();
    let shown = client.get(&format!("/Groups/{id}"));
    assert_eq!(members(&shown.json()), users);
    assert!(
        shown.header("etag").unwrap().starts_with("W/\"33."),
        "each is a change: {:?}",
        shown.header("etag")
    );
}

#[test]
fn five_thousand_members_in_one_patch() {
    let bridge = TestBridge::start(&Settings::local().server("max_body = \"4MiB\""));
    let operations_client = Client::new(bridge.address(), "", None);
    let mut outside = operations_client;
    let mut client = bridge.client();
    // Sixteen connections make the users.
    let users: Vec<String> = std::thread::scope(|scope| {
        let makers: Vec<_> = (0..16)
            .map(|maker| {
                let mut client = bridge.client();
                scope.spawn(move || {
                    (0..313)
                        .map(|number| user(&mut client, &format!("u{maker}.{number}")))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        makers.into_iter().flat_map(|maker| maker.join().unwrap()).take(5_000).collect()
    });
    let id = group(&mut client, "G", &[]);
    let path = format!("/Groups/{id}");
    let bare = format!("{path}?excludedAttributes=members");
    let ids: Vec<&str> = users.iter().map(String::as_str).collect();
    let before = members_read(&mut outside);
    let patched = client.patch(&bare, &add(&ids)).expect(200);
    assert_eq!(patched.get("members"), None);
    assert_eq!(client.get(&bare).expect(200).get("members"), None);
    let list = client.get("/Groups?attributes=displayName").expect(200);
    assert_eq!(list["totalResults"], 1);
    client.patch(&bare, &add(&ids[..10])).expect(200);
    let one = operations(
        &json!([{ "op": "remove", "path": format!("members[value eq \"{}\"]", ids[0]) }]),
    );
    client.patch(&bare, &one).expect(200);
    let listed: Vec<Value> = ids[1..1_001].iter().map(|id| json!({ "value": id })).collect();
    let some = operations(&json!([{ "op": "remove", "path": "members", "value": listed }]));
    client.patch(&bare, &some).expect(200);
    assert_eq!(members_read(&mut outside), before, "no member was read for all of this");

    let shown = client.get(&path).expect(200);
    assert_eq!(members(&shown).len(), 3_999);
    assert_eq!(members_read(&mut outside), before + 3_999);
    assert!(shown["meta"]["version"].as_str().unwrap().starts_with("W/\"4."), "{}", shown["meta"]);
    let of_one = client.get(&format!("/Users/{}", ids[4_000])).expect(200);
    assert_eq!(of_one["groups"][0]["value"], id.as_str());
    let former = client.get(&format!("/Users/{}", ids[0])).expect(200);
    assert_eq!(former.get("groups"), None);
    // All of them see that the group is called otherwise.
    let rename = operations(&json!([{ "op": "replace", "path": "displayName", "value": "H" }]));
    client.patch(&bare, &rename).expect(200);
    let of_one = client.get(&format!("/Users/{}", ids[4_000])).expect(200);
    assert_eq!(of_one["groups"][0]["display"], "H");
    let emptied = operations(&json!([{ "op": "remove", "path": "members" }]));
    assert_eq!(client.patch(&path, &emptied).expect(200)["members"], json!([]));
}
