//! PostgreSQL on a runtime of our own, so that what was begun is finished whoever gave up waiting.
//!
//! A change is one transaction whose statements are sent without waiting for each other, as far as
//! none takes what another returns. Whatever went wrong before its COMMIT was sent, nothing was done,
//! and what broke or was in the way is no reason not to try again; after that, an error that brings
//! no answer says that the outcome is not known.

mod address;
mod datum;
mod migrate;
mod pool;
mod tls;

use std::error::Error as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc as blocking};
use std::task::Poll;
use std::time::Duration;
use std::{fmt, thread};

use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::Statement as Prepared;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::{Change, Datum, Expect, Failure, OpenError, Query, REFERENCE, Returned, Row};
use address::{Address, said};
use datum::data;
use pool::{Pool, Purpose, Session};

/// How long a transaction may take before its connection is given up; the server ends a statement
/// sooner than that.
const LIMIT: Duration = Duration::from_secs(25);
/// How long a change that others are in the way of is tried again.
const PATIENCE: Duration = Duration::from_secs(10);

/// A PostgreSQL database with the connections to it.
pub struct Postgres {
    pool: Arc<Pool>,
    /// `None` once it is being dropped.
    runtime: Option<Runtime>,
    /// Every job holds a clone; `None` when nothing more is taken.
    open: Mutex<Option<mpsc::Sender<()>>>,
    ended: Mutex<Option<mpsc::Receiver<()>>>,
}

/// Why an attempt came to nothing.
enum Trouble {
    /// Trying again would bring the same.
    Told(Failure),
    /// The connection is of no use any more, and nothing was done.
    Lost(String),
    /// Others were in the way, and nothing was done.
    Again(String),
    /// The connection was lost after COMMIT was sent.
    Undecided(String),
}

impl Postgres {
    /// Connects to `url` and brings the tables up to date. Blocks while it does, on any thread.
    pub(super) fn open(url: &str) -> Result<Self, OpenError> {
        let address = Address::parse(url).map_err(|problem| OpenError::Server { problem })?;
        let threads = thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.min(4))
            .thread_name("store-postgres")
            .enable_all()
            .build()
            .map_err(|source| OpenError::Thread { source })?;
        let pool = Arc::new(Pool::new(address));
        let (send, receive) = blocking::channel();
        let migrating = Arc::clone(&pool);
        runtime.spawn(async move {
            let outcome = migrate::migrate(&migrating).await;
            // Nobody else waits for it.
            drop(send.send(outcome));
        });
        let outcome = receive.recv();
        let (open, ended) = mpsc::channel(1);
        let postgres = Self {
            pool,
            runtime: Some(runtime),
            open: Mutex::new(Some(open)),
            ended: Mutex::new(Some(ended)),
        };
        outcome.unwrap_or_else(|_| {
            let source = "the task ended early".into();
            Err(OpenError::Open { place: postgres.place().to_owned(), source })
        })?;
        Ok(postgres)
    }

    /// Without credentials.
    pub(super) fn place(&self) -> &str {
        self.pool.shown()
    }

    pub(super) async fn query(&self, query: Query) -> Result<Vec<Row>, Failure> {
        self.run(async move |pool| read(&pool, &query).await).await
    }

    pub(super) async fn execute(&self, change: Change) -> Result<Returned, Failure> {
        self.run(async move |pool| write(&pool, &change).await).await
    }

    pub(super) async fn close(&self) {
        drop(self.open.lock().unwrap_or_else(PoisonError::into_inner).take());
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut ended) = ended {
            // Nothing is ever sent: this waits until every job has dropped its sender.
            ended.recv().await;
        }
        self.pool.close();
    }

    /// Does `job` on our own runtime, whose clock and sockets it needs, and to its end even if the
    /// caller gives up.
    async fn run<T: Send + 'static, F: Future<Output = Result<T, Failure>> + Send>(
        &self,
        job: impl FnOnce(Arc<Pool>) -> F + Send + 'static,
    ) -> Result<T, Failure> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (Some(open), Some(runtime)) = (open, &self.runtime) else {
            return Err(Failure::closed());
        };
        let pool = Arc::clone(&self.pool);
        let (reply, answer) = oneshot::channel();
        runtime.spawn(async move {
            // Whoever gave up waiting needs no answer.
            drop(reply.send(job(pool).await));
            drop(open);
        });
        answer.await.map_err(|_| Failure::closed())?
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.pool.close();
        if let Some(runtime) = self.runtime.take() {
            // May be dropped by an async task, which must not wait.
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Postgres").field(&self.place()).finish()
    }
}

