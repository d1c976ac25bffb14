//! Discovery (RFC 7644 section 4): what this server can do, told without asking who wants to know.

use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use super::error::Failure;
use super::{Parts, TenantMount, body, bulk, etag, query};
use crate::scim::dialect::{self, Capabilities, Document, Manner, Part};
use crate::scim::resource::digest_bytes;
use crate::scim::{Query, ResourceType};

/// `/ServiceProviderConfig`; true to what is really there.
pub fn service_provider_config(
    app: &Parts,
    mount: &TenantMount,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    unfiltered(uri)?;
    let capabilities = Capabilities {
        max_results: mount.tenant.federation.max_results(),
        max_payload_size: app.limits.max_body as u64,
        bulk_operations: Some(bulk::MAX_OPERATIONS as u64),
        change_password: false,
        sort: mount.manner(None, uri).sorts,
        etag: true,
        cursor_timeout: mount.tenant.federation.cursor_timeout().as_secs(),
    };
    let document = dialect::service_provider_config(&capabilities, &mount.base);
    single(headers, document, mount.manner(None, uri))
}

pub fn schemas(mount: &TenantMount, uri: &Uri) -> Result<Response, Failure> {
    unfiltered(uri)?;
    let manner = mount.manner(None, uri);
    let list = dialect::schemas_list(&types(mount), &mount.base, part(mount, uri)?, manner);
    Ok(body::message(list, manner))
}

pub fn schema(
    mount: &TenantMount,
    uri: &Uri,
    headers: &HeaderMap,
    urn: &str,
) -> Result<Response, Failure> {
    let manner = mount.manner(None, uri);
    let describe =
        |urn: &str, types: &[&ResourceType], base: &str| dialect::schema(urn, types, base, manner);
    one(mount, uri, headers, urn, describe)
}

pub fn resource_types(mount: &TenantMount, uri: &Uri) -> Result<Response, Failure> {
    unfiltered(uri)?;
    let manner = mount.manner(None, uri);
    let list = dialect::resource_types_list(&types(mount), &mount.base, part(mount, uri)?, manner);
    Ok(body::message(list, manner))
}

pub fn resource_type(
    mount: &TenantMount,
    uri: &Uri,
    headers: &HeaderMap,
    name: &str,
) -> Result<Response, Failure> {
    one(mount, uri, headers, name, dialect::resource_type)
}

fn one(
    mount: &TenantMount,
    uri: &Uri,
    headers: &HeaderMap,
    written: &str,
    describe: impl Fn(&str, &[&ResourceType], &str) -> Option<Document>,
) -> Result<Response, Failure> {
    unfiltered(uri)?;
    let name = query::segment(written).ok_or(Failure::UnknownPath)?;
    match describe(&name, &types(mount), &mount.base) {
        Some(document) => single(headers, document, mount.manner(None, uri)),
        None => Err(Failure::UnknownDefinition(name.into_owned())),
    }
}

fn types(mount: &TenantMount) -> Vec<&ResourceType> {
    mount.tenant.federation.types().iter().map(AsRef::as_ref).collect()
}

fn unfiltered(uri: &Uri) -> Result<(), Failure> {
    let filtered =
        query::pairs(uri.query())?.iter().any(|(name, _)| name.eq_ignore_ascii_case("filter"));
    if filtered { Err(Failure::FilterOnDiscovery) } else { Ok(()) }
}

/// What `startIndex` and `count` select, in tenants where they do.
fn part(mount: &TenantMount, uri: &Uri) -> Result<Part, Failure> {
    let federation = &mount.tenant.federation;
    if !federation.customs().paged_discovery {
        return Ok(Part::WHOLE);
    }
    let pairs = query::pairs(uri.query())?;
    let asked =
        Query::from_parameters(pairs.into_iter(), federation.users(), mount.manner(None, uri))?;
    Ok(Part { start_index: asked.start_index, count: asked.count.unwrap_or(u64::MAX) })
}

/// One of them; its version is what it says.
fn single(headers: &HeaderMap, document: Document, manner: &Manner) -> Result<Response, Failure> {
    let version = format!("{:016x}", digest_bytes(&document.body));
    if etag::none_match(headers, &version)? {
        return Ok(etag::not_modified(&version, document.location));
    }
    let mut response = body::message(document.body, manner);
    etag::describe(response.headers_mut(), &version, document.location);
    Ok(response)
}
