//! `AccountMaker`'s Users page, in its order: `delete = "soft"` and `lifecycle_api = true`.

use serde_json::{Value, json};

use super::{holds, id, patch};
use crate::support::bridge::{Settings, TOKEN, TestBridge};
use crate::support::client::Client;
use crate::support::company;
use crate::support::slapd::Slapd;

const LIFE_CYCLE: &str = "urn:scimbridge:schemas:2.0:LifeCycle";

fn soft(settings: Settings) -> Settings {
    settings.tenant("mounts = [\"/scim/v2\"]\ndelete = \"soft\"").token(
        "provisioner",
        "may-provision",
        &["scim:provision"],
    )
}

fn client(bridge: &TestBridge) -> Client {
    Client::new(bridge.address(), "/scim/v2", Some("may-provision"))
}

fn set(path: &str, value: &Value) -> Value {
    patch(&json!([{ "op": "replace", "path": path, "value": value }]))
}

/// "SCIM delete performs soft-delete (sets status to disabled) to preserve audit trails."
#[test]
fn a_deleted_user_is_disabled_and_everything_else_stays() {
    let bridge = TestBridge::start(&soft(Settings::local()));
    let mut client = client(&bridge);
    let body = json!({ "userName": "ann", "title": "Pilot", "roles": [{ "value": "admin" }] });
    let made = client.post("/Users", &body).expect(201);
    let path = format!("/Users/{}", id(&made));
    let group = json!({ "displayName": "Crew", "members": [{ "value": made["id"] }] });
    let group = client.post("/Groups", &group).expect(201);
    assert_eq!(client.delete(&path).status, 204);
    let disabled = client.get(&path).expect(200);
    holds(
        &disabled,
        &json!({ "id": made["id"], "active": false, "title": "Pilot",
            "roles": [{ "value": "admin" }], "groups": [{ "value": group["id"] }] }),
    );
    let found = client.query("/Users", &[("filter", "userName eq \"ann\"")]).expect(200);
    assert_eq!(found["Resources"], json!([disabled]));
    let group = client.get(&format!("/Groups/{}", id(&group))).expect(200);
    holds(&group, &json!({ "members": [{ "value": made["id"] }] }));
    // Again: the same, and nothing is written.
    assert_eq!(client.delete(&path).status, 204);
    assert_eq!(client.get(&path).expect(200), disabled);
    assert_eq!(bridge.audit(), ["user.create", "group.create", "user.disable"]);
    assert_eq!(client.post("/Users", &body).status, 409, "the name is kept");
    let back = client.patch(&path, &set("active", &json!(true))).expect(200);
    holds(&back, &json!({ "active": true, "roles": [{ "value": "admin" }] }));
    // A version that is named is held, and who is not there is not.
    let old = [("If-Match", "W/\"1\"")];
    assert_eq!(client.send("DELETE", &path, &old, b"").status, 412);
    assert_eq!(client.get(&path).expect(200)["active"], true);
    assert_eq!(client.delete("/Users/nobody").status, 404);
    let bulk = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [{ "method": "DELETE", "path": path }] });
    assert_eq!(client.post("/Bulk", &bulk).expect(200)["Operations"][0]["status"], "204");
    assert_eq!(client.get(&path).expect(200)["active"], false);
    // Groups go.
    let path = format!("/Groups/{}", id(&group));
    assert_eq!(client.delete(&path).status, 204);
    assert_eq!(client.get(&path).status, 404);
}

