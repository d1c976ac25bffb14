//! Replacing, modifying, removing; the first write binds.
//!
//! Rows are read from the engine and entries from the directory, past every cache. A change is one
//! atomic step with its audit record. A write that is refused, or changes nothing, binds nobody.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::authority::{Mode, Owner, merge};
use super::back::{Begun, again};
use super::create::checked_user_type;
use super::directory::{Directory, Known};
use super::identity::{Care, Subject};
use super::joining::{GROUPS, list, missing_groups, own_groups};
use super::life::{says_status, settled};
use super::members::{Enrolling, MEMBERS, listed};
use super::owning::{self, Owning};
use super::resource::{Half, Resource};
use super::roles::{Held, ROLES};
use super::standing::{Divided, Standing, changed_meanwhile, divided, first_part};
use super::{
    Deed, Federation, IfMatch, Problem, View, demand, hierarchy, is_authenticator, is_group,
    is_owned, is_user, permit, vanish,
};
use crate::audit::{Action, AuditRecord, Outcome};
use crate::caller::{Caller, Permission};
use crate::scim::patch::{Membership, Tolerance};
use crate::scim::schema::check::Checked;
use crate::scim::written::Writing;
use crate::scim::{Attributes, Patch, ResourceType, ScimError};
use crate::store::{
    LinkRow, Presence, ResourceRow, ResourceWrite, RowKey, StoreError, TypeName, UniqueValue,
};

impl Federation {
    /// PUT: the whole resource as given.
    pub async fn replace(
        &self,
        caller: &Caller,
        kind: &ResourceType,
        id: &str,
        if_match: Option<&IfMatch>,
        checked: Checked,
        view: &View,
    ) -> Result<Arc<Resource>, Problem> {
        permit(caller, kind, Deed::Replace)?;
        checked_user_type(caller, &checked)?;
        let mut checked = checked;
        let list = list(kind, view);
        let given = list.and_then(|list| checked.attributes.shift_remove(list));
        let membership = match list {
            Some(GROUPS) if !checked.holds_groups => {
                if view.manner.requires_groups {
                    return Err(missing_groups());
                }
                Membership::default()
            }
            Some(_) => listed(given.as_ref())?,
            None => Membership::default(),
        };
        let membership = Asked::Of(membership);
        // Of an authenticator it is compared by who is meant, not by how that is written.
        let owner = if is_authenticator(kind) {
            checked.attributes.shift_remove(owning::OWNER)
        } else {
            None
        };
        let all_stand = is_owned(kind) && view.manner.sections_stand;
        let wanted = |current: &Attributes, owns_name| {
            let mut wanted = if is_user(kind) {
                Writing { kind, manner: &view.manner, owns_name }.replaced(current, &checked)?
            } else {
                kind.over(current, &checked.attributes)?
            };
            owning::keep(current, &checked.extensions, &mut wanted, all_stand);
            settled(kind, current, wanted)
        };
        let change = Change {
            wanted: &wanted,
            membership,
            owner: owner.as_ref(),
            mode: Mode::Replace,
            action: Action::Replace,
            says_active: false,
            photos: view.photos || checked.attributes.contains_key("photos"),
        };
        self.write(caller, kind, id, if_match, &change, view).await
    }

    /// PATCH.
    pub async fn modify(
        &self,
        caller: &Caller,
        kind: &ResourceType,
        id: &str,
        if_match: Option<&IfMatch>,
        patch: &Patch,
        view: &View,
    ) -> Result<Arc<Resource>, Problem> {
        permit(caller, kind, Deed::Replace)?;
        let list = list(kind, view);
        let parted = list.map(|list| patch.parted(list, kind)).transpose()?.flatten();
        let (patch, membership) = match (&parted, list) {
            (Some(parted), _) => (&parted.rest, Asked::Of(parted.membership.clone())),
            (None, Some(list)) => (patch, Asked::Seen(list)),
            (None, None) => (patch, Asked::Of(Membership::default())),
        };
        let tolerance = Tolerance::from(caller.client);
        let wanted = |current: &Attributes, owns_name| {
            let after = if is_user(kind) {
                let writing = Writing { kind, manner: &view.manner, owns_name };
                writing.modified(current, patch, tolerance)?
            } else {
                patch.apply(current, kind, tolerance)?
            };
            settled(kind, current, after)
        };
        let names = |attribute: &str| {
            patch.paths().any(|path| path.extension.is_none() && path.attribute == attribute)
        };
        let change = Change {
            wanted: &wanted,
            membership,
            owner: None,
            mode: Mode::Modify,
            action: Action::Modify,
            says_active: names("active") || patch.paths().any(says_status),
            photos: view.photos || names("photos"),
        };
        self.write(caller, kind, id, if_match, &change, view).await
    }

