//! LDAP directories as repositories.
