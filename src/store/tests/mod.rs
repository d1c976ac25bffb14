//! The contract of the store: on a file, in memory and on PostgreSQL.

mod audit;
mod configure;
mod imports;
mod members;
mod page;
mod passing;
mod presence;
mod rename;
mod search;
pub(super) mod server;
mod token;
mod types;
mod upgrade;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::engine::{Change, Expect, Query};
use super::*;
use crate::audit::{Action, AuditRecord, Outcome};
use crate::scim::{Filter, ResourceType};

const ACME: &str = "acme";

/// A store in memory, one on a file, which goes with the directory, and one on PostgreSQL.
struct Stores {
    stores: [Store; 3],
    _directory: tempfile::TempDir,
}

impl Stores {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let urls = urls(&directory);
        let stores = [open("sqlite::memory:", &[]), open(&urls[0], &[]), open(&urls[1], &[])];
        Self { stores, _directory: directory }
    }
}

/// Of databases that outlive a store: a file in the directory, and one on PostgreSQL.
fn urls(directory: &tempfile::TempDir) -> [String; 2] {
    [format!("sqlite:{}", directory.path().join("store.db").display()), server::schema()]
}

fn open(url: &str, index: &[&str]) -> Store {
    let user = ResourceType::user(&[]);
    let further = index.iter().map(|text| user.resolve(text)).collect();
    let types = [IndexedType { resource_type: &user, further }];
    Store::open(url, &types, Clock::system()).unwrap()
}

fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(1_704_067_200_000 + milliseconds).unwrap()
}

pub(super) fn attributes(value: serde_json::Value) -> Attributes {
    let serde_json::Value::Object(attributes) = value else { panic!("an object") };
    attributes
}

fn record(action: Action, subject: &str) -> AuditRecord {
    AuditRecord {
        at: at(0),
        caller: "tests".to_owned(),
        actor: None,
        kind: "User".to_owned(),
        action,
        outcome: Outcome::Success,
        subject: subject.to_owned(),
        request_id: "r1".to_owned(),
        correlation_id: None,
        detail: None,
    }
}

/// A local user that owns all it shows.
pub(super) fn local(view: serde_json::Value) -> ResourceWrite {
    let view = attributes(view);
    ResourceWrite {
        own: view.clone(),
        view,
        owns_name: true,
        owns_external_id: true,
        unique: Vec::new(),
        link: None,
        settles: None,
        at: at(0),
    }
}

/// A bound user whose attributes all come from its entry.
fn bound(entry_key: &str, view: serde_json::Value) -> ResourceWrite {
    let view = attributes(view);
    ResourceWrite {
        own: attributes(json!({"nickName": "own"})),
        owns_name: false,
        owns_external_id: false,
        unique: Vec::new(),
        settles: None,
        link: Some(LinkRow {
            repository: "corp".to_owned(),
            entry_key: entry_key.to_owned(),
            dn: format!("uid={entry_key},dc=example,dc=org"),
            shadow: view.clone(),
            seen: at(7),
            entry_modified: Some(at(9)),
            given: Vec::new(),
            presence: Presence::default(),
        }),
        view,
        at: at(0),
    }
}

async fn create(store: &Store, id: &str, write: &ResourceWrite) -> Result<ResourceRow, StoreError> {
    store.create(ACME, new(id, write)).await
}

pub(super) fn new<'a>(id: &'a str, write: &'a ResourceWrite) -> NewResource<'a> {
    NewResource {
        type_name: TypeName::User,
        id,
        user_type: UserType::Ftress,
        write,
        revive: false,
        record: record(Action::Create, id),
    }
}

/// The row as it was read at another time.
fn version(row: &ResourceRow, version: i64) -> ResourceRow {
    ResourceRow { version, ..row.clone() }
}

fn by_name(name: &str) -> RowKey {
    RowKey::Name(TypeName::User, name.to_owned())
}

fn by_external_id(id: &str) -> RowKey {
    RowKey::ExternalId(TypeName::User, id.to_owned())
}

