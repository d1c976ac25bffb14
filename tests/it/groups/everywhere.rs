//! A search over all resource types of the tenant: `POST /.search`.

use serde_json::{Value, json};

use super::{group, user};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;

fn search(client: &mut Client, request: &Value) -> Value {
    client.post("/.search", request).expect(200)
}

/// What the resources of a list are called.
fn names(list: &Value) -> Vec<&str> {
    list["Resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            one.get("userName").or_else(|| one.get("displayName")).unwrap().as_str().unwrap()
        })
        .collect()
}

#[test]
fn all_types_are_searched_type_by_type_or_in_one_order() {
    let settings = Settings::local().token("users", "users-token", &["users:search"]).token(
        "nothing",
        "nothing-token",
        &["users:read"],
    );
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    for name in ["alice", "carol", "erin"] {
        user(&mut client, name);
    }
    for name in ["Board", "Directors"] {
        group(&mut client, name, &[]);
    }
    let all = search(&mut client, &json!({}));
    assert_eq!(names(&all), ["alice", "carol", "erin", "Board", "Directors"]);
    assert_eq!(
        (&all["totalResults"], &all["itemsPerPage"], &all["startIndex"]),
        (&json!(5), &json!(5), &json!(1))
    );
    for (at, kind) in [(0, "Users"), (4, "Groups")] {
        let location = all["Resources"][at]["meta"]["location"].as_str().unwrap();
        assert!(location.contains(kind), "{location}");
    }
    // Pages fall where they fall.
    for (start, count, expected) in [
        (1, 2, vec!["alice", "carol"]),
        (3, 2, vec!["erin", "Board"]),
        (4, 9, vec!["Board", "Directors"]),
        (6, 9, vec![]),
        (2, 0, vec![]),
    ] {
        let page = search(&mut client, &json!({ "startIndex": start, "count": count }));
        assert_eq!(names(&page), expected, "{start} {count}");
        assert_eq!(page["totalResults"], 5);
        assert_eq!(page["startIndex"], start);
    }
    // By what several types have, in one order; who has no value comes last, or first.
    for (start, count, order, expected) in [
        (1, 9, "ascending", vec!["alice", "carol", "erin", "Board", "Directors"]),
        (1, 3, "descending", vec!["Directors", "Board", "erin"]),
        (2, 2, "ascending", vec!["carol", "erin"]),
    ] {
        let request = json!({ "sortBy": "meta.created", "sortOrder": order, "startIndex": start, "count": count });
        let page = search(&mut client, &request);
        assert_eq!(names(&page), expected, "{request}");
        assert_eq!(page["totalResults"], 5);
    }
    let by_name = json!({ "sortBy": "displayName", "sortOrder": "ascending", "count": 3 });
    assert_eq!(names(&search(&mut client, &by_name))[..2], ["Board", "Directors"]);

    for (filter, expected) in [
        ("meta.resourceType eq \"Group\"", vec!["Board", "Directors"]),
        ("meta.resourceType eq \"User\" and userName sw \"a\"", vec!["alice"]),
        ("userName eq \"carol\" or displayName eq \"board\"", vec!["carol", "Board"]),
        // What a type does not have is absent in it.
        ("not (userName pr)", vec!["Board", "Directors"]),
        ("userName ne \"carol\"", vec!["alice", "erin", "Board", "Directors"]),
        ("members pr", vec![]),
    ] {
        let found = search(&mut client, &json!({ "filter": filter }));
        assert_eq!(names(&found), expected, "{filter}");
        assert_eq!(found["totalResults"], expected.len(), "{filter}");
    }
    let shown =
        search(&mut client, &json!({ "attributes": ["displayName"], "filter": "displayName pr" }));
    assert_eq!(
        shown["Resources"][0].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["schemas", "id", "displayName"]
    );

    let refused = client.post("/.search", &json!({ "sortBy": "shoeSize" })).expect(400);
    assert_eq!(refused["scimType"], "invalidPath");
    client.post("/.search", &json!({ "filter": "userName eq" })).expect(400);
    // What a token may not search is left out; who may search nothing is told so.
    assert_eq!(
        names(&search(&mut bridge.client_as("users-token"), &json!({}))),
        ["alice", "carol", "erin"]
    );
    bridge.client_as("nothing-token").post("/.search", &json!({})).expect(403);
}
