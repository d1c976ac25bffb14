//! Entries as directories send them, good and bad, and the people they become.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config::{AttributeOverride, Source as From};
use crate::scim::ResourceType;

const KEY: &str = "0F0E0D0C-0000-4000-8000-00000000000A";

fn mapping() -> Mapping {
    let from = |name: &str, kind: Option<&str>| AttributeOverride {
        attribute: Some(From::Attributes(vec![name.to_owned()])),
        authority: None,
        kind: kind.map(str::to_owned),
        several: false,
    };
    let code = |code: &str| format!("urn:hid:scim:api:idp:2.0:UserAttribute:{code}");
    let overrides = [
        (code("DOB"), from("dateOfBirth", Some("date"))),
        (code("VIP"), from("vip", Some("boolean"))),
        (code("NR"), from("uidNumber", Some("integer"))),
        ("locale".to_owned(), from("preferredLanguage;lang-de", None)),
        (
            "nickName".to_owned(),
            AttributeOverride {
                attribute: Some(From::Template("{givenName} ({sn})".into())),
                authority: None,
                kind: None,
                several: false,
            },
        ),
    ];
    Mapping::new("openldap", &overrides, &ResourceType::user(&[])).unwrap()
}

fn raw(attributes: &[(&str, &[&[u8]])]) -> RawEntry {
    let mut attributes: Vec<(String, Vec<Vec<u8>>)> = attributes
        .iter()
        .map(|(name, values)| {
            ((*name).to_owned(), values.iter().map(|value| value.to_vec()).collect())
        })
        .collect();
    attributes.push(("EntryUUID".into(), vec![KEY.into()]));
    RawEntry { dn: "uid=ella+cn=Hill\\2C Ella,dc=example,dc=org".into(), attributes }
}

fn shown(attributes: &[(&str, &[&[u8]])]) -> Value {
    Value::Object(read(&mapping(), &raw(attributes), Timestamp::UNIX_EPOCH).unwrap().attributes)
}

