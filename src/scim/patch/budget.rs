//! How much work one patch may cost: so many operations, times so many values, times what is
//! compared.

use std::cell::Cell;

use serde_json::Value;

use crate::scim::error::{ErrorKind, ScimError};

/// Seconds of a processor at most: a thousand operations on an attribute with some thousand values.
const STEPS: usize = 200_000_000;
/// How many bytes of text count as one more step.
const TEXT: usize = 64;

/// The work that is left.
pub(super) struct Budget {
    left: Cell<usize>,
}

impl Budget {
    /// What any patch may cost.
    pub(super) fn usual() -> Self {
        Self::of(STEPS)
    }

    pub(super) fn of(steps: usize) -> Self {
        Self { left: Cell::new(steps) }
    }

    /// Takes the cost of going through `steps` (see [`size`]) so many `times`, before it is done.
    pub(super) fn spend(&self, steps: usize, times: usize) -> Result<(), ScimError> {
        let left = steps.checked_mul(times).and_then(|cost| self.left.get().checked_sub(cost));
        match left {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(ScimError::new(
                ErrorKind::TooMany,
                "the operations up to this one take too much work on so many values; send them in \
                 several PATCHes",
            )),
        }
    }
}

/// How many steps it takes to go through a value once.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => 1 + text.len() / TEXT,
        Value::Array(values) => sizes(values),
        Value::Object(members) => 1 + members.values().map(size).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}

/// [`size`] of all of them.
pub(super) fn sizes(values: &[Value]) -> usize {
    1 + values.iter().map(size).sum::<usize>()
}
