//! Tokens that the token endpoint gave out, and what there is to know of those of the configuration;
//! both are known by their digests.

use std::collections::HashMap;

use jiff::Timestamp;

use super::engine::{Change, Expect, Failure, Query, Row};
use super::resource::list;
use super::{Store, StoreError, milliseconds, timestamp};

/// How many tokens are shown at most.
const SHOWN: i64 = 10_000;
/// How many tokens of the configuration are asked for at once.
const TOGETHER: usize = 256;

/// A token that a client of a tenant got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedToken {
    pub tenant: String,
    pub client: String,
    /// What the token is for, where the client asked for less than it may.
    pub scope: Option<String>,
    pub issued: Timestamp,
    pub expires: Timestamp,
}

/// A token as the store tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptToken {
    /// By which it is revoked.
    pub number: i64,
    pub token: IssuedToken,
    /// To the minute.
    pub last_used: Option<Timestamp>,
}

/// What there is to know of a token of the configuration; nothing of one that was never used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StaticToken {
    /// To the minute.
    pub last_used: Option<Timestamp>,
    /// Since when it is good no longer.
    pub revoked: Option<Timestamp>,
}

macro_rules! columns {
    () => {
        "key, tenant, client, scope, issued, expires, last_used"
    };
}

impl Store {
    /// Keeps a new token under its digest (hex). What has expired goes, and so do the client's
    /// oldest where it would have more than `most`.
    pub async fn issue_token(
        &self,
        digest: &str,
        token: &IssuedToken,
        most: u32,
    ) -> Result<(), StoreError> {
        let mut change = Change::default();
        change.push(
            "DELETE FROM issued_tokens WHERE expires <= $1",
            [milliseconds(token.issued).into()],
            Expect::Any,
        );
        change.push(
            "DELETE FROM issued_tokens WHERE tenant = $1 AND client = $2 AND key <= \
             (SELECT key FROM issued_tokens WHERE tenant = $1 AND client = $2 \
             ORDER BY key DESC LIMIT 1 OFFSET $3)",
            [
                token.tenant.as_str().into(),
                token.client.as_str().into(),
                i64::from(most.saturating_sub(1)).into(),
            ],
            Expect::Any,
        );
        change.push(
            "INSERT INTO issued_tokens (digest, tenant, client, scope, issued, expires) \
             VALUES ($1, $2, $3, $4, $5, $6)",
            [
                digest.into(),
                token.tenant.as_str().into(),
                token.client.as_str().into(),
                token.scope.as_deref().into(),
                milliseconds(token.issued).into(),
                milliseconds(token.expires).into(),
            ],
            Expect::Exactly(1),
        );
        self.engine.execute(change).await?;
        Ok(())
    }

    /// The token with this digest (hex), be it expired or not.
    pub async fn issued_token(&self, digest: &str) -> Result<Option<KeptToken>, StoreError> {
        let sql = concat!("SELECT ", columns!(), " FROM issued_tokens WHERE digest = $1");
        let mut rows = self.engine.query(Query::new(sql, [digest.into()])).await?;
        rows.first_mut().map(kept).transpose()
    }

    /// Notes that a token was used.
    pub async fn token_used(&self, number: i64, at: Timestamp) -> Result<(), StoreError> {
        let mut change = Change::default();
        change.push(
            "UPDATE issued_tokens SET last_used = $1 WHERE key = $2",
            [milliseconds(at).into(), number.into()],
            Expect::Any,
        );
        self.engine.execute(change).await?;
        Ok(())
    }

    /// The tokens that are good at an instant, the newest last; at most 10,000.
    pub async fn issued_tokens(&self, at: Timestamp) -> Result<Vec<KeptToken>, StoreError> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM issued_tokens WHERE expires > $1 ORDER BY key LIMIT $2"
        );
        let values = [milliseconds(at).into(), SHOWN.into()];
        self.engine.query(Query::new(sql, values)).await?.iter_mut().map(kept).collect()
    }

    /// Takes a token back; whether there was one.
    pub async fn revoke_token(&self, number: i64) -> Result<bool, StoreError> {
        let mut change = Change::default();
        let sql = "DELETE FROM issued_tokens WHERE key = $1";
        change.push(sql, [number.into()], Expect::Exactly(1));
        match self.engine.execute(change).await {
            Ok(_) => Ok(true),
            Err(Failure::Unexpected { .. }) => Ok(false),
            Err(failure) => Err(failure.into()),
        }
    }
}

impl Store {
    /// What there is to know of the token of the configuration with this digest (hex).
    pub async fn static_token(&self, digest: &str) -> Result<StaticToken, StoreError> {
        let sql = "SELECT last_used, revoked FROM static_tokens WHERE digest = $1";
        let mut rows = self.engine.query(Query::new(sql, [digest.into()])).await?;
        rows.first_mut().map_or(Ok(StaticToken::default()), noted)
    }

    /// The same of many, by digest; one of which nothing is known is not among them.
    pub async fn static_tokens(
        &self,
        digests: &[String],
    ) -> Result<HashMap<String, StaticToken>, StoreError> {
        let mut found = HashMap::new();
        for some in digests.chunks(TOGETHER) {
            let mut values = Vec::new();
            let digests = list(&mut values, some.iter().map(|digest| digest.as_str().into()));
            let sql = format!(
                "SELECT digest, last_used, revoked FROM static_tokens WHERE digest IN ({digests})"
            );
            for mut row in self.engine.query(Query { sql: sql.into(), values }).await? {
                found.insert(row.text()?, noted(&mut row)?);
            }
        }
        Ok(found)
    }

    /// Notes that a token of the configuration was used.
    pub async fn static_token_used(&self, digest: &str, at: Timestamp) -> Result<(), StoreError> {
        let mut change = Change::default();
        change.push(
            "INSERT INTO static_tokens (digest, last_used) VALUES ($1, $2) \
             ON CONFLICT (digest) DO UPDATE SET last_used = excluded.last_used",
            [digest.into(), milliseconds(at).into()],
            Expect::Exactly(1),
        );
        self.engine.execute(change).await?;
        Ok(())
    }

    /// Takes a token of the configuration back, for good: one that was revoked before stays so since
    /// then.
    pub async fn revoke_static_token(&self, digest: &str, at: Timestamp) -> Result<(), StoreError> {
        let mut change = Change::default();
        change.push(
            "INSERT INTO static_tokens (digest, revoked) VALUES ($1, $2) ON CONFLICT (digest) \
             DO UPDATE SET revoked = COALESCE(static_tokens.revoked, excluded.revoked)",
            [digest.into(), milliseconds(at).into()],
            Expect::Exactly(1),
        );
        self.engine.execute(change).await?;
        Ok(())
    }
}

/// The last two columns of a row.
fn noted(row: &mut Row) -> Result<StaticToken, StoreError> {
    let last_used = row.optional_integer()?.map(timestamp).transpose()?;
    let revoked = row.optional_integer()?.map(timestamp).transpose()?;
    Ok(StaticToken { last_used, revoked })
}

fn kept(row: &mut Row) -> Result<KeptToken, StoreError> {
    Ok(KeptToken {
        number: row.integer()?,
        token: IssuedToken {
            tenant: row.text()?,
            client: row.text()?,
            scope: row.optional_text()?,
            issued: timestamp(row.integer()?)?,
            expires: timestamp(row.integer()?)?,
        },
        last_used: row.optional_integer()?.map(timestamp).transpose()?,
    })
}
