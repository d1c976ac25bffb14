//! What takes bodies apart, for whoever feeds it arbitrary bytes.

pub use super::import::rows::{Order, Part, Stopped, read as read_import};
pub use super::json::parse as read_json;
