//! The tables of a PostgreSQL database, brought step by step to the format that this program knows.

use super::super::OpenError;
use super::address::said;
use super::pool::{Pool, Session};

/// Each step leads from its place in this list to the next format; a step that was released is
/// never edited. The names are the same for every engine.
const STEPS: [&str; 12] = [
    include_str!("../../migrations/postgres/0001_start.sql"),
    include_str!("../../migrations/postgres/0002_resources.sql"),
    include_str!("../../migrations/postgres/0003_issued_tokens.sql"),
    include_str!("../../migrations/postgres/0004_audit.sql"),
    include_str!("../../migrations/postgres/0005_imports.sql"),
    include_str!("../../migrations/postgres/0006_owners.sql"),
    include_str!("../../migrations/postgres/0007_gifts.sql"),
    include_str!("../../migrations/postgres/0008_presence.sql"),
    include_str!("../../migrations/postgres/0009_write_back.sql"),
    include_str!("../../migrations/postgres/0010_static_tokens.sql"),
    include_str!("../../migrations/postgres/0011_census.sql"),
    include_str!("../../migrations/postgres/0012_never_seen.sql"),
];

/// Under which number programs that open the database at once wait for each other: an advisory lock,
/// which has no name but a number.
const LOCK: i64 = 0x5343_494D_4252_4447;

/// What ends the opening of a database: the error itself, or what PostgreSQL said at a format.
enum Stop {
    Error(OpenError),
    Said(tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for Stop {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Said(error)
    }
}

/// Brings the tables to the newest format, in the schema that comes first in the search path. Safe
/// when several programs open the database at once.
pub(super) async fn migrate(pool: &Pool) -> Result<(), OpenError> {
    let place = || pool.shown().to_owned();
    let session = pool
        .connect()
        .await
        .map_err(|error| OpenError::Open { place: place(), source: said(&error).into() })?;
    let mut format = 0;
    steps(&session, pool.shown(), &mut format).await.map_err(|stop| match stop {
        Stop::Error(error) => error,
        Stop::Said(error) => {
            OpenError::Migrate { place: place(), format, source: said(&error).into() }
        }
    })
}

/// `format` is where it stands, for errors.
async fn steps(session: &Session, place: &str, format: &mut i64) -> Result<(), Stop> {
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    *format = known;
    let wrong = |source: &str| OpenError::Open { place: place.to_owned(), source: source.into() };
    if text(session, "SHOW server_encoding").await?.as_deref() != Some("UTF8") {
        let remedy = "its encoding is not UTF8; create it with ENCODING 'UTF8' TEMPLATE template0";
        return Err(Stop::Error(wrong(remedy)));
    }
    if text(session, "SELECT CAST(current_schema() AS TEXT)").await?.is_none() {
        return Err(Stop::Error(wrong("none of the schemas in its search_path exists")));
    }
    if format_of(session).await? == Some(known) {
        return Ok(());
    }
    let client = &session.client;
    let begin = "BEGIN READ WRITE; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0";
    client.batch_execute(begin).await?;
    client.batch_execute(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
    let found = format_of(session).await?;
    if let Some(found) = found.filter(|found| !(0..=known).contains(found)) {
        return Err(Stop::Error(OpenError::Newer { place: place.to_owned(), found, known }));
    }
    if found.is_none() {
        if holds_tables(session).await? {
            return Err(Stop::Error(OpenError::Foreign { place: place.to_owned() }));
        }
        client
            .batch_execute(
                "CREATE TABLE scimbridge_format (format BIGINT NOT NULL); \
                 INSERT INTO scimbridge_format VALUES (0)",
            )
            .await?;
    }
    let found = found.unwrap_or(0);
    for (number, step) in (1..).zip(STEPS).skip_while(|(number, _)| *number <= found) {
        *format = number;
        client.batch_execute(step).await?;
        client.batch_execute(&format!("UPDATE scimbridge_format SET format = {number}")).await?;
    }
    client.batch_execute("COMMIT").await?;
    Ok(())
}

/// `None` where there is no table that says so.
async fn format_of(session: &Session) -> Result<Option<i64>, tokio_postgres::Error> {
    let there = "SELECT CAST(c.relname AS TEXT) FROM pg_class c \
                 JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE n.nspname = current_schema() AND c.relname = 'scimbridge_format'";
    if text(session, there).await?.is_none() {
        return Ok(None);
    }
    let row = session.client.query_opt("SELECT format FROM scimbridge_format", &[]).await?;
    row.map(|row| row.try_get(0)).transpose()
}

/// Whether the schema has a table that belongs to no extension.
async fn holds_tables(session: &Session) -> Result<bool, tokio_postgres::Error> {
    let sql = "SELECT CAST(c.relname AS TEXT) FROM pg_class c \
               JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'f') \
               AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass \
               AND d.objid = c.oid AND d.deptype = 'e') LIMIT 1";
    Ok(text(session, sql).await?.is_some())
}

async fn text(session: &Session, sql: &str) -> Result<Option<String>, tokio_postgres::Error> {
    let row = session.client.query_opt(sql, &[]).await?;
    Ok(row.map(|row| row.try_get::<_, Option<String>>(0)).transpose()?.flatten())
}
