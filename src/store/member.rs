//! Who is in which group, as it is read: the members of groups, and the groups of rows.

use std::collections::HashMap;
use std::sync::Arc;

use super::engine::{Query, Row};
use super::resource::{Decoded, KEYS, decode, list};
use super::{ResourceRow, Store, StoreError, TypeName};

/// How many rows are decoded before other tasks get their turn.
const DECODED: usize = 256;

/// A member of a group: a user or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The group's internal key.
    pub group: i64,
    /// Canonical id.
    pub id: String,
    /// The `activid` dialect's id.
    pub number: i64,
    pub type_name: TypeName,
    /// `displayName`, else the naming attribute, as last written.
    pub display: Option<String>,
}

/// A group that a row is in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Membership {
    /// The group's canonical id.
    pub id: String,
    /// The `activid` dialect's id.
    pub number: i64,
    /// The group's `displayName`.
    pub display: Option<String>,
    /// Whether the row is a member itself; else a group is that is in the group.
    pub direct: bool,
}

impl Store {
    /// The members of these groups, by internal keys, each group's together; `limit` at most of all.
    pub async fn members(
        &self,
        tenant: &str,
        groups: &[i64],
        limit: u64,
    ) -> Result<Vec<Member>, StoreError> {
        let mut found: Vec<Member> = Vec::new();
        for chunk in groups.chunks(KEYS) {
            let left = limit.saturating_sub(found.len() as u64);
            if left == 0 {
                break;
            }
            let mut values = vec![tenant.into()];
            let keys = list(&mut values, chunk.iter().map(|key| (*key).into()));
            values.push(i64::try_from(left).unwrap_or(i64::MAX).into());
            // CROSS JOIN: along the members, not along all rows of the tenant.
            let sql = format!(
                "SELECT m.group_key, r.id, r.number, r.type, r.display \
                 FROM members m CROSS JOIN resources r WHERE r.key = m.member_key \
                 AND +r.tenant = (SELECT key FROM tenants WHERE name = $1) \
                 AND m.group_key IN ({keys}) ORDER BY m.group_key, m.member_key LIMIT ${}",
                values.len()
            );
            for (place, mut row) in
                self.engine.query(Query { sql: sql.into(), values }).await?.into_iter().enumerate()
            {
                if place % DECODED == DECODED - 1 {
                    tokio::task::yield_now().await;
                }
                found.push(Member {
                    group: row.integer()?,
                    id: row.text()?,
                    number: row.integer()?,
                    type_name: TypeName::new(&row.text()?),
                    display: row.optional_text()?,
                });
            }
        }
        Ok(found)
    }

    /// The internal keys of these rows and of all who are beneath them as members, directly or
    /// through groups; `None` where they are more than `limit`. Whoever keeps rows with their groups
    /// asks this before and after what changes a group.
    pub async fn beneath(
        &self,
        keys: &[i64],
        limit: usize,
    ) -> Result<Option<Vec<i64>>, StoreError> {
        let mut found = std::collections::HashSet::new();
        for chunk in keys.chunks(KEYS) {
            let mut values = Vec::new();
            let keys = list(&mut values, chunk.iter().map(|key| (*key).into()));
            values.push(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1).into());
            let sql = format!(
                "WITH RECURSIVE below (key) AS (\
                 SELECT r.key FROM resources r WHERE r.key IN ({keys}) \
                 UNION SELECT m.member_key FROM below b JOIN members m ON m.group_key = b.key) \
                 SELECT key FROM below LIMIT ${}",
                values.len()
            );
            for mut row in self.engine.query(Query { sql: sql.into(), values }).await? {
                found.insert(row.integer()?);
            }
            if found.len() > limit {
                return Ok(None);
            }
        }
        Ok(Some(found.into_iter().collect()))
    }

    /// Rows as [`columns`](super::resource::columns) reads them, whole ([`Store::whole`]).
    pub(super) async fn rows(&self, rows: Vec<Row>) -> Result<Vec<Arc<ResourceRow>>, StoreError> {
        self.decoded(rows, true).await
    }

    /// The same; what users have is left out unless it is wanted.
    pub(super) async fn decoded(
        &self,
        rows: Vec<Row>,
        owned: bool,
    ) -> Result<Vec<Arc<ResourceRow>>, StoreError> {
        let mut decoded = Vec::with_capacity(rows.len());
        for (place, mut row) in rows.into_iter().enumerate() {
            if place % DECODED == DECODED - 1 {
                tokio::task::yield_now().await;
            }
            decoded.push(decode(&mut row)?);
        }
        self.whole(decoded, owned).await
    }

    /// Rows with their groups, with what they have where that is wanted, and whose they are: each asked
    /// for in one statement for many rows, and not at all where nobody has any.
    pub(super) async fn whole(
        &self,
        decoded: Vec<Decoded>,
        owned: bool,
    ) -> Result<Vec<Arc<ResourceRow>>, StoreError> {
        let keys = |of: &dyn Fn(&Decoded) -> bool| -> Vec<i64> {
            decoded.iter().filter(|one| of(one)).map(|one| one.row.key).collect()
        };
        let mut groups = self.memberships(&keys(&|one| one.member)).await?;
        let mut possessions = self.owned(&keys(&|one| owned && one.owner)).await?;
        let mut owners = self.owners(&keys(&|one| one.row.type_name.is_owned())).await?;
        let expected = self.gives();
        let mut gifts = self.given(&keys(&|one| expected && one.row.link.is_some())).await?;
        let whole = |Decoded { mut row, .. }: Decoded| {
            if let Some(groups) = groups.remove(&row.key) {
                row.groups = groups.into();
            }
            if let Some(owned) = possessions.remove(&row.key) {
                row.owned = owned.into();
            }
            row.owner = owners.remove(&row.key).map(Arc::new);
            if let Some(link) = &mut row.link {
                link.given = gifts.remove(&row.key).unwrap_or_default();
            }
            Arc::new(row)
        };
        Ok(decoded.into_iter().map(whole).collect())
    }

    /// The groups of each of these rows, in the order of the groups' ids.
    async fn memberships(&self, keys: &[i64]) -> Result<HashMap<i64, Vec<Membership>>, StoreError> {
        let mut found: HashMap<i64, Vec<Membership>> = HashMap::new();
        for chunk in keys.chunks(KEYS) {
            let mut values = Vec::new();
            let keys = list(&mut values, chunk.iter().map(|key| (*key).into()));
            // UNION: whoever comes round to where he was goes no further.
            let sql = format!(
                "WITH RECURSIVE above (key, group_key, direct) AS (\
                 SELECT m.member_key, m.group_key, 1 FROM members m WHERE m.member_key IN ({keys}) \
                 UNION SELECT a.key, m.group_key, 0 \
                 FROM above a JOIN members m ON m.member_key = a.group_key) \
                 SELECT a.key, g.id, g.number, g.display, MAX(a.direct) \
                 FROM above a JOIN resources g ON g.key = a.group_key WHERE a.group_key <> a.key \
                 GROUP BY a.key, g.key, g.id, g.number, g.display ORDER BY a.key, g.id"
            );
            for mut row in self.engine.query(Query { sql: sql.into(), values }).await? {
                found.entry(row.integer()?).or_default().push(Membership {
                    id: row.text()?,
                    number: row.integer()?,
                    display: row.optional_text()?,
                    direct: row.integer()? == 1,
                });
            }
        }
        Ok(found)
    }
}
