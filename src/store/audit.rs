//! The audit trail's tables: what was done, where persons are random tokens, who a token is, and
//! where each tenant's chain stands.

use jiff::Timestamp;

use super::condition::TENANT;
use super::engine::{Change, Datum, Expect, Query, Row, Value};
use super::resource::number;
use super::{Store, StoreError, milliseconds, timestamp};
use crate::audit::chain::{Head, parse};
use crate::audit::{AuditEntry, AuditRecord};

/// How many records are shown at most.
const SHOWN: u64 = 10_000;

/// What [`entry`] reads, of `audit r` and `audit_persons p`.
macro_rules! columns {
    () => {
        "r.at, r.caller, r.actor, r.action, r.event, r.outcome, r.token, p.person, r.request_id, \
         r.correlation_id, r.detail, r.sequence, r.hash"
    };
}
pub(super) use columns;

/// Which records of a tenant are wanted.
#[derive(Clone, Debug)]
pub struct AuditFilter<'a> {
    pub tenant: &'a str,
    /// Canonical id, number or token of whom they concern, or who called.
    pub person: Option<&'a str>,
    /// The caller's whole name.
    pub caller: Option<&'a str>,
    /// The action (`user.create`) or the event (`createUser`).
    pub action: Option<&'a str>,
    pub since: Option<Timestamp>,
    /// How many at most: the newest ones.
    pub limit: u64,
}

impl<'a> AuditFilter<'a> {
    /// The newest records of a tenant.
    pub fn of(tenant: &'a str) -> Self {
        let (person, caller, action, since) = (None, None, None, None);
        Self { tenant, person, caller, action, since, limit: SHOWN }
    }
}

/// Records that are not chained yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    pub records: u64,
    pub oldest: Option<Timestamp>,
}

/// Adds the statements that insert `record` to `change`. A person has one token for all records;
/// `tokens` are what the one concerned and the one who called get at first.
pub(super) fn push(
    change: &mut Change,
    tenant: &str,
    record: AuditRecord,
    mut token: impl FnMut() -> String,
) {
    let person = push_person(change, tenant, record.subject.clone(), token());
    let actor = match record.actor.clone() {
        Some(actor) => push_person(change, tenant, actor, token()),
        None => Value::Known(Datum::Null),
    };
    push_record(change, tenant, record, person, actor);
}

/// Adds the statement that inserts `record` about persons for whom these tokens stand.
pub(super) fn push_record(
    change: &mut Change,
    tenant: &str,
    record: AuditRecord,
    person: Value,
    actor: Value,
) {
    let (action, event) = (record.action_name(), record.event());
    change.push(
        "INSERT INTO audit (tenant, at, caller, actor, action, event, outcome, token, request_id, \
         correlation_id, detail) \
         VALUES ((SELECT key FROM tenants WHERE name = $1), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        [
            tenant.into(),
            milliseconds(record.at).into(),
            record.caller.into(),
            actor,
            action.into(),
            event.into(),
            record.outcome.name().into(),
            person,
            record.request_id.into(),
            record.correlation_id.into(),
            record.detail.into(),
        ],
        Expect::Exactly(1),
    );
}

/// Gives what stands for a person.
pub(super) fn push_person(
    change: &mut Change,
    tenant: &str,
    person: String,
    token: String,
) -> Value {
    let statement = change.push(
        "INSERT INTO audit_persons (token, tenant, person) \
         VALUES ($1, (SELECT key FROM tenants WHERE name = $2), $3) \
         ON CONFLICT (tenant, person) DO UPDATE SET person = excluded.person RETURNING token",
        [token.into(), tenant.into(), person.into()],
        Expect::Exactly(1),
    );
    Value::From { statement, column: 0 }
}

impl Store {
    /// The newest records of the tenant, or of the person with this canonical id, in the order in
    /// which they were written; at most 10,000.
    pub async fn audit_records(
        &self,
        tenant: &str,
        person: Option<&str>,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.audit_list(&AuditFilter { person, ..AuditFilter::of(tenant) }).await
    }

