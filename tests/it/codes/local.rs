//! Codes of users of whom all is ours.

use serde_json::{Value, json};

use super::{CODES, RFC, activid, code, codes, found, operation, path};
use crate::support::bridge::{Settings, TestBridge};

/// The body of the documents' own example.
fn jdoe() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:hid:scim:api:idp:2.0:Attribute", "urn:hid:scim:api:idp:2.0:UserDevice"],
        "externalId": "jdoe",
        "name": { "familyName": "Doe", "givenName": "John" },
        "emails": [{ "value": "jdoe@company.com" }],
        (CODES): codes(&[("DOB", "1980-08-01")]),
    })
}

#[test]
fn what_is_mirrored_is_kept_once() {
    let bridge = TestBridge::start(&activid(Settings::local()));
    let mut client = bridge.client();
    let made = client.post("/Users", &jdoe()).expect(200);
    for (name, kind, value) in [
        ("ATR_EMAIL", "string", "jdoe@company.com"),
        ("LASTNAME", "string", "Doe"),
        ("FIRSTNAME", "string", "John"),
        ("DOB", "date", "1980-08-01"),
    ] {
        let expected = json!({ "name": name, "type": kind, "value": value, "readOnly": false });
        assert_eq!(code(&made, name), expected);
    }
    assert_eq!((&made["userName"], &made["displayName"]), (&json!("jdoe"), &json!("John Doe")));
    let user = path(&made);

    // By the code it is written, by the core attribute it is read, and the other way round.
    let set = |name: &str, value: &str| {
        operation("replace", &format!("{CODES}:attributes[name eq \"{name}\"].value"), value)
    };
    let after = client.patch(&user, &set("FIRSTNAME", "Jane")).expect(200);
    assert_eq!(after["name"]["givenName"], "Jane");
    assert_eq!(after["displayName"], "Jane Doe");
    let after = client.patch(&user, &operation("replace", "name.familyName", "Roe")).expect(200);
    assert_eq!(code(&after, "LASTNAME")["value"], "Roe");
    let refused = client.patch(&user, &set("DOB", "yesterday")).expect(400);
    assert_eq!(refused["scimType"], "invalidValue");
    assert!(refused["detail"].as_str().unwrap().contains("\"DOB\""), "{refused}");

    // The other dialect shows what mirrors nothing, and the rest where it is asked.
    let mut rfc = bridge.client_as(RFC);
    let plain = rfc.get(&user).expect(200);
    assert_eq!(plain[CODES]["attributes"].as_array().unwrap().len(), 1);
    assert_eq!((&plain["userName"], plain.get("displayName")), (&json!("jdoe"), None));
    let asked = rfc.query(&user, &[("attributes", CODES)]).expect(200);
    assert_eq!(asked[CODES]["attributes"].as_array().unwrap().len(), 4, "{asked}");
    assert_eq!(code(&asked, "FIRSTNAME")["value"], "Jane");
    // What it reads it can write, and nothing is lost.
    assert_eq!(rfc.put(&user, &plain).expect(200)["meta"]["version"], plain["meta"]["version"]);
}

