//! An Active Directory as it is in the field: its limits make nobody absent, its groups are read to
//! the end, its references are left alone.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::active_directory::{ActiveDirectory, Seen, Traits, group, login, person};
use crate::support::bridge::{Settings, TestBridge, run};
use crate::support::client::Client;
use crate::support::eventually;
use crate::support::slapd::{Options, READER, Slapd};
use crate::vanish::{count, is_looked_for};

const REPORT: &str = "urn:scimbridge:api:messages:2.0:Repositories";
const FRESH: &str = "cache = { fresh = \"0s\", negative = \"0s\", stale = \"0s\" }\n\
                     size_limit = 10000\n\
                     timeouts = { connect = \"5s\", operation = \"30s\" }\n";

fn over(directory: &ActiveDirectory, lines: &str) -> Settings {
    let own = directory.lines();
    Settings::local().rest(&format!("[[tenant.repository]]\nid = \"corp\"\n{own}{lines}"))
}

fn find(client: &mut Client, filter: &str) -> Value {
    client.query("/Users", &[("searchRepositories", "true"), ("filter", filter)]).expect(200)
}

fn state(found: &Value) -> &str {
    found[REPORT][0]["state"].as_str().unwrap()
}

fn groups(user: &Value) -> BTreeSet<&str> {
    let groups = user["groups"].as_array().map_or(&[][..], Vec::as_slice);
    groups.iter().map(|group| group["value"].as_str().unwrap()).collect()
}

/// A walk through everybody whom the filter finds; the logins, and how the repository answered.
fn walk(client: &mut Client, filter: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut names, mut states, mut cursor) = (BTreeSet::new(), BTreeSet::new(), String::new());
    loop {
        let query = [
            ("searchRepositories", "true"),
            ("filter", filter),
            ("count", "100"),
            ("cursor", &cursor),
        ];
        let page = client.query("/Users", &query).expect(200);
        // A walk goes on through what was found at its beginning.
        let state = if state(&page) == "cached" { "ok" } else { state(&page) };
        states.insert(state.to_owned());
        let people = page["Resources"].as_array().map_or(&[][..], Vec::as_slice);
        names.extend(people.iter().map(|user| user["userName"].as_str().unwrap().to_owned()));
        match page["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return (names, states),
        }
    }
}

/// A domain tells of each entry which groups it is in; a Lightweight Directory Service has to be read
/// group by group, each in parts.
#[test]
fn a_group_of_five_thousand_is_found_whole() {
    let members: Vec<String> = (0..5000).map(person).collect();
    let all = [("all", members), ("outer", vec![group("all"), person(5005)])];
    for domain in [true, false] {
        let traits = Traits { domain, ..Traits::default() };
        let directory = ActiveDirectory::start(traits, 5010, &all);
        let rules = ["all", "outer"].map(|name| {
            let dn = group(name);
            format!("[[tenant.repository.rule]]\ngroup = {name:?}\nmember_of = {dn:?}\n")
        });
        let named = "[[tenant.group]]\nid = \"all\"\n[[tenant.group]]\nid = \"outer\"\n";
        let lines = format!("{FRESH}{}{named}", rules.concat());
        let bridge = TestBridge::start(&over(&directory, &lines));
        let checked = run(bridge.directory(), &["check", "--config", "scimbridge.toml"]);
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(said.contains("(member;range)"), "{said}");
        let mut client = bridge.client();
        for (name, count) in [("all", 5000), ("outer", 5001)] {
            let filter = format!("groups.value eq \"{name}\" and userType eq \"LDAP\"");
            let found = find(&mut client, &filter);
            assert_eq!((state(&found), &found["totalResults"]), ("ok", &json!(count)), "{domain}");
            assert_eq!(found[REPORT][0]["found"], count);
            // Below a group that is no person not everybody tells of it.
            assert_eq!(found[REPORT][0]["scan"], !domain && name == "outer");
        }
        for (number, expected) in [
            (0, &["all", "outer"][..]),
            (1500, &["all", "outer"]),
            (4999, &["all", "outer"]),
            (5005, &["outer"]),
            (5000, &[]),
        ] {
            let one = find(&mut client, &format!("userName eq \"{}\"", login(number)));
            let expected: BTreeSet<&str> = expected.iter().copied().collect();
            assert_eq!(groups(&one["Resources"][0]), expected, "{domain} {number}");
        }
        let asked: BTreeSet<String> =
            directory.seen().searches.into_iter().flat_map(|asked| asked.attributes).collect();
        for part in ["member;range=1500-*", "member;range=3000-*", "member;range=4500-*"] {
            assert_eq!(asked.contains(part), !domain, "{asked:?}");
        }
    }
}

