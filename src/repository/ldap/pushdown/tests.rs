//! Which LDAP filter each SCIM filter becomes, and what is told about it.

use jiff::Timestamp;

use super::*;
use crate::config::{AttributeOverride, Source as From};
use crate::scim::ResourceType;

/// As slapd 2.5 prints it, as far as it matters.
const SCHEMA: &[&str] = &[
    "( 2.5.4.0 NAME 'objectClass' EQUALITY objectIdentifierMatch )",
    "( 2.5.4.41 NAME 'name' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch )",
    "( 2.5.4.3 NAME ( 'cn' 'commonName' ) SUP name )",
    "( 2.5.4.4 NAME 'sn' SUP name )",
    "( 2.5.4.42 NAME 'givenName' SUP name )",
    "( 2.5.4.12 NAME 'title' SUP name )",
    "( 2.5.4.7 NAME 'l' SUP name )",
    "( 1.1 NAME 'uid' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch )",
    "( 1.2 NAME 'mail' EQUALITY caseIgnoreIA5Match SUBSTR caseIgnoreIA5SubstringsMatch )",
    "( 1.3 NAME 'displayName' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SINGLE-VALUE )",
    "( 1.4 NAME 'telephoneNumber' EQUALITY telephoneNumberMatch SUBSTR telephoneNumberSubstringsMatch )",
    "( 1.5 NAME 'mobile' EQUALITY telephoneNumberMatch SUBSTR telephoneNumberSubstringsMatch )",
    "( 1.6 NAME 'labeledURI' EQUALITY caseExactMatch )",
    "( 1.7 NAME 'pwdAccountLockedTime' EQUALITY generalizedTimeMatch ORDERING generalizedTimeOrderingMatch )",
    "( 1.8 NAME 'modifyTimestamp' EQUALITY generalizedTimeMatch ORDERING generalizedTimeOrderingMatch )",
    "( 1.9 NAME 'createTimestamp' EQUALITY generalizedTimeMatch )",
    "( 1.10 NAME 'entryUUID' EQUALITY UUIDMatch )",
    "( 1.11 NAME 'uidNumber' EQUALITY integerMatch ORDERING integerOrderingMatch )",
    "( 1.12 NAME 'vip' EQUALITY booleanMatch )",
    "( 1.13 NAME 'loginShell' EQUALITY caseExactIA5Match )",
    "( 1.14 NAME 'jpegPhoto' )",
];

fn mapping() -> Mapping {
    let from = |name: &str, kind: Option<&str>| AttributeOverride {
        attribute: Some(From::Attributes(vec![name.to_owned()])),
        authority: None,
        kind: kind.map(str::to_owned),
        several: false,
    };
    let overrides = [
        ("locale".to_owned(), from("loginShell", None)),
        ("timezone".to_owned(), from("nowhere", None)),
        ("urn:hid:scim:api:idp:2.0:UserAttribute:NR".to_owned(), from("uidNumber", None)),
        (
            "nickName".to_owned(),
            AttributeOverride {
                attribute: Some(From::Template("{givenName} {sn}".into())),
                authority: None,
                kind: None,
                several: false,
            },
        ),
    ];
    Mapping::new("openldap", &overrides, &ResourceType::user(&[])).unwrap()
}

fn pushed(text: &str, absence: bool) -> Pushed {
    let schema = DirectorySchema::read(SCHEMA.iter().copied()).unwrap();
    let mapping = mapping();
    let filter = Filter::parse(text, &ResourceType::user(&[])).unwrap();
    Pushdown {
        mapping: &mapping,
        schema: &schema,
        repository: "corp",
        absence,
        now: Timestamp::UNIX_EPOCH,
        rules: &[],
    }
    .push(&filter)
}

fn sent(text: &str) -> String {
    pushed(text, true).filter.to_string()
}

