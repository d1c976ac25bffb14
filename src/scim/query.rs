//! A search as asked for: query parameters or a SearchRequest body (RFC 7644 sections 3.4.2, 3.4.3).

use super::filter::Filter;
use super::projection::Projection;
use super::schema::AttributePath;

/// A search, parsed and checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    pub filter: Option<Filter>,
    pub sort_by: Option<AttributePath>,
    pub descending: bool,
    /// 1-based; below 1 was read as 1.
    pub start_index: u64,
    /// How many at most; `None`: as many as the tenant allows. Negative was read as 0.
    pub count: Option<u64>,
    pub cursor: Option<String>,
    pub search_repositories: bool,
    pub projection: Projection,
    pub api_version: Option<u32>,
}
