//! Devices and authenticators: resources of their own, and what users have of them.

mod activid;
mod authenticators;
mod sections;

use serde_json::{Value, json};

use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;
use crate::support::company;
use crate::support::slapd::Slapd;

const DEVICE: &str = "urn:hid:scim:api:idp:2.0:Device";
const USER_DEVICE: &str = "urn:hid:scim:api:idp:2.0:UserDevice";

/// Two policies, of which the second has no password.
fn policies(settings: Settings) -> Settings {
    settings.rest(
        "[[tenant.authenticator_policy]]\nid = \"AT_EMPPWD\"\ntype = \"login\"\n\
         [[tenant.authenticator_policy]]\nid = \"AT_EMPOTP\"\ntype = \"otp\"\n",
    )
}

fn user(client: &mut Client, name: &str) -> String {
    id(&client.post("/Users", &json!({ "userName": name })).expect(201))
}

fn id(resource: &Value) -> String {
    resource["id"].as_str().unwrap().to_owned()
}

fn device(client: &mut Client, body: &Value) -> String {
    id(&client.post("/Device", body).expect(201))
}

fn replaced(path: &str, value: &Value) -> Value {
    json!({ "Operations": [{ "op": "replace", "path": path, "value": value }] })
}

fn removed(path: &str) -> Value {
    json!({ "Operations": [{ "op": "remove", "path": path }] })
}

fn found(client: &mut Client, endpoint: &str, filter: &str) -> Vec<String> {
    let list = client.query(endpoint, &[("filter", filter)]).expect(200);
    let found: Vec<String> = list["Resources"].as_array().unwrap().iter().map(id).collect();
    assert_eq!(list["totalResults"], found.len(), "{filter}");
    found
}

#[test]
fn a_device_is_made_read_changed_and_deleted() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let body = json!({ "schemas": [DEVICE], "externalId": "serial-1", "type": "DTC_TD898a",
        "status": { "status": "PENDING", "expiryDate": "2039-06-12T14:46:58+02:00",
            "startDate": "2017-06-12T14:46:58+0200" } });
    let answer = client.post("/Device", &body);
    let made = answer.expect(201);
    let path = format!("/Device/{}", id(&made));
    assert!(answer.header("location").unwrap().ends_with(&path));
    assert_eq!(made["meta"]["resourceType"], "Device");
    assert_eq!(made["schemas"], json!([DEVICE]));
    let status = json!({ "status": "PENDING", "active": false,
        "startDate": "2017-06-12T12:46:58Z", "expiryDate": "2039-06-12T12:46:58Z" });
    assert_eq!(made["status"], status);
    assert_eq!(made.get("owner"), None);
    for spelled in [path.clone(), path.replace("Device", "devices")] {
        assert_eq!(client.get(&spelled).expect(200), made);
    }

    let patched = client.patch(&path, &replaced("status.status", &"ACTIVE".into())).expect(200);
    assert_eq!(patched["status"]["active"], true);
    assert_eq!(patched["status"]["expiryDate"], status["expiryDate"], "the rest stays");
    let named = client.patch(&path, &replaced("friendlyName", &"my phone".into())).expect(200);
    assert_eq!(named["friendlyName"], "my phone");
    let other = client.patch(&path, &replaced("type", &"DTC_OTHER".into())).expect(400);
    assert_eq!(other["scimType"], "mutability");
    let turned = json!({ "expiryDate": "2017-06-12T14:46:57+02:00" });
    let refused = client.patch(&path, &replaced("status", &turned)).expect(400);
    assert_eq!(refused["scimType"], "invalidValue");
    assert!(refused["detail"].as_str().unwrap().contains("status.expiryDate"), "{refused}");
    let untyped = client.post("/Device", &json!({ "externalId": "serial-2" })).expect(400);
    assert!(untyped["detail"].as_str().unwrap().starts_with("type is required"), "{untyped}");

    // The same again changes nothing; a status that a PUT leaves out stays.
    let put = client.put(&path, &json!({ "externalId": "serial-1", "friendlyName": "my phone" }));
    assert_eq!(put.expect(200), named);
    let types = client.get("/ResourceTypes").expect(200);
    let all: Vec<&Value> =
        types["Resources"].as_array().unwrap().iter().map(|kind| &kind["name"]).collect();
    assert!(all.contains(&&json!("Device")) && all.contains(&&json!("Authenticator")));
    assert_eq!(client.get(&format!("/Users/{}", id(&made))).status, 404);
    assert_eq!(client.delete(&path).status, 204);
    assert_eq!(client.get(&path).status, 404);
    let actions = bridge.audit();
    assert!(actions.iter().all(|action| action.starts_with("device.")), "{actions:?}");
    assert_eq!(actions.first().unwrap(), "device.create");
    assert_eq!(actions.last().unwrap(), "device.delete");
    assert_eq!(actions.len(), 4, "{actions:?}");
}

