//! The answer to a bulk request (RFC 7644 section 3.7.3).

use super::json::Writer;

/// What became of one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BulkOutcome {
    /// As the request has it; empty where it has none.
    pub method: String,
    pub bulk_id: Option<String>,
    /// Where the resource is; `None` for one that was not made.
    pub location: Option<Vec<u8>>,
    /// The inner text of its entity tag.
    pub version: Option<String>,
    /// The HTTP status that the operation alone would have.
    pub status: u16,
    /// The error message of one that failed, or the resource of one that reads.
    pub response: Option<Vec<u8>>,
}

/// A BulkResponse, in the order in which the outcomes are given.
pub fn render_bulk(outcomes: &[BulkOutcome]) -> Vec<u8> {
    let mut out = Vec::with_capacity(128 + outcomes.len() * 256);
    out.extend_from_slice(
        br#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkResponse"],"Operations":["#,
    );
    for (index, outcome) in outcomes.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'{');
        if !outcome.method.is_empty() {
            out.extend_from_slice(br#""method":"#);
            out.text(&outcome.method);
            out.push(b',');
        }
        if let Some(bulk_id) = &outcome.bulk_id {
            out.extend_from_slice(br#""bulkId":"#);
            out.text(bulk_id);
            out.push(b',');
        }
        if let Some(location) = &outcome.location {
            out.extend_from_slice(br#""location":"#);
            out.text(&String::from_utf8_lossy(location));
            out.push(b',');
        }
        if let Some(version) = &outcome.version {
            out.extend_from_slice(br#""version":"#);
            out.text(&format!("W/\"{version}\""));
            out.push(b',');
        }
        out.extend_from_slice(br#""status":""#);
        out.number(u64::from(outcome.status));
        out.push(b'"');
        if let Some(response) = &outcome.response {
            out.extend_from_slice(br#","response":"#);
            out.extend_from_slice(response);
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out
}
