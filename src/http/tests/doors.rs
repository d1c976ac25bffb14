//! Every way in that asks who is there: the routes below a mount, and what stands beside them.

use crate::http::lifecycle;
use crate::http::routes::{Endpoint, Route};
use crate::scim::schema::ResourceTypes;

#[derive(Clone, Copy, Debug)]
pub enum Door<'a> {
    Mounted(Route<'a>),
    /// A list as a bulk request.
    Export(&'a Endpoint),
    LifeCycle(lifecycle::Route<'a>),
    /// The token endpoint.
    Token,
}

impl<'a> Door<'a> {
    /// All that lead to resources of the endpoint's type, or to none.
    pub fn every(endpoint: &'a Endpoint) -> Vec<Self> {
        let users = endpoint.kind.name == "User";
        let mounted = Route::every(endpoint).into_iter().filter(|route| {
            let of_users = matches!(
                route,
                Route::Me(_) | Route::Forget(_) | Route::ForgetOne(..) | Route::Bulk
            );
            users || !of_users
        });
        let mut doors: Vec<Self> = mounted.map(Self::Mounted).collect();
        if users {
            doors.extend([Self::Export(endpoint), Self::Token]);
            doors.extend(lifecycle::Route::EVERY.map(Self::LifeCycle));
        }
        doors
    }

    pub fn name(self) -> String {
        match self {
            Self::Mounted(route) => route.name().to_string(),
            Self::Export(endpoint) => {
                format!("{}?bulkImportFormat=true", &*Route::Resources(endpoint).name())
            }
            Self::LifeCycle(route) => route.name().to_string(),
            Self::Token => "/idp/acme/authn/token".to_owned(),
        }
    }

    pub fn methods(self) -> std::str::Split<'static, &'static str> {
        let allowed = match self {
            Self::Mounted(route) => route.allowed(),
            Self::Export(_) => "GET, HEAD",
            Self::LifeCycle(route) => route.allowed(),
            Self::Token => "POST",
        };
        allowed.split(", ")
    }

    /// Its path, leading to the resource of this id.
    pub fn path(self, id: &str) -> String {
        let mount = match self {
            Self::Mounted(_) | Self::Export(_) => "/scim/acme/v2",
            Self::LifeCycle(_) | Self::Token => "",
        };
        let template = match self {
            Self::Mounted(Route::Schema(_)) => {
                "/Schemas/urn:ietf:params:scim:schemas:core:2.0:User".to_owned()
            }
            Self::Mounted(Route::ResourceType(_)) => "/ResourceTypes/User".to_owned(),
            door => door.name(),
        };
        let places = ["{id}", "{correlationId}"];
        let path = places.iter().fold(template, |path, place| path.replace(place, id));
        mount.to_owned() + &path.replace("{application}", "acme")
    }
}

/// Without this a variant could be left out of what is walked.
#[test]
fn every_door_is_walked() {
    let endpoint = Endpoint::new(&ResourceTypes::shipped().all()[0]);
    let lists = [
        (include_str!("../routes.rs"), Route::every(&endpoint).len()),
        (include_str!("../lifecycle/mod.rs"), lifecycle::Route::EVERY.len()),
    ];
    for (source, walked) in lists {
        let (_, rest) = source.split_once("pub enum Route<'a> {").unwrap();
        let (variants, _) = rest.split_once("\n}").unwrap();
        let is_variant = |line: &&str| line.ends_with(',') && !line.trim().starts_with('/');
        assert_eq!(variants.lines().filter(is_variant).count(), walked);
    }
    let mut names: Vec<_> = Door::every(&endpoint).into_iter().map(Door::name).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
}

/// What the one page of routes leads to beside the mounts is told here, so that nobody adds to it and
/// forgets the walks.
#[test]
fn what_leads_past_the_mounts_is_known() {
    let (_, dispatch) = include_str!("../routes.rs").split_once("pub async fn dispatch").unwrap();
    let (beside, _) = dispatch.split_once("app.mounts.find").unwrap();
    assert_eq!(
        beside.matches("::answer(").count(),
        2,
        "the token endpoint, and the life-cycle API"
    );
    let outside = include_str!("../health.rs").matches(".route(\"").count();
    assert_eq!(outside, super::OPERATIONS.len(), "without a caller");
}
