//! Forgetting deleted users: what still leads from the audit trail, or from an entry of a directory, to
//! a person who has no row any more.
//!
//! Of a deleted user nothing is kept that says who it was, but the canonical id behind the trail's
//! token and, so that it is found again, a keyed digest of the `externalId`.

use std::collections::BTreeSet;

use aws_lc_rs::hmac;

use super::engine::{Change, Expect, Failure, Query, Row};
use super::{ResourceRow, Store, StoreError, TypeName, audit, index};
use crate::audit::AuditRecord;

/// Under which name the store keeps the key of the digests.
const KEY: &str = "departed";

/// A user who was deleted and is not forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departed {
    /// Canonical id.
    pub id: String,
    /// Repository and key of the entry that the user was bound to.
    pub link: Option<(String, String)>,
}

impl Store {
    /// The deleted users who had this `externalId`, as it is compared; the last one deleted comes
    /// first.
    pub async fn departed(
        &self,
        tenant: &str,
        external_id: &str,
    ) -> Result<Vec<Departed>, StoreError> {
        let digest = self.digest(tenant, external_id).await?;
        let sql = "SELECT d.person, d.repository, d.entry_key FROM departed d \
                   WHERE d.tenant = (SELECT key FROM tenants WHERE name = $1) AND d.digest = $2 \
                   ORDER BY d.removed DESC, d.person";
        let rows = self.engine.query(Query::new(sql, [tenant.into(), digest.into()])).await?;
        rows.into_iter().map(|mut row| departed(&mut row)).collect()
    }

    /// The deleted user with this canonical id, if the trail knows of one that has no row.
    pub async fn departed_as(
        &self,
        tenant: &str,
        id: &str,
    ) -> Result<Option<Departed>, StoreError> {
        let sql = "SELECT p.person, d.repository, d.entry_key FROM audit_persons p \
                   LEFT JOIN departed d ON d.tenant = p.tenant AND d.person = p.person \
                   WHERE p.tenant = (SELECT key FROM tenants WHERE name = $1) AND p.person = $2 \
                   AND EXISTS (SELECT 1 FROM audit a WHERE a.tenant = p.tenant \
                   AND a.token = p.token AND a.action = 'user.delete') \
                   AND NOT EXISTS (SELECT 1 FROM resources r WHERE r.tenant = p.tenant \
                   AND r.id = p.person) LIMIT 1";
        let mut rows = self.engine.query(Query::new(sql, [tenant.into(), id.into()])).await?;
        rows.first_mut().map(departed).transpose()
    }

    /// Takes away what leads to these deleted users: who their tokens are, what is left of their
    /// links, the digests they are found by, and what imports say of rows with one of the `names`.
    /// Nothing is done, and this is false, where one of them was forgotten, or has a row again,
    /// meanwhile.
    pub async fn forget(
        &self,
        tenant: &str,
        people: &[Departed],
        names: &[&str],
        record: AuditRecord,
    ) -> Result<bool, StoreError> {
        let mut change = Change::default();
        for Departed { id, .. } in people {
            // Whoever is forgotten has no token any more.
            change.push(
                "UPDATE audit_persons SET person = person \
                 WHERE tenant = (SELECT key FROM tenants WHERE name = $1) AND person = $2",
                [tenant.into(), id.as_str().into()],
                Expect::Exactly(1),
            );
        }
        audit::push(&mut change, tenant, record, || self.token());
        for Departed { id, link } in people {
            change.push(
                "DELETE FROM audit_persons \
                 WHERE tenant = (SELECT key FROM tenants WHERE name = $1) AND person = $2 \
                 AND NOT EXISTS (SELECT 1 FROM resources r \
                 WHERE r.tenant = audit_persons.tenant AND r.id = audit_persons.person)",
                [tenant.into(), id.as_str().into()],
                Expect::Exactly(1),
            );
            change.push(
                "DELETE FROM departed \
                 WHERE tenant = (SELECT key FROM tenants WHERE name = $1) AND person = $2",
                [tenant.into(), id.as_str().into()],
                Expect::Any,
            );
            // An authenticator's id begins with its owner's; '/' comes behind '.'.
            change.push(
                "DELETE FROM audit_persons \
                 WHERE tenant = (SELECT key FROM tenants WHERE name = $1) \
                 AND person > $2 AND person < $3",
                [tenant.into(), format!("{id}.").into(), format!("{id}/").into()],
                Expect::Any,
            );
            if let Some((repository, entry_key)) = link {
                change.push(
                    "DELETE FROM links WHERE tenant = (SELECT key FROM tenants WHERE name = $1) \
                     AND repository = $2 AND entry_key = $3 AND user_key IS NULL",
                    [tenant.into(), repository.as_str().into(), entry_key.as_str().into()],
                    Expect::Any,
                );
            }
        }
        for name in names {
            change.push(
                "DELETE FROM import_faults WHERE name = $1 \
                 AND import_key IN (SELECT i.key FROM imports i WHERE i.tenant = $2)",
                [(*name).into(), tenant.into()],
                Expect::Any,
            );
        }
        match self.engine.execute(change).await {
            Ok(_) => Ok(true),
            Err(Failure::Unexpected { .. }) => Ok(false),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Adds the statements by which a user who is deleted is found again to `change`.
    pub(super) async fn push_departed(
        &self,
        change: &mut Change,
        tenant: &str,
        row: &ResourceRow,
        at: i64,
    ) -> Result<(), StoreError> {
        if row.type_name != TypeName::User {
            return Ok(());
        }
        let own = row.own.get("externalId");
        let seen = row.link.as_ref().and_then(|link| link.shadow.get("externalId"));
        let known: BTreeSet<&str> =
            own.into_iter().chain(seen).filter_map(|id| id.as_str()).collect();
        for external_id in known {
            let digest = self.digest(tenant, external_id).await?;
            let link = row.link.as_ref();
            change.push(
                "INSERT INTO departed (tenant, digest, person, repository, entry_key, removed) \
                 VALUES ((SELECT key FROM tenants WHERE name = $1), $2, $3, $4, $5, $6) \
                 ON CONFLICT (tenant, digest, person) DO UPDATE SET \
                 repository = excluded.repository, entry_key = excluded.entry_key, \
                 removed = excluded.removed",
                [
                    tenant.into(),
                    digest.into(),
                    row.id.as_str().into(),
                    link.map(|link| link.repository.as_str()).into(),
                    link.map(|link| link.entry_key.as_str()).into(),
                    at.into(),
                ],
                Expect::Exactly(1),
            );
        }
        Ok(())
    }

    /// What stands for an `externalId` of the tenant: nobody without the store's key computes it.
    async fn digest(&self, tenant: &str, external_id: &str) -> Result<String, StoreError> {
        let key = self.departed_key.get_or_try_init(async || {
            let key = self.key(KEY).await?;
            Ok::<_, StoreError>(hmac::Key::new(hmac::HMAC_SHA256, key.expose()))
        });
        let mut context = hmac::Context::with_key(key.await?);
        context.update(tenant.as_bytes());
        context.update(&[0]);
        context.update(index::identity(index::compared(external_id, true)).as_bytes());
        let tag = context.sign();
        Ok(tag.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
            use std::fmt::Write as _;
            // Writing to a String does not fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        }))
    }
}

fn departed(row: &mut Row) -> Result<Departed, StoreError> {
    let id = row.text()?;
    let (repository, entry_key) = (row.optional_text()?, row.optional_text()?);
    Ok(Departed { id, link: repository.zip(entry_key) })
}
