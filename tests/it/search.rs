//! One list over the store and the directories: who is found, in which order, and what the report
//! says about the sources.

use serde_json::{Value, json};

use crate::support::bridge::{Settings, TestBridge};
use crate::support::company::{self, Person};
use crate::support::slapd::{Options, SHARED_PEOPLE, Slapd};

const REPORT: &str = "urn:scimbridge:api:messages:2.0:Repositories";
const SOURCE: &str = "urn:scimbridge:schemas:2.0:Source";

fn people() -> impl Iterator<Item = Person> {
    (1..=SHARED_PEOPLE).map(company::person)
}

fn names(list: &Value) -> Vec<String> {
    let resources = list["Resources"].as_array().cloned().unwrap_or_default();
    resources.iter().map(|user| user["userName"].as_str().unwrap().to_owned()).collect()
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

#[test]
fn local_and_directory_people_come_as_one_list() {
    let bridge = TestBridge::start(&Settings::over(Slapd::shared()));
    let mut client = bridge.client();
    let person = company::person(77);
    let local = json!({ "userName": "visitor", "name": { "familyName": person.sn } });
    client.post("/Users", &local).expect(201);
    let filter = format!("name.familyName eq {}", json!(person.sn));
    let list =
        client.query("/Users", &[("filter", &filter), ("searchRepositories", "true")]).expect(200);
    let mut expected: Vec<String> =
        people().filter(|one| one.sn == person.sn).map(|one| one.uid).collect();
    expected.push("visitor".to_owned());
    assert_eq!(sorted(names(&list)), sorted(expected.clone()));
    assert_eq!(list["totalResults"], expected.len());
    assert_eq!(list[REPORT][0]["id"], "corp");
    assert_eq!(list[REPORT][0]["state"], "ok");
    assert_eq!(list[REPORT][0]["found"], expected.len() - 1);
    assert_eq!(list[REPORT][0]["scan"], false);
    let types: Vec<&Value> =
        list["Resources"].as_array().unwrap().iter().map(|user| &user["userType"]).collect();
    assert!(types.contains(&&json!("FTRESS")) && types.contains(&&json!("LDAP")), "{types:?}");
    let found = list["Resources"].as_array().unwrap();
    let unbound = found.iter().find(|user| user["userType"] == "LDAP").unwrap();
    assert_eq!(unbound[SOURCE]["userRepositoryId"], "corp");
    assert!(unbound[SOURCE]["dn"].is_string() && unbound[SOURCE]["entryKey"].is_string());

    // Without repositories the directory stays out of it.
    let list = client.query("/Users", &[("filter", &filter)]).expect(200);
    assert_eq!(names(&list), ["visitor"]);
    assert_eq!(list.get(REPORT), None);
    // The same by POST, on the type and on the root.
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
        "filter": filter, "searchRepositories": true, "attributes": ["userName"] });
    for path in ["/Users/.search", "/.search"] {
        let list = client.post(path, &body).expect(200);
        assert_eq!(list["totalResults"], expected.len());
        assert_eq!(list["Resources"][0].get("name"), None);
    }
}

#[test]
fn filters_are_pushed_down_so_a_small_size_limit_is_enough() {
    let settings = Settings::over(Slapd::shared()).with("size_limit = 50");
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let person = company::person(123);
    let mail = person.mails.first().expect("a mail").clone();
    let prefix: String = mail.chars().take(5).collect();
    let same_name = |one: &Person| one.sn == person.sn;
    let starts = |one: &Person| one.mails.iter().any(|mail| mail.starts_with(&prefix));
    let cases: Vec<(String, Vec<String>)> = vec![
        (
            format!("name.familyName eq {}", json!(person.sn)),
            people().filter(same_name).map(|one| one.uid).collect(),
        ),
        (
            format!("emails.value sw {}", json!(prefix.to_uppercase())),
            people().filter(starts).map(|one| one.uid).collect(),
        ),
        (
            format!(
                "name.familyName eq {} and emails.value sw {}",
                json!(person.sn),
                json!(prefix)
            ),
            people().filter(|one| same_name(one) && starts(one)).map(|one| one.uid).collect(),
        ),
        (
            format!(
                "userName eq {} or (name.familyName eq {} and not (userName eq {}))",
                json!(company::person(9).uid),
                json!(person.sn),
                json!(person.uid)
            ),
            people()
                .filter(|one| one.number == 9 || (same_name(one) && one.number != 123))
                .map(|one| one.uid)
                .collect(),
        ),
    ];
    for (filter, expected) in cases {
        let list = client
            .query("/Users", &[("filter", &filter), ("searchRepositories", "true")])
            .expect(200);
        assert_eq!(sorted(names(&list)), sorted(expected), "{filter}");
        assert_eq!(list[REPORT][0]["state"], "ok", "{filter}");
        assert_eq!(list[REPORT][0]["scan"], false, "{filter}");
    }
}

