//! One connection: the only place that touches `ldap3::Ldap`. Multiplexes searches, bounds each by
//! a deadline and by what it may bring, and tells the server of every search that nobody waits for.

mod listen;
mod modify;
mod sign_in;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use ldap3::controls::RawControl;
use ldap3::{
    Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, ResultEntry, SearchOptions,
    SearchStream, StdStream,
};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::ber::{self, Elements};
use super::dial::Wire;
use super::entry::{Item, RawEntry, Reference, Scope, SearchRequest};
use super::failure::Failure;
use super::guard::Guard;
use super::relay::{End, Heard, Relay};
use crate::secret::Secret;

/// The paged results control, RFC 2696.
const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";

/// Bytes that one search may bring over the wire.
pub(super) const SEARCH_BUDGET: usize = 64 << 20;

/// Operations after which a connection is replaced.
const MAX_OPERATIONS: u64 = 1_000_000;

/// References that are kept of one answer.
pub(super) const MAX_REFERENCES: usize = 1_000;

/// Bytes of references that are kept where none is followed: enough to tell of them.
const HINTS: usize = 64 << 10;

/// Further references and intermediate responses that one answer may hold; all are passed over.
const MAX_OTHERS: usize = 10_000;

/// Waiting less than this proves nothing about a server.
const PATIENCE: Duration = Duration::from_millis(250);

/// Who the bridge is.
#[derive(Clone, Debug)]
pub(super) enum Identity {
    Anonymous,
    Simple {
        dn: String,
        password: Secret<String>,
    },
    /// The client certificate says it (SASL EXTERNAL, RFC 4513, section 5.2.3).
    Certificate,
}

/// The result of an operation.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub code: u32,
    /// The server's diagnostic message.
    pub text: String,
    /// Where the operation is to be sent instead.
    pub urls: Reference,
}

/// One page, or the whole, of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub entries: Vec<RawEntry>,
    /// At most [`MAX_REFERENCES`] of them.
    pub references: Vec<Reference>,
    pub end: AnswerEnd,
}

#[derive(Debug)]
pub(super) enum AnswerEnd {
    /// The server came to an end; the cookie is empty where no page follows.
    Said { outcome: Outcome, cookie: Vec<u8> },
    /// It had more than was wanted, and was told to stop.
    Cut,
}

/// What is asked of one connection.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub request: &'a SearchRequest,
    /// Sent as the size limit; zero for none.
    pub size_limit: usize,
    /// Entries after which the answer is cut here.
    pub keep: usize,
    /// Page size and cookie.
    pub page: Option<(usize, &'a [u8])>,
    /// Time without any message of this answer.
    pub pause: Duration,
    pub deadline: Instant,
    pub weight: &'a Weight,
    /// Whether references are of use; an answer is not cut for others.
    pub follows: bool,
}

impl<'a> Ask<'a> {
    /// For the one entry of a base search.
    pub fn one(
        request: &'a SearchRequest,
        pause: Duration,
        deadline: Instant,
        weight: &'a Weight,
    ) -> Self {
        Self {
            request,
            size_limit: 1,
            keep: 1,
            page: None,
            pause,
            deadline,
            weight,
            follows: false,
        }
    }
}

/// Memory held by answers, of one search and of the whole directory.
#[derive(Debug)]
pub(super) struct Weight {
    all: Arc<AtomicUsize>,
    own: AtomicUsize,
}

impl Weight {
    /// What all answers in the making may hold together.
    const ALL: usize = 4 * SEARCH_BUDGET;

    pub(super) fn new(all: &Arc<AtomicUsize>) -> Self {
        Self { all: Arc::clone(all), own: AtomicUsize::new(0) }
    }

    /// Whether there is room for so many bytes more.
    pub(super) fn add(&self, bytes: usize) -> bool {
        let own = self.own.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let all = self.all.fetch_add(bytes, Ordering::Relaxed) + bytes;
        own <= SEARCH_BUDGET && all <= Self::ALL
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.all.fetch_sub(*self.own.get_mut(), Ordering::Relaxed);
    }
}

/// A connection to a server, living until it is dropped or the server ends it.
#[derive(Debug)]
pub(super) struct Connection {
    ldap: Ldap,
    state: Arc<State>,
    heard: Heard,
    expires: Instant,
    in_flight: AtomicUsize,
    operations: AtomicU64,
    /// The message id that the crate gave out last.
    last_id: Mutex<i32>,
    /// No new operation is wanted here.
    retired: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    ended: AtomicBool,
    reason: OnceLock<Arc<str>>,
    release: Notify,
}

