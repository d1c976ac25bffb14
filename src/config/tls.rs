//! The PEM files of the listener: read, checked against each other, and what is wrong in words.
//!
//! Knows nothing of connections.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use toml::Spanned;

use super::fault::Fault;
use super::resolve::Surroundings;
use super::written;

/// How long before a certificate's end it is spoken of.
const SOON: Duration = Duration::from_hours(14 * 24);

/// Where the listener's certificate is, and whose certificates clients must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's own certificate, then those that issued it.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Where it is given, every client must have a certificate that one of these issued.
    pub client_ca: Option<PathBuf>,
}

/// What the files hold.
#[derive(Debug)]
pub struct TlsIdentity {
    pub certified: Arc<CertifiedKey>,
    pub client_roots: Option<Arc<RootCertStore>>,
    /// What is not wrong, but will be or was: an expiry.
    pub warning: Option<String>,
}

/// Which file is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFile {
    Certificate,
    Key,
    ClientCa,
}

/// What is wrong with the files.
#[derive(Debug, thiserror::Error)]
#[error("{problem}; {remedy}")]
pub struct TlsFault {
    pub file: TlsFile,
    pub problem: String,
    pub remedy: String,
}

pub fn files(file: &written::ServerTls, around: &Surroundings<'_>) -> Result<TlsFiles, Fault> {
    let path = |place: &Spanned<String>| around.path(place.get_ref());
    let files = TlsFiles {
        certificate: path(&file.certificate),
        key: path(&file.key),
        client_ca: file.client_ca.as_ref().map(path),
    };
    match files.read() {
        Ok(_) => Ok(files),
        Err(TlsFault { file: which, problem, remedy }) => {
            let place = match which {
                TlsFile::Certificate => &file.certificate,
                TlsFile::Key => &file.key,
                TlsFile::ClientCa => file.client_ca.as_ref().unwrap_or(&file.certificate),
            };
            Err(Fault::at(place, problem, remedy))
        }
    }
}

/// The roots in a file that are trusted beside the machine's.
pub fn roots(
    place: &Spanned<String>,
    around: &Surroundings<'_>,
) -> Result<Arc<RootCertStore>, Fault> {
    client_roots(&around.path(place.get_ref())).map_err(|fault| {
        let remedy = "name a PEM file with the certificates of a private authority";
        Fault::at(place, fault.problem, remedy)
    })
}

impl TlsFiles {
    /// Reads the files as they are now.
    pub fn read(&self) -> Result<TlsIdentity, TlsFault> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let chain = certificates(&self.certificate, TlsFile::Certificate)?;
        let warning = chain
            .first()
            .and_then(|own| expiry(own, &provider, &self.certificate, UnixTime::now()));
        let certified = certified(chain, private_key(&self.key)?, &provider, self)?;
        let client_roots = self.client_ca.as_deref().map(client_roots).transpose()?;
        Ok(TlsIdentity { certified: Arc::new(certified), client_roots, warning })
    }

    /// All of them, for whoever watches them.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        [&self.certificate, &self.key].into_iter().chain(&self.client_ca).map(PathBuf::as_path)
    }
}

fn read(path: &Path, file: TlsFile) -> Result<Vec<u8>, TlsFault> {
    std::fs::read(path).map_err(|error| TlsFault {
        file,
        problem: format!("cannot read {}: {error}", path.display()),
        remedy: "write the path of a PEM file that the bridge may read".to_owned(),
    })
}

fn certificates(path: &Path, file: TlsFile) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let pem = read(path, file)?;
    let fault = |problem: String| TlsFault {
        file,
        problem,
        remedy:
            "it must hold blocks of -----BEGIN CERTIFICATE-----, a server's own first and then \
                 those that issued it"
                .to_owned(),
    };
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| fault(format!("{} is no PEM file: {error}", path.display())))?;
    if found.is_empty() {
        return Err(fault(format!("there is no PEM certificate in {}", path.display())));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsFault> {
    let pem = zeroize::Zeroizing::new(read(path, TlsFile::Key)?);
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        let encrypted = String::from_utf8_lossy(&pem).contains("ENCRYPTED");
        let (problem, remedy) = if encrypted {
            (
                "is encrypted, and nobody is there to type its password",
                "write a copy without one: openssl pkey -in KEY -out COPY, readable for the bridge alone",
            )
        } else {
            (
                "holds no private key in PEM form",
                "it must hold a block of -----BEGIN PRIVATE KEY-----",
            )
        };
        TlsFault {
            file: TlsFile::Key,
            problem: format!("{} {problem}", path.display()),
            remedy: remedy.to_owned(),
        }
    })
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
    files: &TlsFiles,
) -> Result<CertifiedKey, TlsFault> {
    CertifiedKey::from_der(chain, key, provider).map_err(|error| {
        let (certificate, key) = (files.certificate.display(), files.key.display());
        match error {
            rustls::Error::InconsistentKeys(_) => TlsFault {
                file: TlsFile::Key,
                problem: format!(
                    "the key in {key} is not that of the certificate in {certificate}"
                ),
                remedy: "write the key that the certificate was requested with; in a chain the \
                         server's own certificate comes first"
                    .to_owned(),
            },
            rustls::Error::InvalidCertificate(problem) => TlsFault {
                file: TlsFile::Certificate,
                problem: format!("the first certificate in {certificate} is unusable: {problem}"),
                remedy: "write an X.509 certificate of version 3".to_owned(),
            },
            other => TlsFault {
                file: TlsFile::Key,
                problem: format!("the key in {key} is unusable: {other}"),
                remedy: "write an RSA key of at least 2048 bits, or one for ECDSA or Ed25519"
                    .to_owned(),
            },
        }
    })
}

