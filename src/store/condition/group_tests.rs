//! Filters on groups and members select in SQL what they select in memory, on resources that show
//! the groups that they are in and the members that they have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::engine::{Change, Expect};
use super::super::tests::{attributes, local, new, page, server};
use super::super::{Members, NewResource, Search, Sort, Store, TypeName};
use super::Condition;
use crate::clock::Clock;
use crate::scim::filter::{Literal, Operator, Text};
use crate::scim::{Attributes, Filter, ResourceType};
use crate::store::Rows;

/// Ids of four users and four groups; some differ only in case from what is asked for.
const IDS: [&str; 8] = ["u-0", "corp.E-1", "u-2", "u-3", "g-0", "g-1", "g-2", "g-3"];
const DISPLAYS: [&str; 4] = ["Staff", "straße", "Other", "x"];

/// Who is in which of the groups, by places in [`IDS`].
fn graph() -> impl Strategy<Value = BTreeSet<(usize, usize)>> {
    prop::collection::btree_set((4..8_usize, 0..8_usize), 0..14)
}

fn filter(kind: &'static ResourceType) -> BoxedStrategy<Filter> {
    let paths: &[&str] = match kind.name.as_str() {
        "User" => &["groups.value", "groups.value", "groups.display", "groups.type", "id"],
        _ => &["members.value", "members.value", "members.display", "displayName", "id"],
    };
    let operators = vec![
        Operator::Eq,
        Operator::Eq,
        Operator::Eq,
        Operator::Ne,
        Operator::Co,
        Operator::Sw,
        Operator::Ew,
        Operator::Gt,
        Operator::Le,
    ];
    let texts: Vec<&str> = IDS
        .into_iter()
        .chain(DISPLAYS)
        .chain(["STAFF", "STRASSE", "CORP.e-1", "g", "1", ""])
        .collect();
    let compare = (
        prop::sample::select(paths.to_vec()),
        prop::sample::select(operators),
        prop::sample::select(texts),
    )
        .prop_map(move |(path, operator, text)| {
            let path = kind.resolve(path);
            let value = Literal::String(Text::new(text, &path));
            Filter::Compare { path, operator, value }
        });
    let holder = if kind.name == "User" { "groups" } else { "members" };
    let present = prop::sample::select(vec!["", ".value", ".display"])
        .prop_map(move |sub| Filter::Present(kind.resolve(&format!("{holder}{sub}"))));
    let null = any::<bool>().prop_map(move |equal| Filter::Compare {
        path: kind.resolve(&format!("{holder}.value")),
        operator: if equal { Operator::Eq } else { Operator::Ne },
        value: Literal::Null,
    });
    let element = prop::sample::select(vec!["g-1", "u-2", "G-3"]).prop_map(move |text| {
        let path = kind.resolve(&format!("{holder}.value"));
        let value = Literal::String(Text::new(text, &path));
        let inner = Filter::Compare { path, operator: Operator::Eq, value };
        Filter::Element { path: kind.resolve(holder), filter: Box::new(inner) }
    });
    let leaf = prop_oneof![10 => compare, 1 => present, 1 => null, 2 => element];
    leaf.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Filter::Or),
            inner.prop_map(|inner| Filter::Not(Box::new(inner))),
        ]
    })
    .boxed()
}

fn write(place: usize) -> Attributes {
    attributes(match place {
        0..4 => json!({"userName": IDS[place]}),
        _ => json!({"displayName": DISPLAYS[place - 4]}),
    })
}

/// Whether a user is in a group because a rule gave it: then in none that is around that one.
fn is_given((group, member): (usize, usize)) -> bool {
    member < 4 && (group + member).is_multiple_of(3)
}

