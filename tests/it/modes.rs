//! What clients send, and how each is understood by the mode of its token.

use serde_json::{Value, json};

use crate::support::bridge::{Settings, TestBridge};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

fn bridge() -> TestBridge {
    let mut settings = Settings::local();
    for mode in ["rfc", "entra", "okta", "strict"] {
        settings = settings
            .token(mode, &format!("{mode}-token"), &["*"])
            .token_line(&format!("client = {mode:?}"));
    }
    TestBridge::start(&settings)
}

fn patch(operations: &Value) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations })
}

#[test]
fn where_clients_contradict_each_other_the_mode_decides() {
    let bridge = bridge();
    let absent = json!([{ "op": "Replace", "path": "emails[type eq \"work\"].value",
        "value": "a@example.com" }]);
    let pathless = json!([{ "op": "replace", "value": { "active": false } }]);
    let name = json!([{ "op": "replace", "path": "name", "value": { "givenName": "B" } }]);
    let unknown = json!([{ "op": "add", "path": "shoeSize", "value": 39 }]);
    // Statuses of: an unmatched value path, no path, a name, an unknown attribute; and the family
    // name after the third.
    for (mode, statuses, family) in [
        ("rfc", [400, 200, 200, 200], json!("Jensen")),
        ("entra", [200, 200, 200, 200], json!("Jensen")),
        ("okta", [400, 200, 200, 200], json!("Jensen")),
        ("strict", [400, 400, 200, 400], Value::Null),
    ] {
        let mut client = bridge.client_as(&format!("{mode}-token"));
        let body =
            json!({ "userName": mode, "name": { "givenName": "A", "familyName": "Jensen" } });
        let made = client.post("/Users", &body).expect(201);
        let path = format!("/Users/{}", made["id"].as_str().unwrap());
        let operations = [&absent, &pathless, &name, &unknown];
        for (operations, status) in operations.into_iter().zip(statuses) {
            let answer = client.patch(&path, &patch(operations));
            assert_eq!(answer.status, status, "{mode}: {operations} {}", answer.text());
            if operations == &name {
                assert_eq!(answer.expect(200)["name"]["familyName"], family, "{mode}");
            }
        }
        let mails = client.get(&path).expect(200)["emails"].clone();
        let created = json!([{ "type": "work", "value": "a@example.com" }]);
        assert_eq!(mails, if mode == "entra" { created } else { Value::Null }, "{mode}");

        let odd = json!({ "userName": mode, "shoeSize": 39, "name": { "shoe": 1 } });
        let answer = client.put(&path, &odd);
        assert_eq!(answer.status, if mode == "strict" { 400 } else { 200 }, "{mode}");
        if mode == "strict" {
            assert_eq!(answer.expect(400)["scimType"], "invalidSyntax");
            let odd = json!({ "userName": "odd", (ENTERPRISE): { "desk": 1 } });
            let refused = client.post("/Users", &odd).expect(400);
            assert!(refused["detail"].as_str().unwrap().contains(":desk"), "{refused}");
        }
    }
}

/// RFC 7644 section 3.4.2.2 has a filter treat an unknown attribute as one without a value; so it
/// is for a strict client, too.
#[test]
fn filters_know_no_modes() {
    let bridge = bridge();
    for mode in ["rfc", "strict"] {
        let mut client = bridge.client_as(&format!("{mode}-token"));
        let list = client.query("/Users", &[("filter", "shoeSize eq 39")]).expect(200);
        assert_eq!(list["totalResults"], 0, "{mode}");
    }
}

#[test]
fn what_harms_nobody_is_understood_without_any_mode() {
    let bridge = bridge();
    let mut client = bridge.client();
    let body = json!({
        "schemas": ["urn:scim:schemas:core:2.0", "urn:nobody:knows"],
        "USERNAME": "anna", "active": "True", "nickName": null, "groups": [], "password": "p",
        "urn:nobody:knows": { "a": 1 },
    });
    let made = client.post("/Users", &body).expect(201);
    assert_eq!((&made["active"], made.get("nickName")), (&json!(true), None));
    let path = format!("/Users/{}", made["id"].as_str().unwrap());
    for (operation, member, value) in [
        (json!({ "op": "Replace", "path": "Active", "value": "False" }), "active", json!(false)),
        (json!({ "op": "ADD", "path": "title", "value": "T" }), "title", json!("T")),
        (
            json!({ "op": "rePLACE", "value": { "name.givenName": "A" } }),
            "name",
            json!({ "givenName": "A" }),
        ),
        (
            json!({ "op": "add", "value": { (format!("{ENTERPRISE}:department")): "D" } }),
            ENTERPRISE,
            json!({ "department": "D" }),
        ),
        (
            json!({ "op": "replace", "path": format!("{ENTERPRISE}:manager"), "value": "26" }),
            ENTERPRISE,
            json!({ "department": "D", "manager": { "value": "26" } }),
        ),
        (
            json!({ "op": "replace", "path": format!("{ENTERPRISE}:manager"),
            "value": { "value": "" } }),
            ENTERPRISE,
            json!({ "department": "D" }),
        ),
        (json!({ "op": "replace", "path": "title", "value": null }), "title", Value::Null),
        (
            json!({ "op": "add", "path": "emails[type eq \"work\"].value", "value": "a@b.c" }),
            "emails",
            json!([{ "type": "work", "value": "a@b.c" }]),
        ),
    ] {
        let shown = client.patch(&path, &json!({ "Operations": [operation] })).expect(200);
        assert_eq!(shown[member], value, "{operation}");
    }
    let version = client.get(&path).expect(200)["meta"]["version"].clone();
    let nothing = client.patch(&path, &json!({ "Operations": [] })).expect(200);
    assert_eq!(nothing["meta"]["version"], version);
    for filter in [
        "active eq \"False\"",
        "active eq \"false\"",
        "userName eq anna",
        "USERNAME EQ \"ANNA\"",
        "emails[type eq \"work\"].value eq \"a@b.c\"",
        "emails[type eq \"work\" and value eq \"a@b.c\"]",
        "urn:ietf:params:scim:schemas:core:2.0:User:userName eq \"anna\"",
    ] {
        let list = client.query("/Users", &[("filter", filter), ("aadOptscim062020", "")]);
        assert_eq!(list.expect(200)["totalResults"], 1, "{filter}");
    }
    for raw in ["filter=userName+eq+%22anna%22&", "Filter=userName%20eq%20%22anna%22&STARTINDEX=0"]
    {
        assert_eq!(client.get(&format!("/Users?{raw}")).expect(200)["totalResults"], 1, "{raw}");
    }
    let refused = client.query("/Users", &[("filter", "active gt true")]).expect(400);
    assert_eq!(refused["scimType"], "invalidFilter");
}
