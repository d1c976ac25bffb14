//! One server of a directory: its connections, and whether it is worth asking.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::connection::{Ask, Connection, Identity, Weight};
use super::dial::{Dial, DialError, Wire};
use super::entry::{Paging, Scope, SearchRequest};
use super::failure::Failure;
use super::health::{Health, lifetime};

/// More shared connections than this bring nothing.
const MOST_LOOKUPS: usize = 4;

/// Operations in flight on every shared connection, above which one more is made.
const CROWD: usize = 64;

/// The page that is asked for first; some servers allow less (RFC 2696 has no way to ask).
const PAGE: usize = 500;

/// What the connections of one server share.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The repository's id, for the log.
    pub name: Arc<str>,
    pub dial: Dial,
    pub identity: Identity,
    pub operation_timeout: Duration,
    pub max_message: usize,
    pub lookup: usize,
    pub scan: usize,
    pub idle: Duration,
    pub max_age: Duration,
    /// Whether references are of use.
    pub follows: bool,
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) plan: Plan,
    pool: Mutex<Pool>,
    scans: Semaphore,
    page: AtomicUsize,
}

#[derive(Debug, Default)]
struct Pool {
    lookups: Vec<Arc<Connection>>,
    scans: Vec<Connection>,
    health: Health,
    /// The attempt that everybody waits for who needs a connection.
    attempt: Option<Attempt>,
    /// When an attempt to add a connection failed though others work.
    crowded_until: Option<Instant>,
    tended: bool,
}

/// How an attempt to connect went, once it is over.
type Attempt = watch::Receiver<Option<Result<(), Arc<str>>>>;

/// An exclusive connection. It goes back only by [`Lease::give_back`]; else it is closed.
#[derive(Debug)]
pub(super) struct Lease<'a> {
    server: &'a Server,
    connection: Option<Connection>,
    _permit: SemaphorePermit<'a>,
}

impl Server {
    pub(super) fn new(plan: Plan) -> Arc<Self> {
        let scans = Semaphore::new(plan.scan.max(1));
        Arc::new(Self { plan, pool: Mutex::default(), scans, page: AtomicUsize::new(PAGE) })
    }

    /// A shared connection: the one with the fewest operations, or a new one.
    pub(super) async fn lookup(
        self: &Arc<Self>,
        deadline: Instant,
    ) -> Result<Arc<Connection>, Failure> {
        loop {
            let mut attempt = {
                let mut pool = self.pool();
                let now = Instant::now();
                if let Some(text) = pool.health.refusal(now) {
                    return Err(Failure::Down(Arc::clone(text)));
                }
                pool.lookups.retain(|connection| connection.is_usable());
                if let Some(best) =
                    pool.lookups.iter().min_by_key(|connection| connection.in_flight())
                {
                    let best = Arc::clone(best);
                    self.grow(&mut pool, best.in_flight(), now);
                    return Ok(best);
                }
                self.attempt(&mut pool)
            };
            match timeout_at(deadline, attempt.wait_for(Option::is_some)).await {
                Err(_) => return Err(Failure::Timeout { silent: false }),
                Ok(Err(_)) => {
                    return Err(Failure::Down(self.text("the attempt to connect was given up")));
                }
                Ok(Ok(result)) => {
                    if let Some(Err(text)) = &*result {
                        return Err(Failure::Down(Arc::clone(text)));
                    }
                }
            }
        }
    }

