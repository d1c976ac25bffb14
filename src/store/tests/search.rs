//! Pages, their order, and the index behind them.

use serde_json::json;

use super::super::engine::{Change, Expect};
use super::super::{Rows, Search, TypeName, condition};
use super::{ACME, Stores, bound, create, local, open, search, shown, sort, urls};
use crate::scim::{Filter, ResourceType};

#[tokio::test]
async fn pages_are_sorted_and_counted() {
    for store in &Stores::new().stores {
        let long = "b".repeat(300);
        let longer = format!("{long}b");
        let exactly = "b".repeat(256);
        for (id, name, title) in [
            ("u5", Some("anna"), Some("a")),
            ("u4", Some("Berta"), Some("")),
            ("u3", None, None),
            ("u2", Some(longer.as_str()), Some("Z")),
            ("u1", Some(long.as_str()), Some("z")),
            ("u0", None, Some(exactly.as_str())),
            ("u6", Some(exactly.as_str()), Some(long.as_str())),
        ] {
            create(store, id, &local(json!({"userName": name, "title": title}))).await.unwrap();
        }
        let order = |path: &str, descending| {
            let sort = sort(path, descending);
            async move {
                let answer = store.search(ACME, super::page(None, &sort, 0, 100)).await.unwrap();
                assert!(answer.exact);
                assert_eq!(answer.total, Some(7));
                shown(&answer.rows).join(" ")
            }
        };
        assert_eq!(order("userName", false).await, "u5 u6 u1 u2 u4 u0 u3");
        assert_eq!(order("userName", true).await, "u0 u3 u4 u2 u1 u6 u5");
        assert_eq!(order("title", false).await, "u4 u5 u0 u6 u1 u2 u3");
        assert_eq!(order("title", true).await, "u3 u1 u2 u6 u0 u5 u4");
        assert_eq!(order("id", true).await, "u6 u5 u4 u3 u2 u1 u0");
        assert_eq!(order("meta.created", true).await, "u0 u1 u2 u3 u4 u5 u6");
        assert_eq!(order("emails", false).await, "u0 u1 u2 u3 u4 u5 u6");
        assert_eq!(order("shoeSize", true).await, "u0 u1 u2 u3 u4 u5 u6");

        let page = |offset, limit| {
            let sort = sort("userName", false);
            async move {
                let answer =
                    store.search(ACME, super::page(None, &sort, offset, limit)).await.unwrap();
                (shown(&answer.rows).join(" "), answer.total)
            }
        };
        assert_eq!(page(0, 2).await, ("u5 u6".to_owned(), Some(7)));
        assert_eq!(page(5, 2).await, ("u0 u3".to_owned(), Some(7)));
        assert_eq!(page(6, 2).await, ("u3".to_owned(), Some(7)));
        assert_eq!(page(9, 2).await, (String::new(), Some(7)));
        assert_eq!(page(0, 0).await, (String::new(), Some(7)));
        assert_eq!(page(0, u64::MAX).await.1, Some(7));
        assert_eq!(page(u64::MAX, 1).await.1, Some(7));
        let sort = sort("userName", false);
        let answer = store.search("nobody", super::page(None, &sort, 0, 5)).await.unwrap();
        assert_eq!((answer.rows.len(), answer.total), (0, Some(0)));
    }
}

