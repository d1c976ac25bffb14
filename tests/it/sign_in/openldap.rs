//! OpenLDAP: by name and by key, in groups and in groups of groups, and its password policy.

use super::{Place, Said, helpdesk};
use crate::support::bridge::{Settings, TestBridge, run};
use crate::support::company::{self, Person};
use crate::support::slapd::{Options, SUFFIX, Slapd};

const POLICY: &str = "cn=ppolicy,ou=services,dc=example,dc=org";

fn operators(group: &str) -> String {
    format!("operators = \"cn={group},ou=groups,{SUFFIX}\"")
}

fn people() -> impl Iterator<Item = Person> {
    (1..).map(company::person)
}

#[test]
fn an_operator_signs_in_and_nobody_else() {
    let slapd = Slapd::shared();
    let place = Place::new(&Settings::over(slapd).tenant(&helpdesk()));
    let [one, .., four] = [1, 2, 3, 4].map(company::person);
    let said = place.sign_in(&one.uid, &one.password());
    said.let_in();
    said.line("ok", "name: corp: one person has it");
    assert!(
        said.text.starts_with(&format!("tenant acme, signing in as {}\n", one.uid)),
        "{said:?}"
    );
    place.sign_in(&one.uid.to_uppercase(), &one.password()).let_in();
    place.sign_in(&format!("corp.{}", one.entry_uuid), &one.password()).let_in();
    for password in [four.password(), one.password().to_uppercase(), format!("{} ", one.password())]
    {
        place.sign_in(&one.uid, &password).kept_out("BROKEN", "bind: the directory refuses it");
    }
    let outsider = place.sign_in(&four.uid, &four.password());
    outsider.kept_out("BROKEN", "operators: not in \"cn=helpdesk,");
    outsider.line("ok", "bind: the directory takes the password");
    for nobody in ["nobody-at-all", "*", "a*", "corp.nobody", "corp.", "other.x", "(uid=*)"] {
        place.sign_in(nobody, "x").kept_out("BROKEN", "name: nobody is called");
    }
    // A key that nobody has, and one of another repository.
    let stranger = "corp.00000000-0000-4000-8000-000000000000";
    place.sign_in(stranger, "x").kept_out("BROKEN", "name: nobody is called");
}

/// The entry of a name may be written otherwise in the group than where it stands.
#[test]
fn names_that_need_escaping_are_bound_and_belong() {
    let slapd = Slapd::shared();
    let place = Place::new(&Settings::over(slapd).tenant(&operators("everybody")));
    let awkward: Vec<Person> = people()
        .take(900)
        .filter(|one| one.dn(SUFFIX).contains('\\') && !one.locked)
        .take(4)
        .collect();
    assert_eq!(awkward.len(), 4);
    for person in awkward {
        place.sign_in(&person.uid, &person.password()).let_in();
    }
    let group = "operators = 'cn=Café (fans)\\, \\\"ß\\\" \\+ more,ou=groups,dc=example,dc=org'";
    let place = Place::new(&Settings::over(slapd).tenant(group));
    let [one, two] = [1, 2].map(company::person);
    place.sign_in(&one.uid, &one.password()).let_in();
    place.sign_in(&two.uid, &two.password()).kept_out("BROKEN", "operators: not in");
}

#[test]
fn who_is_in_a_group_in_the_group_is_an_operator_and_circles_end() {
    let slapd = Slapd::shared();
    for (group, number, belongs) in
        [("company", 17, true), ("cycle-b", 1, true), ("cycle-b", 2, false)]
    {
        let place = Place::new(&Settings::over(slapd).tenant(&operators(group)));
        let person = company::person(number);
        let said = place.sign_in(&person.uid, &person.password());
        if belongs {
            said.let_in();
        } else {
            said.kept_out("BROKEN", "operators: not in");
        }
    }
}

/// Who was taken out of the group is out at once, whatever was known before.
#[test]
fn nothing_is_remembered_of_who_was_an_operator() {
    let slapd = Slapd::company(10);
    let place = Place::new(&Settings::over(&slapd).tenant(&helpdesk()));
    let two = company::person(2);
    let name = two.dn(SUFFIX);
    place.sign_in(&two.uid, &two.password()).let_in();
    slapd.modify(&format!(
        "dn: cn=helpdesk,ou=groups,{SUFFIX}\nchangetype: modify\ndelete: member\nmember: {name}\n"
    ));
    place.sign_in(&two.uid, &two.password()).kept_out("BROKEN", "operators: not in");
}

