//! Entra ID as the provisioning agent of a tenant: its whole life cycle, step by step, in both forms
//! that it sends, with and without `aadOptscim062020`. Whom it brings is a user of the type
//! `SCIM_FED`, in the agent's group, with the roles of the security groups that it puts people into.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ENTERPRISE, GROUP, USER, id, members, patch};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::{Answer, Client};
use crate::support::eventually;

/// A security group as Entra knows it.
const AUDITORS: &str = "475f23fa-ad47-4ca9-b535-9792c9494daa";
const SOURCE: &str = "urn:scimbridge:schemas:2.0:Source";

fn settings() -> Settings {
    Settings::local()
        .token("entra", "token-of-the-agent", &["scim:provision"])
        .token_line(
            "client = \"entra\"\ncreates = \"SCIM_FED\"\nrepository = \"entra\"\n\
             max_role = \"RL_AUDITV\"",
        )
        .token("plain", "token-of-no-agent", &["scim:provision"])
        .rest(&format!(
            "[[tenant.group]]\nid = \"USG_FTEMP\"\ndisplay = \"Full Time Employees\"\n\
             [[tenant.role]]\nid = \"RL_AUDITV\"\ndisplay = \"Audit Viewer\"\nrank = 10\n\
             [[tenant.repository]]\nid = \"entra\"\nkind = \"scim_fed\"\ngroup = \"USG_FTEMP\"\n\
             role_by_group = {{ \"{AUDITORS}\" = \"RL_AUDITV\" }}\n"
        ))
}

/// The agent in one of its two forms.
struct Entra {
    client: Client,
    /// What the administrator put behind the tenant's URL.
    flag: &'static str,
}

const FORMS: [&str; 2] = ["", "aadOptscim062020"];

impl Entra {
    fn both(bridge: &TestBridge) -> [Self; 2] {
        [false, true].map(|modern| Self::form(bridge, modern))
    }

    /// The one of this form alone.
    fn form(bridge: &TestBridge, modern: bool) -> Self {
        let flag = FORMS[usize::from(modern)];
        Self { client: bridge.client_as("token-of-the-agent"), flag }
    }

    fn modern(&self) -> bool {
        !self.flag.is_empty()
    }

    /// `op` as this form spells it.
    fn op(&self, op: &str) -> String {
        if self.modern() { op.to_ascii_lowercase() } else { op.to_owned() }
    }

    fn boolean(&self, value: bool) -> Value {
        match (self.modern(), value) {
            (true, value) => value.into(),
            (false, true) => "True".into(),
            (false, false) => "False".into(),
        }
    }

    fn send(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        let glue = if path.contains('?') { "&" } else { "?" };
        let path =
            if self.modern() { format!("{path}{glue}{}", self.flag) } else { path.to_owned() };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers = [("Content-Type", "application/scim+json; charset=utf-8")];
        self.client.send(method, &path, &headers, body.as_bytes())
    }

    fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &Value::Null)
    }

    #[track_caller]
    fn find(&mut self, path: &str, filter: &str) -> Value {
        let encoded = form_urlencoded::byte_serialize(filter.as_bytes()).collect::<String>();
        self.get(&format!("{path}?filter={encoded}")).expect(200)
    }

    /// A user by the default mapping and the constant `SCIM_FED`.
    fn user(&self, name: &str) -> Value {
        let name = format!("{name}{}", self.flag.len());
        json!({
            "schemas": [USER, ENTERPRISE],
            "externalId": format!("{name}@contoso.example"),
            "userName": format!("{name}@contoso.example"),
            "userType": "SCIM_FED",
            "active": true,
            "displayName": "Ida Berg",
            "emails": [{ "primary": true, "type": "work", "value": format!("{name}.mail@contoso.example") }],
            "meta": { "resourceType": "User" },
            "name": { "formatted": "Ida Berg", "familyName": "Berg", "givenName": "Ida" },
            "addresses": null, "title": null, "roles": [],
        })
    }

    #[track_caller]
    fn create(&mut self, name: &str) -> (String, Value) {
        let made = self.send("POST", "/Users", &self.user(name)).expect(201);
        (format!("/Users/{}", id(&made)), made)
    }

    #[track_caller]
    fn modify(&mut self, path: &str, operations: &Value) -> Value {
        self.send("PATCH", path, &patch(operations)).expect(200)
    }
}

