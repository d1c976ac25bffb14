//! Passwords of authenticators become argon2id hashes (RFC 9106), of which nobody reads a password.

use std::fmt;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, SaltString};
use tokio::sync::Semaphore;

use super::Problem;
use crate::clock::Clock;
use crate::scim::{ErrorKind, ScimError};
use crate::secret::Secret;
use crate::store::StoreError;

/// How many are made at once: each takes a core, and 19 MiB.
const ABREAST: usize = 2;

/// The longest password, in bytes of UTF-8.
const LONGEST: usize = 1024;

/// Makes hashes, few at once.
pub(super) struct Passwords {
    clock: Clock,
    turns: Semaphore,
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").finish_non_exhaustive()
    }
}

impl Passwords {
    pub(super) fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), turns: Semaphore::new(ABREAST) }
    }

    /// The hash in the PHC string format, with a salt of its own.
    pub(super) async fn hash(&self, password: Secret<String>) -> Result<String, Problem> {
        let length = password.expose().len();
        if length == 0 || length > LONGEST {
            return Err(Problem::Scim(ScimError::new(
                ErrorKind::InvalidValue,
                format!("password has {length} bytes: give one of 1 to {LONGEST}."),
            )));
        }
        // Nobody closes the semaphore.
        let _turn = self.turns.acquire().await;
        let salt = self.clock.new_token().into_bytes();
        let made = tokio::task::spawn_blocking(move || {
            let salt = SaltString::encode_b64(&salt)?;
            let hash = Argon2::default().hash_password(password.expose().as_bytes(), &salt)?;
            Ok::<_, argon2::password_hash::Error>(hash.to_string())
        });
        match made.await {
            Ok(Ok(hash)) => Ok(hash),
            Ok(Err(error)) => Err(failed(&error)),
            Err(error) => Err(failed(&error)),
        }
    }
}

fn failed(error: &dyn fmt::Display) -> Problem {
    Problem::Internal(StoreError::Database(format!("no hash could be made: {error}")))
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::{PasswordHash, PasswordVerifier as _};

    use super::*;

    #[tokio::test]
    async fn a_hash_knows_its_password_and_is_never_the_same() {
        let passwords = Passwords::new(&Clock::system());
        let hash = async |text: &str| passwords.hash(Secret::new(text.to_owned())).await;
        let one = hash("Straße 7").await.unwrap();
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, hash("Straße 7").await.unwrap());
        let parsed = PasswordHash::new(&one).unwrap();
        let verifies =
            |text: &str| Argon2::default().verify_password(text.as_bytes(), &parsed).is_ok();
        assert!(verifies("Straße 7") && !verifies("straße 7") && !verifies(""));
        for bad in [String::new(), "x".repeat(LONGEST + 1)] {
            let refused = hash(&bad).await.unwrap_err();
            assert!(matches!(refused, Problem::Scim(_)), "{refused}");
        }
        assert!(!format!("{passwords:?}").contains("Straße"));
    }
}