#[test]
fn what_the_size_limit_cuts_is_said_and_proves_no_absence() {
    let settings = Settings::over(Slapd::shared()).with("size_limit = 50");
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let list = client
        .query("/Users", &[("filter", "userName pr"), ("searchRepositories", "true")])
        .expect(200);
    assert_eq!(list[REPORT][0]["state"], "truncated");
    assert!(!names(&list).is_empty());
    let next = client.query(
        "/Users",
        &[("filter", "userName pr"), ("searchRepositories", "true"), ("startIndex", "11")],
    );
    assert_eq!(next.expect(400)["scimType"], "tooMany");
    // Nothing of this can be sent; nobody among the first 50 has it; so nobody knows.
    let unknown = client.query(
        "/Users",
        &[("filter", "name.familyName gt \"\u{10fffd}\""), ("searchRepositories", "true")],
    );
    assert_eq!(unknown.status, 503);
    assert!(unknown.header("retry-after").is_some());
}

#[test]
fn a_scan_is_marked_and_can_be_forbidden() {
    let filter = "title co \"\" or nickName eq \"x\" or name.familyName lt \"b\"";
    let parameters = [("filter", filter), ("searchRepositories", "true")];
    let bridge = TestBridge::start(&Settings::over(Slapd::shared()).with("size_limit = 2000"));
    let list = bridge.client().query("/Users", &parameters).expect(200);
    assert!(list[REPORT][0]["scan"].is_boolean());
    let nothing = [("filter", "not (nickName pr)"), ("searchRepositories", "true")];
    let list = bridge.client().query("/Users", &nothing).expect(200);
    assert_eq!(list["totalResults"], SHARED_PEOPLE);
    assert_eq!(list[REPORT][0]["scan"], true);
    let strict = TestBridge::start(&Settings::over(Slapd::shared()).tenant("allow_scan = false"));
    assert_eq!(strict.client().query("/Users", &nothing).expect(400)["scimType"], "tooMany");
}

#[test]
fn user_types_and_repositories_are_routed() {
    let bridge = TestBridge::start(&Settings::over(Slapd::shared()));
    let mut client = bridge.client();
    client.post("/Users", &json!({ "userName": "local.one" })).expect(201);
    let person = company::person(31);
    let patch = json!({ "Operations": [{ "op": "add", "path": "nickName", "value": "n" }] });
    client.patch(&format!("/Users/corp.{}", person.entry_uuid), &patch).expect(200);
    let mut ask = |filter: &str| {
        let parameters = [("filter", filter), ("searchRepositories", "true"), ("count", "5")];
        client.query("/Users", &parameters).expect(200)
    };
    let local = ask("userType eq \"FTRESS\"");
    assert_eq!(names(&local), ["local.one"]);
    assert_eq!(local[REPORT], json!([]), "no repository was asked");
    let bound = ask("userType eq FTRESS_LDAP");
    assert_eq!(names(&bound), [person.uid.as_str()]);
    let unbound = ask("userType eq \"LDAP\"");
    assert_eq!(unbound["totalResults"], SHARED_PEOPLE - 1);
    let all = ask("userType pr");
    assert_eq!(all["totalResults"], SHARED_PEOPLE + 1);
    let here = ask("userRepositoryId eq \"corp\"");
    assert_eq!(here["totalResults"], SHARED_PEOPLE);
    let elsewhere = ask("userRepositoryId eq \"other\"");
    assert_eq!(elsewhere["totalResults"], 0);
    assert_eq!(elsewhere[REPORT], json!([]));
    let own = ask("nickName eq \"n\"");
    assert_eq!(names(&own), [person.uid.as_str()]);
}

#[test]
fn pages_of_a_sorted_list_hold_everybody_once() {
    let bridge = TestBridge::start(&Settings::over(Slapd::shared()).with("size_limit = 2000"));
    let mut client = bridge.client();
    for number in 1..=7 {
        client.post("/Users", &json!({ "userName": format!("local.{number}") })).expect(201);
    }
    for (sort_by, order) in [("userName", "ascending"), ("name.familyName", "descending")] {
        let mut seen = Vec::new();
        let mut start = 1;
        loop {
            let list = client
                .query(
                    "/Users",
                    &[
                        ("searchRepositories", "true"),
                        ("startIndex", &start.to_string()),
                        ("count", "100"),
                        ("sortBy", sort_by),
                        ("sortOrder", order),
                    ],
                )
                .expect(200);
            assert_eq!(list["totalResults"], SHARED_PEOPLE + 7);
            let page = names(&list);
            if page.is_empty() {
                break;
            }
            start += page.len();
            seen.extend(page);
        }
        assert_eq!(seen.len(), SHARED_PEOPLE + 7);
        if sort_by == "userName" {
            assert!(seen.is_sorted_by_key(|name| name.to_lowercase()), "in order");
        }
        assert_eq!(sorted(seen).windows(2).filter(|two| two[0] == two[1]).count(), 0);
    }
}

