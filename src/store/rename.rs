//! A repository that the configuration gives another id: what the store keeps of its people goes along.
//!
//! Canonical ids stay what they are, the long form of the former id among them: whoever was found by one
//! is found by it for ever.

use super::condition::TENANT;
use super::engine::{Change, Expect, Failure, Query, Row};
use super::{Store, StoreError, audit};
use crate::audit::AuditRecord;

/// So many are named of those whom both repositories have.
const NAMED: i64 = 10;

/// Rows that name a repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Renamed {
    /// Bound users.
    pub links: i64,
    /// Of deleted users.
    pub tombstones: i64,
    /// Deleted users who are not forgotten.
    pub departed: i64,
    /// Writes to the directory whose end is not known.
    pub intents: i64,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renaming {
    Done(Renamed),
    /// Nothing was moved: there are rows under both ids for these entries, and perhaps for more.
    Twice(Vec<String>),
}

macro_rules! moved {
    ($table:literal) => {
        concat!(
            "UPDATE ",
            $table,
            " SET repository = $1 WHERE tenant = (SELECT key FROM tenants WHERE name = $2) \
             AND repository = $3"
        )
    };
}

impl Store {
    /// What is kept under this id.
    pub async fn kept_of(&self, tenant: &str, repository: &str) -> Result<Renamed, StoreError> {
        let count = |table: &str, rest: &str| {
            format!(
                "(SELECT COUNT(*) FROM {table} WHERE tenant = {TENANT} AND repository = $2{rest})"
            )
        };
        let sql = format!(
            "SELECT {}, {}, {}, {}",
            count("links", " AND user_key IS NOT NULL"),
            count("links", " AND user_key IS NULL"),
            count("departed", ""),
            count("intents", ""),
        );
        let values = vec![tenant.into(), repository.into()];
        let mut rows = self.engine.query(Query { sql: sql.into(), values }).await?;
        let Some(row) = rows.first_mut() else { return Ok(Renamed::default()) };
        Ok(Renamed {
            links: row.integer()?,
            tombstones: row.integer()?,
            departed: row.integer()?,
            intents: row.integer()?,
        })
    }

    /// Moves all that is kept under `from` to `to`, with a record of it, as one change. Nothing is
    /// written where there is nothing.
    pub async fn rename_repository(
        &self,
        tenant: &str,
        from: &str,
        to: &str,
        record: impl FnOnce(&Renamed) -> AuditRecord,
    ) -> Result<Renaming, StoreError> {
        let renamed = self.kept_of(tenant, from).await?;
        if renamed == Renamed::default() {
            return Ok(Renaming::Done(renamed));
        }
        let mut change = Change::default();
        for sql in [moved!("links"), moved!("departed"), moved!("intents")] {
            change.push(sql, [to.into(), tenant.into(), from.into()], Expect::Any);
        }
        audit::push(&mut change, tenant, record(&renamed), || self.token());
        match self.engine.execute(change).await {
            Ok(_) => Ok(Renaming::Done(renamed)),
            Err(Failure::Violated { .. }) => {
                Ok(Renaming::Twice(self.linked_twice(tenant, from, to).await?))
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// The keys of entries that are linked under both ids.
    async fn linked_twice(
        &self,
        tenant: &str,
        from: &str,
        to: &str,
    ) -> Result<Vec<String>, StoreError> {
        let sql = format!(
            "SELECT o.entry_key FROM links o JOIN links n ON n.tenant = o.tenant \
             AND n.entry_key = o.entry_key WHERE o.tenant = {TENANT} AND o.repository = $2 \
             AND n.repository = $3 ORDER BY o.entry_key LIMIT $4"
        );
        let values = vec![tenant.into(), from.into(), to.into(), NAMED.into()];
        let mut rows = self.engine.query(Query { sql: sql.into(), values }).await?;
        rows.iter_mut().map(Row::text).map(|key| Ok(key?)).collect()
    }
}
