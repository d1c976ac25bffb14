//! Ids as they are shown: canonical ones, or the decimal numbers that stand for them.

use std::borrow::Cow;

use super::Manner;

/// The numbers of a resource and of those that it refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Of the resource's row; none where it has none.
    pub own: Option<i64>,
    /// Of what it refers to and is shown by its number, by canonical id, in the order of the ids.
    others: Box<[(Box<str>, i64)]>,
}

impl Numbers {
    /// `others`: of each resource that is referred to its type's name, its canonical id, and its
    /// number.
    pub fn new<'a>(
        own: Option<i64>,
        others: impl IntoIterator<Item = (&'a str, &'a str, i64)>,
    ) -> Self {
        let numbered = others.into_iter().filter(|(kind, id, _)| is_numbered(kind, id));
        let mut others: Vec<_> = numbered.map(|(_, id, number)| (Box::from(id), number)).collect();
        others.sort_unstable();
        others.dedup();
        Self { own, others: others.into_boxed_slice() }
    }

    /// The id of the resource itself, which is of the type with this name.
    pub fn shown<'a>(&self, kind: &str, id: &'a str, manner: &Manner) -> Cow<'a, str> {
        match self.own {
            _ if !manner.numbers => Cow::Borrowed(id),
            None => Cow::Borrowed("0"),
            Some(number) if is_numbered(kind, id) => Cow::Owned(number.to_string()),
            Some(_) => self.referred(id, manner),
        }
    }

    /// The id of something that it refers to. One that begins with another's, as an authenticator's
    /// does with its owner's, begins with that one's number.
    pub fn referred<'a>(&self, id: &'a str, manner: &Manner) -> Cow<'a, str> {
        if !manner.numbers || self.others.is_empty() {
            return Cow::Borrowed(id);
        }
        let of = |id: &str| {
            let place = self.others.binary_search_by(|(other, _)| (**other).cmp(id));
            place.ok().and_then(|place| self.others.get(place)).map(|(_, number)| *number)
        };
        if let Some(number) = of(id) {
            return Cow::Owned(number.to_string());
        }
        let owned = id.rsplit_once('.').and_then(|(owner, rest)| Some((of(owner)?, rest)));
        owned.map_or(Cow::Borrowed(id), |(number, rest)| Cow::Owned(format!("{number}.{rest}")))
    }
}

/// Whether a resource of the type with this name is shown by its number: a user always is, and of
/// the others whoever was not given a code for an id.
fn is_numbered(kind: &str, id: &str) -> bool {
    kind == "User" || is_uuid(id)
}

/// As a canonical id is written: `0190f0c0-5b2e-7cc3-98b4-6a5b7d4f1e2a`.
fn is_uuid(id: &str) -> bool {
    id.len() == 36
        && id.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::dialect::{Dialect, Manners, Settings};

    const UUID: &str = "0190f0c0-5b2e-7cc3-98b4-6a5b7d4f1e2a";

    #[test]
    fn numbers_stand_for_ids_that_are_no_codes() {
        let manners = Manners::new(&Settings::default(), []);
        let manner = manners.of(Dialect::Activid, || None);
        let long = "corp.8f1c";
        let numbers = Numbers::new(
            Some(10_001),
            [
                ("Group", "USG_FTEMP", 10_002),
                ("Group", UUID, 10_003),
                ("User", long, 10_004),
                ("User", long, 10_004),
            ],
        );
        assert_eq!(numbers.shown("User", "corp.1", manner), "10001");
        assert_eq!(numbers.shown("Group", UUID, manner), "10001");
        assert_eq!(numbers.shown("Group", "USG_CUST", manner), "USG_CUST");
        assert_eq!(numbers.shown("Authenticator", "corp.8f1c.AT_OTP", manner), "10004.AT_OTP");
        for (id, shown) in [
            (UUID, "10003"),
            (long, "10004"),
            ("USG_FTEMP", "USG_FTEMP"),
            ("corp.8f1c.AT_OTP", "10004.AT_OTP"),
            ("corp.8f1d", "corp.8f1d"),
            ("", ""),
        ] {
            assert_eq!(numbers.referred(id, manner), shown);
            assert_eq!(numbers.referred(id, &Manner::rfc()), id);
        }
        let unbound = Numbers::default();
        assert_eq!(unbound.shown("User", long, manner), "0");
        assert_eq!(unbound.shown("User", long, &Manner::rfc()), long);
    }
}
