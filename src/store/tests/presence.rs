//! Who is looked for, and what is kept of it.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::{ACME, Stores, at, attributes, bound, by_name, create, local};
use crate::store::{
    Census, LinkRow, Presence, Refresh, ResourceRow, ResourceWrite, RowKey, Store, StoreError,
    Verified,
};

const CORP: (&str, &str) = (ACME, "corp");

fn keys(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

async fn mark(store: &Store, when: i64, scope: i64, found: &[&str], absent: &[&str]) {
    let (found, absent) = (&*keys(found), &*keys(absent));
    let verified = Verified { at: at(when), scope, found, absent, elsewhere: &[] };
    store.verified(CORP, &verified).await.unwrap();
}

async fn due(store: &Store, before: i64, now: i64, limit: u64) -> Vec<String> {
    due_after(store, before, now, limit, 0).await
}

async fn due_after(store: &Store, before: i64, now: i64, limit: u64, over: u64) -> Vec<String> {
    let due = store.unverified(CORP, at(before), (at(now), 100), limit, over).await.unwrap();
    due.into_iter().map(|linked| linked.entry_key).collect()
}

async fn row(store: &Store, entry_key: &str) -> Arc<ResourceRow> {
    let key = RowKey::Link { repository: "corp".to_owned(), entry_key: entry_key.to_owned() };
    store.find(ACME, &key).await.unwrap().remove(0)
}

async fn missing(store: &Store, entry_key: &str) -> Option<Timestamp> {
    row(store, entry_key).await.link.as_ref().unwrap().presence.missing
}

async fn people(store: &Store) {
    for entry_key in ["e-1", "e-2", "e-3"] {
        create(store, entry_key, &bound(entry_key, json!({ "userName": entry_key })))
            .await
            .unwrap();
    }
    create(store, "u-1", &local(json!({ "userName": "local" }))).await.unwrap();
}

#[tokio::test]
async fn whose_turn_was_the_longest_ago_is_next_and_who_is_missing_comes_first() {
    for store in &Stores::new().stores {
        people(store).await;
        assert_eq!(due(store, 6, 6, 9).await.len(), 0, "all were seen when they were bound");
        assert_eq!(due(store, 7, 7, 9).await.len(), 3);
        mark(store, 30, 1, &["e-2"], &["e-1"]).await;
        mark(store, 20, 1, &["e-3"], &[]).await;
        let mut all = due(store, 30, 60, 9).await;
        assert_eq!(all.remove(0), "e-3");
        assert_eq!(all.len(), 2);
        assert_eq!(due(store, 20, 60, 9).await, ["e-3"]);
        assert_eq!(missing(store, "e-1").await, Some(at(30)));
        // When the time has come for a second look, and until there was one.
        assert_eq!(due(store, 0, 129, 9).await.len(), 0);
        assert_eq!(due(store, 20, 130, 9).await, ["e-1", "e-3"]);
        assert_eq!(due(store, 20, 130, 1).await, ["e-1"]);
        mark(store, 130, 1, &[], &["e-1"]).await;
        assert_eq!(due(store, 0, 500, 9).await.len(), 0);
        assert_eq!(missing(store, "e-1").await, Some(at(30)), "since the first time");
        store.verify_soon(CORP, &keys(&["e-1", "e-2"]), at(10)).await.unwrap();
        assert_eq!(due(store, 10, 100, 9).await, ["e-2"]);
        mark(store, 600, 1, &["e-1", "nobody"], &[]).await;
        assert_eq!(missing(store, "e-1").await, None);
    }
}

#[tokio::test]
async fn who_was_seen_elsewhere_is_not_missing_and_the_scope_stays() {
    for store in &Stores::new().stores {
        people(store).await;
        mark(store, 30, 1, &["e-1"], &["e-2"]).await;
        let elsewhere = keys(&["e-1", "e-2"]);
        let verified =
            Verified { at: at(40), scope: 2, found: &[], absent: &[], elsewhere: &elsewhere };
        store.verified(CORP, &verified).await.unwrap();
        // Where nobody was seen yet is not where nobody is found.
        for (entry_key, scope) in [("e-1", Some(1)), ("e-2", None)] {
            let presence = row(store, entry_key).await.link.clone().unwrap().presence;
            assert_eq!((presence.scope, presence.missing), (scope, None), "{entry_key}");
        }
        mark(store, 50, 2, &["e-2"], &[]).await;
        assert_eq!(row(store, "e-2").await.link.as_ref().unwrap().presence.scope, Some(2));
    }
}

fn vanishing(row: &ResourceRow, when: Option<i64>) -> ResourceWrite {
    let link = row.link.clone().unwrap();
    let mut write = ResourceWrite { link: Some(link), ..bound("", json!({ "userName": row.id })) };
    write.link.as_mut().unwrap().presence.vanished = when.map(at);
    write
}

async fn vanish(store: &Store, entry_key: &str, when: i64) {
    let row = row(store, entry_key).await;
    let record = super::record(crate::audit::Action::Vanish, entry_key);
    store.update(ACME, &row, &vanishing(&row, Some(when)), record).await.unwrap();
}

#[tokio::test]
async fn who_vanished_is_counted_and_found() {
    for store in &Stores::new().stores {
        people(store).await;
        mark(store, 30, 1, &["e-3"], &["e-1", "e-2"]).await;
        vanish(store, "e-1", 200).await;
        let census = |recent| Census {
            linked: 3,
            missing: 1,
            vanished: 1,
            recent,
            mark: Census::mark_of(at(200)),
            never_seen: 0,
            oldest: Some(at(30)),
        };
        // Whoever vanished in times to come did so before the clock was set back, long ago perhaps.
        for (since, until, recent) in [(199, 200, 1), (200, 900, 0), (0, 199, 0)] {
            let window = (at(since), at(until));
            assert_eq!(store.census(CORP, window).await.unwrap(), census(recent));
            let found = store.vanished(CORP, window, 9).await.unwrap();
            let found: Vec<&str> = found.iter().map(|row| &*row.id).collect();
            assert_eq!(found, if recent > 0 { vec!["e-1"] } else { vec![] }, "{since} {until}");
        }
        let labs = store.census((ACME, "labs"), (at(0), at(900))).await.unwrap();
        assert_eq!(labs, Census::default());
        // A read that finds the entry is not what ends it: that has a record of its own.
        mark(store, 300, 1, &["e-1"], &[]).await;
        assert_eq!(missing(store, "e-1").await, Some(at(30)));
    }
}

#[tokio::test]
async fn when_somebody_vanished_is_in_the_mark_whoever_was_the_last() {
    for store in &Stores::new().stores {
        people(store).await;
        mark(store, 30, 1, &[], &["e-1", "e-2", "e-3"]).await;
        let marked = async || store.census(CORP, (at(0), at(900))).await.unwrap().mark;
        assert_eq!(marked().await, 0);
        vanish(store, "e-1", 200).await;
        vanish(store, "e-2", 150).await;
        let of = |times: [i64; 2]| times.map(|when| Census::mark_of(at(when))).iter().sum::<i64>();
        assert_eq!(marked().await, of([200, 150]));
        let back = row(store, "e-2").await;
        let record = super::record(crate::audit::Action::Return, "e-2");
        store.update(ACME, &back, &vanishing(&back, None), record).await.unwrap();
        vanish(store, "e-3", 180).await;
        assert_eq!(marked().await, of([200, 180]));
    }
}

#[tokio::test]
async fn who_is_not_found_and_was_never_seen_is_counted() {
    for store in &Stores::new().stores {
        people(store).await;
        let never_seen = async || {
            let window = (at(0), at(900));
            store.census(CORP, window).await.unwrap().never_seen
        };
        mark(store, 30, 1, &["e-1"], &[]).await;
        let elsewhere = keys(&["e-2", "e-3"]);
        let verified =
            Verified { at: at(40), scope: 1, found: &[], absent: &[], elsewhere: &elsewhere };
        store.verified(CORP, &verified).await.unwrap();
        assert_eq!(never_seen().await, 2);
        // Nobody looked yet for whom the database was brought up to date.
        store.verify_soon(CORP, &keys(&["e-2"]), at(-1_704_067_200_000)).await.unwrap();
        assert_eq!(never_seen().await, 1);
        mark(store, 50, 1, &["e-2", "e-3"], &[]).await;
        assert_eq!(never_seen().await, 0);
    }
}

#[tokio::test]
async fn what_was_seen_is_kept_and_a_row_that_changed_is_passed_over() {
    for store in &Stores::new().stores {
        people(store).await;
        let old = row(store, "e-1").await;
        store
            .update(
                ACME,
                &old,
                &vanishing(&old, None),
                super::record(crate::audit::Action::Modify, "e-1"),
            )
            .await
            .unwrap();
        mark(store, 30, 1, &[], &["e-3"]).await;
        let seen = |row: &Arc<ResourceRow>, name: &str, values| {
            let mut write = bound(&row.id, json!({ "userName": name }));
            let link = write.link.as_mut().unwrap();
            (link.dn, link.presence.digest) = ("uid=new".to_owned(), Some(7));
            Refresh { row: Arc::clone(row), write, values }
        };
        let (two, three) = (row(store, "e-2").await, row(store, "e-3").await);
        let news = [seen(&old, "late", true), seen(&two, "new", true), seen(&three, "e-3", false)];
        store.refresh(ACME, &news).await.unwrap();
        assert!(store.find(ACME, &by_name("late")).await.unwrap().is_empty());
        let found = store.find(ACME, &by_name("new")).await.unwrap();
        assert_eq!((found[0].id.as_str(), found[0].version), ("e-2", 2));
        assert_eq!(
            found[0].link.as_ref().unwrap().shadow,
            attributes(json!({ "userName": "new" }))
        );
        let after = row(store, "e-3").await;
        let link = after.link.as_ref().unwrap();
        assert_eq!((after.version, link.dn.as_str()), (1, "uid=new"), "no value is another one");
        assert_eq!((link.presence.digest, link.presence.missing), (Some(7), None));
    }
}

/// What a write that read the row before makes of its link.
async fn write(store: &Store, old: &ResourceRow, change: impl FnOnce(&mut LinkRow)) {
    let mut write = vanishing(old, None);
    change(write.link.as_mut().unwrap());
    // The row itself is as it was.
    let row = row(store, &old.id).await;
    let row = ResourceRow { link: old.link.clone(), ..(*row).clone() };
    let record = super::record(crate::audit::Action::Modify, &row.id);
    store.update(ACME, &row, &write, record).await.unwrap();
}

async fn sight(store: &Store, old: &Arc<ResourceRow>, seen: i64, dn: &str) {
    let mut write = vanishing(old, None);
    sighted(seen, dn)(write.link.as_mut().unwrap());
    let news = [Refresh { row: Arc::clone(old), write, values: false }];
    store.refresh(ACME, &news).await.unwrap();
}

fn sighted(seen: i64, dn: &str) -> impl FnOnce(&mut LinkRow) {
    move |link| {
        (link.seen, link.dn) = (at(seen), dn.to_owned());
        link.presence = Presence { scope: Some(9), digest: Some(seen), ..Presence::default() };
    }
}

async fn last(store: &Store) -> (i64, String, Option<i64>, Option<i64>) {
    let link = row(store, "e-1").await.link.clone().unwrap();
    let seen = link.seen.duration_since(at(0)).as_millis();
    (i64::try_from(seen).unwrap(), link.dn, link.presence.scope, link.presence.digest)
}

#[tokio::test]
async fn what_was_seen_is_not_undone_by_a_write_that_read_the_row_before() {
    for store in &Stores::new().stores {
        people(store).await;
        let old = row(store, "e-1").await;
        let of = |seen: i64, dn: &str| (seen, dn.to_owned(), Some(9), Some(seen));
        sight(store, &old, 50, "uid=new").await;
        assert_eq!(last(store).await, of(50, "uid=new"));
        write(store, &old, |_| {}).await;
        assert_eq!(last(store).await, of(50, "uid=new"), "of the entry it knows nothing new");
        write(store, &old, sighted(40, "uid=late")).await;
        assert_eq!(last(store).await, of(50, "uid=new"), "it saw the entry before");
        sight(store, &old, 45, "uid=late").await;
        assert_eq!(last(store).await, of(50, "uid=new"));
        write(store, &old, sighted(60, "uid=newer")).await;
        assert_eq!(last(store).await, of(60, "uid=newer"));
        // Nothing came between: what is written is new, whatever the clock says.
        let old = row(store, "e-1").await;
        write(store, &old, sighted(20, "uid=back")).await;
        assert_eq!(last(store).await, of(20, "uid=back"));
        let old = row(store, "e-1").await;
        sight(store, &old, 10, "uid=again").await;
        assert_eq!(last(store).await, of(10, "uid=again"));
    }
}

#[tokio::test]
async fn who_is_missing_is_so_by_the_last_look_and_not_by_a_write_that_read_the_row_before() {
    for store in &Stores::new().stores {
        people(store).await;
        let there = row(store, "e-1").await;
        mark(store, 60, 9, &[], &["e-1"]).await;
        write(store, &there, |_| {}).await;
        assert_eq!(missing(store, "e-1").await, Some(at(60)), "still missing");
        write(store, &there, sighted(55, "uid=a")).await;
        assert_eq!(missing(store, "e-1").await, Some(at(60)), "it was seen before");
        let gone = row(store, "e-1").await;
        mark(store, 70, 9, &["e-1"], &[]).await;
        write(store, &gone, |_| {}).await;
        assert_eq!(missing(store, "e-1").await, None, "it was found meanwhile");
        mark(store, 80, 9, &[], &["e-1"]).await;
        write(store, &gone, sighted(85, "uid=b")).await;
        assert_eq!(missing(store, "e-1").await, None, "it was seen later");
        // What was known when the entry was read came before, whatever the clock says.
        mark(store, 90, 9, &[], &["e-1"]).await;
        let gone = row(store, "e-1").await;
        write(store, &gone, sighted(30, "uid=c")).await;
        assert_eq!(missing(store, "e-1").await, None);
    }
}

#[tokio::test]
async fn an_absence_does_not_count_where_the_entry_was_seen_later() {
    for store in &Stores::new().stores {
        people(store).await;
        mark(store, 6, 1, &[], &["e-1"]).await;
        assert_eq!(missing(store, "e-1").await, None);
        mark(store, 7, 1, &[], &["e-1"]).await;
        assert_eq!(missing(store, "e-1").await, Some(at(7)));
        // What is far ahead was noted before the clock was set back.
        let hour = 3_600_000;
        mark(store, 7 - hour, 1, &[], &["e-1", "e-2"]).await;
        for entry_key in ["e-1", "e-2"] {
            assert_eq!(missing(store, entry_key).await, Some(at(7 - hour)), "{entry_key}");
        }
        mark(store, 8, 1, &["e-1", "e-2"], &[]).await;
        mark(store, hour, 1, &["e-3"], &[]).await;
        assert_eq!(due(store, -9 * hour, hour - 60_000, 9).await.len(), 0);
        assert_eq!(
            due(store, -9 * hour, hour - 60_001, 9).await,
            ["e-3"],
            "verified in time to come"
        );
    }
}

#[tokio::test]
async fn nobody_vanishes_who_is_not_missing_any_more() {
    for store in &Stores::new().stores {
        people(store).await;
        let vanish = async |row: &ResourceRow| {
            let record = super::record(crate::audit::Action::Vanish, &row.id);
            store.update(ACME, row, &vanishing(row, Some(200)), record).await
        };
        mark(store, 30, 1, &[], &["e-1"]).await;
        let gone = row(store, "e-1").await;
        mark(store, 40, 1, &["e-1"], &[]).await;
        assert!(matches!(vanish(&gone).await, Err(StoreError::Stale)));
        mark(store, 50, 1, &[], &["e-1"]).await;
        assert!(matches!(vanish(&gone).await, Err(StoreError::Stale)), "missing anew");
        let gone = row(store, "e-1").await;
        assert_eq!((gone.version, gone.link.as_ref().unwrap().presence.vanished), (1, None));
        vanish(&gone).await.unwrap();
        let gone = row(store, "e-1").await;
        assert_eq!(gone.link.as_ref().unwrap().presence.vanished, Some(at(200)));
    }
}

#[tokio::test]
async fn of_whom_nothing_could_be_told_others_come_before() {
    for store in &Stores::new().stores {
        people(store).await;
        for (when, entry_key) in [(10, "e-1"), (20, "e-2"), (30, "e-3")] {
            mark(store, when, 1, &[entry_key], &[]).await;
        }
        assert_eq!(due_after(store, 30, 30, 2, 0).await, ["e-1", "e-2"]);
        assert_eq!(due_after(store, 30, 30, 2, 1).await, ["e-2", "e-3"]);
        assert_eq!(due_after(store, 30, 30, 2, 2).await, ["e-3"]);
        // Who is to be looked for a second time does not take all the room.
        mark(store, 40, 1, &[], &["e-2", "e-3"]).await;
        assert_eq!(due_after(store, 10, 500, 2, 0).await, ["e-2", "e-1"]);
    }
}

#[tokio::test]
async fn who_was_looked_for_since_is_counted_but_for_who_is_long_gone() {
    for store in &Stores::new().stores {
        people(store).await;
        mark(store, 30, 1, &["e-3"], &[]).await;
        mark(store, 40, 1, &["e-2"], &["e-1"]).await;
        vanish(store, "e-1", 200).await;
        for (since, start, end, count) in [
            (30, 199, 900, 3),
            (31, 199, 900, 2),
            (41, 199, 900, 0),
            (30, 200, 900, 2),
            (30, 100, 199, 2),
        ] {
            let window = (at(start), at(end));
            for most in [9, 1] {
                let counted = store.looked_for(CORP, at(since), window, most).await.unwrap();
                assert_eq!(counted, count.min(most), "since {since}, gone in {start}..{end}");
            }
        }
    }
}
