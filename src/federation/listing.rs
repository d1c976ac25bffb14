//! A list as it is answered.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::resource::Resource;
use crate::scim::dialect::RepositoryReport;

/// One page of resources with what is known about the whole. Immutable and shared.
#[derive(Debug)]
pub struct Listing {
    pub resources: Vec<Arc<Resource>>,
    /// Whether the whole list holds somebody who has no row.
    pub unbound: bool,
    /// How many match in all; with a source that was cut, how many are known to.
    pub total: u64,
    /// 1-based; nothing that counts for a page of a walk.
    pub start_index: u64,
    /// For a page of a walk by cursor.
    pub cursors: Option<Cursors>,
    /// One line per repository that was asked.
    pub report: Vec<RepositoryReport>,
    /// Whether repositories were part of the question; then the source extension is shown.
    pub federated: bool,
    rendered: OnceLock<(usize, Bytes)>,
}

/// Where a walk goes on from a page (RFC 9865 section 2).
#[derive(Debug)]
pub struct Cursors {
    /// None on the last page.
    pub next: Option<String>,
    /// None on the first.
    pub previous: Option<String>,
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
        let (cursors, rendered) = (None, OnceLock::new());
        let unbound = false;
        Self { resources, unbound, total, start_index, cursors, report, federated, rendered }
    }

    /// The same list, which holds somebody who has no row, or does not.
    pub(super) fn holding(self, unbound: bool) -> Self {
        Self { unbound, ..self }
    }

    /// A page of a walk.
    pub(super) fn page(
        resources: Vec<Arc<Resource>>,
        total: u64,
        cursors: Cursors,
        report: Option<Vec<RepositoryReport>>,
    ) -> Self {
        Self { cursors: Some(cursors), ..Self::new(resources, total, 0, report) }
    }

    /// The bytes of the default projection in a form, which tells mount and manner; kept for the one
    /// that asks first.
    pub fn rendered(&self, form: usize, render: impl Fn() -> Bytes) -> Bytes {
        let (kept, bytes) = self.rendered.get_or_init(|| (form, render()));
        if *kept == form { bytes.clone() } else { render() }
    }
}
