//! What servers have been seen, or are documented, to say of a bind.

use super::*;

fn said(code: u32, text: &str) -> BindSaid {
    BindSaid { code, text: text.to_owned(), referral: false, policy: Policy::default() }
}

fn why(said: &BindSaid) -> Option<Refused> {
    match judged(said) {
        Ok(Verdict::Refused { why, .. }) => Some(why),
        Ok(Verdict::Right { .. }) => panic!("{said:?} lets in"),
        Err(_) => None,
    }
}

#[test]
fn active_directory_tells_by_a_number() {
    for (number, expected) in [
        ("525", Some(Refused::Wrong)),
        ("52e", Some(Refused::Wrong)),
        ("530", Some(Refused::NotNow)),
        ("531", Some(Refused::NotNow)),
        ("532", Some(Refused::PasswordExpired)),
        ("533", Some(Refused::Disabled)),
        ("701", Some(Refused::AccountExpired)),
        ("773", Some(Refused::MustChange)),
        ("775", Some(Refused::Locked)),
        ("51f", None),
        ("568", None),
        ("fffffffffff", Some(Refused::Wrong)),
        ("", Some(Refused::Wrong)),
    ] {
        let text = format!(
            "80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data {number}, v4563\0"
        );
        assert_eq!(why(&said(49, &text)), expected, "{number}");
    }
    assert_eq!(why(&said(49, "")), Some(Refused::Wrong));
    assert_eq!(why(&said(49, "data")), Some(Refused::Wrong));
}

#[test]
fn controls_tell_what_result_codes_do_not() {
    let with = |code, error| {
        let policy = Policy { error: Some(error), ..Policy::default() };
        BindSaid { policy, ..said(code, "") }
    };
    for (code, error, expected) in [
        (49, 0, Refused::PasswordExpired),
        (49, 1, Refused::Locked),
        (49, 2, Refused::MustChange),
        // A control that says something else does not make it right.
        (49, 7, Refused::Wrong),
        // Good for a change of the password alone.
        (0, 2, Refused::MustChange),
        (0, 1, Refused::Locked),
        (0, 0, Refused::PasswordExpired),
    ] {
        assert_eq!(why(&with(code, error)), Some(expected), "{code} {error}");
    }
    let expired = |code| {
        let policy = Policy { expired: true, ..Policy::default() };
        why(&BindSaid { policy, ..said(code, "") })
    };
    assert_eq!(expired(49), Some(Refused::PasswordExpired));
    assert_eq!(expired(0), Some(Refused::MustChange));
}

#[test]
fn what_a_389_directory_server_says_is_told_apart() {
    let inactive = "Account inactivated. Contact system administrator.";
    assert_eq!(why(&said(53, inactive)), Some(Refused::Disabled));
    let locked = Policy { error: Some(1), ..Policy::default() };
    let with_control = BindSaid { policy: locked, ..said(53, inactive) };
    assert_eq!(why(&with_control), Some(Refused::Disabled));
    let limit = "Exceed password retry limit. Please try later.";
    assert_eq!(why(&said(19, limit)), Some(Refused::Locked));
    assert_eq!(why(&said(53, "Unauthenticated binds are not allowed")), Some(Refused::Unsaid));
    assert_eq!(why(&said(48, "")), Some(Refused::NoPassword));
}

#[test]
fn what_says_nothing_of_the_password_is_an_outage() {
    for code in [1, 2, 3, 7, 8, 10, 11, 13, 14, 32, 34, 51, 52, 80, 90, 4096] {
        assert_eq!(why(&said(code, "data 52e")), None, "{code}");
    }
    for code in [0, 10, 49, 53] {
        let told = judged(&BindSaid { referral: true, ..said(code, "") }).unwrap_err().to_string();
        assert!(told.contains("to the configured servers alone"), "{code}: {told}");
    }
}

#[test]
fn who_is_let_in_is_told_what_to_do_soon() {
    let notice = |policy: Policy| judged(&BindSaid { policy, ..said(0, "") }).unwrap();
    let nothing = Policy::default();
    assert_eq!(notice(nothing), Verdict::Right { notice: None });
    for (policy, words) in [
        (Policy { seconds_left: Some(7200), ..nothing }, "expires in 2 hours"),
        (Policy { logins_left: Some(3), ..nothing }, "3 times more"),
    ] {
        match notice(policy) {
            Verdict::Right { notice: Some(text) } => assert!(text.contains(words), "{text}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_server_has_no_say_in_how_long_a_log_line_is() {
    let long = said(49, &"x\ny".repeat(1000));
    match judged(&long).unwrap() {
        Verdict::Refused { text, .. } => {
            assert!(text.len() < 250 && !text.contains('\n'), "{text}");
            assert!(text.starts_with("invalidCredentials: x y"), "{text}");
        }
        other @ Verdict::Right { .. } => panic!("{other:?}"),
    }
}
