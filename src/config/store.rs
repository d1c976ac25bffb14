//! What `[store]` means: a file, memory, or a PostgreSQL server, of whose URL everything is checked
//! that can be without asking the server.
//!
//! The URL may hold a password, so that no fault shows it.

use std::path::Path;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::fault::{Fault, listed, nearest};
use super::resolve::Surroundings;
use super::settings::StoreSettings;
use super::value;
use super::written;
use crate::secret::Secret;

/// The parameters that a `postgres://` URL takes.
const PARAMETERS: [&str; 17] = [
    "sslmode",
    "sslrootcert",
    "host",
    "hostaddr",
    "port",
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "connect_timeout",
    "target_session_attrs",
    "load_balance_hosts",
    "tcp_user_timeout",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
];

const EXAMPLE: &str = "write for example \"postgres://bridge@db.example.org/scimbridge\"";

pub fn settings(file: &written::Store, around: &Surroundings<'_>) -> Result<StoreSettings, Fault> {
    for place in &file.index {
        value::attribute_path(place)?;
    }
    let index = file.index.iter().map(|place| place.get_ref().clone()).collect();
    let Some(place) = &file.url else {
        let url = Secret::new(sqlite("scimbridge.db", around));
        return Ok(StoreSettings { url, index });
    };
    let written = value::secret(place, around)?;
    let written = written.expose();
    let path = written.strip_prefix("sqlite:").map(|rest| rest.strip_prefix("//").unwrap_or(rest));
    let url = match path {
        Some(":memory:") => "sqlite::memory:".to_owned(),
        Some(path) if !path.is_empty() && !path.contains(['?', '\0']) => sqlite(path, around),
        None if ["postgres:", "postgresql:"].iter().any(|scheme| written.starts_with(scheme)) => {
            postgres(written, around)
                .map_err(|Wrong { problem, remedy }| Fault::at_secret(place, problem, remedy))?
        }
        _ => {
            return Err(Fault::at_secret(
                place,
                "this names no store",
                "write \"sqlite:scimbridge.db\" (a path, relative to this file), \
                 \"sqlite::memory:\" or \"postgres://user@host/database\"",
            ));
        }
    };
    Ok(StoreSettings { url: Secret::new(url), index })
}

fn sqlite(path: &str, around: &Surroundings<'_>) -> String {
    format!("sqlite:{}", around.path(path).display())
}

struct Wrong {
    problem: String,
    remedy: String,
}

fn wrong<T>(problem: impl Into<String>, remedy: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { problem: problem.into(), remedy: remedy.into() })
}

