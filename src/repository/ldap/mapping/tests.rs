//! What the shipped mapping says, how a configuration changes it, and what it refuses.

use std::collections::HashSet;

use super::*;
use crate::config::Source as From;

fn user() -> ResourceType {
    ResourceType::user(&[])
}

fn change(key: &str, attribute: Option<From>, kind: Option<&str>) -> (String, AttributeOverride) {
    let kind = kind.map(str::to_owned);
    (key.to_owned(), AttributeOverride { attribute, authority: None, kind, several: false })
}

fn named(key: &str, attribute: &str) -> (String, AttributeOverride) {
    change(key, Some(From::Attributes(vec![attribute.to_owned()])), None)
}

fn mapping(changes: &[(String, AttributeOverride)]) -> Mapping {
    Mapping::new("openldap", changes, &user()).unwrap_or_else(|error| panic!("{error}"))
}

fn fault(changes: &[(String, AttributeOverride)]) -> MappingError {
    Mapping::new("openldap", changes, &user()).unwrap_err()
}

/// `attribute` per element type of a list.
fn types(mapping: &Mapping, list: &str) -> Vec<(String, String)> {
    mapping
        .elements
        .iter()
        .filter(|element| element.list.text == list)
        .flat_map(|element| {
            let kind = element.fixed.first().map_or("-", |(_, v)| v.as_str().unwrap_or("?"));
            element.subs.iter().flat_map(move |(_, mapped)| {
                mapped.source.names().map(move |name| (kind.to_owned(), name))
            })
        })
        .map(|(kind, name)| (kind, mapping.names[name].text.clone()))
        .collect()
}

#[test]
fn the_shipped_mapping_says_what_it_should() {
    let mapping = mapping(&[]);
    let user = user();
    assert_eq!(mapping.filter(), "(objectClass=inetOrgPerson)");
    for path in [
        "userName",
        "externalId",
        "name.familyName",
        "name",
        "emails",
        "emails.type",
        "emails.primary",
        "active",
        "photos.value",
        "addresses.locality",
        "id",
        "meta",
        "meta.created",
        "meta.lastModified",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    ] {
        assert!(mapping.maps(&user.resolve(path)), "{path}");
    }
    for path in [
        "userType",
        "nickName",
        "groups",
        "emails.display",
        "meta.version",
        "shoeSize",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager",
        "urn:hid:scim:api:idp:2.0:UserAttribute:attributes.value",
        "password",
    ] {
        assert!(!mapping.maps(&user.resolve(path)), "{path}");
        assert_eq!(mapping.authority(&user.resolve(path)), None, "{path}");
    }
    let authority = |path: &str| mapping.authority(&user.resolve(path));
    assert_eq!(authority("externalId"), Some(Authority::Local));
    assert_eq!(authority("userName"), Some(Authority::Directory));
    assert_eq!(authority("emails.value"), Some(Authority::Directory));
    let phones = types(&mapping, "phoneNumbers");
    let phones: Vec<_> = phones.iter().map(|(kind, name)| (kind.as_str(), name.as_str())).collect();
    assert_eq!(phones, [("work", "telephoneNumber"), ("home", "homePhone"), ("mobile", "mobile")]);
    assert!(mapping.requested(true).contains(&"jpegPhoto".to_owned()));
    assert!(!mapping.requested(false).contains(&"jpegPhoto".to_owned()));
    let asked = mapping.requested(true);
    let distinct: HashSet<&String> = asked.iter().collect();
    assert_eq!(distinct.len(), asked.len());
}

