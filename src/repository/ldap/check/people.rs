//! What the mapping makes of real people: whether they have keys and names, samples of each value, and
//! names that two of them have.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::entry;
use super::super::mapping::{Mapped, Mapping};
use super::super::repository::LdapRepository;
use super::super::wire::{RawFound, Scope};
use super::{finding, search};
use crate::repository::{Entry, Finding, Severity};
use crate::scim::text::comparable;

/// How many entries are looked at.
pub(super) const SAMPLE: usize = 1000;
/// Among how many people names that stand twice are looked for.
const NAMED: usize = 20_000;
/// More characters of a sample are not shown.
const SHOWN: usize = 40;
/// What people are named by.
const UNIQUE: [&str; 2] = ["userName", "externalId"];

/// Looks at some people as the mapping shows them; says how many there were.
pub(super) async fn people(repository: &LdapRepository, findings: &mut Vec<Finding>) -> usize {
    let mapping = &repository.mapping;
    let filter = repository.people.to_string();
    let wanted = mapping.requested(false).to_vec();
    let found =
        match search(repository, &repository.base, Scope::Subtree, filter.clone(), wanted, SAMPLE)
            .await
        {
            Ok(found) => found,
            Err(error) => {
                let remedy = "look at the directory's log, and at the rights of `bind_dn`";
                findings.push(finding(Severity::Broken, "mapping", error.to_string(), remedy));
                return 0;
            }
        };
    let count = found.entries.len();
    if count == 0 {
        findings.push(finding(
            Severity::Warning,
            "mapping",
            format!("nobody under \"{}\" matches {filter}", repository.base),
            "correct `base` or `filter`, or give the entry of `bind_dn` the right to read people",
        ));
        return 0;
    }
    if !found.complete && count < SAMPLE {
        findings.push(finding(
            Severity::Warning,
            "size limit",
            format!("the server cuts answers at {count} entries, also page by page"),
            "raise the size limits of the server for `bind_dn`",
        ));
    }
    let entries: Vec<Entry> = found
        .entries
        .iter()
        .filter_map(|raw| entry::read(mapping, raw, repository.clock.now()))
        .collect();
    if entries.len() < count {
        let key = mapping.names.get(mapping.key).map_or("", |name| &name.text);
        findings.push(finding(
            Severity::Broken,
            "mapping",
            format!("{} of {count} entries do not show {key}, their key", count - entries.len()),
            "give the entry of `bind_dn` the right to read this operational attribute",
        ));
    }
    told(mapping, &entries, findings);
    samples(mapping, &entries, findings);
    in_parts(&found, findings);
    count
}

/// Which values the entries give.
fn told(mapping: &Mapping, entries: &[Entry], findings: &mut Vec<Finding>) {
    if entries.is_empty() {
        return;
    }
    let count = entries.len();
    for name in ["userName", "externalId"] {
        let without = entries.iter().filter(|entry| !entry.attributes.contains_key(name)).count();
        let mapped = mapping.fields.iter().any(|field| field.path.text == name);
        if without > 0 || !mapped {
            let severity = if name == "userName" { Severity::Broken } else { Severity::Warning };
            findings.push(finding(
                severity,
                "mapping",
                format!("{without} of {count} entries have no {name}"),
                "map it to an attribute that everybody has and this bind may read, or leave them \
                 out by `filter`",
            ));
        }
    }
    let missing: BTreeSet<&str> = mapping
        .fields
        .iter()
        .filter(|field| {
            entries.iter().all(|entry| {
                let top = match &field.path.extension {
                    None => entry.attributes.get(&field.path.attribute),
                    Some(urn) => {
                        entry.attributes.get(urn).and_then(|inner| inner.get(&field.path.attribute))
                    }
                };
                match &field.path.sub {
                    None => top.is_none(),
                    Some(sub) => top.and_then(|top| top.get(sub)).is_none(),
                }
            })
        })
        .map(|field| field.path.text.as_str())
        .collect();
    let mut text = format!("{count} entries were mapped");
    if let Some(entry) = entries.first()
        && let Some(name) = entry.attributes.get("userName").and_then(Value::as_str)
    {
        text = format!("{text}, the first, {}, as userName \"{name}\"", entry.dn);
    }
    if !missing.is_empty() {
        let missing: Vec<&str> = missing.into_iter().collect();
        text = format!("{text}; none of them has {}", missing.join(", "));
    }
    findings.push(finding(Severity::Well, "mapping", text, ""));
}

