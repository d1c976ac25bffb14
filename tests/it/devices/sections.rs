//! What a user has of devices and authenticators, given and taken through the user.

use std::sync::Barrier;

use serde_json::{Value, json};

use super::{USER_DEVICE, device, found, id, policies, removed, replaced, user};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::company;
use crate::support::slapd::Slapd;

const USER_AUTHENTICATOR: &str = "urn:hid:scim:api:idp:2.0:UserAuthenticator";

fn values(user: &Value, urn: &str, name: &str) -> Vec<String> {
    let list = user[urn][name].as_array();
    let value = |one: &Value| one["value"].as_str().unwrap().to_owned();
    list.map(|list| list.iter().map(value).collect()).unwrap_or_default()
}

#[test]
fn a_user_is_given_devices_and_authenticators_and_loses_them() {
    let bridge = TestBridge::start(&policies(Settings::local()));
    let mut client = bridge.client();
    let one = device(&mut client, &json!({ "type": "T", "externalId": "s1" }));
    let two = device(&mut client, &json!({ "type": "T", "friendlyName": "phone" }));
    // The documents spell the extension in this way, too.
    let body = json!({ "userName": "ann",
        "urn:hid:scim:api:idp:UserDevice": { "devices": [{ "value": one }] },
        (USER_AUTHENTICATOR): { "authenticators": [{ "display": "AT_EMPPWD" }] } });
    let ann = client.post("/Users", &body).expect(201);
    let (ann_id, path) = (id(&ann), format!("/Users/{}", id(&ann)));
    assert_eq!(values(&ann, USER_DEVICE, "devices"), [one.as_str()]);
    let authenticator = format!("{ann_id}.AT_EMPPWD");
    let shown = &ann[USER_AUTHENTICATOR]["authenticators"][0];
    assert_eq!((&shown["display"], &shown["value"]), (&json!("AT_EMPPWD"), &json!(authenticator)));
    let reference = format!("/Authenticator/{authenticator}");
    assert!(shown["$ref"].as_str().unwrap().ends_with(&reference));
    assert_eq!(client.get(&path).expect(200), ann);
    assert_eq!(client.get(&reference).expect(200)["owner"]["value"], ann_id.as_str());
    assert_eq!(client.get(&format!("/Device/{one}")).expect(200)["owner"]["display"], "ann");

    // What was read can be put, and changes nothing; a section that is left out stands.
    assert_eq!(client.put(&path, &ann).expect(200), ann);
    let mut silent = ann.clone();
    for urn in [USER_DEVICE, USER_AUTHENTICATOR] {
        silent.as_object_mut().unwrap().remove(urn);
    }
    assert_eq!(client.put(&path, &silent).expect(200), ann);

    // An element that is left out of a section goes, and what is new comes.
    silent[USER_DEVICE] = json!({ "devices": [{ "value": two }] });
    silent["nickName"] = "Annie".into();
    let put = client.put(&path, &silent).expect(200);
    assert_eq!(values(&put, USER_DEVICE, "devices"), [two.as_str()]);
    assert_eq!(put[USER_DEVICE]["devices"][0]["friendlyName"], "phone");
    assert_eq!(values(&put, USER_AUTHENTICATOR, "authenticators"), [authenticator.as_str()]);
    assert_eq!(client.get(&format!("/Device/{one}")).expect(200).get("owner"), None);
    let added = json!({ "Operations": [
        { "op": "add", "path": format!("{USER_DEVICE}:devices"), "value": [{ "value": one }] },
        { "op": "add", "path": format!("{USER_AUTHENTICATOR}:authenticators"),
          "value": [{ "display": "AT_EMPOTP" }] } ] });
    let patched = client.patch(&path, &added).expect(200);
    assert_eq!(values(&patched, USER_DEVICE, "devices"), [one.as_str(), two.as_str()]);
    assert_eq!(values(&patched, USER_AUTHENTICATOR, "authenticators").len(), 2);
    let taken = removed(&format!("{USER_DEVICE}:devices[value eq \"{two}\"]"));
    let patched = client.patch(&path, &taken).expect(200);
    assert_eq!(values(&patched, USER_DEVICE, "devices"), [one.as_str()]);
    let emptied = json!({ "userName": "ann", (USER_AUTHENTICATOR): { "authenticators": [] } });
    let emptied = client.put(&path, &emptied).expect(200);
    assert_eq!(emptied.get(USER_AUTHENTICATOR), None);
    assert_eq!(values(&emptied, USER_DEVICE, "devices"), [one.as_str()]);
    assert_eq!(client.get(&reference).status, 404);
    let freed = client.patch(&path, &removed(&format!("{USER_DEVICE}:devices"))).expect(200);
    assert_eq!(freed.get(USER_DEVICE), None);
    assert_eq!(found(&mut client, "/Device", "owner pr"), Vec::<String>::new());

    let actions = bridge.audit();
    let count = |action: &str| actions.iter().filter(|one| *one == action).count();
    assert_eq!(count("device.assign"), 3);
    assert_eq!(count("device.unassign"), 3);
    assert_eq!((count("authenticator.create"), count("authenticator.delete")), (2, 2));
    assert_eq!((count("user.create"), count("user.replace"), count("user.modify")), (1, 2, 3));
}

