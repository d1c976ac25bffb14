//! What an administrator is told about a directory's servers: each step on the way to the first
//! answer, and what to do where one fails. Also the bind in somebody else's name, which takes the
//! same steps.

use std::sync::Arc;

use tokio::time::Instant;

use super::connection::{AnswerEnd, Ask, Connection, Identity, Weight};
use super::dial::DialError;
use super::directory::Directory;
use super::entry::{Paging, RawEntry, Scope, SearchRequest};
use super::failure::Failure;
use super::server::{Server, refused_bind};
use crate::repository::{Finding, Severity};
use crate::secret::Secret;

impl Directory {
    /// Walks through connection, TLS, bind and root DSE of every server, on connections of its own.
    pub async fn diagnose(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for server in &self.0.servers {
            server.diagnose(&mut findings).await;
        }
        findings
    }
}

impl Server {
    /// Whether a bind as `dn` succeeds.
    pub(super) async fn verify(
        &self,
        dn: &str,
        password: &Secret<String>,
        deadline: Instant,
    ) -> Result<bool, Failure> {
        if let Some(failure) = self.refusal() {
            return Err(failure);
        }
        let connection = self.unbound().await.map_err(Failure::Down)?;
        let identity = Identity::Simple { dn: dn.to_owned(), password: password.clone() };
        let outcome = connection.bind(&identity, deadline).await?;
        match outcome.code {
            0 => Ok(true),
            // invalidCredentials; noSuchObject, inappropriateAuthentication (an entry without a
            // password) and unwillingToPerform (a locked one) from servers that tell them apart.
            32 | 48 | 49 | 53 => Ok(false),
            code => Err(Failure::Busy(self.text(&refused_bind(&identity, code, &outcome.text)))),
        }
    }

    async fn diagnose(&self, findings: &mut Vec<Finding>) {
        let url = &self.plan.dial.url;
        let wire = match self.wire().await {
            Ok(wire) => wire,
            Err(DialError::Connect(text)) => {
                let remedy = "check `urls`, the network and whether the server runs";
                return findings.push(broken("connect", format!("{url}: {text}"), remedy));
            }
            Err(DialError::Tls(text)) => {
                findings.push(well("connect", format!("{url}: the server answers")));
                let remedy =
                    "check `tls` and `ca`, and that the certificate names the host in `urls`";
                return findings.push(broken("TLS", format!("{url}: {text}"), remedy));
            }
        };
        let protection = wire.protection();
        if protection == "plain text" && !url.is_loopback() {
            findings.push(Finding {
                severity: Severity::Warning,
                subject: "connect".to_owned(),
                text: format!("{url}: connected in plain text; the bind password and all entries can be read on the way"),
                remedy: "use ldaps:// or tls = \"starttls\"".to_owned(),
            });
        } else {
            findings.push(well("connect", format!("{url}: connected, {protection}")));
        }
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
            Ok(entry) => findings.push(root_dse(url, &entry)),
            Err(text) => {
                let remedy = "allow this bind to read the root DSE";
                findings.push(broken("root DSE", format!("{url}: {text}"), remedy));
            }
        }
    }

    async fn root_dse(&self, connection: &Connection) -> Result<RawEntry, String> {
        let attributes = ["vendorName", "vendorVersion", "namingContexts", "supportedControl"];
        let request = SearchRequest {
            base: String::new(),
            scope: Scope::Base,
            filter: "(objectClass=*)".to_owned(),
            attributes: attributes.map(str::to_owned).to_vec(),
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

fn root_dse(url: &crate::config::ServerUrl, entry: &RawEntry) -> Finding {
    let values = |name: &str| -> Vec<String> {
        let found = entry.attributes.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        let list = found.map(|(_, values)| values.as_slice()).unwrap_or_default();
        list.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    };
    let paging =
        values("supportedControl").iter().any(|control| control == "1.2.840.113556.1.4.319");
    let contexts = values("namingContexts").join(", ");
    let vendor = [values("vendorName"), values("vendorVersion")].concat().join(" ");
    let mut text = format!("{url}: read; naming contexts: {contexts}");
    // OpenLDAP does not tell.
    if !vendor.is_empty() {
        text = format!("{text}; vendor: {vendor}");
    }
    if paging {
        return well("root DSE", text);
    }
    Finding {
        severity: Severity::Warning,
        subject: "root DSE".to_owned(),
        text: format!("{text}; paged results are not offered"),
        remedy: "answers are cut at the server's size limit; raise it for this bind".to_owned(),
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
        | Failure::Refused(text) => text.to_string(),
    }
}

fn well(subject: &str, text: String) -> Finding {
    Finding { severity: Severity::Well, subject: subject.to_owned(), text, remedy: String::new() }
}

fn broken(subject: &str, text: String, remedy: &str) -> Finding {
    Finding {
        severity: Severity::Broken,
        subject: subject.to_owned(),
        text,
        remedy: remedy.to_owned(),
    }
}