    /// Carries out a change that the caller is permitted.
    pub(super) async fn write(
        &self,
        caller: &Caller,
        kind: &ResourceType,
        id: &str,
        if_match: Option<&IfMatch>,
        change: &Change<'_>,
        view: &View,
    ) -> Result<Arc<Resource>, Problem> {
        // Every spelling of the id must come to the same lock.
        let canonical = self.canonical(kind, id).await?;
        let _writing = self.writing.hold(&canonical).await;
        let (mut begun, mut expected) = (None::<Begun>, Vec::new());
        loop {
            let standing = self.standing(kind, &canonical, change.photos).await?;
            // What the directory was written by matched then.
            if begun.is_none() {
                standing.must_match(if_match)?;
            }
            if self.returned(&standing, view.deadline).await? {
                continue;
            }
            let (mut wanted, mut enrolling) =
                self.wanted(caller, kind, &standing, change, view).await?;
            let derived = standing.derived_roles(self);
            if is_user(kind) {
                let values = standing.values();
                let theirs = values.as_ref().and_then(|values| values.get(ROLES));
                let held = Held { own: standing.own().get(ROLES), theirs, derived: &derived };
                self.roles.divide(&mut wanted, held, change.mode, &view.manner)?;
            }
            let row = standing.row().map(Arc::as_ref);
            let moved = row
                .filter(|_| is_group(kind))
                .and_then(|row| hierarchy::moved(Some(row), &mut wanted, change.mode));
            let _moving = match &moved {
                Some(_) => Some(self.moving.lock().await),
                None => None,
            };
            if let Some(moved) = &moved {
                let placed = self.placed(row, moved).await?;
                (enrolling.joining, enrolling.roles) = (placed.joining, placed.roles);
            }
            let (wanted, mut owning) =
                self.parted(caller, kind, (&canonical, &standing), change, wanted).await?;
            if is_user(kind) {
                owning.joining = std::mem::take(&mut enrolling.joining);
            }
            let Divided { own: mut after, planned } =
                divided(kind, &standing, &wanted, change.mode, change.says_active)?;
            self.rules.codes.apply(&mut after, standing.own())?;
            let shall = planned.as_ref().map(|known| standing.seen(Arc::clone(known)));
            let mut whole = shall.as_ref().unwrap_or(&standing).with_own(self, &after);
            standing.within_limits(self, kind, &whole, &wanted, &view.manner)?;
            let beside = !enrolling.is_nothing() || !owning.is_nothing();
            if after == *standing.own() && !beside && planned.is_none() && begun.is_none() {
                return self.told(standing, view).await;
            }
            if let Some(row) = standing.row().filter(|_| is_owned(kind)) {
                whole.extend(owning::shown(self.types(), row));
            }
            kind.require(&whole)?;
            if let Some(row) = standing.row() {
                self.named.keep(kind, row, &after)?;
            }
            self.reaches(caller, &standing, &after, &derived, &enrolling)?;
            if let Some(row) = standing.row() {
                self.may_write_to_owner(caller, row).await?;
            }
            if matches!(standing, Standing::Unbound { .. }) {
                demand(caller, Permission::UsersBind)?;
            }
            let mut standing = standing;
            if let (Some(planned), Some(entry)) = (planned, standing.entry()) {
                let tried = self.write_back(caller, entry, &planned, view).await;
                match again(tried, entry.0.id(), &mut expected, if_match, view)? {
                    Some(None) => {}
                    Some(Some((done, known))) => {
                        (begun, standing) = (Some(done), standing.seen(known));
                    }
                    None => continue,
                }
            }
            let written = match &standing {
                Standing::Unbound { directory, known } => {
                    let beside = (&owning, begun.as_ref());
                    self.insert_bound(caller, directory, known, after, false, beside, view).await
                }
                Standing::Stored { row, .. } => {
                    let action = owning.action().unwrap_or(change.action);
                    let beside = (&enrolling, &owning, begun.as_ref());
                    self.update(caller, kind, row, &standing, after, beside, action, view).await
                }
            };
            match written {
                Ok(row) => return self.told(standing.after(row), view).await,
                // A person whom this was to bind has been bound meanwhile; the group is as it was.
                Err(StoreError::Linked { .. })
                    if is_group(kind) && Instant::now() < view.deadline => {}
                // Another node was faster: read again and apply again, unless the caller asked for
                // exactly the version that is gone or has stopped waiting.
                Err(StoreError::Stale | StoreError::Linked { .. })
                    if if_match.is_some() && begun.is_none() =>
                {
                    return Err(changed_meanwhile());
                }
                Err(StoreError::Stale | StoreError::Linked { .. })
                    if Instant::now() < view.deadline => {}
                Err(error) => return Err(self.taken_back(begun, error).await),
            }
        }
    }