impl Connection {
    /// Puts the guard and `ldap3` on a stream. No bytes are sent yet.
    pub(super) async fn new(
        wire: Wire,
        max_message: usize,
        max_age: Duration,
    ) -> Result<Self, Failure> {
        let broken = |error: std::io::Error| {
            Failure::Died(format!("no socket for the guard: {error}").into())
        };
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(broken)?;
        ours.set_nonblocking(true).map_err(broken)?;
        let shim = UnixStream::from_std(ours).map_err(broken)?;
        let settings = LdapConnSettings::new().set_std_stream(StdStream::Unix(theirs));
        let (driver, ldap) = LdapConnAsync::with_settings(settings, "ldapi://%2fshim")
            .await
            .map_err(|error| Failure::Died(error.to_string().into()))?;
        let heard = Heard::new();
        let relay = Relay::new(
            wire,
            shim,
            Guard { max_message },
            SEARCH_BUDGET + max_message,
            heard.clone(),
        );
        let state = Arc::new(State::default());
        tokio::spawn(drive(driver, relay, Arc::clone(&state)));
        Ok(Self {
            ldap,
            state,
            heard,
            expires: Instant::now() + max_age,
            in_flight: AtomicUsize::new(0),
            operations: AtomicU64::new(0),
            last_id: Mutex::new(0),
            retired: AtomicBool::new(false),
        })
    }

    /// Whether operations may be started here.
    pub(super) fn is_usable(&self) -> bool {
        !self.retired.load(Ordering::Relaxed)
            && !self.state.ended.load(Ordering::Acquire)
            && self.operations.load(Ordering::Relaxed) < MAX_OPERATIONS
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        now >= self.expires
    }

    /// Lets running operations end and wants no more.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// How long the server has not been heard.
    pub(super) fn silent_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.heard.last())
    }

    /// Binds; the outcome is the server's.
    pub(super) async fn bind(
        &self,
        identity: &Identity,
        deadline: Instant,
    ) -> Result<Outcome, Failure> {
        let mut ldap = self.ldap.clone();
        let bind = async {
            match identity {
                Identity::Anonymous => Ok(None),
                Identity::Simple { dn, password } => {
                    ldap.simple_bind(dn, password.expose()).await.map(Some)
                }
                Identity::Certificate => ldap.sasl_external_bind().await.map(Some),
            }
        };
        // The crate takes any message for a bind response, and panics if it is none.
        let bind = AssertUnwindSafe(bind).catch_unwind();
        let bound = timeout_at(deadline, bind).await;
        *self.last_id() = ldap.last_id();
        match bound {
            Ok(Ok(Ok(None))) => Ok(Outcome::default()),
            Ok(Ok(Ok(Some(result)))) => Ok(Outcome::from(result)),
            Ok(Ok(Err(error))) => Err(self.failure(&error)),
            Ok(Err(_)) => {
                Err(Failure::Died("the server answered the bind with something else".into()))
            }
            Err(_) => Err(Failure::Timeout { silent: true }),
        }
    }

    /// Asks once and reads the answer to its end, or to where it is cut.
    pub(super) async fn search(&self, ask: &Ask<'_>) -> Result<Answer, Failure> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.operations.fetch_add(1, Ordering::Relaxed);
        let _flight = Flight(&self.in_flight);
        let started = Instant::now();
        let sleep = sleep_until(ask.deadline.min(started + ask.pause));
        tokio::pin!(sleep);
        let mut ldap = self.ldap.clone();
        ldap.with_search_options(ask.options(started));
        if let Some((size, cookie)) = ask.page {
            ldap.with_controls(vec![page_control(size, cookie)]);
        }
        let mut running = Running { connection: self, id: None, stream: None };
        tokio::select! {
            biased;
            begun = running.begin(ldap, ask.request) => begun?,
            () = &mut sleep => return Err(self.late(started)),
        }
        let mut kept = Kept::default();
        loop {
            let item = tokio::select! {
                biased;
                item = running.next() => item,
                () = &mut sleep => return Err(self.late(started)),
            };
            match item {
                Ok(None) => break,
                Ok(Some(message)) => match kept.take(Item::decode(message), ask) {
                    Some(true) => {}
                    Some(false) => {
                        // The rest is under way, and would keep others waiting.
                        self.retire();
                        return Ok(kept.answer(AnswerEnd::Cut));
                    }
                    None => {
                        self.retire();
                        let text = "the server sent an entry that cannot be read".into();
                        return Err(Failure::Refused { text, code: None });
                    }
                },
                Err(error) => {
                    running.id = None;
                    return Err(self.failure(&error));
                }
            }
            if sleep.deadline() < ask.deadline {
                sleep.as_mut().reset(ask.deadline.min(Instant::now() + ask.pause));
            }
        }
        let result = running.finish().await;
        let cookie = cookie(&result).unwrap_or_default();
        Ok(kept.answer(AnswerEnd::Said { outcome: result.into(), cookie }))
    }

    /// Sends an operation: the crate numbers it and queues it when its future is first polled, but
    /// tells the number only later. So this counts along, to be able to abandon what is dropped
    /// meanwhile. `None` where nothing was sent.
    fn send<F, T>(&self, operation: Pin<&mut F>) -> (Option<i32>, Poll<F::Output>)
    where
        F: Future<Output = ldap3::result::Result<T>>,
    {
        let mut last_id = self.last_id();
        match operation.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Err(error)) => (None, Poll::Ready(Err(error))),
            sent => {
                *last_id += 1;
                (Some(*last_id), sent)
            }
        }
    }

    fn last_id(&self) -> MutexGuard<'_, i32> {
        self.last_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A deadline has passed. Whoever was not heard at all in that time may be dead.
    fn late(&self, started: Instant) -> Failure {
        let silent = started.elapsed() >= PATIENCE && !self.heard.since(started);
        if silent {
            self.retire();
        }
        Failure::Timeout { silent }
    }

    fn failure(&self, error: &LdapError) -> Failure {
        if matches!(error, LdapError::FilterParsing) {
            let text = "the filter cannot be encoded".into();
            return Failure::Refused { text, code: None };
        }
        self.retire();
        let reason = self.state.reason.get().cloned();
        Failure::Died(reason.unwrap_or_else(|| "the connection broke".into()))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.state.release.notify_one();
    }
}

