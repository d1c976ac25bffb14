//! The command line: what can be asked of the program, and what it answers to the shell.

mod audit;
mod explain;
mod sign_in;
mod token;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::app;
use crate::clock::Clock;
use crate::config::{Config, LogFormat, LogSettings};
use crate::telemetry::log;

/// One SCIM 2.0 front end over local users and people found live in LDAP directories.
#[derive(Debug, Parser)]
#[command(
    name = "scimbridge",
    version,
    arg_required_else_help = true,
    after_help = "Begin with `scimbridge token new --name me`, put what it prints into a copy of \
                  scimbridge.example.toml, then `scimbridge check --config FILE` and `scimbridge \
                  serve --config FILE`.\n\nExit codes: 0 all is well, 1 something is wrong (said \
                  on standard error), 2 the command line is."
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve SCIM until a signal to stop (SIGINT, SIGTERM)
    ///
    /// Prints `listening on http://HOST:PORT` on standard output as soon as clients are served, and
    /// logs to standard error. A signal lets requests that are under way finish.
    Serve {
        /// The configuration file (TOML); scimbridge.example.toml explains every key
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Look at a configuration and at the directories behind it, and say what is wrong
    ///
    /// Reads the file, then connects to every directory, binds, reads its root DSE and schema, and
    /// maps a sample entry. Exits with 1 when something is broken.
    Check {
        /// The configuration file (TOML)
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Try whether this person can sign in to the console, and look at nothing else: a userName or
        /// <repository>.<entry key>. The password is the first line of standard input. Exits with 1
        /// when it is refused; a wrong password counts as one in the directory, too
        #[arg(long, value_name = "NAME")]
        sign_in: Option<String>,
        /// The tenant in which; where it is left out, the only one that has operators
        #[arg(long, value_name = "NAME", requires = "sign_in")]
        tenant: Option<String>,
    },
    /// Say why the bridge answers as it does: what a filter makes of each source, or which source gave a
    /// person each value
    ///
    /// Asks as a client would and writes nothing. A filter is planned and not sent: of the directories
    /// only what a plan needs is read, their schema and the groups of rules. A wrong filter is told
    /// as a client is told.
    Explain(explain::Explain),
    /// Make, list and take back what clients sign in with
    #[command(subcommand)]
    Token(token::Command),
    /// List what was changed by whom, and verify that the record of it is whole
    #[command(subcommand)]
    Audit(audit::Command),
}

/// Does what the command line says; answers with the exit code.
pub fn run() -> ExitCode {
    let done = match CommandLine::parse().command {
        Command::Serve { config } => serve(&config),
        Command::Check { config, sign_in, tenant } => {
            check(&config, sign_in.as_deref(), tenant.as_deref())
        }
        Command::Explain(explain) => explain.run().map(|()| true),
        Command::Token(command) => token::run(&command).map(|()| true),
        Command::Audit(command) => audit::run(&command).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("scimbridge: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn serve(file: &Path) -> anyhow::Result<bool> {
    let config = Config::load(file)?;
    let _log = start_log(&config.log)?;
    app::serve(&config)?;
    Ok(true)
}

fn check(file: &Path, who: Option<&str>, tenant: Option<&str>) -> anyhow::Result<bool> {
    let config = Config::load(file)?;
    let _log = start_log(&config.log)?;
    match who {
        Some(name) => sign_in::run(&config, tenant, name),
        None => app::check(&config),
    }
}

/// Starts the log; what was logged is written when the guard goes.
fn start_log(settings: &LogSettings) -> anyhow::Result<log::Guard> {
    let format = match settings.format {
        LogFormat::Text => log::Format::Text,
        LogFormat::Json => log::Format::Json,
    };
    log::install(settings.filter.clone(), format, &Clock::system()).context("cannot start the log")
}

/// The error and its causes, each on a line of its own.
fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        text.push_str("\n  because ");
        text.push_str(&cause.to_string());
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_parser_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn a_command_names_its_file() {
        let line = CommandLine::try_parse_from(["scimbridge", "serve", "--config", "a.toml"]);
        let Command::Serve { config } = line.unwrap().command else { panic!("serve") };
        assert_eq!(config, Path::new("a.toml"));
        let line = CommandLine::try_parse_from(["scimbridge", "check"]);
        let text = line.unwrap_err().to_string();
        assert!(text.contains("--config <FILE>"), "{text}");
        assert_eq!(CommandLine::try_parse_from(["scimbridge"]).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn causes_are_told_once_each() {
        let error = Config::load(Path::new("/no/such/file")).unwrap_err();
        let text = chain(&anyhow::Error::from(error));
        let (first, second) = text.split_once('\n').unwrap();
        assert_eq!(first, "cannot read the configuration file /no/such/file");
        assert!(second.starts_with("  because No such file"), "{text}");
    }
}
