//! Rows as they are made, changed and removed, each with all that hangs on it as one atomic change.

use std::sync::Arc;

use super::engine::{Change, Expect, Failure, Returned, Row, Value};
use super::resource::{encode, user_type};
use super::{
    LinkRow, NewResource, ResourceRow, ResourceWrite, Store, StoreError, TypeName, UserType, audit,
    gift, index, intent, link, milliseconds, owner, timestamp, unique,
};
use crate::audit::AuditRecord;
use crate::scim::Attributes;

impl Store {
    /// Makes a row with the next number of the tenant's sequence, and its link where it has one.
    pub async fn create(
        &self,
        tenant: &str,
        new: NewResource<'_>,
    ) -> Result<ResourceRow, StoreError> {
        let mut change = Change::default();
        let made = self.push_create(&mut change, tenant, &new)?;
        match self.engine.execute(change).await {
            Ok(returned) => made.row(&new, &returned),
            Err(failure) => Err(self.refused_new(tenant, &new, failure).await),
        }
    }

    /// Adds the statements that make a row to `change`.
    pub(super) fn push_create(
        &self,
        change: &mut Change,
        tenant: &str,
        new: &NewResource<'_>,
    ) -> Result<Made, StoreError> {
        let numbered = change.push(
            "INSERT INTO tenants (name, last_number) VALUES ($1, 10001) \
             ON CONFLICT (name) DO UPDATE SET last_number = tenants.last_number + 1 \
             RETURNING key, last_number",
            [tenant.into()],
            Expect::Exactly(1),
        );
        let tenant_key = Value::From { statement: numbered, column: 0 };
        let number = Value::From { statement: numbered, column: 1 };
        let inserted = push_row(change, &tenant_key, number, new)?;
        intent::push_settled(change, new.write.settles.as_deref());
        let made = Made { numbered, inserted };
        self.push_belongings(change, &tenant_key, &made.key(), new)?;
        audit::push(change, tenant, new.record.clone(), || self.token());
        Ok(made)
    }

    /// Adds the statements for all that hangs on a new row, which has this key, to `change`: its link,
    /// and what it is found by.
    pub(super) fn push_belongings(
        &self,
        change: &mut Change,
        tenant_key: &Value,
        key: &Value,
        new: &NewResource<'_>,
    ) -> Result<(), StoreError> {
        let NewResource { type_name, id, write, revive, .. } = new;
        if let Some(linked) = &write.link {
            link::push_new(change, tenant_key, key, linked, *revive)?;
            gift::push(change, key, linked);
        }
        let rows = self.index.rows(type_name, id, &write.view);
        index::insert(change, key, tenant_key, rows, "");
        unique::push(change, tenant_key, key, type_name, &write.unique, true);
        Ok(())
    }

    /// Puts `write` in the place of what `row` holds. [`StoreError::Stale`] where it has another
    /// version than `row`, or is gone.
    pub async fn update(
        &self,
        tenant: &str,
        row: &ResourceRow,
        write: &ResourceWrite,
        record: AuditRecord,
    ) -> Result<ResourceRow, StoreError> {
        let mut change = Change::default();
        let updated = self.push_update(&mut change, tenant, row, write)?;
        audit::push(&mut change, tenant, record, || self.token());
        match self.engine.execute(change).await {
            Ok(returned) => rewritten(row, write, &mut returned.row(updated)?),
            Err(Failure::Unexpected { statement, .. }) if statement == updated => {
                Err(StoreError::Stale)
            }
            Err(failure) => Err(self.refused_update(tenant, row, write, failure).await),
        }
    }

