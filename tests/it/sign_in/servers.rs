//! A Samba domain and a 389 Directory Server: accounts that are open, locked, disabled, expired, and
//! passwords that must be changed, each told as the server tells it.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Place;
use crate::directories::servers::{self, Server, sam, uid};
use crate::support::bridge::{Settings, TestBridge};

const OPEN: usize = 56;
const LOCKED: usize = 58;
const MUST_CHANGE: usize = 53;
const OUTSIDER: usize = 54;
const DISABLED: usize = 55;
const EXPIRED: usize = 57;
const ALL: [usize; 6] = [OPEN, LOCKED, MUST_CHANGE, OUTSIDER, DISABLED, EXPIRED];

const PASSWORD: &str = "Passw0rd-Öperator";

fn place(server: &Server, operators: &str, further: &str) -> Place {
    let lines = server.lines(server.url());
    let settings = Settings::local()
        .tenant(&format!("operators = {operators:?}"))
        .rest(&format!("[[tenant.repository]]\nid = \"corp\"\n{lines}{further}"));
    Place::new(&settings)
}

/// A group with everybody but one in it, and a group around that.
fn groups(server: &Server, class: &str, below: &str) -> String {
    let mut ldif = String::new();
    let members = ALL.iter().filter(|one| **one != OUTSIDER).map(|one| server.dn(*one));
    for (name, members) in
        [("desk", members.collect()), ("operators", vec![format!("CN=desk,{below}")])]
            as [(&str, Vec<String>); 2]
    {
        writeln!(ldif, "dn: CN={name},{below}\nchangetype: add\nobjectClass: {class}\ncn: {name}")
            .unwrap();
        for member in members {
            writeln!(ldif, "member: {member}").unwrap();
        }
        ldif.push('\n');
    }
    ldif
}

fn change(server: &Server, number: usize, attribute: &str, value: &str) {
    let dn = server.dn(number);
    server.modify(&format!(
        "dn: {dn}\nchangetype: modify\nreplace: {attribute}\n{attribute}{value}\n\n"
    ));
}

#[test]
fn a_domain_lets_in_by_either_name_and_tells_why_not() {
    let Some(server) = servers::samba() else { return };
    let below = "OU=Groups,DC=ad,DC=example,DC=org";
    server.modify(&groups(server, "group", below));
    server.modify("dn: DC=ad,DC=example,DC=org\nchangetype: modify\nreplace: lockoutThreshold\nlockoutThreshold: 3\n\n");
    let quoted: Vec<u8> =
        format!("\"{PASSWORD}\"").encode_utf16().flat_map(u16::to_le_bytes).collect();
    for number in ALL {
        change(server, number, "unicodePwd", &format!(":: {}", STANDARD.encode(&quoted)));
    }
    change(server, MUST_CHANGE, "pwdLastSet", ": 0");
    let operators = format!("CN=operators,{below}");
    let by_account = place(server, &operators, "");
    by_account.sign_in(&sam(OPEN), PASSWORD).let_in();
    by_account.sign_in(&sam(OPEN), "wrong").kept_out("BROKEN", "the password is wrong");
    let upn = format!("{}@ad.example.org", uid(OPEN));
    by_account.sign_in(&upn, PASSWORD).kept_out("BROKEN", "name: nobody is called");
    let further = "[tenant.repository.attributes]\nuserName = \"userPrincipalName\"\n";
    let by_principal = place(server, &operators, further);
    by_principal.sign_in(&upn, PASSWORD).let_in();
    by_principal.sign_in(&sam(OPEN), PASSWORD).kept_out("BROKEN", "name: nobody is called");

    by_account.sign_in(&sam(OUTSIDER), PASSWORD).kept_out("BROKEN", "operators: not in");
    for (number, words) in [
        (DISABLED, "the account is disabled"),
        (EXPIRED, "the account has expired"),
        (MUST_CHANGE, "the password must be changed first"),
    ] {
        by_account.sign_in(&sam(number), PASSWORD).kept_out("BROKEN", words);
    }
    for _ in 0..3 {
        by_account
            .sign_in(&sam(LOCKED), "wrong")
            .kept_out("BROKEN", "bind: the directory refuses it");
    }
    by_account.sign_in(&sam(LOCKED), PASSWORD).kept_out("BROKEN", "the account is locked");
    assert_ne!(server.values(&server.dn(LOCKED), "lockoutTime"), ["0"]);
    who_is_locked_is_not_active(server, &by_account);
}

