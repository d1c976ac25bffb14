//! Conditions on who is in which group, answered by the table of members: of a user also through
//! groups that are in groups, of a group its members themselves; and on whose a device or an
//! authenticator is, answered by the table of owners.
//!
//! Ids are compared without regard to case as their lower case: they are ASCII.

use std::sync::atomic::Ordering;

use super::super::index::{Part, Place};
use super::compare::{self, Columns};
use super::{Bound, Builder, Sql, TENANT};
use crate::scim::filter::{Literal, Operator};

impl Builder<'_> {
    /// A comparison with such a value of the groups, or of the members.
    pub(super) fn belonging(
        &mut self,
        place: Place<'_>,
        operator: Operator,
        literal: &Literal,
        bound: Bound,
    ) -> Sql {
        let (Literal::String(text), false) = (literal, matches!(place, Place::Group(Part::Any)))
        else {
            // What is there equals nothing of the kind.
            return (operator == Operator::Ne).into();
        };
        let negated = operator == Operator::Ne;
        let asked = if negated { Operator::Eq } else { operator };
        if let (Operator::Eq, false) = (asked, negated)
            && let Some(keys) = self.keys_of(place, text.key())
        {
            return Sql::Text(match place {
                Place::Owner { .. } => format!(
                    "EXISTS (SELECT 1 FROM owners o WHERE o.resource_key = r.key \
                     AND o.owner_key IN ({keys}))"
                ),
                Place::Member { .. } => format!(
                    "EXISTS (SELECT 1 FROM members m WHERE m.group_key = r.key \
                     AND m.member_key IN ({keys}))"
                ),
                _ => self.or_given(
                    format!("EXISTS ({ABOVE} SELECT 1 FROM above WHERE above.key IN ({keys}))"),
                    &format!("g.key IN ({keys})"),
                ),
            });
        }
        let (fold, rest) = match place {
            Place::Group(Part::Name) => ("g.name", Some("g.name_rest")),
            Place::Group(Part::Id { exact: true })
            | Place::Member { exact: true }
            | Place::Owner { exact: true } => ("g.id", None),
            _ => ("LOWER(g.id)", None),
        };
        let columns = Columns { fold, rest };
        let Some(check) = compare::text(columns, asked, text.key(), &mut self.parameters) else {
            return self.unknown(bound);
        };
        let some = |test: &str| match place {
            Place::Owner { .. } => format!(
                "EXISTS (SELECT 1 FROM owners o JOIN resources g ON g.key = o.owner_key \
                 WHERE o.resource_key = r.key AND {test})"
            ),
            Place::Member { .. } => format!(
                "EXISTS (SELECT 1 FROM members m JOIN resources g ON g.key = m.member_key \
                 WHERE m.group_key = r.key AND {test})"
            ),
            Place::Group(Part::Name) => {
                let named = format!("g.name_absent = 0 AND {test}");
                self.or_given(above(&named), &named)
            }
            _ => self.or_given(above(test), test),
        };
        Sql::Text(if negated {
            format!("(NOT {} OR {})", some("1 = 1"), some(&format!("NOT {check}")))
        } else {
            some(&check)
        })
    }

    /// A subquery that lists exactly the keys of all whose group or member it is, and perhaps of
    /// resources of other types.
    pub(super) fn belonging_to(&mut self, place: Place<'_>, literal: &Literal) -> Option<String> {
        let Literal::String(text) = literal else { return None };
        if let Place::Owner { .. } = place {
            let keys = self.keys_of(place, text.key())?;
            return Some(format!(
                "SELECT c.resource_key FROM owners c WHERE c.owner_key IN ({keys})"
            ));
        }
        if let Place::Member { .. } = place {
            let keys = self.keys_of(place, text.key())?;
            return Some(format!(
                "SELECT c.group_key FROM members c WHERE c.member_key IN ({keys})"
            ));
        }
        let groups = match place {
            Place::Group(Part::Name) => {
                let columns = Columns { fold: "g.name", rest: Some("g.name_rest") };
                let check = compare::text(columns, Operator::Eq, text.key(), &mut self.parameters)?;
                format!(
                    "SELECT g.key FROM resources g WHERE g.tenant = {TENANT} \
                     AND g.type = 'Group' AND g.name_absent = 0 AND {check}"
                )
            }
            _ => self.keys_of(place, text.key())?,
        };
        let given = if self.gives() {
            format!(
                " UNION SELECT v.resource_key FROM gifts v JOIN resources g ON g.id = v.id \
                 WHERE v.kind = 0 AND g.key IN ({groups})"
            )
        } else {
            String::new()
        };
        Some(format!(
            "SELECT c.key FROM (WITH RECURSIVE below (key) AS ({groups} \
             UNION SELECT m.member_key FROM below JOIN members m ON m.group_key = below.key) \
             SELECT key FROM below{given}) c"
        ))
    }

    /// Beside the groups whose members are kept here, those that rules gave a row.
    fn or_given(&self, belongs: String, test: &str) -> String {
        if !self.gives() {
            return belongs;
        }
        format!(
            "({belongs} OR EXISTS (SELECT 1 FROM gifts v JOIN resources g ON g.id = v.id \
             AND g.tenant = r.tenant AND g.type = 'Group' \
             WHERE v.resource_key = r.key AND v.kind = 0 AND {test}))"
        )
    }

    fn gives(&self) -> bool {
        self.index.gives.load(Ordering::Acquire)
    }

    /// A subquery that lists the keys of what has this id, of groups where they are asked for.
    fn keys_of(&mut self, place: Place<'_>, id: &str) -> Option<String> {
        let (exact, of_type) = match place {
            Place::Member { exact } | Place::Owner { exact } => (exact, ""),
            Place::Group(Part::Id { exact }) => (exact, " AND i.type = 'Group'"),
            _ => return None,
        };
        let id = self.parameters.bind(id);
        let select = |test: &str| {
            format!("SELECT i.key FROM resources i WHERE i.tenant = {TENANT} AND {test}{of_type}")
        };
        let written = select(&format!("i.id = {id}"));
        Some(if exact {
            written
        } else {
            let lower = select(&format!("i.id <> LOWER(i.id) AND LOWER(i.id) = {id}"));
            format!("SELECT i.key FROM ({written} UNION {lower}) i")
        })
    }
}

