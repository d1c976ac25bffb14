//! The audit trail's two tables: what was done, where persons are random tokens, and who a token is.

use super::condition::TENANT;
use super::engine::{Change, Expect, Query, Value};
use super::{Store, StoreError, milliseconds, timestamp};
use crate::audit::{AuditEntry, AuditRecord};

/// How many records are shown at most.
const SHOWN: i64 = 10_000;

/// Adds the statements that insert `record` to `change`. A person has one token for all records;
/// `token` is what it gets at first.
pub(super) fn push(change: &mut Change, tenant: &str, record: AuditRecord, token: &str) {
    let event = record.event();
    let person = change.push(
        "INSERT INTO audit_persons (token, tenant, person) \
         VALUES ($1, (SELECT key FROM tenants WHERE name = $2), $3) \
         ON CONFLICT (tenant, person) DO UPDATE SET person = excluded.person RETURNING token",
        [token.into(), tenant.into(), record.subject.into()],
        Expect::Exactly(1),
    );
    change.push(
        "INSERT INTO audit (tenant, at, caller, action, token, request_id) \
         VALUES ((SELECT key FROM tenants WHERE name = $1), $2, $3, $4, $5, $6)",
        [
            tenant.into(),
            milliseconds(record.at).into(),
            record.caller.into(),
            event.into(),
            Value::From { statement: person, column: 0 },
            record.request_id.into(),
        ],
        Expect::Exactly(1),
    );
}

impl Store {
    /// The newest records of the tenant, or of the person with this canonical id, in the order in
    /// which they were written; at most 10,000.
    pub async fn audit_records(
        &self,
        tenant: &str,
        person: Option<&str>,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let mut values = vec![tenant.into()];
        let mut sql = format!(
            "SELECT r.at, r.caller, r.action, r.token, p.person, r.request_id, r.sequence \
             FROM audit r LEFT JOIN audit_persons p ON p.token = r.token WHERE r.tenant = {TENANT}"
        );
        if let Some(person) = person {
            values.push(person.into());
            sql.push_str(" AND p.person = $2");
        }
        values.push(SHOWN.into());
        let sql = format!("{sql} ORDER BY r.key DESC LIMIT ${}", values.len());
        let rows = self.engine.query(Query { sql: sql.into(), values }).await?;
        rows.into_iter()
            .rev()
            .map(|mut row| {
                Ok(AuditEntry {
                    at: timestamp(row.integer()?)?,
                    caller: row.text()?,
                    action: row.text()?,
                    token: row.text()?,
                    person: row.optional_text()?,
                    request_id: row.text()?,
                    sequence: row.optional_integer()?,
                })
            })
            .collect()
    }
}
