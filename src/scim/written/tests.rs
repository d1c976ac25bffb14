//! Bodies in either manner, over what was there.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::scim::dialect::{Dialect, Limit, Manners, Settings};
use crate::scim::schema::check::Purpose;

fn manner(dialect: Dialect, version: Option<u32>) -> Arc<Manner> {
    Arc::clone(Manners::new(&Settings::default(), [dialect]).of(dialect, || version))
}

fn activid() -> Arc<Manner> {
    manner(Dialect::Activid, None)
}

fn object(value: &Value) -> Attributes {
    value.as_object().unwrap().clone()
}

struct Case(ResourceType);

impl Case {
    fn writing<'a>(&'a self, manner: &'a Manner) -> Writing<'a> {
        Writing { kind: &self.0, manner, owns_name: true }
    }

    fn post(&self, manner: &Manner, body: Value) -> Result<Value, ScimError> {
        let checked = self.0.check(body, Purpose::Replace)?;
        let (writing, nothing) = (self.writing(manner), Attributes::new());
        let given = writing.posted(&nothing, &checked, Posting::Creates)?;
        writing.limited(&nothing, &given)?;
        Ok(Value::Object(given))
    }

    fn put(&self, manner: &Manner, current: &Value, body: Value) -> Result<Value, ScimError> {
        let checked = self.0.check(body, Purpose::Replace)?;
        let (writing, current) = (self.writing(manner), object(current));
        let after = writing.replaced(&current, &checked)?;
        writing.limited(&current, &after)?;
        Ok(Value::Object(after))
    }

    fn patch(
        &self,
        manner: &Manner,
        current: &Value,
        operations: &Value,
    ) -> Result<Value, ScimError> {
        let body = json!({ "Operations": operations });
        let tolerance = Tolerance::default();
        let patch = Patch::parse(&body, &self.0, tolerance)?;
        let (writing, current) = (self.writing(manner), object(current));
        let after = writing.modified(&current, &patch, tolerance)?;
        writing.limited(&current, &after)?;
        Ok(Value::Object(after))
    }
}

fn case() -> Case {
    Case(ResourceType::user(&[]))
}

#[track_caller]
fn refused(result: Result<Value, ScimError>, kind: ErrorKind, part: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.detail.contains(part), "{error}");
}

fn person() -> Value {
    json!({
        "userName": "jdoe", "externalId": "jdoe", "displayName": "Babs",
        "name": { "givenName": "John", "familyName": "Doe" },
        "emails": [{ "value": "jdoe@example.com" }],
        (USER_ATTRIBUTE): { "attributes": [
            { "name": "DOB", "type": "date", "value": "1980-08-01" }] },
    })
}

#[test]
fn a_post_is_named_by_its_external_id_below_version_4() {
    let body = || {
        json!({ "userName": "other", "externalId": "jdoe", "displayName": "x",
        "name": { "givenName": "John" } })
    };
    let made = case().post(&activid(), body()).unwrap();
    assert_eq!(
        made,
        json!({ "userName": "jdoe", "externalId": "jdoe",
        "name": { "givenName": "John" } })
    );
    let mut nameless = body();
    nameless["externalId"] = Value::Null;
    refused(case().post(&activid(), nameless), ErrorKind::InvalidValue, "externalId is required");
    let four = manner(Dialect::Activid, Some(4));
    let made = case().post(&four, body()).unwrap();
    assert_eq!((&made["userName"], made.get("displayName")), (&json!("other"), None));
    let made = case().post(&manner(Dialect::Rfc, None), body()).unwrap();
    assert_eq!((&made["userName"], &made["displayName"]), (&json!("other"), &json!("x")));
}

#[test]
fn a_name_is_asked_for_where_somebody_new_is_made() {
    let case = case();
    let manner = activid();
    let body = json!({ "externalId": "jdoe" });
    let checked = case.0.check(body.clone(), Purpose::Replace).unwrap();
    let posted = |posting| {
        let writing = case.writing(&manner);
        writing.posted(&Attributes::new(), &checked, posting).map(Value::Object)
    };
    refused(posted(Posting::Creates), ErrorKind::InvalidValue, "name is required");
    assert!(posted(Posting::Binds).is_ok());
    assert!(posted(Posting::Provisions).is_ok());
    let mut coded = body;
    coded[USER_ATTRIBUTE] = json!({ "attributes": [{ "name": "LASTNAME", "value": "Doe" }] });
    assert_eq!(case.post(&manner, coded).unwrap()["name"], json!({ "familyName": "Doe" }));
}

