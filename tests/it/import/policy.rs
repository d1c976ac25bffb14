//! Imports that name an authenticator policy: each of their users has an authenticator from the start.

use serde_json::{Value, json};

use super::{
    MORE, PATIENCE, assert_whole, count, ended, group, killed_under_way, people, status, users,
};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;
use crate::support::slapd::Slapd;
use crate::support::{company, eventually};

const PASSWORD: &str = "urn:hid:scim:api:idp:2.0:Password";
const USER_AUTHENTICATOR: &str = "urn:hid:scim:api:idp:2.0:UserAuthenticator";
const POLICIES: &str = "[[tenant.authenticator_policy]]\nid = \"AT_EMPPWD\"\ntype = \"login\"\n\
                        [[tenant.authenticator_policy]]\nid = \"AT_EMPOTP\"\ntype = \"otp\"\n";

fn body(group: &str, users: &[Value], policy: &str) -> Value {
    let policy = json!({ "value": policy });
    json!({ "users": users, "authenticatorPolicy": policy, "group": { "value": group } })
}

fn import(client: &mut Client, group: &str, users: &[Value]) -> String {
    let told = client.post("/Users/.import", &body(group, users, "AT_EMPPWD")).expect(202);
    told["correlationId"].as_str().unwrap().to_owned()
}

fn user(client: &mut Client, name: &str) -> Value {
    let filter = format!("userName eq \"{name}\"");
    client.query("/Users", &[("filter", &filter)]).expect(200)["Resources"][0].clone()
}

/// How many users have an authenticator, each one, with one record that names the job.
fn assert_given(bridge: &TestBridge, id: &str, authenticators: u64) {
    assert_eq!(count(bridge, "resources WHERE type = 'Authenticator'"), authenticators);
    let owners = "SELECT CAST(COUNT(DISTINCT owner_key) AS TEXT) FROM owners";
    assert_eq!(bridge.query(owners)[0], authenticators.to_string());
    assert_eq!(count(bridge, "owners"), authenticators);
    let action = "action = 'authenticator.create'";
    let records = format!("audit WHERE {action} AND correlation_id = '{id}'");
    assert_eq!(count(bridge, &records), authenticators);
}

#[test]
fn each_user_has_an_authenticator_that_is_to_be_reset() {
    let bridge = TestBridge::start(&Settings::local().rest(POLICIES));
    let mut client = bridge.client();
    let group = group(&mut client);
    let there = json!({ "userName": "user3", "externalId": "bb0_3" });
    client.post("/Users", &there).expect(201);
    let mut rows = users(0, 300);
    rows.push(json!({ "userName": "odd", "emails": 7 }));
    let id = import(&mut client, &group, &rows);
    let told = ended(&mut client, &id);
    let counts = (&told["nbFailed"], &told["nbAlreadyExisted"], &told["nbImported"]);
    assert_eq!(counts, (&json!(1), &json!(1), &json!(299)), "{told}");
    assert_given(&bridge, &id, 299);
    assert_eq!(count(&bridge, "members"), 299);
    let numbers = bridge.query("SELECT CAST(COUNT(DISTINCT number) AS TEXT) FROM resources");
    assert_eq!(numbers[0], (1 + 300 + 299).to_string());
    assert_eq!(count(&bridge, "passwords"), 0, "nobody knows a secret");

    let seventh = user(&mut client, "user7");
    let authenticator = format!("{}.AT_EMPPWD", seventh["id"].as_str().unwrap());
    let section = &seventh[USER_AUTHENTICATOR]["authenticators"];
    assert_eq!(section.as_array().map(Vec::len), Some(1), "{seventh}");
    assert_eq!(
        (&section[0]["value"], &section[0]["display"]),
        (&json!(authenticator), &json!("AT_EMPPWD"))
    );
    let path = format!("/Authenticator/{authenticator}");
    let shown = client.get(&path).expect(200);
    assert_eq!(shown["status"], json!({ "status": "ENABLED", "active": true }), "for good");
    assert_eq!(shown[PASSWORD], json!({ "reset": true }));
    assert_eq!(shown["owner"]["display"], "user7");
    let filter = [("filter", "policy.value eq \"AT_EMPPWD\""), ("count", "0")];
    assert_eq!(client.query("/Authenticator", &filter).expect(200)["totalResults"], 299);
    let stood = user(&mut client, "user3");
    assert_eq!(stood.get(USER_AUTHENTICATOR), None, "who was there is left as it was");

    let set = json!({ "Operations": [{ "op": "replace", "path": format!("{PASSWORD}:password"),
        "value": "correct horse battery staple" }] });
    assert_eq!(client.patch(&path, &set).expect(200).get(PASSWORD), None, "it was reset");
    assert_eq!(count(&bridge, "passwords"), 1);
    let user = format!("/Users/{}", seventh["id"].as_str().unwrap());
    assert_eq!(client.delete(&user).status, 204);
    assert_eq!(client.get(&path).status, 404, "an authenticator goes with its user");
}

