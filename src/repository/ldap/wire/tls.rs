//! TLS towards a directory: whom it trusts, who it says it is, and what went wrong in words.
//! Certificates and host names are always verified; there is no switch for that.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::server::ParsedCertificate;
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use super::settings::{Settings, SettingsError};

/// The machine's roots and `ca`, and the client certificate where there is one.
pub(super) fn client_config(settings: &Settings) -> Result<Arc<ClientConfig>, SettingsError> {
    let mut roots = RootCertStore::empty();
    // A machine without roots can still reach directories under a `ca` of its own.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(pem) = &settings.ca {
        for root in certificates(pem).map_err(SettingsError::Ca)? {
            roots.add(root).map_err(|error| SettingsError::Ca(error.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SettingsError::Tls(error.to_string()))?
        .with_root_certificates(roots);
    let config = match &settings.client_certificate {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = certificates(chain).map_err(SettingsError::ClientCertificate)?;
            let key = PrivateKeyDer::from_pem_slice(key)
                .map_err(|error| SettingsError::ClientCertificate(format!("its key: {error}")))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| SettingsError::ClientCertificate(error.to_string()))?
        }
    };
    Ok(Arc::new(config))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    if found.is_empty() {
        return Err("there is no PEM certificate in it".to_owned());
    }
    Ok(found)
}

/// Until when a certificate is good, whoever signed it.
pub(super) fn expiry(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    /// Later than any certificate says.
    const NEVER: Duration = Duration::from_secs(1 << 40);
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let algorithms = provider.signature_verification_algorithms.all;
    let (nobody, at) = (RootCertStore::empty(), UnixTime::since_unix_epoch(NEVER));
    // Times are looked at first.
    match verify_server_cert_signed_by_trust_anchor(&parsed, &nobody, &[], at, algorithms) {
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
            not_after,
            ..
        })) => Timestamp::from_second(i64::try_from(not_after.as_secs()).ok()?).ok(),
        _ => None,
    }
}

/// A failed handshake in an administrator's words.
pub(super) fn explain(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(problem)) => certificate(problem),
        Some(
            error @ (rustls::Error::PeerIncompatible(_)
            | rustls::Error::AlertReceived(
                AlertDescription::HandshakeFailure
                | AlertDescription::ProtocolVersion
                | AlertDescription::InsufficientSecurity,
            )),
        ) => format!("the server has no TLS 1.2 or 1.3 with a safe cipher to offer ({error})"),
        Some(other) => other.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the server closed the connection during the TLS handshake, as one may that has neither TLS 1.2 \
             nor 1.3"
                .to_owned()
        }
        None => error.to_string(),
    }
}

fn certificate(problem: &CertificateError) -> String {
    match problem {
        CertificateError::UnknownIssuer => {
            "the server's certificate was issued by nobody who is trusted here; name its root in `ca`".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("the server's certificate is for another host name: {problem}")
        }
        // The library has no kind of its own for it.
        CertificateError::Other(inner) if inner.to_string().contains("CaUsedAsEndEntity") => {
            "the server shows a root, or a certificate that vouches for itself, in place of a \
             server's certificate; give it one that an authority signed, and name that in `ca`"
                .to_owned()
        }
        other => format!("the server's certificate is refused: {other}"),
    }
}
