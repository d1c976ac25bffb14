//! Servers that mean harm, or are broken: each gets an error or a cut answer, in bounded time and
//! memory, and nothing else of the process is touched.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::super::{Directory, Paging, RawFound, SearchRequest, Settings, ber};
use super::slapd::bound;
use super::{people, person, settings, together, within};
use crate::clock::Clock;
use crate::repository::{RepositoryError, Severity};

/// A server that answers every request by its script. Its threads end with the connections.
pub struct Hostile {
    pub port: u16,
    pub accepted: Arc<AtomicUsize>,
}

impl Hostile {
    /// `script` gets the stream, the message id and the tag of each request, and says whether to
    /// go on reading.
    pub fn start(script: impl Fn(&mut TcpStream, u32, u8) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (count, script) = (Arc::clone(&accepted), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                let (mut stream, script) = (stream.unwrap(), Arc::clone(&script));
                thread::spawn(move || {
                    let mut buffer = vec![0; 65536];
                    while let Ok(length @ 1..) = stream.read(&mut buffer) {
                        let mut requests = ber::Elements(&buffer[..length]);
                        while let Ok(Some(one)) = requests.next() {
                            let (id, tag) = request(one.body);
                            if !script(&mut stream, id, tag) {
                                return;
                            }
                        }
                    }
                });
            }
        });
        Self { port, accepted }
    }

    /// The same bytes for every request.
    pub fn saying(bytes: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start(move |stream, id, _| stream.write_all(&bytes(id)).is_ok())
    }

    pub fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.port)
    }

    pub fn directory(&self) -> Directory {
        Directory::new("evil", settings(&[self.url()])).unwrap()
    }
}

/// The message id and the operation's tag of a request.
fn request(message: &[u8]) -> (u32, u8) {
    let mut parts = ber::Elements(message);
    let id = parts.take(0x02).unwrap().and_then(ber::unsigned).unwrap();
    (id, parts.next().unwrap().unwrap().tag)
}

pub fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut bytes = vec![tag, 0x84];
    bytes.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend(body);
    bytes
}

pub fn message(id: u32, rest: &[u8]) -> Vec<u8> {
    element(0x30, &[&element(0x02, &[&id.to_be_bytes()]), rest])
}

pub fn entry(id: u32, value: &[u8]) -> Vec<u8> {
    let values = element(0x31, &[&element(0x04, &[value])]);
    let attribute = element(0x30, &[&element(0x04, &[b"cn"]), &values]);
    message(id, &element(0x64, &[&element(0x04, &[b"cn=x"]), &element(0x30, &[&attribute])]))
}

