//! Rows of an import that are done together: that they are done, and the users that they make, are one
//! change, so that no row is done twice and none is lost.

use std::collections::HashMap;
use std::ops::Range;

use super::super::engine::{Change, Datum, Expect, Query, Value};
use super::super::resource::{KEYS, list};
use super::super::write::{owned_external_id, owned_name, push_row};
use super::super::{NewResource, ResourceRow, ResourceWrite, Store, StoreError, TypeName, audit};
use super::{FAULTS, ImportCounts, ImportFault, ImportRow, ImportState, place};

/// Rows that are done together.
#[derive(Debug)]
pub struct ImportBatch<'a> {
    /// The import as it was before.
    pub import: &'a ImportRow,
    /// What is counted afterwards.
    pub after: ImportCounts,
    pub faults: &'a [ImportFault],
    pub new: &'a [NewResource<'a>],
    /// Authenticators that are made with them, each with its owner's place in `new`.
    pub owned: &'a [(usize, NewResource<'a>)],
    /// One for each in `new`, which become members of the group, and then for each in `owned`, at
    /// least.
    pub numbers: &'a Numbers,
    pub group: i64,
    /// Where the part begins that the rows stand in: the parts before are of no use any more.
    pub part: u64,
}

/// Numbers of a tenant's sequence that nobody else gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// The tenant's key.
    tenant: i64,
    numbers: Range<i64>,
}

impl Numbers {
    /// How many are left.
    pub fn left(&self) -> usize {
        usize::try_from(self.numbers.end - self.numbers.start).unwrap_or(0)
    }

    /// Takes so many out of it.
    pub fn spend(&mut self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.numbers.start = self.numbers.start.saturating_add(count).min(self.numbers.end);
    }
}

/// Why a batch was not done; nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum ImportRefusal {
    /// One of the new resources cannot be made, by its place among them.
    #[error("the resource {place} is refused: {error}")]
    Row { place: usize, error: StoreError },
    /// The import is not as it was: cancelled, or others are at work on it.
    #[error("the import is not as it was")]
    Passed,
    #[error("there is no such group any more")]
    NoGroup,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a new user's name or `externalId` collides with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    pub attribute: &'static str,
    /// Who has it; `None` where it is one of those that were asked about before.
    pub id: Option<String>,
}

impl Store {
    /// Reserves `count` numbers of the tenant's sequence.
    pub async fn reserve_numbers(&self, tenant: &str, count: u32) -> Result<Numbers, StoreError> {
        let mut change = Change::default();
        let reserved = change.push(
            "INSERT INTO tenants (name, last_number) VALUES ($1, 10000 + CAST($2 AS BIGINT)) \
             ON CONFLICT (name) DO UPDATE \
             SET last_number = tenants.last_number + CAST($2 AS BIGINT) \
             RETURNING key, last_number",
            [tenant.into(), i64::from(count).into()],
            Expect::Exactly(1),
        );
        let mut row = self.engine.execute_behind(change).await?.row(reserved)?;
        let (tenant, last) = (row.integer()?, row.integer()?);
        Ok(Numbers { tenant, numbers: last + 1 - i64::from(count)..last + 1 })
    }

    /// What keeps each of these new users from being made, as far as names and `externalId`s that the
    /// store owns do; those that come later collide with those before.
    pub async fn clashes(
        &self,
        tenant: &str,
        writes: &[&ResourceWrite],
    ) -> Result<Vec<Option<Clash>>, StoreError> {
        let claims: Vec<[Option<String>; 2]> = writes
            .iter()
            .map(|write| [owned_name(&TypeName::User, write), owned_external_id(write)])
            .collect();
        let mut held: [HashMap<String, Option<String>>; 2] = Default::default();
        for (place, column) in ["owned_name", "owned_external_id"].into_iter().enumerate() {
            let wanted: Vec<&String> =
                claims.iter().filter_map(|claim| claim[place].as_ref()).collect();
            for chunk in wanted.chunks(KEYS) {
                let mut parameters = vec![tenant.into(), TypeName::User.as_str().into()];
                let names = list(&mut parameters, chunk.iter().map(|value| value.as_str().into()));
                let sql = format!(
                    "SELECT {column}, id FROM resources \
                     WHERE tenant = (SELECT key FROM tenants WHERE name = $1) \
                     AND type = $2 AND {column} IN ({names})"
                );
                let query = Query { sql: sql.into(), values: parameters };
                for mut row in self.engine.query(query).await? {
                    held[place].insert(row.text()?, Some(row.text()?));
                }
            }
        }
        let mut clashes = Vec::with_capacity(claims.len());
        for claim in claims {
            let mut attributes = ["userName", "externalId"].into_iter().zip(&claim).zip(&held);
            let clash = attributes.find_map(|((attribute, value), held)| {
                let id = held.get(value.as_ref()?)?.clone();
                Some(Clash { attribute, id })
            });
            // Who is refused holds nothing against those that come later.
            if clash.is_none() {
                for (held, value) in held.iter_mut().zip(claim) {
                    held.extend(value.map(|value| (value, None)));
                }
            }
            clashes.push(clash);
        }
        Ok(clashes)
    }

