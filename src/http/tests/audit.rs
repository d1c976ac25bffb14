//! Every change through every route leaves exactly one record, and nothing else leaves any.

use std::path::Path;
use std::sync::Arc;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::doors::Door;
use super::{App, FORM, app_on, ask};
use crate::audit::AuditEntry;
use crate::clock::Clock;
use crate::config::Config;
use crate::http::lifecycle;
use crate::http::routes::{Endpoint, Route};
use crate::scim::ResourceType;
use crate::store::Store;

const BADGE: &str = "urn:example:2.0:Badge";

/// What one request to a route changes.
#[derive(Debug)]
enum Changes {
    /// Whatever is sent.
    Nothing,
    /// The records, by event, that it leaves; `{}` is the resource type.
    Records(&'static [&'static str]),
}

/// The table. A route or method that is not in it fails the walk.
fn changes(door: Door<'_>, method: &str) -> Changes {
    use Changes::{Nothing, Records};
    use lifecycle::Route::{User, Users};
    let route = match (door, method) {
        (Door::Mounted(route), _) => route,
        (Door::LifeCycle(Users(_)), "POST") => return Records(&["createUser"]),
        (Door::LifeCycle(User(_)), "PATCH") => return Records(&["updateUser"]),
        (Door::LifeCycle(User(_)), "DELETE") => return Records(&["deleteUser"]),
        // Tokens are listed and taken back by `scimbridge token`; nobody is changed by one.
        (Door::Export(_) | Door::LifeCycle(_), "GET" | "HEAD") | (Door::Token, _) => {
            return Nothing;
        }
        (door, method) => panic!("{method} {} is not in the table", door.name()),
    };
    match (route, method) {
        (Route::Resources(_), "POST") => Records(&["create{}"]),
        (Route::Resource(..) | Route::Me(_), "PUT") => Records(&["replace{}"]),
        (Route::Resource(..) | Route::Me(_), "PATCH") => Records(&["update{}"]),
        (Route::Resource(..) | Route::Me(_), "DELETE") => Records(&["delete{}"]),
        (Route::Forget(_), "POST") => Records(&["forgetUser"]),
        (Route::Import, "POST") => Records(&["importUser"]),
        (Route::ImportOf(_), "DELETE") => Records(&["cancelImportOfUser"]),
        (Route::ForgetOne(..), "POST") => Records(&["deleteUser", "forgetUser"]),
        (Route::Bulk, "POST") => Records(&[
            "createUser",
            "createGroup",
            "replaceUser",
            "updateGroup",
            "deleteGroup",
            "deleteUser",
        ]),
        (
            Route::Resources(_)
            | Route::Resource(..)
            | Route::Me(_)
            | Route::ImportOf(_)
            | Route::ServiceProviderConfig
            | Route::Schemas
            | Route::Schema(_)
            | Route::ResourceTypes
            | Route::ResourceType(_),
            "GET" | "HEAD",
        )
        | (Route::ResourcesSearch(_) | Route::Search, _) => Nothing,
        (route, method) => panic!("{method} {} is not in the table", &*route.name()),
    }
}

/// The body that makes a resource of a type.
fn resource(kind: &ResourceType, name: &str) -> Value {
    match kind.name.as_str() {
        "User" => json!({ "userName": name, "externalId": name }),
        "Group" => json!({ "displayName": name }),
        "Role" => json!({ "name": name }),
        "Device" => json!({ "type": "DT_TEST", "friendlyName": name }),
        "Authenticator" => json!({
            "owner": { "display": "first" },
            "policy": { "value": if name == "new" { "AT_B" } else { "AT_A" } },
            "status": { "status": if name == "replaced" { "DISABLED" } else { "ENABLED" } },
        }),
        "Badge" => json!({ "schemas": [BADGE], "number": name }),
        other => panic!("no body makes a {other}; write one here"),
    }
}

fn patch(kind: &ResourceType) -> Value {
    let (path, value) = match kind.name.as_str() {
        "Badge" => ("number", "patched"),
        "Role" => ("name", "patched"),
        "Device" => ("friendlyName", "patched"),
        "Authenticator" => ("status.status", "DISABLED"),
        _ => ("displayName", "patched"),
    };
    json!({ "Operations": [{ "op": "replace", "path": path, "value": value }] })
}

struct Walk {
    app: App,
    store: Arc<Store>,
    /// What the trail held before the request.
    before: usize,
}

