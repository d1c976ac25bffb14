//! Searches (RFC 7644 sections 3.4.2 and 3.4.3).

use axum::response::{IntoResponse, Response};

use super::body::{Payload, ScimJson};
use super::caller::Call;
use super::error::Failure;
use super::{query, resource};
use crate::federation::Plan;
use crate::scim::Query;
use crate::scim::dialect::{ListHead, render_list};

/// By the parameters of a GET.
pub async fn by_parameters(call: Call) -> Result<Response, Failure> {
    let written = call.head.uri.query();
    let plan = call.federation().plan_text(written.unwrap_or_default(), || {
        let pairs = query::pairs(written)?;
        Query::from_parameters(pairs.into_iter(), call.resource_type())
    })?;
    run(call, &plan).await
}

/// By a SearchRequest message.
pub async fn by_message(call: Call, payload: Payload) -> Result<Response, Failure> {
    let message = payload.json(&call.head.headers).await?;
    let query = Query::from_body(&message, call.resource_type())?;
    let plan = call.federation().plan(query);
    run(call, &plan).await
}

async fn run(call: Call, plan: &Plan) -> Result<Response, Failure> {
    let projection = &plan.query.projection;
    let listing = call.federation().search(&call.caller, plan, &call.view).await?;
    let resources: Vec<_> = listing
        .people
        .iter()
        .map(|person| {
            let source = listing.federated || person.show_source;
            resource::message(&call, person, projection, source)
        })
        .collect();
    let head = ListHead {
        total: Some(listing.total),
        start_index: Some(listing.start_index),
        repositories: listing.federated.then_some(listing.report.as_slice()),
        ..ListHead::default()
    };
    Ok(ScimJson(render_list(&head, &resources).into()).into_response())
}
