//! What rules of a repository gave the people of linked rows when they were last seen: part of their
//! shadow, and what lists out of the store alone are filtered by.
//!
//! Knows nothing of rules but a number that changes with them: what was given by rules that are others
//! now is forgotten at the start.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use super::engine::{Change, Expect, Query, Statement, Value};
use super::resource::{KEYS, list};
use super::{LinkRow, Store, StoreError};

/// A group or a role that rules give.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gift {
    pub kind: GiftKind,
    /// The canonical id of the group or role.
    pub id: String,
    /// Stands for the rules that give it.
    pub rules: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GiftKind {
    Group,
    Role,
}

impl GiftKind {
    pub(super) fn number(self) -> i64 {
        match self {
            Self::Group => 0,
            Self::Role => 1,
        }
    }

    fn from_number(number: i64) -> Self {
        if number == 0 { Self::Group } else { Self::Role }
    }
}

/// How many gifts one statement inserts at most.
const ROWS: usize = 16;

impl Store {
    /// Says what the rules of a tenant's repositories can give. Whatever else their people were given
    /// is forgotten. From then on gifts are read and looked for; before, there are none.
    pub async fn gifts(&self, tenant: &str, given: &[(&str, Gift)]) -> Result<(), StoreError> {
        if !self.look_for_gifts(!given.is_empty()).await? {
            return Ok(());
        }
        let mut values: Vec<Value> = vec![tenant.into()];
        let mut bind = |value: Value| {
            values.push(value);
            format!("${}", values.len())
        };
        let mut still = Vec::with_capacity(given.len());
        for (repository, gift) in given {
            let repository = bind((*repository).into());
            let kind = bind(gift.kind.number().into());
            let id = bind(gift.id.as_str().into());
            let rules = bind(gift.rules.into());
            still.push(format!(
                " AND NOT (l.repository = {repository} AND g.kind = {kind} AND g.id = {id} \
                 AND g.rules = {rules})"
            ));
        }
        let mut change = Change::default();
        let still = still.concat();
        change.statements.push(Statement {
            // So that whoever sees the entry next sees that something is new.
            sql: format!(
                "UPDATE links SET digest = NULL WHERE user_key IN (SELECT g.resource_key \
                 FROM gifts g JOIN links l ON l.user_key = g.resource_key \
                 WHERE l.tenant = (SELECT key FROM tenants WHERE name = $1){still})"
            )
            .into(),
            values: values.clone(),
            expect: Expect::Any,
        });
        change.statements.push(Statement {
            sql: format!(
                "DELETE FROM gifts WHERE EXISTS (SELECT 1 FROM gifts g \
                 JOIN links l ON l.user_key = g.resource_key \
                 WHERE l.tenant = (SELECT key FROM tenants WHERE name = $1) \
                 AND g.resource_key = gifts.resource_key AND g.kind = gifts.kind \
                 AND g.id = gifts.id{still})"
            )
            .into(),
            values,
            expect: Expect::Any,
        });
        self.engine.execute(change).await?;
        Ok(())
    }

    /// From now on gifts are read and looked for, where there are any or rules can give some; whether
    /// there are any. Of whoever only looks.
    pub async fn look_for_gifts(&self, given: bool) -> Result<bool, StoreError> {
        let there = Query::new("SELECT 1 FROM gifts LIMIT 1", []);
        let there = !self.engine.query(there).await?.is_empty();
        if given || there {
            self.index.gives.store(true, Ordering::Release);
        }
        Ok(there)
    }

    /// Whether rules may have given anybody anything.
    pub(super) fn gives(&self) -> bool {
        self.index.gives.load(Ordering::Acquire)
    }

    /// What each of these rows was given, in the order of kinds and ids.
    pub(super) async fn given(&self, keys: &[i64]) -> Result<HashMap<i64, Vec<Gift>>, StoreError> {
        let mut found: HashMap<i64, Vec<Gift>> = HashMap::new();
        for chunk in keys.chunks(KEYS) {
            let mut values = Vec::new();
            let keys = list(&mut values, chunk.iter().map(|key| (*key).into()));
            let sql = format!(
                "SELECT g.resource_key, g.kind, g.id, g.rules FROM gifts g \
                 WHERE g.resource_key IN ({keys}) ORDER BY g.resource_key, g.kind, g.id"
            );
            for mut row in self.engine.query(Query { sql: sql.into(), values }).await? {
                let key = row.integer()?;
                let kind = GiftKind::from_number(row.integer()?);
                let gift = Gift { kind, id: row.text()?, rules: row.integer()? };
                found.entry(key).or_default().push(gift);
            }
        }
        Ok(found)
    }
}

/// Adds the statements that keep what a linked row was given.
pub(super) fn push(change: &mut Change, key: &Value, link: &LinkRow) {
    for gifts in link.given.chunks(ROWS) {
        let mut values = vec![key.clone()];
        let mut rows = Vec::with_capacity(gifts.len());
        for gift in gifts {
            let first = values.len() + 1;
            values.extend([gift.kind.number().into(), gift.id.as_str().into(), gift.rules.into()]);
            rows.push(format!("($1, ${first}, ${}, ${})", first + 1, first + 2));
        }
        let sql =
            format!("INSERT INTO gifts (resource_key, kind, id, rules) VALUES {}", rows.join(", "));
        let expect = Expect::Exactly(gifts.len());
        change.statements.push(Statement { sql: sql.into(), values, expect });
    }
}

/// The same for a row that may have been given something before.
pub(super) fn push_replaced(change: &mut Change, key: &Value, link: Option<&LinkRow>) {
    let sql = "DELETE FROM gifts WHERE resource_key = $1";
    change.push(sql, [key.clone()], Expect::Any);
    if let Some(link) = link {
        push(change, key, link);
    }
}
