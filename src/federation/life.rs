//! Where a user stands between coming and going: `active`, and in some tenants a status beside it;
//! DELETE as a tenant has it.
//!
//! A status is held only where the tenant's users have the extension. `active` is true only for the
//! status `active`, so that writing one of the two moves the other.

use serde_json::{Value, json};

use super::authority::Mode;
use super::identity::{Care, Subject};
use super::write::{Asked, Change, nothing_of_ours};
use super::{Deed, Federation, IfMatch, Problem, View, is_user, permit};
use crate::audit::Action;
use crate::caller::Caller;
use crate::config::Deletion;
use crate::scim::patch::Membership;
use crate::scim::schema::AttributePath;
use crate::scim::{Attributes, ErrorKind, ResourceType, ScimError};

/// The extension that holds the status.
pub const LIFE_CYCLE: &str = "urn:scimbridge:schemas:2.0:LifeCycle";
const STATUS: &str = "status";
/// The part of it that lists the roles that the user has in one account each.
pub(super) const ACCOUNT_ROLES: &str = "accountRoles";
const ACTIVE: &str = "active";
/// Blocked for a time.
const SUSPENDED: &str = "suspended";
/// Deprovisioned.
const DISABLED: &str = "disabled";

impl Federation {
    /// DELETE, as the tenant has it.
    pub async fn remove(
        &self,
        caller: &Caller,
        kind: &ResourceType,
        id: &str,
        if_match: Option<&IfMatch>,
        view: &View,
    ) -> Result<(), Problem> {
        permit(caller, kind, Deed::Delete)?;
        let customs = &self.rules.customs;
        let removed = match customs.delete {
            Deletion::Soft if is_user(kind) => self.disable(caller, kind, id, if_match, view).await,
            Deletion::Soft | Deletion::Hard => self.erase(caller, kind, id, if_match, view).await,
        };
        match removed {
            // Whoever names a version means somebody who is there.
            Err(Problem::NotFound(_))
                if customs.delete_unknown && is_user(kind) && if_match.is_none() =>
            {
                Ok(())
            }
            removed => removed,
        }
    }

    /// The user is no longer active; everything else stays. Doing it again does nothing.
    async fn disable(
        &self,
        caller: &Caller,
        kind: &ResourceType,
        id: &str,
        if_match: Option<&IfMatch>,
        view: &View,
    ) -> Result<(), Problem> {
        let subject = self.resolve(kind, id, Care::Written { photos: false }).await?;
        if let Subject::Unbound { directory, .. } = subject {
            return Err(nothing_of_ours(&directory));
        }
        let wanted = |current: &Attributes, _| {
            let mut after = current.clone();
            after.insert("active".into(), Value::Bool(false));
            if kind.extension(LIFE_CYCLE).is_some() {
                set_status(&mut after, DISABLED);
            }
            Ok(after)
        };
        let change = Change {
            wanted: &wanted,
            membership: Asked::Of(Membership::default()),
            owner: None,
            mode: Mode::Modify,
            action: Action::Disable,
            says_active: true,
            photos: false,
        };
        self.write(caller, kind, id, if_match, &change, view).await.map(drop)
    }
}

/// Whether a PATCH that names `path` says what `active` shall be.
pub(super) fn says_status(path: &AttributePath) -> bool {
    path.extension.as_deref() == Some(LIFE_CYCLE)
}

/// What a write wants, with `active` and status as one.
pub(super) fn settled(
    kind: &ResourceType,
    before: &Attributes,
    mut wanted: Attributes,
) -> Result<Attributes, ScimError> {
    if kind.extension(LIFE_CYCLE).is_none() {
        return Ok(wanted);
    }
    let was = status_of(before);
    let given = held(&wanted).map(str::to_owned);
    let moved = given.as_deref().filter(|status| *status != was);
    let said = wanted.get("active").and_then(Value::as_bool);
    let active = said.filter(|said| *said != (was == ACTIVE));
    let status = match (moved, active) {
        (Some(status), Some(active)) if active != (status == ACTIVE) => {
            return Err(ScimError::new(
                ErrorKind::InvalidValue,
                format!(
                    "active is {active} and {LIFE_CYCLE}:{STATUS} is \"{status}\": a user is active \
                     only while that is \"{ACTIVE}\"; write one of the two"
                ),
            ));
        }
        (Some(status), _) => status.to_owned(),
        (None, Some(true)) => ACTIVE.to_owned(),
        (None, Some(false)) => DISABLED.to_owned(),
        // A PUT that does not mention it changes nothing about it.
        (None, None) => match held(before) {
            Some(_) => was.to_owned(),
            None => return Ok(wanted),
        },
    };
    if moved.is_some() {
        wanted.insert("active".into(), Value::Bool(status == ACTIVE));
    }
    set_status(&mut wanted, &status);
    Ok(wanted)
}

/// Makes the status of merged values say what `active` does, where a directory has the last word on
/// that.
pub(super) fn agree(merged: &mut Attributes) {
    let Some(status) = held(merged) else { return };
    let open = merged.get("active") != Some(&Value::Bool(false));
    if open != (status == ACTIVE) {
        set_status(merged, if open { ACTIVE } else { DISABLED });
    }
}

/// The status of a user, of whom perhaps only `active` is known.
pub fn status_of(attributes: &Attributes) -> &str {
    match attributes.get("active") {
        Some(Value::Bool(false)) => match held(attributes) {
            Some(SUSPENDED) => SUSPENDED,
            _ => DISABLED,
        },
        _ => ACTIVE,
    }
}

