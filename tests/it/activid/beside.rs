//! Both dialects on one tenant: by mount and by token, never mixed, whatever is cached.

use serde_json::{Value, json};

use super::listed;
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;
use crate::support::company;
use crate::support::slapd::Slapd;

const AGENT: &str = "token-of-an-activid-client";

fn settings(slapd: &Slapd) -> Settings {
    Settings::over(slapd)
        .tenant("mounts = [{ path = \"/SCIM/acme\", dialect = \"activid\" }, \"/plain\"]")
        .token("agent", AGENT, &["*"])
        .token_line("dialect = \"activid\"")
}

fn resources<'a>(list: &'a Value, name: &str) -> &'a Vec<Value> {
    list[name].as_array().unwrap_or_else(|| panic!("no {name} in {list}"))
}

#[test]
fn a_token_wins_over_its_mount_and_that_over_the_tenant() {
    let bridge = TestBridge::start(&settings(Slapd::shared()));
    let token = Some(crate::support::bridge::TOKEN);
    let clients = [
        (bridge.client(), false),
        (Client::new(bridge.address(), "/plain", token), false),
        (Client::new(bridge.address(), "/scim/ACME", token), true),
        (bridge.client_as(AGENT), true),
        (Client::new(bridge.address(), "/plain", Some(AGENT)), true),
    ];
    let uid = company::person(21).uid;
    let filter = format!("userName eq \"{uid}\"");
    let parameters = [("filter", &*filter), ("searchRepositories", "true")];
    // Again and again, so that answers come from the caches.
    for round in 0..4 {
        for (client, activid) in &clients {
            let mut client = client.clone();
            let answer = client.query("/Users", &parameters);
            let (media, list, id) = if *activid {
                ("application/json+scim", "resources", "0")
            } else {
                ("application/scim+json", "Resources", "corp.")
            };
            assert_eq!(answer.header("content-type"), Some(media), "round {round}");
            let answer = answer.expect(200);
            let shown = resources(&answer, list)[0]["id"].as_str().unwrap();
            assert!(shown.starts_with(id), "round {round}: {shown}");
            assert_eq!(answer.get("totalResults").is_none(), *activid);
        }
    }
}

#[test]
fn one_user_is_read_and_written_in_both() {
    let bridge = TestBridge::start(&settings(Slapd::shared()));
    let (mut rfc, mut activid) = (bridge.client(), bridge.client_as(AGENT));
    let uid = company::person(23).uid;
    let bound = activid
        .patch(
            &format!("/Users/0?externalId={uid}"),
            &json!({ "Operations": [
            { "op": "add", "path": "nickName", "value": "x" }] }),
        )
        .expect(200);
    let number = bound["id"].as_str().unwrap();
    let filter = format!("userName eq \"{uid}\"");
    let list = rfc.query("/Users", &[("filter", &filter)]).expect(200);
    let canonical = resources(&list, "Resources")[0]["id"].as_str().unwrap().to_owned();
    assert!(canonical.starts_with("corp."), "{canonical}");
    for id in [number, &canonical] {
        for _ in 0..3 {
            let path = format!("/Users/{id}");
            let (plain, shown) = (rfc.get(&path).expect(200), activid.get(&path).expect(200));
            assert_eq!((&plain["id"], &shown["id"]), (&json!(canonical), &json!(number)));
            assert!(plain["meta"]["version"].as_str().unwrap().starts_with("W/\"1"), "{plain}");
            assert_eq!(shown["meta"]["version"], "1");
            let location = plain["meta"]["location"].as_str().unwrap();
            assert!(location.ends_with(&format!("/Users/{canonical}")), "{location}");
        }
    }
}

#[test]
fn references_are_shown_as_ids_are() {
    let bridge = TestBridge::start(&settings(Slapd::shared()));
    let (mut rfc, mut activid) = (bridge.client(), bridge.client_as(AGENT));
    let user = rfc.post("/Users", &json!({ "userName": "ann" })).expect(201);
    let user_id = user["id"].as_str().unwrap();
    let inner = json!({ "displayName": "inner", "members": [{ "value": user_id }] });
    let inner = rfc.post("/Groups", &inner).expect(201);
    let outer = json!({ "displayName": "outer", "members": [
        { "value": inner["id"] }, { "value": user_id }] });
    let outer = rfc.post("/Groups", &outer).expect(201);

    let shown = activid.get(&format!("/Users/{user_id}")).expect(200);
    let number = shown["id"].as_str().unwrap();
    let groups = shown["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 2, "{groups:?}");
    for group in groups {
        let value = group["value"].as_str().unwrap();
        assert!(value.parse::<u64>().is_ok(), "{group}");
        assert!(group["$ref"].as_str().unwrap().ends_with(&format!("/Groups/{value}")), "{group}");
        assert_eq!(group["type"], "Group");
        let told = activid.get(&format!("/Groups/{value}")).expect(200);
        assert_eq!((&told["id"], &told["displayName"]), (&group["value"], &group["display"]));
        // A filter by what is shown finds what is shown.
        let filter = format!("groups.value eq {value}");
        let list = activid.query("/Users", &[("filter", &filter)]).expect(200);
        assert_eq!(listed(&list)[0]["id"], number);
    }
    let list = activid.query("/Users", &[("filter", &format!("id eq {number}"))]).expect(200);
    assert_eq!((listed(&list).len(), &list["totalResults"]), (1, &json!(1)));
    let list = activid.query("/Users", &[("filter", "id eq 99999999")]).expect(200);
    assert_eq!(listed(&list).len(), 0);

    // Subgroups alone stand among the members here; the other dialect has both.
    let path = format!("/Groups/{}", outer["id"].as_str().unwrap());
    let members = activid.get(&path).expect(200)["members"].as_array().unwrap().clone();
    assert_eq!(members.len(), 1, "{members:?}");
    assert_eq!(members[0]["display"], "inner");
    assert_eq!(rfc.get(&path).expect(200)["members"].as_array().unwrap().len(), 2);
    // So that what was read can be sent back, with a subgroup more or less, and no user is lost.
    let mut body = activid.get(&path).expect(200);
    body["members"] = json!([]);
    let put = activid.put(&path, &body).expect(200);
    assert_eq!(put.get("members").and_then(Value::as_array).map_or(0, Vec::len), 0);
    let left = rfc.get(&path).expect(200)["members"].as_array().unwrap().clone();
    assert_eq!((left.len(), &left[0]["value"]), (1, &user["id"]));
}

#[test]
fn a_plan_of_one_dialect_is_none_of_the_others() {
    let bridge = TestBridge::start(&settings(Slapd::shared()));
    let (mut rfc, mut activid) = (bridge.client(), bridge.client_as(AGENT));
    let prefix: String = company::person(2).uid.chars().take(6).collect();
    let filter = format!("userName eq \"{prefix}*\"");
    let parameters = [("filter", &*filter), ("searchRepositories", "true")];
    for _ in 0..3 {
        let plain = rfc.query("/Users", &parameters).expect(200);
        assert_eq!(resources(&plain, "Resources").len(), 0, "a star is a star");
        let wild = activid.query("/Users", &parameters).expect(200);
        assert!(resources(&wild, "resources").len() > 1, "and here any characters");
    }
}
