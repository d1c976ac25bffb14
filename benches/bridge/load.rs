//! A load generator that costs less than what it measures: raw HTTP/1.1 over a few keep-alive
//! connections on one thread, one request in flight on each, every answer checked.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// A request with what its answer must hold.
#[derive(Debug)]
pub struct Shot {
    request: Vec<u8>,
    status: u16,
    /// A text that only the right person's answer contains.
    expect: Vec<u8>,
}

impl Shot {
    pub fn get(path: &str, token: &str, expect: &str) -> Self {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n");
        Self { request: request.into_bytes(), status: 200, expect: expect.as_bytes().to_vec() }
    }

    pub fn send(
        method: &str,
        path: &str,
        token: &str,
        body: &str,
        status: u16,
        expect: &str,
    ) -> Self {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/scim+json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Self { request: request.into_bytes(), status, expect: expect.as_bytes().to_vec() }
    }
}

/// What a run of load found.
#[derive(Debug)]
pub struct Rate {
    pub per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
}

struct Connection {
    stream: TcpStream,
    shot: usize,
    sent_at: Instant,
    answer: Vec<u8>,
}

/// Fires shots for `time` over `connections` and returns how many were answered a second. Ends with
/// a panic at the first wrong answer: a fast wrong answer is worth nothing.
pub fn fire(address: SocketAddr, connections: usize, time: Duration, shots: &[Shot]) -> Rate {
    let mut poll = Poll::new().expect("an event queue");
    let mut events = Events::with_capacity(256);
    let mut open: Vec<Connection> = (0..connections)
        .map(|at| {
            let std = std::net::TcpStream::connect(address).expect("the server listens");
            std.set_nodelay(true).expect("nodelay");
            std.set_nonblocking(true).expect("non-blocking");
            let mut stream = TcpStream::from_std(std);
            poll.registry()
                .register(&mut stream, Token(at), Interest::READABLE)
                .expect("registration");
            Connection {
                stream,
                shot: 0,
                sent_at: Instant::now(),
                answer: Vec::with_capacity(16384),
            }
        })
        .collect();
    let mut next = 0;
    let mut times = Vec::with_capacity(1 << 20);
    let begin = Instant::now();
    for connection in &mut open {
        send(connection, &mut next, shots);
    }
    let mut buffer = vec![0; 1 << 18];
    while begin.elapsed() < time {
        // Never asleep, so that nobody pays for waking it up.
        poll.poll(&mut events, Some(Duration::ZERO)).expect("polling");
        for event in &events {
            let connection = &mut open[event.token().0];
            loop {
                match connection.stream.read(&mut buffer) {
                    Ok(0) => panic!("the server closed a connection"),
                    Ok(read) => connection.answer.extend_from_slice(&buffer[..read]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("reading failed: {error}"),
                }
                if whole(&connection.answer) {
                    check(&connection.answer, &shots[connection.shot]);
                    times.push(connection.sent_at.elapsed());
                    connection.answer.clear();
                    send(connection, &mut next, shots);
                    break;
                }
            }
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    times.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    let per_second = times.len() as f64 / seconds;
    let quantile = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    Rate { per_second, p50: quantile(50), p99: quantile(99) }
}

fn send(connection: &mut Connection, next: &mut usize, shots: &[Shot]) {
    connection.shot = *next % shots.len();
    *next += 1;
    connection.sent_at = Instant::now();
    connection
        .stream
        .write_all(&shots[connection.shot].request)
        .expect("a request fits the socket");
}

fn whole(answer: &[u8]) -> bool {
    let Some(end) = find(answer, b"\r\n\r\n") else { return false };
    let head = &answer[..end];
    let length = find(head, b"content-length: ").map_or(0, |at| {
        head[at + 16..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .fold(0, |sum, byte| sum * 10 + usize::from(byte - b'0'))
    });
    answer.len() >= end + 4 + length
}

fn check(answer: &[u8], shot: &Shot) {
    let status = format!("HTTP/1.1 {}", shot.status);
    let right = answer.starts_with(status.as_bytes()) && find(answer, &shot.expect).is_some();
    assert!(
        right,
        "wrong answer to {}\n{}",
        String::from_utf8_lossy(&shot.request),
        String::from_utf8_lossy(answer)
    );
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}
