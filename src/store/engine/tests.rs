//! The engine held to its contract: atomic changes, group commit, bounded queues.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::Connection;

use super::*;
use crate::store::tests::server;

fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

/// Of databases that outlive an engine: a file in the directory, and one on PostgreSQL.
fn urls(directory: &tempfile::TempDir) -> [String; 2] {
    [url(&directory.path().join("store.db")), server::schema()]
}

/// One engine in memory, one on a file and one on PostgreSQL.
fn engines(directory: &tempfile::TempDir) -> [Engine; 3] {
    let [file, server] = urls(directory);
    ["sqlite::memory:", &file, &server].map(|url| Engine::open(url).unwrap())
}

fn tenant(name: &str) -> Change {
    let mut change = Change::default();
    change.push(
        "INSERT INTO tenants (name, last_number) VALUES ($1, $2)",
        [name.into(), 1.into()],
        Expect::Exactly(1),
    );
    change
}

async fn names(engine: &Engine) -> HashSet<String> {
    let query = Query::new("SELECT name FROM tenants", []);
    let rows = engine.query(query).await.unwrap();
    rows.into_iter().map(|mut row| row.text().unwrap()).collect()
}

#[tokio::test]
async fn a_change_is_done_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    for engine in engines(&directory) {
        let mut change = tenant("one");
        change.statements.extend(tenant("two").statements);
        change.statements.extend(tenant("one").statements);
        let failure = engine.execute(change).await.unwrap_err();
        let constraint = "tenants_name".to_owned();
        assert_eq!(failure, Failure::Violated { statement: 2, constraint });
        assert!(names(&engine).await.is_empty());

        let mut change = tenant("one");
        let sql = "UPDATE tenants SET last_number = $1 WHERE name = $2";
        change.push(sql, [5.into(), "nobody".into()], Expect::Exactly(1));
        let failure = engine.execute(change).await.unwrap_err();
        assert_eq!(failure, Failure::Unexpected { statement: 1, found: 0 });
        assert!(names(&engine).await.is_empty());
    }
}

#[tokio::test]
async fn a_statement_takes_what_an_earlier_one_returned() {
    let directory = tempfile::tempdir().unwrap();
    for engine in engines(&directory) {
        let mut change = Change::default();
        let first = change.push(
            "INSERT INTO tenants (name, last_number) VALUES ($1, $2) RETURNING key, last_number",
            ["one".into(), 41.into()],
            Expect::Exactly(1),
        );
        let second = change.push(
            "INSERT INTO tenants (name, last_number) VALUES ($1, $2) RETURNING last_number",
            ["two".into(), Value::From { statement: first, column: 1 }],
            Expect::Exactly(1),
        );
        let returned = engine.execute(change).await.unwrap();
        assert_eq!(returned.row(second).unwrap().integer().unwrap(), 41);

        let mut change = Change::default();
        let sql = "DELETE FROM tenants WHERE key = $1";
        change.push(sql, [Value::From { statement: 3, column: 0 }], Expect::Any);
        assert!(matches!(engine.execute(change).await, Err(Failure::Database(_))));
        assert_eq!(names(&engine).await.len(), 2);
    }
}

#[tokio::test]
async fn a_change_that_fails_leaves_its_neighbours_in_the_commit_alone() {
    let directory = tempfile::tempdir().unwrap();
    for engine in engines(&directory) {
        engine.execute(tenant("taken")).await.unwrap();
        let changes = (0..300).map(|number| match number % 3 {
            0 => tenant("taken"),
            1 => {
                let mut change = tenant(&format!("half {number}"));
                change.push("INSERT INTO no_such_table VALUES ($1)", [1.into()], Expect::Any);
                change
            }
            _ => tenant(&format!("whole {number}")),
        });
        let done =
            futures_util::future::join_all(changes.map(|change| engine.execute(change))).await;
        for (number, outcome) in done.iter().enumerate() {
            match number % 3 {
                0 => assert!(matches!(outcome, Err(Failure::Violated { .. })), "{outcome:?}"),
                1 => assert!(matches!(outcome, Err(Failure::Database(_))), "{outcome:?}"),
                _ => assert!(outcome.is_ok(), "{outcome:?}"),
            }
        }
        let names = names(&engine).await;
        assert_eq!(names.len(), 101);
        assert!(names.iter().all(|name| !name.starts_with("half")));
    }
}

