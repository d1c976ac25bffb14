//! What the configuration means, and what is said where it is wrong.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::caller::{Permission, PermissionSet};

pub(super) const ENOUGH: &str = r#"
[[tenant]]
name = "acme"

[[tenant.token]]
name = "helpdesk"
sha256 = "00000000000000000000000000000000000000000000000000000000000000aa"
permissions = ["users:search"]

[[tenant.repository]]
id = "corp"
urls = ["ldap://127.0.0.1:3890"]
base = "ou=people,dc=example,dc=org"
"#;

const EXAMPLE: &str = include_str!("../../config/scimbridge.example.toml");

pub(super) fn parse(text: &str) -> Result<Config, ConfigError> {
    let environment = |name: &str| (name == "CORP_PASSWORD").then(|| "hunter2".to_owned());
    Config::parse(text, Path::new("/etc/scimbridge"), &environment)
}

/// The error for [`ENOUGH`] with `line` put behind the line that begins with `after`.
#[track_caller]
pub(super) fn refusal(after: &str, line: &str) -> String {
    let at = ENOUGH.find(after).expect("a line of the text");
    let end = at + ENOUGH[at..].find('\n').expect("a whole line") + 1;
    parse(&format!("{}{line}\n{}", &ENOUGH[..end], &ENOUGH[end..]))
        .expect_err("this must be refused")
        .to_string()
}

fn paths(tenant: &Tenant) -> Vec<&str> {
    tenant.mounts.iter().map(|mount| mount.path.as_str()).collect()
}

/// The error for [`ENOUGH`] with one line in place of another.
#[track_caller]
fn refusal_instead(old: &str, new: &str) -> String {
    assert!(ENOUGH.contains(old));
    parse(&ENOUGH.replace(old, new)).expect_err("this must be refused").to_string()
}

/// Every one of `parts` stands in `text`.
#[track_caller]
pub(super) fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn the_shipped_example_is_what_its_comments_say() {
    let config = parse(EXAMPLE).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.public_url, None);
    assert_eq!(config.server.request_timeout, Duration::from_secs(30));
    assert_eq!(config.server.max_body, 1 << 20);
    assert_eq!(config.server.max_import, 256 << 20);
    assert_eq!(config.server.max_connections, 10_000);
    assert_eq!(config.store.url.expose(), "sqlite:/etc/scimbridge/scimbridge.db");
    assert_eq!(config.cache_capacity, 128 << 20);
    assert_eq!(config.log.format, LogFormat::Text);
    let [tenant] = config.tenants.as_slice() else { panic!("one tenant") };
    assert_eq!(paths(tenant), ["/scim/acme/v2"]);
    assert_eq!(tenant.vanish_brake, VanishBrake { percent: 5, at_least: 10 });
    let caller = &tenant.tokens[0].rights.caller;
    assert_eq!((&*caller.tenant, &*caller.name, caller.binds), ("acme", "helpdesk", None));
    assert!(caller.permissions.contains(Permission::UsersRead));
    assert!(!caller.permissions.contains(Permission::UsersReplace));
    let [corp] = tenant.repositories.as_slice() else { panic!("one repository") };
    assert_eq!(corp.urls[0].to_string(), "ldap://127.0.0.1:3890");
    assert_eq!(corp.bind_password.as_ref().unwrap().expose(), "hunter2");
    assert_eq!(corp.filter.as_deref(), Some("(objectClass=inetOrgPerson)"));
    assert_eq!((corp.lookup, corp.scan), (2, 2));
    assert_eq!(corp.idle, Duration::from_mins(4));
    assert_eq!(corp.max_message, 8 << 20);
    let title = AttributeOverride {
        attribute: Some(Source::Attributes(vec!["title".to_owned()])),
        authority: Some(Authority::Local),
        kind: None,
        several: false,
    };
    assert_eq!(corp.attributes, [("title".to_owned(), title)]);
}