    /// An exclusive connection; waiting for one counts against the deadline.
    pub(super) async fn scan(self: &Arc<Self>, deadline: Instant) -> Result<Lease<'_>, Failure> {
        let Ok(Ok(permit)) = timeout_at(deadline, self.scans.acquire()).await else {
            return Err(Failure::Timeout { silent: false });
        };
        let now = Instant::now();
        let kept = {
            let mut pool = self.pool();
            if let Some(text) = pool.health.refusal(now) {
                return Err(Failure::Down(Arc::clone(text)));
            }
            pool.scans.retain(|connection| connection.is_usable() && !connection.is_expired(now));
            pool.scans.pop()
        };
        let connection = match kept {
            Some(connection) => connection,
            None => match timeout_at(deadline, self.open()).await {
                Err(_) => return Err(Failure::Timeout { silent: false }),
                Ok(Err(text)) => {
                    self.failed(&text);
                    return Err(Failure::Down(text));
                }
                Ok(Ok(connection)) => {
                    let mut pool = self.pool();
                    pool.health.reached();
                    self.tend(&mut pool);
                    connection
                }
            },
        };
        Ok(Lease { server: self, connection: Some(connection), _permit: permit })
    }

    /// An operation was answered here.
    pub(super) fn answered(&self) {
        self.pool().health.answered();
    }

    /// An operation waited here in vain, and nothing at all was heard meanwhile.
    pub(super) fn silent(self: &Arc<Self>) {
        let mut pool = self.pool();
        if pool.health.silent() && !pool.health.is_down() {
            let text = self.text("the server does not answer");
            self.give_up(&mut pool, &text);
        }
    }

    /// A connection broke, and the others to the same server may be about to.
    pub(super) fn suspect(&self) {
        let mut pool = self.pool();
        pool.lookups.clear();
        pool.scans.clear();
    }

    /// Why the server is left alone at present, if it is.
    pub(super) fn refusal(&self) -> Option<Failure> {
        self.pool().health.refusal(Instant::now()).map(|text| Failure::Down(Arc::clone(text)))
    }

    pub(super) fn page(&self) -> usize {
        self.page.load(Ordering::Relaxed)
    }

    pub(super) fn set_page(&self, page: usize) {
        self.page.store(page, Ordering::Relaxed);
    }

    /// A text for the log that says which server it is about.
    pub(super) fn text(&self, text: &str) -> Arc<str> {
        format!("{}: {text}", self.plan.dial.url).into()
    }

    /// A stream, and nothing said on it yet.
    pub(super) async fn wire(&self) -> Result<Wire, DialError> {
        self.plan.dial.open().await
    }

    /// A connection on which nobody is bound yet.
    pub(super) async fn unbound(&self) -> Result<Connection, Arc<str>> {
        let wire = self.wire().await.map_err(|error| self.text(&error.to_string()))?;
        Connection::new(wire, self.plan.max_message, lifetime(self.plan.max_age))
            .await
            .map_err(|failure| self.describe(&failure))
    }

    /// A connection that is ready for use.
    pub(super) async fn open(&self) -> Result<Connection, Arc<str>> {
        let connection = self.unbound().await?;
        let outcome = connection
            .bind(&self.plan.identity, Instant::now() + self.plan.operation_timeout)
            .await
            .map_err(|failure| self.describe(&failure))?;
        match outcome.code {
            0 => Ok(connection),
            code => Err(self.text(&refused_bind(&self.plan.identity, code, &outcome.text))),
        }
    }

    fn describe(&self, failure: &Failure) -> Arc<str> {
        match failure {
            Failure::Timeout { .. } => self
                .text(&format!("no answer to the bind within {:?}", self.plan.operation_timeout)),
            Failure::Died(text)
            | Failure::Down(text)
            | Failure::Busy(text)
            | Failure::Refused { text, .. }
            | Failure::Referred { text, .. } => self.text(text),
        }
    }

    /// Joins the attempt that is under way, or starts it.
    fn attempt(self: &Arc<Self>, pool: &mut Pool) -> Attempt {
        if let Some(attempt) = &pool.attempt
            && attempt.has_changed().is_ok()
            && attempt.borrow().is_none()
        {
            return attempt.clone();
        }
        let (sender, receiver) = watch::channel(None);
        pool.attempt = Some(receiver.clone());
        let server = Arc::clone(self);
        tokio::spawn(async move {
            let result = match server.open().await {
                Ok(connection) => {
                    server.admit(connection);
                    Ok(())
                }
                Err(text) => {
                    server.failed(&text);
                    Err(text)
                }
            };
            sender.send_replace(Some(result));
        });
        receiver
    }

    /// One more shared connection, made behind the scenes, where there are too few.
    fn grow(self: &Arc<Self>, pool: &mut Pool, fewest: usize, now: Instant) {
        let count = pool.lookups.len();
        let wanted = count < self.plan.lookup && fewest > 0;
        let crowded = count < MOST_LOOKUPS && fewest >= CROWD;
        if (wanted || crowded) && pool.crowded_until.is_none_or(|until| now >= until) {
            drop(self.attempt(pool));
        }
    }

    fn admit(self: &Arc<Self>, connection: Connection) {
        let mut pool = self.pool();
        if pool.health.is_down() {
            tracing::info!(repository = %self.plan.name, server = %self.plan.dial.url, "directory server is back");
        }
        pool.health.reached();
        pool.crowded_until = None;
        pool.lookups.push(Arc::new(connection));
        self.tend(&mut pool);
    }

    fn failed(self: &Arc<Self>, text: &Arc<str>) {
        let mut pool = self.pool();
        pool.lookups.retain(|connection| connection.is_usable());
        if pool.lookups.is_empty() {
            self.give_up(&mut pool, text);
        } else {
            pool.crowded_until = Some(Instant::now() + Duration::from_secs(5));
        }
    }

    /// Leaves the server alone for a while, then probes it behind the scenes.
    fn give_up(self: &Arc<Self>, pool: &mut Pool, text: &Arc<str>) {
        for connection in pool.lookups.drain(..) {
            connection.retire();
        }
        pool.scans.clear();
        let probed = pool.health.is_down();
        let until = Instant::now() + pool.health.failed(Instant::now(), Arc::clone(text));
        tracing::warn!(repository = %self.plan.name, server = %self.plan.dial.url, error = %text, "directory server is down");
        if !probed {
            tokio::spawn(probe(Arc::downgrade(self), until));
        }
    }

    /// Starts the task that looks after idle connections.
    fn tend(self: &Arc<Self>, pool: &mut Pool) {
        if !pool.tended {
            pool.tended = true;
            tokio::spawn(tend(Arc::downgrade(self), self.plan.idle.min(self.plan.max_age) / 4));
        }
    }

    /// Closes what lies unused and replaces what is too old. Returns the connection that is kept
    /// warm, if it was not heard for a while.
    fn sort_out(self: &Arc<Self>, now: Instant) -> Option<Arc<Connection>> {
        let mut pool = self.pool();
        let idle = self.plan.idle;
        pool.scans.retain(|connection| {
            connection.is_usable()
                && !connection.is_expired(now)
                && connection.silent_for(now) < idle / 2
        });
        pool.lookups.retain(|connection| connection.is_usable());
        let unused = |connection: &Connection| {
            connection.in_flight() == 0 && connection.silent_for(now) >= idle / 2
        };
        let mut index = pool.lookups.len();
        while index > 1 {
            index -= 1;
            if unused(&pool.lookups[index]) {
                pool.lookups.remove(index);
            }
        }
        if let Some(old) = pool.lookups.iter().position(|connection| connection.is_expired(now)) {
            if pool.lookups.len() > 1 {
                // Running operations hold it until they end.
                pool.lookups.remove(old);
            } else {
                drop(self.attempt(&mut pool));
            }
        }
        pool.lookups.first().filter(|connection| connection.silent_for(now) >= idle / 4).cloned()
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease<'_> {
    pub(super) fn connection(&self) -> Option<&Connection> {
        self.connection.as_ref()
    }

    /// The last answer was read to its end: somebody else may use the connection.
    pub(super) fn give_back(mut self) {
        if let Some(connection) = self.connection.take_if(|connection| connection.is_usable()) {
            self.server.pool().scans.push(connection);
        }
    }
}

