//! Group rules over Active Directory and 389 Directory Server: nested groups, circles, primary groups.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::servers::{self, Server, sam, uid};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;

/// In the innermost of ten groups; in a circle of two; with a primary group of its own.
const DEEP: usize = 31;
const ROUND: usize = 32;
const PRIMARY: usize = 33;
/// How many groups stand in each other.
const DEPTH: usize = 10;

fn group_dn(server: &Server, name: &str) -> String {
    if server.is_samba() {
        format!("CN={name},OU=Groups,DC=ad,DC=example,DC=org")
    } else {
        format!("cn={name},ou=groups,dc=example,dc=org")
    }
}

/// The change record that makes a group.
fn group(server: &Server, name: &str, members: &[String]) -> String {
    let mut text = format!("dn: {}\nchangetype: add\ncn: {name}\n", group_dn(server, name));
    if server.is_samba() {
        write!(text, "objectClass: group\nsAMAccountName: {name}\ngroupType: -2147483646\n")
            .unwrap();
    } else {
        text.push_str("objectClass: groupOfNames\n");
    }
    for member in members {
        writeln!(text, "member: {member}").unwrap();
    }
    text + "\n"
}

fn login(server: &Server, number: usize) -> String {
    if server.is_samba() { sam(number) } else { uid(number) }
}

/// Makes the groups, and gives the lines of the rules over them.
fn prepare(server: &Server) -> String {
    let mut change = group(server, "deep9", &[server.dn(DEEP)]);
    for level in (0..DEPTH - 1).rev() {
        let within = group_dn(server, &format!("deep{}", level + 1));
        change += &group(server, &format!("deep{level}"), &[within]);
    }
    change += &group(server, "ring-a", &[server.dn(ROUND)]);
    change += &group(server, "ring-b", &[group_dn(server, "ring-a")]);
    write!(
        change,
        "dn: {}\nchangetype: modify\nadd: member\nmember: {}\n-\n\n",
        group_dn(server, "ring-a"),
        group_dn(server, "ring-b")
    )
    .unwrap();
    server.modify(&change);
    let mut groups =
        vec![("DEEP", group_dn(server, "deep0")), ("RING", group_dn(server, "ring-b"))];
    if server.is_samba() {
        let prime = group_dn(server, "prime");
        // Its holder becomes one within a group, too.
        server.modify(&group(server, "prime", &[server.dn(PRIMARY)]));
        server.modify(&group(server, "beyond", std::slice::from_ref(&prime)));
        let token = &server.values(&prime, "primaryGroupToken")[0];
        server.modify(&format!(
            "dn: {}\nchangetype: modify\nreplace: primaryGroupID\nprimaryGroupID: {token}\n",
            server.dn(PRIMARY)
        ));
        let told = server.values(&server.dn(PRIMARY), "memberOf");
        assert!(!told.iter().any(|group| group.contains("prime")), "{told:?}");
        groups.push(("PRIME", prime));
        groups.push(("BEYOND", group_dn(server, "beyond")));
        let users = "CN=Domain Users,CN=Users,DC=ad,DC=example,DC=org".to_owned();
        groups.push(("USERS", users));
    }
    let mut lines = String::new();
    for (id, dn) in &groups {
        writeln!(lines, "[[tenant.repository.rule]]\ngroup = {id:?}\nmember_of = {dn:?}").unwrap();
    }
    let (base, filter) = (server.base, "(telephoneNumber=*)");
    writeln!(
        lines,
        "[[tenant.repository.rule]]\ngroup = \"PHONE\"\nbase = \"OU=staff,{base}\"\nfilter = {filter:?}"
    )
    .unwrap();
    for id in groups.iter().map(|(id, _)| *id).chain(["PHONE"]) {
        writeln!(lines, "[[tenant.group]]\nid = {id:?}").unwrap();
    }
    lines
}

fn found(client: &mut Client, filter: &str) -> Value {
    let query = [("searchRepositories", "true"), ("filter", filter), ("count", "100")];
    client.query("/Users", &query).expect(200)
}

fn logins(found: &Value) -> BTreeSet<String> {
    let people = found["Resources"].as_array().unwrap();
    people.iter().map(|user| user["userName"].as_str().unwrap().to_owned()).collect()
}

fn groups(user: &Value) -> BTreeSet<&str> {
    let groups = user["groups"].as_array().map_or(&[][..], Vec::as_slice);
    groups.iter().map(|group| group["value"].as_str().unwrap()).collect()
}

#[test]
fn nested_groups_circles_and_primary_groups_are_followed() {
    for server in servers::all() {
        let lines = prepare(server);
        let repository = server.lines(server.url());
        let settings = Settings::local()
            .rest(&format!("[[tenant.repository]]\nid = \"corp\"\n{repository}{lines}"));
        let bridge = TestBridge::start(&settings);
        let mut client = bridge.client();
        let mut wanted = vec![("DEEP", DEEP), ("RING", ROUND)];
        if server.is_samba() {
            wanted.extend([("PRIME", PRIMARY), ("BEYOND", PRIMARY)]);
        }
        for (id, number) in &wanted {
            for filter in [
                format!("groups.value eq \"{id}\""),
                format!("groups.value eq \"{id}\" and userType eq \"LDAP\""),
            ] {
                let people = found(&mut client, &filter);
                assert_eq!(logins(&people), [login(server, *number)].into(), "{filter}: {people}");
                let report = &people["urn:scimbridge:api:messages:2.0:Repositories"][0];
                let state = report["state"].as_str();
                assert!(matches!(state, Some("ok" | "cached")), "{report}");
                assert_eq!(report["scan"], false, "{report}");
            }
        }
        for number in [DEEP, ROUND, PRIMARY, 34] {
            let one = found(&mut client, &format!("userName eq \"{}\"", login(server, number)));
            let mut expected: BTreeSet<&str> =
                wanted.iter().filter(|(_, who)| *who == number).map(|(id, _)| *id).collect();
            expected.insert("PHONE");
            if server.is_samba() && number != PRIMARY {
                expected.insert("USERS");
            }
            let shown = &one["Resources"][0];
            let shown_groups = groups(shown);
            // Whoever got another primary group stays in the first one as an ordinary member.
            let mut without = shown_groups.clone();
            if number == PRIMARY {
                without.remove("USERS");
            }
            assert_eq!(without, expected, "{shown}");
        }
        if server.is_samba() {
            let users = found(&mut client, "groups.value eq \"USERS\" and userType eq \"LDAP\"");
            assert!(users["totalResults"].as_u64().unwrap() > 50, "{users}");
        }
    }
}
