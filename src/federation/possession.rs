//! Devices and authenticators as resources of their own: what is kept of one, and how it is made.

use std::borrow::Cow;
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::create::Created;
use super::owning::{OWNER, Owning, Whose, invalid};
use super::write::{local_write, record};
use super::{DEVICE, Federation, Problem, View, is_authenticator};
use crate::audit::Action;
use crate::caller::Caller;
use crate::config::AuthenticatorPolicy;
use crate::federation::resource::Half;
use crate::scim::schema::standard::PASSWORD;
use crate::scim::text::instant;
use crate::scim::{Attributes, ErrorKind, ResourceType, ScimError};
use crate::secret::Secret;
use crate::store::{
    NewResource, ResourceRow, ResourceWrite, RowKey, StoreError, TypeName, UserType,
};

/// The kind of policy whose authenticators have a password.
pub(super) const LOGIN: &str = "login";

impl Federation {
    /// A new device or authenticator, and whose it is, as one change.
    pub(super) async fn create_possession(
        &self,
        caller: &Caller,
        kind: &ResourceType,
        mut asked: Attributes,
        view: &View,
    ) -> Result<Created, Problem> {
        let owner = asked.shift_remove(OWNER);
        let mut owning = Owning::of(Whose::Same, self.hashed(&mut asked).await?);
        let own = self.settled(kind, None, asked, owning.password.is_some())?;
        loop {
            owning.owner = self.whose(caller, owner.as_ref(), None).await?;
            let id = if is_authenticator(kind) {
                let policy = policy(&own).unwrap_or_default();
                format!("{}.{policy}", owner_id(&owning.owner).unwrap_or_default())
            } else {
                self.clock.new_id().to_string()
            };
            let at = self.clock.now();
            let write = local_write(kind, own.clone(), at);
            let new = NewResource {
                type_name: TypeName::new(&kind.name),
                id: &id,
                user_type: UserType::Ftress,
                write: &write,
                revive: false,
                record: record(caller, kind, Action::Create, &id, at, view),
            };
            let prepared = self.prepared(caller, &owning, at, view);
            let made = self.store.create_owning(&self.tenant, new, prepared.ownership()).await;
            let changed = match made {
                Ok(changed) => changed,
                // The person was bound, or the user has gone, meanwhile.
                Err(StoreError::Linked { .. } | StoreError::Stale)
                    if Instant::now() < view.deadline =>
                {
                    continue;
                }
                Err(StoreError::Taken { attribute, id }) if attribute == "id" => {
                    return Err(Problem::Conflict(format!(
                        "The user has an authenticator under this policy already, {id}; change that \
                         one."
                    )));
                }
                Err(error) => return Err(error.into()),
            };
            // An earlier look-up may have kept that there was none.
            self.rows.touched(&changed.row, &[&write.view]);
            let row = self.owned_anew(&owning, changed, None).await?;
            let resource = self.people.stored(&row, None, &Half::Unasked);
            return Ok(Created { resource, bound: false });
        }
    }

    /// What becomes of a device or an authenticator: takes what is no value of its own out of those that
    /// are wanted. `owner` is what a PUT says of the owner of something that has one for good.
    pub(super) async fn possession(
        &self,
        caller: &Caller,
        kind: &ResourceType,
        row: &ResourceRow,
        owner: Option<&Value>,
        mut wanted: Attributes,
    ) -> Result<(Attributes, Owning), Problem> {
        let asked = wanted.shift_remove(OWNER);
        let asked = owner.or(asked.as_ref());
        let password = self.hashed(&mut wanted).await?;
        let owner = self.whose(caller, asked, row.owner.as_deref()).await?;
        if is_authenticator(kind) && !matches!(owner, Whose::Same) {
            return Err(Problem::Scim(ScimError::new(
                ErrorKind::Mutability,
                "owner is immutable: an authenticator is of one user for good; delete it, and make \
                 another one.",
            )));
        }
        let own = self.settled(kind, Some(&row.own), wanted, password.is_some())?;
        Ok((own, Owning::of(owner, password)))
    }

