//! Our own database. The only module that names `rusqlite` and `tokio_postgres`.
//!
//! A read is `query(sql, values) -> rows`; a write is a value, a `Change`, executed atomically.
//! Knows nothing of directories, caches or who is asking.

mod audit;
mod candidates;
mod condition;
mod configure;
mod engine;
mod explain;
mod forget;
mod gift;
mod import;
mod index;
mod intent;
mod joining;
mod lease;
mod link;
mod member;
mod membership;
mod owner;
mod prepare;
mod presence;
mod refusal;
mod rename;
mod resource;
mod seal;
mod search;
mod settings;
#[cfg(test)]
mod tests;
mod token;
mod unique;
mod walk;
mod write;

use std::sync::Arc;

use aws_lc_rs::hmac;
use jiff::Timestamp;
use tokio::sync::OnceCell;

use crate::audit::AuditRecord;
use crate::clock::Clock;
use crate::scim::{AttributePath, Attributes, Filter, ResourceType};
use engine::{Engine, Query};
use index::Index;

pub use audit::{AuditFilter, Tail};
pub use configure::Configured;
pub use engine::OpenError;
pub use explain::{Statement, Statements};
pub use forget::Departed;
pub use gift::{Gift, GiftKind};
pub use import::{
    Clash, FAULTS, ImportBatch, ImportCounts, ImportFault, ImportRefusal, ImportRow, ImportState,
    Numbers,
};
pub use intent::Intent;
pub use joining::Joining;
pub use member::{Member, Membership};
pub use membership::{Enrolled, Members};
pub use owner::{Changed, NewOwner, Owned, Owner, Ownership};
pub use presence::{AHEAD, Census, Linked, Presence, Refresh, Verified};
pub use rename::{Renamed, Renaming};
pub use seal::Sealed;
pub use token::{IssuedToken, KeptToken, StaticToken};
pub use unique::UniqueValue;

/// Our own database: rows, links, their index, and the audit trail of what was changed.
#[derive(Debug)]
pub struct Store {
    engine: Engine,
    index: Index,
    clock: Clock,
    /// Of the digests of `externalId`s of deleted users.
    departed_key: OnceCell<hmac::Key>,
}

/// The name of a resource type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TypeName {
    User,
    Group,
    Device,
    Authenticator,
    /// Another one; [`TypeName::new`] makes it.
    Other(Arc<str>),
}

impl TypeName {
    pub fn new(name: &str) -> Self {
        match name {
            "User" => Self::User,
            "Group" => Self::Group,
            "Device" => Self::Device,
            "Authenticator" => Self::Authenticator,
            other => Self::Other(Arc::from(other)),
        }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
            Self::Device => "Device",
            Self::Authenticator => "Authenticator",
            Self::Other(name) => name,
        }
    }

    /// Whether the resources are a user's: devices and authenticators.
    pub fn is_owned(&self) -> bool {
        matches!(self, Self::Device | Self::Authenticator)
    }

    /// The attribute that names a resource to people and is unique where the store owns it: found by
    /// [`RowKey::Name`], compared without regard to case. Types beside users and groups have none.
    pub fn naming(&self) -> Option<&'static str> {
        match self {
            Self::User => Some("userName"),
            Self::Group => Some("displayName"),
            Self::Device | Self::Authenticator | Self::Other(_) => None,
        }
    }
}

/// What of a resource type's resources is indexed beside the usual attributes, and what it declares
/// unique.
#[derive(Debug)]
pub struct IndexedType<'a> {
    pub resource_type: &'a ResourceType,
    pub further: Vec<AttributePath>,
}

/// A row of the store: a resource that is ours; a user may be linked to a directory entry.
#[derive(Clone, Debug)]
pub struct ResourceRow {
    /// Internal key, never shown.
    pub key: i64,
    pub type_name: TypeName,
    /// Canonical id: a UUID of version 7, or `<repository>.<entry key>` for a linked row.
    pub id: String,
    /// Number of the tenant's sequence, over all types (the `activid` dialect's id).
    pub number: i64,
    /// [`UserType::Ftress`] of what is no user.
    pub user_type: UserType,
    /// Counts the row's changes, from 1.
    pub version: i64,
    pub created: Timestamp,
    pub last_modified: Timestamp,
    /// The values that the store owns, under canonical names; a group's members are not among them.
    pub own: Attributes,
    /// The groups that a user or group is in, directly or through groups, in the order of their ids,
    /// as they were when the row was read.
    pub groups: Arc<[Membership]>,
    /// What a user has, in the order of the numbers, as it was when the row was read.
    pub owned: Arc<[Owned]>,
    /// Whose a device or an authenticator is, in the same way.
    pub owner: Option<Arc<Owner>>,
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
    /// The entry's mapped attributes when last seen.
    pub shadow: Attributes,
    pub seen: Timestamp,
    /// `last_modified` of the entry when last seen.
    pub entry_modified: Option<Timestamp>,
    /// What rules gave the person when last seen.
    pub given: Vec<Gift>,
    pub presence: Presence,
}

/// What a row is found by. Strings are compared as the attribute's case rule says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RowKey {
    /// Canonical id or, where the text is decimal, the number; of whatever type.
    Id(String),
    /// Folded naming attribute of the view (own value over shadow); several rows may have it.
    Name(TypeName, String),
    /// `externalId` of the view, exact.
    ExternalId(TypeName, String),
    Link {
        repository: String,
        entry_key: String,
    },
}

