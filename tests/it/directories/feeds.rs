//! Changes that directories tell of are seen within two seconds, however long the cache keeps what it
//! has; and nothing else is asked for anew.

use std::time::Duration;

use serde_json::Value;

use super::servers::{self, Server, uid};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;
use crate::support::slapd::{Options, SUFFIX, Slapd};
use crate::support::way::{Mode, Way};
use crate::support::{company, eventually};

/// Longer than any test.
const KEPT: &str = "cache = { fresh = \"1h\", negative = \"1h\", stale = \"1h\" }\n";
const SOON: Duration = Duration::from_secs(2);
const SYNCPROV: &str = "moduleload syncprov\noverlay syncprov\nsyncprov-sessionlog 100\n";

fn ldif(dn: &str, rest: &str) -> String {
    use base64::Engine as _;
    let dn = base64::engine::general_purpose::STANDARD.encode(dn);
    format!("dn:: {dn}\n{rest}\n")
}

/// `following` or `lost`, as the health of the only repository says.
fn feed(bridge: &TestBridge) -> Value {
    bridge.stranger().get("/health/ready").expect(200)["repositories"][0]["changes"].clone()
}

fn follows(bridge: &TestBridge) {
    let follows = || feed(bridge) == "following";
    assert!(eventually(Duration::from_secs(20), follows), "{}", bridge.log());
}

fn find(client: &mut Client, name: &str) -> Value {
    let filter = format!("userName eq \"{name}\"");
    client.query("/Users", &[("searchRepositories", "true"), ("filter", &filter)]).expect(200)
}

fn state(found: &Value) -> &Value {
    &found["urn:scimbridge:api:messages:2.0:Repositories"][0]["state"]
}

/// One person is changed, one is made, one is deleted; one is left alone.
struct Cast<'a> {
    changed: (String, String),
    deleted: (String, String),
    made: (String, String, String),
    still: String,
    modify: &'a dyn Fn(&str),
}

fn are_seen(bridge: &TestBridge, cast: &Cast<'_>) {
    let mut client = bridge.client();
    let Cast { changed, deleted, made, still, modify } = cast;
    for _ in 0..2 {
        for (name, count) in [(&changed.0, 1), (&deleted.0, 1), (&made.0, 0), (still, 1)] {
            assert_eq!(find(&mut client, name)["totalResults"], count, "{name}");
        }
    }
    let gone = find(&mut client, &deleted.0)["Resources"][0]["id"].as_str().unwrap().to_owned();
    let gone = format!("/Users/{gone}");
    client.get(&gone).expect(200);
    assert_eq!(state(&find(&mut client, &changed.0)), "cached");

    modify(&ldif(&changed.1, "changetype: modify\nreplace: title\ntitle: Seen soon\n"));
    let seen = || find(&mut client, &changed.0)["Resources"][0]["title"] == "Seen soon";
    assert!(eventually(SOON, seen), "{}", bridge.log());
    modify(&ldif(&made.1, &format!("changetype: add\n{}", made.2)));
    let seen = || find(&mut client, &made.0)["totalResults"] == 1;
    assert!(eventually(SOON, seen), "{}", bridge.log());
    modify(&ldif(&deleted.1, "changetype: delete\n"));
    let seen = || client.get(&gone).status == 404;
    assert!(eventually(SOON, seen), "{}", bridge.log());
    assert_eq!(find(&mut client, &deleted.0)["totalResults"], 0);
    // Whom nobody changed is still known.
    let found = find(&mut client, still);
    assert_eq!((state(&found), &found["totalResults"]), (&"cached".into(), &1.into()));
}

fn over(server: &Server, changes: &str, first: usize, admin: bool) {
    let mut lines = server.lines(server.url());
    if admin {
        let (name, password) = server.admin();
        lines = lines.replace(server.reader, name).replace(server.password, password);
    }
    let settings = Settings::local().rest(&format!(
        "[[tenant.repository]]\nid = \"corp\"\nchanges = {changes:?}\n{lines}{KEPT}"
    ));
    let bridge = TestBridge::start(&settings);
    follows(&bridge);
    let login = |number| if server.is_samba() { servers::sam(number) } else { uid(number) };
    let new = format!("new.{changes}");
    let made = if server.is_samba() {
        let dn = format!("CN={new},OU=Staff,{}", server.base);
        let rest = format!("objectClass: user\nsAMAccountName: {new}\nuserAccountControl: 544\n");
        (new, dn, rest)
    } else {
        let dn = format!("uid={new},ou=staff,{}", server.base);
        let rest = format!("objectClass: inetOrgPerson\nuid: {new}\ncn: New\nsn: New\n");
        (new, dn, rest)
    };
    are_seen(
        &bridge,
        &Cast {
            changed: (login(first), server.dn(first)),
            deleted: (login(first + 1), server.dn(first + 1)),
            made,
            still: login(first + 2),
            modify: &|text| server.modify(text),
        },
    );
}

