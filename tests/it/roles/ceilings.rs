//! Nobody reaches above its own rank, by whatever door.

use std::time::Duration;

use serde_json::{Value, json};

use super::{PATCH, TABLES, operation};
use crate::support::bridge::{Settings, TOKEN, TestBridge};
use crate::support::client::{Answer, Client};
use crate::support::slapd::Slapd;
use crate::support::{company, eventually};

/// The last line of a token that reaches up to the auditors.
const LOW: &str = "max_role = \"RL_AUDITV\"";

/// Where users hold what the life-cycle API gives them.
const LIFE_CYCLE: &str = "urn:scimbridge:schemas:2.0:LifeCycle";

const PARENT: &str = "urn:hid:scim:api:idp:2.0:GroupParent";

/// What an import may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

fn settings(dialect: &str) -> Settings {
    Settings::local()
        .tenant(&format!("dialect = \"{dialect}\"\nlifecycle_api = true"))
        .token("low", "reaches-auditors", &["users:*", "groups:*", "roles:*"])
        .token_line(LOW)
        .token("none", "reaches-nobody", &["users:*", "groups:*", "roles:*"])
        .token("bounded", "may-all-but", &["*"])
        .token_line(LOW)
        .rest(TABLES)
        .rest("[[tenant.group]]\nid = \"ADMINS\"\nroles = [\"RL_CFGMGR\"]\n[[tenant.group]]\nid = \"PLAIN\"")
}

/// A request, and what it is about.
struct Door {
    name: &'static str,
    method: &'static str,
    path: String,
    body: Value,
}

fn door(name: &'static str, method: &'static str, path: String, body: Value) -> Door {
    Door { name, method, path, body }
}

fn patch(operation: &Value) -> Value {
    json!({ "schemas": [PATCH], "Operations": [operation] })
}

impl Door {
    fn go(&self, client: &mut Client) -> Answer {
        client.send(self.method, &self.path, &[], self.body.to_string().as_bytes())
    }

    #[track_caller]
    fn leads(&self, client: &mut Client) {
        let gone = self.go(client);
        assert!((200..300).contains(&gone.status), "{}: {}", self.name, gone.text());
    }

    /// The same as the only operation of a bulk request.
    fn in_bulk(&self, client: &mut Client) -> (String, String) {
        let mut operation = json!({ "method": self.method, "path": self.path, "bulkId": "b" });
        if self.method != "DELETE" {
            operation["data"] = self.body.clone();
        }
        let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": [operation] });
        let answer = client.post("/Bulk", &body).expect(200);
        let done = &answer["Operations"][0];
        (done["status"].as_str().unwrap().to_owned(), done["response"].to_string())
    }
}

/// Users and groups with and without a role above the auditors', for one attempt.
struct Cast {
    admin: String,
    plain: String,
    /// Who has a higher role in one account.
    chief: String,
    /// A group beneath one that carries a role, and one beneath none.
    beneath: String,
    free: String,
    /// A role that is higher, and nobody's.
    role: String,
}

fn cast(client: &mut Client, round: usize) -> Cast {
    let mut make = |path: &str, body: Value| {
        let made = client.post(path, &body).expect(201);
        made["id"].as_str().unwrap().to_owned()
    };
    let admin =
        make("/Users", json!({ "userName": format!("admin{round}"), "roles": ["RL_CFGMGR"] }));
    let plain = make("/Users", json!({ "userName": format!("plain{round}") }));
    let in_account = json!({ "accountRoles": [{ "value": "PLAIN", "type": "RL_CFGMGR" }] });
    let chief =
        make("/Users", json!({ "userName": format!("chief{round}"), (LIFE_CYCLE): in_account }));
    let beneath = make(
        "/Groups",
        json!({ "displayName": format!("beneath{round}"),
        (PARENT): { "parent": { "value": "ADMINS" } } }),
    );
    let free = make("/Groups", json!({ "displayName": format!("free{round}") }));
    let role = make("/Roles", json!({ "name": format!("high{round}"), "rank": 15 }));
    Cast { admin, plain, chief, beneath, free, role }
}

