//! Numbers about the bridge, and their text form (Prometheus exposition format 0.0.4).
//!
//! Everything is counted by relaxed atomics: a count costs nanoseconds and never waits.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Every number that the bridge tells.
#[derive(Debug, Default)]
pub struct Metrics {
    /// By status class, 1xx to 5xx.
    requests: [AtomicU64; 5],
    durations: Histogram,
    denied: AtomicU64,
    repositories: Vec<Arc<RepositoryMetrics>>,
}

/// The numbers of one repository; shared with whoever speaks to it.
#[derive(Debug)]
pub struct RepositoryMetrics {
    tenant: String,
    repository: String,
    operations: [[AtomicU64; 4]; 2],
    durations: Histogram,
    /// 0 no contact yet, 1 down, 2 up.
    up: AtomicU64,
    /// 0 no feed of changes, 1 lost, 2 following.
    feed: AtomicU64,
    /// 0 nobody looked yet, 1 the brake is off, 2 it is on.
    brake: AtomicU64,
    vanished: AtomicU64,
    suspected: AtomicU64,
    never_seen: AtomicU64,
    verified_seconds: AtomicU64,
}

/// How the bound users of a repository stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresenceNumbers {
    /// Their entries are gone.
    pub vanished: u64,
    /// Their entries were not found, which proves nothing yet.
    pub suspected: u64,
    /// Their entries were not found, and were never seen since it is kept where.
    pub never_seen: u64,
    /// So many that none of them is believed gone.
    pub braked: bool,
    /// How long ago the one was looked for whose turn was the longest ago.
    pub verified_seconds: u64,
}

/// What a directory was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Search,
    /// By entry key.
    Read,
}

/// How an operation on a directory ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Complete,
    Truncated,
    Timeout,
    Unavailable,
}

/// What a cache has counted since the start, and what it holds now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheNumbers {
    pub name: &'static str,
    /// Answered from memory.
    pub hits: u64,
    /// Had to wait for a load, their own or another's.
    pub misses: u64,
    /// Loads begun; fewer than misses where look-ups shared one.
    pub loads: u64,
    pub entries: u64,
    pub bytes: u64,
}

type CacheNumber = fn(&CacheNumbers) -> u64;

const OPERATIONS: [&str; 2] = ["search", "read"];
const OUTCOMES: [&str; 4] = ["complete", "truncated", "timeout", "unavailable"];

/// Upper bounds in microseconds, and as they are printed in seconds.
const BOUNDS: [(u64, &str); 14] = [
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (10_000_000, "10"),
];

/// How long things took.
#[derive(Debug, Default)]
struct Histogram {
    /// One more than there are bounds: the last is for what took longer.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_microseconds: AtomicU64,
}

impl Metrics {
    /// For these repositories, each as (tenant, repository).
    pub fn new(repositories: &[(&str, &str)]) -> Self {
        let repositories = repositories
            .iter()
            .map(|(tenant, repository)| Arc::new(RepositoryMetrics::new(tenant, repository)))
            .collect();
        Self { repositories, ..Self::default() }
    }

