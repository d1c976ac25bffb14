//! A filter as SQL: the strongest condition that loses no match.
//!
//! Every leaf is a subquery about one resource, so that `not` means what it says; what the index cannot
//! tell counts as true where more is harmless and as false under `not`. Beside it stands, where one
//! can be had, a subquery that lists candidates out of an index: it decides speed, never the answer.
//!
//! Rows are seen as their view was when written: `meta.lastModified` is the later of the row's and,
//! as last seen, the linked entry's.

mod compare;
mod group;
#[cfg(test)]
mod group_tests;
#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering;

use super::engine::Datum;
use super::index::{self, Index, Indexed, Part, Place};
use super::{Rows, TypeName, UserType};
use crate::scim::filter::{Literal, Operator, like};
use crate::scim::text::comparable;
use crate::scim::{AttributePath, Filter};
use compare::{Columns, Parameters};

/// The tenant's key, by its name in `$1`.
pub(super) const TENANT: &str = "(SELECT key FROM tenants WHERE name = $1)";

/// SQLite joins at most 500 subqueries by UNION ALL.
const MAX_LISTS: usize = 256;

/// A condition on the table `resources r` for `WHERE`.
#[derive(Debug)]
pub(super) struct Condition {
    pub sql: String,
    /// `$1`, the tenant's name, `$2`, the type's, and what follows.
    pub values: Vec<Datum>,
    /// Whether it selects what the filter selects; else it selects more.
    pub exact: bool,
    /// Whether it lists candidates, in place of looking at every row.
    pub candidates: bool,
}

impl Condition {
    /// The resources of the type in `tenant` that are among `rows` and may match `filter`.
    pub(super) fn new(
        tenant: &str,
        type_name: &TypeName,
        filter: Option<&Filter>,
        rows: Rows,
        index: &Index,
    ) -> Self {
        let parameters = Parameters(vec![tenant.into(), type_name.as_str().into()]);
        let mut builder = Builder { index, type_name, parameters, exact: true, decided: None };
        // `+`: with candidates at hand no index by tenant is to be used.
        let candidates = filter.and_then(|filter| builder.candidates(filter));
        let listed = candidates.is_some();
        let among = match candidates {
            Some(keys) => format!("+r.tenant = {TENANT} AND r.type = $2 AND r.key IN ({keys})"),
            None => format!("r.tenant = {TENANT} AND r.type = $2"),
        };
        let linked = UserType::FtressLdap.number();
        let rows = match rows {
            Rows::All => String::new(),
            Rows::Linked => format!(" AND r.user_type = {linked}"),
            Rows::Unlinked => format!(" AND r.user_type <> {linked}"),
        };
        let check = match filter.map_or(Sql::Always, |filter| builder.check(filter, Bound::Upper)) {
            Sql::Always => String::new(),
            Sql::Never => " AND 1 = 0".to_owned(),
            Sql::Text(check) => format!(" AND {check}"),
        };
        let sql = among + &rows + &check;
        Self { sql, values: builder.parameters.0, exact: builder.exact, candidates: listed }
    }
}

/// On which side an answer may err where the index cannot tell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// Every match and perhaps more.
    Upper,
    /// Matches only and perhaps not all.
    Lower,
}

impl Bound {
    fn other(self) -> Self {
        match self {
            Self::Upper => Self::Lower,
            Self::Lower => Self::Upper,
        }
    }
}

/// A condition that is true or false of every row, never NULL.
enum Sql {
    Always,
    Never,
    Text(String),
}

impl From<bool> for Sql {
    fn from(outcome: bool) -> Self {
        if outcome { Self::Always } else { Self::Never }
    }
}

struct Builder<'a> {
    index: &'a Index,
    type_name: &'a TypeName,
    parameters: Parameters,
    exact: bool,
    /// The leaf that all candidates satisfy.
    decided: Option<&'a Filter>,
}

impl<'a> Builder<'a> {
    fn check(&mut self, filter: &Filter, bound: Bound) -> Sql {
        if self.decided.is_some_and(|decided| std::ptr::eq(decided, filter)) {
            return Sql::Always;
        }
        match filter {
            Filter::And(parts) => self.all(parts, |builder, part| builder.check(part, bound)),
            Filter::Or(parts) => self.any(parts, |builder, part| builder.check(part, bound)),
            Filter::Not(inner) => match self.check(inner, bound.other()) {
                Sql::Always => Sql::Never,
                Sql::Never => Sql::Always,
                Sql::Text(sql) => Sql::Text(format!("NOT {sql}")),
            },
            Filter::Compare { path, operator, value } => {
                self.compare(path, *operator, value, bound)
            }
            Filter::Present(path) => self.present(path, bound),
            Filter::Element { filter, .. } => {
                // That one and the same element satisfies two conditions is seen in memory only.
                if !is_single(filter) {
                    self.exact = false;
                    if bound == Bound::Lower {
                        return Sql::Never;
                    }
                }
                self.element(filter, bound)
            }
            Filter::Constant(outcome) => (*outcome).into(),
        }
    }

