//! Who may sign in with the password of a directory.

use std::sync::Arc;

use toml::Spanned;

use super::fault::Fault;
use super::settings::{Operators, RepositorySettings};
use super::{value, written};

/// The group whose members may sign in, of a directory that there is.
pub fn operators(
    place: &Spanned<written::Operators>,
    repositories: &[RepositorySettings],
) -> Result<Operators, Fault> {
    let [first, others @ ..] = repositories else {
        return Err(Fault::at(
            place,
            "operators are people of a directory, and this tenant has none",
            "write a table [[tenant.repository]] for the directory that holds this group, or remove it",
        ));
    };
    match place.get_ref() {
        // In another directory anybody may have made a group of the same name.
        written::Operators::Group(group) if !others.is_empty() => Err(Fault::at(
            place,
            "this tenant has several directories, and the group of operators stands in one",
            format!(
                "write {{ repository = \"{}\", group = {group:?} }}, with its repository",
                first.id
            ),
        )),
        written::Operators::Group(group) => {
            let group = value::dn(&Spanned::new(place.span(), group.clone()))?;
            Ok(Operators { repository: Arc::clone(&first.id), group })
        }
        written::Operators::Of { repository, group } => {
            let named = repository.get_ref();
            let found = repositories.iter().find(|one| *one.id == **named).ok_or_else(|| {
                let ids: Vec<&str> = repositories.iter().map(|one| &*one.id).collect();
                Fault::at(
                    repository,
                    format!("there is no directory \"{named}\" in this tenant"),
                    format!("write the id of one of its repositories: {}", ids.join(", ")),
                )
            })?;
            Ok(Operators { repository: Arc::clone(&found.id), group: value::dn(group)? })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ENOUGH, parse, refusal, says};
    use super::*;

    #[test]
    fn operators_are_a_group_of_a_directory() {
        let name = "name = \"acme\"";
        let with = |line: &str| parse(&ENOUGH.replace(name, &format!("{name}\n{line}")));
        let tenant = |line: &str| with(line).unwrap().tenants.remove(0).operators;
        let desk = Operators { repository: "corp".into(), group: "cn=desk,dc=y".to_owned() };
        assert_eq!(tenant("operators = \"cn=desk,dc=y\""), Some(desk.clone()));
        let of = "operators = { repository = \"corp\", group = \"cn=desk,dc=y\" }";
        assert_eq!(tenant(of), Some(desk.clone()));
        assert_eq!(tenant(""), None);
        // Of several directories one is named.
        let second =
            "\n[[tenant.repository]]\nid = \"partner\"\nurls = [\"ldaps://y\"]\nbase = \"dc=y\"\n";
        let several =
            |line: &str| parse(&(ENOUGH.replace(name, &format!("{name}\n{line}")) + second));
        assert_eq!(several(of).unwrap().tenants[0].operators, Some(desk));
        let told = several("operators = \"cn=desk,dc=y\"").unwrap_err().to_string();
        let remedy = "write { repository = \"corp\", group = \"cn=desk,dc=y\" }";
        says(&told, &["tenant.operators: this tenant has several directories", remedy]);
        let told = several(&of.replace("corp", "other")).unwrap_err().to_string();
        says(&told, &["tenant.operators.repository: ", "no directory \"other\"", "corp, partner"]);
        let told = refusal(name, &of.replace("cn=desk", "desk"));
        says(&told, &["tenant.operators.group: ", "is no distinguished name"]);
        for text in ["helpdesk", "", "cn=desk,"] {
            let told = refusal(name, &format!("operators = {text:?}"));
            says(
                &told,
                &["tenant.operators: ", "is no distinguished name", "write type=value pairs"],
            );
        }
        let alone = format!("[[tenant]]\n{name}\noperators = \"cn=desk,dc=y\"\n");
        let told = parse(&alone).unwrap_err().to_string();
        says(
            &told,
            &[
                ":3: ",
                "tenant.operators: operators are people of a directory",
                "[[tenant.repository]]",
            ],
        );
    }
}
