//! Rows of the store through the row cache: a hot look-up touches no SQL, and what is kept is good
//! until the commit that touches exactly its keys.

use std::sync::Arc;

use serde_json::Value;

use super::Problem;
use super::directory::weigh;
use crate::cache::{Cache, Loaded, Policy};
use crate::repository::EntryKey;
use crate::scim::Attributes;
use crate::scim::text::{fold, nfc};
use crate::store::{LinkState, Owned, ResourceRow, RowKey, Store, TypeName};

/// Rows change only through this process, which drops what it changes.
const KEPT: Policy = Policy::UNTIL_INVALIDATED;

/// A row look-up within a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoredKey {
    tenant: Arc<str>,
    key: RowKey,
}

impl StoredKey {
    pub(super) fn row_key(&self) -> &RowKey {
        &self.key
    }

    pub(super) fn weight(&self) -> u32 {
        let text = match &self.key {
            RowKey::Id(text) | RowKey::Name(_, text) | RowKey::ExternalId(_, text) => text.len(),
            RowKey::Link { repository, entry_key } => repository.len() + entry_key.len(),
        };
        u32::try_from(text).unwrap_or(u32::MAX / 4) + 128
    }
}

/// What the store holds under a key.
#[derive(Debug, Default)]
pub struct Stored {
    pub(super) rows: Vec<Arc<ResourceRow>>,
    /// The link's row was deleted; only an explicit POST binds again.
    pub(super) tombstone: bool,
    pub(super) weight: u32,
}

impl Stored {
    fn new(rows: Vec<Arc<ResourceRow>>, tombstone: bool) -> Self {
        let each = |row: &Arc<ResourceRow>| {
            let shadow = row.link.as_ref().map_or(0, |link| {
                let given = u32::try_from(link.given.len() * 96).unwrap_or(u32::MAX);
                weigh(&link.shadow).saturating_add(given)
            });
            let groups = u32::try_from(row.groups.len() * 160).unwrap_or(u32::MAX);
            let owned = u32::try_from(row.owned.len() * 256).unwrap_or(u32::MAX);
            let own = weigh(&row.own).saturating_add(groups).saturating_add(owned);
            own.saturating_add(shadow).saturating_add(256)
        };
        let weight = rows.iter().map(each).fold(64, u32::saturating_add);
        Self { rows, tombstone, weight }
    }
}

#[derive(Debug)]
pub(super) struct Rows {
    tenant: Arc<str>,
    store: Arc<Store>,
    kept: Arc<Cache<StoredKey, Arc<Stored>>>,
}

impl Rows {
    pub(super) fn new(
        tenant: Arc<str>,
        store: Arc<Store>,
        kept: Arc<Cache<StoredKey, Arc<Stored>>>,
    ) -> Self {
        Self { tenant, store, kept }
    }

    pub(super) fn key(&self, key: RowKey) -> StoredKey {
        StoredKey { tenant: Arc::clone(&self.tenant), key }
    }

    /// What the cache has under the key.
    pub(super) fn peek(&self, key: &StoredKey) -> Option<Arc<Stored>> {
        self.kept.peek(key).map(|answer| answer.value)
    }

    /// What stands under the key, out of the cache if it is there.
    pub(super) async fn find(&self, key: RowKey, no_cache: bool) -> Result<Arc<Stored>, Problem> {
        self.find_key(self.key(key), no_cache).await
    }

    pub(super) async fn find_key(
        &self,
        stored_key: StoredKey,
        no_cache: bool,
    ) -> Result<Arc<Stored>, Problem> {
        if !no_cache && let Some(answer) = self.kept.peek(&stored_key) {
            return Ok(answer.value);
        }
        let began = self.kept.moment();
        let stored = Arc::new(self.load(&stored_key.key).await?);
        self.kept.insert_since(stored_key, Loaded::whole(Arc::clone(&stored)), KEPT, began);
        Ok(stored)
    }

    async fn load(&self, key: &RowKey) -> Result<Stored, Problem> {
        if let RowKey::Link { repository, entry_key } = key {
            let keys = [entry_key.clone()];
            let states = self.store.find_links(&self.tenant, repository, &keys).await?;
            return Ok(states.into_iter().next().map_or_else(Stored::default, stored));
        }
        Ok(Stored::new(self.store.find(&self.tenant, key).await?, false))
    }

