//! Three readers agree, as far as two of them live here: what SQL selects is what
//! [`Filter::matches`] selects.

use std::sync::LazyLock;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::scim::filter::{Literal, Operator, Text};
use crate::scim::schema::Kind;
use crate::scim::{AttributePath, Attributes, Filter, ResourceType};

use super::super::tests::{new, page, server};
use super::super::{
    LinkRow, NewResource, Presence, ResourceWrite, Rows, Sort, Store, TypeName, UserType,
};

fn path(text: &str) -> AttributePath {
    static USER: LazyLock<ResourceType> = LazyLock::new(|| ResourceType::user(&[]));
    USER.resolve(text)
}

/// What people and filters are made of.
const VALUES: [&str; 30] = [
    "",
    " ",
    "a",
    "A",
    "ab",
    "aB ",
    " ab",
    "a  b",
    "anna",
    "Anna",
    "ANNA@example.com",
    "straße",
    "STRASSE",
    "Straẞe",
    "σίσυφος",
    "ΣΊΣΥΦΟΣ",
    "İstanbul",
    "istanbul",
    "ıstanbul",
    "José",
    "Jose\u{301}",
    "100%",
    "100_",
    "a*b",
    "(a)",
    r"a\b",
    "'; DROP TABLE users; --",
    "\u{10ffff}",
    "\u{d7ff}x",
    "😀",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(VALUES.to_vec()).prop_map(str::to_owned),
        // Around the width of the index, with characters of one to four bytes at the edge.
        2 => (prop::sample::select(vec![250_usize, 252, 253, 255, 256, 257, 300]),
              prop::sample::select(vec!["", "b", "é", "é😀", "😀z"]))
            .prop_map(|(length, tail)| format!("{}{tail}", "a".repeat(length))),
    ]
}

fn date() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "2024-01-01T00:00:00Z",
        "2024-01-01T01:00:00+01:00",
        "2024-01-01T00:00:00.001Z",
        "2024-01-01T00:00:00.0005Z",
        "1969-12-31T23:59:59.9Z",
        "2024-06-01T00:00:00Z",
    ])
    .prop_map(str::to_owned)
}

/// A view with whatever may stand in one, also of a wrong type.
fn view() -> impl Strategy<Value = Attributes> {
    let title = prop_oneof![
        6 => text().prop_map(Value::from),
        1 => Just(json!(5)),
        1 => Just(json!({})),
        1 => Just(Value::Null),
        1 => Just(json!([])),
    ];
    let active = prop_oneof![
        3 => any::<bool>().prop_map(Value::from),
        1 => Just(json!("true")),
    ];
    let value = prop_oneof![8 => text().prop_map(Value::from), 1 => Just(json!(5))];
    let email = (prop::option::of(value), prop::option::of(text()), any::<bool>()).prop_map(
        |(value, kind, primary)| {
            let mut email = serde_json::Map::new();
            email.extend(value.map(|value| ("value".to_owned(), value)));
            email.extend(kind.map(|kind| ("type".to_owned(), kind.into())));
            email.insert("primary".to_owned(), primary.into());
            Value::Object(email)
        },
    );
    let enterprise = (prop::option::of(text()), prop::option::of(text())).prop_map(
        |(number, manager)| json!({"employeeNumber": number, "manager": {"value": manager}}),
    );
    (
        prop::option::of(text()),
        prop::option::of(text()),
        prop::option::of(title),
        prop::option::of(active),
        prop::option::of(prop::collection::vec(email, 0..3)),
        prop::option::of(text()),
        prop::option::of(enterprise),
        prop::option::of(text()),
    )
        .prop_map(|(user, external, title, active, emails, family, enterprise, nick)| {
            let mut view = Attributes::new();
            let mut put = |name: &str, value: Option<Value>| {
                if let Some(value) = value {
                    view.insert(name.to_owned(), value);
                }
            };
            put("userName", user.map(Value::from));
            put("externalId", external.map(Value::from));
            put("title", title);
            put("active", active);
            put("emails", emails.map(Value::from));
            put("name", family.map(|family| json!({"familyName": family})));
            put("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", enterprise);
            put("nickName", nick.map(Value::from));
            view
        })
}

