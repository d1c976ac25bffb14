//! What is written down about a change.

use jiff::Timestamp;

/// One record of the audit trail; it is inserted in the same atomic change as what it tells of.
#[derive(Clone, Debug)]
pub struct AuditRecord {
    pub at: Timestamp,
    /// The caller's name, never its token.
    pub caller: String,
    /// The name of the resource type concerned: `User`.
    pub kind: String,
    pub action: Action,
    /// The resource concerned, by canonical id; stored as a random token whose mapping stands in a
    /// table of its own.
    pub subject: String,
    /// Ties the record to the request's log line.
    pub request_id: String,
}

/// A record as the trail holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    pub at: Timestamp,
    pub caller: String,
    /// [`AuditRecord::event`].
    pub action: String,
    /// What stands for the person in the trail.
    pub token: String,
    /// The person's canonical id; `None` once the person is forgotten.
    pub person: Option<String>,
    pub request_id: String,
    /// The record's place in the chain; `None` until it is chained.
    pub sequence: Option<i64>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Create,
    /// A directory person got a row: by a first write or by POST.
    Bind,
    Replace,
    Modify,
    Delete,
    /// A device became a user's.
    Assign,
    /// A device is nobody's any more.
    Unassign,
}

impl AuditRecord {
    /// What happened, as the trail names it: `user.create`, `group.modify`.
    pub fn event(&self) -> String {
        let action = match self.action {
            Action::Create => "create",
            Action::Bind => "bind",
            Action::Replace => "replace",
            Action::Modify => "modify",
            Action::Delete => "delete",
            Action::Assign => "assign",
            Action::Unassign => "unassign",
        };
        format!("{}.{action}", self.kind.to_lowercase())
    }
}
