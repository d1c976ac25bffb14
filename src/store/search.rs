//! Searches over the store alone: the page asked for, or, where SQL cannot tell it, all who may
//! match.

use std::sync::Arc;

use super::condition::Condition;
use super::engine::{Query, Row};
use super::index::Place;
use super::user::{columns, decode};
use super::{Rows, Sort, Store, StoreAnswer, StoreError, UserRow};
use crate::scim::Filter;
use crate::scim::schema::Kind;

/// How many rows are decoded before other tasks get their turn.
const DECODED: usize = 256;

impl Store {
    /// The users of the tenant that match `filter`, or [`StoreAnswer::exact`] false and all who may
    /// match, up to `limit`, in no order and from the beginning.
    ///
    /// Linked rows are seen as they were when last written.
    #[expect(clippy::too_many_arguments, reason = "a search has that many sides")]
    pub async fn search(
        &self,
        tenant: &str,
        filter: Option<&Filter>,
        rows: Rows,
        sort: &Sort,
        offset: u64,
        limit: u64,
        count_total: bool,
    ) -> Result<StoreAnswer, StoreError> {
        let condition = Condition::new(tenant, filter, rows, &self.index);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        match self.order(sort).filter(|_| condition.exact) {
            None => Ok(StoreAnswer {
                rows: self.all(condition, limit).await?,
                total: None,
                exact: false,
            }),
            Some(order) => self.page(condition, &order, offset, limit, count_total).await,
        }
    }

    async fn all(&self, condition: Condition, limit: i64) -> Result<Vec<Arc<UserRow>>, StoreError> {
        let Condition { sql, mut values, .. } = condition;
        values.push(limit.into());
        let sql = format!(
            "SELECT {} FROM users u LEFT JOIN links l ON l.user_key = u.key \
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
                 SELECT u.key AS key, {absent} AS absent, {fold} AS fold, {rest} AS rest, \
                 u.id AS id FROM users u {join} WHERE {condition} \
                 ORDER BY absent{direction}, fold{direction}, rest{direction}, id \
                 LIMIT ${} OFFSET ${}) k \
                 JOIN users u ON u.key = k.key LEFT JOIN links l ON l.user_key = u.key \
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
                let sql = format!("SELECT COUNT(*) FROM users u WHERE {condition}");
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
    fn order(&self, sort: &Sort) -> Option<Order> {
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
        Some(match self.index.sort_place(&sort.path)? {
            Place::Id => Order { fold: "u.id".to_owned(), ..plain("") },
            Place::UserType => plain("u.user_type"),
            Place::Created => plain("u.created"),
            Place::Modified => plain("u.shown_modified"),
            Place::UserName => Order {
                absent: "u.user_name_absent",
                rest: "u.user_name_rest",
                ..plain("u.user_name")
            },
            Place::Attribute(indexed) => {
                let numeric = matches!(indexed.path.kind, Kind::Decimal | Kind::Integer);
                let fold = if numeric { "COALESCE(s.number, 0.0)" } else { "COALESCE(s.fold, '')" };
                Order {
                    absent: "CASE WHEN s.user_key IS NULL THEN 1 ELSE 0 END",
                    rest: "COALESCE(s.rest, '')",
                    join: format!(
                        "LEFT JOIN attributes s \
                         ON s.user_key = u.key AND s.path = {} AND s.ordinal = 0",
                        indexed.key
                    ),
                    ..plain(fold)
                }
            }
        })
    }
}

/// What a page is sorted by, as expressions over `users u` and what is joined to it.
struct Order {
    absent: &'static str,
    fold: String,
    rest: &'static str,
    join: String,
    direction: &'static str,
}

pub(super) async fn decode_all(rows: Vec<Row>) -> Result<Vec<Arc<UserRow>>, StoreError> {
    let mut decoded = Vec::with_capacity(rows.len());
    for (place, mut row) in rows.into_iter().enumerate() {
        if place % DECODED == DECODED - 1 {
            tokio::task::yield_now().await;
        }
        decoded.push(Arc::new(decode(&mut row)?));
    }
    Ok(decoded)
}