pub(super) fn page<'a>(
    filter: Option<&'a Filter>,
    sort: &'a Sort,
    offset: u64,
    limit: u64,
) -> Search<'a> {
    Search {
        type_name: &TypeName::User,
        filter,
        rows: Rows::All,
        sort,
        start: Start::Offset(offset),
        limit,
        count_total: true,
        owned: true,
    }
}

async fn ids(store: &Store, key: RowKey) -> Vec<String> {
    let rows = store.find(ACME, &key).await.unwrap();
    rows.into_iter().map(|row| row.id.clone()).collect()
}

fn sort(path: &str, descending: bool) -> Sort {
    Sort { path: ResourceType::user(&[]).resolve(path), descending }
}

async fn search(store: &Store, filter: &str, sort: &Sort) -> StoreAnswer {
    let filter = Filter::parse(filter, &ResourceType::user(&[])).unwrap();
    store.search(ACME, page(Some(&filter), sort, 0, 100)).await.unwrap()
}

fn shown(rows: &[Arc<ResourceRow>]) -> Vec<&str> {
    rows.iter().map(|row| row.id.as_str()).collect()
}

fn same(one: &ResourceRow, other: &ResourceRow) {
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
}

#[tokio::test]
async fn a_row_is_found_by_all_that_identifies_it() {
    let stores = Stores::new();
    for store in &stores.stores {
        let write = local(json!({"userName": "Änna", "externalId": "X-1", "title": "t"}));
        let made = create(store, "u1", &write).await.unwrap();
        assert_eq!((made.number, made.version, made.created), (10001, 1, at(0)));
        let long = "é".repeat(400);
        let write = bound("e-1", json!({"userName": "änna", "externalId": long}));
        let bound = create(store, "corp.e-1", &write).await.unwrap();
        assert_eq!((bound.number, bound.user_type), (10002, UserType::FtressLdap));

        for key in
            [RowKey::Id("u1".to_owned()), RowKey::Id("10001".to_owned()), by_external_id("X-1")]
        {
            let found = store.find(ACME, &key).await.unwrap();
            assert_eq!(found.len(), 1, "{key:?}");
            same(&found[0], &made);
            assert!(store.find("other", &key).await.unwrap().is_empty());
        }
        let link = RowKey::Link { repository: "corp".to_owned(), entry_key: "e-1".to_owned() };
        same(&store.find(ACME, &link).await.unwrap()[0], &bound);
        let name = by_name("A\u{308}NNA");
        assert_eq!(ids(store, name).await, ["corp.e-1", "u1"]);
        let external = by_external_id(&"e\u{301}".repeat(400));
        assert_eq!(ids(store, external).await, ["corp.e-1"]);
        for nobody in [
            RowKey::Id("U1".to_owned()),
            RowKey::Id("010001".to_owned()),
            RowKey::Id("99999999999999999999".to_owned()),
            RowKey::Id(String::new()),
            by_external_id("x-1"),
            by_name(""),
            RowKey::Link { repository: "corp".to_owned(), entry_key: "E-1".to_owned() },
        ] {
            assert!(ids(store, nobody.clone()).await.is_empty(), "{nobody:?}");
        }
        let keys = [bound.key, 999, made.key];
        assert_eq!(shown(&store.read(ACME, &keys).await.unwrap()), ["corp.e-1", "u1"]);
        assert!(store.read("other", &keys).await.unwrap().is_empty());
        assert!(store.read(ACME, &[]).await.unwrap().is_empty());
        store.ready().await.unwrap();
    }
}

/// A look-up that reads a whole tenant answers rightly, and slowly.
#[tokio::test]
async fn a_look_up_reads_no_more_than_it_finds() {
    let store = open("sqlite::memory:", &[]);
    for key in [
        RowKey::Id("u1".to_owned()),
        RowKey::Id("10001".to_owned()),
        by_name("anna"),
        by_external_id("x"),
        RowKey::Link { repository: "corp".to_owned(), entry_key: "e".to_owned() },
    ] {
        let mut query = store.look_up(ACME, &key);
        query.sql = format!("EXPLAIN QUERY PLAN {}", query.sql).into();
        for mut row in store.engine.query(query).await.unwrap() {
            for _ in 0..3 {
                row.integer().unwrap();
            }
            let step = row.text().unwrap();
            assert!(!step.contains("SCAN") && !step.contains("(tenant=?)"), "{key:?}: {step}");
        }
    }
}

