//! The integration tests: one binary, so that servers can be shared between them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says where it stands and fails"
)]

mod activid;
mod audit;
mod binding;
mod bound;
mod bulk;
mod cache;
mod check;
mod clients;
mod codes;
mod configuration;
mod cursors;
mod devices;
mod directories;
mod durability;
mod explain;
mod groups;
mod harness;
mod hostile;
mod http;
mod import;
mod isolation;
mod issuer;
mod matrix;
mod modes;
mod ours;
mod outage;
mod photos;
mod postgres;
mod readme;
mod renaming;
mod roles;
mod rules;
mod schemas;
mod search;
mod secrets;
mod seeds;
mod sign_in;
mod slow;
mod smoke;
mod startup;
mod support;
mod throttle;
mod tls;
mod token;
mod vanish;
mod writeback;
