//! Schemas from the configuration: an extension of users acts as it is described.

use serde_json::{Value, json};

use crate::support::bridge::{Settings, TestBridge, run};
use crate::support::company;
use crate::support::slapd::Slapd;

const BADGE: &str = "urn:example:2.0:Badge";

fn badge() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": BADGE,
        "name": "Badge",
        "description": "What opens doors.",
        "attributes": [
            { "name": "number", "type": "string", "required": true, "caseExact": true,
              "mutability": "immutable" },
            { "name": "color", "type": "string", "canonicalValues": ["red", "green"] },
            { "name": "room", "type": "string" },
            { "name": "pin", "type": "string", "mutability": "writeOnly", "returned": "never" },
            { "name": "note", "type": "string", "returned": "request" },
            { "name": "since", "type": "dateTime" },
            { "name": "level", "type": "integer" },
        ],
    })
}

fn with(settings: Settings, documents: &Value) -> Settings {
    settings.tenant("schemas = [\"badge.json\"]").file("badge.json", &documents.to_string())
}

fn replace(path: &str, value: &Value) -> Value {
    let path = format!("{BADGE}:{path}");
    json!({ "Operations": [{ "op": "replace", "path": path, "value": value }] })
}

#[test]
fn an_extension_of_users_acts_as_its_schema_says() {
    let bridge = TestBridge::start(&with(Settings::local(), &badge()));
    let mut client = bridge.client();
    let printed = client.get(&format!("/Schemas/{BADGE}")).expect(200);
    assert_eq!(printed["attributes"].as_array().unwrap().len(), 7);
    assert_eq!(printed["attributes"][0]["mutability"], "immutable");
    let user = client.get("/ResourceTypes/User").expect(200);
    let extensions = user["schemaExtensions"].as_array().unwrap();
    assert!(extensions.iter().any(|one| one["schema"] == BADGE && one["required"] == false));

    let body = json!({ "userName": "anna", (BADGE): { "number": "A7", "color": "RED",
        "pin": "1234", "note": "n", "since": "2026-01-31T08:30:00+01:00", "level": 3 } });
    let made = client.post("/Users", &body).expect(201);
    let shown = json!({ "number": "A7", "color": "red", "since": "2026-01-31T08:30:00+01:00",
        "level": 3 });
    assert_eq!(made[BADGE], shown);
    assert!(made["schemas"].as_array().unwrap().contains(&BADGE.into()));
    let path = format!("/Users/{}", made["id"].as_str().unwrap());
    let note = client.get(&format!("{path}?attributes={BADGE}:note")).expect(200);
    assert_eq!(note[BADGE], json!({ "note": "n" }));

    // Immutable: the same is accepted, another one is not, and a PUT need not repeat it.
    client.patch(&path, &replace("number", &"A7".into())).expect(200);
    assert_eq!(
        client.patch(&path, &replace("number", &"a7".into())).expect(400)["scimType"],
        "mutability"
    );
    let put = |number: Option<&str>| {
        let mut body = json!({ "userName": "anna", (BADGE): { "room": "5" } });
        if let Some(number) = number {
            body[BADGE]["number"] = number.into();
        }
        body
    };
    assert_eq!(client.put(&path, &put(Some("A8"))).expect(400)["scimType"], "mutability");
    let kept = client.put(&path, &put(None)).expect(200);
    assert_eq!(kept[BADGE], json!({ "room": "5", "number": "A7" }));
    let version = kept["meta"]["version"].clone();
    let again = client.put(&path, &put(Some("A7"))).expect(200);
    assert_eq!(again["meta"]["version"], version, "nothing changed");

    for (attribute, value) in
        [("color", json!("blue")), ("since", json!("yesterday")), ("level", json!("three"))]
    {
        let refused = client.patch(&path, &replace(attribute, &value)).expect(400);
        assert_eq!(refused["scimType"], "invalidValue", "{attribute}");
    }
    for (filter, found) in [
        (format!("{BADGE}:number eq \"A7\""), 1),
        (format!("{BADGE}:number eq \"a7\""), 0),
        (format!("{BADGE}:room eq \"5\" and userName eq \"anna\""), 1),
        (format!("{BADGE}:level gt 2"), 0),
        (format!("schemas eq \"{BADGE}\""), 1),
    ] {
        let list = client.query("/Users", &[("filter", &filter)]).expect(200);
        assert_eq!(list["totalResults"], found, "{filter}");
    }
    let pin = format!("{BADGE}:pin eq \"1234\"");
    assert_eq!(
        client.query("/Users", &[("filter", &pin)]).expect(400)["scimType"],
        "invalidFilter"
    );
    let without = client
        .post("/Users", &json!({ "userName": "bert", (BADGE): { "color": "red" } }))
        .expect(400);
    assert!(without["detail"].as_str().unwrap().starts_with(&format!("{BADGE}:number")));
}

