//! Writing: create, replace, modify, remove, and binding on the first write.
//!
//! Rows are read from the engine and entries from the directory, past every cache. A change is one
//! atomic step with its audit record. A write that is refused, or changes nothing, binds nobody.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::Value;

use super::authority::{Division, Mode, merge};
use super::directory::{Directory, Known};
use super::identity::{Care, Subject};
use super::person::{Half, Person, unbound_version};
use super::{Federation, IfMatch, Problem, RETRY_AFTER, View, demand};
use crate::audit::{Action, AuditRecord};
use crate::cache::State;
use crate::caller::{Caller, Permission};
use crate::repository::{Repository, RepositoryError};
use crate::scim::filter::{Filter, Literal, Operator, Text};
use crate::scim::schema::check::Checked;
use crate::scim::patch::Tolerance;
use crate::scim::text::nfc;
use crate::scim::{Attributes, ErrorKind, Patch, ScimError};
use crate::store::{LinkRow, LinkState, RowKey, StoreError, UserRow, UserType, UserWrite};

/// What POST made.
#[derive(Clone, Debug)]
pub struct Created {
    pub person: Arc<Person>,
    /// Whether a directory person was bound; else a local user is new.
    pub bound: bool,
}

impl Federation {
    /// One user by id.
    pub async fn read(&self, caller: &Caller, id: &str, view: &View) -> Result<Arc<Person>, Problem> {
        demand(caller, Permission::UsersRead)?;
        let care = if view.no_cache { Care::Fresh } else { Care::Cached };
        match self.resolve(id, care).await? {
            Subject::Unbound { directory, known, state } => {
                let photos = if view.photos {
                    directory.entry(&known.key.0, true, view.no_cache).await.ok().flatten()
                } else {
                    None
                };
                let (known, state) = photos.unwrap_or((known, state));
                Ok(self.people.unbound(&directory, &known, state))
            }
            Subject::Row(row) => Ok(self.shown(&row, view).await),
        }
    }

    /// A row with what its directory says now; where that fails, with the shadow, marked.
    async fn shown(&self, row: &UserRow, view: &View) -> Arc<Person> {
        let Some(link) = &row.link else {
            return self.people.stored(row, None, &Half::Unasked);
        };
        let Some(directory) = self.directory(&link.repository) else {
            return self.people.stored(row, None, &Half::Shadow("unavailable"));
        };
        let half = match directory.entry(&link.entry_key, view.photos, view.no_cache).await {
            Ok(Some((known, state))) => Half::Entry(known, state),
            Ok(None) => Half::Unasked,
            Err(error) => Half::Shadow(failure(directory, &error)),
        };
        self.people.stored(row, Some(directory), &half)
    }

    /// POST: a new local user, or the explicit binding of a directory person (rule 2).
    pub async fn create(
        &self,
        caller: &Caller,
        checked: Checked,
        view: &View,
    ) -> Result<Created, Problem> {
        demand(caller, Permission::UsersCreate)?;
        match self.meant(caller, &checked).await? {
            Some((directory, known)) => {
                demand(caller, Permission::UsersBind)?;
                let id = directory.long_id(&known.key.0);
                let _writing = self.writing.hold(&id).await;
                self.bind_by_post(caller, &directory, &known, &checked.attributes, view).await
            }
            None => self.create_local(caller, checked.attributes, view).await,
        }
    }

