//! Chaining what the audit trail holds: committed records get their places and hashes in the order in
//! which they are found, many at once.
//!
//! A record becomes visible when its change is committed, which need not be in the order of the keys;
//! the chain does not mind, since it takes whatever has no place yet. Two who chain at once are told
//! apart by the head, which only one of them moves on.

use std::collections::BTreeMap;

use super::audit::{columns, entry, head};
use super::engine::{Change, Expect, Failure, Query};
use super::resource::list;
use super::{Store, StoreError};
use crate::audit::chain::{Head, hex, link};

/// How many records are chained by one change: so long does it hold up other writers.
const BATCH: i64 = 256;

/// What one pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    pub records: usize,
    /// Whether there may be more to chain now.
    pub more: bool,
    /// Where the chains of the tenants concerned stand, by name.
    pub heads: Vec<(String, Head)>,
}

/// A tenant's chain as it grows.
struct Growing {
    tenant: String,
    before: Head,
    after: Head,
    /// Of the records: key, place and hash.
    links: Vec<(i64, i64, String)>,
}

impl Store {
    /// Whether a record waits to be chained.
    pub async fn is_unsealed(&self) -> Result<bool, StoreError> {
        let sql = "SELECT r.key FROM audit r WHERE r.sequence IS NULL LIMIT 1";
        Ok(!self.engine.query(Query::new(sql, [])).await?.is_empty())
    }

    /// Chains the oldest records that are not chained yet, of whatever tenant.
    pub async fn seal(&self) -> Result<Sealed, StoreError> {
        let sql = concat!(
            "SELECT r.key, r.tenant, t.name, ",
            columns!(),
            " FROM audit r JOIN tenants t ON t.key = r.tenant \
             LEFT JOIN audit_persons p ON p.token = r.token \
             WHERE r.sequence IS NULL ORDER BY r.key LIMIT $1"
        );
        let mut rows = self.engine.query(Query::new(sql, [BATCH.into()])).await?;
        let records = rows.len();
        let mut chains: BTreeMap<i64, Growing> = BTreeMap::new();
        let mut waiting = Vec::with_capacity(records);
        for row in &mut rows {
            let (key, tenant, name) = (row.integer()?, row.integer()?, row.text()?);
            let (before, after) = (Head::EMPTY, Head::EMPTY);
            let growing = Growing { tenant: name, before, after, links: Vec::new() };
            chains.entry(tenant).or_insert(growing);
            waiting.push((key, tenant, entry(row)?));
        }
        self.read_heads(&mut chains).await?;
        for (key, tenant, entry) in waiting {
            let Some(growing) = chains.get_mut(&tenant) else { continue };
            let Head { sequence, hash } = growing.after;
            let sequence = sequence + 1;
            let hash = link(&growing.tenant, &hash, sequence, &entry);
            growing.after = Head { sequence, hash };
            growing.links.push((key, sequence, hex(&hash)));
        }
        if records == 0 || self.write_links(&chains).await? {
            let heads = chains.into_values().map(|chain| (chain.tenant, chain.after)).collect();
            let more = i64::try_from(records).unwrap_or(i64::MAX) >= BATCH;
            return Ok(Sealed { records, more, heads });
        }
        Ok(Sealed { records: 0, more: true, heads: Vec::new() })
    }

    async fn read_heads(&self, chains: &mut BTreeMap<i64, Growing>) -> Result<(), StoreError> {
        let mut values = Vec::new();
        let tenants = list(&mut values, chains.keys().map(|tenant| (*tenant).into()));
        let sql = format!(
            "SELECT h.tenant, h.sequence, h.hash FROM audit_heads h WHERE h.tenant IN ({tenants})"
        );
        for mut row in self.engine.query(Query { sql: sql.into(), values }).await? {
            let tenant = row.integer()?;
            if let Some(growing) = chains.get_mut(&tenant) {
                growing.before = head(&mut row)?;
                growing.after = growing.before;
            }
        }
        Ok(())
    }

    /// Whether the chains stood where they were read, and have grown; else nothing was done, and
    /// somebody else has.
    async fn write_links(&self, chains: &BTreeMap<i64, Growing>) -> Result<bool, StoreError> {
        let mut change = Change::default();
        for (tenant, growing) in chains {
            change.push(
                "INSERT INTO audit_heads (tenant, sequence, hash) VALUES ($1, $2, $3) \
                 ON CONFLICT (tenant) DO UPDATE SET sequence = excluded.sequence, \
                 hash = excluded.hash WHERE audit_heads.sequence = $4",
                [
                    (*tenant).into(),
                    growing.after.sequence.into(),
                    hex(&growing.after.hash).into(),
                    growing.before.sequence.into(),
                ],
                Expect::Exactly(1),
            );
        }
        for (key, sequence, hash) in chains.values().flat_map(|growing| &growing.links) {
            change.push(
                "UPDATE audit SET sequence = $1, hash = $2 WHERE key = $3 AND sequence IS NULL",
                [(*sequence).into(), hash.as_str().into(), (*key).into()],
                Expect::Exactly(1),
            );
        }
        match self.engine.execute_behind(change).await {
            Ok(_) => Ok(true),
            Err(Failure::Unexpected { .. }) => Ok(false),
            Err(failure) => Err(failure.into()),
        }
    }
}
