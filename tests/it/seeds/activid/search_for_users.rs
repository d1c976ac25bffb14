//! "Search for Users".

use serde_json::{Value, json};

use super::sample::{SERVER, WHEN, compare, ours};
use super::{ATTRIBUTE, AUTHENTICATOR, DEVICE, authenticator, id, tenant};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;
use crate::support::slapd::{Options, Slapd};

fn user(client: &mut Client, external_id: &str, name: &Value, group: &str) -> String {
    let body = json!({ "externalId": external_id, "name": name, "groups": [{ "value": group }] });
    id(&client.post("/Users", &body).expect(200))
}

fn smith(client: &mut Client) -> String {
    user(
        client,
        "johnsmith@acme",
        &json!({ "givenName": "Smith", "familyName": "John" }),
        "USG_FTEMP",
    )
}

/// The samples' requests are no JSON (names without quotes, a semicolon for a comma): here they are.
#[test]
fn sample_request_with_no_attributes_defined_and_with_some() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let smith = smith(&mut client);
    let request = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
        "filter": "displayName sw \"smith\"",
        "sortBy": "id", "sortOrder": "descending", "startIndex": 1, "count": 100,
    });
    let shown = client.post("/Users/.search", &request).expect(200);
    assert_eq!(shown["resources"][0]["id"], smith);
    // "where 0 will return the same paginated result as 1"
    let mut zero = request.clone();
    zero["startIndex"] = json!(0);
    assert_eq!(client.post("/Users/.search", &zero).expect(200), shown);

    let mut request = request;
    request["attributes"] = json!(["displayName", "userName", "meta"]);
    let shown = client.post("/Users/.search", &request).expect(200);
    let response = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": 1,
        "itemsPerPage": 10,
        "startIndex": 1,
        "resources": [{
            "id": "123",
            "userName": "johnsmith@acme",
            "displayName": "John Smith",
            "meta": {
                "location": "https://[base-server-url]/scim/tenant/v2/Users/12345",
                "resourceType": "User",
                "lastModified": "..." } }],
    });
    compare(
        &response,
        &shown,
        &[(&smith, "123")],
        &[
            ours("/itemsPerPage", 1, "RFC 7644 section 3.4.2.4: how many there are on this page"),
            ours(
                "/resources/123/schemas",
                json!(["urn:ietf:params:scim:schemas:core:2.0:User"]),
                "RFC 7643 section 3: in every resource",
            ),
            ours(
                "/resources/123/displayName",
                "Smith John",
                "the sample's own name does not begin with what is asked for",
            ),
            ours(
                "/resources/123/meta/location",
                format!("{SERVER}/Users/123"),
                "the sample's own id is 123",
            ),
            ours("/resources/123/meta/lastModified", WHEN, "the instant of this run"),
            ours(
                "/resources/123/meta/created",
                WHEN,
                "`meta` is asked for, and this is part of it",
            ),
            ours("/resources/123/meta/version", "1", "so is this"),
        ],
    );
}

/// "Sample Response (with only id and meta returned)": it stands below the request that names no
/// attributes, while the text says of such a request that it returns roles, authenticators and devices.
/// Here it does, and whoever wants less says so.
#[test]
fn sample_response_with_only_id_and_meta() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let smith = smith(&mut client);
    let request = json!({ "filter": "displayName sw smith", "attributes": ["id", "meta.location", "meta.resourceType", "meta.lastModified"] });
    let shown = client.post("/Users/.search", &request).expect(200);
    let response = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": 1,
        "itemsPerPage": 10,
        "startIndex": 1,
        "resources": [{
            "id": "123",
            "meta": {
                "location": "https://[base-server-url]/scim/tenant/v2/Users/12345",
                "resourceType": "User",
                "lastModified": "..." } }],
    });
    compare(
        &response,
        &shown,
        &[(&smith, "123")],
        &[
            ours("/itemsPerPage", 1, "RFC 7644 section 3.4.2.4: how many there are on this page"),
            ours(
                "/resources/123/schemas",
                json!(["urn:ietf:params:scim:schemas:core:2.0:User"]),
                "RFC 7643 section 3: in every resource",
            ),
            ours(
                "/resources/123/meta/location",
                format!("{SERVER}/Users/123"),
                "the sample's own id is 123",
            ),
            ours("/resources/123/meta/lastModified", WHEN, "the instant of this run"),
        ],
    );
}

