//! Merging and dividing over a mapping of a few attributes.

use futures_util::future::BoxFuture;
use serde_json::json;

use super::*;
use crate::repository::{Back, Bounds, EntryKey, Finding, Found, Plan, RepositoryError};
use crate::scim::filter::Filter;
use crate::scim::schema::AttributePath;

/// A directory that owns names, work mail and telephone, the department and the code DOB, and lends
/// the title and the mobile telephone.
#[derive(Debug)]
struct Mapped;

impl Repository for Mapped {
    fn id(&self) -> &'static str {
        "corp"
    }

    fn maps(&self, path: &AttributePath) -> bool {
        self.authority(path).is_some()
    }

    fn authority(&self, path: &AttributePath) -> Option<Authority> {
        match path.text.as_str() {
            "title" | "externalId" => Some(Authority::Local),
            "preferredLanguage" | "name.honorificPrefix" => Some(Authority::WriteBack),
            "userName" | "name.familyName" | "name.givenName" | "emails" | "displayName"
            | "phoneNumbers" | "active" => Some(Authority::Directory),
            text if text.ends_with(":department") || text.ends_with(":attributes") => {
                Some(Authority::Directory)
            }
            _ => None,
        }
    }

    fn authority_of_type(&self, path: &AttributePath, kind: Option<&str>) -> Option<Authority> {
        match (path.attribute.as_str(), kind) {
            ("emails" | "phoneNumbers", Some("work")) | ("attributes", Some("DOB")) => {
                Some(Authority::Directory)
            }
            ("phoneNumbers", Some("mobile")) => Some(Authority::Local),
            ("phoneNumbers", Some("pager")) => Some(Authority::WriteBack),
            _ => None,
        }
    }

    fn back(&self, _: &Attributes, _: Option<&Value>) -> Back {
        Back::from([("preferredLanguage".to_owned(), Vec::new())])
    }

    fn base(&self) -> &'static str {
        "dc=example,dc=org"
    }

    fn plan(&self, _: &Filter) -> Plan {
        Plan { text: String::new(), bases: Vec::new(), exact: false, scan: true }
    }

    fn search<'a>(
        &'a self,
        _: &'a Filter,
        _: Bounds,
    ) -> BoxFuture<'a, Result<Found, RepositoryError>> {
        Box::pin(async { Err(RepositoryError::Timeout) })
    }

    fn read<'a>(
        &'a self,
        _: &'a [EntryKey],
        _: Bounds,
    ) -> BoxFuture<'a, Result<Found, RepositoryError>> {
        Box::pin(async { Err(RepositoryError::Timeout) })
    }

    fn check(&self) -> BoxFuture<'_, Vec<Finding>> {
        Box::pin(async { Vec::new() })
    }

    fn healthy(&self) -> Option<bool> {
        None
    }
}

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const CODES: &str = "urn:hid:scim:api:idp:2.0:UserAttribute";

