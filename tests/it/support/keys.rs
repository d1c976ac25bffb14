//! A server that publishes an issuer's keys, or does what it should not; it counts who asks.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// What is sent to whoever asks.
#[derive(Clone, Debug)]
pub enum Says {
    /// These bytes, whole.
    Answer(Vec<u8>),
    /// A head, and then a byte now and then, without end.
    Drip,
    /// Nothing, on a connection that stays open.
    Nothing,
    /// Nothing, until something else is to be said.
    Later,
}

impl Says {
    /// A whole answer, with more lines of its head.
    pub fn answer(status: &str, head: &str, body: &str) -> Self {
        let length = body.len();
        Self::Answer(
            format!("HTTP/1.1 {status}\r\n{head}Content-Length: {length}\r\n\r\n{body}").into(),
        )
    }

    pub fn keys(keys: &Value) -> Self {
        Self::answer("200 OK", "Content-Type: application/json\r\n", &keys.to_string())
    }
}

/// A JWK Set of these keys, each with its id.
pub fn set(keys: &[(&str, &Ed25519KeyPair)]) -> Value {
    let key = |(id, key): &(&str, &Ed25519KeyPair)| {
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": id,
            "x": URL_SAFE_NO_PAD.encode(key.public_key().as_ref()) })
    };
    json!({ "keys": keys.iter().map(key).collect::<Vec<_>>() })
}

/// A server on a free port of this machine, for as long as the process runs.
#[derive(Debug)]
pub struct KeyServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    says: Mutex<Says>,
    changed: Condvar,
    asked: AtomicU32,
    tls: Option<Arc<ServerConfig>>,
}

impl KeyServer {
    pub fn plain(says: Says) -> Self {
        Self::start(says, None)
    }

    /// With the certificate `server.pem` of this folder.
    pub fn tls(says: Says, folder: &Path) -> Self {
        let chain = vec![CertificateDer::from_pem_file(folder.join("server.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self::start(says, Some(Arc::new(config)))
    }

    fn start(says: Says, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            says: Mutex::new(says),
            changed: Condvar::new(),
            asked: AtomicU32::new(0),
            tls,
        });
        let server = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = Arc::clone(&server);
                thread::spawn(move || server.serve(stream));
            }
        });
        Self { address, shared }
    }

    pub fn say(&self, says: Says) {
        *self.shared.says.lock().unwrap() = says;
        self.shared.changed.notify_all();
    }

    /// How many requests came.
    pub fn asked(&self) -> u32 {
        self.shared.asked.load(Ordering::SeqCst)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/keys", self.address)
    }
}

impl Shared {
    /// A client that goes away is as good as one that stays.
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        match &self.tls {
            None => self.answer(stream),
            Some(config) => {
                let connection =
                    ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
                self.answer(StreamOwned::new(connection, stream))
            }
        }
    }

    fn answer(&self, mut stream: impl Read + Write) -> io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        let says = self.says.lock().unwrap_or_else(PoisonError::into_inner);
        let says = self.changed.wait_while(says, |says| matches!(says, Says::Later));
        let says = says.unwrap_or_else(PoisonError::into_inner).clone();
        match says {
            Says::Answer(bytes) => stream.write_all(&bytes),
            Says::Drip => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n")?;
                loop {
                    stream.write_all(b" ")?;
                    stream.flush()?;
                    thread::sleep(Duration::from_millis(200));
                }
            }
            // Until the client closes.
            Says::Nothing | Says::Later => stream.read_exact(&mut [0]),
        }
    }
}
