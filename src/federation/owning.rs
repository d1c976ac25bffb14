//! Whose devices and authenticators are, and what a user has of them: how both are shown, and what a
//! body or a patch asks for becomes rows, for the store to change with the row itself.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::identity::{Care, Subject};
use super::members::Binding;
use super::rows::name_key;
use super::standing::Standing;
use super::write::record;
use super::{AUTHENTICATOR, DEVICE, Federation, Problem, USER, View, demand};
use crate::audit::{Action, AuditRecord};
use crate::caller::{Caller, Permission};
use crate::scim::dialect::location;
use crate::scim::resource::digest_text;
use crate::scim::schema::standard::{PASSWORD, USER_AUTHENTICATOR, USER_DEVICE};
use crate::scim::text::fold;
use crate::scim::{Attributes, ErrorKind, ResourceType, ScimError};
use crate::store::{
    Changed, Joining, NewOwner, NewResource, Owned, Owner, Ownership, ResourceRow, ResourceWrite,
    StoreError, TypeName, UserType,
};

/// The extensions that show what a user has.
pub(super) const OWNED: [&str; 2] = [USER_DEVICE, USER_AUTHENTICATOR];

/// The attribute that tells whose something is.
pub(super) const OWNER: &str = "owner";

/// Nobody has more devices and authenticators.
const MOST: usize = 1000;

/// What is asked of who has what, beside what becomes of the row itself.
#[derive(Debug, Default)]
pub(super) struct Owning {
    /// Of a device or an authenticator.
    pub(super) owner: Whose,
    /// Of an authenticator: the hash of a new password.
    pub(super) password: Option<String>,
    /// Devices that become the user's.
    assign: Vec<Owned>,
    unassign: Vec<Owned>,
    /// Authenticators that are made.
    make: Vec<Making>,
    remove: Vec<Owned>,
    /// The groups that the user joins and leaves.
    pub(super) joining: Joining,
}

/// Whose something shall be.
#[derive(Debug, Default)]
pub(super) enum Whose {
    /// Whose it was.
    #[default]
    Same,
    Nobody,
    User(Arc<ResourceRow>),
    /// Somebody whom only a directory knows, and whom the write binds.
    Unbound(Box<Binding>),
}

/// An authenticator that is to be made.
#[derive(Debug)]
struct Making {
    id: String,
    write: ResourceWrite,
}

/// The same as the store takes it.
pub(super) struct Prepared<'a> {
    owning: &'a Owning,
    bind: Option<NewResource<'a>>,
    make: Vec<NewResource<'a>>,
    assign: Vec<i64>,
    unassign: Vec<i64>,
    remove: Vec<i64>,
    records: Vec<AuditRecord>,
}

impl Owning {
    /// Of a device or an authenticator.
    pub(super) fn of(owner: Whose, password: Option<String>) -> Self {
        Self { owner, password, ..Self::default() }
    }

    pub(super) fn is_nothing(&self) -> bool {
        matches!(self.owner, Whose::Same)
            && self.password.is_none()
            && self.assign.is_empty()
            && self.unassign.is_empty()
            && self.make.is_empty()
            && self.remove.is_empty()
            && self.joining.is_nothing()
    }

    /// What the change of a device is called, where its owner is what changes.
    pub(super) fn action(&self) -> Option<Action> {
        match self.owner {
            Whose::Same => None,
            Whose::Nobody => Some(Action::Unassign),
            Whose::User(_) | Whose::Unbound(_) => Some(Action::Assign),
        }
    }
}

impl Prepared<'_> {
    pub(super) fn ownership(&self) -> Ownership<'_> {
        Ownership {
            owner: match (&self.owning.owner, &self.bind) {
                (Whose::Nobody, _) => NewOwner::Nobody,
                (Whose::User(row), _) => NewOwner::Row(row.key),
                (Whose::Unbound(_), Some(new)) => NewOwner::Bound(new),
                _ => NewOwner::Same,
            },
            password: self.owning.password.as_deref(),
            assign: &self.assign,
            unassign: &self.unassign,
            make: &self.make,
            remove: &self.remove,
            joining: Some(&self.owning.joining),
            records: &self.records,
        }
    }
}

