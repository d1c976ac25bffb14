//! "Forget a User".

use serde_json::json;

use super::{id, john, tenant};
use crate::support::bridge::{Settings, TestBridge};

/// The document names no answer: there is nothing to show, so that it is 204.
#[test]
fn sample_request() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let request = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "externalId": "myuser",
    });
    let mut user = john("USG_FTEMP");
    user["externalId"] = json!("myuser");
    let path = format!("/Users/{}", id(&client.post("/Users", &user).expect(200)));
    // "You must delete the user before calling forgetUser."
    let refused = client.post("/Users/.forget", &request).expect(409);
    assert_eq!(refused["errorCode"], 409);
    assert_eq!(client.delete(&path).status, 204);
    // The anonymization tokens: the trail names persons by nothing else.
    let tokens = |bridge: &TestBridge| {
        bridge.query(
            "SELECT event FROM audit WHERE event LIKE '%User' AND token IN (SELECT token FROM audit_persons)",
        )
    };
    assert_eq!(tokens(&bridge), ["createUser", "deleteUser"]);
    let accept = [("Accept", "application/scim+json")];
    let answer = client.send("POST", "/Users/.forget", &accept, request.to_string().as_bytes());
    assert_eq!((answer.status, answer.text().as_str()), (204, ""));
    assert_eq!(tokens(&bridge), [""; 0]);
    let events = bridge.query("SELECT event FROM audit WHERE event LIKE '%User' ORDER BY key");
    assert_eq!(events, ["createUser", "deleteUser", "forgetUser"], "the trail itself stays whole");
    assert_eq!(client.post("/Users/.forget", &request).status, 404, "nobody is left");
}

/// "Only externalId can be used": other parameters are not.
#[test]
fn other_parameters_do_not_count() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let stays = client.post("/Users", &john("USG_FTEMP")).expect(200);
    let mut user = john("USG_FTEMP");
    user["externalId"] = json!("myuser");
    let path = format!("/Users/{}", id(&client.post("/Users", &user).expect(200)));
    assert_eq!(client.delete(&path).status, 204);
    let by_name = json!({ "userName": "myuser" });
    assert_eq!(client.post("/Users/.forget", &by_name).expect(400)["scimType"], "invalidValue");
    let mut request = stays.clone();
    request["externalId"] = json!("myuser");
    assert_eq!(client.post("/Users/.forget", &request).status, 204);
    assert_eq!(client.get(&format!("/Users/{}", id(&stays))).expect(200), stays);
}
