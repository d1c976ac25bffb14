//! Microsoft's SCIM validator: each of its checks on users, the informational ones included,
//! and what older builds of it were seen to send.

use serde_json::{Value, json};

use super::{ENTERPRISE, Provisioner, USER, at, id, shows_each};

/// A user with everything that the validator fills from the schemas.
fn user(name: &str) -> Value {
    json!({
        "userName": format!("{name}@validator.example"),
        "active": true,
        "displayName": "Noor Haddad",
        "title": "Cartographer",
        "emails": [{ "type": "work", "value": "noor@validator.example", "primary": true }],
        "preferredLanguage": "ar-JO",
        "name": {
            "givenName": "Noor", "familyName": "Haddad", "formatted": "Dr. Noor S. Haddad II",
            "middleName": "Salma", "honorificPrefix": "Dr.", "honorificSuffix": "II",
        },
        "addresses": [{
            "type": "work", "formatted": "12 Harbour Lane, Aqaba", "streetAddress": "12 Harbour Lane",
            "locality": "Aqaba", "region": "South", "postalCode": "77 110", "primary": true,
            "country": "Jordan",
        }],
        "phoneNumbers": [
            { "type": "work", "value": "06-555-0101", "primary": true },
            { "type": "mobile", "value": "07-555-0102" },
            { "type": "fax", "value": "06-555-0103" },
        ],
        (ENTERPRISE): {
            "employeeNumber": "N-4711", "department": "Maps", "costCenter": "CC-9",
            "organization": "Survey", "division": "South", "manager": { "value": "nobody-known" },
        },
        // The boolean is a word, and the type is free.
        "roles": [{ "primary": "True", "display": "Editor", "value": "edit", "type": "maps" }],
        "userType": "Staff",
        "nickName": "No",
        "locale": "ar-JO",
        "timezone": "Asia/Amman",
        "profileUrl": "https://validator.example/noor",
        "schemas": [USER, ENTERPRISE],
    })
}

#[test]
fn a_new_user_is_created_and_found() {
    let mut validator = Provisioner::entra();
    let (_, created) = validator.create("/Users", &user("noor.new"));
    for name in ["noor.new@validator.example", "NOOR.NEW@Validator.EXAMPLE"] {
        let found = validator.find_one("/Users", &format!("userName eq \"{name}\""));
        assert_eq!(id(&found), id(&created), "{name}");
    }
    let nobody = "userName eq \"nonexistent.noor@validator.example\"";
    assert_eq!(validator.find_one("/Users", nobody), Value::Null);
}

#[test]
fn what_was_sent_is_what_is_shown() {
    let mut validator = Provisioner::entra();
    let sent = user("noor.whole");
    let (_, shown) = validator.create("/Users", &sent);
    for (name, value) in sent.as_object().unwrap() {
        match name.as_str() {
            // Who made the user decides its type.
            "userType" => {}
            "roles" => assert_eq!(shown["roles"][0]["primary"], true),
            "schemas" => {
                for urn in value.as_array().unwrap() {
                    assert!(shown["schemas"].as_array().unwrap().contains(urn), "{shown}");
                }
            }
            _ => assert_eq!(&shown[name], value, "{name}"),
        }
    }
}

#[test]
fn a_duplicate_user_is_a_conflict() {
    let mut validator = Provisioner::entra();
    validator.create("/Users", &user("noor.twin"));
    let error = validator.refused("POST", "/Users", Some(&user("noor.twin")), 409);
    assert_eq!(error["scimType"], "uniqueness");
}

