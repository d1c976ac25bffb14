//! Nevis's SCIM 2.0 API, in the order of its page: a mount of its path, where the client's external id
//! is the tenant, `bulk_get`, `prefer_attributes`, `paged_discovery` and schemas of one's own.

use serde_json::{Value, json};

use super::{holds, id, patch};
use crate::support::bridge::{Settings, TOKEN, TestBridge};
use crate::support::client::Client;
use crate::support::slapd::Slapd;

const BASE: &str = "/nevisidm/api/scim/v1/Default";
const PROPERTIES: &str = "urn:nevis:idm:scim:schemas:1.0:Property";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";

fn settings() -> Settings {
    let properties = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": PROPERTIES,
        "name": "Property",
        "attributes": [
            { "name": "badge", "type": "string", "caseExact": true },
            { "name": "pin", "type": "string", "mutability": "writeOnly", "returned": "never" },
        ],
    });
    Settings::local()
        .tenant(&format!(
            "mounts = [{BASE:?}]\nbulk_get = true\nprefer_attributes = true\n\
             paged_discovery = true\nschemas = [\"properties.json\"]"
        ))
        .file("properties.json", &properties.to_string())
}

fn client(bridge: &TestBridge) -> Client {
    Client::new(bridge.address(), BASE, Some(TOKEN))
}

fn tesla() -> Value {
    json!({ "userName": "tesla", "externalId": "100", "name": { "familyName": "Tesla" },
        (PROPERTIES): { "badge": "A7", "pin": "1234" } })
}

fn bulk(operations: &Value) -> Value {
    json!({ "schemas": [BULK], "Operations": operations })
}

/// Where both are given, what is wanted counts.
#[test]
fn attributes_win_over_those_that_are_left_out() {
    let bridge = TestBridge::start(&settings());
    let mut client = client(&bridge);
    let made = client.post("/Users", &tesla()).expect(201);
    let both = [("attributes", "userName,name"), ("excludedAttributes", "userName,externalId")];
    let shown = client.query(&format!("/Users/{}", id(&made)), &both).expect(200);
    let list = client.query("/Users", &both).expect(200);
    for shown in [&shown, &list["Resources"][0]] {
        assert_eq!((&shown["userName"], &shown["name"]), (&json!("tesla"), &made["name"]));
        assert_eq!(shown.get("externalId"), None);
    }
    // RFC 7644 section 3.9 knows one or the other: without the key, both are refused.
    let plain = TestBridge::start(&Settings::local());
    assert_eq!(plain.client().query("/Users", &both).expect(400)["scimType"], "invalidValue");
}

/// "Supports filtering, sorting, attribute selection".
#[test]
fn users_are_listed_and_searched_in_two_ways() {
    let bridge = TestBridge::start(&settings());
    let mut client = client(&bridge);
    for name in ["tesla", "edison", "volta"] {
        let body = json!({ "userName": name, "title": "Inventor", "nickName": name });
        client.post("/Users", &body).expect(201);
    }
    let parameters = [
        ("filter", "title eq \"Inventor\""),
        ("sortBy", "userName"),
        ("sortOrder", "descending"),
        ("startIndex", "2"),
        ("count", "1"),
        ("attributes", "userName"),
    ];
    let list = client.query("/Users", &parameters).expect(200);
    holds(&list, &json!({ "totalResults": 3, "startIndex": 2, "itemsPerPage": 1 }));
    let only = &list["Resources"][0];
    assert_eq!(only["userName"], "tesla");
    assert_eq!((only.get("title"), only.get("nickName")), (None, None), "only what is asked for");
    let mut message = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"] });
    for (name, value) in parameters {
        message[name] = value.into();
    }
    assert_eq!(client.post("/Users/.search", &message).expect(200), list);
    let refused = client.post("/Users/.search", &json!({ "filter": "title eq" })).expect(400);
    assert_eq!(refused["scimType"], "invalidFilter");
}

