//! Merging what the sources said into one list, with the report of how each answered.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::directory::{Answered, Directory, Looked};
use super::listing::Listing;
use super::outcomes::{Outcome, Outcomes};
use super::plan::{Ask, Page, Plan};
use super::resource::{Half, Resource};
use super::rows::Stored;
use super::sort::sort;
use super::{Federation, OnConflict, Problem, too_many, vanish};
use crate::cache::State;
use crate::repository::{EntryKey, RepositoryError};
use crate::scim::Filter;
use crate::scim::dialect::ReportState;
use crate::scim::text::fold;
use crate::store::ResourceRow;

/// What the store brings to a federated list.
#[derive(Debug, Default)]
pub(super) struct StorePart {
    /// The first of the unlinked rows in order.
    pub(super) unlinked: Vec<Arc<ResourceRow>>,
    /// All unlinked rows that match, where SQL counted them.
    pub(super) unlinked_total: Option<u64>,
    /// All linked rows that may match.
    pub(super) linked: Vec<Arc<ResourceRow>>,
}

impl StorePart {
    /// All rows that may match, whatever they are.
    pub(super) fn of(rows: Vec<Arc<ResourceRow>>) -> Self {
        let (linked, unlinked) = rows.into_iter().partition(|row| row.link.is_some());
        Self { unlinked, unlinked_total: None, linked }
    }
}

/// A list in the making.
#[derive(Debug)]
pub(super) struct Merge<'a> {
    federation: &'a Federation,
    filter: &'a Filter,
    people: Vec<Arc<Resource>>,
    /// Matching unlinked rows beyond the ones in `people`.
    unlisted: u64,
    /// Linked rows that a directory answer has already brought.
    seen: HashSet<i64>,
    outcomes: Outcomes<'a>,
}

impl<'a> Merge<'a> {
    pub(super) fn new(federation: &'a Federation, plan: &'a Plan) -> Self {
        Self {
            federation,
            filter: &plan.filter,
            people: Vec::new(),
            unlisted: 0,
            seen: HashSet::new(),
            outcomes: Outcomes::new(federation),
        }
    }

    /// Takes a repository's answer, with what the store knows of each of its people.
    pub(super) fn directory(&mut self, ask: &Ask, answered: &Answered, links: &[Arc<Stored>]) {
        let directory = &self.federation.directories[ask.at];
        let mut outcome = Outcome {
            state: match (answered.complete, answered.state) {
                (false, _) => ReportState::Truncated,
                (true, State::Live) => ReportState::Ok,
                (true, State::Cached) => ReportState::Cached,
                (true, State::Stale) => ReportState::Stale,
            },
            found: 0,
            age_seconds: answered.age.as_secs(),
            scan: answered.scan,
            decides: answered.complete
                && answered.exact
                && ask.asked.decides_bound
                // What is in the cache may be older than the row.
                && answered.state == State::Live,
        };
        let people = &self.federation.people;
        for ((known, state), stored) in answered.people.iter().zip(links) {
            let person = match stored.rows.first() {
                Some(row) => {
                    self.seen.insert(row.key);
                    people.stored(row, Some(directory), &Half::Entry(Arc::clone(known), *state))
                }
                None if stored.tombstone => people.buried(directory, known, *state),
                None => people.unbound(directory, known, *state),
            };
            if self.filter.matches(&person.attributes) {
                outcome.found += 1;
                self.people.push(person);
            }
        }
        self.outcomes.set(ask.at, outcome);
    }

    /// Takes note that a repository did not answer.
    pub(super) fn failed(&mut self, at: usize, error: &RepositoryError) {
        self.outcomes.failed(at, error);
    }

    /// Takes the store's unlinked rows.
    pub(super) fn unlinked(&mut self, part: &StorePart) {
        let before = self.people.len();
        for row in &part.unlinked {
            let person = self.federation.people.stored(row, None, &Half::Unasked);
            if self.filter.matches(&person.attributes) {
                self.people.push(person);
            }
        }
        let listed = (self.people.len() - before) as u64;
        self.unlisted = part.unlinked_total.map_or(0, |total| total.saturating_sub(listed));
    }

