//! The databases that may stand behind the store, each behind the same two verbs: a query gives
//! rows, a [`Change`] is a value that is done whole or not at all.
//!
//! Knows nothing of resources: SQL goes in as text with `$1`, `$2`, … numbered in order of first
//! appearance, which every engine reads alike.

mod migrate;
mod postgres;
mod queue;
mod sqlite;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::path::PathBuf;

/// A database behind the store.
#[derive(Debug)]
pub enum Engine {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

/// A value in the database.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

/// A parameter of a statement in a change.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Known(Datum),
    /// What an earlier statement of the same change returned in its first row.
    From {
        statement: usize,
        column: usize,
    },
}

/// A reading statement with its parameters.
#[derive(Clone, Debug)]
pub struct Query {
    pub sql: Cow<'static, str>,
    pub values: Vec<Datum>,
}

/// A writing statement with its parameters.
#[derive(Clone, Debug)]
pub struct Statement {
    pub sql: Cow<'static, str>,
    pub values: Vec<Value>,
    pub expect: Expect,
}

/// How many rows a statement must concern; else its whole change fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    Exactly(usize),
    Any,
}

/// Statements that are executed in order, all or none.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub statements: Vec<Statement>,
}

/// Why a query or a change was not done; of a change nothing was.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// A unique index refused a row, or ([`REFERENCE`]) what a row refers to is not there.
    #[error("statement {statement} violates {constraint}")]
    Violated { statement: usize, constraint: String },
    /// [`Expect`] was not met.
    #[error("statement {statement} concerned {found} rows")]
    Unexpected { statement: usize, found: usize },
    /// The database does not answer, or is too busy to; nothing was done, and it may be later.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The way to the database broke while it made up its mind.
    #[error("the database was lost while it committed, perhaps before and perhaps after: {0}")]
    Undecided(String),
    #[error("{0}")]
    Database(String),
}

/// The name under which a [`Failure::Violated`] tells of any foreign key.
pub(super) const REFERENCE: &str = "reference";

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    // The URL itself is not repeated: it may hold a password.
    #[error(
        "the store's URL is none of \"sqlite:<path>\", \"sqlite::memory:\" and \
         \"postgres://<user>@<host>/<database>\""
    )]
    Url,
    #[error("the store's URL cannot be used: {problem}")]
    Server { problem: String },
    #[error("the database {place} cannot be opened")]
    Open { place: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error(
        "the database {place} has format {found}, this program knows formats up to {known}: it \
         was written by a newer version; run that version, or restore a backup"
    )]
    Newer { place: String, found: i64, known: i64 },
    #[error(
        "the database {place} holds tables of another program; name another one in [store] url"
    )]
    Foreign { place: String },
    #[error("the database {place} could not be brought to format {format}")]
    Migrate { place: String, format: i64, source: Box<dyn std::error::Error + Send + Sync> },
    #[error(
        "[store] index names \"{path}\", which cannot be indexed: name a simple attribute of a \
         known schema"
    )]
    Unindexable { path: String },
    #[error("the index of the database {place} could not be built")]
    Index { place: String, source: Failure },
    #[error("no thread could be started for the store")]
    Thread { source: std::io::Error },
}

/// Where a SQLite database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    File(PathBuf),
    /// In memory, gone when the store is closed.
    Memory,
}

/// One row of an answer, read column by column in the order of the query.
#[derive(Debug)]
pub struct Row(std::vec::IntoIter<Datum>);

/// What the statements of a change returned.
#[derive(Debug, Default)]
pub struct Returned(Vec<Vec<Vec<Datum>>>);

impl Engine {
    /// Opens `url` and brings its tables up to date. Blocks while it does.
    pub fn open(url: &str) -> Result<Self, OpenError> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return postgres::Postgres::open(url).map(Self::Postgres);
        }
        let path = url.strip_prefix("sqlite:").ok_or(OpenError::Url)?;
        let place = match path.strip_prefix("//").unwrap_or(path) {
            "" => return Err(OpenError::Url),
            ":memory:" => Place::Memory,
            path => Place::File(PathBuf::from(path)),
        };
        sqlite::Sqlite::open(&place).map(Self::Sqlite)
    }

    /// Where the database is, for errors; without credentials.
    pub fn place(&self) -> String {
        match self {
            Self::Sqlite(sqlite) => sqlite.place().to_string(),
            Self::Postgres(postgres) => postgres.place().to_owned(),
        }
    }

    /// The rows of one reading statement.
    pub async fn query(&self, query: Query) -> Result<Vec<Row>, Failure> {
        match self {
            Self::Sqlite(sqlite) => sqlite.query(query).await,
            Self::Postgres(postgres) => postgres.query(query).await,
        }
    }

    /// Executes `change`; when this returns `Ok`, it is on disk.
    pub async fn execute(&self, change: Change) -> Result<Returned, Failure> {
        match self {
            Self::Sqlite(sqlite) => sqlite.execute(change).await,
            Self::Postgres(postgres) => postgres.execute(change).await,
        }
    }

    /// The same for what may wait: where one writer does all the changes, others go before.
    pub async fn execute_behind(&self, change: Change) -> Result<Returned, Failure> {
        match self {
            Self::Sqlite(sqlite) => sqlite.execute_behind(change).await,
            Self::Postgres(postgres) => postgres.execute(change).await,
        }
    }

    /// Takes nothing more, finishes what was taken, and closes the database.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(sqlite) => sqlite.close().await,
            Self::Postgres(postgres) => postgres.close().await,
        }
    }
}

