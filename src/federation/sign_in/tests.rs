//! Attempts at directories that say what a test tells them to.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use serde_json::json;

use super::*;
use crate::auth::Gate;
use crate::clock::Clock;
use crate::config::Config;
use crate::federation::{Freshness, RepositoryPart, Rules, Shares};
use crate::repository::{Authority, Bounds, Entry, Finding, Found, Plan, Repository};
use crate::scim::AttributePath;
use crate::secret::Secret;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

const KEY: &str = "00000000-0000-4000-8000-00000000000";
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

/// People of these names, each with the password `right`; whoever's name begins with `o` is an operator.
#[derive(Debug)]
struct Fake {
    id: &'static str,
    names: &'static [&'static str],
    /// What a look-up, a bind and the group answer instead.
    silent: bool,
    /// Answers are cut.
    cut: bool,
    says: Mutex<Option<Result<Verdict, Untold>>>,
    group: Option<RepositoryError>,
    /// How long a bind takes.
    takes: Duration,
    searches: AtomicUsize,
    binds: AtomicUsize,
    at_once: AtomicUsize,
    most: AtomicUsize,
}

impl Fake {
    fn new(id: &'static str, names: &'static [&'static str]) -> Self {
        Self {
            id,
            names,
            silent: false,
            cut: false,
            says: Mutex::default(),
            group: None,
            takes: Duration::ZERO,
            searches: AtomicUsize::new(0),
            binds: AtomicUsize::new(0),
            at_once: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        }
    }

    fn binds(&self) -> usize {
        self.binds.load(Ordering::SeqCst)
    }

    fn found(&self, like: impl Fn(&Entry) -> bool) -> Result<Found, RepositoryError> {
        if self.silent {
            return Err(RepositoryError::Timeout);
        }
        let entry = |(place, name): (usize, &&str)| Entry {
            key: EntryKey(format!("{KEY}{place}").into()),
            dn: format!("uid={name},dc=x"),
            attributes: json!({ "userName": name }).as_object().unwrap().clone(),
            created: None,
            last_modified: None,
            account: None,
            rules: Vec::new(),
        };
        let all = self.names.iter().enumerate().map(entry);
        let entries = all.filter(like).map(Arc::new).collect();
        Ok(Found { entries, complete: !self.cut, exact: true, scan: false, aged: Duration::ZERO })
    }
}

impl Repository for Fake {
    fn id(&self) -> &str {
        self.id
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

    fn plan(&self, filter: &Filter) -> Plan {
        let scan = format!("{filter:?}").contains('ß');
        Plan { text: String::new(), bases: Vec::new(), exact: true, scan }
    }

    fn search<'a>(
        &'a self,
        filter: &'a Filter,
        bounds: Bounds,
    ) -> BoxFuture<'a, Result<Found, RepositoryError>> {
        assert!(bounds.size_limit <= 10, "{bounds:?}");
        self.searches.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { self.found(|entry| filter.matches(&entry.attributes)) })
    }

    fn read<'a>(
        &'a self,
        keys: &'a [EntryKey],
        _: Bounds,
    ) -> BoxFuture<'a, Result<Found, RepositoryError>> {
        Box::pin(async { self.found(|entry| keys.contains(&entry.key)) })
    }

    fn authenticate<'a>(
        &'a self,
        _: &'a EntryKey,
        password: &'a Password,
        _: Instant,
    ) -> BoxFuture<'a, Result<Verdict, Untold>> {
        Box::pin(async move {
            self.binds.fetch_add(1, Ordering::SeqCst);
            let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            tokio::time::sleep(self.takes).await;
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            match &*self.says.lock().unwrap() {
                Some(said) => said.clone(),
                None if password.expose() == "right" => Ok(Verdict::Right { notice: None }),
                None => Ok(Verdict::Refused { why: Refused::Wrong, text: String::new() }),
            }
        })
    }

    fn is_member<'a>(
        &'a self,
        key: &'a EntryKey,
        group: &'a str,
        _: Instant,
    ) -> BoxFuture<'a, Result<bool, RepositoryError>> {
        Box::pin(async move {
            assert_eq!(group, "cn=operators,dc=x");
            let place: usize = key.0[KEY.len()..].parse().unwrap();
            self.group.clone().map_or(Ok(self.names[place].starts_with('o')), Err)
        })
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
    gate: Gate,
}

