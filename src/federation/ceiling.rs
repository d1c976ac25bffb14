//! How high a caller may reach: nobody gives or takes a role of a higher rank than its own, nor writes
//! to a user who has one, by whatever door.

use super::given::Given;
use super::life::{ACCOUNT_ROLES, LIFE_CYCLE, account_roles};
use super::members::Enrolling;
use super::read::failure;
use super::resource::{Half, given};
use super::roles::{MOST, ROLES, by_number, key, keys};
use super::standing::Standing;
use super::{Federation, Problem, ROLE};
use crate::cache::State;
use crate::caller::Caller;
use crate::scim::Attributes;
use crate::scim::filter::{Filter, Literal, Operator, Text};
use crate::store::{ResourceRow, Rows, Search, Sort, StoreError, TypeName};

/// How many users are looked at at once, where no index tells who has a role.
const CHUNK: usize = 500;

impl Federation {
    /// Whether anybody in the tenant may be above the caller.
    pub(super) fn is_bounded(&self, caller: &Caller) -> bool {
        caller.ceiling.is_some() && self.roles.stamp() != 0
    }

    /// The caller may do with these roles, by their ids, what it is about to: give them, take them,
    /// or write to who has them. A text that is no role is of no rank to speak of: 0.
    pub(super) fn within_ceiling<'a>(
        &self,
        caller: &Caller,
        roles: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Problem> {
        if !self.is_bounded(caller) {
            return Ok(());
        }
        let known = self.roles.known();
        let named = |role: &str| known.get(&key(role)).or_else(|| by_number(&known, role));
        let known = roles.into_iter().filter_map(named);
        known.max_by_key(|role| role.rank).map_or(Ok(()), |role| may(caller, &role.id, role.rank))
    }

    /// The ids of the roles that everybody in this group has, through groups above it, too.
    pub(super) fn carried_by(&self, group: &ResourceRow) -> Vec<String> {
        let above = group.groups.iter().map(|group| group.id.as_str());
        self.roles.derived(above.chain([group.id.as_str()]), None)
    }

    /// The caller may change who is in this group: with it come and go the roles that it carries.
    pub(super) fn may_fill(&self, caller: &Caller, group: &ResourceRow) -> Result<(), Problem> {
        self.within_ceiling(caller, self.carried_by(group).iter().map(String::as_str))
    }

    /// The caller may write to whom it writes to, and give and take what it gives and takes.
    pub(super) fn reaches(
        &self,
        caller: &Caller,
        standing: &Standing,
        after: &Attributes,
        derived: &[String],
        enrolling: &Enrolling,
    ) -> Result<(), Problem> {
        if !self.is_bounded(caller) {
            return Ok(());
        }
        match standing.row() {
            Some(row) if row.type_name == TypeName::Group => {
                self.within_ceiling(caller, enrolling.roles.iter().map(String::as_str))?;
                if enrolling.keeps_members() { Ok(()) } else { self.may_fill(caller, row) }
            }
            Some(row) if row.type_name.as_str() == ROLE => self.within_ceiling(caller, [&*row.id]),
            _ => {
                let before = own_roles(&standing.merged(self));
                let after = own_roles(&standing.with_own(self, after));
                let all = before.iter().chain(&after).chain(derived).chain(&enrolling.roles);
                self.within_ceiling(caller, all.map(String::as_str))
            }
        }
    }

    /// The caller may delete this: with a user go its roles, with a group what it carries, with a role
    /// itself. A role that somebody was given stays.
    pub(super) async fn may_remove(
        &self,
        caller: &Caller,
        row: &ResourceRow,
    ) -> Result<(), Problem> {
        match &row.type_name {
            TypeName::User => self.may_write_to(caller, row).await,
            TypeName::Device | TypeName::Authenticator => {
                self.may_write_to_owner(caller, row).await
            }
            TypeName::Group => self.may_fill(caller, row),
            TypeName::Other(name) if **name == *ROLE => {
                self.within_ceiling(caller, [row.id.as_str()])?;
                self.unheld(row).await
            }
            TypeName::Other(_) => Ok(()),
        }
    }

    /// The caller may write to this user.
    pub(super) async fn may_write_to(
        &self,
        caller: &Caller,
        user: &ResourceRow,
    ) -> Result<(), Problem> {
        if !self.is_bounded(caller) {
            return Ok(());
        }
        let given = self.given_to(user).await;
        let groups = user.groups.iter().map(|group| group.id.as_str());
        let derived = self.roles.derived(groups, Some(&given));
        let own = own_roles(&self.stored_view(user));
        self.within_ceiling(caller, own.iter().chain(&derived).map(String::as_str))
    }

