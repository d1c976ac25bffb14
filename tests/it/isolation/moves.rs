//! What we try: every route, with ids, names, versions, cursors and links of the other tenant.

use form_urlencoded::Serializer;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::theirs::{BASE, Target, Theirs};

const OURS: &str = "/scim/acme/v2";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// What is done to, or by means of, something of theirs.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Read,
    ReadFresh,
    Replace,
    Modify,
    Remove,
    Create,
    CreateGroup,
    CreateRole,
    Own,
    Authenticate,
    Manage,
    Bind,
    BindByPath,
    List,
    Search,
    SearchMessage,
    SearchEverywhere,
    Walk,
    Export,
    Bulk,
    Import,
    ImportReport,
    ImportCancel,
    Forget,
    ForgetOne,
    Applications,
    Application,
    Join,
    Leave,
    Trespass,
}

const DEEDS: [Deed; 30] = [
    Deed::Read,
    Deed::ReadFresh,
    Deed::Replace,
    Deed::Modify,
    Deed::Remove,
    Deed::Create,
    Deed::CreateGroup,
    Deed::CreateRole,
    Deed::Own,
    Deed::Authenticate,
    Deed::Manage,
    Deed::Bind,
    Deed::BindByPath,
    Deed::List,
    Deed::Search,
    Deed::SearchMessage,
    Deed::SearchEverywhere,
    Deed::Walk,
    Deed::Export,
    Deed::Bulk,
    Deed::Import,
    Deed::ImportReport,
    Deed::ImportCancel,
    Deed::Forget,
    Deed::ForgetOne,
    Deed::Applications,
    Deed::Application,
    Deed::Join,
    Deed::Leave,
    Deed::Trespass,
];

#[derive(Clone, Debug)]
pub struct Move {
    deed: Deed,
    at: Index,
    say: Index,
    /// With their version, after they have asked the same.
    tagged: bool,
    warmed: bool,
}

pub fn moves() -> impl Strategy<Value = Move> {
    (select(&DEEDS[..]), any::<Index>(), any::<Index>(), any::<bool>(), any::<bool>())
        .prop_map(|(deed, at, say, tagged, warmed)| Move { deed, at, say, tagged, warmed })
}

/// As it goes over the wire.
#[derive(Debug)]
pub struct Request {
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    /// By the token that may bind.
    pub binds: bool,
    /// They ask the same before.
    pub warmed: bool,
}