fn client_roots(path: &Path) -> Result<Arc<RootCertStore>, TlsFault> {
    let mut roots = RootCertStore::empty();
    for root in certificates(path, TlsFile::ClientCa)? {
        roots.add(root).map_err(|error| TlsFault {
            file: TlsFile::ClientCa,
            problem: format!("a certificate in {} cannot be a root: {error}", path.display()),
            remedy: "write the certificates of the authorities that issue those of clients"
                .to_owned(),
        })?;
    }
    Ok(Arc::new(roots))
}

/// What is to be said of the certificate's validity now, if anything.
fn expiry(
    own: &CertificateDer<'_>,
    provider: &CryptoProvider,
    path: &Path,
    now: UnixTime,
) -> Option<String> {
    let certificate = ParsedCertificate::try_from(own).ok()?;
    // Times are looked at first: whoever issued it is nobody here.
    let judged = |at: UnixTime| {
        let algorithms = provider.signature_verification_algorithms.all;
        let nobody = RootCertStore::empty();
        match verify_server_cert_signed_by_trust_anchor(&certificate, &nobody, &[], at, algorithms)
        {
            Err(rustls::Error::InvalidCertificate(problem)) => Some(problem),
            _ => None,
        }
    };
    let soon = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + SOON);
    let path = path.display();
    match (judged(now), judged(soon)) {
        (Some(CertificateError::Expired | CertificateError::ExpiredContext { .. }), _) => {
            Some(format!("the certificate in {path} has expired"))
        }
        (Some(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }), _) => {
            Some(format!("the certificate in {path} is not valid yet"))
        }
        (_, Some(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            Some(format!("the certificate in {path} expires within 14 days"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;
    use crate::config::Config;

    fn openssl(folder: &Path, arguments: &str) {
        let done = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// A folder with `server.pem` and `server.key`, valid for so many days, and `other.key`.
    fn folder(days: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256";
        let request =
            format!("req -x509 {key} -subj /CN=b.example -addext subjectAltName=DNS:b.example");
        openssl(
            folder.path(),
            &format!("{request} -nodes -days {days} -keyout server.key -out server.pem"),
        );
        openssl(folder.path(), "genpkey -algorithm ed25519 -out other.key");
        openssl(
            folder.path(),
            "pkey -in server.key -aes-256-cbc -passout pass:secret -out encrypted.key",
        );
        fs::write(folder.path().join("empty.pem"), "nothing\n").unwrap();
        folder
    }

    fn read(folder: &Path, certificate: &str, key: &str) -> Result<TlsIdentity, TlsFault> {
        let path = |name: &str| folder.join(name);
        TlsFiles { certificate: path(certificate), key: path(key), client_ca: None }.read()
    }

    #[test]
    fn files_that_fit_are_an_identity() {
        let folder = folder("30");
        let identity = read(folder.path(), "server.pem", "server.key").unwrap();
        assert_eq!(identity.certified.cert.len(), 1);
        assert_eq!(identity.warning, None);
    }

    #[test]
    fn what_does_not_fit_names_file_and_remedy() {
        let folder = folder("30");
        for (certificate, key, file, words) in [
            ("none.pem", "server.key", TlsFile::Certificate, "cannot read"),
            ("empty.pem", "server.key", TlsFile::Certificate, "no PEM certificate"),
            ("server.pem", "none.key", TlsFile::Key, "cannot read"),
            ("server.pem", "empty.pem", TlsFile::Key, "holds no private key"),
            ("server.pem", "encrypted.key", TlsFile::Key, "openssl pkey"),
            ("server.pem", "other.key", TlsFile::Key, "is not that of the certificate"),
        ] {
            let fault = read(folder.path(), certificate, key).unwrap_err();
            assert_eq!(fault.file, file, "{fault}");
            assert!(fault.to_string().contains(words), "{fault}");
        }
    }

    #[test]
    fn an_end_is_told_before_and_after_it() {
        let folder = folder("30");
        let path = folder.path().join("server.pem");
        let own = CertificateDer::from_pem_file(&path).unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        for (day, told) in [
            (-1, Some("is not valid yet")),
            (1, None),
            (17, Some("expires within 14 days")),
            (31, Some("has expired")),
        ] {
            let at = UnixTime::now().as_secs().checked_add_signed(day * 86_400).unwrap();
            let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
            let warning = expiry(&own, &provider, &path, at);
            assert_eq!(warning.is_some(), told.is_some(), "day {day}: {warning:?}");
            assert!(warning.unwrap_or_default().ends_with(told.unwrap_or_default()), "day {day}");
        }
    }

    #[test]
    fn a_configuration_names_key_and_line() {
        let folder = folder("30");
        let parse = |server: &str| {
            let text = format!("[server]\n{server}\n[[tenant]]\nname = \"acme\"\n");
            Config::parse(&text, folder.path(), &|_| None)
        };
        let tls = "tls = { certificate = \"server.pem\", key = \"server.key\" }";
        let config = parse(&format!("listen = \"0.0.0.0:443\"\n{tls}")).unwrap();
        assert_eq!(config.server.tls.unwrap().key, folder.path().join("server.key"));
        for (server, words) in [
            ("listen = \"0.0.0.0:443\"", ":2: server.listen: tokens would cross the network"),
            ("tls = { certificate = \"server.pem\" }", "server.tls.key is missing"),
            (
                "tls = { certificate = \"server.pem\", key = \"other.key\" }",
                ":2: server.tls.key: the key in",
            ),
            (
                "tls = { certificate = \"server.pem\", key = \"server.key\", client_ca = \"no.pem\" }",
                ":2: server.tls.client_ca: cannot read",
            ),
        ] {
            let told = parse(server).unwrap_err().to_string();
            assert!(told.contains(words), "{told}");
        }
    }
}