#[test]
fn a_crash_leaves_each_user_one_authenticator() {
    let size = 3_000;
    let mut bridge = TestBridge::start(&Settings::local().rest(POLICIES));
    let mut client = bridge.client();
    let group = group(&mut client);
    let id = import(&mut client, &group, &users(0, size));
    killed_under_way(&mut bridge, &id, size as u64, &[5, 2]);
    let told = ended(&mut bridge.client(), &id);
    let counts = (&told["nbFailed"], &told["nbAlreadyExisted"], &told["nbImported"]);
    assert_eq!(counts, (&json!(0), &json!(0), &json!(size)), "{told}");
    assert_whole(&bridge, &id, size as u64);
    assert_given(&bridge, &id, size as u64);
    let numbers = bridge.query("SELECT CAST(COUNT(DISTINCT number) AS TEXT) FROM resources");
    assert_eq!(numbers[0], (1 + 2 * size).to_string());
}

#[test]
fn another_policy_is_refused_and_so_is_who_makes_no_authenticators() {
    let permissions = ["users:*", "groups:*", "authenticators:read"];
    let settings = Settings::local().token("users", "users-only", &permissions);
    let bridge = TestBridge::start(&settings.clone().rest(POLICIES));
    let mut client = bridge.client();
    let group = group(&mut client);
    let refused = |client: &mut Client, policy: &str| {
        client.post("/Users/.import", &body(&group, &users(0, 3), policy))
    };
    for policy in ["AT_NONE", "AT_EMPOTP", "at_emppwd"] {
        let error = refused(&mut client, policy).expect(400);
        assert_eq!(error["scimType"], "invalidValue", "{error}");
        let said = format!(
            "authenticatorPolicy.value: there is no authenticator policy \"{policy}\" of the type \
             \"login\"; there are AT_EMPPWD."
        );
        assert_eq!(error["detail"], said);
    }
    let mut plain = bridge.client_as("users-only");
    let error = refused(&mut plain, "AT_EMPPWD").expect(403);
    assert!(error["detail"].as_str().unwrap().contains("authenticators:write"), "{error}");
    assert_eq!(count(&bridge, "imports"), 0);
    assert_eq!(count(&bridge, "resources WHERE type = 'User'"), 0);

    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let group = super::group(&mut client);
    let error = client.post("/Users/.import", &body(&group, &[], "AT_EMPPWD")).expect(400);
    assert!(error["detail"].as_str().unwrap().contains("none is configured here"), "{error}");
}

#[test]
fn rows_whose_policy_has_left_the_file_fail_and_say_so() {
    let mut bridge = TestBridge::start(&Settings::local().rest(POLICIES));
    let mut client = bridge.client();
    let group = group(&mut client);
    let id = import(&mut client, &group, &users(0, 3_000));
    let under_way = || status(&mut client, &id)["nbProcessed"].as_u64() > Some(0);
    assert!(eventually(PATIENCE, under_way));
    bridge.kill9();
    let path = bridge.directory().join("scimbridge.toml");
    let file = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, file.replace("AT_EMPPWD", "AT_OTHER")).unwrap();
    bridge.restart();
    let told = ended(&mut bridge.client(), &id);
    assert_eq!(told["status"], "done", "{told}");
    let (imported, failed) = (told["nbImported"].as_u64().unwrap(), told["nbFailed"].as_u64());
    assert_eq!(failed, Some(3_000 - imported));
    assert!(imported < 3_000, "it was killed under way");
    let detail = told[MORE]["rows"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("\"AT_EMPPWD\"") && detail.contains("AT_OTHER"), "{detail}");
    assert_whole(&bridge, &id, imported);
    assert_given(&bridge, &id, imported);
}

#[test]
fn a_directory_person_who_is_bound_has_one_too() {
    let slapd = Slapd::company(50);
    let settings = Settings::over(&slapd)
        .token("binder", "binder-token", &["*"])
        .token_line("binds = true")
        .rest(POLICIES);
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client_as("binder-token");
    let group = group(&mut client);
    let person = company::person(3);
    let long = format!("corp.{}", person.entry_uuid);
    let path = format!("/Authenticator/{long}.AT_EMPPWD");
    assert_eq!(client.get(&path).status, 404);
    let mut rows = people(1..31);
    rows.extend(users(0, 10));
    let id = import(&mut client, &group, &rows);
    let told = ended(&mut client, &id);
    assert_eq!(told["nbImported"], 40, "{told}");
    assert_eq!(count(&bridge, "resources WHERE user_type = 1"), 30);
    assert_given(&bridge, &id, 40);
    let shown = client.get(&path).expect(200);
    assert_eq!(shown["owner"]["value"], long.as_str());
    assert_eq!(shown[PASSWORD], json!({ "reset": true }));
    let bound = client.get(&format!("/Users/{long}")).expect(200);
    assert_eq!(bound["userType"], "FTRESS_LDAP");
    let section = &bound[USER_AUTHENTICATOR]["authenticators"];
    assert_eq!(section[0]["value"], format!("{long}.AT_EMPPWD"));

    // Somebody who was deleted, and is brought again.
    assert_eq!(client.delete(&format!("/Users/{long}")).status, 204);
    assert_eq!(client.get(&path).status, 404);
    let again = import(&mut client, &group, &people(3..4));
    assert_eq!(ended(&mut client, &again)["nbImported"], 1);
    assert_eq!(client.get(&path).expect(200)[PASSWORD], json!({ "reset": true }));
}
