//! What the written configuration means: server, store, tenants, groups and roles.
//!
//! The defaults stand here. Everything that could contradict itself is refused here.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;

use super::fault::{Fault, nearest};
use super::settings::{
    AuthenticatorPolicy, Config, Group, LogFormat, LogSettings, OnConflict, OnFailure, OnVanish,
    RepositorySettings, Role, Server, Tenant, VanishBrake,
};
use super::written::{self, Words};
use super::{callers, codes, customs, manners, provisioned, repository, store, tls, value};
use crate::scim::schema::ResourceTypes;
use crate::scim::text::comparable;

pub const MILLISECOND: Duration = Duration::from_millis(1);
pub const SECOND: Duration = Duration::from_secs(1);
pub const MINUTE: Duration = Duration::from_mins(1);
pub const HOUR: Duration = Duration::from_hours(1);
pub const DAY: Duration = Duration::from_hours(24);

/// What the file leans on: where it lies, and the environment of the process.
pub struct Surroundings<'a> {
    pub directory: &'a Path,
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

impl Surroundings<'_> {
    /// A path of the file; relative ones are relative to the file.
    pub fn path(&self, written: &str) -> PathBuf {
        self.directory.join(written)
    }
}

pub fn config(file: &written::File, around: &Surroundings<'_>) -> Result<Config, Fault> {
    Ok(Config {
        server: server(&file.server, around)?,
        store: store::settings(&file.store, around)?,
        cache_capacity: value::size(file.cache.capacity.as_ref(), 128 << 20, 1 << 20..=1 << 40)?,
        log: log(&file.telemetry)?,
        tenants: tenants(&file.tenant, around)?,
    })
}

fn server(file: &written::Server, around: &Surroundings<'_>) -> Result<Server, Fault> {
    let listen = match &file.listen {
        Some(place) => value::address(place)?,
        None => SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
    };
    let behind_proxy = file.behind_proxy.unwrap_or(false);
    let tls = file.tls.as_ref().map(|written| tls::files(written, around)).transpose()?;
    if let Some(place) = &file.listen
        && !listen.ip().is_loopback()
        && !behind_proxy
        && tls.is_none()
    {
        return Err(Fault::at(
            place,
            format!("tokens would cross the network in clear text on {listen}"),
            "listen on 127.0.0.1, or write tls = { certificate = \"cert.pem\", key = \"key.pem\" }, or put \
             a proxy that terminates TLS in front and write behind_proxy = true",
        ));
    }
    let operations = match &file.operations {
        Some(place) => {
            let address = value::address(place)?;
            if address == listen && address.port() != 0 {
                return Err(Fault::at(
                    place,
                    format!("{address} is the address of server.listen"),
                    "choose another port, or remove the key",
                ));
            }
            Some(address)
        }
        None => None,
    };
    let max_body = value::size(file.max_body.as_ref(), 1 << 20, 1 << 10..=1 << 30)?;
    Ok(Server {
        listen,
        public_url: file.public_url.as_ref().map(value::public_url).transpose()?,
        tls,
        behind_proxy,
        request_timeout: value::duration(
            file.request_timeout.as_ref(),
            30 * SECOND,
            100 * MILLISECOND..=HOUR,
        )?,
        max_body: usize::try_from(max_body).unwrap_or(usize::MAX),
        max_import: value::size(file.max_import.as_ref(), 256 << 20, 1 << 10..=1 << 40)?,
        max_connections: value::number(file.max_connections.as_ref(), 10_000, 1..=1_000_000)?,
        throttle: file
            .throttle
            .as_ref()
            .map(|written| callers::allowance(&written.failures, &written.per))
            .transpose()?,
        operations,
    })
}

fn log(file: &written::Telemetry) -> Result<LogSettings, Fault> {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    Ok(LogSettings {
        filter: value::log_filter(file.log.as_ref())?,
        format: value::choice(file.format.as_ref(), &formats, LogFormat::Text)?,
    })
}

