//! Operators: whether there is anybody who may sign in to the console with a directory's password, and
//! whether somebody can.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::explain::within;
use super::{print, repositories};
use crate::config::{Config, RepositorySettings, Tenant};
use crate::federation::{Account, Attempt, Tried};
use crate::repository::ldap::{LdapRepository, Population};
use crate::repository::{Finding, Refused, Severity};
use crate::secret::Password;

/// How long each look at a directory may take.
const PATIENCE: Duration = Duration::from_secs(10);

const SUBJECT: &str = "operators";

/// What is to be said of a tenant's operators, by what its repositories know of their group.
pub async fn check(tenant: &Tenant) -> anyhow::Result<Vec<Finding>> {
    let Some(operators) = &tenant.operators else { return Ok(Vec::new()) };
    let group = &operators.group;
    let of = tenant.repositories.iter().filter(|one| one.id == operators.repository);
    let mut seen = Vec::new();
    for settings in of.clone() {
        let repository = repositories::open(settings, tenant.resource_types.user())?;
        seen.push((&*settings.id, look(&repository, group).await));
    }
    let mut findings = vec![who(group, &seen)];
    if findings[0].severity != Severity::Broken {
        findings.extend(unreadable(group, &seen));
    }
    findings.extend(of.flat_map(in_clear_text));
    Ok(findings)
}

type Seen<'a> = (&'a str, Result<Population, String>);

async fn look(repository: &LdapRepository, group: &str) -> Result<Population, String> {
    let seen = repository.population(group, Instant::now() + PATIENCE).await;
    seen.map_err(|error| error.to_string())
}

fn who(group: &str, seen: &[Seen<'_>]) -> Finding {
    let of = |wanted: Population| {
        let like = seen.iter().filter(|(_, seen)| *seen == Ok(wanted)).map(|(id, _)| *id);
        like.collect::<Vec<_>>().join(", ")
    };
    let (somebody, members) = (of(Population::Somebody), of(Population::Members));
    let nobody = of(Population::Nobody);
    if !somebody.is_empty() {
        let text = format!("people of {somebody} are in \"{group}\" and may sign in");
        return finding(Severity::Well, text, "");
    }
    if !members.is_empty() {
        let text = format!(
            "\"{group}\" in {members} has members; whether they are people there cannot be searched for"
        );
        return finding(Severity::Well, text, "");
    }
    if !nobody.is_empty() {
        let text = format!("nobody of {nobody} is in \"{group}\": nobody may sign in");
        let remedy = "put people, or groups of people, into it, or name another group; base and filter of \
                      the repository say who is a person";
        return finding(Severity::Warning, text, remedy);
    }
    let why = seen.iter().map(|(id, seen)| match seen {
        Err(error) => format!("{id}: {error}"),
        Ok(_) => format!("{id}: the directory holds nothing by such a name"),
    });
    let text = format!(
        "no repository can read \"{group}\", so that nobody may sign in: {}",
        why.collect::<Vec<_>>().join("; ")
    );
    let remedy = "correct operators, or give the entry of bind_dn the right to read the group and its members";
    finding(Severity::Broken, text, remedy)
}

/// Repositories whose people are kept out by it.
fn unreadable(group: &str, seen: &[Seen<'_>]) -> Vec<Finding> {
    let each = seen.iter().filter_map(|(id, seen)| {
        let text = format!("people of {id} cannot sign in: {}", seen.as_ref().err()?);
        let remedy = format!(
            "give the entry of bind_dn the right to read \"{group}\" and its members in that directory"
        );
        Some(finding(Severity::Warning, text, &remedy))
    });
    each.collect()
}

fn in_clear_text(one: &RepositorySettings) -> Vec<Finding> {
    let exposed = one.urls.iter().filter(|url| one.plain(url) && !url.is_loopback());
    let each = exposed.map(|url| {
        let text = format!(
            "passwords of people of {} would cross the network in clear text to {url}",
            one.id
        );
        finding(Severity::Warning, text, "use ldaps:// or tls = \"starttls\"")
    });
    each.collect()
}

/// Tries to sign in, says how far it came, and whether it came to the end.
pub fn sign_in(
    config: &Config,
    tenant: Option<&str>,
    name: &str,
    password: &Password,
) -> anyhow::Result<bool> {
    let tenant = &*one_of(config, tenant)?.name;
    let attempt = within(config, tenant, async |federation, _| {
        let always = |_: Account<'_>| Ok(());
        Ok(federation.attempt(name, password, Instant::now() + 3 * PATIENCE, &always).await)
    })?;
    println!("tenant {tenant}, signing in as {name}");
    let group = config.tenants.iter().find(|one| *one.name == *tenant);
    let group = group.and_then(|one| one.operators.as_ref()).map_or("", |one| &one.group);
    told(&attempt, name, group).iter().for_each(print);
    let done = attempt.outcome().is_ok();
    println!("{}", if done { "signed in" } else { "refused" });
    Ok(done)
}

/// The tenant that is named, or the only one that can be meant.
fn one_of<'a>(config: &'a Config, named: Option<&str>) -> anyhow::Result<&'a Tenant> {
    let all = || config.tenants.iter();
    let all_names = || all().map(|tenant| &*tenant.name).collect::<Vec<_>>().join(", ");
    if let Some(named) = named {
        let found = all().find(|tenant| *tenant.name == *named);
        return found
            .ok_or_else(|| anyhow!("there is no tenant \"{named}\"; there are: {}", all_names()));
    }
    let mut with_operators = all().filter(|tenant| tenant.operators.is_some());
    match (config.tenants.as_slice(), with_operators.next(), with_operators.next()) {
        ([only], ..) | (_, Some(only), None) => Ok(only),
        _ => Err(anyhow!("say in which tenant, by --tenant: {}", all_names())),
    }
}

