//! Makes the index what the configuration asks for: builds what is new, drops what is not wanted.

use std::collections::HashMap;

use super::engine::{Change, Engine, Expect, Failure, OpenError, Query, Value};
use super::index::{self, Index, Indexed};
use crate::scim::{AttributePath, Attributes};

/// How many users are read at once while an index is built.
const BATCH: i64 = 200;

/// [`prepare`], from any thread: also from one that serves an async runtime.
pub(super) fn blocking(engine: &Engine, wanted: Vec<AttributePath>) -> Result<Index, OpenError> {
    let failed = |source| OpenError::Index { place: engine.place(), source };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|source| OpenError::Thread { source })?;
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("store-index".to_owned())
            .spawn_scoped(scope, move || runtime.block_on(prepare(engine, wanted)))
            .map_err(|source| OpenError::Thread { source })?
            .join()
            .unwrap_or_else(|_| Err(Failure::Database("the thread ended early".to_owned())))
            .map_err(failed)
    })
}

async fn prepare(engine: &Engine, wanted: Vec<AttributePath>) -> Result<Index, Failure> {
    let mut built = HashMap::new();
    let mut change = Change::default();
    for mut row in engine.query(Query::new("SELECT key, path, form FROM paths", [])).await? {
        let (key, text, form) = (row.integer()?, row.text()?, row.text()?);
        if wanted.iter().any(|path| path.text == text && index::form(path) == form) {
            built.insert(text, key);
        } else {
            let both = [key.into(), (-key).into()];
            let sql = "DELETE FROM attributes WHERE path IN ($1, $2)";
            change.push(sql, both, Expect::Any);
            change.push("DELETE FROM paths WHERE key = $1", [key.into()], Expect::Any);
        }
    }
    let (present, missing): (Vec<_>, Vec<_>) =
        wanted.into_iter().partition(|path| built.contains_key(&path.text));
    // Without a form until the index of the path is whole, so that one that was left half built is
    // built anew.
    let added: Vec<_> = missing
        .into_iter()
        .map(|path| {
            let sql = "INSERT INTO paths (path, form) VALUES ($1, '') \
                       ON CONFLICT (path) DO UPDATE SET form = '' RETURNING key";
            (change.push(sql, [path.text.as_str().into()], Expect::Exactly(1)), path)
        })
        .collect();
    let mut indexed: Vec<_> = present
        .into_iter()
        .filter_map(|path| Some(Indexed { key: built.remove(&path.text)?, path }))
        .collect();
    if change.statements.is_empty() {
        return Ok(Index::new(indexed));
    }
    let returned = engine.execute(change).await?;
    let mut new = Vec::new();
    for (statement, path) in added {
        new.push(Indexed { key: returned.row(statement)?.integer()?, path });
    }
    fill(engine, &new).await?;
    let mut change = Change::default();
    for Indexed { key, path } in &new {
        let values = [index::form(path).into(), (*key).into()];
        change.push("UPDATE paths SET form = $1 WHERE key = $2", values, Expect::Any);
    }
    engine.execute(change).await?;
    indexed.extend(new);
    Ok(Index::new(indexed))
}

/// Indexes the values that these paths have in the rows that are there.
async fn fill(engine: &Engine, new: &[Indexed]) -> Result<(), Failure> {
    let mut after = 0;
    while !new.is_empty() {
        let sql = "SELECT key, tenant, COALESCE(view, own) FROM users WHERE key > $1 \
                   ORDER BY key LIMIT $2";
        let rows = engine.query(Query::new(sql, [after.into(), BATCH.into()])).await?;
        if rows.is_empty() {
            break;
        }
        let mut change = Change::default();
        for mut row in rows {
            let (key, tenant, view) = (row.integer()?, row.integer()?, row.text()?);
            let view: Attributes = serde_json::from_str(&view)
                .map_err(|error| Failure::Database(format!("row {key} holds no JSON: {error}")))?;
            let rows = new.iter().flat_map(|indexed| indexed.rows(&view)).collect();
            let (key_value, tenant) = (Value::from(key), Value::from(tenant));
            index::insert(&mut change, &key_value, &tenant, rows, " ON CONFLICT DO NOTHING");
            after = key;
        }
        engine.execute(change).await?;
    }
    Ok(())
}
