//! Rows as they pass by: all who may match, in the order in which they were made.

use std::sync::Arc;

use super::condition::Condition;
use super::engine::Query;
use super::search::decode_all;
use super::user::columns;
use super::{Rows, Store, StoreError, UserRow};
use crate::scim::Filter;

impl Store {
    /// At most `limit` users of the tenant who may match `filter`, by ascending number, from the one
    /// after `after` on. Every match is among them; SQL may not be able to tell the others.
    pub async fn candidates(
        &self,
        tenant: &str,
        filter: Option<&Filter>,
        rows: Rows,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Arc<UserRow>>, StoreError> {
        let Condition { sql, mut values, .. } = Condition::new(tenant, filter, rows, &self.index);
        values.push(after.unwrap_or(i64::MIN).into());
        values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
        let sql = format!(
            "SELECT {} FROM users u LEFT JOIN links l ON l.user_key = u.key \
             WHERE {sql} AND u.number > ${} ORDER BY u.number LIMIT ${}",
            columns!(),
            values.len() - 1,
            values.len()
        );
        decode_all(self.engine.query(Query { sql: sql.into(), values }).await?).await
    }
}