fn told(attempt: &Attempt, name: &str, group: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (id, found) in &attempt.sources {
        findings.push(of_source(
            id,
            found.as_ref().map_err(|problem| {
                let cause = std::error::Error::source(problem).map(ToString::to_string);
                cause.unwrap_or_else(|| problem.to_string())
            }),
        ));
    }
    if let Some(who) = &attempt.who {
        let text =
            format!("\"{}\" of {}, with the userName {}", who.dn, who.repository, who.user_name);
        findings.push(said(Severity::Well, "person", text, ""));
    }
    let bound = |notice: &Option<String>| {
        let notice = notice.as_ref().map(|text| format!("; {text}")).unwrap_or_default();
        said(Severity::Well, "bind", format!("the directory takes the password{notice}"), "")
    };
    let broken = |subject, text: String, remedy| said(Severity::Broken, subject, text, remedy);
    match &attempt.tried {
        Tried::SignedIn { notice } => findings.extend([
            bound(notice),
            finding(Severity::Well, format!("in \"{group}\": may sign in to the console"), ""),
        ]),
        Tried::NoOperator => findings.extend([
            bound(&None),
            broken(
                SUBJECT,
                format!("not in \"{group}\": may not sign in"),
                "put the person, or a group that the person is in, into it",
            ),
        ]),
        Tried::Unread(error) => findings.extend([
            bound(&None),
            broken(
                SUBJECT,
                error.to_string(),
                "give the entry of bind_dn the right to read the group and its members",
            ),
        ]),
        other => findings.extend(kept_out(other, name)),
    }
    findings
}

