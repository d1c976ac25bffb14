//! Bulk requests: order, references, circles, failures, and the limits that discovery tells.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;
use crate::support::slapd::Slapd;
use crate::support::{company, eventually};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
const RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";

fn bulk(operations: &Value) -> Value {
    json!({ "schemas": [REQUEST], "Operations": operations })
}

/// The outcomes of a request that was accepted.
fn done(client: &mut Client, operations: &Value) -> Vec<Value> {
    let answer = client.post("/Bulk", &bulk(operations)).expect(200);
    assert_eq!(answer["schemas"], json!([RESPONSE]));
    answer["Operations"].as_array().unwrap().clone()
}

fn statuses(outcomes: &[Value]) -> Vec<&str> {
    outcomes.iter().map(|outcome| outcome["status"].as_str().unwrap()).collect()
}

/// A POST of a user with this manager.
fn user(name: &str, manager: Option<&str>) -> Value {
    let mut data = json!({ "userName": name });
    if let Some(manager) = manager {
        data[ENTERPRISE] = json!({ "manager": { "value": manager }, "department": "Tours" });
    }
    json!({ "method": "POST", "path": "/Users", "bulkId": name, "data": data })
}

fn id(outcome: &Value) -> String {
    outcome["location"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

#[test]
fn each_operation_is_answered_in_its_place() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let made = client.post("/Users", &json!({ "userName": "old" })).expect(201);
    let old = made["id"].as_str().unwrap();
    let version = made["meta"]["version"].as_str().unwrap();
    let outcomes = done(
        &mut client,
        &json!([
            { "method": "post", "path": "/Users", "bulkId": "q", "data": { "userName": "new" } },
            { "method": "PATCH", "path": format!("/Users/{old}"), "version": version,
              "data": { "Operations": [{ "op": "add", "path": "title", "value": "T" }] } },
            { "method": "PUT", "path": format!("/Users/{old}"), "version": version,
              "data": { "userName": "old" } },
            { "method": "PATCH", "path": "/Users/bulkId:q",
              "data": { "Operations": [{ "op": "add", "path": "nickName", "value": "N" }] } },
            { "method": "POST", "path": "/Users", "bulkId": "r", "data": { "userName": "NEW" } },
            { "method": "DELETE", "path": format!("/Users/{old}") },
            { "method": "DELETE", "path": format!("/Users/{old}") },
            { "method": "POST", "path": "/Nothing", "bulkId": "s", "data": {} },
            { "method": "GET", "path": format!("/Users/{old}") },
            { "method": "PUT", "path": "/Users/bulkId:nobody", "data": { "userName": "x" } },
            { "method": "DELETE", "path": "/Users/bulkId:r" },
        ]),
    );
    let expected = ["201", "200", "412", "200", "409", "204", "404", "404", "400", "400", "409"];
    assert_eq!(statuses(&outcomes), expected);
    let new = client.get(&format!("/Users/{}", id(&outcomes[0]))).expect(200);
    assert_eq!((&new["userName"], &new["nickName"]), (&json!("new"), &json!("N")));
    assert_eq!(new["meta"]["version"], outcomes[3]["version"]);
    assert_eq!(outcomes[0]["location"], new["meta"]["location"]);
    assert_eq!((&outcomes[0]["bulkId"], &outcomes[0]["method"]), (&json!("q"), &json!("POST")));
    assert!(outcomes[0].get("response").is_none());
    let clash = &outcomes[4]["response"];
    assert_eq!((&clash["status"], &clash["scimType"]), (&json!("409"), &json!("uniqueness")));
    assert!(outcomes[4].get("location").is_none(), "nothing was made");
    assert!(outcomes[6]["location"].as_str().unwrap().ends_with(old), "told though it failed");
    assert_eq!(bridge.audit().len(), 5);
}

#[test]
fn references_lead_to_what_comes_later_and_in_circles() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let outcomes = done(
        &mut client,
        &json!([
            user("first", Some("bulkId:third")),
            user("second", Some("bulkId:first")),
            user("third", None),
            user("round", Some("bulkId:about")),
            user("about", Some("bulkId:round")),
            user("self", Some("bulkId:self")),
            user("lost", Some("bulkId:nobody")),
            user("FIRST", None),
            user("follower", Some("bulkId:FIRST")),
        ]),
    );
    let expected = ["201", "201", "201", "201", "201", "201", "400", "409", "409"];
    assert_eq!(statuses(&outcomes), expected);
    for (place, manager) in [(0, 2), (1, 0), (3, 4), (4, 3), (5, 5)] {
        let shown = client.get(&format!("/Users/{}", id(&outcomes[place]))).expect(200);
        let expected =
            json!({ "manager": { "value": id(&outcomes[manager]) }, "department": "Tours" });
        assert_eq!(shown[ENTERPRISE], expected, "{place}");
        assert_eq!(shown["meta"]["version"], outcomes[place]["version"], "{place}");
    }
    assert!(outcomes[6]["response"]["detail"].as_str().unwrap().contains("bulkId:nobody"));
    let list = client.query("/Users", &[("count", "0")]).expect(200);
    assert_eq!(list["totalResults"], 6);
}

