//! Whose a device or an authenticator is, and what a user has: as it is read, and as it is changed
//! together with a row.

use std::collections::HashMap;

use super::engine::{Change, Expect, Failure, Query, Returned, Value};
use super::resource::{KEYS, list};
use super::write::{Made, rewritten};
use super::{
    Joining, NewResource, ResourceRow, ResourceWrite, Store, StoreError, TypeName, audit,
    milliseconds,
};
use crate::audit::AuditRecord;
use crate::scim::Attributes;

/// The user whose a device or an authenticator is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Internal key.
    pub key: i64,
    /// Canonical id.
    pub id: String,
    /// The `activid` dialect's id.
    pub number: i64,
    /// The user's `userName`, as last written.
    pub user_name: Option<String>,
}

/// A device or an authenticator that a user has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owned {
    /// Internal key.
    pub key: i64,
    pub type_name: TypeName,
    /// Canonical id; of an authenticator the owner's, a dot, and the policy.
    pub id: String,
    /// The `activid` dialect's id of a device.
    pub number: i64,
    pub external_id: Option<String>,
    pub friendly_name: Option<String>,
}

/// What becomes of who has what, by the change of a row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ownership<'a> {
    /// Of a device or an authenticator: whose it is afterwards.
    pub owner: NewOwner<'a>,
    /// Of an authenticator: the password's hash, in the PHC string format.
    pub password: Option<&'a str>,
    /// Of a user: internal keys of devices without an owner that become the user's.
    pub assign: &'a [i64],
    /// Of a user: internal keys of devices that are no longer the user's.
    pub unassign: &'a [i64],
    /// Of a user: authenticators that are made.
    pub make: &'a [NewResource<'a>],
    /// Of a user: internal keys of authenticators that go.
    pub remove: &'a [i64],
    /// Of a user: the groups that it joins and leaves.
    pub joining: Option<&'a Joining>,
    /// What is written down of devices that come and go.
    pub records: &'a [AuditRecord],
}

/// Whose something is after a change.
#[derive(Clone, Copy, Debug, Default)]
pub enum NewOwner<'a> {
    /// Whose it was.
    #[default]
    Same,
    Nobody,
    /// The user with this internal key.
    Row(i64),
    /// A directory person without a row, who gets one by the same change.
    Bound(&'a NewResource<'a>),
}

/// What came of a change of who has what.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The row itself; what it has, and whose it is, as it was before.
    pub row: ResourceRow,
    /// The rows that were made beside it.
    pub further: Vec<ResourceRow>,
}

/// Where the statements of an ownership stand that may be refused for a reason of their own.
struct Pushed {
    /// What is made, and the statement after it.
    made: Vec<(Made, usize)>,
    bound: Option<(Made, usize)>,
}

impl Store {
    /// Makes a row as [`Store::create`] does, with what it owns or whose it is.
    /// [`StoreError::Stale`] where a device or a user is not what it was when it was read.
    pub async fn create_owning(
        &self,
        tenant: &str,
        new: NewResource<'_>,
        ownership: Ownership<'_>,
    ) -> Result<Changed, StoreError> {
        let mut change = Change::default();
        let made = self.push_create(&mut change, tenant, &new)?;
        let first = change.statements.len();
        let at = milliseconds(new.write.at);
        let pushed = self.push_ownership(&mut change, tenant, &made.key(), ownership, at)?;
        match self.engine.execute(change).await {
            Ok(returned) => Ok(Changed {
                row: made.row(&new, &returned)?,
                further: pushed.rows(ownership, &returned)?,
            }),
            Err(failure) if failure.statement().is_some_and(|statement| statement < first) => {
                Err(self.refused_new(tenant, &new, failure).await)
            }
            Err(failure) => Err(self.refused_ownership(tenant, &pushed, ownership, failure).await),
        }
    }

    /// Changes a row as [`Store::update`] does, with what it owns or whose it is.
    /// [`StoreError::Stale`] also where a device or a user is not what it was when it was read.
    pub async fn update_owning(
        &self,
        tenant: &str,
        row: &ResourceRow,
        write: &ResourceWrite,
        ownership: Ownership<'_>,
        record: AuditRecord,
    ) -> Result<Changed, StoreError> {
        let mut change = Change::default();
        let updated = self.push_update(&mut change, tenant, row, write)?;
        let first = change.statements.len();
        let at = milliseconds(write.at);
        let pushed = self.push_ownership(&mut change, tenant, &row.key.into(), ownership, at)?;
        audit::push(&mut change, tenant, record, || self.token());
        match self.engine.execute(change).await {
            Ok(returned) => Ok(Changed {
                row: rewritten(row, write, &mut returned.row(updated)?)?,
                further: pushed.rows(ownership, &returned)?,
            }),
            Err(Failure::Unexpected { statement, .. }) if statement == updated => {
                Err(StoreError::Stale)
            }
            Err(failure) if failure.statement().is_some_and(|statement| statement < first) => {
                Err(self.refused_update(tenant, row, write, failure).await)
            }
            Err(failure) => Err(self.refused_ownership(tenant, &pushed, ownership, failure).await),
        }
    }

