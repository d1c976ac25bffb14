//! Who may do what: every route, every method, every kind of caller.

use std::fmt::Write as _;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::{Value, json};

use super::{App, Asked, app_with, send};
use crate::caller::{PERMISSIONS, Permission};
use crate::config::Config;
use crate::http::routes::{Endpoint, Route};
use crate::scim::schema::ResourceTypes;

/// What a method of a route takes.
#[derive(Clone, Copy, Debug)]
enum Needs {
    Nothing,
    /// A token of the tenant, whatever it permits.
    Token,
    Permission(Permission),
    /// Each of several.
    AllOf(&'static [Permission]),
    /// One of several: what the token may not do is left out.
    AnyOf(&'static [Permission]),
}

/// The table. A new route does not compile before it stands here.
fn needs(route: Route<'_>, method: &str) -> Needs {
    use Permission as P;
    match (route, method) {
        (Route::Resources(at), "GET" | "HEAD") | (Route::ResourcesSearch(at), _) => {
            Needs::Permission(if users(at) { P::UsersSearch } else { reading(at) })
        }
        (Route::Search, _) => Needs::AnyOf(&[
            P::UsersSearch,
            P::GroupsRead,
            P::RolesRead,
            P::DevicesRead,
            P::AuthenticatorsRead,
        ]),
        (Route::Resources(at), "POST") if users(at) => Needs::Permission(P::UsersCreate),
        (Route::Resource(at, _), "GET" | "HEAD") => {
            Needs::Permission(if users(at) { P::UsersRead } else { reading(at) })
        }
        (Route::Resource(at, _), "PUT" | "PATCH") if users(at) => {
            Needs::Permission(P::UsersReplace)
        }
        (Route::Resource(at, _), "DELETE") if users(at) => Needs::Permission(P::UsersDelete),
        (Route::Resources(at), "POST") | (Route::Resource(at, _), "PUT" | "PATCH" | "DELETE") => {
            Needs::Permission(writing(at))
        }
        (Route::Forget(_), _) => Needs::Permission(P::UsersForget),
        (Route::ForgetOne(..), _) => Needs::AllOf(&[P::UsersForget, P::UsersDelete]),
        // Bulk: each of its operations asks for its own.
        (Route::Me(_) | Route::Bulk, _) => Needs::Token,
        (Route::Import | Route::ImportOf(_), _) => Needs::Permission(P::UsersImport),
        (
            Route::ServiceProviderConfig
            | Route::Schemas
            | Route::Schema(_)
            | Route::ResourceTypes
            | Route::ResourceType(_),
            _,
        ) => Needs::Nothing,
        (Route::Resources(_) | Route::Resource(..), method) => {
            panic!("{method} {} is not in the table", &*route.name())
        }
    }
}

/// Two tenants. In `acme` there is for every permission a token that has it alone, called like it,
/// and one that has all others, called like it with `!` before; in `beta` one that has all.
fn config() -> Config {
    let mut text = "[[tenant]]\nname = \"acme\"\n".to_owned();
    let mut add = |token: &str, permissions: &[&str]| {
        let hex = digest(&SHA256, bearer(token).as_bytes());
        let hex = hex.as_ref().iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        writeln!(
            text,
            "[[tenant.token]]\nname = \"{token}\"\nsha256 = \"{hex}\"\npermissions = {permissions:?}"
        )
        .unwrap();
    };
    add("all", &["*"]);
    add("none", &[]);
    for (_, name) in PERMISSIONS {
        add(name, &[name]);
        let others: Vec<&str> = PERMISSIONS
            .map(|(_, other)| other)
            .into_iter()
            .filter(|other| *other != name)
            .collect();
        add(&format!("!{name}"), &others);
    }
    let hex = digest(&SHA256, b"of-beta");
    let hex = hex.as_ref().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    write!(
        text,
        "[[tenant]]\nname = \"beta\"\n[[tenant.token]]\nname = \"all\"\nsha256 = \"{hex}\"\n\
         permissions = [\"*\"]\n"
    )
    .unwrap();
    Config::parse(&text, Path::new("/"), &|_| None).unwrap()
}

/// The token of this name, out of the characters that a token may have.
fn bearer(name: &str) -> String {
    name.replace(':', "-").replace('!', "without-")
}

fn endpoints() -> Vec<Endpoint> {
    ResourceTypes::shipped().all().iter().map(Endpoint::new).collect()
}

fn users(at: &Endpoint) -> bool {
    at.kind.name == "User"
}

fn reading(at: &Endpoint) -> Permission {
    match at.kind.name.as_str() {
        "Group" => Permission::GroupsRead,
        "Role" => Permission::RolesRead,
        "Device" => Permission::DevicesRead,
        "Authenticator" => Permission::AuthenticatorsRead,
        other => panic!("{other} is not in the table"),
    }
}

fn writing(at: &Endpoint) -> Permission {
    match at.kind.name.as_str() {
        "Group" => Permission::GroupsWrite,
        "Role" => Permission::RolesWrite,
        "Device" => Permission::DevicesWrite,
        "Authenticator" => Permission::AuthenticatorsWrite,
        other => panic!("{other} is not in the table"),
    }
}

/// The path of a route, with a resource that exists in it.
fn path(route: Route<'_>, id: &str) -> String {
    let template = match route {
        Route::Schema(_) => "/Schemas/urn:ietf:params:scim:schemas:core:2.0:User",
        Route::ResourceType(_) => "/ResourceTypes/User",
        route => &route.name(),
    };
    format!("/scim/acme/v2{}", template.replace("{id}", id).replace("{correlationId}", id))
}

fn body(route: Route<'_>, method: &str, id: &str) -> String {
    match (route, method) {
        (Route::Import, _) => json!({ "users": [], "group": { "value": id } }).to_string(),
        (Route::Resources(at), "POST") => named(at, "new").to_string(),
        (_, "PATCH") => r#"{"Operations":[{"op":"add","path":"externalId","value":"x"}]}"#.into(),
        (Route::Resource(at, _), "PUT") => {
            let mut body = named(at, "ann");
            body["externalId"] = "y".into();
            body.to_string()
        }
        (Route::Forget(_), "POST") => r#"{"externalId":"gone"}"#.into(),
        (_, "POST" | "PUT") => "{}".into(),
        _ => String::new(),
    }
}

/// A resource of this name, with what its type requires.
fn named(at: &Endpoint, name: &str) -> Value {
    match at.kind.name.as_str() {
        "User" => json!({ "userName": name }),
        "Group" => json!({ "displayName": name }),
        "Role" => json!({ "name": name }),
        "Device" => json!({ "type": "DT_TEST" }),
        "Authenticator" => {
            let policy = if name == "new" { "AT_B" } else { "AT_A" };
            json!({ "owner": { "display": "owner" }, "policy": { "value": policy } })
        }
        other => panic!("nobody knows what {other} requires"),
    }
}

async fn ask(app: &App, token: Option<&str>, method: &str, path: &str, body: &str) -> Asked {
    let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap());
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", bearer(token)));
    }
    send(app, request.uri(path).body(Body::from(body.to_owned())).unwrap()).await
}

