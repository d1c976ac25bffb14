//! What a directory's own schema says of its attributes (RFC 4512 section 4.2): how it compares
//! them, and whether they exist at all.
//!
//! Where the schema cannot be read, the standard definitions of the best-known attributes stand in,
//! and of every other attribute nothing is assumed.

use std::collections::HashMap;
use std::sync::Arc;

/// A directory's attribute types.
#[derive(Clone, Debug)]
pub struct DirectorySchema {
    /// Lower-cased names and numbers.
    types: HashMap<String, Arc<AttributeType>>,
    complete: bool,
    names_rules: bool,
}

/// How a directory treats one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeType {
    /// The name by which the directory calls it first.
    pub name: String,
    pub equality: Option<Rule>,
    pub ordering: Option<Rule>,
    pub substring: Option<Rule>,
    pub single_valued: bool,
}

/// A matching rule (RFC 4517 section 4.2; UUID: RFC 4530), without regard to whether it is the one
/// for equality, for order or for substrings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    CaseIgnore,
    CaseExact,
    CaseIgnoreIa5,
    CaseExactIa5,
    Telephone,
    Numeric,
    Integer,
    Boolean,
    Time,
    Uuid,
    /// Any other, of which nothing is assumed.
    Other,
}

impl Rule {
    fn named(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "caseignorematch"
            | "2.5.13.2"
            | "caseignoreorderingmatch"
            | "2.5.13.3"
            | "caseignoresubstringsmatch"
            | "2.5.13.4" => Self::CaseIgnore,
            "caseexactmatch"
            | "2.5.13.5"
            | "caseexactorderingmatch"
            | "2.5.13.6"
            | "caseexactsubstringsmatch"
            | "2.5.13.7" => Self::CaseExact,
            "caseignoreia5match"
            | "1.3.6.1.4.1.1466.109.114.2"
            | "caseignoreia5substringsmatch"
            | "1.3.6.1.4.1.1466.109.114.3" => Self::CaseIgnoreIa5,
            "caseexactia5match"
            | "1.3.6.1.4.1.1466.109.114.1"
            | "caseexactia5substringsmatch"
            | "1.3.6.1.4.1.4203.1.2.1" => Self::CaseExactIa5,
            "telephonenumbermatch"
            | "2.5.13.20"
            | "telephonenumbersubstringsmatch"
            | "2.5.13.21" => Self::Telephone,
            "numericstringmatch"
            | "2.5.13.8"
            | "numericstringorderingmatch"
            | "2.5.13.9"
            | "numericstringsubstringsmatch"
            | "2.5.13.10" => Self::Numeric,
            "integermatch" | "2.5.13.14" | "integerorderingmatch" | "2.5.13.15" => Self::Integer,
            "booleanmatch" | "2.5.13.13" => Self::Boolean,
            "generalizedtimematch" | "2.5.13.27" | "generalizedtimeorderingmatch" | "2.5.13.28" => {
                Self::Time
            }
            "uuidmatch" | "1.3.6.1.1.16.2" | "uuidorderingmatch" | "1.3.6.1.1.16.3" => Self::Uuid,
            _ => Self::Other,
        }
    }
}

/// What may be said of an attribute's name.
#[derive(Clone, Copy, Debug)]
pub enum Knowledge<'a> {
    Known(&'a AttributeType),
    /// No entry of this directory can have it.
    Absent,
    /// The schema was not read, and the attribute is none of the best-known ones.
    Unknown,
}