    /// The id and the row of an authenticator of the user with this canonical id, which nobody gave a
    /// password; `place` is where it was asked for. One under a policy of the type `login` is
    /// marked `reset`: no secret of it is known to anybody, and its first use is to set one. The store
    /// makes it with its user: [`Ownership::make`](crate::store::Ownership::make), or
    /// [`ImportBatch::owned`](crate::store::ImportBatch::owned) of many.
    pub(super) fn authenticator(
        &self,
        user: &str,
        policy: &AuthenticatorPolicy,
        place: &str,
    ) -> Result<(String, ResourceWrite), Problem> {
        let Some(kind) = self.types.iter().find(|kind| is_authenticator(kind)) else {
            return Err(invalid(format!("{place}: this tenant has no authenticators.")));
        };
        let named = json!({ "value": policy.id });
        let asked = Attributes::from_iter([("policy".to_owned(), named)]);
        let own = settled_under(Some(&policy.kind), None, with_status(kind, None, asked)?, false);
        Ok((format!("{user}.{}", policy.id), local_write(kind, own, self.clock.now())))
    }

    /// The id as the store has it: an authenticator is also named by its user's number.
    pub(super) async fn spelled<'a>(
        &self,
        kind: &ResourceType,
        id: &'a str,
    ) -> Result<Cow<'a, str>, Problem> {
        let named = id.rsplit_once('.').filter(|(user, _)| {
            is_authenticator(kind) && user.bytes().all(|byte| byte.is_ascii_digit())
        });
        let Some((user, policy)) = named else { return Ok(Cow::Borrowed(id)) };
        let stored = self.rows.find(RowKey::Id(user.to_owned()), false).await?;
        let user = stored.rows.first().filter(|row| row.type_name == TypeName::User);
        Ok(user.map_or(Cow::Borrowed(id), |user| Cow::Owned(format!("{}.{policy}", user.id))))
    }

    /// Takes a password out of the values and makes a hash of it.
    async fn hashed(&self, asked: &mut Attributes) -> Result<Option<String>, Problem> {
        let Some(Value::Object(section)) = asked.get_mut(PASSWORD) else { return Ok(None) };
        let password = section.shift_remove("password");
        if section.is_empty() {
            asked.shift_remove(PASSWORD);
        }
        match password {
            Some(Value::String(password)) => {
                Ok(Some(self.passwords.hash(Secret::new(password)).await?))
            }
            _ => Ok(None),
        }
    }

    /// The values as they are kept: with a status, with dates in UTC, with what is told by others
    /// as it was.
    fn settled(
        &self,
        kind: &ResourceType,
        current: Option<&Attributes>,
        asked: Attributes,
        new_password: bool,
    ) -> Result<Attributes, Problem> {
        let asked = with_status(kind, current, asked)?;
        if !is_authenticator(kind) {
            return Ok(asked);
        }
        let policy = policy(&asked).unwrap_or_default();
        let kind = match current {
            // It was known when the authenticator was made.
            Some(_) => self.policy(policy).map(|policy| policy.kind.as_str()),
            None => Some(self.known_policy(policy, None, "policy.value")?.kind.as_str()),
        };
        Ok(settled_under(kind, current, asked, new_password))
    }

    fn policy(&self, id: &str) -> Option<&AuthenticatorPolicy> {
        self.rules.policies.iter().find(|policy| policy.id == id)
    }

    /// The policy with this id, where it must be one, of the type `kind` if only such a one will do.
    pub(super) fn known_policy(
        &self,
        id: &str,
        kind: Option<&str>,
        place: &str,
    ) -> Result<&AuthenticatorPolicy, Problem> {
        let fits = |policy: &&AuthenticatorPolicy| kind.is_none_or(|kind| policy.kind == kind);
        self.policy(id).filter(fits).ok_or_else(|| {
            let known = self.rules.policies.iter().filter(fits);
            let known: Vec<&str> = known.map(|policy| policy.id.as_str()).collect();
            let remedy = match known.as_slice() {
                [] => "none is configured here".to_owned(),
                known => format!("there are {}", known.join(", ")),
            };
            let id: String = id.chars().take(200).collect();
            let of = kind.map(|kind| format!(" of the type \"{kind}\"")).unwrap_or_default();
            invalid(format!("{place}: there is no authenticator policy \"{id}\"{of}; {remedy}."))
        })
    }
}

