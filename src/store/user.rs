//! User rows: found by what identifies them, made, changed and removed.

use std::collections::HashSet;
use std::sync::Arc;

use super::engine::{Change, Datum, Expect, Failure, Query, Row, Value};
use super::{
    LinkRow, LinkState, RowKey, Store, StoreError, UserRow, UserType, UserWrite, audit, index,
    link, milliseconds, timestamp,
};
use crate::audit::AuditRecord;
use crate::scim::Attributes;

/// What [`decode`] reads, of `users u` and `links l`, and where it comes from.
macro_rules! columns {
    () => {
        "u.key, u.id, u.number, u.user_type, u.version, u.created, u.last_modified, u.own, \
         l.repository, l.entry_key, l.dn, l.shadow, l.seen, l.entry_modified"
    };
}
pub(super) use columns;

/// A statement that reads whole rows of a tenant out of `users u`: by columns that are indexed beside
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
            $crate::store::user::columns!(),
            " FROM users u LEFT JOIN links l ON l.user_key = u.key WHERE ",
            $sign,
            "u.tenant = (SELECT key FROM tenants WHERE name = $1) AND ",
            $rest
        )
    };
}

/// How many keys one statement asks for at most.
pub(super) const KEYS: usize = 500;

impl Store {
    /// The rows that `key` leads to, in the order of their canonical ids, read from the database.
    /// By id, number or link there is at most one.
    pub async fn find(&self, tenant: &str, key: &RowKey) -> Result<Vec<Arc<UserRow>>, StoreError> {
        let rows = self.engine.query(self.look_up(tenant, key)).await?;
        rows.into_iter().map(|mut row| Ok(decode(&mut row)?.into())).collect()
    }

    /// The rows whose view has one of these folded `userName`s, in no order. Names too long for the
    /// index bring along those that begin alike.
    pub async fn find_names(
        &self,
        tenant: &str,
        names: &HashSet<String>,
    ) -> Result<Vec<Arc<UserRow>>, StoreError> {
        let heads: Vec<Datum> =
            names.iter().map(|name| index::cut(&index::compared(name, false)).0.into()).collect();
        let mut found = Vec::new();
        for chunk in heads.chunks(KEYS) {
            let mut values = vec![tenant.into()];
            let heads = list(&mut values, chunk.iter().cloned());
            let select = select!("u.user_name_absent = 0 AND u.user_name IN (");
            let sql = format!("{select}{heads})");
            for mut row in self.engine.query(Query { sql: sql.into(), values }).await? {
                found.push(Arc::new(decode(&mut row)?));
            }
        }
        Ok(found)
    }

    pub(super) fn look_up(&self, tenant: &str, key: &RowKey) -> Query {
        match key {
            RowKey::Id(id) => match number(id) {
                Some(number) => {
                    Query::new(select!("u.number = $2"), [tenant.into(), number.into()])
                }
                None => Query::new(select!("u.id = $2"), [tenant.into(), id.as_str().into()]),
            },
            RowKey::UserName(name) => {
                let name = index::compared(name, false);
                let (head, rest) = index::cut(&name);
                Query::new(
                    select!(
                        "u.user_name_absent = 0 AND u.user_name = $2 AND u.user_name_rest = $3 \
                         ORDER BY u.id"
                    ),
                    [tenant.into(), head.into(), rest.into()],
                )
            }
            RowKey::ExternalId(id) => {
                let id = index::compared(id, true);
                let (head, rest) = index::cut(&id);
                let path = self.index.external_id();
                Query::new(
                    select!(
                        by_key: "u.key IN (SELECT a.user_key FROM attributes a \
                         WHERE a.tenant = (SELECT key FROM tenants WHERE name = $1) \
                         AND a.path = $2 AND a.fold = $3 AND a.rest = $4) ORDER BY u.id"
                    ),
                    [tenant.into(), path.into(), head.into(), rest.into()],
                )
            }
            RowKey::Link { repository, entry_key } => Query::new(
                select!(
                    by_key: "u.key = (SELECT k.user_key FROM links k \
                     WHERE k.tenant = (SELECT key FROM tenants WHERE name = $1) \
                     AND k.repository = $2 AND k.entry_key = $3)"
                ),
                [tenant.into(), repository.as_str().into(), entry_key.as_str().into()],
            ),
        }
    }