    /// What some element satisfies, seen on all values of the attribute at once.
    fn element(&mut self, filter: &Filter, bound: Bound) -> Sql {
        match filter {
            Filter::And(parts) => self.all(parts, |builder, part| builder.element(part, bound)),
            Filter::Or(parts) => self.any(parts, |builder, part| builder.element(part, bound)),
            Filter::Constant(outcome) => (*outcome).into(),
            leaf if is_positive(leaf) => self.check(leaf, bound),
            _ => self.unknown(bound),
        }
    }

    fn all(&mut self, parts: &[Filter], mut each: impl FnMut(&mut Self, &Filter) -> Sql) -> Sql {
        let mut texts = Vec::new();
        for part in parts {
            match each(self, part) {
                Sql::Always => {}
                Sql::Never => texts.push("1 = 0".to_owned()),
                Sql::Text(sql) => texts.push(sql),
            }
        }
        if texts.is_empty() { Sql::Always } else { Sql::Text(join(&texts, " AND ")) }
    }

    fn any(&mut self, parts: &[Filter], mut each: impl FnMut(&mut Self, &Filter) -> Sql) -> Sql {
        let mut texts = Vec::new();
        for part in parts {
            match each(self, part) {
                Sql::Always => texts.push("1 = 1".to_owned()),
                Sql::Never => {}
                Sql::Text(sql) => texts.push(sql),
            }
        }
        if texts.is_empty() { Sql::Never } else { Sql::Text(join(&texts, " OR ")) }
    }

    fn unknown(&mut self, bound: Bound) -> Sql {
        self.exact = false;
        (bound == Bound::Upper).into()
    }

    fn present(&mut self, path: &AttributePath, bound: Bound) -> Sql {
        if !path.known {
            return Sql::Never;
        }
        match self.index.place(self.type_name, path) {
            None => self.unknown(bound),
            Some(Place::Name) => Sql::Text("(r.name_absent = 0 AND r.name <> '')".to_owned()),
            Some(Place::Id | Place::UserType | Place::Created | Place::Modified) => Sql::Always,
            Some(Place::Attribute(indexed)) => {
                Sql::Text(exists(&format!("{} AND a.fold <> ''", any_type(indexed))))
            }
            Some(place @ (Place::Group(_) | Place::Member { .. } | Place::Owner { .. })) => {
                let gives = self.index.gives.load(Ordering::Acquire);
                Sql::Text(group::belongs(place, gives))
            }
        }
    }

    fn compare(
        &mut self,
        path: &AttributePath,
        operator: Operator,
        literal: &Literal,
        bound: Bound,
    ) -> Sql {
        if *literal == Literal::Null {
            return if operator == Operator::Ne {
                self.present(path, bound)
            } else {
                match self.present(path, bound.other()) {
                    Sql::Always => Sql::Never,
                    Sql::Never => Sql::Always,
                    Sql::Text(sql) => Sql::Text(format!("NOT {sql}")),
                }
            };
        }
        if !path.known {
            return (operator == Operator::Ne).into();
        }
        match self.index.place(self.type_name, path) {
            None => self.unknown(bound),
            Some(Place::UserType) => user_types(path, operator, literal),
            Some(place @ (Place::Group(_) | Place::Member { .. } | Place::Owner { .. })) => {
                self.belonging(place, operator, literal, bound)
            }
            Some(Place::Attribute(indexed)) if operator == Operator::Ne => {
                let Some(differs) = self.value(Place::Attribute(indexed), "a", operator, literal)
                else {
                    return Sql::Always;
                };
                let (any, other) = (any_type(indexed), indexed.foreign());
                Sql::Text(format!(
                    "(NOT {} OR {})",
                    exists(&any),
                    exists(&format!("{any} AND (a.path = {other} OR {differs})"))
                ))
            }
            Some(Place::Attribute(indexed)) => {
                match self.value(Place::Attribute(indexed), "a", operator, literal) {
                    Some(sql) => {
                        Sql::Text(exists(&format!("a.path = {} AND {sql}", indexed.native())))
                    }
                    None => self.undecided(literal, bound),
                }
            }
            Some(place) => match self.value(place, "r", operator, literal) {
                Some(sql) if !matches!(place, Place::Name) => Sql::Text(sql),
                Some(sql) if operator == Operator::Ne => {
                    Sql::Text(format!("(r.name_absent = 1 OR {sql})"))
                }
                Some(sql) => Sql::Text(format!("(r.name_absent = 0 AND {sql})")),
                None if operator == Operator::Ne => Sql::Always,
                None => self.undecided(literal, bound),
            },
        }
    }

