//! Imports: a queue of jobs with the rows that are still to be done of each, and what became of the
//! others.
//!
//! Knows nothing of what a row says, nor of who works on the queue.

mod batch;

use std::time::Duration;

use super::engine::{Change, Expect, Failure, Query, Row};
use super::resource::list;
use super::{Store, StoreError, audit, milliseconds};
use crate::audit::AuditRecord;

pub use batch::{Clash, ImportBatch, ImportRefusal, Numbers};

/// Of so many rows of one import at most it is kept why they made no user.
pub const FAULTS: u64 = 10_000;

/// An import that is coming in is given up when nothing came for so long.
const ABANDONED: Duration = Duration::from_mins(5);

/// For how long it is told what became of an import.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// How many parts one change removes at most: a writer is not to be held up by a large import.
const SWEPT: i64 = 8;

/// An import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRow {
    /// Internal key, never shown.
    pub key: i64,
    pub tenant: String,
    pub correlation_id: String,
    pub state: ImportState,
    /// As [`Store::begin_import`] got them, or [`Store::queue_import`].
    pub terms: String,
    /// Internal key of the group of which the users become members.
    pub group: Option<i64>,
    pub counts: ImportCounts,
}

/// Where an import stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportState {
    /// Its rows are coming in; it is no job yet.
    Coming,
    /// Waiting for its turn, or under way.
    Queued,
    Done,
    /// Nothing came of it.
    Failed,
    Cancelled,
}

impl ImportState {
    /// As the column holds it.
    fn number(self) -> i64 {
        match self {
            Self::Coming => 0,
            Self::Queued => 1,
            Self::Done => 2,
            Self::Failed => 3,
            Self::Cancelled => 4,
        }
    }

    fn from_number(number: i64) -> Result<Self, StoreError> {
        [Self::Coming, Self::Queued, Self::Done, Self::Failed, Self::Cancelled]
            .into_iter()
            .find(|state| state.number() == number)
            .ok_or_else(|| StoreError::Database(format!("an import is in the state {number}")))
    }
}

/// How many rows an import has, and what became of those that are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportCounts {
    pub size: u64,
    pub imported: u64,
    pub existed: u64,
    pub failed: u64,
}

impl ImportCounts {
    /// How many rows are done, whatever became of them. Rows are done in their order.
    pub fn processed(&self) -> u64 {
        self.imported + self.existed + self.failed
    }

    fn row(row: &mut Row) -> Result<Self, StoreError> {
        let mut count = || Ok::<_, StoreError>(u64::try_from(row.integer()?).unwrap_or(0));
        Ok(Self { size: count()?, imported: count()?, existed: count()?, failed: count()? })
    }
}

/// A row that made no user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportFault {
    /// Which row of the import it is, from 0.
    pub place: u64,
    /// Its `externalId`, else its `userName`.
    pub name: Option<String>,
    /// Whether that is because the user exists.
    pub existed: bool,
    /// `scimType`
    pub kind: Option<String>,
    pub detail: String,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT key, tenant, correlation_id, state, terms, group_key, size, imported, existed, \
             failed FROM imports WHERE ",
            $rest
        )
    };
}

fn import(row: &mut Row) -> Result<ImportRow, StoreError> {
    Ok(ImportRow {
        key: row.integer()?,
        tenant: row.text()?,
        correlation_id: row.text()?,
        state: ImportState::from_number(row.integer()?)?,
        terms: row.text()?,
        group: row.optional_integer()?,
        counts: ImportCounts::row(row)?,
    })
}

impl Store {
    /// Makes an import whose rows are to come, and gives its internal key.
    pub async fn begin_import(
        &self,
        tenant: &str,
        correlation_id: &str,
        terms: &str,
    ) -> Result<i64, StoreError> {
        let mut change = Change::default();
        let made = change.push(
            "INSERT INTO imports (correlation_id, tenant, state, terms, touched, size, imported, \
             existed, failed) VALUES ($1, $2, $3, $4, $5, 0, 0, 0, 0) RETURNING key",
            [
                correlation_id.into(),
                tenant.into(),
                ImportState::Coming.number().into(),
                terms.into(),
                self.instant().into(),
            ],
            Expect::Exactly(1),
        );
        Ok(self.engine.execute(change).await?.row(made)?.integer()?)
    }

