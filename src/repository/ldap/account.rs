//! Whether an account may be used, by the attributes with which directories say that it may not.
//!
//! One test for each attribute, read from an entry and asked for in a filter.

use jiff::Timestamp;

use super::filter::LdapFilter;

/// Active Directory's bit for a disabled account (`ADS_UF_ACCOUNTDISABLE`).
const DISABLED: i64 = 2;

/// 1601-01-01 to 1970-01-01, in the steps of 100 ns in which Active Directory counts time.
const EPOCH: i64 = 116_444_736_000_000_000;

/// How an attribute locks people out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lock {
    /// `userAccountControl`: its second bit. Nothing else of it is looked at.
    Disabled,
    /// `accountExpires`: a time that has passed; 0 and the largest number mean never.
    Expired,
    /// `lockoutTime`: any time but 0.
    LockedOut,
    /// `nsAccountLock`: the word `true`.
    Said,
    /// Whatever it says, that it is there: `pwdAccountLockedTime`.
    There,
}

impl Lock {
    /// The test for an attribute, by its name in lower case without options.
    pub fn of(attribute: &str) -> Self {
        match attribute {
            "useraccountcontrol" => Self::Disabled,
            "accountexpires" => Self::Expired,
            "lockouttime" => Self::LockedOut,
            "nsaccountlock" => Self::Said,
            _ => Self::There,
        }
    }

    /// Whether these values lock the account at `now`. What cannot be read locks nobody out.
    pub fn is_closed<V: AsRef<[u8]>>(self, values: &[V], now: Timestamp) -> bool {
        if self == Self::There {
            return !values.is_empty();
        }
        values.iter().filter_map(|value| std::str::from_utf8(value.as_ref()).ok()).any(|value| {
            let value = value.trim();
            let number = || value.parse::<i64>().ok();
            match self {
                Self::Disabled => number().is_some_and(|bits| bits & DISABLED != 0),
                Self::Expired => number().is_some_and(|at| at > 0 && at <= file_time(now)),
                Self::LockedOut => number().is_some_and(|at| at > 0),
                Self::Said => value.eq_ignore_ascii_case("true"),
                Self::There => true,
            }
        })
    }

    /// Whose account this attribute locks at `at`.
    pub fn filter(self, attribute: &str, at: Timestamp) -> LdapFilter {
        let attribute = attribute.to_owned();
        let later_than_never = |name| LdapFilter::GreaterOrEqual(name, "1".to_owned());
        match self {
            Self::Disabled => LdapFilter::Bits(attribute, DISABLED),
            Self::Expired => LdapFilter::and([
                later_than_never(attribute.clone()),
                LdapFilter::LessOrEqual(attribute, file_time(at).to_string()),
            ]),
            Self::LockedOut => later_than_never(attribute),
            Self::Said => LdapFilter::Equal(attribute, "true".to_owned()),
            Self::There => LdapFilter::Present(attribute),
        }
    }

    /// Whether time alone can lock it.
    pub fn comes_with_time(self) -> bool {
        self == Self::Expired
    }
}

/// A time as Active Directory counts it.
fn file_time(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanosecond() / 100)
        .map_or(i64::MAX - 1, |steps| steps.saturating_add(EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(attribute: &str, value: &str) -> bool {
        let now: Timestamp = "2024-02-29T12:00:00Z".parse().unwrap();
        Lock::of(attribute).is_closed(&[value.as_bytes()], now)
    }

    #[test]
    fn each_attribute_has_its_own_test() {
        for (attribute, value, expected) in [
            ("useraccountcontrol", "512", false),
            ("useraccountcontrol", "514", true),
            ("useraccountcontrol", "66048", false),
            ("useraccountcontrol", "66050", true),
            // The bits above it, and a number with the sign that 32 bits give.
            ("useraccountcontrol", "544", false),
            ("useraccountcontrol", "-2147483646", true),
            ("useraccountcontrol", "x", false),
            ("accountexpires", "0", false),
            ("accountexpires", "9223372036854775807", false),
            // 2024-02-29T12:00:00Z and a second more.
            ("accountexpires", "133536816000000000", true),
            ("accountexpires", "133536816010000000", false),
            ("lockouttime", "0", false),
            ("lockouttime", "133536816000000000", true),
            ("nsaccountlock", "TRUE", true),
            ("nsaccountlock", "false", false),
            ("pwdaccountlockedtime", "000001010000Z", true),
        ] {
            assert_eq!(closed(attribute, value), expected, "{attribute} {value}");
        }
        assert!(!Lock::of("pwdaccountlockedtime").is_closed::<&[u8]>(&[], Timestamp::UNIX_EPOCH));
        assert!(!Lock::of("useraccountcontrol").is_closed::<&[u8]>(&[], Timestamp::UNIX_EPOCH));
    }

    #[test]
    fn filters_ask_what_entries_are_asked() {
        let at: Timestamp = "2024-02-29T12:00:00Z".parse().unwrap();
        for (attribute, expected) in [
            ("userAccountControl", "(userAccountControl:1.2.840.113556.1.4.803:=2)"),
            ("accountExpires", "(&(accountExpires>=1)(accountExpires<=133536816000000000))"),
            ("lockoutTime", "(lockoutTime>=1)"),
            ("nsAccountLock", "(nsAccountLock=true)"),
            ("pwdAccountLockedTime", "(pwdAccountLockedTime=*)"),
        ] {
            let lock = Lock::of(&attribute.to_ascii_lowercase());
            assert_eq!(lock.filter(attribute, at).to_string(), expected);
        }
    }
}
