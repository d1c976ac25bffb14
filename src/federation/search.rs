//! Searching: split the question, ask everybody at once, merge by link, order, cut.
//!
//! Searching never writes (rule 1). Pairs of row and entry are found by link alone (rule 5). An
//! answer is never shorter than it looks (rule 3): whoever did not answer whole stands in the report.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::{join, join_all};

use super::directory::{Answered, Directory};
use super::folding::{Asked, concerns, for_directory};
use super::listing::Listing;
use super::person::{Half, Person};
use super::rows::{external_id_key, user_name_key};
use super::sort::{Order, sort};
use super::{Federation, OnConflict, OnFailure, Problem, RETRY_AFTER, View, demand, too_many};
use crate::cache::State;
use crate::caller::{Caller, Permission};
use crate::repository::{EntryKey, RepositoryError};
use crate::scim::dialect::{ReportState, RepositoryReport};
use crate::scim::text::fold;
use crate::scim::{ErrorKind, Filter, Query, ScimError};
use crate::store::{RowKey, Rows, Sort, UserRow};

/// A search that the index cannot decide looks at no more rows than this.
const SCAN_LIMIT: u64 = 50_000;

/// Entries are read by key in batches of this size.
const BATCH: usize = 100;

impl Federation {
    /// Answers a search: the store alone, or the store and the repositories as one list.
    pub async fn search(
        &self,
        caller: &Caller,
        query: &Query,
        view: &View,
    ) -> Result<Listing, Problem> {
        demand(caller, Permission::UsersSearch)?;
        if query.cursor.is_some() {
            return Err(Problem::Scim(ScimError::new(
                ErrorKind::InvalidCursor,
                "Cursors are not offered (see ServiceProviderConfig); page with startIndex and count.",
            )));
        }
        let page = Page {
            skip: query.start_index.max(1) - 1,
            count: query.count.unwrap_or(self.rules.max_results).min(self.rules.max_results),
            order: Order {
                path: query
                    .sort_by
                    .clone()
                    .unwrap_or_else(|| self.resource_type.resolve("userName")),
                descending: query.descending,
            },
        };
        let constant = Filter::Constant(true);
        let filter = query.filter.as_ref().unwrap_or(&constant);
        if query.search_repositories {
            self.federated(filter, &page, view).await
        } else {
            self.stored(filter, &page, view).await
        }
    }

    /// The store and the shadow alone; no directory is touched.
    async fn stored(&self, filter: &Filter, page: &Page, view: &View) -> Result<Listing, Problem> {
        let part = self.rows_matching(filter, Rows::All, page, page.skip, view).await?;
        let show = |row: &Arc<UserRow>| {
            let directory = row.link.as_ref().and_then(|link| self.directory(&link.repository));
            self.people.stored(row, directory.map(Arc::as_ref), &Half::Unasked)
        };
        let mut people: Vec<Arc<Person>> = part.rows.iter().map(show).collect();
        let total = if let Some(total) = part.total {
            total
        } else {
            people.retain(|person| filter.matches(&person.attributes));
            sort(&mut people, &page.order);
            let total = people.len() as u64;
            page.cut(&mut people);
            total
        };
        Ok(Listing {
            people,
            total,
            start_index: page.skip + 1,
            report: Vec::new(),
            federated: false,
        })
    }

    async fn federated(
        &self,
        filter: &Filter,
        page: &Page,
        view: &View,
    ) -> Result<Listing, Problem> {
        let asked = self.division(filter)?;
        let ask = |(at, asked): &(usize, Asked)| {
            let (directory, filter) = (&self.directories[*at], asked.filter.clone());
            async move { directory.search(&filter, view.photos, view.no_cache).await }
        };
        let (part, answers) =
            join(self.store_part(filter, page, view), join_all(asked.iter().map(ask))).await;
        let mut merge = Merge {
            federation: self,
            filter,
            view,
            people: Vec::new(),
            unlisted: 0,
            seen: HashSet::new(),
            outcomes: HashMap::new(),
        };
        let part = part?;
        for ((at, asked), answer) in asked.iter().zip(answers) {
            merge.directory(*at, asked, answer).await?;
        }
        merge.unlinked(&part);
        merge.linked(&part.linked).await?;
        merge.listing(page)
    }

