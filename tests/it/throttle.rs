//! Who fails too often, or asks too much, waits; others do not.

use crate::support::bridge::{BASE, Settings, TOKEN, TestBridge};
use crate::support::client::{Answer, Client};

/// Checks that an answer says to wait, and gives for how many seconds.
#[track_caller]
fn wait(answer: &Answer) -> u64 {
    let message = answer.expect(429);
    assert_eq!(message["status"], "429");
    assert_eq!(message["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:Error");
    answer.header("retry-after").unwrap().parse().unwrap()
}

fn from(client: &mut Client, address: &str) -> Answer {
    client.send("GET", "/Users", &[("X-Forwarded-For", address)], b"")
}

#[test]
fn an_address_whose_sign_ins_fail_has_to_wait() {
    let settings = Settings::local().server("throttle = { failures = 3, per = \"1m\" }");
    let bridge = TestBridge::start(&settings);
    let (mut guesser, mut known) = (bridge.client_as("guess"), bridge.client());
    // No token at all is no attempt.
    for _ in 0..5 {
        Client::new(bridge.address(), BASE, None).get("/Users").expect(401);
    }
    for _ in 0..3 {
        known.get("/Users").expect(200);
        // Without a proxy in front nobody believes this header.
        from(&mut guesser, "192.0.2.9").expect(401);
    }
    let seconds = wait(&guesser.get("/Users"));
    assert!((1..=20).contains(&seconds), "{seconds}");
    // Else a guesser would learn which guess was right.
    wait(&known.get("/Users"));
    known.get("/ServiceProviderConfig").expect(200);
}

#[test]
fn behind_a_proxy_the_address_is_the_one_that_it_saw() {
    let settings =
        Settings::local().server("behind_proxy = true\nthrottle = { failures = 2, per = \"1m\" }");
    let bridge = TestBridge::start(&settings);
    let (mut guesser, mut known) = (bridge.client_as("guess"), bridge.client());
    for made_up in ["1.1.1.1", "1.1.1.2"] {
        from(&mut guesser, &format!("{made_up}, 192.0.2.7")).expect(401);
    }
    wait(&from(&mut guesser, "1.1.1.3, 192.0.2.7"));
    wait(&from(&mut known, "192.0.2.7"));
    from(&mut known, "192.0.2.8").expect(200);
    known.get("/Users").expect(200);
}

#[test]
fn a_token_has_so_many_requests() {
    let settings = Settings::local()
        .token("busy", "busy-token", &["users:search"])
        .token_line("rate = { requests = 5, per = \"1h\" }");
    let bridge = TestBridge::start(&settings);
    let mut busy = bridge.client_as("busy-token");
    for _ in 0..5 {
        busy.get("/Users").expect(200);
    }
    let seconds = wait(&busy.get("/Users"));
    assert!((700..=720).contains(&seconds), "{seconds}");
    bridge.client_as(TOKEN).get("/Users").expect(200);
}
