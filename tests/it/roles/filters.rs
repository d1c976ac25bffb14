//! Filters on roles and groups: what the database selects is what memory selects, also of roles that
//! come with groups, and of those that were given twice.

use scimbridge::scim::{Attributes, Filter, ResourceType};
use serde_json::{Value, json};

use super::{TABLES, operation, patch};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;

/// Everybody, by name, as a read shows them.
fn everybody(client: &mut Client) -> Vec<Attributes> {
    let list = client.get("/Users?count=1000&sortBy=userName").expect(200);
    let all = list["Resources"].as_array().unwrap().iter();
    all.map(|one| one.as_object().unwrap().clone()).collect()
}

fn names(found: &[Value]) -> Vec<&str> {
    found.iter().map(|one| one["userName"].as_str().unwrap()).collect()
}

/// One after the other out of a small space, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// A filter on roles, groups and names.
fn filter(dice: &mut Dice, depth: usize) -> String {
    let kind = if depth == 0 { dice.below(6) } else { dice.below(9) };
    let role = |dice: &mut Dice| {
        dice.one(&["RL_AUDITV", "rl_staff", "RL_CFGMGR", "poet", "RL_", "V", "none", "STAFF"])
    };
    let operator = |dice: &mut Dice| dice.one(&["eq", "ne", "co", "sw", "ew", "gt", "le"]);
    match kind {
        0 | 1 => {
            let operator = operator(dice);
            format!("roles.value {operator} \"{}\"", role(dice))
        }
        2 => dice
            .one(&["roles.value pr", "roles pr", "roles.display pr", "roles.value eq null"])
            .to_owned(),
        3 => format!("roles[value eq \"{}\"]", role(dice)),
        4 => {
            format!("groups.value eq \"{}\"", dice.one(&["UT_EMP", "USG_FTEMP", "USG_AUDIT", "x"]))
        }
        5 => match dice.below(3) {
            0 => format!("roles.display co \"{}\"", dice.one(&["Audit", "staff", "x"])),
            1 => format!("userName sw \"{}\"", dice.one(&["u0", "u1", "u"])),
            _ => format!("roles[value sw \"{}\" and display co \"a\"]", role(dice)),
        },
        6 => format!("not ({})", filter(dice, depth - 1)),
        7 => format!("({} and {})", filter(dice, depth - 1), filter(dice, depth - 1)),
        _ => format!("({} or {})", filter(dice, depth - 1), filter(dice, depth - 1)),
    }
}

#[test]
fn the_database_and_memory_select_the_same() {
    let bridge = TestBridge::start(&Settings::local().tenant("max_results = 1000").rest(TABLES));
    let mut client = bridge.client();
    let mut dice = Dice(7);
    let mut groups: Vec<Vec<Value>> = vec![Vec::new(); 3];
    for number in 0..24 {
        let roles: Vec<&str> = (0..dice.below(3))
            .map(|_| dice.one(&["RL_AUDITV", "RL_CFGMGR", "RL_STAFF", "poet", "Vates"]))
            .collect();
        let mut body = json!({ "userName": format!("u{}{number}", number % 3), "roles": roles });
        if number == 5 {
            body["roles"] = json!([{ "type": "of no value" }]);
        }
        let made = client.post("/Users", &body).expect(201);
        let place = dice.below(5);
        if let Some(group) = groups.get_mut(place) {
            group.push(json!({ "value": made["id"] }));
        }
    }
    for (id, members) in ["UT_EMP", "USG_FTEMP", "USG_AUDIT"].iter().zip(&groups) {
        patch(&mut client, &format!("/Groups/{id}"), &operation("add", "members", json!(members)))
            .expect(200);
    }
    let all = everybody(&mut client);
    assert!(all.iter().filter(|one| one.contains_key("roles")).count() > 15);
    let kind = ResourceType::user(&[]);
    let mut told = 0;
    for _ in 0..400 {
        let text = filter(&mut dice, 2);
        let filter = Filter::parse(&text, &kind).unwrap();
        let expected: Vec<&str> = all
            .iter()
            .filter(|one| filter.matches(one))
            .map(|one| one["userName"].as_str().unwrap())
            .collect();
        let found = client
            .query("/Users", &[("filter", &text), ("count", "1000"), ("sortBy", "userName")])
            .expect(200);
        assert_eq!(names(found["Resources"].as_array().unwrap()), expected, "{text}");
        assert_eq!(found["totalResults"], expected.len(), "{text}");
        told += usize::from(!expected.is_empty() && expected.len() < all.len());
    }
    assert!(told > 200, "most filters tell people apart: {told}");
    // Sorted by what groups bring along, too.
    let sorted = client.get("/Users?sortBy=roles.value&count=1000").expect(200);
    assert_eq!(sorted["totalResults"], all.len());
}

#[test]
fn a_role_is_found_through_its_groups_page_by_page() {
    let bridge = TestBridge::start(&Settings::local().tenant("dialect = \"activid\"").rest(TABLES));
    let mut client = bridge.client();
    for number in 0..7 {
        let groups = if number % 2 == 0 { json!([{ "value": "USG_AUDIT" }]) } else { json!([]) };
        let body = json!({ "externalId": format!("u{number}"), "userName": format!("u{number}"), "groups": groups,
            "name": { "familyName": "Doe", "givenName": "John" } });
        client.post("/Users", &body).expect(200);
    }
    for filter in
        ["roles.value eq RL_AUDITV", "roles.value sw rl_audit", "roles[value ew \"AUDITV\"]"]
    {
        let page = client
            .query("/Users", &[("filter", filter), ("count", "3"), ("startIndex", "2")])
            .expect(200);
        assert_eq!(
            (&page["totalResults"], &page["itemsPerPage"]),
            (&json!(4), &json!(3)),
            "{filter}"
        );
        assert_eq!(names(page["resources"].as_array().unwrap()), ["u2", "u4", "u6"]);
    }
}
