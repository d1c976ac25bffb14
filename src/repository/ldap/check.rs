//! What can be wrong with a repository, looked at from the connection up to the mapping, each with
//! its cause and its remedy.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::directory_schema::{DirectorySchema, Knowledge, Rule};
use super::entry;
use super::mapping::Mapping;
use super::repository::LdapRepository;
use super::wire::{Paging, RawFound, Scope, SearchRequest};
use crate::repository::{Entry, Finding, RepositoryError, Severity};

/// Each search here may take so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many entries are looked at.
const SAMPLE: usize = 1000;

/// Everything that was found, in the order in which it was looked at. What cannot work without
/// something that is broken is not looked at.
pub(super) async fn check(repository: &LdapRepository) -> Vec<Finding> {
    let mut findings = repository.directory.diagnose().await;
    if findings.iter().any(|finding| finding.severity == Severity::Broken) {
        return findings;
    }
    let base = base(repository).await;
    let reachable = base.severity != Severity::Broken;
    findings.push(base);
    if !reachable {
        return findings;
    }
    let schema = schema(repository, &mut findings).await;
    attributes(&repository.mapping, &schema, &mut findings);
    let people = people(repository, &mut findings).await;
    if people > 0 {
        rights(repository, &schema, &mut findings).await;
    }
    indexes(repository, &mut findings).await;
    super::rules::check::rules(repository, &schema, &mut findings).await;
    findings
}

fn finding(severity: Severity, subject: &str, text: String, remedy: &str) -> Finding {
    Finding { severity, subject: subject.to_owned(), text, remedy: remedy.to_owned() }
}

async fn search(
    repository: &LdapRepository,
    base: &str,
    scope: Scope,
    filter: String,
    attributes: Vec<String>,
    size_limit: usize,
) -> Result<RawFound, RepositoryError> {
    let paging = if size_limit > 1 { Paging::Overflow } else { Paging::Never };
    let request =
        SearchRequest { base: base.to_owned(), scope, filter, attributes, size_limit, paging };
    repository.directory.search(&request, Instant::now() + PATIENCE).await
}

async fn base(repository: &LdapRepository) -> Finding {
    let base = &repository.base;
    let filter = "(objectClass=*)".to_owned();
    let none = vec!["1.1".to_owned()];
    match search(repository, base, Scope::Base, filter, none, 1).await {
        Ok(found) if found.entries.is_empty() => finding(
            Severity::Broken,
            "base",
            format!("\"{base}\" is there, but may not be read by this bind"),
            "give the entry of `bind_dn` the right to read it",
        ),
        Ok(_) => finding(Severity::Well, "base", format!("\"{base}\" is readable"), ""),
        Err(error) => finding(
            Severity::Broken,
            "base",
            error.to_string(),
            "correct `base`, or give the entry of `bind_dn` the right to read it; the root DSE's \
             naming contexts say what the server holds",
        ),
    }
}

async fn schema(repository: &LdapRepository, findings: &mut Vec<Finding>) -> DirectorySchema {
    let read = repository.read_schema(Instant::now() + PATIENCE).await;
    let why = match read {
        Ok(Some(schema)) => {
            findings.push(finding(Severity::Well, "schema", "read".to_owned(), ""));
            return schema;
        }
        Ok(None) => "the directory does not show its schema to this bind".to_owned(),
        Err(error) => format!("the schema was not read: {error}"),
    };
    let text = format!("{why}; filters are sent for the best-known attributes only");
    let remedy = "let this bind read the subschema entry (cn=Subschema)";
    findings.push(finding(Severity::Warning, "schema", text, remedy));
    DirectorySchema::standard()
}

/// What the directory's schema says of the attributes that the mapping names.
fn attributes(mapping: &Mapping, schema: &DirectorySchema, findings: &mut Vec<Finding>) {
    for (index, name) in mapping.names.iter().enumerate() {
        let paths = paths(mapping, index);
        let text = &name.text;
        let is_key = index == mapping.key;
        match schema.get(&name.base) {
            Knowledge::Absent if is_key => findings.push(finding(
                Severity::Broken,
                "mapping",
                format!("the directory has no attribute {text}, by which entries are told apart"),
                "use a mapping whose key this directory has",
            )),
            Knowledge::Absent if is_locking(mapping, index) => findings.push(finding(
                Severity::Warning,
                "mapping",
                format!("the directory has no attribute {text}: {paths} is true for everybody"),
                "load the password policy overlay, or map active to another attribute",
            )),
            Knowledge::Absent => findings.push(finding(
                Severity::Warning,
                "mapping",
                format!("the directory has no attribute {text}: {paths} stays without a value"),
                "correct the attribute's name, or map the path to another attribute under \
                 [tenant.repository.attributes]",
            )),
            Knowledge::Known(known)
                if is_searched_for(mapping, index)
                    && matches!(known.equality, None | Some(Rule::Other)) =>
            {
                findings.push(finding(
                    Severity::Warning,
                    "mapping",
                    format!(
                        "the directory compares {text} by no rule that is known: a search for \
                         {paths} reads everybody who has it"
                    ),
                    "map the path to an attribute with caseIgnoreMatch",
                ));
            }
            Knowledge::Known(_) | Knowledge::Unknown => {}
        }
    }
}

