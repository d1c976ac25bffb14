//! Rows as they are found and read, by what identifies them.

use std::collections::HashSet;
use std::sync::Arc;

use super::engine::{Datum, Query, Row};
use super::{
    LinkRow, Presence, ResourceRow, RowKey, Store, StoreError, TypeName, UserType, index, timestamp,
};
use crate::scim::Attributes;

/// What [`decode`] reads, of `resources r` and `links l`, and where it comes from.
macro_rules! columns {
    () => {
        "r.key, r.type, r.id, r.number, r.user_type, r.version, r.created, r.last_modified, r.own, \
         CASE WHEN EXISTS (SELECT 1 FROM members m WHERE m.member_key = r.key) THEN 1 ELSE 0 END, \
         CASE WHEN EXISTS (SELECT 1 FROM owners o WHERE o.owner_key = r.key) THEN 1 ELSE 0 END, \
         l.repository, l.entry_key, l.dn, l.shadow, l.seen, l.entry_modified, \
         l.scope, l.digest, l.missing, l.vanished"
    };
}
pub(super) use columns;

/// A statement that reads whole rows of a tenant out of `resources r`: by columns that are indexed beside
/// the tenant, or by key, where `+` keeps SQLite from reading the whole tenant by the index instead.
macro_rules! select {
    (by_key: $rest:literal) => {
        select!("+", $rest)
    };
    ($rest:literal) => {
        select!("", $rest)
    };
    ($sign:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $crate::store::resource::columns!(),
            " FROM resources r LEFT JOIN links l ON l.user_key = r.key WHERE ",
            $sign,
            "r.tenant = (SELECT key FROM tenants WHERE name = $1) AND ",
            $rest
        )
    };
}

pub(super) use select;

/// How many keys one statement asks for at most.
pub(super) const KEYS: usize = 500;

impl Store {
    /// The rows that `key` leads to, in the order of their canonical ids, read from the database.
    /// By id, number or link there is at most one.
    pub async fn find(
        &self,
        tenant: &str,
        key: &RowKey,
    ) -> Result<Vec<Arc<ResourceRow>>, StoreError> {
        self.rows(self.engine.query(self.look_up(tenant, key)).await?).await
    }

    /// The rows of the type whose view has one of these folded names, in no order. Names too long for
    /// the index bring along those that begin alike.
    pub async fn find_names(
        &self,
        tenant: &str,
        type_name: &TypeName,
        names: &HashSet<String>,
    ) -> Result<Vec<Arc<ResourceRow>>, StoreError> {
        let heads: Vec<Datum> =
            names.iter().map(|name| index::cut(&index::compared(name, false)).0.into()).collect();
        let mut found = Vec::new();
        for chunk in heads.chunks(KEYS) {
            let mut values = vec![tenant.into(), type_name.as_str().into()];
            let heads = list(&mut values, chunk.iter().cloned());
            let select = select!("r.type = $2 AND r.name_absent = 0 AND r.name IN (");
            let sql = format!("{select}{heads})");
            let rows = self.engine.query(Query { sql: sql.into(), values }).await?;
            found.extend(self.rows(rows).await?);
        }
        Ok(found)
    }

