//! Searches (RFC 7644 sections 3.4.2 and 3.4.3).

use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;

use super::body::{self, Payload};
use super::caller::Call;
use super::error::Failure;
use super::{export, operation, query};
use crate::federation::{Plan, Resource};
use crate::scim::dialect::{ListHead, render_list};
use crate::scim::{Projection, Query, ResourceType};

/// By the parameters of a GET.
pub async fn by_parameters(call: Call, kind: &Arc<ResourceType>) -> Result<Response, Failure> {
    let written = call.head.uri.query();
    let text = written.unwrap_or_default();
    if let Some(plan) = call.federation().known_plan(kind, text, call.manner()) {
        return run(&call, &plan).await;
    }
    let pairs = query::pairs(written)?;
    let query = Query::from_parameters(pairs.into_iter(), kind)?;
    let plan = Arc::new(call.federation().plan(kind, query));
    let answer = run(&call, &plan).await;
    call.federation().keep_plan(text, call.manner(), &plan);
    answer
}

/// By a SearchRequest message.
pub async fn by_message(
    call: Call,
    payload: Payload,
    kind: &Arc<ResourceType>,
) -> Result<Response, Failure> {
    let message = payload.json(&call.head.headers).await?;
    let query = Query::from_body(&message, kind)?;
    let plan = call.federation().plan(kind, query);
    run(&call, &plan).await
}

async fn run(call: &Call, plan: &Plan) -> Result<Response, Failure> {
    if plan.query.bulk_import_format && plan.kind.name == "User" {
        return Box::pin(export::run(call, plan)).await;
    }
    let projection = &plan.query.projection;
    let listing = call.federation().search(&call.caller, plan, &call.view).await?;
    let render = || -> Bytes {
        let message = |resource: &Arc<Resource>| {
            let source = listing.federated || resource.show_source;
            operation::message(call, &plan.kind, resource, projection, source)
        };
        let resources: Vec<_> = listing.resources.iter().map(message).collect();
        let cursors = listing.cursors.as_ref();
        let head = ListHead {
            total: Some(listing.total),
            start_index: cursors.is_none().then_some(listing.start_index),
            next_cursor: cursors.and_then(|cursors| cursors.next.as_deref()),
            previous_cursor: cursors.and_then(|cursors| cursors.previous.as_deref()),
            repositories: listing.federated.then_some(listing.report.as_slice()),
        };
        render_list(&head, &resources, call.manner()).into()
    };
    // A remembered list keeps its bytes, too.
    let bytes = match projection {
        Projection::Default => listing.rendered(call.form(), render),
        Projection::Only(_) | Projection::Without(_) | Projection::Also(_) => render(),
    };
    Ok(body::message(bytes, call.manner()))
}