fn is_locking(mapping: &Mapping, index: usize) -> bool {
    mapping.fields.iter().any(|field| {
        field.mapped.form.is_account() && field.mapped.source.names().any(|name| name == index)
    })
}

/// Whether people are commonly looked for by it.
fn is_searched_for(mapping: &Mapping, index: usize) -> bool {
    let field = mapping.fields.iter().any(|field| {
        matches!(
            field.path.text.as_str(),
            "userName" | "externalId" | "displayName" | "name.familyName" | "name.givenName"
        ) && field.mapped.source.names().any(|name| name == index)
    });
    field
        || mapping.elements.iter().any(|element| {
            element.list.text == "emails"
                && element.subs.iter().any(|(_, mapped)| mapped.source.names().any(|n| n == index))
        })
}

/// The SCIM paths that an attribute serves, for a reader.
fn paths(mapping: &Mapping, index: usize) -> String {
    let fields = mapping
        .fields
        .iter()
        .filter(|field| field.mapped.source.names().any(|name| name == index))
        .map(|field| field.path.text.clone());
    let elements = mapping.elements.iter().flat_map(|element| {
        element
            .subs
            .iter()
            .filter(|(_, mapped)| mapped.source.names().any(|name| name == index))
            .map(|(sub, _)| format!("{}.{sub}", element.list.text))
    });
    let times = [(mapping.created, "meta.created"), (mapping.last_modified, "meta.lastModified")]
        .into_iter()
        .filter(|(name, _)| *name == Some(index))
        .map(|(_, path)| path.to_owned());
    let all: BTreeSet<String> = fields.chain(elements).chain(times).collect();
    if all.is_empty() {
        return "id".to_owned();
    }
    all.into_iter().collect::<Vec<_>>().join(", ")
}

/// Looks at some people as the mapping shows them; says how many there were.
async fn people(repository: &LdapRepository, findings: &mut Vec<Finding>) -> usize {
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

/// Which attributes this bind may not search for.
async fn rights(
    repository: &LdapRepository,
    schema: &DirectorySchema,
    findings: &mut Vec<Finding>,
) {
    for (index, name) in repository.mapping.names.iter().enumerate() {
        if matches!(schema.get(&name.base), Knowledge::Absent) {
            continue;
        }
        let asked = repository.is_searchable(&name.text, Instant::now() + PATIENCE).await;
        if matches!(asked, Ok(false)) {
            findings.push(finding(
                Severity::Warning,
                "rights",
                format!(
                    "this bind may not search for {}: a search for {} finds nobody",
                    name.text,
                    paths(&repository.mapping, index)
                ),
                "give the entry of `bind_dn` the rights search and read on this attribute",
            ));
        }
    }
}

/// Which attributes slapd has no index for, where its configuration may be read.
async fn indexes(repository: &LdapRepository, findings: &mut Vec<Finding>) {
    let filter = "(olcDbIndex=*)".to_owned();
    let wanted = vec!["olcDbIndex".to_owned()];
    let Ok(found) = search(repository, "cn=config", Scope::Subtree, filter, wanted, 100).await
    else {
        return;
    };
    let lines: Vec<String> = found
        .entries
        .iter()
        .flat_map(|entry| &entry.attributes)
        .flat_map(|(_, values)| values)
        .map(|value| String::from_utf8_lossy(value).to_ascii_lowercase())
        .collect();
    if lines.is_empty() {
        return;
    }
    // `{3}uid,cn eq,sub`
    let indexed: BTreeSet<&str> = lines
        .iter()
        .filter_map(|line| line.rsplit('}').next()?.split_once(' '))
        .filter(|(_, kinds)| kinds.split(',').any(|kind| kind.trim() == "eq"))
        .flat_map(|(names, _)| names.split(','))
        .collect();
    for (index, name) in repository.mapping.names.iter().enumerate() {
        let wanted = index == repository.mapping.key || is_searched_for(&repository.mapping, index);
        if wanted && !indexed.contains(name.base.as_str()) {
            findings.push(finding(
                Severity::Warning,
                "index",
                format!(
                    "slapd has no equality index for {}: every search for {} reads all entries",
                    name.text,
                    paths(&repository.mapping, index)
                ),
                "add it to olcDbIndex, such as `uid eq,sub`, and let slapd rebuild its index",
            ));
        }
    }
}
