//! What filters say beside RFC 7644: strings and numbers without quotes, wildcards, aliases.

use super::tests::USER;
use super::*;
use crate::scim::error::ErrorKind;

const ALL: Language = Language { unquoted: true, wildcards: true, aliases: true };
const UA: &str = "urn:hid:scim:api:idp:2.0:UserAttribute";

#[track_caller]
fn reads(text: &str, expected: &str) {
    let filter = Filter::read(text, &USER, ALL).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(filter.to_string(), expected);
}

#[test]
fn strings_need_no_quotes() {
    reads("displayName sw smith", r#"displayName sw "smith""#);
    reads("externalid eq 12345 and title eq true", r#"externalId eq "12345" and title eq "true""#);
    reads("externalId eq 007", r#"externalId eq "007""#);
    reads("active eq true", "active eq true");
    reads(
        "(groups.value eq USG_FTEMP and usertype eq LDAP)",
        r#"groups.value eq "USG_FTEMP" and userType eq "LDAP""#,
    );
    let strict = Language { unquoted: false, wildcards: false, aliases: false };
    let error = Filter::read("userName eq smith", &USER, strict).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidFilter);
    assert!(error.detail.contains("in double quotes"), "{error}");
    assert!(Filter::read("externalId eq 5", &USER, Language::PLAIN).is_err());
}

#[test]
fn a_star_stands_for_any_characters() {
    reads("username eq f* and externalid sw 1*", r#"userName sw "f" and externalId sw "1""#);
    reads(r#"userName eq "*""#, r#"userName co """#);
    reads(r#"userName eq "j*n* d*""#, r#"userName like "j*n* d*""#);
    reads(
        r#"emails[value co "a*b" and type eq "w*"]"#,
        r#"emails[value like "*a*b*" and type sw "w"]"#,
    );
    reads(r#"userName ne "a*""#, r#"userName ne "a*""#);
    let plain = Filter::parse(r#"userName eq "a*""#, &USER).unwrap();
    assert_eq!(plain.to_string(), r#"userName eq "a*""#);
    let pattern = Filter::read("userName eq a*b", &USER, ALL).unwrap();
    let text = Filter::parse(r#"userName eq "a*b""#, &USER).unwrap();
    assert_ne!(pattern.canonical(), text.canonical());
    let person = |name: &str| serde_json::json!({ "userName": name });
    assert!(pattern.matches(person("AxxB").as_object().unwrap()));
    assert!(!pattern.matches(person("ab c").as_object().unwrap()));
}

#[test]
fn roles_and_groups_go_by_short_names() {
    reads("role eq RL_AUDITV", r#"roles.value eq "RL_AUDITV""#);
    reads("ROLE pr", "roles pr");
    reads("groups eq \"UG_ROOT\"", r#"groups.value eq "UG_ROOT""#);
    let plain = Filter::parse("role pr", &USER).unwrap();
    assert!(plain.paths().all(|path| !path.known));
}

#[test]
fn a_name_with_its_value_is_one_attribute() {
    let (name, value) = (format!("{UA}:attributes.name"), format!("{UA}:attributes.value"));
    let pair = format!("{UA}:attributes[name eq \"FIRSTNAME\" and value eq \"John\"]");
    reads(&format!("{name} eq FIRSTNAME and {value} eq John"), &pair);
    reads(
        &format!("active eq true and ({name} eq FIRSTNAME and {value} eq John)"),
        &format!("active eq true and {pair}"),
    );
    reads(
        &format!("{value} sw 19* and {name} eq DOB and title pr"),
        &format!("{UA}:attributes[value sw \"19\" and name eq \"DOB\"] and title pr"),
    );
    reads(
        &format!("{name} eq DOB or {value} eq x"),
        &format!("{name} eq \"DOB\" or {value} eq \"x\""),
    );
    let plain = format!("{name} eq \"DOB\" and {value} eq \"x\"");
    assert_eq!(Filter::parse(&plain, &USER).unwrap().to_string(), plain);
}
