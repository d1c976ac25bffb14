//! SQLite on threads of our own: readers, and one writer that puts many waiting changes into one
//! commit.
//!
//! A change that has neighbours runs in a savepoint of its own, so that one that fails leaves them alone,
//! and is answered only after the COMMIT has returned, whether it was done or refused. A database in
//! memory lives in one connection, which one thread serves.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, ffi};
use tokio::sync::{mpsc, oneshot};

use super::queue::Queue;
use super::{
    Change, Datum, Expect, Failure, OpenError, Place, Query, REFERENCE, Returned, Row, migrate,
};

/// How many requests may wait for a reader or for the writer before their senders wait.
const QUEUE: usize = 1024;
/// How many changes one commit takes at most.
const GROUP: usize = 256;
/// How long another process may hold the write lock.
const BUSY: Duration = Duration::from_secs(10);

/// A SQLite database with its threads.
#[derive(Debug)]
pub struct Sqlite {
    place: Place,
    reads: Arc<Queue<Job>>,
    /// The same queue as `reads` for a database in memory.
    writes: Arc<Queue<Job>>,
    ended: Mutex<Option<Ended>>,
}

/// Each is closed when the last of its threads has ended.
#[derive(Debug)]
struct Ended {
    of_readers: mpsc::Receiver<()>,
    of_writer: mpsc::Receiver<()>,
}

#[derive(Debug)]
enum Job {
    Query(Query, oneshot::Sender<Result<Vec<Row>, Failure>>),
    Change(Change, oneshot::Sender<Result<Returned, Failure>>),
}

type Waiting = (Change, oneshot::Sender<Result<Returned, Failure>>);

impl Sqlite {
    pub(super) fn open(place: &Place) -> Result<Self, OpenError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| OpenError::Open {
            place: place.to_string(),
            source,
        };
        if let Place::File(path) = place {
            create_private(path).map_err(|error| failed(error.into()))?;
        }
        let mut connection = connect(place, Role::Writer).map_err(|error| failed(error.into()))?;
        migrate::migrate(&mut connection, place)?;

        let (writer_lives, of_writer) = mpsc::channel(1);
        let (reader_lives, of_readers) = mpsc::channel(1);
        let writes = Arc::new(Queue::new(QUEUE));
        let reads = match place {
            Place::Memory => Arc::clone(&writes),
            Place::File(_) => Arc::new(Queue::new(QUEUE)),
        };
        // From here on an early return must end the threads that were started.
        let sqlite = Self {
            place: place.clone(),
            reads: Arc::clone(&reads),
            writes: Arc::clone(&writes),
            ended: Mutex::new(Some(Ended { of_readers, of_writer })),
        };
        start("store-writer", connection, writes, GROUP, writer_lives)
            .map_err(|error| failed(error.into()))?;
        if matches!(place, Place::File(_)) {
            let readers =
                thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8));
            for number in 0..readers {
                let reader = connect(place, Role::Reader).map_err(|error| failed(error.into()))?;
                let name = format!("store-reader-{number}");
                start(&name, reader, Arc::clone(&reads), 1, reader_lives.clone())
                    .map_err(|error| failed(error.into()))?;
            }
        }
        Ok(sqlite)
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) async fn query(&self, query: Query) -> Result<Vec<Row>, Failure> {
        let (reply, answer) = oneshot::channel();
        self.reads.push(Job::Query(query, reply)).await.map_err(|_| Failure::closed())?;
        answer.await.map_err(|_| Failure::closed())?
    }

    pub(super) async fn execute(&self, change: Change) -> Result<Returned, Failure> {
        let (reply, answer) = oneshot::channel();
        self.writes.push(Job::Change(change, reply)).await.map_err(|_| Failure::closed())?;
        answer.await.map_err(|_| Failure::closed())?
    }

    /// After all that waits to be written at the time, in a commit of its own.
    pub(super) async fn execute_behind(&self, change: Change) -> Result<Returned, Failure> {
        let (reply, answer) = oneshot::channel();
        self.writes.push_behind(Job::Change(change, reply)).await.map_err(|_| Failure::closed())?;
        answer.await.map_err(|_| Failure::closed())?
    }

    pub(super) async fn close(&self) {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.reads.close();
        // The writer goes last and alone: of two connections that close at the same moment each takes
        // the other for one that stays, and neither clears the write-ahead log away. Nothing is ever
        // sent: this waits until every thread has dropped its sender.
        if let Some(Ended { mut of_readers, mut of_writer }) = ended {
            of_readers.recv().await;
            self.writes.close();
            of_writer.recv().await;
        }
        self.writes.close();
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.reads.close();
        self.writes.close();
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Memory => f.write_str("in memory"),
        }
    }
}