/// "bulk export format".
#[test]
fn the_exported_list_is_a_bulk_request_that_another_instance_takes() {
    let there = TestBridge::start(&settings());
    let mut from = client(&there);
    let boss = from.post("/Users", &json!({ "userName": "boss" })).expect(201);
    let mut body = tesla();
    body["emails"] = json!([{ "value": "t@example.com", "type": "work", "primary": true }]);
    body["active"] = false.into();
    body["roles"] = json!([{ "value": "admin", "primary": true }]);
    body["password"] = "alternating".into();
    body[ENTERPRISE] = json!({ "department": "Lab", "manager": { "value": boss["id"] } });
    let made = from.post("/Users", &body).expect(201);
    from.post("/Groups", &json!({ "displayName": "G", "members": [{ "value": made["id"] }] }))
        .expect(201);
    for number in 0..5 {
        from.post("/Users", &json!({ "userName": format!("user-{number}") })).expect(201);
    }
    let exported = from.get("/Users?bulkImportFormat=true");
    assert_eq!(exported.header("link"), None, "all of it");
    let exported = exported.expect(200);
    assert_eq!(exported["schemas"], json!([BULK]));
    let text = exported.to_string();
    for secret in ["1234", "alternating", "groups", "meta", "userType"] {
        assert!(!text.contains(secret), "{secret} is carried over");
    }

    let here = TestBridge::start(&settings());
    let mut to = client(&here);
    let outcomes = to.post("/Bulk", &exported).expect(200);
    let outcomes = outcomes["Operations"].as_array().unwrap();
    assert_eq!(outcomes.len(), 7);
    for outcome in outcomes {
        assert_eq!(outcome["status"], "201", "{outcome}");
    }
    let users = |client: &mut Client| -> Vec<Value> {
        let list = client.query("/Users", &[("sortBy", "userName")]).expect(200);
        let mut users = list["Resources"].as_array().unwrap().clone();
        for user in &mut users {
            let user = user.as_object_mut().unwrap();
            for name in ["id", "meta", "groups"] {
                user.remove(name);
            }
        }
        users
    };
    let (mut before, mut after) = (users(&mut from), users(&mut to));
    let manager = |users: &mut Vec<Value>| {
        let led = users.iter_mut().find(|user| user["userName"] == "tesla").unwrap();
        led[ENTERPRISE]["manager"].take()
    };
    manager(&mut before);
    let manager = manager(&mut after);
    assert_eq!(before, after);
    let new_boss = to.query("/Users", &[("filter", "userName eq \"boss\"")]).expect(200);
    assert_eq!(manager["value"], new_boss["Resources"][0]["id"], "the boss came along");

    // In pages, with a filter; the header says where the next one is.
    let first = from
        .get("/Users?bulkImportFormat=true&filter=userName+sw+%22user-%22&sortBy=userName&count=2");
    let link = first.header("link").unwrap().to_owned();
    let names = |request: &Value| -> Vec<String> {
        let operations = request["Operations"].as_array().unwrap().iter();
        operations.map(|one| one["data"]["userName"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&first.expect(200)), ["user-0", "user-1"]);
    let next = link.strip_prefix('<').unwrap().split_once('>').unwrap().0;
    let next = next.strip_prefix(&format!("http://{}{BASE}", there.address())).unwrap();
    let second = from.get(next);
    assert!(second.header("link").unwrap().contains("startIndex=5"));
    assert_eq!(names(&second.expect(200)), ["user-2", "user-3"]);
    let message = json!({ "bulkImportFormat": true, "filter": "userName eq \"tesla\"" });
    assert_eq!(names(&from.post("/Users/.search", &message).expect(200)), ["tesla"]);
    for other in ["searchRepositories=true", "cursor"] {
        let refused = from.get(&format!("/Users?bulkImportFormat=true&{other}")).expect(400);
        assert_eq!(refused["scimType"], "invalidValue", "{other}");
    }
}

/// "Executes multiple SCIM operations (GET, POST, DELETE) in a single HTTP request".
#[test]
fn a_bulk_request_may_read() {
    let settings = settings().token("writer", "writer", &["users:create"]);
    let bridge = TestBridge::start(&settings);
    let mut client = client(&bridge);
    let made = client.post("/Users", &tesla()).expect(201);
    let path = format!("/Users/{}", id(&made));
    let shown = client.get(&path).expect(200);
    let operations = json!([
        { "method": "GET", "path": path },
        { "method": "post", "path": "/Users", "bulkId": "a", "data": { "userName": "edison" } },
        { "method": "GET", "path": "/Users/bulkId:a" },
        { "method": "DELETE", "path": path },
        { "method": "get", "path": path },
        { "method": "GET", "path": "/Users" },
    ]);
    let outcomes = client.post("/Bulk", &bulk(&operations)).expect(200);
    let outcomes = &outcomes["Operations"];
    let read = json!({ "method": "GET", "status": "200", "response": shown,
        "version": shown["meta"]["version"], "location": shown["meta"]["location"] });
    assert_eq!(outcomes[0], read);
    holds(&outcomes[1], &json!({ "status": "201" }));
    holds(&outcomes[2], &json!({ "status": "200", "response": { "userName": "edison" } }));
    holds(&outcomes[3], &json!({ "status": "204" }));
    holds(&outcomes[4], &json!({ "status": "404", "response": { "status": "404" } }));
    holds(&outcomes[5], &json!({ "status": "400" }));
    let mut writer = Client::new(bridge.address(), BASE, Some("writer"));
    let of = format!("/Users/{}", outcomes[2]["response"]["id"].as_str().unwrap());
    let outcome = writer.post("/Bulk", &bulk(&json!([{ "method": "GET", "path": of }])));
    holds(&outcome.expect(200)["Operations"][0], &json!({ "status": "403" }));
    // RFC 7644 section 3.7 has no GET, so that it takes the key.
    let plain = TestBridge::start(&Settings::local());
    let mut client = plain.client();
    let made = client.post("/Users", &json!({ "userName": "ann" })).expect(201);
    let reads = json!([{ "method": "GET", "path": format!("/Users/{}", id(&made)) }]);
    let outcome = client.post("/Bulk", &bulk(&reads)).expect(200);
    holds(
        &outcome["Operations"][0],
        &json!({ "status": "400", "response": { "scimType": "invalidSyntax" } }),
    );
}

/// "Applies partial updates"; with `performGet` as the API's reference has it.
#[test]
fn a_patch_shows_the_user_unless_nobody_wants_it() {
    let bridge = TestBridge::start(&settings());
    let mut client = client(&bridge);
    let made = client.post("/Users", &tesla()).expect(201);
    let path = format!("/Users/{}", id(&made));
    let body = |value: &str, performs: &Value| {
        let mut body = patch(
            &json!([{ "op": "replace", "path": format!("{PROPERTIES}:badge"), "value": value }]),
        );
        if !performs.is_null() {
            body["performGet"] = performs.clone();
        }
        body
    };
    let silent = client.patch(&path, &body("B1", &json!(false)));
    assert_eq!((silent.status, silent.text().as_str()), (204, ""));
    assert_eq!(silent.header("content-type"), None);
    let shown = client.get(&path).expect(200);
    assert_eq!(shown[PROPERTIES], json!({ "badge": "B1" }));
    assert_eq!(silent.header("etag"), shown["meta"]["version"].as_str());
    assert_eq!(silent.header("location"), shown["meta"]["location"].as_str());
    for performs in [json!(null), json!(true), json!("True")] {
        let shown = client.patch(&path, &body("B2", &performs)).expect(200);
        assert_eq!(shown[PROPERTIES]["badge"], "B2", "{performs}");
    }
    let refused = client.patch(&path, &body("B3", &json!(1))).expect(400);
    assert_eq!(refused["scimType"], "invalidValue");
    assert_eq!(client.get(&path).expect(200)[PROPERTIES]["badge"], "B2", "nothing was written");
    let quiet = TestBridge::start(&settings().tenant("patch_performs_get = false"));
    let mut client = self::client(&quiet);
    let made = client.post("/Users", &tesla()).expect(201);
    let path = format!("/Users/{}", id(&made));
    assert_eq!(client.patch(&path, &body("B1", &json!(null))).status, 204);
    let shown = client.patch(&path, &body("B2", &json!(true))).expect(200);
    assert_eq!(shown[PROPERTIES]["badge"], "B2");
}

/// "Deletes a user and all related resources".
#[test]
fn a_deleted_user_leaves_nothing_behind() {
    let bridge = TestBridge::start(&settings());
    let mut client = client(&bridge);
    let made = client.post("/Users", &tesla()).expect(201);
    let group = json!({ "displayName": "G", "members": [{ "value": made["id"] }] });
    let group = client.post("/Groups", &group).expect(201);
    let path = format!("/Users/{}", id(&made));
    assert_eq!(client.delete(&path).status, 204);
    assert_eq!(client.get(&path).status, 404);
    let shown = client.get(&format!("/Groups/{}", id(&group))).expect(200);
    assert_eq!(shown["members"], json!([]));
    assert_ne!(shown["meta"]["version"], group["meta"]["version"]);
    for table in ["members", "attributes", "links"] {
        let column = if table == "members" {
            "member_key"
        } else if table == "links" {
            "user_key"
        } else {
            "resource_key"
        };
        let left = bridge.query(&format!(
            "SELECT 'left' FROM {table} WHERE {column} NOT IN (SELECT key FROM resources)"
        ));
        assert_eq!(left, Vec::<String>::new(), "{table}");
    }
    // The same name is a new user, with nothing of the old one.
    let again = client.post("/Users", &json!({ "userName": "tesla" })).expect(201);
    assert_ne!(again["id"], made["id"]);
    assert_eq!((again.get("groups"), again.get(PROPERTIES)), (None, None));
}

/// "The user must belong to the client specified by `clientExtId` in the URL path."
#[test]
fn a_client_sees_its_own_users() {
    let other = "/nevisidm/api/scim/v1/Other";
    let tables = format!(
        "[[tenant]]\nname = \"other\"\nmounts = [{other:?}]\n[[tenant.token]]\nname = \"all\"\n\
         sha256 = \"{}\"\npermissions = [\"*\"]\n",
        crate::support::bridge::digest("of-the-other")
    );
    let bridge = TestBridge::start(&settings().rest(&tables));
    let mut client = client(&bridge);
    let made = client.post("/Users", &tesla()).expect(201);
    let path = format!("/Users/{}", id(&made));
    let mut stranger = Client::new(bridge.address(), other, Some("of-the-other"));
    assert_eq!(stranger.get("/Users").expect(200)["totalResults"], 0);
    for answer in [
        stranger.get(&path),
        stranger.delete(&path),
        stranger.patch(&path, &patch(&json!([{ "op": "remove", "path": "externalId" }]))),
    ] {
        assert_eq!(answer.status, 404);
    }
    let mut intruder = Client::new(bridge.address(), BASE, Some("of-the-other"));
    assert_eq!(intruder.get(&path).status, 401);
    assert_eq!(client.get(&path).expect(200), made);
}

/// "Returns a paginated list of all SCIM schemas".
#[test]
fn discovery_has_pages_and_the_custom_properties() {
    let bridge = TestBridge::start(&settings());
    let mut client = client(&bridge);
    let page = client.get("/ResourceTypes?count=1").expect(200);
    holds(&page, &json!({ "itemsPerPage": 1, "Resources": [{ "id": "User" }] }));
    let schema = client.get(&format!("/Schemas/{PROPERTIES}")).expect(200);
    assert_eq!(schema["attributes"][0]["name"], "badge");
    let configuration = client.get("/ServiceProviderConfig").expect(200);
    holds(&configuration, &json!({ "bulk": { "supported": true, "maxOperations": 1000 } }));
    assert!(configuration["meta"]["location"].as_str().unwrap().contains(BASE));
}

/// A directory's people are carried over by nobody: they are its own.
#[test]
fn an_export_holds_who_is_kept_here() {
    let bridge = TestBridge::start(&Settings::over(Slapd::shared()));
    let mut client = bridge.client();
    client.post("/Users", &json!({ "userName": "ours" })).expect(201);
    let exported = client.get("/Users?bulkImportFormat=True").expect(200);
    assert_eq!(exported["Operations"].as_array().map(Vec::len), Some(1));
    assert_eq!(client.get("/Groups?bulkImportFormat=true").expect(200)["totalResults"], 0);
    let list = client.get("/Users?bulkImportFormat=false").expect(200);
    assert_eq!(list["totalResults"], 1);
}
