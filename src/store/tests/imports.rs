//! Imports: queued in order, done once, counted, ended, swept away.

use serde_json::json;

use super::super::engine::Query;
use super::{ACME, Stores, at, attributes, local, record, urls};
use crate::audit::Action;
use crate::clock::Clock;
use crate::scim::ResourceType;
use crate::store::{
    ImportBatch, ImportCounts, ImportFault, ImportRefusal, ImportRow, ImportState, IndexedType,
    NewResource, Numbers, ResourceRow, ResourceWrite, RowKey, Store, StoreError, TypeName,
    UserType,
};

async fn group(store: &Store) -> ResourceRow {
    let view = attributes(json!({ "displayName": "Staff" }));
    let write = ResourceWrite { owns_external_id: false, ..local(view.into()) };
    let new = new(TypeName::Group, "staff", &write);
    store.create(ACME, new).await.unwrap()
}

fn new<'a>(type_name: TypeName, id: &'a str, write: &'a ResourceWrite) -> NewResource<'a> {
    NewResource {
        type_name,
        id,
        user_type: UserType::Ftress,
        write,
        revive: false,
        record: record(Action::Create, id),
    }
}

fn person(number: u64) -> ResourceWrite {
    local(json!({ "userName": format!("u{number}"), "externalId": format!("x{number}") }))
}

/// An import of so many rows, of which two stand in a part.
async fn queued(store: &Store, name: &str, group: i64, size: u64) -> ImportRow {
    let key = store.begin_import(ACME, name, "{}").await.unwrap();
    for first in (0..size).step_by(2) {
        let rows: Vec<String> = (first..size.min(first + 2)).map(|row| row.to_string()).collect();
        store.spool_import(key, first, &rows.join("\n")).await.unwrap();
    }
    store.queue_import(ACME, key, group, size, None, record(Action::Import, name)).await.unwrap();
    store.import(ACME, name).await.unwrap().unwrap()
}

/// The rows from `first` on, all of which make users.
async fn done(
    store: &Store,
    import: &ImportRow,
    numbers: &Numbers,
    rows: std::ops::Range<u64>,
) -> Result<Vec<ResourceRow>, ImportRefusal> {
    let writes: Vec<(String, ResourceWrite)> =
        rows.clone().map(|row| (format!("id{row}"), person(row))).collect();
    let new: Vec<_> = writes.iter().map(|(id, write)| new(TypeName::User, id, write)).collect();
    let imported = import.counts.imported + (rows.end - rows.start);
    let batch = ImportBatch {
        import,
        after: ImportCounts { imported, ..import.counts },
        faults: &[],
        new: &new,
        owned: &[],
        numbers,
        group: import.group.unwrap(),
        part: rows.start / 2 * 2,
    };
    store.import_batch(&batch).await
}

async fn count(store: &Store, sql: &'static str) -> i64 {
    store.engine.query(Query::new(sql, [])).await.unwrap()[0].integer().unwrap()
}

#[tokio::test]
async fn jobs_are_handed_out_in_the_order_in_which_they_were_whole() {
    for store in &Stores::new().stores {
        let group = group(store).await.key;
        let early = store.begin_import(ACME, "early", "{}").await.unwrap();
        queued(store, "first", group, 1).await;
        queued(store, "second", group, 1).await;
        assert_eq!(store.open_imports(ACME).await.unwrap(), 3);
        assert_eq!(store.next_import(&["beta"]).await.unwrap(), None);
        assert_eq!(store.next_import(&[]).await.unwrap(), None);
        for name in ["first", "second"] {
            let next = store.next_import(&["beta", ACME]).await.unwrap().unwrap();
            assert_eq!((&*next.correlation_id, next.state), (name, ImportState::Queued));
            assert_eq!(store.import("beta", name).await.unwrap(), None, "another tenant's");
            assert!(
                store
                    .end_import(
                        &next,
                        ImportState::Cancelled,
                        None,
                        Some(record(Action::Cancel, name))
                    )
                    .await
                    .unwrap()
            );
            assert!(!store.end_import(&next, ImportState::Done, None, None).await.unwrap());
        }
        store
            .queue_import(ACME, early, group, 0, None, record(Action::Import, "early"))
            .await
            .unwrap();
        let last = store.next_import(&[ACME]).await.unwrap().unwrap();
        assert_eq!(last.correlation_id, "early");
        let twice = store
            .queue_import(ACME, early, group, 0, None, record(Action::Import, "early"))
            .await
            .unwrap_err();
        assert!(matches!(twice, StoreError::Stale), "{twice}");
        store.drop_import(early).await.unwrap();
        let late = store.spool_import(early, 0, "{}").await.unwrap_err();
        assert!(matches!(late, StoreError::Stale), "{late}");
    }
}

