//! The audit trail: complete, chained by whoever comes first, forgotten in part.

use futures_util::future::join_all;
use serde_json::json;

use super::*;
use crate::audit::chain::{Break, Flaw, Head, Verifier};
use crate::audit::{Action, AuditEntry};

async fn chained(store: &Store) -> Vec<AuditEntry> {
    let found = store.audit_chained(ACME, (0, 0), 100_000).await.unwrap();
    found.into_iter().map(|(_, entry)| entry).collect()
}

async fn verify(store: &Store) -> Result<Head, Break> {
    let mut verifier = Verifier::new(ACME, None);
    for entry in chained(store).await {
        verifier.next(&entry)?;
    }
    verifier.end(store.audit_head(ACME).await.unwrap())
}

async fn seal_all(store: &Store) -> usize {
    let mut records = 0;
    loop {
        let sealed = store.seal().await.unwrap();
        records += sealed.records;
        if !sealed.more {
            return records;
        }
    }
}

#[tokio::test]
async fn a_record_tells_all_there_is_to_tell() {
    for store in &Stores::new().stores {
        let write = local(json!({"userName": "anna"}));
        let told = AuditRecord {
            actor: Some("u7".to_owned()),
            outcome: Outcome::Failure,
            correlation_id: Some("C1".to_owned()),
            ..record(Action::Modify, "u1")
        };
        create(store, "u1", &write).await.unwrap();
        let row = store.find(ACME, &RowKey::Id("u1".to_owned())).await.unwrap().remove(0);
        store.update(ACME, &row, &write, told).await.unwrap();
        let trail = store.audit_records(ACME, None).await.unwrap();
        let AuditEntry { event, outcome, correlation_id, actor, .. } = &trail[1];
        assert_eq!((event.as_str(), outcome.as_str()), ("updateUser", "failure"));
        assert_eq!(correlation_id.as_deref(), Some("C1"));
        let actor = actor.as_deref().unwrap();
        assert!(actor.len() == 32 && actor != trail[1].token);
        assert_eq!((trail[0].event.as_str(), &trail[0].actor), ("createUser", &None));

        let list = async |filter: AuditFilter<'_>| store.audit_list(&filter).await.unwrap().len();
        let of = || AuditFilter::of(ACME);
        assert_eq!(list(of()).await, 2);
        assert_eq!(list(AuditFilter::of("other")).await, 0);
        for (person, records) in [("u1", 2), ("10001", 2), ("u7", 1), (actor, 1), ("u2", 0)] {
            assert_eq!(list(AuditFilter { person: Some(person), ..of() }).await, records);
        }
        for (action, records) in
            [("user.create", 1), ("createUser", 1), ("updateUser", 1), ("update", 0)]
        {
            assert_eq!(list(AuditFilter { action: Some(action), ..of() }).await, records);
        }
        assert_eq!(list(AuditFilter { caller: Some("tests"), ..of() }).await, 2);
        assert_eq!(list(AuditFilter { caller: Some("test"), ..of() }).await, 0);
        assert_eq!(list(AuditFilter { since: Some(at(0)), ..of() }).await, 2);
        assert_eq!(list(AuditFilter { since: Some(at(1)), ..of() }).await, 0);
        let newest = store.audit_list(&AuditFilter { limit: 1, ..of() }).await.unwrap();
        assert_eq!(newest, trail[1..]);
    }
}

