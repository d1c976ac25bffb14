//! Attributes with the authority `write_back`: the directory first, then here; refused, raced, in an
//! outage, and across a crash.

mod accounts;
mod outages;
mod races;

use serde_json::{Value, json};

use crate::support::bridge::{Settings, TestBridge, run};
use crate::support::company;
use crate::support::slapd::{Options, READER, SUFFIX, Slapd};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// The bridge's bind may write these, and the given name not.
fn directory() -> Slapd {
    let attributes = "title,mail,telephoneNumber,mobile,uidNumber,departmentNumber,description";
    Slapd::start(Options {
        people: 30,
        configuration: format!(
            "access to attrs={attributes} by dn.exact=\"{READER}\" write by * auth\n"
        ),
        ..Options::default()
    })
}

const WRITTEN: &str = r#"
timeouts = { connect = "1s", operation = "2s" }
[tenant.repository.attributes]
title = { authority = "write_back" }
"name.givenName" = { authority = "write_back" }
'emails[type eq "work"].value' = { authority = "write_back" }
'phoneNumbers[type eq "work"].value' = { authority = "write_back" }
"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department" = { attribute = "departmentNumber", authority = "write_back" }
"urn:hid:scim:api:idp:2.0:UserAttribute:NUMBER" = { attribute = "uidNumber", type = "integer", authority = "write_back" }
"urn:hid:scim:api:idp:2.0:UserAttribute:NOTE" = { attribute = "description", authority = "write_back" }
"#;

fn settings(url: &str) -> Settings {
    Settings::local().server("request_timeout = \"5s\"").repository("corp", url).with(WRITTEN)
}

fn uid(number: usize) -> String {
    company::person(number).uid
}

fn path(number: usize) -> String {
    format!("/Users/corp.{}", company::person(number).entry_uuid)
}

fn set(path: &str, value: impl Into<Value>) -> Value {
    json!({ "Operations": [{ "op": "replace", "path": path, "value": value.into() }] })
}

/// What the records tell beside what was done.
fn details(bridge: &TestBridge) -> Vec<String> {
    bridge.query("SELECT action || ' ' || COALESCE(detail, '-') FROM audit ORDER BY key")
}

fn intents(bridge: &TestBridge) -> usize {
    bridge.query("SELECT id FROM intents").len()
}

#[test]
fn what_is_written_here_is_written_there_first() {
    let slapd = directory();
    let bridge = TestBridge::start(&settings(&slapd.url()));
    let mut client = bridge.client();
    client.get(&path(1)).expect(200);
    for title in ["Chef de \"projet\"", "a\\b,c+d=*()", "部長 ß İ", "x"] {
        let user = client.patch(&path(1), &set("title", title)).expect(200);
        assert_eq!(user["title"], title);
        assert_eq!(slapd.values(&uid(1), "title"), [title]);
        // Nothing of what the caches had is shown.
        assert_eq!(client.get(&path(1)).expect(200)["title"], title);
        let filter = format!("title eq {}", Value::from(title));
        let found = client.query("/Users", &[("filter", &filter)]).expect(200);
        assert_eq!(found["totalResults"], 1, "in the shadow: {found}");
    }
    let mut trail = vec!["user.bind written to corp: title".to_owned()];
    trail.extend(vec!["user.modify written to corp: title".to_owned(); 3]);
    assert_eq!(details(&bridge), trail);
    let removed = json!({ "Operations": [{ "op": "remove", "path": "title" }] });
    let user = client.patch(&path(1), &removed).expect(200);
    assert_eq!((user.get("title"), slapd.values(&uid(1), "title").len()), (None, 0));
    // What is shown now is no write; nor is what a PUT leaves out.
    let version = user["meta"]["version"].clone();
    client.patch(&path(1), &set("title", "Head")).expect(200);
    let mut user = client.get(&path(1)).expect(200);
    assert_ne!(user["meta"]["version"], version);
    assert_eq!(client.put(&path(1), &user).expect(200)["meta"], user["meta"]);
    user.as_object_mut().unwrap().remove("title");
    assert_eq!(client.put(&path(1), &user).expect(200)["title"], "Head");
    user["title"] = json!("Put");
    user[ENTERPRISE]["department"] = json!("R&D");
    let user = client.put(&path(1), &user).expect(200);
    assert_eq!((&user["title"], &user[ENTERPRISE]["department"]), (&json!("Put"), &json!("R&D")));
    assert_eq!(slapd.values(&uid(1), "title"), ["Put"]);
    assert_eq!(slapd.values(&uid(1), "departmentNumber"), ["R&D"]);
    let last = details(&bridge).pop().unwrap();
    let both = format!("user.replace written to corp: title, {ENTERPRISE}:department");
    assert_eq!(last, both);
    assert_eq!(intents(&bridge), 0);
    assert!(
        run(bridge.directory(), &["audit", "verify", "--config", "scimbridge.toml"])
            .status
            .success()
    );
}

