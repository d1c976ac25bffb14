//! A `postgres://` URL: where the server is, who we are there, and whether TLS is spoken.
//!
//! Knows nothing of connections. The password stands in the URL and in what is made of it, and is
//! in no text that this file makes.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::tls::Tls;

/// How long reaching one address of the server may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Where a database is, ready to be connected to.
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) tls: Tls,
    /// `postgres://host:port/database`, for errors and the log.
    pub(super) shown: String,
}

impl Address {
    /// Reads a URL as libpq does, but for `sslmode`, which is `disable`, `require` or `verify-full`;
    /// the latter two both verify. Without it a server on this machine is spoken to in plain text,
    /// every other by TLS.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let (main, query) = url.split_once('?').unwrap_or((url, ""));
        let mut kept = String::new();
        let (mut mode, mut root) = (None, None);
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let decoded = || percent_encoding::percent_decode_str(value).decode_utf8_lossy();
            match key {
                "sslmode" => mode = Some(decoded().into_owned()),
                "sslrootcert" => root = Some(PathBuf::from(decoded().into_owned())),
                _ => {
                    kept.push(if kept.is_empty() { '?' } else { '&' });
                    kept.push_str(part);
                }
            }
        }
        // What the parser says names an option, never what it holds.
        let mut config: Config = format!("{main}{kept}").parse().map_err(|error| said(&error))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err("it names no server".to_owned());
        }
        if config.get_dbname().is_none_or(str::is_empty) {
            return Err("it names no database".to_owned());
        }
        let encrypted = match mode.as_deref() {
            None => !is_near(&config),
            Some("disable") => false,
            Some("require" | "verify-full") => true,
            Some(_) => return Err("sslmode is disable, require or verify-full".to_owned()),
        };
        let tls = if encrypted { Tls::verified(root.as_deref())? } else { Tls::none() };
        config.ssl_mode(if encrypted { SslMode::Require } else { SslMode::Disable });
        if config.get_application_name().is_none() {
            config.application_name("scimbridge");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(Duration::from_secs(30));
        }
        config.keepalives_idle(Duration::from_secs(30));
        let shown = shown(&config);
        Ok(Self { config, tls, shown })
    }
}

/// What went wrong, with every cause.
pub(super) fn said(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return format!("{} ({})", error.message(), error.code().code());
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Whether what is sent stays on this machine.
fn is_near(config: &Config) -> bool {
    let addresses = config.get_hostaddrs();
    if !addresses.is_empty() {
        return addresses.iter().all(IpAddr::is_loopback);
    }
    config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
        }
    })
}

fn shown(config: &Config) -> String {
    let ports = config.get_ports();
    let port = |place: usize| ports.get(place).or(ports.first()).copied().unwrap_or(5432);
    let hosts: Vec<_> = config
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(place, host)| match host {
            Host::Tcp(name) if name.contains(':') => format!("[{name}]:{}", port(place)),
            Host::Tcp(name) => format!("{name}:{}", port(place)),
            Host::Unix(path) => format!("{}:{}", path.display(), port(place)),
        })
        .collect();
    let hosts = if hosts.is_empty() {
        config.get_hostaddrs().iter().map(ToString::to_string).collect()
    } else {
        hosts
    };
    format!("postgres://{}/{}", hosts.join(","), config.get_dbname().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_the_machine_is_encrypted_unless_it_is_asked_not_to_be() {
        for (url, mode) in [
            ("postgres://me@127.0.0.1/db", SslMode::Disable),
            ("postgres://me@localhost:5433/db", SslMode::Disable),
            ("postgresql://me@[::1]/db", SslMode::Disable),
            ("postgres:///db?host=/run/postgresql", SslMode::Disable),
            ("postgres://me@%2Frun%2Fpostgresql/db", SslMode::Disable),
            ("postgres://me@db.example.org/db", SslMode::Require),
            ("postgres://me@127.0.0.1,db.example.org/db", SslMode::Require),
            ("postgres://me@localhost/db?hostaddr=192.0.2.1", SslMode::Require),
            ("postgres://me@localhost.example.org/db", SslMode::Require),
            ("postgres://me@localhost/db?sslmode=require", SslMode::Require),
            ("postgres://me@192.0.2.1/db?connect_timeout=2&sslmode=disable", SslMode::Disable),
            ("postgres://me@192.0.2.1/db?sslmode=verify-full", SslMode::Require),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(address.config.get_ssl_mode(), mode, "{url}");
        }
    }

    #[test]
    fn a_password_is_nowhere_shown() {
        let address =
            Address::parse("postgres://me:hunter2@h1,h2:6000/db?sslmode=disable").unwrap();
        assert_eq!(address.shown, "postgres://h1:5432,h2:6000/db");
        assert!(!format!("{:?}", address.config).contains("hunter2"));
        for wrong in [
            "postgres://me:hunter2@h:port/db",
            "postgres://me:hunter2@h/",
            "postgres://me:hunter2@/db",
            "postgres://me:hunter2@h/db?sslmode=prefer",
            "postgres://me:hunter2@h/db?sslmode=allow",
            "postgres://me:hunter2@h/db?colour=red",
            "postgres://me:hunter2@h/db?sslmode=require&sslrootcert=/no/such/file",
        ] {
            let error = Address::parse(wrong).err().unwrap();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