    /// A comparison that no value can satisfy, or a pattern too long for SQL.
    fn undecided(&mut self, literal: &Literal, bound: Bound) -> Sql {
        match literal {
            Literal::String(_) => self.unknown(bound),
            _ => Sql::Never,
        }
    }

    /// The comparison with one value at `place`, whose table is called `table` here.
    fn value(
        &mut self,
        place: Place<'_>,
        table: &str,
        operator: Operator,
        literal: &Literal,
    ) -> Option<String> {
        let parameters = &mut self.parameters;
        let column = |name: &str| format!("{table}.{name}");
        let (fold, rest) = match place {
            Place::UserType | Place::Group(_) | Place::Member { .. } | Place::Owner { .. } => {
                return None;
            }
            Place::Name => (column("name"), Some(column("name_rest"))),
            Place::Id => (column("id"), None),
            Place::Attribute(_) => (column("fold"), Some(column("rest"))),
            Place::Created | Place::Modified => {
                let Literal::DateTime(at) = literal else { return None };
                let name =
                    if matches!(place, Place::Created) { "created" } else { "shown_modified" };
                return compare::milliseconds(&column(name), operator, *at, parameters);
            }
        };
        let columns = Columns { fold: &fold, rest: rest.as_deref() };
        match literal {
            Literal::String(text) => compare::text(columns, operator, text.key(), parameters),
            Literal::Boolean(value) => {
                compare::text(columns, operator, index::boolean(*value), parameters)
            }
            Literal::DateTime(at) => {
                compare::text(columns, operator, &index::fixed_width(*at), parameters)
            }
            Literal::Number(number) => {
                let substring =
                    matches!(operator, Operator::Co | Operator::Sw | Operator::Ew | Operator::Like);
                let number = index::number(*number);
                (!substring).then(|| compare::text(columns, operator, &number, parameters))?
            }
            Literal::Null => None,
        }
    }

    /// Subqueries that together list the keys of all who may match, where an index makes that cheap.
    fn candidates(&mut self, filter: &'a Filter) -> Option<String> {
        let bound = self.parameters.0.len();
        let lists = self.cost(filter).and_then(|_| self.lists(filter));
        if lists.is_none() {
            self.parameters.0.truncate(bound);
        } else {
            self.decided = self.decisive(filter);
        }
        lists.map(|lists| lists.join(" UNION ALL "))
    }

