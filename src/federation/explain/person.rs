//! Where a person comes from: the sources and their state, groups and roles with what gives them, and
//! who else has the name.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::super::directory::Directory;
use super::super::given::Given;
use super::super::identity::{Care, Subject};
use super::super::joining::GROUPS;
use super::super::read::failure;
use super::super::resource::{Half, Resource, given};
use super::super::roles::{ROLES, key};
use super::super::{Federation, Problem, View};
use super::origin::{ExplainedValue, Sides, Theirs};
use crate::config::Rule;
use crate::scim::filter::{Literal, Operator, Text};
use crate::scim::{Attributes, Filter, Query};
use crate::store::ResourceRow;

/// A person, value by value.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedPerson {
    pub id: String,
    /// Of who has a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<i64>,
    pub user_type: String,
    /// Of who has an entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<ExplainedSource>,
    pub values: Vec<ExplainedValue>,
    /// The rules of the repository that hold for the entry as it is now.
    pub rules: Vec<HeldRule>,
    pub groups: Vec<Belonging>,
    pub roles: Vec<Belonging>,
    /// The ids of others with the same `userName`.
    pub conflicts: Vec<String>,
    /// Who could not say whether there are more of them, and why.
    pub silent: Vec<String>,
}

/// The entry of a person.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedSource {
    pub repository: String,
    pub entry_key: String,
    pub dn: String,
    /// `ok`, `cached` or `stale`; `timeout`, `unavailable`; `gone` where the directory has no such entry
    /// now; `unconfigured` where there is no such repository any more.
    pub state: &'static str,
    /// When what is shown of it was read.
    pub seen: Timestamp,
}

/// A rule that holds, as the configuration has it.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldRule {
    /// Counted from 1, within the repository.
    pub number: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    pub roles: Vec<String>,
}

/// A group or a role, with all that gives it.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Belonging {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
    pub because: Vec<String>,
}

/// A person with both halves at hand.
struct Known<'a> {
    shown: &'a Resource,
    row: Option<&'a ResourceRow>,
    sides: Sides<'a>,
    directory: Option<&'a Directory>,
    given: Given,
    /// The places of the rules that hold, where the entry itself was read.
    rules: Option<&'a [usize]>,
}

impl Federation {
    /// Where each value of a user comes from, past every cache. `id` is a canonical id, a number,
    /// `<repository>.<entry key>`, or the userName or externalId of one person alone.
    ///
    /// # Errors
    /// Nobody or several are meant; nothing is known of somebody unbound, since the repository does not
    /// answer.
    pub async fn explain_person(&self, id: &str, view: &View) -> Result<ExplainedPerson, Problem> {
        let subject = match self.resolve_id(self.users(), id, Care::Fresh).await {
            Err(absent @ Problem::NotFound(_)) => {
                let id = self.only_one(id, view).await?.ok_or(absent)?;
                self.resolve_id(self.users(), &id, Care::Fresh).await?
            }
            resolved => resolved?,
        };
        let nothing = Attributes::new();
        let mut explained = match &subject {
            Subject::Unbound { directory, known, state } => {
                let shown = self.people.unbound(directory, known, *state);
                let values = known.mapped();
                let theirs = Theirs {
                    repository: directory.id(),
                    mapping: Some(directory.repository()),
                    values: &values,
                    shadow: None,
                };
                let sides =
                    Sides { resource_type: self.users(), ours: &nothing, theirs: Some(theirs) };
                let source = ExplainedSource {
                    repository: directory.id().to_owned(),
                    entry_key: known.key.to_string(),
                    dn: known.dn.clone(),
                    state: "ok",
                    seen: known.fetched,
                };
                let (given, rules) = (known.given.clone(), Some(known.rules.as_slice()));
                let directory = Some(directory.as_ref());
                let row = None;
                let known = Known { shown: &shown, row, sides, directory, given, rules };
                self.explained_person(&known, Some(source))
            }
            Subject::Row(row) => self.explained_row(row).await,
        };
        self.namesakes_of(&mut explained, view).await;
        Ok(explained)
    }

