//! Certificates that openssl makes for a test.

use std::path::Path;
use std::process::Command;

/// Makes a root in `folder`: `NAME.pem` and `NAME.key`.
pub fn root(folder: &Path, name: &str) {
    openssl(
        folder,
        &format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN={name} \
             -keyout {name}.key -out {name}.pem -addext basicConstraints=critical,CA:TRUE \
             -addext keyUsage=critical,keyCertSign"
        ),
    );
}

/// Makes a certificate that `root` issued for this machine: `NAME.pem` and `NAME.key`, each put in
/// place at once.
pub fn issue(folder: &Path, root: &str, name: &str) {
    let extensions = "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n";
    std::fs::write(folder.join("ext"), extensions).unwrap();
    openssl(
        folder,
        &format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} \
             -keyout new.key -out new.csr"
        ),
    );
    openssl(
        folder,
        &format!(
            "x509 -req -in new.csr -CA {root}.pem -CAkey {root}.key -CAcreateserial -days 30 \
             -extfile ext -out new.pem"
        ),
    );
    for kind in ["key", "pem"] {
        let from = folder.join(format!("new.{kind}"));
        std::fs::rename(from, folder.join(format!("{name}.{kind}"))).unwrap();
    }
}

pub fn openssl(folder: &Path, arguments: &str) {
    let done = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
