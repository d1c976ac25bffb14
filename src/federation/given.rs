//! What a directory gives a person beside values: the groups and roles that rules derive of the entry.
//!
//! Knows nothing of how rules are read or asked; of what is given, shown and stored together with it
//! [`super::resource`] makes one list.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::{Group, Role, Rule};
use crate::scim::dialect::location;
use crate::scim::resource::digest_text;
use crate::scim::{AttributePath, Attributes, Filter, ResourceType};
use crate::store::{Gift, GiftKind};

/// The attributes of users that rules give values of.
const GROUPS: &str = "groups";
const ROLES: &str = "roles";

/// Whether rules may give values of the attribute that the path names.
pub(super) fn is_given(path: &AttributePath) -> bool {
    path.extension.is_none() && matches!(path.attribute.as_str(), GROUPS | ROLES)
}

/// The groups and roles that a directory gives a person, by the ids that the configuration has for
/// them. Each list is sorted and has everybody once, so that equal ones are the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Given {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Arc<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Arc<str>>,
}

impl Given {
    /// The same in whatever order and however often the rules name it.
    pub fn new(
        groups: impl IntoIterator<Item = Arc<str>>,
        roles: impl IntoIterator<Item = Arc<str>>,
    ) -> Self {
        Self { groups: each_once(groups), roles: each_once(roles) }
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.roles.is_empty()
    }

    /// What the store keeps of it.
    pub(super) fn kept(gifts: &[Gift]) -> Self {
        let of = |kind| gifts.iter().filter(move |gift| gift.kind == kind);
        let ids = |kind| of(kind).map(|gift| Arc::from(gift.id.as_str()));
        Self::new(ids(GiftKind::Group), ids(GiftKind::Role))
    }

    fn gifts(&self) -> impl Iterator<Item = (GiftKind, Arc<str>)> {
        let groups = self.groups.iter().map(|id| (GiftKind::Group, Arc::clone(id)));
        groups.chain(self.roles.iter().map(|id| (GiftKind::Role, Arc::clone(id))))
    }

    /// `digest` where nothing is given, else another number for each that may be given.
    pub fn mixed(&self, digest: u64) -> u64 {
        let mix = |sum: u64, id: &Arc<str>| sum.rotate_left(5).wrapping_mul(31) ^ digest_text(id);
        let groups = self.groups.iter().fold(digest, mix);
        let parted = if self.roles.is_empty() { groups } else { groups.rotate_left(17) };
        self.roles.iter().fold(parted, mix)
    }
}

/// What the rules of one repository give, by their places.
#[derive(Debug, Default)]
pub(super) struct Giving {
    each: Vec<Given>,
    /// What is shown of whoever one of them holds for.
    shown: Vec<Attributes>,
    groups: HashMap<Arc<str>, Value>,
    roles: HashMap<Arc<str>, Value>,
    /// What stands for the rules that give each of them.
    marks: HashMap<(GiftKind, Arc<str>), i64>,
}

impl Giving {
    /// `groups` and `roles` are those that the configuration names.
    pub(super) fn new(
        written: &[Rule],
        groups: &[Group],
        roles: &[Role],
        kind: &ResourceType,
    ) -> Self {
        let give = |rule: &Rule| {
            // Who is in a group has its roles, and those of the groups that it stands in.
            let named = |id: &str| groups.iter().find(|group| group.id == id);
            let above = |group: &&Group| named(group.parent.as_deref()?);
            let within = std::iter::successors(rule.group.as_deref().and_then(named), above);
            let carried = within.take(groups.len()).flat_map(|group| &group.roles);
            let all = rule.roles.iter().chain(carried).map(|id| Arc::from(id.as_str()));
            Given::new(rule.group.as_deref().map(Arc::from), all)
        };
        let each: Vec<Given> = written.iter().map(give).collect();
        let group = |group: &Group| {
            let shown = json!({
                "value": group.id,
                "$ref": location("", kind, &group.id),
                "display": group.display,
                "type": "direct",
            });
            (Arc::from(group.id.as_str()), shown)
        };
        let role = |role: &Role| {
            let shown = json!({ "value": role.id, "display": role.display });
            (Arc::from(role.id.as_str()), shown)
        };
        let given = |id: &Arc<str>, all: fn(&Given) -> &Vec<Arc<str>>| {
            each.iter().any(|given| all(given).contains(id))
        };
        let groups = groups.iter().map(group).filter(|(id, _)| given(id, |given| &given.groups));
        let roles = roles.iter().map(role).filter(|(id, _)| given(id, |given| &given.roles));
        let (groups, roles) = (groups.collect(), roles.collect());
        let mut marks: HashMap<(GiftKind, Arc<str>), i64> = HashMap::new();
        for (rule, given) in written.iter().zip(&each) {
            let asked = [&rule.base, &rule.filter, &rule.member_of].map(|part| part.as_deref());
            let mark = digest_text(&format!("{asked:?}"));
            for gift in given.gifts() {
                let sum = marks.entry(gift).or_default();
                *sum = sum.rotate_left(5).wrapping_mul(31) ^ mark.cast_signed();
            }
        }
        let mut giving = Self { each, shown: Vec::new(), groups, roles, marks };
        giving.shown = giving
            .each
            .iter()
            .map(|given| {
                let mut shown = Attributes::new();
                giving.show(given, &mut shown);
                shown
            })
            .collect();
        giving
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.each.is_empty()
    }

