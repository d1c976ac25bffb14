//! Distinguished names: parsed, compared and written as RFC 4514 says; never compared as text.
//!
//! Two servers, and one server in two places, write one name in several ways (`cn=Hill\, Ella` and
//! `cn=Hill\2C Ella`), so that only parsed names can be compared.

use std::borrow::Cow;
use std::fmt;

use crate::scim::text::fold;

/// A distinguished name. Names are equal when their parts are, in any case and with any spacing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dn {
    /// The entry's own part first, as written; each holds at least one pair and is sorted.
    parts: Vec<Vec<Pair>>,
}

/// `cn=Ella`
#[derive(Clone, Debug)]
struct Pair {
    /// In lower case; well-known numbers and long names under their short name.
    attribute: String,
    value: Value,
    /// Under which the value is compared.
    key: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Value {
    Bytes(Vec<u8>),
    /// Hexadecimal digits of a BER value, `#04024869` without the number sign.
    Encoded(String),
}

/// What is wrong with the text of a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a distinguished name (RFC 4514): {what} at character {at}")]
pub struct DnError {
    what: &'static str,
    /// Counted from 1.
    at: usize,
}

impl Dn {
    /// Reads a name; the empty text is the root, under which everything is.
    pub fn parse(text: &str) -> Result<Self, DnError> {
        let mut reader = Reader { text, at: 0 };
        let mut parts = Vec::new();
        if text.trim_matches(' ').is_empty() {
            return Ok(Self { parts });
        }
        let mut part = Vec::new();
        loop {
            part.push(reader.pair()?);
            match reader.next_char() {
                Some('+') => {}
                // RFC 4514 section 2: a semicolon is how RFC 2253 still let names be written.
                Some(',' | ';') => parts.push(sorted(std::mem::take(&mut part))),
                _ => {
                    parts.push(sorted(part));
                    return Ok(Self { parts });
                }
            }
        }
    }

    /// Whether this is `base` itself or stands anywhere below it.
    pub fn is_under(&self, base: &Self) -> bool {
        self.parts.ends_with(&base.parts)
    }

    /// How many parts it has.
    pub fn depth(&self) -> usize {
        self.parts.len()
    }

    /// Bytes that are the same for equal names, and take little room.
    pub fn identity(&self) -> Box<[u8]> {
        let mut bytes = Vec::with_capacity(64);
        let mut push = |text: &[u8]| {
            // Lengths in front keep the parts apart whatever they hold.
            bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend(text);
        };
        for part in &self.parts {
            push(&[u8::try_from(part.len()).unwrap_or(u8::MAX)]);
            for pair in part {
                push(pair.attribute.as_bytes());
                push(&pair.key);
            }
        }
        bytes.into_boxed_slice()
    }

    /// The value that the entry's own part gives `attribute` (in any case).
    pub fn own_value(&self, attribute: &str) -> Option<&[u8]> {
        let name = short_name(attribute);
        self.parts.first()?.iter().find(|pair| pair.attribute == *name).and_then(|pair| match &pair
            .value
        {
            Value::Bytes(bytes) => Some(bytes.as_slice()),
            Value::Encoded(_) => None,
        })
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.attribute == other.attribute && self.key == other.key
    }
}

impl Eq for Pair {}

impl std::hash::Hash for Pair {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.attribute.hash(state);
        self.key.hash(state);
    }
}

impl fmt::Display for Dn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            for (index, pair) in part.iter().enumerate() {
                if index > 0 {
                    f.write_str("+")?;
                }
                write!(f, "{}=", pair.attribute)?;
                match &pair.value {
                    Value::Bytes(bytes) => f.write_str(&escape(bytes))?,
                    Value::Encoded(digits) => write!(f, "#{digits}")?,
                }
            }
        }
        Ok(())
    }
}

