//! One page out of a snapshot: its people are read live, each source in one go.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use futures_util::future::{join, join_all};

use super::cursor::{Cursor, Direction, Place};
use super::snapshot::{Snapshot, Who};
use crate::config::OnConflict;
use crate::federation::directory::Directory;
use crate::federation::listing::{Cursors, Listing};
use crate::federation::outcomes::Outcome;
use crate::federation::plan::Plan;
use crate::federation::resource::{Half, Resource};
use crate::federation::{Federation, Problem, RETRY_AFTER, View, is_group};
use crate::repository::{EntryKey, RepositoryError};
use crate::scim::dialect::{ReportState, RepositoryReport};
use crate::store::ResourceRow;

/// The people of one repository who are there, by their ids.
struct Living {
    at: usize,
    people: HashMap<String, Arc<Resource>>,
    /// Why the bound ones among them are shown as they were.
    failed: Option<RepositoryError>,
}

impl Federation {
    /// The page at a cursor, read now. Whoever is gone or matches no more is left out; where that is
    /// the whole page, the next one stands in for it.
    pub(super) async fn page(
        &self,
        plan: &Plan,
        view: &View,
        cursor: &Cursor,
        snapshot: &Snapshot,
    ) -> Result<Listing, Problem> {
        let size = usize::try_from(plan.page.count).unwrap_or(usize::MAX).max(1);
        let mut report = aged(snapshot);
        let mut people = Vec::new();
        let (start, end) = match cursor.direction {
            Direction::Forward => {
                let start = snapshot.after(&cursor.place);
                let mut end = start;
                while people.is_empty() && end < snapshot.len() {
                    let next = end.saturating_add(size).min(snapshot.len());
                    people = self.people_at(plan, view, snapshot, end..next, &mut report).await?;
                    end = next;
                }
                (start, end)
            }
            Direction::Backward => {
                let end = snapshot.before(&cursor.place);
                let mut start = end;
                while people.is_empty() && start > 0 {
                    let next = start.saturating_sub(size);
                    people = self.people_at(plan, view, snapshot, next..start, &mut report).await?;
                    start = next;
                }
                (start, end)
            }
        };
        let now = self.clock.now();
        let at = |direction, place| {
            let (query, list) = (cursor.query, cursor.list);
            self.walks.seal.close(&Cursor { query, direction, list, place }, now)
        };
        let last = if end == 0 { Place::Start } else { snapshot.place(end - 1) };
        let cursors = Cursors {
            next: (end < snapshot.len()).then(|| at(Direction::Forward, last)),
            previous: (start > 0).then(|| {
                let here = start < snapshot.len();
                let place = if here { snapshot.place(start) } else { cursor.place.clone() };
                at(Direction::Backward, place)
            }),
        };
        let report = plan.federated.then_some(report);
        Ok(Listing::page(people, snapshot.len() as u64, cursors, report).holding(snapshot.unbound))
    }
    /// The people of some places as they are now, in the snapshot's order.
    async fn people_at(
        &self,
        plan: &Plan,
        view: &View,
        snapshot: &Snapshot,
        places: Range<usize>,
        report: &mut [RepositoryReport],
    ) -> Result<Vec<Arc<Resource>>, Problem> {
        let mut keys = Vec::new();
        let mut persons: HashMap<usize, Vec<EntryKey>> = HashMap::new();
        for place in places.clone() {
            match snapshot.who(place) {
                Who::Row(key) => keys.push(key),
                Who::Person(id) => {
                    // Whoever's repository is gone since, after a restart, is not shown.
                    if let Some((at, key)) = self.place_of(id) {
                        persons.entry(at).or_default().push(key);
                    }
                }
            }
        }
        let living = persons.into_iter().map(|(at, keys)| self.living(plan, view, at, keys));
        let (rows, living) = join(self.store.read(&self.tenant, &keys), join_all(living)).await;
        let rows = rows?;
        let mut groups = HashMap::new();
        if is_group(&plan.kind) {
            let shown = self.as_stored(plan, &rows, true).await?;
            groups.extend(rows.iter().map(|row| row.key).zip(shown));
        }
        let rows: HashMap<i64, Arc<ResourceRow>> =
            rows.into_iter().map(|row| (row.key, row)).collect();
        let mut people = HashMap::new();
        for living in living {
            let living = living?;
            people.extend(living.people);
            if let Some(error) = &living.failed {
                let id = self.directories[living.at].id();
                for line in report.iter_mut().filter(|line| line.id == id) {
                    line.state = Outcome::failed(error).state;
                }
            }
        }
        let marks = self.rules.on_conflict == OnConflict::Show && plan.federated;
        let mut shown = Vec::with_capacity(places.len());
        for place in places {
            let person = match snapshot.who(place) {
                Who::Row(key) => {
                    groups.remove(&key).or_else(|| rows.get(&key).map(|row| self.of_row(plan, row)))
                }
                Who::Person(id) => people.remove(id),
            };
            let Some(person) = person.filter(|one| plan.filter.matches(&one.attributes)) else {
                continue;
            };
            let others = if marks { snapshot.namesakes(place) } else { Vec::new() };
            shown.push(match &*others {
                [] => person,
                others => self.people.marked(&person, others),
            });
        }
        Ok(shown)
    }

