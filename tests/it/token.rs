//! The token endpoint: client credentials in, a bearer token out, good for as long as it says.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::bridge::{Settings, TENANT, TestBridge, digest, run};
use crate::support::client::{Answer, Client};
use crate::support::eventually;
use crate::support::postgres::{self, Postgres};

const ENDPOINT: &str = "/idp/acme/authn/token";
const SECRET: &str = "the secret, of the client";

fn settings(more: &str) -> Settings {
    Settings::local().rest(&format!(
        "[[tenant.client]]\nid = \"spl api\"\nsecret_sha256 = \"{}\"\n\
         permissions = [\"users:*\", \"groups:read\"]\n{more}\n\
         [[tenant]]\nname = \"beta\"\n[[tenant.client]]\nid = \"spl api\"\n\
         secret_sha256 = \"{}\"\npermissions = [\"*\"]\n",
        digest(SECRET),
        digest("of beta")
    ))
}

fn send(bridge: &TestBridge, path: &str, header: Option<&str>, form: &str) -> Answer {
    let mut headers = vec![("Content-Type", "application/x-www-form-urlencoded")];
    headers.extend(header.map(|value| ("Authorization", value)));
    bridge.stranger().send("POST", path, &headers, form.as_bytes())
}

fn basic(id: &str, secret: &str) -> String {
    let encoded =
        |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret))))
}

const GRANT: &str = "grant_type=client_credentials";

/// A token for the whole of what the client may.
fn token(bridge: &TestBridge) -> String {
    let answer = send(bridge, ENDPOINT, Some(&basic("spl api", SECRET)), GRANT).expect(200);
    answer["access_token"].as_str().unwrap().to_owned()
}

#[track_caller]
fn refused(answer: &Answer, status: u16, error: &str) -> Value {
    let message = answer.expect(status);
    assert_eq!(message["error"], error, "{message}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let challenged = answer.header("www-authenticate").is_some_and(|it| it.starts_with("Basic"));
    assert_eq!(challenged, status == 401);
    message
}

/// What the database says of tokens.
fn kept(bridge: &TestBridge) -> String {
    if let Some(url) = bridge.database_url() {
        return postgres::query(&url, "SELECT CAST(t AS TEXT) FROM issued_tokens t").join("\n");
    }
    let files = ["scimbridge.db", "scimbridge.db-wal"];
    let bytes = files.map(|file| std::fs::read(bridge.directory().join(file)).unwrap());
    String::from_utf8_lossy(&bytes.concat()).into_owned()
}

#[test]
fn a_client_gets_a_token_and_asks_with_it() {
    let bridge = TestBridge::start(&settings("lifetime = \"2m\""));
    let header = basic("spl api", SECRET);
    let form = format!("{GRANT}&client_id=spl+api&client_secret=the+secret%2C+of+the+client");
    for (path, header, form) in [
        (ENDPOINT, Some(header.as_str()), GRANT),
        ("/acme/authn/token", Some(&header), GRANT),
        ("/IDP/acme/authn/token/", None, &form),
    ] {
        let answer = send(&bridge, path, header, form);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let message = answer.expect(200);
        assert_eq!(message["token_type"], "Bearer");
        assert_eq!(message["expires_in"], 120);
        assert_eq!(message.get("scope"), None);
        let token = message["access_token"].as_str().unwrap();
        let mut client = bridge.client_as(token);
        client.get("/Users").expect(200);
        // Of this tenant alone, and for what the client may.
        Client::new(bridge.address(), "/scim/beta/v2", Some(token)).get("/Users").expect(401);
        let kept = kept(&bridge);
        assert!(kept.contains("spl api") && !kept.contains(token), "kept as it is");
        assert!(!bridge.log().contains(token) && !bridge.log().contains("the secret"));
    }
    assert!(bridge.log().contains("\"caller\":\"spl api\""), "{}", bridge.log());
}

#[test]
fn a_scope_narrows_and_never_widens() {
    let bridge = TestBridge::start(&settings(""));
    let header = basic("spl api", SECRET);
    let form = format!("{GRANT}&scope=users%3Aread+users%3Asearch");
    let message = send(&bridge, ENDPOINT, Some(&header), &form).expect(200);
    assert_eq!(message["scope"], "users:read users:search");
    let mut narrow = bridge.client_as(message["access_token"].as_str().unwrap());
    narrow.get("/Users").expect(200);
    let refusal = narrow.post("/Users", &serde_json::json!({ "userName": "ann" })).expect(403);
    assert!(refusal["detail"].as_str().unwrap().contains("users:create"));
    for scope in ["users:read+groups:write", "*", "openid"] {
        let form = format!("{GRANT}&scope={scope}");
        refused(&send(&bridge, ENDPOINT, Some(&header), &form), 400, "invalid_scope");
    }
}

#[test]
fn what_is_wrong_is_said_as_oauth_says_it() {
    let bridge = TestBridge::start(&settings(""));
    let good = basic("spl api", SECRET);
    for (header, form, status, error) in [
        (Some(basic("spl api", "guess")), GRANT, 401, "invalid_client"),
        (Some(basic("nobody", SECRET)), GRANT, 401, "invalid_client"),
        (Some(basic("spl api", "of beta")), GRANT, 401, "invalid_client"),
        (None, GRANT, 401, "invalid_client"),
        (Some(good.clone()), "grant_type=password", 400, "unsupported_grant_type"),
        (Some(good.clone()), "x=y", 400, "invalid_request"),
    ] {
        refused(&send(&bridge, ENDPOINT, header.as_deref(), form), status, error);
    }
    let json = [("Authorization", good.as_str()), ("Content-Type", "application/json")];
    refused(&bridge.stranger().send("POST", ENDPOINT, &json, b"{}"), 400, "invalid_request");
    assert_eq!(bridge.stranger().get(ENDPOINT).status, 405);
    assert_eq!(send(&bridge, "/idp/nobody/authn/token", Some(&good), GRANT).status, 404);
    let long = format!("{GRANT}&x={}", "x".repeat(20_000));
    assert_eq!(send(&bridge, ENDPOINT, Some(&good), &long).status, 413);
}

#[test]
fn tokens_outlive_the_bridge_and_not_their_client() {
    let mut bridge = TestBridge::start(&settings(""));
    let token = token(&bridge);
    bridge.client_as(&token).get("/Users").expect(200);
    bridge.restart();
    bridge.client_as(&token).get("/Users").expect(200);
    let file = bridge.directory().join("scimbridge.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("id = \"spl api\"", "id = \"other\"", 1)).unwrap();
    bridge.restart();
    bridge.client_as(&token).get("/Users").expect(401);
}