#[test]
fn groups_and_their_members_are_made_in_one_request() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let group = |name: &str, members: &[&str]| {
        let members: Vec<Value> =
            members.iter().map(|member| json!({ "value": format!("bulkId:{member}") })).collect();
        json!({ "method": "POST", "path": "/Groups", "bulkId": name,
            "data": { "displayName": name, "members": members } })
    };
    let outcomes = done(
        &mut client,
        &json!([
            group("tours", &["anna", "guides"]),
            group("guides", &["bert", "tours"]),
            user("anna", None),
            user("bert", None),
            { "method": "PATCH", "path": "/Groups/bulkId:tours", "data": { "Operations": [
                { "op": "remove", "path": "members[value eq \"bulkId:anna\"]" },
                { "op": "add", "path": "members", "value": [{ "value": "bulkId:bert" }] },
            ] } },
        ]),
    );
    assert_eq!(statuses(&outcomes), ["201", "201", "201", "201", "200"]);
    let mut members = |place: usize| -> Vec<String> {
        let shown = client.get(&format!("/Groups/{}", id(&outcomes[place]))).expect(200);
        let members = shown["members"].as_array().unwrap().iter();
        let mut ids: Vec<String> =
            members.map(|member| member["value"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    let ids = |places: [usize; 2]| {
        let mut ids = places.map(|place| id(&outcomes[place])).to_vec();
        ids.sort();
        ids
    };
    assert_eq!(members(0), ids([1, 3]));
    assert_eq!(members(1), ids([0, 3]));
}

#[test]
fn nothing_is_done_after_too_many_errors() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let operations = json!([
        user("a", None),
        user("A", None),
        user("b", None),
        user("B", None),
        user("c", None)
    ]);
    let mut request = bulk(&operations);
    request["failOnErrors"] = 2.into();
    let answer = client.post("/Bulk", &request).expect(200);
    let outcomes = answer["Operations"].as_array().unwrap();
    assert_eq!(statuses(outcomes), ["201", "409", "201", "409"]);
    // A circle that is not closed is told.
    let operations = json!([user("x", Some("bulkId:y")), user("y", Some("bulkId:x"))]);
    let mut request = bulk(&operations);
    request["Operations"][0]["data"]["userName"] = "a".into();
    request["failOnErrors"] = 1.into();
    let answer = client.post("/Bulk", &request).expect(200);
    let outcomes = answer["Operations"].as_array().unwrap();
    assert_eq!(statuses(outcomes), ["409", "409"]);
    assert!(outcomes[1]["response"]["detail"].as_str().unwrap().contains("lacks"));
    assert!(outcomes[1]["location"].is_string(), "it is there");
}

#[test]
fn limits_are_told_and_hold() {
    let settings = Settings::local().server("max_body = \"4MiB\"");
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let limits = client.get("/ServiceProviderConfig").expect(200)["bulk"].clone();
    let expected = json!({ "supported": true, "maxOperations": 1_000, "maxPayloadSize": 4 << 20 });
    assert_eq!(limits, expected);
    let operations = |count: usize| -> Value {
        let names = (0..count).map(|number| format!("user-{number}"));
        Value::Array(names.map(|name| user(&name, None)).collect())
    };
    let refused = client.post("/Bulk", &bulk(&operations(1_001))).expect(413);
    assert!(refused["detail"].as_str().unwrap().contains("1000"), "{refused}");
    for (body, kind) in [
        (json!({ "Operations": [] }), "invalidSyntax"),
        (json!({ "schemas": [REQUEST] }), "invalidSyntax"),
        (bulk(&json!([user("a", None), user("a", None)])), "invalidValue"),
    ] {
        assert_eq!(client.post("/Bulk", &body).expect(400)["scimType"], kind, "{body}");
    }
    assert_eq!(done(&mut client, &json!([])), Vec::<Value>::new());
    let outcomes = done(&mut client, &operations(1_000));
    assert_eq!(outcomes.len(), 1_000);
    for (number, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome["status"], "201", "{outcome}");
        assert_eq!(outcome["bulkId"], format!("user-{number}"));
    }
    let list = client.query("/Users", &[("count", "0")]).expect(200);
    assert_eq!(list["totalResults"], 1_000);
}

