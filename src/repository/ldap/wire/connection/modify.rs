//! A modification of one entry: sent once, and never given up by an Abandon, which may come too late.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::Poll;

use futures_util::FutureExt;
use ldap3::Mod;
use ldap3::controls::{Assertion, RawControl};
use tokio::time::{Instant, timeout_at};

use super::super::failure::Failure;
use super::super::modify::ModifyRequest;
use super::{Connection, Flight, Ordering, Outcome};

impl Connection {
    /// Sends the modification and waits for what the server says of it. After a failure it may have
    /// been done all the same.
    pub(in super::super) async fn modify(
        &self,
        request: &ModifyRequest,
        deadline: Instant,
    ) -> Result<Outcome, Failure> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.operations.fetch_add(1, Ordering::Relaxed);
        let _flight = Flight(&self.in_flight);
        let started = Instant::now();
        let mut ldap = self.ldap.clone();
        if let Some(filter) = &request.assertion {
            // RFC 4528 section 3: critical, so that no server passes over it.
            let control = RawControl { crit: true, ..Assertion::new(filter) };
            ldap.with_controls(vec![control]);
        }
        let operation = AssertUnwindSafe(ldap.modify(&request.dn, request.mods()));
        let mut operation = pin!(
            operation
                .catch_unwind()
                .map(|answer| { answer.unwrap_or(Err(ldap3::LdapError::EndOfStream)) })
        );
        let answered = match self.send(operation.as_mut()).1 {
            Poll::Ready(answered) => Ok(answered),
            Poll::Pending => timeout_at(deadline, operation).await,
        };
        match answered {
            Ok(Ok(result)) => Ok(result.into()),
            Ok(Err(error)) => Err(self.failure(&error)),
            Err(_) => Err(self.late(started)),
        }
    }
}

impl ModifyRequest {
    /// RFC 4511 section 4.6: the changes are made in this order, and all or none.
    fn mods(&self) -> Vec<Mod<Vec<u8>>> {
        let set = |values: &[Vec<u8>]| values.iter().cloned().collect::<HashSet<_>>();
        let mut mods = Vec::new();
        for change in &self.changes {
            let name = change.name.clone().into_bytes();
            if !change.delete.is_empty() {
                mods.push(Mod::Delete(name.clone(), set(&change.delete)));
            }
            if !change.add.is_empty() {
                mods.push(Mod::Add(name, set(&change.add)));
            }
        }
        mods
    }
}