#[test]
fn of_a_list_the_kind_is_written() {
    let slapd = directory();
    let bridge = TestBridge::start(&settings(&slapd.url()));
    let mut client = bridge.client();
    let kept = company::person(2).phone;
    let emails = json!([
        { "type": "work", "value": "one@example.org" }, { "type": "work", "value": "two@example.org" },
        { "type": "home", "value": "h@example.org" }]);
    let user = client.patch(&path(2), &set("emails", emails)).expect(200);
    assert_eq!(user["emails"].as_array().unwrap().len(), 3, "{user}");
    let mut mails = slapd.values(&uid(2), "mail");
    mails.sort();
    assert_eq!(mails, ["one@example.org", "two@example.org"], "the other one is ours");
    let one = "emails[type eq \"work\" and value eq \"one@example.org\"].value";
    client.patch(&path(2), &set(one, "jürgen@example.org"));
    let add = json!({ "Operations": [
        { "op": "remove", "path": "emails[value eq \"one@example.org\"]" },
        { "op": "add", "path": "emails", "value": [{ "type": "work", "value": "three@example.org" }] }] });
    client.patch(&path(2), &add).expect(200);
    let mut mails = slapd.values(&uid(2), "mail");
    mails.sort();
    assert_eq!(mails, ["three@example.org", "two@example.org"]);
    assert_eq!(slapd.values(&uid(2), "telephoneNumber"), [kept]);
    let codes = "urn:hid:scim:api:idp:2.0:UserAttribute";
    let user = client.get(&path(2)).expect(200);
    let note = json!({ "Operations": [{ "op": "add", "path": format!("{codes}:attributes"),
        "value": [{ "name": "NOTE", "value": "\"q\" \\ é" }] }] });
    let after = client.patch(&path(2), &note).expect(200);
    let shown = after[codes]["attributes"].as_array().unwrap();
    let shown = shown.iter().find(|one| one["name"] == "NOTE").unwrap();
    assert_eq!(shown["readOnly"], false, "{user}");
    assert!(slapd.values(&uid(2), "description").contains(&"\"q\" \\ é".to_owned()));
}

#[test]
fn what_the_directory_refuses_changes_nothing_and_is_explained() {
    let slapd = directory();
    let bridge = TestBridge::start(&settings(&slapd.url()));
    let mut client = bridge.client();
    let given = slapd.values(&uid(1), "givenName");
    let before = slapd.values(&uid(1), "title");
    let two = json!({ "Operations": [
        { "op": "replace", "path": "name.givenName", "value": "Other" },
        { "op": "replace", "path": "title", "value": "Both or none" },
        { "op": "replace", "path": "nickName", "value": "Nick" }] });
    let refused = client.patch(&path(1), &two).expect(403);
    let detail = refused["detail"].as_str().unwrap();
    for word in ["corp", "name.givenName", "insufficientAccessRights", "right"] {
        assert!(detail.contains(word), "{detail}");
    }
    assert_eq!(slapd.values(&uid(1), "givenName"), given);
    assert_eq!(slapd.values(&uid(1), "title"), before);
    let user = client.get(&path(1)).expect(200);
    assert_eq!((&user["userType"], user.get("nickName")), (&json!("LDAP"), None));
    let phones = json!([{ "type": "work", "value": "no ü number" }]);
    let refused = client.patch(&path(1), &set("phoneNumbers", phones)).expect(400);
    assert_eq!(refused["scimType"], "invalidValue");
    assert!(refused["detail"].as_str().unwrap().contains("invalidAttributeSyntax"), "{refused}");
    let codes = "urn:hid:scim:api:idp:2.0:UserAttribute";
    for (value, told) in [("1001", "objectClassViolation"), ("many", "uidNumber")] {
        let number = json!({ "Operations": [{ "op": "add", "path": format!("{codes}:attributes"),
            "value": [{ "name": "NUMBER", "value": value }] }] });
        let refused = client.patch(&path(1), &number).expect(400);
        assert!(refused["detail"].as_str().unwrap().contains(told), "{refused}");
    }
    assert_eq!((details(&bridge).len(), intents(&bridge)), (0, 0));
    // Who may not write users writes no directory.
    let reading = settings(&slapd.url()).token("reading", "reading-token", &["users:read"]);
    let reading = TestBridge::start(&reading);
    let mut reader = reading.client_as("reading-token");
    assert_eq!(reader.patch(&path(1), &set("title", "No")).status, 403);
    assert_eq!(slapd.values(&uid(1), "title"), before);
}

