//! One GET of a short text, bounded by time and by bytes, from one address and never another.
//!
//! Knows nothing of what the text says.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Position, Url};

/// Until there is a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// From one address of a host to the next, where the first says nothing ("Connection Attempt Delay",
/// RFC 8305 section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses of a host that are tried; within the time for all there is no more to be had.
const ADDRESSES: usize = 16;
/// Until the last byte.
const WHOLE: Duration = Duration::from_secs(10);
/// Bytes of a text.
const LONGEST: usize = 256 << 10;
/// Bytes of all that stands before it.
const HEAD: usize = 16 << 10;

/// Where a text is, and who must be there.
#[derive(Debug)]
pub struct Address {
    host: String,
    port: u16,
    /// As the header `Host` has it.
    authority: String,
    target: Uri,
    /// Absent for `http`.
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

/// What was there.
#[derive(Debug)]
pub struct Fetched {
    pub text: Bytes,
    /// For how long it may be kept, where that is said.
    pub max_age: Option<Duration>,
}

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("the address is not one that can be asked")]
    Address,
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
    #[error("the server cannot be connected to")]
    Connect(#[source] io::Error),
    #[error("the TLS handshake failed")]
    Handshake(#[source] io::Error),
    #[error("the server does not speak HTTP as it should")]
    Protocol(#[from] hyper::Error),
    #[error("the answer is {0}; only 200 counts, and nobody is sent elsewhere")]
    Status(StatusCode),
    #[error("the answer is compressed, which was not asked for")]
    Encoded,
    #[error("the answer is longer than {LONGEST} bytes")]
    TooLong,
    #[error("the answer broke off")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
    #[error("there was no whole answer in time")]
    Slow,
}

impl Address {
    /// An `https` address is trusted by the machine's roots and by `roots`.
    pub fn new(url: &Url, roots: Option<&RootCertStore>) -> Result<Self, FetchError> {
        let host = url.host_str().ok_or(FetchError::Address)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = if url.scheme() == "https" {
            let name = ServerName::try_from(host.clone()).map_err(|_| FetchError::Address)?;
            Some((client_config(roots)?, name))
        } else {
            None
        };
        let target = &url[Position::BeforePath..Position::AfterQuery];
        Ok(Self {
            host,
            port: url.port_or_known_default().ok_or(FetchError::Address)?,
            authority: url[Position::BeforeHost..Position::AfterPort].to_owned(),
            target: target.parse().map_err(|_| FetchError::Address)?,
            tls,
        })
    }

    /// Ends in time, whatever the server does.
    pub async fn get(&self) -> Result<Fetched, FetchError> {
        timeout(WHOLE, self.connect()).await.unwrap_or(Err(FetchError::Slow))
    }

    async fn connect(&self) -> Result<Fetched, FetchError> {
        let stream = timeout(CONNECT, self.dial());
        let stream = stream.await.map_err(|_| FetchError::Slow)?.map_err(FetchError::Connect)?;
        let Some((config, name)) = &self.tls else { return self.ask(stream).await };
        let connector = TlsConnector::from(Arc::clone(config));
        let stream =
            connector.connect(name.clone(), stream).await.map_err(FetchError::Handshake)?;
        self.ask(stream).await
    }

    async fn dial(&self) -> io::Result<TcpStream> {
        first_of(lookup_host((&*self.host, self.port)).await?.take(ADDRESSES)).await
    }

    async fn ask<S>(&self, stream: S) -> Result<Fetched, FetchError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let request = Request::get(self.target.clone())
            .header(header::HOST, &self.authority)
            .header(header::ACCEPT, "application/jwk-set+json, application/json")
            .header(header::USER_AGENT, "scimbridge")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|_| FetchError::Address)?;
        let mut builder = http1::Builder::new();
        let (mut sender, connection) =
            builder.max_buf_size(HEAD).handshake(TokioIo::new(stream)).await?;
        // Goes when this does: nothing is left of an answer that is given up.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let (head, body) = sender.send_request(request).await?.into_parts();
        if head.status != StatusCode::OK {
            return Err(FetchError::Status(head.status));
        }
        if head.headers.contains_key(header::CONTENT_ENCODING) {
            return Err(FetchError::Encoded);
        }
        let body = Limited::new(body, LONGEST).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                FetchError::TooLong
            } else {
                FetchError::Broken(error)
            }
        })?;
        Ok(Fetched { text: body.to_bytes(), max_age: max_age(&head.headers) })
    }
}

