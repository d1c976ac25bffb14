//! What the samples refer to by `$ref`, and the document does not describe: groups, roles,
//! authenticators and devices, as the pages beside it have them.

use serde_json::{Value, json};

use super::sample::{SERVER, WHEN, compare, ours, without};
use super::{AUTHENTICATOR, DEVICE, authenticator, device, id, john, tenant};
use crate::support::bridge::{BASE, Settings, TestBridge};

const META: &str = "a resource that there is";
const UTC: &str = "the same instant, as every answer has them";

fn meta(kind: &str, path: &str) -> Value {
    json!({ "resourceType": kind, "created": WHEN, "lastModified": WHEN,
        "location": format!("{SERVER}{path}"), "version": "1" })
}

/// Every `$ref` of a user leads to the resource whose `value` stands beside it.
#[test]
fn every_reference_leads_somewhere() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let user = id(&client.post("/Users", &john("USG_FTEMP")).expect(200));
    authenticator(&mut client, &user, "AT_EMPSMS");
    device(&mut client, &user, None);
    let shown = client.get(&format!("/Users/{user}")).expect(200);
    for element in [
        &shown["groups"][0],
        &shown[AUTHENTICATOR]["authenticators"][0],
        &shown[DEVICE]["devices"][0],
    ] {
        let (_, path) = element["$ref"].as_str().unwrap().split_once(BASE).unwrap();
        let there = client.get(path).expect(200);
        assert_eq!(there["id"], element["value"], "{path}");
        if path.starts_with("/Groups") {
            assert_eq!(there["displayName"], element["display"]);
        } else {
            assert_eq!(there["owner"]["value"], user, "{path}");
        }
    }
}

#[test]
fn a_group_is_created_beneath_another_and_listed() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let above = json!({ "externalId": "UT_CUST", "displayName": "Customers User Type" });
    client.post("/Groups", &above).expect(200);
    let parent = "urn:hid:scim:api:idp:2.0:GroupParent";
    let request = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group", parent],
        "externalId": "USG_CUST3",
        "displayName": "My Test Group",
        "description": "Description for my test group",
        (parent): { "parent": { "display": "Customers User Type", "value": "UT_CUST" } },
    });
    let shown = client.post("/Groups/", &request).expect(200);
    let details = "urn:scimbridge:schemas:2.0:Group";
    let own = "RFC 7643 section 4.2 has no description: it is in an extension of its own";
    compare(
        &request,
        &shown,
        &[],
        &[
            ours("/id", "USG_CUST3", "a group's code is its id, as in the samples"),
            ours("/meta", meta("Group", "/Groups/USG_CUST3"), META),
            ours("/members", json!([]), "a group is shown with its members"),
            ours(
                "/urn:hid:scim:api:idp:2.0:GroupParent/parent/$ref",
                format!("{SERVER}/Groups/UT_CUST"),
                "as every reference has one",
            ),
            without("/description", own),
            ours("/schemas/urn:scimbridge:schemas:2.0:Group", details, own),
            ours(
                "/urn:scimbridge:schemas:2.0:Group",
                json!({ "description": "Description for my test group" }),
                own,
            ),
        ],
    );
    let list = client.query("/Groups", &[("filter", "displayName eq \"My Test Group\"")]);
    assert_eq!(list.expect(200)["resources"], json!([shown]));
    // "Only subgroups of the group appear in members"
    let mut user = john("UT_CUST");
    user["externalId"] = json!("member");
    client.post("/Users", &user).expect(200);
    let above = client.get("/Groups/UT_CUST").expect(200);
    assert_eq!(above["members"][0]["value"], "USG_CUST3");
    assert_eq!(above["members"].as_array().map(Vec::len), Some(1));
}

#[test]
fn roles_are_listed_and_searched() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let role = |code: &str, name: &str| {
        json!({
            "schemas": ["urn:hid:scim:api:idp:2.0:Role"],
            "id": code,
            "meta": {
                "resourceType": "Role",
                "location": format!("https://[base-server-url]/scim/tenant/v2/Policy/Roles/{code}"),
                "version": "1" },
            "name": name,
        })
    };
    let response = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": 13,
        "resources": [role("RL_AUDITV", "Audit Viewer"), role("RL_CFGMGR", "Configuration Manager")],
    });
    let shown = client.query("/Roles", &[("filter", "id ne RL_CONFIG")]).expect(200);
    let (policy, rank) =
        ("the page's own methods are at /Roles/{uid}", "how much a role may is ours");
    compare(
        &response,
        &shown,
        &[],
        &[
            ours("/totalResults", 2, "there are no more here"),
            ours("/startIndex", 1, "as in the samples of users"),
            ours("/itemsPerPage", 2, "as in the samples of users"),
            ours("/resources/Audit Viewer/meta", meta("Role", "/Roles/RL_AUDITV"), policy),
            ours("/resources/Configuration Manager/meta", meta("Role", "/Roles/RL_CFGMGR"), policy),
            ours("/resources/Audit Viewer/rank", 0, rank),
            ours("/resources/Configuration Manager/rank", 0, rank),
        ],
    );
    let found = client.post("/Roles/.search", &json!({ "filter": "name eq \"audit viewer\"" }));
    assert_eq!(found.expect(200)["resources"][0]["id"], "RL_AUDITV");
}

