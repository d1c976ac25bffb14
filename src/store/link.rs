//! Links: which entry of which repository is bound to which row, and what is left of a link whose
//! row is deleted.

use super::engine::{Change, Expect, Query, Value};
use super::resource::{KEYS, columns, decode, encode, list};
use super::{LinkRow, LinkState, Presence, Store, StoreError, milliseconds, presence};

impl Store {
    /// What these entries of a repository are bound to, in no order; unbound ones are missing.
    pub async fn find_links(
        &self,
        tenant: &str,
        repository: &str,
        entry_keys: &[String],
    ) -> Result<Vec<LinkState>, StoreError> {
        let mut found = Vec::new();
        for chunk in entry_keys.chunks(KEYS) {
            let mut values = vec![tenant.into(), repository.into()];
            let keys = list(&mut values, chunk.iter().map(|key| key.as_str().into()));
            let sql = format!(
                "SELECT l.entry_key, {} FROM links l LEFT JOIN resources r ON r.key = l.user_key \
                 WHERE l.tenant = (SELECT key FROM tenants WHERE name = $1) \
                 AND l.repository = $2 AND l.entry_key IN ({keys})",
                columns!()
            );
            let mut bound = Vec::new();
            for mut row in self.engine.query(Query { sql: sql.into(), values }).await? {
                let entry_key = row.text()?;
                if row.is_null() {
                    found.push(LinkState::Tombstone { entry_key });
                } else {
                    bound.push(decode(&mut row)?);
                }
            }
            found.extend(self.whole(bound, true).await?.into_iter().map(LinkState::Row));
        }
        Ok(found)
    }

    /// The keys of at most `limit` entries of a repository whose users are deleted, in no order.
    pub async fn tombstones(
        &self,
        tenant: &str,
        repository: &str,
        limit: u64,
    ) -> Result<Vec<String>, StoreError> {
        // `+`: out of the index of links that lead nowhere, in place of all links of the repository.
        let sql = "SELECT entry_key FROM links WHERE user_key IS NULL \
                   AND +tenant = (SELECT key FROM tenants WHERE name = $1) \
                   AND repository = $2 LIMIT $3";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows =
            self.engine.query(Query::new(sql, [tenant.into(), repository.into(), limit.into()]));
        rows.await?.iter_mut().map(|row| Ok(row.text()?)).collect()
    }

    /// Whether the user that this entry was bound to is deleted.
    pub async fn is_tombstone(
        &self,
        tenant: &str,
        repository: &str,
        entry_key: &str,
    ) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM links WHERE tenant = (SELECT key FROM tenants WHERE name = $1) \
                   AND repository = $2 AND entry_key = $3 AND user_key IS NULL";
        let values = [tenant.into(), repository.into(), entry_key.into()];
        Ok(!self.engine.query(Query::new(sql, values)).await?.is_empty())
    }
}

impl LinkRow {
    /// Whether both are of one entry.
    fn is_of(&self, other: &Self) -> bool {
        (&self.repository, &self.entry_key) == (&other.repository, &other.entry_key)
    }

    /// Whether the entry was seen again after it was seen as in `old`; else what is known of it is
    /// what was known.
    fn is_sighted_since(&self, old: &Self) -> bool {
        milliseconds(self.seen) != milliseconds(old.seen)
            || self.presence.digest != old.presence.digest
            || (self.presence.missing.is_none() && old.presence.missing.is_some())
    }

    /// As it is read back: instants in whole milliseconds.
    pub(super) fn stored(&self) -> Self {
        let whole = |at| super::timestamp(milliseconds(at)).unwrap_or(at);
        let (seen, entry_modified) = (whole(self.seen), self.entry_modified.map(whole));
        let (missing, vanished) =
            (self.presence.missing.map(whole), self.presence.vanished.map(whole));
        let presence = Presence { missing, vanished, ..self.presence };
        Self { seen, entry_modified, presence, ..self.clone() }
    }
}

/// The link of a new row.
pub(super) fn push_new(
    change: &mut Change,
    tenant: &Value,
    user: &Value,
    link: &LinkRow,
    revive: bool,
) -> Result<(), StoreError> {
    if revive {
        change.push(
            "DELETE FROM links WHERE tenant = $1 AND repository = $2 AND entry_key = $3 \
             AND user_key IS NULL",
            [tenant.clone(), link.repository.as_str().into(), link.entry_key.as_str().into()],
            Expect::Any,
        );
    }
    change.push(
        "INSERT INTO links \
         (tenant, repository, entry_key, user_key, dn, shadow, seen, entry_modified, scope, digest, \
         missing, vanished, verified) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $7)",
        values(tenant, user, link)?,
        Expect::Exactly(1),
    );
    Ok(())
}

/// The upsert of a link that is bound to the user already, or to nobody.
macro_rules! replaced {
    ($condition:literal) => {
        concat!(
            "INSERT INTO links \
             (tenant, repository, entry_key, user_key, dn, shadow, seen, entry_modified, scope, \
             digest, missing, vanished, verified) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $7) \
             ON CONFLICT (tenant, repository, entry_key) DO UPDATE SET shadow = excluded.shadow, \
             vanished = excluded.vanished WHERE links.user_key = excluded.user_key",
            $condition
        )
    };
}

/// The link of a row that stands, as it shall be: made, changed or taken away. `old` is what it was
/// made from; what moves no version may have come between: an entry that was seen later stays seen,
/// and a person who is not missing any more as in `old` does not vanish.
pub(super) fn push_replaced(
    change: &mut Change,
    tenant: &Value,
    user: i64,
    old: Option<&LinkRow>,
    link: Option<&LinkRow>,
) -> Result<(), StoreError> {
    let Some(link) = link else {
        push_removed(change, user, None);
        return Ok(());
    };
    change.push(
        "DELETE FROM links WHERE user_key = $1 AND NOT (repository = $2 AND entry_key = $3)",
        [user.into(), link.repository.as_str().into(), link.entry_key.as_str().into()],
        Expect::Any,
    );
    let old = old.filter(|old| old.is_of(link));
    let vanishes =
        link.presence.vanished.is_some() && old.is_some_and(|old| old.presence.vanished.is_none());
    let sql =
        if vanishes { replaced!(" AND links.missing = excluded.missing") } else { replaced!("") };
    change.push(sql, values(tenant, &user.into(), link)?, Expect::Exactly(1));
    if let Some(old) = old.filter(|old| link.is_sighted_since(old)) {
        presence::push_sight(change, user, old, link);
    }
    Ok(())
}

/// The link of a row that goes: a tombstone since `removed`, or nothing.
pub(super) fn push_removed(change: &mut Change, user: i64, removed: Option<i64>) {
    match removed {
        Some(at) => change.push(
            "UPDATE links SET user_key = NULL, removed = $1, dn = '', shadow = '{}', \
             entry_modified = NULL WHERE user_key = $2",
            [at.into(), user.into()],
            Expect::Any,
        ),
        None => change.push("DELETE FROM links WHERE user_key = $1", [user.into()], Expect::Any),
    };
}

fn values(tenant: &Value, user: &Value, link: &LinkRow) -> Result<[Value; 12], StoreError> {
    Ok([
        tenant.clone(),
        link.repository.as_str().into(),
        link.entry_key.as_str().into(),
        user.clone(),
        link.dn.as_str().into(),
        encode(&link.shadow)?.into(),
        milliseconds(link.seen).into(),
        link.entry_modified.map(milliseconds).into(),
        link.presence.scope.into(),
        link.presence.digest.into(),
        link.presence.missing.map(milliseconds).into(),
        link.presence.vanished.map(milliseconds).into(),
    ])
}
