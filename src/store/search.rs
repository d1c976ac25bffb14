//! Searches over the store alone: the page asked for, or, where SQL cannot tell it, all who may
//! match.
//!
//! A list is walked in runs, each of which an index holds in its order: those without the attribute
//! that is sorted by stand in a run of their own.

use std::sync::Arc;

use super::condition::Condition;
use super::engine::{Query, Row};
use super::resource::columns;
use super::walk::{Run, Step, Way, runs};
use super::{Position, ResourceRow, Search, Start, Store, StoreAnswer, StoreError};

impl Store {
    /// The resources of the tenant that match the filter, or [`StoreAnswer::exact`] false and all who
    /// may match, up to the limit, in no order and from the beginning.
    ///
    /// Linked rows are seen as they were when last written.
    pub async fn search(
        &self,
        tenant: &str,
        search: Search<'_>,
    ) -> Result<StoreAnswer, StoreError> {
        let Search { type_name, filter, rows, sort, limit, owned, .. } = search;
        let condition = Condition::new(tenant, type_name, filter, rows, &self.index);
        let order = runs(&self.index, type_name, sort).filter(|_| condition.exact);
        match order {
            None => {
                let rows = self.all(condition, bounded(limit), owned).await?;
                Ok(StoreAnswer { rows, ..StoreAnswer::default() })
            }
            Some(runs) => self.page(tenant, &condition, &runs, &search).await,
        }
    }

    async fn all(
        &self,
        condition: Condition,
        limit: i64,
        owned: bool,
    ) -> Result<Vec<Arc<ResourceRow>>, StoreError> {
        self.decoded(self.engine.query(everybody(condition, limit)).await?, owned).await
    }

    async fn page(
        &self,
        tenant: &str,
        condition: &Condition,
        runs: &[Run],
        search: &Search<'_>,
    ) -> Result<StoreAnswer, StoreError> {
        // One more tells whether there are more.
        let limit = bounded(search.limit);
        let mut found = if limit > 0 {
            self.walk(condition, runs, search, limit.saturating_add(1)).await?
        } else {
            Vec::new()
        };
        let fits = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = found.len() > fits;
        found.truncate(fits);
        if matches!(search.start, Start::Before(_)) {
            found.reverse();
        }
        let total = if search.count_total {
            let total = match search.start {
                Start::Offset(offset)
                    if !more && limit > 0 && (offset == 0 || !found.is_empty()) =>
                {
                    offset.saturating_add(found.len() as u64)
                }
                Start::Offset(offset) => {
                    let counted = self.count(condition, None).await?;
                    // Somebody may have gone between the two statements.
                    let seen = found.len() as u64;
                    if seen > 0 { counted.max(offset.saturating_add(seen)) } else { counted }
                }
                Start::After(_) | Start::Before(_) => self.count(condition, None).await?,
            };
            Some(total)
        } else {
            None
        };
        let keys: Vec<i64> = found.iter().map(|step| step.key).collect();
        let rows = self.read_with(tenant, &keys, search.owned).await?;
        let last = if found.len() > 1 { found.pop() } else { found.first().cloned() };
        let first = found.into_iter().next();
        Ok(StoreAnswer {
            rows,
            total,
            exact: true,
            first: first.map(|step| step.position),
            last: last.map(|step| step.position),
            more,
        })
    }

