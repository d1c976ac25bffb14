//! Rows that are there because the configuration names them: groups and roles.
//!
//! Knows nothing of files. Whoever starts asks for the same again, several nodes at once perhaps;
//! where all is as it shall be, nothing is written.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use super::engine::{Change, Expect, Failure, Query, Row, Value};
use super::resource::{KEYS, list, select};
use super::{
    NewResource, ResourceRow, ResourceWrite, Store, StoreError, TypeName, UniqueValue, UserType,
    audit, milliseconds,
};
use crate::audit::{Action, AuditRecord, Outcome};
use crate::scim::{Attributes, ResourceType};

/// How often a start tries again where another node was faster.
const ATTEMPTS: usize = 16;

/// What the audit trail names as the caller and the request.
const CALLER: &str = "configuration";
const REQUEST: &str = "start";

/// A resource that the configuration names.
#[derive(Clone, Debug)]
pub struct Configured<'a> {
    pub kind: &'a ResourceType,
    /// Canonical id.
    pub id: &'a str,
    /// What the configuration says of it; whatever else the row holds, stays.
    pub values: Attributes,
    /// The id of the group that it is a member of. Of the one that the configuration named before,
    /// where that is another one, it is a member no more.
    pub parent: Option<&'a str>,
}

/// One of them with what becomes of its row.
struct Planned<'a> {
    configured: &'a Configured<'a>,
    row: Option<Arc<ResourceRow>>,
    /// Where the row is missing or holds something else.
    write: Option<ResourceWrite>,
}

