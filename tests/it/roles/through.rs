//! Roles and groups that are written through the user: those that are stored, beside those that come
//! with groups.

use serde_json::{Value, json};

use super::{TABLES, company, operation, patch};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;
use crate::support::slapd::Slapd;

/// The company in the ActivID dialect.
fn activid() -> Settings {
    Settings::local().tenant("dialect = \"activid\"").rest(TABLES)
}

fn person(external_id: &str, groups: &[&str]) -> Value {
    let groups: Vec<Value> = groups.iter().map(|id| json!({ "value": id })).collect();
    json!({ "externalId": external_id, "userName": external_id, "name": { "familyName": "Doe", "givenName": "John" },
        "emails": [{ "value": "doe@example.org" }], "groups": groups })
}

/// The `value`s of a list, sorted, without groups that the user is in through others.
fn values(resource: &Value, list: &str) -> Vec<String> {
    let listed = resource[list].as_array().map_or(&[][..], Vec::as_slice);
    let own = listed.iter().filter(|one| one["type"] != "indirect");
    let mut values: Vec<String> =
        own.map(|one| one["value"].as_str().unwrap().to_owned()).collect();
    values.sort();
    values
}

fn detail(answer: &Value) -> &str {
    answer["detail"].as_str().unwrap()
}

#[test]
fn own_roles_stand_beside_those_of_groups() {
    let bridge = TestBridge::start(&company());
    let mut client = bridge.client();
    let body =
        json!({ "userName": "anna", "roles": [{ "value": "rl_cfgmgr", "display": "x" }, "poet"] });
    let anna = client.post("/Users", &body).expect(201);
    let path = format!("/Users/{}", anna["id"].as_str().unwrap());
    assert_eq!(
        anna["roles"],
        json!([{ "value": "RL_CFGMGR", "display": "Configuration Manager" }, { "value": "poet" }]),
        "a role is called what it is called; without a role a text is a text"
    );
    let add = operation("add", "members", json!([{ "value": anna["id"] }]));
    patch(&mut client, "/Groups/USG_AUDIT", &add).expect(200);
    let shown = client.get(&path).expect(200);
    assert_eq!(values(&shown, "roles"), ["RL_AUDITV", "RL_CFGMGR", "RL_STAFF", "poet"]);

    // What was read may be written, and changes nothing.
    let version = shown["meta"]["version"].clone();
    let again = client.put(&path, &shown).expect(200);
    assert_eq!(again["meta"]["version"], version);
    // A PUT that does not name them says nothing of those that are not the user's own.
    let put = client.put(&path, &json!({ "userName": "anna", "roles": ["poet"] })).expect(200);
    assert_eq!(values(&put, "roles"), ["RL_AUDITV", "RL_STAFF", "poet"]);
    // To take one away by PATCH is refused, and says what to do.
    for gone in [
        json!({ "op": "remove", "path": "roles[value eq \"RL_AUDITV\"]" }),
        json!({ "op": "remove", "path": "roles" }),
        operation("replace", "roles", json!([{ "value": "poet" }])),
    ] {
        let refused = patch(&mut client, &path, &gone).expect(400);
        assert_eq!(refused["scimType"], "mutability");
        assert!(detail(&refused).contains("comes of a group"), "{refused}");
    }
    let kept = operation("replace", "roles", json!(["RL_AUDITV", "RL_STAFF", "singer"]));
    let kept = patch(&mut client, &path, &kept).expect(200);
    assert_eq!(values(&kept, "roles"), ["RL_AUDITV", "RL_STAFF", "singer"]);
    let remove = json!({ "op": "remove", "path": format!("members[value eq \"{}\"]", anna["id"].as_str().unwrap()) });
    patch(&mut client, "/Groups/USG_AUDIT", &remove).expect(200);
    assert_eq!(values(&client.get(&path).expect(200), "roles"), ["singer"], "nothing was stored");
}

