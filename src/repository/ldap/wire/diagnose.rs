//! What an administrator is told about a directory's servers: each step on the way to the first
//! answer, and what to do where one fails.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::connection::{AnswerEnd, Ask, Connection, Identity, Weight};
use super::dial::{DialError, Protection};
use super::directory::Directory;
use super::entry::{Paging, RawEntry, RawFound, Scope, SearchRequest};
use super::failure::Failure;
use super::follow::Unfollowed;
use super::referral::Target;
use super::server::{Server, refused_bind};
use crate::clock::Clock;
use crate::config::ServerUrl;
use crate::repository::ldap::entry::generalized_time;
use crate::repository::{Finding, Severity};

/// How long before its end a certificate is to be renewed.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Clocks that lie farther apart close accounts at the wrong time, and confuse whoever reads two logs.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// So many servers are told of to which the directory refers.
const MOST_TOLD: usize = 16;

/// Where a server tells its time, beside its root DSE: OpenLDAP, 389 Directory Server.
const CLOCKS: [(&str, &str); 2] =
    [("cn=Current,cn=Time,cn=Monitor", "monitorTimestamp"), ("cn=monitor", "currenttime")];

impl Directory {
    /// Walks through connection, TLS, bind and root DSE of every server, on connections of its own;
    /// and whether any of them can be used.
    pub async fn diagnose(&self, clock: &Clock) -> (Vec<Finding>, bool) {
        let (mut findings, mut usable) = (Vec::new(), false);
        for server in &self.0.servers {
            let begin = findings.len();
            server.diagnose(clock, &mut findings).await;
            usable |= findings[begin..].iter().all(|one| one.severity != Severity::Broken);
        }
        (findings, usable)
    }
}

impl Directory {
    /// What becomes of what `found` refers to, and whether the servers can be used to which that leads.
    pub async fn diagnose_referrals(&self, found: &RawFound, clock: &Clock) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut told = HashSet::new();
        for url in found.references.iter().flatten() {
            let judged = self.0.follower.as_ref().map(|follower| (follower, follower.judge(url)));
            let unfollowed = match judged {
                Some((follower, Ok(target))) => {
                    let server = target.server;
                    if !told.insert(server.to_string()) || told.len() > MOST_TOLD {
                        continue;
                    }
                    let text = format!("{server}: referrals to it are followed");
                    findings.push(well("referrals", text));
                    if let Some(server) = follower.server(&server) {
                        server.diagnose(clock, &mut findings).await;
                    }
                    continue;
                }
                Some((_, Err(unfollowed))) => unfollowed,
                None => Target::parse(url)
                    .map_or(Unfollowed::Useless, |target| Unfollowed::Stranger(target.server)),
            };
            if !told.insert(unfollowed.words()) || told.len() > MOST_TOLD {
                continue;
            }
            let text = format!("the directory refers elsewhere: {}", unfollowed.words());
            let nobody = Target::parse(url).is_some_and(|target| target.is_technical());
            findings.push(match unfollowed {
                Unfollowed::Stranger(_) if nobody => well("referrals", text),
                Unfollowed::Stranger(_) => {
                    let text = format!("{text}; people there are not found");
                    warning(
                        "referrals",
                        text,
                        "add the host to follow_referrals if people are there",
                    )
                }
                Unfollowed::Plain(_) => warning(
                    "referrals",
                    format!("{text}; people there are not found"),
                    "write tls = \"starttls\", or let the directory refer to ldaps:// URLs",
                ),
                Unfollowed::Useless | Unfollowed::Unusable(_) => {
                    warning("referrals", text, "correct it in the directory (RFC 4516)")
                }
            });
        }
        findings
    }
}

