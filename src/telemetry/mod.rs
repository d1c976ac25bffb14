//! What the bridge tells of itself: log lines on standard error, numbers for `/metrics`.
//!
//! Never a secret, never a person's data: names of callers, paths without their query, ids.

mod drain;
mod line;
pub mod log;
pub mod metrics;
pub mod request;
pub use metrics::Metrics;
