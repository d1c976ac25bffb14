//! The configuration: one TOML file in, one [`Config`] out, or an error that says what to change.
//!
//! [`written`] is the file as it stands, [`resolve`] is what it means, [`later`] lists the keys
//! whose features do not exist yet. Knows nothing of who uses the settings; opens nothing but the
//! files that the configuration names.

mod alternatives;
mod callers;
mod codes;
mod customs;
mod fault;
mod later;
mod manners;
mod provisioned;
mod repository;
mod resolve;
mod server;
mod settings;
mod store;
mod tls;
mod value;
mod written;

#[cfg(test)]
mod tests;

use std::path::Path;

use serde::Deserialize;
use toml::de::{DeTable, Deserializer};

pub use customs::{Customs, Deletion};
pub use fault::{ConfigError, Report};
pub use provisioned::Provisioned;
pub use server::{ReferralHost, ServerUrl};
pub use settings::{
    Allowance, AttributeOverride, AuthenticatorPolicy, Authority, CacheTimes, Changes, Config,
    Group, Issuer, KeySet, LogFormat, LogSettings, Mount, OauthClient, OnConflict, OnFailure,
    OnVanish, Operators, RepositorySettings, Rights, Role, Rule, Server, Source, StoreSettings,
    Tenant, Token, VanishBrake,
};

pub use tls::{TlsFault, TlsFile, TlsFiles, TlsIdentity};

use fault::Fault;
use resolve::Surroundings;

impl Config {
    /// Reads a configuration file; `{ env = "…" }` is looked up in the process's environment.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let read = |source| ConfigError::Read { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(read)?;
        let whole = std::path::absolute(path).map_err(read)?;
        let directory = whole.parent().unwrap_or(&whole);
        let environment = |name: &str| std::env::var(name).ok();
        understand(&text, &Surroundings { directory, environment: &environment })
            .map_err(|fault| fault.locate(&text, Some(path)))
    }

    /// Reads the text of a configuration file that lies in `directory`.
    pub fn parse(
        text: &str,
        directory: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        understand(text, &Surroundings { directory, environment })
            .map_err(|fault| fault.locate(text, None))
    }
}

fn understand(text: &str, around: &Surroundings<'_>) -> Result<Config, Fault> {
    let document = DeTable::parse(text).map_err(|error| Fault::syntax(&error))?;
    let mut known = document.clone();
    provisioned::part(known.get_mut());
    later::refuse(known.get_mut())?;
    let file = written::File::deserialize(Deserializer::from(known))
        .map_err(|error| Fault::reading(&error, document.get_ref()))?;
    resolve::config(&file, around)
}
