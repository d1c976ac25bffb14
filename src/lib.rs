//! scimbridge: one SCIM front end over local users and people found live in directories.
//!
//! ```text
//!        SCIM client        timer
//!            |                |
//!          http             import    drivers: the web framework lives in http only
//!            |                |
//!    auth -> Caller           |       who is asking, and what is allowed
//!            |                |
//!        federation <---------+       one answer out of many sources
//!       /    |     \
//!   store  cache  repository    SQL | memory | directories
//! ```
//!
//! The floors, from the ground up; a module names only what stands below it
//! (`tests/tidy.rs` holds this):
//!
//! 0. words: [`clock`], [`secret`], [`scim`], [`caller`], [`audit`]
//! 1. settings: [`config`], [`telemetry`]
//! 2. holdings: [`store`], [`repository`], [`cache`], never each other
//! 3. work: [`federation`], [`auth`], not each other
//! 4. drivers: [`http`], [`import`], never floor 2, never each other
//! 5. wiring: [`app`], [`cli`]

pub mod audit;
pub mod caller;
pub mod clock;
pub mod scim;
pub mod secret;

pub mod config;
pub mod telemetry;

pub mod cache;
pub mod repository;
pub mod store;

pub mod auth;
pub mod federation;

pub mod http;
pub mod import;

pub mod app;
pub mod cli;