#[tokio::test]
async fn rows_are_done_with_their_users_once() {
    for store in &Stores::new().stores {
        let group = group(store).await;
        let import = queued(store, "one", group.key, 5).await;
        assert_eq!(store.import_part(import.key, 3).await.unwrap(), Some((2, "2\n3".to_owned())));
        let mut numbers = store.reserve_numbers(ACME, 100).await.unwrap();
        let made = done(store, &import, &numbers, 0..2).await.unwrap();
        assert_eq!(made.iter().map(|row| &*row.id).collect::<Vec<_>>(), ["id0", "id1"]);
        assert_eq!(made[1].number, group.number + 2);
        numbers.spend(2);
        assert_eq!(numbers.left(), 98);
        let found = store.find(ACME, &RowKey::Id("id1".into())).await.unwrap();
        assert_eq!(&found[0].groups[0].id, "staff");
        assert_eq!(found[0].number, made[1].number);
        let by_name = RowKey::ExternalId(TypeName::User, "x0".into());
        assert_eq!(store.find(ACME, &by_name).await.unwrap().len(), 1, "it is indexed");
        let again = done(store, &import, &numbers, 0..2).await.unwrap_err();
        assert!(matches!(again, ImportRefusal::Passed), "{again}");
        let import = store.import(ACME, "one").await.unwrap().unwrap();
        assert_eq!(import.counts.processed(), 2);
        done(store, &import, &numbers, 2..4).await.unwrap();
        assert_eq!(count(store, "SELECT COUNT(*) FROM import_parts").await, 2);
        assert!(!store.end_import(&import, ImportState::Done, Some(5), None).await.unwrap());
        assert!(store.end_import(&import, ImportState::Done, Some(4), None).await.unwrap());
        assert_eq!(count(store, "SELECT COUNT(*) FROM import_parts").await, 0);
        let over = store.import(ACME, "one").await.unwrap().unwrap();
        let late = done(store, &over, &numbers, 4..5).await.unwrap_err();
        assert!(matches!(late, ImportRefusal::Passed), "{late}");
        let records = store.audit_records(ACME, None).await.unwrap();
        assert_eq!(records.len(), 6, "the group, the import and four users");
        let grown = store.find(ACME, &RowKey::Id("staff".into())).await.unwrap();
        assert_eq!(grown[0].version, 3);
    }
}

#[tokio::test]
async fn who_is_refused_is_named_and_nothing_is_done() {
    for store in &Stores::new().stores {
        let group = group(store).await;
        let import = queued(store, "one", group.key, 3).await;
        let numbers = store.reserve_numbers(ACME, 100).await.unwrap();
        let there = person(1);
        store.create(ACME, new(TypeName::User, "there", &there)).await.unwrap();
        let refused = done(store, &import, &numbers, 0..3).await.unwrap_err();
        let ImportRefusal::Row { place: 1, error: StoreError::Taken { attribute, id } } = refused
        else {
            panic!("{refused}")
        };
        assert!(["userName", "externalId"].contains(&&*attribute), "{attribute}");
        assert_eq!(id, "there");
        assert_eq!(count(store, "SELECT COUNT(*) FROM resources").await, 2);
        let same = [person(7), there, person(7), person(8)];
        let clashes = store.clashes(ACME, &same.iter().collect::<Vec<_>>()).await.unwrap();
        assert_eq!(clashes[1].as_ref().unwrap().id.as_deref(), Some("there"));
        assert_eq!(clashes[2].as_ref().unwrap().id, None);
        assert_eq!((&clashes[0], &clashes[3]), (&None, &None));
        // Who is refused by one of the two does not claim the other.
        let mixed = local(json!({ "userName": "free", "externalId": "x1" }));
        let later = local(json!({ "userName": "free", "externalId": "x9" }));
        let clashes = store.clashes(ACME, &[&mixed, &later]).await.unwrap();
        assert_eq!(clashes[0].as_ref().unwrap().attribute, "externalId");
        assert_eq!(clashes[1], None);
        store.delete(ACME, &group, false, record(Action::Delete, "staff")).await.unwrap();
        let refused = done(store, &import, &numbers, 2..3).await.unwrap_err();
        assert!(matches!(refused, ImportRefusal::NoGroup), "{refused}");
    }
}