#[test]
fn a_device_is_assigned_and_unassigned() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let (ann, bert) = (user(&mut client, "Ann"), user(&mut client, "bert"));
    let made = client.post("/Device", &json!({ "type": "T", "externalId": "s1" })).expect(201);
    let path = format!("/Device/{}", id(&made));
    let ann_path = format!("/Users/{ann}");
    let before = client.get(&ann_path);
    assert_eq!(before.json().get(USER_DEVICE), None);

    // As the document's assign body does: by the userName alone.
    let body = json!({ "schemas": [DEVICE], "id": id(&made), "externalId": "s1",
        "owner": { "display": "ann" },
        "status": { "status": "ACTIVE", "active": true, "expiryDate": "2045-11-30T11:54:31+0100",
            "startDate": "2020-11-30T11:54:31+0100" } });
    let assigned = client.put(&path, &body).expect(200);
    assert_eq!(assigned["owner"]["value"], ann.as_str());
    assert_eq!(assigned["owner"]["display"], "Ann");
    assert!(assigned["owner"]["$ref"].as_str().unwrap().ends_with(&ann_path));
    assert_eq!(assigned["status"]["expiryDate"], "2045-11-30T10:54:31Z");
    let shown = client.get(&ann_path);
    assert_ne!(shown.header("etag"), before.header("etag"), "no false 304");
    let section = &shown.json()[USER_DEVICE]["devices"];
    assert_eq!(section[0]["value"], id(&made).as_str());
    assert_eq!(section[0]["display"], "s1");
    assert!(section[0]["$ref"].as_str().unwrap().ends_with(&path));

    // The device shows its owner's new name, and the owner the device's.
    client.patch(&ann_path, &replaced("userName", &"anna".into())).expect(200);
    let renamed = client.get(&path);
    assert_eq!(renamed.json()["owner"]["display"], "anna");
    assert_ne!(renamed.json()["meta"]["version"], assigned["meta"]["version"]);
    client.patch(&path, &replaced("friendlyName", &"phone".into())).expect(200);
    let shown = client.get(&ann_path).expect(200);
    assert_eq!(shown[USER_DEVICE]["devices"][0]["friendlyName"], "phone");

    let version = renamed.json()["owner"].clone();
    let kept = client.patch(&path, &replaced("owner.value", &json!(ann))).expect(200);
    assert_eq!(kept["owner"], version, "the same owner is no change");
    let moved = client.patch(&path, &replaced("owner", &json!({ "value": bert }))).expect(200);
    assert_eq!(moved["owner"]["display"], "bert");
    assert_eq!(client.get(&ann_path).expect(200).get(USER_DEVICE), None);
    let bert_path = format!("/Users/{bert}");
    assert!(client.get(&bert_path).expect(200).get(USER_DEVICE).is_some());
    let freed = client.patch(&path, &removed("owner")).expect(200);
    assert_eq!(freed.get("owner"), None);
    assert_eq!(client.get(&bert_path).expect(200).get(USER_DEVICE), None);

    for owner in [json!({ "value": "nobody" }), json!({ "display": "nobody" })] {
        let refused = client.patch(&path, &replaced("owner", &owner)).expect(400);
        assert_eq!(refused["scimType"], "invalidValue", "{refused}");
    }
    let group = id(&client.post("/Groups", &json!({ "displayName": "g" })).expect(201));
    assert_eq!(client.patch(&path, &replaced("owner.value", &json!(group))).status, 400);
    let assigns: Vec<String> =
        bridge.audit().into_iter().filter(|action| action.contains("assign")).collect();
    assert_eq!(assigns, ["device.assign", "device.assign", "device.unassign"]);

    // What is owned is told of whom it belonged to when it goes, or when its owner does.
    client.patch(&path, &replaced("owner.value", &json!(ann))).expect(200);
    assert_eq!(client.delete(&ann_path).status, 204);
    let left = client.get(&path).expect(200);
    assert_eq!(left.get("owner"), None, "a device outlives its user");
    client.patch(&path, &replaced("owner.value", &json!(bert))).expect(200);
    assert!(client.get(&bert_path).expect(200).get(USER_DEVICE).is_some());
    assert_eq!(client.delete(&path).status, 204);
    assert_eq!(client.get(&bert_path).expect(200).get(USER_DEVICE), None);
}

