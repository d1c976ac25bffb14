//! Which attributes an answer shows (RFC 7644 section 3.9, RFC 7643 section 7 `returned`).

use super::schema::AttributePath;

/// The `attributes` or `excludedAttributes` of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Projection {
    /// What is returned by default.
    #[default]
    Default,
    /// These, and what is always returned.
    Only(Vec<AttributePath>),
    /// The default without these.
    Without(Vec<AttributePath>),
}
