//! A body against its resource type: what POST and PUT bring, as canonical attributes
//! (RFC 7643 section 2, RFC 7644 sections 3.3 and 3.5.1).
//!
//! Knows nothing of who is asking, nor of what the resource was before.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::standard::SOURCE;
use super::value::{self, Place, found, invalid, twice};
use super::{Attribute, AttributePath, Mutability, ResourceType, elements};
use crate::scim::error::{ErrorKind, ScimError};
use crate::scim::resource::Attributes;

/// What a body is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A new resource: required attributes must be there.
    Create,
    /// In place of a resource: required attributes may be missing, since a directory may own them;
    /// see [`ResourceType::require`].
    Replace,
}

/// A body, checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checked {
    /// Canonical names and values; nothing readOnly, no `schemas`, no empty lists.
    pub attributes: Attributes,
    /// `userRepositoryId` at the top level or in the extension `Source`: the repository to bind to.
    pub user_repository_id: Option<String>,
    /// `userType` as the body says it; it is readOnly, so it is no attribute.
    pub user_type: Option<String>,
    /// The URNs of the extensions that the body has something to say of, be it that there is nothing.
    pub extensions: Vec<String>,
    /// Whether the body holds `groups`, be it an empty list.
    pub holds_groups: bool,
}

impl ResourceType {
    /// Turns a body into canonical attributes.
    ///
    /// Attribute names and URNs are read in any case, names also with dots and behind their URN;
    /// unknown and readOnly attributes are left out; `null`, `[]` and `{}` mean absent.
    ///
    /// # Errors
    /// `invalidSyntax` where the body is no object or names an attribute twice, `invalidValue` for
    /// every value that is not as its attribute demands, with its path and what was found.
    pub fn check(&self, body: Value, purpose: Purpose) -> Result<Checked, ScimError> {
        let Value::Object(members) = body else {
            let detail = format!("the body is {} where an object is expected", found(&body));
            return Err(ScimError::new(ErrorKind::InvalidSyntax, detail));
        };
        let mut reader = Reader { kind: self, checked: Checked::default() };
        for (name, value) in members {
            reader.member(&name, value)?;
        }
        let checked = reader.checked;
        self.complete(&checked.attributes)?;
        if purpose == Purpose::Create {
            self.require(&checked.attributes)?;
        }
        Ok(checked)
    }

    /// Whether all required attributes are there.
    ///
    /// # Errors
    /// `invalidValue`, naming the first that is missing.
    pub fn require(&self, attributes: &Attributes) -> Result<(), ScimError> {
        let no_members = Map::new();
        let missing = |defined: &[Attribute], members: &Map<String, Value>| {
            defined
                .iter()
                .find(|attribute| {
                    attribute.required
                        && attribute.mutability != Mutability::ReadOnly
                        && !members.contains_key(&attribute.name)
                })
                .map(|attribute| attribute.name.clone())
        };
        let core = missing(&self.schema.attributes, attributes);
        let of_extensions = || {
            self.extensions.iter().find_map(|(schema, required)| {
                let members = attributes.get(&schema.id).and_then(Value::as_object);
                match (members.filter(|members| !members.is_empty()), required) {
                    (None, false) => None,
                    (Some(members), _) => missing(&schema.attributes, members)
                        .map(|name| format!("{}:{name}", schema.id)),
                    // RFC 7643 section 6: "a resource of this type MUST include this schema
                    // extension and also include any attributes declared as required".
                    (None, true) => Some(match missing(&schema.attributes, &no_members) {
                        Some(name) => format!("{}:{name}", schema.id),
                        None => schema.id.clone(),
                    }),
                }
            })
        };
        match core.or_else(of_extensions) {
            None => Ok(()),
            Some(name) => Err(invalid(
                &Place::name(None, &name),
                format_args!("is required: give it a value that is not empty"),
            )),
        }
    }

