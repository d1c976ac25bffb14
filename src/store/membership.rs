//! Who is in which group, as it is changed: one atomic change whatever it is made of, and none where
//! nothing would be different.

use std::collections::HashSet;

use futures_util::{StreamExt as _, stream};

use super::engine::{Change, Datum, Expect, Failure, Query, Statement, Value};
use super::resource::{KEYS, list, number};
use super::write::{Made, rewritten};
use super::{
    Joining, NewResource, ResourceRow, ResourceWrite, Store, StoreError, audit, milliseconds,
    timestamp,
};
use crate::audit::AuditRecord;

/// What becomes of the members of a group. Who is to go and to come, comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Members<'a> {
    /// Whether all go who are neither in `add` nor in `bind`.
    pub replace: bool,
    /// Whether users stay, whatever `replace` says.
    pub groups_only: bool,
    /// Canonical ids or numbers of who goes; whoever is no member is passed over.
    pub remove: &'a [String],
    /// Canonical ids or numbers of the users and groups who come; whoever is a member stays one.
    pub add: &'a [String],
    /// Directory people without a row, who get one by the same change, and come.
    pub bind: &'a [NewResource<'a>],
    /// What the group itself becomes a member of, and is no more.
    pub joining: Option<&'a Joining>,
}

impl Members<'_> {
    fn joins(&self) -> bool {
        self.joining.is_some_and(|joining| !joining.is_nothing())
    }
}

/// A group after a change of its members.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// With the version before, where nothing changed.
    pub row: ResourceRow,
    /// Internal keys of who came, without `bound`.
    pub added: Vec<i64>,
    /// Internal keys of who went.
    pub removed: Vec<i64>,
    /// How many of those named were members already, or were none.
    pub unchanged: usize,
    /// The rows that were made, in the order of [`Members::bind`].
    pub bound: Vec<ResourceRow>,
}

impl Enrolled {
    /// Whether somebody came or went.
    pub fn changed(&self) -> bool {
        !(self.added.is_empty() && self.removed.is_empty() && self.bound.is_empty())
    }
}

/// What a change of members comes to.
#[derive(Default)]
struct Difference {
    added: Vec<i64>,
    removed: Vec<i64>,
    unchanged: usize,
    /// Whether all members go, so that they need not be named.
    emptied: bool,
}

impl Store {
    /// Makes a group with members. [`StoreError::NoMember`] names who does not exist.
    pub async fn create_group(
        &self,
        tenant: &str,
        new: NewResource<'_>,
        members: Members<'_>,
    ) -> Result<Enrolled, StoreError> {
        let difference = self.difference(tenant, None, members).await?;
        let mut change = Change::default();
        let made = self.push_create(&mut change, tenant, &new)?;
        let enrolling = change.statements.len();
        let bound = self.push_members(&mut change, tenant, &made.key(), &difference, members)?;
        if let Some(joining) = members.joining {
            joining.push(&mut change, &made.key(), milliseconds(new.write.at));
        }
        match self.engine.execute(change).await {
            Ok(returned) => Ok(Enrolled {
                row: self.joined(tenant, made.row(&new, &returned)?, members).await?,
                added: difference.added,
                removed: Vec::new(),
                unchanged: difference.unchanged,
                bound: rows(&bound, members.bind, &returned)?,
            }),
            Err(failure) if failure.statement().is_some_and(|statement| statement < enrolling) => {
                Err(self.refused_new(tenant, &new, failure).await)
            }
            Err(failure) => Err(self.refused_members(tenant, &bound, members.bind, failure).await),
        }
    }

    /// Changes who is in a group, and with `write` also what it holds, as one change.
    /// [`StoreError::Stale`] where the row has another version than `row`, or is gone;
    /// [`StoreError::NoMember`] names who does not exist. Without `write` a change after which the
    /// members are the same leaves no trace; else the row has a new version.
    pub async fn update_group(
        &self,
        tenant: &str,
        row: &ResourceRow,
        write: Option<&ResourceWrite>,
        members: Members<'_>,
        record: AuditRecord,
    ) -> Result<Enrolled, StoreError> {
        let difference = self.difference(tenant, Some(row.key), members).await?;
        let same = difference.added.is_empty()
            && difference.removed.is_empty()
            && members.bind.is_empty()
            && !members.joins();
        if same && write.is_none() {
            // Every change of members makes a new version: with the old one all is as it was.
            self.still(tenant, row).await?;
            return Ok(difference.enrolled(row.clone(), Vec::new()));
        }
        let at = milliseconds(record.at);
        let mut change = Change::default();
        let updated = match write {
            Some(write) => self.push_update(&mut change, tenant, row, write)?,
            None => change.push(
                "UPDATE resources SET version = version + 1, last_modified = $1, \
                 shown_modified = $1 WHERE key = $2 AND version = $3 \
                 AND tenant = (SELECT key FROM tenants WHERE name = $4) RETURNING version",
                [at.into(), row.key.into(), row.version.into(), tenant.into()],
                Expect::Exactly(1),
            ),
        };
        let enrolling = change.statements.len();
        let bound =
            self.push_members(&mut change, tenant, &row.key.into(), &difference, members)?;
        if let Some(joining) = members.joining {
            joining.push(&mut change, &row.key.into(), at);
        }
        audit::push(&mut change, tenant, record, || self.token());
        match self.engine.execute(change).await {
            Ok(returned) => {
                let mut first = returned.row(updated)?;
                let row = match write {
                    Some(write) => rewritten(row, write, &mut first)?,
                    None => ResourceRow {
                        version: first.integer()?,
                        last_modified: timestamp(at)?,
                        ..row.clone()
                    },
                };
                let row = self.joined(tenant, row, members).await?;
                Ok(difference.enrolled(row, rows(&bound, members.bind, &returned)?))
            }
            Err(Failure::Unexpected { statement, .. }) if statement == updated => {
                Err(StoreError::Stale)
            }
            Err(failure) => match (write, failure.statement()) {
                (Some(write), Some(statement)) if statement < enrolling => {
                    Err(self.refused_update(tenant, row, write, failure).await)
                }
                _ => Err(self.refused_members(tenant, &bound, members.bind, failure).await),
            },
        }
    }

