//! Pages that go on where another ended: the same list, whichever way it is walked, out of an index.

use proptest::prelude::*;
use serde_json::json;

use super::super::search::bounded;
use super::super::walk::{Way, runs};
use super::super::{Position, Rows, Search, Start, StoreAnswer, TypeName, condition};
use super::{ACME, Stores, bound, create, local, new, open, page, shown, sort};
use crate::scim::{Filter, ResourceType};
use crate::store::{NewResource, Store, UserType};

const ORDERS: [&str; 9] = [
    "userName",
    "title",
    "active",
    "emails",
    "id",
    "userType",
    "meta.created",
    "meta.lastModified",
    "shoeSize",
];

/// Few values, so that many are equal, and some that are long.
fn people() -> impl Strategy<Value = Vec<(Option<u8>, Option<u8>, u8)>> {
    prop::collection::vec((prop::option::of(0..4_u8), prop::option::of(0..5_u8), 0..12_u8), 0..18)
}

async fn fill(store: &Store, tenant: &str, people: &[(Option<u8>, Option<u8>, u8)]) {
    let text = |value: u8| match value {
        4 => "x".repeat(300),
        3 => "x".repeat(256),
        value => format!("T{value}"),
    };
    for (number, (name, title, rest)) in people.iter().enumerate() {
        let id = format!("u{:02}", (number * 7) % 19);
        let mut write = match rest % 2 {
            0 => local(json!({})),
            _ => bound(&id, json!({})),
        };
        write.owns_name = false;
        write.owns_external_id = false;
        write.at = super::at(i64::from(*rest % 3));
        let name = name.map(text);
        write.view = super::attributes(json!({
            "userName": name, "title": title.map(text), "active": rest % 4 == 0,
            "emails": [{"value": format!("{}@x", rest % 3)}, {"value": "z@x"}],
        }));
        if rest % 5 == 0 {
            write.view.remove("emails");
            write.view.insert("title".into(), json!(5));
        }
        let user_type = if rest % 3 == 0 { UserType::ScimFed } else { UserType::Ftress };
        let made = store.create(tenant, NewResource { user_type, ..new(&id, &write) }).await;
        made.unwrap();
    }
}

async fn go(store: &Store, tenant: &str, search: Search<'_>) -> StoreAnswer {
    let answer = store.search(tenant, search).await.unwrap();
    assert!(answer.exact);
    let ends = (answer.first.is_some(), answer.last.is_some());
    assert_eq!(ends, (!answer.rows.is_empty(), !answer.rows.is_empty()));
    answer
}

fn ids(answer: &StoreAnswer) -> Vec<String> {
    answer.rows.iter().map(|row| row.id.clone()).collect()
}

/// The list page by page, from end to end, forth and back.
async fn walked(store: &Store, tenant: &str, whole: Search<'_>, size: u64) -> [Vec<String>; 2] {
    let mut forth = Vec::new();
    let mut last: Option<Position> = None;
    loop {
        let start = last.as_ref().map_or(Start::Offset(0), Start::After);
        let answer = go(store, tenant, Search { start, limit: size, ..whole }).await;
        forth.extend(ids(&answer));
        if answer.last.is_some() {
            last = answer.last;
        }
        if !answer.more {
            break;
        }
    }
    let mut back = Vec::new();
    if let Some(mut end) = last {
        back.push(end.id.clone());
        loop {
            let start = Start::Before(&end);
            let answer = go(store, tenant, Search { start, limit: size, ..whole }).await;
            back.extend(ids(&answer).into_iter().rev());
            let more = answer.more;
            match answer.first {
                Some(first) => end = first,
                None => break,
            }
            if !more {
                break;
            }
        }
        back.reverse();
    }
    [forth, back]
}