#[test]
fn an_authenticator_with_all_that_its_page_has() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let user = id(&client.post("/Users", &john("USG_FTEMP")).expect(200));
    let password = "urn:hid:scim:api:idp:2.0:Password";
    let mut request = json!({
        "schemas": ["urn:hid:scim:api:idp:2.0:Authenticator"],
        "policy": { "value": "AT_EMPPWD" },
        "status": { "status": "ENABLED", "expiryDate": "2040-05-15T18:15:21+00:00",
            "startDate": "2015-05-15T18:15:21+00:00" },
        "owner": { "value": user },
        (password): { "username": "jdoe", "password": "correct horse battery staple" },
    });
    let shown = client.post("/Authenticator", &request).expect(200);
    request["owner"]["value"] = json!("10033");
    let secret = "nobody is shown a password";
    compare(
        &request,
        &shown,
        &[(&user, "10033")],
        &[
            ours("/id", "10033.AT_EMPPWD", "the user and the policy, as the page says"),
            ours("/meta", meta("Authenticator", "/Authenticator/10033.AT_EMPPWD"), META),
            ours("/status/active", true, "follows from the status"),
            ours("/status/expiryDate", "2040-05-15T18:15:21Z", UTC),
            ours("/status/startDate", "2015-05-15T18:15:21Z", UTC),
            ours("/owner/display", "jdoe", "who that is"),
            ours("/owner/$ref", format!("{SERVER}/Users/10033"), "and where"),
            ours(
                "/schemas/urn:hid:scim:api:idp:2.0:Password",
                password,
                "RFC 7643 section 3: an extension that is there",
            ),
            ours("/urn:hid:scim:api:idp:2.0:Password", json!({ "username": "jdoe" }), secret),
        ],
    );
    let found = client
        .post("/Authenticator/.search", &json!({ "filter": format!("owner.value eq {user}") }));
    assert_eq!(found.expect(200)["resources"], json!([shown]));
}

#[test]
fn a_device_with_all_that_its_page_has() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let request = json!({
        "schemas": ["urn:hid:scim:api:idp:2.0:Device"],
        "externalId": "myExternalId",
        "type": "DTC_TD898a",
        "status": { "status": "PENDING", "expiryDate": "2039-06-12T14:46:58+02:00",
            "startDate": "2017-06-12T14:46:58+02:00" },
    });
    let shown = client.post("/Device/", &request).expect(200);
    compare(
        &request,
        &shown,
        &[(&id(&shown), "9674")],
        &[
            ours("/id", "9674", "a device of its own"),
            ours("/meta", meta("Device", "/Device/9674"), META),
            ours("/status/active", false, "follows from the status"),
            ours("/status/expiryDate", "2039-06-12T12:46:58Z", UTC),
            ours("/status/startDate", "2017-06-12T12:46:58Z", UTC),
        ],
    );
    // The same page's way to give it to a user.
    let user = id(&client.post("/Users", &john("USG_FTEMP")).expect(200));
    let assign = json!({ "schemas": request["schemas"], "id": id(&shown), "owner": { "display": "jdoe" },
        "status": { "status": "ACTIVE", "active": true, "expiryDate": "2045-11-30T11:54:31+0100",
            "startDate": "2020-11-30T11:54:31+0100" } });
    let assigned = client.put(&format!("/Device/{}", id(&shown)), &assign).expect(200);
    assert_eq!(
        (&assigned["owner"]["value"], &assigned["status"]["status"]),
        (&json!(user), &json!("ACTIVE"))
    );
    for filter in [
        "externalId eq myExternalId".to_owned(),
        "externalId sw my".to_owned(),
        "type eq DTC_TD898a".to_owned(),
        "status.status eq ACTIVE".to_owned(),
        "status.expiryDate gt 2045-01-01T00:00:00Z".to_owned(),
        format!("owner.value eq {user}"),
    ] {
        let list = client.post("/Device/.search", &json!({ "filter": filter })).expect(200);
        assert_eq!(list["resources"], json!([assigned]), "{filter}");
    }
}
