//! What a directory says of somebody who comes with a password.

use super::RepositoryError;

/// Whether a password is right was not told.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub struct Untold {
    pub error: RepositoryError,
    /// Whether a server was sent the password, and did not say that it looked at none: it may have
    /// counted a failure against the account.
    pub sent: bool,
}

impl From<RepositoryError> for Untold {
    /// Before anything was sent.
    fn from(error: RepositoryError) -> Self {
        Self { error, sent: false }
    }
}

/// What was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the entry's password, and the account may be used. `notice`: what the directory wants
    /// its owner to know, such as that the password ends soon.
    Right { notice: Option<String> },
    /// `text`: in the directory's own words, for an administrator.
    Refused { why: Refused, text: String },
}

/// Why an account is not let in, as far as the directory tells. For logs and administrators: whoever
/// guesses would learn from it which accounts there are, and which guesses were right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Of a directory that tells nothing apart, any of the others.
    Wrong,
    /// Too many failed, or an administrator did it.
    Locked,
    Disabled,
    AccountExpired,
    PasswordExpired,
    /// It is right, and good for nothing but another one.
    MustChange,
    /// At this time, or from this machine.
    NotNow,
    /// The entry has no password, or its kind of bind is not allowed.
    NoPassword,
    /// There is no such entry any more.
    Gone,
    /// Without a reason that is known.
    Unsaid,
}

impl Refused {
    /// One word for a log.
    pub fn word(self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::Locked => "locked",
            Self::Disabled => "disabled",
            Self::AccountExpired => "account_expired",
            Self::PasswordExpired => "password_expired",
            Self::MustChange => "must_change",
            Self::NotNow => "not_now",
            Self::NoPassword => "no_password",
            Self::Gone => "gone",
            Self::Unsaid => "unsaid",
        }
    }
}