/// A row that is to be made.
#[derive(Clone, Debug)]
pub struct NewResource<'a> {
    pub type_name: TypeName,
    /// Canonical id.
    pub id: &'a str,
    /// Of a row with a link it is [`UserType::FtressLdap`], whatever this says.
    pub user_type: UserType,
    pub write: &'a ResourceWrite,
    /// Whether a tombstone in the link's place is replaced; else it is [`StoreError::Tombstone`].
    pub revive: bool,
    pub record: AuditRecord,
}

/// What becomes of a row: the whole of it, as it shall stand after the change.
#[derive(Clone, Debug)]
pub struct ResourceWrite {
    pub own: Attributes,
    /// Own values over directory values: what store searches see and what is indexed.
    pub view: Attributes,
    /// Whether the store owns the view's naming attribute (then it must be unique among the
    /// tenant's resources of the type).
    pub owns_name: bool,
    /// Whether the store owns the view's `externalId` and it must be unique, in the same way.
    pub owns_external_id: bool,
    /// Further values of `own` that nobody else of the type in the tenant may have
    /// ([`UniqueValue::all`]).
    pub unique: Vec<UniqueValue>,
    pub link: Option<LinkRow>,
    /// The id of the [`Intent`] that this brings to its end.
    pub settles: Option<String>,
    pub at: Timestamp,
}

/// Why a write was not done; nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A unique value that the store owns is taken: the attribute's path, and the id of the one that
    /// has it.
    #[error("{attribute} is taken by {id}")]
    Taken { attribute: String, id: String },
    /// The entry is linked already; the id of the row that it is linked to.
    #[error("the entry is bound to {id}")]
    Linked { id: String },
    /// The user that the entry was bound to is deleted; only an explicit POST binds it again.
    #[error("the user that the entry was bound to is deleted")]
    Tombstone,
    /// There is no user and no group with this id, to be a member.
    #[error("there is no user and no group {id}")]
    NoMember { id: String },
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
    Row(Arc<ResourceRow>),
    /// The user that it was bound to is deleted.
    Tombstone { entry_key: String },
}

/// What is searched for, and which part of it is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    pub type_name: &'a TypeName,
    pub filter: Option<&'a Filter>,
    pub rows: Rows,
    pub sort: &'a Sort,
    pub start: Start<'a>,
    /// How many rows at most.
    pub limit: u64,
    /// Whether [`StoreAnswer::total`] is wanted.
    pub count_total: bool,
    /// Whether [`ResourceRow::owned`] is wanted; else it is empty.
    pub owned: bool,
}

impl<'a> Search<'a> {
    /// The first rows of a list, without their total and what they own.
    pub fn first(
        type_name: &'a TypeName,
        filter: Option<&'a Filter>,
        sort: &'a Sort,
        limit: u64,
    ) -> Self {
        let (rows, start) = (Rows::All, Start::Offset(0));
        Self { type_name, filter, rows, sort, start, limit, count_total: false, owned: false }
    }
}

/// Where a page begins.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// After so many rows.
    Offset(u64),
    /// After the row that stands here.
    After(&'a Position),
    /// So that it ends before the row that stands here.
    Before(&'a Position),
}

/// Where a row stands in a list of one type, sorted in one way; the row itself may be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Whether the row has no value to sort by.
    pub absent: bool,
    /// The value to sort by as the index holds it: the beginning of a text, a number in decimal.
    pub fold: String,
    /// The whole of a text that is longer than what `fold` holds, else empty.
    pub rest: String,
    /// Canonical id.
    pub id: String,
}

impl Position {
    fn same_key(&self, other: &Self) -> bool {
        (self.absent, &self.fold, &self.rest) == (other.absent, &other.fold, &other.rest)
    }
}

/// The order of a search's answer. Resources without the attribute come last, in descending order
/// first; equal ones are in ascending order of their canonical ids in both.
#[derive(Clone, Debug)]
pub struct Sort {
    pub path: AttributePath,
    pub descending: bool,
}

/// What a search found.
#[derive(Clone, Debug, Default)]
pub struct StoreAnswer {
    pub rows: Vec<Arc<ResourceRow>>,
    /// How many match in all, when asked for and `exact`.
    pub total: Option<u64>,
    /// Whether `rows` is the page asked for: matches only, sorted, beginning at the offset. Else it
    /// holds all who may match, in no order, cut only where there are as many as the limit.
    pub exact: bool,
    /// Where the first and the last row of an exact page stand.
    pub first: Option<Position>,
    pub last: Option<Position>,
    /// Whether an exact page has more rows after it, or before it where the search went backwards.
    pub more: bool,
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
    /// and which takes libpq's parameters), brings its tables up to date and indexes what `types` name
    /// beside the standard attributes of users and groups. A type may stand in `types` several times,
    /// as tenants define it. Blocks while it does; building the index of an attribute that was not
    /// indexed before reads all rows once.
    ///
    /// All who have a database open must index the same attributes.
    pub fn open(url: &str, types: &[IndexedType<'_>], clock: Clock) -> Result<Self, OpenError> {
        let wanted = index::wanted(types)?;
        let engine = Engine::open(url)?;
        let index = prepare::blocking(&engine, wanted)?;
        Ok(Self { engine, index, clock, departed_key: OnceCell::new() })
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
