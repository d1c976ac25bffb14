//! The push-down loses no match, whatever the values: a real slapd's answer to the pushed filter
//! against the evaluation in memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use icu_casemap::CaseMapperBorrowed;
use icu_normalizer::DecomposingNormalizerBorrowed;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::filters::filter;
use super::people::population;
use super::slapd::{Person, Site, Slapd};
use super::{bounds, everybody, from, repository, resource, seen, template, typed};
use crate::repository::Repository;
use crate::repository::ldap::filter::LdapFilter;
use crate::repository::ldap::literal::is_plain;
use crate::repository::ldap::wire::{Directory, Paging, Scope, SearchRequest};
use crate::scim::Filter;

#[test]
fn no_match_is_lost_and_exact_is_exact() {
    let slapd = Slapd::start(&population(), &Site::default());
    let repository = repository(
        &slapd,
        &[
            ("nickName", template("{givenName} {sn}")),
            ("locale", from("loginShell")),
            ("timezone", from("labeledURI")),
            ("urn:hid:scim:api:idp:2.0:UserAttribute:DOB", typed("carLicense", "date")),
            ("urn:hid:scim:api:idp:2.0:UserAttribute:kind", from("employeeType")),
            ("urn:hid:scim:api:idp:2.0:UserAttribute:NR", typed("uidNumber", "integer")),
        ],
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let people: Vec<_> = runtime
        .block_on(everybody(&repository))
        .iter()
        .map(|entry| (entry.key.clone(), seen(entry)))
        .collect();
    assert_eq!(people.len(), population().len());
    let user = resource();
    let config = crate::scim::cases::of(2_000, 100_000);
    let cases = config.cases;
    let mut runner = TestRunner::new(config);
    // matched some but not all, selected by more than presence, exact
    let counts = std::cell::Cell::new((0_u32, 0_u32, 0_u32));
    runner
        .run(&filter(), |text| {
            let filter = Filter::parse(&text, &user)
                .map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
            let found = runtime.block_on(repository.search(&filter, bounds(10_000))).unwrap();
            prop_assert!(found.complete);
            let found_keys: BTreeSet<_> = found.entries.iter().map(|entry| &entry.key).collect();
            let expected: BTreeSet<_> = people
                .iter()
                .filter(|(_, attributes)| filter.matches(attributes))
                .map(|(key, _)| key)
                .collect();
            let plan = repository.plan(&filter);
            let lost: Vec<_> = expected.difference(&found_keys).collect();
            prop_assert!(lost.is_empty(), "{} lost {:?}", plan.text, lost);
            if found.exact {
                prop_assert_eq!(&found_keys, &expected, "{} is not exact", plan.text);
            }
            prop_assert_eq!((found.exact, found.scan), (plan.exact, plan.scan));
            let (mut some, mut narrow, mut exact) = counts.get();
            some += u32::from(!expected.is_empty() && expected.len() < people.len());
            narrow += u32::from(!found.scan && found_keys.len() < people.len());
            exact += u32::from(found.exact);
            counts.set((some, narrow, exact));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    let (some, narrow, exact) = counts.get();
    assert!(some > cases * 3 / 10, "only {some} filters matched some but not all");
    assert!(narrow > cases * 4 / 10, "only {narrow} filters narrowed the answer");
    assert!(exact > cases / 20, "only {exact} filters were exact");
}

/// Every character that is sent as it is, against every way of writing its case variants.
#[test]
fn slapd_compares_what_is_sent_as_memory_does() {
    let mapper = const { CaseMapperBorrowed::new() };
    let decompose = const { DecomposingNormalizerBorrowed::new_nfd() };
    let compose = crate::scim::text::nfc;
    let mut forms: Vec<(char, String)> = Vec::new();
    let with_case = (' '..='~').chain(('\u{80}'..='\u{1fff}').filter(|c| is_plain(*c)));
    let plain: BTreeSet<char> = with_case
        .filter(|c| *c != ' ')
        .map(|c| mapper.simple_fold(c))
        .chain("天中山田각닭".chars().filter(|c| is_plain(*c)))
        .collect();
    for c in '\u{21}'..='\u{2fa1f}' {
        let own = compose(&c.to_string()).into_owned();
        let mut chars = own.chars();
        let (Some(first), None) = (chars.next(), chars.next()) else { continue };
        let fold = mapper.simple_fold(first);
        if plain.contains(&fold) {
            forms.push((fold, c.to_string()));
            forms.push((fold, decompose.normalize(&c.to_string()).into_owned()));
        }
    }
    let people: Vec<Person> = forms
        .iter()
        .enumerate()
        .map(|(number, (_, form))| {
            let mut person = Person::new(number);
            person.add("cn", &format!("x{form}y")).add("sn", form);
            person
        })
        .collect();
    assert!(plain.len() > 300 && people.len() > 1000, "{} {}", plain.len(), people.len());
    let slapd = Slapd::start(&people, &Site::default());
    let directory = Directory::new("test", slapd.settings()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = |filter: LdapFilter| -> BTreeSet<Arc<str>> {
        let request = SearchRequest {
            base: super::BASE.to_owned(),
            scope: Scope::Subtree,
            filter: filter.to_string(),
            attributes: vec!["uid".to_owned()].into(),
            size_limit: 5000,
            paging: Paging::Overflow,
        };
        let found = runtime.block_on(directory.search(&request, bounds(1).deadline)).unwrap();
        assert!(found.complete);
        let uid = |entry: &crate::repository::ldap::wire::RawEntry| {
            String::from_utf8(entry.attributes[0].1[0].clone()).unwrap().into()
        };
        found.entries.iter().map(uid).collect()
    };
    let mut lost = Vec::new();
    for &c in &plain {
        let whole = ask(LdapFilter::Equal("sn".into(), c.to_string()));
        let inside = ask(LdapFilter::Substring {
            attribute: "cn".into(),
            initial: None,
            any: vec![c.to_string()],
            last: None,
        });
        for (number, (fold, form)) in forms.iter().enumerate() {
            let uid = format!("u{number:04}");
            if *fold == c && !(whole.contains(&*uid) && inside.contains(&*uid)) {
                lost.push(format!("{c} does not find {form:?}"));
            }
        }
    }
    assert!(lost.is_empty(), "{}: {}", lost.len(), lost.join("\n"));
}