#[test]
fn what_the_example_writes_is_what_holds_unwritten() {
    let names = |line: &str| {
        ["name", "sha256", "permissions", "[", "id", "urls", "base", "title"]
            .iter()
            .any(|kept| line.starts_with(kept))
    };
    let short: String =
        EXAMPLE.lines().filter(|line| names(line)).fold(String::new(), |mut text, line| {
            text.push_str(line);
            text.push('\n');
            text
        });
    let mut long = parse(EXAMPLE).unwrap();
    let corp = &mut long.tenants[0].repositories[0];
    (corp.bind_dn, corp.bind_password, corp.filter) = (None, None, None);
    assert_eq!(format!("{:#?}", parse(&short).unwrap()), format!("{long:#?}"));
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = parse(ENOUGH).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    let tenant = &config.tenants[0];
    assert_eq!((tenant.max_results, tenant.allow_scan), (100, true));
    assert_eq!(tenant.on_failure, OnFailure::Partial);
    let corp = &tenant.repositories[0];
    assert_eq!((corp.mapping.as_str(), corp.size_limit, corp.starttls), ("openldap", 1000, false));
    let hour = Duration::from_hours(1);
    assert_eq!((corp.cache.stale, corp.verify, corp.max_age), (hour, hour, hour / 2));
}

#[test]
fn defaults_of_what_is_to_come_may_be_written() {
    let text = ENOUGH
        .replace(
            "name = \"acme\"",
            "name = \"acme\"\n\
             mounts = [\"/scim/v2\", { path = \"/T/acme/\" }]",
        )
        .replace(
            "id = \"corp\"",
            "id = \"corp\"\nkind = \"ldap\"\nmapping = \"openldap\"\nchanges = \"off\"\nfollow_referrals = []",
        )
        .replace(
            "name = \"helpdesk\"",
            "name = \"helpdesk\"\nclient = \"rfc\"\ncreates = \"FTRESS\"\ngroups = []",
        );
    let config = parse(&text).unwrap();
    assert_eq!(paths(&config.tenants[0]), ["/scim/acme/v2", "/scim/v2", "/T/acme"]);
}

#[test]
fn what_is_to_come_is_refused_by_name() {
    let sections = [("[telemetry]\notlp = \"http://127.0.0.1:4317\"", "\"telemetry.otlp\"")];
    for (section, key) in sections {
        let text = parse(&format!("{section}\n{ENOUGH}")).unwrap_err().to_string();
        says(&text, &["configuration:2: ", key, " is not yet supported; remove it"]);
    }
}

#[test]
fn a_former_id_is_nobody_elses() {
    let corp = "id = \"corp\"";
    let other =
        "\n[[tenant.repository]]\nid = \"labs\"\nurls = [\"ldap://127.0.0.1\"]\nbase = \"dc=x\"\n";
    let fed = "\n[[tenant.repository]]\nid = \"entra\"\nkind = \"scim_fed\"\n";
    for (written, more, part) in [
        ("rename_from = \"Old\"", "", "cannot name a repository"),
        ("rename_from = \"corp\"", "", "is still the id"),
        ("rename_from = \"labs\"", other, "is still the id"),
        ("rename_from = \"entra\"", fed, "is still the id"),
    ] {
        let text = ENOUGH.replace(corp, &format!("{corp}\n{written}")) + more;
        let text = parse(&text).unwrap_err().to_string();
        says(&text, &["configuration:12: tenant.repository.rename_from: ", part]);
    }
    let text = ENOUGH.replace(corp, "id = \"corp\"\nrename_from = \"old\"") + other;
    let twice = format!("{text}rename_from = \"old\"\n");
    says(&parse(&twice).unwrap_err().to_string(), &["cannot both have been \"old\""]);
    let config = parse(&text).unwrap();
    assert_eq!(config.tenants[0].repositories[0].rename_from.as_deref(), Some("old"));
}

