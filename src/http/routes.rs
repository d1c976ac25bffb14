//! Every route, on one page.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request};
use axum::response::Response;
use tower::ServiceExt as _;

use super::body::Payload;
use super::caller::authenticate;
use super::error::Failure;
use super::layers::{Asked, Seen};
use super::{Parts, body, discovery, query, resource, search};

/// What a path below a mount leads to. Names are matched without case, ids as they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    Users,
    UsersSearch,
    User(&'a str),
    Me,
    Search,
    Bulk,
    ServiceProviderConfig,
    Schemas,
    Schema(&'a str),
    ResourceTypes,
    ResourceType(&'a str),
}

impl<'a> Route<'a> {
    /// One of each kind, for whoever walks them all.
    #[cfg(test)]
    pub const EVERY: [Route<'static>; 11] = [
        Route::Users,
        Route::UsersSearch,
        Route::User("x"),
        Route::Me,
        Route::Search,
        Route::Bulk,
        Route::ServiceProviderConfig,
        Route::Schemas,
        Route::Schema("x"),
        Route::ResourceTypes,
        Route::ResourceType("x"),
    ];

    /// Reads what is left of a path below a mount; one slash at its end is accepted.
    pub fn find(rest: &'a str) -> Option<Self> {
        let inner = rest.strip_prefix('/')?;
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let (collection, member) = match inner.split_once('/') {
            Some((collection, member)) => (collection, Some(member)),
            None => (inner, None),
        };
        let named = |name: &str| collection.eq_ignore_ascii_case(name);
        let Some(member) = member else {
            return Some(match () {
                () if named("Users") => Self::Users,
                () if named("Me") => Self::Me,
                () if named(".search") => Self::Search,
                () if named("Bulk") => Self::Bulk,
                () if named("ServiceProviderConfig") => Self::ServiceProviderConfig,
                () if named("Schemas") => Self::Schemas,
                () if named("ResourceTypes") => Self::ResourceTypes,
                () => return None,
            });
        };
        if member.is_empty() || member.contains('/') {
            return None;
        }
        Some(match () {
            () if named("Users") => match member {
                _ if member.eq_ignore_ascii_case("me") => Self::Me,
                _ if member.eq_ignore_ascii_case(".search") => Self::UsersSearch,
                // No id begins with a dot.
                _ if member.starts_with('.') => return None,
                _ => Self::User(member),
            },
            () if named("Schemas") => Self::Schema(member),
            () if named("ResourceTypes") => Self::ResourceType(member),
            () => return None,
        })
    }

    /// How the route is called in the log: without ids, which are a person's data.
    pub fn template(self) -> &'static str {
        match self {
            Self::Users => "/Users",
            Self::UsersSearch => "/Users/.search",
            Self::User(_) => "/Users/{id}",
            Self::Me => "/Me",
            Self::Search => "/.search",
            Self::Bulk => "/Bulk",
            Self::ServiceProviderConfig => "/ServiceProviderConfig",
            Self::Schemas => "/Schemas",
            Self::Schema(_) => "/Schemas/{urn}",
            Self::ResourceTypes => "/ResourceTypes",
            Self::ResourceType(_) => "/ResourceTypes/{name}",
        }
    }

    /// The methods, as `Allow` lists them.
    pub fn allowed(self) -> &'static str {
        match self {
            Self::Users | Self::UsersSearch => "GET, HEAD, POST",
            Self::User(_) => "GET, HEAD, PUT, PATCH, DELETE",
            Self::Search | Self::Bulk => "POST",
            Self::Me
            | Self::ServiceProviderConfig
            | Self::Schemas
            | Self::Schema(_)
            | Self::ResourceTypes
            | Self::ResourceType(_) => "GET, HEAD",
        }
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
    let Some((mount, rest)) = app.mounts.find(uri.path()) else {
        seen.route = Some(outside(uri.path()));
        // /health/live, /health/ready, /metrics: the list is in `health`.
        let outside = app.outside.clone().oneshot(Request::from_parts(head, sent));
        return match Box::pin(outside).await {
            Ok(response) => Ok(response),
            Err(never) => match never {},
        };
    };
    seen.tenant = Some(Arc::clone(&mount.tenant.name));
    seen.route = Some(NO_ROUTE);
    let route = Route::find(rest).ok_or(Failure::UnknownPath)?;
    seen.route = Some(route.template());
    let verb = verb(&head.method).ok_or(Failure::Method(route.allowed()))?;
    if verb != Verb::Delete {
        body::acceptable(&head.headers)?;
    }

    match (route, verb) {
        (Route::ServiceProviderConfig, Verb::Get) => {
            return discovery::service_provider_config(app, mount, &uri, &head.headers);
        }
        (Route::Schemas, Verb::Get) => return discovery::schemas(mount, &uri),
        (Route::Schema(urn), Verb::Get) => {
            return discovery::schema(mount, &uri, &head.headers, urn);
        }
        (Route::ResourceTypes, Verb::Get) => return discovery::resource_types(mount, &uri),
        (Route::ResourceType(name), Verb::Get) => {
            return discovery::resource_type(mount, &uri, &head.headers, name);
        }
        (
            Route::ServiceProviderConfig
            | Route::Schemas
            | Route::Schema(_)
            | Route::ResourceTypes
            | Route::ResourceType(_),
            _,
        ) => return Err(Failure::Method(route.allowed())),
        _ => {}
    }

    let call = authenticate(app, mount, head, asked)?;
    let payload = Payload { body: sent, limit: app.limits.max_body };
    seen.caller = Some(Arc::clone(&call.caller.name));
    let writes = &app.writes;
    // The future of a request is as large as its largest arm, and is moved several times: what reads
    // a body or writes goes on the heap, so that the two hot arms stay small.
    match (route, verb) {
        (Route::Users | Route::UsersSearch, Verb::Get) => search::by_parameters(call).await,
        (Route::User(id), Verb::Get) => resource::read(call, &decoded(id)?).await,
        (Route::UsersSearch | Route::Search, Verb::Post) => {
            Box::pin(search::by_message(call, payload)).await
        }
        (Route::Users, Verb::Post) => Box::pin(resource::create(call, payload, writes)).await,
        (Route::User(id), Verb::Put) => {
            Box::pin(resource::replace(call, payload, &decoded(id)?, writes)).await
        }
        (Route::User(id), Verb::Patch) => {
            Box::pin(resource::modify(call, payload, &decoded(id)?, writes)).await
        }
        (Route::User(id), Verb::Delete) => {
            Box::pin(resource::remove(call, &decoded(id)?, writes)).await
        }
        (Route::Me, Verb::Get) => resource::me(call).await,
        (Route::Bulk, Verb::Post) => Err(Failure::NotSupported("Bulk")),
        (route, _) => Err(Failure::Method(route.allowed())),
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

    #[test]
    fn paths_lead_where_the_page_says() {
        for (rest, route) in [
            ("/Users", Route::Users),
            ("/users/", Route::Users),
            ("/Users/.search", Route::UsersSearch),
            ("/Users/0190-x", Route::User("0190-x")),
            ("/Users/corp.8F%20x/", Route::User("corp.8F%20x")),
            ("/Users/Me", Route::Me),
            ("/Me", Route::Me),
            ("/.search", Route::Search),
            ("/Bulk", Route::Bulk),
            ("/serviceproviderconfig", Route::ServiceProviderConfig),
            ("/Schemas", Route::Schemas),
            ("/Schemas/urn:x:User", Route::Schema("urn:x:User")),
            ("/ResourceTypes", Route::ResourceTypes),
            ("/ResourceTypes/User", Route::ResourceType("User")),
        ] {
            assert_eq!(Route::find(rest), Some(route), "{rest}");
        }
        for rest in
            ["", "/", "//", "/Groups", "/Usersx", "/Users/a/b", "/Users//", "/Users/.import"]
        {
            assert_eq!(Route::find(rest), None, "{rest}");
        }
    }
}
