//! Looks at a directory that holds whom a test says, by a clock that a test moves.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use serde_json::json;

use super::*;
use crate::clock::Clock;
use crate::config::Config;
use crate::federation::{Freshness, RepositoryPart, Rules, Shares};
use crate::repository::{
    Authority, Bounds, Entry, EntryKey, Finding, Found, Plan, Repository, RepositoryError,
};
use crate::scim::{AttributePath, Filter};
use crate::store::{NewResource, RowKey, Store, TypeName, UserType};
use crate::telemetry::metrics::Metrics;
use verify::Round;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// `vanish_grace`.
const GRACE: i64 = 5 * MINUTE;

/// Everybody is there but who is gone.
#[derive(Debug)]
struct Fake {
    clock: Clock,
    gone: Mutex<HashSet<EntryKey>>,
    /// How long the clock goes on in a read.
    takes: AtomicI64,
}

fn key(number: usize) -> EntryKey {
    EntryKey(format!("e-{number}").into())
}

impl Fake {
    fn found(&self, keys: &[EntryKey]) -> Found {
        let entry = |key: &EntryKey| Entry {
            key: key.clone(),
            dn: format!("uid={},dc=x", key.0),
            attributes: json!({ "userName": &*key.0 }).as_object().unwrap().clone(),
            created: None,
            last_modified: None,
            account: None,
            rules: Vec::new(),
        };
        let gone = self.gone.lock().unwrap();
        let there = keys.iter().filter(|key| !gone.contains(key));
        let entries = there.map(|key| Arc::new(entry(key))).collect();
        Found { entries, complete: true, exact: true, scan: false, aged: Duration::ZERO }
    }
}

impl Repository for Fake {
    fn id(&self) -> &'static str {
        "corp"
    }

    fn base(&self) -> &'static str {
        "dc=x"
    }

    fn maps(&self, path: &AttributePath) -> bool {
        path.text == "userName"
    }

    fn authority(&self, _: &AttributePath) -> Option<Authority> {
        None
    }

    fn plan(&self, _: &Filter) -> Plan {
        Plan { text: String::new(), bases: Vec::new(), exact: true, scan: false }
    }

    fn search<'a>(
        &'a self,
        _: &'a Filter,
        _: Bounds,
    ) -> BoxFuture<'a, Result<Found, RepositoryError>> {
        Box::pin(async { Ok(self.found(&[key(0)])) })
    }

    fn read<'a>(
        &'a self,
        keys: &'a [EntryKey],
        _: Bounds,
    ) -> BoxFuture<'a, Result<Found, RepositoryError>> {
        self.clock.advance(self.takes.load(Ordering::Relaxed));
        Box::pin(async { Ok(self.found(keys)) })
    }

    fn base_is_readable(&self, _: Instant) -> BoxFuture<'_, Result<bool, RepositoryError>> {
        Box::pin(async { Ok(true) })
    }

    fn check(&self) -> BoxFuture<'_, Vec<Finding>> {
        Box::pin(async { Vec::new() })
    }

    fn healthy(&self) -> Option<bool> {
        None
    }
}

struct Bridge {
    federation: Federation,
    corp: Arc<Fake>,
    clock: Clock,
    round: Round,
}

impl Bridge {
    fn new(brake: &str) -> Self {
        let text = format!(
            "[[tenant]]\nname = \"acme\"\nvanish_brake = {brake}\n[[tenant.repository]]\n\
             id = \"corp\"\nurls = [\"ldaps://x\"]\nbase = \"dc=x\"\n"
        );
        let config = Config::parse(&text, Path::new("/"), &|_| None).unwrap();
        let tenant = &config.tenants[0];
        let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
        let (gone, takes) = (Mutex::default(), AtomicI64::new(0));
        let corp = Arc::new(Fake { clock: clock.clone(), gone, takes });
        let part = RepositoryPart {
            repository: Arc::clone(&corp) as Arc<dyn Repository>,
            former_id: None,
            rules: Vec::new(),
            metrics: Metrics::new(&[("acme", "corp")]).repository("acme", "corp").unwrap(),
            freshness: Freshness {
                fresh: Duration::ZERO,
                negative: Duration::ZERO,
                stale: Duration::ZERO,
            },
            size_limit: 100,
            timeout: Duration::from_mins(1),
            verify: Duration::from_hours(1),
        };
        let federation = Federation::new(
            "acme".into(),
            Rules::from(tenant),
            tenant.resource_types.all().to_vec(),
            Arc::new(Store::open("sqlite::memory:", &[], clock.clone()).unwrap()),
            vec![part],
            &Shares::new(1 << 20),
            1,
            false,
            clock.clone(),
        );
        Self { federation, corp, clock, round: Round::default() }
    }

    fn directory(&self) -> &Directory {
        &self.federation.directories[0]
    }

