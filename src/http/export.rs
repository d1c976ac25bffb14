//! A list of users as the body of a bulk request that makes them elsewhere
//! (`GET /Users?bulkImportFormat=true`).

use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::body;
use super::caller::Call;
use super::error::Failure;
use super::query;
use crate::federation::{Listing, Plan};
use crate::scim::dialect::render_export;
use crate::scim::{Attributes, ErrorKind, ScimError};

/// The page that the query selects. The message has no place for what a list says about itself, so
/// that where the next page is stands in the header `Link` (RFC 8288).
pub async fn run(call: &Call, plan: &Plan) -> Result<Response, Failure> {
    if plan.query.search_repositories || plan.query.cursor.is_some() {
        let other = if plan.query.cursor.is_some() { "cursor" } else { "searchRepositories=true" };
        return Err(ScimError::new(
            ErrorKind::InvalidValue,
            format!(
                "bulkImportFormat=true and {other} cannot stand together: what is carried over are \
                 the users who are kept here, in pages by startIndex"
            ),
        )
        .into());
    }
    let listing = call.federation().search(&call.caller, plan, &call.view).await?;
    let users: Vec<&Attributes> =
        listing.resources.iter().map(|resource| &*resource.attributes).collect();
    let mut response = body::message(render_export(&plan.kind, &users), call.manner());
    if let Some(next) = next(call, &listing)? {
        response.headers_mut().insert(header::LINK, next);
    }
    Ok(response)
}

/// Where the users behind this page are, if it was asked for by parameters and there are any.
fn next(call: &Call, listing: &Listing) -> Result<Option<HeaderValue>, Failure> {
    let shown = listing.resources.len() as u64;
    let after = listing.start_index.saturating_add(shown);
    if shown == 0 || after > listing.total || call.head.method == "POST" {
        return Ok(None);
    }
    let path = format!("{}/Users?", call.mount.base);
    let begins = path.len();
    let mut address = form_urlencoded::Serializer::for_suffix(path, begins);
    for (name, value) in query::pairs(call.head.uri.query())? {
        if !name.eq_ignore_ascii_case("startIndex") {
            address.append_pair(&name, &value);
        }
    }
    address.append_pair("startIndex", &after.to_string());
    Ok(HeaderValue::try_from(format!("<{}>; rel=\"next\"", address.finish())).ok())
}
