//! SCIM over HTTP: from a request to a call of [`federation`](crate::federation), and from what it
//! answers to a message.
//!
//! Knows nothing of SQL, LDAP or caches; the web framework lives here only. A request goes through
//! `layers`, is led by `mount` and `routes`, becomes a `Call` of a known
//! sender, and reaches its handler in `resource` (around an `operation`), `search` or `discovery`; whatever goes wrong
//! is answered by the table in `error`.

mod addressed;
mod body;
mod bulk;
mod caller;
mod discovery;
mod error;
mod etag;
mod everywhere;
mod export;
mod forget;
mod health;
mod import;
mod json;
mod layers;
mod lifecycle;
mod mount;
mod multiplex;
mod operation;
#[cfg(fuzzing)]
pub mod parsers;
mod query;
mod resource;
mod routes;
mod search;
mod serve;
mod stream;
mod tls;
mod token;
mod writes;

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Uri};
use axum::response::Response;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tower::Service;

use crate::auth::Gate;
use crate::caller::Caller;
use crate::clock::Clock;
use crate::federation::Federation;
use crate::scim::dialect::{Dialect, Manner, Manners};
use crate::telemetry::metrics::Metrics;
use layers::RequestIds;
use mount::{Mount, Mounted, Mounts};
use routes::Endpoint;
use writes::Writes;

pub use mount::MountError;
pub use serve::{ConnectionLimits, serve};
pub use tls::{Tls, TlsError};

/// What the surface is made of.
#[derive(Debug)]
pub struct HttpState {
    pub tenants: Vec<TenantState>,
    pub gate: Arc<Gate>,
    pub limits: Limits,
    /// Base of every `meta.location` and `$ref`.
    pub public_url: String,
    /// Whether `/metrics` is left to the listener of [`App::operations`].
    pub operations_elsewhere: bool,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
}

/// One tenant, as far as HTTP is concerned.
#[derive(Debug)]
pub struct TenantState {
    pub name: Arc<str>,
    pub federation: Arc<Federation>,
    mounts: Vec<String>,
    /// Of each mount.
    dialects: Vec<Dialect>,
    manners: Manners,
    /// Of the tenant's resource types, in their order.
    endpoints: Vec<Endpoint>,
}

impl TenantState {
    /// `mounts` are base paths, unique over all tenants, each with the dialect in which it answers
    /// whoever's token does not name another one.
    pub fn new(
        name: Arc<str>,
        federation: Arc<Federation>,
        mounts: impl IntoIterator<Item = (String, Dialect)>,
        manners: Manners,
    ) -> Self {
        let endpoints = federation.types().iter().map(Endpoint::new).collect();
        let (mounts, dialects) = mounts.into_iter().unzip();
        Self { name, federation, mounts, dialects, manners, endpoints }
    }
}

impl Mounted for TenantState {
    fn name(&self) -> &str {
        &self.name
    }

    fn mounts(&self) -> &[String] {
        &self.mounts
    }
}

/// A base path of a tenant.
pub type TenantMount = Mount<TenantState>;

impl TenantMount {
    /// How a request of this caller, or of nobody yet, is understood and answered here.
    fn manner(&self, caller: Option<&Caller>, uri: &Uri) -> &Arc<Manner> {
        let of_mount = || self.tenant.dialects.get(self.index).copied().unwrap_or_default();
        let dialect = caller.and_then(|caller| caller.dialect).unwrap_or_else(of_mount);
        let manners = &self.tenant.manners;
        let manner = manners.of(dialect, || query::api_version(uri.query()));
        let agent = caller.and_then(|caller| caller.agent.as_ref());
        if agent.is_some() { manners.of_agents(manner) } else { manner }
    }

    /// In which form a resource is rendered here.
    fn form(&self, manner: &Manner) -> usize {
        self.index * self.tenant.manners.used() + manner.index
    }
}

/// What one request may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub request_timeout: Duration,
    /// Bytes of a body.
    pub max_body: usize,
    /// Bytes of the body of an import.
    pub max_import: usize,
    /// Whether `X-Forwarded-For` says who is asking.
    pub behind_proxy: bool,
}

/// The whole surface, ready to [`serve`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    mounts: Mounts<TenantState>,
    /// Of the tenants that serve the life-cycle API, each by its first mount.
    applications: Vec<Arc<TenantMount>>,
    /// What lies under no mount.
    outside: Router,
    tenants: Vec<Arc<TenantState>>,
    gate: Arc<Gate>,
    limits: Limits,
    metrics: Arc<Metrics>,
    request_ids: RequestIds,
    writes: Writes,
}

impl Parts {
    fn tenant(&self, name: &str) -> Option<&TenantState> {
        self.tenants.iter().find(|tenant| *tenant.name == *name).map(|tenant| &**tenant)
    }
}

/// Puts the surface together.
///
/// # Errors
/// When two tenants claim one base path, or a base path is none.
pub fn router(state: HttpState) -> Result<App, MountError> {
    let tenants: Vec<_> = state.tenants.into_iter().map(Arc::new).collect();
    let mounts = Mounts::new(&tenants, &state.public_url)?;
    let served = tenants.iter().filter(|tenant| tenant.federation.customs().lifecycle_api);
    let first = |tenant: &Arc<TenantState>| {
        let path = format!("/scim/{}/v2", tenant.name);
        mounts.find(&path).map(|(mount, _)| Arc::clone(mount))
    };
    let applications = served.filter_map(first).collect();
    let shown = (!state.operations_elsewhere).then(|| Arc::clone(&state.metrics));
    Ok(App(Arc::new(Parts {
        mounts,
        applications,
        outside: health::router(&tenants, &state.gate, shown),
        tenants,
        gate: state.gate,
        limits: state.limits,
        metrics: state.metrics,
        request_ids: RequestIds::new(&state.clock),
        writes: Writes::default(),
    })))
}

impl App {
    /// What the operations listener serves: `/health` and `/metrics`, nothing of any tenant.
    #[must_use]
    pub fn operations(&self, clock: &Clock) -> Self {
        Self(Arc::new(Parts {
            mounts: Mounts::default(),
            applications: Vec::new(),
            outside: health::router(
                &self.0.tenants,
                &self.0.gate,
                Some(Arc::clone(&self.0.metrics)),
            ),
            tenants: Vec::new(),
            gate: Arc::clone(&self.0.gate),
            limits: self.0.limits,
            metrics: Arc::clone(&self.0.metrics),
            request_ids: RequestIds::new(clock),
            writes: Writes::default(),
        }))
    }
}

/// The peer of a request that no connection brought.
const NO_PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl Service<Request<Body>> for App {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let app = self.clone();
        async move { Ok(layers::answer(&app, request, NO_PEER).await) }.boxed()
    }
}

#[cfg(test)]
mod tests;
