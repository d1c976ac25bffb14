//! The surface: who may, what is said to whom, and in which form.

use serde_json::json;

use crate::support::bridge::{BASE, Settings, TOKEN, TestBridge};
use crate::support::slapd::Slapd;

const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

fn token_of(permission: &str) -> String {
    format!("token-{}", permission.replace(':', "-"))
}

#[test]
fn each_route_needs_its_permission() {
    let all = ["users:search", "users:read", "users:create", "users:replace", "users:delete"];
    let mut settings = Settings::local();
    for permission in all {
        settings = settings.token(permission, &token_of(permission), &[permission]);
    }
    let bridge = TestBridge::start(&settings);
    let id = bridge.client().post("/Users", &json!({ "userName": "a" })).expect(201)["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let one = format!("/Users/{id}");
    let patch = json!({ "Operations": [] });
    let routes: [(&str, &str, &str, Option<serde_json::Value>); 8] = [
        ("GET", "/Users", "users:search", None),
        ("GET", "/Users/.search", "users:search", None),
        ("POST", "/Users/.search", "users:search", Some(json!({}))),
        ("POST", "/.search", "users:search", Some(json!({}))),
        ("GET", &one, "users:read", None),
        ("POST", "/Users", "users:create", Some(json!({ "userName": "b" }))),
        ("PATCH", &one, "users:replace", Some(patch)),
        ("DELETE", "/Users/unknown", "users:delete", None),
    ];
    for (method, path, needed, body) in routes {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        for permission in all {
            let mut client = bridge.client_as(&token_of(permission));
            let answer = client.send(method, path, &[], body.as_bytes());
            if permission == needed {
                assert_ne!(answer.status, 403, "{method} {path} with {permission}");
            } else {
                let error = answer.expect(403);
                assert_eq!(error["schemas"], json!([ERROR]));
                assert_eq!(error["status"], "403");
                assert!(error["detail"].as_str().unwrap().contains(needed), "{error}");
            }
        }
        for token in [None, Some("wrong")] {
            let mut client = crate::support::client::Client::new(bridge.address(), BASE, token);
            let answer = client.send(method, path, &[], body.as_bytes());
            assert_eq!(answer.status, 401, "{method} {path} without a token");
            assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
            assert_eq!(answer.json()["status"], "401");
        }
    }
}

#[test]
fn a_token_of_one_tenant_is_nobody_in_another() {
    let digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"; // "secret"
    let other = format!(
        "[[tenant]]\nname = \"other\"\n[[tenant.token]]\nname = \"x\"\nsha256 = \"{digest}\"\n\
         permissions = [\"*\"]\n"
    );
    let bridge = TestBridge::start(&Settings::local().rest(&other));
    let mut ours = bridge.client();
    let user =
        ours.post("/Users", &json!({ "userName": "shared.name", "externalId": "e" })).expect(201);
    let id = user["id"].as_str().unwrap();
    let address = bridge.address();
    let client =
        |base: &str, token: &str| crate::support::client::Client::new(address, base, Some(token));
    assert_eq!(client("/scim/other/v2", TOKEN).get("/Users").status, 401);
    assert_eq!(client(BASE, "secret").get("/Users").status, 401);
    let mut theirs = client("/scim/other/v2", "secret");
    assert_eq!(theirs.get("/Users").expect(200)["totalResults"], 0);
    assert_eq!(theirs.get(&format!("/Users/{id}")).status, 404);
    assert_eq!(theirs.delete(&format!("/Users/{id}")).status, 404);
    let filter = [("filter", "userName eq \"shared.name\"")];
    assert_eq!(theirs.query("/Users", &filter).expect(200)["totalResults"], 0);
    theirs.post("/Users", &json!({ "userName": "shared.name", "externalId": "e" })).expect(201);
    assert_eq!(ours.query("/Users", &filter).expect(200)["Resources"][0]["id"], id);
}

#[test]
fn a_user_lives_and_dies() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", "urn:unknown"],
        "userName": "bjensen", "externalId": "701984", "password": "t1meMa$heen",
        "name": { "familyName": "Jensen", "givenName": "Barbara" },
        "emails": [{ "value": "bjensen@example.com", "type": "work", "primary": true }],
        "unknownAttribute": 1, "title": null, "groups": []
    });
    let created = client.post("/Users", &body);
    assert_eq!(created.header("content-type"), Some("application/scim+json"));
    let location = created.header("location").unwrap().to_owned();
    let tag = created.header("etag").unwrap().to_owned();
    let user = created.expect(201);
    let id = user["id"].as_str().unwrap();
    assert!(location.ends_with(&format!("{BASE}/Users/{id}")), "{location}");
    assert_eq!(user["meta"]["location"], location.as_str());
    assert_eq!(user["meta"]["version"], tag.as_str());
    assert_eq!(user["userType"], "FTRESS");
    assert_eq!(user["active"], true);
    assert_eq!(user.get("password"), None);
    assert_eq!(user.get("unknownAttribute"), None);
    let path = format!("/Users/{id}");
    assert_eq!(client.get(&path).expect(200), user);
    assert_eq!(client.get(&format!("{path}/")).expect(200), user, "a trailing slash is accepted");

    let twin = client.post("/Users", &json!({ "userName": "BJensen" })).expect(409);
    assert_eq!(twin["scimType"], "uniqueness");
    let twin =
        client.post("/Users", &json!({ "userName": "x", "externalId": "701984" })).expect(409);
    assert!(twin["detail"].as_str().unwrap().contains(id), "{twin}");
    assert_eq!(
        client.post("/Users", &json!({ "displayName": "x" })).expect(400)["scimType"],
        "invalidValue"
    );
    assert_eq!(
        client.put(&path, &json!({ "displayName": "x" })).expect(400)["scimType"],
        "invalidValue"
    );

    let replaced = client.put(&path, &json!({ "userName": "babs" })).expect(200);
    assert_eq!(replaced.get("emails"), None);
    assert_eq!(replaced["userName"], "babs");
    assert_eq!(client.delete(&path).status, 204);
    assert_eq!(client.delete(&path).status, 404);
    assert_eq!(client.get(&path).expect(404)["schemas"], json!([ERROR]));
}

