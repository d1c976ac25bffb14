//! The first write binds: by PATCH, PUT and POST, once, whoever comes at the same moment.

use std::sync::Barrier;

use serde_json::{Value, json};

use crate::support::bridge::{Settings, TestBridge};
use crate::support::company;
use crate::support::slapd::Slapd;

const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

fn nick(name: &str) -> Value {
    json!({ "schemas": [PATCH], "Operations": [{ "op": "add", "path": "nickName", "value": name }] })
}

fn long_id(number: usize) -> String {
    format!("corp.{}", company::person(number).entry_uuid)
}

fn by_name(uid: &str) -> String {
    format!("/Users?searchRepositories=true&filter=userName%20eq%20%22{uid}%22")
}

#[test]
fn looking_never_binds_and_the_first_patch_does() {
    let bridge = TestBridge::start(&Settings::over(Slapd::shared()));
    let mut client = bridge.client();
    let uid = company::person(10).uid;
    let before = client.get(&by_name(&uid)).expect(200);
    assert_eq!(before["totalResults"], 1);
    let unbound = &before["Resources"][0];
    assert_eq!(unbound["userType"], "LDAP");
    assert_eq!(unbound["id"], long_id(10).as_str());
    assert_eq!(client.get(&format!("/Users/{}", long_id(10))).expect(200)["userType"], "LDAP");
    assert_eq!(client.get("/Users").expect(200)["totalResults"], 0, "looking makes no row");

    let answer = client.patch(&format!("/Users/{}", long_id(10)), &nick("Ten"));
    let bound = answer.expect(200);
    assert_eq!(bound["userType"], "FTRESS_LDAP");
    assert_eq!(bound["id"], long_id(10).as_str(), "the id stays");
    assert_eq!(bound["nickName"], "Ten");
    assert_eq!(bound["userName"], uid.as_str());

    let after = client.get(&by_name(&uid)).expect(200);
    assert_eq!(after["totalResults"], 1);
    assert_eq!(after["Resources"][0]["userType"], "FTRESS_LDAP");
    assert_eq!(after["Resources"][0]["nickName"], "Ten");
    assert_eq!(client.get("/Users").expect(200)["totalResults"], 1);
}

#[test]
fn a_write_that_is_refused_or_changes_nothing_binds_nobody() {
    let bridge = TestBridge::start(&Settings::over(Slapd::shared()));
    let mut client = bridge.client();
    let path = format!("/Users/{}", long_id(11));
    let shown = client.get(&path).expect(200);

    let rename = json!({ "schemas": [PATCH], "Operations": [
        { "op": "replace", "path": "name.familyName", "value": "Otherwise" },
        { "op": "add", "path": "nickName", "value": "never" }] });
    let refused = client.patch(&path, &rename).expect(400);
    assert_eq!(refused["scimType"], "mutability");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("name.familyName") && detail.contains("corp"), "{detail}");

    let repeat = json!({ "schemas": [PATCH], "Operations": [
        { "op": "replace", "path": "userName", "value": shown["userName"].as_str().unwrap().to_uppercase() }] });
    assert_eq!(client.patch(&path, &repeat).expect(200)["userType"], "LDAP");
    assert_eq!(client.put(&path, &shown).expect(200)["userType"], "LDAP");
    assert_eq!(client.get("/Users").expect(200)["totalResults"], 0);
}

#[test]
fn a_put_binds_and_what_is_left_out_is_no_write_to_the_directory() {
    let bridge = TestBridge::start(&Settings::over(Slapd::shared()));
    let mut client = bridge.client();
    let path = format!("/Users/{}", long_id(12));
    let person = company::person(12);
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": person.uid, "nickName": "Twelve", "active": true
    });
    let bound = client.put(&path, &body).expect(200);
    assert_eq!(bound["userType"], "FTRESS_LDAP");
    assert_eq!(bound["nickName"], "Twelve");
    assert_eq!(bound["name"]["familyName"], person.sn.as_str());
    // What is ours and left out is gone.
    let body = json!({ "userName": person.uid });
    let replaced = client.put(&path, &body).expect(200);
    assert_eq!(replaced.get("nickName"), None);
}