/// The three ways to ask, the wildcard, and the one criterion on `UserAttribute`.
#[test]
fn sample_request_uris_and_filters() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let john = user(
        &mut client,
        "1jdoe",
        &json!({ "givenName": "John", "familyName": "Doe" }),
        "USG_FTEMP",
    );
    user(&mut client, "2jdoe", &json!({ "givenName": "Jane", "familyName": "Doe" }), "FTADMIN");
    let name = format!("{ATTRIBUTE}:attributes.name");
    let value = format!("{ATTRIBUTE}:attributes.value");
    for filter in [
        "displayName sw john",
        "username eq 1* and externalid sw 1*",
        "(username co jdoe) and (displayname ew oe and groups.value eq USG_FTEMP)",
        &format!("{name} eq FIRSTNAME and {value} eq John"),
        "groups.value eq USG_FTEMP",
        "groups eq \"USG_FTEMP\"",
    ] {
        let by_post = client.post("/Users/.search", &json!({ "filter": filter })).expect(200);
        let by_search = client.query("/Users/.search", &[("filter", filter)]).expect(200);
        let by_get = client.query("/Users", &[("filter", filter)]).expect(200);
        assert_eq!(by_post, by_search, "{filter}");
        assert_eq!(by_post, by_get, "{filter}");
        let found: Vec<&Value> =
            by_get["resources"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
        assert_eq!(found, [&json!(john)], "{filter}");
    }
}

/// "Sample request to exclude attributes".
#[test]
fn sample_request_to_exclude_attributes() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    user(&mut client, "jdoe", &json!({ "givenName": "John", "familyName": "Doe" }), "USG_FTEMP");
    let mut request = json!({
        "filter": "groups.value eq USG_FTEMP",
        "excludedAttributes": ["roles", AUTHENTICATOR, DEVICE],
    });
    let shown = client.post("/Users/.search", &request).expect(200);
    let user = &shown["resources"][0];
    for excluded in ["roles", AUTHENTICATOR, DEVICE] {
        assert_eq!(user.get(excluded), None, "{excluded}");
    }
    assert!(user.get(ATTRIBUTE).is_some() && user["groups"][0]["value"] == "USG_FTEMP");
    // Both at once would contradict each other.
    let mut both = request.clone();
    both["attributes"] = json!(["roles"]);
    assert_eq!(client.post("/Users/.search", &both).expect(400)["scimType"], "invalidValue");
    request.as_object_mut().unwrap().remove("excludedAttributes");
    let whole = client.post("/Users/.search", &request).expect(200);
    assert!(whole["resources"][0].get(DEVICE).is_some());
}

/// "Sample response for users bound in ActivID Appliance".
fn bound_users() -> Value {
    let roles = json!([
        { "display": "Audit Viewer", "value": "RL_AUDITV" },
        { "display": "Configuration Manager", "value": "RL_CFGMGR" },
        { "display": "Configuration", "value": "RL_CONFIG" }]);
    let schemas = json!([
        "urn:ietf:params:scim:schemas:core:2.0:User",
        "urn:hid:scim:api:idp:2.0:UserDevice",
        "urn:hid:scim:api:idp:2.0:UserAttribute",
        "urn:hid:scim:api:idp:2.0:UserAuthenticator"
    ]);
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": 2,
        "resources": [
            {
                "schemas": schemas,
                "id": "10033",
                "externalId": "ftadmin",
                "meta": {
                    "resourceType": "User",
                    "created": "2010-12-31T23:00:00Z",
                    "location": "https://[base-server-url]/scim/tenant/v2/Users/10033",
                    "version": "1" },
                "userName": "ftadmin",
                "active": true,
                "groups": [{
                    "type": "Group",
                    "display": "ActivID Administrators",
                    "value": "FTADMIN",
                    "$ref": "https://[base-server-url]/scim/tenant/v2/Groups/FTADMIN" }],
                "roles": roles,
                (ATTRIBUTE): { "attributes": [] },
                (AUTHENTICATOR): { "authenticators": [{
                    "display": "OP_ATCODE",
                    "value": "10033.OP_ATCODE",
                    "$ref": "https://[base-server-url]/scim/tenant/v2/Authenticator/10033.OP_ATCODE" }] },
                (DEVICE): { "devices": [] },
            },
            {
                "schemas": schemas,
                "id": "11177",
                "externalId": "my_user",
                "meta": {
                    "resourceType": "User",
                    "created": "2017-10-02T22:00:00Z",
                    "location": "https://[base-server-url]/scim/tenant/v2/Users/11177",
                    "version": "1" },
                "userName": "my_user",
                "name": { "givenName": "my_user" },
                "displayName": "my_user",
                "active": true,
                "groups": [{
                    "type": "Group",
                    "display": "Full Time Employees",
                    "value": "USG_FTEMP",
                    "$ref": "https://[base-server-url]/scim/tenant/v2/Groups/USG_FTEMP" }],
                "roles": roles,
                (ATTRIBUTE): { "attributes": [{
                    "name": "FIRSTNAME", "type": "string", "value": "my_user", "readOnly": false }] },
                (AUTHENTICATOR): { "authenticators": [] },
                (DEVICE): { "devices": [] },
            }],
    })
}