    /// The same of somebody whom only a directory knows: its values give roles, and rules do.
    pub(super) fn may_write_to_unbound(
        &self,
        caller: &Caller,
        standing: &Standing,
    ) -> Result<(), Problem> {
        if !self.is_bounded(caller) {
            return Ok(());
        }
        let (own, derived) = (own_roles(&standing.merged(self)), standing.derived_roles(self));
        self.within_ceiling(caller, own.iter().chain(&derived).map(String::as_str))
    }

    /// What rules give somebody with a row, as the directory has it now; while it does not answer, what
    /// it was when last seen.
    async fn given_to(&self, user: &ResourceRow) -> Given {
        let link = user.link.as_ref().map(|link| (self.directory(&link.repository), link));
        let half = match link {
            Some((Some(directory), link)) if !directory.giving().is_nothing() => {
                match directory.read(&link.entry_key, false).await {
                    Ok(Some(known)) => Half::Entry(known, State::Live),
                    Ok(None) => Half::Absent,
                    Err(error) => Half::Shadow(failure(directory, &error)),
                }
            }
            _ => Half::Unasked,
        };
        given(user, &half)
    }

    /// The same of whoever has this device or authenticator: whoever may set its password may be its
    /// user.
    pub(super) async fn may_write_to_owner(
        &self,
        caller: &Caller,
        row: &ResourceRow,
    ) -> Result<(), Problem> {
        let Some(owner) = row.owner.as_ref().filter(|_| self.is_bounded(caller)) else {
            return Ok(());
        };
        let users = self.store.read(&self.tenant, &[owner.key]).await?;
        match users.first() {
            Some(user) => self.may_write_to(caller, user).await,
            None => Ok(()),
        }
    }

    /// Nobody was given this role.
    async fn unheld(&self, role: &ResourceRow) -> Result<(), Problem> {
        let users = self.users();
        let has = |path: &str, name: &str| {
            let path = users.resolve(path);
            let value = Literal::String(Text::new(name, &path));
            Filter::Compare { path, operator: Operator::Eq, value }
        };
        let mut given = vec![has("roles.value", &role.id)];
        if users.extension(LIFE_CYCLE).is_some() {
            let path = format!("{LIFE_CYCLE}:{ACCOUNT_ROLES}.type");
            // What was text when it was given may be the number of a role since.
            given.extend([has(&path, &role.id), has(&path, &role.number.to_string())]);
        }
        let filter = Filter::Or(given);
        let mut after = None;
        loop {
            let (tenant, kind) = (&self.tenant, &TypeName::User);
            let rows =
                self.store.candidates(tenant, kind, Some(&filter), Rows::All, after, CHUNK).await?;
            if let Some(user) = rows.iter().find(|row| filter.matches(&self.stored_view(row))) {
                return Err(Problem::Conflict(format!(
                    "The role \"{}\" was given to the user {}, and perhaps to others; take it from \
                     them first.",
                    role.id, user.id
                )));
            }
            match rows.last().filter(|_| rows.len() == CHUNK) {
                Some(last) => after = Some(last.number),
                None => return Ok(()),
            }
        }
    }

    /// After a write: what this role is called, and that it is there.
    pub(super) fn told_role(&self, row: &ResourceRow) {
        if row.type_name.as_str() == ROLE {
            self.roles.learn(row);
            self.rows.forget_all();
        }
    }

    /// After a removal.
    pub(super) fn gone_role(&self, row: &ResourceRow) {
        if row.type_name.as_str() == ROLE {
            self.roles.unlearn(row);
            self.rows.forget_all();
        }
    }

    /// Learns which roles there are.
    pub(super) async fn learn_roles(&self) -> Result<(), StoreError> {
        let Some(kind) = self.types.iter().find(|kind| kind.name == ROLE) else { return Ok(()) };
        let type_name = TypeName::new(&kind.name);
        let sort = Sort { path: kind.resolve("id"), descending: false };
        let search = Search::first(&type_name, None, &sort, MOST as u64);
        for row in self.store.search(&self.tenant, search).await?.rows {
            self.roles.learn(&row);
        }
        Ok(())
    }
}

/// The folded ids of the roles that a user was given: for everything, and in accounts.
pub(super) fn own_roles(user: &Attributes) -> Vec<String> {
    let mut roles = keys(user.get(ROLES));
    roles.extend(account_roles(user).map(key));
    roles
}

/// The caller reaches a role of this rank, which need not be there yet.
pub(super) fn may(caller: &Caller, role: &str, rank: i64) -> Result<(), Problem> {
    let Some(ceiling) = caller.ceiling.as_ref().filter(|ceiling| rank > ceiling.rank) else {
        return Ok(());
    };
    let whose = match &ceiling.role {
        Some(own) => format!("the role \"{own}\", which has rank {}", ceiling.rank),
        None => format!("rank {}, since it has no max_role", ceiling.rank),
    };
    Err(Problem::ForbiddenBecause(format!(
        "The role \"{role}\" has rank {rank}, and this token reaches up to {whose}: it neither gives nor \
         takes a higher role, and writes to nobody who has one."
    )))
}
