//! Where a tenant is mounted, in which dialects it answers, and what it decides of their manners.

use std::sync::Arc;

use super::fault::{Fault, listed, nearest};
use super::resolve::Taken;
use super::settings::{Issuer, Mount, OauthClient, Token};
use super::value;
use super::written;
use crate::caller::Caller;
use crate::scim::ResourceType;
use crate::scim::dialect::{Dialect, Limit, Manners, Settings};
use crate::scim::schema::{AttributePath, Mutability};

/// The base paths of a tenant; the first is its own.
pub fn mounts(
    file: &written::Tenant,
    tenant: &Arc<str>,
    taken: &mut Taken,
) -> Result<Vec<Mount>, Fault> {
    let usual = file.dialect.as_ref().map(value::dialect).transpose()?.unwrap_or_default();
    let mut mounts = vec![Mount { path: format!("/scim/{tenant}/v2"), dialect: usual }];
    for place in &file.mounts {
        let path = value::mount(place)?;
        if let Some(owner) = taken.mounts.insert(path.to_ascii_lowercase(), Arc::clone(tenant)) {
            return Err(Fault::at(
                place,
                format!("\"{path}\" is a base path of tenant \"{owner}\" already"),
                "give every base path to one tenant, once; /scim/<name>/v2 is there by itself",
            ));
        }
        let dialect = place.get_ref().dialect.as_ref().map(value::dialect).transpose()?;
        mounts.push(Mount { path, dialect: dialect.unwrap_or(usual) });
    }
    Ok(mounts)
}

pub fn manners(
    file: &written::Tenant,
    users: &ResourceType,
    mounts: &[Mount],
    tokens: &[Token],
    clients: &[OauthClient],
    issuers: &[Issuer],
) -> Result<Manners, Fault> {
    let rights = tokens.iter().map(|token| &token.rights);
    let rights = rights.chain(clients.iter().map(|client| &client.rights));
    let rights = rights.chain(issuers.iter().map(|issuer| &issuer.rights));
    let callers: Vec<&Caller> = rights.map(|rights| &*rights.caller).collect();
    let settings = Settings {
        wildcards: file.wildcards,
        unquoted_values: file.unquoted_values,
        prefer_attributes: file.prefer_attributes,
        limits: limits(file, users)?,
        required: required(file, users)?,
        agents: callers.iter().any(|caller| caller.agent.is_some()),
    };
    let of_callers = callers.iter().filter_map(|caller| caller.dialect);
    let spoken: Vec<Dialect> = mounts.iter().map(|mount| mount.dialect).chain(of_callers).collect();
    Ok(Manners::new(&settings, spoken))
}

fn limits(file: &written::Tenant, users: &ResourceType) -> Result<Vec<Limit>, Fault> {
    let mut limits: Vec<Limit> = Vec::with_capacity(file.limits.len());
    for (place, most) in &file.limits {
        let path = users.resolve(place.get_ref());
        let plain = path.known && path.extension.is_none() && path.sub.is_none();
        let attribute = users.attribute(&path).filter(|one| plain && one.multi_valued);
        let Some(attribute) = attribute else {
            let lists = users.schema.attributes.iter().filter(|one| one.multi_valued);
            let names = lists.map(|one| one.name.as_str());
            let word = place.get_ref();
            let remedy = match nearest(word, names.clone()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("bound one of {}", listed(names)),
            };
            let problem = format!("\"{word}\" is no attribute of users that has several values");
            return Err(Fault::at(place, problem, remedy));
        };
        if limits.iter().any(|limit| limit.attribute == attribute.name) {
            return Err(super::resolve::twice(place, "limit"));
        }
        let most = value::number(Some(most), 1, 1..=1_000_000)?;
        limits.push(Limit { attribute: attribute.name.clone(), most });
    }
    Ok(limits)
}

