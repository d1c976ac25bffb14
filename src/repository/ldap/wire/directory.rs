//! One directory: its servers in order of preference, and how a search finds its way through them.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::connection::{AnswerEnd, Ask, Identity, MAX_REFERENCES, Outcome, Weight};
use super::dial::Dial;
use super::entry::{Paging, RawEntry, RawFound, Reference, SearchRequest};
use super::failure::Failure;
use super::follow::Follower;
use super::pages::{End, Page, Pages};
use super::server::{Plan, Server};
use super::settings::{Settings, SettingsError};
use super::sign_in::VISITORS;
use super::tls;
use crate::config::{ReferralHost, ServerUrl};
use crate::repository::RepositoryError;
use crate::repository::ldap::dn::Dn;

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
    pub weight: Arc<AtomicUsize>,
    /// For binds in other people's names.
    pub visitors: Semaphore,
    pub last: AtomicU8,
    pub follower: Option<Arc<Follower>>,
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
        let wants_tls = |ldaps: bool| ldaps || settings.starttls;
        let any_tls = settings.urls.iter().any(|url| wants_tls(url.ldaps));
        let follows = !settings.follow_referrals.is_empty();
        let tls = (any_tls || follows).then(|| tls::client_config(&settings)).transpose()?;
        let identity = identity(&settings)?;
        let mut servers = Vec::with_capacity(settings.urls.len());
        for url in &settings.urls {
            if wants_tls(url.ldaps) {
                ServerName::try_from(url.host.as_str())
                    .map_err(|_| SettingsError::HostName(url.host.clone()))?;
            }
            servers.push(Server::new(plan(name, url, &settings, (&tls, &identity))));
        }
        let follower = if follows {
            let mut plan = plan(name, &settings.urls[0], &settings, (&tls, &identity));
            // Whoever is spoken to over TLS leads to nobody in plain text.
            plan.dial.starttls |= settings.urls.iter().any(|url| url.ldaps);
            Some(Follower::new(settings.follow_referrals, settings.insecure, plan))
        } else {
            None
        };
        Ok(Self(Arc::new(Inner {
            servers,
            weight: Arc::default(),
            visitors: Semaphore::new(VISITORS),
            last: AtomicU8::new(UNKNOWN),
            follower,
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
        let seen = self.follows().then(Seen::default);
        let stream = Stream { into, sent: 0, seen };
        Ok(self.run(request, Some(stream), Instant::from_std(deadline)).await?.complete)
    }

    /// As [`Directory::search`], by this directory's own servers alone; what is held elsewhere is told
    /// by [`RawFound::refers`].
    pub async fn search_here(
        &self,
        request: &SearchRequest,
        deadline: std::time::Instant,
    ) -> Result<RawFound, RepositoryError> {
        match self.first(request, &mut None, Instant::from_std(deadline)).await {
            Err(Failure::Referred { urls, .. }) if self.follows() => {
                let found = RawFound { references: vec![urls], ..RawFound::default() };
                // What nobody here looks for is neither there nor absent.
                Ok(RawFound { complete: self.leads_on(&found), ..found })
            }
            heard => Ok(heard?),
        }
    }

    /// As [`Directory::search`], for what is no person: where all of it is held elsewhere, it is asked
    /// there, and references below the base are passed over. So no server behind one can fail it.
    pub async fn search_place(
        &self,
        request: &SearchRequest,
        deadline: std::time::Instant,
    ) -> Result<RawFound, RepositoryError> {
        let deadline = Instant::from_std(deadline);
        match self.first(request, &mut None, deadline).await {
            heard @ Err(Failure::Referred { .. }) => {
                self.led(request, heard, &mut None, deadline).await
            }
            heard => Ok(heard?),
        }
    }

    /// Whether anything of what was asked for may be at a host to which referrals are followed.
    pub fn leads_on(&self, found: &RawFound) -> bool {
        let Some(follower) = &self.0.follower else { return false };
        let listed =
            |url: &String| follower.judge(url).map_or_else(|why| why.is_listed(), |_| true);
        found.references.iter().flatten().any(listed)
    }

    /// Whether referrals lead anywhere.
    pub fn follows(&self) -> bool {
        self.0.follower.is_some()
    }

    /// The hosts to which referrals are followed.
    pub fn followed_hosts(&self) -> impl Iterator<Item = &ReferralHost> {
        self.0.follower.iter().flat_map(|follower| &follower.allowed)
    }

    async fn run(
        &self,
        request: &SearchRequest,
        mut stream: Option<Stream<'_>>,
        deadline: Instant,
    ) -> Result<RawFound, RepositoryError> {
        let heard = self.first(request, &mut stream, deadline).await;
        self.led(request, heard, &mut stream, deadline).await
    }

    /// What `heard` is with all that it refers to, where that is followed.
    async fn led(
        &self,
        request: &SearchRequest,
        heard: Result<RawFound, Failure>,
        stream: &mut Option<Stream<'_>>,
        deadline: Instant,
    ) -> Result<RawFound, RepositoryError> {
        let Some(follower) = &self.0.follower else { return Ok(heard?) };
        let found = self.0.followed(follower, request, heard, stream, deadline).await;
        if found.as_ref().is_err_and(|failure| !matches!(failure, Failure::Refused { .. })) {
            self.0.last.store(ILL, Ordering::Relaxed);
        }
        Ok(found?)
    }

    /// What the first of the servers says that can be reached.
    async fn first(
        &self,
        request: &SearchRequest,
        stream: &mut Option<Stream<'_>>,
        deadline: Instant,
    ) -> Result<RawFound, Failure> {
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
                let asked = self.0.once(server, request, stream, patience, deadline).await;
                let begun = stream.as_ref().is_some_and(|stream| stream.sent > 0);
                match asked {
                    Ok(found) => {
                        self.0.last.store(WELL, Ordering::Relaxed);
                        return Ok(found);
                    }
                    Err(failure) if begun => {
                        self.0.last.store(ILL, Ordering::Relaxed);
                        return Err(failure);
                    }
                    Err(Failure::Died(_)) if !broken => {
                        broken = true;
                        server.suspect();
                    }
                    Err(failure @ (Failure::Refused { .. } | Failure::Referred { .. })) => {
                        self.0.last.store(WELL, Ordering::Relaxed);
                        return Err(failure);
                    }
                    Err(failure @ Failure::Timeout { .. }) => {
                        self.0.last.store(ILL, Ordering::Relaxed);
                        return Err(failure);
                    }
                    Err(failure) => {
                        last = Some(failure);
                        break;
                    }
                }
            }
        }
        self.0.last.store(ILL, Ordering::Relaxed);
        Err(last.unwrap_or(Failure::Timeout { silent: false }))
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
    /// One attempt on one server, noted there: `patience` bounds the wait for a connection. Where the
    /// entries go out by `stream`, none is in the answer.
    pub(super) async fn once(
        &self,
        server: &Arc<Server>,
        request: &SearchRequest,
        stream: &mut Option<Stream<'_>>,
        patience: Instant,
        deadline: Instant,
    ) -> Result<RawFound, Failure> {
        let asked = match stream {
            None => self.ask(server, request, patience, deadline).await,
            Some(stream) => self.stream(server, request, stream, patience, deadline).await,
        };
        match &asked {
            Err(Failure::Timeout { silent: true }) => server.silent(),
            Ok(_) | Err(Failure::Refused { .. } | Failure::Referred { .. } | Failure::Busy(_)) => {
                server.answered();
            }
            Err(_) => {}
        }
        asked
    }

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
            Err(Failure::Refused { .. }) => Ok(found),
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
        let ask = Ask {
            request,
            size_limit: keep,
            keep,
            page: None,
            pause,
            deadline,
            weight: &weight,
            follows: server.plan.follows,
        };
        let answer = connection.search(&ask).await.map_err(|failure| named(server, failure))?;
        let complete = match answer.end {
            AnswerEnd::Cut => false,
            AnswerEnd::Said { outcome, .. } => match outcome.code {
                0 => true,
                3 | 4 | 11 => false,
                _ => return Err(refusal(server, request, outcome)),
            },
        };
        Ok(RawFound { references: answer.references, ..found(answer.entries, limit, complete) })
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
        let mut references = Vec::new();
        loop {
            // One more than wanted tells whether there is more.
            let page = pages.next(limit + 1 - entries.len(), &weight).await?;
            add(&mut references, page.references);
            if entries.is_empty() {
                entries = page.entries;
            } else {
                entries.extend(page.entries);
            }
            match page.end {
                End::More if entries.len() <= limit => {}
                end => {
                    pages.stop();
                    return Ok(RawFound { references, ..found(entries, limit, end != End::Cut) });
                }
            }
        }
    }

    /// A search whose entries go out page by page.
    async fn stream(
        &self,
        server: &Arc<Server>,
        request: &SearchRequest,
        stream: &mut Stream<'_>,
        patience: Instant,
        deadline: Instant,
    ) -> Result<RawFound, Failure> {
        let limit = request.size_limit.max(1);
        let before = stream.sent;
        if before > limit {
            return Ok(RawFound::default());
        }
        let mut references = Vec::new();
        let mut pages = Pages::begin(server, request, patience, deadline).await?;
        loop {
            // Each page is weighed alone: it is gone by the time the next but one comes.
            let weight = Weight::new(&self.weight);
            let page = match pages.next(limit + 1 - stream.sent, &weight).await {
                Err(Failure::Refused { .. }) if stream.sent == before => Page::NONE,
                page => page?,
            };
            if stream.sent == before && page.entries.is_empty() && page.end == End::Cut {
                // A server that cannot page gives what it gives at once.
                let mut found = self.lookup(server, request, limit, patience, deadline).await?;
                stream.send(std::mem::take(&mut found.entries)).await;
                return Ok(found);
            }
            add(&mut references, page.references);
            let heard = stream.send(page.entries).await;
            let complete = match page.end {
                End::More if heard && stream.sent <= limit => continue,
                End::More => {
                    pages.stop();
                    false
                }
                End::Whole => heard && stream.sent <= limit,
                End::Cut => false,
            };
            return Ok(RawFound { entries: Vec::new(), complete, references });
        }
    }
}