/// The address to answer to stands behind all the others, in the last part.
fn addresses(login: &str) -> Vec<String> {
    let others = (0..39).map(|number| format!("smtp:{login}.{number}@example.org"));
    others.chain([format!("SMTP:{login}@main.example.org")]).collect()
}

#[test]
fn what_comes_in_parts_is_read_to_the_end() {
    let directory = ActiveDirectory::start(Traits { values: 15, ..Traits::default() }, 300, &[]);
    for number in 0..20 {
        directory.give(number, "proxyAddresses", &addresses(&login(number)));
    }
    let bridge = TestBridge::start(&over(&directory, FRESH));
    let mut client = bridge.client();
    let mail = |user: &Value| user["emails"][0]["value"].as_str().unwrap().to_owned();
    let wanted = |number: usize| format!("{}@main.example.org", login(number));
    let found = find(&mut client, &format!("userName eq \"{}\"", login(3)));
    assert_eq!((state(&found), mail(&found["Resources"][0])), ("ok", wanted(3)));
    let asked: Vec<String> =
        directory.seen().searches.into_iter().flat_map(|asked| asked.attributes).collect();
    for part in ["proxyAddresses;range=15-*", "proxyAddresses;range=30-*"] {
        assert_eq!(asked.iter().filter(|name| *name == part).count(), 1, "{asked:?}");
    }
    let one = client.get(&format!("/Users/{}", found["Resources"][0]["id"].as_str().unwrap()));
    assert_eq!(mail(&one.expect(200)), wanted(3));
    let found = find(&mut client, "userName sw \"p0000\" or userName sw \"p0001\"");
    assert_eq!((state(&found), &found["totalResults"]), ("ok", &json!(20)));
    let people = found["Resources"].as_array().unwrap();
    assert!(
        people.iter().enumerate().all(|(number, user)| mail(user) == wanted(number)),
        "{found}"
    );
    // For very many of them at once not everything is read, and nobody is shown by halves.
    for number in 0..300 {
        directory.give(number, "proxyAddresses", &addresses(&login(number)));
    }
    let found = find(&mut client, "userName sw \"p0\"");
    assert_eq!(state(&found), "truncated");
    let shown = found["totalResults"].as_u64().unwrap();
    assert!((240..=250).contains(&shown), "500 parts, two for each: {shown}");
    let people = found["Resources"].as_array().unwrap();
    assert!(people.iter().all(|user| mail(user).ends_with("@main.example.org")), "{found}");
    let last = find(&mut client, &format!("userName eq \"{}\"", login(299)));
    assert_eq!((state(&last), mail(&last["Resources"][0])), ("ok", wanted(299)));
}

/// `memberOf` comes in parts, too; who is in none of the first is not therefore in none.
#[test]
fn whoever_is_in_more_groups_than_are_told_at_once_is_in_all_of_them() {
    let names: Vec<String> = (0..1600).map(|number| format!("g{number}")).collect();
    let all: Vec<(&str, Vec<String>)> =
        names.iter().map(|name| (name.as_str(), vec![person(0)])).collect();
    let directory = ActiveDirectory::start(Traits::default(), 3, &all);
    let rules = ["g3", "g1599"].map(|name| {
        let dn = group(name);
        format!(
            "[[tenant.repository.rule]]\ngroup = {name:?}\nmember_of = {dn:?}\n\
             [[tenant.group]]\nid = {name:?}\n"
        )
    });
    let bridge = TestBridge::start(&over(&directory, &format!("{FRESH}{}", rules.concat())));
    let mut client = bridge.client();
    let one = find(&mut client, &format!("userName eq \"{}\"", login(0)));
    assert_eq!(groups(&one["Resources"][0]), ["g3", "g1599"].into());
    let other = find(&mut client, &format!("userName eq \"{}\"", login(1)));
    assert_eq!(groups(&other["Resources"][0]), BTreeSet::new());
}