#[test]
fn a_bound_person_stays_bound_and_is_disabled() {
    let bridge = TestBridge::start(&soft(Settings::over(Slapd::shared())));
    let mut client = client(&bridge);
    let person = company::person(73);
    let path = format!("/Users/corp.{}", person.entry_uuid);
    let refused = client.delete(&path).expect(403);
    assert!(refused["detail"].as_str().unwrap().contains("not bound"), "{refused}");
    client.patch(&path, &set("nickName", &json!("Seventy-three"))).expect(200);
    assert_eq!(client.delete(&path).status, 204);
    let disabled = client.get(&path).expect(200);
    holds(
        &disabled,
        &json!({ "active": false, "userType": "FTRESS_LDAP", "nickName": "Seventy-three" }),
    );
    let filter = format!("userName eq \"{}\"", person.uid);
    let everywhere = [("filter", filter.as_str()), ("searchRepositories", "true")];
    let found = client.query("/Users", &everywhere).expect(200);
    holds(&found, &json!({ "totalResults": 1 }));
    holds(&found["Resources"][0], &json!({ "userType": "FTRESS_LDAP", "active": false }));
    assert_eq!(client.delete(&path).status, 204);
    assert_eq!(bridge.audit(), ["user.bind", "user.disable"]);
    assert_eq!(client.patch(&path, &set("active", &json!(true))).expect(200)["active"], true);
}

/// "Required scope: scim:provision or admin".
#[test]
fn the_scopes_are_those_of_the_page() {
    let settings = soft(Settings::local()).token("admin", "may-administer", &["admin"]).token(
        "reader",
        "may-read",
        &["users:read", "users:search"],
    );
    let bridge = TestBridge::start(&settings);
    for (token, status) in [("may-provision", 201), ("may-administer", 201), ("may-read", 403)] {
        let mut client = Client::new(bridge.address(), "/scim/v2", Some(token));
        assert_eq!(client.post("/Users", &json!({ "userName": token })).status, status, "{token}");
    }
}

/// The table of statuses, as SCIM shows and writes them.
#[test]
fn a_status_and_active_are_one() {
    let bridge = TestBridge::start(&soft(Settings::local()).tenant("lifecycle_api = true"));
    let mut client = client(&bridge);
    let status = format!("{LIFE_CYCLE}:status");
    let stands = |active: bool, status: &str| json!({ "active": active, (LIFE_CYCLE): { "status": status } });
    let made = client.post("/Users", &json!({ "userName": "ann" })).expect(201);
    let path = format!("/Users/{}", id(&made));
    let suspended = client.patch(&path, &set(&status, &json!("suspended"))).expect(200);
    holds(&suspended, &stands(false, "suspended"));
    for (filter, found) in [
        (format!("{status} eq \"suspended\""), 1),
        (format!("{status} eq \"disabled\""), 0),
        ("active eq false".to_owned(), 1),
    ] {
        let list = client.query("/Users", &[("filter", &filter)]).expect(200);
        assert_eq!(list["totalResults"], found, "{filter}");
    }
    // A client that knows only `active` and hands back what it read leaves the status alone.
    let mut body = client.get(&path).expect(200);
    body.as_object_mut().unwrap().remove(LIFE_CYCLE);
    body["title"] = "Pilot".into();
    holds(&client.put(&path, &body).expect(200), &stands(false, "suspended"));
    body["active"] = true.into();
    holds(&client.put(&path, &body).expect(200), &stands(true, "active"));
    client.patch(&path, &set(&status, &json!("suspended"))).expect(200);
    assert_eq!(client.delete(&path).status, 204);
    holds(&client.get(&path).expect(200), &stands(false, "disabled"));
    let both = patch(&json!([{ "op": "replace", "value": { "active": true,
        (LIFE_CYCLE): { "status": "suspended" } } }]));
    assert_eq!(client.patch(&path, &both).expect(400)["scimType"], "invalidValue");
    // "deleted" is nobody's status: who is removed for good is not there.
    let unknown = client.patch(&path, &set(&status, &json!("deleted"))).expect(400);
    assert_eq!(unknown["scimType"], "invalidValue");
    let born = json!({ "userName": "bob", (LIFE_CYCLE): { "status": "suspended" } });
    holds(&client.post("/Users", &born).expect(201), &stands(false, "suspended"));
    let mut all = Client::new(bridge.address(), "/scim/v2", Some(TOKEN));
    assert_eq!(all.get(&format!("/Schemas/{LIFE_CYCLE}")).status, 200);
}
