//! Authenticators: one for each user and policy, with a password that nobody is shown.

use serde_json::{Value, json};

use super::{found, id, policies, removed, replaced, user};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::company;
use crate::support::slapd::Slapd;

const AUTHENTICATOR: &str = "urn:hid:scim:api:idp:2.0:Authenticator";
const PASSWORD: &str = "urn:hid:scim:api:idp:2.0:Password";
const SECRET: &str = "correct horse battery staple";

fn body(owner: &str, policy: &str) -> Value {
    json!({ "schemas": [AUTHENTICATOR], "policy": { "value": policy }, "owner": { "value": owner } })
}

#[test]
fn there_is_one_for_each_user_and_policy() {
    let bridge = TestBridge::start(&policies(Settings::local()));
    let mut client = bridge.client();
    let ann = user(&mut client, "ann");
    let mut asked = body(&ann, "AT_EMPOTP");
    asked["externalId"] = "jsmith".into();
    asked["status"] = json!({ "status": "ENABLED", "startDate": "2015-05-15T18:15:21+00:00",
        "expiryDate": "2040-05-15T18:15:21+00:00" });
    let made = client.post("/Authenticator", &asked).expect(201);
    assert_eq!(made["id"], format!("{ann}.AT_EMPOTP"));
    let status = json!({ "status": "ENABLED", "active": true,
        "startDate": "2015-05-15T18:15:21Z", "expiryDate": "2040-05-15T18:15:21Z" });
    assert_eq!((&made["status"], &made["owner"]["display"]), (&status, &json!("ann")));
    assert_eq!((made.get("statistics"), made.get(PASSWORD)), (None, None));
    let path = format!("/Authenticator/{ann}.AT_EMPOTP");
    assert_eq!(client.get(&path).expect(200), made);

    let twice = client.post("/Authenticator", &asked).expect(409);
    assert_eq!(twice["scimType"], "uniqueness");
    assert!(twice["detail"].as_str().unwrap().contains(&format!("{ann}.AT_EMPOTP")), "{twice}");
    let unknown = client.post("/Authenticator", &body(&ann, "AT_NONE")).expect(400);
    let detail = unknown["detail"].as_str().unwrap();
    assert!(detail.contains("AT_NONE") && detail.contains("AT_EMPPWD, AT_EMPOTP"), "{detail}");
    assert_eq!(client.post("/Authenticator", &body("nobody", "AT_EMPPWD")).status, 400);
    let ownerless = json!({ "policy": { "value": "AT_EMPPWD" } });
    assert_eq!(client.post("/Authenticator", &ownerless).status, 400);

    // By the user's number, too.
    let number = bridge.query(
        "SELECT CAST(number AS TEXT) FROM resources WHERE type = 'User' AND own LIKE '%ann%'",
    );
    let numbered = format!("/Authenticator/{}.AT_EMPOTP", number[0]);
    assert_eq!(client.get(&numbered).expect(200), made);
    let off = client.patch(&numbered, &replaced("status.status", &"DISABLED".into())).expect(200);
    assert_eq!(off["status"]["active"], false);
    assert_eq!(off["id"], made["id"]);

    // Whose it is and under which policy, stays.
    let bert = user(&mut client, "bert");
    for (name, value) in [("owner", &bert), ("policy", &"AT_EMPPWD".to_owned())] {
        let mut other = off.clone();
        other[name] = json!({ "value": value });
        let refused = client.put(&path, &other).expect(400);
        assert_eq!(refused["scimType"], "mutability", "{name}: {refused}");
    }
    let mut same = off.clone();
    same["owner"] = json!({ "value": number[0] });
    assert_eq!(client.put(&path, &same).expect(200)["meta"]["version"], off["meta"]["version"]);

    client.post("/Authenticator", &body(&bert, "AT_EMPPWD")).expect(201);
    for (filter, expected) in [
        (format!("owner.value eq \"{ann}\""), format!("{ann}.AT_EMPOTP")),
        ("policy.value eq \"AT_EMPPWD\"".to_owned(), format!("{bert}.AT_EMPPWD")),
        ("externalId eq \"jsmith\"".to_owned(), format!("{ann}.AT_EMPOTP")),
        ("status.status eq \"DISABLED\"".to_owned(), format!("{ann}.AT_EMPOTP")),
        (format!("id eq \"{bert}.AT_EMPPWD\""), format!("{bert}.AT_EMPPWD")),
    ] {
        assert_eq!(found(&mut client, "/Authenticators", &filter), [expected], "{filter}");
    }
    assert_eq!(client.delete(&path).status, 204);
    client.post("/Authenticator", &asked).expect(201);
    assert_eq!(client.delete(&format!("/Users/{ann}")).status, 204);
    assert_eq!(client.get(&path).status, 404, "an authenticator goes with its user");
    let left = bridge.query("SELECT id FROM resources WHERE type = 'Authenticator'");
    assert_eq!(left, [format!("{bert}.AT_EMPPWD")]);
}