    /// Counts an answered request.
    pub fn request(&self, status: u16, duration: Duration) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        count(&self.requests[class]);
        self.durations.observe(duration);
    }

    /// How many requests were answered.
    pub fn answered(&self) -> u64 {
        self.requests.iter().map(read).sum()
    }

    /// Counts a request that nobody known sent.
    pub fn denied(&self) {
        count(&self.denied);
    }

    /// The numbers of one repository, to keep.
    pub fn repository(&self, tenant: &str, repository: &str) -> Option<Arc<RepositoryMetrics>> {
        self.repositories
            .iter()
            .find(|known| known.tenant == tenant && known.repository == repository)
            .cloned()
    }

    /// Everything, in the text form; the caches count for themselves.
    pub fn render(&self, caches: &[CacheNumbers], members_read: u64) -> String {
        let mut page = Page(String::with_capacity(4096));
        page.family("scimbridge_build_info", "gauge", "The version that runs.");
        page.sample("scimbridge_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        page.family("scimbridge_requests_total", "counter", "Requests answered, by status class.");
        for (class, counter) in ["1xx", "2xx", "3xx", "4xx", "5xx"].iter().zip(&self.requests) {
            page.sample("scimbridge_requests_total", &[("status", class)], read(counter));
        }
        let name = "scimbridge_request_duration_seconds";
        page.family(name, "histogram", "Time to an answer.");
        self.durations.render(&mut page, name, &[]);
        let name = "scimbridge_denied_total";
        page.family(name, "counter", "Requests without a token that is known.");
        page.sample(name, &[], read(&self.denied));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let name = "scimbridge_tasks";
            page.family(name, "gauge", "Tasks under way, connections among them.");
            page.sample(name, &[], runtime.metrics().num_alive_tasks());
        }
        self.render_repositories(&mut page);
        let families: [(&str, &str, &str, CacheNumber); 5] = [
            ("scimbridge_cache_hits_total", "counter", "Answered from memory.", |one| one.hits),
            ("scimbridge_cache_misses_total", "counter", "Waited for a load.", |one| one.misses),
            ("scimbridge_cache_loads_total", "counter", "Loads begun.", |one| one.loads),
            ("scimbridge_cache_entries", "gauge", "Values held.", |one| one.entries),
            ("scimbridge_cache_bytes", "gauge", "Memory held, about.", |one| one.bytes),
        ];
        for (name, kind, help, number) in families {
            page.family(name, kind, help);
            for cache in caches {
                page.sample(name, &[("cache", cache.name)], number(cache));
            }
        }
        let name = "scimbridge_members_read_total";
        page.family(name, "counter", "Members of groups read from the store.");
        page.sample(name, &[], members_read);
        page.0
    }

    fn render_repositories(&self, page: &mut Page) {
        if self.repositories.is_empty() {
            return;
        }
        let name = "scimbridge_repository_operations_total";
        page.family(name, "counter", "What directories were asked for.");
        for known in &self.repositories {
            let [tenant, repository] = known.labels();
            for (operation, counters) in OPERATIONS.iter().zip(&known.operations) {
                for (outcome, counter) in OUTCOMES.iter().zip(counters) {
                    let labels =
                        [tenant, repository, ("operation", *operation), ("outcome", *outcome)];
                    page.sample(name, &labels, read(counter));
                }
            }
        }
        let name = "scimbridge_repository_operation_duration_seconds";
        page.family(name, "histogram", "Time until directories answered.");
        for known in &self.repositories {
            known.durations.render(page, name, &known.labels());
        }
        let name = "scimbridge_repository_up";
        page.family(name, "gauge", "Whether the last contact with a directory succeeded.");
        for known in &self.repositories {
            if let Some(up) = read(&known.up).checked_sub(1) {
                page.sample(name, &known.labels(), up);
            }
        }
        self.render_presence(page);
        let told = |known: &RepositoryMetrics| read(&known.feed).checked_sub(1);
        if self.repositories.iter().any(|known| told(known).is_some()) {
            let name = "scimbridge_repository_following";
            page.family(name, "gauge", "Whether a directory tells its changes now.");
            for known in &self.repositories {
                if let Some(follows) = told(known) {
                    page.sample(name, &known.labels(), follows);
                }
            }
        }
    }
}

type PresenceNumber = fn(PresenceNumbers) -> u64;

impl Metrics {
    fn render_presence(&self, page: &mut Page) {
        let families: [(&str, &str, PresenceNumber); 5] = [
            ("vanished", "Bound users whose entries are gone.", |one| one.vanished),
            ("suspected", "Bound users not found, which proves nothing yet.", |one| one.suspected),
            ("never_seen", "Bound users not found, of whom nothing can be told.", |one| {
                one.never_seen
            }),
            ("vanish_brake", "Whether so many are missing that all are kept.", |one| {
                u64::from(one.braked)
            }),
            (
                "verification_age_seconds",
                "Since the bound user was looked for whose turn was the longest ago.",
                |one| one.verified_seconds,
            ),
        ];
        for (name, help, number) in families {
            let name = &format!("scimbridge_repository_{name}");
            page.family(name, "gauge", help);
            for known in &self.repositories {
                if let Some(presence) = known.presence() {
                    page.sample(name, &known.labels(), number(presence));
                }
            }
        }
    }
}

