//! A database that an older program wrote is brought up to date with all that is in it.

use serde_json::json;

use super::server;
use super::{ACME, by_external_id, by_name, create, ids, local, open, search, shown, sort};
use crate::store::engine::Query;
use crate::store::{RowKey, Store, TypeName, UserType};

/// Two tenants, a local user, a bound one and a tombstone, in the tables of the first format.
const ROWS: &str = r#"
    INSERT INTO tenants VALUES (1, 'acme', 10004), (2, 'other', 10001);
    INSERT INTO users VALUES
        (7, 1, 'u1', 10001, 0, 3, 1000, 2000, 2000, 0, 'anna', '', 'anna', 'x-1',
         '{"userName":"Anna","externalId":"x-1","displayName":"Anna A","title":"T"}', NULL),
        (8, 1, 'corp.e-1', 10002, 1, 1, 1000, 1000, 5000, 0, 'berta', '', NULL, NULL,
         '{"nickName":"B"}', '{"userName":"Berta","nickName":"B","active":true}'),
        (9, 2, 'u1', 10001, 2, 1, 1000, 1000, 1000, 1, '', '', NULL, NULL,
         '{"displayName":7}', NULL);
    INSERT INTO links VALUES
        (1, 1, 'corp', 'e-1', 8, NULL, 'uid=b', '{"userName":"Berta","active":true}', 1, 5000),
        (2, 1, 'corp', 'e-2', NULL, 99, '', '{}', 1, NULL);
    INSERT INTO paths VALUES (3, 'title', '1 String');
    INSERT INTO attributes VALUES (7, 3, 0, 1, 't', '', NULL);
    INSERT INTO audit_persons VALUES ('t-1', 1, 'u1');
    INSERT INTO audit VALUES (1, 1, 1000, 'someone', 'user.create', 't-1', 'r', NULL, NULL);
"#;

#[tokio::test]
async fn a_file_of_the_first_format_is_brought_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    let connection = rusqlite::Connection::open(directory.path().join("store.db")).unwrap();
    connection.execute_batch(include_str!("../migrations/sqlite/0001_start.sql")).unwrap();
    connection.execute_batch(ROWS).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    drop(connection);
    let url = format!("sqlite:{}", directory.path().join("store.db").display());
    is_whole(open(&url, &["nickName"])).await;

    let connection = rusqlite::Connection::open(directory.path().join("store.db")).unwrap();
    let broken: Option<i64> = connection
        .query_row("SELECT COUNT(*) FROM pragma_foreign_key_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(broken, Some(0));
}

#[tokio::test]
async fn a_schema_of_the_first_format_is_brought_up_to_date() {
    let url = server::schema();
    server::run_sql(&url, include_str!("../migrations/postgres/0001_start.sql"));
    server::run_sql(&url, &ROWS.replace(" VALUES", " OVERRIDING SYSTEM VALUE VALUES"));
    server::run_sql(
        &url,
        "SELECT setval(pg_get_serial_sequence('users', 'key'), 9), \
         setval(pg_get_serial_sequence('links', 'key'), 2), \
         setval(pg_get_serial_sequence('audit', 'key'), 1); \
         CREATE TABLE scimbridge_format (format BIGINT NOT NULL); \
         INSERT INTO scimbridge_format VALUES (1)",
    );
    is_whole(open(&url, &["nickName"])).await;
}

/// [`ROWS`] are there, in the newest format.
async fn is_whole(store: Store) {
    let anna = store.find(ACME, &by_name("anna")).await.unwrap().remove(0);
    assert_eq!((anna.key, anna.id.as_str(), anna.version), (7, "u1", 3));
    assert_eq!((&anna.type_name, anna.user_type), (&TypeName::User, UserType::Ftress));
    assert_eq!(anna.own["title"], "T");
    assert_eq!(anna.created.as_millisecond(), 1000);
    assert_eq!(ids(&store, by_external_id("x-1")).await, ["u1"]);
    let link = RowKey::Link { repository: "corp".to_owned(), entry_key: "e-1".to_owned() };
    let berta = store.find(ACME, &link).await.unwrap().remove(0);
    assert_eq!(berta.user_type, UserType::FtressLdap);
    assert_eq!(berta.link.as_ref().unwrap().shadow["userName"], "Berta");
    assert!(store.is_tombstone(ACME, "corp", "e-2").await.unwrap());
    assert_eq!(store.audit_records(ACME, Some("u1")).await.unwrap().len(), 1);

    let by_title = sort("title", false);
    let found = search(&store, r#"title eq "t" or nickName eq "b""#, &by_title).await;
    assert_eq!((shown(&found.rows), found.exact), (vec!["u1", "corp.e-1"], true));
    let error = create(&store, "u3", &local(json!({"userName": "ANNA"}))).await.unwrap_err();
    assert_eq!(error.to_string(), "userName is taken by u1");
    let made = create(&store, "u3", &local(json!({"userName": "carla"}))).await.unwrap();
    assert!(made.key > 9 && made.number == 10005, "no key and no number is given again");
    let displays = Query::new("SELECT display FROM resources ORDER BY key", []);
    let displays = store.engine.query(displays).await.unwrap();
    let displays: Vec<_> =
        displays.into_iter().map(|mut row| row.optional_text().unwrap()).collect();
    let displays: Vec<_> =
        displays.iter().map(|display| display.as_deref().unwrap_or("-")).collect();
    assert_eq!(displays, ["Anna A", "Berta", "-", "carla"]);
    store.close().await;
}
