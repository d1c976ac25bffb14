//! Repositories that nobody reads: of people whom a provisioning agent brings, such as Entra ID.
//!
//! They stand in the file beside the directories, with other keys; [`part`] sorts them out before the
//! file is read.

use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::fault::Fault;
use super::repository::Known;
use super::resolve::{group_id, role_id, twice};
use super::settings::RepositorySettings;
use super::{value, written};

/// Where [`part`] puts them; no file has a key of this name.
pub const APART: &str = "repository of the kind scim_fed";

/// Where people are whom an agent provisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provisioned {
    /// Their `userRepositoryId`; `[a-z0-9-]+`, unique among the tenant's repositories.
    pub id: Arc<str>,
    /// The id of the configured group that its agent's people are in.
    pub group: Option<Arc<str>>,
    /// Ids of groups, configured or not, and of the configured roles that their members have.
    pub role_by_group: Vec<(String, String)>,
}

/// Puts the tables of this kind in a list of their own.
pub fn part(document: &mut DeTable<'_>) {
    let Some(DeValue::Array(tenants)) = document.get_mut("tenant").map(Spanned::get_mut) else {
        return;
    };
    for tenant in tenants.iter_mut() {
        let DeValue::Table(tenant) = tenant.get_mut() else { continue };
        let Some(place) = tenant.get_mut("repository") else { continue };
        let span = place.span();
        let DeValue::Array(all) = place.get_mut() else { continue };
        let whole = std::mem::replace(all, DeArray::new());
        let (apart, rest): (Vec<_>, Vec<_>) = whole.into_iter().partition(is_apart);
        *all = rest.into_iter().collect();
        if !apart.is_empty() {
            let list = DeValue::Array(apart.into_iter().collect());
            tenant.insert(Spanned::new(span.clone(), APART.into()), Spanned::new(span, list));
        }
    }
}

fn is_apart(table: &Spanned<DeValue<'_>>) -> bool {
    let kind = table.get_ref().as_table().and_then(|table| table.get("kind"));
    kind.and_then(|kind| kind.get_ref().as_str()) == Some("scim_fed")
}

pub fn provisioned(
    file: &[written::Provisioned],
    directories: &[RepositorySettings],
    known: Known<'_>,
) -> Result<Vec<Provisioned>, Fault> {
    let mut all: Vec<Provisioned> = Vec::with_capacity(file.len());
    for file in file {
        value::label(&file.id, "repository")?;
        let id = file.id.get_ref();
        if all.iter().any(|other| *other.id == **id)
            || directories.iter().any(|other| *other.id == **id)
        {
            return Err(twice(&file.id, "repository"));
        }
        let mut role_by_group = Vec::with_capacity(file.role_by_group.len());
        for (group, role) in &file.role_by_group {
            value::name(group)?;
            role_by_group.push((group.get_ref().clone(), role_id(role, known.roles)?));
        }
        let group = file.group.as_ref().map(|place| group_id(place, known.groups)).transpose()?;
        all.push(Provisioned {
            id: Arc::from(id.as_str()),
            group: group.map(Arc::from),
            role_by_group,
        });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ENOUGH, parse, says};
    use super::*;

    fn with(repository: &str) -> String {
        format!(
            "{ENOUGH}\n[[tenant.group]]\nid = \"USG_FTEMP\"\n[[tenant.role]]\nid = \"RL_AUDITV\"\n\
             [[tenant.repository]]\nkind = \"scim_fed\"\n{repository}\n"
        )
    }

    #[test]
    fn it_stands_among_the_directories_with_keys_of_its_own() {
        let config = parse(&with(
            "id = \"entra\"\ngroup = \"USG_FTEMP\"\n\
             role_by_group = { \"475f23fa-ad47\" = \"RL_AUDITV\" }",
        ))
        .unwrap();
        let tenant = &config.tenants[0];
        assert_eq!(tenant.repositories.len(), 1, "the directory");
        let entra = Provisioned {
            id: "entra".into(),
            group: Some("USG_FTEMP".into()),
            role_by_group: vec![("475f23fa-ad47".to_owned(), "RL_AUDITV".to_owned())],
        };
        assert_eq!(tenant.provisioned, [entra]);
        for (lines, parts) in [
            ("id = \"corp\"", ["\"corp\"", "already"]),
            ("id = \"entra\"\ngroup = \"USG_FTEMPS\"", ["no group", "USG_FTEMP"]),
            ("id = \"entra\"\nrole_by_group = { g = \"RL\" }", ["no role", "RL"]),
            ("id = \"entra\"\nbase = \"dc=x\"", ["base", "no such key"]),
            ("group = \"USG_FTEMP\"", ["id", "missing"]),
        ] {
            says(&parse(&with(lines)).unwrap_err().to_string(), &parts);
        }
        let of_a_directory =
            parse(&ENOUGH.replace("id = \"corp\"", "id = \"corp\"\ngroup = \"g\""));
        says(&of_a_directory.unwrap_err().to_string(), &["group", "no such key"]);
        let unknown = parse(&ENOUGH.replace("id = \"corp\"", "id = \"corp\"\nkind = \"sql\""));
        says(&unknown.unwrap_err().to_string(), &["sql", "ldap", "scim_fed"]);
    }
}
