//! One directory: its servers in order of preference, and how a search finds its way through them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::connection::{AnswerEnd, Ask, Identity, Outcome, Weight};
use super::dial::Dial;
use super::entry::{Paging, RawEntry, RawFound, SearchRequest};
use super::failure::Failure;
use super::pages::{End, Page, Pages};
use super::server::{Plan, Server};
use super::settings::{Settings, SettingsError};
use super::sign_in::VISITORS;
use super::tls;
use crate::repository::RepositoryError;

/// Entries that may come over a shared connection where paging is allowed: more would keep the
/// look-ups of others waiting.
const SHARED: usize = 100;

/// A client for one directory. Cheap to clone; all clones share the connections.
#[derive(Clone, Debug)]
pub struct Directory(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub servers: Vec<Arc<Server>>,
    /// Bytes held by all answers in the making.
    weight: Arc<AtomicUsize>,
    /// For binds in other people's names.
    pub visitors: Semaphore,
    pub last: AtomicU8,
}

/// What the last contact said, in [`Inner::last`].
const UNKNOWN: u8 = 0;
pub(super) const WELL: u8 = 1;
pub(super) const ILL: u8 = 2;

impl Directory {
    /// Makes the client; nothing is connected before the first use. `name` is for the log.
    pub fn new(name: &str, settings: Settings) -> Result<Self, SettingsError> {
        if settings.urls.is_empty() {
            return Err(SettingsError::NoServer);
        }
        let starttls = settings.starttls;
        let wants_tls = |ldaps: bool| ldaps || starttls;
        let config = settings
            .urls
            .iter()
            .any(|url| wants_tls(url.ldaps))
            .then(|| tls::client_config(&settings))
            .transpose()?;
        let identity = identity(&settings)?;
        let mut servers = Vec::with_capacity(settings.urls.len());
        for url in settings.urls {
            if wants_tls(url.ldaps) {
                ServerName::try_from(url.host.as_str())
                    .map_err(|_| SettingsError::HostName(url.host.clone()))?;
            }
            servers.push(Server::new(Plan {
                name: name.into(),
                dial: Dial {
                    url,
                    starttls,
                    tls: config.clone(),
                    timeout: settings.connect_timeout,
                    silence: (settings.operation_timeout * 2)
                        .clamp(Duration::from_secs(5), Duration::from_mins(1)),
                },
                identity: identity.clone(),
                operation_timeout: settings.operation_timeout,
                max_message: settings.max_message,
                lookup: settings.lookup.max(1),
                scan: settings.scan,
                idle: settings.idle,
                max_age: settings.max_age,
            }));
        }
        Ok(Self(Arc::new(Inner {
            servers,
            weight: Arc::default(),
            visitors: Semaphore::new(VISITORS),
            last: AtomicU8::new(UNKNOWN),
        })))
    }

    /// Searches on the first server that can be reached. A read whose connection breaks is asked
    /// once more on a fresh one; a dropped future abandons the search on the server.
    ///
    /// Fails with [`RepositoryError::Unavailable`] where the base does not exist or may not be
    /// read: only a complete answer says that something is not there.
    pub async fn search(
        &self,
        request: &SearchRequest,
        deadline: std::time::Instant,
    ) -> Result<RawFound, RepositoryError> {
        self.run(request, None, Instant::from_std(deadline)).await
    }

    /// As [`Directory::search`], page by page into `into`, without holding more than two pages;
    /// whether the answer was whole. Once a page is out, nothing is asked a second time: where it
    /// breaks then, the pages that came are as good as ever, and there are more.
    ///
    /// Ends, as one that was cut, when nobody listens any more, or after one entry more than the
    /// request's limit.
    pub async fn stream(
        &self,
        request: &SearchRequest,
        into: &mpsc::Sender<Vec<RawEntry>>,
        deadline: std::time::Instant,
    ) -> Result<bool, RepositoryError> {
        let stream = Stream { into, sent: 0 };
        Ok(self.run(request, Some(stream), Instant::from_std(deadline)).await?.complete)
    }

