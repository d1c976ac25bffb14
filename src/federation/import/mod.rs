//! Imports: users that come as one body, wait for their turn in the store, and are made there one
//! part after the other.
//!
//! Knows nothing of how a body is read, nor of who does the work and when.

mod judge;
mod people;
mod queue;
mod terms;
mod work;

use super::possession::LOGIN;
use super::write::record;
use super::{Federation, GROUP, Problem, RETRY_AFTER, View, demand, invalid};
use crate::audit::{Action, AuditRecord};
use crate::caller::{Caller, Permission};
use crate::scim::dialect::{ImportReport, ImportStatus, RowFault};
use crate::store::{ImportRow, ImportState, RowKey, StoreError};
use terms::Terms;

pub use queue::{ImportJob, ImportQueue};
pub use work::{Advance, Underway};

/// How many imports of one tenant may wait for their turn.
const WAITING: u64 = 100;

/// Where a body names the policy of its users' authenticators.
const POLICY: &str = "authenticatorPolicy.value";

/// Letters of a correlation id, and how many it has.
const LETTERS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LENGTH: usize = 20;

/// An import that is coming in. It is dropped, or becomes a job; where neither happens, it goes by
/// itself in time.
#[derive(Debug)]
pub struct Coming {
    key: i64,
    correlation_id: String,
    /// How many rows are there.
    rows: u64,
}

impl Federation {
    /// Begins an import.
    pub async fn begin_import(&self, caller: &Caller, view: &View) -> Result<Coming, Problem> {
        demand(caller, Permission::UsersImport)?;
        if self.store.open_imports(&self.tenant).await? >= WAITING {
            return Err(Problem::Unavailable {
                detail: format!(
                    "{WAITING} imports wait for their turn; send this one when some are done."
                ),
                retry_after: RETRY_AFTER * 12,
                cause: None,
            });
        }
        let correlation_id = self.correlation_id();
        let terms = Terms::new(caller, None, view).written()?;
        let key = self.store.begin_import(&self.tenant, &correlation_id, &terms).await?;
        Ok(Coming { key, correlation_id, rows: 0 })
    }

    /// Takes the next rows of an import, `rows` in number: JSON, a line for each.
    pub async fn spool_import(
        &self,
        coming: &mut Coming,
        users: &str,
        rows: u64,
    ) -> Result<(), Problem> {
        self.store.spool_import(coming.key, coming.rows, users).await.map_err(given_up)?;
        coming.rows += rows;
        Ok(())
    }

    /// Makes a job of an import whose rows are all there; gives its correlation id.
    pub async fn queue_import(
        &self,
        caller: &Caller,
        coming: &Coming,
        group: &str,
        policy: Option<&str>,
        view: &View,
    ) -> Result<String, Problem> {
        let stored = self.rows.find(RowKey::Id(group.to_owned()), true).await?;
        let row = stored.rows.iter().find(|row| row.type_name.as_str() == GROUP);
        let shown: String = group.chars().take(200).collect();
        let row = row.ok_or_else(|| {
            invalid(format!("group.value: there is no group with the id \"{shown}\"."))
        })?;
        self.may_fill(caller, row)?;
        let terms = match policy {
            Some(policy) => {
                demand(caller, Permission::AuthenticatorsWrite)?;
                self.known_policy(policy, Some(LOGIN), POLICY)?;
                Some(Terms::new(caller, Some(policy), view).written()?)
            }
            None => None,
        };
        let record = self.import_record(caller, Action::Import, &coming.correlation_id, view);
        let (key, rows, terms) = (coming.key, coming.rows, terms.as_deref());
        let queued = self.store.queue_import(&self.tenant, key, row.key, rows, terms, record);
        queued.await.map_err(given_up)?;
        Ok(coming.correlation_id.clone())
    }

    /// Forgets an import that came in broken.
    pub async fn drop_import(&self, coming: &Coming) -> Result<(), Problem> {
        Ok(self.store.drop_import(coming.key).await?)
    }