impl DirectorySchema {
    /// The schema that these `attributeTypes` describe; `None` where they can hardly be all of it.
    pub fn read<'a>(descriptions: impl Iterator<Item = &'a str>) -> Option<Self> {
        let schema = Self::of(descriptions.filter_map(Description::parse), true);
        // Every schema holds these two (RFC 4512 section 3.3, RFC 4519 section 2.3); what lacks
        // them was cut by access rules, and from a cut one nobody may conclude an absence.
        let whole = ["objectclass", "cn"].iter().all(|name| schema.types.contains_key(*name));
        whole.then_some(schema)
    }

    /// The best-known attributes as their standards define them, for a directory whose schema
    /// cannot be read.
    pub fn standard() -> Self {
        Self::of(STANDARD.lines().filter_map(Description::parse), false)
    }

    /// Whether this is the directory's own schema and no stand-in.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether the directory names its matching rules; Active Directory does not, and compares each
    /// syntax in its own way.
    pub fn names_rules(&self) -> bool {
        self.names_rules
    }

    /// What is known of the attribute with this name or number, in any case, without options.
    pub fn get(&self, name: &str) -> Knowledge<'_> {
        match self.types.get(name).or_else(|| self.types.get(&name.to_ascii_lowercase())) {
            Some(found) => Knowledge::Known(found),
            None if self.complete => Knowledge::Absent,
            None => Knowledge::Unknown,
        }
    }

    fn of<'a>(descriptions: impl Iterator<Item = Description<'a>>, complete: bool) -> Self {
        let descriptions: Vec<Description<'a>> = descriptions.collect();
        let mut by_name: HashMap<String, usize> = HashMap::new();
        for (index, description) in descriptions.iter().enumerate() {
            for name in description.names.iter().chain([&description.number]) {
                by_name.entry(name.to_ascii_lowercase()).or_insert(index);
            }
        }
        let names_rules = descriptions.iter().any(|description| description.equality.is_some());
        let resolved: Vec<Arc<AttributeType>> = descriptions
            .iter()
            .map(|description| {
                let resolved = if names_rules {
                    resolve(description, &descriptions, &by_name)
                } else {
                    by_syntax(description)
                };
                Arc::new(resolved)
            })
            .collect();
        let types = by_name
            .into_iter()
            .filter_map(|(name, index)| Some((name, Arc::clone(resolved.get(index)?))))
            .collect();
        Self { types, complete, names_rules }
    }
}

/// How Active Directory compares values of a syntax: strings without case as far as they are Unicode
/// strings, and every string in parts; numbers and times by order.
fn by_syntax(description: &Description<'_>) -> AttributeType {
    let (equality, ordered, in_parts) = match description.syntax.unwrap_or_default() {
        // Directory String, and what Active Directory calls a string that ignores case.
        "1.3.6.1.4.1.1466.115.121.1.15" | "1.2.840.113556.1.4.905" => {
            (Rule::CaseIgnore, false, true)
        }
        "1.3.6.1.4.1.1466.115.121.1.26" | "1.3.6.1.4.1.1466.115.121.1.44" => {
            (Rule::CaseExactIa5, false, true)
        }
        "1.2.840.113556.1.4.1362" => (Rule::CaseExact, false, true),
        // INTEGER, and Active Directory's of 64 bits.
        "1.3.6.1.4.1.1466.115.121.1.27" | "1.2.840.113556.1.4.906" => (Rule::Integer, true, false),
        "1.3.6.1.4.1.1466.115.121.1.7" => (Rule::Boolean, false, false),
        "1.3.6.1.4.1.1466.115.121.1.24" => (Rule::Time, true, false),
        _ => (Rule::Other, false, false),
    };
    AttributeType {
        name: (*description.names.first().unwrap_or(&description.number)).to_owned(),
        equality: Some(equality),
        ordering: ordered.then_some(equality),
        substring: in_parts.then_some(equality),
        single_valued: description.single_valued,
    }
}

/// How many supertypes are followed: more are a loop.
const MAX_SUPERTYPES: usize = 16;

/// RFC 4512 section 2.5.1: matching rules are inherited from the supertype.
fn resolve(
    description: &Description<'_>,
    all: &[Description<'_>],
    by_name: &HashMap<String, usize>,
) -> AttributeType {
    let mut found = AttributeType {
        name: (*description.names.first().unwrap_or(&description.number)).to_owned(),
        equality: None,
        ordering: None,
        substring: None,
        // Not inherited (RFC 4512 section 2.5.1 has it in each description).
        single_valued: description.single_valued,
    };
    let mut current = Some(description);
    for _ in 0..MAX_SUPERTYPES {
        let Some(description) = current else { break };
        found.equality = found.equality.or(description.equality.map(Rule::named));
        found.ordering = found.ordering.or(description.ordering.map(Rule::named));
        found.substring = found.substring.or(description.substring.map(Rule::named));
        current = description
            .supertype
            .and_then(|name| by_name.get(&name.to_ascii_lowercase()))
            .and_then(|index| all.get(*index));
    }
    found
}

/// One `attributeTypes` value as written (RFC 4512 section 4.1.2).
#[derive(Debug, Default)]
struct Description<'a> {
    number: &'a str,
    names: Vec<&'a str>,
    supertype: Option<&'a str>,
    equality: Option<&'a str>,
    ordering: Option<&'a str>,
    substring: Option<&'a str>,
    syntax: Option<&'a str>,
    single_valued: bool,
}

