//! Active Directory and 389 Directory Server: an account is locked and opened from here, by the switch
//! that each has for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::servers::{self, Server, sam, uid};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;
use crate::support::eventually;
use crate::support::hostile::{Hostile, Operation, Verdict};

/// Who is switched, and who is held by something else; locked when the servers start.
const SWITCHED: usize = 45;
const HELD: usize = 60;

const PASSWORD: &str = "Passw0rd-Switched";

fn bridge(server: &Server, url: &str) -> TestBridge {
    let (dn, password) = server.admin();
    let lines = server.lines(url).replace(server.reader, dn).replace(server.password, password);
    let written = "[tenant.repository.attributes]\nactive = { authority = \"write_back\" }\n";
    TestBridge::start(
        &Settings::local()
            .token("entra", "entra-token", &["users:*"])
            .token_line("client = \"entra\"")
            .rest(&format!("[[tenant.repository]]\nid = \"corp\"\n{lines}{written}")),
    )
}

fn path(client: &mut Client, server: &Server, number: usize) -> String {
    let login = if server.is_samba() { sam(number) } else { uid(number) };
    let filter = format!("userName eq \"{login}\"");
    let found = client.query("/Users", &[("filter", &filter), ("searchRepositories", "true")]);
    format!("/Users/{}", found.expect(200)["Resources"][0]["id"].as_str().unwrap())
}

/// As Entra writes it.
fn active(value: impl Into<Value>) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "Replace", "path": "active", "value": value.into() }] })
}

fn attribute(server: &Server) -> &'static str {
    if server.is_samba() { "userAccountControl" } else { "nsAccountLock" }
}

fn set(server: &Server, number: usize, attribute: &str, value: &str) {
    let dn = server.dn(number);
    server.modify(&format!(
        "dn: {dn}\nchangetype: modify\nreplace: {attribute}\n{attribute}{value}\n\n"
    ));
}

fn give_password(server: &Server, number: usize) {
    if server.is_samba() {
        let quoted: Vec<u8> =
            format!("\"{PASSWORD}\"").encode_utf16().flat_map(u16::to_le_bytes).collect();
        set(server, number, "unicodePwd", &format!(":: {}", STANDARD.encode(quoted)));
    } else {
        set(server, number, "userPassword", &format!(": {PASSWORD}"));
    }
}

fn lets_in(server: &Server, number: usize) -> bool {
    let principal = format!("{}@ad.example.org", uid(number));
    let name = if server.is_samba() { principal } else { server.dn(number) };
    server.lets_in(&name, PASSWORD)
}

fn details(bridge: &TestBridge) -> Vec<String> {
    bridge.query("SELECT action || ' ' || COALESCE(detail, '-') FROM audit ORDER BY key")
}

#[test]
fn a_deprovisioned_account_is_locked_there_and_opened_again() {
    for server in servers::all() {
        let (name, dn) = (attribute(server), server.dn(SWITCHED));
        give_password(server, SWITCHED);
        // Each as it stands before, locked, and open again: everything but the switch stays.
        let states: &[(&[&str], &str, &[&str])] = if server.is_samba() {
            &[(&["544"], "546", &["544"]), (&["66048"], "66050", &["66048"])]
        } else {
            &[(&[], "TRUE", &[]), (&["FALSE"], "TRUE", &[])]
        };
        let bridge = bridge(server, server.url());
        let mut entra = bridge.client_as("entra-token");
        let path = path(&mut entra, server, SWITCHED);
        let mut trail = 0;
        for (before, locked, after) in states {
            for (off, on) in [(json!("False"), json!("True")), (json!(false), json!(true))] {
                let value =
                    before.first().map_or_else(String::new, |one| format!("{name}: {one}\n"));
                server.modify(&format!("dn: {dn}\nchangetype: modify\nreplace: {name}\n{value}\n"));
                assert!(lets_in(server, SWITCHED), "{before:?}");
                let shown = entra.patch(&path, &active(off.clone())).expect(200);
                assert_eq!(shown["active"], false, "{shown}");
                assert_eq!(server.values(&dn, name), [*locked]);
                assert!(!lets_in(server, SWITCHED));
                let again = entra.patch(&path, &active(off)).expect(200);
                assert_eq!(again["meta"], shown["meta"], "it is so already");
                assert_eq!(entra.get(&path).expect(200)["active"], false);
                trail += 1;
                assert_eq!(details(&bridge).len(), trail);
                let shown = entra.patch(&path, &active(on)).expect(200);
                assert_eq!(shown["active"], true, "{shown}");
                assert_eq!(server.values(&dn, name), *after);
                assert!(lets_in(server, SWITCHED));
                trail += 1;
                assert_eq!(details(&bridge).len(), trail);
            }
        }
        assert!(details(&bridge).iter().all(|one| one.ends_with("written to corp: active")));
        assert_eq!(bridge.query("SELECT own FROM resources WHERE own LIKE '%active%'").len(), 0);
        if server.is_samba() {
            raced(server);
        } else {
            // Whatever spelling is there.
            set(server, SWITCHED, name, ": tRuE");
            assert_eq!(entra.patch(&path, &active(true)).expect(200)["active"], true);
            assert_eq!(server.values(&dn, name).len(), 0);
        }
    }
}

