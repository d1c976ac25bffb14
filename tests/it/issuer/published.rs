//! Keys that an issuer publishes under an address: changed, withheld, and answered by somebody who
//! means no good.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::Ed25519KeyPair;
use serde_json::{Value, json};

use super::signed;
use crate::support::bridge::{Settings, TestBridge};
use crate::support::certificates::{issue, root};
use crate::support::client::{Answer, Client};
use crate::support::keys::{KeyServer, Says, set};
use crate::support::{eventually, guard};

const PATIENCE: Duration = Duration::from_mins(1);

fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::generate().unwrap()
}

/// A table of an issuer, `https://NAME.example`.
fn issuer(name: &str, jwks: &str, more: &str) -> String {
    format!(
        "[[tenant.issuer]]\nissuer = \"https://{name}.example\"\naudience = \"scim\"\n\
         jwks = {jwks:?}\npermissions = [\"users:*\"]\n{more}\n"
    )
}

/// A token of that issuer.
fn token(name: &str, id: &str, key: &Ed25519KeyPair) -> String {
    let claims = json!({ "iss": format!("https://{name}.example") });
    signed(key, &json!({ "alg": "EdDSA", "kid": id }), 600, &claims)
}

fn ask(bridge: &TestBridge, token: &str) -> Answer {
    bridge.client_as(token).get("/Users")
}

/// How often something is logged.
fn logged(bridge: &TestBridge, event: &str, issuer: &str) -> usize {
    let (event, issuer) = (format!("\"{event}\""), format!("https://{issuer}.example\""));
    bridge.log().lines().filter(|line| line.contains(&event) && line.contains(&issuer)).count()
}

/// The keys' state, as `/health/ready` has it for the issuer that stands there first.
fn health(bridge: &TestBridge) -> Value {
    bridge.stranger().get("/health/ready").expect(200)["issuers"][0].clone()
}

#[test]
fn keys_change_without_a_restart_and_outlive_their_server() {
    let folder = guard::directory("keys");
    root(&folder, "ca");
    issue(&folder, "ca", "server");
    let (old, new) = (key(), key());
    let server = KeyServer::tls(Says::keys(&set(&[("old", &old)])), &folder);
    let ca = format!("ca = \"{}/ca.pem\"", folder.display());
    let settings = Settings::local().rest(&issuer("login", &server.url(), &ca));
    let mut bridge = TestBridge::start(&settings);
    ask(&bridge, &token("login", "old", &old)).expect(200);
    assert_eq!(health(&bridge)["keys"], "ok");
    let begin = Instant::now();
    let mut refused = 0;
    for number in 0..50 {
        let answer = ask(&bridge, &token("login", &format!("invented-{number}"), &new));
        let told = answer.expect(if answer.status == 401 { 401 } else { 503 });
        if answer.status == 401 {
            refused += 1;
            assert!(told["detail"].as_str().unwrap().contains("no key of its issuer"), "{told}");
        } else {
            // There may be one since they were asked for.
            let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=5).contains(&wait), "{wait}");
        }
    }
    assert!(refused <= begin.elapsed().as_secs() / 5 + 1, "{refused}");
    // As of what is known to be none, it is said of what was asked for.
    let invented = || ask(&bridge, &token("login", "invented", &new)).status == 401;
    assert!(eventually(PATIENCE, invented));
    // The first question, and one for every five seconds.
    let most = 2 + u32::try_from(begin.elapsed().as_secs()).unwrap() / 5;
    assert!(server.asked() <= most, "{}", server.asked());

    server.say(Says::keys(&set(&[("new", &new)])));
    let followed =
        |id, key| eventually(PATIENCE, || ask(&bridge, &token("login", id, key)).status == 200);
    // Just asked for, for nothing: the new key is not refused meanwhile.
    let mut early = Vec::new();
    assert!(eventually(PATIENCE, || {
        early.push(ask(&bridge, &token("login", "new", &new)).status);
        early.ends_with(&[200])
    }));
    assert_eq!(early.iter().find(|status| !matches!(status, 200 | 503)), None, "{early:?}");
    assert!(early.contains(&503), "{early:?}");
    let gone = || ask(&bridge, &token("login", "old", &old)).status == 401;
    assert!(eventually(PATIENCE, gone));

    // Those that it has go on; of others it cannot say now.
    server.say(Says::answer("500 Oops", "", ""));
    let unsure =
        || eventually(PATIENCE, || ask(&bridge, &token("login", "next", &old)).status == 503);
    assert!(unsure());
    let asked = server.asked();
    assert!(eventually(PATIENCE, || unsure() && server.asked() > asked));
    ask(&bridge, &token("login", "new", &new)).expect(200);
    assert_eq!(health(&bridge)["keys"], "unavailable");
    server.say(Says::keys(&set(&[("new", &new), ("next", &old)])));
    assert!(followed("next", &old));
    assert_eq!(health(&bridge)["keys"], "ok");

    // Without any key left, none of those that were had before is good.
    server.say(Says::keys(&json!({ "keys": [] })));
    assert!(eventually(PATIENCE, || {
        ask(&bridge, &token("login", "invented", &new));
        ask(&bridge, &token("login", "new", &new)).status != 200
    }));
    assert_eq!(health(&bridge)["keys"], "ok");
    assert!(bridge.terminate().success());
    assert_eq!(logged(&bridge, "issuer.keys.unavailable", "login"), 1, "once for an outage");
    assert_eq!(logged(&bridge, "issuer.keys.back", "login"), 1);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn many_who_wait_for_keys_ask_once_and_hold_nobody_up() {
    let key = key();
    let server = KeyServer::plain(Says::Later);
    let other = KeyServer::plain(Says::keys(&set(&[("k", &key)])));
    let tables = issuer("login", &server.url(), "") + &issuer("other", &other.url(), "");
    let bridge = TestBridge::start(&Settings::local().rest(&tables));
    let waiting = token("login", "k", &key);
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..20).map(|_| scope.spawn(|| ask(&bridge, &waiting).status)).collect();
        assert!(eventually(PATIENCE, || server.asked() == 1));
        bridge.client().get("/Users").expect(200);
        ask(&bridge, &token("other", "k", &key)).expect(200);
        assert!(all.iter().all(|one| !one.is_finished()), "nobody has keys yet");
        server.say(Says::keys(&set(&[("k", &key)])));
        assert!(all.into_iter().all(|one| one.join().unwrap() == 200));
    });
    assert_eq!(server.asked(), 1);
}

