//! What the written `[[tenant.repository]]` tables mean.
//!
//! Nothing here asks a directory: what only a directory can tell is for `scimbridge check`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;

use super::fault::Fault;
use super::provisioned::Provisioned;
use super::resolve::{
    DAY, HOUR, MILLISECOND, MINUTE, SECOND, Surroundings, group_id, role_ids, twice,
};
use super::server::{ReferralHost, ServerUrl};
use super::settings::{
    AttributeOverride, Authority, CacheTimes, Changes, Group, RepositorySettings, Role, Rule,
    Source,
};
use super::value;
use super::written::{self, SecretText};
use crate::secret::Secret;

/// What the tenant has that rules may name.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub groups: &'a [Group],
    pub roles: &'a [Role],
    /// Repositories that nobody reads; those of directories are none of them.
    pub provisioned: &'a [Provisioned],
}

pub fn repositories(
    file: &[written::Repository],
    known: Known<'_>,
    around: &Surroundings<'_>,
) -> Result<Vec<RepositorySettings>, Fault> {
    let mut repositories: Vec<RepositorySettings> = Vec::with_capacity(file.len());
    for file in file {
        value::label(&file.id, "repository")?;
        if repositories.iter().any(|other| *other.id == **file.id.get_ref()) {
            return Err(twice(&file.id, "repository"));
        }
        repositories.push(repository(file, known, around)?);
    }
    Ok(repositories)
}

/// Of a former id what is kept goes to one repository, and to none that goes on under it.
pub fn renames(
    file: &[written::Repository],
    directories: &[RepositorySettings],
    provisioned: &[Provisioned],
) -> Result<(), Fault> {
    let mut former: Vec<&str> = Vec::new();
    for place in file.iter().filter_map(|file| file.rename_from.as_ref()) {
        value::label(place, "repository")?;
        let id = place.get_ref().as_str();
        let there = directories.iter().any(|one| *one.id == *id)
            || provisioned.iter().any(|one| *one.id == *id);
        if there {
            return Err(Fault::at(
                place,
                format!("\"{id}\" is still the id of a repository of this tenant"),
                "write the id that this repository had before, or remove rename_from",
            ));
        }
        if former.contains(&id) {
            return Err(Fault::at(
                place,
                format!("two repositories cannot both have been \"{id}\""),
                "keep rename_from for the one whose people they are",
            ));
        }
        former.push(id);
    }
    Ok(())
}

fn repository(
    file: &written::Repository,
    known: Known<'_>,
    around: &Surroundings<'_>,
) -> Result<RepositorySettings, Fault> {
    value::choice(file.kind.as_ref(), &[("ldap", ()), ("scim_fed", ())], ())?;
    let urls = urls(&file.urls)?;
    let follow_referrals = referral_hosts(&file.follow_referrals)?;
    let security = security(file, &urls, around)?;
    let (bind_dn, bind_password) = credentials(file, around)?;
    let mapping = value::choice(
        file.mapping.as_ref(),
        &[("openldap", "openldap"), ("active-directory", "active-directory"), ("389ds", "389ds")],
        "openldap",
    )?;
    Ok(RepositorySettings {
        id: Arc::from(file.id.get_ref().as_str()),
        rename_from: file.rename_from.as_ref().map(|place| Arc::from(place.get_ref().as_str())),
        urls,
        starttls: security.starttls,
        insecure: file.insecure.as_ref().is_some_and(|place| *place.get_ref()),
        follow_referrals,
        ca: security.ca,
        client_certificate: security.client_certificate,
        bind_dn,
        bind_password,
        base: value::dn(&file.base)?,
        filter: file.filter.as_ref().map(value::filter).transpose()?,
        mapping: mapping.to_owned(),
        attributes: attributes(file)?,
        connect_timeout: value::duration(
            file.timeouts.connect.as_ref(),
            2 * SECOND,
            10 * MILLISECOND..=5 * MINUTE,
        )?,
        operation_timeout: value::duration(
            file.timeouts.operation.as_ref(),
            5 * SECOND,
            10 * MILLISECOND..=HOUR,
        )?,
        size_limit: value::number(file.size_limit.as_ref(), 1000, 1..=10_000_000)?,
        max_message: usize::try_from(value::size(
            file.max_message.as_ref(),
            8 << 20,
            4 << 10..=1 << 30,
        )?)
        .unwrap_or(usize::MAX),
        lookup: value::number(file.connections.lookup.as_ref(), 2, 1..=64)?,
        scan: value::number(file.connections.scan.as_ref(), 2, 1..=64)?,
        // Middle boxes and servers close what rests longer, and the next request would meet that.
        idle: value::duration(file.connections.idle.as_ref(), 4 * MINUTE, SECOND..=299 * SECOND)?,
        max_age: value::duration(file.connections.max_age.as_ref(), 30 * MINUTE, SECOND..=DAY)?,
        cache: cache(&file.cache)?,
        verify: value::duration(file.verify.as_ref(), HOUR, 100 * MILLISECOND..=30 * DAY)?,
        changes: value::choice(
            file.changes.as_ref(),
            &[
                ("off", Changes::Off),
                ("syncrepl", Changes::Syncrepl),
                ("psearch", Changes::Psearch),
                ("dirsync", Changes::Dirsync),
                ("usn", Changes::Usn),
            ],
            Changes::Off,
        )?,
        rules: file.rule.iter().map(|rule| self::rule(rule, known)).collect::<Result<_, _>>()?,
    })
}

