//! The surface as a whole, without a socket.

mod audit;
mod doors;
mod permissions;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{App, HttpState, Limits, TenantState, router};
use crate::auth::Gate;
use crate::clock::Clock;
use crate::config::{AuthenticatorPolicy, Config, Customs, OnConflict, OnFailure};
use crate::federation::{Federation, Rules, Shares, VanishRules};
use crate::scim::ResourceType;
use crate::scim::dialect::{Dialect, Manners, Settings};
use crate::scim::mirror::CodeTypes;
use crate::scim::schema::ResourceTypes;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

const USERS: &str = "/scim/acme/v2/Users";
/// What an agent sends who wants a token; its secret is the text `secret`.
const FORM: &str = "grant_type=client_credentials&client_id=agent&client_secret=secret";
/// What is open to everybody.
const OPERATIONS: [&str; 3] = ["/health/live", "/health/ready", "/metrics"];

fn federation(
    store: &Arc<Store>,
    name: &str,
    types: Vec<Arc<ResourceType>>,
    mounts: usize,
    customs: Customs,
) -> Arc<Federation> {
    let rules = Rules {
        max_results: 100,
        on_failure: OnFailure::Partial,
        on_conflict: OnConflict::Show,
        allow_scan: true,
        walk_limit: 1000,
        cursor_timeout: Duration::from_mins(10),
        codes: CodeTypes::default(),
        policies: ["AT_A", "AT_B"]
            .map(|id| AuthenticatorPolicy { id: id.to_owned(), kind: "login".to_owned() })
            .into(),
        customs,
        groups: Vec::new(),
        roles: Vec::new(),
        provisioned: Vec::new(),
        vanish: VanishRules::default(),
        operators: None,
    };
    Arc::new(Federation::new(
        name.into(),
        rules,
        types,
        Arc::clone(store),
        Vec::new(),
        &Shares::new(1 << 20),
        mounts,
        false,
        Clock::system(),
    ))
}

fn config() -> Config {
    let config = r#"
        [store]
        url = "sqlite::memory:"
        [[tenant]]
        name = "acme"
        [[tenant.token]]
        name = "test"
        sha256 = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
        permissions = ["*"]
        user = "10001"
        [[tenant]]
        name = "beta"
    "#;
    Config::parse(config, Path::new("/"), &|_| None).unwrap()
}

fn app() -> App {
    app_with(&config())
}

fn app_with(config: &Config) -> App {
    let store = Arc::new(Store::open("sqlite::memory:", &[], Clock::system()).unwrap());
    app_on(config, &store, ResourceTypes::shipped().all())
}

/// With the customs that the configuration gives each tenant.
fn app_on(config: &Config, store: &Arc<Store>, types: &[Arc<ResourceType>]) -> App {
    let tenant = |name: &str, mounts: &[&str]| {
        let customs = config.tenants.iter().find(|tenant| *tenant.name == *name);
        let customs = customs.map(|tenant| tenant.customs.clone()).unwrap_or_default();
        let federation = federation(store, name, types.to_vec(), mounts.len(), customs);
        let mounts = mounts.iter().map(|&path| (path.to_owned(), Dialect::Rfc));
        let manners = Manners::new(&Settings::default(), [Dialect::Rfc]);
        TenantState::new(name.into(), federation, mounts, manners)
    };
    router(HttpState {
        tenants: vec![
            tenant("acme", &["/scim/acme/v2", "/scim/v2"]),
            tenant("beta", &["/scim/beta/v2"]),
        ],
        gate: Arc::new(Gate::new(config, store, &Clock::system(), 1 << 20).unwrap()),
        limits: Limits {
            request_timeout: Duration::from_secs(5),
            max_body: 2048,
            max_import: 8192,
            behind_proxy: false,
        },
        public_url: "http://b.example".to_owned(),
        operations_elsewhere: false,
        metrics: Arc::new(Metrics::default()),
        clock: Clock::system(),
    })
    .unwrap()
}

/// One request with the token, and what came back.
struct Asked {
    status: StatusCode,
    response: Response,
}

