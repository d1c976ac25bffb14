//! Rules against a real slapd that keeps in no entry which groups name it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::super::LdapRepository;
use super::super::tests::slapd::{BASE, Person, Site, Slapd, uuid};
use super::super::tests::{resource, settings};
use crate::config::Rule;
use crate::repository::{Bounds, Entry, EntryKey, Repository, Severity, rule};
use crate::scim::Filter;

const PEOPLE: usize = 40;

/// Half of the people stand in a unit of their own; every third has a title.
fn person(number: usize) -> Person {
    let mut person = Person::new(number);
    if number.is_multiple_of(2) {
        person.rdn = format!("{},ou=Büro\\, Nord", person.rdn);
    }
    person.add("cn", &format!("Person {number}")).add("sn", "Person");
    if number.is_multiple_of(3) {
        person.add("title", "Boss");
    }
    person
}

fn dn(number: usize) -> String {
    format!("{},{BASE}", person(number).rdn)
}

fn group(name: &str, class: &str, attribute: &str, members: &[String]) -> Person {
    let mut group = Person { rdn: format!("cn={name}"), attributes: Vec::new() };
    group.add("objectClass", class).add("cn", name);
    for member in members {
        group.add(attribute, member);
    }
    group
}

fn named(name: &str) -> String {
    format!("cn={name},{BASE}")
}

/// A chain of ten groups whose last has people, a circle of two, and a group of logins.
fn population() -> Vec<Person> {
    let mut unit = Person { rdn: "ou=Büro\\, Nord".to_owned(), attributes: Vec::new() };
    unit.add("objectClass", "organizationalUnit").add("ou", "Büro, Nord");
    let mut all = vec![unit];
    all.extend((0..PEOPLE).map(person));
    for level in 0..10 {
        let members = if level == 9 {
            // As another hand writes names.
            vec![dn(1), dn(2).to_uppercase().replace("BÜRO\\,", "b\\C3\\BCro\\2C"), dn(3)]
        } else {
            vec![named(&format!("chain{}", level + 1))]
        };
        all.push(group(&format!("chain{level}"), "groupOfNames", "member", &members));
    }
    let gone = format!("uid=gone,{BASE}");
    all.push(group("one", "groupOfNames", "member", &[named("two"), dn(4), gone]));
    all.push(group("two", "groupOfUniqueNames", "uniqueMember", &[named("one"), dn(5)]));
    let mut logins = group("logins", "posixGroup", "memberUid", &["u0006".into(), "U0007".into()]);
    logins.add("gidNumber", "7");
    all.push(logins);
    all
}

fn rules() -> Vec<Rule> {
    let none = Rule { group: None, base: None, filter: None, member_of: None, roles: Vec::new() };
    let base = Some(format!("OU=Büro\\2c Nord,{BASE}"));
    let titled = Some("(title=boss)".to_owned());
    let member_of = |name: &str| Rule { member_of: Some(named(name)), ..none.clone() };
    vec![
        Rule { base: base.clone(), ..none.clone() },
        Rule { filter: titled.clone(), ..none.clone() },
        Rule { base: base.clone(), filter: titled.clone(), ..none.clone() },
        member_of("chain0"),
        member_of("one"),
        member_of("TWO"),
        member_of("logins"),
        Rule { base, filter: titled, ..member_of("chain0") },
        Rule { base: Some("ou=elsewhere,dc=example,dc=org".into()), ..none.clone() },
        Rule { base: Some("dc=example,dc=org".into()), ..none },
    ]
}

fn truth(number: usize) -> Vec<usize> {
    let (north, boss) = (number.is_multiple_of(2), number.is_multiple_of(3));
    let chain = matches!(number, 1..=3);
    let circle = matches!(number, 4 | 5);
    let holds = [
        north,
        boss,
        north && boss,
        chain,
        circle,
        circle,
        matches!(number, 6 | 7),
        chain && north && boss,
        false,
        true,
    ];
    (0..holds.len()).filter(|place| holds[*place]).collect()
}

fn bounds(size_limit: usize) -> Bounds {
    let now = Instant::now();
    Bounds { size_limit, photos: false, deadline: now + Duration::from_mins(1), since: now }
}

fn open(slapd: &Slapd) -> LdapRepository {
    LdapRepository::new(super::super::LdapSettings { rules: rules(), ..settings(slapd, &[]) })
        .unwrap()
}

fn told(entries: &[Arc<Entry>]) -> BTreeMap<String, Vec<usize>> {
    entries.iter().map(|entry| (entry.key.0.to_string(), entry.rules.clone())).collect()
}

fn expected(numbers: impl Iterator<Item = usize>) -> BTreeMap<String, Vec<usize>> {
    numbers.map(|number| (uuid(number), truth(number))).collect()
}

