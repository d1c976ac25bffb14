//! Signing in with the password of a directory: who is meant, whether the password is theirs, and whether
//! they are an operator.
//!
//! Who is meant is known before any password leaves the bridge, and then one directory alone is asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::Value;
use tokio::time::timeout_at;
use uuid::Uuid;

use super::directory::{Directory, Known};
use super::{Federation, Problem, RETRY_AFTER, unavailable};
use crate::repository::{EntryKey, Refused, RepositoryError, Untold, Verdict};
use crate::scim::Filter;
use crate::scim::filter::{Literal, Operator as Comparison, Text};
use crate::scim::text::comparable;
use crate::secret::Password;
use crate::store::{LinkState, StoreError};

/// Attempts of one tenant that are under way at the same time; others wait.
pub(super) const AT_ONCE: usize = 8;

/// Refusals are given after a multiple of this alone, counted from when the attempt began: how far it
/// came would tell which names there are. What is slower than one step is told to within a step.
const STEP: Duration = Duration::from_millis(500);

/// Longer names, in bytes, are nobody's.
const LONGEST_NAME: usize = 256;

/// At what an attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account<'a> {
    /// A name, whoever may have it, or nobody; its spellings are one. Told before it is looked for.
    Name(&'a str),
    /// Somebody whom there is, under whatever name. Told before the password is sent.
    Person(&'a str),
}

/// Says whether an account may be tried once more, or how long it may not; each attempt tells it a name,
/// and a person where there is one.
pub type MayTry<'a> = &'a (dyn Fn(Account<'_>) -> Result<(), Duration> + Send + Sync);

/// Somebody who signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    pub repository: Arc<str>,
    pub key: EntryKey,
    /// As the directory writes it.
    pub user_name: String,
    /// What the directory wants its owner to know of the password.
    pub notice: Option<String>,
}

/// Why nobody is signed in, as far as whoever tried may know it. Which of the reasons it was, only the
/// log tells.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSignedIn {
    #[error("The name or the password is wrong, or this account may not be used now.")]
    Refused,
    /// With the time until the next attempt.
    #[error("There were too many attempts to sign in with this name; wait before the next one.")]
    Throttled(Duration),
    /// `sent`: a directory was sent the password, which may count there as a failure. It counts as one
    /// at the account, then; else the attempt is given back.
    #[error("Whether this is right cannot be found out at the moment; try again.")]
    Unavailable { retry_after: u32, sent: bool },
}

/// An attempt with all that was seen on its way: for logs and administrators, and never for whoever
/// tried.
#[derive(Debug)]
pub struct Attempt {
    /// Each repository that was asked for the name, and how many people there have it.
    pub sources: Vec<(Arc<str>, Result<usize, Problem>)>,
    /// Who is meant, where that is one person.
    pub who: Option<Who>,
    pub tried: Tried,
}

/// Whom a name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    pub repository: Arc<str>,
    pub key: EntryKey,
    pub dn: String,
    /// As the directory writes it.
    pub user_name: String,
}

/// How far an attempt came.
#[derive(Clone, Debug)]
pub enum Tried {
    SignedIn {
        notice: Option<String>,
    },
    /// The password is right, and they are in the group of operators not.
    NoOperator,
    Throttled(Duration),
    /// The tenant has no operators.
    Closed,
    Nobody,
    /// Nothing of the name can be searched for in a directory: it would be read as a whole.
    Unsearchable,
    /// The person is of a repository whose people are no operators; it is sent no password.
    Outsider,
    /// The name is that of several people, here or there.
    Several,
    /// The user who was bound to the entry was deleted here.
    Deleted,
    /// Not active: by what was written here, or by what the directory says beside the bind.
    Inactive,
    Refused {
        why: Refused,
        text: String,
    },
    /// There are too many attempts.
    Busy,
    /// A repository that might know the name did not answer.
    Silent,
    Store(Arc<StoreError>),
    /// The directory did not say whether the password is right.
    Unanswered(Untold),
    /// The password is right; whether they are active, or in the group of operators, cannot be read.
    Unread(RepositoryError),
}

impl Tried {
    /// One word for a log.
    pub fn word(&self) -> &'static str {
        match self {
            Self::SignedIn { .. } => "signed_in",
            Self::NoOperator => "no_operator",
            Self::Throttled(_) => "throttled",
            Self::Closed => "closed",
            Self::Nobody => "nobody",
            Self::Unsearchable => "unsearchable",
            Self::Outsider => "outsider",
            Self::Several => "several",
            Self::Deleted => "deleted",
            Self::Inactive => "inactive",
            Self::Refused { why, .. } => why.word(),
            Self::Busy => "busy",
            Self::Silent => "silent",
            Self::Store(_) => "store",
            Self::Unanswered(_) => "unanswered",
            Self::Unread(_) => "unread",
        }
    }
}

impl Attempt {
    fn ended(tried: Tried) -> Self {
        Self { sources: Vec::new(), who: None, tried }
    }

