//! Dialects: the one module that knows that there are two, and what the messages look like.
//!
//! A resource is written once, when its bytes are not cached; a list only joins bytes.

#[cfg(test)]
mod activid_tests;
mod bulk;
mod codes;
mod discovery;
mod export;
mod ids;
mod import;
mod json;
mod manner;
mod report;
mod resource;
#[cfg(test)]
mod tests;
mod user;

pub use bulk::{BulkOutcome, render_bulk};
pub use discovery::{
    Capabilities, Document, Part, resource_type, resource_types_list, schema, schemas_list,
    service_provider_config,
};
pub use export::render_export;
pub use ids::Numbers;
pub use import::{
    IMPORT, ImportReport, ImportStatus, RowFault, import_location, render_import,
    render_import_report,
};
pub use manner::{Dialect, Language, Limit, Manner, Manners, Names, Settings};
pub use report::{ReportState, RepositoryReport};
pub use resource::{Look, location, render_resource};
pub use user::presented;

use super::error::ErrorKind;
use json::Writer;

/// The member of a federated list that tells how each repository answered.
pub const REPOSITORIES: &str = "urn:scimbridge:api:messages:2.0:Repositories";

/// What a list says about itself; the resources stand beside it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListHead<'a> {
    /// All that match, on every page; left out of the message where it is not known.
    pub total: Option<u64>,
    /// 1-based index of the first resource; left out for a walk by cursor (RFC 9865 section 2).
    pub start_index: Option<u64>,
    pub next_cursor: Option<&'a str>,
    pub previous_cursor: Option<&'a str>,
    /// How each asked repository answered; `None` where no repository could have been asked.
    pub repositories: Option<&'a [RepositoryReport]>,
}

/// A ListResponse (RFC 7644 section 3.4.2) out of resources that are JSON already: nothing is
/// serialised again. `itemsPerPage` is the number of the resources.
pub fn render_list<B: AsRef<[u8]>>(
    head: &ListHead<'_>,
    resources: &[B],
    manner: &Manner,
) -> Vec<u8> {
    let reports = head.repositories.unwrap_or_default();
    let bodies: usize = resources.iter().map(|resource| resource.as_ref().len() + 1).sum();
    let cursors = head.next_cursor.map_or(0, str::len) + head.previous_cursor.map_or(0, str::len);
    let mut out = Vec::with_capacity(bodies + 256 + reports.len() * 128 + cursors * 2);
    out.extend_from_slice(br#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"#);
    if let Some(total) = head.total {
        out.extend_from_slice(br#""totalResults":"#);
        out.number(total);
        out.push(b',');
    }
    if let Some(start_index) = head.start_index {
        out.extend_from_slice(br#""startIndex":"#);
        out.number(start_index);
        out.push(b',');
    }
    out.extend_from_slice(br#""itemsPerPage":"#);
    out.number(resources.len() as u64);
    for (name, cursor) in
        [("nextCursor", head.next_cursor), ("previousCursor", head.previous_cursor)]
    {
        if let Some(cursor) = cursor {
            out.push(b',');
            out.name(name);
            out.text(cursor);
        }
    }
    if head.repositories.is_some() {
        // REPOSITORIES, spelled out: this is written for each hot look-up.
        out.extend_from_slice(br#","urn:scimbridge:api:messages:2.0:Repositories":"#);
        report::render(&mut out, reports);
    }
    out.push(b',');
    out.name(manner.list_member);
    out.push(b'[');
    for (index, resource) in resources.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(resource.as_ref());
    }
    out.extend_from_slice(b"]}");
    out
}

/// An error message (RFC 7644 section 3.12); `status` is the HTTP status, written as a string.
pub fn render_error(
    status: u16,
    kind: Option<ErrorKind>,
    detail: &str,
    manner: &Manner,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(128 + detail.len());
    out.extend_from_slice(
        br#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":""#,
    );
    out.number(u64::from(status));
    out.push(b'"');
    if let Some(kind) = kind {
        out.extend_from_slice(br#","scimType":""#);
        out.extend_from_slice(kind.name().as_bytes());
        out.push(b'"');
    }
    if manner.error_codes {
        out.extend_from_slice(br#","errorCode":"#);
        out.number(u64::from(codes::code(status, kind)));
    }
    out.extend_from_slice(br#","detail":"#);
    out.text(detail);
    out.push(b'}');
    out
}
