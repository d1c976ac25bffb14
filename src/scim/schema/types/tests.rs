//! Configured schemas and resource types: what they mean, and what is said where they are wrong.

use serde_json::{Value, json};

use super::*;
use crate::scim::error::ErrorKind;
use crate::scim::schema::check::Purpose;
use crate::scim::schema::standard::{ENTERPRISE, GROUP, SOURCE, USER};

const BADGE: &str = "urn:example:2.0:Badge";

fn badge() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": BADGE,
        "name": "Badge",
        "attributes": [
            { "name": "label", "type": "string" },
            { "name": "number", "type": "string", "required": true, "uniqueness": "server",
              "mutability": "immutable" },
            { "name": "color", "type": "string", "canonicalValues": ["Red", "Green"] },
            { "name": "serial", "type": "integer", "uniqueness": "global" },
            { "name": "pin", "type": "string", "mutability": "writeOnly", "returned": "never" },
            { "name": "doors", "type": "complex", "multiValued": true, "subAttributes": [
                { "name": "value", "type": "string", "required": true },
                { "name": "$ref", "type": "reference", "referenceTypes": ["User"] },
            ] },
        ],
    })
}

fn badges() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "id": "Badge",
        "name": "Badge",
        "endpoint": "/Badges",
        "schema": BADGE,
    })
}

fn read(files: &[Value]) -> Result<ResourceTypes, Misfit> {
    let texts: Vec<String> = files.iter().map(Value::to_string).collect();
    ResourceTypes::read(&texts)
}

/// What is said of a file that is wrong.
#[track_caller]
fn refused(file: &Value) -> String {
    let misfit = read(&[json!([]), file.clone()]).unwrap_err();
    assert_eq!(misfit.file, 1);
    assert!(!misfit.remedy.is_empty(), "{misfit}");
    misfit.to_string()
}

/// The same of [`badge`] with a change.
#[track_caller]
fn refused_with(change: impl FnOnce(&mut Value)) -> String {
    let mut file = badge();
    change(&mut file);
    refused(&file)
}

#[test]
fn nothing_configured_is_what_ships() {
    let shipped = ResourceTypes::shipped();
    let read = ResourceTypes::read::<&str>(&[]).unwrap();
    for types in [&shipped, &read] {
        let names: Vec<_> = types.all().iter().map(|kind| kind.name.as_str()).collect();
        assert_eq!(names, ["User", "Group", "Role", "Device", "Authenticator"]);
        assert_eq!(types.user().extensions.len(), 5);
    }
}

#[test]
fn a_type_of_its_own_stands_behind_users_and_groups() {
    for files in [
        vec![badge(), badges()],
        vec![json!([badges(), badge()])],
        vec![json!({ "totalResults": 2, "Resources": [badge(), badges()] })],
    ] {
        let types = read(&files).unwrap();
        let kind = types.all().last().unwrap();
        assert_eq!((kind.name.as_str(), kind.endpoint.as_str()), ("Badge", "/Badges"));
        assert_eq!(types.user().extensions.len(), 5, "a named schema is no extension of User");
        assert!(kind.resolve("doors.$ref").case_exact);
        assert!(kind.resolve("externalId").known && kind.resolve("meta.created").known);
    }
}

#[test]
fn a_schema_that_nobody_names_is_an_extension_of_users() {
    let types = read(&[badge()]).unwrap();
    let path = types.user().resolve("urn:EXAMPLE:2.0:badge:NUMBER");
    assert_eq!(path.text, format!("{BADGE}:number"));
    assert_eq!(types.all()[1].extensions.len(), 2);
}

#[test]
fn documents_about_users_and_groups_add_extensions() {
    let group = json!({ "name": "group", "schema": GROUP,
        "schemaExtensions": [{ "schema": BADGE, "required": true }] });
    let user = json!({ "name": "User", "endpoint": "/Users", "schema": USER,
        "schemaExtensions": [{ "schema": ENTERPRISE, "required": true }] });
    let types = read(&[json!([badge(), group, user])]).unwrap();
    assert!(types.all()[1].extensions[2].1);
    assert_eq!(types.user().extensions.len(), 5);
    let enterprise = types.user().extensions.iter().find(|(schema, _)| schema.id == ENTERPRISE);
    assert!(enterprise.unwrap().1);

    let kind = types.user();
    let error = kind.check(json!({ "userName": "a" }), Purpose::Create).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidValue);
    assert!(error.detail.starts_with(&format!("{ENTERPRISE} is required")), "{error}");
    let body = json!({ "userName": "a", (ENTERPRISE): { "department": "Tours" } });
    assert!(kind.check(body, Purpose::Create).is_ok());
    let error = types.all()[1].check(json!({ "displayName": "g" }), Purpose::Create).unwrap_err();
    assert!(error.detail.starts_with(&format!("{BADGE}:number is required")), "{error}");
}

#[test]
fn exports_of_what_ships_add_nothing_and_extensions_can_be_replaced() {
    let shipped = |urn: &str| serde_json::to_value(Schema::shipped(urn).unwrap()).unwrap();
    let types = read(&[json!([shipped(USER), shipped(SOURCE), shipped(ENTERPRISE)])]);
    assert_eq!(types.unwrap().user().extensions.len(), 5);
    let mut own = shipped(ENTERPRISE);
    own["attributes"].as_array_mut().unwrap().truncate(1);
    let types = read(&[own]).unwrap();
    assert_eq!(types.user().extensions.len(), 5);
    assert!(types.user().resolve(&format!("{ENTERPRISE}:employeeNumber")).known);
    assert!(!types.user().resolve(&format!("{ENTERPRISE}:department")).known);
    let mut user = shipped(USER);
    user["attributes"].as_array_mut().unwrap().pop();
    assert!(refused(&user).starts_with("id: "));
}