fn who_is_locked_is_not_active(server: &Server, place: &Place) {
    let lines = server.lines(server.url());
    let fresh = "cache = { fresh = \"0s\", negative = \"0s\", stale = \"0s\" }\n";
    let settings =
        Settings::local().rest(&format!("[[tenant.repository]]\nid = \"corp\"\n{lines}{fresh}"));
    let bridge = TestBridge::start(&settings);
    let shown = |active: bool| {
        let mut client = bridge.client();
        let name = format!("userName eq \"{}\"", sam(LOCKED));
        for (filter, found) in [
            (name.clone(), true),
            (format!("{name} and active eq {active}"), true),
            (format!("{name} and active eq {}", !active), false),
        ] {
            let query = [("filter", filter.as_str()), ("searchRepositories", "true")];
            let answer = client.query("/Users", &query).expect(200);
            assert_eq!(answer["totalResults"], u64::from(found), "{filter}: {answer}");
            for user in answer["Resources"].as_array().into_iter().flatten() {
                let path = format!("/Users/{}", user["id"].as_str().unwrap());
                assert_eq!(client.get(&path).expect(200)["active"], active, "{user}");
            }
        }
    };
    shown(false);
    change(server, LOCKED, "lockoutTime", ": 0");
    shown(true);
    for _ in 0..3 {
        place.sign_in(&sam(LOCKED), "wrong").kept_out("BROKEN", "bind: the directory refuses it");
    }
    shown(false);
}

#[test]
fn a_389_directory_server_tells_why_not() {
    let server = servers::ds389();
    let below = "ou=groups,dc=example,dc=org";
    server.modify(&groups(server, "groupOfNames", below));
    let config = |values: &[(&str, &str)]| {
        for (name, value) in values {
            server.modify(&format!(
                "dn: cn=config\nchangetype: modify\nreplace: {name}\n{name}: {value}\n\n"
            ));
        }
    };
    for number in ALL.into_iter().filter(|one| *one != MUST_CHANGE) {
        change(server, number, "userPassword", &format!(":: {}", STANDARD.encode(PASSWORD)));
    }
    config(&[("passwordLockout", "on"), ("passwordMaxFailure", "3"), ("passwordMustChange", "on")]);
    change(server, MUST_CHANGE, "userPassword", &format!(":: {}", STANDARD.encode(PASSWORD)));
    let place = place(server, &format!("cn=operators,{below}"), "");
    place.sign_in(&uid(OPEN), PASSWORD).let_in();
    place.sign_in(&uid(OPEN), "wrong").kept_out("BROKEN", "the password is wrong");
    place.sign_in(&uid(OUTSIDER), PASSWORD).kept_out("BROKEN", "operators: not in");
    place.sign_in(&uid(DISABLED), PASSWORD).kept_out("BROKEN", "the account is disabled");
    place
        .sign_in(&uid(MUST_CHANGE), PASSWORD)
        .kept_out("BROKEN", "the password must be changed first");
    for _ in 0..3 {
        place.sign_in(&uid(LOCKED), "wrong").kept_out("BROKEN", "bind: the directory refuses it");
    }
    place.sign_in(&uid(LOCKED), PASSWORD).kept_out("BROKEN", "the account is locked");
    config(&[("passwordLockout", "off"), ("passwordMustChange", "off")]);
}