#[test]
fn injections_find_nobody_and_break_nothing() {
    let bridge = TestBridge::start(&Settings::over(Slapd::shared()).with("size_limit = 2000"));
    let mut client = bridge.client();
    client.post("/Users", &json!({ "userName": "under_score" })).expect(201);
    client.post("/Users", &json!({ "userName": "per%cent" })).expect(201);
    let attempts = [
        "*",
        "*)(uid=*",
        "*)(objectClass=*))(|(uid=*",
        "\\2a",
        "\\",
        "u0000002)(",
        "(&)",
        "%",
        "_",
        "u_______",
        "' OR 1=1 --",
        "\"",
        "cn=x,dc=y",
        "+<>;=#",
        "\u{7f}",
        "u0000002\\00",
    ];
    for attempt in attempts {
        for path in ["userName", "externalId", "name.familyName", "emails.value", "displayName"] {
            for searched in ["true", "false"] {
                let filter = format!("{path} eq {}", json!(attempt));
                let parameters = [("filter", filter.as_str()), ("searchRepositories", searched)];
                let list = client.query("/Users", &parameters).expect(200);
                assert_eq!(list["totalResults"], 0, "{filter}");
            }
        }
    }
    for (attempt, expected) in [("under_", 1), ("under%", 0), ("per%", 1), ("per_", 0)] {
        let filter = format!("userName sw {}", json!(attempt));
        let list = client.query("/Users", &[("filter", &filter)]).expect(200);
        assert_eq!(list["totalResults"], expected, "{filter}");
    }
    let nul = client.query("/Users", &[("filter", "userName eq \"a\\u0000b\"")]);
    assert_eq!(nul.expect(400)["scimType"], "invalidFilter");
}

#[test]
fn a_bad_filter_is_told_where_it_is_bad() {
    let bridge = TestBridge::start(&Settings::local());
    let mut client = bridge.client();
    let mut detail = |filter: &str| {
        let answer = client.query("/Users", &[("filter", filter)]).expect(400);
        assert_eq!(answer["scimType"], "invalidFilter", "{filter}");
        answer["detail"].as_str().unwrap().to_owned()
    };
    assert!(detail("userName eq").contains("12"), "the position is named");
    detail("userName xx \"a\"");
    detail("(userName eq \"a\"");
    detail("active gt true");
    let deep = format!("{}userName pr{}", "(".repeat(5000), ")".repeat(5000));
    detail(&deep);
    detail(&format!("userName eq \"{}\"", "x".repeat(9000)));
}

#[test]
fn the_same_name_twice_is_two_users_each_marked() {
    let other = Slapd::start(Options { people: 50, ..Options::default() });
    let shared = Slapd::shared();
    let settings = Settings::over(shared).repository("branch", &other.url());
    let person = company::person(5);
    let filter = format!("userName eq {}", json!(person.uid));
    let parameters = [("filter", filter.as_str()), ("searchRepositories", "true")];
    let bridge = TestBridge::start(&settings);
    let list = bridge.client().query("/Users", &parameters).expect(200);
    assert_eq!(list["totalResults"], 2);
    for user in list["Resources"].as_array().unwrap() {
        let own = user["id"].as_str().unwrap();
        let conflict = user[SOURCE]["conflict"][0].as_str().unwrap();
        assert!(conflict != own && conflict.ends_with(&person.entry_uuid), "{user}");
    }
    let first = TestBridge::start(&settings.tenant("on_conflict = \"first\""));
    let list = first.client().query("/Users", &parameters).expect(200);
    assert_eq!(list["totalResults"], 1);
    assert_eq!(list["Resources"][0][SOURCE]["userRepositoryId"], "corp");
}

#[test]
fn photos_come_only_when_asked_for() {
    let bridge = TestBridge::start(&Settings::over(Slapd::shared()));
    let mut client = bridge.client();
    let person = people().find(|one| one.photo.is_some()).unwrap();
    let path = format!("/Users/corp.{}", person.entry_uuid);
    assert_eq!(client.get(&path).expect(200).get("photos"), None);
    let asked = client.get(&format!("{path}?attributes=userName,photos")).expect(200);
    assert!(asked["photos"][0]["value"].is_string(), "{asked}");
    assert_eq!(client.get(&path).expect(200).get("photos"), None, "and are not kept for others");
}
