//! Makes the index what the configuration asks for: builds what is new, drops what is not wanted.

use std::collections::HashMap;

use super::TypeName;
use super::engine::{Change, Engine, Expect, Failure, OpenError, Query, Value};
use super::index::{self, Index, Indexed, Wanted};
use crate::scim::Attributes;

/// How many resources are read at once while an index is built.
const BATCH: i64 = 200;

/// [`prepare`], from any thread: also from one that serves an async runtime.
pub(super) fn blocking(engine: &Engine, wanted: Vec<Wanted>) -> Result<Index, OpenError> {
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

async fn prepare(engine: &Engine, wanted: Vec<Wanted>) -> Result<Index, Failure> {
    let mut built = HashMap::new();
    let mut change = Change::default();
    let sql = "SELECT key, type, path, form, whole FROM paths";
    for mut row in engine.query(Query::new(sql, [])).await? {
        let key = row.integer()?;
        let names = (row.text()?, row.text()?, row.text()?);
        if row.integer()? == 1 && wanted.iter().any(|wanted| columns(wanted) == names) {
            built.insert(names, key);
        } else {
            let sql = "DELETE FROM attributes WHERE path IN ($1, $2, $3)";
            let all = [(3 * key).into(), (3 * key + 1).into(), (3 * key + 2).into()];
            change.push(sql, all, Expect::Any);
            change.push("DELETE FROM paths WHERE key = $1", [key.into()], Expect::Any);
        }
    }
    let mut indexed = Vec::with_capacity(wanted.len());
    let mut added = Vec::new();
    for wanted in wanted {
        let names = columns(&wanted);
        if let Some(key) = built.get(&names) {
            indexed.push((wanted.type_name, Indexed { key: *key, path: wanted.path }));
            continue;
        }
        // Not whole until the index of the path is, so that one that was left half built is built
        // anew.
        let sql = "INSERT INTO paths (type, path, form, whole) VALUES ($1, $2, $3, 0) \
                   ON CONFLICT (type, path, form) DO UPDATE SET whole = 0 RETURNING key";
        let (type_name, path, form) = names;
        let values = [type_name.into(), path.into(), form.into()];
        added.push((change.push(sql, values, Expect::Exactly(1)), wanted));
    }
    if change.statements.is_empty() {
        return Ok(Index::new(indexed));
    }
    let returned = engine.execute(change).await?;
    let mut new = Vec::new();
    for (statement, wanted) in added {
        let key = returned.row(statement)?.integer()?;
        new.push((wanted.type_name, Indexed { key, path: wanted.path }));
    }
    fill(engine, &new).await?;
    let mut change = Change::default();
    for (_, Indexed { key, .. }) in &new {
        let sql = "UPDATE paths SET whole = 1 WHERE key = $1";
        change.push(sql, [(*key).into()], Expect::Any);
    }
    engine.execute(change).await?;
    indexed.extend(new);
    Ok(Index::new(indexed))
}

/// The columns `type`, `path` and `form` of a path.
fn columns(wanted: &Wanted) -> (String, String, String) {
    let Wanted { type_name, path } = wanted;
    (type_name.as_str().to_owned(), path.text.clone(), index::form(path))
}

/// Indexes the values that these paths have in the rows that are there.
async fn fill(engine: &Engine, new: &[(TypeName, Indexed)]) -> Result<(), Failure> {
    let mut after = 0;
    while !new.is_empty() {
        let sql = "SELECT key, type, id, tenant, COALESCE(view, own) FROM resources WHERE key > $1 \
                   ORDER BY key LIMIT $2";
        let rows = engine.query(Query::new(sql, [after.into(), BATCH.into()])).await?;
        if rows.is_empty() {
            break;
        }
        let mut change = Change::default();
        for mut row in rows {
            let key = row.integer()?;
            let (type_name, id) = (TypeName::new(&row.text()?), row.text()?);
            let (tenant, view) = (row.integer()?, row.text()?);
            let view: Attributes = serde_json::from_str(&view)
                .map_err(|error| Failure::Database(format!("row {key} holds no JSON: {error}")))?;
            let mut rows = Vec::new();
            for (_, indexed) in new.iter().filter(|(of, _)| *of == type_name) {
                indexed.rows(&id, &view, &mut rows);
            }
            let (key_value, tenant) = (Value::from(key), Value::from(tenant));
            index::insert(&mut change, &key_value, &tenant, rows, " ON CONFLICT DO NOTHING");
            after = key;
        }
        engine.execute(change).await?;
    }
    Ok(())
}
