//! Which attributes the directory has no index for: by what it says of itself, else by how long it takes
//! to find nobody.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::super::filter::LdapFilter;
use super::super::repository::LdapRepository;
use super::super::wire::{RawFound, Scope};
use super::people::SAMPLE;
use super::{finding, is_searched_for, paths, search};
use crate::repository::{EntryKey, Finding, RepositoryError, Severity};

/// What nobody has.
const NOBODYS: &str = "90071992547409913";
/// How often each search is timed; the shortest counts.
const ROUNDS: usize = 3;
/// Less than this tells nothing.
const NOISE: Duration = Duration::from_millis(20);
/// How many times as long as by an index.
const RATIO: u32 = 5;

/// What a directory says of its indexes.
struct Said {
    /// For equality, in lower case.
    indexed: BTreeSet<String>,
    remedy: &'static str,
}

pub(super) async fn indexes(
    repository: &LdapRepository,
    people: usize,
    findings: &mut Vec<Finding>,
) {
    let said = match slapd(repository).await {
        None => match ds389(repository).await {
            None => active_directory(repository).await,
            said => said,
        },
        said => said,
    };
    let Some(Said { indexed, remedy }) = said else {
        return timed(repository, people, findings).await;
    };
    for (index, name) in wanted(repository) {
        if !indexed.contains(&name.base) {
            let paths = paths(&repository.mapping, index);
            let text = format!(
                "the directory has no equality index for {}: every search for {paths} reads all entries",
                name.text
            );
            findings.push(finding(Severity::Warning, "index", text, remedy));
        }
    }
}

/// The attributes that an index is wanted for, by their places in the mapping.
fn wanted(
    repository: &LdapRepository,
) -> impl Iterator<Item = (usize, &super::super::mapping::AttributeName)> {
    let mapping = &repository.mapping;
    let names = mapping.names.iter().enumerate();
    names.filter(|(index, _)| *index == mapping.key || is_searched_for(mapping, *index))
}

/// The values of one attribute in all entries that are found; nothing where there is none to see.
async fn all(
    repository: &LdapRepository,
    base: &str,
    filter: LdapFilter,
    attributes: &[&str],
) -> Option<RawFound> {
    let attributes = attributes.iter().map(|name| (*name).to_owned()).collect();
    let found =
        search(repository, base, Scope::Subtree, filter.to_string(), attributes, 10_000).await;
    found.ok().filter(|found| !found.entries.is_empty())
}

fn values<'a>(
    found: &'a [(String, Vec<Vec<u8>>)],
    name: &str,
) -> impl Iterator<Item = String> + use<'a> {
    let one = found.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
    let values = one.map_or(&[][..], |(_, values)| values.as_slice());
    values.iter().map(|value| String::from_utf8_lossy(value).to_ascii_lowercase())
}

/// Where the configuration of slapd may be read.
async fn slapd(repository: &LdapRepository) -> Option<Said> {
    let filter = LdapFilter::Present("olcDbIndex".into());
    let found = all(repository, "cn=config", filter, &["olcDbIndex"]).await?;
    let lines = found.entries.iter().flat_map(|entry| values(&entry.attributes, "olcDbIndex"));
    // `{3}uid,cn eq,sub`
    let names = lines.filter_map(|line| {
        let (names, kinds) = line.rsplit('}').next()?.split_once(' ')?;
        let by_value = kinds.split(',').any(|kind| kind.trim() == "eq");
        by_value.then(|| names.split(',').map(str::to_owned).collect::<Vec<_>>())
    });
    let remedy = "add it to olcDbIndex, such as `uid eq,sub`, and let slapd rebuild its index";
    Some(Said { indexed: names.flatten().collect(), remedy })
}

