//! Users as the life-cycle API shows and takes them: identity, credentials and memberships, each on
//! its own, in terms of what SCIM calls them.

use serde_json::{Map, Value, json};

use crate::federation::{LIFE_CYCLE, status_of};
use crate::scim::{Attributes, ErrorKind, ScimError};

/// What the service says of a user, which is nobody's to write: whoever hands it back writes nothing.
const TOLD: [&str; 4] = ["id", "application", "createdAt", "updatedAt"];

/// A user as shown.
pub fn user(application: &str, attributes: &Attributes) -> Value {
    let text = |name: &str| attributes.get(name).filter(|value| value.is_string());
    let time = |name: &str| attributes.get("meta").and_then(|meta| meta.get(name));
    let mut shown = Map::new();
    let mut tell = |name: &str, value: Option<&Value>| {
        shown.extend(value.map(|value| (name.to_owned(), value.clone())));
    };
    tell("id", text("id"));
    tell("application", Some(&application.into()));
    tell("status", Some(&status_of(attributes).into()));
    let photos = elements(attributes.get("photos"));
    let identity = [
        ("name", attributes.get("name")),
        ("displayName", text("displayName")),
        ("avatar", photos.first().and_then(|photo| photo.get("value"))),
        ("locale", text("locale")),
    ];
    tell("identity", Some(&object(identity)));
    let emails = elements(attributes.get("emails"));
    let primary = emails.iter().find(|mail| mail.get("primary") == Some(&Value::Bool(true)));
    let email = primary.or(emails.first()).and_then(|mail| mail.get("value"));
    tell("credentials", Some(&object([("userName", text("userName")), ("email", email)])));
    tell("memberships", Some(&memberships(attributes)));
    tell("createdAt", time("created"));
    tell("updatedAt", time("lastModified"));
    Value::Object(shown)
}

/// The accounts that the user is in of its own, with its roles in each.
fn memberships(attributes: &Attributes) -> Value {
    let roles = attributes.get(LIFE_CYCLE).and_then(|life| life.get("accountRoles"));
    let roles = elements(roles);
    let direct = |group: &&Value| group.get("type").is_none_or(|how| how == "direct");
    let membership = |group: &Value| {
        let account = group.get("value").unwrap_or(&Value::Null);
        let here = roles.iter().filter(|role| role.get("value") == Some(account));
        let here: Vec<&Value> = here.filter_map(|role| role.get("type")).collect();
        let here = json!(here);
        object([("account", Some(account)), ("name", group.get("display")), ("roles", Some(&here))])
    };
    elements(attributes.get("groups")).iter().filter(direct).map(membership).collect()
}

/// The body of a SCIM POST.
pub fn created(body: &Value) -> Result<Value, ScimError> {
    let mut made: Map<String, Value> = wishes(body)?.into_iter().collect();
    if !made.contains_key("userName")
        && let Some(email) = made.get("emails").and_then(|emails| emails.get(0)?.get("value"))
    {
        let email = email.clone();
        made.insert("userName".to_owned(), email);
    }
    Ok(Value::Object(made))
}

/// The body of a SCIM PATCH.
pub fn changed(body: &Value) -> Result<Value, ScimError> {
    let operations: Vec<Value> = wishes(body)?
        .into_iter()
        .map(|(path, value)| json!({ "op": "replace", "path": path, "value": value }))
        .collect();
    Ok(json!({ "Operations": operations }))
}

/// SCIM paths with what is wanted there; `null` is nothing.
fn wishes(body: &Value) -> Result<Vec<(String, Value)>, ScimError> {
    let mut wishes = Vec::new();
    for (name, value) in members("the body", body)? {
        match name.as_str() {
            "identity" => identity(value, &mut wishes)?,
            "credentials" => credentials(value, &mut wishes)?,
            "memberships" => joined(value, &mut wishes)?,
            "status" if value == "deleted" => {
                return Err(invalid("status: who is to be deleted is removed by DELETE"));
            }
            "status" => wishes.push((format!("{LIFE_CYCLE}:status"), value.clone())),
            name if TOLD.contains(&name) => {}
            name => return Err(unknown("", name)),
        }
    }
    Ok(wishes)
}

/// `null` takes all of it away: what says who the person is.
fn identity(given: &Value, wishes: &mut Vec<(String, Value)>) -> Result<(), ScimError> {
    if given.is_null() {
        let all = ["name", "displayName", "photos", "locale"];
        wishes.extend(all.map(|path| (path.to_owned(), Value::Null)));
        return Ok(());
    }
    for (name, value) in members("identity", given)? {
        let (path, value) = match name.as_str() {
            "name" if value.is_string() => ("name", json!({ "formatted": value })),
            "name" => ("name", value.clone()),
            "displayName" => ("displayName", value.clone()),
            "locale" => ("locale", value.clone()),
            "avatar" if value.is_null() => ("photos", Value::Null),
            "avatar" => ("photos", json!([{ "value": value, "type": "photo" }])),
            name => return Err(unknown("identity.", name)),
        };
        wishes.push((path.to_owned(), value));
    }
    Ok(())
}

fn credentials(given: &Value, wishes: &mut Vec<(String, Value)>) -> Result<(), ScimError> {
    for (name, value) in members("credentials", given)? {
        let (path, value) = match name.as_str() {
            "userName" => ("userName", value.clone()),
            "password" => ("password", value.clone()),
            "email" if value.is_null() => ("emails", Value::Null),
            "email" => ("emails", json!([{ "value": value, "primary": true }])),
            name => return Err(unknown("credentials.", name)),
        };
        wishes.push((path.to_owned(), value));
    }
    Ok(())
}

/// All the accounts that the user shall be in.
fn joined(given: &Value, wishes: &mut Vec<(String, Value)>) -> Result<(), ScimError> {
    let Value::Array(given) = given else {
        return Err(invalid("memberships is a list of { \"account\": …, \"roles\": […] }"));
    };
    let (mut groups, mut roles) = (Vec::new(), Vec::new());
    for membership in given {
        let membership = members("memberships", membership)?;
        let Some(account @ Value::String(_)) = membership.get("account") else {
            return Err(invalid("memberships: each names an account, which is a group's id"));
        };
        groups.push(json!({ "value": account }));
        for role in elements(membership.get("roles")) {
            roles.push(json!({ "value": account, "type": role }));
        }
    }
    wishes.push(("groups".to_owned(), Value::Array(groups)));
    wishes.push((format!("{LIFE_CYCLE}:accountRoles"), Value::Array(roles)));
    Ok(())
}

fn members<'a>(what: &str, value: &'a Value) -> Result<&'a Map<String, Value>, ScimError> {
    value.as_object().ok_or_else(|| {
        ScimError::new(ErrorKind::InvalidSyntax, format!("{what} is not a JSON object"))
    })
}

fn object<const N: usize>(members: [(&str, Option<&Value>); N]) -> Value {
    let there = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.map(|(name, value)| (name, value.clone())).collect())
}

fn elements(list: Option<&Value>) -> &[Value] {
    list.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn unknown(within: &str, name: &str) -> ScimError {
    let name: String = name.chars().take(200).collect();
    invalid(format!(
        "{within}{name} is nothing of a user: there are status, identity (name, displayName, avatar, \
         locale), credentials (userName, email, password) and memberships (account, roles)"
    ))
}

fn invalid(detail: impl Into<String>) -> ScimError {
    ScimError::new(ErrorKind::InvalidValue, detail)
}
