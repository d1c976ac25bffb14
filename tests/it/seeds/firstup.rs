//! Firstup's User Management API, in the order of its page. Set up by `path_id = "any"`,
//! `delete_unknown = "no_content"`, `default_role`, `limits = { roles = 1 }` and `paged_discovery`.

use serde_json::json;

use super::{id, patch};
use crate::support::bridge::{Settings, TENANT, TestBridge};
use crate::support::client::Client;
use crate::support::company;
use crate::support::slapd::Slapd;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

fn settings() -> Settings {
    Settings::local().tenant(
        "mounts = [\"/scim/v2\"]\npath_id = \"any\"\ndelete_unknown = \"no_content\"\n\
         default_role = \"member\"\nlimits = { roles = 1 }\npaged_discovery = true",
    )
}

/// A client of the paths that the page names.
fn client(bridge: &TestBridge) -> Client {
    Client::new(bridge.address(), "/scim/v2", Some(crate::support::bridge::TOKEN))
}

#[test]
fn schemas_and_resource_types_are_listed_in_pages_and_shown_one_by_one() {
    let bridge = TestBridge::start(&settings());
    let mut client = client(&bridge);
    for path in ["/Schemas", "/ResourceTypes"] {
        let all = client.get(path).expect(200);
        let total = all["totalResults"].as_u64().unwrap();
        assert!(total > 1, "{all}");
        let first = client.get(&format!("{path}?startIndex=1&count=1")).expect(200);
        assert_eq!((&first["totalResults"], &first["itemsPerPage"]), (&json!(total), &json!(1)));
        let second = client.get(&format!("{path}?startIndex=2&count=1")).expect(200);
        assert_eq!(second["startIndex"], 2);
        assert_eq!(first["Resources"][0]["id"], all["Resources"][0]["id"]);
        assert_eq!(second["Resources"][0]["id"], all["Resources"][1]["id"]);
        let beyond = client.get(&format!("{path}?startIndex={}", total + 1)).expect(200);
        assert_eq!((&beyond["totalResults"], &beyond["Resources"]), (&json!(total), &json!([])));
        let one = client.get(&format!("{path}/{}", id(&all["Resources"][0]))).expect(200);
        assert_eq!(one["id"], all["Resources"][0]["id"]);
        assert_eq!(client.get(&format!("{path}?count=x")).expect(400)["scimType"], "invalidValue");
        assert_eq!(client.get(&format!("{path}?filter=id+pr")).status, 403);
    }
    // RFC 7644 section 4: without the key they are whole, whatever is asked for.
    let plain = TestBridge::start(&Settings::local());
    let all = plain.client().get("/Schemas?startIndex=2&count=1").expect(200);
    assert_eq!(all["Resources"].as_array().unwrap().len() as u64, all["totalResults"]);
}

#[test]
fn the_provider_configuration_is_true() {
    let bridge = TestBridge::start(&settings());
    let shown = client(&bridge).get("/ServiceProviderConfig").expect(200);
    for feature in ["patch", "bulk", "filter", "sort", "etag"] {
        assert_eq!(shown[feature]["supported"], true, "{feature}");
    }
    assert_eq!(shown["changePassword"]["supported"], false);
}

