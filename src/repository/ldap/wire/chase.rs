//! Following referrals: a few hops, never twice to the same place, and within the time and the memory
//! of one search. Hosts that are not in the list are passed over; whatever else is not asked, or does
//! not show that it looked, makes the answer incomplete.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use super::connection::{MAX_REFERENCES, Weight, size};
use super::directory::{self, Inner, Seen, Stream};
use super::entry::{Paging, RawEntry, RawFound, Reference, Scope, SearchRequest};
use super::failure::Failure;
use super::follow::{Follower, Unfollowed};
use super::referral::Target;
use super::server::Server;
use crate::config::ServerUrl;
use crate::repository::ldap::dn::Dn;

/// Servers behind one another, beside the first.
const MOST_HOPS: usize = 3;
/// Places that are asked for one search.
const MOST_PLACES: usize = 64;
/// Of those, how many at the same time.
const ABREAST: usize = 4;
/// URLs of one reference that are looked at.
const MOST_URLS: usize = 8;

/// Host, port, base and scope.
type Place = (String, u16, Box<[u8]>, Scope);

/// What is asked.
#[derive(Debug)]
struct Question {
    request: SearchRequest,
    /// Filters of URLs on the way: all of them are part of the request's.
    narrowed: BTreeSet<String>,
}

impl Question {
    /// What is asked where `target` leads.
    fn at(&self, mut target: Target) -> (ServerUrl, Self) {
        let mut narrowed = self.narrowed.clone();
        target.filter = target.filter.filter(|filter| narrowed.insert(filter.clone()));
        let (server, request) = target.request(&self.request);
        (server, Self { request, narrowed })
    }

    fn place(&self, server: &ServerUrl) -> Place {
        let (base, scope) = (identity(&self.request.base), self.request.scope);
        (server.host.to_ascii_lowercase(), server.port, base, scope)
    }
}

fn identity(base: &str) -> Box<[u8]> {
    Dn::parse(base).map_or_else(|_| base.as_bytes().into(), |dn| dn.identity())
}

/// References with what was asked when they came.
type Level = Vec<(Arc<Question>, Reference)>;

/// What is asked at any one of these servers.
type Step = Vec<(ServerUrl, Arc<Question>)>;

/// What was asked, and what was said to it.
type Answer = Result<(Arc<Question>, Said), Failure>;

enum Said {
    Found(RawFound),
    /// Everything is held elsewhere.
    Elsewhere(Reference),
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
        let (found, refused) = match heard {
            // What was cut is not made whole by others.
            Ok(found) if found.references.is_empty() || !found.complete => return Ok(found),
            Ok(found) => (found, None),
            Err(Failure::Referred { text, urls }) => {
                let references = vec![urls];
                let found = RawFound { references, complete: true, ..RawFound::default() };
                (found, Some(Failure::Refused { text, code: None }))
            }
            Err(failure) => return Err(failure),
        };
        let asker = Asker { inner: self, follower, deadline };
        let mut chase = Chase::new(asker, request);
        let begun = Question { request: request.clone(), narrowed: BTreeSet::new() };
        chase.take(Ok((Arc::new(begun), Said::Found(found))));
        chase.refused = refused;
        for _ in 0..MOST_HOPS {
            let steps = chase.steps();
            if steps.is_empty() {
                break;
            }
            chase.walk(steps, out).await;
        }
        if !chase.steps().is_empty() {
            chase.complete = false;
            follower.tell(format!("there are more than {MOST_HOPS} servers behind one another"));
        }
        match chase.refused {
            Some(failure) => Err(failure),
            None => Ok(directory::found(chase.entries, request.size_limit, chase.complete)),
        }
    }
}

/// One search and all that its answer leads to.
struct Chase<'a> {
    asker: Asker<'a>,
    limit: usize,
    /// Held by all that came.
    weight: Weight,
    /// Who was asked, with the filters that made it less than the whole.
    seen: HashMap<Place, Vec<BTreeSet<String>>>,
    asked: usize,
    level: Level,
    entries: Vec<RawEntry>,
    shown: Seen,
    /// Nothing more is wanted.
    full: bool,
    /// Whether everybody answered who had to.
    complete: bool,
    /// Why there is no answer at all.
    refused: Option<Failure>,
}

