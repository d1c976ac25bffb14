//! Loads that wait for a gate, and a time moved by hand: nothing here depends on how fast it runs.

use std::sync::atomic::AtomicUsize;

use tokio::sync::{Notify, Semaphore};

use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Failure {
    Down,
    Lost,
}

impl From<Lost> for Failure {
    fn from(_: Lost) -> Self {
        Self::Lost
    }
}

const MINUTE: Policy = Policy {
    fresh: Duration::from_mins(1),
    negative: Duration::from_secs(15),
    stale: Duration::from_hours(1),
};
const NOTHING: Policy =
    Policy { fresh: Duration::ZERO, negative: Duration::ZERO, stale: Duration::ZERO };

type Outcome = Result<Loaded<u32>, Failure>;

#[expect(clippy::unnecessary_wraps, reason = "it is what a load that succeeds ends with")]
fn whole(value: u32) -> Outcome {
    Ok(Loaded::whole(value))
}

fn peeked(cache: &Cache<&'static str, u32>) -> Option<u32> {
    cache.peek(&"key").map(|answer| answer.value)
}

fn cache() -> (Cache<&'static str, u32>, Time) {
    let time = Time::manual();
    (Cache::with_time("test", 1 << 20, |_, _| 8, time.clone()), time)
}

async fn get(
    cache: &Cache<&'static str, u32>,
    policy: Policy,
    outcome: Outcome,
) -> Result<Answer<u32>, Failure> {
    cache.get("key", policy, false, move || async move { outcome }).await
}

/// A load that counts its beginning, and ends with `outcome` when a permit comes.
struct Gate {
    begun: AtomicUsize,
    permits: Semaphore,
}

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Self { begun: AtomicUsize::new(0), permits: Semaphore::new(0) })
    }

    fn load(
        self: &Arc<Self>,
        outcome: Outcome,
    ) -> impl FnOnce() -> futures_util::future::BoxFuture<'static, Outcome> + Send + 'static {
        let gate = Arc::clone(self);
        move || {
            Box::pin(async move {
                gate.begun.fetch_add(1, Ordering::SeqCst);
                gate.permits.acquire().await.unwrap().forget();
                outcome
            })
        }
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    fn open(&self) {
        self.permits.add_permits(1);
    }
}

