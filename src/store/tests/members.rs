//! Groups and who is in them.

use serde_json::json;

use super::super::engine::{Change, Expect, Failure};
use super::{ACME, Stores, bound, create, ids, local, new, record, same, version};
use crate::audit::Action;
use crate::store::{
    Enrolled, Member, Members, NewResource, ResourceRow, RowKey, Store, StoreError, TypeName,
};

async fn group(store: &Store, id: &str, members: &[&str]) -> Result<ResourceRow, StoreError> {
    let write = local(json!({"displayName": format!("Group {id}")}));
    let new = NewResource { type_name: TypeName::Group, ..new(id, &write) };
    let add = named(members);
    let made = store.create_group(ACME, new, Members { add: &add, ..Members::default() }).await?;
    assert_eq!(made.added.len(), members.len());
    Ok(made.row)
}

fn named(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

async fn row(store: &Store, id: &str) -> ResourceRow {
    let mut found = store.find(ACME, &RowKey::Id(id.to_owned())).await.unwrap();
    found.remove(0).as_ref().clone()
}

/// Changes the members of a group, as it is.
async fn change(store: &Store, id: &str, members: Members<'_>) -> Result<Enrolled, StoreError> {
    let group = row(store, id).await;
    let mut record = record(Action::Modify, id);
    record.at = super::at(5000);
    store.update_group(ACME, &group, None, members, record).await
}

async fn members(store: &Store, id: &str) -> String {
    let key = row(store, id).await.key;
    let found = store.members(ACME, &[key], 1000).await.unwrap();
    let mut found: Vec<_> = found.into_iter().map(|member| member.id).collect();
    found.sort();
    found.join(" ")
}

/// The groups of a row; those through groups in brackets.
async fn groups(store: &Store, id: &str) -> String {
    let row = row(store, id).await;
    let shown = row
        .groups
        .iter()
        .map(|group| if group.direct { group.id.clone() } else { format!("({})", group.id) });
    shown.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn members_come_and_go_and_nothing_is_written_for_nothing() {
    for store in &Stores::new().stores {
        for id in ["u1", "u2", "u3"] {
            create(store, id, &local(json!({"userName": id}))).await.unwrap();
        }
        let made = group(store, "g1", &["u1", "u2"]).await.unwrap();
        assert_eq!((made.version, members(store, "g1").await.as_str()), (1, "u1 u2"));
        let number = row(store, "u3").await.number.to_string();
        let add = named(&["u2", number.as_str(), "u3"]);
        let added = change(store, "g1", Members { add: &add, ..Members::default() }).await.unwrap();
        assert_eq!((added.added.len(), added.removed.len(), added.unchanged), (1, 0, 1));
        assert_eq!((added.row.version, added.row.last_modified), (2, super::at(5000)));
        same(&added.row, &row(store, "g1").await);

        let nothing = [
            Members { add: &named(&["u1", "u3"]), ..Members::default() },
            Members { remove: &named(&["nobody", "g1"]), ..Members::default() },
            Members { remove: &named(&["u1"]), add: &named(&["u1"]), ..Members::default() },
            Members { replace: true, add: &named(&["u3", "u2", "u1"]), ..Members::default() },
            Members::default(),
        ];
        for members in nothing {
            let same = change(store, "g1", members).await.unwrap();
            assert!(!same.changed(), "{same:?}");
            assert_eq!(same.row.version, 2);
        }
        let trail = store.audit_records(ACME, Some("g1")).await.unwrap();
        assert_eq!(trail.len(), 2);

        let remove = named(&["u1", "nobody"]);
        let gone = Members { remove: &remove, ..Members::default() };
        let gone = change(store, "g1", gone).await.unwrap();
        assert_eq!((gone.removed.len(), gone.unchanged, gone.row.version), (1, 1, 3));
        let replace = Members { replace: true, add: &named(&["u1", "u2"]), ..Members::default() };
        let replaced = change(store, "g1", replace).await.unwrap();
        assert_eq!((replaced.added.len(), replaced.removed.len(), replaced.unchanged), (1, 1, 1));
        assert_eq!(members(store, "g1").await, "u1 u2");
        let emptied = Members { replace: true, ..Members::default() };
        assert_eq!(change(store, "g1", emptied).await.unwrap().removed.len(), 2);
        assert_eq!(members(store, "g1").await, "");

        // With what the group holds, as one change.
        let group = row(store, "g1").await;
        let write = local(json!({"displayName": "Renamed"}));
        let add = named(&["u1"]);
        let both = Members { add: &add, ..Members::default() };
        let action = record(Action::Replace, "g1");
        let renamed = store.update_group(ACME, &group, Some(&write), both, action.clone()).await;
        let renamed = renamed.unwrap();
        assert_eq!((renamed.row.version, &renamed.row.own["displayName"]), (6, &json!("Renamed")));
        assert_eq!(groups(store, "u1").await, "g1");
        assert_eq!(row(store, "u1").await.version, 1);

        let stale = store.update_group(ACME, &group, None, both, action.clone()).await;
        assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
        let empty = Members { replace: true, ..Members::default() };
        let stale = store.update_group(ACME, &group, None, empty, action.clone()).await;
        assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
        let elsewhere = store.update_group("other", &group, None, empty, action.clone()).await;
        assert!(elsewhere.is_err());
    }
}

#[tokio::test]
async fn who_does_not_exist_is_named_and_nothing_is_done() {
    for store in &Stores::new().stores {
        create(store, "u1", &local(json!({"userName": "u1"}))).await.unwrap();
        let thing = local(json!({"displayName": "t"}));
        let thing = NewResource { type_name: TypeName::new("Thing"), ..new("t1", &thing) };
        store.create(ACME, thing).await.unwrap();
        store.create("other", new("u2", &local(json!({"userName": "u2"})))).await.unwrap();
        group(store, "g1", &["u1"]).await.unwrap();
        for nobody in ["u2", "t1", "99999", "U1", ""] {
            let add = named(&["u1", nobody]);
            let error = change(store, "g1", Members { add: &add, ..Members::default() }).await;
            let error = error.unwrap_err();
            assert!(matches!(&error, StoreError::NoMember { id } if id == nobody), "{error}");
            let error = group(store, "g2", &["u1", nobody]).await.unwrap_err();
            assert!(matches!(&error, StoreError::NoMember { id } if id == nobody), "{error}");
        }
        assert!(ids(store, RowKey::Id("g2".into())).await.is_empty());
        assert_eq!(row(store, "g1").await.version, 1);
        let error = group(store, "g1", &["u1"]).await.unwrap_err();
        assert!(matches!(&error, StoreError::Taken { id, .. } if id == "g1"), "{error}");
    }
}

#[tokio::test]
async fn groups_in_groups_are_seen_through_and_circles_end() {
    for store in &Stores::new().stores {
        let person = json!({"userName": "anna", "displayName": "Anna A"});
        create(store, "u1", &local(person)).await.unwrap();
        create(store, "u2", &local(json!({"userName": "berta"}))).await.unwrap();
        group(store, "g1", &["u1"]).await.unwrap();
        group(store, "g2", &["g1", "u2"]).await.unwrap();
        group(store, "g3", &["g2", "u1"]).await.unwrap();
        assert_eq!(groups(store, "u1").await, "g1 (g2) g3");
        assert_eq!(groups(store, "u2").await, "g2 (g3)");
        assert_eq!(groups(store, "g1").await, "g2 (g3)");
        let add = named(&["g3"]);
        change(store, "g1", Members { add: &add, ..Members::default() }).await.unwrap();
        assert_eq!(groups(store, "u2").await, "(g1) g2 (g3)");
        assert_eq!(groups(store, "g1").await, "g2 (g3)");

        let shown = &row(store, "u1").await.groups[1];
        assert_eq!((shown.id.as_str(), shown.display.as_deref()), ("g2", Some("Group g2")));
        assert_eq!(shown.number, row(store, "g2").await.number);

        let keys = [row(store, "g2").await.key, row(store, "g3").await.key];
        let found = store.members(ACME, &keys, 1000).await.unwrap();
        let member = |group, id: &str, number, type_name, display: &str| Member {
            group,
            id: id.to_owned(),
            number,
            type_name,
            display: Some(display.to_owned()),
        };
        assert_eq!(
            found,
            [
                member(keys[0], "u2", 10002, TypeName::User, "berta"),
                member(keys[0], "g1", 10003, TypeName::Group, "Group g1"),
                member(keys[1], "u1", 10001, TypeName::User, "Anna A"),
                member(keys[1], "g2", 10004, TypeName::Group, "Group g2"),
            ]
        );
        assert_eq!(store.members(ACME, &keys, 3).await.unwrap(), found[..3]);
        assert!(store.members(ACME, &keys, 0).await.unwrap().is_empty());
        assert!(store.members("other", &keys, 9).await.unwrap().is_empty());

        let everybody = store.beneath(&keys[..1], 5).await.unwrap().unwrap();
        assert_eq!(everybody.len(), 5);
        assert_eq!(store.beneath(&keys, 4).await.unwrap(), None);
        let alone = row(store, "u2").await.key;
        assert_eq!(store.beneath(&[alone], 4).await.unwrap(), Some(vec![alone]));

        // Every way to read a row brings its groups.
        let by_key = store.read(ACME, &[row(store, "u1").await.key]).await.unwrap();
        same(&by_key[0], &row(store, "u1").await);
    }
}

#[tokio::test]
async fn whoever_goes_goes_out_of_the_groups_too() {
    for store in &Stores::new().stores {
        let made = create(store, "u1", &local(json!({"userName": "u1"}))).await.unwrap();
        group(store, "g1", &["u1"]).await.unwrap();
        group(store, "g2", &["u1", "g1"]).await.unwrap();
        let other = group(store, "g3", &[]).await.unwrap();
        let mut delete = record(Action::Delete, "u1");
        delete.at = super::at(9000);
        let stale = store.delete(ACME, &version(&made, 7), false, delete.clone()).await;
        assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
        assert_eq!(row(store, "g1").await.version, 1);
        let mut left = store.delete(ACME, &made, false, delete.clone()).await.unwrap();
        left.sort_unstable();
        let (one, two) = (row(store, "g1").await, row(store, "g2").await);
        assert_eq!(left, [one.key, two.key]);
        assert_eq!((one.version, two.version, one.last_modified), (2, 2, super::at(9000)));
        assert_eq!(
            (members(store, "g1").await, members(store, "g2").await.as_str()),
            (String::new(), "g1")
        );
        assert_eq!(row(store, "g3").await.version, other.version);
        let left = store.delete(ACME, &one, false, delete.clone()).await.unwrap();
        assert_eq!((left, members(store, "g2").await.as_str()), (vec![two.key], ""));
        let two = row(store, "g2").await;
        assert_eq!(
            (two.version, store.delete(ACME, &two, false, delete).await.unwrap().len()),
            (3, 0)
        );
    }
}

#[tokio::test]
async fn directory_people_are_bound_by_the_change_or_not_at_all() {
    for store in &Stores::new().stores {
        create(store, "u1", &local(json!({"userName": "u1"}))).await.unwrap();
        group(store, "g1", &[]).await.unwrap();
        let writes = ["e-1", "e-2"].map(|key| bound(key, json!({"userName": key})));
        let names = ["corp.e-1", "corp.e-2"];
        let bind = [0, 1].map(|at| NewResource {
            record: record(Action::Bind, names[at]),
            ..new(names[at], &writes[at])
        });
        let nobody = named(&["u1", "nobody"]);
        let with = |add| Members { add, bind: &bind, ..Members::default() };
        let error = change(store, "g1", with(&nobody)).await.unwrap_err();
        assert!(matches!(error, StoreError::NoMember { .. }), "{error}");
        let stale = version(&row(store, "g1").await, 4);
        let action = record(Action::Modify, "g1");
        let stale = store.update_group(ACME, &stale, None, with(&[]), action).await;
        assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
        assert!(store.audit_records(ACME, Some("corp.e-1")).await.unwrap().is_empty());

        let known = named(&["u1"]);
        let enrolled = change(store, "g1", with(&known)).await.unwrap();
        assert_eq!((enrolled.added.len(), enrolled.bound.len()), (1, 2));
        assert_eq!(enrolled.bound[1].id, "corp.e-2");
        assert_eq!(members(store, "g1").await, "corp.e-1 corp.e-2 u1");
        assert_eq!(groups(store, "corp.e-2").await, "g1");
        let states = store.find_links(ACME, "corp", &named(&["e-1", "e-2"])).await.unwrap();
        assert_eq!(states.len(), 2);
        assert_eq!(store.audit_records(ACME, Some("corp.e-1")).await.unwrap().len(), 1);
        // Somebody else was quicker.
        let error = change(store, "g1", with(&known)).await.unwrap_err();
        assert!(matches!(&error, StoreError::Linked { id } if id == "corp.e-1"), "{error}");
        assert_eq!(row(store, "g1").await.version, 2);
    }
}

#[tokio::test]
async fn of_many_changes_at_once_none_is_lost() {
    for store in &Stores::new().stores {
        let names: Vec<String> = (0..12).map(|number| format!("u{number}")).collect();
        for id in &names {
            create(store, id, &local(json!({ "userName": id }))).await.unwrap();
        }
        group(store, "g1", &[]).await.unwrap();
        let enrol = names.iter().map(|id| async move {
            loop {
                let add = std::slice::from_ref(id);
                match change(store, "g1", Members { add, ..Members::default() }).await {
                    Ok(enrolled) => break enrolled.row.version,
                    Err(StoreError::Stale) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
        let mut versions = futures_util::future::join_all(enrol).await;
        versions.sort_unstable();
        assert_eq!(versions, (2..14).collect::<Vec<_>>());
        assert_eq!(members(store, "g1").await.split(' ').count(), 12);
    }
}

/// Between reading who is meant and writing, somebody may go.
#[tokio::test]
async fn nobody_who_is_gone_is_put_into_a_group() {
    for store in &Stores::new().stores {
        let group = group(store, "g1", &[]).await.unwrap();
        let mut change = Change::default();
        let sql = "INSERT INTO members (group_key, member_key) VALUES ($1, $2)";
        change.push(sql, [group.key.into(), 999.into()], Expect::Any);
        let failure = store.engine.execute(change).await.unwrap_err();
        let constraint = "reference".to_owned();
        assert_eq!(failure, Failure::Violated { statement: 0, constraint });
    }
}

#[tokio::test]
async fn large_groups_are_changed_in_statements_of_bounded_size() {
    for store in &Stores::new().stores[..2] {
        let names: Vec<String> = (0..1203).map(|number| format!("u{number}")).collect();
        let all = names.iter().map(|id| async move {
            create(store, id, &local(json!({ "userName": id }))).await.unwrap();
        });
        futures_util::future::join_all(all).await;
        group(store, "g1", &[]).await.unwrap();
        let add = Members { add: &names, ..Members::default() };
        assert_eq!(change(store, "g1", add).await.unwrap().added.len(), 1203);
        let remove = Members { remove: &names[..700], ..Members::default() };
        assert_eq!(change(store, "g1", remove).await.unwrap().removed.len(), 700);
        let replace = Members { replace: true, add: &names[600..800], ..Members::default() };
        let replaced = change(store, "g1", replace).await.unwrap();
        assert_eq!(
            (replaced.added.len(), replaced.removed.len(), replaced.unchanged),
            (100, 403, 100)
        );
        let key = row(store, "g1").await.key;
        assert_eq!(store.members(ACME, &[key], 5000).await.unwrap().len(), 200);
        assert_eq!(store.beneath(&[key], 500).await.unwrap().unwrap().len(), 201);
        assert_eq!(store.beneath(&[key], 200).await.unwrap(), None);
    }
}
