//! The filter language by property: for any filter, any text, anybody.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::tests::{ENTERPRISE, USER, parse};
use super::*;
use crate::scim::resource::Attributes;
use crate::scim::schema::Kind;
use crate::scim::text::instant;

fn path(kinds: &'static [Kind]) -> impl Strategy<Value = AttributePath> {
    let names = [
        "userName",
        "externalId",
        "id",
        "name.familyName",
        "emails.value",
        "emails.type",
        "active",
        "emails.primary",
        "meta.created",
        "meta.location",
        "title",
        "profileUrl",
        "roles.value",
        "x509Certificates.value",
        "urn:example:Badge:number",
        "urn:example:Badge:weight",
        "userRepositoryId",
        "urn:hid:scim:api:idp:2.0:UserAttribute:attributes.name",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
    ];
    let paths: Vec<_> = names
        .into_iter()
        .map(|name| USER.resolve(name))
        .filter(|path| kinds.contains(&path.kind))
        .collect();
    prop::sample::select(paths)
}

fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-cA-C ßςİ*()%_\\\\\"]{0,6}",
        any::<String>().prop_map(|text| text.replace('\0', "")),
    ]
}

fn operator(operators: &'static [Operator]) -> impl Strategy<Value = Operator> {
    prop::sample::select(operators)
}

const EQUAL: &[Operator] = &[Operator::Eq, Operator::Ne];
const ORDER: &[Operator] =
    &[Operator::Eq, Operator::Ne, Operator::Gt, Operator::Ge, Operator::Lt, Operator::Le];

fn leaf() -> impl Strategy<Value = Filter> {
    const STRINGS: &[Kind] = &[Kind::String, Kind::Reference];
    const NUMBERS: &[Kind] = &[Kind::Integer, Kind::Decimal];
    let compare = |(path, operator, value)| Filter::Compare { path, operator, value };
    let date = (-62_000_000_000_i64..253_000_000_000, 0..1_000_000_000_i32)
        .prop_map(|(second, nano)| Literal::DateTime(Timestamp::new(second, nano).unwrap()));
    let number = prop_oneof![
        any::<i32>().prop_map(f64::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()),
    ];
    prop_oneof![
        4 => (path(STRINGS), operator(&Operator::ALL), string()).prop_map(
            |(path, operator, text)| {
                let value = Literal::String(Text::new(text, &path));
                Filter::Compare { path, operator, value }
            }
        ),
        1 => (path(&[Kind::Boolean]), operator(EQUAL), any::<bool>().prop_map(Literal::Boolean))
            .prop_map(compare),
        1 => (path(NUMBERS), operator(ORDER), number.prop_map(Literal::Number)).prop_map(compare),
        1 => (path(&[Kind::DateTime]), operator(ORDER), date).prop_map(compare),
        1 => (path(STRINGS), operator(EQUAL), Just(Literal::Null)).prop_map(compare),
        1 => path(STRINGS).prop_map(Filter::Present),
        1 => "[a-z]{2}[a-zA-Z0-9_-]{0,5}x(\\.[a-z]{1,4}x)?".prop_map(|name| {
            let path = USER.resolve(&name);
            let value = Literal::String(Text::new("v", &path));
            Filter::Compare { path, operator: Operator::Sw, value }
        }),
        1 => string().prop_map(|text| {
            let [kind, value] = ["emails.type", "emails.value"].map(|name| USER.resolve(name));
            let value = Filter::Compare {
                operator: Operator::Co,
                value: Literal::String(Text::new(text, &value)),
                path: value,
            };
            let kind = Filter::Not(Box::new(Filter::Present(kind)));
            let inner = Filter::or([Filter::and([kind.clone(), value.clone()]), kind]);
            Filter::Element { path: USER.resolve("emails"), filter: Box::new(inner) }
        }),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    leaf().prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::and),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::or),
            inner.prop_map(|part| Filter::Not(Box::new(part))),
        ]
    })
}

/// Something shaped like a person, with values of any type in any place.
fn odd_person() -> impl Strategy<Value = Attributes> {
    let value = prop_oneof![
        Just(Value::Null),
        Just(json!([])),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        string().prop_map(Value::from),
        string().prop_map(|text| json!({ "value": text, "type": [null, 1], "primary": "True" })),
        string().prop_map(|text| json!([{ "value": text }, text, null, [text]])),
    ];
    let name = prop::sample::select(vec![
        "userName",
        "id",
        "externalId",
        "name",
        "emails",
        "active",
        "meta",
        "title",
        "roles",
        "urn:example:Badge",
        ENTERPRISE,
    ]);
    prop::collection::vec((name, value), 0..8)
        .prop_map(|members| members.into_iter().map(|(name, v)| (name.to_owned(), v)).collect())
}

proptest! {
    #![proptest_config(crate::scim::cases::of(2_000, 100_000))]

    #[test]
    fn what_is_printed_reads_back(filter in filter()) {
        let text = filter.to_string();
        let read = Filter::parse(&text, &USER);
        prop_assert_eq!(read.as_ref().ok(), Some(&filter), "{}: {:?}", text, read);
        prop_assert_eq!(parse(&text).canonical(), filter.canonical());
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = Filter::parse(&text, &USER);
    }

    #[test]
    fn text_that_is_nearly_a_filter_is_read_or_refused(words in prop::collection::vec(
        prop::sample::select(vec![
            "(", ")", "[", "]", "not", "and", "or", "eq", "pr", "co", "userName", "emails", ".value",
            "\"x\"", "\"", "\\", "\\u12", "null", "true", "5", "1e999", "-", "é", "urn:a:b", ".", "$ref",
            " ", "\"2011-05-13T04:42:34Z\"", "meta.created", "active",
        ]), 0..30), between in prop::sample::select(vec!["", " "])
    ) {
        let text = words.join(between);
        if let Ok(filter) = Filter::parse(&text, &USER) {
            prop_assert_eq!(parse(&filter.to_string()), filter);
        }
    }

    #[test]
    fn simplify_keeps_the_meaning(filter in filter(), person in odd_person()) {
        let outcome = filter.matches(&person);
        prop_assert_eq!(filter.clone().simplify().matches(&person), outcome);
        prop_assert_eq!(filter.clone().negate().matches(&person), !outcome);
        // A leaf replaced by its outcome changes nothing for this person.
        let known = filter.rewrite(&mut |leaf| Some(Filter::Constant(leaf.matches(&person))));
        prop_assert_eq!(known.simplify(), Filter::Constant(outcome));
    }

    #[test]
    fn dates_are_printed_as_they_are_read(second in -62_000_000_000_i64..253_000_000_000) {
        let at = Timestamp::from_second(second).unwrap();
        prop_assert_eq!(instant(&at.to_string()), Some(at));
    }
}