impl Walk {
    async fn ask(&self, method: &str, path: &str, body: &Value) -> (StatusCode, String, Value) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let sends = matches!(method, Method::POST | Method::PUT | Method::PATCH);
        let text = match body {
            Value::String(form) => form.clone(),
            body if sends => body.to_string(),
            _ => String::new(),
        };
        let asked = ask(&self.app, method, path, &text).await;
        let (status, id) = (asked.status, asked.header("x-request-id".parse().unwrap()).to_owned());
        (status, id, asked.value().await)
    }

    async fn scim(&self, method: &str, path: &str, body: &Value) -> (StatusCode, String, Value) {
        self.ask(method, &format!("/scim/acme/v2{path}"), body).await
    }

    async fn make(&self, kind: &ResourceType, name: &str) -> String {
        let (status, _, made) = self.scim("POST", &kind.endpoint, &resource(kind, name)).await;
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().unwrap().to_owned()
    }

    /// A group, and an import into it.
    async fn import(&self, name: &str) -> (String, String) {
        let text = |made: &Value, name: &str| made[name].as_str().unwrap().to_owned();
        let (_, _, made) = self.scim("POST", "/Groups", &json!({ "displayName": name })).await;
        let group = text(&made, "id");
        let body = json!({ "users": [], "group": { "value": group } });
        let (_, _, made) = self.scim("POST", "/Users/.import", &body).await;
        (group, text(&made, "correlationId"))
    }

    /// The records since the last look.
    async fn records(&mut self) -> Vec<AuditEntry> {
        assert!(self.store.audit_records("beta", None).await.unwrap().is_empty());
        let mut trail = self.store.audit_records("acme", None).await.unwrap();
        let new = trail.split_off(self.before);
        self.before += new.len();
        new
    }

    async fn check(&mut self, door: Door<'_>, method: &str, kind: &ResourceType) {
        let case = format!("{method} {}", door.name());
        let expected = changes(door, method);
        let id = match door {
            // The token stands for the first user there is.
            Door::Mounted(Route::Me(_)) => "10001".to_owned(),
            Door::Mounted(Route::Import) => self.import(&case).await.0,
            Door::Mounted(Route::ImportOf(_)) => self.import(&case).await.1,
            _ => self.make(kind, "walked").await,
        };
        if matches!(door, Door::Mounted(Route::Forget(_))) {
            self.scim("DELETE", &format!("{}/{id}", kind.endpoint), &Value::Null).await;
        }
        let path = door.path(&id);
        let body = match (door, method) {
            (Door::Token, _) => FORM.into(),
            (Door::LifeCycle(_), "POST") => json!({ "credentials": { "userName": "new" } }),
            (Door::LifeCycle(_), "PATCH") => {
                json!({ "status": "suspended", "memberships": [], "identity": { "locale": "de" } })
            }
            (Door::Mounted(Route::Resources(_)), "POST") => resource(kind, "new"),
            (Door::Mounted(Route::Forget(_)), _) => {
                json!({ "externalId": "walked", "userName": "ignored" })
            }
            (Door::Mounted(Route::Bulk), _) => bulk(),
            (Door::Mounted(Route::Import), _) => json!({ "users": [], "group": { "value": id } }),
            (_, "PUT") => resource(kind, "replaced"),
            (_, "PATCH") => patch(kind),
            _ => json!({}),
        };
        self.records().await;
        let (status, request_id, answer) = self.ask(method, &path, &body).await;
        assert!(status.is_success(), "{case}: {status} {answer}");
        let records = self.records().await;
        let Changes::Records(events) = expected else {
            assert_eq!(records, [], "{case}");
            return;
        };
        let events: Vec<String> =
            events.iter().map(|event| event.replace("{}", &kind.name)).collect();
        let found: Vec<&str> = records.iter().map(|record| record.event.as_str()).collect();
        assert_eq!(found, events, "{case}");
        let told = answer["id"].as_str().or_else(|| answer["correlationId"].as_str());
        let id = told.unwrap_or(&id);
        for record in &records {
            assert_eq!((record.caller.as_str(), record.outcome.as_str()), ("test", "success"));
            assert_eq!(record.request_id, request_id, "{case}");
            assert!(record.actor.is_some(), "{case}: the token stands for somebody");
            match &record.person {
                person
                    if matches!(door, Door::Mounted(Route::Forget(_) | Route::ForgetOne(..))) =>
                {
                    assert_eq!(*person, None, "{case}");
                }
                _ if matches!(door, Door::Mounted(Route::Bulk | Route::Me(_))) => {}
                person => assert_eq!(person.as_deref(), Some(id), "{case}"),
            }
        }
        // The same once more changes nothing, or is refused.
        if matches!(method, "PUT" | "PATCH" | "DELETE") {
            self.ask(method, &path, &body).await;
            let again = self.records().await;
            assert_eq!(again, [], "{case} a second time");
        }
    }

    async fn empty(&mut self, kinds: &[Arc<ResourceType>]) {
        for kind in kinds {
            let (_, _, list) = self.scim("GET", &kind.endpoint, &Value::Null).await;
            for one in list["Resources"].as_array().unwrap() {
                let id = one["id"].as_str().unwrap();
                self.scim("DELETE", &format!("{}/{id}", kind.endpoint), &Value::Null).await;
            }
        }
    }
}

