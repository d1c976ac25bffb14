//! PATCH (RFC 7644 section 3.5.2).

/// A parsed PATCH body.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {}