fn object(value: Value) -> Attributes {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

fn entry() -> Attributes {
    object(json!({
        "userName": "jdoe",
        "externalId": "jdoe",
        "name": { "familyName": "Doe", "givenName": "John" },
        "title": "Clerk",
        "emails": [{ "value": "jdoe@example.org", "type": "work", "primary": true }],
        "phoneNumbers": [
            { "value": "+1 1", "type": "work" },
            { "value": "+1 2", "type": "mobile" }
        ],
        CODES: { "attributes": [
            { "name": "DOB", "value": "1970-01-01", "type": "date", "readOnly": true }
        ] },
        ENTERPRISE: { "department": "Sales" }
    }))
}

fn merged(own: &Value) -> Value {
    let own = object(own.clone());
    Value::Object(merge(&ResourceType::user(&[]), Owner::Repository(&Mapped), &entry(), &own))
}

fn divide(own: &Value, wanted: &Value, mode: Mode) -> Result<Value, String> {
    let (entry, own) = (entry(), object(own.clone()));
    Division {
        resource_type: &ResourceType::user(&[]),
        owner: Owner::Repository(&Mapped),
        directory: &entry,
        shadow: None,
        own: &own,
        mode,
        says_active: false,
        account: Account::Both,
    }
    .own_after(&object(wanted.clone()))
    .map(Value::Object)
    .map_err(|owned| owned.path)
}

/// The merged user with some members changed, as a PATCH would leave it.
fn patched(own: &Value, change: Change<'_>) -> Result<Value, String> {
    let mut wanted = merged(own);
    change(&mut wanted);
    divide(own, &wanted, Mode::Modify)
}

type Change<'a> = &'a dyn Fn(&mut Value);

#[test]
fn ours_stands_beside_the_directorys() {
    let shown = merged(&json!({
        "nickName": "Jo",
        "name": { "middleName": "Q" },
        "emails": [{ "value": "jo@home.example", "type": "home" }],
        ENTERPRISE: { "costCenter": "42" }
    }));
    assert_eq!(shown["nickName"], "Jo");
    assert_eq!(
        shown["name"],
        json!({ "familyName": "Doe", "givenName": "John", "middleName": "Q" })
    );
    assert_eq!(shown["emails"].as_array().map(Vec::len), Some(2));
    assert_eq!(shown[ENTERPRISE], json!({ "department": "Sales", "costCenter": "42" }));
    assert_eq!(shown["active"], true);
}

#[test]
fn what_is_repeated_is_no_write() {
    for own in [json!({}), json!({ "nickName": "Jo" }), json!({ "title": "Boss", "active": false })]
    {
        for mode in [Mode::Replace, Mode::Modify] {
            assert_eq!(divide(&own, &merged(&own), mode), Ok(own.clone()), "{mode:?}");
        }
    }
    let otherwise_spelt = patched(&json!({}), &|user| user["userName"] = "JDOE".into());
    assert_eq!(otherwise_spelt, Ok(json!({})), "userName is compared without case");
}

#[test]
fn the_directorys_values_cannot_be_changed() {
    let refused: [(&str, Change<'_>); 6] = [
        ("userName", &|user| user["userName"] = "other".into()),
        ("name.familyName", &|user| user["name"]["familyName"] = "Smith".into()),
        ("displayName", &|user| user["displayName"] = "was absent".into()),
        ("emails", &|user| user["emails"] = json!([])),
        ("emails", &|user| user["emails"][0]["value"] = "x@example.org".into()),
        ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", &|user| {
            user[ENTERPRISE] = json!({});
        }),
    ];
    for (path, change) in refused {
        assert_eq!(patched(&json!({}), change), Err(path.to_owned()));
    }
}

#[test]
fn a_put_that_leaves_out_what_the_directory_owns_is_no_write_to_it() {
    let wanted = json!({ "userName": "jdoe", "nickName": "Jo" });
    assert_eq!(divide(&json!({}), &wanted, Mode::Replace), Ok(json!({ "nickName": "Jo" })));
    // What is ours and left out is removed.
    assert_eq!(divide(&json!({ "nickName": "Jo" }), &json!({}), Mode::Replace), Ok(json!({})));
}

#[test]
fn a_local_value_is_the_directorys_until_written_and_again_when_removed() {
    let ours = patched(&json!({}), &|user| user["title"] = "Boss".into());
    assert_eq!(ours, Ok(json!({ "title": "Boss" })));
    assert_eq!(merged(&json!({ "title": "Boss" }))["title"], "Boss");
    let back = patched(&json!({ "title": "Boss" }), &|user| {
        user.as_object_mut().unwrap().remove("title");
    });
    assert_eq!(back, Ok(json!({})));
    assert_eq!(merged(&json!({}))["title"], "Clerk");
}

#[test]
fn elements_of_other_types_are_ours() {
    let home = json!({ "value": "jo@home.example", "type": "home" });
    let added = patched(&json!({}), &|user| {
        user["emails"].as_array_mut().unwrap().push(home.clone());
    });
    assert_eq!(added, Ok(json!({ "emails": [home] })));
    let work = patched(&json!({}), &|user| {
        let second = json!({ "value": "second@example.org", "type": "work" });
        user["emails"].as_array_mut().unwrap().push(second);
    });
    assert_eq!(work, Err("emails".to_owned()));
}