    /// Which repositories the filter can concern, and what each is asked.
    fn division(&self, filter: &Filter) -> Result<Vec<(usize, Asked)>, Problem> {
        let mut division = Vec::with_capacity(self.directories.len());
        for (at, directory) in self.directories.iter().enumerate() {
            let asked = for_directory(filter, directory.repository());
            if asked.filter == Filter::Constant(false) {
                continue;
            }
            if !self.rules.allow_scan && directory.plan(&asked.filter).scan {
                return Err(too_many(format!(
                    "No part of this filter can be sent to the repository \"{}\", and reading all of \
                     it is not allowed here; add a condition on an attribute that the directory has.",
                    directory.id()
                )));
            }
            division.push((at, asked));
        }
        Ok(division)
    }

    /// What the store brings to a federated list.
    async fn store_part(
        &self,
        filter: &Filter,
        page: &Page,
        view: &View,
    ) -> Result<StorePart, Problem> {
        if !concerns(filter, &["FTRESS", "FTRESS_LDAP", "SCIM_FED"]) {
            return Ok(StorePart::default());
        }
        if Self::row_key(filter).is_some() {
            let found = self.rows_matching(filter, Rows::All, page, 0, view).await?;
            let (linked, unlinked) = found.rows.into_iter().partition(|row| row.link.is_some());
            return Ok(StorePart { unlinked, unlinked_total: None, linked });
        }
        let whole = Page { skip: 0, count: SCAN_LIMIT + 1, order: page.order.clone() };
        let first = Page { skip: 0, count: page.skip + page.count, order: page.order.clone() };
        let (unlinked, linked) = join(
            self.rows_matching(filter, Rows::Unlinked, &first, 0, view),
            self.rows_matching(filter, Rows::Linked, &whole, 0, view),
        )
        .await;
        let (unlinked, linked) = (unlinked?, linked?);
        if linked.rows.len() as u64 > SCAN_LIMIT {
            return Err(scan_limit());
        }
        Ok(StorePart {
            unlinked: unlinked.rows,
            unlinked_total: unlinked.total,
            linked: linked.rows,
        })
    }

    /// The rows that match, with the total where SQL decided alone; else candidates.
    async fn rows_matching(
        &self,
        filter: &Filter,
        rows: Rows,
        page: &Page,
        skip: u64,
        view: &View,
    ) -> Result<Matching, Problem> {
        if let Some(key) = Self::row_key(filter) {
            let stored = self.rows.find(key, view.no_cache).await?;
            return Ok(Matching { rows: stored.rows.clone(), total: None });
        }
        let filter = Some(filter).filter(|filter| **filter != Filter::Constant(true));
        let sort = Sort { path: page.order.path.clone(), descending: page.order.descending };
        let answer =
            self.store.search(&self.tenant, filter, rows, &sort, skip, page.count, true).await?;
        if answer.exact {
            return Ok(Matching { rows: answer.rows, total: answer.total });
        }
        let answer =
            self.store.search(&self.tenant, filter, rows, &sort, 0, SCAN_LIMIT + 1, false).await?;
        if answer.rows.len() as u64 > SCAN_LIMIT {
            return Err(scan_limit());
        }
        Ok(Matching { rows: answer.rows, total: None })
    }

    /// The one key under which every row that can match stands.
    fn row_key(filter: &Filter) -> Option<RowKey> {
        if let Some(name) = filter.equality("userName") {
            return Some(user_name_key(&name.written));
        }
        if let Some(id) = filter.equality("externalId") {
            return Some(external_id_key(&id.written));
        }
        filter.equality("id").map(|id| RowKey::Id(id.written.clone()))
    }
}

/// Which part of the list is wanted.
#[derive(Debug)]
struct Page {
    skip: u64,
    count: u64,
    order: Order,
}

impl Page {
    fn cut(&self, people: &mut Vec<Arc<Person>>) {
        let skip = usize::try_from(self.skip).unwrap_or(usize::MAX).min(people.len());
        people.drain(..skip);
        people.truncate(usize::try_from(self.count).unwrap_or(usize::MAX));
    }
}

#[derive(Debug)]
struct Matching {
    rows: Vec<Arc<UserRow>>,
    /// Known where SQL alone decided; then the rows are the page.
    total: Option<u64>,
}