/// Why it did not come to the bind, or not beyond it.
fn kept_out(tried: &Tried, name: &str) -> Option<Finding> {
    let (subject, text, remedy) = match tried {
        Tried::SignedIn { .. } | Tried::NoOperator | Tried::Unread(_) => return None,
        Tried::Closed => (
            SUBJECT,
            "the tenant has none: nobody signs in with a directory's password".to_owned(),
            "write operators = \"cn=…\", the DN of a group, into its [[tenant]]",
        ),
        Tried::Nobody => (
            "name",
            format!("nobody is called \"{name}\""),
            "write a userName as the mapping has it, or <repository>.<entry key>; base and filter of a \
             repository say who is a person",
        ),
        Tried::Several => (
            "name",
            format!("\"{name}\" does not tell one person from others: it lets in nobody"),
            "write <repository>.<entry key>, make the names unique, or leave people out by filter",
        ),
        Tried::Unsearchable => (
            "name",
            format!("\"{name}\" would be looked for by reading a whole directory"),
            "write <repository>.<entry key>",
        ),
        Tried::Outsider => (
            SUBJECT,
            "the person is of another repository than the operators; no password was sent"
                .to_owned(),
            "put somebody of that repository into the group, or name another repository in operators",
        ),
        Tried::Deleted => (
            "active",
            "the user of this person was deleted here".to_owned(),
            "a POST that names the person brings it back",
        ),
        Tried::Inactive => (
            "active",
            "the person is not active".to_owned(),
            "write active = true here, or to what active is mapped to in the directory",
        ),
        Tried::Refused { why, text } => (
            "bind",
            format!("the directory refuses it: {}: {text}", reason(*why)),
            what_to_do(*why),
        ),
        Tried::Silent => (
            "name",
            "a repository that may know the name did not answer".to_owned(),
            "look at the repository by `scimbridge check`; <repository>.<entry key> asks one alone",
        ),
        Tried::Unanswered(error) => (
            "bind",
            format!("whether the password is right was not told: {}", error.error),
            "look at the directory's log; this is no wrong password",
        ),
        Tried::Store(error) => ("store", error.to_string(), "look at store.url"),
        Tried::Busy => ("name", "too many sign in at this moment".to_owned(), "try again"),
        Tried::Throttled(wait) => ("name", format!("to be tried again in {wait:?}"), "wait"),
    };
    Some(said(Severity::Broken, subject, text, remedy))
}

fn of_source(id: &Arc<str>, found: Result<&usize, String>) -> Finding {
    match found {
        Ok(0) => said(Severity::Well, "name", format!("{id}: nobody has it"), ""),
        Ok(1) => said(Severity::Well, "name", format!("{id}: one person has it"), ""),
        Ok(several) => {
            said(Severity::Warning, "name", format!("{id}: {several} people have it"), "")
        }
        Err(error) => said(Severity::Broken, "name", format!("{id}: {error}"), ""),
    }
}

fn reason(why: Refused) -> &'static str {
    match why {
        Refused::Wrong => "the password is wrong, or the account is closed without saying so",
        Refused::Locked => "the account is locked",
        Refused::Disabled => "the account is disabled",
        Refused::AccountExpired => "the account has expired",
        Refused::PasswordExpired => "the password has expired",
        Refused::MustChange => "the password must be changed first",
        Refused::NotNow => "not at this time, or not from this machine",
        Refused::NoPassword => "the entry has no password, or may not bind by one",
        Refused::Gone => "the entry is gone",
        Refused::Unsaid => "for a reason that is not told",
    }
}

fn what_to_do(why: Refused) -> &'static str {
    match why {
        Refused::Wrong | Refused::Unsaid => "look at the directory's log",
        Refused::Locked => "unlock it in the directory",
        Refused::Disabled | Refused::AccountExpired => "open it again in the directory",
        Refused::PasswordExpired | Refused::MustChange => {
            "let its owner change it in the directory"
        }
        Refused::NotNow => "look at its log-on hours and machines in the directory",
        Refused::NoPassword => "give it one in the directory, or allow simple binds there",
        Refused::Gone => "look for the person again",
    }
}

fn finding(severity: Severity, text: String, remedy: &str) -> Finding {
    said(severity, SUBJECT, text, remedy)
}

fn said(severity: Severity, subject: &str, text: String, remedy: &str) -> Finding {
    Finding { severity, subject: subject.to_owned(), text, remedy: remedy.to_owned() }
}