/// References of several pages are no more than those of one.
fn add(references: &mut Vec<Reference>, more: Vec<Reference>) {
    let room = MAX_REFERENCES - references.len();
    references.extend(more.into_iter().take(room));
}

/// Where the entries of a search go that is not collected.
pub(super) struct Stream<'a> {
    into: &'a mpsc::Sender<Vec<RawEntry>>,
    pub sent: usize,
    /// Whom referrals may bring a second time.
    seen: Option<Seen>,
}

impl Stream<'_> {
    /// Whether anybody still listens.
    async fn send(&mut self, mut entries: Vec<RawEntry>) -> bool {
        if let Some(seen) = &mut self.seen {
            entries.retain(|entry| seen.add(entry));
        }
        self.sent += entries.len();
        entries.is_empty() || self.into.send(entries).await.is_ok()
    }
}

/// Entries that were seen, by their names.
#[derive(Default)]
pub(super) struct Seen {
    names: HashSet<(u64, u64)>,
    hashers: (RandomState, RandomState),
}

impl Seen {
    /// Whether it was not seen before.
    pub(super) fn add(&mut self, entry: &RawEntry) -> bool {
        let name =
            Dn::parse(&entry.dn).map_or_else(|_| entry.dn.as_bytes().into(), |dn| dn.identity());
        self.names.insert((self.hashers.0.hash_one(&name), self.hashers.1.hash_one(&name)))
    }
}

/// At most `limit` entries; that there were more makes the answer incomplete.
pub(super) fn found(mut entries: Vec<RawEntry>, limit: usize, complete: bool) -> RawFound {
    let complete = complete && entries.len() <= limit;
    entries.truncate(limit);
    RawFound { entries, complete, references: Vec::new() }
}

fn plan(
    name: &str,
    url: &ServerUrl,
    settings: &Settings,
    (tls, identity): (&Option<Arc<ClientConfig>>, &Identity),
) -> Plan {
    Plan {
        name: name.into(),
        dial: Dial {
            url: url.clone(),
            starttls: settings.starttls,
            tls: tls.clone(),
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
        follows: !settings.follow_referrals.is_empty(),
    }
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
        Failure::Refused { text, code } => Failure::Refused { text: server.text(&text), code },
        other => other,
    }
}

/// A result code that makes the whole answer an error.
pub(super) fn refusal(server: &Server, request: &SearchRequest, outcome: Outcome) -> Failure {
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
        10 => Failure::Referred { text: server.text(&text), urls: outcome.urls },
        51 | 52 => Failure::Busy(server.text(&text)),
        code => Failure::Refused { text: server.text(&text), code: Some(code) },
    }
}
