//! The push-down loses no match, whatever the values: a real slapd's answer to the pushed filter
//! against the evaluation in memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use icu_casemap::CaseMapperBorrowed;
use icu_normalizer::DecomposingNormalizerBorrowed;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::{BoxedStrategy, Union};
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use super::slapd::{Person, Site, Slapd, uuid};
use super::{bounds, everybody, from, repository, resource, seen, template, typed};
use crate::repository::Repository;
use crate::repository::ldap::filter::LdapFilter;
use crate::repository::ldap::literal::is_plain;
use crate::repository::ldap::wire::{Directory, Paging, Scope, SearchRequest};
use crate::scim::Filter;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const CODES: &str = "urn:hid:scim:api:idp:2.0:UserAttribute";

/// Values that two sides may well see differently.
const NASTY: &[&str] = &[
    "Jensen",
    "JENSEN",
    "jensen",
    "Smith",
    "ſmith",
    "Kelvin",
    "\u{212a}elvin",
    "straße",
    "STRASSE",
    "Straẞe",
    "strasse",
    "σοφός",
    "ΣΟΦΌΣ",
    "σοφόσ",
    "İstanbul",
    "istanbul",
    "I\u{307}stanbul",
    "ıstanbul",
    "José",
    "Jose\u{301}",
    "JOSÉ",
    "Jose",
    "Ångström",
    "\u{212b}ngström",
    "A\u{30a}ngström",
    "a b",
    "a  b",
    " a b",
    "a b ",
    "a\u{a0}b",
    "a\tb",
    "  ",
    " ",
    "ab",
    "a-b",
    "*",
    "(",
    ")",
    "\\",
    "*()\\ % _ ,+\"<>;=#",
    "a*b",
    "a(b)c",
    "%",
    "_",
    "100%",
    "#1",
    "\\2a",
    "*)(uid=*",
    "x=y,z+w",
    "Ａｂ",
    "ﬁn",
    "fin",
    "µm",
    "μm",
    "が",
    "か\u{3099}",
    "かﾞ",
    "가",
    "ㄱㅏ",
    "각",
    "金",
    "\u{f90a}",
    "q\u{301}x",
    "e\u{323}\u{301}",
    "ệ",
    "Nguyễn",
    "NGUYỄN",
    "Петров",
    "ПЕТРОВ",
    "ё",
    "е\u{308}",
    "\u{1f600}",
    "0",
    "00",
    "1",
    "true",
    "null",
    "Παπαδόπουλος",
    "ΠΑΠΑΔΌΠΟΥΛΟΣ",
    "ﬀ",
    "ǆ",
    "ǅ",
];
const MAILS: &[&str] = &[
    "ella@example.org",
    "ELLA@EXAMPLE.ORG",
    "e.hill@corp.example.com",
    " ella@example.org",
    "o'neil+tag@sub.example.net",
    "a  b@example.org",
    "*@example.org",
    "(x)@example.org",
    "s@k",
];
const PHONES: &[&str] =
    &["+47 22 33 44", "+47223344", "+47-22-33-44", "22 33", "Ext. 12", "EXT. 12", "2233-", "-22"];
const TIMES: &[&str] = &["20240229120000Z", "20240229120001Z", "20250101000000Z"];

/// Deterministic, so that a failure comes again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % sides as u64).unwrap()
    }

    fn pick<'a>(&mut self, values: &[&'a str]) -> &'a str {
        values[self.roll(values.len())]
    }
}

fn long() -> String {
    "Ella ".repeat(60)
}