impl Federation {
    /// What becomes of what a user has: the two extensions ([`taken`]) name all that the user shall
    /// have. `user` is the canonical id, `has` what there is.
    pub(super) async fn sections(
        &self,
        caller: &Caller,
        user: &str,
        has: &[Owned],
        sections: Attributes,
    ) -> Result<Owning, Problem> {
        let (devices, authenticators) =
            (sections.get(USER_DEVICE), sections.get(USER_AUTHENTICATOR));
        let mut owning = Owning::default();
        if has.is_empty() && devices.is_none() && authenticators.is_none() {
            return Ok(owning);
        }
        self.devices(user, has, elements(devices, "devices"), &mut owning).await?;
        let listed = elements(authenticators, "authenticators");
        self.authenticators(user, has, listed, &mut owning)?;
        if !(owning.assign.is_empty() && owning.unassign.is_empty()) {
            demand(caller, Permission::DevicesWrite)?;
        }
        if !(owning.make.is_empty() && owning.remove.is_empty()) {
            demand(caller, Permission::AuthenticatorsWrite)?;
        }
        let gone = owning.unassign.len() + owning.remove.len();
        let come = owning.assign.len() + owning.make.len();
        if come > 0 && has.len() + come > MOST + gone {
            return Err(too_much());
        }
        Ok(owning)
    }

    async fn devices(
        &self,
        user: &str,
        has: &[Owned],
        listed: &[Value],
        owning: &mut Owning,
    ) -> Result<(), Problem> {
        let has: Vec<&Owned> = has.iter().filter(|one| one.type_name == TypeName::Device).collect();
        let mut kept = Vec::with_capacity(listed.len());
        let mut new = Vec::new();
        for (place, element) in listed.iter().enumerate() {
            let given = element.get("value").and_then(Value::as_str).unwrap_or_default();
            match has.iter().find(|one| one.is_named(given)) {
                Some(one) => kept.push(one.key),
                None => new.push((place, given.to_owned())),
            }
        }
        owning.unassign =
            has.iter().filter(|one| !kept.contains(&one.key)).copied().cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = new.iter().map(|(_, id)| id.clone()).collect();
        let found = self.store.find_ids(&self.tenant, &ids).await?;
        for (place, id) in new {
            let row =
                found.iter().find(|row| row.type_name == TypeName::Device && row.is_named(&id));
            let Some(row) = row else {
                return Err(invalid(format!(
                    "{USER_DEVICE}:devices[{place}].value: there is no device with the id \
                     \"{}\".",
                    shortened(&id)
                )));
            };
            match &row.owner {
                // Assigned between two looks.
                Some(owner) if owner.id == user => {}
                Some(_) => {
                    return Err(Problem::Conflict(format!(
                        "The device {} is assigned to another user; unassign it there before.",
                        row.id
                    )));
                }
                None if owning.assign.iter().any(|one| one.key == row.key) => {}
                None => owning.assign.push(Owned::from(row.as_ref())),
            }
        }
        Ok(())
    }

    fn authenticators(
        &self,
        user: &str,
        has: &[Owned],
        listed: &[Value],
        owning: &mut Owning,
    ) -> Result<(), Problem> {
        let has: Vec<&Owned> =
            has.iter().filter(|one| one.type_name == TypeName::Authenticator).collect();
        let mut named: Vec<&str> = Vec::with_capacity(listed.len());
        for (place, element) in listed.iter().enumerate() {
            let at = || format!("{USER_AUTHENTICATOR}:authenticators[{place}]");
            let text = |name: &str| element.get(name).and_then(Value::as_str);
            // Whose it is, is told by the user whose section this is.
            let policy = match (text("value"), text("display")) {
                (Some(value), _) => policy_of(value),
                (None, Some(policy)) => policy,
                (None, None) => {
                    return Err(invalid(format!(
                        "{} names no policy: give its code as display.",
                        at()
                    )));
                }
            };
            let known = has.iter().any(|one| policy_of(&one.id) == policy);
            if named.contains(&policy) {
                continue;
            }
            named.push(policy);
            if !known {
                let policy = self.known_policy(policy, None, &at())?;
                let (id, write) = self.authenticator(user, policy, &at())?;
                owning.make.push(Making { id, write });
            }
        }
        let gone = has.iter().filter(|one| !named.contains(&policy_of(&one.id)));
        owning.remove = gone.copied().cloned().collect();
        Ok(())
    }

