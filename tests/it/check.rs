//! `scimbridge check`: what it finds at real directories, each with its remedy, and when it fails.

use std::fmt::Write as _;

use jiff::SignedDuration;
use scimbridge::clock::Clock;

use crate::support::bridge::{Settings, run};
use crate::support::hostile::{Hostile, Operation, PAGED_RESULTS, Verdict};
use crate::support::slapd::{Options, SUFFIX, Slapd};

/// What is said, and whether all is well.
fn check(settings: &Settings) -> (String, bool) {
    let output = run(&settings.write(), &["check", "--config", "scimbridge.toml"]);
    let said = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{said}{error}");
    (said, output.status.success())
}

/// The line with these words; where it is no good news, the next one says what to do.
fn line<'a>(said: &'a str, mark: &str, words: &str) -> &'a str {
    let mut lines = said.lines();
    let found = lines.find(|line| line.trim_start().starts_with(mark) && line.contains(words));
    let found = found.unwrap_or_else(|| panic!("{mark} {words} is not in {said}"));
    assert!(mark == "ok" || lines.next().is_some_and(|next| next.contains("->")), "{said}");
    found
}

#[test]
fn every_server_is_looked_at_by_itself() {
    let slapd = Slapd::shared();
    let good = slapd.url();
    let both = Settings::over(slapd).text().replace(
        &format!("urls = [{good:?}]"),
        &format!("urls = [\"ldap://127.0.0.1:1\", {good:?}]"),
    );
    let folder = Settings::local().write();
    std::fs::write(folder.join("scimbridge.toml"), both).unwrap();
    let output = run(&folder, &["check", "--config", "scimbridge.toml"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    line(&said, "BROKEN", "ldap://127.0.0.1:1");
    line(&said, "ok", &format!("{good}: connected"));
    // The other one serves, so that everything else can be looked at.
    line(&said, "ok", "entries were mapped");
    assert!(said.ends_with("something is broken\n"), "{said}");
}

#[test]
fn what_is_negotiated_and_what_time_it_is_is_told() {
    let slapd = Slapd::start(Options { people: 5, tls: true, ..Options::default() });
    let ca = slapd.ca();
    let settings = Settings::local()
        .repository("corp", &slapd.ldaps_url())
        .with(&format!("ca = {:?}", ca.to_str().unwrap()));
    let (said, well) = check(&settings);
    assert!(well, "{said}");
    let connected = line(&said, "ok", ": connected, TLS 1.3 (TLS13_");
    assert!(connected.contains("certificate good until 2"), "{connected}");
    let root = line(&said, "ok", "root DSE");
    assert!(root.contains("clock is 0 s from ours") || root.contains("1 s from ours"), "{root}");
}

#[test]
fn each_value_is_told_with_a_sample_and_names_that_stand_twice_are_named() {
    let mut ldif = String::new();
    for unit in ["ou=people", "ou=services"] {
        write!(
            ldif,
            "dn: cn=Twin,{unit},{SUFFIX}\nobjectClass: inetOrgPerson\ncn: Twin\nsn: Twin\n\
             uid: Twin{}\n\n",
            if unit == "ou=people" { "" } else { "X" }
        )
        .unwrap();
    }
    let second = "objectClass: inetOrgPerson\ncn: Twin 2\nsn: Twin\nuid: twin\n";
    writeln!(ldif, "dn: cn=Twin 2,ou=people,{SUFFIX}\n{second}").unwrap();
    let slapd = Slapd::start(Options { people: 20, ldif, ..Options::default() });
    let (said, well) = check(&Settings::over(&slapd));
    assert!(well, "a warning breaks nothing: {said}");
    let twice = line(&said, "warning", "1 values of userName stand twice among 22 people");
    assert!(twice.contains("cn=Twin 2,ou=people") && !twice.contains("services"), "{twice}");
    line(&said, "ok", "userName from uid: 22 of 22 have it, such as \"");
    line(&said, "ok", "emails[work].value from mail: ");
    line(&said, "ok", "are too few to tell by the time");
    assert!(!said.contains("data:image"), "no pictures: {said}");
}

#[test]
fn a_feed_is_tried_with_this_bind() {
    for (configuration, changes, mark, words) in [
        ("", "", "ok", "changes are not followed"),
        ("moduleload syncprov\noverlay syncprov\n", "", "ok", "offers changes = \"syncrepl\""),
        (
            "moduleload syncprov\noverlay syncprov\n",
            "changes = \"syncrepl\"",
            "ok",
            "they are told to this bind",
        ),
        ("", "changes = \"syncrepl\"", "warning", "they are not told"),
    ] {
        let configuration = configuration.to_owned();
        let slapd = Slapd::start(Options { people: 3, configuration, ..Options::default() });
        let (said, well) = check(&Settings::over(&slapd).with(changes));
        assert!(well, "{said}");
        line(&said, mark, words);
    }
}

#[test]
fn answers_that_the_server_cuts_are_named() {
    let configuration = "limits * size.soft=5 size.hard=5 size.prtotal=5\n".to_owned();
    let slapd = Slapd::start(Options { people: 30, configuration, ..Options::default() });
    let (said, well) = check(&Settings::over(&slapd));
    assert!(well, "{said}");
    line(&said, "warning", "cuts answers at 5 entries");
}

#[test]
fn indexes_are_told_or_timed() {
    let (said, well) = check(&Settings::over(Slapd::shared()));
    assert!(well, "{said}");
    let told = said.lines().filter(|line| line.contains(" index: "));
    assert!(told.clone().count() > 0, "{said}");
    assert!(told.clone().all(|line| line.contains("finding nobody")), "{said}");
}

/// In front of the shared directory: another clock, and other controls, in the root DSE.
fn says(ahead: i64, controls: &'static [&'static str]) -> Hostile {
    let address = format!("127.0.0.1:{}", Slapd::shared().port());
    Hostile::in_front_of(&address, move |request, reply| match &request.operation {
        Operation::Search { base, attributes, .. }
            if base.is_empty() && attributes.iter().any(|name| name == "currentTime") =>
        {
            let time = Clock::system().now() + SignedDuration::from_secs(ahead);
            let time = time.strftime("%Y%m%d%H%M%S.0Z").to_string();
            reply.entry(
                "",
                &[
                    ("namingContexts", &[SUFFIX]),
                    ("supportedControl", controls),
                    ("currentTime", &[&time]),
                ],
            )?;
            reply.done(0)?;
            Ok(Verdict::Done)
        }
        _ => Ok(Verdict::Pass),
    })
}

#[test]
fn clocks_that_are_apart_are_named() {
    for (ahead, warned) in [(7_203, true), (-7_197, true), (64, true), (30, false), (-56, false)] {
        let server = says(ahead, &[PAGED_RESULTS]);
        let (said, well) = check(&Settings::local().repository("corp", &server.url()));
        assert!(well, "{said}");
        line(&said, "ok", "its clock is ");
        assert_eq!(said.contains("warning clock"), warned, "{ahead}: {said}");
        if warned {
            let clock = line(&said, "warning", "the server's clock and ours are ");
            // Some seconds may pass before the answer is read.
            let apart = clock.split("ours are ").nth(1).unwrap().split(' ').next().unwrap();
            let apart: i64 = apart.parse().unwrap();
            assert!((ahead.abs() - apart).abs() <= 5, "{ahead}: {clock}");
        }
    }
}

#[test]
fn a_server_without_pages_is_named() {
    for (controls, warned) in [(&["1.3.6.1.1.12"][..], true), (&[PAGED_RESULTS], false)] {
        let server = says(0, controls);
        let (said, well) = check(&Settings::local().repository("corp", &server.url()));
        assert!(well, "{said}");
        line(&said, if warned { "warning" } else { "ok" }, "root DSE");
        assert_eq!(said.contains("paged results are not offered"), warned, "{said}");
    }
}