#[derive(Debug, Default)]
struct StorePart {
    /// The first of the unlinked rows in order.
    unlinked: Vec<Arc<UserRow>>,
    unlinked_total: Option<u64>,
    /// All linked rows that may match.
    linked: Vec<Arc<UserRow>>,
}

/// How a repository answered, for the report and for the rows that are linked to it.
#[derive(Debug)]
struct Outcome {
    state: ReportState,
    found: u64,
    age_seconds: u64,
    scan: bool,
    /// The answer was whole and decides about bound people too.
    decides: bool,
}

impl Outcome {
    fn failed(error: &RepositoryError) -> Self {
        let state = match error {
            RepositoryError::Timeout => ReportState::Timeout,
            RepositoryError::Unavailable(_) => ReportState::Unavailable,
        };
        Self { state, found: 0, age_seconds: 0, scan: false, decides: false }
    }

    fn is_failed(&self) -> bool {
        matches!(self.state, ReportState::Timeout | ReportState::Unavailable)
    }

    fn is_whole(&self) -> bool {
        !self.is_failed() && self.state != ReportState::Truncated
    }
}

struct Merge<'a> {
    federation: &'a Federation,
    filter: &'a Filter,
    view: &'a View,
    people: Vec<Arc<Person>>,
    /// Matching unlinked rows beyond the ones in `people`.
    unlisted: u64,
    /// Linked rows that a directory answer has already brought.
    seen: HashSet<i64>,
    /// By the repository's place in the configuration.
    outcomes: HashMap<usize, Outcome>,
}

