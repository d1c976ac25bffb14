//! The members of groups: ids as clients give them become rows, and a person whom only a directory
//! knows is bound by the write that makes a member; what a group's change touches in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use serde_json::Value;

use super::directory::{Directory, Known};
use super::resource::Resource;
use super::write::record;
use super::{Federation, Problem, View, demand, unavailable};
use crate::audit::Action;
use crate::caller::{Caller, Permission};
use crate::repository::EntryKey;
use crate::scim::patch::Membership;
use crate::scim::{Attributes, ErrorKind, ScimError};
use crate::store::{
    LinkState, Member, Members, NewResource, ResourceRow, ResourceWrite, RowKey, StoreError,
    TypeName, UserType,
};

/// The name of the attribute that the table of memberships stands for.
pub(super) const MEMBERS: &str = "members";

/// Of so many users at most the rows are looked for in memory one by one; of more, everything of the
/// tenant's is dropped.
const EXACT: usize = 64;

/// What a write does to a group's members, by key.
#[derive(Debug, Default)]
pub(super) struct Effect {
    pub(super) add: Vec<i64>,
    pub(super) remove: Vec<i64>,
    /// People who are bound by the write.
    pub(super) bind: Vec<(Arc<Directory>, Arc<Known>)>,
}

impl Effect {
    pub(super) fn is_nothing(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty() && self.bind.is_empty()
    }
}

/// The `value`s in a list of members that was checked.
pub(super) fn listed(members: Option<&Value>) -> Result<Membership, Problem> {
    let elements = members.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut values = Vec::with_capacity(elements.len());
    for (place, element) in elements.iter().enumerate() {
        let value = element.get("value").and_then(Value::as_str);
        let value = value.ok_or_else(|| {
            invalid(format!("members[{place}].value is required: give the id of a user or group"))
        })?;
        values.push(value.to_owned());
    }
    Ok(Membership::exactly(values))
}

impl Federation {
    /// What `membership` changes of the members that the group (none yet, if it is new) has.
    pub(super) async fn effect(
        &self,
        caller: &Caller,
        group: Option<i64>,
        membership: &Membership,
    ) -> Result<Effect, Problem> {
        if membership.is_empty() {
            return Ok(Effect::default());
        }
        let mut keys = self.keys_of(&membership.values).await?;
        let unknown =
            membership.values.iter().filter(|(id, comes)| **comes && !keys.contains_key(*id));
        let unknown: Vec<&str> = unknown.map(|(id, _)| id.as_str()).collect();
        let mut effect = Effect::default();
        if !unknown.is_empty() {
            let found = self.people_of(&unknown).await?;
            if !found.unbound.is_empty() {
                demand(caller, Permission::UsersBind)?;
            }
            effect.bind = found.unbound;
            keys.extend(found.bound);
        }
        let mut comes: Vec<i64> = Vec::new();
        let mut goes: Vec<i64> = Vec::new();
        for (id, is_coming) in &membership.values {
            if let Some(key) = keys.get(id) {
                if *is_coming { comes.push(*key) } else { goes.push(*key) }
            }
        }
        comes.sort_unstable();
        comes.dedup();
        let present = match group {
            None => std::collections::HashSet::new(),
            Some(group) if membership.anew => {
                let all = self.store.member_keys(group, None).await?;
                self.count_members(all.len());
                all
            }
            Some(group) => {
                let named: Vec<i64> = comes.iter().chain(&goes).copied().collect();
                self.store.member_keys(group, Some(&named)).await?
            }
        };
        let stays = |key: &i64| comes.binary_search(key).is_ok();
        effect.remove = if membership.anew {
            present.iter().copied().filter(|key| !stays(key)).collect()
        } else {
            present.iter().copied().filter(|key| goes.contains(key) && !stays(key)).collect()
        };
        effect.add = comes.into_iter().filter(|key| !present.contains(key)).collect();
        Ok(effect)
    }

    /// The rows of ids in whatever spelling: canonical ones in few statements, numbers one by one.
    async fn keys_of(
        &self,
        values: &BTreeMap<String, bool>,
    ) -> Result<HashMap<String, i64>, Problem> {
        let ids: Vec<String> = values.keys().cloned().collect();
        let mut keys = self.store.keys_of(&self.tenant, &ids).await?;
        let is_number = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        for id in ids.iter().filter(|id| is_number(id)) {
            let rows = self.store.find(&self.tenant, &RowKey::Id(id.clone())).await?;
            let row = rows.first().filter(|row| !matches!(row.type_name, TypeName::Other(_)));
            keys.extend(row.map(|row| (id.clone(), row.key)));
        }
        Ok(keys)
    }

