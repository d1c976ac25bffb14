//! The tables of a SQLite database, brought step by step to the format that this program knows.

use rusqlite::{Connection, TransactionBehavior};

use super::{OpenError, Place};

/// Each step leads from its place in this list to the next format; a step that was released is
/// never edited. The names are the same for every engine.
const STEPS: [&str; 12] = [
    include_str!("../migrations/sqlite/0001_start.sql"),
    include_str!("../migrations/sqlite/0002_resources.sql"),
    include_str!("../migrations/sqlite/0003_issued_tokens.sql"),
    include_str!("../migrations/sqlite/0004_audit.sql"),
    include_str!("../migrations/sqlite/0005_imports.sql"),
    include_str!("../migrations/sqlite/0006_owners.sql"),
    include_str!("../migrations/sqlite/0007_gifts.sql"),
    include_str!("../migrations/sqlite/0008_presence.sql"),
    include_str!("../migrations/sqlite/0009_write_back.sql"),
    include_str!("../migrations/sqlite/0010_static_tokens.sql"),
    include_str!("../migrations/sqlite/0011_census.sql"),
    include_str!("../migrations/sqlite/0012_never_seen.sql"),
];

/// Brings the database to the newest format. Safe when several programs open it at once: the format
/// is read and written under the write lock.
pub(super) fn migrate(connection: &mut Connection, place: &Place) -> Result<(), OpenError> {
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    let failed = |format: i64| {
        move |source: rusqlite::Error| OpenError::Migrate {
            place: place.to_string(),
            format,
            source: source.into(),
        }
    };
    if format_of(connection).map_err(failed(known))? == known {
        return Ok(());
    }
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed(known))?;
    let found = format_of(&transaction).map_err(failed(known))?;
    if found > known || found < 0 {
        return Err(OpenError::Newer { place: place.to_string(), found, known });
    }
    if found == 0 && holds_tables(&transaction).map_err(failed(known))? {
        return Err(OpenError::Foreign { place: place.to_string() });
    }
    for (format, step) in (1..).zip(STEPS).skip_while(|(format, _)| *format <= found) {
        transaction.execute_batch(step).map_err(failed(format))?;
        transaction.pragma_update(None, "user_version", format).map_err(failed(format))?;
    }
    transaction.commit().map_err(failed(known))
}

fn format_of(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn holds_tables(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))
}