#[derive(Clone, Debug)]
struct Person {
    view: Attributes,
    user_type: UserType,
    entry_modified: Option<Timestamp>,
    at: Timestamp,
}

fn person() -> impl Strategy<Value = Person> {
    let at = prop::sample::select(vec![1_704_067_200_000_i64, 1_704_067_200_001, -100, 0]);
    (view(), prop::sample::select(UserType::ALL.to_vec()), at.clone(), prop::option::of(at))
        .prop_map(|(view, user_type, at, entry)| {
            let instant = |at| Timestamp::from_millisecond(at).unwrap();
            let entry_modified = entry.map(instant);
            Person { view, user_type, entry_modified, at: instant(at) }
        })
}

const TEXT_PATHS: [&str; 11] = [
    "userName",
    "externalId",
    "title",
    "emails.value",
    "name.familyName",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
    "id",
    "userType",
    // Not indexed, and not known.
    "nickName",
    "shoeSize",
];

fn leaf(inside: bool) -> BoxedStrategy<Filter> {
    let operators = vec![
        Operator::Eq,
        Operator::Ne,
        Operator::Co,
        Operator::Sw,
        Operator::Ew,
        Operator::Gt,
        Operator::Ge,
        Operator::Lt,
        Operator::Le,
        Operator::Like,
    ];
    let paths: Vec<_> =
        if inside { vec!["emails.value", "emails.type"] } else { TEXT_PATHS.to_vec() };
    let texts = (
        prop::sample::select(paths.clone()),
        prop::sample::select(operators.clone()),
        prop_oneof![
            8 => text(),
            1 => prop::sample::select(vec!["ftress", "FTRESS_LDAP", "_", "0", "user-3"])
                .prop_map(str::to_owned),
        ],
        any::<u8>(),
    )
        .prop_map(|(path, operator, text, cut)| {
            let path = self::path(path);
            // Parts of values match more often than whole ones.
            let characters: Vec<_> = text.chars().collect();
            let part: String = match cut % 4 {
                0 => characters.iter().take(characters.len().saturating_sub(1)).collect(),
                1 => characters.iter().skip(1).collect(),
                _ => text,
            };
            // Any characters at one place, besides where the values have a star.
            let part = if operator == Operator::Like {
                let middle = part.floor_char_boundary(part.len() / 2);
                format!("{}*{}", &part[..middle], &part[middle..])
            } else {
                part
            };
            let value = Literal::String(Text::new(part, &path));
            Filter::Compare { path, operator, value }
        });
    let present =
        prop::sample::select(paths.clone()).prop_map(|path| Filter::Present(self::path(path)));
    let null = (prop::sample::select(paths), any::<bool>()).prop_map(|(path, equal)| {
        let operator = if equal { Operator::Eq } else { Operator::Ne };
        let path = self::path(path);
        Filter::Compare { path, operator, value: Literal::Null }
    });
    let flags = (any::<bool>(), any::<bool>()).prop_map(move |(equal, value)| {
        let path = if inside { "emails.primary" } else { "active" };
        let operator = if equal { Operator::Eq } else { Operator::Ne };
        let path = self::path(path);
        Filter::Compare { path, operator, value: Literal::Boolean(value) }
    });
    if inside {
        return prop_oneof![6 => texts, 1 => present, 1 => null, 1 => flags].boxed();
    }
    let dates = (
        prop::sample::select(vec!["meta.created", "meta.lastModified"]),
        prop::sample::select(vec![
            Operator::Eq,
            Operator::Ne,
            Operator::Gt,
            Operator::Ge,
            Operator::Lt,
            Operator::Le,
        ]),
        date(),
    )
        .prop_map(|(path, operator, date)| {
            let path = self::path(path);
            let value = Literal::DateTime(crate::scim::text::instant(&date).unwrap());
            Filter::Compare { path, operator, value }
        });
    let complex = prop::sample::select(vec!["emails", "name"])
        .prop_map(|path| Filter::Present(self::path(path)));
    let element = filter(leaf(true), 2)
        .prop_map(|filter| Filter::Element { path: path("emails"), filter: Box::new(filter) });
    prop_oneof![
        12 => texts,
        2 => present,
        1 => null,
        2 => flags,
        2 => dates,
        1 => complex,
        3 => element,
        1 => any::<bool>().prop_map(Filter::Constant),
    ]
    .boxed()
}