async fn send(app: &App, request: Request<Body>) -> Asked {
    let response = app.clone().oneshot(request).await.unwrap();
    Asked { status: response.status(), response }
}

async fn ask(app: &App, method: Method, path: &str, body: &str) -> Asked {
    ask_as(app, Some("secret"), method, path, body).await
}

async fn ask_as(app: &App, token: Option<&str>, method: Method, path: &str, body: &str) -> Asked {
    let mut request = Request::builder().method(method).uri(path);
    if body.starts_with("grant_type=") {
        // It says itself who sends it.
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    } else if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    send(app, request.body(Body::from(body.to_owned())).unwrap()).await
}

async fn get(app: &App, path: &str) -> Asked {
    ask(app, Method::GET, path, "").await
}

impl Asked {
    fn header(&self, name: header::HeaderName) -> &str {
        self.response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    async fn json(self) -> Value {
        assert_eq!(self.header(header::CONTENT_TYPE), "application/scim+json");
        self.value().await
    }

    /// The body, whatever its JSON type; null where there is none.
    async fn value(self) -> Value {
        let body = self.response.into_body().collect().await.unwrap().to_bytes();
        if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() }
    }

    /// Checks that it is a SCIM error with this status, and gives its `detail`.
    async fn refused(self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status);
        assert!(!self.header("x-request-id".parse().unwrap()).is_empty());
        let message = self.json().await;
        assert_eq!(message["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:Error"]));
        assert_eq!(message["status"], status.to_string());
        message["detail"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_user_is_created_read_and_listed() {
    let app = app();
    let created = ask(&app, Method::POST, USERS, r#"{"userName":"ann"}"#).await;
    assert_eq!(created.status, StatusCode::CREATED);
    let location = created.header(header::LOCATION).to_owned();
    assert_eq!(created.header(header::CONTENT_LOCATION), location);
    let tag = created.header(header::ETAG).to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    let user = created.json().await;
    assert_eq!(user["userName"], "ann");
    assert_eq!(user["meta"]["location"], location);
    assert_eq!(user["meta"]["version"], tag);

    let path = location.strip_prefix("http://b.example").unwrap();
    let read = get(&app, path).await;
    assert_eq!((read.status, read.header(header::ETAG)), (StatusCode::OK, tag.as_str()));
    assert_eq!(read.json().await, user);
    let only = get(&app, &format!("{path}?attributes=userName&aadOptscim062020&")).await;
    let only = only.json().await;
    assert_eq!(only["userName"], "ann");
    assert_eq!(only.get("meta"), None);

    let request = Request::builder()
        .uri(path)
        .header(header::AUTHORIZATION, "Bearer secret")
        .header(header::IF_NONE_MATCH, &tag)
        .body(Body::empty())
        .unwrap();
    let unchanged = send(&app, request).await;
    assert_eq!(unchanged.status, StatusCode::NOT_MODIFIED);
    assert_eq!(unchanged.header(header::ETAG), tag);
    assert_eq!(unchanged.header(header::CONTENT_LOCATION), location);
    assert_eq!(unchanged.header(header::LOCATION), "");

    let other = get(&app, &path.replace("/scim/acme/v2", "/SCIM/v2")).await;
    assert_eq!(
        other.json().await["meta"]["location"],
        location.replace("/scim/acme/v2", "/scim/v2")
    );

    for list in [
        get(&app, &format!("{USERS}?filter=userName+eq+%22ann%22")).await,
        get(&app, &format!("{USERS}/.search")).await,
        ask(&app, Method::POST, &format!("{USERS}/.search"), "{}").await,
        ask(&app, Method::POST, "/scim/acme/v2/.search", "{}").await,
    ] {
        assert_eq!(list.status, StatusCode::OK);
        let list = list.json().await;
        assert_eq!(list["totalResults"], 1);
        assert_eq!(list["Resources"][0]["id"], user["id"]);
    }
    let head = ask(&app, Method::HEAD, path, "").await;
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(head.header(header::CONTENT_LENGTH), user.to_string().len().to_string());
    assert!(head.response.into_body().collect().await.unwrap().to_bytes().is_empty());
}

/// The token stands for the first user that there is.
#[tokio::test]
async fn me_is_the_user_of_the_token() {
    const ME: &str = "/scim/acme/v2/Me";
    let app = app();
    get(&app, ME).await.refused(404).await;
    let created = ask(&app, Method::POST, USERS, r#"{"userName":"ann"}"#).await;
    let location = created.header(header::LOCATION).to_owned();
    for path in [ME, "/scim/acme/v2/users/me"] {
        let read = get(&app, path).await;
        assert_eq!(read.header(header::LOCATION), location, "RFC 7644 section 3.11");
        assert_eq!(read.json().await["userName"], "ann");
    }
    let patch = r#"{"Operations":[{"op":"add","path":"title","value":"x"}]}"#;
    let patched = ask(&app, Method::PATCH, ME, patch).await;
    assert_eq!(patched.header(header::LOCATION), location);
    assert_eq!(patched.json().await["title"], "x");
    let put = ask(&app, Method::PUT, ME, r#"{"userName":"bob"}"#).await.json().await;
    assert_eq!((&put["userName"], put.get("title")), (&json!("bob"), None));
    let refused = ask(&app, Method::POST, ME, "{}").await;
    assert_eq!(refused.header(header::ALLOW), "GET, HEAD, PUT, PATCH, DELETE");
    refused.refused(405).await;
    assert_eq!(ask(&app, Method::DELETE, ME, "").await.status, StatusCode::NO_CONTENT);
    get(&app, ME).await.refused(404).await;
}

#[tokio::test]
async fn a_write_may_exclude_what_exists() {
    let app = app();
    let created = ask(&app, Method::POST, USERS, r#"{"userName":"ann"}"#).await;
    let path = created.header(header::LOCATION).replace("http://b.example", "");
    let with = |method: &Method, path: &str, tag: &str| {
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, "Bearer secret")
            .header(header::IF_NONE_MATCH, tag)
            .body(Body::from(match *method {
                Method::PATCH => r#"{"Operations":[{"op":"add","path":"title","value":"x"}]}"#,
                Method::PUT => r#"{"userName":"ann","title":"x"}"#,
                _ => "",
            }))
            .unwrap()
    };
    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        let detail = send(&app, with(&method, &path, "*")).await.refused(412).await;
        assert!(detail.contains("If-None-Match"), "{detail}");
        let absent = format!("{USERS}/nobody");
        send(&app, with(&method, &absent, "*")).await.refused(404).await;
        let detail = send(&app, with(&method, &path, "W/\"1\"")).await.refused(400).await;
        assert!(detail.contains("If-Match"), "{detail}");
    }
    assert_eq!(get(&app, &path).await.json().await.get("title"), None);
}

#[tokio::test]
async fn photos_come_when_they_are_asked_for() {
    let app = app();
    let body = r#"{"userName":"ann","photos":[{"value":"https://b.example/ann.jpeg"}]}"#;
    let created = ask(&app, Method::POST, USERS, body).await;
    let path = created.header(header::LOCATION).replace("http://b.example", "");
    let photos = json!([{ "value": "https://b.example/ann.jpeg" }]);
    // RFC 7643 section 7: a write that names them is answered with them.
    assert_eq!(created.json().await["photos"], photos);
    let photos_to = |path: &str| {
        json!({ "Operations": [{ "op": "replace", "path": path, "value": photos }] }).to_string()
    };
    let answered = ask(&app, Method::PATCH, &path, &photos_to("photos")).await.json().await;
    assert_eq!((&answered["photos"], &answered["userName"]), (&photos, &json!("ann")));
    let other = r#"{"Operations":[{"op":"add","path":"title","value":"x"}]}"#;
    assert_eq!(ask(&app, Method::PATCH, &path, other).await.json().await.get("photos"), None);
    for path in [path.clone(), format!("{path}?excludedAttributes=title")] {
        assert_eq!(get(&app, &path).await.json().await.get("photos"), None, "{path}");
    }
    let list = get(&app, USERS).await.json().await;
    assert_eq!(list["Resources"][0].get("photos"), None);
    let shown = get(&app, &format!("{path}?attributes=photos")).await.json().await;
    assert_eq!(shown["photos"], photos);
    let list = get(&app, &format!("{USERS}?attributes=photos")).await.json().await;
    assert_eq!(list["Resources"][0]["photos"], photos);
}

#[tokio::test]
async fn schemas_can_be_searched_by() {
    let app = app();
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let with = format!(r#"{{"userName":"ann","{enterprise}":{{"department":"Tours"}}}}"#);
    ask(&app, Method::POST, USERS, &with).await;
    ask(&app, Method::POST, USERS, r#"{"userName":"bob"}"#).await;
    for (filter, count) in [
        ("schemas+pr", 2),
        ("schemas+eq+%22urn:ietf:params:scim:schemas:core:2.0:User%22", 2),
        (&format!("schemas+eq+%22{enterprise}%22"), 1),
        ("schemas+eq+%22urn:nobody%22", 0),
    ] {
        let list = get(&app, &format!("{USERS}?filter={filter}")).await.json().await;
        assert_eq!(list["totalResults"], count, "{filter}");
    }
}

#[tokio::test]
async fn nobody_gets_in_without_a_token_of_the_tenant() {
    let app = app();
    let paths = [
        (Method::GET, USERS),
        (Method::POST, USERS),
        (Method::GET, "/scim/acme/v2/Users/.search"),
        (Method::POST, "/scim/acme/v2/Users/.search"),
        (Method::POST, "/scim/acme/v2/.search"),
        (Method::GET, "/scim/acme/v2/Users/x"),
        (Method::PUT, "/scim/acme/v2/Users/x"),
        (Method::PATCH, "/scim/acme/v2/Users/x"),
        (Method::DELETE, "/scim/acme/v2/Users/x"),
        (Method::GET, "/scim/acme/v2/Me"),
        (Method::POST, "/scim/acme/v2/Bulk"),
    ];
    for (method, path) in paths {
        let plain = Request::builder().method(&method).uri(path).body(Body::empty()).unwrap();
        let refused = send(&app, plain).await;
        assert_eq!(refused.header(header::WWW_AUTHENTICATE), "Bearer realm=\"scimbridge\"");
        refused.refused(401).await;
        let other = ask(&app, method, &path.replace("acme", "beta"), "").await;
        let challenge = other.header(header::WWW_AUTHENTICATE);
        assert!(challenge.ends_with("error=\"invalid_token\""), "{path}: {challenge}");
        other.refused(401).await;
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_in_scim() {
    let app = app();
    for path in ["/", "/nowhere", "/scim/gamma/v2/Users", "/scim/acme/v2", "/scim/acme/v2/Stones"] {
        get(&app, path).await.refused(404).await;
    }
    let detail = get(&app, "/scim/acme/v2/Users/nobody").await.refused(404).await;
    assert!(detail.contains("nobody"), "{detail}");
    get(&app, "/scim/acme/v2/Users/%FF").await.refused(404).await;
    get(&app, "/scim/acme/v2/Me").await.refused(404).await;
    ask(&app, Method::POST, "/scim/acme/v2/Bulk", "{}").await.refused(400).await;
    for (method, path, allow) in [
        (Method::DELETE, USERS, "GET, HEAD, POST"),
        (Method::POST, "/scim/acme/v2/Users/x", "GET, HEAD, PUT, PATCH, DELETE"),
        (Method::OPTIONS, USERS, "GET, HEAD, POST"),
        (Method::GET, "/scim/acme/v2/.search", "POST"),
        (Method::POST, "/scim/acme/v2/Schemas", "GET, HEAD"),
        (Method::DELETE, "/scim/acme/v2/ServiceProviderConfig", "GET, HEAD"),
        (Method::POST, "/health/live", "GET, HEAD"),
    ] {
        let refused = ask(&app, method, path, "").await;
        assert_eq!(refused.header(header::ALLOW).replace(",HEAD", ", HEAD"), allow, "{path}");
        refused.refused(405).await;
    }
}

#[tokio::test]
async fn bad_bodies_and_headers_are_refused() {
    let app = app();
    let twice = ask(&app, Method::POST, USERS, r#"{"userName":"a","userName":"b"}"#).await;
    assert!(twice.refused(400).await.contains("\"userName\" occurs twice"));
    let long = format!("{{\"userName\":\"{}\"}}", "x".repeat(2048));
    ask(&app, Method::POST, USERS, &long).await.refused(413).await;
    ask(&app, Method::POST, USERS, "").await.refused(400).await;
    let with = |name, value| {
        Request::builder()
            .method(Method::POST)
            .uri(USERS)
            .header(header::AUTHORIZATION, "Bearer secret")
            .header(name, value)
            .body(Body::from("{}"))
            .unwrap()
    };
    send(&app, with(header::CONTENT_TYPE, "text/xml")).await.refused(415).await;
    send(&app, with(header::ACCEPT, "text/html")).await.refused(406).await;
    let mut tag = with(header::IF_MATCH, "\"unfinished");
    *tag.method_mut() = Method::PATCH;
    *tag.uri_mut() = format!("{USERS}/x").parse().unwrap();
    assert!(send(&app, tag).await.refused(400).await.contains("if-match"));
    let filter = get(&app, &format!("{USERS}?filter=userName%20eq")).await.json().await;
    assert_eq!(filter["scimType"], "invalidFilter");
    get(&app, &format!("{USERS}?filter=%FF")).await.refused(400).await;
}

#[tokio::test]
async fn discovery_is_open_and_takes_no_filter() {
    let app = app();
    for path in [
        "ServiceProviderConfig",
        "Schemas",
        "Schemas/urn:ietf:params:scim:schemas:core:2.0:User",
        "ResourceTypes",
        "ResourceTypes/User",
    ] {
        let path = format!("/scim/acme/v2/{path}");
        let open = Request::builder().uri(&path).body(Body::empty()).unwrap();
        let told = send(&app, open).await;
        assert_eq!(told.status, StatusCode::OK, "{path}");
        let names = [header::ETAG, header::LOCATION, header::CONTENT_LOCATION];
        let [tag, location, content] = names.map(|name| told.header(name).to_owned());
        let told = told.json().await;
        if told.get("Resources").is_none() {
            assert_eq!(told["meta"]["location"], format!("http://b.example{path}"));
            assert_eq!(told["meta"]["location"], location);
            assert_eq!(location, content);
            assert!(tag.starts_with("W/\"") && tag.len() == 20, "{tag}");
            let known = Request::builder().uri(&path);
            let known = known.header(header::IF_NONE_MATCH, &tag).body(Body::empty()).unwrap();
            let unchanged = send(&app, known).await;
            assert_eq!(unchanged.status, StatusCode::NOT_MODIFIED, "{path}");
            assert_eq!(unchanged.header(header::CONTENT_LOCATION), content);
        }
        let filtered = get(&app, &format!("{path}?Filter=id+pr")).await;
        filtered.refused(403).await;
    }
    get(&app, "/scim/acme/v2/Schemas/urn:none").await.refused(404).await;
    get(&app, "/scim/acme/v2/ResourceTypes/Nothing").await.refused(404).await;
}

#[tokio::test]
async fn health_tells_live_and_ready() {
    let app = app();
    for (path, status) in [("/health/live", "live"), ("/health/ready", "ready")] {
        let told = get(&app, path).await;
        assert_eq!(told.status, StatusCode::OK);
        let body = told.response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["status"], status);
    }
    let operations = app.operations(&Clock::system());
    assert_eq!(get(&operations, "/health/live").await.status, StatusCode::OK);
    assert_eq!(get(&operations, "/metrics").await.status, StatusCode::OK);
    get(&operations, USERS).await.refused(404).await;
}