    /// Adds the statements that make a device or an authenticator of the user with the key `owner` to
    /// `change`: for whoever makes users with what they have.
    pub(super) fn push_owned(
        &self,
        change: &mut Change,
        tenant: &str,
        owner: &Value,
        new: &NewResource<'_>,
    ) -> Result<Made, StoreError> {
        let made = self.push_create(change, tenant, new)?;
        change.push(
            "INSERT INTO owners (resource_key, owner_key) VALUES ($1, $2)",
            [made.key(), owner.clone()],
            Expect::Exactly(1),
        );
        Ok(made)
    }

    /// Adds the statements that change who has what to `change`; `key` is the row's that is made or
    /// changed.
    fn push_ownership(
        &self,
        change: &mut Change,
        tenant: &str,
        key: &Value,
        ownership: Ownership<'_>,
        at: i64,
    ) -> Result<Pushed, StoreError> {
        let mut bound = None;
        let owner = match ownership.owner {
            NewOwner::Same => None,
            NewOwner::Nobody => {
                let sql = "DELETE FROM owners WHERE resource_key = $1";
                change.push(sql, [key.clone()], Expect::Any);
                None
            }
            NewOwner::Row(owner) => Some(owner.into()),
            NewOwner::Bound(new) => {
                let made = self.push_create(change, tenant, new)?;
                let owner = made.key();
                bound = Some((made, change.statements.len()));
                Some(owner)
            }
        };
        if let Some(owner) = owner {
            change.push(
                "INSERT INTO owners (resource_key, owner_key) VALUES ($1, $2) \
                 ON CONFLICT (resource_key) DO UPDATE SET owner_key = excluded.owner_key",
                [key.clone(), owner],
                Expect::Exactly(1),
            );
        }
        if let Some(hash) = ownership.password {
            change.push(
                "INSERT INTO passwords (resource_key, hash, changed) VALUES ($1, $2, $3) \
                 ON CONFLICT (resource_key) DO UPDATE SET hash = excluded.hash, \
                 changed = excluded.changed",
                [key.clone(), hash.into(), at.into()],
                Expect::Exactly(1),
            );
        }
        for device in ownership.unassign {
            change.push(
                "DELETE FROM owners WHERE resource_key = $1 AND owner_key = $2",
                [(*device).into(), key.clone()],
                Expect::Exactly(1),
            );
            push_touched(change, *device, at);
        }
        for device in ownership.assign {
            // Whoever has it by now violates the primary key, and the change fails.
            change.push(
                "INSERT INTO owners (resource_key, owner_key) VALUES ($1, $2)",
                [(*device).into(), key.clone()],
                Expect::Exactly(1),
            );
            push_touched(change, *device, at);
        }
        for authenticator in ownership.remove {
            let sql = "DELETE FROM resources WHERE key = $1";
            change.push(sql, [(*authenticator).into()], Expect::Exactly(1));
        }
        let mut made = Vec::with_capacity(ownership.make.len());
        for new in ownership.make {
            let one = self.push_owned(change, tenant, key, new)?;
            made.push((one, change.statements.len()));
        }
        if let Some(joining) = ownership.joining {
            joining.push(change, key, at);
        }
        for record in ownership.records {
            audit::push(change, tenant, record.clone(), || self.token());
        }
        Ok(Pushed { made, bound })
    }

    /// What the failure of a change of who has what means.
    async fn refused_ownership(
        &self,
        tenant: &str,
        pushed: &Pushed,
        ownership: Ownership<'_>,
        failure: Failure,
    ) -> StoreError {
        let Some(statement) = failure.statement() else { return failure.into() };
        match pushed.of(ownership).find(|((made, next), _)| made.has(statement, *next)) {
            Some((_, new)) => self.refused_new(tenant, new, failure).await,
            // Whoever was to come or to go is not what it was a moment before.
            None => StoreError::Stale,
        }
    }

