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

fn applications() -> Settings {
    let other = format!(
        "[[tenant]]\nname = \"other\"\nlifecycle_api = true\n[[tenant.token]]\nname = \"all\"\n\
         sha256 = \"{}\"\npermissions = [\"*\"]\n[[tenant]]\nname = \"plain\"\n",
        crate::support::bridge::digest("of-the-other")
    );
    soft(Settings::local())
        .tenant("lifecycle_api = true")
        .token("reader", "may-read", &["users:read", "users:search"])
        .rest(&other)
}

/// The operations of the page's first table: an application is a tenant.
#[test]
fn users_of_an_application_come_and_go() {
    let bridge = TestBridge::start(&applications());
    let mut api = Client::new(bridge.address(), "/api", Some("may-provision"));
    let mut scim = client(&bridge);
    let all = "/applications/acme/users";
    let crew = scim.post("/Groups", &json!({ "displayName": "Crew" })).expect(201);
    let body = json!({
        "identity": { "name": { "givenName": "Ann", "familyName": "Lee" }, "displayName": "Ann Lee",
            "locale": "en-GB" },
        "credentials": { "email": "ann@example.com", "password": "not kept" },
        "memberships": [{ "account": crew["id"], "roles": ["pilot", "editor"] }],
    });
    let answer = api.post(all, &body);
    let made = answer.expect(201);
    assert_eq!(answer.header("location"), Some(&*format!("/api/users/{}", id(&made))));
    holds(
        &made,
        &json!({ "application": "acme", "status": "active",
            "identity": { "displayName": "Ann Lee", "locale": "en-GB" },
            "credentials": { "userName": "ann@example.com", "email": "ann@example.com" },
            "memberships": [{ "account": crew["id"], "name": "Crew",
                "roles": ["pilot", "editor"] }] }),
    );
    assert!(!made.to_string().contains("not kept"));
    let path = format!("/users/{}", id(&made));
    assert_eq!(api.get(&path).expect(200), made);
    // It is the same user for SCIM, and in the group.
    let same = scim.get(&format!("/Users/{}", id(&made))).expect(200);
    holds(&same, &json!({ "active": true, "groups": [{ "value": crew["id"] }] }));

    let changed = json!({ "status": "suspended", "memberships": [] });
    let suspended = api.patch(&path, &changed).expect(200);
    holds(&suspended, &json!({ "status": "suspended", "memberships": [] }));
    holds(&scim.get(&format!("/Users/{}", id(&made))).expect(200), &json!({ "active": false }));
    // What says who the person is can be taken away, and the account goes on.
    let erased = api.patch(&path, &json!({ "identity": null, "status": "active" })).expect(200);
    holds(&erased, &json!({ "status": "active", "credentials": made["credentials"] }));
    assert_eq!(erased["identity"], json!({}));
    let same = scim.get(&format!("/Users/{}", id(&made))).expect(200);
    assert_eq!((same.get("name"), same.get("displayName")), (None, None));

    scim.delete(&format!("/Users/{}", id(&made)));
    assert_eq!(api.get(&path).expect(200)["status"], "disabled");
    for (query, total) in [
        ("", 1),
        ("?status=disabled", 1),
        ("?status=active", 0),
        ("?status=deleted", 0),
        ("?email=ann@example.com", 1),
        ("?status=disabled&email=x", 0),
    ] {
        assert_eq!(api.get(&format!("{all}{query}")).expect(200)["total"], total, "{query}");
    }
    for (body, part) in [
        (json!({ "status": "deleted" }), "DELETE"),
        (json!({ "status": "gone" }), "status"),
        (json!({ "shoeSize": 39 }), "shoeSize"),
        (json!({ "identity": { "x": 1 } }), "identity.x"),
        (json!({ "memberships": [{ "account": "nobody" }] }), "nobody"),
    ] {
        let refused = api.patch(&path, &body).expect(400);
        assert!(refused["detail"].as_str().unwrap().contains(part), "{body}: {refused}");
    }
    assert_eq!(api.put(&path, &json!({})).header("allow"), Some("GET, HEAD, PATCH, DELETE"));
    // "deleted: Permanently removed".
    assert_eq!(api.delete(&path).status, 204);
    assert_eq!(api.get(&path).status, 404);
    assert_eq!(scim.get(&format!("/Users/{}", id(&made))).status, 404);
    assert_eq!(api.delete(&path).status, 404);
}

/// An application that its own tokens alone see, and by what their permissions say.
#[test]
fn applications_are_kept_apart_and_permissions_are_those_of_scim() {
    let bridge = TestBridge::start(&applications());
    let mut api = Client::new(bridge.address(), "/api", Some("may-provision"));
    let all = "/applications/acme/users";
    let body = json!({ "credentials": { "userName": "ann" } });
    let path = format!("/users/{}", id(&api.post(all, &body).expect(201)));
    // Nobody learns which applications there are.
    let mut stranger = Client::new(bridge.address(), "/api", Some("of-the-other"));
    let answers: Vec<_> = ["acme", "plain", "nobody"]
        .map(|name| stranger.get(&format!("/applications/{name}/users")))
        .into_iter()
        .map(|answer| {
            (answer.status, answer.header("www-authenticate").map(str::to_owned), answer.body)
        })
        .collect();
    assert_eq!(answers[0].0, 401);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(stranger.get(&path).status, 404, "another tenant's user");
    assert_eq!(stranger.get("/applications/other/users").expect(200)["total"], 0);
    let mut nobody = Client::new(bridge.address(), "/api", None);
    assert_eq!(nobody.get(&path).status, 401);

    let mut reader = Client::new(bridge.address(), "/api", Some("may-read"));
    assert_eq!(reader.get(&path).status, 200);
    assert_eq!(reader.get(all).status, 200);
    for (answer, permission) in [
        (reader.post(all, &body), "users:create"),
        (reader.patch(&path, &json!({ "status": "active" })), "users:replace"),
        (reader.delete(&path), "users:delete"),
    ] {
        let refused = answer.expect(403);
        assert!(refused["detail"].as_str().unwrap().contains(permission), "{refused}");
    }
    // Where no tenant says so, there is nothing at these paths.
    let plain = TestBridge::start(&Settings::local());
    let mut nothing = Client::new(plain.address(), "/api", Some(TOKEN));
    assert_eq!(nothing.get(all).status, 404);
    assert_eq!(nothing.get("/users/x").status, 404);
}