/// What must be unique over all tenants, and whose it is.
#[derive(Default)]
pub struct Taken {
    names: HashSet<String>,
    pub mounts: HashMap<String, Arc<str>>,
    pub digests: HashMap<[u8; 32], String>,
}

fn tenants(file: &[written::Tenant], around: &Surroundings<'_>) -> Result<Vec<Tenant>, Fault> {
    if file.is_empty() {
        return Err(Fault::absent(
            "there is no tenant, so there is nothing to serve",
            "write a table [[tenant]] with name = \"…\", and below it [[tenant.token]] and [[tenant.repository]]",
        ));
    }
    let mut taken = Taken::default();
    for tenant in file {
        value::label(&tenant.name, "tenant")?;
        let name = tenant.name.get_ref();
        if !taken.names.insert(name.clone()) {
            return Err(twice(&tenant.name, "tenant"));
        }
        taken.mounts.insert(format!("/scim/{name}/v2"), Arc::from(name.as_str()));
    }
    file.iter().map(|file| tenant(file, around, &mut taken)).collect()
}

fn tenant(
    file: &written::Tenant,
    around: &Surroundings<'_>,
    taken: &mut Taken,
) -> Result<Tenant, Fault> {
    let name: Arc<str> = Arc::from(file.name.get_ref().as_str());
    let mounts = manners::mounts(file, &name, taken)?;
    let roles = roles(&file.role)?;
    let groups = groups(&file.group, &roles)?;
    let authenticator_policies = policies(&file.authenticator_policy)?;
    let known = repository::Known { groups: &groups, roles: &roles, provisioned: &[] };
    let repositories = repository::repositories(&file.repository, known, around)?;
    let provisioned = provisioned::provisioned(&file.provisioned, &repositories, known)?;
    repository::renames(&file.repository, &repositories, &provisioned)?;
    let known = repository::Known { provisioned: &provisioned, ..known };
    let tokens = callers::tokens(&file.token, &name, known, taken)?;
    let clients = callers::clients(&file.client, &name, known, &tokens)?;
    let issuers = callers::issuers(&file.issuer, &name, known, (&tokens, &clients), around)?;
    let codes = codes::types(&file.user_attributes, &repositories)?;
    let customs = customs::customs(file, &roles)?;
    for id in file.group.iter().map(|group| &group.id).chain(file.role.iter().map(|role| &role.id))
    {
        // Such an id is a directory person's.
        let head = id.get_ref().split_once('.').map(|(head, _)| head);
        if let Some(other) = repositories.iter().find(|other| head == Some(&*other.id)) {
            return Err(Fault::at(
                id,
                format!(
                    "\"{}\" looks like the id of somebody in the repository \"{}\"",
                    id.get_ref(),
                    other.id
                ),
                "write an id that does not begin with a repository's id and a full stop",
            ));
        }
    }
    let policies: Vec<String> =
        authenticator_policies.iter().map(|policy| policy.id.clone()).collect();
    let resource_types = resource_types(&file.schemas, customs.lifecycle_api, around)?;
    let resource_types = Arc::new(resource_types.with_policies(&policies));
    let manners =
        manners::manners(file, resource_types.user(), &mounts, &tokens, &clients, &issuers)?;
    let on_failure = [("partial", OnFailure::Partial), ("fail", OnFailure::Fail)];
    let on_conflict = [("show", OnConflict::Show), ("first", OnConflict::First)];
    let on_vanish = [("disable", OnVanish::Disable), ("keep", OnVanish::Keep)];
    Ok(Tenant {
        mounts,
        manners,
        max_results: value::number(file.max_results.as_ref(), 100, 1..=100_000)?,
        on_failure: value::choice(file.on_failure.as_ref(), &on_failure, OnFailure::Partial)?,
        on_conflict: value::choice(file.on_conflict.as_ref(), &on_conflict, OnConflict::Show)?,
        on_vanish: value::choice(file.on_vanish.as_ref(), &on_vanish, OnVanish::Disable)?,
        vanish_grace: value::duration(
            file.vanish_grace.as_ref(),
            5 * MINUTE,
            Duration::ZERO..=30 * DAY,
        )?,
        vanish_brake: VanishBrake {
            percent: value::number(file.vanish_brake.percent.as_ref(), 5, 0..=100)?,
            at_least: value::number(file.vanish_brake.at_least.as_ref(), 10, 0..=1_000_000_000)?,
        },
        allow_scan: file.allow_scan.unwrap_or(true),
        walk_limit: value::number(file.walk_limit.as_ref(), 1_000_000, 1..=1_000_000_000)?,
        cursor_timeout: value::duration(file.cursor_timeout.as_ref(), 10 * MINUTE, SECOND..=DAY)?,
        customs,
        operators: file
            .operators
            .as_ref()
            .map(|place| operators(place, &repositories))
            .transpose()?,
        resource_types,
        codes,
        groups,
        roles,
        authenticator_policies,
        tokens,
        clients,
        issuers,
        repositories,
        provisioned,
        name,
    })
}

