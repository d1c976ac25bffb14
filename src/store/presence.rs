//! Whether the entries that users are bound to are there, as far as reads by key have told: since when
//! one is missing, who left, and who was not looked for the longest time.
//!
//! Knows nothing of directories, and decides about nobody.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::engine::{Change, Datum, Expect, Failure, Query, Row, Statement, Value};
use super::resource::{KEYS, list};
use super::{
    LinkRow, LinkState, ResourceRow, ResourceWrite, Store, StoreError, milliseconds, timestamp,
};

/// What is so far ahead of the clock was noted before the clock was set back; what is less may be
/// another program's, whose clock is ahead of ours.
pub const AHEAD: SignedDuration = SignedDuration::from_mins(1);

/// What is known of an entry's presence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// Stands for the part of the repository in which the entry was seen. Of an entry that is not
    /// found in another part nothing is told; nor of one that was bound before this was kept, until it
    /// is seen.
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
    /// Not found, which tells nothing: they were never seen in this part.
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
    /// Stands for when they vanished: another number where it was others, or at another time.
    pub mark: i64,
    /// Not found, of whom nothing can be told: they were bound before it was kept where somebody is
    /// seen, and were not seen since.
    pub never_seen: u64,
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

/// So many milliseconds of each instant are in a sum of them, which so many links do not overflow.
const MARK: i64 = 1 << 40;

impl Census {
    /// What somebody who vanished then adds to [`Census::mark`].
    pub fn mark_of(vanished: Timestamp) -> i64 {
        milliseconds(vanished).rem_euclid(MARK)
    }
}

