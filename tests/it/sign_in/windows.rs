//! An Active Directory as it is in the field: what its numbers say, a bind without a password that
//! succeeds, groups in groups.

use super::Place;
use crate::support::active_directory::{ActiveDirectory, Traits, group, login, person};
use crate::support::bridge::Settings;

fn place(directory: &ActiveDirectory, operators: &str) -> Place {
    let own = directory.lines();
    let settings = Settings::local()
        .tenant(&format!("operators = {:?}", group(operators)))
        .rest(&format!("[[tenant.repository]]\nid = \"corp\"\n{own}"));
    Place::new(&settings)
}

fn desk() -> ActiveDirectory {
    let groups = [("desk", (1..20).map(person).collect()), ("operators", vec![group("desk")])];
    ActiveDirectory::start(Traits::default(), 30, &groups)
}

#[test]
fn numbers_tell_why_and_each_is_told() {
    let directory = desk();
    let place = place(&directory, "operators");
    for (number, state, words) in [
        (2, 0x525, "the password is wrong"),
        (3, 0x530, "not at this time"),
        (4, 0x531, "not from this machine"),
        (5, 0x532, "the password has expired"),
        (6, 0x533, "the account is disabled"),
        (7, 0x701, "the account has expired"),
        (8, 0x773, "the password must be changed"),
        (9, 0x775, "the account is locked"),
    ] {
        directory.admit(number, "Passw0rd", state);
        let said = place.sign_in(&login(number), "Passw0rd");
        said.kept_out("BROKEN", words);
        assert!(said.text.contains(&format!("data {state:x}")), "{said:?}");
    }
    directory.admit(10, "Passw0rd", 0x51F);
    let nobody_looked = place.sign_in(&login(10), "Passw0rd");
    nobody_looked.kept_out("BROKEN", "whether the password is right was not told");
    directory.admit(1, "Passw0rd", 0);
    place.sign_in(&login(1), "Passw0rd").let_in();
    place.sign_in(&login(1), "passw0rd").kept_out("BROKEN", "the password is wrong");
    let Some(own) = directory.seen().binds.pop() else { panic!("nobody bound") };
    assert_eq!(own, person(1), "by the entry's own name");
}

#[test]
fn nobody_signs_in_as_nobody() {
    let directory = desk();
    let place = place(&directory, "operators");
    for input in [&b""[..], b"\n", b"\0\n"] {
        let said = place.sign_in_by(&["--sign-in", &login(1)], input);
        assert!(!said.well && said.text.is_empty(), "{said:?}");
    }
    let seen = directory.seen();
    assert_eq!((seen.anonymous_binds, seen.binds), (0, Vec::new()));
}

#[test]
fn groups_in_groups_count_and_others_do_not() {
    let directory = desk();
    for number in [1, 25] {
        directory.admit(number, "Passw0rd", 0);
    }
    for operators in ["desk", "operators"] {
        let place = place(&directory, operators);
        place.sign_in(&login(1), "Passw0rd").let_in();
        place.sign_in(&login(25), "Passw0rd").kept_out("BROKEN", "operators: not in");
    }
    // A group that is not there is one that cannot be read.
    place(&directory, "gone").sign_in(&login(1), "Passw0rd").kept_out("BROKEN", "is not known");
}

/// A lock that has run out stays written until its owner comes; the directory lets in, and takes it away.
#[test]
fn who_is_written_to_be_locked_out_and_stays_so_does_not_sign_in() {
    let directory = desk();
    directory.admit(1, "Passw0rd", 0);
    let place = place(&directory, "operators");
    directory.set([1].into_iter(), "userAccountControl", "514");
    place.sign_in(&login(1), "Passw0rd").kept_out("BROKEN", "the person is not active");
    directory.set([1].into_iter(), "userAccountControl", "512");
    place.sign_in(&login(1), "Passw0rd").let_in();
}
