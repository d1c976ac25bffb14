//! One operation on one resource of any type, as a request asks for it and an operation of a bulk
//! request alike (RFC 7644 sections 3.3 to 3.7): from a body that is JSON already to what is told of
//! the outcome.
//!
//! Knows nothing of headers.

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::StatusCode;
use bytes::Bytes;
use serde_json::Value;

use super::addressed;
use super::caller::Call;
use super::error::Failure;
use crate::caller::Client;
use crate::federation::{IfMatch, Resource};
use crate::scim::dialect::{self, Look, render_resource};
use crate::scim::mirror::Mirror;
use crate::scim::schema::check::{Checked, Purpose};
use crate::scim::{Attributes, Patch, Projection, ResourceType};

/// What an operation came to.
#[derive(Debug)]
pub struct Done {
    pub status: StatusCode,
    /// The resource as it is now; none after a removal.
    pub shown: Option<Shown>,
}

/// A resource as it is told.
#[derive(Debug)]
pub struct Shown {
    /// Its `version` is the inner text of the entity tag.
    pub resource: Arc<Resource>,
    pub location: Bytes,
    /// The message under the projection.
    pub body: Bytes,
}

impl Done {
    pub fn new(
        call: &Call,
        kind: &ResourceType,
        resource: Arc<Resource>,
        projection: &Projection,
        status: StatusCode,
    ) -> Self {
        let body = message(call, kind, &resource, projection, resource.show_source);
        let location = location(call, kind, &resource);
        Self { status, shown: Some(Shown { resource, location, body }) }
    }
}

/// A new resource, or for a user the explicit binding of a directory person.
pub async fn create(
    call: &Call,
    kind: &Arc<ResourceType>,
    body: Value,
    projection: &Projection,
) -> Result<Done, Failure> {
    known(call, kind, &body)?;
    // What a user must have may come from elsewhere; that is seen later.
    let is_user = kind.name == call.federation().users().name;
    let purpose = if is_user { Purpose::Replace } else { Purpose::Create };
    let written = call.federation().written(kind, call.manner());
    let checked = written.check(body, purpose)?;
    let projection = &shown(projection, kind, &checked);
    let created = call.federation().create(&call.caller, written, checked, &call.view).await?;
    Ok(Done::new(call, kind, created.resource, projection, call.created()))
}

/// The whole resource as given.
pub async fn replace(
    call: &Call,
    kind: &Arc<ResourceType>,
    id: &str,
    if_match: Option<&IfMatch>,
    body: Value,
    projection: &Projection,
) -> Result<Done, Failure> {
    known(call, kind, &body)?;
    let written = call.federation().written(kind, call.manner());
    let checked = written.check(body, Purpose::Replace)?;
    let projection = &shown(projection, kind, &checked);
    let id = &addressed::by_body(call, kind, id, &checked).await?;
    let (caller, view) = (&call.caller, &call.view);
    let resource = call.federation().replace(caller, written, id, if_match, checked, view).await?;
    Ok(Done::new(call, kind, resource, projection, StatusCode::OK))
}

/// The operations of a PATCH.
pub async fn modify(
    call: &Call,
    kind: &Arc<ResourceType>,
    id: &str,
    if_match: Option<&IfMatch>,
    body: &Value,
    projection: &Projection,
) -> Result<Done, Failure> {
    let into = call.federation().written(kind, call.manner());
    let patch = Patch::parse(body, into, call.caller.client.into())?;
    let core = patch.paths().filter(|path| path.extension.is_none());
    let written: Vec<_> = core.map(|path| kind.resolve(&path.attribute)).collect();
    let projection = &projection.with_written(written.iter());
    let (caller, view) = (&call.caller, &call.view);
    let resource = call.federation().modify(caller, into, id, if_match, &patch, view).await?;
    Ok(Done::new(call, kind, resource, projection, StatusCode::OK))
}

pub async fn remove(
    call: &Call,
    kind: &Arc<ResourceType>,
    id: &str,
    if_match: Option<&IfMatch>,
) -> Result<Done, Failure> {
    call.federation().remove(&call.caller, kind, id, if_match, &call.view).await?;
    Ok(Done { status: StatusCode::NO_CONTENT, shown: None })
}

/// Holds a strict client to the schemas; of others, what nobody knows is left out.
fn known(call: &Call, kind: &ResourceType, body: &Value) -> Result<(), Failure> {
    match call.caller.client {
        Client::Strict => Ok(kind.only_known(body)?),
        Client::Rfc | Client::Entra | Client::Okta => Ok(()),
    }
}

/// What the answer to a POST or PUT shows.
fn shown(projection: &Projection, kind: &ResourceType, checked: &Checked) -> Projection {
    let written: Vec<_> = checked.attributes.keys().map(|name| kind.resolve(name)).collect();
    projection.with_written(written.iter())
}

/// The resource's message under the projection; `source` is whether it tells without being asked
/// where a user comes from.
pub fn message(
    call: &Call,
    kind: &ResourceType,
    resource: &Resource,
    projection: &Projection,
    source: bool,
) -> Bytes {
    let render = || {
        let (base, manner) = (&*call.mount.base, call.manner());
        let attributes = presented(call, kind, resource, projection);
        let look = Look { kind, projection, base, show_source: source, manner };
        render_resource(&attributes, &resource.numbers, look).into()
    };
    match projection {
        Projection::Default => resource.rendered(call.form(), source, render),
        Projection::Only(_) | Projection::Without(_) | Projection::Also(_) => render(),
    }
}

/// A user's attributes as the call's manner shows them; those of other resources as they are.
fn presented<'a>(
    call: &Call,
    kind: &ResourceType,
    resource: &'a Resource,
    projection: &Projection,
) -> Cow<'a, Attributes> {
    let federation = call.federation();
    if kind.name != federation.users().name {
        return Cow::Borrowed(&*resource.attributes);
    }
    let owned = |mirror: &Mirror, of: Option<&str>| federation.owns(resource, mirror, of);
    dialect::presented(&resource.attributes, projection, kind, call.manner(), &owned)
}

/// The resource's address under the call's mount.
pub fn location(call: &Call, kind: &ResourceType, resource: &Resource) -> Bytes {
    resource.located(call.form(), || {
        let id = resource.numbers.shown(&kind.name, &resource.id, call.manner());
        dialect::location(&call.mount.base, kind, &id).into()
    })
}
