//! The life-cycle API: users of an application, which is a tenant that says `lifecycle_api = true`,
//! from registration to removal.
//!
//! A driver beside SCIM, with its permissions and by the same calls; only the paths and the shape of
//! a user differ. Errors are SCIM errors. Whether an application exists is told to nobody who has no
//! token of it.

mod shape;

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header, request};
use axum::response::Response;
use serde_json::{Value, json};

use super::body::{self, Payload};
use super::caller::{Call, authenticate, authenticate_any};
use super::error::Failure;
use super::layers::{Asked, Seen};
use super::resource::to_the_end;
use super::routes::RouteName;
use super::{Parts, TenantMount, query};
use crate::scim::schema::check::Purpose;
use crate::scim::{Attributes, ErrorKind, Patch, Query, ResourceType, ScimError};

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// `/api/applications/{application}/users`
    Users(&'a str),
    /// `/api/users/{id}`
    User(&'a str),
}

impl<'a> Route<'a> {
    /// One of each kind, for whoever walks them all.
    #[cfg(test)]
    pub const EVERY: [Self; 2] = [Self::Users("x"), Self::User("x")];

    pub fn find(path: &'a str) -> Option<Self> {
        let inner = path.strip_prefix("/api/")?;
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let mut segments = inner.split('/');
        let route = match (segments.next()?, segments.next()?) {
            ("applications", name) if !name.is_empty() && segments.next() == Some("users") => {
                Self::Users(name)
            }
            ("users", id) if !id.is_empty() => Self::User(id),
            _ => return None,
        };
        segments.next().is_none().then_some(route)
    }

    /// As the log calls it.
    pub fn name(self) -> RouteName {
        RouteName::Fixed(match self {
            Self::Users(_) => "/api/applications/{application}/users",
            Self::User(_) => "/api/users/{id}",
        })
    }

    /// The methods, as `Allow` lists them.
    pub fn allowed(self) -> &'static str {
        match self {
            Self::Users(_) => "GET, HEAD, POST",
            Self::User(_) => "GET, HEAD, PATCH, DELETE",
        }
    }
}

/// Answers a request.
pub async fn answer(
    app: &Parts,
    route: Route<'_>,
    head: request::Parts,
    sent: Body,
    asked: &Asked,
    seen: &mut Seen,
) -> Result<Response, Failure> {
    let method = head.method.clone();
    if !route.allowed().split(", ").any(|allowed| allowed == method.as_str()) {
        return Err(Failure::Method(route.allowed()));
    }
    if method != "DELETE" {
        body::acceptable(&head.headers)?;
    }
    let call = match route {
        Route::Users(name) => {
            let name = query::segment(name).ok_or(Failure::UnknownPath)?;
            match app.applications.iter().find(|mount| *mount.tenant.name == *name) {
                Some(mount) => authenticate(app, mount, head, asked).await?,
                // The same as for one that there is and the token is not of.
                None => authenticate_any(app, &[], head, asked).await?,
            }
        }
        Route::User(_) => {
            let mounts: Vec<&Arc<TenantMount>> = app.applications.iter().collect();
            authenticate_any(app, &mounts, head, asked).await?
        }
    };
    seen.tenant = Some(Arc::clone(&call.mount.tenant.name));
    seen.caller = Some(Arc::clone(&call.caller.name));
    let users = Users::of(call);
    let payload = Payload { body: sent, limit: app.limits.max_body };
    match route {
        Route::Users(_) if method == "POST" => {
            let body = payload.json(&users.call.head.headers).await?;
            to_the_end(&app.writes, async move { users.create(&body).await }).await
        }
        Route::Users(_) => users.list().await,
        Route::User(id) => {
            let id = query::segment(id).ok_or(Failure::UnknownPath)?.into_owned();
            match method.as_str() {
                "PATCH" => {
                    let body = payload.json(&users.call.head.headers).await?;
                    to_the_end(&app.writes, async move { users.change(&id, &body).await }).await
                }
                "DELETE" => to_the_end(&app.writes, async move { users.remove(&id).await }).await,
                _ => users.show(&id).await,
            }
        }
    }
}

/// The users of the caller's application.
struct Users {
    call: Call,
    kind: Arc<ResourceType>,
}

