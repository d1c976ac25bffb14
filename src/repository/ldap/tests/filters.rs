//! Random filters over the values of [`super::people`].

use icu_casemap::CaseMapperBorrowed;
use icu_normalizer::DecomposingNormalizerBorrowed;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::{BoxedStrategy, Union};
use serde_json::Value;

use super::people::{MAILS, NASTY, PHONES, long};
use super::slapd::uuid;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const CODES: &str = "urn:hid:scim:api:idp:2.0:UserAttribute";

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

type Leaves = Vec<(u32, BoxedStrategy<String>)>;

fn leaf() -> impl Strategy<Value = String> {
    Union::new_weighted([comparisons(), elements(), others()].concat())
}

fn comparisons() -> Leaves {
    let mut leaves = Leaves::new();
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
    leaves
}

fn elements() -> Leaves {
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
    vec![
        (2, element("emails", &["work", "home"], "value", MAILS)),
        (2, element("phoneNumbers", &["work", "mobile"], "value", PHONES)),
        (2, element("addresses", &["work", "home"], "locality", NASTY)),
    ]
}

fn others() -> Leaves {
    let mut leaves = Leaves::new();
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
    leaves
}

pub fn filter() -> impl Strategy<Value = String> {
    leaf().prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) and ({b})")),
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) or ({b})")),
            1 => inner.prop_map(|a| format!("not ({a})")),
        ]
    })
}