#[test]
fn lists_are_whole_whatever_the_page_and_references_are_left_alone() {
    for (page, empty_last_page) in [(1000, true), (200, false)] {
        let traits = Traits { page, empty_last_page, ..Traits::default() };
        let directory = ActiveDirectory::start(traits, 1000, &[]);
        let bridge = TestBridge::start(&over(&directory, FRESH));
        let mut client = bridge.client();
        let found = find(&mut client, "userName sw \"p\"");
        assert_eq!((state(&found), &found["totalResults"]), ("ok", &json!(1000)), "{page}");
        let (names, states) = walk(&mut client, "userName sw \"p\"");
        assert_eq!((names.len(), states), (1000, ["ok".to_owned()].into()), "{page}");
        let Seen { searches, anonymous_binds, .. } = directory.seen();
        assert_eq!(anonymous_binds, 0);
        let unpaged = searches.iter().filter(|asked| !asked.paged);
        for asked in unpaged {
            // The limit that was sent held, so that no answer was for nothing.
            assert!(asked.size_limit > 0 && asked.entries as u64 <= asked.size_limit, "{asked:?}");
        }
    }
}

/// As many as there are on the page are shown, and nobody is taken for gone.
#[test]
fn what_is_cut_is_said_and_removes_nobody() {
    let traits = Traits { paged: 0, ..Traits::default() };
    let directory = ActiveDirectory::start(traits, 1200, &[]);
    let lines = format!("verify = \"500ms\"\n{FRESH}");
    let bridge = TestBridge::start(&over(&directory, &lines).tenant("vanish_grace = \"500ms\""));
    let mut client = bridge.client();
    let last = find(&mut client, &format!("userName eq \"{}\"", login(1199)));
    assert_eq!(state(&last), "ok", "what is few is whole");
    let path = format!("/Users/{}", last["Resources"][0]["id"].as_str().unwrap());
    let nick = json!({ "Operations": [{ "op": "add", "path": "nickName", "value": "n" }] });
    client.patch(&path, &nick).expect(200);
    let leaves = find(&mut client, &format!("userName eq \"{}\"", login(7)));
    let leaves = format!("/Users/{}", leaves["Resources"][0]["id"].as_str().unwrap());
    client.patch(&leaves, &nick).expect(200);
    for _ in 0..2 {
        let found = find(&mut client, "userName sw \"p\"");
        assert_eq!(state(&found), "truncated", "{}", found[REPORT]);
        let (names, states) = walk(&mut client, "userName sw \"p\"");
        assert_eq!(states, ["truncated".to_owned()].into());
        assert!(names.len() >= 100 && names.contains(&login(1199)), "{}", names.len());
        is_looked_for(&bridge);
        let bound = client.get(&path).expect(200);
        assert_eq!((&bound["active"], &bound["nickName"]), (&json!(true), &json!("n")));
    }
    assert_eq!(count(&bridge, "user.vanish"), 0, "{}", bridge.log());
    directory.remove(7);
    let gone = || client.get(&leaves).expect(200)["active"] == false;
    assert!(eventually(Duration::from_secs(20), gone), "{}", bridge.log());
    assert_eq!(client.get(&path).expect(200)["active"], true);
    assert_ne!(directory.seen().unwilling, 0);
    // Nobody of those who came has it: whether anybody has is not known.
    let filter = "userName sw \"p\" and name.familyName gt \"z\"";
    let nobody = client.query("/Users", &[("searchRepositories", "true"), ("filter", filter)]);
    assert_eq!(nobody.status, 503, "{}", nobody.text());
}

/// One after the other, or cut and said so.
#[test]
fn a_second_paged_search_that_is_refused_is_never_a_whole_answer() {
    let traits = Traits { paged: 1, ..Traits::default() };
    let directory = ActiveDirectory::start(traits, 1000, &[]);
    let bridge = TestBridge::start(&over(&directory, FRESH));
    find(&mut bridge.client(), &format!("userName eq \"{}\"", login(1)));
    std::thread::scope(|scope| {
        for number in 0..6 {
            let bridge = &bridge;
            scope.spawn(move || {
                // Equal searches would be one.
                let filter = format!("userName sw \"p\" and userName ne \"nobody{number}\"");
                let found = find(&mut bridge.client(), &filter);
                let whole = found["totalResults"] == 1000;
                assert_eq!(state(&found), if whole { "ok" } else { "truncated" }, "{number}");
            });
        }
    });
    let found = find(&mut bridge.client(), "userName sw \"p\"");
    assert_eq!((state(&found), &found["totalResults"]), ("ok", &json!(1000)));
}

