//! Who is looked for, and what is kept of it.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::{ACME, Stores, at, attributes, bound, by_name, create, local};
use crate::store::{Census, Refresh, ResourceRow, ResourceWrite, RowKey, Store, Verified};

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
    let due = store.unverified(CORP, at(before), (at(now), 100), limit).await.unwrap();
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
        for entry_key in ["e-1", "e-2"] {
            let presence = row(store, entry_key).await.link.clone().unwrap().presence;
            assert_eq!((presence.scope, presence.missing), (Some(1), None), "{entry_key}");
        }
    }
}

fn vanishing(row: &ResourceRow, when: Option<i64>) -> ResourceWrite {
    let link = row.link.clone().unwrap();
    let mut write = ResourceWrite { link: Some(link), ..bound("", json!({ "userName": row.id })) };
    write.link.as_mut().unwrap().presence.vanished = when.map(at);
    write
}

#[tokio::test]
async fn who_vanished_is_counted_and_found() {
    for store in &Stores::new().stores {
        people(store).await;
        mark(store, 30, 1, &["e-3"], &["e-1", "e-2"]).await;
        let row = row(store, "e-1").await;
        let record = super::record(crate::audit::Action::Vanish, "e-1");
        store.update(ACME, &row, &vanishing(&row, Some(200)), record).await.unwrap();
        let census =
            |recent| Census { linked: 3, missing: 1, vanished: 1, recent, oldest: Some(at(30)) };
        assert_eq!(store.census(CORP, at(199)).await.unwrap(), census(1));
        assert_eq!(store.census(CORP, at(200)).await.unwrap(), census(0));
        assert_eq!(store.census((ACME, "labs"), at(0)).await.unwrap(), Census::default());
        let found = store.vanished(CORP, at(199), 9).await.unwrap();
        assert_eq!(found.iter().map(|row| &*row.id).collect::<Vec<_>>(), ["e-1"]);
        assert_eq!(store.vanished(CORP, at(200), 9).await.unwrap().len(), 0);
        // A read that finds the entry is not what ends it: that has a record of its own.
        mark(store, 300, 1, &["e-1"], &[]).await;
        assert_eq!(missing(store, "e-1").await, Some(at(30)));
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
