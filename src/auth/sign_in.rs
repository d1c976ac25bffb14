//! Attempts to sign in by name and password: how many there may be, from one address and at one account.
//!
//! Knows nothing of whose passwords are right.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::gate::{Gate, Refused};

/// One attempt. Whoever makes it asks [`SignIn::may_try`] when it is known which account is meant, and
/// says how it ended; one that never says so failed.
#[derive(Debug)]
pub struct SignIn<'a> {
    gate: &'a Gate,
    tenant: &'a str,
    from: IpAddr,
    now: Instant,
    account: Mutex<Option<String>>,
    told: bool,
}

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
        Ok(SignIn { gate: self, tenant, from, now, account: Mutex::default(), told: false })
    }
}

impl SignIn<'_> {
    /// Whether the account may be tried, or how long it may not.
    ///
    /// # Errors
    /// Too many attempts at it failed, wherever they came from.
    pub fn may_try(&self, account: &str) -> Result<(), Duration> {
        let account = format!("{}/{account}", self.tenant);
        self.gate.accounts.begin(&account, self.now)?;
        *self.account.lock().unwrap_or_else(PoisonError::into_inner) = Some(account);
        Ok(())
    }

    /// The password was right, and good for it.
    pub fn succeeded(mut self) {
        self.told = true;
        if let Some(account) = self.account() {
            self.gate.accounts.succeeded(&account);
        }
    }

    /// Whether the password is right was not found out.
    pub fn told_nothing(mut self) {
        self.told = true;
        if let Some(account) = self.account() {
            self.gate.accounts.give_back(&account);
        }
    }

    fn account(&self) -> Option<String> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner).take()
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
        for from in [HERE, THERE, HERE, THERE] {
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
        assert_eq!((0..3).filter(|_| attempt.may_try("corp.1").is_ok()).count(), 3);
        drop(attempt);
        assert!(matches!(gate.sign_in("acme", HERE, now), Err(Refused::Throttled(_))));
        assert!(gate.sign_in("acme", THERE, now).is_ok());
    }
}