#[test]
fn a_role_that_is_called_otherwise_is_no_false_304() {
    let bridge = TestBridge::start(&company());
    let mut client = bridge.client();
    let role = client.post("/Roles", &json!({ "name": "Help Desk" })).expect(201);
    let role = role["id"].as_str().unwrap();
    let anna = client.post("/Users", &json!({ "userName": "anna", "roles": [role] })).expect(201);
    assert_eq!(anna["roles"][0]["display"], "Help Desk");
    let path = format!("/Users/{}", anna["id"].as_str().unwrap());
    let by_name = "/Users?filter=userName+eq+%22anna%22&searchRepositories=true";
    client.get(by_name).expect(200);
    let tag = client.get(&path).header("etag").unwrap().to_owned();
    patch(&mut client, &format!("/Roles/{role}"), &operation("replace", "name", json!("Desk")))
        .expect(200);
    let read = client.send("GET", &path, &[("if-none-match", &tag)], b"").expect(200);
    assert_eq!(read["roles"][0]["display"], "Desk");
    assert_eq!(client.get(by_name).expect(200)["Resources"][0]["roles"][0]["display"], "Desk");
    let refused = client.delete(&format!("/Roles/{role}")).expect(409);
    assert!(detail(&refused).contains("was given to the user"), "{refused}");
    patch(&mut client, &path, &json!({ "op": "remove", "path": "roles" })).expect(200);
    client.delete(&format!("/Roles/{role}")).expect(204);
}

#[test]
fn groups_are_written_through_the_user() {
    let bridge = TestBridge::start(&activid());
    let mut client = bridge.client();
    let made = client.post("/Users", &person("jdoe", &["USG_FTEMP"])).expect(200);
    assert_eq!(values(&made, "groups"), ["USG_FTEMP"]);
    assert_eq!(made["groups"][0]["display"], "Full Time Employees");
    assert_eq!(values(&made, "roles"), ["RL_STAFF"]);
    assert_eq!(bridge.audit().iter().filter(|action| *action == "user.create").count(), 1);
    let path = format!("/Users/{}", made["id"].as_str().unwrap());
    let version = |client: &mut Client, id: &str| {
        client.get(&format!("/Groups/{id}")).header("etag").unwrap().to_owned()
    };
    let (staff, audit) = (version(&mut client, "USG_FTEMP"), version(&mut client, "USG_AUDIT"));
    let records = bridge.audit().len();
    let put = client.put(&path, &person("jdoe", &["USG_AUDIT"])).expect(200);
    assert_eq!(values(&put, "groups"), ["USG_AUDIT"]);
    assert_eq!(values(&put, "roles"), ["RL_AUDITV", "RL_STAFF"]);
    assert_ne!(version(&mut client, "USG_FTEMP"), staff, "the group that was left is another");
    assert_ne!(version(&mut client, "USG_AUDIT"), audit);
    assert_eq!(bridge.audit().len(), records + 1, "one change, one record");
    // The same once more is no change.
    let same = client.put(&path, &person("jdoe", &["USG_AUDIT"])).expect(200);
    assert_eq!(same["meta"]["version"], put["meta"]["version"]);
    let replaced = patch(
        &mut client,
        &path,
        &operation("replace", "groups", json!([{ "value": "USG_FTEMP" }])),
    );
    assert_eq!(values(&replaced.expect(200), "groups"), ["USG_FTEMP"]);
    let removed = json!({ "op": "remove", "path": "groups[value eq \"USG_FTEMP\"]" });
    assert_eq!(values(&patch(&mut client, &path, &removed).expect(200), "groups"), [""; 0]);
    let added = operation("add", "groups", json!({ "value": "USG_AUDIT" }));
    assert_eq!(values(&patch(&mut client, &path, &added).expect(200), "groups"), ["USG_AUDIT"]);
    let by_name = json!({ "op": "remove", "path": "groups[display eq \"Auditors\"]" });
    assert_eq!(values(&patch(&mut client, &path, &by_name).expect(200), "groups"), [""; 0]);

    // What is not there, too much, and nothing.
    let refused = client.post("/Users", &person("other", &["USG_NONE"])).expect(400);
    assert_eq!(refused["scimType"], "invalidValue");
    assert!(detail(&refused).contains("no group with the id \"USG_NONE\""), "{refused}");
    let refused = client.post("/Users", &person("other", &["USG_FTEMP", "UT_EMP"])).expect(400);
    assert_eq!(refused["scimType"], "invalidValue");
    assert!(detail(&refused).contains("groups"), "{refused}");
    let mut without = person("jdoe", &[]);
    without.as_object_mut().unwrap().remove("groups");
    let refused = client.put(&path, &without).expect(400);
    assert!(detail(&refused).contains("groups is required"), "{refused}");
    client.put(&path, &person("jdoe", &[])).expect(200);

    // Roles must be there; those that are repeated need not be given.
    let mut unknown = person("jdoe", &["USG_AUDIT"]);
    unknown["roles"] = json!([{ "value": "RL_NONE" }]);
    let refused = client.put(&path, &unknown).expect(400);
    assert_eq!(refused["scimType"], "invalidValue");
    assert!(detail(&refused).contains("no role with the id \"RL_NONE\""), "{refused}");
    let mut repeated = person("jdoe", &["USG_AUDIT"]);
    repeated["roles"] = json!([{ "value": "RL_CFGMGR" }]);
    let shown = client.put(&path, &repeated).expect(200);
    assert_eq!(values(&shown, "roles"), ["RL_AUDITV", "RL_CFGMGR", "RL_STAFF"]);
    assert_eq!(values(&client.put(&path, &shown).expect(200), "roles"), values(&shown, "roles"));
}