    /// Which directory person a POST means, if any: by the mapped `externalId` alone.
    async fn meant(
        &self,
        caller: &Caller,
        checked: &Checked,
    ) -> Result<Option<(Arc<Directory>, Arc<Known>)>, Problem> {
        let named = checked.user_repository_id.as_deref();
        let external_id = checked.attributes.get("externalId").and_then(Value::as_str);
        let (directories, external_id) = match (named, external_id) {
            (Some(named), external_id) => {
                let directory = self.directory(named).ok_or_else(|| {
                    invalid(format!(
                        "userRepositoryId: there is no repository \"{named}\" in this tenant."
                    ))
                })?;
                let external_id = external_id.ok_or_else(|| {
                    invalid(
                        "externalId is missing: with userRepositoryId it names the directory person \
                         to bind.",
                    )
                })?;
                (std::slice::from_ref(directory), external_id)
            }
            (None, Some(external_id)) if caller.binds => (&self.directories[..], external_id),
            _ => return Ok(None),
        };
        let path = self.resource_type.resolve("externalId");
        let filter = Filter::Compare {
            path,
            operator: Operator::Eq,
            value: Literal::String(Text {
                written: external_id.to_owned(),
                key: nfc(external_id).into_owned(),
            }),
        };
        let mut found = Vec::new();
        for directory in directories {
            // A repository that might hold the person and does not answer: nothing is created.
            for known in directory.resolve(&filter).await? {
                if filter.matches(&known.values) {
                    found.push((Arc::clone(directory), known));
                }
            }
        }
        if found.len() > 1 {
            let names: Vec<&str> = found.iter().map(|(directory, _)| directory.id()).collect();
            return Err(Problem::Conflict(format!(
                "externalId \"{external_id}\" is the externalId of {} people, in the repositories {}; \
                 name one by userRepositoryId.",
                found.len(),
                names.join(", ")
            )));
        }
        match (found.pop(), named) {
            (None, Some(named)) => Err(invalid(format!(
                "externalId: nobody in the repository \"{named}\" has \"{external_id}\"."
            ))),
            (found, _) => Ok(found),
        }
    }

    async fn bind_by_post(
        &self,
        caller: &Caller,
        directory: &Arc<Directory>,
        known: &Arc<Known>,
        wanted: &Attributes,
        view: &View,
    ) -> Result<Created, Problem> {
        let entry_key = known.key.0.to_string();
        let states = self
            .store
            .find_links(&self.tenant, directory.id(), std::slice::from_ref(&entry_key))
            .await?;
        let revive = match states.first() {
            Some(LinkState::Row(row)) => {
                return Err(StoreError::Linked { id: row.id.clone() }.into());
            }
            Some(LinkState::Tombstone { .. }) => true,
            None => false,
        };
        let standing = Standing::unbound(directory, known);
        let own = self.divided(&standing, wanted, Mode::Replace)?;
        let row = self.insert_bound(caller, directory, known, own, revive, view).await?;
        let half = Half::Entry(Arc::clone(known), State::Live);
        Ok(Created { person: self.people.stored(&row, Some(directory), &half), bound: true })
    }

    async fn create_local(
        &self,
        caller: &Caller,
        wanted: Attributes,
        view: &View,
    ) -> Result<Created, Problem> {
        let at = self.clock.now();
        let id = self.clock.new_id().to_string();
        let own = Division {
            resource_type: &self.resource_type,
            repository: None,
            directory: &Attributes::new(),
            shadow: None,
            own: &Attributes::new(),
            mode: Mode::Replace,
        }
        .own_after(&wanted)
        .map_err(|owned| owned.into_error("store"))?;
        let own = with_default_active(own);
        let write = UserWrite {
            view: own.clone(),
            owns_user_name: true,
            owns_external_id: true,
            own,
            link: None,
            at,
        };
        let audit = self.record(caller, Action::UserCreate, &id, at, view);
        let row =
            self.store.create(&self.tenant, &id, UserType::Ftress, &write, false, audit).await?;
        // An earlier look-up of the name may have kept "nobody".
        self.rows.touched(&row, &[&write.view]);
        Ok(Created { person: self.people.stored(&row, None, &Half::Unasked), bound: false })
    }

    /// PUT: the whole resource as given.
    pub async fn replace(
        &self,
        caller: &Caller,
        id: &str,
        if_match: Option<&IfMatch>,
        checked: Checked,
        view: &View,
    ) -> Result<Arc<Person>, Problem> {
        let wanted = |_: &Attributes| Ok(checked.attributes.clone());
        self.write(caller, id, if_match, &wanted, Mode::Replace, view).await
    }

    /// PATCH.
    pub async fn modify(
        &self,
        caller: &Caller,
        id: &str,
        if_match: Option<&IfMatch>,
        patch: &Patch,
        view: &View,
    ) -> Result<Arc<Person>, Problem> {
        let wanted = |current: &Attributes| patch.apply(current, &self.resource_type, Tolerance::default());
        self.write(caller, id, if_match, &wanted, Mode::Modify, view).await
    }