/// Where the configuration of a 389 Directory Server may be read.
async fn ds389(repository: &LdapRepository) -> Option<Said> {
    let base = "cn=ldbm database,cn=plugins,cn=config";
    let filter = LdapFilter::Equal("objectClass".into(), "nsIndex".into());
    let found = all(repository, base, filter, &["cn", "nsIndexType"]).await?;
    let by_value = found
        .entries
        .iter()
        .filter(|entry| values(&entry.attributes, "nsIndexType").any(|kind| kind.trim() == "eq"));
    let indexed = by_value.flat_map(|entry| values(&entry.attributes, "cn")).collect();
    let remedy = "add it by `dsconf … backend index add --attr … --index-type eq --reindex`";
    Some(Said { indexed, remedy })
}

/// Active Directory says it in its schema, to everybody: bit 0 of `searchFlags`.
async fn active_directory(repository: &LdapRepository) -> Option<Said> {
    let filter = LdapFilter::Present("objectClass".into()).to_string();
    let context = vec!["schemaNamingContext".to_owned()];
    let root = search(repository, "", Scope::Base, filter, context, 1).await.ok()?;
    let schema = values(&root.entries.first()?.attributes, "schemaNamingContext").next()?;
    let filter = LdapFilter::Bits("searchFlags".into(), 1);
    let found = all(repository, &schema, filter, &["lDAPDisplayName"]).await?;
    let names = found.entries.iter().flat_map(|entry| values(&entry.attributes, "lDAPDisplayName"));
    let remedy = "set bit 0 of searchFlags of the attribute in the schema, or map the path to an attribute \
                  that has it";
    Some(Said { indexed: names.collect(), remedy })
}

/// Where the directory says nothing: how long it takes to find nobody, beside how long it takes by the
/// key, which every directory indexes.
async fn timed(repository: &LdapRepository, people: usize, findings: &mut Vec<Finding>) {
    let not_told = "the directory does not show this bind its indexes";
    if people < SAMPLE {
        let text =
            format!("{not_told}, and {people} people are too few to tell by the time it takes");
        return findings.push(finding(Severity::Well, "index", text, ""));
    }
    let key = EntryKey(Uuid::from_u128(u128::MAX).to_string().into());
    let key = repository.mapping.key_filter(&key);
    let mut slow = false;
    for (index, name) in wanted(repository).filter(|(index, _)| *index != repository.mapping.key) {
        let sought = LdapFilter::Equal(name.text.clone(), NOBODYS.to_owned());
        let (mut by_key, mut by_value) = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            let took = (took(repository, &key).await, took(repository, &sought).await);
            let (Ok(one), Ok(other)) = took else { return };
            (by_key, by_value) = (by_key.min(one), by_value.min(other));
        }
        if is_slow(by_key, by_value) {
            slow = true;
            let paths = paths(&repository.mapping, index);
            let text = format!(
                "finding nobody by {} takes {} ms, by the key {} ms: it seems to have no equality index, \
                 and every search for {paths} reads all entries",
                name.text,
                by_value.as_millis(),
                by_key.as_millis()
            );
            let remedy = "add an equality index for it in the directory";
            findings.push(finding(Severity::Warning, "index", text, remedy));
        }
    }
    if !slow {
        let text = format!("{not_told}; finding nobody takes about as long as by the key");
        findings.push(finding(Severity::Well, "index", text, ""));
    }
}

async fn took(
    repository: &LdapRepository,
    filter: &LdapFilter,
) -> Result<Duration, RepositoryError> {
    let begin = Instant::now();
    let (base, filter) = (&repository.base, filter.to_string());
    search(repository, base, Scope::Subtree, filter, vec!["1.1".to_owned()], 1).await?;
    Ok(begin.elapsed())
}

fn is_slow(by_key: Duration, by_value: Duration) -> bool {
    by_value > NOISE && by_value > by_key.saturating_mul(RATIO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_takes_far_longer_than_an_index_is_slow() {
        let ms = Duration::from_millis;
        for (by_key, by_value, slow) in [
            (ms(1), ms(400), true),
            (ms(1), ms(19), false),
            (ms(100), ms(300), false),
            (ms(100), ms(501), true),
            (Duration::MAX, Duration::MAX, false),
        ] {
            assert_eq!(is_slow(by_key, by_value), slow, "{by_key:?} {by_value:?}");
        }
    }
}