/// On PostgreSQL they stop each other until one is sent back, and tried again.
#[tokio::test]
async fn changes_in_each_others_way_are_all_done() {
    let directory = tempfile::tempdir().unwrap();
    for engine in engines(&directory) {
        engine.execute(tenant("one")).await.unwrap();
        engine.execute(tenant("two")).await.unwrap();
        let changes = (0..6).map(|number| {
            let mut change = Change::default();
            let names = if number % 2 == 0 { ["one", "two"] } else { ["two", "one"] };
            for name in names {
                let sql = "UPDATE tenants SET last_number = last_number + 1 WHERE name = $1 \
                           RETURNING key";
                let row = change.push(sql, [name.into()], Expect::Exactly(1));
                // Waits for an answer between the two.
                let key = Value::From { statement: row, column: 0 };
                change.push("DELETE FROM links WHERE tenant = $1", [key], Expect::Any);
            }
            engine.execute(change)
        });
        for outcome in futures_util::future::join_all(changes).await {
            outcome.unwrap();
        }
        let query = Query::new("SELECT last_number FROM tenants", []);
        for mut row in engine.query(query).await.unwrap() {
            assert_eq!(row.integer().unwrap(), 7);
        }
    }
}

#[tokio::test]
async fn connections_that_died_are_made_anew() {
    let url = server::schema();
    let name = url.rsplit_once("%3D").unwrap().1;
    let engine = Engine::open(&format!("{url}&application_name={name}")).unwrap();
    for round in 0..5 {
        engine.execute(tenant(&format!("before {round}"))).await.unwrap();
        let ended = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{name}'"
        );
        server::run_sql(&url, &ended);
        // Whether or not it is known by now that they died.
        if round % 2 == 0 {
            assert_eq!(names(&engine).await.len(), 2 * round + 1);
        }
        engine.execute(tenant(&format!("after {round}"))).await.unwrap();
    }
    assert_eq!(names(&engine).await.len(), 10);
}

#[tokio::test]
async fn many_statements_of_one_change_keep_their_order() {
    let directory = tempfile::tempdir().unwrap();
    for engine in engines(&directory) {
        let mut change = tenant("one");
        for number in 2..500 {
            // Each finds what the one before it left.
            let sql = "UPDATE tenants SET last_number = $1 WHERE last_number = $2";
            let before: i64 = number - 1;
            change.push(sql, [number.into(), before.into()], Expect::Exactly(1));
        }
        engine.execute(change).await.unwrap();
        let query = Query::new("SELECT last_number FROM tenants", []);
        assert_eq!(engine.query(query).await.unwrap()[0].integer().unwrap(), 499);
    }
}

#[tokio::test]
async fn closing_finishes_what_was_taken() {
    let directory = tempfile::tempdir().unwrap();
    for url in urls(&directory) {
        let engine = Engine::open(&url).unwrap();
        let mut writes: Vec<_> =
            (0..50).map(|number| Box::pin(engine.execute(tenant(&number.to_string())))).collect();
        // Polled once, each is taken.
        for write in &mut writes {
            drop(futures_util::poll!(write));
        }
        engine.close().await;
        let refused = "the store is closed".to_owned();
        assert_eq!(engine.execute(tenant("late")).await.unwrap_err(), Failure::Database(refused));
        assert!(engine.query(Query::new("SELECT 1", [])).await.is_err());
        drop(writes);
        assert_eq!(names(&Engine::open(&url).unwrap()).await.len(), 50);
    }
}

#[tokio::test]
async fn a_reader_sees_what_was_acknowledged_and_cannot_write() {
    let directory = tempfile::tempdir().unwrap();
    for url in urls(&directory) {
        let engine = Engine::open(&url).unwrap();
        for number in 0..50 {
            engine.execute(tenant(&number.to_string())).await.unwrap();
            assert_eq!(names(&engine).await.len(), number + 1);
        }
        let delete = Query::new("DELETE FROM tenants", []);
        engine.query(delete).await.unwrap_err();
        assert_eq!(names(&engine).await.len(), 50);
    }
}