#[test]
fn the_connection_is_tested_with_somebody_whom_nobody_knows() {
    let bridge = TestBridge::start(&settings());
    for mut entra in Entra::both(&bridge) {
        for attribute in ["userName", "externalId", "emails[type eq \"work\"].value"] {
            let filter = format!("{attribute} eq \"9b3b3a24-5c1f-4a56-8f0b-0b5f6b7b6f11\"");
            let list = entra.find("/Users", &filter);
            assert_eq!((&list["totalResults"], &list["Resources"]), (&json!(0), &json!([])));
        }
        let filter = "displayName eq \"9b3b3a24\"";
        assert_eq!(entra.find("/Groups", filter)["totalResults"], 0);
    }
}

#[test]
fn whom_it_creates_is_federated_in_its_group_and_found_by_each_matching_attribute() {
    let bridge = TestBridge::start(&settings());
    for mut entra in Entra::both(&bridge) {
        let (path, made) = entra.create("ida");
        assert_eq!(made["userType"], "SCIM_FED");
        assert_eq!(made["groups"][0]["value"], "USG_FTEMP");
        assert_eq!(made.get("roles"), None, "no role without a security group");
        let source = entra.get(&format!("{path}?attributes={SOURCE}")).expect(200);
        assert_eq!(source[SOURCE], json!({ "userRepositoryId": "entra" }));
        let name = made["userName"].as_str().unwrap();
        let mail = made["emails"][0]["value"].as_str().unwrap();
        for filter in [
            format!("userName eq \"{name}\""),
            format!("externalId eq \"{name}\""),
            format!("externalId eq {name}"),
            format!("emails[type eq \"work\"].value eq \"{mail}\""),
            format!("id eq \"{}\" and userType eq \"SCIM_FED\"", id(&made)),
            format!("userName eq \"{name}\" and userRepositoryId eq \"entra\""),
        ] {
            let list = entra.find("/Users", &filter);
            assert_eq!(list["totalResults"], 1, "{filter}");
            assert_eq!(list["Resources"][0]["id"], made["id"], "{filter}");
        }
        let again = entra.send("POST", "/Users", &entra.user("ida")).expect(409);
        assert_eq!(again["scimType"], "uniqueness");
    }
}

#[test]
fn only_an_agent_brings_federated_users() {
    let bridge = TestBridge::start(&settings());
    let mut plain = bridge.client_as("token-of-no-agent");
    let body = json!({ "userName": "eve", "userType": "SCIM_FED" });
    let refused = plain.post("/Users", &body).expect(400);
    assert_eq!(refused["scimType"], "invalidValue");
    assert!(refused["detail"].as_str().unwrap().contains("userType"), "{refused}");
    let ours = plain.post("/Users", &json!({ "userName": "eve", "userType": "LDAP" })).expect(201);
    assert_eq!((&ours["userType"], ours.get("groups")), (&json!("FTRESS"), None));
    // Nor does anybody else make one of a federated user, or take one's repository away.
    let [mut entra, _] = Entra::both(&bridge);
    let (path, made) = entra.create("kept");
    let mut body = plain.get(&path).expect(200);
    body.as_object_mut().unwrap().remove("userType");
    body["nickName"] = "Ida".into();
    let put = plain.put(&path, &body).expect(200);
    assert_eq!((&put["userType"], &put["nickName"]), (&json!("SCIM_FED"), &json!("Ida")));
    assert_eq!(put["groups"], made["groups"]);
    let source = plain.get(&format!("{path}?attributes={SOURCE}")).expect(200);
    assert_eq!(source[SOURCE], json!({ "userRepositoryId": "entra" }));
}

