//! Groups and their members as each client keeps them: Entra, its validator, Okta's group push, `JumpCloud`
//! and WSO2.

use serde_json::{Value, json};

use super::{GROUP, Provisioner, USER, id, members, sorted};

fn user(name: &str) -> Value {
    json!({
        "schemas": [USER],
        "userName": format!("{name}@groups.example"),
        "name": { "givenName": "Eva", "familyName": "Holm" },
        "active": true,
    })
}

fn group(name: &str) -> Value {
    json!({ "displayName": name, "externalId": format!("v-{name}"), "schemas": [GROUP] })
}

/// A group as Entra sends one.
fn entra_group(name: &str) -> Value {
    json!({
        "schemas": [
            GROUP,
            // Named, though nothing of it is sent.
            "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group",
        ],
        "externalId": format!("entra-{name}"),
        "displayName": name,
        "meta": { "resourceType": "Group" },
    })
}

#[test]
fn a_connection_is_tested_by_asking_for_no_group() {
    let mut entra = Provisioner::entra();
    let none = "displayName eq \"c7a5f0a2-58a1-4b7e-9a77-0a6b0f1f2c11\"";
    let query = [("excludedAttributes", "members"), ("filter", none)];
    assert_eq!(entra.find("/Groups", &query)["totalResults"], 0);
}

#[test]
fn a_group_lives_with_its_members() {
    let mut entra = Provisioner::entra();
    let one = id(&entra.create("/Users", &user("ida.member")).1);
    let two = id(&entra.create("/Users", &user("ole.member")).1);
    let (path, created) = entra.create("/Groups", &entra_group("Harbour pilots"));
    assert_eq!(created["displayName"], "Harbour pilots");

    let without = entra.read(&format!("{path}?excludedAttributes=members"));
    assert_eq!(without.get("members"), None);
    let query =
        [("excludedAttributes", "members"), ("filter", "displayName eq \"Harbour pilots\"")];
    let found = entra.find("/Groups", &query);
    assert_eq!(found["totalResults"], 1);
    assert_eq!(found["Resources"][0]["id"], created["id"]);
    assert_eq!(found["Resources"][0].get("members"), None);

    let name = json!([{ "op": "Replace", "path": "displayName", "value": "Sea pilots" }]);
    assert_eq!(entra.modify(&path, &name)["displayName"], "Sea pilots");
    let add = |value: Value| json!([{ "op": "Add", "path": "members", "value": [value] }]);
    let after = entra.modify(&path, &add(json!({ "$ref": null, "value": one })));
    assert_eq!(members(&after), [one.as_str()]);
    let after = entra.modify(&path, &add(json!({ "value": two })));
    assert_eq!(members(&after), sorted([one.as_str(), two.as_str()]));
    // A list beside the path removes those of the list, and nobody else.
    let listed = json!([
        { "op": "Remove", "path": "members", "value": [{ "$ref": null, "value": one }] },
    ]);
    assert_eq!(members(&entra.modify(&path, &listed)), [two.as_str()]);
    let chosen = json!([{ "op": "remove", "path": format!("members[value eq \"{two}\"]") }]);
    assert!(members(&entra.modify(&path, &chosen)).is_empty());

    let refers = format!("id eq \"{}\" and members eq \"{one}\"", id(&created));
    assert_eq!(entra.find_one("/Groups", &refers), Value::Null);
    entra.modify(&path, &add(json!({ "value": one })));
    assert_eq!(id(&entra.find_one("/Groups", &refers)), id(&created));
    entra.remove(&path);
}

#[test]
fn a_group_is_found_by_its_whole_name_alone() {
    let mut entra = Provisioner::entra();
    let (_, short) = entra.create("/Groups", &entra_group("App"));
    entra.create("/Groups", &entra_group("App testers"));
    let found = entra.find_one("/Groups", "displayName eq \"App\"");
    assert_eq!(id(&found), id(&short));
}

#[test]
fn a_group_is_created_and_found_with_or_without_its_members() {
    let mut validator = Provisioner::entra();
    let (path, created) = validator.create("/Groups", &group("Cartographers"));
    assert_eq!(created["displayName"], "Cartographers");
    assert_eq!(created["externalId"], "v-Cartographers");
    let shown = validator.read(&format!("{path}?excludedAttributes=members"));
    assert_eq!((shown.get("members"), &shown["id"]), (None, &created["id"]));
    for name in ["Cartographers", "cartoGRAPHERS"] {
        let filter = format!("displayName eq \"{name}\"");
        assert_eq!(id(&validator.find_one("/Groups", &filter)), id(&created), "{name}");
        let list =
            validator.find("/Groups", &[("excludedAttributes", "members"), ("filter", &filter)]);
        assert_eq!(list["totalResults"], 1);
        assert_eq!(list["Resources"][0].get("members"), None);
    }
    let none = "displayName eq \"nonexistent cartographers\"";
    assert_eq!(validator.find_one("/Groups", none), Value::Null);
}

#[test]
fn a_duplicate_group_is_a_conflict() {
    let mut validator = Provisioner::entra();
    validator.create("/Groups", &group("Geographers"));
    validator.refused("POST", "/Groups", Some(&group("Geographers")), 409);
}

#[test]
fn a_group_is_replaced_without_a_path() {
    let mut validator = Provisioner::entra();
    let (path, _) = validator.create("/Groups", &group("Surveyors"));
    for (name, value) in [("externalId", "v-other"), ("displayName", "Land surveyors")] {
        let operations = json!([{ "op": "replace", "value": { name: value } }]);
        assert_eq!(validator.modify(&path, &operations)[name], value);
    }
}

