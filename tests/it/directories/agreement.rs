//! The push-down loses no match on any kind of directory: what a real server answers to the filter
//! that is sent, against the evaluation in memory.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use scimbridge::clock::Clock;
use scimbridge::config::{AttributeOverride, Changes, ServerUrl, Source};
use scimbridge::repository::ldap::{LdapRepository, LdapSettings, Mapping, wire};
use scimbridge::repository::{Bounds, Entry, Repository};
use scimbridge::scim::{Attributes, Filter, ResourceType};
use scimbridge::secret::Secret;
use serde_json::{Value, json};

use super::servers::{self, PEOPLE, Server, WORDS};

fn repository(server: &Server) -> LdapRepository {
    let address = server.address();
    let (host, port) = address.rsplit_once(':').unwrap();
    let template = AttributeOverride {
        attribute: Some(Source::Template("{givenName} {sn}".to_owned())),
        authority: None,
        kind: None,
        several: false,
    };
    let user = ResourceType::user(&[]);
    LdapRepository::new(LdapSettings {
        id: "corp".into(),
        base: server.base.to_owned(),
        filter: None,
        mapping: Mapping::new(server.mapping, &[("nickName".to_owned(), template)], &user).unwrap(),
        wire: wire::Settings {
            urls: vec![ServerUrl {
                host: host.to_owned(),
                port: port.parse().unwrap(),
                ldaps: false,
            }],
            starttls: false,
            insecure: false,
            follow_referrals: Vec::new(),
            ca: None,
            client_certificate: None,
            bind_dn: Some(server.reader.to_owned()),
            bind_password: Some(Secret::new(server.password.to_owned())),
            connect_timeout: Duration::from_secs(10),
            operation_timeout: Duration::from_secs(30),
            max_message: 8 << 20,
            lookup: 2,
            scan: 2,
            idle: Duration::from_mins(4),
            max_age: Duration::from_mins(30),
        },
        changes: Changes::Off,
        rules: Vec::new(),
        clock: Clock::system(),
    })
    .unwrap()
}

fn bounds() -> Bounds {
    Bounds {
        size_limit: 10_000,
        photos: false,
        deadline: Instant::now() + Duration::from_mins(1),
        since: Instant::now(),
    }
}

/// An entry as a filter sees the unbound person.
fn seen(entry: &Entry) -> Attributes {
    let mut attributes = entry.attributes.clone();
    attributes.insert("id".into(), Value::from(format!("corp.{}", entry.key)));
    let meta = json!({
        "created": entry.created.map(|at| at.to_string()),
        "lastModified": entry.last_modified.map(|at| at.to_string()),
    });
    attributes.insert("meta".into(), meta);
    attributes
}

/// A filter over what the people have; `%` stands for somebody's id.
fn filter() -> impl Strategy<Value = String> {
    let path = select(
        &[
            "userName",
            "externalId",
            "name.familyName",
            "name.givenName",
            "displayName",
            "title",
            "nickName",
            "addresses.locality",
            "phoneNumbers.value",
            "emails.value",
            "shoeSize",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:organization",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber",
        ][..],
    );
    let near = |value: String| {
        (Just(value), 0_usize..4, 0_usize..5, 1_usize..9).prop_map(|(value, how, from, length)| {
            match how {
                0 => value.to_uppercase(),
                1 => value.to_lowercase(),
                2 => value.chars().skip(from).take(length).collect(),
                _ => value,
            }
        })
    };
    let known = (1..=PEOPLE).prop_map(|number| {
        let uid = servers::uid(number);
        [uid.clone(), format!("{uid}@example.org"), format!("alias{number}@example.org")]
    });
    let word = prop_oneof![
        3 => select(WORDS).prop_map(str::to_owned),
        2 => known.prop_flat_map(|words| select(words.to_vec())),
        1 => select(&["", "smtp", "X500", "@example.org", "work"][..]).prop_map(str::to_owned),
    ];
    let operator = prop_oneof![
        6 => Just("eq"), 3 => Just("sw"), 3 => Just("co"), 3 => Just("ew"), 1 => Just("ne"),
        1 => select(&["gt", "le"][..])
    ];
    let compare = (path, operator, word.prop_flat_map(near))
        .prop_map(|(path, operator, word)| format!("{path} {operator} {}", Value::from(word)));
    let other = select(
        &[
            "active eq true",
            "active eq false",
            "active ne true",
            "not (active eq true)",
            "not (active eq false)",
            "active pr",
            "title pr",
            "not (title pr)",
            "emails pr",
            "emails.primary eq true",
            "emails[type eq \"work\" and value ew \"@example.org\"]",
            "photos pr",
            "userType eq \"LDAP\"",
            "meta.created pr",
            "meta.created gt \"2020-01-01T00:00:00Z\"",
            "meta.lastModified lt \"2020-01-01T00:00:00Z\"",
            "meta.lastModified ge \"2020-01-01T00:00:00.5Z\"",
            "id eq \"%\"",
            "not (id eq \"%\")",
            "displayName eq null",
        ][..],
    )
    .prop_map(str::to_owned);
    prop_oneof![3 => compare, 2 => other].prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) and ({b})")),
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) or ({b})")),
            1 => inner.prop_map(|a| format!("not ({a})")),
        ]
    })
}

