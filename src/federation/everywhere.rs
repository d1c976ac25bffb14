//! Searching all resource types of the tenant at once (RFC 7644 section 3.4.2.1): one list, type by
//! type, or in one order where the request names one.

use std::sync::Arc;

use super::listing::Listing;
use super::plan::{Page, Plan};
use super::resource::Resource;
use super::search::SCAN_LIMIT;
use super::sort::sort;
use super::{Deed, Federation, Problem, View, permit, too_many};
use crate::caller::Caller;
use crate::scim::dialect::RepositoryReport;

impl Federation {
    /// Answers one request over several types, of which each has its own plan. What the caller may
    /// not search is left out.
    ///
    /// # Errors
    /// [`Problem::Forbidden`] where nothing is left; else as [`Federation::search`].
    pub async fn search_all(
        &self,
        caller: &Caller,
        mut plans: Vec<Plan>,
        view: &View,
    ) -> Result<Listing, Problem> {
        let permitted = |plan: &Plan| permit(caller, &plan.kind, Deed::Search);
        if let Some(refused) = plans.first().map(&permitted)
            && !plans.iter().any(|plan| permitted(plan).is_ok())
        {
            refused?;
        }
        plans.retain(|plan| permitted(plan).is_ok());
        let mut found = Found::default();
        let Some(page) = plans.first().map(|plan| plan.page.clone()) else {
            return Ok(Listing::new(Vec::new(), 0, 1, None));
        };
        match plans.iter().find(|plan| plan.query.sort_by.as_ref().is_some_and(|path| path.known)) {
            None => self.in_turn(caller, &mut plans, &page, view, &mut found).await?,
            Some(sorted) => {
                let order = sorted.page.order.clone();
                self.each_first(caller, &mut plans, &page, view, &mut found).await?;
                sort(&mut found.resources, &order);
                page.cut(&mut found.resources);
            }
        }
        let listing = Listing::new(found.resources, found.total, page.skip + 1, found.report);
        Ok(listing.holding(found.unbound))
    }

    /// The resources of each type follow the ones of the type before.
    async fn in_turn(
        &self,
        caller: &Caller,
        plans: &mut [Plan],
        page: &Page,
        view: &View,
        found: &mut Found,
    ) -> Result<(), Problem> {
        for plan in plans {
            plan.page.skip = page.skip.saturating_sub(found.total);
            plan.page.count = page.count - found.resources.len() as u64;
            let listing = self.search(caller, plan, view).await?;
            found.take(&listing);
        }
        Ok(())
    }

    /// Of each type as many as can stand on the page.
    async fn each_first(
        &self,
        caller: &Caller,
        plans: &mut [Plan],
        page: &Page,
        view: &View,
        found: &mut Found,
    ) -> Result<(), Problem> {
        let depth = page.skip.saturating_add(page.count);
        if depth > SCAN_LIMIT {
            return Err(too_many(format!(
                "A page of a sorted list over all types may not end beyond resource {SCAN_LIMIT}; \
                 narrow the filter, or search one type at its own endpoint."
            )));
        }
        for plan in plans {
            plan.page.skip = 0;
            // Of an empty page only the total is wanted.
            plan.page.count = if page.count == 0 { 0 } else { depth };
            let listing = self.search(caller, plan, view).await?;
            found.take(&listing);
        }
        Ok(())
    }
}

#[derive(Default)]
struct Found {
    resources: Vec<Arc<Resource>>,
    total: u64,
    unbound: bool,
    report: Option<Vec<RepositoryReport>>,
}

impl Found {
    fn take(&mut self, listing: &Listing) {
        self.resources.extend(listing.resources.iter().cloned());
        self.total += listing.total;
        self.unbound |= listing.unbound;
        if listing.federated {
            self.report.get_or_insert_default().extend(listing.report.iter().cloned());
        }
    }
}
