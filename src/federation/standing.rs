//! A person as it stands before a write: read past every cache, from the engine and the directory.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use serde_json::Value;

use super::authority::{Account, Division, Mode, Owned, Owner, Theirs, merge};
use super::create::with_default_active;
use super::directory::{Directory, Known};
use super::given::Given;
use super::identity::{Care, Subject};
use super::read::failure;
use super::resource::{Half, Resource, given};
use super::{Federation, IfMatch, Problem, RETRY_AFTER, is_user, vanish};
use crate::cache::State;
use crate::repository::write::modifications;
use crate::repository::{Authority, Repository};
use crate::scim::dialect::Manner;
use crate::scim::written::Writing;
use crate::scim::{AttributePath, Attributes, ResourceType};
use crate::store::ResourceRow;

/// A person before a write, as the sources themselves have it.
#[derive(Debug)]
pub(super) enum Standing {
    Unbound { directory: Arc<Directory>, known: Arc<Known> },
    Stored { row: Arc<ResourceRow>, directory: Option<Arc<Directory>>, half: Half },
}

/// Nothing is ours of somebody unbound.
static NOTHING: LazyLock<Attributes> = LazyLock::new(Attributes::new);

impl Standing {
    pub(super) fn unbound(directory: &Arc<Directory>, known: &Arc<Known>) -> Self {
        Self::Unbound { directory: Arc::clone(directory), known: Arc::clone(known) }
    }

    pub(super) fn row(&self) -> Option<&Arc<ResourceRow>> {
        match self {
            Self::Unbound { .. } => None,
            Self::Stored { row, .. } => Some(row),
        }
    }

    pub(super) fn own(&self) -> &Attributes {
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

    fn owner(&self) -> Owner<'_> {
        match self {
            Self::Stored { row, .. } if row.link.is_none() => Owner::Store,
            _ => Owner::linked(self.repository()),
        }
    }

    fn repository_id(&self) -> &str {
        self.repository().map_or("store", Repository::id)
    }

    /// The directory's values, from the entry or else from the shadow.
    pub(super) fn values(&self) -> Option<Arc<Attributes>> {
        match self {
            Self::Unbound { known, .. } | Self::Stored { half: Half::Entry(known, _), .. } => {
                Some(known.values())
            }
            Self::Stored { .. } => self.shadow().map(|shadow| Arc::new(shadow.into_owned())),
        }
    }

