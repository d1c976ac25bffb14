//! Searches, reads and checks against slapd.

use serde_json::json;

use super::slapd::{BASE, PASSWORD, Person, READER, Site, Slapd, uuid};
use super::{bounds, everybody, find, from, local, repository, resource, settings, template};
use crate::repository::ldap::LdapRepository;
use crate::repository::{Authority, EntryKey, Finding, Repository, RepositoryError, Severity};
use crate::scim::Filter;

fn people(count: usize) -> Vec<Person> {
    (0..count)
        .map(|number| {
            let mut person = Person::new(number);
            person.add("cn", &format!("Person {number}")).add("sn", "Person");
            person.add("mail", &format!("p{number}@example.org"));
            if number == 0 {
                person.add_bytes("jpegPhoto", b"\xff\xd8\xff").add("title", "*)(uid=*");
            }
            if number == 1 {
                person
                    .add("title", "a, \"b\" <c>; d=#e+f\\")
                    .add("pwdAccountLockedTime", "000001010000Z");
            }
            person
        })
        .collect()
}

fn uids(found: &crate::repository::Found) -> Vec<&str> {
    let mut uids: Vec<&str> =
        found.entries.iter().map(|entry| entry.attributes["userName"].as_str().unwrap()).collect();
    uids.sort_unstable();
    uids
}

#[tokio::test]
async fn people_are_found_and_mapped() {
    let slapd = Slapd::start(&people(3), &Site::default());
    let repository =
        repository(&slapd, &[("title", local("title")), ("nickName", template("{sn}/{cn}"))]);
    assert_eq!(repository.healthy(), None);
    repository.prepare(bounds(1).deadline).await.unwrap();
    assert_eq!(repository.healthy(), Some(true));
    assert_eq!((repository.id(), repository.base()), ("corp", BASE));
    assert_eq!(repository.authority(&resource().resolve("title")), Some(Authority::Local));
    let found = find(&repository, "userName eq \"U0000\"").await;
    assert!(found.complete && !found.scan);
    let entry = &found.entries[0];
    assert_eq!(*entry.key.0, *uuid(0));
    assert_eq!(entry.dn, format!("uid=u0000,{BASE}"));
    assert!(entry.created.is_some() && entry.last_modified.is_some());
    assert_eq!(entry.attributes["nickName"], "Person/Person 0");
    assert_eq!(
        entry.attributes["emails"],
        json!([{"value": "p0@example.org", "type": "work", "primary": true}])
    );
    assert!(!entry.attributes.contains_key("photos"));
    let filter = Filter::parse("userName eq \"u0000\"", &resource()).unwrap();
    let with = crate::repository::Bounds { photos: true, ..bounds(10) };
    let found = repository.search(&filter, with).await.unwrap();
    assert_eq!(
        found.entries[0].attributes["photos"],
        json!([{"value": "data:image/jpeg;base64,/9j/", "type": "photo"}])
    );
    assert_eq!(uids(&find(&repository, "active eq false").await), ["u0001"]);
    assert_eq!(uids(&find(&repository, "active eq true").await), ["u0000", "u0002"]);
    let id = format!("id eq \"corp.{}\"", uuid(2));
    assert_eq!(uids(&find(&repository, &id).await), ["u0002"]);
}

#[tokio::test]
async fn injections_are_values() {
    let slapd = Slapd::start(&people(3), &Site::default());
    let repository = repository(&slapd, &[]);
    for (value, expected) in [
        ("*)(uid=*", vec!["u0000"]),
        ("a, \"b\" <c>; d=#e+f\\", vec!["u0001"]),
        ("*", vec![]),
        ("\\2a", vec![]),
        ("*)(objectClass=*))(|(uid=*", vec![]),
        (")", vec![]),
        ("\u{1}", vec![]),
    ] {
        let filter = format!("title eq {}", serde_json::Value::from(value));
        let found = find(&repository, &filter).await;
        // What is found too many is left out by whoever asked, as always.
        let parsed = Filter::parse(&filter, &resource()).unwrap();
        let mut found = found;
        found.entries.retain(|entry| parsed.matches(&entry.attributes));
        assert_eq!(uids(&found), expected, "{value}");
        let plan = repository.plan(&parsed);
        assert!(!plan.text.contains("(uid="), "{}", plan.text);
    }
    for value in ["*", "*)(uid=*", "x)(|(uid=u0001"] {
        let filter = format!("userName eq {}", serde_json::Value::from(value));
        assert!(find(&repository, &filter).await.entries.is_empty(), "{value}");
    }
}