/// The resource as a filter in memory sees it.
fn merged(place: usize, graph: &BTreeSet<(usize, usize)>) -> Attributes {
    let mut merged = write(place);
    merged.insert("id".to_owned(), IDS[place].into());
    let shown = |other: usize| match other {
        0..4 => IDS[other],
        _ => DISPLAYS[other - 4],
    };
    let mut groups: BTreeMap<usize, &str> = BTreeMap::new();
    let mut reached = vec![place];
    while let Some(member) = reached.pop() {
        for (group, _) in graph.iter().filter(|edge| edge.1 == member && !is_given(**edge)) {
            let how = if member == place { "direct" } else { "indirect" };
            let known = groups.insert(*group, how);
            match known {
                None => reached.push(*group),
                Some("direct") => drop(groups.insert(*group, "direct")),
                Some(_) => {}
            }
        }
    }
    for (group, _) in graph.iter().filter(|edge| edge.1 == place && is_given(**edge)) {
        groups.insert(*group, "direct");
    }
    let list = |elements: Vec<Value>| (!elements.is_empty()).then_some(Value::Array(elements));
    let (name, elements) = if place < 4 {
        let each = |(group, how): (&usize, &&str)| json!({"value": IDS[*group], "display": shown(*group), "type": how});
        ("groups", groups.iter().map(each).collect())
    } else {
        let members = graph.iter().filter(|edge| edge.0 == place && !is_given(**edge));
        let each = |(_, of): &(usize, usize)| json!({"value": IDS[*of], "display": shown(*of)});
        ("members", members.map(each).collect())
    };
    if let Some(elements) = list(elements) {
        merged.insert(name.to_owned(), elements);
    }
    merged
}

fn leaked(kind: ResourceType) -> &'static ResourceType {
    Box::leak(Box::new(kind))
}

async fn fill(store: &Store, tenant: &str, graph: &BTreeSet<(usize, usize)>) {
    for (place, id) in IDS.into_iter().enumerate() {
        let mut write = local(json!({}));
        write.view = self::write(place);
        let type_name = if place < 4 { TypeName::User } else { TypeName::Group };
        store.create(tenant, NewResource { type_name, ..new(id, &write) }).await.unwrap();
    }
    for (place, id) in IDS.into_iter().enumerate().skip(4) {
        let key = super::super::RowKey::Id(id.to_owned());
        let row = store.find(tenant, &key).await.unwrap().remove(0);
        let add: Vec<String> = graph
            .iter()
            .filter(|edge| edge.0 == place && !is_given(**edge))
            .map(|(_, of)| IDS[*of].to_owned())
            .collect();
        let members = Members { add: &add, ..Members::default() };
        let record = new(id, &local(json!({}))).record;
        store.update_group(tenant, &row, None, members, record).await.unwrap();
        let mut change = Change::default();
        for (_, of) in graph.iter().filter(|edge| edge.0 == place && is_given(**edge)) {
            change.push(
                "INSERT INTO gifts (resource_key, kind, id, rules) \
                 SELECT r.key, 0, $1, 7 FROM resources r WHERE r.id = $2 \
                 AND r.tenant = (SELECT key FROM tenants WHERE name = $3)",
                [id.into(), IDS[*of].into(), tenant.into()],
                Expect::Exactly(1),
            );
        }
        store.engine.execute(change).await.unwrap();
    }
}

