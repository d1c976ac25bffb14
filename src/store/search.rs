//! Searches over the store alone: the page asked for, or, where SQL cannot tell it, all who may
//! match.

use std::sync::Arc;

use super::condition::Condition;
use super::engine::{Query, Row};
use super::index::Place;
use super::resource::{columns, decode};
use super::{ResourceRow, Search, Sort, Start, Store, StoreAnswer, StoreError, TypeName};

/// How many rows are decoded before other tasks get their turn.
const DECODED: usize = 256;

impl Store {
    /// The resources of the tenant that match the filter, or [`StoreAnswer::exact`] false and all who
    /// may match, up to the limit, in no order and from the beginning.
    ///
    /// Linked rows are seen as they were when last written.
    pub async fn search(
        &self,
        tenant: &str,
        search: Search<'_>,
    ) -> Result<StoreAnswer, StoreError> {
        let Search { type_name, filter, rows, sort, start, limit, count_total } = search;
        let condition = Condition::new(tenant, type_name, filter, rows, &self.index);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let Start::Offset(offset) = start;
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        match self.order(type_name, sort).filter(|_| condition.exact) {
            None => Ok(StoreAnswer {
                rows: self.all(condition, limit).await?,
                total: None,
                exact: false,
            }),
            Some(order) => self.page(condition, &order, offset, limit, count_total).await,
        }
    }

    async fn all(
        &self,
        condition: Condition,
        limit: i64,
    ) -> Result<Vec<Arc<ResourceRow>>, StoreError> {
        let Condition { sql, mut values, .. } = condition;
        values.push(limit.into());
        let sql = format!(
            "SELECT {} FROM resources r LEFT JOIN links l ON l.user_key = r.key \
             WHERE {sql} LIMIT ${}",
            columns!(),
            values.len()
        );
        decode_all(self.engine.query(Query { sql: sql.into(), values }).await?).await
    }

    async fn page(
        &self,
        condition: Condition,
        order: &Order,
        offset: i64,
        limit: i64,
        count_total: bool,
    ) -> Result<StoreAnswer, StoreError> {
        let Condition { sql: condition, mut values, .. } = condition;
        let mut rows = Vec::new();
        if limit > 0 {
            let mut values = values.clone();
            values.extend([limit.into(), offset.into()]);
            let Order { absent, fold, rest, join, direction } = order;
            // Only keys are sorted; whole rows are read for the page.
            let sql = format!(
                "SELECT {} FROM (\
                 SELECT r.key AS key, {absent} AS absent, {fold} AS fold, {rest} AS rest, \
                 r.id AS id FROM resources r {join} WHERE {condition} \
                 ORDER BY absent{direction}, fold{direction}, rest{direction}, id \
                 LIMIT ${} OFFSET ${}) k \
                 JOIN resources r ON r.key = k.key LEFT JOIN links l ON l.user_key = r.key \
                 ORDER BY k.absent{direction}, k.fold{direction}, k.rest{direction}, k.id",
                columns!(),
                values.len() - 1,
                values.len(),
            );
            rows = decode_all(self.engine.query(Query { sql: sql.into(), values }).await?).await?;
        }
        let total = if count_total {
            let seen = i64::try_from(rows.len()).unwrap_or(i64::MAX);
            let ended = seen < limit && (seen > 0 || offset == 0);
            let total = if ended {
                offset.saturating_add(seen)
            } else {
                let sql = format!("SELECT COUNT(*) FROM resources r WHERE {condition}");
                values.shrink_to_fit();
                let mut counted = self.engine.query(Query { sql: sql.into(), values }).await?;
                let counted = counted.first_mut().map_or(Ok(0), Row::integer)?;
                // Somebody may have gone between the two statements.
                if seen > 0 { counted.max(offset.saturating_add(seen)) } else { counted }
            };
            u64::try_from(total).ok()
        } else {
            None
        };
        Ok(StoreAnswer { rows, total, exact: true })
    }

    /// How to sort by `sort`; `None` where the index does not hold it.
    fn order(&self, type_name: &TypeName, sort: &Sort) -> Option<Order> {
        let direction = if sort.descending { " DESC" } else { "" };
        let plain = |fold: &str| Order {
            absent: "0",
            fold: fold.to_owned(),
            rest: "''",
            join: String::new(),
            direction,
        };
        if !sort.path.known {
            // Nobody has it.
            return Some(plain("''"));
        }
        Some(match self.index.sort_place(type_name, &sort.path)? {
            Place::Id => Order { fold: "r.id".to_owned(), ..plain("") },
            Place::UserType => plain("r.user_type"),
            Place::Created => plain("r.created"),
            Place::Modified => plain("r.shown_modified"),
            Place::Name => {
                Order { absent: "r.name_absent", rest: "r.name_rest", ..plain("r.name") }
            }
            Place::Attribute(indexed) => Order {
                absent: "CASE WHEN s.resource_key IS NULL THEN 1 ELSE 0 END",
                rest: "COALESCE(s.rest, '')",
                join: format!(
                    "LEFT JOIN attributes s \
                         ON s.resource_key = r.key AND s.path = {} AND s.ordinal = 0",
                    indexed.native()
                ),
                ..plain("COALESCE(s.fold, '')")
            },
        })
    }
}

/// What a page is sorted by, as expressions over `resources r` and what is joined to it.
struct Order {
    absent: &'static str,
    fold: String,
    rest: &'static str,
    join: String,
    direction: &'static str,
}

pub(super) async fn decode_all(rows: Vec<Row>) -> Result<Vec<Arc<ResourceRow>>, StoreError> {
    let mut decoded = Vec::with_capacity(rows.len());
    for (place, mut row) in rows.into_iter().enumerate() {
        if place % DECODED == DECODED - 1 {
            tokio::task::yield_now().await;
        }
        decoded.push(Arc::new(decode(&mut row)?));
    }
    Ok(decoded)
}