    /// What whoever tried may know.
    ///
    /// # Errors
    /// Nobody is signed in.
    pub fn outcome(&self) -> Result<Operator, NotSignedIn> {
        let unavailable = |sent| NotSignedIn::Unavailable { retry_after: RETRY_AFTER, sent };
        match (&self.tried, &self.who) {
            (Tried::SignedIn { notice }, Some(who)) => Ok(Operator {
                repository: Arc::clone(&who.repository),
                key: who.key.clone(),
                user_name: who.user_name.clone(),
                notice: notice.clone(),
            }),
            (Tried::Throttled(wait), _) => Err(NotSignedIn::Throttled(*wait)),
            (
                Tried::SignedIn { .. }
                | Tried::NoOperator
                | Tried::Outsider
                | Tried::Closed
                | Tried::Nobody
                | Tried::Unsearchable
                | Tried::Several
                | Tried::Deleted
                | Tried::Inactive
                | Tried::Refused { .. },
                _,
            ) => Err(NotSignedIn::Refused),
            (Tried::Unanswered(untold), _) => Err(unavailable(untold.sent)),
            (Tried::Busy | Tried::Silent | Tried::Store(_) | Tried::Unread(_), _) => {
                Err(unavailable(false))
            }
        }
    }

    fn log(&self, tenant: &str) {
        let repository = self.who.as_ref().map(|who| &*who.repository);
        let reason = self.tried.word();
        match &self.tried {
            Tried::SignedIn { .. } => tracing::info!(tenant, repository, "sign_in.done"),
            Tried::Several => {
                let counted = |(id, found): &(Arc<str>, Result<usize, Problem>)| {
                    let found = found.as_ref().ok().filter(|found| **found > 0)?;
                    Some(format!("{id} {found}"))
                };
                let found: Vec<String> = self.sources.iter().filter_map(counted).collect();
                tracing::warn!(tenant, reason, found = found.join(", "), "sign_in.refused");
            }
            Tried::Refused { text, .. } => {
                tracing::info!(tenant, repository, reason, said = text, "sign_in.refused");
            }
            Tried::Silent => {
                for (id, found) in &self.sources {
                    let Err(problem) = found else { continue };
                    let error = std::error::Error::source(problem).map(ToString::to_string);
                    tracing::warn!(
                        tenant,
                        repository = &**id,
                        reason,
                        error,
                        "sign_in.unavailable"
                    );
                }
            }
            Tried::Store(error) => {
                tracing::warn!(tenant, repository, reason, %error, "sign_in.unavailable");
            }
            Tried::Unanswered(untold) => {
                let (sent, error) = (untold.sent, &untold.error);
                tracing::warn!(tenant, repository, reason, sent, %error, "sign_in.unavailable");
            }
            Tried::Unread(error) => {
                tracing::warn!(tenant, repository, reason, %error, "sign_in.unavailable");
            }
            Tried::Busy => tracing::warn!(tenant, reason, "sign_in.unavailable"),
            _ => tracing::info!(tenant, repository, reason, "sign_in.refused"),
        }
    }
}

impl Federation {
    /// Signs an operator in: one person of all the tenant's directories has the name (a `userName`, or
    /// `<repository>.<entry key>`), the password is that person's, and the person is in the group of
    /// operators.
    ///
    /// # Errors
    /// Nobody is signed in; a directory that does not answer never makes a password wrong.
    pub async fn authenticate(
        &self,
        name: &str,
        password: &Password,
        deadline: Instant,
        may_try: MayTry<'_>,
    ) -> Result<Operator, NotSignedIn> {
        let began = Instant::now();
        let attempt = self.attempt(name, password, deadline, may_try).await;
        attempt.log(&self.tenant);
        let outcome = attempt.outcome();
        if matches!(outcome, Err(NotSignedIn::Refused | NotSignedIn::Throttled(_))) {
            let steps = began.elapsed().as_nanos() / STEP.as_nanos() + 1;
            let told = began + STEP * u32::try_from(steps).unwrap_or(1);
            tokio::time::sleep_until(told.into()).await;
        }
        outcome
    }

