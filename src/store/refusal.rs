//! What a refused write means: who stands in its way.

use super::engine::{Failure, Query};
use super::write::{owned_external_id, owned_name};
use super::{LinkState, NewResource, ResourceRow, ResourceWrite, Store, StoreError, TypeName};

impl Store {
    /// What a failed create means.
    pub(super) async fn refused_new(
        &self,
        tenant: &str,
        new: &NewResource<'_>,
        failure: Failure,
    ) -> StoreError {
        self.refused(tenant, &new.type_name, (new.id, true), new.write, failure).await
    }

    /// What a failed update means.
    pub(super) async fn refused_update(
        &self,
        tenant: &str,
        row: &ResourceRow,
        write: &ResourceWrite,
        failure: Failure,
    ) -> StoreError {
        self.refused(tenant, &row.type_name, (&row.id, false), write, failure).await
    }

    /// What a failed create (of a `new` row) or update means, with whoever stands in the way. When
    /// that one has gone meanwhile, the write has lost a race that is over: [`StoreError::Stale`].
    async fn refused(
        &self,
        tenant: &str,
        type_name: &TypeName,
        (id, new): (&str, bool),
        write: &ResourceWrite,
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
        self.in_the_way(tenant, type_name, (id, new), write, &constraint)
            .await
            .unwrap_or_else(|error| error)
    }

    async fn in_the_way(
        &self,
        tenant: &str,
        type_name: &TypeName,
        (id, new): (&str, bool),
        write: &ResourceWrite,
        constraint: &str,
    ) -> Result<StoreError, StoreError> {
        // Whoever binds an entry that is bound collides with much; the link says why.
        if let Some(link) = &write.link
            && (new || constraint == "links_entry_key")
        {
            let keys = std::slice::from_ref(&link.entry_key);
            match self.find_links(tenant, &link.repository, keys).await?.into_iter().next() {
                // Its own link is not what it was when the row was read.
                Some(LinkState::Row(row)) if !new && row.id == id => return Ok(StoreError::Stale),
                Some(LinkState::Row(row)) => return Ok(StoreError::Linked { id: row.id.clone() }),
                Some(LinkState::Tombstone { .. }) => return Ok(StoreError::Tombstone),
                None => {}
            }
        }
        let of_type = |sql, value: Option<String>| {
            Query::new(sql, [tenant.into(), type_name.as_str().into(), value.into()])
        };
        let (attribute, query) = match constraint {
            "resources_owned_name" => (
                type_name.naming().unwrap_or_default(),
                of_type(
                    "SELECT id FROM resources \
                     WHERE tenant = (SELECT key FROM tenants WHERE name = $1) \
                     AND type = $2 AND owned_name = $3",
                    owned_name(type_name, write),
                ),
            ),
            "resources_owned_external_id" => (
                "externalId",
                of_type(
                    "SELECT id FROM resources \
                     WHERE tenant = (SELECT key FROM tenants WHERE name = $1) \
                     AND type = $2 AND owned_external_id = $3",
                    owned_external_id(write),
                ),
            ),
            "resources_id" => (
                "id",
                Query::new(
                    "SELECT id FROM resources \
                     WHERE tenant = (SELECT key FROM tenants WHERE name = $1) AND id = $2",
                    [tenant.into(), id.into()],
                ),
            ),
            "unique_values_value" => return self.holder(tenant, type_name, id, write).await,
            "links_entry_key" => return Ok(StoreError::Stale),
            other => return Err(StoreError::Database(format!("the write violates {other}"))),
        };
        Ok(match self.engine.query(query).await?.first_mut() {
            Some(row) => StoreError::Taken { attribute: attribute.to_owned(), id: row.text()? },
            None => StoreError::Stale,
        })
    }
}
