//! The statements that a search begins with, for whoever wants to read them.

use serde::Serialize;
use serde_json::Value;

use super::condition::Condition;
use super::engine::{Datum, Query};
use super::search::{bounded, everybody};
use super::walk::{Way, runs};
use super::{RowKey, Search, Store, StoreError};

/// A statement as the database gets it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Statement {
    pub sql: String,
    /// Those of `$1`, `$2` and so on.
    pub values: Vec<Value>,
}

/// What the database is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Statements {
    /// In order; a page that the first fills asks no other.
    pub each: Vec<Statement>,
    /// Whether SQL decides alone who matches.
    pub exact: bool,
}

impl Store {
    /// What [`Store::search`] asks for a list in ascending order from its beginning. The rows that the
    /// page holds are then read by their keys.
    ///
    /// # Errors
    /// None that a list from its beginning can meet.
    pub fn statements(&self, tenant: &str, search: &Search<'_>) -> Result<Statements, StoreError> {
        let Search { type_name, filter, rows, sort, limit, .. } = *search;
        let condition = Condition::new(tenant, type_name, filter, rows, &self.index);
        let exact = condition.exact;
        let limit = bounded(limit);
        let each = match runs(&self.index, type_name, sort).filter(|_| exact) {
            None => vec![everybody(condition, limit).into()],
            Some(runs) => {
                let way = (true, Way::Forth);
                let query = |run: &super::walk::Run| {
                    run.query(&condition, way, None, 0, limit.saturating_add(1))
                };
                let queries: Result<Vec<Query>, StoreError> = runs.iter().map(query).collect();
                queries?.into_iter().map(Statement::from).collect()
            }
        };
        Ok(Statements { each, exact })
    }

    /// What [`Store::find`] asks.
    pub fn statement_of(&self, tenant: &str, key: &RowKey) -> Statement {
        self.look_up(tenant, key).into()
    }
}

impl From<Query> for Statement {
    fn from(query: Query) -> Self {
        let value = |datum| match datum {
            Datum::Null => Value::Null,
            Datum::Integer(number) => number.into(),
            Datum::Real(number) => number.into(),
            Datum::Text(text) => text.into(),
        };
        let values = query.values.into_iter().map(value).collect();
        Self { sql: query.sql.into_owned(), values }
    }
}