#[test]
fn canonical_values_of_configured_schemas_are_all_that_there_are() {
    let types = read(&[badge()]).unwrap();
    let check = |color: &str| {
        let body = json!({ (BADGE): { "number": "7", "color": color } });
        types.user().check(body, Purpose::Replace)
    };
    assert_eq!(check("rED").unwrap().attributes[BADGE]["color"], "Red");
    let error = check("Blue").unwrap_err();
    assert!(error.detail.ends_with("none of the values that there are: Red, Green"), "{error}");
    let emails = json!({ "emails": [{ "value": "a@example.com", "type": "untyped" }] });
    assert!(types.user().check(emails, Purpose::Replace).is_ok(), "the RFC's own are suggestions");
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let attribute = |index: usize, member: &str, value: Value| {
        let member = member.to_owned();
        move |file: &mut Value| file["attributes"][index][member] = value
    };
    for (said, place) in [
        (refused_with(attribute(0, "name", json!("1st"))), "attributes[0].name: \"1st\""),
        (refused_with(attribute(0, "name", json!("a.b"))), "attributes[0].name: "),
        (refused_with(attribute(0, "name", json!("$ref"))), "attributes[0].name: "),
        (refused_with(attribute(1, "name", json!("LABEL"))), "attributes[1].name: "),
        (refused_with(attribute(0, "type", json!("text"))), "attributes[0].type: \"text\""),
        (refused_with(attribute(0, "type", json!("complex"))), "attributes[0].subAttributes: "),
        (refused_with(attribute(0, "mutabilty", json!("x"))), "attributes[0].mutabilty: "),
        (refused_with(attribute(0, "mutability", json!("read"))), "attributes[0].mutability: "),
        (refused_with(attribute(0, "required", json!("true"))), "attributes[0].required: "),
        (refused_with(attribute(4, "returned", json!("default"))), "attributes[4].returned: "),
        (refused_with(attribute(5, "uniqueness", json!("server"))), "attributes[5].uniqueness: "),
        (refused_with(attribute(3, "canonicalValues", json!(["1"]))), "attributes[3].canonical"),
        (refused_with(attribute(0, "referenceTypes", json!(["x"]))), "attributes[0].reference"),
        (
            refused_with(|file| {
                file["attributes"][5]["subAttributes"][0]["type"] = json!("complex");
            }),
            "attributes[5].subAttributes[0].type: doors is complex",
        ),
        (refused_with(|file| file["id"] = json!("Badge")), "id: \"Badge\" is no URN"),
        (refused_with(|file| file["id"] = json!("urn:a b")), "id: "),
        (refused_with(|file| file["attributes"] = json!([])), "attributes: "),
        (refused(&json!([badge(), badge()])), "[1].id: there is a schema"),
        (refused(&json!("x")), "is a string"),
        (refused(&json!({ "name": "x" })), "is neither a Schema"),
        (refused(&badges()), "schema: there is no schema \"urn:example:2.0:Badge\""),
    ] {
        assert!(said.starts_with(place), "{said}\nis not about {place}");
    }
}

#[test]
fn types_keep_to_names_and_endpoints_that_are_free() {
    let with = |member: &str, value: Value| {
        let mut kind = badges();
        kind[member] = value;
        refused(&json!([badge(), kind]))
    };
    for taken in [
        "/users",
        "/Groups",
        "/Device",
        "/authenticators",
        "/bulk",
        "/Me",
        "/Schemas",
        "/ResourceTypes",
    ] {
        assert!(with("endpoint", json!(taken)).contains("is there already"), "{taken}");
    }
    for odd in ["Badges", "/", "/a/b", "/.search", "https://example.com/Badges"] {
        assert!(with("endpoint", json!(odd)).starts_with("[1].endpoint: "), "{odd}");
    }
    assert!(with("name", json!("Schema")).starts_with("[1].name: "));
    assert!(with("name", json!("A b")).starts_with("[1].name: "));
    assert!(with("name", json!("User")).contains("User is at /Users"));
    assert!(with("schema", json!(USER)).contains("for the type that ships with it"));
    let extensions = json!([{ "schema": BADGE }]);
    assert!(with("schemaExtensions", extensions).contains("the schema of Badge itself"));
    let twice = json!([{ "schema": ENTERPRISE }, { "schema": ENTERPRISE }]);
    assert!(with("schemaExtensions", twice).starts_with("[1].schemaExtensions[1].schema: "));
    let mut other = badges();
    other["endpoint"] = json!("/Cards");
    assert!(refused(&json!([badge(), badges(), other])).starts_with("[2].name: "));
    let mut other = badges();
    other["name"] = json!("Card");
    assert!(refused(&json!([badge(), badges(), other])).starts_with("[2].endpoint: "));
    let mut own = badge();
    own["attributes"][0]["name"] = json!("ID");
    assert!(refused(&json!([own, badges()])).contains("which every resource has"));
}

#[test]
fn text_that_is_no_json_is_told_by_line_and_column() {
    let misfit = ResourceTypes::read(&["[]", "{\n  \"id\": }\n"]).unwrap_err();
    assert_eq!((misfit.file, misfit.place.as_str()), (1, "line 2, column 9"));
}