#[tokio::test]
async fn each_tenant_counts_for_itself() {
    for store in &Stores::new().stores {
        let write = local(json!({"userName": "anna"}));
        create(store, "u1", &write).await.unwrap();
        let agents = NewResource { user_type: UserType::ScimFed, ..new("u1", &write) };
        let other = store.create("other", agents).await.unwrap();
        assert_eq!((other.number, other.user_type), (10001, UserType::ScimFed));
        // A refused write takes no number.
        create(store, "u2", &write).await.unwrap_err();
        let made = create(store, "u3", &local(json!({"userName": "berta"}))).await.unwrap();
        assert_eq!(made.number, 10002);
    }
}

#[tokio::test]
async fn what_the_store_owns_is_unique_and_the_holder_is_named() {
    for store in &Stores::new().stores {
        let anna = local(json!({"userName": "Anna", "externalId": "1"}));
        let made = create(store, "u1", &anna).await.unwrap();
        let taken = |error: StoreError| match error {
            StoreError::Taken { attribute, id } => (attribute, id),
            other => panic!("{other}"),
        };
        let error = create(store, "u2", &local(json!({"userName": "ANNA"}))).await.unwrap_err();
        assert_eq!(taken(error), ("userName".to_owned(), "u1".to_owned()));
        let again = local(json!({"userName": "berta", "externalId": "1"}));
        let error = create(store, "u2", &again).await.unwrap_err();
        assert_eq!(taken(error), ("externalId".to_owned(), "u1".to_owned()));
        let error = create(store, "u1", &local(json!({"userName": "c"}))).await.unwrap_err();
        assert_eq!(taken(error), ("id".to_owned(), "u1".to_owned()));

        // A name that the directory owns is under no unique index.
        let berta = bound("e-1", json!({"userName": "anna", "externalId": "1"}));
        let bound = create(store, "corp.e-1", &berta).await.unwrap();
        let mut owning = berta.clone();
        owning.owns_name = true;
        let replace = record(Action::Replace, "corp.e-1");
        let error =
            store.update(ACME, &version(&bound, 1), &owning, replace.clone()).await.unwrap_err();
        assert_eq!(taken(error), ("userName".to_owned(), "u1".to_owned()));

        // Giving the name up makes it free.
        let renamed = local(json!({"userName": "anna2", "externalId": "1"}));
        let renaming = record(Action::Replace, "u1");
        store.update(ACME, &version(&made, 1), &renamed, renaming).await.unwrap();
        store.update(ACME, &version(&bound, 1), &owning, replace).await.unwrap();
        assert_eq!(ids(store, by_name("ANNA")).await, ["corp.e-1"]);
    }
}

