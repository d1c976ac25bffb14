//! A repository against a real slapd.

mod agreement;
mod filters;
mod live;
mod people;
pub(super) mod slapd;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::slapd::{BASE, Slapd};
use super::{LdapRepository, LdapSettings, Mapping};
use crate::clock::Clock;
use crate::config::{AttributeOverride, Authority, Changes, Source};
use crate::repository::{Bounds, Entry, Found, Repository};
use crate::scim::{Attributes, Filter, ResourceType};

pub(super) fn resource() -> ResourceType {
    ResourceType::user(&[])
}

fn from(attribute: &str) -> AttributeOverride {
    AttributeOverride {
        attribute: Some(Source::Attributes(vec![attribute.to_owned()])),
        authority: None,
        kind: None,
        several: false,
    }
}

fn typed(attribute: &str, kind: &str) -> AttributeOverride {
    AttributeOverride { kind: Some(kind.to_owned()), ..from(attribute) }
}

fn local(attribute: &str) -> AttributeOverride {
    AttributeOverride { authority: Some(Authority::Local), ..from(attribute) }
}

fn template(text: &str) -> AttributeOverride {
    AttributeOverride {
        attribute: Some(Source::Template(text.to_owned())),
        authority: None,
        kind: None,
        several: false,
    }
}

fn overrides(list: &[(&str, AttributeOverride)]) -> Vec<(String, AttributeOverride)> {
    list.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

fn repository(slapd: &Slapd, changes: &[(&str, AttributeOverride)]) -> LdapRepository {
    LdapRepository::new(settings(slapd, changes)).unwrap()
}

pub(super) fn settings(slapd: &Slapd, changes: &[(&str, AttributeOverride)]) -> LdapSettings {
    LdapSettings {
        id: "corp".into(),
        base: BASE.to_owned(),
        filter: None,
        mapping: Mapping::new("openldap", &overrides(changes), &resource()).unwrap(),
        wire: slapd.settings(),
        changes: Changes::Off,
        rules: Vec::new(),
        clock: Clock::system(),
    }
}

fn bounds(size_limit: usize) -> Bounds {
    Bounds {
        size_limit,
        photos: false,
        deadline: Instant::now() + Duration::from_mins(1),
        since: Instant::now(),
    }
}

async fn find(repository: &LdapRepository, filter: &str) -> Found {
    let filter = Filter::parse(filter, &resource()).unwrap();
    repository.search(&filter, bounds(10_000)).await.unwrap()
}

async fn everybody(repository: &LdapRepository) -> Vec<Arc<Entry>> {
    let found = repository.search(&Filter::Constant(true), bounds(10_000)).await.unwrap();
    assert!(found.complete && found.exact && found.scan);
    found.entries
}

/// An entry as a filter sees the unbound person.
fn seen(entry: &Entry) -> Attributes {
    let mut attributes = entry.attributes.clone();
    attributes.insert("id".into(), Value::from(format!("corp.{}", entry.key)));
    let meta = json!({
        "created": entry.created.map(|at| at.to_string()),
        "lastModified": entry.last_modified.map(|at| at.to_string()),
    });
    attributes.insert("meta".into(), meta);
    attributes
}
