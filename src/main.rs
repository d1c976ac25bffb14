//! The `scimbridge` command.

fn main() {}