    /// The same, telling all.
    pub async fn attempt(
        &self,
        name: &str,
        password: &Password,
        deadline: Instant,
        may_try: MayTry<'_>,
    ) -> Attempt {
        let Some(operators) = &self.rules.operators else {
            return Attempt::ended(Tried::Closed);
        };
        if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
            return Attempt::ended(Tried::Nobody);
        }
        if let Err(wait) = may_try(Account::Name(&comparable(name, false))) {
            return Attempt::ended(Tried::Throttled(wait));
        }
        let Ok(Ok(_permit)) = timeout_at(deadline.into(), self.signing_in.acquire()).await else {
            return Attempt::ended(Tried::Busy);
        };
        let (sources, found) = self.people_called(name, deadline).await;
        let (directory, known) = match found {
            Ok(mut found) if found.len() == 1 => found.swap_remove(0),
            Ok(found) => {
                let tried = if found.is_empty() { Tried::Nobody } else { Tried::Several };
                return Attempt { sources, who: None, tried };
            }
            Err(tried) => return Attempt { sources, who: None, tried },
        };
        let who = Some(Who::of(&directory, &known));
        if *directory.id() != *operators.repository {
            return Attempt { sources, who, tried: Tried::Outsider };
        }
        let account = directory.long_id(&known.key.0);
        if let Err(wait) = may_try(Account::Person(&account)) {
            return Attempt { sources, who, tried: Tried::Throttled(wait) };
        }
        let tried = self.tried(&directory, &known, password, &operators.group, deadline).await;
        Attempt { sources, who, tried: tried.unwrap_or_else(|ended| ended) }
    }

    /// Everybody who has the name, and what each repository said.
    async fn people_called(
        &self,
        name: &str,
        deadline: Instant,
    ) -> (Vec<(Arc<str>, Result<usize, Problem>)>, Result<Vec<(Arc<Directory>, Arc<Known>)>, Tried>)
    {
        let by_key = name.split_once('.').and_then(|(id, key)| {
            let key = Uuid::try_parse(key).ok()?.as_hyphenated().to_string();
            Some((self.directory(id)?, key))
        });
        let directories = match &by_key {
            Some((directory, _)) => std::slice::from_ref(*directory),
            None => &self.directories[..],
        };
        let value = Literal::String(Text::new(name, &self.user_name));
        let (path, operator) = (self.user_name.clone(), Comparison::Eq);
        let filter = Filter::Compare { path, operator, value };
        let asked = directories.iter().map(|directory| async {
            let found = async {
                if let Some((_, key)) = &by_key {
                    let known = directory.read(key, false).await;
                    let known = known.map_err(|error| unavailable(directory.id(), error))?;
                    return Ok(Vec::from_iter(known));
                }
                directory.called(&filter).await
            };
            let late = |_| Err(unavailable(directory.id(), RepositoryError::Timeout));
            timeout_at(deadline.into(), found).await.unwrap_or_else(late)
        });
        let answers = join_all(asked).await;
        let mut found = Ok(Vec::new());
        let mut sources = Vec::with_capacity(answers.len());
        for (directory, answer) in directories.iter().zip(answers) {
            let counted = match answer {
                Ok(people) => {
                    let count = people.len();
                    let people = people.into_iter().map(|known| (Arc::clone(directory), known));
                    if let Ok(found) = &mut found {
                        found.extend(people);
                    }
                    Ok(count)
                }
                Err(problem) => {
                    found = match (&problem, found) {
                        (_, Err(Tried::Silent)) => Err(Tried::Silent),
                        (Problem::Scim(_), _) => Err(Tried::Unsearchable),
                        // It may be known there, too.
                        _ => Err(Tried::Silent),
                    };
                    Err(problem)
                }
            };
            sources.push((directory.shared_id(), counted));
        }
        (sources, found)
    }

    /// Tries the one person who is meant.
    async fn tried(
        &self,
        directory: &Directory,
        known: &Known,
        password: &Password,
        operators: &str,
        deadline: Instant,
    ) -> Result<Tried, Tried> {
        let (key, entry_key) = (&known.key, known.key.0.to_string());
        let links = self.store.find_links(&self.tenant, directory.id(), &[entry_key]).await;
        match links.map_err(|error| Tried::Store(Arc::new(error)))?.first() {
            Some(LinkState::Tombstone { .. }) => return Err(Tried::Deleted),
            Some(LinkState::Row(row)) if row.own.get("active") == Some(&Value::Bool(false)) => {
                return Err(Tried::Inactive);
            }
            _ => {}
        }
        let verdict = directory.authenticate(key, password, deadline).await;
        let notice = match verdict.map_err(Tried::Unanswered)? {
            Verdict::Right { notice } => notice,
            Verdict::Refused { why, text } => return Err(Tried::Refused { why, text }),
        };
        // A lock may have ended with this bind; what else keeps people out, binds do not look at.
        if !is_active(known) {
            match directory.read(&key.0, false).await.map_err(Tried::Unread)? {
                Some(now) if is_active(&now) => {}
                _ => return Err(Tried::Inactive),
            }
        }
        let member = directory.is_member(key, operators, deadline).await;
        Ok(if member.map_err(Tried::Unread)? {
            Tried::SignedIn { notice }
        } else {
            Tried::NoOperator
        })
    }
}

impl Who {
    fn of(directory: &Directory, known: &Known) -> Self {
        let values = known.values();
        let user_name = values.get("userName").and_then(Value::as_str).unwrap_or_default();
        Self {
            repository: directory.shared_id(),
            key: known.key.clone(),
            dn: known.dn.clone(),
            user_name: user_name.to_owned(),
        }
    }
}

fn is_active(known: &Known) -> bool {
    known.values().get("active") != Some(&Value::Bool(false))
}

#[cfg(test)]
mod tests;
