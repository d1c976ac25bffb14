//! Leases: work that one program at a time does for all who have the database open.

use jiff::Timestamp;

use super::engine::{Change, Expect};
use super::{Store, StoreError, milliseconds};

impl Store {
    /// Whether the work `name` is `holder`'s from `now` to `until`: nobody else had it, or not any
    /// more. A holder takes its lease again before it ends.
    ///
    /// Programs whose clocks differ may both hold one for as long as they differ by, so that what is
    /// written under a lease must be safe to be done twice.
    pub async fn lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut change = Change::default();
        let taken = change.push(
            "INSERT INTO leases (name, holder, until) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until \
             WHERE leases.holder = excluded.holder OR leases.until <= $4 RETURNING holder",
            [name.into(), holder.into(), milliseconds(until).into(), milliseconds(now).into()],
            Expect::Any,
        );
        let returned = self.engine.execute(change).await?;
        Ok(returned.rows(taken).next().is_some())
    }

    /// Gives a lease back, so that nobody waits for its end.
    pub async fn release(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        let mut change = Change::default();
        let sql = "DELETE FROM leases WHERE name = $1 AND holder = $2";
        change.push(sql, [name.into(), holder.into()], Expect::Any);
        self.engine.execute(change).await?;
        Ok(())
    }
}
