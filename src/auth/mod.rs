//! Who is asking: from the `Authorization` header to a [`Caller`].
//!
//! Knows nothing of what a caller asks for, nor whether it may.
#![doc = include_str!("threats.md")]

mod bearer;
mod client;
mod fetch;
mod gate;
mod jwk;
mod jwt;
pub mod mint;
mod published;
mod rate;
mod sign_in;
mod standing;
mod throttle;
mod verified;

pub use bearer::Denied;
pub use client::{IssueError, Issued};
pub use gate::{Gate, Refused};
pub use jwt::{IssuerFault, KeysUnavailable, Rejected};
pub use sign_in::SignIn;