/// A value as it stands in a name (RFC 4514 section 2.4): the only place that escapes for names.
/// In a filter a name is escaped once more, as every value is.
pub fn escape(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len() + 8);
    let mut rest = value;
    while !rest.is_empty() {
        let valid = match std::str::from_utf8(rest) {
            Ok(valid) => valid,
            Err(error) => std::str::from_utf8(&rest[..error.valid_up_to()]).unwrap_or_default(),
        };
        let start = value.len() - rest.len();
        for (index, c) in valid.char_indices() {
            let first = start + index == 0;
            let last = start + index + c.len_utf8() == value.len();
            match c {
                '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => text.extend(['\\', c]),
                '#' if first => text.push_str("\\#"),
                ' ' if first || last => text.push_str("\\ "),
                c if c.is_control() => {
                    let mut buffer = [0; 4];
                    for byte in c.encode_utf8(&mut buffer).bytes() {
                        push_hex(&mut text, byte);
                    }
                }
                c => text.push(c),
            }
        }
        rest = &rest[valid.len()..];
        if let Some((byte, after)) = rest.split_first() {
            push_hex(&mut text, *byte);
            rest = after;
        }
    }
    text
}

fn push_hex(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    text.push('\\');
    text.push(char::from(DIGITS[usize::from(byte >> 4)]));
    text.push(char::from(DIGITS[usize::from(byte & 15)]));
}

fn sorted(mut part: Vec<Pair>) -> Vec<Pair> {
    part.sort_by(|a, b| (&a.attribute, &a.key).cmp(&(&b.attribute, &b.key)));
    part
}

/// The types that names are made of (RFC 4514 section 3) under one spelling each.
fn short_name(attribute: &str) -> Cow<'static, str> {
    let name = attribute.to_ascii_lowercase();
    let name = name.strip_prefix("oid.").unwrap_or(&name);
    Cow::Borrowed(match name {
        "2.5.4.3" | "commonname" => "cn",
        "2.5.4.4" | "surname" => "sn",
        "2.5.4.6" | "countryname" => "c",
        "2.5.4.7" | "localityname" => "l",
        "2.5.4.8" | "stateorprovincename" => "st",
        "2.5.4.9" | "streetaddress" => "street",
        "2.5.4.10" | "organizationname" => "o",
        "2.5.4.11" | "organizationalunitname" => "ou",
        "0.9.2342.19200300.100.1.1" | "userid" => "uid",
        "0.9.2342.19200300.100.1.25" | "domaincomponent" => "dc",
        other => return Cow::Owned(other.to_owned()),
    })
}