    async fn explained_row(&self, row: &ResourceRow) -> ExplainedPerson {
        let Some(link) = &row.link else {
            let shown = self.people.stored(row, None, &Half::Unasked);
            let sides = Sides { resource_type: self.users(), ours: &row.own, theirs: None };
            let given = Given::default();
            let (directory, rules) = (None, None);
            let known = Known { shown: &shown, row: Some(row), sides, directory, given, rules };
            return self.explained_person(&known, None);
        };
        let directory = self.directory(&link.repository).map(AsRef::as_ref);
        let (half, state) = match directory {
            None => (Half::Shadow("unavailable"), "unconfigured"),
            Some(directory) => match directory.entry(&link.entry_key, false, true).await {
                Ok(Some((known, state))) => (Half::Entry(known, state), "ok"),
                Ok(None) => (Half::Unasked, "gone"),
                Err(error) => {
                    let how = failure(directory, &error);
                    (Half::Shadow(how), how)
                }
            },
        };
        let shown = self.people.stored(row, directory, &half);
        let (values, dn, seen, rules) = match &half {
            Half::Entry(known, _) => {
                (known.mapped(), known.dn.clone(), known.fetched, Some(known.rules.as_slice()))
            }
            _ => (link.shadow.clone(), link.dn.clone(), link.seen, None),
        };
        let theirs = Theirs {
            repository: &link.repository,
            mapping: directory.map(Directory::repository),
            values: &values,
            shadow: rules.is_none().then_some(seen),
        };
        let sides = Sides { resource_type: self.users(), ours: &row.own, theirs: Some(theirs) };
        let (repository, entry_key) = (link.repository.clone(), link.entry_key.clone());
        let source = ExplainedSource { repository, entry_key, dn, state, seen };
        let given = given(row, &half);
        let known = Known { shown: &shown, row: Some(row), sides, directory, given, rules };
        self.explained_person(&known, Some(source))
    }

    fn explained_person(
        &self,
        known: &Known<'_>,
        source: Option<ExplainedSource>,
    ) -> ExplainedPerson {
        let attributes = &known.shown.attributes;
        let user_type = attributes.get("userType").and_then(Value::as_str).unwrap_or_default();
        let configured = known.directory.map_or(&[][..], Directory::rules);
        let held = known.rules.unwrap_or_default().iter();
        ExplainedPerson {
            id: known.shown.id.clone(),
            number: known.row.map(|row| row.number),
            user_type: user_type.to_owned(),
            source,
            values: known.sides.values(attributes),
            rules: held.filter_map(|at| Some(HeldRule::new(*at, configured.get(*at)?))).collect(),
            groups: belongings(attributes.get(GROUPS), |id| known.why_in(id)),
            roles: belongings(attributes.get(ROLES), |id| self.why_has(known, id)),
            conflicts: Vec::new(),
            silent: Vec::new(),
        }
    }

    /// What gives the person a role.
    fn why_has(&self, known: &Known<'_>, id: &str) -> Vec<String> {
        let mut because = known.said(ROLES, id);
        let groups = known.row.map_or(&[][..], |row| &row.groups);
        let is_it = |one: &String| key(one) == key(id);
        let carriers = self.roles.carriers().filter(|(_, roles)| roles.iter().any(is_it));
        let mut carriers: Vec<&str> = carriers.map(|(group, _)| group).collect();
        carriers.sort_unstable();
        carriers.retain(|carrier| groups.iter().any(|group| group.id == *carrier));
        because.extend(carriers.iter().map(|group| format!("carried by the group \"{group}\"")));
        because.extend(known.by_rules(|given| given.roles.iter().any(|one| key(one) == key(id))));
        because
    }

    /// The id of the one whose userName or externalId this is.
    async fn only_one(&self, name: &str, view: &View) -> Result<Option<String>, Problem> {
        let either = Filter::or(["userName", "externalId"].map(|path| self.is(path, name)));
        let plan = self.plan(self.users(), everywhere(either));
        let listing = self.federated(&plan, view).await?;
        match listing.resources.as_slice() {
            [] => Ok(None),
            [person] => Ok(Some(person.id.clone())),
            several => {
                let ids: Vec<&str> = several.iter().map(|person| person.id.as_str()).collect();
                Err(Problem::Conflict(format!(
                    "\"{name}\" is the userName or externalId of several users; name one by its id: {}.",
                    ids.join(", ")
                )))
            }
        }
    }

