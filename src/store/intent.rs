//! Intents: what is being written to a directory, noted before, so that nobody's crash leaves the
//! directory changed and the store not knowing.

use jiff::Timestamp;

use super::engine::{Change, Expect, Query, Row};
use super::{Store, StoreError, audit, milliseconds, timestamp};
use crate::audit::AuditRecord;

/// A write to an entry that may have been done. It holds no values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    pub id: String,
    pub repository: String,
    pub entry_key: String,
    /// The mapped keys that are written.
    pub keys: Vec<String>,
    /// Of their values as they shall be, salted with the id.
    pub digest: String,
    /// When whoever made it has given it up.
    pub until: Timestamp,
    /// Who writes, by which request; as in [`AuditRecord`].
    pub caller: String,
    pub actor: Option<String>,
    pub request_id: String,
}

impl Store {
    pub async fn begin_intent(&self, tenant: &str, intent: &Intent) -> Result<(), StoreError> {
        let mut change = Change::default();
        // Whoever is bound first makes the tenant.
        change.push(
            "INSERT INTO tenants (name, last_number) VALUES ($1, 10000) ON CONFLICT (name) DO NOTHING",
            [tenant.into()],
            Expect::Any,
        );
        let keys = serde_json::Value::from(intent.keys.clone()).to_string();
        change.push(
            "INSERT INTO intents (id, tenant, repository, entry_key, keys, digest, until, caller, \
             actor, request_id) \
             VALUES ($1, (SELECT key FROM tenants WHERE name = $2), $3, $4, $5, $6, $7, $8, $9, $10)",
            [
                intent.id.as_str().into(),
                tenant.into(),
                intent.repository.as_str().into(),
                intent.entry_key.as_str().into(),
                keys.into(),
                intent.digest.as_str().into(),
                milliseconds(intent.until).into(),
                intent.caller.as_str().into(),
                intent.actor.as_deref().into(),
                intent.request_id.as_str().into(),
            ],
            Expect::Exactly(1),
        );
        self.engine.execute(change).await?;
        Ok(())
    }

    /// Those that nobody is at work on any more, the oldest first.
    pub async fn overdue_intents(
        &self,
        tenant: &str,
        now: Timestamp,
    ) -> Result<Vec<Intent>, StoreError> {
        let sql = "SELECT id, repository, entry_key, keys, digest, until, caller, actor, request_id \
                   FROM intents WHERE tenant = (SELECT key FROM tenants WHERE name = $1) \
                   AND until <= $2 ORDER BY until LIMIT 100";
        let values = [tenant.into(), milliseconds(now).into()];
        let rows = self.engine.query(Query::new(sql, values)).await?;
        rows.into_iter().map(|mut row| read(&mut row)).collect()
    }

    /// Takes an intent away of which nothing is to be entered in a row, with a record of what was
    /// done, if anything was.
    pub async fn end_intent(
        &self,
        tenant: &str,
        id: &str,
        record: Option<AuditRecord>,
    ) -> Result<(), StoreError> {
        let mut change = Change::default();
        push_settled(&mut change, Some(id));
        if let Some(record) = record {
            audit::push(&mut change, tenant, record, || self.token());
        }
        self.engine.execute(change).await?;
        Ok(())
    }
}

/// Adds the statement that takes an intent away to `change`.
pub(super) fn push_settled(change: &mut Change, id: Option<&str>) {
    if let Some(id) = id {
        change.push("DELETE FROM intents WHERE id = $1", [id.into()], Expect::Any);
    }
}

fn read(row: &mut Row) -> Result<Intent, StoreError> {
    Ok(Intent {
        id: row.text()?,
        repository: row.text()?,
        entry_key: row.text()?,
        keys: serde_json::from_str(&row.text()?).unwrap_or_default(),
        digest: row.text()?,
        until: timestamp(row.integer()?)?,
        caller: row.text()?,
        actor: row.optional_text()?,
        request_id: row.text()?,
    })
}
