//! The token endpoint: client credentials in, a bearer token out, good for as long as it says.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::bridge::{Settings, TENANT, TestBridge, digest, run};
use crate::support::client::{Answer, Client};
use crate::support::{eventually, postgres};

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
fn tokens_are_listed_and_taken_back() {
    let mut bridge = TestBridge::start(&settings("lifetime = \"1h\""));
    let (first, second) = (token(&bridge), token(&bridge));
    bridge.client_as(&first).get("/Users").expect(200);
    let list = || {
        let output = run(bridge.directory(), &["token", "list", "--config", "scimbridge.toml"]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let used = |text: &str| text.lines().filter(|line| line.contains("never")).count() == 1;
    assert!(eventually(Duration::from_secs(10), || used(&list())), "{}", list());
    let text = list();
    assert_eq!(text.lines().filter(|line| line.contains("spl api")).count(), 2, "{text}");
    assert!(text.contains(TENANT) && !text.contains(&first) && !text.contains(&second), "{text}");

    let number = text.lines().find(|line| line.contains("never")).unwrap();
    let number = number.split_whitespace().next().unwrap();
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