#[test]
fn a_configuration_adds_and_overrides_key_by_key() {
    let user = user();
    let local = AttributeOverride {
        attribute: None,
        authority: Some(Authority::Local),
        kind: None,
        several: false,
    };
    let mapping = mapping(&[
        named("TITLE", "employeeType"),
        ("displayName".to_owned(), local.clone()),
        ("phoneNumbers[type eq \"mobile\"]".to_owned(), local),
        named("phoneNumbers[TYPE eq \"pager\"].value", "pager"),
        change("emails", Some(From::Attributes(vec!["mailHome".into()])), Some("home")),
        change("nickName", Some(From::Template("{givenName} {sn}!".into())), None),
        change(
            "urn:hid:scim:api:idp:2.0:UserAttribute:DOB",
            Some(From::Attributes(vec!["dateOfBirth".into()])),
            Some("date"),
        ),
    ]);
    let source = |path: &str| {
        let field = mapping.fields.iter().find(|field| field.path.text == path).unwrap();
        field.mapped.source.names().map(|name| mapping.names[name].text.clone()).collect::<Vec<_>>()
    };
    assert_eq!(source("title"), ["employeeType"]);
    assert_eq!(source("displayName"), ["displayName", "cn"]);
    assert_eq!(source("nickName"), ["givenName", "sn"]);
    assert_eq!(mapping.authority(&user.resolve("displayName")), Some(Authority::Local));
    let phone = user.resolve("phoneNumbers.value");
    assert_eq!(mapping.authority(&phone), Some(Authority::Directory));
    assert_eq!(mapping.authority_of_type(&phone, Some("MOBILE")), Some(Authority::Local));
    assert_eq!(mapping.authority_of_type(&phone, Some("work")), Some(Authority::Directory));
    assert_eq!(mapping.authority_of_type(&phone, Some("fax")), None);
    assert_eq!(mapping.authority_of_type(&phone, None), None);
    let codes = user.resolve("urn:hid:scim:api:idp:2.0:UserAttribute:attributes");
    assert_eq!(mapping.authority_of_type(&codes, Some("dob")), Some(Authority::Directory));
    // Every code has a value of some type.
    assert_eq!(mapping.authority_of_type(&codes, Some("date")), None);
    assert_eq!(mapping.authority_of_type(&codes, Some("COST")), None);
    let untyped = self::mapping(&[change("ims", Some(From::Attributes(vec!["im".into()])), None)]);
    assert_eq!(untyped.authority_of_type(&user.resolve("ims"), None), Some(Authority::Directory));
    assert_eq!(untyped.authority_of_type(&user.resolve("ims"), Some("xmpp")), None);
    assert!(types(&mapping, "phoneNumbers").contains(&("pager".into(), "pager".into())));
    assert_eq!(
        types(&mapping, "emails"),
        [("work".into(), "mail".into()), ("home".into(), "mailHome".into())]
    );
    let codes = user.resolve("urn:hid:scim:api:idp:2.0:UserAttribute:attributes.value");
    assert_eq!(mapping.authority(&codes), Some(Authority::Directory));
    assert!(mapping.maps(&user.resolve("urn:hid:scim:api:idp:2.0:UserAttribute:attributes.name")));
    let mapping = self::mapping(&[named("emails", "otherMail")]);
    assert_eq!(
        types(&mapping, "emails"),
        [("-".into(), "otherMail".into())],
        "every type replaced"
    );
}

#[test]
fn errors_name_the_key_and_the_remedy() {
    for (changes, key, what) in [
        (named("userNmae", "uid"), "userNmae", "no schema has such an attribute"),
        (named("userType", "employeeType"), "userType", "no directory decides"),
        (named("id", "uid"), "id", "no directory decides"),
        (named("meta.created", "createTimestamp"), "meta.created", "no directory decides"),
        (
            named("urn:scimbridge:schemas:2.0:Source:dn", "entryDN"),
            "urn:scimbridge:schemas:2.0:Source:dn",
            "no directory decides",
        ),
        (named("name", "cn"), "name", "made of parts"),
        (named("title", "tit le"), "title", "no name of an LDAP attribute"),
        (named("title", "title)(uid=*"), "title", "no name of an LDAP attribute"),
        (
            named("urn:hid:scim:api:idp:2.0:UserAttribute", "x"),
            "urn:hid:scim:api:idp:2.0:UserAttribute",
            "under codes",
        ),
        (
            named("emails[type = \"work\"].value", "mail"),
            "emails[type = \"work\"].value",
            "brackets",
        ),
        (named("emails[type eq \"work\"", "mail"), "emails[type eq \"work\"", "brackets"),
        (
            change("title", Some(From::Attributes(vec!["title".into()])), Some("work")),
            "title",
            "no type of their own",
        ),
        (change("title", None, Some("trueWhileAbsent")), "title", "not of type"),
        (change("active", None, Some("date")), "active", "not of type"),
        (change("nickName", None, None), "nickName", "no LDAP attribute is named"),
        (change("nickName", Some(From::Template("{sn".into())), None), "nickName", "brace"),
        (
            change("nickName", Some(From::Template("plain".into())), None),
            "nickName",
            "no attribute",
        ),
        (
            change("nickName", Some(From::Template("{sn}".into())), Some("date")),
            "nickName",
            "a template makes text",
        ),
    ] {
        let error = fault(&[changes]);
        assert_eq!(error.key, key);
        assert!(error.what.contains(what), "{key}: {error}");
        assert!(!error.remedy.is_empty());
    }
    let error = Mapping::new("novell", &[], &user()).unwrap_err();
    assert!(error.to_string().contains("use one of: openldap"), "{error}");
}

