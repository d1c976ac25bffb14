//! Values that must not be seen: no `Debug`, no `Display`, wiped when dropped.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A secret in memory. [`Secret::expose`] is the only way to its value, so that a search for that
/// word finds every place where a secret is used.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    pub fn new(value: T) -> Self {
        Self(value)
    }

    pub fn expose(&self) -> &T {
        &self.0
    }

    /// For filling it in place.
    pub fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> ZeroizeOnDrop for Secret<T> {}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Longer passwords, in bytes, are nobody's.
const LONGEST: usize = 1024;

/// A password that somebody gave, and that can be asked about: a bind with an empty one is a bind as
/// nobody, and succeeds (RFC 4513 section 5.1.2).
#[derive(Clone, Debug)]
pub struct Password(Secret<String>);

/// Why what was given is no password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPassword {
    #[error("the password is empty")]
    Empty,
    #[error("the password is longer than {LONGEST} bytes")]
    TooLong,
    /// Some servers read no further than this, and would compare less than was given.
    #[error("the password has the character U+0000 in it")]
    Nul,
}

impl Password {
    pub fn new(given: Secret<String>) -> Result<Self, NoPassword> {
        match given.expose() {
            text if text.is_empty() => Err(NoPassword::Empty),
            text if text.len() > LONGEST => Err(NoPassword::TooLong),
            text if text.contains('\0') => Err(NoPassword::Nul),
            _ => Ok(Self(given)),
        }
    }

    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_would_take_for_nobody_is_no_password() {
        let given = |text: &str| Password::new(Secret::new(text.to_owned()));
        assert_eq!(given("").unwrap_err(), NoPassword::Empty);
        assert_eq!(given("\0").unwrap_err(), NoPassword::Nul);
        assert_eq!(given("right\0").unwrap_err(), NoPassword::Nul);
        assert_eq!(given(&"x".repeat(1025)).unwrap_err(), NoPassword::TooLong);
        for text in [" ", "hunter2", &"x".repeat(1024)] {
            assert_eq!(given(text).unwrap().expose(), text);
        }
        assert_eq!(format!("{:?}", given("hunter2").unwrap()), "Password(Secret(…))");
    }
}