fn bulk() -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [
        { "method": "POST", "path": "/Users", "bulkId": "u", "data": { "userName": "bulk" } },
        { "method": "POST", "path": "/Groups", "bulkId": "g", "data": { "displayName": "bulk" } },
        { "method": "PUT", "path": "/Users/bulkId:u", "data": { "userName": "bulk2" } },
        { "method": "PATCH", "path": "/Groups/bulkId:g", "data": { "Operations": [
            { "op": "add", "path": "members", "value": [{ "value": "bulkId:u" }] }] } },
        { "method": "POST", "path": "/Users", "bulkId": "x", "data": { "userName": "BULK2" } },
        { "method": "DELETE", "path": "/Groups/bulkId:g" },
        { "method": "DELETE", "path": "/Users/bulkId:u" },
    ]})
}

/// A tenant whose token stands for a user, with a type of its own.
fn config(directory: &Path) -> Config {
    let documents = json!([
        { "id": BADGE, "name": "Badge", "attributes": [{ "name": "number", "type": "string" }] },
        { "name": "Badge", "endpoint": "/Badges", "schema": BADGE },
    ]);
    std::fs::write(directory.join("badge.json"), documents.to_string()).unwrap();
    let text = r#"
        [[tenant]]
        name = "acme"
        schemas = ["badge.json"]
        lifecycle_api = true
        [[tenant.token]]
        name = "test"
        sha256 = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
        permissions = ["*"]
        user = "10001"
        [[tenant.client]]
        id = "agent"
        secret_sha256 = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
        permissions = ["*"]
        [[tenant]]
        name = "beta"
    "#;
    Config::parse(text, directory, &|_| None).unwrap()
}

#[tokio::test]
async fn every_change_has_exactly_one_record() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let kinds = config.tenants[0].resource_types.all();
    for kind in kinds {
        let endpoint = Endpoint::new(kind);
        for door in Door::every(&endpoint) {
            for method in door.methods() {
                let store = Store::open("sqlite::memory:", &[], Clock::system()).unwrap();
                let store = Arc::new(store);
                let app = app_on(&config, &store, kinds);
                let mut walk = Walk { app, store, before: 0 };
                walk.make(&kinds[0], "first").await;
                walk.check(door, method, kind).await;
                walk.empty(kinds).await;
            }
        }
    }
}

#[tokio::test]
async fn what_is_refused_is_no_change() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let kinds = config.tenants[0].resource_types.all();
    let store = Arc::new(Store::open("sqlite::memory:", &[], Clock::system()).unwrap());
    let app = app_on(&config, &store, kinds);
    let mut walk = Walk { app, store, before: 0 };
    let id = walk.make(&kinds[0], "ann").await;
    walk.records().await;
    let one = format!("/Users/{id}");
    for (method, path, body, status) in [
        ("POST", "/Users", json!({ "userName": "ANN" }), 409),
        ("POST", "/Users", json!({ "userName": 7 }), 400),
        ("PUT", "/Users/nobody", json!({ "userName": "x" }), 404),
        (
            "PATCH",
            &one,
            json!({ "Operations": [{ "op": "replace", "path": "userName", "value": 7 }] }),
            400,
        ),
        ("DELETE", "/Users/nobody", Value::Null, 404),
        ("POST", "/Users/.forget", json!({ "externalId": "ann" }), 409),
        ("POST", "/Users/.forget", json!({ "externalId": "nobody" }), 404),
        ("POST", "/Users/.forget", json!({ "userName": "ann" }), 400),
        ("POST", "/Users/nobody/forget", Value::Null, 202),
    ] {
        let (answered, _, answer) = walk.scim(method, path, &body).await;
        assert_eq!(answered, status, "{method} {path}: {answer}");
        assert_eq!(walk.records().await, [], "{method} {path}");
    }
}
