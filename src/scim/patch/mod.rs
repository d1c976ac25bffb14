//! PATCH (RFC 7644 section 3.5.2): a body becomes a list of operations once, and is then applied to
//! attributes, purely.
//!
//! Knows nothing of who owns an attribute: what a patch changes is seen by comparing.

mod apply;
#[cfg(test)]
mod bounds;
mod budget;
#[cfg(test)]
mod clients;
mod element;
mod membership;
mod parse;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use serde_json::Value;

use super::error::ScimError;
use super::filter::Filter;
use super::schema::AttributePath;
use super::schema::standard::USER_ATTRIBUTE;
use crate::caller::Client;

pub use membership::{Membership, Parted};

/// A parsed PATCH body. Paths are known and writable; values are checked when it is applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    operations: Vec<Operation>,
}

/// How one client's patches are understood, beside the RFC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a tolerance of its own")]
pub struct Tolerance {
    /// `replace` of `emails[type eq "work"].value` where no element matches makes the element out
    /// of the filter's `eq` terms, as Entra ID expects, in place of 400 `noTarget`. An `add` does
    /// so in any case: RFC 7644 section 3.5.2.1 has it create what does not exist.
    pub create_on_absent_value_path: bool,
    /// Operations without a path and names that no schema knows are refused in place of accepted
    /// and passed over, and `replace` of a complex attribute replaces the whole of it in place of
    /// the sub-attributes that are given (RFC 7644 section 3.5.2.3).
    pub strict: bool,
    /// An operation on what is readOnly, such as `userType`, changes nothing, as such a member of a
    /// PUT does, in place of 400 `mutability`: Entra ID sends one among those that matter.
    pub pass_over_read_only: bool,
    /// `manager` may stand without the URN of its extension, and what has one value in a list of one:
    /// Entra ID sends `{ "op": "Add", "path": "manager", "value": [{ "value": "…" }] }`.
    pub loose_forms: bool,
}

impl From<Client> for Tolerance {
    fn from(client: Client) -> Self {
        Self {
            create_on_absent_value_path: client == Client::Entra,
            strict: client == Client::Strict,
            pass_over_read_only: client == Client::Entra,
            loose_forms: client == Client::Entra,
        }
    }
}

/// One change of one attribute. A body's operation without a path, or with the path of a whole
/// extension, is one such change for each attribute that its value names.
#[derive(Clone, Debug, PartialEq)]
struct Operation {
    /// Its place among the body's operations, from 0.
    index: usize,
    /// The path as written.
    text: String,
    verb: Verb,
    /// The attribute, sub-attribute or whole extension that it leads to.
    path: AttributePath,
    /// Which elements of the multi-valued attribute are meant.
    filter: Option<Filter>,
    /// Never `null`.
    value: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Add,
    Replace,
    Remove,
}

impl Patch {
    /// The paths that are written, in the order of the operations; one with a filter is given
    /// without it.
    pub fn paths(&self) -> impl Iterator<Item = &AttributePath> {
        self.operations.iter().map(|operation| &operation.path)
    }

    /// Whether elements of `UserAttribute` are named one by one; `None` where no operation leads into
    /// that extension.
    pub fn codes(&self) -> Option<bool> {
        let into =
            |operation: &&Operation| operation.path.extension.as_deref() == Some(USER_ATTRIBUTE);
        let mut into = self.operations.iter().filter(into).peekable();
        into.peek()?;
        Some(into.any(|operation| operation.filter.is_some()))
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }
}

impl Operation {
    fn located(&self, error: ScimError) -> ScimError {
        located(self.index, Some(&self.text), error)
    }
}

/// Says in which operation it went wrong.
fn located(index: usize, path: Option<&str>, error: ScimError) -> ScimError {
    let ScimError { kind, detail } = error;
    let detail = match path {
        Some(path) => format!("Operations[{index}], path {path:?}: {detail}"),
        None => format!("Operations[{index}]: {detail}"),
    };
    ScimError { kind, detail }
}
