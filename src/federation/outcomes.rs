//! How each repository that was asked has answered: what the report says of it, and whether a list
//! may stand on it. Knows nothing of the people.

use std::sync::Arc;

use super::directory::Directory;
use super::{Federation, OnFailure, Problem, RETRY_AFTER};
use crate::repository::RepositoryError;
use crate::scim::dialect::{ReportState, RepositoryReport};

/// How one repository answered.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) state: ReportState,
    /// Matching people, bound or not.
    pub(super) found: u64,
    pub(super) age_seconds: u64,
    pub(super) scan: bool,
    /// The answer was whole and decides about bound people too.
    pub(super) decides: bool,
}

impl Outcome {
    pub(super) fn failed(error: &RepositoryError) -> Self {
        let state = match error {
            RepositoryError::Timeout => ReportState::Timeout,
            RepositoryError::Unavailable(_) => ReportState::Unavailable,
        };
        Self { state, found: 0, age_seconds: 0, scan: false, decides: false }
    }

    pub(super) fn is_failed(&self) -> bool {
        matches!(self.state, ReportState::Timeout | ReportState::Unavailable)
    }

    fn is_whole(&self) -> bool {
        self.state.is_whole()
    }
}

/// The outcomes of all repositories, by their place in the configuration; `None` for who was not
/// asked.
#[derive(Debug)]
pub(super) struct Outcomes<'a> {
    federation: &'a Federation,
    all: Vec<Option<Outcome>>,
}

impl<'a> Outcomes<'a> {
    /// Nobody was asked yet.
    pub(super) fn new(federation: &'a Federation) -> Self {
        Self { federation, all: federation.directories.iter().map(|_| None).collect() }
    }

    pub(super) fn of(&self, at: usize) -> Option<&Outcome> {
        self.all[at].as_ref()
    }

    pub(super) fn set(&mut self, at: usize, outcome: Outcome) {
        self.all[at] = Some(outcome);
    }

    /// Counts people of the repository, where it was asked.
    pub(super) fn found(&mut self, at: usize, people: u64) {
        if let Some(outcome) = &mut self.all[at] {
            outcome.found += people;
        }
    }

    /// Takes note that a repository did not answer.
    pub(super) fn failed(&mut self, at: usize, error: &RepositoryError) {
        let repository = self.federation.directories[at].id();
        tracing::warn!(repository, error = %error, "repository.failed");
        let found = self.of(at).map_or(0, |outcome| outcome.found);
        self.set(at, Outcome { found, ..Outcome::failed(error) });
    }

    /// Whether a limit cut an answer.
    pub(super) fn is_truncated(&self) -> bool {
        self.asked().any(|one| one.state == ReportState::Truncated)
    }

    /// Whether a list may be answered at all: not an empty one that stands on half an answer, since
    /// standard clients do not read the report and would take it for an absence.
    pub(super) fn allow(&self, nobody: bool) -> Result<(), Problem> {
        let failed = self.asked().any(Outcome::is_failed);
        let whole = self.asked().all(Outcome::is_whole);
        let fail = self.federation.rules.on_failure == OnFailure::Fail;
        if (failed && fail) || (!whole && nobody) { Err(self.unanswered()) } else { Ok(()) }
    }

    /// A name is never resolved past a repository that did not answer: the person there would have
    /// had the name first. `unbound` says where somebody was found who would have to give way; bound
    /// users give way to nobody.
    pub(super) fn nobody_ahead_is_silent(
        &self,
        unbound: impl Fn(usize) -> bool,
    ) -> Result<(), Problem> {
        let silent = |one: &Option<Outcome>| one.as_ref().is_some_and(|one| !one.is_whole());
        let Some(first) = self.all.iter().position(silent) else { return Ok(()) };
        let later = (first + 1..self.all.len()).any(unbound);
        if later { Err(self.unanswered()) } else { Ok(()) }
    }

    /// One line per repository that was asked.
    pub(super) fn report(&self) -> Vec<RepositoryReport> {
        let line = |(directory, outcome): (&Arc<Directory>, &Outcome)| RepositoryReport {
            id: directory.id().to_owned(),
            state: outcome.state,
            found: outcome.found,
            age_seconds: outcome.age_seconds,
            scan: outcome.scan,
        };
        self.named().map(line).collect()
    }

    fn asked(&self) -> impl Iterator<Item = &Outcome> {
        self.all.iter().flatten()
    }

    fn named(&self) -> impl Iterator<Item = (&Arc<Directory>, &Outcome)> {
        let named = self.federation.directories.iter().zip(&self.all);
        named.filter_map(|(directory, outcome)| Some((directory, outcome.as_ref()?)))
    }

    fn unanswered(&self) -> Problem {
        let unanswered: Vec<String> = self
            .named()
            .filter(|(_, outcome)| !outcome.is_whole())
            .map(|(directory, outcome)| {
                format!("\"{}\" ({})", directory.id(), outcome.state.name())
            })
            .collect();
        Problem::Unavailable {
            detail: format!(
                "Who is missing may be in a repository that did not answer completely: {}; try again or \
                 narrow the filter.",
                unanswered.join(", ")
            ),
            retry_after: RETRY_AFTER,
            // Each was logged when it failed.
            cause: None,
        }
    }
}
