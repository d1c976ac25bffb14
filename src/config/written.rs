//! The configuration as it stands in the file: every key that means something today, with its place.
//!
//! Knows nothing of defaults or of what a value means ([`super::resolve`] does), nor of the keys
//! whose features do not exist yet ([`super::later`] does).

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use crate::secret::Secret;

/// A key that may be absent; a value knows where it stands.
pub type Key<T> = Option<Spanned<T>>;
/// A list of words, each with its place.
pub type Words = Vec<Spanned<String>>;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    #[serde(default)]
    pub server: Server,
    #[serde(default)]
    pub store: Store,
    #[serde(default)]
    pub cache: Cache,
    #[serde(default)]
    pub telemetry: Telemetry,
    #[serde(default)]
    pub tenant: Vec<Tenant>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// `host:port`; port 0 picks a free one.
    pub listen: Key<String>,
    /// Base of every `meta.location` and `$ref`.
    pub public_url: Key<String>,
    pub tls: Option<ServerTls>,
    /// Whether a proxy in front terminates TLS.
    pub behind_proxy: Option<bool>,
    pub request_timeout: Key<String>,
    pub max_body: Key<String>,
    pub max_import: Key<String>,
    pub max_connections: Key<u64>,
    pub throttle: Option<Throttle>,
    /// A listener of its own for `/metrics` and `/health`.
    pub operations: Key<String>,
}

/// Failed sign-ins of one address.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    pub failures: Spanned<u64>,
    pub per: Spanned<String>,
}

/// Requests of one token.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    pub requests: Spanned<u64>,
    pub per: Spanned<String>,
}

/// PEM files.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    pub certificate: Spanned<String>,
    pub key: Spanned<String>,
    /// Whoever issues the certificates of clients.
    pub client_ca: Key<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// `sqlite:path`, `sqlite::memory:` or `postgres://user:password@host:port/database`.
    pub url: Key<SecretText>,
    /// SCIM paths to index beside the usual ones.
    #[serde(default)]
    pub index: Words,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Size of all caches together.
    pub capacity: Key<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// A level, or levels per module.
    pub log: Key<String>,
    /// `text` or `json`.
    pub format: Key<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    pub name: Spanned<String>,
    /// `rfc` or `activid`.
    pub dialect: Key<String>,
    /// Base paths beside `/scim/<name>/v2`.
    #[serde(default)]
    pub mounts: Vec<Spanned<Mount>>,
    pub max_results: Key<u64>,
    /// `partial` or `fail`.
    pub on_failure: Key<String>,
    /// `show` or `first`.
    pub on_conflict: Key<String>,
    /// `disable` or `keep`.
    pub on_vanish: Key<String>,
    pub vanish_grace: Key<String>,
    #[serde(default)]
    pub vanish_brake: VanishBrake,
    pub allow_scan: Option<bool>,
    /// `hard` or `soft`.
    pub delete: Key<String>,
    /// `not_found` or `no_content`.
    pub delete_unknown: Key<String>,
    /// `id` or `any`.
    pub path_id: Key<String>,
    /// What a new user is who is given no role.
    pub default_role: Key<String>,
    pub lifecycle_api: Option<bool>,
    pub bulk_get: Option<bool>,
    pub paged_discovery: Option<bool>,
    pub patch_performs_get: Option<bool>,
    pub walk_limit: Key<u64>,
    pub cursor_timeout: Key<String>,
    /// The DN of a group.
    pub operators: Key<String>,
    /// Whether `*` in filters stands for any characters.
    pub wildcards: Option<bool>,
    /// Whether strings in filters may stand without quotes.
    pub unquoted_values: Option<bool>,
    /// Whether `attributes` wins over `excludedAttributes`.
    #[serde(default)]
    pub prefer_attributes: bool,
    /// How many values an attribute of a user may have.
    #[serde(default)]
    pub limits: BTreeMap<Spanned<String>, Spanned<u64>>,
    /// What a POST of a user must bring.
    #[serde(default)]
    pub required: Words,
    /// Files with Schema and ResourceType documents.
    #[serde(default)]
    pub schemas: Words,
    /// Codes of `UserAttribute`, each with what its values are.
    #[serde(default)]
    pub user_attributes: BTreeMap<Spanned<String>, Spanned<UserAttribute>>,
    #[serde(default)]
    pub group: Vec<Group>,
    #[serde(default)]
    pub role: Vec<Role>,
    #[serde(default)]
    pub authenticator_policy: Vec<AuthenticatorPolicy>,
    #[serde(default)]
    pub token: Vec<Token>,
    #[serde(default)]
    pub client: Vec<Client>,
    #[serde(default)]
    pub issuer: Vec<Trusted>,
    #[serde(default)]
    pub repository: Vec<Repository>,
    /// [`super::provisioned::APART`]
    #[serde(default, rename = "repository of the kind scim_fed")]
    pub provisioned: Vec<Provisioned>,
}

/// `"date"` or `{ type = "date", multi_valued = true }`.
#[derive(Debug)]
pub struct UserAttribute {
    pub kind: Option<String>,
    pub multi_valued: bool,
}

