//! Reading one user: the row out of its cache, the entry live within the cache's rules.

use std::sync::Arc;

use super::directory::Directory;
use super::identity::{Care, Subject, nobody};
use super::resource::{Half, Resource, SOURCE_URN};
use super::{Deed, Federation, Problem, View, is_group, is_user, permit, unavailable};
use crate::caller::Caller;
use crate::repository::{Authority, RepositoryError};
use crate::scim::ResourceType;
use crate::scim::mirror::Mirror;
use crate::store::{ResourceRow, RowKey};

impl Federation {
    /// One resource by id.
    pub async fn read(
        &self,
        caller: &Caller,
        kind: &ResourceType,
        id: &str,
        view: &View,
    ) -> Result<Arc<Resource>, Problem> {
        permit(caller, kind, Deed::Read)?;
        match self.hot_read(kind, id, view) {
            Some(person) => Ok(person),
            // Boxed, so that the hot path's future stays small.
            None => Box::pin(self.read_through(kind, id, view)).await,
        }
    }

    /// Who is meant, where the caches know everything about it: nothing waits, nothing is asked.
    fn hot_read(&self, kind: &ResourceType, id: &str, view: &View) -> Option<Arc<Resource>> {
        // A group changes with its members, which change of themselves.
        if view.no_cache || view.photos || is_group(kind) {
            return None;
        }
        let stored = self.rows.peek(&self.rows.key(RowKey::Id(id.to_owned())))?;
        let Some(row) = stored.rows.first() else {
            if !is_user(kind) {
                return None;
            }
            let (repository, entry_key) = id.split_once('.')?;
            let directory = self.directory(repository)?;
            let (known, state) = directory.peek_entry(entry_key)?;
            let stored = self.rows.peek(&self.rows.link(directory.id(), &known.key.0))?;
            let unbound = stored.rows.is_empty() && !stored.tombstone;
            return unbound.then(|| self.people.unbound(directory, &known, state));
        };
        if row.type_name.as_str() != kind.name {
            return None;
        }
        let Some(link) = &row.link else {
            return Some(self.people.stored(row, None, &Half::Unasked));
        };
        let directory = self.directory(&link.repository)?;
        let (known, state) = directory.peek_entry(&link.entry_key)?;
        Some(self.people.stored(row, Some(directory), &Half::Entry(known, state)))
    }

    async fn read_through(
        &self,
        kind: &ResourceType,
        id: &str,
        view: &View,
    ) -> Result<Arc<Resource>, Problem> {
        let care = if view.no_cache || is_group(kind) { Care::Fresh } else { Care::Cached };
        match self.resolve(kind, id, care).await? {
            Subject::Unbound { directory, known, state } => {
                if !view.photos {
                    return Ok(self.people.unbound(&directory, &known, state));
                }
                match directory.entry(&known.key.0, true, view.no_cache).await {
                    Ok(Some((known, state))) => Ok(self.people.unbound(&directory, &known, state)),
                    Ok(None) => Err(nobody(id)),
                    Err(error) => Err(unavailable(directory.id(), error)),
                }
            }
            Subject::Row(row) if view.members && is_group(kind) => self.with_members(&row).await,
            Subject::Row(row) => Ok(self.shown(&row, view).await),
        }
    }

    /// A row with what its directory says now; where that fails, with the shadow, marked.
    async fn shown(&self, row: &ResourceRow, view: &View) -> Arc<Resource> {
        let Some(link) = &row.link else {
            return self.people.stored(row, None, &Half::Unasked);
        };
        let Some(directory) = self.directory(&link.repository) else {
            return self.people.stored(row, None, &Half::Shadow("unavailable"));
        };
        let half = match directory.entry(&link.entry_key, view.photos, view.no_cache).await {
            Ok(Some((known, state))) => Half::Entry(known, state),
            Ok(None) => Half::Absent,
            Err(error) => Half::Shadow(failure(directory, &error)),
        };
        self.people.stored(row, Some(directory), &half)
    }
}

impl Federation {
    /// Whether a directory decides what a mirrored code says of somebody, of an element of a list by
    /// its type.
    pub fn owns(&self, resource: &Resource, mirror: &Mirror, kind: Option<&str>) -> bool {
        let source = resource.attributes.get(SOURCE_URN);
        let repository = source.and_then(|source| source.get("userRepositoryId")?.as_str());
        let Some(directory) = repository.and_then(|id| self.directory(id)) else { return false };
        let path = self.users().resolve(&mirror.path());
        let authority = if path.multi_valued {
            directory.repository().authority_of_type(&path, kind)
        } else {
            directory.repository().authority(&path)
        };
        authority == Some(Authority::Directory)
    }
}

pub(super) fn failure(directory: &Directory, error: &RepositoryError) -> &'static str {
    tracing::warn!(repository = directory.id(), error = %error, "repository.failed");
    match error {
        RepositoryError::Timeout => "timeout",
        RepositoryError::Unavailable(_) => "unavailable",
    }
}
