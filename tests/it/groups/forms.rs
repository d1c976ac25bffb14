//! Every form in which clients change the members of a group.

use serde_json::{Value, json};

use super::{GROUP, PATCH, add, group, members, operations, remove, sorted, user};
use crate::support::bridge::{Settings, TestBridge};

#[test]
fn members_come_and_go_in_every_spelling() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let (a, b, c) = (user(&mut client, "a"), user(&mut client, "b"), user(&mut client, "c"));
    let made = client.post("/Groups", &json!({
        "schemas": [GROUP, "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
        "externalId": "ext-1", "displayName": "Guides", "meta": { "resourceType": "Group" } }));
    let location = made.header("location").unwrap().to_owned();
    let made = made.expect(201);
    assert_eq!(made["members"], json!([]));
    assert_eq!(made["meta"]["location"], location.as_str());
    assert_eq!(made["meta"]["resourceType"], "Group");
    let path = format!("/Groups/{}", made["id"].as_str().unwrap());

    for (change, expected) in [
        // Entra ID.
        (
            json!([{ "op": "Add", "path": "members", "value": [{ "$ref": null, "value": a }] }]),
            vec![&a],
        ),
        (json!([{ "op": "Add", "path": "members", "value": [{ "value": b }] }]), vec![&a, &b]),
        (
            json!([{ "op": "Remove", "path": "members", "value": [{ "$ref": null, "value": a }] }]),
            vec![&b],
        ),
        (json!([{ "op": "remove", "path": format!("members[value eq \"{b}\"]") }]), vec![]),
        // Okta.
        (
            json!([{ "op": "add", "path": "members", "value": [{ "id": a, "display": "x" }] }]),
            vec![&a],
        ),
        (
            json!([{ "op": "remove", "path": format!("members[value eq \"{a}\"]") },
                { "op": "add", "path": "members", "value": [{ "value": b, "display": "x" }] }]),
            vec![&b],
        ),
        (
            json!([{ "op": "replace", "path": "members", "value": [{ "value": a }, { "value": c }] }]),
            vec![&a, &c],
        ),
        (
            json!([{ "op": "replace", "value": { "members": [], "id": "g", "displayName": "Guides" } }]),
            vec![],
        ),
        (
            json!([{ "op": "add", "value": { "members": [{ "display": "x", "value": a }] } }]),
            vec![&a],
        ),
        // Others.
        (json!([{ "op": "add", "path": "members", "value": { "value": b } }]), vec![&a, &b]),
        (json!([{ "op": "add", "path": "members", "value": [c, c] }]), vec![&a, &b, &c]),
        (
            json!([{ "op": "remove", "path": format!("members[value eq \"{a}\" or value eq \"{b}\"]") }]),
            vec![&c],
        ),
        (
            json!([{ "op": "add", "path": "members", "value": [{ "value": a }, { "value": a, "type": "User" }] }]),
            vec![&a, &c],
        ),
        // What must be seen to be told.
        (json!([{ "op": "remove", "path": "members[display eq \"c\"]" }]), vec![&a]),
        (
            json!([{ "op": "add", "path": "members", "value": [b] },
                { "op": "remove", "path": "members[type eq \"User\" and display sw \"a\"]" }]),
            vec![&b],
        ),
        (json!([{ "op": "remove", "path": "members" }]), vec![]),
        (
            json!([{ "op": "add", "path": "members", "value": [a] },
                { "op": "replace", "path": "members", "value": [b] },
                { "op": "add", "path": "members", "value": [c] },
                { "op": "remove", "path": "members", "value": [{ "value": b }] }]),
            vec![&c],
        ),
    ] {
        let patched = client.patch(&path, &operations(&change)).expect(200);
        let expected: Vec<&str> = expected.into_iter().map(String::as_str).collect();
        assert_eq!(members(&patched), sorted(&expected), "{change}");
        assert_eq!(patched["displayName"], "Guides");
        assert_eq!(client.get(&path).expect(200), patched, "{change}");
    }

    // PUT is the whole resource.
    let put = client.put(
        &path,
        &json!({ "displayName": "Guides", "members": [{ "value": a }, { "value": a }] }),
    );
    assert_eq!(members(&put.expect(200)), [a.as_str()]);
    let put =
        client.put(&path, &json!({ "schemas": [GROUP], "displayName": "Guides" })).expect(200);
    assert_eq!(put["members"], json!([]));
    assert_eq!(put.get("externalId"), None);
}