/// Lets the other tasks run until `done`.
async fn until(done: impl Fn() -> bool) {
    for _ in 0..1_000_000 {
        if done() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never came to this");
}

fn state(answer: &Answer<u32>) -> (u32, State) {
    (answer.value, answer.state)
}

#[tokio::test]
async fn callers_who_give_up_do_not_stop_the_one_load() {
    for policy in [MINUTE, NOTHING] {
        let (cache, _) = cache();
        let (gate, patience) = (Gate::new(), Arc::new(Notify::new()));
        let callers: Vec<_> = (0..300)
            .map(|_| {
                let (cache, gate) = (cache.clone(), Arc::clone(&gate));
                let patience = Arc::clone(&patience);
                tokio::spawn(async move {
                    tokio::select! {
                        answer = cache.get("key", policy, false, gate.load(whole(7))) => Some(answer),
                        () = patience.notified() => None,
                    }
                })
            })
            .collect();
        until(|| cache.statistics().misses == 300 && gate.begun() > 0).await;
        patience.notify_waiters();
        for caller in callers {
            assert_eq!(caller.await.unwrap(), None);
        }
        // The load is still there: who comes now joins it.
        let late = {
            let (cache, gate) = (cache.clone(), Arc::clone(&gate));
            tokio::spawn(async move { cache.get("key", policy, false, gate.load(whole(8))).await })
        };
        until(|| cache.statistics().misses == 301).await;
        gate.open();
        assert_eq!(state(&late.await.unwrap().unwrap()), (7, State::Live));
        assert_eq!((gate.begun(), cache.statistics().loads), (1, 1));
        assert_eq!(peeked(&cache), (policy == MINUTE).then_some(7));
    }
}

#[tokio::test]
async fn a_value_loaded_before_an_invalidation_does_not_land() {
    for all in [false, true] {
        let (cache, _) = cache();
        let (old, new) = (Gate::new(), Gate::new());
        let ask = |gate: &Arc<Gate>, value| {
            let (cache, load) = (cache.clone(), gate.load(whole(value)));
            tokio::spawn(async move { cache.get("key", MINUTE, false, load).await })
        };
        let before = ask(&old, 1);
        until(|| old.begun() == 1).await;
        if all {
            cache.invalidate_all();
        } else {
            cache.invalidate(&"key");
        }
        // Who asks afterwards does not get what was loaded before.
        let after = ask(&new, 2);
        until(|| new.begun() == 1).await;
        old.open();
        assert_eq!(before.await.unwrap().unwrap().value, 1);
        assert_eq!(peeked(&cache), None, "the old value did not land");
        // The old load's end did not take the new one off the list.
        let joining = ask(&new, 3);
        until(|| cache.statistics().misses == 3).await;
        new.open();
        assert_eq!(after.await.unwrap().unwrap().value, 2);
        assert_eq!(joining.await.unwrap().unwrap().value, 2);
        assert_eq!(peeked(&cache), Some(2));
        assert_eq!(cache.statistics().loads, 2);
    }
}

#[tokio::test]
async fn what_is_kept_goes_by_invalidation() {
    let (cache, _) = cache();
    get(&cache, MINUTE, whole(1)).await.unwrap();
    cache.invalidate(&"other");
    assert_eq!(peeked(&cache), Some(1));
    cache.invalidate(&"key");
    assert_eq!(peeked(&cache), None);
    assert_eq!(
        get(&cache, MINUTE, Err(Failure::Down)).await,
        Err(Failure::Down),
        "nor is it stale"
    );
    get(&cache, MINUTE, whole(2)).await.unwrap();
    cache.invalidate_all();
    assert_eq!(peeked(&cache), None);
    cache.insert("key", Loaded::whole(3), MINUTE);
    assert_eq!(peeked(&cache), Some(3));
}

#[tokio::test]
async fn a_failure_is_answered_with_an_older_value_and_never_kept() {
    let (cache, time) = cache();
    assert_eq!(get(&cache, MINUTE, Err(Failure::Down)).await, Err(Failure::Down));
    assert_eq!(state(&get(&cache, MINUTE, whole(1)).await.unwrap()), (1, State::Live));
    time.advance(Duration::from_secs(61));
    let stale = get(&cache, MINUTE, Err(Failure::Down)).await.unwrap();
    assert_eq!((state(&stale), stale.age), ((1, State::Stale), Duration::from_secs(61)));
    assert_eq!(peeked(&cache), None, "stale values are not for the hot path");
    let round = cache.get("key", MINUTE, true, || async { Err(Failure::Down) }).await;
    assert_eq!(round, Err(Failure::Down), "who goes round wants no old value");
    time.advance(Duration::from_hours(1));
    assert_eq!(get(&cache, MINUTE, Err(Failure::Down)).await, Err(Failure::Down));
    assert_eq!(state(&get(&cache, MINUTE, whole(2)).await.unwrap()), (2, State::Live));
}

#[tokio::test]
async fn after_half_its_time_a_value_is_loaded_anew_behind() {
    let (cache, time) = cache();
    get(&cache, MINUTE, whole(1)).await.unwrap();
    time.advance(Duration::from_secs(29));
    let gate = Gate::new();
    let ask = |value| cache.get("key", MINUTE, false, gate.load(whole(value)));
    assert_eq!(state(&ask(2).await.unwrap()), (1, State::Cached));
    assert_eq!(cache.statistics().loads, 1);
    time.advance(Duration::from_secs(1));
    assert_eq!(peeked(&cache), None, "somebody has to begin the load");
    for _ in 0..5 {
        let answer = ask(2).await.unwrap();
        assert_eq!((state(&answer), answer.age), ((1, State::Cached), Duration::from_secs(30)));
    }
    assert_eq!(peeked(&cache), Some(1), "and while it is under way all are served");
    gate.open();
    until(|| peeked(&cache) == Some(2)).await;
    assert_eq!((gate.begun(), cache.statistics().loads), (1, 2));
    time.advance(Duration::from_secs(29));
    assert_eq!(peeked(&cache), Some(2), "fresh from the new load on");
}

#[tokio::test]
async fn a_refresh_that_fails_is_not_tried_at_every_look_up() {
    let (cache, time) = cache();
    get(&cache, MINUTE, whole(1)).await.unwrap();
    time.advance(Duration::from_secs(30));
    for _ in 0..10 {
        assert_eq!(get(&cache, MINUTE, Err(Failure::Down)).await.unwrap().value, 1);
        tokio::task::yield_now().await;
    }
    assert_eq!(cache.statistics().loads, 2);
    time.advance(Duration::from_secs(8));
    assert_eq!(get(&cache, MINUTE, whole(2)).await.unwrap().value, 1);
    until(|| peeked(&cache) == Some(2)).await;
}

#[tokio::test]
async fn nobody_and_what_was_cut_are_kept_for_less() {
    let (cache, time) = cache();
    let empty = || Ok(Loaded { value: 0, empty: true, cut: false, aged: Duration::ZERO });
    get(&cache, MINUTE, empty()).await.unwrap();
    time.advance(Duration::from_secs(7));
    assert_eq!(state(&get(&cache, MINUTE, whole(1)).await.unwrap()), (0, State::Cached));
    time.advance(Duration::from_secs(8));
    let failed = get(&cache, MINUTE, Err(Failure::Down)).await;
    assert_eq!(failed, Err(Failure::Down), "an outage is never an absence");

    get(&cache, MINUTE, Ok(Loaded { value: 1, empty: false, cut: true, aged: Duration::ZERO }))
        .await
        .unwrap();
    time.advance(Duration::from_secs(2));
    assert_eq!(state(&get(&cache, MINUTE, whole(2)).await.unwrap()), (1, State::Cached));
    time.advance(Duration::from_secs(3));
    assert_eq!(get(&cache, MINUTE, Err(Failure::Down)).await, Err(Failure::Down));
}

#[tokio::test]
async fn with_all_times_zero_nothing_is_kept() {
    let (cache, _) = cache();
    get(&cache, MINUTE, whole(1)).await.unwrap();
    cache.get("key", NOTHING, true, || async { whole(2) }).await.unwrap();
    assert_eq!(peeked(&cache), None, "not even what was there before");
    assert_eq!(state(&get(&cache, NOTHING, whole(3)).await.unwrap()), (3, State::Live));
    assert_eq!(state(&get(&cache, NOTHING, whole(4)).await.unwrap()), (4, State::Live));
    assert_eq!(cache.statistics().entries, 0);
}

#[tokio::test]
async fn who_goes_round_joins_nothing_and_keeps_what_he_found() {
    let (cache, _) = cache();
    let gate = Gate::new();
    let slow = {
        let (cache, load) = (cache.clone(), gate.load(whole(1)));
        tokio::spawn(async move { cache.get("key", MINUTE, false, load).await })
    };
    until(|| gate.begun() == 1).await;
    let round = cache.get("key", MINUTE, true, || async { Ok::<_, Failure>(Loaded::whole(2)) });
    assert_eq!(state(&round.await.unwrap()), (2, State::Live));
    assert_eq!(peeked(&cache), Some(2));
    gate.open();
    assert_eq!(slow.await.unwrap().unwrap().value, 1);
    assert_eq!(peeked(&cache), Some(2), "what began earlier does not displace it");
}

#[tokio::test]
async fn a_panic_in_a_load_wakes_everybody() {
    let (cache, _) = cache();
    let gate = Gate::new();
    let first = {
        let (cache, gate) = (cache.clone(), Arc::clone(&gate));
        let load = move || async move {
            gate.load(whole(0))().await?;
            panic!("a fault in the load");
        };
        tokio::spawn(async move { cache.get("key", MINUTE, false, load).await })
    };
    until(|| gate.begun() == 1).await;
    let second = {
        let (cache, load) = (cache.clone(), gate.load(whole(1)));
        tokio::spawn(async move { cache.get("key", MINUTE, false, load).await })
    };
    until(|| cache.statistics().misses == 2).await;
    gate.open();
    assert_eq!(first.await.unwrap(), Err(Failure::Lost));
    assert_eq!(second.await.unwrap(), Err(Failure::Lost));
    assert_eq!(get(&cache, MINUTE, whole(2)).await.unwrap().value, 2, "and the key is free again");
}

#[tokio::test]
async fn what_a_search_brings_along_does_not_undo_an_invalidation() {
    let (cache, _) = cache();
    let began = cache.moment();
    cache.insert_since("other", Loaded::whole(1), MINUTE, began);
    cache.invalidate(&"key");
    cache.insert_since("key", Loaded::whole(1), MINUTE, began);
    assert_eq!(peeked(&cache), None);
    get(&cache, MINUTE, whole(2)).await.unwrap();
    let began = cache.moment();
    get(&cache, MINUTE, whole(2)).await.unwrap();
    cache.insert_since("key", Loaded::whole(3), MINUTE, began);
    assert_eq!(peeked(&cache), Some(3));
    cache.invalidate_all();
    cache.insert_since("key", Loaded::whole(4), MINUTE, began);
    assert_eq!(peeked(&cache), None);
}

#[tokio::test]
async fn memory_is_bounded_by_weight() {
    let cache: Cache<u32, Arc<[u8]>> =
        Cache::new("test", 100_000, |_, value| u32::try_from(value.len()).unwrap());
    for key in 0..1000 {
        cache.insert(key, Loaded::whole(vec![0; 1000].into()), Policy::UNTIL_INVALIDATED);
    }
    let held = cache.statistics();
    assert!(held.weight <= 100_000, "{held:?}");
    assert!((10..=100).contains(&held.entries), "{held:?}");
}

#[tokio::test]
async fn look_ups_with_different_errors_do_not_mix() {
    let (cache, _) = cache();
    let gate = Gate::new();
    let slow = {
        let (cache, load) = (cache.clone(), gate.load(whole(1)));
        tokio::spawn(async move { cache.get("key", MINUTE, false, load).await })
    };
    until(|| gate.begun() == 1).await;
    let other = cache.get("key", MINUTE, false, || async { Ok::<_, Lost>(Loaded::whole(2)) });
    assert_eq!(other.await.unwrap().value, 2);
    gate.open();
    assert_eq!(slow.await.unwrap().unwrap().value, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_after_an_invalidation_sees_what_was_before() {
    let (cache, _) = cache();
    let truth = Arc::new(AtomicUsize::new(0));
    let writer = {
        let (cache, truth) = (cache.clone(), Arc::clone(&truth));
        tokio::spawn(async move {
            for value in 1..=2000 {
                truth.store(value, Ordering::SeqCst);
                cache.invalidate(&"key");
                tokio::task::yield_now().await;
            }
        })
    };
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (cache, truth) = (cache.clone(), Arc::clone(&truth));
            tokio::spawn(async move {
                // A value is written, then invalidated: only the newest may be missed.
                while truth.load(Ordering::SeqCst) < 2000 {
                    let before = truth.load(Ordering::SeqCst);
                    let source = Arc::clone(&truth);
                    let load = move || async move {
                        let value = source.load(Ordering::SeqCst);
                        tokio::task::yield_now().await;
                        whole(u32::try_from(value).unwrap())
                    };
                    let seen = cache.get("key", MINUTE, false, load).await.unwrap().value;
                    assert!(seen as usize + 1 >= before, "{seen} after {before}");
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    writer.await.unwrap();
    for reader in readers {
        reader.await.unwrap();
    }
    let source = Arc::clone(&truth);
    let load = move || async move { whole(u32::try_from(source.load(Ordering::SeqCst)).unwrap()) };
    assert_eq!(cache.get("key", MINUTE, false, load).await.unwrap().value, 2000);
}
