//! Why an operation on a server failed, as far as it decides what is done next.

use std::sync::Arc;

use crate::repository::RepositoryError;

#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The deadline passed; `silent` where nothing at all was heard from the server meanwhile.
    Timeout { silent: bool },
    /// The connection broke under the operation: another one may do.
    Died(Arc<str>),
    /// The server cannot be reached, or was given up for a while: another one may do.
    Down(Arc<str>),
    /// The server says that it cannot serve now: another one may do.
    Busy(Arc<str>),
    /// The answer is an error and would be the same elsewhere; with the result code, where it is one.
    Refused { text: Arc<str>, code: Option<u32> },
    /// All that was asked for is held by another server, at these URLs.
    Referred { text: Arc<str>, urls: Vec<String> },
}

impl From<Failure> for RepositoryError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Timeout { .. } => Self::Timeout,
            Failure::Died(text)
            | Failure::Down(text)
            | Failure::Busy(text)
            | Failure::Refused { text, .. }
            | Failure::Referred { text, .. } => Self::Unavailable(text),
        }
    }
}