#[test]
fn sixty_four_first_patches_leave_one_row_one_binding_and_every_write() {
    let mut bridge = TestBridge::start(&Settings::over(Slapd::shared()));
    let path = format!("/Users/{}", long_id(13));
    let start = Barrier::new(64);
    std::thread::scope(|scope| {
        for number in 0..64 {
            let (mut client, path, start) = (bridge.client(), &path, &start);
            scope.spawn(move || {
                let add = json!({ "schemas": [PATCH], "Operations": [{
                    "op": "add", "path": "ims",
                    "value": [{ "type": format!("t{number}"), "value": format!("v{number}") }] }] });
                start.wait();
                client.patch(path, &add).expect(200);
            });
        }
    });
    let mut client = bridge.client();
    let user = client.get(&path).expect(200);
    assert_eq!(user["ims"].as_array().unwrap().len(), 64, "no write is lost");
    assert_eq!(client.get("/Users").expect(200)["totalResults"], 1);
    bridge.terminate();
    let audit = bridge.audit();
    assert_eq!(audit.iter().filter(|action| *action == "user.bind").count(), 1);
    assert_eq!(audit.len(), 64, "each change has one record");
}

#[test]
fn a_post_binds_only_where_the_token_may_and_never_by_name_or_mail() {
    let settings = Settings::over(Slapd::shared())
        .token("binder", "binder-token", &["users:*"])
        .token_line("binds = true");
    let bridge = TestBridge::start(&settings);
    let (mut plain, mut binder) = (bridge.client(), bridge.client_as("binder-token"));
    let person = company::person(20);
    let body = json!({ "userName": person.uid, "externalId": person.uid });

    let bound = binder.post("/Users", &body);
    let user = bound.expect(201);
    assert_eq!(user["id"], long_id(20).as_str());
    assert_eq!(user["userType"], "FTRESS_LDAP");
    assert!(bound.header("location").unwrap().ends_with(&long_id(20)));
    let again = binder.post("/Users", &body).expect(409);
    assert_eq!(again["scimType"], "uniqueness");
    assert!(again["detail"].as_str().unwrap().contains(&long_id(20)), "{again}");

    // Another token's POST with somebody's externalId makes a local user, as any SCIM server would.
    let other = company::person(21);
    let local = json!({ "userName": "local.twenty-one", "externalId": other.uid });
    assert_eq!(plain.post("/Users", &local).expect(201)["userType"], "FTRESS");
    // userName and e-mail never bind, not even with the right to.
    let named = json!({ "userName": company::person(22).uid });
    assert_eq!(binder.post("/Users", &named).expect(201)["userType"], "FTRESS");
    // userRepositoryId says that the directory's person is meant.
    let third = company::person(23);
    let meant = json!({
        "userName": third.uid, "externalId": third.uid, "userRepositoryId": "corp" });
    assert_eq!(plain.post("/Users", &meant).expect(201)["userType"], "FTRESS_LDAP");
    let nobody = json!({ "userName": "x", "externalId": "nobody", "userRepositoryId": "corp" });
    assert_eq!(plain.post("/Users", &nobody).expect(400)["scimType"], "invalidValue");
}

#[test]
fn of_many_posts_for_one_person_one_is_created() {
    let settings = Settings::over(Slapd::shared())
        .token("binder", "binder-token", &["users:*"])
        .token_line("binds = true");
    let bridge = TestBridge::start(&settings);
    let person = company::person(30);
    let body = json!({ "userName": person.uid, "externalId": person.uid });
    let start = Barrier::new(16);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let posts: Vec<_> = (0..16)
            .map(|_| {
                let (mut client, body, start) = (bridge.client_as("binder-token"), &body, &start);
                scope.spawn(move || {
                    start.wait();
                    client.post("/Users", body).status
                })
            })
            .collect();
        posts.into_iter().map(|post| post.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 15, "{statuses:?}");
}