impl<'a> Description<'a> {
    /// Whatever is not understood is passed over: servers add words of their own.
    fn parse(text: &'a str) -> Option<Self> {
        let mut words = Words { rest: text };
        if words.next()? != "(" {
            return None;
        }
        let mut description = Self { number: words.next()?, ..Self::default() };
        while let Some(word) = words.next() {
            match word {
                "NAME" => description.names = words.list(),
                "SUP" => description.supertype = words.next(),
                "EQUALITY" => description.equality = words.next(),
                "ORDERING" => description.ordering = words.next(),
                "SUBSTR" => description.substring = words.next(),
                "SINGLE-VALUE" => description.single_valued = true,
                "SYNTAX" => description.syntax = words.next(),
                "DESC" | "USAGE" => {
                    words.next();
                }
                _ => {}
            }
        }
        Some(description)
    }
}

struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        self.rest = self.rest.trim_start();
        let first = self.rest.chars().next()?;
        let end = match first {
            '(' | ')' => 1,
            '\'' => {
                let length = self.rest[1..].find('\'')?;
                let word = &self.rest[1..=length];
                self.rest = &self.rest[length + 2..];
                return Some(word);
            }
            _ => self
                .rest
                .find(|c: char| c.is_whitespace() || c == '(' || c == ')')
                .unwrap_or(self.rest.len()),
        };
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(word)
    }

    /// One word, or several in parentheses.
    fn list(&mut self) -> Vec<&'a str> {
        match self.next() {
            Some("(") => std::iter::from_fn(|| self.next().filter(|word| *word != ")")).collect(),
            Some(word) => vec![word],
            None => Vec::new(),
        }
    }
}

/// RFC 4512 section 3.4, RFC 4519, RFC 4524, RFC 2798 and RFC 4530, as far as they concern how
/// values are compared.
const STANDARD: &str = "\
( 2.5.4.0 NAME 'objectClass' EQUALITY objectIdentifierMatch )
( 2.5.4.41 NAME 'name' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch )
( 2.5.4.3 NAME ( 'cn' 'commonName' ) SUP name )
( 2.5.4.4 NAME ( 'sn' 'surname' ) SUP name )
( 2.5.4.42 NAME ( 'givenName' 'gn' ) SUP name )
( 2.5.4.12 NAME 'title' SUP name )
( 2.5.4.20 NAME 'telephoneNumber' EQUALITY telephoneNumberMatch SUBSTR telephoneNumberSubstringsMatch )
( 0.9.2342.19200300.100.1.1 NAME ( 'uid' 'userid' ) EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch )
( 0.9.2342.19200300.100.1.3 NAME ( 'mail' 'rfc822Mailbox' ) EQUALITY caseIgnoreIA5Match SUBSTR caseIgnoreIA5SubstringsMatch )
( 2.16.840.1.113730.3.1.241 NAME 'displayName' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SINGLE-VALUE )
( 2.16.840.1.113730.3.1.3 NAME 'employeeNumber' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SINGLE-VALUE )
( 2.5.18.1 NAME 'createTimestamp' EQUALITY generalizedTimeMatch ORDERING generalizedTimeOrderingMatch SINGLE-VALUE )
( 2.5.18.2 NAME 'modifyTimestamp' EQUALITY generalizedTimeMatch ORDERING generalizedTimeOrderingMatch SINGLE-VALUE )
( 1.3.6.1.1.16.4 NAME 'entryUUID' EQUALITY UUIDMatch ORDERING UUIDOrderingMatch SINGLE-VALUE )
";