#[test]
fn every_door_takes_codes() {
    let bridge = TestBridge::start(&activid(Settings::local()));
    let mut client = bridge.client();
    let mut body = jdoe();
    body[CODES] = codes(&[
        ("DOB", "1980-08-01"),
        ("ATR_MOBILE", "+1 555"),
        ("TITLE", "Dr."),
        ("ADDRESS1", "1 Main St"),
        ("ADDRESS2", "2 Main St"),
    ]);
    let made = client.post("/Users", &body).expect(200);
    assert_eq!(made["phoneNumbers"], json!([{ "value": "+1 555" }]));
    assert_eq!(made["title"], "Dr.");
    assert_eq!(
        made["addresses"],
        json!([{ "formatted": "1 Main St" }, { "formatted": "2 Main St" }])
    );
    let user = path(&made);
    let list = format!("{CODES}:attributes");

    // PATCH: added, replaced and removed one by one, and without a path under another spelling.
    let cars = json!([{ "name": "CARS", "value": ["a", "b"] }, { "name": "NR", "value": 7 }]);
    let after = client.patch(&user, &operation("add", &list, cars)).expect(200);
    assert_eq!(
        code(&after, "CARS"),
        json!({ "name": "CARS", "type": "string",
        "value": ["a", "b"], "readOnly": false, "multiValued": true })
    );
    assert_eq!(code(&after, "NR")["value"], "7");
    let one =
        client.patch(&user, &operation("replace", &format!("{list}[name eq \"CARS\"].value"), "c"));
    assert_eq!(one.expect(400)["scimType"], "invalidValue", "it holds a list");
    let twice =
        client.patch(&user, &operation("add", &list, json!([{ "name": "nr", "value": "8" }])));
    assert!(twice.expect(400)["detail"].as_str().unwrap().contains("given twice"));
    let gone = json!({ "Operations": [{ "op": "remove", "path": format!("{list}[name eq \"NR\"]") },
        { "op": "remove", "path": format!("{list}[name eq \"ADDRESS1\"]") }] });
    let after = client.patch(&user, &gone).expect(200);
    assert_eq!(code(&after, "NR"), Value::Null);
    assert_eq!(after["addresses"], json!([{ "formatted": "2 Main St" }]));
    let short = json!({ "Operations": [{ "op": "add", "value": {
        "urn:hid:scim:api:idp:UserAttribute": codes(&[("SHOE", "39")]) } }] });
    assert_eq!(code(&client.patch(&user, &short).expect(200), "SHOE")["value"], "39");

    // PUT: what is shown can be given back; of two that differ the new one counts.
    let mut shown = client.get(&user).expect(200);
    let version = shown["meta"]["version"].clone();
    shown["groups"] = json!([]);
    assert_eq!(client.put(&user, &shown).expect(200)["meta"]["version"], version);
    for element in shown[CODES]["attributes"].as_array_mut().unwrap() {
        if element["name"] == "TITLE" {
            element["value"] = "Prof.".into();
        }
    }
    assert_eq!(client.put(&user, &shown).expect(200)["title"], "Prof.");
    shown["title"] = "Mx.".into();
    let refused = client.put(&user, &shown);
    assert_eq!(refused.expect(200)["title"], "Mx.", "the code says what is there");
    for element in shown[CODES]["attributes"].as_array_mut().unwrap() {
        if element["name"] == "TITLE" {
            element["value"] = "Sir".into();
        }
    }
    shown["title"] = "Dame".into();
    let refused = client.put(&user, &shown).expect(400);
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("TITLE") && detail.contains("title"), "{detail}");

    // Bulk.
    let bulk = json!({ "schemas": [super::BULK], "Operations": [
        { "method": "PATCH", "path": user,
          "data": operation("replace", &format!("{list}[name eq \"LASTNAME\"].value"), "Bulk") },
        { "method": "POST", "path": "/Users", "bulkId": "a", "data": {
            "externalId": "other", (CODES): codes(&[("FIRSTNAME", "Ann"), ("FIRSTNAME", "Eve")]) } },
    ] });
    let done = client.post("/Bulk", &bulk).expect(200);
    assert_eq!(done["Operations"][0]["status"], "200", "{done}");
    assert_eq!(done["Operations"][1]["status"], "400", "{done}");
    assert_eq!(client.get(&user).expect(200)["name"]["familyName"], "Bulk");
}

#[test]
fn sections_that_a_put_leaves_out_stand() {
    let bridge = TestBridge::start(&activid(Settings::local()));
    let mut client = bridge.client();
    let made = client.post("/Users", &jdoe()).expect(200);
    let user = path(&made);
    let body = json!({ "externalId": "jdoe", "groups": [] });
    let after = client.put(&user, &body).expect(200);
    assert_eq!(after[CODES], made[CODES]);
    let mut given = body.clone();
    given[CODES] = codes(&[("FIRSTNAME", "Jane")]);
    let after = client.put(&user, &given).expect(200);
    assert_eq!(after[CODES]["attributes"].as_array().unwrap().len(), 1, "{after}");
    let after = client.put(&user, &json!({ "externalId": "jdoe", "groups": [], (CODES): {} }));
    assert_eq!(after.expect(200)[CODES], json!({ "attributes": [] }));
    // The other dialect replaces the whole.
    let mut rfc = bridge.client_as(RFC);
    client.put(&user, &given).expect(200);
    let after = rfc.put(&user, &json!({ "userName": "jdoe", "externalId": "jdoe" })).expect(200);
    assert_eq!((after.get("name"), after.get(CODES)), (None, None));
}

#[test]
fn filters_find_by_code() {
    let bridge = TestBridge::start(&activid(Settings::local()));
    let mut client = bridge.client();
    for (name, given, born) in
        [("ann", "Ann", "1980-08-01"), ("eve", "Eve", "1980-08-01"), ("ian", "Ian", "1990-01-01")]
    {
        let body = json!({ "externalId": name, "name": { "givenName": given, "familyName": "Lee" },
            (CODES): codes(&[("DOB", born), ("TITLE", given)]) });
        client.post("/Users", &body).expect(200);
    }
    let mut rfc = bridge.client_as(RFC);
    let prefix = format!("{CODES}:attributes");
    for (filter, names) in [
        (format!("{prefix}[name eq \"DOB\" and value eq \"1980-08-01\"]"), vec!["ann", "eve"]),
        (format!("{prefix}[name eq \"DOB\" and value sw \"1990\"]"), vec!["ian"]),
        (format!("{prefix}[name eq \"FIRSTNAME\" and value eq \"ann\"]"), vec!["ann"]),
        (format!("{prefix}[name eq \"TITLE\" and value co \"v\"]"), vec!["eve"]),
        (format!("{prefix}[name eq \"DOB\" and value eq \"ann\"]"), vec![]),
        (format!("{prefix}.value eq \"Eve\""), vec!["eve"]),
        (format!("not ({prefix}[name eq \"FIRSTNAME\" and value eq \"ann\"])"), vec!["eve", "ian"]),
        (format!("{prefix}[name eq \"ATR_EMAIL\"]"), vec![]),
    ] {
        for client in [&mut client, &mut rfc] {
            assert_eq!(found(client, &filter, false), names, "{filter}");
            assert_eq!(found(client, &filter, true), names, "{filter}");
        }
    }
}