#[test]
fn every_attribute_is_replaced_in_one_request() {
    let mut validator = Provisioner::entra();
    let (path, _) = validator.create("/Users", &user("noor.verbose"));
    let replace =
        |path: &str, value: Value| json!({ "op": "replace", "path": path, "value": value });
    let enterprise = |name: &str| format!("{ENTERPRISE}:{name}");
    let work = |name: &str| format!("addresses[type eq \"work\"].{name}");
    let mut operations = json!([
        replace("active", json!(true)),
        replace("displayName", json!("Lina Odeh")),
        replace("title", json!("Geographer")),
        replace("emails[type eq \"work\"].value", json!("lina@validator.example")),
        replace("emails[type eq \"work\"].primary", json!(true)),
        replace("preferredLanguage", json!("fr-CA")),
        replace("name.givenName", json!("Lina")),
        replace("name.familyName", json!("Odeh")),
        replace("name.formatted", json!("Prof. Lina R. Odeh III")),
        replace("name.middleName", json!("Rana")),
        replace("name.honorificPrefix", json!("Prof.")),
        replace("name.honorificSuffix", json!("III")),
        replace(&work("formatted"), json!("3 Hill Street, Irbid")),
        replace(&work("streetAddress"), json!("3 Hill Street")),
        replace(&work("locality"), json!("Irbid")),
        replace(&work("region"), json!("North")),
        replace(&work("postalCode"), json!("21 110")),
        replace(&work("primary"), json!(true)),
        replace(&work("country"), json!("Jordan (North)")),
        replace("phoneNumbers[type eq \"work\"].value", json!("02-555-0104")),
        replace("phoneNumbers[type eq \"work\"].primary", json!(true)),
        replace("phoneNumbers[type eq \"mobile\"].value", json!("07-555-0105")),
        replace("phoneNumbers[type eq \"fax\"].value", json!("02-555-0106")),
        replace(&enterprise("employeeNumber"), json!("N-4712")),
        replace(&enterprise("department"), json!("Borders")),
        replace(&enterprise("costCenter"), json!("CC-10")),
        replace(&enterprise("organization"), json!("Registry")),
        replace(&enterprise("division"), json!("North")),
        // The condition compares a boolean with a word.
        replace("roles[primary eq \"True\"].display", json!("Reader")),
        replace("roles[primary eq \"True\"].value", json!("read")),
        replace("roles[primary eq \"True\"].type", json!("borders")),
        replace("nickName", json!("Li")),
        replace("locale", json!("fr-CA")),
        replace("timezone", json!("America/Halifax")),
        replace("profileUrl", json!("https://validator.example/lina")),
    ]);
    let after = validator.modify(&path, &operations);
    shows_each(&after, &operations);
    for name in ["emails", "addresses", "roles"] {
        assert_eq!(after[name].as_array().unwrap().len(), 1, "{name} grew: {after}");
    }
    // The validator replaces userType as well, which is not the client's: that must do no harm.
    operations.as_array_mut().unwrap().push(replace("userType", json!("Contractor")));
    operations[1]["value"] = "Lina R. Odeh".into();
    let after = validator.modify(&path, &operations);
    assert_eq!(after["displayName"], "Lina R. Odeh");
    assert_eq!(after["userType"], "FTRESS");
}

#[test]
fn a_user_name_is_replaced_without_a_path() {
    let mut validator = Provisioner::entra();
    let (path, _) = validator.create("/Users", &user("noor.before"));
    let operations =
        json!([{ "op": "replace", "value": { "userName": "noor.after@validator.example" } }]);
    let after = validator.modify(&path, &operations);
    assert_eq!(after["userName"], "noor.after@validator.example");
}

#[test]
fn a_user_is_disabled() {
    let mut validator = Provisioner::entra();
    let (path, _) = validator.create("/Users", &user("noor.disabled"));
    let operations = json!([{ "op": "replace", "path": "active", "value": false }]);
    assert_eq!(validator.modify(&path, &operations)["active"], false);
}

