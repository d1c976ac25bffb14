//! Who is asking, and what that caller may do.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::scim::dialect::Dialect;

/// The one who sends a request, as far as the bridge knows: which tenant, which token, what for.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The tenant that the token belongs to; nothing crosses from one tenant to another.
    pub tenant: Arc<str>,
    /// The token's name, for logs and the audit trail; never the token itself.
    pub name: Arc<str>,
    pub permissions: PermissionSet,
    /// Whether POST may bind a directory person by the mapped `externalId` (federation rule 2); as
    /// the manner of the request has it, where the configuration does not say.
    pub binds: Option<bool>,
    /// In which dialect this caller is answered; in its mount's, where the configuration does not say.
    pub dialect: Option<Dialect>,
    /// The id that `/Me` answers, if the token stands for a person.
    pub user: Option<Arc<str>>,
    /// How high it may reach; without one, up to everybody.
    pub ceiling: Option<Ceiling>,
    /// The ids of the groups that users whom it creates are in, where they are put into none.
    pub groups: Arc<[Arc<str>]>,
    pub client: Client,
}

/// The highest rank of the roles that a caller may give and take, and of the users whom it may write
/// to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceiling {
    pub rank: i64,
    /// The id of the role whose rank it is, if the configuration names one.
    pub role: Option<Arc<str>>,
}

/// As which client the caller is understood, where real ones contradict the RFC or each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Client {
    /// RFC 7644, and whatever harms nobody beyond it.
    #[default]
    Rfc,
    /// Entra ID: a PATCH that replaces what a value filter does not find, creates it.
    Entra,
    /// Okta: what it sends is understood as RFC 7644 has it.
    Okta,
    /// Nothing beyond RFC 7644, and of what it leaves open the strict half: names that no schema
    /// knows are refused, a PATCH names its paths, and `replace` of a complex attribute leaves
    /// nothing of it.
    Strict,
}

/// One thing that a caller may be allowed to do; the text form is `users:search` and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Permission {
    UsersSearch,
    UsersRead,
    UsersCreate,
    UsersReplace,
    UsersDelete,
    UsersBind,
    UsersImport,
    UsersForget,
    GroupsRead,
    GroupsWrite,
    RolesRead,
    RolesWrite,
    DevicesRead,
    DevicesWrite,
    AuthenticatorsRead,
    AuthenticatorsWrite,
}

/// Every permission with its name, in the order of the documentation.
pub const PERMISSIONS: [(Permission, &str); 16] = [
    (Permission::UsersSearch, "users:search"),
    (Permission::UsersRead, "users:read"),
    (Permission::UsersCreate, "users:create"),
    (Permission::UsersReplace, "users:replace"),
    (Permission::UsersDelete, "users:delete"),
    (Permission::UsersBind, "users:bind"),
    (Permission::UsersImport, "users:import"),
    (Permission::UsersForget, "users:forget"),
    (Permission::GroupsRead, "groups:read"),
    (Permission::GroupsWrite, "groups:write"),
    (Permission::RolesRead, "roles:read"),
    (Permission::RolesWrite, "roles:write"),
    (Permission::DevicesRead, "devices:read"),
    (Permission::DevicesWrite, "devices:write"),
    (Permission::AuthenticatorsRead, "authenticators:read"),
    (Permission::AuthenticatorsWrite, "authenticators:write"),
];

impl Permission {
    pub fn name(self) -> &'static str {
        PERMISSIONS[self as usize].1
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a caller may do, as a set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PermissionSet(u32);

impl PermissionSet {
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromStr for PermissionSet {
    type Err = UnknownPermission;

    /// Reads one word of a `permissions` list: a permission, `users:*` and the like, `*`, or the
    /// scopes `scim:provision` (users and groups) and `admin` (everything).
    fn from_str(word: &str) -> Result<Self, UnknownPermission> {
        let chosen = |wanted: &dyn Fn(&str) -> bool| {
            let bits = PERMISSIONS
                .iter()
                .filter(|(_, name)| wanted(name))
                .fold(0, |bits, (permission, _)| bits | (1 << *permission as u8));
            Self(bits)
        };
        let set = match word {
            "*" | "admin" => chosen(&|_| true),
            "scim:provision" => {
                chosen(&|name| name.starts_with("users:") || name.starts_with("groups:"))
            }
            _ => match word.strip_suffix('*') {
                Some(prefix) if prefix.ends_with(':') => chosen(&|name| name.starts_with(prefix)),
                _ => chosen(&|name| name == word),
            },
        };
        if set.0 == 0 { Err(UnknownPermission(word.to_owned())) } else { Ok(set) }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no permission is called \"{0}\"")]
pub struct UnknownPermission(pub String);