/// Creates the file so that nobody else reads it; SQLite gives its companions the same rights.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

#[derive(Clone, Copy)]
enum Role {
    Reader,
    Writer,
}

fn connect(place: &Place, role: Role) -> rusqlite::Result<Connection> {
    let connection = match place {
        Place::Memory => Connection::open_in_memory()?,
        // Without SQLITE_OPEN_URI: a path is a path, whatever characters it has.
        Place::File(path) => Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?,
    };
    connection.busy_timeout(BUSY)?;
    if matches!(role, Role::Writer) {
        // Answers with the mode that results: `memory` for a database in memory.
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    }
    // case_sensitive_like: folding is done before, and what is compared here is compared exactly.
    connection.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA case_sensitive_like = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA temp_store = MEMORY;
         PRAGMA mmap_size = 268435456;
         PRAGMA cache_size = -16384;",
    )?;
    if matches!(role, Role::Reader) {
        connection.execute_batch("PRAGMA query_only = ON;")?;
    }
    // The bundled SQLite has STAT4, with which every newly bound value would plan its statement anew;
    // the plans here do not depend on values.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(256);
    Ok(connection)
}

fn start(
    name: &str,
    connection: Connection,
    queue: Arc<Queue<Job>>,
    group: usize,
    alive: mpsc::Sender<()>,
) -> std::io::Result<()> {
    /// Ends the waiting of all senders even if the thread should end by a panic.
    struct Abandon(Arc<Queue<Job>>);
    impl Drop for Abandon {
        fn drop(&mut self) {
            self.0.abandon();
        }
    }
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let abandon = Abandon(queue);
        serve(&connection, &abandon.0, group);
        drop(connection);
        drop(abandon);
        drop(alive);
    })?;
    Ok(())
}

fn serve(connection: &Connection, queue: &Queue<Job>, group: usize) {
    let mut jobs = Vec::new();
    let mut changes = Vec::new();
    while queue.take(group, &mut jobs) {
        for job in jobs.drain(..) {
            match job {
                Job::Change(change, reply) => changes.push((change, reply)),
                Job::Query(query, reply) => {
                    commit(connection, &mut changes);
                    // Whoever gave up waiting needs no answer.
                    if !reply.is_closed() {
                        drop(reply.send(read(connection, &query)));
                    }
                }
            }
        }
        commit(connection, &mut changes);
    }
}

fn read(connection: &Connection, query: &Query) -> Result<Vec<Row>, Failure> {
    let rows =
        run(connection, &query.sql, query.values.iter()).map_err(|error| database(&error))?;
    Ok(rows.found.into_iter().map(Row::new).collect())
}

/// Executes the waiting changes in one transaction and answers them.
fn commit(connection: &Connection, waiting: &mut Vec<Waiting>) {
    waiting.retain(|(_, reply)| !reply.is_closed());
    if waiting.is_empty() {
        return;
    }
    if let Err(error) = step(connection, "BEGIN IMMEDIATE") {
        return refuse(waiting.drain(..).map(|(_, reply)| reply), &database(&error));
    }
    // Within a savepoint SQLite keeps every page that is touched once more, which costs a long change
    // as much again.
    let alone = waiting.len() == 1;
    let mut done = Vec::with_capacity(waiting.len());
    let mut changes = waiting.drain(..);
    for (change, reply) in changes.by_ref() {
        let outcome = if alone { execute(connection, &change) } else { apply(connection, &change) };
        // Some errors (a full disk) end the whole transaction, neighbours and all.
        let ended = connection.is_autocommit();
        done.push((outcome, reply));
        if ended {
            break;
        }
    }
    let committed = match done.as_slice() {
        [(Err(failure), _)] if alone => Err(failure.clone()),
        _ if connection.is_autocommit() => {
            Err(Failure::Database("another change ended the transaction".to_owned()))
        }
        _ => step(connection, "COMMIT").map_err(|error| database(&error)),
    };
    match committed {
        Ok(()) => {
            // A failure too is told only now: what it collided with may be in this very commit, and
            // whoever is told goes and looks.
            for (outcome, reply) in done {
                drop(reply.send(outcome));
            }
        }
        Err(failure) => {
            if !connection.is_autocommit() {
                drop(step(connection, "ROLLBACK"));
            }
            let others = changes.map(|(_, reply)| reply);
            refuse(done.into_iter().map(|(_, reply)| reply).chain(others), &failure);
        }
    }
}