#[test]
fn binding_writes_back_and_a_refusal_of_ours_takes_it_back() {
    let slapd = directory();
    let settings = settings(&slapd.url())
        .token("binder", "binder-token", &["users:*"])
        .token_line("binds = true")
        .token("unbinding", "unbinding-token", &["users:read", "users:replace"]);
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client_as("binder-token");
    let body = json!({ "externalId": uid(3), "userName": uid(3), "title": "Posted" });
    let user = client.post("/Users", &body).expect(201);
    assert_eq!((&user["userType"], &user["title"]), (&json!("FTRESS_LDAP"), &json!("Posted")));
    assert_eq!(slapd.values(&uid(3), "title"), ["Posted"]);
    assert_eq!(details(&bridge), ["user.bind written to corp: title"]);
    // The store alone knows that somebody else has the externalId.
    client.post("/Users", &json!({ "userName": "other", "externalId": "taken" })).expect(201);
    let both = json!({ "Operations": [
        { "op": "replace", "path": "title", "value": "Lost" },
        { "op": "replace", "path": "externalId", "value": "taken" }] });
    for number in [3, 4] {
        let before = slapd.values(&uid(number), "title");
        let refused = client.patch(&path(number), &both).expect(409);
        assert_eq!(refused["scimType"], "uniqueness");
        assert_eq!(slapd.values(&uid(number), "title"), before, "{number}");
        assert_eq!(intents(&bridge), 0);
    }
    assert_eq!(client.get(&path(4)).expect(200)["userType"], "LDAP");
    let before = slapd.values(&uid(5), "title");
    let mut other = bridge.client_as("unbinding-token");
    assert_eq!(other.patch(&path(5), &set("title", "No")).status, 403, "it may not bind");
    assert_eq!(slapd.values(&uid(5), "title"), before);
}

#[test]
fn bulk_goes_the_same_way() {
    let slapd = directory();
    let bridge = TestBridge::start(&settings(&slapd.url()));
    let mut client = bridge.client();
    let operation = |number, path_of: &str| json!({ "method": "PATCH", "path": path(number), "data": set(path_of, "Bulk") });
    let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [operation(6, "title"), operation(7, "name.givenName")] });
    let answer = client.post("/Bulk", &body).expect(200);
    let status = |at: usize| answer["Operations"][at]["status"].clone();
    assert_eq!((status(0), status(1)), (json!("200"), json!("403")), "{answer}");
    assert_eq!(slapd.values(&uid(6), "title"), ["Bulk"]);
}

#[test]
fn what_cannot_be_written_back_is_a_fault_of_the_configuration() {
    for (line, words) in [
        ("displayName = { authority = \"write_back\" }", &["displayName", "several"][..]),
        ("externalId = { authority = \"write_back\" }", &["externalId", "take authority out"]),
        (
            "active = { attribute = \"employeeType\", authority = \"write_back\" }",
            &["active", "add type = \"accountState\""],
        ),
        (
            "active = { attribute = [\"accountExpires\", \"lockoutTime\"], type = \"accountState\", authority = \"write_back\" }",
            &["active", "accountExpires, lockoutTime", "exactly one of userAccountControl"],
        ),
        (
            "active = { attribute = [\"nsAccountLock\", \"userAccountControl\"], type = \"accountState\", authority = \"write_back\" }",
            &["active", "nsAccountLock, userAccountControl", "exactly one of"],
        ),
        (
            "active = { attribute = \"nsAccountLock\", type = \"trueWhileAbsent\", authority = \"write_back\" }",
            &["active", "exactly one of", "accountState"],
        ),
        (
            "active = { authority = \"write_back\" }\n\
             nickName = { attribute = \"pwdAccountLockedTime\", authority = \"write_back\" }",
            &["nickName", "another path"],
        ),
        ("title = { attribute = [\"title\", \"cn\"], authority = \"write_back\" }", &["several"]),
        ("title = { template = \"{sn}\", authority = \"write_back\" }", &["template"]),
        ("nickName = { attribute = \"entryUUID\", authority = \"write_back\" }", &["nickName"]),
        (
            "nickName = { attribute = \"sn\", authority = \"write_back\" }\n\
             \"name.familyName\" = { authority = \"write_back\" }",
            &["another path"],
        ),
        ("profileUrl = { authority = \"write_back\" }", &["profileUrl", "type"]),
    ] {
        let lines = format!("[tenant.repository.attributes]\n{line}");
        let settings = Settings::local().repository("corp", "ldap://127.0.0.1:9").with(&lines);
        let output = run(&settings.write(), &["serve", "--config", "scimbridge.toml"]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{line}");
        assert!(words.iter().all(|word| text.contains(word)), "{line}: {text}");
    }
}
