//! Filters: planned, told, and held against what slapd and the database really get.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{explain, json, refusal, text};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::slapd::{Options, READER, SUFFIX, Slapd};
use crate::support::{company, guard};

/// A directory that keeps every search that it gets, as it understood it, under `cn=log`.
struct Logging {
    slapd: Slapd,
    home: std::path::PathBuf,
}

impl Logging {
    fn company(people: usize) -> Self {
        let home = guard::directory("searches");
        let database = |name: &str| {
            let directory = home.join(name);
            std::fs::create_dir(&directory).unwrap();
            format!("database mdb\nsuffix cn={name}\ndirectory {}\n", directory.display())
        };
        // The lines that follow in the file fall to the last database.
        let configuration = format!(
            "moduleload accesslog\noverlay accesslog\nlogdb cn=log\nlogops search\n\
             limits dn.exact={READER:?} size=unlimited time=unlimited\n\
             {}rootdn cn=log\naccess to * by * read\n{}",
            database("log"),
            database("rest")
        );
        let slapd = Slapd::start(Options { people, configuration, ..Options::default() });
        Self { slapd, home }
    }

    /// Base and filter of each search, in order.
    fn searches(&self) -> Vec<(String, String)> {
        let asked = ["-b", "cn=log", "(objectClass=auditSearch)", "reqDN", "reqFilter"];
        let text = self.slapd.search(&asked);
        let value = |entry: &str, name: &str| {
            let line = entry.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("{name} is not in {entry}")).to_owned()
        };
        let entries = text.split("\n\n").filter(|entry| entry.contains("reqFilter: "));
        entries.map(|entry| (value(entry, "reqDN: "), value(entry, "reqFilter: "))).collect()
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

fn rules() -> String {
    let unit = company::person(1).unit;
    format!(
        "[[tenant.repository.rule]]\ngroup = \"STAFF\"\nbase = \"ou={unit},ou=people,{SUFFIX}\"\n\
         [[tenant.repository.rule]]\ngroup = \"WITH_TITLE\"\nfilter = \"(title=*)\"\n"
    )
}

const GROUPS: &str = "[[tenant.group]]\nid = \"STAFF\"\n[[tenant.group]]\nid = \"WITH_TITLE\"\n";

/// The searches that a repository is said to get.
fn told(explained: &Value, repository: &str) -> BTreeSet<(String, String)> {
    let all = explained["repositories"].as_array().unwrap();
    let one = all.iter().find(|one| one["id"] == repository).unwrap();
    let bases = one["sent"]["bases"].as_array().map_or(&[][..], Vec::as_slice);
    let base = |base: &Value| {
        (base.as_str().unwrap().to_owned(), one["sent"]["filter"].as_str().unwrap().to_owned())
    };
    bases.iter().map(base).collect()
}

#[test]
fn the_filter_that_is_told_is_the_one_that_the_directory_gets() {
    let directory = Logging::company(40);
    let settings = Settings::over(&directory.slapd)
        .with(&rules())
        .repository("lab", &Slapd::shared().url())
        .rest(GROUPS);
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    // Whatever has to be learnt first is asked for once.
    let first = [("searchRepositories", "true"), ("filter", "userName eq \"nobody-at-all\"")];
    client.query("/Users", &first).expect(200);
    for (filter, sent, scan) in [
        ("userName sw \"u00\" and title pr", true, false),
        ("userName eq \"u0000002\"", true, false),
        ("emails.value co \"example\" or name.familyName sw \"B\"", true, false),
        ("not (userName eq \"x\")", true, true),
        ("groups.value eq \"STAFF\"", true, false),
        ("groups.value eq \"WITH_TITLE\" and userName sw \"u\"", true, false),
        ("nickName eq \"x\"", false, false),
        ("userType eq \"FTRESS\"", false, false),
        ("userRepositoryId eq \"lab\" and userName pr", false, false),
        ("id eq \"lab.00000000-0000-0000-0000-000000000000\"", false, false),
        ("title eq \"a*b(c)\"", true, false),
    ] {
        let before = directory.searches().len();
        let explained = json(bridge.directory(), &["--filter", filter]);
        let told = told(&explained, "corp");
        assert_eq!(!told.is_empty(), sent, "{filter}: {explained:#}");
        let of_corp = &explained["repositories"][0];
        if sent {
            assert_eq!(of_corp["sent"]["scan"], scan, "{filter}: {of_corp:#}");
            let exact = of_corp["sent"]["exact"].as_bool().unwrap();
            assert_eq!(of_corp["sent"]["residual"].is_null(), exact, "{filter}: {of_corp:#}");
        }
        let known = directory.searches();
        let by_explain: BTreeSet<_> = known[before..].iter().cloned().collect();
        assert!(told.is_disjoint(&by_explain), "{filter}: nobody is asked for people by looking");
        client.query("/Users", &[("searchRepositories", "true"), ("filter", filter)]).expect(200);
        // Whom a rule holds for is asked by key.
        let is_search = |(_, filter): &&(String, String)| !filter.contains("entryUUID=");
        let after = directory.searches();
        let got: BTreeSet<_> = after[known.len()..].iter().filter(is_search).cloned().collect();
        let upper = |all: &BTreeSet<(String, String)>| -> BTreeSet<String> {
            all.iter().map(|(base, text)| format!("{base} {text}").to_uppercase()).collect()
        };
        assert_eq!(upper(&told), upper(&got), "{filter}");
    }
}

/// A statement with its values written into it.
fn written_out(statement: &Value) -> String {
    let mut sql = statement["sql"].as_str().unwrap().to_owned();
    let values = statement["values"].as_array().unwrap();
    for (place, value) in values.iter().enumerate().rev() {
        let literal = match value.as_str() {
            Some(text) => format!("'{}'", text.replace('\'', "''")),
            None => value.to_string(),
        };
        sql = sql.replace(&format!("${}", place + 1), &literal);
    }
    sql
}

#[test]
fn the_sql_that_is_told_finds_whom_the_bridge_finds_and_nothing_is_written() {
    let bridge = TestBridge::start(&Settings::over(Slapd::shared()));
    let mut client = bridge.client();
    for number in 0..12 {
        let name = format!("local.{number}o'neil");
        let title = if number % 3 == 0 { "Chief" } else { "Engineer" };
        let user = json!({ "userName": name, "title": title, "nickName": format!("n{number}") });
        client.post("/Users", &user).expect(201);
    }
    let bound = format!("/Users/corp.{}", company::person(3).entry_uuid);
    let nick = json!({ "Operations": [{ "op": "add", "path": "nickName", "value": "bound" }] });
    client.patch(&bound, &nick).expect(200);
    let state = || {
        let mut state = bridge.query("SELECT id FROM resources ORDER BY id");
        state.extend(bridge.query("SELECT CAST(SUM(version) AS TEXT) FROM resources"));
        state.extend(bridge.query("SELECT path FROM paths ORDER BY key"));
        (state, bridge.audit())
    };
    let before = state();
    for (filter, exact) in [
        ("userName eq \"local.3o'neil\"", true),
        ("title eq \"chief\" and userName sw \"local\"", true),
        ("title co \"ngine\" or userName ew \"9o'neil\"", true),
        ("not (title eq \"chief\")", true),
        ("userType eq \"FTRESS_LDAP\"", true),
        ("nickName eq \"n5\" and title pr", false),
    ] {
        let arguments = ["--filter", filter, "--search-repositories", "false"];
        let explained = json(bridge.directory(), &arguments);
        assert_eq!(explained["store"]["exact"], exact, "{explained:#}");
        let residual = if exact { Value::Null } else { json!("nickName eq \"n5\"") };
        assert_eq!(explained["store"]["residual"], residual, "{explained:#}");
        let mut by_sql = BTreeSet::new();
        for statement in explained["store"]["statements"].as_array().unwrap() {
            let sql = format!("SELECT x.id FROM ({}) x", written_out(statement));
            by_sql.extend(bridge.query(&sql));
        }
        let found = client.query("/Users", &[("filter", filter)]).expect(200);
        let people = found["Resources"].as_array().unwrap();
        let found: BTreeSet<String> =
            people.iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect();
        assert!(!found.is_empty(), "{filter}");
        if exact {
            assert_eq!(by_sql, found, "{filter}: {explained:#}");
        } else {
            assert!(by_sql.is_superset(&found) && by_sql.len() > found.len(), "{explained:#}");
        }
    }
    let federated = json(bridge.directory(), &["--filter", "title eq \"chief\""]);
    let statements = federated["store"]["statements"].as_array().unwrap();
    let linked = |statement: &&Value| statement["sql"].as_str().unwrap().contains("user_type = 1");
    assert!(statements.iter().any(|one| linked(&one)), "{federated:#}");
    assert!(!statements.iter().all(|one| linked(&one)), "{federated:#}");
    text(bridge.directory(), &["--user", "local.3o'neil"]);
    assert_eq!(state(), before, "a look changes nothing");
}

#[test]
fn looking_makes_no_database() {
    let directory = Settings::over(Slapd::shared()).write();
    let explained = text(&directory, &["--filter", "userName pr"]);
    assert!(explained.contains("repository corp"), "{explained}");
    assert!(!directory.join("scimbridge.db").exists());
}

#[test]
fn a_wrong_filter_is_told_as_a_client_is_told() {
    let directory = Settings::over(Slapd::shared()).write();
    for (arguments, parts) in [
        (&["--filter", "userName eq"][..], &["invalidFilter", "character 12"][..]),
        (&["--filter", "userName xx \"a\""], &["invalidFilter", "character 10"]),
        (&["--filter", "active gt true"], &["invalidFilter", "active"]),
        (
            &[
                "--filter",
                "userType eq \"LDAP\"",
                "--dialect",
                "activid",
                "--search-repositories",
                "false",
            ],
            &["invalidFilter", "searchRepositories"],
        ),
    ] {
        let said = refusal(&directory, arguments);
        for part in parts {
            assert!(said.contains(part), "{part} is not in {said}");
        }
    }
    let output = crate::support::bridge::run(
        &directory,
        &["explain", "--config", "scimbridge.toml", "--tenant", "acne", "--filter", "id pr"],
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("there are: acme"), "{said}");
    let output = explain(&directory, &[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn a_directory_that_is_down_is_planned_for_by_the_standard_schema() {
    let settings = Settings::over(Slapd::shared()).repository("lab", "ldap://127.0.0.1:1");
    let directory = settings.write();
    let filter = ["--filter", "userName eq \"a\" and title pr"];
    let explained = json(&directory, &filter);
    let [corp, lab] = explained["repositories"].as_array().unwrap().as_slice() else { panic!() };
    assert_eq!(corp["unprepared"], Value::Null, "{corp:#}");
    assert!(lab["unprepared"].as_str().unwrap().contains("127.0.0.1:1"), "{lab:#}");
    assert_eq!(lab["sent"]["filter"], corp["sent"]["filter"]);
    let shown = text(&directory, &filter);
    assert!(shown.contains("planned by the standard schema"), "{shown}");
}

#[test]
fn a_scan_that_the_tenant_does_not_allow_is_said() {
    let settings = Settings::over(Slapd::shared()).tenant("allow_scan = false");
    let filter = ["--filter", "not (userName eq \"x\")"];
    let shown = text(&settings.write(), &filter);
    assert!(shown.contains("refused (tooMany)") && shown.contains("(scan)"), "{shown}");
}

/// The example of the documentation, in which the columns are left out.
#[test]
fn the_example_is_what_the_program_prints() {
    let settings = Settings::over(Slapd::shared()).repository("lab", &Slapd::shared().url());
    let filter = "userName eq \"amelie.dubois\" and title pr and userRepositoryId eq \"corp\"";
    let shown = text(&settings.write(), &["--filter", filter]);
    let (before, rest) = shown.split_once("SELECT r.key, ").unwrap();
    let (_, after) = rest.split_once(" FROM resources r ").unwrap();
    let shown = format!("{before}SELECT … FROM resources r {after}");
    assert_eq!(shown, include_str!("example.txt"));
}