#[test]
fn a_manager_is_added_replaced_and_emptied() {
    let mut validator = Provisioner::entra();
    let (path, before) = validator.create("/Users", &user("noor.led"));
    let manager = format!("{ENTERPRISE}:manager");
    // Whom it names need not be here.
    assert_eq!(at(&before, &format!("{manager}.value")), "nobody-known");
    for (op, name) in [("add", "noor.first"), ("replace", "noor.second")] {
        let (_, other) = validator.create("/Users", &user(name));
        let value = json!({ "value": id(&other) });
        let operations = json!([{ "op": op, "path": manager, "value": value }]);
        let after = validator.modify(&path, &operations);
        assert_eq!(at(&after, &format!("{manager}.value")), &other["id"]);
    }
    let none = json!([{ "op": "replace", "path": manager, "value": { "value": "" } }]);
    let after = validator.modify(&path, &none);
    assert_eq!(at(&after, &manager), &Value::Null);
    assert_eq!(at(&after, &format!("{ENTERPRISE}:department")), "Maps");
}

#[test]
fn different_attributes_are_changed_in_one_request() {
    let mut validator = Provisioner::entra();
    let (path, _) = validator.create("/Users", &user("noor.mixed"));
    let operations = json!([
        { "op": "add", "path": "displayName", "value": "N. Haddad" },
        { "op": "replace", "path": "title", "value": "Chief cartographer" },
    ]);
    shows_each(&validator.modify(&path, &operations), &operations);
}

#[test]
fn users_are_deleted_once() {
    let mut validator = Provisioner::entra();
    let body = json!({ "schemas": [USER], "userName": "noor.removed@validator.example" });
    let (path, _) = validator.create("/Users", &body);
    validator.remove(&path);
    validator.refused("DELETE", &path, None, 404);
    validator.refused("DELETE", "/Users/5f1c8e0a-6a55-4c11-8d2f-0b7a1e9f3a77", None, 404);
}

#[test]
fn elements_of_several_types_come_in_one_request() {
    let mut validator = Provisioner::entra();
    let body = json!({
        "schemas": [USER],
        "userName": "noor.types",
        "emails": [{ "type": "work", "value": "w@validator.example", "primary": true }],
    });
    let (path, _) = validator.create("/Users", &body);
    let operations = json!([
        { "op": "replace", "path": "emails[type eq \"work\"].value", "value": "w2@validator.example" },
        { "op": "add", "path": "emails[type eq \"home\"].value", "value": "h@validator.example" },
        { "op": "add", "path": "emails[type eq \"other\"].value", "value": "o@validator.example" },
        { "op": "add", "path": "emails[type eq \"work\"].primary", "value": false },
        { "op": "replace", "path": "emails[type eq \"home\"].primary", "value": true },
    ]);
    let after = validator.modify(&path, &operations);
    shows_each(&after, &operations);
    let primary =
        after["emails"].as_array().unwrap().iter().filter(|mail| mail["primary"] == true).count();
    assert_eq!((primary, after["emails"].as_array().unwrap().len()), (1, 3), "{after}");
}

#[test]
fn a_type_may_be_any_word() {
    let mut validator = Provisioner::entra();
    let body = json!({
        "schemas": [USER],
        "userName": "noor.untyped",
        "emails": [{
            "type": "untyped", "value": "u@validator.example", "display": "U", "primary": "true",
        }],
    });
    let (path, _) = validator.create("/Users", &body);
    let operations = json!([
        { "op": "replace", "path": "emails[type eq \"untyped\"].value", "value": "v@validator.example" },
        { "op": "replace", "path": "emails[type eq \"untyped\"].display", "value": "V" },
        { "op": "replace", "path": "emails[type eq \"untyped\"].primary", "value": true },
    ]);
    let after = validator.modify(&path, &operations);
    shows_each(&after, &operations);
    assert_eq!(after["emails"].as_array().unwrap().len(), 1);
}

#[test]
fn a_patch_without_operations_changes_nothing() {
    let mut validator = Provisioner::entra();
    let body = json!({ "schemas": [USER], "userName": "noor.empty" });
    let (path, before) = validator.create("/Users", &body);
    assert_eq!(validator.modify(&path, &json!([])), before);
}
