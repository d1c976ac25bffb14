//! The groups and roles that the configuration names: rows like others, whose names and existence are
//! the configuration's and whose members are everybody's.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{Federation, GROUP, Problem, ROLE};
use crate::config::{Group, Role};
use crate::scim::schema::standard::GROUP_PARENT;
use crate::scim::{Attributes, ErrorKind, ResourceType, ScimError};
use crate::store::{Configured, ResourceRow, StoreError};

/// What the configuration of a tenant names, by canonical id.
#[derive(Debug, Default)]
pub(super) struct Named {
    groups: HashMap<String, Group>,
    roles: HashMap<String, Role>,
}

impl Named {
    pub(super) fn new(groups: &[Group], roles: &[Role]) -> Self {
        let group = |group: &Group| (group.id.clone(), group.clone());
        let role = |role: &Role| (role.id.clone(), role.clone());
        Self { groups: groups.iter().map(group).collect(), roles: roles.iter().map(role).collect() }
    }

    fn has(&self, kind: &ResourceType, id: &str) -> bool {
        match kind.name.as_str() {
            GROUP => self.groups.contains_key(id),
            ROLE => self.roles.contains_key(id),
            _ => false,
        }
    }

    /// What a write leaves of a row must be what the configuration says of it.
    pub(super) fn keep(
        &self,
        kind: &ResourceType,
        row: &ResourceRow,
        after: &Attributes,
    ) -> Result<(), Problem> {
        if !self.has(kind, &row.id) {
            return Ok(());
        }
        let fixed: &[&str] = if kind.name == GROUP { &["displayName"] } else { &["name", "rank"] };
        let changed = fixed.iter().find(|name| row.own.get(**name) != after.get(**name));
        changed.map_or(Ok(()), |name| {
            Err(Problem::Scim(ScimError::new(
                ErrorKind::Mutability,
                format!(
                    "{name}: the configuration names this {}; change it there ({} with id = \"{}\"), \
                     or repeat it here.",
                    kind.name.to_lowercase(),
                    table(kind),
                    row.id
                ),
            )))
        })
    }

    /// Where the configuration says what a group stands beneath, nobody else does.
    pub(super) fn parent_stays(&self, row: &ResourceRow) -> Result<(), Problem> {
        match self.groups.get(&row.id).and_then(|group| group.parent.as_ref()) {
            None => Ok(()),
            Some(parent) => Err(Problem::Scim(ScimError::new(
                ErrorKind::Mutability,
                format!(
                    "{GROUP_PARENT}:parent: the configuration puts this group beneath \"{parent}\"; \
                     change it there ([[tenant.group]] with id = \"{}\").",
                    row.id
                ),
            ))),
        }
    }

    /// What the configuration names is nobody else's to delete.
    pub(super) fn stays(&self, kind: &ResourceType, row: &ResourceRow) -> Result<(), Problem> {
        if !self.has(kind, &row.id) {
            return Ok(());
        }
        Err(Problem::ForbiddenBecause(format!(
            "The configuration names this {}; take {} with id = \"{}\" out of it first.",
            kind.name.to_lowercase(),
            table(kind),
            row.id
        )))
    }
}

fn table(kind: &ResourceType) -> &'static str {
    if kind.name == GROUP { "[[tenant.group]]" } else { "[[tenant.role]]" }
}

impl Federation {
    /// Makes rows of the groups and roles that the configuration names, and brings those that are
    /// there to what it says of them. Whoever serves does this first; several nodes may at once.
    ///
    /// # Errors
    /// [`StoreError::Taken`] where an id or a name is another resource's; else the store's own.
    pub async fn configure(&self) -> Result<(), StoreError> {
        let kind = |name: &str| self.types.iter().find(|kind| kind.name == name);
        let mut configured = Vec::with_capacity(self.named.groups.len() + self.named.roles.len());
        if let Some(kind) = kind(ROLE) {
            configured.extend(self.named.roles.values().map(|role| Configured {
                kind,
                id: &role.id,
                values: values(json!({ "name": role.display, "rank": role.rank })),
                parent: None,
            }));
        }
        if let Some(kind) = kind(GROUP) {
            configured.extend(self.named.groups.values().map(|group| Configured {
                kind,
                id: &group.id,
                values: values(json!({ "displayName": group.display })),
                parent: group.parent.as_deref(),
            }));
        }
        // On every node in the same order, so that no two wait for each other.
        configured.sort_unstable_by_key(|one| one.id);
        self.store.configure(&self.tenant, &configured).await?;
        self.learn_roles().await?;
        let given = self.directories.iter().flat_map(|directory| {
            directory.giving().all().into_iter().map(|gift| (directory.id(), gift))
        });
        self.store.gifts(&self.tenant, &given.collect::<Vec<_>>()).await
    }

    /// Learns what [`Federation::configure`] sees to, for whoever only looks: nothing is written.
    ///
    /// # Errors
    /// The store's own.
    pub async fn look_on(&self) -> Result<(), StoreError> {
        self.learn_roles().await?;
        let gives = self.directories.iter().any(|one| !one.giving().all().is_empty());
        self.store.look_for_gifts(gives).await.map(drop)
    }
}

fn values(value: Value) -> Attributes {
    match value {
        Value::Object(values) => values,
        _ => Attributes::new(),
    }
}