#[test]
fn what_is_refused_changes_nothing_and_tells_nothing_of_others() {
    let bridge =
        TestBridge::start(&policies(Settings::local().token("users", "users-only", &["users:*"])));
    let mut client = bridge.client();
    let one = device(&mut client, &json!({ "type": "T", "externalId": "s1" }));
    let free = device(&mut client, &json!({ "type": "T" }));
    let secret = json!({ "userName": "secret.person",
        (USER_DEVICE): { "devices": [{ "value": one }] } });
    let other = id(&client.post("/Users", &secret).expect(201));
    let ann = user(&mut client, "ann");
    let path = format!("/Users/{ann}");
    let give = |device: &str| {
        json!({ "Operations": [{ "op": "add", "path": "nickName", "value": "n" },
            { "op": "add", "path": format!("{USER_DEVICE}:devices"), "value": [{ "value": device }] }] })
    };
    let refused = client.patch(&path, &give(&one)).expect(409);
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains(&one), "{detail}");
    assert!(!detail.contains(&other) && !detail.contains("secret.person"), "{detail}");
    assert_eq!(client.patch(&path, &give("nothing")).expect(400)["scimType"], "invalidValue");
    assert_eq!(client.patch(&path, &give(&ann)).expect(400)["scimType"], "invalidValue");
    for asked in [json!({ "display": "AT_NONE" }), json!({ "value": "10001.AT_NONE" })] {
        let path_of = format!("{USER_AUTHENTICATOR}:authenticators");
        let refused = client.patch(&path, &replaced(&path_of, &json!([asked]))).expect(400);
        assert_eq!(refused["scimType"], "invalidValue", "{refused}");
        assert!(refused["detail"].as_str().unwrap().contains("AT_NONE"), "{refused}");
    }
    let shown = client.get(&path).expect(200);
    assert_eq!((shown.get("nickName"), shown.get(USER_DEVICE)), (None, None));

    // Users are written without a right to devices, as long as nothing is given or taken.
    let mut users = bridge.client_as("users-only");
    let detail = users.patch(&path, &give(&free)).expect(403)["detail"].clone();
    assert!(detail.as_str().unwrap().contains("devices:write"), "{detail}");
    let theirs = format!("/Users/{other}");
    let mut body = users.get(&theirs).expect(200);
    body["nickName"] = "same devices".into();
    assert_eq!(users.put(&theirs, &body).expect(200)["nickName"], "same devices");
    body[USER_DEVICE] = json!({ "devices": [] });
    assert_eq!(users.put(&theirs, &body).status, 403);
    assert_eq!(users.delete(&theirs).status, 204);
    assert_eq!(client.get(&format!("/Device/{one}")).expect(200).get("owner"), None);
}