#[test]
fn what_else_locks_an_account_is_named_and_stays() {
    for server in servers::all() {
        let dn = server.dn(HELD);
        let bridge = bridge(server, server.url());
        let mut client = bridge.client();
        let path = path(&mut client, server, HELD);
        let refused = |client: &mut Client, word: &str| {
            let before = server.values(&dn, attribute(server));
            let body = json!({ "Operations": [
                { "op": "replace", "path": "active", "value": true },
                { "op": "replace", "path": "nickName", "value": "Nothing of it" }] });
            let refused = client.patch(&path, &body).expect(400);
            assert_eq!(refused["scimType"], "mutability");
            let detail = refused["detail"].as_str().unwrap();
            assert!(detail.contains(word) && detail.contains("corp"), "{detail}");
            assert_eq!(server.values(&dn, attribute(server)), before);
            assert_eq!(client.get(&path).expect(200).get("nickName"), None);
        };
        if server.is_samba() {
            set(server, HELD, "accountExpires", ": 132854688000000000");
            refused(&mut client, "accountExpires");
            set(server, HELD, "userAccountControl", ": 544");
            refused(&mut client, "accountExpires");
            // What keeps somebody out for now is no reason not to lock for good.
            let shown = client.get(&path).expect(200);
            assert_eq!(shown["active"], false);
            assert_eq!(client.patch(&path, &active(false)).expect(200)["active"], false);
            assert_eq!(server.values(&dn, "userAccountControl"), ["546"]);
            set(server, HELD, "accountExpires", ": 0");
            assert_eq!(client.patch(&path, &active(true)).expect(200)["active"], true);
            assert_eq!(server.values(&dn, "userAccountControl"), ["544"]);
        } else {
            by_role(server, &dn);
            let locked = || server.values(&dn, "nsAccountLock").len() == 1;
            assert!(eventually(Duration::from_secs(20), locked), "the role locks");
            refused(&mut client, "nsAccountLock");
        }
        let intents = bridge.query("SELECT id FROM intents");
        assert_eq!(intents, Vec::<String>::new());
    }
}

/// A role locks whoever is in it, as the server's own tool sets it up.
fn by_role(server: &Server, dn: &str) {
    let suffix = "dc=example,dc=org";
    let (role, template) = (format!("cn=locked,{suffix}"), format!("cn=locks,{suffix}"));
    server.modify(&format!(
        "dn: {dn}\nchangetype: modify\nreplace: nsAccountLock\n\n\
         dn: {role}\nchangetype: add\nobjectClass: ldapSubentry\nobjectClass: nsRoleDefinition\n\
         objectClass: nsSimpleRoleDefinition\nobjectClass: nsManagedRoleDefinition\ncn: locked\n\n\
         dn: {template}\nchangetype: add\nobjectClass: nsContainer\ncn: locks\n\n\
         dn: cn=\"{role}\",{template}\nchangetype: add\nobjectClass: extensibleObject\n\
         objectClass: cosTemplate\nobjectClass: ldapSubentry\ncn: {role}\ncosPriority: 1\n\
         nsAccountLock: true\n\n\
         dn: cn=lock,{suffix}\nchangetype: add\nobjectClass: ldapSubentry\n\
         objectClass: cosSuperDefinition\nobjectClass: cosClassicDefinition\ncn: lock\n\
         cosTemplateDn: {template}\ncosSpecifier: nsRole\n\
         cosAttribute: nsAccountLock operational\n\n\
         dn: {dn}\nchangetype: modify\nadd: nsRoleDN\nnsRoleDN: {role}\n\n"
    ));
}

/// Whoever changes another bit at the same time is not undone.
fn raced(server: &'static Server) {
    let dn = server.dn(SWITCHED);
    set(server, SWITCHED, "userAccountControl", ": 544");
    let asked = AtomicUsize::new(0);
    let relay = Hostile::in_front_of(&server.address(), move |request, _| {
        let first = matches!(request.operation, Operation::Other(6))
            && asked.fetch_add(1, Ordering::SeqCst) == 0;
        if first {
            set(server, SWITCHED, "userAccountControl", ": 66080");
        }
        Ok(Verdict::Pass)
    });
    let bridge = bridge(server, &relay.url());
    let mut client = bridge.client();
    let path = path(&mut client, server, SWITCHED);
    assert_eq!(client.patch(&path, &active(false)).expect(200)["active"], false);
    assert_eq!(server.values(&dn, "userAccountControl"), ["66082"], "both were heard");
    assert_eq!(details(&bridge), ["user.bind written to corp: active"]);
}