    /// Does a batch, and gives the users that it made, and then what they own.
    pub async fn import_batch(
        &self,
        batch: &ImportBatch<'_>,
    ) -> Result<Vec<ResourceRow>, ImportRefusal> {
        let ImportBatch { import, new, owned, numbers, .. } = batch;
        let tenant = &*import.tenant;
        // Each with the place of the user without whom it is not made.
        let owned = owned.iter().map(|(owner, new)| (*owner, new));
        let all: Vec<(usize, &NewResource<'_>)> = new.iter().enumerate().chain(owned).collect();
        let mut change = Change::default();
        let at = self.instant();
        let counted = push_counts(&mut change, batch, at);
        push_faults(&mut change, batch);
        let tenant_key = Value::from(numbers.tenant);
        // First all rows, then all that needs their keys: sent in two goes.
        let first = change.statements.len();
        for ((_, new), number) in all.iter().zip(numbers.numbers.clone()) {
            push_row(&mut change, &tenant_key, number.into(), new)?;
        }
        let persons = self.push_persons(&mut change, tenant, &all);
        let grouped = (!new.is_empty()).then(|| push_group(&mut change, batch, at));
        let mut ends = Vec::with_capacity(all.len());
        for (row, ((owner, new), (person, actor))) in all.iter().zip(persons).enumerate() {
            let key_of = |row| Value::From { statement: first + row, column: 0 };
            self.push_belongings(&mut change, &tenant_key, &key_of(row), new)?;
            audit::push_record(&mut change, tenant, new.record.clone(), person, actor);
            let (sql, of) = if *owner == row {
                let sql = "INSERT INTO members (group_key, member_key) VALUES ($1, $2)";
                (sql, batch.group.into())
            } else {
                let sql = "INSERT INTO owners (owner_key, resource_key) VALUES ($1, $2)";
                (sql, key_of(*owner))
            };
            change.push(sql, [of, key_of(row)], Expect::Exactly(1));
            ends.push(change.statements.len());
        }
        let failure = match self.engine.execute_behind(change).await {
            Ok(returned) => {
                let rows = (first..).zip(&all).zip(numbers.numbers.clone());
                let made = rows.map(|((statement, (_, new)), number)| {
                    new.row(returned.row(statement)?.integer()?, number)
                });
                return Ok(made.collect::<Result<_, _>>()?);
            }
            Err(failure) => failure,
        };
        let Some(at) = failure.statement() else { return Err(StoreError::from(failure).into()) };
        if at == counted {
            return Err(ImportRefusal::Passed);
        }
        if Some(at) == grouped {
            return Err(ImportRefusal::NoGroup);
        }
        let of_row = (first..first + all.len()).contains(&at).then(|| at - first);
        let of_belongings = || ends.iter().position(|end| at < *end);
        match of_row.or_else(of_belongings).and_then(|row| all.get(row)) {
            Some((place, new)) => {
                let error = self.refused_new(tenant, new, failure).await;
                Err(ImportRefusal::Row { place: *place, error })
            }
            None => Err(StoreError::from(failure).into()),
        }
    }
}

impl Store {
    /// What stands in the audit trail for each new resource, and for who called.
    fn push_persons(
        &self,
        change: &mut Change,
        tenant: &str,
        all: &[(usize, &NewResource<'_>)],
    ) -> Vec<(Value, Value)> {
        let caller = all.first().and_then(|(_, new)| new.record.actor.clone());
        let actor = match caller {
            Some(caller) => audit::push_person(change, tenant, caller, self.token()),
            None => Value::Known(Datum::Null),
        };
        let persons = all.iter().map(|(_, new)| {
            let person = new.record.subject.clone();
            (audit::push_person(change, tenant, person, self.token()), actor.clone())
        });
        persons.collect()
    }
}

/// The counts, if they are still what they were: whoever else is at work on the import, only one of
/// them gets through.
fn push_counts(change: &mut Change, batch: &ImportBatch<'_>, at: i64) -> usize {
    let ImportBatch { import, after, part, .. } = batch;
    let counted = change.push(
        "UPDATE imports SET imported = $1, existed = $2, failed = $3, touched = $4 \
         WHERE key = $5 AND state = $6 AND imported + existed + failed = $7",
        [
            place(after.imported).into(),
            place(after.existed).into(),
            place(after.failed).into(),
            at.into(),
            import.key.into(),
            ImportState::Queued.number().into(),
            place(import.counts.processed()).into(),
        ],
        Expect::Exactly(1),
    );
    if *part == import.counts.processed() {
        change.push(
            "DELETE FROM import_parts WHERE import_key = $1 AND first < $2",
            [import.key.into(), place(*part).into()],
            Expect::Any,
        );
    }
    counted
}

fn push_faults(change: &mut Change, batch: &ImportBatch<'_>) {
    let ImportBatch { import, faults, .. } = batch;
    let kept = FAULTS.saturating_sub(import.counts.existed + import.counts.failed);
    for fault in faults.iter().take(usize::try_from(kept).unwrap_or(usize::MAX)) {
        change.push(
            "INSERT INTO import_faults (import_key, place, name, existed, kind, detail) \
             VALUES ($1, $2, $3, $4, $5, $6)",
            [
                import.key.into(),
                place(fault.place).into(),
                fault.name.as_deref().into(),
                i64::from(fault.existed).into(),
                fault.kind.as_deref().into(),
                fault.detail.as_str().into(),
            ],
            Expect::Exactly(1),
        );
    }
}

/// A group whose members change has a new version.
fn push_group(change: &mut Change, batch: &ImportBatch<'_>, at: i64) -> usize {
    change.push(
        "UPDATE resources SET version = version + 1, last_modified = $1, shown_modified = $1 \
         WHERE key = $2 AND type = $3 AND tenant = $4",
        [
            at.into(),
            batch.group.into(),
            TypeName::Group.as_str().into(),
            batch.numbers.tenant.into(),
        ],
        Expect::Exactly(1),
    )
}
