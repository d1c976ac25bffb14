//! How strings are compared: the same rule for memory, SQL and LDAP residuals.
//!
//! Case-inexact strings are equal when the Unicode simple case folding (CaseFolding.txt, status C
//! and S) of their NFC forms is equal; case-exact strings when their NFC forms are. Interior spaces
//! count. Order is by code points of the compared form, which is also the byte order of UTF-8.

use std::borrow::Cow;

use icu_casemap::CaseMapperBorrowed;
use icu_normalizer::ComposingNormalizerBorrowed;

/// The form under which a string is compared: [`fold`] or [`nfc`], as the attribute's case rule says.
pub fn comparable(text: &str, case_exact: bool) -> Cow<'_, str> {
    if case_exact { nfc(text) } else { fold(text) }
}

/// NFC, then simple case folding of each code point.
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(text.to_ascii_lowercase())
        } else {
            Cow::Borrowed(text)
        };
    }
    let mapper = const { CaseMapperBorrowed::new() };
    Cow::Owned(nfc(text).chars().map(|c| mapper.simple_fold(c)).collect())
}

/// Unicode normalization form C.
pub fn nfc(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    const { ComposingNormalizerBorrowed::new_nfc() }.normalize(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_is_simple_and_composed() {
        assert_eq!(fold("STRASSE"), "strasse");
        assert_eq!(fold("Straße"), "straße", "ß has no simple folding to ss");
        assert_eq!(fold("ẞ"), "ß");
        assert_eq!(fold("ΣΊΣΥΦΟΣ"), fold("σίσυφος"), "final sigma folds to sigma");
        assert_eq!(fold("Jose\u{301}"), fold("JOSÉ"));
        assert_ne!(fold("İ"), fold("i"), "U+0130 folds only in the Turkic and full tables");
    }

    #[test]
    fn exact_text_is_only_composed() {
        assert_eq!(nfc("e\u{301}"), "é");
        assert_ne!(comparable("A", true), comparable("a", true));
        assert_eq!(comparable("A", false), comparable("a", false));
    }
}
