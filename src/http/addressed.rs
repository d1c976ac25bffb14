//! Whom `/Users/0` means: people have the id `0` as long as they have no row, so that a request names
//! one of them by `externalId`.

use std::borrow::Cow;

use super::caller::Call;
use super::error::Failure;
use super::query;
use crate::caller::Permission;
use crate::federation::Problem;
use crate::scim::ResourceType;
use crate::scim::schema::check::Checked;

/// The id that stands for people without a row.
const NOBODY: &str = "0";

/// The id of who is meant by a path's last segment; of `0` whom the query string's `externalId` and
/// `userRepositoryId` name. `needs` is the permission for what is to be done.
pub async fn by_parameters<'a>(
    call: &Call,
    kind: &ResourceType,
    id: &'a str,
    needs: Permission,
) -> Result<Cow<'a, str>, Failure> {
    if !is_nobody(call, kind, id) {
        return Ok(Cow::Borrowed(id));
    }
    let pairs = query::pairs(call.head.uri.query())?;
    let value = |wanted: &str| {
        let pair = pairs.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        pair.map(|(_, value)| value.as_ref()).filter(|value| !value.is_empty())
    };
    let (external_id, repository) = (value("externalId"), value("userRepositoryId"));
    Box::pin(named(call, needs, external_id, repository)).await.map(Cow::Owned)
}

/// The same for a body that holds the whole user.
pub async fn by_body<'a>(
    call: &Call,
    kind: &ResourceType,
    id: &'a str,
    body: &Checked,
) -> Result<Cow<'a, str>, Failure> {
    if !is_nobody(call, kind, id) {
        return Ok(Cow::Borrowed(id));
    }
    let external_id = body.attributes.get("externalId").and_then(serde_json::Value::as_str);
    let repository = body.user_repository_id.as_deref();
    let named = named(call, Permission::UsersReplace, external_id, repository);
    Box::pin(named).await.map(Cow::Owned)
}

fn is_nobody(call: &Call, kind: &ResourceType, id: &str) -> bool {
    id == NOBODY && call.manner().addresses_by_external_id && kind.name == "User"
}

async fn named(
    call: &Call,
    needs: Permission,
    external_id: Option<&str>,
    repository: Option<&str>,
) -> Result<String, Failure> {
    let Some(external_id) = external_id else {
        return Err(Problem::NotFound(
            "0 is the id of everybody who is not bound; name the one who is meant by ?externalId=…, \
             of a PUT by externalId in the body."
                .to_owned(),
        )
        .into());
    };
    // Whoever is written to is looked for past every cache.
    let mut view = call.view.clone();
    view.no_cache |= needs != Permission::UsersRead;
    let federation = call.federation();
    Ok(federation.person_named(&call.caller, needs, external_id, repository, &view).await?)
}
