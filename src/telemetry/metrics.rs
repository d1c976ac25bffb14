//! Numbers about the bridge, and their text form (Prometheus exposition format 0.0.4).
//!
//! Everything is counted by relaxed atomics: a count costs nanoseconds and never waits.
