//! Writing back: the directory first, then the store; with an intent that outlives whoever does it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::directory::{Directory, Known};
use super::standing::changed_meanwhile;
use super::{Federation, IfMatch, Problem, RETRY_AFTER, View, unavailable};
use crate::audit::{Action, AuditRecord, Outcome};
use crate::caller::Caller;
use crate::repository::write::{alike, modifications};
use crate::repository::{Back, Modification, Refusal, RepositoryError, WriteError};
use crate::scim::{Attributes, ErrorKind, ScimError};
use crate::store::{Intent, LinkState, StoreError};

/// How often it is looked whether somebody left an intent.
const TICK: Duration = Duration::from_secs(2);

/// An entry was written, and the store does not know yet.
#[derive(Debug)]
pub(super) struct Begun {
    /// The intent's.
    pub(super) id: String,
    directory: Arc<Directory>,
    known: Arc<Known>,
    modifications: Vec<Modification>,
}

impl Begun {
    /// What the audit trail tells.
    pub(super) fn detail(&self) -> String {
        told(self.directory.id(), self.modifications.iter().map(|one| one.key.as_str()))
    }
}

/// The write that was begun, and the entry after it; `None` where nothing had to be written.
pub(super) type Written = Option<(Begun, Arc<Known>)>;

/// Why nothing is written back.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// The entry had other values than were expected of it.
    Changed(Vec<Modification>),
    Problem(Problem),
}

impl From<Problem> for Unwritten {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl Federation {
    /// Makes the entry what is `planned`, and gives it as it is then. `None` where nothing of it is the
    /// directory's to know.
    pub(super) async fn write_back(
        &self,
        caller: &Caller,
        (directory, known): (&Arc<Directory>, &Arc<Known>),
        planned: &Arc<Known>,
        view: &View,
    ) -> Result<Written, Unwritten> {
        let back = |known: &Known| directory.back(known);
        let modifications = modifications(&back(known), &back(planned));
        if modifications.is_empty() {
            return Ok(None);
        }
        let id = self.clock.new_token().simple().to_string();
        let left = view.deadline.saturating_duration_since(Instant::now());
        let intent = Intent {
            repository: directory.id().to_owned(),
            entry_key: known.key.0.to_string(),
            keys: modifications.iter().map(|one| one.key.clone()).collect(),
            digest: sealed(&id, modifications.iter().map(|one| (one.key.as_str(), &*one.wanted))),
            until: later(self.clock.now(), left),
            caller: caller.name.to_string(),
            actor: caller.user.as_deref().map(str::to_owned),
            request_id: view.request_id.clone(),
            id: id.clone(),
        };
        self.store.begin_intent(&self.tenant, &intent).await.map_err(Problem::from)?;
        let written = directory.write(&known.key, &modifications, view.deadline).await;
        let seen = match written {
            Ok(()) => directory.read(&known.key.0, known.photos).await.ok().flatten(),
            Err(WriteError::Undecided(error)) => {
                let seen = directory.read(&known.key.0, known.photos).await.ok().flatten();
                let done = |seen: &Arc<Known>| is_done(&back(seen), &modifications);
                // Whoever looks after intents finds out, when it can no longer come true.
                Some(seen.filter(done).ok_or_else(|| undecided(directory.id(), error))?)
            }
            Err(error) => {
                if let Err(error) = self.store.end_intent(&self.tenant, &id, None).await {
                    tracing::debug!(%error, "intent.kept");
                }
                return Err(match error {
                    WriteError::Changed => Unwritten::Changed(modifications),
                    error => refused(directory.id(), &intent.keys, error).into(),
                });
            }
        };
        // It was done; where it cannot be read again, it is as it was to be.
        let seen = seen.unwrap_or_else(|| Arc::clone(planned));
        directory.forget_found(&seen);
        let (directory, known) = (Arc::clone(directory), Arc::clone(known));
        Ok(Some((Begun { id, directory, known, modifications }, seen)))
    }