/// Whether there is such a group, or such a member.
pub(super) fn belongs(place: Place<'_>, gives: bool) -> String {
    let by_rule = "EXISTS (SELECT 1 FROM gifts v WHERE v.resource_key = r.key AND v.kind = 0)";
    let kept = match place {
        Place::Member { .. } => {
            "EXISTS (SELECT 1 FROM members m WHERE m.group_key = r.key)".to_owned()
        }
        Place::Owner { .. } => {
            "EXISTS (SELECT 1 FROM owners o WHERE o.resource_key = r.key)".to_owned()
        }
        Place::Group(Part::Name) => above("g.name_absent = 0 AND g.name <> ''"),
        _ => "EXISTS (SELECT 1 FROM members m WHERE m.member_key = r.key)".to_owned(),
    };
    match place {
        Place::Group(_) if gives => format!("({kept} OR {by_rule})"),
        _ => kept,
    }
}

/// The groups above a row, one step after the other; whoever comes round to where he was goes no
/// further.
const ABOVE: &str = "WITH RECURSIVE above (key) AS (\
                     SELECT m.group_key FROM members m WHERE m.member_key = r.key \
                     UNION SELECT m.group_key FROM above JOIN members m ON m.member_key = above.key)";

/// Whether one of the groups above a row passes the test on `resources g`.
fn above(test: &str) -> String {
    format!(
        "EXISTS ({ABOVE} SELECT 1 FROM above JOIN resources g ON g.key = above.key WHERE {test})"
    )
}
