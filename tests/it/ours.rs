//! What is ours and what the directory's: writes that leave each its own, whatever the state of the other.

use serde_json::{Value, json};

use crate::support::bridge::{Settings, TestBridge};
use crate::support::company;
use crate::support::slapd::{SUFFIX, Slapd};

const CODES: &str = "urn:hid:scim:api:idp:2.0:UserAttribute";

fn path(number: usize) -> String {
    format!("/Users/corp.{}", company::person(number).entry_uuid)
}

fn replace(attribute: &str, value: impl Into<Value>) -> Value {
    json!({ "Operations": [{ "op": "replace", "path": attribute, "value": value.into() }] })
}

#[test]
fn whom_the_directory_locked_we_can_lock_too() {
    let slapd = Slapd::company(100);
    let settings = Settings::over(&slapd)
        .with("cache = { fresh = \"0s\", negative = \"0s\", stale = \"0s\" }")
        .token("binder", "binder-token", &["users:*"])
        .token_line("binds = true");
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let (locked, posted) = (company::person(97), company::person(4));
    let lock = |dn: &str, how: &str| {
        slapd.modify(&format!("dn: {dn}\nchangetype: modify\n{how}\n"));
    };
    let unlock = "delete: pwdAccountLockedTime";
    lock(&posted.dn(SUFFIX), "add: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z");

    // Handing back what was read is no write.
    let shown = client.get(&path(97)).expect(200);
    assert_eq!(shown["active"], false);
    assert_eq!(client.put(&path(97), &shown).expect(200)["userType"], "LDAP");
    // Neither is a change of something else: with the directory's lock goes ours that never was.
    client.patch(&path(97), &replace("nickName", "Lock")).expect(200);
    lock(&locked.dn(SUFFIX), unlock);
    assert_eq!(client.get(&path(97)).expect(200)["active"], true);

    lock(&locked.dn(SUFFIX), "add: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z");
    client.patch(&path(97), &replace("active", false)).expect(200);
    let body = json!({ "userName": posted.uid, "externalId": posted.uid, "active": false });
    bridge.client_as("binder-token").post("/Users", &body).expect(201);
    for (number, person) in [(97, &locked), (4, &posted)] {
        lock(&person.dn(SUFFIX), unlock);
        assert_eq!(client.get(&path(number)).expect(200)["active"], false, "{number}");
        let open = client.patch(&path(number), &replace("active", true)).expect(200);
        assert_eq!(open["active"], true);
    }
}

#[test]
fn nothing_of_a_repository_that_is_gone_becomes_ours() {
    let settings = Settings::over(Slapd::shared());
    let mut bridge = TestBridge::start(&settings);
    let person = company::person(80);
    bridge.client().patch(&path(80), &replace("nickName", "Eighty")).expect(200);
    let file = bridge.directory().join("scimbridge.toml");
    std::fs::write(&file, Settings::local().text()).unwrap();
    bridge.restart();
    let mut client = bridge.client();
    let mut shown = client.get(&path(80)).expect(200);
    assert_eq!(shown["userName"], person.uid.as_str());
    for change in [replace("userName", "other"), replace("externalId", "other")] {
        let refused = client.patch(&path(80), &change);
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert!(refused.text().contains("corp"), "{}", refused.text());
    }
    client.patch(&path(80), &replace("userName", person.uid.to_uppercase())).expect(200);
    shown["nickName"] = "Renamed".into();
    assert_eq!(client.put(&path(80), &shown).expect(200)["nickName"], "Renamed");
    std::fs::write(&file, settings.text()).unwrap();
    bridge.restart();
    // Were the name ours, nobody else could have it.
    let local = json!({ "userName": person.uid, "externalId": person.uid });
    bridge.client().post("/Users", &local).expect(201);
}

#[test]
fn codes_and_types_have_an_authority_each() {
    let settings = Settings::over(Slapd::shared()).with(&format!(
        "[tenant.repository.attributes]\n\
         \"{CODES}:NR\" = {{ attribute = \"employeeNumber\" }}\n\
         'phoneNumbers[type eq \"mobile\"].value' = {{ authority = \"local\" }}"
    ));
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let mut user = client.get(&path(82)).expect(200);
    let codes = user[CODES]["attributes"].as_array_mut().unwrap();
    assert_eq!(codes.len(), 1);
    codes.push(json!({ "name": "COST", "value": "42" }));
    let phones = user["phoneNumbers"].as_array_mut().unwrap();
    let theirs = phones.iter().find(|phone| phone["type"] == "mobile").unwrap().clone();
    phones.retain(|phone| phone["type"] != "mobile");
    phones.push(json!({ "type": "mobile", "value": "+1 555" }));
    let bound = client.put(&path(82), &user).expect(200);
    assert_eq!(bound[CODES]["attributes"].as_array().unwrap().len(), 2);
    let mobiles = |user: &Value| -> Vec<Value> {
        let phones = user["phoneNumbers"].as_array().unwrap().iter();
        phones.filter(|phone| phone["type"] == "mobile").map(|p| p["value"].clone()).collect()
    };
    assert_eq!(mobiles(&bound), ["+1 555"]);
    assert_eq!(mobiles(&client.get(&path(82)).expect(200)), ["+1 555"]);
    let remove = json!({ "Operations": [
        { "op": "remove", "path": "phoneNumbers[type eq \"mobile\"]" }] });
    let back = client.patch(&path(82), &remove).expect(200);
    assert_eq!(mobiles(&back), [theirs["value"].clone()]);
    let work = json!({ "Operations": [
        { "op": "remove", "path": "phoneNumbers[type eq \"work\"]" }] });
    assert_eq!(client.patch(&path(82), &work).expect(400)["scimType"], "mutability");
}

#[test]
fn nobody_is_locked_out_by_saying_nothing() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let user = client.post("/Users", &json!({ "userName": "anna", "active": false })).expect(201);
    let path = format!("/Users/{}", user["id"].as_str().unwrap());
    let remove = json!({ "Operations": [{ "op": "remove", "path": "active" }] });
    assert_eq!(client.patch(&path, &remove).expect(200)["active"], true);
    assert_eq!(client.get(&path).expect(200)["active"], true);
    let filter = [("filter", "active eq true")];
    assert_eq!(client.query("/Users", &filter).expect(200)["totalResults"], 1);
}

#[test]
fn the_user_of_an_agent_is_not_made_by_anybody() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let body = |user_type: &str| json!({ "userName": "anna", "userType": user_type });
    assert_eq!(client.post("/Users", &body("SCIM_FED")).expect(400)["scimType"], "invalidValue");
    let user = client.post("/Users", &body("LDAP")).expect(201);
    assert_eq!(user["userType"], "FTRESS", "any other is passed over");
    let path = format!("/Users/{}", user["id"].as_str().unwrap());
    assert_eq!(client.put(&path, &body("scim_fed")).expect(400)["scimType"], "invalidValue");
    client.put(&path, &body("FTRESS")).expect(200);
}