    /// The rows with these internal keys, in the order of `keys`; the ones that are gone are
    /// missing.
    pub async fn read(&self, tenant: &str, keys: &[i64]) -> Result<Vec<Arc<UserRow>>, StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(KEYS) {
            let mut values = vec![tenant.into()];
            let keys = list(&mut values, chunk.iter().map(|key| (*key).into()));
            let sql = format!("{}{keys})", select!(by_key: "u.key IN ("));
            for mut row in self.engine.query(Query { sql: sql.into(), values }).await? {
                let row = decode(&mut row)?;
                found.push((row.key, Arc::new(row)));
            }
        }
        let found: std::collections::HashMap<_, _> = found.into_iter().collect();
        Ok(keys.iter().filter_map(|key| found.get(key).cloned()).collect())
    }

    /// Makes a row with the next number of the tenant's sequence, and its link where `write` has
    /// one; such a row is [`UserType::FtressLdap`] whatever `user_type` says. A tombstone in the
    /// link's place is replaced if `revive`, else it is [`StoreError::Tombstone`].
    pub async fn create(
        &self,
        tenant: &str,
        id: &str,
        user_type: UserType,
        write: &UserWrite,
        revive: bool,
        record: AuditRecord,
    ) -> Result<UserRow, StoreError> {
        let at = milliseconds(write.at);
        let user_type = if write.link.is_some() { UserType::FtressLdap } else { user_type };
        let held = Held::of(write)?;
        let mut change = Change::default();
        let numbered = change.push(
            "INSERT INTO tenants (name, last_number) VALUES ($1, 10001) \
             ON CONFLICT (name) DO UPDATE SET last_number = tenants.last_number + 1 \
             RETURNING key, last_number",
            [tenant.into()],
            Expect::Exactly(1),
        );
        let tenant_key = Value::From { statement: numbered, column: 0 };
        let inserted = change.push(
            "INSERT INTO users (tenant, id, number, user_type, version, created, last_modified, \
             shown_modified, user_name_absent, user_name, user_name_rest, owned_user_name, \
             owned_external_id, own, view) \
             VALUES ($1, $2, $3, $4, 1, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
             RETURNING key",
            [
                tenant_key.clone(),
                id.into(),
                Value::From { statement: numbered, column: 1 },
                user_type.number().into(),
                at.into(),
                at.into(),
                held.shown_modified.into(),
                held.user_name_absent.into(),
                held.user_name.into(),
                held.user_name_rest.into(),
                held.owned_user_name.into(),
                held.owned_external_id.into(),
                held.own.into(),
                held.view.into(),
            ],
            Expect::Exactly(1),
        );
        let user_key = Value::From { statement: inserted, column: 0 };
        if let Some(linked) = &write.link {
            link::push_new(&mut change, &tenant_key, &user_key, linked, revive)?;
        }
        index::insert(&mut change, &user_key, &tenant_key, self.index.rows(&write.view), "");
        audit::push(&mut change, tenant, record, &self.token());

        match self.engine.execute(change).await {
            Ok(returned) => Ok(UserRow {
                key: returned.row(inserted)?.integer()?,
                id: id.to_owned(),
                number: {
                    let mut row = returned.row(numbered)?;
                    row.integer()?;
                    row.integer()?
                },
                user_type,
                version: 1,
                created: timestamp(at)?,
                last_modified: timestamp(at)?,
                own: write.own.clone(),
                link: write.link.as_ref().map(LinkRow::stored),
            }),
            Err(failure) => Err(self.refused(tenant, Some(id), write, failure).await),
        }
    }

    /// Puts `write` in the place of what the row holds. [`StoreError::Stale`] where it has another
    /// version than `expected_version`, or is gone.
    pub async fn update(
        &self,
        tenant: &str,
        key: i64,
        expected_version: i64,
        write: &UserWrite,
        record: AuditRecord,
    ) -> Result<UserRow, StoreError> {
        let at = milliseconds(write.at);
        let held = Held::of(write)?;
        let linked = write.link.as_ref().map(|_| UserType::FtressLdap.number());
        let mut change = Change::default();
        let updated = change.push(
            // A row that loses its link becomes a local one.
            "UPDATE users SET version = version + 1, \
             user_type = COALESCE($1, CASE WHEN user_type = 1 THEN 0 ELSE user_type END), \
             last_modified = $2, shown_modified = $3, user_name_absent = $4, user_name = $5, \
             user_name_rest = $6, owned_user_name = $7, owned_external_id = $8, own = $9, \
             view = $10 \
             WHERE key = $11 AND version = $12 \
             AND tenant = (SELECT key FROM tenants WHERE name = $13) \
             RETURNING id, number, user_type, version, created, tenant",
            [
                linked.into(),
                at.into(),
                held.shown_modified.into(),
                held.user_name_absent.into(),
                held.user_name.into(),
                held.user_name_rest.into(),
                held.owned_user_name.into(),
                held.owned_external_id.into(),
                held.own.into(),
                held.view.into(),
                key.into(),
                expected_version.into(),
                tenant.into(),
            ],
            Expect::Exactly(1),
        );
        let tenant_key = Value::From { statement: updated, column: 5 };
        link::push_replaced(&mut change, &tenant_key, key, write.link.as_ref())?;
        change.push("DELETE FROM attributes WHERE user_key = $1", [key.into()], Expect::Any);
        let rows = self.index.rows(&write.view);
        index::insert(&mut change, &key.into(), &tenant_key, rows, "");
        audit::push(&mut change, tenant, record, &self.token());

        match self.engine.execute(change).await {
            Ok(returned) => {
                let mut row = returned.row(updated)?;
                Ok(UserRow {
                    key,
                    id: row.text()?,
                    number: row.integer()?,
                    user_type: user_type(row.integer()?)?,
                    version: row.integer()?,
                    created: timestamp(row.integer()?)?,
                    last_modified: timestamp(at)?,
                    own: write.own.clone(),
                    link: write.link.as_ref().map(LinkRow::stored),
                })
            }
            Err(Failure::Unexpected { statement, .. }) if statement == updated => {
                Err(StoreError::Stale)
            }
            Err(failure) => Err(self.refused(tenant, None, write, failure).await),
        }
    }

    /// Removes the row with all that belongs to it. Its link becomes a tombstone, without anything
    /// of the person but the entry key, or goes too. [`StoreError::Stale`] as in
    /// [`Store::update`].
    pub async fn delete(
        &self,
        tenant: &str,
        key: i64,
        expected_version: i64,
        tombstone: bool,
        record: AuditRecord,
    ) -> Result<(), StoreError> {
        let mut change = Change::default();
        link::push_removed(&mut change, key, tombstone.then(|| milliseconds(record.at)));
        let deleted = change.push(
            "DELETE FROM users WHERE key = $1 AND version = $2 \
             AND tenant = (SELECT key FROM tenants WHERE name = $3)",
            [key.into(), expected_version.into(), tenant.into()],
            Expect::Exactly(1),
        );
        audit::push(&mut change, tenant, record, &self.token());
        match self.engine.execute(change).await {
            Ok(_) => Ok(()),
            Err(Failure::Unexpected { statement, .. }) if statement == deleted => {
                Err(StoreError::Stale)
            }
            Err(failure) => Err(failure.into()),
        }
    }

    fn token(&self) -> String {
        self.clock.new_token().simple().to_string()
    }

    /// What a failed create (of the row `new`) or update means, with whoever stands in the way. When
    /// that one has gone meanwhile, the write has lost a race that is over: [`StoreError::Stale`].
    async fn refused(
        &self,
        tenant: &str,
        new: Option<&str>,
        write: &UserWrite,
        failure: Failure,
    ) -> StoreError {
        let constraint = match failure {
            Failure::Database(_) | Failure::Unavailable(_) | Failure::Undecided(_) => {
                return failure.into();
            }
            Failure::Violated { constraint, .. } => constraint,
            // An update's link stands already, for another row or as a tombstone.
            Failure::Unexpected { .. } => "links_entry_key".to_owned(),
        };
        self.in_the_way(tenant, new, write, &constraint).await.unwrap_or_else(|error| error)
    }

    async fn in_the_way(
        &self,
        tenant: &str,
        new: Option<&str>,
        write: &UserWrite,
        constraint: &str,
    ) -> Result<StoreError, StoreError> {
        // Whoever binds an entry that is bound collides with much; the link says why.
        if let Some(link) = &write.link
            && (new.is_some() || constraint == "links_entry_key")
        {
            let keys = std::slice::from_ref(&link.entry_key);
            match self.find_links(tenant, &link.repository, keys).await?.into_iter().next() {
                Some(LinkState::Row(row)) => return Ok(StoreError::Linked { id: row.id.clone() }),
                Some(LinkState::Tombstone { .. }) => return Ok(StoreError::Tombstone),
                None => {}
            }
        }
        let (attribute, sql, value) = match constraint {
            "users_owned_user_name" => (
                "userName",
                "SELECT id FROM users WHERE tenant = (SELECT key FROM tenants WHERE name = $1) \
                 AND owned_user_name = $2",
                owned_user_name(write),
            ),
            "users_owned_external_id" => (
                "externalId",
                "SELECT id FROM users WHERE tenant = (SELECT key FROM tenants WHERE name = $1) \
                 AND owned_external_id = $2",
                owned_external_id(write),
            ),
            "users_id" => (
                "id",
                "SELECT id FROM users WHERE tenant = (SELECT key FROM tenants WHERE name = $1) \
                 AND id = $2",
                new.map(str::to_owned),
            ),
            "links_entry_key" => return Ok(StoreError::Stale),
            other => return Err(StoreError::Database(format!("the write violates {other}"))),
        };
        let query = Query::new(sql, [tenant.into(), value.into()]);
        Ok(match self.engine.query(query).await?.first_mut() {
            Some(row) => StoreError::Taken { attribute, id: row.text()? },
            None => StoreError::Stale,
        })
    }
}

