//! What is sent of a modification, and what the answers mean.

use serde_json::{Value, json};

use super::*;
use crate::config::AttributeOverride;
use crate::repository::Authority;
use crate::repository::ldap::Mapping;
use crate::scim::ResourceType;

fn mapping() -> Mapping {
    let written = |key: &str| {
        let authority = Some(Authority::WriteBack);
        (
            key.to_owned(),
            AttributeOverride { attribute: None, authority, kind: None, several: false },
        )
    };
    let keys = ["title", "emails[type eq \"work\"].value"].map(written);
    Mapping::new("openldap", &keys, &ResourceType::user(&[])).unwrap()
}

fn asked(key: &str, held: &[&str], expected: &Value, wanted: &Value) -> Result<String, WriteError> {
    let mapping = mapping();
    let target = mapping.target(key).unwrap();
    let values = held.iter().map(|one| one.as_bytes().to_vec()).collect();
    let other = (format!("{};lang-de", target.name.text), vec![b"other".to_vec()]);
    let own = (target.name.text.to_uppercase(), values);
    let entry = RawEntry { dn: "uid=x".to_owned(), attributes: vec![other, own] };
    let list = |value: &Value| value.as_array().unwrap().clone();
    let modification =
        Modification { key: key.to_owned(), expected: list(expected), wanted: list(wanted) };
    let request = request(&entry, &[(&modification, target)], Timestamp::UNIX_EPOCH)?;
    let change = &request.changes[0];
    let text = |values: &[Vec<u8>]| String::from_utf8(values.join(&b' ')).unwrap();
    Ok(format!("{}: -{} +{}", change.name, text(&change.delete), text(&change.add)))
}

#[test]
fn exactly_what_differs_is_sent() {
    let mail = "emails[type eq \"work\"].value";
    for (key, held, expected, wanted, sent) in [
        ("title", &["a"][..], json!(["a"]), json!(["b"]), "title: -a +b"),
        ("title", &["a"], json!(["a"]), json!(["A"]), "title: -a +A"),
        ("title", &[], json!([]), json!(["b"]), "title: - +b"),
        ("title", &["a"], json!(["a"]), json!([]), "title: -a +"),
        (mail, &["a", "b"], json!(["b", "a"]), json!(["a", "c"]), "mail: -b +c"),
    ] {
        assert_eq!(asked(key, held, &expected, &wanted).unwrap(), sent);
    }
    let changed = asked("title", &["z"], &json!(["a"]), &json!(["b"]));
    assert!(matches!(changed, Err(WriteError::Changed)), "{changed:?}");
    let refused = asked("title", &["a", "z"], &json!(["a"]), &json!(["b"])).unwrap_err();
    assert!(refused.to_string().contains("title"), "{refused}");
    assert!(asked("title", &["a"], &json!(["a"]), &json!(["\0"])).is_err());
}

#[test]
fn an_account_is_switched_and_nothing_else() {
    let change = AttributeOverride {
        attribute: None,
        authority: Some(Authority::WriteBack),
        kind: None,
        several: false,
    };
    let overrides = [("active".to_owned(), change)];
    let asked = |held: &[(&str, &str)], expected: Value, wanted: Value| {
        let mapping =
            Mapping::new("active-directory", &overrides, &ResourceType::user(&[])).unwrap();
        let target = mapping.target("active").unwrap();
        assert_eq!(target.read(), ["userAccountControl", "accountExpires", "lockoutTime"]);
        let held = held.iter().map(|(name, one)| (name.to_string(), vec![one.as_bytes().to_vec()]));
        let entry = RawEntry { dn: "cn=x".to_owned(), attributes: held.collect() };
        let modification = Modification {
            key: "active".to_owned(),
            expected: vec![expected],
            wanted: vec![wanted],
        };
        let now = "2024-02-29T12:00:00Z".parse().unwrap();
        let request = request(&entry, &[(&modification, target)], now)?;
        let change = &request.changes[0];
        let text = |values: &[Vec<u8>]| String::from_utf8(values.join(&b' ')).unwrap();
        Ok::<_, WriteError>(format!(
            "{}: -{} +{}",
            change.name,
            text(&change.delete),
            text(&change.add)
        ))
    };
    let bits = |bits| ("useraccountcontrol", bits);
    let (expired, locked) =
        (("accountExpires", "132854688000000000"), ("lockoutTime", "132854688000000000"));
    let open = ("accountExpires", "0");
    for (held, expected, wanted, sent) in [
        (&[bits("512"), open][..], json!(true), json!(false), "-512 +514"),
        (&[bits("66050"), open], json!(false), json!(true), "-66050 +66048"),
        (&[bits("512"), locked], json!("lockoutTime"), json!(false), "-512 +514"),
        // What was taken back stands as it did.
        (&[bits("514"), locked], json!(false), json!("lockoutTime"), "-514 +512"),
    ] {
        let sent = format!("userAccountControl: {sent}");
        assert_eq!(asked(held, expected, wanted).unwrap(), sent, "{held:?}");
    }
    for (held, expected) in [
        (&[bits("512"), expired][..], json!("accountExpires")),
        (&[bits("514"), expired], json!(false)),
        (&[bits("514"), locked], json!(false)),
    ] {
        let refused = asked(held, expected, json!(true)).unwrap_err();
        let WriteError::Refused { refusal: Refusal::Held, text } = &refused else {
            panic!("{refused:?}")
        };
        assert!(text.contains(held[1].0), "{text}");
    }
    let changed = asked(&[bits("514")], json!(true), json!(false));
    assert!(matches!(changed, Err(WriteError::Changed)), "{changed:?}");
    let unread = asked(&[open], json!(true), json!(false)).unwrap_err();
    assert!(unread.to_string().contains("userAccountControl"), "{unread}");
}

#[test]
fn each_result_code_has_its_meaning() {
    let meaning = |code| match judged(&Said { code, text: "why\n".repeat(200) }) {
        Ok(()) => "done".to_owned(),
        Err(error) => {
            assert!(error.to_string().len() < 300, "{error}");
            format!("{error:?}").chars().take_while(|c| c.is_alphanumeric()).collect()
        }
    };
    for (codes, expected) in [
        (&[0][..], "done"),
        (&[16, 122], "Changed"),
        (&[32], "Gone"),
        (&[10, 12, 50, 53, 19, 20, 21, 65, 67], "Refused"),
        (&[1, 3, 51, 52, 80, 4711], "Unavailable"),
    ] {
        for code in codes {
            assert_eq!(meaning(*code), expected, "{code}");
        }
    }
    let refused = judged(&Said { code: 50, text: String::new() });
    let right = |error| matches!(error, WriteError::Refused { refusal: Refusal::Right, .. });
    assert!(refused.is_err_and(right));
}
