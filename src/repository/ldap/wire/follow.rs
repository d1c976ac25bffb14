//! Referrals to the hosts of a list: a few hops, never twice to the same place, by the same bind and
//! within the time of the search. What is not followed is passed over, and told once; what does not
//! answer makes the answer incomplete.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, sleep};

use super::connection::MAX_REFERENCES;
use super::directory::{Inner, Seen, Stream};
use super::entry::{RawFound, Reference, Scope, SearchRequest};
use super::failure::Failure;
use super::referral::Target;
use super::server::{Plan, Server};
use crate::config::{ReferralHost, ServerUrl};
use crate::repository::ldap::dn::Dn;

/// Servers behind one another, beside the first.
const MOST_HOPS: usize = 3;
/// Places that are asked for one search.
const MOST_PLACES: usize = 64;
/// Of those, how many at the same time.
const ABREAST: usize = 4;
/// URLs of one reference that are looked at.
const MOST_URLS: usize = 8;
/// Servers to which connections are kept.
const MOST_SERVERS: usize = 32;
/// So many different things are told.
const MOST_TOLD: usize = 64;

/// Who is asked on a server's word.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) allowed: Vec<ReferralHost>,
    insecure: bool,
    /// For any server, but for its URL.
    plan: Plan,
    kept: Mutex<Kept>,
    told: Mutex<HashSet<String>>,
}

#[derive(Debug, Default)]
struct Kept {
    servers: HashMap<ServerUrl, (Arc<Server>, Instant)>,
    /// Whether somebody looks after them.
    tended: bool,
}

/// Why a URL is not followed.
#[derive(Debug)]
pub(super) enum Unfollowed {
    /// It is no URL of a server, or wants what nobody here can do.
    Useless,
    /// The host is not in the list.
    Stranger(ServerUrl),
    /// People's data would cross the network in clear text.
    Plain(ServerUrl),
}

impl Unfollowed {
    /// For an administrator; without what stands behind the server in the URL, which may be a
    /// person's name.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Useless => "a referral is no LDAP URL of a server".to_owned(),
            Self::Stranger(server) => format!("{server} is not in follow_referrals"),
            Self::Plain(server) => format!("{server} would be spoken to in plain text"),
        }
    }
}

impl Follower {
    /// `plan` is that of any server of the directory.
    pub(super) fn new(allowed: Vec<ReferralHost>, insecure: bool, plan: Plan) -> Arc<Self> {
        let plan = Plan { lookup: 1, scan: plan.scan.min(2), ..plan };
        let (kept, told) = (Mutex::default(), Mutex::default());
        Arc::new(Self { allowed, insecure, plan, kept, told })
    }

    /// Where a URL leads, if it is followed.
    pub(super) fn judge(&self, url: &str) -> Result<Target, Unfollowed> {
        let target = Target::parse(url).ok_or(Unfollowed::Useless)?;
        let server = &target.server;
        if !self.allowed.iter().any(|host| host.allows(server)) {
            return Err(Unfollowed::Stranger(target.server));
        }
        let plain = !server.ldaps && !self.plan.dial.starttls;
        if plain && !self.insecure && !server.is_loopback() {
            return Err(Unfollowed::Plain(target.server));
        }
        if !plain && rustls_pki_types::ServerName::try_from(server.host.as_str()).is_err() {
            return Err(Unfollowed::Useless);
        }
        Ok(target)
    }

    /// The server, with the connections that are open to it; `None` where there are too many.
    pub(super) fn server(self: &Arc<Self>, url: &ServerUrl) -> Option<Arc<Server>> {
        let mut kept = self.kept();
        let now = Instant::now();
        if let Some((server, used)) = kept.servers.get_mut(url) {
            *used = now;
            return Some(Arc::clone(server));
        }
        if kept.servers.len() >= MOST_SERVERS {
            return None;
        }
        let mut plan = self.plan.clone();
        plan.dial.url = url.clone();
        let server = Server::new(plan);
        kept.servers.insert(url.clone(), (Arc::clone(&server), now));
        if !kept.tended {
            kept.tended = true;
            tokio::spawn(tend(Arc::downgrade(self), self.plan.idle));
        }
        Some(server)
    }

