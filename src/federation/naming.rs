//! Whom a path names otherwise than by id, in tenants whose clients do that: by `userName`, by
//! e-mail address, by `externalId`, in this order.
//!
//! Only users of whom all is ours: a directory may give anybody's name to another person at any time,
//! so that its people are named by their ids alone.

use std::sync::Arc;

use super::rows::{external_id_key, name_key};
use super::search::SCAN_LIMIT;
use super::{Federation, Problem, is_user, too_many};
use crate::scim::ResourceType;
use crate::scim::filter::{Filter, Literal, Operator, Text};
use crate::store::{ResourceRow, Search, Sort, TypeName};

impl Federation {
    /// The user whom `name` names, where the tenant's paths may do so and no id does. Two users of
    /// that name are [`Problem::Conflict`].
    pub(super) async fn named(
        &self,
        kind: &ResourceType,
        name: &str,
        no_cache: bool,
    ) -> Result<Option<Arc<ResourceRow>>, Problem> {
        if !self.rules.customs.any_path_id || !is_user(kind) || self.is_long_form(name) {
            return Ok(None);
        }
        let users = TypeName::User;
        let by_name = self.rows.find(name_key(&users, name), no_cache).await?;
        if !by_name.rows.is_empty() {
            return one("userName", name, &by_name.rows);
        }
        if name.contains('@') {
            let by_mail = self.by_mail(kind, name).await?;
            if !by_mail.is_empty() {
                return one("e-mail address", name, &by_mail);
            }
        }
        let by_external_id = self.rows.find(external_id_key(&users, name), no_cache).await?;
        one("externalId", name, &by_external_id.rows)
    }

    /// Whether this is the id of a person of a directory, or would be if there were one: no name
    /// takes its place.
    fn is_long_form(&self, id: &str) -> bool {
        id.split_once('.').is_some_and(|(repository, _)| self.directory(repository).is_some())
    }

    async fn by_mail(
        &self,
        kind: &ResourceType,
        mail: &str,
    ) -> Result<Vec<Arc<ResourceRow>>, Problem> {
        let path = kind.resolve("emails.value");
        let value = Literal::String(Text::new(mail, &path));
        let filter = Filter::Compare { path, operator: Operator::Eq, value };
        let sort = Sort { path: kind.resolve("userName"), descending: false };
        let search = |limit| {
            let first = Search::first(&TypeName::User, Some(&filter), &sort, limit);
            self.store.search(&self.tenant, Search { owned: true, ..first })
        };
        let answer = search(2).await?;
        if answer.exact {
            return Ok(answer.rows);
        }
        // An address that is longer than what the index holds.
        let mut candidates = search(SCAN_LIMIT + 1).await?.rows;
        if candidates.len() as u64 > SCAN_LIMIT {
            return Err(too_many("Too many users have an e-mail address that begins like this."));
        }
        candidates.retain(|row| filter.matches(&self.stored_view(row)));
        Ok(candidates)
    }
}

/// Whoever else has the name makes it nobody's; one who is a directory's does not answer to it.
fn one(
    what: &str,
    name: &str,
    rows: &[Arc<ResourceRow>],
) -> Result<Option<Arc<ResourceRow>>, Problem> {
    match rows {
        [] => Ok(None),
        [row] => Ok(Some(row).filter(|row| row.link.is_none()).map(Arc::clone)),
        [row, other, ..] => Err(Problem::Conflict(format!(
            "\"{name}\" is the {what} of two users, {} and {}; name one by its id.",
            row.id, other.id
        ))),
    }
}
