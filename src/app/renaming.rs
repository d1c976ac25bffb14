//! Repositories that were given another id: what the store keeps of them goes along before anybody is
//! served, by one node at a time.

use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::audit::{Action, AuditRecord, Outcome};
use crate::clock::Clock;
use crate::config::Tenant;
use crate::store::{Renamed, Renaming, Store};

/// How long a node that dies holds up the others.
const TERM: Duration = Duration::from_secs(30);
/// Others are waited for so long.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(100);

/// Moves what is kept under former ids. Once that is done it costs a look.
pub async fn rename(tenant: &Tenant, store: &Store, clock: &Clock) -> anyhow::Result<()> {
    let renamed = rename_all(tenant, store, clock).await;
    renamed.with_context(|| format!("tenant \"{}\": rename_from", tenant.name))
}

async fn rename_all(tenant: &Tenant, store: &Store, clock: &Clock) -> anyhow::Result<()> {
    for settings in &tenant.repositories {
        let (Some(from), to) = (&settings.rename_from, &settings.id) else { continue };
        if store.kept_of(&tenant.name, from).await? == Renamed::default() {
            continue;
        }
        let name = format!("rename {}", tenant.name);
        let holder = clock.new_id().to_string();
        take(store, clock, &name, &holder).await?;
        let moved = store
            .rename_repository(&tenant.name, from, to, |renamed| record(clock, from, to, renamed));
        let moved = moved.await;
        store.release(&name, &holder).await?;
        match moved? {
            Renaming::Done(Renamed { links, tombstones, departed, intents }) => tracing::info!(
                tenant = %tenant.name, repository = %to, %from, links, tombstones, departed, intents,
                "repository.renamed"
            ),
            Renaming::Twice(keys) => bail!(
                "repository \"{to}\": there are users of \"{from}\" and of \"{to}\" for the same entries \
                 ({}), so that nothing was moved; take rename_from away, delete the users of one of the \
                 two, forget them (.forget), and write it again",
                keys.join(", ")
            ),
        }
    }
    Ok(())
}

async fn take(store: &Store, clock: &Clock, name: &str, holder: &str) -> anyhow::Result<()> {
    let waited = async {
        loop {
            let now = clock.now();
            if store.lease(name, holder, now, now + TERM).await? {
                return anyhow::Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited)
        .await
        .context("another node is at work on rename_from, and does not come to an end")?
}

fn record(clock: &Clock, from: &str, to: &str, renamed: &Renamed) -> AuditRecord {
    let Renamed { links, tombstones, departed, intents } = renamed;
    AuditRecord {
        at: clock.now(),
        caller: "configuration".to_owned(),
        actor: None,
        kind: "Repository".to_owned(),
        action: Action::Rename,
        outcome: Outcome::Success,
        subject: to.to_owned(),
        request_id: "start".to_owned(),
        correlation_id: None,
        detail: Some(format!(
            "from {from}: {links} links, {tombstones} tombstones, {departed} departed, {intents} intents"
        )),
    }
}