fn bridge(repositories: &[Arc<Fake>]) -> Bridge {
    let tables = repositories.iter().map(|one| {
        let id = one.id;
        format!("[[tenant.repository]]\nid = \"{id}\"\nurls = [\"ldaps://x\"]\nbase = \"dc=x\"\n")
    });
    let tables: String = tables.collect();
    let group = "\"cn=operators,dc=x\"";
    let operators = match repositories {
        [_] => group.to_owned(),
        [first, ..] => format!("{{ repository = \"{}\", group = {group} }}", first.id),
        [] => unreachable!(),
    };
    let text = format!("[[tenant]]\nname = \"acme\"\noperators = {operators}\n{tables}");
    let config = Config::parse(&text, Path::new("/"), &|_| None).unwrap();
    let tenant = &config.tenants[0];
    let clock = Clock::system();
    let types = tenant.resource_types.all().to_vec();
    let store = Arc::new(Store::open("sqlite::memory:", &[], clock.clone()).unwrap());
    let ids: Vec<(&str, &str)> = repositories.iter().map(|one| ("acme", one.id)).collect();
    let metrics = Metrics::new(&ids);
    let part = |one: &Arc<Fake>| RepositoryPart {
        former_id: None,
        repository: Arc::clone(one) as Arc<dyn Repository>,
        rules: Vec::new(),
        metrics: metrics.repository("acme", one.id).unwrap(),
        freshness: Freshness {
            fresh: Duration::ZERO,
            negative: Duration::ZERO,
            stale: Duration::ZERO,
        },
        size_limit: 100,
        timeout: Duration::from_millis(1200),
        verify: Duration::from_hours(1),
    };
    let gate = Gate::new(&config, &store, &clock, 1 << 20).unwrap();
    let federation = Federation::new(
        "acme".into(),
        Rules::from(tenant),
        types,
        store,
        repositories.iter().map(part).collect(),
        &Shares::new(1 << 20),
        1,
        false,
        clock,
    );
    Bridge { federation, gate }
}

impl Bridge {
    /// As a console does it: by the gate, which is told how it ended.
    async fn sign_in(&self, name: &str, password: &str) -> Result<Operator, NotSignedIn> {
        let now = Instant::now();
        let attempt = self.gate.sign_in("acme", HERE, now).unwrap();
        let password = Password::new(Secret::new(password.to_owned())).unwrap();
        let deadline = now + Duration::from_secs(5);
        let may_try = |account: Account<'_>| match account {
            Account::Name(name) => attempt.may_ask(name),
            Account::Person(person) => attempt.may_try(person),
        };
        let outcome = self.federation.authenticate(name, &password, deadline, &may_try).await;
        match &outcome {
            Ok(_) => attempt.succeeded(),
            Err(NotSignedIn::Unavailable { sent: false, .. }) => attempt.told_nothing(),
            Err(NotSignedIn::Unavailable { sent: true, .. }) => attempt.unanswered(),
            Err(_) => drop(attempt),
        }
        outcome
    }
}

#[tokio::test]
async fn a_password_goes_to_the_directory_of_its_owner_alone() {
    let corp = Arc::new(Fake::new("corp", &["olga", "peter", "otto"]));
    let partner = Arc::new(Fake::new("partner", &["oskar", "otto"]));
    let bridge = bridge(&[Arc::clone(&corp), Arc::clone(&partner)]);
    let binds = || (corp.binds(), partner.binds());
    let olga = bridge.sign_in("OLGA", "right").await.unwrap();
    assert_eq!((&*olga.repository, olga.user_name.as_str()), ("corp", "olga"));
    assert_eq!(binds(), (1, 0));
    assert_eq!(bridge.sign_in("olga", "wrong").await, Err(NotSignedIn::Refused));
    assert_eq!(binds(), (2, 0));
    // Nobody is told that a password is right which does not let in.
    assert_eq!(bridge.sign_in("peter", "right").await, Err(NotSignedIn::Refused));
    assert_eq!(binds(), (3, 0));
    for name in ["otto", "nobody", "", "olga\0", &"o".repeat(300), "corp.nobody"] {
        assert_eq!(bridge.sign_in(name, "right").await, Err(NotSignedIn::Refused), "{name}");
    }
    assert_eq!(binds(), (3, 0));
    let otto = bridge.sign_in(&format!("corp.{KEY}2"), "right").await.unwrap();
    assert_eq!(&*otto.repository, "corp");
    assert_eq!(binds(), (4, 0));
    // In the group of that name which is in their own directory, and in that of the operators not.
    for name in ["oskar", &format!("partner.{KEY}1")] {
        assert_eq!(bridge.sign_in(name, "right").await, Err(NotSignedIn::Refused), "{name}");
    }
    assert_eq!(binds(), (4, 0), "a password that cannot let in is not sent");
}

