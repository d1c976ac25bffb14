//! "Manage Users in a SCIM Federated Repository": what Microsoft's provisioning sends.

use serde_json::json;

use super::sample::{SERVER, WHEN, compare, ours};
use super::{ATTRIBUTE, AUTHENTICATOR, DEVICE, id, john, tenant};
use crate::support::bridge::{Settings, TestBridge};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const AGENT: &str = "token-of-the-agent";

/// With an agent that provisions. "Required permissions" are those of users and groups together.
fn provisioned() -> Settings {
    tenant(Settings::local())
        .token("agent", AGENT, &["scim:provision"])
        .token_line("client = \"entra\"\ncreates = \"SCIM_FED\"\nrepository = \"entra\"")
        .rest("[[tenant.repository]]\nid = \"entra\"\nkind = \"scim_fed\"\ngroup = \"USG_FTEMP\"")
}

/// "Create Users": the document shows no answer, so that ours stands beside the request.
#[test]
fn create_users_sample_request() {
    let bridge = TestBridge::start(&provisioned());
    let mut client = bridge.client_as(AGENT);
    let request = json!({
        "userType": "SCIM_FED",
        "active": true,
        "externalId": "toto1000",
        "name": { "familyName": "smith", "givenName": "john" },
        "phoneNumbers": [{ "type": "work", "value": "0123456789" }],
        "addresses": [{ "type": "work", "formatted": "5555555555" }],
    });
    let shown = client.post("/Users", &request).expect(200);
    let user = id(&shown);
    let usual = "as in \"Get a User\"";
    let mirrored = |name: &str, value: &str| json!({ "name": name, "type": "string", "value": value, "readOnly": false });
    compare(
        &request,
        &shown,
        &[(&user, "10222")],
        &[
            ours("/schemas", json!([USER, DEVICE, ATTRIBUTE, AUTHENTICATOR]), usual),
            ours("/id", "10222", "a user of its own"),
            ours(
                "/meta",
                json!({ "resourceType": "User", "created": WHEN, "lastModified": WHEN,
                    "location": format!("{SERVER}/Users/10222"), "version": "1" }),
                usual,
            ),
            ours("/userName", "toto1000", "readOnly, and the externalId"),
            ours("/displayName", "john smith", "readOnly, and the name"),
            ours(
                "/groups",
                json!([{ "type": "Group", "display": "Full Time Employees", "value": "USG_FTEMP",
                    "$ref": format!("{SERVER}/Groups/USG_FTEMP") }]),
                "the request has none: it is the group of the agent's repository",
            ),
            ours("/roles", json!([]), usual),
            ours(
                "/urn:hid:scim:api:idp:2.0:UserAttribute",
                json!({ "attributes": [
                    mirrored("LASTNAME", "smith"), mirrored("FIRSTNAME", "john"),
                    mirrored("ATR_MOBILE", "0123456789"), mirrored("ADDRESS1", "5555555555")] }),
                usual,
            ),
            ours(
                "/urn:hid:scim:api:idp:2.0:UserAuthenticator",
                json!({ "authenticators": [] }),
                usual,
            ),
            ours("/urn:hid:scim:api:idp:2.0:UserDevice", json!({ "devices": [] }), usual),
        ],
    );
    // As "Search for Users" has it: who was provisioned through this repository.
    let list = client.query("/Users", &[("filter", "userRepositoryID eq entra")]).expect(200);
    assert_eq!(list["resources"][0]["id"], user);
    // To everybody else `userType` is readOnly, and this value is refused.
    let refused = bridge.client().post("/Users", &request).expect(400);
    assert_eq!(
        (&refused["scimType"], &refused["errorCode"]),
        (&json!("invalidValue"), &json!(1009))
    );
    assert!(refused["detail"].as_str().unwrap().contains("userType"), "{refused}");
}

/// The agent deletes whom it made: disabled first, and thirty days later for good.
#[test]
fn delete_users() {
    let bridge = TestBridge::start(&provisioned());
    let mut client = bridge.client_as(AGENT);
    let body = json!({ "userType": "SCIM_FED", "externalId": "toto1000" });
    let path = format!("/Users/{}", id(&client.post("/Users", &body).expect(200)));
    let disable =
        json!({ "Operations": [{ "op": "Replace", "path": "active", "value": "false" }] });
    let disabled = client.patch(&path, &disable).expect(200);
    assert_eq!((&disabled["active"], &disabled["userType"]), (&json!(false), &json!("SCIM_FED")));
    assert_eq!(client.get(&path).expect(200), disabled);
    assert_eq!(client.delete(&path).status, 204);
    assert_eq!(client.get(&path).status, 404);
}

/// "Patch Users": without `schemas`, the operation capitalised, the boolean a string.
#[test]
fn patch_users_sample_request() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let path = format!("/Users/{}", id(&client.post("/Users", &john("USG_FTEMP")).expect(200)));
    let request = |value: &str| json!({ "Operations": [{ "op": "Replace", "path": "active", "value": value }] });
    assert_eq!(client.patch(&path, &request("false")).expect(200)["active"], false);
    // "Delete Users": a soft deletion is that patch, the user is still found and read.
    assert_eq!(client.get(&path).expect(200)["active"], false);
    let list = client.query("/Users", &[("filter", "externalId eq jdoe")]).expect(200);
    assert_eq!(list["totalResults"], 1);
    assert_eq!(client.patch(&path, &request("true")).expect(200)["active"], true);
    // After 30 days the user is deleted.
    assert_eq!(client.delete(&path).status, 204);
    let list = client.query("/Users", &[("filter", "externalId eq jdoe")]).expect(200);
    assert_eq!(
        (list["totalResults"].as_u64(), list["resources"].as_array().unwrap().len()),
        (Some(0), 0)
    );
}