#[test]
fn issuers_with_the_same_keys_ask_once() {
    let key = key();
    let server = KeyServer::plain(Says::keys(&set(&[("k", &key)])));
    let beta = format!("[[tenant]]\nname = \"beta\"\n{}", issuer("third", &server.url(), ""));
    let tables = issuer("one", &server.url(), "") + &issuer("other", &server.url(), "") + &beta;
    let bridge = TestBridge::start(&Settings::local().rest(&tables));
    ask(&bridge, &token("one", "k", &key)).expect(200);
    ask(&bridge, &token("other", "k", &key)).expect(200);
    let third = token("third", "k", &key);
    Client::new(bridge.address(), "/scim/beta/v2", Some(&third)).get("/Users").expect(200);
    assert_eq!(server.asked(), 1);
    server.say(Says::answer("500 Oops", "", ""));
    let undecided = || ask(&bridge, &token("one", "next", &key)).status == 503;
    assert!(eventually(PATIENCE, || undecided() && server.asked() == 2));
    for name in ["one", "other", "third"] {
        assert!(eventually(PATIENCE, || logged(&bridge, "issuer.keys.unavailable", name) == 1));
    }
    let health = bridge.stranger().get("/health/ready").expect(200);
    let states = health["issuers"].as_array().unwrap().iter().map(|one| one["keys"].clone());
    assert_eq!(states.collect::<Vec<_>>(), ["unavailable"; 3]);
}