#[test]
fn comparisons_are_sent_as_strong_as_they_may_be() {
    for (filter, expected) in [
        ("userName eq \"ella\"", "(uid=ella)"),
        ("userName eq \"*)(uid=*\"", "(uid=\\2a\\29\\28uid=\\2a)"),
        ("userName eq \"\\\\2a\"", "(uid=\\5c2a)"),
        ("userName sw \"el\"", "(uid=el*)"),
        ("userName co \"l\"", "(uid=*l*)"),
        ("userName ew \"la\"", "(uid=*la)"),
        ("userName sw \"\"", "(uid=*)"),
        ("userName eq \"\"", "(|)"),
        ("userName ne \"ella\"", "(&)"),
        ("userName gt \"ella\"", "(uid=*)"),
        ("userName pr", "(uid=*)"),
        ("name.familyName eq \"Björk\"", "(sn=Björk)"),
        ("name.familyName eq \"Straße\"", "(sn=Stra*e)"),
        ("name.familyName sw \"Straße\"", "(sn=Stra*e*)"),
        ("name.familyName eq \"ß\"", "(sn=*)"),
        ("name.familyName eq \"a  b\"", "(sn=a*b)"),
        ("name.familyName ew \" b \"", "(sn=*b*)"),
        ("displayName eq \"Ella\"", "(|(displayName=Ella)(cn=Ella))"),
        ("nickName eq \"Ella Hill\"", "(&(givenName=*)(sn=*))"),
        ("emails.value eq \"Ella@Example.org\"", "(mail=Ella@Example.org)"),
        ("emails co \"@example\"", "(mail=*@example*)"),
        ("emails.value eq \"jö@x\"", "(mail=j*@x)"),
        ("emails.type eq \"WORK\"", "(mail=*)"),
        ("emails.type eq \"home\"", "(|)"),
        ("emails.primary eq true", "(mail=*)"),
        ("emails.primary eq false", "(|)"),
        ("emails[type eq \"work\" and value sw \"x\"]", "(mail=x*)"),
        ("emails[type eq \"home\" and value sw \"x\"]", "(|)"),
        ("emails[not (value sw \"x\")]", "(mail=*)"),
        ("phoneNumbers.value eq \"+47 22-33\"", "(|(telephoneNumber=+472233)(mobile=+472233))"),
        ("phoneNumbers[type eq \"mobile\" and value sw \"+47\"]", "(mobile=+47*)"),
        ("phoneNumbers.value co \"Ext\"", "(|(telephoneNumber=*)(mobile=*))"),
        ("addresses.locality eq \"Oslo\"", "(l=Oslo)"),
        ("profileUrl eq \"https://x\"", "(labeledURI=*)"),
        ("locale eq \"AB-1\"", "(loginShell=*)"),
        ("locale eq \"12-1\"", "(loginShell=12-1)"),
        ("timezone eq \"x\"", "(|)"),
        ("costCenter eq \"x\"", "(|)"),
        ("shoeSize eq \"x\"", "(|)"),
        ("shoeSize ne \"x\"", "(&)"),
        ("title eq null", "(&)"),
        ("photos pr", "(jpegPhoto=*)"),
        ("meta.lastModified ge \"2024-02-29T12:00:00Z\"", "(modifyTimestamp>=20240229120000Z)"),
        (
            "meta.lastModified gt \"2024-02-29T13:00:00.5+01:00\"",
            "(modifyTimestamp>=20240229120000Z)",
        ),
        ("meta.lastModified lt \"2024-02-29T12:00:00.5Z\"", "(modifyTimestamp<=20240229120001Z)"),
        ("meta.lastModified eq \"2024-02-29T12:00:00Z\"", "(modifyTimestamp=20240229120000Z)"),
        ("meta.created ge \"2024-02-29T12:00:00Z\"", "(createTimestamp=*)"),
        (
            "id eq \"corp.0f0e0d0c-0000-4000-8000-00000000000a\"",
            "(entryUUID=0f0e0d0c-0000-4000-8000-00000000000a)",
        ),
        ("id eq \"corp.0F0E0D0C-0000-4000-8000-00000000000A\"", "(|)"),
        ("id eq \"other.0f0e0d0c-0000-4000-8000-00000000000a\"", "(|)"),
        ("id eq \"corp.*\"", "(|)"),
        ("id sw \"corp.\"", "(&)"),
        ("active eq true", "(!(pwdAccountLockedTime=*))"),
        ("active ne false", "(!(pwdAccountLockedTime=*))"),
        ("active eq false", "(pwdAccountLockedTime=*)"),
        ("active pr", "(&)"),
        ("urn:hid:scim:api:idp:2.0:UserAttribute:attributes.name eq \"nr\"", "(uidNumber=*)"),
        ("urn:hid:scim:api:idp:2.0:UserAttribute:attributes.value eq \"7\"", "(uidNumber=*)"),
        ("urn:hid:scim:api:idp:2.0:UserAttribute:attributes.name eq \"DOB\"", "(|)"),
    ] {
        assert_eq!(sent(filter), expected, "{filter}");
    }
}

