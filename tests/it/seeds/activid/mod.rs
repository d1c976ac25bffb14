//! The ActivID Appliance's "Users REST API", section by section and in its order: each sample request
//! is sent, and each sample answer stands beside ours, with every deviation and its reason.
//!
//! | section of the document | here |
//! |---|---|
//! | Users REST API, Method Details | [`users_rest_api`] |
//! | Required Permissions | [`required_permissions`] |
//! | Create a User | [`create_a_user`] |
//! | Get a User | [`get_a_user`] |
//! | Replace a User | [`replace_a_user`] |
//! | Search for Users: the samples | [`search_for_users`] |
//! | Search for Users: criteria, pages, sorting | [`search_criteria`] |
//! | Search for Users: `userType`, `searchRepositories`, `userRepositoryID`; binding | [`bound_users`] |
//! | Delete a User | [`delete_a_user`] |
//! | Forget a User | [`forget_a_user`] |
//! | Import Users | [`import_users`] |
//! | Get Import Status | [`get_import_status`] |
//! | Manage Users in a SCIM Federated Repository: Create, Patch, Delete Users | [`federated`] |
//! | what the samples refer to by `$ref` | [`references`] |

mod bound_users;
mod create_a_user;
mod delete_a_user;
mod federated;
mod forget_a_user;
mod get_a_user;
mod get_import_status;
mod import_users;
mod references;
mod replace_a_user;
mod required_permissions;
mod sample;
mod search_criteria;
mod search_for_users;
mod users_rest_api;

use serde_json::{Value, json};

use crate::support::bridge::Settings;
use crate::support::client::Client;

const ATTRIBUTE: &str = "urn:hid:scim:api:idp:2.0:UserAttribute";
const AUTHENTICATOR: &str = "urn:hid:scim:api:idp:2.0:UserAuthenticator";
const DEVICE: &str = "urn:hid:scim:api:idp:2.0:UserDevice";

/// The groups, roles and policies of the document.
const CONFIGURED: &str = r#"
[[tenant.group]]
id = "USG_CUST2"
display = "Business Online Banking"
[[tenant.group]]
id = "USG_FTEMP"
display = "Full Time Employees"
[[tenant.group]]
id = "FTADMIN"
display = "ActivID Administrators"
[[tenant.role]]
id = "RL_AUDITV"
display = "Audit Viewer"
[[tenant.role]]
id = "RL_CFGMGR"
display = "Configuration Manager"
[[tenant.role]]
id = "RL_CONFIG"
display = "Configuration"
[[tenant.authenticator_policy]]
id = "AT_EMPSMS"
type = "otp"
[[tenant.authenticator_policy]]
id = "AT_CUSTSMS"
type = "otp"
[[tenant.authenticator_policy]]
id = "OP_ATCODE"
type = "otp"
[[tenant.authenticator_policy]]
id = "AT_EMPPWD"
type = "login"
"#;

/// A tenant like the document's.
fn tenant(settings: Settings) -> Settings {
    settings.tenant("dialect = \"activid\"").rest(CONFIGURED)
}

/// The first user of the document.
fn john(group: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "externalId": "jdoe",
        "name": { "familyName": "Doe", "givenName": "John" },
        "groups": [{ "value": group }],
    })
}

fn id(resource: &Value) -> String {
    resource["id"].as_str().expect("a resource has an id").to_owned()
}

/// The users of a list, as they are called outside.
fn external_ids(list: &Value) -> Vec<String> {
    let users = list["resources"].as_array().expect("a list has resources").iter();
    users.map(|user| user["externalId"].as_str().expect("an externalId").to_owned()).collect()
}

/// Gives a user an authenticator of a policy.
fn authenticator(client: &mut Client, user: &str, policy: &str) {
    let body = json!({
        "schemas": ["urn:hid:scim:api:idp:2.0:Authenticator"],
        "policy": { "value": policy },
        "owner": { "value": user },
    });
    client.post("/Authenticator", &body).expect(200);
}

/// Gives a user a device, and tells its id.
fn device(client: &mut Client, user: &str, friendly_name: Option<&str>) -> String {
    let body = json!({
        "schemas": ["urn:hid:scim:api:idp:2.0:Device"],
        "type": "DTC_TD898a",
        "friendlyName": friendly_name,
        "owner": { "value": user },
    });
    id(&client.post("/Device", &body).expect(200))
}
