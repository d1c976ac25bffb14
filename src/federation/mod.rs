//! One answer out of many sources: the store's users and the people of the directories.
//!
//! Knows nothing of HTTP, SQL or LDAP. Every operation takes a [`Caller`] and checks its permission
//! first; every change carries an audit record.

mod addressed;
mod authority;
mod back;
mod carried;
mod ceiling;
mod compare;
mod configured;
mod create;
mod directory;
mod everywhere;
mod explain;
mod folding;
mod forget;
mod given;
mod hierarchy;
mod identity;
mod import;
mod joining;
mod life;
mod listing;
mod members;
mod memory;
mod merge;
mod naming;
mod outcomes;
mod owning;
mod packed;
mod password;
mod plan;
mod possession;
mod read;
mod resource;
mod roles;
mod rows;
mod search;
mod sign_in;
mod sort;
mod standing;
mod vanish;
mod walk;
mod write;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, MutexGuard, Semaphore};

use crate::caller::{Caller, Permission};
use crate::clock::Clock;
use crate::config::{
    AuthenticatorPolicy, Customs, Group, OnConflict, OnFailure, Provisioned, Role, Rule, Tenant,
};
use crate::repository::{Repository, RepositoryError};
use crate::scim::dialect::Manner;
use crate::scim::mirror::CodeTypes;
use crate::scim::{AttributePath, ErrorKind, ResourceType, ScimError};
use crate::secret::Secret;
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::{CacheNumbers, PresenceNumbers, RepositoryMetrics};

pub use create::Created;
pub use directory::{Freshness, Shares};
pub use explain::{
    Belonging, ExplainedFilter, ExplainedPerson, ExplainedRepository, ExplainedSource,
    ExplainedStore, ExplainedValue, Folded, HeldRule, Origin, Sent,
};
pub use given::Given;
pub use import::{Advance, Coming, ImportJob, ImportQueue, Underway};
pub use life::{LIFE_CYCLE, status_of};
pub use listing::Listing;
pub use plan::Plan;
pub use resource::{Resource, SOURCE_URN};
pub use sign_in::{Attempt, MayTry, NotSignedIn, Operator, Tried, Who};
pub use vanish::VanishRules;

/// The people of one tenant, and what else its store holds.
#[derive(Debug)]
pub struct Federation {
    tenant: Arc<str>,
    rules: Rules,
    types: Vec<Arc<ResourceType>>,
    /// The users' type where their groups are written through them.
    joining_users: Arc<ResourceType>,
    /// `userName`
    user_name: AttributePath,
    store: Arc<Store>,
    rows: rows::Rows,
    directories: Vec<Arc<directory::Directory>>,
    named: configured::Named,
    roles: Arc<roles::Roles>,
    recorder: Arc<vanish::Recorder>,
    shares: Shares,
    people: resource::Resources,
    writing: Locks,
    /// One at a time moves groups, so that no two make a circle together.
    moving: Mutex<()>,
    walks: walk::Walks,
    passwords: password::Passwords,
    signing_in: Semaphore,
    clock: Clock,
}

/// What the tenant's configuration decides about answers.
#[derive(Clone, Debug)]
pub struct Rules {
    /// No list is longer than this.
    pub max_results: u64,
    /// Whether a list stands although a repository did not answer.
    pub on_failure: OnFailure,
    pub on_conflict: OnConflict,
    /// Whether a filter of which nothing can be sent may read a whole repository.
    pub allow_scan: bool,
    /// How many people one walk by cursor may look at.
    pub walk_limit: u64,
    /// How long a cursor is good for, and what it needs kept, since either was last used.
    pub cursor_timeout: Duration,
    /// What values under the codes of `UserAttribute` are.
    pub codes: CodeTypes,
    /// Under which authenticators there may be.
    pub policies: Vec<AuthenticatorPolicy>,
    pub customs: Customs,
    /// The groups and roles that the configuration names.
    pub groups: Vec<Group>,
    pub roles: Vec<Role>,
    /// Of people whom an agent provisions.
    pub provisioned: Vec<Provisioned>,
    /// What becomes of bound users whose entries are gone.
    pub vanish: VanishRules,
    /// The DN of the group of those who may sign in with a password of a directory.
    pub operators: Option<String>,
}

