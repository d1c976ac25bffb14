//! The client against real servers, against hostile ones, and against bad days.

mod faults;
mod hostile;
mod live;
mod referrals;
mod secure;
mod slapd;

use std::time::{Duration, Instant};

use super::{Directory, Paging, Scope, SearchRequest, Settings};
use crate::config::ServerUrl;

/// `ldap://host:port` or `ldaps://host:port`.
fn server(url: &str) -> ServerUrl {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (host, port) = rest.rsplit_once(':').unwrap();
    ServerUrl { host: host.to_owned(), port: port.parse().unwrap(), ldaps: scheme == "ldaps" }
}

/// Settings with short pauses; everything else as an administrator would leave it.
fn settings(urls: &[String]) -> Settings {
    Settings {
        urls: urls.iter().map(|url| server(url)).collect(),
        starttls: false,
        insecure: false,
        follow_referrals: Vec::new(),
        ca: None,
        client_certificate: None,
        bind_dn: None,
        bind_password: None,
        connect_timeout: Duration::from_secs(2),
        operation_timeout: Duration::from_secs(5),
        max_message: 8 << 20,
        lookup: 2,
        scan: 2,
        idle: Duration::from_mins(4),
        max_age: Duration::from_mins(30),
    }
}

fn people(filter: &str, size_limit: usize, paging: Paging) -> SearchRequest {
    SearchRequest {
        base: "ou=people,dc=example,dc=org".to_owned(),
        scope: Scope::Subtree,
        filter: filter.to_owned(),
        attributes: ["uid", "cn", "entryUUID"].map(str::to_owned).into(),
        size_limit,
        paging,
    }
}

fn person(number: usize) -> SearchRequest {
    people(&format!("(uid=u{number:04})"), 1, Paging::Never)
}

fn root_dse() -> SearchRequest {
    SearchRequest {
        base: String::new(),
        scope: Scope::Base,
        filter: "(objectClass=*)".to_owned(),
        attributes: vec!["+".to_owned()].into(),
        size_limit: 1,
        paging: Paging::Never,
    }
}

fn within(milliseconds: u64) -> Instant {
    Instant::now() + Duration::from_millis(milliseconds)
}

/// Asks until it is answered, for at most ten seconds.
async fn until_answered(directory: &Directory, request: &SearchRequest) {
    let end = within(10_000);
    loop {
        match directory.search(request, within(1000)).await {
            Ok(found) => return assert!(found.complete),
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Runs all of them at once.
async fn together<T: Send + 'static>(
    count: usize,
    directory: &Directory,
    each: impl AsyncFn(Directory, usize) -> T,
) -> Vec<T> {
    let each = &each;
    let runs = (0..count).map(|index| each(directory.clone(), index));
    futures_util::future::join_all(runs).await
}