fn locking(policy: &str) -> (Slapd, Place) {
    let configuration = "ppolicy_use_lockout\n".to_owned();
    let slapd = Slapd::start(Options { people: 100, configuration, ..Options::default() });
    slapd.modify(&format!("dn: {POLICY}\nchangetype: modify\n{policy}"));
    let place = Place::new(&Settings::over(&slapd).tenant(&operators("everybody")));
    (slapd, place)
}

#[test]
fn a_locked_account_is_told_apart_where_the_server_does() {
    let (_slapd, place) = locking("replace: pwdMaxFailure\npwdMaxFailure: 3\n");
    let closed = people().take(100).find(|one| one.locked).unwrap();
    place
        .sign_in(&closed.uid, &closed.password())
        .kept_out("BROKEN", "bind: the directory refuses it: the account is locked");
    let one = company::person(1);
    place.sign_in(&one.uid, &one.password()).let_in();
    for _ in 0..3 {
        place.sign_in(&one.uid, "wrong").kept_out("BROKEN", "the password is wrong");
    }
    let locked = place.sign_in(&one.uid, &one.password());
    locked.kept_out("BROKEN", "the account is locked");
    // Elsewhere it is a wrong password like others.
    let shared = Place::new(&Settings::over(Slapd::shared()).tenant(&operators("everybody")));
    shared
        .sign_in(&closed.uid, &closed.password())
        .kept_out("BROKEN", "the password is wrong, or the account is closed");
}

#[test]
fn a_password_that_must_be_changed_or_has_expired_lets_in_nobody() {
    let (slapd, place) = locking(
        "replace: pwdMustChange\npwdMustChange: TRUE\n-\nreplace: pwdMaxAge\npwdMaxAge: 86400\n-\nreplace: pwdExpireWarning\npwdExpireWarning: 86399\n",
    );
    let [one, two, three] = [1, 2, 3].map(company::person);
    let set = |person: &Person, attribute: &str, value: &str| {
        slapd.modify_with(
            &["-e", "relax"],
            &format!(
                "dn: {}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n",
                person.dn(SUFFIX)
            ),
        );
    };
    set(&one, "pwdReset", "TRUE");
    let reset = place.sign_in(&one.uid, &one.password());
    reset.kept_out("BROKEN", "the password must be changed first");
    set(&two, "pwdChangedTime", "20200101000000Z");
    place.sign_in(&two.uid, &two.password()).kept_out("BROKEN", "the password has expired");
    place.sign_in(&two.uid, "wrong").kept_out("BROKEN", "bind: the directory refuses it");
    // It still lets in, and says how long.
    let yesterday = scimbridge::clock::Clock::system().now() - jiff::SignedDuration::from_hours(20);
    set(&three, "pwdChangedTime", &yesterday.strftime("%Y%m%d%H%M%SZ").to_string());
    let said = place.sign_in(&three.uid, &three.password());
    said.let_in();
    said.line("ok", "the password expires in ");
}

/// Both halves of `active` must say so, and a user who was deleted here is out.
#[test]
fn who_is_not_active_here_does_not_sign_in_whatever_the_directory_says() {
    let slapd = Slapd::company(10);
    let bridge = TestBridge::start(&Settings::over(&slapd).tenant(&helpdesk()));
    let mut client = bridge.client();
    let [one, two] = [1, 2].map(company::person);
    let sign_in = |person: &Person| -> Said {
        let place = Place(bridge.directory().to_owned());
        place.sign_in(&person.uid, &person.password())
    };
    sign_in(&one).let_in();
    let path = |person: &Person| format!("/Users/corp.{}", person.entry_uuid);
    let active = |value: bool| serde_json::json!({ "Operations": [{ "op": "replace", "path": "active", "value": value }] });
    client.patch(&path(&one), &active(false)).expect(200);
    sign_in(&one).kept_out("BROKEN", "active: the person is not active");
    client.patch(&path(&one), &active(true)).expect(200);
    sign_in(&one).let_in();
    client.patch(&path(&two), &active(false)).expect(200);
    assert_eq!(client.delete(&path(&two)).status, 204);
    sign_in(&two).kept_out("BROKEN", "active: the user of this person was deleted here");
}