#[test]
fn one_mapped_code_locks_no_other() {
    let cost = json!({ "name": "COST", "value": "42" });
    let added = patched(&json!({}), &|user| {
        user[CODES]["attributes"].as_array_mut().unwrap().push(cost.clone());
    });
    assert_eq!(added, Ok(json!({ CODES: { "attributes": [cost] } })));
    for wanted in [json!([{ "name": "DOB", "value": "1999-09-09" }]), json!([])] {
        let refused = patched(&json!({}), &|user| user[CODES]["attributes"] = wanted.clone());
        assert_eq!(refused, Err(format!("{CODES}:attributes")));
    }
}

#[test]
fn an_element_without_a_type_is_ours_where_the_directorys_have_one() {
    let plain = json!({ "value": "plain@example.org" });
    let added = patched(&json!({}), &|user| {
        user["emails"].as_array_mut().unwrap().push(plain.clone());
    });
    assert_eq!(added, Ok(json!({ "emails": [plain] })));
}

#[test]
fn one_type_of_a_list_can_be_lent() {
    let mobile = |value: &str| json!({ "value": value, "type": "mobile" });
    let (theirs, ours) = (mobile("+1 2"), mobile("+1 3"));
    let own = json!({ "phoneNumbers": [ours] });
    let set = patched(&json!({}), &|user| user["phoneNumbers"][1] = ours.clone());
    assert_eq!(set, Ok(own.clone()));
    let work = json!({ "value": "+1 1", "type": "work" });
    assert_eq!(merged(&own)["phoneNumbers"], json!([work, ours]), "ours in place of theirs");
    assert_eq!(merged(&json!({}))["phoneNumbers"], json!([work, theirs]));
    // A second one makes both ours; none gives theirs back.
    let both = patched(&json!({}), &|user| {
        user["phoneNumbers"].as_array_mut().unwrap().push(ours.clone());
    });
    assert_eq!(both, Ok(json!({ "phoneNumbers": [theirs, ours] })));
    let back = patched(&own, &|user| {
        user["phoneNumbers"].as_array_mut().unwrap().pop();
    });
    assert_eq!(back, Ok(json!({})));
    let wrong = patched(&own, &|user| user["phoneNumbers"][0]["value"] = "+1 9".into());
    assert_eq!(wrong, Err("phoneNumbers".to_owned()));
    for mode in [Mode::Replace, Mode::Modify] {
        assert_eq!(divide(&own, &merged(&own), mode), Ok(own.clone()), "{mode:?}");
    }
}

#[test]
fn nothing_of_a_repository_that_is_gone_becomes_ours() {
    let (shadow, resource_type) = (entry(), ResourceType::user(&[]));
    let own = object(json!({ "title": "Boss", "nickName": "Jo",
        "emails": [{ "value": "jo@home.example", "type": "home" }] }));
    let shown = merge(&resource_type, Owner::Gone, &shadow, &own);
    assert_eq!(shown["title"], "Boss");
    assert_eq!(shown["emails"].as_array().map(Vec::len), Some(2));
    let after = |change: Change<'_>, mode| {
        let mut wanted = Value::Object(shown.clone());
        change(&mut wanted);
        let division = Division {
            resource_type: &resource_type,
            owner: Owner::Gone,
            directory: &shadow,
            shadow: Some(&shadow),
            own: &own,
            mode,
            says_active: false,
            account: Account::Both,
        };
        division.own_after(&object(wanted)).map(Value::Object).map_err(|owned| owned.path)
    };
    for mode in [Mode::Replace, Mode::Modify] {
        assert_eq!(after(&|_| {}, mode), Ok(Value::Object(own.clone())), "{mode:?}");
        for (path, value) in [
            ("userName", json!("other")),
            ("externalId", json!("other")),
            (
                "phoneNumbers",
                json!([{ "value": "+1 1", "type": "work" }, { "value": "+1 9", "type": "mobile" }]),
            ),
        ] {
            let refused = after(&|user| user[path] = value.clone(), mode);
            assert_eq!(refused, Err(path.to_owned()), "{mode:?}");
        }
    }
    let mut expected = own.clone();
    expected.insert("nickName".into(), "Joe".into());
    let changed = after(&|user| user["nickName"] = "Joe".into(), Mode::Modify);
    assert_eq!(changed, Ok(Value::Object(expected)));
}

