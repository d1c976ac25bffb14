//! The rest of those who provision: `OneLogin`, authentik, Ping and Keycloak, each with what sets it
//! apart, seen in its users' reports or its documentation.

use serde_json::{Value, json};

use super::{ENTERPRISE, Provisioner, USER};

fn user(name: &str) -> Value {
    json!({
        "schemas": [USER],
        "userName": name,
        "name": { "givenName": "Ama", "familyName": "Osei" },
        "emails": [{ "primary": true, "value": format!("{name}@others.example"), "type": "work" }],
        "active": true,
    })
}

#[test]
fn onelogin_ends_its_queries_with_an_ampersand_and_names_old_schemas() {
    let mut onelogin = Provisioner::plain();
    let (path, created) = onelogin.create("/Users", &user("ama.onelogin"));
    let list = onelogin.read("/Users?filter=userName+eq+%22ama.onelogin%22&");
    assert_eq!(list["totalResults"], 1);
    assert_eq!(list["Resources"][0]["id"], created["id"]);
    let body = json!({
        "schemas": ["urn:scim:schemas:core:2.0", "urn:scim:schemas:extension:enterprise:2.0"],
        "userName": "ama.onelogin",
        "name": { "givenName": "Ama", "familyName": "Mensah" },
        "active": true,
    });
    let after = onelogin.send("PUT", &format!("{path}?"), Some(&body)).expect(200);
    assert_eq!(after["name"]["familyName"], "Mensah");
}

#[test]
fn authentik_needs_every_number_of_the_configuration() {
    let configuration = Provisioner::plain().read("/ServiceProviderConfig");
    for (part, number) in
        [("bulk", "maxOperations"), ("bulk", "maxPayloadSize"), ("filter", "maxResults")]
    {
        assert!(configuration[part][number].is_u64(), "{part}.{number}: {configuration}");
    }
    assert_eq!(configuration["patch"]["supported"], true);
    assert!(configuration["authenticationSchemes"][0]["type"].is_string());
}

#[test]
fn ping_finds_by_mail_and_writes_by_put_alone() {
    let mut ping = Provisioner::plain();
    let (path, created) = ping.create("/Users", &user("ama.ping"));
    let found = ping.find_one("/Users", "emails eq \"ama.ping@others.example\"");
    assert_eq!(found["id"], created["id"]);
    let body = json!({
        "schemas": [USER],
        "userName": "ama.ping",
        "active": false,
        "name": { "givenName": "A", "familyName": "O" },
    });
    assert_eq!(ping.replace(&path, &body)["active"], false);
}

#[test]
fn keycloak_says_no_with_a_word_and_no_path() {
    let mut keycloak = Provisioner::plain();
    let (path, _) = keycloak.create("/Users", &user("ama.keycloak"));
    let off = json!([{ "op": "replace", "value": { "active": "false" } }]);
    assert_eq!(keycloak.modify(&path, &off)["active"], false);
    // A name in another case, and with its schema in front, is the same attribute.
    let operations = json!([
        { "op": "add", "path": format!("{USER}:NickName"), "value": "Am" },
        { "op": "REPLACE", "path": format!("{ENTERPRISE}:costcenter"), "value": "7" },
    ]);
    let after = keycloak.modify(&path, &operations);
    assert_eq!((&after["nickName"], &after[ENTERPRISE]["costCenter"]), (&json!("Am"), &json!("7")));
}
