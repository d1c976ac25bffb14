//! A filter as one source sees it: what is known of everybody there becomes a constant.
//!
//! Of a bound user whose entry changed, the store knows the shadow alone. A filter that joins what
//! the store owns with what the directory owns (`nickName eq "x" and name.familyName eq "New"`) finds
//! such a user by neither: the shadow decides. Asking the directory for the second half alone would
//! turn every look-up by one of our attributes and, say, `active eq true` into a scan.

use serde_json::Value;

use super::given::{Giving, is_given};
use super::resource::SOURCE_URN;
use crate::repository::{Authority, Repository, rule};
use crate::scim::filter::{Filter, Literal, Operator};
use crate::scim::schema::{AttributePath, Kind};
use crate::scim::{Attributes, ResourceType};

/// How a directory is asked.
#[derive(Debug, PartialEq)]
pub(super) struct Asked {
    /// What the directory's people must satisfy; `Constant(false)` asks nobody.
    pub(super) filter: Filter,
    /// Whether the answer, if what was sent was exact, also decides about bound people: no part of
    /// the filter is about values that the store may own.
    pub(super) decides_bound: bool,
    /// Whether it may select people whose users were deleted here, although the directory does not:
    /// they are shown inactive. They are then read by key, so that no such search is answered from
    /// the caches alone.
    pub(super) buried: bool,
}

/// The filter as the resources of one type see it, all of which have the same `meta.resourceType`.
pub(super) fn for_type(filter: Filter, kind: &ResourceType) -> Filter {
    let is_type = |path: &AttributePath| path.text == "meta.resourceType";
    if !filter.paths().any(is_type) {
        return filter;
    }
    let meta = serde_json::json!({ "resourceType": kind.name });
    let known = Attributes::from_iter([("meta".to_owned(), meta)]);
    filter
        .rewrite(&mut |leaf| match leaf {
            Filter::Compare { path, .. } | Filter::Present(path) if is_type(path) => {
                Some(Filter::Constant(leaf.matches(&known)))
            }
            _ => None,
        })
        .simplify()
}

/// The part of the filter that concerns a repository's people, bound or not.
pub(super) fn for_directory(
    filter: &Filter,
    repository: &dyn Repository,
    giving: &Giving,
) -> Asked {
    let (mut decides_bound, mut names_active) = (true, false);
    for path in filter.paths() {
        names_active |= path.text == "active";
        let owned =
            matches!(repository.authority(path), Some(Authority::Directory | Authority::WriteBack));
        // Beside the directory's elements of a list, and its parts of a whole, may stand our own.
        let single = !path.multi_valued && path.kind != Kind::Complex && !path.attribute.is_empty();
        decides_bound &= owned && path.text != "active" && single;
    }
    // The people found may be unbound or bound; a filter about `userType` may want only one kind.
    let fold = |user_type, active| fold(filter, repository, giving, user_type, active);
    let unbound = fold("LDAP", None);
    let bound = fold("FTRESS_LDAP", None);
    let buried = names_active && fold("LDAP", Some(false)) != Filter::Constant(false);
    let filter = if unbound == bound { unbound } else { Filter::or([unbound, bound]).simplify() };
    Asked { filter, decides_bound, buried }
}

/// `active` is what is shown, where that is known whatever the directory says.
fn fold(
    filter: &Filter,
    repository: &dyn Repository,
    giving: &Giving,
    user_type: &str,
    active: Option<bool>,
) -> Filter {
    let known = |path: &AttributePath| known(path, repository, user_type, active);
    filter
        .rewrite(&mut |leaf| match leaf {
            Filter::Compare { path, .. } | Filter::Present(path) | Filter::Element { path, .. }
                if is_given(path) && !giving.is_nothing() =>
            {
                Some(by_rules(leaf, giving, repository.maps(path)))
            }
            Filter::Compare { path, operator, value } => match known(path) {
                Known::Unknown => None,
                Known::Value(known) => {
                    Some(Filter::Constant(compare(path, *operator, value, known)))
                }
                Known::Absent => Some(Filter::Constant(absent(*operator))),
            },
            Filter::Present(path) => match known(path) {
                Known::Unknown => None,
                Known::Value(_) => Some(Filter::Constant(true)),
                Known::Absent => Some(Filter::Constant(false)),
            },
            Filter::Element { path, .. } => match known(path) {
                Known::Absent => Some(Filter::Constant(false)),
                // What stands inside is for the mapping to know.
                _ => Some(leaf.clone()),
            },
            _ => None,
        })
        .simplify()
}