/// Every way to give, to take, or to write to somebody above.
fn doors(cast: &Cast, round: usize) -> Vec<Door> {
    let Cast { admin, plain, chief, beneath, free, role } = cast;
    let user = |id: &str| format!("/Users/{id}");
    let group = |id: &str| format!("/Groups/{id}");
    let member = |id: &str| json!([{ "value": id }]);
    let named = |name: &str| json!({ "userName": format!("{name}{round}") });
    let with = |mut body: Value, name: &str, value: Value| {
        body[name] = value;
        body
    };
    let p = |path: String, name: &'static str, operation: &Value| {
        let body = patch(operation);
        door(name, "PATCH", path, body)
    };
    vec![
        door(
            "POST with a role",
            "POST",
            "/Users".into(),
            with(named("new"), "roles", json!(["RL_CFGMGR"])),
        ),
        door(
            "POST in any case",
            "POST",
            "/Users".into(),
            with(named("new"), "roles", json!(["rl_CFGmgr"])),
        ),
        door(
            "PUT that gives",
            "PUT",
            user(plain),
            with(named("plain"), "roles", json!([{ "value": "RL_CFGMGR" }])),
        ),
        p(
            user(plain),
            "PATCH that gives",
            &operation("add", "roles", json!([{ "value": "RL_CFGMGR" }])),
        ),
        p(
            user(plain),
            "PATCH without a path",
            &json!({ "op": "add", "value": { "roles": ["RL_CFGMGR"] } }),
        ),
        door("PUT that takes", "PUT", user(admin), named("admin")),
        p(user(admin), "PATCH that takes", &json!({ "op": "remove", "path": "roles" })),
        p(user(admin), "PATCH of something else", &operation("replace", "title", json!("x"))),
        p(user(admin), "PATCH that disables", &operation("replace", "active", json!(false))),
        door("DELETE of a user", "DELETE", user(admin), Value::Null),
        p(
            user(plain),
            "a role in an account",
            &json!({ "op": "add", "path": LIFE_CYCLE, "value": { "accountRoles": [{ "value": "PLAIN",
                "type": "rl_cfgmgr" }] } }),
        ),
        p(
            user(chief),
            "a role in an account goes",
            &json!({ "op": "remove", "path": format!("{LIFE_CYCLE}:accountRoles") }),
        ),
        p(user(chief), "PATCH of a chief", &operation("replace", "title", json!("x"))),
        door("DELETE of a chief", "DELETE", user(chief), Value::Null),
        p(group("ADMINS"), "a member comes", &operation("add", "members", member(plain))),
        p(group("ADMINS"), "members go", &json!({ "op": "remove", "path": "members" })),
        door(
            "PUT of members",
            "PUT",
            group("ADMINS"),
            json!({ "displayName": "ADMINS", "members": member(plain) }),
        ),
        p(group(beneath), "a member comes beneath", &operation("add", "members", member(plain))),
        p(group("ADMINS"), "a group comes", &operation("add", "members", member(free))),
        p(
            group(free),
            "a group moves beneath",
            &operation("add", PARENT, json!({ "parent": { "value": "ADMINS" } })),
        ),
        p(
            group(beneath),
            "a group moves away",
            &json!({ "op": "remove", "path": format!("{PARENT}:parent") }),
        ),
        door(
            "POST of a group beneath",
            "POST",
            "/Groups".into(),
            json!({ "displayName": format!("x{round}"),
            (PARENT): { "parent": { "value": "ADMINS" } } }),
        ),
        door("DELETE of a group between", "DELETE", group(beneath), Value::Null),
        door("POST of a role", "POST", "/Roles".into(), json!({ "name": "x", "rank": 11 })),
        p(format!("/Roles/{role}"), "PATCH of a role", &operation("replace", "name", json!("x"))),
        door("DELETE of a role", "DELETE", format!("/Roles/{role}"), Value::Null),
    ]
}

