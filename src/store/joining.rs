//! The groups that a resource joins and leaves by the same change that writes it.

use super::engine::{Change, Expect, Value};
use super::{ResourceRow, Store, StoreError};

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

    /// Adds the statements that change what the resource with this key is a member of to `change`; `at`
    /// in milliseconds.
    pub(super) fn push(&self, change: &mut Change, member: &Value, at: i64) {
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
                [at.into(), group.into()],
                Expect::Exactly(1),
            );
            change.push(sql, [group.into(), member.clone()], Expect::Any);
        }
    }
}

impl Store {
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
