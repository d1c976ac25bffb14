//! What a dialect asks of the bodies of users: names, limits, what is required.

use serde_json::{Value, json};

use super::{RFC, activid, operation, path};
use crate::support::bridge::{Settings, TestBridge};

fn named(external_id: &str) -> Value {
    json!({ "externalId": external_id, "name": { "givenName": "Ann", "familyName": "Lee" } })
}

#[test]
fn the_api_version_says_who_names_users() {
    let bridge = TestBridge::start(&activid(Settings::local()));
    let mut client = bridge.client();
    let mut body = named("ann");
    body["userName"] = "ignored".into();
    body["displayName"] = "ignored".into();
    let made = client.post("/Users", &body).expect(200);
    assert_eq!((&made["userName"], &made["displayName"]), (&json!("ann"), &json!("Ann Lee")));
    let user = path(&made);
    let nameless = json!({ "name": { "givenName": "Ann" }, "userName": "x" });
    let refused = client.post("/Users?api-version=3", &nameless).expect(400);
    assert!(refused["detail"].as_str().unwrap().starts_with("externalId is required"), "{refused}");
    let refused = client.post("/Users", &json!({ "externalId": "x" })).expect(400);
    assert!(refused["detail"].as_str().unwrap().starts_with("name is required"), "{refused}");

    for (attribute, value) in [("userName", "other"), ("displayName", "other")] {
        let refused = client.patch(&user, &operation("replace", attribute, value)).expect(400);
        assert_eq!(refused["scimType"], "mutability", "{attribute}");
    }
    client.patch(&user, &operation("replace", "displayName", "Ann Lee")).expect(200);
    let moved = client.patch(&user, &operation("replace", "externalId", "anna")).expect(200);
    assert_eq!(moved["userName"], "anna");

    let from_four = client.post("/Users?api-version=4", &nameless).expect(200);
    assert_eq!((&from_four["userName"], from_four.get("externalId")), (&json!("x"), None));
    let four = format!("{}?api-version=4", path(&from_four));
    let renamed = client.patch(&four, &operation("replace", "userName", "y")).expect(200);
    assert_eq!(renamed["userName"], "y");
    let refused = client.post("/Users?api-version=4", &named("b")).expect(400);
    assert!(refused["detail"].as_str().unwrap().starts_with("userName is required"), "{refused}");

    // Written in one dialect, a user reads right in the other.
    let mut rfc = bridge.client_as(RFC);
    let babs = json!({ "userName": "bjensen", "externalId": "701984", "displayName": "Babs",
        "name": { "givenName": "Barbara", "familyName": "Jensen" } });
    let made = rfc.post("/Users", &babs).expect(201);
    let shown = client.get(&path(&made)).expect(200);
    assert_eq!(
        (&shown["userName"], &shown["displayName"]),
        (&json!("bjensen"), &json!("Barbara Jensen"))
    );
    let mut body = shown.clone();
    body["groups"] = json!([]);
    body["title"] = "Dr.".into();
    let after = client.put(&path(&made), &body).expect(200);
    assert_eq!((&after["userName"], &after["title"]), (&json!("bjensen"), &json!("Dr.")));
    let read = rfc.get(&path(&made)).expect(200);
    assert_eq!((&read["displayName"], &read["title"]), (&json!("Babs"), &json!("Dr.")));
    for (filter, of_activid, of_rfc) in [
        ("displayName eq \"barbara jensen\"", 1, 0),
        ("displayName sw \"barb\" and displayName ew \"a jensen\"", 1, 0),
        ("displayName eq \"Babs\"", 0, 1),
        ("displayName co \"n l\"", 1, 0),
    ] {
        assert_eq!(super::found(&mut client, filter, false).len(), of_activid, "{filter}");
        assert_eq!(super::found(&mut rfc, filter, false).len(), of_rfc, "{filter}");
    }
    let pattern = super::found(&mut client, "displayname eq barb*j*n", true);
    assert_eq!(pattern, ["bjensen"]);
}

#[test]
fn no_more_values_than_there_may_be() {
    let settings = activid(Settings::local()).tenant("limits = { photos = 1, addresses = 2 }");
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let emails = |count: usize| -> Value {
        (0..count).map(|n| json!({ "value": format!("{n}@example.com") })).collect()
    };
    let mut body = named("ann");
    body["groups"] = json!([]);
    body["emails"] = emails(2);
    let limit = |answer: &Value, text: &str| {
        assert_eq!(answer["scimType"], "invalidValue", "{answer}");
        assert!(answer["detail"].as_str().unwrap().contains(text), "{answer}");
    };
    limit(&client.post("/Users", &body).expect(400), "emails has 2 values: the limit is 1");
    body["emails"] = emails(1);
    let made = client.post("/Users", &body).expect(200);
    let user = path(&made);
    body["emails"] = emails(2);
    limit(&client.put(&user, &body).expect(400), "limits.emails");
    let more = operation("add", "emails", json!([{ "value": "more@example.com" }]));
    limit(&client.patch(&user, &more).expect(400), "limits.emails");
    let bulk = json!({ "schemas": [super::BULK], "Operations": [{ "method": "PATCH", "path": user, "data": more }] });
    let done = client.post("/Bulk", &bulk).expect(200);
    limit(&done["Operations"][0]["response"], "limits.emails");
    let three: Vec<Value> =
        (0..3).map(|n| json!({ "formatted": format!("{n} Main St") })).collect();
    let places = operation("add", "addresses", three);
    limit(&client.patch(&user, &places).expect(400), "addresses has 3 values: the limit is 2");

    // A token of the other dialect has the tenant's limits alone, and what it wrote may stay.
    let mut rfc = bridge.client_as(RFC);
    limit(&rfc.patch(&user, &places).expect(400), "limits.addresses");
    rfc.patch(&user, &more).expect(200);
    let shown = client.get(&user).expect(200);
    assert_eq!(shown["emails"].as_array().unwrap().len(), 2);
    client.patch(&user, &operation("replace", "title", "Dr.")).expect(200);
    let mut back = client.get(&user).expect(200);
    back["groups"] = json!([]);
    assert_eq!(client.put(&user, &back).expect(200)["emails"], shown["emails"]);
}

#[test]
fn a_put_names_the_groups() {
    let bridge = TestBridge::start(&activid(Settings::local()));
    let mut client = bridge.client();
    let made = client.post("/Users", &named("ann")).expect(200);
    let refused = client.put(&path(&made), &named("ann")).expect(400);
    assert!(refused["detail"].as_str().unwrap().starts_with("groups is required"), "{refused}");
    client.patch(&path(&made), &operation("replace", "title", "Dr.")).expect(200);
    bridge.client_as(RFC).put(&path(&made), &json!({ "userName": "ann" })).expect(200);
}

#[test]
fn a_tenant_requires_more() {
    let settings = activid(Settings::local()).tenant("required = [\"emails\"]");
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let refused = client.post("/Users", &named("ann")).expect(400);
    assert!(refused["detail"].as_str().unwrap().starts_with("emails is required"), "{refused}");
    let refused = bridge.client_as(RFC).post("/Users", &json!({ "userName": "ann" })).expect(400);
    assert_eq!(refused["scimType"], "invalidValue");
    let mut body = named("ann");
    body["emails"] = json!([{ "value": "ann@example.com" }]);
    let made = client.post("/Users", &body).expect(200);
    let gone = json!({ "Operations": [{ "op": "remove", "path": "emails" }] });
    client.patch(&path(&made), &gone).expect(200);
}