#[test]
fn sample_response_for_bound_users() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let roles =
        json!([{ "value": "RL_AUDITV" }, { "value": "RL_CFGMGR" }, { "value": "RL_CONFIG" }]);
    let mut make = |external_id: &str, given: &str, group: &str| {
        let body = json!({ "externalId": external_id, "name": { "givenName": given },
                           "groups": [{ "value": group }], "roles": roles });
        id(&client.post("/Users", &body).expect(200))
    };
    let admin = make("ftadmin", "ftadmin", "FTADMIN");
    let other = make("my_user", "my_user", "USG_FTEMP");
    authenticator(&mut client, &admin, "OP_ATCODE");
    let shown = client.get("/Users").expect(200);

    let named = "a POST must bring a name, as \"Create a User\" says; this sample's user has none";
    let instant = "the instant of this run";
    let modified = "RFC 7643 section 3.1: beside `created`";
    let kind = "always shown, as in \"Get a User\"; this sample leaves it out";
    let first =
        json!({ "name": "FIRSTNAME", "type": "string", "value": "ftadmin", "readOnly": false });
    compare(
        &bound_users(),
        &shown,
        &[(&admin, "10033"), (&other, "11177")],
        &[
            ours("/startIndex", 1, "as in the samples before this one"),
            ours("/itemsPerPage", 2, "as in the samples before this one"),
            ours("/resources/10033/meta/created", WHEN, instant),
            ours("/resources/10033/meta/lastModified", WHEN, modified),
            ours("/resources/10033/userType", "FTRESS", kind),
            ours("/resources/10033/name", json!({ "givenName": "ftadmin" }), named),
            ours("/resources/10033/displayName", "ftadmin", "derived from the name"),
            ours(
                "/resources/10033/urn:hid:scim:api:idp:2.0:UserAttribute/attributes/FIRSTNAME",
                first,
                named,
            ),
            ours("/resources/11177/meta/created", WHEN, instant),
            ours("/resources/11177/meta/lastModified", WHEN, modified),
            ours("/resources/11177/userType", "FTRESS", kind),
        ],
    );
}

/// "Sample response for LDAP users that are not yet bound in ActivID Appliance".
#[test]
fn sample_response_for_users_that_are_not_yet_bound() {
    let ldif = "\ndn: uid=ou1user2,ou=staff,ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\n\
                uid: ou1user2\ncn: ou1user2\nsn: ou1user2\ngivenName: ou1user2\n";
    let slapd = Slapd::start(Options { people: 20, ldif: ldif.to_owned(), ..Options::default() });
    let rule = "attributes.\"name.familyName\" = \"seeAlso\"\nattributes.displayName = \"seeAlso\"\n\
                [[tenant.repository.rule]]\ngroup = \"USG_FTEMP\"\nfilter = \"(uid=ou1*)\"";
    let bridge = TestBridge::start(&tenant(Settings::over(&slapd).with(rule)));
    let mut client = bridge.client();
    let request = json!({
        "filter": "groups.value eq USG_FTEMP and usertype eq LDAP",
        "count": 100,
        "searchRepositories": true,
    });
    let shown = client.post("/Users/.search", &request).expect(200);
    let response = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "resources": [{
            "schemas": [
                "urn:ietf:params:scim:schemas:core:2.0:User",
                "urn:hid:scim:api:idp:2.0:UserAttribute"],
            "id": "0",
            "externalId": "ou1user2",
            "meta": {
                "resourceType": "User",
                "location": "https://[base-server-url]/scim/tenant/v2/Users/0",
                "version": "1" },
            "userName": "ou1user2",
            "name": { "givenName": "ou1user2" },
            "displayName": "ou1user2",
            "userType": "LDAP",
            "active": true,
            "groups": [{
                "type": "Group",
                "display": "Full Time Employees",
                "value": "USG_FTEMP",
                "$ref": "https://[base-server-url]/scim/tenant/v2/Groups/USG_FTEMP" }],
            (ATTRIBUTE): { "attributes": [{
                "name": "FIRSTNAME", "type": "string", "value": "ou1user2", "readOnly": false }] },
        }],
    });
    let source = shown["resources"][0]["urn:scimbridge:schemas:2.0:Source"].clone();
    assert_eq!(source["userRepositoryId"], "corp");
    let report = shown["urn:scimbridge:api:messages:2.0:Repositories"].clone();
    assert_eq!((&report[0]["id"], &report[0]["found"]), (&json!("corp"), &json!(1)));
    let said = "which repository answered, and how: an outage is never an absence";
    compare(
        &response,
        &shown,
        &[],
        &[
            ours("/startIndex", 1, "as in the samples before this one"),
            ours("/itemsPerPage", 1, "as in the samples before this one"),
            ours("/urn:scimbridge:api:messages:2.0:Repositories", report, said),
            ours(
                "/resources/0/schemas/urn:scimbridge:schemas:2.0:Source",
                "urn:scimbridge:schemas:2.0:Source",
                said,
            ),
            ours(
                "/resources/0/urn:scimbridge:schemas:2.0:Source",
                source,
                "where the person comes from",
            ),
            ours("/resources/0/name/formatted", "ou1user2", "the mapping fills it from `cn`"),
            ours("/resources/0/meta/created", WHEN, "the directory's own"),
            ours("/resources/0/meta/lastModified", WHEN, "the directory's own"),
            ours(
                "/resources/0/urn:hid:scim:api:idp:2.0:UserAttribute/attributes/FIRSTNAME/readOnly",
                true,
                "the directory decides it; the sample says false of what its server does not write either",
            ),
        ],
    );
}