#[test]
fn an_entry_becomes_a_person() {
    let raw = raw(&[
        ("UID", &[b"hill", b"Ella"]),
        ("cn", &[b"Ella H.", b"Hill, Ella"]),
        ("sn", &["Hill".as_bytes()]),
        ("givenname", &[b"Ella"]),
        ("mail", &[b"ella@example.org", b"hill@example.org", b"ella@example.org"]),
        ("telephoneNumber", &[b"+47 1"]),
        ("mobile", &[b"+47 1", b"+47 2"]),
        ("l", &[b"Oslo", b"Bergen"]),
        ("postalAddress", &[b"1 Main St.$P\\24\\5C$Oslo"]),
        ("homePostalAddress", &[b"Home"]),
        ("labeledURI", &[b"https://example.org/~ella Her page"]),
        ("jpegPhoto", &[b"\xff\xd8"]),
        ("employeeNumber", &[b"7"]),
        ("ou", &[b"Sales"]),
        ("createTimestamp", &[b"20240229120000Z"]),
        ("modifyTimestamp", &[b"20240301010203.5+0100"]),
        ("dateOfBirth", &[b"19800229000000Z"]),
        ("vip", &[b"true"]),
        ("uidNumber", &[b"1001"]),
        ("preferredLanguage", &[b"en"]),
        ("preferredLanguage;x-a;LANG-DE", &[b"de"]),
    ]);
    let entry = read(&mapping(), &raw, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(&*entry.key.0, "0f0e0d0c-0000-4000-8000-00000000000a");
    assert_eq!(entry.created.unwrap().to_string(), "2024-02-29T12:00:00Z");
    assert_eq!(entry.last_modified.unwrap().to_string(), "2024-03-01T00:02:03.5Z");
    assert_eq!(
        Value::Object(entry.attributes),
        json!({
            "userName": "Ella", // of two, the one that the DN names
            "externalId": "Ella",
            "active": true,
            "name": {"formatted": "Hill, Ella", "familyName": "Hill", "givenName": "Ella"},
            "displayName": "Hill, Ella",
            "nickName": "Ella (Hill)",
            "locale": "de",
            "preferredLanguage": "en",
            "profileUrl": "https://example.org/~ella",
            "emails": [
                {"value": "ella@example.org", "type": "work", "primary": true},
                {"value": "hill@example.org", "type": "work"},
            ],
            "phoneNumbers": [
                {"value": "+47 1", "type": "work"},
                {"value": "+47 1", "type": "mobile"},
                {"value": "+47 2", "type": "mobile"},
            ],
            "addresses": [
                {"formatted": "1 Main St.\nP$\\\nOslo", "locality": "Oslo", "type": "work"},
                {"formatted": "Home", "type": "home"},
            ],
            "photos": [{"value": "data:image/jpeg;base64,/9g=", "type": "photo"}],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":
                {"employeeNumber": "7", "department": "Sales"},
            "urn:hid:scim:api:idp:2.0:UserAttribute": {"attributes": [
                {"name": "DOB", "type": "date", "readOnly": true, "value": "1980-02-29"},
                {"name": "VIP", "type": "boolean", "readOnly": true, "value": "true"},
                {"name": "NR", "type": "long", "readOnly": true, "value": "1001"},
            ]},
        })
    );
}

#[test]
fn what_cannot_be_shown_is_passed_over() {
    let person = shown(&[
        ("uid", &[b"", b"a\0b", b"\xff\xfe", b"good"]),
        ("displayName", &[b"\0"]),
        ("cn", &[b"Name"]),
        ("mail", &[b"", b"\xff"]),
        ("postalAddress", &[b"$ $"]),
        ("uidNumber", &[b"many"]),
        ("vip", &[b"perhaps"]),
        ("pwdAccountLockedTime", &[b"000001010000Z"]),
        ("unasked", &[b"x"]),
    ]);
    assert_eq!(
        person,
        json!({
            "userName": "good", "externalId": "good", "active": false,
            "name": {"formatted": "Name"}, "displayName": "Name",
        })
    );
}

#[test]
fn without_a_key_there_is_no_person() {
    let mut entry = raw(&[("uid", &[b"a"])]);
    entry.attributes.pop();
    assert!(read(&mapping(), &entry, Timestamp::UNIX_EPOCH).is_none());
    entry.attributes.push(("entryUUID".into(), vec![b"not one".to_vec()]));
    assert!(read(&mapping(), &entry, Timestamp::UNIX_EPOCH).is_none());
}

#[test]
fn times_are_read_in_every_form() {
    let at = |text: &str| generalized_time(text).map(|at| at.to_string());
    for (text, expected) in [
        ("20240229120000Z", "2024-02-29T12:00:00Z"),
        ("202402291200Z", "2024-02-29T12:00:00Z"),
        ("2024022912Z", "2024-02-29T12:00:00Z"),
        ("2024022912.5Z", "2024-02-29T12:30:00Z"),
        ("202402291200,25Z", "2024-02-29T12:00:15Z"),
        ("20240229120000.125Z", "2024-02-29T12:00:00.125Z"),
        ("20240229140000+0200", "2024-02-29T12:00:00Z"),
        ("20240229070000-05", "2024-02-29T12:00:00Z"),
        ("20161231235960Z", "2016-12-31T23:59:59Z"),
        ("00000101000000Z", "0000-01-01T00:00:00Z"),
    ] {
        assert_eq!(at(text).as_deref(), Some(expected), "{text}");
    }
    for text in [
        "",
        "Z",
        "20240230000000Z",
        "20240229120000",
        "20240229250000Z",
        "2024Z",
        "20240229120000.Z",
        "20240229120000+",
        "20240229120000+1",
        "2024022912000é",
    ] {
        assert_eq!(at(text), None, "{text}");
    }
    assert_eq!(date("19800229"), "1980-02-29");
    assert_eq!(date("1980-02-29"), "1980-02-29");
    assert_eq!(date("soon"), "soon");
}

proptest! {
    #[test]
    fn no_entry_makes_it_fail(
        values in proptest::collection::vec(
            ("[a-zA-Z;-]{0,12}|mail|cn;lang-en|modifyTimestamp|jpegPhoto",
             proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..12), 0..3)),
            0..8),
        dn in "\\PC{0,20}",
    ) {
        let mut entry = RawEntry { dn, attributes: values };
        prop_assert!(entry.attributes.iter().any(|(name, _)| name.eq_ignore_ascii_case("entryuuid"))
            || read(&mapping(), &entry, Timestamp::UNIX_EPOCH).is_none());
        entry.attributes.push(("entryUUID".into(), vec![KEY.into()]));
        prop_assert!(read(&mapping(), &entry, Timestamp::UNIX_EPOCH).is_some());
    }
}
