//! What a row of an import says, held against what a POST of the same user would have to hold.

use std::sync::Arc;

use serde_json::Value;

use super::super::{Federation, Problem};
use crate::caller::{Caller, Client};
use crate::scim::schema::check::{Checked, Purpose};
use crate::scim::{ErrorKind, ResourceType, ScimError};
use crate::store::StoreError;

/// A row that was looked at by itself.
#[derive(Debug)]
pub(super) struct Judged {
    /// Which row of the import it is, from 0.
    pub(super) place: u64,
    /// Its `externalId`, else its `userName`.
    pub(super) name: Option<String>,
    pub(super) checked: Result<Checked, Reason>,
}

/// Why a row makes no user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    /// Whether that is because the user exists.
    pub(super) existed: bool,
    pub(super) kind: Option<ErrorKind>,
    pub(super) detail: String,
}

impl Reason {
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        ScimError::new(ErrorKind::InvalidValue, detail).into()
    }

    /// That the user is there already, under this id.
    pub(super) fn existed(detail: impl Into<String>) -> Self {
        let kind = Some(ErrorKind::Uniqueness);
        Self { existed: true, kind, detail: detail.into() }
    }

    /// What the problem of a row alone comes to; others are the whole import's, and given back.
    pub(super) fn of(problem: Problem) -> Result<Self, Problem> {
        match problem {
            Problem::Scim(error) => Ok(error.into()),
            Problem::Conflict(detail) => {
                Ok(Self { existed: false, kind: Some(ErrorKind::Uniqueness), detail })
            }
            Problem::Forbidden(_)
            | Problem::ForbiddenBecause(_)
            | Problem::NotFound(_)
            | Problem::PreconditionFailed(_) => {
                Ok(Self { existed: false, kind: None, detail: problem.to_string() })
            }
            Problem::Unavailable { .. }
            | Problem::StoreUnavailable(_)
            | Problem::StoreLost(_)
            | Problem::Internal(_) => Err(problem),
        }
    }

    /// What it comes to that the store refused the row.
    pub(super) fn refused(error: StoreError) -> Result<Self, Problem> {
        let is_the_user = |attribute: &str| matches!(attribute, "userName" | "externalId" | "id");
        let existed = match &error {
            StoreError::Taken { attribute, .. } => is_the_user(attribute),
            StoreError::Linked { .. } => true,
            _ => false,
        };
        Ok(Self { existed, ..Self::of(error.into())? })
    }
}

impl From<ScimError> for Reason {
    fn from(error: ScimError) -> Self {
        Self { existed: false, kind: Some(error.kind), detail: error.detail }
    }
}

impl Federation {
    /// Looks at a row by itself.
    pub(super) fn judged(&self, caller: &Caller, place: u64, line: &str) -> Judged {
        let kind = Arc::clone(self.users());
        let row: Value = match serde_json::from_str(line) {
            Ok(row) => row,
            // It was written by ourselves.
            Err(error) => {
                let checked = Err(Reason::invalid(format!("the row cannot be read: {error}")));
                return Judged { place, name: None, checked };
            }
        };
        let name = ["externalId", "userName"].into_iter().find_map(|name| {
            let mut members = row.as_object()?.iter();
            let (_, value) = members.find(|(member, _)| member.eq_ignore_ascii_case(name))?;
            value.as_str().map(str::to_owned)
        });
        let checked =
            base_only(&kind, &row).and_then(|()| self.checked(caller, &kind, row).map_err(refusal));
        Judged { place, name, checked }
    }

    /// The same look as a POST has at its body.
    fn checked(
        &self,
        caller: &Caller,
        kind: &ResourceType,
        row: Value,
    ) -> Result<Checked, Problem> {
        if caller.client == Client::Strict {
            kind.only_known(&row)?;
        }
        // What a user must have may come from elsewhere; that is seen later.
        self.posted(caller, kind.check(row, Purpose::Replace)?)
    }
}

/// Nothing but the row itself was looked at.
fn refusal(problem: Problem) -> Reason {
    let detail = problem.to_string();
    Reason::of(problem).unwrap_or(Reason { existed: false, kind: None, detail })
}

/// Refuses what is not of the base schema, rather than to leave it out unseen.
fn base_only(kind: &ResourceType, row: &Value) -> Result<(), Reason> {
    for (name, value) in row.as_object().into_iter().flatten() {
        let nothing = match value {
            Value::Null => true,
            Value::Array(values) => values.is_empty(),
            Value::Object(members) => members.is_empty(),
            _ => false,
        };
        let path = kind.resolve(name);
        let attribute = ["groups", "roles"]
            .iter()
            .find(|other| path.extension.is_none() && path.attribute.eq_ignore_ascii_case(other));
        if let Some(attribute) = attribute.filter(|_| !nothing) {
            return Err(Reason::invalid(format!(
                "{attribute}: an import takes no {attribute} in a row; give the group beside \"users\", \
                 and write the rest afterwards."
            )));
        }
        let of_core = name.eq_ignore_ascii_case(&kind.schema.id)
            || name.to_ascii_lowercase().starts_with(&core_prefix(kind));
        let extends = !of_core && name.get(..4).is_some_and(|urn| urn.eq_ignore_ascii_case("urn:"));
        if extends && !nothing {
            return Err(Reason::invalid(format!(
                "{name}: an import takes the base schema only; leave extensions out, and write them \
                 afterwards."
            )));
        }
    }
    Ok(())
}

/// What qualified names of core attributes begin with.
fn core_prefix(kind: &ResourceType) -> String {
    format!("{}:", kind.schema.id.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_has_the_base_schema_only() {
        let user = ResourceType::user(&[]);
        for row in [
            json!({ "userName": "a", "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"] }),
            json!({ "urn:ietf:params:scim:schemas:core:2.0:User:userName": "a" }),
            json!({ "urn:ietf:params:scim:schemas:core:2.0:User": { "userName": "a" } }),
            json!({ "userName": "a", "groups": [], "roles": null, "userRepositoryId": "corp" }),
            json!({ "userName": "a", "urn:hid:scim:api:idp:2.0:UserDevice": {} }),
            json!(7),
        ] {
            assert_eq!(base_only(&user, &row), Ok(()), "{row}");
        }
        for (row, named) in [
            (json!({ "Groups": [{ "value": "g" }] }), "groups"),
            (json!({ "roles": "R" }), "roles"),
            (json!({ "urn:hid:scim:api:idp:2.0:UserDevice": { "devices": [1] } }), "UserDevice"),
            (json!({ "URN:nobody:knows": 1 }), "URN:nobody:knows"),
            (
                json!({ "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department": "x" }),
                "department",
            ),
        ] {
            let reason = base_only(&user, &row).unwrap_err();
            assert!(reason.detail.contains(named), "{row}: {}", reason.detail);
        }
    }
}
