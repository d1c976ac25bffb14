//! Our own database. The only module that names `rusqlite`.
//!
//! A read is `query(sql, values) -> rows`; a write is a value, a [`Change`](engine::Change), executed
//! atomically. Knows nothing of directories, caches or who is asking.

use std::sync::Arc;

use jiff::Timestamp;

use crate::audit::AuditRecord;
use crate::scim::{AttributePath, Attributes, Filter};

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
    pub fn name(self) -> &'static str {
        match self {
            Self::Ftress => "FTRESS",
            Self::FtressLdap => "FTRESS_LDAP",
            Self::ScimFed => "SCIM_FED",
        }
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
    Link { repository: String, entry_key: String },
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
    /// The row has another version than the caller read, or is gone.
    #[error("the row changed since it was read")]
    Stale,
    #[error("the database failed: {0}")]
    Database(String),
}

/// One page out of the store.
#[derive(Clone, Debug, Default)]
pub struct RowPage {
    pub rows: Vec<Arc<UserRow>>,
    /// All that match, when asked for.
    pub total: Option<u64>,
}

/// Which rows a search is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    All,
    Linked,
    Unlinked,
}