    /// What became of each entry, in the order of the keys; what is not cached is asked in one go.
    pub(super) async fn links(
        &self,
        repository: &str,
        entry_keys: &[&EntryKey],
        no_cache: bool,
    ) -> Result<Vec<Arc<Stored>>, Problem> {
        let began = self.kept.moment();
        let mut found: Vec<Option<Arc<Stored>>> = Vec::with_capacity(entry_keys.len());
        let mut missing = Vec::new();
        for (position, entry_key) in entry_keys.iter().enumerate() {
            let key = self.link(repository, &entry_key.0);
            let kept = self.kept.peek(&key).filter(|_| !no_cache).map(|answer| answer.value);
            if kept.is_none() {
                missing.push((position, key));
            }
            found.push(kept);
        }
        if !missing.is_empty() {
            let wanted: Vec<String> =
                missing.iter().map(|(at, ..)| entry_keys[*at].0.to_string()).collect();
            let states = self.store.find_links(&self.tenant, repository, &wanted).await?;
            let mut by_key: std::collections::HashMap<String, Stored> =
                states.into_iter().map(|state| (state_key(&state), stored(state))).collect();
            for ((position, key), wanted) in missing.into_iter().zip(wanted) {
                let stored = Arc::new(by_key.remove(&wanted).unwrap_or_default());
                self.kept.insert_since(key, Loaded::whole(Arc::clone(&stored)), KEPT, began);
                found[position] = Some(stored);
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// Drops every key under which the row stands or stood; `views` are the merged values before
    /// and after the change.
    pub(super) fn touched(&self, row: &ResourceRow, views: &[&Attributes]) {
        let drop = |key: RowKey| {
            self.kept.invalidate(&StoredKey { tenant: Arc::clone(&self.tenant), key });
        };
        drop(RowKey::Id(row.id.clone()));
        drop(RowKey::Id(row.number.to_string()));
        if let Some(link) = &row.link {
            drop(RowKey::Link {
                repository: link.repository.clone(),
                entry_key: link.entry_key.clone(),
            });
        }
        for view in views {
            let text = |name: &str| view.get(name).and_then(Value::as_str);
            if let Some(name) = row.type_name.naming().and_then(text) {
                drop(name_key(&row.type_name, name));
            }
            if let Some(id) = text("externalId") {
                drop(external_id_key(&row.type_name, id));
            }
        }
    }

    /// Drops every key under which a device or an authenticator stands that a user has or had.
    pub(super) fn owned_touched(&self, owned: &[Owned]) {
        for one in owned {
            let external_id = one.external_id.as_deref();
            let keys = [RowKey::Id(one.id.clone()), RowKey::Id(one.number.to_string())];
            let by_name = external_id.map(|id| external_id_key(&one.type_name, id));
            for key in keys.into_iter().chain(by_name) {
                self.kept.invalidate(&self.key(key));
            }
        }
    }

    /// Drops everything of the tenant.
    pub(super) fn forget_all(&self) {
        self.kept.invalidate_where(|key| key.tenant == self.tenant);
    }

    pub(super) fn link(&self, repository: &str, entry_key: &str) -> StoredKey {
        let key =
            RowKey::Link { repository: repository.to_owned(), entry_key: entry_key.to_owned() };
        StoredKey { tenant: Arc::clone(&self.tenant), key }
    }
}

pub(super) fn name_key(type_name: &TypeName, name: &str) -> RowKey {
    RowKey::Name(type_name.clone(), fold(name).into_owned())
}

pub(super) fn external_id_key(type_name: &TypeName, id: &str) -> RowKey {
    RowKey::ExternalId(type_name.clone(), nfc(id).into_owned())
}

fn state_key(state: &LinkState) -> String {
    match state {
        LinkState::Row(row) => {
            row.link.as_ref().map_or_else(String::new, |link| link.entry_key.clone())
        }
        LinkState::Tombstone { entry_key } => entry_key.clone(),
    }
}

fn stored(state: LinkState) -> Stored {
    match state {
        LinkState::Row(row) => Stored::new(vec![row], false),
        LinkState::Tombstone { .. } => Stored::new(Vec::new(), true),
    }
}