#[test]
fn hosts_for_referrals_are_hosts() {
    for (line, parts) in [
        (
            "follow_referrals = [\"ldap://dc2\"]",
            [":12: ", "this is a URL", "\"dc2.corp.example:389\""],
        ),
        ("follow_referrals = [\"dc2\", \"DC2\"]", [":12: ", "host", "follow_referrals"]),
        ("follow_referrals = [\"*.corp.example\"]", [":12: ", "host", "follow_referrals"]),
    ] {
        says(&refusal("id = \"corp\"", line), &parts);
    }
    let corp = "id = \"corp\"";
    let text =
        ENOUGH.replace(corp, "id = \"corp\"\nfollow_referrals = [\"DC2.Corp.example:3268\"]");
    let config = parse(&text).unwrap();
    let hosts = &config.tenants[0].repositories[0].follow_referrals;
    assert_eq!(hosts[0].to_string(), "dc2.corp.example:3268");
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    assert_eq!(
        refusal("id = \"corp\"", "bind_pasword = \"hunter2\""),
        "configuration:12: tenant.repository.bind_pasword: no such key\n   |\n\
         12 | bind_pasword = …\n   | ^^^^^^^^^^^^\n   = did you mean \"bind_password\"?"
    );
    says(&refusal("name = \"acme\"", "dialct = \"rfc\""), &[":4: ", "did you mean \"dialect\"?"]);
    says(&refusal("name = \"acme\"", "frobnicate = 1"), &["known here: name, dialect, mounts, "]);
    says(
        &refusal("id = \"corp\"", "cache = { freshness = \"1s\" }"),
        &[":12: tenant.repository.cache.freshness: no such key"],
    );
    let text = parse(&format!("{ENOUGH}\n[srever]\n")).unwrap_err().to_string();
    says(&text, &[":15: srever: no such key", "did you mean \"server\"?"]);
}

