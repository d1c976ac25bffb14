//! Groups and roles that rules give to people of a live directory: shown, found by, changed behind the
//! bridge's back, and never taken away by an outage.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;
use crate::support::slapd::{Options, SUFFIX, Slapd};
use crate::support::{company, eventually};

const REPORT: &str = "urn:scimbridge:api:messages:2.0:Repositories";

const NAMED: &str = r#"
[[tenant.role]]
id = "RL_AUDITV"
display = "Audit Viewer"
rank = 10
[[tenant.role]]
id = "RL_DESK"
display = "Help Desk"
[[tenant.group]]
id = "USG_FTEMP"
display = "Full Time Employees"
[[tenant.group]]
id = "USG_COMPANY"
display = "Company"
[[tenant.group]]
id = "USG_CIRCLE"
[[tenant.group]]
id = "USG_NOBODYS"
"#;

/// The unit of the first person, a filter, nested groups and a circle of groups.
fn rules() -> String {
    let unit = company::person(1).unit;
    format!(
        r#"
[[tenant.repository.rule]]
group = "USG_FTEMP"
base = "ou={unit},ou=people,{SUFFIX}"
roles = ["RL_AUDITV"]
[[tenant.repository.rule]]
group = "USG_COMPANY"
member_of = "cn=company,ou=groups,{SUFFIX}"
[[tenant.repository.rule]]
group = "USG_CIRCLE"
member_of = "cn=cycle-b,ou=groups,{SUFFIX}"
[[tenant.repository.rule]]
roles = ["RL_DESK"]
member_of = "cn=helpdesk,ou=groups,{SUFFIX}"
"#
    )
}

fn settings(slapd: &Slapd, cache: &str) -> Settings {
    Settings::over(slapd).with(&format!("cache = {{ {cache} }}\n{}", rules())).rest(NAMED)
}

const UNCACHED: &str = "fresh = \"0s\", negative = \"0s\", stale = \"0s\"";

fn find(client: &mut Client, filter: &str) -> Value {
    let query = [("searchRepositories", "true"), ("filter", filter), ("count", "100")];
    client.query("/Users", &query).expect(200)
}

fn person(client: &mut Client, number: usize) -> Value {
    let found = find(client, &format!("userName eq \"{}\"", company::person(number).uid));
    assert_eq!(found["totalResults"], 1, "{found}");
    found["Resources"][0].clone()
}

fn values<'a>(user: &'a Value, list: &str) -> BTreeSet<&'a str> {
    let elements = user[list].as_array().map_or(&[][..], Vec::as_slice);
    elements.iter().map(|element| element["value"].as_str().unwrap()).collect()
}

fn logins(found: &Value) -> BTreeSet<String> {
    let people = found["Resources"].as_array().unwrap();
    people.iter().map(|user| user["userName"].as_str().unwrap().to_owned()).collect()
}

fn everybody(people: usize, like: impl Fn(&company::Person) -> bool) -> BTreeSet<String> {
    let all = (1..=people).map(company::person);
    all.filter(like).map(|person| person.uid).collect()
}

#[test]
fn what_rules_give_is_shown_and_found_by() {
    let slapd = Slapd::company(30);
    let bridge = TestBridge::start(&settings(&slapd, UNCACHED));
    let mut client = bridge.client();
    let first = person(&mut client, 1);
    assert_eq!(first["userType"], "LDAP");
    assert_eq!(values(&first, "groups"), ["USG_CIRCLE", "USG_COMPANY", "USG_FTEMP"].into());
    assert_eq!(values(&first, "roles"), ["RL_AUDITV", "RL_DESK"].into());
    let group = first["groups"].as_array().unwrap().iter().find(|one| one["value"] == "USG_FTEMP");
    let group = group.unwrap();
    assert_eq!(group["display"], "Full Time Employees");
    assert_eq!(group["type"], "direct");
    assert!(group["$ref"].as_str().unwrap().ends_with("/Groups/USG_FTEMP"), "{group}");
    let read = client.get(&format!("/Users/{}", first["id"].as_str().unwrap())).expect(200);
    assert_eq!(read["groups"], first["groups"]);
    assert!(!values(&person(&mut client, 4), "roles").contains("RL_DESK"));

    let unit = company::person(1).unit;
    let in_unit = everybody(30, |person| person.unit == unit);
    assert!(in_unit.len() < 30, "not everybody is there");
    let all = everybody(30, |_| true);
    let first_three: BTreeSet<String> = (1..=3).map(|number| company::person(number).uid).collect();
    for (filter, wanted) in [
        ("groups.value eq \"USG_FTEMP\"", &in_unit),
        ("groups eq \"USG_FTEMP\" and userType eq \"LDAP\"", &in_unit),
        ("groups.display eq \"full time employees\"", &in_unit),
        ("groups.value eq \"USG_COMPANY\"", &all),
        (
            "groups[value eq \"USG_CIRCLE\" and type eq \"direct\"]",
            &[company::person(1).uid].into(),
        ),
        ("roles.value eq \"RL_DESK\"", &first_three),
        ("not (groups.value eq \"USG_COMPANY\")", &BTreeSet::new()),
        ("not (roles.value eq \"RL_DESK\")", &all.difference(&first_three).cloned().collect()),
        ("groups.value eq \"USG_NOBODYS\"", &BTreeSet::new()),
        ("groups pr", &all),
    ] {
        let found = find(&mut client, filter);
        assert_eq!(found["totalResults"], wanted.len(), "{filter}: {found}");
        assert_eq!(logins(&found), *wanted, "{filter}");
    }
}