    /// Adds the statements that put `write` in the place of what `row` holds to `change`, and gives
    /// the first one's place, which is [`Failure::Unexpected`] where the row is another one by now.
    pub(super) fn push_update(
        &self,
        change: &mut Change,
        tenant: &str,
        row: &ResourceRow,
        write: &ResourceWrite,
    ) -> Result<usize, StoreError> {
        let held = Held::of(&row.type_name, write)?;
        let linked = write.link.as_ref().map(|_| UserType::FtressLdap.number());
        let updated = change.push(
            // A row that loses its link becomes a local one.
            "UPDATE resources SET version = version + 1, \
             user_type = COALESCE($1, CASE WHEN user_type = 1 THEN 0 ELSE user_type END), \
             last_modified = $2, shown_modified = $3, name_absent = $4, name = $5, name_rest = $6, \
             display = $7, owned_name = $8, owned_external_id = $9, own = $10, view = $11 \
             WHERE key = $12 AND version = $13 \
             AND tenant = (SELECT key FROM tenants WHERE name = $14) \
             RETURNING user_type, version, tenant",
            [
                linked.into(),
                milliseconds(write.at).into(),
                held.shown_modified.into(),
                held.name_absent.into(),
                held.name.into(),
                held.name_rest.into(),
                held.display.into(),
                held.owned_name.into(),
                held.owned_external_id.into(),
                held.own.into(),
                held.view.into(),
                row.key.into(),
                row.version.into(),
                tenant.into(),
            ],
            Expect::Exactly(1),
        );
        let tenant_key = Value::From { statement: updated, column: 2 };
        intent::push_settled(change, write.settles.as_deref());
        let (old, new) = (row.link.as_ref(), write.link.as_ref());
        link::push_replaced(change, &tenant_key, row.key, old, new)?;
        if self.gives() {
            gift::push_replaced(change, &row.key.into(), write.link.as_ref());
        }
        let sql = "DELETE FROM attributes WHERE resource_key = $1";
        change.push(sql, [row.key.into()], Expect::Any);
        let rows = self.index.rows(&row.type_name, &row.id, &write.view);
        index::insert(change, &row.key.into(), &tenant_key, rows, "");
        let key = row.key.into();
        unique::push(change, &tenant_key, &key, &row.type_name, &write.unique, false);
        Ok(updated)
    }

    /// Removes the row with all that belongs to it. Its link becomes a tombstone, without anything
    /// of the person but the entry key, or goes too; so do a user's authenticators, while devices stay
    /// as nobody's. [`StoreError::Stale`] as in [`Store::update`].
    ///
    /// Gives the internal keys of the groups that the row was a member of: they have a new version.
    /// Of who is beneath a group that goes, [`Store::beneath`] tells before.
    pub async fn delete(
        &self,
        tenant: &str,
        row: &ResourceRow,
        tombstone: bool,
        record: AuditRecord,
    ) -> Result<Vec<i64>, StoreError> {
        let at = milliseconds(record.at);
        let mut change = Change::default();
        let left = change.push(
            "UPDATE resources SET version = version + 1, last_modified = $1, shown_modified = $1 \
             WHERE key IN (SELECT m.group_key FROM members m WHERE m.member_key = $2) \
             RETURNING key",
            [at.into(), row.key.into()],
            Expect::Any,
        );
        if row.type_name == TypeName::User {
            owner::push_left(&mut change, row.key, at);
        }
        link::push_removed(&mut change, row.key, tombstone.then_some(at));
        let deleted = change.push(
            "DELETE FROM resources WHERE key = $1 AND version = $2 \
             AND tenant = (SELECT key FROM tenants WHERE name = $3)",
            [row.key.into(), row.version.into(), tenant.into()],
            Expect::Exactly(1),
        );
        self.push_departed(&mut change, tenant, row, at).await?;
        audit::push(&mut change, tenant, record, || self.token());
        match self.engine.execute(change).await {
            Ok(returned) => returned.rows(left).map(|mut row| Ok(row.integer()?)).collect(),
            Err(Failure::Unexpected { statement, .. }) if statement == deleted => {
                Err(StoreError::Stale)
            }
            Err(failure) => Err(failure.into()),
        }
    }

    pub(super) fn token(&self) -> String {
        self.clock.new_token().simple().to_string()
    }
}

/// Adds the statement that inserts a row to `change`, and gives its place; it returns the key.
pub(super) fn push_row(
    change: &mut Change,
    tenant_key: &Value,
    number: Value,
    new: &NewResource<'_>,
) -> Result<usize, StoreError> {
    let NewResource { type_name, id, write, .. } = new;
    let at = milliseconds(write.at);
    let held = Held::of(type_name, write)?;
    Ok(change.push(
        "INSERT INTO resources (tenant, type, id, number, user_type, version, created, \
         last_modified, shown_modified, name_absent, name, name_rest, display, owned_name, \
         owned_external_id, own, view) \
         VALUES ($1, $2, $3, $4, $5, 1, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
         RETURNING key",
        [
            tenant_key.clone(),
            type_name.as_str().into(),
            (*id).into(),
            number,
            new.given_type().number().into(),
            at.into(),
            at.into(),
            held.shown_modified.into(),
            held.name_absent.into(),
            held.name.into(),
            held.name_rest.into(),
            held.display.into(),
            held.owned_name.into(),
            held.owned_external_id.into(),
            held.own.into(),
            held.view.into(),
        ],
        Expect::Exactly(1),
    ))
}

