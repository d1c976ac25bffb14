//! The rows of a job, done in their order: judged, held against what is there, and written together
//! with the note that they are done.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join;
use tokio::task::yield_now;

use super::super::create::type_of_new;
use super::super::possession::LOGIN;
use super::super::standing::Standing;
use super::super::write::{local_write, record};
use super::super::{Federation, Problem, View, is_authenticator};
use super::judge::{Judged, Reason};
use super::people::{Meant, TOGETHER};
use super::terms::Terms;
use super::{ImportJob, POLICY};
use crate::audit::{Action, AuditRecord};
use crate::caller::Caller;
use crate::scim::dialect::Manners;
use crate::scim::{ErrorKind, ResourceType, ScimError};
use crate::store::{
    Clash, ImportBatch, ImportCounts, ImportFault, ImportRefusal, ImportRow, ImportState,
    NewResource, Numbers, ResourceRow, ResourceWrite, StoreError, TypeName, UserType,
};

/// How many numbers are reserved at once; what is left of them when a program ends nobody gets.
const RESERVED: u32 = 1_000;

/// How many rows are looked at at once where nobody has to be asked about them.
const LOOKED_AT: usize = 128;

/// After so many rows others have their turn.
const TURN: usize = 4;

/// A job that is being worked on.
#[derive(Debug)]
pub struct Underway {
    import: ImportRow,
    caller: Caller,
    view: View,
    /// Under which policy each user gets an authenticator.
    policy: Option<String>,
    /// Where the next rows stand.
    part: Option<Arc<Part>>,
    /// The next rows, looked at.
    ready: VecDeque<Ready>,
    numbers: Option<Numbers>,
    /// How many of the next rows are done one by one, because one of them is in the way of the others.
    careful: usize,
}

/// Rows as they were kept together.
#[derive(Debug)]
struct Part {
    /// The place of the first.
    first: u64,
    users: String,
}

/// Rows that were looked at.
#[derive(Debug)]
struct Looked {
    part: Option<Arc<Part>>,
    ready: Vec<Ready>,
}

/// A row that was looked at.
#[derive(Debug)]
struct Ready {
    place: u64,
    name: Option<String>,
    what: What,
}

#[derive(Debug)]
enum What {
    Refused(Reason),
    New {
        id: String,
        revive: bool,
        write: Box<ResourceWrite>,
        /// What the user has from the start.
        authenticator: Option<Box<(String, ResourceWrite)>>,
    },
}

/// What came of working on a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// Some rows were done.
    Some,
    /// There is nothing left to do.
    Ended,
    /// The job is another's by now, or was cancelled.
    Passed,
}

impl Federation {
    /// Takes a job up where it stands; `manners` are the tenant's.
    pub fn take_up(&self, job: ImportJob, manners: &Manners) -> Result<Underway, Problem> {
        let ImportJob(import) = job;
        let terms = Terms::read(&import.terms)?;
        let view = View {
            no_cache: true,
            photos: false,
            members: false,
            request_id: terms.request_id().to_owned(),
            deadline: Instant::now() + Duration::from_secs(30),
            manner: Arc::clone(manners.at(terms.manner())),
        };
        Ok(Underway {
            caller: terms.caller(&self.tenant),
            import,
            view,
            policy: terms.policy().map(str::to_owned),
            part: None,
            ready: VecDeque::new(),
            numbers: None,
            careful: 0,
        })
    }

    /// Does at most `most` of the rows that are left. A problem says why none was done, and that the
    /// job is to be tried again.
    pub async fn advance(&self, job: &mut Underway, most: usize) -> Result<Advance, Problem> {
        if job.import.counts.processed() >= job.import.counts.size {
            return self.end(job).await;
        }
        if job.ready.is_empty() {
            let looked = self.look(job, job.import.counts.processed()).await?;
            job.take(looked);
        }
        if job.ready.is_empty() {
            let why = format!("rows of the import {} are missing", job.import.correlation_id);
            return Err(Problem::Internal(StoreError::Database(why)));
        }
        loop {
            let most = if job.careful > 0 { 1 } else { most.max(1) };
            let count = most.min(job.ready.len());
            if let Some(advance) = self.commit(job, count).await? {
                return Ok(advance);
            }
        }
    }

