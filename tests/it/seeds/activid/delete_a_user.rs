//! "Delete a User".

use serde_json::json;

use super::{id, john, tenant};
use crate::support::bridge::{Settings, TestBridge};

#[test]
fn a_user_goes_with_what_the_user_had() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let user = id(&client.post("/Users", &john("USG_FTEMP")).expect(200));
    super::authenticator(&mut client, &user, "AT_EMPSMS");
    let device = super::device(&mut client, &user, None);
    let accept = [("Accept", "application/scim+json")];
    assert_eq!(client.send("DELETE", &format!("/Users/{user}"), &accept, b"").status, 204);
    let gone = client.get(&format!("/Users/{user}")).expect(404);
    assert_eq!((&gone["status"], &gone["errorCode"]), (&"404".into(), &404.into()));
    assert_eq!(client.get(&format!("/Authenticator/{user}.AT_EMPSMS")).status, 404);
    assert_eq!(client.get(&format!("/Device/{device}")).expect(200).get("owner"), None);
}

/// "All the delete endpoints follow the same standard pattern".
#[test]
fn what_users_have_is_deleted_in_the_same_way() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let user = id(&client.post("/Users", &john("USG_FTEMP")).expect(200));
    super::authenticator(&mut client, &user, "AT_EMPSMS");
    let device = super::device(&mut client, &user, None);
    let group = json!({ "externalId": "USG_CUST3", "displayName": "My Test Group" });
    client.post("/Groups", &group).expect(200);
    client.post("/Roles", &json!({ "externalId": "RL_HELP", "name": "Help Desk" })).expect(200);
    for path in [
        format!("/Authenticator/{user}.AT_EMPSMS"),
        format!("/Device/{device}"),
        "/Groups/USG_CUST3".to_owned(),
        "/Roles/RL_HELP".to_owned(),
        format!("/Users/{user}"),
    ] {
        assert_eq!(client.delete(&path).status, 204, "{path}");
        assert_eq!((client.get(&path).status, client.delete(&path).status), (404, 404), "{path}");
    }
}
