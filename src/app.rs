//! Composition root: from a configuration to a running bridge; start, ready, drain, stop.

mod background;
pub mod explain;
pub mod operators;
mod renaming;
mod repositories;
mod sealer;
pub mod tokens;
pub mod trail;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::auth::Gate;
use crate::clock::Clock;
use crate::config::{Config, Tenant};
use crate::federation::{Federation, RepositoryPart, Rules, Shares};
use crate::http::{self, ConnectionLimits, HttpState, Limits, TenantState, Tls};
use crate::import;
use crate::repository::{Finding, Repository as _, Severity};
use crate::scim::ResourceType;
use crate::store::{IndexedType, Store, StoreError};
use crate::telemetry::metrics::Metrics;
use background::Background;

/// Files that are open beside clients' connections: the database, directories, the program itself.
const OTHER_FILES: u64 = 256;

/// One part in so many of the caches' memory is for verified tokens.
const TOKEN_SHARE: u64 = 64;

/// Serves until a signal to stop, then lets requests under way finish.
///
/// # Errors
/// When the store cannot be opened, a mapping is wrong, or an address cannot be listened on. A
/// directory that does not answer is no reason not to start.
pub fn serve(config: &Config) -> anyhow::Result<()> {
    open_files(config.server.max_connections);
    runtime()?.block_on(async {
        let clock = Clock::system();
        let kinds = kinds(config);
        let types = indexed(&config.store.index, &kinds);
        let store = Arc::new(
            Store::open(config.store.url.expose(), &types, clock.clone())
                .context("cannot open the store")?,
        );
        let tls = config.server.tls.clone().map(Tls::open).transpose()?.map(Arc::new);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = listen(config.server.listen).await?;
        let address = listener.local_addr()?;
        let public_url = config.server.public_url.clone();
        let public_url = public_url.unwrap_or_else(|| format!("{scheme}://{address}"));
        let repositories: Vec<(&str, &str)> = config
            .tenants
            .iter()
            .flat_map(|tenant| tenant.repositories.iter().map(|one| (&*tenant.name, &*one.id)))
            .collect();
        let metrics = Arc::new(Metrics::new(&repositories));
        let verified = config.cache_capacity / TOKEN_SHARE;
        let shares = Shares::new(config.cache_capacity - verified);
        let cursors = store.key("cursor").await.context("the store has no key for cursors")?;
        tokens::say_revoked(config, &store).await.context("the store cannot tell of tokens")?;
        let mut tenants = Vec::with_capacity(config.tenants.len());
        let mut importers = Vec::with_capacity(config.tenants.len());
        for tenant in &config.tenants {
            renaming::rename(tenant, &store, &clock).await?;
            let federation = federation(tenant, &store, &shares, &metrics, &clock)
                .with_context(|| format!("tenant \"{}\"", tenant.name))?
                .sealing(&cursors);
            federation.configure().await.with_context(|| {
                format!(
                    "tenant \"{}\": its groups and roles cannot be made as the configuration names \
                     them; what is taken must get another id or name there, or here",
                    tenant.name
                )
            })?;
            federation.follow();
            let federation = Arc::new(federation).settling();
            let manners = tenant.manners.clone();
            importers.push(import::TenantPart { federation: Arc::clone(&federation), manners });
            tenants.push(TenantState::new(
                Arc::clone(&tenant.name),
                federation,
                tenant.mounts.iter().map(|mount| (mount.path.clone(), mount.dialect)),
                tenant.manners.clone(),
            ));
        }
        let app = http::router(HttpState {
            tenants,
            metrics: Arc::clone(&metrics),
            gate: Arc::new(Gate::new(config, &store, &clock, verified)?),
            limits: Limits {
                request_timeout: config.server.request_timeout,
                max_body: config.server.max_body,
                max_import: usize::try_from(config.server.max_import).unwrap_or(usize::MAX),
                behind_proxy: config.server.behind_proxy,
            },
            public_url,
            operations_elsewhere: config.server.operations.is_some(),
            clock: clock.clone(),
        })?;
        let (stop, stopping) = watch::channel(false);
        let operations = match config.server.operations {
            Some(address) => {
                let listener = listen(address).await?;
                tracing::info!(address = %listener.local_addr()?, "operations.listening");
                let app = app.operations(&clock);
                let stopped = stopped(stopping.clone());
                let limits = ConnectionLimits::default();
                Some(tokio::spawn(http::serve(listener, app, None, limits, stopped)))
            }
            None => None,
        };
        let background = Background::begin(&store, &clock, importers, &metrics, stopping.clone());
        let signals = signals()?;
        hear_hangups(tls.clone())?;
        println!("listening on {scheme}://{address}");
        tracing::info!(address = %address, "listening");
        tokio::spawn(async move {
            signals.await;
            tracing::info!("stopping");
            stop.send_replace(true);
        });
        let limits = ConnectionLimits {
            max_connections: config.server.max_connections,
            drain: ConnectionLimits::drain_for(config.server.request_timeout),
            ..ConnectionLimits::default()
        };
        http::serve(listener, app, tls, limits, stopped(stopping)).await;
        if let Some(operations) = operations {
            operations.await.context("the operations listener failed")?;
        }
        background.end().await?;
        store.close().await;
        tracing::info!("stopped");
        Ok(())
    })
}

