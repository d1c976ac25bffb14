//! What is written back to a directory, and how that may end.

use std::collections::BTreeMap;

use serde_json::Value;

use super::RepositoryError;

/// The values of a person that are written back, by the keys under which the mapping has them.
pub type Back = BTreeMap<String, Vec<Value>>;

/// One mapped key whose values shall be others.
#[derive(Clone, Debug, PartialEq)]
pub struct Modification {
    /// As the mapping writes it: `phoneNumbers[type eq "mobile"].value`.
    pub key: String,
    /// What the entry is taken to hold. Where it holds something else nothing is written.
    pub expected: Vec<Value>,
    pub wanted: Vec<Value>,
}

/// Why an entry was not written, or may not have been.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// The entry holds other values than expected.
    #[error("the entry was changed meanwhile")]
    Changed,
    /// There is no such entry.
    #[error("the entry is gone")]
    Gone,
    /// The directory does not do it, and says why.
    #[error("{text}")]
    Refused { refusal: Refusal, text: String },
    /// Nothing was written.
    #[error(transparent)]
    Unavailable(#[from] RepositoryError),
    /// It was sent, and whether it was done is not known.
    #[error("no answer to what was sent: {0}")]
    Undecided(RepositoryError),
}

/// What is at fault where a directory refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The rights of the bridge's own bind.
    Right,
    /// The value.
    Value,
    /// Something else in the entry, which has to go first.
    Held,
}

/// What has to be modified to come from the one to the other.
pub fn modifications(before: &Back, after: &Back) -> Vec<Modification> {
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let values = |back: &Back, key: &String| back.get(key).cloned().unwrap_or_default();
    keys.into_iter()
        .map(|key| Modification {
            key: key.clone(),
            expected: values(before, key),
            wanted: values(after, key),
        })
        .filter(|one| !alike(&one.expected, &one.wanted))
        .collect()
}

/// Whether both hold the same values, in whatever order.
pub fn alike(one: &[Value], other: &[Value]) -> bool {
    one.len() == other.len() && one.iter().all(|value| other.contains(value))
}