    /// Binds the people of these numbers, who are seen now.
    async fn bind(&self, numbers: std::ops::Range<usize>) {
        let keys: Vec<EntryKey> = numbers.map(key).collect();
        let (seen, _) = self.directory().look_for(&keys).await.unwrap();
        for known in seen {
            let at = self.clock.now();
            let write =
                self.federation.bound_write(self.directory(), &known, Attributes::new(), at);
            let record = AuditRecord {
                at,
                caller: CALLER.to_owned(),
                actor: None,
                kind: USER.to_owned(),
                action: Action::Create,
                outcome: Outcome::Success,
                subject: known.key.0.to_string(),
                request_id: CALLER.to_owned(),
                correlation_id: None,
                detail: None,
            };
            let new = NewResource {
                type_name: TypeName::User,
                id: &known.key.0,
                user_type: UserType::Ftress,
                write: &write,
                revive: false,
                record,
            };
            self.federation.store.create("acme", new).await.unwrap();
        }
    }

    fn leaves(&self, numbers: &[usize]) {
        self.corp.gone.lock().unwrap().extend(numbers.iter().copied().map(key));
    }

    /// Looks for those whose turn it is after so many milliseconds.
    async fn look_after(&mut self, pause: i64) {
        self.clock.advance(pause);
        let directory = &self.federation.directories[0];
        self.federation.pass(directory, "tests", &mut self.round).await.unwrap();
    }

    async fn row(&self, number: usize) -> Arc<ResourceRow> {
        let key =
            RowKey::Link { repository: "corp".to_owned(), entry_key: key(number).0.to_string() };
        self.federation.store.find("acme", &key).await.unwrap().remove(0)
    }

    /// When each of them vanished.
    async fn vanished(&self, numbers: &[usize]) -> Vec<Option<Timestamp>> {
        let mut vanished = Vec::new();
        for number in numbers {
            vanished.push(self.row(*number).await.link.as_ref().unwrap().presence.vanished);
        }
        vanished
    }

    async fn are_out(&self, numbers: &[usize], out: bool) -> bool {
        self.vanished(numbers).await.iter().all(|vanished| vanished.is_some() == out)
    }
}

#[tokio::test]
async fn who_left_before_the_clock_was_set_back_is_not_taken_back() {
    let mut bridge = Bridge::new("{ percent = 0, at_least = 2 }");
    bridge.bind(0..9).await;
    // The clock runs ahead by a day.
    bridge.clock.advance(24 * HOUR);
    for leavers in [[1, 2], [3, 4]] {
        bridge.leaves(&leavers);
        bridge.look_after(2 * HOUR).await;
        bridge.look_after(GRACE).await;
        assert!(bridge.are_out(&leavers, true).await);
    }
    bridge.clock.advance(-24 * HOUR);
    bridge.leaves(&[5]);
    bridge.look_after(MINUTE).await;
    bridge.look_after(GRACE).await;
    assert!(bridge.are_out(&[1, 2, 3, 4, 5], true).await);
}

#[tokio::test]
async fn who_is_seen_after_the_second_look_is_there_again() {
    let mut bridge = Bridge::new("{ percent = 100 }");
    bridge.bind(0..3).await;
    bridge.leaves(&[1]);
    bridge.look_after(HOUR).await;
    // Until all of a pass is read it takes a while, in which somebody comes back and is seen.
    bridge.corp.takes.store(1000, Ordering::Relaxed);
    let second = bridge.clock.now() + Duration::from_mins(5);
    bridge.look_after(GRACE).await;
    assert_eq!(bridge.vanished(&[1]).await, [Some(second)]);
    assert!(bridge.clock.now() > second);
    bridge.corp.gone.lock().unwrap().clear();
    bridge.corp.takes.store(0, Ordering::Relaxed);
    let (seen, _) = bridge.directory().look_for(&[key(1)]).await.unwrap();
    let row = bridge.row(1).await;
    let half = Half::Entry(Arc::clone(&seen[0]), seen[0].state);
    assert!(!superseded(&row, &half).is_absent());
    let news = bridge.federation.news(bridge.directory(), seen).await.unwrap();
    bridge.federation.put(news).await.unwrap();
    assert_eq!(bridge.vanished(&[1]).await, [None]);
}

#[tokio::test]
async fn who_leaves_with_many_of_those_looked_for_waits_until_all_have_been() {
    let mut bridge = Bridge::new("{ percent = 10, at_least = 1 }");
    bridge.bind(0..10).await;
    bridge.clock.advance(HOUR - 2 * GRACE);
    bridge.bind(10..40).await;
    // Three of the ten whose turn it is, and of forty.
    bridge.leaves(&[1, 2, 3]);
    bridge.look_after(GRACE).await;
    bridge.look_after(GRACE).await;
    assert!(bridge.are_out(&[1, 2, 3], false).await, "of the others nobody knows");
    assert_eq!(bridge.round.census().unwrap().missing, 3);
    bridge.look_after(HOUR).await;
    assert!(bridge.are_out(&[1, 2, 3], true).await);
}

#[tokio::test]
async fn rows_that_are_read_after_the_start_stay_known() {
    let mut bridge = Bridge::new("{ percent = 100 }");
    bridge.bind(0..2).await;
    let federation = &bridge.federation;
    let rows = &federation.rows;
    federation.listen(bridge.directory(), bridge.clock.now()).await.unwrap();
    let link = rows.link("corp", &key(0).0);
    rows.find_key(link.clone(), false).await.unwrap();
    bridge.look_after(MINUTE).await;
    assert!(bridge.federation.rows.peek(&link).is_some());
}