fn with_status(
    kind: &ResourceType,
    current: Option<&Attributes>,
    mut asked: Attributes,
) -> Result<Attributes, Problem> {
    let before = || current.and_then(|current| current.get("status"));
    let status = status(kind, asked.get("status").or_else(before))?;
    asked.insert("status".into(), status);
    Ok(asked)
}

/// What [`Federation::settled`] does beside that with an authenticator under a policy of this type.
fn settled_under(
    kind: Option<&str>,
    current: Option<&Attributes>,
    mut asked: Attributes,
    new_password: bool,
) -> Attributes {
    let before = |name: &str| current.and_then(|current| current.get(name));
    if let Some(statistics) = before("statistics") {
        asked.insert("statistics".into(), statistics.clone());
    }
    let reset = match before(PASSWORD) {
        _ if new_password => false,
        None => current.is_none() && kind == Some(LOGIN),
        Some(section) => section.get("reset") == Some(&Value::Bool(true)),
    };
    if reset {
        let section = asked.entry(PASSWORD).or_insert_with(|| json!({}));
        if let Some(section) = section.as_object_mut() {
            section.insert("reset".into(), true.into());
        }
    } else if let Some(Value::Object(section)) = asked.get_mut(PASSWORD) {
        section.shift_remove("reset");
        if section.is_empty() {
            asked.shift_remove(PASSWORD);
        }
    }
    asked
}

/// `status` in its one form: its dates in UTC, and `active` as the word says.
fn status(kind: &ResourceType, given: Option<&Value>) -> Result<Value, Problem> {
    let (usable, at_first) =
        if kind.name == DEVICE { ("ACTIVE", "PENDING") } else { ("ENABLED", "ENABLED") };
    let text = |name: &str| given.and_then(|given| given.get(name)?.as_str());
    let word = text("status").unwrap_or(at_first);
    let mut status = Map::new();
    status.insert("status".into(), word.into());
    status.insert("active".into(), word.eq_ignore_ascii_case(usable).into());
    let at = |name: &str| text(name).and_then(instant);
    let (start, expiry) = (at("startDate"), at("expiryDate"));
    if let (Some(start), Some(expiry)) = (start, expiry)
        && expiry < start
    {
        return Err(invalid(format!(
            "status.expiryDate {expiry} lies before status.startDate {start}: exchange them."
        )));
    }
    for (name, at) in [("startDate", start), ("expiryDate", expiry)] {
        if let Some(at) = at {
            status.insert(name.into(), at.to_string().into());
        }
    }
    Ok(Value::Object(status))
}

fn policy(own: &Attributes) -> Option<&str> {
    own.get("policy")?.get("value")?.as_str()
}

fn owner_id(owner: &Whose) -> Option<&str> {
    match owner {
        Whose::User(row) => Some(&row.id),
        Whose::Unbound(binding) => Some(&binding.id),
        Whose::Same | Whose::Nobody => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_one_form() {
        let (device, authenticator) = (ResourceType::device(), ResourceType::authenticator());
        assert_eq!(status(&device, None).unwrap(), json!({ "status": "PENDING", "active": false }));
        let given = json!({ "status": "active", "active": false,
            "startDate": "2020-11-30T11:54:31+0100", "expiryDate": "2045-11-30T11:54:31.000+01:00" });
        let kept = json!({ "status": "active", "active": true,
            "startDate": "2020-11-30T10:54:31Z", "expiryDate": "2045-11-30T10:54:31Z" });
        assert_eq!(status(&device, Some(&given)).unwrap(), kept);
        assert_eq!(
            status(&authenticator, Some(&json!({ "expiryDate": "2040-05-15T18:15:21Z" }))).unwrap(),
            json!({ "status": "ENABLED", "active": true, "expiryDate": "2040-05-15T18:15:21Z" })
        );
        let turned = json!({ "startDate": "2021-01-01T00:00:00Z",
            "expiryDate": "2021-01-01T00:30:00+01:00" });
        let refused = status(&device, Some(&turned)).unwrap_err();
        assert!(refused.to_string().contains("2020-12-31T23:30:00Z lies before"), "{refused}");
    }
}