    async fn run(
        &self,
        request: &SearchRequest,
        mut stream: Option<Stream<'_>>,
        deadline: Instant,
    ) -> Result<RawFound, RepositoryError> {
        let mut broken = false;
        let mut last = None;
        for (index, server) in self.0.servers.iter().enumerate() {
            // Where others may be well, a server that is slow to connect does not get all the time.
            let is_last = index + 1 == self.0.servers.len();
            let patience = if is_last {
                deadline
            } else {
                deadline.min(Instant::now() + server.plan.dial.timeout)
            };
            loop {
                let asked = match &mut stream {
                    None => self.0.ask(server, request, patience, deadline).await,
                    Some(stream) => {
                        let whole = self.0.stream(server, request, stream, patience, deadline);
                        let whole = whole.await;
                        whole.map(|complete| RawFound { entries: Vec::new(), complete })
                    }
                };
                Inner::note(server, &asked);
                let begun = stream.as_ref().is_some_and(|stream| stream.sent > 0);
                match asked {
                    Ok(found) => {
                        self.0.last.store(WELL, Ordering::Relaxed);
                        return Ok(found);
                    }
                    Err(failure) if begun => {
                        self.0.last.store(ILL, Ordering::Relaxed);
                        return Err(failure.into());
                    }
                    Err(Failure::Died(_)) if !broken => {
                        broken = true;
                        server.suspect();
                    }
                    Err(Failure::Refused(text)) => {
                        self.0.last.store(WELL, Ordering::Relaxed);
                        return Err(RepositoryError::Unavailable(text));
                    }
                    Err(Failure::Timeout { .. }) => {
                        self.0.last.store(ILL, Ordering::Relaxed);
                        return Err(RepositoryError::Timeout);
                    }
                    Err(failure) => {
                        last = Some(failure);
                        break;
                    }
                }
            }
        }
        self.0.last.store(ILL, Ordering::Relaxed);
        Err(last.map_or(RepositoryError::Timeout, RepositoryError::from))
    }

    /// Whether the last search got an answer; `None` before any.
    pub fn healthy(&self) -> Option<bool> {
        match self.0.last.load(Ordering::Relaxed) {
            UNKNOWN => None,
            last => Some(last == WELL),
        }
    }
}

impl Inner {
    /// One search on one server: `patience` bounds the wait for a connection.
    async fn ask(
        &self,
        server: &Arc<Server>,
        request: &SearchRequest,
        patience: Instant,
        deadline: Instant,
    ) -> Result<RawFound, Failure> {
        match request.paging {
            Paging::Always => self.scan(server, request, patience, deadline).await,
            Paging::Never => {
                self.lookup(server, request, request.size_limit, patience, deadline).await
            }
            Paging::Overflow => {
                let first = request.size_limit.min(SHARED);
                match self.lookup(server, request, first, patience, deadline).await {
                    Ok(found) if found.complete => Ok(found),
                    Ok(found) => self.overflow(server, request, found, patience, deadline).await,
                    Err(failure) => Err(failure),
                }
            }
        }
    }

    /// What an attempt says about the server.
    fn note(server: &Arc<Server>, asked: &Result<RawFound, Failure>) {
        match asked {
            Err(Failure::Timeout { silent: true }) => server.silent(),
            Ok(_) | Err(Failure::Refused(_) | Failure::Busy(_)) => server.answered(),
            Err(_) => {}
        }
    }

    /// What came over a shared connection was cut. Where the cut is the caller's own limit, paging
    /// would bring nothing more.
    async fn overflow(
        &self,
        server: &Arc<Server>,
        request: &SearchRequest,
        found: RawFound,
        patience: Instant,
        deadline: Instant,
    ) -> Result<RawFound, Failure> {
        if found.entries.len() >= request.size_limit {
            return Ok(found);
        }
        match self.scan(server, request, patience, deadline).await {
            // A server that cannot page, or does it worse, has given what it gives.
            Err(Failure::Refused(_)) => Ok(found),
            Ok(paged) if !paged.complete && paged.entries.len() < found.entries.len() => Ok(found),
            other => other,
        }
    }

    async fn lookup(
        &self,
        server: &Arc<Server>,
        request: &SearchRequest,
        limit: usize,
        patience: Instant,
        deadline: Instant,
    ) -> Result<RawFound, Failure> {
        let connection =
            server.lookup(patience).await.map_err(|failure| waited(server, failure, deadline))?;
        let weight = Weight::new(&self.weight);
        let limit = limit.max(1);
        let pause = server.plan.operation_timeout;
        // One more than wanted tells whether there is more, and needs no Abandon.
        let keep = limit + 1;
        let ask =
            Ask { request, size_limit: keep, keep, page: None, pause, deadline, weight: &weight };
        let answer = connection.search(&ask).await.map_err(|failure| named(server, failure))?;
        let complete = match answer.end {
            AnswerEnd::Cut => false,
            AnswerEnd::Said { outcome, .. } => match outcome.code {
                0 => true,
                3 | 4 | 11 => false,
                _ => return Err(refusal(server, request, &outcome)),
            },
        };
        Ok(found(answer.entries, limit, complete))
    }