    #[cfg(test)]
    pub(super) fn servers(&self) -> usize {
        self.kept().servers.len()
    }

    #[cfg(test)]
    pub(super) fn starttls(&self) -> bool {
        self.plan.dial.starttls
    }

    /// Logs it, unless it was.
    fn tell(&self, text: String) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < MOST_TOLD && !told.contains(&text) {
            tracing::warn!(repository = %self.plan.name, reason = text, "a referral is not followed");
            told.insert(text);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets go of servers that nobody was led to for a while, and ends with the last of them.
async fn tend(follower: Weak<Follower>, idle: Duration) {
    loop {
        sleep((idle / 2).max(Duration::from_millis(10))).await;
        let Some(follower) = follower.upgrade() else { return };
        let mut kept = follower.kept();
        let now = Instant::now();
        kept.servers.retain(|_, (_, used)| now.saturating_duration_since(*used) < idle);
        if kept.servers.is_empty() {
            kept.tended = false;
            return;
        }
    }
}

/// Host, port, base and scope: who was asked there is not asked again.
type Place = (String, u16, Box<[u8]>, Scope);

fn place(server: &ServerUrl, request: &SearchRequest) -> Place {
    let base = Dn::parse(&request.base)
        .map_or_else(|_| request.base.as_bytes().into(), |dn| dn.identity());
    (server.host.to_ascii_lowercase(), server.port, base, request.scope)
}

/// References with what was asked when they came.
type Level = Vec<(Arc<SearchRequest>, Reference)>;

/// What is asked at any one of these servers.
type Step = Vec<(ServerUrl, Arc<SearchRequest>)>;

/// What was asked, and what was said to it.
type Answer = Result<(Arc<SearchRequest>, Said), Failure>;

enum Said {
    Found(RawFound),
    /// Everything is held elsewhere.
    Elsewhere(Reference),
}

/// One search and all that its answer leads to.
struct Chase<'a> {
    inner: &'a Inner,
    follower: &'a Arc<Follower>,
    deadline: Instant,
    seen: HashSet<Place>,
    asked: usize,
    /// Whether everybody answered who had to.
    complete: bool,
}

impl Inner {
    /// What `heard` is with all that it refers to.
    pub(super) async fn followed(
        &self,
        follower: &Arc<Follower>,
        request: &SearchRequest,
        heard: Result<RawFound, Failure>,
        out: &mut Option<Stream<'_>>,
        deadline: Instant,
    ) -> Result<RawFound, Failure> {
        let (mut found, mut refused) = match heard {
            Ok(found) if found.references.is_empty() => return Ok(found),
            Ok(found) => (found, None),
            Err(Failure::Referred { text, urls }) => {
                let references = vec![urls];
                let found = RawFound { references, complete: true, ..RawFound::default() };
                (found, Some(Failure::Refused(text)))
            }
            Err(failure) => return Err(failure),
        };
        let begun = Arc::new(request.clone());
        let seen = self.servers.iter().map(|server| place(&server.plan.dial.url, request));
        let seen = seen.collect();
        let mut chase =
            Chase { inner: self, follower, deadline, seen, asked: 0, complete: found.complete };
        let mut shown = Seen::default();
        found.entries.retain(|entry| shown.add(entry));
        let mut level: Level = Vec::new();
        chase.note(&mut level, &begun, std::mem::take(&mut found.references));
        for _ in 0..MOST_HOPS {
            let steps = chase.steps(&level);
            let full = found.entries.len() > request.size_limit
                || out.as_ref().is_some_and(|out| out.sent > request.size_limit);
            if steps.is_empty() || full {
                chase.complete &= steps.is_empty();
                level.clear();
                break;
            }
            level.clear();
            for answer in chase.ask_all(steps, out).await {
                match answer {
                    Ok((asked, Said::Found(more))) => {
                        refused = None;
                        chase.complete &= more.complete;
                        found.entries.extend(more.entries.into_iter().filter(|one| shown.add(one)));
                        chase.note(&mut level, &asked, more.references);
                    }
                    Ok((asked, Said::Elsewhere(urls))) => {
                        chase.note(&mut level, &asked, vec![urls]);
                    }
                    Err(failure) => {
                        chase.complete = false;
                        // What all was to be had from, did not answer.
                        refused = refused.map(|_| failure);
                    }
                }
            }
        }
        if !chase.steps(&level).is_empty() {
            follower.tell(format!("there are more than {MOST_HOPS} behind one another"));
        }
        match refused {
            Some(failure) => Err(failure),
            None => Ok(super::directory::found(found.entries, request.size_limit, chase.complete)),
        }
    }
}

impl Chase<'_> {
    fn note(&mut self, level: &mut Level, asked: &Arc<SearchRequest>, references: Vec<Reference>) {
        // There may have been more.
        self.complete &= references.len() < MAX_REFERENCES;
        level.extend(references.into_iter().map(|urls| (Arc::clone(asked), urls)));
    }

