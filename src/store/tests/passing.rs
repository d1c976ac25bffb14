//! Rows that pass by, and what the store keeps for the program.

use std::collections::HashSet;

use super::super::{Rows, TypeName};
use super::{ACME, Stores, bound, create, local, open, urls};
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
            let view = serde_json::json!({ "userName": id, "title": title });
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
