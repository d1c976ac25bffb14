//! Signing in as an entry: found by its key, tried by its DN on a connection that nobody else uses, and
//! what servers say to that, each in its own way.
//!
//! Result codes are those of RFC 4511. Beside them tell: Active Directory by a number in its diagnostic
//! message, OpenLDAP by the control of draft-behera-ldap-password-policy-10, 389 Directory Server by
//! that, by controls of its own and by its words.

use std::time::Instant;

use super::dn::Dn;
use super::repository::LdapRepository;
use super::result_code::told;
use super::wire::{BindSaid, Paging, Policy, Scope, SearchRequest};
use crate::repository::{EntryKey, Refused, RepositoryError, Untold, Verdict};
use crate::secret::Password;

impl LdapRepository {
    pub(super) async fn signed_in(
        &self,
        key: &EntryKey,
        password: &Password,
        deadline: Instant,
    ) -> Result<Verdict, Untold> {
        let Some(dn) = self.name_of(key, deadline).await? else {
            return Ok(refused(Refused::Gone, "there is no such entry any more".to_owned()));
        };
        let said = self.directory.bind_as(&dn, password, deadline).await?;
        judged(&said).map_err(|error| Untold { error, sent: !said.looked_at_nothing() })
    }

    /// Where the entry with this key is now, in its server's spelling; `None` where it is gone.
    async fn name_of(
        &self,
        key: &EntryKey,
        deadline: Instant,
    ) -> Result<Option<String>, RepositoryError> {
        let name = &self.mapping.names[self.mapping.key].text;
        let request = SearchRequest {
            base: self.base.clone(),
            scope: Scope::Subtree,
            filter: self.sent(self.mapping.key_filter(key)).to_string(),
            attributes: vec![name.clone()].into(),
            size_limit: 1,
            paging: Paging::Never,
        };
        let found = self.directory.search_here(&request, deadline).await?;
        if found.entries.is_empty() && self.directory.leads_on(&found) {
            return Err(elsewhere("the entry is gone, or held by another server (referral)"));
        }
        if !found.complete {
            return Err(unclear("several entries have this key, or the answer was cut"));
        }
        let Some(entry) = found.entries.into_iter().next() else { return Ok(None) };
        let own = entry.values(name).next().and_then(|value| self.mapping.key_form.read(value));
        if own.as_ref() != Some(key) {
            return Err(unclear("the entry that was answered has another key"));
        }
        // The root is nobody's name, and a bind by it nobody's.
        match Dn::parse(&entry.dn) {
            Ok(dn) if dn.depth() > 0 => Ok(Some(entry.dn)),
            _ => Err(unclear("the entry that was answered has no name")),
        }
    }
}

fn unclear(text: &str) -> RepositoryError {
    RepositoryError::Unavailable(text.into())
}

fn refused(why: Refused, text: String) -> Verdict {
    Verdict::Refused { why, text }
}

/// What is neither a yes nor a no to the password is an error.
fn judged(said: &BindSaid) -> Result<Verdict, RepositoryError> {
    let text = told(said.code, &said.text);
    let policy = said.policy;
    let why = match said.code {
        _ if said.referral => return Err(elsewhere(&text)),
        0 => match policy.error {
            Some(0) => Refused::PasswordExpired,
            Some(1) => Refused::Locked,
            Some(2) => Refused::MustChange,
            _ if policy.expired => Refused::MustChange,
            _ => return Ok(Verdict::Right { notice: notice(policy) }),
        },
        10 => return Err(elsewhere(&text)),
        19 | 49 | 53 => match (policy.error, said.code) {
            (Some(0), _) => Refused::PasswordExpired,
            (Some(1), _) => locked(said),
            (Some(2), _) => Refused::MustChange,
            (_, 49) if policy.expired => Refused::PasswordExpired,
            (_, 49) => windows(&said.text, &text)?,
            (_, 53) => inactive(said),
            _ => by_words(&said.text, "retry limit", Refused::Locked),
        },
        48 => Refused::NoPassword,
        50 => Refused::Unsaid,
        _ => return Err(RepositoryError::Unavailable(text.into())),
    };
    Ok(refused(why, text))
}

/// Where somebody else would have to be asked, who is sent no password.
fn elsewhere(text: &str) -> RepositoryError {
    RepositoryError::Unavailable(
        format!("{text}: passwords are sent to the configured servers alone").into(),
    )
}

/// 389 Directory Server says of an inactivated account that it is locked, in its control.
fn locked(said: &BindSaid) -> Refused {
    if said.code == 53 { inactive(said) } else { Refused::Locked }
}

fn inactive(said: &BindSaid) -> Refused {
    by_words(&said.text, "inactivated", Refused::Disabled)
}

fn by_words(text: &str, words: &str, why: Refused) -> Refused {
    if text.to_ascii_lowercase().contains(words) { why } else { Refused::Unsaid }
}

/// What Active Directory tells by a number of Windows: `AcceptSecurityContext error, data 775, v4563`.
fn windows(text: &str, told: &str) -> Result<Refused, RepositoryError> {
    let number = text.split("data ").nth(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
        u32::from_str_radix(&rest[..end], 16).unwrap_or(0)
    });
    Ok(match number {
        // ERROR_INVALID_LOGON_HOURS, ERROR_INVALID_WORKSTATION, ERROR_LOGON_TYPE_NOT_GRANTED
        Some(0x530 | 0x531 | 0x569) => Refused::NotNow,
        Some(0x532) => Refused::PasswordExpired,
        Some(0x533) => Refused::Disabled,
        Some(0x701) => Refused::AccountExpired,
        Some(0x773) => Refused::MustChange,
        Some(0x775) => Refused::Locked,
        // ERROR_NO_LOGON_SERVERS, ERROR_TOO_MANY_CONTEXT_IDS: it did not come to look.
        Some(0x51F | 0x568) => return Err(RepositoryError::Unavailable(told.into())),
        // ERROR_LOGON_FAILURE, ERROR_NO_SUCH_USER; and whoever writes no number.
        _ => Refused::Wrong,
    })
}

fn notice(policy: Policy) -> Option<String> {
    match (policy.logins_left, policy.seconds_left) {
        (Some(left), _) => Some(format!("the password has expired; it is taken {left} times more")),
        (None, Some(left)) => Some(format!("the password expires in {} hours", left / 3600)),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests;