impl Change {
    /// Adds a statement and gives its place, for [`Value::From`].
    pub fn push<const N: usize>(
        &mut self,
        sql: &'static str,
        values: [Value; N],
        expect: Expect,
    ) -> usize {
        self.statements.push(Statement { sql: sql.into(), values: values.into(), expect });
        self.statements.len() - 1
    }
}

impl Query {
    pub fn new<const N: usize>(sql: &'static str, values: [Datum; N]) -> Self {
        Self { sql: sql.into(), values: values.into() }
    }
}

impl Row {
    pub fn new(data: Vec<Datum>) -> Self {
        Self(data.into_iter())
    }

    fn next(&mut self) -> Datum {
        self.0.next().unwrap_or(Datum::Null)
    }

    /// Whether the next column holds nothing; reads no column.
    pub fn is_null(&self) -> bool {
        matches!(self.0.as_slice(), [] | [Datum::Null, ..])
    }

    pub fn integer(&mut self) -> Result<i64, Failure> {
        self.optional_integer()?.ok_or_else(|| unexpected("an integer", &Datum::Null))
    }

    pub fn optional_integer(&mut self) -> Result<Option<i64>, Failure> {
        match self.next() {
            Datum::Integer(integer) => Ok(Some(integer)),
            Datum::Null => Ok(None),
            other => Err(unexpected("an integer", &other)),
        }
    }

    pub fn text(&mut self) -> Result<String, Failure> {
        self.optional_text()?.ok_or_else(|| unexpected("a text", &Datum::Null))
    }

    pub fn optional_text(&mut self) -> Result<Option<String>, Failure> {
        match self.next() {
            Datum::Text(text) => Ok(Some(text)),
            Datum::Null => Ok(None),
            other => Err(unexpected("a text", &other)),
        }
    }
}

/// Names what was wanted and the kind of what was there, never the value.
fn unexpected(wanted: &str, found: &Datum) -> Failure {
    let found = match found {
        Datum::Null => "nothing",
        Datum::Integer(_) => "an integer",
        Datum::Real(_) => "a number",
        Datum::Text(_) => "a text",
    };
    Failure::Database(format!("a column holds {found} in place of {wanted}"))
}

impl Failure {
    /// The place of the statement that was refused.
    pub fn statement(&self) -> Option<usize> {
        match self {
            Self::Violated { statement, .. } | Self::Unexpected { statement, .. } => {
                Some(*statement)
            }
            Self::Unavailable(_) | Self::Undecided(_) | Self::Database(_) => None,
        }
    }

    fn closed() -> Self {
        Self::Database("the store is closed".to_owned())
    }
}

impl Returned {
    fn resolve<'a>(&'a self, value: &'a Value) -> Option<&'a Datum> {
        match value {
            Value::Known(datum) => Some(datum),
            Value::From { statement, column } => self.0.get(*statement)?.first()?.get(*column),
        }
    }

    /// All rows that a statement of the change returned.
    pub fn rows(&self, statement: usize) -> impl Iterator<Item = Row> {
        self.0.get(statement).into_iter().flatten().map(|row| Row::new(row.clone()))
    }

    /// The first row that a statement of the change returned.
    pub fn row(&self, statement: usize) -> Result<Row, Failure> {
        let rows = self.0.get(statement).and_then(|rows| rows.first());
        rows.map(|row| Row::new(row.clone()))
            .ok_or_else(|| Failure::Database(format!("statement {statement} returned no row")))
    }
}

impl From<i64> for Datum {
    fn from(integer: i64) -> Self {
        Self::Integer(integer)
    }
}

impl From<f64> for Datum {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<String> for Datum {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Datum {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl<T: Into<Datum>> From<Option<T>> for Datum {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<T: Into<Datum>> From<T> for Value {
    fn from(value: T) -> Self {
        Self::Known(value.into())
    }
}