#[tokio::test]
async fn rules_are_decided_as_the_directory_decides_them() {
    let slapd = Slapd::start(&population(), &Site::default());
    let repository = open(&slapd);
    let all = repository.search(&Filter::Constant(true), bounds(1000)).await.unwrap();
    assert!(all.complete);
    assert_eq!(told(&all.entries), expected(0..PEOPLE));
    let keys: Vec<EntryKey> = [3, 6].map(|number| EntryKey(uuid(number).into())).into();
    let read = repository.read(&keys, bounds(10)).await.unwrap();
    assert_eq!(told(&read.entries), expected([3, 6].into_iter()));
    for place in 0..rules().len() {
        let whom = (0..PEOPLE).filter(|number| truth(*number).contains(&place));
        let found = repository.search(&rule::held(place), bounds(1000)).await.unwrap();
        assert!(found.complete && (found.exact || place == 8), "{place}");
        assert_eq!(
            found.scan,
            place == 9,
            "rule {place}: {}",
            repository.plan(&rule::held(place)).text
        );
        assert_eq!(told(&found.entries), expected(whom), "rule {place}");
    }
}

#[tokio::test]
async fn two_bases_are_two_searches_and_a_base_within_one_is_none_more() {
    let slapd = Slapd::start(&population(), &Site::default());
    let repository = open(&slapd);
    let (base, [north, elsewhere, whole]) = (BASE, [0, 8, 9].map(rule::held));
    let reach = |filter: &Filter| repository.rules.reach(base, filter).bases;
    let unit = vec![format!("OU=Büro\\2c Nord,{BASE}")];
    assert_eq!(reach(&north), unit);
    assert_eq!(reach(&Filter::or([north.clone(), elsewhere.clone(), north.clone()])), unit);
    assert_eq!(reach(&Filter::or([north.clone(), whole.clone()])), [base]);
    assert_eq!(reach(&Filter::and([north.clone(), whole])), unit);
    assert!(reach(&Filter::and([north.clone(), elsewhere])).is_empty());
    assert_eq!(reach(&Filter::Not(Box::new(north))), [base]);
}

#[tokio::test]
async fn a_group_that_may_not_be_read_is_an_outage() {
    let access = format!("access to dn.exact=\"{}\" by * none\n", named("chain0"));
    let slapd = Slapd::start(&population(), &Site { access: &access, ..Site::default() });
    let error = open(&slapd).search(&Filter::Constant(true), bounds(1000)).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("chain0") && text.contains("member_of"), "{text}");
}

#[tokio::test]
async fn a_check_looks_at_every_rule() {
    let mut rules = rules();
    rules.push(Rule { member_of: Some(named("nothing")), ..rules[3].clone() });
    let slapd = Slapd::start(&population(), &Site::default());
    let settings = super::super::LdapSettings { rules, ..settings(&slapd, &[]) };
    let findings = LdapRepository::new(settings).unwrap().check().await;
    let of = |subject: &str| {
        let found = findings.iter().find(|finding| finding.subject == subject);
        found.map(|finding| (finding.severity, finding.text.as_str())).unwrap()
    };
    for (subject, severity, text) in [
        ("rule 1", Severity::Well, "somebody"),
        ("rule 4", Severity::Well, "somebody"),
        ("rule 8", Severity::Warning, "nobody"),
        ("rule 9", Severity::Warning, "elsewhere"),
        ("rule 11", Severity::Broken, "cn=nothing"),
    ] {
        let found = of(subject);
        assert!(found.0 == severity && found.1.contains(text), "{subject}: {found:?}");
    }
}

#[test]
fn no_member_is_lost_whatever_is_asked() {
    let slapd = Slapd::start(&population(), &Site::default());
    let repository = open(&slapd);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let user = resource();
    let leaf = prop_oneof![
        3 => (0..rules().len()).prop_map(rule::held),
        1 => Just(rule::open()),
        1 => prop::sample::select(&["title pr", "userName sw \"u000\"", "title ne \"x\""][..])
            .prop_map(move |text| Filter::parse(text, &user).unwrap()),
    ];
    let filters = leaf.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::and),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::or),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    });
    let everybody = runtime.block_on(repository.search(&Filter::Constant(true), bounds(1000)));
    let everybody = everybody.unwrap().entries;
    let mut runner = TestRunner::new(crate::scim::cases::of(300, 20_000));
    runner
        .run(&filters, |filter| {
            let found = runtime.block_on(repository.search(&filter, bounds(1000))).unwrap();
            let found: BTreeSet<_> =
                found.entries.iter().map(|entry| &entry.key).cloned().collect();
            for entry in &everybody {
                // What no rule tells may be either way.
                let holds = [false, true].map(|open| {
                    let held = filter.rewrite(&mut |leaf| {
                        let place = rule::asked(leaf)?;
                        let held = place < rules().len();
                        Some(Filter::Constant(if held {
                            entry.rules.contains(&place)
                        } else {
                            open
                        }))
                    });
                    held.matches(&entry.attributes)
                });
                if holds.contains(&true) {
                    prop_assert!(found.contains(&entry.key), "{filter} lost {}", entry.dn);
                }
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}