    async fn end(&self, job: &Underway) -> Result<Advance, Problem> {
        let counts = job.import.counts;
        let failed = counts.failed == counts.size && counts.size > 0;
        let state = if failed { ImportState::Failed } else { ImportState::Done };
        let processed = Some(counts.processed());
        self.store.end_import(&job.import, state, processed, None).await?;
        Ok(Advance::Ended)
    }

    /// Looks at the rows from `next` on.
    async fn look(&self, job: &Underway, next: u64) -> Result<Looked, Problem> {
        let mut looked = Looked { part: None, ready: Vec::new() };
        let holds = |part: &Part| {
            let count = part.users.lines().count() as u64;
            (part.first..part.first + count).contains(&next)
        };
        let mut part = job.part.clone();
        if !part.as_deref().is_some_and(holds) {
            let kept = self.store.import_part(job.import.key, next).await?;
            let read = kept.map(|(first, users)| Part { first, users });
            part = read.filter(holds).map(Arc::new);
        }
        let Some(part) = part else { return Ok(looked) };
        let asks = job.caller.binds == Some(true) && !self.directories.is_empty();
        let most = if asks { TOGETHER } else { LOOKED_AT };
        let lines = (part.first..).zip(part.users.lines()).skip_while(|(place, _)| *place < next);
        let mut rows = Vec::with_capacity(most);
        for (at, (place, line)) in lines.take(most).enumerate() {
            take_turns(at).await;
            rows.push(self.judged(&job.caller, place, line));
        }
        let meant = self.meant_by(&job.caller, &rows).await?;
        for (at, (row, meant)) in rows.into_iter().zip(meant).enumerate() {
            take_turns(at).await;
            looked.ready.push(self.made_ready(row, &meant, job)?);
        }
        looked.part = Some(part);
        Ok(looked)
    }

    /// What is to be written of a row.
    fn made_ready(&self, row: Judged, meant: &Meant, job: &Underway) -> Result<Ready, Problem> {
        let Judged { place, name, checked } = row;
        let (caller, manner) = (&job.caller, &job.view.manner);
        let at = self.clock.now();
        let made = match (&checked, meant) {
            (Err(reason), _) | (Ok(_), Meant::Refused(reason)) => {
                return Ok(Ready { place, name, what: What::Refused(reason.clone()) });
            }
            (Ok(checked), Meant::Nobody) => self.local_user(caller, checked, manner).map(|own| {
                let write = local_write(self.users(), own, at);
                (self.clock.new_id().to_string(), false, write)
            }),
            (Ok(checked), Meant::Person { directory, known, revive }) => {
                let standing = Standing::unbound(directory, known);
                let reached = self.may_write_to_unbound(caller, &standing);
                let divided =
                    reached.and_then(|()| self.bound_user(directory, known, checked, manner));
                divided.and_then(|divided| {
                    if divided.planned.is_some() {
                        return Err(not_written_back(directory.id()));
                    }
                    let write = self.bound_write(directory, known, divided.own, at);
                    Ok((directory.long_id(&known.key.0), *revive, write))
                })
            }
        };
        let made = made.and_then(|(id, revive, write)| {
            let authenticator = match &job.policy {
                Some(policy) => {
                    // It may have left the file while the job waited.
                    let policy = self.known_policy(policy, Some(LOGIN), POLICY)?;
                    Some(Box::new(self.authenticator(&id, policy, POLICY)?))
                }
                None => None,
            };
            Ok(What::New { id, revive, write: Box::new(write), authenticator })
        });
        let what = match made {
            Ok(what) => what,
            Err(problem) => What::Refused(Reason::of(problem)?),
        };
        Ok(Ready { place, name, what })
    }

