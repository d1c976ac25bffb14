//! Who is asking: from the `Authorization` header to a [`Caller`].
//!
//! Knows nothing of what a caller asks for, nor whether it may.

mod bearer;
mod gate;
mod rate;
mod throttle;

pub use bearer::Denied;
pub use gate::{Gate, Refused};