    /// What the resource shall be, without members, and what becomes of those.
    async fn wanted(
        &self,
        caller: &Caller,
        kind: &ResourceType,
        standing: &Standing,
        change: &Change<'_>,
        view: &View,
    ) -> Result<(Attributes, Enrolling), Problem> {
        let mut current = standing.merged(self);
        let owns_name = standing.owns(&self.user_name);
        if let Some(row) = standing.row() {
            current.extend(owning::named(self.types(), row, view.manner.numbers));
        }
        if is_group(kind)
            && let Some(row) = standing.row()
        {
            hierarchy::show(&mut current, row, kind);
        }
        if is_user(kind) {
            self.roles.show(&mut current, &standing.derived_roles(self));
        }
        match &change.membership {
            Asked::Of(membership) => {
                let wanted = (change.wanted)(&current, owns_name)?;
                let mut enrolling = self.asked(caller, kind, standing, membership, view).await?;
                // Who is not shown is not left out.
                enrolling.groups_only = view.manner.subgroups_only;
                Ok((wanted, enrolling))
            }
            Asked::Seen(list) => {
                if is_user(kind) {
                    let groups = own_groups(standing.row().map(Arc::as_ref));
                    current.extend(groups.map(|groups| (GROUPS.to_owned(), groups)));
                } else if let Some(row) = standing.row() {
                    let shown = self.with_members(row).await?;
                    let members = shown.attributes.get(MEMBERS).filter(|list| **list != json!([]));
                    current.extend(members.map(|members| (MEMBERS.to_owned(), members.clone())));
                }
                let mut wanted = (change.wanted)(&current, owns_name)?;
                let membership = listed(wanted.shift_remove(*list).as_ref())?;
                Ok((wanted, self.asked(caller, kind, standing, &membership, view).await?))
            }
        }
    }

    /// The values that shall be the resource's own, and what becomes of who has what.
    async fn parted(
        &self,
        caller: &Caller,
        kind: &ResourceType,
        (id, standing): (&str, &Standing),
        change: &Change<'_>,
        mut wanted: Attributes,
    ) -> Result<(Attributes, Owning), Problem> {
        match standing.row() {
            Some(row) if is_owned(kind) => {
                self.possession(caller, kind, row, change.owner, wanted).await
            }
            row if is_user(kind) => {
                let sections = owning::taken(&mut wanted);
                let has = row.map_or(&[][..], |row| &row.owned);
                let owning = self.sections(caller, id, has, sections).await?;
                Ok((wanted, owning))
            }
            _ => Ok((wanted, Owning::default())),
        }
    }

    /// A resource as it is shown after a write.
    async fn told(&self, standing: Standing, view: &View) -> Result<Arc<Resource>, Problem> {
        match standing.row() {
            Some(row) if view.members && row.type_name == TypeName::Group => {
                self.with_members(row).await
            }
            _ => Ok(standing.person(self)),
        }
    }