#[test]
fn devices_are_found_by_all_that_the_table_names() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let ann = user(&mut client, "ann");
    let one = device(
        &mut client,
        &json!({ "type": "DT_OTP", "externalId": "AB-100", "owner": { "value": ann },
            "status": { "status": "ACTIVE", "startDate": "2020-01-01T00:00:00Z",
                "expiryDate": "2030-01-01T00:00:00+01:00" } }),
    );
    let two = device(
        &mut client,
        &json!({ "type": "DT_PUSH", "externalId": "CD-100", "friendlyName": "phone",
            "status": { "status": "PENDING", "expiryDate": "2040-01-01T00:00:00Z" } }),
    );
    let three = device(&mut client, &json!({ "type": "DT_PUSH" }));
    let (one, two, three) = (one.as_str(), two.as_str(), three.as_str());
    for (filter, expected) in [
        (format!("id eq \"{two}\""), vec![two]),
        ("externalId eq \"AB-100\"".to_owned(), vec![one]),
        ("externalId eq \"ab-100\"".to_owned(), vec![]),
        ("externalId co \"-1\"".to_owned(), vec![one, two]),
        ("externalId sw \"CD\"".to_owned(), vec![two]),
        ("externalId ew \"00\"".to_owned(), vec![one, two]),
        ("type eq \"dt_push\"".to_owned(), vec![two, three]),
        ("status.status eq \"active\"".to_owned(), vec![one]),
        ("status.status eq PENDING".to_owned(), vec![two, three]),
        ("status.expiryDate gt \"2035-01-01T00:00:00Z\"".to_owned(), vec![two]),
        ("status.expiryDate lt \"2035-01-01T00:00:00Z\"".to_owned(), vec![one]),
        ("status.expiryDate eq \"2029-12-31T23:00:00Z\"".to_owned(), vec![one]),
        ("status.startDate eq \"2020-01-01T01:00:00.000+0100\"".to_owned(), vec![one]),
        (format!("owner.value eq \"{ann}\""), vec![one]),
        (format!("owner.value eq \"{two}\""), vec![]),
        (format!("not (owner.value eq \"{ann}\")"), vec![two, three]),
        (format!("owner.value ne \"{ann}\""), vec![two, three]),
        ("owner pr".to_owned(), vec![one]),
        ("owner.display eq \"ANN\"".to_owned(), vec![one]),
        ("type eq \"DT_PUSH\" and friendlyName eq \"Phone\"".to_owned(), vec![two]),
        (format!("owner.value eq \"{ann}\" and type eq \"DT_PUSH\""), vec![]),
        // Of this the index cannot tell all, so that memory decides; it agrees.
        (format!("owner.value eq \"{ann}\" and status.active eq true"), vec![one]),
        (format!("owner.value ne \"{ann}\" and status.active eq false"), vec![two, three]),
    ] {
        let mut found = found(&mut client, "/Device", &filter);
        found.sort();
        let mut expected = expected;
        expected.sort_unstable();
        assert_eq!(found, expected, "{filter}");
    }
    let body = json!({ "filter": format!("owner.value eq \"{ann}\""),
        "sortBy": "status.expiryDate" });
    let list = client.post("/Device/.search", &body).expect(200);
    assert_eq!(list["Resources"][0]["owner"]["display"], "ann");
    let by_device = format!("{USER_DEVICE}:devices.value eq \"{one}\"");
    assert_eq!(found(&mut client, "/Users", &by_device), [ann.as_str()]);
    let everywhere = client.post("/.search", &json!({ "filter": "type eq \"DT_PUSH\"" }));
    assert_eq!(everywhere.expect(200)["totalResults"], 2);
}

#[test]
fn assigning_to_a_directory_person_binds() {
    let bridge = TestBridge::start(&Settings::over(Slapd::shared()).token(
        "devices",
        "devices-only",
        &["devices:*"],
    ));
    let mut client = bridge.client();
    let person = company::person(71);
    let long = format!("corp.{}", person.entry_uuid);
    let made = device(&mut client, &json!({ "type": "T", "externalId": "s7" }));
    let path = format!("/Device/{made}");
    let assign = replaced("owner.value", &json!(long));
    let refused = bridge.client_as("devices-only").patch(&path, &assign).expect(403);
    assert!(refused["detail"].as_str().unwrap().contains("users:bind"), "{refused}");
    assert_eq!(client.get("/Users").expect(200)["totalResults"], 0);
    // Nobody is bound by a name.
    let by_name = replaced("owner", &json!({ "display": person.uid }));
    assert_eq!(client.patch(&path, &by_name).status, 400);

    let assigned = client.patch(&path, &assign).expect(200);
    assert_eq!(assigned["owner"]["value"], long.as_str());
    assert_eq!(assigned["owner"]["display"], person.uid.as_str());
    let bound = client.get(&format!("/Users/{long}")).expect(200);
    assert_eq!(bound["userType"], "FTRESS_LDAP");
    assert_eq!(bound[USER_DEVICE]["devices"][0]["value"], made.as_str());
    assert_eq!(bridge.audit(), ["device.create", "user.bind", "device.assign"]);

    // A tombstone leaves devices to nobody; only a POST binds again.
    assert_eq!(client.delete(&format!("/Users/{long}")).status, 204);
    assert_eq!(client.get(&path).expect(200).get("owner"), None);
    assert_eq!(client.patch(&path, &assign).expect(400)["scimType"], "invalidValue");
}
