//! POST: a new local user, or the explicit binding of a directory person (rule 2).

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::authority::{Account, Division, Mode, Owner};
use super::back::{Begun, Unwritten, conflicting, names};
use super::directory::{Directory, Known};
use super::joining::GROUPS;
use super::life::settled;
use super::members::{MEMBERS, listed};
use super::owning::{self, Owning};
use super::resource::{Half, Resource, SOURCE_URN};
use super::roles::{Held, ROLES};
use super::standing::{Divided, Standing, divided};
use super::write::{local_write, record};
use super::{
    Deed, Federation, GROUP, Problem, ROLE, View, ceiling, demand, hierarchy, is_group, is_owned,
    is_user, permit,
};
use crate::audit::Action;
use crate::cache::State;
use crate::caller::{Caller, Permission};
use crate::scim::dialect::Manner;
use crate::scim::filter::{Filter, Literal, Operator, Text};
use crate::scim::patch::Membership;
use crate::scim::schema::check::Checked;
use crate::scim::text::is_code;
use crate::scim::written::{Posting, Writing};
use crate::scim::{Attributes, ErrorKind, ResourceType, ScimError};
use crate::store::{
    Joining, LinkState, NewResource, ResourceRow, RowKey, StoreError, TypeName, UserType,
};

/// What POST made.
#[derive(Clone, Debug)]
pub struct Created {
    pub resource: Arc<Resource>,
    /// Whether a directory person was bound; else a local user is new.
    pub bound: bool,
}

impl Federation {
    /// POST: a new local resource, or for users the explicit binding of a directory person (rule 2).
    pub async fn create(
        &self,
        caller: &Caller,
        kind: &ResourceType,
        checked: Checked,
        view: &View,
    ) -> Result<Created, Problem> {
        permit(caller, kind, Deed::Create)?;
        if is_group(kind) {
            return self.create_group(caller, kind, checked.attributes, view).await;
        }
        if is_owned(kind) {
            return self.create_possession(caller, kind, checked.attributes, view).await;
        }
        if !is_user(kind) {
            if kind.name == ROLE {
                let rank = checked.attributes.get("rank").and_then(Value::as_i64).unwrap_or(0);
                let name = checked.attributes.get("name").and_then(Value::as_str);
                ceiling::may(caller, name.unwrap_or_default(), rank)?;
                self.roles.room()?;
            }
            let (own, none) = (checked.attributes, (Attributes::new(), Joining::default()));
            return self.create_local(caller, kind, own, none, view).await;
        }
        let mut checked = self.posted(caller, checked)?;
        let meant = self.meant(caller, &checked, view).await?;
        let groups = checked.attributes.shift_remove(GROUPS);
        let sections = owning::taken(&mut checked.attributes);
        if let Some((directory, known)) = meant {
            demand(caller, Permission::UsersBind)?;
            let id = directory.long_id(&known.key.0);
            let _writing = self.writing.hold(&id).await;
            let standing = Standing::unbound(&directory, &known);
            let wanted = &mut checked.attributes;
            let joining = self.at_birth(caller, Some(&standing), groups, wanted, view).await?;
            let (people, beside) = ((&directory, &known), (sections, joining));
            return self.bind_by_post(caller, people, &checked, beside, view).await;
        }
        let wanted = &mut checked.attributes;
        let joining = self.at_birth(caller, None, groups, wanted, view).await?;
        let own = self.local_user(caller, &checked, &view.manner)?;
        self.create_local(caller, kind, own, (sections, joining), view).await
    }