#[test]
fn codes_are_ids() {
    let bridge = TestBridge::start(&activid());
    let mut client = bridge.client();
    let body = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "externalId": "USG_CUST3", "displayName": "My Test Group",
        "description": "Description for my test group",
        "urn:hid:scim:api:idp:2.0:GroupParent": { "parent": { "display": "Employees", "value": "UT_EMP" } } });
    let made = client.post("/Groups", &body).expect(200);
    assert_eq!(made["id"], "USG_CUST3");
    let again =
        client.post("/Groups", &json!({ "externalId": "USG_CUST3", "displayName": "Other" }));
    again.expect(409);
    let role =
        client.post("/Roles", &json!({ "externalId": "RL_HELP", "name": "Help" })).expect(200);
    assert_eq!(role["id"], "RL_HELP");
    // What is a role's cannot be a group's, too.
    let group = client.post("/Groups", &json!({ "externalId": "RL_HELP", "displayName": "X" }));
    assert_ne!(group.expect(200)["id"], "RL_HELP");
    let made = client.post("/Users", &person("jdoe", &["USG_CUST3"])).expect(200);
    assert_eq!(
        (values(&made, "groups"), values(&made, "roles")),
        (vec!["USG_CUST3".into()], vec!["RL_STAFF".into()])
    );
}

#[test]
fn a_directory_person_joins_by_the_write_that_binds() {
    let slapd = Slapd::shared();
    let settings = Settings::over(slapd).tenant("dialect = \"activid\"").rest(TABLES);
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let body = json!({ "externalId": "u0000042", "userName": "u0000042", "groups": [{ "value": "USG_AUDIT" }],
        "roles": [{ "value": "RL_CFGMGR" }] });
    let bound = client.post("/Users", &body).expect(200);
    assert_eq!(bound["userType"], "FTRESS_LDAP");
    assert_eq!(values(&bound, "groups"), ["USG_AUDIT"]);
    assert_eq!(values(&bound, "roles"), ["RL_AUDITV", "RL_CFGMGR", "RL_STAFF"]);
    assert_eq!(bridge.audit().last().unwrap(), "user.bind");
}

#[test]
fn what_a_token_creates_is_where_the_file_says() {
    let settings = company()
        .tenant("default_role = \"RL_STAFF\"")
        .token("agent", "creates-in-a-group", &["users:*"])
        .token_line("groups = [\"USG_FTEMP\"]");
    let bridge = TestBridge::start(&settings);
    let mut agent = bridge.client_as("creates-in-a-group");
    let made = agent.post("/Users", &json!({ "userName": "anna" })).expect(201);
    assert_eq!(values(&made, "groups"), ["USG_FTEMP"]);
    assert_eq!(values(&made, "roles"), ["RL_STAFF"]);
    let mut client = bridge.client();
    let other =
        client.post("/Users", &json!({ "userName": "b", "roles": ["RL_AUDITV"] })).expect(201);
    assert_eq!(values(&other, "groups"), [""; 0]);
    assert_eq!(values(&other, "roles"), ["RL_AUDITV"]);
    let third = client.post("/Users", &json!({ "userName": "c" })).expect(201);
    assert_eq!(third["roles"], json!([{ "value": "RL_STAFF", "display": "Staff" }]));
}