#[test]
fn attributes_are_updated_each_by_its_path_or_all_without_one() {
    let bridge = TestBridge::start(&settings());
    for mut entra in Entra::both(&bridge) {
        let (path, made) = entra.create("ida");
        let replace = entra.op("Replace");
        let number = format!("{ENTERPRISE}:employeeNumber");
        let mail = json!({ "op": replace, "path": "emails[type eq \"work\"].value",
            "value": "i@contoso.example" });
        let operations = if entra.modern() {
            json!([mail, { "op": "replace", "value": { "displayName": "I. Frost",
                "name.familyName": "Frost", (number): "E-7" } }])
        } else {
            json!([
                { "op": "Replace", "path": "displayName", "value": "I. Frost" },
                mail,
                { "op": "Replace", "path": "name.familyName", "value": "Frost" },
                { "op": "Add", "path": number, "value": "E-7" },
            ])
        };
        let after = entra.modify(&path, &operations);
        assert_eq!(after["displayName"], "I. Frost");
        assert_eq!(after["name"]["familyName"], "Frost");
        assert_eq!(after["name"]["givenName"], "Ida");
        assert_eq!(after["emails"][0]["value"], "i@contoso.example");
        assert_eq!(after[ENTERPRISE]["employeeNumber"], "E-7");
        let kept = [&after["id"], &after["userType"], &after["groups"]];
        assert_eq!(kept, [&made["id"], &made["userType"], &made["groups"]]);
        // The constant of the mapping comes again with every full cycle.
        let constant = json!([{ "op": replace, "path": "userType", "value": "SCIM_FED" }]);
        assert_eq!(entra.modify(&path, &constant)["meta"]["version"], after["meta"]["version"]);
    }
}

#[test]
fn a_manager_is_set_found_and_taken_away() {
    let bridge = TestBridge::start(&settings());
    for mut entra in Entra::both(&bridge) {
        let (_, boss) = entra.create("boss");
        let (path, led) = entra.create("led");
        let manager = format!("{ENTERPRISE}:manager");
        let value =
            if entra.modern() { boss["id"].clone() } else { json!({ "value": boss["id"] }) };
        let operations = json!([{ "op": entra.op("Add"), "path": manager, "value": value }]);
        let after = entra.modify(&path, &operations);
        assert_eq!(after[ENTERPRISE]["manager"]["value"], boss["id"]);
        // The check whether the reference is there.
        let filter = format!("id eq \"{}\" and {manager} eq \"{}\"", id(&led), id(&boss));
        assert_eq!(entra.find("/Users", &filter)["totalResults"], 1);
        let operations = json!([{ "op": entra.op("Remove"), "path": manager }]);
        assert!(entra.modify(&path, &operations)[ENTERPRISE].get("manager").is_none());
    }
}

#[test]
fn a_soft_delete_disables_a_restore_brings_back_and_a_hard_delete_removes() {
    let bridge = TestBridge::start(&settings());
    for mut entra in Entra::both(&bridge) {
        let (path, made) = entra.create("ida");
        for active in [false, true, false] {
            let value = entra.boolean(active);
            let operations =
                json!([{ "op": entra.op("Replace"), "path": "active", "value": value }]);
            assert_eq!(entra.modify(&path, &operations)["active"], active);
            let filter = format!("userName eq \"{}\"", made["userName"].as_str().unwrap());
            let found = entra.find("/Users", &filter);
            assert_eq!(found["Resources"][0]["active"], active, "still returned");
            assert_eq!(found["Resources"][0]["id"], made["id"]);
            assert_eq!(found["Resources"][0]["groups"], made["groups"]);
        }
        assert_eq!(entra.send("DELETE", &path, &Value::Null).status, 204);
        assert_eq!(entra.get(&path).status, 404);
        assert_eq!(entra.send("DELETE", &path, &Value::Null).status, 404);
        let (_, again) = entra.create("ida");
        assert_ne!(again["id"], made["id"]);
    }
}