#[tokio::test]
async fn users_are_made_with_what_they_own() {
    for store in &Stores::new().stores {
        let group = group(store).await;
        let import = queued(store, "one", group.key, 2).await;
        let numbers = store.reserve_numbers(ACME, 100).await.unwrap();
        let writes = [person(0), person(1)];
        let users =
            [new(TypeName::User, "id0", &writes[0]), new(TypeName::User, "id1", &writes[1])];
        let own = json!({ "policy": { "value": "PWD" } });
        let write = ResourceWrite { owns_external_id: false, ..local(own) };
        let batch = ImportBatch {
            import: &import,
            after: ImportCounts { imported: 2, ..import.counts },
            faults: &[],
            new: &users,
            owned: &[(1, new(TypeName::Authenticator, "id1.PWD", &write))],
            numbers: &numbers,
            group: group.key,
            part: 0,
        };
        // Somebody else has its id.
        let other = store.create(ACME, new(TypeName::Authenticator, "id1.PWD", &write)).await;
        let refused = store.import_batch(&batch).await.unwrap_err();
        let ImportRefusal::Row { place: 1, error: StoreError::Taken { attribute, .. } } = refused
        else {
            panic!("{refused}")
        };
        assert_eq!(attribute, "id");
        let record = record(Action::Delete, "id1.PWD");
        store.delete(ACME, &other.unwrap(), false, record).await.unwrap();
        let made = store.import_batch(&batch).await.unwrap();
        let ids: Vec<&str> = made.iter().map(|row| &*row.id).collect();
        assert_eq!(ids, ["id0", "id1", "id1.PWD"]);
        let found = store.find(ACME, &RowKey::Id("id1.PWD".into())).await.unwrap();
        assert_eq!(found[0].number, made[1].number + 1);
        assert_eq!(found[0].owner.as_ref().map(|owner| owner.key), Some(made[1].key));
        let owner = store.find(ACME, &RowKey::Id("id1".into())).await.unwrap();
        assert_eq!(owner[0].owned.len(), 1);
        assert_eq!(count(store, "SELECT COUNT(*) FROM members").await, 2);
        assert_eq!(count(store, "SELECT COUNT(*) FROM owners").await, 1);
    }
}

#[tokio::test]
async fn it_is_kept_why_rows_made_no_users() {
    for store in &Stores::new().stores {
        let group = group(store).await;
        let import = queued(store, "one", group.key, 4).await;
        let fault = |place, existed| ImportFault {
            place,
            name: (place == 1).then(|| "x1".to_owned()),
            existed,
            kind: existed.then(|| "uniqueness".to_owned()),
            detail: "because".to_owned(),
        };
        let faults = [fault(1, true), fault(2, false)];
        let batch = ImportBatch {
            import: &import,
            after: ImportCounts { existed: 1, failed: 1, ..import.counts },
            faults: &faults,
            new: &[],
            owned: &[],
            numbers: &store.reserve_numbers(ACME, 1).await.unwrap(),
            group: group.key,
            part: 0,
        };
        store.import_batch(&batch).await.unwrap();
        let (first, known) = store.import_faults(import.key, 0, 1).await.unwrap();
        assert_eq!((first.as_slice(), known), (&faults[..1], 2));
        let (rest, _) = store.import_faults(import.key, 1, 9).await.unwrap();
        assert_eq!(rest, faults[1..]);
        store.drop_import(import.key).await.unwrap();
        assert_eq!(store.import_faults(import.key, 0, 9).await.unwrap(), (Vec::new(), 0));
    }
}

#[tokio::test]
async fn what_is_over_or_given_up_goes_in_time() {
    let directory = tempfile::tempdir().unwrap();
    for url in urls(&directory) {
        let clock = Clock::manual(at(0));
        let user = ResourceType::user(&[]);
        let types = [IndexedType { resource_type: &user, further: Vec::new() }];
        let store = Store::open(&url, &types, clock.clone()).unwrap();
        let group = group(&store).await.key;
        let coming = store.begin_import(ACME, "coming", "{}").await.unwrap();
        store.spool_import(coming, 0, "{}").await.unwrap();
        let over = queued(&store, "over", group, 2).await;
        queued(&store, "waits", group, 2).await;
        store.end_import(&over, ImportState::Failed, None, None).await.unwrap();
        let there = async |name| store.import(ACME, name).await.unwrap().is_some();
        store.sweep_imports().await.unwrap();
        assert!(there("coming").await && there("over").await);
        clock.advance(301_000);
        store.sweep_imports().await.unwrap();
        assert!(!there("coming").await && there("over").await);
        clock.advance(8 * 24 * 3_600_000);
        store.sweep_imports().await.unwrap();
        assert!(!there("over").await && there("waits").await);
        assert_eq!(count(&store, "SELECT COUNT(*) FROM import_parts").await, 1);
    }
}