    /// What is to be asked next, and was not yet.
    fn steps(&mut self, level: &Level) -> Vec<Step> {
        let mut steps = Vec::new();
        for (asked, urls) in level {
            let mut step = Step::new();
            let mut why = Unfollowed::Useless;
            for url in urls.iter().take(MOST_URLS) {
                match self.follower.judge(url) {
                    Ok(target) => {
                        let (server, request) = target.request(asked);
                        step.push((server, Arc::new(request)));
                    }
                    Err(unfollowed) => why = unfollowed,
                }
            }
            if step.is_empty() {
                self.follower.tell(why.words());
                continue;
            }
            let places: Vec<Place> =
                step.iter().map(|(server, request)| place(server, request)).collect();
            if places.iter().any(|place| self.seen.contains(place)) {
                continue;
            }
            if self.asked == MOST_PLACES {
                self.follower.tell(format!("one search leads to more than {MOST_PLACES} places"));
                self.complete = false;
                break;
            }
            self.asked += 1;
            self.seen.extend(places);
            steps.push(step);
        }
        steps
    }

    async fn ask_all(&self, steps: Vec<Step>, out: &mut Option<Stream<'_>>) -> Vec<Answer> {
        if out.is_some() {
            let mut answers = Vec::with_capacity(steps.len());
            for step in steps {
                answers.push(self.ask(step, out).await);
            }
            return answers;
        }
        let asked = stream::iter(steps).map(|step| async move { self.ask(step, &mut None).await });
        asked.buffer_unordered(ABREAST).collect().await
    }

    /// Asks the first of the servers that answers; a broken connection is made anew once.
    async fn ask(&self, step: Step, out: &mut Option<Stream<'_>>) -> Answer {
        let sent = |out: &Option<Stream<'_>>| out.as_ref().map_or(0, |out| out.sent);
        let before = sent(out);
        let mut last = Failure::Timeout { silent: false };
        let count = step.len();
        for (index, (url, request)) in step.into_iter().enumerate() {
            let Some(server) = self.follower.server(&url) else {
                let text = format!("referrals lead to more than {MOST_SERVERS} servers");
                last = Failure::Down(text.into());
                continue;
            };
            let soon = self.deadline.min(Instant::now() + server.plan.dial.timeout);
            let patience = if index + 1 == count { self.deadline } else { soon };
            let mut again = true;
            last = loop {
                let asked = self.inner.once(&server, &request, out, patience, self.deadline).await;
                match asked {
                    Err(Failure::Died(_)) if again && sent(out) == before => {
                        again = false;
                        server.suspect();
                    }
                    Err(
                        failure @ (Failure::Timeout { .. }
                        | Failure::Died(_)
                        | Failure::Down(_)
                        | Failure::Busy(_)),
                    ) => break failure,
                    Err(Failure::Referred { urls, .. }) => {
                        return Ok((request, Said::Elsewhere(urls)));
                    }
                    Err(Failure::Refused(text)) => {
                        self.follower.tell(text.to_string());
                        return Err(Failure::Refused(text));
                    }
                    Ok(found) => return Ok((request, Said::Found(found))),
                }
            };
            if sent(out) > before {
                break;
            }
        }
        Err(last)
    }
}