#[test]
fn what_is_no_password_is_sent_to_nobody() {
    let slapd = Slapd::shared();
    let place = Place::new(&Settings::over(slapd).tenant(&helpdesk()));
    let one = company::person(1);
    let by = |input: &[u8]| place.sign_in_by(&["--sign-in", &one.uid], input);
    for (input, words) in [
        (&b""[..], "the password is empty"),
        (b"\n", "the password is empty"),
        (b"\r\n", "the password is empty"),
        (b"\nbehind the first line\n", "the password is empty"),
        (b"right\0\n", "U+0000"),
        (&[b'x'; 1025], "longer than 1024 bytes"),
        (&[b'x'; 16_000], "longer than 1024 bytes"),
        (b"\xFF\n", "no UTF-8"),
    ] {
        let said = by(input);
        assert!(!said.well && said.text.is_empty() && said.error.contains(words), "{said:?}");
    }
    // The line alone, however it ends.
    for end in ["", "\n", "\r\n", "\nmore\n"] {
        by(format!("{}{end}", one.password()).as_bytes()).let_in();
    }
}

#[test]
fn a_tenant_without_operators_has_none() {
    let place = Place::new(&Settings::over(Slapd::shared()));
    let one = company::person(1);
    place.sign_in(&one.uid, &one.password()).kept_out("BROKEN", "operators: the tenant has none");
    let named = ["--sign-in", &one.uid, "--tenant", "nobodys"];
    let said = place.sign_in_by(&named, b"x\n");
    assert!(said.error.contains("there is no tenant \"nobodys\"; there are: acme"), "{said:?}");
}

#[test]
fn the_password_is_in_no_output_and_in_no_log() {
    let slapd = Slapd::shared();
    let settings = Settings::over(slapd).tenant(&helpdesk()).telemetry("log = \"trace\"");
    let place = Place::new(&settings);
    let one = company::person(1);
    for (password, well) in [(one.password(), true), ("Hunter2-Hunter2".to_owned(), false)] {
        let said = place.sign_in(&one.uid, &password);
        assert_eq!(said.well, well, "{said:?}");
        assert!(!said.error.contains(&password) && !said.text.contains(&password), "{said:?}");
    }
}

fn check(settings: &Settings) -> Said {
    let output = run(&settings.write(), &["check", "--config", "scimbridge.toml"]);
    Said {
        well: output.status.success(),
        text: String::from_utf8(output.stdout).unwrap(),
        error: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn check_says_when_nobody_could_sign_in() {
    let slapd = Slapd::shared();
    let with = |lines: &str| check(&Settings::over(slapd).tenant(lines));
    let good = with(&helpdesk());
    assert!(good.well, "{good:?}");
    good.line("ok", "operators: people of corp are in \"cn=helpdesk,");
    let nested = with(&operators("company"));
    assert!(nested.well, "{nested:?}");
    nested.line("ok", "operators: people of corp are in");
    for missing in
        ["operators = \"cn=none,ou=groups,dc=example,dc=org\"", "operators = \"cn=x,dc=elsewhere\""]
    {
        let said = with(missing);
        assert!(!said.well, "{said:?}");
        said.line("BROKEN", "operators: no repository can read \"cn=");
    }
    // There are members, and none of them is a person of the repository.
    let usual = "filter = \"(objectClass=inetOrgPerson)\"";
    let others =
        [1, 2, 3].map(|number| format!("(!(uid={}))", company::person(number).uid)).concat();
    let text = Settings::over(slapd).tenant(&helpdesk()).text();
    let text = text.replace(usual, &format!("filter = \"(&(objectClass=inetOrgPerson){others})\""));
    let folder = Settings::local().write();
    std::fs::write(folder.join("scimbridge.toml"), text).unwrap();
    let output = run(&folder, &["check", "--config", "scimbridge.toml"]);
    let (well, error) = (output.status.success(), String::new());
    let said = Said { well, text: String::from_utf8(output.stdout).unwrap(), error };
    assert!(said.well, "{said:?}");
    said.line("warning", "operators: nobody of corp is in \"cn=helpdesk,");
}
