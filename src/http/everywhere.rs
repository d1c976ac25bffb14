//! A search over all resource types of the tenant: `POST /.search` (RFC 7644 section 3.4.2.1).

use std::sync::Arc;

use axum::response::Response;
use serde_json::Value;

use super::body::{self, Payload};
use super::caller::Call;
use super::error::Failure;
use super::{operation, search};
use crate::federation::Plan;
use crate::scim::dialect::{ListHead, render_list};
use crate::scim::{ErrorKind, Projection, Query, ResourceType, ScimError};

/// By a SearchRequest message.
pub async fn by_message(call: Call, payload: Payload) -> Result<Response, Failure> {
    let message = payload.json(&call.head.headers).await?;
    let plans = plans(&call, &message).await?;
    let shown: Vec<(Arc<ResourceType>, Projection)> =
        plans.iter().map(|plan| (Arc::clone(&plan.kind), plan.query.projection.clone())).collect();
    let listing = call.federation().search_all(&call.caller, plans, &call.view).await?;
    let resources: Vec<_> = listing
        .resources
        .iter()
        .filter_map(|resource| {
            let name = resource.type_name();
            let (kind, projection) = shown.iter().find(|(kind, _)| kind.name == name)?;
            let source = resource.show_source || listing.federated;
            Some(operation::message(&call, kind, resource, projection, source))
        })
        .collect();
    let head = ListHead {
        total: search::total(call.manner(), &listing),
        start_index: Some(listing.start_index),
        repositories: listing.federated.then_some(listing.report.as_slice()),
        ..ListHead::default()
    };
    Ok(body::message(render_list(&head, &resources, call.manner()), call.manner()))
}

/// The request as each type understands it: an attribute that a type does not have is one without a
/// value there. One that no type has cannot be sorted by.
async fn plans(call: &Call, message: &Value) -> Result<Vec<Plan>, Failure> {
    let federation = call.federation();
    let mut plans = Vec::with_capacity(federation.types().len());
    let (mut sorted, mut unsortable) = (false, None);
    for kind in federation.types() {
        let mut query = match Query::from_body(message, kind, call.manner()) {
            Err(error) if error.kind == ErrorKind::InvalidPath => {
                let (written, rest) = without_sort(message);
                unsortable.get_or_insert(error);
                Query {
                    sort_by: written.map(|text| kind.resolve(text)),
                    ..Query::from_body(&rest, kind, call.manner())?
                }
            }
            query => {
                let query = query?;
                sorted |= query.sort_by.is_some();
                query
            }
        };
        if query.cursor.is_some() {
            return Err(Failure::from(ScimError::new(
                ErrorKind::InvalidCursor,
                "cursor: a list over all resource types has none; page with startIndex and count, or \
                 search one type at its own endpoint",
            )));
        }
        search::settle(call, kind, &mut query).await?;
        plans.push(federation.plan(kind, query));
    }
    match unsortable {
        Some(error) if !sorted => Err(error.into()),
        _ => Ok(plans),
    }
}

/// What a SearchRequest sorts by, and the rest of it.
fn without_sort(message: &Value) -> (Option<&str>, Value) {
    let mut rest = message.clone();
    let Some(members) = message.as_object() else { return (None, rest) };
    let mut written = None;
    for (name, value) in members {
        if name.eq_ignore_ascii_case("sortBy") {
            written = value.as_str();
            if let Some(rest) = rest.as_object_mut() {
                rest.shift_remove(name);
            }
        }
    }
    (written, rest)
}