/// Does one thing on the store, beside whoever serves from it.
fn on_store<T>(
    config: &Config,
    work: impl AsyncFnOnce(&Store, &Clock) -> Result<T, StoreError>,
) -> anyhow::Result<T> {
    runtime()?.block_on(async {
        let clock = Clock::system();
        // The same as whoever serves: else its index would be made anew under its feet.
        let kinds = kinds(config);
        let types = indexed(&config.store.index, &kinds);
        let store = Store::open(config.store.url.expose(), &types, clock.clone())
            .context("cannot open the store")?;
        let outcome = work(&store, &clock).await;
        store.close().await;
        Ok(outcome?)
    })
}

/// The resource types of all tenants.
fn kinds(config: &Config) -> Vec<&ResourceType> {
    config
        .tenants
        .iter()
        .flat_map(|tenant| tenant.resource_types.all().iter().map(AsRef::as_ref))
        .collect()
}

/// What the store is to index of each type: `path` is one of users, `Type:path` one of that type,
/// and each is meant of every tenant's type of that name that knows it. What no type knows is left
/// to the store, which refuses it.
fn indexed<'a>(paths: &[String], types: &[&'a ResourceType]) -> Vec<IndexedType<'a>> {
    let mut indexed: Vec<_> = types
        .iter()
        .map(|resource_type| IndexedType { resource_type, further: Vec::new() })
        .collect();
    for written in paths {
        let is_named = |name: &str| types.iter().any(|one| one.name.eq_ignore_ascii_case(name));
        let named = written.split_once(':').filter(|(name, _)| is_named(name));
        let (name, path) = named.unwrap_or(("User", written));
        let of_that_name =
            |one: &&mut IndexedType<'_>| one.resource_type.name.eq_ignore_ascii_case(name);
        let known =
            types.iter().any(|one| one.name.eq_ignore_ascii_case(name) && one.resolve(path).known);
        for one in indexed.iter_mut().filter(of_that_name) {
            let path = one.resource_type.resolve(path);
            if path.known || !known {
                one.further.push(path);
            }
        }
    }
    indexed
}

/// Looks at every directory and prints what was found; whether nothing is broken.
pub fn check(config: &Config) -> anyhow::Result<bool> {
    runtime()?.block_on(async {
        let mut well = true;
        for tenant in &config.tenants {
            for settings in &tenant.repositories {
                println!("tenant {}, repository {}", tenant.name, settings.id);
                let repository = repositories::open(settings, tenant.resource_types.user())
                    .with_context(|| format!("repository \"{}\"", settings.id))?;
                for finding in repository.check().await {
                    well &= finding.severity != Severity::Broken;
                    print(&finding);
                }
            }
            let findings = operators::check(tenant).await?;
            if !findings.is_empty() {
                println!("tenant {}", tenant.name);
            }
            for finding in findings {
                well &= finding.severity != Severity::Broken;
                print(&finding);
            }
        }
        println!("{}", if well { "all is well" } else { "something is broken" });
        Ok(well)
    })
}

fn print(finding: &Finding) {
    let mark = match finding.severity {
        Severity::Well => "ok     ",
        Severity::Warning => "warning",
        Severity::Broken => "BROKEN ",
    };
    println!("  {mark} {}: {}", finding.subject, finding.text);
    if !finding.remedy.is_empty() {
        println!("          -> {}", finding.remedy);
    }
}

fn federation(
    tenant: &Tenant,
    store: &Arc<Store>,
    shares: &Shares,
    metrics: &Metrics,
    clock: &Clock,
) -> anyhow::Result<Federation> {
    let mut parts = Vec::with_capacity(tenant.repositories.len());
    for settings in &tenant.repositories {
        let numbers = metrics
            .repository(&tenant.name, &settings.id)
            .context("the metrics were made for other repositories")?;
        let part = repositories::part(settings, tenant.resource_types.user(), numbers)
            .with_context(|| format!("repository \"{}\"", settings.id))?;
        prepare(&part);
        parts.push(part);
    }
    Ok(Federation::new(
        Arc::clone(&tenant.name),
        Rules::from(tenant),
        tenant.resource_types.all().to_vec(),
        Arc::clone(store),
        parts,
        shares,
        tenant.mounts.len() * tenant.manners.used(),
        tenant.manners.numbers(),
        clock.clone(),
    ))
}

/// Learns what has to be known of a directory before the first search does. One that does not answer
/// is asked again by that search.
fn prepare(part: &RepositoryPart) {
    let (repository, deadline) = (Arc::clone(&part.repository), Instant::now() + part.timeout);
    tokio::spawn(async move {
        if let Err(error) = repository.prepare(deadline).await {
            tracing::warn!(repository = repository.id(), %error, "repository.unprepared");
        }
    });
}

/// Lets the process open as many files as the system allows it, and says when these are too few.
fn open_files(connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.current != limit.maximum && setrlimit(Resource::Nofile, most).is_err() {
        tracing::warn!("the limit of open files could not be raised");
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if files < connections as u64 + OTHER_FILES {
        tracing::warn!(
            files,
            connections,
            "the system lets this process open fewer files than server.max_connections asks for; \
             raise its limit (ulimit -n, LimitNOFILE) or lower max_connections"
        );
    }
}

fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; is another program there? (port 0 picks a free one)")
    })
}

/// At SIGHUP certificates are read again.
fn hear_hangups(tls: Option<Arc<Tls>>) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup()).context("SIGHUP cannot be heard")?;
    tokio::spawn(async move {
        match tls {
            Some(tls) => tls.watch(&mut hangup).await,
            // Nothing to read again; without a listener the signal would end the process.
            None => while hangup.recv().await.is_some() {},
        }
    });
    Ok(())
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // The sender goes only after it has said so.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Completes at SIGTERM or SIGINT.
fn signals() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be heard")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be heard")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
