//! Filters about memberships, which no index of attributes holds: a user's `groups`, direct and
//! through other groups, and a group's `members`.

use super::super::TypeName;
use super::super::index::Place;
use super::{Builder, TENANT};
use crate::scim::AttributePath;
use crate::scim::filter::{Literal, Operator};

impl Builder<'_> {
    /// A subquery for the keys of the resources of which a comparison is true; `None` where these
    /// tables do not decide it.
    pub(super) fn membership(
        &mut self,
        path: &AttributePath,
        operator: Operator,
        literal: &Literal,
    ) -> Option<String> {
        let Literal::String(text) = literal else { return None };
        let of_users = *self.type_name == TypeName::User && path.attribute == "groups";
        let of_groups = *self.type_name == TypeName::Group && path.attribute == "members";
        if path.extension.is_some() || !(of_users || of_groups) {
            return None;
        }
        let id = |builder: &mut Self, table: &str| {
            let key = builder.parameters.bind(text.key.as_str());
            if path.case_exact {
                return format!("{table}.id = {key}");
            }
            // The second half finds out of an index of its own, which is nearly empty.
            format!(
                "({table}.id = {key} OR ({table}.id <> LOWER({table}.id) AND LOWER({table}.id) = {key}))"
            )
        };
        match (path.sub.as_deref(), operator) {
            (Some("value"), Operator::Eq) if of_groups => Some(format!(
                "SELECT m.group_key FROM members m JOIN resources u ON u.key = m.member_key \
                 WHERE u.tenant = {TENANT} AND {}",
                id(self, "u")
            )),
            (Some("value"), Operator::Eq) => {
                let condition = id(self, "g");
                Some(within(&condition))
            }
            (Some("display"), Operator::Eq | Operator::Co | Operator::Sw | Operator::Ew)
                if of_users && !path.case_exact =>
            {
                let condition = self.value(Place::Name, "g", operator, literal)?;
                Some(within(&format!("g.name_absent = 0 AND {condition}")))
            }
            _ => None,
        }
    }

    /// Whether there is any membership to tell of, where a filter asks for no more.
    pub(super) fn has_membership(&self, path: &AttributePath) -> Option<&'static str> {
        if path.extension.is_some() || path.sub.as_deref() == Some("display") {
            return None;
        }
        match (self.type_name, path.attribute.as_str()) {
            (TypeName::User, "groups") => {
                Some("EXISTS (SELECT 1 FROM members m WHERE m.member_key = r.key)")
            }
            (TypeName::Group, "members") => {
                Some("EXISTS (SELECT 1 FROM members m WHERE m.group_key = r.key)")
            }
            _ => None,
        }
    }
}

/// The keys of all who are in groups `g` that meet the condition, through whatever groups.
fn within(condition: &str) -> String {
    format!(
        "SELECT key FROM (WITH RECURSIVE inside (key) AS (\
         SELECT m.member_key FROM members m JOIN resources g ON g.key = m.group_key \
         WHERE g.tenant = {TENANT} AND g.type = 'Group' AND {condition} \
         UNION SELECT m.member_key FROM inside w JOIN members m ON m.group_key = w.key) \
         SELECT key FROM inside) t"
    )
}