/// The roles that a user has in accounts.
pub(super) fn account_roles(attributes: &Attributes) -> impl Iterator<Item = &str> {
    let listed = attributes.get(LIFE_CYCLE).and_then(|life| life.get(ACCOUNT_ROLES)?.as_array());
    listed.into_iter().flatten().filter_map(|role| role.get("type")?.as_str())
}

/// Names each role that a user has in an account by its id, which `id` tells; each is listed once.
pub(super) fn name_account_roles<'a>(
    attributes: &mut Attributes,
    id: impl Fn(&str) -> Option<&'a str>,
) {
    let listed = attributes.get_mut(LIFE_CYCLE).and_then(|life| life.get_mut(ACCOUNT_ROLES));
    let Some(listed) = listed.and_then(Value::as_array_mut) else { return };
    let mut named: Vec<Value> = Vec::with_capacity(listed.len());
    for mut role in listed.drain(..) {
        if let Some(name) = role.get_mut("type")
            && let Some(id) = name.as_str().and_then(&id)
        {
            *name = id.into();
        }
        if !named.contains(&role) {
            named.push(role);
        }
    }
    *listed = named;
}

fn held(attributes: &Attributes) -> Option<&str> {
    attributes.get(LIFE_CYCLE)?.get(STATUS)?.as_str()
}

fn set_status(attributes: &mut Attributes, status: &str) {
    let held = attributes.entry(LIFE_CYCLE).or_insert_with(|| json!({}));
    if let Some(members) = held.as_object_mut() {
        members.insert(STATUS.to_owned(), status.into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::scim::schema::ResourceTypes;

    static KINDS: LazyLock<ResourceTypes> = LazyLock::new(|| {
        let schema = include_str!("../../config/schemas/life-cycle.json").to_owned();
        ResourceTypes::read(&[schema]).unwrap()
    });

    fn attributes(value: &Value) -> Attributes {
        value.as_object().unwrap().clone()
    }

    /// What is wanted over what is there: active and status, where they are there.
    fn after(before: (bool, &str), wanted: &Value) -> Result<(Value, Value), ScimError> {
        let before = json!({ "active": before.0, (LIFE_CYCLE): { (STATUS): before.1 } });
        let settled = settled(KINDS.user(), &attributes(&before), attributes(wanted))?;
        let shown = |value: Option<&Value>| value.cloned().unwrap_or_default();
        Ok((shown(settled.get("active")), shown(held(&settled).map(Value::from).as_ref())))
    }

    #[test]
    fn active_and_status_move_together() {
        let status = |status: &str| json!({ (LIFE_CYCLE): { (STATUS): status } });
        let both = |active: bool, status: &str| json!({ "active": active, (LIFE_CYCLE): { (STATUS): status } });
        for (before, wanted, then) in [
            ((true, ACTIVE), json!({ "active": false }), (json!(false), DISABLED)),
            ((true, ACTIVE), both(false, ACTIVE), (json!(false), DISABLED)),
            ((true, ACTIVE), status(SUSPENDED), (json!(false), SUSPENDED)),
            ((true, ACTIVE), both(true, SUSPENDED), (json!(false), SUSPENDED)),
            ((false, SUSPENDED), both(false, SUSPENDED), (json!(false), SUSPENDED)),
            ((false, SUSPENDED), json!({ "active": false }), (json!(false), SUSPENDED)),
            ((false, SUSPENDED), both(true, SUSPENDED), (json!(true), ACTIVE)),
            ((false, SUSPENDED), both(false, DISABLED), (json!(false), DISABLED)),
            ((false, DISABLED), both(true, DISABLED), (json!(true), ACTIVE)),
            ((false, DISABLED), both(false, ACTIVE), (json!(true), ACTIVE)),
            ((false, DISABLED), json!({}), (json!(null), DISABLED)),
        ] {
            let settled = after(before, &wanted).unwrap();
            assert_eq!(settled, (then.0, json!(then.1)), "{before:?} {wanted}");
        }
        let error = after((false, DISABLED), &both(true, SUSPENDED)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidValue);
    }

    #[test]
    fn tenants_without_the_extension_know_of_no_status() {
        let plain = ResourceType::user(&[]);
        let wanted = attributes(&json!({ "active": false }));
        assert_eq!(settled(&plain, &Attributes::new(), wanted.clone()).unwrap(), wanted);
    }

    #[test]
    fn a_directory_that_says_no_has_the_last_word() {
        let mut merged =
            attributes(&json!({ "active": false, (LIFE_CYCLE): { (STATUS): ACTIVE } }));
        agree(&mut merged);
        assert_eq!(held(&merged), Some(DISABLED));
        assert_eq!(status_of(&merged), DISABLED);
        // Where it is the directory's alone, its yes as well.
        for status in [SUSPENDED, DISABLED] {
            let mut merged =
                attributes(&json!({ "active": true, (LIFE_CYCLE): { (STATUS): status } }));
            agree(&mut merged);
            assert_eq!(held(&merged), Some(ACTIVE));
        }
        let mut suspended =
            attributes(&json!({ "active": false, (LIFE_CYCLE): { (STATUS): SUSPENDED } }));
        agree(&mut suspended);
        assert_eq!(held(&suspended), Some(SUSPENDED));
        assert_eq!(status_of(&attributes(&json!({}))), ACTIVE);
    }
}
