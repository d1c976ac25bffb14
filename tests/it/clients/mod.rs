//! What provisioning clients send in practice, step by step over the real program, each with a token of
//! its client mode. Knows no behaviour of its own: every expectation stands in the test of its client.

mod entra;
mod entra_validator;
mod groups;
mod okta;
mod others;
mod provisioned;

use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::{Answer, Client};

pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
pub const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
pub const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// One bridge for all of them: each test has names that no other uses.
fn bridge() -> &'static TestBridge {
    static BRIDGE: OnceLock<TestBridge> = OnceLock::new();
    BRIDGE.get_or_init(|| {
        let mut settings = Settings::local();
        for mode in ["rfc", "entra", "okta"] {
            settings = settings
                .token(mode, &format!("token-of-{mode}"), &["scim:provision"])
                .token_line(&format!("client = \"{mode}\""));
        }
        TestBridge::start(&settings)
    })
}

/// One client that provisions: its token, and the headers that it always sends.
pub struct Provisioner {
    client: Client,
    headers: &'static [(&'static str, &'static str)],
}

impl Provisioner {
    pub fn entra() -> Self {
        let headers = &[("Content-Type", "application/scim+json; charset=utf-8")];
        Self { client: bridge().client_as("token-of-entra"), headers }
    }

    pub fn okta() -> Self {
        let headers = &[("User-Agent", "Okta SCIM Client 1.0.0")];
        Self { client: bridge().client_as("token-of-okta"), headers }
    }

    /// A client that follows the standard, as far as its mode goes.
    pub fn plain() -> Self {
        Self { client: bridge().client_as("token-of-rfc"), headers: &[] }
    }

    /// The same client with a token that nobody gave out.
    pub fn stranger(&self) -> Self {
        Self { client: bridge().client_as("guessed"), headers: self.headers }
    }

    /// Any request, with the path and the query as they are.
    pub fn send(&mut self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.client.send(method, path, self.headers, body.as_bytes())
    }

    #[track_caller]
    pub fn read(&mut self, path: &str) -> Value {
        self.send("GET", path, None).expect(200)
    }

    #[track_caller]
    pub fn find(&mut self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let list = self.client.query(path, parameters).expect(200);
        assert_eq!(list["schemas"], json!([LIST]), "{list}");
        for number in ["totalResults", "startIndex", "itemsPerPage"] {
            assert!(list[number].is_u64(), "{number} is a whole number: {list}");
        }
        list
    }

    /// The one resource that fits a filter, or `null` where none does.
    #[track_caller]
    pub fn find_one(&mut self, path: &str, filter: &str) -> Value {
        let mut list = self.find(path, &[("filter", filter)]);
        match list["totalResults"].as_u64() {
            Some(0) => Value::Null,
            Some(1) => list["Resources"][0].take(),
            _ => panic!("more than one for {filter}: {list}"),
        }
    }

    /// Creates a resource; answers its path and how it is shown.
    #[track_caller]
    pub fn create(&mut self, path: &str, body: &Value) -> (String, Value) {
        let answer = self.send("POST", path, Some(body));
        let shown = answer.expect(201);
        let path = format!("{path}/{}", id(&shown));
        assert!(answer.header("location").is_some_and(|location| location.ends_with(&path)));
        assert_eq!(self.read(&path), shown, "what was answered is what is there");
        (path, shown)
    }

    /// A PATCH that must succeed; answers what a GET shows afterwards.
    #[track_caller]
    pub fn modify(&mut self, path: &str, operations: &Value) -> Value {
        let answer = self.send("PATCH", path, Some(&patch(operations)));
        let shown = self.read(path);
        match answer.status {
            204 => {}
            _ => assert_eq!(answer.expect(200), shown, "what was answered is what is there"),
        }
        shown
    }

    #[track_caller]
    pub fn replace(&mut self, path: &str, body: &Value) -> Value {
        let shown = self.send("PUT", path, Some(body)).expect(200);
        assert_eq!(self.read(path), shown, "what was answered is what is there");
        shown
    }

    #[track_caller]
    pub fn remove(&mut self, path: &str) {
        assert_eq!(self.send("DELETE", path, None).status, 204);
        self.refused("GET", path, None, 404);
    }

    /// A request that must be refused so, with an error as RFC 7644 section 3.12 has it.
    #[track_caller]
    pub fn refused(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        status: u16,
    ) -> Value {
        let error = self.send(method, path, body).expect(status);
        assert_eq!(error["schemas"], json!([ERROR]));
        assert_eq!(error["status"], status.to_string());
        assert!(error["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{error}");
        error
    }
}

pub fn patch(operations: &Value) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": operations,
    })
}

pub fn id(resource: &Value) -> String {
    resource["id"].as_str().expect("a resource has an id").to_owned()
}

/// The ids of a group's members, in order of their names' bytes.
pub fn members(group: &Value) -> Vec<String> {
    let members = group["members"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut ids: Vec<String> = members.iter().map(|member| text(&member["value"])).collect();
    ids.sort();
    ids
}

pub fn sorted<const N: usize>(mut ids: [&str; N]) -> [&str; N] {
    ids.sort_unstable();
    ids
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Every operation with a path has done what it says: the path shows its value.
#[track_caller]
pub fn shows_each(resource: &Value, operations: &Value) {
    for operation in operations.as_array().unwrap() {
        let path = operation["path"].as_str().unwrap();
        assert_eq!(at(resource, path), &operation["value"], "{path} of {resource}");
    }
}

/// What stands at a path such as `emails[type eq "work"].value`; `null` where nothing does.
pub fn at<'a>(resource: &'a Value, path: &str) -> &'a Value {
    let (extension, path) = match path.rfind(':') {
        Some(colon) if path.starts_with("urn:") => (Some(&path[..colon]), &path[colon + 1..]),
        _ => (None, path),
    };
    let mut place = extension.map_or(resource, |urn| &resource[urn]);
    for step in path.split('.') {
        place = match step.strip_suffix(']').and_then(|step| step.split_once('[')) {
            Some((name, condition)) => chosen(&place[name], condition),
            None => &place[step],
        };
    }
    place
}

/// The first element that `name eq value` chooses.
fn chosen<'a>(elements: &'a Value, condition: &str) -> &'a Value {
    let (name, value) = condition.split_once(" eq ").expect("a condition with eq");
    let fits =
        |element: &&Value| text(&element[name]).eq_ignore_ascii_case(value.trim_matches('"'));
    let elements = elements.as_array().map(Vec::as_slice).unwrap_or_default();
    elements.iter().find(fits).unwrap_or(&Value::Null)
}

#[test]
fn paths_are_read_as_clients_write_them() {
    let user = json!({
        "emails": [{ "type": "home", "value": "h" }, { "type": "work", "value": "w" }],
        "roles": [{ "primary": true, "value": "r" }],
        "name": { "givenName": "g" },
        (ENTERPRISE): { "manager": { "value": "m" } },
    });
    for (path, value) in [
        ("emails[type eq \"work\"].value", json!("w")),
        ("emails[type eq \"other\"].value", json!(null)),
        ("roles[primary eq \"True\"].value", json!("r")),
        ("name.givenName", json!("g")),
        ("title", json!(null)),
        (&format!("{ENTERPRISE}:manager.value"), json!("m")),
    ] {
        assert_eq!(at(&user, path), &value, "{path}");
    }
}
