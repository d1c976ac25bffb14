//! How strings are compared: the same rule for memory, SQL and LDAP residuals.
//!
//! Case-inexact strings are equal when the Unicode simple case folding (CaseFolding.txt, status C
//! and S) of their NFC forms is equal; case-exact strings when their NFC forms are. Interior spaces
//! count. Order is by code points of the compared form, which is also the byte order of UTF-8.
//! Dates are compared by instant.

use std::borrow::Cow;

use icu_casemap::CaseMapperBorrowed;
use icu_normalizer::ComposingNormalizerBorrowed;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// The form under which a string is compared: [`fold`] or [`nfc`], as the attribute's case rule says.
pub fn comparable(text: &str, case_exact: bool) -> Cow<'_, str> {
    if case_exact { nfc(text) } else { fold(text) }
}

/// NFC, then simple case folding of each code point.
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        // Without a way out of the loop it takes many bytes at a time.
        let upper = text.bytes().fold(false, |found, byte| found | byte.is_ascii_uppercase());
        return if upper { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) };
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

/// The instant that a `dateTime` value names: RFC 3339, with any number of fractional digits,
/// offsets also as `+0200` and `+02`, and without offset as UTC (XML Schema leaves it out).
/// What lies beyond the representable years, such as the last day of 9999, is the last instant.
pub fn instant(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if separators.iter().any(|&(at, byte)| bytes.get(at) != Some(&byte))
        || !matches!(bytes.get(10), Some(b'T' | b't' | b' '))
    {
        return None;
    }
    let (nanosecond, offset) = fraction(bytes.get(19..)?)?;
    // A leap second counts as the second before it.
    let second = digits(&bytes[17..19]).map(|second| if second == 60 { 59 } else { second })?;
    let date_time = DateTime::new(
        i16::try_from(digits(&bytes[..4])?).ok()?,
        i8::try_from(digits(&bytes[5..7])?).ok()?,
        i8::try_from(digits(&bytes[8..10])?).ok()?,
        i8::try_from(digits(&bytes[11..13])?).ok()?,
        i8::try_from(digits(&bytes[14..16])?).ok()?,
        i8::try_from(second).ok()?,
        nanosecond,
    )
    .ok()?;
    let beyond = if date_time.year() > 0 { Timestamp::MAX } else { Timestamp::MIN };
    Some(offset_of(offset)?.to_timestamp(date_time).unwrap_or(beyond))
}

/// Nanoseconds of `.123…`, and what follows it.
fn fraction(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let Some(rest) = bytes.strip_prefix(b".") else { return Some((0, bytes)) };
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let kept = &rest[..length.min(9)];
    let mut nanoseconds = digits(kept).filter(|_| length > 0)?;
    for _ in kept.len()..9 {
        nanoseconds *= 10;
    }
    Some((nanoseconds, &rest[length..]))
}

fn offset_of(bytes: &[u8]) -> Option<Offset> {
    let (sign, hours, minutes) = match bytes {
        [] | b"Z" | b"z" => return Some(Offset::UTC),
        [sign, hours @ .., b':', a, b] if hours.len() == 2 => (sign, digits(hours)?, [*a, *b]),
        [sign, hours @ .., a, b] if hours.len() == 2 => (sign, digits(hours)?, [*a, *b]),
        [sign, hours @ ..] if hours.len() == 2 => (sign, digits(hours)?, [b'0', b'0']),
        _ => return None,
    };
    let minutes = digits(&minutes).filter(|&minutes| minutes < 60)?;
    let seconds = hours * 3600 + minutes * 60;
    match sign {
        b'+' => Offset::from_seconds(seconds).ok(),
        b'-' => Offset::from_seconds(-seconds).ok(),
        _ => None,
    }
}

/// At most nine decimal digits as a number.
fn digits(bytes: &[u8]) -> Option<i32> {
    bytes.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + i32::from(byte - b'0'))
    })
}

/// Whether a text can stand for a group or a role as its id: 1 to 64 of `[A-Za-z0-9_.-]`, and not all
/// digits, which would be a number.
pub fn is_code(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=64).contains(&text.len())
        && text.bytes().all(fits)
        && !text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_as_directories_and_clients_write_them() {
        let at = |text: &str| instant(text).map(|at| at.to_string());
        let noon = Some("2020-01-02T12:00:00Z".to_owned());
        for same in [
            "2020-01-02T12:00:00Z",
            "2020-01-02t12:00:00z",
            "2020-01-02T12:00:00",
            "2020-01-02T12:00:00.0000000Z",
            "2020-01-02T14:00:00+02:00",
            "2020-01-02T14:00:00.000+0200",
            "2020-01-02T14:00:00+02",
            "2020-01-02T06:30:00-05:30",
        ] {
            assert_eq!(at(same), noon, "{same}");
        }
        assert_eq!(
            at("2020-01-02T12:00:00.1234567891Z").unwrap(),
            "2020-01-02T12:00:00.123456789Z"
        );
        assert_eq!(instant("9999-12-31T23:59:59Z"), Some(Timestamp::MAX));
        assert_eq!(instant("0000-01-01T00:00:00Z").unwrap().as_second(), -62_167_219_200);
        assert_eq!(at("2016-12-31T23:59:60Z").unwrap(), "2016-12-31T23:59:59Z");
        for wrong in [
            "",
            "2020",
            "2020-01-02",
            "2020-01-02T12:00Z",
            "2020-13-02T12:00:00Z",
            "2020-02-30T12:00:00Z",
            "2020-01-02T25:00:00Z",
            "2020-01-02T12:00:00.Z",
            "2020-01-02T12:00:00+2:00",
            "2020-01-02T12:00:00+02:60",
            "2020-01-02T12:00:00+99:00",
            "2020-01-02T12:00:00Zé",
            "2020-01-02T12:00:00[UTC]",
            "yesterday",
            "éééééééééééééé",
        ] {
            assert_eq!(instant(wrong), None, "{wrong}");
        }
    }

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
