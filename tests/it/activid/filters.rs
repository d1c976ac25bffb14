//! Filters as ActivID's clients write them, over the store and a directory at once: whoever is
//! selected is selected wherever the person is kept.

use serde_json::{Value, json};

use super::{external_ids, listed, over, user};
use crate::support::bridge::TestBridge;
use crate::support::company::{self, Person};
use crate::support::slapd::Slapd;

const PEOPLE: usize = 200;

fn sorted(people: impl Iterator<Item = String>) -> Vec<String> {
    let mut people: Vec<String> = people.collect();
    people.sort_unstable();
    people
}

/// Whether a text is like a pattern, slowly.
fn like(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern.eq_ignore_ascii_case(text),
        Some((head, rest)) => {
            let starts =
                text.get(..head.len()).is_some_and(|start| start.eq_ignore_ascii_case(head));
            starts
                && (head.len()..=text.len())
                    .filter(|at| text.is_char_boundary(*at))
                    .any(|at| like(rest, &text[at..]))
        }
    }
}

#[test]
fn a_star_selects_the_same_in_store_and_directory() {
    let slapd = Slapd::company(PEOPLE);
    let bridge = TestBridge::start(&over(&slapd).tenant("max_results = 1000"));
    let mut client = bridge.client();
    // Of every person one more in the store, and every tenth is bound.
    let local = |person: &Person| format!("local.{}", person.uid);
    for person in (1..=40).map(company::person) {
        user(&mut client, &local(&person), &person.sn);
    }
    for person in (1..=PEOPLE).step_by(10).map(company::person) {
        let patch = json!({ "Operations": [{ "op": "add", "path": "nickName", "value": "x" }] });
        client.patch(&format!("/Users/0?externalId={}", person.uid), &patch).expect(200);
    }
    let everybody: Vec<String> = (1..=PEOPLE)
        .map(|number| company::person(number).uid)
        .chain((1..=40).map(|number| local(&company::person(number))))
        .collect();
    for (operator, value, pattern) in [
        ("eq", "u00*1*", "u00*1*"),
        ("eq", "*.*s", "*.*s"),
        ("eq", "*", "*"),
        ("eq", "U0*0", "u0*0"),
        ("sw", "local.*1", "local.*1*"),
        ("ew", "l*0", "*l*0"),
        ("co", "a*.*e", "*a*.*e*"),
        ("eq", "nobody*", "nobody*"),
        ("eq", "a*n*e*.*", "a*n*e*.*"),
    ] {
        let filter = format!("username {operator} {value}");
        let parameters = [("filter", &*filter), ("searchRepositories", "true"), ("count", "1000")];
        let list = client.query("/Users", &parameters).expect(200);
        let expected = sorted(everybody.iter().filter(|one| like(pattern, one)).cloned());
        assert_eq!(external_ids(&list), expected, "{filter}");
    }
}

#[test]
fn the_documents_own_filters_are_answered() {
    let bridge = TestBridge::start(&over(Slapd::shared()));
    let mut client = bridge.client();
    user(&mut client, "12345", "Smith");
    user(&mut client, "jsmith", "Smith");
    let group = client.post("/Groups", &json!({ "displayName": "staff" })).expect(200);
    let id = group["id"].as_str().unwrap();
    let jsmith = listed(&client.query("/Users", &[("filter", "username eq jsmith")]).expect(200));
    let members = json!({ "Operations": [{ "op": "add", "path": "members",
                          "value": [{ "value": jsmith[0]["id"] }] }] });
    client.patch(&format!("/Groups/{id}"), &members).expect(200);
    let mut ask = |filter: &str| -> Vec<String> {
        let body = json!({ "filter": filter, "sortBy": "id", "sortOrder": "descending", "startIndex": 0, "count": 100 });
        external_ids(&client.post("/Users/.search", &body).expect(200))
    };
    assert_eq!(ask("externalId eq 12345"), ["12345"]);
    assert_eq!(ask("username eq j* and externalid sw js*"), ["jsmith"]);
    assert_eq!(ask(&format!("groups.value eq {id}")), ["jsmith"]);
    assert_eq!(ask(&format!("groups eq \"{id}\"")), ["jsmith"]);
    assert_eq!(ask(&format!("(groups.value eq {id}) and (username pr)")), ["jsmith"]);
    assert_eq!(ask("role eq RL_AUDITV"), [""; 0]);
    assert_eq!(ask("name.familyName eq Smith"), ["12345", "jsmith"]);
}

#[test]
fn a_repository_and_a_kind_of_user_can_be_asked_for() {
    let slapd = Slapd::shared();
    let bridge = TestBridge::start(&over(slapd).repository("lab", &slapd.url()));
    let mut client = bridge.client();
    let person = company::person(31);
    let patch = json!({ "Operations": [{ "op": "add", "path": "nickName", "value": "x" }] });
    let of_lab = format!("/Users/0?externalId={}&userRepositoryId=lab", person.uid);
    client.patch(&of_lab, &patch).expect(200);
    let mut kinds = |more: &str| -> Vec<Value> {
        let filter = format!("externalid eq {}{more}", person.uid);
        let parameters = [("filter", &*filter), ("searchRepositories", "true")];
        let list = client.query("/Users", &parameters).expect(200);
        let mut kinds: Vec<Value> =
            listed(&list).iter().map(|user| user["userType"].clone()).collect();
        kinds.sort_unstable_by_key(Value::to_string);
        kinds
    };
    assert_eq!(kinds(""), ["FTRESS_LDAP", "LDAP"]);
    assert_eq!(kinds(" and userRepositoryID eq corp"), ["LDAP"]);
    assert_eq!(kinds(" and userRepositoryId eq \"lab\""), ["FTRESS_LDAP"]);
    assert_eq!(kinds(" and usertype eq LDAP"), ["LDAP"]);
    assert_eq!(kinds(" and userType eq FTRESS_LDAP"), ["FTRESS_LDAP"]);
    assert_eq!(kinds(" and userType eq FTRESS"), [Value::Null; 0]);
}