/// The URL as it is, but for a relative `sslrootcert`, which starts at the file.
fn postgres(url: &str, around: &Surroundings<'_>) -> Result<String, Wrong> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return wrong("the URL has no server", EXAMPLE);
    };
    let (main, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = main.split_once('/').unwrap_or((main, ""));
    let (who, servers) = authority.split_once('@').unwrap_or(("", authority));
    // Before anything is quoted that may be a part of a password.
    if servers.contains('@') || database.contains(['@', '/']) || query.contains('@') {
        return wrong(
            "a character of the user's name, the password or another part stands as it is and \
             means something else",
            "write @ as %40, / as %2F, : as %3A, ? as %3F and % as %25 there",
        );
    }
    let mut parameters = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        if !PARAMETERS.contains(&name) {
            let remedy = match nearest(name, PARAMETERS.into_iter()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("known: {}", PARAMETERS.join(", ")),
            };
            return wrong(format!("the URL has no parameter {name}"), remedy);
        }
        let decoded = percent_decode_str(value).decode_utf8_lossy().into_owned();
        parameters.push((name, value.to_owned(), decoded));
    }
    let given = |name: &str| {
        let found = parameters.iter().find(|(other, ..)| *other == name);
        found.map(|(_, _, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    if servers.is_empty() && given("host").is_none() && given("hostaddr").is_none() {
        return wrong("the URL names no server", EXAMPLE);
    }
    for server in servers.split(',').filter(|server| !server.is_empty()) {
        let after_address = server.rsplit_once(']').map_or(server, |(_, rest)| rest);
        if let Some((_, port)) = after_address.split_once(':')
            && port.parse::<u16>().is_err()
        {
            return wrong("the port is no number from 1 to 65535", EXAMPLE);
        }
    }
    if database.is_empty() && given("dbname").is_none() {
        return wrong("the URL names no database", EXAMPLE);
    }
    if who.is_empty() && given("user").is_none() {
        return wrong("the URL names no user", EXAMPLE);
    }
    tls(given("sslmode"), given("sslrootcert").map(|path| around.path(path)).as_deref())?;
    let mut whole = format!("{scheme}://{main}");
    for (place, (name, value, decoded)) in parameters.iter().enumerate() {
        whole.push(if place == 0 { '?' } else { '&' });
        whole.push_str(name);
        whole.push('=');
        if *name == "sslrootcert" {
            let path = around.path(decoded).display().to_string();
            whole.extend(utf8_percent_encode(&path, NON_ALPHANUMERIC));
        } else {
            whole.push_str(value);
        }
    }
    Ok(whole)
}

fn tls(mode: Option<&str>, root: Option<&Path>) -> Result<(), Wrong> {
    const MODES: [&str; 3] = ["disable", "require", "verify-full"];
    match mode {
        Some(mode @ ("prefer" | "allow")) => wrong(
            format!("sslmode={mode} would send everything in clear text to whoever asks for that"),
            "leave it out: servers on this machine are spoken to in clear text, all others by TLS \
             with a verified certificate; or write sslmode=disable",
        ),
        Some("verify-ca") => wrong(
            "sslmode=verify-ca would take the certificate of any host",
            "write sslmode=verify-full",
        ),
        Some(mode) if !MODES.contains(&mode) => {
            wrong(format!("there is no sslmode {mode}"), listed(MODES.into_iter()))
        }
        _ => match root {
            Some(root) if !root.is_file() => wrong(
                format!("sslrootcert: there is no file {}", root.display()),
                "name a PEM file; a relative path is relative to this file",
            ),
            Some(_) if mode == Some("disable") => {
                wrong("sslrootcert is of no use with sslmode=disable", "leave one of them out")
            }
            _ => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ENOUGH, parse, says};

    fn refused(url: &str) -> String {
        let text = format!("[store]\nurl = {url:?}\n{ENOUGH}");
        let text = parse(&text).unwrap_err().to_string();
        assert!(!text.contains("hunter2"), "{text}");
        text
    }

    #[test]
    fn a_postgres_url_is_kept_and_never_shown() {
        for url in [
            "postgres://me:hunter2@db.example.org/bridge",
            "postgresql://me@127.0.0.1:5433/bridge?sslmode=disable&application_name=one",
            "postgres://me@/bridge?host=/run/postgresql",
            "postgres://me:hunter2@[::1]:5432,db2.example.org/bridge?target_session_attrs=read-write",
        ] {
            let config = parse(&format!("[store]\nurl = {url:?}\n{ENOUGH}")).unwrap();
            assert_eq!(config.store.url.expose(), url);
            assert!(!format!("{config:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_postgres_url_that_cannot_work_is_refused_with_a_remedy() {
        for (url, told) in [
            ("mysql://me:hunter2@h/db", "names no store"),
            ("postgres:hunter2", "no server"),
            ("postgres://me:hunter2@/db", "names no server"),
            ("postgres://me:hunter2@h", "names no database"),
            ("postgres://h/db", "names no user"),
            ("postgres://me:hunter2@h:db/db", "the port is no number"),
            ("postgres://me:hunt@hunter2@h/db", "%40"),
            ("postgres://me:hunt/hunter2@h/db", "%2F"),
            ("postgres://me:hunt?hunter2@h/db", "%3F"),
            ("postgres://me:hunter2@h/db?sslmod=disable", "did you mean sslmode?"),
            ("postgres://me:hunter2@h/db?sslmode=prefer", "leave it out"),
            ("postgres://me:hunter2@h/db?sslmode=verify-ca", "write sslmode=verify-full"),
            ("postgres://me:hunter2@h/db?sslmode=on", "\"verify-full\""),
            ("postgres://me:hunter2@h/db?sslrootcert=no-such.pem", "no-such.pem"),
        ] {
            says(&refused(url), &[":2: store.url: ", told, "2 | url = …"]);
        }
    }

    #[test]
    fn a_root_certificate_lies_beside_the_file() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), "").unwrap();
        let url = "postgres://me@h/db?sslrootcert=ca.pem&sslmode=verify-full";
        let text = format!("[store]\nurl = {{ env = \"DATABASE\" }}\n{ENOUGH}");
        let environment = |name: &str| (name == "DATABASE").then(|| url.to_owned());
        let config = super::super::Config::parse(&text, directory.path(), &environment).unwrap();
        let url = config.store.url.expose();
        assert!(url.ends_with("%2Fca%2Epem&sslmode=verify-full"), "{url}");
    }
}