    /// The group after the change, with the groups that it is in.
    async fn joined(
        &self,
        tenant: &str,
        row: ResourceRow,
        members: Members<'_>,
    ) -> Result<ResourceRow, StoreError> {
        if members.joins() { self.with_groups(tenant, row).await } else { Ok(row) }
    }

    /// What `members` would change in the group, or in a new one. It holds as long as the group keeps
    /// its version.
    async fn difference(
        &self,
        tenant: &str,
        group: Option<i64>,
        members: Members<'_>,
    ) -> Result<Difference, StoreError> {
        let added = self.named(tenant, group, members.add).await?;
        if added.len() < by_column(members.add).iter().map(|(_, ids)| ids.len()).sum::<usize>() {
            // Who came between two looks is found by the next attempt.
            let missing = self.missing(tenant, members.add).await?;
            return Err(missing.map_or(StoreError::Stale, |id| StoreError::NoMember { id }));
        }
        let wanted: HashSet<i64> = added.iter().map(|found| found.key).collect();
        let mut new: Vec<i64> =
            added.iter().filter(|found| !found.member).map(|found| found.key).collect();
        new.sort_unstable();
        new.dedup();
        let mut difference =
            Difference { unchanged: wanted.len() - new.len(), added: new, ..Difference::default() };
        let Some(group) = group else { return Ok(difference) };
        if members.replace {
            let sql = if members.groups_only {
                "SELECT m.member_key FROM members m JOIN resources r ON r.key = m.member_key \
                 WHERE m.group_key = $1 AND r.type = 'Group'"
            } else {
                "SELECT m.member_key FROM members m WHERE m.group_key = $1"
            };
            let rows = self.engine.query(Query::new(sql, [group.into()])).await?;
            let held = rows.into_iter().map(|mut row| row.integer());
            let held = held.collect::<Result<Vec<_>, _>>()?;
            let all = held.len();
            difference.removed = held.into_iter().filter(|key| !wanted.contains(key)).collect();
            difference.emptied = !members.groups_only
                && !difference.removed.is_empty()
                && difference.removed.len() == all;
        } else {
            let gone = self.named(tenant, Some(group), members.remove).await?;
            let mut removed: Vec<i64> = gone
                .iter()
                .filter(|found| found.member && !wanted.contains(&found.key))
                .map(|found| found.key)
                .collect();
            removed.sort_unstable();
            removed.dedup();
            difference.unchanged += members.remove.len().saturating_sub(removed.len());
            difference.removed = removed;
        }
        Ok(difference)
    }