#[test]
fn a_bound_name_is_the_directorys() {
    let case = case();
    let known = object(&json!({ "userName": "JDoe", "externalId": "jdoe", "title": "Dr." }));
    let checked = case.0.check(json!({ "externalId": "jdoe" }), Purpose::Replace).unwrap();
    let manner = activid();
    for owns_name in [true, false] {
        let writing = Writing { owns_name, ..case.writing(&manner) };
        let given = writing.posted(&known, &checked, Posting::Binds).unwrap();
        assert_eq!(given.get("userName"), None);
        let after = json!([{ "op": "replace", "path": "externalId", "value": "x" }]);
        let patch = Patch::parse(&json!({ "Operations": after }), &case.0, Tolerance::default());
        let after = writing.modified(&known, &patch.unwrap(), Tolerance::default()).unwrap();
        assert_eq!(after["userName"], "JDoe", "two names stay two");
    }
}

#[test]
fn required_attributes_may_be_the_directorys() {
    let case = case();
    let settings = Settings {
        required: vec![case.0.resolve("emails"), case.0.resolve("name.familyName")],
        ..Settings::default()
    };
    let manner = Arc::clone(Manners::new(&settings, [Dialect::Rfc]).of(Dialect::Rfc, || None));
    let body = |more: Value| {
        let mut body = json!({ "userName": "a", "name": { "familyName": "Doe" } });
        body.as_object_mut().unwrap().extend(object(&more));
        body
    };
    refused(case.post(&manner, body(json!({}))), ErrorKind::InvalidValue, "emails is required");
    let coded = json!({ (USER_ATTRIBUTE): { "attributes": [
        { "name": "ATR_EMAIL", "value": "a@example.com" }] } });
    assert!(case.post(&manner, body(coded)).is_ok());
    let known = object(&json!({ "emails": [{ "value": "a@example.com" }] }));
    let checked = case.0.check(body(json!({})), Purpose::Replace).unwrap();
    assert!(case.writing(&manner).posted(&known, &checked, Posting::Binds).is_ok());
}

#[test]
fn a_put_leaves_sections_alone_that_it_does_not_hold() {
    let case = case();
    let manner = activid();
    let body = json!({ "externalId": "jdoe", "groups": [] });
    assert_eq!(case.put(&manner, &person(), body.clone()).unwrap(), person());
    let mut empty = body.clone();
    empty[USER_ATTRIBUTE] = json!({ "attributes": [] });
    let rest = json!({ "userName": "jdoe", "externalId": "jdoe", "displayName": "Babs" });
    assert_eq!(case.put(&manner, &person(), empty).unwrap(), rest);
    let mut other = body.clone();
    other[USER_ATTRIBUTE] = json!({ "attributes": [{ "name": "FIRSTNAME", "value": "Jane" }] });
    other["emails"] = json!([{ "value": "b@example.com" }]);
    assert_eq!(
        case.put(&manner, &person(), other).unwrap(),
        json!({
        "userName": "jdoe", "externalId": "jdoe", "displayName": "Babs",
        "name": { "givenName": "Jane" }, "emails": [{ "value": "b@example.com" }] })
    );
    let rfc = case.put(&Manner::rfc(), &person(), json!({ "userName": "jdoe" })).unwrap();
    assert_eq!(rfc, json!({ "userName": "jdoe" }));
    refused(
        case.put(&manner, &person(), json!({ "externalId": "jdoe" })),
        ErrorKind::InvalidValue,
        "groups is required",
    );
}

#[test]
fn names_follow_where_they_were_the_same() {
    let case = case();
    let manner = activid();
    let put = |current: &Value| {
        let body = json!({ "externalId": "new", "groups": [], "userName": "ignored" });
        case.put(&manner, current, body).unwrap()["userName"].clone()
    };
    assert_eq!(put(&person()), "new");
    assert_eq!(put(&json!({ "userName": "bjensen", "externalId": "701984" })), "bjensen");
    let set = |path: &str, value: &str| json!([{ "op": "replace", "path": path, "value": value }]);
    let patched = |operations: Value| case.patch(&manner, &person(), &operations);
    assert_eq!(patched(set("externalId", "new")).unwrap()["userName"], "new");
    assert_eq!(patched(set("userName", "jdoe")).unwrap(), person());
    refused(patched(set("userName", "x")), ErrorKind::Mutability, "userName is readOnly");
    let gone = json!([{ "op": "remove", "path": "externalId" }]);
    refused(patched(gone), ErrorKind::Mutability, "externalId is required");
    let four = self::manner(Dialect::Activid, Some(4));
    let renamed = case.patch(&four, &person(), &set("userName", "x")).unwrap();
    assert_eq!((&renamed["userName"], &renamed["externalId"]), (&json!("x"), &json!("jdoe")));
}