impl From<&Tenant> for Rules {
    fn from(tenant: &Tenant) -> Self {
        Self {
            max_results: tenant.max_results,
            on_failure: tenant.on_failure,
            on_conflict: tenant.on_conflict,
            allow_scan: tenant.allow_scan,
            walk_limit: tenant.walk_limit,
            cursor_timeout: tenant.cursor_timeout,
            codes: tenant.codes.clone(),
            policies: tenant.authenticator_policies.clone(),
            customs: tenant.customs.clone(),
            groups: tenant.groups.clone(),
            roles: tenant.roles.clone(),
            provisioned: tenant.provisioned.clone(),
            vanish: VanishRules::from(tenant),
            operators: tenant.operators.clone(),
        }
    }
}

/// A repository with what its configuration decides.
#[derive(Debug)]
pub struct RepositoryPart {
    pub repository: Arc<dyn Repository>,
    /// The id that the repository had before, under which its people are found as well.
    pub former_id: Option<Arc<str>>,
    /// What the repository tells of its entries that they hold, and what they give.
    pub rules: Vec<Rule>,
    pub metrics: Arc<RepositoryMetrics>,
    pub freshness: Freshness,
    /// Of one search.
    pub size_limit: usize,
    /// Of one operation.
    pub timeout: Duration,
    /// How often each linked entry is read again, at least.
    pub verify: Duration,
}

/// How a repository stands, for operators.
#[derive(Clone, Copy, Debug)]
pub struct RepositoryState<'a> {
    pub id: &'a str,
    /// Whether its last contact succeeded; `None` before any.
    pub healthy: Option<bool>,
    /// Whether it tells its changes now; `None` where it never does.
    pub follows: Option<bool>,
    /// How the bound users stand; `None` before anybody looked.
    pub presence: Option<PresenceNumbers>,
}

/// How a caller wants to be answered.
#[derive(Clone, Debug)]
pub struct View {
    /// `Cache-Control: no-cache`: ask the sources themselves.
    pub no_cache: bool,
    /// Photos are asked for; they are large and not fetched otherwise.
    pub photos: bool,
    /// The members of a group are shown; there may be many, and they are not read otherwise.
    pub members: bool,
    /// Ties audit records to the request's log line.
    pub request_id: String,
    /// When the caller stops waiting.
    pub deadline: Instant,
    /// How the request is understood and answered.
    pub manner: Arc<Manner>,
}

/// The versions that a caller is content with (`If-Match`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: any version of something that exists.
    Any,
    /// The inner texts of the entity tags.
    Versions(Vec<String>),
}