impl<'a> Chase<'a> {
    fn new(asker: Asker<'a>, request: &SearchRequest) -> Self {
        let begun = Question { request: request.clone(), narrowed: BTreeSet::new() };
        let own = asker.inner.servers.iter().map(|server| begun.place(&server.plan.dial.url));
        Self {
            asker,
            limit: request.size_limit.max(1),
            weight: Weight::new(&asker.inner.weight),
            seen: own.map(|place| (place, vec![BTreeSet::new()])).collect(),
            asked: 0,
            level: Level::new(),
            entries: Vec::new(),
            shown: Seen::default(),
            full: false,
            complete: true,
            refused: None,
        }
    }

    /// What is to be asked next, and was not yet.
    fn steps(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (asked, urls) in std::mem::take(&mut self.level) {
            let Some(step) = self.step(&asked, &urls) else { continue };
            if step.iter().any(|(server, question)| self.covers(server, question)) {
                continue;
            }
            if self.asked == MOST_PLACES {
                let text = format!("one search leads to more than {MOST_PLACES} places");
                self.asker.follower.tell(text);
                self.complete = false;
                break;
            }
            self.asked += 1;
            for (server, question) in &step {
                let seen = self.seen.entry(question.place(server)).or_default();
                seen.push(question.narrowed.clone());
            }
            steps.push(step);
        }
        steps
    }

    /// Where a reference leads; `None` where it leads nowhere.
    fn step(&mut self, asked: &Question, urls: &Reference) -> Option<Step> {
        let mut step = Step::new();
        let mut why = Unfollowed::Useless;
        for url in urls.iter().take(MOST_URLS) {
            match self.asker.follower.judge(url) {
                Ok(target) => {
                    let (server, question) = asked.at(target);
                    step.push((server, Arc::new(question)));
                }
                Err(_) if why.is_listed() => {}
                Err(unfollowed) => why = unfollowed,
            }
        }
        if step.is_empty() {
            self.complete &= !why.is_listed() && urls.len() <= MOST_URLS;
            self.asker.follower.tell(why.words());
        }
        (!step.is_empty()).then_some(step)
    }

    /// Whether as much was asked there already.
    fn covers(&self, server: &ServerUrl, question: &Question) -> bool {
        let seen = self.seen.get(&question.place(server));
        seen.is_some_and(|seen| seen.iter().any(|one| one.is_subset(&question.narrowed)))
    }

    async fn walk(&mut self, steps: Vec<Step>, out: &mut Option<Stream<'_>>) {
        let (asker, limit) = (self.asker, self.limit);
        if out.is_some() {
            for step in steps {
                self.take(asker.ask(step, out).await);
                self.full |= out.as_ref().is_some_and(|out| out.sent > limit);
                if self.full {
                    return self.stop();
                }
            }
            return;
        }
        let answers =
            stream::iter(steps).map(|step| async move { asker.ask(step, &mut None).await });
        let mut answers = answers.buffer_unordered(ABREAST);
        while let Some(answer) = answers.next().await {
            self.take(answer);
            if self.full {
                return self.stop();
            }
        }
    }

    fn stop(&mut self) {
        self.level.clear();
        self.complete = false;
    }

    fn take(&mut self, answer: Answer) {
        let (asked, references) = match answer {
            Ok((asked, Said::Found(found))) => {
                self.refused = None;
                self.complete &= found.complete;
                self.keep(found.entries);
                // There may have been more.
                self.complete &= found.references.len() < MAX_REFERENCES;
                (asked, found.references)
            }
            Ok((asked, Said::Elsewhere(urls))) => (asked, vec![urls]),
            Err(failure) => {
                self.complete = false;
                // What all was to be had from, did not answer.
                self.refused = self.refused.take().map(|_| failure);
                return;
            }
        };
        for urls in references {
            if !self.weight.add(size(&urls)) {
                self.full = true;
                return self.stop();
            }
            self.level.push((Arc::clone(&asked), urls));
        }
    }

