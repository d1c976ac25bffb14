//! Every route, on one page.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Uri};
use axum::response::Response;
use tower::ServiceExt as _;

use super::body::Payload;
use super::caller::{Call, authenticate};
use super::error::Failure;
use super::layers::{Asked, Seen};
use super::writes::Writes;
use super::{
    Parts, TenantMount, body, bulk, discovery, everywhere, forget, import, query, resource, search,
    token,
};
use crate::scim::ResourceType;

/// What a path below a mount leads to. Names are matched without case, ids as they are written.
#[derive(Clone, Copy, Debug)]
pub enum Route<'a> {
    Resources(&'a Endpoint),
    ResourcesSearch(&'a Endpoint),
    Resource(&'a Endpoint, &'a str),
    /// What is left of a deleted user.
    Forget(&'a Endpoint),
    /// The same of one who may still be there, and is deleted before.
    ForgetOne(&'a Endpoint, &'a str),
    /// The resource that the token stands for, which is a user.
    Me(&'a Endpoint),
    Search,
    Bulk,
    Import,
    /// An import by its correlation id.
    ImportOf(&'a str),
    ServiceProviderConfig,
    Schemas,
    Schema(&'a str),
    ResourceTypes,
    ResourceType(&'a str),
}

/// Where the resources of one type are, with what its routes are called in the log: without ids,
/// which are a person's data.
#[derive(Debug)]
pub struct Endpoint {
    pub kind: Arc<ResourceType>,
    /// `/Users`
    resources: RouteName,
    /// `/Users/.search`
    search: RouteName,
    /// `/Users/{id}`
    resource: RouteName,
    /// `/Users/.forget`
    forget: RouteName,
    /// `/Users/{id}/forget`
    forget_one: RouteName,
}

impl Endpoint {
    pub fn new(kind: &Arc<ResourceType>) -> Self {
        let name = |behind: &str| RouteName::Of(format!("{}{behind}", kind.endpoint).into());
        Self {
            resources: name(""),
            search: name("/.search"),
            resource: name("/{id}"),
            forget: name("/.forget"),
            forget_one: name("/{id}/forget"),
            kind: Arc::clone(kind),
        }
    }

    fn is_at(&self, segment: &str) -> bool {
        let named = |endpoint: &str| {
            endpoint.strip_prefix('/').unwrap_or(endpoint).eq_ignore_ascii_case(segment)
        };
        named(&self.kind.endpoint) || self.kind.other_endpoints().iter().any(|other| named(other))
    }
}

/// How a route is called in the log.
#[derive(Clone, Debug)]
pub enum RouteName {
    Fixed(&'static str),
    /// Of a resource type.
    Of(Arc<str>),
}

impl Deref for RouteName {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Fixed(name) => name,
            Self::Of(name) => name,
        }
    }
}

impl<'a> Route<'a> {
    /// One of each kind, for whoever walks them all.
    #[cfg(test)]
    pub fn every(endpoint: &'a Endpoint) -> [Self; 15] {
        [
            Self::Resources(endpoint),
            Self::ResourcesSearch(endpoint),
            Self::Resource(endpoint, "x"),
            Self::Forget(endpoint),
            Self::ForgetOne(endpoint, "x"),
            Self::Me(endpoint),
            Self::Search,
            Self::Bulk,
            Self::Import,
            Self::ImportOf("x"),
            Self::ServiceProviderConfig,
            Self::Schemas,
            Self::Schema("x"),
            Self::ResourceTypes,
            Self::ResourceType("x"),
        ]
    }

    /// Reads what is left of a path below a mount; one slash at its end is accepted. The first of
    /// the endpoints is the users'.
    pub fn find(rest: &'a str, endpoints: &'a [Endpoint]) -> Option<Self> {
        let inner = rest.strip_prefix('/')?;
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let (collection, member) = match inner.split_once('/') {
            Some((collection, member)) => (collection, Some(member)),
            None => (inner, None),
        };
        let users = endpoints.first();
        if let (Some(users), Some(member)) = (users, member)
            && users.is_at(collection)
            && let Some(import) = import(member)
        {
            return Some(import);
        }
        let of_users = |endpoint| users.is_some_and(|users| std::ptr::eq(users, endpoint));
        let found = endpoints.iter().find(|endpoint| endpoint.is_at(collection));
        if let Some((id, deed)) = member.and_then(|member| member.split_once('/')) {
            let endpoint = found.filter(|endpoint| of_users(*endpoint))?;
            let forget = deed.eq_ignore_ascii_case("forget") && !id.is_empty();
            return (forget && !id.starts_with('.')).then_some(Self::ForgetOne(endpoint, id));
        }
        if member.is_some_and(str::is_empty) {
            return None;
        }
        if let Some(endpoint) = found {
            return match member {
                None => Some(Self::Resources(endpoint)),
                Some(member) if member.eq_ignore_ascii_case(".search") => {
                    Some(Self::ResourcesSearch(endpoint))
                }
                Some(member) if member.eq_ignore_ascii_case(".forget") && of_users(endpoint) => {
                    Some(Self::Forget(endpoint))
                }
                // No id begins with a dot.
                Some(member) if member.starts_with('.') => None,
                Some(member) if member.eq_ignore_ascii_case("me") => Some(if of_users(endpoint) {
                    Self::Me(endpoint)
                } else {
                    Self::Resource(endpoint, member)
                }),
                Some(member) => Some(Self::Resource(endpoint, member)),
            };
        }
        let named = |name: &str| collection.eq_ignore_ascii_case(name);
        match member {
            None if named("Me") => users.map(Self::Me),
            None if named(".search") => Some(Self::Search),
            None if named("Bulk") => Some(Self::Bulk),
            None if named("ServiceProviderConfig") => Some(Self::ServiceProviderConfig),
            None if named("Schemas") => Some(Self::Schemas),
            None if named("ResourceTypes") => Some(Self::ResourceTypes),
            Some(urn) if named("Schemas") => Some(Self::Schema(urn)),
            Some(name) if named("ResourceTypes") => Some(Self::ResourceType(name)),
            _ => None,
        }
    }

    pub fn name(self) -> RouteName {
        RouteName::Fixed(match self {
            Self::Resources(endpoint) => return endpoint.resources.clone(),
            Self::ResourcesSearch(endpoint) => return endpoint.search.clone(),
            Self::Resource(endpoint, _) => return endpoint.resource.clone(),
            Self::Forget(endpoint) => return endpoint.forget.clone(),
            Self::ForgetOne(endpoint, _) => return endpoint.forget_one.clone(),
            Self::Me(_) => "/Me",
            Self::Search => "/.search",
            Self::Bulk => "/Bulk",
            Self::Import => "/Users/.import",
            Self::ImportOf(_) => "/Users/.import/{correlationId}",
            Self::ServiceProviderConfig => "/ServiceProviderConfig",
            Self::Schemas => "/Schemas",
            Self::Schema(_) => "/Schemas/{urn}",
            Self::ResourceTypes => "/ResourceTypes",
            Self::ResourceType(_) => "/ResourceTypes/{name}",
        })
    }

    /// The methods, as `Allow` lists them.
    pub fn allowed(self) -> &'static str {
        match self {
            Self::Resources(_) | Self::ResourcesSearch(_) => "GET, HEAD, POST",
            Self::Resource(..) | Self::Me(_) => "GET, HEAD, PUT, PATCH, DELETE",
            Self::Forget(_) | Self::ForgetOne(..) | Self::Search | Self::Bulk | Self::Import => {
                "POST"
            }
            Self::ImportOf(_) => "GET, HEAD, DELETE",
            Self::ServiceProviderConfig
            | Self::Schemas
            | Self::Schema(_)
            | Self::ResourceTypes
            | Self::ResourceType(_) => "GET, HEAD",
        }
    }

    /// What is told without asking who wants to know.
    fn is_discovery(self) -> bool {
        match self {
            Self::ServiceProviderConfig
            | Self::Schemas
            | Self::Schema(_)
            | Self::ResourceTypes
            | Self::ResourceType(_) => true,
            Self::Resources(_)
            | Self::ResourcesSearch(_)
            | Self::Resource(..)
            | Self::Forget(_)
            | Self::ForgetOne(..)
            | Self::Me(_)
            | Self::Search
            | Self::Bulk
            | Self::Import
            | Self::ImportOf(_) => false,
        }
    }
}

/// What is left of a path below the users' endpoint, if it leads to imports.
fn import(member: &str) -> Option<Route<'_>> {
    let (first, id) = match member.split_once('/') {
        Some((first, id)) => (first, Some(id)),
        None => (member, None),
    };
    if !first.eq_ignore_ascii_case(".import") {
        return None;
    }
    match id {
        None => Some(Route::Import),
        Some(id) if id.is_empty() || id.contains('/') => None,
        Some(id) => Some(Route::ImportOf(id)),
    }
}

/// A method that some route has; HEAD is GET whose body is left out in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

fn verb(method: &Method) -> Option<Verb> {
    match method.as_str() {
        "GET" | "HEAD" => Some(Verb::Get),
        "POST" => Some(Verb::Post),
        "PUT" => Some(Verb::Put),
        "PATCH" => Some(Verb::Patch),
        "DELETE" => Some(Verb::Delete),
        _ => None,
    }
}

/// How a path that leads nowhere is called in the log: what stands in it may be a person's id or
/// address.
const NO_ROUTE: &str = "/…";

/// How a path that lies under no mount is called in the log.
fn outside(path: &str) -> &'static str {
    let known = ["/health/live", "/health/ready", "/metrics"];
    known.into_iter().find(|known| *known == path).unwrap_or(NO_ROUTE)
}

/// Leads a request to its handler. `seen` learns what the log line tells.
pub async fn dispatch(
    app: &Parts,
    request: Request<Body>,
    asked: &Asked,
    seen: &mut Seen,
) -> Result<Response, Failure> {
    let (head, sent) = request.into_parts();
    // The path outlives the head, which goes on to the handler.
    let uri = head.uri.clone();
    if let Some(tenant) = token::tenant(uri.path()).and_then(|name| app.tenant(name)) {
        seen.tenant = Some(Arc::clone(&tenant.name));
        seen.route = Some(RouteName::Fixed("/authn/token"));
        return Box::pin(token::answer(app, tenant, &head, sent, asked)).await;
    }
    let Some((mount, rest)) = app.mounts.find(uri.path()) else {
        seen.route = Some(RouteName::Fixed(outside(uri.path())));
        // /health/live, /health/ready, /metrics: the list is in `health`.
        let outside = app.outside.clone().oneshot(Request::from_parts(head, sent));
        return match Box::pin(outside).await {
            Ok(response) => Ok(response),
            Err(never) => match never {},
        };
    };
    seen.tenant = Some(Arc::clone(&mount.tenant.name));
    seen.route = Some(RouteName::Fixed(NO_ROUTE));
    seen.manner = Some(Arc::clone(mount.manner(None, &uri)));
    let route = Route::find(rest, &mount.tenant.endpoints).ok_or(Failure::UnknownPath)?;
    seen.route = Some(route.name());
    let verb = verb(&head.method).ok_or(Failure::Method(route.allowed()))?;
    if verb != Verb::Delete {
        body::acceptable(&head.headers)?;
    }
    if route.is_discovery() {
        return discover(app, mount, &uri, &head.headers, route, verb);
    }

    let call = authenticate(app, mount, head, asked).await?;
    let payload = Payload { body: sent, limit: app.limits.max_body };
    seen.caller = Some(Arc::clone(&call.caller.name));
    seen.manner = Some(Arc::clone(&call.view.manner));
    let writes = &app.writes;
    // The future of a request is as large as its largest arm, and is moved several times: what reads
    // a body or writes goes on the heap, so that the two hot arms stay small.
    match (route, verb) {
        (Route::Resources(at) | Route::ResourcesSearch(at), Verb::Get) => {
            search::by_parameters(call, &at.kind).await
        }
        (Route::Resource(at, id), Verb::Get) => resource::read(call, &at.kind, &decoded(id)?).await,
        (Route::ResourcesSearch(at), Verb::Post) => {
            Box::pin(search::by_message(call, payload, &at.kind)).await
        }
        (Route::Search, Verb::Post) => Box::pin(everywhere::by_message(call, payload)).await,
        (Route::Resources(at), Verb::Post) => {
            Box::pin(resource::create(call, payload, &at.kind, writes)).await
        }
        (Route::Me(at), Verb::Get | Verb::Put | Verb::Patch | Verb::Delete) => {
            let id = call.caller.user.clone().ok_or(Failure::NoUser)?;
            Box::pin(one(call, payload, at, &id, verb, writes)).await
        }
        (Route::Resource(at, id), Verb::Put | Verb::Patch | Verb::Delete) => {
            let id = decoded(id)?;
            Box::pin(one(call, payload, at, &id, verb, writes)).await
        }
        (Route::Forget(_), Verb::Post) => Box::pin(forget::departed(call, payload, writes)).await,
        (Route::ForgetOne(_, name), Verb::Post) => {
            let name = decoded(name)?;
            Box::pin(forget::named(call, &name, writes)).await
        }
        (Route::Bulk, Verb::Post) => Box::pin(bulk::run(call, payload, writes)).await,
        (Route::Import, Verb::Post) => {
            asked.unhurried.store(true, Ordering::Relaxed);
            let longest_row = payload.limit;
            let payload = Payload { limit: app.limits.max_import, ..payload };
            Box::pin(import::create(call, payload, longest_row, writes)).await
        }
        (Route::ImportOf(id), Verb::Get) => Box::pin(import::report(call, id)).await,
        (Route::ImportOf(id), Verb::Delete) => Box::pin(import::cancel(call, id, writes)).await,
        (route, _) => Err(Failure::Method(route.allowed())),
    }
}

/// What is done to one resource.
async fn one(
    call: Call,
    payload: Payload,
    at: &Endpoint,
    id: &str,
    verb: Verb,
    writes: &Writes,
) -> Result<Response, Failure> {
    match verb {
        Verb::Get => resource::read(call, &at.kind, id).await,
        Verb::Put => resource::replace(call, payload, &at.kind, id, writes).await,
        Verb::Patch => resource::modify(call, payload, &at.kind, id, writes).await,
        Verb::Delete => resource::remove(call, &at.kind, id, writes).await,
        Verb::Post => Err(Failure::Method(Route::Resource(at, id).allowed())),
    }
}

fn discover(
    app: &Parts,
    mount: &TenantMount,
    uri: &Uri,
    headers: &HeaderMap,
    route: Route<'_>,
    verb: Verb,
) -> Result<Response, Failure> {
    match route {
        _ if verb != Verb::Get => Err(Failure::Method(route.allowed())),
        Route::ServiceProviderConfig => {
            discovery::service_provider_config(app, mount, uri, headers)
        }
        Route::Schemas => discovery::schemas(mount, uri),
        Route::Schema(urn) => discovery::schema(mount, uri, headers, urn),
        Route::ResourceTypes => discovery::resource_types(mount, uri),
        Route::ResourceType(name) => discovery::resource_type(mount, uri, headers, name),
        _ => Err(Failure::UnknownPath),
    }
}

fn decoded(id: &str) -> Result<std::borrow::Cow<'_, str>, Failure> {
    query::segment(id).ok_or(Failure::UnknownPath)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_outside_are_told_only_where_they_are_known() {
        assert_eq!(outside("/health/ready"), "/health/ready");
        for path in ["/", "/scim/gone/v2/Users/ann@example.com", "/health/ann@example.com"] {
            assert_eq!(outside(path), "/…", "{path}");
        }
    }

    fn endpoints() -> [Endpoint; 2] {
        [ResourceType::user(&[]), ResourceType::group(&[])].map(|kind| Endpoint::new(&kind.into()))
    }

    #[test]
    fn paths_lead_where_the_page_says() {
        let endpoints = endpoints();
        for (rest, name, id) in [
            ("/Users", "/Users", ""),
            ("/users/", "/Users", ""),
            ("/Users/.search", "/Users/.search", ""),
            ("/Users/.import/", "/Users/.import", ""),
            ("/users/.Import/1P5F", "/Users/.import/{correlationId}", "1P5F"),
            ("/Users/0190-x", "/Users/{id}", "0190-x"),
            ("/Users/corp.8F%20x/", "/Users/{id}", "corp.8F%20x"),
            ("/Users/.forget", "/Users/.forget", ""),
            ("/Users/a%2Fb/Forget/", "/Users/{id}/forget", "a%2Fb"),
            ("/Users/Me", "/Me", ""),
            ("/Me", "/Me", ""),
            ("/GROUPS", "/Groups", ""),
            ("/Groups/.Search", "/Groups/.search", ""),
            ("/Groups/me", "/Groups/{id}", "me"),
            ("/.search", "/.search", ""),
            ("/Bulk", "/Bulk", ""),
            ("/serviceproviderconfig", "/ServiceProviderConfig", ""),
            ("/Schemas", "/Schemas", ""),
            ("/Schemas/urn:x:User", "/Schemas/{urn}", "urn:x:User"),
            ("/ResourceTypes", "/ResourceTypes", ""),
            ("/ResourceTypes/User", "/ResourceTypes/{name}", "User"),
        ] {
            let route = Route::find(rest, &endpoints).unwrap();
            assert_eq!(&*route.name(), name, "{rest}");
            let told = match route {
                Route::Resource(_, id)
                | Route::ForgetOne(_, id)
                | Route::ImportOf(id)
                | Route::Schema(id)
                | Route::ResourceType(id) => id,
                _ => "",
            };
            assert_eq!(told, id, "{rest}");
        }
        for rest in [
            "",
            "/",
            "//",
            "/Roles",
            "/Usersx",
            "/Users/a/b",
            "/Users//forget",
            "/Users/.x/forget",
            "/Users/a/forget/b",
            "/Groups/.forget",
            "/Groups/a/forget",
            "/Users//",
            "/Users/.import/a/b",
            "/Users/.import//",
            "/Groups/.import",
            "/Me/x",
        ] {
            assert!(Route::find(rest, &endpoints).is_none(), "{rest}");
        }
        assert!(Route::find("/Groups", &endpoints[..1]).is_none(), "a tenant has types of its own");
    }
}
