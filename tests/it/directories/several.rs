//! One tenant over OpenLDAP, Active Directory and 389 Directory Server at once.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::support::bridge::{Settings, TestBridge};
use crate::support::slapd::Slapd;

use super::servers;

/// A way to a server on which every answer is late.
fn late(address: String, delay: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = format!("ldap://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(&address) else { return };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (up, down) = ((client.try_clone(), server.try_clone()), (server, client));
            let (Ok(from), Ok(to)) = up else { return };
            pipe(from, to, Duration::ZERO);
            pipe(down.0, down.1, delay);
        }
    });
    own
}

/// Carries bytes on, each piece `delay` after it came and without holding up the next.
fn pipe(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (send, receive) = mpsc::channel::<(Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if send.send((Instant::now() + delay, buffer[..length].to_vec())).is_err() {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        for (at, bytes) in receive {
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                return;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
}

#[test]
fn the_slowest_directory_decides_and_conflicts_are_shown() {
    let slapd = Slapd::shared();
    let mut ways =
        vec![("open", late(format!("127.0.0.1:{}", slapd.port()), Duration::from_millis(50)))];
    let ds = servers::ds389();
    ways.push(("ds", late(ds.address(), Duration::from_millis(100))));
    let samba = servers::samba();
    if let Some(samba) = samba {
        ways.push(("ad", late(samba.address(), Duration::from_millis(200))));
    }
    let mut settings = Settings::local().repository(ways[0].0, &ways[0].1);
    let fresh = "cache = { fresh = \"0s\", negative = \"0s\", stale = \"0s\" }";
    settings = settings.with(fresh);
    for ((id, url), server) in ways[1..].iter().zip([Some(ds), samba].into_iter().flatten()) {
        settings = settings
            .rest(&format!("[[tenant.repository]]\nid = {id:?}\n{}{fresh}\n", server.lines(url)));
    }
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let name = servers::uid(6);
    let mut ask = || {
        let begin = Instant::now();
        let filter = format!("userName eq \"{name}\"");
        let found = client
            .query("/Users", &[("searchRepositories", "true"), ("filter", &filter)])
            .expect(200);
        (found, begin.elapsed())
    };
    // The first answers wait for connections and schemas.
    ask();
    let slowest = Duration::from_millis(if samba.is_some() { 200 } else { 100 });
    let sum = Duration::from_millis(if samba.is_some() { 350 } else { 150 });
    let times: Vec<Duration> = (0..7).map(|_| ask().1).collect();
    let best = times.iter().min().unwrap();
    assert!(*best >= slowest && *best < sum, "{times:?}");

    let (found, _) = ask();
    assert_eq!(found["totalResults"], ways.len(), "{found}");
    let reports = found["urn:scimbridge:api:messages:2.0:Repositories"].as_array().unwrap();
    assert_eq!(reports.len(), ways.len());
    assert!(reports.iter().all(|report| report["state"] == "ok"), "{reports:?}");
    for user in found["Resources"].as_array().unwrap() {
        let text = user.to_string();
        let others = ways.iter().filter(|(id, _)| text.contains(&format!("{id}."))).count();
        assert!(text.contains("conflict") && others == ways.len(), "{text}");
    }
}