    /// Takes the linked rows that no directory answer brought. The ones whose entries must be read
    /// before anything can be said come back, by repository, for [`Merge::looked`].
    pub(super) fn linked(
        &mut self,
        rows: &[Arc<ResourceRow>],
    ) -> Vec<(usize, Vec<Arc<ResourceRow>>)> {
        let mut to_read: Vec<(usize, Vec<Arc<ResourceRow>>)> = Vec::new();
        for row in rows {
            let Some(link) = row.link.as_ref().filter(|_| !self.seen.contains(&row.key)) else {
                continue;
            };
            let directories = &self.federation.directories;
            let Some(at) = directories.iter().position(|one| one.id() == link.repository) else {
                // A link to a repository that is no longer configured is unavailable, never absent.
                self.push(row, None, &Half::Shadow("unavailable"));
                continue;
            };
            match self.outcomes.of(at) {
                Some(outcome) if outcome.is_failed() => {
                    let how = outcome.state.name();
                    self.push(row, Some(at), &Half::Shadow(how));
                }
                // Of who left there is the shadow alone to judge by, and nothing to be read.
                _ if vanish::has_left(link) => self.push(row, Some(at), &Half::Absent),
                // The directory was asked for exactly this and did not name the person.
                Some(outcome) if outcome.decides => {}
                _ => match to_read.iter_mut().find(|(one, _)| *one == at) {
                    Some((_, rows)) => rows.push(Arc::clone(row)),
                    None => to_read.push((at, vec![Arc::clone(row)])),
                },
            }
        }
        to_read
    }

    /// Takes rows with the entries that were read for them.
    pub(super) fn looked(&mut self, at: usize, rows: &[Arc<ResourceRow>], mut looked: Looked) {
        if let Some(error) = &looked.failed {
            self.failed(at, error);
        }
        let how = looked.failed.as_ref().map(|error| Outcome::failed(error).state.name());
        for row in rows {
            let link = row.link.as_ref().map_or("", |link| link.entry_key.as_str());
            let half = match (looked.entries.remove(&EntryKey(Arc::from(link))), how) {
                (Some(Some((known, state))), _) => Half::Entry(known, state),
                (Some(None), _) => Half::Absent,
                (None, Some(how)) => Half::Shadow(how),
                _ => Half::Unasked,
            };
            self.push(row, Some(at), &half);
        }
    }

    /// Takes the entries whose users were deleted, and which no directory answer brought: they are
    /// shown inactive, whatever the directory says.
    pub(super) fn buried(&mut self, at: usize, looked: Looked) {
        if let Some(error) = &looked.failed {
            self.failed(at, error);
        }
        let directory = &self.federation.directories[at];
        for (known, state) in looked.entries.into_values().flatten() {
            let person = self.federation.people.buried(directory, &known, state);
            self.add(Some(at), person);
        }
    }

    /// The folded `userName`s of unbound people, where there are matching unlinked rows that are not
    /// in the list and may have the same.
    pub(super) fn open_names(&self) -> HashSet<String> {
        if self.unlisted == 0 {
            return HashSet::new();
        }
        let unbound = (0..self.people.len()).filter(|place| self.is_unbound(*place));
        let names = unbound.filter_map(|place| self.people[place].user_name());
        names.map(|name| fold(name).into_owned()).collect()
    }