    /// Does the next `count` rows; `None` where another look at them is needed first.
    async fn commit(&self, job: &mut Underway, count: usize) -> Result<Option<Advance>, Problem> {
        let Some(group) = job.import.group else { return self.without_group(job).await };
        self.hold_below(job, group, count).await?;
        self.hold_against(job, count).await?;
        let resources = if job.policy.is_some() { 2 * count } else { count };
        let numbers = match job.numbers.take() {
            Some(numbers) if numbers.left() >= resources => numbers,
            _ => self.store.reserve_numbers(&self.tenant, RESERVED).await?,
        };
        let rows: Vec<&Ready> = job.ready.iter().take(count).collect();
        let faults: Vec<ImportFault> = rows.iter().filter_map(|row| row.fault()).collect();
        let made: Vec<usize> =
            (0..count).filter(|at| matches!(rows[*at].what, What::New { .. })).collect();
        let new: Vec<NewResource<'_>> =
            made.iter().filter_map(|at| self.new_user(job, &rows[*at].what)).collect();
        let authenticators = made.iter().enumerate();
        let owned: Vec<(usize, NewResource<'_>)> = authenticators
            .filter_map(|(owner, at)| Some((owner, self.new_authenticator(job, &rows[*at].what)?)))
            .collect();
        let before = job.import.counts;
        let existed = faults.iter().filter(|fault| fault.existed).count() as u64;
        let after = ImportCounts {
            imported: before.imported + new.len() as u64,
            existed: before.existed + existed,
            failed: before.failed + faults.len() as u64 - existed,
            ..before
        };
        let part = job.part.as_ref().map_or(0, |part| part.first);
        let import = &job.import;
        let batch = ImportBatch {
            import,
            after,
            faults: &faults,
            new: &new,
            owned: &owned,
            numbers: &numbers,
            group,
            part,
        };
        // The next are looked at while these are written.
        let next = after.processed();
        let ahead = async {
            if count < job.ready.len() || next >= after.size {
                return Ok(None);
            }
            self.look(job, next).await.map(Some)
        };
        let (outcome, looked) = join(self.store.import_batch(&batch), ahead).await;
        match outcome {
            Ok(rows) => {
                let views = new.iter().chain(owned.iter().map(|(_, new)| new));
                for (row, new) in rows.iter().zip(views) {
                    // An earlier look-up of the name may have kept "nobody".
                    self.rows.touched(row, &[&new.write.view]);
                }
                self.group_grew(group, &rows).await?;
                let mut numbers = numbers;
                numbers.spend(rows.len());
                job.numbers = Some(numbers);
                job.import.counts = after;
                job.ready.drain(..count);
                // What kept them from being looked at is told when it is their turn.
                if let Ok(Some(looked)) = looked {
                    job.take(looked);
                }
                job.careful = job.careful.saturating_sub(count);
                Ok(Some(Advance::Some))
            }
            Err(ImportRefusal::Row { place, error }) => {
                let at = made.get(place).copied().unwrap_or(0);
                drop((new, owned));
                job.numbers = Some(numbers);
                job.careful = job.careful.max(count);
                Self::in_the_way(job, at, error)?;
                Ok(None)
            }
            Err(ImportRefusal::Passed) => Ok(Some(Advance::Passed)),
            Err(ImportRefusal::NoGroup) => self.without_group(job).await,
            Err(ImportRefusal::Store(error)) => Err(error.into()),
        }
    }

    /// Refuses the next rows where the group has come to carry a role above the caller since the job
    /// was queued.
    async fn hold_below(
        &self,
        job: &mut Underway,
        group: i64,
        count: usize,
    ) -> Result<(), Problem> {
        if !self.is_bounded(&job.caller) {
            return Ok(());
        }
        let groups = self.store.read(&self.tenant, &[group]).await?;
        let Some(Err(above)) = groups.first().map(|group| self.may_fill(&job.caller, group)) else {
            return Ok(());
        };
        let reason = Reason::of(above)?;
        for row in job.ready.iter_mut().take(count) {
            if matches!(row.what, What::New { .. }) {
                row.what = What::Refused(reason.clone());
            }
        }
        Ok(())
    }

    /// Refuses those of the next rows whose name or `externalId` somebody has.
    async fn hold_against(&self, job: &mut Underway, count: usize) -> Result<(), Problem> {
        let next = || job.ready.iter().enumerate().take(count);
        let writes = next().filter_map(|(at, row)| match &row.what {
            What::New { write, .. } => Some((at, &**write)),
            What::Refused(_) => None,
        });
        let (places, writes): (Vec<usize>, Vec<&ResourceWrite>) = writes.unzip();
        let clashes = self.store.clashes(&self.tenant, &writes).await?;
        for (at, clash) in places.into_iter().zip(clashes) {
            let (Some(Clash { attribute, id }), Some(row)) = (clash, job.ready.get_mut(at)) else {
                continue;
            };
            row.what = What::Refused(match id {
                Some(id) => {
                    let attribute = attribute.to_owned();
                    Reason::refused(StoreError::Taken { attribute, id })?
                }
                None => Reason::existed(format!(
                    "{attribute} is that of an earlier row of this import; leave one of them out."
                )),
            });
        }
        Ok(())
    }

    /// What becomes of a row that the store refused.
    fn in_the_way(job: &mut Underway, at: usize, error: StoreError) -> Result<(), Problem> {
        let Some(row) = job.ready.get_mut(at) else { return Ok(()) };
        match (&mut row.what, error) {
            // The user was deleted after it was looked for.
            (What::New { revive, .. }, StoreError::Tombstone) => *revive = true,
            // Whoever was in the way has gone.
            (_, StoreError::Stale) => {}
            (what, error) => *what = What::Refused(Reason::refused(error)?),
        }
        Ok(())
    }

    async fn without_group(&self, job: &Underway) -> Result<Option<Advance>, Problem> {
        let processed = Some(job.import.counts.processed());
        self.store.end_import(&job.import, ImportState::Failed, processed, None).await?;
        Ok(Some(Advance::Ended))
    }

    fn new_user<'a>(&self, job: &Underway, what: &'a What) -> Option<NewResource<'a>> {
        let What::New { id, revive, write, .. } = what else { return None };
        let action = if write.link.is_some() { Action::Bind } else { Action::Create };
        Some(NewResource {
            type_name: TypeName::User,
            id,
            user_type: type_of_new(&job.caller, self.users()),
            write,
            revive: *revive,
            record: job.record(self.users(), action, id, write),
        })
    }

    fn new_authenticator<'a>(&self, job: &Underway, what: &'a What) -> Option<NewResource<'a>> {
        let What::New { authenticator: Some(made), .. } = what else { return None };
        let (id, write) = &**made;
        let kind = self.types.iter().find(|kind| is_authenticator(kind))?;
        Some(NewResource {
            type_name: TypeName::Authenticator,
            id,
            user_type: UserType::Ftress,
            write,
            revive: false,
            record: job.record(kind, Action::Create, id, write),
        })
    }

    /// Drops what is kept of the group, which has a new version.
    async fn group_grew(&self, group: i64, users: &[ResourceRow]) -> Result<(), Problem> {
        if users.is_empty() {
            return Ok(());
        }
        for row in self.store.read(&self.tenant, &[group]).await? {
            self.rows.touched(&row, &[&self.stored_view(&row)]);
        }
        Ok(())
    }
}