async fn read(pool: &Pool, query: &Query) -> Result<Vec<Row>, Failure> {
    let mut again = true;
    loop {
        let mut lease = pool.take(Purpose::Query).await?;
        let outcome = within(LIMIT, rows(&mut lease.session, query)).await;
        match outcome {
            Ok(rows) => {
                lease.keep();
                return Ok(rows);
            }
            Err(Trouble::Told(failure)) => {
                lease.keep();
                return Err(failure);
            }
            Err(Trouble::Lost(_) | Trouble::Again(_)) if again => pool.forget(),
            Err(Trouble::Lost(why) | Trouble::Again(why) | Trouble::Undecided(why)) => {
                return Err(Failure::Unavailable(why));
            }
        }
        again = false;
    }
}

async fn rows(session: &mut Session, query: &Query) -> Result<Vec<Row>, Trouble> {
    let texts = std::iter::once(&*query.sql);
    let prepared = session.prepare(texts).await.map_err(|error| trouble(&error, None))?;
    let Some(statement) = prepared.first() else { return Ok(Vec::new()) };
    let values = query.values.iter().collect();
    let outcome = run(session, statement, values, None).await?;
    Ok(outcome.found.into_iter().map(Row::new).collect())
}

async fn write(pool: &Pool, change: &Change) -> Result<Returned, Failure> {
    let end = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(2);
    let mut losses = 0;
    loop {
        let mut lease = pool.take(Purpose::Change).await?;
        match attempt(&mut lease.session, change).await {
            Ok(returned) => {
                lease.keep();
                return Ok(returned);
            }
            Err(Trouble::Told(failure)) => {
                if lease.session.client.batch_execute("ROLLBACK").await.is_ok() {
                    lease.keep();
                }
                return Err(failure);
            }
            Err(Trouble::Lost(why)) => {
                pool.forget();
                losses += 1;
                if losses > 1 {
                    return Err(Failure::Unavailable(why));
                }
            }
            Err(Trouble::Again(why)) => {
                if Instant::now() > end {
                    return Err(Failure::Unavailable(why));
                }
                if lease.session.client.batch_execute("ROLLBACK").await.is_ok() {
                    lease.keep();
                }
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(200));
            }
            Err(Trouble::Undecided(why)) => return Err(Failure::Undecided(why)),
        }
    }
}

/// The whole transaction; what it fails with before COMMIT leaves it open or its connection lost.
async fn attempt(session: &mut Session, change: &Change) -> Result<Returned, Trouble> {
    let returned = within(LIMIT, statements(session, change)).await?;
    match timeout(LIMIT, session.client.batch_execute("COMMIT")).await {
        Ok(Ok(())) => Ok(returned),
        Ok(Err(error)) => Err(match trouble(&error, None) {
            Trouble::Lost(why) => Trouble::Undecided(why),
            refused => refused,
        }),
        Err(_) => Err(Trouble::Undecided("the server did not answer in time".to_owned())),
    }
}

async fn statements(session: &mut Session, change: &Change) -> Result<Returned, Trouble> {
    let texts = change.statements.iter().map(|statement| &*statement.sql);
    let prepared = session.prepare(texts).await.map_err(|error| trouble(&error, None))?;
    let session = &*session;
    let mut returned = Returned::default();
    let mut begin = Some(Sent::new(session.client.batch_execute("BEGIN READ WRITE")).await);
    while returned.0.len() < change.statements.len() {
        let first = returned.0.len();
        let mut sent = Vec::new();
        // As far as values are there; a statement that takes what is not returned yet waits for it.
        for (place, statement) in change.statements.iter().enumerate().skip(first) {
            let values: Option<Vec<&Datum>> =
                statement.values.iter().map(|value| returned.resolve(value)).collect();
            match values {
                Some(values) => {
                    let running = run(session, &prepared[place], values, Some(place));
                    sent.push(Sent::new(running).await);
                }
                None if sent.is_empty() => {
                    return Err(Trouble::Told(Failure::Database(format!(
                        "statement {place} names a value that was not returned"
                    ))));
                }
                None => break,
            }
        }
        if let Some(begin) = begin.take() {
            begin.answer().await.map_err(|error| trouble(&error, None))?;
        }
        let mut found = Vec::with_capacity(sent.len());
        for (place, sent) in (first..).zip(sent) {
            let outcome = sent.answer().await?;
            if let Expect::Exactly(wanted) = change.statements[place].expect
                && outcome.concerned != wanted
            {
                let found = outcome.concerned;
                return Err(Trouble::Told(Failure::Unexpected { statement: place, found }));
            }
            found.push(outcome.found);
        }
        returned.0.extend(found);
    }
    if let Some(begin) = begin {
        begin.answer().await.map_err(|error| trouble(&error, None))?;
    }
    Ok(returned)
}