#[test]
fn users_are_listed_by_equality() {
    let bridge = TestBridge::start(&settings());
    let mut client = client(&bridge);
    for (name, role) in [("ann", "member"), ("bob", "admin")] {
        let body = json!({ "schemas": [USER], "userName": name, "roles": [{ "value": role }] });
        client.post("/Users", &body).expect(201);
    }
    for (filter, found) in [
        ("userName eq \"bob\"", vec!["bob"]),
        ("roles.value eq \"member\"", vec!["ann"]),
        ("roles eq \"admin\"", vec!["bob"]),
        ("roles.value eq \"nobody\"", vec![]),
    ] {
        let list = client.query("/Users", &[("filter", filter)]).expect(200);
        let names: Vec<&str> = list["Resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| user["userName"].as_str().unwrap())
            .collect();
        assert_eq!(names, found, "{filter}");
    }
}

#[test]
fn a_new_user_is_a_member_unless_it_is_said_otherwise() {
    let bridge = TestBridge::start(&settings());
    let mut client = client(&bridge);
    let plain = client.post("/Users", &json!({ "userName": "ann" })).expect(201);
    assert_eq!(plain["roles"], json!([{ "value": "member" }]));
    for roles in [json!([]), json!(null)] {
        let name = format!("ann {roles}");
        let empty = client.post("/Users", &json!({ "userName": name, "roles": roles })).expect(201);
        assert_eq!(empty["roles"], json!([{ "value": "member" }]));
    }
    let body = json!({ "userName": "bob", "roles": [{ "value": "admin" }] });
    let given = client.post("/Users", &body).expect(201);
    assert_eq!(given["roles"], json!([{ "value": "admin" }]));
    // Only who is new gets it.
    let path = format!("/Users/{}", id(&given));
    let none = client.patch(&path, &patch(&json!([{ "op": "remove", "path": "roles" }])));
    assert_eq!(none.expect(200).get("roles"), None);
}

/// The role of a user is one: whoever sends two is told, by every way to write them.
#[test]
fn a_user_has_one_role() {
    let bridge = TestBridge::start(&settings());
    let mut client = client(&bridge);
    let two = json!([{ "value": "admin" }, { "value": "editor" }]);
    let body = json!({ "userName": "ann", "roles": two });
    let made = client.post("/Users", &json!({ "userName": "ann" })).expect(201);
    let path = format!("/Users/{}", id(&made));
    let replace = |roles: &serde_json::Value| {
        patch(&json!([{ "op": "replace", "path": "roles", "value": roles }]))
    };
    let added = json!([{ "op": "add", "path": "roles", "value": [{ "value": "admin" }] }]);
    assert_eq!(made["roles"], json!([{ "value": "member" }]), "which is the one");
    for answer in [
        client.post("/Users", &json!({ "userName": "bob", "roles": two })),
        client.put(&path, &body),
        client.patch(&path, &replace(&two)),
        client.patch(&path, &patch(&added)),
    ] {
        let refused = answer.expect(400);
        assert_eq!(refused["scimType"], "invalidValue");
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains("roles") && detail.contains('1'), "{detail}");
    }
    let one = json!([{ "value": "editor" }]);
    assert_eq!(client.patch(&path, &replace(&one)).expect(200)["roles"], one);
}

#[test]
fn a_user_is_shown_by_id_user_name_mail_or_external_id() {
    let bridge = TestBridge::start(&settings());
    let mut client = client(&bridge);
    let made = client
        .post(
            "/Users",
            &json!({ "userName": "Ann Smith", "externalId": "E-1",
                "emails": [{ "value": "ann@example.com" }, { "value": "a@example.com" }] }),
        )
        .expect(201);
    let name = id(&made);
    for path in ["Ann%20Smith", "ann%20smith", "ann@example.com", "A@EXAMPLE.COM", "E-1", &name] {
        let shown = client.get(&format!("/Users/{path}")).expect(200);
        assert_eq!(shown, made, "{path}");
    }
    for path in ["Ann", "e-1", "nobody@example.com", "Ann%20Smith%20"] {
        assert_eq!(client.get(&format!("/Users/{path}")).status, 404, "{path}");
    }
    // In this order: the id of one is no name of another, a name no address.
    let namesake = json!({ "userName": name, "externalId": "Ann Smith" });
    let namesake = client.post("/Users", &namesake).expect(201);
    assert_eq!(client.get(&format!("/Users/{name}")).expect(200), made);
    assert_eq!(client.get("/Users/Ann%20Smith").expect(200), made);
    let called = json!({ "userName": "ann@example.com" });
    let called = client.post("/Users", &called).expect(201);
    assert_eq!(client.get("/Users/ann@example.com").expect(200), called);
    assert_ne!(namesake["id"], called["id"]);

    let twin = json!({ "userName": "twin", "emails": [{ "value": "a@example.com" }] });
    let twin = client.post("/Users", &twin).expect(201);
    let refused = client.get("/Users/a@example.com").expect(409);
    for user in [&made, &twin] {
        assert!(refused["detail"].as_str().unwrap().contains(&id(user)), "{refused}");
    }
    let off = patch(&json!([{ "op": "replace", "path": "active", "value": false }]));
    assert_eq!(client.patch("/Users/a@example.com", &off).status, 409);
    assert_eq!(client.delete("/Users/a@example.com").status, 409);
    assert_eq!(client.get(&format!("/Users/{}", id(&twin))).expect(200)["active"], true);
}

#[test]
fn a_user_is_replaced_and_updated_by_any_of_them() {
    let bridge = TestBridge::start(&settings());
    let mut client = client(&bridge);
    let made = client
        .post(
            "/Users",
            &json!({ "userName": "ann", "externalId": "E-1",
            "emails": [{ "value": "ann@example.com" }] }),
        )
        .expect(201);
    let mut body = client.get("/Users/ann").expect(200);
    body["nickName"] = "Annie".into();
    let put = client.put("/Users/E-1", &body);
    assert!(put.header("location").unwrap().ends_with(&format!("/Users/{}", id(&made))));
    assert_eq!(put.expect(200)["nickName"], "Annie");
    let rename = patch(&json!([{ "op": "replace", "path": "userName", "value": "anna" }]));
    let after = client.patch("/Users/ann@example.com", &rename).expect(200);
    assert_eq!((&after["id"], &after["userName"]), (&made["id"], &json!("anna")));
    // What the name was is nobody's now.
    assert_eq!(client.get("/Users/ann").status, 404);
    assert_eq!(client.patch("/Users/ann", &rename).status, 404);
    assert_eq!(client.get("/Users/anna").expect(200)["id"], made["id"]);
    assert_eq!(client.delete("/Users/anna").status, 204);
    assert_eq!(client.get(&format!("/Users/{}", id(&made))).status, 404);
}