impl Users {
    fn of(mut call: Call) -> Self {
        // An avatar is part of a user here, and memberships are written through it.
        call.view.photos = true;
        Arc::make_mut(&mut call.view.manner).groups_writable = true;
        let kind = {
            let federation = call.federation();
            Arc::clone(federation.written(federation.users(), &call.view.manner))
        };
        Self { call, kind }
    }

    async fn create(&self, body: &Value) -> Result<Response, Failure> {
        let call = &self.call;
        let checked = self.kind.check(shape::created(body)?, Purpose::Create)?;
        let federation = call.federation();
        let created = federation.create(&call.caller, &self.kind, checked, &call.view).await?;
        let mut response = self.shown(&created.resource.attributes, StatusCode::CREATED);
        if let Ok(location) = HeaderValue::try_from(format!("/api/users/{}", created.resource.id)) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        Ok(response)
    }

    /// By `status`, `email`, `startIndex` and `count`.
    async fn list(&self) -> Result<Response, Failure> {
        let call = &self.call;
        let mut asked = Vec::new();
        let mut conditions = Vec::new();
        for (name, value) in query::pairs(call.head.uri.query())? {
            match &*name {
                "status" => conditions.push(of_status(&value)?),
                "email" => conditions.push(format!("emails.value eq {}", json!(value))),
                "startIndex" | "count" => asked.push((name, value)),
                _ => {}
            }
        }
        if !conditions.is_empty() {
            asked.push((Cow::from("filter"), conditions.join(" and ").into()));
        }
        let query = Query::from_parameters(asked.into_iter(), &self.kind, &call.view.manner)?;
        let plan = call.federation().plan(&self.kind, query);
        let listing = call.federation().search(&call.caller, &plan, &call.view).await?;
        let application = &call.mount.tenant.name;
        let users: Vec<Value> = listing
            .resources
            .iter()
            .map(|user| shape::user(application, &user.attributes))
            .collect();
        let list =
            json!({ "total": listing.total, "startIndex": listing.start_index, "users": users });
        Ok(json_answer(&list, StatusCode::OK))
    }

    async fn show(&self, id: &str) -> Result<Response, Failure> {
        let call = &self.call;
        let found = call.federation().read(&call.caller, &self.kind, id, &call.view).await?;
        Ok(self.shown(&found.attributes, StatusCode::OK))
    }

    async fn change(&self, id: &str, body: &Value) -> Result<Response, Failure> {
        let (call, kind) = (&self.call, &self.kind);
        let patch = Patch::parse(&shape::changed(body)?, kind, call.caller.client.into())?;
        let federation = call.federation();
        let changed = federation.modify(&call.caller, kind, id, None, &patch, &call.view).await?;
        Ok(self.shown(&changed.attributes, StatusCode::OK))
    }

    /// "Permanently removed", whatever DELETE of a SCIM client does in this tenant.
    async fn remove(&self, id: &str) -> Result<Response, Failure> {
        let call = &self.call;
        call.federation().erase(&call.caller, &self.kind, id, None, &call.view).await?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    }

    fn shown(&self, attributes: &Attributes, status: StatusCode) -> Response {
        json_answer(&shape::user(&self.call.mount.tenant.name, attributes), status)
    }
}

/// The filter that finds who stands so.
fn of_status(status: &str) -> Result<String, ScimError> {
    let held = format!("{}:status eq \"suspended\"", crate::federation::LIFE_CYCLE);
    Ok(match status {
        "active" => "active eq true".to_owned(),
        "suspended" => held,
        "disabled" => format!("active eq false and not ({held})"),
        // They are not there.
        "deleted" => "not (id pr)".to_owned(),
        _ => {
            return Err(ScimError::new(
                ErrorKind::InvalidValue,
                "status is one of active, suspended, disabled and deleted",
            ));
        }
    })
}

fn json_answer(value: &Value, status: StatusCode) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_where_the_page_says() {
        for (path, route) in [
            ("/api/applications/acme/users", Some(Route::Users("acme"))),
            ("/api/applications/acme/users/", Some(Route::Users("acme"))),
            ("/api/users/u-1", Some(Route::User("u-1"))),
            ("/api/users/", None),
            ("/api/users", None),
            ("/api/users/a/b", None),
            ("/api/applications/acme", None),
            ("/api/applications/acme/groups", None),
            ("/api/applications//users", None),
            ("/api/applications/acme/users/x", None),
            ("/apix/users/u-1", None),
        ] {
            assert_eq!(Route::find(path), route, "{path}");
        }
    }
}