#[test]
fn what_a_member_is_told_with() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let a =
        client.post("/Users", &json!({ "userName": "ann", "displayName": "Ann Bell" })).expect(201);
    let a = a["id"].as_str().unwrap();
    let b = user(&mut client, "bob");
    let inner = group(&mut client, "Inner", &[]);
    let outer = group(&mut client, "Outer", &[a, &b, &inner]);
    let shown = client.get(&format!("/Groups/{outer}")).expect(200);
    let base = shown["meta"]["location"].as_str().unwrap().replace(&format!("/Groups/{outer}"), "");
    let mut listed = shown["members"].as_array().unwrap().clone();
    listed.sort_by_key(|member| member["display"].as_str().unwrap().to_owned());
    assert_eq!(
        json!(listed),
        json!([
            { "value": a, "$ref": format!("{base}/Users/{a}"), "type": "User", "display": "Ann Bell" },
            { "value": inner, "$ref": format!("{base}/Groups/{inner}"), "type": "Group", "display": "Inner" },
            { "value": b, "$ref": format!("{base}/Users/{b}"), "type": "User", "display": "bob" },
        ])
    );
    let only = client.get(&format!("/Groups/{outer}?attributes=members.value")).expect(200);
    assert_eq!(only["members"].as_array().unwrap().len(), 3);
    assert_eq!(only["members"][0].as_object().unwrap().len(), 1, "{only}");
    let without = client.get(&format!("/Groups/{outer}?excludedAttributes=members")).expect(200);
    assert_eq!(without.get("members"), None);
    assert_eq!(without["displayName"], "Outer");
}

#[test]
fn what_changes_nothing_raises_nothing_and_other_changes_leave_members_alone() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let (a, b) = (user(&mut client, "a"), user(&mut client, "b"));
    let id = group(&mut client, "G", &[&a]);
    let path = format!("/Groups/{id}");
    let before = client.get(&path);
    for nothing in [
        add(&[&a]),
        add(&[]),
        remove(&b),
        operations(&json!([])),
        operations(&json!([{ "op": "replace", "path": "members", "value": [a] }])),
        operations(&json!([{ "op": "remove", "path": "members", "value": [] }])),
    ] {
        let patched = client.patch(&path, &nothing);
        assert_eq!(patched.header("etag"), before.header("etag"), "{nothing}");
        assert_eq!(patched.expect(200), before.json(), "{nothing}");
    }
    let same = json!({ "displayName": "G", "members": [{ "value": a }] });
    assert_eq!(client.put(&path, &same).expect(200), before.json());

    let member = client.get(&format!("/Users/{b}"));
    let added = client.patch(&path, &add(&[&b]));
    assert_ne!(added.header("etag"), before.header("etag"));
    let meta = |answer: &Value| answer["meta"]["lastModified"].as_str().unwrap().to_owned();
    assert!(meta(&added.json()) > meta(&before.json()));
    // The member's own version stays, what it shows changes.
    let first = |tag: Option<&str>| {
        tag.unwrap().trim_matches(['W', '/', '"']).split('.').next().unwrap().to_owned()
    };
    let after = client.get(&format!("/Users/{b}"));
    assert_eq!(first(after.header("etag")), first(member.header("etag")));
    assert_ne!(after.header("etag"), member.header("etag"));

    let renamed =
        operations(&json!([{ "op": "replace", "path": "externalId", "value": "unrelated" }]));
    assert_eq!(members(&client.patch(&path, &renamed).expect(200)), sorted(&[&a, &b]));
    // In one change with others.
    let both = operations(&json!([
        { "op": "replace", "path": "displayName", "value": "H" },
        { "op": "remove", "path": "members", "value": [{ "value": a }] }]));
    let patched = client.patch(&path, &both).expect(200);
    assert_eq!((members(&patched), &patched["displayName"]), (vec![b.as_str()], &json!("H")));
}

