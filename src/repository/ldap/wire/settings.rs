//! What has to be known to reach one directory: servers, TLS, identity, limits.

use std::fmt;
use std::time::Duration;

use url::{Host, Url};

use crate::secret::Secret;

/// One server, from `ldap://host[:port]` or `ldaps://host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    /// A DNS name or an IP address, without brackets.
    pub host: String,
    pub port: u16,
    /// TLS from the first byte.
    pub ldaps: bool,
}

impl ServerUrl {
    /// Reads `ldap://` and `ldaps://` URLs; the ports default to 389 and 636 (RFC 4516, section 2).
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let refuse = |why: &str| SettingsError::Url(text.to_owned(), why.to_owned());
        // The generic parser validates host names of special schemes only, so it is lent one.
        let (ldaps, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("ldap") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("ldaps") => (true, rest),
            _ => return Err(refuse("it must begin with ldap:// or ldaps://")),
        };
        let url =
            Url::parse(&format!("ws://{rest}")).map_err(|error| refuse(&error.to_string()))?;
        let beyond =
            !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some();
        if beyond || !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("only a host and a port belong here"));
        }
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err(refuse("the host is missing")),
        };
        // Port 80 is the lent scheme's default, so the parser leaves it out.
        let port = match url.port() {
            Some(port) => port,
            None if rest.trim_end_matches('/').ends_with(":80") => 80,
            None if ldaps => 636,
            None => 389,
        };
        Ok(Self { host, port, ldaps })
    }

    /// Whether this names the machine itself, where plain text harms nobody.
    pub fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.ldaps { "ldaps" } else { "ldap" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// How to reach one directory. All its servers hold the same data.
#[derive(Clone)]
pub struct Settings {
    /// In order of preference; at least one.
    pub urls: Vec<ServerUrl>,
    /// Whether `ldap://` servers must change to TLS before anything else is said.
    pub starttls: bool,
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
    #[error("`{0}` is not the URL of an LDAP server: {1}")]
    Url(String, String),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        let read = |text: &str| ServerUrl::parse(text).unwrap().to_string();
        assert_eq!(read("ldap://a.example"), "ldap://a.example:389");
        assert_eq!(read("LDAPS://a.example/"), "ldaps://a.example:636");
        assert_eq!(read("ldap://127.0.0.1:3890"), "ldap://127.0.0.1:3890");
        assert_eq!(read("ldap://a.example:80"), "ldap://a.example:80");
        assert_eq!(read("ldaps://[::1]:3636"), "ldaps://[::1]:3636");
        assert_eq!(ServerUrl::parse("ldaps://[::1]").unwrap().host, "::1");
    }

    #[test]
    fn other_urls_are_refused() {
        for text in [
            "",
            "ldap://",
            "http://a",
            "ldapi:///x",
            "ldap://a:b",
            "ldap://a:99999",
            "ldap://u:p@a",
            "ldap://a/dc=x",
            "ldap://a?x",
            "a.example:389",
            "ldap://a b",
        ] {
            assert!(ServerUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_is_known() {
        let loopback = |text: &str| ServerUrl::parse(text).unwrap().is_loopback();
        assert!(
            loopback("ldap://127.0.0.9")
                && loopback("ldap://localhost")
                && loopback("ldap://[::1]")
        );
        assert!(!loopback("ldap://10.0.0.1") && !loopback("ldap://localhost.example"));
    }
}
