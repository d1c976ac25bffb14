//! What messages look like: lists, media types, status codes, versions, errors, what the api-version
//! changes.

use serde_json::json;

use super::{external_ids, found, listed, over, user};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::company;
use crate::support::slapd::Slapd;

const JSON_SCIM: Option<&str> = Some("application/json+scim");
const EXTENSIONS: [&str; 3] = [
    "urn:hid:scim:api:idp:2.0:UserAttribute",
    "urn:hid:scim:api:idp:2.0:UserDevice",
    "urn:hid:scim:api:idp:2.0:UserAuthenticator",
];

#[test]
fn a_person_without_a_row_is_zero_and_a_list_with_one_has_no_total() {
    let bridge = TestBridge::start(&over(Slapd::shared()));
    let mut client = bridge.client();
    let person = company::person(42);
    let filter = format!("externalid eq {}", person.uid);
    let parameters = [("filter", &*filter), ("searchRepositories", "true")];
    for round in 0..3 {
        let answer = client.query("/Users", &parameters);
        assert_eq!(answer.header("content-type"), JSON_SCIM);
        let list = answer.expect(200);
        assert_eq!(list.get("totalResults"), None, "round {round}");
        assert_eq!(list["itemsPerPage"], 1);
        let users = listed(&list);
        assert_eq!(users[0]["id"], "0");
        assert_eq!(users[0]["externalId"], person.uid);
        assert_eq!(users[0]["userType"], "LDAP");
        assert_eq!(users[0]["meta"]["version"], "1");
        let location = users[0]["meta"]["location"].as_str().unwrap();
        assert!(location.ends_with("/scim/acme/v2/Users/0"), "{location}");
        assert!(users[0].get(EXTENSIONS[0]).is_some());
        assert_eq!((users[0].get(EXTENSIONS[1]), users[0].get("roles")), (None, None));
    }
    // As soon as everybody has a row there is a total.
    let local = user(&mut client, "visitor", "Doe");
    let list = client
        .query("/Users", &[("filter", "externalId eq visitor"), ("searchRepositories", "true")])
        .expect(200);
    assert_eq!((&list["totalResults"], &listed(&list)[0]["id"]), (&json!(1), &local["id"]));
    // A list that an unbound person is in, if only on another page, has none.
    let one = [("count", "1"), ("searchRepositories", "true")];
    let list = client.query("/Users", &[&one[..], &[("filter", "userName pr")]].concat());
    assert_eq!(list.expect(200).get("totalResults"), None);
}

#[test]
fn what_is_created_is_shown_whole_with_200_and_its_location() {
    let bridge = TestBridge::start(&Settings::local().tenant("dialect = \"activid\""));
    let mut client = bridge.client();
    let body = json!({ "userName": "jdoe", "externalId": "jdoe", "name": { "givenName": "John", "familyName": "Doe" } });
    let sent = [("Content-Type", "application/json+scim"), ("Accept", "application/scim+json")];
    let answer = client.send("POST", "/Users/", &sent, body.to_string().as_bytes());
    assert_eq!(answer.header("content-type"), JSON_SCIM);
    let location = answer.header("location").unwrap().to_owned();
    let created = answer.expect(200);
    let id = created["id"].as_str().unwrap();
    assert!(id.parse::<u64>().is_ok(), "{id}");
    assert_eq!(created["meta"]["location"], location);
    assert!(location.ends_with(&format!("/Users/{id}")), "{location}");
    assert_eq!(created["meta"]["version"], "1");
    assert_eq!((&created["roles"], &created["groups"]), (&json!([]), &json!([])));
    for urn in EXTENSIONS {
        assert!(created.get(urn).is_some(), "{urn}");
    }
    assert_eq!(created["userType"], "FTRESS");
    let patch = json!({ "Operations": [{ "op": "Replace", "path": "title", "value": "Dr." }] });
    let patched = client.patch(&format!("/Users/{id}"), &patch).expect(200);
    assert_eq!(patched["meta"]["version"], "2");
    let tag = client.get(&format!("/Users/{id}"));
    assert!(tag.header("etag").unwrap().starts_with("W/\"2"), "{:?}", tag.header("etag"));
    let stale = [("If-Match", "W/\"1\"")];
    let refused = client.send("DELETE", &format!("/Users/{id}"), &stale, b"").expect(412);
    assert_eq!((&refused["status"], &refused["errorCode"]), (&json!("412"), &json!(412)));
    client.send("DELETE", &format!("/Users/{id}"), &[("If-Match", "\"2\"")], b"").expect(204);
    let gone = client.get(&format!("/Users/{id}"));
    assert_eq!(gone.header("content-type"), JSON_SCIM);
    assert_eq!(gone.expect(404)["errorCode"], 404);
    let stranger = bridge.stranger().get("/scim/acme/v2/Users");
    assert_eq!(stranger.header("content-type"), JSON_SCIM, "also before anybody is known");
    assert_eq!(stranger.expect(401)["errorCode"], 401);
}

