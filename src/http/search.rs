//! Searches (RFC 7644 sections 3.4.2 and 3.4.3).

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::body::{Payload, ScimJson};
use super::caller::Call;
use super::error::Failure;
use super::{query, resource};
use crate::federation::{Person, Plan};
use crate::scim::dialect::{ListHead, render_list};
use crate::scim::{Projection, Query};

/// By the parameters of a GET.
pub async fn by_parameters(call: Call) -> Result<Response, Failure> {
    let written = call.head.uri.query();
    let text = written.unwrap_or_default();
    if let Some(plan) = call.federation().known_plan(text) {
        return run(&call, &plan).await;
    }
    let pairs = query::pairs(written)?;
    let query = Query::from_parameters(pairs.into_iter(), call.resource_type())?;
    let plan = Arc::new(call.federation().plan(query));
    let answer = run(&call, &plan).await;
    call.federation().keep_plan(text, &plan);
    answer
}

/// By a SearchRequest message.
pub async fn by_message(call: Call, payload: Payload) -> Result<Response, Failure> {
    let message = payload.json(&call.head.headers).await?;
    let query = Query::from_body(&message, call.resource_type())?;
    let plan = call.federation().plan(query);
    run(&call, &plan).await
}

async fn run(call: &Call, plan: &Plan) -> Result<Response, Failure> {
    let projection = &plan.query.projection;
    let listing = call.federation().search(&call.caller, plan, &call.view).await?;
    let render = || -> Bytes {
        let message = |person: &Arc<Person>| {
            let source = listing.federated || person.show_source;
            resource::message(call, person, projection, source)
        };
        let resources: Vec<_> = listing.people.iter().map(message).collect();
        let head = ListHead {
            total: Some(listing.total),
            start_index: Some(listing.start_index),
            repositories: listing.federated.then_some(listing.report.as_slice()),
            ..ListHead::default()
        };
        render_list(&head, &resources).into()
    };
    // A remembered list keeps its bytes, too.
    let bytes = match projection {
        Projection::Default => listing.rendered(call.mount.index, render),
        Projection::Only(_) | Projection::Without(_) => render(),
    };
    Ok(ScimJson(bytes).into_response())
}