#[test]
fn members_are_replaced_and_removed() {
    let mut validator = Provisioner::entra();
    let one = id(&validator.create("/Users", &user("noor.one")).1);
    let two = id(&validator.create("/Users", &user("noor.two")).1);
    let (path, _) = validator.create("/Groups", &group("Draughtsmen"));
    let replace = |value: Value| json!([{ "op": "replace", "path": "members", "value": value }]);
    let after = validator.modify(&path, &replace(json!([{ "value": one }])));
    assert_eq!(members(&after), [one.as_str()]);
    let both = replace(json!([{ "value": one }, { "value": two }]));
    assert_eq!(members(&validator.modify(&path, &both)), sorted([one.as_str(), two.as_str()]));
    let chosen = json!([{ "op": "remove", "path": format!("members[value eq \"{one}\"]") }]);
    assert_eq!(members(&validator.modify(&path, &chosen)), [two.as_str()]);
    let in_and_out = json!([
        { "op": "add", "path": "members", "value": [{ "value": one }] },
        { "op": "remove", "path": format!("members[value eq \"{one}\"]") },
    ]);
    assert_eq!(members(&validator.modify(&path, &in_and_out)), [two.as_str()]);
}

#[test]
fn groups_are_deleted_once() {
    let mut validator = Provisioner::entra();
    let (path, _) = validator.create("/Groups", &group("Sailors"));
    validator.remove(&path);
    validator.refused("DELETE", &path, None, 404);
    validator.refused("DELETE", "/Groups/9b8c2a64-7d0e-4d5b-b1c9-3e2f4a5b6c7d", None, 404);
}

#[test]
fn a_group_is_pushed_with_its_members() {
    let mut okta = Provisioner::okta();
    let one = id(&okta.create("/Users", &user("tomas.member")).1);
    let two = id(&okta.create("/Users", &user("ana.member")).1);
    let body = json!({ "schemas": [GROUP], "displayName": "Pushed", "members": [] });
    let (path, created) = okta.create("/Groups", &body);
    assert_eq!(created["meta"]["resourceType"], "Group");
    let filter = "displayName eq \"Pushed\"";
    let list = okta.find("/Groups", &[("filter", filter), ("startIndex", "1"), ("count", "100")]);
    assert_eq!(list["totalResults"], 1);

    // The id is among the values, and is not ours to refuse while it is the right one.
    let group = &created["id"];
    let rename = json!([
        { "op": "replace", "value": { "id": group, "displayName": "Pushed again" } },
    ]);
    assert_eq!(okta.modify(&path, &rename)["displayName"], "Pushed again");
    let add = |value: &str| json!({ "op": "add", "path": "members", "value": [{ "value": value, "display": "T" }] });
    assert_eq!(members(&okta.modify(&path, &json!([add(&one)]))), [one.as_str()]);
    let remove = json!({ "op": "remove", "path": format!("members[value eq \"{one}\"]") });
    assert_eq!(members(&okta.modify(&path, &json!([remove, add(&two)]))), [two.as_str()]);
    let replace = |value: Value| json!([{ "op": "replace", "path": "members", "value": value }]);
    let both = json!([{ "value": one, "display": "T" }, { "value": two, "display": "A" }]);
    let after = okta.modify(&path, &replace(both));
    assert_eq!(members(&after), sorted([one.as_str(), two.as_str()]));
    assert!(members(&okta.modify(&path, &replace(json!([])))).is_empty());
    let whole = json!({
        "schemas": [GROUP],
        "displayName": "Pushed again",
        "members": [{ "value": one, "display": "tomas.member@groups.example" }],
    });
    assert_eq!(members(&okta.replace(&path, &whole)), [one.as_str()]);
    let empty = json!([{ "op": "replace", "value": {
        "members": [], "id": group, "displayName": "Pushed again",
    } }]);
    assert!(members(&okta.modify(&path, &empty)).is_empty());
    okta.remove(&path);
}

#[test]
fn jumpcloud_lists_the_members_that_go() {
    let mut jumpcloud = Provisioner::plain();
    let ama = id(&jumpcloud.create("/Users", &user("ama.jumpcloud")).1);
    let body = json!({ "schemas": [GROUP], "displayName": "JumpCloud's", "members": [] });
    let (path, _) = jumpcloud.create("/Groups", &body);
    for (op, expected) in [("add", vec![ama.clone()]), ("remove", vec![])] {
        let operations = json!([{ "op": op, "path": "members", "value": [{ "value": ama }] }]);
        assert_eq!(members(&jumpcloud.modify(&path, &operations)), expected, "{op}");
    }
}

#[test]
fn members_are_added_without_a_path_and_stay_when_something_else_is_replaced() {
    let mut wso2 = Provisioner::plain();
    let ama = id(&wso2.create("/Users", &user("ama.wso2")).1);
    let body = json!({ "schemas": [GROUP], "displayName": "WSO2's", "members": [] });
    let (path, _) = wso2.create("/Groups", &body);
    let add = json!([{ "op": "add", "value": { "members": [{ "display": "x", "value": ama }] } }]);
    let first = wso2.modify(&path, &add);
    assert_eq!(members(&first), [ama.as_str()]);
    let again = wso2.modify(&path, &add);
    assert_eq!(again, first, "who is a member already is not added, and nothing has changed");
    let other = json!([{ "op": "replace", "path": "externalId", "value": "unrelated" }]);
    assert_eq!(members(&wso2.modify(&path, &other)), [ama.as_str()]);
}
