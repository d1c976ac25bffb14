//! Okta: provisioning of users by PUT and by PATCH, and the test that Okta runs before it
//! publishes an application.

use serde_json::{Value, json};

use super::{GROUP, Provisioner, USER, id};
use crate::support::bridge::{Settings, TestBridge};

/// A user as Okta assigns one: with a placeholder for a password, and no groups.
fn user(name: &str) -> Value {
    json!({
        "schemas": [USER],
        "userName": format!("{name}@okta.example"),
        "name": { "givenName": "Tomas", "familyName": "Rey" },
        "emails": [{ "primary": true, "value": format!("{name}@okta.example"), "type": "work" }],
        "displayName": "Tomas Rey",
        "locale": "en-US",
        "externalId": format!("00u-{name}"),
        "groups": [],
        "password": "Pl4ceholder",
        "active": true,
    })
}

#[test]
fn a_user_is_looked_for_created_and_imported() {
    let mut okta = Provisioner::okta();
    let filter = "userName eq \"tomas.new@okta.example\"";
    let list = okta.find("/Users", &[("filter", filter), ("startIndex", "1"), ("count", "100")]);
    assert_eq!((&list["totalResults"], &list["startIndex"]), (&json!(0), &json!(1)));
    let (path, created) = okta.create("/Users", &user("tomas.new"));
    assert_eq!(created["userName"], "tomas.new@okta.example");
    assert_eq!(created["active"], true);
    assert_eq!(created.get("password"), None);
    assert_eq!(created["meta"]["resourceType"], "User");
    okta.refused("POST", "/Users", Some(&user("tomas.new")), 409);
    let page = okta.find("/Users", &[("startIndex", "1"), ("count", "100")]);
    assert!(page["totalResults"].as_u64() > Some(0));
    assert_eq!(okta.read(&path)["id"], created["id"]);
}

#[test]
fn a_profile_is_updated_by_sending_the_whole_of_it_back() {
    let mut okta = Provisioner::okta();
    let (path, created) = okta.create("/Users", &user("tomas.put"));
    let mut changed = okta.read(&path);
    let object = changed.as_object_mut().unwrap();
    // What the profile does not know any more is left out.
    object.remove("locale");
    object.insert("groups".into(), json!([]));
    object.insert(
        "name".into(),
        json!({
            "givenName": "Thomas", "middleName": "Luis", "familyName": "Rey",
        }),
    );
    object["emails"][0]["display"] = "tomas.put@okta.example".into();
    let after = okta.replace(&path, &changed);
    assert_eq!(after["name"]["middleName"], "Luis");
    assert_eq!(after["name"]["givenName"], "Thomas");
    assert_eq!(after.get("locale"), None);
    assert_eq!(after["id"], created["id"]);
    assert_eq!(after["meta"]["created"], created["meta"]["created"]);
}

#[test]
fn a_user_is_deactivated_by_patch() {
    let mut okta = Provisioner::okta();
    let (path, _) = okta.create("/Users", &user("tomas.patched"));
    for active in [false, true] {
        let operations = json!([{ "op": "replace", "value": { "active": active } }]);
        assert_eq!(okta.modify(&path, &operations)["active"], active);
    }
    let password = json!([{ "op": "replace", "value": { "password": "An0ther!" } }]);
    assert_eq!(okta.modify(&path, &password).get("password"), None);
}

#[test]
fn a_user_is_deactivated_by_put_and_stays() {
    let mut okta = Provisioner::okta();
    let (path, created) = okta.create("/Users", &user("tomas.away"));
    let body = json!({
        "schemas": [USER],
        "id": created["id"],
        "userName": "tomas.away@okta.example",
        "name": { "givenName": "Tomas", "familyName": "Rey" },
        "emails": [{ "primary": true, "value": "tomas.away@okta.example", "type": "work" }],
        "active": false,
    });
    assert_eq!(okta.replace(&path, &body)["active"], false);
    let found = okta.find_one("/Users", "userName eq \"TOMAS.AWAY@OKTA.EXAMPLE\"");
    assert_eq!(found["active"], false);
}

