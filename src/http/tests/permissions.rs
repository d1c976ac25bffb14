//! Who may do what: every route, every method, every kind of caller.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::{Method, header};
use jiff::ToSpan;
use serde_json::{Value, json};

use super::doors::Door;
use super::{App, Asked, FORM, OPERATIONS, app_on, ask_as};
use crate::caller::{PERMISSIONS, Permission};
use crate::clock::Clock;
use crate::config::Config;
use crate::http::lifecycle;
use crate::http::routes::{Endpoint, Route};
use crate::store::{IssuedToken, Store};

/// What a method of a route takes.
#[derive(Clone, Copy, Debug)]
enum Needs {
    Nothing,
    /// An agent's secret: whoever asks for a token has none yet.
    Secret,
    /// A token of the tenant, whatever it permits.
    Token,
    Permission(Permission),
    /// Each of several.
    AllOf(&'static [Permission]),
    /// One of several: what the token may not do is left out.
    AnyOf(&'static [Permission]),
}

/// The table. A new route does not compile before it stands here.
fn needs(door: Door<'_>, method: &str) -> Needs {
    use Permission as P;
    use lifecycle::Route::{User, Users};
    match door {
        Door::Mounted(route) => below_a_mount(route, method),
        Door::Export(_) => Needs::Permission(P::UsersSearch),
        Door::LifeCycle(route) => Needs::Permission(match (route, method) {
            (Users(_), "GET" | "HEAD") => P::UsersSearch,
            (Users(_), _) => P::UsersCreate,
            (User(_), "GET" | "HEAD") => P::UsersRead,
            (User(_), "DELETE") => P::UsersDelete,
            (User(_), _) => P::UsersReplace,
        }),
        Door::Token => Needs::Secret,
    }
}

fn below_a_mount(route: Route<'_>, method: &str) -> Needs {
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
/// and one that has all others, called like it with `!` before; in `beta` one that has all. One that
/// had all is taken back in [`surface`].
fn config() -> Config {
    let mut text = "[[tenant]]\nname = \"acme\"\nlifecycle_api = true\n".to_owned();
    let mut add = |token: &str, permissions: &[&str]| {
        let hex = sha256(&bearer(token));
        writeln!(
            text,
            "[[tenant.token]]\nname = \"{token}\"\nsha256 = \"{hex}\"\npermissions = {permissions:?}"
        )
        .unwrap();
    };
    add("all", &["*"]);
    add("none", &[]);
    add(REVOKED, &["*"]);
    for (_, name) in PERMISSIONS {
        add(name, &[name]);
        let others: Vec<&str> = PERMISSIONS
            .map(|(_, other)| other)
            .into_iter()
            .filter(|other| *other != name)
            .collect();
        add(&format!("!{name}"), &others);
    }
    write!(
        text,
        "[[tenant.client]]\nid = \"agent\"\nsecret_sha256 = \"{}\"\npermissions = [\"*\"]\n\
         [[tenant]]\nname = \"beta\"\n[[tenant.token]]\nname = \"all\"\nsha256 = \"{}\"\n\
         permissions = [\"*\"]\n",
        sha256("secret"),
        sha256("of-beta"),
    )
    .unwrap();
    Config::parse(&text, Path::new("/"), &|_| None).unwrap()
}

/// As the configuration has it.
fn sha256(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// The surface, whose store knows two tokens of the agent: [`GOOD`], and one that has expired.
async fn surface(config: &Config) -> App {
    let store = Arc::new(Store::open("sqlite::memory:", &[], Clock::system()).unwrap());
    let now = Clock::system().now();
    let (earlier, later) = (now - 2.hours(), now + 2.hours());
    for (token, issued, expires) in [(GOOD, now, later), (EXPIRED, earlier, now - 1.hour())] {
        let (tenant, client) = ("acme".to_owned(), "agent".to_owned());
        let issued = IssuedToken { tenant, client, scope: None, issued, expires };
        store.issue_token(&sha256(token), &issued, 10).await.unwrap();
    }
    store.revoke_static_token(&sha256(REVOKED), now).await.unwrap();
    app_on(config, &store, config.tenants[0].resource_types.all())
}

const GOOD: &str = "scimbridge_t.good";
const EXPIRED: &str = "scimbridge_t.expired";
const REVOKED: &str = "revoked";

/// The token of this name, out of the characters that a token may have.
fn bearer(name: &str) -> String {
    name.replace(':', "-").replace('!', "without-")
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

fn body(door: Door<'_>, method: &str, id: &str) -> String {
    match (door, method) {
        (Door::Mounted(Route::Import), _) => {
            json!({ "users": [], "group": { "value": id } }).to_string()
        }
        (Door::Mounted(Route::Resources(at)), "POST") => named(at, "new").to_string(),
        (Door::Mounted(Route::Resource(at, _)), "PUT") => {
            let mut body = named(at, "ann");
            body["externalId"] = "y".into();
            body.to_string()
        }
        (Door::Mounted(Route::Forget(_)), "POST") => r#"{"externalId":"gone"}"#.into(),
        (Door::LifeCycle(_), "POST") => r#"{"credentials":{"userName":"new"}}"#.into(),
        (Door::LifeCycle(_), "PATCH") => r#"{"status":"suspended"}"#.into(),
        (Door::Token, _) => FORM.into(),
        (_, "PATCH") => r#"{"Operations":[{"op":"add","path":"externalId","value":"x"}]}"#.into(),
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
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    ask_as(app, token.map(bearer).as_deref(), method, path, body).await
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
    let config = config();
    let app = surface(&config).await;
    let good = ask(&app, Some(GOOD), "GET", "/scim/acme/v2/Users", "").await;
    assert_eq!(good.status, 200, "or an expired token would be refused for something else");
    for endpoint in config.tenants[0].resource_types.all().iter().map(Endpoint::new) {
        if endpoint.kind.name == "Authenticator" {
            let owner = r#"{"userName":"owner"}"#;
            ask(&app, Some("all"), "POST", "/scim/acme/v2/Users", owner).await;
        }
        let all = format!("/scim/acme/v2{}", endpoint.kind.endpoint);
        for door in Door::every(&endpoint) {
            for method in door.methods() {
                let id = made(&app, &endpoint, door).await;
                if matches!(door, Door::Mounted(Route::Forget(_))) {
                    ask(&app, Some("all"), "DELETE", &format!("{all}/{id}"), "").await;
                }
                check(&app, door, method, &id).await;
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
async fn made(app: &App, endpoint: &Endpoint, door: Door<'_>) -> String {
    let post = async |path: &str, body: &Value| {
        let path = format!("/scim/acme/v2{path}");
        ask(app, Some("all"), "POST", &path, &body.to_string()).await.json().await
    };
    let told = |made: &Value, name: &str| made[name].as_str().unwrap().to_owned();
    if !matches!(door, Door::Mounted(Route::Import | Route::ImportOf(_))) {
        let mut body = named(endpoint, "ann");
        body["externalId"] = "gone".into();
        return told(&post(&endpoint.kind.endpoint, &body).await, "id");
    }
    let group = told(&post("/Groups", &json!({ "displayName": "imported" })).await, "id");
    match door {
        Door::Mounted(Route::ImportOf(_)) => {
            let import = json!({ "users": [], "group": { "value": group } });
            told(&post("/Users/.import", &import).await, "correlationId")
        }
        _ => group,
    }
}

async fn check(app: &App, door: Door<'_>, method: &str, id: &str) {
    let case = format!("{method} {}", door.name());
    let (path, body) = (door.path(id), &*body(door, method, id));
    let (token, permission) = match needs(door, method) {
        Needs::Nothing => {
            for token in
                [None, Some("garbage"), Some(EXPIRED), Some(REVOKED), Some("of-beta"), Some("none")]
            {
                let open = ask(app, token, method, &path, body).await;
                assert!(open.status.is_success(), "{case} for {token:?}: {}", open.status);
            }
            return;
        }
        Needs::Secret => {
            assert_eq!(ask(app, None, method, &path, body).await.status, 200, "{case}");
            for other in ["client_secret=of-beta", "client_secret="] {
                let form = body.replace("client_secret=secret", other);
                assert_eq!(ask(app, None, method, &path, &form).await.status, 401, "{case}");
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
        (Some(EXPIRED), "Bearer realm=\"scimbridge\", error=\"invalid_token\""),
        (Some(REVOKED), "Bearer realm=\"scimbridge\", error=\"invalid_token\""),
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
    match permission {
        Some(_) => assert!(asked.status.is_success(), "{case}: {status}"),
        // This token stands for nobody; an empty Bulk request is none.
        None => assert!(!matches!(status, 401 | 403), "{case}: {status}"),
    }
}

#[tokio::test]
async fn operations_are_open_to_everybody() {
    let app = surface(&config()).await;
    for path in OPERATIONS {
        for token in [None, Some("garbage")] {
            assert!(ask(&app, token, "GET", path, "").await.status.is_success(), "{path}");
        }
    }
}