fn agree(url: &str, cases: u32) {
    let (user, group) = (leaked(ResourceType::user(&[])), leaked(ResourceType::group(&[])));
    let store = Store::open(url, &[], Clock::system()).unwrap();
    store.index.gives.store(true, Ordering::Release);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let number = std::cell::Cell::new(0_u32);
    let tally = std::cell::Cell::new((0_u32, 0_u32, 0_u32));
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let of_users = prop::collection::vec(filter(user), 5);
    let of_groups = prop::collection::vec(filter(group), 5);
    proptest!(config, |(graph in graph(), of_users in of_users, of_groups in of_groups)| {
        number.set(number.get() + 1);
        let tenant = format!("acme{}", number.get());
        runtime.block_on(async {
            fill(&store, &tenant, &graph).await;
            let users = of_users.iter().map(|filter| (TypeName::User, 0..4, filter));
            let groups = of_groups.iter().map(|filter| (TypeName::Group, 4..8, filter));
            for (type_name, places, filter) in users.chain(groups) {
                let sort = Sort { path: user.resolve("id"), descending: false };
                let search = Search { type_name: &type_name, ..page(Some(filter), &sort, 0, 100) };
                let answer = store.search(&tenant, search).await.unwrap();
                let mut found: Vec<_> = answer.rows.iter().map(|row| row.id.as_str()).collect();
                found.sort_unstable();
                let mut expected: Vec<_> = places
                    .filter(|place| filter.matches(&merged(*place, &graph)))
                    .map(|place| IDS[place])
                    .collect();
                expected.sort_unstable();
                if answer.exact {
                    prop_assert_eq!(&found, &expected, "{}", filter);
                } else {
                    let lost: Vec<_> = expected.iter().filter(|id| !found.contains(id)).collect();
                    prop_assert!(lost.is_empty(), "{filter} lost {lost:?}");
                }
                let (all, exact, some) = tally.get();
                let parted = !expected.is_empty() && expected.len() < 4;
                tally.set((all + 1, exact + u32::from(answer.exact), some + u32::from(parted)));
            }
            Ok(())
        })?;
    });
    let (all, exact, some) = tally.get();
    assert!(exact * 5 > all * 3, "{exact} of {all} were exact");
    assert!(some * 5 > all, "{some} of {all} matched some and not all");
}

#[test]
fn sql_knows_who_is_in_which_group() {
    agree("sqlite::memory:", 150);
}

#[test]
fn postgresql_knows_who_is_in_which_group() {
    agree(&server::schema(), 30);
}

#[tokio::test]
async fn usual_filters_on_groups_are_exact_and_use_an_index() {
    let store = Store::open("sqlite::memory:", &[], Clock::system()).unwrap();
    store.index.gives.store(true, Ordering::Release);
    for (type_name, text, indexed) in [
        (TypeName::User, r#"groups.value eq "g""#, true),
        (TypeName::User, r#"groups eq "g" and active eq true"#, true),
        (TypeName::User, r#"groups[value eq "g"]"#, true),
        (TypeName::User, r#"groups.display eq "Staff""#, true),
        (TypeName::User, r#"not (groups.value eq "g")"#, false),
        (TypeName::User, "groups pr", false),
        (TypeName::Group, r#"id eq "g" and members eq "u""#, true),
        (TypeName::Group, r#"members.value eq "u""#, true),
        (TypeName::Group, r#"displayName eq "a" or members[value eq "u"]"#, true),
    ] {
        let kind = if type_name == TypeName::User {
            ResourceType::user(&[])
        } else {
            ResourceType::group(&[])
        };
        let filter = Filter::parse(text, &kind).unwrap();
        let condition = Condition::new("acme", &type_name, Some(&filter), Rows::All, &store.index);
        assert!(condition.exact, "{text}");
        assert_eq!(condition.candidates, indexed, "{text}");
        let sql =
            format!("EXPLAIN QUERY PLAN SELECT r.key FROM resources r WHERE {}", condition.sql);
        let query =
            super::super::engine::Query { sql: sql.clone().into(), values: condition.values };
        let mut steps = Vec::new();
        for mut row in store.engine.query(query).await.unwrap() {
            for _ in 0..3 {
                row.integer().unwrap();
            }
            steps.push(row.text().unwrap());
        }
        for step in &steps {
            let whole = step.contains("SCAN members")
                || step.contains("SCAN m")
                || step.contains("SCAN v")
                || step.contains("SCAN gifts")
                || step.contains("SCAN i ")
                || step.contains("SCAN resources");
            assert!(!whole && !step.ends_with("(tenant=?)"), "{text}: {steps:?}");
        }
    }
}
