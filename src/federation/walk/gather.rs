//! Making a snapshot: who is in the list, from the store and the repositories. People pass by one
//! batch after another, are merged and judged as in any federated search, and leave their keys alone.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::super::vanish;
use super::snapshot::{Bounds, Draft, Found, Full, Snapshot};
use crate::cache::State;
use crate::config::OnConflict;
use crate::federation::directory::Directory;
use crate::federation::outcomes::{Outcome, Outcomes};
use crate::federation::plan::{Ask, Plan};
use crate::federation::resource::{Half, Resource};
use crate::federation::{Federation, Problem, RETRY_AFTER, View, too_many};
use crate::repository::{Entry, EntryKey, RepositoryError};
use crate::scim::dialect::ReportState;
use crate::store::{LinkState, ResourceRow, Rows};

/// Rows and keys that are looked at together.
const CHUNK: usize = 500;
/// How many people are judged before other tasks get their turn.
const TURN: usize = 50;
/// Left of the caller's time for showing the first page, at most.
const MARGIN: Duration = Duration::from_secs(2);

impl Federation {
    /// Everybody in the list, as the sources are now.
    pub(super) async fn gather(&self, plan: &Plan, view: &View) -> Result<Snapshot, Problem> {
        let left = view.deadline.saturating_duration_since(Instant::now());
        let deadline = view.deadline.checked_sub(MARGIN.min(left / 4)).unwrap_or(view.deadline);
        let turn = tokio::time::timeout_at(deadline.into(), self.walks.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(busy()) };
        self.scans_allowed(plan, view).await?;
        let bounds = Bounds { keys: self.rules.walk_limit, bytes: self.walks.shelf.room() };
        let gather = Gather {
            federation: self,
            plan,
            deadline,
            draft: Mutex::new(Draft::new(bounds)),
            seen: Mutex::default(),
            graves: Mutex::default(),
        };
        let directories = join_all(plan.asks.iter().map(|ask| gather.directory(ask)));
        let (stored, answers) = join(gather.stored(), directories).await;
        stored?;
        let mut outcomes = Outcomes::new(self);
        for (ask, answer) in plan.asks.iter().zip(answers) {
            match answer? {
                Ok(outcome) => outcomes.set(ask.at, outcome),
                Err(error) => outcomes.failed(ask.at, &error),
            }
        }
        gather.linked(&mut outcomes).await?;
        gather.buried(&mut outcomes).await?;
        gather.finish(outcomes).await
    }
}

struct Gather<'a> {
    federation: &'a Federation,
    plan: &'a Plan,
    deadline: Instant,
    draft: Mutex<Draft>,
    /// Linked rows that a directory has brought.
    seen: Mutex<HashSet<i64>>,
    /// Entries that a directory has brought and whose users were deleted here.
    graves: Mutex<HashSet<EntryKey>>,
}