    /// The store refuses what belongs to a write that the directory has done: the directory gets its
    /// values back.
    pub(super) async fn taken_back(&self, begun: Option<Begun>, error: StoreError) -> Problem {
        let Some(Begun { id, directory, known, modifications }) = begun else {
            return error.into();
        };
        if matches!(error, StoreError::Unavailable(_) | StoreError::Undecided(_)) {
            tracing::warn!(%error, repository = directory.id(), "repository.written.alone");
            return Problem::Unavailable {
                detail: format!(
                    "The repository \"{}\" has taken the new values, and the bridge's own database does \
                     not answer: it enters them when it does. Read before you repeat.",
                    directory.id()
                ),
                retry_after: RETRY_AFTER,
                cause: None,
            };
        }
        let back: Vec<Modification> = modifications
            .into_iter()
            .map(|one| Modification { expected: one.wanted, wanted: one.expected, ..one })
            .collect();
        let soon = Instant::now() + TICK * 5;
        match directory.write(&known.key, &back, soon).await {
            Ok(()) => {
                directory.forget_found(&known);
                if let Err(error) = self.store.end_intent(&self.tenant, &id, None).await {
                    tracing::debug!(%error, "intent.kept");
                }
            }
            Err(error) => {
                tracing::warn!(%error, repository = directory.id(), "repository.written.alone");
            }
        }
        error.into()
    }

    /// Begins to settle what others left, for as long as the runtime lives.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    #[must_use]
    pub fn settling(self: Arc<Self>) -> Arc<Self> {
        tokio::spawn(Arc::clone(&self).settle_intents());
        self
    }

    async fn settle_intents(self: Arc<Self>) {
        let nothing = Attributes::new();
        // Others have none, but what is left of when they had.
        let writes =
            self.directories.iter().any(|one| !one.repository().back(&nothing, None).is_empty());
        loop {
            if let Err(error) = self.settle_overdue().await {
                tracing::debug!(%error, "intents.unsettled");
            } else if !writes {
                return;
            }
            tokio::time::sleep(TICK).await;
        }
    }

    async fn settle_overdue(&self) -> Result<(), StoreError> {
        for intent in self.store.overdue_intents(&self.tenant, self.clock.now()).await? {
            let Some(directory) = self.directory(&intent.repository).cloned() else {
                tracing::warn!(repository = intent.repository, "intent.dropped");
                self.store.end_intent(&self.tenant, &intent.id, None).await?;
                continue;
            };
            // What cannot be read is looked at again.
            if let Ok(known) = directory.read(&intent.entry_key, false).await {
                self.settle_one(&directory, &intent, known).await?;
            }
        }
        Ok(())
    }