    /// Keeps rows of an import that is coming in, a line for each; `first` is the place of the first.
    /// [`StoreError::Stale`] where the import was given up meanwhile.
    pub async fn spool_import(&self, key: i64, first: u64, users: &str) -> Result<(), StoreError> {
        let mut change = Change::default();
        let coming = change.push(
            "UPDATE imports SET touched = $1 WHERE key = $2 AND state = $3",
            [self.instant().into(), key.into(), ImportState::Coming.number().into()],
            Expect::Exactly(1),
        );
        change.push(
            "INSERT INTO import_parts (import_key, first, users) VALUES ($1, $2, $3)",
            [key.into(), place(first).into(), users.into()],
            Expect::Exactly(1),
        );
        self.engine.execute_behind(change).await.map(drop).map_err(stale(coming))
    }

    /// Puts an import whose rows are all there at the end of the queue, with other `terms` where there
    /// are any. [`StoreError::Stale`] where it was given up meanwhile.
    pub async fn queue_import(
        &self,
        tenant: &str,
        key: i64,
        group: i64,
        size: u64,
        terms: Option<&str>,
        record: AuditRecord,
    ) -> Result<(), StoreError> {
        let mut change = Change::default();
        let queued = change.push(
            "UPDATE imports SET state = $1, group_key = $2, size = $3, touched = $4, \
             terms = COALESCE($5, terms), \
             turn = (SELECT COALESCE(MAX(i.turn), 0) + 1 FROM imports i) \
             WHERE key = $6 AND state = $7",
            [
                ImportState::Queued.number().into(),
                group.into(),
                place(size).into(),
                self.instant().into(),
                terms.into(),
                key.into(),
                ImportState::Coming.number().into(),
            ],
            Expect::Exactly(1),
        );
        audit::push(&mut change, tenant, record, || self.token());
        self.engine.execute(change).await.map(drop).map_err(stale(queued))
    }

    /// How many imports of the tenant are coming in or wait for their turn.
    pub async fn open_imports(&self, tenant: &str) -> Result<u64, StoreError> {
        let sql = "SELECT COUNT(*) FROM imports WHERE state IN ($1, $2) AND tenant = $3";
        let [coming, queued] = [ImportState::Coming, ImportState::Queued].map(ImportState::number);
        let query = Query::new(sql, [coming.into(), queued.into(), tenant.into()]);
        let count = self.engine.query(query).await?.first_mut().map(Row::integer).transpose()?;
        Ok(u64::try_from(count.unwrap_or(0)).unwrap_or(0))
    }

    /// The import with this correlation id, if the tenant has it.
    pub async fn import(
        &self,
        tenant: &str,
        correlation_id: &str,
    ) -> Result<Option<ImportRow>, StoreError> {
        let sql = select!("correlation_id = $1 AND tenant = $2");
        let query = Query::new(sql, [correlation_id.into(), tenant.into()]);
        self.engine.query(query).await?.first_mut().map(import).transpose()
    }

    /// The import whose turn it is among those of `tenants`.
    pub async fn next_import(&self, tenants: &[&str]) -> Result<Option<ImportRow>, StoreError> {
        if tenants.is_empty() {
            return Ok(None);
        }
        let mut values = vec![ImportState::Queued.number().into()];
        let names = list(&mut values, tenants.iter().map(|&name| name.into()));
        let select = select!("state = $1 AND tenant IN (");
        let sql = format!("{select}{names}) ORDER BY turn, key LIMIT 1");
        let rows = self.engine.query(Query { sql: sql.into(), values });
        rows.await?.first_mut().map(import).transpose()
    }

    /// The part of an import that holds the row at `place`: where it begins, and its rows.
    pub async fn import_part(
        &self,
        key: i64,
        at: u64,
    ) -> Result<Option<(u64, String)>, StoreError> {
        let sql = "SELECT first, users FROM import_parts WHERE import_key = $1 AND first <= $2 \
                   ORDER BY first DESC LIMIT 1";
        let query = Query::new(sql, [key.into(), place(at).into()]);
        let mut rows = self.engine.query(query).await?;
        let part = rows.first_mut().map(|row| {
            Ok::<_, StoreError>((u64::try_from(row.integer()?).unwrap_or(0), row.text()?))
        });
        part.transpose()
    }