/// The same by the life-cycle API.
fn applications(cast: &Cast, round: usize) -> Vec<Door> {
    let user = |id: &str| format!("/api/users/{id}");
    let all = "/api/applications/acme/users";
    let membership =
        |account: &str, roles: &[&str]| json!([{ "account": account, "roles": roles }]);
    let new = |memberships: Value| json!({ "credentials": { "userName": format!("new{round}") }, "memberships": memberships });
    let joined = |memberships: Value| json!({ "memberships": memberships });
    let (none, high) = (&[][..], &["RL_CFGMGR"][..]);
    let (plain, chief) = (user(&cast.plain), user(&cast.chief));
    vec![
        door("POST into a group", "POST", all.into(), new(membership("ADMINS", none))),
        door("POST with a role", "POST", all.into(), new(membership("PLAIN", high))),
        door("a group comes", "PATCH", plain.clone(), joined(membership("ADMINS", none))),
        door("a role comes", "PATCH", plain, joined(membership("PLAIN", high))),
        door("a role goes", "PATCH", chief.clone(), joined(json!([]))),
        door("a chief is blocked", "PATCH", chief.clone(), json!({ "status": "suspended" })),
        door(
            "another address",
            "PATCH",
            chief.clone(),
            json!({ "credentials": { "email": "x@y.org" } }),
        ),
        door("DELETE of a chief", "DELETE", chief, Value::Null),
        door("an admin is blocked", "PATCH", user(&cast.admin), json!({ "status": "disabled" })),
        door("DELETE of an admin", "DELETE", user(&cast.admin), Value::Null),
    ]
}

fn anywhere(bridge: &TestBridge, token: &str) -> Client {
    Client::new(bridge.address(), "", Some(token))
}

#[test]
fn no_door_leads_above() {
    let bridge = TestBridge::start(&settings("rfc"));
    let mut admin = bridge.client();
    let first = cast(&mut admin, 0);
    let counts = [doors(&first, 0).len(), applications(&first, 0).len()];
    for token in ["reaches-auditors", "reaches-nobody", "may-all-but"] {
        let mut low = bridge.client_as(token);
        let round = token.len();
        let cast = cast(&mut admin, round);
        let doors = doors(&cast, round);
        let before = bridge.audit().len();
        let shut = |door: &Door, client: &mut Client| {
            let refused = door.go(client);
            assert_eq!(refused.status, 403, "{token}: {}: {}", door.name, refused.text());
            let detail = refused.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains("has rank") && detail.contains("reaches up to"), "{detail}");
            if token != "reaches-nobody" {
                assert!(detail.contains("\"RL_AUDITV\", which has rank 10"), "{detail}");
            }
        };
        for door in &applications(&cast, round) {
            shut(door, &mut anywhere(&bridge, token));
        }
        for door in &doors {
            shut(door, &mut low);
            let (status, response) = door.in_bulk(&mut low);
            assert_eq!(status, "403", "{token}: {} in bulk: {response}", door.name);
        }
        assert_eq!(bridge.audit().len(), before, "what is refused is no change");
    }
    // They are doors: whoever reaches that far goes through each of them.
    for place in 0..counts[0] {
        let cast = cast(&mut admin, 100 + place);
        doors(&cast, 100 + place)[place].leads(&mut admin);
    }
    for place in 0..counts[1] {
        let cast = cast(&mut admin, 200 + place);
        applications(&cast, 200 + place)[place].leads(&mut anywhere(&bridge, TOKEN));
    }
}

#[test]
fn what_is_not_above_is_open() {
    let bridge = TestBridge::start(&settings("rfc"));
    let mut admin = bridge.client();
    let mut low = bridge.client_as("reaches-auditors");
    let mut none = bridge.client_as("reaches-nobody");
    let anna = low.post("/Users", &json!({ "userName": "anna", "roles": ["RL_AUDITV", "poet"] }));
    let anna = anna.expect(201);
    let path = format!("/Users/{}", anna["id"].as_str().unwrap());
    let title = |title: &str| patch(&operation("replace", "title", json!(title)));
    low.patch(&path, &title("a")).expect(200);
    none.patch(&path, &title("b")).expect(403);
    // What changes nothing is no change, and a text that is no role is of no rank.
    none.patch(&path, &title("a")).expect(200);
    let body = json!({ "userName": "berta", "roles": ["poet", "RL_STAFF"] });
    let berta = none.post("/Users", &body).expect(201);
    none.delete(&format!("/Users/{}", berta["id"].as_str().unwrap())).expect(204);
    // Groups without roles are everybody's; those with low ones are theirs who reach as high.
    let members = patch(&operation("add", "members", json!([{ "value": anna["id"] }])));
    none.patch("/Groups/PLAIN", &members).expect(200);
    none.patch("/Groups/USG_AUDIT", &members).expect(403);
    low.patch("/Groups/USG_AUDIT", &members).expect(200);
    // In a group that carries a higher role, everybody is above.
    admin.patch("/Groups/ADMINS", &members).expect(200);
    low.patch(&path, &title("c")).expect(403);
    low.delete(&path).expect(403);
}