/// What is known of `path` for everybody in a repository.
fn known(
    path: &AttributePath,
    repository: &dyn Repository,
    user_type: &str,
    active: Option<bool>,
) -> Known {
    if path.text == "userType" {
        Known::Value(user_type.into())
    } else if let (Some(active), "active") = (active, path.text.as_str()) {
        Known::Value(active.into())
    } else if path.extension.as_deref() == Some(SOURCE_URN) {
        match path.attribute.as_str() {
            "userRepositoryId" => Known::Value(repository.id().into()),
            _ => Known::Unknown,
        }
    } else if matches!(path.attribute.as_str(), "id" | "meta" | "active" | "schemas")
        || repository.maps(path)
    {
        Known::Unknown
    } else {
        Known::Absent
    }
}

/// Which paths of the filter are decided before the repository is asked, each once, and by what.
pub(super) fn decided(
    filter: &Filter,
    repository: &dyn Repository,
    giving: &Giving,
) -> Vec<(String, String)> {
    let mut decided: Vec<(String, String)> = Vec::new();
    // A look at each leaf, none of which is replaced.
    let _ = filter.rewrite(&mut |leaf| {
        let (Filter::Compare { path, .. } | Filter::Present(path) | Filter::Element { path, .. }) =
            leaf
        else {
            return None;
        };
        let by_rules = is_given(path) && !giving.is_nothing();
        let why = match known(path, repository, "LDAP", None) {
            _ if by_rules && giving.matching(leaf).next().is_some() => return None,
            Known::Absent if by_rules => "no rule of this repository gives it".to_owned(),
            Known::Absent => "this repository's mapping gives nobody a value".to_owned(),
            Known::Value(_) if path.text == "userType" => {
                "everybody here is LDAP, or FTRESS_LDAP where bound".to_owned()
            }
            Known::Value(value) => format!("it is {value} for everybody here"),
            Known::Unknown => return None,
        };
        if !decided.iter().any(|(text, _)| *text == path.text) {
            decided.push((path.text.clone(), why));
        }
        None
    });
    decided
}

/// The rules in the place of what they give. `mapped`: entries may have values of their own.
fn by_rules(leaf: &Filter, giving: &Giving, mapped: bool) -> Filter {
    // These hold also for whoever has no value, so that they say nothing of one rule alone.
    if matches!(
        leaf,
        Filter::Compare { operator: Operator::Ne, .. }
            | Filter::Compare { value: Literal::Null, .. }
    ) {
        return rule::open();
    }
    let own = mapped.then(|| leaf.clone());
    Filter::or(giving.matching(leaf).map(rule::held).chain(own)).simplify()
}

enum Known {
    Unknown,
    Absent,
    Value(Value),
}

/// An absent attribute makes every comparison false but `ne`.
fn absent(operator: Operator) -> bool {
    operator == Operator::Ne
}

fn compare(path: &AttributePath, operator: Operator, value: &Literal, known: Value) -> bool {
    let mut attributes = Attributes::new();
    let leaf = Filter::Compare { path: path.clone(), operator, value: value.clone() };
    match &path.extension {
        None => {
            attributes.insert(path.attribute.clone(), known);
        }
        Some(urn) => {
            attributes.insert(urn.clone(), serde_json::json!({ path.attribute.clone(): known }));
        }
    }
    leaf.matches(&attributes)
}

/// Whether the filter can concern any row of the store, and whether any unbound person.
pub(super) fn concerns(filter: &Filter, user_types: &[&str]) -> bool {
    user_types.iter().any(|user_type| {
        let folded = filter
            .rewrite(&mut |leaf| match leaf {
                Filter::Compare { path, operator, value } if path.text == "userType" => {
                    Some(Filter::Constant(compare(path, *operator, value, (*user_type).into())))
                }
                Filter::Present(path) if path.text == "userType" => Some(Filter::Constant(true)),
                _ => None,
            })
            .simplify();
        folded != Filter::Constant(false)
    })
}