#[tokio::test]
async fn records_are_chained_in_batches_for_each_tenant() {
    for store in &Stores::new().stores {
        assert_eq!(store.seal().await.unwrap(), Sealed::default());
        assert_eq!(verify(store).await, Ok(Head::EMPTY));
        let write = local(json!({"displayName": "x"}));
        for chunk in (0..600).collect::<Vec<usize>>().chunks(40) {
            let made = chunk.iter().map(async |number| {
                let tenant = if number.is_multiple_of(3) { "other" } else { ACME };
                let id = format!("u{number}");
                store.create(tenant, new(&id, &write)).await.unwrap();
            });
            join_all(made).await;
        }
        assert!(store.is_unsealed().await.unwrap());
        assert_eq!(store.audit_tail(ACME).await.unwrap().records, 400);
        assert_eq!(store.audit_tail(ACME).await.unwrap().oldest, Some(at(0)));
        assert!(store.seal().await.unwrap().more);
        assert_eq!(seal_all(store).await, 600 - 256);
        assert!(!store.is_unsealed().await.unwrap());
        assert_eq!(store.audit_tail(ACME).await.unwrap(), Tail::default());
        let head = verify(store).await.unwrap();
        assert_eq!(head.sequence, 400);
        assert_eq!(store.audit_head("other").await.unwrap().unwrap().sequence, 200);
        // The chain of one tenant does not pass for another's.
        let mut verifier = Verifier::new("other", None);
        let entries = chained(store).await;
        assert_eq!(verifier.next(&entries[0]), Ok(()));
        let broken = Break { sequence: 1, flaw: Flaw::Changed };
        assert_eq!(verifier.next(&entries[1]), Err(broken));
    }
}

/// Two who chain at once, while others write: all is chained, each record once.
#[tokio::test]
async fn many_may_chain_and_write_at_once() {
    let directory = tempfile::tempdir().unwrap();
    for url in urls(&directory) {
        let stores = [open(&url, &[]), open(&url, &[])];
        let write = local(json!({"displayName": "x"}));
        let writes = (0..80).map(async |number: usize| {
            let id = format!("u{number}");
            stores[number % 2].create(ACME, new(&id, &write)).await.unwrap();
        });
        let seals = (0..2).map(async |place: usize| {
            while stores[place].audit_head(ACME).await.unwrap().is_none_or(|h| h.sequence < 80) {
                stores[place].seal().await.unwrap();
            }
        });
        tokio::join!(join_all(writes), join_all(seals));
        assert_eq!(verify(&stores[0]).await.unwrap().sequence, 80);
        assert!(!stores[1].is_unsealed().await.unwrap());
    }
}

/// A change that began early and is committed late has a lower key than what is chained by then.
#[tokio::test]
async fn a_record_that_becomes_visible_late_is_chained_late() {
    let url = server::schema();
    let store = open(&url, &[]);
    create(&store, "u1", &local(json!({"userName": "anna"}))).await.unwrap();
    let (ready, wait) = tokio::sync::oneshot::channel();
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let late = tokio::spawn({
        let url = url.clone();
        async move {
            let connected = tokio_postgres::connect(&url, tokio_postgres::NoTls).await;
            let (client, connection) = connected.unwrap();
            let driver = tokio::spawn(connection);
            client
                .batch_execute(
                    "BEGIN; INSERT INTO audit (tenant, at, caller, action, token, request_id) \
                 SELECT tenant, at, 'late', action, token, request_id FROM audit LIMIT 1",
                )
                .await
                .unwrap();
            ready.send(()).unwrap();
            gone.await.unwrap();
            client.batch_execute("COMMIT").await.unwrap();
            drop(client);
            driver.await.unwrap().unwrap();
        }
    });
    wait.await.unwrap();
    create(&store, "u2", &local(json!({"userName": "berta"}))).await.unwrap();
    assert_eq!(seal_all(&store).await, 2);
    go.send(()).unwrap();
    late.await.unwrap();
    assert_eq!(seal_all(&store).await, 1);
    let last = chained(&store).await.pop().unwrap();
    assert_eq!((last.caller.as_str(), last.sequence), ("late", Some(3)));
    assert_eq!(verify(&store).await.unwrap().sequence, 3);
}