#[tokio::test]
async fn an_outage_is_no_refusal_wherever_it_is() {
    let told = |sent| Err(NotSignedIn::Unavailable { retry_after: RETRY_AFTER, sent });
    let unavailable = told(false);
    let down = || RepositoryError::Unavailable("down".into());
    let silent = Arc::new(Fake { silent: true, ..Fake::new("partner", &[]) });
    let corp = Arc::new(Fake::new("corp", &["olga"]));
    let one = bridge(&[Arc::clone(&corp), silent]);
    for name in ["olga", "nobody"] {
        assert_eq!(one.sign_in(name, "right").await, unavailable, "{name}");
    }
    assert_eq!(corp.binds(), 0, "it may be somebody else's name");
    assert!(one.sign_in(&format!("corp.{KEY}0"), "right").await.is_ok());

    let group = Fake { group: Some(down()), ..Fake::new("corp", &["olga"]) };
    let unsent = Some(Err(Untold::from(down())));
    let bind = Fake { says: Mutex::new(unsent), ..Fake::new("corp", &["olga"]) };
    for fake in [group, bind].map(Arc::new) {
        let one = bridge(&[Arc::clone(&fake)]);
        // Nobody has to wait for that.
        for _ in 0..6 {
            assert_eq!(one.sign_in("olga", "right").await, unavailable, "{fake:?}");
        }
        assert_eq!(fake.binds(), 6);
    }
}

/// A directory that counts a failure and is late to say so is sent no more than one that answers.
#[tokio::test]
async fn a_password_that_was_sent_and_not_answered_counts() {
    let slow = Fake { takes: Duration::from_mins(1), ..Fake::new("corp", &["olga"]) };
    let cut = Untold { error: RepositoryError::Unavailable("cut".into()), sent: true };
    let cut = Fake { says: Mutex::new(Some(Err(cut))), ..Fake::new("corp", &["olga"]) };
    for fake in [slow, cut].map(Arc::new) {
        let one = bridge(&[Arc::clone(&fake)]);
        let sent = Err(NotSignedIn::Unavailable { retry_after: RETRY_AFTER, sent: true });
        for _ in 0..3 {
            assert_eq!(one.sign_in("olga", "right").await, sent, "{fake:?}");
        }
        for name in ["olga", &format!("corp.{KEY}0")] {
            let told = one.sign_in(name, "right").await;
            assert!(matches!(told, Err(NotSignedIn::Throttled(_))), "{told:?}");
        }
        assert_eq!(fake.binds(), 3);
    }
}

/// One that was cut, in whatever way, says nothing of who has the name; nor is it a failure.
#[tokio::test]
async fn an_answer_that_was_cut_is_an_outage_and_two_people_are_two() {
    let unavailable = Err(NotSignedIn::Unavailable { retry_after: RETRY_AFTER, sent: false });
    let corp = Arc::new(Fake {
        cut: true,
        ..Fake::new("corp", &["olga", "otto", "Otto", "oß", "peter"])
    });
    let bridge = bridge(&[Arc::clone(&corp)]);
    for name in ["olga", "nobody"] {
        for _ in 0..6 {
            assert_eq!(bridge.sign_in(name, "right").await, unavailable, "{name}");
        }
    }
    assert_eq!(bridge.sign_in("otto", "right").await, Err(NotSignedIn::Refused));
    // A name that would be looked for by reading everything is not looked for.
    let searches = || corp.searches.load(Ordering::SeqCst);
    let before = searches();
    assert_eq!(bridge.sign_in("oß", "right").await, Err(NotSignedIn::Refused));
    assert_eq!((searches(), corp.binds()), (before, 0));
}