    /// Looks for others with the same name in every source.
    async fn namesakes_of(&self, explained: &mut ExplainedPerson, view: &View) {
        let is_name = |value: &&ExplainedValue| value.path == "userName";
        let name = explained.values.iter().find(is_name).and_then(|value| value.value.as_ref());
        let Some(name) = name.and_then(Value::as_str) else { return };
        let plan = self.plan(self.users(), everywhere(self.is("userName", name)));
        match self.federated(&plan, view).await {
            Ok(listing) => {
                let ids = listing.resources.iter().map(|person| &person.id);
                explained.conflicts = ids.filter(|id| **id != explained.id).cloned().collect();
                let unsure = listing.report.iter().filter(|line| !line.state.is_whole());
                explained.silent =
                    unsure.map(|line| format!("{}: {}", line.id, line.state.name())).collect();
            }
            Err(problem) => explained.silent = vec![problem.to_string()],
        }
    }

    fn is(&self, path: &str, text: &str) -> Filter {
        let path = self.users().resolve(path);
        let value = Literal::String(Text::new(text, &path));
        Filter::Compare { path, operator: Operator::Eq, value }
    }
}

impl Known<'_> {
    /// What puts the person into a group.
    fn why_in(&self, id: &str) -> Vec<String> {
        let mut because = self.said(GROUPS, id);
        let groups = self.row.map_or(&[][..], |row| &row.groups);
        because.extend(groups.iter().filter(|group| group.id == id).map(|group| {
            if group.direct {
                "a member of it".to_owned()
            } else {
                "a member of a group beneath it".to_owned()
            }
        }));
        because.extend(self.by_rules(|given| given.groups.iter().any(|one| **one == *id)));
        because
    }

    /// Which half says the value itself.
    fn said(&self, list: &str, id: &str) -> Vec<String> {
        let has = |side: Option<&Value>| {
            let elements = side.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            elements.iter().any(|one| {
                one.get("value").and_then(Value::as_str).is_some_and(|value| key(value) == key(id))
            })
        };
        let mut said = Vec::new();
        if has(self.sides.ours.get(list)) {
            said.push("written here".to_owned());
        }
        if let Some(theirs) = self.sides.theirs.filter(|half| has(half.values.get(list))) {
            let path = self.sides.resource_type.resolve(list);
            let names = theirs.mapping.map_or_else(Vec::new, |one| one.origins(&path, None));
            said.push(format!("{} of {}", names.join(", "), theirs.repository));
        }
        said
    }

    /// The rules that give something; of a shadow, those that may have.
    fn by_rules(&self, gives: impl Fn(&Given) -> bool) -> Option<String> {
        let directory = self.directory.filter(|_| gives(&self.given))?;
        let all: Vec<usize> = (0..directory.rules().len()).collect();
        let places = self.rules.unwrap_or(&all).iter();
        let giving = places.filter(|place| gives(&directory.giving().of(&[**place])));
        let numbers: Vec<String> = giving.map(|place| (place + 1).to_string()).collect();
        let when = match self.sides.theirs.and_then(|half| half.shadow) {
            Some(seen) => format!(", as seen {seen:.0}"),
            None => String::new(),
        };
        Some(format!("rule {} of {}{when}", numbers.join(" or "), directory.id()))
    }
}

impl HeldRule {
    fn new(place: usize, rule: &Rule) -> Self {
        let Rule { group, base, filter, member_of, roles } = rule.clone();
        Self { number: place + 1, base, filter, member_of, group, roles }
    }
}

fn belongings(list: Option<&Value>, because: impl Fn(&str) -> Vec<String>) -> Vec<Belonging> {
    let elements = list.and_then(Value::as_array).into_iter().flatten();
    let belonging = |element: &Value| {
        let text = |name: &str| element.get(name).and_then(Value::as_str);
        let id = text("value")?.to_owned();
        Some(Belonging { display: text("display").map(str::to_owned), because: because(&id), id })
    };
    elements.filter_map(belonging).collect()
}

fn everywhere(filter: Filter) -> Query {
    Query { filter: Some(filter), search_repositories: true, ..Query::default() }
}
