//! Searching: ask the store and every repository at once, merge by link, order, cut.
//!
//! Searching never writes (rule 1). Pairs of row and entry are found by link alone (rule 5). An
//! answer is never shorter than it looks (rule 3): whoever did not answer whole stands in the report.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::{join, join_all};

use super::directory::Answered;
use super::listing::Listing;
use super::memory::Grounds;
use super::merge::{Merge, StorePart};
use super::plan::{Ask, Page, Plan};
use super::resource::{Half, Resource};
use super::sort::sort;
use super::{Deed, Federation, Problem, View, is_group, permit, too_many};
use crate::caller::Caller;
use crate::repository::EntryKey;
use crate::store::{ResourceRow, Rows, Search, Sort, Start, TypeName};

/// A search that the index cannot decide looks at no more rows than this.
pub(super) const SCAN_LIMIT: u64 = 50_000;

impl Federation {
    /// Answers a search: the store alone, or the store and the repositories as one list.
    pub async fn search(
        &self,
        caller: &Caller,
        plan: &Plan,
        view: &View,
    ) -> Result<Arc<Listing>, Problem> {
        permit(caller, &plan.kind, Deed::Search)?;
        if plan.query.cursor.is_some() {
            return Box::pin(self.walk(caller, plan, view)).await.map(Arc::new);
        }
        if !plan.federated {
            return Box::pin(self.stored(plan, view)).await.map(Arc::new);
        }
        if !view.no_cache && self.rules.allow_scan {
            if let Some(listing) = plan.memory.recall(&self.shares) {
                return Ok(listing);
            }
            if let Some(listing) = self.hot(plan) {
                return listing;
            }
        }
        // Boxed, so that the hot path's future stays small.
        Box::pin(self.federated(plan, view)).await.map(Arc::new)
    }

    /// The store and the shadow alone; no directory is touched.
    async fn stored(&self, plan: &Plan, view: &View) -> Result<Listing, Problem> {
        let page = &plan.page;
        let part = self.rows_matching(plan, Rows::All, page, view).await?;
        let mut people = self.as_stored(plan, &part.rows, part.total.is_none()).await?;
        let total = if let Some(total) = part.total {
            total
        } else {
            people.retain(|person| plan.filter.matches(&person.attributes));
            sort(&mut people, &page.order);
            let total = people.len() as u64;
            page.cut(&mut people);
            total
        };
        Ok(Listing::new(people, total, page.skip + 1, None))
    }

    /// Rows as they are shown where no directory is asked; groups with their members where those are
    /// shown, or are needed to judge.
    pub(super) async fn as_stored(
        &self,
        plan: &Plan,
        rows: &[Arc<ResourceRow>],
        judged: bool,
    ) -> Result<Vec<Arc<Resource>>, Problem> {
        if is_group(&plan.kind) && (plan.members || judged && plan.members_decide) {
            let keys: Vec<i64> = rows.iter().map(|row| row.key).collect();
            let members = self.members(&keys).await?;
            let of = |row: &ResourceRow| members.get(&row.key).map_or(&[][..], Vec::as_slice);
            let show = |row: &Arc<ResourceRow>| self.people.group(self.types(), row, of(row));
            return Ok(rows.iter().map(show).collect());
        }
        let show = |row: &Arc<ResourceRow>| {
            let directory = row.link.as_ref().and_then(|link| self.directory(&link.repository));
            self.people.stored(row, directory.map(Arc::as_ref), &Half::Unasked)
        };
        Ok(rows.iter().map(show).collect())
    }

