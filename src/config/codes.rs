//! What values under the codes of `UserAttribute` are: `[tenant.user_attributes]`, and what mappings
//! of such codes say by the way.

use std::collections::BTreeMap;

use toml::Spanned;

use super::fault::Fault;
use super::settings::RepositorySettings;
use super::{value, written};
use crate::scim::mirror::{CodeType, CodeTypes, Mirror};
use crate::scim::schema::standard::USER_ATTRIBUTE;

/// The tenant's word counts before a mapping's, and of two mappings that of the first repository.
pub fn types(
    file: &BTreeMap<Spanned<String>, Spanned<written::UserAttribute>>,
    repositories: &[RepositorySettings],
) -> Result<CodeTypes, Fault> {
    let mut types = CodeTypes::default();
    for (code, place) in file {
        value::name(code)?;
        if let Some(mirror) = Mirror::of(code.get_ref()) {
            return Err(Fault::at(
                code,
                format!("{} is another name for {}, and a string", mirror.code, mirror.path()),
                "remove the key",
            ));
        }
        if types.declares(code.get_ref()) {
            return Err(Fault::at(
                code,
                format!("there is a code \"{}\" already", code.get_ref()),
                "codes differ in more than their case",
            ));
        }
        let written = place.get_ref();
        let kind = match &written.kind {
            None => CodeType::String,
            Some(word) => {
                let known = CodeType::NAMED.map(|(name, _)| name);
                let found = CodeType::NAMED.into_iter().find(|(name, _)| name == word);
                found.ok_or_else(|| Fault::choice(place, Some(word), &known))?.1
            }
        };
        types.declare(code.get_ref(), kind, written.multi_valued);
    }
    let mapped = repositories.iter().flat_map(|repository| &repository.attributes);
    for (path, mapped) in mapped {
        let code = path
            .get(..USER_ATTRIBUTE.len())
            .filter(|urn| urn.eq_ignore_ascii_case(USER_ATTRIBUTE))
            .and_then(|_| path[USER_ATTRIBUTE.len()..].strip_prefix(':'));
        let kind = mapped.kind.as_deref().map_or(Some(CodeType::String), CodeType::named);
        if let (Some(code), Some(kind)) = (code, kind) {
            types.declare(code, kind, mapped.several);
        }
    }
    Ok(types)
}

#[cfg(test)]
mod tests {
    use super::super::tests::parse;
    use super::*;

    #[test]
    fn the_tenant_and_its_mappings_say_them() {
        let tenant = |more: &str| format!("[[tenant]]\nname = \"acme\"\n{more}");
        let read = |more: &str| parse(&tenant(more)).map(|config| config.tenants[0].codes.clone());
        let written = read(
            "user_attributes = { DOB = \"date\", CARS = { multi_valued = true } }\n\
             [[tenant.repository]]\nid = \"corp\"\nurls = [\"ldap://127.0.0.1\"]\n\
             tls = \"none\"\nbase = \"dc=example\"\n[tenant.repository.attributes]\n\
             \"urn:hid:scim:api:idp:2.0:UserAttribute:dob\" = \"a\"\n\
             \"urn:hid:scim:api:idp:2.0:UserAttribute:NR\" = { attribute = \"b\", type = \"int\" }",
        );
        let mut expected = CodeTypes::default();
        expected.declare("CARS", CodeType::String, true);
        expected.declare("DOB", CodeType::Date, false);
        expected.declare("NR", CodeType::Int, false);
        assert_eq!(written.unwrap(), expected);
        for (more, part) in [
            ("user_attributes = { DOB = \"day\" }", "\"day\""),
            ("user_attributes = { title = \"string\" }", "TITLE is another name for title"),
            ("user_attributes = { DOB = \"date\", dob = \"date\" }", "\"dob\" already"),
        ] {
            let error = read(more).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
