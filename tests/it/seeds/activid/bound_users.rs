//! "Search for Users", of those whom an LDAP directory knows: `userType`, `searchRepositories` and
//! `userRepositoryID`; and how such a user is bound.

use serde_json::{Value, json};

use super::{external_ids, id, tenant};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;
use crate::support::company;
use crate::support::slapd::Slapd;

/// Whom a search of the repositories finds.
fn found(client: &mut Client, filter: &str) -> Vec<String> {
    let request = json!({ "filter": filter, "count": 100, "searchRepositories": true });
    external_ids(&client.post("/Users/.search", &request).expect(200))
}

/// One of each kind, by `externalId`: in the database only, in the directory only, in both.
fn one_of_each(client: &mut Client) -> [String; 3] {
    let (ldap, both) = (company::person(51).uid, company::person(53).uid);
    let local = json!({ "externalId": "visitor", "name": { "givenName": "Visitor" } });
    assert_eq!(client.post("/Users", &local).expect(200)["userType"], "FTRESS");
    let bound = client.post("/Users", &json!({ "externalId": both })).expect(200);
    assert_eq!(bound["userType"], "FTRESS_LDAP");
    ["visitor".to_owned(), ldap, both]
}

#[test]
fn users_are_searched_for_by_their_assignment_to_a_repository() {
    let bridge = TestBridge::start(&tenant(Settings::over(Slapd::shared())));
    let mut client = bridge.client();
    let [local, ldap, both] = one_of_each(&mut client);
    let three = ["visitor", &ldap, &both].map(|name| format!("externalid sw {name} and "));
    for (kind, expected) in [("FTRESS", &local), ("LDAP", &ldap), ("FTRESS_LDAP", &both)] {
        let of_kind = format!("usertype eq {kind}");
        let all: Vec<String> =
            three.iter().flat_map(|one| found(&mut client, &format!("{one}{of_kind}"))).collect();
        assert_eq!(all, [expected.as_str()], "{kind}");
    }
    // "users that have been provisioned through a specific user repository"
    for (name, repository, expected) in
        [(&ldap, "corp", 1), (&both, "corp", 1), (&both, "other", 0), (&local, "corp", 0)]
    {
        let filter = format!("externalid eq {name} and userRepositoryID eq {repository}");
        assert_eq!(found(&mut client, &filter).len(), expected, "{filter}");
    }
    // "the default value is false": only who is bound, "FTRESS or FTRESS_LDAP".
    let mut bound = external_ids(&client.get("/Users").expect(200));
    bound.sort();
    let mut expected = [both.clone(), local];
    expected.sort();
    assert_eq!(bound, expected);
    let plain = client.query("/Users", &[("filter", &format!("externalid eq {ldap}"))]);
    assert_eq!(plain.expect(200)["totalResults"], 0);
}

/// "To use the userType filter, the searchRepositories parameter must be set to true", and then
/// "startIndex must not be specified or set to 0".
#[test]
fn what_a_search_of_the_repositories_asks_for_and_forbids() {
    let bridge = TestBridge::start(&tenant(Settings::over(Slapd::shared())));
    let mut client = bridge.client();
    let person = company::person(55);
    let request = |more: Value| {
        let mut request = json!({ "filter": format!("externalid eq {} and usertype eq LDAP", person.uid), "searchRepositories": true });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    for (more, scim_type, code) in [
        (json!({ "searchRepositories": false }), "invalidFilter", 1006),
        (json!({ "startIndex": 1 }), "invalidValue", 1009),
    ] {
        let refused = client.post("/Users/.search", &request(more)).expect(400);
        assert_eq!(
            (&refused["scimType"], &refused["errorCode"]),
            (&json!(scim_type), &json!(code))
        );
    }
    for more in [json!({}), json!({ "startIndex": 0 })] {
        let list = client.post("/Users/.search", &request(more)).expect(200);
        assert_eq!(external_ids(&list), [person.uid.as_str()]);
    }
    // The 100 rows hold here, too; of people who are not bound there is no total.
    let many = json!({ "filter": "usertype eq LDAP", "count": 500, "searchRepositories": true });
    let list = client.post("/Users/.search", &many).expect(200);
    assert_eq!(external_ids(&list).len(), 100);
    assert_eq!(list.get("totalResults"), None);
}

/// The document does not say what binds. Here the first write does: a POST with the person's
/// `externalId`, which needs no name then, since the directory has it, or a write to `/Users/0`.
#[test]
fn a_post_with_the_external_id_of_a_directory_person_binds() {
    let bridge = TestBridge::start(&tenant(Settings::over(Slapd::shared())));
    let mut client = bridge.client();
    let person = company::person(57);
    let filter = |kind: &str| format!("externalid eq {} and usertype eq {kind}", person.uid);
    assert_eq!(found(&mut client, &filter("LDAP")).len(), 1);
    let unbound = client.get(&format!("/Users/0?externalId={}", person.uid)).expect(200);
    assert_eq!((&unbound["id"], &unbound["userType"]), (&json!("0"), &json!("LDAP")));
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "externalId": person.uid,
        "groups": [{ "value": "USG_FTEMP" }],
        "roles": [{ "value": "RL_AUDITV" }],
    });
    let answer = client.post("/Users", &body);
    let location = answer.header("location").unwrap().to_owned();
    let bound = answer.expect(200);
    assert!(location.ends_with(&format!("/Users/{}", id(&bound))), "{location}");
    assert!(id(&bound).parse::<u64>().is_ok_and(|number| number > 0), "{bound}");
    assert_eq!(bound["userType"], "FTRESS_LDAP");
    for name in ["externalId", "userName", "name", "emails"] {
        assert_eq!(bound[name], unbound[name], "{name} is the directory's");
    }
    assert_eq!(bound["groups"][0]["value"], "USG_FTEMP");
    assert_eq!(bound["roles"][0]["value"], "RL_AUDITV");
    assert_eq!(found(&mut client, &filter("LDAP")).len(), 0);
    assert_eq!(found(&mut client, &filter("FTRESS_LDAP")).len(), 1);
    let again = client.post("/Users", &body).expect(409);
    // It names the user by the longest of its ids, which leads there as the number does.
    let long = format!("corp.{}", person.entry_uuid);
    assert!(again["detail"].as_str().unwrap().contains(&long), "{again}");
    assert_eq!(client.get(&format!("/Users/{long}")).expect(200)["id"], bound["id"]);
}
