//! What is written down about a change.

use jiff::Timestamp;

/// One record of the audit trail; it is inserted in the same atomic change as what it tells of.
#[derive(Clone, Debug)]
pub struct AuditRecord {
    pub at: Timestamp,
    /// The caller's name, never its token.
    pub caller: String,
    pub action: Action,
    /// The person concerned, by canonical id; stored as a random token whose mapping stands in a
    /// table of its own.
    pub subject: String,
    /// Ties the record to the request's log line.
    pub request_id: String,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    UserCreate,
    /// A directory person got a row: by a first write or by POST.
    UserBind,
    UserReplace,
    UserModify,
    UserDelete,
}

impl Action {
    pub fn name(self) -> &'static str {
        match self {
            Self::UserCreate => "user.create",
            Self::UserBind => "user.bind",
            Self::UserReplace => "user.replace",
            Self::UserModify => "user.modify",
            Self::UserDelete => "user.delete",
        }
    }
}