#[test]
fn what_is_no_toml_is_said_with_its_line() {
    let text = refusal("name = \"acme\"", "max_results = = 3");
    says(&text, &["configuration:4: this is not TOML: ", "4 | max_results = = 3"]);
    let text = refusal("id = \"corp\"", "bind_password = \"hunter2");
    says(&text, &["configuration:12: this is not TOML: ", "12 | bind_password = …"]);
    assert!(!text.contains("hunter2"));
    let text = refusal("name = \"helpdesk\"", "scimbridge_hunter2");
    says(&text, &["configuration:7: this is not TOML: "]);
    assert!(!text.contains("hunter2"), "{text}");
    let text = refusal("id = \"corp\"", "id = \"twice\"");
    says(&text, &["configuration:12: this is not TOML: duplicate key"]);
    let text = refusal("id = \"corp\"", "bind_password = \"\"\"\nhunter2\\q\n\"\"\"");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn what_is_missing_is_named() {
    says(
        &refusal_instead("base = \"ou=people,dc=example,dc=org\"\n", ""),
        &[":10: tenant.repository.base is missing", "base = \"ou=people,dc=example,dc=org\""],
    );
    says(
        &refusal_instead("permissions = [\"users:search\"]\n", ""),
        &["tenant.token.permissions is missing"],
    );
    says(&parse("").unwrap_err().to_string(), &["configuration: there is no tenant", "[[tenant]]"]);
}

#[test]
fn a_wrong_type_says_what_to_write() {
    let cases = [
        ("max_results = \"ten\"", "tenant.max_results: ", "a whole number, without quotes"),
        ("max_results = -1", "integer `-1`", "a whole number, without quotes"),
        ("allow_scan = \"yes\"", "tenant.allow_scan: string \"yes\"", "true or false"),
        ("mounts = \"/scim/v2\"", "tenant.mounts: ", "write a list"),
        ("vanish_grace = 5", "tenant.vanish_grace: integer `5`", "a text in quotes"),
        ("vanish_brake = 5", "tenant.vanish_brake: integer `5`", "write a table"),
    ];
    for (line, problem, remedy) in cases {
        says(&refusal("name = \"acme\"", line), &["configuration:4: ", problem, remedy, line]);
    }
}

#[test]
fn durations_sizes_and_words_are_checked() {
    let tenant = "name = \"acme\"";
    let corp = "id = \"corp\"";
    let cases = [
        (tenant, "cursor_timeout = \"10\"", "\"10\" is no duration", "\"500ms\", \"30s\""),
        (tenant, "cursor_timeout = \"2d\"", "\"2d\" is out of bounds", "write \"1s\" to \"1d\""),
        (tenant, "max_results = 0", "0 is out of bounds", "write 1 to 100000"),
        (tenant, "vanish_brake.percent = 101", "101 is out of bounds", "write 0 to 100"),
        (tenant, "on_failure = \"fial\"", "no such choice: \"fial\"", "did you mean \"fail\"?"),
        (tenant, "on_vanish = \"remove\"", "no such choice", "one of \"disable\", \"keep\""),
        (tenant, "dialect = \"activ\"", "no such choice", "\"rfc\", \"activid\""),
        (corp, "max_message = \"8MB\"", "\"8MB\" is no size", "\"128MiB\""),
        (corp, "max_message = \"1KiB\"", "\"1KiB\" is out of bounds", "\"4KiB\" to \"1GiB\""),
        (corp, "verify = \"0s\"", "out of bounds", "\"100ms\" to \"30d\""),
        (corp, "connections = { idle = \"5m\" }", "out of bounds", "\"1s\" to \"299s\""),
        (corp, "cache = { fresh = \"2h\", stale = \"1h\" }", "after 1h and fresh for 2h", "\"0s\""),
        (corp, "mapping = \"opnldap\"", "no such choice", "did you mean \"openldap\"?"),
        (corp, "filter = \"uid=*\"", "\"uid=*\" is no LDAP filter", "in parentheses"),
        (corp, "filter = \"(uid=*)(cn=*)\"", "is no LDAP filter", "in parentheses"),
        (corp, "filter = \"(&(uid=*)\"", "is no LDAP filter", "in parentheses"),
        (corp, "timeouts = { connect = \"1h\" }", "out of bounds", "\"10ms\" to \"5m\""),
        (corp, "attributes.title = { attribute = \"a b\" }", "no LDAP attribute", "digits"),
        (corp, "attributes.title = {}", "the table is empty", "authority"),
        (
            corp,
            "attributes.title = { attribute = \"t\", type = \"a b\" }",
            "\"a b\" is no type",
            "as in \"date\"",
        ),
        (corp, "attributes.title = { template = \"{sn\" }", "no template", "{givenName} {sn}"),
        (
            corp,
            "attributes.title = { attribute = \"t\", authority = \"ours\" }",
            "ours",
            "\"local\"",
        ),
    ];
    for (after, line, problem, remedy) in cases {
        let shown = refusal(after, line);
        says(&shown, &["configuration:", problem, remedy, " | ", line]);
    }
    let text = format!("[cache]\ncapacity = \"1023KiB\"\n{ENOUGH}");
    says(&parse(&text).unwrap_err().to_string(), &[":2: cache.capacity: ", "\"1MiB\" to "]);
    let text = format!("[telemetry]\nlog = \"inof\"\n{ENOUGH}");
    says(&parse(&text).unwrap_err().to_string(), &[":2: telemetry.log: \"inof\"", "info, debug"]);
    let text = format!("[telemetry]\nformat = \"xml\"\n{ENOUGH}");
    says(&parse(&text).unwrap_err().to_string(), &[":2: telemetry.format: ", "\"text\", \"json\""]);
}

#[test]
fn listening_beyond_loopback_needs_tls_somewhere() {
    let text = |rest: &str| format!("[server]\nlisten = \"0.0.0.0:8080\"\n{rest}{ENOUGH}");
    says(
        &parse(&text("")).unwrap_err().to_string(),
        &[":2: server.listen: ", "in clear text on 0.0.0.0:8080", "behind_proxy = true"],
    );
    assert!(parse(&text("behind_proxy = true\n")).unwrap().server.behind_proxy);
    let text = format!("[server]\nlisten = \"localhost:80\"\n{ENOUGH}");
    says(&parse(&text).unwrap_err().to_string(), &["\"localhost:80\" is no address", "127.0.0.1"]);
    let text = format!("[server]\noperations = \"127.0.0.1:8080\"\n{ENOUGH}");
    says(&parse(&text).unwrap_err().to_string(), &[":2: server.operations: ", "another port"]);
    let text = format!("[server]\npublic_url = \"scim.example.org\"\n{ENOUGH}");
    says(&parse(&text).unwrap_err().to_string(), &[":2: server.public_url: ", "https://"]);
    let text = format!("[server]\npublic_url = \"https://scim.example.org/\"\n{ENOUGH}");
    let url = parse(&text).unwrap().server.public_url;
    assert_eq!(url.as_deref(), Some("https://scim.example.org"));
}

#[test]
fn ldap_beyond_loopback_needs_tls_or_an_explicit_word() {
    let old = "urls = [\"ldap://127.0.0.1:3890\"]";
    let far = "urls = [\"ldap://ldap.example.org\"]";
    says(
        &refusal_instead(old, far),
        &[
            ":12: tenant.repository.urls: ",
            "to ldap://ldap.example.org:389",
            "tls = \"starttls\"",
            "insecure = true",
        ],
    );
    says(
        &refusal_instead(old, &format!("{far}\ntls = \"none\"")),
        &[":13: tenant.repository.tls: ", "insecure = true accepts the risk"],
    );
    let read = |new: &str| {
        parse(&ENOUGH.replace(old, new)).unwrap().tenants.remove(0).repositories.remove(0)
    };
    let corp = read(&format!("{far}\ntls = \"none\"\ninsecure = true"));
    assert!(corp.plain(&corp.urls[0]));
    let corp = read(&format!("{far}\ntls = \"starttls\""));
    assert!(!corp.plain(&corp.urls[0]));
    let corp = read("urls = [\"ldaps://a.example.org\", \"ldaps://[::1]:6360/\"]");
    assert_eq!(corp.urls[0].to_string(), "ldaps://a.example.org:636");
    assert_eq!(corp.urls[1].to_string(), "ldaps://[::1]:6360");
    assert!(corp.urls[1].is_loopback() && !corp.urls[0].is_loopback());
    let corp = read("urls = [\"ldaps://a.example.org\"]\ntls = \"none\"");
    assert!(!corp.starttls && !corp.plain(&corp.urls[0]), "ldaps:// speaks for itself");
    let contradictions = [
        ("urls = [\"ldaps://a\"]\ntls = \"starttls\"", "TLS from the first byte", "remove tls"),
        ("urls = [\"ldaps://a\"]\ninsecure = true", "always verified", "remove insecure"),
        ("urls = [\"ldap://localhost\"]\nca = \"ca.pem\"", "a ca is for TLS", "starttls"),
        (
            "urls = [\"ldaps://a\"]\nca = \"no-such.pem\"",
            "cannot open /etc/scimbridge/no-such.pem",
            "PEM",
        ),
        ("urls = []", "at least one server", "ldaps://"),
        ("urls = [\"ldap://127.0.0.1\", \"ldap://127.0.0.1:389\"]", "already", "of its own"),
        ("urls = [\"http://a\"]", "not the URL of an LDAP server", "ldaps://host:port"),
        ("urls = [\"ldaps://a:0\"]", "the port", "ldaps://host:port"),
        ("urls = [\"ldaps://a:\"]", "the port", "ldaps://host:port"),
        ("urls = [\"ldaps://a/dc=x\"]", "more than a server", "base"),
        ("urls = [\"ldaps://[::1\"]", "not closed", "ldaps://host:port"),
        ("urls = [\"ldaps://a b\"]", "not the name or address", "ldaps://host:port"),
    ];
    for (new, problem, remedy) in contradictions {
        says(&refusal_instead(old, new), &["tenant.repository.", problem, remedy]);
    }
    let text = refusal_instead(old, "urls = [\"ldaps://me:hunter2@a\"]");
    says(&text, &["holds no credentials"]);
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn credentials_come_in_pairs_and_are_never_empty() {
    let corp = "id = \"corp\"";
    says(
        &refusal(corp, "bind_dn = \"cn=a,dc=b\""),
        &[":12: tenant.repository.bind_dn: ", "no bind_password", "{ env = \"NAME\" }"],
    );
    let text = refusal(corp, "bind_password = \"hunter2\"");
    says(&text, &["no bind_dn", "12 | bind_password = …"]);
    assert!(!text.contains("hunter2"));
    let with = |password: &str| refusal(corp, &format!("bind_dn = \"cn=a,dc=b\"\n{password}"));
    says(
        &with("bind_password = { env = \"NOT_THERE\" }"),
        &[":13: tenant.repository.bind_password: ", "NOT_THERE is not set", "set NOT_THERE"],
    );
    says(&with("bind_password = \"\""), &["the password is empty", "anonymous"]);
    says(
        &with("bind_password = { file = \"no-such\" }"),
        &["cannot read /etc/scimbridge/no-such", "relative to this file"],
    );
    says(&with("bind_password = { evn = \"X\" }"), &["no such key", "did you mean \"env\"?"]);
    says(&with("bind_password = { env = \"X\", file = \"y\" }"), &["takes one of env and file"]);
    let text = with("bind_password = 20991231");
    says(&text, &["the value has the wrong type", "{ env = \"NAME\" }"]);
    assert!(!text.contains("20991231"), "{text}");
    says(&refusal(corp, "bind_dn = \"reader\"\nbind_password = \"x\""), &["no distinguished name"]);
    // What Active Directory takes as well is for its mapping alone.
    let windows = "bind_dn = 'CORP\\reader'\nbind_password = \"x\"";
    says(&refusal(corp, windows), &["no distinguished name"]);
    let lines = format!("{corp}\nmapping = \"active-directory\"\n{windows}");
    let config = parse(&ENOUGH.replace(corp, &lines)).unwrap();
    assert_eq!(config.tenants[0].repositories[0].bind_dn.as_deref(), Some("CORP\\reader"));
}

#[test]
fn secrets_come_out_of_files_and_never_into_debug() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("password"), "hunter2 \r\n").unwrap();
    let text = ENOUGH.replace(
        "id = \"corp\"",
        "id = \"corp\"\nbind_dn = \"cn=a,dc=b\"\nbind_password = { file = \"password\" }",
    );
    let file = directory.path().join("scimbridge.toml");
    std::fs::write(&file, &text).unwrap();
    let config = Config::load(&file).unwrap();
    let password = config.tenants[0].repositories[0].bind_password.as_ref().unwrap();
    assert_eq!(password.expose(), "hunter2 ");
    assert!(!format!("{config:?}").contains("hunter2"));
    let written = text.replace("{ file = \"password\" }", "\"hunter2\"");
    let document: written::File = toml::from_str(&written).unwrap();
    assert!(!format!("{document:?}").contains("hunter2"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Config::load(Path::new("/no/such/scimbridge.toml")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the configuration file /no/such/scimbridge.toml");
    let directory = tempfile::tempdir().unwrap();
    let file: PathBuf = directory.path().join("scimbridge.toml");
    std::fs::write(&file, "[server]\nlisten = 1\n").unwrap();
    let text = Config::load(&file).unwrap_err().to_string();
    says(&text, &[&format!("{}:2: server.listen: ", file.display())]);
}

#[test]
fn tokens_belong_to_one_tenant_and_are_never_shown() {
    let text = refusal_instead(
        "sha256 = \"00000000000000000000000000000000000000000000000000000000000000aa\"",
        "sha256 = \"scimbridge_hunter2\"",
    );
    says(&text, &[":7: tenant.token.sha256: ", "64 hex digits", "token new", "7 | sha256 = …"]);
    assert!(!text.contains("hunter2"));
    let other = ENOUGH.replace("acme", "other");
    says(
        &parse(&format!("{ENOUGH}{other}")).unwrap_err().to_string(),
        &["tenant.token.sha256: ", "the token of acme/helpdesk already", "token new"],
    );
    says(
        &refusal_instead("\"users:search\"", "\"users:serch\""),
        &["did you mean \"users:search\"?"],
    );
    says(
        &refusal_instead("\"users:search\"", "\"everything\""),
        &["\"groups:write\"", "\"admin\""],
    );
    let all = parse(&ENOUGH.replace("users:search", "*")).unwrap();
    let admin: PermissionSet = "admin".parse().unwrap();
    assert_eq!(all.tenants[0].tokens[0].rights.caller.permissions, admin);
}

#[test]
fn names_and_base_paths_are_unique() {
    let twice = format!("{ENOUGH}{ENOUGH}");
    says(&parse(&twice).unwrap_err().to_string(), &[":16: tenant.name: ", "\"acme\" already"]);
    says(
        &refusal_instead("name = \"acme\"", "name = \"Acme\""),
        &["cannot name a tenant", "a-z, 0-9"],
    );
    says(&refusal_instead("id = \"corp\"", "id = \"corp.de\""), &["cannot name a repository"]);
    let tenant = "name = \"acme\"";
    let cases = [
        ("mounts = [\"scim\"]", "\"scim\" is no base path"),
        ("mounts = [\"/\"]", "is no base path"),
        ("mounts = [\"/a//b\"]", "is no base path"),
        ("mounts = [\"/a/../b\"]", "is no base path"),
        ("mounts = [\"/a?b\"]", "is no base path"),
        ("mounts = [\"/Health/x\"]", "is the bridge's own"),
        ("mounts = [\"/metrics\"]", "is the bridge's own"),
        ("mounts = [\"/console\"]", "is the bridge's own"),
        ("mounts = [\"/scim/ACME/v2\"]", "a base path of tenant \"acme\" already"),
        ("mounts = [\"/x\", { path = \"/X/\" }]", "a base path of tenant \"acme\" already"),
    ];
    for (line, problem) in cases {
        says(&refusal(tenant, line), &[":4: tenant.mounts: ", problem]);
    }
    says(&refusal(tenant, "mounts = [{ dialect = \"rfc\" }]"), &["path is missing", "/scim/v2"]);
}

#[test]
fn groups_roles_and_rules_name_what_exists() {
    let tenant = "name = \"acme\"";
    let cases = [
        ("[[tenant.group]]\nid = \"a\"\n[[tenant.group]]\nid = \"a\"", "a group \"a\" already"),
        ("[[tenant.role]]\nid = \"a\"\n[[tenant.role]]\nid = \"a\"", "a role \"a\" already"),
        (
            "[[tenant.group]]\nid = \"a\"\nroles = [\"b\"]",
            "no role of this tenant has the id \"b\"",
        ),
        (
            "[[tenant.group]]\nid = \"a\"\nparent = \"b\"",
            "no group of this tenant has the id \"b\"",
        ),
        ("[[tenant.group]]\nid = \"a\"\nparent = \"a\"", "group \"a\" is inside itself"),
        ("[[tenant.group]]\nid = \"a b\"", "\"a b\" cannot be the id of a group"),
        ("[[tenant.role]]\nid = \"10001\"", "\"10001\" cannot be the id of a role"),
        ("[[tenant.role]]\nid = \"corp.x\"", "in the repository \"corp\""),
        ("[[tenant.group]]\nid = \"a\"\n[[tenant.role]]\nid = \"A\"", "is the id of a role"),
        (
            "[[tenant.group]]\nid = \"a\"\n[[tenant.group]]\nid = \"b\"\ndisplay = \"A\"",
            "the group \"a\" is called \"A\" already",
        ),
        (
            "[[tenant.group]]\nid = \"a\"\nparent = \"b\"\n[[tenant.group]]\nid = \"b\"\nparent = \"a\"",
            "is inside itself",
        ),
    ];
    for (lines, problem) in cases {
        says(&refusal(tenant, lines), &[problem]);
    }
    let token = "name = \"helpdesk\"";
    says(&refusal(token, "max_role = \"x\""), &["max_role: ", "no role of this tenant has the id"]);
    says(&refusal(token, "groups = [\"x\"]"), &["groups: ", "no group of this tenant has the id"]);
    let rule = |lines: &str| {
        let text = format!(
            "{ENOUGH}[[tenant.repository.rule]]\n{lines}\n[[tenant.group]]\nid = \"staff\"\n"
        );
        parse(&text)
    };
    let parsed = rule("group = \"staff\"\nmember_of = \"cn=x,dc=y\"").unwrap();
    let rule_read = &parsed.tenants[0].repositories[0].rules[0];
    assert_eq!(rule_read.member_of.as_deref(), Some("cn=x,dc=y"));
    let cases = [
        ("group = \"stuff\"\nbase = \"dc=x\"", "did you mean \"staff\"?"),
        ("group = \"staff\"", "the rule asks for nothing"),
        ("base = \"dc=x\"", "the rule gives nothing"),
        ("group = \"staff\"\nbase = \"x\"", "\"x\" is no distinguished name"),
        ("group = \"staff\"\nfilter = \"x\"", "\"x\" is no LDAP filter"),
    ];
    for (lines, problem) in cases {
        says(&rule(lines).unwrap_err().to_string(), &["tenant.repository.rule", problem]);
    }
}

#[test]
fn distinguished_names_may_hold_escapes() {
    for dn in [
        "dc=org",
        r"cn=Hill\\, Ella,ou=people,dc=example",
        "cn=a+uid=b, dc=c",
        r#"cn=\"x, y\",dc=z"#,
        "2.5.4.3=x",
    ] {
        let text = ENOUGH.replace("ou=people,dc=example,dc=org", dn);
        assert!(parse(&text).is_ok(), "{dn}");
    }
    for dn in ["", "dc", "dc=", "=x", "dc=a,,dc=b", "dc=a,", "d c=a"] {
        let text = ENOUGH.replace("ou=people,dc=example,dc=org", dn);
        says(&parse(&text).unwrap_err().to_string(), &["tenant.repository.base: ", "dc=example"]);
    }
}
