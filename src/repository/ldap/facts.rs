//! What is learnt of a directory before filters can be sent at their strongest: its schema, and what
//! this bind may search for.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use super::directory_schema::{DirectorySchema, Knowledge};
use super::filter::LdapFilter;
use super::repository::LdapRepository;
use super::wire::{Paging, Scope, SearchRequest};
use super::write::ASSERTION;
use crate::repository::RepositoryError;

/// How long the directory's schema is taken to stay as it was read.
pub(super) const SCHEMA_FRESH: Duration = Duration::from_hours(1);
/// How long a stand-in serves before the schema is asked for again.
const SCHEMA_RETRY: Duration = Duration::from_mins(1);

/// What was learnt of the directory.
#[derive(Debug)]
pub(super) struct Facts {
    pub schema: DirectorySchema,
    /// See [`Pushdown::absence`].
    pub absence: bool,
    /// Whether the server knows the control with which a write says what it takes the entry to hold.
    pub asserts: bool,
    until: Instant,
}

impl LdapRepository {
    pub(super) fn known(&self) -> Option<Arc<Facts>> {
        self.facts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is known of the directory, read where it is not or no more. One caller reads; the
    /// others wait, or go on with what is old.
    pub(super) async fn facts(&self, deadline: Instant) -> Result<Arc<Facts>, RepositoryError> {
        let known = self.known();
        if let Some(facts) = &known
            && Instant::now() < facts.until
        {
            return Ok(Arc::clone(facts));
        }
        let guard = match (&known, self.reading.try_lock()) {
            (_, Ok(guard)) => guard,
            (Some(old), Err(_)) => return Ok(Arc::clone(old)),
            (None, Err(_)) => tokio::time::timeout_at(deadline.into(), self.reading.lock())
                .await
                .map_err(|_| RepositoryError::Timeout)?,
        };
        if let Some(facts) = self.known().filter(|facts| Instant::now() < facts.until) {
            return Ok(facts);
        }
        let read = self.read_facts(deadline).await;
        let facts = match (read, known) {
            (Ok(facts), _) => Arc::new(facts),
            (Err(error), Some(old)) => {
                debug!(repository = %self.id, %error, "the directory's schema was not read again");
                return Ok(old);
            }
            (Err(error), None) => return Err(error),
        };
        *self.facts.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&facts));
        drop(guard);
        Ok(facts)
    }

    async fn read_facts(&self, deadline: Instant) -> Result<Facts, RepositoryError> {
        let read = self.read_schema(deadline).await?;
        let now = Instant::now();
        let (schema, until) = if let Some(schema) = read {
            (schema, now + SCHEMA_FRESH)
        } else {
            warn!(
                repository = %self.id,
                "the directory does not show its schema; filters are sent for the best-known attributes only"
            );
            (DirectorySchema::standard(), now + SCHEMA_RETRY)
        };
        let mut absence = true;
        for name in self.mapping.locking() {
            let name = &self.mapping.names[name];
            absence &= match schema.get(&name.base) {
                Knowledge::Known(_) => self.is_searchable(&name.text, deadline).await?,
                // Nobody can have it, so nobody is asked for it.
                Knowledge::Absent => true,
                Knowledge::Unknown => false,
            };
        }
        let controls = self.whole("", "(objectClass=*)", "supportedControl", deadline);
        let controls = self.unless_down(controls.await)?;
        let asserts = controls.iter().any(|control| control == ASSERTION.as_bytes());
        Ok(Facts { schema, absence, asserts, until })
    }

    /// The directory's own schema (RFC 4512 section 4.4); `None` where it is not shown.
    pub(super) async fn read_schema(
        &self,
        deadline: Instant,
    ) -> Result<Option<DirectorySchema>, RepositoryError> {
        let root = self.whole("", "(objectClass=*)", "subschemaSubentry", deadline);
        let root = self.unless_down(root.await)?;
        let place = root
            .first()
            .and_then(|value| std::str::from_utf8(value).ok())
            .unwrap_or("cn=Subschema")
            .to_owned();
        let types = self.whole(&place, "(objectClass=subschema)", "attributeTypes", deadline);
        let types = self.unless_down(types.await)?;
        Ok(DirectorySchema::read(types.iter().filter_map(|value| std::str::from_utf8(value).ok())))
    }

    /// A refusal of one search is no outage: nothing was shown.
    fn unless_down(
        &self,
        found: Result<Vec<Vec<u8>>, RepositoryError>,
    ) -> Result<Vec<Vec<u8>>, RepositoryError> {
        match found {
            Err(RepositoryError::Unavailable(_)) if self.directory.healthy() == Some(true) => {
                Ok(Vec::new())
            }
            other => other,
        }
    }

    /// Whether people can be told apart by having `attribute` or not: where this bind may not search
    /// for it, both are undefined.
    pub(super) async fn is_searchable(
        &self,
        attribute: &str,
        deadline: Instant,
    ) -> Result<bool, RepositoryError> {
        let present = LdapFilter::Present(attribute.to_owned());
        let either = LdapFilter::Or(vec![present.clone(), LdapFilter::Not(Box::new(present))]);
        let request = SearchRequest {
            base: self.base.clone(),
            scope: Scope::Subtree,
            filter: self.sent(either).to_string(),
            attributes: vec!["1.1".to_owned()].into(),
            size_limit: 1,
            paging: Paging::Never,
        };
        Ok(!self.directory.search_place(&request, deadline).await?.entries.is_empty())
    }
}
