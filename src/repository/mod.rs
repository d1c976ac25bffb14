//! Somebody else's directory, read live: the trait that federation works with, and its values.
//!
//! Knows nothing of the store, of caches, or of who is asking.

pub mod ldap;
pub mod rule;
pub mod sign_in;
pub mod write;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc;

pub use crate::config::Authority;
use crate::scim::resource::digest_text;
use crate::scim::{AttributePath, Attributes, Filter};
use crate::secret::Password;
pub use sign_in::{Refused, Untold, Verdict};
pub use write::{Back, Modification, Refusal, WriteError};

/// The entry's immutable id in canonical text (`entryUUID`, lower-case with dashes), never its DN
/// and never its login.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryKey(pub Arc<str>);

impl fmt::Display for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One person in a repository, mapped to SCIM attributes.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: EntryKey,
    pub dn: String,
    /// Canonical SCIM names; without `id` and `meta`.
    pub attributes: Attributes,
    /// When the directory says the entry was made and last changed.
    pub created: Option<Timestamp>,
    pub last_modified: Option<Timestamp>,
    /// Where `active` is written back, what [`Back`] has of it: `true` for an open account, `false` for
    /// one that is switched off, whatever else locks it, and for any other the name of what locks it.
    pub account: Option<Value>,
    /// The places of the rules that hold for the entry, in ascending order.
    pub rules: Vec<usize>,
}

/// What a search or a read brought back.
#[derive(Clone, Debug)]
pub struct Found {
    pub entries: Vec<Arc<Entry>>,
    /// False when any limit cut the answer: then absence proves nothing.
    pub complete: bool,
    /// Whether the filter that was sent selects exactly what the SCIM filter selects on this
    /// repository's own attributes; else it selects more.
    pub exact: bool,
    /// Whether nothing of the filter could be sent and everything was read.
    pub scan: bool,
    /// How old the oldest was of what rules were decided by, beside what was just read.
    pub aged: Duration,
}

/// Where [`Repository::stream`] puts entries; its small capacity is what holds the directory back.
pub type Batches = mpsc::Sender<Vec<Arc<Entry>>>;

/// How a filter would be answered, without asking.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The filter that would be sent, in the repository's own language.
    pub text: String,
    /// The entries under which people would be looked for; none where nobody would be asked.
    pub bases: Vec<String>,
    pub exact: bool,
    pub scan: bool,
}

/// Bounds of one search.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// At most this many entries; one more and the answer is not complete.
    pub size_limit: usize,
    /// Whether attributes that are large and rarely wanted (photos) are fetched.
    pub photos: bool,
    pub deadline: Instant,
    /// Rules are decided by nothing that was learnt of the directory's groups before.
    pub since: Instant,
}

/// Why a repository did not answer. None of these ever means that somebody is absent.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RepositoryError {
    #[error("no answer within the deadline")]
    Timeout,
    /// Down, unreachable, broken protocol, refused credentials; the text is for the log.
    #[error("{0}")]
    Unavailable(Arc<str>),
}

/// What is told of a directory by [`Repository::follow`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// From now on every change is told.
    Following,
    /// The entry was made or changed, or came into view.
    Changed(EntryKey),
    /// The entry was deleted, or went out of view.
    Gone(EntryKey),
    /// Anything may have changed, of which nothing else was told.
    Anything,
}

/// One line of what [`Repository::check`] found.
#[derive(Clone, Debug)]
pub struct Finding {
    pub severity: Severity,
    /// What was looked at: `connect`, `bind`, `root DSE`, `schema`, `base`, `mapping`.
    pub subject: String,
    pub text: String,
    /// What to do about it; empty where all is well.
    pub remedy: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Well,
    Warning,
    Broken,
}

/// A directory behind the bridge. It may be made with rules, and then says of every entry which of
/// them hold; [`rule::held`] asks for the entries for which one does. What decides a rule and cannot be
/// learnt is an error of the whole answer, never a rule that does not hold.
///
/// Each repository is independent of every other: its own
/// connections, deadlines and back-off.
pub trait Repository: Send + Sync + fmt::Debug {
    /// The id from the configuration, `[a-z0-9-]+`.
    fn id(&self) -> &str;

    /// The entry under which people are looked for, as the configuration writes it.
    fn base(&self) -> &str;

    /// Whether this repository's mapping gives `path` a value at all; where not, the attribute is
    /// absent for everybody found here. `id`, `meta.created` and `meta.lastModified` are the entry's
    /// own: a filter that compares them is understood, with `id` as `<repository>.<entry key>`.
    fn maps(&self, path: &AttributePath) -> bool;

    /// Who decides the value of `path`; `None` where the mapping gives it none, and it is the
    /// store's. Of a path that covers several (`emails`, `name`), the directory decides the whole if
    /// it decides a part.
    fn authority(&self, path: &AttributePath) -> Option<Authority>;

    /// The same for the elements of one kind: `phoneNumbers` of type `mobile`, the attribute of the
    /// `ActivID` extension with the name `DOB`, elements that say no type.
    fn authority_of_type(&self, path: &AttributePath, kind: Option<&str>) -> Option<Authority> {
        let _ = kind;
        self.authority(path)
    }

