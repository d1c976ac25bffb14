//! Values in which `*` stands for any characters: what a comparison with one asks for, and whether a
//! text is like it.

use super::{Filter, Literal, Operator, Text};
use crate::scim::schema::AttributePath;

/// The character.
pub const ANY: char = '*';

/// `path operator "…*…"`; what `sw`, `co`, `ew` and `eq` say themselves is said by them. `None` where
/// the operator is another one, or nothing stands for anything.
pub(super) fn compare(path: &AttributePath, operator: Operator, text: &str) -> Option<Filter> {
    if !text.contains(ANY) {
        return None;
    }
    let pattern = match operator {
        Operator::Eq | Operator::Like => text.to_owned(),
        Operator::Sw => format!("{text}{ANY}"),
        Operator::Ew => format!("{ANY}{text}"),
        Operator::Co => format!("{ANY}{text}{ANY}"),
        _ => return None,
    };
    let pieces: Vec<&str> = pattern.split(ANY).collect();
    let ends = |piece: Option<&&str>| piece.is_some_and(|piece| !piece.is_empty());
    let (starts, stops) = (ends(pieces.first()), ends(pieces.last()));
    let told: Vec<&str> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
    let (operator, written) = match (&*told, starts, stops) {
        // Whatever the value is, it is there.
        ([], ..) => (Operator::Co, String::new()),
        ([one], true, false) => (Operator::Sw, (*one).to_owned()),
        ([one], false, true) => (Operator::Ew, (*one).to_owned()),
        ([one], false, false) => (Operator::Co, (*one).to_owned()),
        _ => {
            let any = |at_all: bool| if at_all { "" } else { "*" };
            let inner = told.join("*");
            (Operator::Like, format!("{}{inner}{}", any(starts), any(stops)))
        }
    };
    let value = Literal::String(Text::new(written, path));
    Some(Filter::Compare { path: path.clone(), operator, value })
}

/// Whether `text` is like `pattern`, both as they are compared.
pub fn like(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once(ANY) else { return pattern == text };
    let Some(text) = text.strip_prefix(first) else { return false };
    let (inner, last) = rest.rsplit_once(ANY).unwrap_or(("", rest));
    let Some(mut text) = text.strip_suffix(last) else { return false };
    for piece in inner.split(ANY) {
        // The leftmost place leaves most for the pieces behind it.
        let Some(at) = text.find(piece) else { return false };
        text = &text[at + piece.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::USER;
    use super::*;

    fn read(operator: Operator, text: &str) -> Option<(Operator, String)> {
        match compare(&USER.resolve("userName"), operator, text)? {
            Filter::Compare { operator, value: Literal::String(text), .. } => {
                Some((operator, text.written))
            }
            other => panic!("{other}"),
        }
    }

    #[test]
    fn what_an_operator_says_itself_is_said_by_it() {
        use Operator::{Co, Eq, Ew, Like, Ne, Sw};
        for (operator, text, expected) in [
            (Eq, "f*", (Sw, "f")),
            (Sw, "1*", (Sw, "1")),
            (Eq, "*f", (Ew, "f")),
            (Ew, "*f", (Ew, "f")),
            (Eq, "**f**", (Co, "f")),
            (Co, "f*", (Co, "f")),
            (Ew, "f*", (Co, "f")),
            (Sw, "*f", (Co, "f")),
            (Eq, "*", (Co, "")),
            (Sw, "**", (Co, "")),
            (Eq, "a*b", (Like, "a*b")),
            (Eq, "a**b*", (Like, "a*b*")),
            (Sw, "a*b", (Like, "a*b*")),
            (Ew, "a*b", (Like, "*a*b")),
            (Co, "a*b", (Like, "*a*b*")),
        ] {
            let (expected, written) = expected;
            assert_eq!(read(operator, text), Some((expected, written.to_owned())), "{text}");
        }
        assert_eq!(read(Eq, "plain"), None);
        assert_eq!(read(Ne, "a*"), None, "only of what is asked for");
    }

    #[test]
    fn pieces_stand_in_their_order_and_apart() {
        for (pattern, text, expected) in [
            ("a*b", "ab", true),
            ("a*b", "axxb", true),
            ("a*b", "abx", false),
            ("ab*ba", "aba", false),
            ("ab*ba", "abba", true),
            ("*a*b*", "xbxa", false),
            ("*a*b*", "xaxbx", true),
            ("a*b*c", "abbc", true),
            ("a*é*c", "aéc", true),
            ("a*bc*c", "abc", false),
            ("", "", true),
            ("*", "", true),
        ] {
            assert_eq!(like(pattern, text), expected, "{pattern} {text}");
        }
    }

    /// Slowly, and plainly right.
    fn plainly(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((&ANY, rest)) => (0..=text.len()).any(|from| plainly(rest, &text[from..])),
            Some((first, rest)) => text.first() == Some(first) && plainly(rest, &text[1..]),
        }
    }

    proptest! {
        #![proptest_config(crate::scim::cases::of(2_000, 50_000))]

        #[test]
        fn a_text_is_like_a_pattern_where_it_plainly_is(
            pattern in "[abé*]{0,7}",
            text in "[abé]{0,8}",
        ) {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(like(&pattern, &text), plainly(&chars(&pattern), &chars(&text)));
        }

        /// All ways to say it select the same.
        #[test]
        fn what_is_made_of_a_pattern_selects_what_is_like_it(
            pattern in "[aB*]{1,6}",
            text in "[abAB]{0,7}",
        ) {
            let person = serde_json::json!({ "userName": text });
            let path = USER.resolve("userName");
            if let Some(filter) = compare(&path, Operator::Eq, &pattern) {
                let wanted = like(&pattern.to_lowercase(), &text.to_lowercase());
                prop_assert_eq!(filter.matches(person.as_object().unwrap()), wanted, "{}", filter);
            }
        }
    }
}
