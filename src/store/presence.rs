//! Whether the entries that users are bound to are there, as far as reads by key have told: since when
//! one is missing, who left, and who was not looked for the longest time.
//!
//! Knows nothing of directories, and decides about nobody.

use std::sync::Arc;

use jiff::Timestamp;

use super::engine::{Change, Datum, Expect, Failure, Query, Row, Statement, Value};
use super::resource::{KEYS, list};
use super::{
    LinkRow, LinkState, ResourceRow, ResourceWrite, Store, StoreError, milliseconds, timestamp,
};

/// What is known of an entry's presence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// Stands for the part of the repository in which the entry was seen. Of an entry that is not
    /// found in another part nothing is told.
    pub scope: Option<i64>,
    /// Of the values in the shadow, to see at once whether an entry has others.
    pub digest: Option<i64>,
    /// Since when reads do not find the entry.
    pub missing: Option<Timestamp>,
    /// When it was concluded that the person left.
    pub vanished: Option<Timestamp>,
}

impl Presence {
    /// From `scope, digest, missing, vanished`.
    pub(super) fn read(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            scope: row.optional_integer()?,
            digest: row.optional_integer()?,
            missing: row.optional_integer()?.map(timestamp).transpose()?,
            vanished: row.optional_integer()?.map(timestamp).transpose()?,
        })
    }
}

/// A link as it is looked for in its repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    pub entry_key: String,
    pub dn: String,
    pub presence: Presence,
}

/// What reads by key told at one time. Whoever is in none of the lists is as before.
#[derive(Debug)]
pub struct Verified<'a> {
    pub at: Timestamp,
    /// Where was looked.
    pub scope: i64,
    pub found: &'a [String],
    pub absent: &'a [String],
    /// Not found, which tells nothing: they were seen in another part.
    pub elsewhere: &'a [String],
}

/// How the bound users of one repository stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    pub linked: u64,
    /// Not found, and not yet believed gone.
    pub missing: u64,
    pub vanished: u64,
    /// Of these the ones since a certain time.
    pub recent: u64,
    /// When the one was read whose last read is the longest ago.
    pub oldest: Option<Timestamp>,
}

/// A row whose entry was seen, and what is to be kept of it.
#[derive(Clone, Debug)]
pub struct Refresh {
    pub row: Arc<ResourceRow>,
    pub write: ResourceWrite,
    /// Whether a value is another one, which makes a new version; else the link alone is written.
    pub values: bool,
}

macro_rules! of_repository {
    ($start:literal, $rest:literal) => {
        concat!(
            $start,
            " WHERE tenant = (SELECT key FROM tenants WHERE name = $1) AND repository = $2 \
             AND user_key IS NOT NULL",
            $rest
        )
    };
}