#[tokio::test]
async fn keys_are_read_in_batches_and_the_gone_are_missing() {
    let slapd = Slapd::start(&people(230), &Site::default());
    let repository = repository(&slapd, &[]);
    let key = |text: &str| EntryKey(text.into());
    let mut keys: Vec<EntryKey> = (0..230).map(|number| key(&uuid(number))).collect();
    keys.extend([key(&uuid(999)), key("*"), key(&uuid(0).to_uppercase()), key("")]);
    let found = repository.read(&keys, bounds(1)).await.unwrap();
    assert!(found.complete);
    assert_eq!(found.entries.len(), 230);
    let found = repository.read(&[key(&uuid(999))], bounds(1)).await.unwrap();
    assert!(found.complete && found.entries.is_empty());
}

#[tokio::test]
async fn a_cut_answer_is_never_complete() {
    let slapd = Slapd::start(&people(230), &Site { limit: 120, ..Site::default() });
    let repository = repository(&slapd, &[]);
    let all = Filter::Constant(true);
    let found = repository.search(&all, bounds(50)).await.unwrap();
    assert_eq!((found.entries.len(), found.complete), (50, false));
    let found = repository.search(&all, bounds(1000)).await.unwrap();
    assert!(!found.complete && found.entries.len() <= 120, "the server cuts");
    let found = find(&repository, "emails.value sw \"p22\"").await;
    assert!(found.complete && !found.scan);
    assert_eq!(found.entries.len(), 11);
    let findings = repository.check().await;
    assert!(has(&findings, Severity::Warning, "size limit", "120"), "{findings:#?}");
}

#[tokio::test]
async fn what_folds_to_nobody_asks_nobody() {
    let mut settings = {
        let slapd = Slapd::start(&people(1), &Site::default());
        settings(&slapd, &[])
    };
    settings.wire.connect_timeout = std::time::Duration::from_secs(1);
    let repository = LdapRepository::new(settings).unwrap();
    // slapd is gone.
    let filter = Filter::parse("userName eq \"u0000\"", &resource()).unwrap();
    let outcome = repository.search(&filter, bounds(10)).await;
    assert!(matches!(outcome, Err(RepositoryError::Unavailable(_))), "{outcome:?}");
    assert_eq!(repository.healthy(), Some(false));
    assert!(has(&repository.check().await, Severity::Broken, "connect", "refused"));
    assert_eq!(repository.plan(&filter).text, "(&(uid=u0000)(objectClass=inetOrgPerson))");
}

#[tokio::test]
async fn entries_that_hide_their_key_make_the_answer_incomplete() {
    let access = format!("access to dn.base=\"uid=u0001,{BASE}\" attrs=entryUUID by * none");
    let slapd = Slapd::start(&people(3), &Site { access: &access, ..Site::default() });
    let repository = repository(&slapd, &[]);
    let found = find(&repository, "emails.value sw \"p\"").await;
    assert_eq!(uids(&found), ["u0000", "u0002"]);
    assert!(!found.complete);
    let findings = repository.check().await;
    assert!(has(&findings, Severity::Broken, "mapping", "1 of 3 entries do not show entryUUID"));
}

/// Where the attribute may not be searched for, its absence is undefined for everybody; who is
/// active must be found all the same.
#[tokio::test]
async fn a_hidden_lock_loses_nobody() {
    let access = "access to attrs=pwdAccountLockedTime by * none";
    let slapd = Slapd::start(&people(3), &Site { access, ..Site::default() });
    let repository = repository(&slapd, &[]);
    let found = find(&repository, "active eq true").await;
    assert_eq!(uids(&found), ["u0000", "u0001", "u0002"]);
    assert!(found.scan);
    let findings = repository.check().await;
    assert!(has(&findings, Severity::Warning, "rights", "pwdAccountLockedTime"), "{findings:#?}");
}

#[tokio::test]
async fn a_directory_without_the_lock_or_without_its_schema_works() {
    let mut plain = people(3);
    plain[1].attributes.retain(|(name, _)| name != "pwdAccountLockedTime");
    let slapd = Slapd::start(&plain, &Site { without_ppolicy: true, ..Site::default() });
    let open = repository(&slapd, &[]);
    assert!(everybody(&open).await.iter().all(|entry| entry.attributes["active"] == true));
    let found = find(&open, "active eq false").await;
    assert!(found.entries.is_empty() && found.complete && found.exact);
    let found = find(&open, "active eq true").await;
    assert!(found.entries.len() == 3 && found.exact);
    let findings = open.check().await;
    assert!(
        has(
            &findings,
            Severity::Warning,
            "mapping",
            "pwdAccountLockedTime: active is true for everybody"
        ),
        "{findings:#?}"
    );
    drop(slapd);
    let site = Site { hidden_schema: true, ..Site::default() };
    let slapd = Slapd::start(&people(3), &site);
    let hidden = repository(&slapd, &[]);
    let found = find(&hidden, "userName eq \"u0001\"").await;
    assert_eq!(uids(&found), ["u0001"]);
    assert_eq!(
        uids(&find(&hidden, "active eq true").await).len(),
        3,
        "asked for by nobody's absence"
    );
    assert!(has(&hidden.check().await, Severity::Warning, "schema", "does not show its schema"));
}

