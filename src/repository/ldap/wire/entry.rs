//! Searches and what they bring back, as the directory wrote it. Decoding never panics.

use std::sync::Arc;

use ldap3::ResultEntry;
use ldap3::asn1::{PL, StructureTag};

/// How far below the base a search looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    Base,
    One,
    Subtree,
}

/// When a search may take a connection of its own and come page by page (RFC 2696).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Paging {
    /// A shared connection only; what exceeds the server's limits is cut off.
    Never,
    /// A small answer comes over a shared connection; for a larger one the search is asked again,
    /// page by page.
    #[default]
    Overflow,
    /// Page by page from the start.
    Always,
}

/// One search.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    /// A DN in the text form of RFC 4514; empty for the root DSE.
    pub base: String,
    pub scope: Scope,
    /// The text form of RFC 4515, values escaped.
    pub filter: String,
    /// `*` and `+` as in RFC 4511; empty means all user attributes, `1.1` none.
    pub attributes: Arc<[String]>,
    /// At most this many entries come back, at least one is asked for.
    pub size_limit: usize,
    pub paging: Paging,
}

/// What a search brought back.
#[derive(Clone, Debug, Default)]
pub struct RawFound {
    pub entries: Vec<RawEntry>,
    /// False when any limit, the directory's or ours, cut the answer.
    pub complete: bool,
    /// What is held elsewhere, and was not asked there.
    pub(super) references: Vec<Reference>,
}

impl RawFound {
    /// Whether anything of what was asked for is held elsewhere.
    pub fn refers(&self) -> bool {
        !self.references.is_empty()
    }
}

/// URLs of which any one leads on (RFC 4511 section 4.1.10).
pub(super) type Reference = Vec<String>;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEntry {
    pub dn: String,
    /// Names as sent, options (`;binary`, `;range=0-1499`) included, with their values.
    pub attributes: Vec<(String, Vec<Vec<u8>>)>,
}

/// One message of an answer.
#[derive(Debug)]
pub(super) enum Item {
    Entry(RawEntry),
    /// A search result reference (RFC 4511 section 4.5.3).
    Elsewhere(Reference),
    /// An intermediate response, or a reference that cannot be read: it means nothing here.
    Other,
    /// Not what LDAP prescribes.
    Broken,
}

impl Item {
    pub(super) fn decode(message: ResultEntry) -> Self {
        if message.is_intermediate() {
            return Self::Other;
        }
        if message.is_ref() {
            return urls(message.0).map_or(Self::Other, Self::Elsewhere);
        }
        RawEntry::decode(message.0).map_or(Self::Broken, Self::Entry)
    }
}

fn urls(tag: StructureTag) -> Option<Reference> {
    let list = tag.expect_constructed()?.into_iter();
    list.map(|one| String::from_utf8(one.expect_primitive()?).ok()).collect()
}

impl RawEntry {
    pub(super) fn decode(tag: StructureTag) -> Option<Self> {
        if tag.id != 4 {
            return None;
        }
        let mut parts = tag.expect_constructed()?.into_iter();
        let dn = String::from_utf8(parts.next()?.expect_primitive()?).ok()?;
        let list = parts.next()?.expect_constructed()?;
        let mut attributes = Vec::with_capacity(list.len());
        for attribute in list {
            let mut pair = attribute.expect_constructed()?.into_iter();
            let name = String::from_utf8(pair.next()?.expect_primitive()?).ok()?;
            let set = pair.next()?.expect_constructed()?;
            let mut values = Vec::with_capacity(set.len());
            for value in set {
                match value.payload {
                    PL::P(bytes) => values.push(bytes),
                    PL::C(_) => return None,
                }
            }
            attributes.push((name, values));
        }
        Some(Self { dn, attributes })
    }

    /// About what the entry takes up in memory, in bytes.
    pub(super) fn weight(&self) -> usize {
        let values =
            |values: &[Vec<u8>]| values.iter().map(|value| value.len() + 24).sum::<usize>();
        let attributes = self.attributes.iter().map(|(name, list)| name.len() + 48 + values(list));
        self.dn.len() + 48 + attributes.sum::<usize>()
    }
}

/// What is to be asked for to get the values behind `range=0-1499`; nothing behind the last ones.
pub fn rest_of(base: &str, options: &str) -> Option<String> {
    let range = options.split(';').find_map(|option| {
        option.get(..6).filter(|start| start.eq_ignore_ascii_case("range="))?;
        option.get(6..)
    })?;
    let last: u64 = range.split_once('-')?.1.parse().ok()?;
    Some(format!("{base};range={}-*", last + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_come_in_parts_are_asked_for_to_the_end() {
        assert_eq!(rest_of("member", "range=0-1499").unwrap(), "member;range=1500-*");
        assert_eq!(rest_of("member", "Range=1500-2999").unwrap(), "member;range=3000-*");
        for whole in ["range=3000-*", "", "binary", "range=", "range=x-y"] {
            assert_eq!(rest_of("member", whole), None, "{whole}");
        }
    }
}