impl Server {
    async fn diagnose(&self, clock: &Clock, findings: &mut Vec<Finding>) {
        let url = &self.plan.dial.url;
        let wire = match self.wire().await {
            Ok(wire) => wire,
            Err(DialError::Connect(text)) => {
                let remedy = "check `urls`, the network and whether the server runs";
                return findings.push(broken("connect", format!("{url}: {text}"), remedy));
            }
            Err(DialError::Tls(text)) => {
                findings.push(well("connect", format!("{url}: the server answers")));
                let remedy = "check `tls` and `ca`, that the certificate names the host in `urls`, and \
                              that the server speaks TLS 1.2 or later";
                return findings.push(broken("TLS", format!("{url}: {text}"), remedy));
            }
        };
        connected(url, wire.protection(), clock.now(), findings);
        let connection = match Connection::new(wire, self.plan.max_message, self.plan.max_age).await
        {
            Ok(connection) => connection,
            Err(failure) => {
                return findings.push(broken("connect", format!("{url}: {}", words(&failure)), ""));
            }
        };
        let identity = &self.plan.identity;
        let deadline = Instant::now() + self.plan.operation_timeout;
        match connection.bind(identity, deadline).await {
            Ok(outcome) if outcome.code == 0 => {
                findings.push(well("bind", format!("{url}: {}", bound_as(identity))));
            }
            Ok(outcome) => {
                let text = refused_bind(identity, outcome.code, &outcome.text);
                let remedy =
                    if outcome.code == 49 { "check `bind_dn` and `bind_password`" } else { "" };
                return findings.push(broken("bind", format!("{url}: {text}"), remedy));
            }
            Err(failure) => {
                let remedy =
                    "the server is reachable but does not answer the bind; look at its log";
                return findings.push(broken(
                    "bind",
                    format!("{url}: {}", words(&failure)),
                    remedy,
                ));
            }
        }
        match self.root_dse(&connection).await {
            Ok(entry) => {
                let time = self.time(&connection, &entry).await;
                root_dse(url, &entry, time.map(|time| (time, clock.now())), findings);
            }
            Err(text) => {
                let remedy = "allow this bind to read the root DSE";
                findings.push(broken("root DSE", format!("{url}: {text}"), remedy));
            }
        }
    }

    /// What time the server says it is, if it does.
    async fn time(&self, connection: &Connection, root: &RawEntry) -> Option<Timestamp> {
        let told = |entry: &RawEntry, name: &str| {
            values(entry, name).first().and_then(|text| generalized_time(text))
        };
        if let Some(time) = told(root, "currentTime") {
            return Some(time);
        }
        for (base, name) in CLOCKS {
            if let Ok(entry) = self.entry(connection, base, &[name]).await
                && let Some(time) = told(&entry, name)
            {
                return Some(time);
            }
        }
        None
    }

    async fn root_dse(&self, connection: &Connection) -> Result<RawEntry, String> {
        let attributes =
            ["vendorName", "vendorVersion", "namingContexts", "supportedControl", "currentTime"];
        self.entry(connection, "", &attributes).await
    }

    async fn entry(
        &self,
        connection: &Connection,
        base: &str,
        attributes: &[&str],
    ) -> Result<RawEntry, String> {
        let request = SearchRequest {
            base: base.to_owned(),
            scope: Scope::Base,
            filter: "(objectClass=*)".to_owned(),
            attributes: attributes.iter().map(|name| (*name).to_owned()).collect(),
            size_limit: 1,
            paging: Paging::Never,
        };
        let weight = Weight::new(&Arc::default());
        let pause = self.plan.operation_timeout;
        let ask = Ask::one(&request, pause, Instant::now() + pause, &weight);
        let answer = connection.search(&ask).await.map_err(|failure| words(&failure))?;
        if let AnswerEnd::Said { outcome, .. } = &answer.end
            && outcome.code != 0
        {
            return Err(format!(
                "reading it failed with result code {} {}",
                outcome.code, outcome.text
            ));
        }
        answer.entries.into_iter().next().ok_or_else(|| "it may not be read".to_owned())
    }
}