#[test]
fn a_token_is_good_on_every_node() {
    let url = Postgres::shared().database();
    let settings = settings("").store(&format!("url = {url:?}"));
    let nodes = [TestBridge::start(&settings), TestBridge::start(&settings)];
    let tokens = [token(&nodes[0]), token(&nodes[0])];
    nodes[1].client_as(&tokens[0]).get("/Users").expect(200);
    assert_eq!(command(&nodes[0], &["revoke", "2"]).0, Some(0));
    nodes[1].client_as(&tokens[1]).get("/Users").expect(401);
    nodes[1].client_as(&tokens[0]).get("/Users").expect(200);
    drop(nodes);
    Postgres::shared().drop_database(&url);
}

#[test]
fn tokens_are_listed_and_taken_back() {
    let mut bridge = TestBridge::start(&settings("lifetime = \"1h\""));
    let (first, second) = (token(&bridge), token(&bridge));
    bridge.client_as(&first).get("/Users").expect(200);
    let list = || {
        let output = run(bridge.directory(), &["token", "list", "--config", "scimbridge.toml"]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let of_client = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.contains("spl api")).map(str::to_owned).collect()
    };
    let unused = |text: &str| -> Vec<String> {
        of_client(text).into_iter().filter(|line| line.ends_with("never")).collect()
    };
    assert!(eventually(Duration::from_secs(10), || unused(&list()).len() == 1), "{}", list());
    let text = list();
    assert_eq!(of_client(&text).len(), 2, "{text}");
    assert!(text.contains(TENANT) && !text.contains(&first) && !text.contains(&second), "{text}");

    let unused = unused(&text).remove(0);
    let number = unused.split_whitespace().next().unwrap();
    let revoke = ["token", "revoke", "--config", "scimbridge.toml", number];
    assert!(run(bridge.directory(), &revoke).status.success());
    let again = run(bridge.directory(), &revoke);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("no token has the number"));
    // The second was never used, so that no memory of it is left.
    bridge.client_as(&second).get("/Users").expect(401);
    bridge.client_as(&first).get("/Users").expect(200);
    assert!(bridge.terminate().success());
}