/// A write as the columns of the user's row hold it.
struct Held {
    shown_modified: i64,
    user_name_absent: i64,
    user_name: String,
    user_name_rest: String,
    owned_user_name: Option<String>,
    owned_external_id: Option<String>,
    own: String,
    view: Option<String>,
}

impl Held {
    fn of(write: &UserWrite) -> Result<Self, StoreError> {
        let name = text(&write.view, "userName").map(|name| index::compared(name, false));
        let (user_name, user_name_rest) = name.as_deref().map_or(("", ""), index::cut);
        let entry_modified = write.link.as_ref().and_then(|link| link.entry_modified);
        let at = milliseconds(write.at);
        Ok(Self {
            shown_modified: entry_modified.map_or(at, |entry| at.max(milliseconds(entry))),
            user_name_absent: i64::from(name.is_none()),
            user_name: user_name.to_owned(),
            user_name_rest: user_name_rest.to_owned(),
            owned_user_name: owned_user_name(write),
            owned_external_id: owned_external_id(write),
            own: encode(&write.own)?,
            view: if write.view == write.own { None } else { Some(encode(&write.view)?) },
        })
    }
}

fn owned_user_name(write: &UserWrite) -> Option<String> {
    let name = text(&write.view, "userName").filter(|_| write.owns_user_name)?;
    Some(index::compared(name, false).into_owned())
}

