//! Secrets are planted wherever there are any, everything is done that may make the program talk about
//! them, and then all that it said and kept is looked through.

use std::path::Path;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use scimbridge::config::Config;
use serde_json::{Value, json};

use crate::support::bridge::{BASE, Settings, TestBridge, digest, run};
use crate::support::certificates::{issue, root};
use crate::support::client::{Answer, Client};
use crate::support::slapd::{READER, SUFFIX, Slapd};
use crate::support::{eventually, guard};

/// Every planted secret has this in it, and nothing else has.
const MARK: &str = "pl4nted";
const TOKEN: &str = "pl4nted-token";
const CLIENT_SECRET: &str = "pl4nted of the client";
const BIND_PASSWORD: &str = "pl4nted-bind-password";
const CHECK: [&str; 3] = ["check", "--config", "scimbridge.toml"];
const PASSWORD: &str = "urn:hid:scim:api:idp:2.0:Password";

fn settings(slapd: &Slapd, format: &str, key: &Ed25519KeyPair) -> Settings {
    let jwks = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k1",
        "x": URL_SAFE_NO_PAD.encode(key.public_key().as_ref()) }] });
    let repository = |id: &str, password: &str| {
        format!(
            "[[tenant.repository]]\nid = \"{id}\"\nurls = [\"{}\"]\nbind_dn = \"{READER}\"\n\
             bind_password = {password}\nbase = \"ou=people,{SUFFIX}\"\nmapping = \"openldap\"\n\
             filter = \"(objectClass=inetOrgPerson)\"\n\
             cache = {{ fresh = \"0s\", negative = \"0s\", stale = \"0s\" }}\n",
            slapd.url()
        )
    };
    Settings::local()
        .telemetry(&format!("log = \"trace\"\nformat = \"{format}\""))
        .token("planted", TOKEN, &["*"])
        .rest(&format!(
            "[[tenant.authenticator_policy]]\nid = \"AT_PWD\"\ntype = \"login\"\n\
             [[tenant.client]]\nid = \"agent\"\nsecret_sha256 = \"{}\"\npermissions = [\"*\"]\n\
             [[tenant.issuer]]\nissuer = \"https://login.example\"\naudience = \"scim\"\n\
             jwks = {{ file = \"jwks.json\" }}\npermissions = [\"*\"]\n",
            digest(CLIENT_SECRET)
        ))
        .rest(&repository("corp", "{ file = \"bind\" }"))
        .rest(&repository("other", "\"pl4nted-but-wrong\""))
        .file("bind", BIND_PASSWORD)
        .file("jwks.json", &jwks.to_string())
}

/// A token of the issuer, good for so many seconds.
fn token(key: &Ed25519KeyPair, seconds: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let expires = i64::try_from(now.as_secs()).unwrap() + seconds;
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({ "iss": "https://login.example", "aud": "scim", "exp": expires });
    let signed = format!("{}.{}", part(json!({ "alg": "EdDSA", "kid": "k1" })), part(claims));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())))
}

/// All that was said, each with where.
#[derive(Default)]
struct Said(Vec<(String, String)>);

impl Said {
    fn answer(&mut self, request: &str, answer: &Answer) {
        self.0.push((request.to_owned(), format!("{:?} {}", answer.headers, answer.text())));
    }

