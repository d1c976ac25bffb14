//! How much of a string may be sent to a directory so that no match is lost.
//!
//! A directory compares by rules of its own (RFC 4518), SCIM by NFC and simple case folding. What
//! both surely treat alike is sent; the rest becomes `*`, and memory decides.

use std::collections::HashSet;
use std::sync::LazyLock;

use icu_casemap::CaseMapperBorrowed;
use icu_normalizer::ComposingNormalizerBorrowed;
use icu_normalizer::properties::CanonicalCombiningClassMapBorrowed;

use super::directory_schema::Rule;
use crate::scim::text::nfc;

/// How a server compares directory strings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Comparison {
    /// Prepared as in RFC 4518: case mapping, compatibility and canonical composition, spaces.
    Rfc4518,
    /// Character by character, with Unicode's simple case mappings and without normalisation; a
    /// value that spells `s` as U+017F or `k` as U+212A may be told apart from the usual one.
    Simple,
    /// Nothing is assumed but that ASCII letters are compared without case.
    #[default]
    Ascii,
}

/// What stays of a string: parts that must occur in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    pub parts: Vec<String>,
    /// Whether the first part stands where the string begins, the last where it ends.
    pub starts: bool,
    pub ends: bool,
}

impl Parts {
    /// The one part that is the whole string.
    pub fn whole(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [whole] if self.starts && self.ends => Some(whole),
            _ => None,
        }
    }
}

