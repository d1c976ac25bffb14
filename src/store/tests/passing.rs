//! Rows that pass by, and what the store keeps for the program.

use std::collections::HashSet;

use serde_json::json;

use super::super::{Position, ResourceWrite, Rows, Search, Start, TypeName};
use super::{ACME, Stores, bound, create, local, open, page, shown, sort, urls};
use crate::scim::{Filter, ResourceType};

#[tokio::test]
async fn everybody_passes_by_once_in_the_order_of_numbers() {
    let stores = Stores::new();
    let user = ResourceType::user(&[]);
    let title = Filter::parse("title eq \"Boss\"", &user).unwrap();
    for store in &stores.stores {
        for number in 0..30 {
            let id = format!("u{:02}", 29 - number);
            let title = if number % 3 == 0 { "Boss" } else { "Clerk" };
            let view = json!({ "userName": id, "title": title });
            let write = if number % 2 == 0 { local(view) } else { bound(&id, view) };
            create(store, &id, &write).await.unwrap();
        }
        for (filter, rows, expected) in [
            (None, Rows::All, 30),
            (None, Rows::Linked, 15),
            (None, Rows::Unlinked, 15),
            (Some(&title), Rows::All, 10),
            (Some(&title), Rows::Linked, 5),
        ] {
            let (mut after, mut seen) = (None, Vec::new());
            loop {
                let chunk =
                    store.candidates(ACME, &TypeName::User, filter, rows, after, 4).await.unwrap();
                assert!(chunk.len() <= 4);
                let Some(last) = chunk.last() else { break };
                after = Some(last.number);
                seen.extend(chunk.iter().map(|row| (row.number, row.id.clone())));
            }
            assert!(seen.is_sorted_by(|one, other| one.0 < other.0));
            assert_eq!(seen.iter().map(|row| &row.1).collect::<HashSet<_>>().len(), expected);
        }
        let strangers = store.candidates("other", &TypeName::User, None, Rows::All, None, 9).await;
        assert!(strangers.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_page_goes_on_behind_a_position_or_ends_before_it() {
    for store in &Stores::new().stores {
        let long = "b".repeat(300);
        for (id, name, title) in [
            ("u5", Some("anna"), Some("a")),
            ("u4", Some("Berta"), Some("")),
            ("u3", None, None),
            ("u2", Some("ANNA"), Some("Z")),
            ("u1", Some(long.as_str()), Some("z")),
            ("u0", None, Some(long.as_str())),
            ("u6", Some("c"), None),
        ] {
            let mut view = json!({ "userName": name, "title": title });
            view.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            create(store, id, &ResourceWrite { owns_name: false, ..local(view) }).await.unwrap();
        }
        for path in ["userName", "title", "id", "meta.created", "userType", "emails", "shoeSize"] {
            for descending in [false, true] {
                let sort = sort(path, descending);
                let ask = async |start, limit| {
                    let search = Search { start, limit, ..page(None, &sort, 0, 0) };
                    let answer = store.search(ACME, search).await.unwrap();
                    assert!(answer.exact);
                    assert_eq!(answer.positions.len(), answer.rows.len());
                    answer
                };
                let whole = ask(Start::Beginning, 9).await;
                let whole = shown(&whole.rows).join(" ");
                let listed = store.search(ACME, page(None, &sort, 0, 9)).await.unwrap();
                assert_eq!(whole, shown(&listed.rows).join(" "), "{path}");
                assert!(listed.positions.is_empty());
                for size in [1, 2, 3] {
                    let mut answer = ask(Start::Beginning, size).await;
                    assert_eq!(answer.total, Some(7));
                    let (mut seen, mut pages) = (Vec::new(), Vec::new());
                    while let Some(last) = answer.positions.last().cloned() {
                        seen.extend(answer.rows.iter().map(|row| row.id.clone()));
                        // As it comes back from the client.
                        let kept = Position::at(&last.key(), last.id()).unwrap();
                        let first = answer.positions[0].clone();
                        pages.push((first, shown(&answer.rows).join(" ")));
                        answer = ask(Start::After(kept), size).await;
                    }
                    assert_eq!(seen.join(" "), whole, "{path} {descending} {size}");
                    for two in pages.windows(2) {
                        let before = ask(Start::Before(two[1].0.clone()), size).await;
                        assert_eq!(shown(&before.rows).join(" "), two[0].1, "{path} {descending}");
                    }
                    let first = ask(Start::Before(pages[0].0.clone()), size).await;
                    assert!(first.rows.is_empty());
                }
            }
        }
    }
}

#[tokio::test]
async fn a_key_is_made_once_and_is_everybody_s() {
    let directory = tempfile::tempdir().unwrap();
    for url in urls(&directory) {
        let (one, other) = (open(&url, &[]), open(&url, &[]));
        let (first, second) = tokio::join!(one.key("cursor"), other.key("cursor"));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!(first.expose(), second.expose());
        assert_eq!(first.expose().len(), 32);
        assert_ne!(first.expose(), one.key("something else").await.unwrap().expose());
        one.close().await;
        let again = open(&url, &[]).key("cursor").await.unwrap();
        assert_eq!(first.expose(), again.expose());
    }
}
