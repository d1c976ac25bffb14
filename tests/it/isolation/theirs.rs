//! The other tenant: what it has, every string of which is its own, and how to look at all of it.

use serde_json::{Value, json};

use crate::support::bridge::{TestBridge, digest, run};
use crate::support::client::Client;
use crate::support::company;
use crate::support::eventually;
use crate::support::slapd::{PASSWORD, READER, SUFFIX, Slapd};

pub const BASE: &str = "/scim/beta/v2";
const TOKEN: &str = "of-the-other-tenant";
/// What all that only the other tenant knows begins with.
const MARK: &str = "quagga";
/// Somebody of the directory whom the other tenant has bound.
const BOUND: usize = 42;
const LIFE_CYCLE: &str = "urn:scimbridge:schemas:2.0:LifeCycle";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

pub fn tables(slapd: &Slapd) -> String {
    format!(
        r#"
[[tenant]]
name = "beta"
lifecycle_api = true
[[tenant.token]]
name = "theirs"
sha256 = "{}"
permissions = ["*"]
[[tenant.group]]
id = "QUAGGA_CREW"
display = "quagga-configured"
[[tenant.role]]
id = "QUAGGA_PILOT"
display = "quagga-pilot"
[[tenant.authenticator_policy]]
id = "AT_PWD"
type = "login"
[[tenant.repository]]
id = "corp"
urls = ["{}"]
bind_dn = "{READER}"
bind_password = "{PASSWORD}"
base = "ou=people,{SUFFIX}"
filter = "(objectClass=inetOrgPerson)"
mapping = "openldap"
"#,
        digest(TOKEN),
        slapd.url()
    )
}

/// A resource of theirs.
#[derive(Clone, Debug)]
pub struct Target {
    pub endpoint: &'static str,
    pub id: String,
    pub tag: String,
}

pub struct Theirs {
    client: Client,
    /// What was never sent by us to be kept.
    secrets: Vec<String>,
    pub targets: Vec<Target>,
    pub names: Vec<String>,
    pub cursors: Vec<String>,
    pub import: String,
    /// The mapped `externalId` of whom they have bound, which is no secret.
    pub bound: String,
}

impl Theirs {
    /// Makes something of every kind.
    pub fn settle(bridge: &TestBridge) -> Self {
        let client = Client::new(bridge.address(), BASE, Some(TOKEN));
        let bound = company::person(BOUND);
        let mut theirs = Self {
            client,
            secrets: vec!["QUAGGA_CREW".to_owned(), "QUAGGA_PILOT".to_owned()],
            targets: Vec::new(),
            names: Vec::new(),
            cursors: Vec::new(),
            import: String::new(),
            bound: bound.uid,
        };
        theirs.secrets.extend(["quagga-configured", "quagga-pilot"].map(str::to_owned));
        let users: Vec<String> =
            (1..=3).map(|number| theirs.make("/Users", &user(number))).collect();
        theirs.members(&users);
        let gone = theirs
            .make("/Users", &json!({ "userName": "quagga-gone", "externalId": "quagga-left" }));
        theirs.client.delete(&format!("/Users/{gone}")).expect(204);
        let path = format!("/Users/corp.{}", bound.entry_uuid);
        let nick =
            json!({ "Operations": [{ "op": "add", "path": "nickName", "value": "quagga-nick" }] });
        let answer = theirs.client.patch(&path, &nick);
        theirs.learn("/Users", &answer.expect(200));
        theirs.import();
        let lists = [
            "/Users?cursor=&count=1",
            "/Groups?cursor=&count=1",
            "/Users?cursor=&count=1&searchRepositories=true",
        ];
        for list in lists {
            let page = theirs.client.get(list).expect(200);
            if let Some(next) = page["nextCursor"].as_str() {
                theirs.cursors.push(next.to_owned());
            }
        }
        assert!(theirs.cursors.len() > 1, "there are more than one of most");
        theirs.secrets.extend(theirs.cursors.clone());
        assert!(theirs.secrets.len() > 40, "{:?}", theirs.secrets);
        theirs
    }

    fn members(&mut self, users: &[String]) {
        let members: Vec<Value> = users.iter().map(|id| json!({ "value": id })).collect();
        self.make("/Groups", &json!({ "displayName": "quagga-herd", "members": members }));
        self.make("/Groups", &json!({ "displayName": "quagga-foals" }));
        self.make("/Roles", &json!({ "name": "quagga-role", "rank": 3 }));
        let device = json!({ "type": "DT_QUAGGA", "friendlyName": "quagga-phone", "externalId": "quagga-serial",
            "owner": { "value": users[0] } });
        self.make("/Device", &device);
        let authenticator = json!({ "owner": { "value": users[0] }, "policy": { "value": "AT_PWD" },
            "externalId": "quagga-login" });
        self.make("/Authenticator", &authenticator);
    }