    /// Removes a resource, whatever DELETE does to users in this tenant.
    pub async fn erase(
        &self,
        caller: &Caller,
        kind: &ResourceType,
        id: &str,
        if_match: Option<&IfMatch>,
        view: &View,
    ) -> Result<(), Problem> {
        permit(caller, kind, Deed::Delete)?;
        let canonical = self.canonical(kind, id).await?;
        let _writing = self.writing.hold(&canonical).await;
        loop {
            let row = match self.resolve(kind, &canonical, Care::Written { photos: false }).await? {
                Subject::Row(row) => row,
                Subject::Unbound { directory, .. } => return Err(nothing_of_ours(&directory)),
            };
            if let Some(IfMatch::Versions(versions)) = if_match
                && !versions.iter().any(|version| first_part(version) == row.version.to_string())
            {
                return Err(changed_meanwhile());
            }
            self.named.stays(kind, &row)?;
            self.may_remove(caller, &row).await?;
            let audit = record(caller, kind, Action::Delete, &row.id, self.clock.now(), view);
            let tombstone = row.link.is_some();
            // Of a group that goes, nobody can tell afterwards who was in it.
            let inside = if is_group(kind) { Some(self.inside(&[row.key]).await) } else { None };
            let deleted = self.store.delete(&self.tenant, &row, tombstone, audit).await;
            match deleted {
                Ok(_) => {
                    self.rows.touched(&row, &[&self.stored_view(&row)]);
                    self.gone_role(&row);
                    if let Some(inside) = &inside {
                        self.forget(inside);
                    }
                    self.rows.owned_touched(&row.owned);
                    let owner: Vec<i64> = row.owner.iter().map(|owner| owner.key).collect();
                    self.users_touched(&owner).await;
                    return Ok(());
                }
                Err(StoreError::Stale) if if_match.is_none() && Instant::now() < view.deadline => {}
                Err(StoreError::Stale) => return Err(changed_meanwhile()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The canonical id; whether such a person exists is found out under the lock.
    async fn canonical(&self, kind: &ResourceType, id: &str) -> Result<String, Problem> {
        let id = self.spelled(kind, id).await?;
        let stored = self.rows.find(RowKey::Id(id.clone().into_owned()), true).await?;
        let named = match stored.rows.first() {
            Some(row) => return Ok(row.id.clone()),
            None => self.named(kind, &id, true).await?,
        };
        Ok(named.map_or_else(|| id.into_owned(), |row| row.id.clone()))
    }

    #[expect(clippy::too_many_arguments, reason = "what is written, over what, and for whom")]
    async fn update(
        &self,
        caller: &Caller,
        kind: &ResourceType,
        row: &ResourceRow,
        standing: &Standing,
        own: Attributes,
        (enrolling, owning, begun): (&Enrolling, &Owning, Option<&Begun>),
        action: Action,
        view: &View,
    ) -> Result<Arc<ResourceRow>, StoreError> {
        let at = self.clock.now();
        let mut write = match (&row.link, standing) {
            (Some(_), Standing::Stored { directory: Some(directory), half, .. }) => match half {
                Half::Entry(known, _) => self.bound_write(directory, known, own, at),
                _ => self.shadow_write(Some(directory), row.link.clone(), own, at),
            },
            (Some(_), _) => self.shadow_write(None, row.link.clone(), own, at),
            (None, _) => local_write(kind, own, at),
        };
        let mut audit = record(caller, kind, action, &row.id, at, view);
        write.settles = begun.map(|begun| begun.id.clone());
        audit.detail = begun.map(Begun::detail);
        let before = self.stored_view(row);
        if !is_group(kind) {
            let updated = if owning.is_nothing() {
                Arc::new(self.store.update(&self.tenant, row, &write, audit).await?)
            } else {
                let (prepared, tenant) = (self.prepared(caller, owning, at, view), &self.tenant);
                let ownership = prepared.ownership();
                let changed =
                    self.store.update_owning(tenant, row, &write, ownership, audit).await?;
                self.owned_anew(owning, changed, row.owner.as_deref()).await?
            };
            self.rows.touched(&updated, &[&before, &write.view]);
            // What others have shows the user's name, and the user shows theirs.
            self.rows.owned_touched(&row.owned);
            if owning.is_nothing() {
                let owner: Vec<i64> = row.owner.iter().map(|owner| owner.key).collect();
                self.users_touched(&owner).await;
            }
            self.told_role(&updated);
            return Ok(updated);
        }
        let bindings = self.bindings(enrolling, at);
        let bind = self.new_rows(caller, &bindings, view);
        let members = enrolling.members(&bind);
        let rewritten = (write.own != row.own).then_some(&write);
        let enrolled =
            self.store.update_group(&self.tenant, row, rewritten, members, audit).await?;
        self.rows.touched(&enrolled.row, &[&before, &write.view]);
        let renamed = before.get("displayName") != write.view.get("displayName");
        let moved = !enrolling.joining.is_nothing();
        self.regrouped(&enrolled, &bindings, renamed || moved).await;
        Ok(Arc::new(enrolled.row))
    }

    pub(super) fn bound_write(
        &self,
        directory: &Directory,
        known: &Known,
        own: Attributes,
        at: Timestamp,
    ) -> ResourceWrite {
        let link = LinkRow {
            repository: directory.id().to_owned(),
            entry_key: known.key.0.to_string(),
            dn: known.dn.clone(),
            shadow: known.mapped(),
            seen: known.fetched,
            entry_modified: known.last_modified,
            given: directory.giving().gifts(&known.given),
            presence: Presence {
                scope: Some(directory.repository().scope()),
                digest: known.sight(),
                ..Presence::default()
            },
        };
        self.linked_write(Some(directory), link, own, at)
    }

    /// What is known of the entry stays as it is.
    pub(super) fn shadow_write(
        &self,
        directory: Option<&Directory>,
        link: Option<LinkRow>,
        own: Attributes,
        at: Timestamp,
    ) -> ResourceWrite {
        match link {
            Some(link) => self.linked_write(directory, link, own, at),
            None => local_write(self.users(), own, at),
        }
    }

    fn linked_write(
        &self,
        directory: Option<&Directory>,
        link: LinkRow,
        own: Attributes,
        at: Timestamp,
    ) -> ResourceWrite {
        ResourceWrite {
            view: merge(
                self.users(),
                Owner::linked(directory.map(Directory::repository)),
                &vanish::shadow(&link),
                &own,
            ),
            owns_name: own.contains_key("userName"),
            owns_external_id: own.contains_key("externalId"),
            unique: UniqueValue::all(self.users(), &own),
            own,
            link: Some(link),
            settles: None,
            at,
        }
    }

    /// The merged values under which a row was last written and indexed.
    pub(super) fn stored_view(&self, row: &ResourceRow) -> Attributes {
        match &row.link {
            None => row.own.clone(),
            Some(link) => {
                let directory = self.directory(&link.repository);
                let owner = Owner::linked(directory.map(|directory| directory.repository()));
                merge(self.users(), owner, &vanish::shadow(link), &row.own)
            }
        }
    }
}

/// Why nothing is deleted of somebody whom only a directory knows.
pub(super) fn nothing_of_ours(directory: &Directory) -> Problem {
    Problem::ForbiddenBecause(format!(
        "This person is not bound: there is nothing here to delete. The entry itself belongs to the \
         repository \"{}\".",
        directory.id()
    ))
}

/// What is asked of a list of memberships.
pub(super) enum Asked {
    Of(Membership),
    /// What can be told only with the list of this name at hand: it is part of the attributes then.
    Seen(&'static str),
}

/// What PUT and PATCH do to a resource.
pub(super) struct Change<'a> {
    /// From the resource as it is, and whether its `userName` is ours, to the resource as it shall be.
    pub(super) wanted: &'a (dyn Fn(&Attributes, bool) -> Result<Attributes, ScimError> + Sync),
    pub(super) membership: Asked,
    /// What a PUT says of the owner of an authenticator.
    pub(super) owner: Option<&'a Value>,
    pub(super) mode: Mode,
    /// What the audit trail calls it, where it binds nobody.
    pub(super) action: Action,
    /// Whether `active` is named, and is not what any client sends that hands back what it read.
    pub(super) says_active: bool,
    /// Whether photos must be at hand: they are written, or wanted in the answer.
    pub(super) photos: bool,
}

/// The row of a resource of which all is ours. Whose `externalId` a user has, nobody else may have;
/// that of other resources is their client's own.
pub(super) fn local_write(kind: &ResourceType, own: Attributes, at: Timestamp) -> ResourceWrite {
    ResourceWrite {
        view: own.clone(),
        owns_name: true,
        owns_external_id: TypeName::new(&kind.name) == TypeName::User,
        unique: UniqueValue::all(kind, &own),
        own,
        link: None,
        settles: None,
        at,
    }
}

/// What the audit trail keeps of a change.
pub(super) fn record(
    caller: &Caller,
    kind: &ResourceType,
    action: Action,
    subject: &str,
    at: Timestamp,
    view: &View,
) -> AuditRecord {
    AuditRecord {
        at,
        caller: caller.name.to_string(),
        actor: caller.user.as_deref().map(str::to_owned),
        kind: kind.name.clone(),
        action,
        outcome: Outcome::Success,
        subject: subject.to_owned(),
        request_id: view.request_id.clone(),
        correlation_id: None,
        detail: None,
    }
}