    /// Takes the unlinked rows that have one of these names. They come later in order than every row
    /// in the list, so that they change no page.
    pub(super) fn namesakes(&mut self, names: &HashSet<String>, rows: &[Arc<ResourceRow>]) {
        let listed: HashSet<String> = self.people.iter().map(|person| person.id.clone()).collect();
        for row in rows.iter().filter(|row| row.link.is_none() && !listed.contains(&row.id)) {
            let person = self.federation.people.stored(row, None, &Half::Unasked);
            let asked_for = person.user_name().is_some_and(|name| names.contains(&*fold(name)));
            if asked_for && self.filter.matches(&person.attributes) {
                self.people.push(person);
                self.unlisted = self.unlisted.saturating_sub(1);
            }
        }
    }

    fn push(&mut self, row: &ResourceRow, at: Option<usize>, half: &Half) {
        let directory: Option<&Directory> = at.map(|at| self.federation.directories[at].as_ref());
        let person = self.federation.people.stored(row, directory, half);
        self.add(at, person);
    }

    fn add(&mut self, at: Option<usize>, person: Arc<Resource>) {
        if self.filter.matches(&person.attributes) {
            if let Some(at) = at {
                self.outcomes.found(at, 1);
            }
            self.people.push(person);
        }
    }

    /// The page, or why there is none.
    pub(super) fn listing(mut self, page: &Page) -> Result<Listing, Problem> {
        self.outcomes.allow(self.people.is_empty() && self.unlisted == 0)?;
        self.conflicts()?;
        if page.skip > 0 && self.outcomes.is_truncated() {
            return Err(too_many(
                "A repository has more people than one search may read, so there is no further page \
                 to count on; narrow the filter, or walk the list with cursor in place of startIndex \
                 (begin with an empty cursor).",
            ));
        }
        let total = self.people.len() as u64 + self.unlisted;
        let unbound = (0..self.people.len()).any(|place| self.is_unbound(place));
        sort(&mut self.people, &page.order);
        page.cut(&mut self.people);
        let report = self.outcomes.report();
        Ok(Listing::new(self.people, total, page.skip + 1, Some(report)).holding(unbound))
    }

    /// The same `userName` twice is two users; each is marked with who else has it, or, where the
    /// configuration says so, the later unbound ones are left out.
    fn conflicts(&mut self) -> Result<(), Problem> {
        let first_only = self.federation.rules.on_conflict == OnConflict::First;
        if first_only {
            self.outcomes.nobody_ahead_is_silent(|at| self.has_unbound(at))?;
        }
        if self.people.len() < 2 {
            return Ok(());
        }
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::with_capacity(self.people.len());
        for (place, person) in self.people.iter().enumerate() {
            if let Some(name) = person.user_name() {
                by_name.entry(fold(name).into_owned()).or_default().push(place);
            }
        }
        let mut hidden = HashSet::new();
        for places in by_name.into_values().filter(|places| places.len() > 1) {
            if first_only {
                let bound = places.iter().any(|place| !self.is_unbound(*place));
                let unbound = places.iter().filter(|place| self.is_unbound(**place));
                hidden.extend(unbound.skip(usize::from(!bound)).copied());
                continue;
            }
            for place in &places {
                let others: Vec<&str> = places
                    .iter()
                    .filter(|other| *other != place)
                    .map(|other| self.people[*other].id.as_str())
                    .collect();
                self.people[*place] = self.federation.people.marked(&self.people[*place], &others);
            }
        }
        if !hidden.is_empty() {
            let mut place = 0;
            self.people.retain(|_| {
                place += 1;
                !hidden.contains(&(place - 1))
            });
        }
        Ok(())
    }

    /// Whether somebody is in the list whom only this repository knows.
    fn has_unbound(&self, at: usize) -> bool {
        let id = self.federation.directories[at].id();
        let of_it = |person: &Resource| {
            person.id.strip_prefix(id).is_some_and(|rest| rest.starts_with('.'))
        };
        (0..self.people.len()).any(|place| self.is_unbound(place) && of_it(&self.people[place]))
    }

    fn is_unbound(&self, place: usize) -> bool {
        let user_type = self.people[place].attributes.get("userType");
        user_type.and_then(serde_json::Value::as_str) == Some("LDAP")
    }
}