#[test]
fn what_is_no_key_set_in_time_from_its_own_address_is_none() {
    let folder = guard::directory("keys");
    root(&folder, "ca");
    issue(&folder, "ca", "server");
    let key = key();
    let good = set(&[("k", &key)]);
    let elsewhere = KeyServer::plain(Says::keys(&good));
    let mut private = good.clone();
    private["keys"][0]["d"] = json!("AA");
    let mut padded = good.clone();
    padded["padding"] = json!("x".repeat(300 << 10));
    let chunked = format!("{:x}\r\n{padded}\r\n0\r\n\r\n", padded.to_string().len());
    let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}");
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let location = format!("Location: {}\r\n", elsewhere.url());
    let gzip = "Content-Encoding: gzip\r\n";
    let many = json!({ "keys": vec![good["keys"][0].clone(); 65] });
    let plain = [
        ("error", Says::answer("500 Oops", "", &good.to_string()), "500"),
        ("redirect", Says::answer("302 Found", &location, &good.to_string()), "302"),
        ("garbage", Says::answer("200 OK", "", "<html>welcome</html>"), "no JSON object"),
        ("nothing", Says::answer("200 OK", "", "{\"keys\":[]}"), "none of its keys"),
        ("private", Says::keys(&private), "private key"),
        ("many", Says::keys(&many), "more than 64 keys"),
        ("long", Says::keys(&padded), "longer than 262144 bytes"),
        ("chunked", Says::Answer(chunked.into()), "longer than 262144 bytes"),
        ("head", Says::Answer(endless.into()), "does not speak HTTP"),
        ("gzip", Says::answer("200 OK", gzip, &good.to_string()), "compressed"),
        (
            "short",
            Says::Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".into()),
            "broke off",
        ),
        ("noise", Says::Answer(vec![0; 64]), "does not speak HTTP"),
        ("drip", Says::Drip, "in time"),
        ("silence", Says::Nothing, "in time"),
    ];
    let servers: Vec<_> = plain.map(|(name, says, why)| (name, KeyServer::plain(says), why)).into();
    let ca = format!("ca = \"{}/ca.pem\"", folder.display());
    let tls = KeyServer::tls(Says::keys(&good), &folder);
    let other_name = format!("https://localhost:{}/keys", tls.port());
    let plain_port = format!("https://127.0.0.1:{}/keys", elsewhere.port());
    let mut tables = issuer("good", &tls.url(), &ca);
    let mut bad: Vec<(&str, &str)> = Vec::new();
    for (name, server, why) in &servers {
        tables += &issuer(name, &server.url(), "");
        bad.push((name, why));
    }
    for (name, url, ca, why) in [
        ("name", &*other_name, &*ca, "not valid for name"),
        ("root", &*tls.url(), "", "UnknownIssuer"),
        ("plain", &*plain_port, &*ca, "in time"),
        ("closed", "http://127.0.0.1:1/keys", "", "cannot be connected to"),
    ] {
        write!(tables, "{}", issuer(name, url, ca)).unwrap();
        bad.push((name, why));
    }
    let mut bridge = TestBridge::start(&Settings::local().rest(&tables));
    ask(&bridge, &token("good", "k", &key)).expect(200);
    for (name, why) in bad {
        let answer = ask(&bridge, &token(name, "k", &key));
        let wait = answer.header("retry-after").expect("a time to wait").parse::<u64>().unwrap();
        assert!((1..=5).contains(&wait), "{wait}");
        let told = answer.expect(503);
        let detail = told["detail"].as_str().unwrap();
        assert!(detail.contains("keys of the token's issuer cannot be read now"), "{detail}");
        assert!(!detail.contains(".example"), "{detail}");
        let id = answer.header("x-request-id").unwrap();
        let undecided = |line: &&str| line.contains("\"signin.undecided\"") && line.contains(id);
        let said = || bridge.log().lines().find(undecided).map(str::to_owned);
        assert!(eventually(PATIENCE, || said().is_some()));
        assert!(said().unwrap().contains(&format!("https://{name}.example")));
        bridge.client().get("/Users").expect(200);
        let once = || logged(&bridge, "issuer.keys.unavailable", name) == 1;
        assert!(eventually(PATIENCE, once), "{name}");
        let log = bridge.log();
        let line = log.lines().find(|line| {
            line.contains("keys.unavailable") && line.contains(&format!("https://{name}.example"))
        });
        assert!(line.unwrap().contains(why), "{name}: {line:?}");
    }
    assert_eq!(elsewhere.asked(), 0, "nobody is sent elsewhere");
    assert!(bridge.terminate().success());
    std::fs::remove_dir_all(folder).unwrap();
}