    /// The leaf that the candidates were listed by, where they are just those who satisfy it: to find
    /// out again who is in a group, one by one, would take longest of all.
    fn decisive<'f>(&self, filter: &'f Filter) -> Option<&'f Filter> {
        match filter {
            Filter::And(parts) => self.decisive(self.cheapest(parts)?),
            Filter::Element { filter, .. } => self.decisive(filter),
            Filter::Compare { path, .. } => {
                let place = self.index.place(self.type_name, path)?;
                matches!(place, Place::Group(_) | Place::Member { .. } | Place::Owner { .. })
                    .then_some(filter)
            }
            _ => None,
        }
    }

    fn cheapest<'f>(&self, parts: &'f [Filter]) -> Option<&'f Filter> {
        let costs = parts.iter().filter_map(|part| Some((self.cost(part)?, part)));
        costs.min_by_key(|(cost, _)| *cost).map(|(_, part)| part)
    }

    fn lists(&mut self, filter: &Filter) -> Option<Vec<String>> {
        match filter {
            Filter::And(parts) => {
                let best = self.cheapest(parts)?;
                self.lists(best)
            }
            Filter::Or(parts) => {
                let mut lists = Vec::with_capacity(parts.len());
                for part in parts {
                    lists.extend(self.lists(part)?);
                }
                (lists.len() <= MAX_LISTS).then_some(lists)
            }
            Filter::Element { filter, .. } => self.lists(filter),
            Filter::Compare { path, operator, value } => {
                let place = self.index.place(self.type_name, path)?;
                if let Place::Group(_) | Place::Member { .. } | Place::Owner { .. } = place {
                    return Some(vec![self.belonging_to(place, value)?]);
                }
                let sql = self.value(place, "c", *operator, value)?;
                let (key, table, more) = match place {
                    Place::Attribute(indexed) => (
                        "resource_key",
                        "attributes",
                        format!(" AND c.path = {}", indexed.native()),
                    ),
                    Place::Name => {
                        ("key", "resources", " AND c.type = $2 AND c.name_absent = 0".to_owned())
                    }
                    Place::Id => ("key", "resources", String::new()),
                    _ => ("key", "resources", " AND c.type = $2".to_owned()),
                };
                Some(vec![format!(
                    "SELECT c.{key} FROM {table} c WHERE c.tenant = {TENANT}{more} AND {sql}"
                )])
            }
            Filter::Not(_) | Filter::Present(_) | Filter::Constant(_) => None,
        }
    }

    /// How much of an index is read for the candidates of `filter`, roughly ordered; `None` where
    /// it would be most of it.
    fn cost(&self, filter: &Filter) -> Option<u8> {
        match filter {
            Filter::And(parts) => parts.iter().filter_map(|part| self.cost(part)).min(),
            Filter::Or(parts) => {
                let costs: Option<Vec<_>> = parts.iter().map(|part| self.cost(part)).collect();
                costs?.into_iter().max()
            }
            Filter::Element { filter, .. } => self.cost(filter),
            Filter::Compare { path, operator, value } => {
                let identifying = match self.index.place(self.type_name, path)? {
                    Place::UserType | Place::Group(Part::Any) => return None,
                    Place::Group(_) | Place::Member { .. } | Place::Owner { .. } => {
                        return matches!((operator, value), (Operator::Eq, Literal::String(_)))
                            .then_some(3);
                    }
                    Place::Name | Place::Id => true,
                    Place::Created | Place::Modified => false,
                    Place::Attribute(indexed) => indexed.is_identifying(),
                };
                let empty = matches!(value, Literal::String(text) if text.key().is_empty());
                match (operator, value) {
                    (_, Literal::Boolean(_) | Literal::Null) | (Operator::Ne, _) => None,
                    (Operator::Sw | Operator::Co | Operator::Ew, _) if empty => None,
                    (Operator::Eq, _) => Some(if identifying { 0 } else { 2 }),
                    (Operator::Sw, _) => Some(if identifying { 1 } else { 3 }),
                    (Operator::Gt | Operator::Ge | Operator::Lt | Operator::Le, _) => Some(4),
                    (Operator::Co | Operator::Ew | Operator::Like, _) => Some(5),
                }
            }
            Filter::Not(_) | Filter::Present(_) | Filter::Constant(_) => None,
        }
    }
}

/// Whether what some element satisfies is what some value satisfies: one comparison, or a choice of
/// such.
fn is_single(filter: &Filter) -> bool {
    match filter {
        Filter::Or(parts) => parts.iter().all(is_single),
        leaf => is_positive(leaf),
    }
}

/// Whether a leaf asks for a value to be there; `ne`, `eq null` and `not` may hold of an element
/// that has none, while another element has one.
fn is_positive(leaf: &Filter) -> bool {
    match leaf {
        Filter::Compare { operator, value: Literal::Null, .. } => *operator == Operator::Ne,
        Filter::Compare { operator, .. } => *operator != Operator::Ne,
        Filter::Present(_) => true,
        _ => false,
    }
}

/// `userType` has three values, which are compared here.
fn user_types(path: &AttributePath, operator: Operator, literal: &Literal) -> Sql {
    let matching: Vec<_> = UserType::ALL
        .into_iter()
        .filter(|user_type| {
            let Literal::String(text) = literal else { return operator == Operator::Ne };
            let name = comparable(user_type.name(), path.case_exact);
            let (name, key) = (name.as_ref(), text.key());
            match operator {
                Operator::Eq => name == key,
                Operator::Ne => name != key,
                Operator::Co => name.contains(key),
                Operator::Sw => name.starts_with(key),
                Operator::Ew => name.ends_with(key),
                Operator::Like => like(key, name),
                Operator::Gt => name > key,
                Operator::Ge => name >= key,
                Operator::Lt => name < key,
                Operator::Le => name <= key,
            }
        })
        .map(|user_type| user_type.number().to_string())
        .collect();
    match matching.len() {
        0 => Sql::Never,
        3 => Sql::Always,
        _ => Sql::Text(format!("r.user_type IN ({})", matching.join(", "))),
    }
}

fn any_type(indexed: &Indexed) -> String {
    format!("a.path IN ({}, {})", indexed.native(), indexed.foreign())
}

fn exists(condition: &str) -> String {
    format!("EXISTS (SELECT 1 FROM attributes a WHERE a.resource_key = r.key AND {condition})")
}

fn join(texts: &[String], between: &str) -> String {
    format!("({})", texts.join(between))
}
