//! A directory that the configuration gives another id: its people stay who they are, under every id that
//! a client holds.

use serde_json::{Value, json};

use crate::support::bridge::{Settings, TestBridge};
use crate::support::company;
use crate::support::slapd::Slapd;

const SOURCE: &str = "urn:scimbridge:schemas:2.0:Source";
const RENAMED: &str = "rename_from = \"old\"";

fn settings(slapd: &Slapd, id: &str) -> Settings {
    Settings::local().repository(id, &slapd.url())
}

fn key(number: usize) -> String {
    company::person(number).entry_uuid
}

fn old(number: usize) -> String {
    format!("old.{}", key(number))
}

fn corp(number: usize) -> String {
    format!("corp.{}", key(number))
}

fn nick(value: &str) -> Value {
    json!({ "Operations": [{ "op": "add", "path": "nickName", "value": value }] })
}

#[test]
fn whoever_was_bound_stays_bound_and_every_id_goes_on_finding_the_same_person() {
    let slapd = Slapd::company(10);
    let mut bridge = TestBridge::start(&settings(&slapd, "old"));
    let mut client = bridge.client();
    for number in [2, 4] {
        client.patch(&format!("/Users/{}", old(number)), &nick("bound")).expect(200);
    }
    assert_eq!(client.delete(&format!("/Users/{}", old(4))).status, 204);
    client.get(&format!("/Users/{}", old(6))).expect(200);

    bridge.reconfigure(&settings(&slapd, "corp").with(RENAMED));
    let mut client = bridge.client();
    let mut get = |id: &str| client.get(&format!("/Users/{id}?attributes=nickName,{SOURCE}"));
    for id in [old(2), corp(2)] {
        let user = get(&id).expect(200);
        assert_eq!((&user["id"], &user["nickName"]), (&json!(old(2)), &json!("bound")), "{id}");
        assert_eq!(user[SOURCE]["userRepositoryId"], "corp", "{user}");
    }
    for id in [old(4), corp(4)] {
        assert_eq!(get(&id).status, 404, "{id}: deleted is deleted");
    }
    for id in [old(6), corp(6)] {
        assert_eq!(get(&id).expect(200)["id"], corp(6), "{id}: only the directory knows");
    }
    let mut client = bridge.client();
    let list = client.get("/Users?searchRepositories=true&count=100").expect(200);
    assert_eq!(list["totalResults"], 10, "everybody once: {list}");
    let bound = |user: &&Value| user["id"] == json!(old(2));
    let resources = list["Resources"].as_array().unwrap();
    assert_eq!(resources.iter().filter(bound).count(), 1, "{list}");
    // By the id of before, somebody is bound and made a member.
    let made = client.patch(&format!("/Users/{}", old(6)), &nick("late")).expect(200);
    assert_eq!(made["id"], corp(6));
    let members = json!([{ "value": old(8) }, { "value": old(2) }]);
    client.post("/Groups", &json!({ "displayName": "g", "members": members })).expect(201);
    assert_eq!(client.get(&format!("/Users/{}", old(8))).expect(200)["groups"][0]["display"], "g");

    // It stays in the file harmlessly.
    bridge.reconfigure(&settings(&slapd, "corp").with(RENAMED));
    assert_eq!(bridge.client().get(&format!("/Users/{}", old(6))).expect(200)["nickName"], "late");
    assert_eq!(bridge.log().matches("repository.renamed").count(), 1, "{}", bridge.log());
    let audit = bridge.audit();
    assert_eq!(
        audit.iter().filter(|action| *action == "repository.rename").count(),
        1,
        "{audit:?}"
    );
    // Without it, bound users are found by the ids that they had.
    bridge.reconfigure(&settings(&slapd, "corp"));
    assert_eq!(bridge.client().get(&format!("/Users/{}", old(2))).expect(200)["nickName"], "bound");
    assert_eq!(bridge.client().get(&format!("/Users/{}", old(3))).status, 404);
}

#[test]
fn whoever_is_bound_under_both_ids_is_named_and_nobody_is_moved() {
    let slapd = Slapd::company(10);
    let both = settings(&slapd, "old").repository("corp", &slapd.url());
    let mut bridge = TestBridge::start(&both);
    let mut client = bridge.client();
    for id in [old(2), old(4), corp(4)] {
        client.patch(&format!("/Users/{id}"), &nick(&id)).expect(200);
    }
    let told = bridge.refused(&settings(&slapd, "corp").with(RENAMED));
    assert!(told.contains(&key(4)) && !told.contains(&key(2)), "{told}");
    assert!(told.contains("nothing was moved") && told.contains("rename_from"), "{told}");
    bridge.reconfigure(&both);
    for id in [old(2), old(4), corp(4)] {
        assert_eq!(bridge.client().get(&format!("/Users/{id}")).expect(200)["nickName"], id);
    }
}
