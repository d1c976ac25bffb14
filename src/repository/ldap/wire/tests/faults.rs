//! Bad days of a real slapd: killed, restarted, frozen, hanging up, one of two.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::super::{Directory, Paging, Settings};
use super::slapd::{Port, SCIM, Slapd};
use super::{people, person, together, until_answered, within};
use crate::repository::RepositoryError;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_is_an_outage_and_comes_back() {
    let mut slapd = Slapd::start(50);
    let directory = Directory::new("corp", slapd.settings(SCIM)).unwrap();
    until_answered(&directory, &person(1)).await;
    let (stop, answered, failed) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
    );
    let callers: Vec<_> = (1..=16)
        .map(|number| {
            let directory = directory.clone();
            let (stop, answered, failed) = (stop.clone(), answered.clone(), failed.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    match directory.search(&person(number), within(3000)).await {
                        // Never "nobody": an outage does not make people disappear.
                        Ok(found) => {
                            assert_eq!((found.complete, found.entries.len()), (true, 1));
                            answered.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(RepositoryError::Unavailable(_)) => {
                            failed.fetch_add(1, Ordering::SeqCst);
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                        Err(RepositoryError::Timeout) => {
                            panic!("a killed server does not time out")
                        }
                    }
                }
            })
        })
        .collect();
    while answered.load(Ordering::SeqCst) < 200 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    slapd.kill();
    while failed.load(Ordering::SeqCst) < 50 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let started = Instant::now();
    assert!(directory.search(&person(1), within(3000)).await.is_err());
    assert!(started.elapsed() < Duration::from_millis(50), "{:?}", started.elapsed());
    assert_eq!(directory.healthy(), Some(false));
    slapd.run();
    until_answered(&directory, &person(1)).await;
    stop.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(directory.healthy(), Some(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_between_two_searches_is_not_noticed() {
    let mut slapd = Slapd::start(5);
    let directory = Directory::new("corp", slapd.settings(SCIM)).unwrap();
    for round in 0..5 {
        for paging in [Paging::Never, Paging::Always] {
            let request = people("(uid=u0003)", 10, paging);
            let found = directory.search(&request, within(5000)).await.unwrap();
            assert_eq!(found.entries.len(), 1, "{round} {paging:?}");
        }
        slapd.kill();
        slapd.run();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_the_server_hangs_up_are_replaced() {
    let slapd = Slapd::with(5, "idletimeout 1");
    let directory = Directory::new("corp", slapd.settings(SCIM)).unwrap();
    for _ in 0..4 {
        for answer in together(8, &directory, async |directory, _| {
            directory.search(&person(2), within(5000)).await
        })
        .await
        {
            assert_eq!(answer.unwrap().entries.len(), 1);
        }
        tokio::time::sleep(Duration::from_millis(1200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_stay_below_the_limit_of_the_server() {
    let slapd = Slapd::with(5, "idletimeout 2");
    let settings = Settings {
        idle: Duration::from_millis(800),
        max_age: Duration::from_millis(1500),
        ..slapd.settings(SCIM)
    };
    let directory = Directory::new("corp", settings).unwrap();
    until_answered(&directory, &person(1)).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    // Kept warm and replaced by age, so that nobody waits for a new one now.
    assert_eq!(directory.search(&person(1), within(5000)).await.unwrap().entries.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_costs_one_deadline() {
    let slapd = Slapd::start(50);
    let directory = Directory::new("corp", slapd.settings(SCIM)).unwrap();
    until_answered(&directory, &person(1)).await;
    slapd.freeze();
    let started = Instant::now();
    for paging in [Paging::Never, Paging::Always] {
        let request = people("(uid=u0001)", 5, paging);
        let started = Instant::now();
        let found = directory.search(&request, within(500)).await;
        assert!(matches!(found, Err(RepositoryError::Timeout)), "{found:?}");
        let took = started.elapsed();
        assert!(
            took >= Duration::from_millis(490) && took < Duration::from_millis(1500),
            "{took:?}"
        );
    }
    let waited = together(32, &directory, async |directory, _| {
        let started = Instant::now();
        let failed = directory.search(&person(1), within(500)).await.is_err();
        (failed, started.elapsed())
    })
    .await;
    assert!(waited.iter().all(|(failed, took)| *failed && *took < Duration::from_millis(1500)));
    // The bind of the next connection is waited for once; then nobody waits any more.
    loop {
        assert!(started.elapsed() < Duration::from_secs(15), "the server is still waited for");
        let asked = Instant::now();
        match directory.search(&person(1), within(500)).await {
            Err(RepositoryError::Unavailable(_)) if asked.elapsed() < Duration::from_millis(5) => {
                break;
            }
            Err(_) => {}
            Ok(_) => panic!("a frozen server answered"),
        }
    }
    slapd.thaw();
    until_answered(&directory, &person(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_server_answers_for_one_that_is_down() {
    let (mut first, second) = (Slapd::start(5), Slapd::start(8));
    let nobody = Port::reserve();
    let settings = Settings {
        urls: [nobody.url(), first.url(), second.url()]
            .iter()
            .map(|url| super::super::ServerUrl::parse(url).unwrap())
            .collect(),
        ..first.settings(SCIM)
    };
    let directory = Directory::new("corp", settings).unwrap();
    let everybody = people("(objectClass=inetOrgPerson)", 50, Paging::Overflow);
    let count = async || directory.search(&everybody, within(5000)).await.unwrap().entries.len();
    assert_eq!(count().await, 5);
    first.kill();
    // The connection breaks, a fresh one is refused, the next server answers: no error is seen.
    assert_eq!(count().await, 8);
    let started = Instant::now();
    assert_eq!(count().await, 8);
    assert!(started.elapsed() < Duration::from_millis(500));
    first.run();
    let end = within(10_000);
    while count().await != 5 {
        assert!(Instant::now() < end, "the preferred server is not asked again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