#[test]
fn a_made_display_name_is_nobodys_to_write() {
    let case = case();
    let set = |value: &str| json!([{ "op": "replace", "path": "displayName", "value": value }]);
    for repeated in ["John Doe", "Babs"] {
        assert_eq!(case.patch(&activid(), &person(), &set(repeated)).unwrap(), person());
    }
    refused(case.patch(&activid(), &person(), &set("x")), ErrorKind::Mutability, "displayName");
    assert_eq!(case.patch(&Manner::rfc(), &person(), &set("x")).unwrap()["displayName"], "x");
}

#[test]
fn codes_are_patched_one_by_one() {
    let case = case();
    let path = |code: &str| format!("{USER_ATTRIBUTE}:attributes[name eq \"{code}\"]");
    let list = format!("{USER_ATTRIBUTE}:attributes");
    for manner in [activid(), manner(Dialect::Rfc, None)] {
        let patched = |operations: Value| case.patch(&manner, &person(), &operations).unwrap();
        let set = |code: &str, value: &str| json!([{ "op": "replace", "path": format!("{}.value", path(code)), "value": value }]);
        assert_eq!(
            patched(set("DOB", "1990-01-01"))[USER_ATTRIBUTE]["attributes"],
            json!([{ "name": "DOB", "value": "1990-01-01" }])
        );
        assert_eq!(patched(set("firstname", "Jane"))["name"]["givenName"], "Jane");
        let added = patched(json!([{ "op": "add", "path": list, "value": [
            { "name": "NR", "value": 7 }, { "name": "TITLE", "value": "Dr." }] }]));
        assert_eq!(added["title"], "Dr.");
        assert_eq!(added[USER_ATTRIBUTE]["attributes"][1], json!({ "name": "NR", "value": "7" }));
        let gone = patched(json!([{ "op": "remove", "path": path("DOB") }]));
        assert_eq!(gone.get(USER_ATTRIBUTE), None);
        let gone = patched(json!([{ "op": "remove", "path": path("FIRSTNAME") }]));
        assert_eq!(gone["name"], json!({ "familyName": "Doe" }));
        let pathless = patched(json!([{ "op": "add", "value": { (USER_ATTRIBUTE): {
            "attributes": [{ "name": "TITLE", "value": "Dr." }] } } }]));
        assert_eq!(pathless["title"], "Dr.");
        let twice =
            json!([{ "op": "add", "path": list, "value": [{ "name": "dob", "value": "x" }] }]);
        refused(case.patch(&manner, &person(), &twice), ErrorKind::InvalidValue, "given twice");
    }
    // Whoever was not shown the mirrored ones takes none of them away.
    let all = || json!([{ "op": "remove", "path": USER_ATTRIBUTE }]);
    let rfc = case.patch(&Manner::rfc(), &person(), &all()).unwrap();
    assert_eq!((rfc.get(USER_ATTRIBUTE), &rfc["name"]["givenName"]), (None, &json!("John")));
    let activid = case.patch(&activid(), &person(), &all()).unwrap();
    assert_eq!((activid.get("name"), activid.get("emails")), (None, None));
}

#[test]
fn limits_bound_what_is_new() {
    let case = case();
    let manner = activid();
    let two = json!([{ "value": "a@example.com" }, { "value": "b@example.com" }]);
    let body = |emails: &Value| {
        json!({ "externalId": "jdoe", "groups": [],
        "name": { "givenName": "John" }, "emails": emails })
    };
    let many = "emails has 2 values: the limit is 1 (limits.emails)";
    refused(case.post(&manner, body(&two)), ErrorKind::InvalidValue, many);
    refused(case.put(&manner, &person(), body(&two)), ErrorKind::InvalidValue, many);
    let add = json!([{ "op": "add", "path": "emails", "value": [{ "value": "b@example.com" }] }]);
    refused(case.patch(&manner, &person(), &add), ErrorKind::InvalidValue, many);
    assert!(case.patch(&Manner::rfc(), &person(), &add).is_ok());
    // Who has more already may keep them.
    let mut rich = person();
    rich["emails"] = two.clone();
    assert_eq!(case.put(&manner, &rich, body(&two)).unwrap()["emails"], two);
    let title = json!([{ "op": "add", "path": "title", "value": "Dr." }]);
    assert!(case.patch(&manner, &rich, &title).is_ok());
    let settings = Settings {
        limits: vec![Limit { attribute: "emails".to_owned(), most: 2 }],
        ..Settings::default()
    };
    let manner = Manners::new(&settings, [Dialect::Activid]);
    assert!(case.post(manner.of(Dialect::Activid, || None), body(&two)).is_ok());
}
