//! Who is asking: from the `Authorization` header to a [`Call`], which no handler does without.

use std::sync::Arc;

use axum::http::{HeaderMap, header, request};

use super::error::Failure;
use super::layers::Asked;
use super::{Parts, TenantMount, query};
use crate::auth::Tokens;
use crate::caller::Caller;
use crate::federation::{Federation, View};
use crate::scim::ResourceType;

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

    pub fn resource_type(&self) -> &ResourceType {
        self.federation().resource_type()
    }
}

/// Lets a request in whose bearer token belongs to the mount's tenant.
pub fn authenticate(
    app: &Parts,
    mount: &Arc<TenantMount>,
    head: request::Parts,
    asked: &Asked,
) -> Result<Call, Failure> {
    let caller = verify(&app.tokens, &mount.tenant.name, &head.headers)?;
    let view = View {
        no_cache: query::no_cache(&head.headers),
        request_id: asked.id.clone(),
        deadline: asked.at + app.limits.request_timeout,
    };
    Ok(Call { mount: Arc::clone(mount), caller, view, head })
}

fn verify(tokens: &Tokens, tenant: &str, headers: &HeaderMap) -> Result<Arc<Caller>, Failure> {
    let written = headers.get(header::AUTHORIZATION).ok_or(Failure::NoToken)?;
    let token = bearer(written.to_str().map_err(|_| Failure::BadToken)?).ok_or(Failure::NoToken)?;
    tokens.verify(tenant, token).ok_or(Failure::BadToken)
}

/// The token of `Bearer <token>`; the scheme's case does not count (RFC 9110 section 11.1).
fn bearer(written: &str) -> Option<&str> {
    let (scheme, token) = written.trim().split_once(' ')?;
    let token = token.trim_start();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_what_follows_the_scheme() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bEARER   a.b-c="), Some("a.b-c="));
        for written in ["", "Bearer", "Bearer ", "Basic abc", "abc", "Bearerabc"] {
            assert_eq!(bearer(written), None, "{written}");
        }
    }
}
