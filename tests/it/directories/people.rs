//! People of Active Directory and of 389 Directory Server: found, read, bound, disabled, moved, gone.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::servers::{self, PEOPLE, Server, is_active, sam, uid, word};
use crate::support::bridge::{Settings, TestBridge, run};
use crate::support::client::Client;
use crate::support::hostile::{Hostile, Operation, Verdict};

/// From here on tests change people, each its own.
pub const FIRST_CHANGED: usize = 41;
const BOUND: usize = 41;
const SWITCHED: usize = 42;
const MOVED: usize = 43;
const MADE_ANEW: usize = 44;
const EXPIRED: usize = 46;

const FRESH: &str = "cache = { fresh = \"0s\", negative = \"0s\", stale = \"0s\" }\n";

fn settings(server: &Server) -> Settings {
    let lines = server.lines(server.url());
    Settings::local().rest(&format!("[[tenant.repository]]\nid = \"corp\"\n{lines}{FRESH}"))
}

fn login(server: &Server, number: usize) -> String {
    if server.is_samba() { sam(number) } else { uid(number) }
}

fn find(client: &mut Client, filter: &str) -> Value {
    client
        .query("/Users", &[("searchRepositories", "true"), ("filter", filter), ("count", "100")])
        .expect(200)
}

/// The one person of a login.
fn person(client: &mut Client, server: &Server, number: usize) -> Value {
    let found = find(client, &format!("userName eq \"{}\"", login(server, number)));
    assert_eq!(found["totalResults"], 1, "{found}");
    found["Resources"][0].clone()
}

fn path(user: &Value) -> String {
    format!("/Users/{}", user["id"].as_str().unwrap())
}

fn patch(op: &str, path: &str, value: &Value) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{ "op": op, "path": path, "value": value }] })
}

#[test]
fn everybody_is_found_and_read_by_the_id_that_was_shown() {
    for server in servers::all() {
        let bridge = TestBridge::start(&settings(server));
        let mut client = bridge.client();
        let all = find(&mut client, "userType eq \"LDAP\"");
        let report = &all["urn:scimbridge:api:messages:2.0:Repositories"][0];
        assert_eq!(report["state"], "ok", "{report}");
        for number in [1, 2, 7, 10, 20] {
            let shown = person(&mut client, server, number);
            assert_eq!(shown["userType"], "LDAP");
            assert_eq!(shown["name"]["familyName"], word(number));
            assert_eq!(shown["active"], is_active(server, number), "{number}: {shown}");
            let key = if server.is_samba() { "objectGUID" } else { "nsUniqueId" };
            let written = &server.values(&server.dn(number), key)[0];
            let id = shown["id"].as_str().unwrap();
            assert_eq!(id.strip_prefix("corp."), Some(canonical(server, written).as_str()));
            assert_eq!(client.get(&path(&shown)).expect(200)["userName"], shown["userName"]);
            assert_eq!(
                client.get(&path(&shown).to_uppercase().replace("/USERS", "/Users")).status,
                404
            );
        }
    }
}

/// The one text of a key, made of what `ldapsearch` prints.
fn canonical(server: &Server, written: &str) -> String {
    use base64::Engine as _;
    if server.is_samba() {
        let bytes = base64::engine::general_purpose::STANDARD.decode(written).unwrap();
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
        dashed(&order.map(|index| hex[index].clone()).concat())
    } else {
        dashed(&written.replace('-', ""))
    }
}

