//! LDAP filters as values, and the only place that writes and escapes them (RFC 4515).

use std::fmt;

/// A filter that can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LdapFilter {
    /// Everybody (RFC 4526).
    True,
    /// Nobody (RFC 4526).
    False,
    And(Vec<LdapFilter>),
    Or(Vec<LdapFilter>),
    Not(Box<LdapFilter>),
    Present(String),
    Equal(String, String),
    /// Equality with a value that is no text.
    Octets(String, Vec<u8>),
    /// All of these bits are set in a number: the matching rule 1.2.840.113556.1.4.803 of Active
    /// Directory.
    Bits(String, i64),
    /// The name is among the values, or reached from there from group to group: the matching rule
    /// 1.2.840.113556.1.4.1941 of Active Directory.
    InChain(String, String),
    GreaterOrEqual(String, String),
    LessOrEqual(String, String),
    /// `initial*any*any*final`
    Substring {
        attribute: String,
        initial: Option<String>,
        any: Vec<String>,
        last: Option<String>,
    },
    /// As the configuration writes it, checked by [`LdapFilter::configured`].
    Configured(String),
}

/// Why the text of a filter is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an LDAP filter (RFC 4515): {what} at character {at}")]
pub struct FilterError {
    what: &'static str,
    /// Counted from 1.
    at: usize,
}

/// How deep a configured filter may be nested.
const MAX_DEPTH: usize = 32;

impl LdapFilter {
    /// A filter as an administrator wrote it; `people` and `objectClass=person` are none, since
    /// RFC 4515 wants parentheses.
    pub fn configured(text: &str) -> Result<Self, FilterError> {
        let text = text.trim();
        let mut check = Check { text, at: 0 };
        check.filter(0)?;
        if check.at < text.len() {
            return Err(check.fault("the end was expected"));
        }
        Ok(Self::Configured(text.to_owned()))
    }

    /// All of `parts`.
    pub fn and(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                Self::True => {}
                Self::False => return Self::False,
                Self::And(inner) => inner.into_iter().for_each(|part| push_new(&mut kept, part)),
                part => push_new(&mut kept, part),
            }
        }
        let mut kept = without_implied(kept);
        match kept.len() {
            0 => Self::True,
            1 => kept.swap_remove(0),
            _ => Self::And(kept),
        }
    }

    /// Any of `parts`.
    pub fn or(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                Self::False => {}
                Self::True => return Self::True,
                Self::Or(inner) => inner.into_iter().for_each(|part| push_new(&mut kept, part)),
                part => push_new(&mut kept, part),
            }
        }
        match kept.len() {
            0 => Self::False,
            1 => kept.swap_remove(0),
            _ => Self::Or(kept),
        }
    }

    /// The opposite. Only for what can be undefined for nobody: `(!(x=1))` selects nobody for whom
    /// `(x=1)` is neither true nor false (RFC 4511 section 4.5.1.7).
    #[must_use]
    pub fn negate(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// The attribute that whoever matches this item has.
    fn implied(&self) -> Option<&str> {
        match self {
            Self::Equal(attribute, _)
            | Self::Octets(attribute, _)
            | Self::Bits(attribute, _)
            | Self::InChain(attribute, _)
            | Self::GreaterOrEqual(attribute, _)
            | Self::LessOrEqual(attribute, _)
            | Self::Substring { attribute, .. } => Some(attribute),
            _ => None,
        }
    }
}

/// Takes out the questions for presence that a stronger part answers.
fn without_implied(parts: Vec<LdapFilter>) -> Vec<LdapFilter> {
    let implied: Vec<bool> = parts
        .iter()
        .map(|part| match part {
            LdapFilter::Present(name) => {
                parts.iter().any(|other| other.implied() == Some(name.as_str()))
            }
            _ => false,
        })
        .collect();
    parts.into_iter().zip(implied).filter(|(_, implied)| !implied).map(|(part, _)| part).collect()
}

fn push_new(kept: &mut Vec<LdapFilter>, part: LdapFilter) {
    if !kept.contains(&part) {
        kept.push(part);
    }
}