/// One line for each value that the mapping gives: how many have it, and the first one's.
fn samples(mapping: &Mapping, entries: &[Entry], findings: &mut Vec<Finding>) {
    let names = |mapped: &Mapped| {
        let names = mapped.source.names().filter_map(|name| mapping.names.get(name));
        names.map(|name| name.text.as_str()).collect::<Vec<_>>().join(" or ")
    };
    let mut told = |path: &str, mapped: &Mapped, found: Vec<&Value>| {
        let text = match found.first() {
            None => format!("{path} from {}: nobody of {} has it", names(mapped), entries.len()),
            Some(first) => {
                let first: String = first.to_string().chars().take(SHOWN).collect();
                let (count, all) = (found.len(), entries.len());
                format!("{path} from {}: {count} of {all} have it, such as {first}", names(mapped))
            }
        };
        findings.push(finding(Severity::Well, "sample", text, ""));
    };
    for field in &mapping.fields {
        let path = &field.path;
        let value = |entry: &'_ &Entry| -> Option<Value> {
            let top = match &path.extension {
                None => entry.attributes.get(&path.attribute)?,
                Some(urn) => entry.attributes.get(urn)?.get(&path.attribute)?,
            };
            path.sub.as_ref().map_or(Some(top), |sub| top.get(sub)).cloned()
        };
        let found: Vec<Value> = entries.iter().filter_map(|entry| value(&entry)).collect();
        told(&path.text, &field.mapped, found.iter().collect());
    }
    for element in mapping.elements.iter().filter(|element| !element.is_large()) {
        let is_one =
            |one: &&Value| element.fixed.iter().all(|(sub, value)| one.get(sub) == Some(value));
        for (sub, mapped) in &element.subs {
            let kind = element.fixed.iter().find_map(|(_, value)| value.as_str());
            let kind = kind.map(|kind| format!("[{kind}]")).unwrap_or_default();
            let path = format!("{}{kind}.{sub}", element.list.text);
            let lists = entries.iter().filter_map(|entry| match &element.list.extension {
                None => entry.attributes.get(&element.list.attribute),
                Some(urn) => entry.attributes.get(urn)?.get(&element.list.attribute),
            });
            let found = lists.filter_map(|list| list.as_array()?.iter().find(is_one)?.get(sub));
            told(&path, mapped, found.collect());
        }
    }
}

/// Attributes that come in parts (`;range=0-1499`), which costs further reads.
fn in_parts(found: &RawFound, findings: &mut Vec<Finding>) {
    let names = found.entries.iter().flat_map(|entry| &entry.attributes);
    let cut = names.filter(|(name, _)| name.to_ascii_lowercase().contains(";range="));
    let cut: BTreeSet<&str> = cut.filter_map(|(name, _)| name.split(';').next()).collect();
    for name in cut {
        let text = format!(
            "some people have more values of {name} than the server shows at once; the others are read \
             one part after the other"
        );
        let remedy = "raise the server's limit (MaxValRange), or map another attribute, where many people \
                      have so many: in a list 500 parts are read, and whoever needs more is missing, \
                      marked";
        findings.push(finding(Severity::Warning, "mapping", text, remedy));
    }
}

/// Which names stand twice, among as many people as may be read.
pub(super) async fn names(repository: &LdapRepository, findings: &mut Vec<Finding>) {
    let mapping = &repository.mapping;
    let of_names = mapping.fields.iter().filter(|field| UNIQUE.contains(&field.path.text.as_str()));
    let wanted = of_names.flat_map(|field| field.mapped.source.names()).chain([mapping.key]);
    let wanted: BTreeSet<&str> =
        wanted.filter_map(|name| mapping.names.get(name)).map(|name| name.text.as_str()).collect();
    let wanted = wanted.into_iter().map(str::to_owned).collect();
    let filter = repository.people.to_string();
    let found = search(repository, &repository.base, Scope::Subtree, filter, wanted, NAMED).await;
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            let text = format!("whether names stand twice was not seen: {error}");
            return findings.push(finding(Severity::Well, "names", text, ""));
        }
    };
    let now = repository.clock.now();
    let entries: Vec<Entry> =
        found.entries.iter().filter_map(|raw| entry::read(mapping, raw, now)).collect();
    let among = if found.complete { "" } else { "the first " };
    for field in &mapping.fields {
        if !UNIQUE.contains(&field.path.text.as_str()) {
            continue;
        }
        let mut who: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for entry in &entries {
            let name = entry.attributes.get(&field.path.attribute).and_then(Value::as_str);
            let Some(name) = name else { continue };
            let key = comparable(name, field.path.case_exact).into_owned();
            who.entry(key).or_default().push(&entry.dn);
        }
        let twice: Vec<&Vec<&str>> = who.values().filter(|who| who.len() > 1).collect();
        let name = &field.path.text;
        let count = entries.len();
        findings.push(match twice.first() {
            None => {
                let text = format!("no {name} stands twice among {among}{count} people");
                finding(Severity::Well, "names", text, "")
            }
            Some(first) => finding(
                Severity::Warning,
                "names",
                format!(
                    "{} values of {name} stand twice among {among}{count} people, such as that of {} and \
                     {}",
                    twice.len(),
                    first[0],
                    first[1]
                ),
                "make them unique there, leave people out by `filter`, or map the path to an attribute \
                 that is unique: a search finds both, and whoever names one of them is refused",
            ),
        });
    }
}