#[tokio::test]
async fn what_is_chained_stays_as_it_is() {
    for store in &Stores::new().stores {
        create(store, "u1", &local(json!({"userName": "anna"}))).await.unwrap();
        seal_all(store).await;
        for sql in [
            "UPDATE audit SET sequence = NULL WHERE key > $1",
            "UPDATE audit SET hash = 'x' WHERE key > $1",
            "UPDATE audit SET outcome = 'x' WHERE key > $1",
            "DELETE FROM audit WHERE key > $1",
        ] {
            let mut change = Change::default();
            change.push(sql, [0.into()], Expect::Any);
            store.engine.execute(change).await.unwrap_err();
        }
    }
}

#[tokio::test]
async fn what_waits_is_found_without_reading_the_trail() {
    let store = open("sqlite::memory:", &[]);
    for sql in [
        "EXPLAIN QUERY PLAN SELECT r.key FROM audit r JOIN tenants t ON t.key = r.tenant \
         WHERE r.sequence IS NULL ORDER BY r.key LIMIT 9",
        "EXPLAIN QUERY PLAN SELECT r.key FROM audit r WHERE r.sequence IS NULL LIMIT 1",
    ] {
        for mut row in store.engine.query(Query::new(sql, [])).await.unwrap() {
            for _ in 0..3 {
                row.integer().unwrap();
            }
            let step = row.text().unwrap();
            assert!(!step.contains("SCAN") && !step.contains("TEMP B-TREE"), "{step}");
        }
    }
}

#[tokio::test]
async fn a_lease_is_held_by_one_until_it_ends() {
    for store in &Stores::new().stores {
        let lease = async |holder, now, until| {
            store.lease("work", holder, at(now), at(until)).await.unwrap()
        };
        assert!(lease("one", 0, 100).await);
        assert!(!lease("two", 50, 150).await);
        assert!(lease("one", 50, 150).await, "its holder goes on");
        assert!(!lease("two", 149, 250).await);
        assert!(lease("two", 150, 250).await, "it has ended");
        assert!(!lease("one", 150, 250).await);
        assert!(store.lease("other work", "one", at(0), at(9)).await.unwrap());
        store.release("work", "one").await.unwrap();
        assert!(!lease("one", 160, 250).await, "nobody gives back what another holds");
        store.release("work", "two").await.unwrap();
        assert!(lease("one", 160, 250).await);
        let all = (0..8).map(async |n: i64| {
            let holder = n.to_string();
            store.lease("race", &holder, at(0), at(9)).await.unwrap()
        });
        let won = join_all(all).await.into_iter().filter(|won| *won).count();
        assert_eq!(won, 1);
    }
}

#[tokio::test]
async fn a_lease_of_a_clock_that_ran_ahead_holds_nobody_up() {
    for store in &Stores::new().stores {
        let lease =
            async |holder, now| store.lease("work", holder, at(now), at(now + 100)).await.unwrap();
        assert!(lease("ahead", 100).await);
        assert!(!lease("two", 0).await, "clocks may differ by a term");
        assert!(lease("ahead", 101).await);
        assert!(lease("two", 0).await, "nobody asks for so long");
        assert!(!lease("three", 50).await);
        assert!(lease("years ahead", 100_000_000_000).await);
        assert!(lease("three", 51).await, "the clock was set back, and the program killed");
    }
}

fn forgetting(subject: &str) -> AuditRecord {
    record(Action::Forget, subject)
}

