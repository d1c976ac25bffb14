//! The configuration file: how it is written, and what it means.
mod settings;
pub use settings::*;