#[test]
fn every_operation_needs_its_own_permission() {
    let settings = Settings::local()
        .token("maker", "maker-token", &["users:create", "users:read"])
        .token("nothing", "nothing-token", &[]);
    let bridge = TestBridge::start(&settings);
    let made = bridge.client().post("/Users", &json!({ "userName": "old" })).expect(201);
    let old = format!("/Users/{}", made["id"].as_str().unwrap());
    let operations = json!([
        user("a", None),
        { "method": "DELETE", "path": old },
        { "method": "PUT", "path": old, "data": { "userName": "older" } },
    ]);
    let outcomes = done(&mut bridge.client_as("maker-token"), &operations);
    assert_eq!(statuses(&outcomes), ["201", "403", "403"]);
    assert!(outcomes[1]["response"]["detail"].as_str().unwrap().contains("users:delete"));
    let outcomes = done(&mut bridge.client_as("nothing-token"), &operations);
    assert_eq!(statuses(&outcomes), ["403", "403", "403"]);
    let mut stranger = bridge.client_as("no-such-token");
    assert_eq!(stranger.post("/Bulk", &bulk(&operations)).status, 401);
}

#[test]
fn a_person_of_a_directory_is_bound_by_an_operation_too() {
    let bridge = TestBridge::start(&Settings::over(Slapd::shared()));
    let mut client = bridge.client();
    let person = company::person(71);
    let path = format!("/Users/corp.{}", person.entry_uuid);
    let replace = |attribute: &str| {
        json!({ "method": "PATCH", "path": path, "data": { "Operations": [
            { "op": "replace", "path": attribute, "value": "Bulky" } ] } })
    };
    let outcomes =
        done(&mut client, &json!([replace("userName"), replace("nickName"), user("boss", None)]));
    assert_eq!(statuses(&outcomes), ["400", "200", "201"]);
    assert_eq!(outcomes[0]["response"]["scimType"], "mutability");
    assert_eq!(client.get(&path).expect(200)["userType"], "FTRESS_LDAP");
    assert_eq!(bridge.audit(), ["user.bind", "user.create"]);
}

#[test]
fn a_client_that_hangs_up_has_begun_what_goes_on() {
    let bridge = TestBridge::start(&Settings::local());
    let operations: Vec<Value> =
        (0..300).map(|number| user(&format!("user-{number}"), None)).collect();
    let body = bulk(&Value::Array(operations)).to_string();
    let request = format!(
        "POST /scim/acme/v2/Bulk HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/scim+json\r\nContent-Length: {}\r\n\r\n{body}",
        crate::support::bridge::TOKEN,
        body.len()
    );
    let mut stream = std::net::TcpStream::connect(bridge.address()).unwrap();
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let mut client = bridge.client();
    let mut count = || {
        let list = client.query("/Users", &[("count", "0")]).expect(200);
        list["totalResults"].as_u64().unwrap()
    };
    assert!(eventually(Duration::from_secs(30), || count() > 0));
    drop(stream);
    assert!(eventually(Duration::from_mins(1), || count() == 300));
}
