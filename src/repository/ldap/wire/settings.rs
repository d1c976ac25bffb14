//! What has to be known to reach one directory: servers, TLS, identity, limits.

use std::fmt;
use std::time::Duration;

use crate::config::{ReferralHost, ServerUrl};
use crate::secret::Secret;

/// How to reach one directory. All its servers hold the same data.
#[derive(Clone)]
pub struct Settings {
    /// In order of preference; at least one.
    pub urls: Vec<ServerUrl>,
    /// Whether `ldap://` servers must change to TLS before anything else is said.
    pub starttls: bool,
    /// Whether referrals may lead to a server beyond this machine that is spoken to in plain text.
    pub insecure: bool,
    /// The hosts to which referrals are followed.
    pub follow_referrals: Vec<ReferralHost>,
    /// Roots that are trusted besides the machine's own, in PEM.
    pub ca: Option<Vec<u8>>,
    /// Certificate chain and key in PEM; without `bind_dn` they are the identity (SASL EXTERNAL).
    pub client_certificate: Option<(Vec<u8>, Vec<u8>)>,
    /// Without it, and without a client certificate, the directory is read anonymously.
    pub bind_dn: Option<String>,
    pub bind_password: Option<Secret<String>>,
    /// For name resolution, TCP and TLS together.
    pub connect_timeout: Duration,
    /// For the bind, and between two messages of an answer; the caller's deadline bounds the whole.
    pub operation_timeout: Duration,
    /// Bytes of the largest message that is read from a server.
    pub max_message: usize,
    /// Shared connections per server; under load up to four.
    pub lookup: usize,
    /// Exclusive connections per server for paged searches.
    pub scan: usize,
    /// How long a connection may lie unused; below what firewalls and servers allow.
    pub idle: Duration,
    pub max_age: Duration,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("urls", &self.urls)
            .field("starttls", &self.starttls)
            .field("bind_dn", &self.bind_dn)
            .finish_non_exhaustive()
    }
}

/// Settings that cannot work, whatever the servers say.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("no server is named; give at least one URL")]
    NoServer,
    #[error("`ca` holds no certificate that can be used: {0}")]
    Ca(String),
    #[error("the client certificate cannot be used: {0}")]
    ClientCertificate(String),
    #[error(
        "bind_dn needs a bind_password that is not empty: a server would take the connection for anonymous"
    )]
    EmptyPassword,
    #[error("a bind_password without a bind_dn names nobody")]
    PasswordWithoutName,
    #[error("`{0}` can be neither a DNS name nor an IP address in a certificate")]
    HostName(String),
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}
