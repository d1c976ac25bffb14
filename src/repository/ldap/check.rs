//! What can be wrong with a repository, looked at from the connection up to the mapping, each with
//! its cause and its remedy.

mod indexes;
mod people;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::changes;
use super::directory_schema::{DirectorySchema, Knowledge, Rule};
use super::mapping::Mapping;
use super::repository::LdapRepository;
use super::wire::{Paging, RawFound, Scope, SearchRequest};
use crate::config::Changes;
use crate::repository::{Change, Finding, RepositoryError, Severity};

/// Each search here may take so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Everything that was found, in the order in which it was looked at. What cannot work without
/// something that is broken is not looked at.
pub(super) async fn check(repository: &LdapRepository) -> Vec<Finding> {
    let (mut findings, usable) = repository.directory.diagnose(&repository.clock).await;
    if !usable {
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
    let people = people::people(repository, &mut findings).await;
    if people > 0 {
        people::names(repository, &mut findings).await;
        rights(repository, &schema, &mut findings).await;
    }
    indexes::indexes(repository, people, &mut findings).await;
    feed(repository, &mut findings).await;
    referrals(repository, &mut findings).await;
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
    let request = SearchRequest {
        base: base.to_owned(),
        scope,
        filter,
        attributes: attributes.into(),
        size_limit,
        paging,
    };
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

/// What a search for everybody refers to.
async fn referrals(repository: &LdapRepository, findings: &mut Vec<Finding>) {
    let request = SearchRequest {
        base: repository.base.clone(),
        scope: Scope::Subtree,
        filter: repository.people.to_string(),
        attributes: vec!["1.1".to_owned()].into(),
        size_limit: people::SAMPLE,
        paging: Paging::Overflow,
    };
    let deadline = Instant::now() + PATIENCE;
    // Where it fails, others have said so.
    if let Ok(found) = repository.directory.search_here(&request, deadline).await {
        findings.extend(repository.directory.diagnose_referrals(&found, &repository.clock).await);
    }
}

/// Whether changes are told to this bind, or could be.
async fn feed(repository: &LdapRepository, findings: &mut Vec<Finding>) {
    if repository.changes == Changes::Off {
        let offered = offered(repository).await;
        let text = match offered.as_slice() {
            [] => "changes are not followed: the cache times hold alone".to_owned(),
            kinds => format!(
                "changes are not followed: the cache times hold alone; the server offers changes = {}",
                kinds.join(" or ")
            ),
        };
        return findings.push(finding(Severity::Well, "changes", text, ""));
    }
    let (sender, mut told) = mpsc::channel(64);
    let follows = async {
        while let Some(change) = told.recv().await {
            if change == Change::Following {
                return None;
            }
        }
        Some("the feed ended".to_owned())
    };
    let why = tokio::select! {
        why = follows => why,
        error = changes::follow(repository, &sender) => Some(error.to_string()),
        () = tokio::time::sleep(PATIENCE) => Some("nothing was told in time".to_owned()),
    };
    findings.push(match why {
        None => finding(Severity::Well, "changes", "they are told to this bind".to_owned(), ""),
        Some(why) => finding(
            Severity::Warning,
            "changes",
            format!("they are not told ({why}): the cache times hold alone"),
            "give `bind_dn` the right to use the control and to read what changes, load the overlay or \
             plug-in that tells it, or take the key changes away",
        ),
    });
}

/// What `changes` may say of this server, by the controls in its root DSE.
async fn offered(repository: &LdapRepository) -> Vec<&'static str> {
    const KINDS: [(&str, &str); 3] = [
        ("1.3.6.1.4.1.4203.1.9.1.1", "\"syncrepl\""),
        ("2.16.840.1.113730.3.4.3", "\"psearch\""),
        ("1.2.840.113556.1.4.841", "\"dirsync\""),
    ];
    let filter = "(objectClass=*)".to_owned();
    let wanted = vec!["supportedControl".to_owned()];
    let Ok(found) = search(repository, "", Scope::Base, filter, wanted, 1).await else {
        return Vec::new();
    };
    let controls = found.entries.iter().flat_map(|entry| &entry.attributes);
    let controls: Vec<&[u8]> = controls.flat_map(|(_, values)| values).map(Vec::as_slice).collect();
    let kinds = KINDS.iter().filter(|(oid, _)| controls.contains(&oid.as_bytes()));
    kinds.map(|(_, kind)| *kind).collect()
}
