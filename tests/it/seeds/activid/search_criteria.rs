//! "Search for Users": the table of criteria, pages, and sorting.

use serde_json::{Value, json};

use super::{ATTRIBUTE, external_ids, id, tenant};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;

fn found(client: &mut Client, filter: &str) -> Vec<String> {
    external_ids(&client.query("/Users", &[("filter", filter)]).expect(200))
}

/// Two users: every criterion but `pr` is to find the first alone.
fn two(client: &mut Client) {
    for body in [
        json!({ "externalId": "alpha-1", "name": { "givenName": "John", "familyName": "Smith" },
            "title": "Dr.", "emails": [{ "value": "js@company.com" }],
            "phoneNumbers": [{ "value": "0123456789" }], "addresses": [{ "formatted": "Main Street" }],
            "groups": [{ "value": "USG_FTEMP" }], "roles": [{ "value": "RL_AUDITV" }] }),
        json!({ "externalId": "beta-2", "name": { "givenName": "Jane", "familyName": "Roe" },
            "active": false, "groups": [{ "value": "USG_CUST2" }] }),
    ] {
        client.post("/Users", &body).expect(200);
    }
}

#[test]
fn the_supported_search_criteria() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    two(&mut client);
    for (attribute, [whole, middle, end, start], present) in [
        ("username", ["alpha-1", "pha", "-1", "alp"], 2),
        ("externalid", ["alpha-1", "pha", "-1", "alp"], 2),
        ("displayname", ["\"John Smith\"", "\"hn Sm\"", "ith", "joh"], 2),
        ("role", ["RL_AUDITV", "AUDIT", "ITV", "RL_"], 1),
    ] {
        for (operator, value) in [("eq", whole), ("co", middle), ("ew", end), ("sw", start)] {
            let filter = format!("{attribute} {operator} {value}");
            assert_eq!(found(&mut client, &filter), ["alpha-1"], "{filter}");
        }
        assert_eq!(found(&mut client, &format!("{attribute} pr")).len(), present, "{attribute}");
    }
    // `eq` alone. `userType` and `userRepositoryId` stand with the users of a directory.
    for filter in [
        "groups.value eq USG_FTEMP",
        "title eq dr.",
        "active eq true",
        "name.givenName eq John",
        "name.familyName eq Smith",
        "emails.value eq js@company.com",
        "phoneNumbers.value eq 0123456789",
        "addresses.formatted eq \"Main Street\"",
    ] {
        assert_eq!(found(&mut client, filter), ["alpha-1"], "{filter}");
    }
}

/// `and`, parentheses and one criterion on `UserAttribute` are what the document has; here the whole
/// language of RFC 7644 section 3.4.2.2 is answered.
#[test]
fn what_is_answered_beyond_the_document() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    two(&mut client);
    let attribute = |name: &str, value: &str| {
        format!("{ATTRIBUTE}:attributes.name eq {name} and {ATTRIBUTE}:attributes.value eq {value}")
    };
    let (john, smith) = (attribute("FIRSTNAME", "John"), attribute("LASTNAME", "Smith"));
    for (filter, expected) in [
        (format!("{john} and {smith}"), &["alpha-1"][..]),
        // Name and value are those of one and the same attribute.
        (attribute("LASTNAME", "John"), &[]),
        ("title co r and groups.value sw USG_F".to_owned(), &["alpha-1"]),
        ("not (title pr)".to_owned(), &["beta-2"]),
    ] {
        assert_eq!(found(&mut client, &filter), expected, "{filter}");
    }
    let either = "username eq alpha-1 or username eq beta-2";
    assert_eq!(found(&mut client, either).len(), 2);
    let refused = client.query("/Users", &[("filter", "username like alpha")]).expect(400);
    assert_eq!(
        (&refused["scimType"], &refused["errorCode"]),
        (&json!("invalidFilter"), &json!(1006))
    );
}

/// "The maximum number of rows returned per request is 100, even if you specify a higher count value."
#[test]
fn a_list_of_more_than_100_is_read_in_pages() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    for number in 0..105 {
        let body = json!({ "externalId": format!("f{number:03}"), "name": { "givenName": "F" } });
        client.post("/Users", &body).expect(200);
    }
    let mut page = |start_index: u32| {
        let request =
            json!({ "filter": "username eq f*", "startIndex": start_index, "count": 500 });
        client.post("/Users/.search", &request).expect(200)
    };
    let first = page(1);
    assert_eq!(page(0), first, "0 is the same page as 1");
    assert_eq!((&first["totalResults"], &first["itemsPerPage"]), (&json!(105), &json!(100)));
    let last = page(101);
    assert_eq!((&last["totalResults"], &last["startIndex"]), (&json!(105), &json!(101)));
    let mut all = external_ids(&first);
    all.extend(external_ids(&last));
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 105, "each is on one page");
}

/// "Sorting the User search results is available with API version 7": below it `sortBy` and `sortOrder`
/// are unsupported input, and are passed over, as the document's own requests hold them.
#[test]
fn sorting_begins_with_version_7() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let mut client = bridge.client();
    let mut made: Vec<String> = ["b", "c", "a"]
        .iter()
        .map(|name| json!({ "externalId": name, "name": { "givenName": "Smith" } }))
        .map(|body| id(&client.post("/Users", &body).expect(200)))
        .collect();
    made.reverse();
    let request = json!({
        "filter": "displayName sw \"smith\"",
        "sortBy": "id", "sortOrder": "descending", "startIndex": 1, "count": 100,
    });
    let mut ask = |version: &str| {
        let path = format!("/Users/.search?api-version={version}");
        client.post(&path, &request).expect(200)["resources"].clone()
    };
    let ids = |list: &Value| list.as_array().unwrap().iter().map(id).collect::<Vec<_>>();
    assert_eq!(ids(&ask("7")), made);
    let unsorted = ask("6");
    assert_ne!(ids(&unsorted), made);
    assert_eq!(external_ids(&json!({ "resources": unsorted })), ["a", "b", "c"]);
}

/// The samples' requests as they are printed are no JSON.
#[test]
fn a_request_as_it_is_printed() {
    let bridge = TestBridge::start(&tenant(Settings::local()));
    let printed = "{\n  filter: \"displayName sw \\\"smith\\\"\",\n  sortBy: \"id\";\n}";
    let mut client = bridge.client();
    let refused = client.send("POST", "/Users/.search", &[], printed.as_bytes()).expect(400);
    assert_eq!(
        (&refused["scimType"], &refused["errorCode"]),
        (&json!("invalidSyntax"), &json!(1006))
    );
}