#[test]
fn a_group_of_a_rule_asks_one_search_and_another_one_asks_none() {
    let slapd = Slapd::company(30);
    let bridge = TestBridge::start(&settings(&slapd, "fresh = \"1h\""));
    let mut client = bridge.client();
    person(&mut client, 30);
    for filter in [
        "groups.value eq \"USG_COMPANY\" and userType eq \"LDAP\"",
        "groups.value eq \"USG_FTEMP\" and userType eq \"LDAP\"",
        "roles.value eq \"RL_DESK\" and userType eq \"LDAP\"",
    ] {
        let before = slapd.searches();
        let found = find(&mut client, filter);
        assert_eq!(slapd.searches(), before + 1, "{filter}");
        assert_ne!(found["totalResults"], 0);
        assert_eq!(found[REPORT][0]["scan"], false, "{found}");
        find(&mut client, filter);
        assert_eq!(slapd.searches(), before + 1, "{filter}, again");
    }
    let before = slapd.searches();
    let found = find(&mut client, "groups.value eq \"USG_NOBODYS\" and userType eq \"LDAP\"");
    assert_eq!((&found["totalResults"], slapd.searches()), (&json!(0), before));
}

/// A rule with a filter of its own: for everybody that a search finds one more, not one for each.
#[test]
fn a_filter_is_decided_by_the_directory_for_all_at_once() {
    let slapd = Slapd::company(30);
    let more = "[[tenant.repository.rule]]\ngroup = \"USG_NOBODYS\"\nfilter = \"(uid=*a*)\"\n";
    let settings = settings(&slapd, "fresh = \"1h\"").with(more);
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    person(&mut client, 30);
    let before = slapd.searches();
    let found = find(&mut client, "userName sw \"\" and userType eq \"LDAP\"");
    assert_eq!(slapd.searches(), before + 2, "the search, and one for the rule");
    assert_eq!(found["totalResults"], 30);
    for user in found["Resources"].as_array().unwrap() {
        let has = user["userName"].as_str().unwrap().contains('a');
        assert_eq!(values(user, "groups").contains("USG_NOBODYS"), has, "{user}");
    }
    let before = slapd.searches();
    let found = find(&mut client, "groups.value eq \"USG_NOBODYS\" and userType eq \"LDAP\"");
    assert_eq!(slapd.searches(), before + 1, "who is found by a rule needs no second look");
    assert_eq!(logins(&found), everybody(30, |person| person.uid.contains('a')));
}

#[test]
fn a_member_who_goes_is_gone_at_the_latest_when_entries_are_read_anew() {
    let slapd = Slapd::company(30);
    let bridge = TestBridge::start(&settings(&slapd, "fresh = \"4s\", negative = \"1s\""));
    let mut client = bridge.client();
    let uid = company::person(2).uid;
    assert!(values(&person(&mut client, 2), "roles").contains("RL_DESK"));
    let dn = company::person(2).dn(SUFFIX);
    slapd.modify(&format!(
        "dn: cn=helpdesk,ou=groups,{SUFFIX}\nchangetype: modify\ndelete: member\nmember: {dn}\n"
    ));
    let began = std::time::Instant::now();
    let path = format!("/Users?searchRepositories=true&filter=userName%20eq%20%22{uid}%22");
    let around = client.send("GET", &path, &[("Cache-Control", "no-cache")], b"").expect(200);
    assert!(!values(&around["Resources"][0], "roles").contains("RL_DESK"), "{around}");
    // Another person, of whom all that is known is as old as before.
    let gone = || !values(&person(&mut bridge.client(), 2), "roles").contains("RL_DESK");
    assert!(eventually(Duration::from_secs(6), gone), "after {:?}", began.elapsed());
    let desk = || {
        let found =
            find(&mut bridge.client(), "roles.value eq \"RL_DESK\" and userType eq \"LDAP\"");
        !logins(&found).contains(&uid)
    };
    assert!(eventually(Duration::from_secs(6), desk));
}