/// What of `text` may be sent to an attribute with `rule`, for values that SCIM compares with or
/// without regard to case; `None` where the rule allows nothing but the question for presence.
pub fn parts(text: &str, case_exact: bool, rule: Rule, server: Comparison) -> Option<Parts> {
    let alphabet = Alphabet::of(rule, case_exact, server)?;
    let text = nfc(text);
    let chars: Vec<char> = text.chars().collect();
    let mut parts = vec![String::new()];
    let mut starts = true;
    let mut ends = true;
    for (index, &c) in chars.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| chars.get(before).copied());
        let after = chars.get(index + 1).copied();
        let fate = match c {
            ' ' if alphabet.spaces == Spaces::Ignored => Fate::Ignored,
            '-' if alphabet.letters == Letters::None && alphabet.dashes_ignored => Fate::Ignored,
            // Only one space between two characters that are sent is surely one space there.
            ' ' => alphabet.sends_beside_space(before, after, &chars, index),
            c => alphabet.fate(c, after),
        };
        match fate {
            Fate::Ignored => {}
            Fate::Sent => {
                ends = true;
                if let Some(part) = parts.last_mut() {
                    part.push(c);
                }
            }
            Fate::Cut => {
                ends = false;
                match parts.last() {
                    Some(part) if part.is_empty() => starts &= parts.len() > 1,
                    _ => parts.push(String::new()),
                }
            }
        }
    }
    if parts.last().is_some_and(String::is_empty) {
        parts.pop();
    }
    Some(Parts { parts, starts, ends })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Sent,
    /// Neither side sees it: the server drops it from both.
    Ignored,
    /// Becomes `*`.
    Cut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Letters {
    /// Compared without case.
    Folded,
    /// Compared with case: sent only where SCIM looks at case too.
    Exact,
    /// Compared with case where SCIM does not look at it: not sent.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spaces {
    Collapsed,
    Ignored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repertoire {
    /// Digits and spaces.
    Digits,
    /// `PrintableString` (RFC 4517 section 3.2).
    Printable,
    /// No value can hold more than ASCII.
    Ascii,
    Unicode,
}

#[derive(Clone, Copy, Debug)]
struct Alphabet {
    repertoire: Repertoire,
    letters: Letters,
    spaces: Spaces,
    dashes_ignored: bool,
    server: Comparison,
}

impl Alphabet {
    fn of(rule: Rule, case_exact: bool, server: Comparison) -> Option<Self> {
        let exact = if case_exact { Letters::Exact } else { Letters::None };
        let (repertoire, letters, spaces) = match rule {
            Rule::CaseIgnore => (Repertoire::Unicode, Letters::Folded, Spaces::Collapsed),
            Rule::CaseIgnoreIa5 => (Repertoire::Ascii, Letters::Folded, Spaces::Collapsed),
            Rule::CaseExact => (Repertoire::Unicode, exact, Spaces::Collapsed),
            Rule::CaseExactIa5 => (Repertoire::Ascii, exact, Spaces::Collapsed),
            // RFC 4517 has this rule ignore case; slapd 2.5 compares letters with case.
            Rule::Telephone => (Repertoire::Printable, Letters::None, Spaces::Ignored),
            Rule::Numeric => (Repertoire::Digits, Letters::None, Spaces::Ignored),
            Rule::Integer | Rule::Boolean | Rule::Time | Rule::Uuid | Rule::Other => return None,
        };
        let dashes_ignored = rule == Rule::Telephone;
        Some(Self { repertoire, letters, spaces, dashes_ignored, server })
    }

    fn fate(self, c: char, after: Option<char>) -> Fate {
        // A mark behind a character makes another character of both.
        if self.sends(c) && !after.is_some_and(is_mark) { Fate::Sent } else { Fate::Cut }
    }

    fn sends_beside_space(
        self,
        before: Option<char>,
        after: Option<char>,
        chars: &[char],
        index: usize,
    ) -> Fate {
        let sent = |c: Option<char>, next: Option<char>| {
            c.is_some_and(|c| c != ' ' && self.fate(c, next) == Fate::Sent)
        };
        if sent(before, Some(' ')) && sent(after, chars.get(index + 2).copied()) {
            Fate::Sent
        } else {
            Fate::Cut
        }
    }

    fn sends(self, c: char) -> bool {
        if !c.is_ascii() {
            return self.repertoire == Repertoire::Unicode
                && self.server == Comparison::Rfc4518
                && match self.letters {
                    Letters::Folded | Letters::Exact => is_plain(c),
                    Letters::None => is_plain(c) && !has_case(c),
                };
        }
        let in_repertoire = match self.repertoire {
            Repertoire::Digits => c.is_ascii_digit(),
            Repertoire::Printable => c.is_ascii_alphanumeric() || "'()+,-./:?".contains(c),
            Repertoire::Ascii | Repertoire::Unicode => c.is_ascii_graphic(),
        };
        in_repertoire
            && match self.letters {
                Letters::Exact => true,
                Letters::None => !c.is_ascii_alphabetic(),
                // U+017F folds to s, and NFC makes U+212A a K: a server that knows only ASCII
                // letters would not find them.
                Letters::Folded => {
                    self.server != Comparison::Ascii
                        || self.repertoire == Repertoire::Ascii
                        || !matches!(c, 's' | 'S' | 'k' | 'K')
                }
            }
    }
}

fn is_mark(c: char) -> bool {
    !c.is_ascii() && const { CanonicalCombiningClassMapBorrowed::new() }.get_u8(c) != 0
}

fn has_case(c: char) -> bool {
    let mapper = const { CaseMapperBorrowed::new() };
    mapper.simple_fold(c) != c || mapper.simple_uppercase(c) != c || mapper.simple_lowercase(c) != c
}

/// Whether a character beyond ASCII is compared by RFC 4518 as by SCIM, alone and beside any other:
/// it has at most one case variant, and nothing that compatibility decomposition makes of another
/// character joins it.
///
/// The ranges are the letters of names that servers have known since Unicode 3; a test asks a real
/// server for every one of those with case.
pub(super) fn is_plain(c: char) -> bool {
    let in_range = match c {
        // Latin-1, Latin Extended-A, and the Vietnamese letters of Latin Extended Additional.
        '\u{c0}'..='\u{17f}' | '\u{1ea0}'..='\u{1ef9}'
        // Greek and Cyrillic
        | '\u{386}'..='\u{3ce}' | '\u{400}'..='\u{45f}'
        // Hebrew, and the Arabic letters
        | '\u{5d0}'..='\u{5ea}' | '\u{621}'..='\u{64a}'
        // Han
        | '\u{4e00}'..='\u{9fa5}' => true,
        // Hangul syllables that are closed by a consonant; to an open one a letter may be joined.
        '\u{ac00}'..='\u{d7a3}' => (u32::from(c) - 0xac00) % 28 != 0,
        _ => false,
    };
    in_range && c.is_alphabetic() && is_composed(c) && !AMBIGUOUS.contains(&c)
}

fn is_composed(c: char) -> bool {
    let mut buffer = [0; 4];
    let text = &*c.encode_utf8(&mut buffer);
    const { ComposingNormalizerBorrowed::new_nfkc() }.is_normalized(text)
}

/// Characters that have more than one case variant in NFC, or are such a variant, or are not what
/// their lower and upper case lead back to (ß, ς, İ, ı, ſ, µ and others); and those that stand in
/// for compatibility ideographs, some of which are younger than Unicode 3.
static AMBIGUOUS: LazyLock<HashSet<char>> = LazyLock::new(|| {
    let mapper = const { CaseMapperBorrowed::new() };
    let canonical = const { ComposingNormalizerBorrowed::new_nfc() };
    let mut folded = HashSet::new();
    let mut ambiguous = HashSet::new();
    // Beyond the last compatibility ideograph nothing has case.
    for c in '\u{80}'..='\u{2fa1f}' {
        // What is equivalent to another character is taken for that one: ϑ for θ.
        if !is_composed(c) {
            let ideograph = matches!(c, '\u{f900}'..='\u{faff}' | '\u{2f800}'..='\u{2fa1f}');
            let mut buffer = [0; 4];
            let text = &*c.encode_utf8(&mut buffer);
            ambiguous.extend(canonical.normalize(text).chars().filter(|_| ideograph));
            continue;
        }
        let fold = mapper.simple_fold(c);
        let (lower, upper) = (mapper.simple_lowercase(c), mapper.simple_uppercase(c));
        let there_and_back = fold == lower
            && mapper.simple_uppercase(lower) == upper
            && mapper.simple_lowercase(upper) == lower;
        if !there_and_back {
            ambiguous.extend([c, fold]);
        }
        if fold != c && !folded.insert(fold) {
            ambiguous.extend([fold, mapper.simple_uppercase(fold)]);
        }
    }
    ambiguous
});

#[cfg(test)]
mod tests {
    use icu_normalizer::properties::CanonicalCompositionBorrowed;

    use super::*;

    fn sent(text: &str, rule: Rule) -> String {
        let Some(parts) = parts(text, false, rule, Comparison::Rfc4518) else {
            return "nothing".into();
        };
        let mut joined = parts.parts.join("*");
        if joined.is_empty() {
            return if parts.starts { joined } else { "*".into() };
        }
        if !parts.starts {
            joined.insert(0, '*');
        }
        if !parts.ends {
            joined.push('*');
        }
        joined
    }

    #[test]
    fn what_the_two_sides_see_differently_is_cut() {
        for (text, expected) in [
            ("Jensen", "Jensen"),
            ("Björk", "Björk"),
            ("Bjo\u{308}rk", "Björk"),
            ("Straße", "Stra*e"),
            ("ßa", "*a"),
            ("aß", "a*"),
            ("ß", "*"),
            ("", ""),
            ("ΣΟΦΙΑΣ", "*ΟΦ*Α*"),
            ("İstanbul", "*stanbul"),
            ("a  b", "a*b"),
            ("a b", "a b"),
            (" a ", "*a*"),
            ("a ß", "a*"),
            ("q\u{301}x", "*x"),
            ("a\u{a0}b\tc", "a*b*c"),
            ("\u{1f600}x", "*x"),
            ("樂天", "*天"),
            ("*()\\", "*()\\"),
        ] {
            assert_eq!(sent(text, Rule::CaseIgnore), expected, "{text:?}");
        }
    }

    #[test]
    fn each_rule_has_its_own_alphabet() {
        assert_eq!(sent("jö@example.org", Rule::CaseIgnoreIa5), "j*@example.org");
        assert_eq!(sent("+47 22-33 x9", Rule::Telephone), "+472233*9");
        assert_eq!(sent(" - ", Rule::Telephone), "");
        assert_eq!(sent("1 2a", Rule::Numeric), "12*");
        assert_eq!(sent("A-17", Rule::CaseExact), "*-17");
        assert_eq!(sent("x", Rule::Uuid), "nothing");
        let exact = parts("A-17 é", true, Rule::CaseExact, Comparison::Rfc4518);
        assert_eq!(exact.unwrap().whole(), Some("A-17 é"));
        let plain = parts("Mosé", false, Rule::CaseIgnore, Comparison::Ascii);
        assert_eq!(plain.unwrap().parts, ["Mo"]);
    }

    #[test]
    fn nothing_joins_a_plain_character_from_behind() {
        let compatible = const { ComposingNormalizerBorrowed::new_nfkc() };
        let canonical = const { ComposingNormalizerBorrowed::new_nfc() };
        // What compatibility decomposition can put behind a character where NFC puts nothing.
        let firsts: HashSet<char> = ('\u{80}'..='\u{2fa1f}')
            .filter(|c| !is_mark(*c))
            .filter_map(|c| {
                let text = c.to_string();
                let first = compatible.normalize(&text).chars().next()?;
                (!canonical.normalize(&text).starts_with(first)).then_some(first)
            })
            .collect();
        let plain: Vec<char> = (' '..='~')
            .chain(('\u{80}'..='\u{1fff}').chain('\u{ac00}'..='\u{ae00}').filter(|c| is_plain(*c)))
            .collect();
        assert!(plain.len() > 500, "{}", plain.len());
        let composition = const { CanonicalCompositionBorrowed::new() };
        for &c in &plain {
            for &first in &firsts {
                let joined = composition.compose(c, first);
                assert_eq!(joined, None, "{c} is joined by U+{:04X}", u32::from(first));
            }
        }
    }
}
