//! What is written down about a change: who did what to whom, when, by which request.
//!
//! Knows nothing of where it is kept. How the records of a trail hang together is in [`chain`].

pub mod chain;

use jiff::Timestamp;

/// One record of the audit trail; it is inserted in the same atomic change as what it tells of.
#[derive(Clone, Debug)]
pub struct AuditRecord {
    pub at: Timestamp,
    /// The caller's name, never its token.
    pub caller: String,
    /// The person whom the caller's token stands for, if it stands for one; pseudonymous like
    /// [`AuditRecord::subject`].
    pub actor: Option<String>,
    /// The name of the resource type concerned: `User`.
    pub kind: String,
    pub action: Action,
    pub outcome: Outcome,
    /// The resource concerned, by canonical id; stored as a random token whose mapping stands in a
    /// table of its own.
    pub subject: String,
    /// Ties the record to the request's log line.
    pub request_id: String,
    /// The job that the change belongs to: what an import answered with.
    pub correlation_id: Option<String>,
    /// What else there is to tell: the attributes that were written back to a directory.
    pub detail: Option<String>,
}

/// A record as the trail holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    pub at: Timestamp,
    pub caller: String,
    /// What stands for the person who called.
    pub actor: Option<String>,
    /// [`AuditRecord::action_name`].
    pub action: String,
    /// [`AuditRecord::event`]; empty in records of before there were events.
    pub event: String,
    /// [`Outcome::name`].
    pub outcome: String,
    /// What stands for the resource concerned in the trail.
    pub token: String,
    /// Its canonical id; `None` once the person is forgotten.
    pub person: Option<String>,
    pub request_id: String,
    pub correlation_id: Option<String>,
    pub detail: Option<String>,
    /// The record's place in the chain; `None` until it is chained.
    pub sequence: Option<i64>,
    /// [`chain::link`] in hex, as it was when the record was chained.
    pub hash: Option<String>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Create,
    /// A directory person got a row: by a first write or by POST.
    Bind,
    Replace,
    Modify,
    /// A DELETE that left the resource where it is, no longer active.
    Disable,
    Delete,
    /// What the trail knew of a deleted user was taken away.
    Forget,
    /// An import was accepted; its users have records of their own.
    Import,
    /// An import was called off.
    Cancel,
    /// A device was given to a user.
    Assign,
    /// A device was taken from a user.
    Unassign,
    /// The entry of a bound user is gone: the user is no longer active.
    Vanish,
    /// It is there again, or it is no longer believed gone.
    Return,
    /// A repository was given another id.
    Rename,
}

/// How it went. What is refused is no change and has no record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    #[default]
    Success,
    /// Something was begun and did not come to what was wanted.
    Failure,
}

impl Action {
    pub const ALL: [Self; 14] = [
        Self::Create,
        Self::Bind,
        Self::Replace,
        Self::Modify,
        Self::Disable,
        Self::Delete,
        Self::Forget,
        Self::Import,
        Self::Cancel,
        Self::Assign,
        Self::Unassign,
        Self::Vanish,
        Self::Return,
        Self::Rename,
    ];

    /// The table of all actions: the word in the trail's own name (`user.modify`), and the verb of
    /// ActivID's event (`updateUser`).
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Create => ("create", "create"),
            Self::Bind => ("bind", "bind"),
            Self::Replace => ("replace", "replace"),
            Self::Modify => ("modify", "update"),
            Self::Disable => ("disable", "disable"),
            Self::Delete => ("delete", "delete"),
            Self::Forget => ("forget", "forget"),
            Self::Import => ("import", "import"),
            Self::Cancel => ("cancel", "cancelImportOf"),
            Self::Assign => ("assign", "assign"),
            Self::Unassign => ("unassign", "unassign"),
            Self::Vanish => ("vanish", "vanish"),
            Self::Return => ("return", "return"),
            Self::Rename => ("rename", "rename"),
        }
    }

    /// As the trail names it: `user.create`, `group.modify`.
    pub fn name(self, kind: &str) -> String {
        format!("{}.{}", kind.to_lowercase(), self.words().0)
    }

    /// As ActivID names it: `createUser`, `updateGroup`.
    pub fn event(self, kind: &str) -> String {
        format!("{}{kind}", self.words().1)
    }
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

impl AuditRecord {
    /// [`Action::name`] of what happened.
    pub fn action_name(&self) -> String {
        self.action.name(&self.kind)
    }

    /// [`Action::event`] of what happened.
    pub fn event(&self) -> String {
        self.action.event(&self.kind)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_action_has_two_names_of_its_own() {
        let names: HashSet<_> = Action::ALL.map(|action| action.name("User")).into();
        let events: HashSet<_> = Action::ALL.map(|action| action.event("User")).into();
        assert_eq!((names.len(), events.len()), (Action::ALL.len(), Action::ALL.len()));
        for (action, name, event) in [
            (Action::Create, "user.create", "createUser"),
            (Action::Bind, "user.bind", "bindUser"),
            (Action::Replace, "user.replace", "replaceUser"),
            (Action::Modify, "user.modify", "updateUser"),
            (Action::Delete, "user.delete", "deleteUser"),
            (Action::Forget, "user.forget", "forgetUser"),
        ] {
            assert_eq!((action.name("User"), action.event("User")), (name.into(), event.into()));
        }
        assert_eq!(Action::Create.event("Group"), "createGroup");
        assert_eq!(Action::Unassign.name("Device"), "device.unassign");
    }
}