fn has(findings: &[Finding], severity: Severity, subject: &str, text: &str) -> bool {
    findings.iter().any(|finding| {
        finding.severity == severity
            && finding.subject == subject
            && finding.text.contains(text)
            && (severity == Severity::Well || !finding.remedy.is_empty())
    })
}

#[tokio::test]
async fn a_check_finds_nothing_wrong_where_nothing_is() {
    let slapd = Slapd::start(&people(3), &Site::default());
    let findings = repository(&slapd, &[]).check().await;
    assert!(findings.iter().all(|finding| finding.severity == Severity::Well), "{findings:#?}");
    assert!(has(&findings, Severity::Well, "base", BASE));
    assert!(has(&findings, Severity::Well, "mapping", "3 entries were mapped"));
}

#[tokio::test]
async fn a_check_names_each_problem() {
    let mut people = people(3);
    let mut nameless = Person::new(7);
    nameless.rdn = "cn=No Login".to_owned();
    nameless.attributes.retain(|(name, _)| name != "uid");
    nameless.add("cn", "No Login").add("sn", "Login");
    people.push(nameless);
    let slapd = Slapd::start(&people, &Site::default());
    let with = |change: &dyn Fn(&mut super::LdapSettings)| {
        let mut settings = settings(&slapd, &[]);
        change(&mut settings);
        LdapRepository::new(settings).unwrap()
    };
    let wrong = with(&|settings| settings.wire = slapd.settings_with(READER, "wrong"));
    let findings = wrong.check().await;
    assert!(has(&findings, Severity::Broken, "bind", READER), "{findings:#?}");
    assert!(!format!("{findings:?}").contains("wrong\""), "no password is told");

    let base = with(&|settings| settings.base = "ou=nowhere,dc=example,dc=org".to_owned());
    let findings = base.check().await;
    assert!(has(&findings, Severity::Broken, "base", "ou=nowhere"), "{findings:#?}");
    let outcome = base.search(&Filter::Constant(true), bounds(10)).await;
    assert!(
        matches!(outcome, Err(RepositoryError::Unavailable(_))),
        "an absent base is no absence"
    );

    let nobody = with(&|settings| settings.filter = Some("(objectClass=device)".to_owned()));
    assert!(has(&nobody.check().await, Severity::Warning, "mapping", "nobody under"));

    let unknown =
        repository(&slapd, &[("nickName", from("nickname")), ("title", from("jpegPhoto"))]);
    let findings = unknown.check().await;
    assert!(
        has(&findings, Severity::Warning, "mapping", "no attribute nickname: nickName"),
        "{findings:#?}"
    );

    let findings = repository(&slapd, &[]).check().await;
    assert!(
        has(&findings, Severity::Broken, "mapping", "1 of 4 entries have no userName"),
        "{findings:#?}"
    );

    let blunt = repository(&slapd, &[("userName", from("preferredDeliveryMethod"))]);
    assert!(has(&blunt.check().await, Severity::Warning, "mapping", "by no rule that is known"));
}

#[tokio::test]
async fn a_check_knows_missing_indexes_and_hidden_attributes() {
    let access = "access to attrs=mail by * none";
    let site = Site { access, readable_configuration: true, ..Site::default() };
    let slapd = Slapd::start(&people(3), &site);
    let findings = repository(&slapd, &[]).check().await;
    assert!(has(&findings, Severity::Warning, "rights", "mail"), "{findings:#?}");
    assert!(has(&findings, Severity::Warning, "index", "displayName"), "{findings:#?}");
    assert!(!has(&findings, Severity::Warning, "index", "uid"), "{findings:#?}");
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let slapd = Slapd::start(&[], &Site::default());
    let with = |base: &str, filter: &str| {
        let mut settings = settings(&slapd, &[]);
        settings.base = base.to_owned();
        settings.filter = Some(filter.to_owned());
        LdapRepository::new(settings).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(with("people", "(a=b)"), Err("repository corp: base \"people\"".to_owned()));
    assert_eq!(with(BASE, "a=b"), Err("repository corp: filter \"a=b\"".to_owned()));
    assert_eq!(with(BASE, "(a=b)"), Ok(()));
    assert_eq!(PASSWORD, "secret");
}