fn required(file: &written::Tenant, users: &ResourceType) -> Result<Vec<AttributePath>, Fault> {
    let writable = |place: &toml::Spanned<String>| {
        let path = users.resolve(place.get_ref());
        let attribute = users.attribute(&path).filter(|_| path.known);
        if attribute.is_some_and(|one| one.mutability != Mutability::ReadOnly) {
            return Ok(path);
        }
        Err(Fault::at(
            place,
            format!("\"{}\" is no attribute of users that a client can write", place.get_ref()),
            "name attributes as filters do: \"emails\", \"name.familyName\"",
        ))
    };
    file.required.iter().map(writable).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::super::tests::{ENOUGH, parse, says};
    use super::*;

    /// The tenant of [`ENOUGH`] with these lines more.
    fn with(tenant: &str, token: &str) -> Result<Config, super::super::ConfigError> {
        let text = ENOUGH
            .replace("name = \"acme\"", &format!("name = \"acme\"\n{tenant}"))
            .replace("name = \"helpdesk\"", &format!("name = \"helpdesk\"\n{token}"));
        parse(&text)
    }

    #[test]
    fn a_mount_is_of_the_tenants_dialect_where_it_does_not_say() {
        let mounts = "mounts = [\"/a\", { path = \"/b\", dialect = \"rfc\" }, \
                      { path = \"/c\", dialect = \"activid\" }]";
        for (dialect, expected) in [
            ("", [Dialect::Rfc, Dialect::Rfc, Dialect::Rfc, Dialect::Activid]),
            (
                "dialect = \"activid\"\n",
                [Dialect::Activid, Dialect::Activid, Dialect::Rfc, Dialect::Activid],
            ),
        ] {
            let config = with(&format!("{dialect}{mounts}"), "").unwrap();
            let tenant = &config.tenants[0];
            let dialects: Vec<Dialect> = tenant.mounts.iter().map(|mount| mount.dialect).collect();
            assert_eq!(dialects, expected);
            assert_eq!(tenant.manners.used(), 5);
        }
        let token = "dialect = \"activid\"\nbinds = false";
        let config = with("", token).unwrap();
        let caller = &config.tenants[0].tokens[0].rights.caller;
        assert_eq!((caller.dialect, caller.binds), (Some(Dialect::Activid), Some(false)));
        assert_eq!(config.tenants[0].manners.used(), 5, "one token is enough");
        let agent = with("", "dialect = \"activid\"\ncreates = \"SCIM_FED\"").unwrap();
        assert_eq!(agent.tenants[0].manners.used(), 9, "an agent is shown more");
        assert_eq!(with("", "").unwrap().tenants[0].manners.used(), 1);
    }

    #[test]
    fn what_the_tenant_decides_stands_in_every_manner() {
        let tenant = "wildcards = true\nunquoted_values = false\nprefer_attributes = true\n\
                      limits = { EMAILS = 2 }\nrequired = [\"emails\", \"name.familyName\"]";
        let config = with(tenant, "").unwrap();
        for dialect in [Dialect::Rfc, Dialect::Activid] {
            let manner = config.tenants[0].manners.of(dialect, || None);
            assert!(manner.language.wildcards && !manner.language.unquoted);
            assert!(manner.prefer_attributes);
            assert_eq!(manner.limit("emails"), Some(2));
            let required: Vec<&str> = manner.required.iter().map(|path| &*path.text).collect();
            assert_eq!(required, ["emails", "name.familyName"]);
        }
    }

    #[test]
    fn what_is_no_attribute_is_said() {
        for (line, parts) in [
            ("dialect = \"activ\"", ["no such choice", "\"activid\""]),
            ("limits = { email = 1 }", ["\"email\" is no attribute", "did you mean \"emails\"?"]),
            ("limits = { title = 1 }", ["\"title\" is no attribute", "emails"]),
            ("limits = { emails = 0 }", ["0 is out of bounds", "1 to"]),
            ("limits = { emails = 1, Emails = 2 }", ["a limit \"emails\" already", "limit"]),
            ("required = [\"shoe\"]", ["\"shoe\" is no attribute", "name.familyName"]),
            ("required = [\"id\"]", ["\"id\" is no attribute", "client can write"]),
        ] {
            let text = with(line, "").expect_err(line).to_string();
            says(&text, &parts);
        }
    }
}
