//! What each source would be asked for a filter, and what is left for memory to decide.

use futures_util::future::join_all;
use serde::Serialize;

use super::super::directory::Directory;
use super::super::folding::{decided, for_directory};
use super::super::plan::Plan;
use super::super::search::SCAN_LIMIT;
use super::super::{Federation, Problem};
use crate::scim::{Filter, Query};
use crate::store::{Rows, Search, Sort, Start, Statement};

/// How a search for users would be answered.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedFilter {
    /// The filter as it was understood, in canonical spelling.
    pub filter: String,
    /// Whether directories are part of the question.
    pub search_repositories: bool,
    /// In the order of the configuration; the store is asked at the same time.
    pub repositories: Vec<ExplainedRepository>,
    pub store: ExplainedStore,
    /// Why nobody would be asked at all: a repository would have to be read whole, which the tenant does
    /// not allow.
    pub refused: Option<String>,
}

/// What one repository would be asked.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedRepository {
    pub id: String,
    /// Why the directory's own schema is not known; then the standard one stands in for it.
    pub unprepared: Option<String>,
    /// What is known of everybody there, so that it is not asked.
    pub folded: Vec<Folded>,
    /// Nothing where nobody is asked.
    pub sent: Option<Sent>,
    /// How many rules there are, of which those are decided for whom the answer brings; where the
    /// entries do not tell, by further searches for their keys.
    pub rules: usize,
}

/// A path whose outcome is known before anybody is asked.
#[derive(Debug, PartialEq, Serialize)]
pub struct Folded {
    pub path: String,
    pub why: String,
}

/// A search as the directory would get it.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says yes or no to one thing that a reader asks"
)]
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    pub filter: String,
    pub bases: Vec<String>,
    /// Whether it selects exactly whom the filter selects.
    pub exact: bool,
    /// Whether everybody under the bases is read.
    pub scan: bool,
    /// What of the filter the directory does not decide.
    pub residual: Option<String>,
    /// Whether bound users whom the answer lacks are left out; else their entries are read by key.
    pub decides_bound: bool,
    /// Whether people whose users were deleted here are read by key as well.
    pub reads_deleted: bool,
}

/// What the store would be asked.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedStore {
    /// Empty where the filter concerns nobody there.
    pub statements: Vec<Statement>,
    /// Whether SQL decides alone who matches.
    pub exact: bool,
    pub residual: Option<String>,
}

impl Federation {
    /// How a search for users would be answered. Of the directories nothing is read but what a plan needs
    /// to know: schemas, and the groups of rules.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn explain_filter(&self, query: Query) -> Result<ExplainedFilter, Problem> {
        let search_repositories = query.search_repositories;
        let plan = self.plan(self.users(), query);
        let directories = self.directories.iter().filter(|_| search_repositories);
        let repositories =
            join_all(directories.map(|directory| explained(directory, &plan.filter)));
        let repositories = repositories.await;
        let scans = |one: &&ExplainedRepository| one.sent.as_ref().is_some_and(|sent| sent.scan);
        let scanned = repositories.iter().find(scans).filter(|_| !self.rules.allow_scan);
        Ok(ExplainedFilter {
            filter: plan.filter.to_string(),
            search_repositories,
            refused: scanned.map(|one| {
                format!(
                    "no part of it can be sent to the repository \"{}\", and allow_scan = false",
                    one.id
                )
            }),
            store: self.explained_store(&plan)?,
            repositories,
        })
    }

    fn explained_store(&self, plan: &Plan) -> Result<ExplainedStore, Problem> {
        if plan.federated && !plan.concerns_store {
            return Ok(ExplainedStore { statements: Vec::new(), exact: true, residual: None });
        }
        if let Some(key) = &plan.row {
            let statements = vec![self.store.statement_of(&self.tenant, key.row_key())];
            let alone = !matches!(plan.filter, Filter::And(_));
            let residual = (!alone).then(|| plan.filter.to_string());
            return Ok(ExplainedStore { statements, exact: alone, residual });
        }
        let filter = self.stored_filter(plan);
        let sort = Sort { path: plan.page.order.path.clone(), descending: false };
        let asked = |filter: Option<&Filter>, rows: Rows, limit: u64| {
            let type_name = &plan.type_name;
            let start = Start::Offset(0);
            let (count_total, owned) = (true, plan.owned);
            let search =
                Search { type_name, filter, rows, sort: &sort, start, limit, count_total, owned };
            self.store.statements(&self.tenant, &search)
        };
        let page = plan.page.skip.saturating_add(plan.page.count);
        let exact = asked(filter.as_deref(), Rows::All, page)?.exact;
        let page = if exact { page } else { SCAN_LIMIT + 1 };
        let parts: &[(Rows, u64)] = if plan.federated {
            &[(Rows::Unlinked, page), (Rows::Linked, SCAN_LIMIT + 1)]
        } else {
            &[(Rows::All, page)]
        };
        let mut statements = Vec::new();
        for (rows, limit) in parts {
            statements.extend(asked(filter.as_deref(), *rows, *limit)?.each);
        }
        let decided = |part: &Filter| {
            asked(Some(part), Rows::All, 1).is_ok_and(|statements| statements.exact)
        };
        let residual = filter.as_deref().filter(|_| !exact);
        let residual = residual.map(|filter| undecided(filter, decided).to_string());
        Ok(ExplainedStore { statements, exact, residual })
    }
}

async fn explained(directory: &Directory, filter: &Filter) -> ExplainedRepository {
    let unprepared = directory.prepare().await.err().map(|error| error.to_string());
    let (repository, giving) = (directory.repository(), directory.giving());
    let asked = for_directory(filter, repository, giving);
    let folded = decided(filter, repository, giving);
    let plan = repository.plan(&asked.filter);
    let exact = |part: &Filter| {
        let asked = for_directory(part, repository, giving);
        asked.filter == Filter::Constant(false) || repository.plan(&asked.filter).exact
    };
    let nobody = asked.filter == Filter::Constant(false) || plan.bases.is_empty();
    ExplainedRepository {
        id: directory.id().to_owned(),
        unprepared,
        rules: directory.rules().len(),
        folded: folded.into_iter().map(|(path, why)| Folded { path, why }).collect(),
        sent: (!nobody).then(|| Sent {
            filter: plan.text,
            bases: plan.bases,
            exact: plan.exact,
            scan: plan.scan,
            residual: (!plan.exact).then(|| undecided(filter, exact).to_string()),
            decides_bound: plan.exact && asked.decides_bound,
            reads_deleted: asked.buried,
        }),
    }
}

/// The parts of a filter that a source does not decide by itself, where it is made of parts that all
/// must hold; else the whole.
fn undecided(filter: &Filter, decides: impl Fn(&Filter) -> bool) -> Filter {
    match filter {
        Filter::And(parts) => {
            let left: Vec<Filter> = parts.iter().filter(|part| !decides(part)).cloned().collect();
            // Each part alone may be decided where the whole is not.
            if left.is_empty() { filter.clone() } else { Filter::and(left) }
        }
        filter => filter.clone(),
    }
}