impl fmt::Display for LdapFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::True => f.write_str("(&)"),
            Self::False => f.write_str("(|)"),
            Self::And(parts) => list(f, '&', parts),
            Self::Or(parts) => list(f, '|', parts),
            Self::Not(inner) => write!(f, "(!{inner})"),
            Self::Present(attribute) => write!(f, "({attribute}=*)"),
            Self::Equal(attribute, value) => write!(f, "({attribute}={})", Escaped(value)),
            Self::Octets(attribute, value) => {
                write!(f, "({attribute}=")?;
                value.iter().try_for_each(|byte| write!(f, "\\{byte:02x}"))?;
                f.write_str(")")
            }
            Self::Bits(attribute, bits) => {
                write!(f, "({attribute}:1.2.840.113556.1.4.803:={bits})")
            }
            Self::InChain(attribute, name) => {
                write!(f, "({attribute}:1.2.840.113556.1.4.1941:={})", Escaped(name))
            }
            Self::GreaterOrEqual(attribute, value) => {
                write!(f, "({attribute}>={})", Escaped(value))
            }
            Self::LessOrEqual(attribute, value) => write!(f, "({attribute}<={})", Escaped(value)),
            Self::Substring { attribute, initial, any, last } => {
                write!(f, "({attribute}={}*", Escaped(initial.as_deref().unwrap_or_default()))?;
                for part in any {
                    write!(f, "{}*", Escaped(part))?;
                }
                write!(f, "{})", Escaped(last.as_deref().unwrap_or_default()))
            }
            Self::Configured(text) => f.write_str(text),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, sign: char, parts: &[LdapFilter]) -> fmt::Result {
    write!(f, "({sign}")?;
    parts.iter().try_for_each(|part| write!(f, "{part}"))?;
    f.write_str(")")
}

/// A value as it stands in a filter. RFC 4515 section 3: "the octets of … `*`, `(`, `)`, `\` and
/// NUL … are escaped"; control characters are as well, so that a filter is one readable line.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let special = |c: char| matches!(c, '*' | '(' | ')' | '\\' | '\0'..='\u{1f}' | '\u{7f}');
        let mut rest = self.0;
        while let Some(at) = rest.find(special) {
            f.write_str(&rest[..at])?;
            // All of them are ASCII.
            write!(f, "\\{:02x}", rest.as_bytes()[at])?;
            rest = &rest[at + 1..];
        }
        f.write_str(rest)
    }
}

/// Whether `text` can be the name of an attribute, with or without options (RFC 4512 section 2.5).
pub fn is_attribute_name(text: &str) -> bool {
    let mut parts = text.split(';');
    let name = parts.next().unwrap_or_default();
    let number = name.starts_with(|c: char| c.is_ascii_digit())
        && name
            .split('.')
            .all(|arc| !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit()));
    (number || is_key_string(name, |c| c.is_ascii_alphabetic()))
        && parts.all(|option| is_key_string(option, |c| c.is_ascii_alphanumeric()))
}

fn is_key_string(text: &str, first: impl Fn(char) -> bool) -> bool {
    text.starts_with(first) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Whether a text is a filter, without making anything of it.
struct Check<'a> {
    text: &'a str,
    at: usize,
}

