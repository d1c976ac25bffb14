//! A client for one LDAP directory of one or more servers: connections, TLS, deadlines, limits.
//! Knows nothing of SCIM, of mappings, or of what the attributes mean.

mod ber;
mod chase;
mod connection;
mod diagnose;
mod dial;
mod directory;
mod entry;
mod failure;
mod feed;
mod follow;
mod guard;
mod health;
mod modify;
mod pages;
mod referral;
mod relay;
mod server;
mod settings;
mod sign_in;
pub mod sync;
#[cfg(test)]
mod tests;
mod tls;

pub use directory::Directory;
pub use entry::{Paging, RawEntry, RawFound, Scope, SearchRequest, rest_of};
pub use feed::{Controls, End, Listener, Message, RequestControl};
pub use modify::{AttributeChange, ModifyRequest, Said, Unsaid};
pub use settings::{Settings, SettingsError};
pub use sign_in::{BindSaid, Policy};