    /// The groups that a new user is in; of its roles what is to be stored is left. Both are the
    /// configuration's where the body says nothing of them; else the caller gives what it may.
    async fn at_birth(
        &self,
        caller: &Caller,
        unbound: Option<&Standing>,
        groups: Option<Value>,
        wanted: &mut Attributes,
        view: &View,
    ) -> Result<Joining, Problem> {
        let given = unbound.map(Standing::given).unwrap_or_default();
        let membership = match &groups {
            Some(groups) if view.manner.groups_writable => listed(Some(groups))?,
            _ => Membership::default(),
        };
        let mut joined = self.joined(None, &given, &membership, &view.manner).await?;
        let by_rules = unbound.map(|one| one.derived_roles(self)).unwrap_or_default();
        self.within_ceiling(caller, joined.roles.iter().map(String::as_str))?;
        if let Some(unbound) = unbound {
            self.may_write_to_unbound(caller, unbound)?;
        }
        if joined.joining.is_nothing() {
            joined = self.preset(&caller.groups).await?;
        }
        let mut derived = joined.gained;
        derived.extend(by_rules);
        let values = unbound.and_then(Standing::values);
        let theirs = values.as_ref().and_then(|values| values.get(ROLES));
        let held = Held { own: None, theirs, derived: &derived };
        self.roles.divide(wanted, held, Mode::Replace, &view.manner)?;
        let own = ceiling::own_roles(wanted);
        self.within_ceiling(caller, own.iter().map(String::as_str))?;
        *wanted = self.with_default_role(std::mem::take(wanted));
        Ok(joined.joining)
    }

    /// A body that shall make a user, by a POST of its own or as a row of an import, held against all
    /// that can be told without looking at anybody else.
    pub(super) fn posted(&self, caller: &Caller, checked: Checked) -> Result<Checked, Problem> {
        checked_user_type(caller, &checked)?;
        let attributes = settled(self.users(), &Attributes::new(), checked.attributes)?;
        let own = caller.agent.as_ref().and_then(|agent| agent.repository.as_deref());
        // An agent's own says whose the user is to be, not whom to bind.
        let named = checked.user_repository_id.filter(|named| Some(&**named) != own);
        Ok(Checked { attributes, user_repository_id: named, ..checked })
    }

    /// What is stored of a new user of whom all is ours.
    pub(super) fn local_user(
        &self,
        caller: &Caller,
        checked: &Checked,
        manner: &Manner,
    ) -> Result<Attributes, Problem> {
        let (kind, nothing) = (self.users(), Attributes::new());
        let writing = Writing { kind, manner, owns_name: true };
        let posting = if caller.agent.is_some() { Posting::Provisions } else { Posting::Creates };
        let given = writing.posted(&nothing, checked, posting)?;
        kind.require(&given)?;
        writing.limited(&nothing, &given)?;
        let mut own = self.with_default_role(self.owned_by_store(&given)?);
        self.rules.codes.apply(&mut own, &Attributes::new())?;
        if let Some(repository) = caller.agent.as_ref().and_then(|agent| agent.repository.as_ref())
        {
            own.insert(SOURCE_URN.into(), json!({ "userRepositoryId": repository }));
        }
        Ok(own)
    }

    /// What is stored as ours of a directory person who is bound by a body, and what is written back.
    pub(super) fn bound_user(
        &self,
        directory: &Arc<Directory>,
        known: &Arc<Known>,
        checked: &Checked,
        manner: &Manner,
    ) -> Result<Divided, Problem> {
        let standing = Standing::unbound(directory, known);
        let owns_name = standing.owns(&self.user_name);
        let writing = Writing { kind: self.users(), manner, owns_name };
        let wanted = writing.posted(&known.values(), checked, Posting::Binds)?;
        let mut divided = divided(self.users(), &standing, &wanted, Mode::Replace, true)?;
        self.rules.codes.apply(&mut divided.own, &Attributes::new())?;
        let shall = Standing::unbound(directory, divided.planned.as_ref().unwrap_or(known));
        let whole = shall.with_own(self, &divided.own);
        standing.within_limits(self, self.users(), &whole, &wanted, manner)?;
        self.users().require(&whole)?;
        Ok(divided)
    }