/// Why an operation was not done. One table in `http::error` makes it an answer.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The request itself is at fault.
    #[error(transparent)]
    Scim(#[from] ScimError),
    #[error("the permission {0} is needed")]
    Forbidden(Permission),
    #[error("{0}")]
    ForbiddenBecause(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    PreconditionFailed(String),
    /// A source that is needed does not answer; trying again later is right.
    #[error("{detail}")]
    Unavailable {
        detail: String,
        retry_after: u32,
        /// For the log.
        #[source]
        cause: Option<RepositoryError>,
    },
    /// The store does not answer; nothing was written.
    #[error("the store does not serve")]
    StoreUnavailable(#[source] StoreError),
    /// The store went away at a moment that leaves open whether the write was done.
    #[error("the store was lost while it wrote")]
    StoreLost(#[source] StoreError),
    #[error("the store failed")]
    Internal(#[source] StoreError),
}

/// The name of the users' resource type.
const USER: &str = "User";
/// The name of the groups' resource type.
const GROUP: &str = "Group";
/// The name of the roles' resource type.
const ROLE: &str = "Role";
/// The name of the devices' resource type.
const DEVICE: &str = "Device";
/// The name of the authenticators' resource type.
const AUTHENTICATOR: &str = "Authenticator";

/// How long a caller should wait before asking a repository again, in seconds.
const RETRY_AFTER: u32 = 5;

impl Federation {
    /// `types` begins with the users' resource type; `forms` is in how many forms a resource is
    /// rendered and kept: one per mount and manner; `numbered`: whether ids are shown as
    /// numbers to anybody.
    #[expect(clippy::too_many_arguments, reason = "the parts of a tenant, each named once, in app")]
    pub fn new(
        tenant: Arc<str>,
        rules: Rules,
        types: Vec<Arc<ResourceType>>,
        store: Arc<Store>,
        parts: Vec<RepositoryPart>,
        shares: &Shares,
        forms: usize,
        numbered: bool,
        clock: Clock,
    ) -> Self {
        let none = ResourceType::group(&[]);
        let kind = types.iter().find(|kind| is_group(kind)).map_or(&none, AsRef::as_ref);
        let recorder = vanish::Recorder::new(&clock);
        let directory = |part: RepositoryPart| {
            let giving = given::Giving::new(&part.rules, &rules.groups, &rules.roles, kind);
            let (tenant, recorder) = (Arc::clone(&tenant), &recorder);
            Arc::new(directory::Directory::new(tenant, part, giving, recorder, shares, &clock))
        };
        let directories = parts.into_iter().map(directory).collect();
        // Good for as long as this process, where nobody gives another one.
        let seal = [clock.new_token(), clock.new_token()].map(uuid::Uuid::into_bytes).concat();
        let of_users = Arc::new(roles::Roles::new(&rules.groups, &rules.roles, &rules.provisioned));
        Self {
            joining_users: Arc::new(types[0].with_writable(joining::GROUPS)),
            rows: rows::Rows::new(Arc::clone(&tenant), Arc::clone(&store), shares.rows.clone()),
            people: resource::Resources::new(
                Arc::clone(&tenant),
                &types,
                shares.people.clone(),
                Arc::clone(&of_users),
                Arc::clone(&recorder),
                forms,
                numbered,
            ),
            roles: of_users,
            recorder,
            writing: Locks::new(),
            moving: Mutex::new(()),
            passwords: password::Passwords::new(&clock),
            signing_in: Semaphore::new(sign_in::AT_ONCE),
            walks: walk::Walks::new(&seal, &tenant, &rules, &shares.walks),
            named: configured::Named::new(&rules.groups, &rules.roles),
            shares: shares.clone(),
            tenant,
            rules,
            user_name: types[0].resolve("userName"),
            types,
            store,
            directories,
            clock,
        }
    }

    /// The same with the key that cursors are sealed by: the store's, so that they are good on every
    /// node and after a restart.
    #[must_use]
    pub fn sealing(mut self, key: &Secret<Vec<u8>>) -> Self {
        self.walks = walk::Walks::new(key.expose(), &self.tenant, &self.rules, &self.shares.walks);
        self
    }

    pub fn tenant(&self) -> &Arc<str> {
        &self.tenant
    }

    /// The tenant's resource types; the first is the users'.
    pub fn types(&self) -> &[Arc<ResourceType>] {
        &self.types
    }

    /// The resource type of users.
    pub fn users(&self) -> &Arc<ResourceType> {
        &self.types[0]
    }

    /// The type as which a body is understood that is to be written in this manner.
    pub fn written<'a>(
        &'a self,
        kind: &'a Arc<ResourceType>,
        manner: &Manner,
    ) -> &'a Arc<ResourceType> {
        if manner.groups_writable && is_user(kind) { &self.joining_users } else { kind }
    }

    /// The longest list that is given, in resources.
    pub fn max_results(&self) -> u64 {
        self.rules.max_results
    }

    /// Where the tenant's clients are used to something else than RFC 7644 says.
    pub fn customs(&self) -> &Customs {
        &self.rules.customs
    }

    /// Whether the store answers.
    pub async fn ready(&self) -> Result<(), Problem> {
        self.store.ready().await.map_err(Problem::from)
    }

    /// How each repository stands.
    pub fn repositories(&self) -> impl Iterator<Item = RepositoryState<'_>> {
        self.directories.iter().map(|directory| RepositoryState {
            id: directory.id(),
            healthy: directory.healthy(),
            follows: directory.follows(),
            presence: directory.metrics().presence(),
        })
    }

    /// Begins to follow the repositories that tell their changes, for as long as the runtime lives.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub fn follow(&self) {
        for directory in &self.directories {
            if directory.follows().is_some() {
                tokio::spawn(Arc::clone(directory).follow());
            }
        }
    }

    /// How long a cursor is good for.
    pub fn cursor_timeout(&self) -> Duration {
        self.rules.cursor_timeout
    }

    /// What the caches, which all tenants share, have counted; the snapshots of walks among them.
    pub fn caches(&self) -> [CacheNumbers; 4] {
        self.shares.numbers()
    }

    /// How many members of groups were read so far, for all tenants.
    pub fn members_read(&self) -> u64 {
        self.shares.members_read.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// By its id, or by the one that it had before.
    fn directory(&self, id: &str) -> Option<&Arc<directory::Directory>> {
        self.directories.iter().find(|directory| directory.is_called(id))
    }
}

/// What is done with the resources of a type.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Search,
    Read,
    Create,
    Replace,
    Delete,
}