#[test]
fn what_is_wrong_is_refused_whole() {
    let mut bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let a = user(&mut client, "a");
    let id = group(&mut client, "G", &[&a]);
    let path = format!("/Groups/{id}");
    let before = client.get(&path);

    let refused = client.patch(&path, &add(&[&a, "nobody-1", "nobody-2"])).expect(400);
    assert_eq!(refused["scimType"], "invalidValue");
    assert!(refused["detail"].as_str().unwrap().contains("nobody-1"), "{refused}");
    let body = json!({ "displayName": "H", "members": [{ "value": "nobody-1" }] });
    assert_eq!(client.post("/Groups", &body).expect(400)["scimType"], "invalidValue");
    assert_eq!(client.put(&path, &body).expect(400)["scimType"], "invalidValue");
    let both = operations(&json!([
        { "op": "replace", "path": "displayName", "value": "H" },
        { "op": "add", "path": "members", "value": ["nobody-1"] }]));
    client.patch(&path, &both).expect(400);
    client
        .patch(&path, &operations(&json!([{ "op": "remove", "path": "displayName" }])))
        .expect(400);
    client.post("/Groups", &json!({ "externalId": "x" })).expect(400);
    // A member that is not there may be removed again: clients repeat themselves.
    client.patch(&path, &remove("nobody-1")).expect(200);

    let twin = client.post("/Groups", &json!({ "displayName": "g" })).expect(409);
    assert_eq!(twin["scimType"], "uniqueness");
    assert!(twin["detail"].as_str().unwrap().contains(&id), "{twin}");
    let other = group(&mut client, "Other", &[]);
    let rename = operations(&json!([{ "op": "replace", "path": "displayName", "value": "G" },
        { "op": "add", "path": "members", "value": [a] }]));
    client.patch(&format!("/Groups/{other}"), &rename).expect(409);
    assert_eq!(client.get(&format!("/Groups/{other}")).expect(200)["members"], json!([]));
    // externalId is the client's, and no key.
    for name in ["one", "two"] {
        client.post("/Groups", &json!({ "displayName": name, "externalId": "same" })).expect(201);
    }

    for tag in ["W/\"7\"", "\"x\""] {
        let stale =
            client.send("PATCH", &path, &[("If-Match", tag)], add(&[&a]).to_string().as_bytes());
        assert_eq!(stale.status, 412);
        assert_eq!(client.send("DELETE", &path, &[("If-Match", tag)], b"").status, 412);
    }
    let tag = before.header("etag").unwrap();
    assert_eq!(client.send("GET", &path, &[("If-None-Match", tag)], b"").status, 304);
    assert_eq!(client.get(&path).json(), before.json());
    // A user is no group, and a group no user.
    client.get(&format!("/Groups/{a}")).expect(404);
    client.get(&format!("/Users/{id}")).expect(404);
    client
        .patch(&format!("/Users/{id}"), &json!({ "schemas": [PATCH], "Operations": [] }))
        .expect(404);
    client.delete(&format!("/Users/{id}")).expect(404);
    assert_eq!(client.send("DELETE", &path, &[("If-Match", tag)], b"").status, 204);
    client.get(&path).expect(404);
    client.delete(&path).expect(404);
    bridge.terminate();
    let audit = bridge.audit();
    let of = |action: &str| audit.iter().filter(|other| *other == action).count();
    assert_eq!((of("group.create"), of("group.delete"), of("group.modify")), (4, 1, 0));
}

#[test]
fn groups_have_permissions_of_their_own() {
    let settings = Settings::local()
        .token("reader", "reader-token", &["groups:read"])
        .token("writer", "writer-token", &["groups:write"])
        .token("users", "users-token", &["users:*"]);
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let path = format!("/Groups/{}", group(&mut client, "G", &[]));
    let (mut reader, mut writer) =
        (bridge.client_as("reader-token"), bridge.client_as("writer-token"));
    let mut users = bridge.client_as("users-token");
    for path in ["/Groups", path.as_str(), "/Groups/nobody", "/Groups/.search"] {
        for client in [&mut writer, &mut users] {
            let refused = client.get(path).expect(403);
            assert!(refused["detail"].as_str().unwrap().contains("groups:read"), "{refused}");
        }
    }
    reader.get("/Groups").expect(200);
    reader.get(&path).expect(200);
    for client in [&mut reader, &mut users] {
        client.post("/Groups", &json!({ "displayName": "x" })).expect(403);
        client.put(&path, &json!({ "displayName": "x" })).expect(403);
        client.patch(&path, &add(&[])).expect(403);
        let refused = client.delete(&path).expect(403);
        assert!(refused["detail"].as_str().unwrap().contains("groups:write"), "{refused}");
    }
    writer.patch(&path, &add(&[])).expect(200);
    assert_eq!(writer.delete(&path).status, 204);
}