#[test]
fn a_group_that_cannot_be_read_is_an_outage_and_nobody_loses_it() {
    let slapd = Slapd::company(30);
    let bridge = TestBridge::start(&settings(&slapd, "fresh = \"2s\", negative = \"1s\""));
    let mut client = bridge.client();
    let shown = person(&mut client, 1);
    assert!(values(&shown, "roles").contains("RL_DESK"));
    let made = json!({ "userName": company::person(1).uid });
    slapd.modify(&format!("dn: cn=helpdesk,ou=groups,{SUFFIX}\nchangetype: delete\n"));
    std::thread::sleep(Duration::from_secs(3));
    // What was known is served, and says that it is old.
    let stale =
        find(&mut client, &format!("userName eq \"{}\"", made["userName"].as_str().unwrap()));
    assert_eq!(stale[REPORT][0]["state"], "stale", "{stale}");
    assert_eq!(stale["Resources"][0]["roles"], shown["roles"]);
    let query = [("searchRepositories", "true"), ("filter", "userName eq \"somebody\"")];
    let nobody = client.query("/Users", &query);
    assert_eq!(nobody.status, 503, "{}", nobody.text());
    client
        .post(
            "/Users",
            &json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "somebody" }),
        )
        .expect(201);
    let found = client.query("/Users", &query).expect(200);
    assert_eq!(found[REPORT][0]["state"], "unavailable", "{found}");
    assert!(bridge.log().contains("helpdesk"), "the log names the group");
}

#[test]
fn a_bound_user_has_what_rules_give_beside_what_is_given_here() {
    let slapd = Slapd::company(30);
    let bridge = TestBridge::start(&settings(&slapd, UNCACHED));
    let mut client = bridge.client();
    let unbound = person(&mut client, 1);
    let path = format!("/Users/{}", unbound["id"].as_str().unwrap());
    let bound = client
        .patch(
            &path,
            &json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                "Operations": [{ "op": "replace", "path": "nickName", "value": "Ace" }],
            }),
        )
        .expect(200);
    assert_eq!(bound["userType"], "FTRESS_LDAP");
    assert_eq!((&bound["groups"], &bound["roles"]), (&unbound["groups"], &unbound["roles"]));
    let found = find(&mut client, "groups.value eq \"USG_CIRCLE\"");
    assert_eq!(logins(&found), [company::person(1).uid].into(), "{found}");
    assert_eq!(found["Resources"][0]["userType"], "FTRESS_LDAP");
    let etag = client.get(&path).header("etag").unwrap().to_owned();
    let dn = company::person(1).dn(SUFFIX);
    slapd.modify(&format!(
        "dn: cn=cycle-a,ou=groups,{SUFFIX}\nchangetype: modify\ndelete: member\nmember: {dn}\n"
    ));
    let read = client.get(&path);
    assert_ne!(read.header("etag").unwrap(), etag, "no false 304");
    assert_eq!(values(&read.json(), "groups"), ["USG_COMPANY", "USG_FTEMP"].into());
    assert_eq!(find(&mut client, "groups.value eq \"USG_CIRCLE\"")["totalResults"], 0);
}

#[test]
fn a_group_of_five_thousand_is_read_whole() {
    let slapd = Slapd::company(5_010);
    let rule = format!(
        "[[tenant.repository.rule]]\ngroup = \"USG_COMPANY\"\n\
         member_of = \"cn=everybody,ou=groups,{SUFFIX}\"\n"
    );
    let settings = Settings::over(&slapd).with(&rule).rest(NAMED);
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    for (number, is_in) in [(1, true), (4_999, true), (5_000, true), (5_001, false)] {
        let shown = person(&mut client, number);
        assert_eq!(values(&shown, "groups").contains("USG_COMPANY"), is_in, "{number}");
    }
    let before = slapd.searches();
    let uid = company::person(4_000).uid;
    let found = find(
        &mut client,
        &format!(
            "groups.value eq \"USG_COMPANY\" and userName eq \"{uid}\" and userType eq \"LDAP\""
        ),
    );
    assert_eq!((&found["totalResults"], slapd.searches()), (&json!(1), before + 1));
    let outsider = company::person(5_001).uid;
    let filter = format!("groups.value eq \"USG_COMPANY\" and userName eq \"{outsider}\"");
    assert_eq!(find(&mut client, &filter)["totalResults"], 0);
}

