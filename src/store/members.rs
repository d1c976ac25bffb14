//! Memberships: which group has which users and groups as members, by internal key.
//!
//! A change of a group's members raises the group's version, never a member's.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use super::engine::{Change, Datum, Expect, Query, Row, Statement, Value};
use super::resource::{KEYS, list};
use super::{GroupOf, Member, Members, ResourceRow, Store, StoreError, TypeName};
use crate::scim::resource::digest_text;

/// How many keys one inserting statement names at most.
const CHUNK: usize = 100;

impl Store {
    /// The members of these groups, by the group's key; in the order of their canonical ids.
    pub async fn members(&self, groups: &[i64]) -> Result<HashMap<i64, Vec<Member>>, StoreError> {
        let mut found: HashMap<i64, Vec<Member>> = HashMap::new();
        for chunk in groups.chunks(KEYS) {
            let mut values = Vec::new();
            let keys = list(&mut values, chunk.iter().map(|key| (*key).into()));
            let sql = format!(
                "SELECT m.group_key, r.id, r.type, r.display FROM members m \
                 JOIN resources r ON r.key = m.member_key \
                 WHERE m.group_key IN ({keys}) ORDER BY r.id"
            );
            for mut row in self.engine.query(Query { sql: sql.into(), values }).await? {
                found.entry(row.integer()?).or_default().push(Member {
                    id: row.text()?,
                    type_name: TypeName::new(&row.text()?),
                    display: row.optional_text()?,
                });
            }
        }
        Ok(found)
    }

    /// The keys of a group's members: of all, or of those among `among`.
    pub async fn member_keys(
        &self,
        group: i64,
        among: Option<&[i64]>,
    ) -> Result<HashSet<i64>, StoreError> {
        let select = "SELECT member_key FROM members WHERE group_key = $1";
        let Some(among) = among else {
            let rows = self.engine.query(Query::new(select, [group.into()])).await?;
            return keys(rows);
        };
        let mut found = HashSet::new();
        for chunk in among.chunks(KEYS) {
            let mut values = vec![group.into()];
            let named = list(&mut values, chunk.iter().map(|key| (*key).into()));
            let sql = format!("{select} AND member_key IN ({named})");
            found.extend(keys(self.engine.query(Query { sql: sql.into(), values }).await?)?);
        }
        Ok(found)
    }

    /// The keys of the users and groups that have these canonical ids; the other ids are missing.
    pub async fn keys_of(
        &self,
        tenant: &str,
        ids: &[String],
    ) -> Result<HashMap<String, i64>, StoreError> {
        let mut found = HashMap::with_capacity(ids.len());
        for chunk in ids.chunks(KEYS) {
            let mut values = vec![tenant.into()];
            let named = list(&mut values, chunk.iter().map(|id| id.as_str().into()));
            let sql = format!(
                "SELECT id, key FROM resources \
                 WHERE tenant = (SELECT key FROM tenants WHERE name = $1) AND id IN ({named}) \
                 AND type IN ('User', 'Group')"
            );
            for mut row in self.engine.query(Query { sql: sql.into(), values }).await? {
                found.insert(row.text()?, row.integer()?);
            }
        }
        Ok(found)
    }