    /// The repository and the entry key that a long id names.
    fn place_of(&self, id: &str) -> Option<(usize, EntryKey)> {
        let (repository, key) = id.split_once('.')?;
        let at = self.directories.iter().position(|one| one.id() == repository)?;
        Some((at, EntryKey(key.into())))
    }

    pub(super) fn of_row(&self, plan: &Plan, row: &ResourceRow) -> Arc<Resource> {
        let directory = row.link.as_ref().and_then(|link| self.directory(&link.repository));
        let silent = plan.federated && row.link.is_some() && directory.is_none();
        let half = if silent { Half::Shadow("unavailable") } else { Half::Unasked };
        self.people.stored(row, directory.map(Arc::as_ref), &half)
    }

    /// These people of one repository: rows in one statement, entries in batches, both through their
    /// caches. Where the repository fails, bound ones are shown as last seen; of others nothing is
    /// known, and a page without them would take them for gone.
    async fn living(
        &self,
        plan: &Plan,
        view: &View,
        at: usize,
        keys: Vec<EntryKey>,
    ) -> Result<Living, Problem> {
        let directory = &self.directories[at];
        let named: Vec<&EntryKey> = keys.iter().collect();
        let links = self.rows.links(directory.id(), &named, view.no_cache);
        let look = directory.look(keys.clone(), plan.photos, view.no_cache);
        let (links, mut looked) = join(links, look).await;
        let how = looked.failed.as_ref().map(|error| Outcome::failed(error).state.name());
        let mut people = HashMap::with_capacity(keys.len());
        for (key, stored) in keys.iter().zip(links?) {
            let row = stored.rows.first();
            let person = match (row, looked.entries.remove(key)) {
                (Some(row), entry) => {
                    let half = match (entry, how) {
                        (Some(Some((known, state))), _) => Half::Entry(known, state),
                        (Some(None), _) => Half::Absent,
                        (None, Some(how)) => Half::Shadow(how),
                        _ => Half::Unasked,
                    };
                    self.people.stored(row, Some(directory), &half)
                }
                (None, Some(Some((known, state)))) if stored.tombstone => {
                    self.people.buried(directory, &known, state)
                }
                (None, Some(Some((known, state)))) => self.people.unbound(directory, &known, state),
                (None, Some(None)) => continue,
                (None, None) => return Err(broken_off(directory, looked.failed)),
            };
            people.insert(person.id.clone(), person);
        }
        Ok(Living { at, people, failed: looked.failed })
    }
}

/// The report of the snapshot, for a page that is shown now.
fn aged(snapshot: &Snapshot) -> Vec<RepositoryReport> {
    let age = snapshot.age().as_secs();
    let mut report = snapshot.report.clone();
    for line in &mut report {
        line.age_seconds += age;
        if line.state == ReportState::Ok && age > 0 {
            line.state = ReportState::Cached;
        }
    }
    report
}

fn broken_off(directory: &Directory, cause: Option<RepositoryError>) -> Problem {
    Problem::Unavailable {
        detail: format!(
            "The repository \"{}\" does not answer, so that this page would not be whole; ask again \
             with the same cursor.",
            directory.id()
        ),
        retry_after: RETRY_AFTER,
        cause,
    }
}
