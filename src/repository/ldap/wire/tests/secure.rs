//! LDAPS and StartTLS against slapd, with certificates that openssl makes for the test.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::super::{Directory, Settings};
use super::slapd::{SCIM, Slapd};
use super::{person, server, within};
use crate::clock::Clock;
use crate::repository::Severity;

fn openssl(folder: &Path, arguments: &str) {
    let done = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Makes a root and a server certificate for `names` in `folder`.
fn certificates(folder: &Path, names: &str) {
    let openssl = |arguments: &str| openssl(folder, arguments);
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!(
        "req -x509 {key} -days 30 -subj /CN=Test-Root -keyout ca.key -out ca.pem \
         -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign"
    ));
    for (name, usage) in [("server", "serverAuth"), ("client", "clientAuth")] {
        fs::write(
            folder.join(format!("{name}.ext")),
            format!("subjectAltName={names}\nextendedKeyUsage={usage}\n"),
        )
        .unwrap();
        openssl(&format!("req {key} -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
             -extfile {name}.ext -out {name}.pem"
        ));
    }
}

fn secure_slapd(names: &str, verify: &str) -> Slapd {
    prepared(&format!("TLSVerifyClient {verify}"), |folder| certificates(folder, names))
}

fn prepared(lines: &str, prepare: impl FnOnce(&Path)) -> Slapd {
    let global = format!(
        "TLSCACertificateFile ca.pem\nTLSCertificateFile server.pem\n\
         TLSCertificateKeyFile server.key\n{lines}"
    );
    Slapd::prepared(5, &global, prepare)
}

fn ca(slapd: &Slapd) -> Vec<u8> {
    fs::read(slapd.folder().join("ca.pem")).unwrap()
}

/// LDAPS, then StartTLS, otherwise alike.
fn both(slapd: &Slapd, settings: &Settings) -> [Settings; 2] {
    let url = |url: &str| vec![server(url)];
    [
        Settings { urls: url(&slapd.tls_url()), starttls: false, ..settings.clone() },
        Settings { urls: url(&slapd.url()), starttls: true, ..settings.clone() },
    ]
}

