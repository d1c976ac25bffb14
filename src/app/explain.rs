//! Why the bridge answers as it does: a tenant's federation, put together for one question, which
//! writes nothing.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};

use super::{federation, indexed, kinds, runtime};
use crate::clock::Clock;
use crate::config::{Config, Tenant};
use crate::federation::{ExplainedFilter, ExplainedPerson, Federation, Problem, Shares, View};
use crate::scim::Query;
use crate::scim::dialect::{Dialect, Manner};
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

/// How long a look at a person may take in all.
const PATIENCE: Duration = Duration::from_mins(1);

/// A search for users, as a client would ask for it.
#[derive(Clone, Copy, Debug)]
pub struct AskedFilter<'a> {
    pub filter: &'a str,
    pub search_repositories: bool,
    /// Where it is absent, the tenant's.
    pub dialect: Option<Dialect>,
}

/// How a search would be answered.
pub fn filter(
    config: &Config,
    tenant: &str,
    asked: AskedFilter<'_>,
) -> anyhow::Result<ExplainedFilter> {
    within(config, tenant, async |federation, tenant| {
        let manner = manner(tenant, asked.dialect);
        let repositories = asked.search_repositories.to_string();
        let pairs = [("filter", asked.filter), ("searchRepositories", &repositories)];
        let pairs = pairs.map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value)));
        let users = Arc::clone(federation.users());
        let mut query = Query::from_parameters(pairs.into_iter(), &users, manner)?;
        if manner.numbers {
            federation.settle(&users, &mut query).await?;
        }
        federation.explain_filter(query).await
    })
}

/// Where a person comes from, value by value.
pub fn person(config: &Config, tenant: &str, id: &str) -> anyhow::Result<ExplainedPerson> {
    within(config, tenant, async |federation, tenant| {
        let view = View {
            no_cache: true,
            photos: false,
            members: false,
            request_id: String::new(),
            deadline: Instant::now() + PATIENCE,
            manner: Arc::clone(manner(tenant, None)),
        };
        federation.explain_person(id, &view).await
    })
}

fn manner(tenant: &Tenant, dialect: Option<Dialect>) -> &Arc<Manner> {
    let usual = tenant.mounts.first().map(|mount| mount.dialect).unwrap_or_default();
    tenant.manners.of(dialect.unwrap_or(usual), || None)
}

/// Does one thing with a tenant's federation, beside whoever serves it.
pub(super) fn within<T>(
    config: &Config,
    name: &str,
    work: impl AsyncFnOnce(&Federation, &Tenant) -> Result<T, Problem>,
) -> anyhow::Result<T> {
    let known = || {
        let names: Vec<&str> = config.tenants.iter().map(|tenant| &*tenant.name).collect();
        anyhow!("there is no tenant \"{name}\"; there are: {}", names.join(", "))
    };
    let tenant = config.tenants.iter().find(|tenant| *tenant.name == *name).ok_or_else(known)?;
    runtime()?.block_on(async {
        let clock = Clock::system();
        let kinds = kinds(config);
        let types = indexed(&config.store.index, &kinds);
        let store = Store::open(place(config.store.url.expose()), &types, clock.clone());
        let store = Arc::new(store.context("cannot open the store")?);
        let ids = tenant.repositories.iter().map(|one| (&*tenant.name, &*one.id));
        let metrics = Metrics::new(&ids.collect::<Vec<_>>());
        let shares = Shares::new(config.cache_capacity);
        let federation = federation(tenant, &store, &shares, &metrics, &clock)?;
        let done = async {
            federation.look_on().await?;
            work(&federation, tenant).await
        };
        let outcome = done.await.map_err(said);
        store.close().await;
        outcome
    })
}

/// A database that is not there yet is not made by looking: its statements are those of an empty one.
fn place(url: &str) -> &str {
    let file = url.strip_prefix("sqlite:").filter(|path| *path != ":memory:");
    if file.is_some_and(|path| !Path::new(path).exists()) { "sqlite::memory:" } else { url }
}

/// As a client would be told.
fn said(problem: Problem) -> anyhow::Error {
    match problem {
        Problem::Scim(error) => anyhow!("{}: {}", error.kind, error.detail),
        problem => problem.into(),
    }
}