/// The group whose members may sign in, of a directory that there is.
fn operators(
    place: &Spanned<String>,
    repositories: &[RepositorySettings],
) -> Result<String, Fault> {
    if repositories.is_empty() {
        return Err(Fault::at(
            place,
            "operators are people of a directory, and this tenant has none",
            "write a table [[tenant.repository]] for the directory that holds this group, or remove it",
        ));
    }
    value::dn(place)
}

/// What the files say, each once.
fn resource_types(
    places: &Words,
    lifecycle: bool,
    around: &Surroundings<'_>,
) -> Result<ResourceTypes, Fault> {
    let mut texts = Vec::with_capacity(places.len());
    for place in places {
        let path = around.path(place.get_ref());
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Fault::at(
                place,
                format!("{} cannot be read: {error}", path.display()),
                "name a file with Schema or ResourceType documents; relative to this file",
            )
        })?;
        texts.push(text);
    }
    // After the others, so that each of those keeps its place.
    texts.extend(lifecycle.then(|| customs::LIFE_CYCLE_SCHEMA.to_owned()));
    ResourceTypes::read(&texts).map_err(|misfit| match places.get(misfit.file) {
        Some(place) => {
            Fault::at(place, format!("{}: {misfit}", place.get_ref()), misfit.remedy.clone())
        }
        None => Fault::absent(misfit.to_string(), misfit.remedy),
    })
}

fn roles(file: &[written::Role]) -> Result<Vec<Role>, Fault> {
    let mut roles: Vec<Role> = Vec::with_capacity(file.len());
    for role in file {
        value::code(&role.id, "role")?;
        let id = role.id.get_ref().clone();
        if roles.iter().any(|other| other.id.eq_ignore_ascii_case(&id)) {
            return Err(twice(&role.id, "role"));
        }
        let display = role.display.clone().unwrap_or_else(|| id.clone());
        roles.push(Role { id, display, rank: role.rank });
    }
    Ok(roles)
}

fn groups(file: &[written::Group], roles: &[Role]) -> Result<Vec<Group>, Fault> {
    let mut groups: Vec<Group> = Vec::with_capacity(file.len());
    for group in file {
        value::code(&group.id, "group")?;
        let id = group.id.get_ref().clone();
        if groups.iter().any(|other| other.id.eq_ignore_ascii_case(&id)) {
            return Err(twice(&group.id, "group"));
        }
        if roles.iter().any(|role| role.id.eq_ignore_ascii_case(&id)) {
            return Err(Fault::at(
                &group.id,
                format!("\"{id}\" is the id of a role of this tenant already"),
                "give groups and roles ids of one name space",
            ));
        }
        let display = group.display.clone().unwrap_or_else(|| id.clone());
        if let Some(other) = groups.iter().find(|other| is_called(other, &display)) {
            return Err(Fault::at(
                &group.id,
                format!("the group \"{}\" is called \"{display}\" already", other.id),
                "write a display of its own: the names of groups are unique, whatever their case",
            ));
        }
        groups.push(Group {
            display,
            id,
            parent: group.parent.as_ref().map(|place| place.get_ref().clone()),
            roles: role_ids(&group.roles, roles)?,
        });
    }
    for parent in file.iter().filter_map(|group| group.parent.as_ref()) {
        group_id(parent, &groups)?;
    }
    for group in file {
        let Some(parent) = &group.parent else { continue };
        let mut above = Some(parent.get_ref());
        // A chain of parents longer than there are groups goes round in a circle.
        for _ in 0..groups.len() {
            above =
                above.and_then(|id| groups.iter().find(|group| group.id == *id)?.parent.as_ref());
        }
        if above.is_some() {
            return Err(Fault::at(
                parent,
                format!("group \"{}\" is inside itself", group.id.get_ref()),
                "take one parent out of the circle",
            ));
        }
    }
    Ok(groups)
}

