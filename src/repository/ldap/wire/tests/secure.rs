//! LDAPS and StartTLS against slapd, with certificates that openssl makes for the test.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::super::{Directory, ServerUrl, Settings};
use super::slapd::{SCIM, Slapd};
use super::{person, within};
use crate::repository::Severity;

/// Makes a root and a server certificate for `names` in `folder`.
fn certificates(folder: &Path, names: &str) {
    let openssl = |arguments: &str| {
        let done = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
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
    let global = format!(
        "TLSCACertificateFile ca.pem\nTLSCertificateFile server.pem\n\
         TLSCertificateKeyFile server.key\nTLSVerifyClient {verify}"
    );
    Slapd::prepared(5, &global, |folder| certificates(folder, names))
}

fn ca(slapd: &Slapd) -> Vec<u8> {
    fs::read(slapd.folder().join("ca.pem")).unwrap()
}

/// LDAPS, then StartTLS, otherwise alike.
fn both(slapd: &Slapd, settings: &Settings) -> [Settings; 2] {
    let url = |url: &str| vec![ServerUrl::parse(url).unwrap()];
    [
        Settings { urls: url(&slapd.tls_url()), starttls: false, ..settings.clone() },
        Settings { urls: url(&slapd.url()), starttls: true, ..settings.clone() },
    ]
}

async fn fails_at_tls(settings: Settings, words: &str) {
    let directory = Directory::new("corp", settings).unwrap();
    let error = directory.search(&person(1), within(5000)).await.unwrap_err().to_string();
    assert!(error.contains(words), "{error} lacks {words}");
    let findings = directory.diagnose().await;
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
        let findings = directory.diagnose().await;
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
        let findings = directory.diagnose().await;
        assert!(findings.iter().all(|finding| finding.severity == Severity::Well), "{findings:?}");
        assert!(findings[1].text.contains("by client certificate"), "{}", findings[1].text);
    }
    let nameless = Settings { ca: Some(ca(&slapd)), ..slapd.settings(SCIM) };
    for settings in both(&slapd, &nameless) {
        let directory = Directory::new("corp", settings).unwrap();
        assert!(directory.search(&person(1), within(5000)).await.is_err());
    }
}
