//! LDAP directories as repositories.

pub mod wire;