impl Gather<'_> {
    /// What one repository has; whose failure is no problem of the list's.
    async fn directory(&self, ask: &Ask) -> Result<Result<Outcome, RepositoryError>, Problem> {
        let directory = &self.federation.directories[ask.at];
        let asked_at = directory.asked();
        let limit = usize::try_from(self.federation.rules.walk_limit).unwrap_or(usize::MAX - 1);
        let (into, mut batches) = mpsc::channel(1);
        let photos = self.plan.photos_decide;
        let asked = directory.stream(&ask.asked.filter, photos, limit, self.deadline, into);
        // Owns its end of the channel: when it breaks off, the directory is told to stop.
        let taken = async move {
            let mut read = 0;
            while let Some(entries) = batches.recv().await {
                read += entries.len();
                if read > limit {
                    return Err(full(self.federation, Full::Keys));
                }
                self.entries((ask.at, asked_at), directory, entries).await?;
            }
            Ok(())
        };
        let (found, taken) = join(asked, taken).await;
        taken?;
        Ok(found.map(|found| Outcome {
            state: if found.complete { ReportState::Ok } else { ReportState::Truncated },
            found: 0,
            age_seconds: 0,
            scan: found.scan,
            decides: found.complete && found.exact && ask.asked.decides_bound,
        }))
    }

    /// A batch of a directory's people, each with what the store has of it.
    async fn entries(
        &self,
        (at, asked): (usize, Timestamp),
        directory: &Directory,
        entries: Vec<Arc<Entry>>,
    ) -> Result<(), Problem> {
        let keys: Vec<String> = entries.iter().map(|entry| entry.key.0.to_string()).collect();
        let (store, tenant) = (&self.federation.store, &self.federation.tenant);
        let states = store.find_links(tenant, directory.id(), &keys).await?;
        let mut links: HashMap<String, LinkState> =
            states.into_iter().map(|state| (entry_key(&state), state)).collect();
        let people = &self.federation.people;
        for (place, (entry, key)) in entries.into_iter().zip(keys).enumerate() {
            if place % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            let known = directory.passing(entry, self.plan.photos_decide, asked);
            let (person, unbound) = match links.remove(&key) {
                Some(LinkState::Row(row)) => {
                    lock(&self.seen).insert(row.key);
                    let half = Half::Entry(Arc::new(known), State::Live);
                    (people.passing(&row, Some(directory), &half), false)
                }
                Some(LinkState::Tombstone { .. }) => {
                    lock(&self.graves).insert(known.key.clone());
                    (people.buried(directory, &known, State::Live), true)
                }
                None => (people.unbound(directory, &known, State::Live), true),
            };
            self.take(&person, None, Some(at), unbound)?;
        }
        Ok(())
    }

    /// The rows that are nobody's but ours; of a list without repositories all rows.
    async fn stored(&self) -> Result<(), Problem> {
        let federated = self.plan.federated;
        let rows = if federated { Rows::Unlinked } else { Rows::All };
        let mut after = None;
        while let Some(chunk) = self.chunk(rows, &mut after).await? {
            if self.plan.members_decide {
                let shown = self.federation.as_stored(self.plan, &chunk, true).await?;
                for (row, shown) in chunk.iter().zip(shown) {
                    self.take(&shown, Some(row.key), None, false)?;
                }
                continue;
            }
            for row in chunk {
                self.row(&row, None, &Half::Unasked, Some(row.key))?;
            }
        }
        Ok(())
    }

    /// The linked rows that no directory has brought.
    async fn linked(&self, outcomes: &mut Outcomes<'_>) -> Result<(), Problem> {
        if !self.plan.federated {
            return Ok(());
        }
        let directories = &self.federation.directories;
        let mut after = None;
        while let Some(chunk) = self.chunk(Rows::Linked, &mut after).await? {
            let mut to_read: HashMap<usize, Vec<Arc<ResourceRow>>> = HashMap::new();
            for row in chunk {
                let Some(link) = row.link.as_ref().filter(|_| !lock(&self.seen).contains(&row.key))
                else {
                    continue;
                };
                let Some(at) = directories.iter().position(|one| one.id() == link.repository)
                else {
                    // A link to a repository that is no longer configured is unavailable, never
                    // absent.
                    self.row(&row, None, &Half::Shadow("unavailable"), Some(row.key))?;
                    continue;
                };
                match outcomes.of(at) {
                    Some(outcome) if outcome.is_failed() => {
                        self.row(&row, Some(at), &Half::Shadow(outcome.state.name()), None)?;
                    }
                    // Of who left there is the shadow alone to judge by, and nothing to be read.
                    _ if vanish::has_left(link) => {
                        self.row(&row, Some(at), &Half::Absent, None)?;
                    }
                    // The directory was asked for exactly this and did not name the person.
                    Some(outcome) if outcome.decides => {}
                    _ => to_read.entry(at).or_default().push(row),
                }
            }
            let read = to_read.into_iter().map(|(at, rows)| async move {
                let keys = rows.iter().filter_map(|row| row.link.as_ref());
                let keys = keys.map(|link| EntryKey(link.entry_key.as_str().into())).collect();
                let looked = directories[at].look(keys, self.plan.photos_decide, false).await;
                (at, rows, looked)
            });
            for (at, rows, mut looked) in join_all(read).await {
                if let Some(error) = &looked.failed {
                    outcomes.failed(at, error);
                }
                let how = looked.failed.as_ref().map(|error| Outcome::failed(error).state.name());
                for row in rows {
                    let key = row.link.as_ref().map_or("", |link| link.entry_key.as_str());
                    let half = match (looked.entries.remove(&EntryKey(key.into())), how) {
                        (Some(Some((known, state))), _) => Half::Entry(known, state),
                        (Some(None), _) => Half::Absent,
                        (None, Some(how)) => Half::Shadow(how),
                        _ => Half::Unasked,
                    };
                    self.row(&row, Some(at), &half, None)?;
                }
            }
        }
        Ok(())
    }

    /// The people whose users were deleted here, where the filter may want them although the
    /// directory did not name them.
    async fn buried(&self, outcomes: &mut Outcomes<'_>) -> Result<(), Problem> {
        let federation = self.federation;
        for ask in self.plan.asks.iter().filter(|ask| ask.asked.buried) {
            let directory = &federation.directories[ask.at];
            let limit = federation.rules.walk_limit.saturating_add(1);
            let mut keys =
                federation.store.tombstones(&federation.tenant, directory.id(), limit).await?;
            if keys.len() as u64 > federation.rules.walk_limit {
                return Err(full(federation, Full::Keys));
            }
            keys.retain(|key| !lock(&self.graves).contains(&EntryKey(key.as_str().into())));
            for chunk in keys.chunks(CHUNK) {
                let keys = chunk.iter().map(|key| EntryKey(key.as_str().into())).collect();
                let looked = directory.look(keys, self.plan.photos_decide, false).await;
                for (known, state) in looked.entries.into_values().flatten() {
                    let person = federation.people.buried(directory, &known, state);
                    self.take(&person, None, Some(ask.at), true)?;
                }
                if let Some(error) = &looked.failed {
                    outcomes.failed(ask.at, error);
                    break;
                }
            }
        }
        Ok(())
    }

    /// The next rows that may match; `None` at the end.
    async fn chunk(
        &self,
        rows: Rows,
        after: &mut Option<i64>,
    ) -> Result<Option<Vec<Arc<ResourceRow>>>, Problem> {
        if !self.plan.concerns_store {
            return Ok(None);
        }
        if Instant::now() > self.deadline {
            return Err(busy());
        }
        let (store, tenant) = (&self.federation.store, &self.federation.tenant);
        let filter = self.federation.stored_filter(self.plan);
        let (type_name, filter) = (&self.plan.type_name, filter.as_deref());
        let chunk = store.candidates(tenant, type_name, filter, rows, *after, CHUNK).await?;
        *after = chunk.last().map(|row| row.number);
        Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
    }

    fn row(
        &self,
        row: &ResourceRow,
        at: Option<usize>,
        half: &Half,
        key: Option<i64>,
    ) -> Result<(), Problem> {
        let linked = row.link.as_ref().and_then(|link| self.federation.directory(&link.repository));
        let person = self.federation.people.passing(row, linked.map(Arc::as_ref), half);
        self.take(&person, key, at, false)
    }

    fn take(
        &self,
        person: &Resource,
        row: Option<i64>,
        at: Option<usize>,
        unbound: bool,
    ) -> Result<(), Problem> {
        if !self.plan.filter.matches(&person.attributes) {
            return Ok(());
        }
        let key = self.plan.page.order.key(&person.attributes);
        let name = person.user_name();
        let found = Found { key: &key, id: &person.id, row, name, at, unbound };
        lock(&self.draft).push(&found).map_err(|how| full(self.federation, how))
    }

    async fn finish(self, mut outcomes: Outcomes<'_>) -> Result<Snapshot, Problem> {
        let Self { federation, plan, draft, .. } = self;
        let mut draft = draft.into_inner().unwrap_or_else(PoisonError::into_inner);
        let repositories = federation.directories.len();
        let (mut draft, found, unbound) = aside(move || {
            draft.dedup();
            let found: Vec<u64> = (0..repositories).map(|at| draft.found(at)).collect();
            let unbound: Vec<bool> = (0..repositories).map(|at| draft.has_unbound(at)).collect();
            (draft, found, unbound)
        })
        .await;
        for (at, found) in found.into_iter().enumerate() {
            outcomes.found(at, found);
        }
        outcomes.allow(draft.is_empty())?;
        let first_only = federation.rules.on_conflict == OnConflict::First;
        if first_only && plan.federated {
            outcomes.nobody_ahead_is_silent(|at| unbound[at])?;
        }
        let (descending, report) = (plan.page.order.descending, outcomes.report());
        Ok(aside(move || {
            if first_only {
                draft.only_first();
            }
            draft.finish(descending, report)
        })
        .await)
    }
}

/// Sorting a million people takes its time, which the runtime's threads have not.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // The work itself panicked: so does whoever asked for it, as if it had been done here.
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and with it this task.
            Err(_) => std::future::pending().await,
        },
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn entry_key(state: &LinkState) -> String {
    match state {
        LinkState::Row(row) => {
            row.link.as_ref().map_or_else(String::new, |link| link.entry_key.clone())
        }
        LinkState::Tombstone { entry_key } => entry_key.clone(),
    }
}

fn full(federation: &Federation, how: Full) -> Problem {
    too_many(match how {
        Full::Keys => format!(
            "A walk over this list would have to look at more than {} people (walk_limit); narrow \
             the filter.",
            federation.rules.walk_limit
        ),
        Full::Bytes => "The keys of this list take more memory than one walk may have; narrow the \
                        filter, or sort by an attribute with shorter values."
            .to_owned(),
    })
}

fn busy() -> Problem {
    Problem::Unavailable {
        detail: "The list could not be put together in time; try again, or narrow the filter."
            .to_owned(),
        retry_after: RETRY_AFTER,
        cause: None,
    }
}
