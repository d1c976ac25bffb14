//! Microsoft Entra ID as its documentation and its users show it: user provisioning with and
//! without `aadOptscim062020`, and the delta queries of its inbound client.

use serde_json::{Value, json};

use super::{ENTERPRISE, Provisioner, USER, at, id, shows_each};

/// A user as Entra's default mapping sends one.
fn user(name: &str) -> Value {
    json!({
        "schemas": [USER, ENTERPRISE],
        "externalId": format!("entra-{name}"),
        "userName": format!("{name}@contoso.example"),
        "active": true,
        "emails": [{
            "primary": true, "type": "work", "value": format!("{name}.mail@contoso.example"),
        }],
        "meta": { "resourceType": "User" },
        "name": { "formatted": "Ida Berg", "familyName": "Berg", "givenName": "Ida" },
        "roles": [],
    })
}

fn bare(name: &str) -> Value {
    json!({ "schemas": [USER], "userName": name, "active": true })
}

#[test]
fn a_connection_is_tested_by_asking_for_nobody() {
    let mut entra = Provisioner::entra();
    let nobody = "userName eq \"c7a5f0a2-58a1-4b7e-9a77-0a6b0f1f2c11\"";
    assert_eq!(entra.find("/Users", &[("filter", nobody)])["totalResults"], 0);
}

#[test]
fn a_user_is_created_and_found_by_each_matching_attribute() {
    let mut entra = Provisioner::entra();
    let (path, created) = entra.create("/Users", &user("ida.create"));
    assert_eq!(created["userName"], "ida.create@contoso.example");
    assert_eq!(created["active"], true);
    assert_eq!(created["meta"]["resourceType"], "User");
    let work = at(&created, "emails[type eq \"work\"].value");
    assert_eq!(work, "ida.create.mail@contoso.example");
    let shown = entra.read(&path);
    assert_eq!(shown["externalId"], "entra-ida.create");
    assert_eq!(shown["name"]["familyName"], "Berg");
    for filter in [
        "userName eq \"ida.create@contoso.example\"",
        "externalId eq \"entra-ida.create\"",
        // Outside the grammar of RFC 7644, and what Entra sends where the mail is the matching attribute.
        "emails[type eq \"work\"].value eq \"ida.create.mail@contoso.example\"",
    ] {
        assert_eq!(id(&entra.find_one("/Users", filter)), id(&created), "{filter}");
    }
    assert_eq!(entra.find_one("/Users", "userName eq \"nobody of that name\""), Value::Null);
    entra.refused("GET", "/Users/0d9f8a86-91f9-4a4e-8a22-6a0f3d0e5b11", None, 404);
}

#[test]
fn a_user_is_not_created_twice() {
    let mut entra = Provisioner::entra();
    entra.create("/Users", &user("ida.twice"));
    let error = entra.refused("POST", "/Users", Some(&user("ida.twice")), 409);
    assert_eq!(error["scimType"], "uniqueness");
}