#[test]
fn a_first_write_binds_with_what_it_gives() {
    let bridge = TestBridge::start(&policies(Settings::over(Slapd::shared())));
    let mut client = bridge.client();
    let long = format!("corp.{}", company::person(73).entry_uuid);
    let one = device(&mut client, &json!({ "type": "T" }));
    let give = json!({ "Operations": [{ "op": "add", "path": format!("{USER_DEVICE}:devices"),
        "value": [{ "value": one }] }] });
    let bound = client.patch(&format!("/Users/{long}"), &give).expect(200);
    assert_eq!(bound["userType"], "FTRESS_LDAP");
    assert_eq!(values(&bound, USER_DEVICE, "devices"), [one.as_str()]);
    let list = client.query(
        "/Users",
        &[("filter", "userType eq \"FTRESS_LDAP\""), ("searchRepositories", "true")],
    );
    assert_eq!(values(&list.expect(200)["Resources"][0], USER_DEVICE, "devices"), [one.as_str()]);

    let person = company::person(74);
    let post = json!({ "externalId": person.uid, "userName": person.uid,
        "userRepositoryId": "corp", (USER_AUTHENTICATOR): {
            "authenticators": [{ "display": "AT_EMPPWD" }] } });
    let bound = client.post("/Users", &post).expect(201);
    let expected = format!("corp.{}.AT_EMPPWD", person.entry_uuid);
    assert_eq!(values(&bound, USER_AUTHENTICATOR, "authenticators"), [expected]);
}

#[test]
fn lists_show_them_and_leave_them_out() {
    let bridge = TestBridge::start(&policies(Settings::local()));
    let mut client = bridge.client();
    for n in 0..3 {
        let body = json!({ "userName": format!("u{n}"), (USER_AUTHENTICATOR): {
            "authenticators": [{ "display": "AT_EMPPWD" }] } });
        client.post("/Users", &body).expect(201);
    }
    let all = client.get("/Users").expect(200);
    for user in all["Resources"].as_array().unwrap() {
        assert_eq!(values(user, USER_AUTHENTICATOR, "authenticators").len(), 1);
        let read = client.get(&format!("/Users/{}", id(user))).expect(200);
        assert_eq!(read, *user);
    }
    let body = json!({ "excludedAttributes": [USER_AUTHENTICATOR, USER_DEVICE] });
    let bare = client.post("/Users/.search", &body).expect(200);
    for user in bare["Resources"].as_array().unwrap() {
        assert_eq!(user.get(USER_AUTHENTICATOR), None);
        assert!(!user["schemas"].as_array().unwrap().contains(&USER_AUTHENTICATOR.into()));
    }
    let filter = format!("{USER_AUTHENTICATOR}:authenticators.display eq \"AT_EMPPWD\"");
    let parameters = [("filter", filter.as_str()), ("attributes", "userName")];
    assert_eq!(client.query("/Users", &parameters).expect(200)["totalResults"], 3);
    let walked = client.get("/Users?cursor=&count=2").expect(200);
    let first = &walked["Resources"][0];
    assert_eq!(values(first, USER_AUTHENTICATOR, "authenticators").len(), 1);
}

#[test]
fn of_many_who_claim_a_device_one_gets_it() {
    const MANY: usize = 6;
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let one = device(&mut client, &json!({ "type": "T" }));
    let users: Vec<String> = (0..MANY).map(|n| user(&mut client, &format!("u{n}"))).collect();
    let barrier = Barrier::new(MANY);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let claim = |user: &String| {
            let (mut client, path, one) = (bridge.client(), format!("/Users/{user}"), one.clone());
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                let path_of = format!("{USER_DEVICE}:devices");
                client.patch(&path, &replaced(&path_of, &json!([{ "value": one }]))).status
            })
        };
        let claims: Vec<_> = users.iter().map(claim).collect();
        claims.into_iter().map(|claim| claim.join().unwrap()).collect()
    });
    let got = statuses.iter().filter(|status| **status == 200).count();
    let refused = statuses.iter().filter(|status| **status == 409).count();
    assert_eq!((got, refused), (1, MANY - 1), "{statuses:?}");
    let owner = client.get(&format!("/Device/{one}")).expect(200)["owner"]["value"].clone();
    for user in users {
        let shown = client.get(&format!("/Users/{user}")).expect(200);
        assert_eq!(shown.get(USER_DEVICE).is_some(), owner == user.as_str());
    }
}