fn urls(file: &Spanned<written::Words>) -> Result<Vec<ServerUrl>, Fault> {
    let mut urls = Vec::with_capacity(file.get_ref().len());
    for place in file.get_ref() {
        let url = value::server_url(place)?;
        if urls.contains(&url) {
            return Err(twice(place, "server"));
        }
        urls.push(url);
    }
    if urls.is_empty() {
        return Err(Fault::at(
            file,
            "a repository has at least one server",
            "write urls = [\"ldaps://ldap.example.org\"]",
        ));
    }
    Ok(urls)
}

fn referral_hosts(file: &written::Words) -> Result<Vec<ReferralHost>, Fault> {
    let mut hosts = Vec::with_capacity(file.len());
    for place in file {
        let host = value::referral_host(place)?;
        if hosts.contains(&host) {
            return Err(twice(place, "host"));
        }
        hosts.push(host);
    }
    Ok(hosts)
}

struct Security {
    starttls: bool,
    ca: Option<PathBuf>,
    client_certificate: Option<(PathBuf, PathBuf)>,
}

fn security(
    file: &written::Repository,
    urls: &[ServerUrl],
    around: &Surroundings<'_>,
) -> Result<Security, Fault> {
    let starttls = value::choice(file.tls.as_ref(), &[("none", false), ("starttls", true)], false)?;
    let insecure = file.insecure.as_ref().is_some_and(|place| *place.get_ref());
    let all_ldaps = urls.iter().all(|url| url.ldaps);
    // "none" says nothing of a URL that speaks for itself.
    if let Some(place) = file.tls.as_ref().filter(|_| all_ldaps && starttls) {
        return Err(Fault::at(
            place,
            "every URL is ldaps://, which is TLS from the first byte; \"starttls\" contradicts it",
            "remove tls, or write ldap:// URLs",
        ));
    }
    let exposed = urls.iter().find(|url| !url.ldaps && !starttls && !url.is_loopback());
    if let Some(url) = exposed.filter(|_| !insecure) {
        let problem = format!(
            "the bind password and people's data would cross the network in clear text to {url}"
        );
        let remedy =
            "write tls = \"starttls\" or an ldaps:// URL; insecure = true accepts the risk";
        return Err(match &file.tls {
            Some(place) => Fault::at(place, problem, remedy),
            None => Fault::at(&file.urls, problem, remedy),
        });
    }
    let all_tls = all_ldaps || starttls;
    if let Some(place) = file.insecure.as_ref().filter(|_| insecure && all_tls) {
        return Err(Fault::at(
            place,
            "everything here is TLS, and certificates are always verified",
            "remove insecure; ca = \"…\" adds the root of a private authority",
        ));
    }
    let without_tls = |place: &Spanned<String>, what: &str| {
        Fault::at(
            place,
            format!("{what} is for TLS, and no server here is spoken to over TLS"),
            "write tls = \"starttls\" or an ldaps:// URL, or remove it",
        )
    };
    // A referral may lead to an ldaps:// URL from wherever it comes.
    let any_tls = starttls || urls.iter().any(|url| url.ldaps) || !file.follow_referrals.is_empty();
    let ca = match &file.ca {
        Some(place) if !any_tls => return Err(without_tls(place, "a ca")),
        Some(place) => Some(existing(place, around)?),
        None => None,
    };
    let client_certificate = match &file.client_certificate {
        Some(pair) if !any_tls => {
            return Err(without_tls(&pair.certificate, "a client certificate"));
        }
        Some(pair) => Some((existing(&pair.certificate, around)?, existing(&pair.key, around)?)),
        None => None,
    };
    Ok(Security { starttls, ca, client_certificate })
}

