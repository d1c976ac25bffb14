//! Who is asking: from the `Authorization` header to a [`Call`], which no handler does without.

use std::sync::Arc;

use axum::http::{HeaderValue, header, request};

use super::error::Failure;
use super::layers::Asked;
use super::{Parts, TenantMount, query};
use crate::auth::Denied;
use crate::caller::Caller;
use crate::federation::{Federation, View};

/// A request whose sender is known. [`authenticate`] is the only place that makes one.
#[derive(Debug)]
pub struct Call {
    pub mount: Arc<TenantMount>,
    pub caller: Arc<Caller>,
    pub view: View,
    pub head: request::Parts,
}

impl Call {
    pub fn federation(&self) -> &Federation {
        &self.mount.tenant.federation
    }
}

/// Lets a request in whose bearer token belongs to the mount's tenant.
pub fn authenticate(
    app: &Parts,
    mount: &Arc<TenantMount>,
    head: request::Parts,
    asked: &Asked,
) -> Result<Call, Failure> {
    let mut written = head.headers.get_all(header::AUTHORIZATION).iter().map(HeaderValue::as_bytes);
    let first = written.next();
    if written.next().is_some() {
        return Err(Denied::Malformed.into());
    }
    let caller = app.tokens.verify(first, &mount.tenant.name)?;
    let view = View {
        no_cache: query::no_cache(&head.headers),
        photos: false,
        request_id: asked.id.clone(),
        deadline: asked.at + app.limits.request_timeout,
    };
    Ok(Call { mount: Arc::clone(mount), caller, view, head })
}