fn population() -> Vec<Person> {
    let mut dice = Dice(7);
    let long = long();
    let mut people: Vec<Person> = (0..140)
        .map(|number| {
            let mut person = Person::new(number);
            let text = ["cn", "sn"];
            for name in text {
                let value = if dice.roll(30) == 0 { &long } else { dice.pick(NASTY) };
                person.add(name, value);
            }
            for name in [
                "givenName",
                "displayName",
                "title",
                "employeeNumber",
                "departmentNumber",
                "ou",
                "o",
                "l",
                "labeledURI",
                "employeeType",
                "preferredLanguage",
            ] {
                if dice.roll(3) > 0 {
                    person.add(name, dice.pick(NASTY));
                }
            }
            for (name, values) in [
                ("mail", MAILS),
                ("telephoneNumber", PHONES),
                ("mobile", PHONES),
                ("loginShell", MAILS),
                ("pwdAccountLockedTime", TIMES),
                ("carLicense", &["19800229", "19991231120000Z", "soon"]),
                ("uidNumber", &["7", "-7", "4294967296"]),
                ("postalAddress", &["1 Main St.$London", "5C\\5C$a\\24b"]),
            ] {
                if dice.roll(3) == 0 {
                    person.add(name, dice.pick(values));
                }
            }
            let second = dice.pick(MAILS);
            if dice.roll(3) == 0 && !person.attributes.iter().any(|(name, _)| name == "mail") {
                person.add("mail", "first@example.org").add("mail", second);
            }
            if dice.roll(8) == 0 {
                person.add("title;lang-de", dice.pick(NASTY));
            }
            if dice.roll(10) == 0 {
                person.add_bytes("description", b"\xff");
            }
            person.add("createTimestamp", dice.pick(TIMES));
            person.add("modifyTimestamp", dice.pick(TIMES));
            person
        })
        .collect();
    // A login of each kind too.
    for (index, login) in ["straße", "İda", "a  b", "ſam", "x*y"].iter().enumerate() {
        let mut person = Person::new(200 + index);
        person.add("uid", login).add("cn", login).add("sn", login);
        people.push(person);
    }
    let mut nul = Person::new(300);
    nul.add("cn", "x").add_bytes("sn", b"a\0b").add_bytes("title", b"a\0b");
    people.push(nul);
    for person in &mut people {
        person.attributes.retain(|(name, value)| name != "description" || value != b"\xff");
    }
    people
}

