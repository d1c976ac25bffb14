//! The `scimbridge` command.

use std::process::ExitCode;

// A request is made of many small values that live for microseconds.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    scimbridge::cli::run()
}
