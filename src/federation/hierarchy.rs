//! The group that a group stands beneath: shown of the memberships, and written to them.

use std::sync::Arc;

use serde_json::json;

use super::authority::Mode;
use super::{Federation, GROUP, Problem};
use crate::scim::dialect::location;
use crate::scim::schema::standard::GROUP_PARENT;
use crate::scim::{Attributes, ErrorKind, ResourceType, ScimError};
use crate::store::{Joining, Membership, ResourceRow, RowKey, TypeName};

/// The name of the extension's one attribute.
const PARENT: &str = "parent";

/// The group that is shown as the one above: of several that a group is a member of the first, by
/// their ids.
fn above(row: &ResourceRow) -> Option<&Membership> {
    row.groups.iter().find(|group| group.direct)
}

/// Adds the extension to the attributes of a group that stands beneath another.
pub(super) fn show(attributes: &mut Attributes, row: &ResourceRow, groups: &ResourceType) {
    let Some(parent) = above(row).filter(|_| row.type_name == TypeName::Group) else { return };
    let mut shown = json!({ "value": parent.id, "$ref": location("", groups, &parent.id) });
    if let Some(display) = &parent.display {
        shown["display"] = display.as_str().into();
    }
    attributes.insert(GROUP_PARENT.into(), json!({ PARENT: shown }));
}

/// Another place for a group: beneath the group with this id, or beneath none.
#[derive(Debug)]
pub(super) struct Move {
    beneath: Option<String>,
}

/// What a move comes to.
#[derive(Debug, Default)]
pub(super) struct Placed {
    pub(super) joining: Joining,
    /// Ids of the roles that come and go with it.
    pub(super) roles: Vec<String>,
}

/// Takes the extension out of what a group shall be, and gives what it asks for, where that is a
/// change. A PUT that does not hold the extension says nothing: what it tells of stands with the
/// group above.
pub(super) fn moved(
    row: Option<&ResourceRow>,
    wanted: &mut Attributes,
    mode: Mode,
) -> Option<Move> {
    let given = wanted.shift_remove(GROUP_PARENT);
    let given = given.as_ref().and_then(|given| given.get(PARENT)?.get("value")?.as_str());
    let stays = match (given, row.and_then(above)) {
        (None, None) => true,
        (None, Some(_)) => mode == Mode::Replace,
        (Some(given), Some(held)) => given == held.id || given == held.number.to_string(),
        (Some(_), None) => false,
    };
    (!stays).then(|| Move { beneath: given.map(str::to_owned) })
}

impl Federation {
    /// What a move comes to. Whoever asks holds [`Federation::moving`] until it is done.
    pub(super) async fn placed(
        &self,
        row: Option<&ResourceRow>,
        moved: &Move,
    ) -> Result<Placed, Problem> {
        if let Some(row) = row {
            self.named.parent_stays(row)?;
        }
        let Placed { mut joining, mut roles } = Placed::default();
        if let Some(held) = row.and_then(above)
            && let Some(group) = self.group(&held.id).await?
        {
            joining.leave.push(group.key);
            roles.extend(self.carried_by(&group));
        }
        if let Some(given) = &moved.beneath {
            let parent = self.group(given).await?.ok_or_else(|| no_group(given))?;
            let circle = row.is_some_and(|row| {
                parent.key == row.key || parent.groups.iter().any(|group| group.id == row.id)
            });
            if circle {
                return Err(invalid(format!(
                    "{GROUP_PARENT}:{PARENT}.value: the group \"{given}\" stands beneath this one; \
                     name a group that does not."
                )));
            }
            joining.join.push(parent.key);
            roles.extend(self.carried_by(&parent));
        }
        Ok(Placed { joining, roles })
    }

    /// The group with this canonical id or number, past every cache.
    pub(super) async fn group(&self, id: &str) -> Result<Option<Arc<ResourceRow>>, Problem> {
        let found = self.store.find(&self.tenant, &RowKey::Id(id.to_owned())).await?;
        Ok(found.into_iter().find(|row| row.type_name.as_str() == GROUP))
    }
}

fn no_group(id: &str) -> Problem {
    let shown: String = id.chars().take(200).collect();
    invalid(format!("{GROUP_PARENT}:{PARENT}.value: there is no group with the id \"{shown}\"."))
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::Scim(ScimError::new(ErrorKind::InvalidValue, detail))
}