/// The id of a policy is the end of its authenticators' ids, behind the last dot.
fn policies(file: &[written::AuthenticatorPolicy]) -> Result<Vec<AuthenticatorPolicy>, Fault> {
    let mut policies: Vec<AuthenticatorPolicy> = Vec::with_capacity(file.len());
    for policy in file {
        let id = policy.id.get_ref();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if id.is_empty() || id.len() > 64 || !id.bytes().all(fits) {
            return Err(Fault::at(
                &policy.id,
                format!("\"{id}\" cannot be the id of an authenticator policy"),
                "write 1 to 64 letters, digits, - and _, such as \"AT_EMPPWD\"",
            ));
        }
        if policies.iter().any(|other| other.id == *id) {
            return Err(twice(&policy.id, "authenticator policy"));
        }
        let kind = policy.kind.get_ref();
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if kind.is_empty() || !kind.bytes().all(is_word) {
            return Err(Fault::at(
                &policy.kind,
                format!("\"{kind}\" is no kind of authenticators"),
                "write one word in lower case: \"login\" for passwords, else a word of your own",
            ));
        }
        policies.push(AuthenticatorPolicy { id: id.clone(), kind: kind.clone() });
    }
    Ok(policies)
}

fn is_called(group: &Group, display: &str) -> bool {
    let key = |text: &str| comparable(text, false).into_owned();
    key(&group.display) == key(display)
}

/// The ids of configured roles.
pub fn role_ids(words: &Words, roles: &[Role]) -> Result<Vec<String>, Fault> {
    words.iter().map(|place| role_id(place, roles)).collect()
}

/// The id of a configured role.
pub fn role_id(place: &Spanned<String>, roles: &[Role]) -> Result<String, Fault> {
    let known = roles.iter().map(|role| role.id.as_str());
    known_id(place, "role", "[[tenant.role]]", known)
}

/// The configured role with this id.
pub fn role<'a>(place: &Spanned<String>, roles: &'a [Role]) -> Result<&'a Role, Fault> {
    let known = roles.iter().map(|role| role.id.as_str());
    let id = known_id(place, "role", "[[tenant.role]]", known.clone())?;
    let found = roles.iter().find(|role| role.id == id);
    found.ok_or_else(|| Fault::at(place, "there is no such role", "name one of this tenant"))
}

/// The id of a configured group.
pub fn group_id(place: &Spanned<String>, groups: &[Group]) -> Result<String, Fault> {
    let known = groups.iter().map(|group| group.id.as_str());
    known_id(place, "group", "[[tenant.group]]", known)
}

fn known_id<'a>(
    place: &Spanned<String>,
    what: &str,
    table: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Result<String, Fault> {
    let id = place.get_ref();
    if known.clone().any(|known| known == id) {
        return Ok(id.clone());
    }
    let remedy = match nearest(id, known) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("write a table {table} with id = \"{id}\", or remove it here"),
    };
    Err(Fault::at(place, format!("no {what} of this tenant has the id \"{id}\""), remedy))
}

/// Says that a name or id is there twice.
pub fn twice(place: &Spanned<String>, what: &str) -> Fault {
    Fault::at(
        place,
        format!("there is a {what} \"{}\" already", place.get_ref()),
        format!("give every {what} a name of its own"),
    )
}
