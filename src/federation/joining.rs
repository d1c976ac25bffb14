//! The groups of a user that are written through the user.

use std::sync::Arc;

use serde_json::{Value, json};

use super::given::Given;
use super::members::{Enrolling, MEMBERS};
use super::standing::Standing;
use super::{Federation, Problem, View, is_group, is_user};
use crate::caller::Caller;
use crate::scim::dialect::Manner;
use crate::scim::patch::Membership;
use crate::scim::{ErrorKind, ResourceType, ScimError};
use crate::store::{Joining, Membership as Held, ResourceRow};

/// The name of the attribute.
pub(super) const GROUPS: &str = "groups";

/// Which groups a user joins and leaves, and the roles that come and go with them.
#[derive(Debug, Default)]
pub(super) struct Joined {
    pub(super) joining: Joining,
    /// Ids of the roles that the groups carry.
    pub(super) roles: Vec<String>,
    /// Ids of the roles of those that are joined.
    pub(super) gained: Vec<String>,
}

/// The groups that are a user's own as a patch sees them, where it asks for more than their ids.
pub(super) fn own_groups(row: Option<&ResourceRow>) -> Option<Value> {
    let direct = row?.groups.iter().filter(|group| group.direct);
    let own: Vec<Value> =
        direct.map(|group| json!({ "value": group.id, "display": group.display })).collect();
    (!own.is_empty()).then_some(Value::Array(own))
}

impl Federation {
    /// What a write of `groups` comes to. Groups that rules give may be repeated, and are nobody's to
    /// take away; the user's own stand beside them.
    pub(super) async fn joined(
        &self,
        row: Option<&ResourceRow>,
        given: &Given,
        membership: &Membership,
        manner: &Manner,
    ) -> Result<Joined, Problem> {
        let mut joined = Joined::default();
        if membership.is_empty() {
            return Ok(joined);
        }
        let all = row.map_or(&[][..], |row| &row.groups);
        let (own, through): (Vec<_>, Vec<_>) = all.iter().partition(|group| group.direct);
        let is_named = |group: &Held| {
            let named = |id: &String| membership.values.get(id) == Some(&true);
            named(&group.id) || named(&group.number.to_string())
        };
        // A list that was read holds those that the user is in through others, too.
        let repeats = membership.anew && own.iter().any(|group| is_named(group));
        let through: Vec<_> = through.into_iter().filter(|_| repeats).collect();
        let mut stay: Vec<&str> = Vec::new();
        let mut gone: Vec<&str> = Vec::new();
        for (id, comes) in &membership.values {
            let held = own.iter().find(|group| is(group, id));
            match (held, comes) {
                (Some(held), true) => stay.push(&held.id),
                (Some(held), false) => gone.push(&held.id),
                (None, true) if is_given(given, id) || is_among(&through, id) => {}
                (None, true) => {
                    let group = self.group(id).await?.ok_or_else(|| no_group(id))?;
                    self.join(&mut joined, &group);
                }
                (None, false) if is_given(given, id) => {
                    return Err(Problem::Scim(ScimError::new(
                        ErrorKind::Mutability,
                        format!(
                            "groups: \"{id}\" comes of a rule of the user's repository; change the \
                             entry there."
                        ),
                    )));
                }
                (None, false) => {}
            }
        }
        let leaves = |id: &str| gone.contains(&id) || membership.anew && !stay.contains(&id);
        let mut left = 0;
        for held in own.iter().filter(|held| leaves(&held.id)) {
            left += 1;
            if let Some(group) = self.group(&held.id).await? {
                joined.joining.leave.push(group.key);
                joined.roles.extend(self.carried_by(&group));
            }
        }
        let count = own.len() - left + joined.joining.join.len();
        match manner.limit(GROUPS).filter(|most| count > *most) {
            None => Ok(joined),
            Some(most) => Err(invalid(format!(
                "groups has {count} values of the user's own: {most} at most are accepted here."
            ))),
        }
    }

    /// What is asked of a group's members, or of a user's groups.
    pub(super) async fn asked(
        &self,
        caller: &Caller,
        kind: &ResourceType,
        standing: &Standing,
        membership: &Membership,
        view: &View,
    ) -> Result<Enrolling, Problem> {
        if !is_user(kind) {
            return self.enrolling(caller, membership).await;
        }
        let (row, given) = (standing.row().map(Arc::as_ref), standing.given());
        let joined = self.joined(row, &given, membership, &view.manner).await?;
        let mut enrolling = Enrolling::default();
        (enrolling.joining, enrolling.roles) = (joined.joining, joined.roles);
        Ok(enrolling)
    }

    /// The groups that the configuration has for what a caller creates.
    pub(super) async fn preset(&self, groups: &[Arc<str>]) -> Result<Joined, Problem> {
        let mut joined = Joined::default();
        for id in groups {
            let group = self.group(id).await?.ok_or_else(|| no_group(id))?;
            self.join(&mut joined, &group);
        }
        Ok(joined)
    }

    fn join(&self, joined: &mut Joined, group: &ResourceRow) {
        if !joined.joining.join.contains(&group.key) {
            joined.joining.join.push(group.key);
        }
        let carried = self.carried_by(group);
        joined.roles.extend(carried.iter().cloned());
        joined.gained.extend(carried);
    }
}

/// The attribute that stands for memberships: of a group its members, of a user, where they are
/// written through it, its groups.
pub(super) fn list(kind: &ResourceType, view: &View) -> Option<&'static str> {
    match () {
        () if is_group(kind) => Some(MEMBERS),
        () if is_user(kind) && view.manner.groups_writable => Some(GROUPS),
        () => None,
    }
}

pub(super) fn missing_groups() -> Problem {
    Problem::Scim(ScimError::new(
        ErrorKind::InvalidValue,
        "groups is required in a PUT: repeat the groups that the user is in, or write an empty list.",
    ))
}

fn is(group: &Held, id: &str) -> bool {
    group.id == id || group.number.to_string() == id
}

fn is_among(groups: &[&Held], id: &str) -> bool {
    groups.iter().any(|group| is(group, id))
}

fn is_given(given: &Given, id: &str) -> bool {
    given.groups.iter().any(|group| **group == *id)
}

fn no_group(id: &str) -> Problem {
    let shown: String = id.chars().take(200).collect();
    invalid(format!("groups: there is no group with the id \"{shown}\"."))
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::Scim(ScimError::new(ErrorKind::InvalidValue, detail))
}