    fn program(&mut self, directory: &Path, arguments: &[&str]) {
        let output = run(directory, arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.0.push((format!("{arguments:?}"), text(&output.stdout) + &text(&output.stderr)));
    }

    fn tells_nothing_of(&self, secrets: &[String]) {
        assert!(!self.0.is_empty());
        for (place, text) in &self.0 {
            for secret in secrets {
                if let Some(at) = text.find(secret.as_str()) {
                    let from = text.floor_char_boundary(at.saturating_sub(300));
                    let to = text.ceil_char_boundary(text.len().min(at + 300));
                    panic!("{secret} in {place}: {}", &text[from..to]);
                }
            }
        }
    }
}

/// Requests with secrets where they belong, and where they do not; gives an issued token.
fn ask(bridge: &TestBridge, key: &Ed25519KeyPair, said: &mut Said) -> String {
    let mut client = bridge.client_as(TOKEN);
    let made = client.post("/Users", &json!({ "userName": "ann", "password": "pl4nted-user" }));
    said.answer("POST with a password", &made);
    let ann = made.expect(201)["id"].as_str().unwrap().to_owned();
    let user = format!("/Users/{ann}");
    let operation = |value: Value| {
        json!({ "Operations": [{ "op": "replace", "path": "password", "value": value }] })
            .to_string()
    };
    let login = |password: &str| {
        json!({ "owner": { "value": ann }, "policy": { "value": "AT_PWD" },
            (PASSWORD): { "username": "ann", "password": password } })
        .to_string()
    };
    let row = json!({ "userName": "row", "password": "pl4nted-row" });
    let import = json!({ "users": [row, row], "group": { "value": "nobody" } }).to_string();
    let bulk = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [
        { "method": "PATCH", "path": user, "data": { "Operations": [
            { "op": "replace", "path": "password", "value": "pl4nted-bulk" }] } },
        { "method": "POST", "path": "/Users", "bulkId": "b", "data": { "password": "pl4nted-bulk" } },
    ]}).to_string();
    let long = format!("{}{MARK}", "x".repeat(3000));
    for (method, path, body) in [
        ("PATCH", &*user, operation("pl4nted-patch".into())),
        ("PATCH", &user, operation(json!(["pl4nted-list"]))),
        ("PATCH", &user, operation(json!({ "pl4nted": "pl4nted-object" }))),
        ("PATCH", &user, operation(long.clone().into())),
        ("PUT", &user, json!({ "userName": "ann", "password": "pl4nted-put" }).to_string()),
        ("PUT", &user, json!({ "userName": 7, "password": "pl4nted-put" }).to_string()),
        ("POST", "/Users", "{\"userName\":\"bob\",\"password\":\"pl4nted-open".to_owned()),
        ("POST", "/Users", "{\"userName\":\"bob\",\"password\":\"pl4nted\\q\"}".to_owned()),
        ("POST", "/Users", "{\"password\":\"pl4nted\",\"password\":\"pl4nted-2\"}".to_owned()),
        ("POST", "/Users", "{\"password\":pl4nted}".to_owned()),
        ("POST", "/Users", "\"pl4nted-text\"".to_owned()),
        ("POST", "/Users", json!({ "userName": "bob", "password": ["pl4nted"] }).to_string()),
        ("POST", "/Users", json!({ "userName": "ann", "password": "pl4nted-409" }).to_string()),
        ("POST", "/Authenticator", login("pl4nted-authenticator")),
        ("POST", "/Authenticator", login("pl4nted-twice")),
        ("POST", "/Authenticator", login(&long)),
        ("POST", "/Bulk", bulk),
        ("POST", "/Users/.import", import),
        ("GET", "/Users?filter=password%20eq%20%22pl4nted-filter%22", String::new()),
        ("GET", "/Users?access_token=pl4nted-in-the-query", String::new()),
        ("GET", "/Users?searchRepositories=true&filter=userName%20sw%20%22u%22", String::new()),
        ("GET", "/Authenticator", String::new()),
        ("GET", &user, String::new()),
    ] {
        said.answer(&format!("{method} {path}"), &client.send(method, path, &[], body.as_bytes()));
    }

    let mut stranger = bridge.stranger();
    let good = token(key, 60);
    for header in [
        format!("Bearer {good}"),
        format!("Bearer {}", token(key, -60)),
        format!("Bearer {good}pl4nted"),
        "Bearer pl4nted-unknown".to_owned(),
        "Bearer pl4nted malformed".to_owned(),
        "Basic pl4nted".to_owned(),
        "pl4nted".to_owned(),
    ] {
        let headers = [("Authorization", header.as_str())];
        said.answer("a header", &stranger.send("GET", &format!("{BASE}/Users"), &headers, b""));
    }
    let basic = |secret: &str| format!("Basic {}", STANDARD.encode(format!("agent:{secret}")));
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let grant = "grant_type=client_credentials";
    let endpoint = "/idp/acme/authn/token";
    let wrong = basic("pl4nted-wrong");
    for (header, body) in [
        (wrong.as_str(), grant.to_owned()),
        (wrong.as_str(), format!("{grant}&client_secret=pl4nted")),
        ("Basic pl4nted", grant.to_owned()),
        (wrong.as_str(), format!("{grant}&scope=pl4nted%22&client_id=agent&client_secret=pl4nted")),
    ] {
        let headers = [form, ("Authorization", header)];
        said.answer("no token", &stranger.send("POST", endpoint, &headers, body.as_bytes()));
    }
    let right = basic(&CLIENT_SECRET.replace(' ', "+"));
    let headers = [form, ("Authorization", right.as_str())];
    let issued = stranger.send("POST", endpoint, &headers, grant.as_bytes()).expect(200);
    let issued = issued["access_token"].as_str().unwrap().to_owned();
    said.answer("with an issued token", &bridge.client_as(&issued).get("/Users"));
    issued
}

