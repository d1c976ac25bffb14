//! TLS of the listener, seen by clients that are not ours: curl, and rustls by hand.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::bridge::{BASE, Settings, TOKEN, TestBridge};
use crate::support::certificates::{issue, root};
use crate::support::{eventually, guard};

/// A folder with a root, another root, the server's certificate and one of a client of each root.
fn folder() -> PathBuf {
    let folder = guard::directory("certificates");
    root(&folder, "ca");
    root(&folder, "stranger");
    issue(&folder, "ca", "server");
    issue(&folder, "ca", "client");
    issue(&folder, "stranger", "other");
    folder
}

fn settings(folder: &Path, more: &str) -> Settings {
    let folder = folder.display();
    Settings::local().server(&format!(
        "tls = {{ certificate = \"{folder}/server.pem\", key = \"{folder}/server.key\"{more} }}"
    ))
}

/// What curl got: `<HTTP version> <status>`, or why it got nothing.
fn curl(bridge: &TestBridge, folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let done = Command::new("curl")
        .args(["-sS", "-o", "body", "-w", "%{http_version} %{http_code}", "--cacert", "ca.pem"])
        .args(["-H", &format!("Authorization: Bearer {TOKEN}")])
        .args(arguments)
        .arg(format!("https://{}{BASE}/Users", bridge.address()))
        .current_dir(folder)
        .output()
        .unwrap();
    if done.status.success() {
        Ok(String::from_utf8(done.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&done.stderr).into_owned())
    }
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

fn connect(bridge: &TestBridge, folder: &Path) -> std::io::Result<Stream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(bridge.address())?);
    stream.sock.set_read_timeout(Some(Duration::from_mins(1)))?;
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// Asks over an open connection, which stays open; the status.
fn ask(stream: &mut Stream) -> u16 {
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: b\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let mut piece = [0; 4096];
        let length = stream.read(&mut piece).unwrap();
        assert_ne!(length, 0, "the connection is closed");
        answer.extend_from_slice(&piece[..length]);
    }
    String::from_utf8(answer).unwrap()[9..12].parse().unwrap()
}

/// The certificate that new connections are shown.
fn shown(bridge: &TestBridge, folder: &Path) -> CertificateDer<'static> {
    let stream = connect(bridge, folder).unwrap();
    stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
}

fn in_file(folder: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(folder.join("server.pem")).unwrap()
}

#[test]
fn both_versions_of_http_and_tls_are_spoken() {
    let folder = folder();
    let bridge = TestBridge::start(&settings(&folder, ""));
    for (arguments, answer) in [
        (&["--http2"][..], "2 200"),
        (&["--http1.1"], "1.1 200"),
        (&["--http2", "--tls-max", "1.2"], "2 200"),
        (&["--http1.1", "--tlsv1.3"], "1.1 200"),
        // Two tokens are none.
        (&["--http2", "-H", "Authorization: Bearer nobody"], "2 401"),
    ] {
        assert_eq!(curl(&bridge, &folder, arguments).as_deref(), Ok(answer), "{arguments:?}");
    }
    let long: Vec<String> = (0..10).map(|n| format!("X-{n}: {}", "x".repeat(8000))).collect();
    let long: Vec<&str> = long.iter().flat_map(|header| ["-H", header]).collect();
    // HTTP/2 says so beforehand (SETTINGS_MAX_HEADER_LIST_SIZE), and may end the connection.
    let refused = curl(&bridge, &folder, &[&["--http2"], &long[..]].concat());
    assert!(refused.as_deref().is_err() || refused.as_deref() == Ok("2 431"), "{refused:?}");
    let refused = curl(&bridge, &folder, &[&["--http1.1"], &long[..]].concat());
    assert_eq!(refused.as_deref(), Ok("1.1 431"));
    // A body goes in, and the base of locations is https by itself.
    let user =
        ["--http2", "-d", "{\"userName\":\"ann\"}", "-H", "Content-Type: application/scim+json"];
    assert_eq!(curl(&bridge, &folder, &user).as_deref(), Ok("2 201"));
    let body = std::fs::read_to_string(folder.join("body")).unwrap();
    assert!(body.contains(&format!("\"location\":\"https://{}", bridge.address())), "{body}");
    for arguments in [
        &["--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"][..],
        &["--cacert", "stranger.pem"],
    ] {
        let refused = curl(&bridge, &folder, arguments);
        assert!(refused.is_err(), "{arguments:?}: {refused:?}");
    }
    // Clear text is not answered.
    let mut plain = TcpStream::connect(bridge.address()).unwrap();
    plain.write_all(b"GET /health/live HTTP/1.1\r\nHost: b\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn where_clients_need_certificates_they_need_ours() {
    let folder = folder();
    let ca = format!(", client_ca = \"{}/ca.pem\"", folder.display());
    let bridge = TestBridge::start(&settings(&folder, &ca));
    let with = |name: &str| {
        [format!("--cert={name}.pem"), format!("--key={name}.key")]
            .map(|text| text.replace('=', " "))
    };
    for (name, lets_in) in [("client", true), ("other", false)] {
        let [cert, key] = with(name);
        let arguments: Vec<&str> = cert.split(' ').chain(key.split(' ')).collect();
        for version in ["--http2", "--http1.1"] {
            let answer = curl(&bridge, &folder, &[&arguments[..], &[version]].concat());
            assert_eq!(answer.is_ok_and(|text| text.ends_with("200")), lets_in, "{name}");
        }
    }
    assert!(curl(&bridge, &folder, &[]).is_err(), "without a certificate nobody is answered");
}

#[test]
fn certificates_are_replaced_without_a_lost_connection() {
    let folder = folder();
    let bridge = TestBridge::start(&settings(&folder, ""));
    let mut kept = connect(&bridge, &folder).unwrap();
    assert_eq!(ask(&mut kept), 200);
    let first = shown(&bridge, &folder);
    assert_eq!(first, in_file(&folder));

    issue(&folder, "ca", "server");
    assert!(eventually(Duration::from_secs(30), || shown(&bridge, &folder) == in_file(&folder)));
    assert_ne!(in_file(&folder), first);
    assert_eq!(ask(&mut kept), 200, "what is open stays open");

    // A certificate without its key leaves the last pair that fits.
    let second = in_file(&folder);
    std::fs::copy(folder.join("other.pem"), folder.join("server.pem")).unwrap();
    guard::signal(bridge.pid(), "HUP");
    assert!(eventually(Duration::from_secs(30), || bridge.log().contains("tls.unchanged")));
    assert_eq!(shown(&bridge, &folder), second);

    // At once, when asked.
    issue(&folder, "ca", "server");
    guard::signal(bridge.pid(), "HUP");
    assert!(eventually(Duration::from_secs(3), || shown(&bridge, &folder) == in_file(&folder)));
    assert_eq!(ask(&mut kept), 200);
}