#[test]
fn a_role_that_somebody_has_in_an_account_stays() {
    let bridge = TestBridge::start(&settings("rfc"));
    let (mut admin, mut api) = (bridge.client(), anywhere(&bridge, TOKEN));
    let role = admin.post("/Roles", &json!({ "name": "Pilot" })).expect(201);
    let body = json!({ "credentials": { "userName": "ann" },
        "memberships": [{ "account": "PLAIN", "roles": [role["id"]] }] });
    let ann = api.post("/api/applications/acme/users", &body).expect(201);
    let path = format!("/Roles/{}", role["id"].as_str().unwrap());
    admin.delete(&path).expect(409);
    api.delete(&format!("/api/users/{}", ann["id"].as_str().unwrap())).expect(204);
    admin.delete(&path).expect(204);
}

#[test]
fn groups_through_the_user_are_a_door_too() {
    let bridge = TestBridge::start(&settings("activid"));
    let mut admin = bridge.client();
    let person = |id: &str, group: &str| {
        json!({ "externalId": id, "userName": id, "groups": [{ "value": group }],
            "name": { "familyName": "Doe", "givenName": "John" } })
    };
    let plain = admin.post("/Users", &person("plain", "PLAIN")).expect(200);
    let high = admin.post("/Users", &person("high", "ADMINS")).expect(200);
    let (plain, high) = (&plain["id"], &high["id"]);
    let path = |id: &Value| format!("/Users/{}", id.as_str().unwrap());
    let replace = |group: &str| patch(&operation("replace", "groups", json!([{ "value": group }])));
    for token in ["reaches-auditors", "reaches-nobody", "may-all-but"] {
        let mut low = bridge.client_as(token);
        low.post("/Users", &person("new", "ADMINS")).expect(403);
        low.put(&path(plain), &person("plain", "ADMINS")).expect(403);
        low.patch(&path(plain), &replace("ADMINS")).expect(403);
        low.put(&path(high), &person("high", "PLAIN")).expect(403);
        low.patch(&path(high), &replace("PLAIN")).expect(403);
        low.patch(&path(high), &patch(&json!({ "op": "remove", "path": "groups" }))).expect(403);
        low.put(&path(plain), &person("plain", "PLAIN")).expect(200);
    }
    let mut low = bridge.client_as("reaches-auditors");
    low.patch(&path(plain), &replace("USG_AUDIT")).expect(200);
    admin.patch(&path(high), &replace("PLAIN")).expect(200);
    low.patch(&path(high), &replace("USG_AUDIT")).expect(200);
}

#[test]
fn a_role_in_an_account_is_known_by_its_number() {
    let bridge = TestBridge::start(&settings("rfc"));
    let mut admin = bridge.client();
    let role = admin.post("/Roles", &json!({ "name": "Chief", "rank": 15 })).expect(201);
    let role = role["id"].as_str().unwrap();
    let number =
        bridge.query(&format!("SELECT CAST(number AS TEXT) FROM resources WHERE id = '{role}'"));
    let in_account = json!({ "accountRoles": [{ "value": "PLAIN", "type": number[0] }] });
    let body = json!({ "userName": "ann", (LIFE_CYCLE): in_account });
    let mut low = bridge.client_as("reaches-auditors");
    low.post("/Users", &body).expect(403);
    let ann = admin.post("/Users", &body).expect(201);
    let path = format!("/Users/{}", ann["id"].as_str().unwrap());
    let kept = json!([{ "value": "PLAIN", "type": role }]);
    assert_eq!(ann[LIFE_CYCLE]["accountRoles"], kept);
    // The same role under its other name is the same one.
    let add = json!({ "op": "add", "path": format!("{LIFE_CYCLE}:accountRoles"), "value": [
        { "value": "PLAIN", "type": number[0] }, { "value": "PLAIN", "type": role.to_uppercase() },
        { "value": "PLAIN", "type": "no role" },
    ] });
    let after = admin.patch(&path, &json!({ "Operations": [add] })).expect(200);
    let both = json!([kept[0], { "value": "PLAIN", "type": "no role" }]);
    assert_eq!(after[LIFE_CYCLE]["accountRoles"], both);
    low.delete(&path).expect(403);
    admin.delete(&format!("/Roles/{role}")).expect(409);
    admin.delete(&path).expect(204);
    admin.delete(&format!("/Roles/{role}")).expect(204);
}

