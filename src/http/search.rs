//! Searches (RFC 7644 sections 3.4.2 and 3.4.3).

use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;

use super::body::{self, Payload};
use super::caller::Call;
use super::error::Failure;
use super::{export, operation, query};
use crate::federation::{Listing, Plan, Resource};
use crate::scim::dialect::{ListHead, Manner, render_list};
use crate::scim::{Projection, Query, ResourceType};

/// By the parameters of a GET.
pub async fn by_parameters(call: Call, kind: &Arc<ResourceType>) -> Result<Response, Failure> {
    let written = call.head.uri.query();
    let text = written.unwrap_or_default();
    if let Some(plan) = call.federation().known_plan(kind, text, call.manner()) {
        return run(&call, &plan).await;
    }
    let pairs = query::pairs(written)?;
    let mut query = Query::from_parameters(pairs.into_iter(), kind, call.manner())?;
    let settled = settle(&call, kind, &mut query).await?;
    let plan = Arc::new(call.federation().plan(kind, query));
    let answer = run(&call, &plan).await;
    if settled {
        call.federation().keep_plan(text, call.manner(), &plan);
    }
    answer
}

/// By a SearchRequest message.
pub async fn by_message(
    call: Call,
    payload: Payload,
    kind: &Arc<ResourceType>,
) -> Result<Response, Failure> {
    let message = payload.json(&call.head.headers).await?;
    let mut query = Query::from_body(&message, kind, call.manner())?;
    settle(&call, kind, &mut query).await?;
    let plan = call.federation().plan(kind, query);
    run(&call, &plan).await
}

/// Numbers in the filter become ids; whether there is one of each.
pub async fn settle(call: &Call, kind: &ResourceType, query: &mut Query) -> Result<bool, Failure> {
    if !call.manner().numbers || query.filter.is_none() {
        return Ok(true);
    }
    Ok(Box::pin(call.federation().settle(kind, query)).await?)
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
            total: total(call.manner(), &listing),
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

/// The total that a list tells.
pub fn total(manner: &Manner, listing: &Listing) -> Option<u64> {
    (manner.counts_unbound || !listing.unbound).then_some(listing.total)
}
