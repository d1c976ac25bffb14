//! Where a tenant's clients are used to something else than RFC 7644 says: what other documented
//! APIs do, each by a key of its own.

use super::fault::Fault;
use super::settings::Role;
use super::{resolve, value, written};

/// The extension that a tenant's users have where the life-cycle API is served.
pub const LIFE_CYCLE_SCHEMA: &str = include_str!("../../config/schemas/life-cycle.json");

/// What is done otherwise; the default is what the RFC says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own")]
pub struct Customs {
    pub delete: Deletion,
    /// Whether DELETE of a user who is not there succeeds.
    pub delete_unknown: bool,
    /// Whether a path may name a user also by `userName`, e-mail address or `externalId`.
    pub any_path_id: bool,
    /// The role of a new user who is given none.
    pub default_role: Option<DefaultRole>,
    /// Whether `/api/applications/…` and `/api/users/…` are served.
    pub lifecycle_api: bool,
    /// Whether an operation of a bulk request may be a GET.
    pub bulk_get: bool,
    /// Whether discovery lists have pages.
    pub paged_discovery: bool,
    /// Whether PATCH is answered with the resource where its body does not say.
    pub patch_performs_get: bool,
}

/// What DELETE does to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// The row goes.
    Hard,
    /// The user is no longer active.
    Soft,
}

/// A role as a user has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultRole {
    pub value: String,
    /// Of a configured role.
    pub display: Option<String>,
}

impl Default for Customs {
    fn default() -> Self {
        Self {
            delete: Deletion::Hard,
            delete_unknown: false,
            any_path_id: false,
            default_role: None,
            lifecycle_api: false,
            bulk_get: false,
            paged_discovery: false,
            patch_performs_get: true,
        }
    }
}

pub fn customs(file: &written::Tenant, roles: &[Role]) -> Result<Customs, Fault> {
    let delete = [("hard", Deletion::Hard), ("soft", Deletion::Soft)];
    let unknown = [("not_found", false), ("no_content", true)];
    let path_id = [("id", false), ("any", true)];
    Ok(Customs {
        delete: value::choice(file.delete.as_ref(), &delete, Deletion::Hard)?,
        delete_unknown: value::choice(file.delete_unknown.as_ref(), &unknown, false)?,
        any_path_id: value::choice(file.path_id.as_ref(), &path_id, false)?,
        default_role: default_role(file, roles)?,
        lifecycle_api: file.lifecycle_api.unwrap_or(false),
        bulk_get: file.bulk_get.unwrap_or(false),
        paged_discovery: file.paged_discovery.unwrap_or(false),
        patch_performs_get: file.patch_performs_get.unwrap_or(true),
    })
}

/// Where roles are configured it is one of them.
fn default_role(file: &written::Tenant, roles: &[Role]) -> Result<Option<DefaultRole>, Fault> {
    let Some(place) = &file.default_role else { return Ok(None) };
    if roles.is_empty() {
        value::name(place)?;
        return Ok(Some(DefaultRole { value: place.get_ref().clone(), display: None }));
    }
    let id = resolve::role_id(place, roles)?;
    let role = roles.iter().find(|role| role.id == id);
    Ok(Some(DefaultRole { display: role.map(|role| role.display.clone()), value: id }))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ENOUGH, parse, says};
    use super::*;

    fn with(lines: &str, more: &str) -> String {
        ENOUGH.replacen("name = \"acme\"\n", &format!("name = \"acme\"\n{lines}\n"), 1) + more
    }

    #[test]
    fn each_custom_has_its_key() {
        assert_eq!(parse(ENOUGH).unwrap().tenants[0].customs, Customs::default());
        let lines = "delete = \"soft\"\ndelete_unknown = \"no_content\"\npath_id = \"any\"\n\
                     default_role = \"member\"\nlifecycle_api = true\nbulk_get = true\n\
                     paged_discovery = true\npatch_performs_get = false";
        let config = parse(&with(lines, "")).unwrap();
        let role = DefaultRole { value: "member".to_owned(), display: None };
        let all = Customs {
            delete: Deletion::Soft,
            delete_unknown: true,
            any_path_id: true,
            default_role: Some(role),
            lifecycle_api: true,
            bulk_get: true,
            paged_discovery: true,
            patch_performs_get: false,
        };
        assert_eq!(config.tenants[0].customs, all);
        let user = config.tenants[0].resource_types.user();
        assert!(user.extension("urn:scimbridge:schemas:2.0:LifeCycle").is_some());
        let without = parse(ENOUGH).unwrap();
        let user = without.tenants[0].resource_types.user();
        assert!(user.extension("urn:scimbridge:schemas:2.0:LifeCycle").is_none());
    }

    #[test]
    fn a_default_role_is_one_of_those_that_there_are() {
        let roles = "\n[[tenant.role]]\nid = \"member\"\ndisplay = \"Member\"\n";
        let config = parse(&with("default_role = \"member\"", roles)).unwrap();
        let role = config.tenants[0].customs.default_role.as_ref().unwrap();
        assert_eq!(role.display.as_deref(), Some("Member"));
        let refused = parse(&with("default_role = \"membr\"", roles)).unwrap_err().to_string();
        says(&refused, &["no role of this tenant", "did you mean \"member\"?"]);
        let refused = parse(&with("delete = \"gentle\"", "")).unwrap_err().to_string();
        says(&refused, &["gentle", "hard", "soft"]);
    }
}