#[test]
fn pages_and_kinds_of_users_have_rules_of_their_own() {
    let bridge = TestBridge::start(&over(Slapd::shared()));
    let mut client = bridge.client();
    for name in ["a", "b", "c"] {
        user(&mut client, name, "Doe");
    }
    let mut ask = |parameters: &[(&str, &str)]| client.query("/Users", parameters);
    let refused = ask(&[("searchRepositories", "true"), ("startIndex", "1")]).expect(400);
    assert_eq!(
        (&refused["scimType"], &refused["errorCode"]),
        (&json!("invalidValue"), &json!(1009))
    );
    let refused = ask(&[("filter", "userType eq FTRESS")]).expect(400);
    assert_eq!(
        (&refused["scimType"], &refused["errorCode"]),
        (&json!("invalidFilter"), &json!(1006))
    );
    let list = ask(&[
        ("filter", "usertype eq FTRESS"),
        ("searchRepositories", "true"),
        ("startIndex", "0"),
    ]);
    assert_eq!(external_ids(&list.expect(200)), ["a", "b", "c"]);
    let first = ask(&[("count", "2"), ("startIndex", "0")]).expect(200);
    assert_eq!(first, ask(&[("count", "2"), ("startIndex", "1")]).expect(200), "0 is 1");
    assert_eq!((&first["totalResults"], &first["startIndex"]), (&json!(3), &json!(1)));
    let second = ask(&[("count", "2"), ("startIndex", "3")]).expect(200);
    assert_eq!(listed(&second).len(), 1);
    let many = ask(&[("count", "500"), ("searchRepositories", "true"), ("filter", "userName pr")]);
    assert_eq!(listed(&many.expect(200)).len(), 100, "the most that one answer holds");
    let both = [("attributes", "userName"), ("excludedAttributes", "roles")];
    assert_eq!(ask(&both).expect(400)["scimType"], "invalidValue");
}

#[test]
fn sorting_begins_with_version_seven() {
    let bridge = TestBridge::start(&Settings::local().tenant("dialect = \"activid\""));
    let mut client = bridge.client();
    for name in ["b", "c", "a"] {
        user(&mut client, name, "Doe");
    }
    let mut order = |version: &str, sort_by: &str| {
        let sorted = [("sortBy", sort_by), ("sortOrder", "descending"), ("api-version", version)];
        let list = client.query("/Users", &sorted);
        let text = |user: &serde_json::Value| user["userName"].as_str().unwrap().to_owned();
        if list.status == 200 {
            Ok(listed(&list.json()).iter().map(text).collect::<Vec<_>>())
        } else {
            Err(list.status)
        }
    };
    let usual = Ok(["a", "b", "c"].map(str::to_owned).to_vec());
    let reverse = Ok(["c", "b", "a"].map(str::to_owned).to_vec());
    assert_eq!(order("7", "userName"), reverse);
    assert_eq!(order("10.3", "userName"), reverse);
    for version in ["6", "3.0", "", "x"] {
        assert_eq!(order(version, "userName"), usual, "{version:?}");
        assert_eq!(order(version, "nonsense"), usual, "passed over, never refused");
    }
    assert_eq!(order("7", "nonsense"), Err(400));
}

#[test]
fn a_tenant_decides_over_the_dialect() {
    let lines = "dialect = \"activid\"\nwildcards = false\nunquoted_values = false\n\
                 prefer_attributes = true";
    let bridge = TestBridge::start(&Settings::local().tenant(lines));
    let mut client = bridge.client();
    user(&mut client, "a*b", "Doe");
    user(&mut client, "axb", "Doe");
    let list = client.query("/Users", &[("filter", "userName eq \"a*b\"")]).expect(200);
    assert_eq!(external_ids(&list), ["a*b"]);
    let refused = client.query("/Users", &[("filter", "userName eq axb")]).expect(400);
    assert_eq!(refused["scimType"], "invalidFilter");
    let both = [("attributes", "externalId"), ("excludedAttributes", "externalId")];
    let list = client.query("/Users", &both).expect(200);
    assert_eq!(external_ids(&list), ["a*b", "axb"], "attributes wins");
    assert!(found(&mut client, "axb").len() == 1);
}

#[test]
fn discovery_speaks_the_dialect() {
    let bridge = TestBridge::start(&Settings::local().tenant("dialect = \"activid\""));
    let mut stranger = bridge.stranger();
    let list = stranger.get("/scim/acme/v2/ResourceTypes");
    assert_eq!(list.header("content-type"), JSON_SCIM);
    let list = list.expect(200);
    assert!(listed(&list).iter().any(|kind| kind["id"] == "User"));
    let sort = |config: serde_json::Value| config["sort"]["supported"].clone();
    let config = |stranger: &mut crate::support::client::Client, version: &str| {
        let path = format!("/scim/acme/v2/ServiceProviderConfig?api-version={version}");
        sort(stranger.get(&path).expect(200))
    };
    assert_eq!(config(&mut stranger, "7"), json!(true));
    assert_eq!(config(&mut stranger, "6"), json!(false));
}
