//! A repository with another id: all that is kept of it goes along, or nothing.

use serde_json::json;

use super::{ACME, Stores, at, bound, create, new, record};
use crate::audit::Action;
use crate::store::{
    Intent, LinkState, NewResource, Renamed, Renaming, ResourceRow, ResourceWrite, Store,
};

fn of(repository: &str, entry_key: &str) -> ResourceWrite {
    let mut write = bound(entry_key, json!({ "userName": entry_key, "externalId": entry_key }));
    write.link.as_mut().unwrap().repository = repository.to_owned();
    write
}

async fn bind(store: &Store, id: &str, write: &ResourceWrite) -> ResourceRow {
    create(store, id, write).await.unwrap()
}

fn intent(id: &str, repository: &str) -> Intent {
    Intent {
        id: id.to_owned(),
        repository: repository.to_owned(),
        entry_key: "e-1".to_owned(),
        keys: vec!["title".to_owned()],
        digest: "d".to_owned(),
        until: at(5),
        caller: "tests".to_owned(),
        actor: None,
        request_id: "r1".to_owned(),
    }
}

async fn linked(store: &Store, tenant: &str, repository: &str) -> Vec<String> {
    let keys = ["e-1", "e-2", "e-3"].map(str::to_owned);
    let mut ids: Vec<String> = store
        .find_links(tenant, repository, &keys)
        .await
        .unwrap()
        .into_iter()
        .map(|state| match state {
            LinkState::Row(row) => row.id.clone(),
            LinkState::Tombstone { entry_key } => format!("deleted {entry_key}"),
        })
        .collect();
    ids.sort();
    ids
}

async fn rename(store: &Store, from: &str, to: &str) -> Renaming {
    let renaming = store.rename_repository(ACME, from, to, |renamed| {
        let mut record = record(Action::Rename, to);
        record.detail = Some(format!("{}", renamed.links));
        record
    });
    renaming.await.unwrap()
}

async fn records(store: &Store) -> usize {
    let records = store.audit_records(ACME, None).await.unwrap();
    records.iter().filter(|record| record.action == "user.rename").count()
}

#[tokio::test]
async fn everything_goes_along_once_and_ids_stay() {
    for store in &Stores::new().stores {
        bind(store, "corp.e-1", &of("corp", "e-1")).await;
        bind(store, "0190-uuid", &of("corp", "e-2")).await;
        let gone = bind(store, "corp.e-3", &of("corp", "e-3")).await;
        store.delete(ACME, &gone, true, record(Action::Delete, "corp.e-3")).await.unwrap();
        bind(store, "labs.e-1", &of("labs", "e-1")).await;
        let write = of("corp", "e-1");
        let other =
            NewResource { record: record(Action::Create, "corp.e-1"), ..new("corp.e-1", &write) };
        store.create("other", other).await.unwrap();
        store.begin_intent(ACME, &intent("i-1", "corp")).await.unwrap();
        store.begin_intent(ACME, &intent("i-2", "labs")).await.unwrap();

        let all = Renamed { links: 2, tombstones: 1, departed: 1, intents: 1 };
        assert_eq!(store.kept_of(ACME, "corp").await.unwrap(), all);
        assert_eq!(rename(store, "corp", "head").await, Renaming::Done(all));
        assert_eq!(linked(store, ACME, "head").await, ["0190-uuid", "corp.e-1", "deleted e-3"]);
        assert_eq!(linked(store, ACME, "corp").await.len(), 0);
        assert!(store.is_tombstone(ACME, "head", "e-3").await.unwrap());
        let departed = store.departed(ACME, "e-3").await.unwrap();
        assert_eq!(departed[0].link, Some(("head".to_owned(), "e-3".to_owned())));
        let intents = store.overdue_intents(ACME, at(9)).await.unwrap();
        let mut intents: Vec<(&str, &str)> =
            intents.iter().map(|one| (&*one.id, &*one.repository)).collect();
        intents.sort_unstable();
        assert_eq!(intents, [("i-1", "head"), ("i-2", "labs")]);
        // Others are left alone.
        assert_eq!(linked(store, ACME, "labs").await, ["labs.e-1"]);
        assert_eq!(linked(store, "other", "corp").await, ["corp.e-1"]);

        assert_eq!(rename(store, "corp", "head").await, Renaming::Done(Renamed::default()));
        assert_eq!(records(store).await, 1);
    }
}

#[tokio::test]
async fn whoever_is_there_under_both_ids_keeps_everybody_where_they_are() {
    for store in &Stores::new().stores {
        bind(store, "corp.e-1", &of("corp", "e-1")).await;
        bind(store, "corp.e-2", &of("corp", "e-2")).await;
        let gone = bind(store, "head.e-2", &of("head", "e-2")).await;
        store.delete(ACME, &gone, true, record(Action::Delete, "head.e-2")).await.unwrap();
        let twice = Renaming::Twice(vec!["e-2".to_owned()]);
        assert_eq!(rename(store, "corp", "head").await, twice);
        assert_eq!(linked(store, ACME, "corp").await, ["corp.e-1", "corp.e-2"]);
        assert_eq!(linked(store, ACME, "head").await, ["deleted e-2"]);
        assert_eq!(records(store).await, 0);
    }
}
