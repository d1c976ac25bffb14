//! Groups and roles of the configuration: rows whose members are writable, and whose names and
//! existence are not.

use serde_json::{Value, json};

use super::{company, patch};
use crate::support::bridge::TestBridge;

fn ids(list: &Value) -> Vec<&str> {
    list["Resources"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect()
}

#[test]
fn they_are_there_from_the_start_and_after_every_other() {
    let mut bridge = TestBridge::start(&company());
    let mut client = bridge.client();
    let groups = client.get("/Groups?sortBy=id").expect(200);
    assert_eq!(ids(&groups), ["USG_AUDIT", "USG_FTEMP", "UT_EMP"]);
    let roles = client.get("/Roles?sortBy=id").expect(200);
    assert_eq!(ids(&roles), ["RL_AUDITV", "RL_CFGMGR", "RL_STAFF"]);
    let role = client.get("/Roles/RL_AUDITV").expect(200);
    assert_eq!(role["schemas"], json!(["urn:hid:scim:api:idp:2.0:Role"]));
    assert_eq!((&role["name"], &role["rank"]), (&json!("Audit Viewer"), &json!(10)));
    assert_eq!(role["meta"]["resourceType"], "Role");
    let found = client.query("/Roles", &[("filter", "name eq \"audit viewer\"")]).expect(200);
    assert_eq!(ids(&found), ["RL_AUDITV"]);
    let below = client.get("/Groups/UT_EMP").expect(200);
    assert_eq!(below["members"][0]["value"], "USG_FTEMP");
    let records = bridge.audit();
    let versions: Vec<Value> =
        groups["Resources"].as_array().unwrap().iter().map(|one| one["meta"].clone()).collect();

    bridge.restart();
    let mut client = bridge.client();
    let again = client.get("/Groups?sortBy=id").expect(200);
    let metas: Vec<Value> =
        again["Resources"].as_array().unwrap().iter().map(|one| one["meta"].clone()).collect();
    let told = |metas: &[Value]| -> Vec<Value> {
        metas.iter().map(|meta| json!([meta["version"], meta["lastModified"]])).collect()
    };
    assert_eq!(told(&metas), told(&versions), "a start that changes nothing writes nothing");
    assert_eq!(bridge.audit(), records);
}

#[test]
fn members_are_written_and_names_are_not() {
    let bridge = TestBridge::start(&company());
    let mut client = bridge.client();
    let anna = client.post("/Users", &json!({ "userName": "anna" })).expect(201);
    let anna = anna["id"].as_str().unwrap();
    let path = "/Groups/USG_FTEMP";
    let add = json!({ "op": "add", "path": "members", "value": [{ "value": anna }] });
    let group = patch(&mut client, path, &add).expect(200);
    assert_eq!(group["members"].as_array().unwrap().len(), 2);

    // A body that repeats the name is the usual PUT; another name is refused by the key to change.
    let repeated = json!({ "displayName": "Full Time Employees", "externalId": "e-1",
        "members": [{ "value": anna }, { "value": "USG_AUDIT" }] });
    let group = client.put(path, &repeated).expect(200);
    assert_eq!(group["externalId"], "e-1");
    assert_eq!(group["members"].as_array().unwrap().len(), 2);
    let operation = json!({ "op": "replace", "value": { "displayName": "Full Time Employees" } });
    patch(&mut client, path, &operation).expect(200);
    for refused in [
        client.put(path, &json!({ "displayName": "Others" })),
        patch(
            &mut client,
            path,
            &json!({ "op": "replace", "path": "displayName", "value": "Others" }),
        ),
    ] {
        let refused = refused.expect(400);
        assert_eq!(refused["scimType"], "mutability");
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains("[[tenant.group]] with id = \"USG_FTEMP\""), "{detail}");
    }
    let refused = client.delete(path).expect(403);
    assert!(refused["detail"].as_str().unwrap().contains("[[tenant.group]]"), "{refused}");
    let refused = client.post("/Groups", &json!({ "displayName": "full time employees" }));
    assert_eq!(refused.expect(409)["scimType"], "uniqueness");

    let operation = json!({ "op": "replace", "path": "name", "value": "Other" });
    let refused = patch(&mut client, "/Roles/RL_AUDITV", &operation).expect(400);
    assert_eq!(refused["scimType"], "mutability");
    let operation = json!({ "op": "replace", "path": "name", "value": "Audit Viewer" });
    patch(&mut client, "/Roles/RL_AUDITV", &operation).expect(200);
    client.delete("/Roles/RL_AUDITV").expect(403);
}