#[test]
fn of_389_directory_server_by_persistent_search() {
    over(servers::ds389(), "psearch", 47, false);
}

#[test]
fn of_active_directory_by_numbers() {
    // Who sees deleted objects is told of deletions.
    if let Some(server) = servers::samba() {
        over(server, "usn", 47, true);
    }
}

#[test]
fn of_active_directory_by_dirsync() {
    if let Some(server) = servers::samba() {
        over(server, "dirsync", 50, true);
    }
}

fn slapd() -> Slapd {
    Slapd::start(Options { people: 20, configuration: SYNCPROV.to_owned(), ..Options::default() })
}

fn of(slapd: &Slapd) -> TestBridge {
    TestBridge::start(&Settings::over(slapd).with("changes = \"syncrepl\"").with(KEPT))
}

#[test]
fn of_openldap_by_syncrepl() {
    let slapd = slapd();
    let bridge = of(&slapd);
    follows(&bridge);
    let dn = |number| company::person(number).dn(SUFFIX);
    are_seen(
        &bridge,
        &Cast {
            changed: (uid(2), dn(2)),
            deleted: (uid(4), dn(4)),
            made: (
                "new".to_owned(),
                format!("uid=new,ou=staff,ou=people,{SUFFIX}"),
                "objectClass: inetOrgPerson\nuid: new\ncn: New\nsn: New\n".to_owned(),
            ),
            still: uid(6),
            modify: &|text| slapd.modify(text),
        },
    );
    // What changes while the feed is lost is told when it is taken up again.
    let mut client = bridge.client();
    slapd.kill();
    assert!(eventually(SOON, || feed(&bridge) == "lost"), "{}", bridge.log());
    let metrics = bridge.stranger().get("/metrics").text();
    let gauge = "scimbridge_repository_following{tenant=\"acme\",repository=\"corp\"} ";
    assert!(metrics.contains(&format!("{gauge}0")), "{metrics}");
    assert_eq!(find(&mut client, &uid(2))["totalResults"], 1, "the cache's own times hold");
    slapd.restart();
    slapd.modify(&ldif(&dn(2), "changetype: modify\nreplace: title\ntitle: Meanwhile\n"));
    let seen = || find(&mut client, &uid(2))["Resources"][0]["title"] == "Meanwhile";
    assert!(eventually(Duration::from_secs(20), seen), "{}", bridge.log());
    follows(&bridge);
    assert!(bridge.stranger().get("/metrics").text().contains(&format!("{gauge}1")));
}

#[test]
fn a_feed_that_broke_goes_on_where_it_was() {
    let slapd = slapd();
    let way = Way::to(format!("127.0.0.1:{}", slapd.port()), Mode::Pass);
    let settings = Settings::local().repository("corp", &way.url());
    let bridge = TestBridge::start(&settings.with("changes = \"syncrepl\"").with(KEPT));
    follows(&bridge);
    let mut client = bridge.client();
    for number in [2, 6] {
        assert_eq!(find(&mut client, &uid(number))["totalResults"], 1);
    }
    way.set(Mode::Refuse);
    assert!(eventually(SOON, || feed(&bridge) == "lost"), "{}", bridge.log());
    let dn = company::person(2).dn(SUFFIX);
    slapd.modify(&ldif(&dn, "changetype: modify\nreplace: title\ntitle: Meanwhile\n"));
    assert_eq!(state(&find(&mut client, &uid(2))), "cached");
    way.set(Mode::Pass);
    let seen = || find(&mut client, &uid(2))["Resources"][0]["title"] == "Meanwhile";
    assert!(eventually(Duration::from_secs(20), seen), "{}", bridge.log());
    // Nobody else was forgotten.
    assert_eq!(state(&find(&mut client, &uid(6))), "cached");
}

#[test]
fn a_directory_without_a_feed_says_so_and_is_cached_by_time() {
    let slapd = Slapd::company(10);
    let bridge = of(&slapd);
    let mut client = bridge.client();
    assert!(eventually(SOON, || bridge.log().contains("repository.changes.lost")));
    assert_eq!(feed(&bridge), "lost");
    for expected in ["ok", "cached"] {
        assert_eq!(state(&find(&mut client, &uid(2))), expected);
    }
}