/// Under which a value is compared: folded, with every run of spaces as one.
fn key(value: &[u8]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(value) else { return value.to_vec() };
    let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
    fold(&words.join(" ")).as_bytes().to_vec()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn fault(&self, what: &'static str) -> DnError {
        DnError { what, at: self.text[..self.at].chars().count() + 1 }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next_char(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn skip_spaces(&mut self) {
        while self.peek() == Some(' ') {
            self.at += 1;
        }
    }

    fn pair(&mut self) -> Result<Pair, DnError> {
        self.skip_spaces();
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.') {
            self.at += 1;
        }
        let attribute = short_name(&self.text[start..self.at]).into_owned();
        if attribute.is_empty() {
            return Err(self.fault("an attribute type was expected"));
        }
        self.skip_spaces();
        if self.peek() != Some('=') {
            return Err(self.fault("= was expected"));
        }
        self.at += 1;
        self.skip_spaces();
        let value = if self.peek() == Some('#') { self.encoded()? } else { self.bytes()? };
        let key = match &value {
            Value::Bytes(bytes) => key(bytes),
            Value::Encoded(digits) => format!("#{digits}").into_bytes(),
        };
        Ok(Pair { attribute, value, key })
    }

    fn encoded(&mut self) -> Result<Value, DnError> {
        self.at += 1;
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_hexdigit()) {
            self.at += 1;
        }
        let digits = self.text[start..self.at].to_ascii_lowercase();
        self.skip_spaces();
        if digits.is_empty() || digits.len() % 2 == 1 {
            return Err(self.fault("pairs of hexadecimal digits were expected"));
        }
        match self.peek() {
            None | Some(',' | ';' | '+') => Ok(Value::Encoded(digits)),
            Some(_) => Err(self.fault("the end of a value was expected")),
        }
    }

    fn bytes(&mut self) -> Result<Value, DnError> {
        let mut bytes = Vec::new();
        // Spaces behind the value belong to it only when they are escaped.
        let mut kept = 0;
        while let Some(c) = self.peek() {
            match c {
                ',' | ';' | '+' => break,
                '\\' => {
                    self.at += 1;
                    bytes.push(self.escaped()?);
                    kept = bytes.len();
                    continue;
                }
                '"' | '<' | '>' | '\0' => {
                    return Err(self.fault("this character needs a backslash"));
                }
                c => {
                    let mut buffer = [0; 4];
                    bytes.extend(c.encode_utf8(&mut buffer).bytes());
                    if c != ' ' {
                        kept = bytes.len();
                    }
                }
            }
            self.at += c.len_utf8();
        }
        bytes.truncate(kept);
        Ok(Value::Bytes(bytes))
    }

    fn escaped(&mut self) -> Result<u8, DnError> {
        let rest = &self.text.as_bytes()[self.at..];
        if let [high, low, ..] = rest
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            self.at += 2;
            return Ok(high << 4 | low);
        }
        match rest.first() {
            Some(byte) if byte.is_ascii_punctuation() || *byte == b' ' => {
                self.at += 1;
                Ok(*byte)
            }
            _ => Err(self.fault("nothing that a backslash can stand before")),
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dn(text: &str) -> Dn {
        Dn::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn one_name_written_in_several_ways_is_one_name() {
        let hill = dn("cn=Hill\\, Ella,ou=people,dc=example,dc=org");
        for same in [
            "cn=Hill\\2C Ella,ou=people,dc=example,dc=org",
            "CN = hill\\2c  ella , OU=People, DC=example;dc=ORG",
            "2.5.4.3=Hill\\, Ella,organizationalUnitName=people,dc=example,dc=org",
        ] {
            assert_eq!(dn(same), hill, "{same}");
        }
        assert_ne!(dn("cn=Hill,cn=Ella,ou=people,dc=example,dc=org"), hill);
        let same = dn("CN = hill\\2c  ella , OU=People, DC=example;dc=ORG");
        assert_eq!(same.identity(), hill.identity());
        assert_ne!(dn("cn=a+sn=b,dc=c").identity(), dn("cn=a,sn=b,dc=c").identity());
        assert_eq!(dn("uid=a+cn=b,dc=c"), dn("cn=B+userid=A,dc=c"));
        assert_eq!(dn("cn=Jose\\cc\\81,dc=c"), dn("cn=jos\u{e9},dc=C"));
        assert_eq!(dn("cn=#04024869,dc=c"), dn("cn=#04024869 , dc=c"));
    }

    #[test]
    fn below_means_part_by_part() {
        let base = dn("ou=people,dc=example,dc=org");
        assert!(dn("uid=a,ou=People,dc=example,dc=org").is_under(&base));
        assert!(base.is_under(&base));
        assert!(base.is_under(&dn("")));
        assert!(!dn("dc=example,dc=org").is_under(&base));
        assert!(!dn("uid=a\\,ou=people,dc=example,dc=org").is_under(&base));
        assert!(!dn("uid=a,ou=xpeople,dc=example,dc=org").is_under(&base));
    }

    #[test]
    fn the_own_part_gives_values() {
        let name = dn("uid=ella+cn=Hill\\, Ella,ou=people,dc=example,dc=org");
        assert_eq!(name.own_value("CN"), Some(b"Hill, Ella".as_slice()));
        assert_eq!(name.own_value("userId"), Some(b"ella".as_slice()));
        assert_eq!(name.own_value("ou"), None);
    }

    #[test]
    fn what_is_no_name_says_where() {
        for (text, at) in [
            ("people", 7),
            ("=x", 1),
            ("cn=a,", 6),
            ("cn=a\"b", 5),
            ("cn=é<", 5),
            ("cn=a\\", 6),
            ("cn=#0", 6),
            ("cn=#04zz", 7),
            ("cn=a+,dc=b", 6),
        ] {
            assert_eq!(Dn::parse(text).unwrap_err().at, at, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_value_comes_back(value in proptest::collection::vec(any::<u8>(), 1..40)) {
            let written = format!("cn={},dc=x", escape(&value));
            let name = dn(&written);
            prop_assert_eq!(name.own_value("cn"), Some(value.as_slice()));
            prop_assert_eq!(&dn(&name.to_string()), &name);
        }

        #[test]
        fn no_text_makes_the_parser_fail_badly(text in "[a-z=,+;\\\\#\"<> é0-9]{0,40}") {
            if let Ok(name) = Dn::parse(&text) {
                prop_assert_eq!(dn(&name.to_string()), name);
            }
        }
    }
}