    /// Which directory person a POST means, if any: by the mapped `externalId` alone.
    async fn meant(
        &self,
        caller: &Caller,
        checked: &Checked,
        view: &View,
    ) -> Result<Option<(Arc<Directory>, Arc<Known>)>, Problem> {
        let named = checked.user_repository_id.as_deref();
        let external_id = checked.attributes.get("externalId").and_then(Value::as_str);
        let (directories, external_id) = match (named, external_id) {
            (Some(named), external_id) => {
                let directory = self.directory(named).ok_or_else(|| {
                    invalid(format!(
                        "userRepositoryId: there is no repository \"{named}\" in this tenant."
                    ))
                })?;
                let external_id = external_id.ok_or_else(|| {
                    invalid(
                        "externalId is missing: with userRepositoryId it names the directory person \
                         to bind.",
                    )
                })?;
                (std::slice::from_ref(directory), external_id)
            }
            (None, Some(external_id)) if caller.binds.unwrap_or(view.manner.binds) => {
                (&self.directories[..], external_id)
            }
            _ => return Ok(None),
        };
        let path = self.users().resolve("externalId");
        let value = Literal::String(Text::new(external_id, &path));
        let filter = Filter::Compare { path, operator: Operator::Eq, value };
        let photos = checked.attributes.contains_key("photos");
        let mut found = Vec::new();
        for directory in directories {
            // A repository that might hold the person and does not answer: nothing is created.
            for known in directory.resolve(&filter, photos).await? {
                if filter.matches(&known.values()) {
                    found.push((Arc::clone(directory), known));
                }
            }
        }
        if found.len() > 1 {
            let holders: Vec<&str> = found.iter().map(|(directory, _)| directory.id()).collect();
            return Err(Problem::Conflict(format!(
                "externalId \"{external_id}\" is the externalId of {} people, in the repositories {}; \
                 name one by userRepositoryId.",
                found.len(),
                holders.join(", ")
            )));
        }
        match (found.pop(), named) {
            (None, Some(named)) => Err(invalid(format!(
                "externalId: nobody in the repository \"{named}\" has \"{external_id}\"."
            ))),
            (found, _) => Ok(found),
        }
    }

    async fn bind_by_post(
        &self,
        caller: &Caller,
        (directory, known): (&Arc<Directory>, &Arc<Known>),
        checked: &Checked,
        (sections, joining): (Attributes, Joining),
        view: &View,
    ) -> Result<Created, Problem> {
        let entry_key = known.key.0.to_string();
        let states = self
            .store
            .find_links(&self.tenant, directory.id(), std::slice::from_ref(&entry_key))
            .await?;
        let revive = match states.first() {
            Some(LinkState::Row(row)) => {
                return Err(StoreError::Linked { id: row.id.clone() }.into());
            }
            Some(LinkState::Tombstone { .. }) => true,
            None => false,
        };
        let Divided { own, planned } = self.bound_user(directory, known, checked, &view.manner)?;
        let id = directory.long_id(&known.key.0);
        let (mut begun, mut known) = (None, Arc::clone(known));
        let row = loop {
            let owning = self.beside(caller, &id, &sections, &joining).await?;
            if let Some(planned) = planned.as_ref().filter(|_| begun.is_none()) {
                match self.write_back(caller, (directory, &known), planned, view).await {
                    Ok(None) => {}
                    Ok(Some((done, seen))) => (begun, known) = (Some(done), seen),
                    Err(Unwritten::Problem(problem)) => return Err(problem),
                    Err(Unwritten::Changed(expected)) => {
                        return Err(conflicting(directory.id(), &names(&expected)));
                    }
                }
            }
            let (own, beside) = (own.clone(), (&owning, begun.as_ref()));
            match self.insert_bound(caller, directory, &known, own, revive, beside, view).await {
                Ok(row) => break row,
                Err(StoreError::Stale) if Instant::now() < view.deadline => {}
                Err(error) => return Err(self.taken_back(begun, error).await),
            }
        };
        let half = Half::Entry(known, State::Live);
        Ok(Created { resource: self.people.stored(&row, Some(directory), &half), bound: true })
    }

    /// What is stored of a user of whom all is ours.
    fn owned_by_store(&self, wanted: &Attributes) -> Result<Attributes, Problem> {
        let own = Division {
            resource_type: self.users(),
            owner: Owner::Store,
            directory: &Attributes::new(),
            shadow: None,
            own: &Attributes::new(),
            mode: Mode::Replace,
            says_active: true,
            account: Account::Both,
        }
        .own_after(wanted)
        .map_err(|owned| owned.into_error("store"))?;
        Ok(with_default_active(own))
    }

