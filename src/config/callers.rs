//! Who may ask: static tokens and clients of the token endpoint, and what each of them may do.

use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;

use super::fault::{Fault, listed, nearest};
use super::repository::Known;
use super::resolve::{
    DAY, HOUR, MILLISECOND, MINUTE, SECOND, Surroundings, Taken, group_id, role, twice,
};
use super::settings::{Allowance, Issuer, KeySet, OauthClient, Rights, Role, Token};
use super::written::{self, Words};
use super::{tls, value};
use crate::caller::{Agent, Caller, Ceiling, Client, PERMISSIONS, PermissionSet};

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
        issuers.push(Issuer {
            issuer: issuer.clone(),
            audience: audience.clone(),
            jwks: key_set(written, around)?,
            rights: rights(written.rights(), tenant, issuer, known)?,
        });
    }
    Ok(issuers)
}

fn key_set(written: &written::Trusted, around: &Surroundings<'_>) -> Result<KeySet, Fault> {
    let place = &written.jwks;
    let (keys, encrypted) = match place.get_ref() {
        written::KeySet::File(name) => {
            let path = around.path(name);
            let text = std::fs::read_to_string(&path).map_err(|error| {
                Fault::at(
                    place,
                    format!("{} cannot be read: {error}", path.display()),
                    "name a file with the issuer's JWK Set; relative to this file",
                )
            })?;
            (KeySet::Text(text), false)
        }
        written::KeySet::Address(text) => {
            let url = value::key_url(place, text)?;
            let roots = written.ca.as_ref().map(|place| tls::roots(place, around)).transpose()?;
            let encrypted = url.scheme() == "https";
            (KeySet::Address(url, roots), encrypted)
        }
    };
    match &written.ca {
        Some(place) if !encrypted => Err(Fault::at(
            place,
            "a ca is for TLS, and these keys are not fetched over it",
            "write jwks = \"https://…\", or remove it",
        )),
        _ => Ok(keys),
    }
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
    let agent = agent(&written, known)?;
    let group = |place: &Spanned<String>| group_id(place, known.groups).map(Arc::from);
    let mut groups: Vec<Arc<str>> = written.groups.iter().map(group).collect::<Result<_, _>>()?;
    if groups.is_empty() {
        let repository = agent.as_ref().and_then(|agent| agent.repository.as_ref());
        let named = known.provisioned.iter().find(|one| Some(&one.id) == repository);
        groups.extend(named.and_then(|one| one.group.clone()));
    }
    let caller = Arc::new(Caller {
        tenant: Arc::clone(tenant),
        name: Arc::from(name),
        permissions: permissions(written.permissions)?,
        // Whoever brings people of its own means nobody else's.
        binds: written.binds.or(agent.is_some().then_some(false)),
        dialect: written.dialect.map(value::dialect).transpose()?,
        user: written.user.map(|place| Arc::from(place.get_ref().as_str())),
        client: value::choice(written.client, &MODES, Client::Rfc)?,
        ceiling: ceiling(&written, known.roles)?,
        groups: groups.into(),
        agent,
    });
    let rate = written.rate.map(|rate| allowance(&rate.requests, &rate.per)).transpose()?;
    Ok(Rights { caller, rate })
}

/// The provisioning agent that a caller is, if it is one.
fn agent(written: &written::Rights<'_>, known: Known<'_>) -> Result<Option<Agent>, Fault> {
    let creates = [("FTRESS", false), ("SCIM_FED", true)];
    let creates = value::choice(written.creates, &creates, false)?;
    let Some(place) = written.repository else {
        return Ok(creates.then_some(Agent { repository: None }));
    };
    if !creates {
        return Err(Fault::at(
            place,
            "only a provisioning agent has a repository of its own",
            "write creates = \"SCIM_FED\" beside it, or remove it",
        ));
    }
    let id = place.get_ref();
    let named = known.provisioned.iter().find(|one| *one.id == **id).ok_or_else(|| {
        let ids = known.provisioned.iter().map(|one| &*one.id);
        let remedy = match nearest(id, ids) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!(
                "write a table [[tenant.repository]] with id = \"{id}\" and kind = \"scim_fed\""
            ),
        };
        Fault::at(place, format!("no repository of the kind scim_fed has the id \"{id}\""), remedy)
    })?;
    Ok(Some(Agent { repository: Some(Arc::clone(&named.id)) }))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn keys_of_an_issuer_are_in_a_file_or_at_an_address_that_can_be_believed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("jwks.json"), "{}").unwrap();
        std::fs::write(folder.path().join("empty.pem"), "").unwrap();
        let parse = |lines: &str| {
            let text = format!(
                "[[tenant]]\nname = \"acme\"\n[[tenant.issuer]]\nissuer = \"i\"\naudience = \"a\"\n\
                 permissions = []\n{lines}\n"
            );
            let config = Config::parse(&text, folder.path(), &|_| None);
            config.map(|mut config| config.tenants.remove(0).issuers.remove(0).jwks)
        };
        for url in ["https://login.example/keys?a=1", "http://127.0.0.1:1/", "http://[::1]/keys"] {
            match parse(&format!("jwks = \"{url}\"")).unwrap() {
                KeySet::Address(read, None) => assert_eq!(read.as_str(), url),
                other => panic!("{other:?}"),
            }
        }
        let file = parse("jwks = { file = \"jwks.json\" }").unwrap();
        assert!(matches!(file, KeySet::Text(text) if text == "{}"));
        for (lines, words) in [
            ("jwks = \"http://login.example/keys\"", "issuer.jwks: anybody on the way"),
            ("jwks = \"http://localhost/keys\"", "issuer.jwks: anybody on the way"),
            ("jwks = \"ftp://login.example/keys\"", "issuer.jwks: keys are fetched over https"),
            ("jwks = \"jwks.json\"", "issuer.jwks: this is no URL"),
            ("jwks = \"https://me:secret@login.example/\"", "issuer.jwks: the address of public"),
            ("jwks = \"https://login.example/#keys\"", "issuer.jwks: the address of public"),
            ("jwks = { file = \"none.json\" }", "none.json cannot be read"),
            ("jwks = { url = \"https://login.example\" }", "no such key"),
            ("jwks = 7", "write the address of a JWK Set or { file"),
            ("jwks = { file = \"jwks.json\" }\nca = \"empty.pem\"", "issuer.ca: a ca is for TLS"),
            ("jwks = \"http://127.0.0.1/\"\nca = \"empty.pem\"", "issuer.ca: there is no PEM"),
            ("jwks = \"https://login.example\"\nca = \"empty.pem\"", "issuer.ca: there is no PEM"),
            ("jwks = \"https://login.example\"\nca = \"none.pem\"", "issuer.ca: cannot read"),
        ] {
            let told = parse(lines).unwrap_err().to_string();
            assert!(told.contains(words), "{lines}: {told}");
        }
    }
}