/// A connection to the first of these addresses that lets itself be connected to: one that says nothing
/// does not keep the others from being tried.
async fn first_of(mut addresses: impl Iterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut attempts = JoinSet::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        let next = addresses.next();
        let is_last = next.is_none();
        if let Some(address) = next {
            attempts.spawn(TcpStream::connect(address));
        }
        let ended = async {
            if is_last {
                return attempts.join_next().await;
            }
            timeout(STAGGER, attempts.join_next()).await.unwrap_or(None)
        };
        match ended.await {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => last = error,
            Some(Err(error)) => last = error.into(),
            None if is_last => return Err(last),
            None => {}
        }
    }
}

fn client_config(roots: Option<&RootCertStore>) -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut trusted = roots.cloned().unwrap_or_else(RootCertStore::empty);
    // A machine without roots can still reach a server under a root of its own.
    trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// What is left of the time that an answer may be kept (RFC 9111 sections 4.2.3 and 5.2.2).
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|one| one.to_str().ok());
    let mut told = None;
    for directive in values.flat_map(|value| value.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match &*name.trim().to_ascii_lowercase() {
            "no-store" | "no-cache" => return Some(Duration::ZERO),
            "max-age" => told = value.trim().trim_matches('"').parse().ok().or(told),
            _ => {}
        }
    }
    let age = headers.get(header::AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok());
    told.map(|told: u64| Duration::from_secs(told.saturating_sub(age.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn an_answer_says_how_long_it_may_be_kept() {
        for (control, age, told) in [
            ("public, max-age=3600, must-revalidate", None, Some(3600)),
            ("Max-Age = \"60\"", None, Some(60)),
            ("max-age=3600", Some("600"), Some(3000)),
            ("max-age=5", Some("600"), Some(0)),
            ("max-age=3600, no-cache", None, Some(0)),
            ("no-store", None, Some(0)),
            ("max-age=-1", None, None),
            ("max-age=99999999999999999999", None, None),
            ("s-maxage=7", None, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(control));
            if let Some(age) = age {
                headers.insert(header::AGE, HeaderValue::from_static(age));
            }
            assert_eq!(max_age(&headers), told.map(Duration::from_secs), "{control}");
        }
        assert_eq!(max_age(&HeaderMap::new()), None);
    }

    /// An address at which nothing is answered, as if it were thrown away on the way: the few
    /// connections that may wait there do. With what keeps it so.
    fn silent() -> (SocketAddr, Vec<socket2::Socket>) {
        let socket = || {
            let any = (socket2::Domain::IPV4, socket2::Type::STREAM);
            socket2::Socket::new(any.0, any.1, None).unwrap()
        };
        let listener = socket();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut held = vec![listener];
        for _ in 0..4 {
            let client = socket();
            let _ = client.connect_timeout(&address, Duration::from_millis(50));
            held.push(client);
        }
        (address.as_socket().unwrap(), held)
    }

    #[tokio::test]
    async fn an_address_that_is_silent_does_not_keep_the_next_from_being_tried() {
        let (silent, _held) = silent();
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = (good.local_addr().unwrap(), good);
        let closed = SocketAddr::from(([127, 0, 0, 1], 1));
        let alone = timeout(Duration::from_secs(1), first_of([silent].into_iter())).await;
        assert!(alone.is_err(), "it is silent");
        for addresses in [vec![silent, good.0], vec![closed, silent, silent, good.0, closed]] {
            let first = timeout(CONNECT, first_of(addresses.into_iter())).await.unwrap();
            assert_eq!(first.unwrap().peer_addr().unwrap(), good.0);
        }
        let refused = first_of([closed, closed].into_iter()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let nowhere = first_of(std::iter::empty()).await.unwrap_err();
        assert!(nowhere.to_string().contains("no address"), "{nowhere}");
    }

    #[test]
    fn an_address_is_taken_apart_as_it_is_asked() {
        for (text, host, port, authority, target) in [
            ("http://127.0.0.1/keys", "127.0.0.1", 80, "127.0.0.1", "/keys"),
            ("http://[::1]:8080", "::1", 8080, "[::1]:8080", "/"),
            (
                "https://login.example/v2/keys?appid=1",
                "login.example",
                443,
                "login.example",
                "/v2/keys?appid=1",
            ),
        ] {
            let address = Address::new(&text.parse().unwrap(), None).unwrap();
            assert_eq!((&*address.host, address.port), (host, port));
            assert_eq!((&*address.authority, &*address.target.to_string()), (authority, target));
            assert_eq!(address.tls.is_some(), text.starts_with("https"));
        }
    }
}
