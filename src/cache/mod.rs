//! Look-ups kept in memory: moka holds the values, the single flight is ours.
//!
//! Knows nothing of what it holds.