impl RepositoryMetrics {
    fn new(tenant: &str, repository: &str) -> Self {
        Self {
            tenant: tenant.to_owned(),
            repository: repository.to_owned(),
            operations: <[[AtomicU64; 4]; 2]>::default(),
            durations: Histogram::default(),
            up: AtomicU64::new(0),
            feed: AtomicU64::new(0),
            brake: AtomicU64::new(0),
            vanished: AtomicU64::new(0),
            suspected: AtomicU64::new(0),
            never_seen: AtomicU64::new(0),
            verified_seconds: AtomicU64::new(0),
        }
    }

    /// Counts an operation, and takes its end as a sign of health.
    pub fn operation(&self, operation: Operation, outcome: Outcome, duration: Duration) {
        count(&self.operations[operation as usize][outcome as usize]);
        self.durations.observe(duration);
        self.contact(matches!(outcome, Outcome::Complete | Outcome::Truncated));
    }

    /// Says whether the directory answered.
    pub fn contact(&self, succeeded: bool) {
        self.up.store(if succeeded { 2 } else { 1 }, Ordering::Relaxed);
    }

    /// Says whether the directory tells its changes now.
    pub fn following(&self, follows: bool) {
        self.feed.store(if follows { 2 } else { 1 }, Ordering::Relaxed);
    }

    /// Says how the bound users stand.
    pub fn tell_presence(&self, numbers: PresenceNumbers) {
        let PresenceNumbers { vanished, suspected, never_seen, braked, verified_seconds } = numbers;
        self.vanished.store(vanished, Ordering::Relaxed);
        self.suspected.store(suspected, Ordering::Relaxed);
        self.never_seen.store(never_seen, Ordering::Relaxed);
        self.verified_seconds.store(verified_seconds, Ordering::Relaxed);
        self.brake.store(if braked { 2 } else { 1 }, Ordering::Relaxed);
    }

    /// What was said last of them; `None` before anybody looked.
    pub fn presence(&self) -> Option<PresenceNumbers> {
        let brake = read(&self.brake);
        (brake > 0).then(|| PresenceNumbers {
            vanished: read(&self.vanished),
            suspected: read(&self.suspected),
            never_seen: read(&self.never_seen),
            braked: brake == 2,
            verified_seconds: read(&self.verified_seconds),
        })
    }

    /// What was said last.
    pub fn follows(&self) -> bool {
        read(&self.feed) == 2
    }

    fn labels(&self) -> [(&'static str, &str); 2] {
        [("tenant", &self.tenant), ("repository", &self.repository)]
    }
}

impl Histogram {
    fn observe(&self, duration: Duration) {
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|(bound, _)| *bound < microseconds);
        count(&self.buckets[bucket]);
        self.sum_microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }

    fn render(&self, page: &mut Page, name: &str, labels: &[(&str, &str)]) {
        let bucket = format!("{name}_bucket");
        let mut total = 0;
        let bounds = BOUNDS.iter().map(|(_, text)| *text).chain(["+Inf"]);
        for (bound, counter) in bounds.zip(&self.buckets) {
            total += read(counter);
            page.sample(&bucket, &[labels, &[("le", bound)]].concat(), total);
        }
        let sum = Duration::from_micros(read(&self.sum_microseconds));
        page.sample(&format!("{name}_sum"), labels, sum.as_secs_f64());
        page.sample(&format!("{name}_count"), labels, total);
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail, here and below.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// Labels are names out of the configuration or words of ours: nothing in them needs escaping.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{text}\"", if at == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn holds(page: &str, lines: &[&str]) {
        for line in lines {
            assert!(page.lines().any(|known| known == *line), "{line:?} is not in:\n{page}");
        }
    }

