//! `LumoAuth`'s SCIM Users, in the order of its page: a mount of that system's path, and what it
//! requires of a user.

use serde_json::json;

use super::{holds, id, patch};
use crate::support::bridge::{Settings, TOKEN, TestBridge};
use crate::support::client::Client;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const BASE: &str = "/t/acme-corp/api/v1/scim/v2";

fn bridge() -> TestBridge {
    TestBridge::start(&Settings::local().tenant(&format!(
        "mounts = [{BASE:?}]\nrequired = [\"name\", \"emails\"]\nmax_results = 200"
    )))
}

fn client(bridge: &TestBridge) -> Client {
    Client::new(bridge.address(), BASE, Some(TOKEN))
}

fn alice() -> serde_json::Value {
    json!({
        "schemas": [USER],
        "userName": "alice@example.com",
        "name": { "givenName": "Alice", "familyName": "Smith" },
        "emails": [{ "value": "alice@example.com", "primary": true }],
        "displayName": "Alice Smith",
        "active": true,
    })
}

#[test]
fn a_user_is_created_shown_and_listed_under_the_mount() {
    let bridge = bridge();
    let mut client = client(&bridge);
    let answer = client.post("/Users", &alice());
    let made = answer.expect(201);
    let location = format!("http://{}{BASE}/Users/{}", bridge.address(), id(&made));
    assert_eq!(answer.header("location"), Some(location.as_str()));
    assert_eq!(answer.header("content-type"), Some("application/scim+json"));
    // The page shows name.formatted too; nobody gave it, and it is not made up.
    let mut shown = alice();
    shown["meta"] = json!({ "resourceType": "User", "location": location });
    holds(&made, &shown);
    for time in ["created", "lastModified"] {
        assert!(made["meta"][time].as_str().unwrap().ends_with('Z'), "{made}");
    }
    assert_eq!(client.get(&format!("/Users/{}", id(&made))).expect(200), made);
    let list = client
        .query("/Users", &[("filter", "userName eq \"alice@example.com\""), ("count", "10")])
        .expect(200);
    holds(
        &list,
        &json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": 1, "startIndex": 1, "itemsPerPage": 1, "Resources": [made],
        }),
    );
    let second = client.query("/Users", &[("startIndex", "2"), ("count", "1")]).expect(200);
    holds(&second, &json!({ "totalResults": 1, "startIndex": 2, "Resources": [] }));
    assert_eq!(client.post("/Users", &alice()).expect(409)["scimType"], "uniqueness");
    let refused = client.query("/Users", &[("filter", "userName eq")]).expect(400);
    assert_eq!(
        (&refused["status"], &refused["scimType"]),
        (&json!("400"), &json!("invalidFilter"))
    );
}

/// The table of what is required, beside `userName`.
#[test]
fn a_user_has_a_name_and_an_address() {
    let bridge = bridge();
    let mut client = client(&bridge);
    for required in ["userName", "name", "emails"] {
        for absent in [None, Some(json!(null))] {
            let mut body = alice();
            match absent {
                None => drop(body.as_object_mut().unwrap().remove(required)),
                Some(null) => body[required] = null,
            }
            let refused = client.post("/Users", &body).expect(400);
            assert_eq!(refused["scimType"], "invalidValue", "{required}");
            assert!(refused["detail"].as_str().unwrap().contains(required), "{refused}");
        }
    }
    assert_eq!(client.get("/Users").expect(200)["totalResults"], 0);
    client.post("/Users", &alice()).expect(201);
}

#[test]
fn a_user_is_replaced_patched_deactivated_and_deleted() {
    let bridge = bridge();
    let mut client = client(&bridge);
    let made = client.post("/Users", &alice()).expect(201);
    let path = format!("/Users/{}", id(&made));
    let mut body = alice();
    body["title"] = "Engineer".into();
    body["phoneNumbers"] = json!([{ "value": "+1 555 0100", "type": "work" }]);
    // "Include all attributes, not just changed ones": what is left out is gone.
    body.as_object_mut().unwrap().remove("displayName");
    let replaced = client.put(&path, &body).expect(200);
    holds(&replaced, &json!({ "title": "Engineer", "phoneNumbers": body["phoneNumbers"] }));
    assert_eq!(replaced.get("displayName"), None);
    let renamed = client
        .patch(
            &path,
            &patch(&json!([
                { "op": "replace", "path": "name.familyName", "value": "Johnson" },
                { "op": "replace", "path": "displayName", "value": "Alice Johnson" },
            ])),
        )
        .expect(200);
    holds(
        &renamed,
        &json!({ "displayName": "Alice Johnson",
            "name": { "givenName": "Alice", "familyName": "Johnson" } }),
    );
    let off = patch(&json!([{ "op": "replace", "path": "active", "value": false }]));
    assert_eq!(client.patch(&path, &off).expect(200)["active"], false);
    // Groups are read-only on the user.
    let group = client
        .post("/Groups", &json!({ "displayName": "G", "members": [{ "value": made["id"] }] }))
        .expect(201);
    let shown = client.get(&path).expect(200);
    holds(&shown, &json!({ "groups": [{ "value": group["id"], "display": "G" }] }));
    let mut without = shown.clone();
    without["groups"] = json!([]);
    assert_eq!(client.put(&path, &without).expect(200)["groups"], shown["groups"]);
    assert_eq!(client.delete(&path).status, 204);
    assert_eq!(client.get(&path).expect(404)["status"], "404");
}

#[test]
fn the_provider_configuration_is_the_documented_one_as_far_as_it_is_true() {
    let bridge = bridge();
    let shown = client(&bridge).get("/ServiceProviderConfig").expect(200);
    holds(
        &shown,
        &json!({
            "patch": { "supported": true },
            "bulk": { "supported": true, "maxOperations": 1000, "maxPayloadSize": 1_048_576 },
            "filter": { "supported": true, "maxResults": 200 },
            "sort": { "supported": true },
            "etag": { "supported": true },
            "authenticationSchemes": [{ "type": "oauthbearertoken" }],
            // The document says true. No password is kept here, so that none can be changed.
            "changePassword": { "supported": false },
        }),
    );
}