#[cfg(test)]
mod tests {
    use super::*;

    fn known<'a>(schema: &'a DirectorySchema, name: &str) -> &'a AttributeType {
        match schema.get(name) {
            Knowledge::Known(found) => found,
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn rules_are_inherited_and_names_have_no_case() {
        let schema = DirectorySchema::read(
            [
                "( 2.5.4.0 NAME 'objectClass' EQUALITY objectIdentifierMatch )",
                "( 2.5.4.3 NAME ( 'cn' 'commonName' ) DESC 'with (odd) EQUALITY words' SUP name )",
                "( 2.5.4.41 NAME 'name' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15{32768} )",
                "(1.2.3 NAME 'code' SUP 2.5.4.41 EQUALITY caseExactMatch SINGLE-VALUE X-ORIGIN ( 'a' 'b' ) )",
                "( 1.2.4 NAME 'loop' SUP loop )",
                "( 1.2.5 EQUALITY fancyMatch )",
                "nonsense", "(", "( 1.2.6 NAME 'open",
            ]
            .into_iter(),
        )
        .unwrap();
        let cn = known(&schema, "COMMONNAME");
        assert_eq!(cn.name, "cn");
        assert_eq!((cn.equality, cn.substring), (Some(Rule::CaseIgnore), Some(Rule::CaseIgnore)));
        assert!(!cn.single_valued && cn.ordering.is_none());
        let code = known(&schema, "1.2.3");
        assert_eq!(
            (code.equality, code.substring),
            (Some(Rule::CaseExact), Some(Rule::CaseIgnore))
        );
        assert!(code.single_valued);
        assert_eq!(known(&schema, "loop").equality, None);
        assert_eq!(known(&schema, "1.2.5").equality, Some(Rule::Other));
        assert!(matches!(schema.get("nobody"), Knowledge::Absent));
    }

    #[test]
    fn where_no_rule_is_named_the_syntax_says_how_values_compare() {
        let schema = DirectorySchema::read(
            [
                "( 2.5.4.0 NAME 'objectClass' SYNTAX '1.3.6.1.4.1.1466.115.121.1.38' NO-USER-MODIFICATION )",
                "( 2.5.4.3 NAME 'cn' SYNTAX '1.3.6.1.4.1.1466.115.121.1.15' SINGLE-VALUE )",
                "( 1.2.840.113556.1.4.159 NAME 'accountExpires' SYNTAX '1.2.840.113556.1.4.906' SINGLE-VALUE )",
                "( 1.2.840.113556.1.2.3 NAME 'whenChanged' SYNTAX '1.3.6.1.4.1.1466.115.121.1.24' SINGLE-VALUE )",
                "( 1.2.840.113556.1.4.2 NAME 'objectGUID' SYNTAX '1.3.6.1.4.1.1466.115.121.1.40' SINGLE-VALUE )",
            ]
            .into_iter(),
        )
        .unwrap();
        assert!(!schema.names_rules());
        let cn = known(&schema, "cn");
        assert_eq!((cn.equality, cn.substring), (Some(Rule::CaseIgnore), Some(Rule::CaseIgnore)));
        assert_eq!(known(&schema, "accountexpires").ordering, Some(Rule::Integer));
        assert_eq!(known(&schema, "whenChanged").ordering, Some(Rule::Time));
        assert_eq!(known(&schema, "objectGUID").equality, Some(Rule::Other));
    }

    #[test]
    fn a_cut_schema_is_none() {
        assert!(DirectorySchema::read(["( 2.5.4.3 NAME 'cn' )"].into_iter()).is_none());
        assert!(DirectorySchema::read(std::iter::empty()).is_none());
    }

    #[test]
    fn the_stand_in_assumes_nothing_of_others() {
        let schema = DirectorySchema::standard();
        assert_eq!(known(&schema, "sn").substring, Some(Rule::CaseIgnore));
        assert_eq!(known(&schema, "modifytimestamp").ordering, Some(Rule::Time));
        assert!(matches!(schema.get("departmentNumber"), Knowledge::Unknown));
        assert!(!schema.is_complete());
    }
}
