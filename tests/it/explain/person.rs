//! People: each value with its source, while directories answer and while they do not.

use serde_json::{Value, json};

use super::{json, refusal, text};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::company;
use crate::support::slapd::{SUFFIX, Slapd};

const NAMED: &str = r#"
[[tenant.role]]
id = "RL_AUDIT"
display = "Auditor"
[[tenant.role]]
id = "RL_DESK"
[[tenant.group]]
id = "STAFF"
display = "Staff"
roles = ["RL_AUDIT"]
[[tenant.group]]
id = "OURS"
roles = ["RL_DESK"]
"#;

const MAPPING: &str = r#"
[tenant.repository.attributes]
title = { attribute = "title", authority = "local" }
preferredLanguage = { template = "{givenName}-{sn}" }
"#;

fn settings(slapd: &Slapd) -> Settings {
    let unit = company::person(1).unit;
    let rule = format!(
        "cache = {{ fresh = \"0s\", negative = \"0s\", stale = \"0s\" }}\n\
         timeouts = {{ connect = \"1s\", operation = \"2s\" }}\n\
         [[tenant.repository.rule]]\nfilter = \"(uid=nobody)\"\nroles = [\"RL_DESK\"]\n\
         [[tenant.repository.rule]]\ngroup = \"STAFF\"\n\
         base = \"ou={unit},ou=people,{SUFFIX}\"\n{MAPPING}"
    );
    Settings::over(slapd).with(&rule).repository("lab", &Slapd::shared().url()).rest(NAMED)
}

/// What is said of the value at a path.
fn value<'a>(person: &'a Value, path: &str) -> &'a Value {
    let values = person["values"].as_array().unwrap();
    let found = values.iter().find(|value| value["path"] == path);
    found.unwrap_or_else(|| panic!("{path} is not in {person:#}"))
}

fn of_corp(attributes: &[&str]) -> Value {
    json!({ "from": "directory", "repository": "corp", "attributes": attributes })
}

#[test]
fn each_value_is_told_with_its_source() {
    let slapd = Slapd::company(30);
    let bridge = TestBridge::start(&settings(&slapd));
    let mut client = bridge.client();
    let first = company::person(1);
    let id = format!("corp.{}", first.entry_uuid);
    let unbound = json(bridge.directory(), &["--user", &id]);
    assert_eq!(unbound["userType"], "LDAP");
    assert_eq!(unbound["number"], Value::Null);
    assert_eq!(value(&unbound, "userName")["origin"], of_corp(&["uid"]));
    let audit = bridge.audit();

    let change = json!({ "Operations": [
        { "op": "add", "path": "nickName", "value": "Nick" },
        { "op": "replace", "path": "title", "value": "Ours" },
        { "op": "add", "path": "phoneNumbers", "value": [{ "type": "other", "value": "+1" }] },
    ] });
    client.patch(&format!("/Users/{id}"), &change).expect(200);
    let member = json!({ "Operations": [
        { "op": "add", "path": "members", "value": [{ "value": id }] },
    ] });
    client.patch("/Groups/OURS", &member).expect(200);
    let twin = json!({ "userName": first.uid, "displayName": "Another" });
    let twin = client.post("/Users", &twin).expect(201);
    let twin_id = twin["id"].as_str().unwrap();

    let bound = json(bridge.directory(), &["--user", &id]);
    let number = bound["number"].as_i64().unwrap().to_string();
    assert_eq!(json(bridge.directory(), &["--user", &number])["id"], id.as_str());
    assert_eq!(bound["userType"], "FTRESS_LDAP");
    assert_eq!(bound["source"]["state"], "ok");
    assert_eq!(bound["source"]["repository"], "corp");
    for (path, shown, origin, authority) in [
        ("userName", json!(first.uid), of_corp(&["uid"]), "directory"),
        ("displayName", json!(first.display_name), of_corp(&["displayName", "cn"]), "directory"),
        ("externalId", json!(first.uid), of_corp(&["uid"]), "local"),
        ("nickName", json!("Nick"), json!({ "from": "store" }), "store"),
        ("title", json!("Ours"), json!({ "from": "store" }), "local"),
        ("active", json!(true), of_corp(&["pwdAccountLockedTime"]), "both"),
    ] {
        let told = value(&bound, path);
        assert_eq!(told["value"], shown, "{told}");
        assert_eq!(told["origin"], origin, "{told}");
        assert_eq!(told["authority"], authority, "{told}");
    }
    assert_eq!(
        value(&bound, "preferredLanguage")["origin"],
        of_corp(&["givenName", "sn"]),
        "of a template, all"
    );
    assert_eq!(value(&bound, "title")["hides"], json!(first.title), "{bound:#}");
    let phones: Vec<&Value> = bound["values"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["path"] == "phoneNumbers")
        .collect();
    let from = |kind: &str| {
        let one = phones.iter().find(|one| one["value"]["type"] == kind).unwrap();
        one["origin"]["from"].clone()
    };
    assert_eq!((from("work"), from("other")), (json!("directory"), json!("store")));
    let rules = json!([{
        "number": 2,
        "base": format!("ou={},ou=people,{SUFFIX}", first.unit),
        "group": "STAFF",
        "roles": [],
    }]);
    assert_eq!(bound["rules"], rules, "{bound:#}");
    let because = |list: &str, id: &str| -> Value {
        let all = bound[list].as_array().unwrap();
        let one = all.iter().find(|one| one["id"] == id);
        one.unwrap_or_else(|| panic!("{id}: {bound:#}"))["because"].clone()
    };
    assert_eq!(because("groups", "STAFF"), json!(["rule 2 of corp"]));
    assert_eq!(because("groups", "OURS"), json!(["a member of it"]));
    assert_eq!(because("roles", "RL_AUDIT"), json!(["rule 2 of corp"]));
    assert_eq!(because("roles", "RL_DESK"), json!(["carried by the group \"OURS\""]));
    let conflicts = bound["conflicts"].as_array().unwrap();
    assert!(conflicts.contains(&json!(twin_id)), "{bound:#}");
    assert!(!conflicts.contains(&json!(id)), "{bound:#}");
    assert_eq!(bound["silent"], json!([]));

    let local = json(bridge.directory(), &["--user", twin_id]);
    assert_eq!(local["source"], Value::Null);
    assert_eq!(value(&local, "displayName")["origin"], json!({ "from": "store" }));
    assert_eq!(value(&local, "active")["authority"], "store");

    let several = refusal(bridge.directory(), &["--user", &first.uid]);
    assert!(several.contains(&id) && several.contains(twin_id), "{several}");
    let nobody = refusal(bridge.directory(), &["--user", "nobody-at-all"]);
    assert!(nobody.contains("no user"), "{nobody}");
    assert_eq!(bridge.audit().len(), audit.len() + 3, "the three writes, and none by looking");
}