    /// How far an import is, or what became of it, with `count` rows that made no user from the
    /// `start`th on, which is at least 1.
    pub async fn import_report(
        &self,
        caller: &Caller,
        correlation_id: &str,
        start: u64,
        count: u64,
    ) -> Result<ImportReport, Problem> {
        demand(caller, Permission::UsersImport)?;
        let import = self.import_of(correlation_id).await?;
        let counts = import.counts;
        let (faults, known) = if counts.existed + counts.failed == 0 {
            (Vec::new(), 0)
        } else {
            self.store.import_faults(import.key, start - 1, count.min(self.max_results())).await?
        };
        let ended = match import.state {
            ImportState::Cancelled => Some("The import was cancelled.".to_owned()),
            ImportState::Failed if counts.processed() < counts.size => {
                Some("The group was deleted before all rows were done.".to_owned())
            }
            _ => None,
        };
        let faults = faults.into_iter().map(|fault| RowFault {
            place: fault.place,
            name: fault.name,
            existed: fault.existed,
            kind: fault.kind,
            detail: fault.detail,
        });
        Ok(ImportReport {
            correlation_id: import.correlation_id,
            state: match import.state {
                ImportState::Coming | ImportState::Queued => ImportStatus::Importing,
                ImportState::Done => ImportStatus::Done,
                ImportState::Failed => ImportStatus::Failed,
                ImportState::Cancelled => ImportStatus::Cancelled,
            },
            size: counts.size,
            imported: counts.imported,
            existed: counts.existed,
            failed: counts.failed,
            ended,
            faults: faults.collect(),
            start,
            known,
        })
    }

    /// Calls an import off: what is done stays, the rest is not done.
    pub async fn cancel_import(
        &self,
        caller: &Caller,
        correlation_id: &str,
        view: &View,
    ) -> Result<(), Problem> {
        demand(caller, Permission::UsersImport)?;
        let import = self.import_of(correlation_id).await?;
        let record = self.import_record(caller, Action::Cancel, correlation_id, view);
        let end = self.store.end_import(&import, ImportState::Cancelled, None, Some(record));
        if import.state == ImportState::Cancelled || end.await? {
            return Ok(());
        }
        match self.import_of(correlation_id).await?.state {
            ImportState::Cancelled => Ok(()),
            _ => Err(Problem::Conflict(
                "The import has ended already; there is nothing left to cancel.".to_owned(),
            )),
        }
    }

    /// Of an import that is no job yet, nothing is told.
    async fn import_of(&self, correlation_id: &str) -> Result<ImportRow, Problem> {
        let import = self.store.import(&self.tenant, correlation_id).await?;
        import.filter(|import| import.state != ImportState::Coming).ok_or_else(|| {
            let shown: String = correlation_id.chars().take(200).collect();
            Problem::NotFound(format!(
                "There is no import with the correlation id \"{shown}\"; it is told for a week what \
                 became of one."
            ))
        })
    }

    fn import_record(
        &self,
        caller: &Caller,
        action: Action,
        correlation_id: &str,
        view: &View,
    ) -> AuditRecord {
        let at = self.clock.now();
        AuditRecord {
            correlation_id: Some(correlation_id.to_owned()),
            ..record(caller, self.users(), action, correlation_id, at, view)
        }
    }

    fn correlation_id(&self) -> String {
        let mut rest = self.clock.new_token().as_u128();
        let letter = |_| {
            let letter = LETTERS[(rest % 36) as usize];
            rest /= 36;
            char::from(letter)
        };
        (0..LENGTH).map(letter).collect()
    }
}

/// An import that came in too slowly was given up by whoever sweeps.
fn given_up(error: StoreError) -> Problem {
    match error {
        StoreError::Stale => Problem::Unavailable {
            detail: "The import was given up because nothing came for too long; send it again."
                .to_owned(),
            retry_after: RETRY_AFTER,
            cause: None,
        },
        other => other.into(),
    }
}