    /// Whose a device or an authenticator shall be: `asked` is the attribute as it shall be. Of a value
    /// and a name that disagree, the one counts that differs from what is there, and the value first.
    pub(super) async fn whose(
        &self,
        caller: &Caller,
        asked: Option<&Value>,
        current: Option<&Owner>,
    ) -> Result<Whose, Problem> {
        let Some(asked) = asked else {
            return Ok(if current.is_some() { Whose::Nobody } else { Whose::Same });
        };
        let text = |name: &str| asked.get(name).and_then(Value::as_str);
        let (value, display) = (text("value"), text("display"));
        let is_current = |owner: &Owner| {
            let by_name = |name: &str| {
                owner.user_name.as_deref().is_some_and(|known| fold(known) == fold(name))
            };
            value.is_none_or(|id| owner.is_named(id)) && display.is_none_or(by_name)
        };
        let subject = match (value, display, current) {
            (_, _, Some(current)) if is_current(current) => return Ok(Whose::Same),
            (Some(id), Some(name), Some(current)) if current.is_named(id) => {
                self.owner_by_name(name).await?
            }
            (Some(id), ..) => self.owner_by_id(id).await?,
            (None, Some(name), _) => self.owner_by_name(name).await?,
            (None, None, _) => {
                return Err(invalid("owner names nobody: give the user's id as value."));
            }
        };
        match subject {
            Subject::Row(row) if current.is_some_and(|current| current.key == row.key) => {
                Ok(Whose::Same)
            }
            Subject::Row(row) if row.owned.len() >= MOST => Err(too_much()),
            Subject::Row(row) => {
                self.may_write_to(caller, &row).await?;
                Ok(Whose::User(row))
            }
            Subject::Unbound { directory, known, .. } => {
                demand(caller, Permission::UsersBind)?;
                self.may_write_to_unbound(caller, &Standing::unbound(&directory, &known))?;
                let (id, at) = (directory.long_id(&known.key.0), self.clock.now());
                let write = self.bound_write(&directory, &known, Attributes::new(), at);
                Ok(Whose::Unbound(Box::new(Binding { id, write })))
            }
        }
    }

    async fn owner_by_id(&self, id: &str) -> Result<Subject, Problem> {
        let users = Arc::clone(self.users());
        match self.resolve_id(&users, id, Care::Written { photos: false }).await {
            Err(Problem::NotFound(_)) => Err(invalid(format!(
                "owner.value: there is no user with the id \"{}\".",
                shortened(id)
            ))),
            found => found,
        }
    }

    /// Somebody who has a row: nobody is bound by a name.
    async fn owner_by_name(&self, name: &str) -> Result<Subject, Problem> {
        let found = self.rows.find(name_key(&TypeName::User, name), true).await?;
        match found.rows.as_slice() {
            [row] => Ok(Subject::Row(Arc::clone(row))),
            [] => Err(invalid(format!(
                "owner.display: there is no user here with the userName \"{}\"; name a directory \
                 person by owner.value.",
                shortened(name)
            ))),
            several => {
                let ids: Vec<&str> = several.iter().map(|row| row.id.as_str()).collect();
                Err(Problem::Conflict(format!(
                    "owner.display is the userName of several users, {}; name one by owner.value.",
                    ids.join(", ")
                )))
            }
        }
    }