    /// The whole answer where everything is in the caches: nothing waits, nothing is asked.
    fn hot(&self, plan: &Plan) -> Option<Result<Arc<Listing>, Problem>> {
        let asks = |ask: &Ask| ask.asked.buried || !self.directories[ask.at].keeps();
        if plan.asks.iter().any(asks) || plan.concerns_store && plan.row.is_none() {
            return None;
        }
        let mut merge = Merge::new(self, plan);
        let mut grounds = Grounds::new();
        // What a directory was asked is seldomer there than what the store was.
        for ask in &plan.asks {
            let directory = &self.directories[ask.at];
            let answered = directory.peek_search(&ask.key, &mut grounds)?;
            let mut links = Vec::with_capacity(answered.people.len());
            for (known, _) in &answered.people {
                let key = self.rows.link(directory.id(), &known.key.0);
                grounds.row(&self.shares, &key);
                links.push(self.rows.peek(&key)?);
            }
            merge.directory(ask, &answered, &links);
        }
        let part = if plan.concerns_store {
            let key = plan.row.as_ref()?;
            grounds.row(&self.shares, key);
            StorePart::of(of_type(&self.rows.peek(key)?.rows, &plan.type_name))
        } else {
            StorePart::default()
        };
        merge.unlinked(&part);
        if !merge.linked(&part.linked).is_empty() {
            return None;
        }
        let listing = merge.listing(&plan.page).map(Arc::new);
        if let Ok(listing) = &listing {
            plan.memory.keep(grounds, listing);
        }
        Some(listing)
    }

    pub(super) async fn federated<'a>(
        &'a self,
        plan: &'a Plan,
        view: &View,
    ) -> Result<Listing, Problem> {
        let ask = |ask: &'a Ask| {
            let (directory, filter) = (&self.directories[ask.at], &ask.asked.filter);
            directory.search(ask.key.clone(), filter, view.no_cache)
        };
        depth_allowed(plan)?;
        self.scans_allowed(plan, view).await?;
        let answers = join_all(plan.asks.iter().map(ask));
        let (part, answers) = join(self.store_part(plan, view), answers).await;
        let mut merge = Merge::new(self, plan);
        let part = part?;
        let mut buried = Vec::new();
        for (ask, answer) in plan.asks.iter().zip(answers) {
            match answer {
                Ok(answered) => {
                    let links = self.links(ask.at, &answered, view).await?;
                    merge.directory(ask, &answered, &links);
                    if ask.asked.buried {
                        buried.push((ask.at, self.buried(ask.at, &answered).await?));
                    }
                }
                Err(error) => merge.failed(ask.at, &error),
            }
        }
        merge.unlinked(&part);
        let look = |at: usize, keys| self.directories[at].look(keys, plan.photos, view.no_cache);
        let linked = merge.linked(&part.linked);
        let rows = join_all(linked.iter().map(|(at, rows)| look(*at, entry_keys(rows))));
        let graves = join_all(buried.into_iter().map(|(at, keys)| {
            let looked = look(at, keys);
            async move { (at, looked.await) }
        }));
        let (rows, graves) = join(rows, graves).await;
        for ((at, linked), looked) in linked.iter().zip(rows) {
            merge.looked(*at, linked, looked);
        }
        for (at, looked) in graves {
            merge.buried(at, looked);
        }
        let names = merge.open_names();
        if !names.is_empty() {
            merge.namesakes(
                &names,
                &self.store.find_names(&self.tenant, &TypeName::User, &names).await?,
            );
        }
        merge.listing(&plan.page)
    }

    /// The keys of the repository's people whose users were deleted here, without the ones that it
    /// has named already.
    async fn buried(&self, at: usize, answered: &Answered) -> Result<Vec<EntryKey>, Problem> {
        let repository = self.directories[at].id();
        let mut keys = self.store.tombstones(&self.tenant, repository, SCAN_LIMIT + 1).await?;
        if keys.len() as u64 > SCAN_LIMIT {
            return Err(scan_limit());
        }
        let named: HashSet<&str> = answered.people.iter().map(|(known, _)| &*known.key.0).collect();
        keys.retain(|key| !named.contains(key.as_str()));
        Ok(keys.into_iter().map(|key| EntryKey(Arc::from(key))).collect())
    }

    async fn links(
        &self,
        at: usize,
        answered: &Answered,
        view: &View,
    ) -> Result<Vec<Arc<super::rows::Stored>>, Problem> {
        let keys: Vec<&EntryKey> = answered.people.iter().map(|(known, _)| &known.key).collect();
        self.rows.links(self.directories[at].id(), &keys, view.no_cache).await
    }

    /// Where reading a whole repository is not allowed, a filter of which nothing can be sent is
    /// refused before anybody is asked.
    pub(super) async fn scans_allowed(&self, plan: &Plan, view: &View) -> Result<(), Problem> {
        if self.rules.allow_scan {
            return Ok(());
        }
        for ask in &plan.asks {
            let directory = &self.directories[ask.at];
            if directory.scans(&ask.asked.filter, view.deadline).await {
                return Err(too_many(format!(
                    "No part of this filter can be sent to the repository \"{}\", and reading all of \
                     it is not allowed here; add a condition on an attribute that the directory has.",
                    directory.id()
                )));
            }
        }
        Ok(())
    }

    /// What the store brings to a federated list.
    async fn store_part(&self, plan: &Plan, view: &View) -> Result<StorePart, Problem> {
        if !plan.concerns_store {
            return Ok(StorePart::default());
        }
        let page = &plan.page;
        if plan.row.is_some() {
            return Ok(StorePart::of(self.rows_matching(plan, Rows::All, page, view).await?.rows));
        }
        let whole = Page { skip: 0, count: SCAN_LIMIT + 1, order: page.order.clone() };
        let first = Page { skip: 0, count: page.skip + page.count, order: page.order.clone() };
        let (unlinked, linked) = join(
            self.rows_matching(plan, Rows::Unlinked, &first, view),
            self.rows_matching(plan, Rows::Linked, &whole, view),
        )
        .await;
        let (unlinked, linked) = (unlinked?, linked?);
        if linked.rows.len() as u64 > SCAN_LIMIT {
            return Err(scan_limit());
        }
        Ok(StorePart {
            unlinked: unlinked.rows,
            unlinked_total: unlinked.total,
            linked: linked.rows,
        })
    }

    /// The rows that match, with the total where SQL decided alone; else candidates.
    async fn rows_matching(
        &self,
        plan: &Plan,
        rows: Rows,
        page: &Page,
        view: &View,
    ) -> Result<Matching, Problem> {
        if let Some(key) = &plan.row {
            let no_cache = view.no_cache || is_group(&plan.kind);
            let stored = self.rows.find_key(key.clone(), no_cache).await?;
            return Ok(Matching { rows: of_type(&stored.rows, &plan.type_name), total: None });
        }
        let filter = self.stored_filter(plan);
        let sort = Sort { path: page.order.path.clone(), descending: page.order.descending };
        let search = |skip, limit, count_total| {
            let search = Search {
                type_name: &plan.type_name,
                filter: filter.as_deref(),
                rows,
                sort: &sort,
                start: Start::Offset(skip),
                limit,
                count_total,
                owned: plan.owned,
            };
            self.store.search(&self.tenant, search)
        };
        let answer = search(page.skip, page.count, true).await?;
        if answer.exact {
            return Ok(Matching { rows: answer.rows, total: answer.total });
        }
        let answer = search(0, SCAN_LIMIT + 1, false).await?;
        if answer.rows.len() as u64 > SCAN_LIMIT {
            return Err(scan_limit());
        }
        Ok(Matching { rows: answer.rows, total: None })
    }
}