fn refuse(
    replies: impl Iterator<Item = oneshot::Sender<Result<Returned, Failure>>>,
    failure: &Failure,
) {
    for reply in replies {
        drop(reply.send(Err(failure.clone())));
    }
}

/// So that its neighbours stand when it fails.
fn apply(connection: &Connection, change: &Change) -> Result<Returned, Failure> {
    step(connection, "SAVEPOINT change").map_err(|error| database(&error))?;
    let result = execute(connection, change);
    let end = match &result {
        Ok(_) => step(connection, "RELEASE change"),
        Err(_) if connection.is_autocommit() => Ok(()),
        Err(_) => {
            step(connection, "ROLLBACK TO change").and_then(|()| step(connection, "RELEASE change"))
        }
    };
    end.map_err(|error| database(&error))?;
    result
}

fn execute(connection: &Connection, change: &Change) -> Result<Returned, Failure> {
    let mut returned = Returned::default();
    for (place, statement) in change.statements.iter().enumerate() {
        let values = statement.values.iter().map(|value| returned.resolve(value));
        let values = values.collect::<Option<Vec<_>>>().ok_or_else(|| {
            Failure::Database(format!("statement {place} names a value that was not returned"))
        })?;
        let outcome = run(connection, &statement.sql, values.into_iter())
            .map_err(|error| refusal(place, &error))?;
        if let Expect::Exactly(wanted) = statement.expect
            && outcome.concerned != wanted
        {
            return Err(Failure::Unexpected { statement: place, found: outcome.concerned });
        }
        returned.0.push(outcome.found);
    }
    Ok(returned)
}

struct Outcome {
    /// Rows given back.
    found: Vec<Vec<Datum>>,
    /// Rows given back or, by a statement that gives none back, changed.
    concerned: usize,
}

fn run<'a>(
    connection: &Connection,
    sql: &str,
    values: impl ExactSizeIterator<Item = &'a Datum>,
) -> rusqlite::Result<Outcome> {
    let mut statement = connection.prepare_cached(sql)?;
    if statement.parameter_count() != values.len() {
        return Err(rusqlite::Error::InvalidParameterCount(
            values.len(),
            statement.parameter_count(),
        ));
    }
    for (place, value) in values.enumerate() {
        statement.raw_bind_parameter(place + 1, value)?;
    }
    let columns = statement.column_count();
    if columns == 0 {
        return Ok(Outcome { found: Vec::new(), concerned: statement.raw_execute()? });
    }
    let mut rows = statement.raw_query();
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(
            (0..columns).map(|column| datum(row.get_ref(column)?)).collect::<Result<_, _>>()?,
        );
    }
    Ok(Outcome { concerned: found.len(), found })
}

fn datum(value: ValueRef<'_>) -> rusqlite::Result<Datum> {
    Ok(match value {
        ValueRef::Null => Datum::Null,
        ValueRef::Integer(integer) => Datum::Integer(integer),
        ValueRef::Real(real) => Datum::Real(real),
        ValueRef::Text(text) => Datum::Text(std::str::from_utf8(text)?.to_owned()),
        ValueRef::Blob(_) => {
            return Err(rusqlite::types::FromSqlError::InvalidType.into());
        }
    })
}

impl ToSql for Datum {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(integer) => ValueRef::Integer(*integer),
            Self::Real(real) => ValueRef::Real(*real),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

fn step(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.raw_execute().map(drop)
}

/// What a failed statement means. SQLite names the columns of the index that refused
/// (`UNIQUE constraint failed: resources.tenant, resources.id`), never its name; indexes are named after
/// their table and their last column, which gives the name that other engines tell.
fn refusal(statement: usize, error: &rusqlite::Error) -> Failure {
    if let rusqlite::Error::SqliteFailure(
        ffi::Error {
            code: ErrorCode::ConstraintViolation,
            extended_code: ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY,
        },
        Some(text),
    ) = error
    {
        let column = text.rsplit([',', ':']).next().unwrap_or_default().trim();
        return Failure::Violated { statement, constraint: column.replace('.', "_") };
    }
    if let rusqlite::Error::SqliteFailure(
        ffi::Error { extended_code: ffi::SQLITE_CONSTRAINT_FOREIGNKEY, .. },
        _,
    ) = error
    {
        return Failure::Violated { statement, constraint: REFERENCE.to_owned() };
    }
    Failure::Database(format!("statement {statement}: {error}"))
}

fn database(error: &rusqlite::Error) -> Failure {
    Failure::Database(error.to_string())
}