/// An import writes many rows at once, and a directory one entry.
fn not_written_back(repository: &str) -> Problem {
    Problem::Scim(ScimError::new(
        ErrorKind::Mutability,
        format!(
            "An import writes nothing to the repository \"{repository}\"; leave out what differs there, and \
             PATCH the user afterwards."
        ),
    ))
}

/// Lets others have their turn, before some of the rows.
async fn take_turns(at: usize) {
    if at.is_multiple_of(TURN) {
        yield_now().await;
    }
}

impl Underway {
    fn take(&mut self, looked: Looked) {
        self.part = looked.part;
        self.ready.extend(looked.ready);
    }

    fn record(
        &self,
        kind: &ResourceType,
        action: Action,
        id: &str,
        write: &ResourceWrite,
    ) -> AuditRecord {
        AuditRecord {
            correlation_id: Some(self.import.correlation_id.clone()),
            ..record(&self.caller, kind, action, id, write.at, &self.view)
        }
    }
}

impl Ready {
    fn fault(&self) -> Option<ImportFault> {
        let What::Refused(reason) = &self.what else { return None };
        Some(ImportFault {
            place: self.place,
            name: self.name.clone(),
            existed: reason.existed,
            kind: reason.kind.map(|kind| kind.name().to_owned()),
            detail: reason.detail.clone(),
        })
    }
}