    /// The rows with these canonical ids or numbers, of whatever type, in no order.
    pub async fn find_ids(
        &self,
        tenant: &str,
        ids: &[String],
    ) -> Result<Vec<Arc<ResourceRow>>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(KEYS) {
            let (numbers, ids): (Vec<_>, Vec<_>) =
                chunk.iter().partition(|id| number(id).is_some());
            if !ids.is_empty() {
                let mut values = vec![tenant.into()];
                let names = list(&mut values, ids.iter().map(|id| id.as_str().into()));
                let sql = format!("{}{names})", select!("r.id IN ("));
                found.extend(
                    self.rows(self.engine.query(Query { sql: sql.into(), values }).await?).await?,
                );
            }
            if !numbers.is_empty() {
                let mut values = vec![tenant.into()];
                let numbers = numbers.iter().filter_map(|id| number(id));
                let names = list(&mut values, numbers.map(Datum::from));
                let sql = format!("{}{names})", select!("r.number IN ("));
                found.extend(
                    self.rows(self.engine.query(Query { sql: sql.into(), values }).await?).await?,
                );
            }
        }
        Ok(found)
    }

    pub(super) fn look_up(&self, tenant: &str, key: &RowKey) -> Query {
        match key {
            RowKey::Id(id) => match number(id) {
                Some(number) => {
                    Query::new(select!("r.number = $2"), [tenant.into(), number.into()])
                }
                None => Query::new(select!("r.id = $2"), [tenant.into(), id.as_str().into()]),
            },
            RowKey::Name(type_name, name) => {
                let name = index::compared(name, false);
                let (head, rest) = index::cut(&name);
                Query::new(
                    select!(
                        "r.type = $2 AND r.name_absent = 0 AND r.name = $3 AND r.name_rest = $4 \
                         ORDER BY r.id"
                    ),
                    [tenant.into(), type_name.as_str().into(), head.into(), rest.into()],
                )
            }
            RowKey::ExternalId(type_name, id) => {
                let id = index::compared(id, true);
                let (head, rest) = index::cut(&id);
                let path = self.index.external_id(type_name);
                Query::new(
                    select!(
                        by_key: "r.key IN (SELECT a.resource_key FROM attributes a \
                         WHERE a.tenant = (SELECT key FROM tenants WHERE name = $1) \
                         AND a.path = $2 AND a.fold = $3 AND a.rest = $4) ORDER BY r.id"
                    ),
                    [tenant.into(), path.into(), head.into(), rest.into()],
                )
            }
            RowKey::Link { repository, entry_key } => Query::new(
                select!(
                    by_key: "r.key = (SELECT k.user_key FROM links k \
                     WHERE k.tenant = (SELECT key FROM tenants WHERE name = $1) \
                     AND k.repository = $2 AND k.entry_key = $3)"
                ),
                [tenant.into(), repository.as_str().into(), entry_key.as_str().into()],
            ),
        }
    }

    /// The rows with these internal keys, in the order of `keys`; the ones that are gone are
    /// missing.
    pub async fn read(
        &self,
        tenant: &str,
        keys: &[i64],
    ) -> Result<Vec<Arc<ResourceRow>>, StoreError> {
        self.read_with(tenant, keys, true).await
    }

    /// The same; what users have is left out unless it is wanted.
    pub(super) async fn read_with(
        &self,
        tenant: &str,
        keys: &[i64],
        owned: bool,
    ) -> Result<Vec<Arc<ResourceRow>>, StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(KEYS) {
            let mut values = vec![tenant.into()];
            let keys = list(&mut values, chunk.iter().map(|key| (*key).into()));
            let sql = format!("{}{keys})", select!(by_key: "r.key IN ("));
            let rows = self.engine.query(Query { sql: sql.into(), values }).await?;
            let rows = self.decoded(rows, owned).await?;
            found.extend(rows.into_iter().map(|row| (row.key, row)));
        }
        let found: std::collections::HashMap<_, _> = found.into_iter().collect();
        Ok(keys.iter().filter_map(|key| found.get(key).cloned()).collect())
    }
}

/// A number as `activid` writes ids: decimal without leading zeros.
pub(super) fn number(id: &str) -> Option<i64> {
    let decimal = id.bytes().all(|byte| byte.is_ascii_digit()) && !id.starts_with('0');
    if decimal { id.parse().ok() } else { None }
}

/// Adds `items` to `values` and gives their names, `$3, $4, …`. The last one is repeated up to one
/// of few lengths, so that few texts of statements arise.
pub(super) fn list<T: Clone + From<Datum>>(
    values: &mut Vec<T>,
    items: impl Iterator<Item = T>,
) -> String {
    let first = values.len() + 1;
    values.extend(items);
    let count = values.len() + 1 - first;
    let length = [1, 8, 64, KEYS].into_iter().find(|length| *length >= count).unwrap_or(count);
    let last = values.last().cloned().unwrap_or_else(|| Datum::Null.into());
    values.resize(first - 1 + length, last);
    let names: Vec<_> = (first..first + length).map(|place| format!("${place}")).collect();
    names.join(", ")
}

pub(super) fn encode(attributes: &Attributes) -> Result<String, StoreError> {
    serde_json::to_string(attributes)
        .map_err(|error| StoreError::Database(format!("a row cannot be written: {error}")))
}

pub(super) fn user_type(number: i64) -> Result<UserType, StoreError> {
    UserType::from_number(number)
        .ok_or_else(|| StoreError::Database(format!("a row has the unknown type {number}")))
}

/// A row as [`columns`] reads it, without what others say of it.
pub(super) struct Decoded {
    pub(super) row: ResourceRow,
    /// Whether it is in a group.
    pub(super) member: bool,
    /// Whether something is the row's.
    pub(super) owner: bool,
}

pub(super) fn decode(row: &mut Row) -> Result<Decoded, StoreError> {
    let key = row.integer()?;
    let type_name = TypeName::new(&row.text()?);
    let json = |text: &str| {
        serde_json::from_str(text)
            .map_err(|error| StoreError::Database(format!("row {key} holds no JSON: {error}")))
    };
    let (id, number) = (row.text()?, row.integer()?);
    let user_type = user_type(row.integer()?)?;
    let version = row.integer()?;
    let (created, last_modified) = (timestamp(row.integer()?)?, timestamp(row.integer()?)?);
    let own = json(&row.text()?)?;
    let (member, owner) = (row.integer()? == 1, row.integer()? == 1);
    let link = match row.optional_text()? {
        None => None,
        Some(repository) => Some(LinkRow {
            repository,
            entry_key: row.text()?,
            dn: row.text()?,
            shadow: json(&row.text()?)?,
            seen: timestamp(row.integer()?)?,
            entry_modified: row.optional_integer()?.map(timestamp).transpose()?,
            given: Vec::new(),
            presence: Presence::read(row)?,
        }),
    };
    let row = ResourceRow {
        key,
        type_name,
        id,
        number,
        user_type,
        version,
        created,
        last_modified,
        own,
        groups: Arc::default(),
        owned: Arc::default(),
        owner: None,
        link,
    };
    Ok(Decoded { row, member, owner })
}
