//! The roles of users: those that a user was given, beside those of its groups and of its directory.
//!
//! Only a user's own are stored. What a role is called, and what it may, is the role's.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Value, json};

use super::authority::Mode;
use super::given::Given;
use super::life::name_account_roles;
use super::{Problem, ROLE, too_many};
use crate::config::{Group, Provisioned, Role};
use crate::scim::dialect::Manner;
use crate::scim::resource::digest_text;
use crate::scim::text::comparable;
use crate::scim::{Attributes, ErrorKind, ScimError};
use crate::store::ResourceRow;

/// The name of the attribute.
pub(super) const ROLES: &str = "roles";

/// A tenant has no more roles: all of them are kept in memory.
pub(super) const MOST: usize = 10_000;

/// A role that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownRole {
    pub(super) id: String,
    number: String,
    display: String,
    pub(super) rank: i64,
}

/// The roles that there are by their folded ids, and which groups carry which.
#[derive(Debug, Default)]
pub(super) struct Roles {
    known: RwLock<Arc<HashMap<String, KnownRole>>>,
    /// Goes up with every change of [`Roles::known`]; 0 where there is nothing.
    stamp: AtomicU64,
    carried: HashMap<String, Vec<String>>,
}

/// What is known of a user's roles before a write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held<'a> {
    /// Those that are stored.
    pub(super) own: Option<&'a Value>,
    /// Those that the directory has as values.
    pub(super) theirs: Option<&'a Value>,
    /// The ids of those that come of groups and rules.
    pub(super) derived: &'a [String],
}

impl Roles {
    /// `provisioned` are groups, perhaps not configured, that carry one role each for whoever an agent
    /// puts into them.
    pub(super) fn new(groups: &[Group], roles: &[Role], provisioned: &[Provisioned]) -> Self {
        let known = roles.iter().map(|role| KnownRole {
            id: role.id.clone(),
            number: String::new(),
            display: role.display.clone(),
            rank: role.rank,
        });
        let known: HashMap<_, _> = known.map(|role| (key(&role.id), role)).collect();
        let carrying = groups.iter().filter(|group| !group.roles.is_empty());
        let mut carried: HashMap<String, Vec<String>> =
            carrying.map(|group| (group.id.clone(), group.roles.clone())).collect();
        for (group, role) in provisioned.iter().flat_map(|one| &one.role_by_group) {
            let roles = carried.entry(group.clone()).or_default();
            if !roles.contains(role) {
                roles.push(role.clone());
            }
        }
        Self {
            stamp: AtomicU64::new(u64::from(!known.is_empty())),
            known: RwLock::new(Arc::new(known)),
            carried,
        }
    }

    /// Differs whenever a user's roles may be shown otherwise; 0 where there is no role.
    pub(super) fn stamp(&self) -> u64 {
        self.stamp.load(Ordering::Acquire)
    }

    pub(super) fn known(&self) -> Arc<HashMap<String, KnownRole>> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Which configured groups carry roles, each with the ids of those.
    pub(super) fn carriers(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.carried.iter().map(|(group, roles)| (group.as_str(), roles.as_slice()))
    }

