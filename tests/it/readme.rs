//! What the README tells to write is accepted as it stands there.

use std::process::Command;

use crate::support::bridge::Settings;

#[test]
fn the_configuration_of_the_readme_is_understood() {
    let readme = include_str!("../../README.md");
    let toml = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let directory = Settings::local().write();
    std::fs::write(directory.join("readme.toml"), toml).unwrap();
    std::fs::write(directory.join("corp-password"), "secret").unwrap();
    scimbridge::config::Config::load(&directory.join("readme.toml"))
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn what_explain_prints_is_what_the_readme_shows() {
    let readme = include_str!("../../README.md");
    assert!(readme.contains(include_str!("explain/example.txt").trim_end()));
}

#[test]
fn the_commands_of_the_readme_exist() {
    let readme = include_str!("../../README.md");
    for command in [
        "serve",
        "check",
        "token new",
        "token list",
        "token revoke",
        "explain",
        "audit list",
        "audit verify",
    ] {
        assert!(readme.contains(&format!("scimbridge {command}")), "{command}");
        let words = command.split(' ').chain(["--help"]);
        let output = Command::new(env!("CARGO_BIN_EXE_scimbridge")).args(words).output().unwrap();
        assert!(output.status.success(), "{command}");
    }
}