#[test]
fn security_groups_carry_roles_as_long_as_people_are_in_them() {
    for modern in [false, true] {
        let bridge = TestBridge::start(&settings());
        let mut entra = Entra::form(&bridge, modern);
        let (path, ida) = entra.create("ida");
        let (_, other) = entra.create("other");
        let body = json!({
            "schemas": [GROUP, "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
            "externalId": AUDITORS, "displayName": "Auditors", "members": [],
            "meta": { "resourceType": "Group" },
        });
        let group = entra.send("POST", "/Groups", &body).expect(201);
        assert_eq!(group["id"], AUDITORS, "the configuration names it so");
        let at = format!("/Groups/{AUDITORS}");
        let found = entra.find("/Groups", "displayName eq \"auditors\"");
        assert_eq!(found["Resources"][0]["id"], AUDITORS);
        let add = json!([{ "op": entra.op("Add"), "path": "members",
            "value": [{ "$ref": null, "value": ida["id"] }, { "$ref": null, "value": other["id"] }] }]);
        assert!(matches!(entra.send("PATCH", &at, &patch(&add)).status, 200 | 204));
        let with = entra.get(&path).expect(200);
        assert_eq!(with["roles"], json!([{ "value": "RL_AUDITV", "display": "Audit Viewer" }]));
        let filter = "roles.value eq \"RL_AUDITV\"";
        assert_eq!(entra.find("/Users", filter)["totalResults"], 2);
        let rename =
            json!([{ "op": entra.op("Replace"), "path": "displayName", "value": "Audit" }]);
        assert!(matches!(entra.send("PATCH", &at, &patch(&rename)).status, 200 | 204));
        let remove = if modern {
            json!([{ "op": "remove", "path": format!("members[value eq \"{}\"]", id(&ida)) }])
        } else {
            json!([{ "op": "Remove", "path": "members", "value": [{ "value": ida["id"] }] }])
        };
        assert!(matches!(entra.send("PATCH", &at, &patch(&remove)).status, 200 | 204));
        assert_eq!(entra.get(&path).expect(200).get("roles"), None);
        assert_eq!(entra.find("/Users", filter)["totalResults"], 1);
        let shown = entra.get(&format!("{at}?excludedAttributes=members")).expect(200);
        assert_eq!((&shown["displayName"], shown.get("members")), (&json!("Audit"), None));
        assert_eq!(entra.send("DELETE", &at, &Value::Null).status, 204);
        assert_eq!(entra.find("/Users", filter)["totalResults"], 0);
        // The id that Entra keeps is good through all of that.
        assert_eq!(entra.get(&path).expect(200)["id"], ida["id"]);
    }
}

#[test]
fn the_ids_that_it_keeps_stay_good() {
    let mut bridge = TestBridge::start(&settings());
    let [mut entra, _] = Entra::both(&bridge);
    let (path, made) = entra.create("ida");
    let rename = json!([{ "op": "Replace", "path": "userName", "value": "berg@contoso.example" },
        { "op": "Replace", "path": "externalId", "value": "berg@contoso.example" }]);
    entra.modify(&path, &rename);
    bridge.restart();
    let [mut entra, _] = Entra::both(&bridge);
    let after = entra.get(&path).expect(200);
    assert_eq!((&after["id"], &after["userType"]), (&made["id"], &json!("SCIM_FED")));
    assert_eq!(after["groups"][0]["value"], "USG_FTEMP");
    assert_eq!(after["userName"], "berg@contoso.example");
}

#[test]
fn through_an_activid_mount_it_sees_the_members_that_it_wrote() {
    let mount = "mounts = [{ path = \"/appliance/v2\", dialect = \"activid\" }]";
    let bridge = TestBridge::start(&settings().tenant(mount));
    let client = |token| Client::new(bridge.address(), "/appliance/v2", Some(token));
    let (mut entra, mut plain) = (client("token-of-the-agent"), client("token-of-no-agent"));
    let mut user = |name: &str| {
        let body = json!({ "externalId": name, "userType": "SCIM_FED", "active": true });
        id(&entra.post("/Users", &body).expect(200))
    };
    let (ida, ole) = (user("ida"), user("ole"));
    let both = if ida < ole { [&*ida, &*ole] } else { [&*ole, &*ida] };
    let listed = [json!({ "value": ida })];
    let body = json!({ "displayName": "Pilots", "externalId": "pilots", "members": listed });
    let group = entra.post("/Groups", &body).expect(200);
    assert_eq!(members(&group), [&*ida]);
    let path = format!("/Groups/{}", id(&group));
    let add = json!([{ "op": "Add", "path": "members", "value": [{ "value": ole }] }]);
    entra.send("PATCH", &path, &[], patch(&add).to_string().as_bytes());
    let seen = entra.get(&path).expect(200);
    assert_eq!(members(&seen), both);
    assert_eq!(seen["members"][0]["type"], "User");
    let found = entra.query("/Groups", &[("filter", "displayName eq \"Pilots\"")]).expect(200);
    assert_eq!(members(&found["resources"][0]), both);

    // Others see subgroups, and leave alone whom they do not see.
    assert!(members(&plain.get(&path).expect(200)).is_empty());
    let none = json!({ "displayName": "Pilots", "externalId": "pilots", "members": [] });
    plain.put(&path, &none).expect(200);
    assert_eq!(members(&entra.get(&path).expect(200)), both);
    let one = json!({ "displayName": "Pilots", "externalId": "pilots",
        "members": [{ "value": ole }] });
    assert_eq!(members(&entra.put(&path, &one).expect(200)), [&*ole]);
    assert_eq!(members(&entra.get(&path).expect(200)), [&*ole]);
}

#[test]
fn an_import_brings_federated_users_too() {
    let bridge = TestBridge::start(&settings());
    let mut entra = bridge.client_as("token-of-the-agent");
    let body = json!({ "displayName": "Auditors", "externalId": AUDITORS });
    entra.post("/Groups", &body).expect(201);
    for (group, roles) in [("USG_FTEMP", json!(null)), (AUDITORS, json!("RL_AUDITV"))] {
        let name = |row: &str| format!("{row}.{group}@contoso.example");
        let rows = json!([
            { "userName": name("ida"), "externalId": name("ida"), "userType": "SCIM_FED" },
            { "userName": name("ole") },
            { "userName": name("eva"), "externalId": name("eva"), "userRepositoryId": "entra" },
        ]);
        let body = json!({ "users": rows, "group": { "value": group } });
        let told = entra.post("/Users/.import", &body).expect(202);
        let path = format!("/Users/.import/{}", told["correlationId"].as_str().unwrap());
        let mut told = Value::Null;
        assert!(eventually(Duration::from_mins(1), || {
            told = entra.get(&path).expect(200);
            told["status"] != "importing"
        }));
        assert_eq!(told["nbImported"], 3, "{told}");
        for row in ["ida", "ole", "eva"] {
            let filter = format!("userName eq \"{}\"", name(row));
            let attributes = format!("userType,groups,roles,{SOURCE}");
            let asked = [("filter", &*filter), ("attributes", &*attributes)];
            let found = entra.query("/Users", &asked).expect(200);
            let user = &found["Resources"][0];
            assert_eq!(user["userType"], "SCIM_FED", "{user}");
            assert_eq!(user[SOURCE], json!({ "userRepositoryId": "entra" }));
            assert_eq!(user["groups"][0]["value"], group);
            assert_eq!(user["roles"][0]["value"], roles, "{user}");
        }
    }
}