#[test]
fn lists_are_sorted_cut_and_counted() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    for number in 0..25 {
        let mut body =
            json!({ "userName": format!("user.{number:02}"), "active": number % 2 == 0 });
        if number % 5 != 0 {
            body["displayName"] = json!(format!("Display {:02}", 99 - number));
        }
        client.post("/Users", &body).expect(201);
    }
    let list = client.get("/Users?count=10&startIndex=21").expect(200);
    assert_eq!(list["schemas"], json!([LIST]));
    assert_eq!(list["totalResults"], 25);
    assert_eq!(list["startIndex"], 21);
    assert_eq!(list["itemsPerPage"], 5);
    let first = |query: &str| {
        let list = bridge.client().get(&format!("/Users?{query}")).expect(200);
        list["Resources"][0]["userName"].as_str().map(str::to_owned)
    };
    assert_eq!(first("").as_deref(), Some("user.00"));
    assert_eq!(first("sortBy=userName&sortOrder=descending").as_deref(), Some("user.24"));
    assert_eq!(first("sortBy=displayName").as_deref(), Some("user.24"));
    // Absent last ascending, first descending.
    let absent = first("sortBy=displayName&sortOrder=descending").unwrap();
    assert_eq!(absent, "user.00");
    let none = client.get("/Users?count=0").expect(200);
    assert_eq!(none["totalResults"], 25);
    assert_eq!(none["Resources"].as_array().map_or(0, Vec::len), 0);
    let disabled = client.query("/Users", &[("filter", "active eq false")]).expect(200);
    assert_eq!(disabled["totalResults"], 12);
    let only = client.get("/Users?count=1&attributes=displayName").expect(200);
    assert_eq!(only["Resources"][0].get("userName"), None);
    assert!(only["Resources"][0]["id"].is_string());
    let without = client.get("/Users?count=1&excludedAttributes=active,id").expect(200);
    assert_eq!(without["Resources"][0].get("active"), None);
    assert!(without["Resources"][0]["id"].is_string(), "id is always returned");
    let both = client.get("/Users?attributes=id&excludedAttributes=active");
    assert_eq!(both.status, 400);
}

