//! Leases: what only one of the programs that have the database open does at a time.

use std::time::Duration;

use super::engine::{Change, Expect};
use super::{Store, StoreError, milliseconds};

impl Store {
    /// Takes the lease of this name for so long, or prolongs it; whether `holder` has it now. Who has
    /// lost one without knowing may still be at work: a lease saves work, it proves nothing.
    pub async fn lease(
        &self,
        name: &'static str,
        holder: &str,
        time: Duration,
    ) -> Result<bool, StoreError> {
        let now = milliseconds(self.clock.now());
        let until = now.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        let mut change = Change::default();
        let taken = change.push(
            "INSERT INTO leases (name, holder, until) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until \
             WHERE leases.holder = excluded.holder OR leases.until <= $4 RETURNING until",
            [name.into(), holder.into(), until.into(), now.into()],
            Expect::Any,
        );
        let returned = self.engine.execute_behind(change).await?;
        Ok(returned.rows(taken).next().is_some())
    }

    /// Gives a lease back before its time.
    pub async fn release(&self, name: &'static str, holder: &str) -> Result<(), StoreError> {
        let mut change = Change::default();
        let sql = "DELETE FROM leases WHERE name = $1 AND holder = $2";
        change.push(sql, [name.into(), holder.into()], Expect::Any);
        self.engine.execute_behind(change).await?;
        Ok(())
    }
}
