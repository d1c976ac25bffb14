//! The filter language by example: what is read, what is refused, who is selected.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;
use crate::scim::error::ErrorKind;
use crate::scim::resource::Attributes;
use crate::scim::schema::{Attribute, Schema};

pub(super) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Users with a further schema, so that numbers can be filtered too.
pub(super) static USER: LazyLock<ResourceType> = LazyLock::new(|| {
    let attribute = |name: &str, kind: &str| -> Attribute {
        serde_json::from_value(json!({ "name": name, "type": kind })).unwrap()
    };
    ResourceType::user(&[Schema {
        id: "urn:example:Badge".into(),
        name: "Badge".into(),
        description: String::new(),
        attributes: vec![attribute("number", "integer"), attribute("weight", "decimal")],
    }])
});

#[track_caller]
pub(super) fn parse(text: &str) -> Filter {
    Filter::parse(text, &USER).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What `text` is printed as.
#[track_caller]
fn prints(text: &str, expected: &str) {
    let filter = parse(text);
    assert_eq!(filter.to_string(), expected);
    assert_eq!(parse(expected), filter, "what is printed reads back");
}

#[track_caller]
fn refused(text: &str, at: usize, part: &str) {
    let error = Filter::parse(text, &USER).expect_err(text);
    assert_eq!(error.kind, ErrorKind::InvalidFilter);
    assert!(error.detail.starts_with(&format!("filter, character {at}: ")), "{error}");
    assert!(error.detail.contains(part), "{error}");
}

#[test]
fn precedence_and_grouping() {
    prints("title pr or userName pr and active pr", "title pr or userName pr and active pr");
    let Filter::Or(parts) = parse("title pr or userName pr and active pr") else { panic!() };
    assert!(matches!(&parts[1], Filter::And(inner) if inner.len() == 2));
    prints("(title pr or id pr) and active pr", "(title pr or id pr) and active pr");
    prints("((title pr))", "title pr");
    prints("title pr and (id pr and (active pr))", "title pr and id pr and active pr");
    assert!(matches!(parse("title pr or (id pr or active pr)"), Filter::Or(p) if p.len() == 3));
    prints("not(title pr)", "not (title pr)");
    prints("NOT (title pr) AND id pr", "not (title pr) and id pr");
    prints("not (not (title pr or id pr))", "not (not (title pr or id pr))");
}

#[test]
fn names_operators_and_urns_in_any_case() {
    prints(r#"USERNAME Eq "bjensen""#, r#"userName eq "bjensen""#);
    prints(
        r#"urn:ietf:params:scim:schemas:core:2.0:user:NAME.familyname SW "J""#,
        r#"name.familyName sw "J""#,
    );
    prints(
        &format!("{}:Department eq \"x\"", ENTERPRISE.to_lowercase()),
        &format!("{ENTERPRISE}:department eq \"x\""),
    );
    prints(&ENTERPRISE.to_uppercase().replace("USER", "User pr"), &format!("{ENTERPRISE} pr"));
    prints(
        "userrepositoryid eq \"corp\"",
        "urn:scimbridge:schemas:2.0:Source:userRepositoryId eq \"corp\"",
    );
    prints("\t title\n pr ", "title pr");
}

#[test]
fn a_complex_attribute_means_its_value() {
    prints(r#"emails co "example.com""#, r#"emails.value co "example.com""#);
    prints(
        &format!("{ENTERPRISE}:manager eq \"7\""),
        &format!("{ENTERPRISE}:manager.value eq \"7\""),
    );
    prints("emails pr", "emails pr");
    prints("emails eq null", "emails eq null");
    refused(r#"name eq "x""#, 1, "such as `name.formatted`");
    refused(r#"addresses co "x""#, 1, "complex");
    refused(&format!("{ENTERPRISE} eq \"x\""), 1, "complex");
}

#[test]
fn value_paths() {
    prints(
        r#"emails[type eq "work" and value co "@example.com"]"#,
        r#"emails[type eq "work" and value co "@example.com"]"#,
    );
    let filter = parse(r#"Emails[Type eq "work"]"#);
    let Filter::Element { path, filter } = &filter else { panic!() };
    assert_eq!(path.text, "emails");
    assert!(matches!(&**filter, Filter::Compare { path, .. } if path.text == "emails.type"));
    prints(
        r#"emails[type eq "work"].value eq "x" and title pr"#,
        r#"emails[type eq "work" and value eq "x"] and title pr"#,
    );
    prints(
        r#"emails[type eq "work" or primary eq true].value pr"#,
        r#"emails[(type eq "work" or primary eq true) and value pr]"#,
    );
    prints("emails[not (type pr)]", "emails[not (type pr)]");
    prints(
        "urn:hid:scim:api:idp:2.0:UserAttribute:attributes[name eq DOB and value sw 19x]",
        "urn:hid:scim:api:idp:2.0:UserAttribute:attributes[name eq \"DOB\" and value sw \"19x\"]",
    );
    prints("shoes[size eq 5 and color eq \"red\"]", "shoes[size eq 5 and color eq \"red\"]");
    refused("userName[value pr]", 1, "no sub-attributes");
    refused("emails.value[type pr]", 1, "no sub-attributes");
    refused("emails[type[x pr]]", 12, "expected an operator");
    refused("emails[emails.type pr]", 8, "by its own name");
    refused("emails[type pr", 15, "found the end, expected `and`, `or` or `]`");
    refused("emails[type pr)", 15, "found `)`");
    refused("emails[]", 8, "found `]`, expected an attribute");
}

#[test]
fn values_of_every_type() {
    prints("active eq True", "active eq true");
    prints(r#"active ne "False""#, "active ne false");
    prints("externalId eq jyoung", r#"externalId eq "jyoung""#);
    prints("(externalId eq jyoung@x.com)", r#"externalId eq "jyoung@x.com""#);
    prints("title eq NULL", r#"title eq "NULL""#);
    prints("title ne null", "title ne null");
    prints("urn:example:badge:number ge 1e2", "urn:example:Badge:number ge 100");
    prints("urn:example:badge:weight eq -0.50", "urn:example:Badge:weight eq -0.5");
    prints("urn:example:badge:weight lt \"7\"", "urn:example:Badge:weight lt 7");
    prints(
        r#"meta.lastModified gt "2011-05-13T06:42:34.1234567+0200""#,
        r#"meta.lastModified gt "2011-05-13T04:42:34.1234567Z""#,
    );
    prints("meta.created le 2011-05-13T04:42:34Z", r#"meta.created le "2011-05-13T04:42:34Z""#);
    prints(r#"profileUrl sw "https://""#, r#"profileUrl sw "https://""#);
    prints(r#"x509Certificates.value eq "AA==""#, r#"x509Certificates.value eq "AA==""#);
    prints("shoe gt 5", "shoe gt 5");
    prints("shoe eq true", "shoe eq true");
}

#[test]
fn strings_and_their_escapes() {
    let written = |text: &str| match parse(&format!("title eq \"{text}\"")) {
        Filter::Compare { value: Literal::String(text), .. } => text.written,
        other => panic!("{other}"),
    };
    assert_eq!(written(r#"\"\\\/\b\f\n\r\t\u0041"#), "\"\\/\u{8}\u{c}\n\r\tA");
    assert_eq!(written(r"\ud83d\uDE00é😀"), "😀é😀");
    assert_eq!(written("*)(uid=*\t%_ and 1=1"), "*)(uid=*\t%_ and 1=1");
    prints(r#"title eq "a\"b\\c\u0007\t""#, r#"title eq "a\"b\\c\u0007\t""#);
    refused(r#"title eq "\u0000""#, 11, "U+0000");
    refused("title eq \"\0\"", 11, "U+0000");
    refused(r#"title eq "\ud800""#, 11, "surrogate");
    refused(r#"title eq "\ud800\u0041""#, 11, "surrogate");
    refused(r#"title eq "\udc00""#, 11, "surrogate");
    refused(r#"title eq "DOM\admin""#, 14, "unknown escape");
    refused(r#"title eq "DOM\user""#, 14, "four hexadecimal digits");
    refused(r#"title eq "a\"#, 12, "middle of a string");
    refused(r#"title eq "a"#, 10, "no closing quote");
    refused("title eq 'a'", 10, "double quotes");
}

#[test]
fn errors_name_the_character_and_what_was_expected() {
    refused("", 1, "found the end, expected an attribute");
    refused("userName", 9, "found the end, expected an operator");
    refused("userName is \"x\"", 10, "found `is`, expected an operator (eq, ne");
    refused("userName = \"x\"", 10, "found `=`");
    refused("userName=\"x\"", 1, "`=` cannot stand");
    refused("userName eq", 12, "found the end, expected a value");
    refused("userName eq )", 13, "found `)`, expected a value");
    refused("userName eq and", 13, "found `and`, expected a value");
    refused("title pr active pr", 10, "found `active`, expected `and`, `or` or the end");
    refused("(title pr", 10, "found the end, expected `and`, `or` or `)`");
    refused("title pr)", 9, "found `)`");
    refused("title pr and", 13, "found the end, expected an attribute");
    refused("not title pr", 5, "expected `(` after `not`");
    refused("\"title\" pr", 1, "found the string \"title\"");
    refused("9x pr", 1, "begins with a letter");
    refused("title eq \"éé\" x", 15, "found `x`");
    refused("title eq \"x\"\"y\"", 13, "found the string");
}

#[test]
fn comparisons_that_cannot_be() {
    refused("active gt true", 8, "`gt` cannot apply to `active`, which is a boolean");
    refused("x509Certificates.value ge \"a\"", 24, "binary");
    refused("x509Certificates co \"a\"", 18, "binary");
    refused("active co \"t\"", 8, "boolean");
    refused("meta.created sw \"2011\"", 14, "dateTime");
    refused("urn:example:badge:number ew \"1\"", 26, "integer");
    refused("meta.created gt \"yesterday\"", 17, "expected a dateTime");
    refused(
        "userName eq 5",
        13,
        "found the number 5, expected a string to compare with `userName`",
    );
    refused("userName eq true", 13, "found the boolean true");
    refused("active eq \"maybe\"", 11, "expected a boolean");
    refused("active eq 1", 11, "found the number 1");
    refused("urn:example:badge:number eq \"x\"", 29, "expected an integer");
    refused("userName gt null", 10, "null");
    refused("password eq \"x\"", 1, "never shown");
    refused("title pr and password sw \"x\"", 14, "never shown");
}

#[test]
fn bounds() {
    let nested = |depth: usize| format!("{}title pr{}", "(".repeat(depth), ")".repeat(depth));
    parse(&nested(32));
    refused(&nested(33), 33, "deeper than 32");
    refused(&"not(".repeat(2000), 132, "deeper than 32");
    refused(&"(".repeat(8000), 33, "deeper than 32");
    let many = |parts: usize| vec!["a pr"; parts].join(" or ");
    parse(&many(511));
    refused(&many(512), 4089, "more than 512 parts");
    let long = format!("title eq \"{}\"", "x".repeat(8192));
    let error = Filter::parse(&long, &USER).unwrap_err();
    assert!(error.detail.contains("8203 bytes long; 8192 are allowed"), "{error}");
}

#[test]
fn canonical_text_is_one_for_one_meaning() {
    let same = |a: &str, b: &str| assert_eq!(parse(a).canonical(), parse(b).canonical());
    same("USERNAME EQ \"Bob\"", "userName eq \"bOB\"");
    same("shoeSize Pr", "SHOESIZE pr");
    same("shoes[Color pr]", "Shoes[color pr]");
    same("name.familyName eq \"e\u{301}\"", "name.familyName eq \"É\"");
    same("urn:example:badge:weight eq 0", "urn:example:badge:weight eq -0");
    let differ = |a: &str, b: &str| assert_ne!(parse(a).canonical(), parse(b).canonical());
    differ("externalId eq \"Bob\"", "externalId eq \"bob\"");
    differ("shoe eq 5", "shoe eq \"5\"");
    differ("title eq \"a  b\"", "title eq \"a b\"");
    differ("title eq null", "title eq \"null\"");
}

fn person() -> Attributes {
    let person = json!({
        "id": "Ab-1",
        "userName": "BJensen",
        "externalId": "BJ",
        "name": { "familyName": "Straße", "givenName": "Jose\u{301}" },
        "title": "Senior  Engineer ",
        "nickName": "",
        "displayName": "σίσυφος",
        "locale": null,
        "active": true,
        "roles": [],
        "timezone": 5,
        "emails": [
            { "type": "work", "value": "bj@example.com", "primary": true },
            { "type": "home", "value": "barbara@home.example" },
        ],
        "ims": [{}],
        "meta": { "created": "2011-05-13T04:42:34.5+02:00", "lastModified": "garbage" },
        ENTERPRISE: { "department": "Tours", "manager": { "value": "26" } },
        "urn:example:Badge": { "number": 10, "weight": 0.5 },
        "shoeSize": "44",
    });
    match person {
        Value::Object(attributes) => attributes,
        _ => unreachable!(),
    }
}

#[track_caller]
fn all_match(filters: &[&str]) {
    for filter in filters {
        assert!(parse(filter).matches(&person()), "{filter} should match");
    }
}

#[track_caller]
fn none_match(filters: &[&str]) {
    for filter in filters {
        assert!(!parse(filter).matches(&person()), "{filter} should not match");
    }
}

#[test]
fn strings_compare_by_the_fold_of_their_composed_form() {
    all_match(&[
        r#"userName eq "bjENSEN""#,
        r#"userName ne "bob""#,
        r#"externalId eq "BJ""#,
        r#"id eq "Ab-1""#,
        r#"name.familyName eq "STRAẞE""#,
        r#"name.familyName co "aß""#,
        r#"name.givenName eq "JOSÉ""#,
        r#"name.givenName ew "É""#,
        r#"displayName eq "ΣΊΣΥΦΟΣ""#,
        r#"displayName sw "Σί""#,
        r#"title eq "senior  engineer ""#,
        r#"userName gt "b""#,
        r#"userName ge "BJENSEN""#,
        r#"userName le "bjensen""#,
        r#"userName lt "C""#,
        &format!("{ENTERPRISE}:department sw \"to\""),
        &format!("{ENTERPRISE}:manager eq \"26\""),
    ]);
    none_match(&[
        r#"userName ne "bjensen""#,
        r#"externalId eq "bj""#,
        r#"id eq "ab-1""#,
        r#"name.familyName eq "strasse""#,
        r#"name.givenName eq "jose""#,
        r#"title eq "senior engineer""#,
        r#"title ew "engineer""#,
        r#"userName gt "bjensen""#,
        r#"userName lt "BJensen""#,
        r#"userName eq "*""#,
        r#"userName co "%""#,
        r#"externalId gt "a""#,
    ]);
}

#[test]
fn the_turkic_dotted_capital_i_equals_only_itself() {
    let named = |name: &str| json!({ "userName": name }).as_object().unwrap().clone();
    assert!(parse(r#"userName eq "İ""#).matches(&named("I\u{307}")));
    assert!(!parse(r#"userName eq "i""#).matches(&named("İ")));
    assert!(!parse(r#"userName eq "ı""#).matches(&named("I")));
    assert!(parse(r#"userName eq "i""#).matches(&named("I")));
}

#[test]
fn absent_values_satisfy_only_ne_and_not() {
    all_match(&[
        r#"nickName eq """#,
        r#"locale ne "de""#,
        r#"profileUrl ne "x""#,
        r#"shoeSize ne "44""#,
        r#"not (profileUrl eq "x")"#,
        "not (profileUrl pr)",
        "locale eq null",
        "nickName eq null",
        "roles eq null",
        "title ne null",
        r#"roles ne "x""#,
        r#"title co """#,
        r#"title sw """#,
        r#"title ew """#,
        "active ne false",
        "meta pr",
        "emails pr",
        "timezone pr",
        &format!("{ENTERPRISE} pr"),
    ]);
    none_match(&[
        r#"locale eq "de""#,
        r#"locale co """#,
        r#"profileUrl gt """#,
        "profileUrl pr",
        "locale pr",
        "nickName pr",
        "roles pr",
        "ims pr",
        "shoeSize pr",
        r#"shoeSize eq "44""#,
        "shoeSize gt 1",
        "title eq null",
        "locale ne null",
        "active eq false",
        "urn:example:Nothing:here pr",
        "urn:scimbridge:schemas:2.0:Source pr",
    ]);
}

#[test]
fn schemas_are_those_of_the_attributes_that_are_there() {
    let user = "urn:ietf:params:scim:schemas:core:2.0:User";
    all_match(&[
        "schemas pr",
        "schemas ne null",
        &format!("schemas eq \"{user}\""),
        &format!("SCHEMAS eq \"{}\"", user.to_uppercase()),
        &format!("schemas eq \"{ENTERPRISE}\" and userName eq \"bjensen\""),
        "schemas eq \"urn:example:Badge\"",
        "schemas sw \"urn:example\"",
        &format!("schemas ne \"{user}\""),
        "schemas ne \"urn:nobody\"",
        "not (schemas eq \"urn:scimbridge:schemas:2.0:Source\")",
    ]);
    none_match(&[
        "schemas eq null",
        "not (schemas pr)",
        "schemas eq \"urn:nobody\"",
        "schemas eq \"urn:scimbridge:schemas:2.0:Source\"",
        "schemas co \"hid\"",
        &format!("not (schemas eq \"{user}\")"),
    ]);
    let only_core = json!({ "userName": "a" }).as_object().unwrap().clone();
    assert!(parse("schemas pr").matches(&only_core));
    assert!(!parse(&format!("schemas ne \"{user}\"")).matches(&only_core));
    // A source that keeps no schemas is asked for the extension's attributes.
    prints(&format!("schemas eq \"{ENTERPRISE}\""), &format!("{ENTERPRISE} pr"));
    refused("schemas eq 5", 12, "number");
}

#[test]
fn one_of_several_values_is_enough_and_brackets_mean_one_element() {
    all_match(&[
        r#"emails eq "BJ@example.com""#,
        r#"emails.value ne "bj@example.com""#,
        r#"emails.type eq "work" and emails.value sw "barbara""#,
        r#"emails[type eq "work" and value sw "bj"]"#,
        r#"emails[type eq "home"].value ew "home.example""#,
        "emails[primary ne true]",
        "emails[not (primary pr)]",
        r#"not (emails[type eq "other"])"#,
        "emails.primary eq \"True\"",
    ]);
    none_match(&[
        r#"emails[type eq "work" and value sw "barbara"]"#,
        r#"emails[type eq "work"].value eq "barbara@home.example""#,
        r#"emails[shoe eq "1"]"#,
        r#"phoneNumbers[type ne "work"]"#,
        r#"userName eq "bjensen" and emails eq "x""#,
    ]);
}

#[test]
fn dates_by_instant_numbers_by_value() {
    all_match(&[
        r#"meta.created eq "2011-05-13T02:42:34.500Z""#,
        r#"meta.created gt "2011-05-13T02:42:34Z""#,
        r#"meta.created le "2011-05-13T04:42:34.5000000+0200""#,
        r#"meta.lastModified ne "2011-05-13T02:42:34Z""#,
        "urn:example:badge:number eq 1e1",
        "urn:example:badge:number gt 9",
        "urn:example:badge:weight le 0.5",
        r#"timezone ne "5""#,
    ]);
    none_match(&[
        r#"meta.lastModified gt "1970-01-01T00:00:00Z""#,
        "urn:example:badge:number lt 9",
        r#"timezone eq "5""#,
        r#"timezone co """#,
    ]);
}

#[test]
fn simplify_folds_constants() {
    let simple = |filter: Filter| filter.simplify().to_string();
    let (yes, no) = (Filter::Constant(true), Filter::Constant(false));
    let leaf = parse("title pr");
    assert_eq!(simple(Filter::And(vec![leaf.clone(), yes.clone()])), "title pr");
    assert_eq!(simple(Filter::And(vec![leaf.clone(), no.clone()])), "false");
    assert_eq!(simple(Filter::And(vec![yes.clone(), yes.clone()])), "true");
    assert_eq!(simple(Filter::Or(vec![leaf.clone(), no.clone()])), "title pr");
    assert_eq!(simple(Filter::Or(vec![leaf.clone(), yes.clone()])), "true");
    assert_eq!(simple(Filter::Or(vec![])), "false");
    assert_eq!(simple(Filter::Not(Box::new(no.clone()))), "true");
    assert_eq!(simple(Filter::Not(Box::new(Filter::Not(Box::new(leaf.clone()))))), "title pr");
    let element = |inner| Filter::Element { path: USER.resolve("emails"), filter: Box::new(inner) };
    assert_eq!(simple(element(yes)), "emails pr");
    assert_eq!(simple(element(no.clone())), "false");
    let nested = Filter::And(vec![Filter::Or(vec![no, parse("id pr and title pr")]), leaf]);
    assert_eq!(simple(nested), "id pr and title pr and title pr");
}

#[test]
fn rewrite_reaches_every_leaf() {
    let filter =
        parse(r#"userType eq "LDAP" and (title pr or not (emails[type eq "work" and value pr]))"#);
    let rewritten = filter.rewrite(&mut |leaf| match leaf {
        Filter::Compare { path, .. } if path.text == "userType" => Some(Filter::Constant(true)),
        Filter::Compare { path, .. } if path.text == "emails.type" => Some(Filter::Constant(true)),
        _ => None,
    });
    assert_eq!(rewritten.simplify().to_string(), "title pr or not (emails[value pr])");
    let whole = filter.rewrite(&mut |leaf| {
        matches!(leaf, Filter::Element { .. }).then_some(Filter::Constant(true))
    });
    assert_eq!(whole.simplify().to_string(), "userType eq \"LDAP\" and title pr");
    let paths: Vec<_> = filter.paths().map(|path| path.text.as_str()).collect();
    assert_eq!(paths, ["userType", "title", "emails.type", "emails.value"]);
}

#[test]
fn equality_finds_what_everybody_who_matches_shares() {
    let found = |text: &str| parse(text).equality("userName").map(|text| text.key().to_owned());
    assert_eq!(found(r#"username eq "Bob""#).as_deref(), Some("bob"));
    assert_eq!(found(r#"title pr and userName eq "Bob""#).as_deref(), Some("bob"));
    assert_eq!(found(r#"title pr or userName eq "Bob""#), None);
    assert_eq!(found(r#"not (userName eq "Bob")"#), None);
    assert_eq!(found(r#"userName ne "Bob""#), None);
    assert_eq!(found("userName eq null"), None);
}

#[test]
fn what_is_read_at_a_glance_is_read_as_anything_else() {
    let user = ResourceType::user(&[]);
    let glance = |text: &str| super::parser::look_up(text, &user, Language::PLAIN);
    for text in [
        "userName eq \"anna@example.com\"",
        "USERNAME eq \"Straße \"",
        "externalId eq \"f81d4fae\"",
        "emails.value eq \"\"",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq \"(a and b)\"",
        "meta.resourceType eq \"User\"",
    ] {
        assert_eq!(
            glance(text),
            Some(super::parser::whole(text, &user, Language::PLAIN).unwrap()),
            "{text}"
        );
    }
    for text in [
        "active eq \"true\"",
        "schemas eq \"urn:x\"",
        "password eq \"x\"",
        "emails eq \"x\"",
        "shoe eq \"x\"",
        "userName eq \"x\" or userName eq \"y\"",
        "userName eq \"x\\\"",
        "userName eq \"a\0\"",
        "userName ne \"x\"",
        "userName eq x",
        "userName  eq \"x\"",
        "userName eq \"",
        "",
    ] {
        assert_eq!(glance(text), None, "{text}");
    }
}