    /// What is asked as the store takes it.
    pub(super) fn prepared<'a>(
        &self,
        caller: &Caller,
        owning: &'a Owning,
        at: Timestamp,
        view: &View,
    ) -> Prepared<'a> {
        let kind = |name: &str| self.types.iter().find(|kind| kind.name == name);
        let recorded = |name: &str, action, id: &str| {
            kind(name).map(|kind| record(caller, kind, action, id, at, view))
        };
        let new = |type_name, id: &'a str, write: &'a ResourceWrite, record| NewResource {
            type_name,
            id,
            user_type: UserType::FtressLdap,
            write,
            revive: false,
            record,
        };
        let bind = match &owning.owner {
            Whose::Unbound(binding) => {
                let record = record(caller, self.users(), Action::Bind, &binding.id, at, view);
                Some(new(TypeName::User, &binding.id, &binding.write, record))
            }
            _ => None,
        };
        let make = owning.make.iter().filter_map(|Making { id, write }| {
            let record = recorded(AUTHENTICATOR, Action::Create, id)?;
            let user_type = UserType::Ftress;
            Some(NewResource { user_type, ..new(TypeName::Authenticator, id, write, record) })
        });
        let devices = |owned: &[Owned], action| -> Vec<AuditRecord> {
            owned.iter().filter_map(|one| recorded(DEVICE, action, &one.id)).collect()
        };
        let mut records = devices(&owning.assign, Action::Assign);
        records.extend(devices(&owning.unassign, Action::Unassign));
        let gone = owning.remove.iter();
        records.extend(gone.filter_map(|one| recorded(AUTHENTICATOR, Action::Delete, &one.id)));
        Prepared {
            owning,
            bind,
            make: make.collect(),
            assign: keys(&owning.assign),
            unassign: keys(&owning.unassign),
            remove: keys(&owning.remove),
            records,
        }
    }

    /// After such a change: drops what is kept of everybody concerned, and gives the row as it is now.
    pub(super) async fn owned_anew(
        &self,
        owning: &Owning,
        changed: Changed,
        before: Option<&Owner>,
    ) -> Result<Arc<ResourceRow>, StoreError> {
        for owned in [&owning.assign, &owning.unassign, &owning.remove] {
            self.rows.owned_touched(owned);
        }
        for row in &changed.further {
            self.rows.touched(row, &[&self.stored_view(row)]);
        }
        let mut users: Vec<i64> = before.map(|owner| owner.key).into_iter().collect();
        if let Whose::User(row) = &owning.owner {
            users.push(row.key);
        }
        self.users_touched(&users).await;
        let mut read = self.store.read(&self.tenant, &[changed.row.key]).await?;
        Ok(read.pop().unwrap_or_else(|| Arc::new(changed.row)))
    }

    /// Drops what is kept of users who have something else now.
    pub(super) async fn users_touched(&self, keys: &[i64]) {
        if keys.is_empty() {
            return;
        }
        match self.store.read(&self.tenant, keys).await {
            Ok(rows) => {
                for row in rows {
                    self.rows.touched(&row, &[&self.stored_view(&row)]);
                }
            }
            // Where nobody can tell, nothing that is kept is to be trusted.
            Err(_) => self.rows.forget_all(),
        }
    }
}

/// What a row shows of whom it belongs to, or of what belongs to it.
pub(super) fn shown(types: &[Arc<ResourceType>], row: &ResourceRow) -> Attributes {
    let reference = |name: &str, id: &str| -> Option<Value> {
        let kind = types.iter().find(|kind| kind.name == name)?;
        Some(location("", kind, id).into())
    };
    let mut shown = Attributes::new();
    if let Some(owner) = &row.owner {
        let mut about = Attributes::new();
        about.insert("value".into(), owner.id.as_str().into());
        about.extend(reference(USER, &owner.id).map(|path| ("$ref".into(), path)));
        about.extend(owner.user_name.as_deref().map(|name| ("display".into(), name.into())));
        shown.insert(OWNER.into(), about.into());
    }
    let of = |type_name: TypeName| row.owned.iter().filter(move |one| one.type_name == type_name);
    let devices: Vec<Value> = of(TypeName::Device)
        .map(|one| {
            let mut about = Attributes::new();
            let display = one.external_id.clone().unwrap_or_else(|| one.number.to_string());
            about.insert("display".into(), display.into());
            about.insert("value".into(), one.id.as_str().into());
            about.extend(
                one.friendly_name.as_deref().map(|name| ("friendlyName".into(), name.into())),
            );
            about.extend(reference(DEVICE, &one.id).map(|path| ("$ref".into(), path)));
            about.into()
        })
        .collect();
    let authenticators: Vec<Value> = of(TypeName::Authenticator)
        .map(|one| {
            let mut about = Attributes::new();
            about.insert("display".into(), policy_of(&one.id).into());
            about.insert("value".into(), one.id.as_str().into());
            about.extend(reference(AUTHENTICATOR, &one.id).map(|path| ("$ref".into(), path)));
            about.into()
        })
        .collect();
    for (urn, name, list) in
        [(USER_DEVICE, "devices", devices), (USER_AUTHENTICATOR, "authenticators", authenticators)]
    {
        if !list.is_empty() {
            shown.insert(urn.into(), json!({ name: list }));
        }
    }
    shown
}