    fn keep(&mut self, entries: Vec<RawEntry>) {
        for entry in entries {
            if !self.shown.add(&entry) {
                continue;
            }
            if self.entries.len() > self.limit || !self.weight.add(entry.weight()) {
                self.full = true;
                return self.stop();
            }
            self.entries.push(entry);
        }
        self.full |= self.entries.len() > self.limit;
    }
}

/// Asks one place.
#[derive(Clone, Copy)]
struct Asker<'a> {
    inner: &'a Inner,
    follower: &'a Arc<Follower>,
    deadline: Instant,
}

impl Asker<'_> {
    /// Asks the first of the servers that answers; a broken connection is made anew once.
    async fn ask(self, step: Step, out: &mut Option<Stream<'_>>) -> Answer {
        let sent = |out: &Option<Stream<'_>>| out.as_ref().map_or(0, |out| out.sent);
        let before = sent(out);
        let mut last = Failure::Timeout { silent: false };
        let count = step.len();
        for (index, (url, question)) in step.into_iter().enumerate() {
            let Some(server) = self.follower.server(&url) else {
                let text = "referrals lead to too many servers";
                self.follower.tell(text.to_owned());
                last = Failure::Down(text.into());
                continue;
            };
            let soon = self.deadline.min(Instant::now() + server.plan.dial.timeout);
            let patience = if index + 1 == count { self.deadline } else { soon };
            let request = &question.request;
            let mut again = true;
            last = loop {
                let asked = self.inner.once(&server, request, out, patience, self.deadline).await;
                match asked {
                    Err(Failure::Died(_)) if again && sent(out) == before => {
                        again = false;
                        server.suspect();
                    }
                    Err(Failure::Referred { urls, .. }) => {
                        return Ok((question, Said::Elsewhere(urls)));
                    }
                    Err(Failure::Refused { text, code }) => {
                        self.tell_refused(&url, code);
                        return Err(Failure::Refused { text, code });
                    }
                    Err(failure) => break failure,
                    Ok(found) => {
                        self.follower.answers(&url);
                        let nobody = sent(out) == before && found.entries.is_empty();
                        let found = self.believed(&server, &url, request, found, nobody).await;
                        return Ok((question, Said::Found(found)));
                    }
                }
            };
            self.follower.tell_down(&url);
            if sent(out) > before {
                break;
            }
        }
        Err(last)
    }

    fn tell_refused(&self, url: &ServerUrl, code: Option<u32>) {
        self.follower.tell(match code {
            Some(code) => format!("{url} refuses a search with result code {code}"),
            None => format!("{url} refuses a search"),
        });
    }

    /// That nobody is there is believed of a server that shows the base: one that lost its entries, or
    /// shows them to this bind no more, says the same.
    async fn believed(
        &self,
        server: &Arc<Server>,
        url: &ServerUrl,
        request: &SearchRequest,
        found: RawFound,
        nobody: bool,
    ) -> RawFound {
        if !nobody || !found.complete || found.refers() {
            return found;
        }
        let place = (url.clone(), identity(&request.base));
        if self.follower.is_proven(&place) {
            return found;
        }
        let base = SearchRequest {
            base: request.base.clone(),
            scope: Scope::Base,
            filter: "(objectClass=*)".to_owned(),
            attributes: vec!["1.1".to_owned()].into(),
            size_limit: 1,
            paging: Paging::Never,
        };
        let shown = self.inner.once(server, &base, &mut None, self.deadline, self.deadline).await;
        let complete = shown.as_ref().is_ok_and(|shown| !shown.entries.is_empty());
        if complete {
            self.follower.prove(place);
        } else if shown.is_ok() {
            self.follower.tell(format!("{url} shows nobody, and the base of the search neither"));
        }
        RawFound { complete, ..found }
    }
}