/// Tries a server that was given up, until it is well or the directory is gone.
async fn probe(server: Weak<Server>, mut until: Instant) {
    loop {
        sleep_until(until).await;
        let Some(server) = server.upgrade() else {
            return;
        };
        if !server.pool().health.is_down() {
            return;
        }
        match server.open().await {
            Ok(connection) => return server.admit(connection),
            Err(text) => until = Instant::now() + server.pool().health.failed(Instant::now(), text),
        }
    }
}

/// Looks after idle connections for as long as the directory lives.
async fn tend(server: Weak<Server>, pause: Duration) {
    let request = SearchRequest {
        base: String::new(),
        scope: Scope::Base,
        filter: "(objectClass=*)".to_owned(),
        attributes: vec!["1.1".to_owned()].into(),
        size_limit: 1,
        paging: Paging::Never,
    };
    loop {
        sleep(pause.max(Duration::from_millis(10))).await;
        let Some(server) = server.upgrade() else {
            return;
        };
        if let Some(connection) = server.sort_out(Instant::now()) {
            let weight = Weight::new(&Arc::default());
            let pause = server.plan.operation_timeout;
            let ask = Ask::one(&request, pause, Instant::now() + pause, &weight);
            if connection.search(&ask).await.is_err() {
                connection.retire();
            }
        }
    }
}

/// A refused bind in words, without the password.
pub(super) fn refused_bind(identity: &Identity, code: u32, text: &str) -> String {
    let who = match identity {
        Identity::Anonymous => "an anonymous bind".to_owned(),
        Identity::Simple { dn, .. } => format!("the bind as \"{dn}\""),
        Identity::Certificate => "the bind by client certificate".to_owned(),
    };
    let why = match code {
        49 => "wrong name or password (invalidCredentials)".to_owned(),
        8 | 13 => "it wants TLS first (confidentialityRequired)".to_owned(),
        48 => "this kind of bind is not allowed (inappropriateAuthentication)".to_owned(),
        53 => "it is unwilling to perform it".to_owned(),
        code => format!("result code {code}"),
    };
    if text.is_empty() {
        format!("the server refuses {who}: {why}")
    } else {
        format!("the server refuses {who}: {why}: {text}")
    }
}