impl Move {
    pub fn request(&self, theirs: &Theirs) -> Request {
        let Target { endpoint, id, tag } = self.at.get(&theirs.targets);
        let name = self.say.get(&theirs.names);
        let (method, path, body) = self.asks(theirs, endpoint, id, name);
        let path = match self.deed {
            Deed::Trespass => format!("{BASE}{path}"),
            _ if path.starts_with("/api/") => path,
            _ => format!("{OURS}{path}"),
        };
        let mut headers = Vec::new();
        if self.tagged && matches!(method, "PUT" | "PATCH" | "DELETE") {
            headers.push(("If-Match", tag.clone()));
        }
        if matches!(self.deed, Deed::ReadFresh) {
            headers.push(("Cache-Control", "no-cache".to_owned()));
            if self.tagged {
                headers.push(("If-None-Match", tag.clone()));
            }
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (binds, warmed) = (matches!(self.deed, Deed::Bind), self.warmed && method == "GET");
        Request { method, path, headers, body, binds, warmed }
    }

    fn asks(
        &self,
        theirs: &Theirs,
        endpoint: &str,
        id: &str,
        name: &str,
    ) -> (&'static str, String, Value) {
        let one = format!("{endpoint}/{id}");
        let user = format!("/Users/{id}");
        let patch = |path: &str, value: Value| json!({ "Operations": [{ "op": "add", "path": path, "value": value }] });
        let nothing = Value::Null;
        match self.deed {
            Deed::Read | Deed::ReadFresh | Deed::Trespass => ("GET", one, nothing),
            Deed::Replace => ("PUT", one, resource(endpoint, "ours")),
            Deed::Modify => ("PATCH", one, change(endpoint)),
            Deed::Remove => ("DELETE", one, nothing),
            Deed::Create => {
                ("POST", "/Users".into(), json!({ "userName": name, "externalId": name }))
            }
            Deed::CreateGroup => (
                "POST",
                "/Groups".into(),
                json!({ "displayName": name, "members": [{ "value": id }] }),
            ),
            Deed::CreateRole => ("POST", "/Roles".into(), json!({ "name": name })),
            Deed::Own => {
                ("POST", "/Device".into(), json!({ "type": "DT_OURS", "owner": { "value": id } }))
            }
            Deed::Authenticate => (
                "POST",
                "/Authenticator".into(),
                json!({ "owner": { "value": id, "display": name }, "policy": { "value": "AT_PWD" } }),
            ),
            Deed::Manage => (
                "POST",
                "/Users".into(),
                json!({ "userName": format!("ours-{}", self.at.index(1000)),
                    "roles": ["QUAGGA_PILOT"], (ENTERPRISE): { "manager": { "value": id } } }),
            ),
            Deed::Bind => (
                "POST",
                "/Users".into(),
                json!({ "userName": theirs.bound, "externalId": theirs.bound, "nickName": "ours" }),
            ),
            Deed::BindByPath => ("PATCH", user, patch("nickName", "ours".into())),
            Deed::List => ("GET", format!("{endpoint}?count=50"), nothing),
            Deed::Search => ("GET", format!("{endpoint}?{}", self.query(id, name)), nothing),
            Deed::SearchMessage => ("POST", format!("{endpoint}/.search"), self.message(id, name)),
            Deed::SearchEverywhere => ("POST", "/.search".into(), self.message(id, name)),
            Deed::Walk => {
                let cursor: &String = self.say.get(&theirs.cursors);
                let mut query = Serializer::new(String::new());
                query.append_pair("cursor", cursor).append_pair("count", "1");
                if self.tagged {
                    query.append_pair("searchRepositories", "true");
                }
                ("GET", format!("{endpoint}?{}", query.finish()), nothing)
            }
            Deed::Export => ("GET", "/Users?bulkImportFormat=true".into(), nothing),
            Deed::Bulk => ("POST", "/Bulk".into(), bulk(endpoint, id, name)),
            Deed::Import => {
                let rows = json!([{ "userName": name, "externalId": name }]);
                let group = if self.tagged { "CREW" } else { id };
                (
                    "POST",
                    "/Users/.import".into(),
                    json!({ "users": rows, "group": { "value": group } }),
                )
            }
            Deed::ImportReport => ("GET", format!("/Users/.import/{}", theirs.import), nothing),
            Deed::ImportCancel => ("DELETE", format!("/Users/.import/{}", theirs.import), nothing),
            Deed::Forget => {
                ("POST", "/Users/.forget".into(), json!({ "externalId": "quagga-left" }))
            }
            Deed::ForgetOne => ("POST", format!("{user}/forget"), json!({})),
            Deed::Applications => {
                let asked = self.say.get(&["", "?email=quagga-1@example.org", "?status=active"]);
                ("GET", format!("/api/applications/acme/users{asked}"), nothing)
            }
            Deed::Application => {
                let method = *self.say.get(&["GET", "PATCH", "DELETE"]);
                let body =
                    if method == "PATCH" { json!({ "status": "suspended" }) } else { nothing };
                (method, format!("/api/users/{id}"), body)
            }
            Deed::Join => (
                "POST",
                "/api/applications/acme/users".into(),
                json!({ "credentials": { "userName": name }, "memberships": [{ "account": id }] }),
            ),
            Deed::Leave => ("GET", "/api/applications/beta/users".into(), nothing),
        }
    }

    fn filter(&self, id: &str, name: &str) -> String {
        let (id, name) = (json!(id), json!(name));
        self.say
            .get(&[
                format!("id eq {id}"),
                format!("userName eq {name} or displayName eq {name} or externalId eq {name}"),
                format!("groups.value eq {id} or roles.value eq \"QUAGGA_PILOT\""),
                "title sw \"quagga\" or nickName pr".to_owned(),
                format!("members.value eq {id}"),
                "not (userName sw \"z\")".to_owned(),
                "meta.created gt \"2000-01-01T00:00:00Z\"".to_owned(),
            ])
            .clone()
    }

    fn query(&self, id: &str, name: &str) -> String {
        let mut query = Serializer::new(String::new());
        query.append_pair("filter", &self.filter(id, name)).append_pair("count", "50");
        if self.tagged {
            query.append_pair("searchRepositories", "true");
        }
        query.finish()
    }

    fn message(&self, id: &str, name: &str) -> Value {
        json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
            "filter": self.filter(id, name), "searchRepositories": self.tagged, "count": 50 })
    }
}

fn resource(endpoint: &str, name: &str) -> Value {
    match endpoint {
        "/Users" => json!({ "userName": name, "title": "ours" }),
        "/Groups" => json!({ "displayName": name, "members": [] }),
        "/Roles" => json!({ "name": name, "rank": 1 }),
        "/Device" => json!({ "type": "DT_OURS", "friendlyName": name }),
        _ => json!({ "policy": { "value": "AT_PWD" }, "status": { "status": "DISABLED" } }),
    }
}

fn change(endpoint: &str) -> Value {
    let operation = match endpoint {
        "/Groups" => json!({ "op": "remove", "path": "members" }),
        "/Roles" => json!({ "op": "replace", "path": "name", "value": "ours" }),
        "/Device" => json!({ "op": "replace", "path": "friendlyName", "value": "ours" }),
        "/Authenticator" => {
            json!({ "op": "replace", "path": "status.status", "value": "DISABLED" })
        }
        _ => json!({ "op": "replace", "path": "active", "value": false }),
    };
    json!({ "Operations": [operation] })
}

fn bulk(endpoint: &str, id: &str, name: &str) -> Value {
    let one = format!("{endpoint}/{id}");
    json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [
        { "method": "POST", "path": "/Users", "bulkId": "u", "data": { "userName": name } },
        { "method": "PATCH", "path": one, "data": change(endpoint) },
        { "method": "POST", "path": "/Groups", "bulkId": "g", "data": { "displayName": name,
            "members": [{ "value": "bulkId:u" }, { "value": id }] } },
        { "method": "PUT", "path": one, "data": resource(endpoint, "ours") },
        { "method": "DELETE", "path": one },
    ]})
}
