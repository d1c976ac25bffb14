//! What the store makes of many members and of long lists, each on a SQLite file.

use std::path::Path;
use std::time::Instant;

use futures_util::future::join_all;
use scimbridge::audit::{Action, AuditRecord, Outcome};
use scimbridge::clock::Clock;
use scimbridge::scim::patch::{Patch, Tolerance};
use scimbridge::scim::schema::ResourceType;
use scimbridge::store::{
    IndexedType, Members, NewResource, Position, ResourceRow, ResourceWrite, Rows, Search, Sort,
    Start, Store, TypeName, UserType,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{compare, compared, median};

const GROUPED: &str = "grouped";
const FEW: &str = "few";
const MANY: &str = "many";
/// How many users are made at the same time: their changes share commits.
const TOGETHER: usize = 256;
const ADDED: usize = 1_000;
const ROUNDS: usize = 9;

pub fn run() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bench.db");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (user, group) = (ResourceType::user(&[]), ResourceType::group(&[]));
    let types =
        [&user, &group].map(|kind| IndexedType { resource_type: kind, further: Vec::new() });
    let store =
        Store::open(&format!("sqlite:{}", path.display()), &types, Clock::system()).unwrap();
    let grouped = runtime.block_on(fill(&store, GROUPED, ADDED));
    members(&runtime, &store, &path, &grouped, &group);
    runtime.block_on(fill(&store, FEW, 1_000));
    runtime.block_on(fill(&store, MANY, 100_000));
    for text in ["userName", "name.familyName", "emails.value", "title", "meta.created"] {
        let sort = Sort { path: user.resolve(text), descending: false };
        let middle = |tenant, half| runtime.block_on(place(&store, tenant, &sort, half));
        let (of_few, of_many) = (middle(FEW, 500), middle(MANY, 50_000));
        let listed = |tenant, position| {
            let start = Start::After(position);
            runtime.block_on(store.search(tenant, search(&sort, start, 100))).unwrap()
        };
        compare(
            &format!("100 of 100,000 users by {text} / 100 of 1,000"),
            2.0,
            || listed(MANY, &of_many),
            || listed(FEW, &of_few),
        );
    }
}

/// Adding members, from the PATCH's text to the commit, against the same rows inserted one by one in
/// one transaction of the engine.
fn members(runtime: &Runtime, store: &Store, path: &Path, ids: &[String], kind: &ResourceType) {
    let values: Vec<Value> = ids.iter().map(|id| json!({ "value": id })).collect();
    assert_eq!(values.len(), ADDED);
    let operation = json!({ "op": "add", "path": "members", "value": values });
    let text = serde_json::to_vec(&json!({ "Operations": [operation] })).unwrap();
    let database = rusqlite::Connection::open(path).unwrap();
    database.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;").unwrap();
    let keys: Vec<i64> = database
        .prepare("SELECT key FROM resources WHERE type = 'User' ORDER BY key")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(keys.len(), ADDED);
    let make = |name: String| runtime.block_on(create(store, GROUPED, TypeName::Group, &name));
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let (patched, filled) = (make(format!("p{round}")), make(format!("f{round}")));
        let begin = Instant::now();
        let body: Value = serde_json::from_slice(&text).unwrap();
        Patch::parse(&body, kind, Tolerance::default()).unwrap();
        let change = Members { add: ids, ..Members::default() };
        let record = record(Action::Modify, "Group", &patched.id);
        let enrolled = store.update_group(GROUPED, &patched, None, change, record);
        let enrolled = runtime.block_on(enrolled).unwrap();
        let ours = begin.elapsed().as_secs_f64();
        assert_eq!(enrolled.added.len(), ADDED);
        let begin = Instant::now();
        database.execute_batch("BEGIN IMMEDIATE").unwrap();
        let insert = "INSERT INTO members (group_key, member_key) VALUES ($1, $2)";
        let mut statement = database.prepare_cached(insert).unwrap();
        for key in &keys {
            statement.execute([filled.key, *key]).unwrap();
        }
        database.execute_batch("COMMIT").unwrap();
        let theirs = begin.elapsed().as_secs_f64();
        rounds.push([ours, theirs, ours / theirs]);
    }
    compared("PATCH that adds 1,000 members / 1,000 rows by the engine", 2.0, median(&rounds));
}

/// Fills a tenant; the ids of its users.
async fn fill(store: &Store, tenant: &str, count: usize) -> Vec<String> {
    let mut ids = Vec::with_capacity(count);
    let numbers: Vec<usize> = (0..count).collect();
    for chunk in numbers.chunks(TOGETHER) {
        let names = chunk.iter().map(|number| format!("user-{number:06}"));
        let made =
            names.map(|name| async move { create(store, tenant, TypeName::User, &name).await });
        ids.extend(join_all(made).await.into_iter().map(|row| row.id));
    }
    ids
}

async fn create(store: &Store, tenant: &str, type_name: TypeName, name: &str) -> ResourceRow {
    let clock = Clock::system();
    let id = clock.new_id().to_string();
    let own = match type_name {
        TypeName::Group => json!({ "displayName": name }),
        _ => json!({
            "userName": name, "title": format!("t{name}"), "active": true,
            "name": { "familyName": format!("f{name}"), "givenName": "g" },
            "emails": [{ "value": format!("{name}@example.com"), "type": "work" }],
        }),
    };
    let own = own.as_object().unwrap().clone();
    let write = ResourceWrite {
        view: own.clone(),
        own,
        owns_name: true,
        owns_external_id: false,
        unique: Vec::new(),
        link: None,
        settles: None,
        at: clock.now(),
    };
    let record = record(Action::Create, "User", &id);
    let new = NewResource {
        type_name,
        id: &id,
        user_type: UserType::Ftress,
        write: &write,
        revive: false,
        record,
    };
    store.create(tenant, new).await.unwrap()
}

fn record(action: Action, kind: &str, subject: &str) -> AuditRecord {
    AuditRecord {
        at: Clock::system().now(),
        caller: "bench".to_owned(),
        actor: None,
        kind: kind.to_owned(),
        action,
        outcome: Outcome::Success,
        subject: subject.to_owned(),
        request_id: "bench".to_owned(),
        correlation_id: None,
        detail: None,
    }
}

fn search<'a>(sort: &'a Sort, start: Start<'a>, limit: u64) -> Search<'a> {
    Search {
        type_name: &TypeName::User,
        filter: None,
        rows: Rows::All,
        sort,
        start,
        limit,
        count_total: false,
        owned: true,
    }
}

/// Where the user after so many stands.
async fn place(store: &Store, tenant: &str, sort: &Sort, skip: u64) -> Position {
    let answer = store.search(tenant, search(sort, Start::Offset(skip), 1)).await.unwrap();
    answer.last.unwrap()
}
