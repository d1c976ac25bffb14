//! A bind in somebody else's name: on a connection of its own, which is closed after it, and sent to
//! one server once; and what servers say of passwords in controls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::{Instant, timeout_at};

use super::ber::{self, Elements};
use super::connection::Connection;
use super::directory::{Directory, named, waited};
use super::failure::Failure;
use super::feed::{Controls, RequestControl};
use super::server::Server;
use crate::repository::{RepositoryError, Untold};
use crate::secret::Password;

/// Binds in other people's names at the same time.
pub(super) const VISITORS: usize = 4;

/// draft-behera-ldap-password-policy-10, section 6: asked for without a value, answered with one.
const POLICY: &str = "1.3.6.1.4.1.42.2.27.8.5.1";
/// draft-vchu-ldap-pwd-policy-00, unasked: the password has expired, or it will, and in how many seconds.
const EXPIRED: &str = "2.16.840.1.113730.3.4.4";
const EXPIRING: &str = "2.16.840.1.113730.3.4.5";

/// What goes along with the bind.
pub(super) const ASK: RequestControl =
    RequestControl { name: POLICY, critical: false, value: None };

/// What a server said to a bind.
#[derive(Clone, Debug)]
pub struct BindSaid {
    /// The result code of RFC 4511 section 4.1.9.
    pub code: u32,
    /// The server's diagnostic message.
    pub text: String,
    /// Whether it named other servers.
    pub referral: bool,
    pub policy: Policy,
}

/// What controls say of the password; what is broken in them says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// `passwordExpired` 0, `accountLocked` 1, `changeAfterReset` 2, …
    pub error: Option<u32>,
    pub logins_left: Option<u32>,
    pub seconds_left: Option<u32>,
    /// Whether it has expired or was reset, told the other way.
    pub expired: bool,
}

impl Policy {
    pub(super) fn read(controls: &Controls) -> Self {
        let mut policy = controls.get(POLICY).and_then(Self::value).unwrap_or_default();
        policy.expired = controls.get(EXPIRED).is_some();
        let seconds = || std::str::from_utf8(controls.get(EXPIRING)?).ok()?.trim().parse().ok();
        policy.seconds_left = policy.seconds_left.or_else(seconds);
        policy
    }

    /// `PasswordPolicyResponseValue`
    fn value(value: &[u8]) -> Option<Self> {
        let mut policy = Self::default();
        let mut parts = Elements(Elements(value).take(0x30).ok()??);
        while let Some(part) = parts.next().ok()? {
            match part.tag {
                0xA0 => {
                    let warning = Elements(part.body).next().ok()??;
                    let number = ber::unsigned(warning.body);
                    match warning.tag {
                        0x80 => policy.seconds_left = number,
                        0x81 => policy.logins_left = number,
                        _ => {}
                    }
                }
                0x81 => policy.error = ber::unsigned(part.body),
                _ => {}
            }
        }
        Some(policy)
    }
}

impl BindSaid {
    /// busy, unavailable: another server may do, and this one has looked at no password.
    pub fn looked_at_nothing(&self) -> bool {
        matches!(self.code, 51 | 52)
    }
}

impl Directory {
    /// Binds as `dn` by the first server that can be reached. A password that was sent and not
    /// answered is not sent again: each time may count as one failure more against whoever's it is.
    ///
    /// A name without parts is never sent: servers take it for an anonymous bind, and report success
    /// (RFC 4513 section 5.1.1). That there is a password says its type.
    pub async fn bind_as(
        &self,
        dn: &str,
        password: &Password,
        deadline: std::time::Instant,
    ) -> Result<BindSaid, Untold> {
        if dn.trim_matches(' ').is_empty() {
            return Err(RepositoryError::Unavailable("an entry without a name".into()).into());
        }
        let sent = AtomicBool::new(false);
        let deadline = Instant::from_std(deadline);
        let bind = async {
            let _permit = self.0.visitors.acquire().await;
            let mut last = Failure::Timeout { silent: false };
            for (index, server) in self.0.servers.iter().enumerate() {
                // Where others may be well, a server that is slow to connect does not get all the time.
                let is_last = index + 1 == self.0.servers.len();
                let soon = deadline.min(Instant::now() + server.plan.dial.timeout);
                let connection = match server.visit(if is_last { deadline } else { soon }).await {
                    Ok(connection) => connection,
                    Err(failure) => {
                        last = waited(server, failure, deadline);
                        continue;
                    }
                };
                let until = deadline.min(Instant::now() + server.plan.operation_timeout);
                sent.store(true, Ordering::Relaxed);
                let said = connection.sign_in(dn, password, until).await;
                let said = said.map_err(|failure| named(server, failure))?;
                if !said.looked_at_nothing() || is_last {
                    return Ok(said);
                }
                sent.store(false, Ordering::Relaxed);
                last = Failure::Busy(server.text("the server is busy or shutting down"));
            }
            Err(last)
        };
        let said = timeout_at(deadline, bind).await;
        said.unwrap_or(Err(Failure::Timeout { silent: false }))
            .map_err(|failure| Untold { error: failure.into(), sent: sent.load(Ordering::Relaxed) })
    }
}

impl Server {
    /// A connection on which nobody is bound, for one bind.
    async fn visit(self: &Arc<Self>, deadline: Instant) -> Result<Connection, Failure> {
        if let Some(failure) = self.refusal() {
            return Err(failure);
        }
        match timeout_at(deadline, self.unbound()).await {
            Ok(connection) => connection.map_err(Failure::Down),
            Err(_) => Err(Failure::Timeout { silent: false }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &[u8]) -> Policy {
        Policy::read(&Controls(vec![(name.to_owned(), value.to_vec())]))
    }

    #[test]
    fn controls_tell_of_the_password() {
        let nothing = Policy::default();
        for (value, expected) in [
            (&b"\x30\x00"[..], nothing),
            (b"\x30\x03\x81\x01\x01", Policy { error: Some(1), ..nothing }),
            (b"\x30\x03\x81\x01\x02", Policy { error: Some(2), ..nothing }),
            (b"\x30\x06\xA0\x04\x80\x02\x0E\x10", Policy { seconds_left: Some(3600), ..nothing }),
            (
                b"\x30\x08\xA0\x03\x81\x01\x04\x81\x01\x00",
                Policy { logins_left: Some(4), error: Some(0), ..nothing },
            ),
            // Broken, cut, empty, of another shape.
            (b"\x30\x7F\x81\x01\x01", nothing),
            (b"\x30\x03\x81\x7F\x01", nothing),
            (b"\x30\x02\xA0\x00", nothing),
            (b"", nothing),
            (b"\x04\x01\x01", nothing),
        ] {
            assert_eq!(read(POLICY, value), expected, "{value:?}");
        }
        assert_eq!(read(EXPIRED, b"0"), Policy { expired: true, ..nothing });
        assert_eq!(read(EXPIRING, b"86400"), Policy { seconds_left: Some(86400), ..nothing });
        assert_eq!(read(EXPIRING, b"soon"), nothing);
        assert_eq!(read("1.2.3", b"\x30\x03\x81\x01\x01"), nothing);
    }
}