#[test]
fn delete_leaves_a_tombstone_that_only_a_post_lifts() {
    let settings = Settings::over(Slapd::shared())
        .token("binder", "binder-token", &["users:*"])
        .token_line("binds = true");
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let path = format!("/Users/{}", long_id(40));
    let refused = client.delete(&path).expect(403);
    assert!(refused["detail"].as_str().unwrap().contains("nothing here to delete"), "{refused}");
    client.patch(&path, &nick("Forty")).expect(200);
    assert_eq!(client.delete(&path).status, 204);
    assert_eq!(client.delete(&path).status, 404, "a retried DELETE");
    assert_eq!(client.get(&path).status, 404);
    assert_eq!(client.patch(&path, &nick("again")).status, 404);
    let uid = company::person(40).uid;
    let shown = client.get(&by_name(&uid)).expect(200);
    assert_eq!(shown["Resources"][0]["userType"], "LDAP");
    assert_eq!(shown["Resources"][0]["active"], false);

    let body = json!({ "userName": uid, "externalId": uid });
    let bound = bridge.client_as("binder-token").post("/Users", &body).expect(201);
    assert_eq!(bound["id"], long_id(40).as_str());
    assert_eq!(bound.get("nickName"), None, "nothing of the old row comes back");
    assert_eq!(client.get(&path).expect(200)["active"], true);
}

#[test]
fn a_local_title_hides_the_directorys_until_it_is_removed() {
    let settings = Settings::over(Slapd::shared()).with(
        "[tenant.repository.attributes]\ntitle = { attribute = \"title\", authority = \"local\" }",
    );
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let number = (50..80).find(|number| company::person(*number).title.is_some()).unwrap();
    let path = format!("/Users/{}", long_id(number));
    let theirs = company::person(number).title.unwrap();
    let set = json!({ "Operations": [{ "op": "replace", "path": "title", "value": "Astronaut" }] });
    assert_eq!(client.patch(&path, &set).expect(200)["title"], "Astronaut");
    assert_eq!(client.get(&path).expect(200)["title"], "Astronaut");
    let unset = json!({ "Operations": [{ "op": "remove", "path": "title" }] });
    assert_eq!(client.patch(&path, &unset).expect(200)["title"], theirs.as_str());
}

#[test]
fn disabling_is_ours_and_enabling_gives_it_back() {
    let bridge = TestBridge::start(&Settings::over(Slapd::shared()));
    let mut client = bridge.client();
    let number = (100..140).find(|number| !company::person(*number).locked).unwrap();
    let path = format!("/Users/{}", long_id(number));
    let active = |value: Value| json!({ "Operations": [{ "op": "Replace", "path": "active", "value": value }] });
    assert_eq!(client.patch(&path, &active(json!("False"))).expect(200)["active"], false);
    assert_eq!(client.patch(&path, &active(json!(false))).expect(200)["active"], false);
    assert_eq!(client.patch(&path, &active(json!(true))).expect(200)["active"], true);
    let locked = (1..1000).find(|number| company::person(*number).locked).unwrap();
    let path = format!("/Users/{}", long_id(locked));
    assert_eq!(client.get(&path).expect(200)["active"], false);
    assert_eq!(client.patch(&path, &active(json!(true))).expect(400)["scimType"], "mutability");
}

#[test]
fn versions_guard_writes() {
    let bridge = TestBridge::start(&Settings::over(Slapd::shared()));
    let mut client = bridge.client();
    let path = format!("/Users/{}", long_id(60));
    let first = client.get(&path);
    let unbound = first.header("etag").unwrap().to_owned();
    assert_eq!(first.expect(200)["meta"]["version"], unbound.as_str());
    let mut patch_if = |tag: &str, name: &str| {
        let body = nick(name).to_string();
        client.send("PATCH", &path, &[("If-Match", tag)], body.as_bytes())
    };
    assert_eq!(patch_if("W/\"wrong\"", "a").status, 412);
    let bound = patch_if(&unbound, "b");
    assert_eq!(bound.status, 200);
    let tag = bound.header("etag").unwrap().to_owned();
    assert_eq!(patch_if(&unbound, "c").status, 412, "the unbound version is over");
    let second = patch_if(&tag, "c");
    assert_eq!(second.status, 200);
    assert_eq!(patch_if(&tag, "d").status, 412);
    let now = second.header("etag").unwrap().to_owned();
    let same = patch_if(&now, "c");
    assert_eq!(same.header("etag"), Some(now.as_str()), "a write that changes nothing keeps it");
    let unchanged = client.send("GET", &path, &[("If-None-Match", &now)], b"");
    assert_eq!(unchanged.status, 304);
    assert!(unchanged.body.is_empty());
}