#[derive(Debug)]
struct Matching {
    rows: Vec<Arc<ResourceRow>>,
    /// Known where SQL alone decided; then the rows are the page.
    total: Option<u64>,
}

/// The rows before a page must be merged with what the repositories have: a page that lies too deep is
/// refused before anybody is asked.
fn depth_allowed(plan: &Plan) -> Result<(), Problem> {
    let deep = plan.page.skip.saturating_add(plan.page.count) > SCAN_LIMIT;
    if deep && plan.concerns_store && plan.row.is_none() {
        return Err(too_many(format!(
            "A page of a list over repositories may not end beyond user {SCAN_LIMIT}; narrow the \
             filter."
        )));
    }
    Ok(())
}

/// An id may be that of a resource of another type.
fn of_type(rows: &[Arc<ResourceRow>], type_name: &TypeName) -> Vec<Arc<ResourceRow>> {
    rows.iter().filter(|row| row.type_name == *type_name).cloned().collect()
}

fn entry_keys(rows: &[Arc<ResourceRow>]) -> Vec<EntryKey> {
    let links = rows.iter().filter_map(|row| row.link.as_ref());
    links.map(|link| EntryKey(Arc::from(link.entry_key.as_str()))).collect()
}

fn scan_limit() -> Problem {
    too_many(format!(
        "This search would have to look at more than {SCAN_LIMIT} users one by one; add a condition \
         on an indexed attribute."
    ))
}