impl Merge<'_> {
    async fn directory(
        &mut self,
        at: usize,
        asked: &Asked,
        answer: Result<Answered, RepositoryError>,
    ) -> Result<(), Problem> {
        let directory = &self.federation.directories[at];
        let answered = match answer {
            Ok(answered) => answered,
            Err(error) => {
                tracing::warn!(repository = directory.id(), error = %error, "repository.failed");
                self.outcomes.insert(at, Outcome::failed(&error));
                return Ok(());
            }
        };
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
                && asked.decides_bound
                && answered.state != State::Stale,
        };
        let keys: Vec<&EntryKey> = answered.people.iter().map(|(known, _)| &known.key).collect();
        let links = self.federation.rows.links(directory.id(), &keys, self.view.no_cache).await?;
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
        self.outcomes.insert(at, outcome);
        Ok(())
    }

    fn unlinked(&mut self, part: &StorePart) {
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

    /// Linked rows that the store found and no directory answer brought.
    async fn linked(&mut self, rows: &[Arc<UserRow>]) -> Result<(), Problem> {
        let mut to_read: HashMap<usize, Vec<&Arc<UserRow>>> = HashMap::new();
        for row in rows {
            let Some(link) = row.link.as_ref().filter(|_| !self.seen.contains(&row.key)) else {
                continue;
            };
            let directories = &self.federation.directories;
            let place = directories.iter().position(|one| one.id() == link.repository);
            match place.map(|at| (at, self.outcomes.get(&at))) {
                // A link to a repository that is no longer configured is unavailable, never absent.
                None => self.push(row, None, &Half::Shadow("unavailable")),
                // The directory was asked for exactly this and did not name the person.
                Some((_, Some(outcome))) if outcome.decides => {}
                Some((at, Some(outcome))) if outcome.is_failed() => {
                    let how = outcome.state.name();
                    self.push(row, Some(at), &Half::Shadow(how));
                }
                Some((at, _)) => to_read.entry(at).or_default().push(row),
            }
        }
        for (at, rows) in to_read {
            for batch in rows.chunks(BATCH) {
                self.read(at, batch).await;
            }
        }
        Ok(())
    }

    async fn read(&mut self, at: usize, rows: &[&Arc<UserRow>]) {
        let key = |row: &UserRow| {
            let link = row.link.as_ref();
            EntryKey(Arc::from(link.map_or("", |link| link.entry_key.as_str())))
        };
        let keys: Vec<EntryKey> = rows.iter().map(|row| key(row)).collect();
        let directory = &self.federation.directories[at];
        let looked = directory.look(&keys, self.view.photos, self.view.no_cache).await;
        match looked {
            Ok(mut looked) => {
                for (row, key) in rows.iter().zip(&keys) {
                    let half = match looked.remove(key) {
                        Some(Some((known, state))) => Half::Entry(known, state),
                        _ => Half::Unasked,
                    };
                    self.push(row, Some(at), &half);
                }
            }
            Err(error) => {
                let failed = Outcome::failed(&error);
                let how = failed.state.name();
                let outcome = self.outcomes.entry(at).or_insert(failed);
                if outcome.is_whole() {
                    *outcome = Outcome::failed(&error);
                }
                for row in rows {
                    self.push(row, Some(at), &Half::Shadow(how));
                }
            }
        }
    }

    fn push(&mut self, row: &UserRow, at: Option<usize>, half: &Half) {
        let directory: Option<&Directory> = at.map(|at| self.federation.directories[at].as_ref());
        let person = self.federation.people.stored(row, directory, half);
        if self.filter.matches(&person.attributes) {
            if let Some(outcome) = at.and_then(|at| self.outcomes.get_mut(&at)) {
                outcome.found += 1;
            }
            self.people.push(person);
        }
    }

    fn listing(mut self, page: &Page) -> Result<Listing, Problem> {
        let rules = &self.federation.rules;
        let failed = self.outcomes.values().any(Outcome::is_failed);
        let whole = self.outcomes.values().all(Outcome::is_whole);
        if (failed && rules.on_failure == OnFailure::Fail) || (!whole && self.people.is_empty()) {
            return Err(self.unanswered());
        }
        self.conflicts()?;
        if page.skip > 0 && self.outcomes.values().any(|one| one.state == ReportState::Truncated) {
            return Err(too_many(
                "A repository has more people than one search may read, so there is no further page \
                 to count on; narrow the filter (a cursor would be needed, and none is offered yet).",
            ));
        }
        let total = self.people.len() as u64 + self.unlisted;
        sort(&mut self.people, &page.order);
        page.cut(&mut self.people);
        let mut report: Vec<(usize, RepositoryReport)> = self
            .outcomes
            .into_iter()
            .map(|(at, outcome)| {
                let line = RepositoryReport {
                    id: self.federation.directories[at].id().to_owned(),
                    state: outcome.state,
                    found: outcome.found,
                    age_seconds: outcome.age_seconds,
                    scan: outcome.scan,
                };
                (at, line)
            })
            .collect();
        report.sort_by_key(|(at, _)| *at);
        Ok(Listing {
            people: self.people,
            total,
            start_index: page.skip + 1,
            report: report.into_iter().map(|(_, line)| line).collect(),
            federated: true,
        })
    }

    /// Standard clients do not read the report and would take an empty list for an absence.
    fn unanswered(&self) -> Problem {
        let mut names: Vec<String> = self
            .outcomes
            .iter()
            .filter(|(_, outcome)| !outcome.is_whole())
            .map(|(at, outcome)| {
                format!("\"{}\" ({})", self.federation.directories[*at].id(), outcome.state.name())
            })
            .collect();
        names.sort();
        Problem::Unavailable {
            detail: format!(
                "Nobody was found, but not every repository answered completely: {}; try again or \
                 narrow the filter.",
                names.join(", ")
            ),
            retry_after: RETRY_AFTER,
        }
    }

    /// The same `userName` twice is two users; each is marked with who else has it, or, where the
    /// configuration says so, the later unbound ones are left out.
    fn conflicts(&mut self) -> Result<(), Problem> {
        let first_only = self.federation.rules.on_conflict == OnConflict::First;
        if first_only {
            self.nobody_ahead_is_silent()?;
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

    fn is_unbound(&self, place: usize) -> bool {
        let user_type = self.people[place].attributes.get("userType");
        user_type.and_then(serde_json::Value::as_str) == Some("LDAP")
    }

    /// A name is never resolved past a repository that did not answer: the person there would have
    /// had the name first.
    fn nobody_ahead_is_silent(&self) -> Result<(), Problem> {
        let silent =
            self.outcomes.iter().filter(|(_, one)| !one.is_whole()).map(|(at, _)| *at).min();
        let later = self
            .outcomes
            .iter()
            .any(|(at, one)| one.found > 0 && silent.is_some_and(|silent| silent < *at));
        if later { Err(self.unanswered()) } else { Ok(()) }
    }
}

fn scan_limit() -> Problem {
    too_many(format!(
        "This search would have to look at more than {SCAN_LIMIT} users one by one; add a condition \
         on an indexed attribute."
    ))
}