    /// The ids of the roles that come with these groups and by rules, in their order.
    pub(super) fn derived<'a>(
        &'a self,
        groups: impl IntoIterator<Item = &'a str>,
        given: Option<&'a Given>,
    ) -> Vec<String> {
        let carried = groups.into_iter().filter_map(|group| self.carried.get(group)).flatten();
        let given = given.map_or(&[][..], |given| &given.roles);
        let given = given.iter().map(ToString::to_string);
        let mut derived: Vec<String> = carried.cloned().chain(given).collect();
        derived.sort_unstable();
        derived.dedup();
        derived
    }

    /// Adds the derived roles to the user's own, and to all what they are called. Gives what differs
    /// whenever this comes out otherwise, where it does anything.
    pub(super) fn show(&self, attributes: &mut Attributes, derived: &[String]) -> Option<u64> {
        if self.stamp() == 0 || derived.is_empty() && !attributes.contains_key(ROLES) {
            return None;
        }
        let known = self.known();
        let mut digest = None;
        let mut told = |role: &KnownRole| {
            let sum = digest.unwrap_or(0_u64);
            let mixed = sum.rotate_left(5).wrapping_mul(31) ^ digest_text(&role.id);
            digest = Some(mixed.rotate_left(5).wrapping_mul(31) ^ digest_text(&role.display));
        };
        let mut shown = listed(attributes.shift_remove(ROLES));
        for role in &mut shown {
            let called = value_of(role).and_then(|value| known.get(&key(value)));
            if let (Some(called), Some(members)) = (called, role.as_object_mut()) {
                members.insert("display".into(), called.display.as_str().into());
                told(called);
            }
        }
        for id in derived {
            let Some(role) = known.get(&key(id)) else { continue };
            if !has(&shown, id) {
                shown.push(role.shown());
            }
            told(role);
        }
        if !shown.is_empty() {
            attributes.insert(ROLES.into(), Value::Array(shown));
        }
        digest
    }

    /// Leaves of `wanted.roles` what is to be stored, and names roles in accounts by their ids. Repeating
    /// a derived role is no write, removing one by PATCH is refused, and a PUT that does not name it says
    /// nothing of it.
    pub(super) fn divide(
        &self,
        wanted: &mut Attributes,
        held: Held<'_>,
        mode: Mode,
        manner: &Manner,
    ) -> Result<(), Problem> {
        let most = manner.limit(ROLES);
        if self.stamp() == 0 && !manner.known_roles_only && most.is_none() {
            return Ok(());
        }
        let known = self.known();
        let called = |value: &str| known.get(&key(value)).or_else(|| by_number(&known, value));
        name_account_roles(wanted, |role| called(role).map(|role| &*role.id));
        let given = listed(wanted.shift_remove(ROLES));
        if mode == Mode::Modify
            && let Some(gone) = held.derived.iter().find(|role| !has(&given, role))
        {
            return Err(Problem::Scim(ScimError::new(
                ErrorKind::Mutability,
                format!(
                    "roles: \"{gone}\" comes of a group or a rule; take the user out of what gives it."
                ),
            )));
        }
        let (own, theirs) = (elements(held.own), elements(held.theirs));
        let mut kept: Vec<Value> = Vec::with_capacity(given.len());
        let mut count = 0;
        for mut role in given {
            let Some(value) = value_of(&role).map(str::to_owned) else {
                kept.push(role);
                continue;
            };
            let called = called(&value);
            let id = called.map_or(value.as_str(), |called| called.id.as_str());
            let owned = has(own, id);
            if let Some(theirs) = find(theirs, id) {
                kept.push(theirs.clone());
                continue;
            }
            if !owned && held.derived.iter().any(|derived| key(derived) == key(id)) {
                continue;
            }
            count += 1;
            if let (Some(called), Some(members)) = (called, role.as_object_mut()) {
                members.insert("value".into(), called.id.as_str().into());
                members.shift_remove("display");
            } else if manner.known_roles_only && !owned {
                let value: String = value.chars().take(200).collect();
                return Err(invalid(format!("roles: there is no role with the id \"{value}\".")));
            }
            if !kept.contains(&role) {
                kept.push(role);
            }
        }
        if let Some(most) = most.filter(|most| count > *most && kept != own) {
            return Err(invalid(format!(
                "roles has {count} values of the user's own: {most} at most are accepted here."
            )));
        }
        if !kept.is_empty() {
            wanted.insert(ROLES.into(), Value::Array(kept));
        }
        Ok(())
    }

    /// A role is there, or is called otherwise.
    pub(super) fn learn(&self, row: &ResourceRow) {
        if row.type_name.as_str() == ROLE {
            self.change(|known| {
                known.insert(key(&row.id), KnownRole::of(row));
            });
        }
    }

    /// A role is no more.
    pub(super) fn unlearn(&self, row: &ResourceRow) {
        if row.type_name.as_str() == ROLE {
            self.change(|known| {
                known.remove(&key(&row.id));
            });
        }
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<String, KnownRole>)) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut known));
        self.stamp.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether there may be one more.
    pub(super) fn room(&self) -> Result<(), Problem> {
        if self.known().len() < MOST {
            return Ok(());
        }
        Err(too_many(format!("There are {MOST} roles already; take one away first.")))
    }
}

impl KnownRole {
    /// As it stands among a user's roles.
    pub(super) fn shown(&self) -> Value {
        json!({ "value": self.id, "display": self.display })
    }

    fn of(row: &ResourceRow) -> Self {
        let name = row.own.get("name").and_then(Value::as_str);
        Self {
            id: row.id.clone(),
            number: row.number.to_string(),
            display: name.unwrap_or(&row.id).to_owned(),
            rank: row.own.get("rank").and_then(Value::as_i64).unwrap_or(0),
        }
    }
}

/// The folded `value`s of a list of roles.
pub(super) fn keys(roles: Option<&Value>) -> Vec<String> {
    elements(roles).iter().filter_map(value_of).map(key).collect()
}

/// How roles are told apart: as `roles.value` is compared.
pub(super) fn key(id: &str) -> String {
    comparable(id, false).into_owned()
}

/// The role that has this number.
pub(super) fn by_number<'a>(
    known: &'a HashMap<String, KnownRole>,
    value: &str,
) -> Option<&'a KnownRole> {
    let decimal = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    known.values().find(|role| decimal && role.number == value)
}

fn has(roles: &[Value], id: &str) -> bool {
    find(roles, id).is_some()
}

fn find<'a>(roles: &'a [Value], id: &str) -> Option<&'a Value> {
    let id = key(id);
    roles.iter().find(|role| value_of(role).is_some_and(|value| key(value) == id))
}

fn value_of(role: &Value) -> Option<&str> {
    role.get("value").and_then(Value::as_str)
}

fn elements(roles: Option<&Value>) -> &[Value] {
    roles.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn listed(roles: Option<Value>) -> Vec<Value> {
    match roles {
        Some(Value::Array(roles)) => roles,
        Some(role) => vec![role],
        None => Vec::new(),
    }
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::Scim(ScimError::new(ErrorKind::InvalidValue, detail))
}