    fn import(&mut self) {
        let group = self.make("/Groups", &json!({ "displayName": "quagga-imported" }));
        let row = json!({ "userName": "quagga-import", "externalId": "quagga-row" });
        let body = json!({ "users": [row, row], "group": { "value": group } });
        let made = self.client.post("/Users/.import", &body).expect(202);
        made["correlationId"].as_str().unwrap().clone_into(&mut self.import);
        self.secrets.push(self.import.clone());
        let path = format!("/Users/.import/{}", self.import);
        let mut report = Value::Null;
        let done = eventually(std::time::Duration::from_secs(30), || {
            report = self.client.get(&path).expect(200);
            report["status"] != "importing"
        });
        assert!(done, "{report}");
    }

    fn make(&mut self, endpoint: &'static str, body: &Value) -> String {
        let answer = self.client.post(endpoint, body);
        let made = answer.expect(201);
        self.learn(endpoint, &made);
        made["id"].as_str().unwrap().to_owned()
    }

    /// Every text of a resource that bears the mark is a secret, and so is its id if it is random.
    fn learn(&mut self, endpoint: &'static str, resource: &Value) {
        let id = resource["id"].as_str().unwrap().to_owned();
        let mut texts = vec![];
        collect(resource, &mut texts);
        self.secrets.extend(texts.into_iter().filter(|text| text.starts_with(MARK)));
        // The long form of somebody of the directory is the same in every tenant.
        if !id.starts_with("corp.") {
            self.secrets.push(id.clone());
        }
        let names = ["userName", "externalId", "displayName", "name"];
        self.names
            .extend(names.iter().filter_map(|name| resource[name].as_str()).map(str::to_owned));
        let tag = resource["meta"]["version"].as_str().unwrap_or("W/\"1\"").to_owned();
        self.targets.push(Target { endpoint, id, tag });
    }

    pub fn secrets(&self) -> impl Iterator<Item = &String> {
        self.secrets.iter()
    }

    pub fn forget_what_is_in(&mut self, sent: &str) {
        self.secrets.retain(|secret| !sent.contains(secret.as_str()));
    }

    /// They ask the same of their own, so that it is in every cache.
    pub fn warm(&mut self, path: &str) {
        if let Some(path) = path.strip_prefix("/scim/acme/v2") {
            let path = path.to_owned();
            let _ = self.client.get(&path);
        }
    }

    /// All that they have, as they see it themselves.
    pub fn dump(&mut self, bridge: &TestBridge) -> Vec<String> {
        let mut dump = Vec::new();
        for endpoint in ["/Users", "/Groups", "/Roles", "/Device", "/Authenticator"] {
            let list = self.client.get(&format!("{endpoint}?count=100&sortBy=id")).expect(200);
            for one in list["Resources"].as_array().unwrap() {
                dump.push(one.to_string());
                let path = format!("{endpoint}/{}", one["id"].as_str().unwrap());
                let alone = self.client.send("GET", &path, &[("Cache-Control", "no-cache")], b"");
                dump.push(format!("{:?} {}", alone.header("etag"), alone.text()));
            }
            dump.push(list["totalResults"].to_string());
        }
        let paths = [
            "/Users?bulkImportFormat=true&count=100&sortBy=id".to_owned(),
            format!(
                "/Users?searchRepositories=true&filter=userName+eq+%22{}%22&attributes=id,userType,nickName",
                self.bound
            ),
            format!("/Users/.import/{}", self.import),
        ];
        for path in paths {
            // Past the caches, else it tells how old their answer is.
            let answer = self.client.send("GET", &path, &[("Cache-Control", "no-cache")], b"");
            dump.push(answer.text());
        }
        let listed = [
            "audit",
            "list",
            "--config",
            "scimbridge.toml",
            "--tenant",
            "beta",
            "--format",
            "json",
            "--limit",
            "100000",
        ];
        let listed = run(bridge.directory(), &listed);
        assert!(listed.status.success(), "{listed:?}");
        dump.push(String::from_utf8(listed.stdout).unwrap());
        // Who left, until they are forgotten, and the address that was kept of them.
        let sql = "SELECT d.digest || d.person FROM departed d JOIN tenants t ON t.key = d.tenant \
                   WHERE t.name = 'beta' ORDER BY d.digest, d.person";
        dump.extend(bridge.query(sql));
        dump
    }
}

fn user(number: usize) -> Value {
    json!({
        "userName": format!("quagga-{number}"), "externalId": format!("quagga-ext-{number}"),
        "displayName": format!("quagga-display-{number}"), "title": format!("quagga-title-{number}"),
        "name": { "givenName": format!("quagga-given-{number}") },
        "emails": [{ "value": format!("quagga-{number}@example.org"), "primary": true }],
        "photos": [{ "value": format!("https://photos.example/quagga-{number}") }],
        (ENTERPRISE): { "department": format!("quagga-department-{number}") },
        (LIFE_CYCLE): { "status": "active", "accountRoles": [{ "value": "QUAGGA_CREW", "type": "quagga-star" }] },
    })
}

fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(all) => all.iter().for_each(|one| collect(one, texts)),
        Value::Object(members) => members.values().for_each(|one| collect(one, texts)),
        _ => {}
    }
}