fn owned_external_id(write: &UserWrite) -> Option<String> {
    let id = text(&write.view, "externalId").filter(|_| write.owns_external_id)?;
    Some(index::compared(id, true).into_owned())
}

fn text<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a str> {
    attributes.get(name)?.as_str()
}

/// A number as `activid` writes ids: decimal without leading zeros.
fn number(id: &str) -> Option<i64> {
    let decimal = id.bytes().all(|byte| byte.is_ascii_digit()) && !id.starts_with('0');
    if decimal { id.parse().ok() } else { None }
}

/// Adds `items` to `values` and gives their names, `$3, $4, …`. The last one is repeated up to one
/// of few lengths, so that few texts of statements arise.
pub(super) fn list(values: &mut Vec<Datum>, items: impl Iterator<Item = Datum>) -> String {
    let first = values.len() + 1;
    values.extend(items);
    let count = values.len() + 1 - first;
    let length = [1, 8, 64, KEYS].into_iter().find(|length| *length >= count).unwrap_or(count);
    let last = values.last().cloned().unwrap_or(Datum::Null);
    values.resize(first - 1 + length, last);
    let names: Vec<_> = (first..first + length).map(|place| format!("${place}")).collect();
    names.join(", ")
}

pub(super) fn encode(attributes: &Attributes) -> Result<String, StoreError> {
    serde_json::to_string(attributes)
        .map_err(|error| StoreError::Database(format!("a row cannot be written: {error}")))
}

fn user_type(number: i64) -> Result<UserType, StoreError> {
    UserType::from_number(number)
        .ok_or_else(|| StoreError::Database(format!("a row has the unknown type {number}")))
}

/// A row as [`columns`] reads it.
pub(super) fn decode(row: &mut Row) -> Result<UserRow, StoreError> {
    let key = row.integer()?;
    let json = |text: &str| {
        serde_json::from_str(text)
            .map_err(|error| StoreError::Database(format!("row {key} holds no JSON: {error}")))
    };
    let (id, number) = (row.text()?, row.integer()?);
    let user_type = user_type(row.integer()?)?;
    let version = row.integer()?;
    let (created, last_modified) = (timestamp(row.integer()?)?, timestamp(row.integer()?)?);
    let own = json(&row.text()?)?;
    let link = match row.optional_text()? {
        None => None,
        Some(repository) => Some(LinkRow {
            repository,
            entry_key: row.text()?,
            dn: row.text()?,
            shadow: json(&row.text()?)?,
            seen: timestamp(row.integer()?)?,
            entry_modified: row.optional_integer()?.map(timestamp).transpose()?,
        }),
    };
    Ok(UserRow { key, id, number, user_type, version, created, last_modified, own, link })
}
