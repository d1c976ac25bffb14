//! The one way to find out who is meant by an id: reads, writes and removals all come through here.

use std::sync::Arc;

use super::directory::{Directory, Known};
use super::{Federation, Problem, is_user, unavailable};
use crate::cache::State;
use crate::scim::ResourceType;
use crate::store::{ResourceRow, RowKey};

/// Who an id stands for.
#[derive(Debug)]
pub(super) enum Subject {
    /// A row of ours, linked or not.
    Row(Arc<ResourceRow>),
    /// Somebody whom only a directory knows.
    Unbound { directory: Arc<Directory>, known: Arc<Known>, state: State },
}

/// How sure the answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// For showing: the caches are good enough.
    Cached,
    /// The caller wants the caches passed by.
    Fresh,
    /// For writing: past every cache, always; with photos, where they are written.
    Written { photos: bool },
}

impl Federation {
    /// Resolves a canonical id, a number, or a long form `<repository>.<entry key>`; where the tenant
    /// says so, else a name ([`Federation::named`]).
    pub(super) async fn resolve(
        &self,
        kind: &ResourceType,
        id: &str,
        care: Care,
    ) -> Result<Subject, Problem> {
        match self.resolve_id(kind, id, care).await {
            Err(absent @ Problem::NotFound(_)) => {
                let named = self.named(kind, id, care != Care::Cached).await?;
                named.map(Subject::Row).ok_or(absent)
            }
            resolved => resolved,
        }
    }

    pub(super) async fn resolve_id(
        &self,
        kind: &ResourceType,
        id: &str,
        care: Care,
    ) -> Result<Subject, Problem> {
        let id = &*self.spelled(kind, id).await?;
        let stored = self.rows.find(RowKey::Id(id.to_owned()), care != Care::Cached).await?;
        if let Some(row) = stored.rows.first() {
            // Ids are of one sequence, paths of one type.
            let of_type = row.type_name.as_str() == kind.name;
            return if of_type {
                Ok(Subject::Row(Arc::clone(row)))
            } else {
                Err(nothing(kind, id))
            };
        }
        if !is_user(kind) {
            return Err(nothing(kind, id));
        }
        let Some((repository, entry_key)) = id.split_once('.') else {
            return Err(nobody(id));
        };
        let Some(directory) = self.directory(repository) else { return Err(nobody(id)) };
        let repository = directory.id();
        let link =
            RowKey::Link { repository: repository.to_owned(), entry_key: entry_key.to_owned() };
        let stored = self.rows.find(link, care != Care::Cached).await?;
        if let Some(row) = stored.rows.first() {
            return Ok(Subject::Row(Arc::clone(row)));
        }
        if stored.tombstone {
            return Err(nobody(id));
        }
        let found = match care {
            Care::Written { photos } => {
                let known = directory.read(entry_key, photos).await;
                known.map(|known| known.map(|known| (known, State::Live)))
            }
            _ => directory.entry(entry_key, false, care == Care::Fresh).await,
        };
        match found {
            // Ids are case-exact, however leniently the directory finds them.
            Ok(Some((known, _))) if *known.key.0 != *entry_key => Err(nobody(id)),
            Ok(Some((known, state))) => {
                Ok(Subject::Unbound { directory: Arc::clone(directory), known, state })
            }
            Ok(None) => Err(nobody(id)),
            Err(error) => Err(unavailable(repository, error)),
        }
    }
}

pub(super) fn nobody(id: &str) -> Problem {
    Problem::NotFound(format!("There is no user with the id \"{}\".", shown(id)))
}

fn nothing(kind: &ResourceType, id: &str) -> Problem {
    if is_user(kind) {
        return nobody(id);
    }
    Problem::NotFound(format!("There is no {} with the id \"{}\".", kind.name, shown(id)))
}

fn shown(id: &str) -> String {
    id.chars().take(200).collect()
}