#[test]
fn who_leaves_the_file_is_one_like_others() {
    let mut bridge = TestBridge::start(&company());
    let mut client = bridge.client();
    let anna = client.post("/Users", &json!({ "userName": "anna" })).expect(201);
    let add = json!({ "op": "add", "path": "members", "value": [{ "value": anna["id"] }] });
    patch(&mut client, "/Groups/USG_AUDIT", &add).expect(200);
    let file = bridge.directory().join("scimbridge.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    // Without the hierarchy, without the auditors, and with another name for those that stay.
    let (head, _) = text.split_once("[[tenant.group]]").unwrap();
    let staff = "[[tenant.group]]\nid = \"USG_FTEMP\"\ndisplay = \"Everybody\"\n";
    std::fs::write(&file, format!("{head}{staff}")).unwrap();
    bridge.restart();
    let mut client = bridge.client();
    let group = client.get("/Groups/USG_AUDIT").expect(200);
    assert_eq!(group["members"][0]["value"], anna["id"], "nothing is lost");
    let name = json!({ "op": "replace", "path": "displayName", "value": "Controllers" });
    patch(&mut client, "/Groups/USG_AUDIT", &name).expect(200);
    client.delete("/Groups/USG_AUDIT").expect(204);
    assert_eq!(client.get("/Groups/USG_FTEMP").expect(200)["displayName"], "Everybody");
    assert_eq!(client.get("/Groups/UT_EMP").expect(200)["members"], json!([]));
    client.delete("/Groups/USG_FTEMP").expect(403);
    client.delete("/Roles/RL_AUDITV").expect(204);
}

#[test]
fn roles_come_and_go_over_http() {
    let bridge = TestBridge::start(&company().token("reader", "reads-roles", &["roles:read"]));
    let mut client = bridge.client();
    let body = json!({ "schemas": ["urn:hid:scim:api:idp:2.0:Role"], "name": "Help Desk",
        "rank": 5, "externalId": "RL_HELP", "updatePermissionSet": true });
    let made = client.post("/Roles", &body);
    assert!(made.header("location").unwrap().contains("/Roles/"));
    let made = made.expect(201);
    assert_eq!((&made["name"], &made["rank"]), (&json!("Help Desk"), &json!(5)));
    assert!(made.get("updatePermissionSet").is_none());
    let path = format!("/Roles/{}", made["id"].as_str().unwrap());
    let found = client
        .post("/Roles/.search", &json!({ "filter": "externalId eq \"RL_HELP\"" }))
        .expect(200);
    assert_eq!(found["Resources"], json!([made]));
    client.put(&path, &json!({ "name": "Service Desk", "rank": 5 })).expect(200);
    let refused = client.put(&path, &json!({ "name": "Service Desk", "rank": 50 })).expect(400);
    assert_eq!(refused["scimType"], "mutability", "a rank is given once");
    let operation = json!({ "op": "replace", "path": "name", "value": "Desk" });
    assert_eq!(patch(&mut client, &path, &operation).expect(200)["rank"], 5);
    assert_eq!(client.post("/Roles", &json!({})).expect(400)["scimType"], "invalidValue");

    let mut reader = bridge.client_as("reads-roles");
    reader.get(&path).expect(200);
    let refused = reader.delete(&path).expect(403);
    assert!(refused["detail"].as_str().unwrap().contains("roles:write"), "{refused}");
    client.delete(&path).expect(204);
    client.get(&path).expect(404);
    let records = bridge.audit();
    assert_eq!(
        records[records.len() - 4..],
        ["role.create", "role.replace", "role.modify", "role.delete"]
    );
}