#[tokio::test]
async fn whoever_was_deleted_is_found_by_external_id_and_forgotten_once() {
    for store in &Stores::new().stores {
        let agents = local(json!({"userName": "anna", "externalId": "x-1"}));
        let made = NewResource { user_type: UserType::ScimFed, ..new("u1", &agents) };
        let anna = store.create(ACME, made).await.unwrap();
        let other = store.create("other", new("u1", &agents)).await.unwrap();
        assert!(store.departed(ACME, "x-1").await.unwrap().is_empty());
        assert_eq!(store.departed_as(ACME, "u1").await.unwrap(), None, "she is still there");
        store.delete(ACME, &anna, false, record(Action::Delete, "u1")).await.unwrap();
        store.delete("other", &other, false, record(Action::Delete, "u1")).await.unwrap();
        let mut write = bound("e-1", json!({"userName": "berta", "externalId": "x-1"}));
        write.own = attributes(json!({"externalId": "x-2"}));
        let berta = create(store, "corp.e-1", &write).await.unwrap();
        let deletion = AuditRecord { at: at(5), ..record(Action::Delete, "corp.e-1") };
        store.delete(ACME, &berta, true, deletion).await.unwrap();
        // Who had none is found by the id alone.
        let carla = create(store, "u3", &local(json!({"userName": "carla"}))).await.unwrap();
        store.delete(ACME, &carla, false, record(Action::Delete, "u3")).await.unwrap();

        let link = Some(("corp".to_owned(), "e-1".to_owned()));
        let berta = Departed { id: "corp.e-1".to_owned(), link };
        let anna = Departed { id: "u1".to_owned(), link: None };
        let carla = Departed { id: "u3".to_owned(), link: None };
        let owned = create(store, "u1.AT_A", &local(json!({"displayName": "x"}))).await.unwrap();
        store.delete(ACME, &owned, false, record(Action::Delete, "u1.AT_A")).await.unwrap();
        let both = store.departed(ACME, "x-1").await.unwrap();
        assert_eq!(both, [berta.clone(), anna.clone()], "the last one comes first");
        assert_eq!(store.departed(ACME, "x-2").await.unwrap(), std::slice::from_ref(&berta));
        assert_eq!(store.departed_as(ACME, "corp.e-1").await.unwrap(), Some(berta.clone()));
        assert_eq!(store.departed_as(ACME, "u3").await.unwrap(), Some(carla.clone()));
        assert_eq!(store.departed_as("other", "u3").await.unwrap(), None);

        let all = (0..4).map(|_| store.forget(ACME, &both, &["x-1"], forgetting("corp.e-1")));
        let done = join_all(all).await.into_iter().filter(|done| *done.as_ref().unwrap()).count();
        assert_eq!(done, 1);
        assert!(store.departed(ACME, "x-1").await.unwrap().is_empty());
        assert!(store.departed(ACME, "x-2").await.unwrap().is_empty());
        assert!(!store.is_tombstone(ACME, "corp", "e-1").await.unwrap());
        assert_eq!(store.departed_as(ACME, "u1").await.unwrap(), None);
        let trail = store.audit_records(ACME, None).await.unwrap();
        assert_eq!(trail.iter().filter(|entry| entry.event == "forgetUser").count(), 1);
        let known: Vec<_> = trail.iter().filter_map(|entry| entry.person.as_deref()).collect();
        assert_eq!(known, ["u3", "u3"]);
        assert_eq!(store.departed("other", "x-1").await.unwrap(), [anna], "another tenant's");
        seal_all(store).await;
        let before = verify(store).await.unwrap();
        assert!(store.forget(ACME, &[carla], &[], forgetting("u3")).await.unwrap());
        assert_eq!(verify(store).await, Ok(before), "forgetting changes no record");
    }
}

#[tokio::test]
async fn whoever_has_a_row_again_is_not_forgotten() {
    for store in &Stores::new().stores {
        let write = bound("e-1", json!({"userName": "berta", "externalId": "x-1"}));
        let berta = create(store, "corp.e-1", &write).await.unwrap();
        store.delete(ACME, &berta, true, record(Action::Delete, "corp.e-1")).await.unwrap();
        let departed = store.departed(ACME, "x-1").await.unwrap();
        let again = NewResource { revive: true, ..new("corp.e-1", &write) };
        store.create(ACME, again).await.unwrap();
        assert_eq!(store.departed_as(ACME, "corp.e-1").await.unwrap(), None);
        assert!(!store.forget(ACME, &departed, &[], forgetting("corp.e-1")).await.unwrap());
        let trail = store.audit_records(ACME, Some("corp.e-1")).await.unwrap();
        assert_eq!(trail.len(), 3, "nothing was done");
        assert_eq!(store.departed(ACME, "x-1").await.unwrap(), departed);
    }
}
