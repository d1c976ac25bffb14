//! From a server's name to a stream that LDAP can be spoken on: addresses, TCP, TLS. Knows nothing
//! of binds and searches.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use jiff::Timestamp;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ber::{self, Elements};
use super::guard::Guard;
use super::tls;
use crate::config::ServerUrl;

/// A stream to a server, encrypted or not.
#[derive(Debug)]
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What stands between a stream and whoever listens on the way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Protection {
    pub version: &'static str,
    pub cipher: &'static str,
    /// Until when the server's certificate is good.
    pub expiry: Option<Timestamp>,
}

/// How far a connection came. The texts are for an administrator.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("{0}")]
    Connect(String),
    #[error("{0}")]
    Tls(String),
}

/// What all connections to one server have in common.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    pub url: ServerUrl,
    pub starttls: bool,
    /// Present wherever TLS is spoken.
    pub tls: Option<Arc<ClientConfig>>,
    /// For everything that [`Dial::open`] does.
    pub timeout: Duration,
    /// How long sent bytes may stay unacknowledged.
    pub silence: Duration,
}

impl Dial {
    pub(super) async fn open(&self) -> Result<Wire, DialError> {
        let end = Instant::now() + self.timeout;
        let mut stream = self.connect(end).await?;
        if !self.url.ldaps && !self.starttls {
            return Ok(Wire::Plain(stream));
        }
        let late = || DialError::Tls(format!("no TLS handshake within {:?}", self.timeout));
        if !self.url.ldaps {
            timeout_at(end, starttls(&mut stream))
                .await
                .map_err(|_| late())?
                .map_err(DialError::Tls)?;
        }
        let config =
            self.tls.clone().ok_or_else(|| DialError::Tls("TLS is not set up".to_owned()))?;
        let name = ServerName::try_from(self.url.host.clone())
            .map_err(|error| DialError::Tls(error.to_string()))?;
        let handshake = TlsConnector::from(config).connect(name, stream);
        match timeout_at(end, handshake).await {
            Ok(Ok(stream)) => Ok(Wire::Tls(Box::new(stream))),
            Ok(Err(error)) => Err(DialError::Tls(tls::explain(&error))),
            Err(_) => Err(late()),
        }
    }

    /// Tries every address of the host, each with its share of the time that is left.
    async fn connect(&self, end: Instant) -> Result<TcpStream, DialError> {
        let host = self.url.host.as_str();
        let addresses: Vec<SocketAddr> =
            match timeout_at(end, lookup_host((host, self.url.port))).await {
                Ok(Ok(found)) => found.collect(),
                Ok(Err(error)) => {
                    return Err(DialError::Connect(format!(
                        "the name {host} cannot be resolved: {error}"
                    )));
                }
                Err(_) => {
                    return Err(DialError::Connect(format!(
                        "the name {host} was not resolved in time"
                    )));
                }
            };
        let mut last = format!("the name {host} has no address");
        for (index, address) in addresses.iter().enumerate() {
            let left = end.saturating_duration_since(Instant::now());
            let others = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
            match timeout(left / others, self.connect_to(*address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = format!("{address}: {error}"),
                Err(_) => last = format!("{address}: no answer within {:?}", self.timeout),
            }
        }
        Err(DialError::Connect(last))
    }

    async fn connect_to(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Requests are small and waited for: Nagle's algorithm costs 40 ms each.
        socket.set_nodelay(true)?;
        let options = SockRef::from(&socket);
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(30))
            .with_interval(Duration::from_secs(10))
            .with_retries(3);
        options.set_tcp_keepalive(&keepalive)?;
        options.set_tcp_user_timeout(Some(self.silence))?;
        socket.connect(address).await
    }
}

/// Asks for TLS by the extended operation of RFC 4511, section 4.14, and reads the answer. What
/// comes after it in plain text, somebody else put there.
async fn starttls(stream: &mut TcpStream) -> Result<(), String> {
    const REQUEST: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
    const GUARD: Guard = Guard { max_message: 4096 };
    let broken = |error: io::Error| format!("the connection broke at StartTLS: {error}");
    stream.write_all(REQUEST).await.map_err(broken)?;
    let mut answer = Vec::with_capacity(256);
    loop {
        if stream.read_buf(&mut answer).await.map_err(broken)? == 0 {
            return Err("the server closed the connection at StartTLS".to_owned());
        }
        let length = GUARD.length(&answer).map_err(|error| error.to_string())?;
        if let Some(length) = length
            && answer.len() >= length
        {
            if answer.len() > length {
                return Err("bytes followed the answer to StartTLS in plain text".to_owned());
            }
            break;
        }
    }
    let (id, _) = GUARD.check(&answer).map_err(|error| error.to_string())?;
    match (id, starttls_result(&answer)) {
        (1, Some(0)) => Ok(()),
        (1, Some(code)) => Err(format!("the server refuses StartTLS (result code {code})")),
        _ => Err("the server answered StartTLS with something else".to_owned()),
    }
}

fn starttls_result(answer: &[u8]) -> Option<u32> {
    let message = Elements(answer).take(0x30).ok()??;
    let mut parts = Elements(message);
    parts.take(0x02).ok()??;
    let response = parts.take(0x78).ok()??;
    ber::unsigned(Elements(response).take(0x0A).ok()??)
}

impl Wire {
    /// How the stream is protected, for a report; nothing in plain text.
    pub(super) fn protection(&self) -> Option<Protection> {
        let Self::Tls(stream) = self else { return None };
        let session = stream.get_ref().1;
        let version = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS",
        };
        let cipher = session.negotiated_cipher_suite();
        let cipher = cipher.and_then(|suite| suite.suite().as_str()).unwrap_or("unknown");
        let own = session.peer_certificates().and_then(<[_]>::first);
        Some(Protection { version, cipher, expiry: own.and_then(tls::expiry) })
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