#[test]
fn logic_keeps_what_can_be_sent() {
    for (filter, expected) in [
        ("userName eq \"a\" and title eq \"b\"", "(&(uid=a)(title=b))"),
        ("userName eq \"a\" and title ne \"b\"", "(uid=a)"),
        ("userName eq \"a\" or title ne \"b\"", "(&)"),
        ("userName eq \"a\" or shoeSize eq \"b\"", "(uid=a)"),
        ("userName eq \"a\" and shoeSize eq \"b\"", "(|)"),
        ("not (userName eq \"a\")", "(&)"),
        ("not (not (userName eq \"a\"))", "(uid=a)"),
        ("not (userName ne \"a\")", "(uid=a)"),
        ("not (userName ne \"a\" or title pr)", "(uid=a)"),
        ("not (active eq true)", "(pwdAccountLockedTime=*)"),
        ("not (active eq false)", "(!(pwdAccountLockedTime=*))"),
        ("title eq \"x\" and not (userName co \"y\")", "(title=x)"),
        ("not (emails.value eq \"jö@x\")", "(&)"),
        ("not (shoeSize eq \"x\")", "(&)"),
        ("not (emails[type eq \"home\"])", "(&)"),
    ] {
        assert_eq!(sent(filter), expected, "{filter}");
    }
}

#[test]
fn what_is_said_of_everybody_excludes_nobody() {
    for filter in [
        "meta.resourceType eq \"User\"",
        "meta.version pr",
        "not (meta.version ne \"x\")",
        "meta.location co \"corp\"",
        "not (meta.location sw \"x\")",
        "urn:scimbridge:schemas:2.0:Source:dn co \"people\"",
        "urn:scimbridge:schemas:2.0:Source:state eq \"cached\"",
        "not (urn:scimbridge:schemas:2.0:Source:conflict pr)",
        "userType eq \"LDAP\"",
    ] {
        let pushed = pushed(filter, true);
        assert_eq!(pushed.filter.to_string(), "(&)", "{filter}");
        assert!(!pushed.exact && !pushed.narrowed, "{filter}");
    }
    assert_eq!(sent("userName eq \"a\" and meta.version eq \"x\""), "(uid=a)");
}

#[test]
fn people_about_whom_nothing_is_said_are_active() {
    let schema = DirectorySchema::read(SCHEMA.iter().copied()).unwrap();
    let sent = |mapping: &Mapping, text: &str| {
        let filter = Filter::parse(text, &ResourceType::user(&[])).unwrap();
        let pushdown = Pushdown {
            mapping,
            schema: &schema,
            repository: "corp",
            absence: true,
            now: Timestamp::UNIX_EPOCH,
            rules: &[],
        };
        pushdown.push(&filter).filter.to_string()
    };
    let text = "filter = \"(cn=*)\"\nkey = \"entryUUID\"\n[attributes]\nuserName = \"uid\"\n";
    let unmapped = Mapping::parse(text, &[], &ResourceType::user(&[])).unwrap();
    let boolean = format!("{text}active = \"vip\"");
    let boolean = Mapping::parse(&boolean, &[], &ResourceType::user(&[])).unwrap();
    for filter in ["active eq true", "active pr", "active ne false", "not (active eq null)"] {
        assert_eq!(sent(&unmapped, filter), "(&)", "{filter}");
        assert_eq!(sent(&boolean, filter), "(&)", "{filter}");
    }
    assert_eq!(sent(&unmapped, "active eq false"), "(|)");
    assert_eq!(sent(&boolean, "active eq false"), "(vip=FALSE)");
}

