//! Resources of several types side by side.

use serde_json::json;

use super::{ACME, Stores, ids, local, new, page, shown, sort};
use crate::store::{NewResource, RowKey, Search, TypeName};

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
