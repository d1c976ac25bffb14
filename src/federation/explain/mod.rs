//! Why an answer is as it is: what a filter makes of the sources, and which source gave a person each
//! value. Values for a reader; nothing here writes.

mod filter;
mod origin;
mod person;

pub use filter::{ExplainedFilter, ExplainedRepository, ExplainedStore, Folded, Sent};
pub use origin::{ExplainedValue, Origin};
pub use person::{Belonging, ExplainedPerson, ExplainedSource, HeldRule};