fn existing(place: &Spanned<String>, around: &Surroundings<'_>) -> Result<PathBuf, Fault> {
    let path = around.path(place.get_ref());
    match std::fs::File::open(&path) {
        Ok(_) => Ok(path),
        Err(error) => Err(Fault::at(
            place,
            format!("cannot open {}: {error}", path.display()),
            "name a readable PEM file; a relative path is relative to this file",
        )),
    }
}

type Credentials = (Option<String>, Option<Secret<String>>);

fn credentials(
    file: &written::Repository,
    around: &Surroundings<'_>,
) -> Result<Credentials, Fault> {
    match (&file.bind_dn, &file.bind_password) {
        (None, None) => Ok((None, None)),
        (Some(name), Some(password)) => {
            let windows = file.mapping.as_ref().is_some_and(|m| m.get_ref() == "active-directory")
                && is_windows_name(name.get_ref());
            let name = if windows { name.get_ref().clone() } else { value::dn(name)? };
            Ok((Some(name), Some(secret(password, around)?)))
        }
        (Some(dn), None) => Err(Fault::at(
            dn,
            "there is a bind_dn and no bind_password",
            "write bind_password = { env = \"NAME\" } or { file = \"path\" }; without both the bind is anonymous",
        )),
        (None, Some(password)) => Err(Fault::at_secret(
            password,
            "there is a bind_password and no bind_dn",
            "write bind_dn = \"cn=reader,dc=example,dc=org\"",
        )),
    }
}

/// `reader@corp.example` or `CORP\reader`, as which Active Directory lets people bind as well.
fn is_windows_name(name: &str) -> bool {
    let parts = name.split_once('@').or_else(|| name.split_once('\\'));
    let plain = |part: &str| !part.is_empty() && !part.contains(['=', ',', '@', '\\']);
    parts.is_some_and(|(one, other)| plain(one) && plain(other))
}

/// An empty password is refused: a simple bind with one succeeds as nobody (RFC 4513 section 5.1.2).
fn secret(place: &Spanned<SecretText>, around: &Surroundings<'_>) -> Result<Secret<String>, Fault> {
    let secret = value::secret(place, around)?;
    if secret.expose().is_empty() {
        return Err(Fault::at_secret(
            place,
            "the password is empty, and a directory takes that for an anonymous bind",
            "give the password; for an anonymous bind remove bind_dn and bind_password",
        ));
    }
    Ok(secret)
}

fn attributes(file: &written::Repository) -> Result<Vec<(String, AttributeOverride)>, Fault> {
    file.attributes
        .iter()
        .map(|(path, place)| {
            value::attribute_path(path)?;
            Ok((path.get_ref().clone(), attribute(place)?))
        })
        .collect()
}