    async fn write(
        &self,
        caller: &Caller,
        id: &str,
        if_match: Option<&IfMatch>,
        wanted: &(dyn Fn(&Attributes) -> Result<Attributes, ScimError> + Sync),
        mode: Mode,
        view: &View,
    ) -> Result<Arc<Person>, Problem> {
        demand(caller, Permission::UsersReplace)?;
        // Every spelling of the id must come to the same lock.
        let canonical = self.canonical(id).await?;
        let _writing = self.writing.hold(&canonical).await;
        loop {
            let standing = self.standing(&canonical).await?;
            standing.must_match(if_match)?;
            let current = standing.merged(self);
            let after = self.divided(&standing, &wanted(&current)?, mode)?;
            if after == *standing.own() {
                return Ok(standing.person(self));
            }
            self.resource_type.require(&standing.with_own(self, &after))?;
            let written = match &standing {
                Standing::Unbound { directory, known } => {
                    demand(caller, Permission::UsersBind)?;
                    self.insert_bound(caller, directory, known, after, false, view).await
                }
                Standing::Stored { row, .. } => {
                    let action = match mode {
                        Mode::Replace => Action::UserReplace,
                        Mode::Modify => Action::UserModify,
                    };
                    self.update(caller, row, &standing, after, action, view).await
                }
            };
            match written {
                Ok(row) => return Ok(standing.after(row).person(self)),
                // Another node was faster: read again and apply again, unless the caller asked for
                // exactly the version that is gone or has stopped waiting.
                Err(StoreError::Stale | StoreError::Linked { .. }) if if_match.is_some() => {
                    return Err(changed_meanwhile());
                }
                Err(StoreError::Stale | StoreError::Linked { .. })
                    if Instant::now() < view.deadline => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// DELETE.
    pub async fn remove(
        &self,
        caller: &Caller,
        id: &str,
        if_match: Option<&IfMatch>,
        view: &View,
    ) -> Result<(), Problem> {
        demand(caller, Permission::UsersDelete)?;
        let canonical = self.canonical(id).await?;
        let _writing = self.writing.hold(&canonical).await;
        loop {
            let row = match self.resolve(&canonical, Care::Written).await? {
                Subject::Row(row) => row,
                Subject::Unbound { directory, .. } => {
                    return Err(Problem::ForbiddenBecause(format!(
                        "This person is not bound: there is nothing here to delete. The entry itself \
                         belongs to the repository \"{}\".",
                        directory.id()
                    )));
                }
            };
            if let Some(IfMatch::Versions(versions)) = if_match
                && !versions.iter().any(|version| row_version(version) == row.version.to_string())
            {
                return Err(changed_meanwhile());
            }
            let audit = self.record(caller, Action::UserDelete, &row.id, self.clock.now(), view);
            let tombstone = row.link.is_some();
            let deleted =
                self.store.delete(&self.tenant, row.key, row.version, tombstone, audit).await;
            match deleted {
                Ok(()) => {
                    self.rows.touched(&row, &[&self.stored_view(&row)]);
                    return Ok(());
                }
                Err(StoreError::Stale) if if_match.is_none() && Instant::now() < view.deadline => {}
                Err(StoreError::Stale) => return Err(changed_meanwhile()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The canonical id; whether such a person exists is found out under the lock.
    async fn canonical(&self, id: &str) -> Result<String, Problem> {
        let stored = self.rows.find(RowKey::Id(id.to_owned()), true).await?;
        Ok(stored.rows.first().map_or_else(|| id.to_owned(), |row| row.id.clone()))
    }

    /// The person as it stands, past every cache.
    async fn standing(&self, id: &str) -> Result<Standing, Problem> {
        match self.resolve(id, Care::Written).await? {
            Subject::Unbound { directory, known, .. } => Ok(Standing::Unbound { directory, known }),
            Subject::Row(row) => {
                let Some(link) = &row.link else {
                    return Ok(Standing::Stored { row, directory: None, half: Half::Unasked });
                };
                let Some(directory) = self.directory(&link.repository).cloned() else {
                    let half = Half::Shadow("unavailable");
                    return Ok(Standing::Stored { row, directory: None, half });
                };
                let half = match directory.read(&link.entry_key).await {
                    Ok(Some(known)) => Half::Entry(known, State::Live),
                    Ok(None) => Half::Unasked,
                    Err(error) => Half::Shadow(failure(&directory, &error)),
                };
                Ok(Standing::Stored { row, directory: Some(directory), half })
            }
        }
    }

    /// What the store shall own after the write; refused where it would change what others own.
    fn divided(
        &self,
        standing: &Standing,
        wanted: &Attributes,
        mode: Mode,
    ) -> Result<Attributes, Problem> {
        let nothing = Attributes::new();
        let division = Division {
            resource_type: &self.resource_type,
            repository: standing.repository(),
            directory: standing.values().unwrap_or(&nothing),
            shadow: standing.shadow(),
            own: standing.own(),
            mode,
        };
        division.own_after(wanted).map_err(|owned| match standing {
            // Whether the directory has that value now cannot be told.
            Standing::Stored { row, half: Half::Shadow(_), .. } => Problem::Unavailable {
                detail: format!(
                    "\"{}\" is owned by the repository \"{}\", which does not answer; what is ours can \
                     be written meanwhile.",
                    owned.path,
                    row.link.as_ref().map_or("", |link| link.repository.as_str())
                ),
                retry_after: RETRY_AFTER,
            },
            _ => Problem::Scim(owned.into_error(standing.repository_id())),
        })
    }

    async fn insert_bound(
        &self,
        caller: &Caller,
        directory: &Arc<Directory>,
        known: &Arc<Known>,
        own: Attributes,
        revive: bool,
        view: &View,
    ) -> Result<Arc<UserRow>, StoreError> {
        let at = self.clock.now();
        let id = directory.long_id(&known.key.0);
        let write = self.bound_write(directory, known, own, at);
        let audit = self.record(caller, Action::UserBind, &id, at, view);
        let created = self
            .store
            .create(&self.tenant, &id, UserType::FtressLdap, &write, revive, audit)
            .await;
        let row = Arc::new(created?);
        self.rows.touched(&row, &[&write.view]);
        Ok(row)
    }

    async fn update(
        &self,
        caller: &Caller,
        row: &UserRow,
        standing: &Standing,
        own: Attributes,
        action: Action,
        view: &View,
    ) -> Result<Arc<UserRow>, StoreError> {
        let at = self.clock.now();
        let write = match (&row.link, standing) {
            (Some(_), Standing::Stored { directory: Some(directory), half, .. }) => match half {
                Half::Entry(known, _) => self.bound_write(directory, known, own, at),
                _ => self.shadow_write(Some(directory), row, own, at),
            },
            (Some(_), _) => self.shadow_write(None, row, own, at),
            (None, _) => UserWrite {
                view: own.clone(),
                owns_user_name: true,
                owns_external_id: true,
                own,
                link: None,
                at,
            },
        };
        let audit = self.record(caller, action, &row.id, at, view);
        let before = self.stored_view(row);
        let updated =
            self.store.update(&self.tenant, row.key, row.version, &write, audit).await;
        let row = Arc::new(updated?);
        self.rows.touched(&row, &[&before, &write.view]);
        Ok(row)
    }

    fn bound_write(
        &self,
        directory: &Directory,
        known: &Known,
        own: Attributes,
        at: Timestamp,
    ) -> UserWrite {
        let link = LinkRow {
            repository: directory.id().to_owned(),
            entry_key: known.key.0.to_string(),
            dn: known.dn.clone(),
            shadow: known.mapped(),
            seen: known.fetched,
            entry_modified: known.last_modified,
        };
        self.linked_write(Some(directory), link, own, at)
    }

    fn shadow_write(
        &self,
        directory: Option<&Directory>,
        row: &UserRow,
        own: Attributes,
        at: Timestamp,
    ) -> UserWrite {
        match row.link.clone() {
            Some(link) => self.linked_write(directory, link, own, at),
            None => UserWrite {
                view: own.clone(),
                owns_user_name: true,
                owns_external_id: true,
                own,
                link: None,
                at,
            },
        }
    }

    fn linked_write(
        &self,
        directory: Option<&Directory>,
        link: LinkRow,
        own: Attributes,
        at: Timestamp,
    ) -> UserWrite {
        UserWrite {
            view: merge(
                &self.resource_type,
                directory.map(Directory::repository),
                &link.shadow,
                &own,
            ),
            owns_user_name: own.contains_key("userName"),
            owns_external_id: own.contains_key("externalId"),
            own,
            link: Some(link),
            at,
        }
    }

    /// The merged values under which a row was last written and indexed.
    fn stored_view(&self, row: &UserRow) -> Attributes {
        match &row.link {
            None => row.own.clone(),
            Some(link) => {
                let directory = self.directory(&link.repository);
                let repository = directory.map(|directory| directory.repository());
                merge(&self.resource_type, repository, &link.shadow, &row.own)
            }
        }
    }

    fn record(
        &self,
        caller: &Caller,
        action: Action,
        subject: &str,
        at: Timestamp,
        view: &View,
    ) -> AuditRecord {
        AuditRecord {
            at,
            caller: caller.name.to_string(),
            action,
            subject: subject.to_owned(),
            request_id: view.request_id.clone(),
        }
    }
}

/// A person before a write, as the sources themselves have it.
#[derive(Debug)]
enum Standing {
    Unbound { directory: Arc<Directory>, known: Arc<Known> },
    Stored { row: Arc<UserRow>, directory: Option<Arc<Directory>>, half: Half },
}

/// Nothing is ours of somebody unbound.
static NOTHING: std::sync::LazyLock<Attributes> = std::sync::LazyLock::new(Attributes::new);

impl Standing {
    fn unbound(directory: &Arc<Directory>, known: &Arc<Known>) -> Self {
        Self::Unbound { directory: Arc::clone(directory), known: Arc::clone(known) }
    }

    fn own(&self) -> &Attributes {
        match self {
            Self::Unbound { .. } => &NOTHING,
            Self::Stored { row, .. } => &row.own,
        }
    }

    fn repository(&self) -> Option<&dyn Repository> {
        match self {
            Self::Unbound { directory, .. } => Some(directory.repository()),
            Self::Stored { directory, .. } => directory.as_ref().map(|one| one.repository()),
        }
    }

    fn repository_id(&self) -> &str {
        self.repository().map_or("store", Repository::id)
    }

    /// The directory's values, from the entry or else from the shadow.
    fn values(&self) -> Option<&Attributes> {
        match self {
            Self::Unbound { known, .. } | Self::Stored { half: Half::Entry(known, _), .. } => {
                Some(&known.values)
            }
            Self::Stored { .. } => self.shadow(),
        }
    }

    fn shadow(&self) -> Option<&Attributes> {
        match self {
            Self::Unbound { .. } => None,
            Self::Stored { row, .. } => row.link.as_ref().map(|link| &link.shadow),
        }
    }

    fn merged(&self, federation: &Federation) -> Attributes {
        self.with_own(federation, self.own())
    }

    /// The merged values as they would be with these of ours.
    fn with_own(&self, federation: &Federation, own: &Attributes) -> Attributes {
        match self.values() {
            Some(values) => merge(&federation.resource_type, self.repository(), values, own),
            None => own.clone(),
        }
    }

    /// `If-Match` compares the row's version; an unbound person's is a hash of the entry.
    fn must_match(&self, if_match: Option<&IfMatch>) -> Result<(), Problem> {
        let Some(IfMatch::Versions(versions)) = if_match else { return Ok(()) };
        let matched = match self {
            Self::Unbound { known, .. } => {
                versions.contains(&unbound_version(known.digest))
            }
            Self::Stored { row, .. } => {
                let version = row.version.to_string();
                versions.iter().any(|given| row_version(given) == version)
            }
        };
        if matched { Ok(()) } else { Err(changed_meanwhile()) }
    }

    fn after(self, row: Arc<UserRow>) -> Self {
        match self {
            Self::Unbound { directory, known } => Self::Stored {
                row,
                directory: Some(directory),
                half: Half::Entry(known, State::Live),
            },
            Self::Stored { directory, half, .. } => Self::Stored { row, directory, half },
        }
    }

    fn person(&self, federation: &Federation) -> Arc<Person> {
        match self {
            Self::Unbound { directory, known } => {
                federation.people.unbound(directory, known, State::Live)
            }
            Self::Stored { row, directory, half } => {
                federation.people.stored(row, directory.as_deref(), half)
            }
        }
    }
}

/// The part of a bound user's version that counts its writes.
fn row_version(version: &str) -> &str {
    version.split_once('.').map_or(version, |(row, _)| row)
}

fn with_default_active(mut own: Attributes) -> Attributes {
    own.entry("active").or_insert(Value::Bool(true));
    own
}

fn failure(directory: &Directory, error: &RepositoryError) -> &'static str {
    tracing::warn!(repository = directory.id(), error = %error, "repository.failed");
    match error {
        RepositoryError::Timeout => "timeout",
        RepositoryError::Unavailable(_) => "unavailable",
    }
}

fn changed_meanwhile() -> Problem {
    Problem::PreconditionFailed(
        "The user has another version than If-Match names; read it again and repeat the change."
            .to_owned(),
    )
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::Scim(ScimError::new(ErrorKind::InvalidValue, detail))
}
