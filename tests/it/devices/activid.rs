//! Devices and authenticators as ActivID's documents have them: decimal ids, sections always shown, a
//! PUT that leaves alone what it does not hold.

use serde_json::{Value, json};

use super::{DEVICE, USER_DEVICE, policies, removed};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;
use crate::support::company;
use crate::support::slapd::Slapd;

const USER_AUTHENTICATOR: &str = "urn:hid:scim:api:idp:2.0:UserAuthenticator";

fn user(client: &mut Client, external_id: &str) -> String {
    let body = json!({ "externalId": external_id, "userName": external_id,
        "name": { "givenName": "John", "familyName": "Doe" } });
    let made = client.post("/Users", &body).expect(200);
    assert_eq!(made[USER_DEVICE], json!({ "devices": [] }));
    assert_eq!(made[USER_AUTHENTICATOR], json!({ "authenticators": [] }));
    made["id"].as_str().unwrap().to_owned()
}

fn is_number(id: &Value) -> bool {
    id.as_str().is_some_and(|id| id.parse::<u64>().is_ok_and(|number| number > 10_000))
}

#[test]
fn a_known_user_is_assigned_a_device_as_the_document_has_it() {
    let bridge = TestBridge::start(&policies(Settings::local().tenant("dialect = \"activid\"")));
    let mut client = bridge.client();
    let jdoe = user(&mut client, "jdoe");
    let body = json!({ "schemas": [DEVICE], "externalId": "myExternalId", "type": "DTC_TD898a",
        "status": { "status": "PENDING", "expiryDate": "2039-06-12T14:46:58+02:00",
            "startDate": "2017-06-12T14:46:58+02:00" } });
    let made = client.post("/Device/", &body).expect(200);
    assert!(is_number(&made["id"]), "{made}");
    let id = made["id"].as_str().unwrap();
    let path = format!("/Device/{id}");
    assert!(made["meta"]["location"].as_str().unwrap().ends_with(&path));

    // Neither type nor externalId is in it, and both stay.
    let assign = json!({ "schemas": [DEVICE], "id": id, "owner": { "display": "jdoe" },
        "status": { "status": "ACTIVE", "active": true, "expiryDate": "2045-11-30T11:54:31+0100",
            "startDate": "2020-11-30T11:54:31+0100" } });
    let assigned = client.put(&path, &assign).expect(200);
    let status = json!({ "status": "ACTIVE", "active": true,
        "startDate": "2020-11-30T10:54:31Z", "expiryDate": "2045-11-30T10:54:31Z" });
    assert_eq!(assigned["status"], status);
    assert_eq!((&assigned["type"], &assigned["externalId"]), (&body["type"], &body["externalId"]));
    assert_eq!(assigned["owner"]["value"], jdoe.as_str());
    assert!(assigned["owner"]["$ref"].as_str().unwrap().ends_with(&format!("/Users/{jdoe}")));
    assert_eq!(client.put(&path, &assigned).expect(200), assigned, "what was read can be put");

    let named = json!({ "Operations": [{ "op": "add", "path": "friendlyName",
        "value": "my OOB device" }] });
    client.patch(&path, &named).expect(200);
    let shown = client.get(&format!("/Users/{jdoe}?api-version=2")).expect(200);
    let one = &shown[USER_DEVICE]["devices"][0];
    assert_eq!((&one["value"], &one["friendlyName"]), (&json!(id), &json!("my OOB device")));
    assert!(one["$ref"].as_str().unwrap().ends_with(&path));
    let before = client.get(&format!("/Users/{jdoe}")).expect(200);
    assert_eq!(before[USER_DEVICE]["devices"][0].get("friendlyName"), None, "from version 2 on");

    for filter in [format!("owner.value eq {jdoe}"), format!("id eq {id}")] {
        let list = client.query("/Device", &[("filter", &filter)]).expect(200);
        assert_eq!(list["resources"][0]["id"], id, "{filter}");
    }
    // Whoever is left out of a PUT is no longer the owner.
    let mut freed = assigned.clone();
    freed.as_object_mut().unwrap().remove("owner");
    assert_eq!(client.put(&path, &freed).expect(200).get("owner"), None);
}

#[test]
fn sections_are_given_and_taken_by_number() {
    let bridge = TestBridge::start(&policies(Settings::local().tenant("dialect = \"activid\"")));
    let mut client = bridge.client();
    let jdoe = user(&mut client, "jdoe");
    let path = format!("/Users/{jdoe}");
    let mut device = |serial: &str| {
        let body = json!({ "type": "T", "externalId": serial });
        client.post("/Device", &body).expect(200)["id"].as_str().unwrap().to_owned()
    };
    let (one, two) = (device("s1"), device("s2"));
    let given = json!({ "Operations": [
        { "op": "add", "path": format!("{USER_DEVICE}:devices"),
          "value": [{ "value": one }, { "value": two }] },
        { "op": "add", "path": format!("{USER_AUTHENTICATOR}:authenticators"),
          "value": [{ "display": "AT_EMPPWD" }] } ] });
    let shown = client.patch(&path, &given).expect(200);
    let authenticator = format!("{jdoe}.AT_EMPPWD");
    let element = &shown[USER_AUTHENTICATOR]["authenticators"][0];
    assert_eq!(
        (&element["display"], &element["value"]),
        (&json!("AT_EMPPWD"), &json!(authenticator))
    );
    let of = format!("/Authenticator/{authenticator}");
    assert!(element["$ref"].as_str().unwrap().ends_with(&of));
    let read = client.get(&of).expect(200);
    assert_eq!((&read["id"], &read["owner"]["value"]), (&json!(authenticator), &json!(jdoe)));

    let taken = removed(&format!("{USER_DEVICE}:devices[value eq \"{one}\"]"));
    let shown = client.patch(&path, &taken).expect(200);
    let devices = shown[USER_DEVICE]["devices"].as_array().unwrap();
    assert_eq!((devices.len(), &devices[0]["value"]), (1, &json!(two)));
    let taken =
        removed(&format!("{USER_AUTHENTICATOR}:authenticators[value eq \"{authenticator}\"]"));
    let shown = client.patch(&path, &taken).expect(200);
    assert_eq!(shown[USER_AUTHENTICATOR], json!({ "authenticators": [] }));
    assert_eq!(client.get(&of).status, 404);
    let body = json!({ "excludedAttributes": [USER_AUTHENTICATOR, USER_DEVICE] });
    let list = client.post("/Users/.search", &body).expect(200);
    assert_eq!(
        (list["resources"][0].get(USER_DEVICE), &list["resources"][0]["id"]),
        (None, &json!(jdoe))
    );
}

#[test]
fn a_person_who_is_not_bound_has_neither() {
    let slapd = Slapd::shared();
    let bridge =
        TestBridge::start(&policies(Settings::over(slapd).tenant("dialect = \"activid\"")));
    let mut client = bridge.client();
    let person = company::person(75);
    let unbound = format!("/Users/0?externalId={}", person.uid);
    let shown = client.get(&unbound).expect(200);
    assert_eq!((&shown["id"], shown.get(USER_DEVICE)), (&json!("0"), None));
    let owner = json!({ "value": format!("corp.{}", person.entry_uuid) });
    let made = client.post("/Device", &json!({ "type": "T", "owner": owner })).expect(200);
    assert!(is_number(&made["owner"]["value"]), "{made}");
    let bound = client.get(&format!("/Users/{}", made["owner"]["value"].as_str().unwrap()));
    assert_eq!(bound.expect(200)[USER_DEVICE]["devices"][0]["value"], made["id"]);
}
