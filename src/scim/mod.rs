//! SCIM 2.0 (RFC 7643, RFC 7644) as plain values: schemas, resources, filters, patches, queries.
//!
//! Knows nothing of HTTP, SQL or LDAP: no async, no I/O, no framework.

pub mod bulk;
#[cfg(test)]
pub(crate) mod cases;
pub mod dialect;
pub mod display;
pub mod error;
pub mod filter;
pub mod mirror;
pub mod patch;
pub mod projection;
pub mod query;
pub mod resource;
#[cfg(test)]
mod rfc;
pub mod schema;
pub mod text;
pub mod written;

pub use error::{ErrorKind, ScimError};
pub use filter::Filter;
pub use patch::Patch;
pub use projection::Projection;
pub use query::Query;
pub use resource::Attributes;
pub use schema::{AttributePath, ResourceType};
