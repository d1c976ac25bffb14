//! How groups are told over HTTP: discovery, methods, lists, headers.

use serde_json::{Value, json};

use super::{group, user};
use crate::support::bridge::{Settings, TestBridge};

#[test]
fn discovery_tells_of_groups() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let types = client.get("/ResourceTypes").expect(200);
    let names: Vec<&Value> =
        types["Resources"].as_array().unwrap().iter().map(|one| &one["endpoint"]).collect();
    assert_eq!(names[..2], ["/Users", "/Groups"]);
    let of_group = client.get("/ResourceTypes/Group").expect(200);
    assert_eq!(of_group["schema"], "urn:ietf:params:scim:schemas:core:2.0:Group");
    let schema = client.get("/Schemas/urn:ietf:params:scim:schemas:core:2.0:Group").expect(200);
    assert_eq!(schema["attributes"][0]["name"], "displayName");
    assert_eq!(schema["attributes"][0]["required"], true);
    assert_eq!(client.get("/Groups?filter=displayName+pr").expect(200)["totalResults"], 0);
    client.get("/ResourceTypes?filter=name+eq+%22Group%22").expect(403);
}

#[test]
fn methods_headers_and_lists_are_those_of_every_type() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let a = user(&mut client, "a");
    let ids: Vec<String> =
        ["c", "A", "b"].iter().map(|name| group(&mut client, name, &[&a])).collect();
    let path = format!("/Groups/{}", ids[0]);
    for (method, path, allowed) in [
        ("DELETE", "/Groups", "GET, HEAD, POST"),
        ("PUT", "/Groups/.search", "GET, HEAD, POST"),
        ("POST", path.as_str(), "GET, HEAD, PUT, PATCH, DELETE"),
    ] {
        let refused = client.send(method, path, &[], b"{}");
        assert_eq!(
            (refused.status, refused.header("allow")),
            (405, Some(allowed)),
            "{method} {path}"
        );
    }
    for unknown in ["/Groups/a/b", "/Groups/.import", "/Stones"] {
        client.get(unknown).expect(404);
    }
    let read = client.get(&path);
    let location = read.header("location").unwrap().to_owned();
    assert_eq!(read.header("content-location"), Some(location.as_str()));
    assert!(location.ends_with(&path));
    let head = client.send("HEAD", &path, &[], b"");
    assert_eq!(head.header("content-length").unwrap(), read.body.len().to_string());
    assert_eq!(head.header("etag"), read.header("etag"));

    let list = client.get("/Groups").expect(200);
    let names: Vec<&Value> =
        list["Resources"].as_array().unwrap().iter().map(|one| &one["displayName"]).collect();
    assert_eq!(names, ["A", "b", "c"], "by their names, unless asked otherwise");
    assert_eq!(list["Resources"][2], read.json(), "a list tells what a read tells");
    let page = client
        .get("/Groups?sortBy=displayName&sortOrder=descending&startIndex=2&count=1")
        .expect(200);
    assert_eq!(
        (&page["totalResults"], &page["Resources"][0]["displayName"]),
        (&json!(3), &json!("b"))
    );
    assert_eq!(client.get("/Groups?count=0").expect(200)["totalResults"], 3);
    for found in [
        client.get("/Groups/.search?filter=displayName+eq+%22C%22").expect(200),
        client.post("/Groups/.search", &json!({ "filter": "displayName eq \"C\"" })).expect(200),
        client
            .query(
                "/Groups",
                &[
                    ("filter", "displayName eq \"C\""),
                    ("excludedAttributes", "members"),
                    ("startIndex", "1"),
                    ("count", "100"),
                ],
            )
            .expect(200),
    ] {
        assert_eq!(
            (&found["totalResults"], &found["Resources"][0]["id"]),
            (&json!(1), &json!(ids[0]))
        );
    }
    // By cursor, with what a read tells, and by what only the members tell.
    let mut walked = Vec::new();
    let mut page = client.get("/Groups?cursor&count=2").expect(200);
    loop {
        walked.extend(page["Resources"].as_array().unwrap().clone());
        let Some(next) = page.get("nextCursor").and_then(Value::as_str) else { break };
        page = client.query("/Groups", &[("cursor", next), ("count", "2")]).expect(200);
    }
    assert_eq!(json!(walked), list["Resources"]);
    for (filter, count) in [("members.display sw \"a\"", 3), ("members.display sw \"b\"", 0)] {
        let walk = client.query("/Groups", &[("cursor", ""), ("filter", filter)]).expect(200);
        assert_eq!(walk["totalResults"], count, "{filter}");
    }
    // Groups are ours: there is nobody to ask about them.
    let federated = client.get("/Groups?searchRepositories=true").expect(200);
    assert_eq!(federated["totalResults"], 3);
}