fn agree(url: &str, cases: u32) {
    let store = open(url, &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let number = std::cell::Cell::new(0);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let filters = [
        None,
        Some("not (title eq \"t0\")"),
        Some("emails.value sw \"1\" or title pr"),
        Some("userName eq \"t1\" or title eq \"t2\" or emails.value eq \"1@x\""),
    ];
    proptest!(config, |(people in people(), descending: bool, size in 1..7_u64, filter in 0..4_usize)| {
        number.set(number.get() + 1);
        let tenant = format!("acme{}", number.get());
        let filter = filters[filter].map(|text| Filter::parse(text, &ResourceType::user(&[])).unwrap());
        runtime.block_on(async {
            fill(&store, &tenant, &people).await;
            for order in ORDERS {
                let sort = sort(order, descending);
                let whole = page(filter.as_ref(), &sort, 0, 100);
                let all = ids(&go(&store, &tenant, whole).await);
                let [forth, back] = walked(&store, &tenant, whole, size).await;
                prop_assert_eq!(&forth, &all, "{} forth", order);
                prop_assert_eq!(&back, &all, "{} back", order);
                for offset in 0..=all.len() {
                    let start = Start::Offset(offset as u64);
                    let part = go(&store, &tenant, Search { start, limit: size, ..whole }).await;
                    let end = all.len().min(offset + usize::try_from(size).unwrap());
                    prop_assert_eq!(&ids(&part)[..], &all[offset..end], "{} {}", order, offset);
                    prop_assert_eq!(part.total, Some(all.len() as u64));
                    prop_assert_eq!(part.more, end < all.len());
                }
            }
            Ok(())
        })?;
    });
}

#[test]
fn pages_make_up_the_list() {
    agree("sqlite::memory:", 60);
}

#[test]
fn pages_make_up_the_list_on_postgresql() {
    agree(&super::server::schema(), 12);
}

#[tokio::test]
async fn a_page_goes_on_where_its_row_has_gone() {
    for store in &Stores::new().stores {
        for id in ["u1", "u2", "u3", "u4"] {
            create(store, id, &local(json!({"userName": id}))).await.unwrap();
        }
        let sort = sort("userName", false);
        let first = go(store, ACME, page(None, &sort, 0, 2)).await;
        let gone = first.rows[1].clone();
        store.delete(ACME, &gone, false, super::record(super::Action::Delete, "u2")).await.unwrap();
        create(store, "u25", &local(json!({"userName": "u25"}))).await.unwrap();
        let start = Start::After(first.last.as_ref().unwrap());
        let next = go(store, ACME, Search { start, ..page(None, &sort, 0, 2) }).await;
        assert_eq!((shown(&next.rows), next.more, next.total), (vec!["u25", "u3"], true, Some(4)));
        let start = Start::Before(next.first.as_ref().unwrap());
        let before = go(store, ACME, Search { start, ..page(None, &sort, 0, 2) }).await;
        assert_eq!((shown(&before.rows), before.more), (vec!["u1"], false));
    }
}

/// A list that is read and sorted whole answers rightly, and slowly.
#[tokio::test]
async fn no_page_sorts_the_list() {
    let store = open("sqlite::memory:", &[]);
    for type_name in [TypeName::User, TypeName::Group] {
        let condition = condition::Condition::new(ACME, &type_name, None, Rows::All, &store.index);
        for order in ORDERS.into_iter().chain(["externalId", "name.familyName", "displayName"]) {
            let sort = sort(order, false);
            let Some(runs) = runs(&store.index, &type_name, &sort) else { continue };
            for run in &runs {
                let from = Position {
                    absent: false,
                    fold: "1".into(),
                    rest: String::new(),
                    id: "u".into(),
                };
                let aligned = |rising| (rising, if rising { Way::Forth } else { Way::Back });
                let mut queries = Vec::new();
                for rising in [true, false] {
                    for from in [None, Some(&from)] {
                        queries.push(run.query(&condition, aligned(rising), from, 0, 9).unwrap());
                        if run.has_keys() {
                            queries.push(run.stretch(&condition, rising, from, 9).unwrap());
                        }
                    }
                    if run.has_keys() {
                        let (_, way) = aligned(rising);
                        queries.push(run.family(&condition, &from, Some("u"), way, 9).unwrap());
                        queries.push(run.family(&condition, &from, None, way, 9).unwrap());
                    }
                }
                for mut query in queries {
                    query.sql = format!("EXPLAIN QUERY PLAN {}", query.sql).into();
                    let sql = query.sql.clone();
                    for mut row in store.engine.query(query).await.unwrap() {
                        for _ in 0..3 {
                            row.integer().unwrap();
                        }
                        let step = row.text().unwrap();
                        assert!(!step.contains("TEMP B-TREE"), "{order}: {step} of {sql}");
                        let whole = step.starts_with("SCAN") && !step.contains("CONSTANT");
                        assert!(
                            !whole && !step.ends_with("(tenant=?)"),
                            "{order}: {step} of {sql}"
                        );
                    }
                }
            }
        }
    }
    assert_eq!(bounded(u64::MAX), i64::MAX);
}
