//! LDAP directories as repositories.
//!
//! A SCIM filter goes down through [`pushdown`] and [`filter`] to [`wire`], and entries come up
//! through [`entry`]; both by a [`mapping`].

pub mod wire;

mod account;
mod changes;
mod check;
pub mod directory_schema;
pub mod dn;
pub mod entry;
mod facts;
pub mod filter;
pub mod key;
pub mod literal;
pub mod mapping;
pub mod pushdown;
mod ranges;
mod repository;
mod result_code;
mod rules;
mod sign_in;
#[cfg(test)]
mod tests;
mod write;

pub use mapping::{Mapping, MappingError};
pub use repository::{LdapError, LdapRepository, LdapSettings};
pub use rules::Population;