/// A value of the population, or something near it.
fn word(values: &'static [&'static str]) -> BoxedStrategy<String> {
    let whole = select(values).prop_map(str::to_owned);
    let near =
        (select(values), 0_usize..6, 0_usize..8, 0_usize..8).prop_map(|(value, how, from, len)| {
            let mapper = const { CaseMapperBorrowed::new() };
            match how {
                0 => value.to_uppercase(),
                1 => value.to_lowercase(),
                2 => {
                    const { DecomposingNormalizerBorrowed::new_nfd() }.normalize(value).into_owned()
                }
                3 => value.chars().map(|c| mapper.simple_fold(c)).collect(),
                _ => value.chars().skip(from).take(len + 1).collect(),
            }
        });
    prop_oneof![3 => whole, 3 => near, 1 => Just(String::new()), 1 => Just(long())].boxed()
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn comparison(path: &'static str, values: &'static [&'static str]) -> BoxedStrategy<String> {
    let operator = prop_oneof![8 => Just("eq"), 4 => Just("sw"), 4 => Just("co"), 4 => Just("ew"), 1 => Just("ne"),
            1 => select(&["gt", "ge", "lt", "le"][..])];
    (operator, word(values))
        .prop_map(move |(operator, value)| format!("{path} {operator} {}", quoted(&value)))
        .boxed()
}

fn leaf() -> impl Strategy<Value = String> {
    let mut leaves: Vec<(u32, BoxedStrategy<String>)> = Vec::new();
    for path in [
        "userName",
        "externalId",
        "name.formatted",
        "name.familyName",
        "name.givenName",
        "displayName",
        "title",
        "preferredLanguage",
        "profileUrl",
        "addresses.locality",
        "addresses.formatted",
        "nickName",
        "timezone",
        "locale",
        "userType",
        "shoeSize",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:organization",
        "urn:hid:scim:api:idp:2.0:UserAttribute:attributes.value",
    ] {
        leaves.push((2, comparison(path, NASTY)));
    }
    leaves.push((
        3,
        comparison(
            "userName",
            &["u0001", "U0002", "u00", "u01", "straße", "İda", "a b", "sam", "x*y"],
        ),
    ));
    leaves.push((4, comparison("emails.value", MAILS)));
    leaves.push((1, comparison("emails.value", NASTY)));
    leaves.push((2, comparison("locale", MAILS)));
    leaves.push((4, comparison("phoneNumbers.value", PHONES)));
    leaves.push((1, comparison("emails.type", &["work", "WORK", "home"])));
    leaves.push((1, comparison("phoneNumbers.type", &["work", "mobile", "home"])));
    leaves.push((
        1,
        comparison(
            "urn:hid:scim:api:idp:2.0:UserAttribute:attributes.name",
            &["DOB", "kind", "NR"],
        ),
    ));
    leaves.push((
        1,
        comparison(
            "urn:hid:scim:api:idp:2.0:UserAttribute:attributes.value",
            &["1980-02-29", "7", "soon"],
        ),
    ));
    let element =
        |list: &'static str, kinds: &'static [&'static str], sub: &'static str, values| {
            (
                comparison("type", kinds),
                comparison(sub, values),
                select(&["and", "or"][..]),
                any::<bool>(),
            )
                .prop_map(move |(kind, value, word, negated)| {
                    if negated {
                        format!("{list}[{kind} {word} not ({value})]")
                    } else {
                        format!("{list}[{kind} {word} {value}]")
                    }
                })
                .boxed()
        };
    leaves.push((2, element("emails", &["work", "home"], "value", MAILS)));
    leaves.push((2, element("phoneNumbers", &["work", "mobile"], "value", PHONES)));
    leaves.push((2, element("addresses", &["work", "home"], "locality", NASTY)));
    let path = select(
        &[
            "userName",
            "title",
            "displayName",
            "emails",
            "emails.type",
            "phoneNumbers",
            "name",
            "addresses.formatted",
            "nickName",
            "active",
            "meta.created",
            "id",
            ENTERPRISE,
            CODES,
            "photos",
            "userType",
            "profileUrl",
        ][..],
    );
    leaves.push((4, path.prop_map(|path| format!("{path} pr")).boxed()));
    leaves.push((
        3,
        (select(&["eq", "ne"][..]), any::<bool>())
            .prop_map(|(operator, value)| format!("active {operator} {value}"))
            .boxed(),
    ));
    leaves.push((1, any::<bool>().prop_map(|value| format!("emails.primary eq {value}")).boxed()));
    let time = select(
        &[
            "2024-02-29T12:00:00Z",
            "2024-02-29T12:00:00.5Z",
            "2024-02-29T13:00:01+01:00",
            "2025-01-01T00:00:00Z",
        ][..],
    );
    leaves.push((
        3,
        (
            select(&["meta.created", "meta.lastModified"][..]),
            select(&["eq", "ne", "gt", "ge", "lt", "le"][..]),
            time,
        )
            .prop_map(|(path, operator, time)| format!("{path} {operator} \"{time}\""))
            .boxed(),
    ));
    leaves.push((
        2,
        (select(&["eq", "ne", "sw"][..]), 0_usize..160)
            .prop_map(|(operator, number)| format!("id {operator} \"corp.{}\"", uuid(number)))
            .boxed(),
    ));
    leaves.push((
        1,
        select(&["title", "displayName"][..]).prop_map(|path| format!("{path} eq null")).boxed(),
    ));
    Union::new_weighted(leaves)
}

fn filter() -> impl Strategy<Value = String> {
    leaf().prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) and ({b})")),
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) or ({b})")),
            1 => inner.prop_map(|a| format!("not ({a})")),
        ]
    })
}

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
    let cases = 700_u32;
    let mut runner =
        TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
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
            attributes: vec!["uid".to_owned()],
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