#[test]
fn openldap_that_cuts_at_five_hundred_says_so_too() {
    for (limits, whole) in [
        ("size.soft=500 size.hard=500", false),
        ("size=500 size.prtotal=disabled", false),
        ("size=500 size.pr=200 size.prtotal=unlimited", true),
    ] {
        let configuration = format!("limits dn.exact=\"{READER}\" {limits}\n");
        let slapd = Slapd::start(Options { people: 620, configuration, ..Options::default() });
        let bridge = TestBridge::start(&Settings::over(&slapd).with(FRESH));
        let mut client = bridge.client();
        let found = find(&mut client, "userName pr");
        assert_eq!(state(&found), if whole { "ok" } else { "truncated" }, "{limits}");
        assert_eq!(found["totalResults"] == 620, whole, "{limits}: {}", found["totalResults"]);
        let (names, states) = walk(&mut client, "userName pr");
        let expected = if whole { "ok" } else { "truncated" };
        assert_eq!(states, [expected.to_owned()].into(), "{limits}");
        assert_eq!(names.len() == 620, whole, "{limits}: {}", names.len());
    }
}

/// The server would let it in as nobody.
#[test]
fn no_bind_is_made_without_a_password_and_nobody_is_not_believed() {
    let directory = ActiveDirectory::start(Traits::default(), 3, &[]);
    let lines = directory.lines();
    let without = lines.lines().filter(|line| !line.starts_with("bind_password"));
    let without = without.collect::<Vec<_>>().join("\n");
    let settings = |rest: &str| {
        let lines = format!("[[tenant.repository]]\nid = \"corp\"\n{without}\n{rest}{FRESH}");
        Settings::local().rest(&lines)
    };
    for password in ["bind_password = \"\"\n", "bind_password = { file = \"empty\" }\n"] {
        let folder = settings(password).file("empty", "\n").write();
        for command in ["check", "serve"] {
            let done = run(&folder, &[command, "--config", "scimbridge.toml"]);
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            assert!(!done.status.success() && said.contains("bind_password"), "{said}");
        }
    }
    assert_eq!(directory.seen().anonymous_binds, 0);
    // Who is nobody on purpose may not search here; that says nothing of anybody.
    let anonymous = without.lines().filter(|line| !line.starts_with("bind_dn"));
    let anonymous = anonymous.collect::<Vec<_>>().join("\n");
    let bridge = TestBridge::start(
        &Settings::local()
            .rest(&format!("[[tenant.repository]]\nid = \"corp\"\n{anonymous}\n{FRESH}")),
    );
    let filter = format!("userName eq \"{}\"", login(1));
    let query = [("searchRepositories", "true"), ("filter", filter.as_str())];
    let nobody = bridge.client().query("/Users", &query);
    assert_eq!(nobody.status, 503, "{}", nobody.text());
}

/// The schema is an attribute like others: too long for one answer.
#[test]
fn a_schema_that_comes_in_parts_is_read_to_the_end() {
    let directory = ActiveDirectory::start(Traits::default(), 3, &[]);
    let folder = over(&directory, FRESH).write();
    let done = run(&folder, &["check", "--config", "scimbridge.toml"]);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{said}");
    assert!(!said.contains("does not show its schema"), "{said}");
    // What is behind the first part is known, and so is what is nowhere.
    assert!(!said.contains("no attribute mail"), "{said}");
    assert!(said.contains("no attribute givenName"), "{said}");
}

/// More changes at once than the server tells of: then nothing is taken to be as it was.
#[test]
fn changes_that_are_cut_are_all_seen() {
    let directory = ActiveDirectory::start(Traits { page: 20, ..Traits::default() }, 60, &[]);
    let kept = "cache = { fresh = \"1h\", negative = \"1h\", stale = \"1h\" }\nchanges = \"usn\"\n";
    let bridge = TestBridge::start(&over(&directory, kept));
    let following = || {
        let health = bridge.stranger().get("/health/ready").expect(200);
        health["repositories"][0]["changes"] == "following"
    };
    assert!(eventually(Duration::from_secs(20), following), "{}", bridge.log());
    let mut client = bridge.client();
    let mut mail = |number: usize| {
        let found = find(&mut client, &format!("userName eq \"{}\"", login(number)));
        found["Resources"][0]["emails"][0]["value"].as_str().unwrap().to_owned()
    };
    for number in 0..60 {
        assert_eq!(mail(number), format!("{}@example.org", login(number)));
    }
    directory.set(0..60, "mail", "new@example.org");
    let seen = || (0..60).all(|number| mail(number) == "new@example.org");
    assert!(eventually(Duration::from_secs(5), seen), "{}", bridge.log());
}