#[test]
fn what_is_written_back_is_turned_round() {
    let written = |text: &str, name: &str, kind: Option<&str>| {
        let (text, mut change) = change(text, Some(From::Attributes(vec![name.into()])), kind);
        change.authority = Some(Authority::WriteBack);
        (text, change)
    };
    let code = "urn:hid:scim:api:idp:2.0:UserAttribute:NUMBER";
    let mobile = "phoneNumbers[type eq \"mobile\"].value";
    let mapping = mapping(&[
        written("title", "title", None),
        written("name.givenName", "givenName", None),
        written(mobile, "mobile", None),
        written(code, "uidNumber", Some("integer")),
    ]);
    let json = serde_json::json!({
        "title": "", "name": { "givenName": "\"Ä\\", "familyName": "not this" },
        "phoneNumbers": [{ "type": "Mobile", "value": "1" }, { "type": "mobile", "value": "2" },
            { "type": "mobile", "value": "1" }, { "type": "work", "value": "3" }],
        "urn:hid:scim:api:idp:2.0:UserAttribute": { "attributes": [
            { "name": "number", "value": "7" }, { "name": "OTHER", "value": "8" }] } });
    let back = mapping.back(json.as_object().unwrap(), None);
    let held: Vec<_> = back.iter().map(|(key, values)| (key.as_str(), values.len())).collect();
    assert_eq!(held, [("name.givenName", 1), (mobile, 2), ("title", 0), (code, 1)]);
    let target = |key: &str| mapping.target(key).unwrap();
    assert_eq!((target(mobile).several, target("title").several), (true, false));
    let name = target("name.givenName");
    for text in ["\"Ä\\", "*()", " "] {
        let bytes = name.encode(&text.into()).unwrap();
        assert_eq!((bytes.as_slice(), name.decode(&bytes)), (text.as_bytes(), Some(text.into())));
    }
    assert_eq!(name.encode(&"\0".into()), None);
    assert_eq!(target(code).encode(&"7".into()), Some(b"7".to_vec()));
    for none in ["many", "007", "7.5"] {
        assert_eq!(target(code).encode(&none.into()), None, "{none}");
    }
    assert!(mapping.target("userName").is_none());
}

#[test]
fn a_file_is_held_to_its_form() {
    let parse = |text: &str| Mapping::parse(text, &[], &user());
    let head = "filter = \"(a=b)\"\nkey = \"entryUUID\"\n";
    for (text, what) in [
        ("[attributes]\ntitle = { attribut = \"title\" }", "title"),
        ("surplus = 1\n[attributes]", "surplus"),
        ("comparison = \"turkish\"\n[attributes]", "turkish"),
        ("[attributes]\ntitle = { attribute = \"title\", type = \"colour\" }", "colour"),
        ("[attributes]\ntitle = { attribute = \"title\", authority = \"ours\" }", "ours"),
    ] {
        let error = parse(&format!("{head}{text}")).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
    let few = parse(&format!("{head}[attributes]\nuserName = \"uid\"")).unwrap();
    assert_eq!(few.comparison, Comparison::Ascii);
    assert!(!few.maps(&user().resolve("meta")));
}
