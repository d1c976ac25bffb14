//! The members of groups: ids as clients give them become rows, and a person whom only a directory
//! knows is bound by the write that makes a member; what a group's change touches in memory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use serde_json::Value;

use super::directory::{Directory, Known};
use super::resource::Resource;
use super::write::record;
use super::{Federation, Problem, View, demand, too_many, unavailable};
use crate::audit::Action;
use crate::caller::{Caller, Permission};
use crate::repository::EntryKey;
use crate::scim::patch::Membership;
use crate::scim::{Attributes, ErrorKind, ScimError};
use crate::store::{
    Enrolled, Joining, LinkState, Member, Members, NewResource, ResourceRow, ResourceWrite,
    TypeName, UserType,
};

/// The name of the attribute that the table of memberships stands for.
pub(super) const MEMBERS: &str = "members";

/// Of so many resources at most the rows are looked for in memory one by one; of more, everything of the
/// tenant's is dropped.
const EXACT: usize = 64;

/// Nobody is shown more members at once.
const MOST: usize = 100_000;

/// What is asked of a group's members, as the store takes it.
#[derive(Debug, Default)]
pub(super) struct Enrolling {
    replace: bool,
    /// Whether `replace` leaves users alone.
    pub(super) groups_only: bool,
    add: Vec<String>,
    remove: Vec<String>,
    /// People whom only a directory knows: they are bound by the write.
    bind: Vec<(Arc<Directory>, Arc<Known>)>,
    /// What the group, or the user, itself joins and leaves.
    pub(super) joining: Joining,
    /// Ids of the roles that come and go with that.
    pub(super) roles: Vec<String>,
}

impl Enrolling {
    pub(super) fn is_nothing(&self) -> bool {
        self.keeps_members() && self.joining.is_nothing()
    }

    /// Whether nothing is asked of who is in the group.
    pub(super) fn keeps_members(&self) -> bool {
        !self.replace && self.add.is_empty() && self.remove.is_empty() && self.bind.is_empty()
    }

