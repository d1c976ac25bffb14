//! Rows as they pass by: all who may match, in the order in which they were made.

use std::sync::Arc;

use super::condition::Condition;
use super::engine::Query;
use super::resource::columns;
use super::{ResourceRow, Rows, Store, StoreError, TypeName};
use crate::scim::Filter;

impl Store {
    /// At most `limit` resources of the type that may match `filter`, by ascending number, from the one
    /// after `after` on. Every match is among them; SQL may not be able to tell the others.
    pub async fn candidates(
        &self,
        tenant: &str,
        type_name: &TypeName,
        filter: Option<&Filter>,
        rows: Rows,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Arc<ResourceRow>>, StoreError> {
        let Condition { sql, mut values, .. } =
            Condition::new(tenant, type_name, filter, rows, &self.index);
        values.push(after.unwrap_or(i64::MIN).into());
        values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
        let sql = format!(
            "SELECT {} FROM resources r LEFT JOIN links l ON l.user_key = r.key \
             WHERE {sql} AND r.number > ${} ORDER BY r.number LIMIT ${}",
            columns!(),
            values.len() - 1,
            values.len()
        );
        self.rows(self.engine.query(Query { sql: sql.into(), values }).await?).await
    }
}