#[test]
fn no_match_is_lost_and_exact_is_exact() {
    for server in servers::all() {
        agrees(server);
    }
}

fn agrees(server: &Server) {
    let repository = repository(server);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let user = ResourceType::user(&[]);
    // Only people whom no other test changes.
    let everybody = runtime.block_on(repository.search(&Filter::Constant(true), bounds())).unwrap();
    assert!(everybody.complete);
    let still: BTreeSet<String> = (1..super::people::FIRST_CHANGED).map(servers::uid).collect();
    let people: Vec<_> = everybody
        .entries
        .iter()
        .filter(|entry| still.contains(entry.attributes["userName"].as_str().unwrap()))
        .map(|entry| (entry.key.clone(), seen(entry)))
        .collect();
    assert_eq!(people.len(), still.len());
    let id = people[4].1["id"].as_str().unwrap().to_owned();
    let cases = 250_u32;
    let mut runner =
        TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let counts = Cell::new((0_u32, 0_u32, 0_u32));
    runner
        .run(&filter(), |text| {
            let text = text.replace('%', &id);
            let filter = Filter::parse(&text, &user)
                .map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
            let found = runtime.block_on(repository.search(&filter, bounds())).unwrap();
            prop_assert!(found.complete);
            let known = |key: &&_| people.iter().any(|(other, _)| other == *key);
            let found_keys: BTreeSet<_> =
                found.entries.iter().map(|entry| &entry.key).filter(known).collect();
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
            let (mut some, mut narrow, mut exact) = counts.get();
            some += u32::from(!expected.is_empty() && expected.len() < people.len());
            narrow += u32::from(!found.scan && found_keys.len() < people.len());
            exact += u32::from(found.exact);
            counts.set((some, narrow, exact));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{}: {error}", server.mapping));
    let (some, narrow, exact) = counts.get();
    assert!(some > cases / 5, "only {some} filters matched some but not all");
    assert!(narrow > cases / 4, "only {narrow} filters narrowed the answer");
    assert!(exact > cases / 25, "only {exact} filters were exact");
}

#[test]
fn the_account_state_is_asked_for_by_bits() {
    for server in servers::all() {
        let repository = repository(server);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(repository.prepare(Instant::now() + Duration::from_secs(30))).unwrap();
        let user = ResourceType::user(&[]);
        let plan = |text: &str| repository.plan(&Filter::parse(text, &user).unwrap());
        let (closed, open) = (plan("active eq false"), plan("active eq true"));
        assert!(!closed.scan && !open.scan);
        if server.is_samba() {
            let bits = "(userAccountControl:1.2.840.113556.1.4.803:=2)";
            assert!(closed.text.contains(bits), "{}", closed.text);
            assert!(open.text.contains(&format!("(!(|{bits}")), "{}", open.text);
        } else {
            assert!(
                closed.text.contains("(nsAccountLock=true)") && closed.exact,
                "{}",
                closed.text
            );
            assert!(open.text.contains("(!(nsAccountLock=true))") && open.exact, "{}", open.text);
        }
        let id = format!("id eq \"corp.{}\"", "00112233-4455-6677-8899-aabbccddeeff");
        let key = plan(&id).text;
        let expected = if server.is_samba() {
            "(objectGUID=\\33\\22\\11\\00\\55\\44\\77\\66\\88\\99\\aa\\bb\\cc\\dd\\ee\\ff)"
        } else {
            "(nsUniqueId=00112233-44556677-8899aabb-ccddeeff)"
        };
        assert!(key.contains(expected), "{key}");
    }
}
