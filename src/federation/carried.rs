//! A filter on roles as the store answers it: whoever is in a group that carries a role has that role,
//! though no row of the user tells.
//!
//! In memory nothing of this is needed: there the roles that come with groups stand among the others.

use serde_json::{Value, json};

use super::roles::{ROLES, Roles, key};
use crate::scim::filter::{Literal, Operator, Text};
use crate::scim::{AttributePath, Attributes, Filter, ResourceType};

/// The groups that carry roles, each with these as a user would have them.
struct Carriers {
    groups: Vec<(Filter, Attributes)>,
    /// Whoever may have roles by rules, which no index holds: only memory decides of them.
    by_rules: Option<Filter>,
}

impl Roles {
    /// The filter with the groups in it; `None` where it stays as it is.
    /// `rules`: whether rules may give roles.
    pub(super) fn as_stored(
        &self,
        filter: &Filter,
        users: &ResourceType,
        rules: bool,
    ) -> Option<Filter> {
        if !filter.paths().any(is_role) {
            return None;
        }
        let (known, path) = (self.known(), users.resolve("groups.value"));
        let groups = self.carriers().map(|(group, roles)| {
            let carried = roles.iter().filter_map(|role| known.get(&key(role)));
            let carried: Vec<Value> = carried.map(super::roles::KnownRole::shown).collect();
            let value = Literal::String(Text::new(group, &path));
            let member = Filter::Compare { path: path.clone(), operator: Operator::Eq, value };
            (member, Attributes::from_iter([(ROLES.to_owned(), json!(carried))]))
        });
        let by_rules = rules.then(|| Filter::Present(users.resolve("roles.primary")));
        let mut carriers = Carriers { groups: groups.collect(), by_rules };
        // The same text for the same question, whatever the order of a map.
        carriers.groups.sort_by_cached_key(|(member, _)| member.canonical());
        let any = !carriers.groups.is_empty() || rules;
        any.then(|| carriers.rewrite(filter))
    }
}

impl Carriers {
    fn rewrite(&self, filter: &Filter) -> Filter {
        match filter {
            Filter::And(parts) => {
                Filter::And(parts.iter().map(|part| self.rewrite(part)).collect())
            }
            Filter::Or(parts) => Filter::Or(parts.iter().map(|part| self.rewrite(part)).collect()),
            Filter::Not(inner) => Filter::Not(Box::new(self.rewrite(inner))),
            Filter::Compare { path, operator, value: Literal::Null } if is_role(path) => {
                let present = self.rewrite(&Filter::Present(path.clone()));
                if *operator == Operator::Ne { present } else { Filter::Not(Box::new(present)) }
            }
            Filter::Compare { path, operator: Operator::Ne, .. } if is_role(path) => {
                // True where there is no value, or one that differs: of the row's and the carried
                // ones together.
                let differs = self.members(filter);
                let present = Filter::Present(path.clone());
                let any = self.members(&present);
                let alone = Filter::Or(vec![Filter::Not(Box::new(any)), differs.clone(), present]);
                let mut parts = vec![Filter::And(vec![filter.clone(), alone]), differs];
                parts.extend(self.by_rules.clone());
                Filter::Or(parts)
            }
            Filter::Compare { path, .. } | Filter::Present(path) | Filter::Element { path, .. }
                if is_role(path) =>
            {
                let mut parts = vec![filter.clone(), self.members(filter)];
                parts.extend(self.by_rules.clone());
                Filter::Or(parts)
            }
            other => other.clone(),
        }
    }

    /// Whoever is in a group whose roles satisfy this.
    fn members(&self, leaf: &Filter) -> Filter {
        let satisfying = self.groups.iter().filter(|(_, roles)| leaf.matches(roles));
        let members: Vec<Filter> = satisfying.map(|(member, _)| member.clone()).collect();
        if members.is_empty() { Filter::Constant(false) } else { Filter::Or(members) }
    }
}

/// Whether a path leads to the roles of a user.
pub(super) fn is_role(path: &AttributePath) -> bool {
    path.extension.is_none() && path.attribute == ROLES
}
