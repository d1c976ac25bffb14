//! Attempts to sign in by name and password: how many there may be, from one address and at one account.
//!
//! Knows nothing of whose passwords are right.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::gate::{Gate, Refused};
use super::throttle::Accounts;

/// One attempt. Whoever makes it asks [`SignIn::may_ask`] before the name is looked for,
/// [`SignIn::may_try`] when it is known whose it is, and says how it ended; one that never says so
/// failed.
#[derive(Debug)]
pub struct SignIn<'a> {
    gate: &'a Gate,
    tenant: &'a str,
    from: IpAddr,
    now: Instant,
    name: Begun,
    person: Begun,
    told: bool,
}

/// What was begun in a table.
type Begun = Mutex<Option<String>>;

impl Gate {
    /// Begins an attempt, where the address may make one.
    ///
    /// # Errors
    /// Too many from there failed.
    pub fn sign_in<'a>(
        &'a self,
        tenant: &'a str,
        from: IpAddr,
        now: Instant,
    ) -> Result<SignIn<'a>, Refused> {
        self.let_try(from, now)?;
        let (name, person) = Default::default();
        Ok(SignIn { gate: self, tenant, from, now, name, person, told: false })
    }
}

impl SignIn<'_> {
    /// Whether a name may be looked for, or how long it may not.
    ///
    /// # Errors
    /// Too many attempts by it failed, wherever they came from and whether or not anybody has it.
    pub fn may_ask(&self, name: &str) -> Result<(), Duration> {
        self.begin(&self.gate.names, &self.name, name)
    }

    /// Whether somebody whom there is may be tried, or how long not. Invented names are not in this
    /// table, and take nobody's place there.
    ///
    /// # Errors
    /// Too many attempts at this account failed, by whatever name.
    pub fn may_try(&self, account: &str) -> Result<(), Duration> {
        self.begin(&self.gate.people, &self.person, account)
    }

    /// The password was right, and good for it.
    pub fn succeeded(self) {
        self.told(Accounts::succeeded);
    }

    /// No directory was sent the password.
    pub fn told_nothing(self) {
        self.told(Accounts::give_back);
    }

    /// A directory was sent the password, and did not say whether it is right: it may have counted a
    /// failure at the account, and one is counted here. It is none of the address.
    pub fn unanswered(self) {
        self.told(|_, _| ());
    }

    fn begin(&self, table: &Accounts, begun: &Begun, account: &str) -> Result<(), Duration> {
        let account = format!("{}/{account}", self.tenant);
        table.begin(&account, self.now)?;
        *begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(account);
        Ok(())
    }

    fn told(mut self, how: impl Fn(&Accounts, &str)) {
        self.told = true;
        for (table, begun) in [(&self.gate.names, &self.name), (&self.gate.people, &self.person)] {
            if let Some(account) = begun.lock().unwrap_or_else(PoisonError::into_inner).take() {
                how(table, &account);
            }
        }
    }
}

impl Drop for SignIn<'_> {
    fn drop(&mut self) {
        if !self.told {
            self.gate.failed(self.from, self.now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use super::*;
    use crate::clock::Clock;
    use crate::config::Config;
    use crate::store::Store;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 8));

    fn gate(server: &str) -> Gate {
        let text = format!("[server]\n{server}\n[[tenant]]\nname = \"acme\"\n");
        let config = Config::parse(&text, std::path::Path::new("/"), &|_| None).unwrap();
        let clock = Clock::system();
        let store = Arc::new(Store::open("sqlite::memory:", &[], clock.clone()).unwrap());
        Gate::new(&config, &store, &clock, 1 << 20).unwrap()
    }

    /// An account is tried so often in all, whoever tries it and from wherever.
    #[test]
    fn an_account_is_tried_from_everywhere_together() {
        let gate = gate("");
        let now = Instant::now();
        let may = |tenant, account, from| {
            let attempt = gate.sign_in(tenant, from, now).unwrap();
            attempt.may_try(account).is_ok()
        };
        for from in [HERE, THERE, HERE] {
            assert!(may("acme", "corp.1", from));
        }
        assert!(!may("acme", "corp.1", THERE));
        assert!(may("acme", "corp.2", THERE) && may("other", "corp.1", THERE));
    }

    #[test]
    fn an_outage_is_no_failure_and_a_success_forgives() {
        let gate = gate("throttle = { failures = 3, per = \"1m\" }");
        let now = Instant::now();
        let begin = || {
            let attempt = gate.sign_in("acme", HERE, now).unwrap();
            attempt.may_try("corp.1").unwrap();
            attempt
        };
        for _ in 0..20 {
            begin().told_nothing();
        }
        for _ in 0..2 {
            drop(begin());
        }
        begin().succeeded();
        let attempt = begin();
        assert_eq!((0..3).filter(|_| attempt.may_try("corp.1").is_ok()).count(), 2);
        drop(attempt);
        assert!(matches!(gate.sign_in("acme", HERE, now), Err(Refused::Throttled(_))));
        assert!(gate.sign_in("acme", THERE, now).is_ok());
    }

    /// What was sent counts at the account, and not at the address, which is that of all who are
    /// behind it while a directory is silent.
    #[test]
    fn a_password_that_was_sent_counts_at_the_account_alone() {
        let gate = gate("throttle = { failures = 3, per = \"1m\" }");
        let now = Instant::now();
        for _ in 0..3 {
            let attempt = gate.sign_in("acme", HERE, now).unwrap();
            attempt.may_ask("olga").unwrap();
            attempt.may_try("corp.1").unwrap();
            attempt.unanswered();
        }
        let attempt = gate.sign_in("acme", HERE, now).unwrap();
        assert!(attempt.may_ask("olga").is_err() && attempt.may_try("corp.1").is_err());
        attempt.told_nothing();
    }

    /// Names that nobody has fill their own table, and not that of people.
    #[test]
    fn invented_names_take_the_place_of_no_account() {
        let gate = gate("");
        let now = Instant::now();
        let ask = |name: &str, person: Option<&str>| {
            let attempt = gate.sign_in("acme", HERE, now).unwrap();
            let _ = attempt.may_ask(name);
            person.is_none_or(|person| attempt.may_try(person).is_ok())
        };
        assert!(ask("olga", Some("corp.1")));
        for number in 0..100_000 {
            for _ in 0..2 {
                ask(&format!("nobody{number}"), None);
            }
        }
        assert!(ask("Olga", Some("corp.1")) && ask("OLGA", Some("corp.1")));
        assert!(!ask("corp.1", Some("corp.1")), "the first failure is still known");
    }
}