#[test]
fn an_element_of_a_list_is_updated_by_its_type() {
    let mut entra = Provisioner::entra();
    let (path, _) = entra.create("/Users", &user("ida.list"));
    let operations = json!([
        { "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "moved@contoso.example" },
        { "op": "Replace", "path": "name.familyName", "value": "Berg-Lund" },
    ]);
    let after = entra.modify(&path, &operations);
    shows_each(&after, &operations);
    assert_eq!(after["emails"].as_array().unwrap().len(), 1);
}

#[test]
fn a_user_gets_another_name() {
    let mut entra = Provisioner::entra();
    let (path, before) = entra.create("/Users", &user("ida.renamed"));
    let operations = json!([
        { "op": "Replace", "path": "userName", "value": "ida.lund@contoso.example" },
    ]);
    shows_each(&entra.modify(&path, &operations), &operations);
    let found = entra.find_one("/Users", "userName eq \"ida.lund@contoso.example\"");
    assert_eq!(id(&found), id(&before));
    let old = "userName eq \"ida.renamed@contoso.example\"";
    assert_eq!(entra.find_one("/Users", old), Value::Null);
}

#[test]
fn whom_it_disables_is_still_shown() {
    let mut entra = Provisioner::entra();
    let (path, _) = entra.create("/Users", &user("ida.off"));
    let say = |active: bool| json!([{ "op": "Replace", "path": "active", "value": active }]);
    assert_eq!(entra.modify(&path, &say(false))["active"], false);
    let found = entra.find_one("/Users", "userName eq \"ida.off@contoso.example\"");
    assert_eq!(found["active"], false);
    assert_eq!(entra.modify(&path, &say(true))["active"], true);
}

#[test]
fn booleans_come_as_words() {
    let mut entra = Provisioner::entra();
    let (path, _) = entra.create("/Users", &user("ida.words"));
    for (op, word, active) in
        [("Replace", "False", false), ("Replace", "True", true), ("Add", "False", false)]
    {
        let operations = json!([{ "op": op, "path": "active", "value": word }]);
        assert_eq!(entra.modify(&path, &operations)["active"], active, "{op} {word}");
    }
    let body = json!({ "schemas": [USER], "userName": "ida.born", "active": "True" });
    assert_eq!(entra.create("/Users", &body).1["active"], true);
}

#[test]
fn a_disabled_user_comes_back_with_more() {
    let mut entra = Provisioner::entra();
    let (path, _) = entra.create("/Users", &user("ida.back"));
    let off = json!([{ "op": "Replace", "path": "active", "value": "False" }]);
    assert_eq!(entra.modify(&path, &off)["active"], false);
    let back = json!([
        { "op": "Replace", "path": "active", "value": "True" },
        { "op": "Add", "path": "title", "value": "Pilot" },
    ]);
    let after = entra.modify(&path, &back);
    assert_eq!((&after["active"], &after["title"]), (&json!(true), &json!("Pilot")));
}

#[test]
fn a_single_value_is_added_in_either_spelling() {
    let mut entra = Provisioner::entra();
    for (op, name) in [("Add", "ida.flag.off"), ("add", "ida.flag.on")] {
        let (path, _) = entra.create("/Users", &user(name));
        let operations = json!([{ "op": op, "path": "nickName", "value": "Id" }]);
        assert_eq!(entra.modify(&path, &operations)["nickName"], "Id");
    }
}

#[test]
fn many_attributes_are_replaced_one_operation_each() {
    let mut entra = Provisioner::entra();
    let (path, _) = entra.create("/Users", &user("ida.each"));
    let operations = json!([
        { "op": "Replace", "path": "displayName", "value": "Ida L." },
        { "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "l@contoso.example" },
        { "op": "Replace", "path": "name.givenName", "value": "Idun" },
        { "op": "Replace", "path": "name.familyName", "value": "Lund" },
        { "op": "Replace", "path": "externalId", "value": "entra-other" },
        { "op": "Replace", "path": format!("{ENTERPRISE}:employeeNumber"), "value": "E-17" },
    ]);
    shows_each(&entra.modify(&path, &operations), &operations);
}

#[test]
fn many_attributes_are_replaced_in_one_operation_without_a_path() {
    let mut entra = Provisioner::entra();
    let (path, _) = entra.create("/Users", &user("ida.flag"));
    let operations = json!([
        { "op": "replace", "path": "emails[type eq \"work\"].value", "value": "f@contoso.example" },
        { "op": "replace", "value": {
            "displayName": "Ida F.",
            "name.givenName": "Iduna",
            "name.familyName": "Frost",
            (format!("{ENTERPRISE}:employeeNumber")): "E-18",
        } },
    ]);
    let after = entra.modify(&format!("{path}?aadOptscim062020"), &operations);
    for (place, value) in [
        ("emails[type eq \"work\"].value", "f@contoso.example"),
        ("displayName", "Ida F."),
        ("name.givenName", "Iduna"),
        ("name.familyName", "Frost"),
        (&format!("{ENTERPRISE}:employeeNumber"), "E-18"),
    ] {
        assert_eq!(at(&after, place), value, "{place}");
    }
}

#[test]
fn what_is_added_at_a_type_that_nobody_has_comes_to_be_once() {
    let mut entra = Provisioner::entra();
    let (path, _) = entra.create("/Users", &bare("ida.nothing"));
    let operations = json!([
        { "op": "Add", "path": "emails[type eq \"work\"].value", "value": "one@contoso.example" },
        { "op": "Add", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "+47 5550100" },
        { "op": "Add", "path": "addresses[type eq \"work\"].formatted", "value": "Room 2/17" },
        { "op": "Add", "path": format!("{ENTERPRISE}:department"), "value": "Harbour" },
    ]);
    shows_each(&entra.modify(&path, &operations), &operations);
    let again = json!([
        { "op": "Add", "path": "emails[type eq \"work\"].value", "value": "two@contoso.example" },
    ]);
    let after = entra.modify(&path, &again);
    let only = json!([{ "type": "work", "value": "two@contoso.example" }]);
    assert_eq!(after["emails"], only, "updated where it is, not added beside it");
}

#[test]
fn a_manager_comes_as_a_word_or_an_object_and_goes() {
    let mut entra = Provisioner::entra();
    let (_, boss) = entra.create("/Users", &user("ida.boss"));
    let (path, _) = entra.create("/Users", &user("ida.led"));
    let manager = format!("{ENTERPRISE}:manager");
    let boss = id(&boss);
    for (op, value) in [("Add", json!(boss)), ("Replace", json!({ "value": boss }))] {
        let operations = json!([{ "op": op, "path": manager, "value": value }]);
        let after = entra.modify(&path, &operations);
        assert_eq!(at(&after, &format!("{manager}.value")), boss.as_str());
    }
    let after = entra.modify(&path, &json!([{ "op": "Remove", "path": manager }]));
    assert_eq!(at(&after, &manager), &Value::Null);
}

#[test]
fn a_manager_comes_in_a_list_and_without_its_urn() {
    let mut entra = Provisioner::entra();
    let (_, boss) = entra.create("/Users", &user("ida.chief"));
    let boss = id(&boss);
    let manager = format!("{ENTERPRISE}:manager");
    for (place, path) in ["manager", &manager].into_iter().enumerate() {
        let (at_path, led) = entra.create("/Users", &user(&format!("ida.listed.{place}")));
        let value = json!([{ "$ref": format!("https://b.example/Users/{boss}"), "value": boss }]);
        let after = entra.modify(&at_path, &json!([{ "op": "Add", "path": path, "value": value }]));
        assert_eq!(at(&after, &format!("{manager}.value")), boss.as_str());
        // Whether the reference is there, in either order, and with either name.
        for name in ["manager", &manager] {
            for filter in [
                format!("id eq \"{}\" and {name} eq \"{boss}\"", id(&led)),
                format!("{name} eq \"{boss}\" and id eq \"{}\"", id(&led)),
            ] {
                let found = entra.find("/Users", &[("filter", &filter), ("attributes", "id")]);
                assert_eq!(found["totalResults"], 1, "{filter}");
                assert_eq!(found["Resources"][0]["id"], led["id"], "{filter}");
            }
        }
        let nobody = format!("id eq \"{}\" and manager eq \"nobody\"", id(&led));
        assert_eq!(entra.find_one("/Users", &nobody), Value::Null);
        let after = entra.modify(&at_path, &json!([{ "op": "Remove", "path": path }]));
        assert_eq!(at(&after, &manager), &Value::Null);
    }
    // Whoever is held to the standard names the extension.
    let mut plain = Provisioner::plain();
    let (path, before) = plain.create("/Users", &bare("ida.standard"));
    let unqualified = json!([{ "op": "add", "path": "manager", "value": boss }]);
    assert_eq!(plain.modify(&path, &unqualified), before);
    let listed = json!([{ "op": "add", "path": manager, "value": [{ "value": boss }] }]);
    plain.refused("PATCH", &path, Some(&super::patch(&listed)), 400);
}

#[test]
fn a_user_is_deleted_for_good() {
    let mut entra = Provisioner::entra();
    let (path, _) = entra.create("/Users", &user("ida.gone"));
    entra.remove(&path);
}

#[test]
fn schemas_are_there_to_be_discovered() {
    let list = Provisioner::entra().read("/Schemas");
    assert_eq!(list["schemas"], json!([super::LIST]));
    for schema in list["Resources"].as_array().unwrap() {
        assert!(schema["id"].is_string(), "{schema}");
        assert!(!schema["attributes"].as_array().unwrap().is_empty(), "{schema}");
    }
}

#[test]
fn what_changed_since_is_asked_with_long_fractions_and_odd_spellings() {
    let mut entra = Provisioner::entra();
    let (_, created) = entra.create("/Users", &user("ida.delta"));
    assert_eq!(entra.find("/Users", &[("count", "1")])["itemsPerPage"], 1);
    let between = |from: &str| {
        format!(
            "active eq true and (meta.lastModified ge \"{from}\" and \
             meta.lastModified le \"2099-01-01T00:00:00.0000000Z\")"
        )
    };
    let early = between("0001-01-03T00:00:00.0000000Z");
    let list = entra.find("/Users", &[("filter", &early), ("count", "5"), ("startIndex", "1")]);
    assert!(list["totalResults"].as_u64() > Some(0), "{list}");
    let recent = between("2021-09-23T19:35:41.8420572Z");
    let list = entra.find("/Users", &[("filter", &recent), ("count", "100"), ("startindex", "0")]);
    assert_eq!(list["startIndex"], 1);
    assert!(list["totalResults"].as_u64() > Some(0), "{list}");
    let odd = "(ActiVe eq true) and meta.lastmodified ge \"2021-09-23T19:35:41.8420572Z\"";
    assert!(entra.find("/Users", &[("filter", odd)])["totalResults"].as_u64() > Some(0));
    let by_id = format!("id eq \"{}\"", id(&created));
    assert_eq!(id(&entra.find_one("/Users", &by_id)), id(&created));
}

#[test]
fn what_is_replaced_at_a_type_that_nobody_has_comes_to_be() {
    let mut entra = Provisioner::entra();
    let (path, _) = entra.create("/Users", &bare("ida.absent"));
    let operations = json!([
        { "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "a@contoso.example" },
    ]);
    shows_each(&entra.modify(&path, &operations), &operations);
    // RFC 7644 section 3.5.2.3 has an error for this, which other clients get.
    let mut plain = Provisioner::plain();
    let (path, _) = plain.create("/Users", &bare("ida.rfc"));
    let error = plain.refused("PATCH", &path, Some(&super::patch(&operations)), 400);
    assert_eq!(error["scimType"], "noTarget");
}
