//! Filters (RFC 7644 section 3.4.2.2): one syntax tree, many readers.
//!
//! The parser makes it, [`print`](Filter) writes it back, [`Filter::matches`] evaluates it in memory;
//! the store turns it into SQL and a directory into an LDAP filter, each escaping in its own one place.

use jiff::Timestamp;

use super::schema::AttributePath;

/// A parsed filter.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    /// `path op value`
    Compare { path: AttributePath, operator: Operator, value: Literal },
    /// `path pr`
    Present(AttributePath),
    /// `emails[type eq "work" and value co "@example.com"]`: one and the same element satisfies all.
    /// The paths inside are whole paths (`emails.type`), resolved against the resource type.
    Element { path: AttributePath, filter: Box<Filter> },
    /// A part whose outcome is known without looking at anybody.
    Constant(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    Eq,
    Ne,
    Co,
    Sw,
    Ew,
    Gt,
    Ge,
    Lt,
    Le,
}

/// The right-hand side of a comparison, already of the attribute's type.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    String(Text),
    Boolean(bool),
    Number(f64),
    DateTime(Timestamp),
    /// `eq null`: the attribute has no value (RFC 7643 section 2.5).
    Null,
}

/// A string as written, beside the form under which it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub written: String,
    /// [`comparable`](super::text::comparable) of `written` under the attribute's case rule.
    pub key: String,
}