/// Checks a refusal, whose body HEAD does not have; gives its `detail`.
async fn refused(asked: Asked, method: &str, status: u16) -> String {
    if method == "HEAD" {
        assert_eq!(asked.status.as_u16(), status);
        return String::new();
    }
    asked.refused(status).await
}

#[tokio::test]
async fn every_route_lets_in_whom_the_table_says() {
    let app = app_with(&config());
    for endpoint in endpoints() {
        if endpoint.kind.name == "Authenticator" {
            let owner = r#"{"userName":"owner"}"#;
            ask(&app, Some("all"), "POST", "/scim/acme/v2/Users", owner).await;
        }
        let all = format!("/scim/acme/v2{}", endpoint.kind.endpoint);
        for route in Route::every(&endpoint) {
            if matches!(route, Route::Forget(_) | Route::ForgetOne(..)) && !users(&endpoint) {
                continue;
            }
            for method in route.allowed().split(", ") {
                let id = made(&app, &endpoint, route).await;
                if matches!(route, Route::Forget(_)) {
                    ask(&app, Some("all"), "DELETE", &format!("{all}/{id}"), "").await;
                }
                check(&app, route, method, &id).await;
                for all in [&*all, "/scim/acme/v2/Groups"] {
                    let found = ask(&app, Some("all"), "GET", all, "").await.json().await;
                    for one in found["Resources"].as_array().into_iter().flatten() {
                        let path = format!("{all}/{}", one["id"].as_str().unwrap());
                        assert_eq!(ask(&app, Some("all"), "DELETE", &path, "").await.status, 204);
                    }
                }
            }
        }
    }
}