fn filter(leaf: BoxedStrategy<Filter>, depth: u32) -> BoxedStrategy<Filter> {
    leaf.prop_recursive(depth, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Filter::Or),
            inner.prop_map(|inner| Filter::Not(Box::new(inner))),
        ]
    })
    .boxed()
}

fn write(number: usize, person: &Person) -> ResourceWrite {
    let link = (person.user_type == UserType::FtressLdap).then(|| LinkRow {
        repository: "corp".to_owned(),
        entry_key: number.to_string(),
        dn: String::new(),
        shadow: Attributes::new(),
        seen: person.at,
        entry_modified: person.entry_modified,
        given: Vec::new(),
        presence: Presence::default(),
    });
    ResourceWrite {
        own: Attributes::new(),
        view: person.view.clone(),
        owns_name: false,
        owns_external_id: false,
        unique: Vec::new(),
        link,
        at: person.at,
    }
}

/// The user as a filter in memory sees it.
fn merged(id: &str, person: &Person) -> Attributes {
    let entry = person.entry_modified.filter(|_| person.user_type == UserType::FtressLdap);
    let modified = entry.map_or(person.at, |entry| entry.max(person.at));
    let mut merged = person.view.clone();
    merged.insert("id".to_owned(), id.into());
    merged.insert("userType".to_owned(), person.user_type.name().into());
    let meta = json!({"created": person.at.to_string(), "lastModified": modified.to_string()});
    merged.insert("meta".to_owned(), meta);
    merged
}

fn by_user_name() -> Sort {
    Sort { path: path("userName"), descending: false }
}

#[test]
fn sql_selects_what_memory_selects() {
    agree("sqlite::memory:", 500);
}

#[test]
fn postgresql_selects_what_memory_selects() {
    agree(&server::schema(), 340);
}