    /// Directory people by their long ids, read past every cache.
    async fn people_of(&self, ids: &[&str]) -> Result<Found, Problem> {
        let mut by_repository: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for id in ids {
            let parts =
                id.split_once('.').filter(|(repository, _)| self.directory(repository).is_some());
            let (repository, entry_key) = parts.ok_or_else(|| nobody(id))?;
            by_repository.entry(repository).or_default().push(entry_key);
        }
        let mut found = Found::default();
        for (repository, entry_keys) in by_repository {
            let Some(directory) = self.directory(repository) else { continue };
            let wanted: Vec<String> = entry_keys.iter().map(|&key| key.to_owned()).collect();
            let states = self.store.find_links(&self.tenant, repository, &wanted).await?;
            for state in states {
                match state {
                    LinkState::Row(row) => {
                        let key = row.link.as_ref().map_or("", |link| link.entry_key.as_str());
                        found.bound.push((format!("{repository}.{key}"), row.key));
                    }
                    LinkState::Tombstone { entry_key } => {
                        return Err(invalid(format!(
                            "members: the user \"{repository}.{entry_key}\" was deleted here; only a \
                             POST to /Users that names the person binds again."
                        )));
                    }
                }
            }
            let is_bound = |key: &str| found.bound.iter().any(|(id, _)| id.ends_with(key));
            let unbound: Vec<EntryKey> = entry_keys
                .iter()
                .filter(|key| !is_bound(key))
                .map(|&key| EntryKey(Arc::from(key)))
                .collect();
            let mut looked = directory.look(unbound.clone(), false, true).await;
            if let Some(error) = looked.failed {
                return Err(unavailable(repository, error));
            }
            for key in unbound {
                match looked.entries.remove(&key) {
                    // Ids are case-exact, however leniently the directory finds them.
                    Some(Some((known, _))) if known.key == key => {
                        found.unbound.push((Arc::clone(directory), known));
                    }
                    _ => return Err(nobody(&directory.long_id(&key.0))),
                }
            }
        }
        Ok(found)
    }

    /// The rows that are made of the people whom a group's write binds.
    pub(super) fn bindings(
        &self,
        bind: &[(Arc<Directory>, Arc<Known>)],
        at: Timestamp,
    ) -> Vec<Binding> {
        bind.iter()
            .map(|(directory, known)| Binding {
                id: directory.long_id(&known.key.0),
                write: self.bound_write(directory, known, Attributes::new(), at),
            })
            .collect()
    }

    /// The change of the store's rows.
    pub(super) fn member_rows<'a>(
        &self,
        caller: &Caller,
        effect: &Effect,
        bindings: &'a [Binding],
        at: Timestamp,
        view: &View,
    ) -> Members<'a> {
        let bind = bindings.iter().map(|binding| NewResource {
            type_name: TypeName::User,
            id: &binding.id,
            user_type: UserType::FtressLdap,
            write: &binding.write,
            revive: false,
            record: record(caller, self.users(), Action::Bind, &binding.id, at, view),
        });
        Members { add: effect.add.clone(), remove: effect.remove.clone(), bind: bind.collect() }
    }

    /// The group with its members, as it is shown.
    pub(super) async fn with_members(&self, row: &ResourceRow) -> Result<Arc<Resource>, Problem> {
        let mut members = self.members(&[row.key]).await?;
        let members = members.remove(&row.key).unwrap_or_default();
        Ok(self.people.group(self.types(), row, &members))
    }

    /// The members of groups, in one go.
    pub(super) async fn members(
        &self,
        groups: &[i64],
    ) -> Result<HashMap<i64, Vec<Member>>, Problem> {
        let members = self.store.members(groups).await?;
        self.count_members(members.values().map(Vec::len).sum());
        Ok(members)
    }

    fn count_members(&self, read: usize) {
        self.shares.members_read.fetch_add(read as u64, Ordering::Relaxed);
    }

    /// After a group's change: what is kept of the users whose groups are others now, or are called
    /// otherwise.
    pub(super) async fn regrouped(&self, group: i64, renamed: bool, effect: &Effect) {
        let mut keys: Vec<i64> = effect.add.iter().chain(&effect.remove).copied().collect();
        keys.extend(renamed.then_some(group));
        if !keys.is_empty() {
            self.forget(&self.inside(&keys).await);
        }
    }

    /// The users who are among `keys`, or in these groups.
    pub(super) async fn inside(&self, keys: &[i64]) -> Inside {
        if keys.len() > EXACT {
            return Inside::Anybody;
        }
        let users = async {
            let users = self.store.users_within(keys, EXACT + 1).await?;
            if users.len() > EXACT {
                return Ok(Inside::Anybody);
            }
            let users: Vec<i64> = users.into_iter().collect();
            self.store.read(&self.tenant, &users).await.map(Inside::Users)
        };
        // Where nobody can tell, nothing that is kept is to be trusted.
        users.await.unwrap_or_else(|_: StoreError| Inside::Anybody)
    }

    /// Drops what is kept of users whose groups are others now.
    pub(super) fn forget(&self, inside: &Inside) {
        match inside {
            Inside::Users(rows) => {
                for row in rows {
                    self.rows.touched(row, &[&self.stored_view(row)]);
                }
            }
            Inside::Anybody => self.rows.forget_all(),
        }
    }

    /// Drops that nobody was known of people who are bound now.
    pub(super) async fn bound(&self, bindings: &[Binding]) {
        for Binding { id, write } in bindings {
            match self.store.find(&self.tenant, &RowKey::Id(id.clone())).await {
                Ok(rows) => rows.iter().for_each(|row| self.rows.touched(row, &[&write.view])),
                Err(_) => self.rows.forget_all(),
            }
        }
    }
}

/// Users whose groups a change concerns.
#[derive(Debug)]
pub(super) enum Inside {
    Users(Vec<Arc<ResourceRow>>),
    /// Too many to look for one by one.
    Anybody,
}

/// A person who is bound by a group's write.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) id: String,
    pub(super) write: ResourceWrite,
}

/// What long ids lead to.
#[derive(Default)]
struct Found {
    bound: Vec<(String, i64)>,
    unbound: Vec<(Arc<Directory>, Arc<Known>)>,
}

fn nobody(id: &str) -> Problem {
    let shown: String = id.chars().take(200).collect();
    invalid(format!("members: there is no user and no group with the id \"{shown}\"."))
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::Scim(ScimError::new(ErrorKind::InvalidValue, detail))
}
