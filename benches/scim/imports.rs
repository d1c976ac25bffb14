//! An import, from the first row that comes in to the last user that is made, against the same rows
//! written by the engine alone. `IMPORT` says how many; 100,000 otherwise.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::types::Value as Datum;
use scimbridge::caller::Caller;
use scimbridge::clock::Clock;
use scimbridge::config::Config;
use scimbridge::federation::{Advance, Federation, ImportQueue, Rules, Shares, View};
use scimbridge::scim::dialect::Manners;
use scimbridge::scim::schema::check::Purpose;
use scimbridge::store::{IndexedType, Store};
use serde_json::json;

use super::compared;

const TENANT: &str = "acme";
const MANY: usize = 100_000;
/// Of one part, and of one step, as the program has them.
const PART: usize = 256;
const STEP: usize = 128;
/// Users of one transaction of the engine alone.
const TRANSACTION: usize = 1_000;
/// What a create writes, and with what columns.
const TABLES: [&str; 5] = ["resources", "attributes", "audit_persons", "audit", "members"];

pub fn run() {
    let many = std::env::var("IMPORT").ok().and_then(|text| text.parse().ok()).unwrap_or(MANY);
    let directory = tempfile::tempdir().unwrap();
    let text = "[store]\nurl = \"sqlite::memory:\"\n[[tenant]]\nname = \"acme\"\n\
                [[tenant.token]]\nname = \"bench\"\nsha256 = \
                \"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\"\n\
                permissions = [\"*\"]\n";
    let config = Config::parse(text, Path::new("/"), &|_| None).unwrap();
    let ours = directory.path().join("ours.db");
    let theirs = directory.path().join("theirs.db");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let subject = runtime.block_on(import(&config, &ours, many));
    // The same tables, empty.
    runtime.block_on(store(&config, &theirs).close());
    let yardstick = written(&ours, &theirs);
    let (subject, yardstick) = (subject.as_secs_f64(), yardstick.as_secs_f64());
    compared(
        &format!("import of {many} users / their rows by the engine"),
        2.5,
        [subject, yardstick, subject / yardstick],
    );
}

fn store(config: &Config, path: &Path) -> Store {
    let types = config.tenants[0].resource_types.all();
    let types: Vec<_> =
        types.iter().map(|kind| IndexedType { resource_type: kind, further: Vec::new() }).collect();
    Store::open(&format!("sqlite:{}", path.display()), &types, Clock::system()).unwrap()
}

/// How long an import takes, of one part after the other, and one step after the other.
async fn import(config: &Config, path: &Path, many: usize) -> Duration {
    let tenant = &config.tenants[0];
    let (clock, store) = (Clock::system(), Arc::new(store(config, path)));
    let federation = Federation::new(
        Arc::from(TENANT),
        Rules::from(tenant),
        tenant.resource_types.all().to_vec(),
        Arc::clone(&store),
        Vec::new(),
        &Shares::new(64 << 20),
        1,
        false,
        clock.clone(),
    );
    let manners: &Manners = &tenant.manners;
    let view = View {
        no_cache: false,
        photos: false,
        members: false,
        request_id: "bench".to_owned(),
        deadline: Instant::now() + Duration::from_mins(10),
        manner: Arc::clone(manners.at(0)),
    };
    let caller: &Caller = &tenant.tokens[0].rights.caller;
    let kind = federation.types().iter().find(|kind| kind.name == "Group").unwrap().clone();
    let body = kind.check(json!({ "displayName": "Imported" }), Purpose::Create).unwrap();
    let group = federation.create(caller, &kind, body, &view).await.unwrap().resource;
    let rows: Vec<String> = (0..many).map(row).collect();

    let begin = Instant::now();
    let mut coming = federation.begin_import(caller, &view).await.unwrap();
    for part in rows.chunks(PART) {
        let count = part.len() as u64;
        federation.spool_import(&mut coming, &part.join("\n"), count).await.unwrap();
    }
    federation.queue_import(caller, &coming, &group.id, None, &view).await.unwrap();
    let queue = ImportQueue::new(&store, &clock);
    let job = queue.next(&[TENANT]).await.unwrap().unwrap();
    let mut job = federation.take_up(job, manners).unwrap();
    while federation.advance(&mut job, STEP).await.unwrap() == Advance::Some {}
    let taken = begin.elapsed();
    store.close().await;
    taken
}

fn row(number: usize) -> String {
    json!({
        "emails": [{ "value": format!("email{number}@company.com") }],
        "name": { "familyName": format!("last{number}"), "givenName": format!("first{number}") },
        "externalId": format!("bb0_{number}"),
        "userName": format!("user{number}"),
    })
    .to_string()
}

/// How long the engine takes to write what stands in `from` into the same tables of `to`, in
/// transactions of 1,000 users.
fn written(from: &Path, to: &Path) -> Duration {
    let from = Connection::open(from).unwrap();
    let to = Connection::open(to).unwrap();
    to.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -16384; \
         PRAGMA mmap_size = 268435456;",
    )
    .unwrap();
    let tables: Vec<(String, Vec<Vec<Datum>>)> = TABLES.map(|table| read(&from, table)).into();
    let users = tables[0].1.len();
    let transactions = users.div_ceil(TRANSACTION);
    let mut begun = [0; TABLES.len()];
    let start = Instant::now();
    for transaction in 1..=transactions {
        to.execute_batch("BEGIN IMMEDIATE").unwrap();
        for ((insert, rows), begun) in tables.iter().zip(&mut begun) {
            let mut statement = to.prepare_cached(insert).unwrap();
            let end = rows.len() * transaction / transactions;
            for row in &rows[*begun..end] {
                statement.execute(rusqlite::params_from_iter(row)).unwrap();
            }
            *begun = end;
        }
        to.execute_batch("COMMIT").unwrap();
    }
    start.elapsed()
}

/// The rows of a table in the order in which they were written, and the statement that inserts one.
fn read(from: &Connection, table: &str) -> (String, Vec<Vec<Datum>>) {
    let by = if matches!(table, "attributes" | "members") { "1, 2" } else { "rowid" };
    let mut statement = from.prepare(&format!("SELECT * FROM {table} ORDER BY {by}")).unwrap();
    let columns = statement.column_count();
    let places: Vec<String> = (1..=columns).map(|place| format!("?{place}")).collect();
    let names = statement.column_names().collect::<Vec<_>>().join(", ");
    let insert = format!("INSERT INTO {table} ({names}) VALUES ({})", places.join(", "));
    let rows = statement
        .query_map([], |row| (0..columns).map(|column| row.get(column)).collect())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    (insert, rows)
}