impl Store {
    /// Whom to look for now, at most `limit`: first, and for half of it, the missing ones that were not
    /// looked for again although `grace` milliseconds have passed at `now`; then those whose last read
    /// was before `before`, the longest ago first, but for the first `passed_over` of them. Whose last
    /// read is in times to come was read before the clock was set back.
    pub async fn unverified(
        &self,
        (tenant, repository): (&str, &str),
        before: Timestamp,
        (now, grace): (Timestamp, i64),
        limit: u64,
        passed_over: u64,
    ) -> Result<Vec<Linked>, StoreError> {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let (half, over) = (whole(limit.div_ceil(2)), whole(passed_over));
        let (ahead, long_ago) = (milliseconds(now + AHEAD), milliseconds(before));
        let past = milliseconds(now) - grace;
        let again = Query::new(
            of_repository!(
                "SELECT entry_key, dn, scope, digest, missing, vanished FROM links",
                " AND missing IS NOT NULL AND missing <= $3 AND vanished IS NULL \
                 AND verified < missing + $4 ORDER BY missing LIMIT $5"
            ),
            [tenant.into(), repository.into(), past.into(), grace.into(), half.into()],
        );
        let ahead = Query::new(
            of_repository!(
                "SELECT entry_key, dn, scope, digest, missing, vanished FROM links",
                " AND verified > $3 ORDER BY verified DESC LIMIT $4"
            ),
            [tenant.into(), repository.into(), ahead.into(), half.into()],
        );
        let limited = whole(limit).into();
        let oldest = Query::new(
            of_repository!(
                "SELECT entry_key, dn, scope, digest, missing, vanished FROM links",
                " AND verified <= $3 ORDER BY verified LIMIT $4 OFFSET $5"
            ),
            [tenant.into(), repository.into(), long_ago.into(), limited, over.into()],
        );
        let mut found: Vec<Linked> = Vec::new();
        let mut known = std::collections::HashSet::new();
        for query in [again, ahead, oldest] {
            for mut row in self.engine.query(query).await? {
                let (entry_key, dn) = (row.text()?, row.text()?);
                let presence = Presence::read(&mut row)?;
                if known.insert(entry_key.clone()) {
                    found.push(Linked { entry_key, dn, presence });
                }
            }
        }
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
        // An absence does not count where the entry was seen later.
        let unseen = format!(" AND (seen <= $1 OR seen > $1 + {})", AHEAD.as_millis());
        let lists: [(&str, Option<i64>, &[String], &str); 3] = [
            (
                "verified = $1, scope = $2, missing = NULL",
                Some(*scope),
                found,
                " AND vanished IS NULL",
            ),
            (
                "verified = $1, missing = CASE WHEN missing <= $1 THEN missing ELSE $1 END",
                None,
                absent,
                &unseen,
            ),
            // Whoever had vanished stays so; nobody else is missing.
            (
                "verified = $1, missing = CASE WHEN vanished IS NULL THEN NULL ELSE missing END",
                None,
                elsewhere,
                "",
            ),
        ];
        let mut change = Change::default();
        for (set, scope, keys, condition) in lists {
            for chunk in keys.chunks(KEYS) {
                let mut values: Vec<Value> = vec![at.into()];
                values.extend(scope.map(Value::from));
                let first = values.len() + 1;
                values.extend([tenant.into(), repository.into()]);
                let keys = list(&mut values, chunk.iter().map(|key| key.as_str().into()));
                let sql = format!(
                    "UPDATE links SET {set} \
                     WHERE tenant = (SELECT key FROM tenants WHERE name = ${first}) \
                     AND repository = ${} AND user_key IS NOT NULL \
                     AND entry_key IN ({keys}){condition}",
                    first + 1
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

    /// How many bound users of a repository are there and how many are not; [`Census::recent`] after
    /// `since`, and not after `until`: in times to come is what was entered before the clock was set
    /// back.
    pub async fn census(
        &self,
        (tenant, repository): (&str, &str),
        (since, until): (Timestamp, Timestamp),
    ) -> Result<Census, StoreError> {
        // Each out of an index alone, so that it costs little with however many links.
        let sql = concat!(
            of_repository!("SELECT (SELECT COUNT(*) FROM links", "), "),
            of_repository!(
                "(SELECT COUNT(*) FROM links",
                " AND missing IS NOT NULL AND vanished IS NULL), "
            ),
            of_repository!(
                "(SELECT COUNT(*) FROM links",
                " AND missing IS NOT NULL AND vanished IS NOT NULL), "
            ),
            of_repository!(
                "(SELECT COUNT(*) FROM links",
                " AND missing IS NOT NULL AND vanished > $3 AND vanished <= $4), "
            ),
            of_repository!(
                "(SELECT CAST(COALESCE(SUM(vanished % $5), 0) AS BIGINT) FROM links",
                " AND missing IS NOT NULL AND vanished IS NOT NULL), "
            ),
            of_repository!(
                "(SELECT COUNT(*) FROM links",
                " AND scope IS NULL AND missing IS NULL AND verified > 0), "
            ),
            of_repository!(
                "(SELECT CASE verified WHEN 0 THEN seen ELSE verified END FROM links",
                " ORDER BY verified LIMIT 1)"
            ),
        );
        let (since, until) = (milliseconds(since).into(), milliseconds(until).into());
        let values = [tenant.into(), repository.into(), since, until, MARK.into()];
        let mut rows = self.engine.query(Query::new(sql, values)).await?;
        let Some(row) = rows.first_mut() else { return Ok(Census::default()) };
        let count =
            |row: &mut Row| Ok::<u64, Failure>(u64::try_from(row.integer()?).unwrap_or_default());
        let (linked, missing, vanished) = (count(row)?, count(row)?, count(row)?);
        let (recent, mark, never_seen) = (count(row)?, row.integer()?, count(row)?);
        let oldest = row.optional_integer()?.map(timestamp).transpose()?;
        Ok(Census { linked, missing, vanished, recent, mark, never_seen, oldest })
    }

    /// How many bound users of a repository were looked for at `since` or later, of those who are there
    /// or vanished within the window, as in [`Store::census`]; no more than `most` are counted.
    pub async fn looked_for(
        &self,
        (tenant, repository): (&str, &str),
        since: Timestamp,
        (start, end): (Timestamp, Timestamp),
        most: u64,
    ) -> Result<u64, StoreError> {
        let sql = of_repository!(
            "SELECT COUNT(*) FROM (SELECT 1 FROM links",
            " AND verified >= $3 AND (vanished IS NULL OR (vanished > $4 AND vanished <= $5)) \
             LIMIT $6) AS counted"
        );
        let [since, start, end] = [since, start, end].map(|at| milliseconds(at).into());
        let most: Datum = i64::try_from(most).unwrap_or(i64::MAX).into();
        let values = [tenant.into(), repository.into(), since, start, end, most];
        let mut rows = self.engine.query(Query::new(sql, values)).await?;
        let count = rows.first_mut().map(Row::integer).transpose()?;
        Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default())
    }

    /// The users of a repository who vanished after `since` and not after `until`, at most `limit`.
    pub async fn vanished(
        &self,
        (tenant, repository): (&str, &str),
        (since, until): (Timestamp, Timestamp),
        limit: u64,
    ) -> Result<Vec<Arc<ResourceRow>>, StoreError> {
        let sql = of_repository!(
            "SELECT entry_key FROM links",
            " AND missing IS NOT NULL AND vanished > $3 AND vanished <= $4 LIMIT $5"
        );
        let limit: Datum = i64::try_from(limit).unwrap_or(i64::MAX).into();
        let (since, until) = (milliseconds(since).into(), milliseconds(until).into());
        let values = [tenant.into(), repository.into(), since, until, limit];
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
            } else if let (Some(old), Some(new)) = (&row.link, &write.link) {
                push_sight(&mut change, row.key, old, new);
            }
        }
        self.engine.execute_behind(change).await.map(drop)
    }
}

/// The entry of a link was seen again; `old` is what was known of it when that was found to be news.
/// What was seen later stays, and so does an absence that was found later: later than `old` whatever
/// the clocks say, or else by the clocks.
pub(super) fn push_sight(change: &mut Change, user: i64, old: &LinkRow, new: &LinkRow) {
    let seen = milliseconds(new.seen);
    // What is kept of an entry beside the values in the shadow goes together with these.
    let anew = old.shadow != new.shadow || old.given != new.given;
    let before = if anew { i64::MAX } else { milliseconds(old.seen).max(seen - 1) };
    change.push(
        "UPDATE links SET dn = $1, seen = $2, entry_modified = $3, scope = $4, digest = $5, \
         missing = CASE WHEN missing > $2 AND missing <> $6 THEN missing END \
         WHERE user_key = $7 AND entry_key = $8 AND vanished IS NULL AND seen <= $9",
        [
            new.dn.as_str().into(),
            seen.into(),
            new.entry_modified.map(milliseconds).into(),
            new.presence.scope.into(),
            new.presence.digest.into(),
            old.presence.missing.map_or(0, milliseconds).into(),
            user.into(),
            new.entry_key.as_str().into(),
            before.into(),
        ],
        Expect::Any,
    );
}