#[test]
fn exact_and_scan_are_told() {
    for (filter, exact, scan) in [
        ("userName eq \"a\"", false, false),
        ("active eq true", true, false),
        ("active eq false and shoeSize pr", true, false),
        ("id eq \"corp.0f0e0d0c-0000-4000-8000-00000000000a\"", true, false),
        ("phoneNumbers pr", true, false),
        ("title pr", false, false),
        ("emails.type eq \"work\"", false, false),
        ("emails[type eq \"work\"]", false, false),
        ("emails[value gt \"a\"]", false, true),
        ("emails[type eq \"work\" and value eq \"a\"]", false, false),
        ("userName gt \"a\"", false, true),
        ("userName ne \"a\"", false, true),
        ("userName eq \"a\" and title gt \"a\"", false, false),
        ("userName eq \"a\" or title gt \"a\"", false, true),
        ("not (shoeSize pr)", true, true),
    ] {
        let pushed = pushed(filter, true);
        assert_eq!((pushed.exact, !pushed.narrowed), (exact, scan), "{filter}");
    }
}

#[test]
fn absence_is_asked_for_only_where_it_can_be() {
    let pushed = |text| pushed(text, false).filter.to_string();
    assert_eq!(pushed("active eq true"), "(&)");
    assert_eq!(pushed("active eq false"), "(pwdAccountLockedTime=*)");
    assert_eq!(pushed("not (active eq false)"), "(&)");
}

#[test]
fn without_the_schema_little_is_assumed() {
    let schema = DirectorySchema::standard();
    let mapping = mapping();
    let sent = |text: &str| {
        let filter = Filter::parse(text, &ResourceType::user(&[])).unwrap();
        let pushdown = Pushdown {
            mapping: &mapping,
            schema: &schema,
            repository: "corp",
            absence: false,
            now: Timestamp::UNIX_EPOCH,
            rules: &[],
        };
        pushdown.push(&filter).filter.to_string()
    };
    assert_eq!(sent("userName eq \"a\""), "(uid=a)");
    assert_eq!(sent("addresses.locality eq \"Oslo\""), "(l=*)");
    assert_eq!(sent("timezone eq \"x\""), "(nowhere=*)");
    assert_eq!(sent("active eq true"), "(&)");
}

#[test]
fn numbers_are_rounded_to_the_safe_side() {
    let schema = DirectorySchema::read(SCHEMA.iter().copied()).unwrap();
    let mapping = mapping();
    let pushdown = Pushdown {
        mapping: &mapping,
        schema: &schema,
        repository: "corp",
        absence: false,
        now: Timestamp::UNIX_EPOCH,
        rules: &[],
    };
    let name = mapping.names.iter().position(|name| name.text == "uidNumber").unwrap();
    let sent = |operator, number| pushdown.integer(name, operator, number).filter.to_string();
    assert_eq!(sent(Operator::Eq, 7.0), "(uidNumber=7)");
    assert_eq!(sent(Operator::Eq, -0.0), "(uidNumber=0)");
    assert_eq!(sent(Operator::Eq, 7.5), "(|)");
    assert_eq!(sent(Operator::Ge, 7.5), "(uidNumber>=8)");
    assert_eq!(sent(Operator::Gt, 7.0), "(uidNumber>=8)");
    assert_eq!(sent(Operator::Le, -7.5), "(uidNumber<=-8)");
    assert_eq!(sent(Operator::Lt, 7.0), "(uidNumber<=6)");
    assert_eq!(sent(Operator::Eq, 1e16), "(uidNumber=*)");
}
