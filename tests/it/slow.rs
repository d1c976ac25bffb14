//! Clients that are slow, or never finish, do not stop the others.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::bridge::{BASE, Settings, TOKEN, TestBridge};
use crate::support::certificates::{issue, root};
use crate::support::guard;

/// Opens a connection and sends this much.
fn open(bridge: &TestBridge, sent: &str) -> TcpStream {
    let mut stream = TcpStream::connect(bridge.address()).unwrap();
    stream.write_all(sent.as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream
}

/// A request whose body never comes.
fn endless_body() -> String {
    format!(
        "POST {BASE}/Users HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/scim+json\r\nContent-Length: 1000\r\n\r\n{{\"userName\""
    )
}

/// The longest that one of a hundred quick requests waited.
fn longest_wait(bridge: &TestBridge) -> Duration {
    let mut client = bridge.client();
    let waits = (0..100).map(|_| {
        let before = Instant::now();
        client.get("/Users?count=1").expect(200);
        before.elapsed()
    });
    waits.max().unwrap()
}

#[test]
fn thousands_of_slow_clients_do_not_stop_the_others() {
    let bridge = TestBridge::start(&Settings::local());
    let mut crowd = Vec::new();
    for _ in 0..3000 {
        crowd.push(open(&bridge, ""));
    }
    for _ in 0..1000 {
        crowd.push(open(&bridge, "GET /scim/acme/v2/Users HTTP/1.1\r\nHost: b\r\nX-Slow: "));
    }
    // Idle ones that have asked once.
    for _ in 0..500 {
        let mut stream = open(&bridge, "GET /health/live HTTP/1.1\r\nHost: b\r\n\r\n");
        let mut start = [0; 15];
        stream.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 200 OK");
        crowd.push(stream);
    }
    let slow: Vec<TcpStream> = (0..500).map(|_| open(&bridge, &endless_body())).collect();
    assert_eq!(crowd.len() + slow.len(), 5000);
    // Meanwhile some send their heads and bodies a byte at a time.
    let drips: Vec<_> = (0..20)
        .map(|number| {
            let begun = if number % 2 == 0 { endless_body() } else { "GET / HT".to_owned() };
            let mut stream = open(&bridge, &begun);
            let (stop, stopped) = std::sync::mpsc::channel::<()>();
            let drip = std::thread::spawn(move || {
                let pause = Duration::from_millis(50);
                while stopped.recv_timeout(pause) == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
                    && stream.write_all(b" ").is_ok()
                {}
            });
            (stop, drip)
        })
        .collect();
    let longest = longest_wait(&bridge);
    assert!(longest < Duration::from_secs(2), "somebody waited {longest:?}");
    for (stop, drip) in drips {
        drop(stop);
        drip.join().unwrap();
    }
    // A body that stands still is given up, and says so.
    for mut stream in slow.into_iter().take(3) {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    drop(crowd);
}

#[test]
fn who_does_not_shake_hands_does_not_stop_the_others() {
    let folder = guard::directory("certificates");
    root(&folder, "ca");
    issue(&folder, "ca", "server");
    let bridge = TestBridge::start(&Settings::local().server(&format!(
        "max_connections = 300\ntls = {{ certificate = \"{0}/server.pem\", key = \"{0}/server.key\" }}",
        folder.display()
    )));
    // As many as there are places: half of them silent, half with the start of a greeting.
    let crowd: Vec<TcpStream> = (0..300)
        .map(|number| open(&bridge, if number % 2 == 0 { "" } else { "\u{16}\u{3}\u{1}" }))
        .collect();
    let before = Instant::now();
    let done = std::process::Command::new("curl")
        .args(["-sS", "--cacert", "ca.pem", "--max-time", "50"])
        .arg(format!("https://{}/health/live", bridge.address()))
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(before.elapsed() < Duration::from_secs(25), "{:?}", before.elapsed());
    drop(crowd);
}
