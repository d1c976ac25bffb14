//! Walks by cursor (RFC 9865): a list from its first page to its last, and back, in which everybody
//! who stands throughout comes once.
//!
//! A list of the store goes on behind the last row that was shown. A list that takes more than SQL to
//! put together is a [`snapshot`] of keys, whose people are read anew page by page; where it is gone,
//! after a restart or on another node, it is made anew, and the walk goes on behind the last key.

mod cursor;
mod gather;
mod page;
mod rows;
mod shelf;
mod snapshot;

use std::sync::Arc;

use tokio::sync::Semaphore;
use uuid::Uuid;

use self::cursor::{Cursor, Direction, List, Place, QueryHash, Seal};
use self::shelf::{Limits, Shelf};
use self::snapshot::Snapshot;
use super::listing::Listing;
use super::plan::Plan;
use super::{Federation, Locks, Problem, Rules, View};
use crate::caller::Caller;

pub use self::shelf::WalkNumbers;

/// Lists that a tenant puts together at the same time.
const TURNS: usize = 2;
/// What a key is taken to weigh, in bytes, for what `walk_limit` keys may weigh together.
const KEY: u64 = 128;
/// Walks need not be smaller than this, whatever `walk_limit` says.
const LEAST: u64 = 4 << 20;

/// What the walks of one tenant need.
#[derive(Debug)]
pub(super) struct Walks {
    seal: Seal,
    shelf: Arc<Shelf>,
    turns: Semaphore,
    /// A snapshot that is gone is made anew once, however many ask for it.
    making: Locks,
}

impl Walks {
    /// `key` is the store's, the same on every node. A token's snapshots hold as much as one walk of
    /// `walk_limit` people needs, a tenant's twice as much.
    pub(super) fn new(key: &[u8], tenant: &str, rules: &Rules, numbers: &Arc<WalkNumbers>) -> Self {
        let token = rules.walk_limit.saturating_mul(KEY).max(LEAST);
        let token = usize::try_from(token).unwrap_or(usize::MAX / 2);
        let limits = Limits { token, tenant: token.saturating_mul(2) };
        Self {
            seal: Seal::new(key, tenant, rules.cursor_timeout),
            shelf: Shelf::new(limits, rules.cursor_timeout, Arc::clone(numbers)),
            turns: Semaphore::new(TURNS),
            making: Locks::new(),
        }
    }
}

impl Walks {
    /// Drops all snapshots; walks under way make theirs anew.
    pub(super) fn forget_all(&self) {
        self.shelf.forget_all();
    }
}

impl Federation {
    /// One page of a walk: the first where the cursor is empty.
    pub(super) async fn walk(
        &self,
        caller: &Caller,
        plan: &Plan,
        view: &View,
    ) -> Result<Listing, Problem> {
        let text = plan.query.cursor.as_deref().unwrap_or_default();
        let query = QueryHash::of(&plan.kind, &plan.query);
        if text.is_empty() {
            return self.first_page(caller, plan, view, query).await;
        }
        let cursor = self.walks.seal.open(text, query, self.clock.now())?;
        match cursor.list {
            List::Snapshot(walk) => {
                let snapshot = self.found_or_made(caller, plan, view, walk).await?;
                self.page(plan, view, &cursor, &snapshot).await
            }
            List::Rows { .. } => {
                self.page_of_rows(plan, &cursor).await?.ok_or_else(rows::other_order)
            }
        }
    }

    async fn first_page(
        &self,
        caller: &Caller,
        plan: &Plan,
        view: &View,
        query: QueryHash,
    ) -> Result<Listing, Problem> {
        let (direction, place) = (Direction::Forward, Place::Start);
        if !plan.federated {
            let list = List::Rows { total: None };
            let cursor = Cursor { query, direction, list, place: place.clone() };
            if let Some(page) = self.page_of_rows(plan, &cursor).await? {
                return Ok(page);
            }
        }
        let walk = self.clock.new_token();
        let cursor = Cursor { query, direction, list: List::Snapshot(walk), place };
        let snapshot = Arc::new(self.gather(plan, view).await?);
        let page = self.page(plan, view, &cursor, &snapshot).await?;
        // Nobody comes back for more of a list that is one page.
        if page.cursors.as_ref().is_some_and(|cursors| cursors.next.is_some()) {
            self.walks.shelf.put(walk, &caller.name, snapshot);
        }
        Ok(page)
    }

    async fn found_or_made(
        &self,
        caller: &Caller,
        plan: &Plan,
        view: &View,
        walk: Uuid,
    ) -> Result<Arc<Snapshot>, Problem> {
        if let Some(snapshot) = self.walks.shelf.take(walk) {
            return Ok(snapshot);
        }
        let _making = self.walks.making.hold(&walk.to_string()).await;
        if let Some(snapshot) = self.walks.shelf.take(walk) {
            return Ok(snapshot);
        }
        let snapshot = Arc::new(self.gather(plan, view).await?);
        self.walks.shelf.put(walk, &caller.name, Arc::clone(&snapshot));
        Ok(snapshot)
    }
}
