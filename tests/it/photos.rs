//! Photos: fetched only where they are asked for or decide, and then seen by versions and writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::support::bridge::{Settings, TestBridge};
use crate::support::company::{self, Person};
use crate::support::hostile::{Hostile, Request, Verdict};
use crate::support::slapd::{SUFFIX, Slapd};

fn pictured(people: usize) -> Vec<Person> {
    (1..=people).map(company::person).filter(|person| person.photo.is_some()).collect()
}

fn path(person: &Person) -> String {
    format!("/Users/corp.{}", person.entry_uuid)
}

#[test]
fn another_photo_is_another_version() {
    let slapd = Slapd::company(40);
    let settings = Settings::over(&slapd)
        .with("cache = { fresh = \"0s\", negative = \"0s\", stale = \"0s\" }");
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let people = pictured(40);
    let nick = json!({ "Operations": [{ "op": "add", "path": "nickName", "value": "n" }] });
    client.patch(&path(&people[1]), &nick).expect(200);
    for person in &people[..2] {
        let asked = format!("{}?attributes=photos", path(person));
        let tag = client.get(&asked).header("etag").unwrap().to_owned();
        let plain = client.get(&path(person)).header("etag").unwrap().to_owned();
        let unchanged = client.send("GET", &asked, &[("If-None-Match", &tag)], b"");
        assert_eq!(unchanged.status, 304);
        slapd.modify(&format!(
            "dn: {}\nchangetype: modify\nreplace: jpegPhoto\njpegPhoto:: /9j/4AAQSkZJRgABAQEASA==\n",
            person.dn(SUFFIX)
        ));
        let changed = client.send("GET", &asked, &[("If-None-Match", &tag)], b"");
        assert_eq!(changed.status, 200);
        assert_ne!(changed.header("etag"), Some(tag.as_str()));
        let same = client.send("GET", &path(person), &[("If-None-Match", &plain)], b"");
        assert_eq!(same.status, 304, "without photos nothing changed");
        // A write may name either version.
        let body = json!({ "Operations": [{ "op": "add", "path": "nickName", "value": "m" }] });
        let body = body.to_string();
        let written = client.send("PATCH", &path(person), &[("If-Match", &tag)], body.as_bytes());
        assert_eq!(written.status, 200, "{}", written.text());
    }
}

#[test]
fn a_filter_or_an_order_by_photos_sees_them() {
    let slapd = Slapd::company(40);
    let bridge = TestBridge::start(&Settings::over(&slapd));
    let mut client = bridge.client();
    let people = pictured(40);
    let filter = [("filter", "photos pr"), ("searchRepositories", "true")];
    assert_eq!(client.query("/Users", &filter).expect(200)["totalResults"], people.len());
    let parameters = [
        ("filter", "userName pr"),
        ("searchRepositories", "true"),
        ("sortBy", "photos.value"),
        ("count", "1"),
    ];
    let first = client.query("/Users", &parameters).expect(200)["Resources"][0]["userName"].clone();
    assert!(people.iter().any(|person| first == person.uid.as_str()), "{first}");
}

#[test]
fn the_directorys_photo_can_be_repeated_and_not_removed() {
    let slapd = Slapd::company(40);
    let bridge = TestBridge::start(&Settings::over(&slapd));
    let mut client = bridge.client();
    let person = pictured(40).swap_remove(0);
    let remove = json!({ "Operations": [{ "op": "remove", "path": "photos" }] });
    assert_eq!(client.patch(&path(&person), &remove).expect(400)["scimType"], "mutability");
    let shown = client.get(&format!("{}?attributes=userName,photos", path(&person))).expect(200);
    let repeat = json!({ "userName": person.uid, "photos": shown["photos"], "nickName": "Pic" });
    let bound = client.put(&path(&person), &repeat).expect(200);
    assert_eq!(bound["nickName"], "Pic");
    // Photos are not kept here.
    let list = client.query("/Users", &[("attributes", "photos,userName")]).expect(200);
    assert_eq!(list["Resources"][0].get("photos"), None);
    let other = json!([{ "type": "photo", "value": "https://example.org/p.jpg" }]);
    let change = json!({ "Operations": [{ "op": "replace", "path": "photos", "value": other }] });
    assert_eq!(client.patch(&path(&person), &change).expect(400)["scimType"], "mutability");
}

#[test]
fn a_photo_that_cannot_be_read_is_not_absent() {
    let address = format!("127.0.0.1:{}", Slapd::shared().port());
    let fails = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&fails);
    let hostile = Hostile::in_front_of(&address, move |request: &Request, reply| {
        if request.is_for_people() && failing.load(Ordering::SeqCst) {
            // unavailable (RFC 4511, appendix A.2)
            reply.done(52)?;
            return Ok(Verdict::Done);
        }
        Ok(Verdict::Pass)
    });
    let settings =
        Settings::local().repository("corp", &hostile.url()).with("cache = { fresh = \"1h\" }");
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let person = pictured(100).swap_remove(0);
    client.get(&path(&person)).expect(200);
    fails.store(true, Ordering::SeqCst);
    client.get(&path(&person)).expect(200);
    assert_eq!(client.get(&format!("{}?attributes=photos", path(&person))).status, 503);
}
