//! What can be wrong with rules: bases and groups that are not there, filters that select nobody.

use std::time::{Duration, Instant};

use super::super::directory_schema::DirectorySchema;
use super::super::filter::LdapFilter;
use super::super::repository::LdapRepository;
use super::super::wire::{Paging, Scope, SearchRequest};
use crate::repository::{Bounds, Finding, RepositoryError, Severity};

/// Each rule may take so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was found of each rule, counted from 1.
pub(in super::super) async fn rules(
    repository: &LdapRepository,
    schema: &DirectorySchema,
    findings: &mut Vec<Finding>,
) {
    for (place, rule) in repository.rules.each.iter().enumerate() {
        let subject = format!("rule {}", place + 1);
        let deadline = Instant::now() + PATIENCE;
        let finding = |severity, text: String, remedy: &str| Finding {
            severity,
            subject: subject.clone(),
            text,
            remedy: remedy.to_owned(),
        };
        if let Some((base, _)) = &rule.base {
            let any = LdapFilter::Present("objectClass".into());
            if let Err(error) = first(repository, base, Scope::Base, &any, deadline).await {
                let remedy = "correct base, or give the entry of bind_dn the right to read it";
                findings.push(finding(Severity::Warning, error.to_string(), remedy));
                continue;
            }
        }
        if let Some(group) = rule.group.and_then(|group| repository.rules.groups.get(group)) {
            let now = Instant::now();
            let bounds = Bounds { size_limit: 1, photos: false, deadline, since: now };
            let known = match repository.learn_group(schema, group, bounds).await {
                Ok(known) => known,
                Err(error) => {
                    let remedy = "correct member_of, or give the entry of bind_dn the right to read \
                                  the group and its members; until then the repository answers nothing";
                    findings.push(finding(Severity::Broken, error.to_string(), remedy));
                    continue;
                }
            };
            if in_parts(repository, &group.dn, deadline).await {
                let text = format!(
                    "\"{}\" has more members than the server shows at once (member;range); they are read \
                     part by part",
                    group.dn
                );
                findings.push(finding(Severity::Well, text, ""));
            }
            if !known.pushed.narrowed {
                let text = format!(
                    "the directory does not keep in entries who is in \"{}\", which has too many \
                     members to be asked for by name: a search for them reads everybody",
                    group.dn
                );
                let remedy =
                    "load the overlay memberof, and write memberOf into what was loaded before";
                findings.push(finding(Severity::Warning, text, remedy));
            }
        }
        let learnt = repository.rules.remembered();
        let filter = rule.filter.iter().cloned();
        let group = rule.group.and_then(|group| learnt.group(group));
        let filter = filter.chain(group.map(|group| group.pushed.filter.clone()));
        let filter = LdapFilter::and(filter.chain([repository.people.clone()]));
        let base = rule.base.as_ref().map_or(&repository.base, |(base, _)| base);
        findings.push(match first(repository, base, Scope::Subtree, &filter, deadline).await {
            Ok(true) => finding(Severity::Well, "it holds for somebody".to_owned(), ""),
            Ok(false) => finding(
                Severity::Warning,
                "it holds for nobody".to_owned(),
                "look for a mistake in base, filter or member_of; in a filter an attribute that this \
                 bind may not search for holds for nobody",
            ),
            Err(error) => {
                finding(Severity::Broken, error.to_string(), "correct the rule's base or filter")
            }
        });
    }
}

/// Whether a group shows its members in parts.
async fn in_parts(repository: &LdapRepository, group: &str, deadline: Instant) -> bool {
    let request = SearchRequest {
        base: group.to_owned(),
        scope: Scope::Base,
        filter: LdapFilter::Present("objectClass".into()).to_string(),
        attributes: vec!["member".to_owned()].into(),
        size_limit: 1,
        paging: Paging::Never,
    };
    let found = repository.directory.search(&request, deadline).await.unwrap_or_default();
    let mut names = found.entries.iter().flat_map(|entry| &entry.attributes);
    names.any(|(name, _)| name.to_ascii_lowercase().contains(";range="))
}

/// Whether anybody is selected.
async fn first(
    repository: &LdapRepository,
    base: &str,
    scope: Scope,
    filter: &LdapFilter,
    deadline: Instant,
) -> Result<bool, RepositoryError> {
    let request = SearchRequest {
        base: base.to_owned(),
        scope,
        filter: filter.to_string(),
        attributes: vec!["1.1".to_owned()].into(),
        size_limit: 1,
        paging: Paging::Never,
    };
    Ok(!repository.directory.search(&request, deadline).await?.entries.is_empty())
}
