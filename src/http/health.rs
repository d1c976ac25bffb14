//! What operators ask: is it alive, is it ready, what does it count.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::TenantState;
use super::error::Failure;
use crate::auth::Gate;
use crate::scim::dialect::Manner;
use crate::telemetry::metrics::Metrics;

type Tenants = Arc<[Arc<TenantState>]>;

/// The routes outside of every tenant.
pub fn router(
    tenants: &[Arc<TenantState>],
    gate: &Arc<Gate>,
    metrics: Option<Arc<Metrics>>,
) -> Router {
    let tenants: Tenants = tenants.into();
    let routes = Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready).with_state((Arc::clone(&tenants), Arc::clone(gate))));
    let routes = match metrics {
        Some(metrics) => routes
            .route("/metrics", get(self::metrics).with_state((metrics, tenants.first().cloned()))),
        None => routes,
    };
    routes
        .method_not_allowed_fallback(async || {
            Failure::Method("GET, HEAD").answer("", &Manner::rfc())
        })
        .fallback(async || Failure::UnknownPath.answer("", &Manner::rfc()))
}

/// The process answers.
async fn live() -> Response {
    json_answer(StatusCode::OK, &json!({ "status": "live" }))
}

/// Whether requests can be served: that takes the store. A repository that is down is told, but
/// local users are served without it; the same holds of an issuer's keys that cannot be had.
async fn ready(State((tenants, gate)): State<(Tenants, Arc<Gate>)>) -> Response {
    let mut repositories = Vec::new();
    let mut store = true;
    for tenant in tenants.iter() {
        // Why not is in the log of the requests that fail; here anybody may ask.
        store &= tenant.federation.ready().await.is_ok();
        for repository in tenant.federation.repositories() {
            let mut told = json!({
                "tenant": &*tenant.name,
                "id": repository.id,
                "state": state(repository.healthy),
            });
            if let Some(follows) = repository.follows {
                told["changes"] = Value::from(if follows { "following" } else { "lost" });
            }
            if let Some(presence) = repository.presence {
                told["vanished"] = presence.vanished.into();
                told["suspected"] = presence.suspected.into();
                told["neverSeen"] = presence.never_seen.into();
                told["vanishBrake"] = if presence.braked { "on" } else { "off" }.into();
                told["verifiedSecondsAgo"] = presence.verified_seconds.into();
            }
            repositories.push(told);
        }
    }
    let issuers: Vec<Value> = gate
        .issuers()
        .map(|(tenant, issuer, healthy)| {
            json!({ "tenant": tenant, "issuer": issuer, "keys": state(healthy) })
        })
        .collect();
    let (status, word) = if store {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    let mut body = json!({
        "status": word,
        "store": if store { "ok" } else { "unavailable" },
        "repositories": repositories,
    });
    if !issuers.is_empty() {
        body["issuers"] = Value::from(issuers);
    }
    json_answer(status, &body)
}

fn state(healthy: Option<bool>) -> &'static str {
    match healthy {
        Some(true) => "ok",
        Some(false) => "unavailable",
        None => "unknown",
    }
}

/// In the Prometheus text format.
async fn metrics(
    State((metrics, tenant)): State<(Arc<Metrics>, Option<Arc<TenantState>>)>,
) -> Response {
    // All tenants share the caches and the count.
    let members = tenant.as_ref().map_or(0, |tenant| tenant.federation.members_read());
    let caches = tenant.map(|tenant| tenant.federation.caches());
    let caches = caches.as_ref().map_or(&[][..], |caches| caches);
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], metrics.render(caches, members)).into_response()
}

fn json_answer(status: StatusCode, body: &Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, Body::from(body.to_string())).into_response()
}
