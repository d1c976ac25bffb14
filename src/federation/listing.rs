//! A list as it is answered.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::resource::Resource;
use crate::scim::dialect::RepositoryReport;

/// One page of resources with what is known about the whole. Immutable and shared.
#[derive(Debug)]
pub struct Listing {
    pub resources: Vec<Arc<Resource>>,
    /// How many match in all; with a source that was cut, how many are known to.
    pub total: u64,
    /// 1-based.
    pub start_index: u64,
    /// One line per repository that was asked.
    pub report: Vec<RepositoryReport>,
    /// Whether repositories were part of the question; then the source extension is shown.
    pub federated: bool,
    rendered: OnceLock<(usize, Bytes)>,
}

impl Listing {
    pub(super) fn new(
        resources: Vec<Arc<Resource>>,
        total: u64,
        start_index: u64,
        report: Option<Vec<RepositoryReport>>,
    ) -> Self {
        let federated = report.is_some();
        let report = report.unwrap_or_default();
        Self { resources, total, start_index, report, federated, rendered: OnceLock::new() }
    }

    /// The bytes of the default projection for the mount; kept for the mount that asks first.
    pub fn rendered(&self, mount: usize, render: impl Fn() -> Bytes) -> Bytes {
        let (kept, bytes) = self.rendered.get_or_init(|| (mount, render()));
        if *kept == mount { bytes.clone() } else { render() }
    }
}