    /// What is given to whoever the rules at these places hold for.
    pub(super) fn of(&self, places: &[usize]) -> Given {
        let mut held = places.iter().filter_map(|place| self.each.get(*place));
        match (held.next(), held.clone().next()) {
            (None, _) => Given::default(),
            (Some(only), None) => only.clone(),
            (Some(first), Some(_)) => {
                let all = || std::iter::once(first).chain(held.clone());
                let groups = all().flat_map(|given| &given.groups).cloned();
                Given::new(groups, all().flat_map(|given| &given.roles).cloned())
            }
        }
    }

    /// What is given, as the store keeps it.
    pub(super) fn gifts(&self, given: &Given) -> Vec<Gift> {
        let gift = |(kind, id): (GiftKind, Arc<str>)| {
            let rules = *self.marks.get(&(kind, Arc::clone(&id)))?;
            Some(Gift { kind, id: (*id).to_owned(), rules })
        };
        given.gifts().filter_map(gift).collect()
    }

    /// All that can be given.
    pub(super) fn all(&self) -> Vec<Gift> {
        let marks = self.marks.iter();
        let gift = |((kind, id), rules): (&(GiftKind, Arc<str>), &i64)| Gift {
            kind: *kind,
            id: (**id).to_owned(),
            rules: *rules,
        };
        let mut gifts: Vec<Gift> = marks.map(gift).collect();
        gifts.sort_unstable();
        gifts
    }

    /// The places of the rules that give something for which the leaf of a filter holds.
    pub(super) fn matching(&self, leaf: &Filter) -> impl Iterator<Item = usize> {
        let shown = self.shown.iter().enumerate();
        shown.filter(|(_, shown)| leaf.matches(shown)).map(|(place, _)| place)
    }

    /// Puts what is given into `groups` and `roles`, beside what stands there.
    pub(super) fn show(&self, given: &Given, attributes: &mut Attributes) {
        let lists = [(GROUPS, &given.groups, &self.groups), (ROLES, &given.roles, &self.roles)];
        for (name, ids, known) in lists.into_iter().filter(|(_, ids, _)| !ids.is_empty()) {
            let list = attributes.entry(name).or_insert_with(|| json!([]));
            let Some(list) = list.as_array_mut() else { continue };
            for shown in ids.iter().filter_map(|id| known.get(id)) {
                let same = |other: &Value| other.get("value") == shown.get("value");
                match list.iter_mut().find(|other| same(other)) {
                    Some(other) => *other = shown.clone(),
                    None => list.push(shown.clone()),
                }
            }
        }
    }
}

fn each_once(ids: impl IntoIterator<Item = Arc<str>>) -> Vec<Arc<str>> {
    let mut ids: Vec<Arc<str>> = ids.into_iter().collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_repetition_make_no_difference() {
        let ids = |ids: &[&str]| ids.iter().map(|id| Arc::from(*id)).collect::<Vec<Arc<str>>>();
        let given = Given::new(ids(&["b", "a", "b"]), ids(&["r"]));
        assert_eq!(given, Given { groups: ids(&["a", "b"]), roles: ids(&["r"]) });
        assert!(!given.is_empty() && Given::default().is_empty());
        let text = serde_json::to_string(&given).unwrap();
        assert_eq!(text, r#"{"groups":["a","b"],"roles":["r"]}"#);
        assert_eq!(serde_json::from_str::<Given>("{}").unwrap(), Given::default());
    }
}
