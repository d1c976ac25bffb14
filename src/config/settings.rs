//! What the configuration means: values that are whole, checked, and cannot contradict each other.
//!
//! Knows nothing of how they were written, nor of who uses them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use tracing_subscriber::filter::Targets;
use url::Url;

use super::customs::Customs;
use super::provisioned::Provisioned;
use super::server::{ReferralHost, ServerUrl};
use super::tls::TlsFiles;
use crate::caller::Caller;
use crate::scim::dialect::{Dialect, Manners};
use crate::scim::mirror::CodeTypes;
use crate::scim::schema::ResourceTypes;
use crate::secret::Secret;

/// Everything that an administrator decides.
#[derive(Clone, Debug)]
pub struct Config {
    pub server: Server,
    pub store: StoreSettings,
    /// Bytes for all caches together.
    pub cache_capacity: u64,
    pub log: LogSettings,
    /// At least one, in the order of the file.
    pub tenants: Vec<Tenant>,
}

/// How the bridge listens, and what it takes at most from one client.
#[derive(Clone, Debug)]
pub struct Server {
    /// Port 0 picks a free one.
    pub listen: SocketAddr,
    /// Base of every `meta.location` and `$ref`, without a slash at its end; where absent, the
    /// address that is listened on.
    pub public_url: Option<String>,
    /// Where it is given, nothing but TLS is spoken.
    pub tls: Option<TlsFiles>,
    /// Whether a proxy in front terminates TLS, and says by `X-Forwarded-For` who is asking.
    pub behind_proxy: bool,
    pub request_timeout: Duration,
    /// Bytes of a request's body.
    pub max_body: usize,
    /// Bytes of an import's body.
    pub max_import: u64,
    pub max_connections: usize,
    /// Failed sign-ins that one address has; where absent, as many as it likes.
    pub throttle: Option<Allowance>,
    /// Where `/metrics` and `/health` are answered, if on a listener of their own.
    pub operations: Option<SocketAddr>,
}

#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// `sqlite:` and an absolute path, `sqlite::memory:`, or `postgres://`, perhaps with a password.
    pub url: Secret<String>,
    /// Further SCIM paths to index, as written.
    pub index: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Which events are written: a level, or levels per module.
    pub filter: Targets,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// One customer's name space; nothing crosses from one tenant to another.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// `[a-z0-9-]+`
    pub name: Arc<str>,
    /// The first is `/scim/<name>/v2`. Unique over all tenants, compared without case.
    pub mounts: Vec<Mount>,
    /// How requests are understood and answered in each dialect.
    pub manners: Manners,
    /// Upper bound of `count`, and its default.
    pub max_results: u64,
    pub on_failure: OnFailure,
    pub on_conflict: OnConflict,
    pub on_vanish: OnVanish,
    /// How far apart two reads must find nobody before a person counts as gone.
    pub vanish_grace: Duration,
    pub vanish_brake: VanishBrake,
    /// Whether a filter of which nothing can be sent to a directory may read all of it.
    pub allow_scan: bool,
    /// Keys that one cursor walk may cover.
    pub walk_limit: u64,
    pub cursor_timeout: Duration,
    pub customs: Customs,
    /// The DN of the group of a directory whose members may sign in to the console with the passwords
    /// that they have there; where absent, nobody may.
    pub operators: Option<String>,
    /// The shipped ones with what the files of `schemas` add.
    pub resource_types: Arc<ResourceTypes>,
    /// What values under the codes of `UserAttribute` are, as the tenant and its mappings say.
    pub codes: CodeTypes,
    pub groups: Vec<Group>,
    pub roles: Vec<Role>,
    pub authenticator_policies: Vec<AuthenticatorPolicy>,
    pub tokens: Vec<Token>,
    pub clients: Vec<OauthClient>,
    pub issuers: Vec<Issuer>,
    /// In the order of the file, which is the priority of `on_conflict = "first"`.
    pub repositories: Vec<RepositorySettings>,
    /// Those that nobody reads.
    pub provisioned: Vec<Provisioned>,
}

/// A base path of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// With a slash at its start and none at its end.
    pub path: String,
    /// Of whoever's token does not name another one.
    pub dialect: Dialect,
}

/// What a federated search answers when a repository failed and somebody was found elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// 200 and the report.
    Partial,
    /// 503.
    Fail,
}

/// What becomes of two users of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// Both are shown, each marked.
    Show,
    /// The later unbound ones are hidden.
    First,
}

/// What becomes of a bound user whose entry is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnVanish {
    Disable,
    Keep,
}

/// How many people of one repository may vanish in an hour before none of them is believed gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VanishBrake {
    /// 0 to 100.
    pub percent: u8,
    pub at_least: u64,
}

/// A configured group: its members are writable, its name and existence are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub id: String,
    pub display: String,
    /// The id of another configured group; no circles.
    pub parent: Option<String>,
    /// Ids of configured roles.
    pub roles: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    pub id: String,
    pub display: String,
    /// The higher, the mightier.
    pub rank: i64,
}

/// What authenticators of one kind there may be: one for each user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatorPolicy {
    /// `[A-Za-z0-9_-]+`, at most 64 characters.
    pub id: String,
    /// `login` of those that come with an import.
    pub kind: String,
}

/// So many at once, and so many in that time again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// At least 1.
    pub count: u32,
    pub per: Duration,
}

/// A static bearer token, known by its digest alone.
#[derive(Clone, Debug)]
pub struct Token {
    pub name: String,
    /// SHA-256 of the token's bytes; unique over all tenants.
    pub sha256: [u8; 32],
    pub rights: Rights,
}

