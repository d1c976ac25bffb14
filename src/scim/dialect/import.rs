//! What is told of an import: that it was accepted, how far it is, and what became of it.

use super::json::Writer;

/// The member that tells what the ActivID documents have no member for.
pub const IMPORT: &str = "urn:scimbridge:api:messages:2.0:Import";

/// How far an import is, or what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportReport {
    pub correlation_id: String,
    pub state: ImportStatus,
    /// How many rows there are.
    pub size: u64,
    pub imported: u64,
    pub existed: u64,
    pub failed: u64,
    /// Why no further row is done, where that is not because all are.
    pub ended: Option<String>,
    /// Rows that made no user, beginning with the `start`th of them, from 1.
    pub faults: Vec<RowFault>,
    pub start: u64,
    /// How many such rows are known.
    pub known: u64,
}

/// The word for where an import stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportStatus {
    Importing,
    Done,
    Failed,
    Cancelled,
}

impl ImportStatus {
    pub fn name(self) -> &'static str {
        match self {
            Self::Importing => "importing",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A row that made no user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFault {
    /// Which row it is, from 0, as in `users[0]`.
    pub place: u64,
    /// Its `externalId`, else its `userName`.
    pub name: Option<String>,
    /// Whether that is because the user exists.
    pub existed: bool,
    /// `scimType`
    pub kind: Option<String>,
    pub detail: String,
}

const SCHEMAS: &[u8] = br#"{"schemas":["urn:hid:scim:api:idp:2.0:user:ImportResponse"],"#;

/// The answer to an import that was accepted; `base` is what its location begins with.
pub fn render_import(base: &str, correlation_id: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + base.len());
    out.extend_from_slice(SCHEMAS);
    out.extend_from_slice(br#""meta":{"resourceType":"UserImportResponse","location":"#);
    out.text(&import_location(base, correlation_id));
    out.extend_from_slice(br#","version":"1"},"correlationId":"#);
    out.text(correlation_id);
    out.push(b'}');
    out
}

/// Where it is told how far an import is.
pub fn import_location(base: &str, correlation_id: &str) -> String {
    format!("{base}/Users/.import/{correlation_id}")
}

pub fn render_import_report(report: &ImportReport) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + report.faults.len() * 192);
    let count = |out: &mut Vec<u8>, name: &str, number: u64| {
        out.push(b',');
        out.name(name);
        out.number(number);
    };
    out.extend_from_slice(SCHEMAS);
    out.name("correlationId");
    out.text(&report.correlation_id);
    out.push(b',');
    out.name("status");
    out.text(report.state.name());
    count(&mut out, "importSize", report.size);
    let processed = report.imported + report.existed + report.failed;
    if report.state == ImportStatus::Importing {
        count(&mut out, "nbProcessed", processed);
    } else {
        count(&mut out, "nbFailed", report.failed);
        count(&mut out, "nbAlreadyExisted", report.existed);
        count(&mut out, "nbImported", report.imported);
    }
    if report.known > 0 || report.ended.is_some() {
        out.push(b',');
        out.name(IMPORT);
        out.push(b'{');
        if let Some(why) = &report.ended {
            out.name("nbDropped");
            out.number(report.size.saturating_sub(processed));
            out.push(b',');
            out.name("detail");
            out.text(why);
            out.push(b',');
        }
        out.name("totalResults");
        out.number(report.known);
        count(&mut out, "startIndex", report.start);
        count(&mut out, "itemsPerPage", report.faults.len() as u64);
        out.extend_from_slice(br#","rows":["#);
        for (index, fault) in report.faults.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            row(&mut out, fault);
        }
        out.extend_from_slice(b"]}");
    }
    out.push(b'}');
    out
}

fn row(out: &mut Vec<u8>, fault: &RowFault) {
    out.push(b'{');
    out.name("index");
    out.number(fault.place);
    for (name, text) in [
        ("name", fault.name.as_deref()),
        ("outcome", Some(if fault.existed { "alreadyExisted" } else { "failed" })),
        ("scimType", fault.kind.as_deref()),
        ("detail", Some(&*fault.detail)),
    ] {
        if let Some(text) = text {
            out.push(b',');
            out.name(name);
            out.text(text);
        }
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_import_is_told_as_the_document_has_it() {
        let told: Value =
            serde_json::from_slice(&render_import("https://h/scim/t/v2", "1P5FOESDK44J6Q0QAHK2"))
                .unwrap();
        assert_eq!(
            told,
            json!({
                "schemas": ["urn:hid:scim:api:idp:2.0:user:ImportResponse"],
                "meta": {
                    "resourceType": "UserImportResponse",
                    "location": "https://h/scim/t/v2/Users/.import/1P5FOESDK44J6Q0QAHK2",
                    "version": "1"
                },
                "correlationId": "1P5FOESDK44J6Q0QAHK2"
            })
        );
        let mut report = ImportReport {
            correlation_id: "1P5FOESDK44J6Q0QAHK2".to_owned(),
            state: ImportStatus::Importing,
            size: 500,
            imported: 80,
            existed: 2,
            failed: 0,
            ended: None,
            faults: Vec::new(),
            start: 1,
            known: 0,
        };
        let told: Value = serde_json::from_slice(&render_import_report(&report)).unwrap();
        assert_eq!(
            told,
            json!({
                "schemas": ["urn:hid:scim:api:idp:2.0:user:ImportResponse"],
                "correlationId": "1P5FOESDK44J6Q0QAHK2",
                "status": "importing",
                "importSize": 500,
                "nbProcessed": 82
            })
        );
        report.state = ImportStatus::Cancelled;
        report.ended = Some("called off".to_owned());
        report.known = 2;
        report.faults.push(RowFault {
            place: 7,
            name: Some("x\"7".to_owned()),
            existed: true,
            kind: None,
            detail: "there".to_owned(),
        });
        let told: Value = serde_json::from_slice(&render_import_report(&report)).unwrap();
        assert_eq!(
            told,
            json!({
                "schemas": ["urn:hid:scim:api:idp:2.0:user:ImportResponse"],
                "correlationId": "1P5FOESDK44J6Q0QAHK2",
                "status": "cancelled",
                "importSize": 500,
                "nbFailed": 0,
                "nbAlreadyExisted": 2,
                "nbImported": 80,
                (IMPORT): {
                    "nbDropped": 418,
                    "detail": "called off",
                    "totalResults": 2,
                    "startIndex": 1,
                    "itemsPerPage": 1,
                    "rows": [{
                        "index": 7, "name": "x\"7", "outcome": "alreadyExisted", "detail": "there"
                    }]
                }
            })
        );
    }
}