impl Store {
    /// Brings the tenant's rows to what the configuration says, as one change with its audit records:
    /// makes those that are missing, gives the others the values, and makes members of groups. What
    /// the configuration names no more stays as it is.
    ///
    /// # Errors
    /// [`StoreError::Taken`] where an id or a name is another resource's.
    pub async fn configure(
        &self,
        tenant: &str,
        configured: &[Configured<'_>],
    ) -> Result<(), StoreError> {
        for _ in 1..ATTEMPTS {
            match self.configure_once(tenant, configured).await {
                Err(StoreError::Stale) => {}
                done => return done,
            }
        }
        self.configure_once(tenant, configured).await
    }

    /// [`StoreError::Stale`] where somebody else was faster.
    async fn configure_once(
        &self,
        tenant: &str,
        configured: &[Configured<'_>],
    ) -> Result<(), StoreError> {
        let at = self.clock.now();
        let before = self.parents(tenant).await?;
        if configured.is_empty() && before.is_empty() {
            return Ok(());
        }
        let ids = configured.iter().map(|one| one.id);
        let ids: Vec<&str> = ids.chain(before.values().map(String::as_str)).collect();
        let rows = self.rows_with(tenant, &ids).await?;
        let planned = plan(configured, &rows, at)?;
        let mut change = Change::default();
        // Names may pass from one to another.
        for (row, _) in planned.iter().filter_map(|one| one.row.as_ref().zip(one.write.as_ref())) {
            let sql = "UPDATE resources SET owned_name = NULL WHERE key = $1";
            change.push(sql, [row.key.into()], Expect::Any);
        }
        let mut keys: HashMap<&str, Value> = HashMap::with_capacity(planned.len());
        keys.extend(rows.iter().map(|(id, row)| (id.as_str(), row.key.into())));
        let mut ends = Vec::with_capacity(planned.len());
        let begun = change.statements.len();
        for one in &planned {
            let id = one.configured.id;
            match (&one.row, &one.write) {
                (Some(row), Some(write)) => {
                    self.push_update(&mut change, tenant, row, write)?;
                    let record = record(one.configured, Action::Replace, at);
                    audit::push(&mut change, tenant, record, || self.token());
                }
                (None, Some(write)) => {
                    let new = new_resource(one.configured, write, at);
                    let made = self.push_create(&mut change, tenant, &new)?;
                    keys.insert(id, made.key());
                }
                (_, None) => {}
            }
            ends.push(change.statements.len());
        }
        for one in &planned {
            self.push_parent(&mut change, tenant, one, &before, &keys, at);
        }
        let after: BTreeMap<String, String> = configured
            .iter()
            .filter_map(|one| Some((one.id.to_owned(), one.parent?.to_owned())))
            .collect();
        if after != before {
            let text = serde_json::to_string(&after)
                .map_err(|error| StoreError::Database(format!("cannot be written: {error}")))?;
            let sql = "INSERT INTO settings (name, value) VALUES ($1, $2) \
                       ON CONFLICT (name) DO UPDATE SET value = excluded.value";
            change.push(sql, [setting(tenant).into(), text.into()], Expect::Exactly(1));
        }
        if change.statements.is_empty() {
            return Ok(());
        }
        let Err(failure) = self.engine.execute(change).await else { return Ok(()) };
        let Some(statement) = failure.statement() else { return Err(failure.into()) };
        let at_fault = ends.iter().position(|end| statement < *end).filter(|_| statement >= begun);
        match at_fault.map(|place| &planned[place]) {
            Some(one) => Err(self.refused_configured(tenant, one, failure, configured).await),
            // Whoever was to be a member is not there any more.
            None => Err(StoreError::Stale),
        }
    }

    /// Adds what makes a resource a member of its parent, and of the one before no more.
    fn push_parent(
        &self,
        change: &mut Change,
        tenant: &str,
        planned: &Planned<'_>,
        before: &BTreeMap<String, String>,
        keys: &HashMap<&str, Value>,
        at: Timestamp,
    ) {
        let Planned { configured, row, write } = planned;
        let Some(child) = keys.get(configured.id) else { return };
        let is_in = |group: &str| {
            let groups = row.as_ref().map_or(&[][..], |row| &row.groups);
            groups.iter().any(|held| held.direct && held.id == group)
        };
        let joined = configured.parent.filter(|parent| !is_in(parent));
        let former = before.get(configured.id).map(String::as_str);
        let left = former.filter(|former| Some(*former) != configured.parent && is_in(former));
        for (group, sql) in [
            (
                joined,
                "INSERT INTO members (group_key, member_key) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            ),
            (left, "DELETE FROM members WHERE group_key = $1 AND member_key = $2"),
        ] {
            let Some(group) = group.and_then(|group| keys.get(group)) else { continue };
            change.push(sql, [group.clone(), child.clone()], Expect::Any);
            // Whoever is made by this change is new with all members.
            if matches!(group, Value::From { .. }) {
                continue;
            }
            change.push(
                "UPDATE resources SET version = version + 1, last_modified = $1, \
                 shown_modified = $1 WHERE key = $2",
                [milliseconds(at).into(), group.clone()],
                Expect::Exactly(1),
            );
        }
        if write.is_none() && (joined.is_some() || left.is_some()) {
            let record = record(configured, Action::Modify, at);
            audit::push(change, tenant, record, || self.token());
        }
    }

    /// What the failure of a row's statements means.
    async fn refused_configured(
        &self,
        tenant: &str,
        planned: &Planned<'_>,
        failure: Failure,
        configured: &[Configured<'_>],
    ) -> StoreError {
        let Planned { configured: one, row, write: Some(write) } = planned else {
            return failure.into();
        };
        let error = match (row, failure) {
            (Some(_), Failure::Unexpected { .. }) => StoreError::Stale,
            (Some(row), failure) => self.refused_update(tenant, row, write, failure).await,
            (None, failure) => {
                self.refused_new(tenant, &new_resource(one, write, write.at), failure).await
            }
        };
        match error {
            // Another node made it a moment ago.
            StoreError::Taken { id, .. } if configured.iter().any(|other| other.id == id) => {
                StoreError::Stale
            }
            error => error,
        }
    }

    /// Which parents the configuration named before.
    async fn parents(&self, tenant: &str) -> Result<BTreeMap<String, String>, StoreError> {
        let query =
            Query::new("SELECT value FROM settings WHERE name = $1", [setting(tenant).into()]);
        let mut rows = self.engine.query(query).await?;
        let Some(text) = rows.first_mut().map(Row::text).transpose()? else {
            return Ok(BTreeMap::new());
        };
        serde_json::from_str(&text)
            .map_err(|error| StoreError::Database(format!("a setting holds no JSON: {error}")))
    }

    /// The rows with these canonical ids.
    async fn rows_with(
        &self,
        tenant: &str,
        ids: &[&str],
    ) -> Result<HashMap<String, Arc<ResourceRow>>, StoreError> {
        let mut found = HashMap::with_capacity(ids.len());
        for chunk in ids.chunks(KEYS) {
            let mut values = vec![tenant.into()];
            let names = list(&mut values, chunk.iter().map(|id| (*id).into()));
            let sql = format!("{}{names})", select!("r.id IN ("));
            let rows = self.engine.query(Query { sql: sql.into(), values }).await?;
            found.extend(self.rows(rows).await?.into_iter().map(|row| (row.id.clone(), row)));
        }
        Ok(found)
    }
}

fn plan<'a>(
    configured: &'a [Configured<'_>],
    rows: &HashMap<String, Arc<ResourceRow>>,
    at: Timestamp,
) -> Result<Vec<Planned<'a>>, StoreError> {
    let plan_one = |one: &'a Configured<'_>| {
        let row = rows.get(one.id).cloned();
        if row.as_ref().is_some_and(|row| row.type_name.as_str() != one.kind.name) {
            return Err(StoreError::Taken { attribute: "id".to_owned(), id: one.id.to_owned() });
        }
        let mut own = row.as_ref().map(|row| row.own.clone()).unwrap_or_default();
        own.extend(one.values.clone());
        let same = row.as_ref().is_some_and(|row| row.own == own);
        let write = (!same).then(|| ResourceWrite {
            view: own.clone(),
            owns_name: true,
            owns_external_id: false,
            unique: UniqueValue::all(one.kind, &own),
            own,
            link: None,
            settles: None,
            at,
        });
        Ok(Planned { configured: one, row, write })
    };
    configured.iter().map(plan_one).collect()
}

fn new_resource<'a>(
    configured: &'a Configured<'_>,
    write: &'a ResourceWrite,
    at: Timestamp,
) -> NewResource<'a> {
    NewResource {
        type_name: TypeName::new(&configured.kind.name),
        id: configured.id,
        user_type: UserType::Ftress,
        write,
        revive: false,
        record: record(configured, Action::Create, at),
    }
}

fn record(configured: &Configured<'_>, action: Action, at: Timestamp) -> AuditRecord {
    AuditRecord {
        at,
        caller: CALLER.to_owned(),
        actor: None,
        kind: configured.kind.name.clone(),
        action,
        outcome: Outcome::Success,
        subject: configured.id.to_owned(),
        request_id: REQUEST.to_owned(),
        correlation_id: None,
        detail: None,
    }
}

/// The name under which the parents stand among the settings.
fn setting(tenant: &str) -> String {
    format!("parents of {tenant}")
}