fn operations(bridge: &TestBridge, said: &mut Said) {
    let mut stranger = bridge.stranger();
    for path in ["/metrics", "/health/ready", "/health/live"] {
        said.answer(path, &stranger.get(path));
    }
}

#[test]
fn no_secret_is_told_or_kept() {
    let slapd = Slapd::company(20);
    slapd.modify(&format!(
        "dn: {READER}\nchangetype: modify\nreplace: userPassword\nuserPassword: {BIND_PASSWORD}\n"
    ));
    for format in ["text", "json"] {
        let key = Ed25519KeyPair::generate().unwrap();
        let settings = settings(&slapd, format, &key);
        let mut bridge = TestBridge::start(&settings);
        let directory = bridge.directory().to_owned();
        let mut said = Said::default();
        let issued = ask(&bridge, &key, &mut said);
        slapd.stop();
        operations(&bridge, &mut said);
        slapd.cont();
        said.program(&directory, &CHECK);
        for arguments in [
            &["audit", "list", "--config", "scimbridge.toml", "--format", "json"][..],
            &["audit", "list", "--config", "scimbridge.toml"],
            &["audit", "verify", "--config", "scimbridge.toml"],
            &["token", "list", "--config", "scimbridge.toml"],
        ] {
            said.program(&directory, arguments);
        }
        guard::signal(bridge.pid(), "HUP");
        for file in ["cmdline", "environ"] {
            let text = std::fs::read(format!("/proc/{}/{file}", bridge.pid())).unwrap();
            said.0.push((file.to_owned(), String::from_utf8_lossy(&text).into_owned()));
        }
        let kept = bridge.query("SELECT own FROM resources");
        bridge.terminate();
        let config = Config::load(&directory.join("scimbridge.toml")).unwrap();
        said.0.push(("the settings".to_owned(), format!("{config:?}")));
        said.0.push(("the log".to_owned(), bridge.log()));
        said.0.push(("standard output".to_owned(), bridge.output()));
        said.0.push(("the store".to_owned(), kept.join("\n")));
        for event in ["repository.failed", "signin.failed", "token.issued"] {
            assert!(bridge.log().contains(event), "there is more to look through");
        }
        let good = token(&key, 60);
        let signature = good.rsplit('.').next().unwrap().to_owned();
        let encoded = STANDARD.encode(format!("agent:{}", CLIENT_SECRET.replace(' ', "+")));
        said.tells_nothing_of(&[MARK.to_owned(), issued, signature, encoded]);
    }
}