#[tokio::test]
async fn what_sql_cannot_tell_is_left_to_memory() {
    for store in &Stores::new().stores {
        for number in 0..5 {
            let id = format!("u{number}");
            let write = local(json!({"userName": id, "nickName": "n", "title": "t"}));
            create(store, &id, &write).await.unwrap();
        }
        create(store, "corp.e", &bound("e", json!({"userName": "e"}))).await.unwrap();
        let order = sort("userName", false);
        let answer = search(store, r#"nickName eq "n" and title eq "t""#, &order).await;
        assert_eq!((answer.exact, answer.rows.len(), answer.total), (false, 5, None));
        let answer = search(store, r#"title eq "t""#, &sort("nickName", false)).await;
        assert_eq!((answer.exact, answer.rows.len(), answer.total), (false, 5, None));
        let filter = Filter::parse("nickName pr", &ResourceType::user(&[])).unwrap();
        let cut = store.search(ACME, super::page(Some(&filter), &order, 3, 4)).await.unwrap();
        assert_eq!((cut.exact, cut.rows.len()), (false, 4));
        for (rows, count) in [(Rows::All, 6), (Rows::Linked, 1), (Rows::Unlinked, 5)] {
            let answer = store
                .search(ACME, Search { rows, ..super::page(None, &order, 0, 9) })
                .await
                .unwrap();
            assert_eq!(answer.total, Some(count), "{rows:?}");
        }
    }
}

#[tokio::test]
async fn the_index_follows_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    for url in urls(&directory) {
        index_follows(&url).await;
    }
}

async fn index_follows(url: &str) {
    let by_name = sort("userName", false);
    let exact = |store: &super::Store| {
        let filter = Filter::parse(r#"nickName eq "n7""#, &ResourceType::user(&[])).unwrap();
        condition::Condition::new(ACME, &TypeName::User, Some(&filter), Rows::All, &store.index)
            .exact
    };
    let store = open(url, &[]);
    for number in 0..450 {
        let id = format!("u{number}");
        let write = if number % 2 == 0 {
            local(json!({"userName": id, "nickName": format!("N{number}")}))
        } else {
            bound(&id, json!({"userName": id, "nickName": format!("N{number}")}))
        };
        create(&store, &id, &write).await.unwrap();
    }
    assert!(!exact(&store));
    store.close().await;

    let store = open(url, &["nickName", "roles"]);
    assert!(exact(&store));
    let answer = search(&store, r#"nickName eq "n7" or nickName eq "n448""#, &by_name).await;
    assert_eq!((shown(&answer.rows), answer.exact), (vec!["u448", "u7"], true));
    store.close().await;

    let store = open(url, &[]);
    assert!(!exact(&store));
    let made = create(&store, "late", &local(json!({"userName": "l", "nickName": "n7"}))).await;
    made.unwrap();
    // An index that was left half built, and values whose rows went stale meanwhile.
    let mut change = Change::default();
    let sql = "INSERT INTO paths (type, path, form, whole) VALUES ($1, $2, $3, 0)";
    let values = ["User".into(), "nickName".into(), "2 String".into()];
    change.push(sql, values, Expect::Exactly(1));
    store.engine.execute(change).await.unwrap();
    store.close().await;
    let store = open(url, &["nickName"]);
    let answer = search(&store, r#"nickName eq "n7""#, &by_name).await;
    assert_eq!((shown(&answer.rows), answer.exact), (vec!["late", "u7"], true));
    let answer = search(&store, "nickName pr", &by_name).await;
    assert_eq!(answer.total, Some(451));
}

#[tokio::test]
async fn namesakes_come_in_one_go() {
    for store in &Stores::new().stores {
        let (long, longer) = ("b".repeat(300), "b".repeat(301));
        for (id, name) in [("u1", "Anna"), ("u2", "berta"), ("u3", &long), ("u4", &longer)] {
            create(store, id, &local(json!({ "userName": name }))).await.unwrap();
        }
        create(store, "corp.e", &bound("e", json!({ "userName": "ANNA" }))).await.unwrap();
        let find = |names: Vec<String>| async move {
            let names = names.into_iter().collect();
            let rows = store.find_names(ACME, &TypeName::User, &names).await.unwrap();
            assert!(store.find_names("other", &TypeName::User, &names).await.unwrap().is_empty());
            let mut ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
            ids.sort();
            ids.join(" ")
        };
        assert_eq!(find(vec!["anna".into(), "nobody".into()]).await, "corp.e u1");
        // As far as the index tells them apart.
        assert_eq!(find(vec![long]).await, "u3 u4");
        let many = (0..1200).map(|number| format!("n{number}")).chain(["berta".into()]);
        assert_eq!(find(many.collect()).await, "u2");
    }
}