    /// What of an entry gives `path` its values, in the repository's own words and in the order in which
    /// it is looked at; of a list, those of the elements of one kind. Empty where the repository cannot
    /// tell.
    fn origins(&self, path: &AttributePath, kind: Option<&str>) -> Vec<String> {
        let _ = (path, kind);
        Vec::new()
    }

    /// Learns what has to be known before a filter can be sent at its strongest. Searches do so by
    /// themselves; done before, it costs the first of them nothing, and [`Repository::plan`] says
    /// what they will send.
    fn prepare(&self, deadline: Instant) -> BoxFuture<'_, Result<(), RepositoryError>> {
        let _ = deadline;
        Box::pin(std::future::ready(Ok(())))
    }

    /// How `filter` would be sent, as far as is known without asking.
    fn plan(&self, filter: &Filter) -> Plan;

    /// Everybody who may match `filter`: the answer holds every match and may hold more unless
    /// [`Found::exact`]. The paths in `filter` are this repository's own (see [`Repository::maps`]).
    fn search<'a>(
        &'a self,
        filter: &'a Filter,
        bounds: Bounds,
    ) -> BoxFuture<'a, Result<Found, RepositoryError>>;

    /// As [`Repository::search`], for answers of any length: the entries come in batches, and none is
    /// in [`Found::entries`]. What came before a failure stays true. Where nobody listens any more
    /// the search ends, and counts as cut.
    fn stream<'a>(
        &'a self,
        filter: &'a Filter,
        bounds: Bounds,
        into: Batches,
    ) -> BoxFuture<'a, Result<Found, RepositoryError>> {
        Box::pin(async move {
            let found = self.search(filter, bounds).await?;
            let heard = into.send(found.entries).await.is_ok();
            Ok(Found { entries: Vec::new(), complete: found.complete && heard, ..found })
        })
    }

    /// The entries with these keys, in any order; the ones that are gone are missing from a
    /// complete answer.
    fn read<'a>(
        &'a self,
        keys: &'a [EntryKey],
        bounds: Bounds,
    ) -> BoxFuture<'a, Result<Found, RepositoryError>>;

    /// Of a person's mapped values those that are written back, with the state of the account as
    /// [`Entry::account`] has it.
    fn back(&self, attributes: &Attributes, account: Option<&Value>) -> Back {
        let _ = (attributes, account);
        Back::new()
    }

    /// Modifies one entry, all or nothing, if it holds what is expected; the keys are those of
    /// [`Repository::back`].
    fn write<'a>(
        &'a self,
        key: &'a EntryKey,
        modifications: &'a [Modification],
        deadline: Instant,
    ) -> BoxFuture<'a, Result<(), WriteError>> {
        let _ = (key, modifications, deadline);
        let text = "nothing is written to this repository".to_owned();
        Box::pin(std::future::ready(Err(WriteError::Refused { refusal: Refusal::Right, text })))
    }

    /// Whether `password` is the one of this entry, as the directory itself says when somebody comes
    /// with it. Whatever keeps it from saying so is an error, and never a wrong password.
    fn authenticate<'a>(
        &'a self,
        key: &'a EntryKey,
        password: &'a Password,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Verdict, Untold>> {
        let _ = (key, password, deadline);
        let why = "nobody signs in to this repository";
        Box::pin(std::future::ready(Err(RepositoryError::Unavailable(why.into()).into())))
    }

    /// Whether the entry is in this group of the directory, directly or through groups in it, as the
    /// directory has it now. What cannot be read is an error.
    fn is_member<'a>(
        &'a self,
        key: &'a EntryKey,
        group: &'a str,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<bool, RepositoryError>> {
        let _ = (key, group, deadline);
        let why = "this repository has no groups";
        Box::pin(std::future::ready(Err(RepositoryError::Unavailable(why.into()))))
    }

    /// Stands for the part of the directory in which people are looked for, and for how they are told
    /// apart. Whoever is not found in one part may well be in another.
    fn scope(&self) -> i64 {
        digest_text(self.base()).cast_signed()
    }

    /// Whether the entry under which people are looked for is there and may be read; without it no
    /// answer tells that somebody is gone.
    fn base_is_readable(&self, deadline: Instant) -> BoxFuture<'_, Result<bool, RepositoryError>> {
        let _ = deadline;
        Box::pin(std::future::ready(Ok(false)))
    }

    /// Looks at everything that can be wrong with the connection, the rights and the mapping.
    fn check(&self) -> BoxFuture<'_, Vec<Finding>>;

    /// Whether the last contact succeeded; `None` before any.
    fn healthy(&self) -> Option<bool>;

    /// Whether [`Repository::follow`] tells anything.
    fn tells_changes(&self) -> bool {
        false
    }

    /// Tells into `into` what changes, from where it was left, until that is no longer possible;
    /// says why. Called again it goes on.
    fn follow<'a>(&'a self, into: &'a mpsc::Sender<Change>) -> BoxFuture<'a, RepositoryError> {
        let _ = into;
        Box::pin(std::future::ready(RepositoryError::Unavailable("there is no feed".into())))
    }
}
