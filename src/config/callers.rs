//! Who may ask: static tokens and clients of the token endpoint, and what each of them may do.

use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;

use super::fault::{Fault, listed, nearest};
use super::repository::Known;
use super::resolve::{
    DAY, HOUR, MILLISECOND, MINUTE, SECOND, Surroundings, Taken, group_id, role, twice,
};
use super::settings::{Allowance, Issuer, OauthClient, Rights, Role, Token};
use super::value;
use super::written::{self, Words};
use crate::caller::{Caller, Ceiling, Client, PERMISSIONS, PermissionSet};

/// What a client sends, beside what the RFCs say.
const MODES: [(&str, Client); 4] = [
    ("rfc", Client::Rfc),
    ("entra", Client::Entra),
    ("okta", Client::Okta),
    ("strict", Client::Strict),
];

pub fn tokens(
    file: &[written::Token],
    tenant: &Arc<str>,
    known: Known<'_>,
    taken: &mut Taken,
) -> Result<Vec<Token>, Fault> {
    let mut tokens: Vec<Token> = Vec::with_capacity(file.len());
    for token in file {
        value::name(&token.name)?;
        let name = token.name.get_ref().clone();
        if tokens.iter().any(|other| other.name == name) {
            return Err(twice(&token.name, "token"));
        }
        let sha256 = value::digest(&token.sha256)?;
        if let Some(other) = taken.digests.insert(sha256, format!("{tenant}/{name}")) {
            return Err(Fault::at_secret(
                &token.sha256,
                format!("this is the token of {other} already"),
                "a token belongs to one tenant and one name: run `scimbridge token new` for another",
            ));
        }
        let rights = rights(token.rights(), tenant, &name, known)?;
        tokens.push(Token { name, sha256, rights });
    }
    Ok(tokens)
}

/// The clients of a tenant, which share their name space with its tokens: both are callers.
pub fn clients(
    file: &[written::Client],
    tenant: &Arc<str>,
    known: Known<'_>,
    tokens: &[Token],
) -> Result<Vec<OauthClient>, Fault> {
    let mut clients: Vec<OauthClient> = Vec::with_capacity(file.len());
    for client in file {
        value::name(&client.id)?;
        let id = client.id.get_ref().clone();
        if clients.iter().any(|other| other.id == id) {
            return Err(twice(&client.id, "client"));
        }
        if tokens.iter().any(|token| token.name == id) {
            return Err(Fault::at(
                &client.id,
                format!("a token of this tenant is called \"{id}\" already"),
                "give it another id: the audit trail tells callers apart by their names",
            ));
        }
        clients.push(OauthClient {
            secret_sha256: value::digest(&client.secret_sha256)?,
            rights: rights(client.rights(), tenant, &id, known)?,
            lifetime: lifetime(client.lifetime.as_ref())?,
            id,
        });
    }
    Ok(clients)
}

/// The issuers of a tenant, which are callers under their own names as well.
pub fn issuers(
    file: &[written::Trusted],
    tenant: &Arc<str>,
    known: Known<'_>,
    (tokens, clients): (&[Token], &[OauthClient]),
    around: &Surroundings<'_>,
) -> Result<Vec<Issuer>, Fault> {
    let mut issuers: Vec<Issuer> = Vec::with_capacity(file.len());
    for written in file {
        value::name(&written.issuer)?;
        value::name(&written.audience)?;
        let (issuer, audience) = (written.issuer.get_ref(), written.audience.get_ref());
        if issuers.iter().any(|other| other.issuer == *issuer && other.audience == *audience) {
            return Err(twice(&written.issuer, "issuer"));
        }
        if tokens.iter().any(|token| token.name == *issuer)
            || clients.iter().any(|client| client.id == *issuer)
        {
            return Err(Fault::at(
                &written.issuer,
                format!("a token or client of this tenant is called \"{issuer}\" already"),
                "give that one another name: the audit trail tells callers apart by their names",
            ));
        }
        let path = around.path(written.jwks.file.get_ref());
        let jwks = std::fs::read_to_string(&path).map_err(|error| {
            Fault::at(
                &written.jwks.file,
                format!("{} cannot be read: {error}", path.display()),
                "name a file with the issuer's JWK Set; relative to this file",
            )
        })?;
        issuers.push(Issuer {
            issuer: issuer.clone(),
            audience: audience.clone(),
            jwks,
            rights: rights(written.rights(), tenant, issuer, known)?,
        });
    }
    Ok(issuers)
}

fn lifetime(written: Option<&Spanned<String>>) -> Result<Duration, Fault> {
    value::duration(written, HOUR, MINUTE..=DAY)
}

fn rights(
    written: written::Rights<'_>,
    tenant: &Arc<str>,
    name: &str,
    known: Known<'_>,
) -> Result<Rights, Fault> {
    let group = |place: &Spanned<String>| group_id(place, known.groups).map(Arc::from);
    let caller = Arc::new(Caller {
        tenant: Arc::clone(tenant),
        name: Arc::from(name),
        permissions: permissions(written.permissions)?,
        binds: written.binds,
        dialect: written.dialect.map(value::dialect).transpose()?,
        user: written.user.map(|place| Arc::from(place.get_ref().as_str())),
        client: value::choice(written.client, &MODES, Client::Rfc)?,
        ceiling: ceiling(&written, known.roles)?,
        groups: written.groups.iter().map(group).collect::<Result<_, _>>()?,
    });
    let rate = written.rate.map(|rate| allowance(&rate.requests, &rate.per)).transpose()?;
    Ok(Rights { caller, rate })
}

/// Whoever may do everything reaches everybody, unless a role is named; others reach nobody who has a
/// role of any rank.
fn ceiling(written: &written::Rights<'_>, roles: &[Role]) -> Result<Option<Ceiling>, Fault> {
    let Some(place) = written.max_role else {
        let all = |word: &Spanned<String>| matches!(word.get_ref().as_str(), "*" | "admin");
        let unlimited = written.permissions.iter().any(all);
        return Ok((!unlimited).then_some(Ceiling { rank: 0, role: None }));
    };
    let role = role(place, roles)?;
    Ok(Some(Ceiling { rank: role.rank, role: Some(Arc::from(role.id.as_str())) }))
}

pub fn allowance(count: &Spanned<u64>, per: &Spanned<String>) -> Result<Allowance, Fault> {
    Ok(Allowance {
        count: value::number(Some(count), 1, 1..=1_000_000)?,
        per: value::duration(Some(per), SECOND, 100 * MILLISECOND..=DAY)?,
    })
}

fn permissions(words: &Words) -> Result<PermissionSet, Fault> {
    words.iter().try_fold(PermissionSet::default(), |set, place| {
        let word = place.get_ref();
        let more: PermissionSet = word.parse().map_err(|_| {
            let names = PERMISSIONS.iter().map(|(_, name)| *name);
            let remedy = match nearest(word, names.clone()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!(
                    "write of {}; \"users:*\" and the like, \"*\", \"scim:provision\", \"admin\"",
                    listed(names)
                ),
            };
            Fault::at(place, format!("no permission is called \"{word}\""), remedy)
        })?;
        Ok(set.union(more))
    })
}