#[test]
fn a_password_is_kept_as_a_hash_that_nobody_is_shown() {
    let bridge = TestBridge::start(&policies(Settings::local().token(
        "reader",
        "reader-token",
        &["authenticators:read", "users:*"],
    )));
    let mut client = bridge.client();
    let ann = user(&mut client, "ann");
    let path = format!("/Authenticator/{ann}.AT_EMPPWD");
    let made = client.post("/Authenticator", &body(&ann, "AT_EMPPWD")).expect(201);
    assert_eq!(made[PASSWORD], json!({ "reset": true }), "nobody knows a secret");
    let hashes = |bridge: &TestBridge| bridge.query("SELECT hash FROM passwords");
    assert!(hashes(&bridge).is_empty());

    let mut asked = made.clone();
    asked[PASSWORD] = json!({ "username": "ann7", "password": SECRET, "reset": true });
    let put = client.put(&path, &asked).expect(200);
    assert_eq!(put[PASSWORD], json!({ "username": "ann7" }));
    let first = hashes(&bridge);
    assert_eq!(first.len(), 1);
    assert!(first[0].starts_with("$argon2id$v=19$"), "{first:?}");
    // A PUT that says nothing of it leaves it.
    let mut silent = put.clone();
    silent.as_object_mut().unwrap().remove(PASSWORD);
    assert_eq!(client.put(&path, &silent).expect(200), put);
    assert_eq!(hashes(&bridge), first);
    let other = replaced(&format!("{PASSWORD}:password"), &"another one".into());
    let patched = client.patch(&path, &other).expect(200);
    assert_eq!(patched[PASSWORD], json!({ "username": "ann7" }));
    assert_ne!(hashes(&bridge), first);
    for bad in [String::new(), "x".repeat(1025)] {
        let refused = client.patch(&path, &replaced(&format!("{PASSWORD}:password"), &json!(bad)));
        assert_eq!(refused.status, 400, "{}", refused.text());
    }
    let filter = format!("{PASSWORD}:password eq \"{SECRET}\"");
    assert_eq!(client.query("/Authenticator", &[("filter", &filter)]).status, 400);
    let all = client.get(&format!("{path}?attributes={PASSWORD}")).text();
    assert!(!all.contains("argon2") && !all.contains(SECRET), "{all}");

    let mut reader = bridge.client_as("reader-token");
    assert_eq!(reader.get(&path).expect(200), patched);
    assert_eq!(reader.patch(&path, &other).status, 403);
    assert!(!bridge.log().contains(SECRET) && !bridge.log().contains("another one"));
    let kept = bridge.query("SELECT own FROM resources WHERE type = 'Authenticator'");
    assert!(!kept[0].contains("password"), "{kept:?}");
    assert_eq!(client.delete(&path).status, 204);
    assert!(hashes(&bridge).is_empty());
    let actions = bridge.audit();
    assert_eq!(actions.iter().filter(|action| *action == "authenticator.create").count(), 1);
    assert_eq!(actions.last().unwrap(), "authenticator.delete");
}

#[test]
fn an_authenticator_of_a_directory_person_binds() {
    let bridge = TestBridge::start(&policies(Settings::over(Slapd::shared())));
    let mut client = bridge.client();
    let person = company::person(72);
    let long = format!("corp.{}", person.entry_uuid);
    let made = client.post("/Authenticator", &body(&long, "AT_EMPOTP")).expect(201);
    assert_eq!(id(&made), format!("{long}.AT_EMPOTP"));
    let bound = client.get(&format!("/Users/{long}")).expect(200);
    assert_eq!(bound["userType"], "FTRESS_LDAP");
    let path = format!("/Authenticator/{long}.AT_EMPOTP");
    assert_eq!(client.get(&path).expect(200), made);
    assert_eq!(client.patch(&path, &removed("status.expiryDate")).expect(200), made);
    assert_eq!(client.delete(&format!("/Users/{long}")).status, 204);
    assert_eq!(client.get(&path).status, 404);
}