/// The connection's task: `ldap3` and the relay, until either ends or nobody holds the connection.
async fn drive(driver: LdapConnAsync, mut relay: Relay, state: Arc<State>) {
    // Holds even where the crate panics.
    let state = Ended(state);
    let mut driver = Box::pin(driver.drive());
    let end = tokio::select! {
        biased;
        end = relay.run() => end,
        _ = &mut driver => End::Ours,
        () = state.0.release.notified() => End::Ours,
    };
    match end {
        End::Ours => {
            drop(driver);
            drop(state);
            relay.part().await;
        }
        End::Theirs(error) => {
            let text = match error.kind() {
                std::io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
                _ => format!("the connection broke: {error}"),
            };
            finish(driver, relay, &state, &text).await;
        }
        End::Breach(breach) => finish(driver, relay, &state, &breach.to_string()).await,
    }
}

/// Nothing more comes from the server, but what came may not all have been read.
async fn finish(
    driver: impl Future<Output = ldap3::result::Result<()>>,
    relay: Relay,
    state: &Ended,
    text: &str,
) {
    let _ = state.0.reason.set(text.into());
    state.0.ended.store(true, Ordering::Release);
    drop(relay);
    let _ = timeout(Duration::from_secs(1), driver).await;
}

struct Ended(Arc<State>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Release);
    }
}

/// What came of an answer so far.
#[derive(Default)]
struct Kept {
    entries: Vec<RawEntry>,
    references: Vec<Reference>,
    /// Bytes of the references.
    told: usize,
    others: usize,
}

impl Kept {
    /// Whether there was room for it; `None` where it cannot be read.
    fn take(&mut self, item: Item, ask: &Ask<'_>) -> Option<bool> {
        match item {
            Item::Entry(entry) => {
                if self.entries.len() >= ask.keep || !ask.weight.add(entry.weight()) {
                    return Some(false);
                }
                self.entries.push(entry);
            }
            Item::Elsewhere(urls) if self.has_room(&urls, ask) => {
                let size = size(&urls);
                if ask.follows && !ask.weight.add(size) {
                    return Some(false);
                }
                self.told += size;
                self.references.push(urls);
            }
            Item::Elsewhere(_) | Item::Other => {
                self.others += 1;
                return Some(self.others <= MAX_OTHERS);
            }
            Item::Broken => return None,
        }
        Some(true)
    }

