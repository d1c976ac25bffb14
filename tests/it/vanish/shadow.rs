//! What reads, feeds and the watch see of bound users is kept, behind the requests.

use serde_json::Value;

use super::{SOON, bind, dn, path, record, settings};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;
use crate::support::eventually;
use crate::support::slapd::{Options, Slapd};

/// Nobody is looked for within a test.
const RARELY: &str = "verify = \"1h\"";

fn retitle(slapd: &Slapd, number: usize, title: &str) {
    let change = format!("changetype: modify\nreplace: title\ntitle: {title}");
    slapd.modify(&record(&dn(number), &change));
}

/// Who has the title, by the store alone.
fn stored(client: &mut Client, title: &str) -> Value {
    client.query("/Users", &[("filter", &format!("title eq \"{title}\""))]).expect(200)
}

#[track_caller]
fn comes_to_be_stored(bridge: &TestBridge, title: &str) -> Value {
    let mut client = bridge.client();
    let found = || stored(&mut client, title)["totalResults"] == 1;
    assert!(eventually(SOON, found), "{}", bridge.log());
    stored(&mut client, title)["Resources"][0].clone()
}

fn row_version(bridge: &TestBridge) -> String {
    bridge.query("SELECT CAST(version AS TEXT) FROM resources ORDER BY version DESC").remove(0)
}

#[test]
fn what_a_read_saw_is_kept_and_makes_one_new_version() {
    let slapd = Slapd::company(10);
    let uncached = "cache = { fresh = \"0s\", negative = \"0s\", stale = \"0s\" }";
    let settings = Settings::over(&slapd).with(RARELY).with(uncached);
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    bind(&mut client, &[2]);
    let before = client.get(&path(2)).expect(200);
    assert_eq!(row_version(&bridge), "1");
    retitle(&slapd, 2, "Seen");
    assert_eq!(client.get(&path(2)).expect(200)["title"], "Seen");
    let kept = comes_to_be_stored(&bridge, "Seen");
    assert_ne!(kept["meta"]["lastModified"], before["meta"]["lastModified"]);
    assert_eq!(row_version(&bridge), "2");
    // Read again by whatever way it is the same.
    let seen = "SELECT CAST(seen AS TEXT) FROM links";
    let at = bridge.query(seen);
    for _ in 0..20 {
        client.get(&path(2)).expect(200);
        let filter = [("filter", "title eq \"Seen\""), ("searchRepositories", "true")];
        assert_eq!(client.query("/Users", &filter).expect(200)["totalResults"], 1);
    }
    // What is to be written comes in order: had there been anything, it would stand before this.
    retitle(&slapd, 2, "Seen again");
    client.get(&path(2)).expect(200);
    comes_to_be_stored(&bridge, "Seen again");
    assert_eq!(row_version(&bridge), "3");
    assert_ne!(bridge.query(seen), at);
    assert_eq!(bridge.audit(), ["user.bind"]);
}

#[test]
fn what_a_feed_tells_is_kept_though_nobody_asks() {
    let slapd = Slapd::start(Options {
        people: 10,
        configuration: "moduleload syncprov\noverlay syncprov\nsyncprov-sessionlog 100\n"
            .to_owned(),
        ..Options::default()
    });
    let bridge =
        TestBridge::start(&Settings::over(&slapd).with(RARELY).with("changes = \"syncrepl\""));
    super::health_comes_to_be(&bridge, "changes", "following");
    bind(&mut bridge.client(), &[2]);
    retitle(&slapd, 2, "Told");
    comes_to_be_stored(&bridge, "Told");
    // Who is gone is looked for at once, and not only when an hour has passed.
    slapd.modify(&super::deleted(2));
    super::health_comes_to_be(&bridge, "suspected", 1);
    assert_eq!(super::active(&mut bridge.client(), 2), true, "once is not twice");
}

#[test]
fn the_watch_sees_what_nobody_reads() {
    let slapd = Slapd::company(10);
    let bridge = TestBridge::start(&settings(&slapd.url()));
    bind(&mut bridge.client(), &[2, 4]);
    retitle(&slapd, 4, "Watched");
    comes_to_be_stored(&bridge, "Watched");
    assert_eq!(bridge.audit(), ["user.bind", "user.bind"]);
}
