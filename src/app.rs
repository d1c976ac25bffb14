//! Composition root.

use crate::config::Config;

/// Serves until a signal to stop.
pub fn serve(config: Config) -> anyhow::Result<()> {
    drop(config);
    anyhow::bail!("there is nothing to serve yet")
}

/// Looks at every directory behind the bridge; whether nothing is broken.
pub fn check(config: Config) -> anyhow::Result<bool> {
    drop(config);
    anyhow::bail!("there is nothing to check yet")
}
