//! Who is asking: from the `Authorization` header to a [`Call`], which no handler does without.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request};

use super::error::Failure;
use super::layers::Asked;
use super::{Parts, TenantMount, query};
use crate::auth::{Denied, Refused};
use crate::caller::Caller;
use crate::federation::{Federation, View};
use crate::scim::dialect::Manner;

/// A request whose sender is known. [`authenticate`] and [`authenticate_any`] are the
/// only places that make one.
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

    pub fn manner(&self) -> &Manner {
        &self.view.manner
    }

    /// The status of a POST that created.
    pub fn created(&self) -> StatusCode {
        StatusCode::from_u16(self.manner().created).unwrap_or(StatusCode::CREATED)
    }

    /// In which form resources are rendered for this request.
    pub fn form(&self) -> usize {
        self.mount.form(self.manner())
    }
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Lets a request in whose bearer token belongs to the mount's tenant.
pub async fn authenticate(
    app: &Parts,
    mount: &Arc<TenantMount>,
    head: request::Parts,
    asked: &Asked,
) -> Result<Call, Failure> {
    let token = token(&head.headers)?;
    let from = origin(app, &head.headers, asked.peer);
    let caller = app.gate.admit(token, &mount.tenant.name, from, asked.at).await?;
    Ok(call(app, mount, caller, head, asked))
}

/// Lets a request in whose bearer token belongs to the tenant of one of the mounts, and is that
/// tenant's.
pub async fn authenticate_any(
    app: &Parts,
    mounts: &[&Arc<TenantMount>],
    head: request::Parts,
    asked: &Asked,
) -> Result<Call, Failure> {
    let token = token(&head.headers)?;
    let from = origin(app, &head.headers, asked.peer);
    let tenants: Vec<&str> = mounts.iter().map(|mount| &*mount.tenant.name).collect();
    let caller = app.gate.admit_any(token, &tenants, from, asked.at).await?;
    let mount = mounts.iter().find(|mount| mount.tenant.name == caller.tenant);
    let mount = mount.ok_or(Refused::Denied(Denied::Unknown))?;
    Ok(call(app, mount, caller, head, asked))
}

/// What stands in the header `Authorization`.
fn token(headers: &HeaderMap) -> Result<Option<&[u8]>, Failure> {
    let mut written = headers.get_all(header::AUTHORIZATION).iter().map(HeaderValue::as_bytes);
    let first = written.next();
    if written.next().is_some() {
        return Err(Refused::Denied(Denied::Malformed).into());
    }
    Ok(first)
}

fn call(
    app: &Parts,
    mount: &Arc<TenantMount>,
    caller: Arc<Caller>,
    head: request::Parts,
    asked: &Asked,
) -> Call {
    let manner = Arc::clone(mount.manner(Some(&caller), &head.uri));
    let view = View {
        no_cache: query::no_cache(&head.headers),
        photos: false,
        members: false,
        request_id: asked.id.clone(),
        deadline: asked.at + app.limits.request_timeout,
        manner,
    };
    Call { mount: Arc::clone(mount), caller, view, head }
}

/// Where a request comes from. A proxy in front adds the address that it sees at the end of
/// `X-Forwarded-For`; what stands before that anybody can have written.
pub fn origin(app: &Parts, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
    if !app.limits.behind_proxy || !app.gate.throttles() {
        return peer;
    }
    let last = headers.get_all(X_FORWARDED_FOR).iter().next_back();
    last.and_then(|value| forwarded(value.to_str().ok()?)).unwrap_or(peer)
}

fn forwarded(addresses: &str) -> Option<IpAddr> {
    let last = addresses.rsplit(',').next()?.trim();
    let bare = || last.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || Some(last.parse::<SocketAddr>().ok()?.ip());
    last.parse().ok().or_else(bare).or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_address_is_the_one_that_the_proxy_saw() {
        for (list, address) in [
            ("192.0.2.7", Some("192.0.2.7")),
            ("1.1.1.1, 192.0.2.7", Some("192.0.2.7")),
            ("1.1.1.1,192.0.2.7:4711 ", Some("192.0.2.7")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("x, [2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:80", Some("2001:db8::1")),
            ("192.0.2.7, unknown", None),
            ("", None),
        ] {
            assert_eq!(forwarded(list), address.map(|text| text.parse().unwrap()), "{list}");
        }
    }
}
