//! `scimbridge token`: new tokens and clients with the tables that make them known, and the tokens
//! that there are.

mod kept;

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;

use crate::auth::mint::{PREFIX, fresh, hex, sha256};
use crate::caller::{PERMISSIONS, PermissionSet};
use crate::config::Config;
use crate::secret::Secret;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a token: prints its [[tenant.token]] table and, this once, the token itself
    ///
    /// The table goes into the configuration, below the [[tenant]] that the token is for. The token
    /// goes to the client, which sends it as `Authorization: Bearer <token>`; the configuration
    /// keeps only its SHA-256, so that nobody can read it there.
    New {
        /// The name of the caller, for logs and the audit trail
        #[arg(long, value_parser = name)]
        name: String,
        /// What the caller may do, with commas between
        #[arg(
            long,
            value_name = "LIST",
            value_delimiter = ',',
            default_value = "users:search,users:read",
            value_parser = permission,
            long_help = format!(
                "What the caller may do, with commas between: {}; \"users:*\" and the like, \
                 \"scim:provision\" (users and groups), \"admin\" or \"*\" (everything)",
                names()
            )
        )]
        permissions: Vec<String>,
    },
    /// Make a client of the token endpoint: prints its [[tenant.client]] table and, this once, its
    /// secret
    ///
    /// The client sends its id and secret to /idp/TENANT/authn/token (OAuth 2.0 client credentials)
    /// and gets tokens that end by themselves.
    Client {
        /// The id of the client, which is its name in logs and in the audit trail
        #[arg(long, value_parser = name)]
        id: String,
        /// What its tokens may do, with commas between; as of `token new`
        #[arg(
            long,
            value_name = "LIST",
            value_delimiter = ',',
            default_value = "users:search,users:read",
            value_parser = permission
        )]
        permissions: Vec<String>,
    },
    /// List the tokens of the configuration and those that clients got, with their last use
    List {
        /// The configuration file (TOML)
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// As one JSON object in place of text
        #[arg(long)]
        json: bool,
    },
    /// Take a token back; in a minute at most no node knows it any more
    ///
    /// A token of the configuration is revoked for good: take its table out of the file, and let
    /// `token new` make another, under the same name where that is wanted.
    Revoke {
        /// The configuration file (TOML)
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The tenant of a token of the configuration, where several have one of that name
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
        /// The number in the list of a token that a client got, or the name of one of the
        /// configuration
        #[arg(value_name = "NUMBER|NAME")]
        which: String,
    },
}

pub fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::New { name, permissions } => {
            let token = fresh(PREFIX)?;
            let keys = ["name", "sha256"];
            print(&printed("token", keys, name, permissions, &token))
        }
        Command::Client { id, permissions } => {
            let secret = fresh(PREFIX)?;
            let keys = ["id", "secret_sha256"];
            print(&printed("client", keys, id, permissions, &secret))
        }
        Command::List { config, json } => kept::list(&Config::load(config)?, *json),
        Command::Revoke { config, tenant, which } => {
            kept::revoke(&Config::load(config)?, tenant.as_deref(), which)
        }
    }
}

fn print(text: &Secret<String>) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.expose().as_bytes()).context("cannot print it")
}

/// The table, then what is secret as a comment: the whole of it is TOML.
fn printed(
    table: &str,
    [name_key, digest_key]: [&str; 2],
    name: &str,
    permissions: &[String],
    token: &Secret<String>,
) -> Secret<String> {
    let hex = hex(&sha256(token.expose().as_bytes()));
    let permissions: Vec<String> =
        permissions.iter().map(|permission| quoted(permission)).collect();
    let word = if table == "client" { "secret" } else { "token" };
    Secret::new(format!(
        "[[tenant.{table}]]\n{name_key} = {}\n{digest_key} = \"{hex}\"\npermissions = [{}]\n\n\
         # The {word}, shown this once. Give it to the client and do not keep this line:\n# {}\n",
        quoted(name),
        permissions.join(", "),
        token.expose(),
    ))
}

/// A TOML string; [`name`] and [`permission`] let no control character through.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn name(text: &str) -> Result<String, String> {
    if text.is_empty()
        || text.len() > 128
        || text.chars().any(char::is_control)
        || text.trim() != text
    {
        return Err(
            "write 1 to 128 bytes without control characters and without spaces at the ends"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

fn permission(word: &str) -> Result<String, String> {
    match word.trim().parse::<PermissionSet>() {
        Ok(_) => Ok(word.trim().to_owned()),
        Err(error) => Err(format!(
            "{error}; there are {}, \"users:*\" and the like, \"scim:provision\", \"admin\" and \"*\"",
            names()
        )),
    }
}

fn names() -> String {
    PERMISSIONS.map(|(_, name)| name).join(", ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;
    use crate::caller::Permission;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: Command,
    }

    fn command(arguments: &[&str]) -> Result<(String, Vec<String>), clap::Error> {
        let line = Line::try_parse_from([&["token", "new"], arguments].concat())?;
        let Command::New { name, permissions } = line.command else { panic!("new") };
        Ok((name, permissions))
    }

    #[test]
    fn what_is_printed_is_known_when_it_stands_in_a_configuration() {
        let (name, permissions) = command(&["--name", "help \"desk\" \\ ü"]).unwrap();
        let token = fresh(PREFIX).unwrap();
        let table = printed("token", ["name", "sha256"], &name, &permissions, &token);
        let secret = fresh(PREFIX).unwrap();
        let keys = ["id", "secret_sha256"];
        let client = printed("client", keys, "spl", &["groups:*".to_owned()], &secret);
        let text = format!("[[tenant]]\nname = \"acme\"\n{}{}", client.expose(), table.expose());
        let config = Config::parse(&text, Path::new("/"), &|_| None).unwrap();
        let shown = text.lines().last().unwrap().strip_prefix("# ").unwrap();
        assert_eq!(shown, token.expose());
        assert_eq!(shown.len(), PREFIX.len() + 43);
        let known = &config.tenants[0].tokens[0];
        assert_eq!(known.sha256, sha256(shown.as_bytes()));
        let caller = &known.rights.caller;
        assert_eq!(&*caller.name, "help \"desk\" \\ ü");
        assert!(caller.permissions.contains(Permission::UsersSearch));
        assert!(caller.permissions.contains(Permission::UsersRead));
        assert!(!caller.permissions.contains(Permission::UsersCreate));
        let client = &config.tenants[0].clients[0];
        assert_eq!(client.secret_sha256, sha256(secret.expose().as_bytes()));
        assert!(client.rights.caller.permissions.contains(Permission::GroupsWrite));
        assert_ne!(fresh(PREFIX).unwrap().expose(), token.expose());
    }

    #[test]
    fn permissions_are_checked_before_anything_is_made() {
        let (_, permissions) =
            command(&["--name", "x", "--permissions", "users:*, admin"]).unwrap();
        assert_eq!(permissions, ["users:*", "admin"]);
        let error = command(&["--name", "x", "--permissions", "users:raed"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(text.contains("no permission is called \"users:raed\""), "{text}");
        assert!(text.contains("users:read, "), "{text}");
        assert!(command(&["--name", ""]).is_err());
        assert!(command(&["--name", "a\nb"]).is_err());
        assert!(command(&[]).unwrap_err().to_string().contains("--name <NAME>"));
    }
}
