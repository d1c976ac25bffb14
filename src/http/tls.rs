//! TLS of the listener: the handshake, and certificates that change while it runs.
//!
//! Knows nothing of requests.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::SingleCertAndKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::signal::unix::Signal;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::{TlsFault, TlsFiles};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Who the listener is to its clients. Connections keep what they began with.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    current: RwLock<Arc<ServerConfig>>,
    seen: Mutex<Stamps>,
}

/// When each file was last written, and how long it was.
type Stamps = Vec<Option<(SystemTime, u64)>>;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error(transparent)]
    Files(#[from] TlsFault),
    #[error("TLS cannot be spoken with these certificates: {0}")]
    Refused(String),
}

impl Tls {
    pub fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let seen = Mutex::new(stamps(&files));
        let current = RwLock::new(Arc::new(server_config(&files)?));
        Ok(Self { files, current, seen })
    }

    /// Reads the files again, at once whenever the signal comes, else when they change. Files that
    /// do not fit each other leave what there is in force.
    pub async fn watch(&self, asked: &mut Signal) {
        loop {
            tokio::select! {
                _ = asked.recv() => self.reload(),
                () = sleep(LOOK) => self.reload_changed(),
            }
        }
    }

    fn reload_changed(&self) {
        let now = stamps(&self.files);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen != now {
            *seen = now;
            drop(seen);
            self.reload();
        }
    }

    fn reload(&self) {
        match server_config(&self.files) {
            Ok(config) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                tracing::info!("tls.reloaded");
            }
            // A certificate and its key are seldom written at the same moment: the second one's
            // change brings this here again.
            Err(error) => tracing::warn!(%error, "tls.unchanged"),
        }
    }

    /// Shakes hands within `patience`.
    pub async fn accept<S>(&self, stream: S, patience: Duration) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        timeout(patience, TlsAcceptor::from(config).accept(stream)).await?
    }
}

/// Whether the handshake chose HTTP/2.
pub fn chose_http2<S>(stream: &TlsStream<S>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}

fn stamps(files: &TlsFiles) -> Stamps {
    let stamp = |path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.paths().map(stamp).collect()
}

fn server_config(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let refused = |error: &dyn std::error::Error| TlsError::Refused(error.to_string());
    let identity = files.read()?;
    if let Some(warning) = &identity.warning {
        tracing::warn!(warning, "tls.certificate");
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(&error))?;
    let builder = match identity.client_roots {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(|error| refused(&error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let resolver = SingleCertAndKey::from(identity.certified);
    let mut config = builder.with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(|error| refused(&error))?;
    Ok(config)
}