fn attribute(place: &Spanned<written::Attribute>) -> Result<AttributeOverride, Fault> {
    let file = place.get_ref();
    let attribute = match (&file.names, &file.template) {
        (Some(_), Some(template)) => {
            return Err(Fault::at(
                template,
                "there is an attribute and a template",
                "keep the one that shall give the value",
            ));
        }
        (Some(names), None) => {
            if names.is_empty() || !names.iter().all(|name| is_ldap_attribute(name)) {
                return Err(Fault::at(
                    place,
                    "this names no LDAP attribute",
                    "write letters, digits and -, as in \"telephoneNumber\", or several: [\"displayName\", \"cn\"]",
                ));
            }
            Some(Source::Attributes(names.clone()))
        }
        (None, Some(template)) => Some(Source::Template(self::template(template)?)),
        (None, None) => None,
    };
    let authorities = [
        ("directory", Authority::Directory),
        ("local", Authority::Local),
        ("write_back", Authority::WriteBack),
    ];
    let authority = match &file.authority {
        Some(_) => {
            Some(value::choice(file.authority.as_ref(), &authorities, Authority::Directory)?)
        }
        None => None,
    };
    if authority == Some(Authority::WriteBack)
        && let Some(place) = &file.authority
        && let Some(what) = match &attribute {
            Some(Source::Template(_)) => Some("what a template makes cannot be written back"),
            // Of the ones that lock accounts it depends on which they are.
            Some(Source::Attributes(names)) if names.len() > 1 && file.kind.is_none() => {
                Some("what the first of several LDAP attributes gives cannot be written back")
            }
            _ => None,
        }
    {
        return Err(Fault::at(place, what, "name the one LDAP attribute that holds the value"));
    }
    // Which words there are is for whoever reads entries to say.
    let is_word = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if let Some(kind) = file.kind.as_ref().filter(|kind| !is_word(kind.get_ref())) {
        return Err(Fault::at(
            kind,
            format!("\"{}\" is no type", kind.get_ref()),
            "write one word, as in \"date\"",
        ));
    }
    let kind = file.kind.as_ref().map(|kind| kind.get_ref().clone());
    let several = file.multi_valued.as_ref().is_some_and(|several| *several.get_ref());
    if attribute.is_none() && authority.is_none() && kind.is_none() && !several {
        return Err(Fault::at(
            place,
            "the table is empty",
            "write attribute, template, authority or type into it",
        ));
    }
    Ok(AttributeOverride { attribute, authority, kind, several })
}

/// An attribute description (RFC 4512 section 2.5) with options.
fn is_ldap_attribute(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b';'))
}

/// Text with `{attribute}` in it, at least once.
fn template(place: &Spanned<String>) -> Result<String, Fault> {
    let text = place.get_ref();
    let mut parts = text.split('{');
    let is_plain = |part: &str| !part.contains('}');
    let is_filled = |part: &str| {
        part.split_once('}').is_some_and(|(name, rest)| is_ldap_attribute(name) && is_plain(rest))
    };
    let starts_plain = parts.next().is_some_and(is_plain);
    let filled = parts.clone().count();
    if starts_plain && filled > 0 && parts.all(is_filled) && text.len() <= 1024 {
        return Ok(text.clone());
    }
    Err(Fault::at(
        place,
        format!("\"{text}\" is no template"),
        "write LDAP attributes in braces, as in \"{givenName} {sn}\"",
    ))
}

fn cache(file: &written::RepositoryCache) -> Result<CacheTimes, Fault> {
    let bounds = || Duration::ZERO..=30 * DAY;
    let fresh = value::duration(file.fresh.as_ref(), 60 * SECOND, bounds())?;
    let negative = value::duration(file.negative.as_ref(), 15 * SECOND, bounds())?;
    let stale = value::duration(file.stale.as_ref(), fresh.max(HOUR), bounds())?;
    if let Some(place) = &file.stale
        && !stale.is_zero()
        && stale < fresh
    {
        return Err(Fault::at(
            place,
            format!(
                "a value cannot be too stale to serve after {} and fresh for {}",
                value::spelled(stale),
                value::spelled(fresh)
            ),
            "make stale at least as long as fresh, or \"0s\" to serve nothing stale",
        ));
    }
    Ok(CacheTimes { fresh, negative, stale })
}

fn rule(place: &Spanned<written::Rule>, known: Known<'_>) -> Result<Rule, Fault> {
    let file = place.get_ref();
    let rule = Rule {
        group: file.group.as_ref().map(|id| group_id(id, known.groups)).transpose()?,
        base: file.base.as_ref().map(value::dn).transpose()?,
        filter: file.filter.as_ref().map(value::filter).transpose()?,
        member_of: file.member_of.as_ref().map(value::dn).transpose()?,
        roles: role_ids(&file.roles, known.roles)?,
    };
    if rule.group.is_none() && rule.roles.is_empty() {
        return Err(Fault::at(
            place,
            "the rule gives nothing",
            "write group = \"…\" or roles = [\"…\"]",
        ));
    }
    if rule.base.is_none() && rule.filter.is_none() && rule.member_of.is_none() {
        return Err(Fault::at(
            place,
            "the rule asks for nothing",
            "write base = \"…\", filter = \"…\" or member_of = \"…\"; all that are given must hold",
        ));
    }
    Ok(rule)
}