/// What of `kind` a caller must be permitted. What is configured beside the shipped types goes with
/// the groups: who may say what groups there are may say what else there is.
fn permit(caller: &Caller, kind: &ResourceType, deed: Deed) -> Result<(), Problem> {
    let (reading, writing) = match kind.name.as_str() {
        USER => {
            return demand(
                caller,
                match deed {
                    Deed::Search => Permission::UsersSearch,
                    Deed::Read => Permission::UsersRead,
                    Deed::Create => Permission::UsersCreate,
                    Deed::Replace => Permission::UsersReplace,
                    Deed::Delete => Permission::UsersDelete,
                },
            );
        }
        ROLE => (Permission::RolesRead, Permission::RolesWrite),
        DEVICE => (Permission::DevicesRead, Permission::DevicesWrite),
        AUTHENTICATOR => (Permission::AuthenticatorsRead, Permission::AuthenticatorsWrite),
        _ => (Permission::GroupsRead, Permission::GroupsWrite),
    };
    let reads = matches!(deed, Deed::Search | Deed::Read);
    demand(caller, if reads { reading } else { writing })
}

/// Whether a type's resources have members.
fn is_group(kind: &ResourceType) -> bool {
    kind.name == GROUP
}

/// Whether a type's resources may be a directory's: only users are.
fn is_user(kind: &ResourceType) -> bool {
    kind.name == USER
}

/// Whether a type's resources are a user's: devices and authenticators.
fn is_owned(kind: &ResourceType) -> bool {
    [DEVICE, AUTHENTICATOR].contains(&kind.name.as_str())
}

/// Whether a type's resources are named by their user and a policy.
fn is_authenticator(kind: &ResourceType) -> bool {
    kind.name == AUTHENTICATOR
}

fn demand(caller: &Caller, permission: Permission) -> Result<(), Problem> {
    if caller.permissions.contains(permission) {
        Ok(())
    } else {
        Err(Problem::Forbidden(permission))
    }
}

fn unavailable(repository: &str, error: RepositoryError) -> Problem {
    let what = match &error {
        RepositoryError::Timeout => "did not answer in time",
        RepositoryError::Unavailable(_) => "cannot be asked at the moment",
    };
    Problem::Unavailable {
        detail: format!(
            "The repository \"{repository}\" {what}, so nothing is known about this person; try again."
        ),
        retry_after: RETRY_AFTER,
        cause: Some(error),
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Taken { attribute, id } => Self::Conflict(format!(
                "{attribute} is taken by the resource {id}; choose another value or change that one."
            )),
            StoreError::Linked { id } => {
                Self::Conflict(format!("This directory person is bound already, as the user {id}."))
            }
            StoreError::Tombstone => Self::NotFound(
                "This user was deleted here; only a POST that names the person binds again."
                    .to_owned(),
            ),
            StoreError::NoMember { id } => Self::Scim(ScimError::new(
                ErrorKind::InvalidValue,
                format!("members: there is no user and no group \"{id}\"; name one by its id."),
            )),
            StoreError::Unavailable(_) => Self::StoreUnavailable(error),
            StoreError::Undecided(_) => Self::StoreLost(error),
            StoreError::Stale | StoreError::Database(_) => Self::Internal(error),
        }
    }
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::Scim(ScimError::new(ErrorKind::InvalidValue, detail))
}

fn too_many(detail: impl Into<String>) -> Problem {
    Problem::Scim(ScimError::new(ErrorKind::TooMany, detail))
}

/// One writer at a time per person. The number of locks is fixed; two people who share one only
/// wait for each other.
#[derive(Debug)]
struct Locks(Box<[Mutex<()>]>);

impl Locks {
    fn new() -> Self {
        Self((0..1024).map(|_| Mutex::new(())).collect())
    }

    async fn hold(&self, id: &str) -> MutexGuard<'_, ()> {
        let hash = crate::scim::resource::digest_text(id);
        #[expect(clippy::cast_possible_truncation, reason = "the remainder is below 1024")]
        let slot = (hash % self.0.len() as u64) as usize;
        self.0[slot].lock().await
    }
}
