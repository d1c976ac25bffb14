//! Directories as they really are: a Samba domain and a 389 Directory Server, each started once for
//! all tests here, alone and beside a slapd.
//!
//! A Samba domain needs root; without, its tests say so and pass over it, unless `CI` is set.

mod accounts;
mod active;
mod agreement;
mod faults;
mod feeds;
mod large;
mod people;
mod referrals;
mod rules;
pub mod servers;
mod several;
mod tls;
mod written;
