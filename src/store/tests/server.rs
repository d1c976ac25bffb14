//! A private PostgreSQL for the tests of this crate, started once, gone when the process is.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

struct Server {
    url: String,
    /// Runs until its standard input ends.
    _script: Child,
}

/// The URL of a schema of its own, as empty as a new database.
pub(in crate::store) fn schema() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    run_sql(&server().url, &format!("CREATE SCHEMA {name}"));
    format!("{}?options=-csearch_path%3D{name}", server().url)
}

/// Executes statements as the owner of what `url` leads to.
pub(in crate::store) fn run_sql(url: &str, sql: &str) {
    let (url, sql) = (url.to_owned(), sql.to_owned());
    // On a thread of its own, since the caller may be inside of a runtime.
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, connection) =
                tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
            let driver = tokio::spawn(connection);
            client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            drop(client);
            driver.await.unwrap().unwrap();
        });
    };
    std::thread::spawn(work).join().unwrap();
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        // The script removes it.
        let directory = tempfile::tempdir().unwrap().keep();
        let mut script = Command::new("bash")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/docker/postgres.sh"))
            .arg("run")
            .arg(&directory)
            .env_remove("PORT")
            .env_remove("TLS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash starts");
        let mut url = String::new();
        BufReader::new(script.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("postgres://"), "no PostgreSQL; docker/postgres.sh says why");
        Server { url: url.trim().to_owned(), _script: script }
    })
}