    fn has_room(&self, urls: &Reference, ask: &Ask<'_>) -> bool {
        let room = ask.follows || self.told + size(urls) <= HINTS;
        room && self.references.len() < MAX_REFERENCES
    }

    fn answer(self, end: AnswerEnd) -> Answer {
        Answer { entries: self.entries, references: self.references, end }
    }
}

/// About what a reference takes up in memory, in bytes.
pub(super) fn size(urls: &Reference) -> usize {
    urls.iter().map(|url| url.len() + 24).sum()
}

impl From<LdapResult> for Outcome {
    fn from(result: LdapResult) -> Self {
        Self { code: result.rc, text: result.text, urls: result.refs }
    }
}

struct Flight<'a>(&'a AtomicUsize);

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A search that the server must be told of when nobody reads it to its end.
struct Running<'a> {
    connection: &'a Connection,
    /// The message id, for as long as the server may be at work.
    id: Option<i32>,
    stream: Option<SearchStream<'a, String, &'a [String]>>,
}

impl<'a> Running<'a> {
    /// Sends the search; told of where it is dropped meanwhile.
    async fn begin(&mut self, mut ldap: Ldap, request: &'a SearchRequest) -> Result<(), Failure> {
        let connection = self.connection;
        let (filter, scope) = (&request.filter, scope(request.scope));
        let start = ldap.streaming_search(&request.base, scope, filter, &*request.attributes);
        let mut start = pin!(start);
        let (id, sent) = connection.send(start.as_mut());
        self.id = id;
        let stream = match sent {
            Poll::Ready(stream) => stream,
            Poll::Pending => start.await,
        };
        let stream = self.stream.insert(stream.map_err(|error| connection.failure(&error))?);
        debug_assert_eq!(id, Some(stream.ldap_handle().last_id()), "the count is off");
        Ok(())
    }

    async fn next(&mut self) -> ldap3::result::Result<Option<ResultEntry>> {
        match &mut self.stream {
            Some(stream) => stream.next().await,
            None => Ok(None),
        }
    }

    async fn finish(&mut self) -> LdapResult {
        self.id = None;
        match &mut self.stream {
            Some(stream) => stream.finish().await,
            None => LdapResult::from(ldap3::asn1::Tag::Null(ldap3::asn1::Null::default())),
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id else {
            return;
        };
        // Both futures do their sending when first polled; the answers are of no interest.
        let mut ldap = self.connection.ldap.clone();
        let _ = self.connection.send(pin!(ldap.abandon(id)));
        if let Some(stream) = &mut self.stream {
            let _ = stream.finish().now_or_never();
        }
    }
}

impl Ask<'_> {
    /// The limits that the server is told of: what it need not send, it need not find.
    fn options(&self, now: Instant) -> SearchOptions {
        let seconds = self.deadline.saturating_duration_since(now).as_secs() + 1;
        SearchOptions::new()
            .sizelimit(i32::try_from(self.size_limit).unwrap_or(i32::MAX))
            .timelimit(i32::try_from(seconds).unwrap_or(i32::MAX))
    }
}

fn scope(scope: Scope) -> ldap3::Scope {
    match scope {
        Scope::Base => ldap3::Scope::Base,
        Scope::One => ldap3::Scope::OneLevel,
        Scope::Subtree => ldap3::Scope::Subtree,
    }
}

fn page_control(size: usize, cookie: &[u8]) -> RawControl {
    let page = ldap3::controls::PagedResults {
        size: i32::try_from(size).unwrap_or(i32::MAX),
        cookie: cookie.to_vec(),
    };
    // Critical: a server that cannot page must say so rather than send everything.
    RawControl { crit: true, ..page.into() }
}

/// The cookie of a page, `None` where the answer carries none that can be read.
fn cookie(result: &LdapResult) -> Option<Vec<u8>> {
    let control = result.ctrls.iter().find(|control| control.1.ctype == PAGED_RESULTS)?;
    let value = Elements(control.1.val.as_deref()?).take(0x30).ok()??;
    let mut parts = Elements(value);
    parts.take(0x02).ok()?.and_then(ber::unsigned)?;
    Some(parts.take(0x04).ok()??.to_vec())
}
