//! Who is in a group that no rule names, learnt anew each time it is asked: of the operators' group
//! nothing old is good enough.

use std::time::Instant;

use super::super::dn::Dn;
use super::super::filter::LdapFilter;
use super::super::repository::LdapRepository;
use super::super::wire::{Paging, RawEntry, Scope, SearchRequest};
use super::group::{Membership, Walk};
use crate::repository::{EntryKey, RepositoryError};

/// Who of a repository's people is in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Population {
    /// The directory has nothing where the group's name says it is.
    Elsewhere,
    Nobody,
    Somebody,
    /// There are members; whether they are people cannot be searched for.
    Members,
}

impl LdapRepository {
    /// Whether the entry is in the group. What the directory does not hold has no members there.
    pub(in super::super) async fn belongs(
        &self,
        key: &EntryKey,
        group: &str,
        deadline: Instant,
    ) -> Result<bool, RepositoryError> {
        let Some(membership) = self.members_of(group, false, deadline).await? else {
            return Ok(false);
        };
        let asked = membership.asked().cloned();
        let filter = [self.mapping.key_filter(key)].into_iter().chain(asked.clone());
        let name = self.mapping.names[self.mapping.key].text.clone();
        let own = membership.attributes().iter().map(|name| (*name).to_owned());
        let found = self.one(LdapFilter::and(filter), own.chain([name]).collect(), deadline);
        let Some(entry) = found.await? else { return Ok(false) };
        if asked.is_some() {
            return Ok(true);
        }
        let dn = Dn::parse(&entry.dn).map_err(|error| {
            RepositoryError::Unavailable(format!("an entry cannot be placed: {error}").into())
        })?;
        Ok(membership.has(&entry, &dn) == Some(true))
    }

    /// Who of the people is in the group.
    ///
    /// # Errors
    /// The group, or who is in it, cannot be read.
    pub async fn population(
        &self,
        group: &str,
        deadline: Instant,
    ) -> Result<Population, RepositoryError> {
        let Some(membership) = self.members_of(group, true, deadline).await? else {
            return Ok(Population::Elsewhere);
        };
        if !membership.pushed.narrowed {
            let any = membership.names_anybody();
            return Ok(if any { Population::Members } else { Population::Nobody });
        }
        let members = membership.pushed.filter.clone();
        let found = self.one(members, vec!["1.1".to_owned()], deadline).await?;
        Ok(if found.is_some() { Population::Somebody } else { Population::Nobody })
    }

    /// `None` where the group's name stands outside of everything that the directory holds.
    async fn members_of(
        &self,
        group: &str,
        sends: bool,
        deadline: Instant,
    ) -> Result<Option<Membership>, RepositoryError> {
        let root = self.root(deadline).await?;
        let dn = Dn::parse(group).map_err(|error| {
            RepositoryError::Unavailable(format!("\"{group}\" is {error}").into())
        })?;
        if root.context(&dn).is_none() {
            return Ok(None);
        }
        let facts = self.facts(deadline).await?;
        let (schema, root) = (&facts.schema, &*root);
        let named_by = "operators";
        let walk = Walk { repository: self, schema, root, group, named_by, sends, deadline };
        walk.membership().await.map(Some)
    }

    /// One of the people whom the filter selects.
    async fn one(
        &self,
        filter: LdapFilter,
        attributes: Vec<String>,
        deadline: Instant,
    ) -> Result<Option<RawEntry>, RepositoryError> {
        let request = SearchRequest {
            base: self.base.clone(),
            scope: Scope::Subtree,
            filter: self.sent(filter).to_string(),
            attributes: attributes.into(),
            size_limit: 1,
            paging: Paging::Never,
        };
        let found = self.directory.search(&request, deadline).await?;
        match found.entries.into_iter().next() {
            Some(entry) => Ok(Some(entry)),
            None if found.complete => Ok(None),
            None => Err(RepositoryError::Unavailable("the answer was cut".into())),
        }
    }
}
