//! What the bridge is measured against: the least that any such server must do.

#![expect(clippy::struct_field_names, reason = "the names are the message's")]

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::header;
use axum::routing::get;
use serde::Serialize;

use super::support::company;
use super::support::slapd::{PASSWORD, READER, SUFFIX};

/// What only the bare server's list holds.
pub const EXPECT: &str = "\"userName\":\"u0000042\"";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    schemas: Vec<String>,
    total_results: usize,
    start_index: usize,
    items_per_page: usize,
    #[serde(rename = "Resources")]
    resources: Vec<User>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct User {
    schemas: Vec<String>,
    id: String,
    external_id: String,
    user_name: String,
    name: Name,
    display_name: String,
    title: String,
    active: bool,
    emails: Vec<Value>,
    phone_numbers: Vec<Value>,
    addresses: Vec<Address>,
    meta: Meta,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Name {
    formatted: String,
    family_name: String,
    given_name: String,
}

#[derive(Serialize)]
struct Value {
    value: String,
    r#type: String,
    primary: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Address {
    formatted: String,
    street_address: String,
    locality: String,
    postal_code: String,
    country: String,
    r#type: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    resource_type: String,
    created: String,
    last_modified: String,
    location: String,
    version: String,
}

fn list() -> List {
    let value = |value: &str, kind: &str, primary| Value {
        value: value.to_owned(),
        r#type: kind.to_owned(),
        primary,
    };
    List {
        schemas: vec!["urn:ietf:params:scim:api:messages:2.0:ListResponse".to_owned()],
        total_results: 1,
        start_index: 1,
        items_per_page: 1,
        resources: vec![User {
            schemas: vec![
                "urn:ietf:params:scim:schemas:core:2.0:User".to_owned(),
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User".to_owned(),
            ],
            id: "0192f0c1-9a4e-7c33-8d1f-1c5e6f7a8b90".to_owned(),
            external_id: "u0000042".to_owned(),
            user_name: "u0000042".to_owned(),
            name: Name {
                formatted: "Barbara Jane Jensen".to_owned(),
                family_name: "Jensen".to_owned(),
                given_name: "Barbara".to_owned(),
            },
            display_name: "Barbara Jane Jensen".to_owned(),
            title: "Principal Engineer, Directory Services".to_owned(),
            active: true,
            emails: vec![
                value("barbara.jensen@example.org", "work", true),
                value("babs@example.org", "home", false),
            ],
            phone_numbers: vec![
                value("+41 44 555 01 23", "work", true),
                value("+41 79 555 01 23", "mobile", false),
            ],
            addresses: vec![Address {
                formatted: "Bahnhofstrasse 1, 8001 Zürich, Switzerland".to_owned(),
                street_address: "Bahnhofstrasse 1".to_owned(),
                locality: "Zürich".to_owned(),
                postal_code: "8001".to_owned(),
                country: "CH".to_owned(),
                r#type: "work".to_owned(),
            }],
            meta: Meta {
                resource_type: "User".to_owned(),
                created: "2025-03-01T08:15:30Z".to_owned(),
                last_modified: "2026-02-11T17:45:12Z".to_owned(),
                location:
                    "http://127.0.0.1:8080/scim/acme/v2/Users/0192f0c1-9a4e-7c33-8d1f-1c5e6f7a8b90"
                        .to_owned(),
                version: "W/\"7\"".to_owned(),
            },
        }],
    }
}

/// Yardstick A: prints its address and serves until it is ended.
pub fn bare_server() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let list = Arc::new(list());
        let answer = move || {
            let list = Arc::clone(&list);
            async move {
                let body = serde_json::to_vec(&*list).unwrap_or_default();
                ([(header::CONTENT_TYPE, "application/scim+json")], body)
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        println!("{}", listener.local_addr().expect("an address"));
        let app = Router::new().route("/list", get(answer));
        axum::serve(listener, app).await.expect("serving");
    });
}

/// Runs yardstick B as a process of its own on the given processor; searches per second.
pub fn run_bare_ldap3(url: &str, cpu: &str) -> f64 {
    let output = Command::new("taskset")
        .args(["-c", cpu])
        .arg(std::env::current_exe().expect("this program"))
        .args(["yardstick-b", url])
        .output()
        .expect("the yardstick runs");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a rate")
}

/// Yardstick B: prints how many searches a second the crate does, every entry checked.
pub fn bare_ldap3(url: &str, people: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut connections = Vec::new();
        for _ in 0..2 {
            let (connection, mut ldap) = ldap3::LdapConnAsync::new(url).await.expect("slapd");
            ldap3::drive!(connection);
            ldap.simple_bind(READER, PASSWORD)
                .await
                .and_then(ldap3::LdapResult::success)
                .expect("bound");
            connections.push(ldap);
        }
        let next = Arc::new(AtomicUsize::new(0));
        let done = Arc::new(AtomicUsize::new(0));
        let begin = Instant::now();
        let tasks: Vec<_> = (0..16)
            .map(|task| {
                let mut ldap = connections[task % 2].clone();
                let (next, done) = (Arc::clone(&next), Arc::clone(&done));
                tokio::spawn(async move {
                    while begin.elapsed() < Duration::from_secs(3) {
                        let number = next.fetch_add(1, Ordering::Relaxed) % people + 1;
                        let uid = company::person(number).uid;
                        look_up(&mut ldap, &uid).await;
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no task fails");
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of searches")]
        let rate = done.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64();
        println!("{rate:.0}");
    });
}

async fn look_up(ldap: &mut ldap3::Ldap, uid: &str) {
    let filter = format!("(&(uid={uid})(objectClass=inetOrgPerson))");
    let attributes = [
        "uid",
        "cn",
        "sn",
        "givenName",
        "displayName",
        "title",
        "mail",
        "telephoneNumber",
        "mobile",
        "homePhone",
        "street",
        "l",
        "st",
        "postalCode",
        "employeeNumber",
        "departmentNumber",
        "o",
        "preferredLanguage",
        "entryUUID",
        "createTimestamp",
        "modifyTimestamp",
        "pwdAccountLockedTime",
    ];
    let mut stream = ldap
        .streaming_search(
            &format!("ou=people,{SUFFIX}"),
            ldap3::Scope::Subtree,
            &filter,
            attributes,
        )
        .await
        .expect("a search");
    let mut right = 0;
    while let Some(entry) = stream.next().await.expect("an entry") {
        let entry = ldap3::SearchEntry::construct(entry);
        right += usize::from(entry.attrs.get("uid").is_some_and(|values| values[0] == uid));
    }
    stream.finish().await;
    assert_eq!(right, 1, "{uid} is found once");
}