    /// Who locks the person's account. Where there is no entry any more, no is ours to say.
    fn account(&self, kind: &ResourceType) -> Account<'_> {
        let path = kind.resolve("active");
        let written = |one: &dyn Repository| one.authority(&path) == Some(Authority::WriteBack);
        match self {
            Self::Stored { row, .. } if row.link.is_none() => Account::Both,
            Self::Stored { half: Half::Absent, .. } => Account::Both,
            _ if self.repository().is_some_and(written) => {
                Account::Theirs(self.entry().and_then(|(_, known)| known.account.as_ref()))
            }
            _ => Account::Both,
        }
    }

    /// What rules give the person.
    pub(super) fn given(&self) -> Given {
        match self {
            Self::Unbound { known, .. } => known.given.clone(),
            Self::Stored { row, half, .. } => given(row, half),
        }
    }

    /// The ids of the roles that come of the person's groups and rules.
    pub(super) fn derived_roles(&self, federation: &Federation) -> Vec<String> {
        let groups = self.row().map_or(&[][..], |row| &row.groups);
        let groups = groups.iter().map(|group| group.id.as_str());
        federation.roles.derived(groups, Some(&self.given()))
    }

    fn shadow(&self) -> Option<Cow<'_, Attributes>> {
        match self {
            Self::Unbound { .. } => None,
            Self::Stored { row, .. } => row.link.as_ref().map(vanish::shadow),
        }
    }

    pub(super) fn merged(&self, federation: &Federation) -> Attributes {
        self.with_own(federation, self.own())
    }

    /// The merged values as they would be with these of ours.
    pub(super) fn with_own(&self, federation: &Federation, own: &Attributes) -> Attributes {
        match self.values() {
            Some(values) => merge(federation.users(), self.owner(), &values, own),
            None => own.clone(),
        }
    }

    /// Whether a value of `path` is kept here; else a directory gives it.
    pub(super) fn owns(&self, path: &AttributePath) -> bool {
        match self {
            Self::Stored { row, .. } if row.link.is_none() => true,
            _ => self
                .repository()
                .is_some_and(|own| matches!(own.authority(path), None | Some(Authority::Local))),
        }
    }

    /// Refuses more values `after` the write than a user may have, and one beside those of a directory where there may be
    /// no more than these: what there is belongs to it.
    pub(super) fn within_limits(
        &self,
        federation: &Federation,
        kind: &ResourceType,
        after: &Attributes,
        wanted: &Attributes,
        manner: &Manner,
    ) -> Result<(), Problem> {
        if manner.limits.is_empty() || !is_user(kind) {
            return Ok(());
        }
        let before = self.merged(federation);
        Writing { kind, manner, owns_name: true }.limited(&before, wanted)?;
        let Some(repository) = self.repository() else { return Ok(()) };
        let count = |attributes: &Attributes, name: &str| {
            attributes.get(name).and_then(Value::as_array).map_or(0, Vec::len)
        };
        let beside = manner.limits.iter().find(|limit| {
            let name = limit.attribute.as_str();
            let there = count(after, name);
            there > limit.most && there > count(&before, name) && count(wanted, name) <= limit.most
        });
        match beside {
            None => Ok(()),
            Some(limit) => {
                let owned = Owned { path: limit.attribute.clone() };
                Err(Problem::Scim(owned.into_error(repository.id())))
            }
        }
    }

    /// `If-Match` compares the row's version; an unbound person's is a hash of the entry.
    pub(super) fn must_match(&self, if_match: Option<&IfMatch>) -> Result<(), Problem> {
        let Some(IfMatch::Versions(versions)) = if_match else { return Ok(()) };
        let matched = match self {
            Self::Unbound { known, .. } => {
                let version = known.version();
                versions.iter().any(|given| first_part(given) == first_part(&version))
            }
            Self::Stored { row, .. } => {
                let version = row.version.to_string();
                versions.iter().any(|given| first_part(given) == version)
            }
        };
        if matched { Ok(()) } else { Err(changed_meanwhile()) }
    }

    /// The same person with the entry as it is now, or shall be.
    pub(super) fn seen(&self, known: Arc<Known>) -> Self {
        match self {
            Self::Unbound { directory, .. } => {
                Self::Unbound { directory: Arc::clone(directory), known }
            }
            Self::Stored { row, directory, .. } => Self::Stored {
                row: Arc::clone(row),
                directory: directory.clone(),
                half: Half::Entry(known, State::Live),
            },
        }
    }

    /// The repository and the entry, as it was read.
    pub(super) fn entry(&self) -> Option<(&Arc<Directory>, &Arc<Known>)> {
        match self {
            Self::Unbound { directory, known }
            | Self::Stored { directory: Some(directory), half: Half::Entry(known, _), .. } => {
                Some((directory, known))
            }
            Self::Stored { .. } => None,
        }
    }

    pub(super) fn after(self, row: Arc<ResourceRow>) -> Self {
        match self {
            Self::Unbound { directory, known } => Self::Stored {
                row,
                directory: Some(directory),
                half: Half::Entry(known, State::Live),
            },
            Self::Stored { directory, half, .. } => Self::Stored { row, directory, half },
        }
    }

    pub(super) fn person(&self, federation: &Federation) -> Arc<Resource> {
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

impl Standing {
    /// Why a value that the directory decides is not written while it does not answer.
    fn unanswered(&self, path: &str) -> Problem {
        Problem::Unavailable {
            detail: format!(
                "\"{path}\" is owned by the repository \"{}\", which does not answer; what is ours can \
                 be written meanwhile.",
                self.linked_id()
            ),
            retry_after: RETRY_AFTER,
            // It was logged when the entry was read.
            cause: None,
        }
    }

    /// Why nothing is written back to an entry that was not read.
    fn unwritable(&self, before: &Attributes, after: &Theirs) -> Problem {
        let back = |values, account: Option<bool>| {
            let account = account.map(Value::Bool);
            self.repository().map(|one| one.back(values, account.as_ref())).unwrap_or_default()
        };
        let changed = modifications(&back(before, None), &back(&after.values, after.account));
        let keys: Vec<&str> = changed.iter().map(|one| one.key.as_str()).collect();
        match self {
            Self::Stored { half: Half::Shadow(_), .. } => self.unanswered(&keys.join(", ")),
            _ => Problem::NotFound(format!(
                "{} is written to the repository \"{}\", which has no entry of this person any more.",
                keys.join(", "),
                self.linked_id()
            )),
        }
    }

    fn linked_id(&self) -> &str {
        let link = self.row().and_then(|row| row.link.as_ref());
        link.map_or_else(|| self.repository_id(), |link| link.repository.as_str())
    }
}

impl Federation {
    /// The person as it stands, past every cache.
    pub(super) async fn standing(
        &self,
        kind: &ResourceType,
        id: &str,
        photos: bool,
    ) -> Result<Standing, Problem> {
        match self.resolve(kind, id, Care::Written { photos }).await? {
            Subject::Unbound { directory, known, .. } => Ok(Standing::Unbound { directory, known }),
            Subject::Row(row) => {
                let Some(link) = &row.link else {
                    return Ok(Standing::Stored { row, directory: None, half: Half::Unasked });
                };
                let Some(directory) = self.directory(&link.repository).cloned() else {
                    let half = Half::Shadow("unavailable");
                    return Ok(Standing::Stored { row, directory: None, half });
                };
                let half = match directory.read(&link.entry_key, photos).await {
                    Ok(Some(known)) => Half::Entry(known, State::Live),
                    Ok(None) => Half::Absent,
                    Err(error) => Half::Shadow(failure(&directory, &error)),
                };
                Ok(Standing::Stored { row, directory: Some(directory), half })
            }
        }
    }
}

/// What a write comes to.
pub(super) struct Divided {
    /// What the store shall own.
    pub(super) own: Attributes,
    /// The entry as it shall be, where something is written back.
    pub(super) planned: Option<Arc<Known>>,
}

/// What the write comes to; refused where it would change what others own.
/// Whether the caller says what `active` shall be is for [`Division::says_active`].
pub(super) fn divided(
    kind: &ResourceType,
    standing: &Standing,
    wanted: &Attributes,
    mode: Mode,
    says_active: bool,
) -> Result<Divided, Problem> {
    if !is_user(kind) {
        return Ok(Divided { own: own(wanted), planned: None });
    }
    let nothing = Attributes::new();
    let owner = standing.owner();
    let values = standing.values();
    let shadow = standing.shadow();
    let division = Division {
        resource_type: kind,
        owner,
        directory: values.as_deref().unwrap_or(&nothing),
        shadow: shadow.as_deref(),
        own: standing.own(),
        mode,
        says_active,
        account: standing.account(kind),
    };
    let own = division.own_after(wanted).map_err(|owned| match standing {
        // Whether the directory has that value now cannot be told.
        Standing::Stored { half: Half::Shadow(_), .. } => standing.unanswered(&owned.path),
        _ => Problem::Scim(owned.into_error(standing.repository_id())),
    })?;
    let own = if matches!(owner, Owner::Store) { with_default_active(own) } else { own };
    let Some(theirs) = division.theirs_after(wanted) else {
        return Ok(Divided { own, planned: None });
    };
    match standing.entry() {
        Some((directory, known)) => {
            Ok(Divided { own, planned: Some(directory.planned(known, theirs)) })
        }
        None => Err(standing.unwritable(division.directory, &theirs)),
    }
}

/// What is stored of a resource of which all is ours: what others compute is not.
pub(super) fn own(wanted: &Attributes) -> Attributes {
    let computed = |name: &str| matches!(name, "id" | "meta" | "schemas");
    let stored = wanted.iter().filter(|(name, _)| !computed(name));
    stored.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The part of a version that a write must name: of a bound user's the count of writes, of an unbound
/// one's the hash without photos.
pub(super) fn first_part(version: &str) -> &str {
    version.split_once('.').map_or(version, |(first, _)| first)
}

pub(super) fn changed_meanwhile() -> Problem {
    Problem::PreconditionFailed(
        "The resource has another version than If-Match names; read it again and repeat the change."
            .to_owned(),
    )
}
