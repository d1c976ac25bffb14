//! Resources of several types side by side.

use std::sync::Arc;

use serde_json::json;

use super::{ACME, Stores, ids, local, new, page, shown, sort};
use crate::clock::Clock;
use crate::scim::{Filter, ResourceType};
use crate::store::{IndexedType, NewResource, RowKey, Search, Sort, Store, TypeName, UniqueValue};

#[tokio::test]
async fn types_share_ids_and_nothing_else() {
    for store in &Stores::new().stores {
        let thing = TypeName::new("Thing");
        let of = |type_name: &TypeName, id: &'static str, write| {
            let new = NewResource { type_name: type_name.clone(), ..new(id, write) };
            async move { store.create(ACME, new).await }
        };
        let user = local(json!({"userName": "staff", "displayName": "Staff", "externalId": "1"}));
        let made = of(&TypeName::User, "u1", &user).await.unwrap();
        let group = local(json!({"displayName": "STAFF", "externalId": "1"}));
        let group = of(&TypeName::Group, "g1", &group).await.unwrap();
        assert_eq!((group.number, &group.type_name), (made.number + 1, &TypeName::Group));
        let again = local(json!({"displayName": "staff"}));
        of(&thing, "t1", &again).await.unwrap();
        of(&thing, "t2", &again).await.unwrap();

        let error = of(&TypeName::Group, "g2", &again).await.unwrap_err();
        assert_eq!(error.to_string(), "displayName is taken by g1");
        let error = of(&thing, "g1", &again).await.unwrap_err();
        assert_eq!(error.to_string(), "id is taken by g1");
        let again = local(json!({"displayName": "other", "externalId": "1"}));
        let error = of(&TypeName::Group, "g2", &again).await.unwrap_err();
        assert_eq!(error.to_string(), "externalId is taken by g1");

        assert_eq!(ids(store, RowKey::Id("10002".to_owned())).await, ["g1"]);
        for (type_name, id) in [(TypeName::User, "u1"), (TypeName::Group, "g1")] {
            assert_eq!(ids(store, RowKey::Name(type_name.clone(), "staff".into())).await, [id]);
            let found = ids(store, RowKey::ExternalId(type_name.clone(), "1".into())).await;
            assert_eq!(found, [id]);
            let names = ["staff".to_owned()].into();
            assert_eq!(store.find_names(ACME, &type_name, &names).await.unwrap().len(), 1);
        }
        for (type_name, found) in
            [(TypeName::User, "u1"), (TypeName::Group, "g1"), (thing, "t1 t2")]
        {
            for order in ["id", "displayName", "meta.created"] {
                let sort = sort(order, false);
                let search = Search { type_name: &type_name, ..page(None, &sort, 0, 9) };
                let answer = store.search(ACME, search).await.unwrap();
                let mut rows = shown(&answer.rows);
                rows.sort_unstable();
                assert_eq!(rows.join(" "), found);
                let total = answer.exact.then_some(rows.len() as u64);
                assert_eq!(answer.total, total, "{type_name:?} {order}");
            }
        }
    }
}

/// A type with attributes that are unique, and an index on one more.
fn thing() -> ResourceType {
    let schema = serde_json::from_value(json!({
        "id": "urn:example:Thing", "name": "Thing", "attributes": [
            {"name": "serial", "type": "string", "uniqueness": "server", "caseExact": true},
            {"name": "label", "type": "string", "uniqueness": "global"},
            {"name": "place", "type": "integer", "uniqueness": "server"},
            {"name": "colour", "type": "string"},
        ]
    }));
    ResourceType::new("Thing", "/Things", "", Arc::new(schema.unwrap()), Vec::new())
}

#[tokio::test]
async fn declared_values_are_unique_and_indexed() {
    let directory = tempfile::tempdir().unwrap();
    let kind = thing();
    let type_name = TypeName::new("Thing");
    let urls = super::urls(&directory);
    for url in ["sqlite::memory:", &urls[0], &urls[1]] {
        let types = [
            IndexedType { resource_type: &kind, further: vec![kind.resolve("colour")] },
            IndexedType { resource_type: &kind, further: Vec::new() },
        ];
        let store = Store::open(url, &types, Clock::system()).unwrap();
        let write = |value: serde_json::Value| {
            let mut write = local(value);
            write.unique = UniqueValue::all(&kind, &write.own);
            write
        };
        let create = |id: &'static str, value| {
            let (store, write, type_name) = (&store, write(value), type_name.clone());
            async move { store.create(ACME, NewResource { type_name, ..new(id, &write) }).await }
        };
        let long = "x".repeat(5000);
        let first = json!({"serial": "A", "label": "L", "place": 7, "colour": "red"});
        let first = create("t1", first).await.unwrap();
        create("t2", json!({"serial": "a", "colour": "Red", "label": long})).await.unwrap();
        for (taken, told) in [
            (json!({"serial": "A"}), "serial is taken by t1"),
            (json!({"serial": "B", "label": "l"}), "label is taken by t1"),
            (json!({"place": 7.0}), "place is taken by t1"),
            (json!({"label": long.to_uppercase()}), "label is taken by t2"),
        ] {
            let error = create("t3", taken).await.unwrap_err();
            assert_eq!(error.to_string(), told, "{url}");
        }
        create("t3", json!({"label": format!("{long}y"), "serial": ""})).await.unwrap();
        create("t4", json!({"serial": ""})).await.unwrap();

        // Its own values are no hindrance; what it gives up is free, and so is what goes.
        let modify = super::record(super::Action::Modify, "t1");
        let same = write(json!({"serial": "A", "label": "L2"}));
        let first = store.update(ACME, &first, &same, modify.clone()).await.unwrap();
        let second = create("t5", json!({"label": "L", "place": 7})).await.unwrap();
        let clash = write(json!({"serial": "A", "label": "l"}));
        let error = store.update(ACME, &first, &clash, modify.clone()).await.unwrap_err();
        assert_eq!(error.to_string(), "label is taken by t5");
        store.delete(ACME, &second, false, modify.clone()).await.unwrap();
        store.update(ACME, &first, &clash, modify).await.unwrap();

        for (filter, order, found) in [
            (r#"serial eq "A""#, "serial", "t1"),
            (r#"colour eq "RED""#, "colour", "t2"),
            ("label pr", "label", "t1 t2 t3"),
        ] {
            let sort = Sort { path: kind.resolve(order), descending: false };
            let filter = Filter::parse(filter, &kind).unwrap();
            let search = Search { type_name: &type_name, ..page(Some(&filter), &sort, 0, 9) };
            let answer = store.search(ACME, search).await.unwrap();
            assert!(answer.exact);
            assert_eq!(shown(&answer.rows).join(" "), found, "{order}");
        }
    }
}
