//! Discovery (RFC 7644 section 4): what this server can do, told without asking who wants to know.

use axum::http::Uri;
use axum::response::{IntoResponse, Response};

use super::body::ScimJson;
use super::error::Failure;
use super::{Parts, TenantMount, query};
use crate::scim::dialect::{self, Capabilities};

/// `/ServiceProviderConfig`; true to what is really there.
pub fn service_provider_config(
    app: &Parts,
    mount: &TenantMount,
    uri: &Uri,
) -> Result<Response, Failure> {
    unfiltered(uri)?;
    let capabilities = Capabilities {
        max_results: mount.tenant.federation.max_results(),
        max_payload_size: app.limits.max_body as u64,
        bulk_operations: None,
        change_password: false,
        sort: true,
        etag: true,
    };
    Ok(answer(dialect::service_provider_config(&capabilities, &mount.base)))
}

pub fn schemas(mount: &TenantMount, uri: &Uri) -> Result<Response, Failure> {
    unfiltered(uri)?;
    let kind = mount.tenant.federation.resource_type();
    Ok(answer(dialect::schemas_list(&[kind], &mount.base)))
}

pub fn schema(mount: &TenantMount, uri: &Uri, urn: &str) -> Result<Response, Failure> {
    one(mount, uri, urn, dialect::schema)
}

pub fn resource_types(mount: &TenantMount, uri: &Uri) -> Result<Response, Failure> {
    unfiltered(uri)?;
    let kind = mount.tenant.federation.resource_type();
    Ok(answer(dialect::resource_types_list(&[kind], &mount.base)))
}

pub fn resource_type(mount: &TenantMount, uri: &Uri, name: &str) -> Result<Response, Failure> {
    one(mount, uri, name, dialect::resource_type)
}

type Describe = fn(&str, &[&crate::scim::ResourceType], &str) -> Option<Vec<u8>>;

fn one(
    mount: &TenantMount,
    uri: &Uri,
    written: &str,
    describe: Describe,
) -> Result<Response, Failure> {
    unfiltered(uri)?;
    let name = query::segment(written).ok_or(Failure::UnknownPath)?;
    let kind = mount.tenant.federation.resource_type();
    let document = describe(&name, &[kind], &mount.base);
    document.map(answer).ok_or_else(|| Failure::UnknownDefinition(name.into_owned()))
}

fn unfiltered(uri: &Uri) -> Result<(), Failure> {
    let filtered =
        query::pairs(uri.query())?.iter().any(|(name, _)| name.eq_ignore_ascii_case("filter"));
    if filtered { Err(Failure::FilterOnDiscovery) } else { Ok(()) }
}

fn answer(document: Vec<u8>) -> Response {
    ScimJson(document.into()).into_response()
}