    /// The new values there: it was done, and is entered here. Others: it was not.
    async fn settle_one(
        &self,
        directory: &Arc<Directory>,
        intent: &Intent,
        known: Option<Arc<Known>>,
    ) -> Result<(), StoreError> {
        let done = known.filter(|known| {
            let back = directory.back(known);
            let values = intent
                .keys
                .iter()
                .map(|key| (key.as_str(), back.get(key).map_or(&[][..], Vec::as_slice)));
            sealed(&intent.id, values) == intent.digest
        });
        let Some(known) = done else {
            tracing::info!(repository = intent.repository, "intent.undone");
            return self.store.end_intent(&self.tenant, &intent.id, None).await;
        };
        let id = directory.long_id(&intent.entry_key);
        let _writing = self.writing.hold(&id).await;
        directory.forget_found(&known);
        let at = self.clock.now();
        let record = AuditRecord {
            at,
            caller: intent.caller.clone(),
            actor: intent.actor.clone(),
            kind: self.users().name.clone(),
            action: Action::Modify,
            outcome: Outcome::Success,
            subject: id,
            request_id: intent.request_id.clone(),
            correlation_id: None,
            detail: Some(told(&intent.repository, intent.keys.iter().map(String::as_str))),
        };
        let keys = std::slice::from_ref(&intent.entry_key);
        let links = self.store.find_links(&self.tenant, &intent.repository, keys).await?;
        tracing::info!(repository = intent.repository, "intent.done");
        let Some(LinkState::Row(row)) = links.first() else {
            return self.store.end_intent(&self.tenant, &intent.id, Some(record)).await;
        };
        let mut write = self.bound_write(directory, &known, row.own.clone(), at);
        write.settles = Some(intent.id.clone());
        let before = self.stored_view(row);
        match self.store.update(&self.tenant, row, &write, record).await {
            Ok(updated) => {
                self.rows.touched(&Arc::new(updated), &[&before, &write.view]);
                Ok(())
            }
            // Somebody else wrote it meanwhile; next time.
            Err(StoreError::Stale) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// What comes of an attempt; `None` where the entry is to be read again. Not where the caller wants
/// exactly what it has seen, nor where the entry shows the same as before all the same.
pub(super) fn again(
    tried: Result<Written, Unwritten>,
    repository: &str,
    expected: &mut Vec<Modification>,
    if_match: Option<&IfMatch>,
    view: &View,
) -> Result<Option<Written>, Problem> {
    match tried {
        Ok(done) => Ok(Some(done)),
        Err(Unwritten::Problem(problem)) => Err(problem),
        Err(Unwritten::Changed(_)) if if_match.is_some() => Err(changed_meanwhile()),
        Err(Unwritten::Changed(now)) if now == *expected || Instant::now() >= view.deadline => {
            Err(conflicting(repository, &names(&now)))
        }
        Err(Unwritten::Changed(now)) => {
            *expected = now;
            Ok(None)
        }
    }
}

/// Whether the entry holds what was to be written.
fn is_done(back: &Back, modifications: &[Modification]) -> bool {
    modifications
        .iter()
        .all(|one| alike(back.get(&one.key).map_or(&[][..], Vec::as_slice), &one.wanted))
}

fn later(now: Timestamp, left: Duration) -> Timestamp {
    now.checked_add(left).unwrap_or(now)
}

/// Stands for values without telling them.
fn sealed<'a>(id: &str, values: impl Iterator<Item = (&'a str, &'a [Value])>) -> String {
    let values: Vec<Value> = values
        .map(|(key, values)| {
            let mut texts: Vec<String> = values.iter().map(Value::to_string).collect();
            texts.sort();
            json!([key, texts])
        })
        .collect();
    let digest = digest(&SHA256, format!("{id}{}", Value::from(values)).as_bytes());
    let mut hash = crate::audit::chain::START;
    hash.copy_from_slice(digest.as_ref());
    crate::audit::chain::hex(&hash)
}

fn told<'a>(repository: &str, keys: impl Iterator<Item = &'a str>) -> String {
    format!("written to {repository}: {}", keys.collect::<Vec<_>>().join(", "))
}

/// Why a repository did not take a write.
fn refused(repository: &str, keys: &[String], error: WriteError) -> Problem {
    let names = keys.join(", ");
    match error {
        WriteError::Refused { refusal: Refusal::Right, text } => {
            Problem::ForbiddenBecause(format!(
                "The repository \"{repository}\" does not let the bridge write {names} ({text}); its \
                 bind needs the right to, which the directory's administrator gives."
            ))
        }
        WriteError::Refused { refusal: Refusal::Value, text } => Problem::Scim(ScimError::new(
            ErrorKind::InvalidValue,
            format!("{names}: the repository \"{repository}\" does not take the value ({text})."),
        )),
        WriteError::Refused { refusal: Refusal::Held, text } => Problem::Scim(ScimError::new(
            ErrorKind::Mutability,
            format!(
                "{text}; change that in the repository \"{repository}\" first. Nothing was written, \
                 there or here."
            ),
        )),
        WriteError::Gone => Problem::NotFound(format!(
            "The repository \"{repository}\" has no entry of this person any more; {names} was not \
             written."
        )),
        WriteError::Changed => conflicting(repository, &names),
        WriteError::Unavailable(RepositoryError::Unavailable(text)) => Problem::Unavailable {
            detail: format!(
                "The repository \"{repository}\" cannot be written at the moment; nothing was changed."
            ),
            retry_after: RETRY_AFTER,
            cause: Some(RepositoryError::Unavailable(text)),
        },
        WriteError::Unavailable(error) => unavailable(repository, error),
        WriteError::Undecided(error) => undecided(repository, error),
    }
}

/// The keys of what is modified, for whoever reads them.
pub(super) fn names(modifications: &[Modification]) -> String {
    modifications.iter().map(|one| one.key.as_str()).collect::<Vec<_>>().join(", ")
}

/// The entry is not what it is shown as, time after time.
pub(super) fn conflicting(repository: &str, names: &str) -> Problem {
    Problem::Conflict(format!(
        "{names}: the entry in the repository \"{repository}\" was changed at the same time; read it \
         again and repeat the change."
    ))
}

fn undecided(repository: &str, error: RepositoryError) -> Problem {
    Problem::Unavailable {
        detail: format!(
            "The repository \"{repository}\" was sent the change and did not answer, and does not show \
             it: it may still be done. Read before you repeat."
        ),
        retry_after: RETRY_AFTER,
        cause: Some(error),
    }
}