    /// The records that `filter` names, in the order in which they were written.
    pub async fn audit_list(
        &self,
        filter: &AuditFilter<'_>,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let mut values: Vec<Datum> = vec![filter.tenant.into()];
        let mut sql = format!(
            concat!(
                "SELECT ",
                columns!(),
                " FROM audit r LEFT JOIN audit_persons p ON p.token = r.token \
                 WHERE r.tenant = {}"
            ),
            TENANT
        );
        if let Some(person) = filter.person {
            values.extend([person.into(), number(person).into()]);
            let tokens = format!(
                "SELECT n.token FROM audit_persons n WHERE n.tenant = {TENANT} AND (n.person = $2 \
                 OR n.person = (SELECT i.id FROM resources i WHERE i.tenant = {TENANT} \
                 AND i.number = $3))"
            );
            sql = format!(
                "{sql} AND (r.token = $2 OR r.actor = $2 OR r.token IN ({tokens}) \
                 OR r.actor IN ({tokens}))"
            );
        }
        let mut and = |condition: &dyn Fn(usize) -> String, value: Datum| {
            values.push(value);
            sql = format!("{sql} AND {}", condition(values.len()));
        };
        if let Some(caller) = filter.caller {
            and(&|n| format!("r.caller = ${n}"), caller.into());
        }
        if let Some(action) = filter.action {
            and(&|n| format!("(r.action = ${n} OR r.event = ${n})"), action.into());
        }
        if let Some(since) = filter.since {
            and(&|n| format!("r.at >= ${n}"), milliseconds(since).into());
        }
        values.push(i64::try_from(filter.limit).unwrap_or(i64::MAX).into());
        let sql = format!("{sql} ORDER BY r.key DESC LIMIT ${}", values.len());
        let rows = self.engine.query(Query { sql: sql.into(), values }).await?;
        rows.into_iter().rev().map(|mut row| entry(&mut row)).collect()
    }

    /// The tenant's chained records, with their internal keys, behind the one with this place and key.
    /// A place that is taken twice, which no bridge does, is told twice.
    pub async fn audit_chained(
        &self,
        tenant: &str,
        (sequence, key): (i64, i64),
        limit: u64,
    ) -> Result<Vec<(i64, AuditEntry)>, StoreError> {
        let sql = concat!(
            "SELECT r.key, ",
            columns!(),
            " FROM audit r LEFT JOIN audit_persons p ON p.token = r.token \
             WHERE r.tenant = (SELECT key FROM tenants WHERE name = $1) AND r.sequence >= $2 \
             AND (r.sequence > $2 OR r.key > $3) ORDER BY r.sequence, r.key LIMIT $4"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let values = [tenant.into(), sequence.into(), key.into(), limit.into()];
        let rows = self.engine.query(Query::new(sql, values)).await?;
        rows.into_iter().map(|mut row| Ok((row.integer()?, entry(&mut row)?))).collect()
    }

    /// What is kept of the head of the tenant's chain; `None` before its first record.
    pub async fn audit_head(&self, tenant: &str) -> Result<Option<Head>, StoreError> {
        let sql = "SELECT h.sequence, h.hash FROM audit_heads h JOIN tenants t ON t.key = h.tenant \
                   WHERE t.name = $1";
        let mut rows = self.engine.query(Query::new(sql, [tenant.into()])).await?;
        rows.first_mut().map(head).transpose()
    }

    /// What of the tenant's records is not chained yet.
    pub async fn audit_tail(&self, tenant: &str) -> Result<Tail, StoreError> {
        let sql = "SELECT COUNT(*), MIN(r.at) FROM audit r WHERE r.sequence IS NULL \
                   AND r.tenant = (SELECT key FROM tenants WHERE name = $1)";
        let mut rows = self.engine.query(Query::new(sql, [tenant.into()])).await?;
        let Some(row) = rows.first_mut() else { return Ok(Tail::default()) };
        Ok(Tail {
            records: u64::try_from(row.integer()?).unwrap_or_default(),
            oldest: row.optional_integer()?.map(timestamp).transpose()?,
        })
    }
}

/// A record as [`columns`] reads it.
pub(super) fn entry(row: &mut Row) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        at: timestamp(row.integer()?)?,
        caller: row.text()?,
        actor: row.optional_text()?,
        action: row.text()?,
        event: row.text()?,
        outcome: row.text()?,
        token: row.text()?,
        person: row.optional_text()?,
        request_id: row.text()?,
        correlation_id: row.optional_text()?,
        detail: row.optional_text()?,
        sequence: row.optional_integer()?,
        hash: row.optional_text()?,
    })
}

/// A head whose hash is none is kept as one that fits nothing.
pub(super) fn head(row: &mut Row) -> Result<Head, StoreError> {
    let sequence = row.integer()?;
    Ok(Head { sequence, hash: parse(&row.text()?).unwrap_or_default() })
}
