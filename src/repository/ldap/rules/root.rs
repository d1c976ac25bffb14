//! What the root DSE says of where entries stand and of what kind of directory this is.

use std::time::Instant;

use super::super::dn::Dn;
use super::super::repository::LdapRepository;
use super::super::wire::{Paging, Scope, SearchRequest};
use crate::repository::RepositoryError;

/// Announced by every Active Directory, and by Samba.
const ACTIVE_DIRECTORY: &[u8] = b"1.2.840.113556.1.4.800";

#[derive(Debug)]
pub(super) struct Root {
    pub active_directory: bool,
    /// The entries under which everything is, as text and parsed.
    contexts: Vec<(String, Dn)>,
}

impl Root {
    pub(super) async fn read(
        repository: &LdapRepository,
        deadline: Instant,
    ) -> Result<Self, RepositoryError> {
        let request = SearchRequest {
            base: String::new(),
            scope: Scope::Base,
            filter: "(objectClass=*)".to_owned(),
            attributes: ["namingContexts", "supportedCapabilities"].map(str::to_owned).into(),
            size_limit: 1,
            paging: Paging::Never,
        };
        let found = repository.directory.search_place(&request, deadline).await?;
        let mut root = Self { active_directory: false, contexts: Vec::new() };
        for (name, values) in found.entries.into_iter().flat_map(|entry| entry.attributes) {
            if name.eq_ignore_ascii_case("supportedCapabilities") {
                root.active_directory |= values.iter().any(|value| value == ACTIVE_DIRECTORY);
            } else if name.eq_ignore_ascii_case("namingContexts") {
                let texts = values.into_iter().filter_map(|value| String::from_utf8(value).ok());
                root.contexts.extend(texts.filter_map(|text| {
                    let dn = Dn::parse(&text).ok()?;
                    Some((text, dn))
                }));
            }
        }
        if root.contexts.is_empty() {
            return Err(RepositoryError::Unavailable(
                "the root DSE does not show its namingContexts, below which nested groups are looked \
                 for; let this bind read it"
                    .into(),
            ));
        }
        Ok(root)
    }

    /// The innermost one that `dn` stands under.
    pub(super) fn context(&self, dn: &Dn) -> Option<&str> {
        let above = self.contexts.iter().filter(|(_, context)| dn.is_under(context));
        above.max_by_key(|(_, context)| context.depth()).map(|(text, _)| text.as_str())
    }
}