#[test]
fn active_is_both() {
    let off = patched(&json!({}), &|user| user["active"] = false.into());
    assert_eq!(off, Ok(json!({ "active": false })));
    let on = patched(&json!({ "active": false }), &|user| user["active"] = true.into());
    assert_eq!(on, Ok(json!({})));
    // A PUT that does not mention it leaves the lock where it is.
    assert_eq!(
        divide(&json!({ "active": false }), &json!({ "userName": "jdoe" }), Mode::Replace),
        Ok(json!({ "active": false }))
    );
    let mut locked = entry();
    locked.insert("active".into(), false.into());
    let own = Attributes::new();
    let resource_type = ResourceType::user(&[]);
    let division = |says_active| Division {
        resource_type: &resource_type,
        owner: Owner::Repository(&Mapped),
        directory: &locked,
        shadow: None,
        own: &own,
        mode: Mode::Modify,
        says_active,
        account: Account::Both,
    };
    let mut wanted = merge(&ResourceType::user(&[]), Owner::Repository(&Mapped), &locked, &own);
    assert_eq!(wanted["active"], false);
    assert_eq!(division(false).own_after(&wanted), Ok(Attributes::new()), "a repeat is no write");
    let ours = object(json!({ "active": false }));
    assert_eq!(division(true).own_after(&wanted), Ok(ours), "who says so disables");
    wanted.insert("active".into(), true.into());
    assert_eq!(division(true).own_after(&wanted), Err(Owned { path: "active".into() }));
}

#[test]
fn an_account_that_is_written_back_is_the_directorys_alone() {
    let resource_type = ResourceType::user(&[]);
    let (yes, no, held) = (json!(true), json!(false), json!("lockoutTime"));
    // Theirs, shown last, ours, the account; said on purpose or not, by PUT or PATCH, and what: what
    // becomes of the account, and whether our no stays.
    for (theirs, shown, ours, account, says, mode, wanted, after, stays) in [
        (true, true, None, &yes, true, Mode::Modify, Some(false), Some(false), false),
        (false, false, None, &no, true, Mode::Modify, Some(false), None, false),
        (false, false, None, &no, true, Mode::Modify, Some(true), Some(true), false),
        (false, false, None, &held, true, Mode::Modify, Some(false), Some(false), false),
        (false, false, None, &held, true, Mode::Modify, Some(true), Some(true), false),
        (false, false, None, &held, false, Mode::Modify, Some(false), None, false),
        (false, false, None, &no, true, Mode::Modify, None, Some(true), false),
        (true, true, Some(false), &yes, true, Mode::Modify, Some(true), None, false),
        (true, true, Some(false), &yes, true, Mode::Modify, Some(false), Some(false), false),
        (true, true, Some(false), &yes, false, Mode::Modify, Some(false), None, true),
        (true, true, Some(false), &yes, false, Mode::Replace, None, None, true),
        (false, true, None, &no, false, Mode::Replace, Some(true), None, false),
        (false, false, None, &no, false, Mode::Replace, Some(true), Some(true), false),
        (true, false, None, &yes, false, Mode::Replace, Some(false), Some(false), false),
        (false, false, None, &no, false, Mode::Replace, Some(false), None, false),
    ] {
        let of = |value: Option<bool>| -> Attributes {
            value.map(|value| ("active".to_owned(), Value::Bool(value))).into_iter().collect()
        };
        let (directory, shadow, own) = (of(Some(theirs)), of(Some(shown)), of(ours));
        let division = Division {
            resource_type: &resource_type,
            owner: Owner::Repository(&Mapped),
            directory: &directory,
            shadow: Some(&shadow),
            own: &own,
            mode,
            says_active: says,
            account: Account::Theirs(Some(account)),
        };
        let wanted = of(wanted);
        let planned = division.theirs_after(&wanted);
        let told = format!("{theirs} {shown} {ours:?} {account} {says} {mode:?} {wanted:?}");
        assert_eq!(planned.as_ref().map(|one| one.account), after.map(Some), "{told}");
        assert_eq!(planned.map(|one| one.values), after.map(|open| of(Some(open))), "{told}");
        let expected = if stays { own.clone() } else { Attributes::new() };
        assert_eq!(division.own_after(&wanted), Ok(expected), "{told}");
    }
    // Of an entry that was not read, only that it is open is believed.
    for (shown, wanted, after) in
        [(true, true, None), (true, false, Some(false)), (false, false, Some(false))]
    {
        let directory: Attributes = [("active".to_owned(), json!(shown))].into_iter().collect();
        let division = Division {
            resource_type: &resource_type,
            owner: Owner::Repository(&Mapped),
            directory: &directory,
            shadow: Some(&directory),
            own: &Attributes::new(),
            mode: Mode::Modify,
            says_active: true,
            account: Account::Theirs(None),
        };
        let wanted = [("active".to_owned(), json!(wanted))].into_iter().collect();
        let planned = division.theirs_after(&wanted).map(|one| one.account);
        assert_eq!(planned, after.map(Some), "{shown}");
    }
}