impl Store {
    /// Whom to look for now, at most `limit`: first the missing ones that were not looked for again
    /// although `grace` milliseconds have passed at `now`, then those whose last read was before
    /// `before`, the longest ago first.
    pub async fn unverified(
        &self,
        (tenant, repository): (&str, &str),
        before: Timestamp,
        (now, grace): (Timestamp, i64),
        limit: u64,
    ) -> Result<Vec<Linked>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let again = Query::new(
            of_repository!(
                "SELECT entry_key, dn, scope, digest, missing, vanished FROM links",
                " AND missing IS NOT NULL AND missing <= $3 AND vanished IS NULL \
                 AND verified < missing + $4 ORDER BY missing LIMIT $5"
            ),
            [
                tenant.into(),
                repository.into(),
                (milliseconds(now) - grace).into(),
                grace.into(),
                limit.into(),
            ],
        );
        let oldest = Query::new(
            of_repository!(
                "SELECT entry_key, dn, scope, digest, missing, vanished FROM links",
                " AND verified <= $3 ORDER BY verified LIMIT $4"
            ),
            [tenant.into(), repository.into(), milliseconds(before).into(), limit.into()],
        );
        let mut found: Vec<Linked> = Vec::new();
        for query in [again, oldest] {
            for mut row in self.engine.query(query).await? {
                let (entry_key, dn) = (row.text()?, row.text()?);
                found.push(Linked { entry_key, dn, presence: Presence::read(&mut row)? });
            }
        }
        let mut known = std::collections::HashSet::new();
        found.retain(|linked| known.insert(linked.entry_key.clone()));
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }

    /// Keeps what reads by key told.
    pub async fn verified(
        &self,
        (tenant, repository): (&str, &str),
        verified: &Verified<'_>,
    ) -> Result<(), StoreError> {
        let Verified { at, scope, found, absent, elsewhere } = verified;
        let at = milliseconds(*at);
        let lists: [(&str, &[String], &str); 3] = [
            ("verified = $1, scope = $2, missing = NULL", found, " AND vanished IS NULL"),
            (
                "verified = $1, scope = COALESCE(scope, $2), missing = COALESCE(missing, $1)",
                absent,
                "",
            ),
            // Whoever had vanished stays so; nobody else is missing.
            (
                "verified = $1, scope = COALESCE(scope, $2), \
                 missing = CASE WHEN vanished IS NULL THEN NULL ELSE missing END",
                elsewhere,
                "",
            ),
        ];
        let mut change = Change::default();
        for (set, keys, condition) in lists {
            for chunk in keys.chunks(KEYS) {
                let mut values: Vec<Value> =
                    vec![at.into(), (*scope).into(), tenant.into(), repository.into()];
                let keys = list(&mut values, chunk.iter().map(|key| key.as_str().into()));
                let sql = format!(
                    "UPDATE links SET {set} WHERE tenant = (SELECT key FROM tenants WHERE name = $3) \
                     AND repository = $4 AND user_key IS NOT NULL AND entry_key IN ({keys}){condition}"
                );
                change.statements.push(Statement { sql: sql.into(), values, expect: Expect::Any });
            }
        }
        if !change.statements.is_empty() {
            self.engine.execute_behind(change).await?;
        }
        Ok(())
    }

    /// Has these entries looked for as if the last read had been at `before`, unless they are missing
    /// already.
    pub async fn verify_soon(
        &self,
        (tenant, repository): (&str, &str),
        entry_keys: &[String],
        before: Timestamp,
    ) -> Result<(), StoreError> {
        let mut change = Change::default();
        for chunk in entry_keys.chunks(KEYS) {
            let at = milliseconds(before).into();
            let mut values: Vec<Value> = vec![at, tenant.into(), repository.into()];
            let keys = list(&mut values, chunk.iter().map(|key| key.as_str().into()));
            let sql = format!(
                "UPDATE links SET verified = $1 \
                 WHERE tenant = (SELECT key FROM tenants WHERE name = $2) AND repository = $3 \
                 AND user_key IS NOT NULL AND verified > $1 AND missing IS NULL \
                 AND entry_key IN ({keys})"
            );
            change.statements.push(Statement { sql: sql.into(), values, expect: Expect::Any });
        }
        self.engine.execute_behind(change).await?;
        Ok(())
    }

    /// How many bound users of a repository are there and how many are not; [`Census::recent`] since
    /// `since`.
    pub async fn census(
        &self,
        (tenant, repository): (&str, &str),
        since: Timestamp,
    ) -> Result<Census, StoreError> {
        let sql = "SELECT COUNT(*), \
                   COUNT(CASE WHEN missing IS NOT NULL AND vanished IS NULL THEN 1 END), \
                   COUNT(vanished), COUNT(CASE WHEN vanished > $1 THEN 1 END), \
                   MIN(COALESCE(NULLIF(verified, 0), seen)) \
                   FROM links WHERE tenant = (SELECT key FROM tenants WHERE name = $2) \
                   AND repository = $3 AND user_key IS NOT NULL";
        let values = [milliseconds(since).into(), tenant.into(), repository.into()];
        let mut rows = self.engine.query(Query::new(sql, values)).await?;
        let Some(row) = rows.first_mut() else { return Ok(Census::default()) };
        let mut count = || Ok::<u64, Failure>(u64::try_from(row.integer()?).unwrap_or_default());
        let (linked, missing, vanished, recent) = (count()?, count()?, count()?, count()?);
        let oldest = row.optional_integer()?.map(timestamp).transpose();
        oldest.map(|oldest| Census { linked, missing, vanished, recent, oldest })
    }

    /// The users of a repository who vanished after `since`, at most `limit`.
    pub async fn vanished(
        &self,
        (tenant, repository): (&str, &str),
        since: Timestamp,
        limit: u64,
    ) -> Result<Vec<Arc<ResourceRow>>, StoreError> {
        let sql = of_repository!(
            "SELECT entry_key FROM links",
            " AND missing IS NOT NULL AND vanished > $3 LIMIT $4"
        );
        let limit: Datum = i64::try_from(limit).unwrap_or(i64::MAX).into();
        let values = [tenant.into(), repository.into(), milliseconds(since).into(), limit];
        let rows = self.engine.query(Query::new(sql, values)).await?;
        let keys: Result<Vec<String>, Failure> =
            rows.into_iter().map(|mut row| row.text()).collect();
        let states = self.find_links(tenant, repository, &keys?).await?.into_iter();
        let row = |state| match state {
            LinkState::Row(row) => Some(row),
            LinkState::Tombstone { .. } => None,
        };
        Ok(states.filter_map(row).collect())
    }

    /// Keeps what was seen of entries. A row that changed meanwhile is passed over: it will be seen
    /// again.
    pub async fn refresh(&self, tenant: &str, seen: &[Refresh]) -> Result<(), StoreError> {
        match self.refresh_at_once(tenant, seen).await {
            Err(Failure::Unexpected { .. }) => {}
            outcome => return Ok(outcome?),
        }
        for one in seen {
            match self.refresh_at_once(tenant, std::slice::from_ref(one)).await {
                Err(Failure::Unexpected { .. }) => {}
                outcome => outcome?,
            }
        }
        Ok(())
    }

    async fn refresh_at_once(&self, tenant: &str, seen: &[Refresh]) -> Result<(), Failure> {
        let mut change = Change::default();
        for Refresh { row, write, values } in seen {
            if *values {
                self.push_update(&mut change, tenant, row, write)
                    .map_err(|error| Failure::Database(error.to_string()))?;
            } else if let Some(link) = &write.link {
                push_seen(&mut change, row.key, link);
            }
        }
        self.engine.execute_behind(change).await.map(drop)
    }
}

/// The link of somebody who has the values that are known already.
fn push_seen(change: &mut Change, user: i64, link: &LinkRow) {
    change.push(
        "UPDATE links SET dn = $1, seen = $2, entry_modified = $3, scope = $4, digest = $5, \
         missing = NULL WHERE user_key = $6 AND entry_key = $7 AND vanished IS NULL",
        [
            link.dn.as_str().into(),
            milliseconds(link.seen).into(),
            link.entry_modified.map(milliseconds).into(),
            link.presence.scope.into(),
            link.presence.digest.into(),
            user.into(),
            link.entry_key.as_str().into(),
        ],
        Expect::Any,
    );
}
