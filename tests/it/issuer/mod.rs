//! Tokens of an issuer that the configuration trusts, through the whole bridge.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::bridge::{Settings, TENANT, TestBridge, run};
use crate::support::keys::set;

mod published;

const ISSUER: &str = "https://login.example";

fn settings(key: &Ed25519KeyPair, more: &str) -> Settings {
    let jwks = set(&[("k1", key)]);
    Settings::local()
        .rest(&format!(
            "[[tenant.issuer]]\nissuer = \"{ISSUER}\"\naudience = \"scim\"\n\
             jwks = {{ file = \"jwks.json\" }}\npermissions = [\"users:*\"]\n{more}\n\
             [[tenant]]\nname = \"beta\"\n"
        ))
        .file("jwks.json", &jwks.to_string())
}

/// A token for so many seconds.
fn token(key: &Ed25519KeyPair, seconds: i64, more: &Value) -> String {
    signed(key, &json!({ "alg": "EdDSA", "kid": "k1" }), seconds, more)
}

fn signed(key: &Ed25519KeyPair, header: &Value, seconds: i64, more: &Value) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let expires = i64::try_from(now).unwrap() + seconds;
    let mut claims = json!({ "iss": ISSUER, "aud": "scim", "exp": expires });
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(&claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

#[test]
fn a_token_of_an_issuer_stands_for_its_subject() {
    let key = Ed25519KeyPair::generate().unwrap();
    let mut bridge = TestBridge::start(&settings(&key, "rate = { requests = 6, per = \"1h\" }"));
    let made = bridge.client().post("/Users", &json!({ "userName": "ann" })).expect(201);
    let id = made["id"].as_str().unwrap();
    let good = token(&key, 60, &json!({ "sub": id, "scope": "openid users:read users:replace" }));
    let mut client = bridge.client_as(&good);
    assert_eq!(client.get("/Me").expect(200)["id"], id);
    client.get(&format!("/Users/{id}")).expect(200);
    let patch = json!({ "Operations": [{ "op": "add", "path": "title", "value": "T" }] });
    client.patch(&format!("/Users/{id}"), &patch).expect(200);
    let told = client.post("/Users", &json!({ "userName": "berta" })).expect(403);
    assert!(told["detail"].as_str().unwrap().contains("users:create"), "{told}");

    for (bad, why) in [
        (token(&key, -60, &json!({})), "expired"),
        (token(&key, 60, &json!({ "aud": "other" })), "another audience"),
        (token(&key, 60, &json!({ "iss": "https://other.example" })), "its issuer"),
        (token(&Ed25519KeyPair::generate().unwrap(), 60, &json!({})), "signature"),
        (format!("{good}x"), "compact form"),
        (good.replace('.', "-"), "not one of this tenant"),
    ] {
        let answer = bridge.client_as(&bad).get("/Users");
        assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"));
        let told = answer.expect(401);
        assert!(told["detail"].as_str().unwrap().contains(why), "{told}");
        assert!(!told.to_string().contains(&bad));
    }
    let mut beta =
        crate::support::client::Client::new(bridge.address(), "/scim/beta/v2", Some(&good));
    beta.get("/Users").expect(401);

    let list = [
        "audit",
        "list",
        "--config",
        "scimbridge.toml",
        "--tenant",
        TENANT,
        "--action",
        "updateUser",
        "--format",
        "json",
    ];
    let listed = String::from_utf8(run(bridge.directory(), &list).stdout).unwrap();
    let record: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(record["caller"], ISSUER);
    assert_eq!(record["actor"], record["token"], "she wrote to herself");
    assert_eq!(record["person"], id);

    // One allowance for all tokens of the issuer; four requests are made.
    let other = token(&key, 60, &json!({ "sub": "nobody" }));
    bridge.client_as(&other).get("/Users").expect(200);
    bridge.client_as(&other).get("/Me").expect(404);
    bridge.client_as(&other).get("/Users").expect(429);
    client.get("/Me").expect(429);
    assert!(bridge.terminate().success());
    let log = bridge.log();
    assert!(log.contains(ISSUER) && !log.contains(&good) && !log.contains(&other));
}

#[test]
fn keys_that_are_of_no_use_stop_the_start() {
    let key = Ed25519KeyPair::generate().unwrap();
    let directory = settings(&key, "").write();
    std::fs::write(directory.join("jwks.json"), "{\"keys\":[]}").unwrap();
    let output = run(&directory, &["serve", "--config", "scimbridge.toml"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains(ISSUER) && text.contains("none of its keys"), "{text}");
    assert_eq!(output.status.code(), Some(1));
    std::fs::remove_file(directory.join("jwks.json")).unwrap();
    let output = run(&directory, &["serve", "--config", "scimbridge.toml"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("jwks.json cannot be read"), "{text}");
    std::fs::remove_dir_all(directory).unwrap();
}