    /// Who is given no role has the tenant's default one; the configuration gives it, not the caller.
    fn with_default_role(&self, mut own: Attributes) -> Attributes {
        if let Some(role) = &self.rules.customs.default_role
            && !own.contains_key("roles")
        {
            let mut shown = json!({ "value": role.value });
            if let Some(display) = &role.display {
                shown["display"] = display.as_str().into();
            }
            own.insert("roles".into(), json!([shown]));
        }
        own
    }

    async fn create_local(
        &self,
        caller: &Caller,
        kind: &ResourceType,
        own: Attributes,
        (sections, joining): (Attributes, Joining),
        view: &View,
    ) -> Result<Created, Problem> {
        let at = self.clock.now();
        let id = self.id_of_new(caller, kind, &own, view).await?;
        let type_name = TypeName::new(&kind.name);
        let write = local_write(kind, own, at);
        let audit = record(caller, kind, Action::Create, &id, at, view);
        let new = NewResource {
            type_name,
            id: &id,
            user_type: type_of_new(caller, kind),
            write: &write,
            revive: false,
            record: audit,
        };
        let row = loop {
            let owning = self.beside(caller, &id, &sections, &joining).await?;
            match self.created(caller, new.clone(), &owning, view).await {
                // A device is not what it was a moment before.
                Err(StoreError::Stale) if Instant::now() < view.deadline => {}
                made => break made?,
            }
        };
        self.told_role(&row);
        Ok(Created { resource: self.people.stored(&row, None, &Half::Unasked), bound: false })
    }