/// A configuration that is wrong is told of with its lines, but not those.
#[test]
fn what_is_wrong_with_a_secret_is_told_without_it() {
    let text = Settings::local()
        .rest("[[tenant.repository]]\nid = \"corp\"\nurls = [\"ldap://127.0.0.1:1\"]\n\
               bind_dn = \"cn=x\"\nbind_password = \"good\"\nbase = \"dc=x\"\nmapping = \"openldap\"")
        .rest(&format!(
            "[[tenant.client]]\nid = \"agent\"\nsecret_sha256 = \"{}\"\npermissions = [\"*\"]",
            digest("x")
        ))
        .text();
    let bind = "bind_password = \"good\"";
    let secret = format!("secret_sha256 = \"{}\"", digest("x"));
    let url = text.lines().find(|line| line.starts_with("url = ")).unwrap();
    let mut said = Said::default();
    for (from, to) in [
        (bind, "bind_password = \"pl4nted"),
        (bind, "bind_password = pl4nted"),
        (bind, "bind_password = [\"pl4nted\"]"),
        (bind, "bind_password = { text = \"pl4nted\" }"),
        (bind, "bind_password = \"pl4nted\"\nbind_password = \"pl4nted\""),
        (bind, "bind_pasword = \"pl4nted\""),
        (&secret, "secret_sha256 = \"pl4nted\""),
        (&secret, "secret = \"pl4nted\""),
        (
            "[[tenant.token]]",
            "[[tenant.token]]\nname = \"n\"\npermissions = []\nsha256 = \"pl4nted\"\n[[tenant.token]]",
        ),
        (
            "[[tenant.token]]",
            "[[tenant.token]]\nname = \"n\"\npermissions = []\ntoken = \"pl4nted\"\n[[tenant.token]]",
        ),
        (url, "url = \"postgres://u:pl4nted@127.0.0.1:1/x\""),
        (url, "url = \"postgres://u:pl4nted@127.0.0.1:x/x\""),
        (url, "url = \"mysql://u:pl4nted@127.0.0.1/x\""),
        (url, "url = [\"postgres://u:pl4nted@127.0.0.1:1/x\"]"),
    ] {
        assert!(text.contains(from), "{from} in {text}");
        let directory = Settings::local().write();
        std::fs::write(directory.join("scimbridge.toml"), text.replacen(from, to, 1)).unwrap();
        said.program(&directory, &CHECK);
        said.program(&directory, &["token", "list", "--config", "scimbridge.toml"]);
        if to.contains("127.0.0.1:1/") {
            said.program(&directory, &["serve", "--config", "scimbridge.toml"]);
        }
    }
    said.tells_nothing_of(&[MARK.to_owned()]);
}

#[test]
fn the_private_key_is_told_to_nobody() {
    let folder = guard::directory("certificates");
    root(&folder, "ca");
    issue(&folder, "ca", "server");
    let key = std::fs::read_to_string(folder.join("server.key")).unwrap();
    let line = key.lines().nth(1).unwrap().to_owned();
    let path = folder.display();
    let settings = Settings::local().telemetry("log = \"trace\"\nformat = \"text\"").server(
        &format!("tls = {{ certificate = \"{path}/server.pem\", key = \"{path}/server.key\" }}"),
    );
    let mut bridge = TestBridge::start(&settings);
    let greet = |bridge: &TestBridge| {
        let mut plain = Client::new(bridge.address(), "", None);
        let _ = plain.try_send("GET", "/health/live", &[], b"");
        let curl = std::process::Command::new("curl")
            .args(["-sS", "--http2", "--cacert", "ca.pem", "-H", "Authorization: Bearer pl4nted"])
            .args(["-H", "X-Password: pl4nted", "-u", "x:pl4nted"])
            .arg(format!("https://{}{BASE}/Users?password=pl4nted", bridge.address()))
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(curl.status.success(), "{curl:?}");
        String::from_utf8_lossy(&curl.stdout).into_owned()
    };
    let mut said = Said::default();
    said.0.push(("an answer".to_owned(), greet(&bridge)));
    // A key that is none is told of, and not shown.
    let spoilt = key.replacen("-----BEGIN", "-----BEGUN pl4nted", 1);
    std::fs::write(folder.join("server.key"), spoilt).unwrap();
    guard::signal(bridge.pid(), "HUP");
    assert!(eventually(Duration::from_secs(10), || bridge.log().contains("server.key")));
    said.0.push(("another answer".to_owned(), greet(&bridge)));
    bridge.terminate();
    said.program(bridge.directory(), &["serve", "--config", "scimbridge.toml"]);
    said.0.push(("the log".to_owned(), bridge.log()));
    said.tells_nothing_of(&[MARK.to_owned(), line]);
}