    #[test]
    fn requests_are_counted_by_class_and_time() {
        let metrics = Metrics::new(&[]);
        metrics.request(200, Duration::from_micros(500));
        metrics.request(204, Duration::from_micros(501));
        metrics.request(404, Duration::from_mins(1));
        metrics.request(999, Duration::ZERO);
        metrics.denied();
        let rows =
            CacheNumbers { name: "row", hits: 0, misses: 1, loads: 1, entries: 1, bytes: 300 };
        let page = metrics.render(&[rows], 7);
        holds(
            &page,
            &[
                "# TYPE scimbridge_requests_total counter",
                "scimbridge_requests_total{status=\"2xx\"} 2",
                "scimbridge_requests_total{status=\"4xx\"} 1",
                "scimbridge_requests_total{status=\"5xx\"} 1",
                "scimbridge_request_duration_seconds_bucket{le=\"0.0005\"} 2",
                "scimbridge_request_duration_seconds_bucket{le=\"0.001\"} 3",
                "scimbridge_request_duration_seconds_bucket{le=\"10\"} 3",
                "scimbridge_request_duration_seconds_bucket{le=\"+Inf\"} 4",
                "scimbridge_request_duration_seconds_sum 60.001001",
                "scimbridge_request_duration_seconds_count 4",
                "scimbridge_denied_total 1",
                "scimbridge_cache_misses_total{cache=\"row\"} 1",
                "scimbridge_cache_hits_total{cache=\"row\"} 0",
                "scimbridge_cache_bytes{cache=\"row\"} 300",
            ],
        );
        assert!(!page.contains("scimbridge_repository"));
    }

    #[test]
    fn each_repository_has_its_own_numbers() {
        let metrics = Metrics::new(&[("acme", "corp"), ("acme", "labs")]);
        let corp = metrics.repository("acme", "corp").unwrap();
        corp.operation(Operation::Read, Outcome::Complete, Duration::from_millis(3));
        corp.operation(Operation::Search, Outcome::Timeout, Duration::from_secs(5));
        assert!(metrics.repository("other", "corp").is_none());
        let page = metrics.render(&[], 0);
        let of = |name: &str, rest: &str| {
            format!("scimbridge_repository_{name}{{tenant=\"acme\",repository=\"corp\"{rest}")
        };
        holds(
            &page,
            &[
                &of("operations_total", ",operation=\"read\",outcome=\"complete\"} 1"),
                &of("operations_total", ",operation=\"search\",outcome=\"timeout\"} 1"),
                &of("operations_total", ",operation=\"search\",outcome=\"complete\"} 0"),
                &of("operation_duration_seconds_bucket", ",le=\"0.005\"} 1"),
                &of("operation_duration_seconds_count", "} 2"),
                &of("up", "} 0"),
            ],
        );
        assert!(!page.contains("scimbridge_repository_up{tenant=\"acme\",repository=\"labs\"}"));
        assert!(!page.contains("vanish_brake{"));
        corp.tell_presence(PresenceNumbers {
            vanished: 3,
            suspected: 11,
            never_seen: 2,
            braked: true,
            verified_seconds: 70,
        });
        holds(
            &metrics.render(&[], 0),
            &[
                &of("vanished", "} 3"),
                &of("suspected", "} 11"),
                &of("never_seen", "} 2"),
                &of("vanish_brake", "} 1"),
                &of("verification_age_seconds", "} 70"),
            ],
        );
        corp.contact(true);
        holds(&metrics.render(&[], 0), &[&of("up", "} 1")]);
    }

    #[test]
    fn every_line_is_a_comment_or_a_name_and_a_number() {
        let page = Metrics::new(&[("acme", "corp")]).render(&[], 0);
        for line in page.lines().filter(|line| !line.starts_with("# ")) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with("scimbridge_"), "{line}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
        assert!(page.ends_with('\n'));
    }
}