#[test]
fn the_test_before_publishing_passes() {
    let mut okta = Provisioner::okta();
    okta.create("/Users", &user("seed.published"));
    let group = json!({ "schemas": [GROUP], "displayName": "Seed of the published" });
    okta.create("/Groups", &group);
    // It takes anybody as an example, and expects a whole profile: of one that it chose by name.
    let first = okta.find("/Users", &[("count", "1"), ("startIndex", "1")]);
    assert_eq!(first["Resources"].as_array().unwrap().len(), 1);
    let any = okta.find_one("/Users", "userName eq \"seed.published@okta.example\"");
    let any = okta.read(&format!("/Users/{}", id(&any)));
    for path in ["id", "name.familyName", "name.givenName", "userName", "active", "meta.location"] {
        assert_ne!(super::at(&any, path), &Value::Null, "{path}");
    }
    assert!(any["emails"][0]["value"].is_string());

    assert_eq!(okta.find_one("/Users", "userName eq \"abcdefgh@okta.example\""), Value::Null);
    okta.refused("GET", "/Users/010101001010101011001010101011", None, 404);
    let filter = "userName eq \"run.scope@okta.example\"";
    assert_eq!(okta.find_one("/Users", filter), Value::Null);
    let (path, created) = okta.create("/Users", &user("run.scope"));
    assert!(created["schemas"].as_array().unwrap().contains(&json!(USER)));
    assert_eq!(okta.read(&path)["name"]["familyName"], "Rey");
    okta.refused("POST", "/Users", Some(&user("run.scope")), 409);
    let found = okta.find_one("/Users", "userName eq \"RUN.SCOPE@OKTA.EXAMPLE\"");
    assert_eq!(found["id"], created["id"]);
    assert!(okta.find("/Groups", &[])["totalResults"].as_u64() > Some(0));
    okta.stranger().refused("GET", "/Users?count=1", None, 401);
    okta.refused("GET", "/Users/00919288221112222", None, 404);
}

/// People and groups who are there already are imported page by page, and what the types are is read
/// for entitlements.
#[test]
fn everybody_is_imported_page_by_page() {
    let settings = Settings::local().token("okta", "token-of-okta", &["scim:provision"]);
    let bridge = TestBridge::start(&settings.token_line("client = \"okta\""));
    let mut okta = Provisioner { client: bridge.client_as("token-of-okta"), headers: &[] };
    assert_eq!(okta.read("/Users?startIndex=1&count=100")["totalResults"], 0);
    let mut people = Vec::new();
    for name in ["ada", "ben", "cleo", "dora", "emil"] {
        people.push(okta.create("/Users", &user(name)).1);
    }
    let off = json!([{ "op": "replace", "value": { "active": false } }]);
    people[4] = okta.modify(&format!("/Users/{}", id(&people[4])), &off);
    let mut groups = Vec::new();
    for name in ["North", "South", "West"] {
        let members = json!([{ "value": id(&people[groups.len()]), "display": "anything" }]);
        let body = json!({ "schemas": [GROUP], "displayName": name, "members": members });
        groups.push(okta.create("/Groups", &body).1);
    }
    for (endpoint, all) in [("/Users", &people), ("/Groups", &groups)] {
        let mut imported = Vec::new();
        while imported.len() < all.len() {
            let start = (imported.len() + 1).to_string();
            let page = okta.find(endpoint, &[("startIndex", &start), ("count", "2")]);
            assert_eq!(page["totalResults"], all.len());
            assert_eq!(page["startIndex"].to_string(), start);
            let found = page["Resources"].as_array().unwrap();
            assert_eq!(page["itemsPerPage"], found.len());
            assert!(!found.is_empty(), "{page}");
            imported.extend(found.iter().map(id));
        }
        let mut expected: Vec<String> = all.iter().map(id).collect();
        expected.sort();
        imported.sort();
        assert_eq!(imported, expected, "everybody once, who is off as well");
    }
    let shown = okta.read(&format!("/Groups/{}", id(&groups[1])));
    assert_eq!(super::members(&shown), [id(&people[1])]);
    let types = okta.find("/ResourceTypes", &[]);
    for endpoint in ["/Users", "/Groups", "/Roles"] {
        let kind = types["Resources"].as_array().unwrap().iter();
        let kind = kind.filter(|kind| kind["endpoint"] == endpoint).collect::<Vec<_>>();
        let [kind] = kind[..] else { panic!("{endpoint} is not one of {types}") };
        let schema = okta.read(&format!("/Schemas/{}", kind["schema"].as_str().unwrap()));
        assert!(!schema["attributes"].as_array().unwrap().is_empty(), "{schema}");
    }
}
