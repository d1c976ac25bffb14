//! One tenant over OpenLDAP, Active Directory and 389 Directory Server at once.

use std::time::{Duration, Instant};

use crate::support::bridge::{Settings, TestBridge};
use crate::support::slapd::Slapd;

use super::servers;
use super::way::{Mode, Way};

#[test]
fn the_slowest_directory_decides_and_conflicts_are_shown() {
    let slapd = Slapd::shared();
    let mut ways = vec![(
        "open",
        Way::to(format!("127.0.0.1:{}", slapd.port()), Mode::Late(Duration::from_millis(50))).url(),
    )];
    let ds = servers::ds389();
    ways.push(("ds", Way::to(ds.address(), Mode::Late(Duration::from_millis(100))).url()));
    let samba = servers::samba();
    if let Some(samba) = samba {
        ways.push(("ad", Way::to(samba.address(), Mode::Late(Duration::from_millis(200))).url()));
    }
    let mut settings = Settings::local().repository(ways[0].0, &ways[0].1);
    let fresh = "cache = { fresh = \"0s\", negative = \"0s\", stale = \"0s\" }";
    settings = settings.with(fresh);
    for ((id, url), server) in ways[1..].iter().zip([Some(ds), samba].into_iter().flatten()) {
        settings = settings
            .rest(&format!("[[tenant.repository]]\nid = {id:?}\n{}{fresh}\n", server.lines(url)));
    }
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let name = servers::uid(6);
    let mut ask = || {
        let begin = Instant::now();
        let filter = format!("userName eq \"{name}\"");
        let found = client
            .query("/Users", &[("searchRepositories", "true"), ("filter", &filter)])
            .expect(200);
        (found, begin.elapsed())
    };
    // The first answers wait for connections and schemas.
    ask();
    let slowest = Duration::from_millis(if samba.is_some() { 200 } else { 100 });
    let sum = Duration::from_millis(if samba.is_some() { 350 } else { 150 });
    let times: Vec<Duration> = (0..7).map(|_| ask().1).collect();
    let best = times.iter().min().unwrap();
    assert!(*best >= slowest && *best < sum, "{times:?}");

    let (found, _) = ask();
    assert_eq!(found["totalResults"], ways.len(), "{found}");
    let reports = found["urn:scimbridge:api:messages:2.0:Repositories"].as_array().unwrap();
    assert_eq!(reports.len(), ways.len());
    assert!(reports.iter().all(|report| report["state"] == "ok"), "{reports:?}");
    for user in found["Resources"].as_array().unwrap() {
        let text = user.to_string();
        let others = ways.iter().filter(|(id, _)| text.contains(&format!("{id}."))).count();
        assert!(text.contains("conflict") && others == ways.len(), "{text}");
    }
}