#[tokio::test]
async fn an_update_replaces_the_whole_row_once() {
    for store in &Stores::new().stores {
        let write =
            local(json!({"userName": "anna", "title": "old", "emails": [{"value": "a@x"}]}));
        let made = create(store, "u1", &write).await.unwrap();
        let mut write = local(json!({"userName": "anna", "title": "new"}));
        write.at = at(60_000);
        let replace = record(Action::Replace, "u1");
        let updated =
            store.update(ACME, &version(&made, 1), &write, replace.clone()).await.unwrap();
        assert_eq!((updated.version, updated.number), (2, 10001));
        assert_eq!((updated.created, updated.last_modified), (at(0), at(60_000)));
        same(&store.find(ACME, &RowKey::Id("u1".to_owned())).await.unwrap()[0], &updated);
        let order = sort("userName", false);
        assert_eq!(search(store, r#"title eq "new""#, &order).await.total, Some(1));
        assert_eq!(
            search(store, r#"title eq "old" or emails.value pr"#, &order).await.total,
            Some(0)
        );

        let stale = |outcome| assert!(matches!(outcome, Err(StoreError::Stale)), "{outcome:?}");
        stale(store.update(ACME, &version(&made, 1), &write, replace.clone()).await);
        stale(store.update("other", &version(&made, 2), &write, replace.clone()).await);
        stale(
            store
                .update(ACME, &ResourceRow { key: 999, ..made.clone() }, &write, replace.clone())
                .await,
        );
        assert_eq!(store.audit_records(ACME, None).await.unwrap().len(), 2);

        // Many at once with one version: one wins.
        let second = version(&made, 2);
        let all = (0..20).map(|_| store.update(ACME, &second, &write, replace.clone()));
        let all = futures_util::future::join_all(all).await;
        assert_eq!(all.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    }
}

#[tokio::test]
async fn of_many_first_writes_one_binds() {
    for store in &Stores::new().stores {
        let mut write = bound("e-1", json!({"userName": "anna", "externalId": "1"}));
        // Even where more than the link collides, the link is what is told.
        write.owns_external_id = true;
        let all = (0..20).map(|_| create(store, "corp.e-1", &write));
        let all = futures_util::future::join_all(all).await;
        assert_eq!(all.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        for error in all.into_iter().filter_map(Result::err) {
            assert!(matches!(&error, StoreError::Linked { id } if id == "corp.e-1"), "{error}");
        }
        let error = create(store, "another-id", &write).await.unwrap_err();
        assert!(matches!(&error, StoreError::Linked { id } if id == "corp.e-1"), "{error}");
        assert_eq!(store.audit_records(ACME, None).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_deleted_bound_user_leaves_a_tombstone() {
    let stores = Stores::new();
    for store in &stores.stores {
        let write = bound("e-1", json!({"userName": "anna", "emails": [{"value": "a@x"}]}));
        let made = create(store, "corp.e-1", &write).await.unwrap();
        let delete = record(Action::Delete, "corp.e-1");
        let error = store.delete(ACME, &version(&made, 5), true, delete.clone()).await.unwrap_err();
        assert!(matches!(error, StoreError::Stale), "{error}");
        assert!(!store.is_tombstone(ACME, "corp", "e-1").await.unwrap());
        store.delete(ACME, &version(&made, 1), true, delete.clone()).await.unwrap();
        assert!(store.is_tombstone(ACME, "corp", "e-1").await.unwrap());
        assert!(!store.is_tombstone("other", "corp", "e-1").await.unwrap());
        assert_eq!(store.tombstones(ACME, "corp", 9).await.unwrap(), ["e-1"]);
        for (tenant, repository, limit) in [("other", "corp", 9), (ACME, "x", 9), (ACME, "corp", 0)]
        {
            let none = store.tombstones(tenant, repository, limit).await.unwrap();
            assert!(none.is_empty(), "{tenant} {repository} {limit}");
        }
        assert!(ids(store, RowKey::Id("corp.e-1".to_owned())).await.is_empty());
        let order = sort("userName", false);
        assert_eq!(search(store, "emails.value pr", &order).await.total, Some(0));

        let error = create(store, "corp.e-1", &write).await.unwrap_err();
        assert!(matches!(error, StoreError::Tombstone), "{error}");
        let other = create(store, "u2", &local(json!({"userName": "berta"}))).await.unwrap();
        let replace = record(Action::Replace, "u2");
        let error = store.update(ACME, &version(&other, 1), &write, replace).await.unwrap_err();
        assert!(matches!(error, StoreError::Tombstone), "{error}");

        let reviving = |id| NewResource { revive: true, ..new(id, &write) };
        let again = store.create(ACME, reviving("corp.e-1")).await.unwrap();
        assert_ne!(again.key, made.key, "a key is never given again");
        assert!(store.tombstones(ACME, "corp", 9).await.unwrap().is_empty());
        assert!(!store.is_tombstone(ACME, "corp", "e-1").await.unwrap());
        // Reviving takes no link from a row.
        let error = store.create(ACME, reviving("u3")).await.unwrap_err();
        assert!(matches!(error, StoreError::Linked { .. }), "{error}");

        store.delete(ACME, &version(&again, 1), false, delete.clone()).await.unwrap();
        assert!(!store.is_tombstone(ACME, "corp", "e-1").await.unwrap());
        let last = create(store, "corp.e-1", &write).await.unwrap();
        store.delete(ACME, &version(&last, 1), true, delete).await.unwrap();
    }
    // Nothing of the person is left but the entry key.
    for store in &stores.stores {
        for (table, column, rows) in [
            ("attributes", "NULLIF(fold, '')", 0),
            ("links", "NULLIF(dn || shadow, '{}')", 0),
            ("resources", "own", 1),
        ] {
            let sql = format!("SELECT COUNT({column}) FROM {table}").into();
            let left = store.engine.query(Query { sql, values: Vec::new() }).await;
            assert_eq!(left.unwrap()[0].integer().unwrap(), rows, "{table}");
        }
    }
}

#[tokio::test]
async fn links_are_read_in_one_go() {
    for store in &Stores::new().stores {
        for number in 0..12 {
            let key = format!("e-{number}");
            let write = bound(&key, json!({"userName": key}));
            let made = create(store, &format!("corp.{key}"), &write).await.unwrap();
            if number == 3 {
                let delete = record(Action::Delete, &made.id);
                store.delete(ACME, &version(&made, 1), true, delete).await.unwrap();
            }
        }
        for asked in [1, 4, 9, 70, 1200] {
            let keys: Vec<_> = (0..asked).map(|number| format!("e-{number}")).collect();
            let states = store.find_links(ACME, "corp", &keys).await.unwrap();
            assert_eq!(states.len(), asked.min(12), "{asked}");
            for state in states {
                match state {
                    LinkState::Tombstone { entry_key } => assert_eq!(entry_key, "e-3"),
                    LinkState::Row(row) => {
                        assert_eq!(
                            row.id,
                            format!("corp.{}", row.link.as_ref().unwrap().entry_key)
                        );
                    }
                }
            }
        }
        assert!(store.find_links(ACME, "corp", &[]).await.unwrap().is_empty());
        assert!(store.find_links(ACME, "other", &["e-1".to_owned()]).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_row_may_win_and_lose_its_link() {
    for store in &Stores::new().stores {
        let made = create(store, "u1", &local(json!({"userName": "anna"}))).await.unwrap();
        let modify = record(Action::Bind, "u1");
        let mut write = bound("e-1", json!({"userName": "anna"}));
        let row = store.update(ACME, &version(&made, 1), &write, modify.clone()).await.unwrap();
        assert_eq!(row.user_type, UserType::FtressLdap);
        write.link.as_mut().unwrap().entry_key = "e-2".to_owned();
        let row = store.update(ACME, &version(&made, 2), &write, modify.clone()).await.unwrap();
        same(&store.find(ACME, &RowKey::Id("u1".to_owned())).await.unwrap()[0], &row);
        let keys = ["e-1".to_owned(), "e-2".to_owned()];
        assert_eq!(store.find_links(ACME, "corp", &keys).await.unwrap().len(), 1);
        let row = store
            .update(ACME, &version(&made, 3), &local(json!({"userName": "anna"})), modify)
            .await
            .unwrap();
        assert_eq!(row.user_type, UserType::Ftress);
        assert!(store.find_links(ACME, "corp", &keys).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn every_change_is_written_down_and_persons_are_tokens() {
    let stores = Stores::new();
    for store in &stores.stores {
        let made = create(store, "u1", &local(json!({"userName": "anna"}))).await.unwrap();
        create(store, "u2", &local(json!({"userName": "berta"}))).await.unwrap();
        create(store, "u3", &local(json!({"userName": "anna"}))).await.unwrap_err();
        let modify = record(Action::Modify, "u1");
        let write = local(json!({"userName": "anna", "title": "t"}));
        store.update(ACME, &version(&made, 1), &write, modify.clone()).await.unwrap();
        store.update(ACME, &version(&made, 1), &write, modify).await.unwrap_err();
        let delete = record(Action::Delete, "u1");
        store.delete(ACME, &version(&made, 2), true, delete).await.unwrap();

        let trail = store.audit_records(ACME, None).await.unwrap();
        let actions: Vec<_> = trail.iter().map(|entry| entry.action.as_str()).collect();
        assert_eq!(actions, ["user.create", "user.create", "user.modify", "user.delete"]);
        let hers = store.audit_records(ACME, Some("u1")).await.unwrap();
        assert_eq!(hers.len(), 3);
        assert!(hers.iter().all(|entry| entry.token == hers[0].token));
        assert_eq!(hers[0].token.len(), 32);
        assert_ne!(trail[1].token, hers[0].token);
        assert_eq!(hers[0].person.as_deref(), Some("u1"));
        assert_eq!((hers[0].at, hers[0].caller.as_str()), (at(0), "tests"));
        assert!(store.audit_records("other", None).await.unwrap().is_empty());

        for sql in ["DELETE FROM audit WHERE key > $1", "UPDATE audit SET at = $1"] {
            let mut change = Change::default();
            change.push(sql, [0.into()], Expect::Any);
            store.engine.execute(change).await.unwrap_err();
        }
        let mut change = Change::default();
        let sql = "UPDATE audit SET sequence = $1, hash = $2 WHERE token = $3 AND action = $4";
        let values = [1.into(), "h".into(), trail[0].token.as_str().into(), "user.create".into()];
        change.push(sql, values, Expect::Exactly(1));
        store.engine.execute(change).await.unwrap();
    }
}

#[tokio::test]
async fn two_stores_on_one_database_see_each_other() {
    let directory = tempfile::tempdir().unwrap();
    for url in urls(&directory) {
        let (one, two) = (open(&url, &[]), open(&url, &[]));
        let writes = (0..40).map(|number| {
            let store = if number % 2 == 0 { &one } else { &two };
            let id = format!("u{number}");
            async move { create(store, &id, &local(json!({"userName": id}))).await }
        });
        let made = futures_util::future::join_all(writes).await;
        let mut numbers: Vec<_> = made.into_iter().map(|row| row.unwrap().number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (10001..10041).collect::<Vec<_>>());
        let order = sort("userName", false);
        for store in [&one, &two] {
            assert_eq!(search(store, "userName pr", &order).await.total, Some(40));
        }
    }
}

/// Longer than what an index of PostgreSQL takes, and not to be compressed to less.
#[tokio::test]
async fn what_is_long_is_unique_as_well() {
    for store in &Stores::new().stores {
        let random = (0..300).map(|_| uuid::Uuid::new_v4().to_string()).collect::<String>();
        let user = |name: &str, id: &str| local(json!({"userName": name, "externalId": id}));
        create(store, "u1", &user(&random, &random)).await.unwrap();
        let error = create(store, "u2", &user(&random.to_uppercase(), "x")).await.unwrap_err();
        assert_eq!(error.to_string(), "userName is taken by u1");
        let error = create(store, "u2", &user("x", &random)).await.unwrap_err();
        assert_eq!(error.to_string(), "externalId is taken by u1");
        let other = format!("{random}0");
        create(store, "u2", &user(&other, &other)).await.unwrap();
        assert_eq!(ids(store, by_name(&random)).await, ["u1"]);
        assert_eq!(ids(store, by_external_id(&other)).await, ["u2"]);
    }
}

#[tokio::test]
async fn odd_values_survive() {
    for store in &Stores::new().stores {
        let own = json!({
            "userName": "a\u{0}b", "title": "\u{0}", "displayName": "'\"\\ %_; --",
            "emails": [{"value": "x".repeat(5000)}], "number": 9_007_199_254_740_993_i64,
        });
        let made = create(store, "u1", &local(own)).await.unwrap();
        same(&store.find(ACME, &RowKey::Id("u1".to_owned())).await.unwrap()[0], &made);
        let order = sort("userName", false);
        assert_eq!(search(store, "title pr and userName ew \"b\"", &order).await.total, Some(1));
        let names: Vec<_> = made.own.keys().map(String::as_str).collect();
        assert_eq!(names, ["userName", "title", "displayName", "emails", "number"]);
    }
}
