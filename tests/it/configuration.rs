//! What the program says about a wrong configuration, and what `check` finds.

use crate::support::bridge::{Settings, run};
use crate::support::slapd::Slapd;

fn refusal(settings: &Settings, arguments: &[&str]) -> String {
    let directory = settings.write();
    let output = run(&directory, arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap()
}

const SERVE: [&str; 3] = ["serve", "--config", "scimbridge.toml"];
const CHECK: [&str; 3] = ["check", "--config", "scimbridge.toml"];

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    let text = refusal(&Settings::local().tenant("max_result = 10"), &SERVE);
    for part in ["max_result", "max_results", "scimbridge.toml:"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn what_does_not_exist_yet_is_said_and_not_ignored() {
    let settings = Settings::local().telemetry("otlp = \"http://127.0.0.1:4317\"");
    let text = refusal(&settings, &SERVE);
    assert!(text.contains("telemetry.otlp") && text.contains("not yet supported"), "{text}");
}

#[test]
fn check_is_content_with_a_good_directory() {
    let directory = Settings::over(Slapd::shared()).write();
    let output = run(&directory, &CHECK);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("entries were mapped, the first, uid="), "{text}");
}

#[test]
fn check_names_what_is_broken() {
    let slapd = Slapd::shared();
    let good = Settings::over(slapd).text();
    let cases = [
        ("bind_password = \"secret\"", "bind_password = \"wrong\"", "password"),
        ("base = \"ou=people,", "base = \"ou=nobody,", "ou=nobody"),
        (&slapd.url(), "ldap://127.0.0.1:1", "127.0.0.1:1"),
    ];
    for (from, to, word) in cases {
        let directory = Settings::local().write();
        std::fs::write(directory.join("scimbridge.toml"), good.replace(from, to)).unwrap();
        let output = run(&directory, &CHECK);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{to}: {text}");
        assert!(text.contains(word) && text.contains("BROKEN"), "{to}: {text}");
        assert!(!text.contains("\"wrong\""), "no password is printed: {text}");
    }
}