#[tokio::test]
async fn parameters_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    for engine in engines(&directory) {
        let query = Query::new("SELECT CAST($1 AS TEXT)", []);
        assert!(matches!(engine.query(query).await, Err(Failure::Database(_))));
    }
}

#[tokio::test]
async fn two_programs_may_have_one_database_open() {
    let directory = tempfile::tempdir().unwrap();
    for url in urls(&directory) {
        let one = Engine::open(&url).unwrap();
        let two = Engine::open(&url).unwrap();
        let writes = (0..60).map(|number| {
            let engine = if number % 2 == 0 { &one } else { &two };
            engine.execute(tenant(&number.to_string()))
        });
        for outcome in futures_util::future::join_all(writes).await {
            outcome.unwrap();
        }
        assert_eq!(names(&one).await.len(), 60);
        assert_eq!(names(&two).await.len(), 60);
    }
}

#[test]
fn a_newer_or_foreign_database_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("newer.db");
    drop(Engine::open(&url(&path)).unwrap());
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    let error = Engine::open(&url(&path)).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");
    assert!(error.to_string().contains("newer.db"), "{error}");

    let path = directory.path().join("foreign.db");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE theirs (a)").unwrap();
    let error = Engine::open(&url(&path)).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
}

#[test]
fn a_newer_or_foreign_schema_is_refused_and_left_alone() {
    let newer = server::schema();
    drop(Engine::open(&newer).unwrap());
    server::run_sql(&newer, "UPDATE scimbridge_format SET format = 99");
    let error = Engine::open(&newer).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");

    let foreign = server::schema();
    server::run_sql(&foreign, "CREATE TABLE theirs (a TEXT)");
    let error = Engine::open(&foreign).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    server::run_sql(&foreign, "DROP TABLE theirs");
    Engine::open(&foreign).unwrap();
}

#[test]
fn a_server_that_cannot_be_had_is_named_without_its_password() {
    let there = server::schema();
    let other = there.replace(":secret@", ":hunter2@");
    let absent = "postgres://me:hunter2@127.0.0.1:9/db".to_owned();
    let no_schema = there.replace("search_path%3D", "search_path%3Dno_such_");
    for (url, cause) in [(other, "28P01"), (absent, "refused"), (no_schema, "search_path exists")] {
        let error = Engine::open(&url).unwrap_err();
        let mut told = error.to_string();
        assert!(told.contains("postgres://127.0.0.1:"), "{told}");
        if let Some(source) = std::error::Error::source(&error) {
            told.push_str(&source.to_string());
        }
        assert!(told.contains(cause) && !told.contains("hunter2"), "{told}");
    }
}

#[test]
fn what_cannot_be_opened_is_named() {
    for wrong in ["", "sqlite:", "mysql://bridge:secret@host/db", "store.db"] {
        let error = Engine::open(wrong).unwrap_err();
        assert!(matches!(error, OpenError::Url), "{error}");
        assert!(!error.to_string().contains("secret"));
    }
    let directory = tempfile::tempdir().unwrap();
    let error = Engine::open(&url(&directory.path().join("no/such/store.db"))).unwrap_err();
    assert!(error.to_string().contains("no/such/store.db"), "{error}");
    let path = directory.path().join("text.db");
    std::fs::write(&path, "this is no database, whatever its name may say").unwrap();
    assert!(matches!(Engine::open(&url(&path)), Err(OpenError::Open { .. })));
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a b?mode=memory#%.db");
    let engine = Engine::open(&url(&path)).unwrap();
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }
    assert!(path.exists());
    drop(engine);
}

#[tokio::test]
async fn every_commit_waits_for_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(&url(&directory.path().join("store.db"))).unwrap();
    // The writer cannot be asked from outside but by a change that returns what it finds.
    let mut change = Change::default();
    let asked = change.push(
        "SELECT (SELECT synchronous FROM pragma_synchronous), \
         (SELECT foreign_keys FROM pragma_foreign_keys), \
         (SELECT journal_mode FROM pragma_journal_mode)",
        [],
        Expect::Exactly(1),
    );
    let mut row = engine.execute(change).await.unwrap().row(asked).unwrap();
    assert_eq!((row.integer().unwrap(), row.integer().unwrap()), (2, 1));
    assert_eq!(row.text().unwrap(), "wal");
}