#[test]
fn people_of_directories_are_named_by_their_ids_alone() {
    let slapd = Slapd::shared();
    let settings = Settings::over(slapd).tenant("path_id = \"any\"");
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let person = company::person(71);
    let long = format!("corp.{}", person.entry_uuid);
    let mail = person.mails[0].clone();
    let names = [person.uid.as_str(), mail.as_str()];
    let off = patch(&json!([{ "op": "replace", "path": "nickName", "value": "x" }]));
    for name in names {
        assert_eq!(client.get(&format!("/Users/{name}")).status, 404, "{name}");
        assert_eq!(client.patch(&format!("/Users/{name}"), &off).status, 404, "{name}");
    }
    assert_eq!(bridge.audit(), Vec::<String>::new(), "nobody was bound");
    assert_eq!(client.get(&format!("/Users/{long}")).status, 200);
    client.patch(&format!("/Users/{long}"), &off).expect(200);
    for name in names {
        assert_eq!(client.get(&format!("/Users/{name}")).status, 404, "bound: {name}");
        assert_eq!(client.delete(&format!("/Users/{name}")).status, 404, "bound: {name}");
    }
    // A user of ours who takes a person's name, or an id, stands in nobody's place.
    let ours = json!({ "userName": person.uid, "externalId": "E-71" });
    client.post("/Users", &ours).expect(201);
    assert_eq!(client.get(&format!("/Users/{}", person.uid)).status, 409);
    let other = company::person(72);
    let long = format!("corp.{}", other.entry_uuid);
    client.post("/Users", &json!({ "userName": long })).expect(201);
    let shown = client.get(&format!("/Users/{long}")).expect(200);
    assert_eq!(shown["userName"], other.uid);
    let gone = "corp.00000000-0000-0000-0000-000000000000";
    client.post("/Users", &json!({ "userName": gone })).expect(201);
    assert_eq!(client.get(&format!("/Users/{gone}")).status, 404);
    assert_eq!(client.delete(&format!("/Users/{gone}")).status, 404);
}

#[test]
fn deleting_who_is_not_there_succeeds() {
    let bridge = TestBridge::start(&settings().token("reader", "reader", &["users:read"]));
    let mut client = client(&bridge);
    let made = client.post("/Users", &json!({ "userName": "ann" })).expect(201);
    let path = format!("/Users/{}", id(&made));
    for path in [path.as_str(), &path, "/Users/nobody", "/Users/ann"] {
        assert_eq!(client.delete(path).status, 204, "{path}");
    }
    assert_eq!(bridge.audit(), ["user.create", "user.delete"], "{TENANT}");
    assert_eq!(client.get(&path).status, 404);
    // Of groups it is an error as ever, and so is a version of nobody.
    assert_eq!(client.delete("/Groups/nobody").status, 404);
    let tag = [("If-Match", "W/\"1\"")];
    assert_eq!(client.send("DELETE", &path, &tag, b"").status, 404);
    let mut reader = Client::new(bridge.address(), "/scim/v2", Some("reader"));
    assert_eq!(reader.delete("/Users/nobody").status, 403);
    let bulk = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [{ "method": "DELETE", "path": path }] });
    assert_eq!(client.post("/Bulk", &bulk).expect(200)["Operations"][0]["status"], "204");
    // Without the key it is 404.
    let plain = TestBridge::start(&Settings::local());
    assert_eq!(plain.client().delete("/Users/nobody").status, 404);
}

#[test]
fn who_is_asking_is_shown_as_a_user() {
    let bridge = TestBridge::start(&settings().token("ann", "of-ann", &["users:read"]));
    let made = client(&bridge).post("/Users", &json!({ "userName": "ann" })).expect(201);
    let mut ann = Client::new(bridge.address(), "/scim/v2", Some("of-ann"));
    assert_eq!(ann.get("/Users/me").status, 404, "this token stands for nobody");
    let named = settings().token("ann", "of-ann", &["users:read"]).token_line("user = \"10001\"");
    let bridge = TestBridge::start(&named);
    let again = client(&bridge).post("/Users", &json!({ "userName": "ann" })).expect(201);
    let mut ann = Client::new(bridge.address(), "/scim/v2", Some("of-ann"));
    for path in ["/Users/me", "/Me", "/users/ME"] {
        assert_eq!(ann.get(path).expect(200)["id"], again["id"], "{path}");
    }
    assert_ne!(made["id"], again["id"]);
}
