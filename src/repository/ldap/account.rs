//! Whether an account may be used, by the attributes with which directories say that it may not.
//!
//! One test for each attribute, read from an entry and asked for in a filter; and of the ones that are
//! there to be switched by others, how that is done.

use jiff::Timestamp;
use serde_json::Value;

use super::filter::LdapFilter;

/// Active Directory's bit for a disabled account (`ADS_UF_ACCOUNTDISABLE`).
const DISABLED: i64 = 2;

/// 1601-01-01 to 1970-01-01, in the steps of 100 ns in which Active Directory counts time.
const EPOCH: i64 = 116_444_736_000_000_000;

/// What locks an account until somebody opens it (draft-behera-ldap-password-policy section 5.3.3).
const FOR_GOOD: &str = "000001010000Z";

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

/// How an account is switched off for good, and on again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switch {
    /// `userAccountControl`: its second bit, and nothing else of it.
    Bit,
    /// `nsAccountLock`: the word `TRUE`, or nothing.
    Word,
    /// `pwdAccountLockedTime`: the time that never passes, or nothing.
    Time,
}

/// The values that go, each of which must be there, and those that come.
pub(super) type Moved = (Vec<Vec<u8>>, Vec<Vec<u8>>);

impl Switch {
    /// What an attribute is switched by, by its name in lower case without options.
    pub fn of(lock: Lock, attribute: &str) -> Option<Self> {
        match lock {
            Lock::Disabled => Some(Self::Bit),
            Lock::Said => Some(Self::Word),
            Lock::There if attribute == "pwdaccountlockedtime" => Some(Self::Time),
            Lock::There | Lock::Expired | Lock::LockedOut => None,
        }
    }

    /// Where these values put the account: `false` is off for good, `true` is on, and a text is the
    /// time at which it was locked for a while.
    pub fn state(self, values: &[Vec<u8>]) -> Value {
        let closed = |lock: Lock| lock.is_closed(values, Timestamp::UNIX_EPOCH);
        match self {
            Self::Bit => Value::Bool(!closed(Lock::Disabled)),
            Self::Word => Value::Bool(!closed(Lock::Said)),
            Self::Time => match values.first() {
                None => Value::Bool(true),
                Some(value) if value.starts_with(&FOR_GOOD.as_bytes()[..8]) => Value::Bool(false),
                Some(value) => Value::from(String::from_utf8_lossy(value)),
            },
        }
    }

    /// From the values that are there to the state that is wanted; `None` where they are no such values.
    pub fn moved(self, held: &[Vec<u8>], wanted: &Value) -> Option<Moved> {
        let off = *wanted == Value::Bool(false);
        let come = match self {
            Self::Bit => {
                let [number] = held else { return None };
                let bits: i64 = std::str::from_utf8(number).ok()?.trim().parse().ok()?;
                let bits = if off { bits | DISABLED } else { bits & !DISABLED };
                Some(bits.to_string())
            }
            Self::Word => off.then(|| "TRUE".to_owned()),
            Self::Time if off => Some(FOR_GOOD.to_owned()),
            Self::Time => wanted.as_str().map(str::to_owned),
        };
        Some((held.to_vec(), come.into_iter().map(String::into_bytes).collect()))
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
    fn a_switch_moves_nothing_else() {
        let values = |texts: &[&str]| -> Vec<Vec<u8>> {
            texts.iter().map(|text| text.as_bytes().to_vec()).collect()
        };
        let (on, off) = (Value::Bool(true), Value::Bool(false));
        for (attribute, held, state, wanted, come) in [
            ("useraccountcontrol", &["512"][..], &on, &off, &["514"][..]),
            ("useraccountcontrol", &["66082"], &off, &on, &["66080"]),
            ("useraccountcontrol", &["-2147483646"], &off, &on, &["-2147483648"]),
            ("useraccountcontrol", &["512"], &on, &"lockoutTime".into(), &["512"]),
            ("nsaccountlock", &[], &on, &off, &["TRUE"]),
            ("nsaccountlock", &["False"], &on, &off, &["TRUE"]),
            ("nsaccountlock", &["tRuE"], &off, &on, &[]),
            ("pwdaccountlockedtime", &[], &on, &off, &["000001010000Z"]),
            ("pwdaccountlockedtime", &["000001010000Z"], &off, &on, &[]),
            ("pwdaccountlockedtime", &["00000101000000Z"], &off, &on, &[]),
            (
                "pwdaccountlockedtime",
                &["20240229120000Z"],
                &"20240229120000Z".into(),
                &off,
                &["000001010000Z"],
            ),
            (
                "pwdaccountlockedtime",
                &["000001010000Z"],
                &off,
                &"20240229120000Z".into(),
                &["20240229120000Z"],
            ),
        ] {
            let switch = Switch::of(Lock::of(attribute), attribute).unwrap();
            let held = values(held);
            assert_eq!(switch.state(&held), *state, "{attribute}");
            let moved = switch.moved(&held, wanted);
            assert_eq!(moved, Some((held, values(come))), "{attribute} {wanted}");
        }
        for none in [&[][..], &["x"], &["512", "514"]] {
            assert_eq!(Switch::Bit.moved(&values(none), &off), None, "{none:?}");
        }
        for none in ["accountexpires", "lockouttime", "employeetype"] {
            assert_eq!(Switch::of(Lock::of(none), none), None, "{none}");
        }
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