    /// The rows of an import that made no user, from the `skip`th on, and how many are known.
    pub async fn import_faults(
        &self,
        key: i64,
        skip: u64,
        limit: u64,
    ) -> Result<(Vec<ImportFault>, u64), StoreError> {
        let sql = "SELECT COUNT(*) FROM import_faults WHERE import_key = $1";
        let mut rows = self.engine.query(Query::new(sql, [key.into()])).await?;
        let known = rows.first_mut().map(Row::integer).transpose()?.unwrap_or(0);
        let sql = "SELECT place, name, existed, kind, detail FROM import_faults \
                   WHERE import_key = $1 ORDER BY place LIMIT $2 OFFSET $3";
        let query = Query::new(sql, [key.into(), place(limit).into(), place(skip).into()]);
        let faults = self.engine.query(query).await?.into_iter().map(|mut row| {
            Ok(ImportFault {
                place: u64::try_from(row.integer()?).unwrap_or(0),
                name: row.optional_text()?,
                existed: row.integer()? == 1,
                kind: row.optional_text()?,
                detail: row.text()?,
            })
        });
        let faults = faults.collect::<Result<_, StoreError>>()?;
        Ok((faults, u64::try_from(known).unwrap_or(0)))
    }

    /// Ends an import of which so much is done; whether it was still waiting or under way, with that
    /// much done. Somebody's doing has a `record`.
    pub async fn end_import(
        &self,
        import: &ImportRow,
        state: ImportState,
        processed: Option<u64>,
        record: Option<AuditRecord>,
    ) -> Result<bool, StoreError> {
        let key = import.key;
        let mut change = Change::default();
        let ended = change.push(
            "UPDATE imports SET state = $1, touched = $2 WHERE key = $3 AND state = $4 \
             AND imported + existed + failed = COALESCE($5, imported + existed + failed)",
            [
                state.number().into(),
                self.instant().into(),
                key.into(),
                ImportState::Queued.number().into(),
                processed.map(place).into(),
            ],
            Expect::Exactly(1),
        );
        if let Some(record) = record {
            audit::push(&mut change, &import.tenant, record, || self.token());
        }
        match self.engine.execute_behind(change).await {
            Ok(_) => {}
            Err(Failure::Unexpected { statement, .. }) if statement == ended => return Ok(false),
            Err(failure) => return Err(failure.into()),
        }
        self.clear_import(key).await?;
        Ok(true)
    }

    /// Removes an import with all that is kept of it.
    pub async fn drop_import(&self, key: i64) -> Result<(), StoreError> {
        self.clear_import(key).await?;
        let mut change = Change::default();
        change.push("DELETE FROM imports WHERE key = $1", [key.into()], Expect::Any);
        self.engine.execute_behind(change).await?;
        Ok(())
    }

    /// Removes imports that will not come in any more, and those that ended long ago.
    pub async fn sweep_imports(&self) -> Result<(), StoreError> {
        let before = |time: Duration| {
            self.instant().saturating_sub(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
        };
        let [coming, queued] = [ImportState::Coming, ImportState::Queued].map(ImportState::number);
        let old = "SELECT key FROM imports WHERE state = $1 AND touched < $2 \
                   OR state > $3 AND touched < $4";
        let values = [coming.into(), before(ABANDONED).into(), queued.into(), before(KEPT).into()];
        for mut row in self.engine.query(Query::new(old, values)).await? {
            self.drop_import(row.integer()?).await?;
        }
        // What is left of one whose end was broken off.
        let left = "SELECT key FROM imports i WHERE state > $1 \
                    AND EXISTS (SELECT 1 FROM import_parts p WHERE p.import_key = i.key)";
        for mut row in self.engine.query(Query::new(left, [queued.into()])).await? {
            self.clear_import(row.integer()?).await?;
        }
        Ok(())
    }

    /// Removes the rows of an import, in many small changes.
    async fn clear_import(&self, key: i64) -> Result<(), StoreError> {
        loop {
            let mut change = Change::default();
            let removed = change.push(
                "DELETE FROM import_parts WHERE key IN \
                 (SELECT p.key FROM import_parts p WHERE p.import_key = $1 LIMIT $2) RETURNING key",
                [key.into(), SWEPT.into()],
                Expect::Any,
            );
            let returned = self.engine.execute_behind(change).await?;
            if returned.rows(removed).next().is_none() {
                return Ok(());
            }
        }
    }

    fn instant(&self) -> i64 {
        milliseconds(self.clock.now())
    }
}

/// A place or a count as the database holds it.
fn place(place: u64) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX)
}

/// A change whose first condition does not hold any more came too late.
fn stale(statement: usize) -> impl Fn(Failure) -> StoreError {
    move |failure| match failure {
        Failure::Unexpected { statement: at, .. } if at == statement => StoreError::Stale,
        other => other.into(),
    }
}