    /// The keys of the users who are among these users and groups, or in these groups through
    /// whatever groups; at most `limit`.
    pub async fn users_within(
        &self,
        keys: &[i64],
        limit: usize,
    ) -> Result<HashSet<i64>, StoreError> {
        let mut found = HashSet::new();
        for chunk in keys.chunks(KEYS) {
            let mut values = Vec::new();
            let named = list(&mut values, chunk.iter().map(|key| (*key).into()));
            values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
            let sql = format!(
                "WITH RECURSIVE inside (key) AS (\
                 SELECT key FROM resources WHERE key IN ({named}) \
                 UNION SELECT m.member_key FROM inside w JOIN members m ON m.group_key = w.key) \
                 SELECT r.key FROM inside w JOIN resources r ON r.key = w.key \
                 WHERE r.type = 'User' LIMIT ${}",
                values.len()
            );
            found.extend(self::keys(self.engine.query(Query { sql: sql.into(), values }).await?)?);
            if found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }

    /// The rows with the groups that have them as members, directly or through other groups.
    pub(super) async fn grouped(
        &self,
        mut rows: Vec<ResourceRow>,
    ) -> Result<Vec<Arc<ResourceRow>>, StoreError> {
        let is_grouped = |row: &&ResourceRow| row.is_member && row.type_name == TypeName::User;
        let keys: Vec<i64> = rows.iter().filter(is_grouped).map(|row| row.key).collect();
        let mut groups: HashMap<i64, Vec<GroupOf>> = HashMap::new();
        for chunk in keys.chunks(KEYS) {
            let mut values = Vec::new();
            let named = list(&mut values, chunk.iter().map(|key| (*key).into()));
            // UNION leaves out what is there already, so that circles end.
            let sql = format!(
                "WITH RECURSIVE above (member, holder, direct) AS (\
                 SELECT member_key, group_key, 1 FROM members WHERE member_key IN ({named}) \
                 UNION SELECT a.member, m.group_key, 0 FROM above a \
                 JOIN members m ON m.member_key = a.holder) \
                 SELECT a.member, r.id, r.display, MAX(a.direct) FROM above a \
                 JOIN resources r ON r.key = a.holder \
                 GROUP BY a.member, r.id, r.display ORDER BY r.id"
            );
            for mut row in self.engine.query(Query { sql: sql.into(), values }).await? {
                groups.entry(row.integer()?).or_default().push(GroupOf {
                    id: row.text()?,
                    display: row.optional_text()?,
                    direct: row.integer()? != 0,
                });
            }
        }
        for row in &mut rows {
            if let Some(groups) = groups.remove(&row.key) {
                row.groups_digest = digest(&groups);
                row.groups = groups;
            }
        }
        Ok(rows.into_iter().map(Arc::new).collect())
    }
}

/// Never 0, which stands for no group.
fn digest(groups: &[GroupOf]) -> u64 {
    let mut text = String::new();
    for group in groups {
        // U+0000 is in no value.
        let display = group.display.as_deref().unwrap_or_default();
        let _ = write!(text, "{}\0{display}\0{}\0", group.id, group.direct);
    }
    digest_text(&text).max(1)
}

fn keys(rows: Vec<Row>) -> Result<HashSet<i64>, StoreError> {
    rows.into_iter().map(|mut row| Ok(row.integer()?)).collect()
}

/// Adds what becomes of a group's members; `bound` are the keys of new rows that are added, too. A
/// member that is gone meanwhile fails the whole change.
pub(super) fn push(change: &mut Change, group: &Value, members: &Members<'_>, bound: &[Value]) {
    for chunk in members.remove.chunks(CHUNK) {
        statement(
            change,
            group,
            chunk,
            "DELETE FROM members WHERE group_key = $1 AND member_key IN (",
            Expect::Any,
        );
    }
    for chunk in members.add.chunks(CHUNK) {
        let insert = "INSERT INTO members (group_key, member_key) \
                      SELECT CAST($1 AS BIGINT), key FROM resources WHERE key IN (";
        statement(change, group, chunk, insert, Expect::Exactly(chunk.len()));
    }
    for member in bound {
        change.push(
            "INSERT INTO members (group_key, member_key) VALUES ($1, $2)",
            [group.clone(), member.clone()],
            Expect::Exactly(1),
        );
    }
}

fn statement(change: &mut Change, group: &Value, keys: &[i64], sql: &str, expect: Expect) {
    let mut named: Vec<Datum> = vec![Datum::Null];
    let list = list(&mut named, keys.iter().map(|key| (*key).into()));
    let mut values: Vec<Value> = named.into_iter().map(Value::Known).collect();
    values[0] = group.clone();
    change.statements.push(Statement { sql: format!("{sql}{list})").into(), values, expect });
}

/// Raises the groups that lose a member with the row that goes.
pub(super) fn push_left(change: &mut Change, member: i64, at: i64) {
    change.push(
        "UPDATE resources SET version = version + 1, last_modified = $1, shown_modified = $1 \
         WHERE key IN (SELECT group_key FROM members WHERE member_key = $2)",
        [at.into(), member.into()],
        Expect::Any,
    );
}