impl Check<'_> {
    fn fault(&self, what: &'static str) -> FilterError {
        FilterError { what, at: self.text[..self.at].chars().count() + 1 }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), FilterError> {
        if self.peek() != Some(byte) {
            return Err(self.fault(what));
        }
        self.at += 1;
        Ok(())
    }

    fn filter(&mut self, depth: usize) -> Result<(), FilterError> {
        if depth > MAX_DEPTH {
            return Err(self.fault("nested deeper than 32"));
        }
        self.expect(b'(', "an opening parenthesis was expected")?;
        match self.peek() {
            Some(b'&' | b'|') => {
                self.at += 1;
                while self.peek() == Some(b'(') {
                    self.filter(depth + 1)?;
                }
            }
            Some(b'!') => {
                self.at += 1;
                self.filter(depth + 1)?;
            }
            _ => self.item()?,
        }
        self.expect(b')', "a closing parenthesis was expected")
    }

    /// `attribute=value`, with `=`, `>=`, `<=`, `~=` or `:rule:=`.
    fn item(&mut self) -> Result<(), FilterError> {
        let rest = &self.text[self.at..];
        let length = rest.find(['=', '(', ')']).unwrap_or(rest.len());
        let left = &rest[..length];
        if !rest[length..].starts_with('=') {
            return Err(self.fault("attribute=value was expected"));
        }
        let name = match left.split_once(':') {
            // An extensible match; its rule is the server's business.
            Some((name, rule)) if rule.ends_with(':') || rule.is_empty() => name,
            Some(_) => return Err(self.fault("a matching rule between colons was expected")),
            None => left.strip_suffix(['>', '<', '~']).unwrap_or(left),
        };
        if !(is_attribute_name(name) || (name.is_empty() && left.len() > 2)) {
            return Err(self.fault("the name of an attribute was expected"));
        }
        self.at += length + 1;
        self.value()
    }

    fn value(&mut self) -> Result<(), FilterError> {
        while let Some(byte) = self.peek() {
            match byte {
                b')' => return Ok(()),
                b'(' | 0 => return Err(self.fault("this character needs a backslash")),
                b'\\' => {
                    let digits = self.text.as_bytes().get(self.at + 1..self.at + 3);
                    if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                        return Err(self.fault("two hexadecimal digits must follow a backslash"));
                    }
                    self.at += 3;
                }
                _ => self.at += 1,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_cannot_leave_their_place() {
        for (value, written) in [
            ("*)(uid=*", "(uid=\\2a\\29\\28uid=\\2a)"),
            ("\\2a", "(uid=\\5c2a)"),
            ("a\0b\n", "(uid=a\\00b\\0a)"),
            ("é, \"<>;=+#", "(uid=é, \"<>;=+#)"),
        ] {
            assert_eq!(LdapFilter::Equal("uid".into(), value.into()).to_string(), written);
        }
        let substring = LdapFilter::Substring {
            attribute: "cn".into(),
            initial: None,
            any: vec!["*".into(), "b".into()],
            last: Some(")".into()),
        };
        assert_eq!(substring.to_string(), "(cn=*\\2a*b*\\29)");
    }

    #[test]
    fn lists_are_flat_and_without_doubles() {
        let present = |name: &str| LdapFilter::Present(name.into());
        let both = LdapFilter::and([present("a"), LdapFilter::True, present("a")]);
        assert_eq!(both, present("a"));
        let nested = LdapFilter::and([present("a"), LdapFilter::and([present("b"), present("c")])]);
        assert_eq!(nested.to_string(), "(&(a=*)(b=*)(c=*))");
        assert_eq!(LdapFilter::or([LdapFilter::False, present("a")]), present("a"));
        assert_eq!(LdapFilter::or([LdapFilter::True, present("a")]), LdapFilter::True);
        assert_eq!(LdapFilter::and([present("a"), LdapFilter::False]), LdapFilter::False);
        assert_eq!(present("a").negate().negate(), present("a"));
        let equal = LdapFilter::Equal("a".into(), "x".into());
        assert_eq!(LdapFilter::and([present("a"), equal.clone()]), equal);
        let both = LdapFilter::or([present("a"), equal]);
        assert_eq!(both.to_string(), "(|(a=*)(a=x))");
    }

    #[test]
    fn configured_filters_are_checked() {
        for good in [
            "(objectClass=inetOrgPerson)",
            " (&(objectClass=person)(!(|(uid=a*b)(cn>=\\28)))) ",
            "(userAccountControl:1.2.840.113556.1.4.803:=2)",
            "(:dn:2.4.6.8.10:=Dino)",
            "(cn;lang-de=é)",
            "(&)",
            "(2.5.4.3=x)",
        ] {
            LdapFilter::configured(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for (bad, at) in [
            ("", 1),
            ("objectClass=person", 1),
            ("(objectClass=person", 20),
            ("(uid=a))", 8),
            ("(uid=a(b)", 7),
            ("(uid=\\zz)", 6),
            ("(uid)", 2),
            ("(u id=a)", 2),
            ("(!uid=a)", 3),
            ("(=a)", 2),
        ] {
            assert_eq!(LdapFilter::configured(bad).unwrap_err().at, at, "{bad}");
        }
        assert!(LdapFilter::configured(&"(!".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_a_filter(attribute in "[a-z]{1,8}", value in "\\PC{0,20}|[*()\\\\\0a]{0,9}") {
            let filter = LdapFilter::Equal(attribute.clone(), value.clone());
            prop_assert!(LdapFilter::configured(&filter.to_string()).is_ok());
            let substring = LdapFilter::Substring {
                attribute, initial: Some(value.clone()), any: vec![value.clone()], last: Some(value),
            };
            prop_assert!(LdapFilter::configured(&substring.to_string()).is_ok());
        }
    }
}