/// Makes what the route leads to; for an import the group that it needs. Gives its id.
async fn made(app: &App, endpoint: &Endpoint, route: Route<'_>) -> String {
    let post = async |path: &str, body: &Value| {
        let path = format!("/scim/acme/v2{path}");
        ask(app, Some("all"), "POST", &path, &body.to_string()).await.json().await
    };
    let told = |made: &Value, name: &str| made[name].as_str().unwrap().to_owned();
    if !matches!(route, Route::Import | Route::ImportOf(_)) {
        let mut body = named(endpoint, "ann");
        body["externalId"] = "gone".into();
        return told(&post(&endpoint.kind.endpoint, &body).await, "id");
    }
    let group = told(&post("/Groups", &json!({ "displayName": "imported" })).await, "id");
    match route {
        Route::ImportOf(_) => {
            let import = json!({ "users": [], "group": { "value": group } });
            told(&post("/Users/.import", &import).await, "correlationId")
        }
        _ => group,
    }
}

async fn check(app: &App, route: Route<'_>, method: &str, id: &str) {
    let case = format!("{method} {}", &*route.name());
    let (path, body) = (path(route, id), &*body(route, method, id));
    let (token, permission) = match needs(route, method) {
        Needs::Nothing => {
            for token in [None, Some("garbage"), Some("of-beta"), Some("none")] {
                let open = ask(app, token, method, &path, body).await;
                assert!(open.status.is_success(), "{case} for {token:?}: {}", open.status);
            }
            return;
        }
        Needs::Token => ("none", None),
        Needs::AllOf(permissions) => {
            for permission in permissions {
                let without = format!("!{permission}");
                let asked = ask(app, Some(&without), method, &path, body).await;
                let detail = refused(asked, method, 403).await;
                assert!(detail.contains(permission.name()), "{case}: {detail}");
            }
            ("all", None)
        }
        Needs::AnyOf(permissions) => {
            refused(ask(app, Some("none"), method, &path, body).await, method, 403).await;
            for permission in permissions {
                let asked = ask(app, Some(permission.name()), method, &path, body).await;
                assert!(asked.status.is_success(), "{case}: {}", asked.status);
            }
            ("all", None)
        }
        Needs::Permission(permission) => (permission.name(), Some(permission)),
    };
    for (token, challenge) in [
        (None, "Bearer realm=\"scimbridge\""),
        (Some("gar bage"), "Bearer realm=\"scimbridge\", error=\"invalid_request\""),
        (Some("garbage"), "Bearer realm=\"scimbridge\", error=\"invalid_token\""),
        (Some("of-beta"), "Bearer realm=\"scimbridge\", error=\"invalid_token\""),
    ] {
        let asked = ask(app, token, method, &path, body).await;
        assert_eq!(asked.header(header::WWW_AUTHENTICATE), challenge, "{case} for {token:?}");
        refused(asked, method, 401).await;
    }
    if let Some(permission) = permission {
        let without = format!("!{permission}");
        // Whether something is there is not told either.
        for path in [path.clone(), path.replace(id, "nobody")] {
            let detail = refused(ask(app, Some(&without), method, &path, body).await, method, 403);
            let detail = detail.await;
            assert!(method == "HEAD" || detail.contains(permission.name()), "{case}: {detail}");
        }
    }
    let asked = ask(app, Some(token), method, &path, body).await;
    let status = asked.status.as_u16();
    match (route, permission) {
        (_, Some(_)) => assert!(asked.status.is_success(), "{case}: {status}"),
        // This token stands for nobody; an empty Bulk request is none.
        _ => assert!(!matches!(status, 401 | 403), "{case}: {status}"),
    }
}

/// Without this a variant could be left out of the list that is walked.
#[test]
fn every_route_is_walked() {
    let source = include_str!("../routes.rs");
    let (_, rest) = source.split_once("pub enum Route<'a> {").unwrap();
    let (variants, _) = rest.split_once("\n}").unwrap();
    let is_variant = |line: &&str| line.ends_with(',') && !line.trim().starts_with('/');
    assert_eq!(variants.lines().filter(is_variant).count(), Route::every(&endpoints()[0]).len());
    let mut names = Route::every(&endpoints()[0]).map(|route| route.name().to_string());
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
}

#[tokio::test]
async fn operations_are_open_to_everybody() {
    let app = app_with(&config());
    for path in ["/health/live", "/health/ready", "/metrics"] {
        for token in [None, Some("garbage")] {
            assert!(ask(&app, token, "GET", path, "").await.status.is_success(), "{path}");
        }
    }
}