    /// The users and groups with these canonical ids or numbers, one for each that there is; in
    /// statements over many at once.
    async fn named(
        &self,
        tenant: &str,
        group: Option<i64>,
        ids: &[String],
    ) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        let ask = |column, ids: &[&str]| {
            let mut values = vec![group.unwrap_or(0).into(), tenant.into()];
            let names = list(&mut values, ids.iter().map(|id| datum(id)));
            let sql = format!(
                "SELECT r.key, CASE WHEN m.group_key IS NULL THEN 0 ELSE 1 END \
                 FROM resources r LEFT JOIN members m \
                 ON m.group_key = $1 AND m.member_key = r.key \
                 WHERE r.tenant = (SELECT key FROM tenants WHERE name = $2) \
                 AND r.{column} IN ({names}) AND r.type IN ('User', 'Group')"
            );
            Query { sql: sql.into(), values }
        };
        let queries: Vec<Query> = by_column(ids)
            .iter()
            .flat_map(|(column, ids)| ids.chunks(KEYS).map(|ids| ask(*column, ids)))
            .collect();
        let mut answers =
            stream::iter(queries).map(|query| self.engine.query(query)).buffer_unordered(ABREAST);
        while let Some(rows) = answers.next().await {
            for mut row in rows? {
                found.push(Found { key: row.integer()?, member: row.integer()? == 1 });
            }
        }
        Ok(found)
    }

    /// The first of the ids that no user and no group has.
    async fn missing(&self, tenant: &str, ids: &[String]) -> Result<Option<String>, StoreError> {
        let mut there = HashSet::new();
        for (column, ids) in by_column(ids) {
            for ids in ids.chunks(KEYS) {
                let mut values = vec![tenant.into()];
                let names = list(&mut values, ids.iter().map(|id| datum(id)));
                let sql = format!(
                    "SELECT r.id, r.number FROM resources r \
                     WHERE r.tenant = (SELECT key FROM tenants WHERE name = $1) \
                     AND r.{column} IN ({names}) AND r.type IN ('User', 'Group')"
                );
                for mut row in self.engine.query(Query { sql: sql.into(), values }).await? {
                    there.insert(row.text()?);
                    there.insert(row.integer()?.to_string());
                }
            }
        }
        Ok(ids.iter().find(|id| !there.contains(id.as_str())).cloned())
    }

    /// [`StoreError::Stale`] where the row has another version by now.
    async fn still(&self, tenant: &str, row: &ResourceRow) -> Result<(), StoreError> {
        let sql = "SELECT 1 FROM resources WHERE key = $1 AND version = $2 \
                   AND tenant = (SELECT key FROM tenants WHERE name = $3)";
        let values = [row.key.into(), row.version.into(), tenant.into()];
        let found = self.engine.query(Query::new(sql, values)).await?;
        if found.is_empty() { Err(StoreError::Stale) } else { Ok(()) }
    }

    /// Adds the statements that change the members of `group`, and those that make the rows of who
    /// is bound.
    fn push_members(
        &self,
        change: &mut Change,
        tenant: &str,
        group: &Value,
        difference: &Difference,
        members: Members<'_>,
    ) -> Result<Vec<(Made, usize)>, StoreError> {
        let removed = difference.removed.as_slice();
        if difference.emptied {
            let sql = "DELETE FROM members WHERE group_key = $1";
            change.push(sql, [group.clone()], Expect::Exactly(removed.len()));
        } else {
            push_chunks(change, group, removed, |keys| {
                format!("DELETE FROM members WHERE group_key = $1 AND member_key IN ({keys})")
            });
        }
        // Whoever went meanwhile violates a foreign key, and the change fails.
        push_chunks(change, group, &difference.added, |keys| {
            let rows: Vec<_> = keys.split(", ").map(|key| format!("($1, {key})")).collect();
            format!(
                "INSERT INTO members (group_key, member_key) VALUES {} ON CONFLICT DO NOTHING",
                rows.join(", ")
            )
        });
        let mut bound = Vec::with_capacity(members.bind.len());
        for new in members.bind {
            let made = self.push_create(change, tenant, new)?;
            change.push(
                "INSERT INTO members (group_key, member_key) VALUES ($1, $2)",
                [group.clone(), made.key()],
                Expect::Exactly(1),
            );
            bound.push((made, change.statements.len()));
        }
        Ok(bound)
    }

    /// What the failure of a change of members means that is none of the group's own.
    async fn refused_members(
        &self,
        tenant: &str,
        bound: &[(Made, usize)],
        bind: &[NewResource<'_>],
        failure: Failure,
    ) -> StoreError {
        let Some(statement) = failure.statement() else { return failure.into() };
        let new = bound.iter().zip(bind).find(|((made, next), _)| made.has(statement, *next));
        match new {
            Some((_, new)) => self.refused_new(tenant, new, failure).await,
            // Whoever was to come or to go is not what it was a moment before.
            None => StoreError::Stale,
        }
    }
}

/// What somebody is named by, each name once: canonical ids and numbers, with their columns.
fn by_column(ids: &[String]) -> [(&'static str, Vec<&str>); 2] {
    let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    ids.sort_unstable();
    ids.dedup();
    let (numbers, ids) = ids.into_iter().partition(|id| number(id).is_some());
    [("id", ids), ("number", numbers)]
}

fn datum(id: &str) -> Datum {
    number(id).map_or_else(|| id.into(), Datum::from)
}

/// How many statements that look members up are under way at once, for one change.
const ABREAST: usize = 4;

struct Found {
    key: i64,
    member: bool,
}

impl Difference {
    fn enrolled(self, row: ResourceRow, bound: Vec<ResourceRow>) -> Enrolled {
        let Self { added, removed, unchanged, .. } = self;
        Enrolled { row, added, removed, unchanged, bound }
    }
}

fn rows(
    bound: &[(Made, usize)],
    bind: &[NewResource<'_>],
    returned: &super::engine::Returned,
) -> Result<Vec<ResourceRow>, StoreError> {
    bound.iter().zip(bind).map(|((made, _), new)| made.row(new, returned)).collect()
}

/// Adds the statement that `text` makes of the names of keys, once for so many keys as a statement
/// takes; each must concern all of its keys. Some name one key more than once.
fn push_chunks(change: &mut Change, group: &Value, keys: &[i64], text: fn(&str) -> String) {
    for chunk in keys.chunks(KEYS) {
        let mut values = vec![group.clone()];
        let names = list(&mut values, chunk.iter().map(|key| (*key).into()));
        change.statements.push(Statement {
            sql: text(&names).into(),
            values,
            expect: Expect::Exactly(chunk.len()),
        });
    }
}
