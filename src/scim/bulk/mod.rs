//! Bulk requests as values (RFC 7644 section 3.7): many operations in one body, which may refer to
//! what others of them create.
//!
//! Knows nothing of how an operation is carried out, nor of who may. [`parse`](Bulk::parse) reads a
//! body, [`order`](Bulk::order) says what is done when, [`references`] puts ids in place of references.

mod order;
mod parse;
pub mod references;
#[cfg(test)]
mod tests;

use serde_json::Value;

use super::error::ScimError;

pub use order::Task;

/// The URN of a bulk request's message.
pub const BULK_REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";

/// How a string begins that stands for the id of what another operation creates.
pub(in crate::scim) const REFERENCE: &str = "bulkId:";

/// A bulk request.
#[derive(Clone, Debug, PartialEq)]
pub struct Bulk {
    /// In the order of the body.
    pub steps: Vec<Step>,
    /// After so many errors nothing more is done; `None`: all is done whatever fails.
    pub fail_on_errors: Option<usize>,
}

/// Why there is no bulk request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BulkError {
    /// The message is at fault.
    Scim(ScimError),
    /// There are more operations than are accepted.
    TooMany { limit: usize },
}

/// One operation as written. What is wrong with it concerns no other.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// As the answer repeats it: in upper case where it is known.
    pub method: String,
    pub bulk_id: Option<String>,
    /// As written.
    pub path: String,
    pub operation: Result<Operation, ScimError>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    pub method: Method,
    /// The first segment of the path, without slashes: `Users`.
    pub endpoint: String,
    /// The second one, as written; a POST has none.
    pub id: Option<Id>,
    /// What `If-Match` would say.
    pub version: Option<String>,
    /// `null` where there is none.
    pub data: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// RFC 7644 does not have it; whoever carries the operations out decides about it.
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// Which resource a path means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id {
    /// Percent-encoded, as in any path.
    Known(String),
    /// What the operation with this `bulkId` creates.
    Created(String),
}