#[test]
fn an_outage_is_told_with_what_was_last_seen() {
    let slapd = Slapd::company(30);
    let bridge = TestBridge::start(&settings(&slapd));
    let mut client = bridge.client();
    let person = company::person(1);
    let id = format!("corp.{}", person.entry_uuid);
    let change = json!({ "Operations": [{ "op": "add", "path": "nickName", "value": "N" }] });
    client.patch(&format!("/Users/{id}"), &change).expect(200);
    slapd.kill();
    let shadow = json(bridge.directory(), &["--user", &id]);
    assert_eq!(shadow["source"]["state"], "unavailable", "{shadow:#}");
    let origin = &value(&shadow, "userName")["origin"];
    assert_eq!((&origin["from"], &origin["repository"]), (&json!("shadow"), &json!("corp")));
    assert_eq!(origin["seen"], shadow["source"]["seen"]);
    assert_eq!(value(&shadow, "nickName")["origin"], json!({ "from": "store" }));
    let staff = shadow["groups"][0]["because"][0].as_str().unwrap();
    assert!(staff.starts_with("rule 2 of corp, as seen 2"), "{staff}");
    assert_eq!(shadow["rules"], json!([]), "what holds now is not known");
    assert_eq!(shadow["silent"], json!(["corp: unavailable"]));
    let shown = text(bridge.directory(), &["--user", &id]);
    for part in ["the directory does not answer (unavailable)", "not known: corp: unavailable"] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    // Of somebody whom only the directory knows, nothing is known.
    let unbound = format!("corp.{}", company::person(2).entry_uuid);
    let said = refusal(bridge.directory(), &["--user", &unbound]);
    assert!(said.contains("corp") && said.contains("cannot be asked"), "{said}");
    slapd.restart();
    slapd.modify(&format!(
        "dn: uid={},ou={},ou=people,{SUFFIX}\nchangetype: delete\n",
        person.uid, person.unit
    ));
    let gone = text(bridge.directory(), &["--user", &id]);
    assert!(gone.contains("the directory has no such entry; shown as seen"), "{gone}");
}

#[test]
fn pictures_and_passwords_are_not_shown() {
    let slapd = Slapd::shared();
    let settings = Settings::over(slapd);
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let user = json!({
        "userName": "pictured",
        "password": "Secret-Pass-1",
        "photos": [{ "value": "https://example.org/p.png", "type": "photo" }],
        "x509Certificates": [{ "value": "TUlJQw==" }],
    });
    client.post("/Users", &user).expect(201);
    let shown = text(bridge.directory(), &["--user", "pictured"]);
    for hidden in ["Secret-Pass-1", "p.png", "TUlJQw"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
    assert!(shown.contains("photos = (not shown)"), "{shown}");
    assert!(shown.contains("x509Certificates = (not shown)"), "{shown}");
}

#[test]
fn an_account_that_is_written_back_is_said_to_be() {
    let written = "[tenant.repository.attributes]\nactive = { authority = \"write_back\" }\n";
    let bridge = TestBridge::start(&Settings::over(Slapd::shared()).with(written));
    let id = format!("corp.{}", company::person(1).entry_uuid);
    let told = json(bridge.directory(), &["--user", &id]);
    assert_eq!(value(&told, "active")["authority"], "write_back");
    assert_eq!(value(&told, "active")["origin"], of_corp(&["pwdAccountLockedTime"]));
}
