//! Who is asking: from the `Authorization` header to a [`Caller`].
//!
//! Knows nothing of what a caller asks for, nor whether it may.

pub mod bearer;

pub use bearer::{Denied, Tokens};
