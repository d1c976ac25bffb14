//! Rows that the configuration names.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{ACME, Stores, attributes, create, local, new, open, urls};
use crate::scim::ResourceType;
use crate::store::{Configured, Members, NewResource, ResourceRow, RowKey, Store, TypeName};

struct Kinds {
    group: ResourceType,
    role: ResourceType,
}

impl Kinds {
    fn new() -> Self {
        Self { group: ResourceType::group(&[]), role: ResourceType::role() }
    }

    fn group<'a>(&'a self, id: &'a str, display: &str, parent: Option<&'a str>) -> Configured<'a> {
        let values = attributes(json!({ "displayName": display }));
        Configured { kind: &self.group, id, values, parent }
    }

    fn role<'a>(&'a self, id: &'a str, rank: i64) -> Configured<'a> {
        let values = attributes(json!({ "name": id, "rank": rank }));
        Configured { kind: &self.role, id, values, parent: None }
    }
}

async fn row(store: &Store, id: &str) -> ResourceRow {
    let mut found = store.find(ACME, &RowKey::Id(id.to_owned())).await.unwrap();
    assert_eq!(found.len(), 1, "{id}");
    found.remove(0).as_ref().clone()
}

async fn parents(store: &Store, id: &str) -> Vec<String> {
    let row = row(store, id).await;
    row.groups.iter().filter(|group| group.direct).map(|group| group.id.clone()).collect()
}

async fn trail(store: &Store) -> Vec<String> {
    let records = store.audit_records(ACME, None).await.unwrap();
    let event = |record: crate::audit::AuditEntry| {
        format!("{} {}", record.action, record.person.unwrap_or_default())
    };
    records.into_iter().map(event).collect()
}

#[tokio::test]
async fn a_start_makes_what_is_missing_once() {
    let kinds = Kinds::new();
    for store in &Stores::new().stores {
        let file = [
            kinds.role("RL_A", 10),
            kinds.group("UT_EMP", "Employees", None),
            kinds.group("USG_FTEMP", "Full Time", Some("UT_EMP")),
        ];
        store.configure(ACME, &file).await.unwrap();
        let made = trail(store).await;
        assert_eq!(made, ["role.create RL_A", "group.create UT_EMP", "group.create USG_FTEMP"]);
        assert_eq!(row(store, "RL_A").await.own, attributes(json!({"name": "RL_A", "rank": 10})));
        assert_eq!(parents(store, "USG_FTEMP").await, ["UT_EMP"]);
        let before = row(store, "USG_FTEMP").await;
        store.configure(ACME, &file).await.unwrap();
        let after = row(store, "USG_FTEMP").await;
        assert_eq!((after.version, after.last_modified), (before.version, before.last_modified));
        assert_eq!(trail(store).await, made, "nothing is written for nothing");
    }
}

#[tokio::test]
async fn what_the_file_says_comes_over_what_is_there() {
    let kinds = Kinds::new();
    for store in &Stores::new().stores {
        // Somebody made a group by hand that the file names now, with a member and a number.
        create(store, "u1", &local(json!({"userName": "u1"}))).await.unwrap();
        let write = local(json!({"displayName": "By hand", "externalId": "x"}));
        let made = NewResource { type_name: TypeName::Group, ..new("STAFF", &write) };
        let add = ["u1".to_owned()];
        let members = Members { add: &add, ..Members::default() };
        store.create_group(ACME, made, members).await.unwrap();
        let file = [kinds.group("STAFF", "Staff", None), kinds.group("TOP", "Top", None)];
        store.configure(ACME, &file).await.unwrap();
        let staff = row(store, "STAFF").await;
        assert_eq!(Value::Object(staff.own), json!({"displayName": "Staff", "externalId": "x"}));
        assert_eq!(parents(store, "u1").await, ["STAFF"], "members stay");

        // Names change places, a parent comes, goes to another, and goes.
        let file = [kinds.group("STAFF", "Top", Some("TOP")), kinds.group("TOP", "staff", None)];
        store.configure(ACME, &file).await.unwrap();
        assert_eq!(row(store, "TOP").await.own["displayName"], "staff");
        assert_eq!(parents(store, "STAFF").await, ["TOP"]);
        let version = row(store, "TOP").await.version;
        let file = [
            kinds.group("STAFF", "Top", Some("OTHER")),
            kinds.group("TOP", "staff", None),
            kinds.group("OTHER", "Other", None),
        ];
        store.configure(ACME, &file).await.unwrap();
        assert_eq!(parents(store, "STAFF").await, ["OTHER"]);
        assert_eq!(row(store, "TOP").await.version, version + 1, "a member went");
        let file = [kinds.group("STAFF", "Top", None)];
        store.configure(ACME, &file).await.unwrap();
        assert_eq!(parents(store, "STAFF").await, [""; 0], "the file names no parent any more");
        let file =
            [kinds.group("STAFF", "Top", Some("OTHER")), kinds.group("OTHER", "Other", None)];
        store.configure(ACME, &file).await.unwrap();
        let trail_length = trail(store).await.len();
        // Who leaves the file stays what it is.
        store.configure(ACME, &[]).await.unwrap();
        assert_eq!(parents(store, "STAFF").await, ["OTHER"]);
        assert_eq!(trail(store).await.len(), trail_length);
    }
}

#[tokio::test]
async fn what_belongs_to_others_is_told() {
    let kinds = Kinds::new();
    for store in &Stores::new().stores {
        create(store, "STAFF", &local(json!({"userName": "u1"}))).await.unwrap();
        let write = local(json!({"displayName": "Taken"}));
        let made = NewResource { type_name: TypeName::Group, ..new("g1", &write) };
        store.create_group(ACME, made, Members::default()).await.unwrap();
        let error = store.configure(ACME, &[kinds.group("STAFF", "x", None)]).await.unwrap_err();
        assert_eq!(error.to_string(), "id is taken by STAFF");
        let file = [kinds.role("RL_A", 1), kinds.group("OTHER", "TAKEN", None)];
        let error = store.configure(ACME, &file).await.unwrap_err();
        assert_eq!(error.to_string(), "displayName is taken by g1");
        let found = store.find(ACME, &RowKey::Id("RL_A".to_owned())).await.unwrap();
        assert!(found.is_empty(), "all or nothing");
    }
}

#[tokio::test]
async fn several_nodes_start_at_once() {
    let kinds = Kinds::new();
    let directory = tempfile::tempdir().unwrap();
    for url in urls(&directory) {
        let nodes: Vec<Store> = (0..4).map(|_| open(&url, &[])).collect();
        let file = [
            kinds.group("A", "A", None),
            kinds.group("B", "B", Some("A")),
            kinds.group("C", "C", Some("B")),
            kinds.role("RL_A", 1),
        ];
        for done in join_all(nodes.iter().map(|node| node.configure(ACME, &file))).await {
            done.unwrap();
        }
        let mut made = trail(&nodes[0]).await;
        made.sort();
        assert_eq!(
            made,
            ["group.create A", "group.create B", "group.create C", "role.create RL_A"]
        );
        assert_eq!(parents(&nodes[1], "C").await, ["B"]);
        assert_eq!(row(&nodes[0], "B").await.version, 1);
    }
}
