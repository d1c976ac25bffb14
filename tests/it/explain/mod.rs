//! What `scimbridge explain` says is what the bridge does: the filters that directories get, the SQL that
//! the database gets, and the source of each value.

mod filter;
mod person;

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::support::bridge::{TENANT, run};

fn explain(directory: &Path, arguments: &[&str]) -> Output {
    let all = ["explain", "--config", "scimbridge.toml", "--tenant", TENANT];
    run(directory, &[&all, arguments].concat())
}

fn text(directory: &Path, arguments: &[&str]) -> String {
    let output = explain(directory, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(directory: &Path, arguments: &[&str]) -> Value {
    let text = text(directory, &[arguments, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What is said where nothing is explained.
fn refusal(directory: &Path, arguments: &[&str]) -> String {
    let output = explain(directory, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}