/// Whom a token stands for, and how often it may be used.
#[derive(Clone, Debug)]
pub struct Rights {
    pub caller: Arc<Caller>,
    /// Requests that it has; where absent, as many as it likes.
    pub rate: Option<Allowance>,
}

/// A client of the token endpoint (RFC 6749 section 4.4), its secret known by its digest alone.
#[derive(Clone, Debug)]
pub struct OauthClient {
    /// Unique in the tenant.
    pub id: String,
    /// SHA-256 of the secret's bytes.
    pub secret_sha256: [u8; 32],
    /// Of its tokens, all of them together.
    pub rights: Rights,
    /// Of each of its tokens.
    pub lifetime: Duration,
}

/// Somebody whose signed tokens are accepted.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// As its tokens name it (`iss`), and the caller's name.
    pub issuer: String,
    /// As they name us (`aud`).
    pub audience: String,
    pub jwks: KeySet,
    /// Of all of its tokens together.
    pub rights: Rights,
}

/// Where the public keys of an issuer are.
#[derive(Clone, Debug)]
pub enum KeySet {
    /// The text of its JWK Set.
    Text(String),
    /// Its address, `https` or, on loopback, `http`; and the roots that are trusted there beside the
    /// machine's.
    Address(Url, Option<Arc<RootCertStore>>),
}

/// One LDAP directory behind the bridge.
#[derive(Clone, Debug)]
pub struct RepositorySettings {
    /// `[a-z0-9-]+`, unique in the tenant.
    pub id: Arc<str>,
    /// The id that it had before, which is no other repository's.
    pub rename_from: Option<Arc<str>>,
    /// At least one, in order of preference.
    pub urls: Vec<ServerUrl>,
    /// Whether the `ldap://` servers are spoken to over StartTLS.
    pub starttls: bool,
    /// Whether plain LDAP beyond loopback was accepted in writing. Never weakens TLS.
    pub insecure: bool,
    /// The hosts to which referrals are followed.
    pub follow_referrals: Vec<ReferralHost>,
    /// PEM file with further roots to trust.
    pub ca: Option<PathBuf>,
    /// PEM files: certificate chain, key.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Absent for an anonymous bind, or for SASL EXTERNAL by the client certificate.
    pub bind_dn: Option<String>,
    /// Never empty, and present exactly where `bind_dn` is.
    pub bind_password: Option<Secret<String>>,
    pub base: String,
    /// Who is a person here; where absent, what the mapping says.
    pub filter: Option<String>,
    /// Name of the mapping that is shipped with the bridge.
    pub mapping: String,
    /// SCIM path (as written) and what it adds to, or overrides in, the mapping.
    pub attributes: Vec<(String, AttributeOverride)>,
    pub connect_timeout: Duration,
    pub operation_timeout: Duration,
    /// Entries of one un-cursored search.
    pub size_limit: usize,
    /// Bytes of one LDAP message.
    pub max_message: usize,
    /// Shared look-up connections per server.
    pub lookup: usize,
    /// Exclusive scan connections per server.
    pub scan: usize,
    /// How long a connection may rest unused.
    pub idle: Duration,
    /// How long a connection may live.
    pub max_age: Duration,
    pub cache: CacheTimes,
    /// How the directory tells what changes.
    pub changes: Changes,
    /// Every bound person is re-read at least this often.
    pub verify: Duration,
    pub rules: Vec<Rule>,
}

impl RepositorySettings {
    /// Whether anything is sent to `server` without TLS.
    pub fn plain(&self, server: &ServerUrl) -> bool {
        !server.ldaps && !self.starttls
    }
}

/// How a directory tells what changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Changes {
    #[default]
    Off,
    /// RFC 4533 (`OpenLDAP`).
    Syncrepl,
    /// Persistent search (389 Directory Server).
    Psearch,
    /// The `DirSync` control (Active Directory).
    Dirsync,
    /// Numbers of changes (Active Directory).
    Usn,
}

/// How one SCIM path is filled, where the mapping is not followed as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeOverride {
    /// Where absent, what the mapping says.
    pub attribute: Option<Source>,
    /// Where absent, what the mapping says; [`Authority::Directory`] where it says nothing.
    pub authority: Option<Authority>,
    /// How values are read, as the repository's mappings name it (one word); where absent, what the
    /// mapping or else the schema says.
    pub kind: Option<String>,
    /// Whether every value is read where a code of `UserAttribute` holds one.
    pub several: bool,
}

/// Where a value comes from in an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// LDAP attributes; the first that has a value gives it. Never empty.
    Attributes(Vec<String>),
    /// Text in which `{attribute}` stands for the attribute's first value.
    Template(String),
}

/// Who decides the value of a mapped path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// The directory; the bridge refuses other values.
    Directory,
    /// The directory until somebody writes here, then the bridge.
    Local,
    /// The directory; what is written here is written there first.
    WriteBack,
}

/// How long directory facts are kept. All zero: no caching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheTimes {
    /// Served without asking.
    pub fresh: Duration,
    /// The same for "nobody".
    pub negative: Duration,
    /// Served, marked, while the directory fails.
    pub stale: Duration,
}

/// Who of a repository is in which group and has which roles. Gives something (a group, a role) and
/// asks for something (`base`, `filter`, `member_of`; all that are given must hold).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The id of a configured group.
    pub group: Option<String>,
    pub base: Option<String>,
    pub filter: Option<String>,
    pub member_of: Option<String>,
    /// Ids of configured roles.
    pub roles: Vec<String>,
}