/// `"path"` or `{ path = "…", dialect = "…" }`.
#[derive(Debug)]
pub struct Mount {
    pub path: String,
    pub dialect: Key<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VanishBrake {
    pub percent: Key<u64>,
    pub at_least: Key<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    pub id: Spanned<String>,
    pub display: Option<String>,
    /// The id of another group.
    pub parent: Key<String>,
    #[serde(default)]
    pub roles: Words,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    pub id: Spanned<String>,
    pub display: Option<String>,
    #[serde(default)]
    pub rank: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthenticatorPolicy {
    pub id: Spanned<String>,
    /// What kind of authenticators, in a word.
    #[serde(rename = "type")]
    pub kind: Spanned<String>,
}

/// A table that makes callers known: its own keys, and those that all of them have.
macro_rules! callers {
    ($name:ident { $($(#[$note:meta])* $key:ident: $kind:ty,)* }) => {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$note])* pub $key: $kind,)*
            pub permissions: Words,
            /// Whether POST may bind by `externalId`.
            pub binds: Option<bool>,
            /// `rfc` or `activid`.
            pub dialect: Key<String>,
            /// The id that `/Me` answers.
            pub user: Key<String>,
            /// `FTRESS` or `SCIM_FED`.
            pub creates: Key<String>,
            /// The id of a repository of the kind `scim_fed`.
            pub repository: Key<String>,
            /// `rfc`, `entra`, `okta` or `strict`.
            pub client: Key<String>,
            /// The id of a role; nobody with a higher one is given, taken or edited.
            pub max_role: Key<String>,
            /// The ids of groups for what this caller creates.
            #[serde(default)]
            pub groups: Words,
            pub rate: Option<Rate>,
        }

        impl $name {
            pub fn rights(&self) -> Rights<'_> {
                Rights {
                    permissions: &self.permissions,
                    binds: self.binds,
                    dialect: self.dialect.as_ref(),
                    user: self.user.as_ref(),
                    creates: self.creates.as_ref(),
                    repository: self.repository.as_ref(),
                    client: self.client.as_ref(),
                    max_role: self.max_role.as_ref(),
                    groups: &self.groups,
                    rate: self.rate.as_ref(),
                }
            }
        }
    };
}

callers!(Token {
    name: Spanned<String>,
    /// Hex digest of the token's bytes.
    sha256: Spanned<String>,
});

callers!(Client {
    id: Spanned<String>,
    /// Hex digest of the secret's bytes.
    secret_sha256: Spanned<String>,
    /// Of its tokens.
    lifetime: Key<String>,
});

callers!(Trusted {
    issuer: Spanned<String>,
    audience: Spanned<String>,
    jwks: Spanned<KeySet>,
    /// PEM file with further roots to trust, of an address.
    ca: Key<String>,
});

/// What tokens, clients and issuers have in common.
#[derive(Clone, Copy, Debug)]
pub struct Rights<'a> {
    pub permissions: &'a Words,
    pub binds: Option<bool>,
    pub dialect: Option<&'a Spanned<String>>,
    pub user: Option<&'a Spanned<String>>,
    pub creates: Option<&'a Spanned<String>>,
    pub repository: Option<&'a Spanned<String>>,
    pub client: Option<&'a Spanned<String>>,
    pub max_role: Option<&'a Spanned<String>>,
    pub groups: &'a Words,
    pub rate: Option<&'a Rate>,
}

/// A repository of the kind `scim_fed`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provisioned {
    pub id: Spanned<String>,
    /// Tells it from a directory; nothing else is here.
    #[serde(rename = "kind")]
    pub _kind: Spanned<String>,
    pub group: Key<String>,
    #[serde(default)]
    pub role_by_group: BTreeMap<Spanned<String>, Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    pub id: Spanned<String>,
    /// `ldap`; those of the kind `scim_fed` are [`Provisioned`].
    pub kind: Key<String>,
    /// The id that it had before.
    pub rename_from: Key<String>,
    /// In order of preference.
    pub urls: Spanned<Words>,
    /// `none` or `starttls`; of the `ldap://` URLs.
    pub tls: Key<String>,
    /// Accepts plain LDAP beyond loopback.
    pub insecure: Key<bool>,
    pub ca: Key<String>,
    pub client_certificate: Option<ClientCertificate>,
    pub bind_dn: Key<String>,
    pub bind_password: Key<SecretText>,
    pub base: Spanned<String>,
    pub filter: Key<String>,
    pub mapping: Key<String>,
    pub verify: Key<String>,
    pub changes: Key<String>,
    /// Hosts, or hosts with ports.
    #[serde(default)]
    pub follow_referrals: Words,
    #[serde(default)]
    pub timeouts: Timeouts,
    pub size_limit: Key<u64>,
    pub max_message: Key<String>,
    #[serde(default)]
    pub connections: Connections,
    #[serde(default)]
    pub cache: RepositoryCache,
    #[serde(default)]
    pub attributes: BTreeMap<Spanned<String>, Spanned<Attribute>>,
    #[serde(default)]
    pub rule: Vec<Spanned<Rule>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificate {
    pub certificate: Spanned<String>,
    pub key: Spanned<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    pub connect: Key<String>,
    pub operation: Key<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connections {
    /// Shared by many look-ups at once.
    pub lookup: Key<u64>,
    /// Each for one long search at a time.
    pub scan: Key<u64>,
    pub idle: Key<String>,
    pub max_age: Key<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepositoryCache {
    pub fresh: Key<String>,
    pub negative: Key<String>,
    pub stale: Key<String>,
}

/// `"attribute"`, `["attribute", "fallback"]`, or a table.
#[derive(Debug, Default)]
pub struct Attribute {
    pub names: Option<Vec<String>>,
    pub template: Key<String>,
    pub authority: Key<String>,
    pub kind: Key<String>,
    pub multi_valued: Key<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub group: Key<String>,
    pub base: Key<String>,
    pub filter: Key<String>,
    pub member_of: Key<String>,
    #[serde(default)]
    pub roles: Words,
}

/// `"text"`, `{ env = "NAME" }` or `{ file = "path" }`.
#[derive(Debug)]
pub enum SecretText {
    Text(Secret<String>),
    Environment(String),
    File(String),
}

/// `"https://…/keys"` or `{ file = "path" }`.
#[derive(Debug)]
pub enum KeySet {
    Address(String),
    File(String),
}