/// Whatever the name looks like, and from wherever it is tried.
#[tokio::test]
async fn the_bridge_does_not_lock_accounts_in_the_directory() {
    let corp = Arc::new(Fake::new("corp", &["olga", "oskar"]));
    let bridge = bridge(&[Arc::clone(&corp)]);
    for name in ["olga", "OLGA", &format!("corp.{KEY}0")] {
        assert_eq!(bridge.sign_in(name, "wrong").await, Err(NotSignedIn::Refused));
    }
    for name in ["olga", "oLGA", &format!("corp.{KEY}0")] {
        let told = bridge.sign_in(name, "right").await;
        assert!(matches!(told, Err(NotSignedIn::Throttled(_))), "{name}: {told:?}");
    }
    assert_eq!(corp.binds(), 3);
    for password in ["wrong", "wrong", "right", "wrong", "wrong", "right"] {
        assert_eq!(bridge.sign_in("oskar", password).await.is_ok(), password == "right");
    }
    // A name that nobody has is told nothing else, and is looked for no more often.
    let searches = || corp.searches.load(Ordering::SeqCst);
    let before = searches();
    for _ in 0..3 {
        assert_eq!(bridge.sign_in("nobody", "x").await, Err(NotSignedIn::Refused));
    }
    assert!(matches!(bridge.sign_in("NoBody", "x").await, Err(NotSignedIn::Throttled(_))));
    assert_eq!(searches(), before + 3);
}

/// Refusals come at whole steps alone, also where a bind takes longer than one.
#[tokio::test]
async fn how_long_a_refusal_takes_does_not_tell_why() {
    for takes in [0, 650] {
        let takes = Duration::from_millis(takes);
        let bridge = bridge(&[Arc::new(Fake { takes, ..Fake::new("corp", &["olga", "peter"]) })]);
        for (name, password) in [("olga", "wrong"), ("peter", "right"), ("nobody", "x"), ("", "x")]
        {
            let began = Instant::now();
            assert_eq!(bridge.sign_in(name, password).await, Err(NotSignedIn::Refused));
            let took = began.elapsed();
            let bound = !takes.is_zero() && matches!(name, "olga" | "peter");
            let steps = if bound { 2 } else { 1 };
            assert!(took >= STEP * steps && took < STEP * (steps + 4), "{name}: {took:?}");
        }
    }
}

#[tokio::test]
async fn so_many_are_tried_at_once_and_no_more() {
    let names = &["oa", "ob", "oc", "od", "oe", "of", "og", "oh", "oi", "oj"];
    let corp = Arc::new(Fake { takes: Duration::from_millis(100), ..Fake::new("corp", names) });
    let bridge = bridge(&[Arc::clone(&corp)]);
    let all = names.iter().chain(names).map(|name| bridge.sign_in(name, "right"));
    assert!(join_all(all).await.iter().all(Result::is_ok));
    assert_eq!((corp.binds(), corp.most.load(Ordering::SeqCst)), (20, AT_ONCE));
}

#[test]
fn whoever_tried_is_told_no_reason() {
    let refused = |why| Tried::Refused { why, text: "data 775".to_owned() };
    let down = || RepositoryError::Unavailable("the password".into());
    let alike = [
        Tried::Closed,
        Tried::Nobody,
        Tried::NoOperator,
        Tried::Outsider,
        Tried::Unsearchable,
        Tried::Several,
        Tried::Deleted,
        Tried::Inactive,
        refused(Refused::Wrong),
        refused(Refused::Locked),
        refused(Refused::Disabled),
        refused(Refused::MustChange),
        refused(Refused::Gone),
        // Of whom it is not known who it is.
        Tried::SignedIn { notice: None },
    ];
    let text = NotSignedIn::Refused.to_string();
    for tried in alike {
        let told = Attempt::ended(tried).outcome().unwrap_err();
        assert_eq!(told.to_string(), text);
    }
    for (tried, sent) in [
        (Tried::Busy, false),
        (Tried::Silent, false),
        (Tried::Unanswered(Untold { error: down(), sent: false }), false),
        (Tried::Unanswered(Untold { error: down(), sent: true }), true),
        (Tried::Unread(down()), false),
    ] {
        let told = Attempt::ended(tried).outcome();
        assert_eq!(told, Err(NotSignedIn::Unavailable { retry_after: RETRY_AFTER, sent }));
    }
}
