//! A bind in somebody else's name, with all that the server says to it.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use ldap3::controls::RawControl;
use tokio::time::{Instant, timeout_at};

use super::super::failure::Failure;
use super::super::sign_in::{ASK, BindSaid, Policy};
use super::{Connection, listen};
use crate::secret::Password;

impl Connection {
    /// Binds as somebody else. The connection is that person's from then on, or nobody's: who asked
    /// drops it.
    pub(in super::super) async fn sign_in(
        &self,
        dn: &str,
        password: &Password,
        deadline: Instant,
    ) -> Result<BindSaid, Failure> {
        let mut ldap = self.ldap.clone();
        ldap.with_controls(vec![RawControl {
            ctype: ASK.name.to_owned(),
            crit: ASK.critical,
            val: ASK.value.clone(),
        }]);
        // The crate takes any message for a bind response, and panics if it is none.
        let bind = AssertUnwindSafe(ldap.simple_bind(dn, password.expose())).catch_unwind();
        match timeout_at(deadline, bind).await {
            Ok(Ok(Ok(result))) => Ok(BindSaid {
                code: result.rc,
                text: result.text,
                referral: !result.refs.is_empty(),
                policy: Policy::read(&listen::controls(result.ctrls)),
            }),
            Ok(Ok(Err(error))) => Err(self.failure(&error)),
            Ok(Err(_)) => {
                Err(Failure::Died("the server answered the bind with something else".into()))
            }
            Err(_) => Err(Failure::Timeout { silent: true }),
        }
    }
}
