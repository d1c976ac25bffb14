//! Values that come in parts: Active Directory shows at most so many of one attribute at once
//! (`MaxValRange`), and the others to whoever asks for them by number.

use std::time::Instant;

use super::repository::LdapRepository;
use super::wire::{Paging, Scope, SearchRequest, rest_of};
use crate::repository::RepositoryError;

/// More values than these are not read of one attribute.
const MOST_VALUES: usize = 100_000;

impl LdapRepository {
    /// All values of one attribute in one entry, also where they come in parts.
    pub(super) async fn whole(
        &self,
        base: &str,
        filter: &str,
        attribute: &str,
        deadline: Instant,
    ) -> Result<Vec<Vec<u8>>, RepositoryError> {
        let mut request = SearchRequest {
            base: base.to_owned(),
            scope: Scope::Base,
            filter: filter.to_owned(),
            attributes: vec![attribute.to_owned()],
            size_limit: 1,
            paging: Paging::Never,
        };
        let mut values = Vec::new();
        while !request.attributes.is_empty() && values.len() < MOST_VALUES {
            let found = self.directory.search_place(&request, deadline).await?;
            request.attributes.clear();
            for (name, part) in found.entries.into_iter().flat_map(|entry| entry.attributes) {
                let (base, options) = name.split_once(';').unwrap_or((&name, ""));
                if base.eq_ignore_ascii_case(attribute) {
                    values.extend(part);
                    request.attributes.extend(rest_of(base, options));
                }
            }
        }
        Ok(values)
    }
}