impl NewResource<'_> {
    fn given_type(&self) -> UserType {
        if self.write.link.is_some() { UserType::FtressLdap } else { self.user_type }
    }
}

/// Where the statements stand that make a row.
pub(super) struct Made {
    /// Gives the tenant's key and the row's number.
    numbered: usize,
    /// Gives the row's key.
    inserted: usize,
}

impl Made {
    pub(super) fn key(&self) -> Value {
        Value::From { statement: self.inserted, column: 0 }
    }

    /// Whether a statement of a change is one of those that make the row; others follow it from
    /// `next` on.
    pub(super) fn has(&self, statement: usize, next: usize) -> bool {
        (self.numbered..next).contains(&statement)
    }

    /// The row that was made.
    pub(super) fn row(
        &self,
        new: &NewResource<'_>,
        returned: &Returned,
    ) -> Result<ResourceRow, StoreError> {
        let mut numbered = returned.row(self.numbered)?;
        numbered.integer()?;
        new.row(returned.row(self.inserted)?.integer()?, numbered.integer()?)
    }
}

impl NewResource<'_> {
    /// The row that was made, with this key and number.
    pub(super) fn row(&self, key: i64, number: i64) -> Result<ResourceRow, StoreError> {
        let at = timestamp(milliseconds(self.write.at))?;
        Ok(ResourceRow {
            key,
            type_name: self.type_name.clone(),
            id: self.id.to_owned(),
            number,
            user_type: self.given_type(),
            version: 1,
            created: at,
            last_modified: at,
            own: self.write.own.clone(),
            groups: Arc::default(),
            owned: Arc::default(),
            owner: None,
            link: self.write.link.as_ref().map(LinkRow::stored),
        })
    }
}

/// The row after `write`, from what its statement returned.
pub(super) fn rewritten(
    row: &ResourceRow,
    write: &ResourceWrite,
    returned: &mut Row,
) -> Result<ResourceRow, StoreError> {
    Ok(ResourceRow {
        user_type: user_type(returned.integer()?)?,
        version: returned.integer()?,
        last_modified: timestamp(milliseconds(write.at))?,
        own: write.own.clone(),
        link: write.link.as_ref().map(LinkRow::stored),
        ..row.clone()
    })
}

/// A write as the columns of the row hold it.
struct Held {
    shown_modified: i64,
    name_absent: i64,
    name: String,
    name_rest: String,
    display: Option<String>,
    owned_name: Option<String>,
    owned_external_id: Option<String>,
    own: String,
    view: Option<String>,
}

impl Held {
    fn of(type_name: &TypeName, write: &ResourceWrite) -> Result<Self, StoreError> {
        let written = type_name.naming().and_then(|naming| text(&write.view, naming));
        let name = written.map(|name| index::compared(name, false));
        let (head, name_rest) = name.as_deref().map_or(("", ""), index::cut);
        let display = text(&write.view, "displayName").or(written);
        let entry_modified = write.link.as_ref().and_then(|link| link.entry_modified);
        let at = milliseconds(write.at);
        Ok(Self {
            shown_modified: entry_modified.map_or(at, |entry| at.max(milliseconds(entry))),
            name_absent: i64::from(name.is_none()),
            name: head.to_owned(),
            name_rest: name_rest.to_owned(),
            // PostgreSQL takes no U+0000.
            display: display.map(|display| display.replace('\0', "\u{fffd}")),
            owned_name: owned_name(type_name, write),
            owned_external_id: owned_external_id(write),
            own: encode(&write.own)?,
            view: if write.view == write.own { None } else { Some(encode(&write.view)?) },
        })
    }
}

pub(super) fn owned_name(type_name: &TypeName, write: &ResourceWrite) -> Option<String> {
    let name = text(&write.view, type_name.naming()?).filter(|_| write.owns_name)?;
    Some(index::identity(index::compared(name, false)))
}

pub(super) fn owned_external_id(write: &ResourceWrite) -> Option<String> {
    let id = text(&write.view, "externalId").filter(|_| write.owns_external_id)?;
    Some(index::identity(index::compared(id, true)))
}

fn text<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a str> {
    attributes.get(name)?.as_str()
}