#[test]
fn discovery_is_open_and_true() {
    let bridge = TestBridge::start(&Settings::over(Slapd::shared()));
    let mut anyone = crate::support::client::Client::new(bridge.address(), BASE, None);
    let config = anyone.get("/ServiceProviderConfig").expect(200);
    assert_eq!(config["patch"]["supported"], true);
    assert_eq!(config["bulk"]["supported"], true);
    assert_eq!(config["bulk"]["maxOperations"], 1_000);
    assert_eq!(config["filter"]["maxResults"], 100);
    assert_eq!(config["etag"]["supported"], true);
    let types = anyone.get("/ResourceTypes").expect(200);
    assert_eq!(types["totalResults"], types["Resources"].as_array().unwrap().len());
    assert_eq!(types["Resources"][0]["id"], "User");
    assert_eq!(types["Resources"][1]["id"], "Group");
    anyone.get("/ResourceTypes/User").expect(200);
    assert_eq!(anyone.get("/ResourceTypes/Nothing").status, 404);
    let schemas = anyone.get("/Schemas").expect(200);
    let urns: Vec<&str> = schemas["Resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|schema| schema["id"].as_str().unwrap())
        .collect();
    for extension in types["Resources"][0]["schemaExtensions"].as_array().unwrap() {
        assert!(urns.contains(&extension["schema"].as_str().unwrap()), "{extension}");
    }
    for urn in urns {
        assert_eq!(anyone.get(&format!("/Schemas/{urn}")).expect(200)["id"], urn);
    }
    let post = anyone.send("POST", "/Schemas", &[], b"{}");
    assert_eq!(post.status, 405);
    assert!(post.header("allow").unwrap().contains("GET"));
    assert_eq!(anyone.get("/Schemas?filter=id%20pr").status, 403);
    assert_eq!(anyone.get("/Nothing").expect(404)["schemas"], json!([ERROR]));
}

#[test]
fn bodies_that_are_no_scim_are_refused_clearly() {
    let bridge = TestBridge::start(&Settings::local().server("max_body = \"4KiB\""));
    let mut client = bridge.client();
    let mut post = |body: &[u8]| client.send("POST", "/Users", &[], body);
    assert_eq!(post(b"{").expect(400)["scimType"], "invalidSyntax");
    assert_eq!(post(b"[]").expect(400)["scimType"], "invalidSyntax");
    assert_eq!(post(b"{\"userName\":\"\xff\"}").expect(400)["scimType"], "invalidSyntax");
    let twice = post(b"{\"userName\":\"a\",\"userName\":\"b\"}").expect(400);
    assert!(twice["detail"].as_str().unwrap().contains("userName"), "{twice}");
    assert_eq!(post(b"{\"userName\":NaN}").status, 400);
    assert_eq!(post(b"{\"userName\":\"a\\u0000\"}").status, 400);
    assert_eq!(post(b"{\"userName\":7}").expect(400)["scimType"], "invalidValue");
    let deep = format!("{{\"userName\":\"a\",\"x\":{}1{}}}", "[".repeat(500), "]".repeat(500));
    assert_eq!(post(deep.as_bytes()).status, 400);
    let large = format!("{{\"userName\":\"{}\"}}", "a".repeat(8000));
    assert_eq!(post(large.as_bytes()).status, 413);
    let text = client.send("POST", "/Users", &[("Content-Type", "text/plain")], b"{}");
    assert_eq!(text.status, 415);
    let accept = client.send("GET", "/Users", &[("Accept", "text/html")], b"");
    assert_eq!(accept.status, 406);
    let charset = [("Content-Type", "application/json; charset=utf-8")];
    assert_eq!(client.send("POST", "/Users", &charset, b"{\"userName\":\"ok\"}").status, 201);
}

#[test]
fn secrets_and_people_stay_out_of_the_log() {
    let mut bridge = TestBridge::start(&Settings::over(Slapd::shared()));
    let mut client = bridge.client();
    let filter = [("filter", "userName eq \"very.private\""), ("searchRepositories", "true")];
    client.query("/Users", &filter).expect(200);
    client.post("/Users", &json!({ "userName": "very.private", "password": "hush" })).expect(201);
    let _ = bridge.client_as("a-wrong-token-that-is-secret").get("/Users");
    // Ids and addresses in paths that lead nowhere.
    for path in ["/Users/very.private@x/y", "/User/very.private@x", "/Users/very.private@x"] {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
    let mut stranger = bridge.stranger();
    assert_eq!(stranger.get("/scim/gone/v2/Users/very.private@x").status, 404);
    assert!(bridge.terminate().success());
    let log = bridge.log();
    assert!(log.contains("\"http.status\":201"), "{log}");
    for secret in ["very.private", "hush", TOKEN, "a-wrong-token-that-is-secret"] {
        assert!(!log.contains(secret), "{secret} stands in the log");
    }
}