/// A request on its way. The client sends when it is polled first, so that requests made one after
/// the other arrive in that order, and are all under way while the first answer is waited for.
struct Sent<'a, T> {
    waiting: Pin<Box<dyn Future<Output = T> + Send + 'a>>,
    answer: Option<T>,
}

impl<'a, T> Sent<'a, T> {
    async fn new(request: impl Future<Output = T> + Send + 'a) -> Self {
        let mut waiting = Box::pin(request);
        let answer = match futures_util::poll!(&mut waiting) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        };
        Self { waiting, answer }
    }

    async fn answer(self) -> T {
        match self.answer {
            Some(answer) => answer,
            None => self.waiting.await,
        }
    }
}

struct Outcome {
    /// Rows given back.
    found: Vec<Vec<Datum>>,
    /// Rows given back or, by a statement that gives none back, changed.
    concerned: usize,
}

async fn run(
    session: &Session,
    statement: &Prepared,
    values: Vec<&Datum>,
    place: Option<usize>,
) -> Result<Outcome, Trouble> {
    // The client panics where they differ.
    let (wanted, given) = (statement.params().len(), values.len());
    if wanted != given {
        let told = format!("the statement takes {wanted} values, not {given}");
        return Err(Trouble::Told(Failure::Database(told)));
    }
    let values: Vec<&(dyn ToSql + Sync)> =
        values.into_iter().map(|value| value as &(dyn ToSql + Sync)).collect();
    if statement.columns().is_empty() {
        let changed = session.client.execute(statement, &values).await;
        let changed = changed.map_err(|error| trouble(&error, place))?;
        let concerned = usize::try_from(changed).unwrap_or(usize::MAX);
        return Ok(Outcome { found: Vec::new(), concerned });
    }
    let rows = session.client.query(statement, &values).await;
    let rows = rows.map_err(|error| trouble(&error, place))?;
    let found = rows.iter().map(data).collect::<Result<Vec<_>, _>>().map_err(Trouble::Told)?;
    Ok(Outcome { concerned: found.len(), found })
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(Trouble::Lost("the server did not answer in time".to_owned())))
}

/// What an error means that the server, or the way to it, made of a statement of a change or of a
/// query.
fn trouble(error: &tokio_postgres::Error, statement: Option<usize>) -> Trouble {
    let told = match statement {
        Some(statement) => format!("statement {statement}: {}", said(error)),
        None => said(error),
    };
    let Some(refusal) = error.as_db_error() else {
        let broken = error.is_closed()
            || error.source().is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
        return if broken { Trouble::Lost(told) } else { Trouble::Told(Failure::Database(told)) };
    };
    let code = refusal.code();
    match (statement, refusal.constraint()) {
        (Some(statement), Some(constraint)) if *code == SqlState::UNIQUE_VIOLATION => {
            let constraint = constraint.to_owned();
            return Trouble::Told(Failure::Violated { statement, constraint });
        }
        (Some(statement), _) if *code == SqlState::FOREIGN_KEY_VIOLATION => {
            let constraint = REFERENCE.to_owned();
            return Trouble::Told(Failure::Violated { statement, constraint });
        }
        _ => {}
    }
    // The classes of PostgreSQL's appendix "Error Codes".
    match (&code.code()[..2], code.code()) {
        (_, "40001" | "40P01") => Trouble::Again(told),
        // The connection or the server ends, the server only reads since another one took over, or
        // what was prepared is gone or stale.
        ("08" | "57", _) if *code != SqlState::QUERY_CANCELED => Trouble::Lost(told),
        (_, "25006" | "26000" | "0A000") => Trouble::Lost(told),
        // Too slow, behind a lock, or short of memory, space or connections.
        ("53", _) | (_, "57014" | "55P03") => Trouble::Told(Failure::Unavailable(told)),
        _ => Trouble::Told(Failure::Database(told)),
    }
}
