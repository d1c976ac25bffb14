//! "Manage Users in a SCIM Federated Repository": what Microsoft's provisioning sends about users that
//! there are.

use serde_json::json;

use super::{id, john, tenant};
use crate::support::bridge::{Settings, TestBridge};

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
