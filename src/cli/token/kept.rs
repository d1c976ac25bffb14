//! The tokens that there are: listed with their last use, and taken back.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::app::tokens::{self, Tokens};
use crate::config::{Config, Token};
use crate::store::IssuedToken;

/// How many names a message tells.
const NAMED: usize = 20;

pub fn list(config: &Config, as_json: bool) -> anyhow::Result<()> {
    let tokens = tokens::tokens(config)?;
    let text = if as_json {
        serde_json::to_string_pretty(&object(&tokens))? + "\n"
    } else {
        text(&tokens)
    };
    std::io::stdout().write_all(text.as_bytes()).context("cannot print it")
}

/// Takes back the token that is meant: a number is one of the token endpoint's, unless a tenant is
/// named as well.
pub fn revoke(config: &Config, tenant: Option<&str>, which: &str) -> anyhow::Result<()> {
    if let (None, Ok(number)) = (tenant, which.parse::<i64>()) {
        anyhow::ensure!(
            tokens::revoke_issued(config, number)?,
            "no token has the number {number}; `scimbridge token list` shows those that there are (a \
             token of the configuration that is called so is meant where --tenant is given)"
        );
        return Ok(());
    }
    let token = named(config, tenant, which)?;
    let tenant = &token.rights.caller.tenant;
    let done = match tokens::revoke_fixed(config, token)? {
        None => "revoked; in a minute at most no node knows it any more".to_owned(),
        Some(since) => format!("revoked already, since {}", seconds(since)),
    };
    println!(
        "token \"{which}\" of tenant \"{tenant}\": {done}. Take its table [[tenant.token]] out of the \
         file; `scimbridge token new` makes another under the same name"
    );
    Ok(())
}

/// The token of the configuration with this name.
fn named<'a>(config: &'a Config, tenant: Option<&str>, name: &str) -> anyhow::Result<&'a Token> {
    let tenants = || config.tenants.iter();
    if let Some(tenant) = tenant.filter(|tenant| tenants().all(|one| *one.name != **tenant)) {
        bail!(
            "there is no tenant \"{tenant}\"; there are {}",
            words(tenants().map(|one| &*one.name))
        );
    }
    let within = |one: &&Token| tenant.is_none_or(|tenant| *one.rights.caller.tenant == *tenant);
    let tokens = || tenants().flat_map(|one| &one.tokens).filter(within);
    let meant: Vec<&Token> = tokens().filter(|token| token.name == name).collect();
    match meant[..] {
        [token] => Ok(token),
        [] if tokens().next().is_none() => {
            bail!("no token is called \"{name}\": the configuration has none there")
        }
        [] => bail!(
            "no token of the configuration is called \"{name}\"; there are {}. The tokens that a \
             client got are taken back by number: `scimbridge token list` shows them",
            words(tokens().map(|token| &*token.name))
        ),
        _ => bail!(
            "\"{name}\" is a token of each of the tenants {}; say with --tenant which is meant",
            words(meant.iter().map(|token| &*token.rights.caller.tenant))
        ),
    }
}

fn words<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
    match words.get(NAMED..) {
        Some(more) if !more.is_empty() => {
            format!("{} and {} more", words[..NAMED].join(", "), more.len())
        }
        _ => words.join(", "),
    }
}

fn text(tokens: &Tokens<'_>) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(text, "{:20} {:24} {:20} LAST USED", "TENANT", "TOKEN", "REVOKED");
    for (token, noted) in &tokens.fixed {
        let tenant = &*token.rights.caller.tenant;
        let revoked = noted.revoked.map_or_else(|| "no".to_owned(), seconds);
        let last_used = noted.last_used.map_or_else(|| "never".to_owned(), seconds);
        let _ = writeln!(text, "{tenant:20} {:24} {revoked:20} {last_used}", token.name);
    }
    let _ = writeln!(
        text,
        "\n{:>8} {:20} {:24} {:20} {:20} LAST USED",
        "NUMBER", "TENANT", "CLIENT", "ISSUED", "EXPIRES"
    );
    for kept in &tokens.issued {
        let IssuedToken { tenant, client, issued, expires, scope } = &kept.token;
        let last_used = kept.last_used.map_or_else(|| "never".to_owned(), seconds);
        let scope = scope.as_ref().map(|scope| format!("  ({scope})")).unwrap_or_default();
        let _ = writeln!(
            text,
            "{:>8} {tenant:20} {client:24} {:20} {:20} {last_used}{scope}",
            kept.number,
            seconds(*issued),
            seconds(*expires)
        );
    }
    text
}

/// What [`text`] says, with every key always there.
fn object(tokens: &Tokens<'_>) -> Value {
    let at = |at: Option<Timestamp>| at.map(seconds);
    let fixed = tokens.fixed.iter().map(|(token, noted)| {
        json!({
            "tenant": &*token.rights.caller.tenant,
            "name": token.name,
            "revoked": at(noted.revoked),
            "lastUsed": at(noted.last_used),
        })
    });
    let issued = tokens.issued.iter().map(|kept| {
        json!({
            "number": kept.number,
            "tenant": kept.token.tenant,
            "client": kept.token.client,
            "scope": kept.token.scope,
            "issued": seconds(kept.token.issued),
            "expires": seconds(kept.token.expires),
            "lastUsed": at(kept.last_used),
        })
    });
    json!({ "tokens": fixed.collect::<Value>(), "issued": issued.collect::<Value>() })
}

fn seconds(at: Timestamp) -> String {
    format!("{at:.0}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config() -> Config {
        let mut text = String::new();
        for (number, (tenant, names)) in
            [("acme", &["entra", "help desk"][..]), ("beta", &["entra", "7"]), ("gamma", &[])]
                .into_iter()
                .enumerate()
        {
            let _ = writeln!(text, "[[tenant]]\nname = \"{tenant}\"");
            for (digest, name) in (number * 10..).zip(names) {
                let _ = writeln!(
                    text,
                    "[[tenant.token]]\nname = \"{name}\"\nsha256 = \"{digest:064}\"\n\
                     permissions = []"
                );
            }
        }
        Config::parse(&text, Path::new("/"), &|_| None).unwrap()
    }

    #[test]
    fn a_token_is_named_by_its_name_and_its_tenant_where_that_is_needed() {
        let config = config();
        let meant = |tenant, name| {
            let token = named(&config, tenant, name).map_err(|error| error.to_string())?;
            Ok::<_, String>(format!("{}/{}", token.rights.caller.tenant, token.name))
        };
        assert_eq!(meant(None, "help desk").unwrap(), "acme/help desk");
        assert_eq!(meant(Some("beta"), "entra").unwrap(), "beta/entra");
        assert_eq!(meant(Some("beta"), "7").unwrap(), "beta/7");
        for (tenant, name, told) in [
            (None, "entra", "\"entra\" is a token of each of the tenants \"acme\", \"beta\"; say"),
            (None, "okta", "there are \"entra\", \"help desk\", \"entra\", \"7\". The"),
            (Some("beta"), "help desk", "is called \"help desk\"; there are \"entra\", \"7\". The"),
            (Some("gamma"), "entra", "the configuration has none there"),
            (
                Some("delta"),
                "entra",
                "no tenant \"delta\"; there are \"acme\", \"beta\", \"gamma\"",
            ),
        ] {
            let error = meant(tenant, name).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn long_lists_of_names_are_cut() {
        let names: Vec<String> = (0..25).map(|number| number.to_string()).collect();
        let told = words(names.iter().map(String::as_str));
        assert!(told.ends_with("\"18\", \"19\" and 5 more"), "{told}");
    }
}
