//! The groups that a resource joins and leaves by the same change that writes it.

use jiff::Timestamp;

use super::engine::{Change, Expect, Failure, Value};
use super::write::rewritten;
use super::{NewResource, ResourceRow, ResourceWrite, Store, StoreError, audit, milliseconds};
use crate::audit::AuditRecord;

/// Which groups a resource becomes a member of, and of which it is one no more, by their internal
/// keys; each of them gets a new version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joining {
    pub join: Vec<i64>,
    pub leave: Vec<i64>,
}

impl Joining {
    pub fn is_nothing(&self) -> bool {
        self.join.is_empty() && self.leave.is_empty()
    }

    /// The groups whose members are others afterwards.
    pub fn groups(&self) -> impl Iterator<Item = i64> {
        self.join.iter().chain(&self.leave).copied()
    }

    /// Adds the statements that change what the resource with this key is a member of to `change`.
    pub(super) fn push(&self, change: &mut Change, member: &Value, at: Timestamp) {
        let join =
            "INSERT INTO members (group_key, member_key) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        let leave = "DELETE FROM members WHERE group_key = $1 AND member_key = $2";
        let joined = self.join.iter().map(|group| (*group, join));
        let mut groups: Vec<_> = joined.chain(self.leave.iter().map(|key| (*key, leave))).collect();
        // In one order, so that no two changes wait for each other.
        groups.sort_unstable_by_key(|(group, _)| *group);
        for (group, sql) in groups {
            change.push(
                "UPDATE resources SET version = version + 1, last_modified = $1, \
                 shown_modified = $1 WHERE key = $2",
                [milliseconds(at).into(), group.into()],
                Expect::Exactly(1),
            );
            change.push(sql, [group.into(), member.clone()], Expect::Any);
        }
    }
}

impl Store {
    /// [`Store::create`] of a resource that is in groups from the start. [`StoreError::Stale`] where
    /// one of the groups is gone.
    pub async fn create_in(
        &self,
        tenant: &str,
        new: NewResource<'_>,
        joining: &Joining,
    ) -> Result<ResourceRow, StoreError> {
        if joining.is_nothing() {
            return self.create(tenant, new).await;
        }
        let mut change = Change::default();
        let made = self.push_create(&mut change, tenant, &new)?;
        let joined = change.statements.len();
        joining.push(&mut change, &made.key(), new.write.at);
        match self.engine.execute(change).await {
            Ok(returned) => self.with_groups(tenant, made.row(&new, &returned)?).await,
            Err(failure) if failure.statement().is_some_and(|statement| statement >= joined) => {
                Err(StoreError::Stale)
            }
            Err(failure) => Err(self.refused_new(tenant, &new, failure).await),
        }
    }

    /// [`Store::update`] that also changes which groups the resource is in. [`StoreError::Stale`]
    /// also where one of the groups is gone.
    pub async fn update_in(
        &self,
        tenant: &str,
        row: &ResourceRow,
        write: &ResourceWrite,
        joining: &Joining,
        record: AuditRecord,
    ) -> Result<ResourceRow, StoreError> {
        if joining.is_nothing() {
            return self.update(tenant, row, write, record).await;
        }
        let mut change = Change::default();
        let updated = self.push_update(&mut change, tenant, row, write)?;
        let joined = change.statements.len();
        joining.push(&mut change, &row.key.into(), write.at);
        audit::push(&mut change, tenant, record, || self.token());
        match self.engine.execute(change).await {
            Ok(returned) => {
                let row = rewritten(row, write, &mut returned.row(updated)?)?;
                self.with_groups(tenant, row).await
            }
            Err(Failure::Unexpected { statement, .. }) if statement == updated => {
                Err(StoreError::Stale)
            }
            Err(failure) if failure.statement().is_some_and(|statement| statement >= joined) => {
                Err(StoreError::Stale)
            }
            Err(failure) => Err(self.refused_update(tenant, row, write, failure).await),
        }
    }

    /// A row that was just written, with the groups that it is in now.
    pub(super) async fn with_groups(
        &self,
        tenant: &str,
        row: ResourceRow,
    ) -> Result<ResourceRow, StoreError> {
        // Whoever changed it since has told of it already, and it is as good.
        let read = self.read(tenant, &[row.key]).await?;
        Ok(read.into_iter().next().map_or(row, |read| (*read).clone()))
    }
}
