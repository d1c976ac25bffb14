//! Forgetting: what still leads to a user who was deleted goes, in the store and in memory.

use std::sync::Arc;
use std::time::Instant;

use super::rows::external_id_key;
use super::standing::changed_meanwhile;
use super::write::record;
use super::{Deed, Federation, Problem, View, demand, permit};
use crate::audit::Action;
use crate::caller::{Caller, Permission};
use crate::repository::EntryKey;
use crate::store::{Departed, ResourceRow, RowKey, TypeName};

impl Federation {
    /// Forgets all deleted users who had this `externalId`; 409 where one with it is still there.
    pub async fn forget_departed(
        &self,
        caller: &Caller,
        external_id: &str,
        view: &View,
    ) -> Result<(), Problem> {
        demand(caller, Permission::UsersForget)?;
        loop {
            let with_it = external_id_key(&TypeName::User, external_id);
            if let Some(row) = self.store.find(&self.tenant, &with_it).await?.first() {
                return Err(still_there(row));
            }
            let departed = self.store.departed(&self.tenant, external_id).await?;
            if departed.is_empty() {
                return Err(Problem::NotFound(
                    "No deleted user had this externalId, or all who had it are forgotten already."
                        .to_owned(),
                ));
            }
            // Who was bound again since may have another one by now.
            for Departed { id, .. } in &departed {
                let again = self.store.find(&self.tenant, &RowKey::Id(id.clone())).await?;
                if let Some(row) = again.first() {
                    return Err(still_there(row));
                }
            }
            if self.forget_all(caller, &departed, &[external_id], view).await? {
                return Ok(());
            }
            // Somebody else forgets, or binds, the same people.
            if Instant::now() >= view.deadline {
                return Err(changed_meanwhile());
            }
        }
    }

    /// Deletes the user whom the text names, as a path may in this tenant, and forgets whoever it named;
    /// nobody is nothing to do. The row goes whatever DELETE does in this tenant.
    pub async fn remove_and_forget(
        &self,
        caller: &Caller,
        name: &str,
        view: &View,
    ) -> Result<(), Problem> {
        demand(caller, Permission::UsersForget)?;
        permit(caller, self.users(), Deed::Delete)?;
        let users = Arc::clone(self.users());
        let row = match self.store.find(&self.tenant, &RowKey::Id(name.to_owned())).await?.pop() {
            Some(row) => Some(row).filter(|row| row.type_name == TypeName::User),
            None => self.named(&users, name, true).await?,
        };
        if let Some(row) = row {
            match self.erase(caller, &users, &row.id, None, view).await {
                Ok(()) | Err(Problem::NotFound(_)) => {}
                Err(problem) => return Err(problem),
            }
            let link = row.link.as_ref();
            let link = link.map(|link| (link.repository.clone(), link.entry_key.clone()));
            let person = Departed { id: row.id.clone(), link };
            let shown = self.stored_view(&row);
            let told = |name: &str| shown.get(name).and_then(|value| value.as_str());
            let names: Vec<&str> =
                ["externalId", "userName"].into_iter().filter_map(told).collect();
            self.forget_all(caller, &[person], &names, view).await?;
            return Ok(());
        }
        if let Some(departed) = self.store.departed_as(&self.tenant, name).await? {
            self.forget_all(caller, &[departed], &[], view).await?;
            return Ok(());
        }
        if !self.customs().any_path_id {
            return Ok(());
        }
        match self.forget_departed(caller, name, view).await {
            Ok(()) | Err(Problem::NotFound(_)) => Ok(()),
            Err(problem) => Err(problem),
        }
    }

    async fn forget_all(
        &self,
        caller: &Caller,
        people: &[Departed],
        names: &[&str],
        view: &View,
    ) -> Result<bool, Problem> {
        let Some(last) = people.first() else { return Ok(true) };
        let kind = self.users();
        let record = record(caller, kind, Action::Forget, &last.id, self.clock.now(), view);
        if !self.store.forget(&self.tenant, people, names, record).await? {
            return Ok(false);
        }
        self.cleanse(people);
        Ok(true)
    }

    /// Drops what memory holds of the tenant that may have come from them: rows and what was rendered
    /// from them, the texts and last answers of queries, the keys of walks, and their entries.
    fn cleanse(&self, people: &[Departed]) {
        self.rows.forget_all();
        self.people.forget_all();
        self.forget_plans();
        self.walks.forget_all();
        for (repository, entry_key) in people.iter().filter_map(|one| one.link.as_ref()) {
            if let Some(directory) = self.directory(repository) {
                directory.forget_entry(&EntryKey(Arc::from(entry_key.as_str())));
            }
        }
    }
}

fn still_there(row: &ResourceRow) -> Problem {
    Problem::Conflict(format!(
        "The user {} is still there; delete the user before forgetting.",
        row.id
    ))
}
