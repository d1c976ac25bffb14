//! People whom a directory holds by a referral to another server: found, bound, kept and missed like
//! everybody else, and absent only by that server's word.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::bridge::{Settings, TestBridge, run};
use crate::support::client::Client;
use crate::support::eventually;
use crate::support::slapd::{Options, SUFFIX, Slapd};

const REPORT: &str = "urn:scimbridge:api:messages:2.0:Repositories";
const SOURCE: &str = "urn:scimbridge:schemas:2.0:Source";
const FOLLOWING: &str = "follow_referrals = [\"127.0.0.1\"]";

fn far() -> Slapd {
    let person = |uid: &str| {
        format!(
            "dn: uid={uid},ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\n\
             sn: Far\ntitle: Guest\n\n"
        )
    };
    let ldif = ["far.one", "far.two", "far.three"].map(person).concat();
    Slapd::start(Options { ldif, ..Options::default() })
}

/// With ten people of its own, and a referral to `far` among them.
fn near(far: &Slapd) -> Slapd {
    let ldif = format!(
        "dn: ou=far,ou=people,{SUFFIX}\nobjectClass: referral\nobjectClass: extensibleObject\n\
         ou: far\nref: {}/ou=people,{SUFFIX}\n\n",
        far.url()
    );
    Slapd::start(Options { people: 10, ldif, ..Options::default() })
}

fn settings(near: &Slapd) -> Settings {
    Settings::local()
        .tenant("vanish_grace = \"500ms\"")
        .repository("corp", &near.url())
        .with("verify = \"500ms\"\ntimeouts = { connect = \"1s\", operation = \"2s\" }")
        .with("cache = { fresh = \"0s\", negative = \"0s\", stale = \"0s\" }")
}

fn by_name(uid: &str) -> String {
    format!("/Users?searchRepositories=true&filter=userName%20eq%20%22{uid}%22")
}

fn id(client: &mut Client, uid: &str) -> String {
    let list = client.get(&by_name(uid)).expect(200);
    assert_eq!(list["totalResults"], 1, "{list}");
    list["Resources"][0]["id"].as_str().unwrap().to_owned()
}

fn set(path: &str, value: &str) -> Value {
    json!({ "Operations": [{ "op": "replace", "path": path, "value": value }] })
}

#[test]
fn somebody_behind_a_referral_is_found_bound_and_missed_like_everybody_else() {
    let far = far();
    let near = near(&far);
    let written = "[tenant.repository.attributes]\ntitle = { authority = \"write_back\" }";
    let bridge = TestBridge::start(&settings(&near).with(FOLLOWING).with(written));
    let mut client = bridge.client();
    let all = client.get("/Users?searchRepositories=true").expect(200);
    assert_eq!((&all["totalResults"], &all[REPORT][0]["state"]), (&json!(13), &json!("ok")));
    let path = format!("/Users/{}", id(&mut client, "far.one"));
    let other = format!("/Users/{}", id(&mut client, "far.two"));
    let bound = client.patch(&path, &set("nickName", "bound")).expect(200);
    assert_eq!((&bound["userName"], &bound["title"]), (&json!("far.one"), &json!("Guest")));
    // Nothing is written where a referral leads, and nobody is gone for that.
    let refused = client.patch(&path, &set("title", "Boss"));
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(refused.text().contains("where a referral leads"), "{}", refused.text());
    assert_eq!(far.values("far.one", "title"), ["Guest"]);

    far.kill();
    let begin = Instant::now();
    assert_eq!(client.get(&by_name("far.nobody")).status, 503, "an outage is never an absence");
    assert_eq!(client.get(&other).status, 503, "never 404");
    let list = client.get("/Users?searchRepositories=true").expect(200);
    assert_eq!(list["totalResults"], 11, "ten here, and the bound user: {list}");
    assert_ne!(list[REPORT][0]["state"], "ok", "{list}");
    let shadow = client.get(&path).expect(200);
    assert_eq!((&shadow["userName"], &shadow["active"]), (&json!("far.one"), &json!(true)));
    assert!(begin.elapsed() < Duration::from_secs(9), "{:?}", begin.elapsed());
    // Through several rounds of the watch.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(client.get(&path).expect(200)["active"], true, "{}", bridge.log());

    far.restart();
    let back = || client.get(&path).expect(200)[SOURCE]["state"] != "unavailable";
    assert!(eventually(Duration::from_secs(20), back), "{}", bridge.log());
    far.modify(&format!("dn: uid=far.one,ou=people,{SUFFIX}\nchangetype: delete\n\n"));
    let gone = || client.get(&path).expect(200)["active"] == false;
    assert!(eventually(Duration::from_secs(20), gone), "{}", bridge.log());
    assert_eq!(client.get(&by_name("far.one")).expect(200)["totalResults"], 1, "the bound user");
}

#[test]
fn nobody_is_followed_to_a_host_that_is_not_in_the_list_and_that_is_told_once() {
    let far = far();
    let near = near(&far);
    for list in ["", "follow_referrals = [\"localhost\"]"] {
        let bridge = TestBridge::start(&settings(&near).with(list));
        let mut client = bridge.client();
        for _ in 0..3 {
            let all = client.get("/Users?searchRepositories=true").expect(200);
            assert_eq!(
                (&all["totalResults"], &all[REPORT][0]["state"]),
                (&json!(10), &json!("ok"))
            );
        }
        let told = bridge.log().matches("a referral is not followed").count();
        assert_eq!(told, usize::from(!list.is_empty()), "{}", bridge.log());
    }
    assert_eq!(far.searches(), 0);
}

#[test]
fn check_tells_where_the_directory_refers_and_tries_what_is_followed() {
    let far = far();
    let near = near(&far);
    let check = |settings: &Settings| {
        let output = run(&settings.write(), &["check", "--config", "scimbridge.toml"]);
        (String::from_utf8(output.stdout).unwrap(), output.status.success())
    };
    let line = |said: &str, mark: &str, words: &str| {
        let is = |line: &str| line.trim_start().starts_with(mark) && line.contains(words);
        assert!(said.lines().any(is), "{mark} {words} is not in {said}");
    };
    let (said, well) = check(&settings(&near));
    assert!(well, "{said}");
    line(&said, "warning", &format!("{} is not in follow_referrals", far.url()));
    let (said, well) = check(&settings(&near).with(FOLLOWING));
    assert!(well, "{said}");
    line(&said, "ok", &format!("{}: referrals to it are followed", far.url()));
    line(&said, "ok", &format!("{}: bound as", far.url()));
    far.kill();
    let (said, well) = check(&settings(&near).with(FOLLOWING));
    assert!(!well, "{said}");
    line(&said, "BROKEN", &far.url());
}
