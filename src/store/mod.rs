//! Our own database. The only module that names `rusqlite` and `tokio_postgres`.
//!
//! A read is `query(sql, values) -> rows`; a write is a value, a `Change`, executed atomically.
//! Knows nothing of directories, caches or who is asking.

mod audit;
mod candidates;
mod condition;
mod engine;
mod index;
mod link;
mod prepare;
mod search;
#[cfg(test)]
mod tests;
mod token;
mod user;

use std::sync::Arc;

use jiff::Timestamp;

use crate::clock::Clock;
use crate::scim::{AttributePath, Attributes};
use engine::{Engine, Query};
use index::Index;

pub use engine::OpenError;
pub use token::{IssuedToken, KeptToken};

/// Our own database: rows, links, their index, and the audit trail of what was changed.
#[derive(Debug)]
pub struct Store {
    engine: Engine,
    index: Index,
    clock: Clock,
}

/// A row of the store: a user that is ours, linked to a directory entry or not.
#[derive(Clone, Debug)]
pub struct UserRow {
    /// Internal key, never shown.
    pub key: i64,
    /// Canonical id: a UUID of version 7, or `<repository>.<entry key>` for a linked row.
    pub id: String,
    /// Number of the tenant's sequence (the `activid` dialect's id).
    pub number: i64,
    pub user_type: UserType,
    /// Counts the row's changes, from 1.
    pub version: i64,
    pub created: Timestamp,
    pub last_modified: Timestamp,
    /// The values that the store owns, under canonical names.
    pub own: Attributes,
    pub link: Option<LinkRow>,
}

/// How a row came to be (`userType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserType {
    /// Local.
    Ftress,
    /// Bound to a directory entry.
    FtressLdap,
    /// Made by a provisioning agent.
    ScimFed,
}

impl UserType {
    /// In the order of their names.
    pub const ALL: [Self; 3] = [Self::Ftress, Self::FtressLdap, Self::ScimFed];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ftress => "FTRESS",
            Self::FtressLdap => "FTRESS_LDAP",
            Self::ScimFed => "SCIM_FED",
        }
    }

    /// As the column holds it: the place in [`UserType::ALL`].
    fn number(self) -> i64 {
        match self {
            Self::Ftress => 0,
            Self::FtressLdap => 1,
            Self::ScimFed => 2,
        }
    }

    fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|user_type| user_type.number() == number)
    }
}

/// The link of a bound user with its shadow: what was last seen of the entry.
#[derive(Clone, Debug)]
pub struct LinkRow {
    pub repository: String,
    pub entry_key: String,
    pub dn: String,
    /// The entry's mapped attributes when last seen by a write.
    pub shadow: Attributes,
    pub seen: Timestamp,
    /// `last_modified` of the entry when last seen.
    pub entry_modified: Option<Timestamp>,
}

/// What a row is found by. Strings are compared as the attribute's case rule says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RowKey {
    /// Canonical id or, where the text is decimal, the number.
    Id(String),
    /// Folded `userName` of the view (own value over shadow); several rows may have it.
    UserName(String),
    /// `externalId` of the view, exact.
    ExternalId(String),
    Link {
        repository: String,
        entry_key: String,
    },
}

/// What becomes of a user row: the whole of it, as it shall stand after the change.
#[derive(Clone, Debug)]
pub struct UserWrite {
    pub own: Attributes,
    /// Own values over directory values: what store searches see and what is indexed.
    pub view: Attributes,
    /// Whether the store owns the view's `userName` (then it must be unique in the tenant).
    pub owns_user_name: bool,
    /// Whether the store owns the view's `externalId` (then it must be unique in the tenant).
    pub owns_external_id: bool,
    pub link: Option<LinkRow>,
    pub at: Timestamp,
}

/// Why a write was not done; nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A store-owned `userName` or `externalId` is taken; the id of the one that has it.
    #[error("{attribute} is taken by {id}")]
    Taken { attribute: &'static str, id: String },
    /// The entry is linked already; the id of the row that it is linked to.
    #[error("the entry is bound to {id}")]
    Linked { id: String },
    /// The user that the entry was bound to is deleted; only an explicit POST binds it again.
    #[error("the user that the entry was bound to is deleted")]
    Tombstone,
    /// The row has another version than the caller read, or is gone.
    #[error("the row changed since it was read")]
    Stale,
    /// The database does not answer, or is too busy to. Nothing was done; it may be later.
    #[error("the database does not serve: {0}")]
    Unavailable(String),
    /// The database was lost while it committed: whether the write was done is not known.
    #[error("whether the write was done is not known: {0}")]
    Undecided(String),
    #[error("the database failed: {0}")]
    Database(String),
}

/// What an entry key of a repository leads to.
#[derive(Clone, Debug)]
pub enum LinkState {
    /// Bound.
    Row(Arc<UserRow>),
    /// The user that it was bound to is deleted.
    Tombstone { entry_key: String },
}

/// The order of a search's answer. Users without the attribute come last, in descending order
/// first; equal ones are in ascending order of their canonical ids in both.
#[derive(Clone, Debug)]
pub struct Sort {
    pub path: AttributePath,
    pub descending: bool,
}

/// What a search found.
#[derive(Clone, Debug, Default)]
pub struct StoreAnswer {
    pub rows: Vec<Arc<UserRow>>,
    /// How many match in all, when asked for and `exact`.
    pub total: Option<u64>,
    /// Whether `rows` is the page asked for: matches only, sorted, beginning at the offset. Else it
    /// holds all who may match, in no order, cut only where there are as many as the limit.
    pub exact: bool,
}

/// Which rows a search is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    All,
    Linked,
    Unlinked,
}

impl Store {
    /// Opens the database at `url` (`sqlite:<path>`, `sqlite::memory:`, or
    /// `postgres://<user>:<password>@<host>:<port>/<database>`, which `postgresql://` means as well
    /// and which takes libpq's parameters), brings its tables up to date and indexes `index` beside the standard attributes. Blocks while it does; building the
    /// index of an attribute that was not indexed before reads all users once.
    ///
    /// All who have a database open must index the same attributes.
    pub fn open(url: &str, index: &[AttributePath], clock: Clock) -> Result<Self, OpenError> {
        let wanted = index::wanted(index)?;
        let engine = Engine::open(url)?;
        let index = prepare::blocking(&engine, wanted)?;
        Ok(Self { engine, index, clock })
    }

    /// Whether the database answers.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.engine.query(Query::new("SELECT 1", [])).await?;
        Ok(())
    }

    /// Takes nothing more, finishes every write that was taken, and closes the database.
    pub async fn close(&self) {
        self.engine.close().await;
    }
}

impl From<engine::Failure> for StoreError {
    fn from(failure: engine::Failure) -> Self {
        match failure {
            engine::Failure::Unavailable(why) => Self::Unavailable(why),
            engine::Failure::Undecided(why) => Self::Undecided(why),
            other => Self::Database(other.to_string()),
        }
    }
}

/// An instant as the database holds it: in milliseconds.
fn milliseconds(at: Timestamp) -> i64 {
    at.as_millisecond()
}

fn timestamp(milliseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(milliseconds)
        .map_err(|error| StoreError::Database(format!("a column holds no instant: {error}")))
}
