//! Nothing crosses from one tenant to another: whatever the tokens of one ask for, by whatever they
//! have come to know of the other, the other stays as it is and nothing of it is told.

mod moves;
mod theirs;

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError};

use self::moves::{Move, Request, moves};
use self::theirs::Theirs;
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::{Answer, Client};
use crate::support::slapd::Slapd;

/// A token of ours whose POST may bind.
const BINDER: &str = "ours-that-binds";

/// Both tenants over the same directory, under the same name, and in one store.
fn settings(slapd: &Slapd) -> Settings {
    Settings::over(slapd)
        .tenant("lifecycle_api = true")
        .token("binder", BINDER, &["*"])
        .token_line("binds = true")
        .rest(
            "[[tenant.group]]\nid = \"CREW\"\n[[tenant.role]]\nid = \"RL_PILOT\"\nrank = 1\n\
             [[tenant.authenticator_policy]]\nid = \"AT_PWD\"\ntype = \"login\"\n",
        )
        .rest(&theirs::tables(slapd))
}

/// More with `FULL=1` or by `PROPTEST_CASES`.
fn cases() -> Config {
    let usual = if std::env::var_os("FULL").is_some() { 150 } else { 20 };
    let given = std::env::var_os("PROPTEST_CASES").is_some();
    let config = Config { failure_persistence: None, max_shrink_iters: 60, ..Config::default() };
    Config { cases: if given { config.cases } else { usual }, ..config }
}

/// What became of the requests, so that the property is not true of refusals alone.
#[derive(Debug, Default)]
struct Tally {
    served: u32,
    unknown: u32,
    refused: u32,
}

struct Ours<'a> {
    client: Client,
    binder: Client,
    theirs: &'a RefCell<Theirs>,
}

impl Ours<'_> {
    /// One request of ours, and what must not be in its answer.
    fn make(&mut self, request: &Request) -> Result<u16, TestCaseError> {
        let mut theirs = self.theirs.borrow_mut();
        if request.warmed {
            theirs.warm(&request.path);
        }
        let client = if request.binds { &mut self.binder } else { &mut self.client };
        let headers: Vec<_> =
            request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = client.send(request.method, &request.path, &headers, request.body.as_bytes());
        let told = told(&answer);
        let sent = format!("{request:?}");
        let leaked =
            theirs.secrets().find(|secret| told.contains(*secret) && !sent.contains(*secret));
        prop_assert_eq!(leaked, None, "{:?} was told {}", request, told);
        if request.path.starts_with(theirs::BASE) {
            prop_assert_eq!(answer.status, 401, "{:?}", request);
        }
        // What we wrote ourselves may be shown to us from now on.
        theirs.forget_what_is_in(&request.body);
        Ok(answer.status)
    }
}

/// Everything that an answer says.
fn told(answer: &Answer) -> String {
    format!("{:?} {}", answer.headers, answer.text())
}

#[test]
fn one_tenant_is_nothing_to_another() {
    let slapd = Slapd::shared();
    let bridge = TestBridge::start(&settings(slapd));
    let theirs = RefCell::new(Theirs::settle(&bridge));
    let ours = RefCell::new(Ours {
        client: Client::new(bridge.address(), "", Some(crate::support::bridge::TOKEN)),
        binder: Client::new(bridge.address(), "", Some(BINDER)),
        theirs: &theirs,
    });
    let tally = RefCell::new(Tally::default());
    let before = theirs.borrow_mut().dump(&bridge);
    proptest!(cases(), |(moves in prop::collection::vec(moves(), 1..25))| {
        for one in &moves {
            let one: &Move = one;
            let request = one.request(&theirs.borrow());
            let status = ours.borrow_mut().make(&request)?;
            prop_assert!(status < 500, "{:?}: {}", request, status);
            let mut tally = tally.borrow_mut();
            match status {
                200..300 => tally.served += 1,
                404 => tally.unknown += 1,
                _ => tally.refused += 1,
            }
        }
        let after = theirs.borrow_mut().dump(&bridge);
        for (before, after) in before.iter().zip(&after) {
            prop_assert_eq!(before, after, "{:?}", moves);
        }
        prop_assert_eq!(before.len(), after.len());
    });
    let Tally { served, unknown, refused } = tally.take();
    assert!(served > 20 && unknown > 20, "{served} served, {unknown} not found, {refused} refused");
}