async fn fails_at_tls(settings: Settings, words: &str) {
    let directory = Directory::new("corp", settings).unwrap();
    let error = directory.search(&person(1), within(5000)).await.unwrap_err().to_string();
    assert!(error.contains(words), "{error} lacks {words}");
    let (findings, _) = directory.diagnose(&Clock::system()).await;
    let broken = findings.last().unwrap();
    assert_eq!((broken.subject.as_str(), broken.severity), ("TLS", Severity::Broken));
    assert!(broken.text.contains(words), "{} lacks {words}", broken.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_trusted_for_its_names_under_its_root_only() {
    let slapd = secure_slapd("IP:127.0.0.1", "never");
    let trusting = Settings { ca: Some(ca(&slapd)), ..slapd.settings(SCIM) };
    for settings in both(&slapd, &trusting) {
        let directory = Directory::new("corp", settings).unwrap();
        let found = directory.search(&person(3), within(5000)).await.unwrap();
        assert_eq!(found.entries.len(), 1);
        let (findings, _) = directory.diagnose(&Clock::system()).await;
        assert!(findings[0].text.contains("TLS 1.3"), "{}", findings[0].text);
    }
    for settings in both(&slapd, &slapd.settings(SCIM)) {
        fails_at_tls(settings, "issued by nobody who is trusted here").await;
    }
    let other = secure_slapd("DNS:ldap.example.org,IP:127.0.0.2", "never");
    let trusting = Settings { ca: Some(ca(&other)), ..other.settings(SCIM) };
    for settings in both(&other, &trusting) {
        fails_at_tls(settings, "another host name").await;
    }
    // A root of the same name, but not the same root.
    let mistaken = Settings { ca: Some(ca(&other)), ..slapd.settings(SCIM) };
    for settings in both(&slapd, &mistaken) {
        fails_at_tls(settings, "certificate").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_expired_is_not_trusted() {
    let slapd = prepared("TLSVerifyClient never", |folder| {
        certificates(folder, "IP:127.0.0.1");
        for (name, text) in [("index.txt", ""), ("serial", "07\n"), ("ca.cnf", CA)] {
            fs::write(folder.join(name), text).unwrap();
        }
        openssl(
            folder,
            "ca -batch -notext -config ca.cnf -startdate 20200101000000Z -enddate 20210101000000Z \
             -cert ca.pem -keyfile ca.key -in server.csr -extfile server.ext -out server.pem",
        );
    });
    let trusting = Settings { ca: Some(ca(&slapd)), ..slapd.settings(SCIM) };
    for settings in both(&slapd, &trusting) {
        fails_at_tls(settings, "expired").await;
    }
}

/// What `openssl ca` wants to know before it signs for a time that has passed.
const CA: &str = "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\n\
                  default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_vouches_for_itself_is_not_trusted() {
    for (constraint, words) in
        [("CA:FALSE", "issued by nobody who is trusted here"), ("CA:TRUE", "vouches for itself")]
    {
        let slapd = prepared("TLSVerifyClient never", |folder| {
            certificates(folder, "IP:127.0.0.1");
            openssl(
                folder,
                &format!(
                    "req -x509 -key server.key -days 30 -subj /CN=server -out server.pem \
                     -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints={constraint}"
                ),
            );
        });
        let trusting = Settings { ca: Some(ca(&slapd)), ..slapd.settings(SCIM) };
        for settings in both(&slapd, &trusting) {
            fails_at_tls(settings, words).await;
        }
    }
}

/// Whoever offers this version and no other gets it, by LDAPS and by StartTLS.
fn speaks(slapd: &Slapd, version: &str) {
    for (url, starttls) in [(slapd.tls_url(), ""), (slapd.url(), "-starttls ldap")] {
        let address = url.rsplit('/').next().unwrap();
        let done = Command::new("openssl")
            .args(["s_client", "-connect", address, version, "-cipher", "ALL:@SECLEVEL=0"])
            .args(["-verify_return_error", "-CAfile", "ca.pem"])
            .args(starttls.split_whitespace())
            .current_dir(slapd.folder())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && said.contains("Cipher is ECDHE"), "{version}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_of_tls_that_are_broken_are_refused() {
    // Only here the library is told to speak what it usually would not any more.
    for (version, flag, spoken) in
        [("1.0", "-tls1", false), ("1.1", "-tls1_1", false), ("1.2", "-tls1_2", true)]
    {
        let lines = format!(
            "TLSVerifyClient never\n\
             TLSCipherSuite NORMAL:-VERS-ALL:+VERS-TLS{version}:%COMPAT:+SHA1:+SIGN-RSA-SHA1"
        );
        let slapd = prepared(&lines, |folder| certificates(folder, "IP:127.0.0.1"));
        speaks(&slapd, flag);
        let trusting = Settings { ca: Some(ca(&slapd)), ..slapd.settings(SCIM) };
        for settings in both(&slapd, &trusting) {
            if spoken {
                let directory = Directory::new("corp", settings).unwrap();
                assert_eq!(
                    directory.search(&person(1), within(5000)).await.unwrap().entries.len(),
                    1
                );
            } else {
                fails_at_tls(settings, "TLS 1.2").await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_tls_is_not_spoken_to_in_plain_text() {
    let slapd = Slapd::start(3);
    fails_at_tls(Settings { starttls: true, ..slapd.settings(SCIM) }, "refuses StartTLS").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_is_an_identity() {
    let slapd = secure_slapd("IP:127.0.0.1", "demand");
    let read = |name: &str| fs::read(slapd.folder().join(name)).unwrap();
    let external = Settings {
        ca: Some(ca(&slapd)),
        bind_dn: None,
        bind_password: None,
        client_certificate: Some((read("client.pem"), read("client.key"))),
        ..slapd.settings(SCIM)
    };
    for settings in both(&slapd, &external) {
        let directory = Directory::new("corp", settings).unwrap();
        let (findings, _) = directory.diagnose(&Clock::system()).await;
        let [connect, certificate, bind, root] = findings.as_slice() else {
            panic!("{findings:?}");
        };
        assert!(connect.text.contains("certificate good until 2"), "{}", connect.text);
        assert!(bind.text.contains("by client certificate"), "{}", bind.text);
        assert!([connect, bind, root].iter().all(|one| one.severity == Severity::Well));
        // It was made for thirty days.
        assert_eq!(certificate.severity, Severity::Warning);
        assert!(certificate.text.contains("ends in 29 days"), "{}", certificate.text);
    }
    let nameless = Settings { ca: Some(ca(&slapd)), ..slapd.settings(SCIM) };
    for settings in both(&slapd, &nameless) {
        let directory = Directory::new("corp", settings).unwrap();
        assert!(directory.search(&person(1), within(5000)).await.is_err());
    }
}
