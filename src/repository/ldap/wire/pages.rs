//! A search on a connection of its own, page by page (RFC 2696). Knows how pages end, and nothing of
//! what becomes of their entries.

use std::sync::Arc;

use tokio::time::Instant;

use super::connection::{AnswerEnd, Ask, Weight};
use super::directory::{named, refusal, waited};
use super::entry::{RawEntry, Reference, SearchRequest};
use super::failure::Failure;
use super::server::{Lease, Server};

/// Empty pages in a row after which a paged search is taken to go nowhere.
const EMPTY_PAGES: usize = 1000;

/// A paged search under way. Dropped before its end, it takes its connection along.
pub(super) struct Pages<'a> {
    server: &'a Server,
    request: &'a SearchRequest,
    lease: Option<Lease<'a>>,
    deadline: Instant,
    cookie: Vec<u8>,
    size: usize,
    empty: usize,
}

/// One page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) entries: Vec<RawEntry>,
    pub(super) references: Vec<Reference>,
    pub(super) end: End,
}

impl Page {
    /// Nobody is shown, though there may be somebody.
    pub(super) const NONE: Self =
        Self { entries: Vec::new(), references: Vec::new(), end: End::Cut };
}

/// What comes after a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Another page.
    More,
    /// Nothing: this was all.
    Whole,
    /// Nothing, although there may be more: a limit cut the answer.
    Cut,
}

impl<'a> Pages<'a> {
    /// `patience` bounds the wait for a connection.
    pub(super) async fn begin(
        server: &'a Arc<Server>,
        request: &'a SearchRequest,
        patience: Instant,
        deadline: Instant,
    ) -> Result<Self, Failure> {
        let lease =
            server.scan(patience).await.map_err(|failure| waited(server, failure, deadline))?;
        let size = server.page();
        let (lease, cookie) = (Some(lease), Vec::new());
        Ok(Self { server, request, lease, deadline, cookie, size, empty: 0 })
    }

    /// The next page, of at most `keep` entries.
    pub(super) async fn next(&mut self, keep: usize, weight: &Weight) -> Result<Page, Failure> {
        loop {
            let Some(connection) = self.lease.as_ref().and_then(Lease::connection) else {
                return Err(Failure::Died(self.server.text("the connection is gone")));
            };
            let ask = Ask {
                request: self.request,
                // The page is the limit; a size limit besides it would end the whole walk.
                size_limit: 0,
                keep,
                page: Some((self.size.min(keep), &self.cookie)),
                pause: self.server.plan.operation_timeout,
                deadline: self.deadline,
                weight,
                follows: self.server.plan.follows,
            };
            let answer =
                connection.search(&ask).await.map_err(|failure| named(self.server, failure))?;
            let (entries, references) = (answer.entries, answer.references);
            let AnswerEnd::Said { outcome, cookie: next } = answer.end else {
                // The rest of the page is still under way here: the lease is not given back.
                self.lease = None;
                return Ok(Page { entries, references, end: End::Cut });
            };
            if outcome.code == 0 {
                // Only what worked is remembered: who does not page at all refuses every size.
                self.server.set_page(self.size);
            }
            let end = match outcome.code {
                0 if next.is_empty() => End::Whole,
                0 => {
                    // An empty page is no end by itself, the missing cookie is.
                    self.empty = if entries.is_empty() { self.empty + 1 } else { 0 };
                    self.cookie = next;
                    if self.empty > EMPTY_PAGES { End::Cut } else { End::More }
                }
                11 if entries.is_empty() && self.cookie.is_empty() && self.size > 1 => {
                    self.size /= 2;
                    continue;
                }
                3 | 4 | 11 => End::Cut,
                _ => return Err(refusal(self.server, self.request, outcome)),
            };
            if end != End::More {
                self.stop();
            }
            return Ok(Page { entries, references, end });
        }
    }

    /// No further page is wanted: somebody else may use the connection.
    pub(super) fn stop(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}