    /// What each of these users has, in the order of the numbers.
    pub(super) async fn owned(
        &self,
        users: &[i64],
    ) -> Result<HashMap<i64, Vec<Owned>>, StoreError> {
        let mut found: HashMap<i64, Vec<Owned>> = HashMap::new();
        for chunk in users.chunks(KEYS) {
            let mut values = Vec::new();
            let keys = list(&mut values, chunk.iter().map(|key| (*key).into()));
            let sql = format!(
                "SELECT o.owner_key, r.key, r.type, r.id, r.number, r.own \
                 FROM owners o JOIN resources r ON r.key = o.resource_key \
                 WHERE o.owner_key IN ({keys}) ORDER BY o.owner_key, r.number"
            );
            for mut row in self.engine.query(Query { sql: sql.into(), values }).await? {
                let (owner, key) = (row.integer()?, row.integer()?);
                let (type_name, id) = (TypeName::new(&row.text()?), row.text()?);
                let (number, own) = (row.integer()?, attributes(&row.text()?)?);
                found.entry(owner).or_default().push(Owned {
                    key,
                    type_name,
                    id,
                    number,
                    external_id: text(&own, "externalId"),
                    friendly_name: text(&own, "friendlyName"),
                });
            }
        }
        Ok(found)
    }

    /// Whose these devices and authenticators are.
    pub(super) async fn owners(&self, keys: &[i64]) -> Result<HashMap<i64, Owner>, StoreError> {
        let mut found = HashMap::new();
        for chunk in keys.chunks(KEYS) {
            let mut values = Vec::new();
            let keys = list(&mut values, chunk.iter().map(|key| (*key).into()));
            let sql = format!(
                "SELECT o.resource_key, r.key, r.id, r.number, COALESCE(r.view, r.own) \
                 FROM owners o JOIN resources r ON r.key = o.owner_key \
                 WHERE o.resource_key IN ({keys})"
            );
            for mut row in self.engine.query(Query { sql: sql.into(), values }).await? {
                let (owned, key) = (row.integer()?, row.integer()?);
                let (id, number) = (row.text()?, row.integer()?);
                let user_name = text(&attributes(&row.text()?)?, "userName");
                found.insert(owned, Owner { key, id, number, user_name });
            }
        }
        Ok(found)
    }
}

impl Pushed {
    /// Where each row is made, the statement after that, and the row.
    fn of<'a>(
        &'a self,
        ownership: Ownership<'a>,
    ) -> impl Iterator<Item = (&'a (Made, usize), &'a NewResource<'a>)> {
        let bound = match ownership.owner {
            NewOwner::Bound(new) => self.bound.as_ref().map(|bound| (bound, new)),
            _ => None,
        };
        self.made.iter().zip(ownership.make).chain(bound)
    }

    fn rows(
        &self,
        ownership: Ownership<'_>,
        returned: &Returned,
    ) -> Result<Vec<ResourceRow>, StoreError> {
        self.of(ownership).map(|((made, _), new)| made.row(new, returned)).collect()
    }
}

impl From<&ResourceRow> for Owned {
    fn from(row: &ResourceRow) -> Self {
        Self {
            key: row.key,
            type_name: row.type_name.clone(),
            id: row.id.clone(),
            number: row.number,
            external_id: text(&row.own, "externalId"),
            friendly_name: text(&row.own, "friendlyName"),
        }
    }
}

/// Adds the statements by which a user who goes leaves what he has: his devices are nobody's then,
/// his authenticators go with him.
pub(super) fn push_left(change: &mut Change, user: i64, at: i64) {
    change.push(
        "DELETE FROM resources WHERE key IN (SELECT o.resource_key FROM owners o \
         JOIN resources a ON a.key = o.resource_key \
         WHERE o.owner_key = $1 AND a.type = 'Authenticator')",
        [user.into()],
        Expect::Any,
    );
    change.push(
        "UPDATE resources SET version = version + 1, last_modified = $1, shown_modified = $1 \
         WHERE key IN (SELECT o.resource_key FROM owners o WHERE o.owner_key = $2)",
        [at.into(), user.into()],
        Expect::Any,
    );
}

/// The statement by which a device has another version, as its owner is another one.
fn push_touched(change: &mut Change, device: i64, at: i64) {
    change.push(
        "UPDATE resources SET version = version + 1, last_modified = $1, shown_modified = $1 \
         WHERE key = $2",
        [at.into(), device.into()],
        Expect::Exactly(1),
    );
}

fn attributes(json: &str) -> Result<Attributes, StoreError> {
    serde_json::from_str(json)
        .map_err(|error| StoreError::Database(format!("a row holds no JSON: {error}")))
}

fn text(attributes: &Attributes, name: &str) -> Option<String> {
    attributes.get(name)?.as_str().map(str::to_owned)
}
