//! Several directories: a name is one person's in all of them together, and one directory is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Place, helpdesk_of};
use crate::support::bridge::Settings;
use crate::support::company;
use crate::support::hostile::{Hostile, Operation, Reply, Request, Verdict};
use crate::support::slapd::{Options, READER, SUFFIX, Slapd};

/// The directory with a count of the binds in people's names.
fn counted(slapd: &Slapd) -> (Hostile, Arc<AtomicUsize>) {
    let binds = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&binds);
    let address = format!("127.0.0.1:{}", slapd.port());
    let server = Hostile::in_front_of(&address, move |request: &Request, _: &Reply| {
        if matches!(&request.operation, Operation::Bind(name, _) if name != READER) {
            seen.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Verdict::Pass)
    });
    (server, binds)
}

/// A directory without the first person, with somebody of its own in the operators' group.
fn other() -> Slapd {
    let dn = format!("uid=guest,ou=people,{SUFFIX}");
    let ldif = format!(
        "dn: {dn}\nobjectClass: inetOrgPerson\nuid: guest\ncn: Guest\nsn: Guest\nuserPassword: guest-password\n\n"
    );
    let slapd = Slapd::start(Options { people: 3, ldif, ..Options::default() });
    let one = company::person(1).dn(SUFFIX);
    slapd.modify(&format!(
        "dn: cn=helpdesk,ou=groups,{SUFFIX}\nchangetype: modify\nadd: member\nmember: {dn}\n\n\
         dn: {one}\nchangetype: delete\n"
    ));
    slapd
}

#[test]
fn a_name_is_asked_of_its_own_directory_and_of_no_other() {
    let (corp, other) = (Slapd::shared(), other());
    let ((first, at_first), (second, at_second)) = (counted(corp), counted(&other));
    let settings = Settings::local()
        .tenant(&helpdesk_of("corp"))
        .repository("corp", &first.url())
        .repository("partner", &second.url());
    let place = Place::new(&settings);
    let binds = || (at_first.swap(0, Ordering::SeqCst), at_second.swap(0, Ordering::SeqCst));
    let [one, two] = [1, 2].map(company::person);
    let said = place.sign_in(&one.uid, &one.password());
    said.let_in();
    said.line("ok", "name: partner: nobody has it");
    assert_eq!(binds(), (1, 0));
    // In a group of that name, and not in that of the operators.
    let guest = place.sign_in("guest", "guest-password");
    guest.kept_out("BROKEN", "operators: the person is of another repository");
    assert_eq!(binds(), (0, 0), "nothing is sent that could let in nobody");
    let partner = Settings::local()
        .tenant(&helpdesk_of("partner"))
        .repository("corp", &first.url())
        .repository("partner", &second.url());
    let partner = Place::new(&partner);
    partner.sign_in("guest", "guest-password").let_in();
    assert_eq!(binds(), (0, 1));
    // A failure is the end: nobody else is asked with the same password.
    place.sign_in(&one.uid, "guest-password").kept_out("BROKEN", "bind: the directory refuses it");
    partner.sign_in("guest", &one.password()).kept_out("BROKEN", "bind: the directory refuses it");
    assert_eq!(binds(), (1, 1));

    // The second person is in both, with the same password.
    let twice = place.sign_in(&two.uid, &two.password());
    twice.kept_out("BROKEN", "does not tell one person from others");
    assert_eq!(binds(), (0, 0), "no password is sent");
    assert!(twice.error.is_empty() || !twice.error.contains(&two.password()), "{twice:?}");
    // By key it is one.
    for (repository, place) in [("corp", &place), ("partner", &partner)] {
        let name = format!("{repository}.{}", two.entry_uuid);
        place.sign_in(&name, &two.password()).let_in();
    }
    assert_eq!(binds(), (1, 1));
}

/// Whether the name is another's there, too, is not known: nobody is bound.
#[test]
fn a_directory_that_is_down_may_know_the_name() {
    let (first, binds) = counted(Slapd::shared());
    let settings = Settings::local()
        .tenant(&helpdesk_of("corp"))
        .repository("corp", &first.url())
        .repository("partner", "ldap://127.0.0.1:1");
    let place = Place::new(&settings);
    let one = company::person(1);
    let said = place.sign_in(&one.uid, &one.password());
    said.kept_out("BROKEN", "a repository that may know the name did not answer");
    assert_eq!(binds.load(Ordering::SeqCst), 0);
    place.sign_in("nobody-at-all", "x").kept_out("BROKEN", "a repository that may know the name");
    // Who is named by key is known to be of the one that is there.
    place.sign_in(&format!("corp.{}", one.entry_uuid), &one.password()).let_in();
    let down = place.sign_in(&format!("partner.{}", one.entry_uuid), &one.password());
    down.kept_out("BROKEN", "a repository that may know the name did not answer");
}

/// A group stands in one directory; people of another are not in it, which is no outage.
#[test]
fn a_directory_without_the_group_has_no_operators() {
    let one = company::person(1);
    let settings = Settings::over(Slapd::shared()).tenant("operators = \"cn=desk,dc=elsewhere\"");
    let said = Place::new(&settings).sign_in(&one.uid, &one.password());
    said.kept_out("BROKEN", "operators: not in \"cn=desk,dc=elsewhere\"");
}