    /// Whether the complex values have their required sub-attributes.
    fn complete(&self, attributes: &Attributes) -> Result<(), ScimError> {
        for (name, value) in attributes {
            if let Some(attribute) = self.top_level(name) {
                elements::complete(attribute, value, &Place::name(None, name))?;
            } else if let (Some(schema), Value::Object(members)) = (self.extension(name), value) {
                let urn = Place::extension(name);
                for attribute in &schema.attributes {
                    if let Some(value) = members.get(&attribute.name) {
                        let place = Place::name(Some(&urn), &attribute.name);
                        elements::complete(attribute, value, &place)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The attribute that holds what `path` leads to: for `name.givenName` it is `name`.
    pub(crate) fn holder(&self, path: &AttributePath) -> Option<&Attribute> {
        match &path.extension {
            None => self.top_level(&path.attribute),
            Some(urn) => {
                let defined = &self.extension(urn)?.attributes;
                defined.iter().find(|attribute| attribute.name == path.attribute)
            }
        }
    }
}

struct Reader<'a> {
    kind: &'a ResourceType,
    checked: Checked,
}

impl Reader<'_> {
    /// A member of the body, or of the object that stands under the core schema's URN.
    fn member(&mut self, name: &str, value: Value) -> Result<(), ScimError> {
        let path = self.kind.resolve(&versioned(name));
        match (&path.extension, value) {
            (Some(urn), value) if path.known && path.attribute.is_empty() => {
                self.extension(urn, value)
            }
            (_, value) if path.known => self.attribute(&path, value),
            (_, Value::Object(members)) if name.eq_ignore_ascii_case(&self.kind.schema.id) => {
                members.into_iter().try_for_each(|(name, value)| {
                    let path = self.kind.resolve(&name);
                    if path.known && path.extension.is_none() {
                        self.attribute(&path, value)
                    } else {
                        Ok(())
                    }
                })
            }
            // RFC 7643 section 2.1 leaves what nobody knows to the service: it is left out.
            _ => Ok(()),
        }
    }

    fn extension(&mut self, urn: &str, value: Value) -> Result<(), ScimError> {
        match value {
            Value::Null => Ok(()),
            Value::Object(_) if !self.checked.extensions.iter().any(|known| known == urn) => {
                self.checked.extensions.push(urn.to_owned());
                self.extension(urn, value)
            }
            Value::Object(members) => members.into_iter().try_for_each(|(name, value)| {
                let path = self.kind.resolve(&format!("{urn}:{name}"));
                if path.known { self.attribute(&path, value) } else { Ok(()) }
            }),
            other => {
                let found = found(&other);
                Err(invalid(
                    &Place::extension(urn),
                    format_args!("is {found} where an object is expected"),
                ))
            }
        }
    }

    fn attribute(&mut self, path: &AttributePath, value: Value) -> Result<(), ScimError> {
        match (path.extension.as_deref(), path.attribute.as_str()) {
            (Some(SOURCE), "userRepositoryId") => {
                return handed_out(&mut self.checked.user_repository_id, path, &value);
            }
            (None, "userType") if path.mutability == Mutability::ReadOnly => {
                return handed_out(&mut self.checked.user_type, path, &value);
            }
            (None, "schemas") => return Ok(()),
            (None, "groups") => self.checked.holds_groups |= !value.is_null(),
            _ => {}
        }
        if let Some(urn) = &path.extension
            && !self.checked.extensions.contains(urn)
        {
            self.checked.extensions.push(urn.clone());
        }
        let Some(attribute) = self.kind.holder(path) else { return Ok(()) };
        if attribute.mutability == Mutability::ReadOnly {
            return Ok(());
        }
        let given = match &path.sub {
            None => value,
            Some(sub) => Value::Object(Map::from_iter([(sub.clone(), value)])),
        };
        let urn = path.extension.as_deref().map(Place::extension);
        let place = Place::name(urn.as_ref(), &attribute.name);
        let Some(value) = value::canonical(attribute, given, &place)? else { return Ok(()) };
        let holder = match &path.extension {
            None => &mut self.checked.attributes,
            Some(urn) => {
                let members = self.checked.attributes.entry(urn.as_str());
                match members.or_insert_with(|| Value::Object(Map::new())) {
                    Value::Object(members) => members,
                    _ => return Ok(()),
                }
            }
        };
        match (holder.get_mut(&attribute.name), value) {
            (None, value) => {
                holder.insert(attribute.name.clone(), value);
            }
            (Some(Value::Object(present)), Value::Object(more)) => present.extend(more),
            (Some(_), _) => return Err(twice(&place)),
        }
        Ok(())
    }
}

/// ActivID's documents also write the URNs of their extensions without the version.
fn versioned(name: &str) -> Cow<'_, str> {
    let (space, version) = ("urn:hid:scim:api:idp:", "2.0:");
    match name.split_at_checked(space.len()) {
        Some((head, rest))
            if head.eq_ignore_ascii_case(space)
                && rest.starts_with(|first: char| first.is_ascii_alphabetic()) =>
        {
            Cow::Owned([space, version, rest].concat())
        }
        _ => Cow::Borrowed(name),
    }
}

/// Keeps a readOnly string that the caller wants to see all the same; `""` says nothing.
fn handed_out(
    to: &mut Option<String>,
    path: &AttributePath,
    value: &Value,
) -> Result<(), ScimError> {
    let place = Place::name(None, &path.attribute);
    match value {
        Value::Null => Ok(()),
        Value::String(text) if text.is_empty() => Ok(()),
        Value::String(text) if text.contains('\0') => {
            Err(invalid(&place, format_args!("holds U+0000: take it out")))
        }
        Value::String(text) => match to {
            Some(present) if present != text => Err(twice(&place)),
            _ => {
                *to = Some(text.clone());
                Ok(())
            }
        },
        other => {
            let found = found(other);
            Err(invalid(&place, format_args!("is {found} where a string is expected")))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::standard::{ENTERPRISE, USER_ATTRIBUTE};
    use super::*;

    #[track_caller]
    fn accepted(body: Value) -> Value {
        let checked = ResourceType::user(&[]).check(body, Purpose::Replace).unwrap();
        Value::Object(checked.attributes)
    }

    #[track_caller]
    fn refused(body: Value) -> String {
        let error = ResourceType::user(&[]).check(body, Purpose::Replace).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidValue, "{error}");
        error.detail
    }

    #[test]
    fn names_become_canonical() {
        let body = json!({
            "SCHEMAS": ["urn:nobody:knows"],
            "USERNAME": "bjensen",
            "name.givenname": "Barbara",
            "Name": { "FAMILYNAME": "Jensen", "shoeSize": 39 },
            "urn:ietf:params:scim:schemas:core:2.0:user:nickName": "Babs",
            "urn:ietf:params:scim:schemas:core:2.0:User": { "Title": "Guide", "who": 1 },
            (ENTERPRISE.to_lowercase()): { "DEPARTMENT": "Tours", "manager": "26118915" },
            (format!("{ENTERPRISE}:costCenter")): "4130",
            "urn:nobody:knows": { "a": 1 },
            "shoeSize": 39,
        });
        let expected = json!({
            "userName": "bjensen",
            "name": { "givenName": "Barbara", "familyName": "Jensen" },
            "nickName": "Babs",
            "title": "Guide",
            (ENTERPRISE): {
                "department": "Tours",
                "manager": { "value": "26118915" },
                "costCenter": "4130",
            },
        });
        assert_eq!(accepted(body), expected);
    }

    #[test]
    fn what_is_read_only_is_dropped_and_the_repository_handed_out() {
        let body = json!({
            "id": "1", "meta": { "version": "W/1" }, "groups": [{ "value": "g" }],
            "userName": "a", "userType": "SCIM_FED",
            (SOURCE): { "USERrepositoryID": "corp", "dn": "uid=a" },
            (ENTERPRISE): { "manager": { "displayName": "only what is readOnly" } },
        });
        let checked = ResourceType::user(&[]).check(body, Purpose::Create).unwrap();
        assert_eq!(Value::Object(checked.attributes), json!({ "userName": "a" }));
        assert_eq!(checked.user_repository_id.as_deref(), Some("corp"));
        assert_eq!(checked.user_type.as_deref(), Some("SCIM_FED"));

        let kind = ResourceType::user(&[]);
        let named = |body| kind.check(body, Purpose::Replace).map(|c| c.user_repository_id);
        assert_eq!(named(json!({ "userrepositoryid": "corp" })), Ok(Some("corp".into())));
        let both = json!({ "userRepositoryId": "corp", (SOURCE): { "userRepositoryId": "corp" } });
        assert_eq!(named(both), Ok(Some("corp".into())));
        let two = json!({ "userRepositoryId": "corp", (SOURCE): { "userRepositoryId": "lab" } });
        assert_eq!(named(two).unwrap_err().kind, ErrorKind::InvalidSyntax);
        assert_eq!(named(json!({ "userRepositoryId": "" })), Ok(None));
        assert!(named(json!({ "userRepositoryId": 3 })).is_err());
    }

    #[test]
    fn nothing_is_absent() {
        let body = json!({
            "userName": "a", "nickName": null, "emails": [], "name": {}, "externalId": "",
            "phoneNumbers": [null, {}, { "value": "" }, { "type": null }], "title": "",
            (ENTERPRISE): { "manager": { "value": "" }, "department": null },
            "active": [],
        });
        assert_eq!(accepted(body), json!({ "userName": "a", "title": "" }));
        assert_eq!(accepted(json!({ (ENTERPRISE): null })), json!({}));
    }

    #[test]
    fn values_are_coerced_where_clients_need_it() {
        let body = json!({
            "active": "False",
            "emails": { "value": "a@example.com", "primary": "True" },
            "roles": "admin",
            "entitlements": ["one", { "value": "two" }],
        });
        let expected = json!({
            "active": false,
            "emails": [{ "value": "a@example.com", "primary": true }],
            "roles": [{ "value": "admin" }],
            "entitlements": [{ "value": "one" }, { "value": "two" }],
        });
        assert_eq!(accepted(body), expected);
    }

    #[test]
    fn types_are_told_with_path_and_finding() {
        for (body, detail) in [
            (json!({ "userName": 7 }), "userName is a number where a string is expected"),
            (json!({ "active": "yes" }), "active is a string where a boolean is expected"),
            (json!({ "nickName": ["a"] }), "nickName is a list where a string is expected"),
            (json!({ "name": "Barbara" }), "name is a string where an object is expected"),
            (
                json!({ "emails": [{ "value": "a" }, { "value": {} }] }),
                "emails[1].value is an object where a string is expected",
            ),
            (json!({ "addresses": ["x"] }), "addresses[0] is a string where an object is expected"),
            (json!({ "nickName": "a\0b" }), "nickName holds U+0000: take it out"),
            (
                json!({ "x509Certificates": [{ "value": "a*b" }] }),
                "x509Certificates[0].value is not encoded in base 64 (RFC 4648)",
            ),
            (
                json!({ (ENTERPRISE): { "manager": { "value": true } } }),
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value is a \
                 boolean where a string is expected",
            ),
            (
                json!({ (USER_ATTRIBUTE): { "attributes": [{ "name": "DOB" }] } }),
                "urn:hid:scim:api:idp:2.0:UserAttribute:attributes[0].value is required: give it a \
                 value",
            ),
        ] {
            assert_eq!(refused(body), detail);
        }
    }

    #[test]
    fn bodies_that_are_none_and_names_given_twice_are_refused() {
        let kind = ResourceType::user(&[]);
        for body in [
            json!([]),
            json!("user"),
            json!({ "userName": "a", "username": "b" }),
            json!({ "name": { "givenName": "a", "GIVENNAME": "b" } }),
        ] {
            let error = kind.check(body, Purpose::Replace).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidSyntax, "{error}");
        }
    }

    #[test]
    fn a_new_user_has_a_name() {
        let kind = ResourceType::user(&[]);
        for body in [json!({}), json!({ "userName": "" }), json!({ "userName": null })] {
            let error = kind.check(body.clone(), Purpose::Create).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidValue);
            assert!(error.detail.starts_with("userName is required"), "{error}");
            assert!(kind.check(body, Purpose::Replace).is_ok());
        }
    }

    #[test]
    fn sizes_are_bounded() {
        let longest = "é".repeat(1024);
        accepted(json!({ "userName": longest, "externalId": longest }));
        assert!(refused(json!({ "userName": "e".repeat(1025) })).contains("1024 characters"));
        accepted(json!({ "title": "x".repeat(65_536) }));
        assert!(refused(json!({ "title": "x".repeat(65_537) })).contains("65537 bytes"));
        let roles = |count: usize| -> Value {
            json!({ "roles": (0..count).map(|n| n.to_string()).collect::<Vec<_>>() })
        };
        accepted(roles(10_000));
        assert!(refused(roles(10_001)).contains("10001 values"));
    }

    #[test]
    fn equal_pairs_are_merged_and_one_value_is_primary() {
        let body = json!({ "emails": [
            { "value": "A@example.com", "type": "work" },
            { "value": "a@example.com", "type": "WORK", "display": "A", "primary": true },
            { "value": "a@example.com", "type": "home" },
        ] });
        let expected = json!({ "emails": [
            { "value": "A@example.com", "type": "work", "display": "A", "primary": true },
            { "value": "a@example.com", "type": "home" },
        ] });
        assert_eq!(accepted(body), expected);
        let codes = json!({ (USER_ATTRIBUTE): { "attributes": [
            { "name": "A", "value": "1" }, { "name": "B", "value": "1" },
        ] } });
        assert_eq!(accepted(codes.clone()), codes, "facts of different names are different facts");
        let detail = refused(json!({ "emails": [
            { "value": "a", "primary": true }, { "value": "b", "primary": "true" },
        ] }));
        assert_eq!(detail, "emails has 2 primary values: mark one of them at most");
    }

    #[test]
    fn dates_and_numbers_have_their_form() {
        let own = serde_json::from_value(json!({
            "id": "urn:example:Own", "name": "Own", "attributes": [
                { "name": "since", "type": "dateTime" },
                { "name": "level", "type": "integer" },
                { "name": "ratio", "type": "decimal" },
                { "name": "tags", "type": "string", "multiValued": true },
            ],
        }));
        let kind = ResourceType::user(&[own.unwrap()]);
        let check = |name: &str, value: Value| {
            let body = json!({ "urn:example:Own": { name: value } });
            kind.check(body, Purpose::Replace)
                .map(|checked| checked.attributes["urn:example:Own"][name].clone())
        };
        for date in ["2026-01-31T08:30:00Z", "2026-01-31T08:30:00.1234567+02:00"] {
            assert_eq!(check("since", json!(date)), Ok(json!(date)));
        }
        for date in ["2026-01-31", "2026-13-31T08:30:00Z", "2026-01-31 08:30:00Z", "now", ""] {
            assert!(check("since", json!(date)).is_err(), "{date}");
        }
        assert_eq!(check("level", json!(7.0)), Ok(json!(7)));
        for level in [json!(7.5), json!("7"), json!(1e300), json!(true)] {
            assert!(check("level", level).is_err());
        }
        assert_eq!(check("ratio", json!(7.5)), Ok(json!(7.5)));
        assert_eq!(check("tags", json!(["a", "A", "b"])), Ok(json!(["a", "b"])));
        assert_eq!(check("tags", json!("a")), Ok(json!(["a"])));
    }
}
