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
    ///
    /// A lease that ends later than twice this term from now was taken by a clock that is wrong, or was
    /// before it was set back: nobody asks for so long. It is taken too, since whoever holds it may be
    /// dead, and the work would rest until that clock is right. Twice, so that clocks which differ by no
    /// more than a term take nothing away from one another.
    pub async fn lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let latest = until.checked_add(until.duration_since(now)).unwrap_or(Timestamp::MAX);
        let mut change = Change::default();
        let taken = change.push(
            "INSERT INTO leases (name, holder, until) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until \
             WHERE leases.holder = excluded.holder OR leases.until <= $4 OR leases.until > $5 \
             RETURNING holder",
            [
                name.into(),
                holder.into(),
                milliseconds(until).into(),
                milliseconds(now).into(),
                milliseconds(latest).into(),
            ],
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