    async fn scan(
        &self,
        server: &Arc<Server>,
        request: &SearchRequest,
        patience: Instant,
        deadline: Instant,
    ) -> Result<RawFound, Failure> {
        let mut pages = Pages::begin(server, request, patience, deadline).await?;
        let weight = Weight::new(&self.weight);
        let limit = request.size_limit.max(1);
        let mut entries: Vec<RawEntry> = Vec::new();
        loop {
            // One more than wanted tells whether there is more.
            let page = pages.next(limit + 1 - entries.len(), &weight).await?;
            if entries.is_empty() {
                entries = page.entries;
            } else {
                entries.extend(page.entries);
            }
            match page.end {
                End::More if entries.len() <= limit => {}
                End::More | End::Whole => {
                    pages.stop();
                    return Ok(found(entries, limit, true));
                }
                End::Cut => return Ok(found(entries, limit, false)),
            }
        }
    }

    /// A search whose entries go out page by page; whether the answer was whole.
    async fn stream(
        &self,
        server: &Arc<Server>,
        request: &SearchRequest,
        stream: &mut Stream<'_>,
        patience: Instant,
        deadline: Instant,
    ) -> Result<bool, Failure> {
        let limit = request.size_limit.max(1);
        let mut pages = Pages::begin(server, request, patience, deadline).await?;
        loop {
            // Each page is weighed alone: it is gone by the time the next but one comes.
            let weight = Weight::new(&self.weight);
            let page = match pages.next(limit + 1 - stream.sent, &weight).await {
                Err(Failure::Refused(_)) if stream.sent == 0 => Page::NONE,
                page => page?,
            };
            if stream.sent == 0 && page.entries.is_empty() && page.end == End::Cut {
                // A server that cannot page gives what it gives at once.
                let found = self.lookup(server, request, limit, patience, deadline).await?;
                stream.send(found.entries).await;
                return Ok(found.complete);
            }
            let heard = stream.send(page.entries).await;
            match page.end {
                End::More if heard && stream.sent <= limit => {}
                End::More => {
                    pages.stop();
                    return Ok(false);
                }
                End::Whole => return Ok(heard && stream.sent <= limit),
                End::Cut => return Ok(false),
            }
        }
    }
}

/// Where the entries of a search go that is not collected.
struct Stream<'a> {
    into: &'a mpsc::Sender<Vec<RawEntry>>,
    sent: usize,
}

impl Stream<'_> {
    /// Whether anybody still listens.
    async fn send(&mut self, entries: Vec<RawEntry>) -> bool {
        self.sent += entries.len();
        entries.is_empty() || self.into.send(entries).await.is_ok()
    }
}

/// At most `limit` entries; that there were more makes the answer incomplete.
fn found(mut entries: Vec<RawEntry>, limit: usize, complete: bool) -> RawFound {
    let complete = complete && entries.len() <= limit;
    entries.truncate(limit);
    RawFound { entries, complete }
}

fn identity(settings: &Settings) -> Result<Identity, SettingsError> {
    match (&settings.bind_dn, &settings.bind_password) {
        (Some(dn), Some(password)) if !dn.is_empty() && !password.expose().is_empty() => {
            Ok(Identity::Simple { dn: dn.clone(), password: password.clone() })
        }
        (Some(_), _) => Err(SettingsError::EmptyPassword),
        (None, Some(_)) => Err(SettingsError::PasswordWithoutName),
        (None, None) if settings.client_certificate.is_some() => Ok(Identity::Certificate),
        (None, None) => Ok(Identity::Anonymous),
    }
}

/// A wait for a connection that ended before the deadline leaves time for another server.
pub(super) fn waited(server: &Server, failure: Failure, deadline: Instant) -> Failure {
    match failure {
        Failure::Timeout { .. } if Instant::now() < deadline => {
            Failure::Down(server.text("no connection was to be had in time"))
        }
        other => other,
    }
}

/// Says which server a failure is about.
pub(super) fn named(server: &Server, failure: Failure) -> Failure {
    match failure {
        Failure::Died(text) => Failure::Died(server.text(&text)),
        Failure::Refused(text) => Failure::Refused(server.text(&text)),
        other => other,
    }
}

/// A result code that makes the whole answer an error.
pub(super) fn refusal(server: &Server, request: &SearchRequest, outcome: &Outcome) -> Failure {
    let base = &request.base;
    let why = match outcome.code {
        32 => format!("base \"{base}\" does not exist, or may not be seen by this bind"),
        34 => format!("base \"{base}\" is no DN"),
        50 => format!("this bind may not search below \"{base}\" (insufficientAccessRights)"),
        10 => format!("\"{base}\" is held by another server (referral)"),
        12 => "paged results are not supported".to_owned(),
        51 | 52 => "the server is busy or shutting down".to_owned(),
        code => format!("the search failed with result code {code}"),
    };
    let text = if outcome.text.is_empty() { why } else { format!("{why}: {}", outcome.text) };
    match outcome.code {
        51 | 52 => Failure::Busy(server.text(&text)),
        _ => Failure::Refused(server.text(&text)),
    }
}
