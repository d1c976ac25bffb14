//! Nothing outlives the tests: a shell that ends the servers when the test process is gone, however
//! it ended, and removes their directory.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

/// Reads `watch PID` and `forget PID` until the pipe closes; then ends what is still watched.
const SCRIPT: &str = r#"
trap : INT TERM HUP
pids=" "
while read -r verb pid; do
  case $verb in
    watch) pids="$pids$pid " ;;
    forget) pids=$(printf %s "$pids" | sed "s/ $pid / /") ;;
  esac
done
for pid in $pids; do kill -KILL "$pid"; done
rm -rf "$1"
"#;

struct Guard {
    shell: Mutex<(Child, ChildStdin)>,
    directory: PathBuf,
    directories: AtomicU32,
}

fn guard() -> &'static Guard {
    static GUARD: OnceLock<Guard> = OnceLock::new();
    GUARD.get_or_init(|| {
        let directory =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("it-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "guard"])
            .arg(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        let stdin = shell.stdin.take().unwrap();
        Guard { shell: Mutex::new((shell, stdin)), directory, directories: AtomicU32::new(0) }
    })
}

/// A fresh directory, gone when the test process is.
pub fn directory(name: &str) -> PathBuf {
    let number = guard().directories.fetch_add(1, Ordering::Relaxed);
    let directory = guard().directory.join(format!("{name}-{number}"));
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// A process that ends with the test process.
pub fn watch(pid: u32) {
    tell("watch", pid);
}

/// A process that is ended already: its number may become somebody else's.
pub fn forget(pid: u32) {
    tell("forget", pid);
}

fn tell(verb: &str, pid: u32) {
    let mut shell = guard().shell.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    writeln!(shell.1, "{verb} {pid}").expect("the guard listens");
}

/// Sends a signal (`STOP`, `CONT`, `KILL`, `TERM`).
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(status.expect("kill runs").success(), "no process {pid} takes the signal {name}");
}