    pub(super) fn members<'a>(&'a self, bind: &'a [NewResource<'a>]) -> Members<'a> {
        let Self { replace, groups_only, remove, add, joining, .. } = self;
        let (replace, groups_only, joining) = (*replace, *groups_only, Some(joining));
        Members { replace, groups_only, remove, add, bind, joining }
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
    /// What `membership` comes to: whoever is to be a member, and whom only a directory knows, is read
    /// there, past every cache.
    pub(super) async fn enrolling(
        &self,
        caller: &Caller,
        membership: &Membership,
    ) -> Result<Enrolling, Problem> {
        let mut enrolling = Enrolling { replace: membership.anew, ..Enrolling::default() };
        let mut people: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (id, comes) in &membership.values {
            match id.split_once('.').filter(|(repository, _)| self.directory(repository).is_some())
            {
                _ if !comes => enrolling.remove.push(id.clone()),
                Some((repository, entry_key)) => {
                    people.entry(repository).or_default().push(entry_key);
                }
                None => enrolling.add.push(id.clone()),
            }
        }
        for (repository, entry_keys) in people {
            if let Some(directory) = self.directory(repository) {
                self.people_of(directory, &entry_keys, &mut enrolling).await?;
            }
        }
        if !enrolling.bind.is_empty() {
            demand(caller, Permission::UsersBind)?;
        }
        Ok(enrolling)
    }

    /// People of one repository, by their entry keys.
    async fn people_of(
        &self,
        directory: &Arc<Directory>,
        entry_keys: &[&str],
        enrolling: &mut Enrolling,
    ) -> Result<(), Problem> {
        let wanted: Vec<String> = entry_keys.iter().map(|&key| key.to_owned()).collect();
        let states = self.store.find_links(&self.tenant, directory.id(), &wanted).await?;
        let mut linked = HashSet::with_capacity(states.len());
        for state in states {
            match state {
                LinkState::Row(row) => {
                    linked.extend(row.link.as_ref().map(|link| link.entry_key.clone()));
                    enrolling.add.push(row.id.clone());
                }
                LinkState::Tombstone { entry_key } => {
                    return Err(invalid(format!(
                        "members: the user \"{}\" was deleted here; only a POST to /Users that names \
                         the person binds again.",
                        directory.long_id(&entry_key)
                    )));
                }
            }
        }
        let unbound = wanted.iter().filter(|key| !linked.contains(*key));
        let unbound: Vec<EntryKey> = unbound.map(|key| EntryKey(Arc::from(key.as_str()))).collect();
        let mut looked = directory.look(unbound.clone(), false, true).await;
        if let Some(error) = looked.failed {
            return Err(unavailable(directory.id(), error));
        }
        for key in unbound {
            match looked.entries.remove(&key) {
                // Ids are case-exact, however leniently the directory finds them.
                Some(Some((known, _))) if known.key == key => {
                    enrolling.bind.push((Arc::clone(directory), known));
                }
                _ => return Err(no_member(&directory.long_id(&key.0))),
            }
        }
        Ok(())
    }

    /// The rows of the people whom a group's write binds.
    pub(super) fn bindings(&self, enrolling: &Enrolling, at: Timestamp) -> Vec<Binding> {
        let binding = |(directory, known): &(Arc<Directory>, Arc<Known>)| Binding {
            id: directory.long_id(&known.key.0),
            write: self.bound_write(directory, known, Attributes::new(), at),
        };
        enrolling.bind.iter().map(binding).collect()
    }

    /// The same, as the store takes them.
    pub(super) fn new_rows<'a>(
        &self,
        caller: &Caller,
        bindings: &'a [Binding],
        view: &View,
    ) -> Vec<NewResource<'a>> {
        let new = |Binding { id, write }: &'a Binding| NewResource {
            type_name: TypeName::User,
            id,
            user_type: UserType::FtressLdap,
            write,
            revive: false,
            record: record(caller, self.users(), Action::Bind, id, write.at, view),
        };
        bindings.iter().map(new).collect()
    }

    /// The group with its members, as it is shown.
    pub(super) async fn with_members(&self, row: &ResourceRow) -> Result<Arc<Resource>, Problem> {
        let members = self.members(&[row.key]).await?;
        let members = members.get(&row.key).map_or(&[][..], Vec::as_slice);
        Ok(self.people.group(self.types(), row, members))
    }

    /// The members of groups by the group's key, in one go.
    pub(super) async fn members(
        &self,
        groups: &[i64],
    ) -> Result<HashMap<i64, Vec<Member>>, Problem> {
        let members = self.store.members(&self.tenant, groups, MOST as u64 + 1).await?;
        self.shares.members_read.fetch_add(members.len() as u64, Ordering::Relaxed);
        if members.len() > MOST {
            return Err(too_many(format!(
                "More than {MOST} members would have to be shown; ask with \
                 excludedAttributes=members, or for fewer groups."
            )));
        }
        let mut by_group: HashMap<i64, Vec<Member>> = HashMap::with_capacity(groups.len());
        for member in members {
            by_group.entry(member.group).or_default().push(member);
        }
        Ok(by_group)
    }

    /// After a group's change: drops what is kept of the users whose groups are others now, or are
    /// called otherwise; `all` where that may be everybody in the group.
    pub(super) async fn regrouped(&self, enrolled: &Enrolled, bindings: &[Binding], all: bool) {
        let mut keys: Vec<i64> = enrolled.added.iter().chain(&enrolled.removed).copied().collect();
        keys.extend(all.then_some(enrolled.row.key));
        if !keys.is_empty() {
            self.forget(&self.inside(&keys).await);
        }
        // An earlier look-up may have kept that nobody was bound.
        for (row, binding) in enrolled.bound.iter().zip(bindings) {
            self.rows.touched(row, &[&binding.write.view]);
        }
    }

    /// The users who are among `keys`, or in these groups.
    pub(super) async fn inside(&self, keys: &[i64]) -> Inside {
        if keys.len() > EXACT {
            return Inside::Anybody;
        }
        // Where nobody can tell, nothing that is kept is to be trusted.
        let Ok(Some(keys)) = self.store.beneath(keys, EXACT).await else { return Inside::Anybody };
        self.store.read(&self.tenant, &keys).await.map_or(Inside::Anybody, Inside::Rows)
    }

    /// Drops what is kept of users whose groups are others now.
    pub(super) fn forget(&self, inside: &Inside) {
        match inside {
            Inside::Rows(rows) => {
                for row in rows {
                    self.rows.touched(row, &[&self.stored_view(row)]);
                }
            }
            Inside::Anybody => self.rows.forget_all(),
        }
    }
}

/// Whose groups a change concerns.
#[derive(Debug)]
pub(super) enum Inside {
    Rows(Vec<Arc<ResourceRow>>),
    /// Too many to look for one by one.
    Anybody,
}

/// A person who is bound by a group's write.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) id: String,
    pub(super) write: ResourceWrite,
}

pub(super) fn no_member(id: &str) -> Problem {
    let shown: String = id.chars().take(200).collect();
    invalid(format!("members: there is no user and no group with the id \"{shown}\"."))
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::Scim(ScimError::new(ErrorKind::InvalidValue, detail))
}