#[test]
fn passwords_and_computed_values_are_never_ours() {
    let wanted = json!({
        "userName": "jdoe", "password": "secret", "id": "x", "meta": {}, "userType": "FTRESS"
    });
    assert_eq!(divide(&json!({}), &wanted, Mode::Replace), Ok(json!({})));
}

#[test]
fn what_is_written_back_is_the_directorys_and_changed_there() {
    let mut theirs = entry();
    theirs.insert("preferredLanguage".to_owned(), json!("en"));
    let mut shown = theirs.clone();
    shown.insert("preferredLanguage".to_owned(), json!("fr"));
    let nothing = Attributes::new();
    let written = |change: &dyn Fn(&mut Value), mode| {
        let division = Division {
            resource_type: &ResourceType::user(&[]),
            owner: Owner::Repository(&Mapped),
            directory: &theirs,
            shadow: Some(&shown),
            own: &nothing,
            mode,
            says_active: false,
            account: Account::Both,
        };
        let mut wanted = Value::Object(theirs.clone());
        change(&mut wanted);
        let wanted = object(wanted);
        let own = division.own_after(&wanted).map_err(|owned| owned.path).unwrap();
        assert_eq!(own.get("preferredLanguage"), None);
        division.theirs_after(&wanted).map(|theirs| Value::Object(theirs.values))
    };
    for mode in [Mode::Replace, Mode::Modify] {
        assert_eq!(written(&|_| {}, mode), None, "a repeat");
        assert_eq!(written(&|user| user["preferredLanguage"] = json!("EN"), mode), None);
        let after = written(&|user| user["preferredLanguage"] = json!("de"), mode).unwrap();
        assert_eq!(after["preferredLanguage"], "de");
        assert_eq!(after["userName"], theirs["userName"]);
        let after = written(&|user| user["name"]["honorificPrefix"] = json!("Dr"), mode).unwrap();
        assert_eq!(after["name"]["honorificPrefix"], "Dr");
        assert_eq!(after["name"]["familyName"], theirs["name"]["familyName"]);
        let pager = json!({ "type": "pager", "value": "7" });
        let add = |user: &mut Value| {
            user["phoneNumbers"].as_array_mut().unwrap().push(pager.clone());
        };
        let after = written(&add, mode).unwrap();
        let before = theirs["phoneNumbers"].as_array().unwrap().len();
        assert_eq!(after["phoneNumbers"].as_array().unwrap().len(), before + 1);
        assert_eq!(after["phoneNumbers"][before], pager);
    }
    let remove = |user: &mut Value| drop(user.as_object_mut().unwrap().remove("preferredLanguage"));
    assert_eq!(written(&remove, Mode::Replace), None, "what a PUT leaves out is no write");
    let after = written(&remove, Mode::Modify).unwrap();
    assert_eq!(after.get("preferredLanguage"), None);
    let stale = |user: &mut Value| user["preferredLanguage"] = json!("fr");
    assert_eq!(written(&stale, Mode::Replace), None, "handed back as it was shown");
    assert!(written(&stale, Mode::Modify).is_some(), "a PATCH means what it says");
}