/// The same with ids as whoever is shown numbers reads them, and hands them back.
pub(super) fn named(types: &[Arc<ResourceType>], row: &ResourceRow, numbers: bool) -> Attributes {
    let mut shown = shown(types, row);
    if !numbers {
        return shown;
    }
    if let (Some(owner), Some(about)) = (&row.owner, shown.get_mut(OWNER)) {
        about["value"] = owner.number.to_string().into();
    }
    for (urn, list) in [(USER_DEVICE, "devices"), (USER_AUTHENTICATOR, "authenticators")] {
        let elements = shown.get_mut(urn).and_then(|section| section.get_mut(list)?.as_array_mut());
        for element in elements.into_iter().flatten() {
            let of = |one: &&Owned| element["value"] == one.id.as_str();
            let value = row.owned.iter().find(of).map(|one| match one.type_name {
                TypeName::Device => one.number.to_string(),
                _ => format!("{}.{}", row.number, policy_of(&one.id)),
            });
            if let Some(value) = value {
                element["value"] = value.into();
            }
        }
    }
    shown
}

/// Differs where what [`shown`] gives does, the same on every node; 0 where it gives nothing.
pub(super) fn digest(row: &ResourceRow) -> u64 {
    let mix = |sum: u64, text: Option<&str>| {
        sum.rotate_left(5).wrapping_mul(31) ^ text.map_or(1, digest_text)
    };
    let owner = row
        .owner
        .as_ref()
        .map_or(0, |owner| mix(mix(0, Some(&owner.id)), owner.user_name.as_deref()).max(1));
    row.owned.iter().fold(owner, |sum, one| {
        let sum = mix(sum, Some(&one.id));
        mix(mix(sum, one.external_id.as_deref()), one.friendly_name.as_deref()).max(1)
    })
}

/// Takes what a user shall have out of the values that are wanted.
pub(super) fn taken(wanted: &mut Attributes) -> Attributes {
    let take = |urn: &str| Some((urn.to_owned(), wanted.shift_remove(urn)?));
    OWNED.into_iter().filter_map(take).collect()
}

/// The sections of `current` that a body says nothing of, in what shall be: they stand. Where all of
/// it stands, only whose something is changes with what is left out.
pub(super) fn keep(
    current: &Attributes,
    given: &[String],
    wanted: &mut Attributes,
    all_stand: bool,
) {
    if all_stand {
        for (name, value) in current.iter().filter(|(name, _)| *name != OWNER) {
            wanted.entry(name.as_str()).or_insert_with(|| value.clone());
        }
    }
    for urn in OWNED.into_iter().chain([PASSWORD]) {
        if let Some(section) = current.get(urn)
            && !given.iter().any(|given| given == urn)
        {
            wanted.insert(urn.to_owned(), section.clone());
        }
    }
}

/// The policy at the end of an authenticator's id.
pub(super) fn policy_of(id: &str) -> &str {
    id.rsplit_once('.').map_or(id, |(_, policy)| policy)
}

impl Owned {
    fn is_named(&self, id: &str) -> bool {
        self.id == id || self.number.to_string() == id
    }
}

impl Owner {
    fn is_named(&self, id: &str) -> bool {
        self.id == id || self.number.to_string() == id
    }
}

impl ResourceRow {
    fn is_named(&self, id: &str) -> bool {
        self.id == id || self.number.to_string() == id
    }
}

fn keys(owned: &[Owned]) -> Vec<i64> {
    owned.iter().map(|one| one.key).collect()
}

fn elements<'a>(section: Option<&'a Value>, name: &str) -> &'a [Value] {
    let list = section.and_then(|section| section.get(name)?.as_array());
    list.map_or(&[], Vec::as_slice)
}

fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

fn too_much() -> Problem {
    invalid(format!("A user has {MOST} devices and authenticators at most."))
}

pub(super) fn invalid(detail: impl Into<String>) -> Problem {
    Problem::Scim(ScimError::new(ErrorKind::InvalidValue, detail))
}