fn dashed(hex: &str) -> String {
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Where photos are, in either kind of directory.
const PHOTOS: [&str; 2] = ["jpegPhoto", "thumbnailPhoto"];

/// In front of the server: writes down what searches for people ask for, where nothing is everything.
fn listening(server: &Server, asked: &Arc<Mutex<BTreeSet<String>>>) -> Hostile {
    let asked = Arc::clone(asked);
    Hostile::in_front_of(&server.address(), move |request, _| {
        if let Operation::Search { attributes, .. } = &request.operation
            && request.is_for_people()
        {
            let everything = attributes.is_empty().then(|| "*".to_owned());
            asked.lock().unwrap().extend(attributes.iter().cloned().chain(everything));
        }
        Ok(Verdict::Pass)
    })
}

#[test]
fn mail_comes_from_proxy_addresses_and_photos_only_on_request() {
    for server in servers::all() {
        let asked = Arc::new(Mutex::new(BTreeSet::new()));
        let relay = listening(server, &asked);
        let lines = server.lines(&relay.url());
        let settings = Settings::local()
            .rest(&format!("[[tenant.repository]]\nid = \"corp\"\n{lines}{FRESH}"));
        let bridge = TestBridge::start(&settings);
        let mut client = bridge.client();
        let name = uid(2);
        let shown = person(&mut client, server, 2);
        let primary =
            json!({ "value": format!("{name}@example.org"), "type": "work", "primary": true });
        assert_eq!(shown["emails"][0], primary);
        if server.is_samba() {
            assert_eq!(shown["emails"].as_array().unwrap().len(), 2, "{shown}");
            assert_eq!(shown["emails"][1]["value"], "alias2@example.org");
            let found = find(&mut client, "emails.value eq \"ALIAS2@example.org\"");
            assert_eq!(found["Resources"][0]["id"], shown["id"]);
            assert_eq!(find(&mut client, "emails.value co \"o=Example\"")["totalResults"], 0);
        }
        let found = find(&mut client, &format!("emails.value sw \"{name}@\""));
        assert_eq!(found["Resources"][0]["id"], shown["id"]);
        let pictured = (1..FIRST_CHANGED)
            .find(|number| crate::support::company::person(*number).photo.is_some())
            .unwrap();
        let shown = person(&mut client, server, pictured);
        assert!(shown.get("photos").is_none());
        for asked in ["", "?attributes=userName,emails", "?excludedAttributes=emails"] {
            client.get(&format!("{}{asked}", path(&shown))).expect(200);
        }
        find(&mut client, "userType eq \"LDAP\"");
        let nick = patch("add", "nickName", &json!("n"));
        client.patch(&path(&shown), &nick).expect(200);
        // Nor do they travel: nobody asks for them, by name or with everything.
        let heard = std::mem::take(&mut *asked.lock().unwrap());
        let own: &[&str] = if server.is_samba() { &PHOTOS } else { &PHOTOS[..1] };
        for name in PHOTOS.iter().chain(&["*"]) {
            assert!(heard.contains("telephoneNumber") && !heard.contains(*name), "{heard:?}");
        }
        let photos = client.get(&format!("{}?attributes=photos", path(&shown))).expect(200);
        assert!(
            photos["photos"][0]["value"].as_str().unwrap().starts_with("data:image/jpeg;base64,")
        );
        let heard = asked.lock().unwrap();
        assert!(own.iter().all(|name| heard.contains(*name)), "{heard:?}");
    }
}

#[test]
fn filters_that_are_pushed_down_find_whom_memory_finds() {
    for server in servers::all() {
        let bridge = TestBridge::start(&settings(server));
        let mut client = bridge.client();
        let inactive = find(&mut client, "active eq false");
        let names: Vec<&str> = inactive["Resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| user["userName"].as_str().unwrap())
            .collect();
        for number in 1..FIRST_CHANGED {
            let expected = !is_active(server, number);
            assert_eq!(names.contains(&login(server, number).as_str()), expected, "{number}");
        }
        let report = &inactive["urn:scimbridge:api:messages:2.0:Repositories"][0];
        assert_eq!(report["scan"], false, "{report}");
        let found = find(&mut client, "name.familyName eq \"JOSE\u{301}\" and active eq true");
        for user in found["Resources"].as_array().unwrap() {
            assert_eq!(
                user["name"]["familyName"].as_str().unwrap().to_lowercase().chars().next(),
                Some('j')
            );
        }
        assert!(found["totalResults"].as_u64().unwrap() >= 1, "{found}");
    }
}

#[test]
fn the_first_write_binds_and_the_directory_keeps_its_own() {
    for server in servers::all() {
        let bridge = TestBridge::start(&settings(server));
        let mut client = bridge.client();
        let unbound = person(&mut client, server, BOUND);
        let bound =
            client.patch(&path(&unbound), &patch("add", "nickName", &json!("N"))).expect(200);
        assert_eq!((&bound["id"], &bound["userType"]), (&unbound["id"], &json!("FTRESS_LDAP")));
        let other = patch("replace", "name.familyName", &json!("Other"));
        assert_eq!(client.patch(&path(&unbound), &other).expect(400)["scimType"], "mutability");
        let again = person(&mut client, server, BOUND);
        assert_eq!((&again["nickName"], &again["userType"]), (&json!("N"), &json!("FTRESS_LDAP")));
    }
}

#[test]
fn disabled_here_or_there_once_or_twice_is_disabled() {
    for server in servers::all() {
        let bridge = TestBridge::start(&settings(server));
        let mut client = bridge.client();
        let user = person(&mut client, server, SWITCHED);
        assert_eq!(user["active"], true);
        for _ in 0..2 {
            let off =
                client.patch(&path(&user), &patch("replace", "active", &json!(false))).expect(200);
            assert_eq!(off["active"], false);
        }
        let on = patch("replace", "active", &json!(true));
        assert_eq!(client.patch(&path(&user), &on).expect(200)["active"], true);
        let dn = server.dn(SWITCHED);
        let set = |disabled: bool| {
            let (attribute, value) = match (server.is_samba(), disabled) {
                (true, true) => ("userAccountControl", "546"),
                (true, false) => ("userAccountControl", "544"),
                (false, true) => ("nsAccountLock", "true"),
                (false, false) => ("nsAccountLock", "false"),
            };
            server.modify(&format!(
                "dn: {dn}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n"
            ));
        };
        for _ in 0..2 {
            set(true);
            assert_eq!(client.get(&path(&user)).expect(200)["active"], false);
            let repeated = patch("replace", "active", &json!(false));
            assert_eq!(client.patch(&path(&user), &repeated).expect(200)["active"], false);
            // What the directory says is not undone from here.
            assert_eq!(client.patch(&path(&user), &on).expect(400)["scimType"], "mutability");
        }
        set(false);
        let cleared = client.patch(&path(&user), &on).expect(200);
        assert_eq!(cleared["active"], true);
    }
}

#[test]
fn an_account_that_has_expired_is_not_active() {
    let Some(server) = servers::samba() else { return };
    let bridge = TestBridge::start(&settings(server));
    let mut client = bridge.client();
    let user = person(&mut client, server, EXPIRED);
    assert_eq!(user["active"], true);
    // The normal account with a password that never expires, and any other bit.
    let dn = server.dn(EXPIRED);
    let set = |attribute: &str, value: &str| {
        server.modify(&format!(
            "dn: {dn}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n"
        ));
    };
    set("userAccountControl", "66080");
    assert_eq!(client.get(&path(&user)).expect(200)["active"], true);
    set("accountExpires", "132854688000000000");
    assert_eq!(client.get(&path(&user)).expect(200)["active"], false);
    set("accountExpires", "9223372036854775807");
    assert_eq!(client.get(&path(&user)).expect(200)["active"], true);
}

#[test]
fn who_is_renamed_and_moved_stays_who_they_are() {
    for server in servers::all() {
        let bridge = TestBridge::start(&settings(server));
        let mut client = bridge.client();
        let user = person(&mut client, server, MOVED);
        client.patch(&path(&user), &patch("add", "nickName", &json!("stays"))).expect(200);
        let (dn, base) = (server.dn(MOVED), server.base);
        let (rdn, unit) = if server.is_samba() {
            ("CN=Moved\\, Person", format!("OU=Außendienst,{base}"))
        } else {
            ("uid=moved.person", format!("ou=field,{base}"))
        };
        server.modify(&format!(
            "dn: {dn}\nchangetype: modrdn\nnewrdn: {rdn}\ndeleteoldrdn: 1\nnewsuperior: {unit}\n"
        ));
        let moved = client.get(&path(&user)).expect(200);
        assert_eq!((&moved["id"], &moved["nickName"]), (&user["id"], &json!("stays")));
        assert_eq!(moved["userType"], "FTRESS_LDAP");
        if !server.is_samba() {
            assert_eq!(moved["userName"], "moved.person");
        }
        let name = moved["userName"].as_str().unwrap();
        assert_eq!(find(&mut client, &format!("userName eq \"{name}\""))["totalResults"], 1);
    }
}

#[test]
fn who_comes_back_under_an_old_login_is_somebody_else() {
    for server in servers::all() {
        let bridge = TestBridge::start(&settings(server));
        let mut client = bridge.client();
        let old = person(&mut client, server, MADE_ANEW);
        client.patch(&path(&old), &patch("add", "nickName", &json!("old"))).expect(200);
        let (dn, login) = (server.dn(MADE_ANEW), login(server, MADE_ANEW));
        server.modify(&format!("dn: {dn}\nchangetype: delete\n"));
        let kind = if server.is_samba() {
            format!(
                "objectClass: user\nsAMAccountName: {login}\nuserAccountControl: 544\nsn: New\n"
            )
        } else {
            format!("objectClass: inetOrgPerson\nuid: {login}\ncn: New\nsn: New\n")
        };
        server.modify(&format!("dn: {dn}\nchangetype: add\n{kind}"));
        let found = find(&mut client, &format!("userName eq \"{login}\""));
        let new = found["Resources"]
            .as_array()
            .unwrap()
            .iter()
            .find(|user| user["id"] != old["id"])
            .unwrap_or_else(|| panic!("{found}"));
        assert_eq!((&new["userType"], new.get("nickName")), (&json!("LDAP"), None));
        assert_eq!(client.get(&path(new)).expect(200)["name"]["familyName"], "New");
    }
}

#[test]
fn the_logins_domain_may_be_part_of_the_name() {
    let Some(server) = servers::samba() else { return };
    let attributes = "[tenant.repository.attributes]\nuserName = \"userPrincipalName\"\n";
    let bridge = TestBridge::start(&settings(server).rest(attributes));
    let mut client = bridge.client();
    let name = format!("{}@ad.example.org", uid(3));
    let found = find(&mut client, &format!("userName eq \"{}\"", name.to_uppercase()));
    assert_eq!(found["Resources"][0]["userName"], name.as_str(), "{found}");
}

#[test]
fn references_to_other_servers_are_passed_over() {
    let Some(server) = servers::samba() else { return };
    // Below the domain itself Active Directory refers to its other partitions.
    let lines = server.lines(server.url()).replace(server.base, "DC=ad,DC=example,DC=org");
    let settings =
        Settings::local().rest(&format!("[[tenant.repository]]\nid = \"corp\"\n{lines}"));
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let found = find(&mut client, "userName sw \"u00\"");
    let report = &found["urn:scimbridge:api:messages:2.0:Repositories"][0];
    assert_eq!(report["state"], "ok", "{report}");
    let expected = (1..=PEOPLE).filter(|number| sam(*number).starts_with("u00")).count();
    assert!(found["totalResults"].as_u64().unwrap() >= expected as u64 - 2, "{found}");
}

#[test]
fn check_knows_each_kind_of_directory() {
    for server in servers::all() {
        let directory = settings(server).write();
        let output = run(&directory, &["check", "--config", "scimbridge.toml"]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("entries were mapped"), "{text}");
        // Others come and go meanwhile.
        assert!(text.contains("no userName stands twice among "), "{text}");
        let changes = if server.is_samba() { "\"dirsync\"" } else { "\"psearch\"" };
        assert!(text.contains(changes), "{text}");
        // A domain tells everybody its time and its indexes, and people are looked for by none but these.
        if server.is_samba() {
            assert!(text.contains("s from ours") && !text.contains("warning index"), "{text}");
        }
        for wrong in ["compares sAMAccountName by no rule", "has no attribute", "may not search"] {
            assert!(!text.contains(wrong), "{text}");
        }
    }
}