#[test]
fn a_required_extension_is_demanded_and_may_come_from_a_directory() {
    let documents = json!([badge(), { "name": "User", "endpoint": "/Users", "schemaExtensions": [
        { "schema": BADGE, "required": true } ] }]);
    let settings = with(Settings::over(Slapd::shared()), &documents).with(&format!(
        "[tenant.repository.attributes]\n\"{BADGE}:number\" = {{ attribute = \"employeeNumber\" }}"
    ));
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let refused = client.post("/Users", &json!({ "userName": "anna" })).expect(400);
    assert!(refused["detail"].as_str().unwrap().contains(&format!("{BADGE}:number is required")));
    client.post("/Users", &json!({ "userName": "anna", (BADGE): { "number": "1" } })).expect(201);

    let person = company::person(61);
    let path = format!("/Users/corp.{}", person.entry_uuid);
    let filter = format!("{BADGE}:number eq \"{}\"", person.employee_number);
    let parameters = [("filter", filter.as_str()), ("searchRepositories", "true")];
    assert_eq!(client.query("/Users", &parameters).expect(200)["totalResults"], 1);
    let bound = client.patch(&path, &replace("room", &"5".into())).expect(200);
    assert_eq!(bound[BADGE], json!({ "number": person.employee_number, "room": "5" }));
    let refused = client.patch(&path, &replace("number", &"other".into())).expect(400);
    assert_eq!(refused["scimType"], "mutability");
    let mut body = bound.clone();
    body["nickName"] = "Sixty-one".into();
    client.put(&path, &body).expect(200);
    body[BADGE]["number"] = "other".into();
    assert_eq!(client.put(&path, &body).expect(400)["scimType"], "mutability");
}

#[test]
fn a_type_of_its_own_lives_at_its_endpoint() {
    let mut schema = badge();
    schema["attributes"][0]["uniqueness"] = "server".into();
    let kind = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "name": "Badge", "endpoint": "/Badges", "description": "Cards.", "schema": BADGE,
    });
    let settings = with(Settings::local(), &json!([schema, kind])).token(
        "reader",
        "reader-token",
        &["groups:read", "users:*"],
    );
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let printed = client.get("/ResourceTypes/badge").expect(200);
    assert_eq!((&printed["endpoint"], &printed["schema"]), (&json!("/Badges"), &json!(BADGE)));
    let body = json!({ "number": "A7", "color": "Green", "pin": "1", "room": "5", "level": 3 });
    let made = client.post("/Badges", &body).expect(201);
    assert_eq!(made["schemas"], json!([BADGE]));
    assert_eq!(
        (&made["number"], &made["color"], made.get("pin")),
        (&json!("A7"), &json!("green"), None)
    );
    assert_eq!(made["meta"]["resourceType"], "Badge");
    let path = format!("/badges/{}", made["id"].as_str().unwrap());
    assert!(made["meta"]["location"].as_str().unwrap().ends_with(&path.replace("/b", "/B")));
    assert_eq!(client.get(&path).expect(200), made);
    assert_eq!(client.post("/Badges", &body).expect(409)["scimType"], "uniqueness");
    client.post("/Badges", &json!({ "number": "a7" })).expect(201);
    for (filter, found) in [
        ("number eq \"A7\"", 1),
        ("color eq \"GREEN\" and level gt 2", 1),
        (&format!("{BADGE}:room eq \"5\""), 1),
        ("number sw \"b\"", 0),
        ("meta.resourceType eq \"Badge\"", 2),
    ] {
        let list = client.query("/Badges", &[("filter", filter)]).expect(200);
        assert_eq!(list["totalResults"], found, "{filter}");
    }
    let patch = |path: &str, value: &str| json!({ "Operations": [{ "op": "replace", "path": path, "value": value }] });
    assert_eq!(client.patch(&path, &patch("room", "6")).expect(200)["room"], "6");
    assert_eq!(client.patch(&path, &patch("number", "B8")).expect(400)["scimType"], "mutability");
    let kept = client.put(&path, &json!({ "color": "red" })).expect(200);
    assert_eq!(
        (&kept["number"], &kept["color"], kept.get("room")),
        (&json!("A7"), &json!("red"), None)
    );

    let mut reader = bridge.client_as("reader-token");
    assert_eq!(reader.get(&path).expect(200)["number"], "A7");
    assert_eq!(reader.delete(&path).status, 403);
    assert_eq!(client.get(&path.replace("/badges", "/Users")).status, 404);
    assert_eq!(client.delete(&path).status, 204);
    assert_eq!(client.get(&path).status, 404);
}

#[test]
fn a_wrong_schema_file_is_named_with_its_place_and_a_remedy() {
    let refusal = |documents: &Value| {
        let directory = with(Settings::local(), documents).write();
        let output = run(&directory, &["serve", "--config", "scimbridge.toml"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let mut wrong = badge();
    wrong["attributes"][1]["type"] = "text".into();
    let text = refusal(&wrong);
    for part in [
        "scimbridge.toml:",
        "schemas = [\"badge.json\"]",
        "badge.json: attributes[1].type: \"text\" is no such word",
        "write one of string, boolean",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let kind = json!({ "name": "Badge", "endpoint": "/Users", "schema": BADGE });
    let text = refusal(&json!([badge(), kind]));
    assert!(text.contains("badge.json: [1].endpoint: /Users is there already"), "{text}");
    let settings = Settings::local().tenant("schemas = [\"nothing.json\"]");
    let output = run(&settings.write(), &["check", "--config", "scimbridge.toml"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("nothing.json cannot be read"), "{text}");
}
