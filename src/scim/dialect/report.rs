//! The repository report: how each asked repository answered a federated search.

use super::json::Writer;

/// How one repository answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryReport {
    pub id: String,
    pub state: ReportState,
    /// How many matching people it gave.
    pub found: u64,
    /// Age of the oldest part of the answer, in seconds; 0 for a live one.
    pub age_seconds: u64,
    /// Whether nothing of the filter could be sent and everybody was read.
    pub scan: bool,
}

/// Where an answer came from, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportState {
    /// Read from the directory now, and whole.
    Ok,
    /// From the cache, within its rules.
    Cached,
    /// From the cache past its time, because the directory did not answer.
    Stale,
    /// Cut by a limit: more people may match.
    Truncated,
    /// No answer within the deadline.
    Timeout,
    Unavailable,
}

impl ReportState {
    /// Whether who is not in the answer is not there: a stale one tells of another time.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Ok | Self::Cached)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Cached => "cached",
            Self::Stale => "stale",
            Self::Truncated => "truncated",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
        }
    }
}

pub(super) fn render(out: &mut Vec<u8>, reports: &[RepositoryReport]) {
    out.push(b'[');
    for (index, report) in reports.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(br#"{"id":"#);
        out.text(&report.id);
        out.extend_from_slice(br#","state":""#);
        out.extend_from_slice(report.state.name().as_bytes());
        out.extend_from_slice(br#"","found":"#);
        out.number(report.found);
        out.extend_from_slice(br#","ageSeconds":"#);
        out.number(report.age_seconds);
        out.extend_from_slice(br#","scan":"#);
        out.extend_from_slice(if report.scan { b"true" } else { b"false" });
        out.push(b'}');
    }
    out.push(b']');
}
