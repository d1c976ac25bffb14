//! Connections to PostgreSQL: a bounded number, each with the statements that it has prepared.
//!
//! Knows nothing of transactions. A connection that broke is dropped, and the next one that is
//! needed is made anew, so that a server may be restarted under a running bridge.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::{Client, Statement};

use super::super::Failure;
use super::address::{Address, said};

/// How many connections serve queries, and how many changes, which may wait for each other's locks.
const READERS: usize = 8;
const WRITERS: usize = 8;
/// How long a query or a change waits for a connection.
const WAIT: Duration = Duration::from_secs(5);
/// How many statements a connection keeps prepared, and how long the longest of them is in bytes;
/// longer ones are some caller's own filter.
const STATEMENTS: usize = 256;
const LONGEST: usize = 8192;

/// What every connection begins with. Queries read only; changes say that they write. The plans of
/// short statements are not worth compiling.
const SESSION: &str = "SET default_transaction_read_only = on; \
     SET default_transaction_isolation = 'read committed'; SET standard_conforming_strings = on; \
     SET statement_timeout = '20s'; SET lock_timeout = '10s'; \
     SET idle_in_transaction_session_timeout = '60s'; SET jit = off";

/// What a connection is taken for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Query,
    Change,
}

/// The connections to one database.
pub(super) struct Pool {
    address: Address,
    readers: Semaphore,
    writers: Semaphore,
    idle: Mutex<Vec<Session>>,
    /// Whether the last attempt to connect failed, so that an outage is logged once.
    down: AtomicBool,
}

/// A connection with its prepared statements.
pub(super) struct Session {
    pub(super) client: Client,
    statements: HashMap<Box<str>, Statement>,
    /// The task that reads and writes the socket.
    driver: AbortHandle,
}

/// A connection in use; it goes back by [`Lease::keep`], and is closed when dropped.
pub(super) struct Lease<'a> {
    pool: &'a Pool,
    pub(super) session: Session,
    _permit: SemaphorePermit<'a>,
}

impl Pool {
    pub(super) fn new(address: Address) -> Self {
        Self {
            address,
            readers: Semaphore::new(READERS),
            writers: Semaphore::new(WRITERS),
            idle: Mutex::default(),
            down: AtomicBool::new(false),
        }
    }

    pub(super) fn shown(&self) -> &str {
        &self.address.shown
    }

    /// A connection that is idle, or else a new one.
    pub(super) async fn take(&self, purpose: Purpose) -> Result<Lease<'_>, Failure> {
        let end = Instant::now() + WAIT;
        let permits = match purpose {
            Purpose::Query => &self.readers,
            Purpose::Change => &self.writers,
        };
        let permit = match timeout_at(end, permits.acquire()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(Failure::closed()),
            Err(_) => {
                return Err(Failure::Unavailable(format!("no connection was free in {WAIT:?}")));
            }
        };
        let session = loop {
            let idle = self.idle().pop();
            match idle {
                Some(session) if session.client.is_closed() => {}
                Some(session) => break session,
                // A permit that was waited for long must not cost the time to connect.
                None => break self.reach(end.max(Instant::now() + WAIT / 2)).await?,
            }
        };
        Ok(Lease { pool: self, session, _permit: permit })
    }

    /// Closes what is idle: where one connection broke unseen, others did too.
    pub(super) fn forget(&self) {
        // Taken out first: closing takes its time.
        drop(std::mem::take(&mut *self.idle()));
    }

    /// Closes what is idle; what is in use is closed when it comes back.
    pub(super) fn close(&self) {
        self.readers.close();
        self.writers.close();
        self.forget();
    }

    async fn reach(&self, end: Instant) -> Result<Session, Failure> {
        let outcome = match timeout_at(end, self.connect()).await {
            Ok(outcome) => outcome.map_err(|error| said(&error)),
            Err(_) => Err("the server did not answer in time".to_owned()),
        };
        let database = &self.address.shown;
        match outcome {
            Ok(session) => {
                if self.down.swap(false, Ordering::Relaxed) {
                    tracing::info!(database, "store.reachable");
                }
                Ok(session)
            }
            Err(error) => {
                if !self.down.swap(true, Ordering::Relaxed) {
                    tracing::error!(database, error, "store.unreachable");
                }
                Err(Failure::Unavailable(error))
            }
        }
    }

    /// A new connection, in no pool.
    pub(super) async fn connect(&self) -> Result<Session, tokio_postgres::Error> {
        let (client, connection) = self.address.config.connect(self.address.tls.clone()).await?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = said(&error), "store.connection_lost");
            }
        });
        let driver = driver.abort_handle();
        let session = Session { client, statements: HashMap::new(), driver };
        session.client.batch_execute(SESSION).await?;
        Ok(session)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// These statements, prepared; the ones that are not yet are in one go.
    pub(super) async fn prepare<'s>(
        &mut self,
        texts: impl Iterator<Item = &'s str>,
    ) -> Result<Vec<Statement>, tokio_postgres::Error> {
        let texts: Vec<&str> = texts.collect();
        let mut missing: Vec<&str> =
            texts.iter().copied().filter(|text| !self.statements.contains_key(*text)).collect();
        missing.sort_unstable();
        missing.dedup();
        let client = &self.client;
        let made = try_join_all(missing.iter().map(|text| client.prepare(text))).await?;
        let made: HashMap<&str, Statement> = missing.into_iter().zip(made).collect();
        let all = texts
            .iter()
            .filter_map(|text| self.statements.get(*text).or_else(|| made.get(text)).cloned())
            .collect();
        if self.statements.len() + made.len() > STATEMENTS {
            self.statements.clear();
        }
        let kept = made.into_iter().filter(|(text, _)| text.len() <= LONGEST).take(STATEMENTS);
        self.statements.extend(kept.map(|(text, statement)| (text.into(), statement)));
        Ok(all)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A server that hangs would keep the task, and the socket, for ever.
        if !self.client.is_closed() {
            self.driver.abort();
        }
    }
}

impl Lease<'_> {
    /// Puts the connection back, for the next one.
    pub(super) fn keep(self) {
        let Self { pool, session, .. } = self;
        if !pool.readers.is_closed() && !session.client.is_closed() {
            pool.idle().push(session);
        }
    }
}