/// What the command prints, and how it ends.
fn command(bridge: &TestBridge, arguments: &[&str]) -> (Option<i32>, String, String) {
    let all = [&["token"], arguments, &["--config", "scimbridge.toml"]].concat();
    let output = run(bridge.directory(), &all);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The tokens of the configuration, as they are listed.
fn listed(bridge: &TestBridge) -> Vec<Value> {
    let (code, list, told) = command(bridge, &["list", "--json"]);
    assert_eq!(code, Some(0), "{told}");
    let mut list: Value = serde_json::from_str(&list).unwrap();
    serde_json::from_value(list["tokens"].take()).unwrap()
}

/// A token `entra` in each of two tenants, and others.
fn static_settings() -> Settings {
    Settings::local()
        .token("entra", "entras-first", &["users:search"])
        .token("portal", "portals-first", &["users:search"])
        .rest(&format!(
            "[[tenant]]\nname = \"beta\"\n[[tenant.token]]\nname = \"entra\"\n\
             sha256 = \"{}\"\npermissions = [\"*\"]\n",
            digest("entra-of-beta")
        ))
}

#[test]
fn a_token_of_the_file_is_listed_and_taken_back() {
    let bridge = TestBridge::start(&static_settings());
    let mut beta = Client::new(bridge.address(), "/scim/beta/v2", Some("entra-of-beta"));
    bridge.client_as("portals-first").get("/Users").expect(200);
    beta.get("/Users").expect(200);
    let used = |list: &[Value]| list.iter().filter(|one| one["lastUsed"].is_string()).count() == 2;
    assert!(eventually(Duration::from_secs(10), || used(&listed(&bridge))));
    let told: Vec<_> = listed(&bridge)
        .iter()
        .map(|one| format!("{} {} {}", one["tenant"], one["name"], one["lastUsed"].is_string()))
        .collect();
    let all = ["acme\" \"everything\" false", "acme\" \"entra\" false", "acme\" \"portal\" true"];
    let all = all.iter().chain(&["beta\" \"entra\" true"]).map(|one| format!("\"{one}"));
    assert_eq!(told, all.collect::<Vec<_>>());

    let (code, _, told) = command(&bridge, &["revoke", "entra"]);
    assert_eq!((code, told.contains("--tenant")), (Some(1), true), "{told}");
    let (code, _, told) = command(&bridge, &["revoke", "okta"]);
    assert_eq!((code, told.contains("there are \"everything\", \"entra\"")), (Some(1), true));
    let revoke = ["revoke", "--tenant", "acme", "entra"];
    let (code, done, told) = command(&bridge, &revoke);
    assert_eq!((code, done.contains("token new")), (Some(0), true), "{done} {told}");
    // Nobody has asked with it yet, so that nothing of it is in memory.
    let mut entra = bridge.client_as("entras-first");
    let refused = entra.get("/Users");
    assert!(refused.header("www-authenticate").unwrap().contains("invalid_token"));
    let refused = refused.expect(401);
    assert!(refused["detail"].as_str().unwrap().contains("was revoked"), "{refused}");
    entra.get("/Users").expect(401);
    let presented = bridge.log();
    let presented: Vec<Value> = presented
        .lines()
        .filter(|line| line.contains("\"token.revoked.presented\""))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(presented.len(), 1, "once, whoever comes: {presented:?}");
    let of = (&presented[0]["tenant"], &presented[0]["token"], &presented[0]["level"]);
    assert_eq!(of, (&"acme".into(), &"entra".into(), &"WARN".into()));
    beta.get("/Users").expect(200);
    let revoked: Vec<_> = listed(&bridge).iter().map(|one| one["revoked"].is_string()).collect();
    assert_eq!(revoked, [false, true, false, false]);
    let (_, again, _) = command(&bridge, &revoke);
    assert!(again.contains("already, since "), "{again}");
    let (_, text, _) = command(&bridge, &["list"]);
    assert!(
        text.lines().any(|line| line.starts_with("acme") && line.contains(" entra ")),
        "{text}"
    );
    for secret in ["entras-first", &digest("entras-first")] {
        assert!(!text.contains(secret) && !bridge.log().contains(secret), "{text}");
    }
}

#[test]
fn a_revoked_token_stays_so_and_a_new_one_of_its_name_is_another() {
    let mut bridge = TestBridge::start(&static_settings());
    bridge.client_as("portals-first").get("/Users").expect(200);
    assert_eq!(command(&bridge, &["revoke", "portal"]).0, Some(0));
    // Known to be good for a minute yet.
    bridge.client_as("portals-first").get("/Users").expect(200);
    bridge.restart();
    bridge.client_as("portals-first").get("/Users").expect(401);
    let told: Vec<Value> = bridge
        .log()
        .lines()
        .filter(|line| line.contains("\"token.revoked\""))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["tenant"], &told[0]["token"]), (&"acme".into(), &"portal".into()));
    assert!(told[0]["remedy"].as_str().unwrap().contains("out of the file"), "{told:?}");
    assert!(!bridge.log().contains(&digest("portals-first")));

    let file = bridge.directory().join("scimbridge.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let new = text.replace(&digest("portals-first"), &digest("portals-second"));
    std::fs::write(&file, new).unwrap();
    bridge.restart();
    bridge.client_as("portals-second").get("/Users").expect(200);
    bridge.client_as("portals-first").get("/Users").expect(401);
    assert_eq!(bridge.log().matches("\"token.revoked\"").count(), 1);
}

#[test]
fn guesses_are_throttled_and_requests_counted() {
    let more = "rate = { requests = 4, per = \"1h\" }";
    let settings = settings(more).server("throttle = { failures = 3, per = \"1m\" }");
    let bridge = TestBridge::start(&settings);
    let (first, second) = (token(&bridge), token(&bridge));
    for token in [&first, &second, &first, &second] {
        bridge.client_as(token).get("/Users").expect(200);
    }
    bridge.client_as(&first).get("/Users").expect(429);
    for _ in 0..3 {
        let wrong = basic("spl api", "guess");
        refused(&send(&bridge, ENDPOINT, Some(&wrong), GRANT), 401, "invalid_client");
    }
    let good = basic("spl api", SECRET);
    let throttled = send(&bridge, ENDPOINT, Some(&good), GRANT);
    assert!(throttled.header("retry-after").is_some());
    refused(&throttled, 429, "temporarily_unavailable");
}
