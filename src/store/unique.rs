//! Values that no two resources of a type may share, beside names and `externalId`s.

use aws_lc_rs::digest::{SHA256, digest};

use super::engine::{Change, Expect, Query, Value};
use super::{ResourceWrite, Store, StoreError, TypeName, index};
use crate::scim::{Attributes, ResourceType};

/// Longer texts are told apart by their digests: no engine's index holds them whole.
const WHOLE: usize = 1024;

/// A value that only one resource of its type may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueValue {
    /// The canonical text of the attribute's path.
    pub path: String,
    /// As it is compared.
    value: String,
}

impl UniqueValue {
    /// What of these values, which the store owns, must be unique: those of simple attributes with
    /// one value that the type's schema or an extension declares so (RFC 7643 section 2.2), without
    /// the naming attribute and `externalId`. Sub-attributes are not looked at.
    pub fn all(kind: &ResourceType, own: &Attributes) -> Vec<Self> {
        let mut all = Vec::new();
        for path in index::unique(kind) {
            let terms = index::terms(&path, own);
            let Some(term) = terms.into_iter().next().filter(|term| !term.foreign) else {
                continue;
            };
            let whole = if term.rest.is_empty() { &term.fold } else { &term.rest };
            if whole.is_empty() {
                continue;
            }
            let value = if whole.len() > WHOLE {
                let digest = digest(&SHA256, whole.as_bytes());
                format!("{}…{:02x?}", term.fold, digest.as_ref())
            } else {
                whole.clone()
            };
            all.push(Self { path: path.text.clone(), value });
        }
        all
    }
}

/// Adds the statements that keep the unique values of a resource to `change`; of a resource that has
/// been there before, the others go.
pub(super) fn push(
    change: &mut Change,
    tenant: &Value,
    resource: &Value,
    type_name: &TypeName,
    values: &[UniqueValue],
    new: bool,
) {
    if !new {
        let sql = "DELETE FROM unique_values WHERE resource_key = $1";
        change.push(sql, [resource.clone()], Expect::Any);
    }
    for UniqueValue { path, value } in values {
        change.push(
            "INSERT INTO unique_values (resource_key, tenant, type, path, value) \
             VALUES ($1, $2, $3, $4, $5)",
            [
                resource.clone(),
                tenant.clone(),
                type_name.as_str().into(),
                path.as_str().into(),
                value.as_str().into(),
            ],
            Expect::Exactly(1),
        );
    }
}

impl Store {
    /// Which of the values of a write another resource has, and its id.
    pub(super) async fn holder(
        &self,
        tenant: &str,
        type_name: &TypeName,
        id: &str,
        write: &ResourceWrite,
    ) -> Result<StoreError, StoreError> {
        for UniqueValue { path, value } in &write.unique {
            let query = Query::new(
                "SELECT r.id FROM unique_values v JOIN resources r ON r.key = v.resource_key \
                 WHERE v.tenant = (SELECT key FROM tenants WHERE name = $1) \
                 AND v.type = $2 AND v.path = $3 AND v.value = $4 AND r.id <> $5",
                [
                    tenant.into(),
                    type_name.as_str().into(),
                    path.as_str().into(),
                    value.as_str().into(),
                    id.into(),
                ],
            );
            if let Some(row) = self.engine.query(query).await?.first_mut() {
                return Ok(StoreError::Taken { attribute: path.clone(), id: row.text()? });
            }
        }
        Ok(StoreError::Stale)
    }
}
