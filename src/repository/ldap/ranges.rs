//! Values that come in parts: Active Directory shows at most so many of one attribute at once
//! (`MaxValRange`), and the others to whoever asks for them by number.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::{StreamExt as _, stream};
use tracing::warn;

use super::repository::LdapRepository;
use super::wire::{Paging, RawEntry, Scope, SearchRequest, rest_of};
use crate::repository::{Repository as _, RepositoryError};

/// More values than these are not read of one attribute.
const MOST_VALUES: usize = 100_000;
/// So many parts are read for the entries of one answer.
const MOST_PARTS: usize = 500;
/// How many entries are read at the same time.
const ABREAST: usize = 8;

/// Entries as they were sent, or with all of their values.
#[derive(Debug)]
pub(super) enum Whole<'a> {
    Sent(&'a [RawEntry]),
    /// The ones of which everything could be read, and whether that is all of them.
    Read(Vec<RawEntry>, bool),
}

impl Whole<'_> {
    pub(super) fn entries(&self) -> &[RawEntry] {
        match self {
            Self::Sent(entries) => entries,
            Self::Read(entries, _) => entries,
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        !matches!(self, Self::Read(_, false))
    }
}

impl LdapRepository {
    /// The entries with all values of what is mapped. Who is not read to the end is left out: a part
    /// would be taken for the whole.
    pub(super) async fn in_whole<'a>(
        &self,
        entries: &'a [RawEntry],
        deadline: Instant,
    ) -> Whole<'a> {
        if !entries.iter().any(|entry| self.part_of(entry).is_some()) {
            return Whole::Sent(entries);
        }
        let parts = &AtomicUsize::new(0);
        let read = stream::iter(entries.to_vec())
            .map(|entry| async move { self.read_on(entry, parts, deadline).await });
        let read: Vec<_> = read.buffered(ABREAST).collect().await;
        let count = read.len();
        let mut failed = None;
        let whole: Vec<RawEntry> = read
            .into_iter()
            .filter_map(|entry| entry.map_err(|error| failed = Some(error)).ok())
            .collect();
        if let Some(error) = failed {
            let entries = count - whole.len();
            warn!(repository = %self.id(), entries, %error, "values that come in parts were not read");
        }
        let complete = whole.len() == count;
        Whole::Read(whole, complete)
    }

    /// Where in the entry an attribute stands that is mapped and goes on, and how its rest is asked for.
    fn part_of(&self, entry: &RawEntry) -> Option<(usize, String)> {
        entry.attributes.iter().enumerate().find_map(|(place, (name, _))| {
            let (base, options) = name.split_once(';')?;
            let mapped =
                || self.mapping.names.iter().any(|name| name.base.eq_ignore_ascii_case(base));
            rest_of(base, options).filter(|_| mapped()).map(|rest| (place, rest))
        })
    }

    async fn read_on(
        &self,
        mut entry: RawEntry,
        parts: &AtomicUsize,
        deadline: Instant,
    ) -> Result<RawEntry, RepositoryError> {
        while let Some((place, mut rest)) = self.part_of(&entry) {
            let Some((name, values)) = entry.attributes.get_mut(place) else { break };
            name.truncate(name.find(';').unwrap_or(name.len()));
            loop {
                if parts.fetch_add(1, Ordering::Relaxed) >= MOST_PARTS
                    || values.len() >= MOST_VALUES
                {
                    let text = format!("{name} has more values than are read for one answer");
                    return Err(RepositoryError::Unavailable(text.into()));
                }
                let (more, next) = self.part(&entry.dn, "(objectClass=*)", rest, deadline).await?;
                if more.is_empty() {
                    // It went away meanwhile, or may not be read any more.
                    let text = format!("the rest of {name} was not shown");
                    return Err(RepositoryError::Unavailable(text.into()));
                }
                values.extend(more);
                match next {
                    Some(next) => rest = next,
                    None => break,
                }
            }
        }
        Ok(entry)
    }

    /// All values of one attribute in one entry, also where they come in parts.
    pub(super) async fn whole(
        &self,
        base: &str,
        filter: &str,
        attribute: &str,
        deadline: Instant,
    ) -> Result<Vec<Vec<u8>>, RepositoryError> {
        let mut wanted = Some(attribute.to_owned());
        let mut values = Vec::new();
        while let Some(attribute) = wanted.take().filter(|_| values.len() < MOST_VALUES) {
            let (part, rest) = self.part(base, filter, attribute, deadline).await?;
            values.extend(part);
            wanted = rest;
        }
        Ok(values)
    }

    /// Some values of one attribute, perhaps with a range, and how the rest is asked for.
    async fn part(
        &self,
        base: &str,
        filter: &str,
        attribute: String,
        deadline: Instant,
    ) -> Result<(Vec<Vec<u8>>, Option<String>), RepositoryError> {
        let own = attribute.split(';').next().unwrap_or_default().to_owned();
        let request = SearchRequest {
            base: base.to_owned(),
            scope: Scope::Base,
            filter: filter.to_owned(),
            attributes: vec![attribute].into(),
            size_limit: 1,
            paging: Paging::Never,
        };
        let found = self.directory.search_place(&request, deadline).await?;
        let (mut values, mut rest) = (Vec::new(), None);
        for (name, part) in found.entries.into_iter().flat_map(|entry| entry.attributes) {
            let (base, options) = name.split_once(';').unwrap_or((&name, ""));
            if base.eq_ignore_ascii_case(&own) {
                values.extend(part);
                rest = rest.or_else(|| rest_of(base, options));
            }
        }
        Ok((values, rest))
    }
}