/// The last of ten groups in each other, which holds the first of them, too; loaded, so that no entry
/// tells of its groups.
#[test]
fn a_chain_of_ten_groups_is_followed_to_its_end() {
    let deep = |level: usize| format!("cn=deep{level},ou=groups,{SUFFIX}");
    let inmost = company::person(8);
    let mut ldif = String::new();
    for level in 0..10 {
        let member = if level == 9 { inmost.dn(SUFFIX) } else { deep(level + 1) };
        let member = STANDARD.encode(member);
        let back = if level == 9 { format!("member: {}\n", deep(0)) } else { String::new() };
        let class = format!("objectClass: groupOfNames\ncn: deep{level}");
        writeln!(ldif, "dn: {}\n{class}\nmember:: {member}\n{back}", deep(level)).unwrap();
    }
    let slapd = Slapd::start(Options { people: 30, ldif, ..Options::default() });
    let rule = format!(
        "[[tenant.repository.rule]]\ngroup = \"USG_COMPANY\"\nmember_of = \"{}\"\n",
        deep(0)
    );
    let bridge = TestBridge::start(&Settings::over(&slapd).with(&rule).rest(NAMED));
    let mut client = bridge.client();
    let found = find(&mut client, "groups.value eq \"USG_COMPANY\"");
    assert_eq!(logins(&found), [inmost.uid].into(), "{found}");
    assert!(values(&person(&mut client, 8), "groups").contains("USG_COMPANY"));
    assert!(!values(&person(&mut client, 9), "groups").contains("USG_COMPANY"));
}

/// Lists out of the store alone know what rules gave when a user was last written, and forget what other
/// rules gave.
#[test]
fn the_shadow_keeps_what_rules_gave_as_long_as_they_are_the_same() {
    let slapd = Slapd::company(30);
    let mut bridge = TestBridge::start(&settings(&slapd, UNCACHED));
    let mut client = bridge.client();
    let unbound = person(&mut client, 1);
    let path = format!("/Users/{}", unbound["id"].as_str().unwrap());
    let nickname = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "replace", "path": "nickName", "value": "Ace" }],
    });
    client.patch(&path, &nickname).expect(200);
    let before = slapd.searches();
    let stored = |client: &mut Client, filter: &str| {
        client.query("/Users", &[("filter", filter)]).expect(200)
    };
    for filter in [
        "groups.value eq \"USG_COMPANY\"",
        "groups eq \"USG_FTEMP\" and nickName eq \"ace\"",
        "groups.display eq \"Company\"",
        "groups pr",
        "roles.value eq \"RL_DESK\"",
        "not (groups.value eq \"USG_NOBODYS\")",
    ] {
        let found = stored(&mut client, filter);
        assert_eq!(found["totalResults"], 1, "{filter}: {found}");
        let user = &found["Resources"][0];
        assert_eq!(values(user, "groups"), values(&unbound, "groups"), "{filter}");
        assert_eq!(values(user, "roles"), values(&unbound, "roles"), "{filter}");
    }
    assert_eq!(stored(&mut client, "groups.value eq \"USG_NOBODYS\"")["totalResults"], 0);
    assert_eq!(slapd.searches(), before, "no directory was touched");

    let file = bridge.directory().join("scimbridge.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let changed = text.replace("cn=cycle-b,", "cn=cycle-a,");
    assert_ne!(text, changed);
    std::fs::write(&file, changed).unwrap();
    bridge.restart();
    let mut client = bridge.client();
    assert_eq!(stored(&mut client, "groups.value eq \"USG_CIRCLE\"")["totalResults"], 0);
    let kept = stored(&mut client, "groups.value eq \"USG_COMPANY\"");
    assert_eq!(values(&kept["Resources"][0], "groups"), ["USG_COMPANY", "USG_FTEMP"].into());
    // Live, nothing is missing; and the next write keeps it again.
    assert!(values(&client.get(&path).expect(200), "groups").contains("USG_CIRCLE"));
    let nickname = nickname.to_string().replace("Ace", "King");
    let headers = [("Content-Type", "application/scim+json")];
    client.send("PATCH", &path, &headers, nickname.as_bytes()).expect(200);
    assert_eq!(stored(&mut client, "groups.value eq \"USG_CIRCLE\"")["totalResults"], 1);
}
