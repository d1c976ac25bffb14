//! A list as it is answered.

use std::sync::Arc;

use super::person::Person;
use crate::scim::dialect::RepositoryReport;

/// One page of people with what is known about the whole.
#[derive(Clone, Debug)]
pub struct Listing {
    pub people: Vec<Arc<Person>>,
    /// How many match in all; with a source that was cut, how many are known to.
    pub total: u64,
    /// 1-based.
    pub start_index: u64,
    /// One line per repository that was asked.
    pub report: Vec<RepositoryReport>,
    /// Whether repositories were part of the question; then the source extension is shown.
    pub federated: bool,
}