fn connected(
    url: &ServerUrl,
    protection: Option<Protection>,
    now: Timestamp,
    findings: &mut Vec<Finding>,
) {
    let Some(Protection { version, cipher, expiry }) = protection else {
        findings.push(if url.is_loopback() {
            well("connect", format!("{url}: connected, plain text"))
        } else {
            let text = format!(
                "{url}: connected in plain text; the bind password and all entries can be read on the \
                 way"
            );
            warning("connect", text, "use ldaps:// or tls = \"starttls\"")
        });
        return;
    };
    let until = expiry.map(|at| format!(", certificate good until {at:.0}")).unwrap_or_default();
    findings.push(well("connect", format!("{url}: connected, {version} ({cipher}){until}")));
    if let Some(at) = expiry
        && at.duration_since(now) < SOON
    {
        let days = at.duration_since(now).as_hours() / 24;
        let text = format!("{url}: the server's certificate ends in {days} days, at {at:.0}");
        let remedy =
            "renew it, and let the server read the new one; after that time nobody is found";
        findings.push(warning("certificate", text, remedy));
    }
}

fn values(entry: &RawEntry, name: &str) -> Vec<String> {
    let found = entry.attributes.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
    let list = found.map(|(_, values)| values.as_slice()).unwrap_or_default();
    list.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}

/// `time`: the server's, and ours at that moment.
fn root_dse(
    url: &ServerUrl,
    entry: &RawEntry,
    time: Option<(Timestamp, Timestamp)>,
    findings: &mut Vec<Finding>,
) {
    let values = |name: &str| values(entry, name);
    let paging =
        values("supportedControl").iter().any(|control| control == "1.2.840.113556.1.4.319");
    let contexts = values("namingContexts").join(", ");
    let vendor = [values("vendorName"), values("vendorVersion")].concat().join(" ");
    let mut text = format!("{url}: read; naming contexts: {contexts}");
    // OpenLDAP does not tell.
    if !vendor.is_empty() {
        text = format!("{text}; vendor: {vendor}");
    }
    let apart = time.map(|(theirs, ours)| theirs.duration_since(ours));
    text = match apart {
        None => format!("{text}; its time is not told to this bind"),
        Some(apart) => format!("{text}; its clock is {} s from ours", apart.as_secs()),
    };
    findings.push(if paging {
        well("root DSE", text)
    } else {
        let remedy = "answers are cut at the server's size limit; raise it for this bind";
        warning("root DSE", format!("{text}; paged results are not offered"), remedy)
    });
    if let Some(apart) = apart.filter(|apart| apart.abs() > SKEW) {
        let text = format!(
            "{url}: the server's clock and ours are {} s apart: accounts are closed at another time here \
             than there",
            apart.abs().as_secs()
        );
        findings.push(warning("clock", text, "let both machines keep time by NTP"));
    }
}

fn bound_as(identity: &Identity) -> String {
    match identity {
        Identity::Anonymous => "reads anonymously".to_owned(),
        Identity::Simple { dn, .. } => format!("bound as \"{dn}\""),
        Identity::Certificate => "bound by client certificate".to_owned(),
    }
}

fn words(failure: &Failure) -> String {
    match failure {
        Failure::Timeout { .. } => "no answer in time".to_owned(),
        Failure::Died(text)
        | Failure::Down(text)
        | Failure::Busy(text)
        | Failure::Refused { text, .. }
        | Failure::Referred { text, .. } => text.to_string(),
    }
}

fn well(subject: &str, text: String) -> Finding {
    Finding { severity: Severity::Well, subject: subject.to_owned(), text, remedy: String::new() }
}

fn warning(subject: &str, text: String, remedy: &str) -> Finding {
    Finding {
        severity: Severity::Warning,
        subject: subject.to_owned(),
        text,
        remedy: remedy.to_owned(),
    }
}

fn broken(subject: &str, text: String, remedy: &str) -> Finding {
    Finding {
        severity: Severity::Broken,
        subject: subject.to_owned(),
        text,
        remedy: remedy.to_owned(),
    }
}