pub fn result(tag: u8, code: u8) -> Vec<u8> {
    element(tag, &[&[0x0A, 1, code, 0x04, 0, 0x04, 0]])
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

async fn ask(server: &Hostile, limit: usize) -> Result<RawFound, RepositoryError> {
    let request = SearchRequest { size_limit: limit, ..person(1) };
    server.directory().search(&request, within(20_000)).await
}

async fn refused(bytes: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static, words: &str) {
    let server = Hostile::saying(bytes);
    let started = Instant::now();
    let error = ask(&server, 10).await.unwrap_err();
    assert!(matches!(&error, RepositoryError::Unavailable(_)), "{error}");
    assert!(error.to_string().contains(words), "{error} lacks {words}");
    assert!(started.elapsed() < Duration::from_secs(10));
    // Once, and once more on a fresh connection.
    assert_eq!(server.accepted.load(Ordering::SeqCst), 2, "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_answer_is_an_error_that_says_why() {
    let nested = [0x30, 0x84, 0x00, 0x01, 0xD4, 0xB0].repeat(20_000);
    refused(move |_| nested.clone(), "broken BER").await;
    refused(|_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "not LDAP").await;
    refused(|_| vec![0x30, 0x84, 0x7F, 0xFF, 0xFF, 0xFF, 0x02, 0x01], "max_message").await;
    refused(|_| vec![0x30, 0x80, 0x02, 0x01, 0x01], "indefinite").await;
    refused(|_| vec![0x30, 0x88, 0, 0, 0, 0, 0, 0, 0, 5], "four bytes").await;
    refused(|id| message(id, &result(0x7E, 0)), "does not know").await;
    refused(|id| message(id, &result(0x63, 0)), "does not know").await;
    refused(|id| message(id, &element(0x65, &[])), "broken result").await;
    refused(|id| message(id, &element(0x64, &[&[0x04, 1, 0xFF, 0x30, 0]])), "broken entry").await;
    refused(|_| message(0, &result(0x78, 52)), "notice").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nesting_of_120_kilobytes_in_a_well_formed_answer_is_refused() {
    let mut nested = vec![0x30, 0x00];
    while nested.len() < 120_000 {
        nested = element(0x30, &[&nested]);
    }
    let inside = nested.clone();
    refused(move |id| message(id, &inside), "does not know").await;
    let tail = [result(0x65, 0)[6..].to_vec(), nested].concat();
    refused(move |id| message(id, &element(0x65, &[&tail])), "nested more than").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wrong_kind_of_answer_ends_only_its_connection() {
    // The crate's own task panics at this; the process and the next search do not mind.
    for tag in [0x61, 0x6F] {
        let server = Hostile::saying(move |id| message(id, &result(tag, 0)));
        let error = ask(&server, 10).await.unwrap_err();
        assert!(error.to_string().contains("broke"), "{error}");
    }
    let server = Hostile::saying(|id| entry(id, b"not a bind response"));
    let directory = Directory::new("evil", bound(settings(&[server.url()]), "cn=x")).unwrap();
    let error = directory.search(&person(1), within(5000)).await.unwrap_err();
    assert!(error.to_string().contains("bind"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_without_end_are_cut() {
    let before = resident();
    let forever = |piece: fn(u32) -> Vec<u8>| {
        Hostile::start(move |stream, id, _| {
            let piece = piece(id).repeat(64);
            while stream.write_all(&piece).is_ok() {}
            false
        })
    };
    let server = forever(|id| entry(id, b"one of very many"));
    for _ in 0..3 {
        let found = ask(&server, 50).await.unwrap();
        assert_eq!((found.complete, found.entries.len()), (false, 50));
    }
    let directory = server.directory();
    for paging in [Paging::Never, Paging::Always, Paging::Overflow] {
        let request = people("(uid=*)", 50, paging);
        let found = directory.search(&request, within(20_000)).await.unwrap();
        assert_eq!((found.complete, found.entries.len()), (false, 50));
    }
    let referrals = forever(|id| message(id, &element(0x73, &[&element(0x04, &[b"ldap://x/"])])));
    assert!(!ask(&referrals, 50).await.unwrap().complete);
    let intermediate = forever(|id| message(id, &element(0x79, &[&[0x81, 0x01, b'x']])));
    assert!(!ask(&intermediate, 50).await.unwrap().complete);
    let grown = resident().saturating_sub(before);
    assert!(grown < 300 << 20, "{grown} bytes more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_entries_are_cut_before_they_fill_the_memory() {
    let before = resident();
    let server = Hostile::start(|stream, id, _| {
        let piece = entry(id, &vec![b'x'; 7 << 20]);
        while stream.write_all(&piece).is_ok() {}
        false
    });
    let found = ask(&server, 1_000_000).await.unwrap();
    assert!(!found.complete);
    assert!(found.entries.len() < 10, "{}", found.entries.len());
    drop(found);
    let grown = resident().saturating_sub(before);
    assert!(grown < 400 << 20, "{grown} bytes more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_never_ends_takes_no_memory() {
    let before = resident();
    let server = Hostile::start(|stream, _, _| {
        let _ = stream.write_all(&[0x30, 0x84, 0x00, 0x70, 0x00, 0x00]);
        while stream.write_all(&[0x04; 4096]).is_ok() {}
        false
    });
    // Seven megabytes are allowed, and turn out to be nothing.
    assert!(ask(&server, 10).await.is_err());
    let grown = resident().saturating_sub(before);
    assert!(grown < 200 << 20, "{grown} bytes more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_an_answer_is_no_answer() {
    let server = Hostile::start(|stream, id, _| {
        let _ = stream.write_all(&entry(id, b"first"));
        let _ = stream.write_all(&entry(id, b"second")[..20]);
        false
    });
    let error = ask(&server, 10).await.unwrap_err();
    assert!(error.to_string().contains("closed the connection"), "{error}");
    assert_eq!(server.accepted.load(Ordering::SeqCst), 2);

    // A whole answer counts, though the server hangs up with it.
    let server = Hostile::start(|stream, id, _| {
        let whole = [entry(id, b"first"), message(id, &result(0x65, 0))].concat();
        let _ = stream.write_all(&whole);
        false
    });
    for _ in 0..5 {
        let found = ask(&server, 10).await.unwrap();
        assert_eq!((found.complete, found.entries.len()), (true, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_ends_at_the_deadline() {
    let silent = Hostile::start(|_, _, _| true);
    let confused = Hostile::saying(|id| message(id ^ 0x40, &result(0x65, 0)));
    let endless = Hostile::start(|stream, id, _| {
        while stream.write_all(&entry(id ^ 0x40, b"for somebody else")).is_ok() {}
        false
    });
    for server in [silent, confused, endless] {
        let started = Instant::now();
        let found = server.directory().search(&person(1), within(400)).await;
        assert!(matches!(found, Err(RepositoryError::Timeout)), "{found:?}");
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(390) && took < Duration::from_secs(2), "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_lead_nowhere_come_to_an_end() {
    let cookie = element(0x30, &[&[0x02, 1, 0], &element(0x04, &[b"more"])]);
    let control =
        element(0x30, &[b"\x04\x16", b"1.2.840.113556.1.4.319", &element(0x04, &[&cookie])]);
    let control = element(0xA0, &[&control]);
    let server =
        Hostile::saying(move |id| message(id, &[result(0x65, 0), control.clone()].concat()));
    let request = people("(uid=*)", 10, Paging::Always);
    let started = Instant::now();
    match server.directory().search(&request, within(2000)).await {
        Ok(found) => assert!(!found.complete),
        Err(error) => assert!(matches!(error, RepositoryError::Timeout), "{error}"),
    }
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_busy_is_not_one_where_nobody_is() {
    for (code, words) in [
        (51, "busy"),
        (52, "busy"),
        (80, "result code 80"),
        (50, "may not search"),
        (10, "referral"),
    ] {
        let server = Hostile::saying(move |id| message(id, &result(0x65, code)));
        let error = ask(&server, 10).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    for code in [3, 4, 11] {
        let server =
            Hostile::saying(move |id| [entry(id, b"x"), message(id, &result(0x65, code))].concat());
        let found = ask(&server, 10).await.unwrap();
        assert_eq!((found.complete, found.entries.len()), (false, 1), "{code}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_in_place_of_tls_is_an_error_and_never_plain_text() {
    let garbage = |bytes: &'static [u8]| {
        Hostile::start(move |stream, _, tag| {
            // What was asked in the clear is answered well, were it ever asked.
            assert_ne!(tag, 0x63, "a search was sent in plain text");
            let _ = stream.write_all(bytes);
            true
        })
    };
    let starttls_ok = [message(1, &result(0x78, 0)), message(2, &result(0x65, 0))].concat();
    let injected = Hostile::saying(move |_| starttls_ok.clone());
    let refusing = Hostile::saying(|_| message(1, &result(0x78, 2)));
    let cases = [
        (garbage(b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00"), true, "TLS"),
        (garbage(b"SSH-2.0-OpenSSH\r\n"), true, "TLS"),
        (garbage(b"SSH-2.0-OpenSSH\r\n"), false, "not LDAP"),
        (injected, false, "plain text"),
        (refusing, false, "refuses StartTLS"),
    ];
    for (server, ldaps, words) in cases {
        let url = if ldaps { server.url().replace("ldap:", "ldaps:") } else { server.url() };
        let settings = Settings { starttls: !ldaps, ..settings(&[url]) };
        let directory = Directory::new("evil", settings).unwrap();
        let error = directory.search(&person(1), within(5000)).await.unwrap_err();
        assert!(matches!(error, RepositoryError::Unavailable(_)), "{error}");
        let (findings, _) = directory.diagnose(&Clock::system()).await;
        let broken = findings.iter().find(|found| found.severity == Severity::Broken).unwrap();
        assert_eq!(broken.subject, "TLS");
        let text = format!("{error} {}", broken.text);
        assert!(ldaps || text.contains(words), "{text} lacks {words}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_at_the_same_moment_share_one_attempt() {
    let server = Hostile::start(|_, _, _| false);
    let directory = Directory::new("evil", bound(settings(&[server.url()]), "cn=x")).unwrap();
    let answers = together(64, &directory, async |directory, index| {
        directory.search(&person(index), within(5000)).await.is_err()
    })
    .await;
    assert!(answers.into_iter().all(|failed| failed));
    assert_eq!(server.accepted.load(Ordering::SeqCst), 1);
    // The server is left alone now, and to find that out takes no time.
    let mut took = Vec::new();
    for _ in 0..21 {
        let started = Instant::now();
        assert!(directory.search(&person(1), within(5000)).await.is_err());
        took.push(started.elapsed());
    }
    took.sort();
    assert!(took[10] < Duration::from_millis(5), "{took:?}");
    assert_eq!(directory.healthy(), Some(false));
}