/// The directory's people, of whom a rule makes the second an administrator.
fn over(slapd: &Slapd) -> Settings {
    let uid = company::person(2).uid;
    Settings::over(slapd)
        .with(&format!(
            "[[tenant.repository.rule]]\nfilter = \"(uid={uid})\"\nroles = [\"RL_CFGMGR\"]"
        ))
        .token("low", "reaches-auditors", &["*"])
        .token_line(LOW)
        .token_line("binds = true")
        .rest(TABLES)
        .rest("[[tenant.authenticator_policy]]\nid = \"AT_PWD\"\ntype = \"login\"")
        .rest("[[tenant.group]]\nid = \"ADMINS\"\nroles = [\"RL_CFGMGR\"]")
}

/// Rows that mean the people with these numbers.
fn people(numbers: &[usize]) -> Vec<Value> {
    let uids = numbers.iter().map(|number| company::person(*number).uid);
    uids.map(|uid| json!({ "userName": uid, "externalId": uid })).collect()
}

fn queued(client: &mut Client, users: &[Value], group: &Value) -> String {
    let body = json!({ "users": users, "group": { "value": group } });
    let told = client.post("/Users/.import", &body).expect(202);
    format!("/Users/.import/{}", told["correlationId"].as_str().unwrap())
}

/// How many rows of an import made a user, and how many were refused; and the whole answer.
fn imported(client: &mut Client, path: &str) -> (u64, u64, String) {
    let mut told = Value::Null;
    assert!(
        eventually(PATIENCE, || {
            told = client.get(path).expect(200);
            told["status"] != "importing"
        }),
        "{told}"
    );
    let count = |name: &str| told[name].as_u64().unwrap();
    (count("nbImported"), count("nbFailed"), told.to_string())
}

#[test]
fn nobody_binds_somebody_above() {
    let bridge = TestBridge::start(&over(Slapd::shared()));
    let (mut admin, mut low) = (bridge.client(), bridge.client_as("reaches-auditors"));
    let group = admin.post("/Groups", &json!({ "displayName": "New" })).expect(201);
    let filter = format!("userName eq \"{}\"", company::person(2).uid);
    let query = [("searchRepositories", "true"), ("filter", &*filter)];
    let found = admin.query("/Users", &query).expect(200);
    let owner = json!({ "value": found["Resources"][0]["id"] });
    let authenticator = json!({ "owner": owner, "policy": { "value": "AT_PWD" } });
    let before = bridge.audit().len();
    for (path, body) in [
        ("/Authenticator", &authenticator),
        ("/Device", &json!({ "type": "DT_ANY", "owner": owner })),
        ("/Users", &people(&[2])[0]),
    ] {
        let refused = low.post(path, body).expect(403);
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains("\"RL_CFGMGR\" has rank 20"), "{path}: {detail}");
    }
    assert_eq!(bridge.audit().len(), before, "what is refused is no change");
    let path = queued(&mut low, &people(&[1, 2, 3]), &group["id"]);
    let (made, failed, told) = imported(&mut low, &path);
    assert_eq!((made, failed), (2, 1), "{told}");
    assert!(told.contains("has rank 20"), "{told}");
    admin.post("/Authenticator", &authenticator).expect(201);
}

#[test]
fn a_group_that_came_to_carry_more_is_not_filled() {
    let slapd = Slapd::company(10);
    let bridge = TestBridge::start(&over(&slapd));
    let (mut admin, mut low) = (bridge.client(), bridge.client_as("reaches-auditors"));
    let group = admin.post("/Groups", &json!({ "displayName": "New" })).expect(201);
    // The job waits for the directory.
    slapd.kill();
    let path = queued(&mut low, &people(&[1, 3]), &group["id"]);
    let parent = operation("add", PARENT, json!({ "parent": { "value": "ADMINS" } }));
    admin.patch(&format!("/Groups/{}", group["id"].as_str().unwrap()), &patch(&parent)).expect(200);
    slapd.restart();
    let (made, failed, told) = imported(&mut low, &path);
    assert_eq!((made, failed), (0, 2), "{told}");
    assert!(told.contains("has rank 20"), "{told}");
}