/// Every case has six filters, and tenants of its own in one store.
fn agree(url: &str, cases: u32) {
    let mut runner = TestRunner::new(crate::scim::cases::of(cases, 16_700));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = Store::open(url, &[], Clock::system()).unwrap();
    let number = std::cell::Cell::new(0_u32);
    let tally = std::cell::Cell::new((0_u32, 0_u32, 0_u32));
    let cases =
        (prop::collection::vec(person(), 6..12), prop::collection::vec(filter(leaf(false), 3), 6));
    let outcome = runner.run(&cases, |(people, filters)| {
        number.set(number.get() + 1);
        let (tenant, other) = (format!("acme{}", number.get()), format!("other{}", number.get()));
        runtime.block_on(async {
            let mut users = Vec::new();
            for (number, person) in people.iter().enumerate() {
                let id = format!("user-{number}");
                let write = write(number, person);
                let new = NewResource { user_type: person.user_type, ..new(&id, &write) };
                for tenant in [&tenant, &other] {
                    store.create(tenant, new.clone()).await.unwrap();
                }
                users.push((id.clone(), merged(&id, person)));
            }
            for filter in &filters {
                let answer = store
                    .search(&tenant, page(Some(filter), &by_user_name(), 0, 100))
                    .await
                    .unwrap();
                let mut found: Vec<_> = answer.rows.iter().map(|row| row.id.clone()).collect();
                found.sort();
                let mut expected: Vec<_> = users
                    .iter()
                    .filter(|(_, merged)| filter.matches(merged))
                    .map(|(id, _)| id.clone())
                    .collect();
                expected.sort();
                if answer.exact {
                    prop_assert_eq!(&found, &expected, "{}", filter);
                    prop_assert_eq!(answer.total, Some(expected.len() as u64));
                } else {
                    let lost: Vec<_> = expected.iter().filter(|id| !found.contains(id)).collect();
                    prop_assert!(lost.is_empty(), "{filter} lost {lost:?}");
                }
                let (all, exact, some) = tally.get();
                let parted = !expected.is_empty() && expected.len() < users.len();
                tally.set((all + 1, exact + u32::from(answer.exact), some + u32::from(parted)));
            }
            Ok(())
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let (all, exact, some) = tally.get();
    assert!(exact * 2 > all, "{exact} of {all} were exact");
    assert!(some * 10 > all * 3, "{some} of {all} matched some and not all");
}

/// What the tables do not show: that the filters people use are answered by an index, and that only
/// what the index cannot tell is left to memory.
#[tokio::test]
async fn usual_filters_are_exact_and_use_an_index() {
    let store = Store::open("sqlite::memory:", &[], Clock::system()).unwrap();
    let user = ResourceType::user(&[]);
    for (text, exact, indexed) in [
        (r#"userName eq "anna""#, true, true),
        (r#"userName sw "an" and active eq true"#, true, true),
        (r#"externalId eq "7" or emails.value eq "a@x""#, true, true),
        (r#"emails[value co "@x"]"#, true, true),
        (r#"emails eq "a@x" and not (userType eq "SCIM_FED")"#, true, true),
        (r#"meta.lastModified gt "2024-01-01T00:00:00Z""#, true, true),
        ("shoeSize pr or userName pr", true, false),
        (r#"emails[type eq "work" and value eq "a@x"]"#, false, true),
        (r#"nickName eq "x" and title eq "y""#, false, true),
        (r#"not (emails[value ne "x"])"#, false, false),
        (r#"nickName eq "x" or title eq "y""#, false, false),
    ] {
        let filter = Filter::parse(text, &user).unwrap();
        let condition =
            super::Condition::new("acme", &TypeName::User, Some(&filter), Rows::All, &store.index);
        assert_eq!(condition.exact, exact, "{text}");
        assert_eq!(condition.sql.contains("+r.tenant"), indexed, "{text}: {}", condition.sql);
    }
}

#[tokio::test]
async fn the_largest_filters_are_answered() {
    for url in ["sqlite::memory:", &server::schema()] {
        largest(&Store::open(url, &[], Clock::system()).unwrap()).await;
    }
}

async fn largest(store: &Store) {
    let user = ResourceType::user(&[]);
    let leaf = |path: &str, operator, text: String| {
        let path = user.resolve(path);
        let value = Literal::String(Text::new(text, &path));
        Filter::Compare { path, operator, value }
    };
    let many = |operator| -> Vec<_> {
        (0..511)
            .map(|number| {
                let path = ["title", "userName", "emails.value"][number % 3];
                leaf(path, operator, format!("x{number}"))
            })
            .collect()
    };
    let long = leaf("title", Operator::Co, "%".repeat(20_000));
    let mut deep = leaf("title", Operator::Eq, "x".to_owned());
    for _ in 0..32 {
        deep = Filter::Not(Box::new(Filter::And(vec![deep, Filter::Constant(true)])));
    }
    for (filter, exact) in [
        (Filter::And(many(Operator::Ne)), true),
        (Filter::Or(many(Operator::Eq)), true),
        (Filter::Or(many(Operator::Co)), true),
        (Filter::Or(vec![leaf("title", Operator::Eq, "a".to_owned()), long.clone()]), false),
        (Filter::Not(Box::new(long)), false),
        (deep, true),
    ] {
        let answer =
            store.search("acme", page(Some(&filter), &by_user_name(), 0, 10)).await.unwrap();
        assert_eq!(answer.exact, exact);
    }
    assert_eq!(user.resolve("active").kind, Kind::Boolean);
}