    /// Up to `limit` steps from where the search starts, in the order in which they are walked.
    async fn walk(
        &self,
        condition: &Condition,
        runs: &[Run],
        search: &Search<'_>,
        limit: i64,
    ) -> Result<Vec<Step>, StoreError> {
        let (way, position, mut offset) = match search.start {
            Start::Offset(offset) => (Way::Forth, None, bounded(offset)),
            Start::After(position) => (Way::Forth, Some(position), 0),
            Start::Before(position) => (Way::Back, Some(position), 0),
        };
        let ascending = !search.sort.descending;
        let in_order = ascending == (way == Way::Forth);
        let mut order: Vec<&Run> = runs.iter().collect();
        if !in_order {
            order.reverse();
        }
        let mut from = position;
        let begun = match position {
            None => 0,
            Some(position) => {
                let Some(place) = order.iter().position(|run| run.holds(position)) else {
                    return Err(StoreError::Database("no list has this position".to_owned()));
                };
                place
            }
        };
        let mut found: Vec<Step> = Vec::new();
        for run in order.into_iter().skip(begun) {
            let wanted = limit.saturating_sub(i64::try_from(found.len()).unwrap_or(i64::MAX));
            if wanted == 0 {
                break;
            }
            let steps = self.steps(condition, run, (in_order, way), from, offset, wanted).await?;
            if offset > 0 {
                offset = if steps.is_empty() {
                    offset.saturating_sub(bounded(self.count(condition, Some(run)).await?))
                } else {
                    0
                };
            }
            from = None;
            found.extend(steps);
        }
        Ok(found)
    }

    /// Steps through one run: its keys up (`rising`) or down, equal ones by their ids up
    /// ([`Way::Forth`]) or down.
    async fn steps(
        &self,
        condition: &Condition,
        run: &Run,
        (rising, way): (bool, Way),
        from: Option<&Position>,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<Step>, StoreError> {
        let way = run.ids(rising, way);
        let aligned = rising == (way == Way::Forth);
        if aligned || !run.has_keys() || offset > 0 || condition.candidates {
            let query = run.query(condition, (rising, way), from, offset, limit)?;
            return self.ask(run, query).await;
        }
        // The index holds keys and ids in one direction, and here they run against each other. So the
        // rest of the equal ones first, then a stretch of the index whose whole families are turned
        // round, and the one that was cut off is asked for anew.
        let mut found = Vec::new();
        if let Some(from) = from {
            let query = run.family(condition, from, Some(&from.id), way, limit)?;
            found = self.ask(run, query).await?;
        }
        let wanted = limit - i64::try_from(found.len()).unwrap_or(limit);
        if wanted == 0 {
            return Ok(found);
        }
        let query = run.stretch(condition, rising, from, wanted)?;
        let mut stretch = self.ask(run, query).await?;
        let whole = i64::try_from(stretch.len()).unwrap_or(i64::MAX) < wanted;
        if !whole && let Some(last) = stretch.pop() {
            stretch.retain(|step| !step.position.same_key(&last.position));
            let missing = wanted - i64::try_from(stretch.len()).unwrap_or(wanted);
            let query = run.family(condition, &last.position, None, way, missing)?;
            let family = self.ask(run, query).await?;
            turn_families(&mut stretch);
            stretch.extend(family);
        } else {
            turn_families(&mut stretch);
        }
        found.extend(stretch);
        Ok(found)
    }

    async fn ask(&self, run: &Run, query: Query) -> Result<Vec<Step>, StoreError> {
        self.engine.query(query).await?.into_iter().map(|mut row| run.step(&mut row)).collect()
    }

    /// How many rows match in all, or of one run.
    async fn count(&self, condition: &Condition, run: Option<&Run>) -> Result<u64, StoreError> {
        let query = match run {
            Some(run) => run.counted(condition),
            None => Query {
                sql: format!("SELECT COUNT(*) FROM resources r WHERE {}", condition.sql).into(),
                values: condition.values.clone(),
            },
        };
        let mut rows = self.engine.query(query).await?;
        let counted = rows.first_mut().map_or(Ok(0), Row::integer)?;
        Ok(u64::try_from(counted).unwrap_or_default())
    }
}

/// All who may match, in no order.
pub(super) fn everybody(condition: Condition, limit: i64) -> Query {
    let Condition { sql, mut values, .. } = condition;
    values.push(limit.into());
    let sql = format!(
        "SELECT {} FROM resources r LEFT JOIN links l ON l.user_key = r.key \
         WHERE {sql} LIMIT ${}",
        columns!(),
        values.len()
    );
    Query { sql: sql.into(), values }
}

/// Turns the order within each family of equal keys round.
fn turn_families(steps: &mut [Step]) {
    for family in steps.chunk_by_mut(|one, other| one.position.same_key(&other.position)) {
        family.reverse();
    }
}

pub(super) fn bounded(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