    async fn create_group(
        &self,
        caller: &Caller,
        kind: &ResourceType,
        mut own: Attributes,
        view: &View,
    ) -> Result<Created, Problem> {
        let membership = listed(own.shift_remove(MEMBERS).as_ref())?;
        let moved = hierarchy::moved(None, &mut own, Mode::Replace);
        let _moving = match &moved {
            Some(_) => Some(self.moving.lock().await),
            None => None,
        };
        let id = self.id_of_new(caller, kind, &own, view).await?;
        loop {
            let at = self.clock.now();
            let mut enrolling = self.enrolling(caller, &membership).await?;
            if let Some(moved) = &moved {
                let placed = self.placed(None, moved).await?;
                self.within_ceiling(caller, placed.roles.iter().map(String::as_str))?;
                enrolling.joining = placed.joining;
            }
            let write = local_write(kind, own.clone(), at);
            let bindings = self.bindings(&enrolling, at);
            let bind = self.new_rows(caller, &bindings, view);
            let new = NewResource {
                type_name: TypeName::Group,
                id: &id,
                user_type: UserType::Ftress,
                write: &write,
                revive: false,
                record: record(caller, kind, Action::Create, &id, at, view),
            };
            let made = self.store.create_group(&self.tenant, new, enrolling.members(&bind)).await;
            let enrolled = match made {
                Ok(enrolled) => enrolled,
                // A person was bound, or a member has gone, meanwhile.
                Err(StoreError::Linked { .. } | StoreError::Stale)
                    if Instant::now() < view.deadline =>
                {
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let row = &enrolled.row;
            self.rows.touched(row, &[&write.view]);
            self.regrouped(&enrolled, &bindings, false).await;
            let resource = if view.members {
                self.with_members(row).await?
            } else {
                self.people.stored(row, None, &Half::Unasked)
            };
            return Ok(Created { resource, bound: false });
        }
    }

    /// The id of a new resource: the code that a group or role is posted with, where codes are ids and
    /// nothing of another kind has it; else one of ours.
    async fn id_of_new(
        &self,
        caller: &Caller,
        kind: &ResourceType,
        own: &Attributes,
        view: &View,
    ) -> Result<String, Problem> {
        // What the agent of another system calls a group, that system's administrator can name here.
        let taken = view.manner.codes || caller.agent.is_some();
        let coded = taken && matches!(kind.name.as_str(), GROUP | ROLE);
        let code = own.get("externalId").and_then(Value::as_str);
        if let Some(code) = code.filter(|code| coded && is_code(code)) {
            let of_directory = code
                .split_once('.')
                .is_some_and(|(repository, _)| self.directory(repository).is_some());
            let found = self.store.find(&self.tenant, &RowKey::Id(code.to_owned())).await?;
            let free = found.iter().all(|row| row.type_name.as_str() == kind.name);
            if free && !of_directory {
                return Ok(code.to_owned());
            }
        }
        Ok(self.clock.new_id().to_string())
    }

    /// What a new user has and is in.
    async fn beside(
        &self,
        caller: &Caller,
        id: &str,
        sections: &Attributes,
        joining: &Joining,
    ) -> Result<Owning, Problem> {
        let mut owning = self.sections(caller, id, &[], sections.clone()).await?;
        let there = self.store.read(&self.tenant, &joining.join).await?;
        if there.len() < joining.join.len() {
            return Err(Problem::Conflict(
                "A group that the user was to be in has just gone; look, and repeat the request."
                    .to_owned(),
            ));
        }
        owning.joining = joining.clone();
        Ok(owning)
    }

    /// Makes a row with what it has.
    async fn created(
        &self,
        caller: &Caller,
        new: NewResource<'_>,
        owning: &Owning,
        view: &View,
    ) -> Result<Arc<ResourceRow>, StoreError> {
        let written = &new.write.view;
        if owning.is_nothing() {
            let row = Arc::new(self.store.create(&self.tenant, new).await?);
            // An earlier look-up of the name may have kept "nobody".
            self.rows.touched(&row, &[written]);
            return Ok(row);
        }
        let prepared = self.prepared(caller, owning, new.write.at, view);
        let changed = self.store.create_owning(&self.tenant, new, prepared.ownership()).await?;
        self.rows.touched(&changed.row, &[written]);
        self.owned_anew(owning, changed, None).await
    }

    #[expect(clippy::too_many_arguments, reason = "what is written, of whom, and for whom")]
    pub(super) async fn insert_bound(
        &self,
        caller: &Caller,
        directory: &Arc<Directory>,
        known: &Arc<Known>,
        own: Attributes,
        revive: bool,
        (owning, begun): (&Owning, Option<&Begun>),
        view: &View,
    ) -> Result<Arc<ResourceRow>, StoreError> {
        let at = self.clock.now();
        let id = directory.long_id(&known.key.0);
        let mut write = self.bound_write(directory, known, own, at);
        let mut audit = record(caller, self.users(), Action::Bind, &id, at, view);
        write.settles = begun.map(|begun| begun.id.clone());
        audit.detail = begun.map(Begun::detail);
        let new = NewResource {
            type_name: TypeName::User,
            id: &id,
            user_type: UserType::FtressLdap,
            write: &write,
            revive,
            record: audit,
        };
        self.created(caller, new, owning, view).await
    }
}

/// `userType` says where a user is kept and is nobody's to write, so that whatever a body says is
/// passed over; but who asks for a provisioning agent's user must not get another kind.
pub(super) fn checked_user_type(caller: &Caller, checked: &Checked) -> Result<(), Problem> {
    let agent = UserType::ScimFed.name();
    match &checked.user_type {
        _ if caller.agent.is_some() => Ok(()),
        Some(given) if given.eq_ignore_ascii_case(agent) => Err(invalid(format!(
            "userType: this token does not create users of the type {agent}; leave it out."
        ))),
        _ => Ok(()),
    }
}

/// What `userType` a local user has whom this caller makes.
pub(super) fn type_of_new(caller: &Caller, kind: &ResourceType) -> UserType {
    match &caller.agent {
        Some(_) if is_user(kind) => UserType::ScimFed,
        Some(_) | None => UserType::Ftress,
    }
}

/// Nobody about whom nothing is said is locked out.
pub(super) fn with_default_active(mut own: Attributes) -> Attributes {
    own.entry("active").or_insert(Value::Bool(true));
    own
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::Scim(ScimError::new(ErrorKind::InvalidValue, detail))
}
